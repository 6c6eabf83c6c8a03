"""How sensors look at what they can see at all: the looks of all of them side by side, what cues change of them, and the plots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from copfuse import sensors, volumes
from copfuse.constants import NODES
from copfuse.kernels import sensing
from copfuse.volumes import Cues

if TYPE_CHECKING:
    from copfuse.sensors import Sensor

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # time, z, sigma, snr, object
NO_ROWS: Rows = np.zeros(0), np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)


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

    Of each sight: the sensor's ``number`` and its ``facts`` as in `sensors.facts`, the node whose cues it ``heeds`` (-1: none), the
    ``radar``'s `volumes.facts`, its greatest ``gain`` by a cue and the ratio that is ``enough``, Swerling's case ``swerling``, the
    ``object``, the detector's ``threshold``, and the ticks ``hold`` for which the sensor goes on looking.
    """

    watches: list[Watch]
    every: Sight
    first: np.ndarray
    number: np.ndarray
    facts: np.ndarray
    heeds: np.ndarray
    radar: np.ndarray
    gain: np.ndarray
    enough: np.ndarray
    swerling: np.ndarray
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
    owner = [watch.sensor for watch, _ in sights]
    facts = np.array([sensors.facts(one) for one in owner], float).reshape(-1, sensors.FACTS)
    heeds = np.array([NODES.index(one.nation) if volumes.can_heed(one) else -1 for one in owner], int)
    radar = np.array([volumes.facts(one) for one in owner], float).reshape(-1, volumes.FACTS)
    gain, swerling = np.array([one.cue_gain for one in owner], float), np.array([one.swerling for one in owner], int)
    enough = np.array([volumes.enough(one.pfa, one.swerling) if one.kind == "radar" else np.inf for one in owner], float)
    return Looks(_parted(watches, every, first), every, first, number, facts, heeds, radar, gain, enough, swerling, thing, threshold, hold)


def afresh(looks: Looks) -> Looks:
    """Looks that may be told of cues without changing these."""
    every = replace(looks.every, output=looks.every.output.copy(), cued=looks.every.cued.copy())
    return replace(looks, watches=_parted(looks.watches, every, looks.first), every=every)


def _parted(watches: list[Watch], every: Sight, first: np.ndarray) -> list[Watch]:
    """The watches with sights that are parts of all looks."""
    columns, parts, made = [getattr(every, name) for name in COLUMNS], iter(pairwise(first.tolist())), []
    for watch in watches:
        sights = [Sight(s.object, *(column[a:b] for column in columns)) for s, (a, b) in zip(watch.sights, parts, strict=False)]
        made.append(Watch(watch.number, watch.sensor, sights, watch.false))
    return made


def last_looks(watches: list[Watch]) -> np.ndarray:
    """When s each nation's radars look last at anything (4,); -inf: never, and nobody else heeds cues."""
    last = np.full(len(NODES), -np.inf)
    for watch in watches:
        if watch.sensor.kind == "radar":
            node = NODES.index(watch.sensor.nation)
            last[node] = max([last[node], *(float(sight.time[-1]) for sight in watch.sights)])
    return last


def told(looks: Looks, cues: Cues) -> None:
    """Fill in, in place, what sensors gain in all looks by their nations' cues."""
    begin, end, every = looks.first[:-1], looks.first[1:], looks.every
    ratio = every.snr.copy()
    settle(looks, cues, begin, begin, end, ratio)
    notice(looks, begin, end, ratio, np.zeros(len(begin), bool))


def settle(
    looks: Looks, cues: Cues, begin: np.ndarray, until: np.ndarray, end: np.ndarray, ratio: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let the looks ``begin (sights,)`` to ``end`` of each sight, places among all, heed their nations' cues: the signal-to-noise ratios
    ``ratio (n,)`` and what is cued, in place.

    Which of each sight's looks is the first before ``until`` that was not so before, and which the first that heeds a cue, each (sights,),
    -1: none; and which row of ``cues`` looks heed, (n,).
    """
    every, n = looks.every, len(begin)
    best, which, wrong, heeded = np.empty(len(ratio)), np.empty(len(ratio), int), np.empty(n, int), np.empty(n, int)
    heeds = looks.heeds.tolist()
    mine = {node: np.flatnonzero(cues.node == node) for node in set(heeds)}  # nobody's are those of who heeds none
    volumes.gains(cues, looks.radar, begin, end, every.time, every.x, [mine[node] for node in heeds], best, which)
    sensing.settle(begin, until, end, best, which, every.snr, looks.enough, ratio, every.cued, wrong, heeded)
    return wrong, heeded, which


def go_on(looks: Looks, begin: np.ndarray, end: np.ndarray, on: np.ndarray, ratio: np.ndarray) -> None:
    """As `settle` where all looks of a sight are cued as much as ever, or none, as ``on (sights,)`` says."""
    sensing.go_on(begin, end, on, looks.every.snr, looks.gain, looks.enough, ratio, looks.every.cued)


def notice(looks: Looks, begin: np.ndarray, end: np.ndarray, ratio: np.ndarray, moved: np.ndarray) -> None:
    """The detector's output in these looks, in place, where a sight's have ever been cued, ``moved (sights,)``, which is noted there."""
    every = looks.every
    sensing.outputs(begin, end, ratio, every.cued, looks.swerling, every.normal, moved, every.output)


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
    first = np.flatnonzero(np.diff(of, prepend=-1))  # sight by sight
    for sight, time in zip(of[first].tolist(), looks.every.time[rows[first]].tolist(), strict=True):
        found[sight] = time
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
