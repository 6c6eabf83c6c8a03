"""What a body is pulled by, quickly: gravity, drag, and the air's density out of tables of cubics, without logarithms and powers.

What falls are made of is to the bit alike of one state and of eight side by side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from copfuse.constants import EARTH_A, EARTH_B, EARTH_E2, EARTH_OMEGA, J2, MU
from copfuse.kernels import borrowing
from copfuse.kernels.earth import DEEPEST, air
from copfuse.kernels.eights import above, fours, larger, root, smaller, two_to, where_below, whole
from copfuse.kernels.mach import factor_at

DRAG_CEILING = 150e3  # m, the filters know no drag above
DRAG_MOST = 3000.0  # m/s^2, so that a cubature point thrown under the ground stays finite; a steep fall at 7 km/s has half of it
_EP2 = (EARTH_A / EARTH_B) ** 2 - 1.0  # second eccentricity squared
_J2 = 1.5 * J2 * EARTH_A * EARTH_A
_NEARLY = DRAG_MOST * (1.0 - 1e-9)  # by more than roundings, so that nothing depends on what stands beside it
_LAYER = 250.0  # m of height that one cubic stands for
_LOWEST = -10e3  # m: the last step ends under the ground, and is smooth there


def _cubics() -> np.ndarray:
    """Half the air's density in layers of `_LAYER` from `_LOWEST` on, as coefficients of the share of the layer below, ``(layers + 1, 4)``.

    Each cubic goes through the values of `earth.air` at thirds of its layer: to 1e-8, 1e-3 in the layers where a temperature gradient
    of the standard begins.  The last one, at `DRAG_CEILING`, is 0.
    """
    layers = round((DRAG_CEILING - _LOWEST) / _LAYER)
    dense = getattr(air, "py_func", air)  # nothing is compiled where this is read
    at = np.array([[0.5 * dense(_LOWEST + (i + j / 3.0) * _LAYER)[0] for j in range(4)] for i in range(layers)])
    powers = np.vander(np.arange(4) / 3.0, increasing=True)
    return np.ascontiguousarray(np.concatenate([np.linalg.solve(powers, at.T).T, np.zeros((1, 4))]))  # row by row: `eights.fours`


_AIR = _cubics()


@borrowing(forceinline=True)
def _piece(h):
    """Place in the table, in layers, of height h (m): below it the lowest layer goes on, above it there is no air."""
    return smaller(larger((h - _LOWEST) * (1.0 / _LAYER), 0.0), len(_AIR) - 1.0)  # 0 where h is nan, too: nothing outside is read


@borrowing(forceinline=True)
def half_density(h):
    """Half the air's density, kg/m^3, at height h (m), of which below the ground the lowest layer goes on; none from `DRAG_CEILING` on."""
    u = _piece(h)
    i = int(u)
    f = u - i
    return _AIR[i, 0] + f * (_AIR[i, 1] + f * (_AIR[i, 2] + f * _AIR[i, 3]))


@borrowing(forceinline=True)
def half_densities(h):
    """`half_density` at eight heights."""
    u = _piece(h)
    i = whole(u)
    a, b, c, d = fours(_AIR, i)
    f = u - i
    return a + f * (b + f * (c + f * d))


@borrowing(forceinline=True)
def away(x, y, z):
    """Distance from the Earth's centre, 1 over its square, and height, along the radius: on the ground it is 0 as the geodetic one is, and
    150 km above 1 m more than that."""
    r2 = larger(x * x + y * y + z * z, DEEPEST * DEEPEST)
    r, over2 = root(r2), 1.0 / r2
    u = _EP2 * (z * z * over2)  # series of a / sqrt(1 + u), to 0.1 mm
    return r, over2, r - EARTH_A * (1.0 - u * (0.5 - u * (0.375 - u * (0.3125 - u * 0.2734375))))


@borrowing(forceinline=True)
def slowed(half, factor, v, over):
    """Drag over speed, where ``half`` the air's density is."""
    return smaller(half * v * factor * over, DRAG_MOST / (v + 1.0))


@borrowing(forceinline=True)
def limited(k, v):
    """Drag over speed of eight, as `slowed` limits it: where none of them comes near the limit nothing is divided."""
    return k if above(_NEARLY - k * (v + 1.0), 0.0) else smaller(k, DRAG_MOST / (v + 1.0))


@borrowing(forceinline=True)
def pulled(x, y, z, vx, vy, vz, r, over2, k):
    """Acceleration (three numbers)."""
    s = z * z * over2
    g = -MU * over2 * (r * over2)
    j = _J2 * over2
    xy = g * (1.0 + j * (1.0 - 5.0 * s)) + EARTH_OMEGA * EARTH_OMEGA
    zz = g * (1.0 + j * (3.0 - 5.0 * s))
    return xy * x + 2.0 * EARTH_OMEGA * vy - k * vx, xy * y - 2.0 * EARTH_OMEGA * vx - k * vy, zz * z - k * vz


