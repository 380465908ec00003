from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from madm_ros.commands import check_data


@pytest.fixture
def config_file(tmp_path):
    """Two labelled pictures and an unlabelled frame."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels", "target"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 255, (8, 10, 3), np.uint8)).save(tmp_path / f"images/{name}.png")
        Image.fromarray(np.full((8, 10), 3, np.uint8)).save(tmp_path / f"labels/{name}.png")
    Image.fromarray(rng.integers(0, 255, (6, 6), np.uint8)).save(tmp_path / "target/1.png")
    path = tmp_path / "config.yaml"
    path.write_text(
        f"output: {tmp_path}/run\nbase: nowhere\nmodality: {{name: thermal}}\n"
        f"source: {{kind: folder, images: {tmp_path}/images, labels: {tmp_path}/labels}}\n"
        f"target: {{kind: folder, images: {tmp_path}/target}}\ncache: {tmp_path}/cache\n"
    )
    return path


def test_counts_sizes_and_shares(config_file, tmp_path, capsys):
    assert check_data.main(["--config", str(config_file), "--sheets", str(tmp_path / "sheets")]) == 0
    report = capsys.readouterr().out
    assert "[source]" in report
    assert "2 frames" in report
    assert "8x10 (2)" in report
    assert "100.000%" in report
    assert "6x6 (1)" in report
    assert "everything can be used" in report
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {"source.png", "target.png"}


def test_a_machine_gets_the_same(config_file, capsys):
    assert check_data.main(["--config", str(config_file), "--json"]) == 0
    printed, people = capsys.readouterr()
    facts = json.loads(printed)["facts"]
    assert facts["source"]["sizes"] == [[8, 10, 2]] and facts["source"]["class_share"]["person"] == 1.0
    assert facts["target"] == {**facts["target"], "frames": 1, "labelled": False, "problems": []}
    assert "8x10 (2)" in people


def test_ids_outside_the_label_set_are_a_problem(config_file, tmp_path, capsys):
    Image.fromarray(np.full((8, 10), 77, np.uint8)).save(tmp_path / "labels/b.png")
    assert check_data.main(["--config", str(config_file)]) == 1
    assert "b.png holds ids outside the mapping: [77]" in capsys.readouterr().out


def test_a_missing_label_file_is_named(config_file, tmp_path, capsys):
    (tmp_path / "labels/b.png").unlink()
    assert check_data.main(["--config", str(config_file)]) == 2
    assert "no labels for" in capsys.readouterr().err


def test_validation_must_have_labels(config_file, tmp_path, capsys):
    words = ["--config", str(config_file), f"validation={{kind: folder, images: {tmp_path}/target}}"]
    assert check_data.main(words) == 1
    assert "these frames have no labels" in capsys.readouterr().out
