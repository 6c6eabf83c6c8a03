"""What a row of Tracks says of an estimate, of many in one call: `phases` and `covariances` say it plainly."""

from __future__ import annotations

import math

from copfuse.constants import BOOST, GLIDE, MIDCOURSE, REENTRY_ALTITUDE, TERMINAL
from copfuse.kernels import borrowing
from copfuse.kernels.earth import altitude
from copfuse.kernels.motions import BOOST as THRUSTING
from copfuse.kernels.motions import GLIDE as LIFTING
from copfuse.kernels.motions import MANOEUVRE, N_MODEL, REENTRY

# Where a row of `updates.ROW` has what is said here, in words of eight bytes
TIME, X, P6, PUSH, SIGMA, LOG_BETA, PHASE, LLR, PRIOR, NOISY, NOISY_PRIOR, SHARE, WORDS = 0, 2, 8, 44, 47, 48, 50, 55, 59, 95, 131, 167, 168


@borrowing
def pushes(x, P, mu, x6, acceleration, sigma):
    """`phases.push` of estimates ``x (n, 5, 9)``, ``P (n, 5, 9, 9)``, ``mu (n, 5)``, ``x6 (n, 6)``: ``acceleration (n, 3)`` m/s^2 and its
    standard deviation per axis ``sigma (n,)``."""
    for i in range(len(sigma)):
        vx, vy, vz = x6[i, 3], x6[i, 4], x6[i, 5]
        speed = max(math.sqrt(vx * vx + vy * vy + vz * vz), 1.0)
        both = mu[i, MANOEUVRE] + mu[i, THRUSTING]
        free, along = mu[i, MANOEUVRE] / both, mu[i, THRUSTING] / both
        apart, ahead = 0.0, 0.0
        for axis in range(3):
            one, other = x[i, MANOEUVRE, 6 + axis], x[i, THRUSTING, 6] * (x6[i, 3 + axis] / speed)
            a = free * one + along * other
            acceleration[i, axis] = a
            apart += (one - a) * (one - a)
            ahead += (other - a) * (other - a)
        own = P[i, MANOEUVRE, 6, 6] + P[i, MANOEUVRE, 7, 7] + P[i, MANOEUVRE, 8, 8]
        sigma[i] = math.sqrt((free * (own + apart) + along * (P[i, THRUSTING, 6, 6] + ahead)) / 3)


@borrowing
def phases(mu, x6, burnt, pause, ceiling, out):
    """`phases.phase_probability`: ``out (n, 4)``, of what has ``burnt (n,)`` out or not, with ``pause (n,)`` and the ``ceiling`` m of what
    burns."""
    for i in range(len(out)):
        px, py, pz = x6[i, 0], x6[i, 1], x6[i, 2]
        height, r = altitude(px, py, pz), math.sqrt(px * px + py * py + pz * pz)
        climb = (px * x6[i, 3] + py * x6[i, 4] + pz * x6[i, 5]) / r
        part = 6371e3 / r
        gravity = 9.8 * (part * part)
        apogee = height + (climb * climb if climb > 0.0 else 0.0) / (2.0 * gravity)
        pushed = mu[i, MANOEUVRE] + mu[i, THRUSTING]
        engine = max(pushed, 0.5) if not burnt[i] and climb > 0.0 and height < ceiling else pushed
        low = height < REENTRY_ALTITUDE
        glide = (mu[i, LIFTING] if low else 0.0) * (1.0 - engine) / max(1.0 - pushed, 1e-9)
        free = 1.0 - engine - glide
        lift = burnt[i] and low
        far = apogee > REENTRY_ALTITUDE
        out[i, BOOST], out[i, GLIDE] = 0.0 if lift else engine, glide + (engine if lift else 0.0)
        out[i, MIDCOURSE], out[i, TERMINAL] = free if far else 0.0, 0.0 if far else free
        total = out[i, 0] + out[i, 1] + out[i, 2] + out[i, 3]
        for phase in range(4):
            out[i, phase] /= total
        boost = max(out[i, BOOST], pause[i])
        if boost > out[i, BOOST]:
            rest = (1.0 - boost) / max(1.0 - out[i, BOOST], 1e-9)
            for phase in range(4):
                out[i, phase] *= rest
        out[i, BOOST] = boost


@borrowing
def say(x, P, mu, x6, covariance, mu_before, P_before, prior, burnt, pause, ceiling, out):
    """Rows of estimates, ``out (n, WORDS)``, but for time, score and which tracks they are: `pushes`, `phases`, and what
    `covariances.leading` has of them and of what was predicted, ``mu_before (n, 5)``, ``P_before (n, 5, 9, 9)``; the mixtures'
    ``covariance`` and ``prior``, (n, 6, 6) each."""
    pushes(x, P, mu, x6, out[:, PUSH:SIGMA], out[:, SIGMA])
    phases(mu, x6, burnt, pause, ceiling, out[:, PHASE : PHASE + 4])
    for i in range(len(out)):
        best = 0
        for model in range(1, N_MODEL):
            if model != THRUSTING and mu[i, model] > mu[i, best]:
                best = model
        for a in range(6):
            out[i, X + a] = x6[i, a]
            for b in range(6):
                c = 6 * a + b
                out[i, P6 + c], out[i, PRIOR + c] = covariance[i, a, b], prior[i, a, b]
                out[i, NOISY + c], out[i, NOISY_PRIOR + c] = P[i, best, a, b], P_before[i, best, a, b]
        out[i, LOG_BETA], out[i, LOG_BETA + 1] = x[i, REENTRY, 6], math.sqrt(P[i, REENTRY, 6, 6])
        out[i, SHARE] = 1.0 - mu_before[i, THRUSTING]
