"""How the event kernels are compiled: once, cached on disk, without the GIL."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

from madm_core.errors import ConfigError

Function = TypeVar("Function", bound=Callable[..., Any])
Scalar = int | np.integer[Any]
"""What a kernel computes with."""
logger = logging.getLogger(__name__)


@functools.cache
def _sources_stamp() -> tuple[float, int]:
    """Age of the newest source file beside this one, and the size of all: what cached machine code was made from."""
    files = [path.stat() for path in Path(__file__).parent.glob("*.py")]
    return max(file.st_mtime for file in files), sum(file.st_size for file in files)


def kernel(function: Function) -> Function:
    """Compile ``function`` with numba at its first call for each set of argument types.

    Machine code is cached beside the source, in ``NUMBA_CACHE_DIR`` when that is set, or in the user's cache
    directory when the package is installed read-only. Where none of these can be written the kernel still works and is
    compiled again by every process. Kernels release the GIL and use one thread: with several, a busy machine stalls
    every frame on its slowest thread.

    Raises:
        ConfigError: numba is told not to compile.
    """
    if numba.config.DISABLE_JIT:
        # Integers of Python and NumPy do not wrap around as those of kernels do: the grids would be wrong.
        raise ConfigError("event kernels must be compiled", got="NUMBA_DISABLE_JIT=1", do="unset NUMBA_DISABLE_JIT")
    try:
        compiled = numba.njit(cache=True, nogil=True)(function)
        # Kernels call kernels of other files, which numba's own check of one file's age does not notice.
        compiled._cache._cache_file._source_stamp = _sources_stamp()
        return cast(Function, compiled)
    except RuntimeError as error:
        logger.warning(
            "%s: machine code cannot be cached (%s); set NUMBA_CACHE_DIR to a writable folder for quick starts",
            function.__name__,
            error,
        )
        return cast(Function, numba.njit(nogil=True)(function))
