"""Which packets are missing, late, or from another run, by sequence number and stamp."""

from __future__ import annotations

from typing import Literal

STAMP_JUMP_NS = 100_000_000
"""A stamp further back than this is time starting over, as when a bag loops; a smaller step is a late packet."""

MAX_LOST = 1_000_000
"""A longer gap, over an hour of packets, is a number of another run or a damaged one."""


class PacketOrder:
    """Follows ``seq`` and the stamps of one stream."""

    def __init__(self) -> None:
        self._seq: int | None = None
        self._stamp_ns: int | None = None

    def judge(self, seq: int | None, stamp_ns: int) -> tuple[Literal["next", "old", "restart"], int]:
        """Tell what a packet is, and how many were lost before it.

        Returns:
            ``next``: newer than all before. ``old``: late or repeated, to be left out. ``restart``: from a run that
            began anew; nothing before it counts.
        """
        verdict: Literal["next", "old", "restart"] = "next"
        lost = 0
        if self._stamp_ns is not None:
            back = self._stamp_ns - stamp_ns
            ahead = None if seq is None or self._seq is None else seq - self._seq
            if back > STAMP_JUMP_NS or (ahead is not None and ahead < 0 and back < 0):
                verdict = "restart"
            elif back > 0 or (ahead is not None and ahead <= 0 and back == 0):
                return "old", 0
            elif ahead is not None:
                lost = max(ahead - 1, 0)  # a publisher that does not count leaves every number at 0
                if lost > MAX_LOST:
                    verdict, lost = "restart", 0
        self._seq, self._stamp_ns = seq, stamp_ns
        return verdict, lost
