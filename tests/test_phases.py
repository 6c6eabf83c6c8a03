"""Between two stages: how likely a further one is, what a track makes of it, and what a forecast says meanwhile."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import copfuse as cf
from copfuse import covariances, filters, flights, forecast, frames, phases, tracking, updates
from copfuse.constants import BOOST, GLIDE, MIDCOURSE
from copfuse.kernels import engines, rows
from copfuse.kernels.motions import BOOST as THRUSTING
from copfuse.kernels.motions import MANOEUVRE, REENTRY, STAGE, propagate
from copfuse.kernels.switching import LATELY
from copfuse.measures import within_ellipse
from copfuse.motion import interpolate


def test_a_further_stage_grows_unlikely_as_nothing_lights():
    """Against drawn flights: of those in which nothing has lit for so long, the share in which something will."""
    rng = np.random.default_rng(5)
    n, chance = 400_000, phases.STAGES
    lights = np.where(rng.random(n) < chance, rng.exponential(phases.PAUSE, n), np.inf)
    for since in (0.0, 1.0, 4.0, 9.0):
        waits = lights > since
        share = np.isfinite(lights[waits]).mean()
        assert abs(phases.further(since, chance) - share) < 5.0 * np.sqrt(share * (1 - share) / waits.sum())
        soon = (lights[waits] < since + 0.05).mean() / 0.05
        rate, first = phases.relight(since + 1e-9, chance), phases.relight(1e-9, chance)
        assert abs(rate - soon) < 0.01 * first + 5.0 * np.sqrt(soon / 0.05 / waits.sum())
    assert phases.further(np.inf, chance) == 0.0 and phases.relight(60.0, chance) == 0.0
    assert phases.relight(0.0, chance) == LATELY == phases.relight(phases.LATE, chance)  # it burns; and did of late


def burnouts(id_: str) -> np.ndarray:
    """Where the engines of a launch of the record are as they go out (k, 6)."""
    flown = flights.fit(flights.launches().find(id_)).trajectory
    ends = [begin for begin, _ in flown.pauses] + [flown.time[flown.phase == BOOST].max()]
    return interpolate(flown.time, flown.x, np.array(ends))


@pytest.mark.parametrize("id_, more", [("2019-08-24-1", [0]), ("2022-01-27-1", [0]), ("2017-11-29-1", [1, 0]), ("2023-07-12-1", [1, 1, 0]),
                                       ("2012-12-12-1", [1])])  # fmt: skip
def test_what_goes_out_low_or_fast_was_the_last_one(id_, more):
    """A rocket of short range and a missile of the same class that is lifted; ICBMs of two and three stages; the launcher's first one."""
    for x, stage in zip(burnouts(id_), more, strict=False):
        chance = phases.above(x[None], np.inf)[0]
        assert chance > 0.25 if stage else chance < 0.2


@pytest.mark.parametrize(
    "id_", ["2017-08-29-1", "2017-09-15-1", "2022-10-04-1", "2022-11-18-1", "2023-07-12-1", "2024-10-31-1", "2012-12-12-1"]
)
def test_what_was_followed_from_the_ground_to_a_high_speed_had_one_stage(id_):
    """The intermediate range's only stages; every stage that carries another, from its own ignition on, has its chance as before."""
    ends = burnouts(id_)
    speed = np.linalg.norm(ends[:, 3:], axis=1)
    own = phases.above(ends, np.r_[0.0, speed[:-1]])
    assert (own[:-1] == phases.above(ends, np.inf)[:-1]).all() and (own[:-1] > 0.99 * phases.STAGES).all()
    if len(ends) == 1:
        assert own[0] < 2.0 * phases.ONLY and phases.above(ends, speed - 3e3)[0] == phases.above(ends, np.inf)[0] > 0.2


