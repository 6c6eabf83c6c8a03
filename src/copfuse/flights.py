"""The public launch record, and the flight fitted to a row of it.

A row's facts are public (see ``data/README.md``); the flight that is fitted to them is a reconstruction: mass, thrust,
drag and lift are notional, ground range, apogee and azimuth those of the record.  Flight time is a result.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from importlib import resources
from itertools import product

import numpy as np

from copfuse import frames, motion, vehicles
from copfuse.constants import EARTH_RADIUS, G0, MU
from copfuse.errors import CopfuseError, suggestion

TOLERANCE, FLOOR = 0.01, 1000.0  # a fit agrees within 1 % or 1 km, whichever is larger
FAR = 650e3  # m: from here a lifted flight is first tried with the longer burn
STEEPEST = math.radians(75.0)  # the most kick of a pitch-over that is plausible
_UNITS = {"lat_deg": math.pi / 180, "lon_deg": math.pi / 180, "azimuth_deg": math.pi / 180, "range_km": 1e3, "apogee_km": 1e3}


@dataclass(frozen=True)
class Row:
    """One entry of the record: angles rad, lengths m, nan or "" where nothing is reported."""

    id: str
    date: str  # as far as known: 2017-09-15, 1984-09
    time_kst: str  # reported times of day in Korea, several parted by "/"
    missile: str
    missile_class: str  # SRBM, MRBM, IRBM, ICBM, SLBM, SLV, unknown
    manoeuvre: str  # none, pull-up, glide, unknown
    n_missiles: int
    site: str
    lat: float
    lon: float
    azimuth: float
    range: float
    apogee: float
    outcome: str  # success, failure, unknown
    jcs_range_km: str  # as the Joint Chiefs of Staff announced them
    jcs_apogee_km: str
    regime: str  # the sharing arrangement in force that day
    confidence: str


@dataclass(frozen=True, eq=False)
class LaunchRecord:
    """The rows in order of their ids; iterate over them, or take a column by name: ``record.range``, (n,)."""

    rows: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, i: int) -> Row:
        return self.rows[i]

    def __getattr__(self, name: str) -> np.ndarray:
        if name not in COLUMNS:
            raise AttributeError(f"the launch record has no column {name!r}; {suggestion(name, COLUMNS)}")
        return np.array([getattr(row, name) for row in self.rows])

    def __repr__(self) -> str:
        return f"LaunchRecord({len(self)} rows: {', '.join(COLUMNS)})"

    def find(self, id: str) -> Row:
        """The row with this id.  Raises `CopfuseError` with the nearest ids where there is none."""
        for row in self.rows:
            if row.id == id:
                return row
        raise CopfuseError(f"the record has no launch {id!r}; {_near(id, [row.id for row in self.rows])}")

    def select(self, year: int | None = None, missile_class: str | None = None, site: str | None = None) -> LaunchRecord:
        """The rows of a year, a class, a site (any part of its name, in any case).

        Raises `CopfuseError` for a class, year or site that no row has.
        """
        rows = self.rows
        if year is not None:
            rows = _only(rows, lambda row: row.date[:4] == str(year), "year", year, {row.date[:4] for row in self.rows}, near=False)
        if missile_class is not None:
            known = {row.missile_class for row in self.rows}
            rows = _only(rows, lambda row: row.missile_class.lower() == missile_class.lower(), "class", missile_class, known)
        if site is not None:
            rows = _only(rows, lambda row: site.lower() in row.site.lower(), "site", site, {row.site for row in self.rows})
        return LaunchRecord(rows)


COLUMNS = tuple(field.name for field in fields(Row))


def _only(
    rows: tuple[Row, ...], keep: Callable[[Row], bool], what: str, value: object, known: set[str], near: bool = True
) -> tuple[Row, ...]:
    kept = tuple(row for row in rows if keep(row))
    if not kept:
        there = suggestion(value if near else "", sorted(known), most=60)  # the spelling of a number is near nothing
        raise CopfuseError(f"no launch of the selection has {what} {value!r}; {there}")
    return kept


def _near(id: str, known: list[str]) -> str:
    """The ids of the same day, else of the same month, else of the same year, else the nearest spelling."""
    for length in (10, 7, 4):
        same = [k for k in known if len(id) >= length and k.startswith(id[:length])]
        if same:
            return f"near it are: {', '.join(same[:12])}"
    return suggestion(id, known, most=6)


@lru_cache(maxsize=1)
def launches() -> LaunchRecord:
    """The public record that comes with the package, 1984 to 2026."""
    text = (resources.files("copfuse") / "data" / "launches.csv").read_text("utf-8")
    rows = []
    for fact in csv.DictReader(text.splitlines()):
        numbers = {name.rsplit("_", 1)[0]: float(fact.pop(name) or "nan") * unit for name, unit in _UNITS.items()}
        rows.append(Row(**{**fact, **numbers, "n_missiles": int(fact["n_missiles"])}))  # type: ignore[arg-type]
    return LaunchRecord(tuple(rows))


def missing(row: Row) -> list[str]:
    """What a flight needs and the row does not report, in words."""
    needs = {"range": row.range, "apogee": row.apogee, "azimuth": row.azimuth, "site": row.lat + row.lon}
    return [name for name, value in needs.items() if not math.isfinite(value)]


def flyable(row: Row) -> bool:
    """Whether the row reports range, apogee, site and azimuth (not yet that a flight fits them)."""
    return not missing(row)


# The fit --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Flight:
    """A row's flight: the solved plan, what it was flown as, and what came out (m, s)."""

    row: Row
    plan: motion.Plan
    shape: str  # ballistic, pull-up, glide
    assumed: bool  # whether the record does not report that shape
    range: float
    apogee: float
    trajectory: motion.Trajectory

    @property
    def misfit(self) -> tuple[float, float]:
        """Range and apogee flown less reported, m."""
        return self.range - self.row.range, self.apogee - self.row.apogee

    @property
    def flight_time(self) -> float:
        """Seconds from ignition to impact: a result, never fitted."""
        return self.trajectory.flight_time


