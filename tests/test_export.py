"""Stone Soup in and out: models to rounding against `frames.look`, round trips, and its metrics beside ours on one run."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import numpy as np
import pytest

import copfuse as cf
from conftest import picture_of, straight_truth
from copfuse import customary, export, fairness, frames, frozen, judging, measures, metrics, network, scanning, sensors, simulate, tracking
from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.fusion import fuse
from copfuse.tables import Detections, stack
from made_cases import two_rockets

pytest.importorskip("stonesoup")
from stonesoup.dataassociator.tracktotrack import TrackToTruth
from stonesoup.measures import Euclidean
from stonesoup.metricgenerator.manager import MultiManager
from stonesoup.metricgenerator.ospametric import GOSPAMetric, OSPAMetric
from stonesoup.metricgenerator.tracktotruthmetrics import SIAPMetrics
from stonesoup.models.measurement.linear import LinearGaussian
from stonesoup.types.detection import Detection
from stonesoup.types.state import GaussianState, State
from stonesoup.types.track import Track

from copfuse import soup

LAYDOWN = {s.name: s for s in sensors.laydown("northeast-asia")}
FACE = replace(LAYDOWN["KR-GP-CB"], name="face", angles="u-v", availability=1.0)  # u, v, range, range rate
BARE = replace(LAYDOWN["JP-FPS5-SK"], name="bare", angles="u-v", availability=1.0)  # u, v, range
KINDS = tuple(
    replace(one, search_revisit=3.0, track_revisit=3.0)
    for one in (LAYDOWN["KR-GP-CB"], LAYDOWN["JP-FPS5-SD"], FACE, BARE, LAYDOWN["US-SBIRS-GEO"])
)
HUB = NODES.index("HUB")
ORDER = list(np.argsort(export.MAPPING))  # of x, y, z, vx, vy, vz in Stone Soup's state
PLACE = Euclidean(mapping=[0, 2, 4])
CUTOFF = metrics.GOSPA_CUTOFF


@pytest.fixture(scope="module")
def sky():
    """Two rockets half a minute apart, five kinds of plots, some of them false."""
    scenario = replace(cf.load("salvo-2-2019"), sensors=KINDS, regime="plots", clutter=3.0, duration=420.0)
    truth = simulate.fly(scenario)
    return scenario, truth, simulate.detect(truth, scenario, seed=3)


@pytest.fixture(scope="module")
def seen(sky):
    """What the hub makes of it, with a second track beside the first rocket's for a while and one where nothing is."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("a whole run without compiled kernels takes minutes")
    scenario, truth, detections = sky
    nothing = tracking.track(detections[:0], scenario)
    made = fuse(nothing, network.share(nothing, scenario, detections=detections), scenario, detections)
    made = made[(made.node == HUB) & (made.time <= truth.time.max())]
    long = np.bincount(made.track).argmax()
    some = made[(made.track == long) & (made.time > 120.0) & (made.time < 160.0)]
    beside = replace(some, track=some.track + 100, x=some.x + [700.0, -400.0, 300.0, 0.0, 0.0, 0.0])
    nowhere = replace(some, track=some.track + 200, x=some.x + [0.0, 0.0, 9e5, 0.0, 0.0, 0.0])
    both = stack([made, beside, nowhere])
    return made, both[np.lexsort((both.track, both.time))]


