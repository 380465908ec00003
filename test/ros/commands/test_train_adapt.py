from __future__ import annotations

import os
import re
import signal

import numpy as np
import pytest
from PIL import Image

from madm_core.model.tiny_base import write_tiny_base
from madm_ros.commands import check_data, train_adapt


@pytest.fixture
def config_file(tmp_path):
    """A configuration that loads but whose data do not exist."""
    path = tmp_path / "config.yaml"
    path.write_text(
        f"output: {tmp_path}/run\nbase: {tmp_path}/base\nmodality: {{name: thermal}}\n"
        f"source: {{kind: folder, images: {tmp_path}/nowhere}}\ntarget: {{kind: folder, images: {tmp_path}/nowhere}}\n"
        f"engine: {{device: cpu}}\n"
    )
    return path


@pytest.mark.parametrize("command", [train_adapt, check_data])
def test_help_and_version(command, capsys):
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit) as leaving:
            command.main([option])
        assert leaving.value.code == 0
    assert "--config" in capsys.readouterr().out


@pytest.mark.parametrize("command", [train_adapt, check_data])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["max_step=3"], "unknown key 'max_step'"),
        (["recipe=refrence"], "Did you mean 'reference'"),
        (["modality.name=sonar"], "unknown modality"),
    ],
)
def test_mistakes_end_with_exit_code_2(command, config_file, words, message, capsys):
    assert command.main(["--config", str(config_file), *words]) == 2
    error = capsys.readouterr().err
    assert "error: " in error
    assert re.search(message, error)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_first_step_leaves_at_once(config_file, capsys, monkeypatch, number):
    before = signal.getsignal(number)
    reached = []

    def stopped_while_loading(config):
        reached.append(config)
        os.kill(os.getpid(), number)
        raise AssertionError("it went on")

    monkeypatch.setattr("madm_core.adaptation.memory_planner.plan_memory", stopped_while_loading)
    assert train_adapt.main(["--config", str(config_file)]) == 0
    assert reached
    assert capsys.readouterr().err == "stopped before the first step; nothing to save\n"
    assert signal.getsignal(number) == before


def test_missing_data_are_named(config_file, capsys):
    assert check_data.main(["--config", str(config_file)]) == 2
    assert "folder of pictures is missing" in capsys.readouterr().err


def test_the_plan_needs_only_the_base_s_configuration(config_file, tmp_path, capsys):
    write_tiny_base(tmp_path / "base")
    assert train_adapt.main(["--config", str(config_file), "--plan-only"]) == 0
    assert "expected peak memory" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_check_data_reports_and_judges(tmp_path, config_file, capsys):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 11).save(tmp_path / folder / "1.png")
    words = [
        "--config",
        str(config_file),
        "--sheets",
        str(tmp_path / "sheets"),
        f"source={{kind: folder, images: {tmp_path}/images, labels: {tmp_path}/labels}}",
        f"target={{kind: folder, images: {tmp_path}/images}}",
    ]
    assert check_data.main(words) == 0
    assert "everything can be used" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {"source.png", "target.png"}
    (tmp_path / "labels/1.png").write_bytes(b"broken")
    assert check_data.main(words[:2] + words[4:]) == 1
    assert "problem: cannot read" in capsys.readouterr().out
