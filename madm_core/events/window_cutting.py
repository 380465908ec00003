"""Which way of cutting a stream fits what is asked."""

from __future__ import annotations

from collections.abc import Callable

from madm_core.errors import InvalidInputError
from madm_core.events.buffered_windows import BufferedWindows
from madm_core.events.grid_accumulator import GridAccumulator
from madm_core.events.pixel_map import PixelMap
from madm_core.events.representations import RepresentationName, make_renderer
from madm_core.events.stream_statistics import StreamStatistics
from madm_core.events.time_windows import TimeWindows
from madm_core.events.windows import EventWindow


def make_windows(
    window: EventWindow,
    ticks: Callable[[float], int],
    representation: RepresentationName,
    bins: int,
    height: int,
    width: int,
    pixel_map: PixelMap | None,
    statistics: StreamStatistics,
) -> TimeWindows | BufferedWindows:
    """Return what cuts a stream: on arrival if the windows' bounds are known and sums stay exact, else by a buffer.

    Events for :class:`TimeWindows` are sensor pixels, for :class:`BufferedWindows` pixels that ``pixel_map`` mapped.

    Raises:
        InvalidInputError: The pixel map is of another sensor.
    """
    if pixel_map is not None and pixel_map.sensor_shape != (height, width):
        raise InvalidInputError(
            "the pixel map does not fit the sensor",
            reason="size",
            got=f"{width}x{height} pixels",
            expected="{1}x{0}".format(*pixel_map.sensor_shape),
        )
    if window.accumulates_on_arrival and representation == "voxel_grid":
        accumulator = GridAccumulator(bins, height, width, pixel_map)
        duration = ticks(window.duration_ms)
        if accumulator.begin(0, duration):
            stride = duration if window.stride_ms is None else ticks(window.stride_ms)
            return TimeWindows(accumulator, duration, stride, ticks(window.max_wait_ms), statistics)
    rows, columns = pixel_map.shape if pixel_map else (height, width)
    return BufferedWindows(window, ticks, make_renderer(representation, bins, rows, columns), statistics)
