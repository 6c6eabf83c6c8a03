"""Where a system track comes from, in sentences: whose information stood in it when, how it came, and what was forecast from it.

Everything is said from a node's view alone (`views`), so a nation is told of its own sensors by name and of the others' tracks by
nation, as they came.  Times are seconds after the scenario's epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from copfuse import frames, study, views
from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.measures import error_ellipse
from copfuse.metrics import ELLIPSE_SIZES
from copfuse.tables import MESSAGE, MESSAGE_KINDS, PLOT, TRACK
from copfuse.views import View

PLOTTED = 0  # stands for a track's number where the pedigree names plots: a nation's plots are one source
Sources = dict[int, int]  # by nation, the number of its local track


def explain(run: Any, node: str | None = None, track: int | None = None, at: Sequence[float] = ()) -> list[str]:
    """Sentences on where one system track of a node, or all of them, comes from.

    Messages to people, which are never fused, come last where no one track is asked for.
    ``run`` is a `study.Run`, a `views.View`, a folder in which one is saved, or a scenario's name, which is then run.  ``node`` None
    is every node with a picture (of a view its own).  ``at`` are times s at which the track's state is told besides.
    Raises `CopfuseError` for a node or track that is not there, or a view of another node.
    """
    seen = views_of(opened(run), node)
    told = [said for v in seen for said in messages_told(v)] if track is None else []
    return [said for v, number in held(seen, track) for said in sentences(v, number, at)] + told


def opened(source: Any, regime: str | None = None, seed: int = 0, **options: Any) -> Any:
    """A run or view as it is, out of its folder, or made from a scenario's name."""
    if not isinstance(source, str | Path):
        return source
    if saved(source):
        return views.load(source) if views.is_view(source) else study.Run.load(source)
    return study.run(source, regime, seed, **options)


def saved(source: str | Path) -> bool:
    """Whether there is a saved run or view in a folder of that name."""
    return (Path(source) / "run.json").is_file()


def same_run(folder: str, regime: str | None, seed: int) -> None:
    """Refuse to tell of a saved run as if it had been made under another regime or seed."""
    if regime is not None or seed != 0:
        raise CopfuseError(f"{folder!r} is a saved run and has a regime and seed of its own: leave --regime and --seed out")


def heading(run: Any) -> str:
    """Two lines: whose view or which run it is, and since when times count."""
    start = f"Times are seconds after {run.scenario.epoch:%Y-%m-%d %H:%M:%S} UTC.  Sensor and delay figures are notional."
    if isinstance(run, View):
        return f"{run.node}'s view under {run.regime}\n{start}"
    return f"{run.scenario.name}: {run.scenario.title}, regime {run.regime}, seed {run.seed}\n{start}"


def views_of(run: Any, node: str | None) -> list[View]:
    """The view of one node or of all that have a picture."""
    if isinstance(run, View):
        if node not in (None, run.node):
            views.node_number(str(node))
            raise CopfuseError(f"this is {run.node}'s view: it holds nothing of what {node} had")
        return [run]
    told = np.union1d(run.picture.node, run.messages.target[np.isfinite(run.messages.arrived)])
    names = [name for k, name in enumerate(NODES) if k in told] if node is None else [node]
    return [views.view(run, name) for name in names]


def held(every: list[View], track: int | None = None) -> list[tuple[View, int]]:
    """The system tracks to tell of, of each view in the order in which they were first held; with ``track`` those of that number.

    Raises `CopfuseError` where no picture has it.
    """
    found = []
    for v in every:
        there, first = np.unique(v.picture.track, return_index=True)
        found += [(v, int(number)) for number in there[np.argsort(first, kind="stable")]]
    if track is None or any(number == track for _, number in found):
        return [(v, number) for v, number in found if track in (None, number)]
    known = sorted({number for _, number in found})
    shown = f"there are: {', '.join(map(str, known[:12]))}" + (", ..." if len(known) > 12 else "")
    whose = f"{every[0].node}'s picture has no" if len(every) == 1 else "no picture has a"
    raise CopfuseError(f"{whose} track {track}; {shown if known else 'there are none'}")


