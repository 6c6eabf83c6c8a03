"""The ground below a picture: a projection, land, a graticule, and labels that keep out of each other's way.

Maps are azimuthal equidistant (Snyder 1987, USGS Professional Paper 1395, ch. 25) about one point, so that distance
and direction from there are true, launch tracks are nearly straight and the 180th meridian is nowhere special.  Land is
Natural Earth's (public domain), without political borders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from copfuse import frames
from copfuse.constants import EARTH_RADIUS

LAND, SHORE, SEA, GRID, GRID_TEXT = "#E9E4DA", "#A59C8B", "#F7FAFC", "#C9D3DA", "#7A8A94"


@dataclass(frozen=True)
class Projection:
    """Azimuthal equidistant about ``lat, lon`` (rad): kilometres east and north of there."""

    lat: float
    lon: float

    def __call__(self, lat, lon) -> np.ndarray:
        """Map places (..., 2) km of latitudes and longitudes (rad)."""
        lat, dlon = np.asarray(lat, float), np.asarray(lon, float) - self.lon
        east = np.cos(lat) * np.sin(dlon)
        north = math.cos(self.lat) * np.sin(lat) - math.sin(self.lat) * np.cos(lat) * np.cos(dlon)
        up = math.sin(self.lat) * np.sin(lat) + math.cos(self.lat) * np.cos(lat) * np.cos(dlon)
        across = np.hypot(east, north)
        stretch = EARTH_RADIUS / 1e3 * np.arctan2(across, up) / np.maximum(across, 1e-12)
        return np.stack([stretch * east, stretch * north], axis=-1)

    def of(self, x: np.ndarray) -> np.ndarray:
        """Map places (n, 2) km of Earth-fixed rows (n, 3 or more)."""
        return self(*frames.geodetic(x)[:2])


@cache
def land() -> list[np.ndarray]:
    """Rings of land, longitude and latitude in rad, (n, 2) each; some cross the 180th meridian."""
    with resources.files("copfuse").joinpath("data/land.npz").open("rb") as file, np.load(file) as data:
        return [np.radians(ring) for ring in np.split(data["vertices"].astype(float), data["offsets"][1:-1])]


def rings(projection: Projection) -> list[np.ndarray]:
    """Rings of land on the near half of the Earth, (n, 2) km each; around the antipode rings would turn inside out."""
    placed = [projection(ring[:, 1], ring[:, 0]) for ring in land()]
    near = [ring[np.hypot(*ring.T) < 0.5e-3 * math.pi * EARTH_RADIUS] for ring in placed]
    return [ring for ring in near if len(ring) > 2]


def window(ax: Any, points: np.ndarray, margin: float = 0.07, least: float = 300.0) -> None:
    """Limits that show every point (n, 2) km at one scale in both directions and fill the axes' box.

    ``margin`` is a fraction of the spread, ``least`` the smallest height shown, km.
    """
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    box = ax.get_position()
    inches = np.array([box.width, box.height]) * ax.figure.get_size_inches()
    scale = max(np.max((high - low) / inches), least / inches[1]) * (1.0 + 2.0 * margin)
    middle, half = (low + high) / 2, scale * inches / 2
    ax.set_xlim(middle[0] - half[0], middle[0] + half[0])
    ax.set_ylim(middle[1] - half[1], middle[1] + half[1])


def ground(ax: Any, projection: Projection, shore: str = SHORE, shore_order: float = 1.0) -> None:
    """Land and a labelled graticule inside the axes' limits; ``shore`` is the shoreline's colour, ``shore_order`` its zorder."""
    from matplotlib.collections import PolyCollection

    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    shown = [r for r in rings(projection) if np.all(r.max(axis=0) > low) and np.all(r.min(axis=0) < high)]
    ax.add_collection(PolyCollection(shown, facecolor=LAND, edgecolor="none", zorder=1), autolim=False)
    ax.add_collection(PolyCollection(shown, facecolor="none", edgecolor=shore, linewidth=0.6, zorder=shore_order), autolim=False)
    ax.set_facecolor(SEA)
    step = next(s for s in (1, 2, 5, 10, 15, 30) if high[0] - low[0] < 1000 * s or s == 30)
    for lat in range(-90 + step, 90, step):
        line = projection(math.radians(lat), np.radians(np.arange(0.0, 361.0, 0.5)))
        _grid_line(ax, line, f"{abs(lat)}°{'N' if lat >= 0 else 'S'}", 0)
    for lon in range(-180, 180, step):
        line = projection(np.radians(np.arange(-80.0, 80.1, 0.5)), math.radians(lon))
        _grid_line(ax, line, f"{abs(lon)}°{'E' if lon >= 0 else 'W'}", 1)
    ax.tick_params(labelsize=7.5, length=2.5, pad=2)


def _grid_line(ax: Any, line: np.ndarray, text: str, k: int) -> None:
    """One parallel (``k`` 0, labelled at the left edge) or meridian (``k`` 1, labelled at the top edge)."""
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    near = np.all((line > low - 0.2 * (high - low)) & (line < high + 0.2 * (high - low)), axis=1)
    if not near.any():
        return
    ax.plot(*np.where(near[:, None], line, np.nan).T, color=GRID, lw=0.5, zorder=1.2, scalex=False, scaley=False)
    edge = (low[0], high[1])[k]
    crossing = np.flatnonzero(near[1:] & near[:-1] & ((line[:-1, k] - edge) * (line[1:, k] - edge) <= 0))
    for i in crossing:
        other, room = line[i, 1 - k], 0.04 * (high - low)[1 - k]
        if low[1 - k] + room < other < high[1 - k] - room:
            where, shift = ((edge, other), (3, 1)) if k == 0 else ((other, edge), (2, -2))
            style = dict(fontsize=6.5, color=GRID_TEXT, zorder=1.3, ha="left", va="bottom" if k == 0 else "top")
            ax.annotate(text, where, xytext=shift, textcoords="offset points", **style)


def label(ax: Any, words: list[tuple[Any, str, dict[str, Any]]], keep_clear: np.ndarray) -> None:
    """Write texts next to their places (x, y; km) where neither each other nor what is written there already nor the places
    ``keep_clear`` (n, 2) are covered.

    ``words`` are (place, text, style) in order of importance.  A text for which there is no room near its place is
    left out; one that stands a little off gets a thin line to its place.
    """
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=1.6, foreground="white", alpha=0.8)]
    dots, room = ax.figure.dpi / 72.0, ax.get_window_extent().padded(-2.0)
    to_pixels, to_places = ax.transData.transform, ax.transData.inverted().transform
    points = to_pixels(np.asarray(keep_clear, float).reshape(-1, 2))
    taken = [np.ravel(text.get_window_extent().get_points()) for text in ax.texts]  # the graticule's
    for place, text, style in words:
        written = ax.text(*place, text, ha="center", va="center", zorder=9, path_effects=halo, **style)
        size = np.array(written.get_window_extent().size) + 1.0
        middle = _free(to_pixels(place), size, dots, room, points, taken)
        if middle is None:
            written.remove()
            continue
        taken.append(np.concatenate([middle - size / 2, middle + size / 2]))
        written.set_position(to_places(middle))
        near = np.clip(to_pixels(place), middle - size / 2, middle + size / 2)
        if np.hypot(*(near - to_pixels(place))) > 10.0 * dots:
            ax.plot(*np.array([place, to_places(near)]).T, color=style.get("color", "k"), lw=0.5, alpha=0.6, zorder=8)


def _free(place: np.ndarray, size: np.ndarray, dots: float, room: Any, points: np.ndarray, taken: list[np.ndarray]) -> np.ndarray | None:
    """The middle (pixels) nearest to ``place`` at which a box of ``size`` is inside ``room`` and covers nothing, or None."""
    for reach in (5.0, 12.0, 22.0, 36.0, 52.0):
        for angle in (0, 45, -45, 180, 135, -135, 90, -90):
            way = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
            middle = place + reach * dots * way + np.sign(np.round(way, 6)) * [size[0] / 2, 0.0]
            low, high = middle - size / 2, middle + size / 2
            if not (room.x0 < low[0] and high[0] < room.x1 and room.y0 < low[1] and high[1] < room.y1):
                continue
            covered = np.all((points > low) & (points < high), axis=1).any()
            if not covered and not any(np.all((box[:2] < high) & (low < box[2:])) for box in taken):
                return middle
    return None
