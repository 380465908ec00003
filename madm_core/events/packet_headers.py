"""Which message a window belongs to."""

from __future__ import annotations

from collections import deque
from typing import Any

from madm_core.events.windows import WindowSpan


class PacketHeaders:
    """Remembers the headers of the packets that open windows may contain events of."""

    def __init__(self) -> None:
        self.newest: Any = None
        """Header of the last packet, with or without events."""
        self._contributors: deque[tuple[int, Any]] = deque()

    def add(self, first_tick: int, header: Any) -> None:
        """Note that a packet's events start at ``first_tick``."""
        self._contributors.append((first_tick, header))

    def clear(self) -> None:
        """Forget the packets before."""
        self._contributors.clear()

    def of(self, span: WindowSpan) -> Any:
        """Return the header of the last packet that contributed to a window; of the newest packet if it is empty.

        Windows are asked for in the order of their ends.
        """
        last = span.t_end if span.until_last else span.t_end - 1
        while len(self._contributors) > 1 and self._contributors[1][0] <= last:
            self._contributors.popleft()
        if span.events and self._contributors and self._contributors[0][0] <= last:
            return self._contributors[0][1]
        return self.newest
