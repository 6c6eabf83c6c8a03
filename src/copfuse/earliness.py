"""The tidy rows of the earlier-detection study: what every node of one run had of every missile, and when.

One row per missile and node; `COLUMNS` in this order.  Times are s after the missile's ignition, nan (empty in a CSV) for never.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from copfuse import bounds, flights, frames, metrics, numbering
from copfuse.constants import BOOST, GLIDE, MIDCOURSE, NATIONS, NODES, PHASES, TERMINAL
from copfuse.foreseeing import firsts
from copfuse.fusion import Needs
from copfuse.measures import ratio
from copfuse.metrics import Match, Sighting
from copfuse.numbering import first_and_place
from copfuse.tables import PLOT, TRACK, Detections, Messages, Picture, Tracks, Truth

FIXED = (60, 120, 300)  # s after ignition at which the position error is reported
ELLIPSES = (50, 10)  # km, 95 % semi-major axes of the impact forecast whose first time is reported
PARTS = {"boost": (BOOST,), "midcourse": (MIDCOURSE,), "terminal": (TERMINAL, GLIDE)}  # glide is flown below 100 km too

_OF_PART = {part: np.isin(np.arange(len(PHASES)), codes) for part, codes in PARTS.items()}

# Column: type and meaning
COLUMNS: dict[str, tuple[type, str]] = {
    "launch": (str, "id in the record, or the scenario's name"),
    "object": (str, "the missile's name"),
    "missile_class": (str, "SRBM, MRBM, IRBM, ICBM, SLBM, SLV or unknown"),
    "manoeuvre": (str, "as flown: none, pull-up or glide"),
    "cueing": (int, "1 where what is shared also cues radars"),
    "without": (str, 'sensors left out, parted by ";"'),
    "regime": (str, "the sharing arrangement"),
    "seed": (int, "names all random draws"),
    "node": (str, "KOR, JPN, USA or HUB"),
    "flight_time_s": (float, "ignition to impact"),
    "apogee_km": (float, "highest altitude flown"),
    "range_km": (float, "ground range flown"),
    "first_plot_s": (float, "first plot of the node's own sensors (HUB: of any)"),
    "first_plot_km": (float, "altitude then"),
    "told_s": (float, "first warning of any kind: own firm track, or a cue, message or track that arrived"),
    "firm_s": (float, "first time that the node's picture holds the missile"),
    "firm_km": (float, "altitude then"),
    "own_s": (float, "first firm track by own sensors (HUB: by any nation's)"),
    "ellipse50_s": (float, "first impact forecast with a 95 % semi-major axis below 50 km"),
    "ellipse50_left_s": (float, "time left to impact then"),
    "ellipse10_s": (float, "the same below 10 km"),
    "ellipse10_left_s": (float, "time left to impact then"),
    "firm_left_s": (float, "time left to impact at firm_s"),
    "lost_s": (float, "when the picture held it last; nan where never or to the impact"),
    "lost_km": (float, "altitude then"),
    "custody": (float, "share of the flight during which the picture held it"),
    **{f"{part}_custody": (float, f"the same of the {part} phase") for part in PARTS},
    **{f"error{at}_m": (float, f"position error {at} s after ignition") for at in FIXED},
    **{f"bound{at}_m": (float, "its Cramer-Rao bound for the plots that could reach the node") for at in FIXED},
    **{f"{part}_rms_m": (float, f"root mean square position error in the {part} phase") for part in PARTS},
    "ambiguity": (float, "tracks on the missile per time at which it is held"),
    "commonality": (float, "share of times held here and at another node at which both give it one track number"),
    "age_s": (float, "median age of the newest row in its track"),
}  # fmt: skip
DIGITS = {"_s": 3, "_km": 4, "_m": 3, "": 6}  # decimals that are kept, by unit
_DECIMALS = {name: next(digits for unit, digits in DIGITS.items() if name.endswith(unit)) for name in COLUMNS}
KEYS = ("launch", "object", "regime", "seed", "node")  # what names a row

Row = dict[str, Any]


def pictured(run: Any, needs: Needs | None = None) -> list[Row]:
    """What rows tell of the flights and of the nodes' pictures of them, missile by missile, node by node: the same where regimes give
    the same picture.

    ``run``: a `study.Run`, or anything with its scenario, truth, detections, tracks and picture; ``needs``, where that has no forecasts
    (`fusion.without_ends`).
    """
    matched, sizes = metrics.match(run.picture, run.truth), tuple(1e3 * size for size in ELLIPSES)
    foreseen = None if needs is None else firsts(run.picture, needs, matched.object, sizes)
    sighted = iter(metrics.sightings(run, sizes, matched, foreseen))
    grid = metrics.score_times(run.picture, run.truth, run.scenario)
    found = []
    for number, path in _missiles(run.truth):
        flight = flown(run.scenario, run.truth.meta["objects"][number], path)
        for node, name in enumerate(NODES):
            seen = _moments(next(sighted), run.truth, number) | _picture(run.picture, matched, path, number, node, grid)
            found.append({**flight, "node": name, **seen})
    return found


@lru_cache(maxsize=2)
def _missiles(truth: Truth) -> list[tuple[int, Truth]]:
    """Every missile's number and its own rows of truth; several regimes ask for the same."""
    return [(i, truth[truth.object == i]) for i, about in enumerate(truth.meta["objects"]) if about["kind"] == "missile"]


