"""What every reader of an event file offers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_EVENTS = 500_000
"""Events read at once: a few megabytes, whatever the file's size."""


@dataclass(frozen=True)
class EventFile:
    """An opened recording.

    Attributes:
        width: Sensor width in pixels.
        height: Sensor height in pixels.
        chunks: Yields EVENT_DTYPE arrays with ``t`` in microseconds, in the recording's order.
        rectify_map: (H, W, 2) float32 rectified x, y of each pixel, where the recording brings one.
    """

    width: int
    height: int
    chunks: Iterator[NDArray[np.void]]
    rectify_map: NDArray[np.float32] | None = None
