"""One node's view of a run: its own plots and tracks, what came to it, its picture, and nothing else.

What is not there is what originator control withholds: truth and its labels, other nations' plots and rows that never came, whose
sensors fed a track that was heard, how the others number their tracks, absent sensors and schedules, biases and counts of
others, names and numbers of launches, the seed (with which all could be made again), and hashes of any of these.  Two things the view
keeps that a careful originator should know of: the scenario's clock (its zero is the epoch, for one launch of the public record
the reported time of ignition) and when a row was sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from copfuse import __version__, releases
from copfuse.constants import NODES
from copfuse.errors import CopfuseError, suggestion
from copfuse.folders import check_folder, whole_folder
from copfuse.hearing import as_known, reported
from copfuse.naming import name as common_name
from copfuse.scenario import Scenario
from copfuse.tables import CUE, DROP, MESSAGE, MESSAGE_KINDS, PLOT, TRACK, Detections, Messages, Picture, Table, Tracks

TABLES: dict[str, Any] = {"detections": Detections, "tracks": Tracks, "messages": Messages, "picture": Picture}
UNSEEN = -2  # in a view's pedigree: a row of that nation stands in the line and did not come to the node itself


@dataclass(frozen=True, eq=False)
class View:
    """What one node has of a run; ``pedigree`` also has `UNSEEN`: stands in it, but came to whoever made the picture, not here."""

    node: str
    regime: str
    scenario: Scenario
    detections: Detections
    tracks: Tracks
    messages: Messages
    picture: Picture

    def tables(self) -> dict[str, Table]:
        """The tables by their names."""
        return {name: getattr(self, name) for name in TABLES}

    def __str__(self) -> str:
        rows = ", ".join(f"{len(table):,} rows of {type(table).__name__}" for table in self.tables().values())
        held = len(np.unique(self.picture.track))
        tracks = f"{held} system track" + ("s" if held != 1 else "")
        who = ", ".join(f"{int(n):,} from {NODES[k]}" for k, n in enumerate(np.bincount(self.messages.source, minlength=len(NODES))) if n)
        return "\n".join(
            [
                f"{self.node}'s view under {self.regime}: {rows}.",
                f"{len(self.scenario.sensors)} own sensors; messages that came: {who or 'none'}; {tracks}.",
                "No truth is in it, and nothing that did not come to the node.  Sensor and delay figures are notional.",
            ]
        )

    def save(self, folder: str | Path) -> Path:
        """Write the tables and ``run.json`` into ``folder``, whole or not at all.  Raises `CopfuseError` as `study.Run.save`."""
        about = {"copfuse": __version__, "view": self.node, "regime": self.regime,
                 "uids": {name: table.uid for name, table in self.tables().items()},
                 "scenario": msgspec.to_builtins(self.scenario)}  # fmt: skip
        folder = Path(folder)
        check_folder(folder)
        with whole_folder(folder) as temporary:
            for name, table in self.tables().items():
                table.save(temporary / f"{name}.npz")
            (temporary / "run.json").write_text(json.dumps(about, indent=1))
        return folder


def load(folder: str | Path) -> View:
    """Read what `View.save` wrote.  Raises `CopfuseError` where it is not a view, or something is missing or damaged."""
    path = Path(folder) / "run.json"
    try:
        about = json.loads(path.read_text())
        if "view" not in about:
            raise CopfuseError(f"{str(folder)!r} holds a whole run, not one node's view: load it with copfuse.Run.load")
        scenario, node, regime, uids = msgspec.convert(about["scenario"], Scenario), about["view"], about["regime"], about["uids"]
    except FileNotFoundError:
        raise CopfuseError(f"there is no saved view in {str(folder)!r}: {path.name} is missing") from None
    except CopfuseError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CopfuseError(f"{str(path)!r} is not the run.json of a saved view ({error})") from None
    tables = {name: kind.load(Path(folder) / f"{name}.npz") for name, kind in TABLES.items()}
    for name, table in tables.items():
        if table.uid != uids.get(name):
            raise CopfuseError(f"{name}.npz in {str(folder)!r} is {table.uid}, but its run.json names {uids.get(name)}: another view's")
    return View(node, regime, scenario, **tables)


def is_view(folder: str | Path) -> bool:
    """Whether what is saved in a folder says that it is one node's view."""
    try:
        return "view" in json.loads((Path(folder) / "run.json").read_text())
    except (OSError, ValueError):
        return False


def node_number(node: str) -> int:
    """The number of a node; raises `CopfuseError` with the names that there are."""
    if node not in NODES:
        raise CopfuseError(f"there is no node {node!r}; {suggestion(node, NODES)}")
    return NODES.index(node)


