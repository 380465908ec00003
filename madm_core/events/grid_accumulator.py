"""One voxel grid after another from events that arrive in pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events import accumulation, folding, registers, segments
from madm_core.events.event_array import read_only
from madm_core.events.grid_memory import new_sums, recycled_grid
from madm_core.events.packed_sums import EMPTY
from madm_core.events.pixel_map import PixelMap

NO_MAP = np.empty(0, np.int32)


class GridAccumulator:
    """Accumulates windows of events into voxel grids, reusing its memory.

    The grid's definition is that of :func:`madm_core.events.voxel_grid.voxel_grid`.

    Args:
        bins: Time bins.
        height: Sensor height in pixels.
        width: Sensor width in pixels.
        pixel_map: Where each sensor pixel goes; None for the identity. Its size is the grid's.
    """

    def __init__(self, bins: int, height: int, width: int, pixel_map: PixelMap | None = None) -> None:
        self.bins = bins
        self.height = height
        self.width = width
        self.shape = pixel_map.shape if pixel_map else (height, width)
        self._pixels = self.shape[0] * self.shape[1]
        self.registers = np.zeros(registers.REGISTERS, np.int64)
        self.lookup = pixel_map.lookup if pixel_map else NO_MAP
        self.sums, self.wide = new_sums(self._pixels)
        self.grid = recycled_grid(self.bins, self._pixels)
        """(bins, pixels) float32 being accumulated, of which FILLED bins are valid; see the module registers."""

    def begin(self, t_start: int, t_end: int) -> bool:
        """Start the window [t_start, t_end) in ticks, dropping earlier events.

        Returns:
            False when the window is too long for exact integer sums, and events must not be added.
        """
        self.discard()
        return segments.plan_window(
            self.registers, t_start, t_end, self.bins, self.width, self.height, earliest=t_start
        )

    def add(self, words: NDArray[np.int64], start: int, stop_tick: int = segments.MAX_TICKS) -> int:
        """Add events given as (N, 2) words from ``start`` until one is at or after ``stop_tick``; returns its index."""
        return accumulation.accumulate_words(
            read_only(words),
            start,
            stop_tick,
            self.lookup,
            self.registers,
            self.sums,
            self.wide,
            self.grid,
        )

    def finish(self) -> NDArray[np.float32]:
        """End the window; returns its grid (bins, H, W), read-only."""
        folding.finish(self.registers, self.sums, self.wide, self.grid)
        view = self.grid.reshape(self.bins, *self.shape)
        view.flags.writeable = False
        self.grid = recycled_grid(self.bins, self._pixels)
        return view

    def discard(self) -> None:
        """Drop what was accumulated since :meth:`begin` and not folded yet."""
        if self.registers[registers.SINCE_FOLD]:
            self.registers[registers.SINCE_FOLD] = 0
            self.sums[:] = EMPTY
            if self.registers[registers.SPILLED] or not self.registers[registers.NARROW]:
                self.wide[:] = 0

    @property
    def events(self) -> int:
        """Events of the current window that are in the grid."""
        return int(self.registers[registers.IN_WINDOW])

    @property
    def out_of_frame(self) -> int:
        """Events of the current window outside the sensor."""
        return int(self.registers[registers.OUT_OF_FRAME])

    @property
    def out_of_time(self) -> int:
        """Events of the current window that came too early or too late for any bin."""
        return int(self.registers[registers.OUT_OF_TIME])
