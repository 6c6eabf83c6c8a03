"""Eight numbers at a time: what one vector instruction takes of a row of nine.

Numba has LLVM look for such instructions in loops alone, and a filter's matrices are too small for that: they were added up number by
number.  What is written in these takes the same sums in the same order, so that no bit of them changes.  Without the compiler eight
numbers are an array of numpy's.
"""

from __future__ import annotations

import operator
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing import signature
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, models, register_model

_PLAIN: bool = numba.config.DISABLE_JIT  # type: ignore[attr-defined]
_VECTOR, _INDEX = ir.VectorType(ir.DoubleType(), 8), ir.IntType(32)


class _Eight(types.Type):
    """Numba's name for them."""

    def __init__(self) -> None:
        super().__init__("Eight")


EIGHT = _Eight()


@register_model(_Eight)
class _EightModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _same(builder: Any, value: Any) -> Any:
    """Eight times the same number."""
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, _INDEX(0))
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.VectorType(_INDEX, 8), [0] * 8))


def _lanes(builder: Any, n: Any) -> Any:
    """Eight times the same place."""
    lanes = ir.VectorType(_INDEX, 8)
    one = builder.insert_element(ir.Constant(lanes, ir.Undefined), builder.trunc(n, _INDEX), _INDEX(0))
    return builder.shuffle_vector(one, ir.Constant(lanes, ir.Undefined), ir.Constant(lanes, [0] * 8))


def _operator(what: Any, order: str, *kinds: Any) -> None:
    """Let kernels write ``what`` of two of these kinds: eights, or eight times the same number."""

    @infer_global(what)
    class _(ConcreteTemplate):
        cases = [signature(EIGHT, *kinds)]

    @lower_builtin(what, *kinds)
    def _written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        both = [value if kind is EIGHT else _same(builder, value) for kind, value in zip(kinds, args, strict=True)]
        return getattr(builder, order)(*both)


_operator(operator.add, "fadd", EIGHT, EIGHT)
_operator(operator.sub, "fsub", EIGHT, EIGHT)
_operator(operator.mul, "fmul", types.float64, EIGHT)
_operator(operator.truediv, "fdiv", EIGHT, types.float64)


def _place(context: Any, builder: Any, kind: Any, row: Any) -> Any:
    """Where the first eight numbers of a row stand."""
    data = context.make_array(kind)(context, builder, row).data
    return builder.bitcast(data, _VECTOR.as_pointer())


@intrinsic
def _eight(_: Any, row: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], args[0]), align=8)

    return EIGHT(row), written


@intrinsic
def _nought(_: Any) -> Any:
    return EIGHT(), lambda context, builder, signature, args: ir.Constant(_VECTOR, [0.0] * 8)


@intrinsic
def _put(_: Any, numbers: Any, row: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[0], _place(context, builder, signature.args[1], args[1]), align=8)
        return context.get_dummy_value()

    return types.void(numbers, row), written


@intrinsic
def _put_first(_: Any, numbers: Any, row: Any, n: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[1], args[1])
        first = builder.icmp_signed("<", ir.Constant(ir.VectorType(_INDEX, 8), list(range(8))), _lanes(builder, args[2]))
        kind = ir.FunctionType(ir.VoidType(), [_VECTOR, _VECTOR.as_pointer(), _INDEX, ir.VectorType(ir.IntType(1), 8)])
        store = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.store.v8f64.p0")
        builder.call(store, [args[0], place, _INDEX(8), first])
        return context.get_dummy_value()

    return types.void(numbers, row, types.int64), written


@intrinsic
def _joined(_: Any, numbers: Any, other: Any, n: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = builder.icmp_signed("<", ir.Constant(ir.VectorType(_INDEX, 8), list(range(8))), _lanes(builder, args[2]))
        return builder.select(first, args[0], args[1])

    return EIGHT(numbers, other, types.int64), written


@intrinsic
def _turn(_: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, out: Any, step: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = list(args[:8])
        for k in (4, 2, 1):  # blocks of 4, 2 and 1 across the diagonal change places
            low = ir.Constant(ir.VectorType(_INDEX, 8), [i if i & k == 0 else 8 + i - k for i in range(8)])
            high = ir.Constant(ir.VectorType(_INDEX, 8), [i + k if i & k == 0 else 8 + i for i in range(8)])
            for i in range(8):
                if i & k == 0:
                    one, other = rows[i], rows[i + k]
                    rows[i], rows[i + k] = builder.shuffle_vector(one, other, low), builder.shuffle_vector(one, other, high)
        data = context.make_array(signature.args[8])(context, builder, args[8]).data
        for i, row in enumerate(rows):
            place = builder.gep(data, [builder.mul(args[9], ir.Constant(args[9].type, i))])
            builder.store(row, builder.bitcast(place, _VECTOR.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(a, b, c, d, e, f, g, h, out, types.int64), written


def _plain_put(numbers: Any, row: Any) -> None:
    row[:8] = numbers


def _plain_put_first(numbers: Any, row: Any, n: int) -> None:
    row[: min(n, 8)] = numbers[:n]


def _plain_joined(numbers: Any, other: Any, n: int) -> Any:
    return np.where(np.arange(8) < n, numbers, other)


def _plain_turn(*given: Any) -> None:
    for i, column in enumerate(np.stack(given[:8], axis=1)):
        given[8][i * given[9] : i * given[9] + 8] = column


eight: Any = (lambda row: row[:8].copy()) if _PLAIN else _eight  # the first eight numbers of a row of eight or more
nought: Any = (lambda: np.zeros(8)) if _PLAIN else _nought  # eight noughts
put: Any = _plain_put if _PLAIN else _put  # put eight numbers in a row's first eight places
put_first: Any = _plain_put_first if _PLAIN else _put_first  # put the first n of eight numbers, or all, in a row's first places
joined: Any = _plain_joined if _PLAIN else _joined  # the first n of eight numbers, and then those of another eight
turn: Any = _plain_turn if _PLAIN else _turn  # put the columns of eight eights on a line, at every so many places
