"""What may pass: release rules, and what people release on consent or on request, as processes in time.

A rule or a decision goes by what the originator itself knows then: its own tracks, their phase by its own filters, where it takes
them to come from.
"""

from __future__ import annotations

import math

import numpy as np

from copfuse import forecast, frames
from copfuse.ahead import predicted
from copfuse.constants import BOOST, NODES, PHASES
from copfuse.links import Decision, Link, Regime
from copfuse.phases import push
from copfuse.reporting import Handed
from copfuse.tables import MESSAGE, Messages, Tracks
from copfuse.transit import delays, link_stream

SETTLED = 10.0  # s after a track turned firm at which its velocity is known better, and with it its launch point
MARGIN = math.radians(0.5)  # by how far a launch point may lie outside an area and be taken for inside


def releasable(regime: Regime, source: str, target: str, payload: str, phase: np.ndarray) -> np.ndarray:
    """Which rows (n,) the rules let go from an originator to a recipient, by the phase (n,) of each, index of ``PHASES``.

    Where no rule releases anything on that way, all may go; else what a rule releases.  What a rule denies may not: deny wins.
    """
    on = [rule for rule in regime.rules if rule.concerns((source, target, payload))]
    if not on:
        return np.ones(len(phase), bool)
    subjects = np.array([[name in rule.subjects for name in PHASES] for rule in on], bool).reshape(-1, len(PHASES))
    yes = np.array([rule.release for rule in on], bool)
    passes = subjects[yes].any(axis=0) if yes.any() else np.ones(len(PHASES), bool)
    return (passes & ~subjects[~yes].any(axis=0))[phase]


def own_phase(tracks: Tracks, rows: np.ndarray) -> np.ndarray:
    """The likeliest phase (n,) of rows by their own track."""
    return tracks.phase_probability[rows].argmax(axis=1)


# People ----------------------------------------------------------------------------------------------------------------


def events(times: np.ndarray, length: float) -> np.ndarray:
    """When s events begin: with the first of rising ``times``, and with the first that is more than ``length`` s after a begin."""
    begin: list[float] = []
    for t in times.tolist():
        if not begin or t > begin[-1] + length:
            begin.append(t)
    return np.array(begin)


def decided(link: Link, what: str, decision: Decision, begin: np.ndarray, seed: int) -> list[tuple[float, float]]:
    """The events in which people say yes: when each began and when they say so, s."""
    yes = link_stream(link, seed, f"{what} share").random(len(begin)) < decision.share
    delay = delays(decision.delay, link_stream(link, seed, f"{what} delay").standard_normal(len(begin)))
    return [(t, t + d) for t, d, said in zip(begin.tolist(), delay.tolist(), yes.tolist(), strict=True) if said]


def consented(tracks: Tracks, rows: np.ndarray, link: Link, seed: int) -> Handed:
    """The originator decides once per event, from its first firm track on; what it then knows of the event's tracks goes out."""
    assert link.consent is not None
    begin = events(np.sort(_first_times(tracks, rows)), link.consent.event)
    told = [_known(tracks, rows, link.consent, t, 0.0, said) for t, said in decided(link, "consent", link.consent, begin, seed)]
    return _together(told)


def requested(tracks: Tracks, rows: np.ndarray, alarms: np.ndarray, link: Link, seed: int) -> Handed:
    """The recipient asks once per event, which begins when it has an alarm (s, rising) of its own; the originator answers with
    what it knows when it does, in writing and, where they do so, by voice."""
    told = []
    for what, decision in (("request", link.request), ("voice", link.voice)):
        if decision is not None:
            begin = events(alarms, decision.event)
            told += [_known(tracks, rows, decision, t, decision.event, said) for t, said in decided(link, what, decision, begin, seed)]
    return _together(told)


def _first_times(tracks: Tracks, rows: np.ndarray) -> np.ndarray:
    return tracks.time[rows[np.unique(tracks.track[rows], return_index=True)[1]]]


def _known(tracks: Tracks, rows: np.ndarray, decision: Decision, begin: float, before: float, now: float) -> tuple[float, np.ndarray]:
    """The newest of the rows, by ``now`` s, of each track that turned firm from ``before`` s before an event's begin to its end."""
    rows = rows[tracks.time[rows] <= now]
    local, first, number = np.unique(tracks.track[rows], return_index=True, return_inverse=True)
    newest = np.zeros(len(local), int)
    newest[number.ravel()] = rows  # rows rise in time, so that the last one stays
    start = tracks.time[rows[first]]
    newest = np.sort(newest[(start >= begin - before) & (start <= begin + decision.event)])
    if decision.area is not None and len(newest):
        newest = newest[_inside(launch_points(tracks, newest, rows), decision.area)]
    return now, newest