# Plots ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sensor", KINDS, ids=lambda s: s.name)
def test_a_model_measures_what_frames_look_at_and_its_slope_is_that_of_its_values(sky, sensor):
    """A tenth of a metre and of a millimetre per second are steps at which central differences are good to eight digits."""
    scenario, truth, detections = sky
    number = scenario.sensors.index(sensor)
    mine = detections[np.flatnonzero(detections.sensor == number)[:3]]
    plot = next(iter(next(export.to_stonesoup_detections(mine, scenario))[1]))
    model = plot.measurement_model
    x = metrics.true_states(truth, [90.0])[0, 0] + np.array([2e4, -3e4, 1e4, 10.0, 20.0, 30.0])
    origin, axes = sensors.place(sensor, float(mine.time[0]))

    def ours(x):
        r, a, b, d = frames.look(x, origin, axes, sensor.cosines)[0]
        both = [a, b] if sensor.cosines else [b, np.pi / 2 - a]
        return np.array({2: both, 3: [*both, r], 4: [*both, r, d]}[model.ndim_meas])

    def away(x, y):
        d = x - y
        d[1] = d[1] if sensor.cosines else (d[1] + np.pi) % (2 * np.pi) - np.pi
        return d

    value = np.asarray(model.function(State(x[ORDER][:, None])), float)[:, 0]
    assert np.abs(away(value, ours(x)) / np.array([1.0, 1.0, 1e6, 1e4][: model.ndim_meas])).max() < 1e-13
    H = np.asarray(model.jacobian(State(x[ORDER][:, None])), float)
    for k in range(6):
        h = 0.1 * np.eye(6)[k]
        slope = away(ours(x + h), ours(x - h)) / 0.2
        assert np.allclose(H[:, ORDER.index(k)], slope, rtol=1e-6, atol=1e-12)
    assert np.array_equal(np.diag(model.covar()), mine.sigma[plot.metadata["row"]][_columns(sensor, model)] ** 2)


def _columns(sensor, model):
    return ([1, 2, 0, 3] if sensor.cosines else [2, 1, 0, 3])[: model.ndim_meas]


def test_stone_soups_own_differences_fail_where_a_coordinate_is_negative(sky):
    """Why there are derivatives of our own: should this fail, Stone Soup has mended its steps, and `soup` may be shorter."""
    scenario, _, detections = sky
    mine = detections[detections.sensor == 1]
    model = next(iter(next(export.to_stonesoup_detections(mine, scenario))[1])).measurement_model
    state = State(np.array([[-3.1e6], [0.0], [4.1e6], [0.0], [4.0e6], [0.0]]))
    theirs = super(soup.Radar, model).jacobian(state)
    assert np.abs(theirs[2, 0] - model.jacobian(state)[2, 0]) > 1e-3


def test_the_way_back_of_a_plot_is_its_place(sky):
    scenario, _, detections = sky
    for at, plots in list(export.to_stonesoup_detections(detections, scenario))[::40]:
        for plot in plots:
            sensor = scenario.sensors[[s.name for s in scenario.sensors].index(plot.metadata["sensor"])]
            if sensor.kind == "radar":
                row = plot.metadata["row"]
                origin, axes = sensors.place(sensor, detections.time[row])
                expected = frames.point(*detections.z[row : row + 1, :3].T, origin, axes, sensor.cosines)[0]
                back = np.asarray(plot.measurement_model.inverse_function(plot), float)[[0, 2, 4], 0]
                assert np.abs(back - expected).max() < 1e-6
                assert abs(export.seconds(scenario, at) - detections.time[row]) <= 0.5e-6


def test_plots_there_and_back(sky):
    scenario, _, detections = sky
    scans = list(export.to_stonesoup_detections(detections, scenario))
    assert sum(len(plots) for _, plots in scans) == len(detections) > 500
    back = export.from_stonesoup_detections(scans, scenario)
    order = np.lexsort((detections.z[:, 0], detections.z[:, 1], detections.sensor, detections.time))
    for name in ("time", "sensor", "sigma", "snr"):
        assert np.array_equal(getattr(back, name), getattr(detections, name)[order], equal_nan=True), name
    turn = 2.0 * np.pi
    off = back.z - detections.z[order]
    off[:, 1] = (off[:, 1] + np.pi) % turn - np.pi
    assert np.array_equal(np.isnan(back.z), np.isnan(detections.z[order])) and np.nanmax(np.abs(off)) < 4 * np.spacing(turn)
    assert (back.object == -1).all()  # labels stay behind
    labelled = {str(v) for _, plots in scans for p in plots for v in p.metadata}
    assert labelled == {"sensor", "time", "row", "snr", "clutter"}


