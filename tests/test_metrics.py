"""GOSPA, OSPA, SIAP, NEES and ellipses against published numbers and plain twins; `score` and `sightings` on made-up tables."""

from __future__ import annotations

import itertools
import math
import time as clock
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import EPOCH, picture_of, plots_of, straight_truth
from copfuse import frames, measures, metrics
from copfuse.scenario import Scenario


def scenario(step=2.0, duration=None):
    sensors = (SimpleNamespace(name="KR-A", nation="KOR"), SimpleNamespace(name="JP-B", nation="JPN"))
    return Scenario("test", EPOCH, (), sensors, picture_step=step, duration=duration)  # type: ignore[arg-type]


# Published numbers: Rahmathullah, Garcia-Fernandez and Svensson's definition on small sets; Stone Soup's SIAP ----------


def parts(x, y, c, p):
    g = measures.gospa(np.array(x, float).reshape(-1, 2), np.array(y, float).reshape(-1, 2), c, p)
    return g.value, g.localisation, g.missed, g.false


@pytest.mark.parametrize(
    "x, y, c, p, expected",
    [
        ([(0, 0), (10, 0)], [(1, 0), (10, 2)], 10, 2, (2.236068, 5, 0, 0)),
        ([(0, 0), (10, 0)], [(1, 0)], 10, 2, (7.141428, 1, 50, 0)),
        ([(0, 0)], [(1, 0), (90, 0)], 10, 2, (7.141428, 1, 0, 50)),
        ([(0, 0)], [(20, 0)], 10, 2, (10.0, 0, 50, 50)),
        ([(0, 0), (5, 5), (-9, 3)], [(0, 3), (5, 9)], 8, 1, (11.0, 7, 4, 0)),
        ([], [(0, 0), (1, 1), (2, 2)], 10, 2, (12.247449, 0, 0, 150)),
        ([], [], 10, 2, (0.0, 0, 0, 0)),
    ],
)
def test_gospa_hand_values(x, y, c, p, expected):
    assert parts(x, y, c, p) == pytest.approx(expected, abs=5e-7)


def test_ospa_hand_value():
    assert measures.ospa([(0, 0), (10, 0)], [(1, 0), (10, 2)], 10, 2) == pytest.approx(1.581139, abs=5e-7)
    assert measures.ospa(np.zeros((0, 2)), np.zeros((0, 2)), 10) == 0.0
    assert measures.ospa([(0, 0)], np.zeros((0, 2)), 10) == 10.0


def test_siap_hand_values_equal_stone_soup():
    """T1 is held by A for 10 steps, T2 (8 steps alive) by B, doubled by C in steps 6 to 8; D is on nothing for 4."""
    step = np.arange(1, 11)
    n_truth = 1 + (step >= 3)
    duplicate = (step >= 6) & (step <= 8)
    spurious = step <= 4
    matched = 1 + (step >= 3)
    assert measures.siap(20, matched + duplicate + spurious, matched, duplicate).completeness == pytest.approx(0.9)
    found = measures.siap(n_truth, matched + duplicate + spurious, matched, duplicate)
    assert found.ambiguity == pytest.approx(21 / 18)
    assert found.spuriousness == pytest.approx(0.16)


@pytest.mark.parametrize(
    "dimension, runs, low, high",
    [(4, 100, 3.465, 4.573), (6, 100, 5.340, 6.698), (6, 500, 5.700, 6.307), (7, 100, 6.286, 7.752), (9, 500, 8.632, 9.376)],
)
def test_nees_bounds_published(dimension, runs, low, high):
    assert measures.nees_bounds(runs, dimension) == pytest.approx((low, high), abs=6e-4)


# Properties and plain twins ------------------------------------------------------------------------------------------

places = st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), max_size=4)


def plain_gospa(x, y, c, p):
    """The definition, read off: the least over all ways to pair any number of points."""
    best = math.inf
    for k in range(min(len(x), len(y)) + 1):
        for rows in itertools.combinations(range(len(x)), k):
            for columns in itertools.permutations(range(len(y)), k):
                d = sum(math.dist(x[i], y[j]) ** p for i, j in zip(rows, columns, strict=True))
                best = min(best, d + 0.5 * c**p * (len(x) + len(y) - 2 * k))
    return best ** (1 / p)


