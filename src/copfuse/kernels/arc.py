"""One flight at the times of the plots, for fits that try many flights."""

from __future__ import annotations

import numpy as np

from copfuse.constants import REENTRY_ALTITUDE
from copfuse.kernels import borrowing, njit
from copfuse.kernels.flight import (
    APEX,
    END,
    LIFT,
    SPHERE,
    STEP_AIR,
    STEP_BOOST,
    STEP_COAST,
    above,
    advance,
    burning,
    crossing,
    derivative,
    height,
)

_DEEPEST = -20e3  # m; a trial flight that has gone so deep stays there


@borrowing
def between(share, step, s, new, rates, ends, out):
    """State out (6) at a share of a step: the polynomial of fifth degree with position, velocity and acceleration of both ends."""
    r = share
    for i in range(3):
        off = new[i] - s[i] - step * s[3 + i]
        turn = step * (new[3 + i] - s[3 + i])
        a, b = 0.5 * step * step * rates[3 + i], 0.5 * step * step * ends[3 + i]
        # x = s + v h r + a r^2 + r^3 (c3 + c4 r + c5 r^2)
        c3 = 10.0 * off - 4.0 * turn - 3.0 * a + b
        c4 = -15.0 * off + 7.0 * turn + 3.0 * a - 2.0 * b
        c5 = 6.0 * off - 3.0 * turn - a + b
        out[i] = s[i] + r * (step * s[3 + i] + r * (a + r * (c3 + r * (c4 + r * c5))))
        out[3 + i] = s[3 + i] + r * (2.0 * a + r * (3.0 * c3 + r * (4.0 * c4 + 5.0 * r * c5))) / step


@njit
def through(state, begin, stages, marks, p, at, x):
    """States ``x (m, 6)`` at ascending times ``at (m,)`` of the flight that has ``state (6)`` at time ``begin``.

    ``stages, marks, p`` as in `kernels.flight.march`.  Before ``begin`` the object rests at ``state``; the ground is
    passed through, so that residuals stay smooth.  A body that lifts (``p[LIFT]``) does so from an apogee after burnout on.
    The path does not depend on the times asked for: each is interpolated between two of its steps (`between`), so that
    slopes of whatever is asked of one flight agree to rounding.
    """
    work = np.zeros((10, 6))
    s, new = np.zeros(6), np.zeros(6)
    for i in range(6):
        s[i] = state[i]
    n_stage = stages.shape[0]
    burnt = stages[n_stage - 1, END] if n_stage > 0 else begin
    t = begin
    mark, m = 0, 0
    lifting = p[LIFT] < 0.0  # no, in a way that has nothing compiled for a plain False
    while m < len(at):
        h = height(p[SPHERE], s[0], s[1], s[2])
        if at[m] <= t or not h > _DEEPEST:
            for i in range(6):
                x[m, i] = s[i]
            m += 1
            continue
        stage, beta = burning(t, stages, p)
        step = p[STEP_BOOST] if t < burnt else (p[STEP_COAST] if h > REENTRY_ALTITUDE + 40e3 else p[STEP_AIR])
        while marks[mark] <= t:
            mark += 1
        exact = t + step >= marks[mark] - 1e-9
        if exact:
            step = marks[mark] - t
        climbing = p[LIFT] > 0.0 and not lifting and t >= burnt and above(APEX, s, p, work[8]) > 1e-5
        advance(t, step, s, stage, beta, lifting, stages, p, work, new)
        top = climbing and above(APEX, new, p, work[8]) <= 0.0
        if top:
            step = crossing(APEX, t, step, s, stage, beta, lifting, stages, p, work, new)
            exact = False
        if at[m] < t + step:  # the rates at the step's begin are still where the Runge-Kutta step left them
            derivative(t + step, new, stage, beta, lifting, stages, p, work[1], work[5], work[6], work[7])
            while m < len(at) and at[m] < t + step:
                between((at[m] - t) / step, step, s, new, work[0], work[1], x[m])
                m += 1
        lifting = lifting or top
        t = marks[mark] if exact else t + step
        for i in range(6):
            s[i] = new[i]
