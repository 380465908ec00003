"""SIGTERM and Ctrl-C: finish the step, save, leave; while nothing has been learnt yet, leave at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """While active, remembers that SIGTERM or SIGINT came; a second Ctrl-C stops at once.

    Usable as a context manager; the previous handlers come back at its end.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Interruption:
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        # Neither logging nor print: the signal may have come in the middle of one of their own writes, and Python
        # refuses ("reentrant call") to start another on the same stream.
        message = f"\n{signal.Signals(number).name}: finishing this step, then saving (Ctrl-C again: stop at once)\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, message.encode())


class StopRequested(KeyboardInterrupt):
    """SIGTERM or Ctrl-C came while there was nothing to finish."""


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Inside, SIGTERM and Ctrl-C raise :class:`StopRequested`, so that whatever is half written is cleared away."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise StopRequested

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes and threads that start inside never see SIGTERM or SIGINT.

    A terminal's Ctrl-C and a batch system's SIGTERM go to the whole process group: workers that load data would die of
    it, and the step that is to be finished could not be. Signals to this process are delivered at the end of the block.
    """
    # Were it started inside, by the first worker, it would unblock the signals for whatever starts after it.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
