"""Do the covariances tell the truth?  The slow statistics: NEES by regime, node and phase, and how often ellipses hold.

    python benchmarks/verify.py [SCENARIO] [--seeds 20]

Prints one line per regime, node and phase with a verdict, for sensors without bias (the filter's own consistency) and
with it (what the packaged scenarios have), and draws the NEES over time to verify-SCENARIO.png.  About 3 s a seed.
"""

from __future__ import annotations

import dataclasses

import click
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import chi2
from tqdm import tqdm

import copfuse as cf
from copfuse import frames, metrics
from copfuse.constants import NODES, PHASES
from copfuse.motion import interpolate

REGIMES = ("none", "realtime", "plots")


def sample(scenario, truth, seed: int):
    """Rows (regime, node, phase, time, NEES, whether the 95 % impact ellipse holds the impact) of one seed."""
    detections = cf.detect(truth, scenario, seed=seed)
    tracks = cf.track(detections, scenario)
    for regime in REGIMES:
        messages = cf.share(tracks, scenario, regime, seed=seed, detections=detections)
        picture = cf.fuse(tracks, messages, scenario, detections=detections)
        picture = picture[picture.time < truth.time[-1]]
        thing = metrics.match(picture, truth).object
        for k in np.unique(thing[thing >= 0]):
            own, mine = truth[truth.object == k], picture[thing == k]
            error = mine.x - interpolate(own.time, own.x, mine.time)
            nees = np.einsum("ni,ni->n", error, np.linalg.solve(mine.P, error[..., None])[..., 0])
            phase = own.phase[np.clip(np.searchsorted(own.time, mine.time) - 1, 0, None)]
            axes = frames.enu_axes(*frames.geodetic(own.x[-1])[:2])[0, :2]
            miss = (mine.impact_point - own.x[-1, :3]) @ axes.T
            spread = axes @ np.nan_to_num(mine.impact_point_P, nan=1.0) @ axes.T
            d2 = np.einsum("ni,ni->n", miss, np.linalg.solve(spread, miss[..., None])[..., 0])
            inside = np.where(np.isfinite(d2), d2 < chi2.ppf(0.95, 2), np.nan)
            yield from zip([regime] * len(mine), mine.node, phase, mine.time, nees, inside, strict=True)


def verdict(per_seed: list[float]) -> str:
    """Whether the mean NEES of six components over seeds lies within its 99 % bounds (one draw per seed)."""
    low, high = chi2.ppf([0.005, 0.995], 6 * len(per_seed)) / len(per_seed)
    mean = float(np.mean(per_seed))
    return f"{'consistent' if low < mean < high else 'cautious' if mean <= low else 'too sure'} [{low:.1f}, {high:.1f}]"


@click.command()
@click.argument("scenario", default="hokkaido-2017")
@click.option("--seeds", default=20, show_default=True, help="Runs with and without sensor bias.")
def main(scenario: str, seeds: int) -> None:
    """Print NEES and ellipse coverage of SCENARIO by regime, node and phase; draw verify-SCENARIO.png."""
    figure = Figure(figsize=(11, 7), dpi=120, layout="constrained")
    axes = figure.subplots(2, len(REGIMES), sharex=True, sharey=True, squeeze=False)
    for line, bias in enumerate((0.0, 1.0)):
        chosen = dataclasses.replace(cf.load(scenario), bias=bias)
        truth = cf.fly(chosen)
        runs = [list(sample(chosen, truth, seed)) for seed in tqdm(range(seeds), desc=f"bias {bias:g}", disable=None)]
        print(f"\n{chosen.name}, sensor bias x {bias:g}, {seeds} seeds: NEES of 6 (consistent would be 6)")
        print(f"{'regime':<9} {'node':<4} {'phase':<10} {'NEES':>7}  {'95 % ellipse holds':>18}  verdict on seeds' means")
        for regime in REGIMES:
            for node in range(len(NODES)):
                for phase in range(len(PHASES)):
                    means, inside = [], []
                    for rows in runs:
                        some = [r for r in rows if r[0] == regime and r[1] == node and r[2] == phase]
                        if some:
                            means.append(float(np.median([r[4] for r in some])))
                            inside += [r[5] for r in some]
                    if len(means) >= max(2, seeds // 2):
                        held = f"{100 * np.nanmean(inside):.0f} %" if np.isfinite(inside).any() else "-"
                        print(f"{regime:<9} {NODES[node]:<4} {PHASES[phase]:<10} {np.mean(means):7.2f}  {held:>18}  {verdict(means)}")
        for ax, regime in zip(axes[line], REGIMES, strict=True):
            for node, colour in enumerate(("#D55E00", "#0072B2", "#009E73", "#000000")):
                dots = np.array([(r[3], r[4]) for rows in runs for r in rows if r[0] == regime and r[1] == node])
                if len(dots):
                    times = np.unique(dots[:, 0])
                    ax.semilogy(times, [np.mean(dots[dots[:, 0] == t, 1]) for t in times], color=colour, lw=1, label=NODES[node])
            ax.axhline(6, color="#888888", lw=1, ls="--")
            ax.set_title(f"{regime}, bias x {bias:g}", loc="left", fontsize=10)
    axes[0, 0].legend(frameon=False)
    axes[0, 0].set(ylabel="mean NEES (6 is right)", ylim=(0.3, 300))
    axes[1, 0].set(ylabel="mean NEES (6 is right)")
    for ax in axes[1]:
        ax.set_xlabel("time, s")
    figure.savefig(f"verify-{scenario}.png")
    print(f"\npicture: verify-{scenario}.png")


if __name__ == "__main__":
    main()
