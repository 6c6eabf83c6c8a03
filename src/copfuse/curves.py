"""Curves over time: a run's errors against the bound; the colours and the sheet that all pictures share.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart.  matplotlib is imported when a picture
is drawn, and its global state is not touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from copfuse import bounds, metrics
from copfuse.constants import NODES, PHASES
from copfuse.errors import CopfuseError, suggestion
from copfuse.tables import replacing

NODE_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#000000")  # KOR, JPN, USA, HUB
PHASE_COLOURS = ("#E69F00", "#8C8C8C", "#CC79A7", "#56B4E9")  # boost, midcourse, terminal, glide
DASHED, DOTTED = (0, (4, 2)), (0, (1, 1.5))


def sheet(width: float, height: float, path: str | Path | None) -> Any:
    """An empty figure (inches at 125 dpi).  Raises `CopfuseError` for a file type that cannot be drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=125, facecolor="white")
    kinds = FigureCanvasAgg(figure).get_supported_filetypes()
    if path is not None and Path(path).suffix.lstrip(".").lower() not in kinds:
        raise CopfuseError(f"cannot draw {str(path)!r}: the name must end in .png, .pdf or .svg")
    return figure


def written(figure: Any, path: str | Path | None) -> Any:
    """The figure, written to ``path`` whole or not at all."""
    if path is not None:
        with replacing(path) as temporary:
            figure.savefig(temporary, format=Path(path).suffix.lstrip(".").lower())
    return figure


def run_errors(run: Any, path: str | Path | None = None, node: str | None = None, object: int = 0) -> Any:
    """Draw one node's errors of position and velocity on one object, its covariance's word on them, and the bounds.

    ``node`` (default HUB) and ``object`` as in `bounds.bound`, whose two models are drawn for the plots that were made: of
    all sensors and, for a nation, of its own alone.  Errors hold sensor biases, bounds do not.  Returns the matplotlib figure.

    Raises `CopfuseError` for a node or object that does not exist, and as `written` does.
    """
    node = node or "HUB"
    if node not in NODES:
        raise CopfuseError(f"plot: there is no node {node!r}; {suggestion(node, NODES)}")
    figure = sheet(10.0, 7.2, path)
    truth, scenario = run.truth, run.scenario
    lowest = _bounds(run, node, object)
    mine = truth[truth.object == object]
    begin = float(mine.time[0])
    error, claimed = _errors(run, node, object)
    panels = figure.subplots(2, 1, sharex=True)
    for ax, column in zip(panels, (1, 2), strict=True):
        colour = NODE_COLOURS[NODES.index(node)]
        ax.plot(error[:, 0] - begin, error[:, column], color=colour, lw=1.0, label=f"{node}: error")
        ax.plot(claimed[:, 0] - begin, claimed[:, column], color=colour, lw=2.6, alpha=0.3, label=f"{node}: what its covariance says")
        for label, found, style in lowest:
            ax.plot(found.time - begin, (found.position, found.velocity)[column - 1], lw=1.1, label=label, **style)
        _phases(ax, mine.time - begin, mine.phase)
        _scaled(ax, column, [error, claimed], [(b.position, b.velocity)[column - 1] for _, b, _ in lowest])
    panels[1].set_xlabel("seconds after ignition", fontsize=8)
    panels[1].set_xlim(0.0, float(mine.time[-1]) - begin)
    name, held = truth.meta["objects"][object]["name"], "" if len(error) else f"; {node} never held it"
    figure.text(0.06, 0.975, f"{scenario.title or scenario.name}: error against the bound", fontsize=12.5, fontweight="bold", va="center")
    bias = f"sensor biases x {scenario.bias:g} are in the errors, not in the bounds" if scenario.bias else "sensors without bias"
    facts = f"{name}   ·   sharing: {run.regime}   ·   seed {run.seed}   ·   simulated; {bias}{held}"
    figure.text(0.06, 0.945, facts, fontsize=8.5, va="center", color="#444444")
    _legend(figure, panels[0], np.unique(mine.phase))
    figure.subplots_adjust(left=0.075, right=0.985, top=0.865, bottom=0.065, hspace=0.06)
    return written(figure, path)


def _bounds(run: Any, node: str, object: int) -> list[tuple[str, Any, dict[str, Any]]]:
    """Label, bound and line style: of all sensors, of a nation's own, each by both models where there is a plan."""
    found = []
    for who in dict.fromkeys(("HUB", node)):
        colour = NODE_COLOURS[NODES.index(who)]
        whose = "all sensors" if who == "HUB" else f"{who}'s own sensors"
        for model, line, told in (("filter", DASHED, "bound"), ("true", DOTTED, "bound of the true model")):
            try:
                b = bounds.bound(run.truth, run.scenario, who, object=object, detections=run.detections, model=model)
            except CopfuseError:
                if model == "filter":
                    raise
                continue
            found.append((f"{told}, {whose}", b, dict(color=colour, ls=line)))
    return found


