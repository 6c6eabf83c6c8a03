"""What an entrant of the benchmark needs: the plots as they come in, and a picture of its tracks.

An entrant is a function ``(detections, scenario) -> Picture``.  It gets plots without labels and the scenario without launches; what
it says of a time may stand on plots that have arrived at the hub by then, and on nothing else.  `feed` hands them out in that
order; `picture` makes the table, with forecasts of where things come down.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from copfuse import forecast, frames, scanning
from copfuse.constants import G0, MIDCOURSE, NODES, REENTRY_ALTITUDE, TERMINAL
from copfuse.errors import CopfuseError
from copfuse.filters import LOG_BETA
from copfuse.frozen import arrivals as arrivals
from copfuse.frozen import times as times
from copfuse.scanning import Scan
from copfuse.tables import Detections, Picture

ON_GRID = 1e-6  # s by which a time may be off the picture's grid
MOST_UNEVEN = 1e-6  # share of the standard deviations by which a covariance may differ from its transpose


def feed(detections: Detections, scenario: Any) -> Iterator[tuple[float, np.ndarray]]:
    """Every picture time s in turn, with the numbers of the plots that have come to the hub since the one before, by their own time.

    A plot may come long after younger ones; whoever cannot go back in time leaves it out, or takes `scans_in_order`.
    """
    came = arrivals(detections, scenario)
    order = np.argsort(came, kind="stable")
    order = order[np.isfinite(came[order])]
    when, begin = came[order], 0
    for now in times(scenario).tolist():
        end = int(np.searchsorted(when, now, side="right"))
        yield now, np.sort(order[begin:end])  # a table's rows are sorted by time, then sensor
        begin = end


def scans_in_order(detections: Detections, scenario: Any) -> Iterator[tuple[float, list[Scan]]]:
    """Every picture time s in turn, with the scans that have become whole since the one before, in order of their own time.

    A scan is handed out when it and all older plots that ever come have come (each sender numbers its plots, so the hub knows): the
    tracker never has to go back in time and loses no plot, but waits for the slowest, as this package's own hub does.
    """
    came = arrivals(detections, scenario)
    rows = np.flatnonzero(np.isfinite(came))
    known = np.maximum.accumulate(came[rows])
    scans = list(scanning.scans(detections[rows], scenario, "HUB", rows))
    whole = known[np.searchsorted(rows, [int(s.rows[-1]) for s in scans])]
    begin = 0
    for now in times(scenario).tolist():
        end = int(np.searchsorted(whole, now, side="right"))
        yield now, scans[begin:end]
        begin = end


def positions(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Earth-fixed positions (m, 3) of a scan's plots that have a range, and their covariances (m, 3, 3), to first order."""
    ranged = np.isfinite(scan.z[:, :3]).all(axis=1)
    z, sigma, place = scan.z[ranged, :3], scan.sigma[ranged, :3], (scan.origin, scan.axes, scan.cosines)
    y = frames.point(z[:, 0], z[:, 1], z[:, 2], *place)
    more = [z + sigma * (np.arange(3) == k) for k in range(3)]
    off = np.stack([frames.point(m[:, 0], m[:, 1], m[:, 2], *place) - y for m in more])
    return y, np.einsum("kma,kmb->mab", off, off)


def aloft(x) -> np.ndarray:
    """Which states (n, 6) have not sunk under the ground; what has is best left out of a picture, for it has come down."""
    x = np.asarray(x, float).reshape(-1, np.shape(x)[-1])
    return (np.einsum("ni,ni->n", x[:, :3], x[:, 3:6]) >= 0.0) | (frames.altitude(x) >= 0.0)


