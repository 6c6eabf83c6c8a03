"""What sensors report: where they stand, what they can see, how surely and how well.

Visibility is geometry (ray-traced horizon, sector, elevation limits, range, and for infrared burning and cloud);
detection is by signal-to-noise ratio and Swerling's case; accuracy follows the ratio down to a floor.  Refraction
decides what is visible; the reported elevation counts as corrected for it, what is left is the elevation bias.
"""

from __future__ import annotations

import math
from datetime import datetime
from functools import lru_cache

import numpy as np

from copfuse import atmosphere, frames
from copfuse.constants import EARTH_A, EARTH_F, EARTH_OMEGA, EARTH_RADIUS, MU
from copfuse.errors import CopfuseError
from copfuse.laydowns import Orbit, Sensor, laydown, parse
from copfuse.swerling import detection_probability, required_snr

__all__ = [
    "COSINES", "FACTS", "Orbit", "Sensor", "accuracies", "accuracy", "clutter_density", "detection_chance", "detection_probability",
    "facts", "imaged_before", "in_reach", "in_service", "laydown", "observe", "parse", "place", "radar_snr", "required_snr", "scan_angle",
]  # fmt: skip


def place(sensor: Sensor, time) -> tuple[np.ndarray, np.ndarray]:
    """Earth-fixed origin (n, 3) m and axes (n, 3, 3) of a sensor at times (n,) s after the epoch, for `frames.look`.

    Ground, ship, air: east, north, up.  A radar that reports u and v: its face's own axes, right (level, as seen from
    the radar looking out), normal (to the ``boresight``, up by ``face_tilt``), up the face.  Satellites: "north" points
    to the Earth's centre, "up" near Earth north, "east" completes them, so that azimuth and elevation of everything on
    the Earth are small angles around 0.
    Raises `CopfuseError` for a sensor without a place (imaging satellites, whose orbits are not modelled).
    """
    time = np.atleast_1d(np.asarray(time, float))
    if stands(sensor):
        stand, axes = standing(sensor)
        return np.broadcast_to(stand, (len(time), 3)), np.broadcast_to(axes, (len(time), 3, 3))
    if sensor.orbit is None:
        raise CopfuseError(f"sensor {sensor.name} of kind {sensor.kind!r} has no place: it neither stands anywhere nor has an orbit")
    origin = _orbit_position(sensor.orbit, time)
    return origin, np.broadcast_to(_level(sensor), (len(time), 3, 3)) if _levelled(sensor) else _down_to_earth(origin)


def _down_to_earth(origin: np.ndarray) -> np.ndarray:
    """Axes (n, 3, 3) of satellites at ``origin (n, 3)``."""
    north = -origin / np.linalg.norm(origin, axis=1, keepdims=True)
    up = np.array([0.0, 0.0, 1.0]) - north[:, 2:] * north
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    return np.stack([frames.cross(north, up), north, up], axis=1)


def stands(sensor: Sensor) -> bool:
    """Whether a sensor's `place` is the same at any time."""
    return sensor.orbit is None and math.isfinite(sensor.lat)


def _levelled(sensor: Sensor) -> bool:
    return sensor.platform not in ("geo", "heo", "leo")


@lru_cache(maxsize=256)
def standing(sensor: Sensor) -> tuple[np.ndarray, np.ndarray]:
    """`place` of a sensor that stands still, at any time: origin (3,) m and axes (3, 3), not to be changed."""
    stand = frames.ecef(sensor.lat, sensor.lon, sensor.alt)
    return stand, _level(sensor) if _levelled(sensor) else _down_to_earth(stand[None])[0]


def _level(sensor: Sensor) -> np.ndarray:
    """Axes (3, 3) of what is no satellite."""
    level = frames.enu_axes(sensor.lat, sensor.lon)
    return _face(sensor) @ level if sensor.cosines else level


def _face(sensor: Sensor) -> np.ndarray:
    """Right, normal and up of a radar's face as rows (3, 3) in east, north, up."""
    s, c, st, ct = np.sin(sensor.boresight), np.cos(sensor.boresight), np.sin(sensor.face_tilt), np.cos(sensor.face_tilt)
    return np.array([[c, -s, 0.0], [ct * s, ct * c, st], [-st * s, -st * c, ct]])


