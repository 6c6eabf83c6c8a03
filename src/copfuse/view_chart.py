"""A picture of one node's view: its tracks on the map and over time, with nothing of the truth and of others' sensors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from copfuse import frames
from copfuse.constants import NODES
from copfuse.curves import NODE_COLOURS, sheet, written
from copfuse.maps import Projection, ground, window
from copfuse.measures import error_ellipse
from copfuse.metrics import ELLIPSE_SIZES

PIECE = 3.5  # picture steps without a line after which a track is drawn as two pieces
NOT_OWN = "#9A9A9A"


def plot_view(view: Any, path: str | Path | None = None) -> Any:
    """Draw a `views.View`: map above, altitude below; thick where own information stands in a track, thin and grey where only others' does.

    Writes ``path`` (png, pdf or svg), whole or not at all, and returns the matplotlib figure.
    """
    figure = sheet(9.6, 8.0, path)
    figure.text(0.07, 0.965, f"{view.node}'s view under {view.regime}", fontsize=14, fontweight="bold", va="center")
    start = f"{view.scenario.epoch:%Y-%m-%d %H:%M:%S} UTC"
    facts = f"time zero {start}   ·   simulated; sensors and delays are notional   ·   no truth is in this view"
    figure.text(0.07, 0.935, facts, fontsize=9, va="center", color="#444444")
    _map(figure.add_axes((0.07, 0.33, 0.9, 0.58)), view)
    _altitude(figure.add_axes((0.07, 0.07, 0.9, 0.2)), view)
    return written(figure, path)


def _pieces(view: Any) -> list[tuple[np.ndarray, bool]]:
    """Rows of the picture that are drawn as one line, and whether own information stands in them."""
    p, k, pieces = view.picture, NODES.index(view.node), []
    own = p.pedigree[:, k] >= 0
    for number in np.unique(p.track):
        rows = np.flatnonzero(p.track == number)
        cuts = (np.diff(p.time[rows]) > PIECE * view.scenario.picture_step) | (np.diff(own[rows]) != 0)
        pieces += [(piece, bool(own[piece[0]])) for piece in np.split(rows, np.flatnonzero(cuts) + 1)]
    return pieces


def _style(view: Any, own: bool) -> dict[str, Any]:
    return dict(color=NODE_COLOURS[NODES.index(view.node)], lw=2.6, zorder=4) if own else dict(color=NOT_OWN, lw=1.6, zorder=3)


def _map(ax: Any, view: Any) -> None:
    """The land, own sensors, tracks, and of each track the last impact forecast that is useful, as its 95 % ellipse."""
    p = view.picture
    placed = [s for s in view.scenario.sensors if s.platform in ("ground", "ship", "air")]
    seen = (
        frames.geodetic(p.x[:1])
        if len(p)
        else [np.array([placed[0].lat if placed else 0.65]), np.array([placed[0].lon if placed else 2.3])]
    )
    projection = Projection(float(seen[0][0]), float(seen[1][0]))
    sites = np.array([projection(s.lat, s.lon) for s in placed]).reshape(-1, 2)
    flown, outlines = projection.of(p.x), [_outline(p, i, projection) for i in _last_useful(p)]
    near = sites[np.hypot(*sites.T) < 2500.0] if len(sites) else sites
    window(ax, np.vstack([flown, near, *outlines, np.zeros((1, 2))]))
    ground(ax, projection)
    ax.plot(*near.T, "^", ms=5, mfc="white", mec="#666666", mew=0.8, ls="none", zorder=5, label="own sensors")
    for label, drawn in (("own information in it", True), ("only what others sent", False)):
        ax.plot([], [], label=label, **_style(view, drawn))
    for rows, own in _pieces(view):
        ax.plot(*flown[rows].T, **_style(view, own))
        ax.plot(*flown[rows][-1], "o", ms=2.5, color=_style(view, own)["color"], zorder=5)
    for outline in outlines:
        ax.plot(*outline.T, lw=0.9, ls=(0, (4, 2)), color="k", zorder=5)
    ax.plot([], [], lw=0.9, ls=(0, (4, 2)), color="k", label=f"last 95 % impact ellipse under {ELLIPSE_SIZES[0] / 1e3:.0f} km")
    ax.set_xlabel("km east of the first track", fontsize=8, labelpad=1)
    ax.set_ylabel("km north", fontsize=8, labelpad=1)
    ax.legend(fontsize=7.5, loc="best", framealpha=0.9)


def _last_useful(p: Any) -> list[int]:
    """Of each track, the last line whose impact ellipse is small enough to be of use."""
    major = error_ellipse(p.impact_point, p.impact_point_P)[0]
    small = np.flatnonzero(major < ELLIPSE_SIZES[0])
    return [int(small[p.track[small] == number][-1]) for number in np.unique(p.track[small])]


def _outline(p: Any, line: int, projection: Projection) -> np.ndarray:
    """The 95 % ellipse (73, 2) km on the map."""
    major, minor, azimuth = (float(v[0]) for v in error_ellipse(p.impact_point[line : line + 1], p.impact_point_P[line : line + 1]))
    lat, lon, _ = frames.geodetic(p.impact_point[line : line + 1])
    turn = np.linspace(0.0, 2.0 * math.pi, 73)
    along, across = major * np.cos(turn), minor * np.sin(turn)
    return projection(*frames.ground_point(lat[0], lon[0], np.maximum(np.hypot(along, across), 1.0), azimuth + np.arctan2(across, along)))


def _altitude(ax: Any, view: Any) -> None:
    height = frames.geodetic(view.picture.x)[2] / 1e3
    for rows, own in _pieces(view):
        ax.plot(view.picture.time[rows], height[rows], **_style(view, own))
    ax.set_xlabel("seconds after time zero", fontsize=8, labelpad=1)
    ax.set_ylabel("altitude, km", fontsize=8)
    ax.tick_params(labelsize=7.5, length=2.5)
    ax.grid(color="#DDDDDD", lw=0.5)
