"""How long the compiled kernels take: `pytest -n 0 benchmarks` (pytest-benchmark, in the dev extra); no part of the test suite."""

from __future__ import annotations

import numpy as np
import pytest

from copfuse import filters, forecast, kalman
from copfuse import speed as bench
from copfuse.kernels import motions
from copfuse.kernels.consider import consider

P = bench.problem(200)
Z, SIGMA = P.z[:1], P.sigma[:1]


def tracks(n):
    even = np.full((n, motions.N_MODEL), 1.0 / motions.N_MODEL)
    return filters.bank(0.0, np.tile(P.x, (n, 1)), np.tile(P.P, (n, 1, 1)), even)


@pytest.mark.parametrize("n", [1, 100])
def test_extended_step(benchmark, n):
    x, covariance = np.tile(P.x, (n, 1)), np.tile(P.P, (n, 1, 1))
    new = benchmark(kalman.step, 0.0, x, covariance, 1.0, np.tile(Z, (n, 1)), np.tile(SIGMA, (n, 1)), P.origin, P.axes)
    assert np.isfinite(new.x).all()


def test_extended_series_of_200_plots(benchmark):
    assert np.isfinite(benchmark(bench.extended, P)[0]).all()


@pytest.mark.parametrize("n", [1, 100])
def test_models_predict(benchmark, n):
    assert np.isfinite(benchmark(filters.predict, tracks(n), 1.0).x6).all()


@pytest.mark.parametrize("n", [1, 100])
def test_models_update(benchmark, n):
    now = filters.predict(tracks(n), 1.0)
    assert np.isfinite(benchmark(filters.update, now, np.tile(Z, (n, 1)), np.tile(SIGMA, (n, 1)), P.origin, P.axes).x6).all()


def test_models_expect_ten_tracks_and_ten_plots(benchmark):
    now = filters.predict(tracks(10), 1.0)
    d2, _ = benchmark(filters.expect, now, np.tile(Z, (10, 1)), np.tile(SIGMA, (10, 1)), P.origin, P.axes)
    assert np.isfinite(d2).all()


def test_impact_point_of_ten_tracks(benchmark):
    coasting = np.tile([0.0, 1.0, 0.0, 0.0], (10, 1))
    x, covariance, beta = np.tile(P.x, (10, 1)), np.tile(P.P / 100.0, (10, 1, 1)), np.tile([8.5, 0.5], (10, 1))
    point, *_ = benchmark(forecast.impact_point, x, covariance, beta, np.zeros((10, 3)), coasting)
    assert np.isfinite(point).all()


def test_consider_200_rows_of_two_sensors(benchmark):
    n = len(P.z)
    x, _ = bench.extended(P)
    one, two = np.zeros(n, np.int64), np.arange(n) % 2
    origin, axes = np.tile(P.origin, (n, 1)), np.tile(P.axes, (n, 1, 1))
    bias, lasting, out = np.tile([20.0, 1e-3, 1e-3], (2, 1)), np.full(2, 300.0), np.zeros((n, 6, 6))
    args = one, two, np.arange(1.0, n + 1), x, P.sigma, origin, axes, np.zeros(2, np.int64), 1, 2, bias, lasting, 60.0, out
    benchmark(consider, *args)
    assert np.isfinite(out).all() and out[-1, 0, 0] > 0.0
