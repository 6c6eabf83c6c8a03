"""Entrants of the benchmark: what they are given and give back, fusion rules beside their pairwise twins, and that each of them tracks."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import copfuse as cf
from copfuse import entering, entrants, entrants_filters, entrants_fusion, entrants_naive, frames, fusion, metrics, network, rules, tracking
from copfuse.constants import NODES
from copfuse.entrants_filters import CUBATURE, EXTENDED, FILTERPY
from copfuse.errors import CopfuseError
from copfuse.frozen import blind, load
from copfuse.judging import judge
from copfuse.regimes import regime
from copfuse.scanning import scans
from made_cases import plots_to_hub, two_rockets

EXAMPLES = Path(__file__).parents[1] / "examples"
HUB = NODES.index("HUB")
BEGIN, END = 60.0, 95.0  # s of the short-range flight that are looked at here


@pytest.fixture(scope="module")
def case():
    return load("srbm")


@pytest.fixture(scope="module")
def given(case):
    """Blinded plots of half a minute of one flight, and their scenario."""
    plots, scenario = blind(case)
    return plots[(plots.time > BEGIN) & (plots.time < END)], replace(scenario, duration=END + 10.0)


def states(n, seed=0, s=1):
    """Estimates (n, s, 6) of n states by s sources with covariances of unlike shapes."""
    draw = np.random.default_rng(seed)
    scale = np.repeat([1e3, 30.0], 3)
    root = draw.standard_normal((n, s, 6, 6)) * scale[:, None] * 0.5 + np.diag(scale)
    x = np.r_[4e6, 3e6, 4e6, 1e3, 2e3, 1e3] + draw.standard_normal((n, s, 6)) * scale
    return x, root @ np.swapaxes(root, -1, -2)


# What is handed out --------------------------------------------------------------------------------------------------


def test_plots_come_when_they_arrive_each_once_and_none_before(given):
    plots, scenario = given
    came = entering.arrivals(plots, scenario)
    seen = []
    for now, rows in entering.feed(plots, scenario):
        assert (came[rows] <= now).all() and (came[rows] > now - scenario.picture_step).all()
        assert (np.diff(rows) > 0).all()
        seen += rows.tolist()
    end = entering.times(scenario)[-1]
    assert sorted(seen) == np.flatnonzero(came <= end).tolist()


def test_scans_in_order_wait_for_older_plots_and_say_which_rows_they_are(given):
    plots, scenario = given
    slow = replace(scenario, sensors=scenario.sensors, regime="plots")
    came, before, rows = entering.arrivals(plots, slow), -np.inf, []
    for now, batch in entering.scans_in_order(plots, slow):
        for scan in batch:
            assert scan.time >= before
            assert came[: scan.rows[-1] + 1].max() <= now  # all that is older is there
            np.testing.assert_array_equal(scan.z, plots.z[scan.rows])
            before = scan.time
            rows += scan.rows.tolist()
    assert rows == sorted(rows)


def test_positions_are_those_of_the_plots_with_their_spread(given):
    plots, scenario = given
    scan = next(s for s in scans(plots, scenario, "HUB") if np.isfinite(s.z[:, 0]).all() and not s.cosines)
    y, R = entering.positions(scan)
    r, az, el = scan.z[0, :3]
    local = r * np.array([np.cos(el) * np.sin(az), np.cos(el) * np.cos(az), np.sin(el)])
    np.testing.assert_allclose(scan.axes @ (y[0] - scan.origin), local, atol=1e-6)
    along = scan.axes.T @ local / r
    assert along @ R[0] @ along == pytest.approx(scan.sigma[0, 0] ** 2, rel=0.05)


# Pictures ------------------------------------------------------------------------------------------------------------


def test_a_picture_of_plain_arrays_has_forecasts_of_free_fall(case, given):
    _, scenario = given
    x = metrics.true_states(case.truth, np.array([80.0, 82.0]))[:, 0]
    P = np.diag(np.repeat([1e4, 100.0], 3))
    made = entering.picture([82.0, 80.0], [7, 7], x[::-1], [P, P], scenario)
    assert made.time.tolist() == [80.0, 82.0] and (made.node == HUB).all()
    np.testing.assert_array_equal(made.x, x)
    assert np.isfinite(made.impact_point).all() and (made.time_to_impact > 0).all()
    assert np.isnan(entering.picture([80.0], [7], x[:1], [P], scenario, impact=False).impact_point).all()
    some = entering.picture([80.0, 80.0], [1, 2], x[[0, 0]], [P, P], scenario, impact=np.array([True, False]))
    assert np.isfinite(some.impact_point).all(axis=1).tolist() == [True, False]
    own = np.ones((1, 3)), np.eye(3)[None], np.ones(1), np.ones(1)
    assert (entering.picture([80.0], [7], x[:1], [P], scenario, impact=own).impact_point == 1.0).all()
    assert len(entering.picture([], [], [], [], scenario)) == 0


def test_an_entrants_forecast_under_thrust_is_not_carried_past_burnout(case, given):
    """In free flight the last forecast serves for 1/200 of the time left; the first look at an engine that is out asks anew."""
    scenario, when = replace(given[1], picture_step=0.5), np.array([100.0, 100.5])
    x = metrics.true_states(case.truth, when)[:, 0]
    burning, falling = np.array([0.9, 0.1, 0.0, 0.0]), np.array([0.01, 0.99, 0.0, 0.0])

    def told(*phases, rows=(0, 1)):
        time, P = when[list(rows)], np.tile(np.diag([50.0**2] * 3 + [5.0**2] * 3), (len(rows), 1, 1))
        push = np.array([p[0] * 20.0 * v / np.linalg.norm(v) for p, v in zip(phases, x[list(rows), 3:], strict=True)])
        return entering.picture(time, np.full(len(rows), 7), x[list(rows)], P, scenario, phase=np.stack(phases), push=push)

    carried = told(falling, falling)
    assert np.array_equal(carried.impact_point[0], carried.impact_point[1])
    assert carried.time_to_impact[0] - carried.time_to_impact[1] == pytest.approx(0.5)
    after, alone = told(burning, falling), told(falling, rows=(1,))
    assert np.array_equal(after.impact_point[1], alone.impact_point[0])
    assert np.trace(after.impact_point_P[0]) > 25.0 * np.trace(after.impact_point_P[1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(time=[81.0]), "time is 81; needed: a picture time"),
        (dict(time=[1e6]), "needed: a picture time"),
        (dict(track=[-1]), "track is -1"),
        (dict(x=np.full((1, 6), np.nan)), "x is"),
        (dict(P=-np.eye(6)[None]), "row 0: P is not positive definite"),
        (dict(P=np.triu(np.ones((6, 6)))[None]), "symmetric"),
        (dict(x=np.zeros((1, 5))), r"x has shape \(1, 5\); \(1, 6\) is needed"),
        (dict(time=[80.0, 80.0], track=[1, 1], x=np.ones((2, 6)), P=np.stack([np.eye(6)] * 2)), "track 1 stands twice at 80 s"),
    ],
)
def test_rows_that_are_none_are_refused_in_a_sentence(given, change, said):
    rows = dict(time=[80.0], track=[0], x=np.ones((1, 6)), P=np.eye(6)[None]) | change
    with pytest.raises(CopfuseError, match=said):
        entering.picture(**rows, scenario=given[1], impact=False)


def test_a_return_value_that_is_no_picture_is_refused(given):
    with pytest.raises(CopfuseError, match="returns a copfuse Picture, not NoneType"):
        entering.usable(None, given[1])


def test_what_has_sunk_under_the_ground_is_not_aloft():
    up = frames.ecef(0.7, 2.2, np.array([-2e3, -2e3, 5e3]))
    down = -300.0 * up / np.linalg.norm(up, axis=1, keepdims=True)
    assert entering.aloft(np.hstack([up, down * np.array([[1.0], [-1.0], [1.0]])])).tolist() == [False, True, True]


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:f", "there is no module 'no_such_module'"),
        ("copfuse.no_such:f", "there is no module 'copfuse.no_such'"),
        ("copfuse.entering:no_such", "has no function 'no_such'; it has"),
        ("copfuse.entering:ON_GRID", "holds no function at 'ON_GRID'"),
        ("copfuse.entering:", "names no function"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(name, said):
    with pytest.raises(CopfuseError, match=said):
        entering.found(name)


def test_a_module_that_needs_what_is_missing_says_what(tmp_path, monkeypatch):
    (tmp_path / "needy.py").write_text("import not_installed_anywhere\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(CopfuseError, match="'needy' imports 'not_installed_anywhere', which is not installed"):
        entering.found("needy:f")


def test_the_table_of_entrants():
    names = list(entrants.ENTRANTS)
    assert names[0] == "gnn" and len(set(names)) == len(names) == 15
    for name, one in entrants.ENTRANTS.items():
        assert one.name == name and one.about.endswith(".") and entrants.entrant(name) is one
    with pytest.raises(CopfuseError, match="there is no entrant 'gn'.*'gnn'.*package.module:function"):
        entrants.entrant("gn")
    assert entrants.entrant("copfuse.entrants:gnn").about == "This package as it comes."


def test_without_stone_soup_its_entrants_say_how_to_get_it(given, monkeypatch):
    monkeypatch.delitem(sys.modules, "copfuse.entrants_soup", raising=False)
    monkeypatch.delattr(cf, "entrants_soup", raising=False)  # there where another file's test has imported it
    for name in [m for m in sys.modules if m.split(".")[0] == "stonesoup"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stonesoup", None)
    with pytest.raises(CopfuseError, match=r"stonesoup-gnn needs Stone Soup: pip install 'copfuse\[bench\]'"):
        entrants.entrant("stonesoup-gnn")(*given)


# Rules ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", rules.TOGETHER)
def test_several_sources_are_fused_pair_by_pair(rule):
    x, P = states(12, 1, 3)
    have = np.ones((12, 3), bool)
    have[::3, 2], have[::4, 1] = False, False
    D = 0.4 * P
    mean, cov = rules.together(rule, x, P, D, have)
    pair = {
        "split": None, "ci": rules.covariance_intersection, "independent": rules.independent,
        "ici": lambda *two: rules.inverse_covariance_intersection(*two, by="determinant"),
    }[rule]  # fmt: skip
    for k in range(len(x)):
        m, C = x[k, 0], P[k, 0]
        for s in np.flatnonzero(have[k, 1:]) + 1:
            if pair is None:
                break
            one = pair(m, C, x[k, s], P[k, s])
            m, C = one.x[0], one.P[0]
        if pair is not None or not have[k, 1:].any():
            np.testing.assert_allclose(mean[k], m, rtol=0, atol=2e-3)
            np.testing.assert_allclose(cov[k], C, rtol=1e-4, atol=1e-4 * np.abs(C).max())
    size = {name: np.linalg.det(rules.together(name, x, P, D, have)[1]) for name in ("independent", "split", "ci")}
    assert (size["independent"] <= size["split"] * (1 + 1e-9)).all() and (size["split"] <= size["ci"] * (1 + 1e-9)).all()


def test_the_rule_is_a_choice_of_fuse_and_so_is_whose_picture(given):
    plots, scenario = given
    tracks = tracking.track(plots, scenario)
    messages = network.share(tracks, scenario, "realtime")
    every = fusion.fuse(tracks, messages, scenario)
    hub = fusion.fuse(tracks, messages, scenario, nodes=("HUB",))
    assert hub.uid == every[every.node == HUB].uid  # nobody's picture depends on whether another's is made
    ci = fusion.fuse(tracks, messages, scenario, rule="ci", nodes=("HUB",))
    both = (hub.pedigree >= 0).sum(axis=1) > 1
    assert both.any() and (ci.track == hub.track).all()
    np.testing.assert_array_equal(ci.x[~both], hub.x[~both])
    assert (np.linalg.det(ci.P[both]) >= np.linalg.det(hub.P[both]) * (1 - 1e-9)).all()
    with pytest.raises(CopfuseError, match="'mean'"):
        fusion.fuse(tracks, messages, scenario, rule="mean")


def test_a_tracklet_never_takes_information_away():
    x, P = states(1, 2, 2)
    new = rules.tracklet(x[:, 0], P[:, 0], x[:, 1], 0.5 * P[:, 0])  # it seems to know half as much as before
    assert np.linalg.eigvalsh(new.Y[0]).max() < 0.0
    kept = entrants_fusion._learned(new, P[:, 1])
    assert np.abs(kept.Y).max() < 1e-12 * np.abs(new.Y).max() and np.abs(kept.y).max() < 1e-9 * np.abs(new.y).max()
    good = rules.tracklet(x[:, 0], P[:, 0], x[:, 1], 3.0 * P[:, 0])
    same = entrants_fusion._learned(good, P[:, 1])
    np.testing.assert_allclose(same.Y, good.Y, rtol=1e-6, atol=1e-9 * np.abs(good.Y).max())
    np.testing.assert_allclose(same.y, good.y, rtol=1e-6, atol=1e-9 * np.abs(good.y).max())


def test_tracks_travel_as_the_plots_would():
    plots = regime("plots")
    tracks = entrants_fusion.tracks_for_plots(plots)
    assert [k.ends for k in tracks.links] == [(k.source, k.target, "track") for k in plots.links]
    delays = np.array([k.delay for k in tracks.links])
    assert (delays == delays[:, :1]).all() and (delays > 0).all()
    assert [(k.loss, k.jitter, k.availability, k.outages) for k in tracks.links] == [
        (k.loss, k.jitter, k.availability, k.outages) for k in plots.links
    ]


# Filters of one model --------------------------------------------------------------------------------------------------


def flying(n=5):
    """States (n, 9) and covariances of things that fly and are pushed a little."""
    x, P = states(n, 3)
    P9 = np.zeros((n, 9, 9))
    P9[:, :6, :6], P9[:, range(6, 9), range(6, 9)] = P[:, 0], 25.0
    return np.hstack([x[:, 0], np.full((n, 3), 5.0)]), P9


def test_derivatives_are_those_of_the_functions(given):
    x, P = flying()
    h = np.full(len(x), 3.0)
    F = entrants_filters.transition(x, h)
    for k, step in enumerate(np.repeat([10.0, 0.1, 0.01], 3)):
        e = step * (np.arange(9) == k)
        numeric = (entrants_filters.moved(x + e, h) - entrants_filters.moved(x - e, h)) / (2 * step)
        np.testing.assert_allclose(F[:, :, k], numeric, rtol=0, atol=2e-5 * max(1.0, np.abs(numeric).max()))
    seen = next(scans(*given, "HUB"))
    for scan in (replace(seen, cosines=0), replace(seen, cosines=1)):
        H = entrants_filters.slope(x, scan)
        for k in range(6):
            e = 1.0 * (np.arange(9) == k)
            numeric = (entrants_filters.look(x + e, scan) - entrants_filters.look(x - e, scan)) / 2.0
            np.testing.assert_allclose(H[:, :, k], numeric, rtol=1e-4, atol=1e-9 + 1e-6 * np.abs(numeric).max())


def test_the_three_filters_agree_where_things_are_nearly_linear(given):
    x, P = flying()
    P = P * 1e-4
    scan = next(s for s in scans(*given, "HUB") if np.isfinite(s.z[:, :3]).all())
    made = []
    for by in (EXTENDED, CUBATURE, FILTERPY):
        xp, Pp = by.predict(x, P, np.linspace(0.5, 6.0, len(x)))
        expected = by.expect(xp, Pp, scan)
        z = expected[0] + 0.5 * scan.sigma[0]
        made.append(by.update(xp, Pp, z, np.repeat(scan.sigma[:1], len(x), axis=0), scan, expected))
    for new, cov in made[1:]:
        sigma = np.sqrt(np.einsum("naa->na", made[0][1]))
        assert (np.abs(new - made[0][0]) < 0.02 * sigma).all()
        np.testing.assert_allclose(cov / (sigma[:, :, None] * sigma[:, None]), made[0][1] / (sigma[:, :, None] * sigma[:, None]), atol=0.02)


def test_the_naive_one_gives_each_plot_to_one_track_the_nearest_pair_first():
    P, R = np.tile(np.eye(6), (3, 1, 1)), np.tile(np.eye(3), (2, 1, 1))
    x = np.zeros((3, 6))
    x[:, 0] = 0.0, 2.0, 50.0
    y = np.array([[1.5, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    track, plot = entrants_naive.nearest(x, P, y, R)
    assert dict(zip(track.tolist(), plot.tolist(), strict=True)) == {1: 0, 0: 1}


# Each of them ------------------------------------------------------------------------------------------------------------

NEAR = {"naive": 3e3, "enter_a_tracker:mine": 5e3, "tracklets": 2e3}  # m, median error at most, else 1 km
SOME = ("gnn", "jpda", "ekf", "split", "tracklets", "naive", "filterpy", "stonesoup-gnn", "enter_a_tracker:mine")


@pytest.mark.parametrize("name", SOME)
def test_an_entrant_follows_a_missile(name, case, given, monkeypatch):
    if name.startswith("stonesoup"):
        pytest.importorskip("stonesoup")
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = entering.usable(entrants.entrant(name)(*given), given[1])
    assert (made.node == HUB).all()
    score = metrics.score(made, case.truth, given[1])
    then = score[(score.node == HUB) & (score.time > BEGIN + 25.0) & (score.time < END - 5.0)]
    assert (then.n_matched == 1).mean() > 0.8
    assert np.nanmedian(then.position_error) < NEAR.get(name, 1e3)


@pytest.mark.parametrize("name", ["srbm", "pull-up", "delayed"])
def test_the_example_has_a_picture_of_single_missiles(name, monkeypatch):
    """Among false plots too; over links slower than its ten seconds an empty one."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", list(sys.path))
    frozen_case = load(name)
    figures = judge(entrants.entrant("enter_a_tracker:mine")(*blind(frozen_case)), frozen_case)
    assert figures["completeness"] > 0.8 or (name == "delayed" and figures["completeness"] == 0.0)


@pytest.mark.parametrize("name", ["naive", "stonesoup-gnn"])
def test_over_slow_links_a_rivals_track_is_no_staler_for_the_delay(name, tmp_path):
    """Plots come 18 s late, which is more than a track lasts without any: two of a missile's looks every 10 s are lost, no more."""
    if name.startswith("stonesoup"):
        pytest.importorskip("stonesoup")
    late = "delay_s = [18.0, 16.0, 20.0]"
    completeness = []
    for regime_name in ("plots", plots_to_hub(tmp_path / "late.toml", KOR=late, JPN=late)):
        case = two_rockets(regime_name, 240.0, 10.0, 4.0)
        completeness.append(judge(entrants.entrant(name)(*blind(case)), case)["completeness"])
    prompt, delayed = completeness
    assert prompt > 0.6 and prompt - delayed < 6 / 47  # of 47 looks at two missiles aloft four, and one that chance may add
