"""Sharing regimes: TOML files that say which links lead from node to node, what they carry, and what may be released.

A file holds a ``title``, ``[[link]]`` tables and, where not everything that a link carries may pass, ``[[rule]]`` tables;
the packaged ones and a user's own are read and checked alike.  Every delay, share and probability is *notional*.

    title = "one line"
    display = ["JPN"]                 # who looks at the hub's picture, where plots go there

    [[link]]
    source  = ["KOR", "USA"]          # KOR, JPN, USA
    target  = "JPN"                   # or HUB
    payload = "track"                 # or plot, cue (an infrared satellite's first), message (for people: never fused)
    delay_s = [8.0, 2.0, 30.0]        # median, 5 %, 95 %: the link's, one draw a run
    jitter  = 0.1                     # of each message's logarithm about it
    loss    = 0.02
    availability = 0.97               # with outage_s = 20.0, the mean length of an outage
    outages_s = [[100.0, 160.0]]      # nothing passes
    duplicate = 0.0                   # probability that a message comes twice
    stripped  = ["sensors"]           # columns that the recipient does not see
    period_s  = 2.0                   # the least time between two reports of a track; or slots_s = 12.0 and slots = 4 per frame of so long,
                                      # and responsibility = true: only the unit with the best track reports
    # via     = "USA"                 # passes on what it hears over its own link from the source
    # consent = { share = 0.3, delay_s = [1800, 600, 7200], event_s = 600, area_deg = [south, north, west, east] }   (messages)
    # request = { share = 0.5, delay_s = [...], voice = { share = 0.1, delay_s = [...] } }                         (messages)

    [[rule]]                          # deny wins; a way that some rule releases lets nothing else pass
    originator = "KOR"                # node, list or "any", as recipient and payload
    recipient  = "JPN"
    subject    = "boost"              # midcourse, terminal, glide: by the originator's own track
    release    = false
"""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from copfuse.checking import checked, choice, read_toml
from copfuse.constants import NODES, PHASES
from copfuse.errors import CopfuseError, suggestion
from copfuse.links import EVENT, JITTER, Decision, Link, Quantiles, Regime, Rule, refuse_impossible
from copfuse.tables import PAYLOADS

PACKAGED = ("none", "tisa", "gsomia", "realtime", "plots", "link16")


def regimes() -> list[str]:
    """Names of the packaged regimes."""
    return list(PACKAGED)


def regime(chosen: str | Path | Regime) -> Regime:
    """A packaged regime by name, a user's from a TOML file, or a `Regime` as it is, checked.

    Raises `CopfuseError` where there is none of that name, the file cannot be read, or it says what cannot be.
    """
    if isinstance(chosen, Regime):
        return refuse_impossible(chosen)
    if isinstance(chosen, str) and chosen in PACKAGED:
        return _packaged(chosen)
    if not isinstance(chosen, str | Path):
        raise CopfuseError(f"there is no regime {chosen!r} (a packaged name or a .toml path); {suggestion(chosen, PACKAGED)}")
    path = Path(chosen)
    if not isinstance(chosen, Path) and path.suffix != ".toml" and not path.is_file():
        raise CopfuseError(f"there is no regime {chosen!r} (a packaged name or a .toml path); {suggestion(chosen, PACKAGED)}")
    return parse(read_toml(path), path.name, path.name if path.stem in PACKAGED else path.stem)


@cache
def _packaged(name: str) -> Regime:
    return parse(read_toml(Path(str(files("copfuse") / "data" / "regimes" / f"{name}.toml"))), f"{name}.toml", name)


# What a file may say -------------------------------------------------------------------------------------------------


class _Decision(msgspec.Struct, forbid_unknown_fields=True):
    delay_s: Quantiles
    share: float = 1.0
    event_s: float = EVENT
    area_deg: tuple[float, float, float, float] | None = None


class _Request(_Decision, forbid_unknown_fields=True):
    voice: dict[str, Any] | None = None


