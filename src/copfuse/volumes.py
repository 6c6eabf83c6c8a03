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
from copfuse.frames import cross, ecef, enu_axes
from copfuse.swerling import required_snr
from copfuse.tables import Table

if TYPE_CHECKING:
    from copfuse.laydowns import Sensor

CUE_SHARE = 0.1  # of the time that search has, for one cue; *notional*
ALL_CUES = 0.5  # likewise for all cues of a radar together; *notional*
SIGMAS = 3.0  # standard deviations from the centre of a cued volume to its faces
AT_ONCE = 5000  # looks and cues that are gone through together, about
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
    return gains(cues, [(sensor, time, x)])[0]


def gains(
    cues: Cues, looks: list[tuple[Sensor, np.ndarray, np.ndarray]], heeded: list[np.ndarray] | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """`gain` of several radars, each with its looks' times and the states there, or of one at several objects.

    ``heeded``: which rows of ``cues``, rising, each heeds, where these are of several nations.
    """
    every = np.arange(len(cues))
    pairs = [_pairs(cues, rows, sensor, time) for (sensor, time, _), rows in zip(looks, heeded or [every] * len(looks), strict=True)]
    found = [(np.zeros(len(time)), np.full(len(time), -1)) for _, time, _ in looks]
    many = np.cumsum([len(cue) for cue, _ in pairs])
    for part in np.split(np.arange(len(looks)), np.flatnonzero(np.diff(many // AT_ONCE)) + 1):
        some = [k for k in part.tolist() if len(pairs[k][0])]
        if some:
            _fill_in([found[k] for k in some], cues, [looks[k] for k in some], [pairs[k] for k in some])
    return found


def _fill_in(
    found: list[tuple[np.ndarray, np.ndarray]], cues: Cues, looks: list[tuple[Sensor, np.ndarray, np.ndarray]],
    pairs: list[tuple[np.ndarray, np.ndarray]],
) -> None:  # fmt: skip
    """The gains of looks and by which cue, in place: ``pairs`` are the cues and looks that are there at one time."""
    who = np.repeat(np.arange(len(pairs)), [len(cue) for cue, _ in pairs])
    cue, look = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
    radars = [sensor for sensor, _, _ in looks]
    time = np.concatenate([time[rows] for (_, time, _), (_, rows) in zip(looks, pairs, strict=True)])
    place = np.concatenate([x[rows, :3] for (_, _, x), (_, rows) in zip(looks, pairs, strict=True)])
    off, sigma = _across(radars, who, cues, cue, time, place)
    beam = np.array([[r.beamwidth_az, r.beamwidth_el] for r in radars])[who]
    inside = (np.abs(off) <= SIGMAS * sigma + 0.5 * beam).all(axis=1)
    wide = np.prod(1.0 + 2.0 * SIGMAS * sigma / beam, axis=1)
    rate, room = np.array([[r.track_revisit / r.search_revisit, beams(r)] for r in radars]).T
    won = cues.share[cue] * rate[who] * (room[who] / wide)
    good = np.flatnonzero(inside & (won >= 1.0))
    good = good[np.lexsort((-cue[good], won[good], who[good]))]  # of equal volumes the first; the best is written last
    for n, (radar, (best, which)) in enumerate(zip(radars, found, strict=True)):
        mine = good[slice(*np.searchsorted(who[good], (n, n + 1)))]
        best[look[mine]], which[look[mine]] = np.minimum(won[mine], radar.cue_gain), cue[mine]


def _pairs(cues: Cues, heeded: np.ndarray, sensor: Sensor, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of some cues and which looks of a sensor, rows of both (n,), are there at one time; infrared sensors heed none."""
    if sensor.kind != "radar" or len(heeded) == 0 or not math.isfinite(sensor.lat):
        return np.zeros(0, int), np.zeros(0, int)
    first, last = time.searchsorted(cues.begin[heeded]), time.searchsorted(cues.end[heeded])
    count = np.maximum(last - first, 0)
    which = np.repeat(np.arange(len(heeded)), count)
    return heeded[which], np.arange(len(which)) + (first - np.cumsum(count) + count)[which]


def _across(
    radars: list[Sensor], who: np.ndarray, cues: Cues, cue: np.ndarray, time: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs of a look and a cue: the object's angles off the volume's centre, level and upright, (n, 2) rad, and the volume's sigmas."""
    sites = [_site(r.lat, r.lon, r.alt) for r in radars]
    origin, up = (np.array([site[i] for site in sites])[who] for i in (0, 1))
    ahead = (time - cues.time[cue])[:, None]
    there = cues.x[cue, :3] + ahead * cues.x[cue, 3:] + 0.5 * ahead**2 * cues.acceleration[cue] - origin
    P, ahead = cues.P[cue], ahead[:, :, None]
    spread = P[:, :3, :3] + ahead * (P[:, :3, 3:] + P[:, 3:, :3]) + ahead**2 * P[:, 3:, 3:]
    away = np.maximum(np.linalg.norm(there, axis=1, keepdims=True), 1e3)
    sight = there / away
    level = cross(sight, up)
    level /= np.maximum(np.linalg.norm(level, axis=1, keepdims=True), 1e-9)
    axes = np.stack([level, cross(level, sight)], axis=1)
    object_sight = place - origin
    object_sight /= np.maximum(np.linalg.norm(object_sight, axis=1, keepdims=True), 1.0)
    off = np.arctan2(np.einsum("nai,ni->na", axes, object_sight), np.einsum("ni,ni->n", sight, object_sight)[:, None])
    sigma = np.sqrt(np.maximum(np.einsum("nai,nij,naj->na", axes, spread, axes), 0.0)) / away
    return off, sigma


@lru_cache(maxsize=128)
def _site(lat: float, lon: float, alt: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a radar stands, (3,) m, and what is up there."""
    return ecef(lat, lon, alt), enu_axes(lat, lon)[2]


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
