"""One flight at the times of the plots, for fits that try many flights."""

from __future__ import annotations

import numpy as np

from copfuse.constants import REENTRY_ALTITUDE
from copfuse.kernels import njit
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
    height,
)

_DEEPEST = -20e3  # m; a trial flight that has gone so deep stays there


@njit
def through(state, begin, stages, marks, p, at, x):
    """States ``x (m, 6)`` at ascending times ``at (m,)`` of the flight that has ``state (6)`` at time ``begin``.

    ``stages, marks, p`` as in `kernels.flight.march`.  Before ``begin`` the object rests at ``state``; the ground is
    passed through, so that residuals stay smooth.  A body that lifts (``p[LIFT]``) does so from an apogee after burnout on.
    The path does not depend on the times asked for: each is one shorter step beside it, so that slopes of whatever is
    asked of one flight agree to rounding.
    """
    work = np.zeros((10, 6))
    s, new = np.zeros(6), np.zeros(6)
    for i in range(6):
        s[i] = state[i]
    n_stage = stages.shape[0]
    burnt = stages[n_stage - 1, END] if n_stage > 0 else begin
    t = begin
    mark = 0
    lifting = p[LIFT] < 0.0  # no, in a way that has nothing compiled for a plain False
    for m in range(len(at)):
        while True:
            h = height(p[SPHERE], s[0], s[1], s[2])
            if at[m] <= t or not h > _DEEPEST:
                for i in range(6):
                    x[m, i] = s[i]
                break
            stage, beta = burning(t, stages, p)
            step = p[STEP_BOOST] if t < burnt else (p[STEP_COAST] if h > REENTRY_ALTITUDE + 40e3 else p[STEP_AIR])
            while marks[mark] <= t:
                mark += 1
            exact = t + step >= marks[mark] - 1e-9
            if exact:
                step = marks[mark] - t
            top = False
            if p[LIFT] > 0.0 and not lifting and t >= burnt and above(APEX, s, p, work[8]) > 1e-5:
                advance(t, step, s, stage, beta, lifting, stages, p, work, new)
                top = above(APEX, new, p, work[8]) <= 0.0
                if top:
                    step = crossing(APEX, t, step, s, stage, beta, lifting, stages, p, work, new)
                    exact = False
            if at[m] < t + step:
                advance(t, at[m] - t, s, stage, beta, lifting, stages, p, work, x[m])
                break
            advance(t, step, s, stage, beta, lifting, stages, p, work, new)
            lifting = lifting or top
            t = marks[mark] if exact else t + step
            for i in range(6):
                s[i] = new[i]
