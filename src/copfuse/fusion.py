"""``fuse()``: every node's picture from its own tracks and what it has heard.

Bookkeeping first (`books`: which local tracks, from whom, stand in which system track at which time), then arithmetic
on all rows at once: predict to the picture's time, fuse by split covariance intersection, forecast both ends of the
flight.  The split follows the pedigree: errors of plots that only one track has used are independent, process noise
and priors are not, and where two tracks have a sensor in common nothing is taken as independent; a track whose sensors a node may not
see may have had any of its nation's, and no others.
Where plots are shared, each node tracks with those that it may know (and registers their radars, where the nations did); who looks at
the hub's picture sees that.  What a node may know, and from when on, `hearing` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from copfuse import filters, forecast, rules
from copfuse.books import Look, Node, listening, looks
from copfuse.checking import choice, handed, handed_scenario
from copfuse.constants import BOOST, NATIONS, NODES
from copfuse.errors import CopfuseError
from copfuse.filters import Bank
from copfuse.following import Hub
from copfuse.forecast import Forecast
from copfuse.frames import altitude
from copfuse.hearing import Ends, Feed, as_known, plot_feed, reported, rests, sees_sensors, track_ends, track_feed
from copfuse.kernels.consider import fall_matrices
from copfuse.launching import Launched, launched, launches
from copfuse.naming import common_numbers
from copfuse.phases import phase_probability
from copfuse.phases import push as pushed_by
from copfuse.tables import PLOT, Detections, Messages, Picture, Tracks, same_table
from copfuse.tracking import track

PHASE_MEMORY = 4.0  # s in which what a source says of the phase loses weight beside a newer one's, *notional*
TOGETHER = 2.0  # s within which missiles come down together, as far as can be foreseen, *notional*
LEAST_PHASE = 1e-4  # and the least probability that it is taken to give any
ENDS = ("launch_point", "launch_point_P", "impact_point", "impact_point_P", "time_to_impact", "time_to_impact_sigma")
NOTHING: Feed = (np.zeros(0), np.zeros(0, int))


Forecasts = dict[tuple[int, int], Forecast]  # by node and system track


@dataclass(frozen=True)
class Held:
    """What fusion keeps from one time to the next: the nodes, with the local tracks that they know, and the last impact forecasts."""

    nodes: dict[int, Node]
    made: Forecasts

    def __len__(self) -> int:
        return sum(len(node.entries) + len(node.left) for node in self.nodes.values()) + len(self.made)


@dataclass(frozen=True)
class Sight:
    """Of whose tracks a node (first index) sees which sensors fed them, ``seen (4, 4)``; the bits of ``all`` sensors of each node; how
    long, s, the tracks that a node hears of another one last at least between reports, ``rest (4, 4)``; by which ``rule`` it fuses them;
    whether it asks for both ``ends`` of the flights."""

    seen: np.ndarray
    all: np.ndarray
    rest: np.ndarray
    rule: str
    ends: bool


class Needs(NamedTuple):
    """What impact forecasts of a picture's rows are made of beside its columns, each (n, ...): the ``line`` of those that nodes have
    alike, whose tracks stand in it (bits), the logarithm of the ballistic coefficient with its sigma, and the push m/s^2."""

    line: np.ndarray
    who: np.ndarray
    log_beta: np.ndarray
    push: np.ndarray


def fuse(
    tracks: Tracks, messages: Messages, scenario: Any, detections: Detections | None = None,
    watch: Callable[[float, Held], object] | None = None, rule: str = "split", nodes: Sequence[str] = NODES, hubs: Sequence[Hub] = (),
) -> Picture:  # fmt: skip
    """The picture at each of KOR, JPN, USA and HUB every ``scenario.picture_step`` seconds, sorted by time, then node.

    ``messages`` must be made from ``tracks`` (and from ``detections`` where plots were shared).  ``watch`` is called with
    times s that the picture has come to and what is held then.  ``rule``, one of `rules.TOGETHER`, says how several nations' tracks of
    one object become one estimate; where plots are shared there is only one track.  ``nodes``: whose pictures are made, if not all.
    ``hubs`` (`cueing.Sensed`) may have tracked with the first of the plots that are shared, which then is not done again.
    Raises `CopfuseError` where they were not, where plots were shared and ``detections`` is missing, or for another rule.
    """
    handed("fuse", tracks=(tracks, Tracks), messages=(messages, Messages))
    handed_scenario("fuse", scenario)
    same_table("tracks", tracks, messages.meta["tracks_uid"])
    if detections is not None and _carry_plots(messages):
        same_table("detections", detections, messages.meta["detections_uid"])
    return _fused(tracks, messages, scenario, detections, watch, rule, nodes, hubs, True)[0]


def without_ends(
    tracks: Tracks, messages: Messages, scenario: Any, detections: Detections | None = None, hubs: Sequence[Hub] = ()
) -> tuple[Picture, Needs]:
    """The picture of `fuse`, but that launch points and impact forecasts are nan; and what forecasts of its rows are made of.

    That the messages were made from these tables is left to the caller, so that those of `network.transmissions` do, too.
    """
    picture, needs = _fused(tracks, messages, scenario, detections, None, "split", NODES, hubs, False)
    assert needs is not None
    return picture, needs


def _fused(
    tracks: Tracks, messages: Messages, scenario: Any, detections: Detections | None, watch: Callable[[float, Held], object] | None,
    rule: str, nodes: Sequence[str], hubs: Sequence[Hub], ends: bool,
) -> tuple[Picture, Needs | None]:  # fmt: skip
    choice(rule, rules.TOGETHER, "rule")
    wanted = sorted({NODES.index(choice(name, NODES, "nodes")) for name in nodes})
    if _carry_plots(messages):
        if detections is None:
            raise CopfuseError("these messages carry plots: call fuse(..., detections=detections)")
        return _fuse_plots(tracks, messages, scenario, detections, watch, wanted, hubs, ends)
    feeds = [track_feed(node, tracks, messages) if node in wanted else NOTHING for node in range(len(NODES))]
    sight = _sight(scenario, sees_sensors(messages), rests(messages), rule, ends)
    over = [track_ends(node, tracks, messages) for node in range(len(NODES))]
    columns, needs = _sorted(list(_pictures(tracks, feeds, scenario, sight, watch, over)), ends)
    common = common_numbers(columns, tracks, feeds, [reported(node, tracks, messages) for node in range(len(NODES))])
    return Picture(**columns, common=common, meta=_meta(scenario, messages, "Tracks")), needs


def _carry_plots(messages: Messages) -> bool:
    return "plot" in messages.meta.get("payloads", ()) or bool((messages.kind == PLOT).any())


def _meta(scenario: Any, messages: Messages, pedigree_of: str) -> dict[str, Any]:
    """`Picture.meta`, the names of regime and tables as messages have them, if they have."""
    named = messages.meta.get
    return {
        "regime": named("regime", ""), "nodes": list(NODES), "sensors": [s.name for s in scenario.sensors],
        "pedigree_of": pedigree_of, "pedigree_uid": named(f"{pedigree_of.lower()}_uid", ""),
    }  # fmt: skip


def _sight(scenario: Any, seen: np.ndarray, rest: np.ndarray, rule: str = "split", ends: bool = True) -> Sight:
    bit = np.uint64(1) << np.arange(len(scenario.sensors), dtype=np.uint64)
    nation = np.array([NATIONS.index(s.nation) for s in scenario.sensors], int)
    bits = np.array([bit[nation == k].sum() for k in range(len(NATIONS))] + [bit.sum()], np.uint64)
    return Sight(seen, bits, rest, rule, ends)


def _fuse_plots(
    tracks: Tracks, messages: Messages, scenario: Any, detections: Detections, watch: Callable[[float, Held], object] | None,
    wanted: list[int], hubs: Sequence[Hub], ends: bool,
) -> tuple[Picture, Needs | None]:  # fmt: skip
    """Every node takes the plots that it knows; nodes that know the same, at the same times, have one picture."""
    known = {node: as_known(node, messages, scenario, detections) for node in wanted}
    feeds = {node: plot_feed(node, messages, scenario, detections) for node in wanted}
    meta = _meta(scenario, messages, "Detections")
    parts: list[dict[str, np.ndarray]] = []
    for node in reversed(wanted):  # the hub's registration, if there is any, is told last and so is the one that is told
        like = [k for k, feed in feeds.items() if not _differ((*feed, known[k].snr), (*feeds[node], known[node].snr))]
        if node == max(like):
            made, registered = _plot_pictures(tracks, feeds[node], scenario, known[node], watch, hubs, ends)
            for part in made:
                own = {} if ends else {"line": part["line"] + node * 10**9}  # lines of others have the same numbers
                parts += [{**part, **own, "node": np.full_like(part["node"], k)} for k in like]
            meta = {**registered, **meta}
    columns, needs = _sorted(parts, ends)
    return Picture(**columns, common=columns["track"], meta=meta), needs


def _differ(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> bool:
    return not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def _plot_pictures(
    tracks: Tracks, feed: Feed, scenario: Any, detections: Detections, watch: Callable[[float, Held], object] | None, hubs: Sequence[Hub],
    ends: bool,
) -> tuple[list[dict[str, np.ndarray]], dict[str, Any]]:  # fmt: skip
    """The columns of one node's picture out of plots, and what was registered; it waits for stragglers, so its tracks are in time order."""
    when, rows = feed
    plots, registered, association = detections[rows], "registration" in tracks.meta, tracks.meta.get("association", "gnn")
    begun = [] if registered else [one for one in hubs if one.begins(plots, association)]
    if begun:
        hub = begun[0].tracks(plots, common=False, named=False)  # in which each line stands on one track
    else:
        hub = tracker(registered)(plots, scenario, node="HUB", association=association)
    heard = np.maximum.accumulate(when)[hub.detection] if len(hub) else np.zeros(0)
    firm = np.flatnonzero(hub.firm)
    last = _last_plots(hub, rows, detections, scenario)
    sight = _sight(scenario, np.ones((len(NODES), len(NODES)), bool), np.zeros((len(NODES), len(NODES))), ends=ends)
    made = [
        {**part, "pedigree": last[part["pedigree"].max(axis=1)]}
        for part in _pictures(hub, [(heard[firm], firm)], scenario, sight, watch, [_hub_ends(hub, feed, detections)])
    ]
    return made, {name: hub.meta[name] for name in ("registration",) if name in hub.meta}


