"""Pictures: one run as a map over altitude and custody bars.

Errors over time are drawn by `curves`, which also has the colours; the lowest visible altitude by `coverage_chart`.  matplotlib is
imported when a picture is drawn, and its global state is not touched.
"""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from copfuse import frames, measures, metrics
from copfuse.constants import NODES, PHASES
from copfuse.curves import NODE_COLOURS, PHASE_COLOURS, run_errors, sheet, written
from copfuse.errors import CopfuseError, suggestion
from copfuse.maps import Projection, ground, label, window
from copfuse.view_chart import plot_view
from copfuse.views import View

WHAT = ("picture", "errors")
NODE_TITLES = ("Korea", "Japan", "United States", "hub (common picture)")
NODE_WIDTHS = (1.1, 2.5, 3.9, 5.3)  # points: narrow on wide, so that every node that holds the track shows
ON_THE_MAP = {"ground": "^", "ship": "D", "air": "o"}  # platform: marker
FEW = 3  # up to so many missiles get ellipses at several times, and marks on the bars
SMALL = metrics.ELLIPSE_SIZES[0]  # m, the semi-major axis from which an impact forecast counts as useful
FORECASTS = np.array([0.0, 15.0, 40.0, 100.0, 250.0, 600.0, 1500.0, 3500.0])  # s after a node's first, drawn where there is room
FED = 30.0  # s after its newest plot for which a nation's own sensors count as holding a missile


def plot(run: Any, path: str | Path | None = None, what: str = "picture", node: str | None = None, object: int = 0) -> Any:
    """Draw a run: where everything flew and was held, how high, and who held it when.

    Takes a `study.Run`; writes ``path`` (png, pdf or svg), whole or not at all, and returns the matplotlib figure.  Of a `views.View`
    it draws the picture that the node has (`view_chart.plot_view`).
    ``what="errors"`` draws instead the errors of one node (default HUB) on one object against the bound
    (`curves.run_errors`).  Raises `CopfuseError` for a path that cannot be written, for a file type that cannot be drawn,
    and for a node or object that does not exist.
    """
    if what not in WHAT:
        raise CopfuseError(f"plot: what = {what!r} cannot be drawn; {suggestion(what, WHAT)}")
    if isinstance(run, View):
        if what == "errors":
            raise CopfuseError("plot: a node's view has no truth to draw errors against; plot the whole run")
        return plot_view(run, path)
    if not (hasattr(run, "truth") and hasattr(run, "picture")):
        raise CopfuseError(f"plot: got {type(run).__name__}, expected a run, such as cf.run(...) gives, or a node's cf.view(run, node)")
    if what == "errors":
        return run_errors(run, path, node, object)
    if node is not None or object != 0:
        raise CopfuseError('plot: the picture shows every node and object; give node and object with what="errors"')
    figure = sheet(11.2, 8.0, path)
    view = _view(run)
    chart = figure.add_axes((0.052, 0.415, 0.703, 0.51))
    height = figure.add_axes((0.052, 0.215, 0.703, 0.15))
    bars = figure.add_axes((0.052, 0.05, 0.703, 0.155), sharex=height)
    _heading(figure, run)
    ellipses, shown = _map(chart, view)
    _altitude(height, view)
    _bars(bars, view)
    _key(figure, view, ellipses, shown)
    return written(figure, path)


class _View(NamedTuple):
    """A run as the panels need it."""

    run: Any
    start: float  # s, the first ignition: the zero of every time axis
    missiles: list[int]  # object numbers
    matched: np.ndarray  # (n,) the object that each row of the picture is on, -1 for none
    used: list[Any]  # the sensors that plotted an object, those with most plots first


def _view(run: Any) -> _View:
    truth, names = run.truth, run.detections.meta["sensors"]
    missiles = [k for k, about in enumerate(truth.meta["objects"]) if about["kind"] == "missile"]
    counts = np.bincount(run.detections.sensor[run.detections.object >= 0], minlength=len(names))
    by_name = {sensor.name: sensor for sensor in run.scenario.sensors}
    used = [by_name[names[i]] for i in np.argsort(-counts, kind="stable") if counts[i] > 0]
    return _View(run, float(truth.time.min()), missiles, metrics.match(run.picture, truth).object, used)