def _errors(run: Any, node: str, object: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of time s, position m and velocity m/s: errors of the node's track of the object, and roots of P's traces; nan in gaps."""
    picture = run.picture[run.picture.node == NODES.index(node)]
    found = metrics.match(picture, run.truth)
    rows = np.flatnonzero(found.object == object)
    rows = rows[np.argsort(picture.time[rows], kind="stable")]
    time, e = picture.time[rows], found.error[rows]
    P = np.diagonal(picture.P[rows], axis1=1, axis2=2)
    error, claimed = (
        np.column_stack([time, np.sqrt(s[:, :3].sum(axis=1)), np.sqrt(s[:, 3:].sum(axis=1))]) if len(rows) else np.zeros((0, 3))
        for s in (e**2, P)
    )
    gaps = np.flatnonzero(np.diff(time) > 3.5 * run.scenario.picture_step) + 1
    return np.insert(error, gaps, np.nan, axis=0), np.insert(claimed, gaps, np.nan, axis=0)


def _phases(ax: Any, time: np.ndarray, phase: np.ndarray) -> None:
    for p in np.unique(phase):
        below = (phase == p) | np.r_[False, phase[:-1] == p]
        ax.fill_between(time, 0.0, 1.0, where=below, transform=ax.get_xaxis_transform(), color=PHASE_COLOURS[p], alpha=0.15, lw=0)


def _scaled(ax: Any, column: int, rows: list[np.ndarray], lines: list[np.ndarray]) -> None:
    """A logarithmic axis that holds the errors and what lies below; a bound before anything is known may leave it above."""
    shown, lowest = (np.concatenate([p[np.isfinite(p) & (p > 0.0)] for p in parts]) for parts in ([r[:, column] for r in rows], lines))
    every = np.concatenate([shown, lowest])
    if len(every):
        ax.set_yscale("log")
        top = 3.0 * shown.max() if len(shown) else 2.0 * np.quantile(lowest, 0.98)
        ax.set_ylim(0.5 * np.quantile(every, 0.002), top)
    ax.set_ylabel(("position, m", "velocity, m/s")[column - 1], fontsize=8.5)
    ax.tick_params(labelsize=7.5)
    ax.grid(color="#DDDDDD", lw=0.5)


def _legend(figure: Any, ax: Any, phases: np.ndarray) -> None:
    from matplotlib.patches import Patch

    handles, labels = ax.get_legend_handles_labels()
    handles += [Patch(color=PHASE_COLOURS[p], alpha=0.3, lw=0) for p in phases]
    labels += [PHASES[p] for p in phases]
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.055, 0.935), ncols=5, fontsize=7.5, frameon=False)


def plot_errors(errors: Any, bounds: Any, path: str | Path | None = None, truth: Any = None) -> Any:
    """Draw root mean square errors of position and velocity over time against the bound, on a logarithmic scale.

    ``errors``: label -> rows (n, 3) of time s, position error m, velocity error m/s, in order of time; ``bounds``: label
    -> `bounds.Bound`, dashed in the colour of the error of that label.  ``truth`` (rows of one object) shades the phases.
    Writes ``path`` (png, pdf or svg), whole or not at all, and returns the matplotlib figure.
    """
    figure = sheet(10.0, 7.2, path)
    panels = figure.subplots(2, 1, sharex=True)
    labels = list(dict.fromkeys([*errors, *bounds]))
    colours = {who: NODE_COLOURS[NODES.index(who)] if who in NODES else f"C{i}" for i, who in enumerate(labels)}
    for ax, column, name in zip(panels, (1, 2), ("position", "velocity"), strict=True):
        for who in labels:
            style = dict(color=colours[who], lw=1.2)
            if who in errors:
                ax.plot(errors[who][:, 0], errors[who][:, column], label=f"{who}: error", **style)
            if who in bounds:
                ax.plot(bounds[who].time, getattr(bounds[who], name), ls=DASHED, label=f"{who}: bound", **style)
        if truth is not None:
            _phases(ax, truth.time, truth.phase)
        ax.set_yscale("log")
        ax.set_ylabel(f"{name} error, {'m' if column == 1 else 'm/s'}", fontsize=8)
        ax.grid(color="#DDDDDD", lw=0.5)
    panels[1].set_xlabel("seconds after the epoch", fontsize=8)
    panels[0].legend(fontsize=7.5, ncols=max(len(labels), 1), loc="upper center", frameon=False)
    figure.tight_layout()
    return written(figure, path)
