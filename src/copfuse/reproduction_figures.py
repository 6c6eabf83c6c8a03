"""The figure of each reproduction: who saw which launch, who held it when, what stood above whose horizon, what a radar adds.

matplotlib is imported when one is drawn.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import numpy as np

from copfuse import coverage, frames
from copfuse.constants import NATIONS, NODES, PHASES
from copfuse.curves import DASHED, DOTTED, NODE_COLOURS, PHASE_COLOURS
from copfuse.sensors import in_service
from copfuse.sheets import MARKERS, TITLES, colours, faint, framed, inset, no_data, panel, plain_log, regime_legend
from copfuse.sighted import OUTCOMES

SIDE_COLOURS = {
    "Korea": ("#D55E00", "#E69F00"),
    "Japan": ("#0072B2", "#56B4E9", "#332288"),
    "United": ("#009E73", "#88CCAA"),
}  # by first word
_ABOVE = "horizons of radars in service, within range and sector, on station or not; no terrain"
_BELOW = "; bars: held by the picture, medians over seeds, pale: gaps between; %: share of the flight held"
SHORT = {
    "not on station": "not there", "in view, not noticed": "not noticed", "below the horizon": "horizon",
    "out of range or sector": "out of reach", "not in service": "not in service",
}  # fmt: skip


def draw(rep: Any) -> Any:
    """The figure that a study names (`FIGURES`)."""
    return FIGURES[rep.spec.figure](rep)


def _labels(rep: Any) -> list[tuple[str, str]]:
    """Id and label of every launch."""
    return [(one.id, one.label or one.id) for one in rep.spec.launch]


def _side_colours(rep: Any) -> list[str]:
    """A colour per side, of its nation's hue."""
    used: dict[str, int] = {}
    found = []
    for side in rep.spec.side:
        word = next((w for w in SIDE_COLOURS if side.name.startswith(w)), "United")
        found.append(SIDE_COLOURS[word][used.get(word, 0) % len(SIDE_COLOURS[word])])
        used[word] = used.get(word, 0) + 1
    return found


def _first(rep: Any) -> str:
    """The first laydown, which figures of several show."""
    return rep.spec.variant[0].name if rep.spec.variant else ""


# Who saw which --------------------------------------------------------------------------------------------------------


def matrix(rep: Any) -> Any:
    """A cell per launch and side: the share of seeds that saw it, and the commonest reason where it was missed."""
    from matplotlib import colormaps

    rows, sides = _labels(rep), rep.spec.side
    height = 2.6 + 0.36 * len(rows)
    told = f"a cell: seeds that saw the launch, and the commonest reason of a miss; sensors {_first(rep) or 'as laid down'}"
    figure = framed(rep.spec.title, rep.meta, 11.2, height, told)
    ax = figure.subplots()
    share, words = np.full((len(rows), len(sides)), np.nan), {}
    for i, (launch, _) in enumerate(rows):
        for j, side in enumerate(sides):
            where = dict(launch=launch, who=side.name, variant=_first(rep))
            seen, cause = (rep.of(name, **where) for name in ("seen", "cause"))
            share[i, j] = 100.0 * seen.mean()
            missed = cause[seen == 0.0].astype(int)
            why = SHORT[OUTCOMES[int(np.bincount(missed).argmax())]] if len(missed) else ""
            words[i, j] = f"{share[i, j]:.0f} %" + (f"\n{'else ' if seen.any() else ''}{why}" if why else "")
    mesh = ax.imshow(share, cmap=colormaps["YlGnBu"], vmin=0.0, vmax=100.0, aspect="auto")
    for (i, j), text in words.items():
        ax.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if share[i, j] > 60.0 else "k", linespacing=1.1)
    ax.set_xticks(range(len(sides)), [side.name for side in sides], fontsize=8.5)
    ax.set_yticks(range(len(rows)), [text for _, text in rows], fontsize=8)
    ax.set_ylabel("launch (date and\nnumber in the record)", fontsize=8.5)
    ax.set_xlabel("side: any of its sensors", fontsize=8.5)
    ax.tick_params(length=0)
    bar = figure.colorbar(mesh, ax=ax, fraction=0.03, pad=0.02)
    bar.set_label("% of seeds that saw it", fontsize=8)
    bar.ax.tick_params(labelsize=7.5)
    inset(figure, 1.2, 0.5, 1.2, 0.95)
    return figure


# Who held it when -----------------------------------------------------------------------------------------------------


