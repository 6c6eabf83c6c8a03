"""Places on rows ``(n, 3)`` and states on rows ``(n, 6)``: geodetic, Earth-fixed, inertial, local axes.

Everything inside the package is Earth-fixed (ECEF, WGS-84), metres and radians.  pymap3d does the geodesy at this
edge.  Sensor frames are three unit vectors as rows of ``axes (3, 3)``: "east", "north", "up" for a ground site; a
satellite names its own (see `sensors`).  Azimuth runs from "north" clockwise to "east".
"""

from __future__ import annotations

import numpy as np
import pymap3d
from pymap3d import vincenty

from copfuse.constants import EARTH_OMEGA
from copfuse.kernels.earth import altitudes

WGS84 = pymap3d.Ellipsoid.from_name("wgs84")
OFF_AXIS = 1e6  # m from the Earth's axis from which on nothing is near a pole or the centre


def ecef(lat, lon, alt) -> np.ndarray:
    """Earth-fixed position (..., 3) m from geodetic latitude, longitude (rad) and height (m)."""
    lat, lon, alt = np.broadcast_arrays(*(np.asarray(v, float) for v in (lat, lon, alt)))
    return np.stack(pymap3d.geodetic2ecef(lat, lon, alt, deg=False), axis=-1)


def geodetic(position) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latitude, longitude (rad) and height (m), each (n,), of Earth-fixed rows ``position (n, 3 or more)``."""
    p = np.atleast_2d(np.asarray(position, float))
    if len(p) == 0:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    x, y, z = p[:, 0], p[:, 1], p[:, 2]
    if (np.hypot(x, y) > OFF_AXIS).all():
        return _off_axis(x, y, z)
    lat, lon, alt = pymap3d.ecef2geodetic(x, y, z, deg=False)
    return np.atleast_1d(lat), np.atleast_1d(lon), np.atleast_1d(alt)  # pymap3d drops the axis of a single row


def _off_axis(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pymap3d's closed form (You, J. Surveying Engineering 126, 2000), to the bit, in half its time: without its cases for the poles."""
    a, b = WGS84.semimajor_axis, WGS84.semiminor_axis
    E2, E = np.sqrt(a**2 - b**2) ** 2, np.sqrt(a**2 - b**2)
    beyond, level = np.sqrt(x**2 + y**2 + z**2) ** 2 - E2, np.hypot(x, y)
    u = np.sqrt(0.5 * beyond + 0.5 * np.hypot(beyond, 2 * E * z))
    far = np.hypot(u, E)
    beta = np.arctan(far / u * z / level)
    beta += ((b * u - a * far + E2) * np.sin(beta)) / (a * far / np.cos(beta) - E2 * np.cos(beta))
    alt = np.hypot(z - b * np.sin(beta), level - a * np.cos(beta))
    inside = x**2 / a**2 + y**2 / a**2 + z**2 / b**2 < 1
    alt[inside] = -alt[inside]
    return np.arctan(a / b * np.tan(beta)), np.arctan2(y, x), alt


def altitude(position) -> np.ndarray:
    """Geodetic height (n,) m of Earth-fixed rows ``position (n, 3 or more)``: the third part of `geodetic`, quickly."""
    rows = np.ascontiguousarray(position, float)
    if rows.ndim == 1:
        rows = rows[None]
    out = np.empty(len(rows))
    altitudes(rows, out)
    return out


def enu_axes(lat, lon) -> np.ndarray:
    """Unit vectors east, north, up as rows (..., 3, 3) at geodetic latitude and longitude (rad)."""
    lat, lon = np.broadcast_arrays(np.asarray(lat, float), np.asarray(lon, float))
    sa, ca, so, co = np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon)
    axes = np.zeros((*sa.shape, 3, 3))
    axes[..., 0, 0], axes[..., 0, 1] = -so, co
    axes[..., 1, 0], axes[..., 1, 1], axes[..., 1, 2] = -sa * co, -sa * so, ca
    axes[..., 2, 0], axes[..., 2, 1], axes[..., 2, 2] = ca * co, ca * so, sa
    return axes


def look(x, origin, axes, cosines=0) -> np.ndarray:
    """Range m, azimuth rad in [0, 2 pi), elevation rad, range rate m/s, rows (n, 4).

    ``x (n, 6)`` or ``(n, 3)`` (range rate nan) Earth-fixed; ``origin (3,)`` or ``(n, 3)``; ``axes (3, 3)`` or
    ``(n, 3, 3)``.  The origin is taken as fixed to the Earth.  Where ``cosines`` (scalar or (n,)) is not 0, the direction
    cosines u along the first axis and v along the third stand in the angles' places (r-u-v; the second axis is the
    face's normal).
    """
    x = np.atleast_2d(np.asarray(x, float))
    d = x[:, :3] - origin
    local = np.einsum("...ij,...j->...i", np.broadcast_to(axes, (len(x), 3, 3)), d)
    r = np.maximum(np.linalg.norm(d, axis=1), 1e-300)  # on top of the origin: every direction and rate is 0, not nan
    azimuth = np.mod(np.arctan2(local[:, 0], local[:, 1]), 2 * np.pi)
    elevation = np.arctan2(local[:, 2], np.hypot(local[:, 0], local[:, 1]))
    rate = np.einsum("ni,ni->n", d, x[:, 3:6]) / r if x.shape[1] >= 6 else np.full(len(x), np.nan)
    if np.any(cosines):
        azimuth = np.where(cosines, local[:, 0] / r, azimuth)
        elevation = np.where(cosines, local[:, 2] / r, elevation)
    seen = np.empty((len(x), 4))
    seen[:, 0], seen[:, 1], seen[:, 2], seen[:, 3] = r, azimuth, elevation, rate
    return seen


