"""Calling a kernel where its machine code stands.

What a kernel calls numba links into it, optimises once more and writes again: a second of the first run for the filter's prediction
alone.  A large kernel that stands compiled already is rather called at its address, which its caller is given at every run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from numba.core import cgutils, types
from numba.extending import intrinsic


def standing(kernel: Any, *kinds: Any) -> tuple[Callable[..., Any], Callable[[], Any]]:
    """How kernels call ``kernel``, which returns nothing, with arguments of these numba types: ``call(at, ...)``; and what gives ``at``.

    Numba holds the call to the types.  Without the compiler ``at`` is the kernel itself.
    """
    config: Any = numba.config
    if config.DISABLE_JIT:
        return lambda at, *args: at(*args), lambda: kernel

    @intrinsic
    def call(_: Any, at: Any, *args: Any) -> Any:
        if args != kinds:
            raise numba.TypingError(f"a kernel that stands for {kinds} is called with {args}")
        return types.void(types.intp, types.StarArgTuple(kinds)), _written

    @cache
    def address() -> int:
        kernel.compile(kinds)
        made = kernel.overloads[kinds]
        return int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))

    return call, address


def _written(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """The machine code of such a call, by numba's own convention."""
    kinds, convention = tuple(signature.args[1]), context.call_conv
    args = [builder.extract_value(values[1], i) for i in range(len(kinds))]
    there = builder.inttoptr(values[0], convention.get_function_type(types.none, kinds).as_pointer())
    status, _ = convention.call_function(builder, there, types.none, kinds, args)
    with cgutils.if_unlikely(builder, status.is_error):
        convention.return_status_propagate(builder, status)
    return context.get_dummy_value()
