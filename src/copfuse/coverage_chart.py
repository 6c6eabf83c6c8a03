"""Maps of the lowest visible altitude, of each nation and of all together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from copfuse.constants import NODES
from copfuse.curves import sheet, written
from copfuse.maps import Projection, ground, window
from copfuse.plots import NODE_TITLES, ON_THE_MAP, sensor_colour

BANDS_KM = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


def plot_coverage(found: Any, path: str | Path | None = None, sensors: Any = ()) -> Any:
    """Draw a `coverage.Coverage`: per nation and together, the lowest altitude in view, and hatched where nobody looks.

    ``sensors`` (any `sensors.Sensor`) are marked on the maps of their nation.  Writes ``path`` (png, pdf or svg), whole
    or not at all, and returns the matplotlib figure.  Raises `CopfuseError` as `plots.plot` does.
    """
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm

    figure = sheet(11.2, 8.0, path)
    figure.text(0.04, 0.97, "Lowest visible altitude", fontsize=14, fontweight="bold", va="center")
    text = "ray-traced horizon and lowest elevation over a smooth Earth; hatched: nobody looks; sensors are notional"
    figure.text(0.04, 0.94, text, fontsize=9, va="center", color="#444444")
    lat, lon = (np.r_[1.5 * v[0] - 0.5 * v[1], (v[1:] + v[:-1]) / 2, 1.5 * v[-1] - 0.5 * v[-2]] for v in (found.lat, found.lon))
    projection = Projection(float(lat[[0, -1]].mean()), float(lon[[0, -1]].mean()))
    corners = projection(*np.meshgrid(lat, lon, indexing="ij"))
    style = dict(cmap=colormaps["viridis_r"].resampled(len(BANDS_KM) - 1), norm=BoundaryNorm(BANDS_KM, len(BANDS_KM) - 1))
    for k, name in enumerate(found.names):
        ax = figure.add_axes((0.04 + 0.44 * (k % 2), 0.50 - 0.445 * (k // 2), 0.425, 0.40))
        mesh = _layer(ax, corners, found.lowest[k] / 1e3, projection, style)
        _radars(ax, projection, [s for s in sensors if s.kind == "radar" and name in (s.nation, "together")])
        title = NODE_TITLES[NODES.index(name)] if name in NODES else "All three together"
        ax.set_title(title, loc="left", fontsize=9.5, fontweight="bold", pad=4)
    bar = figure.colorbar(mesh, cax=figure.add_axes((0.925, 0.2, 0.016, 0.55)), spacing="uniform", ticks=BANDS_KM, extend="max")
    bar.ax.tick_params(labelsize=8)
    bar.ax.set_title("km", fontsize=9)
    return written(figure, path)


def _layer(ax: Any, corners: np.ndarray, lowest_km: np.ndarray, projection: Projection, style: dict[str, Any]) -> Any:
    """One map: bands of altitude over the sea, the shoreline above them."""
    from matplotlib.patches import Polygon

    window(ax, corners.reshape(-1, 2), margin=0.01)
    ground(ax, projection, shore="#222222", shore_order=2.0)
    rim = np.concatenate([corners[0], corners[:, -1], corners[-1, ::-1], corners[::-1, 0]])
    ax.add_patch(Polygon(rim, fill=False, hatch="////", ec="#9AA5AC", lw=0.6, zorder=1.1))
    ax.set_xticks([])
    ax.set_yticks([])
    return ax.pcolormesh(*np.moveaxis(corners, -1, 0), np.ma.masked_invalid(lowest_km), zorder=1.15, rasterized=True, **style)


def _radars(ax: Any, projection: Projection, radars: list[Any]) -> None:
    for radar in radars:
        colour = sensor_colour(radar)
        ax.plot(*projection(radar.lat, radar.lon), ON_THE_MAP[radar.platform], ms=4.5, mfc=colour, mec="white", mew=0.5, zorder=3)
