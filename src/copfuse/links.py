"""What a sharing regime consists of: links from node to node, decisions of people, release rules; and which of them cannot be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from copfuse.constants import NATIONS, NODES, PHASES
from copfuse.errors import CopfuseError, suggestion
from copfuse.tables import PAYLOADS

JITTER = 0.1  # standard deviation of the logarithm of one message's delay about its link's, *notional*
EVENT = 600.0  # s: what turns firm within so long of an event's first track is of the same event, *notional*
STRIPPABLE = {"track": ("sensors", "detection", "hits", "llr"), "cue": ("sensors", "detection", "hits", "llr"), "plot": ("snr",)}
Quantiles = tuple[float, float, float]  # s: median, 5 %, 95 %


@dataclass(frozen=True)
class Decision:
    """A decision of people, one per event: the ``share`` of events in which it is yes, the ``delay`` s until then, for how long, s,
    what turns firm belongs to one ``event``, and the ``area`` (south, north, west, east, rad) that launches must come from."""

    share: float
    delay: Quantiles
    event: float = EVENT
    area: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Link:
    """One way from node to node; lengths of time in s, probabilities 0 to 1.

    ``delay`` is the link's own, at its median, 5 % and 95 %, one draw a run; a message's is log-normal about it with ``jitter``.
    ``period`` is the least time between two reports of one track; ``outage`` the mean length of a time in which nothing
    passes, ``outages`` stated such times; ``duplicate`` the probability that a message arrives twice.  ``stripped`` are the columns
    of the row that the recipient does not see.  With ``frame`` reports wait for one of so many ``slots`` per frame, and with
    ``responsibility`` only the unit with the best track of an object reports it.  ``via`` is the node that passes on what it hears.
    ``consent`` is the originator's, ``request`` (and ``voice``, by telephone) the recipient's, answered.
    """

    source: str
    target: str
    payload: str
    delay: Quantiles
    loss: float = 0.0
    availability: float = 1.0
    outage: float = 20.0
    period: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()
    duplicate: float = 0.0
    stripped: tuple[str, ...] = ()
    frame: float = 0.0
    slots: int = 1
    responsibility: bool = False
    via: str = ""
    jitter: float = JITTER
    consent: Decision | None = None
    request: Decision | None = None
    voice: Decision | None = None

    @property
    def ends(self) -> tuple[str, str, str]:
        """What names it in its regime: source, target, payload."""
        return self.source, self.target, self.payload

    def __str__(self) -> str:
        return f"link {self.source} -> {self.target} ({self.payload})"


@dataclass(frozen=True)
class Rule:
    """Whether what these originators know, of these kinds and in these phases of flight, may (``release``) go to these recipients."""

    originators: tuple[str, ...]
    recipients: tuple[str, ...]
    payloads: tuple[str, ...]
    subjects: tuple[str, ...]
    release: bool

    def concerns(self, ends: tuple[str, str, str]) -> bool:
        """Whether it speaks of a link from source to target with a payload, whatever the subject."""
        return ends[0] in self.originators and ends[1] in self.recipients and ends[2] in self.payloads


@dataclass(frozen=True)
class Regime:
    """A sharing arrangement: its name, a line of text, its links and release rules; ``display`` names the nodes that look at the
    hub's picture where plots go there."""

    name: str
    title: str
    links: tuple[Link, ...]
    rules: tuple[Rule, ...] = ()
    display: tuple[str, ...] = ()

    def ways(self) -> list[tuple[str, str, str]]:
        """From whom what may get to whom: the ends of all links, and plots at the hub to those who look at its picture."""
        shown = [(k.source, n, "plot") for k in self.links if k.ends[1:] == ("HUB", "plot") for n in self.display if n != k.source]
        return list(dict.fromkeys([*(link.ends for link in self.links), *shown]))

    def path(self, link: Link) -> list[Link]:
        """The links that bring something from a link's source to its target: itself, behind those to its relays."""
        found = [link]
        while found[0].via:
            found.insert(0, self._by_ends[found[0].source, found[0].via, link.payload])
        return found

    @cached_property
    def _by_ends(self) -> dict[tuple[str, str, str], Link]:
        return {link.ends: link for link in self.links}


# What cannot be ------------------------------------------------------------------------------------------------------


def refuse_impossible(regime: Regime, where: str | None = None) -> Regime:
    """The regime itself.  Raises `CopfuseError` for the first thing in it that cannot be; ``where`` names the file."""
    where = where or f"regime {regime.name!r}"
    for link in regime.links:
        wrong = _wrong_number(link) or _wrong_choice(link) or _wrong_company(link, regime)
        if wrong:
            raise CopfuseError(f"{where}: {link}: {wrong}")
    for number, rule in enumerate(regime.rules, 1):
        wrong = _wrong_rule(rule, regime)
        if wrong:
            raise CopfuseError(f"{where}: rule {number}: {wrong}")
    if regime.display and not any(link.ends[1:] == ("HUB", "plot") for link in regime.links):
        raise CopfuseError(f"{where}: display = {list(regime.display)}, but no link brings plots to HUB, so it has no picture to look at")
    return regime


