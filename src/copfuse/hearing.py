"""What a node may know: its own tracks and plots, and of others' what an arrived message carries, less what is stripped from it.

Fusion hears through this module alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from copfuse import numbering
from copfuse.constants import NATIONS, NODES
from copfuse.numbering import first_and_place
from copfuse.tables import CUE, DROP, MESSAGE, PLOT, TRACK, Detections, Messages, Tracks

MISSED = 2.5  # report intervals that a track outlives, so that one lost report does not end it, *notional*
Feed = tuple[np.ndarray, np.ndarray]  # when s (n,) something is known, rising, and which row (n,)
Ends = list[tuple[float, int, int]]  # when s a track is known to be no more, rising, and its source and number


@dataclass(frozen=True)
class Known:
    """Row numbers, rising, of what one node may know at the end: ``tracks`` (of Tracks) its own and those whose state it was sent,
    ``sensors`` those among them whose `Tracks.sensors` it may see, ``told`` those behind cues and messages, never fused;
    ``detections`` (of Detections) its own and those that it was sent or that stand in the hub's picture where it looks at that."""

    tracks: np.ndarray
    sensors: np.ndarray
    told: np.ndarray
    detections: np.ndarray


def may_know(node: str, tracks: Tracks, messages: Messages, scenario: Any, detections: Detections | None = None) -> Known:
    """Which rows of the tables a node may know, by the messages that have arrived.

    ``detections`` None: no plots are looked at.  What a track's own node knows of it counts whole, firm or not.
    """
    k = NODES.index(node)
    came = messages[(messages.target == k) & np.isfinite(messages.arrived)]
    own = np.flatnonzero(tracks.node == k)
    states = np.union1d(own, came.row[came.kind == TRACK])
    plots = np.zeros(0, int)
    if detections is not None:
        plots = np.union1d(np.flatnonzero(_own_sensors(scenario, k)[detections.sensor]), plot_feed(k, messages, scenario, detections)[1])
    bits = np.array([sees_sensors(messages)[k, n] for n in tracks.node[states]], bool)
    return Known(states, states[bits], np.unique(came.row[(came.kind == CUE) | (came.kind == MESSAGE)]), plots)


def sees_sensors(messages: Messages) -> np.ndarray:
    """Whether a node (first index) sees which sensors stand in tracks that it hears of a node (second index): (4, 4) booleans."""
    seen = np.ones((len(NODES), len(NODES)), bool)
    for name, columns in messages.meta.get("stripped", {}).items():
        ends, payload = name.split(":")
        source, target = ends.split(">")
        if payload == "track" and "sensors" in columns:
            seen[NODES.index(target), NODES.index(source)] = False
    return seen


def rests(messages: Messages) -> np.ndarray:
    """How long in s a track that a node (first index) hears of another one (second index), which reports in slots, lasts at least
    without a report: `MISSED` intervals, (4, 4)."""
    rest = np.zeros((len(NODES), len(NODES)))
    for name, interval in messages.meta.get("slots", {}).items():
        source, target = name.split(">")
        rest[NODES.index(target), NODES.index(source)] = MISSED * interval
    return rest


def track_feed(node: int, tracks: Tracks, messages: Messages) -> Feed:
    """When each firm row of a local track becomes known at a node, and which row, in that order.

    What is no newer than what is known of its track by then (out of order, or come twice) is left out, and so is what comes after its
    end: nobody goes back in time.
    """
    own = np.flatnonzero((tracks.node == node) & tracks.firm)
    heard = np.flatnonzero((messages.target == node) & (messages.kind == TRACK) & np.isfinite(messages.arrived))
    when, rows = _with(own, tracks.time, messages, heard)
    order = np.lexsort((rows, when))
    when, rows = when[order], rows[order]
    if len(rows) == 0:
        return when, rows
    local, which = first_and_place(numbering.tracks(tracks.node[rows], tracks.track[rows]))
    times, rank = np.unique(tracks.time[rows], return_inverse=True)
    by_track = np.argsort(which, kind="stable")
    age = (which * len(times) + rank)[by_track]  # rises from track to track
    newest = np.maximum.accumulate(age)
    news = np.zeros(len(rows), bool)
    news[by_track] = np.append(True, age[1:] > newest[:-1])
    if over := {(source, track): time for time, source, track in reversed(track_ends(node, tracks, messages))}:
        names = zip(tracks.node[rows[local]].tolist(), tracks.track[rows[local]].tolist(), strict=True)
        news &= when <= np.array([over.get(name, np.inf) for name in names])[which]
    return when[news], rows[news]


