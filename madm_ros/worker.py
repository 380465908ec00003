"""One thread that works on the newest frame, so that a slow network never makes a queue of old pictures.

A frame that is offered ends in exactly one of three ways: handled, dropped (with the reason) or failed. That is what
makes the node's counters add up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

FrameT = TypeVar("FrameT")


class FrameWorker(Generic[FrameT]):
    """Runs ``handle`` on offered frames in a thread of its own.

    Args:
        handle: Works on one frame, in the worker's thread.
        dropped: Told of each frame that will not be handled, and why: ``superseded`` (a newer frame took its place),
            ``queue_full`` or ``stopped``. Called from whichever thread noticed.
        failed: Told of a frame whose ``handle`` raised anything that the handler itself did not deal with, in the
            worker's thread. The worker goes on with the next frame.
        limit: Frames that may wait. 1 is a latest-frame slot: a new frame replaces the waiting one.
        name: Name of the thread, shown by debuggers and ``top -H``.
    """

    def __init__(
        self,
        handle: Callable[[FrameT], None],
        dropped: Callable[[FrameT, str], None],
        failed: Callable[[FrameT, BaseException], None],
        *,
        limit: int = 1,
        name: str = "segmentation",
    ) -> None:
        self._handle = handle
        self._dropped = dropped
        self._failed = failed
        self._limit = limit
        self._waiting: deque[FrameT] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._busy = False
        self._busy_since_s = 0.0
        self._restarts = 0
        self._name = name
        self._thread = self._new_thread()

    @property
    def pending(self) -> int:
        """Frames that wait or are being handled."""
        with self._changed:
            return len(self._waiting) + self._busy

    @property
    def busy_s(self) -> float:
        """For how long the frame in work has been there; 0 when there is none."""
        with self._changed:
            return time.monotonic() - self._busy_since_s if self._busy else 0.0

    @property
    def restarts(self) -> int:
        """How often a frame's failure or a lost thread made the worker start afresh."""
        return self._restarts

    def start(self) -> None:
        """Start the thread. A worker starts once."""
        self._thread.start()

    def offer(self, frame: FrameT) -> None:
        """Hand over a frame without waiting. The oldest waiting frame is dropped when there is no room."""
        outdated: tuple[FrameT, str] | None = None
        with self._changed:
            if self._stopping:
                outdated = (frame, "stopped")
            else:
                if len(self._waiting) >= self._limit:
                    outdated = (self._waiting.popleft(), "superseded" if self._limit == 1 else "queue_full")
                self._waiting.append(frame)
                self._changed.notify()
        if outdated is not None:
            self._dropped(*outdated)

    def ensure_alive(self) -> bool:
        """Start a new thread when the old one was lost. Returns whether that was necessary."""
        if self._stopping or self._thread.is_alive() or self._thread.ident is None:
            return False
        with self._changed:
            self._busy = False
            self._restarts += 1
        self._thread = self._new_thread()
        self._thread.start()
        return True

    def stop(self, timeout_s: float = 30.0) -> bool:
        """Drop what waits, finish the frame in work and end the thread.

        Returns:
            False when the frame in work did not end within ``timeout_s``; the thread then ends with the process.
        """
        with self._changed:
            self._stopping = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for frame in left:
            self._dropped(frame, "stopped")
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _new_thread(self) -> threading.Thread:
        # A daemon, so that a network call that never returns cannot keep the process from ending.
        return threading.Thread(target=self._run, name=self._name, daemon=True)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                frame = self._waiting.popleft()
                self._busy, self._busy_since_s = True, time.monotonic()
            try:
                self._handle(frame)
            except BaseException as error:  # the thread must outlive whatever a frame does to it
                self._restarts += 1
                self._failed(frame, error)
            finally:
                with self._changed:
                    self._busy = False
