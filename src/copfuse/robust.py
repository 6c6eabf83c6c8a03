"""`copfuse bench filters --robust`: a million steps of the multiple-model filter, and whether any covariance went indefinite.

Tracks anywhere from under the ground to 2000 km, at up to 12 km/s, with any uncertainty and any probabilities of the models; plots with
noise from 1 cm to 100 km, one in ten a hundred standard deviations off, parts missing; steps of either sign, from none to a minute.
A covariance is judged by the least eigenvalue of its *correlation* matrix (metres stand beside 1/s), after every predict and update.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from copfuse import filters, frames
from copfuse.kernels import estimation, motions

ROUNDING = 1e-13  # some hundred times what doubles round a number of size one by
LIFE = 40  # steps after which all tracks start anew elsewhere
_SITE = np.radians(38.0), np.radians(128.0)


@dataclass(frozen=True)
class Robust:
    """``steps`` predicts and updates of single models; their ``least`` eigenvalue; ``faults`` not finite, symmetric, positive."""

    steps: int
    least: float
    faults: int

    @property
    def sound(self) -> bool:
        """Whether no covariance was indefinite beyond rounding."""
        return self.faults == 0 and self.least > -ROUNDING

    def __str__(self) -> str:
        found = "none indefinite: reached" if self.sound else f"{self.faults} not finite, symmetric or positive: not reached"
        return (
            f"IMM, {self.steps:,} steps of single models, noise 1 cm to 100 km: least eigenvalue {self.least:.1e} of the largest; {found}"
        )


def robust(steps: int = 1_000_000, tracks: int = 200, seed: int = 0) -> Robust:
    """Step random banks of ``tracks`` tracks until so many steps of single models have been computed."""
    rng = np.random.default_rng(seed)
    done, least, faults = 0, 1.0, 0
    while done < steps:
        now = anywhere(rng, tracks)
        for _ in range(LIFE):
            predicted = filters.predict(now, now.time + rng.choice([0.0, 0.1, 1.0, 1.0, 10.0, 60.0, -1.0], tracks))
            done += int((predicted.mu > estimation.ASLEEP).sum())
            now = filters.update(predicted, *plots(rng, predicted.x6))
            for bank in (predicted, now):
                ratio, wrong = health(bank)
                least, faults = min(least, ratio), faults + wrong
            now = replace(now, mu=chances(rng, tracks))
    return Robust(done, least, faults)


def chances(rng: np.random.Generator, n: int) -> np.ndarray:
    """Probabilities (n, 5) of the models: some near even, some with one model nearly alone."""
    return rng.dirichlet(np.full(motions.N_MODEL, rng.choice([0.05, 1.0])), n)


def anywhere(rng: np.random.Generator, n: int) -> filters.Bank:
    """n tracks about the site."""
    height = np.where(rng.random(n) < 0.5, rng.uniform(-5e3, 150e3, n), rng.uniform(150e3, 2e6, n))
    lat, lon = np.array(_SITE)[:, None] + 0.1 * rng.normal(size=(2, n))
    velocity = rng.normal(size=(n, 3))
    velocity *= (rng.uniform(0.0, 12e3, n) / np.linalg.norm(velocity, axis=1))[:, None]
    x = np.concatenate([frames.ecef(lat, lon, height), velocity], axis=1)
    turn = np.linalg.qr(rng.normal(size=(n, 6, 6)))[0]
    scale = np.repeat(10.0 ** rng.uniform([-2.0, -2.0], [5.0, 3.7], (n, 2)), 3, axis=1)
    share = 10.0 ** rng.uniform(-4.0, 0.0, (n, 1, 6))
    P = scale[:, :, None] * ((turn * share) @ np.swapaxes(turn, 1, 2)) * scale[:, None, :]
    push = rng.normal(size=(n, 3)) * rng.choice([0.0, 30.0], (n, 1))
    return filters.bank(0.0, x, P, chances(rng, n), acceleration=push, acceleration_sigma=10.0 ** rng.uniform(-1.0, 2.0, n))


def plots(rng: np.random.Generator, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """z, sigma (n, 4) of the tracks x (n, 6), and the sensor: the arguments of `filters.update`."""
    n, cosines = len(x), int(rng.integers(2))
    origin, axes = frames.ecef(*_SITE, 100.0), frames.enu_axes(*_SITE)
    sigma = 10.0 ** rng.uniform([-2.0, -7.0, -7.0, -3.0], [5.0, -1.0, -1.0, 3.0], (n, 4))
    z = frames.look(x, origin, axes, cosines) + sigma * rng.normal(size=(n, 4)) * rng.choice([1.0, 100.0], (n, 1), p=[0.9, 0.1])
    z[rng.random((n, 4)) < 0.2] = np.nan
    return z, sigma, origin, axes, cosines


def health(bank: filters.Bank) -> tuple[float, int]:
    """The least eigenvalue of all correlation matrices of a bank, and how many means are not finite or covariances no covariances."""
    least = 1.0
    faults = int((~(np.isfinite(bank.x).all(axis=(1, 2)) & np.isfinite(bank.x6).all(axis=1) & np.isfinite(bank.mu).all(axis=1))).sum())
    covariances = [bank.P[:, model, :n, :n] for model, n in enumerate(motions.DIMENSION)]
    for P in (*covariances, bank.P6):
        variance = np.einsum("nii->ni", P)
        good = np.isfinite(P).all(axis=(1, 2)) & (np.swapaxes(P, 1, 2) == P).all(axis=(1, 2)) & (variance > 0.0).all(axis=1)
        s = np.sqrt(variance[good])
        value = np.linalg.eigvalsh(P[good] / (s[:, :, None] * s[:, None, :]))
        share = value[:, 0] / value[:, -1]
        least = min(least, float(share.min(initial=1.0)))
        faults += int((~good).sum() + (share <= -ROUNDING).sum())
    return least, faults
