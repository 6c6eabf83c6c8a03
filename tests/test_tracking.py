"""Tracking on small scenarios: starts, confirms, keeps to its nation's plots, tells phases, and is consistent."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import copfuse as cf
from copfuse import accuracy, coasting, filters, forecast, frames, measures, pairing, tracking
from copfuse.association import Pairs
from copfuse.coasting import Live
from copfuse.constants import BOOST, GLIDE, MIDCOURSE, NODES, TERMINAL
from copfuse.kernels import motions
from copfuse.kernels.consider import common, consider, fall_matrix
from copfuse.motion import interpolate
from copfuse.pairing import Taken
from copfuse.phases import phase_probability
from copfuse.scanning import Scan, scans
from copfuse.tracking import FIRM_HITS, step


@pytest.fixture(scope="module")
def whole():
    """The default scenario with everything on, seed 0: scenario, truth, detections, tracks."""
    s = cf.load("hokkaido-2017")
    truth = cf.fly(s)
    d = cf.detect(truth, s, seed=0)
    return s, truth, d, cf.track(d, s)


def errors(tracks, truth):
    return tracks.x - interpolate(truth.time, truth.x, tracks.time)


def test_one_firm_track_per_nation_and_none_of_clutter(whole):
    s, truth, d, t = whole
    for node in range(3):
        firm = t[(t.node == node) & t.firm]
        assert len(np.unique(firm.track)) == 1
        assert (d.object[firm.detection] == 0).mean() > 0.99


def test_every_row_is_made_by_a_plot_of_its_own_nation(whole):
    s, _, d, t = whole
    nation = np.array([NODES.index(x.nation) for x in s.sensors])
    assert (nation[d.sensor[t.detection]] == t.node).all()
    assert (d.time[t.detection] == t.time).all()
    own = np.array([sum(1 << i for i, x in enumerate(s.sensors) if NODES.index(x.nation) == n) for n in range(3)], np.uint64)
    assert ((t.sensors & ~own[t.node]) == 0).all() and ((t.sensors >> d.sensor[t.detection].astype(np.uint64)) & np.uint64(1) == 1).all()


def test_firm_means_hits_and_score(whole):
    _, _, _, t = whole
    assert (t.hits[t.firm] >= FIRM_HITS).all() and (t.llr[t.firm] > 0).all() and not t.firm[t.hits < FIRM_HITS].any()


def test_phases_follow_the_truth(whole):
    """While the engine burns boost is the likelier phase, 15 s after it is out midcourse is, and never terminal above 100 km."""
    _, truth, _, t = whole
    burnout = truth.time[truth.phase == BOOST][-1]
    firm = t[t.firm & (t.hits > 10)]
    boosting, after = firm[firm.time < burnout], firm[firm.time > burnout + 15.0]
    assert (boosting.phase_probability.argmax(axis=1) == BOOST).mean() > 0.95
    assert (after.phase_probability.argmax(axis=1) == MIDCOURSE).mean() > 0.95
    high = frames.altitude(firm.x) > 110e3
    assert (firm.phase_probability[high, TERMINAL] == 0).all()


@pytest.mark.parametrize(
    ("height", "climb", "burnt", "most"), [(500e3, 4000.0, False, 1.0), (500e3, 4000.0, True, 0.5), (500e3, -4000.0, False, 0.5)]
)
def test_few_plots_of_a_climb_do_not_tell_that_an_engine_is_out(height, climb, burnt, most):
    """The last stage of a lofted ICBM burns at 500 km, too; what falls there or has been seen to burn out does not."""
    up = frames.enu_axes(0.7, 2.2)[2]
    x6 = np.r_[frames.ecef(0.7, 2.2, height), climb * up][None]
    bank = filters.bank(0.0, x6, np.diag([1e6] * 3 + [1e4] * 3)[None], [[0.01, 0.95, 0.01, 0.01, 0.02]])
    boosting = phase_probability(bank, np.array([burnt]))[0, BOOST]
    assert boosting < 0.1 if most < 1.0 else boosting >= 0.5


def test_covariances_are_symmetric_positive_definite(whole):
    _, _, _, t = whole
    for P in (t.P, t.P_common):
        assert np.allclose(P, np.swapaxes(P, 1, 2), rtol=1e-9, atol=1e-9) and np.linalg.eigvalsh(P)[:, 0].min() > 0
    assert np.linalg.eigvalsh(t.P - t.P_common)[:, 0].min() > -1e-6


def test_errors_lie_within_their_covariances_despite_biases(whole):
    """Midcourse: 95 % of rows within 5 sigma of their own covariance, whatever the sensors' biases (they are unknown to the filter)."""
    _, truth, _, t = whole
    firm = t[t.firm & (t.time > truth.time[truth.phase == BOOST][-1] + 15.0) & (t.time < 430.0)]
    e = errors(firm, truth)
    d2 = np.einsum("ni,ni->n", e, np.linalg.solve(firm.P, e[..., None])[..., 0])
    assert np.quantile(d2, 0.95) < 25.0 + 6.0
    bare = cf.track(whole[2][whole[2].time < 430.0], dataclasses.replace(whole[0], bias=0.0))
    bare = bare[bare.firm & (bare.time > 180.0) & (bare.time < 430.0)]
    e = errors(bare, truth)
    assert np.einsum("ni,ni->n", e, np.linalg.solve(bare.P, e[..., None])[..., 0]).mean() > 2 * d2.mean()  # what ignoring them costs


