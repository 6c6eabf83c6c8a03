"""The slow checks of distributions: verdicts on draws that are right and on draws that are not, scores of mixtures, ellipses by hand."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom, chi2, kstest

from copfuse import filters, frames, simulate
from copfuse.kernels import motions
from copfuse.scenario import load
from copfuse.speed import problem

PLACE = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def verify():
    """The modules of the benchmarks folder."""
    sys.path.insert(0, str(PLACE))
    try:
        names = ("distributions", "consistent", "consistency", "consistency_figures")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(PLACE))


def flights_of(rng, flights=24, rows=30, keep=0.9):
    """Normal scores that hang together within flights (first-order Gauss-Markov), and their flights."""
    q = rng.standard_normal((flights, rows))
    for k in range(1, rows):
        q[:, k] = keep * q[:, k - 1] + np.sqrt(1.0 - keep**2) * q[:, k]
    return q.ravel(), np.repeat(np.arange(flights), rows)


# Statistics -----------------------------------------------------------------------------------------------------------


def test_right_samples_are_found_right_ninety_nine_times_in_a_hundred(verify):
    """Of 40 studies of correlated samples as many say NO as chance allows; of errors twice as large nearly all do."""
    d, rng = verify.distributions, np.random.default_rng(0)
    right = wrong = outside = 0
    for _ in range(40):
        q, flight = flights_of(rng)
        right += d.uniform(ndtr(q), flight).verdict == "NO"
        wrong += d.uniform(d.transform(4.0 * q**2, 1), flight).verdict == "NO"
        share = d.beyond(ndtr(q), flight, 0.95)
        outside += not share.low <= 0.05 <= share.high
    most = binom.ppf(0.9999, 40, 1.0 - d.LEVEL)
    assert right <= most and outside <= most and wrong >= 36


def test_independent_samples_have_kolmogorovs_bound(verify):
    """One sample a flight: the bound is about that of the usual test, and the distance is its statistic, to the grid's step."""
    d, rng = verify.distributions, np.random.default_rng(1)
    u = rng.random(60)
    judged = d.uniform(u, np.arange(60))
    assert judged.statistic == pytest.approx(kstest(u, "uniform").statistic, abs=0.004)
    assert 0.15 < judged.bound < 0.27  # Kolmogorov's at 99 % is 0.208
    assert d.effective(d.shares(u, np.arange(60)), 60) == pytest.approx(60.0, rel=0.1)


def test_correlated_samples_count_as_fewer(verify):
    """Thirty samples of a flight that keep 0.9 of the one before are worth fewer than thirty, and more than one."""
    d, rng = verify.distributions, np.random.default_rng(2)
    q, flight = flights_of(rng, flights=400)
    assert 400.0 < d.effective(d.shares(ndtr(q), flight), len(q)) < 0.3 * len(q)


def test_whiteness_is_told_from_correlation(verify):
    """White innovations are found white, and those of a series that keeps 0.2 are not; nan parts a series."""
    d, rng = verify.distributions, np.random.default_rng(3)
    said = [d.white(q, flight, flight).verdict for q, flight in (flights_of(rng, keep=0.0) for _ in range(30))]
    assert said.count("NO") <= binom.ppf(0.9999, 30, 1.0 - d.LEVEL)
    q, flight = flights_of(rng, rows=200, keep=0.2)
    found = d.white(q, flight, flight)
    assert found.verdict == "NO" and found.curve[0] == pytest.approx(0.2, abs=0.05)
    q[1::2] = np.nan
    assert d.white(q, flight, flight).curve[0] == 0.0


def test_few_flights_are_not_judged(verify):
    d = verify.distributions
    assert d.uniform(np.linspace(0.0, 0.5, 50), np.arange(50) % 5).verdict == "-"
    assert d.uniform(np.zeros(0), np.zeros(0, int)).verdict == "-"


def test_how_much_covariances_are_too_small(verify):
    """Errors 1.5 times what is claimed, of six components."""
    d, rng = verify.distributions, np.random.default_rng(4)
    squared = 1.5**2 * (rng.standard_normal((20_000, 6)) ** 2).sum(axis=1)
    assert d.too_small(squared, np.arange(20_000) % 50, 6) == pytest.approx(1.5, rel=0.02)


# Innovations ----------------------------------------------------------------------------------------------------------


def test_scores_of_draws_from_a_mixture_are_standard_normal(verify):
    """Two Gaussians of three components, far from one Gaussian: scores are normal, uncorrelated, and their squares chi-square."""
    rng, weight = np.random.default_rng(5), np.array([0.7, 0.3])
    means = np.array([[0.0, 0.0, 0.0], [3.0, -2.0, 1.0]])
    roots = np.array([np.linalg.cholesky(np.diag([1.0, 2.0, 0.5]) + 0.3), np.diag([0.5, 3.0, 1.0])])
    q = []
    for _ in range(1200):
        k = rng.random() > weight[0]
        z = means[int(k)] + roots[int(k)] @ rng.standard_normal(3)
        e = np.array([np.linalg.solve(root, z - mean) for root, mean in zip(roots, means, strict=True)])
        q.append(verify.consistent.rosenblatt(np.log(weight), e, np.log(np.einsum("kaa->ka", roots))))
    q = np.array(q)
    assert kstest(q.ravel(), "norm").pvalue > 1e-3 and kstest((q**2).sum(axis=1), chi2(3).cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(q.T) - np.eye(3)).max() < 4.0 / np.sqrt(1200)


