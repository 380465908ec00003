"""Ctrl-C and SIGTERM as a wish to come to an end, not as an exception somewhere in the middle of a frame."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While it is entered, the first SIGINT or SIGTERM sets :attr:`requested`; the second one raises.

    Usable in the main thread only; elsewhere entering it changes nothing.

    Args:
        relayed: A launcher (``accelerate launch``, ``torchrun``) sends this process its own signals, several for one
            Ctrl-C: a second signal is no second wish, and none raises.
    """

    def __init__(self, *, relayed: bool = False) -> None:
        self.requested = False
        self._relayed = relayed
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether the work should end."""
        return self.requested

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and not self._relayed:
            raise KeyboardInterrupt
        if not self.requested:
            # Neither logging nor print: the signal may have come in the middle of one of their own writes.
            text = f"\n{signal.Signals(number).name}: finishing this frame, then the report of what was scored\n"
            os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, text.encode())
        self.requested = True