def _heading(figure: Any, run: Any) -> None:
    scenario = run.scenario
    figure.text(0.052, 0.97, scenario.title or scenario.name, fontsize=14, fontweight="bold", va="center")
    facts = (f"sharing: {run.regime}", f"time zero {scenario.epoch:%Y-%m-%d %H:%M:%S} UTC", f"seed {run.seed}")
    text = "   ·   ".join([*facts, "simulated; sensors and delays are notional"])
    figure.text(0.052, 0.941, text, fontsize=9, va="center", color="#444444")


# The map --------------------------------------------------------------------------------------------------------------


def _map(ax: Any, view: _View) -> tuple[bool, list[str]]:
    """Coast, sensors with their sectors, truth by phase, every node's picture, impact ellipses.

    Returns whether there is an ellipse, and the names of the used sensors on the map, which makes room for those near the flights.
    """
    truth, objects = view.run.truth, view.run.truth.meta["objects"]
    lat, lon, _ = frames.geodetic(truth.x[truth.object == view.missiles[0]][:1] if view.missiles else truth.x[:1])
    projection = Projection(float(lat[0]), float(lon[0]))
    track = projection.of(truth.x)
    few = len(view.missiles) <= FEW
    placed = [(s, projection(s.lat, s.lon)) for s in view.used if s.platform in ON_THE_MAP]
    reach = max(500.0 if few else 350.0, 0.35 * float(np.max(np.ptp(track, axis=0))))
    near = [place for _, place in placed if np.min(np.hypot(*(track - place).T)) < reach]
    window(ax, np.vstack([track, *near]))
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    shown = [(s, place) for s, place in placed if np.all(place > low) and np.all(place < high)]
    ground(ax, projection)
    ax.set_xlabel("km east of the launch point" if len(view.missiles) == 1 else "km east of the first launch point", fontsize=8, labelpad=1)
    ax.set_ylabel("km north", fontsize=8, labelpad=1)
    _sensors(ax, view.run.scenario.sensors, [s for s, _ in shown], projection)
    for k, about in enumerate(objects):
        rows, missile = truth.object == k, about["kind"] == "missile"
        _by_phase(ax, track[rows], truth.phase[rows], lw=(9.0 if few else 6.0) if missile else 1.0, alpha=0.6)
        ends = track[rows][[0, -1]] if missile else np.zeros((0, 2))
        for end, marker, size in zip(ends, "oX", (6, 7), strict=False):
            ax.plot(*end, marker, ms=size, mfc="white", mec="k", mew=1.1, zorder=7)
    _pictures(ax, view.run.picture, view.run.scenario.picture_step, lambda rows: projection.of(rows.x), 1.0 if few else 0.7)
    words, outlines = _ellipses(ax, view, projection)
    names = [(place, s.name, dict(fontsize=6.3, color=sensor_colour(s))) for s, place in shown]
    label(ax, [w for w in words if w[1]] + names, np.vstack([track[::10], *(place for _, place in shown), *outlines]))
    return bool(words), [s.name for s, _ in shown]


def sensor_colour(sensor: Any) -> str:
    """The colour of a sensor's mark: its nation's."""
    return NODE_COLOURS[NODES.index(sensor.nation)]


def _by_phase(ax: Any, xy: np.ndarray, phase: np.ndarray, **style: Any) -> None:
    """A line through (n, 2) in the phases' colours; neighbouring pieces share their end point."""
    cuts = np.flatnonzero(np.diff(phase)) + 1
    for a, b in zip([0, *cuts], [*cuts, len(phase)], strict=True):
        ax.plot(*xy[a : b + 1].T, color=PHASE_COLOURS[phase[a]], solid_capstyle="butt", zorder=3, **style)


def _sensors(ax: Any, everything: Any, used: list[Any], projection: Projection) -> None:
    """Used sensors bold with their sector, which is cut short so that the map stays readable; the others faint."""
    from matplotlib.patches import Wedge

    reach = 0.12 * (ax.get_xlim()[1] - ax.get_xlim()[0])
    for sensor in everything:
        if sensor.platform not in ON_THE_MAP:
            continue
        place, marker, colour = projection(sensor.lat, sensor.lon), ON_THE_MAP[sensor.platform], sensor_colour(sensor)
        if sensor not in used:
            ax.plot(*place, marker, ms=4, mfc="none", mec="#8A8A8A", mew=0.6, zorder=2)
            continue
        width, middle = math.degrees(sensor.azimuth_width), 90.0 - math.degrees(sensor.boresight)
        radius = min(sensor.range_max / 1e3, reach)
        for alpha, filled in ((0.06, True), (0.45, False)):
            edges = (middle - width / 2, middle + width / 2) if width < 359.0 else (0.0, 360.0)
            style: dict[str, Any] = dict(fill=filled, color=colour, lw=0.0 if filled else 0.6, alpha=alpha, zorder=1.8)
            ax.add_patch(Wedge(tuple(place), radius, *edges, **style))
        ax.plot(*place, marker, ms=6, mfc=colour, mec="white", mew=0.6, zorder=6)


