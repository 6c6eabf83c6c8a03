"""Whether samples from many flights have the distribution that they claim, as distances with bounds that heed correlation.

Errors of one flight hang together in time: a hundred rows of one flight are not a hundred samples, and the bounds of the
usual tests (Kolmogorov, Cramer-von Mises) would be far too narrow.  Flights of different seeds are independent.  So every flight gives
one curve (the share of its samples up to each value, each flight weighing alike), the mean of these curves is compared with what it
should be, and flights are resampled whole to see how far chance moves that mean (the cluster bootstrap: Davison and Hinkley, Bootstrap
Methods, 1997, sec. 3.8; for distribution functions: van der Vaart and Wellner, Weak Convergence and Empirical Processes, 1996, sec. 3.6).
Bounds are wider for few flights as Student's distribution is.

Values come as probability transforms: what the claimed distribution gives for "at most this much", uniform where it is right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, chdtr, chdtri, ndtri, stdtrit

from copfuse.intervals import LEAST, Interval, bootstrap

LEVEL = 0.99  # of a line: one right line in a hundred says NO by chance
RESAMPLES, SEED = 2000, 20171129
GRID = np.linspace(0.0, 1.0, 501)
LAGS = 8


@dataclass(frozen=True)
class Judged:
    """One statistic and its bound, over so many ``flights`` and ``samples``; ``curve`` is what the statistic is the largest value of."""

    statistic: float
    bound: float
    flights: int
    samples: int
    curve: np.ndarray

    @property
    def verdict(self) -> str:
        """ "yes" where the statistic is within its bound, "NO" where not, "-" where flights are too few to say."""
        return "-" if math.isnan(self.bound) else "yes" if self.statistic <= self.bound else "NO"


def shares(u, flight) -> np.ndarray:
    """Each flight's share of values ``u (n,)`` up to every point of `GRID`: ``(flights, len(GRID))``; ``flight (n,)``: any labels."""
    u, (names, at) = np.asarray(u, float), np.unique(flight, return_inverse=True)
    cell = np.minimum(np.searchsorted(GRID, u, side="left"), len(GRID) - 1)
    count = np.bincount(at * len(GRID) + cell, minlength=len(names) * len(GRID)).reshape(len(names), len(GRID))
    return np.cumsum(count, axis=1) / np.maximum(count.sum(axis=1, keepdims=True), 1)


def uniform(u, flight) -> Judged:
    """The largest distance between the mean share of ``u (n,)`` up to p and p itself, over all p; ``curve``: the mean share on `GRID`."""
    each = shares(u, flight)
    if len(each) == 0:
        return Judged(math.nan, math.nan, 0, 0, np.full(len(GRID), math.nan))
    mean = each.mean(axis=0)
    return Judged(float(np.abs(mean - GRID).max()), _chance(each, mean), len(each), len(u), mean)


def beyond(u, flight, level: float) -> Interval:
    """The mean share of values above ``level``, flights weighing alike, with its interval at `LEVEL`.

    Rare as they are, flights resampled would often hold none.  So the interval is Clopper's and Pearson's (Biometrika 26(4), 1934) of as
    many independent samples as would scatter as the flights' curves do in their middle (`effective`).
    """
    each = shares(u, flight)
    if len(each) < LEAST:
        return Interval(float(np.mean(np.asarray(u) > level)) if len(each) else math.nan, math.nan, math.nan)
    _, at = np.unique(flight, return_inverse=True)
    share = float((np.bincount(at, np.asarray(u) > level) / np.bincount(at)).mean())
    n, tail = effective(each, len(at)), 0.5 - 0.5 * LEVEL
    low = float(betaincinv(share * n, n - share * n + 1.0, tail)) if share > 0.0 else 0.0
    high = float(betaincinv(share * n + 1.0, n - share * n, 1.0 - tail)) if share < 1.0 else 1.0
    return Interval(share, low, high)


def effective(each: np.ndarray, samples: int) -> float:
    """How many independent samples would scatter as the mean of flights' curves ``each (flights, len(GRID))``, of so many samples, does."""
    mean = each.mean(axis=0)
    middle = (mean > 0.25) & (mean < 0.75)
    spread = each[:, middle].var(axis=0, ddof=1) / len(each)
    if not middle.any() or not spread.any():
        return float(len(each))
    return float(min((mean[middle] * (1.0 - mean[middle])).mean() / spread.mean(), samples))


