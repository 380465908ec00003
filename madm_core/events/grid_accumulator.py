"""One voxel grid after another from events that arrive in pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madm_core.events import accumulation
from madm_core.events.accumulation import BLOCK, REGISTERS
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
        buffers: Grids that are used in turn: a finished grid stays as it is until ``buffers - 1`` more were begun.
    """

    def __init__(self, bins: int, height: int, width: int, pixel_map: PixelMap | None = None, buffers: int = 2) -> None:
        self.bins = bins
        self.height = height
        self.width = width
        self.shape = pixel_map.shape if pixel_map else (height, width)
        pixels = self.shape[0] * self.shape[1]
        blocks = -(-pixels // BLOCK) + 1  # the last block takes what falls nowhere
        self.registers = np.zeros(REGISTERS, np.int64)
        self.lookup = pixel_map.lookup if pixel_map else NO_MAP
        self.sums = np.zeros(blocks * BLOCK, np.int64)
        self.touched = np.zeros(blocks, np.uint8)
        self._grids = [np.zeros((bins, pixels), np.float32) for _ in range(buffers)]
        self._written = [np.zeros((bins, blocks), np.uint8) for _ in range(buffers)]
        self._current = 0

    @property
    def grid(self) -> NDArray[np.float32]:
        """(bins, pixels) float32: the grid being accumulated."""
        return self._grids[self._current]

    @property
    def written(self) -> NDArray[np.uint8]:
        """(bins, blocks) uint8: what the blocks of :attr:`grid` hold; see :mod:`madm_core.events.accumulation`."""
        return self._written[self._current]

    def begin(self, t_start: int, t_end: int) -> bool:
        """Start the window [t_start, t_end) in ticks, dropping earlier events.

        Returns:
            False when the window is too long for exact integer sums, and events must not be added.
        """
        self.discard()
        self._current = (self._current + 1) % len(self._grids)
        accumulation.begin_grid(self.written)
        return accumulation.plan_window(
            self.registers, t_start, t_end, self.bins, self.width, self.height, earliest=t_start
        )

    def add(self, words: NDArray[np.int64], start: int, stop_tick: int = accumulation.MAX_TICKS) -> int:
        """Add events given as (N, 2) words from ``start`` until one is at or after ``stop_tick``; returns its index."""
        return accumulation.accumulate_words(
            words,
            start,
            stop_tick,
            self.lookup,
            self.registers,
            self.sums,
            self.touched,
            self.grid,
            self.written,
        )

    def finish(self) -> NDArray[np.float32]:
        """End the window; returns its grid (bins, H, W), read-only, valid until its buffer's turn comes again."""
        accumulation.fold(self.registers, self.sums, self.touched, self.grid, self.written)
        accumulation.finish_grid(self.grid, self.written)
        view = self.grid.reshape(self.bins, *self.shape)
        view.flags.writeable = False
        return view

    def discard(self) -> None:
        """Drop what was accumulated since :meth:`begin` and not folded yet."""
        if self.touched.any():
            self.sums[:] = 0
            self.touched[:] = 0

    @property
    def events(self) -> int:
        """Events of the current window that are in the grid."""
        return int(self.registers[accumulation.IN_WINDOW])

    @property
    def out_of_frame(self) -> int:
        """Events of the current window outside the sensor."""
        return int(self.registers[accumulation.OUT_OF_FRAME])

    @property
    def out_of_time(self) -> int:
        """Events of the current window that came too early or too late for any bin."""
        return int(self.registers[accumulation.OUT_OF_TIME])
