"""How sensors look at what they can see at all: the looks of all of them side by side, what cues change of them, and the plots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from copfuse import sensors, volumes
from copfuse.constants import NODES
from copfuse.kernels import sensing
from copfuse.volumes import Cues

if TYPE_CHECKING:
    from copfuse.sensors import Sensor

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # time, z, sigma, snr, object


@dataclass(frozen=True)
class Sight:
    """A sensor's looks at one object while it is in view, ``time (n,)`` s: what they would see, and the draws that decide.

    ``tick`` is the look's place among the sensor's in the object's life.  ``output``, the detector's, and ``cued`` are changed in
    place, as cues come.
    """

    object: int
    tick: np.ndarray
    time: np.ndarray
    search: np.ndarray
    x: np.ndarray
    z: np.ndarray
    snr: np.ndarray
    bias: np.ndarray
    normal: np.ndarray
    output: np.ndarray
    cued: np.ndarray


COLUMNS = tuple(Sight.__dataclass_fields__)[1:]
_NOTHING = Sight(
    -1, np.zeros(0, int), np.zeros(0), np.zeros(0, bool), np.zeros((0, 6)), np.zeros((0, 4)), np.zeros(0), np.zeros((0, 3)),
    np.zeros((0, 10)), np.zeros(0), np.zeros(0, bool),
)  # fmt: skip


@dataclass(frozen=True)
class Watch:
    """One sensor that works: its number, its sights of the objects that it can see at all, and its false plots."""

    number: int
    sensor: Sensor
    sights: list[Sight]
    false: Rows


@dataclass(frozen=True)
class Looks:
    """All looks of some ``watches``, whose sights are parts of ``every``, one behind the other: sight i has the looks
    ``first[i]:first[i + 1]``.

    Of each sight: the sensor's ``number`` and its ``facts`` as in `sensors.facts`, the ``object``, the detector's ``threshold``, and the
    ticks ``hold`` for which the sensor goes on looking.
    """

    watches: list[Watch]
    every: Sight
    first: np.ndarray
    number: np.ndarray
    facts: np.ndarray
    object: np.ndarray
    threshold: np.ndarray
    hold: np.ndarray


def side_by_side(watches: list[Watch]) -> Looks:
    """All looks of some watches, copied."""
    sights = [(watch, sight) for watch in watches for sight in watch.sights]
    first = np.cumsum([0, *(len(sight.time) for _, sight in sights)])
    every = Sight(-1, *(np.concatenate([getattr(_NOTHING, name), *(getattr(s, name) for _, s in sights)]) for name in COLUMNS))
    number, thing = (np.array(column, int) for column in ([w.number for w, _ in sights], [s.object for _, s in sights]))
    threshold, hold = np.array([-np.log(w.sensor.pfa) for w, _ in sights]), np.array([_hold(w.sensor) for w, _ in sights], int)
    facts = np.array([sensors.facts(w.sensor) for w, _ in sights], float).reshape(-1, sensors.FACTS)
    return Looks(_parted(watches, every, first), every, first, number, facts, thing, threshold, hold)


def afresh(looks: Looks) -> Looks:
    """Looks that may be told of cues without changing these."""
    every = replace(looks.every, output=looks.every.output.copy(), cued=looks.every.cued.copy())
    return replace(looks, watches=_parted(looks.watches, every, looks.first), every=every)


def _parted(watches: list[Watch], every: Sight, first: np.ndarray) -> list[Watch]:
    """The watches with sights that are parts of all looks."""
    columns, parts = [getattr(every, name) for name in COLUMNS], iter(pairwise(first.tolist()))
    return [
        replace(
            watch, sights=[Sight(s.object, *(column[a:b] for column in columns)) for s, (a, b) in zip(watch.sights, parts, strict=False)]
        )
        for watch in watches
    ]


def last_looks(watches: list[Watch]) -> np.ndarray:
    """When s each nation's radars look last at anything (4,); -inf: never, and nobody else heeds cues."""
    last = np.full(len(NODES), -np.inf)
    for watch in watches:
        if watch.sensor.kind == "radar":
            node = NODES.index(watch.sensor.nation)
            last[node] = max([last[node], *(float(sight.time[-1]) for sight in watch.sights)])
    return last


def told(looks: list[tuple[Sensor, Sight, slice]], cues: Cues) -> None:
    """Fill in, in place, what sensors gain in some looks by their nations' cues."""
    for (sensor, sight, some), (ratio, which) in zip(looks, ratios(looks, cues), strict=True):
        if (which >= 0).any():
            heed(sensor, sight, some, ratio, which >= 0)