def sentences(v: View, track: int, at: Sequence[float] = ()) -> list[str]:
    """All that is said of one system track: how it began, what changed, how it ended, on whom it stood, and its forecasts.

    Raises `CopfuseError` for a time in ``at`` that is no number.
    """
    if not np.isfinite(at).all():
        raise CopfuseError(f"at = {', '.join(map(str, at))} has what is no time; give s after the epoch, such as 100")
    lines = np.flatnonzero(v.picture.track == track)
    told = [_begin(v, track, lines[0]), *_changes(v, track, lines), _end(v, track, lines), _shares(v, lines), _age(v, lines)]
    return [*told, *_forecasts(v, track, lines), *(_state(v, track, lines, time) for time in at)]


def messages_told(v: View) -> list[str]:
    """One sentence per message to people that came to the node: from whom, when, and what it says."""
    came = v.messages[v.messages.kind == MESSAGE]
    lines = []
    for i, said in enumerate(v.messages.meta.get("told", [])):
        launch, impact = (_place(np.array(said[k])) if said[k] else "unknown" for k in ("launch_point", "impact_point"))
        ends = f"impact at {impact}" + (f" at {_s(said['impact_time'])}" if said["impact_time"] is not None else "")
        course = f"course {np.degrees(said['course']):.0f} deg" if said["course"] is not None else "course unknown"
        who = NODES[came.source[i]]
        sent = f"in a message sent at {_s(came.sent[i])}"
        lines.append(f"At {_s(came.arrived[i])} {v.node} was told by {who}, {sent}: launch at {launch}, {course}, {ends}.")
    return lines


# Who stands in it --------------------------------------------------------------------------------------------------------


def _sources(v: View, line: int) -> Sources:
    """Whose tracks stand in a line: by nation, its local track's number."""
    pedigree = v.picture.pedigree[line]
    if v.picture.meta["pedigree_of"] == "Detections":
        return {k: PLOTTED for k in np.flatnonzero(pedigree != -1).tolist()}
    return {k: int(v.tracks.track[pedigree[k]]) for k in np.flatnonzero(pedigree >= 0).tolist()}


def _name(v: View, nation: int, number: int) -> str:
    own = NODES[nation] == v.node
    if v.picture.meta["pedigree_of"] == "Detections":
        return "its own plots" if own else f"{NODES[nation]}'s plots"
    return f"its own track {number}" if own else f"{NODES[nation]}'s track {number}"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


def _fed(v: View, line: int, nation: int) -> list[str]:
    """The own sensors that have fed an own track or stand in a line with plots; nothing of others."""
    names = v.picture.meta["sensors"]
    row = int(v.picture.pedigree[line, nation])
    if NODES[nation] != v.node or row < 0:
        return []
    if v.picture.meta["pedigree_of"] == "Detections":
        return [names[v.detections.sensor[row]]]
    return [name for i, name in enumerate(names) if int(v.tracks.sensors[row]) >> i & 1]


def _came(v: View, line: int, nation: int) -> str:
    """How what a nation has in a line came to the node: of its own by which sensors, of others when and by which link."""
    row = int(v.picture.pedigree[line, nation])
    if NODES[nation] == v.node:
        return f"plots of {_and(_fed(v, line, nation))}" if _fed(v, line, nation) else "own plots"
    if row < 0:
        return f"which did not come to {v.node} itself"
    plot = v.picture.meta["pedigree_of"] == "Detections"
    carried = (v.messages.row == row) & (v.messages.kind == (PLOT if plot else TRACK))
    ways = np.flatnonzero(carried & (v.messages.arrived <= v.picture.time[line]))
    i = ways[np.argmin(v.messages.arrived[ways])]
    sent, arrived, of = v.messages.sent[i], v.messages.arrived[i], (v.detections if plot else v.tracks).time[row]
    link = f"the {NODES[v.messages.source[i]]} > {v.node} link for {MESSAGE_KINDS[v.messages.kind[i]]}s"
    return f"newest row of {_s(of)}, sent at {_s(sent)}, arrived at {_s(arrived)}, {_s(arrived - sent)} later, over {link}"


