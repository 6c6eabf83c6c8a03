"""Who plotted a missile and who missed it, and why: service, availability, sector and range, horizon, or energy.

The reason is that of the flight and the sensor as they are simulated: geometry from the traced horizon, chance from Swerling's cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from typing import Any

import numpy as np

from copfuse import coverage, frames, motion, sensors
from copfuse.tables import Detections, Truth

SEEN, STATION, WEAK, HORIZON, REACH, SERVICE = OUTCOMES = (
    "seen", "not on station", "in view, not noticed", "below the horizon", "out of range or sector", "not in service",
)  # fmt: skip
LIKELY = 0.5  # chance in one look from which a sensor that was not there would have seen it


@dataclass(frozen=True)
class Look:
    """What one radar or infrared sensor had of one missile; times s after its ignition, heights m."""

    sensor: str
    nation: str
    outcome: str  # one of OUTCOMES
    first_plot: float  # nan: none
    last_plot: float
    plots: int
    in_view: float  # s for which geometry lets it see the missile (infrared: while it burns), whether there or not
    margin: float  # the most by which the missile stood above its lowest visible altitude; nan where never within range and sector
    chance: float  # the largest chance of detection in one look


def looks(truth: Truth, detections: Detections, scenario: Any, number: int = 0) -> list[Look]:
    """One `Look` per radar and infrared sensor of the scenario at the object ``number`` of the truth."""
    names, begin = list(detections.meta["sensors"]), float(truth.time[truth.object == number][0])
    found = []
    for sensor in scenario.sensors:
        if sensor.kind not in ("radar", "infrared"):
            continue
        mine = (detections.sensor == names.index(sensor.name)) & (detections.object == number)
        plots = np.sort(detections.time[mine]) - begin
        view, margin, chance = _geometry(sensor, truth, number)
        outcome = _outcome(detections.meta["absent"].get(sensor.name, ""), len(plots), view, margin)
        first, last = (float(plots[0]), float(plots[-1])) if len(plots) else (np.nan, np.nan)
        found.append(Look(sensor.name, sensor.nation, outcome, first, last, len(plots), view, margin, chance))
    return found


@lru_cache(maxsize=1024)
def _geometry(sensor: Any, truth: Truth, number: int) -> tuple[float, float, float]:
    """Seconds in view, margin m and largest chance, which no seed changes."""
    rows = truth.object == number
    time, x = truth.time[rows], truth.x[rows]
    about = truth.meta["objects"][number]
    burns = motion.burning(time, truth.phase[rows], about.get("pauses", ()))
    chance, snr = sensors.detection_chance(sensor, x, time, about["rcs"], burns)
    return float(np.sum(np.diff(time)[(snr > 0.0)[:-1]])), _margin(sensor, x), float(chance.max(initial=0.0))


def _margin(sensor: Any, x: np.ndarray) -> float:
    if sensor.kind != "radar":
        return np.nan
    lat, lon, height = frames.geodetic(x)
    low, high = coverage.bounds(sensor, lat, lon)
    within = np.isfinite(low) & (height <= high)
    return float(np.max(height[within] - low[within])) if within.any() else np.nan


def _outcome(absent: str, plots: int, view: float, margin: float) -> str:
    if plots:
        return SEEN
    if absent:
        return STATION if absent == "not on station" else SERVICE
    if view > 0.0:
        return WEAK
    return REACH if np.isnan(margin) else HORIZON


def members(found: Sequence[Look], patterns: Sequence[str]) -> list[Look]:
    """The looks of sensors whose name fits one of the ``patterns`` ("KR-AEG-*"); none where the laydown has no such sensor."""
    return [look for look in found if any(fnmatch(look.sensor, pattern) for pattern in patterns)]


def verdict(mine: Sequence[Look]) -> tuple[str, float, float]:
    """Whether sensors together saw a missile, or what kept them from it; and the first and last plot s (nan).

    Of several reasons the one nearest to seeing counts: a sensor that was in view, else one that would probably have seen it had it
    been on station, else one kept by the horizon, else range or sector, else not in service.
    """
    seen = [look for look in mine if look.outcome == SEEN]
    if seen:
        return SEEN, min(look.first_plot for look in seen), max(look.last_plot for look in seen)
    told = {look.outcome for look in mine if look.outcome != STATION or look.chance >= LIKELY}
    told |= {HORIZON if look.margin == look.margin else REACH for look in mine if look.outcome == STATION and look.chance < LIKELY}
    return next(outcome for outcome in (WEAK, STATION, HORIZON, REACH, SERVICE) if outcome in told), np.nan, np.nan
