"""The segmentation node as a process of its own, for a command that needs one for a while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import torch

from madm_core.errors import WorkError
from madm_ros.shared_memory import PROFILE_VARIABLES

PROFILE = "fastdds_shared_memory.xml"
_LAST_LINES = 15


def use_large_message_profile() -> None:
    """Gives Fast DDS the profile for large messages, in this process and those it starts, unless one is set.

    It has to be called before a ROS context is made.
    """
    if any(variable in os.environ for variable in PROFILE_VARIABLES):
        return
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    folders = [Path(prefix) / "share" / "madm_ros" / "config" for prefix in prefixes]
    for folder in (*folders, Path(__file__).resolve().parents[1] / "config"):
        if (folder / PROFILE).is_file():
            for variable in PROFILE_VARIABLES:
                os.environ[variable] = str(folder / PROFILE)
            return


class NodeProcess:
    """``segment`` in a process of its own, ended with the context.

    Args:
        model: Model directory or hub id.
        topic: What it listens to.
        namespace: Of the node, beginning with ``/``.
        parameters: Name -> value as YAML.
        log: File for what it says.
    """

    def __init__(self, model: str, topic: str, namespace: str, parameters: Mapping[str, str], log: Path) -> None:
        self.name = f"{namespace}/segmentation"
        self.log = log
        self._command: Sequence[str] = [
            sys.executable, "-m", "madm_ros.commands.segment", "--model", model, "--input", topic,
            "--ros-args", "-r", f"__ns:={namespace}",
            *(word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NodeProcess:
        # As many threads as here: sums in another order could round a tie between two classes differently.
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(torch.get_num_threads())}
        with self.log.open("wb") as output:
            # In a session of its own: Ctrl-C is for the command, which ends the node when it no longer needs it.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=environment, start_new_session=True,
            )  # fmt: skip
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "used as a context manager"
        return self._process.pid

    def require_alive(self) -> None:
        """Raises WorkError with the node's last words when it has ended."""
        assert self._process is not None, "used as a context manager"
        code = self._process.poll()
        if code is not None:
            raise WorkError(
                "the segmentation node ended", got=f"exit code {code} after: {self.last_words()}", do=f"see {self.log}"
            )

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-_LAST_LINES:]) or "nothing"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None, "used as a context manager"
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
