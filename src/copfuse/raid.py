"""`copfuse bench raid`: many objects at once through the whole chain, against real time, with what is held as time goes on.

Short-range ballistic missiles rise at random times from a region, all within two minutes; twelve radars of the packaged salvo look
every ten seconds.  Figures of the laydown are *notional*.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from copfuse import fusion, metrics, network, scenario, simulate, tracking
from copfuse.coasting import Live
from copfuse.errors import CopfuseError
from copfuse.speed import machine
from copfuse.tables import Tracks, Truth, replacing

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

SENSORS = (
    "KR-GP-CB", "KR-GP-BS", "KR-AEG-ES", "KR-AEG-YS", "US-TPY2-SJ", "US-TPY2-SH", "US-AEG-SOJ", "JP-FPS5-SK", "JP-FPS5-SD", "JP-FPS5-OM",
    "JP-AEG-W", "JP-AEG-E",
)  # fmt: skip
REVISIT = 10.0  # s between two looks of a sensor at an object, and between two pictures
SPREAD = 120.0  # s within which all are launched
FASTER = 10.0  # target: so many times faster than real time
LEFT = 0.5  # target: share of the most that is held at all that still is when all are down (tracks of false plots, and of the last 30 s)
PARTS = (0.25, 0.5, 0.75, 1.0)  # of the flown time, at which is said what is held
CHAIN = ("fly", "detect", "track", "share", "fuse")
ABOUT = f"""Missiles of 1.6 to 2.8 km/s within {SPREAD:.0f} s, {len(SENSORS)} radars that look every {REVISIT:.0f} s, pictures of four nodes
every {REVISIT:.0f} s (notional)."""


def raid(objects: int, seed: int = 0) -> scenario.Scenario:
    """A scenario of so many ballistic missiles.  Raises `CopfuseError` for less than one."""
    if objects < 1:
        raise CopfuseError(f"a raid of {objects} objects: there must be at least 1")
    base = scenario.load("salvo-2022")
    sensors = tuple(replace(s, search_revisit=REVISIT, track_revisit=REVISIT) for s in base.sensors if s.name in SENSORS)
    rng = np.random.default_rng(seed)
    launches = tuple(_launch(k, rng) for k in range(objects))
    title = f"{objects} ballistic missiles within {SPREAD:.0f} s"
    return replace(base, name="raid", title=title, launches=launches, sensors=sensors, picture_step=REVISIT)


def _launch(k: int, rng: np.random.Generator) -> scenario.Launch:
    """One missile, drawn."""
    at, lat, lon, azimuth = rng.uniform((0.0, 38.5, 125.0, 60.0), (SPREAD, 41.5, 129.0, 130.0))
    altitude, speed, angle = rng.uniform((30e3, 1600.0, 35.0), (60e3, 2800.0, 50.0))
    return scenario.Launch(
        "ballistic", f"m{k:04d}", at=float(at), lat=float(np.radians(lat)), lon=float(np.radians(lon)), azimuth=float(np.radians(azimuth)),
        burnout_altitude=float(altitude), burnout_speed=float(speed), burnout_angle=float(np.radians(angle)), missile_class="SRBM",
    )  # fmt: skip


@dataclass
class Measured:
    """What a raid took: CPU seconds of each verb, the seconds flown, what was held when (s, number), rows of each verb's table."""

    flown: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    followed: list[tuple[float, int, float]] = field(default_factory=list)  # time, tracks that trackers hold, MB of memory in use
    known: list[tuple[float, int, float]] = field(default_factory=list)  # time, local tracks and forecasts that nodes hold, MB
    aloft: list[int] = field(default_factory=list)  # objects at each of `PARTS`

    def note(self, at: float, held: fusion.Held) -> None:
        """What fusion holds at a time."""
        self.known.append((at, len(held), memory()))

    @property
    def ratio(self) -> float:
        """How many times faster than real time the chain was, without scoring."""
        return self.flown / sum(self.seconds[verb] for verb in CHAIN)


def memory() -> float:
    """MB in use now; nan where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
    except (OSError, ValueError, IndexError):
        return float("nan")


def peak() -> float:
    """MB in use at most so far; nan where the system does not say."""
    if resource is None:
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0) / 1e6


def measure(about: scenario.Scenario, seed: int = 0, say: Callable[[str], object] = print) -> Measured:
    """Run a scenario through the chain and its score, and ``say`` a line after each verb."""
    out = Measured()

    def timed(verb: str, work: Callable[[], Any]) -> Any:
        begin = time.process_time()
        made = work()
        out.seconds[verb], out.rows[verb], out.peak[verb] = time.process_time() - begin, len(made), peak()
        ratio = out.flown / max(out.seconds[verb], 1e-9)
        note = f"{ratio:12.1f} times real time" if out.flown else ""
        say(f"  {verb:<8}{out.seconds[verb]:9.2f} s{len(made):10d} rows{out.peak[verb]:9.0f} MB at most{note}")
        return made

    truth = timed("fly", lambda: simulate.fly(about))
    out.flown = float(truth.time.max())
    out.aloft = [_aloft(truth, part * out.flown) for part in PARTS]
    seen = timed("detect", lambda: simulate.detect(truth, about, seed=seed))
    tracks = timed("track", lambda: _followed(seen, about, out))
    sent = timed("share", lambda: network.share(tracks, about, regime="realtime", seed=seed, detections=seen))
    picture = timed("fuse", lambda: fusion.fuse(tracks, sent, about, detections=seen, watch=out.note))
    timed("score", lambda: metrics.score(picture, truth, about))
    return out


def _followed(seen: Any, about: scenario.Scenario, out: Measured) -> Tracks:
    """`tracking.track`, with a note of what it holds as it goes."""
    states: dict[int, Live] = {}
    rows = []
    for new in tracking.follow(states, seen, about, None, "gnn"):
        rows.append(new)
        out.followed.append((float(new["time"][-1]), sum(len(live) for live in states.values()), memory()))
    return tracking.table(rows, states, seen, about, "gnn")


def _aloft(truth: Truth, at: float) -> int:
    """Objects whose truth has begun and not ended."""
    begun, over = np.unique(truth.object[truth.time <= at]), np.unique(truth.object[truth.time > at])
    return len(np.intersect1d(begun, over))


def held(notes: list[tuple[float, int, float]], at: float) -> tuple[int, float]:
    """The last note of ``(time, held, MB)`` up to a time: what was held and MB; before the first nothing, and its MB."""
    before = [note for note in notes if note[0] <= at]
    return (before[-1][1], before[-1][2]) if before else (0, notes[0][2] if notes else float("nan"))


def verdicts(m: Measured) -> list[str]:
    """The two targets, and whether they are reached."""
    fast = f"{FASTER:g} times faster than real time: {m.ratio:.1f}, " + _reached(m.ratio >= FASTER)
    lines = [fast]
    for what, notes in (("trackers", m.followed), ("nodes", m.known)):
        most, last = max((n for _, n, _ in notes), default=0), notes[-1][1] if notes else 0
        lines.append(f"{what} forget what is over: {most} held at most, {last} at the end, {_reached(last <= LEFT * most)}")
    return lines


def _reached(yes: bool) -> str:
    return "reached" if yes else "not reached"


def table_rows(m: Measured) -> Iterable[list[str]]:
    """The figures as rows of text: what, when, value, unit."""
    for verb, seconds in m.seconds.items():
        yield [verb, "", f"{seconds:.3f}", "CPU s"]
        yield [verb, "", f"{m.peak[verb]:.1f}", "MB at most"]
    for part, objects in zip(PARTS, m.aloft, strict=True):
        at = part * m.flown
        yield ["aloft", f"{at:.1f}", str(objects), "objects"]
        for what, notes in (("trackers", m.followed), ("fusion", m.known)):
            count, used = held(notes, at)
            yield [what, f"{at:.1f}", str(count), "held"]
            yield [what, f"{at:.1f}", f"{used:.1f}", "MB in use"]
    yield ["chain", "", f"{m.ratio:.3f}", "times real time"]


def bench(objects: int = 1000, seed: int = 0, table: Path | None = None, say: Callable[[str], object] = print) -> Measured:
    """Measure a raid and ``say`` what came out, line by line; ``table`` is a CSV file to write as well."""
    say(machine())
    say(ABOUT)
    say(f"{objects} objects; CPU seconds of all threads, kernels loaded before.  About {0.07 * objects + 2.0:.0f} s.")
    measure(raid(2, seed), seed, say=lambda line: None)
    m = measure(raid(objects, seed), seed, say)
    chain = sum(m.seconds[verb] for verb in CHAIN)
    say(f"  {'chain':<8}{chain:9.2f} s of {m.flown:.0f} s flown, scoring left out: {m.ratio:.1f} times real time")
    say("What trackers and fusion hold as time goes on (their tables of rows grow beside it):")
    for part, objects_aloft in zip(PARTS, m.aloft, strict=True):
        at = part * m.flown
        (tracks, first), (known, second) = held(m.followed, at), held(m.known, at)
        say(
            f"  at {at:6.0f} s{objects_aloft:7d} aloft{tracks:7d} tracks followed ({first:.0f} MB in use)"
            f"{known:8d} tracks and forecasts known at nodes ({second:.0f} MB in use)"
        )
    for line in verdicts(m):
        say(line)
    if table:
        with replacing(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([["what", "at_s", "value", "unit"], *table_rows(m)])
    return m