def view(run: Any, node: str) -> View:
    """The node's view of a `study.Run`: fusing its tables again makes the node's picture, bit by bit, if it fuses for itself.

    Rows stay in their order.  Tracks of others are numbered in the order in which they were heard of; what is stripped from them is 0.
    A message to people points at no row (−1): ``messages.meta["told"]`` has what it says, one after the other.
    Raises `CopfuseError` for an unknown node.
    """
    k = node_number(node)
    came = _meant(run.messages[(run.messages.target == k) & np.isfinite(run.messages.arrived)], run.tracks)
    sensors, plots = _own(run, k, came)
    carried = came[(came.kind == TRACK) | (came.kind == CUE)]
    rows = np.union1d(np.flatnonzero(run.tracks.node == k), carried.row)
    detections = _detections(as_known(k, run.messages, run.scenario, run.detections)[plots], sensors, run.scenario)
    tracks = _tracks(run.tracks, rows, k, carried, sensors, plots, detections)
    row = np.where(came.kind == PLOT, np.searchsorted(plots, came.row), np.searchsorted(rows, came.row))
    messages = replace(came, row=np.where(came.kind == MESSAGE, -1, row), meta=_heard(run, node, came, rows, tracks, detections))
    picture = _picture(run.picture[run.picture.node == k], (rows, tracks), (plots, detections), sensors, run)
    return View(node, str(run.regime), _scenario(run, node, sensors), detections, tracks, messages, picture)


def _meant(came: Messages, tracks: Tracks) -> Messages:
    """The messages that came; drops only of tracks heard of, each at a row that came too: a number is all it says."""
    states, drops = came.row[came.kind == TRACK], np.flatnonzero(came.kind == DROP)
    known, first = np.unique(common_name(tracks.node[states], tracks.track[states]), return_index=True)
    names = common_name(tracks.node[came.row[drops]], tracks.track[came.row[drops]])
    heard, row = np.isin(names, known), came.row.copy()
    came_too = np.isin(row[drops[heard]], states)
    row[drops[heard]] = np.where(came_too, row[drops[heard]], states[first[np.searchsorted(known, names[heard])]])
    return replace(came, row=row)[~np.isin(np.arange(len(came)), drops[~heard])]


def _heard(run: Any, node: str, came: Messages, rows: np.ndarray, tracks: Tracks, detections: Detections) -> dict[str, Any]:
    """What a node has to know of its messages: how they are to be read, what those to people say, and what it reported itself."""
    meta: dict[str, Any] = {"regime": str(run.regime), "nodes": list(NODES), "tracks_uid": tracks.uid, "detections_uid": detections.uid}
    for name in ("stripped", "slots"):
        ways = run.messages.meta.get(name, {})
        meta[name] = {way: said for way, said in ways.items() if way.partition(":")[0].endswith(f">{node}")}
    if node in run.messages.meta.get("display", {}):
        meta["display"] = {node: [*run.messages.meta["display"][node]]}
    sent, first = reported(NODES.index(node), run.tracks, run.messages)
    meta["reported"] = [[float(s), int(r)] for s, r in zip(sent, np.searchsorted(rows, first), strict=True)]
    said = came[came.kind == MESSAGE]
    if len(said):
        keys = "launch_point", "course", "impact_point", "impact_time"
        meta["told"] = [
            dict(zip(keys, (_plain(v) for v in one), strict=True)) for one in zip(*releases.content(said, run.tracks), strict=True)
        ]
    return meta


def _plain(value: np.ndarray) -> Any:
    """Numbers for a JSON text; None for unknown."""
    return [float(v) for v in value] if np.ndim(value) and np.isfinite(value).all() else float(value) if np.isfinite(value).all() else None