def test_scores_far_out_keep_their_digits(verify):
    """Of one Gaussian the scores are the whitened deviations, forty standard deviations out too."""
    e = np.array([[40.0, -12.0, 0.3]])
    np.testing.assert_allclose(verify.consistent.rosenblatt(np.zeros(1), e, np.zeros((1, 3))), e[0], rtol=1e-6)


def test_scores_of_a_plot_are_the_trackers_own_distance(verify):
    """A track that coasts for sure: the sum of squared scores is the squared distance that opens its gate."""
    p = problem(1)
    alone = np.where(np.arange(motions.N_MODEL) == motions.COAST, 1.0, 0.0)[None]
    now = filters.predict(filters.bank(0.0, p.x[None], p.P[None], alone), 1.0)
    now.mu[:] = alone
    q = verify.consistent.scores(now, 0, p.z[0], p.sigma[0], p.origin, p.axes)
    d2, _ = filters.expect(now, p.z, p.sigma, p.origin, p.axes)
    assert np.isnan(q[3]) and (q[:3] ** 2).sum() == pytest.approx(d2[0, 0], rel=1e-9)


def test_innovations_of_a_flight_are_those_of_its_plots(verify):
    """The first minute and a half of a flight seen without bias: every taken plot of the missile once, about as large as expected."""
    scenario = replace(load("pull-up-2019"), bias=0.0)
    truth = simulate.fly(scenario)
    detections = simulate.detect(truth, scenario, seed=2)
    plots, offered = verify.consistent.innovations(detections[detections.time < 90.0], scenario, truth)
    assert 50 < len(plots) <= offered and (plots["object"] == 0).all()
    assert len(np.unique(plots[["time", "sensor"]])) == len(plots)
    per = plots["nis"] / plots["components"]
    assert 0.8 < per.mean() < 1.2 and (plots["components"] >= 2).all()


# Ellipses and the whole -----------------------------------------------------------------------------------------------


def test_errors_over_an_ellipse_by_hand(verify):
    """A point 300 m north and 200 m east of the truth, sigma 100 m north and 400 m east, course northwards, then eastwards."""
    lat, lon = np.radians(40.0), np.radians(140.0)
    true, axes = frames.ecef(lat, lon, 0.0), frames.enu_axes(lat, lon)
    point = true + 200.0 * axes[0] + 300.0 * axes[1]
    P = axes.T @ np.diag([400.0**2, 100.0**2, 10.0**2]) @ axes
    for course, along, across in ((axes[1], 3.0, 0.5), (-axes[1], -3.0, -0.5), (axes[0], 0.5, -3.0)):
        found = verify.consistent.on_the_ground(np.stack([point, np.full(3, np.nan)]), np.stack([P, P]), true, course)
        np.testing.assert_allclose([found[0][0], found[1][0]], [along, across], atol=1e-3)
        assert np.isnan(found[0][1]) and np.isnan(found[1][1])


def made_up(verify, factor=1.0, flights=12, rows=20):
    """Samples as of a right tracker whose errors and innovations are ``factor`` times as large."""
    c, rng, n = verify.consistent, np.random.default_rng(6), flights * rows
    errors, plots = np.zeros(n, c.ERROR), np.zeros(n, c.PLOT)
    for table in (errors, plots):
        table["seed"], table["time"], table["phase"] = np.repeat(np.arange(flights), rows), np.tile(np.arange(rows), flights), 1
    errors["source"] = 7
    e, q, spot = (factor * rng.standard_normal((n, k)) for k in (6, 4, 4))
    errors["nees"], errors["position"], errors["velocity"] = (e**2).sum(1), (e[:, :3] ** 2).sum(1), (e[:, 3:] ** 2).sum(1)
    for name, part in (("impact", spot[:, :2]), ("launch", spot[:, 2:])):
        errors[name], errors[f"{name}_along"], errors[f"{name}_across"] = (part**2).sum(1), part[:, 0], part[:, 1]
    plots["q"], plots["nis"], plots["components"] = q, (q**2).sum(1), 4
    return c.Seed(errors, plots, n + 7)


def test_tables_say_yes_of_right_samples_and_no_of_wrong_ones(verify):
    """Every line but whiteness, which does not know of size, and the number of NOs in the last sentence."""
    for factor, most in ((1.0, 1), (2.5, 0)):
        samples = verify.consistency.Samples.of([made_up(verify, factor)])
        lines = verify.consistency.lines(samples)
        assert [line.what for line in lines].count("point") == 4 and len(lines) == 13
        wrong = [line for line in lines if (line.judged.verdict == "NO") != (factor > 1.0) and line.what != "whiteness"]
        assert len(wrong) <= most
        told = verify.consistency.text("made up", samples, lines)
        count = sum(line.judged.verdict == "NO" for line in lines)
        assert f"{count} of 13 lines say NO" in " ".join(told.split()) and "took 97.2 %" in " ".join(told.split())


def test_every_kind_of_line_has_its_picture(verify, tmp_path):
    samples = verify.consistency.Samples.of([made_up(verify)])
    made = verify.consistency_figures.draw(verify.consistency.lines(samples), "made up", tmp_path, "it")
    assert sorted(p.name for p in made) == sorted(
        f"it-{name}.png" for name in ("nees", "nis", "innovations", "whiteness", "pit", "ellipses", "points")
    )
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in made)