def _with(own: np.ndarray, time: np.ndarray, messages: Messages, heard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """When s (n,) a node knows of its own rows of a table, at their ``time``, and of those of some messages, and which those are."""
    return np.concatenate([time[own], messages.arrived[heard]]), np.concatenate([own, messages.row[heard]])


def track_ends(node: int, tracks: Tracks, messages: Messages) -> Ends:
    """When a node knows of which firm local tracks that they are no more: of its own at once, of others' by drop reports that came."""
    own = [(time, node, track) for track, _, time in tracks.meta.get("ended", {}).get(NODES[node], [])]
    came = np.flatnonzero((messages.target == node) & (messages.kind == DROP) & np.isfinite(messages.arrived))
    row = messages.row[came]
    facts = zip(messages.arrived[came].tolist(), tracks.node[row].tolist(), tracks.track[row].tolist(), strict=True)
    return sorted([*own, *facts])


def reported(node: int, tracks: Tracks, messages: Messages) -> Feed:
    """When a node first reported each of its own local tracks to anybody, and by which row.  It knows what it sent, not what arrived."""
    said = np.flatnonzero((messages.source == node) & (messages.kind == TRACK))
    view = np.array(messages.meta.get("reported", []), float).reshape(-1, 2)  # one node's view has no messages to others
    sent, rows = np.append(messages.sent[said], view[:, 0]), np.append(messages.row[said], view[:, 1].astype(int))
    mine = tracks.node[rows] == node
    sent, rows = sent[mine], rows[mine]
    order = np.lexsort((rows, sent))
    _, first = np.unique(tracks.track[rows[order]], return_index=True)
    return sent[order[first]], rows[order[first]]


def plot_feed(node: int, messages: Messages, scenario: Any, detections: Detections) -> Feed:
    """When each plot becomes known at a node, and which row of Detections, in the order of rows.

    Nodes that look at the hub's picture know the plots at the hub that may go to them, when those arrive there; the others their own at
    once and what arrives.
    """
    display = messages.meta.get("display", {})
    sent = (messages.kind == PLOT) & np.isfinite(messages.arrived)
    if NODES[node] in display:
        shows = np.array([name in display[NODES[node]] for name in NODES])
        sent &= (messages.target == NODES.index("HUB")) & shows[messages.source]
        own = np.zeros(0, int)
    else:
        sent &= messages.target == node
        own = np.flatnonzero(_own_sensors(scenario, node)[detections.sensor])
    when, rows = _with(own, detections.time, messages, np.flatnonzero(sent))
    order = np.lexsort((when, rows))
    when, rows = when[order], rows[order]
    first = np.append(True, rows[1:] != rows[:-1])[: len(rows)]  # what comes twice counts when it comes first
    return when[first], rows[first]


def as_known(node: int, messages: Messages, scenario: Any, detections: Detections) -> Detections:
    """Plots as a node has them, or as the hub has them at whose picture it looks: what was stripped of signal-to-noise ratios has nan."""
    display = NODES[node] in messages.meta.get("display", {})
    at, ways = NODES[NODES.index("HUB") if display else node], messages.meta.get("stripped", {})
    gone = [source for source in NATIONS if "snr" in ways.get(f"{source}>{at}:plot", ()) and source != at]
    if not gone:
        return detections
    bare = np.array([sensor.nation in gone for sensor in scenario.sensors], bool)[detections.sensor]
    return replace(detections, snr=np.where(bare, np.nan, detections.snr))


def _own_sensors(scenario: Any, node: int) -> np.ndarray:
    return np.array([node < len(NATIONS) and s.nation == NODES[node] for s in scenario.sensors], bool)