def _orbit_position(orbit: Orbit, time: np.ndarray) -> np.ndarray:
    """Earth-fixed position (n, 3) on a Kepler orbit (Vallado, algorithms 2 and 10)."""
    a, e = orbit.semi_major_axis, orbit.eccentricity
    mean = orbit.mean_anomaly + np.sqrt(MU / a**3) * time
    mean = np.mod(mean + np.pi, 2.0 * np.pi) - np.pi
    before = anomaly = mean + e * np.sin(mean)
    for left in reversed(range(20)):
        then, before = before, anomaly
        anomaly = anomaly - (anomaly - e * np.sin(anomaly) - mean) / (1.0 - e * np.cos(anomaly))
        if np.array_equal(before if left % 2 else then, anomaly):  # as they stay, or go to and fro in the last bit
            break
    x, y = a * (np.cos(anomaly) - e), a * np.sqrt(1.0 - e * e) * np.sin(anomaly)
    cw, sw, ci, si = np.cos(orbit.perigee), np.sin(orbit.perigee), np.cos(orbit.inclination), np.sin(orbit.inclination)
    along, across = cw * x - sw * y, sw * x + cw * y
    node = orbit.node_lon - EARTH_OMEGA * time
    return np.stack(
        [along * np.cos(node) - across * ci * np.sin(node), along * np.sin(node) + across * ci * np.cos(node), across * si], axis=1
    )


def radar_snr(sensor: Sensor, distance, rcs) -> np.ndarray:
    """Mean signal-to-noise power ratio of one look on boresight at ``distance`` m against ``rcs`` m^2; broadcasts.

    ``snr0 (range0 / R)^4 rcs / rcs0``, the radar equation with everything that is constant in ``snr0``.
    Raises `CopfuseError` for a sensor that is no radar.
    """
    if sensor.kind != "radar":
        raise CopfuseError(f"sensor {sensor.name} is of kind {sensor.kind!r} and has no radar equation")
    return sensor.snr0 * (sensor.range0 / np.asarray(distance, float)) ** 4 * np.asarray(rcs, float) / sensor.rcs0


