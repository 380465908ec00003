"""Finished evaluations are matched by bag and stamp, and told apart or not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from madm_core.errors import DataError
from madm_core.evaluation.comparison import StoredScores, compare, print_comparison


def stored(folder: Path, hits: int, stamps: range, bag: str = "/runs/drive", classes=("road", "sky")) -> Path:
    """Frames of which ``hits`` of 100 pixels of a class are right, more or less."""
    rng = np.random.default_rng(1)
    matrices = np.zeros((len(stamps), 2, 3), np.int32)
    for frame in matrices:
        right = np.clip(hits + rng.integers(-15, 16, 2), 0, 100)
        frame[0, :2] = right[0], 100 - right[0]
        frame[1, :2] = 100 - right[1], right[1]
    folder.mkdir()
    metrics = {
        "format": "madm metrics", "format_version": 1, "model": {"description": f"model of {hits}"},
        "label_set": {"names": list(classes)}, "protocols": {"native": {}},
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics))
    np.savez(
        folder / "frames.npz", stamps_ns=np.array(stamps), bags=np.arange(len(stamps)) % 2,
        bag_names=np.array([f"{bag}_0", f"{bag}_1"]), matrices_native=matrices,
    )  # fmt: skip
    return folder


def test_a_better_model_is_seen_on_the_common_frames(tmp_path, capsys):
    first = StoredScores.read(stored(tmp_path / "a", 60, range(40)))
    second = StoredScores.read(stored(tmp_path / "b", 75, range(10, 50), "/elsewhere/drive") / "metrics.json")
    found = compare(first, second)
    assert (found.frames, found.only_first, found.only_second, found.bags) == (30, 10, 10, 2)
    difference = found.mean_iou["native"]
    assert 0 < difference.interval.low < difference.value < difference.interval.high
    assert "native" in found.mean_iou_over_bags
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["protocols"]["native"]["difference"]["value"] == pytest.approx(difference.value)
    print_comparison(found)
    assert "B is better" in capsys.readouterr().out


def test_the_same_model_twice_is_not_told_apart(tmp_path, capsys):
    first = StoredScores.read(stored(tmp_path / "a", 60, range(20)))
    print_comparison(compare(first, first))
    assert "no difference can be told" in capsys.readouterr().out


def test_what_cannot_be_compared_is_explained(tmp_path):
    first = StoredScores.read(stored(tmp_path / "a", 60, range(20)))
    other = StoredScores.read(stored(tmp_path / "b", 60, range(100, 120)))
    with pytest.raises(DataError, match=r"nothing in common.*20 frames of /runs/drive_0, /runs/drive_1, native"):
        compare(first, other)
    with pytest.raises(DataError, match="different classes"):
        compare(first, StoredScores.read(stored(tmp_path / "c", 60, range(20), classes=("road", "person"))))
    with pytest.raises(DataError, match="holds no finished evaluation"):
        StoredScores.read(tmp_path / "nowhere")
    old = stored(tmp_path / "old", 60, range(20))
    (old / "metrics.json").write_text('{"format": 1}')
    with pytest.raises(DataError, match="cannot be compared"):
        StoredScores.read(old)
