"""Playing a bag through a node, here a stand-in of the test's own process that answers what it is told to."""

from __future__ import annotations

import dataclasses
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2

from madm_core.data.bag_writer import BagWriter
from madm_core.data.message_types import stamp_fields
from madm_core.errors import InvalidInputError, MadmError
from madm_core.evaluation.bag_request import BagRequest
from madm_core.evaluation.live_matching import LiveAnswers
from madm_core.messages.image_arrays import array_to_image_fields
from madm_core.modalities import DepthModality, EventModality
from madm_ros.image_conversion import array_to_message
from madm_ros.live_evaluation import LiveOptions, _parameters, play_live
from madm_ros.publishers import CONFIDENCE, LABELS
from madm_ros.qos import RESULTS

START, STEP = 1_700_000_000_000_000_000, 50_000_000
DEPTH = SimpleNamespace(modality=DepthModality())


@pytest.fixture
def bag(tmp_path) -> Path:
    with BagWriter(tmp_path / "bag") as writer:
        for number in range(6):
            fields = array_to_image_fields(np.full((16, 24), 4000 + number, np.uint16), "16UC1")
            header = {"stamp": stamp_fields(START + number * STEP), "frame_id": "depth"}
            writer.add("/depth", "sensor_msgs/msg/Image", {"header": header, **fields}, START + number * STEP + 3)
    return tmp_path / "bag"


class StandIn:
    """A node ``/robot/segmentation`` that labels each pixel 3; of six frames it leaves out those of ``silent``."""

    def __init__(self, silent: set[int], kind: type = Image) -> None:
        self.context = Context()
        self.context.init(args=[])
        self.node = Node("segmentation", namespace="/robot", context=self.context, enable_rosout=False)
        self.labels = self.node.create_publisher(Image, LABELS.name, RESULTS)
        self.confidence = self.node.create_publisher(Image, CONFIDENCE.name, RESULTS)
        self.silent, self.received = silent, 0
        self.node.create_subscription(kind, "camera/depth", self.answer, 10)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def answer(self, message: Image) -> None:
        self.received += 1
        if self.received - 1 in self.silent:
            return
        self.labels.publish(array_to_message(np.full((16, 24), 3, np.uint8), "mono8", message.header))
        self.confidence.publish(array_to_message(np.full((16, 24), 255, np.uint8), "mono8", message.header))

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join(10)
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def stand_in_node():
    made: list[StandIn] = []

    def make(silent=frozenset(), kind: type = Image) -> StandIn:
        made.append(StandIn(set(silent), kind))
        return made[-1]

    yield make
    for node in made:
        node.close()


def play(bag: Path, answers: LiveAnswers, options: LiveOptions, **more):
    request = BagRequest(model="none", topic="/depth", label_topic="/labels", device="cpu")
    return play_live(request, str(bag), DEPTH, answers, options, (16, 24), bag.parent / "node.log", **more)


def test_a_running_node_is_found_and_its_answers_are_kept_and_timed(bag, stand_in_node, tmp_path):
    stand_in_node(silent={1, 3})
    with LiveAnswers(tmp_path / "answers") as answers:
        played = play(bag, answers, LiveOptions("robot/segmentation", rate=2.0, timeout_s=30))
        assert (played.node, played.own_node, played.published, played.answered) == ("/robot/segmentation", False, 6, 4)
        stamps = [START + number * STEP for number in (0, 2, 4, 5)]
        assert len(played.latencies_ms) == 4 and min(played.latencies_ms) > 0
        assert len(played.ages_ms) == 4 and min(played.ages_ms) > 0
        assert [answers.has(START + number * STEP) for number in range(6)] == [True, False, True, False, True, True]
        assert (answers.prediction(stamps[0]).labels == 3).all()
        assert (answers.prediction(stamps[0]).confidence == 1).all()
        assert "/robot/segmentation (sensor_msgs/msg/Image; reliable" in played.transport["/robot/camera/depth"]
        assert len(list(played.messages())) == 6


def test_a_silent_node_is_described(bag, stand_in_node, tmp_path):
    stand_in_node(silent=range(6))
    with LiveAnswers(tmp_path / "answers") as answers, pytest.raises(MadmError) as raised:
        play(bag, answers, LiveOptions("/robot/segmentation", rate=4.0, timeout_s=1.5))
    text = str(raised.value)
    assert "no labels came from the node /robot/segmentation" in text and "6 messages sent" in text
    assert "1 subscription(s)" in text and "/robot/segmentation/labels: 1 publisher(s)" in text and "reliable" in text


def test_a_node_that_is_not_there_or_listens_to_something_else(bag, stand_in_node, tmp_path):
    stand_in_node(kind=PointCloud2)
    with LiveAnswers(tmp_path / "answers") as answers:
        with pytest.raises(MadmError, match="there is no node /elsewhere/segmentation: got nodes: "):
            play(bag, answers, LiveOptions("/elsewhere/segmentation", find_timeout_s=0.3))
        with pytest.raises(MadmError, match="not a segmentation node that listens to sensor_msgs/msg/Image"):
            play(bag, answers, LiveOptions("/robot/segmentation", find_timeout_s=4))


def test_a_node_that_ends_is_noticed(bag, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with LiveAnswers(tmp_path / "answers") as answers, pytest.raises(MadmError, match="node ended: got exit code 1"):
        play(bag, answers, LiveOptions(timeout_s=20))


def test_playing_can_be_ended(bag, stand_in_node, tmp_path):
    stand_in_node()
    with LiveAnswers(tmp_path / "answers") as answers:
        played = play(bag, answers, LiveOptions("/robot/segmentation", timeout_s=30), stop=lambda: answers.count >= 2)
        assert played.interrupted and 2 <= played.answered < 6 and played.published < 6


def test_the_started_node_runs_the_model_as_it_runs_here():
    request = BagRequest(
        model="m", topic="/e", label_topic="/l", device="cpu", precision="fp32", resize="keep_aspect", base="a: b"
    )
    model = SimpleNamespace(modality=EventModality(max_wait_ms=500.0))
    given = _parameters(request, "sensor_msgs/msg/PointCloud2", model, LiveOptions(rate=0.5), (480, 640))
    assert given["device"] == "cpu" and given["precision"] == "fp32" and given["resize"] == "keep_aspect"
    assert given["modality_overrides"] == "max_wait_ms=1000" and given["event_height"] == "480"
    assert yaml.safe_load(given["base"]) == "a: b"
    own = dataclasses.replace(request, base=None)
    assert "base" not in _parameters(own, "sensor_msgs/msg/PointCloud2", model, LiveOptions(), (480, 640))
    with pytest.raises(InvalidInputError, match="above 0"):
        LiveOptions(rate=0)
