"""What the tests of the node share: a ROS context of their own, a stand-in for the network, and a quick spin."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from madm_core.labels import IGNORE, LabelSet
from madm_core.modalities import DepthModality, EncodedImage, Modality
from madm_core.modalities.input_statistics import InputStatistics
from madm_ros.frame_statistics import FrameStatistics
from madm_ros.image_conversion import array_to_message
from madm_ros.inputs import Frame, ImageInput
from madm_ros.node_parameters import IMAGE
from madm_ros.qos import input_qos
from madm_ros.segmentation_node import SegmentationNode
from madm_ros.throttled_log import ThrottledLog


@dataclass
class StandInSegmenter:
    """Has the interface of ``Segmenter``; a pixel's label is its brightness in eleven steps.

    Args:
        delay_s: How long one image takes.
        failures: Exceptions to raise, one an image, before it works.
        gate: While this event is set, images wait.
    """

    modality: Modality = field(default_factory=DepthModality)
    label_set: LabelSet = field(default_factory=lambda: LabelSet.named("madm11"))
    delay_s: float = 0.0
    failures: list[BaseException] = field(default_factory=list)
    gate: threading.Event | None = None
    name: str = "stand-in"
    device: str = "cpu"
    precision: str = "fp32"
    problem: str = ""
    input_statistics: InputStatistics | None = None
    seen: list[EncodedImage] = field(default_factory=list)

    @property
    def description(self) -> str:
        return f"{self.name}: {self.modality.name} on {self.device}"

    def warm_up(self) -> float:
        return 0.0

    def segment(self, image: EncodedImage) -> Any:
        self.seen.append(image)
        if self.gate is not None:
            self.gate.wait(10.0)
        time.sleep(self.delay_s)
        if self.failures:
            raise self.failures.pop(0)
        labels = np.minimum(image.image[:, :, 0] * len(self.label_set), len(self.label_set) - 1).astype(np.uint8)
        confidence = np.full(labels.shape, 0.75, np.float32)
        if image.valid is not None:
            labels[~image.valid] = IGNORE
            confidence[~image.valid] = 0.0
        return SimpleNamespace(labels=labels, confidence=confidence)


@pytest.fixture
def stand_in() -> type[StandInSegmenter]:
    return StandInSegmenter


@pytest.fixture
def in_turn() -> Callable[..., Callable[[Any], Any]]:
    """Makes a loader that returns these segmenters and raises these exceptions, one a call."""

    def make(*outcomes: Any) -> Callable[[Any], Any]:
        left = list(outcomes)

        def load(values: Any) -> Any:
            outcome = left.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return load

    return make


@pytest.fixture
def context() -> Iterator[Context]:
    """A ROS context of this test alone."""
    own = Context()
    own.init()
    yield own
    own.try_shutdown()


@dataclass
class World:
    """Some nodes on one executor, spun by the test itself."""

    executor: SingleThreadedExecutor
    context: Context
    nodes: list[Node] = field(default_factory=list)

    def add(self, node: Node) -> Node:
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def node(self, name: str = "tester", **arguments: Any) -> Node:
        return self.add(Node(name, context=self.context, **arguments))

    def spin_until(self, done: Callable[[], Any], timeout_s: float = 10.0) -> None:
        """Spin until ``done()`` is true; fails the test when it never is."""
        end = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < end, "what was waited for did not happen"
            self.executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, node: Node, service_type: Any, name: str, request: Any) -> Any:
        """Call a service of a node on this very executor."""
        client = node.create_client(service_type, name)
        self.spin_until(client.service_is_ready)
        future = client.call_async(request)
        self.spin_until(future.done)
        node.destroy_client(client)
        return future.result()


@pytest.fixture
def world(context: Context) -> Iterator[World]:
    executor = SingleThreadedExecutor(context=context)
    made = World(executor, context)
    yield made
    for node in made.nodes:
        executor.remove_node(node)
        node.destroy_node()
    executor.shutdown()


class Bench:
    """A node with a network of the test's own, a publisher before it and ears behind it."""

    def __init__(self, world, load: Callable, **parameters) -> None:
        self.world = world
        overrides = [Parameter(name, value=value) for name, value in {"model": "here", **parameters}.items()]
        self.node: SegmentationNode = world.add(
            SegmentationNode(load=load, context=world.context, parameter_overrides=overrides)
        )
        self.tester = world.node()
        self.labels: list[Image] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.tester.create_subscription(Image, "segmentation/labels", self.labels.append, 100)
        self.tester.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        self.publisher = self.tester.create_publisher(Image, "image", 100)
        self.sent = 0

    def connect(self) -> None:
        self.world.spin_until(lambda: self.publisher.get_subscription_count() > 0)
        results = self.node._results
        self.world.spin_until(lambda: results._labels.get_subscription_count() > 0)

    def send(self, pixels: np.ndarray | None = None, encoding: str = "16UC1", stamp_s: float | None = None) -> Header:
        self.sent += 1
        seconds = 1000.0 + self.sent * 0.1 if stamp_s is None else stamp_s
        header = Header(frame_id=f"frame_{self.sent}")
        header.stamp.sec, header.stamp.nanosec = int(seconds), int(seconds % 1 * 1e9)
        frame = np.full((4, 6), 2000, np.uint16) if pixels is None else pixels
        self.publisher.publish(array_to_message(frame, encoding, header))
        return header

    def settle(self, frames: int) -> None:
        """Spin until all of so many received frames have ended."""
        statistics = self.node.statistics
        self.world.spin_until(lambda: statistics.counts.received >= frames and statistics.counts.pending == 0)

    def status(self, name: str) -> tuple[bytes, str, dict[str, str]]:
        """Level, message and values of the next status of that name."""
        known = len(self.diagnostics)
        self.world.spin_until(lambda: len(self.diagnostics) > known)
        found = next(s for s in self.diagnostics[-1].status if s.name == f"segmentation: {name}")
        return found.level, found.message, {value.key: value.value for value in found.values}

    def change_state(self, transition_id: int, label: str = "") -> bool:
        request = ChangeState.Request(transition=Transition(id=transition_id, label=label))
        return self.world.call(self.tester, ChangeState, "segmentation/change_state", request).success

    def reload(self):
        return self.world.call(self.tester, Trigger, "segmentation/reload_model", Trigger.Request())