def scan_angle(sensor: Sensor, azimuth, elevation) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of the angle off the normal of the face that looks there: in azimuth alone, and in all."""
    across, elevation = _off_normal(sensor, np.asarray(azimuth, float)), np.asarray(elevation, float)
    whole = np.cos(elevation) * across * np.cos(sensor.face_tilt) + np.sin(elevation) * np.sin(sensor.face_tilt)
    return across, np.maximum(whole, 1e-3)


def _off_normal(sensor: Sensor, azimuth: np.ndarray) -> np.ndarray:
    """The first of them alone."""
    if not sensor.faces:
        return np.ones_like(azimuth)
    share = sensor.azimuth_width / sensor.faces
    off = np.mod(azimuth - sensor.boresight + 0.5 * sensor.azimuth_width, 2.0 * np.pi)
    return np.cos(np.mod(off, share) - 0.5 * share)


def accuracy(sensor: Sensor, snr, azimuth, elevation) -> np.ndarray:
    """Standard deviations (n, 4) of range m, azimuth rad, elevation rad, range rate m/s; nan where a sensor has none.

    Of u and v for a radar that reports them, whatever the two angles: the array's beam does not broaden there.

    Radar: range resolution / sqrt(2 SNR), beamwidth / (1.6 sqrt(2 SNR)) (monopulse, Barton & Ward 1969, with k_m = 1.6), each
    with its floor.  On a fixed face the beam is as wide as ``1 / cos`` of the scan angle in its own direction (an array
    measures direction cosines), and an azimuth error is a cross-range angle over cos(elevation).  Their correlation off the axes
    of the face is left out.  Infrared: the line of sight's.
    """
    snr, azimuth, elevation = (np.atleast_1d(np.asarray(v, float)) for v in (snr, azimuth, elevation))
    if not snr.shape == azimuth.shape == elevation.shape:
        snr, azimuth, elevation = np.broadcast_arrays(snr, azimuth, elevation)
    return accuracies(np.array([facts(sensor)]), snr, azimuth, elevation)


COSINES, FACTS = 11, 12  # where `facts` say whether a sensor reports u and v, and how many there are


@lru_cache(maxsize=256)
def facts(sensor: Sensor) -> tuple[float, ...]:
    """What `accuracies` asks for of a sensor: of each component what its accuracy is over the root of twice the ratio, and its floor, and
    how its faces look."""
    if sensor.kind != "radar":
        return math.nan, math.nan, 0.0, sensor.sigma_los, 0.0, sensor.sigma_los, math.nan, 0.0, 0.0, 0.0, 0.0, 0.0
    share = sensor.azimuth_width / sensor.faces if sensor.faces else 0.0
    az, el, least = sensor.beamwidth_az, sensor.beamwidth_el, sensor.sigma_angle_min
    ranged, place = (sensor.range_resolution, sensor.sigma_range_min), (sensor.boresight, sensor.azimuth_width, share, sensor.face_tilt)
    return *ranged, az, least, el, least, sensor.sigma_range_rate, *place, float(sensor.cosines)


def accuracies(of: np.ndarray, snr: np.ndarray, azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """`accuracy` of looks (n,) of several sensors, of which each has the `facts` ``of (n or 1, FACTS)``."""
    size, least, az, least_az, el, least_el, rate, boresight, width, share, tilt, cosines = of.T
    angles, infrared, faces = cosines == 0.0, np.isnan(size), share > 0.0
    root = np.sqrt(2.0 * np.where(infrared, 1.0, snr))
    off = np.mod(azimuth - boresight + 0.5 * width, 2.0 * np.pi)
    across = np.where(angles & faces, np.cos(np.mod(off, np.where(faces, share, 1.0)) - 0.5 * share), 1.0)
    along = np.where(angles, np.maximum(np.cos(elevation - tilt), 0.02), 1.0)
    level = np.where(angles, np.maximum(np.cos(elevation), 0.02), 1.0)
    sigma = np.empty((len(snr), 4))
    sigma[:, 0] = np.maximum(size / root, least)
    sigma[:, 1] = np.maximum(az / (1.6 * root * across), least_az) / level
    sigma[:, 2] = np.maximum(el / (1.6 * root * along), least_el)
    sigma[:, 3] = rate
    return sigma


def observe(sensor: Sensor, x, time, rcs, boosting) -> tuple[np.ndarray, np.ndarray]:
    """True range, azimuth, elevation (or u, v), range rate (n, 4) and mean SNR (n,), 0 where the target cannot be seen.

    ``x (n, 6)`` Earth-fixed, ``time (n,)`` s, ``rcs`` m^2 and ``boosting`` (bool) scalars or (n,).  Infrared has nan for
    range and range rate.  No noise and no bias.
    """
    x = np.atleast_2d(np.asarray(x, float))
    origin, axes = place(sensor, np.broadcast_to(np.asarray(time, float), len(x)))
    z = frames.look(x, origin, frames.enu_axes(sensor.lat, sensor.lon) if sensor.cosines else axes)
    burning = np.broadcast_to(np.asarray(boosting, bool), len(x))
    seen = _in_sector(sensor, z)
    if sensor.kind == "infrared":
        seen &= burning
    rows = np.flatnonzero(seen)
    seen[rows] = _unobstructed(sensor, x[rows], origin[rows])
    if sensor.kind == "radar":
        snr = radar_snr(sensor, z[:, 0], rcs) * scan_angle(sensor, z[:, 1], z[:, 2])[1] ** sensor.scan_loss
    else:
        snr = sensor.snr0 * (sensor.range0 / z[:, 0]) ** 2
        z[:, [0, 3]] = np.nan
    if sensor.cosines:
        z = frames.look(x, origin, axes, 1)
    return z, np.where(seen, snr, 0.0)


def in_reach(sensor: Sensor, x: np.ndarray, boosting: np.ndarray) -> np.ndarray:
    """Which targets ``x (n, 6)`` a sensor may see, quickly: if infrared those that burn, if it stands still those in range; (n,)."""
    reached = boosting if sensor.kind == "infrared" else np.ones(len(x), bool)
    if stands(sensor):
        away = x[:, :3] - standing(sensor)[0]
        reached = reached & (np.einsum("ni,ni->n", away, away) <= ((1.0 + 1e-9) * sensor.range_max) ** 2)
    return reached


def _in_sector(sensor: Sensor, z: np.ndarray) -> np.ndarray:
    """Whether a look (n, 4) lies within range, azimuth sector and upper elevation; the lower one needs the ray."""
    off = np.abs(np.mod(z[:, 1] - sensor.boresight + np.pi, 2.0 * np.pi) - np.pi)
    inside = (z[:, 0] <= sensor.range_max) & (off <= 0.5 * sensor.azimuth_width + 1e-12) & (z[:, 2] <= sensor.max_elevation)
    if sensor.platform in ("geo", "heo", "leo"):
        inside &= z[:, 2] >= sensor.min_elevation
    return inside if sensor.kind in ("radar", "infrared") else np.zeros(len(z), bool)


def _unobstructed(sensor: Sensor, x: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Whether Earth and cloud leave the line of sight free, (n,)."""
    if len(x) == 0:
        return np.zeros(0, bool)
    lat, lon, altitude = frames.geodetic(x[:, :3])
    if sensor.platform in ("geo", "heo", "leo"):
        return (altitude >= sensor.cloud_break) & _before_the_earth(x[:, :3], origin)
    distance = ground_distance(sensor.lat, sensor.lon, lat, lon)
    table = horizon_table(sensor)
    lowest = np.interp(distance, atmosphere.TABLE_STEP * np.arange(len(table)), table)
    return (altitude >= lowest) & (altitude >= sensor.cloud_break)


