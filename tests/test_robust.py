"""Any order of calls, any gap, any plot: estimates stay finite, covariances symmetric and positive definite.

Positive definite means here: the smallest eigenvalue of the *correlation* matrix is above -1e-13, some hundred times what
doubles round a number of size one by.  (Of the covariance itself the eigenvalues say little: metres stand beside 1/s.)
"""

from __future__ import annotations

import dataclasses

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import copfuse as cf
from copfuse import filters, frames, gaussian, kalman
from copfuse.coasting import COUNTS, Live
from copfuse.kernels import estimation as kernel
from copfuse.kernels import mixing, motions, sights
from copfuse.scanning import Scan
from copfuse.tables import Detections, stack
from copfuse.tracking import step

PLAIN = bool(numba.config.DISABLE_JIT)
SITE = np.radians(38.0), np.radians(128.0), 100.0
ORIGIN, AXES = frames.ecef(*SITE), frames.enu_axes(*SITE[:2])
NOT_BELOW = -1e-13
SEEDS = st.integers(0, 2**32 - 1)


def sound(x, P):
    """Whether x (..., d) is finite and P (..., d, d) finite, symmetric to the last bit and positive definite."""
    if not (np.isfinite(x).all() and np.isfinite(P).all() and np.array_equal(P, np.swapaxes(P, -1, -2))):
        return False
    variance = np.einsum("...ii->...i", P)
    if not (variance > 0.0).all():
        return False
    s = np.sqrt(variance)
    return bool((np.linalg.eigvalsh(P / (s[..., :, None] * s[..., None, :])) > NOT_BELOW).all())


def sound_bank(b):
    models = all(sound(b.x[:, j, :n], b.P[:, j, :n, :n]) for j, n in enumerate(motions.DIMENSION))
    return models and sound(b.x6, b.P6) and np.isfinite(b.mu).all() and (b.mu >= 0.0).all() and np.allclose(b.mu.sum(axis=1), 1.0)


def anywhere(rng):
    """One object under the ground, on the sensor, at its zenith, in the air, in space, at 40 000 km, at 0 to 12 km/s."""
    height = rng.choice([rng.uniform(-5e3, 2e3), rng.uniform(0, 150e3), rng.uniform(150e3, 2e6), 4e7])
    near = rng.choice([0.0, 0.1], 2) * rng.normal(size=2)
    position = frames.ecef(SITE[0] + near[0], SITE[1] + near[1], height)
    if rng.random() < 0.05:
        position = ORIGIN.copy()
    v = rng.normal(size=3) if rng.random() < 0.8 else position
    v = v / np.linalg.norm(v) * rng.choice([0.0, 1e-3, rng.uniform(0, 12e3), -rng.uniform(0, 8e3)])
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    scale = np.repeat([10.0 ** rng.uniform(-2, 5), 10.0 ** rng.uniform(-2, 3.7)], 3)
    P = scale[:, None] * ((turn * 10.0 ** rng.uniform(-rng.choice([0, 2, 4]), 0, 6)) @ turn.T) * scale
    mu = rng.dirichlet(np.full(motions.N_MODEL, rng.choice([0.05, 1.0])))
    push = rng.normal(size=(1, 3)) * rng.choice([0.0, 30.0, 300.0])
    return filters.bank(
        0.0, np.r_[position, v][None], P[None], mu[None], acceleration=push, acceleration_sigma=[10.0 ** rng.uniform(-1, 2)]
    )


def noises(rng):
    return 10.0 ** rng.uniform([-2, -7, -7, -3], [5, -1, -1, 3])[None]


def started(rng):
    if rng.random() < 0.75:
        return anywhere(rng)
    z = np.array([[10.0 ** rng.uniform(0, 7), rng.uniform(-3.2, 3.2), rng.uniform(-0.2, np.pi / 2), rng.choice([np.nan, 3000.0])]])
    return filters.start(0.0, z, noises(rng), ORIGIN, AXES)


