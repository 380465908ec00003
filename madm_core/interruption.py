"""Ctrl-C and SIGTERM: a wish to come to a good end, the end of a node, or an exception with a clean exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
AFTER_STEP = "this step, then saving"
AFTER_FRAME = "this frame, then the report of what was scored"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM where it is heard: work was broken off.

    A class of its own, because CPython remembers a plain ``KeyboardInterrupt`` that passes through ``exec`` of a
    string, as every dataclass that is just being defined runs one: however well the exception is handled, ``python -m``
    then ends as if killed by SIGINT (``unhandled_keyboard_interrupt`` in pythonrun.c) and not with its exit code.
    """


def _handle_by(handler: Callable[[int, FrameType | None], None], *numbers: signal.Signals) -> dict[signal.Signals, Any]:
    """Sets a handler; returns those before. Only the main thread may: elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in numbers}


class Interruption:
    """While it is entered, the first SIGINT or SIGTERM sets :attr:`requested`; a second Ctrl-C raises.

    A second SIGTERM does not: batch systems repeat theirs. Usable in the main thread only; elsewhere entering it
    changes nothing. The previous handlers come back at its end.

    Args:
        ending: What is done before the end, for the line that answers the signal: :data:`AFTER_STEP` ...
        relayed: A launcher (``accelerate launch``, ``torchrun``) sends this process its own signals, several for one
            Ctrl-C: a second signal is no second wish, and none raises.
    """

    def __init__(self, ending: str, *, relayed: bool = False) -> None:
        self.requested = False
        self._ending = ending
        self._relayed = relayed
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether the work should end."""
        return self.requested

    def __enter__(self) -> Interruption:
        self._before = _handle_by(self._handle, *_SIGNALS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            if number == signal.SIGINT and not self._relayed:
                raise Interrupted
            return
        self.requested = True
        # Neither logging nor print: the signal may have come in the middle of one of their own writes, and Python
        # refuses ("reentrant call") to start another on the same stream.
        again = "" if self._relayed else " (Ctrl-C again: stop at once)"
        message = f"\n{signal.Signals(number).name}: finishing {self._ending}{again}\n"
        # Nobody may be there to read it: the same Ctrl-C ends a `tee` behind us. The work must not end with it.
        with suppress(OSError):
            os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, message.encode())


class EndingSignals:
    """SIGINT and SIGTERM as the normal ends of a process that would work for ever, such as a node.

    Inside, the first of them raises :class:`Interrupted` in the main thread, which ends the ``with`` block and nothing
    else. Whatever comes later is not heard, until the process is gone: ``launch`` sends its nodes the SIGINT that the
    terminal has sent them already, and what is given back at the end must not be interrupted by it.
    """

    def __init__(self) -> None:
        self.received = False
        """Whether a signal came; the exception for it may have been lost in a destructor."""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> EndingSignals:
        self._before = _handle_by(self._handle, *_SIGNALS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self.received else handler)
        return isinstance(error, Interrupted)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received = True
            raise Interrupted


@contextmanager
def raising_interrupted(*signals: signal.Signals) -> Iterator[None]:
    """Inside, these signals raise :class:`Interrupted`, so that whatever is half written is cleared away.

    Outside the main thread, and for signals that somebody handles or ignores already, nothing changes.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    nobody = (signal.SIG_DFL, signal.default_int_handler)
    before = _handle_by(stop, *(number for number in signals if signal.getsignal(number) in nobody))
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:  # else somebody inside has decided otherwise
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
