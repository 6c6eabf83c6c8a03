"""Stone Soup's multi-target trackers beside this package's on the same plots of a salvo, by GOSPA.

    python benchmarks/stonesoup_trackers.py salvo-2-2019 --seeds 3         # needs pip install 'copfuse[bench]'
    python benchmarks/stonesoup_trackers.py salvo-18-2024 --until 120      # of many plots, the first two minutes
    python benchmarks/stonesoup_trackers.py salvo-2-2019 --tune            # the rival's settings on seed 100

Both get every radar's range, azimuth and elevation (no infrared, no range rate, which only this package would use), each plot's own
sigma, unbiased sensors, one tracker for all nations, no delay; both are asked on the same time grid where everything is.
This package: its tracker of all plots and the picture made of it.  Stone Soup's are those of `copfuse.entrants_soup`, which says what they
are made of; their motion, its noise and how wide the gate is are what ``--tune`` finds best, by GOSPA, on a seed that is not measured.
"""

from __future__ import annotations

import itertools
import math
import time as clock
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from copfuse import entrants_soup, fusion, metrics, network, scanning, simulate, tracking
from copfuse.constants import NODES
from copfuse.entrants_soup import MAPPING, Settings, estimates
from copfuse.measures import Gospa, gospa_of
from copfuse.scenario import Scenario, load
from copfuse.tables import Detections, Truth

GRID = (
    *(Settings("CA", q, g) for q, g in itertools.product((2.0, 20.0, 200.0), (5.0, 7.0))),
    *(Settings("Singer", a, 5.0) for a in (200.0, 1000.0)),
    *(Settings("fall", q, g) for q, g in itertools.product((50.0, 500.0), (5.0, 7.0))),
)  # fmt: skip


# Plots there and estimates back --------------------------------------------------------------------------------------


def radar_plots(detections: Detections, scenario: Scenario) -> Detections:
    """Range, azimuth and elevation of the radars alone."""
    kept = detections[np.isfinite(detections.z[:, :3]).all(axis=1)]
    z, sigma = kept.z.copy(), kept.sigma.copy()
    z[:, 3] = sigma[:, 3] = np.nan
    return replace(kept, z=z, sigma=sigma)


def soup_scans(detections: Detections, scenario: Scenario) -> Iterator[tuple[datetime, set[Any]]]:
    """The plots as Stone Soup's detections, scan by scan, in the Earth-fixed frame."""
    return entrants_soup.soup_scans(scanning.scans(detections, scenario, "HUB"))


def soup(detections: Detections, scenario: Scenario, rule: str, settings: Settings, times: np.ndarray) -> list[np.ndarray]:
    """Where Stone Soup's confirmed tracks are, (n, 3) Earth-fixed, at each of the rising ``times``, from the plots until then."""
    scans = list(scanning.scans(detections, scenario, "HUB"))
    ends = np.searchsorted([s.time for s in scans], times, side="right").tolist()
    batches = [(float(t), scans[a:b]) for t, a, b in zip(times, [0, *ends], ends, strict=False)]
    rows = list(MAPPING)
    return [
        np.array([np.asarray(s.state_vector, float)[rows, 0] for s in states.values()]).reshape(-1, 3)
        for _, states in estimates(rule, settings, batches)
    ]


def ours(detections: Detections, scenario: Scenario, association: str, times: np.ndarray) -> list[np.ndarray]:
    """Where this package's system tracks at a node that has every plot at once are, (n, 3) Earth-fixed, at each of ``times``."""
    at_once = network.Regime("plots", "every plot at once", tuple(
        network.Link(nation, "HUB", "plot", (1e-9, 1e-9, 1e-9), 0.0, 1.0, 20.0, 0.0) for nation in NODES[:3]
    ), display=NODES[:3])  # fmt: skip
    nothing = tracking.track(detections[:0], scenario, association=association)
    messages = network.share(nothing, scenario, at_once, detections=detections)
    picture = fusion.fuse(nothing, messages, scenario, detections)
    picture = picture[picture.node == NODES.index("HUB")]
    return [picture.x[np.abs(picture.time - t) < 1e-6, :3] for t in times]


# Against the truth ---------------------------------------------------------------------------------------------------


def judged(found: list[np.ndarray], truth: Truth, times: np.ndarray) -> list[Gospa]:
    """GOSPA (cut-off 10 km, power 2) at each time."""
    where = metrics.true_states(truth, times)[:, :, :3]
    made = []
    for x, y in zip(where, found, strict=True):
        up = x[np.isfinite(x[:, 0])]
        made.append(gospa_of(np.linalg.norm(up[:, None] - y[None], axis=2), metrics.GOSPA_CUTOFF, metrics.GOSPA_ORDER))
    return made


@dataclass(frozen=True)
class Contest:
    """Per contestant GOSPA (n_times,) at ``times`` with its parts (n_times, 3), over the same seed; seconds it took."""

    times: np.ndarray
    gospa: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]
    seconds: dict[str, float]
    settled: np.ndarray  # (n_times,) every object aloft has had a confirmed track of every contestant once


