"""Waiting in a callback without holding up the executor. No ROS in here."""

from __future__ import annotations

from collections.abc import Generator


class NextTurn:
    """Awaited in a callback: come back at the executor's next turn.

    It takes no time. An executor that spins without a timeout resumes the callback and then sleeps until something is
    to be done, so that this is no busy loop; a pause in here would be one more for every message that arrives, since an
    executor takes one message of a topic in each of its turns.
    """

    def __await__(self) -> Generator[None, None, None]:
        yield
