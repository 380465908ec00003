"""``evaluate_bag --live``: bag, replay, node in a process of its own, DDS, and the labels that come back."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="--live plays bags through a ROS node")

from madm_ros.commands import evaluate_bag, street_world

DOMAIN = str(1 + os.getpid() % 100)


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("live_drive")
    options = ["--seed", "5", "--size", "48x64", "--rate", "10", "--duration", "0.8", "--event-steps", "2"]
    modalities = ["--modality", "thermal", "event"]
    assert street_world.main([*options, *modalities, "--write-bag", str(path / "bag")]) == 0
    return path / "bag"


def evaluate(model: Path, bag: Path, topic: str, output: Path, *options: str) -> int:
    command = ["--model", str(model), "--bag", str(bag), "--topic", topic, "--label-topic", "/street/labels"]
    return evaluate_bag.main([*command, "--device", "cpu", "--output", str(output), *options])


def metrics(output: Path) -> dict:
    return json.loads((output / "metrics.json").read_text())


def test_live_labels_equal_offline_labels(tiny_models, drive, tmp_path, capsys):
    topic = "/street/thermal/image_raw"
    assert evaluate(tiny_models["thermal"], drive, topic, tmp_path / "live", "--live", "--queue-policy", "every") == 0
    assert "live labels equal offline labels: 0 of" in capsys.readouterr().out
    live = metrics(tmp_path / "live")
    section = live["sections"]["live"]
    assert section["messages_sent"] == section["answers"] == section["comparison"]["frames"] == 8
    assert section["comparison"]["equal"] and section["comparison"]["different_pixels"] == 0
    assert 0 <= section["comparison"]["largest_confidence_difference"] <= 0.5 / 255 + 1e-6
    assert section["latency_ms"]["median"] > 0 and section["stamp_age_ms"]["median"] > 0
    assert section["node_counters"]["frames_dropped"] == "0"
    assert evaluate(tiny_models["thermal"], drive, topic, tmp_path / "offline") == 0
    assert live["protocols"] == metrics(tmp_path / "offline")["protocols"]
    assert not list((tmp_path / "live").glob(".live_*")), "what came back is not kept"
    page = (tmp_path / "live" / "report.html").read_text()
    assert "live labels equal offline labels" in page and "age of the stamp" in page


def test_the_node_that_is_started_is_told_where_the_base_is(move_base, drive, tmp_path):
    model, base = move_base("thermal")
    options = ["--live", "--queue-policy", "every", "--base", str(base)]
    assert evaluate(model, drive, "/street/thermal/image_raw", tmp_path / "out", *options) == 0
    assert metrics(tmp_path / "out")["sections"]["live"]["comparison"]["equal"]


def test_windows_of_events_are_compared_with_the_nodes_own(tiny_models, drive, tmp_path, monkeypatch):
    # An earlier test of this process may have loaded the package from where the node's process does not look.
    monkeypatch.setitem(sys.modules, "event_camera_msgs", None)
    monkeypatch.setitem(sys.modules, "event_camera_msgs.msg", None)
    assert evaluate(tiny_models["event"], drive, "/street/events", tmp_path, "--live", "--queue-policy", "every") == 0
    section = metrics(tmp_path)["sections"]["live"]
    # A busy machine may make the node leave windows out, but not change those that it gives.
    assert section["comparison"]["equal"] and 0 < section["comparison"]["frames"] <= section["answers"]
    assert section["answers"] == int(section["node_counters"]["frames_published"])
    assert section["tolerance_s"] == 0.025


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--live", "--workers", "2"], "plays one bag after the other"),
        (["--node", "/segmentation"], "--node and --rate are for --live"),
        (["--live", "--rate", "0"], "both above 0"),
        (["--live", "--protocol", "both"], "has the protocol native only"),
    ],
)
def test_unusable_options_are_explained(tiny_models, drive, tmp_path, capsys, options, complaint):
    assert evaluate(tiny_models["thermal"], drive, "/street/thermal/image_raw", tmp_path / "out", *options) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