def profile_of(row: Row) -> vehicles.Profile:
    """The notional profile of a row's class (glide vehicles and solid ICBMs have their own)."""
    if row.manoeuvre == "glide":
        return vehicles.PROFILES["glide"]
    if row.missile in ("Hwasong-18", "Hwasong-19"):
        return vehicles.PROFILES["ICBM, solid"]
    return vehicles.PROFILES[row.missile_class]


def _attempts(row: Row) -> list[tuple[str, float, float]]:
    """Shape, strength of lift, burn time over the class's: what to try, in order, until one meets the row.

    The reported manoeuvre comes first, where none is reported a ballistic flight; then, within the notional bounds of
    the class, a shorter or longer burn and more lift.
    """
    lifted = row.manoeuvre if row.manoeuvre in ("pull-up", "glide") else "pull-up"
    falls = [("ballistic", 0.0, 1.0), ("ballistic", 0.0, 0.86)]
    far, near = [(lifted, 1.5, 1.14)], [(lifted, 1.0, 0.86), (lifted, 1.5, 0.86)]
    lifts = [(lifted, 1.0, 1.0), *(far + near if row.range > FAR else near + far)]
    if row.manoeuvre in ("pull-up", "glide"):
        return lifts + falls
    return falls + lifts if row.missile_class in ("SRBM", "MRBM", "SLBM", "unknown") else falls


def plan_of(row: Row, profile: vehicles.Profile, shape: str, strength: float, gain: float, kick: tuple[float, float]) -> motion.Plan:
    """The plan of a profile with a velocity gain (m/s) and a kick (east, north, rad) from a row's site."""
    lift, dive = {"ballistic": (0.0, 1.0), "pull-up": vehicles.PULL_UP, "glide": vehicles.GLIDER}[shape]
    stages = vehicles.boost(profile, gain)
    return motion.Plan(row.lat, row.lon, stages, kick, profile.turn, profile.beta, strength * lift, dive, profile.coast_step)


class _Aim:
    """What a fit compares: apogee, and the impact along and across the reported azimuth, relative to the report."""

    def __init__(self, row: Row, make: Callable[[float, tuple[float, float]], motion.Plan], most: float) -> None:
        self.row, self.make, self.most = row, make, most
        lat, lon = frames.ground_point(row.lat, row.lon, row.range, row.azimuth)
        self.target = frames.ecef(lat, lon, 0.0)
        back = frames.ground_distance_bearing(lat, lon, row.lat, row.lon)[1] + math.pi
        east, north, _ = frames.enu_axes(lat, lon)
        self.along = math.sin(back) * east + math.cos(back) * north
        self.across = math.cos(back) * east - math.sin(back) * north

    def plan(self, u: np.ndarray) -> motion.Plan:
        """The plan of unknowns u: log velocity gain, kick along and across the azimuth (rad)."""
        s, c = math.sin(self.row.azimuth), math.cos(self.row.azimuth)
        return self.make(math.exp(u[0]), (u[1] * s + u[2] * c, u[1] * c - u[2] * s))

    def miss(self, u: np.ndarray) -> np.ndarray:
        """Log of flown over reported apogee, relative misses along and across; infinite where the boost is no boost."""
        if u[0] > math.log(self.most) or math.hypot(u[1], u[2]) > STEEPEST:
            return np.full(3, math.inf)
        end, apogee, landed = motion.outcome(self.plan(u))
        if not landed:
            return np.full(3, math.inf)
        d = (end - self.target) / self.row.range
        return np.array([math.log(apogee / self.row.apogee), d @ self.along, d @ self.across])


