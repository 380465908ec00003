"""Memory for grids that is given back when nobody uses it any more.

A fresh 50 MB grid costs far more than filling it: the kernel hands out zeroed pages one fault at a time. Grids of the
same size follow each other in practice, so the buffer of one that was dropped serves the next.
"""

from __future__ import annotations

import threading
import weakref

import numpy as np
from numpy.typing import NDArray

from madm_core.events.packed_sums import EMPTY

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


def empty_sums(pixels: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return this thread's words of 32 and of 64 bits for the sums of ``pixels``; whoever uses them empties them.

    See the module packed_sums. Both have a word more, for events that are not wanted, and those of 64
    bits room behind for the pixels that moved over.
    """
    sums: tuple[NDArray[np.uint32], NDArray[np.int64]] | None = getattr(_scratch, "sums", None)
    if sums is None or len(sums[0]) != pixels + 1:
        sums = _scratch.sums = new_sums(pixels)
    return sums


def new_sums(pixels: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return words like :func:`empty_sums` that belong to the caller; those of 64 bits take no memory until used."""
    return np.full(pixels + 1, EMPTY), np.zeros(pixels + 1 + pixels // 8, np.int64)
