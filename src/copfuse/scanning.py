"""Plots in time order: what one sensor saw at one time is one `Scan`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from copfuse import echoes, pairing
from copfuse.constants import NATIONS, NODES
from copfuse.errors import CopfuseError
from copfuse.sensors import CLUTTER_RATE, clutter_density, place, standing, stands
from copfuse.tables import Detections

LEAST_TICKS, LATER = 3.0, 1.01  # ticks that what is noticed is looked at again at least; how much a clock may be late
RATED = float(np.log(2 * CLUTTER_RATE))  # what false plots are rarer, in logarithms, per m/s of the range rate that they have


@dataclass(frozen=True)
class Scan:
    """The plots of one sensor at one time, ``rows`` of the Detections table; ``z``, ``sigma`` ``(m, 4)``, with u, v where ``cosines``."""

    time: float
    node: int
    sensor: int
    rows: np.ndarray
    z: np.ndarray
    sigma: np.ndarray
    origin: np.ndarray
    axes: np.ndarray
    log_density: float
    revisit: float
    cosines: int = 0
    plume: bool = False  # the sensor sees burning engines only
    bias: float = 0.0  # the scenario's scale of sensor biases
    spots: tuple[np.ndarray, np.ndarray] | None = None  # `pairing.spots` of the plots, where they are known already
    shift: np.ndarray | None = None  # standard deviations (4,) of the sensor's bias, which are part of ``sigma``, where they are known
    echo: np.ndarray | None = None  # `echoes.strengths` of the plots (m, 2), where they are known
    frame: float = np.inf  # s after which the sensor looks at what it has not noticed since in its searches alone,
    share: float = 1.0  # which are this share of its looks

    @property
    def seen(self) -> tuple[Any, Any, Any, Any, int]:
        """The plots and whence they are, as `filters` takes them."""
        return self.z, self.sigma, self.origin, self.axes, self.cosines


@dataclass(frozen=True)
class Series:
    """The scans of a Detections table in time order; `Scan` k has the plots ``first[k]:last[k]`` of the columns of all n plots.

    ``log_density (scans,)`` is the logarithm of the density of false and new plots; ``facts`` by sensor: node, revisit s, whether it sees
    plumes only, and its `searches`; ``spots`` as in `pairing.spots`, ``origin (n, 3)``, ``axes (n, 3, 3)``, ``echo (n, 2)`` as in
    `echoes.strengths`.
    """

    first: np.ndarray
    last: np.ndarray
    time: np.ndarray
    sensor: np.ndarray
    number: np.ndarray
    z: np.ndarray
    sigma: np.ndarray
    origin: np.ndarray
    axes: np.ndarray
    spots: tuple[np.ndarray, np.ndarray]
    log_density: np.ndarray
    scenario: Any
    facts: dict[int, tuple[int, float, bool, float, float]]
    shift: np.ndarray
    echo: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, k: int) -> Scan:
        first, rows = int(self.first[k]), slice(int(self.first[k]), int(self.last[k]))
        sensor = int(self.sensor[first])
        (at, revisit, plume, *search), log_density = self.facts[sensor], float(self.log_density[k])
        seen = self.z[rows], self.sigma[rows], self.origin[first], self.axes[first]
        spots = self.spots[0][rows], self.spots[1][rows]
        facts: tuple[Any, ...] = (
            log_density,
            revisit,
            self.scenario.sensors[sensor].cosines,
            plume,
            self.scenario.bias,
            spots,
            self.shift[sensor],
            self.echo[rows],
            *search,
        )
        return Scan(float(self.time[first]), at, sensor, self.number[rows], *seen, *facts)


class Sites:
    """What of a scenario's sensors stays the same from scan to scan, to whoever tracks with their plots (``node``: all of them by one);
    found out when a sensor is first asked for.

    ``origin (sensors, 3)``, ``axes (sensors, 3, 3)`` of those that stand still, ``moving`` the others' numbers; ``bias (sensors, 4)``,
    ``density``, ``cosines``, ``facts`` as in `Series`, ``radar`` as `echoes.facts` has them.
    """

    def __init__(self, scenario: Any, node: str | None = None) -> None:
        n = len(scenario.sensors)
        self.scenario, self.node = scenario, node
        self.origin, self.axes, self.bias = np.zeros((n, 3)), np.zeros((n, 3, 3)), np.zeros((n, 4))
        self.density, self.cosines = np.zeros(n), np.array([s.cosines for s in scenario.sensors], int)
        self.radar = np.full((n, echoes.RADAR), np.nan)
        self.facts: dict[int, tuple[int, float, bool, float, float]] = {}
        self.moving: set[int] = set()

    def find_out(self, k: int) -> None:
        """Find out about the sensor of number k."""
        one = self.scenario.sensors[k]
        self.bias[k], self.density[k], self.facts[k] = _known(one, self.scenario.bias, self.scenario.clutter, self.node)
        self.radar[k] = echoes.facts(one)
        if stands(one):
            self.origin[k], self.axes[k] = standing(one)
        else:
            self.moving.add(k)

    def places(self, sensor: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`sensors.place` of sensors ``sensor (n,)``, by number, at ``time (n,)`` s; finds out about those that are new."""
        there = np.flatnonzero(np.bincount(sensor)).tolist()
        for k in there:
            if k not in self.facts:
                self.find_out(k)
        origin, axes = self.origin[sensor], self.axes[sensor]
        for k in self.moving.intersection(there):
            mine = np.flatnonzero(sensor == k)
            origin[mine], axes[mine] = place(self.scenario.sensors[k], time[mine])
        return origin, axes