def test_same_input_same_bytes(whole):
    s, _, d, t = whole
    early = d[d.time < 150.0]
    assert cf.track(early, s).uid == cf.track(early, s).uid != t.uid


def test_step_is_pure(whole):
    s, _, d, _ = whole
    live = Live.empty()
    for k, scan in enumerate(scans(d, s)):
        if scan.node == 0:
            before = {n: getattr(live, n).copy() for n in ("number", "hits", "llr", "firm", "sensors")}
            x = live.bank.x.copy()
            once, twice = step(live, scan), step(live, scan)
            assert all(np.array_equal(getattr(live, n), v) for n, v in before.items()) and np.array_equal(live.bank.x, x)
            assert np.array_equal(once[0].bank.x, twice[0].bank.x) and np.array_equal(once[0].number, twice[0].number)
            live = once[0]
        if k > 300:
            break
    assert len(live) > 0


def test_no_plots_no_tracks(whole):
    s, _, d, _ = whole
    assert len(cf.track(d[np.zeros(len(d), bool)], s)) == 0


def test_one_node_may_take_every_plot(whole):
    s, _, d, t = whole
    hub, t = cf.track(d[d.time < 280.0], s, node="HUB"), t[t.time < 280.0]
    assert (hub.node == NODES.index("HUB")).all() and len(np.unique(hub.track[hub.firm])) == 1
    both = [np.sqrt(np.trace(x.P[x.firm & (x.time > 180)][:, :3, :3], axis1=1, axis2=2)).mean() for x in (hub, t[t.node == 0])]
    assert both[0] < both[1]


def test_two_objects_are_two_tracks_per_nation():
    """Two of the salvo's missiles from one site a minute apart: every nation that holds both gives them different numbers."""
    s = cf.load("salvo-2022")
    s = dataclasses.replace(s, launches=s.launches[1:3])
    truth = cf.fly(s)
    d = cf.detect(truth, s, seed=0)
    t = cf.track(d, s)
    for node in range(3):
        firm = t[(t.node == node) & t.firm]
        label = d.object[firm.detection]
        for number in np.unique(firm.track):
            mine = label[firm.track == number]
            assert (mine == np.bincount(mine[mine >= 0]).argmax()).mean() > 0.97


def test_fall_matrix_is_the_derivative_of_free_fall():
    x = np.r_[frames.ecef(0.7, 2.2, 300e3), [1000.0, 3000.0, 1500.0]]
    F = np.zeros((6, 6))
    fall_matrix(x, 10.0, F)
    for i in range(6):
        ends = []
        h = 10.0 if i < 3 else 0.1
        for sign in (1, -1):
            s = np.r_[x, np.zeros(3)]
            s[i] += sign * h
            filters.motions.propagate(1, 6, s, 10.0, np.zeros((4, 9)), np.zeros(9))
            ends.append(s[:6])
        column = (ends[0] - ends[1]) / (2 * h)
        assert np.allclose(F[:, i], column, rtol=0, atol=2e-6 * np.maximum(np.abs(column).max(), 1))  # J2 is left out of F


def plain_common(time, P, prior, F):
    """The noise half of the covariance recursion, in plain matrices, for one track."""
    D = np.zeros((6, 6))
    D[3:, 3:] = P[0][3:, 3:]
    out = [D]
    for k in range(1, len(time)):
        Q = prior[k] - F @ P[k - 1] @ F.T
        left = P[k] @ np.linalg.inv(prior[k])
        D = left @ (F @ D @ F.T + Q) @ left.T
        out.append(D)
    return np.array(out)