def plot_of(rng, x, cosines=0):
    """A plot of x (1, 6): right, 1000 km off, off by radians, nothing but NaN, at the zenith; parts may be missing."""
    sigma = noises(rng)
    z = frames.look(x, ORIGIN, AXES, cosines) + sigma * rng.normal(size=(1, 4)) * rng.choice([0.0, 1.0, 5.0])
    kind = rng.choice(["right", "far", "aside", "none", "zenith"])
    if kind == "far":
        z[0, 0] += 1e6
    if kind == "aside":
        z[0, 1:3] += rng.normal(size=2)
    z[0, rng.random(4) < 0.3] = np.nan
    if kind == "none":
        z[:] = np.nan
    return (np.array([[1e5, 1.0, np.pi / 2, np.nan]]) if kind == "zenith" and not cosines else z), sigma


def gap(rng):
    return rng.choice([0.0, 1e-6, 0.1, 1.0, 10.0, 60.0, 600.0]) * rng.choice([1, 1, 1, -1])


@settings(max_examples=10 if PLAIN else 400, deadline=None)
@given(SEEDS)
def test_models_take_any_order_of_calls(seed):
    rng = np.random.default_rng(seed)
    b, last = started(rng), None
    assert sound_bank(b)
    for _ in range(12):
        what = rng.integers(3)
        if what == 0:
            b = filters.predict(b, b.time + gap(rng))
        else:
            if last is None or rng.random() < 0.8:  # else the same plot again
                cosines = int(rng.integers(2))
                last = (*plot_of(rng, b.x6, cosines), cosines)
            z, sigma, cosines = last
            d2, loglik = filters.expect(b, z, sigma, ORIGIN, AXES, cosines)
            assert (d2 >= 0.0).all() and np.isfinite(d2).all() and np.isfinite(loglik).all()
            b = filters.update(b, z, sigma, ORIGIN, AXES, cosines) if what == 1 else b
        assert sound_bank(b)


@settings(max_examples=10 if PLAIN else 400, deadline=None)
@given(SEEDS, st.sampled_from(["coast", "reentry"]))
def test_the_extended_filter_takes_any_order_of_calls(seed, model):
    rng = np.random.default_rng(seed)
    d, b, time = kalman.MODELS[model][1], started(rng), 0.0
    x, P = b.x[:, motions.REENTRY, :d].copy(), b.P[:, motions.REENTRY, :d, :d].copy()
    for _ in range(12):
        dt = rng.choice([0.0, gap(rng)])
        new = kalman.step(time, x, P, time + dt, *plot_of(rng, x[:, :6]), ORIGIN, AXES, model, gate=rng.choice([None, 0.999]))
        x, P, time = new.x, new.P, time + dt
        assert sound(x, P) and np.isfinite(new.loglik).all() and (new.d2 >= 0.0).all()


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 5), st.integers(1, 3))
def test_random_linear_problems_from_a_centimetre_to_a_hundred_kilometres(seed, d, m):
    """The plain filter, forms that are linear or bent, in any order of predictions and plots with parts missing."""
    rng = np.random.default_rng(seed)
    F, H = rng.normal(size=(d, d)) / np.sqrt(d), rng.normal(size=(m, d))
    Q = np.eye(d) * 10.0 ** rng.uniform(-4, 4)
    motion = gaussian.linear(F, Q)
    x, P = rng.normal(size=(3, d)), np.tile(np.eye(d) * 10.0 ** rng.uniform(-4, 10), (3, 1, 1))
    for _ in range(20):
        sensor = gaussian.linear(H, np.eye(m) * 10.0 ** rng.uniform(-4, 10))
        if rng.random() < 0.5:
            x, P = gaussian.predict(x, P, motion)
        else:
            z = np.where(rng.random((3, m)) < 0.3, np.nan, gaussian.apply(H, x) + rng.normal(size=(3, m)) * 10.0 ** rng.uniform(-2, 8))
            new = gaussian.update(x, P, z, sensor)
            x, P = new.x, new.P
        variance = np.einsum("nii->ni", P)
        unit = P / np.sqrt(variance[:, :, None] * variance[:, None, :])
        assert np.isfinite(x).all() and np.allclose(P, np.swapaxes(P, 1, 2)) and np.linalg.eigvalsh(unit).min() > -1e-6