class _Link(msgspec.Struct, forbid_unknown_fields=True):
    source: str | list[str]
    target: str | list[str]
    payload: str
    delay_s: Quantiles
    loss: float = 0.0
    availability: float = 1.0
    outage_s: float = 20.0
    period_s: float = 0.0
    outages_s: list[tuple[float, float]] = []
    duplicate: float = 0.0
    stripped: list[str] = []
    slots_s: float = 0.0
    slots: int = 1
    responsibility: bool = False
    via: str = ""
    jitter: float = JITTER
    consent: dict[str, Any] | None = None
    request: dict[str, Any] | None = None


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    release: bool
    originator: str | list[str] = "any"
    recipient: str | list[str] = "any"
    payload: str | list[str] = "any"
    subject: str | list[str] = "any"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    link: list[dict[str, Any]] = []
    rule: list[dict[str, Any]] = []
    display: list[str] = []


def parse(table: dict[str, Any], where: str, name: str) -> Regime:
    """The regime of a file's tables; ``where`` names the file in errors.  Raises `CopfuseError` as `regime` does."""
    file = checked(_File, table, where)
    links = [one for i, row in enumerate(file.link, 1) for one in _links(row, f"{where}, link {i}")]
    rules = [_rule(row, f"{where}, rule {i}") for i, row in enumerate(file.rule, 1)]
    display = _names(file.display, NODES, f"{where}: display") if file.display else ()
    return refuse_impossible(Regime(name, file.title, tuple(links), tuple(rules), display), where)


def _links(table: dict[str, Any], where: str) -> list[Link]:
    """The links of one table: from every source to every target but itself."""
    row = checked(_Link, table, where)
    sources, targets = _names(row.source, NODES, f"{where}: source"), _names(row.target, NODES, f"{where}: target")
    choice(row.payload, PAYLOADS, f"{where}: payload")
    if row.via:
        choice(row.via, NODES, f"{where}: via")
    if row.slots != 1 and not row.slots_s:
        raise CopfuseError(f"{where}: slots = {row.slots} of no frame; give slots_s, such as 12.0, the frame's length in s")
    consent, request, voice = _decision(row.consent, f"{where}, consent"), None, None
    if row.request is not None:
        request = _decision(row.request, f"{where}, request", _Request)
        voice = _decision(row.request.get("voice"), f"{where}, request, voice")
    ends = [(a, b) for a in sources for b in targets if a != b]
    if not ends:
        raise CopfuseError(f"{where}: it leads from {sources[0]} to {sources[0]}; name another target")
    return [
        Link(a, b, row.payload, row.delay_s, row.loss, row.availability, row.outage_s, row.period_s, tuple(row.outages_s), row.duplicate,
             tuple(row.stripped), row.slots_s, row.slots, row.responsibility, row.via, row.jitter, consent, request, voice)
        for a, b in ends
    ]  # fmt: skip


def _decision(table: dict[str, Any] | None, where: str, struct: type[_Decision] = _Decision) -> Decision | None:
    if table is None:
        return None
    row = checked(struct, table, where)
    area = None
    if row.area_deg is not None:
        south, north, west, east = row.area_deg
        if not (-90 <= south < north <= 90 and -180 <= west < east <= 360):
            raise CopfuseError(f"{where}: area_deg = {list(row.area_deg)}; needed: south, north, west, east: [37.5, 43.1, 124, 131]")
        area = math.radians(south), math.radians(north), math.radians(west), math.radians(east)
    return Decision(row.share, row.delay_s, row.event_s, area)


def _rule(table: dict[str, Any], where: str) -> Rule:
    row = checked(_Rule, table, where)
    known = (NODES, NODES, PAYLOADS, PHASES)
    keys = ("originator", "recipient", "payload", "subject")
    who, whom, what, when = (_names(getattr(row, k), names, f"{where}: {k}", True) for k, names in zip(keys, known, strict=True))
    return Rule(who, whom, what, when, row.release)


def _names(said: str | list[str], known: tuple[str, ...], where: str, anybody: bool = False) -> tuple[str, ...]:
    """One name or several of those known, or "any"."""
    names = [said] if isinstance(said, str) else said
    if not names:
        raise CopfuseError(f"{where} = [] names nobody; {suggestion('', known)}")
    for name in names:
        choice(name, (*known, "any") if anybody else known, where)
    return known if "any" in names else tuple(dict.fromkeys(names))
