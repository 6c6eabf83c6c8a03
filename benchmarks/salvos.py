"""The picture of a salvo end to end: SIAP attributes and GOSPA per regime and node, each beside its target.

**In coverage**: an object is in a node's coverage while the newest plot of it that the node can have is at most `FRESH` s old, and it
is the third or a later one, for no track is firm before (`tracking.FIRM_HITS`).  A node can have plots of its own sensors and, later by
the link's median delay, those of anybody whose plots or tracks the regime sends it.  Completeness and the longest segment are of those
seconds alone; how complete the picture is over whole flights stands beside them.  Ambiguity, spuriousness and accuracy are
of all seconds that are scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from copfuse import metrics, network
from copfuse.constants import NODES
from copfuse.measures import ratio
from copfuse.scenario import Scenario
from copfuse.study import Run
from copfuse.tables import Detections
from copfuse.tracking import FIRM_HITS

NAMES = ("salvo-2-2019", "salvo-10-2026", "salvo-18-2024", "separation-2019")
REGIMES = ("realtime", "plots")
FRESH = 10.0  # s
# figure: title, whether it should be at least (or at most) its target, the target
TARGETS = {
    "complete": ("complete", True, 0.97), "ambiguity": ("ambiguity", False, 1.02), "spurious": ("spurious", False, 0.02),
    "segment": ("longest seg.", True, 0.95),
}  # fmt: skip


@dataclass(frozen=True)
class Tally:
    """Counts over the scored times of one or more runs of one node, which add up; see `tally`."""

    covered: float = 0.0  # object-times in coverage
    held: float = 0.0  # of those with a track
    longest: float = 0.0  # of those in the longest stretches that one and the same track held
    aloft: float = 0.0  # object-times
    tracks: float = 0.0  # track-times
    matched: float = 0.0
    duplicates: float = 0.0
    error: float = 0.0  # sum of squared position errors of what is matched, m^2
    times: float = 0.0
    gospa: float = 0.0  # sum of distances, m
    localisation: float = 0.0  # sums of the parts, m^2
    missed: float = 0.0
    false: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(self._all(), other._all(), strict=True)))

    def _all(self) -> tuple[float, ...]:
        return tuple(vars(self).values())

    def figures(self) -> dict[str, float]:
        """The SIAP attributes (Votruba et al. 2001, sec. 3), shares of GOSPA squared, and mean GOSPA and position error, m."""
        whole = self.localisation + self.missed + self.false
        return {
            "complete": ratio(self.held, self.covered), "ambiguity": ratio(self.matched + self.duplicates, self.matched),
            "spurious": ratio(self.tracks - self.matched - self.duplicates, self.tracks), "segment": ratio(self.longest, self.covered),
            "whole": ratio(self.matched, self.aloft), "error": math.sqrt(self.error / self.matched) if self.matched else math.nan,
            "gospa": ratio(self.gospa, self.times), "localisation": ratio(self.localisation, whole),
            "missed": ratio(self.missed, whole), "false": ratio(self.false, whole),
        }  # fmt: skip


def verdict(name: str, value: float) -> str:
    """Whether a figure reaches its target: "yes", "NO", or "-" where there is nothing to judge."""
    _, at_least, target = TARGETS[name]
    return "-" if math.isnan(value) else "yes" if (value >= target if at_least else value <= target) else "NO"


# One run -------------------------------------------------------------------------------------------------------------


def tally(run: Run) -> list[Tally]:
    """One `Tally` per node of one run."""
    matched = metrics.match(run.picture, run.truth)
    made = []
    for node in range(len(NODES)):
        score = run.score[run.score.node == node]
        aloft = np.isfinite(metrics.true_states(run.truth, score.time)[:, :, 0])
        covered = aloft & coverage(run, node, score.time)
        holder = holders(run, matched, node, score.time)
        mine = run.picture.node == node
        on = matched.error[mine & (matched.object >= 0), :3]
        made.append(
            Tally(
                covered=covered.sum(), held=(covered & (holder >= 0)).sum(),
                longest=sum(longest(h[c]) for h, c in zip(holder.T, covered.T, strict=True)),
                aloft=score.n_truth.sum(), tracks=score.n_track.sum(), matched=score.n_matched.sum(), duplicates=score.n_duplicate.sum(),
                error=float((on**2).sum()), times=len(score), gospa=score.gospa.sum(), localisation=score.localisation.sum(),
                missed=score.missed.sum(), false=score.false.sum(),
            )
        )  # fmt: skip
    return made


def coverage(run: Run, node: int, time: np.ndarray) -> np.ndarray:
    """Whether each object (columns) is in a node's coverage at each time (rows), as this module's words say."""
    covered = np.zeros((len(time), len(run.truth.meta["objects"])), bool)
    wait = delays(run.detections, run.scenario, run.regime, node)[run.detections.sensor]
    for k in range(covered.shape[1]):
        mine = (run.detections.object == k) & np.isfinite(wait)
        known = np.sort(run.detections.time[mine] + wait[mine])
        if len(known):
            newest = np.searchsorted(known, time, side="right") - 1
            covered[:, k] = (newest >= FIRM_HITS - 1) & (time - known[np.maximum(newest, 0)] <= FRESH)
    return covered


def delays(detections: Detections, scenario: Scenario, regime: str, node: int) -> np.ndarray:
    """By which median delay s each sensor's plots, or what is made of them, get to a node; inf for never.  (n_sensors,)"""
    links = [link for link in network.regime(regime).links if link.payload != "cue"]
    wait = {NODES[node]: 0.0}
    hub = any(link.payload == "plot" for link in links)  # then everybody looks at the hub's picture
    for link in links:
        if link.target == ("HUB" if hub else NODES[node]):
            wait[link.source] = link.delay[0]
    nation = {sensor.name: sensor.nation for sensor in scenario.sensors}
    return np.array([wait.get(nation[name], math.inf) for name in detections.meta["sensors"]])


