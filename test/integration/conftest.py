"""What the integration tests share: tiny models, nodes in processes of their own, and an observer of topics."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# Frames of these tests are larger than Fast DDS's default shared memory.
os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(REPOSITORY / "config" / "fastdds_shared_memory.xml"))


@pytest.fixture(scope="session")
def source_copy(tmp_path_factory) -> Path:
    """The files that a build needs, without tests: builds leave folders where they run."""
    folder = tmp_path_factory.mktemp("sources") / "madm_ros"
    ignored = shutil.ignore_patterns(
        ".*", "build", "install", "log", "dist", "runs", "out", "__pycache__", "test", "*.egg-info"
    )
    shutil.copytree(REPOSITORY, folder, ignore=ignored)
    return folder


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory) -> dict[str, Path]:
    """Model directories of the real architecture, very small and untrained, by modality."""
    import torch

    from madm_core.labels import LabelSet
    from madm_core.modalities import modality_named
    from madm_core.model.madm import MadmArchitecture, MadmNetwork
    from madm_core.model.stable_diffusion import load_base
    from madm_core.model.tiny_base import write_tiny_base
    from madm_core.model_directory import save_model_directory

    root = tmp_path_factory.mktemp("models")
    label_set = LabelSet.named("madm11")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = load_base(write_tiny_base(root / "base"))
        network = MadmNetwork.from_base(base, MadmArchitecture.tiny(len(label_set)), (64, 64))
    parameters: dict[str, dict[str, Any]] = {"depth": {}, "thermal": {}, "event": {"window_ms": 50.0}}
    return {
        name: save_model_directory(
            root / name, network, modality=modality_named(name, values), label_set=label_set, image_size=(64, 64)
        )
        for name, values in parameters.items()
    }


@pytest.fixture
def move_base(tiny_models, tmp_path) -> Callable[[str], tuple[Path, Path]]:
    """Makes the model of a modality that refers to a base which has been moved; returns the model and the base."""
    from madm_core.model_directory import load_model_directory, save_model_directory

    def make(modality: str) -> tuple[Path, Path]:
        base = Path(shutil.copytree(tiny_models[modality].parent / "base", tmp_path / "base"))
        loaded = load_model_directory(tiny_models[modality])
        model = save_model_directory(
            tmp_path / "referring", loaded.network, modality=loaded.modality, label_set=loaded.label_set,
            image_size=loaded.image_size, base_reference=base,
        )  # fmt: skip
        return model, base.rename(tmp_path / "a base: moved")

    return make


@dataclass
class Process:
    """A command of this package in a process of its own; its output is kept in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, timeout_s: float = 60.0) -> None:
        """Wait until the output contains ``text``."""
        end = time.monotonic() + timeout_s
        while text not in self.output:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output}"
            assert time.monotonic() < end, f"never said {text!r}:\n{self.output}"
            time.sleep(0.05)

    def end(self, with_signal: signal.Signals | None = None, timeout_s: float = 30.0) -> int:
        """Send the signal, if any, wait for the end and return the exit code.

        A process that does not end tells where its threads are: SIGABRT makes ``faulthandler`` write their traces.
        """
        if with_signal is not None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10.0)
            pytest.fail(f"still at work {timeout_s:g} s after {with_signal!r}:\n{self.output}")


@contextmanager
def starter(folder: Path) -> Iterator[Callable[..., Process]]:
    """Starts ``python -m madm_ros.commands.NAME`` in ``folder``; whatever still runs at the end is killed."""
    running: list[Process] = []

    def begin(command: str, *arguments: str, environment: dict[str, str] | None = None) -> Process:
        log = folder / f"{len(running)}_{command}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", f"madm_ros.commands.{command}", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONFAULTHANDLER": "1",
                    "OMP_NUM_THREADS": "1",
                    **(environment or {}),
                },
            )
        running.append(Process(process, log))
        return running[-1]

    try:
        yield begin
    finally:
        for started in running:
            if started.process.poll() is None:
                started.process.kill()
                started.process.wait()


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Process]]:
    """Starts processes that end with the test; see :func:`starter`."""
    with starter(tmp_path) as begin:
        yield begin


@pytest.fixture(scope="module")
def start_for_module(tmp_path_factory) -> Iterator[Callable[..., Process]]:
    """Starts processes that the tests of a module share; see :func:`starter`."""
    with starter(tmp_path_factory.mktemp("processes")) as begin:
        yield begin


@dataclass
class Observer:
    """A node that sends to and listens to the segmentation node, spun by the test itself."""

    node: Any
    executor: Any
    received: dict[str, list[Any]] = field(default_factory=dict)
    known_diagnostics: int = 0

    def listen(self, topic: str, kind: Any, qos: Any = 1000) -> list[Any]:
        messages = self.received.setdefault(topic, [])
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def spin_until(self, done: Callable[[], Any], timeout_s: float = 30.0, what: str = "what was waited for") -> None:
        end = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < end, f"{what} did not happen within {timeout_s} s"
            self.executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = 60.0) -> Any:
        client = self.node.create_client(kind, name)
        self.spin_until(client.service_is_ready, what=f"service {name}")
        future = client.call_async(request)
        self.spin_until(future.done, timeout_s, what=f"an answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def status(self, name: str, condition: Callable[[Any, dict[str, str]], bool] = lambda status, values: True) -> Any:
        """The next diagnostic status of that name for which ``condition(status, values)`` holds, with its values."""
        arrays = self.received["/diagnostics"]
        found: list[Any] = []

        def look() -> bool:
            while self.known_diagnostics < len(arrays):
                array = arrays[self.known_diagnostics]
                self.known_diagnostics += 1
                for status in array.status:
                    values = {item.key: item.value for item in status.values}
                    if status.name == f"segmentation: {name}" and condition(status, values):
                        found.append((status, values))
            return bool(found)

        self.known_diagnostics = len(arrays)
        self.spin_until(look, what=f"the awaited diagnostics of {name}")
        return found[0]


@pytest.fixture
def observer() -> Iterator[Observer]:
    """An observer in a ROS context of its own that already listens to ``/diagnostics`` and ``segmentation/labels``."""
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from sensor_msgs.msg import Image

    context = Context()
    context.init()
    node = Node("observer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    made = Observer(node, executor)
    made.listen("/diagnostics", DiagnosticArray)
    made.listen("segmentation/labels", Image)
    yield made
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()