def test_biases_count_where_they_are_asked_for(sky):
    scenario, _, detections = sky
    scenario = replace(scenario, bias=2.0)
    for (_, plots), scan in list(
        zip(export.to_stonesoup_detections(detections, scenario, biases=True), scanning.scans(detections, scenario, "HUB"), strict=True)
    )[:200]:
        for plot in plots:
            columns = _columns(scenario.sensors[scan.sensor], plot.measurement_model)
            sigma = scan.sigma[scan.rows.tolist().index(plot.metadata["row"])]
            assert np.allclose(np.diag(plot.measurement_model.covar()), sigma[columns] ** 2, rtol=1e-12)
            assert plot.metadata["clutter"] == pytest.approx(np.exp(scan.log_density), rel=1e-12)


def test_noise_beyond_the_zenith_is_the_same_direction(sky):
    scenario = sky[0]
    z = np.array([[3e5, 1.0, np.pi / 2 + 0.01, np.nan]])
    plot = Detections([5.0], [1], z, np.array([[50.0, 1e-3, 1e-3, np.nan]]), [20.0], [-1], {"sensors": []})
    (_, plots), = export.to_stonesoup_detections(plot, scenario)  # fmt: skip
    (one,) = plots
    origin, axes = sensors.place(scenario.sensors[1], 5.0)
    place = frames.point(*z[:, :3].T, origin, axes)[0]
    assert np.abs(np.asarray(one.measurement_model.inverse_function(one), float)[[0, 2, 4], 0] - place).max() < 1e-6


def test_what_cannot_be_said_is_refused(sky):
    scenario, _, detections = sky
    radar = detections[detections.sensor == 1][:1]
    z = radar.z.copy()
    z[0, 2] = np.nan
    with pytest.raises(CopfuseError, match="row 0: a plot measures range, azimuth; there are models of"):
        list(export.to_stonesoup_detections(replace(radar, z=z), scenario))
    at = export.moment(scenario, 2.0)
    linear = Detection([[1.0]], timestamp=at, measurement_model=LinearGaussian(6, (0,), np.eye(1)), metadata={"sensor": "bare"})
    with pytest.raises(CopfuseError, match="LinearGaussian"):
        export.from_stonesoup_detections([(at, {linear})], scenario)
    with pytest.raises(CopfuseError, match="metadata\\['sensor'\\]"):
        export.from_stonesoup_detections([(at, {Detection([[1.0]], timestamp=at)})], scenario)
    point = Track([State(np.zeros((6, 1)), timestamp=at)])
    with pytest.raises(CopfuseError, match="no mean and covariance"):
        export.from_stonesoup_tracks({point}, scenario)
    small = Track([GaussianState(np.zeros((4, 1)), np.eye(4), timestamp=at)])
    with pytest.raises(CopfuseError, match="set mapping="):
        export.from_stonesoup_tracks({small}, scenario)


def test_without_stone_soup_it_is_said_what_to_install(sky, monkeypatch):
    monkeypatch.setitem(sys.modules, "stonesoup.base", None)
    monkeypatch.delitem(sys.modules, "copfuse.soup")
    monkeypatch.delattr(cf, "soup")
    with pytest.raises(CopfuseError, match="Stone Soup is not installed; pip install 'copfuse\\[bench\\]'"):
        export.to_stonesoup_truth(sky[1], sky[0])


# Truth and tracks ----------------------------------------------------------------------------------------------------


def test_truth_there(sky):
    scenario, truth, _ = sky
    grid = np.arange(0.0, 400.0, 50.0)
    for path in export.to_stonesoup_truth(truth, scenario, grid, export.ACCELERATING, 9):
        k = [about["name"] for about in truth.meta["objects"]].index(path.id)
        for state in path:
            at = export.seconds(scenario, state.timestamp)
            vector = np.asarray(state.state_vector, float)[:, 0]
            assert np.array_equal(vector[list(export.ACCELERATING)], metrics.true_states(truth, [at])[0, k]) and not vector[[2, 5, 8]].any()
    whole = {path.id: path for path in export.to_stonesoup_truth(truth, scenario)}
    assert [len(whole[about["name"]]) for about in truth.meta["objects"]] == np.bincount(truth.object).tolist()