def ratios(looks: list[tuple[Sensor, Sight, slice]], cues: Cues) -> list[tuple[np.ndarray, np.ndarray]]:
    """Signal-to-noise ratios (n,) of some looks under the cues of sensors' nations, and which row of ``cues`` each heeds (−1: none)."""
    mine = {name: np.flatnonzero(cues.node == NODES.index(name)) for name in {sensor.nation for sensor, _, _ in looks}}
    heeded = [mine[sensor.nation] for sensor, _, _ in looks]
    gains = volumes.gains(cues, [(sensor, sight.time[some], sight.x[some]) for sensor, sight, some in looks], heeded)
    found = zip(looks, gains, strict=True)
    return [
        (np.where(which >= 0, gained(sensor, sight.snr[some], gain), sight.snr[some]), which)
        for (sensor, sight, some), (gain, which) in found
    ]


def gained(sensor: Sensor, snr: np.ndarray, gain: Any) -> np.ndarray:
    """Signal-to-noise ratios (n,) of a sensor's looks that gain so much, of those in search; it spends no energy beyond need."""
    return np.maximum(snr, np.minimum(gain * snr, volumes.enough(sensor.pfa, sensor.swerling)))


def heed(sensor: Sensor, sight: Sight, some: slice, ratio: np.ndarray, cued: np.ndarray) -> None:
    """Fill in, in place, some looks' signal-to-noise ratios (n,), and which of them (n,) a cue tells of."""
    sight.output[some] = detector_output(ratio, sensor.swerling, sight.normal[some, :6])
    sight.cued[some] = cued


def plots(looks: Looks, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, ...]:
    """The sensors' numbers, and their plots of all objects, sight by sight, under the cues told so far: of the looks ``begin (sights,)`` to
    ``end (sights,)``, places among all."""
    rows, of = _noticed(looks, begin, end)
    every, facts = looks.every, looks.facts[of]
    z, measured, normal = every.z[rows], every.output[rows] - 1.0, every.normal[rows, 6:]
    sigma = sensors.accuracies(facts, measured, z[:, 1], z[:, 2])
    error = sigma * normal
    error[:, :3] += every.bias[rows]
    z += error
    round_about = np.flatnonzero(facts[:, sensors.COSINES] == 0.0)
    z[round_about, 1] = np.mod(z[round_about, 1], 2.0 * np.pi)
    # in direction cosines it is the same wherever the object is
    sigma[round_about] = sensors.accuracies(facts, measured, z[:, 1], z[:, 2])[round_about]
    return looks.number[of], every.time[rows], z, sigma, measured, looks.object[of]


def _noticed(looks: Looks, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which looks among some of each sight notice the object, and of which sight each is."""
    every, most = looks.every, int((end - begin).sum())
    rows, of = np.empty(most, int), np.empty(most, int)
    seen = every.output, every.tick, every.search, every.cued, looks.first, looks.threshold, looks.hold
    n = sensing.noticed(*seen, begin, end, rows, of)
    return rows[:n], of[:n]


def first_plots(looks: Looks) -> list[float | None]:
    """When each sight's sensor notices its object first, s; None: never."""
    rows, of = _noticed(looks, looks.first[:-1], looks.first[1:])
    found: list[float | None] = [None] * len(looks.number)
    for row, sight in zip(rows[::-1].tolist(), of[::-1].tolist(), strict=True):
        found[sight] = float(looks.every.time[row])
    return found


def _hold(sensor: Sensor) -> int:
    """Ticks for which a sensor goes on looking at an object after it noticed it: a search frame, at least three."""
    return max(3, round(sensor.search_revisit / sensor.track_revisit))


def detector_output(snr: np.ndarray, swerling: int, normal: np.ndarray) -> np.ndarray:
    """Square-law detector output (n,) of one look each, in units of the mean noise power, from ``normal (n, 6)``.

    The noise is complex Gaussian; a target of Swerling's cases 1 and 2 is too, one of cases 3 and 4 has chi-square power
    of four degrees of freedom, case 0 is steady.  Over ``-ln pfa`` with `sensors.detection_probability`.
    """
    noise = np.sqrt(0.5) * normal[:, :2]
    signal = np.zeros_like(noise)
    if swerling in (1, 2):
        signal = np.sqrt(0.5 * snr)[:, None] * normal[:, 2:4]
    else:
        power = np.sum(normal[:, 2:6] ** 2, axis=1) / 4.0 if swerling else 1.0
        signal[:, 0] = np.sqrt(snr * power)
    return np.sum((noise + signal) ** 2, axis=1)


def wrapped(sensor: Sensor, z: np.ndarray) -> np.ndarray:
    """Azimuths brought to [0, 2 pi); direction cosines stay what they are."""
    if not sensor.cosines:
        z[:, 1] = np.mod(z[:, 1], 2.0 * np.pi)
    return z