@given(places, places, st.floats(1, 30), st.sampled_from([1.0, 2.0]))
def test_gospa_equals_its_definition(x, y, c, p):
    value = parts(x, y, c, p)
    assert value[0] == pytest.approx(plain_gospa(x, y, c, p), rel=1e-9, abs=1e-9)
    assert value[0] ** p == pytest.approx(sum(value[1:]), rel=1e-9, abs=1e-9)


@given(places, places, places)
def test_gospa_is_a_metric(x, y, z):
    d = lambda a, b: parts(a, b, 10.0, 2.0)[0]  # noqa: E731
    assert d(x, y) == pytest.approx(d(y, x), abs=1e-9)
    assert d(x, x) == 0.0
    assert d(x, z) <= d(x, y) + d(y, z) + 1e-9


def test_nees_against_plain_inverse():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(50, 6, 6))
    P = a @ np.swapaxes(a, 1, 2) + np.eye(6)
    e = rng.normal(size=(50, 6))
    plain = [e[i] @ np.linalg.inv(P[i]) @ e[i] for i in range(50)]
    assert measures.nees(e, P) == pytest.approx(plain, rel=1e-9)
    assert measures.nees(np.zeros((0, 6)), np.zeros((0, 6, 6))).shape == (0,)


def test_error_ellipse_of_a_known_covariance():
    """3 km along azimuth 30 deg, 1 km across, and 50 km of height that must not count."""
    place = frames.ecef(np.radians(40.0), np.radians(135.0), 0.0)
    east, north, up = frames.enu_axes(np.radians(40.0), np.radians(135.0))
    azimuth = np.radians(30.0)
    along, across = np.sin(azimuth) * east + np.cos(azimuth) * north, np.cos(azimuth) * east - np.sin(azimuth) * north
    P = 3e3**2 * np.outer(along, along) + 1e3**2 * np.outer(across, across) + 50e3**2 * np.outer(up, up)
    major, minor, found = measures.error_ellipse([place, place * np.nan], [P, P])
    scale = math.sqrt(-2.0 * math.log(0.05))
    assert major[0] == pytest.approx(3e3 * scale, rel=1e-9)
    assert minor[0] == pytest.approx(1e3 * scale, rel=1e-9)
    assert found[0] == pytest.approx(azimuth, abs=1e-9)
    assert np.isnan([major[1], minor[1], found[1]]).all()


def test_error_ellipse_holds_95_percent():
    rng = np.random.default_rng(2)
    place = frames.ecef(np.radians(40.0), np.radians(135.0), 0.0)
    east, north, _ = frames.enu_axes(np.radians(40.0), np.radians(135.0))
    a = rng.normal(size=(2, 2)) * 2e3
    P = np.einsum("ai,ab,bj->ij", np.stack([east, north]), a @ a.T, np.stack([east, north]))
    major, minor, azimuth = (v[0] for v in measures.error_ellipse(place, P))
    d = rng.normal(size=(20000, 2)) @ a.T
    u = d[:, 0] * math.sin(azimuth) + d[:, 1] * math.cos(azimuth)
    v = d[:, 0] * math.cos(azimuth) - d[:, 1] * math.sin(azimuth)
    inside = (u / major) ** 2 + (v / minor) ** 2 < 1
    assert abs(inside.mean() - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 20000)
    truth = place + d[:200] @ np.stack([east, north])
    assert [bool(measures.within_ellipse(place, P[None], x)[0]) for x in truth] == inside[:200].tolist()


# The picture against the truth ---------------------------------------------------------------------------------------

TIMES = np.arange(0.0, 61.0, 1.0)


def at(truth, thing, time, offset=(0.0, 0.0, 0.0)):
    rows = truth.object == thing
    i = int(np.argmin(np.abs(truth.time[rows] - time)))
    return truth.x[rows][i] + np.array([*offset, 0.0, 0.0, 0.0])


def placed(tracks, objects, sigma=1000.0):
    """`metrics.match` of tracks against objects at ``(n,)`` m along a line or ``(n, 3)`` m in space; one ``sigma`` m, or (n,)."""
    tracks, objects = (np.array(x, float).reshape(len(x), -1) for x in (tracks, objects))
    tracks, objects = (np.pad(x, ((0, 0), (0, 3 - x.shape[1]))) for x in (tracks, objects))
    truth = straight_truth(objects, [TIMES] * len(objects))
    picture = picture_of([(4.0, "KOR", i, at(truth, 0, 4.0, x - objects[0])) for i, x in enumerate(tracks)])
    return metrics.match(replace(picture, P=np.eye(6) * np.reshape(np.broadcast_to(sigma, len(tracks)), (-1, 1, 1)) ** 2), truth)