@pytest.fixture
def make_bench(world) -> Callable[..., Bench]:
    """Makes a node that is not configured yet: ``make_bench(load, PARAMETER=value)``."""
    return lambda load, **parameters: Bench(world, load, **parameters)


@pytest.fixture
def bench(make_bench, stand_in) -> Callable[..., Bench]:
    """Makes a node at work, with the given segmenter or a stand-in."""

    def make(segmenter: Any = None, **parameters: Any) -> Bench:
        network = segmenter or stand_in()
        made = make_bench(lambda values: network, diagnostics_period_s=0.1, **parameters)
        assert made.node.autostart()
        made.connect()
        return made

    return make


class Receiver:
    """An image input in the namespace /robot with everything that it hands out."""

    def __init__(self, world, type_name: str = IMAGE, reliability: str = "best_effort") -> None:
        self.node = world.node("receiver", namespace="/robot")
        self.frames: list[Frame] = []
        self.warnings: list[str] = []
        self.statistics = FrameStatistics()
        self.input = ImageInput(
            self.node,
            "image",
            type_name,
            input_qos(reliability, 1),
            offer=self.frames.append,
            statistics=self.statistics,
            warn=ThrottledLog(self.warnings.append, lambda: 60.0),
            time_jump_s=lambda: 0.5,
        )


@pytest.fixture
def image_receiver(world) -> Callable[..., Receiver]:
    """Makes an image input: ``image_receiver(type_name, reliability)``."""
    return lambda *arguments, **named: Receiver(world, *arguments, **named)


@pytest.fixture(scope="session")
def exported_model(tmp_path_factory):
    """A depth model of 16x24 pixels whose network, two convolutions, was exported as ONNX."""
    import torch
    from torch import nn

    from madm_core.export.exporting import ExportOptions, export_model
    from madm_core.model.network import Deployment
    from madm_core.model_directory import LoadedModel

    class Small:
        classes, fixed_size, parameter_count = 11, False, 0

        def deploy(self, device: str, precision: str) -> Deployment:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 11, 1))
            return Deployment(layers.eval().requires_grad_(False), torch.device("cpu"), "fp32")

    model = LoadedModel(Small(), DepthModality(), LabelSet.named("madm11"), (16, 24), "segformer", {})
    output = tmp_path_factory.mktemp("exported") / "depth-onnx"
    export_model(model, output, ExportOptions("onnx"))
    return output
