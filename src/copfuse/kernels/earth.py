"""Gravity, altitude and air around a point, on plain floats; truth and filters both call these."""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_A, EARTH_B, EARTH_E2, EARTH_OMEGA, J2, MU
from copfuse.kernels import borrowing

DEEPEST = 1e6  # m, nothing that flies is nearer to the Earth's centre; gravity grows no more there, so a wild guess stays finite
_EP2 = (EARTH_A / EARTH_B) ** 2 - 1.0  # second eccentricity squared


@borrowing
def gravitation(x, y, z):
    """Gravitational acceleration (J2 field) at an Earth-fixed point, m/s^2."""
    r2 = max(x * x + y * y + z * z, DEEPEST * DEEPEST)
    r = math.sqrt(r2)
    g = -MU / (r2 * r)
    k = 1.5 * J2 * EARTH_A * EARTH_A / r2
    s = 5.0 * z * z / r2
    xy = g * (1.0 + k * (1.0 - s))
    return xy * x, xy * y, g * (1.0 + k * (3.0 - s)) * z


@borrowing
def free_acceleration(x, y, z, vx, vy):
    """Acceleration of free fall in the rotating frame: J2 gravitation, Coriolis, centrifugal, m/s^2."""
    ax, ay, az = gravitation(x, y, z)
    w = EARTH_OMEGA
    return ax + w * w * x + 2.0 * w * vy, ay + w * w * y - 2.0 * w * vx, az


@borrowing
def altitude(x, y, z):
    """Geodetic height above WGS-84, m (Bowring 1985, closed form; below 1 mm up to 10 000 km)."""
    p = math.sqrt(x * x + y * y)
    r = math.sqrt(p * p + z * z) + 1e-9
    tan_u = EARTH_B * z / (EARTH_A * p + 1e-9) * (1.0 + _EP2 * EARTH_B / r)
    cos_u = 1.0 / math.sqrt(1.0 + tan_u * tan_u)
    sin_u = tan_u * cos_u
    top = z + _EP2 * EARTH_B * sin_u**3
    bottom = p - EARTH_E2 * EARTH_A * cos_u**3
    over = 1.0 / math.sqrt(top * top + bottom * bottom)
    s = top * over  # sine of the latitude; the cosine is bottom * over
    return p * bottom * over + z * s - EARTH_A * math.sqrt(1.0 - EARTH_E2 * s * s)


@borrowing
def wind_at(x, y, z, east, north):
    """A level wind, ``east`` and ``north`` m/s, at an Earth-fixed point, as a velocity there; level to a fifth of a degree."""
    level2 = x * x + y * y + 1e-9
    level = math.sqrt(level2)
    e, n = east / level, north / (level * math.sqrt(level2 + z * z))
    return -e * y - n * z * x, e * x - n * z * y, n * level2


@borrowing
def reaches(x, y, z, h):
    """Whether an `altitude` is ``h`` m or more, which need be asked only where the Earth's flattening matters."""
    r2 = x * x + y * y + z * z
    if r2 > (EARTH_A + h + 1.0) ** 2 or r2 < (EARTH_B + h - 1.0) ** 2:
        return r2 > (EARTH_A + h) ** 2
    return altitude(x, y, z) >= h


@borrowing
def altitudes(position, out):
    """Geodetic heights ``out (n,)`` m of Earth-fixed rows ``position (n, 3 or more)``."""
    for i in range(len(out)):
        out[i] = altitude(position[i, 0], position[i, 1], position[i, 2])


# US Standard Atmosphere 1976 (NOAA-S/T 76-1562): base geopotential heights m, temperatures K, lapse rates K/m
_H = np.array([0.0, 11e3, 20e3, 32e3, 47e3, 51e3, 71e3, 84852.0])
_T = np.array([288.15, 216.65, 216.65, 228.65, 270.65, 270.65, 214.65, 186.946])
_L = np.array([-6.5e-3, 0.0, 1e-3, 2.8e-3, 0.0, -2.8e-3, -2.0e-3])
_RADIUS = 6356766.0  # m, its Earth radius
_GMR = 9.80665 * 0.0289644 / 8.31432  # K/m
_GAS = 8.31432 / 0.0289644  # J/(kg K)


def _pressures() -> np.ndarray:
    p = [101325.0]
    for i in range(7):
        dh = _H[i + 1] - _H[i]
        if _L[i] == 0.0:
            p.append(p[-1] * math.exp(-_GMR * dh / _T[i]))
        else:
            p.append(p[-1] * (_T[i] / (_T[i] + _L[i] * dh)) ** (_GMR / _L[i]))
    return np.array(p)


_P = _pressures()
# Its table IV above 86 km: geometric height m, density kg/m^3; log-linear between
_UP_H = 1e3 * np.array(
    [86, 90, 95, 100, 105, 110, 115, 120, 125, 130, 140, 150, 160, 180, 200, 250, 300, 400, 500, 600, 700, 800, 900, 1000.0]
)
_UP_LOG = np.log(
    np.array(
        [6.958e-6, 3.416e-6, 1.393e-6, 5.604e-7, 2.325e-7, 9.708e-8, 4.289e-8, 2.222e-8, 1.291e-8, 8.152e-9, 3.831e-9, 2.076e-9]
        + [1.233e-9, 5.194e-10, 2.541e-10, 6.073e-11, 1.916e-11, 2.803e-12, 5.215e-13, 1.137e-13, 3.070e-14, 1.136e-14]
        + [5.759e-15, 3.561e-15]
    )
)


@borrowing
def air(h):
    """US Standard Atmosphere 1976 at geometric height h (m): density kg/m^3, speed of sound m/s.

    Zero density above 1000 km; below sea level the lowest layer goes on.  Above 86 km the speed of sound stays
    at its 86 km value, as the standard ends it there.
    """
    if h >= 86e3:
        sound = 274.1
        if h >= _UP_H[-1]:
            return 0.0, sound
        i = 0
        while h >= _UP_H[i + 1]:
            i += 1
        f = (h - _UP_H[i]) / (_UP_H[i + 1] - _UP_H[i])
        return math.exp(_UP_LOG[i] + f * (_UP_LOG[i + 1] - _UP_LOG[i])), sound
    geo = _RADIUS * h / (_RADIUS + h)
    i = 0
    while i < 6 and geo >= _H[i + 1]:
        i += 1
    dh = geo - _H[i]
    t = _T[i] + _L[i] * dh
    p = _P[i] * (math.exp(-_GMR * dh / _T[i]) if _L[i] == 0.0 else (_T[i] / t) ** (_GMR / _L[i]))
    return p / (_GAS * t), math.sqrt(1.4 * _GAS * t)