def test_the_burnout_of_a_single_stage_of_short_range_is_told_for_sure_soon():
    """By four Korean radars that see it go out at 25 km: no further stage is waited for there."""
    scenario = cf.load("2022-09-29-2")
    radars = [dataclasses.replace(s, availability=1.0) for s in scenario.sensors if s.name.startswith("KR-GP")]
    scenario = dataclasses.replace(scenario, bias=0.0, clutter=0.0, sensors=tuple(radars))
    truth = cf.fly(scenario)
    end = truth.time[truth.phase == BOOST].max()
    late = []
    for seed in range(8):
        tracks = cf.track(cf.detect(truth[truth.time < end + 20.0], scenario, seed=seed), scenario)
        known = tracks.firm & (tracks.time >= end) & (tracks.phase_probability[:, BOOST] < 0.499)
        late.append(tracks.time[known].min(initial=np.inf) - end)
    assert np.median(late) < 5.0


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e3, 1.2e6), st.floats(0.0, 9e3), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e3, 2.4e3, np.inf]))
def test_the_kernel_has_the_same_stage_above_to_the_bit(height, speed, seed, slow):
    """And it never is none nor most, and falls with speed, and with what was gained by one push, and grows with height."""
    rng = np.random.default_rng(seed)
    place, way = (u / np.linalg.norm(u) for u in rng.normal(size=(2, 3)))
    x = np.array([np.r_[place * (6371e3 + height + 1e3 * k), way * (speed + 10.0 * j)] for k, j in ((0, 0), (1, 0), (0, 1))])
    chance = phases.above(x, slow)
    assert [engines.stage_above(one, slow) for one in x] == chance.tolist()
    rising = np.array([phases.ONLY, chance[2], chance[0], chance[1], phases.STAGES])
    assert (np.diff(rising) >= -1e-15).all() and (phases.above(x, slow + 100.0) >= chance - 1e-15).all()


def test_how_slow_a_track_was_in_its_push():
    """What it was surely below, by two standard deviations; anew where nobody saw it burn for long.  The kernel to the bit."""
    rng, n = np.random.default_rng(6), 300
    x, root = rng.normal(0.0, 2e3, (n, 6)), rng.normal(0.0, 50.0, (n, 6, 6))
    P, since, slow = (
        root @ np.swapaxes(root, 1, 2),
        rng.choice([0.0, 1.0, engines.HELD, 2.01, np.inf], n),
        rng.choice([500.0, 4e3, np.inf], n),
    )
    told = phases.slowest(x, P, since, slow)
    surely = np.linalg.norm(x[:, 3:], axis=1) + 2.0 * np.sqrt(np.einsum("naa->n", P[:, 3:, 3:]))
    np.testing.assert_allclose(told, np.where(since > 2.0, surely, np.minimum(surely, slow)), rtol=1e-12)
    assert [engines.slowest(*one) for one in zip(x, P, since, slow, strict=True)] == told.tolist()


def test_a_steady_rate_lights_as_many_as_a_falling_one():
    pause, seconds = np.array([0.3, 0.1, 0.0, 0.3]), np.array([2.0, 30.0, 5.0, 0.0])
    rate = phases.relight_within(pause, seconds)
    np.testing.assert_allclose(1.0 - np.exp(-rate * seconds), pause * (1.0 - np.exp(-seconds / phases.PAUSE)), atol=1e-12)
    assert (rate[2:] == 0.0).all()


def test_what_has_just_burnt_out_may_be_in_boost_still():
    """In the air too, where a push after burnout is taken for lift; the other phases keep their ratios."""
    x = np.array([[6371e3 + 50e3, 0.0, 0.0, 800.0, 1500.0, 0.0]])
    bank = filters.bank(100.0, x, np.eye(6)[None], [[0.1, 0.2, 0.5, 0.19, 0.01]])
    plain, pause = (phases.phase_probability(bank, np.array([True]), p)[0] for p in (0.0, 0.3))
    assert plain[BOOST] == 0.0 and plain[GLIDE] > 0.0 and pause[BOOST] == pytest.approx(0.3)
    np.testing.assert_allclose(pause[1:], 0.7 * plain[1:])
    assert phases.phase_probability(bank, np.array([False]), 0.3)[0, BOOST] >= 0.5


