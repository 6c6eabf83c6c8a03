"""`run`: one scenario through all verbs, timed; a `Run` prints who saw what when, and is saved and loaded whole."""

from __future__ import annotations

import json
import math
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from copfuse import __version__, commonality, cueing, fusion, metrics, network, releases, simulate, tracking, views, warming
from copfuse.checking import check_seed
from copfuse.constants import NATIONS, NODES
from copfuse.errors import CopfuseError
from copfuse.folders import check_folder, whole_folder
from copfuse.measures import siap
from copfuse.metrics import Moment, Sighting
from copfuse.scenario import Scenario, load
from copfuse.tables import Detections, Messages, Picture, Score, Table, Tracks, Truth

MOST_TOLD = 8  # messages that a print shows
ASTRAY = 10.0  # times its median from which on a mean NEES is said to be that of a few times
STAGES: dict[str, Any] = {"fly": Truth, "detect": Detections, "track": Tracks, "share": Messages, "fuse": Picture, "score": Score}


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """Everything of one run: what was asked, the six tables, and the seconds that each verb took."""

    scenario: Scenario
    regime: str
    seed: int
    truth: Truth
    detections: Detections
    tracks: Tracks
    messages: Messages
    picture: Picture
    score: Score
    seconds: dict[str, float]

    def tables(self) -> dict[str, Table]:
        """The tables by the verb that made them."""
        return {verb: getattr(self, kind.__name__.lower()) for verb, kind in STAGES.items()}

    def sightings(self, sizes: tuple[float, ...] = metrics.ELLIPSE_SIZES) -> list[Sighting]:
        """Who saw what when, per missile and node (`metrics.sightings`)."""
        return metrics.sightings(self, sizes)

    def __repr__(self) -> str:
        made = ", ".join(f"{len(table)} {type(table).__name__}" for table in self.tables().values())
        return f"Run({self.scenario.name!r}, regime {self.regime!r}, seed {self.seed}: rows {made}; print it for who saw what when)"

    def __str__(self) -> str:
        quality = [*_quality(self.score), *_common(self), *_biases(self), *_told(self)]
        return "\n".join([*_header(self), "", *_stages(self), "", *_sightings(self.sightings()), *_cued(self), "", *quality])

    def save(self, folder: str | Path, node: str | None = None) -> Path:
        """Write the tables and ``run.json`` into ``folder``, whole or not at all; an earlier saved run there is replaced.

        With ``node`` only that node's view is written, and nothing of what it does not have (`views.view`).
        Raises `CopfuseError` where the folder cannot be written or holds something else, and for an unknown node.
        """
        if node is not None:
            return views.view(self, node).save(folder)
        folder = Path(folder)
        check_folder(folder)
        about = {"copfuse": __version__, "regime": self.regime, "seed": self.seed, "seconds": self.seconds,
                 "uids": {verb: table.uid for verb, table in self.tables().items()},
                 "scenario": msgspec.to_builtins(self.scenario)}  # fmt: skip
        with whole_folder(folder) as temporary:
            for table in self.tables().values():
                table.save(temporary / f"{type(table).__name__.lower()}.npz")
            (temporary / "run.json").write_text(json.dumps(about, indent=1))
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read what `save` wrote.  Raises `CopfuseError` where something is missing, damaged or of another run."""
        path = Path(folder) / "run.json"
        try:
            about = json.loads(path.read_text())
            if "view" in about:
                what = f"{str(folder)!r} holds {about['view']}'s view of a run, not the whole run"
                raise CopfuseError(f"{what}: load it with copfuse.views.load")
            scenario = msgspec.convert(about["scenario"], Scenario)
            uids, asked = about["uids"], {name: about[name] for name in ("regime", "seed", "seconds")}
        except FileNotFoundError:
            raise CopfuseError(f"there is no saved run in {str(folder)!r}: {path.name} is missing") from None
        except CopfuseError:
            raise
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise CopfuseError(f"{str(path)!r} is not the run.json of a saved run ({error})") from None
        tables = {}
        for verb, kind in STAGES.items():
            name = kind.__name__.lower()
            tables[name] = kind.load(Path(folder) / f"{name}.npz")
            if tables[name].uid != uids[verb]:
                raise CopfuseError(
                    f"{name}.npz in {str(folder)!r} is {tables[name].uid}, but its run.json names {uids[verb]}: another run's"
                )
        return cls(scenario=scenario, **asked, **tables)


def run(
    scenario: str | Path | Scenario,
    regime: str | Path | network.Regime | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    association: str = "gnn",
    register: bool = False,
    cues: bool = False,
) -> Run:
    """Fly, detect, track, share, fuse and score one scenario (anything that `scenario.load` takes).

    ``regime``: a packaged name, a .toml file or a `network.Regime`; None is the scenario's own; ``progress`` is called with the name
    of each verb before it starts; ``association`` as in `tracking.track`; with ``register`` each node estimates its radars' biases as it
    goes (`registering.track_registered`); with ``cues`` what is shared tells radars where to look (`cueing.sense`).
    Raises `CopfuseError` for bad input.
    """
    chosen = load(scenario)
    rule = network.regime(regime or chosen.regime)
    check_seed(seed)
    tracking.check_association(association)
    seconds: dict[str, float] = {}

    def timed(verb: str, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if progress:
            progress(verb)
        start = time.perf_counter()
        made = work(*args, **options)
        seconds[verb] = time.perf_counter() - start
        return made

    other, begun = warming.begin(), dict[str, Any]()
    truth = timed("fly", simulate.fly, chosen)
    if cues:
        for verb in ("detect", "track", "share"):  # one loop does the three
            if progress:
                progress(verb)
        sensed = cueing.sense(truth, chosen, rule, seed, association, register=register)
        detections, tracks, messages = sensed.detections, sensed.tracks, sensed.messages
        seconds.update(sensed.seconds)
        begun["hubs"] = sensed.hubs
    else:
        detections = timed("detect", simulate.detect, truth, chosen, seed=seed)
        tracks = timed("track", fusion.tracker(register), detections, chosen, association=association)
        messages = timed("share", network.share, tracks, chosen, regime=rule, seed=seed, detections=detections)
    warming.end(other)
    picture = timed("fuse", fusion.fuse, tracks, messages, chosen, detections=detections, **begun)
    scored = timed("score", metrics.score, picture, truth, chosen)
    return Run(chosen, rule.name, seed, truth, detections, tracks, messages, picture, scored, seconds)


# The print -----------------------------------------------------------------------------------------------------------


def _header(run: Run) -> list[str]:
    kinds = [thing["kind"] for thing in run.truth.meta["objects"]]
    things = ", ".join(_counted(kinds.count(kind), kind) for kind in dict.fromkeys(kinds)) or "nothing flown"
    start = f"{run.scenario.epoch:%Y-%m-%d %H:%M:%S} UTC"
    return [
        f"{run.scenario.name}: {run.scenario.title}",
        f"regime {run.regime}, seed {run.seed}, {things}, {_counted(len(run.scenario.sensors), 'sensor')}, from {start}",
        "Flights are reconstructed or given; sensor, delay and cross-section figures are notional.",
    ]


def _counted(n: int, kind: str) -> str:
    one, more = ("fragment", "fragments") if kind == "debris" else (kind, f"{kind}s")
    return f"{n} {one if n == 1 else more}"


def _stages(run: Run) -> list[str]:
    lines = ["verb     table            rows   seconds"]
    for verb, table in run.tables().items():
        lines.append(f"{verb:<8} {type(table).__name__:<11} {len(table):>9,} {run.seconds.get(verb, math.nan):9.2f}")
    lines.append(f"{'all':<8} {'':<11} {sum(map(len, run.tables().values())):>9,} {sum(run.seconds.values()):9.2f}")
    return lines


def _sightings(seen: list[Sighting]) -> list[str]:
    """The table "who saw what when", four rows per missile; for several missiles without the smaller ellipses."""
    if not seen:
        return ["Who saw what when: there is no missile in this scenario."]
    several = len(seen) > len(NODES)
    width = max(7, *(len(s.object) for s in seen)) + 2 if several else 0
    told = [s.ellipses[:1] if several else s.ellipses for s in seen]
    sizes = [f"ellipse<{1e-3 * f.size:g}km" for f in told[0]]
    moment, left = f"{'s':>7}{'km':>6}", " " * (width + 4)
    lines = [
        "Who saw what when: s after ignition, and the missile's altitude in km then",
        f"{'missile' if several else '':<{width}}node   first plot   firm track" + "".join(f"{s:>13}{'off':>5}" for s in sizes)
        + f"{'lost at':>13}{'own':>6}{'custody':>8}{'in 95%':>7}",
        left + 2 * moment + (moment + f"{'km':>5}") * len(sizes) + moment + f"{'plots':>6}{'%':>8}{'%':>7}",
    ]  # fmt: skip
    for i, (s, ellipses) in enumerate(zip(seen, told, strict=True)):
        name = s.object if several and i % len(NODES) == 0 else ""
        first = _cell(s.first_plot) + _cell(s.firm_track) + "".join(_cell(f.moment) + _kilometres(f.miss, 5) for f in ellipses)
        own = "-" if s.node == "HUB" or math.isnan(s.firm_track.time) else "yes" if s.own else "heard"
        lines.append(f"{name:<{width}}{s.node:<4}{first}{_lost(s)}{own:>6}{100 * s.custody:8.0f}{_percent(s.coverage):>7}")
    flights = ", ".join(dict.fromkeys(f"{s.object} {s.flight_time:.0f} s" for s in seen))
    return [*lines, *_NOTES, *textwrap.wrap(f"Flight times: {flights}.", 100)]


MOST_CUED = 6  # of a nation, in the print
_NOTES = (
    "First plots are those of a nation's own sensors (HUB: anybody's).  An ellipse is that of the impact",
    "forecast, by its 95 % semi-major axis; off: its distance from the true impact; in 95 %: share of all",
    "forecasts whose ellipse held the true impact.",
)


def _cued(run: Run) -> list[str]:
    """Where radars were cued: per nation which of them had their first plot of a missile earlier by it."""
    if "cued" not in run.detections.meta:
        return []
    things, nation = run.truth.meta["objects"], {s.name: s.nation for s in run.scenario.sensors}
    several = sum(thing["kind"] == "missile" for thing in things) > 1
    said: dict[str, list[str]] = {name: [] for name in NATIONS}
    for cue in run.detections.meta["cued"]:
        gain = math.inf if cue["alone"] is None else cue["alone"] - cue["first"]
        if things[cue["object"]]["kind"] == "missile" and gain >= 1.0:
            ignition = run.truth.time[run.truth.object == cue["object"]][0]
            sooner = f"{gain:.0f} s sooner" if gain < math.inf else "else never"
            of = f" of {things[cue['object']]['name']}" if several else ""
            said[nation[cue["sensor"]]].append(f"{cue['sensor']}{of} at {cue['first'] - ignition:.0f} s by {cue['by']} ({sooner})")
    lines = ["Cued: radars with an earlier first plot of a missile, in s after ignition, by whose track they were told:"]
    for name, each in said.items():
        shown = "; ".join(each[:MOST_CUED]) + (f"; and {len(each) - MOST_CUED} more" if len(each) > MOST_CUED else "")
        lines += textwrap.wrap(f"{name}: {shown or 'none'}.", 100, subsequent_indent="     ")
    return lines


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f}"


def _kilometres(value: float, width: int) -> str:
    """Metres as km: one decimal below 100 km; blank for nan."""
    shown = "" if math.isnan(value) else f"{1e-3 * value:.0f}" if value >= 99950 else f"{1e-3 * value:.1f}"
    return f"{shown:>{width}}"


def _cell(moment: Moment) -> str:
    return f"{'-':>7}{'':>6}" if math.isnan(moment.time) else f"{moment.time:7.0f}{_kilometres(moment.altitude, 6)}"


def _lost(s: Sighting) -> str:
    if math.isnan(s.lost.time) and not math.isnan(s.firm_track.time):
        return f"{'impact':>13}"
    return _cell(s.lost)


def _quality(score: Score) -> list[str]:
    """One line per node: the SIAP attributes and the accuracy of its picture over the scenario."""
    lines = ["node  completeness  ambiguity  spuriousness  position error km  NEES of 6  GOSPA km"]
    for i, node in enumerate(NODES):
        rows = score[score.node == i]
        a = siap(rows.n_truth, rows.n_track, rows.n_matched, rows.n_duplicate)
        held = rows.n_matched > 0
        error = 1e-3 * float(np.median(rows.position_error[held])) if held.any() else math.nan
        spread = float(np.mean(rows.nees[held])) if held.any() else math.nan
        distance = 1e-3 * float(rows.gospa.mean()) if len(rows) else math.nan
        cells = (_number(v, w) for v, w in zip((*a, error, spread, distance), (14, 11, 14, 19, 11, 10), strict=True))
        lines.append(f"{node:<4}" + "".join(cells))
    lines.append("Over all times: ratios of counts, median error, mean NEES and GOSPA (cut-off 10 km).")
    nees = score.nees[score.n_matched > 0]
    if len(nees) and nees.mean() > ASTRAY * np.median(nees):
        lines.append(f"NEES is high where a track stands nearest to an object not its own; its median over times is {np.median(nees):.1f}.")
    return lines


def _common(run: Run) -> list[str]:
    found = commonality.lines(run)
    return ["", *found] if found else []


def _biases(run: Run) -> list[str]:
    """Where radars were registered: which biases each node found and took out, in m, mrad (thousandths, of a face's cosines) and ms."""
    told = {**run.tracks.meta.get("registration", {}), **run.picture.meta.get("registration", {})}
    lines = [""] if told else []
    for node, biases in told.items():
        seen = [b for b in biases if b["observable"]]
        if not biases:
            lines.append(f"Registration, {node}: no object was seen by two of its radars in free flight: no bias is observable.")
            continue
        does = "are observable and were taken out of the plots:" if seen else "are observable, so nothing was taken out of the plots."
        lines.append(f"Registration, {node}: {len(seen)} of {len(biases)} biases {does}")
        units = {"range": ("m", 1.0), "clock": ("ms", 1e3)}
        each = [(f"{b['sensor']} {b['kind']}", b["value"], b["sigma"], *units.get(b["kind"], ("mrad", 1e3))) for b in seen]
        text = "; ".join(f"{name} {value * scale:.3g} +- {sigma * scale:.2g} {unit}" for name, value, sigma, unit, scale in each)
        lines += textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent="  ")
    return lines


def _told(run: Run) -> list[str]:
    """Where people release messages: who was told what, and when; and which release rules contradict each other."""
    lines = [""] if run.messages.meta.get("said") else []
    for text in run.messages.meta.get("said", []):
        lines += textwrap.wrap(text, 100)
    if "message" not in run.messages.meta.get("payloads", ()):
        return lines
    found = releases.told(run.messages, run.tracks)
    lines += ["", "Messages: for people, never fused, so no picture gains a track by them."]
    for text in found[:MOST_TOLD]:
        lines += textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent="    ")
    if len(found) > MOST_TOLD:
        lines.append(f"  And {len(found) - MOST_TOLD} more.")
    return lines if found else [*lines, "  None in this run: people decide once per event, and not always for it."]


def _number(value: float, width: int) -> str:
    return f"{'-':>{width}}" if math.isnan(value) else f"{value:>{width}.2f}"


assert [f.name for f in fields(Run)][3:9] == [kind.__name__.lower() for kind in STAGES.values()]
