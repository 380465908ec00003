"""Waiting in a callback without holding up the executor. No ROS in here."""

from __future__ import annotations

import time
from collections.abc import Generator

_PAUSE_S = 0.005


class NextTurn:
    """Awaited in a callback: come back at the executor's next turn, without making it a busy loop."""

    def __await__(self) -> Generator[None, None, None]:
        time.sleep(_PAUSE_S)
        yield
