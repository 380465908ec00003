"""Single key presses from a terminal while something else runs."""

from __future__ import annotations

import os
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


def keys_reach_us() -> bool:
    """Whether standard input is a terminal whose keys are for this process: not for one in a shell's background.

    The system stops a process that reads from there, or changes the settings, out of turn.
    """
    if termios is None or sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # not the terminal of our shell, and so nobody's turn
        return True


class TerminalKeys:
    """Reads keys as they are pressed when :func:`keys_reach_us`; otherwise there are none.

    A context manager: the terminal gets its settings back at the end. What begins in the background stays without keys.
    """

    def __init__(self) -> None:
        self._settings: list[Any] | None = None

    def __enter__(self) -> TerminalKeys:
        if keys_reach_us():
            self._settings = termios.tcgetattr(sys.stdin.fileno())
            tty.setcbreak(sys.stdin.fileno())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A shell that has taken its terminal back has its own settings on it.
        if self._settings is not None and keys_reach_us():
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._settings)
        self._settings = None

    def wait(self, seconds: float) -> str | None:
        """Waits up to ``seconds`` and returns the key that was pressed in that time, if any."""
        if self._settings is None or not keys_reach_us():
            time.sleep(max(seconds, 0.0))
            return None
        ready, _, _ = select.select([sys.stdin], [], [], max(seconds, 0.0))
        # Not from sys.stdin: its buffer would keep the keys that were pressed since, and select would not see them.
        return os.read(sys.stdin.fileno(), 1).decode(errors="replace") if ready else None