def test_a_picture_there_and_back(sky, seen):
    scenario, both = sky[0], seen[1]
    tracks = export.to_stonesoup_tracks(both, scenario)
    assert {t.id for t in tracks} == {f"HUB {k}" for k in np.unique(both.track)}
    back = export.from_stonesoup_tracks(tracks, scenario, lasts=0.0, name="round trip")
    name = {k: f"HUB {k}" for k in np.unique(both.track)}
    assert np.array_equal(back.time, both.time) and back.meta["name"] == "round trip"
    pairs = {(a, name[b]) for a, b in zip(back.track.tolist(), both.track[_paired(back, both)].tolist(), strict=True)}
    assert len(pairs) == len(np.unique(both.track))  # one number for one track
    old = both[_paired(back, both)]
    assert np.array_equal(back.x, old.x) and np.abs(back.P / np.sqrt(_scale(old.P)) - old.P / np.sqrt(_scale(old.P))).max() < 1e-15
    local = replace(both, node=np.zeros(len(both), int))
    assert {t.id for t in export.to_stonesoup_tracks(local, scenario)} == {f"KOR {k}" for k in np.unique(both.track)}


def _paired(back, both):
    """Rows of ``both`` that stand where ``back``'s do."""
    where = {(float(t), *x.tolist()): k for k, (t, x) in enumerate(zip(both.time, both.x, strict=True))}
    return [where[float(t), *x.tolist()] for t, x in zip(back.time, back.x, strict=True)]


def _scale(P):
    d = np.einsum("naa->na", P)
    return d[:, :, None] * d[:, None, :]


class _Steps:
    """A tracker that changes its one track in place: known from the third plot on, lost after 31 s; its velocity stands still."""

    def __init__(self, scenario):
        self.scenario, self.track = scenario, Track([], id="a")

    def __iter__(self):
        for at in np.arange(1.0, 45.0, 3.0):
            x = np.array([-3e6 + at, 0.0, 4e6, 0.0, 4.1e6, 0.0])
            self.track.append(GaussianState(x[:, None], np.diag([1e4, 1.0] * 3), timestamp=export.moment(self.scenario, at)))
            yield export.moment(self.scenario, at), {self.track} if 7.0 <= at <= 31.0 else set()


class _Still:
    def predict(self, state, timestamp):
        return GaussianState(state.state_vector, state.covar * 4.0, timestamp=timestamp)


def test_a_tracker_step_by_step_says_what_it_knew(sky):
    """Seen at 1, 4, 7, ... s: at a picture time T the newest of those until T, not one later, and no track before it is known."""
    scenario = replace(sky[0], duration=60.0)
    made = export.from_stonesoup_tracks(_Steps(scenario), scenario, predictor=_Still())
    expected = np.arange(8.0, 34.0, 2.0)
    newest = 1.0 + 3.0 * np.floor((expected - 1.0) / 3.0)
    assert np.array_equal(made.time, expected) and np.array_equal(made.x[:, 0], -3e6 + newest)
    grown = np.where(newest < expected, 4e4, 1e4)
    assert np.array_equal(made.P[:, 0, 0], grown)
    finished = _Steps(scenario)
    list(finished)
    told = export.from_stonesoup_tracks({finished.track}, scenario, predictor=_Still())
    assert np.array_equal(told.time, np.arange(2.0, 43.5, 2.0))  # a finished track stands from its first state to its last
    with pytest.raises(CopfuseError, match="which is later"):
        export.from_stonesoup_tracks(((t - timedelta(seconds=2.0), k) for t, k in _Steps(scenario)), scenario)


def test_without_a_predictor_a_state_falls_freely(sky):
    scenario, truth, _ = sky
    x = metrics.true_states(truth, [200.5])[0, 0]
    P = np.diag([1e4] * 3 + [25.0] * 3)
    track = Track([GaussianState(x[ORDER][:, None], P[np.ix_(ORDER, ORDER)], timestamp=export.moment(scenario, t)) for t in (200.5, 203.0)])
    made = export.from_stonesoup_tracks([track], scenario)
    assert made.time.tolist() == [202.0]
    fine = x.copy()
    F = np.eye(6)
    for _ in range(150):
        points, fine = customary.stages(fine, 1e-2)
        F = customary.transition(points, 1e-2) @ F
    assert np.abs(made.x[0] - fine).max() < 1e-5 and np.allclose(made.P[0], F @ P @ F.T, rtol=1e-6, atol=1e-3)


