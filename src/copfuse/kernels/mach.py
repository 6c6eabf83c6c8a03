"""How drag depends on the Mach number: one notional curve, for what is flown and for the filters alike.

A ballistic coefficient is that at hypersonic speed, where the curve is 1.  A real body's curve is another one: the filters' ln(beta)
wanders as its body goes through the Mach numbers (`motions.CURVE`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from copfuse.kernels import borrowing
from copfuse.kernels.earth import air
from copfuse.kernels.eights import fours, larger, smaller, whole

# Drag coefficient over its hypersonic value against Mach number: a generic slender body, notional; linear between.
MACH = np.array([0.0, 0.7, 0.95, 1.1, 1.3, 2.0, 3.0, 5.0])
DRAG = np.array([1.30, 1.30, 1.75, 2.30, 2.25, 1.75, 1.35, 1.0])


@borrowing(forceinline=True)
def drag_factor(mach):
    """Drag coefficient at a Mach number over its hypersonic value."""
    if mach >= MACH[-1]:
        return DRAG[-1]
    i = 0
    while mach >= MACH[i + 1]:
        i += 1
    return DRAG[i] + (mach - MACH[i]) / (MACH[i + 1] - MACH[i]) * (DRAG[i + 1] - DRAG[i])


@borrowing
def drag_slope(mach):
    """Derivative of the logarithm of `drag_factor` by that of the Mach number."""
    if mach >= MACH[-1]:
        return 0.0
    i = 0
    while mach >= MACH[i + 1]:
        i += 1
    slope = (DRAG[i + 1] - DRAG[i]) / (MACH[i + 1] - MACH[i])
    return slope * mach / (DRAG[i] + (mach - MACH[i]) * slope)


# Without loops, for states side by side ---------------------------------------------------------------------------------

_LAYER, _TOP = 250.0, 86e3  # m of height that one line stands for, and where the speed of sound changes no more


def _slowness() -> np.ndarray:
    """1 over the speed of sound at the begin of lines over height and its rise along each, ``(n, 4)``, of which two columns are
    empty; the last one is level."""
    sound: Any = getattr(air, "py_func", air)  # nothing is compiled where this is read
    values = np.array([1.0 / sound(h)[1] for h in (np.arange(round(_TOP / _LAYER) + 1) * _LAYER).tolist()])
    return np.stack([values, np.diff(values, append=values[-1]), 0.0 * values, 0.0 * values], axis=1)


_SLOWNESS = _slowness()
# The curve without a look into a table: its value at the first Mach number and by how much its slope changes at each
_FIRST, _MACH = float(DRAG[0]), tuple(MACH.tolist())
_BEND = tuple(np.diff(np.diff(DRAG) / np.diff(MACH), prepend=0.0, append=0.0).tolist())


@borrowing(forceinline=True)
def _line(h):
    """Place in the table, in lines, of height h: under the ground the air is that of the ground."""
    return smaller(larger(h * (1.0 / _LAYER), 0.0), len(_SLOWNESS) - 1.0)  # 0 where h is nan, too: nothing outside is read


@borrowing(forceinline=True)
def _factor(m):
    """`drag_factor` at a Mach number."""
    m = smaller(larger(m, 0.0), _MACH[7])
    c = _FIRST + _BEND[1] * larger(m - _MACH[1], 0.0) + _BEND[2] * larger(m - _MACH[2], 0.0) + _BEND[3] * larger(m - _MACH[3], 0.0)
    return c + _BEND[4] * larger(m - _MACH[4], 0.0) + _BEND[5] * larger(m - _MACH[5], 0.0) + _BEND[6] * larger(m - _MACH[6], 0.0)


@borrowing(forceinline=True)
def factor_at(h, v):
    """`drag_factor` at height h (m) and speed v (m/s), to 1e-5, 1e-3 where a layer of the standard begins."""
    u = _line(h)
    i = int(u)
    return _factor(v * (_SLOWNESS[i, 0] + (u - i) * _SLOWNESS[i, 1]))


@borrowing(forceinline=True)
def factors_at(h, v):
    """`factor_at` eight heights and speeds."""
    u = _line(h)
    i = whole(u)
    slowness, rise, _, _ = fours(_SLOWNESS, i)
    return _factor(v * (slowness + (u - i) * rise))
