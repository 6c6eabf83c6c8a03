"""What bounds are made of, row after row of a grid of times: drag and gravity along a path, rates of a flight, and the recursions."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing, njit
from copfuse.kernels.earth import air, free_acceleration, gravitation
from copfuse.kernels.flight import PUSHES, burning, derivative, sideways, thrust_direction
from copfuse.kernels.mach import drag_factor, drag_slope
from copfuse.kernels.small import inverse


@borrowing
def gravitations(position, out):
    """J2 gravitation ``out (n, 3)`` m/s^2 at ``position (n, 3)``."""
    for k in range(len(out)):
        out[k, 0], out[k, 1], out[k, 2] = gravitation(position[k, 0], position[k, 1], position[k, 2])


@borrowing
def free_accelerations(x, out):
    """Accelerations ``out (n, 3)`` m/s^2 of free fall of states ``x (n, 6)``."""
    for k in range(len(out)):
        out[k, 0], out[k, 1], out[k, 2] = free_acceleration(x[k, 0], x[k, 1], x[k, 2], x[k, 3], x[k, 4])


@borrowing
def _braking(h, speed):
    density, sound = air(h)
    return 0.5 * density * speed * drag_factor(speed / sound)


@borrowing
def brakings(height, speed, h, out):
    """Of a ballistic coefficient of 1 kg/m^2 at ``height (n,)`` m and ``speed (n,)`` m/s, ``out (n, 3)``: deceleration over speed 1/s, its
    relative change with height 1/m from differences of ``h`` m, that of the drag coefficient with the logarithm of the speed."""
    for k in range(len(out)):
        at, v = max(height[k], 0.0), speed[k]
        here = _braking(at, v)
        out[k, 0] = here
        out[k, 1] = (_braking(at + h, v) - _braking(at - h, v)) / max(2.0 * h * here, 1e-300)
        out[k, 2] = drag_slope(v / air(at)[1])


@njit
def rates(time, x, lifting, stages, p, beta, half, slope, push):
    """Derivatives ``slope (n, 6, 6)`` of a flight's rates by the states ``x (n, 6)`` at ``time (n,)`` s from ignition, from differences of
    ``half (6)`` to either side, and directions ``push (n, 3, PUSHES)`` of its pushes, left as they are where nothing burns.

    ``lifting, stages, p`` as in `flight.derivative`; ``beta`` before ignition.
    """
    s, out, d, n, force = np.zeros(6), np.zeros(6), np.zeros(3), np.zeros(3), np.zeros(3)
    for k in range(len(time)):
        t, stage, now = time[k], -1, beta
        if t >= 0.0:
            stage, now = burning(t, stages, p)
        for i in range(6):
            for sign in (0.5, -0.5):
                s[:] = x[k]
                s[i] += 2.0 * sign * half[i]
                derivative(t, s, stage, now, lifting, stages, p, out, d, n, force)
                for j in range(6):
                    slope[k, j, i] += sign / half[i] * out[j]
        if stage >= 0:
            s[:] = x[k]
            thrust_direction(t, s, p, d)
            for i in range(3):
                push[k, i, 0] = push[k, i, PUSHES - 1] = d[i]
            for column in (1, 2):
                out[:] = 0.0
                sideways(d[0], d[1], d[2], 2.0 - column, column - 1.0, out, n)
                for i in range(3):
                    push[k, i, column] = out[3 + i]


# The recursion on covariances -----------------------------------------------------------------------------------------


@borrowing
def _inverted(a, scale, scaled, lower, out):
    """out = a^-1 of a symmetric positive definite ``a (n, n)`` whose components have very different units; the rest is scratch."""
    n = len(a)
    for i in range(n):
        scale[i] = math.sqrt(a[i, i])
    for i in range(n):
        for j in range(n):
            scaled[i, j] = 0.5 * (a[i, j] + a[j, i]) / (scale[i] * scale[j])
    inverse(scaled, n, lower, out)
    for i in range(n):
        for j in range(n):
            out[i, j] /= scale[i] * scale[j]


@borrowing
def _moved(F, Q, P, half, out):
    """out = F P F' + Q."""
    n = len(P)
    for i in range(n):
        for j in range(n):
            half[i, j] = 0.0
        for k in range(n):
            if F[i, k] != 0.0:
                for j in range(n):
                    half[i, j] += F[i, k] * P[k, j]
    for i in range(n):
        for j in range(n):
            s = 0.0
            for k in range(n):
                s += half[i, k] * F[j, k]
            out[i, j] = s + Q[i, j]