def point(distance, azimuth, elevation, origin, axes, cosines=0) -> np.ndarray:
    """Earth-fixed position (n, 3) at range m, azimuth and elevation rad (or u and v): the inverse of `look`.

    Cosines beyond the edge of the face, u^2 + v^2 > 1, are taken back to it.
    """
    r, az, el = (np.atleast_1d(np.asarray(v, float)) for v in (distance, azimuth, elevation))
    level = r * np.cos(el)
    local = np.empty((len(level), 3))
    local[:, 0], local[:, 1], local[:, 2] = level * np.sin(az), level * np.cos(az), r * np.sin(el)
    if np.any(cosines):
        over = np.maximum(np.hypot(az, el), 1.0)
        w = np.sqrt(np.maximum(1.0 - (az**2 + el**2) / over**2, 0.0))
        local = np.where(np.reshape(cosines, (-1, 1)), np.stack([r * az / over, r * w, r * el / over], axis=-1), local)
    return origin + np.einsum("...ji,...j->...i", np.broadcast_to(axes, (len(local), 3, 3)), local)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`np.cross` of vectors (..., 3), bit for bit: of a few rows in a fraction of its time."""
    ax, ay, az, bx, by, bz = a[..., 0], a[..., 1], a[..., 2], b[..., 0], b[..., 1], b[..., 2]
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0], out[..., 1], out[..., 2] = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    return out


def to_inertial(x, time) -> np.ndarray:
    """Inertial state rows (n, 6) whose axes coincide with the Earth-fixed ones at time 0 s."""
    x = np.atleast_2d(np.asarray(x, float))
    c, s = np.cos(EARTH_OMEGA * np.asarray(time)), np.sin(EARTH_OMEGA * np.asarray(time))
    vx, vy = x[:, 3] - EARTH_OMEGA * x[:, 1], x[:, 4] + EARTH_OMEGA * x[:, 0]
    return np.stack([c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1], x[:, 2], c * vx - s * vy, s * vx + c * vy, x[:, 5]], axis=1)


def from_inertial(x, time) -> np.ndarray:
    """Earth-fixed state rows (n, 6): the inverse of `to_inertial`."""
    x = np.atleast_2d(np.asarray(x, float))
    c, s = np.cos(EARTH_OMEGA * np.asarray(time)), np.sin(EARTH_OMEGA * np.asarray(time))
    px, py = c * x[:, 0] + s * x[:, 1], -s * x[:, 0] + c * x[:, 1]
    vx, vy = c * x[:, 3] + s * x[:, 4], -s * x[:, 3] + c * x[:, 4]
    return np.stack([px, py, x[:, 2], vx + EARTH_OMEGA * py, vy - EARTH_OMEGA * px, x[:, 5]], axis=1)


def ground_distance_bearing(lat1, lon1, lat2, lon2) -> tuple[np.ndarray, np.ndarray]:
    """Geodesic distance m and bearing rad [0, 2 pi) from point 1 to point 2 on WGS-84 (Vincenty, by pymap3d).

    Points that coincide have distance 0 and bearing 0; they are kept from pymap3d, whose iteration stops early for all
    points of an array that holds one.
    """
    lat1, lon1, lat2, lon2 = np.broadcast_arrays(*(np.asarray(v, float) for v in (lat1, lon1, lat2, lon2)))
    apart = (np.abs(lat1 - lat2) > 1e-12) | (np.abs(lon1 - lon2) > 1e-12)
    distance, bearing = np.zeros(lat1.shape), np.zeros(lat1.shape)
    if apart.any():
        found = vincenty.vdist(lat1[apart], lon1[apart], lat2[apart], lon2[apart], deg=False)
        distance[apart], bearing[apart] = found[0], np.mod(found[1], 2 * np.pi)
    return distance, bearing


def ground_point(lat, lon, distance, bearing) -> tuple[np.ndarray, np.ndarray]:
    """Latitude, longitude (rad) reached from a point over distance m at bearing rad on WGS-84."""
    lat2, lon2 = vincenty.vreckon(lat, lon, distance, bearing, deg=False)
    return np.asarray(lat2, float), np.mod(np.asarray(lon2, float) + np.pi, 2 * np.pi) - np.pi
