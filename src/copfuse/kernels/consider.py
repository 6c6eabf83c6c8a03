"""What unknown, constant sensor biases add to a track's covariance, without estimating them."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import njit
from copfuse.kernels.small import invert


@njit
def _cross(a, b, out):
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]


@njit
def _directions(x, origin, axes, unit, turn):
    """Unit vectors of range, azimuth and elevation at x seen from origin (rows of ``unit``), the rotation vectors per
    radian of the two angles (rows 1, 2 of ``turn``); returns range and its level part."""
    d = np.empty(3)
    for i in range(3):
        d[i] = x[i] - origin[i]
    r = math.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
    level = 0.0
    for i in range(3):
        unit[0, i] = d[i] / r
        turn[1, i] = -axes[2, i]
        level += axes[2, i] * unit[0, i]
    level = math.sqrt(max(1.0 - level * level, 1e-12))
    _cross(turn[1], unit[0], unit[1])
    for i in range(3):
        unit[1, i] /= level
    _cross(unit[1], unit[0], unit[2])  # east x forward = up
    _cross(unit[0], unit[2], turn[2])
    return r, level * r


@njit
def consider(track, sensor, time, x, sigma, origin, axes, n_track, n_sensor, pose, bias, memory, B):
    """Covariance ``B (n, 6, 6)`` that sensor biases leave in rows of tracks, in time order.

    Each sensor's share in a track is that of its information on position, forgotten over ``memory`` s: with
    ``L_s`` that information and ``W_s = (sum L)^-1 L_s``, a bias b of sensor s moves the estimate by ``W_s J_s b``,
    where J_s shifts along range and turns position *and velocity* about the sensor.  A consider covariance in the
    manner of Schmidt (1966) with these gains in place of the filter's own.

    Args: ``track (n,)``, ``sensor (n,)`` numbers, ``time (n,)``, ``x (n, 6)``, ``sigma (n, 4)`` of the plot, its
    sensor's ``origin (n, 3)``, ``axes (n, 3, 3)``; ``pose`` a work array ``(n_sensor, 12)``;
    ``bias (n_sensor, 3)`` standard deviations m, rad, rad.
    """
    L = np.zeros((n_track, n_sensor, 3, 3))
    last = np.zeros(n_track)
    total = np.zeros((3, 3))
    inverse = np.zeros((3, 3))
    lower = np.zeros((3, 3))
    W = np.zeros((3, 3))
    unit = np.zeros((3, 3))
    turn = np.zeros((3, 3))
    g = np.zeros(6)
    moved = np.zeros(3)
    for row in range(len(time)):
        t, s = track[row], sensor[row]
        fade = math.exp(-(time[row] - last[t]) / memory)
        last[t] = time[row]
        for k in range(n_sensor):
            for i in range(3):
                for j in range(3):
                    L[t, k, i, j] *= fade
        for i in range(3):
            pose[s, i] = origin[row, i]
            for j in range(3):
                pose[s, 3 + 3 * i + j] = axes[row, i, j]
        r, level = _directions(x[row], origin[row], axes[row], unit, turn)
        for c in range(3):
            if math.isnan(sigma[row, c]):
                continue
            size = sigma[row, c] * (1.0 if c == 0 else (level if c == 1 else r))
            for i in range(3):
                for j in range(3):
                    L[t, s, i, j] += unit[c, i] * unit[c, j] / (size * size)
        for i in range(3):
            for j in range(3):
                total[i, j] = 0.0
                for k in range(n_sensor):
                    total[i, j] += L[t, k, i, j]
            total[i, i] += 1e-10  # a prior of 100 km, so that two angles alone have an inverse
        invert(total, 3, lower, inverse)
        for k in range(n_sensor):
            if L[t, k, 0, 0] + L[t, k, 1, 1] + L[t, k, 2, 2] < 1e-12:
                continue
            for i in range(3):
                for j in range(3):
                    W[i, j] = 0.0
                    for m in range(3):
                        W[i, j] += inverse[i, m] * L[t, k, m, j]
            r, level = _directions(x[row], pose[k, :3], pose[k, 3:].copy().reshape(3, 3), unit, turn)
            for c in range(3):
                if not bias[k, c] > 0.0:
                    continue
                size = 1.0 if c == 0 else (level if c == 1 else r)
                _cross(turn[c], x[row, 3:6], moved)
                for i in range(3):
                    g[i] = 0.0
                    g[3 + i] = 0.0
                    for m in range(3):
                        g[i] += W[i, m] * unit[c, m] * size
                        if c > 0:
                            g[3 + i] += W[i, m] * moved[m]
                for i in range(6):
                    for j in range(6):
                        B[row, i, j] += bias[k, c] ** 2 * g[i] * g[j]