@njit
def carried(F, Q, driven, gained, first, before, prior, out):
    """Covariances ``out (m, d, d)`` at rows ``first``, ``first + 1``, ... of a grid of n, ``gained (m, 6, 6)`` at each of them included.

    ``F``, ``Q`` (n - 1, d, d) lead from row to row, ``before (d, d)`` is that of the row before ``first``; where ``driven (n - 1,)``
    changes, all but position and velocity begins anew with the variances ``prior (d)``.
    """
    d = len(prior)
    P, other, work, lower, scale = before.copy(), np.empty((d, d)), np.empty((d, d)), np.zeros((d, d)), np.empty(d)
    for m in range(len(out)):
        k = first + m
        if k > 0:
            if k > 1 and driven[k - 1] != driven[k - 2]:
                for i in range(6, d):
                    for j in range(d):
                        P[i, j] = P[j, i] = 0.0
                    P[i, i] = prior[i]
            _moved(F[k - 1], Q[k - 1], P, work, other)
            P[:] = other
        told = False
        for i in range(6):
            for j in range(6):
                told = told or gained[m, i, j] != 0.0
        if told:
            _inverted(P, scale, work, lower, other)
            for i in range(6):
                for j in range(6):
                    other[i, j] += gained[m, i, j]
            _inverted(other, scale, work, lower, P)
        out[m] = P


# The recursion on roots of information --------------------------------------------------------------------------------


@borrowing
def _reflected(R, j, rows, first, last, width):
    """Householder's reflection that clears column j of ``rows[first:last]`` into row j of R, over columns j to width - 1, in place.

    ``rows`` may be R itself, below row j.
    """
    norm2 = 0.0
    for r in range(first, last):
        norm2 += rows[r, j] * rows[r, j]
    if norm2 == 0.0:
        return
    alpha = R[j, j]
    norm = math.sqrt(alpha * alpha + norm2)
    if alpha > 0.0:
        norm = -norm
    v = alpha - norm
    over = 2.0 / (v * v + norm2)
    R[j, j] = norm
    for c in range(j + 1, width):
        s = v * R[j, c]
        for r in range(first, last):
            s += rows[r, j] * rows[r, c]
        s *= over
        R[j, c] -= s * v
        for r in range(first, last):
            rows[r, c] -= s * rows[r, j]
    for r in range(first, last):
        rows[r, j] = 0.0


@borrowing
def _moved_root(R, F, L, noisy, noise, top):
    """R, triangular, after its first d components became F y + L w: ``F (d, d)`` is the inverse transition; ``noisy``: whether L is not 0.

    Only the first d rows of R have to do with y: with w, of unit information, before y, they are reflected into its d rows, which are
    left out.  ``noise`` and ``top``, both (d, d + n), are scratch.
    """
    d, n = len(F), len(R)
    for i in range(d):
        for j in range(d):
            s = 0.0
            for k in range(i, d):
                s += R[i, k] * F[k, j]
            top[i, d + j] = s
        for j in range(d, n):
            top[i, d + j] = R[i, j]
    if noisy:
        for i in range(d):
            for j in range(d):
                s = 0.0
                for k in range(d):
                    s -= top[i, d + k] * L[k, j]
                top[i, j] = s
        for i in range(d):
            for j in range(d + n):
                noise[i, j] = 1.0 if i == j else 0.0
        for j in range(d):
            _reflected(noise, j, top, 0, d, d + n)
    for i in range(d):
        for j in range(n):
            R[i, j] = top[i, d + j]
    for j in range(d - 1):
        _reflected(R, j, R, j + 1, d, n)


@njit
def lowest(R, F, L, noisy, seen, told, rows, sharp, out):
    """Covariances ``out (n, 6, 6)`` of a state at each of n times, from the triangular root ``R (w, w)`` of the information on w
    unknowns before the first, changed in place.

    The first d of them move from time to time: ``F (n - 1, d, d)`` the inverse transitions, ``L`` roots of noise, ``noisy (n - 1,)`` where
    there is any.  ``seen (n, 6, w)``: the state by the unknowns; ``rows (n, 6, w)``: what plots add, where ``told (n,)``, used up;
    ``sharp (n, w)``: what is known of single unknowns at that time alone, 1 over its standard deviation, 0 for none.
    """
    w, d = len(R), F.shape[1]
    noise, top = np.zeros((d, d + w)), np.zeros((d, d + w))
    known, one, root = np.empty((w, w)), np.zeros((1, w)), np.empty((6, w))
    for k in range(len(out)):
        if k > 0 and d > 0:
            _moved_root(R, F[k - 1], L[k - 1], noisy[k - 1], noise, top)
        if told[k]:
            for j in range(w):
                _reflected(R, j, rows[k], 0, 6, w)
        known[:] = R
        for i in range(d, w):
            if sharp[k, i] > 0.0:
                one[:] = 0.0
                one[0, i] = sharp[k, i]
                for j in range(i, w):
                    _reflected(known, j, one, 0, 1, w)
        for a in range(6):  # root' known = seen
            for i in range(w):
                root[a, i] = seen[k, a, i]
            for i in range(w):
                root[a, i] /= known[i, i]
                for j in range(i + 1, w):
                    root[a, j] -= known[i, j] * root[a, i]
        for a in range(6):
            for b in range(a + 1):
                s = 0.0
                for i in range(w):
                    s += root[a, i] * root[b, i]
                out[k, a, b] = out[k, b, a] = s