def test_times_with_a_zone_are_the_same_moment(sky):
    scenario = sky[0]
    at = export.moment(scenario, 12.25)
    assert at.tzinfo is None and export.seconds(scenario, at) == export.seconds(scenario, at.replace(tzinfo=UTC)) == 12.25


# Its metrics beside ours ---------------------------------------------------------------------------------------------


def _manager(sky, picture, generators, associator=None, truth_at=None):
    scenario, truth, _ = sky
    grid = metrics.score_times(picture, truth, scenario) if truth_at is None else truth_at
    manager = MultiManager(generators, associator)
    paths = export.to_stonesoup_truth(truth, scenario, grid)
    manager.add_data({"tracks": export.to_stonesoup_tracks(picture, scenario), "groundtruth_paths": paths})
    return manager.generate_metrics()


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_gospa_agrees_at_every_time(sky, seen, power):
    """Both sum the same distances in another order: relative 1e-12 of a sum of at most four terms."""
    scenario, truth, _ = sky
    for picture in seen:
        ours = metrics.score(picture, truth, scenario, order=power)
        ours = ours[(ours.node == HUB) & (ours.n_truth + ours.n_track > 0)]
        generator = GOSPAMetric(p=power, c=CUTOFF, measure=PLACE, switching_penalty=0.0)
        theirs = _manager(sky, picture, [generator])["gospa_generator"]["GOSPA Metrics"].value
        assert [export.seconds(scenario, one.timestamp) for one in theirs] == ours.time.tolist()
        for name, column in (("distance", "gospa"), ("localisation", "localisation"), ("missed", "missed"), ("false", "false")):
            value = np.array([float(one.value[name]) for one in theirs])
            assert np.allclose(value, getattr(ours, column), rtol=1e-12, atol=1e-12 * CUTOFF), name


def test_gospas_penalty_for_switching_only_adds(sky, seen):
    """Cut-off, power 2, penalty q: sqrt(g^2 + s^2), s = q sqrt(half a switch each for lost and found); ours has no such term."""
    scenario, truth, _ = sky
    made = seen[0]
    middle = made.time > 200.0
    numbers = np.unique(made.track[middle])[:2]
    swap = dict(zip(numbers.tolist(), numbers[::-1].tolist(), strict=True))
    swapped = replace(made, track=np.where(middle, [swap.get(k, k) for k in made.track.tolist()], made.track))
    assert len(numbers) == 2
    without, with_it = (
        _manager(sky, swapped, [GOSPAMetric(p=2.0, c=CUTOFF, measure=PLACE, switching_penalty=q)])["gospa_generator"]["GOSPA Metrics"].value
        for q in (0.0, 1000.0)
    )
    ours = metrics.score(swapped, truth, scenario)
    plain = metrics.score(made, truth, scenario)
    assert np.array_equal(ours.gospa, plain.gospa)  # numbers are nothing to GOSPA
    extra = np.array([b.value["distance"] ** 2 - a.value["distance"] ** 2 for a, b in zip(without, with_it, strict=True)])
    switch = np.array([b.value["switching"] ** 2 for b in with_it])
    assert (
        np.allclose(extra, switch, atol=1e-6)
        and (switch[np.array([one.timestamp for one in with_it]) > export.moment(scenario, 200.0)][0]) > 0
    )