def test_common_part_equals_two_filters_on_one_object():
    """Two Kalman filters with plots of their own and one process noise: the recursion gives their cross-covariance.

    The exact cross-covariance follows from the joint recursion of both filters (Bar-Shalom 1981)."""
    x = np.r_[frames.ecef(0.7, 2.2, 300e3), [1000.0, 3000.0, 1500.0]]
    F = np.zeros((6, 6))
    fall_matrix(x, 1.0, F)
    H, Q = np.eye(3, 6), np.kron([[1 / 3, 1 / 2], [1 / 2, 1.0]], np.eye(3)) * 4.0
    P, cross = [np.diag([100.0] * 3 + [400.0] * 3)], np.diag([0.0] * 3 + [400.0] * 3)
    prior, crosses = [P[0]], [cross]
    for _ in range(30):
        M = F @ P[-1] @ F.T + Q
        K = M @ H.T @ np.linalg.inv(H @ M @ H.T + 25.0 * np.eye(3))
        left = np.eye(6) - K @ H
        cross = left @ (F @ cross @ F.T + Q) @ left.T
        prior.append(M)
        P.append(left @ M)
        crosses.append(cross)
    D = np.zeros((31, 6, 6))
    rows = np.tile(x, (31, 1))
    common(np.zeros(31, int), np.arange(31.0), rows, *2 * (np.array(P), np.array(prior)), np.ones(31), 1, D)
    assert np.allclose(D, crosses, rtol=1e-5, atol=1e-5)
    assert np.allclose(D, plain_common(np.arange(31.0), P, prior, F), rtol=1e-5, atol=1e-5)


def plain_moves(x, origin, axes, cosines):
    """Columns by range and two angles (or u, v): what one unit more, the others kept, moves position and velocity by."""

    def seen(p):
        d = axes @ (p - origin)
        r = np.linalg.norm(d)
        return np.array([r, d[0] / r, d[2] / r] if cosines else [r, np.arctan2(d[0], d[1]), np.arcsin(d[2] / r)])

    slope = np.transpose([(seen(x[:3] + step) - seen(x[:3] - step)) / 20.0 for step in 10.0 * np.eye(3)])
    shift, away = np.linalg.inv(slope), x[:3] - origin
    turn = np.cross(away, shift.T) / (away @ away)
    turn[0] = 0.0
    if not cosines:
        turn[1] = -axes[2]
    return np.vstack([shift, np.cross(turn, x[3:]).T])