def white(q, series, flight) -> Judged:
    """The largest correlation of normalised innovations ``q (n,)`` with the 1 to `LAGS` ones before in their ``series (n,)``.

    Rows of one series stand in order of time; nan parts it.  What a right filter leaves has mean 0 whatever went before, so
    products have mean 0, and bounds are of resampled flights.  ``curve (LAGS,)``: the correlations.
    """
    q, (names, at) = np.asarray(q, float), np.unique(flight, return_inverse=True)
    series = np.asarray(series)
    good = np.isfinite(q)
    if not good.any():
        return Judged(math.nan, math.nan, 0, 0, np.full(LAGS, math.nan))
    k = len(names)
    power = np.bincount(at[good], q[good] ** 2, k) / np.maximum(np.bincount(at[good], minlength=k), 1)
    product = np.zeros((k, LAGS))
    for lag in range(1, LAGS + 1):
        both = (series[lag:] == series[:-lag]) & good[lag:] & good[:-lag]
        number = np.bincount(at[lag:][both], minlength=k)
        product[:, lag - 1] = np.bincount(at[lag:][both], (q[lag:] * q[:-lag])[both], k) / np.maximum(number, 1)
    counts = _counts(k)
    mean = product.mean(axis=0) / power.mean()
    drawn = (counts @ product) / (counts @ power)[:, None]
    return Judged(float(np.abs(mean).max()), _bound(np.abs(drawn - mean).max(axis=1), k), k, int(good.sum()), mean)


def average(value, flight) -> Interval:
    """The mean of ``value (n,)``, flights weighing alike, with its interval at `LEVEL` (flights resampled)."""
    names, at = np.unique(flight, return_inverse=True)
    if len(names) == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = np.bincount(at, np.asarray(value, float)) / np.bincount(at)
    return bootstrap(mean, np.arange(len(mean)), level=LEVEL)


def band(each: np.ndarray) -> np.ndarray:
    """Half-widths (m,) of bands that hold the mean of ``each (flights, m)`` at every place at once, as chance moves it."""
    n = len(each)
    if n < LEAST:
        return np.full(each.shape[1], math.nan)
    spread = np.maximum(each.std(axis=0, ddof=1) / math.sqrt(n), 1e-12)
    drawn = np.abs(_counts(n) @ each / n - each.mean(axis=0)) / spread
    return spread * _bound(drawn.max(axis=1), n)


def normal_scores(u) -> np.ndarray:
    """Standard normal values of probability transforms ``u``, for quantile pictures; kept off the ends."""
    return ndtri(np.clip(u, 1e-12, 1.0 - 1e-12))


def transform(squared, dimension) -> np.ndarray:
    """Probability transform of squared distances that claim to be chi-square of ``dimension`` components."""
    return chdtr(dimension, np.maximum(squared, 0.0))


def too_small(squared, flight, dimension: int) -> float:
    """By how much standard deviations are too small: root of the median of squared distances over chi-square's; 1 is right."""
    if len(squared) == 0:
        return math.nan
    _, at = np.unique(flight, return_inverse=True)
    order = np.argsort(squared)
    weight = (1.0 / np.bincount(at))[at][order]
    middle = np.searchsorted(np.cumsum(weight), 0.5 * weight.sum())
    return float(math.sqrt(np.asarray(squared)[order][middle] / chdtri(dimension, 0.5)))


def _chance(each: np.ndarray, mean: np.ndarray) -> float:
    return _bound(np.abs(_counts(len(each)) @ each / len(each) - mean).max(axis=1), len(each))


def _counts(n: int) -> np.ndarray:
    """How often each of n flights is drawn in each of `RESAMPLES` resamplings."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([SEED, n])))
    return rng.multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES)


def _bound(drawn: np.ndarray, n: int) -> float:
    """The quantile at `LEVEL` of resampled distances, wider as Student's distribution with n - 1 degrees of freedom is."""
    if n < LEAST:
        return math.nan
    wider = math.sqrt(n / (n - 1.0)) * float(stdtrit(n - 1, 0.5 + 0.5 * LEVEL)) / float(ndtri(0.5 + 0.5 * LEVEL))
    return wider * float(np.quantile(drawn, LEVEL))
