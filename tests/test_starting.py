"""Starting a track from a few plots, from angles of one or two satellites, from a cue: covariances that tell the truth."""

from __future__ import annotations

import os

import numpy as np
import pytest
from scipy.stats import chi2

from copfuse import ascents, filters, flights, frames, motion, sensors, starting, vehicles
from copfuse.errors import CopfuseError
from copfuse.kernels import motions

JIT = os.environ.get("NUMBA_DISABLE_JIT") != "1"
pytestmark = pytest.mark.skipif(not JIT, reason="thousands of flights take too long without compiled kernels")

NAN = np.nan
SITE = np.radians(38.0), np.radians(128.0)
ORIGIN, AXES = frames.ecef(*SITE, 0.0), frames.enu_axes(*SITE)
CENTRE = np.zeros(3)


def nees(bank, truth) -> np.ndarray:
    e = bank.x6 - truth
    return np.einsum("ni,ni->n", e, np.linalg.solve(bank.P6, e[..., None])[..., 0])


def band(n: int, d: int) -> tuple[float, float]:
    """99 % of the mean of n draws of chi-squared over d, over d."""
    return chi2.ppf(0.005, n * d) / (n * d), chi2.ppf(0.995, n * d) / (n * d)


def fallen(x: np.ndarray, dt: float) -> np.ndarray:
    out = []
    for row in x:
        s = np.append(row, np.zeros(3))
        motions.propagate(motions.COAST, 6, s, dt, np.zeros((4, 9)), np.zeros(9))
        out.append(s[:6])
    return np.array(out)


# Two or three plots --------------------------------------------------------------------------------------------------


def coasting(n: int, distance: float, rng) -> np.ndarray:
    """States in free fall around a range, whose velocities are what `filters` believes of an object that high."""
    place = frames.point(np.full(n, distance), rng.uniform(0, 6.28, n), rng.uniform(0.5, 0.9, n), ORIGIN, AXES)
    return np.hstack([place, filters.SPEED_SIGMA[1] * rng.standard_normal((n, 3))])


def plotted(states, sigma, rng):
    z = np.stack([frames.look(x, ORIGIN, AXES) + np.nan_to_num(sigma) * rng.standard_normal((len(x), 4)) for x in states])
    return z, np.broadcast_to(sigma, z.shape)


@pytest.mark.parametrize("distance", [250e3, 1500e3])
@pytest.mark.parametrize("times", [(0.0, 1.0), (0.0, 4.0), (0.0, 1.0, 6.0)])
@pytest.mark.parametrize("rate", [NAN, 3.0])
def test_plots_of_a_coasting_object_start_honestly(distance, times, rate):
    rng, n = np.random.default_rng(7), 400
    first = coasting(n, distance, rng)
    states = [fallen(first, t) for t in times]
    z, sigma = plotted(states, np.array([15.0, 1e-3, 1e-3, rate]), rng)
    k = len(times)
    b = starting.from_plots(times, z, sigma, np.tile(ORIGIN, (k, 1)), np.tile(AXES, (k, 1, 1)))
    q = nees(b, states[-1]) / 6
    assert 0.55 < q.mean() < band(n, 6)[1]  # it must allow for a push too, so it may be a little wide, never too small
    assert (q * 6 > chi2.ppf(0.99, 6)).mean() < 0.025
    assert np.array_equal(b.time, np.full(n, times[-1])) and np.allclose(b.mu.sum(axis=1), 1.0)
    if k == 3:
        assert np.median(np.linalg.norm(b.x6[:, 3:] - states[-1][:, 3:], axis=1)) < 1.1 * np.sqrt(2) * distance * 1e-3 / 2.5


def boosting(rng, n: int):
    """Plots of three flights of the record while they burn, each from a radar somewhere near."""
    flown = [flights.fit(flights.launches().find(i)).trajectory for i in ("2017-09-15-1", "2022-06-05-1", "2017-11-29-1")]
    for i in range(n):
        t = flown[i % 3]
        begin = rng.uniform(40.0, 0.9 * t.burnouts[-1] - 10.0)
        times = begin + np.cumsum(np.r_[0.0, rng.uniform(1.0, 4.0, 2)])
        states = motion.interpolate(t.time, t.x, times)
        lat, lon, _ = frames.geodetic(states[:1])
        site = frames.ground_point(lat[0], lon[0], rng.uniform(80e3, 600e3), rng.uniform(0, 6.28))
        yield times, states, frames.ecef(*site, 0.0), frames.enu_axes(*site)


