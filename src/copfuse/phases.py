"""What an estimate says of the phase of flight: how strongly something pushes, and boost, midcourse, terminal or glide."""

from __future__ import annotations

from typing import Any

import numpy as np

from copfuse.constants import BOOST, GLIDE, MIDCOURSE, REENTRY_ALTITUDE, TERMINAL
from copfuse.filters import Bank
from copfuse.frames import altitude
from copfuse.kernels import rows as kernel
from copfuse.kernels.motions import BOOST as THRUSTING
from copfuse.kernels.motions import GLIDE as LIFTING
from copfuse.kernels.motions import MANOEUVRE, REENTRY

BOOST_CEILING = 1000e3  # m, no engine burns above: the last stage of a lofted ICBM burns out at 600 to 900 km, *notional*


STAGES = 0.3  # chance that an engine which goes out has another above it: none for SRBMs, two in three for ICBMs, *notional*
PAUSE = 3.0  # s, mean time from there to the next ignition; webcast launches take up to ten, *notional*
OVER = 1e-3  # chance of a further stage below which none is expected


def further(since) -> np.ndarray:
    """Probability (n,) that a further stage follows, where the engine was last seen to burn ``since (n,)`` s ago (inf: never).

    Bayes' rule: a next stage lights after a time that is exponential with mean `PAUSE`, and has not yet.
    """
    waits = STAGES * np.exp(-np.maximum(since, 0.0) / PAUSE)
    chance = waits / (1.0 - STAGES + waits)
    return np.where(chance > OVER, chance, 0.0)


def relight(since) -> np.ndarray:
    """Rate (n,), 1/s, at which a further stage lights then; what burns now does not both go out and light again before the next plot."""
    return np.where(np.asarray(since) > 0.0, further(since) / PAUSE, 0.0)


def relight_within(pause, seconds) -> np.ndarray:
    """The steady rate (n,), 1/s, that in so many ``seconds`` (n,) lights as many further stages as light then, of a chance ``pause``."""
    lights = pause * -np.expm1(-np.maximum(seconds, 0.0) / PAUSE)
    return np.where(lights > 0.0, -np.log1p(-lights) / np.maximum(seconds, 1e-9), 0.0)


def push(bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """Acceleration that the two pushed models see, (n, 3) m/s^2, and its standard deviation per axis (n,)."""
    v = bank.x6[:, 3:]
    ahead = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1.0)
    w = bank.mu[:, [MANOEUVRE, THRUSTING]]
    w = w / w.sum(axis=1, keepdims=True)
    each = np.stack([bank.x[:, MANOEUVRE, 6:9], bank.x[:, THRUSTING, 6:7] * ahead], axis=1)
    a = np.einsum("nk,nki->ni", w, each)
    own = np.stack([np.trace(bank.P[:, MANOEUVRE, 6:9, 6:9], axis1=1, axis2=2), bank.P[:, THRUSTING, 6, 6]], axis=1)
    variance = np.einsum("nk,nk->n", w, own + ((each - a[:, None]) ** 2).sum(axis=2)) / 3
    return a, np.sqrt(variance)


def thrust(bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """The push along the velocity, (n,) m/s^2, and its standard deviation: an engine's is forward, drag's and lift's is not."""
    a, sigma = push(bank)
    v = bank.x6[:, 3:]
    return np.einsum("ni,ni->n", a, v) / np.maximum(np.linalg.norm(v, axis=1), 1.0), sigma


def pushed(bank: Bank) -> np.ndarray:
    """Probability (n,) that an engine burns, or something that has no model acts."""
    return bank.mu[:, MANOEUVRE] + bank.mu[:, THRUSTING]


def phase_probability(bank: Bank, burnt: np.ndarray, pause=0.0) -> np.ndarray:
    """Probabilities of boost, midcourse, terminal and glide, (n, 4), from the models' and the height.

    A push after burnout inside the air is lift (glide), outside it a further stage; free flight is midcourse if it is
    above 100 km or will climb there, else terminal.  What climbs and has not been seen to burn out is at least as likely
    to be burning as not: a few plots cannot tell.  Boost lasts until the last stage is out, so it is at least as
    likely as that one is to come, ``pause`` (scalar or (n,), `further`).
    """
    height = altitude(bank.x6[:, :3])
    r = np.linalg.norm(bank.x6[:, :3], axis=1)
    climb = (bank.x6[:, :3] * bank.x6[:, 3:]).sum(1) / r
    gravity = 9.8 * (6371e3 / r) ** 2
    apogee = height + np.where(climb > 0, climb**2, 0.0) / (2 * gravity)
    engine = pushed(bank)
    engine = np.where(~burnt & (climb > 0) & (height < BOOST_CEILING), np.maximum(engine, 0.5), engine)
    low = height < REENTRY_ALTITUDE
    lift = burnt & low
    glide = np.where(low, bank.mu[:, LIFTING], 0.0) * (1.0 - engine) / np.maximum(1.0 - pushed(bank), 1e-9)
    out = apogee > REENTRY_ALTITUDE
    free = 1.0 - engine - glide
    p = np.zeros((len(bank), 4))
    p[:, BOOST], p[:, GLIDE] = np.where(lift, 0.0, engine), glide + np.where(lift, engine, 0.0)
    p[:, MIDCOURSE], p[:, TERMINAL] = np.where(out, free, 0.0), np.where(out, 0.0, free)
    p /= p.sum(axis=1, keepdims=True)
    boost = np.maximum(p[:, BOOST], pause)
    p *= np.where(boost > p[:, BOOST], (1.0 - boost) / np.maximum(1.0 - p[:, BOOST], 1e-9), 1.0)[:, None]
    p[:, BOOST] = boost
    return p


def said(bank: Bank, prior: Bank, time: np.ndarray, burnt: np.ndarray, lit: np.ndarray) -> dict[str, Any]:
    """What rows of Tracks say of estimates at times (n,) s, nothing of it shared with the banks: whether each has ``burnt (n,)`` out, and
    was last ``lit (n,)`` s; and what of them and of what was predicted, ``prior``, `covariances.finished` asks for.

    To the bit `push`, `phase_probability` and `covariances.noisy`, in a sixth of their time.
    """
    n = len(bank)
    push, sigma, phase, noisy, before = np.empty((n, 3)), np.empty(n), np.empty((n, 4)), np.empty((n, 6, 6)), np.empty((n, 6, 6))
    kernel.pushes(bank.x, bank.P, bank.mu, bank.x6, push, sigma)
    kernel.phases(bank.mu, bank.x6, burnt, further(time - lit), BOOST_CEILING, phase)
    kernel.unthrusting(bank.mu, bank.P, noisy)
    kernel.unthrusting(prior.mu, prior.P, before)
    return {
        "x": bank.x6.copy(), "P": bank.P6.copy(), "acceleration": push, "acceleration_sigma": sigma,
        "log_beta": np.stack([bank.x[:, REENTRY, 6], np.sqrt(bank.P[:, REENTRY, 6, 6])], axis=1), "phase_probability": phase,
        "prior": prior.P6.copy(), "noisy": noisy, "noisy_prior": before, "share": 1.0 - prior.mu[:, THRUSTING],
    }  # fmt: skip