def test_two_pairs_are_made_in_place_of_one_only_where_they_lower_the_sum():
    """The track between two objects could leave the nearer one to the other track: 7 + 5 km are less than 3 + 10, and 9 + 5 are not."""
    found = placed([-7e3, 3e3], [0.0, 8e3])
    assert found.object.tolist() == [0, 1] and found.nearest.tolist() == [-1, -1]
    assert found.error[1, 0] == pytest.approx(-5e3)
    found = placed([-9e3, 3e3], [0.0, 8e3])
    assert found.object.tolist() == [-1, 0] and found.nearest.tolist() == [0, -1]


def test_one_bad_track_does_not_shift_a_row_of_good_ones():
    """Four pieces of a separation, 7 km apart in a row, the last unseen, a track 42 m off each other; and a track 7.6 km before them."""
    pieces = 7e3 * np.arange(4)
    found = placed([*(pieces[:3] + 42.0), -7.6e3], pieces)
    assert found.object.tolist() == [0, 1, 2, -1]
    assert found.nearest.tolist() == [-1, -1, -1, 0]  # as many pairs as possible: [1, 2, 3, 0], and no double
    assert np.abs(found.error[:3, 0]) == pytest.approx([42.0] * 3)


def test_a_blurred_track_takes_what_nobody_else_is_on():
    found = placed([20e3, 100e3], [0.0, 102e3], [10e3, 1e3])  # gates of 40 and 10 km
    assert found.object.tolist() == [0, 1]
    found = placed([2e3, 9e3], [0.0], [10e3, 1e3])
    assert found.object.tolist() == [0, -1] and found.nearest.tolist() == [-1, 0]  # within 10 km the nearest, however blurred
    found = placed([12e3, 9e3, 15e3], [0.0, 31e3], [10e3, 1e3, 10e3])
    assert found.object.tolist() == [-1, 0, 1] and found.nearest.tolist() == [0, -1, -1]


def plain_pairs(distance, c):
    """The least of GOSPA's sums of order 1 over all ways to pair tracks and objects less than c apart, and the pairs that make it."""
    n, m = distance.shape
    best = (0.5 * c * (n + m), ())
    for k in range(1, min(n, m) + 1):
        for rows in itertools.combinations(range(n), k):
            for columns in itertools.permutations(range(m), k):
                pairs = tuple(zip(rows, columns, strict=True))
                if all(distance[pair] < c for pair in pairs):
                    best = min(best, (sum(distance[pair] for pair in pairs) + 0.5 * c * (n + m - 2 * k), pairs))
    return best[1]


def scattered(seed):
    """Up to four tracks, and objects, m, within some gates of each other, the tracks' sigmas, and the generator that drew them."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 5, 2)
    return rng.normal(size=(n, 3)) * 8e3, rng.normal(size=(m, 3)) * 8e3, rng.choice([1e3, 5e3, 30e3], n), rng


@given(st.integers(0, 2**32 - 1))
def test_matching_equals_its_definition(seed):
    """All partial pairings tried: of what is within 10 km, then of what is left within the tracks' own gates."""
    tracks, objects, sigma, _ = scattered(seed)
    found = placed(tracks, objects, sigma)
    gates = np.clip(4.0 * sigma, 10e3, 100e3)
    within = np.where(found.distance <= gates[:, None], found.distance, np.inf)
    near = dict(plain_pairs(within, 10e3))
    rows, columns = (np.setdiff1d(np.arange(k), list(taken)) for k, taken in zip(within.shape, (near, near.values()), strict=True))
    far = {rows[i]: columns[j] for i, j in plain_pairs(within[np.ix_(rows, columns)], 100e3)}
    assert found.object.tolist() == [(near | far).get(i, -1) for i in range(len(tracks))]
    double = (found.object < 0) & np.isfinite(within).any(axis=1)
    assert found.nearest.tolist() == np.where(double, np.argmin(within, axis=1), -1).tolist()


@given(st.integers(0, 2**32 - 1))
def test_a_track_that_stands_on_an_object_is_on_it(seed):
    """Whatever else is there and however blurred either is: by the triangle inequality no other pairing has a lower sum."""
    tracks, objects, sigma, rng = scattered(seed)
    i, j = rng.integers(len(tracks)), rng.integers(len(objects))
    tracks[i] = objects[j]
    assert placed(tracks, objects, sigma).object[i] == j