def _pieces(time: np.ndarray, step: float) -> list[slice]:
    """Runs of rows without a gap longer than a few picture steps."""
    cuts = np.flatnonzero(np.diff(time) > 3.5 * step) + 1
    return [slice(a, b) for a, b in zip([0, *cuts], [*cuts, len(time)], strict=True) if b > a]


def _pictures(ax: Any, picture: Any, step: float, to_xy: Any, scale: float) -> None:
    """Every node's system tracks, the hub's widest below, Korea's narrowest on top; ``to_xy(rows)`` places rows (n, 2)."""
    for node in reversed(range(len(NODES))):
        mine = picture[picture.node == node]
        for number in np.unique(mine.track):
            rows = mine[mine.track == number]
            xy, style = to_xy(rows), dict(color=NODE_COLOURS[node], lw=scale * NODE_WIDTHS[node], zorder=4.0 - 0.1 * node)
            for piece in _pieces(rows.time, step):
                ax.plot(*xy[piece].T, solid_joinstyle="round", **style)


def _outline(place: np.ndarray, P: np.ndarray, projection: Projection) -> np.ndarray:
    """The 95 % ellipse on the ground of an Earth-fixed place with covariance P, as (73, 2) km on the map."""
    major, minor, azimuth = (float(v[0]) for v in measures.error_ellipse(place, P))
    lat, lon, _ = frames.geodetic(place)
    turn = np.linspace(0.0, 2.0 * np.pi, 73)
    along, across = major * np.cos(turn), minor * np.sin(turn)
    distance = np.maximum(np.hypot(along, across), 1.0)
    return projection(*frames.ground_point(lat[0], lon[0], distance, azimuth + np.arctan2(across, along)))


def _teller(picture: Any) -> int:
    """The node whose impact forecasts are drawn: the hub, or where it has none the node with the most."""
    told = np.bincount(picture.node[np.isfinite(picture.impact_point[:, 0])], minlength=len(NODES))
    return NODES.index("HUB") if told[NODES.index("HUB")] else int(np.argmax(told))


def _ellipses(ax: Any, view: _View, projection: Projection) -> tuple[list[Any], list[np.ndarray]]:
    """One node's impact forecasts some seconds after its first one, as places and times for `label`, and their outlines (n, 2).

    Left out are ellipses wider than the map, and ones that would lie on each other.  Of more than FEW missiles only
    the first that is SMALL, without its time.
    """
    picture, few = view.run.picture, len(view.missiles) <= FEW
    words: list[Any] = []
    outlines = []
    node, high = _teller(picture), float(np.ptp(ax.get_ylim()))
    style = dict(color=NODE_COLOURS[node], zorder=5)
    major = measures.error_ellipse(picture.impact_point, picture.impact_point_P)[0] / 1e3
    for k in view.missiles:
        rows = np.flatnonzero((view.matched == k) & (picture.node == node) & np.isfinite(major))
        last = np.full(2, np.inf)
        for i in _chosen(picture.time[rows], major[rows], few):
            i, center = rows[i], projection.of(picture.impact_point[rows[i : i + 1]])[0]
            if major[i] < 0.9 * high and (major[i] > 0.015 * high or np.hypot(*(center - last)) > 0.04 * high):
                line, last = _outline(picture.impact_point[i], picture.impact_point_P[i], projection), center
                ax.plot(*line.T, lw=0.9, ls=(0, (4, 2)), **style)
                ax.plot(*center, "+", ms=4, mew=0.9, **style)
                outlines.append(line)
                place = line[np.argmax(line[:, 0] + (-1.0) ** len(words) * line[:, 1])]
                words.append((place, f"{picture.time[i] - view.start:.0f} s" if few else "", dict(fontsize=7, color="k", style="italic")))
    return words, outlines


def _chosen(time: np.ndarray, major: np.ndarray, few: bool) -> np.ndarray:
    """Which of a missile's forecasts to draw: the first ones after set delays, or only the first that is SMALL."""
    if not few:
        return np.flatnonzero(major < SMALL / 1e3)[:1]
    if len(time) == 0:
        return np.zeros(0, int)
    after = np.searchsorted(time, time[:1] + FORECASTS)
    return np.unique(after[after < len(time)])