def test_consider_covariance_of_many_sensors_is_that_of_error_and_biases_together():
    """Eleven sensors of both kinds, two tracks, one bias that nobody has: each row against the whole covariance, carried on at once."""
    rng, m, n = np.random.default_rng(8), 11, 40
    track, sensor, time = rng.integers(0, 2, n), np.r_[rng.permutation(m), rng.integers(0, m, n - m)], np.sort(rng.uniform(0.0, 60.0, n))
    x = np.column_stack([rng.normal(0.0, 2e4, (n, 3)) + [6.6e6, 0.0, 0.0], rng.normal(0.0, 2e3, (n, 3))])
    place = np.array([6.4e6, 0.0, 0.0]) + rng.normal(0.0, 3e5, (m, 3))
    facing = np.array([np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(m)])
    facing[:, 0] *= np.linalg.det(facing)[:, None]
    sigma = np.ones((n, 4))
    sigma[::4, 0] = np.nan
    root = rng.normal(size=(n, 6, 6)) + 2.0 * np.eye(6)
    before = root @ np.swapaxes(root, 1, 2)
    after = np.linalg.inv(np.linalg.inv(before) + np.diag([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))  # places were seen
    cosines, bias, lasts = np.arange(m) % 2, np.column_stack([np.full(m, 50.0), np.full((m, 2), 2e-3)]), rng.uniform(30.0, 90.0, m)
    bias[3, 1] = 0.0
    B = np.zeros((n, 6, 6))
    consider(track, sensor, time, x, after, before, sigma, place[sensor], facing[sensor], cosines, 2, m, bias, lasts, B)
    for t in range(2):
        whole, last, own = np.diag(np.r_[np.zeros(6), bias.ravel() ** 2]), None, np.repeat(lasts, 3)
        for row in np.flatnonzero(track == t):
            s, moves = sensor[row], np.zeros((6, 3 * m))
            moves[:, 3 * s : 3 * s + 3] = np.where(np.isnan(sigma[row, :3]), 0.0, plain_moves(x[row], place[s], facing[s], cosines[s]))
            kept, gain, F = np.zeros((6, 6)), np.diag([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]), np.eye(6)
            fade = np.ones(3 * m)
            if last is not None:
                fall_matrix(x[last], time[row] - time[last], F)
                kept, fade = after[row] @ np.linalg.inv(before[row]), np.exp((time[last] - time[row]) / own)
                gain = np.eye(6) - kept
            older = np.block([[F, np.zeros((6, 3 * m))], [np.zeros((3 * m, 6)), np.diag(fade)]])
            whole = older @ whole @ older.T
            whole[6:, 6:] += np.diag((1.0 - fade**2) * bias.ravel() ** 2)
            seen = np.block([[kept, gain @ moves], [np.zeros((3 * m, 6)), np.eye(3 * m)]])
            whole, last = seen @ whole @ seen.T, row
            np.testing.assert_allclose(B[row], whole[:6, :6], rtol=1e-5, atol=1e-6 * np.abs(B[row]).max())


def test_consider_covariance_of_one_radar_is_its_rigid_motion():
    """What plots alone say moves as one with the radar's range and angles: shifts found by moving the plot itself."""
    site = np.radians(38.0), np.radians(128.0)
    origin, axes = frames.ecef(*site, 0.0), frames.enu_axes(*site)
    x = np.r_[frames.ecef(np.radians(40.0), np.radians(131.0), 200e3), [500.0, 2500.0, 900.0]]
    bias = np.array([[30.0, 4e-4, 3e-4]])
    B, zero, both = np.zeros((2, 6, 6)), np.zeros(2, int), (np.tile(1e-9 * np.eye(6), (2, 1, 1)), np.tile(np.eye(6), (2, 1, 1)))
    args = zero, zero, np.arange(2.0), np.tile(x, (2, 1)), *both, np.array([[1.0, 1.0, 1.0, np.nan]] * 2)
    consider(*args, np.tile(origin, (2, 1)), np.tile(axes, (2, 1, 1)), np.zeros(1, int), 1, 1, bias, np.array([np.inf]), B)
    r, az, el, _ = frames.look(x[None], origin, axes)[0]
    want = np.zeros((3, 3))
    for k in range(3):
        step_ = np.eye(3)[k] * bias[0]
        ends = [frames.point(r + sign * step_[0], az + sign * step_[1], el + sign * step_[2], origin, axes)[0] for sign in (1, -1)]
        moved = (ends[0] - ends[1]) / 2
        want += np.outer(moved, moved)
    assert np.allclose(B[:, :3, :3], want, rtol=1e-3, atol=1e-3 * np.trace(want))
    speed = np.sqrt(np.trace(B[1, 3:, 3:]))
    assert 0.5 * np.linalg.norm(x[3:]) * 4e-4 < speed < 2 * np.linalg.norm(x[3:]) * 5e-4


def test_covariances_allow_for_biases_as_large_as_what_they_leave():
    """Eight flights under biased sensors, above the air: squared errors of place and speed over their variances, at the nation that sees
    most.  Told as if a bias moved the target at random, speeds were thought ten times as uncertain as they are."""
    s = dataclasses.replace(cf.load("hokkaido-2017"), clutter=0.0, duration=330.0)
    truth = cf.fly(s)
    usa = np.array([x.nation == "USA" for x in s.sensors])
    place, speed = [], []
    for seed in range(8):
        d = cf.detect(truth, s, seed=seed)
        t = cf.track(d[usa[d.sensor] & (d.time > 120.0)], s)
        t = t[t.firm & (t.time > 200.0)][::20]
        squared, variance = errors(t, truth) ** 2, np.einsum("nii->ni", t.P)
        place.append((squared[:, :3] / variance[:, :3]).mean())
        speed.append((squared[:, 3:] / variance[:, 3:]).mean())
    assert 0.4 < np.mean(place) < 2.0 and 0.25 < np.mean(speed) < 2.0


def test_more_sensors_than_bits_are_refused(whole):
    s, _, d, _ = whole
    many = tuple(dataclasses.replace(s.sensors[0], name=f"KR-{i}") for i in range(65))
    with pytest.raises(cf.CopfuseError, match="has 65 sensors"):
        cf.track(d, dataclasses.replace(s, sensors=many))


def test_a_track_is_followed_through_a_gap_above_the_air(whole):
    """Three minutes without a plot in free flight: the same track goes on; without the rule another begins."""
    s, truth, d, _ = whole
    usa = np.array([x.nation == "USA" for x in s.sensors])
    mine = d[usa[d.sensor] & (d.object == 0) & ((d.time < 250.0) | (d.time > 430.0))]
    t = cf.track(mine, s)
    assert (cf.track(mine, s, association="mht").x == t.x).all()  # one leaf, predicted over the gap in the same step
    before, after = t[t.firm & (t.time < 250.0)], t[t.firm & (t.time > 440.0)]
    assert set(after.track) <= set(before.track) and len(set(after.track)) == 1


def test_ended_are_the_firm_tracks_that_are_followed_no_more_and_no_others(whole):
    """Each by the plot of its last row; what merely has no plots, and is foreseen, is not among them."""
    s, _, d, _ = whole
    usa = np.array([x.nation == "USA" for x in s.sensors])
    mine = d[usa[d.sensor] & (d.object == 0) & ((d.time < 250.0) | (d.time > 430.0))]
    for plots, rule, over in ((mine[mine.time < 431.0], "gnn", 0), (d, "gnn", 1), (d, "jpda", 1), (d, "mht", 1)):
        states = {}
        rows = list(tracking.follow(states, plots, s, None, rule))
        t = tracking.table(rows, states, plots, s, rule)
        ended = {(NODES.index(k), n): (plot, at) for k, some in t.meta["ended"].items() for n, plot, at in some}
        live = {(k, n) for k, one in states.items() for n in one.number.tolist()}
        firm = set(zip(t.node[t.firm].tolist(), t.track[t.firm].tolist(), strict=True))
        assert ended.keys() == firm - live and len(ended) >= over
        for (k, n), (plot, at) in ended.items():
            last = np.flatnonzero((t.node == k) & (t.track == n))[-1]
            assert t.detection[last] == plot and t.time[last] <= at and t.firm[last]


def lone(x, sigma, mu, burnt):
    """A firm track at 200 s, position known to 30 m and velocity to ``sigma`` m/s an axis."""
    bank = filters.bank(200.0, x, np.diag([30.0**2] * 3 + [sigma**2] * 3)[None], np.array(mu))
    some = dataclasses.replace(Live.empty(), bank=bank, **{n: np.ones(1) for n in ("hits", "llr", "revisit")})
    some = dataclasses.replace(some, number=np.zeros(1, int), firm=np.ones(1, bool), burnt=np.array([burnt]), seen=np.full(1, 200.0))
    never = {
        "lit": np.full(1, -np.inf),
        "above": np.zeros(1),
        "slow": np.full(1, np.inf),
        "echoes": np.ones(1),
        "strength": np.full(1, 0.05),
        "misfit": np.zeros(1),
    }
    return dataclasses.replace(some, sensors=np.ones(1, np.uint64), doubt=np.zeros(1), **never)


@pytest.mark.parametrize("seen_by, kept", [(1, [0]), (2, [0, 1])])  # the sensor itself; another one
def test_a_track_is_dropped_by_whose_plots_go_to_another_at_a_sensor_that_should_see_it(seen_by, kept):
    """A target, seen every second, and 3 km beside it a firm track, known to 3 km, that never has a plot."""
    target = np.r_[frames.ecef(np.radians(38.0), np.radians(130.0), 150e3), 0.0, 900.0, 0.0]
    bank = filters.bank(
        200.0, target + np.outer([0.0, 1.0], [3e3, 0, 0, 0, 0, 0]),
        np.stack([np.diag([s**2] * 3 + [10.0**2] * 3) for s in (100.0, 3e3)]), np.array([[0.01, 0.97, 0.01, 0.005, 0.005]] * 2),
    )  # fmt: skip
    two, ones = Live.empty(), np.ones(2)
    columns = {
        "hits": np.ones(2, int),
        "llr": 20 * ones,
        "revisit": ones,
        "seen": 200 * ones,
        "doubt": 0 * ones,
        "lit": -np.inf * ones,
        "above": 0 * ones,
        "slow": np.inf * ones,
        "echoes": ones,
        "strength": 0.05 * ones,
        "misfit": 0 * ones,
        "burnt": ones > 0,
    }
    live = dataclasses.replace(two, bank=bank, number=np.arange(2), firm=ones > 0, sensors=np.array([1, seen_by], np.uint64), **columns)
    site = frames.ecef(np.radians(37.0), np.radians(127.0), 0.0)
    axes = frames.enu_axes(np.radians(37.0), np.radians(127.0))
    for k in range(1, 11):
        z = frames.look(filters.predict(bank, 200.0 + k).x6[:1], site, axes)
        scan = Scan(200.0 + k, 0, 0, np.array([k]), z, np.array([[50.0, 1e-3, 1e-3, 5.0]]), site, axes, -20.0, 1.0)
        assert live.number.tolist() == [0, 1]
        live, _ = step(live, scan)
    assert live.number.tolist() == kept


@pytest.mark.parametrize("seed", [0, 1])
def test_no_track_stands_still_where_many_pass_in_turn(seed):
    """Missiles 2.5 km behind one another at 1250 m/s, seen from the side every 2 s to 1 km: each comes to where the last one was.

    The foremost has been seen alone for a while when all the others come into view.
    """
    site, axes = frames.ecef(np.radians(37.0), np.radians(120.0), 0.0), frames.enu_axes(np.radians(37.0), np.radians(120.0))
    first = np.r_[frames.ecef(np.radians(37.0), np.radians(126.0), 90e3), 0.0, 0.0, 1250.0]
    fall = filters.bank(0.0, first[None], np.eye(6)[None], np.array([[1e-9, 1.0, 1e-9, 1e-9, 1e-9]]))
    path = np.array([filters.predict(fall, 2.0 * k).x6[0] for k in range(12)])
    sigma, rng = np.array([20.0, 2e-3, 2e-3, np.nan]), np.random.default_rng(seed)
    live = Live.empty()
    for k in range(-8, 3):
        there = path[k + 8 : k + 9] if k < 0 else path[k : k + 9]
        z = frames.look(there, site, axes) + rng.normal(size=(len(there), 4)) * sigma
        scan = Scan(2.0 * k, 0, 0, np.arange(len(z)), z, np.tile(sigma, (len(z), 1)), site, axes, -17.0, 2.0)
        live, _ = step(live, scan)
    speed = np.linalg.norm(live.bank.x6[live.firm, 3:], axis=1)
    assert len(speed) == 9 and speed.min() > 700.0 and speed.max() < 1800.0


def test_doubt_counts_what_others_have_and_forgets_what_was_good():
    """Four tracks and two plots: it has one; its gate holds that one; its gate holds a plot of nobody's; nothing is near it."""
    live = dataclasses.replace(Live.empty(), sensors=np.ones(4, np.uint64), doubt=np.array([0.5, 1.0, 1.0, 1.0]))
    none = np.zeros(3)
    pairs = Pairs(np.array([0, 1, 2, 3]), np.array([0, 0, 1]), none, none, 2)
    taken = Taken(np.array([0]), np.array([0]), live.bank, live.bank, none[:1], np.ones(1), np.array([True, False]))
    scan = Scan(0.0, 0, 0, np.arange(2), np.zeros((2, 4)), np.ones((2, 4)), np.zeros(3), np.eye(3), -20.0, 1.0)
    found = tracking.doubted(live, scan, np.array([0, 1, 2]), pairs, taken)
    np.testing.assert_allclose(found, [0.0, 1.0 + np.log(0.85 / 0.5), 1.0, 1.0])
    assert live.doubt.tolist() == [0.5, 1.0, 1.0, 1.0]


def test_false_plots_without_range_rates_are_as_dense_as_they_are(monkeypatch):
    """All radars' plots of a salvo at one node, range rates left out.

    A false plot is 8000 times less dense per m/s of a range rate; were that counted where there is none, false plots of forty
    seconds would make a track, known to 35 km.
    """
    s = dataclasses.replace(cf.load("salvo-2-2019"), bias=0.0)
    d = cf.detect(cf.fly(s), s, seed=0)
    ranged = np.array([x.kind == "radar" for x in s.sensors])
    d = d[ranged[d.sensor] & (d.time < 80.0)]
    bare = dataclasses.replace(d, z=np.where(np.arange(4) == 3, np.nan, d.z))
    for one, other in zip(scans(d, s), scans(bare, s), strict=True):
        rated = np.isfinite(one.z[:, 3]).any()
        assert other.log_density - one.log_density == pytest.approx(np.log(8000.0) if rated else 0.0)
    monkeypatch.setattr(tracking, "FIRM_SIGMA", np.inf)
    assert accuracy.false_tracks(cf.track(bare, s, node="HUB"), bare) == 0


def test_what_nobody_sees_goes_on_while_it_is_foreseen():
    """A lone track without scans: followed until it comes down through 100 km, dropped at once where it is known too badly."""
    s = cf.load("hokkaido-2017")
    truth = cf.fly(s)
    path = truth[truth.object == 0]
    x = interpolate(path.time, path.x, np.array([200.0]))
    descent = path.time[np.flatnonzero(path.phase == TERMINAL)[0]]
    for sigma, last in ((0.3, descent), (30.0, 200.0 + coasting.FORESEEN / (30.0 * np.sqrt(3.0)))):
        one = lone(x, sigma, [0.0, 1.0, 0.0, 0.0, 0.0], True)
        for time in np.arange(201.0, 1200.0, 1.0):
            one, drop = coasting.coasted(one, time)
            if drop[0]:
                break
        assert time == pytest.approx(last, abs=12.0 if sigma < 1 else 45.0)
        if sigma < 1:
            np.testing.assert_allclose(one.bank.x6[0, :3], interpolate(path.time, path.x, one.bank.time)[0, :3], atol=100.0)


def test_plots_of_what_falls_above_the_air_wait_for_the_next_one_as_a_firm_track_does():
    """One or two, half a minute, but `HOLD_TENTATIVE` of what may well burn, and in the air."""
    s = cf.load("hokkaido-2017")
    path = cf.fly(s)
    path = path[path.object == 0]
    descent = path.time[np.flatnonzero(path.phase == TERMINAL)[0]]
    falls, burns = [0.05, 0.9, 0.0, 0.0, 0.05], [0.2, 0.7, 0.0, 0.0, 0.1]
    for hits, mu, of, last in (
        (2, falls, 200.0, coasting.HOLD), (1, falls, 200.0, coasting.HOLD), (2, burns, 200.0, coasting.HOLD_TENTATIVE),
        (2, falls, descent, coasting.HOLD_TENTATIVE),
    ):  # fmt: skip
        one = lone(interpolate(path.time, path.x, np.array([of])), 300.0, mu, False)
        one = dataclasses.replace(one, firm=np.zeros(1, bool), hits=np.array([hits]))
        ends = [bool(coasting.coasted(one, 200.0 + last + late)[1][0]) for late in (-0.1, 0.1)]
        assert ends == [False, True], (hits, mu, of)


@pytest.mark.parametrize("ranged, height, later, claimed", [
    (True, 400e3, 20.0, True), (False, 400e3, 4.0, True), (False, 400e3, 20.0, False), (True, 160e3, 4.0, True), (True, 160e3, 20.0, False),
])  # fmt: skip
def test_what_waits_takes_only_plots_above_the_air(ranged, height, later, claimed):
    """One plot of something up there, and where it may be in 4 or 20 s a radar's plot, or a satellite's line of sight."""
    place = np.r_[frames.ecef(np.radians(38.0), np.radians(130.0), height), 0.0, 0.0, 0.0]
    one = lone(place[None], 2500.0, [[0.08, 0.81, 0.03, 0.01, 0.07]], False)
    one = dataclasses.replace(one, firm=np.zeros(1, bool), hits=np.ones(1, int), next_number=1)
    site, axes = frames.ecef(0.0, np.radians(105.0), 35_786e3), np.eye(3)
    sigma = np.array([[50.0 if ranged else np.nan, 2e-5, 2e-5, np.nan]])
    z = frames.look(place[None] + np.r_[1e3 * later, 0.0, -1e3 * later, np.zeros(3)], site, axes) * np.where(np.isnan(sigma), np.nan, 1.0)
    live, rows = step(one, Scan(200.0 + later, 0, 0, np.arange(1), z, sigma, site, axes, -20.0, 1.0))
    assert rows is not None and rows["track"].tolist() == [0 if claimed else 1] and live.number.tolist() == ([0] if claimed else [0, 1])


def test_what_waits_is_compared_with_no_plot_that_nothing_falls_to_in_the_time():
    """Plots 150 and 300 km away from where something was seen once 20 s ago: 9 km/s do not bring it to the second."""
    place = np.r_[frames.ecef(np.radians(38.0), np.radians(130.0), 400e3), 0.0, 0.0, 0.0]
    one = lone(place[None], 2500.0, [[0.08, 0.81, 0.03, 0.01, 0.07]], False)
    one = dataclasses.replace(one, firm=np.zeros(1, bool), hits=np.ones(1, int))
    site, axes, sigma = frames.ecef(np.radians(38.0), np.radians(128.0), 0.0), np.eye(3), np.array([50.0, 1e-4, 1e-4, np.nan])
    z = frames.look(place + np.outer([150e3, 300e3], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]), site, axes)
    scan = Scan(220.0, 0, 0, np.arange(2), z, np.tile(sigma, (2, 1)), site, axes, -20.0, 1.0)
    assert pairing.reachable(one.bank, 220.0, *scan.seen)[1].tolist() == [0, 1]
    start, plot = coasting.within_reach(one, scan)
    assert plot.tolist() == [0] and start.tolist() == [0, 1]


