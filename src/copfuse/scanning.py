"""Plots in time order: what one sensor saw at one time is one `Scan`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from copfuse import pairing
from copfuse.constants import NATIONS, NODES
from copfuse.sensors import CLUTTER_RATE, clutter_density, place
from copfuse.tables import Detections

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

    @property
    def seen(self) -> tuple[Any, Any, Any, Any, int]:
        """The plots and whence they are, as `filters` takes them."""
        return self.z, self.sigma, self.origin, self.axes, self.cosines


def scans(detections: Detections, scenario: Any, node: str | None = None, numbers: np.ndarray | None = None) -> Iterator[Scan]:
    """The scans of a Detections table in time order; ``numbers (n,)``: what its rows are called, where it is a part of another table."""
    time, sensor = detections.time, detections.sensor
    if len(time) == 0:
        return
    firsts = np.flatnonzero(np.r_[True, (np.diff(time) != 0) | (np.diff(sensor) != 0)])
    lasts = np.r_[firsts[1:], len(time)]
    number, known = np.arange(len(time)) if numbers is None else numbers, [_sensor_facts(s, scenario, node) for s in scenario.sensors]
    sigma = np.hypot(detections.sigma, np.array([np.append(bias_sigma(s, scenario), 0.0) for s in scenario.sensors])[sensor])
    origin, axes = np.zeros((len(time), 3)), np.zeros((len(time), 3, 3))
    spot, blur = np.zeros((len(time), 3)), np.zeros(len(time))
    for k in np.unique(sensor):
        mine = np.flatnonzero(sensor == k)
        origin[mine], axes[mine] = place(scenario.sensors[k], time[mine])
        seen: tuple[Any, ...] = detections.z[mine], sigma[mine], origin[mine], axes[mine], scenario.sensors[k].cosines
        spot[mine], blur[mine] = pairing.spots(*seen)
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        k, rows = int(sensor[first]), slice(first, last)
        at, log_density, revisit, plume = known[k]
        if np.isfinite(detections.z[rows, 3]).any():
            log_density -= RATED
        seen = detections.z[rows], sigma[rows], origin[first], axes[first]
        facts: tuple[Any, ...] = log_density, revisit, scenario.sensors[k].cosines, plume, scenario.bias, (spot[rows], blur[rows])
        yield Scan(float(time[first]), at, k, number[rows], *seen, *facts)


def _sensor_facts(sensor: Any, scenario: Any, node: str | None) -> tuple[int, float, float, bool]:
    at = NODES.index(node) if node else NATIONS.index(sensor.nation)
    density = clutter_density(sensor) * max(scenario.clutter, 0.1)  # with a floor for targets that are new
    return at, float(np.log(max(density, 1e-30))), float(sensor.search_revisit), sensor.kind == "infrared"


def in_order(scan: Scan) -> Scan:
    """The scan with its plots sorted by what they say, so that their order in the table decides nothing, not even a tie."""
    order = np.lexsort(np.hstack([scan.sigma, scan.z]).T)
    spots = None if scan.spots is None else (scan.spots[0][order], scan.spots[1][order])
    return replace(scan, rows=scan.rows[order], z=scan.z[order], sigma=scan.sigma[order], spots=spots)


def bias_sigma(sensor: Any, scenario: Any) -> np.ndarray:
    """Standard deviations of a sensor's bias in range m and its two angles (rad, or u and v) in this scenario."""
    return np.nan_to_num(scenario.bias * np.asarray(sensor.bias_sigma[:3], float))