def push(bank):
    """`phases.push` in numpy."""
    v = bank.x6[:, 3:]
    ahead = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1.0)
    w = bank.mu[:, [MANOEUVRE, THRUSTING]]
    w = w / w.sum(axis=1, keepdims=True)
    each = np.stack([bank.x[:, MANOEUVRE, 6:9], bank.x[:, THRUSTING, 6:7] * ahead], axis=1)
    a = np.einsum("nk,nki->ni", w, each)
    own = np.stack([np.trace(bank.P[:, MANOEUVRE, 6:9, 6:9], axis1=1, axis2=2), bank.P[:, THRUSTING, 6, 6]], axis=1)
    variance = np.einsum("nk,nk->n", w, own + ((each - a[:, None]) ** 2).sum(axis=2)) / 3
    return a, np.sqrt(variance)


def test_the_kernels_of_rows_say_what_numpy_does():
    """`rows.pushes`, `rows.phases` and `rows.say` against `push`, `phase_probability` and `covariances.leading`: at any height,
    climbing or not, burnt out or not, standing still, and with one model sure."""
    rng, n = np.random.default_rng(4), 400
    x6 = np.zeros((n, 6))
    x6[:, 0], x6[:, 3:] = 6371e3 + rng.choice([5e3, 60e3, 400e3, 1200e3], n), rng.normal(0.0, 2e3, (n, 3))
    x6[0, 3:] = 0.0
    root = rng.normal(size=(n, 6, 6)) * np.repeat([1e3, 30.0], 3)
    mu = rng.dirichlet(np.full(5, 0.3), n)
    mu[1] = np.eye(5)[THRUSTING]
    bank = filters.bank(100.0, x6, root @ np.swapaxes(root, 1, 2), mu, rng.normal(0.0, 30.0, (n, 3)), rng.uniform(1.0, 20.0, n))
    prior = filters.predict(bank, 101.0)
    time, burnt, lit = np.full(n, 100.0), rng.random(n) < 0.5, rng.choice([-np.inf, 99.0, 92.0], n)
    pause = phases.further(time - lit, phases.STAGES)
    made = updates.said(bank, prior, time, burnt, pause)
    named = [np.empty((n, 3)), np.empty(n), np.empty((n, 4))]
    rows.pushes(bank.x, bank.P, bank.mu, bank.x6, *named[:2])
    rows.phases(bank.mu, bank.x6, burnt, pause, phases.BOOST_CEILING, named[2])
    for name, column in zip(("acceleration", "acceleration_sigma", "phase_probability"), named, strict=True):
        assert column.tobytes() == made[name].tobytes()
    (acceleration, sigma), (noisy, before) = push(bank), covariances.leading(bank, prior)
    exact = {
        "x": bank.x6, "P": bank.P6, "prior": prior.P6, "share": 1.0 - prior.mu[:, THRUSTING], "time": time, "noisy": noisy,
        "noisy_prior": before, "log_beta": np.stack([bank.x[:, REENTRY, 6], np.sqrt(bank.P[:, REENTRY, 6, 6])], axis=1),
    }  # fmt: skip
    assert callable(rows.say) and all(made[name].tobytes() == np.ascontiguousarray(column).tobytes() for name, column in exact.items())
    plain = {
        "acceleration": acceleration, "acceleration_sigma": sigma,
        "phase_probability": phases.phase_probability(bank, burnt, pause),
    }  # fmt: skip
    for name, column in plain.items():
        np.testing.assert_allclose(made[name], column, rtol=1e-12, atol=1e-12 * np.abs(column).max(), err_msg=name)
    assert (made["phase_probability"] > 0.1).sum(axis=0).min() > 10


def test_the_rate_of_relighting_moves_the_models():
    """Out of the air nothing lights again but what has just gone out, and then by the rate that is told."""
    x = np.array([[6371e3 + 400e3, 0.0, 0.0, 800.0, 5000.0, 0.0]])
    bank = filters.bank(100.0, x, np.eye(6)[None], [[0.0, 1.0, 0.0, 0.0, 0.0]])
    never, soon = (phases.pushed(filters.predict(bank, 101.0, rate))[0] for rate in (0.0, 0.1))
    assert never < 1e-6 and soon == pytest.approx(1.0 - np.exp(-0.1), rel=0.02)


