"""Pictures of a window's events that models are trained on, behind one interface."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from madm_core.events import accumulation
from madm_core.events.compilation import kernel
from madm_core.events.event_array import EVENT_DTYPE, as_words, make_events, read_only
from madm_core.events.grid_accumulator import GridAccumulator

RepresentationName = Literal["voxel_grid", "polarity_histogram", "time_surface"]


@kernel
def count_by_polarity(words: NDArray[np.int64], counts: NDArray[np.float32]) -> int:
    """Add events (N, 2) to (2, H, W) counts, OFF first; returns how many lie outside."""
    outside = 0
    for i in range(words.shape[0]):
        word = words[i, 1]
        x = word & 0xFFFF
        y = (word >> 16) & 0xFFFF
        if x < counts.shape[2] and y < counts.shape[1]:
            counts[(word >> 32) & 1, y, x] += np.float32(1.0)
        else:
            outside += 1
    return outside


@kernel
def decay_by_polarity(words: NDArray[np.int64], reference: int, tau: float, surface: NDArray[np.float32]) -> int:
    """Set (2, H, W) to exp((t - reference) / tau) of the latest event (N, 2); returns how many lie outside."""
    outside = 0
    for i in range(words.shape[0]):
        word = words[i, 1]
        x = word & 0xFFFF
        y = (word >> 16) & 0xFFFF
        if x < surface.shape[2] and y < surface.shape[1]:
            value = np.float32(np.exp((words[i, 0] - reference) / tau))
            polarity = (word >> 32) & 1
            surface[polarity, y, x] = max(surface[polarity, y, x], value)
        else:
            outside += 1
    return outside


def polarity_histogram(x: Any, y: Any, t: Any, p: Any, *, height: int, width: int) -> NDArray[np.float32]:
    """Count events by pixel and polarity.

    Source: Maqueda, Loquercio, Gallego, Garcia, Scaramuzza, "Event-Based Vision Meets Deep Learning on Steering
    Prediction for Self-Driving Cars", CVPR 2018, section 3.1.

    Args:
        x: (N,) pixel columns.
        y: (N,) pixel rows.
        t: (N,) times; not used.
        p: (N,) polarities, 0/1 or -1/+1.
        height: Rows.
        width: Columns.

    Returns:
        float32 (2, height, width): OFF, then ON. Events outside the frame are dropped.
    """
    counts = np.zeros((2, height, width), np.float32)
    count_by_polarity(read_only(as_words(make_events(x, y, t, p))), counts)
    return counts


def time_surface(
    x: Any, y: Any, t: Any, p: Any, *, height: int, width: int, tau: float, t_reference: int | None = None
) -> NDArray[np.float32]:
    """Tell for each pixel and polarity how recent its last event is: exp((t - t_reference) / tau), 0 without one.

    Source: Lagorce, Orchard, Galluppi, Shi, Benosman, "HOTS: A Hierarchy of Event-Based Time-Surfaces for Pattern
    Recognition", TPAMI 2017, section 3.1.

    Args:
        x: (N,) pixel columns.
        y: (N,) pixel rows.
        t: (N,) integer times.
        p: (N,) polarities, 0/1 or -1/+1.
        height: Rows.
        width: Columns.
        tau: Time constant, in the unit of ``t``, above 0.
        t_reference: Time at which the surface is seen; None for the last event's.

    Returns:
        float32 (2, height, width): OFF, then ON; in [0, 1] when no event is later than ``t_reference``.
    """
    surface = np.zeros((2, height, width), np.float32)
    events = make_events(x, y, t, p)
    if len(events):
        decay_by_polarity(
            read_only(as_words(events)), int(events["t"].max() if t_reference is None else t_reference), tau, surface
        )
    return surface


def events_to_image(x: Any, y: Any, p: Any, *, height: int, width: int) -> NDArray[np.uint8]:
    """Draw events for people: (height, width, 3) uint8 RGB on white, ON blue, OFF red, darker with more events."""
    counts = polarity_histogram(x, y, np.zeros(len(x), np.int64), p, height=height, width=width)
    strength = 1.0 - np.exp2(-counts)  # half of the way with each event
    off, on = strength
    image = np.stack([1.0 - on, 1.0 - np.maximum(on, off), 1.0 - off], axis=-1)
    return np.asarray(np.rint(image * 255), np.uint8)


class Renderer(Protocol):
    """Makes the picture of one window after another."""

    out_of_frame: int

    def render(self, words: NDArray[np.int64], t_start: int, t_end: int) -> tuple[NDArray[np.float32], int]:
        """Return a read-only (channels, H, W) float32 picture of events (N, 2), and how many are in it."""


class VoxelGridRenderer:
    """Renders :func:`madm_core.events.voxel_grid.voxel_grid` with the window's bounds."""

    def __init__(self, bins: int, height: int, width: int) -> None:
        self._accumulator = GridAccumulator(bins, height, width)
        self.out_of_frame = 0

    def render(self, words: NDArray[np.int64], t_start: int, t_end: int) -> tuple[NDArray[np.float32], int]:
        """See :class:`Renderer`."""
        accumulator = self._accumulator
        if accumulator.begin(t_start, t_end):
            accumulator.add(words, 0)
            self.out_of_frame += accumulator.out_of_frame
            grid = accumulator.finish()
            return grid, accumulator.events
        # Too long for integer sums of ticks.
        exact = np.zeros((accumulator.bins, accumulator.height, accumulator.width), np.float64)
        events = np.ascontiguousarray(words).view(EVENT_DTYPE).reshape(-1)
        position = (words[:, 0] - t_start) * (accumulator.bins - 1) / max(1, t_end - t_start)
        outside = accumulation.accumulate_float(events["x"], events["y"], position, events["p"], exact)
        self.out_of_frame += outside
        return exact.astype(np.float32), len(words) - outside


class PolarityHistogramRenderer:
    """Renders :func:`polarity_histogram`."""

    def __init__(self, height: int, width: int) -> None:
        self._shape = (2, height, width)
        self.out_of_frame = 0

    def render(self, words: NDArray[np.int64], t_start: int, t_end: int) -> tuple[NDArray[np.float32], int]:
        """See :class:`Renderer`."""
        counts = np.zeros(self._shape, np.float32)
        outside = count_by_polarity(read_only(words), counts)
        self.out_of_frame += outside
        return counts, len(words) - outside


class TimeSurfaceRenderer:
    """Renders :func:`time_surface` as seen from the window's end, with a time constant of a third of its length."""

    def __init__(self, height: int, width: int) -> None:
        self._shape = (2, height, width)
        self.out_of_frame = 0

    def render(self, words: NDArray[np.int64], t_start: int, t_end: int) -> tuple[NDArray[np.float32], int]:
        """See :class:`Renderer`."""
        surface = np.zeros(self._shape, np.float32)
        outside = decay_by_polarity(read_only(words), t_end, max(1.0, (t_end - t_start) / 3), surface)
        self.out_of_frame += outside
        return surface, len(words) - outside


def make_renderer(name: RepresentationName, bins: int, height: int, width: int) -> Renderer:
    """Return the renderer of a representation; ``bins`` matters to the voxel grid."""
    if name == "polarity_histogram":
        return PolarityHistogramRenderer(height, width)
    if name == "time_surface":
        return TimeSurfaceRenderer(height, width)
    return VoxelGridRenderer(bins, height, width)