def contest(
    name: str, seed: int, rivals: dict[str, tuple[str, Settings]], mine: Sequence[str] = ("gnn", "jpda"), until: float = math.inf
) -> Contest:
    """One seed of a packaged scenario until a time s, all contestants."""
    scenario = replace(load(name), bias=0.0)
    truth = simulate.fly(scenario)
    detections = radar_plots(simulate.detect(truth, scenario, seed=seed), scenario)
    times = np.arange(0.0, min(truth.time.max(), until), scenario.picture_step)
    detections = detections[detections.time <= times[-1]]
    gospa, parts, seconds = {}, {}, {}
    settled = np.ones(len(times), bool)
    up = np.isfinite(metrics.true_states(truth, times)[:, :, 0]).sum(axis=1)
    for title in (*(f"copfuse {m}" for m in mine), *rivals):
        begin = clock.process_time()
        if title in rivals:
            found = soup(detections, scenario, *rivals[title], times)
        else:
            found = ours(detections, scenario, title.split()[1], times)
        seconds[title] = clock.process_time() - begin
        made = judged(found, truth, times)
        gospa[title] = np.array([g.value for g in made])
        parts[title] = np.array([(g.localisation, g.missed, g.false) for g in made])
        full = np.array([len(g.pairs) for g in made]) >= up
        settled &= np.maximum.accumulate(full & (up == up.max()))
    return Contest(times, gospa, parts, seconds, settled)


def told(name: str, made: list[Contest]) -> str:
    """The table: means, parts, and how often this package's GNN is no worse than each rival, per time, in the mean over seeds."""
    first = next(iter(made[0].gospa))
    out = [f"{name}, {len(made)} seeds, radars without bias, all plots at once: GOSPA km (cut-off 10 km, power 2)"]
    out.append(f"{'tracker':<22}{'mean':>8}{'settled':>9}   {'of its square: off, missed, false':<36}{'CPU s':>8}  {first} is no worse")
    settled = np.all([c.settled for c in made], axis=0)
    mean = {k: np.mean([c.gospa[k] for c in made], axis=0) for k in made[0].gospa}
    for title, value in mean.items():
        parts = np.mean([c.parts[title] for c in made], axis=(0, 1))
        shares = ", ".join(f"{100 * p / max(parts.sum(), 1e-9):.0f} %" for p in parts)
        seconds = np.mean([c.seconds[title] for c in made])
        late = f"{1e-3 * value[settled].mean():.3f}" if settled.any() else "-"
        worse = mean[first][settled] <= value[settled]
        verdict = (
            "" if title == first else f"{'yes' if mean[first].mean() <= value.mean() else 'NO'}, at {worse.sum()} of {len(worse)} times"
        )
        out.append(f"{title:<22}{1e-3 * value.mean():>8.3f}{late:>9}   {shares:<36}{seconds:>8.1f}  {verdict}")
    out.append("Settled: from when every contestant has held every object at once.")
    for title in list(mean)[2:]:
        out += _worse(first, title, made, settled & (mean[first] > mean[title]))
    return "\n".join(out)


def _worse(first: str, title: str, made: list[Contest], at: np.ndarray) -> list[str]:
    """Each time at which the first is worse than another, and what it has there too many and too few, all seeds together."""
    lines = []
    unit = 0.5 * metrics.GOSPA_CUTOFF**metrics.GOSPA_ORDER
    for k in np.flatnonzero(at):
        ours, theirs = (1e-3 * np.mean([c.gospa[name][k] for c in made]) for name in (first, title))
        missed, false = (round(sum(c.parts[first][k, part] for c in made) / unit) for part in (1, 2))
        lines.append(f"  {made[0].times[k]:.0f} s: {ours:.3f} km against {theirs:.3f} of {title}; {missed} missed, {false} of nothing")
    return lines


BEST = {f"Stone Soup {rule}": (rule, settings) for rule, settings in entrants_soup.BEST.items()}


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--until", default=math.inf, help="Only the first so many seconds.  [default: the whole flight]")
@click.option("--tune", is_flag=True, help="Try settings of the rivals on seed 100 instead.")
def main(names: tuple[str, ...], seeds: int, first: int, until: float, tune: bool) -> None:
    """Stone Soup's trackers and this package's on the same plots."""
    for name in names:
        if tune:
            for rule, settings in tqdm(list(itertools.product(("GNN", "JPDA"), GRID)), desc=name, disable=None):
                made = contest(name, 100, {"rival": (rule, settings)}, (), until)
                click.echo(f"{1e-3 * made.gospa['rival'].mean():.3f} km {made.seconds['rival']:6.1f} s  {rule} {settings}")
            continue
        made = [contest(name, seed, BEST, until=until) for seed in tqdm(range(first, first + seeds), desc=name, disable=None)]
        click.echo(told(name, made) + "\n")


if __name__ == "__main__":
    main()
