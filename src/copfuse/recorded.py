"""A recorded flight: time, altitude, downrange and speed from a CSV, placed at a site and smoothed to a `Trajectory`.

Altitude and downrange are smoothed by penalised splines (Eilers and Marx 1996); how much is chosen by generalised
cross-validation (Craven and Wahba 1979) with the degrees of freedom counted threefold, because readings of a webcast
err alike over some seconds.  Velocity is the derivative of the position, so that the two agree.  The speed column is
not fitted: it is the check, and its misfit is told beside the noise that the smoothing found.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from copfuse import frames, motion
from copfuse.constants import BOOST, EARTH_RADIUS, MIDCOURSE, REENTRY_ALTITUDE, TERMINAL
from copfuse.errors import CopfuseError, suggestion
from copfuse.kernels.earth import free_acceleration

COLUMNS = ("time_s", "altitude_km", "downrange_km", "speed_m_s")
STEP = 0.5  # s between rows
POWERED = 3.0  # m/s^2, notional: a specific force above it is an engine (or the air), below it is free fall
SHORT = 10.0  # s, notional: powered or free spells shorter than this are noise, or the gap between two stages
CORRELATED = 3.0  # s at one reading a second, notional: how long errors of a reading last
KNOTS = 2.0  # s between a spline's knots
FALL_BETA = 2000.0  # kg/m^2, notional: for the seconds between the end of a record and the ground
GROUND = 50.0  # m: a record that ends below this ends on the ground
LOW_END = 60e3  # m: a record that ends descending below this is carried on to the ground


@dataclass(frozen=True, eq=False)
class Readings:
    """The CSV's columns (n,) in SI; time from the first reading."""

    time: np.ndarray
    altitude: np.ndarray
    downrange: np.ndarray
    speed: np.ndarray