@pytest.mark.skipif(PLAIN, reason="a million steps")
@pytest.mark.parametrize("model", ["coast", "reentry"])
def test_a_million_steps_of_the_extended_filter(model):
    """1000 tracks by 1000 steps; every step another noise level from 1 cm to 100 km (angles in keeping), one plot in ten far off."""
    rng = np.random.default_rng(1)
    n, d = 1000, kalman.MODELS[model][1]
    x = np.tile(np.r_[frames.ecef(0.70, 2.27, 300e3), [500.0, 800.0, 300.0], np.full(d - 6, 8.5)], (n, 1))
    P, truth = np.tile(np.diag([1e4] * 3 + [1e2] * 3 + [0.6] * (d - 6)), (n, 1, 1)), np.full((n, 4), np.nan)
    for k in range(1000):
        level = 10.0 ** rng.uniform(-2, 5, n)
        sigma = np.stack([level, level * 1e-6, level * 1e-6, level * 1e-2], axis=1)
        truth = frames.look(x[:, :6], ORIGIN, AXES)
        z = truth + sigma * rng.normal(size=(n, 4)) * np.where(rng.random((n, 1)) < 0.1, 100.0, 1.0)
        new = kalman.step(0.0, x, P, rng.choice([0.0, 0.1, 1.0]), z, sigma, ORIGIN, AXES, model, gate=0.999)
        x, P = new.x, new.P
        if k % 20 == 0:
            assert sound(x, P)
    assert sound(x, P)


@pytest.mark.skipif(PLAIN, reason="hundreds of thousands of steps")
def test_a_long_series_of_the_models():
    """200 tracks by 200 steps of five models: 200 000 predictions and updates."""
    rng = np.random.default_rng(2)
    one = filters.bank(
        0.0, np.r_[frames.ecef(0.70, 2.27, 90e3), [500.0, 800.0, 300.0]][None], np.diag([1e4] * 3 + [1e2] * 3)[None], [[0.2] * 5]
    )
    b = filters.Bank.stack([one] * 200)
    for k in range(200):
        level = 10.0 ** rng.uniform(-2, 5, 200)
        sigma = np.stack([level, level * 1e-6, level * 1e-6, level * 1e-2], axis=1)
        b = filters.predict(b, b.time + rng.choice([0.0, 0.1, 1.0]))
        z = frames.look(b.x6, ORIGIN, AXES) + sigma * rng.normal(size=(200, 4))
        b = filters.update(b, z, sigma, ORIGIN, AXES)
        if k % 10 == 9:
            assert sound_bank(b)


# What was found broken once ------------------------------------------------------------------------------------------


def test_a_model_that_nothing_comes_to_keeps_its_own_estimate():
    """Probabilities of zero and a transition that mixes nothing: the weights of what flows in must still sum to one."""
    b = anywhere(np.random.default_rng(5))
    N = motions.N_MODEL
    for mu in ([0.0, 1.0, 0.0, 0.0, 0.0], [1e-13, 1.0, 1e-13, 1e-13, 1e-13]):
        x, P, out = np.zeros((N, 9)), np.zeros((N, 9, 9)), np.zeros(N)
        scratch = np.zeros((9, 9)), np.zeros((N, 9, 9)), np.zeros((9, 9)), np.zeros(3 * N, np.int64)
        mixing.mix(b.x[0], b.P[0], np.array(mu), np.eye(N), 0.0, 0.0, kernel.UNHEARD, 0.0, x, P, out, *scratch)
        for j, n in enumerate(motions.DIMENSION):
            assert np.allclose(P[j, :n, :n], b.P[0, j, :n, :n], rtol=1e-9) and np.allclose(x[j, :n], b.x[0, j, :n])
        assert sound_bank(filters.predict(dataclasses.replace(b, mu=np.array([mu])), b.time))


@pytest.mark.parametrize("before", [1e6, 3e6, 1e7, 2e7])
def test_an_exact_plot_on_a_vast_prediction(before):
    """Thousands of km along the line of sight before, 1 cm after: what no line explains must be a sum of squares, no difference."""
    origin, x6 = np.array([7e6, 0.0, 0.0]), np.r_[7e6 + 1e8, 0.0, 0.0, 500.0, 0.0, 0.0][None]
    b = filters.bank(0.0, x6, np.diag([before**2, 1e-4, 1e-4, 1.0, 1.0, 1.0])[None], [[0.2] * 5])
    z = np.array([[1e8 + 0.3 * before, np.nan, np.nan, np.nan]])
    for _ in range(3):
        b = filters.update(b, z, np.array([[1e-2, 1e-7, 1e-7, 1e-3]]), origin, np.eye(3))
        assert sound_bank(b)
    assert np.allclose(b.x[0, :, 0], 7e6 + z[0, 0], rtol=0, atol=0.05)
    assert np.allclose(b.P[0, :, 0, 0], 1e-4 / 3.0, rtol=0.05)


