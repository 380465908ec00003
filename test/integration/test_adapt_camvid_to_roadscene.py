"""A user's whole way: labelled CamVid pictures and a bag of thermal frames -> check, train, kill, resume, segment.

The recordings are for local tests only; nothing that is made here is kept.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from madm_core.adaptation.checkpoint import list_checkpoints
from madm_core.adaptation.tiny_run import TINY_ARCHITECTURE, write_smallest_base
from madm_core.data.bag_writer import BagWriter
from madm_core.messages.image_arrays import array_to_image_fields
from madm_core.segmenter import Segmenter
from madm_ros.image_conversion import message_to_array

CAMVID = (
    "sky",
    "building",
    "pole",
    "road",
    "sidewalk",
    "vegetation",
    "traffic sign",
    "fence",
    "car",
    "person",
    "person",
)
STEPS = 200


def write_bag(path: Path, pictures: list[tuple[str, np.ndarray]]) -> None:
    """A bag of (encoding, picture), 10 a second."""
    with BagWriter(path) as writer:
        for index, (encoding, picture) in enumerate(pictures):
            stamp_ns = 1_700_000_000_000_000_000 + index * 100_000_000
            header = {"stamp": {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}, "frame_id": "thermal"}
            fields = array_to_image_fields(picture, encoding)
            fields["data"] = np.frombuffer(fields["data"], np.uint8)
            writer.add("/thermal/image_raw", "sensor_msgs/msg/Image", {"header": header, **fields}, stamp_ns)


@pytest.fixture(scope="module")
def config_file(shared_data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("camvid_to_roadscene")
    write_smallest_base(folder / "base")
    mapping = dict(enumerate(CAMVID)) | {11: "ignore"}
    (folder / "mapping.yaml").write_text(yaml.safe_dump(mapping))
    frames = sorted((shared_data / "roadscene/infrared").glob("*.jpg"))
    assert len(frames) == 24
    write_bag(folder / "bag", [("mono8", cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) for path in frames])
    camvid = shared_data / "camvid/train"
    config = {
        "output": str(folder / "run"),
        "base": str(folder / "base"),
        "modality": {"name": "thermal"},
        "image_size": [64, 64],
        "architecture": TINY_ARCHITECTURE,
        "source": {
            "kind": "folder",
            "images": str(camvid / "images"),
            "labels": str(camvid / "labels"),
            "mapping": str(folder / "mapping.yaml"),
        },
        "target": {"kind": "bag", "bags": [str(folder / "bag")], "topic": "/thermal/image_raw", "stop_s": 1.95},
        "recipe": "madm",
        "method": {
            "learning_rate": 1e-3,
            "new_layer_learning_rate": 1e-2,
            "ema_limit": 0.98,
            "confidence_threshold": 0.7,
            "rare_class_min_pixels": 300,
            "rare_class_min_crop_pixels": 30,
        },
        "max_steps": STEPS,
        "engine": {"device": "cpu", "workers": 0, "gradient_checkpointing": False},
        "preview_every": 100,
        "checkpoint_every": 100,
        "log_every": 1,
        "embed_base": True,
        "cache": str(folder / "cache"),
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run(command: str, *words: str, check: bool = True) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        [sys.executable, "-m", f"madm_ros.commands.{command}", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or finished.returncode == 0, finished.stderr
    return finished


@pytest.mark.timeout(900)
def test_check_train_kill_resume_segment(config_file, shared_data, start, observer):
    folder = config_file.parent
    report = run("check_data", "--config", str(config_file), "--sheets", str(folder / "sheets")).stdout
    assert "60 frames" in report
    assert "20 frames" in report
    assert "everything can be used" in report

    command = [sys.executable, "-m", "madm_ros.commands.train_adapt", "--config", str(config_file)]
    training = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600  # a guard against a hang: a busy machine may take minutes
    while not list_checkpoints(folder / "run/checkpoints") and training.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(training.pid, signal.SIGKILL)
    assert training.wait() == -signal.SIGKILL
    run("train_adapt", "--config", str(config_file), "--resume")

    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    first, last = (np.mean([line["source_loss"] for line in part]) for part in (lines[:20], lines[-20:]))
    assert last < 0.8 * first
    assert len(list((folder / "run/previews").glob("*.png"))) == 2

    held_out = sorted((shared_data / "roadscene/infrared").glob("*.jpg"))[20:]
    assert len(held_out) == 4
    # The visible ones in grey: a thermal model's node refuses colour.
    folders = (shared_data / "roadscene/infrared", shared_data / "roadscene/visible")
    pictures = [
        ("mono8", cv2.imread(str(sensor / path.name), cv2.IMREAD_GRAYSCALE)) for sensor in folders for path in held_out
    ]
    write_bag(folder / "held_out", pictures)
    node = start(
        "segment", "--model", str(folder / "run/model"), "--input", "/thermal/image_raw", "--ros-args",
        "-p", "queue_policy:=every", "-p", "input_reliability:=reliable",
    )  # fmt: skip
    player = start("replay_bag", str(folder / "held_out"), "--wait-for-subscribers", "120")
    messages = observer.received["segmentation/labels"]
    observer.spin_until(lambda: len(messages) == len(pictures), timeout_s=180, what="a label image for every picture")
    assert player.end() == 0, player.output
    segmenter = Segmenter.from_pretrained(folder / "run/model", device="cpu")
    for message, (_, picture) in zip(messages, pictures, strict=True):
        labels = message_to_array(message)
        np.testing.assert_array_equal(labels, segmenter.segment(picture).labels)
        assert labels.shape == picture.shape[:2]
        assert labels.max() < 11
        assert len(np.unique(labels)) > 1
    assert node.end(signal.SIGINT) == 0
    assert "Traceback" not in node.output