def readings(path: str | Path) -> Readings:
    """Read and check a recorded flight's CSV.

    Raises `CopfuseError`, naming file and line, for a missing file or column, a value that is no finite number, a
    time that does not increase, and fewer than 20 rows.
    """
    name = Path(path).name
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            given = [column.strip() for column in reader.fieldnames or []]
            reader.fieldnames = given
            for column in COLUMNS:
                if column not in given:
                    raise CopfuseError(f"{name}, line 1: the column {column!r} is missing; {suggestion(column, given)}")
            rows = [(reader.line_num, _numbers(row, f"{name}, line {reader.line_num}")) for row in reader]
    except FileNotFoundError:
        raise CopfuseError(f"there is no recorded flight {str(path)!r}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CopfuseError(f"cannot read the recorded flight {str(path)!r}: {error}") from None
    if len(rows) < 20:
        raise CopfuseError(f"{name}: {len(rows)} rows are too few for a flight; at least 20 are needed")
    data = np.array([values for _, values in rows])
    late = np.flatnonzero(np.diff(data[:, 0]) <= 0.0) + 1
    if len(late):
        k = late[0]
        told = f"time_s = {data[k, 0]:g} does not come after {data[k - 1, 0]:g}"
        raise CopfuseError(f"{name}, line {rows[k][0]}: {told}; sort the rows by time")
    return Readings(data[:, 0] - data[0, 0], 1e3 * data[:, 1], 1e3 * data[:, 2], data[:, 3])


def _numbers(row: dict[str, str], where: str) -> list[float]:
    values = []
    for column in COLUMNS:
        text = row[column]
        try:
            value = float(text)
        except (TypeError, ValueError):
            shown = "nothing" if text is None else repr(text)
            raise CopfuseError(f"{where}: {column} is {shown}, a number is expected") from None
        if not math.isfinite(value):
            raise CopfuseError(f"{where}: {column} is {text}, a finite number is expected: leave the row out or fill it in")
        values.append(value)
    return values


def read(path: str | Path, lat: float, lon: float, azimuth: float) -> motion.Trajectory:
    """A recorded flight flown from a site (rad) towards an azimuth over WGS-84.

    The path's ground track is the geodesic; a downrange that is the integral of the horizontal speed, as in webcasts,
    is brought down to the ground (the reading of the two that the speed column supports better is taken).  Phases come
    from the specific force: an engine burns (boost) or nothing does (midcourse) until the object passes 100 km on its
    way down, or, for a lower flight, its apogee; terminal after.  A record that ends low and descending is carried on
    in free fall to the ground; one that ends aloft, as in orbit, ends there, ``landed`` False.

    Raises `CopfuseError` as `readings` does.
    """
    data = readings(path)
    grounded = bool(data.altitude[-1] < GROUND)
    climb, noise = smoothed(data.time, data.altitude, grounded)
    along, noise_along = smoothed(data.time, data.downrange, grounded)

    def height(t: np.ndarray) -> np.ndarray:
        return np.maximum(climb(t), 0.0)

    aloft, misfit = _aloft(data, height, along)
    ground = _ground_arc(data.time[-1], height, along) if aloft else along

    def place(t: np.ndarray) -> np.ndarray:
        s = ground(t)
        a, o = frames.ground_point(lat, lon, np.abs(s), np.where(s < 0.0, azimuth + math.pi, azimuth))
        return frames.ecef(a, o, height(t))

    time = np.union1d(np.arange(0.0, data.time[-1], STEP), data.time[-1:])
    d = 0.02
    inner = np.clip(time, d, data.time[-1] - d)
    x = np.hstack([place(time), (place(inner + d) - place(inner - d)) / (2 * d)])
    x[0, 3:] = 0.0
    phase, burnouts = _phases(time, x, height(time))
    told = (
        f"recorded flight {Path(path).stem}, smoothed: {noise:.0f} m rms of noise in altitude, {noise_along:.0f} m in downrange; "
        f"the speed column differs by {misfit:.1f} m/s rms"
    )
    flown = motion.Trajectory(time, x, phase, np.full((len(time), 3), np.nan), burnouts, grounded, told)
    return flown if flown.landed else _carried_on(flown)


def smoothed(time: np.ndarray, y: np.ndarray, held: bool) -> tuple[Any, float]:
    """A spline of degree 4 through (time, y) that starts at rest, and the standard deviation of the noise about it.

    The penalty is on third differences of the coefficients, so that a steady acceleration costs nothing; outliers are
    weighed down (Huber).  ``held`` keeps the last reading, where an object stands on the ground.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # sums of several threads round otherwise, and workers have one
        return _smoothed(time, y, held)


def _smoothed(time: np.ndarray, y: np.ndarray, held: bool) -> tuple[Any, float]:
    from scipy.interpolate import BSpline

    pieces = int(np.ceil(time[-1] / max(KNOTS, time[-1] / 400.0)))
    knots = time[-1] / pieces * np.arange(-4, pieces + 5)
    basis = BSpline.design_matrix(time, knots, 4).toarray()
    rest = BSpline(knots, np.eye(basis.shape[1]), 4).derivative()(0.0)
    rough = np.diff(np.eye(basis.shape[1]), 3, axis=0)
    base = np.ones(len(time))
    base[[0, -1] if held else [0]] = 1e4
    weight, c, sigma = base, np.zeros(basis.shape[1]), 1.0
    for _ in range(3):
        c = _penalised(np.vstack([basis, rest]), np.append(y, 0.0), np.append(weight, 1e4), rough.T @ rough)
        residual = np.abs(y - basis @ c)
        sigma = max(1.4826 * float(np.median(residual)), 0.1)
        weight = base * np.minimum(1.0, 2.5 * sigma / np.maximum(residual, 1e-9))
    return BSpline(knots, c, 4), float(np.sqrt(np.mean((y - basis @ c) ** 2)))


def _penalised(basis: np.ndarray, y: np.ndarray, weight: np.ndarray, rough: np.ndarray) -> np.ndarray:
    """Coefficients of the penalised fit with the strength of the penalty that cross-validation chooses."""
    from scipy.linalg import eigh

    normal = basis.T @ (basis * weight[:, None])
    least = 1e-7 * np.trace(normal) / np.trace(rough)
    d, v = eigh(rough, normal + least * rough)  # one decomposition serves every strength
    b = v.T @ (basis.T @ (weight * y))
    best = (math.inf, b)
    for strength in least * 10.0 ** np.arange(0.0, 10.0, 0.25):
        shrink = 1.0 / (1.0 + (strength - least) * d)
        free = CORRELATED * float(np.sum((1.0 - least * d) * shrink)) / len(y)
        c = v @ (shrink * b)
        score = float(np.mean(weight * (y - basis @ c) ** 2)) / max(1.0 - free, 1e-3) ** 2
        best = min(best, (score, c), key=lambda pair: pair[0])
    return best[1]


def _aloft(data: Readings, height: Callable, along: Callable) -> tuple[bool, float]:
    """Whether downrange is path flown at height rather than arc on the ground, and the rms misfit of the speed (m/s)."""
    d = 0.02
    t = np.clip(data.time, d, data.time[-1] - d)
    climb, level = (height(t + d) - height(t - d)) / (2 * d), (along(t + d) - along(t - d)) / (2 * d)
    misses = []
    for stretch in (1.0, 1.0 + height(t) / EARTH_RADIUS):
        misses.append(float(np.sqrt(np.mean((np.hypot(climb, level * stretch) - data.speed) ** 2))))
    return misses[0] <= misses[1], min(misses)


def _ground_arc(end: float, height: Callable, along: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """Arc on the ground under a path whose horizontal speed is the derivative of ``along``."""
    from scipy.interpolate import CubicSpline

    t = np.linspace(0.0, end, max(int(end / 0.1), 10))
    middle = 0.5 * (t[1:] + t[:-1])
    steps = np.diff(along(t)) * EARTH_RADIUS / (EARTH_RADIUS + height(middle))
    return CubicSpline(t, np.concatenate([[0.0], np.cumsum(steps)]))


def _phases(time: np.ndarray, x: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, tuple[float, ...]]:
    """Phase of each row from specific force and height, and the times at which a burn ends."""
    felt = np.gradient(x[:, 3:], time, axis=0) - np.array([free_acceleration(*row[:5]) for row in x])
    powered = np.linalg.norm(felt, axis=1) > POWERED
    powered = _without_short(_without_short(powered, True), False)
    top = int(np.argmax(height))
    passage = REENTRY_ALTITUDE if height[top] > REENTRY_ALTITUDE else height[top]
    down = (np.arange(len(time)) > top) & (height <= passage)
    phase = np.where(down, TERMINAL, np.where(powered, BOOST, MIDCOURSE if height[top] > REENTRY_ALTITUDE else TERMINAL))
    ends = np.flatnonzero((phase[:-1] == BOOST) & (phase[1:] != BOOST)) + 1
    return phase.astype(np.int8), tuple(float(t) for t in time[ends])


def _without_short(flag: np.ndarray, value: bool) -> np.ndarray:
    """``flag (n,)`` without spells of ``value`` shorter than `SHORT`, but for those at its ends."""
    edges = np.flatnonzero(np.diff(flag.astype(int))) + 1
    kept = flag.copy()
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        if flag[begin] == value and (end - begin) * STEP < SHORT:
            kept[begin:end] = not value
    return kept


def _carried_on(flown: motion.Trajectory) -> motion.Trajectory:
    """The flight and its free fall to the ground where the record ends low and descending; else as it is."""
    up = frames.enu_axes(*(v[0] for v in frames.geodetic(flown.x[-1:])[:2]))[2]
    if flown.altitude[-1] > LOW_END or flown.x[-1, 3:] @ up > 0.0:
        return flown
    fall = motion.free_fall(flown.x[-1], FALL_BETA, float(flown.time[-1]))
    time, x = np.concatenate([flown.time, fall.time[1:]]), np.vstack([flown.x, fall.x[1:]])
    phase = np.concatenate([flown.phase, np.full(len(fall.time) - 1, TERMINAL, np.int8)])
    force = np.full((len(time), 3), np.nan)
    about = f"{flown.about}; free fall to the ground after the record's end at {flown.time[-1]:.0f} s"
    return motion.Trajectory(time, x, phase, force, flown.burnouts, fall.landed, about)