# Altitude and custody over time ---------------------------------------------------------------------------------------


def _altitude(ax: Any, view: _View) -> None:
    """Altitude of truth, shaded below by phase, and of every node's picture."""
    truth, few = view.run.truth, len(view.missiles) <= FEW
    altitude = frames.geodetic(truth.x)[2] / 1e3
    for k, about in enumerate(truth.meta["objects"]):
        rows, missile = truth.object == k, about["kind"] == "missile"
        time, height, phase = truth.time[rows] - view.start, altitude[rows], truth.phase[rows]
        _by_phase(ax, np.stack([time, height], axis=1), phase, lw=(6.0 if few else 4.5) if missile else 0.8, alpha=0.7)
        for p in np.unique(phase) if missile else ():
            below = (phase == p) | np.r_[False, phase[:-1] == p]
            ax.fill_between(time, 0.0, height, where=below, color=PHASE_COLOURS[p], alpha=0.2, lw=0)

    def to_xy(rows: Any) -> np.ndarray:
        return np.stack([rows.time - view.start, frames.geodetic(rows.x)[2] / 1e3], axis=1)

    _pictures(ax, view.run.picture, view.run.scenario.picture_step, to_xy, 0.9 if few else 0.6)
    ax.set_ylim(0.0, 1.1 * max(float(altitude.max()), 1.0))
    ax.set_xlim(0.0, float(truth.time.max()) - view.start)
    ax.set_ylabel("altitude, km", fontsize=8)
    ax.tick_params(labelsize=7.5, labelbottom=False, length=2.5)
    ax.grid(color="#DDDDDD", lw=0.5)