def _wrong_number(link: Link) -> str:
    """Which number of a link is out of range, in words; "" for none."""
    decisions = [("consent", link.consent), ("request", link.request), ("request, voice", link.voice)]
    chances = [("loss", link.loss), ("availability", link.availability), ("duplicate", link.duplicate)]
    delays = [("delay_s", link.delay)]
    lengths = [("outage_s", link.outage, 0.1, 1e6), ("period_s", link.period, 0.0, 1e6), ("slots_s", link.frame, 0.0, 1e6)]
    lengths += [("jitter", link.jitter, 0.0, 2.0), ("slots", link.slots, 1, 1000)]
    for key, decision in decisions:
        if decision is not None:
            chances.append((f"{key}: share", decision.share))
            delays.append((f"{key}: delay_s", decision.delay))
            lengths.append((f"{key}: event_s", decision.event, 1.0, 1e6))
    for key, (median, low, high) in delays:
        if not (0.0 < low <= median <= high < math.inf or median == low == high == 0.0):
            return f"{key} = {[median, low, high]} is not median, 5 %, 95 %; needed: 0 < 5 % <= median <= 95 %, such as [8.0, 2.0, 30.0]"
    for key, value in chances:
        if not 0.0 <= value <= 1.0:
            return f"{key} = {value:g} is no probability; needed: 0 to 1"
    for key, value, least, most in lengths:
        if not least <= value <= most:
            return f"{key} = {value:g}; needed: {least:g} to {most:g}"
    for begin, end in link.outages:
        if not 0.0 <= begin < end < math.inf:
            return f"outages_s has {[begin, end]}; needed: begin and end in s after the epoch, such as [100.0, 160.0]"
    return ""


def _wrong_choice(link: Link) -> str:
    """What of a link does not go with its payload or with the rest of it, in words; "" for none."""
    for value, names in ((link.source, NODES), (link.target, NODES), (link.payload, PAYLOADS), (link.via or NODES[0], NODES)):
        if value not in names:
            return f"{value!r} is unknown; {suggestion(value, names)}"
    if link.source == link.target:
        return "it leads to where it begins; name another target"
    if link.source not in NATIONS:
        return f'nothing begins at {link.source}, which has no sensors; name the nation as source, and via = "{link.source}"'
    may = STRIPPABLE.get(link.payload, ())
    for column in link.stripped:
        if column not in may:
            can = f"{link.payload}s can do without {', '.join(may)}" if may else "a message carries no columns to begin with"
            return f"stripped names the column {column!r}; {can}"
    when = [("period_s", link.period), ("slots_s", link.frame), ("consent", link.consent), ("request", link.request)]
    said = [key for key, value in when if value]
    for key in said:
        goes = {"period_s": ("track", "message"), "slots_s": ("track",)}.get(key, ("message",))
        if link.payload not in goes:
            return f"{key} goes with payload {' or '.join(map(repr, goes))}, not {link.payload!r}"
    if len(said) > 1:
        return f"{said[0]} and {said[1]} both say when it sends; keep one of the two"
    if link.responsibility and not link.frame:
        return "responsibility = true, but there are no report slots; give slots_s, such as 12.0"
    if link.via and said:
        return f"{said[0]} does not go with via = {link.via!r}, which passes on what it hears; say it at link {link.source} -> {link.via}"
    return ""


def _wrong_company(link: Link, regime: Regime) -> str:
    """What of a link does not go with the others, in words; "" for none."""
    if sum(other.ends == link.ends for other in regime.links) > 1:
        return "there are two of it; make one of the two"
    if link.payload == "plot" and any(other.payload == "track" for other in regime.links):
        return "other links of this regime carry tracks; pictures are made either of plots or of tracks, so keep one payload"
    nets = {(other.frame, other.slots) for other in regime.links if other.responsibility}
    if link.responsibility and len(nets) > 1:
        return f"slots_s = {link.frame:g}, slots = {link.slots} are not those of the other links with responsibility; give all the same"
    by_ends, seen, one = {other.ends: other for other in regime.links}, [link.target], link
    while one.via:
        if one.via in (link.source, *seen):
            return f"relays lead in a circle: {' via '.join([*seen, one.via])}; begin with a link without via"
        feeder = (link.source, one.via, link.payload)
        if feeder not in by_ends:
            return f"via = {one.via!r}, but no link brings {link.payload}s from {link.source} to {one.via}; add that link or leave via out"
        seen.append(one.via)
        one = by_ends[feeder]
    return ""


def _wrong_rule(rule: Rule, regime: Regime) -> str:
    """What is wrong with a rule, in words; "" for nothing."""
    met = [way for way in regime.ways() if rule.concerns(way)]
    if not met:
        has = ", ".join(f"{a} -> {b} ({payload})" for a, b, payload in regime.ways()[:8]) or "none"
        asked = f"{' '.join(rule.originators)} -> {' '.join(rule.recipients)} ({' '.join(rule.payloads)})"
        return f"it names nobody: no link of this regime goes {asked}; there are: {has}"
    if rule.subjects != PHASES and any(payload == "plot" for _, _, payload in met):
        shown = " ".join(rule.subjects)
        return f'subject = {shown!r}, but plots are of no phase (only tracks know one); say subject = "any" or a payload other than plot'
    return ""


def contradictions(regime: Regime) -> list[str]:
    """One sentence for each pair of rules of which one releases what the other denies: deny wins."""
    said = []
    for i, yes in enumerate(regime.rules, 1):
        for j, no in enumerate(regime.rules, 1):
            both = [w for w in regime.ways() if yes.release and not no.release and yes.concerns(w) and no.concerns(w)]
            subjects = [s for s in yes.subjects if s in no.subjects]
            if both and subjects:
                what = "; ".join(f"{a} -> {b} ({payload})" for a, b, payload in both)
                phases = "any subject" if tuple(subjects) == PHASES else " ".join(subjects)
                said.append(f"Rule {i} releases what rule {j} denies, and deny wins: {what}, {phases}.")
    return said
