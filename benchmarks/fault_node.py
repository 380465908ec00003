"""A node in a process of its own for the scenarios of faults.py, and what must hold in all of them."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from numbered import Rig, start_node

HERE = Path(__file__).resolve().with_name("faults.py")
"""The program whose hidden options make the other processes."""
RELIABLE = ("-p", "queue_policy:=every", "-p", "input_reliability:=reliable", "-p", "queue_limit:=1000")


class Broken(Exception):
    """Something that must hold does not."""


def require(holds: object, what: str) -> None:
    """Raise :class:`Broken` unless it holds."""
    if not holds:
        raise Broken(what)


@dataclass
class Node:
    """A node's process and the rig that talks to it."""

    process: subprocess.Popen[bytes]
    rig: Rig
    log: Path
    expect_traces: bool = False

    def check(self) -> str:
        """What must hold in every scenario; returns the counts in words."""
        require(self.process.poll() is None, f"the node ended with {self.process.poll()}: {self.tail()}")
        counts = self.rig.counts()
        received = counts["frames_received"]
        ends = [counts[f"frames_{end}"] for end in ("published", "dropped", "rejected")]
        require(received == sum(ends), f"{received} received, but {ends} published, dropped, rejected")
        self.rig.until(lambda: len(self.rig.labels) >= ends[0], 5.0)
        require(not self.rig.untrue(), f"labels under another picture's stamp: {self.rig.untrue()[:3]}")
        require(self.rig.values["callback_errors"] == "0", "an exception left a callback")
        require("Traceback" not in self.log.read_text(errors="replace") or self.expect_traces, self.tail())
        return f"{received} received = {ends[0]} published + {ends[1]} dropped + {ends[2]} rejected"

    def tail(self) -> str:
        """The end of the node's output."""
        return self.log.read_text(errors="replace")[-600:]

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Signal the process and wait; exit code and seconds."""
        began = time.monotonic()
        self.process.send_signal(with_signal)
        return self.process.wait(40), time.monotonic() - began


@contextmanager
def node(
    *arguments: str,
    delay_s: float = 0.0,
    load_s: float = 0.0,
    rig: Rig | None = None,
    output: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
) -> Iterator[Node]:
    """A node that is connected to a rig; both end with the block. ``output`` takes the place of its log."""
    own = rig or Rig()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        stream = output or log.open("wb")
        log.touch()
        options = ["--delay", str(delay_s), "--load", str(load_s), *arguments]
        process = start_node(options, script=HERE, log=stream, environment=environment, before=before)
        made = Node(process, own, log)
        try:
            require(own.connect(), f"the node did not start: {made.tail()}")
            yield made
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if rig is None:
                own.close()
