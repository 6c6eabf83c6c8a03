"""What a row of Tracks says of an estimate, of many in one call: `phases` and `covariances` say it plainly."""

from __future__ import annotations

import math

from copfuse.constants import BOOST, GLIDE, MIDCOURSE, REENTRY_ALTITUDE, TERMINAL
from copfuse.kernels import borrowing
from copfuse.kernels.earth import altitude
from copfuse.kernels.motions import BOOST as THRUSTING
from copfuse.kernels.motions import GLIDE as LIFTING
from copfuse.kernels.motions import MANOEUVRE, N_MODEL


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
def leading(mu, P, before, noisy, noisy_prior):
    """`covariances.leading` of probabilities ``mu (n, 5)``: out of ``P (n, 5, 9, 9)`` into ``noisy (n, 6, 6)``, and out of those ``before``
    into ``noisy_prior``."""
    for i in range(len(mu)):
        best = 0
        for model in range(1, N_MODEL):
            if model != THRUSTING and mu[i, model] > mu[i, best]:
                best = model
        for a in range(6):
            for b in range(6):
                noisy[i, a, b], noisy_prior[i, a, b] = P[i, best, a, b], before[i, best, a, b]
