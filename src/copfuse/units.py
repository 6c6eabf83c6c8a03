"""One unit of a study: one launch under one seed, flown once, seen by all regimes."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from copfuse import cueing, earliness, fusion, network, simulate
from copfuse.cueing import Sensed
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
    """Fly once, detect and track once (with cues, once per set of regimes that cue alike), then share, fuse and look under every
    regime; pictures that cannot differ are made once."""
    begin = time.perf_counter()
    scenario, seed = unit.scenario, unit.seed
    try:
        truth = simulate.fly(scenario)
    except CopfuseError as error:
        return Made([], str(error), time.perf_counter() - begin)
    try:
        rows = _rows(unit, truth)
    except CopfuseError as error:
        raise CopfuseError(f"launch {scenario.name}, seed {seed}: {error}") from None
    return Made(rows, "", time.perf_counter() - begin)


def _rows(unit: Unit, truth: Truth) -> list[list[Any]]:
    scenario, seed, options = unit.scenario, unit.seed, unit.options
    sensed: dict[str, Sensed] = {}
    pictures: dict[tuple[int, str], tuple[Picture, list[earliness.Row]]] = {}
    limits: dict[str, earliness.Limits] = {}
    rows, once = [], cueing.Once()
    for regime in options.regimes:
        before = _cue(regime) if options.cues else ""
        known = sensed.get(before)
        fused = any(link.payload == "track" for link in regime.links)  # tracks of several nations
        made = known or cueing.sense(truth, scenario, regime, seed, cues=options.cues, once=once, idle=False, common=fused, named=False)
        detections, tracks, messages = made.detections, made.tracks, made.messages
        if known:  # the messages are those of another regime
            messages = network.transmissions(tracks, scenario, regime, seed, detections)
        sensed[before] = made
        alike = (one.tracks.same(tracks) and one.detections.same(detections) for one in sensed.values())
        key = next(k for k, same in enumerate(alike) if same), _decides(messages)
        if key not in pictures:
            picture, needs = fusion.without_ends(tracks, messages, scenario, detections, made.hubs)
            run = _Tables(scenario, regime.name, seed, truth, detections, tracks, messages, picture)
            pictures[key] = picture, earliness.pictured(run, needs)
        picture, seen = pictures[key]
        run = _Tables(scenario, regime.name, seed, truth, detections, tracks, messages, picture)
        bounds = limits.setdefault(detections.uid, {}) if options.bounds else None
        rows += [list(row.values()) for row in earliness.rows(run, seen, options.cues, options.without, bounds)]
    return rows


def _cue(regime: Regime) -> str:
    """All of a regime that can cue a radar: its links but for messages of people, and its rules; regimes with the same sense the same."""
    links = sorted(repr(link) for link in regime.links if link.payload != "message")
    return repr((links, regime.rules, regime.display))


def _decides(messages: Messages) -> str:
    """A hash of all that a picture is made of but for the tables: what tracks and plots arrive; cues and warnings move no state."""
    moved = messages[(messages.kind == TRACK) | (messages.kind == PLOT)]
    about = {name: value for name, value in messages.meta.items() if name not in ("regime", "payloads", "said")}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name in Messages.COLUMNS:
        digest.update(getattr(moved, name).tobytes())
    return digest.hexdigest()