def test_far_off_plots_turn_the_models_odds_as_their_likelihoods_say():
    """Two models millions of log likelihoods apart: the one thought likely before is out, however its likelihood underflows."""
    x6 = np.r_[frames.ecef(0.70, 2.27, 300e3), [500.0, 800.0, 300.0]][None]
    b = filters.bank(0.0, x6, np.diag([1e2] * 3 + [1.0] * 3)[None], [[0.0, 1.0 - 1e-6, 1e-6, 0.0, 0.0]])
    b.P[:, motions.REENTRY, :6, :6] *= 1e6
    new = filters.update(b, frames.look(x6, ORIGIN, AXES) + [1e5, 0, 0, 0], np.array([[10.0, 1e-3, 1e-3, np.nan]]), ORIGIN, AXES)
    assert np.isclose(new.mu[0, motions.REENTRY], 1.0, atol=1e-9) and new.mu[0, motions.COAST] < 1e-11


def test_lift_fades_going_back_as_it_does_ahead():
    s = np.r_[frames.ecef(0.70, 2.27, 30e3), [1500.0, 800.0, 300.0, 8.5, 10.0, -5.0]]
    for dt in (60.0, -60.0):
        moved = s.copy()
        motions.propagate(motions.GLIDE, 9, moved, dt, np.zeros((4, 9)), np.zeros(9))
        assert np.allclose(moved[7:9], s[7:9] * np.exp(-1.0), rtol=1e-4)


def test_a_target_on_the_sensor_is_measured():
    z = np.zeros(4)
    for cosines in (0, 1):
        sights.measure(np.r_[ORIGIN, [1.0, 2.0, 3.0]], ORIGIN, AXES, cosines, z)
        assert np.isfinite(z).all()


def test_gravity_stays_finite_down_to_the_centre():
    d = np.zeros(9)
    for model in range(motions.N_MODEL):
        motions.derivative(model, np.zeros(9), d)
        assert np.isfinite(d).all() and np.linalg.norm(d[3:6]) < 1e4


# Gates that count ---------------------------------------------------------------------------------------------------


def test_the_gate_of_the_extended_filter_says_what_it_left_out():
    x = np.tile(np.r_[frames.ecef(0.70, 2.27, 300e3), [500.0, 800.0, 300.0]], (3, 1))
    P, sigma = np.tile(np.diag([1e4] * 3 + [1e2] * 3), (3, 1, 1)), np.tile([10.0, 1e-3, 1e-3, np.nan], (3, 1))
    z = frames.look(x, ORIGIN, AXES)
    z[1, 0] += 1e6
    z[2] = np.nan
    gated = kalman.step(0.0, x, P, 0.0, z, sigma, ORIGIN, AXES, gate=0.999)
    assert gated.refused.tolist() == [False, True, False] and gated.d2[1] > 1e6
    assert np.array_equal(gated.x[1], x[1]) and np.array_equal(gated.P[1], P[1])
    every = kalman.step(0.0, x, P, 0.0, z, sigma, ORIGIN, AXES)
    assert every.refused is None and np.array_equal(every.x[0], gated.x[0]) and not np.array_equal(every.x[1], x[1])
    with pytest.raises(cf.CopfuseError, match="gate is 16.0; a probability"):
        kalman.step(0.0, x, P, 0.0, z, sigma, ORIGIN, AXES, gate=16.0)


def a_scan(time, z, sensor=0):
    z = np.reshape(z, (-1, 4))
    sigma = np.tile([20.0, 1e-3, 1e-3, np.nan], (len(z), 1))
    return Scan(time, 0, sensor, np.arange(len(z)), z, sigma, ORIGIN, AXES, np.log(1e-9), 5.0)


def counted(live):
    return dict(zip(COUNTS, live.counts, strict=True))


