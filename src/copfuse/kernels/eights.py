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
from numba.core.imputils import impl_ret_borrowed, lower_builtin
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


for _what, _order in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    for _kinds in ((EIGHT, EIGHT), (types.float64, EIGHT), (EIGHT, types.float64)):
        _operator(_what, _order, *_kinds)


def _alike(builder: Any, kinds: Any, values: Any) -> Any:
    """Numbers as they are, or each as eight where one of them is eight."""
    if EIGHT not in kinds:
        return values
    return [value if kind is EIGHT else _same(builder, value) for kind, value in zip(kinds, values, strict=True)]


def _chosen(sign: str) -> Any:
    """The first number, or each of eight, where it compares so with the other, else that: the other where the first is nan."""

    @intrinsic
    def chosen(_: Any, number: Any, other: Any) -> Any:
        def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            one, two = _alike(builder, signature.args, args)
            return builder.select(builder.fcmp_ordered(sign, one, two), one, two)

        kinds = [kind if kind is EIGHT else types.float64 for kind in (number, other)]
        return (EIGHT if EIGHT in kinds else types.float64)(*kinds), written

    return chosen


def _called(name: str) -> Any:
    """What LLVM has an instruction for, of a number or each of eight."""

    @intrinsic
    def called(_: Any, number: Any) -> Any:
        def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind, suffix = (_VECTOR, "v8f64") if signature.args[0] is EIGHT else (ir.DoubleType(), "f64")
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), f"llvm.{name}.{suffix}")
            return builder.call(function, args)

        kind = number if number is EIGHT else types.float64
        return kind(kind), written

    return called


def _place(context: Any, builder: Any, kind: Any, row: Any) -> Any:
    """Where the first eight numbers of a row stand."""
    data = context.make_array(kind)(context, builder, row).data
    return builder.bitcast(data, _VECTOR.as_pointer())


@intrinsic
def _eight(_: Any, row: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], args[0]), align=8)

    return EIGHT(row), written


def _there(context: Any, builder: Any, kind: Any, row: Any, place: Any) -> Any:
    """Where eight numbers from some place of a row on stand."""
    data = context.make_array(kind)(context, builder, row).data
    return builder.bitcast(builder.gep(data, [place]), _VECTOR.as_pointer())


@intrinsic
def _eight_at(_: Any, row: Any, place: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_there(context, builder, signature.args[0], *args), align=8)

    return EIGHT(row, types.int64), written


@intrinsic
def _put_at(_: Any, numbers: Any, row: Any, place: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[0], _there(context, builder, signature.args[1], *args[1:]), align=8)
        return context.get_dummy_value()

    return types.void(numbers, row, types.int64), written


@intrinsic
def _run(_: Any, array: Any, first: Any, n: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        make = context.make_array(signature.args[0])
        whole, part = make(context, builder, args[0]), make(context, builder)
        shape, strides = cgutils.unpack_tuple(builder, whole.shape), cgutils.unpack_tuple(builder, whole.strides)
        start = cgutils.pointer_add(builder, whole.data, builder.mul(args[1], strides[0]))
        size = args[2]
        for length in shape[1:]:
            size = builder.mul(size, length)
        part.meminfo, part.parent, part.itemsize, part.nitems, part.data = whole.meminfo, whole.parent, whole.itemsize, size, start
        part.shape, part.strides = cgutils.pack_array(builder, [args[2], *shape[1:]]), whole.strides
        return impl_ret_borrowed(context, builder, signature.return_type, part._getvalue())  # counted where arrays are

    return array(array, types.int64, types.int64), written


def _inside(context: Any, builder: Any, kind: Any, block: Any, i: Any, j: Any) -> Any:
    """Where the eight numbers in row i and column j of a block stand."""
    made = context.make_array(kind)(context, builder, block)
    columns = builder.extract_value(made.shape, 1)
    place = builder.mul(builder.add(builder.mul(i, columns), j), ir.Constant(i.type, 8))
    return builder.bitcast(builder.gep(made.data, [place]), _VECTOR.as_pointer())


@intrinsic
def _cell(_: Any, block: Any, i: Any, j: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_inside(context, builder, signature.args[0], *args), align=8)

    return EIGHT(block, types.int64, types.int64), written


@intrinsic
def _put_cell(_: Any, numbers: Any, block: Any, i: Any, j: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[0], _inside(context, builder, signature.args[1], *args[1:]), align=8)
        return context.get_dummy_value()

    return types.void(numbers, block, types.int64, types.int64), written


@intrinsic
def _where_below(_: Any, numbers: Any, limit: Any, these: Any, those: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], _same(builder, args[1])), args[2], args[3])

    return EIGHT(numbers, types.float64, these, those), written


@intrinsic
def _nought(_: Any) -> Any:
    return EIGHT(), lambda context, builder, signature, args: ir.Constant(_VECTOR, [0.0] * 8)


