"""SIGTERM and Ctrl-C: finish the step, save, leave."""

from __future__ import annotations

import logging
import signal
from types import FrameType, TracebackType

logger = logging.getLogger(__name__)


class Interruption:
    """While active, remembers that SIGTERM or SIGINT came; a second Ctrl-C stops at once.

    Usable as a context manager; the previous handlers come back at its end.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Interruption:
        for number in (signal.SIGTERM, signal.SIGINT):
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
        logger.warning("%s: finishing this step, then saving", signal.Signals(number).name)
