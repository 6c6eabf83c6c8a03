"""The air: its density, and how it bends a radar's ray over the horizon.

Refraction is that of the exponential reference atmosphere ``n = 1 + 315e-6 exp(-h / 7.35 km)`` (CRPL; ITU-R P.453)
over a sphere of 6371 km.  Terrain and ducts are left out: the sea is flat and the air is calm.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from copfuse.constants import EARTH_RADIUS
from copfuse.errors import CopfuseError
from copfuse.kernels import earth, ray


def density(altitude) -> np.ndarray:
    """Density kg/m^3 of the US Standard Atmosphere 1976 at geometric altitude m, any shape; zero above 1000 km."""
    h = np.asarray(altitude, float)
    return np.array([earth.air(v)[0] for v in h.ravel()]).reshape(h.shape)[()]


def _checked(name: str, value: Any, low: float, high: float, unit: str) -> np.ndarray:
    array = np.asarray(value, float)
    bad = array[~((array >= low) & (array <= high))]
    if bad.size:
        raise CopfuseError(f"lowest_visible_altitude: {name} is {bad.flat[0]:g} {unit}, expected {low:g} to {high:g} {unit}")
    return array


def lowest_visible_altitude(antenna_height, ground_distance, elevation=None) -> np.ndarray:
    """Lowest altitude (m) that a radar sees at a distance along the ground, arrays in and arrays out.

    Args:
        antenna_height: m above sea level, 0 to 100 km.
        ground_distance: m along the sphere at sea level, 0 to half the Earth's circumference.
        elevation: rad, the ray that leaves the antenna at this angle above its horizontal plane, within ±pi/2;
            None (or nan in an array) is the ray that grazes the sea-level Earth.

    The three broadcast.  Nearer than the grazing point the sea itself is in view and the answer is 0.  A ray that is
    aimed below the horizon meets the sea; beyond the grazing point the grazing ray takes over, so the answer is
    the higher of the two.  It is inf where no ray at or above that elevation gets so far round.

    Raises `CopfuseError` for a value outside these limits.  Known points: 1360 km away it is 131.9 km
    from sea level and 120.0 km from an antenna of 200 m.  The ray equation is in `kernels.ray`.
    """
    height = _checked("antenna height", antenna_height, 0.0, 100e3, "m")
    distance = _checked("ground distance", ground_distance, 0.0, np.pi * EARTH_RADIUS, "m")
    aim = np.asarray(np.nan if elevation is None else elevation, float)
    if elevation is not None:
        _checked("elevation", np.where(np.isnan(aim), 0.0, aim), -np.pi / 2, np.pi / 2, "rad")
    height, distance, aim = np.broadcast_arrays(height, distance, aim)
    out = np.empty(distance.shape)
    rows = [np.ascontiguousarray(v, float).ravel() for v in (height, distance / EARTH_RADIUS, aim)]
    ray.lowest_visible_rows(*rows, out.reshape(-1))
    return out[()]


TABLE_STEP = 2000.0  # m; between its points the curved horizon leaves a straight line by less than 0.1 m


@lru_cache(maxsize=512)
def horizon(antenna_height: float, elevation: float, reach: float) -> np.ndarray:
    """`lowest_visible_altitude` at ground distances 0, TABLE_STEP, ... to at least ``reach`` m, read-only.

    For looking up many targets of one sensor by linear interpolation; ``elevation`` nan is the grazing ray.
    """
    out = np.empty(int(np.ceil(reach / TABLE_STEP)) + 2)
    ray.lowest_visible_table(antenna_height, elevation, TABLE_STEP / EARTH_RADIUS, out)
    out.flags.writeable = False
    return out