def timelines(rep: Any) -> Any:
    """A row per launch, a column per nation, a bar per regime from firm track to loss; the first 50 km ellipse, passage, alert, impact."""
    rows, regimes = _labels(rep), list(rep.spec.regimes)
    step = max(0.3, 0.11 * len(regimes) + 0.1)
    height = 2.5 + step * len(rows)
    figure = framed(
        rep.spec.title,
        rep.meta,
        11.2,
        height,
        "bars: firm track to last hold, medians over seeds, where half or more held it; pale: gaps; %: share of the flight held",
    )
    panels = figure.subplots(1, len(NATIONS), squeeze=False, sharex=True, sharey=True)[0]
    for ax, node in zip(panels, NATIONS, strict=True):
        panel(ax, TITLES[node], node)
        ax.grid(visible=False, axis="y")
        for i, (launch, _) in enumerate(rows):
            whole = float(rep.of("flight_time_s", launch=launch, who="flight")[0])
            ax.barh(i, whole, 0.92, color="#F0F0F0", lw=0, zorder=0)
            bars(ax, rep, i, launch, node, regimes, whole)
            _instants(ax, rep, i, launch, whole)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlim(left=0.0)
        ax.set_xlabel("s after ignition", fontsize=8.5)
    panels[0].set_yticks(range(len(rows)), [text for _, text in rows], fontsize=7.5)
    panels[0].set_ylabel("launch", fontsize=8.5)
    regime_legend(figure, regimes, 0.78, height)
    _key(figure, rep, height)
    inset(figure, 1.15, 0.2, 1.55, 0.95, wspace=0.05)
    return figure


def bars(ax: Any, rep: Any, place: float, launch: str, node: str, regimes: list[str], whole: float, high: float = 0.86) -> None:
    """Bars of every regime around ``place``: held from the firm track on, with a ring at the first 50 km ellipse."""
    thick, colour = high / max(len(regimes), 1), colours(regimes)
    for k, regime in enumerate(regimes):
        where = dict(launch=launch, who=node, regime=regime)
        firm, until, ellipse, custody = (rep.of(name, **where) for name in ("firm_s", "held_until_s", "ellipse50_s", "custody"))
        middle = place - 0.5 * high + (k + 0.5) * thick
        has = np.isfinite(firm)
        if len(firm) and 2 * has.sum() >= len(firm):
            begin, end = float(np.median(firm[has])), float(np.median(until[has]))
            share = faint(whole * float(np.mean(custody[has])), end - begin)
            ax.barh(middle, min(end, whole) - begin, 0.9 * thick, left=begin, color=colour[regime], alpha=share, lw=0, zorder=2)
            if high / max(len(regimes), 1) > 0.25:
                box = dict(boxstyle="round,pad=0.1", fc="white", ec="none", alpha=0.75)
                text = f"{100.0 * float(np.mean(custody[has])):.0f} %"
                ax.text(0.995 * end, middle, text, fontsize=6, ha="right", va="center", zorder=5, bbox=box)
        has = np.isfinite(ellipse)
        if len(ellipse) and 2 * has.sum() >= len(ellipse):
            ax.plot(float(np.median(ellipse[has])), middle, "o", ms=3.6, mfc="white", mec="k", mew=0.7, zorder=4)


def _instants(ax: Any, rep: Any, i: int, launch: str, whole: float) -> None:
    passing = rep.of("pass_s", launch=launch)
    alert = next((one.alert_s for one in rep.spec.launch if one.id == launch), None)
    for time, style in ((whole, "-"), (float(passing[0]) if len(passing) else None, DASHED), (alert, DOTTED)):
        if time is not None:
            ax.plot([time, time], [i - 0.46, i + 0.46], color="k", lw=1.2, ls=style, zorder=3)


def _key(figure: Any, rep: Any, height: float) -> None:
    from matplotlib.lines import Line2D

    shown = [
        Line2D([], [], marker="o", ls="none", ms=4, mfc="white", mec="k", label="50 km impact ellipse"),
        Line2D([], [], color="k", label="impact"),
    ]
    shown += (
        [Line2D([], [], color="k", ls=DASHED, label="over " + ", ".join(dict.fromkeys(p.name for p in rep.spec.place)))]
        if rep.spec.place
        else []
    )
    shown += [Line2D([], [], color="k", ls=DOTTED, label="public alert")] if any(one.alert_s for one in rep.spec.launch) else []
    figure.legend(
        handles=shown, loc="upper left", bbox_to_anchor=(0.46, 1.0 - 0.955 / height), ncols=4, fontsize=8, frameon=False, borderaxespad=0.0
    )


# Above whose horizon --------------------------------------------------------------------------------------------------


def horizon(rep: Any) -> Any:
    """Height over time with every side's lowest visible height above the missile; below, when it was plotted or held."""
    rows, regimes = _labels(rep), list(rep.spec.regimes)
    below = len(NATIONS) * max(1, len(regimes)) if regimes else len(rep.spec.side)
    height = 5.6 + 0.13 * below
    figure = framed(rep.spec.title, rep.meta, 11.2, height, _ABOVE + (_BELOW if regimes else ""))
    ratios = (1.0, (0.8 + 0.13 * below) / 2.6)
    panels = figure.subplots(2, len(rows), squeeze=False, sharex="col", height_ratios=ratios)
    for k, (launch, text) in enumerate(rows):
        _heights(panels[0, k], rep, launch, text)
        whole = float(rep.of("flight_time_s", launch=launch, who="flight")[0])
        (_holds if regimes else _plotted)(panels[1, k], rep, launch, whole)
        panels[1, k].set_xlim(0.0, whole)
        panels[1, k].set_xlabel("s after ignition", fontsize=8.5)
    panels[0, 0].set_ylabel("height, km", fontsize=8.5)
    _horizon_key(figure, panels, rep, height)
    inset(figure, 1.2 if regimes else 2.0, 0.25, 1.75 if regimes else 1.5, 0.95, hspace=0.1, wspace=0.12)
    return figure


def _horizon_key(figure: Any, panels: Any, rep: Any, height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles, labels = panels[0, 0].get_legend_handles_labels()
    there = np.unique(np.concatenate([truth.phase[truth.object == 0] for _, truth in rep.flown.values()]))
    handles += [Patch(color=PHASE_COLOURS[p], alpha=0.4, lw=0) for p in there]
    labels += [PHASES[p] for p in there]
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.03, 1.0 - 0.66 / height), ncols=5, fontsize=7.8, frameon=False)
    if rep.spec.regimes:
        found = colours(list(rep.spec.regimes))
        handles = [*(Patch(color=c) for c in found.values()), Line2D([], [], marker="o", ls="none", ms=4, mfc="white", mec="k")]
        labels = [*(f"held under {r}" for r in found), "50 km impact ellipse"]
        figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.03, 1.0 - 1.17 / height), ncols=6, fontsize=7.8, frameon=False)


def _heights(ax: Any, rep: Any, launch: str, text: str) -> None:
    scenario, truth = rep.flown[launch]
    rows = truth.object == 0
    time = truth.time[rows] - truth.time[rows][0]
    lat, lon, height = frames.geodetic(truth.x[rows])
    panel(ax, text)
    phase = truth.phase[rows]
    for p in np.unique(phase):
        under = (phase == p) | np.r_[False, phase[:-1] == p]
        ax.fill_between(time, 0.0, 1e-3 * height, where=under, color=PHASE_COLOURS[p], alpha=0.25, lw=0)
    ax.plot(time, 1e-3 * height, color="k", lw=2.2, label="the missile")
    for side, colour in zip(rep.spec.side, _side_colours(rep), strict=True):
        mine = [s for s in scenario.sensors if s.kind == "radar" and any(fnmatch(s.name, n) for n in side.sensors)]
        if mine:
            low = lowest([s for s in mine if in_service(s, scenario.epoch)], lat, lon, height)
            ax.plot(time, 1e-3 * low, color=colour, lw=1.3, ls=DASHED, label=f"lowest in view: {side.name}")
    ax.set_ylim(0.0, 1.25e-3 * float(height.max()))


def lowest(sensors: list[Any], lat: np.ndarray, lon: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Lowest altitude (n,) m that any of the radars sees above places at which a target at ``height`` is within its reach; nan: none."""
    best = np.full(len(lat), np.inf)
    for sensor in sensors:
        low, high = coverage.bounds(sensor, lat, lon)
        best = np.where(height <= high, np.minimum(best, low), best)
    return np.where(np.isfinite(best), best, np.nan)


def _holds(ax: Any, rep: Any, launch: str, whole: float) -> None:
    panel(ax)
    for i, node in enumerate(NATIONS):
        ax.barh(i, whole, 0.92, color="#F0F0F0", lw=0, zorder=0)
        bars(ax, rep, i, launch, node, list(rep.spec.regimes), whole)
    ax.set_ylim(len(NATIONS) - 0.5, -0.5)
    ax.set_yticks(range(len(NATIONS)), [TITLES[node] for node in NATIONS], fontsize=8)


def _plotted(ax: Any, rep: Any, launch: str, whole: float) -> None:
    """A bar per side from first to last plot, and in how many seeds."""
    panel(ax)
    for i, (side, colour) in enumerate(zip(rep.spec.side, _side_colours(rep), strict=True)):
        ax.barh(i, whole, 0.8, color="#F0F0F0", lw=0, zorder=0)
        where = dict(launch=launch, who=side.name, variant=_first(rep))
        seen, first, last = (rep.of(name, **where) for name in ("seen", "first_plot_s", "last_plot_s"))
        if seen.any():
            begin, end = float(np.nanmedian(first)), float(np.nanmedian(last))
            ax.barh(i, max(end - begin, 0.004 * whole), 0.7, left=begin, color=colour, lw=0, zorder=2, alpha=0.85)
        box = dict(boxstyle="round,pad=0.15", fc="white", ec="none", alpha=0.8)
        ax.text(0.99 * whole, i, f"{int(seen.sum())} of {len(seen)} seeds", fontsize=6.5, ha="right", va="center", zorder=4, bbox=box)
    ax.set_ylim(len(rep.spec.side) - 0.5, -0.5)
    names = [f"{side.name}: plots" for side in rep.spec.side]
    ax.set_yticks(range(len(names)), names if launch == rep.spec.launch[0].id else [""] * len(names), fontsize=7)


# What a radar adds ----------------------------------------------------------------------------------------------------


def laydowns(rep: Any) -> Any:
    """Share of each flight held and error of position under every laydown, medians and the span of the seeds."""
    rows, laid = _labels(rep), [v.name for v in rep.spec.variant]
    height = 2.5 + 0.42 * len(rows)
    figure = framed(rep.spec.title, rep.meta, 11.2, height, "marks: medians over seeds, lines: least to most")
    panels = figure.subplots(1, 3, sharey=True)
    what = (
        ("firm_s", 1.0, "firm track, s after ignition"),
        ("custody", 100.0, "% of the flight held"),
        ("midcourse_rms_m", 1.0, "midcourse error of position, m"),
    )
    for ax, (name, scale, word) in zip(panels, what, strict=True):
        panel(ax)
        drawn = 0
        for k, variant in enumerate(laid):
            for i, (launch, _) in enumerate(rows):
                value = scale * rep.of(name, launch=launch, variant=variant, who="USA")
                value = value[np.isfinite(value)]
                place, colour = i + 0.26 * (k - 0.5 * (len(laid) - 1)), NODE_COLOURS[(1, 0, 2, 3)[k % 4]]
                if len(value):
                    drawn += 1
                    ax.plot([value.min(), value.max()], [place, place], color=colour, lw=1.6, alpha=0.6, zorder=2)
                    ax.plot(
                        float(np.median(value)),
                        place,
                        MARKERS[k],
                        ms=6,
                        color=colour,
                        zorder=3,
                        label=variant if drawn == 1 or i == 0 else None,
                    )
        if not drawn:
            no_data(ax, "never held")
        if name.endswith("_m") and drawn:
            ax.set_xscale("log")
            plain_log(ax.xaxis)
        elif name == "custody":
            ax.set_xlim(-2.0, 102.0)
        else:
            ax.set_xlim(left=0.0)
        ax.set_xlabel(word, fontsize=8.5)
        ax.set_ylim(len(rows) - 0.5, -0.5)
    panels[0].set_yticks(range(len(rows)), [text for _, text in rows], fontsize=8)
    panels[0].set_ylabel("launch", fontsize=8.5)
    handles = [panels[0].plot([], [], MARKERS[k], color=NODE_COLOURS[(1, 0, 2, 3)[k % 4]], ms=6)[0] for k in range(len(laid))]
    figure.legend(handles, laid, loc="upper left", bbox_to_anchor=(0.03, 1.0 - 0.75 / height), ncols=4, fontsize=8, frameon=False)
    inset(figure, 1.15, 0.25, 1.25, 0.95, wspace=0.08)
    return figure


FIGURES = {"matrix": matrix, "timelines": timelines, "horizon": horizon, "laydowns": laydowns}
assert set(NATIONS) < set(NODES)
