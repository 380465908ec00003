"""The processor's prefetch instruction for kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from madm_core.events.compilation import Scalar, kernel

CACHE_LINE = 64
"""Bytes; where a line is longer, some are asked for twice."""


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing_context: Any, array: Any, offset: Any) -> Any:
    """Ask for the cache line ``offset`` bytes (uint64) behind the start of ``array``, soon to be used.

    Additions at scattered addresses wait for memory one after the other once the reorder buffer is full of them;
    asked for beforehand, their cache lines arrive side by side. They are asked into the second level: most are there
    already, and bringing those into the first for nothing costs more than it saves.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        word = ir.IntType(32)
        address = builder.gep(builder.bitcast(data, ir.IntType(8).as_pointer()), [arguments[1]])
        kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(instruction, [address, word(0), word(2), word(1)])  # to read, into the second level, data
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


@kernel
def prefetch_rows(array: NDArray[Any], first: Scalar, count: Scalar) -> None:
    """Ask for ``count`` rows of ``array`` from row ``first`` (uint64) on, which may lie beyond its end.

    The processor recognises on its own that an array is read in order, but not how far, and stops looking ahead while
    other work keeps it from reading on.
    """
    stride = array.strides[0]
    step = max(1, CACHE_LINE // max(1, abs(stride)))
    for row in range(0, count, step):
        prefetch(array, np.uint64((np.int64(first) + row) * stride))