def test_plots_of_a_boosting_missile_start_honestly():
    """200 draws, half of them with range rate."""
    rng, n, q = np.random.default_rng(8), 200, []
    for i, (times, states, origin, axes) in enumerate(boosting(rng, n)):
        sigma = np.array([15.0, 1.2e-3, 1.2e-3, 3.0 if i % 2 else NAN])
        z = frames.look(states, origin, axes) + np.nan_to_num(sigma) * rng.standard_normal((3, 4))
        args = z[:, None], np.tile(sigma, (3, 1, 1)), np.tile(origin, (3, 1)), np.tile(axes, (3, 1, 1))
        q.append(nees(starting.from_plots(times, *args), states[-1:])[0])
    q = np.array(q)
    assert 0.6 < q.mean() / 6 < band(n, 6)[1] and (q > chi2.ppf(0.99, 6)).mean() < 0.025


def test_three_plots_tell_a_push():
    """A push of 60 m/s^2 over 6 s is seen at short range: the manoeuvring model's acceleration, and its probability."""
    times, push = np.array([0.0, 3.0, 6.0]), np.array([40.0, 0.0, 45.0])
    s = np.r_[frames.point(60e3, 0.3, 0.6, ORIGIN, AXES)[0], [300.0, 200.0, 900.0], push]
    states = []
    for dt in np.diff(times, prepend=0.0):
        motions.propagate(motions.MANOEUVRE, 9, s, dt, np.zeros((4, 9)), np.zeros(9))
        states.append(s[None, :6].copy())
    z, sigma = plotted(states, np.array([5.0, 1e-4, 1e-4, NAN]), np.random.default_rng(1))
    b = starting.from_plots(times, z, sigma, np.tile(ORIGIN, (3, 1)), np.tile(AXES, (3, 1, 1)))
    seen, cov = b.x[0, motions.MANOEUVRE, 6:9], b.P[0, motions.MANOEUVRE, 6:9, 6:9]
    assert (seen - push) @ np.linalg.solve(cov, seen - push) < chi2.ppf(0.99, 3) and np.sqrt(np.trace(cov)) < 30.0
    assert b.mu[0, [motions.COAST, motions.REENTRY]].sum() < 0.01


def test_plots_of_two_radars_one_with_cosines_are_as_good_as_they_are_many():
    rng, n = np.random.default_rng(9), 400
    array = sensors.laydown("northeast-asia")[0]
    face = np.array([[1.0, 0, 0], [0, np.cos(0.4), np.sin(0.4)], [0, -np.sin(0.4), np.cos(0.4)]]) @ AXES
    other = frames.ecef(SITE[0] + 0.02, SITE[1] - 0.05, array.alt)
    x = np.hstack(
        [
            frames.point(np.full(n, 600e3), rng.uniform(-0.4, 0.4, n), rng.uniform(-0.1, 0.4, n), ORIGIN, face, 1),
            rng.normal(0, 2500, (n, 3)),
        ]
    )
    later = fallen(x, 2.0)
    sigma = np.array([15.0, 1e-3, 1e-3, NAN])
    level = frames.enu_axes(SITE[0] + 0.02, SITE[1] - 0.05)
    z = np.stack([frames.look(x, ORIGIN, face, 1), frames.look(later, other, level)]) + np.nan_to_num(sigma) * rng.standard_normal(
        (2, n, 4)
    )
    b = starting.from_plots([0.0, 2.0], z, np.broadcast_to(sigma, z.shape), np.array([ORIGIN, other]), np.array([face, level]), [1, 0])
    assert 0.55 < nees(b, later).mean() / 6 < band(n, 6)[1]


def test_plots_that_cannot_start_a_track_are_refused():
    z, sigma = np.ones((2, 1, 4)), np.ones((2, 1, 4))
    where = np.tile(ORIGIN, (2, 1)), np.tile(AXES, (2, 1, 1))
    with pytest.raises(CopfuseError, match="2 to 6 in time order"):
        starting.from_plots([1.0, 0.0], z, sigma, *where)
    with pytest.raises(CopfuseError, match="last plot has no range"):
        starting.from_plots([0.0, 1.0], np.where(np.arange(4) == 0, NAN, z), sigma, *where)