def _bars(ax: Any, view: _View) -> None:
    """One bar per node, with a line in it per missile: when it is held with own plots, and when only by sharing."""
    sightings = metrics.sightings(view.run, (SMALL,))
    thick = 0.8 / max(len(view.missiles), 1)
    for node, name in enumerate(NODES):
        ax.axhspan(node - 0.4, node + 0.4, color="#F1F1F1", zorder=0, lw=0)
        seen = [s for s in sightings if s.node == name]
        for j, k in enumerate(view.missiles):
            middle = node - 0.4 + (j + 0.5) * thick
            _bar(ax, view, node, k, middle, thick)
            if len(view.missiles) <= FEW:
                ignition = float(view.run.truth.time[view.run.truth.object == k][0]) - view.start
                _marks(ax, seen[j], ignition, middle, NODE_COLOURS[node], 17.0 * thick)
        ax.annotate(_story(seen), (1.0, node), (8, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                    fontsize=7.2, va="center", color=NODE_COLOURS[node], annotation_clip=False)  # fmt: skip
    ax.set_ylim(len(NODES) - 0.5, -0.5)
    ax.set_yticks(range(len(NODES)), NODES, fontsize=8, fontweight="bold")
    for text, colour in zip(ax.get_yticklabels(), NODE_COLOURS, strict=True):
        text.set_color(colour)
    ax.set_xlabel("seconds after " + ("ignition" if len(view.missiles) == 1 else "the first ignition"), fontsize=8, labelpad=1)
    ax.tick_params(labelsize=7.5, length=2.5)
    ax.grid(axis="x", color="#DDDDDD", lw=0.5)


def _marks(ax: Any, s: metrics.Sighting, ignition: float, middle: float, colour: str, size: float) -> None:
    """First own plot (a line of ``size`` points), firm track and first SMALL impact ellipse of one missile on its bar."""
    for moment, marker, ms, edge in ((s.first_plot, "|", size, 1.6), (s.firm_track, "D", 5, 1.0), (s.ellipses[0].moment, "o", 5.5, 1.0)):
        ax.plot(ignition + moment.time, middle, marker, ms=ms, mfc="white", mec=colour, mew=edge, zorder=4, clip_on=False)


def _bar(ax: Any, view: _View, node: int, missile: int, middle: float, thick: float) -> None:
    """Solid where the node's own sensors plotted the missile within FED seconds before, hatched where not."""
    picture, step, colour = view.run.picture, view.run.scenario.picture_step, NODE_COLOURS[node]
    held = np.unique(picture.time[(view.matched == missile) & (picture.node == node)])
    plots = np.r_[-np.inf, metrics.own_plots(view.run.detections, view.run.scenario, node, missile)]
    fed = held - plots[np.searchsorted(plots, held, side="right") - 1] <= FED
    for own, fill in ((True, dict(facecolor=colour)), (False, dict(facecolor="white", edgecolor=colour, hatch="//////"))):
        times = held[fed == own] - view.start
        spans = [(times[p][0], times[p][-1] - times[p][0] + step) for p in _pieces(times, step)]
        ax.broken_barh(spans, (middle - 0.42 * thick, 0.84 * thick), lw=0.0 if own else 0.5, zorder=2, **fill)


def _story(seen: list[metrics.Sighting]) -> str:
    """Two lines on what a node had of the missiles."""
    if len(seen) == 1:
        s = seen[0]
        forecast = s.ellipses[0]
        off = f", {forecast.miss / 1e3:.{0 if forecast.miss > 1e4 else 1}f} km off" if math.isfinite(forecast.moment.time) else ""
        line = f"first plot {_when(s.first_plot)}, firm track {_when(s.firm_track)}, held {100 * s.custody:.0f} %"
        return f"{line}\n{SMALL / 1e3:.0f} km impact ellipse {_when(forecast.moment)}{off}"
    plotted = sum(math.isfinite(s.first_plot.time) for s in seen)
    held = sum(math.isfinite(s.firm_track.time) for s in seen)
    custody = 100 * float(np.mean([s.custody for s in seen])) if seen else 0.0
    return f"own plots of {plotted} of {len(seen)}\n{held} held, {custody:.0f} % of the flights"


def _when(moment: metrics.Moment) -> str:
    return f"{moment.time:.0f} s" if math.isfinite(moment.time) else "never"


# The key --------------------------------------------------------------------------------------------------------------


def _key(figure: Any, view: _View, ellipses: bool, shown: list[str]) -> None:
    """What the lines mean, in a column of its own beside the panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    few, small = len(view.missiles) <= FEW, f"{SMALL / 1e3:.0f} km"
    truth = [Line2D([], [], color=PHASE_COLOURS[p], lw=6, alpha=0.6, label=PHASES[p]) for p in np.unique(view.run.truth.phase)]
    _column(figure, 0.935, "Truth, by phase", [*truth, _mark("o", "launch"), _mark("X", "impact")])
    nodes = zip(NODE_COLOURS, NODE_WIDTHS, NODE_TITLES, strict=True)
    lines = [Line2D([], [], color=colour, lw=width, label=text) for colour, width, text in nodes]
    if ellipses:
        node = _teller(view.run.picture)
        text = f"{NODES[node]}'s 95 % impact ellipse,\n{'seconds after ignition' if few else f'first under {small}'}"
        lines.append(Line2D([], [], color=NODE_COLOURS[node], lw=0.9, ls=(0, (4, 2)), label=text))
    _column(figure, 0.785, "Picture of each node", lines)
    sites = [_mark(m, text, "#666666", "white") for m, text in (("^", "on the ground"), ("D", "on a ship"), ("o", "in the air"))]
    _column(figure, 0.635, "Sensors (sectors cut short)", [*sites, _mark("^", "had no plot of it", edge="#8A8A8A", size=4)])
    above = [s.name for s in view.used if s.platform not in ON_THE_MAP]
    far = [s.name for s in view.used if s.platform in ON_THE_MAP and s.name not in shown]
    text = textwrap.fill("Satellites with plots: " + (", ".join(above) or "none"), 46, break_on_hyphens=False)
    text += "\n" + textwrap.fill("Off the map: " + ", ".join(far), 46, break_on_hyphens=False) if far else ""
    figure.text(0.77, 0.515, text, fontsize=7.2, va="top", color="#444444")
    custody = [Patch(fc="#555555", label="held, fed by own plots")]
    custody += [Patch(fc="white", ec="#555555", hatch="//////", lw=0.5, label="held only by sharing or coasting")]
    marks = [_mark("|", "first own plot", size=10), _mark("D", "firm track", size=5), _mark("o", f"impact ellipse under {small}")]
    _column(figure, 0.375, "Custody", custody + (marks if few else []))


def _column(figure: Any, top: float, title: str, handles: list[Any]) -> None:
    """A group of the key whose top is at ``top`` of the figure's height."""
    title_style = dict(size=8.4, weight="bold")
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.762, top), title=title, fontsize=7.6,
        title_fontproperties=title_style, alignment="left", frameon=False, labelspacing=0.45,
    )  # fmt: skip


def _mark(marker: str, text: str, face: str = "white", edge: str = "k", size: float = 6.0) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], marker=marker, ls="none", label=text, mfc=face, mec=edge, ms=size)
