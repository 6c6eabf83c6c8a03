"""What an estimate says of the phase of flight: how strongly something pushes, and boost, midcourse, terminal or glide."""

from __future__ import annotations

import numpy as np

from copfuse.ascents import HIGHEST
from copfuse.constants import BOOST, GLIDE, MIDCOURSE, REENTRY_ALTITUDE, TERMINAL
from copfuse.filters import Bank
from copfuse.frames import altitude
from copfuse.kernels import engines
from copfuse.kernels import rows as kernel
from copfuse.kernels.motions import BOOST as THRUSTING
from copfuse.kernels.motions import GLIDE as LIFTING
from copfuse.kernels.motions import MANOEUVRE
from copfuse.kernels.switching import LATELY

BOOST_CEILING = HIGHEST  # m, above it no engine burns


# The chance that an engine which goes out has another stage above it, where most have (`engines.stage_above`), and where hardly any has
STAGES, LAST, ONLY = engines.STAGES, engines.LAST, engines.ONLY
PAUSE = 3.0  # s, mean time from there to the next ignition; webcast launches take up to ten, *notional*
OVER = 1e-3  # chance of a further stage below which none is expected,
LONG = 7.0 * PAUSE  # s: as it surely is so long after an engine burnt
LATE = 30.0  # s after which what climbs is not expected to light an engine any more (`switching.SETTLED`)


def above(x, slow) -> np.ndarray:
    """Chance (n,) that engines which burn at ``x (n, 6)`` have another stage above them, should they go out now; ``slow (n,)`` m/s as by
    `slowest`.

    Height tells most (`engines.stage_above` has the figures): below `LOW` single stages go out, of missiles of short range.  What has
    gained more speed by one push than a stage that carries another has none above it.
    """
    x = np.asarray(x, float)
    speed = _speed(x)
    high, fast = _ramp(altitude(x), *engines.LOW), _ramp(speed, *engines.FAST)
    chance = STAGES - (STAGES - LAST) * (1.0 - high * (1.0 - fast))
    return chance - (chance - ONLY) * _ramp(speed - slow, *engines.GAINED)


def slowest(x, P, since, slow) -> np.ndarray:
    """The least speed (n,) m/s that tracks ``x (n, 6)``, ``P (n, 6, 6)``, whose engines burn, have surely been under since this push was
    first followed; ``slow (n,)`` was it at the last plot, of ``since (n,)`` s ago if they burnt then.

    Surely: by two standard deviations.  What was not seen for longer than `engines.HELD` may push anew: it is followed from now on.
    """
    P = np.asarray(P, float)
    most = _speed(np.asarray(x, float)) + 2.0 * np.sqrt(P[:, 3, 3] + P[:, 4, 4] + P[:, 5, 5])
    return np.where(np.asarray(since) <= engines.HELD, np.minimum(slow, most), most)


def _speed(x: np.ndarray) -> np.ndarray:
    vx, vy, vz = x[:, 3], x[:, 4], x[:, 5]
    return np.sqrt(vx * vx + vy * vy + vz * vz)


def _ramp(value: np.ndarray, begin: float, end: float) -> np.ndarray:
    """From 0 at ``begin`` smoothly to 1 at ``end``."""
    u = np.minimum(np.maximum((value - begin) / (end - begin), 0.0), 1.0)
    return u * u * (3.0 - 2.0 * u)


def further(since, chance) -> np.ndarray:
    """Probability (n,) that a further stage follows, where the engine was last seen to burn ``since (n,)`` s ago (inf: never), and had
    one above it by a ``chance`` (n,), as of then (`above`).

    Bayes' rule: a next stage lights after a time that is exponential with mean `PAUSE`, and has not yet.
    """
    since = np.asarray(since, float)
    if (since > LONG).all():  # as nearly always
        return np.zeros(since.shape)
    waits = chance * np.exp(-np.maximum(since, 0.0) / PAUSE)
    left = waits / (1.0 - chance + waits)
    return np.where(left > OVER, left, 0.0)


def relight(since, chance) -> np.ndarray:
    """Rate (n,), 1/s, at which a further stage lights then; what burns now does not both go out and light again before the next plot.

    Of what burnt in the last `LATE` s it is never less than `switching.LATELY`, which says so; of all else it is 0.
    """
    since = np.asarray(since, float)
    lately = since <= LATE
    if not lately.any():  # as nearly always
        return np.zeros(since.shape)
    return np.where(lately, np.maximum(further(since, chance) / PAUSE * (since > 0.0), LATELY), 0.0)


def relight_within(pause, seconds) -> np.ndarray:
    """The steady rate (n,), 1/s, that in so many ``seconds`` (n,) lights as many further stages as light then, of a chance ``pause``."""
    lights = pause * -np.expm1(-np.maximum(seconds, 0.0) / PAUSE)
    return np.where(lights > 0.0, -np.log1p(-lights) / np.maximum(seconds, 1e-9), 0.0)


def push(bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """Acceleration that the two pushed models see, (n, 3) m/s^2, and its standard deviation per axis (n,)."""
    a, sigma = np.empty((len(bank), 3)), np.empty(len(bank))
    kernel.pushes(bank.x, bank.P, bank.mu, bank.x6, a, sigma)
    return a, sigma


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
