"""Settings of the whole process that keep a frame from waiting: for memory, for the garbage collector, for threads."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8
"""glibc's mallopt parameters M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_ARENA_MAX."""
_LARGEST_KEPT = 1 << 26
"""64 MiB: larger blocks (the weights) go straight to and from the system, as without these settings."""
_KEPT_AT_MOST = 1 << 29
_HEAPS = 1
"""For all threads together."""


def keep_freed_memory() -> bool:
    """Let the C library keep up to 512 MiB of freed memory, in one heap, instead of handing it back at once.

    An image needs a few megabytes for a few milliseconds. With glibc's defaults each of them comes fresh from the
    system every time, page by page: some 1500 page faults for a 640x480 frame, which take longer than all arithmetic
    outside the network (docs/performance.md). The network's own features on a CPU gain likewise.

    By default glibc has up to eight heaps for each core and gives each new thread one of them. The worker after a
    reload would take another one than the worker before, and need 10 MiB there for frames of 640x480, which the former
    one keeps. So this has to be called before anything starts a thread: before NumPy, PyTorch or rclpy are imported.

    Returns:
        False where the C library is not glibc; then nothing has changed.
    """
    mallopt = _c_library_function("mallopt")
    if mallopt is None:
        return False
    settings = ((_MMAP_THRESHOLD, _LARGEST_KEPT), (_TRIM_THRESHOLD, _KEPT_AT_MOST), (_ARENA_MAX, _HEAPS))
    return all(bool(mallopt(parameter, value)) for parameter, value in settings)


def run_opencv_alone() -> None:
    """Let OpenCV do a picture's arithmetic in the calling thread.

    A step takes a tenth of a millisecond; waking helpers for it costs as much, and on a busy machine the frame then
    waits for the slowest of them to be scheduled.
    """
    import cv2

    cv2.setNumThreads(1)


def settle_memory() -> None:
    """Give back what is not used any more, and tell the garbage collector that what lives now (torch, the model) stays.

    Otherwise a full collection walks through some hundred thousand objects while a frame waits. Call it after each load
    of a model: the objects of the model before are then collected, and the room of its weights goes back to the system.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    give_back_freed_memory()


def give_back_freed_memory() -> None:
    """Have glibc hand freed blocks back to the system, those between blocks in use too; elsewhere nothing changes."""
    trim = _c_library_function("malloc_trim")
    if trim is not None:
        trim(0)


def _c_library_function(name: str) -> Callable[..., int] | None:
    """A function of glibc; None where the C library is another one."""
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None
    return function
