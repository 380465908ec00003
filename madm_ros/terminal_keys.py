"""Single key presses from a terminal while something else runs."""

from __future__ import annotations

import select
import sys
import time
from types import TracebackType
from typing import Any

try:
    import termios
    import tty
except ImportError:  # Windows has no termios: keys are not read there
    termios = None  # type: ignore[assignment]


class TerminalKeys:
    """Reads keys as they are pressed when standard input is a terminal; otherwise there are none.

    A context manager: the terminal gets its settings back at the end.
    """

    def __init__(self) -> None:
        self.available = termios is not None and sys.stdin is not None and sys.stdin.isatty()
        self._settings: list[Any] | None = None

    def __enter__(self) -> TerminalKeys:
        if self.available:
            self._settings = termios.tcgetattr(sys.stdin.fileno())
            tty.setcbreak(sys.stdin.fileno())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settings is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._settings)
            self._settings = None

    def wait(self, seconds: float) -> str | None:
        """Waits up to ``seconds`` and returns the key that was pressed in that time, if any."""
        if not self.available:
            time.sleep(max(seconds, 0.0))
            return None
        ready, _, _ = select.select([sys.stdin], [], [], max(seconds, 0.0))
        return sys.stdin.read(1) if ready else None