def _hub_ends(hub: Tracks, feed: Feed, detections: Detections) -> Ends:
    """When a node that tracks plots of a feed knows of its firm tracks that they are no more: with the last plot until then."""
    known, time = np.maximum.accumulate(feed[0]), detections.time[feed[1]]
    ended = hub.meta.get("ended", {}).get("HUB", [])
    return sorted((float(known[np.searchsorted(time, at, side="right") - 1]), NODES.index("HUB"), track) for track, _, at in ended)


def tracker(registered: bool) -> Callable[..., Tracks]:
    """`tracking.track`, or `registering.track_registered`."""
    if not registered:
        return track
    from copfuse.registering import track_registered  # half a second of imports that most runs do without

    return track_registered


def _last_plots(hub: Tracks, rows: np.ndarray, detections: Detections, scenario: Any) -> np.ndarray:
    """Per hub track row and nation (and hub: −1), the newest plot in it: (n, 4) rows of Detections."""
    nation, plot, n = np.array([NATIONS.index(s.nation) for s in scenario.sensors]), rows[hub.detection], len(hub)
    order = np.argsort(hub.track, kind="stable")
    begin = np.searchsorted(hub.track[order], hub.track[order])  # of each row's track
    last, own = np.full((n, len(NODES)), -1), nation[detections.sensor[plot[order]]]
    for k in range(len(NATIONS)):
        newest = np.maximum.accumulate(np.where(own == k, np.arange(n), -1))
        have = newest >= begin
        last[order[have], k] = plot[order[newest[have]]]
    return last