def test_match_names_duplicates_and_keeps_spurious_apart():
    truth = straight_truth([(0, 0, 0)], [TIMES])
    rows = [(4.0, "KOR", i, at(truth, 0, 4.0, (d, 0, 0))) for i, d in enumerate((100.0, 5e3, 300e3))]
    found = metrics.match(picture_of(rows), truth)
    assert found.object.tolist() == [0, -1, -1]
    assert found.nearest.tolist() == [-1, 0, -1]


def test_gate_follows_the_covariance_within_its_limits():
    P = np.eye(6)[None] * np.array([1e3, 10e3, 80e3])[:, None, None] ** 2
    assert metrics.gate_radius(P) == pytest.approx([10e3, 40e3, 100e3])


def test_objects_count_only_while_aloft():
    truth = straight_truth([(0, 0, 0), (50e3, 0, 0)], [TIMES, TIMES[20:31]])
    rows = [(t, "KOR", 0, at(truth, 0, t)) for t in (0.0, 10.0, 30.0, 40.0)] + [(40.0, "KOR", 1, at(truth, 1, 30.0, (0, 10e3, 0)))]
    s = metrics.score(picture_of(rows), truth, scenario())
    kor = s[s.node == 0]
    assert kor.time.tolist() == np.arange(0.0, 61.0, 2.0).tolist()
    assert kor.n_truth.tolist() == [2 if 20 <= t <= 30 else 1 for t in kor.time]
    late = kor[kor.time == 40.0]
    assert (late.n_track[0], late.n_matched[0], late.n_duplicate[0]) == (2, 1, 0)  # the second came down at 30 s: spurious
    assert kor.n_matched.sum() == 4


def test_score_of_a_perfect_and_of_an_empty_picture():
    truth = straight_truth([(0, 0, 0), (50e3, 0, 0)], [TIMES, TIMES])
    rows = [(t, node, i, at(truth, i, t)) for t in TIMES[::2] for node in ("KOR", "HUB") for i in (0, 1)]
    s = metrics.score(picture_of(rows), truth, scenario())
    for node in (0, 3):
        mine = s[s.node == node]
        assert mine.gospa.max() < 1e-6 and (mine.n_matched == 2).all() and mine.nees.max() < 1e-12
    for node in (1, 2):
        mine = s[s.node == node]
        assert mine.gospa == pytest.approx(10e3) and mine.missed == pytest.approx(1e8) and np.isnan(mine.nees).all()
    nothing = metrics.score(picture_of([]), truth, scenario())
    assert nothing.gospa == pytest.approx(10e3) and len(nothing) == 4 * 31


def test_score_agrees_with_the_plain_way():
    """Random tracks about random objects, each time and node scored by brute force."""
    rng = np.random.default_rng(3)
    truth = straight_truth(rng.uniform(-30e3, 30e3, (3, 3)), [TIMES] * 3)
    rows = [
        (t, node, k, at(truth, int(rng.integers(3)), t, rng.normal(size=3) * 5e3))
        for t in (0.0, 2.0, 4.0, 6.0)
        for node in ("KOR", "JPN", "USA", "HUB")
        for k in range(int(rng.integers(0, 4)))
    ]
    picture = picture_of(rows)
    s = metrics.score(picture, truth, scenario(duration=6.0))
    assert len(s) == 16
    for i in range(len(s)):
        mine = picture.x[(picture.time == s.time[i]) & (picture.node == s.node[i]), :3]
        real = np.array([at(truth, k, s.time[i])[:3] for k in range(3)])
        assert s.gospa[i] == pytest.approx(plain_gospa(real, mine, 10e3, 2.0), rel=1e-9)
        assert s.n_track[i] == len(mine)
        assert s.n_track[i] >= s.n_matched[i] + s.n_duplicate[i]


# Who saw what when ---------------------------------------------------------------------------------------------------


def made_run(rows, plots, truth, **options):
    return SimpleNamespace(scenario=scenario(), truth=truth, detections=plots_of(plots), picture=picture_of(rows, **options))