def test_ospa_agrees_for_power_one_and_stone_soups_is_no_less_for_two(sky, seen):
    scenario, truth, _ = sky
    picture = seen[1]
    for power in (1.0, 2.0):
        theirs = _manager(sky, picture, [OSPAMetric(p=power, c=CUTOFF, measure=PLACE)])["ospa_generator"]["OSPA distances"].value
        at = np.array([export.seconds(scenario, one.timestamp) for one in theirs])
        where = metrics.true_states(truth, at)
        ours = [
            measures.ospa(w[np.isfinite(w[:, 0]), :3], picture.x[picture.time == t, :3], CUTOFF, power)
            for w, t in zip(where, at, strict=True)
        ]
        value = np.array([float(one.value) for one in theirs])
        assert np.allclose(value, ours, rtol=1e-12, atol=1e-8) if power == 1.0 else (value >= np.array(ours) - 1e-8).all()
    # a near pair and a far one, 5.101 km in sum, or two of 2.6 km, 5.196 km in sum: of squares the second are nearly half
    x, y = 1e3 * np.array([[-2.5, -0.6, 0.0], [0.0, 0.0, 0.0]]), 1e3 * np.array([[2.5, -0.714, 0.0], [0.0, 0.1, 0.0]])
    states = [[State(np.insert(row, [1, 2, 3], 0.0)[:, None], timestamp=export.moment(scenario, 0.0)) for row in rows] for rows in (y, x)]
    theirs = OSPAMetric(p=2.0, c=CUTOFF, measure=PLACE).compute_OSPA_distance(*states).value
    pairs = np.linalg.norm(x[:, None] - y[None], axis=2)
    assert theirs == pytest.approx(np.sqrt(np.mean([pairs[0, 0] ** 2, pairs[1, 1] ** 2])))
    ours = measures.ospa(x, y, CUTOFF, 2.0)
    assert ours == pytest.approx(np.sqrt(np.mean([pairs[0, 1] ** 2, pairs[1, 0] ** 2]))) and ours < 0.74 * theirs


def _siap(found):
    return [found["siap_generator"][f"SIAP {name}"].value for name in ("Completeness", "Ambiguity", "Spuriousness")]


def test_siap_agrees_with_our_matching(sky, seen):
    scenario, truth, _ = sky
    generator = [SIAPMetrics(position_measure=PLACE, velocity_measure=Euclidean(mapping=[1, 3, 5]))]
    for picture, doubled in zip(seen, (False, True), strict=True):
        score = metrics.score(picture, truth, scenario)
        score = score[score.node == HUB]
        ours = measures.siap(score.n_truth, score.n_track, score.n_matched, score.n_duplicate)
        found = _manager(sky, picture, generator, soup.Matching())
        assert _siap(found) == pytest.approx(list(ours), rel=1e-12)
        assert (ours.ambiguity > 1.01) == doubled and (ours.spuriousness > 0.05) == doubled
        if not doubled:  # of duplicates Stone Soup's accuracy knows too
            weight = score.n_matched[score.n_matched > 0]
            accuracy = np.average(score.position_error[score.n_matched > 0], weights=weight)
            assert found["siap_generator"]["SIAP Position Accuracy"].value == pytest.approx(accuracy, rel=1e-9)


def test_siap_agrees_with_stone_soups_own_association_in_steps_of_one(sky, seen):
    """A picture of which no gate is wider than 10 km, and each track nearest to its own object."""
    scenario, truth, _ = sky
    picture = seen[0][metrics.gate_radius(seen[0].P) <= metrics.GATE_LEAST]
    score = metrics.score(picture, truth, scenario)
    score = score[score.node == HUB]
    ours = measures.siap(score.n_truth, score.n_track, score.n_matched, score.n_duplicate)
    generator = [SIAPMetrics(position_measure=PLACE, velocity_measure=Euclidean(mapping=[1, 3, 5]))]
    grid = metrics.score_times(picture, truth, scenario)
    theirs = _siap(_manager(sky, picture, generator, TrackToTruth(metrics.GATE_LEAST, 1, 1, PLACE), grid))
    assert theirs == pytest.approx(list(ours), rel=1e-12)
    three = _siap(_manager(sky, picture, generator, TrackToTruth(metrics.GATE_LEAST, measure=PLACE), grid))
    assert three[0] <= theirs[0]  # three in a row are asked for


