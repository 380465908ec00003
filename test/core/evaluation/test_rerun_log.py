from __future__ import annotations

import sys

import numpy as np
import pytest

from madm_core.errors import DataError, MissingDependencyError
from madm_core.evaluation.frame_results import FrameResult
from madm_core.evaluation.rerun_log import TIMELINE, RerunLog, rerun_path
from madm_core.labels import IGNORE, LabelSet

MADM11 = LabelSet.named("madm11")
START = 1_700_000_000_000_000_000


def frame(number: int, confidence: bool = True) -> FrameResult:
    labels = np.full((16, 24), number, np.uint8)
    truth = labels.copy()
    truth[0] = IGNORE
    return FrameResult(
        "bag",
        START + number * 10**8,
        np.full((16, 24, 3), 0.5, np.float32),
        truth,
        labels,
        np.full((16, 24), 0.25, np.float32) if confidence else None,
        1.0,
    )


def test_the_file_holds_pictures_classes_and_stamps(tmp_path):
    pytest.importorskip("rerun", reason="the extra viz is not installed")
    from rerun.chunk import RrdReader

    log = RerunLog(tmp_path / "out" / "drive.rrd", MADM11)
    for number in range(3):
        log.frame(frame(number, confidence=number != 1))
    log.close()
    columns: dict[str, list] = {}
    stamps: dict[str, list] = {}
    timelines = set()
    for chunk in RrdReader(tmp_path / "out" / "drive.rrd").stream():
        if chunk.entity_path.startswith("/__"):
            continue
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            columns.setdefault(f"{chunk.entity_path}:{name}", []).extend(batch.column(name).to_pylist())
        timelines |= set(chunk.timeline_names)
        if TIMELINE in batch.schema.names:
            times = batch.column(TIMELINE).cast("int64").to_pylist()
            stamps.setdefault(chunk.entity_path, []).extend(times)
    assert timelines == {TIMELINE}
    every = [START + number * 10**8 for number in range(3)]
    for entity in ("/input", "/labels", "/truth", "/mean_iou"):
        assert sorted(set(stamps[entity])) == every, entity
    assert sorted(set(stamps["/confidence"])) == [every[0], every[2]]
    (context,) = (values for name, values in columns.items() if "AnnotationContext" in name)
    text = str(context)
    assert all(name in text for name in MADM11.names) and "no label" in text
    labels = next(values for name, values in columns.items() if name.startswith("/labels:") and "buffer" in name)
    assert bytes(labels[2][0]) == bytes([2]) * (16 * 24)
    (means,) = (values for name, values in columns.items() if name.startswith("/mean_iou:Scalars"))
    assert [value[0] for value in means] == [1.0, 1.0, 1.0]


def test_one_file_for_each_of_several_bags():
    assert str(rerun_path("out/a.rrd", "bags/drive_1.mcap", 1)) == "out/a.rrd"
    assert str(rerun_path("out/a.rrd", "bags/drive_1.mcap", 2)) == "out/a_drive_1.rrd"


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    if "rerun" in sys.modules:
        with pytest.raises(DataError, match="cannot be written"):
            RerunLog(tmp_path / "file" / "drive.rrd", MADM11)
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(MissingDependencyError, match=r"madm_ros\[viz\]"):
        RerunLog(tmp_path / "drive.rrd", MADM11)