def picture(
    time, track, x, P, scenario: Any, *, phase=None, push=None, log_beta=None,
    impact: forecast.Columns | np.ndarray | bool = True, sensors=None, **about: Any,
) -> Picture:  # fmt: skip
    """The hub's picture of tracks: ``time (n,)`` s, of the grid `times`; ``track (n,)``, a number that stays; ``x (n, 6)`` Earth-fixed m
    and m/s; ``P (n, 6, 6)``, in any order of rows.

    ``phase (n, 4)``: probabilities of boost, midcourse, terminal, glide; left out, all fall freely.  ``impact``: the rows that get a
    forecast (n,) or all or none, which this package makes of x, P and phase, with ``push (n, 3)`` m/s^2 and ``log_beta (n, 2)``, mean and
    sigma of the logarithm of the ballistic coefficient, where they are known; or one's own: points (n, 3) m, covariances (n, 3, 3)
    m^2, seconds left (n,) and their sigma (n,), nan where there is none.  ``sensors (n,)``: bits of who has fed a track.
    ``about`` goes into ``meta``.  Raises `CopfuseError` for rows that are none.
    """
    n = len(np.atleast_1d(np.asarray(time)))
    given = {"time": time, "track": track, "x": x, "P": P, "phase": phase, "push": push, "log_beta": log_beta, "sensors": sensors}
    shapes = {"x": (6,), "P": (6, 6), "phase": (4,), "push": (3,), "log_beta": (2,)}
    columns = {name: _column(name, value, (n, *shapes.get(name, ()))) for name, value in given.items() if value is not None}
    order = np.lexsort((columns["track"], columns["time"]))
    columns = {name: value[order] for name, value in columns.items()}
    chance = columns.get("phase", _falling(columns["x"]))
    nothing = [np.full((n, *shape), np.nan) for shape in _IMPACT]
    made = Picture(
        time=columns["time"], node=np.full(n, NODES.index("HUB")), track=columns["track"], common=columns["track"],
        x=columns["x"], P=columns["P"],
        phase_probability=chance, launch_point=nothing[0], launch_point_P=nothing[1], impact_point=nothing[0], impact_point_P=nothing[1],
        time_to_impact=nothing[2], time_to_impact_sigma=nothing[3], age=np.zeros(n), sensors=columns.get("sensors", np.zeros(n)),
        pedigree=np.full((n, len(NODES)), -1),
        meta={"regime": scenario.regime, "nodes": list(NODES), "sensors": [s.name for s in scenario.sensors], **about},
    )  # fmt: skip
    usable(made, scenario)  # before anything is forecast of it
    if isinstance(impact, tuple):
        forecasts = [_column("impact", v, (n, *s))[order] for v, s in zip(impact, _IMPACT, strict=True)]
    else:
        forecasts = _impacts(columns, chance, np.broadcast_to(np.asarray(impact, bool), n)[order])
    point, spread, left, sigma = forecasts
    return replace(made, impact_point=point, impact_point_P=spread, time_to_impact=left, time_to_impact_sigma=sigma)