def _s(time: float) -> str:
    return f"{time:.1f}".rstrip("0").rstrip(".") + " s"


# What is said of it --------------------------------------------------------------------------------------------------------


def _begin(v: View, track: int, line: int) -> str:
    each = [f"{_name(v, k, n)} ({_came(v, line, k)})" for k, n in _sources(v, line).items()]
    return f"{v.node} first held track {track} at {_s(v.picture.time[line])}, from {_and(each)}."


def _changes(v: View, track: int, lines: np.ndarray) -> Iterator[str]:
    """What came, went, was replaced or came over from another system track, and own sensors that fed it for the first time."""
    before = _sources(v, lines[0])
    fed = set(_fed(v, lines[0], NODES.index(v.node)))
    for old, line in zip(lines[:-1], lines[1:], strict=True):
        now, when = _sources(v, line), f"At {_s(v.picture.time[line])}"
        gap = v.picture.time[line] - v.picture.time[old]
        if gap > 1.5 * v.scenario.picture_step:
            yield f"From {_s(v.picture.time[old])} to {_s(v.picture.time[line])} it was not in the picture."
        for k, n in now.items():
            if k not in before:
                yield f"{when} {_name(v, k, n)} joined it ({_came(v, line, k)}){_from_elsewhere(v, track, line, k, n)}."
            elif before[k] != n:
                yield f"{when} {_name(v, k, n)} took the place of {_name(v, k, before[k])} ({_came(v, line, k)})."
        for k in before.keys() - now.keys():
            yield f"{when} {_name(v, k, before[k])} was no longer in it{_whereto(v, track, line, k, before[k])}."
        new = [name for name in _fed(v, line, NODES.index(v.node)) if name not in fed]
        if new and NODES.index(v.node) in before:
            yield f"{when} plots of {_and(new)} stood in it for the first time."
        before, fed = now, fed | set(new)


def _standing(v: View, time: float, nation: int, number: int, but: int) -> int | None:
    """In which other system track a nation's local track stands at a time."""
    for line in np.flatnonzero((v.picture.time == time) & (v.picture.track != but)).tolist():
        if _sources(v, line).get(nation) == number:
            return int(v.picture.track[line])
    return None


def _previous(v: View, time: float) -> float:
    earlier = v.picture.time[v.picture.time < time]
    return float(earlier.max()) if len(earlier) else -np.inf


def _from_elsewhere(v: View, track: int, line: int, nation: int, number: int) -> str:
    """Where it stood at the picture's time before, and whether that track is no more."""
    time = float(v.picture.time[line])
    other = _standing(v, _previous(v, time), nation, number, track) if v.picture.meta["pedigree_of"] == "Tracks" else None
    if other is None:
        return ""
    gone = not ((v.picture.track == other) & (v.picture.time >= time)).any()
    return f", from track {other}" + (", which is one with it now" if gone else "")


def _whereto(v: View, track: int, line: int, nation: int, number: int) -> str:
    """Why a nation's track has left: it stands elsewhere now, or it has not been heard for how long."""
    time = float(v.picture.time[line])
    other = _standing(v, time, nation, number, track) if v.picture.meta["pedigree_of"] == "Tracks" else None
    if other is not None:
        return f": it stood in track {other} from then on"
    row = int(v.picture.pedigree[np.flatnonzero((v.picture.track == track) & (v.picture.time < time))[-1], nation])
    return f": its newest row was of {_s(v.tracks.time[row])}" if v.picture.meta["pedigree_of"] == "Tracks" and row >= 0 else ""


def _end(v: View, track: int, lines: np.ndarray) -> str:
    last = lines[-1]
    time, after = float(v.picture.time[last]), v.picture.time[v.picture.time > v.picture.time[last]]
    height = frames.geodetic(v.picture.x[last : last + 1])[2][0] / 1e3
    where = f"{height:.1f} km up" if height >= 0.0 else f"reckoned to be {-height:.1f} km under the ground, so that it had come down"
    end = f"It was last held at {_s(time)}, {where}, when the newest row in it was {_s(v.picture.age[last])} old"
    if len(after):
        went = {_standing(v, float(after.min()), k, n, track) for k, n in _sources(v, last).items()} - {None}
        if went and v.picture.meta["pedigree_of"] == "Tracks":
            end += f"; at {_s(after.min())} what stood in it was in track {_and(sorted(str(w) for w in went))}"
    return end + "."


