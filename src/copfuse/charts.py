"""Many seeds of one scenario over time: error against bound, NEES, and how often ellipses hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from copfuse.accuracy import CELL, SOURCES, TRACKERS, Measured
from copfuse.constants import NODES, PHASES
from copfuse.curves import DASHED, DOTTED, NODE_COLOURS, PHASE_COLOURS, sheet, written
from copfuse.measures import nees_bounds
from copfuse.tables import Truth

LEAST = 0.25  # a point stands for at least this share of the seeds


def draw(results: Sequence[Measured], truth: Truth, title: str, stem: Path) -> list[Path]:
    """Draw STEM-errors.png, STEM-nees.png and STEM-ellipses.png of a scenario's first missile; ``title`` has a %s for what it is."""
    samples = np.concatenate([r.samples for r in results])
    first = min(np.unique(samples["object"]), default=0)
    path, samples = truth[truth.object == first], samples[samples["object"] == first]
    several = int(np.unique(truth.object).size) > 1
    title += f" ({truth.meta['objects'][first]['name']})" if several else ""
    made = []
    for name, what, panels in (
        ("errors", "errors and bounds", _errors), ("nees", "mean NEES", _nees), ("ellipses", "ellipses that hold the truth", _ellipses)
    ):  # fmt: skip
        made.append(stem.with_name(f"{stem.name}-{name}.png"))
        figure = sheet(10.0, 7.4, made[-1])
        panels(figure, samples, path, len(results))
        figure.text(0.06, 0.975, title % what, fontsize=11, fontweight="bold", va="center")
        written(figure, made[-1])
    return made


