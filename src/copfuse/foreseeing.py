"""When it is first known to so much where something comes down: of a picture's forecasts only those that this asks for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from copfuse import forecast
from copfuse.constants import NODES
from copfuse.fusion import Needs
from copfuse.measures import error_ellipse
from copfuse.tables import Picture

AT_ONCE = 100  # rows, about, whose forecasts are asked for together
Firsts = dict[tuple[int, int], list[int]]


def firsts(picture: Picture, needs: Needs, on: np.ndarray, sizes: tuple[float, ...]) -> Firsts:
    """By object and node, for each of ``sizes``, m, the first of its rows whose impact forecast has a smaller 95 % semi-major axis, or −1.

    ``picture``, ``needs``: `fusion.without_ends`; ``on (n,)``: each row's object, or −1.  The rows are those of `fusion.fuse`'s picture.
    What a system track was forecast before may serve still (`forecast.along`), so each is gone through from its begin, until nothing is
    asked of it any more.
    """
    track = picture.node.astype(np.int64) * 10**9 + picture.track
    pair = np.where(on >= 0, on * len(NODES) + picture.node, -1)
    found = {p: [-1] * len(sizes) for p in np.unique(pair[pair >= 0]).tolist()}
    tracks = {p: np.unique(track[pair == p]).tolist() for p in found}
    made: dict[int, forecast.Forecast] = {}
    for begin, end in _blocks(picture.time):
        asked = {p: max(sizes[k] for k, row in enumerate(rows) if row < 0) for p, rows in found.items() if min(rows, default=0) < 0}
        least: dict[int, float] = {}
        for p, size in asked.items():
            least |= {t: max(size, least.get(t, 0.0)) for t in tracks[p]}
        rows = np.array([begin + i for i, t in enumerate(track[begin:end].tolist()) if t in least], int)
        if len(rows) == 0:
            continue
        major = _major(picture, needs, rows, track[rows].tolist(), least, made)
        for p in asked:
            mine = np.flatnonzero(pair[rows] == p)
            for k, size in enumerate(sizes):
                if found[p][k] < 0 and len(hit := mine[major[mine] < size]):
                    found[p][k] = int(rows[hit[0]])
    return {divmod(p, len(NODES)): rows for p, rows in found.items()}


def _blocks(time: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where so many rows begin and end that it pays; none parts a time, which rises."""
    begin = 0
    while begin < len(time):
        end = int(np.searchsorted(time, time[min(begin + AT_ONCE, len(time)) - 1], side="right"))
        yield begin, end
        begin = end


def _major(
    picture: Picture, needs: Needs, rows: np.ndarray, track: list[int], least: dict[int, float], made: dict[int, forecast.Forecast]
) -> np.ndarray:
    """Semi-major axes (n,) of the forecasts of ``rows``, nan for one that is surely above what is ``least`` of its track."""
    _, first, line = np.unique(needs.line[rows], return_index=True, return_inverse=True)
    at, size = rows[first], np.zeros(len(first))
    np.maximum.at(size, line, [least[t] for t in track])
    state = {name: getattr(picture, name)[at] for name in ("time", "x", "P", "phase_probability", "age")}
    point, cov, _, _ = forecast.along(state, needs.log_beta[at], needs.push[at], needs.who[at], line, track, made, size)
    return error_ellipse(point, cov)[0]