def _shares(v: View, lines: np.ndarray) -> str:
    """On whom it stood for which share of the picture's times."""
    each = [_sources(v, line) for line in lines]
    k = NODES.index(v.node)
    share = [f"{100 * np.mean([n in s for s in each]):.0f} % on {'its own' if n == k else NODES[n] + chr(39) + 's'} information"
             for n in range(len(NODES)) if any(n in s for s in each)]  # fmt: skip
    alone = 100 * np.mean([k not in s for s in each])
    others = f"; {alone:.0f} % on others' alone" if alone > 0 and any(k in s for s in each) else ""
    many = f"{len(lines)} picture time" + ("s" if len(lines) > 1 else "")
    return f"Of the {many} at which it was held, it stood {_and(share)}{others}."


def _age(v: View, lines: np.ndarray) -> str:
    age = v.picture.age[lines]
    return f"The newest information in it was {_s(np.median(age))} old in the median, {_s(age.max())} at most."


def _forecasts(v: View, track: int, lines: np.ndarray) -> list[str]:
    """The first impact forecast, the first ones with ellipses below the usual sizes, and the last one."""
    major = error_ellipse(v.picture.impact_point[lines], v.picture.impact_point_P[lines])[0]
    told = np.flatnonzero(np.isfinite(major))
    if len(told) == 0:
        return [f"No impact forecast was made from track {track}."]
    small = [np.flatnonzero(major < size)[:1] for size in ELLIPSE_SIZES]
    chosen = np.unique(np.concatenate([told[:1], *small, told[-1:]])).tolist()
    return [f"{_s(v.picture.time[lines[i]])}: {_forecast(v, lines[i])}".join(("At ", ".")) for i in chosen]


def _forecast(v: View, line: int) -> str:
    p = v.picture
    major, minor, _ = (float(a[0]) / 1e3 for a in error_ellipse(p.impact_point[line : line + 1], p.impact_point_P[line : line + 1]))
    who = _and([_name(v, k, n) for k, n in _sources(v, line).items()])
    left = f"{_s(p.time_to_impact[line])} (sigma {_s(p.time_to_impact_sigma[line])})"
    where = _place(p.impact_point[line])
    return f"impact forecast in {left} at {where}, 95 % ellipse with semi-axes {major:.1f} km and {minor:.1f} km, from {who}"


def _place(x: np.ndarray) -> str:
    lat, lon, _ = (float(a[0]) for a in frames.geodetic(x[None]))
    ns, ew = "NS"[lat < 0], "EW"[lon < 0]
    return f"{abs(np.degrees(lat)):.2f} deg {ns} {abs(np.degrees(lon)):.2f} deg {ew}"


def _state(v: View, track: int, lines: np.ndarray, time: float) -> str:
    """What the picture said at the last of its times up to ``time``."""
    grid = v.picture.time[v.picture.time <= time + 1e-9]
    shown = float(grid.max()) if len(grid) else np.nan
    now = lines[v.picture.time[lines] == shown]
    if len(now) == 0 or time - shown > 1.5 * v.scenario.picture_step:
        return f"At {_s(time)} track {track} was not held."
    line = now[0]
    x, sigma = v.picture.x[line], np.sqrt(np.linalg.eigvalsh(v.picture.P[line, :3, :3])[-1])
    height = frames.geodetic(x[None])[2][0]
    each = [f"{_name(v, k, n)} ({_came(v, line, k)})" for k, n in _sources(v, line).items()]
    state = f"{_place(x)}, {height / 1e3:.1f} km up, {np.linalg.norm(x[3:]) / 1e3:.2f} km/s, position known to {sigma / 1e3:.2f} km (sigma)"
    forecast = _forecast(v, line).partition(", from ")[0] if np.isfinite(v.picture.impact_point[line, 0]) else "no impact forecast"
    return f"At {_s(shown)} it was at {state}; {forecast}; it stood on {_and(each)}."