def _own(run: Any, k: int, came: Messages) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the sensors that a node may know, and the rows of Detections: its own, and whose plots came to it."""
    own = np.array([s.nation == NODES[k] for s in run.scenario.sensors], bool)
    mine = np.flatnonzero(own[run.detections.sensor]) if len(run.detections) else np.zeros(0, int)
    plots = np.union1d(mine, came.row[came.kind == PLOT])
    own[run.detections.sensor[plots]] = True
    return np.flatnonzero(own), plots


def _scenario(run: Any, node: str, sensors: np.ndarray) -> Scenario:
    """The scenario without what flew, what it is called, and what others have."""
    known = tuple(run.scenario.sensors[i] for i in sensors)
    title = f"what {node} has of it under {run.regime}"
    empty = {"launches": (), "description": "", "duration": None}
    return replace(run.scenario, name=f"view-{node}", title=title, sensors=known, regime=run.regime, **empty)


def _detections(mine: Detections, sensors: np.ndarray, scenario: Any) -> Detections:
    """Plots without the labels of truth; sensors numbered among those that are known."""
    names = [scenario.sensors[i].name for i in sensors]
    return replace(mine, sensor=np.searchsorted(sensors, mine.sensor), object=np.full(len(mine), -1), meta={"sensors": names})


def _bits(bits: np.ndarray, sensors: np.ndarray) -> np.ndarray:
    """Bits of all sensors as bits of those that are known."""
    out = np.zeros(len(bits), np.uint64)
    for new, old in enumerate(sensors.tolist()):
        out |= (bits >> np.uint64(old) & np.uint64(1)) << np.uint64(new)
    return out


def _tracks(
    tracks: Tracks, rows: np.ndarray, k: int, carried: Messages, sensors: np.ndarray, plots: np.ndarray, detections: Detections
) -> Tracks:
    """Own rows as they are, rows of others as they came."""
    mine, node = tracks[rows], NODES[k]
    own = mine.node == k
    others = {name: np.where(own, getattr(mine, name), 0) for name in ("hits", "llr")}
    for name in others:
        whole = np.searchsorted(rows, carried.row[~_stripped(carried, name)])
        others[name][whole] = getattr(mine, name)[whole]
    others["detection"] = np.where(own, np.searchsorted(plots, mine.detection), -1)
    others["sensors"] = _bits(np.where(own, mine.sensors, np.uint64(0)), sensors)
    meta: dict[str, Any] = {"sensors": detections.meta["sensors"], "nodes": list(NODES), "detections_uid": detections.uid}
    for name in ("counts", "registration"):
        if node in tracks.meta.get(name, {}):
            meta[name] = {node: tracks.meta[name][node]}
    ended = tracks.meta.get("ended", {}).get(node, [])
    meta["ended"] = {node: [[track, int(np.searchsorted(plots, plot)), time] for track, plot, time in ended]}
    if "association" in tracks.meta:
        meta["association"] = tracks.meta["association"]
    return replace(mine, track=_renumbered(tracks, mine, own, carried), **others, meta=meta)


def _stripped(carried: Messages, name: str) -> np.ndarray:
    """From which messages (n,) a column of the row that they carry was taken."""
    said = carried.meta.get("stripped", {})
    ways = zip(carried.source.tolist(), carried.target.tolist(), carried.kind.tolist(), strict=True)
    return np.array([name in said.get(f"{NODES[a]}>{NODES[b]}:{MESSAGE_KINDS[kind]}", ()) for a, b, kind in ways], bool)


def _renumbered(tracks: Tracks, mine: Tracks, own: np.ndarray, carried: Messages) -> np.ndarray:
    """Numbers of tracks: own ones as they are, each other nation's in the order of hearing; its own numbers would count what it has."""
    heard = carried.row
    names: dict[tuple[int, int], int] = {}
    counts = [0] * len(NODES)
    for source, track in zip(tracks.node[heard].tolist(), tracks.track[heard].tolist(), strict=True):
        if (source, track) not in names:
            names[source, track], counts[source] = counts[source], counts[source] + 1
    facts = zip(own.tolist(), mine.node.tolist(), mine.track.tolist(), strict=True)
    return np.array([track if mine_ else names[source, track] for mine_, source, track in facts], int)


def _picture(
    picture: Picture, known: tuple[np.ndarray, Tracks], plotted: tuple[np.ndarray, Detections], sensors: np.ndarray, run: Any
) -> Picture:
    """A node's lines, their pedigree in rows of the view, their common numbers with its numbers of others' tracks."""
    of = picture.meta["pedigree_of"]
    rows, table = known if of == "Tracks" else plotted
    old = picture.pedigree
    have = np.isin(old, rows)
    new = np.where(old < 0, old, np.where(have, np.searchsorted(rows, old), UNSEEN))
    meta = {
        "regime": str(run.regime),
        "nodes": list(NODES),
        "sensors": plotted[1].meta["sensors"],
        "pedigree_of": of,
        "pedigree_uid": table.uid,
    }
    common = picture.common if of == "Detections" else _common(picture.common, run.tracks[rows], known[1])
    return replace(picture, common=common, pedigree=new, sensors=_bits(picture.sensors, sensors), meta=meta)


def _common(common: np.ndarray, whole: Tracks, view: Tracks) -> np.ndarray:
    """Common numbers (n,) as tracks are numbered in the view; in another one they are others, or they would tell how many there are."""
    names, first = np.unique(common_name(whole.node, whole.track), return_index=True)
    return common_name(view.node, view.track)[first[np.searchsorted(names, common)]] if len(common) else common
