"""``share()``: who hears what, and when.

A regime is a small TOML file of links: source, target, payload (``track``, ``plot`` or ``cue``), delay as a log-normal
through three quantiles, loss, availability.  Every delay is *notional*.  A message points at the row that it carries.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from zlib import crc32

import msgspec
import numpy as np

from copfuse.constants import NATIONS, NODES
from copfuse.errors import CopfuseError, suggestion
from copfuse.tables import CUE, MESSAGE_KINDS, PLOT, TRACK, Detections, Messages, Tracks

LINK_SPREAD = 0.1  # standard deviation of the logarithm of one message's delay about its link's, *notional*


class _Link(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    source: str | list[str]
    target: str | list[str]
    payload: str
    delay_s: tuple[float, float, float]
    loss: float = 0.0
    availability: float = 1.0
    outage_s: float = 20.0
    period_s: float = 0.0


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    title: str
    link: list[_Link] = []


@dataclass(frozen=True)
class Link:
    """One way from node to node: delay s at its median, 5 % and 95 %; ``period`` s is the least time between two
    reports of one track; ``outage`` s the mean length of a time in which nothing passes."""

    source: str
    target: str
    payload: str
    delay: tuple[float, float, float]
    loss: float
    availability: float
    outage: float
    period: float


@dataclass(frozen=True)
class Regime:
    """A sharing arrangement: its name, a line of text, its links."""

    name: str
    title: str
    links: tuple[Link, ...]


def regimes() -> list[str]:
    """Names of the packaged regimes."""
    return [name for name in ("none", "realtime", "plots") if (files("copfuse") / "data" / "regimes" / f"{name}.toml").is_file()]


@cache
def regime(name: str) -> Regime:
    """A packaged regime by name.  Raises `CopfuseError` for a name that is not there, with those that are."""
    if name not in regimes():
        raise CopfuseError(f"there is no regime {name!r}; {suggestion(name, regimes())}")
    text = (files("copfuse") / "data" / "regimes" / f"{name}.toml").read_text()
    file = msgspec.convert(tomllib.loads(text), _File)
    links = []
    for raw in file.link:
        for source in [raw.source] if isinstance(raw.source, str) else raw.source:
            for target in [raw.target] if isinstance(raw.target, str) else raw.target:
                if source != target:
                    links.append(Link(source, target, raw.payload, raw.delay_s, raw.loss, raw.availability, raw.outage_s, raw.period_s))
    return Regime(name, file.title, tuple(links))


def share(
    tracks: Tracks, scenario: Any, regime: str | Regime | None = None, seed: int = 0, detections: Detections | None = None
) -> Messages:
    """Every transmission of a run under a regime (default: the scenario's), sorted by arrival.

    ``detections`` is needed where the regime sends plots.  Each link draws from a stream of its own, named by its ends
    and payload and by nothing else, so regimes are compared on common random numbers.
    Raises `CopfuseError` for an unknown regime or where plots are to be sent and ``detections`` is missing.
    """
    rule = _regime(regime or scenario.regime)
    columns: list[tuple[np.ndarray, ...]] = []
    for link in rule.links:
        if link.payload == "plot" and detections is None:
            raise CopfuseError(f"regime {rule.name!r} shares plots: call share(..., detections=detections)")
        if link.payload == "plot":
            assert detections is not None
            rows, sent = _plots(detections, scenario, link.source)
        else:
            rows = _cues(tracks, scenario, link.source) if link.payload == "cue" else _reports(tracks, link)
            sent = tracks.time[rows]
        n = len(rows)
        kind = MESSAGE_KINDS.index(link.payload)
        ends = NODES.index(link.source), NODES.index(link.target)
        columns.append((sent, _arrivals(link, sent, seed), np.full(n, ends[0]), np.full(n, ends[1]), np.full(n, kind), rows))
    meta = {"regime": rule.name, "nodes": list(NODES), "tracks_uid": tracks.uid}
    if detections is not None:
        meta["detections_uid"] = detections.uid
    if not columns:
        return Messages.empty(**meta)
    joined: dict[str, Any] = {name: np.concatenate(c) for name, c in zip(Messages.COLUMNS, zip(*columns, strict=True), strict=True)}
    table = Messages(**joined, meta=meta)
    order = np.lexsort((table.row, table.target, table.source, np.nan_to_num(table.arrived, nan=np.inf)))
    return table[order]


def _regime(chosen: str | Regime) -> Regime:
    return chosen if isinstance(chosen, Regime) else regime(chosen)


def _plots(detections: Detections, scenario: Any, source: str) -> tuple[np.ndarray, np.ndarray]:
    mine = np.array([s.nation == source for s in scenario.sensors])
    rows = np.flatnonzero(mine[detections.sensor])
    return rows, detections.time[rows]


def _reports(tracks: Tracks, link: Link) -> np.ndarray:
    """Rows of the source's firm tracks, at most one per track and report period."""
    rows = np.flatnonzero((tracks.node == NODES.index(link.source)) & tracks.firm)
    if link.period <= 0 or len(rows) == 0:
        return rows
    slot = np.floor(tracks.time[rows] / link.period).astype(int)
    _, first = np.unique(np.stack([tracks.track[rows], slot]), axis=1, return_index=True)
    return rows[np.sort(first)]


def _cues(tracks: Tracks, scenario: Any, source: str) -> np.ndarray:
    """The first firm row of every track of the source that an infrared satellite has fed."""
    bits = sum(1 << i for i, s in enumerate(scenario.sensors) if s.kind == "infrared")
    seen = (tracks.sensors & np.uint64(bits)) != 0
    rows = np.flatnonzero((tracks.node == NODES.index(source)) & tracks.firm & seen)
    _, first = np.unique(tracks.track[rows], return_index=True)
    return rows[np.sort(first)]


def _stream(link: Link, seed: int, what: str) -> np.random.Generator:
    """The random stream of one property of one link."""
    name = f"{link.source}>{link.target}:{link.payload}:{what}"
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, crc32(name.encode())])))


def _arrivals(link: Link, sent: np.ndarray, seed: int) -> np.ndarray:
    """Arrival times: the link's own log-normal delay, a little spread per message, nan where it is lost.

    A message's draws do not depend on how many follow it, so the future cannot change the past.
    """
    median, low, high = link.delay
    sigma = np.log(high / low) / (2 * 1.6448536269514722)
    base = median * np.exp(np.clip(sigma * _stream(link, seed, "delay").standard_normal(), -3 * sigma, 3 * sigma))
    delay = base * np.exp(LINK_SPREAD * _stream(link, seed, "spread").standard_normal(len(sent)))
    lost = (_stream(link, seed, "loss").random(len(sent)) < link.loss) | _outages(link, sent, _stream(link, seed, "outage"))
    return np.where(lost, np.nan, sent + delay)


def _outages(link: Link, sent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """True for messages sent while the link is down: exponential times up and down with the stated availability."""
    down = np.zeros(len(sent), bool)
    if link.availability >= 1.0 or len(sent) == 0:
        return down
    up_mean = link.outage * link.availability / (1.0 - link.availability)
    t, up = 0.0, rng.random() < link.availability
    while t <= sent.max():
        length = rng.exponential(up_mean if up else link.outage)
        if not up:
            down |= (sent >= t) & (sent < t + length)
        t, up = t + length, not up
    return down


assert MESSAGE_KINDS[TRACK] == "track" and MESSAGE_KINDS[PLOT] == "plot" and MESSAGE_KINDS[CUE] == "cue" and set(NATIONS) < set(NODES)