Limits = dict[tuple[int, str], Any]  # bounds by object and the nations whose plots they stand on


def rows(
    run: Any, seen: list[Row] | None = None, cueing: bool = False, without: tuple[str, ...] = (), limits: Limits | None = None
) -> list[Row]:
    """The rows of one run (a `study.Run` or what has its tables but the score), missile by missile, node by node.

    ``seen``: what is `pictured`, where that is known.  ``limits``: a dict in which bounds are kept that runs with the same detections
    share; None leaves the bounds out.
    """
    known = iter(pictured(run) if seen is None else seen)
    of = majority(run.tracks, run.detections)
    about = {"cueing": int(cueing), "without": ";".join(without), "regime": run.regime, "seed": run.seed}
    out = []
    for number, path in _missiles(run.truth):
        for node in range(len(NODES)):
            row = {**next(known), **about, **warned(run.tracks, run.messages, of, number, node, float(path.time[0]))}
            row["told_s"] = _least(row["told_s"], row["firm_s"])
            row |= _bounds(run, path, number, node, limits) if limits is not None else {f"bound{at}_m": math.nan for at in FIXED}
            out.append({column: _rounded(column, row[column]) for column in COLUMNS})
    return out


def _rounded(name: str, value: Any) -> Any:
    kind = COLUMNS[name][0]
    return round(float(value), _DECIMALS[name]) if kind is float else kind(value)


def _least(*times: float) -> float:
    """The earliest of times of which some are nan; nan where all are."""
    return min((t for t in times if not math.isnan(t)), default=math.nan)


def flown(scenario: Any, about: dict[str, Any], path: Truth) -> Row:
    """What a missile's flight was, from what the truth's meta says ``about`` it and its own rows of truth."""
    launch = scenario.launches[about["launch"]]
    shape = "glide" if (path.phase == GLIDE).any() else "none"
    if launch.kind == "record":
        shape = flights.fit(flights.launches().find(launch.id)).shape.replace("ballistic", "none")
    return {"launch": scenario.name, "object": about["name"], "missile_class": about["missile_class"], "manoeuvre": shape, **_size(path)}


@lru_cache(maxsize=16)
def _size(path: Truth) -> Row:
    """How long, high and far a flight was."""
    lat, lon, _ = frames.geodetic(path.x[[0, -1]])
    distance, _ = frames.ground_distance_bearing(*lat[:1], *lon[:1], *lat[1:], *lon[1:])
    return {
        "flight_time_s": path.time[-1] - path.time[0], "apogee_km": 1e-3 * frames.altitude(path.x).max(),
        "range_km": 1e-3 * float(np.ravel(distance)[0]),
    }  # fmt: skip


def _moments(s: Sighting, truth: Truth, number: int) -> Row:
    """The columns that `metrics.sightings` has; no time is left to an impact that truth does not have (an orbit)."""
    end = s.flight_time if truth.meta["objects"][number].get("landed", True) else math.nan
    row = {"first_plot_s": s.first_plot.time, "first_plot_km": 1e-3 * s.first_plot.altitude, "firm_s": s.firm_track.time,
           "firm_km": 1e-3 * s.firm_track.altitude, "firm_left_s": end - s.firm_track.time, "lost_s": s.lost.time,
           "lost_km": 1e-3 * s.lost.altitude, "custody": s.custody}  # fmt: skip
    for size, found in zip(ELLIPSES, s.ellipses, strict=True):
        row |= {f"ellipse{size}_s": found.moment.time, f"ellipse{size}_left_s": end - found.moment.time}
    return row


# Warnings ------------------------------------------------------------------------------------------------------------


def majority(tracks: Tracks, detections: Detections) -> np.ndarray:
    """The object (n,) that gave most plots of each row's local track, -1 where false plots did."""
    if len(tracks) == 0:
        return np.zeros(0, int)
    _, local = first_and_place(numbering.tracks(tracks.node, tracks.track))
    thing = detections.object[tracks.detection] + 1
    things = int(thing.max()) + 1
    count = np.bincount(local * things + thing, minlength=(int(local.max()) + 1) * things)
    return count.reshape(-1, things).argmax(axis=1)[local] - 1


def warned(tracks: Tracks, messages: Messages, of: np.ndarray, number: int, node: int, begin: float) -> Row:
    """When the node's own sensors (HUB: anybody's) had a firm track, and when it was told in any way; ``of`` as `majority` says."""
    mine = tracks.firm & (of == number) & ((tracks.node == node) | (NODES[node] == "HUB"))
    own = float(tracks.time[mine].min(initial=math.inf)) - begin
    heard = np.flatnonzero((messages.target == node) & (messages.kind != PLOT) & np.isfinite(messages.arrived))
    heard = heard[of[messages.row[heard]] == number]
    told = float(messages.arrived[heard].min(initial=math.inf)) - begin
    own, told = (t if math.isfinite(t) else math.nan for t in (own, told))
    return {"own_s": own, "told_s": told if NODES[node] == "HUB" else _least(own, told)}