# Satellites ----------------------------------------------------------------------------------------------------------


def geostationary(lon_deg: float):
    sensor = next(s for s in sensors.laydown("northeast-asia") if s.name == "US-DSP")
    spin = np.radians(lon_deg) - np.arctan2(*sensors.place(sensor, 0.0)[0][0, [1, 0]])
    c, s = np.cos(spin), np.sin(spin)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    origin, axes = sensors.place(sensor, 0.0)
    return turn @ origin[0], axes[0] @ turn.T


def lines(targets, satellites, sigma, rng=None):
    """Looks (k, n, 4) at targets, one (n, 6) per satellite, with ``sigma`` rad across each line, and their sigmas."""
    z = np.stack([frames.look(x, *s) for x, s in zip(targets, satellites, strict=True)])
    size = np.full(z.shape, NAN)
    size[..., 1], size[..., 2] = sigma / np.cos(z[..., 2]), sigma
    if rng is not None:
        z = z + np.nan_to_num(size) * rng.standard_normal(z.shape)
    z[..., [0, 3]] = NAN
    return z, size, np.array([o for o, _ in satellites]), np.array([a for _, a in satellites])


@pytest.mark.parametrize(("pair", "whole", "upright"), [((10, 75), 620.3, 385.6), ((10, 40), 988.8, None), ((35, 53), 1517.1, None)])
def test_triangulation_of_a_target_at_33_n_44_e(pair, whole, upright):
    """10 urad from two geostationary satellites, target 30 km above a sphere of 6371 km: figures computed independently."""
    lat, lon = np.radians(33.0), np.radians(44.0)
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    target = np.r_[6401e3 * up, np.zeros(3)][None]
    b = starting.from_angles(np.zeros(2), *lines([target, target], [geostationary(v) for v in pair], 10e-6))
    P = b.P6[0, :3, :3]
    assert np.sqrt(np.trace(P)) == pytest.approx(whole, rel=5e-3)
    assert upright is None or np.sqrt(up @ P @ up) == pytest.approx(upright, rel=5e-3)
    assert np.linalg.norm(b.x6[0, :3] - target[0, :3]) < 0.01


def test_triangulation_in_closed_form():
    """sqrt(2) s R^2 / (b sin phi): 282.8 m in range at 1000 km from a base of 50 km across, 10 urad."""
    base = np.array([7000e3, 0.0, 0.0])
    posts = [(base + [way * 25e3, -1000e3, 0.0], np.eye(3)) for way in (-1.0, 1.0)]
    target = np.r_[base, np.zeros(3)][None]
    b = starting.from_angles(np.zeros(2), *lines([target, target], posts, 10e-6))
    assert np.sqrt(b.P6[0, 1, 1]) == pytest.approx(282.8, rel=5e-3)


@pytest.mark.parametrize("apart", [0.0, 4.0])
def test_angles_of_two_satellites_start_honestly(apart):
    rng, n = np.random.default_rng(11), 1000
    place = frames.ecef(np.radians(rng.uniform(35, 42, n)), np.radians(rng.uniform(124, 132, n)), rng.uniform(8e3, 60e3, n))
    up = place / np.linalg.norm(place, axis=1, keepdims=True)
    v = filters.PLUME_SPEED[0] * up + filters.PLUME_SPEED[1] * rng.standard_normal((n, 3))
    now, before = np.hstack([place, v]), np.hstack([place - apart * v, v])
    z = lines([before, now], [geostationary(69), geostationary(105)], 20e-6, rng)
    b = starting.from_angles([100.0 - apart, 100.0], *z)
    low, high = band(n, 6)
    assert low < nees(b, now).mean() / 6 < high and (b.time == 100.0).all()
    if apart == 0.0:
        turned = starting.from_angles([100.0, 100.0], *(part[::-1] for part in z))
        assert np.allclose(turned.x6, b.x6, atol=1e-3) and np.allclose(turned.P6, b.P6, rtol=1e-6, atol=1e-3)


