"""The lowest altitude at which a nation's radars see a target, over a grid of places."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from copfuse import atmosphere, frames
from copfuse.constants import EARTH_RADIUS, NATIONS
from copfuse.errors import CopfuseError
from copfuse.sensors import Sensor, ground_distance, horizon_table
from copfuse.tables import replacing

REGION = (25.0, 50.0, 115.0, 155.0)  # deg: south, north, west, east of the packaged laydown's map


@dataclass(frozen=True, eq=False)
class Coverage:
    """What `coverage` found: grid lines ``lat (n,)``, ``lon (m,)`` rad; per entry of ``names`` a layer (k, n, m) of each.

    ``names``: every nation, then "together".  ``lowest`` and ``highest`` m: a target between them (and, where sensors
    cover different heights, at some heights between them) is in view; nan where nobody looks.  ``sensors``: how many radars do.
    """

    lat: np.ndarray
    lon: np.ndarray
    names: tuple[str, ...]
    lowest: np.ndarray
    highest: np.ndarray
    sensors: np.ndarray


def region(n: int = 200, m: int | None = None, bounds: tuple[float, float, float, float] = REGION) -> tuple[np.ndarray, np.ndarray]:
    """Grid lines in degrees, n from south to north and m (default n) from west to east, of ``bounds`` S, N, W, E in degrees."""
    south, north, west, east = bounds
    if not (-90.0 <= south < north <= 90.0 and west < east <= west + 360.0):
        raise CopfuseError(f"coverage: bounds {bounds} are not south < north (within ±90) and west < east, in degrees")
    if min(n, m or n) < 2:
        raise CopfuseError(f"coverage: a grid of {n} x {m or n} has no area, expected at least 2 x 2")
    return np.linspace(south, north, n), np.linspace(west, east, m or n)


def coverage(sensors: Iterable[Sensor], lat_deg=None, lon_deg=None) -> Coverage:
    """Lowest and highest visible altitude over the grid of ``lat_deg (n,)`` and ``lon_deg (m,)``, per nation and together.

    Every radar with a place counts, whatever its availability; terrain does not exist.  The lower bound is the ray-traced
    horizon or lowest elevation, the upper one the sector's highest elevation or the range limit; whether the radar's
    energy suffices against a given target is `sensors.detection_chance`.  Default grid: `region`.

    Raises `CopfuseError` for a grid that is not finite and for sensors among which there is no radar.
    """
    lat_deg, lon_deg = (given if given is not None else line for given, line in zip((lat_deg, lon_deg), region(), strict=True))
    lat, lon = np.radians(np.atleast_1d(np.asarray(lat_deg, float))), np.radians(np.atleast_1d(np.asarray(lon_deg, float)))
    if not (np.all(np.abs(lat) <= 0.5 * np.pi) and np.all(np.isfinite(lon))):
        raise CopfuseError("coverage: lat_deg must lie within ±90 and lon_deg be finite")
    radars = [s for s in sensors if s.kind == "radar"]
    if not radars:
        raise CopfuseError("coverage: there is no radar among the sensors; coverage is that of radars")
    shape = (len(NATIONS) + 1, len(lat), len(lon))
    lowest, highest, count = np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape, np.int32)
    for radar in radars:
        low, high = bounds(radar, lat[:, None], lon[None, :])
        for layer in (NATIONS.index(radar.nation), len(NATIONS)):
            np.minimum(lowest[layer], low, out=lowest[layer])
            np.maximum(highest[layer], high, out=highest[layer])
            count[layer] += np.isfinite(low)
    nobody = count == 0
    lowest[nobody] = highest[nobody] = np.nan
    return Coverage(lat, lon, (*NATIONS, "together"), lowest, highest, count)


def bounds(radar: Sensor, lat, lon) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest altitude m that one radar sees above places (rad, broadcast); inf and -inf where none.

    On the sphere of the ray tracing; at the upper limits the ray counts as straight.
    """
    distance = ground_distance(radar.lat, radar.lon, lat, lon)
    table = horizon_table(radar)
    low = np.interp(distance, atmosphere.TABLE_STEP * np.arange(len(table)), table)
    angle, r = distance / EARTH_RADIUS, EARTH_RADIUS + radar.alt
    across = r * np.sin(angle)
    reach = np.where(across < radar.range_max, r * np.cos(angle) + np.sqrt(np.maximum(radar.range_max**2 - across**2, 0.0)), 0.0)
    top = radar.max_elevation + angle
    steep = np.where(top < 0.5 * np.pi, r * np.cos(radar.max_elevation) / np.maximum(np.cos(top), 1e-12), np.inf)
    high = np.minimum(reach, steep) - EARTH_RADIUS
    off = np.abs(np.mod(_bearing(radar.lat, radar.lon, lat, lon) - radar.boresight + np.pi, 2.0 * np.pi) - np.pi)
    seen = (off <= 0.5 * radar.azimuth_width + 1e-12) & (low <= high)
    return np.where(seen, low, np.inf), np.where(seen, high, -np.inf)


def _bearing(lat1: float, lon1: float, lat2, lon2) -> np.ndarray:
    """Azimuth (rad) at which a place at sea level stands in the east-north-up frame of the first one."""
    lat2, lon2 = np.broadcast_arrays(lat2, lon2)
    local = (frames.ecef(lat2, lon2, 0.0) - frames.ecef(lat1, lon1, 0.0)) @ frames.enu_axes(lat1, lon1).T
    return np.arctan2(local[..., 0], local[..., 1])


def write_csv(found: Coverage, path: str | Path) -> Path:
    """One row per place, whole or not at all: latitude, longitude (deg), and per layer lowest and highest (km), radars.

    Empty where nobody looks.  Raises `CopfuseError` where the file cannot be written.
    """
    lat, lon = np.meshgrid(np.degrees(found.lat), np.degrees(found.lon), indexing="ij")
    head = ["lat_deg", "lon_deg"] + [f"{n}_{what}" for n in found.names for what in ("lowest_km", "highest_km", "radars")]
    columns = [lat, lon]
    for k in range(len(found.names)):
        columns += [found.lowest[k] / 1e3, found.highest[k] / 1e3, found.sensors[k]]
    formats = ["%.4f", "%.4f"] + ["%.3f", "%.3f", "%d"] * len(found.names)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(",".join(head) + "\n")
        for row in zip(*(c.ravel().tolist() for c in columns), strict=True):
            file.write(",".join((f % v) if v == v else "" for f, v in zip(formats, row, strict=True)) + "\n")
    return Path(path)
