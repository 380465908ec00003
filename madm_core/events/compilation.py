"""How the event kernels are compiled: once, cached on disk, without the GIL."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])
Scalar = int | np.int64
"""What a kernel computes with."""
logger = logging.getLogger(__name__)


def kernel(function: Function) -> Function:
    """Compile ``function`` with numba at its first call for each set of argument types.

    Machine code is cached beside the source, in ``NUMBA_CACHE_DIR`` when that is set, or in the user's cache
    directory when the package is installed read-only. Where none of these can be written the kernel still works and is
    compiled again by every process. Kernels release the GIL and use one thread: with several, a busy machine stalls
    every frame on its slowest thread.
    """
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError as error:
        logger.warning(
            "%s: machine code cannot be cached (%s); set NUMBA_CACHE_DIR to a writable folder for quick starts",
            function.__name__,
            error,
        )
        return cast(Function, numba.njit(nogil=True)(function))