def _pictures(
    tracks: Tracks, feeds: list[Feed], scenario: Any, sight: Sight, watch: Callable[[float, Held], object] | None, ends: list[Ends]
) -> Iterator[dict[str, np.ndarray]]:
    """The columns of the pictures of nodes 0, 1, ... with these feeds, so many times together that it pays.

    What is over is not held, so the memory that this needs does not grow with time.
    """
    launch = launched(tracks, feeds) if sight.ends else None
    held = Held(listening(tracks, feeds, scenario, sight.rest, ends), {})
    lines = 0
    for look in looks(tracks, held.nodes, scenario):
        yield _columns(tracks, look, launch, held.made, sight, lines)
        lines += len(look.book)
        if watch:
            watch(float(look.time[-1]), held)


def _columns(tracks: Tracks, look: Look, launch: Launched | None, made: Forecasts, sight: Sight, first: int) -> dict[str, np.ndarray]:
    """The columns of the pictures at some times; what has come down leaves them, for it would stand beside others aloft.

    Nodes that know the same of an object have it alike, so that the arithmetic is done on distinct lines.  Where nothing is known of
    launch points, `Needs` are in the place of both ends, the lines numbered from the ``first`` on.
    """
    rows, place, node, system = look.rows, look.place, look.book, look.system
    source = np.where(place >= 0, rows[place], -1)
    sensors, disjoint = _sensors(tracks, source, node, sight)
    distinct, line = _distinct(np.column_stack([place, disjoint]))
    state, beta, push = _states(tracks, rows, look.bank, distinct[:, :-1], distinct[:, -1] > 0, sight.rule)
    up = ~_down(state["time"][line], node, state["x"][line])
    line, node, system, sensors = line[up], node[up], system[up], sensors[up]
    if launch is None:
        own = {"line": first + line, "who": _who(state["pedigree"])[line], "log_beta": beta[line], "push": push[line]}
    else:
        own = launches(launch, node, state["time"][line], state["pedigree"][line])
        own |= _impacts(state, beta, push, line, node, system, made)
    return {"node": node, "track": system, "sensors": sensors, **{name: column[line] for name, column in state.items()}, **own}