def test_an_hour_unseen_bends_what_is_known():
    """A lofted fall known to 30 m and 2.5 m/s: an hour on, true falls drawn from that lie in the covariance; steps of 20 s lose that."""
    truth = cf.fly(cf.load("lofted-icbm-2022"))
    path = truth[truth.object == 0]
    one = lone(interpolate(path.time, path.x, np.array([330.0])), 2.5, [0.0, 1.0, 0.0, 0.0, 0.0], True)
    one = dataclasses.replace(one, bank=dataclasses.replace(one.bank, time=np.array([330.0])), seen=np.array([330.0]))
    drawn = np.random.default_rng(0).multivariate_normal(one.bank.x6[0], one.bank.P6[0], 100)
    known = filters.bank(np.full(100, 330.0), drawn, np.tile(np.eye(6), (100, 1, 1)), np.tile(one.bank.mu, (100, 1)))
    there, step = filters.predict(known, 3900.0).x[:, motions.COAST, :6], one.bank
    for time in np.arange(360.0, 3901.0, 20.0):
        step = filters.weigh(filters.predict(step, time), coasting.FALLING)
        one, drop = coasting.coasted(one, time)
        assert not drop[0] and one.bank.time[0] >= time if time > 360.0 else 330.0
    once = measures.nees(there - one.bank.x6, np.tile(one.bank.P6, (100, 1, 1))).mean() / 6.0
    assert one.bank.time[0] == 3900.0 and 0.7 < once < 3.0
    assert measures.nees(there - step.x6, np.tile(step.P6, (100, 1, 1))).mean() / 6.0 > 2.0 * once