def test_a_further_stage_pushes_otherwise_than_the_last_one_did():
    """Of the push before the pause nothing is left in what lights again, but that it is forward; where nothing does, the model of any push
    keeps its own."""
    x = np.array([[6371e3 + 400e3, 0.0, 0.0, 800.0, 5000.0, 0.0]])
    bank = filters.bank(100.0, x, np.eye(6)[None], [[1e-6, 1.0 - 2e-6, 0.0, 0.0, 1e-6]], np.array([[0.0, 60.0, 0.0]]), np.array([2.0]))
    kept, lit = (filters.predict(bank, 100.5, rate) for rate in (0.0, 0.1))
    assert kept.x[0, MANOEUVRE, 7] > 59.0 and kept.P[0, MANOEUVRE, 7, 7] < 3.0**2
    ahead, (forward, along, across) = x[0, 3:] / np.linalg.norm(x[0, 3:]), STAGE
    np.testing.assert_allclose(lit.x[0, MANOEUVRE, 6:], forward * ahead, atol=0.5)
    assert ahead @ lit.P[0, MANOEUVRE, 6:, 6:] @ ahead == pytest.approx(along**2, rel=0.1)
    assert lit.P[0, MANOEUVRE, 8, 8] == pytest.approx(across**2, rel=0.1)


def relit(push: float, until: float) -> filters.Bank:
    """What went out at 99 s at 150 km and pushes along its velocity by ``push`` m/s^2 from 100 s on, or falls, under a radar 350 km off."""
    (lat, lon), off = np.radians([39.0, 127.0]), np.radians(4.0)
    at = np.r_[frames.ecef(lat, lon, 150e3), np.array([300.0, 0.0, 3000.0]) @ frames.enu_axes(lat, lon), np.zeros(3)]
    place, axes = frames.ecef(lat, lon - off, 0.0), frames.enu_axes(lat, lon - off)
    bank = filters.bank(100.0, at[None, :6], np.diag([50.0**2] * 3 + [8.0**2] * 3)[None], [[0.02, 0.95, 0.01, 0.01, 0.01]])
    for time in np.arange(100.5, until + 0.1, 0.5):
        at[6:] = push * at[3:6] / np.linalg.norm(at[3:6])
        propagate(MANOEUVRE, 9, at, 0.5, np.zeros((4, 9)), np.zeros(9))
        look = np.where(np.arange(4) == 3, np.nan, frames.look(at[None, :6], place, axes))
        bank = filters.predict(bank, time, phases.relight(np.array([time - 99.0]), phases.STAGES))
        bank = filters.update(bank, look, np.array([[20.0, 3e-4, 3e-4, np.nan]]), place, axes)
    return bank


def test_a_stage_that_lights_is_seen_the_sooner_for_pushing_forward():
    """A weak second stage, 14 m/s^2, after 5.5 s; a fall stays one."""
    lit, fell = relit(14.0, 105.5), relit(0.0, 108.5)
    (along,), (blur,) = phases.thrust(lit)
    assert phases.pushed(lit)[0] > 0.6 and abs(along - 14.0) < blur < 14.0
    assert phases.pushed(fell)[0] < 0.02


def test_an_ellipse_leaves_out_a_further_burn_that_hardly_comes():
    """What 95 % may miss anyway is left out, and the rest grows so that 95 % is held in all; from `MISSED` on the burn is in."""
    path = cf.fly(cf.load("hokkaido-2017"))
    x = interpolate(path.time, path.x, np.array([200.0]))
    given = np.diag([50.0**2] * 3 + [2.0**2] * 3)[None], np.array([[8.5, 0.3]]), np.array([[10.0, 0.0, 0.0]])

    def spread(boost):
        chance = np.zeros((1, 4))
        chance[0, BOOST], chance[0, MIDCOURSE] = boost, 1.0 - boost
        return np.trace(forecast.impact_point(x, *given, chance)[1][0])

    for boost in (0.0, 0.01, forecast.MISSED):
        held = (1.0 - boost) * chi2.cdf(chi2.ppf(0.95, 2) * spread(boost) / spread(0.0), 2)
        assert held == pytest.approx(0.95, abs=1e-9)
    assert spread(forecast.MISSED + 0.01) > 100.0 * spread(0.0)