def holders(run: Run, matched: metrics.Match, node: int, time: np.ndarray) -> np.ndarray:
    """The number of the system track that holds each object (columns) at each time (rows), -1 for none."""
    holder = np.full((len(time), len(run.truth.meta["objects"])), -1)
    rows = np.flatnonzero((run.picture.node == node) & (matched.object >= 0))
    at = np.searchsorted(time, np.round(run.picture.time[rows], 6))
    rows, at = rows[at < len(time)], at[at < len(time)]
    holder[at, matched.object[rows]] = run.picture.track[rows]
    return holder


def longest(holder: np.ndarray) -> int:
    """The length of the longest stretch that one and the same track (number >= 0) holds without a break."""
    edges = np.flatnonzero(np.r_[True, np.diff(holder) != 0, True]) if len(holder) else np.zeros(1, int)
    return max((int(b - a) for a, b in zip(edges[:-1], edges[1:], strict=True) if holder[a] >= 0), default=0)


# The table -----------------------------------------------------------------------------------------------------------


def table(name: str, tallies: dict[str, list[Tally]], seeds: int) -> str:
    """One line per regime and node: every figure, and whether it reaches its target."""
    asked = [f"{title} {'>=' if more else '<='} {target:g}" for title, more, target in TARGETS.values()]
    out = [f"{name}, {seeds} seed{'s' if seeds > 1 else ''}; asked: {', '.join(asked)}"]
    heads = "".join(f"{title:>18}" for title, _, _ in TARGETS.values())
    out.append(f"{'regime':<10}{'node':<5}{heads}{'whole':>8}{'error m':>9}{'GOSPA km':>10}   of its square: off, missed, false")
    for regime, nodes in tallies.items():
        shown = [("all", nodes[0])] if _same(nodes) else list(zip(NODES, nodes, strict=True))
        out += [_line(regime, node, one.figures()) for node, one in shown]
    return "\n".join(out)


def _same(nodes: Sequence[Tally]) -> bool:
    """Where plots are shared all nodes have one picture."""
    return all(one == nodes[0] for one in nodes)


def _line(regime: str, node: str, made: dict[str, float]) -> str:
    cells = "".join(f"{made[name]:>13.3f} {verdict(name, made[name]):<4}" for name in TARGETS)
    parts = ", ".join(f"{100 * made[part]:.0f} %" for part in ("localisation", "missed", "false"))
    return f"{regime:<10}{node:<5}{cells}{made['whole']:>8.3f}{made['error']:>9.0f}{1e-3 * made['gospa']:>10.2f}   {parts}"


def measure(
    scenario: Scenario,
    regimes: Sequence[str],
    seeds: Sequence[int],
    runner: Callable[[Scenario, str, int], Run],
    step: Callable[[], object],
) -> dict[str, list[Tally]]:
    """The tallies per regime and node over all seeds; ``runner`` makes one run, ``step`` is called after each."""
    found = {}
    for regime in regimes:
        nodes = [Tally() for _ in NODES]
        for seed in seeds:
            nodes = [a + b for a, b in zip(nodes, tally(runner(scenario, regime, seed)), strict=True)]
            step()
        found[regime] = nodes
    return found
