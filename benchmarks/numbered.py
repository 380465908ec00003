"""A stream whose pictures hold their own number, a network that reads it back, and a node to send it through.

Whoever receives a label image can tell which picture it was made from and by which model, whatever its header says.
Shared by faults.py, endurance.py and the tests.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from processes import node_command

BASE = 250
"""The number's digits are pixel values; 255 is no label."""
DIGITS, COMMAND, MODEL = slice(0, 4), 4, 5
"""Columns of the first row: the number, what the network shall do, and (in labels) which model it was."""
FAIL, EXIT, HANG = 99, 98, 97
"""Commands: raise RuntimeError, raise SystemExit, take two seconds."""
SIZE = (4, 8)
STAMPS = ("-p", "max_clock_skew_s:=0.0")
"""Stamps are numbers here: by the clock all of them would be wrong."""


def picture(number: int, size: tuple[int, int] = SIZE, command: int = 0) -> np.ndarray:
    """(H, W) uint8 that holds its number."""
    pixels = np.zeros(size, np.uint8)
    pixels[0, DIGITS] = [number // BASE**i % BASE for i in range(4)]
    pixels[0, COMMAND] = command
    return pixels


def number_of(labels: np.ndarray) -> int:
    """The number in a label image."""
    return sum(int(digit) * BASE**i for i, digit in enumerate(labels[0, DIGITS]))


@dataclass
class NumberedNetwork:
    """Returns the picture as labels, and in them which model it is: each one made is the next."""

    delay_s: float = 0.0
    modality: Any = None
    label_set: Any = None
    device: str = "none"
    precision: str = "none"
    problem: str = ""
    input_statistics: Any = None
    made: int = 0

    @property
    def description(self) -> str:
        """One line for diagnostics."""
        return f"numbered model {self.made}"

    def warm_up(self) -> float:
        """Nothing to do."""
        return 0.0

    def segment(self, encoded: Any) -> SimpleNamespace:
        """Labels are the picture's grey values."""
        labels = np.round(encoded.image[:, :, 0] * 255).astype(np.uint8)
        command = labels[0, COMMAND] if labels.shape[1] > MODEL else 0
        if self.delay_s:
            time.sleep(self.delay_s)
        if command == FAIL:
            raise RuntimeError("told to fail")
        if command == EXIT:
            raise SystemExit("told to exit")
        if command == HANG:
            time.sleep(2.0)
        if labels.shape[1] > MODEL:
            labels[0, MODEL] = self.made
        return SimpleNamespace(labels=labels, confidence=np.full(labels.shape, 0.5, np.float32))


def loader(delay_s: float = 0.0, load_s: float = 0.0, modality: str = "thermal") -> Callable[[Any], NumberedNetwork]:
    """For ``SegmentationNode(load=...)``: every call makes the next model. Only thermal ones read numbers."""
    from madm_core.labels import LabelSet
    from madm_core.modalities import modality_named

    made = 0

    def load(parameters: Any) -> NumberedNetwork:
        nonlocal made
        if made:
            time.sleep(load_s)
        made += 1
        if parameters.model == "missing":
            from madm_core.errors import ModelDirectoryError

            raise ModelDirectoryError("there is no model", got="missing")
        return NumberedNetwork(delay_s, modality_named(modality), LabelSet.named("madm11"), made=made)

    return load


def serve(arguments: Sequence[str], delay_s: float = 0.0, load_s: float = 0.0, modality: str = "thermal") -> int:
    """The node's process, with ROS arguments; its memory and its end are those of the command ``segment``."""
    from madm_ros.node_run import run_node
    from madm_ros.process_memory import settle_memory
    from madm_ros.segmentation_node import SegmentationNode

    words = ["--ros-args", "-p", "model:=numbered", "-p", "diagnostics_period_s:=0.2", *STAMPS, *arguments]
    run_node(words, lambda: SegmentationNode(load=loader(delay_s, load_s, modality), after_load=settle_memory))
    return 0


def start_node(
    arguments: Sequence[str] = (),
    *,
    script: Path,
    log: Any = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
) -> subprocess.Popen[bytes]:
    """A process of ``script --serve`` with ROS arguments; ``before`` is called in it first."""
    command = node_command(script, "--serve", *arguments)
    return subprocess.Popen(
        command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, preexec_fn=before
    )


@dataclass(frozen=True)
class Label:
    """A received label image: its header, what it says it was made from, by which model, and its size."""

    stamp: tuple[int, int]
    frame_id: str
    number: int
    model: int
    size: tuple[int, int]
    at_s: float


@dataclass
class Rig:
    """Sends numbered pictures, keeps the labels that come back and the node's diagnostics.

    The caller spins it; times are ``time.monotonic``.
    """

    name: str = "rig"
    reliability: str = "reliable"
    sent: dict[tuple[int, int], int] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    reports: int = 0
    next_number: int = 1
    clients: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from sensor_msgs.msg import Image

        from madm_ros.qos import input_qos

        self.context = Context()
        self.context.init()
        self.node = Node(self.name, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.publisher = self.node.create_publisher(Image, "image", input_qos(self.reliability, 1000))
        self.node.create_subscription(Image, "segmentation/labels", self._on_labels, 1000)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)

    def close(self) -> None:
        """Leave the graph."""
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def send(self, number: int | None = None, *, stamp_ns: int | None = None, encoding: str = "mono8",
             size: tuple[int, int] = SIZE, command: int = 0, frame_id: str | None = None) -> int:  # fmt: skip
        """Publish the picture of ``number``, by default the next; its stamp is its number in milliseconds."""
        from std_msgs.msg import Header

        from madm_ros.image_conversion import array_to_message

        if number is None:
            number = self.next_number
            self.next_number += 1
        stamp_ns = 10**12 + number * 10**6 if stamp_ns is None else stamp_ns
        header = Header(frame_id=f"camera_{number}" if frame_id is None else frame_id)
        header.stamp.sec, header.stamp.nanosec = stamp_ns // 10**9, stamp_ns % 10**9
        pixels = picture(number, size, command)
        if encoding in ("rgb8", "bgr8"):
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        message = array_to_message(pixels, "mono8" if encoding == "nonsense" else encoding, header)
        message.encoding = encoding
        self.publisher.publish(message)
        self.sent[header.stamp.sec, header.stamp.nanosec] = number
        return number

    def spin(self, seconds: float) -> None:
        """Spin for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=max(0.0, min(0.02, end - time.monotonic())))

    def until(self, done: Callable[[], Any], timeout_s: float = 30.0) -> float:
        """Spin until ``done()``; returns how long that took, infinity if it never was."""
        began = time.monotonic()
        while not done():
            if time.monotonic() - began > timeout_s:
                return float("inf")
            self.executor.spin_once(timeout_sec=0.02)
        return time.monotonic() - began

    def stream(self, seconds: float, rate_hz: float, size: tuple[int, int] = SIZE) -> int:
        """Send at a rate while spinning; returns how many."""
        began, count = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            if now >= began + count / rate_hz:
                self.send(size=size)
                count += 1
            self.executor.spin_once(timeout_sec=max(0.0, min(0.02, began + count / rate_hz - time.monotonic())))
        return count

    def connect(self, timeout_s: float = 60.0) -> bool:
        """Wait until the node subscribes to the pictures and offers labels."""
        ready = lambda: self.publisher.get_subscription_count() and self.node.count_publishers("segmentation/labels")  # noqa: E731
        return self.until(ready, timeout_s) < timeout_s and self.until(self._fresh_report(1), 40.0) < 40.0

    def counts(self) -> dict[str, int]:
        """The node's frame counters once no frame is pending any more, from fresh diagnostics."""
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline:
            self.until(self._fresh_report(2), 10.0)
            if self.values.get("frames_pending") == "0":
                break
        return {
            key: int(value)
            for key, value in self.values.items()
            if key.startswith(("frames_", "dropped_", "rejected_"))
        }

    def untrue(self) -> list[Label]:
        """Labels under the stamp of another picture."""
        return [label for label in self.labels if self.sent.get(label.stamp) != label.number]

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = 30.0) -> Any:
        """A service's answer; None when there is none in time."""
        if name not in self.clients:
            self.clients[name] = self.node.create_client(kind, name)
        client = self.clients[name]
        for _ in range(2):  # DDS may lose the first answer, before the server knows of this client's reader
            if self.until(client.service_is_ready, timeout_s) == float("inf"):
                return None
            future = client.call_async(request)
            if self.until(future.done, timeout_s) < float("inf"):
                return future.result()
        return None

    def _fresh_report(self, reports: int) -> Callable[[], bool]:
        known = self.reports
        return lambda: self.reports >= known + reports

    def _on_labels(self, message: Any) -> None:
        pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)
        stamp = message.header.stamp
        number, model = (number_of(pixels), int(pixels[0, MODEL])) if message.width > MODEL else (-1, -1)
        size = message.height, message.width
        self.labels.append(
            Label((stamp.sec, stamp.nanosec), message.header.frame_id, number, model, size, time.monotonic())
        )

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            kind = status.name.rpartition(": ")[2]
            self.messages[kind], self.levels[kind] = status.message, status.level[0]
            self.values.update({item.key: item.value for item in status.values})
        self.reports += 1