def horizon_table(sensor: Sensor) -> np.ndarray:
    """`atmosphere.horizon` of a ground, ship or air sensor at the higher of its lowest elevation and the horizon."""
    reach = min(sensor.range_max + 50e3, 0.5 * np.pi * EARTH_RADIUS)
    return atmosphere.horizon(sensor.alt, sensor.min_elevation, reach)


def _before_the_earth(target: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Whether the straight line from a satellite to the target stays outside WGS-84 (scaled to a unit sphere)."""
    scale = np.array([EARTH_A, EARTH_A, EARTH_A * (1.0 - EARTH_F)])
    t, o = target / scale, origin / scale
    d = o - t
    along = np.einsum("ni,ni->n", t, d)
    nearest2 = np.einsum("ni,ni->n", t, t) - along**2 / np.einsum("ni,ni->n", d, d)
    return (along >= 0.0) | (nearest2 >= 1.0)


def ground_distance(lat1, lon1, lat2, lon2) -> np.ndarray:
    """Distance m on WGS-84 by the formula of Andoyer and Lambert (about 50 m in 5000 km); rad in, broadcasts.

    In closed form, so that thousands of targets cost little; `frames.ground_distance_bearing` is exact and slow.
    """
    b1, b2 = (np.arctan((1.0 - EARTH_F) * np.tan(np.asarray(v, float))) for v in (lat1, lat2))
    s2 = np.sin(0.5 * (b2 - b1)) ** 2 + np.cos(b1) * np.cos(b2) * np.sin(0.5 * (np.asarray(lon2) - np.asarray(lon1))) ** 2
    s2 = np.clip(s2, 1e-18, 1.0 - 1e-12)
    sigma = 2.0 * np.arcsin(np.sqrt(s2))
    p, q = 0.5 * (b1 + b2), 0.5 * (b2 - b1)
    first = (sigma - np.sin(sigma)) * (np.sin(p) * np.cos(q)) ** 2 / (1.0 - s2)
    second = (sigma + np.sin(sigma)) * (np.cos(p) * np.sin(q)) ** 2 / s2
    return EARTH_A * (sigma - 0.5 * EARTH_F * (first + second))


def detection_chance(sensor: Sensor, x, time, rcs, boosting) -> tuple[np.ndarray, np.ndarray]:
    """Probability of detection in one look and mean SNR, each (n,), of targets ``x (n, 6)`` at ``time``.

    Zero where horizon, sector, elevation, range, or (infrared) burn-out and cloud forbid it.  Arguments as in `observe`.
    """
    _, snr = observe(sensor, x, time, rcs, boosting)
    return np.where(snr > 0.0, detection_probability(snr, sensor.pfa, sensor.swerling), 0.0), snr


CLUTTER_RATE = 4000.0  # m/s, notional: a Doppler radar's false plots have range rates uniform within plus and minus this


def clutter_density(sensor: Sensor) -> float:
    """Expected false plots per search per m rad rad (radar) or per rad rad (infrared).

    They are uniform in range and angles; in u and v, where a radar reports those, this is their mean density.  Where the
    radar measures range rate, the density per m rad rad m/s is this over ``2 CLUTTER_RATE``.
    """
    volume = _cosine_area(sensor) if sensor.cosines else sensor.azimuth_width * (sensor.max_elevation - sensor.min_elevation)
    if sensor.kind == "radar":
        volume *= sensor.range_max
    return sensor.clutter_per_scan / volume


def _cosine_area(sensor: Sensor) -> float:
    """Area of a sector in the plane of u and v: the integral of the cosine off the normal over the solid angle."""
    low, high = sensor.min_elevation, sensor.max_elevation
    level = 0.5 * (high - low) + 0.25 * (np.sin(2.0 * high) - np.sin(2.0 * low))  # of cos^2, and of sin cos:
    slope = 0.5 * (np.sin(high) ** 2 - np.sin(low) ** 2)
    across = 2.0 * np.sin(0.5 * sensor.azimuth_width)
    return float(np.cos(sensor.face_tilt) * across * level + np.sin(sensor.face_tilt) * sensor.azimuth_width * slope)


def in_service(sensor: Sensor, when: datetime) -> bool:
    """Whether the sensor's dates of service include that day."""
    day = when.date()
    return (sensor.service_from is None or sensor.service_from <= day) and (sensor.service_until is None or day <= sensor.service_until)


def imaged_before(sensors, exposure: float) -> float:
    """Probability that preparations that stand in the open for ``exposure`` s before launch are imaged at least once.

    Over the imaging sensors of ``sensors``, each passing once per revisit at a random phase.  This is all that
    imaging contributes: a prior on a launch, never a plot and never a track.
    """
    missed = [1.0 - min(exposure / s.search_revisit, 1.0) for s in sensors if s.kind == "imaging"]
    return 1.0 - float(np.prod(missed))
