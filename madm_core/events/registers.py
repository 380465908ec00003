"""The integers that describe an accumulation under way, shared by its kernels."""

from __future__ import annotations

(
    T_START, DURATION, BINS, SEGMENT, SEGMENT_START, SEGMENT_STOP, REFERENCE, SINCE_FOLD, FOLD_AFTER, IN_WINDOW,
    OUT_OF_FRAME, OUT_OF_TIME, TICK_MASK, WIDTH, HEIGHT, EARLIEST, TURNS, FILLED, NARROW, SPILLED, TIME_BITS,
) = range(21)  # fmt: skip
"""Indices into the int64 registers of an accumulation.

T_START and DURATION are the window in ticks; SEGMENT_START and SEGMENT_STOP the first tick of the current segment and
the first beyond; REFERENCE the tick that distances count from; FOLD_AFTER how many events one pixel can take before
its 64 bits could overflow; TICK_MASK is 0 for a single bin, where time does not matter, else -1; EARLIEST the first
tick whose events are accepted; TURNS counts how often time went back to an earlier segment; FILLED is the first bin of
the grid that holds nothing of this window yet, nor do those after it; NARROW is the number of events that a 32-bit
word takes unchecked, or 0 where 64-bit words are used; SPILLED counts how often a 32-bit word was full since the last
fold; TIME_BITS is the share of the times in a 64-bit word. The others count events.
"""

REGISTERS = 21