def test_tracking_takes_any_scan_and_counts():
    """Empty, one plot, the same time from two sensors, a duplicate, a wild plot, a gap of 20 minutes."""
    x = np.r_[frames.ecef(0.70, 2.27, 300e3), [500.0, 800.0, 300.0]][None]
    z = frames.look(x, ORIGIN, AXES) * [1, 1, 1, np.nan]
    live, rows = step(Live.empty(), a_scan(0.0, np.zeros((0, 4))))
    assert len(live) == 0 and rows is None and counted(live)["plots"] == 0
    live, _ = step(live, a_scan(0.0, z))
    assert counted(live)["new"] == 1
    for k in range(3):
        live, _ = step(live, a_scan(0.0, z, sensor=k % 2 + 1))  # equal times, other sensors
    assert counted(live)["taken"] == 3 and len(live) == 1 and sound_bank(live.bank)
    live, _ = step(live, a_scan(0.0, np.r_[z, z]))  # a duplicate: one is taken, the other was in the gate
    assert counted(live)["taken"] == 4 and counted(live)["contested"] == 1
    s = filters.expect(live.bank[[0]], z, a_scan(0.0, z).sigma, ORIGIN, AXES)
    assert np.isfinite(s).all()
    wild = z + [1e6, 0, 0, 0]
    live, _ = step(live, a_scan(0.0, wild))
    assert counted(live)["new"] == 2
    before = len(live)
    live, rows = step(live, a_scan(1200.0, z))
    now = counted(live)
    assert now["dropped"] == before and len(live) == 1 and sound_bank(live.bank) and len(rows["time"]) == 1
    assert now["plots"] == now["taken"] + now["refused"] + now["contested"] + now["new"]


def test_a_plot_just_outside_the_gate_is_counted_as_refused():
    x = np.r_[frames.ecef(0.70, 2.27, 300e3), [500.0, 800.0, 300.0]][None]
    z = frames.look(x, ORIGIN, AXES) * [1, 1, 1, np.nan]
    live, _ = step(Live.empty(), a_scan(0.0, z))
    for _ in range(5):
        live, _ = step(live, a_scan(0.0, z))
    d2 = 0.0
    off = 0.0
    while d2 < 1.2 * 25.9:  # the gate for three components (chi-squared, tail 1e-5)
        off += 1.0
        d2 = filters.expect(live.bank, z + [off, 0, 0, 0], a_scan(0.0, z).sigma, ORIGIN, AXES)[0][0, 0]
    live, _ = step(live, a_scan(0.0, z + [off, 0, 0, 0]))
    assert counted(live)["refused"] == 1 and len(live) == 2


def test_malformed_plots_are_refused_with_row_and_value():
    s = cf.load("hokkaido-2017")
    good = Detections([1.0, 2.0], [0, 0], [[1e5, 0.5, 0.5, np.nan]] * 2, [[10.0, 1e-3, 1e-3, np.nan]] * 2, [20.0] * 2, [-1, -1])

    def change(**columns):
        return Detections(**{n: columns.get(n, getattr(good, n)) for n in good.COLUMNS})

    bad = {
        r"row 1: time is nan; needed: a finite": change(time=[1.0, np.nan]),
        r"row 1: time 0.5 s comes after 1.0 s; sort": change(time=[1.0, 0.5]),
        r"row 0: sensor is 99; needed: 0 to": change(sensor=[99, 0]),
        r"row 1: z is \[inf": change(z=[good.z[0], [np.inf, 0.5, 0.5, np.nan]]),
        r"row 1: z is \[nan nan nan nan\]": change(z=[good.z[0], [np.nan] * 4]),
        r"row 0: sigma is \[-1": change(sigma=[[-10.0, 1e-3, 1e-3, np.nan], good.sigma[1]]),
        r"row 0: sigma is \[ *nan": change(sigma=[[np.nan, 1e-3, 1e-3, np.nan], good.sigma[1]]),
    }
    for message, table in bad.items():
        with pytest.raises(cf.CopfuseError, match=message):
            cf.track(table, s)
    tracks = cf.track(stack([good, good[1:]]), s)
    node = tracks.meta["counts"]
    assert sum(c["plots"] for c in node.values()) == 3 and all(set(c) == set(COUNTS) for c in node.values())