def scans(detections: Detections, scenario: Any, node: str | None = None, numbers: np.ndarray | None = None) -> Iterator[Scan]:
    """The scans of a Detections table in time order; ``numbers (n,)``: what its rows are called, where it is a part of another table."""
    every = series(detections, scenario, node, numbers)
    return (every[k] for k in range(len(every)))


def _same_sensors(detections: Detections, scenario: Any) -> None:
    """Rows name sensors by number: refuse plots whose numbers mean others than a scenario's; a table without names is taken as it is."""
    there, here = detections.meta.get("sensors"), [sensor.name for sensor in scenario.sensors]
    if there is not None and list(there) != here:
        k = next((k for k, (a, b) in enumerate(zip(there, here, strict=False)) if a != b), min(len(there), len(here)))
        names = [repr(found[k]) if k < len(found) else "none" for found in (list(there), here)]
        said = f"sensor {k} is {names[0]} in these detections and {names[1]} in scenario {scenario.name!r}"
        raise CopfuseError(f"{said}; take the scenario that they were made with")


def series(
    detections: Detections, scenario: Any, node: str | None = None, numbers: np.ndarray | None = None, sites: Sites | None = None
) -> Series:
    """Likewise, without making each; ``sites``: those of the scenario and node, where several tables are gone through.

    Raises `CopfuseError` for plots of other sensors than the scenario's.
    """
    _same_sensors(detections, scenario)
    time, sensor, sites = detections.time, detections.sensor, sites or Sites(scenario, node)
    n = len(time)
    edge = np.ones(n + 1, bool)
    edge[1:n] = (time[1:] != time[:-1]) | (sensor[1:] != sensor[:-1])
    edge = np.flatnonzero(edge) if n else np.zeros(1, int)
    origin, axes = sites.places(sensor, time)
    sigma = np.hypot(detections.sigma, sites.bias[sensor])
    spots = pairing.spots(detections.z, sigma, origin, axes, sites.cosines[sensor])
    first, number = edge[:-1], np.arange(n) if numbers is None else numbers
    rated = np.logical_or.reduceat(np.isfinite(detections.z[:, 3]), first) if n else np.zeros(0, bool)
    density = sites.density[sensor[first]] - np.where(rated, RATED, 0.0)
    facts = {k: sites.facts[k] for k in np.flatnonzero(np.bincount(sensor)).tolist()}
    echo = echoes.strengths(detections.z, detections.snr, sensor, sites.radar)
    return Series(
        first, edge[1:], time, sensor, number, detections.z, sigma, origin, axes, spots, density, scenario, facts, sites.bias, echo
    )


@lru_cache(maxsize=256)
def _known(sensor: Any, scale: float, clutter: float, node: str | None) -> tuple[np.ndarray, float, tuple[int, float, bool, float, float]]:
    """What of a sensor stays the same from scan to scan, under a ``scale`` of biases: the standard deviations (4,) of its bias, the
    logarithm of the density of false and new plots, and its facts as in `Series`."""
    density = clutter_density(sensor) * max(clutter, 0.1)  # with a floor for targets that are new
    at = NODES.index(node) if node else NATIONS.index(sensor.nation)
    facts = at, float(sensor.search_revisit), sensor.kind == "infrared", *searches(sensor)
    return np.append(_widened(sensor, scale), 0.0), float(np.log(max(density, 1e-30))), facts


def searches(sensor: Any) -> tuple[float, float]:
    """For how long, s, a sensor looks at each of its ticks where it has noticed something, and the share of its ticks at which it searches.

    A search frame, and a little for clocks; what searches alone, or does not say how, looks everywhere in each scan.
    """
    if not 0.0 < sensor.track_revisit < sensor.search_revisit:
        return np.inf, 1.0
    return LATER * max(LEAST_TICKS * sensor.track_revisit, sensor.search_revisit), sensor.track_revisit / sensor.search_revisit


def in_order(scan: Scan) -> Scan:
    """The scan with its plots sorted by what they say, so that their order in the table decides nothing, not even a tie."""
    order = np.lexsort(np.hstack([scan.sigma, scan.z]).T)
    spots = None if scan.spots is None else (scan.spots[0][order], scan.spots[1][order])
    echo = None if scan.echo is None else scan.echo[order]
    return replace(scan, rows=scan.rows[order], z=scan.z[order], sigma=scan.sigma[order], spots=spots, echo=echo)


def bias_sigma(sensor: Any, scenario: Any) -> np.ndarray:
    """Standard deviations of a sensor's bias in range m and its two angles (rad, or u and v) in this scenario, read-only."""
    return _widened(sensor, scenario.bias)


@lru_cache(maxsize=256)
def _widened(sensor: Any, scale: float) -> np.ndarray:
    sigma = np.nan_to_num(scale * np.asarray(sensor.bias_sigma[:3], float))
    sigma.flags.writeable = False  # all callers have the same
    return sigma
