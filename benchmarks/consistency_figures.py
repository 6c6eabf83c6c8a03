"""The pictures of `consistency`: histograms, probability transforms, quantiles, correlations, calibration; each panel has its verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from consistency import Line, chi_square
from distributions import GRID, LAGS, band
from scipy.special import chdtri, gammaln, ndtr, ndtri

from copfuse.constants import PHASES
from copfuse.curves import DASHED, PHASE_COLOURS, sheet, written

BLUE, RED, GREY = "#0072B2", "#D55E00", "#777777"
INCH = 2.6  # a panel's height
NIS_MOST = {"radar": 4, "infrared": 2, "imaging": 4, "processing": 4}  # components to which others are brought


def draw(made: Sequence[Line], title: str, folder: Path, stem: str) -> list[Path]:
    """Draw all pictures into an existing folder; returns their paths."""
    asked: tuple[tuple[str, str, str, Callable[[Any, Line], None]], ...] = (
        ("nees", "NEES", "errors over claimed covariance (NEES)", _squared),
        ("nis", "NIS", "innovations over the predicted mixture (NIS)", _squared),
        ("innovations", "innovation", "normal scores of innovations, quantiles", _quantiles),
        ("whiteness", "whiteness", "correlation of successive innovations", _correlations),
    )
    paths = []
    for name, what, words, panel in asked:
        mine = [line for line in made if line.what == what]
        paths += [_grid(mine, f"{title}: {words}", folder / f"{stem}-{name}.png", panel)] if mine else []
    transforms = [line for line in made if line.what in ("NEES", "NIS")]
    if transforms:
        mine = [line._replace(of=f"{line.what}, {line.of}") for line in transforms]
        paths.append(_grid(mine, f"{title}: probability transforms", folder / f"{stem}-pit.png", _transforms))
    for name, what, words, overlaid in (
        ("ellipses", "ellipse", "calibration of error ellipses", _calibration),
        ("points", "point", "points over their ellipses' axes, quantiles", _point_quantiles),
    ):
        mine = [line for line in made if line.what == what]
        paths += [_overlays(mine, f"{title}: {words}", folder / f"{stem}-{name}.png", overlaid)] if mine else []
    return paths


# Sheets --------------------------------------------------------------------------------------------------------------


def _grid(mine: Sequence[Line], title: str, path: Path, panel: Callable[[Any, Line], None]) -> Path:
    """One panel a line: a row for each source or kind, a column for each phase or component."""
    rows = list(dict.fromkeys(line.of for line in mine))
    columns = sorted(dict.fromkeys(line.phase for line in mine), key=_place)
    figure = sheet(3.1 * max(len(columns), 2) + 0.6, INCH * len(rows) + 1.1, path)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    known = {(line.of, line.phase): line for line in mine}
    for i, of in enumerate(rows):
        for j, phase in enumerate(columns):
            ax, line = axes[i, j], known.get((of, phase))
            if line is None:
                ax.set_axis_off()
                ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center", fontsize=8, color=GREY)
            else:
                panel(ax, line)
            ax.set_title(f"{of}, {phase}", fontsize=8.5)
    _finished(figure, axes, title, path)
    return path


def _overlays(mine: Sequence[Line], title: str, path: Path, panel: Callable[[Any, Sequence[Line]], None]) -> Path:
    """One panel a source (rows) and quantity (columns), with a curve for each phase."""
    parts = [tuple(line.of.split(", ", 1)) for line in mine]
    columns, rows = (list(dict.fromkeys(p[k] for p in parts)) for k in (0, 1))
    figure = sheet(3.6 * max(len(columns), 2) + 0.6, (INCH + 0.7) * len(rows) + 1.1, path)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for i, source in enumerate(rows):
        for j, of in enumerate(columns):
            ax, here = axes[i, j], [line for line, p in zip(mine, parts, strict=True) if p == (of, source)]
            if here:
                panel(ax, here)
            else:
                ax.set_axis_off()
                ax.text(0.5, 0.5, "tells none", transform=ax.transAxes, ha="center", va="center", fontsize=8, color=GREY)
            ax.set_title(f"{of}, {source}", fontsize=8.5)
    _finished(figure, axes, title, path)
    return path


def _finished(figure: Any, axes: Any, title: str, path: Path) -> None:
    for ax in axes.flat:
        ax.tick_params(labelsize=7)
        ax.grid(color="#DDDDDD", lw=0.5)
        ax.set_axisbelow(True)
    figure.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left")
    figure.tight_layout(rect=(0.0, 0.0, 1.0, 0.99))
    written(figure, path)


def _place(name: str) -> int:
    return ("boost", "midcourse", "glide", "terminal").index(name) if name in PHASES else 0


def _weights(line: Line) -> np.ndarray:
    """Every flight weighs alike; all together 1."""
    _, at = np.unique(line.flight, return_inverse=True)
    count = np.bincount(at)
    return 1.0 / (count[at] * len(count))


def _said(ax: Any, line: Line, where: tuple[float, float] = (0.97, 0.95)) -> None:
    j = line.judged
    words = f"{j.verdict}: off by {j.statistic:.3f},\nbound {j.bound:.3f}\n" if j.verdict != "-" else "too few flights to say\n"
    words += f"{j.flights} flights, {j.samples}"
    colour = RED if j.verdict == "NO" else "#333333"
    ax.text(*where, words, transform=ax.transAxes, ha="right", va="top", fontsize=7, color=colour)


def _key(line: Line) -> str:
    j = line.judged
    return f"{line.phase}: off by {j.statistic:.2f}, " + (f"bound {j.bound:.2f}: {j.verdict}" if j.verdict != "-" else "too few flights")


# Panels --------------------------------------------------------------------------------------------------------------


def _squared(ax: Any, line: Line) -> None:
    """Histogram of squared distances against chi-square; the last bar holds what is beyond."""
    dimension = 6 if line.what == "NEES" else NIS_MOST[line.of]
    value, most = chi_square(line.u, dimension), float(chdtri(dimension, 1e-4)) * 1.05
    bins = np.linspace(0.0, most, 31)
    ax.hist(np.minimum(value, most * (1.0 - 1e-9)), bins, weights=_weights(line) / (bins[1] - bins[0]), color=BLUE, alpha=0.45)
    x = np.linspace(1e-3, most, 300)
    ax.plot(x, np.exp((0.5 * dimension - 1.0) * np.log(0.5 * x) - 0.5 * x - gammaln(0.5 * dimension)) / 2.0, color="black", lw=1.0,
            label=f"chi-square of {dimension}")  # fmt: skip
    for level, style in ((0.05, DASHED), (0.01, ":")):
        ax.axvline(chdtri(dimension, level), color=GREY, lw=0.8, ls=style, label=f"{100 * (1 - level):.0f} %")
    ax.set_xlabel(f"{line.what} (last bar: that and beyond)", fontsize=7.5)
    ax.set_ylabel("density", fontsize=7.5)
    ax.legend(fontsize=6, loc="center right", frameon=False)
    _said(ax, line)


def _transforms(ax: Any, line: Line) -> None:
    """Histogram of probability transforms in ten bins, flat where right, with the band that chance leaves of all bins at once."""
    names, at = np.unique(line.flight, return_inverse=True)
    cell = np.minimum((10.0 * line.u).astype(int), 9)
    each = np.bincount(at * 10 + cell, minlength=10 * len(names)).reshape(-1, 10)
    each = each / each.sum(axis=1, keepdims=True)
    mean, half, edges = 10.0 * each.mean(axis=0), 10.0 * band(each), np.arange(11) * 0.1
    ax.bar(edges[:10], mean, 0.1, align="edge", color=BLUE, alpha=0.45)
    if np.isfinite(half).all():
        ax.stairs(1.0 + half, edges, baseline=np.maximum(1.0 - half, 0.0), fill=True, color=GREY, alpha=0.3, lw=0)
    ax.axhline(1.0, color="black", lw=1.0)
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, 1.45 * max(1.5, float(mean.max())))
    ax.set_xlabel("chance of a smaller one, if all is right (grey: what chance leaves)", fontsize=7.5)
    ax.set_ylabel("density; 1 is right", fontsize=7.5)
    _said(ax, line)


def _quantiles(ax: Any, line: Line) -> None:
    p, value = _quantile_curve(line)
    ax.plot(ndtri(p), value, color=BLUE, lw=1.3)
    low, high = (ndtri(np.clip(p + way * line.judged.bound, 1e-9, 1.0 - 1e-9)) for way in (-1.0, 1.0))
    ax.fill_between(ndtri(p), np.clip(low, -9, 9), np.clip(high, -9, 9), color=GREY, alpha=0.25, lw=0)
    _diagonal(ax)
    _said(ax, line, (0.97, 0.3))


def _quantile_curve(line: Line) -> tuple[np.ndarray, np.ndarray]:
    """Levels, and quantiles of normal scores at them, flights weighing alike; only levels that samples reach."""
    order = np.argsort(line.u)
    total = np.cumsum(_weights(line)[order])
    least = max(2.0 / len(order), 0.001)
    levels = ndtr(np.linspace(ndtri(least), -ndtri(least), 121))
    at = np.minimum(np.searchsorted(total, levels), len(order) - 1)
    return levels, ndtri(np.clip(line.u[order][at], 1e-15, 1.0 - 1e-15))


def _diagonal(ax: Any) -> None:
    ax.plot([-4, 4], [-4, 4], color="black", lw=0.8, ls=DASHED)
    ax.set_xlim(-3.5, 3.5)
    ax.set_ylim(-5.0, 5.0)
    ax.set_xlabel("standard normal quantile", fontsize=7.5)
    ax.set_ylabel("observed, standard deviations", fontsize=7.5)


def _correlations(ax: Any, line: Line) -> None:
    j = line.judged
    ax.axhspan(-j.bound, j.bound, color=GREY, alpha=0.25, lw=0)
    ax.bar(np.arange(1, LAGS + 1), j.curve, 0.5, color=BLUE, alpha=0.7)
    ax.axhline(0.0, color="black", lw=0.8)
    high = max(0.2, 1.6 * j.statistic, 1.3 * np.nan_to_num(j.bound))
    ax.set_ylim(-high, high)
    ax.set_xlabel("plots of the same sensor before", fontsize=7.5)
    ax.set_ylabel("correlation", fontsize=7.5)
    _said(ax, line)


def _calibration(ax: Any, here: Sequence[Line]) -> None:
    for line in here:
        colour = PHASE_COLOURS[PHASES.index(line.phase)]
        ax.plot(100.0 * GRID, 100.0 * line.judged.curve, color=colour, lw=1.5, label=_key(line))
    ax.plot([0, 100], [0, 100], color="black", lw=0.8, ls=DASHED)
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 100)
    ax.set_xlabel("nominal level of the ellipse, %", fontsize=7.5)
    ax.set_ylabel("ellipses that hold the truth, %\n(above the line: too large)", fontsize=7.5)
    ax.legend(fontsize=6.5, loc="lower right", frameon=False)


def _point_quantiles(ax: Any, here: Sequence[Line]) -> None:
    for line in here:
        p, value = _quantile_curve(line)
        ax.plot(ndtri(p), value, color=PHASE_COLOURS[PHASES.index(line.phase)], lw=1.5, label=_key(line))
    _diagonal(ax)
    ax.legend(fontsize=6.5, loc="upper left", frameon=False)