@pytest.mark.parametrize("climb", [30.0, 83.0])
@pytest.mark.parametrize("boost", [0.06, 0.1, 0.3, 0.5])
def test_an_ellipse_holds_where_it_comes_down_if_it_burns_on(boost, climb):
    """However unlikely a further burn is, from `MISSED` on: its middle, and most of the way from there to the end of its own region."""
    angle = np.radians(climb)
    x = np.array([[6371e3 + 180e3, 0.0, 0.0, 3000.0 * np.sin(angle), 3000.0 * np.cos(angle), 0.0]])
    given = np.diag([500.0**2] * 3 + [50.0**2] * 3)[None], np.array([[8.5, 0.3]]), np.array([[20.0, 0.0, 0.0]])

    def told(chance):
        point, P, _, _ = forecast.impact_point(x, *given, np.array([[chance, 1.0 - chance, 0.0, 0.0]]))
        return point[0], P[0]

    (middle, P), (free, _), (point, region) = told(1.0), told(0.0), told(boost)
    axis = np.linalg.eigh(P)[1][:, -1]
    out = axis * np.sign(axis @ (middle - free)) * np.sqrt(np.linalg.eigvalsh(P)[-1])
    assert within_ellipse(point[None], region[None], middle)[0]
    assert within_ellipse(point[None], region[None], middle + 1.5 * out)[0]


@pytest.fixture(scope="module")
def staged():
    """The three-stage flight of 31 October 2024 from a minute before its second staging, high above the air, to the third burn."""
    scenario = cf.load("2024-10-31-1")
    radars = [s for s in scenario.sensors if s.name in ("KR-GP-CB", "KR-GP-CN", "JP-FPS5-SD")]
    scenario = dataclasses.replace(scenario, bias=0.0, clutter=0.0, sensors=tuple(dataclasses.replace(s, availability=1.0) for s in radars))
    truth = cf.fly(scenario)
    truth = truth[(truth.object == 0) & (truth.time > 70.0) & (truth.time < 165.0)]
    runs = []
    for seed in range(3):
        detections = cf.detect(truth, scenario, seed=seed)
        tracks = cf.track(detections, scenario)
        runs.append((scenario, truth, tracks, cf.fuse(tracks, cf.share(tracks, scenario, regime="none", seed=seed), scenario)))
    return runs


def test_no_plume_is_seen_between_two_stages():
    """The truth is in boost until the last burnout, but what sees plumes alone has nothing to see while no engine burns."""
    scenario = cf.load("2024-10-31-1")
    spaced = [s for s in scenario.sensors if s.kind == "infrared"]
    scenario = dataclasses.replace(scenario, clutter=0.0, sensors=tuple(dataclasses.replace(s, availability=1.0) for s in spaced))
    truth = cf.fly(scenario)
    detections = cf.detect(truth[truth.time < 150.0], scenario)
    pauses = truth.meta["objects"][0]["pauses"]
    assert len(pauses) == 2
    for begin, end in pauses:
        at = detections.time[(detections.time > begin - 2.0) & (detections.time < end + 2.0)]
        assert (at < begin).any() and (at > end).any() and not ((at >= begin) & (at < end)).any()
    bound = cf.bound(truth, scenario, "USA")
    within = (bound.time > pauses[0][0]) & (bound.time < pauses[0][1])
    assert (np.diff(bound.position[within]) > 0.0).all()  # nobody learns anything


def test_a_track_goes_on_through_the_pause_between_two_stages(staged):
    """Above 150 km hardly anything lights again, but for a stage that follows another: the track is not lost, and tells boost soon."""
    for _, _, tracks, _ in staged:
        kor = tracks[(tracks.node == 0) & tracks.firm]
        assert len(np.unique(kor.track[kor.time < 130.0])) == 1
        assert set(kor.track[kor.time > 140.0]) == set(kor.track[kor.time < 130.0])
        out = kor.time[(kor.phase_probability[:, BOOST] < 0.5) & (kor.time > 125.0) & (kor.time < 150.0)]
        assert len(out) and np.ptp(out) < 7.0  # the pause is seen, and its end