def _distinct(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ones of ``keys (n, k)``, in order, and which of them each is (n,): `np.unique`, which is slow at rows."""
    order = np.lexsort(keys.T[::-1])
    new = np.append(True, (keys[order[1:]] != keys[order[:-1]]).any(axis=1))[: len(order)]
    which = np.empty(len(order), int)
    which[order] = np.cumsum(new) - 1
    return keys[order[new]], which


def _sensors(tracks: Tracks, source: np.ndarray, node: np.ndarray, sight: Sight) -> tuple[np.ndarray, np.ndarray]:
    """Of lines that stand on rows ``source (n, 4)`` at nodes (n,): the bits (n,) of the sensors that the node sees in them, and whether
    no sensor can stand in two of their local tracks, (n,): only then are their plots' errors independent."""
    have, seen = source >= 0, sight.seen[node]
    bits = np.where(have & seen, tracks.sensors[source], np.uint64(0))
    possible = np.where(have & ~seen, sight.all, bits)
    apart = np.bitwise_count(possible).sum(axis=1) == np.bitwise_count(np.bitwise_or.reduce(possible, axis=1))
    return np.bitwise_or.reduce(bits, axis=1), apart


def _states(
    tracks: Tracks, rows: np.ndarray, bank: Bank, place: np.ndarray, disjoint: np.ndarray, rule: str
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Columns of lines that stand on what ``place (n, 4)`` says of ``rows``, predicted as ``bank`` (−1: none), log beta and push.

    ``disjoint`` (n,): whether the plots in a line's local tracks are different ones.
    """
    n, s = place.shape
    have = place >= 0
    at, source = place[have], np.where(have, rows[place], -1)
    time = bank.time[place.max(axis=1)]
    phase, beta = np.zeros((n, s, 4)), np.full((n, s, 2), np.inf)
    boost = tracks.phase_probability[rows][:, BOOST]
    burnt = boost < 0.5
    phase[have] = phase_probability(bank, burnt, np.where(burnt, boost, 0.0))[at]
    beta[have] = tracks.log_beta[rows][at]
    order = np.argsort(np.where(have, np.trace(bank.P6, axis1=1, axis2=2)[place], np.inf), axis=1)
    best = np.take_along_axis(place, order, axis=1)[:, : have.sum(axis=1).max(initial=1)]  # the best estimate first
    P = bank.P6[best]
    x6, P6 = rules.together(rule, bank.x6[best], P, _shared(tracks, rows, bank, best, P, disjoint), best >= 0)
    columns = {
        "time": time, "x": x6, "P": P6, "phase_probability": _pooled(phase, np.where(have, tracks.time[source], -np.inf)),
        "age": time - np.where(have, tracks.time[source], -np.inf).max(axis=1), "pedigree": source,
    }  # fmt: skip
    return columns, beta[np.arange(n), beta[:, :, 1].argmin(axis=1)], pushed_by(bank)[0][best[:, 0]]


def _shared(tracks: Tracks, rows: np.ndarray, bank: Bank, place: np.ndarray, P: np.ndarray, disjoint: np.ndarray) -> np.ndarray:
    """What of ``P (n, s, 6, 6)``, of lines that stand on ``place (n, s)``, may be common to their sources: of one alone it is not asked."""
    D, have = P.copy(), place >= 0
    several = have & _several(have, disjoint)[:, None]
    some, which = np.unique(place[several], return_inverse=True)
    D[several] = _common(tracks, rows[some], bank.time[some], bank.P6[some])[which]
    return D


def _several(have: np.ndarray, disjoint: np.ndarray) -> np.ndarray:
    """In which lines (n,) it is asked what is common to their sources: of one alone it is not, nor where all may be."""
    several: np.ndarray = disjoint & (have.sum(axis=1) > 1)
    return several


def _pooled(phase: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Phase probabilities (n, 4) of lines whose sources say ``phase (n, s, 4)`` by plots until ``time (n, s)`` s (-inf: no source).

    A logarithmic opinion pool (Genest & Zidek, Statistical Science 1(1), 1986): evidence of different plots multiplies, so that a
    source that cannot tell moves nothing, and one that says less lately than another counts by how long ago that was: a track
    that was seen to burn before the message left does not make one burn that has been seen to burn out since.
    """
    weight = np.exp((time - time.max(axis=1, keepdims=True)) / PHASE_MEMORY)
    pooled = (weight[:, :, None] * np.log(np.maximum(phase, LEAST_PHASE))).sum(axis=1)
    pooled = np.exp(pooled - pooled.max(axis=1, keepdims=True))
    alone = np.isfinite(time).sum(axis=1) == 1
    return np.where(alone[:, None], phase.sum(axis=1), pooled / pooled.sum(axis=1, keepdims=True))


def _common(tracks: Tracks, rows: np.ndarray, time: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`Tracks.P_common` of rows, carried to ``time (n,)``, when they are known to ``whole (n, 6, 6)``: all that the prediction adds is
    common too."""
    F = np.zeros((len(rows), 6, 6))
    fall_matrices(tracks.x[rows], time - tracks.time[rows], F)
    D, P = tracks.P_common[rows], tracks.P[rows]
    return filters.within(whole + F @ (D - P) @ np.swapaxes(F, 1, 2), whole)


def _impacts(
    state: dict[str, np.ndarray], log_beta: np.ndarray, push: np.ndarray, line: np.ndarray, node: np.ndarray, system: np.ndarray,
    made: Forecasts,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Impact columns (n,) of the picture's rows, of which each is a ``line`` of ``state``, and with whom those are, in rising time.

    ``made`` has each system track's last forecast, in place (`forecast.along`).
    """
    keys = list(zip(node.tolist(), system.tolist(), strict=True))
    found = forecast.along(state, log_beta, push, _who(state["pedigree"]), line, keys, made)
    return dict(zip(("impact_point", "impact_point_P", "time_to_impact", "time_to_impact_sigma"), found, strict=True))


def _who(pedigree: np.ndarray) -> np.ndarray:
    """Whose tracks stand in lines, as bits (n,)."""
    who: np.ndarray = (pedigree >= 0) @ (1 << np.arange(pedigree.shape[1]))
    return who


def _down(time: np.ndarray, node: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Which states (n, 6) sink under the ground, so have more likely come down than not, while another of that time and node is aloft or
    comes down later.

    The last is followed until it is no longer heard of: its forecast is not sure to some seconds, and nothing is mistaken for it.
    """
    height, sinks = altitude(x), -np.einsum("ni,ni->n", x[:, :3], x[:, 3:]) / np.linalg.norm(x[:, :3], axis=1)
    since = np.where((sinks > 0.0) & (height < 0.0), -height / np.maximum(sinks, 1.0), -np.inf)  # s under the ground
    _, at = _distinct(np.column_stack([time, node]))
    last = np.full(len(time), np.inf)
    np.minimum.at(last, at, since)
    return since > np.where(np.isfinite(last), last + TOGETHER, 0.0)[at]


def _sorted(parts: list[dict[str, np.ndarray]], ends: bool = True) -> tuple[dict[str, np.ndarray], Needs | None]:
    """The picture's columns, but for the common numbers, by time, node and track; without ``ends``, `Needs` beside them."""
    kinds = {name: kind for name, kind in Picture.COLUMNS.items() if name != "common" and (ends or name not in ENDS)}
    kinds |= {} if ends else {"line": (int, ()), "who": (int, ()), "log_beta": (float, (2,)), "push": (float, (3,))}
    none = {name: np.zeros((0, *shape), dtype) for name, (dtype, shape) in kinds.items()}
    columns = {name: np.concatenate([one, *(p[name] for p in parts)]) for name, one in none.items()}
    order = np.lexsort((columns["track"], columns["node"], columns["time"]))
    columns = {name: column[order] for name, column in columns.items()}
    if ends:
        return columns, None
    needs = Needs(*(columns.pop(name) for name in Needs._fields))
    return columns | {name: np.full((len(order), *Picture.COLUMNS[name][1]), np.nan) for name in ENDS}, needs
