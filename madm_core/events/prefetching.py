"""The processor's prefetch instruction for kernels."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``, soon to be used; ``array`` is one-dimensional, ``index`` uint64.

    Additions at scattered addresses wait for memory one after the other once the reorder buffer is full of them;
    asked for beforehand, their cache lines arrive side by side. They are asked into the second level: most are there
    already, and bringing those into the first for nothing costs more than it saves.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        word = ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(instruction, [address, word(0), word(2), word(1)])  # to read, into the second level, data
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate
