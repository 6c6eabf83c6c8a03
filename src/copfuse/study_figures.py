"""Five figures of a study of sharing, from its tidy rows: who is earlier, who holds what, how well, and what time is left.

A study's ``columns`` hold one row per launch, object, regime, seed and node; times are s after ignition, nan for never.
Regimes are compared on common random numbers: a difference is that of one flight, seed and node under two regimes.
Figures show; what may be concluded stands in the summary, with intervals.  matplotlib is imported when one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from copfuse.constants import NATIONS
from copfuse.curves import PHASE_COLOURS
from copfuse.errors import CopfuseError
from copfuse.sheets import MARKERS, REGIME_COLOURS, TITLES, WIDTHS, colours, faint, framed, inset, no_data, panel, plain_log, regime_legend

Columns = Mapping[str, np.ndarray]
BASE = "none"
ON_A_PAGE = 45  # launches on one sheet of bars
WIDE = (-1000, -300, -100, -30, 0, 30, 100, 300, 1000, 3000)  # s, the ticks of a wide axis of seconds earlier
LEAST = 3  # launches below which no median is drawn
BINS_KM = (0.0, 40.0, 70.0, 100.0, 200.0, 600.0, 1500.0, 10000.0)  # apogees whose custody is drawn together
PHASES = ("boost", "midcourse", "terminal")
DRAWN = (  # the columns that figures are drawn from
    "launch", "object", "missile_class", "cueing", "without", "regime", "seed", "node", "flight_time_s", "apogee_km", "firm_s", "lost_s",
    "ellipse50_s", "firm_left_s", "ellipse50_left_s", "custody", *(f"{phase}_rms_m" for phase in PHASES),
)  # fmt: skip


# Rows ----------------------------------------------------------------------------------------------------------------


def regimes_of(columns: Columns) -> list[str]:
    """The regimes of the rows in the order of how much they share, then users' own as they come.

    Raises `CopfuseError` for a study without rows.
    """
    if len(columns["regime"]) == 0:
        raise CopfuseError("the study has no rows: there is nothing to draw; run it with at least one launch that can be flown")
    there = list(dict.fromkeys(columns["regime"].tolist()))
    return [r for r in REGIME_COLOURS if r in there] + [r for r in there if r not in REGIME_COLOURS]


def named(columns: Columns) -> Columns:
    """The columns with `flights_of` them as "flight", so that it is asked for once."""
    return {**columns, "flight": flights_of(columns)}


def flights_of(columns: Columns) -> np.ndarray:
    """A number per row for its flight, rising with its name: launch, object and every setting but regime, seed and node."""
    if "flight" in columns:
        return columns["flight"]
    parts = [columns[name].astype(str).tolist() for name in ("launch", "object", "cueing", "without") if name in columns]
    texts = ["|".join(row) for row in zip(*parts, strict=True)]
    number = {text: i for i, text in enumerate(sorted(set(texts)))}
    return np.array([number[text] for text in texts], int)


class Paired(NamedTuple):
    """One column of two regimes, row against row: same flight, seed and node."""

    flight: np.ndarray  # (n,) of `flights_of`
    node: np.ndarray
    base: np.ndarray
    other: np.ndarray


def paired(columns: Columns, name: str, regime: str, base: str = BASE) -> Paired:
    """A column's values under ``base`` and ``regime``, for every flight, seed and node that has rows of both."""
    flight, key = flights_of(columns), np.zeros(len(columns["seed"]), np.int64)
    for part in (flight, columns["seed"], columns["node"]):
        known, which = np.unique(part, return_inverse=True)
        key = key * len(known) + which
    rows = [np.flatnonzero(columns["regime"] == r) for r in (base, regime)]
    _, first, second = np.intersect1d(key[rows[0]], key[rows[1]], return_indices=True)
    a, b = rows[0][first], rows[1][second]
    return Paired(flight[a], columns["node"][a], columns[name][a].astype(float), columns[name][b].astype(float))


def by_flight(flight: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Mean of the finite values per flight, in the flights' order; nan where there is none."""
    names, where = np.unique(flight, return_inverse=True)
    good = np.isfinite(value)
    count = np.bincount(where[good], minlength=len(names))
    total = np.bincount(where[good], weights=value[good], minlength=len(names))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _spread(n: int, width: float = 0.3) -> np.ndarray:
    """Offsets (n,) within plus and minus ``width`` that keep dots apart, always the same."""
    return width * (2.0 * np.mod(0.5 + 0.6180339887 * np.arange(n), 1.0) - 1.0)


def _nodes_of(columns: Columns) -> list[str]:
    return [node for node in NATIONS if np.any(columns["node"] == node)]


# Seconds earlier ------------------------------------------------------------------------------------------------------


def earlier(columns: Columns, meta: Mapping[str, Any]) -> list[Any]:
    """Seconds earlier than under none, per nation and regime, of the firm track and of the 50 km impact ellipse."""
    regimes, nodes = [r for r in regimes_of(columns) if r != BASE], _nodes_of(columns)
    what = (("firm_s", "firm track"), ("ellipse50_s", "50 km impact ellipse"))
    told = "one dot a flight: its mean over seeds; box: middle half of the flights and their median"
    figure = framed("Seconds earlier than without sharing", meta, 11.2, 7.4, told)
    panels = figure.subplots(2, max(len(nodes), 1), squeeze=False)
    colour = colours(regimes)
    for row, (name, word) in zip(panels, what, strict=True):
        low, high = -5.0, 5.0
        for ax, node in zip(row, nodes, strict=False):
            panel(ax, f"{TITLES[node]}: {word}", node)
            for k, regime in enumerate(regimes):
                ends = _strip(ax, k, paired(columns, name, regime), node, colour[regime])
                low, high = min(low, ends[0]), max(high, ends[1])
            ax.axhline(0.0, color="k", lw=0.8, zorder=1)
            ax.set_xticks(range(len(regimes)), regimes)
            ax.set_xlim(-0.6, max(len(regimes), 1) - 0.4)
            if not regimes:
                no_data(ax, "only the regime none was run:\nnothing to compare with")
        wide = high - low > 400.0
        for ax in row:
            if wide:
                ax.set_yscale("symlog", linthresh=60.0)
                ax.set_yticks([t for t in WIDE if 1.3 * low <= t <= 2.0 * high])
                ax.yaxis.set_major_formatter(lambda v, _: f"{v:.0f}")
                ax.minorticks_off()
            room = (0.0, 3.0 * high) if wide else (-0.05 * (high - low), 0.22 * (high - low))
            ax.set_ylim(1.3 * low + room[0], high + room[1])
        row[0].set_ylabel("s earlier than under none" + (" (log beyond 60)" if wide else ""), fontsize=8.5)
    for ax in panels[-1]:
        ax.set_xlabel("sharing regime", fontsize=8.5)
    inset(figure, 0.75, 0.2, 1.15, 0.95, hspace=0.42, wspace=0.24)
    return [figure]


def _strip(ax: Any, k: int, pairs: Paired, node: str, colour: str) -> tuple[float, float]:
    """Dots and a box of one regime at place ``k``, and how many flights only one of the two regimes had; least and largest difference."""
    mine = pairs.node == node
    base, other, flight = pairs.base[mine], pairs.other[mine], pairs.flight[mine]
    difference, (had, has) = by_flight(flight, base - other), (np.isfinite(base), np.isfinite(other))
    gained, lost = (int(np.count_nonzero(by_flight(flight, one.astype(float)) > 0.5)) for one in (~had & has, had & ~has))
    value = difference[np.isfinite(difference)]
    ax.plot(k + _spread(len(value)), value, "o", ms=2.8, mfc=colour, mec="none", alpha=0.55, zorder=3.5)
    if len(value) >= LEAST:
        low, middle, high = np.quantile(value, (0.25, 0.5, 0.75))
        ax.plot([k - 0.36, k + 0.36], [middle, middle], color=colour, lw=2.2, zorder=4)
        ax.fill_between([k - 0.36, k + 0.36], low, high, fc="white", ec=colour, lw=1.1, alpha=0.55, zorder=3)
    words = [f"n {len(value)}"] + ([f"+{gained} new"] if gained else []) + ([f"-{lost} lost"] if lost else [])
    ax.annotate("\n".join(words), (k, 1.0), (0, -3), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=6.5,
                ha="center", va="top", color="#444444")  # fmt: skip
    return float(value.min(initial=0.0)), float(value.max(initial=0.0))


# When it is held ------------------------------------------------------------------------------------------------------


def held(columns: Columns, meta: Mapping[str, Any]) -> list[Any]:
    """A bar per launch, nation and regime from firm track to loss, over the flight; as many sheets as are needed."""
    regimes, nodes, flight = regimes_of(columns), _nodes_of(columns), flights_of(columns)
    names = list(dict.fromkeys(flight[np.argsort(columns["launch"], kind="stable")].tolist()))
    bars = _bars(columns)
    first = dict(zip(*np.unique(flight, return_index=True), strict=True))
    pages = [names[i : i + ON_A_PAGE] for i in range(0, len(names), ON_A_PAGE)]
    made = []
    for number, page in enumerate(pages, 1):
        step = max(0.16, 0.035 * len(regimes) + 0.05)
        height = 2.2 + step * len(page)
        told = "a bar: firm track to last hold, medians over seeds, where half of them or more held it; pale: gaps between"
        part = f" ({number} of {len(pages)})" if len(pages) > 1 else ""
        figure = framed(f"When each missile is held{part}", meta, 11.2, height, told)
        panels = figure.subplots(1, max(len(nodes), 1), squeeze=False, sharey=True)[0]
        for ax, node in zip(panels, nodes, strict=False):
            panel(ax, TITLES[node], node)
            strips = [(0.0, i - 0.46, 1.0, i + 0.46) for i in range(len(page))]
            _rectangles(ax, strips, "#F3F3F3", 0, ax.get_yaxis_transform())
            _held_bars(ax, [{r: bars.get((name, node, r)) for r in regimes} for name in page])
            ax.set_xlim(0.0, 100.0)
            ax.set_ylim(len(page) - 0.5, -0.5)
            ax.grid(visible=False, axis="y")
            ax.set_xlabel("% of the flight, ignition to impact", fontsize=8)
        panels[0].set_yticks(range(len(page)), [_short(columns, first[name]) for name in page], fontsize=6.3)
        panels[0].set_ylabel("launch, class, flight time in s", fontsize=8)
        regime_legend(figure, regimes, 0.78, height)
        inset(figure, 1.75, 0.2, 1.45, 0.75, wspace=0.09)
        made.append(figure)
    return made


def _bars(columns: Columns) -> dict[tuple[int, str, str], tuple[float, float, float]]:
    """Begin, end and how much is held, all in % of the flight, by flight, node and regime, where half of the seeds or more held it."""
    rows: dict[tuple[int, str, str], list[int]] = {}
    for i, key in enumerate(zip(flights_of(columns).tolist(), columns["node"].tolist(), columns["regime"].tolist(), strict=True)):
        rows.setdefault(key, []).append(i)
    firm, whole = columns["firm_s"], columns["flight_time_s"]
    begin, end = 100.0 * (firm / whole), 100.0 * (np.where(np.isfinite(columns["lost_s"]), columns["lost_s"], whole) / whole)
    out = {}
    for key, mine in rows.items():
        has = [i for i in mine if firm[i] == firm[i]]
        if 2 * len(has) >= len(mine):
            held = 100.0 * float(np.mean(columns["custody"][has]))
            out[key] = float(np.median(begin[has])), float(np.median(end[has])), held
    return out


def _held_bars(ax: Any, lines: Sequence[Mapping[str, tuple[float, float, float] | None]]) -> None:
    """One line per flight, in which each regime has its place."""
    from matplotlib.colors import to_rgba

    regimes = list(lines[0])
    thick, colour = 0.86 / max(len(regimes), 1), colours(regimes)
    boxes, shades = [], []
    for place, line in enumerate(lines):
        for k, regime in enumerate(regimes):
            bar = line[regime]
            if bar is not None:
                begin, end, held = bar
                middle = place - 0.43 + (k + 0.5) * thick
                boxes.append((begin, middle - 0.45 * thick, end, middle + 0.45 * thick))
                shades.append(to_rgba(colour[regime], faint(held, end - begin)))
    _rectangles(ax, boxes, shades, 2, ax.transData)


def _rectangles(ax: Any, boxes: Sequence[tuple[float, float, float, float]], colour: Any, order: int, transform: Any) -> None:
    """Rectangles (left, lower, right, upper) without edges, drawn together: a thousand patches of their own take a second."""
    from matplotlib.collections import PolyCollection

    corners = [((x, y), (u, y), (u, v), (x, v)) for x, y, u, v in boxes]
    ax.add_collection(PolyCollection(corners, facecolors=colour, lw=0, zorder=order, transform=transform), autolim=False)


def _short(columns: Columns, i: int) -> str:
    """A launch's label, of a row of it: its name, class and flight time, and what sets it apart from the same launch in other settings."""
    label = str(columns["launch"][i]) + (
        f" #{columns['object'][i]}" if str(columns["object"][i]) not in ("0", str(columns["launch"][i])) else ""
    )
    apart = f" w/o {columns['without'][i]}" if "without" in columns and str(columns["without"][i]) else ""
    return f"{label}{apart}  {columns['missile_class'][i]}  {float(columns['flight_time_s'][i]):.0f}"


# Custody against apogee -----------------------------------------------------------------------------------------------


def custody(columns: Columns, meta: Mapping[str, Any]) -> list[Any]:
    """Share of each flight that is held, over its apogee, per nation and regime; medians of bins of apogee as lines."""
    regimes, nodes, flight = regimes_of(columns), _nodes_of(columns), flights_of(columns)
    told = f"one dot a flight: its mean over seeds; lines: medians of flights of like apogee, where there are at least {LEAST}"
    figure = framed("Custody: how much of a flight is held", meta, 11.2, 5.4, told)
    panels = figure.subplots(1, max(len(nodes), 1), squeeze=False, sharey=True)[0]
    for ax, node in zip(panels, nodes, strict=False):
        panel(ax, TITLES[node], node)
        for k, (regime, colour) in enumerate(colours(regimes).items()):
            rows = (columns["node"] == node) & (columns["regime"] == regime)
            apogee, share = by_flight(flight[rows], columns["apogee_km"][rows]), 100.0 * by_flight(flight[rows], columns["custody"][rows])
            mark, style = MARKERS[k % len(MARKERS)], dict(color=colour, lw=WIDTHS[min(k, len(WIDTHS) - 1)])
            ax.plot(apogee, share, mark, ms=2.8, mfc="none", mec=colour, mew=0.7, alpha=0.6, zorder=2)
            which = np.digitize(apogee, BINS_KM)
            bins = [which == b for b in np.unique(which) if np.count_nonzero(which == b) >= LEAST]
            middle = [(float(np.exp(np.mean(np.log(apogee[b])))), float(np.median(share[b]))) for b in bins]
            ax.plot(*zip(*middle, strict=True), mark, ls="-", ms=4.5, zorder=3, **style) if middle else None
        ax.set_xscale("log")
        plain_log(ax.xaxis)
        ax.set_ylim(-3, 103)
        ax.set_xlabel("apogee, km", fontsize=8.5)
    panels[0].set_ylabel("% of the flight held, ignition to impact", fontsize=8.5)
    regime_legend(figure, regimes, 0.78, 5.4, mark=True)
    inset(figure, 0.75, 0.2, 1.5, 0.95, wspace=0.05)
    return [figure]


# Accuracy -------------------------------------------------------------------------------------------------------------


def accuracy(columns: Columns, meta: Mapping[str, Any]) -> list[Any]:
    """Position error per phase, alone and fused, of the flights that a nation holds in that phase under every regime drawn."""
    there, nodes, flight = regimes_of(columns), _nodes_of(columns), flights_of(columns)
    regimes = [r for r in (BASE, "realtime", "plots") if r in there] or there
    told = "only flights that the nation holds in that phase under all of these (n); bar: middle half of the flights, mark: median"
    figure = framed("Accuracy alone and fused", meta, 11.2, 5.2, told)
    panels = figure.subplots(1, len(PHASES), squeeze=False, sharey=True)[0]
    seen: list[float] = []
    for ax, phase, shade in zip(panels, PHASES, PHASE_COLOURS, strict=False):
        panel(ax, phase)
        ax.axhspan(0.0, 1.0, color=shade, alpha=0.06, lw=0, transform=ax.transAxes, zorder=0)
        for i, node in enumerate(nodes):
            values = []
            for regime in regimes:
                rows = (columns["node"] == node) & (columns["regime"] == regime)
                values.append(dict(zip(np.unique(flight[rows]), by_flight(flight[rows], columns[f"{phase}_rms_m"][rows]), strict=True)))
            common = [name for name in values[0] if all(np.isfinite(v.get(name, np.nan)) for v in values)]
            for k, (regime, value) in enumerate(zip(regimes, values, strict=True)):
                seen += _whisker(
                    ax, i + 0.24 * (k - 0.5 * (len(regimes) - 1)), np.array([value[name] for name in common]), colours(there)[regime]
                )
            ax.annotate(f"n {len(common)}", (i, 0.0), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=6.5,
                        ha="center", color="#444444")  # fmt: skip
        ax.set_xticks(range(len(nodes)), [TITLES[node] for node in nodes])
        ax.set_xlim(-0.6, max(len(nodes), 1) - 0.4)
        ax.set_xlabel("nation", fontsize=8.5)
    panels[0].set_ylabel("root mean square error of position, m", fontsize=8.5)
    if seen:
        for ax in panels:
            ax.set_yscale("log")
            plain_log(ax.yaxis)
        panels[0].set_ylim(0.4 * min(seen), 2.0 * max(seen))
    regime_legend(figure, regimes, 0.78, 5.2)
    inset(figure, 0.75, 0.2, 1.5, 0.95, wspace=0.05)
    return [figure]


def _whisker(ax: Any, place: float, value: np.ndarray, colour: str) -> list[float]:
    if len(value) == 0:
        return []
    low, middle, high = np.quantile(value, (0.25, 0.5, 0.75))
    ax.plot([place, place], [low, high], color=colour, lw=4.0, alpha=0.5, solid_capstyle="butt", zorder=2)
    ax.plot(place, middle, "o", ms=5, mfc="white", mec=colour, mew=1.4, zorder=3)
    return [float(low), float(high)]


# Warning time left ----------------------------------------------------------------------------------------------------


def warning(columns: Columns, meta: Mapping[str, Any]) -> list[Any]:
    """Share of launches that leave at least so much time until impact, at the firm track and at the 50 km ellipse."""
    regimes, nodes = regimes_of(columns), _nodes_of(columns)
    told = "a launch that is never held (never forecast within 50 km) leaves no time and stays in the count; every seed counts"
    figure = framed("Warning time left until impact", meta, 11.2, 7.4, told)
    panels = figure.subplots(2, max(len(nodes), 1), squeeze=False, sharex=True, sharey=True)
    longest = float(np.nanmax(columns["flight_time_s"], initial=60.0))
    for row, (name, word) in zip(panels, (("firm_left_s", "firm track"), ("ellipse50_left_s", "50 km impact ellipse")), strict=True):
        for ax, node in zip(row, nodes, strict=False):
            panel(ax, f"{TITLES[node]}: {word}", node)
            for k, (regime, colour) in enumerate(colours(regimes).items()):
                left = columns[name][(columns["node"] == node) & (columns["regime"] == regime)]
                left = np.sort(np.where(np.isfinite(left), left, 0.0))[::-1]
                if len(left):
                    share = 100.0 * np.arange(len(left) + 1) / len(left)  # "pre": up to a time, those that leave so much, itself counted
                    ax.step(np.r_[left, 1e-3], share, where="pre", color=colour, lw=WIDTHS[min(k, len(WIDTHS) - 1)])
            ax.set_xscale("log")
            plain_log(ax.xaxis, (1, 3))
            ax.set_xlim(10.0, 1.15 * longest)
            ax.set_ylim(0.0, 103.0)
        row[0].set_ylabel("% of launches and seeds with that much", fontsize=8.5)
    for ax in panels[-1]:
        ax.set_xlabel("time left until impact, s", fontsize=8.5)
    regime_legend(figure, regimes, 0.78, 7.4, mark=False)
    inset(figure, 0.75, 0.2, 1.5, 0.95, hspace=0.22, wspace=0.05)
    return [figure]


# name: (drawn by, what it shows in plain words)
FIGURES: dict[str, tuple[Callable[[Columns, Mapping[str, Any]], list[Any]], str]] = {
    "earlier": (
        earlier,
        "How many seconds earlier than without sharing each nation has a firm track (above) and an impact forecast whose 95 % ellipse is "
        "smaller than 50 km (below). Above the line is earlier. Only flights that are held under both are compared (n); 'new' are flights "
        "that are held by sharing alone in most seeds, 'lost' the other way round. A dot is a flight; whether a mean differs from zero is "
        "for the intervals of the table to say.",
    ),
    "held": (
        held,
        "When each nation's picture holds each missile, from the firm track to the last hold, as a share of the flight, under each regime. "
        "A pale bar has long gaps, in which the picture does not hold it.",
    ),
    "custody": (
        custody,
        "How much of each flight is held, over its apogee. Low flights stay below the horizons of far radars; very high ones leave the "
        "reach of most radars for a while.",
    ),
    "accuracy": (
        accuracy,
        "Root mean square error of position in each phase, alone (none), by shared tracks (realtime) and with every sensor's plots (plots) "
        "over the same flights, each over the times at which its own picture holds them: a track that is held earlier counts its first, "
        "coarse seconds too.",
    ),
    "warning": (
        warning,
        "How many launches leave how much time until impact, counted from the firm track (above) and from the first impact forecast within "
        "50 km (below). A line further right is more warning.",
    ),
}