# The picture ---------------------------------------------------------------------------------------------------------


def _picture(picture: Picture, matched: Match, path: Truth, number: int, node: int, grid: np.ndarray) -> Row:
    """What the rows of a node's picture on one missile tell: errors, custody by phase, tracks beside, age, common numbers."""
    mine = picture.node == node
    on = np.flatnonzero(mine & (matched.object == number))
    beside = int((mine & (matched.nearest == number)).sum())
    time, error = picture.time[on], np.linalg.norm(matched.error[on, :3], axis=1)
    all_on = np.flatnonzero(matched.object == number)
    row = {
        "ambiguity": ratio(len(on) + beside, len(on)), "age_s": float(np.median(picture.age[on])) if len(on) else math.nan,
        "commonality": common(picture.time[all_on], picture.node[all_on], picture.common[all_on], node),
    }  # fmt: skip
    grid = grid[(grid >= path.time[0]) & (grid <= path.time[-1])]
    row |= by_phase(path, grid, time, error)
    return row | {f"error{at}_m": at_time(time - path.time[0], error, float(at)) for at in FIXED}


def by_phase(path: Truth, grid: np.ndarray, time: np.ndarray, error: np.ndarray) -> Row:
    """Per phase the share of the times ``grid`` at which a row of ``time (n,)`` stands, and those rows' rms error; nan without either."""
    row = {}
    there, then, held = phase_at(path, grid), phase_at(path, time), metrics.among(grid, time)
    for part, of_part in _OF_PART.items():
        within, errors = of_part[there], error[of_part[then]]
        row[f"{part}_custody"] = ratio(float(np.count_nonzero(held & within)), float(np.count_nonzero(within)))
        row[f"{part}_rms_m"] = math.sqrt((errors**2).mean()) if len(errors) else math.nan
    return row


def phase_at(path: Truth, time: np.ndarray) -> np.ndarray:
    """The phase (n,) of one object at times of its flight."""
    return path.phase[path.time[1:].searchsorted(time, side="right")]


def at_time(time: np.ndarray, value: np.ndarray, at: float, within: float = 1e-3) -> float:
    """The value at a time, nan where there is none; between two times of the picture's grid, on the line between theirs."""
    near = np.flatnonzero(np.abs(time - at) <= within)
    if len(near):
        return float(value[near[0]])
    if len(time) < 2 or not time[0] < at < time[-1]:
        return math.nan
    k = int(np.searchsorted(time, at))
    together = time[k] - time[k - 1] <= 1.5 * np.diff(time).min()  # not across a gap in which the object was not held
    return float(np.interp(at, time[k - 1 : k + 1], value[k - 1 : k + 1])) if together else math.nan


def common(time: np.ndarray, node: np.ndarray, number: np.ndarray, mine: int) -> float:
    """Of the times (n,) at which the node ``mine`` and another one hold an object, the share at which both give it one number.

    One line per node and time; every other node counts for itself; nan where nobody holds it beside this one.
    """
    times, at = np.unique(np.round(time, 6), return_inverse=True)
    ours = np.full(len(times), -1)
    ours[at[node == mine]] = number[node == mine]
    there = ours[at[node != mine]]
    same = (there == number[node != mine])[there >= 0]
    return ratio(float(same.sum()), float(len(same)))


# Bounds --------------------------------------------------------------------------------------------------------------


def sources(messages: Messages, node: int) -> tuple[str, ...]:
    """The nations whose plots may stand in a node's picture: its own, those whose tracks it hears; with shared plots all senders'."""
    moved = messages[np.isfinite(messages.arrived)]
    plots, tracks = moved.kind == PLOT, (moved.kind == TRACK) & (moved.target == node)
    known = {NODES[k] for k in np.unique(moved.source[plots | tracks])} | {NODES[node]}
    return NATIONS if "HUB" in known and NODES[node] != "HUB" else tuple(n for n in NATIONS if n in known)


def _bounds(run: Any, path: Truth, number: int, node: int, limits: Limits) -> Row:
    """Cramer-Rao bounds at the fixed times, for the plots that were made by `sources`, as if there were no delay and no bias."""
    nations = sources(run.messages, node)
    key = number, ";".join(nations)
    if key not in limits:
        names = [s.name for s in run.scenario.sensors if s.nation in nations]
        limits[key] = bounds.bound(run.truth, run.scenario, sensors=names, object=number, detections=run.detections)
    found = limits[key]
    row = {}
    for at in FIXED:
        k = int(np.searchsorted(found.time, path.time[0] + at + 1e-6)) - 1
        row[f"bound{at}_m"] = float(found.position[k]) if k >= 0 and path.time[0] + at <= path.time[-1] else math.nan
    return row
