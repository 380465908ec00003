"""The processor's prefetch instruction for kernels."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``, soon to be written; ``array`` is one-dimensional, ``index`` uint64.

    Additions at scattered addresses wait for memory one after the other once the reorder buffer is full of them;
    asked for beforehand, their cache lines arrive side by side.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        word = ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(instruction, [address, word(1), word(3), word(1)])  # for writing, into all levels, data
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate
