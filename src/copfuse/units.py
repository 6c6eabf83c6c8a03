"""One unit of a study: one launch under one seed, flown once, seen by all regimes."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from copfuse import earliness, fusion, network, simulate, tracking
from copfuse.errors import CopfuseError
from copfuse.network import Regime
from copfuse.scenario import Scenario
from copfuse.tables import PLOT, TRACK, Detections, Messages, Picture, Tracks, Truth


@dataclass(frozen=True)
class Options:
    """What all units of a study have in common, beside the sensors, which each scenario has."""

    regimes: tuple[Regime, ...]
    without: tuple[str, ...] = ()
    cues: bool = True
    bounds: bool = False


@dataclass(frozen=True)
class Unit:
    """One launch (a scenario with its sensors) under one seed."""

    scenario: Scenario
    seed: int
    options: Options


class Made(NamedTuple):
    """What came out: rows in the order of `earliness.COLUMNS`, or why there is no flight; and the seconds that it took."""

    rows: list[list[Any]]
    reason: str = ""
    seconds: float = float("nan")


class _Tables(NamedTuple):
    """What `earliness` reads of a run."""

    scenario: Scenario
    regime: str
    seed: int
    truth: Truth
    detections: Detections
    tracks: Tracks
    messages: Messages
    picture: Picture


def measure(unit: Unit) -> Made:
    """Fly, detect and track once, then share, fuse and look under every regime; pictures that cannot differ are made once."""
    begin = time.perf_counter()
    scenario, seed, options = unit.scenario, unit.seed, unit.options
    try:
        truth = simulate.fly(scenario)
    except CopfuseError as error:
        return Made([], str(error), time.perf_counter() - begin)
    sensed: dict[str, tuple[Detections, Tracks]] = {}
    pictures: dict[str, tuple[Picture, earliness.Seen]] = {}
    limits: dict[str, earliness.Limits] = {}
    rows = []
    for regime in options.regimes:
        detections, tracks = _sensed(truth, scenario, regime, seed, options.cues, sensed)
        messages = network.share(tracks, scenario, regime=regime, seed=seed, detections=detections)
        key = _decides(messages)
        if key not in pictures:
            picture = fusion.fuse(tracks, messages, scenario, detections=detections)
            run = _Tables(scenario, regime.name, seed, truth, detections, tracks, messages, picture)
            pictures[key] = picture, earliness.Seen.of(run)
        picture, seen = pictures[key]
        run = _Tables(scenario, regime.name, seed, truth, detections, tracks, messages, picture)
        known = limits.setdefault(detections.uid, {}) if options.bounds else None
        rows += [list(row.values()) for row in earliness.rows(run, seen, False, options.without, known)]
    return Made(rows, "", time.perf_counter() - begin)


def _sensed(
    truth: Truth, scenario: Scenario, regime: Regime, seed: int, cues: bool, before: dict[str, tuple[Detections, Tracks]]
) -> tuple[Detections, Tracks]:
    """What sensors report and local trackers make of it; the same under every regime."""
    if "all" not in before:
        detections = simulate.detect(truth, scenario, seed=seed)
        before["all"] = detections, tracking.track(detections, scenario)
    return before["all"]


def _decides(messages: Messages) -> str:
    """A hash of all that a picture is made of: the tracks, and what tracks and plots arrive; cues and warnings move no state."""
    moved = messages[(messages.kind == TRACK) | (messages.kind == PLOT)]
    about = {name: value for name, value in messages.meta.items() if name != "regime" and (len(moved) or name.endswith("_uid"))}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name in Messages.COLUMNS:
        digest.update(getattr(moved, name).tobytes())
    return digest.hexdigest()
