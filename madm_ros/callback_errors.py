"""Exceptions that should not have been: counted, logged with their traceback, told in diagnostics. No ROS in here."""

from __future__ import annotations

import traceback
from collections.abc import Callable


class CallbackErrors:
    """Of a node that goes on after them.

    Args:
        warn: Takes a kind and a text, as :class:`~madm_ros.throttled_log.ThrottledLog` does.
    """

    def __init__(self, warn: Callable[[str, str], object]) -> None:
        self._warn = warn
        self.count = 0
        """Since the node began."""
        self.latest = ""
        """One line about the last one."""

    def note(self, where: str, error: Exception) -> None:
        """Count and log ``error``, from inside the ``except`` that caught it.

        Args:
            where: What failed: ``a callback``. At most one line in the log for each in a while.
            error: The exception.
        """
        self.count += 1
        self.latest = f"internal error in {where}: {type(error).__name__}: {error}"
        self._warn(where, f"{self.latest}; the node goes on\n{traceback.format_exc()}")
