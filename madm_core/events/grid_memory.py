"""Memory for grids that is given back when nobody uses it any more.

A fresh 50 MB grid costs far more than filling it: the kernel hands out zeroed pages one fault at a time. Grids of the
same size follow each other in practice, so the buffer of one that was dropped serves the next.
"""

from __future__ import annotations

import threading
import weakref

import numpy as np
from numpy.typing import NDArray

MAX_IDLE = 4
"""Dropped buffers kept, all sizes together."""

_idle: list[NDArray[np.float32]] = []
_idle_lock = threading.RLock()  # the garbage collector may recycle within the lock
_scratch = threading.local()


def recycled_grid(bins: int, pixels: int) -> NDArray[np.float32]:
    """Return a (bins, pixels) float32 array with any content, whose memory is recycled once nobody refers to it."""
    size = bins * pixels
    with _idle_lock:
        index = next((i for i, buffer in enumerate(_idle) if buffer.size == size), None)
        owner = _idle.pop(index) if index is not None else np.empty(size, np.float32)
    # Views of an array made from a memoryview hold on to that array, not to the owner: its end is everybody's end.
    handle = np.frombuffer(owner.data, np.float32)
    weakref.finalize(handle, _recycle, owner).atexit = False
    return handle.reshape(bins, pixels)


def _recycle(owner: NDArray[np.float32]) -> None:
    with _idle_lock:
        _idle.append(owner)
        if len(_idle) > MAX_IDLE:
            _idle.pop(0)


def zero_sums(pixels: int) -> NDArray[np.int64]:
    """Return this thread's packed sums (pixels + 1,), zero but for the last; whoever uses them zeroes them."""
    sums: NDArray[np.int64] | None = getattr(_scratch, "sums", None)
    if sums is None or len(sums) != pixels + 1:
        sums = _scratch.sums = np.zeros(pixels + 1, np.int64)
    return sums