def test_angles_that_meet_nowhere_are_refused():
    one = geostationary(105)
    target = np.r_[frames.ecef(0.65, 2.2, 2e4), np.zeros(3)][None]
    with pytest.raises(CopfuseError, match="parallel"):
        starting.from_angles(np.zeros(2), *lines([target, target], [one, one], 1e-5))


@pytest.fixture(scope="module")
def record():
    """Every fifth flight of the record that can be flown."""
    rows = [row for row in flights.launches() if flights.flyable(row)][::5]
    return [(f.row, flights.fit(f.row).trajectory) for f in flights.fit_all(rows) if not f.reason]


@pytest.mark.parametrize(("looks", "gap", "fresh"), [(2, 10.0, True), (3, 5.0, True), (3, 10.0, False)])
def test_one_satellite_alone_contains_the_truth(record, looks, gap, fresh):
    """Flights of the record, seen from anywhere between 65 and 185 E at 20 urad: in the 95 % region in 90 % of cases."""
    rng, inside, size, kinds = np.random.default_rng(12), [], [], set()
    for row, t in record:
        top, burnout = int(t.altitude.argmax()), t.burnouts[-1]
        out = np.interp(8e3, t.altitude[:top], t.time[:top])  # out of the cloud
        first = out + (gap * rng.random() if fresh else rng.random() * max(burnout - out - (looks - 1) * gap, 0.0))
        times = first + gap * np.arange(looks)
        if times[-1] > burnout:
            continue
        states = motion.interpolate(t.time, t.x, times)
        satellite = geostationary(rng.uniform(65, 185))
        z, sigma, origin, axes = lines([s[None] for s in states], [satellite] * looks, 20e-6, rng)
        found = starting.from_one_satellite(times, z[:, 0], sigma[:, 0], origin, axes, fresh=gap if fresh else np.inf)
        inside.append(nees(found.bank, states[-1:])[0] < chi2.ppf(0.95, 6))
        size.append(np.sqrt(np.trace(found.bank.P6[0, :3, :3])))
        kinds.add(row.missile_class)
        assert found.weight.sum() == pytest.approx(1.0) and found.effective > 5 and len(found.name) == len(found.x) == len(found.P)
        assert np.allclose(found.weight @ found.x[:, :6], found.bank.x6[0], rtol=0, atol=3e-3 * size[-1] + 1.0)
        assert np.linalg.eigvalsh(found.bank.P6[0] / np.outer(*2 * [np.sqrt(np.diag(found.bank.P6[0]))])).min() > 0.0
    assert len(inside) > 20 and len(kinds) >= 4
    assert np.mean(inside) >= 0.9
    assert np.median(size) < (12e3 if fresh else 150e3)  # m: it must say something, too


def test_one_satellite_same_seed_same_answer_and_nonsense_is_refused():
    t = flights.fit(flights.launches().find("2022-06-05-1")).trajectory
    times = np.array([45.0, 55.0])
    states = motion.interpolate(t.time, t.x, times)
    z, sigma, origin, axes = lines([s[None] for s in states], [geostationary(105)] * 2, 20e-6)
    one, again = (starting.from_one_satellite(times, z[:, 0], sigma[:, 0], origin, axes, samples=20_000) for _ in range(2))
    assert np.array_equal(one.x, again.x) and one.name == again.name
    with pytest.raises(CopfuseError, match="two or more"):
        starting.from_one_satellite(times[:1], z[:1, 0], sigma[:1, 0], origin[:1], axes[:1])
    z[0, 0, 1:3] += 0.02  # 700 km away ten seconds before
    with pytest.raises(CopfuseError, match="no boost template"):
        starting.from_one_satellite(times, z[:, 0], sigma[:, 0], origin, axes, samples=20_000)


def test_a_template_is_the_flight_of_its_profile():
    book = ascents.templates()
    profile = vehicles.PROFILES["MRBM"]
    stages = vehicles.boost(profile, np.linspace(0.35, 0.95, 7)[3] * profile.most)
    kick = ascents.KICKS[6]
    plan = motion.Plan(np.radians(39.0), np.radians(127.0), stages, (np.radians(kick), 0.0), profile.turn, profile.beta)
    t = motion.launch(plan)
    i = np.flatnonzero(book.name == "MRBM")[3 * len(ascents.KICKS) + 6]
    times = np.arange(5.0, 90.0, 5.0)
    row, x = book.at(np.full(len(times), i), times), motion.interpolate(t.time, t.x, times)
    assert book.burn[i] == pytest.approx(t.burnouts[-1])
    assert np.allclose(row[:, 0], frames.altitude(x), rtol=2e-3, atol=5.0)
    assert np.allclose(row[:, 1], np.interp(times, t.time, t.downrange), rtol=5e-3, atol=20.0)
    assert np.allclose(np.hypot(row[:, 2], row[:, 3]), np.linalg.norm(x[:, 3:], axis=1), rtol=5e-3)