def _together(told: list[tuple[float, np.ndarray]]) -> Handed:
    time = np.concatenate([np.zeros(0), *(np.full(len(rows), t) for t, rows in told)])
    row = np.concatenate([np.zeros(0, int), *(rows for _, rows in told)])
    order = np.lexsort((row, time))
    return Handed(time[order], row[order])


def _inside(point: np.ndarray, area: tuple[float, float, float, float]) -> np.ndarray:
    lat, lon, _ = frames.geodetic(point)
    south, north, west, east = area
    away = np.mod(lon - west + MARGIN, 2 * np.pi)
    return ~np.isfinite(lat) | ((lat >= south - MARGIN) & (lat <= north + MARGIN) & (away <= east - west + 2 * MARGIN))


# What a message says -----------------------------------------------------------------------------------------------------


def launch_points(tracks: Tracks, rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Launch points (n, 3) m by the tracks of rows as they were: from the first row ``among`` what may be told of, `SETTLED` s after
    the first of them, or the row."""
    used, able = [], np.zeros(len(tracks), bool)
    able[among] = tracks.firm[among]
    for row in rows.tolist():
        mine = np.flatnonzero((tracks.node == tracks.node[row]) & (tracks.track == tracks.track[row]) & able)
        later = mine[(tracks.time[mine] >= tracks.time[mine[0]] + SETTLED) & (mine <= row)] if len(mine) else mine
        used.append(int(later[0]) if len(later) else row)
    at = np.array(used, int)
    return forecast.launch_point(predicted(tracks, at, tracks.time[at]), tracks.phase_probability[at][:, BOOST])[0]


def content(messages: Messages, tracks: Tracks) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What messages to people tell: launch points (n, 3) m, courses (n,) rad from north, impact points (n, 3) m and times (n,) s.

    Where rules let only some phases of flight out on a way, nothing of the others stands in it.
    """
    rows, phase = messages.row, own_phase(tracks, np.arange(len(tracks)))
    bank, chance = predicted(tracks, rows, tracks.time[rows]), tracks.phase_probability[rows]
    impact, _, left, _ = forecast.impact_point(bank.x6, bank.P6, tracks.log_beta[rows], push(bank)[0], chance)
    lat, lon, _ = frames.geodetic(bank.x6)
    v = np.einsum("nij,nj->ni", frames.enu_axes(lat, lon), bank.x6[:, 3:])
    launch = np.full((len(rows), 3), np.nan)
    ways = np.stack([messages.source, messages.target], axis=1)
    for source, target in sorted(set(zip(messages.source.tolist(), messages.target.tolist(), strict=True))):
        may = messages.meta.get("subjects", {}).get(f"{NODES[source]}>{NODES[target]}", list(PHASES))
        mine = (ways == (source, target)).all(axis=1)
        launch[mine] = launch_points(tracks, rows[mine], np.flatnonzero(np.isin(phase, [PHASES.index(name) for name in may])))
    return launch, np.mod(np.arctan2(v[:, 0], v[:, 1]), 2 * np.pi), impact, tracks.time[rows] + left


def told(messages: Messages, tracks: Tracks) -> list[str]:
    """One sentence per time that people were told of something: by whom, when, how late, and what; of several tracks told of at once
    what the first says, and how many there are."""
    mine = messages[(messages.kind == MESSAGE) & np.isfinite(messages.arrived)]
    _, first, many = np.unique(np.stack([mine.source, mine.target, mine.sent]), axis=1, return_index=True, return_counts=True)
    order = np.argsort(first)
    mine, many = mine[first[order]], many[order]
    lines = []
    for m, (launch, course, impact, down) in zip(range(len(mine)), zip(*content(mine, tracks), strict=True), strict=True):
        row, arrived = int(mine.row[m]), float(mine.arrived[m])
        who, whom = NODES[mine.source[m]], NODES[mine.target[m]]
        begun = tracks.time[(tracks.node == tracks.node[row]) & (tracks.track == tracks.track[row]) & tracks.firm].min(initial=np.inf)
        side = "after" if arrived > down else "before"
        late = f"{_span(abs(arrived - down))} {side} the impact that it tells" if math.isfinite(down) else "with no impact told"
        says = f"launch {_place(launch)}, course {math.degrees(course):.0f} deg, impact {_place(impact)}"
        more = f" (the first of {many[m]} objects)" if many[m] > 1 else ""
        lines.append(f"{whom} was told by {who} {_span(arrived - float(begun))} after {who} first held it, {late}: {says}{more}.")
    return lines


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _place(point: np.ndarray) -> str:
    if not np.isfinite(point).all():
        return "unknown"
    lat, lon, _ = (float(v[0]) for v in frames.geodetic(point[None]))
    return f"{abs(math.degrees(lat)):.1f} {'N' if lat >= 0 else 'S'} {abs(math.degrees(lon)):.1f} {'E' if lon >= 0 else 'W'}"
