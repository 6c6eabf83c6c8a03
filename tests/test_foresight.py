"""What is foreseen of rows, many in one call: kernels against the plain numpy form, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from copfuse import ahead, filters
from copfuse.ahead import predicted
from copfuse.coasting import BURNT_OUT
from copfuse.constants import BOOST, EARTH_OMEGA, G0, GLIDE, MU, REENTRY_ALTITUDE
from copfuse.frames import altitude
from copfuse.kernels import foresight
from test_ahead import same, some_tracks

PHASES = np.array([[0.9, 0.1, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.2, 0.5, 0.2, 0.1], [0.5, 0.0, 0.0, 0.5], [0.0, 0.2, 0.1, 0.7]])


def states(rng: np.random.Generator, n: int) -> np.ndarray:
    """From the ground to 400 km, on the way up and down."""
    way = rng.normal(size=(n, 3))
    place = (6371e3 + rng.uniform(-5e3, 4e5, n))[:, None] * way / np.linalg.norm(way, axis=1, keepdims=True)
    return np.hstack([place, rng.normal(0.0, 3e3, (n, 3))])


@pytest.mark.parametrize("case", range(6))
def test_what_falls_is_in_the_air_now_or_then(case):
    rng = np.random.default_rng(case)
    x, rows = states(rng, 50), rng.integers(0, 50, 80)
    since, low = rng.uniform(-5.0, 90.0, 80), np.empty(80, bool)
    foresight.braked(rows, x, since, low)
    then = altitude(x[rows, :3] + x[rows, 3:] * since[:, None]) - 0.5 * G0 * since**2
    assert np.array_equal(low, np.minimum(altitude(x[rows]), then) < REENTRY_ALTITUDE) and 0 < low.sum() < 80


@pytest.mark.parametrize("case", range(6))
def test_rows_start_as_their_phases_say(case):
    """Models, chances and all that `filters.bank` makes of them."""
    rng = np.random.default_rng(case)
    tracks, _ = some_tracks()
    rows = rng.integers(0, len(tracks), 30)
    p = np.where(rng.random((len(tracks), 1)) < 0.5, PHASES[rng.integers(0, 5, len(tracks))], rng.dirichlet(np.ones(4), len(tracks)))
    tracks, low = replace(tracks, phase_probability=p), rng.random(30) < 0.5
    start, pause, falls = ahead._started(tracks, rows, low)
    p = p[rows]
    burns = p[:, BOOST] >= 0.5
    free = np.minimum(np.maximum(1.0 - p[:, BOOST] - p[:, GLIDE], 0.0), 1.0)
    engine, lift = np.where(burns, 0.9 * p[:, BOOST], 0.0), 0.9 * p[:, GLIDE]
    mu = np.stack([1.0 - engine - lift - free, np.where(low, 0.0, free), np.where(low, free, 0.0), lift, engine], axis=1)
    more = tracks.acceleration[rows], tracks.acceleration_sigma[rows], tracks.log_beta[rows]
    assert same(start, filters.bank(tracks.time[rows], tracks.x[rows], tracks.P[rows], np.minimum(np.maximum(mu, 0.0), 1.0), *more))
    assert np.array_equal(pause, np.where(burns, 0.0, p[:, BOOST]))
    assert np.array_equal(falls, (p[:, BOOST] < BURNT_OUT) & (free > ahead.FREELY)) and 0 < falls.sum() < 30
    one = np.empty(5)
    assert foresight.models(p[0], bool(low[0]), BURNT_OUT, ahead.FREELY, one) == (pause[0], falls[0])
    assert one.tobytes() == start.mu[0].tobytes() and callable(foresight.started)


def test_some_are_weighed_in_place():
    tracks, _ = some_tracks()
    rows, some = np.arange(9), np.array([1, 4, 5])
    then = predicted(tracks, rows, tracks.time[rows] + 5.0)
    plain, before = filters.weigh(then, ahead.RARELY), then[rows]
    foresight.weigh_some(some, ahead.RARELY, then.x, then.P, then.mu, then.x6, then.P6)
    assert same(then[some], plain[some]) and not np.array_equal(plain.mu, before.mu)
    rest = np.setdiff1d(rows, some)
    assert same(then[rest], before[rest])


def test_what_is_lost():
    rng = np.random.default_rng(1)
    x, root = states(rng, 60), rng.normal(0.0, 120.0, (60, 6, 6))
    P, slack, out = root @ root.transpose(0, 2, 1), np.diag(np.repeat([300.0, 1.0], 3)) ** 2, np.empty(60, bool)
    foresight.lost(x, P, slack, 700.0, out)
    sigma = np.sqrt(np.einsum("naa->n", P[:, :3, :3] + slack[:3, :3]))
    assert np.array_equal(out, ~((sigma < 700.0) & (altitude(x) > 0.0))) and 5 < out.sum() < 55


@pytest.mark.parametrize("case", range(20))
def test_what_is_foreseen_alike_is_one_line(case):
    """Against the definition: the same row, foreseen from the same step on."""
    rng = np.random.default_rng(case)
    begins, node, row, key, step = 10.0 * np.arange(4, 10), [], [], [], []
    for k in range(12):
        many, first = rng.integers(1, 6), rng.integers(0, 2)
        key += [k] * many
        step += range(first, first + many)
        node += [k % 3] * many
        row += (3 * (k // 3) + np.sort(rng.integers(0, 3, many))).tolist()  # three nations know the same tracks
    n, entry = len(key), rng.permutation(len(key))
    row_of = np.empty(n, int)
    row_of[entry] = row
    names = sorted({(a, b) for a, b in zip(node, row, strict=True) if rng.random() < 0.6})
    begun_before = {r: 10.0 * rng.integers(0, 4) for _, r in names}
    was = np.array(names, int).reshape(-1, 2)
    found = np.empty((5, n), int), np.empty((2, n))
    (got, line, behind, first, place), (begun, time) = found
    scratch = np.full((2, 15), -1), np.empty((3, max(n, len(was))), int)
    before = was[:, 0].copy(), was[:, 1].copy(), np.array([begun_before[r] for _, r in names])
    about = np.array(key), np.array(node), entry, row_of, np.array(step), begins, 5.0, *before
    many = foresight.lines(*about, *scratch, got, line, behind, begun, first, place, time)
    lines: dict[tuple[int, float], tuple[int, float]] = {}
    for i in range(n):
        head = i
        while head and key[head - 1] == key[i] and row[head - 1] == row[i]:
            head -= 1
        known = step[head] == 0 and (node[i], row[i]) in names
        when = begun_before[row[i]] if known else begins[step[head]]
        lines.setdefault((row[i], when), (len(lines), begins[step[head]] + 5.0))
        assert (got[i], behind[i], begun[i]) == (row[i], i - head, when)
        assert (line[i], time[line[i]]) == lines[row[i], when] and first[line[i]] == row[i]
        assert (place[line[i]] >= 0) == known and (not known or was[place[line[i]]][1] == row[i])
    assert many == len(lines) < len(set(zip(key, row, strict=True)))


def test_cues_are_in_order_of_steps_and_fall_over_a_turning_earth():
    rng = np.random.default_rng(3)
    n, begins, slack = 40, 10.0 * np.arange(5), np.diag(rng.uniform(0.0, 9.0, 6))
    x6, P6, time, push, pushed = states(rng, 12), rng.normal(size=(12, 6, 6)), rng.random(12), rng.normal(size=(12, 3)), rng.random(12)
    out, at, start = rng.random(n) < 0.3, rng.integers(0, 12, n), rng.random(n)
    node, key, step, entry = rng.integers(0, 4, n), np.arange(n), rng.integers(0, 5, n), rng.integers(0, 30, n)
    row_of, known_of, source_of = rng.integers(0, 20, 30), rng.random(30), rng.integers(0, 4, 20).astype(np.int8)
    away = np.linalg.norm(x6[:, :3], axis=1, keepdims=True)
    m = int((~out).sum())
    shapes = ((m,), int), ((m,), float), ((m,), float), ((m,), float), ((m, 6), float), ((m, 6, 6), float), ((m, 3), float)
    columns = [np.empty(shape, kind) for shape, kind in (*shapes, ((m,), np.int8), ((m,), int), ((m,), float))]
    found, bank = (node, key, step, entry, start), (time, x6, P6)
    foresight.cues(
        out, at, found, row_of, known_of, source_of, begins, 10.0, slack, bank, away[:, 0] ** 3, push, pushed, np.zeros(6, int), *columns
    )  # fmt: skip
    pull = -MU * x6[:, :3] / away**3
    pull[:, :2] += EARTH_OMEGA * (EARTH_OMEGA * x6[:, :2])
    pull[:, 0] += 2.0 * (EARTH_OMEGA * x6[:, 4])
    pull[:, 1] -= 2.0 * (EARTH_OMEGA * x6[:, 3])
    kept = np.flatnonzero(~out)
    kept = kept[np.argsort(step[kept], kind="stable")]
    there, row = at[kept], row_of[entry[kept]]
    plain = (
        node[kept], start[kept], begins[step[kept]] + 10.0, time[there], x6[there], (P6 + slack)[there],
        (pull + push * pushed[:, None])[there], source_of[row], row, known_of[entry[kept]],
    )  # fmt: skip
    assert all(np.array_equal(*two) for two in zip(columns, plain, strict=True)) and 0 < m < n


def test_radars_share_by_the_most_of_one_source():
    rng = np.random.default_rng(4)
    end, node, source = np.sort(rng.integers(0, 4, 60)).astype(float), rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    share = np.empty(60)
    foresight.shares(end, node, source, 0.2, 0.5, np.empty((4, 4), int), share)
    for i in range(60):
        mine = (end == end[i]) & (node == node[i])
        assert share[i] == min(0.2, 0.5 / np.bincount(source[mine]).max())
    assert len(set(share)) > 2