def _starts(aim: _Aim) -> list[np.ndarray]:
    """Unknowns to start from, best first: a coarse grid around the impulsive velocity for range and apogee."""
    row = aim.row
    climb = math.sqrt(2.0 * MU * row.apogee / (EARTH_RADIUS * (EARTH_RADIUS + row.apogee)))
    level = 0.25 * row.range * math.sqrt(2.0 * G0 / row.apogee) if row.apogee < 1e6 else 0.0
    low = min(max(0.9 * math.hypot(climb, level), 1000.0), 0.5 * aim.most)
    high = min(1.8 * low + 1000.0, 0.98 * aim.most)
    gains = np.linspace(math.log(low), math.log(high), 6)
    kicks = np.radians([1.0, 2.5, 5.0, 9.0, 15.0, 24.0, 35.0, 48.0])
    trials = [np.array([gain, kick, 0.0]) for gain, kick in product(gains, kicks)]
    misses = [float(np.linalg.norm(aim.miss(u))) for u in trials]
    return [trials[i] for i in np.argsort(misses)[:3] if math.isfinite(misses[i])]


def _solve(aim: _Aim) -> tuple[motion.Plan | None, float]:
    """The plan that meets the row (None where none does) and the best relative miss."""
    best = math.inf
    for u in _starts(aim):
        u, left = motion.newton(aim.miss, u, np.array([0.25, 0.15, 0.15]), 3e-4)
        if left < 1e-3:
            return aim.plan(u), left
        best = min(best, left)
    return None, best


@lru_cache(maxsize=64)
def fit(row: Row) -> Flight:
    """The flight whose ground range, apogee and impact azimuth are the row's.

    Unknowns are the velocity gain of the boost and the two components of the kick of the pitch-over; the impact lies
    at the reported azimuth from the site, so that the launch azimuth makes up for the Earth's rotation.  A row without
    a reported manoeuvre that no ballistic flight of its class meets is flown with a pull-up (``assumed``).  A space
    launcher's row is flown as one suborbital arc of two stages to what the record gives as range and apogee.

    Raises `CopfuseError` where the row reports too little or no plausible boost of its class meets it.
    """
    lacking = missing(row)
    if lacking:
        raise CopfuseError(f"launch {row.id} cannot be flown: the record has no {' and no '.join(lacking)} for it")
    best: dict[str, float] = {}
    for shape, strength, burn in _attempts(row):
        profile = profile_of(row)
        profile = replace(profile, burn=tuple(burn * t for t in profile.burn))
        plan, left = _solve(_Aim(row, partial(plan_of, row, profile, shape, strength), profile.most))
        if plan is not None:
            return _flight(row, plan, shape)
        best[shape] = min(left, best.get(shape, math.inf))
    told = ", ".join(f"{shape} misses by {100 * miss:.0f} %" for shape, miss in best.items())
    raise CopfuseError(
        f"launch {row.id} cannot be flown: no boost of a {row.missile_class} gives {row.range / 1e3:.0f} km at an apogee of "
        f"{row.apogee / 1e3:.0f} km ({told})"
    )


def _flight(row: Row, plan: motion.Plan, shape: str) -> Flight:
    flown = motion.launch(plan)
    assumed = shape != row.manoeuvre and not (shape == "ballistic" and row.manoeuvre == "none")
    lat, lon, _ = frames.geodetic(flown.x[-1:])
    distance, _ = frames.ground_distance_bearing(row.lat, row.lon, lat, lon)
    about = f"launch {row.id}, {shape}{' (assumed)' if assumed else ''}"
    return Flight(row, plan, shape, assumed, float(np.ravel(distance)[0]), flown.apogee, replace(flown, about=about))


@dataclass(frozen=True)
class Fitted:
    """One line of `fit_all`: what came out (m, s; nan where nothing did), or why nothing did (``reason``)."""

    row: Row
    range: float = math.nan
    apogee: float = math.nan
    flight_time: float = math.nan
    shape: str = ""
    assumed: bool = False
    reason: str = ""

    @property
    def agrees(self) -> bool:
        """Whether range and apogee are the reported ones within 1 % or 1 km, whichever is larger."""
        pairs = ((self.range, self.row.range), (self.apogee, self.row.apogee))
        return all(abs(flown - told) <= max(TOLERANCE * told, FLOOR) for flown, told in pairs)


def fitted(row: Row) -> Fitted:
    """The outcome of `fit` for one row, or the sentence that says why there is none."""
    try:
        flight = fit(row)
    except CopfuseError as error:
        return Fitted(row, reason=str(error))
    return Fitted(row, flight.range, flight.apogee, flight.flight_time, flight.shape, flight.assumed)


def fit_all(rows: Iterable[Row], n_jobs: int = 1, progress: bool = False) -> list[Fitted]:
    """Fly every row, in order, in ``n_jobs`` processes (-1: one per core), with a progress bar where asked.

    A row that cannot be flown is no error here: its `Fitted` says why.
    """
    rows = list(rows)
    first = [fitted(row) for row in rows[:1]]  # compiles once, before there are workers
    if n_jobs == 1:
        rest: Iterable[Fitted] = map(fitted, rows[1:])
    else:
        from joblib import Parallel, delayed

        rest = Parallel(n_jobs=n_jobs, batch_size=4, return_as="generator")(delayed(fitted)(row) for row in rows[1:])
    if progress:
        from tqdm import tqdm

        rest = tqdm(rest, total=len(rows), initial=1, desc="flying", unit="flight")
    return first + list(rest)