def test_nothing_lights_again_while_an_engine_burns(staged, monkeypatch):
    """A further stage follows one that is out: what burnt at its newest plot goes on, or goes out, until the next."""
    scenario, truth, _, _ = staged[0]
    asked: list[tuple[float, float]] = []
    predict = filters.predict

    def spied(tracks, time, relight=0.0):
        rate = np.broadcast_to(relight, len(tracks))
        asked.extend(zip(rate.tolist(), tracks.mu[:, THRUSTING].tolist(), strict=True))
        return predict(tracks, time, relight)

    monkeypatch.setattr(filters, "predict", spied)
    monkeypatch.setattr(tracking, "PLAIN", True)  # scan by scan
    cf.track(cf.detect(truth, scenario, seed=0), scenario)
    rate, thrust = np.array(asked).T
    assert (rate > LATELY).any() and (rate[thrust > 0.5] <= LATELY).all()


def test_between_stages_no_sharp_forecast_is_made_of_the_wrong_place(staged):
    """While the missile is in boost by truth, pauses included, no ellipse below 50 km misses where it will come down."""
    scenario = staged[0][0]
    impact = cf.fly(scenario).x[-1, :3]
    for _, _, _, picture in staged:
        picture = picture[np.isfinite(picture.impact_point_P).all(axis=(1, 2))]
        axis = np.sqrt(chi2.ppf(0.95, 2)) * np.sqrt(np.linalg.eigvalsh(picture.impact_point_P)[:, -1])
        off = np.linalg.norm(picture.impact_point - impact, axis=1)
        assert (picture.time > 125.0).sum() > 20 and not ((axis < 50e3) & (off > 2.0 * axis)).any()


def test_between_stages_ellipses_hold_where_the_flight_ends(staged):
    """Of the tracks' own, from the pause to the first seconds of the next burn, while most of their weight is on free fall."""
    impact = cf.fly(staged[0][0]).x[-1, :3]
    held = []
    for _, _, tracks, _ in staged:
        t = tracks[tracks.firm & (tracks.time > 125.0) & (tracks.time < 150.0) & (tracks.phase_probability[:, BOOST] < 0.5)]
        point, P, _, _ = forecast.impact_point(t.x, t.P, t.log_beta, t.acceleration, t.phase_probability)
        held.append(within_ellipse(point, P, impact))
    held = np.concatenate(held)
    assert len(held) > 6 and held.all()


@pytest.mark.parametrize(
    "id_, of, after, chance", [("hokkaido-2017", 0, (2.0, 4.0), (0.0, 0.05)), ("2024-10-31-1", 1, (0.5, 2.0), (0.1, 1.0))]
)
def test_who_followed_a_single_stage_up_to_its_burnout_expects_no_other(id_, of, after, chance):
    """Four radars follow two burnouts at 4.9 km/s: the only one of one flight, and the second one of three until the third lights."""
    scenario = cf.load(id_)
    radars = [dataclasses.replace(s, availability=1.0) for s in scenario.sensors if s.name.startswith(("KR-GP", "KR-AEG"))]
    scenario = dataclasses.replace(scenario, bias=0.0, clutter=0.0, sensors=tuple(radars))
    truth = cf.fly(scenario)
    truth = truth[truth.object == 0]
    end = [begin for begin, _ in truth.meta["objects"][0].get("pauses", [])] + [truth.time[truth.phase == BOOST].max()]
    truth = truth[truth.time < end[of] + after[1]]
    told = []
    for seed in range(6):
        tracks = cf.track(cf.detect(truth, scenario, seed=seed), scenario)
        told.append(tracks.phase_probability[tracks.firm & (tracks.time > end[of] + after[0]), BOOST])
    assert chance[0] <= np.median(np.concatenate(told)) <= chance[1]
