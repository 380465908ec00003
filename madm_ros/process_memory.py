"""Settings of the whole process that keep a frame from waiting: for memory, for the garbage collector, for threads."""

from __future__ import annotations

import ctypes
import gc

import cv2

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""glibc's mallopt parameters M_MMAP_THRESHOLD and M_TRIM_THRESHOLD."""
_LARGEST_KEPT = 1 << 26
"""64 MiB: larger blocks (the weights) go straight to and from the system, as without these settings."""
_KEPT_AT_MOST = 1 << 29


def keep_freed_memory() -> bool:
    """Let the C library keep up to 512 MiB of freed memory instead of handing it back to the system at once.

    An image needs a few megabytes for a few milliseconds. With glibc's defaults each of them comes fresh from the
    system every time, page by page: some 1500 page faults for a 640x480 frame, which take longer than all arithmetic
    outside the network (docs/performance.md). The network's own features on a CPU gain likewise.

    Returns:
        False where the C library is not glibc; then nothing has changed.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT_AT_MOST))


def run_opencv_alone() -> None:
    """Let OpenCV do a picture's arithmetic in the calling thread.

    A step takes a tenth of a millisecond; waking helpers for it costs as much, and on a busy machine the frame then
    waits for the slowest of them to be scheduled.
    """
    cv2.setNumThreads(1)


def settle_objects() -> None:
    """Tell the garbage collector that what lives now (torch, the model) stays: it need not be looked at again.

    Otherwise a full collection walks through some hundred thousand objects while a frame waits. Call it after each load
    of a model; the objects of the model before are then collected.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