def over_time(samples: np.ndarray, value: np.ndarray, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of ``value (n,)`` per `accuracy.CELL`, at the cells' middles; cells with too few seeds left out, nan in gaps."""
    good = np.isfinite(value)
    cell = np.floor(samples["time"][good] / CELL).astype(int)
    if len(cell) == 0:
        return np.zeros(0), np.zeros(0)
    count, total = np.bincount(cell), np.bincount(cell, weights=value[good])
    enough = np.flatnonzero(count >= max(1.0, LEAST * seeds))
    time, mean = CELL * (enough + 0.5), total[enough] / count[enough]
    gaps = np.flatnonzero(np.diff(enough) > 3) + 1
    return np.insert(time, gaps, np.nan), np.insert(mean, gaps, np.nan)


def _errors(figure: Any, samples: np.ndarray, path: Truth, seeds: int) -> None:
    panels = figure.subplots(2, 1, sharex=True)
    lines: tuple[tuple[str, dict[str, Any]], ...]
    lines = ("%s", dict(lw=1.4)), ("bound_%s", dict(lw=1.0, ls=DASHED)), ("true_%s", dict(lw=0.9, ls=DOTTED))
    for ax, name, unit in zip(panels, ("position", "velocity"), ("m", "m/s"), strict=True):
        for source in TRACKERS:
            mine = samples[samples["source"] == source]
            for column, style in lines:
                time, mean = over_time(mine, mine[column % name], seeds)
                word = SOURCES[source] if ax is panels[0] and column == "%s" and len(time) else None
                ax.plot(time - path.time[0], np.sqrt(mean), color=NODE_COLOURS[source], label=word, **style)
        ax.set_yscale("log")
        shown = np.concatenate([over_time(m, m[name], seeds)[1] for m in (samples[samples["source"] == s] for s in TRACKERS)])
        if np.isfinite(shown).any():  # a bound before anything is known may leave the axes above
            ax.set_ylim(top=3.0 * float(np.sqrt(np.nanmax(shown))))
        ax.set_ylabel(f"root mean square error of {name}, {unit}", fontsize=8.5)
    for word, line in (("bound, the filters' model", DASHED), ("bound, the true model", DOTTED)):
        if line == DASHED or np.isfinite(samples["true_position"]).any():
            panels[0].plot([], [], color="#666666", label=word, ls=line)
    _finished(figure, panels, path)


def _nees(figure: Any, samples: np.ndarray, path: Truth, seeds: int) -> None:
    groups: list[tuple[Sequence[int], str]] = [(TRACKERS, "tracks")]
    pictures = [s for s in range(len(SOURCES)) if s not in TRACKERS]
    if np.isin(samples["source"], pictures).any():
        groups.append((pictures, "pictures (realtime)"))
    panels = figure.subplots(len(groups), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    low, high = (edge / 6.0 for edge in nees_bounds(seeds, 6))
    for ax, (sources, word) in zip(panels, groups, strict=True):
        for source in sources:
            mine = samples[samples["source"] == source]
            time, mean = over_time(mine, mine["nees"] / 6.0, seeds)
            if len(time):
                ax.plot(time - path.time[0], mean, color=NODE_COLOURS[source % len(NODES)], lw=1.2, label=SOURCES[source].split()[0])
        ax.axhspan(low, high, color="#777777", alpha=0.35, lw=0, label=f"95 % of a right filter, {seeds} seeds")
        ax.set_yscale("log")
        ax.set_ylim(0.1, 30.0)
        ax.set_ylabel(f"{word}: mean NEES / 6", fontsize=8.5)
    _finished(figure, panels, path)


def _ellipses(figure: Any, samples: np.ndarray, path: Truth, seeds: int) -> None:
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(2, 2, 1.6))
    for source in range(len(SOURCES)):
        mine, picture = samples[samples["source"] == source], source not in TRACKERS
        style: dict[str, Any] = dict(color=NODE_COLOURS[source % len(NODES)], lw=1.3 if picture else 0.9, ls="-" if picture else DASHED)
        for ax, name in zip(panels, ("impact", "launch"), strict=False):
            time, mean = over_time(mine, mine[name], seeds)
            if len(time):
                ax.plot(time - path.time[0], 100 * mean, label=SOURCES[source] if ax is panels[0] else None, **style)
        time, mean = over_time(mine, np.log(np.where(mine["impact_size"] > 0, 1e-3 * mine["impact_size"], np.nan)), seeds)
        panels[2].plot(time - path.time[0], np.exp(mean), **style)
    for ax, name in zip(panels, ("impact", "launch"), strict=False):
        ax.axhspan(93, 97, color="#777777", alpha=0.35, lw=0, label="93 to 97 %" if ax is panels[0] else None)
        ax.set_ylim(-2, 102)
        ax.set_ylabel(f"95 % ellipse holds {name}, %", fontsize=8.5)
    panels[2].set_yscale("log")
    panels[2].set_ylabel("impact ellipse,\nsemi-major axis, km", fontsize=8.5)
    _finished(figure, panels, path)


def _finished(figure: Any, panels: Any, path: Truth) -> None:
    """Phases shaded, one legend above, seconds after ignition below."""
    from matplotlib.patches import Patch

    time = path.time - path.time[0]
    for ax in panels:
        if not any(np.isfinite(line.get_ydata(orig=True)).any() for line in ax.lines):  # nothing to scale by
            ax.set_ylim(1.0, 100.0)
        for p in np.unique(path.phase):
            below = (path.phase == p) | np.r_[False, path.phase[:-1] == p]
            ax.fill_between(time, 0.0, 1.0, where=below, transform=ax.get_xaxis_transform(), color=PHASE_COLOURS[p], alpha=0.15, lw=0)
        ax.grid(color="#DDDDDD", lw=0.5)
        ax.tick_params(labelsize=7.5)
        ax.set_xlim(0.0, time[-1])
    panels[-1].set_xlabel("seconds after ignition", fontsize=8.5)
    handles, labels = panels[0].get_legend_handles_labels()
    handles += [Patch(color=PHASE_COLOURS[p], alpha=0.3, lw=0) for p in np.unique(path.phase)]
    labels += [PHASES[p] for p in np.unique(path.phase)]
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.055, 0.96), ncols=5, fontsize=7.5, frameon=False)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.87, bottom=0.06, hspace=0.07)