def test_biases_do_not_make_a_glider_of_what_falls(whole):
    """A radar's constant bias bends the path of what passes it by: in space that seems restless, but in the air it is no lift."""
    _, truth, _, t = whole
    height = frames.altitude(interpolate(truth.time, truth.x, t.time))
    fall = t.firm & (t.time > 900.0) & (height < 95e3) & (height > 60e3)
    assert fall.sum() > 5 and t.phase_probability[fall, GLIDE].max() < 0.2


@pytest.mark.parametrize("burnt", [False, True])
def test_what_may_burn_still_is_not_taken_to_fall(burnt):
    """One chance in seven that an engine burns: where it was once out it is doubt, where it never was the track is let go unseen."""
    s = cf.load("hokkaido-2017")
    truth = cf.fly(s)
    path = truth[truth.object == 0]
    one = lone(interpolate(path.time, path.x, np.array([200.0])), 3.0, [0.07, 0.85, 0.0, 0.0, 0.08], burnt)
    after, drop = coasting.coasted(one, 240.0)
    assert drop[0] != burnt and (after.bank.time[0] == 240.0) == burnt


def test_a_forecast_in_boost_allows_for_a_long_burn():
    """The lofted ICBM burns for five minutes: its 95 % impact ellipse holds the true point in nine of ten forecasts all the same."""
    s = dataclasses.replace(cf.load("lofted-icbm-2022"), bias=0.0)
    truth = cf.fly(s)
    burnout, held = truth.time[truth.phase == BOOST][-1], []
    usa = np.array([x.nation == "USA" for x in s.sensors])
    for seed in (0, 1):
        d = cf.detect(truth, s, seed=seed)
        t = cf.track(d[usa[d.sensor] & (d.object == 0) & (d.time < burnout)], s)
        t = t[t.firm & (t.time > 60.0)]
        t = t[np.unique(t.time // 5.0, return_index=True)[1]]
        point, P, _, _ = forecast.impact_point(t.x, t.P, t.log_beta, t.acceleration, t.phase_probability)
        held.append(measures.within_ellipse(point, P, truth.x[-1, :3]))
    assert np.concatenate(held).mean() >= 0.9


def test_an_infrared_plot_says_that_an_engine_burns():
    """Two angles alone cannot tell a burn from a fall; that there is a plot at all can."""
    s = dataclasses.replace(cf.load("lofted-icbm-2022"), bias=0.0, clutter=0.0)
    truth = cf.fly(s)
    d = cf.detect(truth, s, seed=0)
    infrared = np.array([x.kind == "infrared" for x in s.sensors])
    t = cf.track(d[infrared[d.sensor]], s)
    burning = t[t.firm & (t.hits > 5)]
    assert len(burning) > 20
    assert (burning.phase_probability[:, BOOST] > 0.9).mean() > 0.95


def test_weighing_is_bayes_rule_on_the_mixture():
    rng = np.random.default_rng(4)
    x6, P6 = rng.normal(size=(3, 6)) * 1e3 + 6.5e6, np.eye(6)[None] * [[[4.0]], [[9.0]], [[1.0]]]
    tracks = filters.bank(0.0, x6, P6, np.full((3, 5), 0.2), acceleration=np.full((3, 3), 7.0))
    tracks.x[:, 0, :6] += 10.0
    likelihood = np.array([1.0, 0.01, 0.5, 0.2, 0.7])
    new = filters.weigh(tracks, likelihood)
    mu = tracks.mu * likelihood / (tracks.mu * likelihood).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(new.mu, mu, rtol=1e-14)
    mean = np.einsum("nj,nji->ni", mu, tracks.x[:, :, :6])
    d = tracks.x[:, :, :6] - mean[:, None]
    cov = np.einsum("nj,njab->nab", mu, tracks.P[:, :, :6, :6]) + np.einsum("nj,nja,njb->nab", mu, d, d)
    np.testing.assert_allclose(new.x6, mean, rtol=1e-12)
    np.testing.assert_allclose(new.P6, cov, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(tracks.mu, 0.2)  # what came in is untouched


def test_what_may_still_burn_is_not_taken_to_fall_when_it_is_seen_no_more():
    """Two Japanese radars see a rising ICBM with gaps of half a minute, in which its second stage burns on: errors stay believable."""
    s = cf.load("lofted-icbm-2022")
    s = dataclasses.replace(s, bias=0.0, clutter=0.0, duration=220.0, sensors=tuple(x for x in s.sensors if x.name.startswith("JP-FPS5")))
    truth, nees = cf.fly(s), []
    path = truth[truth.object == 0]
    for seed in range(12):
        t = cf.track(cf.detect(truth, s, seed=seed), s)
        t = t[t.firm]
        d = t.x - interpolate(path.time, path.x, t.time)
        nees.append(np.einsum("ni,ni->n", d, np.linalg.solve(t.P, d[:, :, None])[:, :, 0]) / 6)
    assert len(np.concatenate(nees)) > 100 and np.concatenate(nees).max() < 10.0