# A cue ---------------------------------------------------------------------------------------------------------------


def test_a_cue_is_carried_to_another_time():
    rng = np.random.default_rng(13)
    x6 = coasting(3, 800e3, rng)
    P6 = np.tile(np.diag([200.0, 200.0, 200.0, 5.0, 5.0, 5.0]) ** 2, (3, 1, 1))
    b = starting.from_cue(10.0, x6, P6, 40.0)
    want = fallen(x6, 30.0)
    off = b.x6 - want
    assert (np.einsum("ni,ni->n", off, np.linalg.solve(b.P6, off[..., None])[..., 0]) < 0.5).all() and (b.time == 40.0).all()
    assert (np.linalg.eigvalsh(b.P6) > 0).all() and (np.trace(b.P6[:, :3, :3], axis1=1, axis2=2) > np.trace(P6[0, :3, :3])).all()
    same = starting.from_cue(10.0, x6, P6, 10.0)
    assert np.allclose(same.x6, x6, atol=1e-6) and np.allclose(same.P6, P6, rtol=1e-9)
    pushed = starting.from_cue(10.0, x6, P6, 10.0, acceleration=np.tile([1.0, 2.0, 3.0], (3, 1)), acceleration_sigma=np.full(3, 4.0))
    assert np.allclose(pushed.x[:, motions.MANOEUVRE, 6:9], [1.0, 2.0, 3.0])


def test_a_track_of_a_plot_that_was_seen_before_is_the_same_to_the_bit():
    """What is kept of plots is a copy: whoever changes a track of one changes no other, and none that began before is lost."""
    z, sigma = np.array([[300e3, 0.4, 0.2, np.nan]]), np.array([[50.0, 1e-3, 1e-3, np.nan]])
    at = np.array([-3.1e6, 4.1e6, 3.8e6]), np.eye(3)[[1, 2, 0]]
    starting._MADE.clear()
    first = starting.from_one_plot(3.0, z, sigma, *at)
    columns = {name: getattr(first, name).copy() for name in ("x", "P", "mu", "x6", "P6")}
    for name in columns:
        getattr(first, name)[:] = 7.0
    again = starting.from_one_plot(5.0, z, sigma, *at)
    assert len(starting._MADE) == 1 and again.time[0] == 5.0
    assert all(np.array_equal(getattr(again, name), column) for name, column in columns.items())
    other = starting.from_one_plot(5.0, z, 2.0 * sigma, *at)
    assert len(starting._MADE) == 2 and not np.array_equal(other.P6, again.P6)


def test_what_is_kept_of_plots_is_bounded_and_nothing_asked_for_is_dropped_with_it(monkeypatch):
    """Plots of which some are kept and asked for together with new ones, when there are so many that the oldest must go."""
    z, sigma = np.tile([300e3, 0.4, 0.2, np.nan], (7, 1)) + np.arange(7.0)[:, None], np.tile([50.0, 1e-3, 1e-3, np.nan], (7, 1))
    at = np.array([-3.1e6, 4.1e6, 3.8e6]), np.eye(3)[[1, 2, 0]]
    starting._MADE.clear()
    alone = [starting.from_one_plot(3.0, one[None], sigma[:1], *at) for one in z]
    starting._MADE.clear()
    monkeypatch.setattr(starting, "MOST_MADE", 3)
    for some in ([0, 1], [1, 0, 2, 3, 4, 5, 6], [4, 0], [2, 4, 1]):
        together = starting.from_one_plot(3.0, z[some], sigma[some], *at)
        for row, i in enumerate(some):
            assert all(np.array_equal(getattr(together, name)[row], getattr(alone[i], name)[0]) for name in ("x", "P", "mu", "x6", "P6"))
        assert len(starting._MADE) == (2 if some == [0, 1] else 3)