@intrinsic
def _two_to(_: Any, numbers: Any) -> Any:
    """An exponent is put where a double has it, out of the last bits of the sum with a number so large that its last bit is a 1."""

    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = ir.VectorType(ir.IntType(64), 8)
        last = builder.bitcast(builder.fadd(args[0], ir.Constant(_VECTOR, [1.5 * 2.0**52] * 8)), bits)
        exponent = builder.add(last, ir.Constant(bits, [1023] * 8))
        return builder.bitcast(builder.shl(exponent, ir.Constant(bits, [52] * 8)), _VECTOR)

    return EIGHT(numbers), written


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
def _above(_: Any, numbers: Any, least: Any) -> Any:
    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        signs = builder.fcmp_ordered(">", args[0], _same(builder, args[1]))
        return builder.icmp_unsigned("==", builder.bitcast(signs, ir.IntType(8)), ir.IntType(8)(255))

    return types.boolean(numbers, types.float64), written


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


@intrinsic
def _fours(_: Any, table: Any, numbers: Any) -> Any:
    """What stands in four columns, at rows of these numbers: each row is read at once, where a gather reads each number by itself."""

    def written(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        whole = ir.IntType(64)
        places = builder.fptosi(args[1], ir.VectorType(whole, 8))
        rows = []
        for i in range(8):
            place = builder.gep(data, [builder.mul(builder.extract_element(places, _INDEX(i)), whole(4))])
            rows.append(builder.load(builder.bitcast(place, ir.VectorType(ir.DoubleType(), 4).as_pointer()), align=8))

        def mixed(one: Any, other: Any, order: list[int]) -> Any:
            return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INDEX, 8), order))

        pairs = [mixed(rows[i], rows[i + 4], [0, 1, 2, 3, 4, 5, 6, 7]) for i in range(4)]
        low = [mixed(pairs[i], pairs[i + 1], [0, 8, 4, 12, 1, 9, 5, 13]) for i in (0, 2)]
        high = [mixed(pairs[i], pairs[i + 1], [2, 10, 6, 14, 3, 11, 7, 15]) for i in (0, 2)]
        columns = [
            mixed(both[0], both[1], order) for both in (low, high) for order in ([0, 1, 8, 9, 2, 3, 10, 11], [4, 5, 12, 13, 6, 7, 14, 15])
        ]
        return context.make_tuple(builder, signature.return_type, columns)

    return types.UniTuple(EIGHT, 4)(table, numbers), written


def _plain_put(numbers: Any, row: Any) -> None:
    row[:8] = numbers


def _plain_put_at(numbers: Any, row: Any, place: int) -> None:
    row.reshape(-1)[place : place + 8] = numbers


def _plain_put_cell(numbers: Any, block: Any, i: int, j: int) -> None:
    block[i, j] = numbers


def _plain_put_first(numbers: Any, row: Any, n: int) -> None:
    row[: min(n, 8)] = numbers[:n]


def _plain_joined(numbers: Any, other: Any, n: int) -> Any:
    return np.where(np.arange(8) < n, numbers, other)


def _plain_turn(*given: Any) -> None:
    line = given[8].reshape(-1)
    for i, column in enumerate(np.stack(given[:8], axis=1)):
        line[i * given[9] : i * given[9] + 8] = column


_choice: Any = np.where


def _plain_fours(table: Any, numbers: Any) -> Any:
    return tuple(table.reshape(-1, 4)[numbers.astype(int)].T)


eight: Any = (lambda row: row[:8].copy()) if _PLAIN else _eight  # the first eight numbers of a row of eight or more
nought: Any = (lambda: np.zeros(8)) if _PLAIN else _nought  # eight noughts
# so many rows of an array, from one on, which must be there: a slice costs some checks, and as much again to compile
run: Any = (lambda array, first, n: array[first : first + n]) if _PLAIN else _run
# those of a row, or of rows after one another, from some place on, likewise; and put them there
eight_at: Any = (lambda row, place: row.reshape(-1)[place : place + 8].copy()) if _PLAIN else _eight_at
put_at: Any = _plain_put_at if _PLAIN else _put_at
# those of a place in a matrix of eights (rows, columns, 8); and put them there
cell: Any = (lambda block, i, j: block[i, j].copy()) if _PLAIN else _cell
put_cell: Any = _plain_put_cell if _PLAIN else _put_cell
put: Any = _plain_put if _PLAIN else _put  # put eight numbers in a row's first eight places
put_first: Any = _plain_put_first if _PLAIN else _put_first  # put the first n of eight numbers, or all, in a row's first places
joined: Any = _plain_joined if _PLAIN else _joined  # the first n of eight numbers, and then those of another eight
turn: Any = _plain_turn if _PLAIN else _turn  # put the columns of eight eights on a line, at every so many places
fours: Any = _plain_fours if _PLAIN else _fours  # the columns of eight rows, by number, of a table with four columns
above: Any = (lambda numbers, least: bool(np.all(numbers > least))) if _PLAIN else _above  # whether all eight are
# of two eights, the first's numbers where these are below a limit
where_below: Any = (lambda numbers, limit, these, those: np.where(numbers < limit, these, those)) if _PLAIN else _where_below
larger: Any = (lambda number, other: _choice(number > other, number, other)[()]) if _PLAIN else _chosen(">")
smaller: Any = (lambda number, other: _choice(number < other, number, other)[()]) if _PLAIN else _chosen("<")
root: Any = np.sqrt if _PLAIN else _called("sqrt")
whole: Any = np.floor if _PLAIN else _called("floor")  # the greatest whole number below
two_to: Any = np.exp2 if _PLAIN else _two_to  # 2 to the power of eight whole numbers from -1022 to 1023
size: Any = np.abs if _PLAIN else _called("fabs")