def test_our_matching_on_a_case_by_hand():
    """Two objects 30 km apart for six times; a track on one throughout, one on the other at times 2 and 4 alone, beside the first at 5."""
    truth = straight_truth([(0.0, 0.0, 0.0), (30e3, 0.0, 0.0)], [np.arange(6.0)] * 2)
    at = {(t, k): x for t, k, x in zip(truth.time.tolist(), truth.object.tolist(), truth.x, strict=True)}
    rows = [(float(t), "HUB", 0, at[float(t), 0]) for t in range(6)]
    rows += [(2.0, "HUB", 1, at[2.0, 1]), (4.0, "HUB", 1, at[4.0, 1]), (5.0, "HUB", 1, at[5.0, 0] + [500.0, 0, 0, 0, 0, 0])]
    scenario = replace(cf.load("salvo-2-2019"), sensors=(), duration=60.0)
    tracks = export.to_stonesoup_tracks(picture_of(sorted(rows, key=lambda r: r[:3])), scenario)
    paths = export.to_stonesoup_truth(truth, scenario)
    found = soup.Matching().associate_tracks(tracks, paths)
    held = {}
    for one in found:
        track, path = sorted(one.objects, key=lambda o: not isinstance(o, Track))
        held[track.id, path.id] = [int(t) for t in range(6) if export.moment(scenario, t) in one.time_range]
    assert held == {("HUB 0", "m0"): [0, 1, 2, 3, 4, 5], ("HUB 1", "m1"): [2, 4], ("HUB 1", "m0"): [5]}
    assert not soup.Matching().associate_tracks(set(), paths).associations
    manager = MultiManager([SIAPMetrics(position_measure=PLACE, velocity_measure=PLACE)], soup.Matching())
    manager.add_data({"tracks": tracks, "groundtruth_paths": paths})
    longest = manager.generate_metrics()["siap_generator"]["SIAP Longest Track Segment"].value
    assert longest == pytest.approx((5.0 + 2e-6) / 10.0, rel=1e-9)  # of time; by counts of times it is the mean of 6 / 6 and 2 / 6


# A user's tracker ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example():
    path = Path(__file__).parents[1] / "examples" / "stonesoup_user.py"
    spec = importlib.util.spec_from_file_location("stonesoup_user", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_tracks_and_both_sides_score_it_alike(example):
    """Neither peeks, both rockets are held in the end, and Stone Soup's GOSPA of the picture is ours."""
    case = two_rockets("plots", 200.0, 5.0, 5.0)
    detections, scenario = frozen.blind(case)
    picture = example.mine(detections, scenario)
    case = replace(case, truth=case.truth[case.truth.time <= 200.0])  # all that is judged: Stone Soup counts every state that it is given
    figures = judging.judge(picture, case)
    assert figures["completeness"] > 0.5 and len(np.unique(picture.track[picture.time == 190.0])) == 2
    assert example.their_gospa(picture, case) == pytest.approx(figures["gospa"], rel=1e-12)
    assert fairness.peeks(example.mine, case, 120.0) is None


def test_only_what_is_to_be_used_is_fed_and_it_comes_as_ever(sky):
    """A tracker that notes what it is shown: in order of time, whole scans, none before it has come, none that was not asked for."""
    scenario, _, detections = sky
    scenario = replace(scenario, duration=120.0)
    detections = detections[detections.time < 110.0]
    arrived = frozen.arrivals(detections, scenario)
    ranged = np.isfinite(detections.z[:, 0])

    class Notes:
        tracks, shown, now = frozenset(), [], 0.0

        def update_tracker(self, time, detections):
            self.shown.append((time, sorted((p.metadata["time"], p.metadata["sensor"]) for p in detections)))
            return time, self.tracks

    notes = Notes()
    made = export.run_stonesoup(notes, detections, scenario, use=ranged)
    assert len(made) == 0 and [t for t, _ in notes.shown] == sorted(t for t, _ in notes.shown)
    names = [s.name for s in scenario.sensors]
    expected = sorted(zip(detections.time[ranged].tolist(), [names[k] for k in detections.sensor[ranged]], strict=True))
    came = arrived <= 120.0
    assert came.all() and sorted(p for _, plots in notes.shown for p in plots) == expected
