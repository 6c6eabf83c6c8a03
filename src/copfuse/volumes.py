"""What a radar gains where it is told to look: cued volumes, and the energy that a beam has there against one of its search.

A search radar has a fixed average power and aperture, so that the signal-to-noise ratio of one look goes as the time that it has for
a solid angle over that angle: the search radar equation (Barton, Radar Equations for Modern Radar, Artech 2013, ch. 2; Curry, Radar
System Performance Modeling, 2nd ed., Artech 2005, sec. 7.1).  A cue narrows the angle (Curry, sec. 7.4).  With N beam positions in
the whole volume, searched in the frame ``search_revisit``, and n in the cued one, looked over at every tick ``track_revisit`` in a
share s of the time that search has, a beam's energy is ``s track_revisit / n`` over ``search_revisit / N`` of a search's.

Nothing here moves the horizon: a volume is searched where the radar can see into it, and what is below is not there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from copfuse.constants import NODES
from copfuse.frames import ecef, enu_axes
from copfuse.kernels import cued as kernel
from copfuse.kernels.cued import FACTS as FACTS
from copfuse.swerling import required_snr
from copfuse.tables import Table

if TYPE_CHECKING:
    from copfuse.laydowns import Sensor

CUE_SHARE = 0.1  # of the time that search has, for one cue; *notional*
ALL_CUES = 0.5  # likewise for all cues of a radar together; *notional*
SIGMAS = 3.0  # standard deviations from the centre of a cued volume to its faces
ENOUGH = 0.9  # probability of detection in a look, for more than which a radar spends no energy; *notional*

_F = np.float64


@dataclass(frozen=True, eq=False, repr=False)
class Cues(Table):
    """One volume that the radars of a nation are told to look into, from ``begin`` until before ``end`` s.

    ``node`` is the nation, as an index into ``constants.NODES``.  Something is believed to be there with the state ``x`` m, m/s at
    ``time`` s, its covariance ``P``, and ``acceleration`` m/s^2 (gravity included), from which the volume is carried to each look.
    ``share`` of its time for search is what a radar may spend on it.  Whence it is: ``source`` is the node whose track it is
    (−1: a site watched before launch), ``row`` that track's row, and ``known`` s when it came to the nation.
    """

    node: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    time: np.ndarray
    x: np.ndarray
    P: np.ndarray
    acceleration: np.ndarray
    share: np.ndarray
    source: np.ndarray
    row: np.ndarray
    known: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    COLUMNS: ClassVar = {
        "node": (np.int8, ()), "begin": (_F, ()), "end": (_F, ()), "time": (_F, ()), "x": (_F, (6,)), "P": (_F, (6, 6)),
        "acceleration": (_F, (3,)), "share": (_F, ()), "source": (np.int8, ()), "row": (np.int64, ()), "known": (_F, ()),
    }  # fmt: skip


def beams(sensor: Sensor) -> float:
    """Beam positions in the volume that a radar searches: its solid angle over that of a beam (the broadening off a face left out)."""
    angle = sensor.azimuth_width * (np.sin(sensor.max_elevation) - np.sin(sensor.min_elevation))
    return max(1.0, float(angle) / (sensor.beamwidth_az * sensor.beamwidth_el))


@lru_cache(maxsize=64)
def enough(pfa: float, swerling: int) -> float:
    """Mean signal-to-noise ratio of a look over which a cued radar spends no more: it detects with the probability `ENOUGH`."""
    return float(required_snr(ENOUGH, pfa, swerling))


def gain(sensor: Sensor, cues: Cues, time: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power gain (n,) of a radar's looks at ``time (n,)`` s, rising, at objects that are at ``x (n, 6)``, and by which row of ``cues``.

    ``cues`` are those of the radar's nation.  A look gains where the object truly is within a cued volume: a box across the line of
    sight, `SIGMAS` to each side and half a beam, at any range.  The gain is 0 (row −1) where no volume holds the object, or only
    volumes so wide that a beam would have less energy than in search, which the radar leaves to its search; else from 1 to
    ``sensor.cue_gain``.  Of several volumes the narrowest counts.
    """
    every, end = np.arange(len(cues)) if can_heed(sensor) else np.zeros(0, int), np.array([len(time)])
    best, which = np.empty(len(time)), np.empty(len(time), int)
    gains(cues, np.array([facts(sensor)]), np.zeros(1, int), end, time, x, [every], best, which)
    return best, which


def gains(
    cues: Cues, radars: np.ndarray, begin: np.ndarray, end: np.ndarray, time: np.ndarray, x: np.ndarray, heeded: list[np.ndarray],
    best: np.ndarray, which: np.ndarray,
) -> None:  # fmt: skip
    """`gain` of several radars with the `facts` ``radars (r, FACTS)``, or of one at several objects, in place.

    Radar r's looks are ``begin[r]:end[r]``; ``heeded``: which rows of ``cues``, rising, each heeds.
    """
    rows = np.concatenate([np.zeros(0, int), *heeded])
    given = cues.begin, cues.end, cues.time, cues.x, cues.P, cues.acceleration, cues.share, SIGMAS
    kernel.gains(radars, begin, end, time, x, np.cumsum([0, *map(len, heeded)]), rows, *given, best, which)


def can_heed(sensor: Sensor) -> bool:
    """Whether it is a radar with a place; infrared sensors heed no cue."""
    return sensor.kind == "radar" and math.isfinite(sensor.lat)


@lru_cache(maxsize=256)
def facts(sensor: Sensor) -> np.ndarray:
    """What `kernels.cued` asks for of a radar."""
    if not can_heed(sensor):
        return np.zeros(kernel.FACTS)
    origin, up = ecef(sensor.lat, sensor.lon, sensor.alt), enu_axes(sensor.lat, sensor.lon)[2]
    beam, rate = (sensor.beamwidth_az, sensor.beamwidth_el), sensor.track_revisit / sensor.search_revisit
    return np.array([*origin, *up, *beam, rate, beams(sensor), sensor.cue_gain])


def watched(scenario: Any) -> Cues:
    """The cues of a scenario's watched sites: cylinders above them that some nations' radars look into all the time."""
    sites = [(site, NODES.index(nation)) for site in scenario.watched for nation in site.nations]
    n = len(sites)
    x, P = np.zeros((n, 6)), np.zeros((n, 6, 6))
    for i, (site, _) in enumerate(sites):
        axes = enu_axes(site.lat, site.lon)
        x[i, :3] = ecef(site.lat, site.lon, 0.5 * site.height)
        P[i, :3, :3] = axes.T @ np.diag(np.square([site.radius, site.radius, 0.5 * site.height]) / SIGMAS**2) @ axes
    always, nothing = np.full(n, np.inf), np.full(n, -1)
    return Cues(
        node=np.array([node for _, node in sites], int), begin=-always, end=always, time=np.zeros(n), x=x, P=P,
        acceleration=np.zeros((n, 3)), share=np.full(n, CUE_SHARE), source=nothing, row=nothing, known=-always,
    )  # fmt: skip