@borrowing(forceinline=True)
def flow(x, y, z, vx, vy, vz, over):
    """Acceleration (three numbers) of a fall at a state, height there, drag over speed, distance from the Earth's centre.

    As `earth.free_acceleration` less `motions.drag_of`, with ``over`` = 1 / beta, what they have in common computed once; the height is
    that of `away`.
    """
    r, over2, h = away(x, y, z)
    v = root(vx * vx + vy * vy + vz * vz)
    k = slowed(half_density(h), factor_at(h, v), v, over)
    ax, ay, az = pulled(x, y, z, vx, vy, vz, r, over2, k)
    return ax, ay, az, h, k, r


# Of the filter's points --------------------------------------------------------------------------------------------------

_RADIUS, _TOP, _WIDE = 6356766.0, 86e3, 500.0  # m: the standard's Earth radius, where its layers in geopotential height end; of a piece
_BELOW = 170  # pieces up to there, the last one not whole


def _pieces() -> np.ndarray:
    """Cubics of the density over pieces `_WIDE` m thick, in geopotential height below `_TOP` and in height above: four numbers a piece.

    Each lies in one layer of the standard (its layers end at whole kilometres), through the density at four of Chebyshev's nodes.
    """
    density: Any = getattr(air, "py_func", air)  # nothing is compiled when this is imported
    node = 0.5 - 0.5 * np.cos(np.pi * (np.arange(4) + 0.5) / 4)
    above = round((DRAG_CEILING - _TOP) / _WIDE)
    place = np.repeat(node[None], _BELOW + above, axis=0)
    place[_BELOW - 1] *= _RADIUS * _TOP / (_RADIUS + _TOP) / _WIDE - (_BELOW - 1)
    geo = _WIDE * (np.arange(_BELOW)[:, None] + place[:_BELOW])
    height = np.concatenate([_RADIUS * geo / (_RADIUS - geo), _TOP + _WIDE * (np.arange(above)[:, None] + place[_BELOW:])])
    values = np.array([[density(h)[0] for h in row] for row in height.tolist()])
    return np.linalg.solve(place[:, :, None] ** np.arange(4), values[:, :, None]).ravel()


_PIECES = _pieces()
_LN2 = math.log(2.0)
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6  # in two parts, the first of so few bits that k times it is exact
_E0, _E1, _E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10, _E11, _E12 = (1.0 / math.factorial(n) for n in range(13))


@borrowing
def thickness(h):
    """Density kg/m^3 of `earth.air` at eight heights h (m) from 0 to `DRAG_CEILING`, to 3e-7 of itself, without powers."""
    u = where_below(h, _TOP, _RADIUS / _WIDE * h / (_RADIUS + h), _BELOW + (h - _TOP) * (1.0 / _WIDE))
    i = smaller(whole(u), len(_PIECES) // 4 - 1.0)
    a, b, c, d = fours(_PIECES, i)
    f = u - i
    return a + f * (b + f * (c + f * d))


@borrowing(forceinline=True)
def exponential(x):
    """e to the power of eight numbers, to 2e-15 of itself; what is beyond 700 either way counts as that, and nan stays nan.

    x = k ln 2 + r with a whole k, and the series of e^r to its twelfth term, its even and odd terms each by themselves.
    """
    x = larger(-700.0, smaller(700.0, x))  # in this order, as the other is taken where one is nan
    k = whole(x * (1.0 / _LN2) + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    q = r * r
    even = _E0 + q * (_E2 + q * (_E4 + q * (_E6 + q * (_E8 + q * (_E10 + q * _E12)))))
    odd = _E1 + q * (_E3 + q * (_E5 + q * (_E7 + q * (_E9 + q * _E11))))
    return (even + r * odd) * two_to(k)


@borrowing
def drag_near(s, log_beta):
    """`motions.drag_of`, with the height of `lanes`, the air of `half_density` and the factor of `mach.factor_at`: to 1e-5, some 1e-4
    where the speed of sound bends, 1e-3 where a temperature gradient begins.  Process noise is reckoned by it."""
    _, over2, h = away(s[0], s[1], s[2])
    z2 = s[2] * s[2] * over2
    h = larger(h - 0.5 * EARTH_E2 * EARTH_E2 * h * z2 * (1.0 - z2), 0.0)
    v = math.sqrt(s[3] * s[3] + s[4] * s[4] + s[5] * s[5])
    return slowed(half_density(h), factor_at(h, v), v, math.exp(-log_beta))
