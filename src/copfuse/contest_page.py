"""A contest as one HTML page that opens from a file: its tables, and figures of what they sum up.

The parts of a page are those of `report`, the sheets those of `sheets`; matplotlib is imported when a figure is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from copfuse import report, standings
from copfuse.constants import PHASES
from copfuse.curves import DASHED, DOTTED, PHASE_COLOURS
from copfuse.sheets import MARKERS, framed, inset, no_data, panel, plain_log
from copfuse.standings import Contest

# Okabe and Ito (2008) without black, which is the reference's
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C510A")
PARTS = (("localisation", "#0072B2"), ("missed", "#D55E00"), ("false", "#999999"))
LEAST = 0.002  # km, the least GOSPA that is drawn
DOT = "a dot is a case; the bar is the mean over cases, on logarithmic axes the geometric one"
ASIDE = 1.35  # in, left of bars and dots, for names


def write(contest: Contest, path: str | Path, figures: str | Path | None = None) -> Path:
    """The page as one HTML file, and its figures as PNG in a folder ``figures``, if given.

    Raises `CopfuseError` for a path that cannot be written.
    """
    drawn = []
    for name, (draw, caption) in FIGURES.items():
        drawn += report.sheets(report.drawn(draw(contest)), name, caption, figures)
    meta = _meta(contest)
    tables = [
        report.table([head.replace("-\n", "-").replace("\n", " ") for head in s.heads], s.lines, s.title, meta)
        + (report.paragraphs([s.note]) if s.note else "")
        for s in standings.sheets(contest)
    ]
    troubles = standings.troubles(contest)
    parts = [
        ("What was run", report.paragraphs(line for line in standings.header(contest) if not line.startswith("Made by"))),
        ("Tables", "\n".join(tables)),
        *([("Not finished and left out", report.paragraphs(troubles, "li"))] if troubles else []),
        ("Figures", "\n".join(drawn)),
        ("Cases", _described(contest, contest.cases)),
        ("Entrants", _described(contest, contest.entrants)),
    ]
    return report.put(report.page("The fusion benchmark", parts, meta), path)


def _meta(contest: Contest) -> dict[str, Any]:
    return {key: contest.meta[key] for key in ("copfuse", "source", "command") if key in contest.meta}


def _described(contest: Contest, names: Sequence[str]) -> str:
    told = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(contest.about.get(name, ''))}</dd>" for name in names)
    return f"<dl>\n{told}\n</dl>"


# Figures -------------------------------------------------------------------------------------------------------------


def over_time(contest: Contest) -> list[Any]:
    """GOSPA at each picture time: a panel per case, a line per entrant; the reference on every sheet, seven others on each."""
    others = [e for e in contest.entrants if e != contest.reference]
    groups = [others[k : k + len(COLOURS)] for k in range(0, len(others), len(COLOURS))] or [[]]
    return [_over_time(contest, group) for group in groups]


def _over_time(contest: Contest, others: Sequence[str]) -> Any:
    wide = min(4, len(contest.cases))
    rows = math.ceil(len(contest.cases) / wide)
    height = 1.75 + 2.0 * rows
    figure = framed("GOSPA over time", _meta(contest), 11.2, height, "logarithmic; an object that is missed alone costs 7.1 km")
    panels = figure.subplots(rows, wide, squeeze=False).ravel()
    lines = []
    for ax, case in zip(panels, contest.cases, strict=False):
        panel(ax, case)
        lines = [_line(ax, contest, name, case, k) for k, name in enumerate([contest.reference, *others])]
        if any(np.nanmax(line.get_ydata(), initial=0.0) > 0.0 for line in lines):
            ax.set_yscale("log")
            ax.set_ylim(bottom=max(ax.get_ylim()[0], LEAST))
            plain_log(ax.yaxis, (1,) if ax.get_ylim()[1] > 100.0 * ax.get_ylim()[0] else (1, 2, 5))
        ax.margins(x=0.0)
    for ax in panels[len(contest.cases) :]:
        ax.set_visible(False)
    for k, ax in enumerate(panels):
        if k % wide == 0:
            ax.set_ylabel("GOSPA, km", fontsize=8)
        if k + wide >= len(contest.cases):
            ax.set_xlabel("s since the case began", fontsize=8)
    figure.legend(handles=lines, loc="upper left", bbox_to_anchor=(0.35 / 11.2, 1.0 - 0.66 / height), ncols=8, fontsize=8, frameon=False,
                  borderaxespad=0.0)  # fmt: skip
    inset(figure, 0.6, 0.2, 1.2, 0.75, hspace=0.42, wspace=0.2)
    return figure


def _line(ax: Any, contest: Contest, name: str, case: str, k: int) -> Any:
    """An entrant's line in a case's panel: the reference wide and pale behind the others."""
    style: dict[str, Any] = dict(color="#BBBBBB", lw=3.2, zorder=1) if k == 0 else dict(
        color=COLOURS[(k - 1) % len(COLOURS)], lw=1.1, ls=("-", DASHED, DOTTED)[(k - 1) % 3], zorder=2
    )  # fmt: skip
    found = contest.of(name, case).judged
    time, value = (found.curve["time"], 1e-3 * found.curve["gospa"]) if found else (np.zeros(0), np.zeros(0))
    value = np.where(value > 0.0, value, np.nan)  # nothing aloft and nothing said
    return ax.plot(time, value, label=standings.label(contest, name) + (" (reference)" if k == 0 else ""), **style)[0]


def parts(contest: Contest) -> list[Any]:
    """Squared GOSPA as the sum of its parts, mean over cases: a bar per entrant."""
    height = 1.9 + 0.28 * len(contest.entrants)
    figure = framed("What GOSPA is made of", _meta(contest), 9.0, height, "of the cases that every entrant with results finished")
    ax = figure.subplots()
    panel(ax)
    running = [e for e in contest.entrants if standings.finished(contest, e)]
    common = [c for c in contest.cases if running and not any(contest.of(e, c).status for e in running)]
    for row, name in enumerate(running if common else []):
        left = 0.0
        for key, colour in PARTS:
            value = float(np.mean([(1e-3 * contest.of(name, case).figure(key)) ** 2 for case in common]))
            ax.barh(row, value, left=left, color=colour, height=0.7, label=key if row == 0 else None)
            left += value
    if common:
        ax.legend(fontsize=8, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    else:
        no_data(ax, "no case was finished by every entrant")
    _named(ax, [standings.label(contest, e) for e in running])
    ax.set_xlabel(f"squared GOSPA, km$^2$, mean over {len(common)} cases", fontsize=8.5)
    inset(figure, ASIDE, 0.25, 1.0, 0.8)
    return [figure]


def over_bound(contest: Contest) -> list[Any]:
    """Error over bound in each phase: a dot per case, a bar at the mean."""
    height = 1.75 + 0.24 * len(contest.entrants)
    figure = framed("Position error over the Cramer-Rao bound", _meta(contest), 11.2, height, DOT)
    panels = figure.subplots(1, len(PHASES), sharey=True, sharex=True)
    for ax, phase, colour in zip(panels, PHASES, PHASE_COLOURS, strict=True):
        panel(ax, phase)
        _dots(ax, contest, f"{phase}_over_bound", colour)
    _named(panels[0], [standings.label(contest, e) for e in contest.entrants])
    inset(figure, ASIDE, 0.2, 1.0, 0.75, wspace=0.06)
    return [figure]


def consistency(contest: Contest) -> list[Any]:
    """NEES per component and what ellipses hold: a dot per case, a bar at the mean."""
    height = 1.75 + 0.24 * len(contest.entrants)
    figure = framed("Whether covariances tell the truth", _meta(contest), 11.2, height, DOT)
    panels = figure.subplots(1, 3, sharey=True)
    what = (
        ("anees", "mean NEES per component, 1 is right", "#0072B2", 1.0),
        ("state_coverage", "% within the 95 % ellipsoid", "#009E73", 95.0),
        ("ellipse_coverage", "% of impact ellipses that hold it", "#D55E00", 95.0),
    )
    for ax, (key, title, colour, right) in zip(panels, what, strict=True):
        panel(ax, title)
        _dots(ax, contest, key, colour, right, factor=1.0 if right == 1.0 else 100.0)
        if right == 95.0:
            ax.set_xlim(-3.0, 103.0)
    _named(panels[0], [standings.label(contest, e) for e in contest.entrants])
    inset(figure, ASIDE, 0.2, 1.0, 0.75, wspace=0.06)
    return [figure]


def _dots(ax: Any, contest: Contest, key: str, colour: str, right: float = 1.0, factor: float = 1.0) -> None:
    """A row of dots per entrant, one each case, and the mean; a line where it would be right."""
    seen = []
    for row, name in enumerate(contest.entrants):
        values = [factor * r.figure(key) for r in standings.finished(contest, name)]
        good = [v for v in values if math.isfinite(v)]
        ax.plot(good, [row] * len(good), "o", ms=3.6, color=colour, alpha=0.55, mew=0.0)
        if good:
            middle = standings.over_cases(standings.finished(contest, name), key)
            ax.plot(factor * middle, row, "|", ms=11, mew=2.0, color="k")
        seen += good
    ax.axvline(right, color="#444444", lw=0.9, ls=DASHED, zorder=0)
    if not seen:
        no_data(ax, "no case has this")
    elif right == 1.0:
        ax.set_xscale("log")
        plain_log(ax.xaxis, (1,) if max(*seen, 1.0) > 100.0 * min(*seen, 1.0) else (1, 2, 5))


def speed(contest: Contest) -> list[Any]:
    """CPU time a scan against GOSPA: a marker per entrant."""
    figure = framed("Speed and accuracy", _meta(contest), 9.0, 5.6, "over the cases that each finished")
    ax = figure.subplots()
    panel(ax)
    shown = 0
    for k, name in enumerate(contest.entrants):
        done = standings.finished(contest, name)
        if done:
            colour = "k" if name == contest.reference else COLOURS[k % len(COLOURS)]
            time, value = standings.geometric([r.us_per_scan for r in done]), 1e-3 * standings.over_cases(done, "gospa")
            some = f" ({len(done)} of {len(contest.cases)} cases)" if len(done) < len(contest.cases) else ""
            ax.plot(time, value, MARKERS[k % len(MARKERS)], ms=8, color=colour, label=standings.label(contest, name) + some, ls="none")
            shown += 1
    if shown:
        ax.set_xscale("log")
        plain_log(ax.xaxis)
        ax.set_ylim(0.0, 1.08 * ax.get_ylim()[1])
        ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.set_xlabel("CPU microseconds per scan", fontsize=8.5)
    ax.set_ylabel("GOSPA, km", fontsize=8.5)
    inset(figure, 0.75, 2.4, 0.8, 0.8)
    return [figure]


def _named(ax: Any, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_ylim(len(names) - 0.4, -0.6)


FIGURES: dict[str, tuple[Callable[[Contest], list[Any]], str]] = {
    "gospa": (
        over_time,
        "GOSPA of each entrant at every picture time of each case. Before it is tracked, and after it is lost, an object costs a miss.",
    ),
    "parts": (
        parts,
        "Squared GOSPA by its parts: how far off tracks are (localisation), what is not tracked (missed), tracks of nothing (false).",
    ),
    "bound": (
        over_bound,
        "Root mean square of position error over the posterior Cramer-Rao bound in each true phase, where a missile is held. The bound is "
        "of the filters' model of motion: a flight that does less than it allows, as in boost, can be followed better. It knows no biases, "
        "which the case biased alone has.",
    ),
    "consistency": (
        consistency,
        "Left: mean NEES per component; above 1 covariances are too small, below too large. Middle and right: how often the truth is "
        "within what is said to hold it in 95 %.",
    ),
    "speed": (speed, "CPU time per scan, on a logarithmic axis, against GOSPA; further down and further left is better."),
}  # fmt: skip