def usable(made: Any, scenario: Any) -> Picture:
    """The picture itself.  Raises `CopfuseError` where an entrant's answer is no picture of a scenario: with the row and what is wrong."""
    if not isinstance(made, Picture):
        raise CopfuseError(f"an entrant returns a copfuse Picture, not {type(made).__name__}; entering.picture makes one of plain arrays")
    grid, n = times(scenario), len(made)
    step = scenario.picture_step
    off = np.abs(made.time - step * np.round(made.time / step)) > ON_GRID
    outside = off | ~((made.time >= grid[0] - ON_GRID) & (made.time <= grid[-1] + ON_GRID))
    scale = np.sqrt(np.maximum(np.einsum("naa->na", made.P), 0.0)) if n else np.zeros((0, 6))
    uneven = np.abs(made.P - np.swapaxes(made.P, 1, 2)) > MOST_UNEVEN * scale[:, :, None] * scale[:, None, :]
    wrong = {
        "time": (outside, made.time, f"a picture time: 0 to {grid[-1]:g} s in steps of {step:g} s"),
        "node": ((made.node < 0) | (made.node >= len(NODES)), made.node, f"0 to {len(NODES) - 1} ({NODES[-1]}, which is scored)"),
        "track": (made.track < 0, made.track, "0 or more"),
        "x": (~np.isfinite(made.x).all(axis=1), made.x, "finite m and m/s, Earth-fixed"),
        "P": (~np.isfinite(made.P).all(axis=(1, 2)) | uneven.any(axis=(1, 2)), made.P, "a finite symmetric matrix"),
    }
    for name, (bad, value, needed) in wrong.items():
        if bad.any():
            row = int(bad.argmax())
            raise CopfuseError(f"Picture row {row}: {name} is {_short(value[row])}; needed: {needed}")
    row = _indefinite(made.P, scale)
    if row >= 0:
        raise CopfuseError(f"Picture row {row}: P is not positive definite; needed: a covariance")
    keys = np.stack([made.node.astype(float), np.round(made.time / step), made.track.astype(float)], axis=1)
    once, first, count = np.unique(keys, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        row = int(first[count > 1][0])
        raise CopfuseError(f"Picture row {row}: track {made.track[row]} stands twice at {made.time[row]:g} s; needed: once")
    return made


def found(name: str) -> Callable[[Detections, Any], Picture]:
    """The function of ``package.module:function``, looked for in the current folder and wherever Python finds modules.

    Raises `CopfuseError` where there is no such module or function, or it is none.
    """
    place, _, function = name.partition(":")
    if not place or not function:
        raise CopfuseError(f"{name!r} names no function; write package.module:function, such as enter_a_tracker:mine")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise CopfuseError(f"{place!r} imports {error.name!r}, which is not installed here") from None
        raise CopfuseError(f"there is no module {place!r} in {os.getcwd()!r} nor on Python's path (PYTHONPATH adds a folder)") from None
    value = getattr(module, function, None)
    if not callable(value):
        has = [k for k, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == place]
        what = "has no function" if value is None else "holds no function at"
        raise CopfuseError(f"module {place!r} {what} {function!r}; it has {', '.join(has) or 'none'}")
    return value


# Small parts ---------------------------------------------------------------------------------------------------------


_IMPACT = ((3,), (3, 3), (), ())  # shapes of a row of each part of a forecast


def _column(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """One column as an array of that shape (an empty one may have any)."""
    value = np.asarray(value)
    value = value.reshape(shape) if value.size == 0 and shape[0] == 0 else value
    if value.shape != shape:
        raise CopfuseError(f"picture: {name} has shape {value.shape}; {shape} is needed, a row for each of time's {shape[0]}")
    return value


def _short(value: Any) -> str:
    if np.ndim(value) == 0:
        return f"{float(value):.6g}"
    return np.array2string(np.asarray(value), precision=4, max_line_width=10**6, threshold=12).replace("\n", "")


def _indefinite(P: np.ndarray, scale: np.ndarray) -> int:
    """The first covariance (n, 6, 6) that is not positive definite, −1 for none; judged in units of its own standard deviations."""
    if len(P) == 0:
        return -1
    flat = (scale <= 0.0).any(axis=1)
    unit = np.where(scale > 0.0, scale, 1.0)
    least = np.linalg.eigvalsh(P / (unit[:, :, None] * unit[:, None, :]))[:, 0]
    bad = flat | (least <= 0.0)
    return int(bad.argmax()) if bad.any() else -1


def _falling(x: np.ndarray) -> np.ndarray:
    """Phases (n, 4) of states that fall freely: midcourse where they are above the air or will climb there, else terminal."""
    r = np.linalg.norm(x[:, :3], axis=1)
    climb = np.maximum(np.einsum("ni,ni->n", x[:, :3], x[:, 3:]) / np.maximum(r, 1.0), 0.0)
    out = frames.altitude(x) + climb**2 / (2.0 * G0) > REENTRY_ALTITUDE
    chance = np.zeros((len(x), 4))
    chance[:, MIDCOURSE], chance[:, TERMINAL] = out, ~out
    return chance


def _impacts(columns: dict[str, np.ndarray], chance: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    """Forecasts of rows sorted by time, carried on as the hub's own are (`forecast.along`); nan where none is wanted."""
    n, rows = len(wanted), np.flatnonzero(wanted)
    state = {name: columns[name][rows] for name in ("time", "x", "P")} | {"phase_probability": chance[rows], "age": np.zeros(len(rows))}
    push = columns.get("push", np.zeros((n, 3)))[rows]
    log_beta = columns.get("log_beta", np.tile(LOG_BETA, (n, 1)))[rows]
    every, nobody = np.arange(len(rows)), np.zeros(len(rows), int)
    made = forecast.along(state, log_beta, push, nobody, every, columns["track"][rows].tolist(), {})
    out = [np.full((n, *shape), np.nan) for shape in _IMPACT]
    for column, value in zip(out, made, strict=True):
        column[rows] = value
    return out
