"""Compile or load every kernel before the first packet needs it."""

from __future__ import annotations

import time
from typing import get_args

import numpy as np

from madm_core.events.decoders import ENCODINGS, EventDecoder
from madm_core.events.event_array import EVENT_DTYPE, as_words
from madm_core.events.pixel_map import PixelMap
from madm_core.events.representations import RepresentationName, make_renderer
from madm_core.events.voxel_grid import voxel_grid


def warm_up() -> float:
    """Run each kernel once with the types that a stream uses, so that none is compiled in a callback.

    Returns:
        Seconds taken: about ten in the first process on a machine, well under one afterwards.
    """
    started = time.perf_counter()
    for encoding in ENCODINGS:
        EventDecoder(encoding, 16, 16).decode(np.zeros(64, np.uint8))
    events = np.zeros(130, EVENT_DTYPE)
    events["t"] = np.arange(130) * 3
    words = as_words(events)
    for name in get_args(RepresentationName):
        make_renderer(name, 3, 16, 16).render(words, 0, 400)
    PixelMap.build(16, 16).apply(words)
    voxel_grid(events["x"], events["y"], events["t"], events["p"], bins=3, height=16, width=16)
    columns = [np.ascontiguousarray(events[name]) for name in ("x", "y", "t", "p")]
    voxel_grid(*columns, bins=3, height=16, width=16)
    voxel_grid(columns[0], columns[1], columns[2] * 0.5, columns[3], bins=3, height=16, width=16)
    return time.perf_counter() - started