def test_sightings_tell_who_saw_what_when():
    """Ignition at 10 s; Korea plots at 15 s, tracks 20 to 40 s; Japan hears from 24 s and plots itself at 30 s."""
    truth = straight_truth([(0, 0, 0)], [np.arange(10.0, 61.0)], velocity=(0.0, 0.0, 1000.0))
    kor = [(float(t), "KOR", 7, at(truth, 0, t), 1) for t in range(20, 41, 2)]
    jpn = [(float(t), "JPN", 3, at(truth, 0, t), 1 if t < 30 else 3) for t in range(24, 61, 2)]
    double = [(30.0, "JPN", 4, at(truth, 0, 30.0, (2e3, 0, 0)), 2)]
    sizes = [30e3 if row[0] < 28 else 10e3 for row in kor + jpn + double]
    plots = [(11.0, 0, -1), (15.0, 0, 0), (16.0, 0, 0), (30.0, 1, 0)]
    seen = metrics.sightings(made_run(kor + jpn + double, plots, truth, impact_sigma=sizes))
    by = {s.node: s for s in seen}
    assert [s.node for s in seen] == ["KOR", "JPN", "USA", "HUB"] and {s.object for s in seen} == {"m0"}
    assert by["KOR"].first_plot.time == 5.0 and by["JPN"].first_plot.time == 20.0 and by["HUB"].first_plot.time == 5.0
    assert math.isnan(by["USA"].first_plot.time) and math.isnan(by["USA"].firm_track.time) and by["USA"].custody == 0.0
    assert by["KOR"].firm_track.time == 10.0 and by["KOR"].own
    assert by["JPN"].firm_track.time == 14.0 and not by["JPN"].own
    expected = frames.geodetic(at(truth, 0, 24.0)[None])[2][0]
    assert by["JPN"].firm_track.altitude == pytest.approx(expected, abs=1e-3)
    first, second = by["KOR"].ellipses  # the made-up forecast is the place where the missile is, going straight up
    assert (first.size, first.moment.time, first.miss) == (50e3, 18.0, pytest.approx(32e3))
    assert second.size == 10e3 and math.isnan(second.moment.time) and math.isnan(second.miss)
    # it goes along the Earth's axis: 24.9 km are left on the ground at 28 s, just outside 2.45 sigma of 10 km, less later
    assert by["KOR"].coverage == pytest.approx(10 / 11) and math.isnan(by["USA"].coverage)
    assert by["KOR"].lost.time == 30.0 and math.isnan(by["JPN"].lost.time)
    assert by["KOR"].custody == pytest.approx(11 / 26) and by["JPN"].custody == pytest.approx(19 / 26)
    assert (by["KOR"].tracks, by["KOR"].duplicates, by["JPN"].duplicates) == (1, 0, 1)
    assert by["JPN"].flight_time == 50.0


def test_sightings_leave_out_stages_and_debris():
    truth = straight_truth([(0, 0, 0), (9e3, 0, 0)], [TIMES, TIMES], kinds=["missile", "stage"])
    assert len(metrics.sightings(made_run([], [], truth))) == 4


def test_a_sensor_that_the_scenario_lacks_is_refused():
    with pytest.raises(metrics.CopfuseError, match="JP-X"):
        metrics.own_sensors(["KR-A", "JP-X"], scenario(), 0)


@pytest.mark.parametrize("objects, seconds, step", [(1, 4000.0, 2.0), (10, 600.0, 2.0)])
def test_score_is_quick(objects, seconds, step):
    """A fifth of a second each; ten times that still passes, a wrong power of n does not."""
    truth = straight_truth([(40e3 * i, 0, 0) for i in range(objects)], [np.arange(0.0, seconds + 1)] * objects, velocity=(0, 10.0, 0))
    rows = [(float(t), node, i, at(truth, i, t)) for t in np.arange(0.0, seconds, step) for node in metrics.NODES for i in range(objects)]
    picture = picture_of(rows)
    start = clock.process_time()
    s = metrics.score(picture, truth, scenario(step))
    spent = clock.process_time() - start
    print(f"score: {objects} objects, {len(picture)} rows, {spent:.2f} s")
    assert (s.n_matched[:-4] == objects).all() and spent < 4.0


def test_which_times_of_a_grid_are_held():
    grid, time = np.round(np.arange(0.0, 5.0, 0.1), 6), np.array([0.1, 0.30000000001, 0.3, 2.05, 4.9, 7.0])
    assert np.array_equal(metrics.among(grid, time), np.isin(grid, np.round(time, 6))) and metrics.among(grid, time).sum() == 3
    assert not metrics.among(grid, time[:0]).any()
