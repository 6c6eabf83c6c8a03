"""Late plots and tracks: exact figures, sorted reprocessing, and replay bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from copfuse import filters, frames, gaussian, retrodiction, rules
from copfuse.errors import CopfuseError

H = np.array([[1.0, 0.0]])
SENSOR = gaussian.linear(H, np.eye(1))
P0 = np.array([[1.0, 1.0], [1.0, 2.0]])


def constant_velocity(q):
    """Continuous white acceleration of spectral density q."""

    def motion(begin, end):
        t = end - begin
        return gaussian.linear([[1.0, t], [0.0, 1.0]], q * np.array([[t**3 / 3, t**2 / 2], [t**2 / 2, t]]))

    return motion


def sorted_filter(q, plots):
    """A plain Kalman filter over plots (time, z) in time order: the twin that sees everything in time."""
    x, P, now = np.zeros(2), P0, 0.0
    for time, z in sorted(plots):
        t = time - now
        F = np.array([[1.0, t], [0.0, 1.0]])
        x, P, now = F @ x, F @ P @ F.T + q * np.array([[t**3 / 3, t**2 / 2], [t**2 / 2, t]]), time
        gain = P[:, 0] / (P[0, 0] + 1.0)
        x, P = x + gain * (z - x[0]), P - np.outer(gain, P[0])
    return x, P


LATE = {  # q: covariance after a plot of 9.5 s that arrives after ten scans of 1 s, and without it
    0.01: (0.285853, 0.064968, 0.037419, 0.369292, 0.040347), 0.1: (0.406520, 0.173953, 0.197755, 0.548746, 0.208268),
    0.5: (0.518687, 0.345248, 0.629696, 0.695465, 0.641134), 1.0: (0.574821, 0.461157, 1.028645, 0.756738, 1.034294),
    4.0: (0.698280, 0.792392, 2.670608, 0.864145, 2.688994),
}  # fmt: skip


@pytest.mark.parametrize("q", LATE)
def test_a_plot_half_a_scan_late(q):
    """The set-up of Bar-Shalom, IEEE T-AES 38(3), 2002; the optimum, which his algorithm A reaches at lag one."""
    motion = constant_velocity(q)
    past = retrodiction.history(0.0, np.zeros(2), P0)
    for k in range(1, 11):
        past = retrodiction.forget(retrodiction.take(past, k, [[0.0]], SENSOR, motion), k - 1.0)
        assert len(past.time) == 2
    want = LATE[q]
    assert np.allclose(np.diag(past.at(-1)[1][0]), want[3:], atol=1e-6)
    P = retrodiction.take(past, 9.5, [[0.0]], SENSOR, motion).at(-1)[1][0]
    assert np.allclose(P[[0, 0, 1], [0, 1, 1]], want[:3], atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.01, 1.0]))
@example(10115609, 0.0)  # where what rounding leaves of no process noise was inverted
def test_any_order_of_arrival_is_the_sorted_order(seed, q):
    """Irregular times, any lag, two at one time: the state now equals sorted reprocessing to 1e-9, two tracks at once."""
    rng = np.random.default_rng(seed)
    times = np.r_[rng.uniform(0.0, 20.0, 9), 5.0, 5.0]
    z = rng.normal(size=(11, 2)) + times[:, None]
    past = retrodiction.history(0.0, np.zeros((2, 2)), P0)
    for i in rng.permutation(11):
        past = retrodiction.take(past, times[i], z[i][:, None], SENSOR, constant_velocity(q))
    for track in range(2):
        x, P = sorted_filter(q, list(zip(times, z[:, track], strict=True)))
        assert np.allclose(past.at(-1)[0][track], x, atol=1e-9) and np.allclose(past.at(-1)[1][track], P, atol=1e-9)


def test_past_states_are_the_smoothed_ones():
    """The other states of a history are what the Rauch-Tung-Striebel smoother gives."""
    z = np.random.default_rng(3).normal(size=(8, 1, 1))
    motion = constant_velocity(0.3)
    past = retrodiction.history(0.0, np.zeros(2), P0)
    for k, value in enumerate(z, 1):
        past = retrodiction.take(past, k, value, SENSOR, motion)
    x, P, _ = gaussian.filter_series(np.zeros((1, 2)), P0[None], z, motion(0.0, 1.0), SENSOR)
    xs, Ps = gaussian.smooth(x, P, motion(0.0, 1.0))
    for k in range(8):
        assert np.allclose(past.at(k + 1)[0], xs[k], atol=1e-9) and np.allclose(past.at(k + 1)[1], Ps[k], atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_late_tracklets_of_every_scan_are_late_plots(seed):
    """Another tracker sends what each of its plots taught it; that arrives in any order, and equals the plots in time order."""
    rng = np.random.default_rng(seed)
    motion, times, z = constant_velocity(0.2), np.cumsum(rng.uniform(0.2, 3.0, 7)), rng.normal(size=7)
    x, P, now, news = np.zeros((1, 2)), P0[None], 0.0, []
    for time, value in zip(times, z, strict=True):
        before = gaussian.predict(x, P, motion(now, time))
        after = gaussian.update(*before, [[value]], SENSOR)
        news.append(rules.tracklet(after.x, after.P, *before))
        x, P, now = after.x, after.P, time
    past = retrodiction.history(0.0, np.zeros(2), P0)
    for i in rng.permutation(7):
        past = retrodiction.take_track(past, times[i], news[i], motion)
    assert np.allclose(past.at(-1)[0], x, atol=1e-9) and np.allclose(past.at(-1)[1], P, atol=1e-9)


def test_a_bent_sensor_late_is_nearly_as_good_as_in_time():
    """Range and bearing through the cubature rule: a plot two scans late, against the same in order, to 1 % of a sigma."""

    def look(x):
        return np.stack([np.hypot(x[:, 0], 50.0), np.arctan2(x[:, 0], 50.0)], axis=1)

    sensor, motion = gaussian.Model(look, np.diag([0.1, 1e-4]), angles=(1,)), constant_velocity(0.01)
    z = [look(np.array([[10.0 + t, 1.0]])) for t in range(1, 9)]
    ends = []
    for order in (range(1, 9), (1, 2, 3, 4, 5, 7, 8, 6)):
        past = retrodiction.history(0.0, np.array([[10.0, 1.0]]), P0)
        for t in order:
            past = retrodiction.take(past, t, z[t - 1], sensor, motion)
        ends.append(past.at(-1))
    sigma = np.sqrt(np.diag(ends[0][1][0]))
    assert np.allclose((ends[0][0] - ends[1][0]) / sigma, 0.0, atol=0.01) and np.allclose(ends[0][1], ends[1][1], rtol=0.01)


def test_what_is_before_the_history_is_refused():
    past = retrodiction.history(5.0, np.zeros(2), P0)
    with pytest.raises(CopfuseError, match="begins at 5.0 s"):
        retrodiction.take(past, 4.0, [[0.0]], SENSOR, constant_velocity(1.0))


# Replay of the production filter ------------------------------------------------------------------------------------------

SITES = [(np.radians(38.0), np.radians(128.0), 100.0), (np.radians(40.0), np.radians(141.0), 500.0)]
SIGMA = np.array([15.0, 1.5e-3, 1.5e-3, np.nan])


def plots(n=30, seed=0):
    """A coasting object seen by two radars in turn, some plots of both at one time."""
    rng = np.random.default_rng(seed)
    axes = frames.enu_axes(np.radians(40), np.radians(130))
    x = np.r_[frames.ecef(np.radians(40), np.radians(130), 150e3), np.array([3500.0, -500.0, 1800.0]) @ axes]
    bank = filters.bank(0.0, x[None], np.eye(6)[None], [0, 1.0, 0, 0, 0])
    made = []
    for i in range(n):
        site = SITES[i % 2]
        time = 1.5 * (i - i % 2 if i % 6 < 2 else i)
        origin, local = frames.ecef(*site), frames.enu_axes(*site[:2])
        z = frames.look(filters.predict(bank, time).x[:, 1, :6], origin, local)[0] + SIGMA * rng.standard_normal(4)
        made.append(retrodiction.Plot(time, i % 2, z, SIGMA, origin, local))
    return made


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in filters.Bank.__dataclass_fields__)


def in_order(chosen):
    state = None
    for plot in sorted(chosen, key=lambda p: p.order):
        state = retrodiction.advance(state, plot)
    return state


@pytest.mark.parametrize("seed", range(4))
def test_replay_equals_sorted_processing_bit_for_bit(seed):
    """Delays up to the window, the first plot among the delayed: the state after the last plot is the sorted one."""
    every = plots(seed=seed)
    arrival = np.argsort([p.time for p in every] + np.random.default_rng(seed).uniform(0.0, 12.0, len(every)), kind="stable")
    memory = retrodiction.Memory()
    for count, i in enumerate(arrival, 1):
        memory = retrodiction.remember(memory, every[i], window=12.0)
        if count % 10 == 0:
            assert same(memory.state, in_order([every[j] for j in arrival[:count]]))
    assert memory.refused == 0 and memory.late > 5
    assert same(memory.state, in_order(every))
    assert len(memory.plots) <= 12


def test_what_is_older_than_the_window_is_counted_and_refused():
    every = plots()
    late, rest = every[4], every[:4] + every[5:]
    memory = retrodiction.Memory()
    for plot in rest:
        memory = retrodiction.remember(memory, plot, window=10.0)
    after = retrodiction.remember(memory, late, window=10.0)
    assert after.refused == 1 and after.late == 0 and same(after.state, memory.state) and same(after.state, in_order(rest))
    edge = retrodiction.Plot(memory.plots[-1].time - 10.0, 0, late.z, late.sigma, late.origin, late.axes)
    assert retrodiction.remember(memory, edge, window=10.0).refused == 0
    with pytest.raises(CopfuseError, match="window"):
        retrodiction.remember(memory, late, window=-1.0)


def test_memory_does_not_grow():
    """However long a track lives, it keeps the window's plots and one more."""
    memory = retrodiction.Memory()
    for k in range(500):
        plot = retrodiction.Plot(float(k), 0, SIGMA, SIGMA, np.zeros(3), np.eye(3))
        memory = retrodiction.remember(memory, plot, window=20.0, step=lambda state, plot: (state or 0) + 1)
    assert len(memory.plots) == 22 and memory.state == 500 and not memory.whole
