"""Three filters of one model of motion: extended, cubature (unscented), and filterpy's extended one; on rows of tracks.

Nine components: position, velocity and what pushes beside gravity, a first-order Markov process (Singer, IEEE T-AES 6(4), 1970), in the
field and rotating frame of `filters`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from copfuse import frames, gaussian
from copfuse.constants import EARTH_A, EARTH_OMEGA, J2, MU
from copfuse.gaussian import Moments, transpose
from copfuse.scanning import Scan

MEMORY = 30.0  # s in which a push is forgotten, and
PUSH = 15.0  # m/s^2 its standard deviation per axis in the long run: of those tried, on plots that are not measured, the one whose P holds
STEP = 4.0  # s at most of a Runge-Kutta step
_SPIN = np.array([[0.0, 2.0 * EARTH_OMEGA, 0.0], [-2.0 * EARTH_OMEGA, 0.0, 0.0], [0.0, 0.0, 0.0]])  # Coriolis
Expected = tuple[np.ndarray, np.ndarray, np.ndarray]  # plots' means (n, 4), covariances (n, 4, 4), and those with the states (n, 9, 4)


@dataclass(frozen=True)
class Filter:
    """``predict(x, P, dt)``: rows x (n, 9), P (n, 9, 9) after dt (n,) s; ``expect(x, P, scan)``: what a scan's sensor will measure of them
    without its noise; ``update(x, P, z, sigma, scan, expected)``: them after a plot each, z and sigma (n, 4)."""

    predict: Callable[[np.ndarray, np.ndarray, np.ndarray], Moments]
    expect: Callable[[np.ndarray, np.ndarray, Scan], Expected]
    update: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Scan, Expected], Moments]


# Motion and sensors ------------------------------------------------------------------------------------------------------


def derivative(x: np.ndarray) -> np.ndarray:
    """Time derivative (n, 9) of states: J2 field, rotating Earth, a push that fades."""
    p, v = x[:, :3], x[:, 3:6]
    r2 = np.einsum("ni,ni->n", p, p)[:, None]
    oblate = 1.5 * J2 * EARTH_A**2 / r2 * (np.array([1.0, 1.0, 3.0]) - 5.0 * p[:, 2:] ** 2 / r2)
    fall = -MU / r2**1.5 * p * (1.0 + oblate) + EARTH_OMEGA**2 * p * (1.0, 1.0, 0.0)
    return np.hstack([v, fall + v @ _SPIN.T + x[:, 6:], -x[:, 6:] / MEMORY])


def moved(x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """States (n, 9) after h (n,) s, by a Runge-Kutta step."""
    h = h[:, None]
    k1 = derivative(x)
    k2 = derivative(x + 0.5 * h * k1)
    k3 = derivative(x + 0.5 * h * k2)
    return x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + derivative(x + h * k3))


def transition(x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Derivative (n, 9, 9) of `moved`: the exponential of the rates' own to the fourth order (gravity's as of a sphere's)."""
    p = x[:, :3]
    r2 = np.einsum("ni,ni->n", p, p)[:, None, None]
    A = np.zeros((len(x), 9, 9))
    A[:, :3, 3:6] = A[:, 3:6, 6:] = np.eye(3)
    A[:, 3:6, :3] = MU / r2**1.5 * (3.0 * p[:, :, None] * p[:, None, :] / r2 - np.eye(3)) + EARTH_OMEGA**2 * np.diag([1.0, 1.0, 0.0])
    A[:, 3:6, 3:6] = _SPIN
    A[:, 6:, 6:] = -np.eye(3) / MEMORY
    A *= h[:, None, None]
    F, term = np.eye(9) + A, A
    for k in (2, 3, 4):
        term = term @ A / k
        F = F + term
    return F


def noise(h: np.ndarray) -> np.ndarray:
    """Noise (n, 9, 9) of h (n,) s, of a push that is driven by white noise; its fading within h, a second-order thing, left out."""
    q = 2.0 * PUSH**2 / MEMORY
    one = np.array([[h**5 / 20.0, h**4 / 8.0, h**3 / 6.0], [h**4 / 8.0, h**3 / 3.0, h**2 / 2.0], [h**3 / 6.0, h**2 / 2.0, h]])
    return q * np.einsum("abn,ij->naibj", one, np.eye(3)).reshape(len(h), 9, 9)


def look(x: np.ndarray, scan: Scan) -> np.ndarray:
    """What a scan's sensor measures of states (n, 9)."""
    return frames.look(x[:, :6], scan.origin, scan.axes, scan.cosines)


def slope(x: np.ndarray, scan: Scan) -> np.ndarray:
    """Derivative (n, 4, 9) of `look`."""
    local = (x[:, :3] - scan.origin) @ scan.axes.T
    e, n, u = local.T
    r, level = np.linalg.norm(local, axis=1), np.hypot(local[:, 0], local[:, 1])
    way = local / r[:, None]
    rows = np.zeros((len(x), 4, 3))
    rows[:, 0] = way
    if scan.cosines:
        rows[:, 1] = (np.array([1.0, 0.0, 0.0]) - way[:, :1] * way) / r[:, None]
        rows[:, 2] = (np.array([0.0, 0.0, 1.0]) - way[:, 2:] * way) / r[:, None]
    else:
        rows[:, 1, 0], rows[:, 1, 1] = n / level**2, -e / level**2
        rows[:, 2] = np.stack([-e * u / (level * r**2), -n * u / (level * r**2), level / r**2], axis=1)
    speed = x[:, 3:6] @ scan.axes.T
    rows[:, 3] = (speed - np.einsum("ni,ni->n", speed, way)[:, None] * way) / r[:, None]
    H = np.zeros((len(x), 4, 9))
    H[:, :, :3] = rows @ scan.axes
    H[:, 3, 3:6] = way @ scan.axes
    return H


def angles(scan: Scan) -> tuple[int, ...]:
    """The components of a scan's plots that wrap."""
    return () if scan.cosines else (1, 2)


# The filters -----------------------------------------------------------------------------------------------------------


def _in_steps(predict: Callable[[np.ndarray, np.ndarray, np.ndarray], Moments]) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Moments]:
    """A prediction in as many steps as none is longer than `STEP`."""

    def whole(x: np.ndarray, P: np.ndarray, dt: np.ndarray) -> Moments:
        steps = max(int(np.ceil(dt.max(initial=0.0) / STEP)), 1)
        for _ in range(steps if len(x) else 0):
            x, P = predict(x, P, dt / steps)
        return x, P

    return whole


@_in_steps
def extended_predict(x: np.ndarray, P: np.ndarray, h: np.ndarray) -> Moments:
    """The extended Kalman filter's step."""
    F = transition(x, h)
    return moved(x, h), F @ P @ transpose(F) + noise(h)


def extended_expect(x: np.ndarray, P: np.ndarray, scan: Scan) -> Expected:
    """By the derivative at the mean."""
    H = slope(x, scan)
    cross = P @ transpose(H)
    return look(x, scan), H @ cross, cross


def _cloud(x: np.ndarray, P: np.ndarray) -> np.ndarray:
    """The third-degree cubature points (n, 18, 9) (Arasaratnam & Haykin, IEEE T-AC 54(6), 2009)."""
    arms = 3.0 * transpose(gaussian.root(P))
    return x[:, None] + np.concatenate([arms, -arms], axis=1)


@_in_steps
def cubature_predict(x: np.ndarray, P: np.ndarray, h: np.ndarray) -> Moments:
    """The cubature Kalman filter's step: every point flies."""
    points = moved(_cloud(x, P).reshape(-1, 9), np.repeat(h, 18)).reshape(-1, 18, 9)
    mean = points.mean(axis=1)
    off = points - mean[:, None]
    return mean, transpose(off) @ off / 18.0 + noise(h)


def cubature_expect(x: np.ndarray, P: np.ndarray, scan: Scan) -> Expected:
    """By the points' looks."""
    points = _cloud(x, P)
    seen = look(points.reshape(-1, 9), scan).reshape(-1, 18, 4)
    seen = seen[:, :1] + gaussian.wrap(seen - seen[:, :1], angles(scan))
    mean = seen.mean(axis=1)
    off = seen - mean[:, None]
    return mean, transpose(off) @ off / 18.0, transpose(points - x[:, None]) @ off / 18.0


def joint_update(x: np.ndarray, P: np.ndarray, z: np.ndarray, sigma: np.ndarray, scan: Scan, expected: Expected) -> Moments:
    """The best linear update with all components that a plot has at once."""
    mean, S, cross = expected
    seen = np.isfinite(z)
    off = np.where(seen, gaussian.wrap(z - mean, angles(scan)), 0.0)
    S = np.where(seen[:, :, None] & seen[:, None, :], S, 0.0) + np.where(seen, sigma**2, 1.0)[:, :, None] * np.eye(4)
    cross = np.where(seen[:, None, :], cross, 0.0)
    gain = transpose(np.linalg.solve(S, transpose(cross)))
    P = P - gain @ S @ transpose(gain)
    return x + gaussian.apply(gain, off), 0.5 * (P + transpose(P))


@cache
def _extended() -> Any:
    """filterpy's class with ``predict_x`` overridden, as its documentation says for motion that is not linear."""
    from filterpy.kalman import ExtendedKalmanFilter

    class Falling(ExtendedKalmanFilter):
        ahead: np.ndarray

        def predict_x(self, u: Any = 0) -> None:
            self.x = self.ahead

    return Falling


@_in_steps
def filterpy_predict(x: np.ndarray, P: np.ndarray, h: np.ndarray) -> Moments:
    """filterpy's step, track by track, with the motion, noise and derivative of the others."""
    F, Q, end, P = transition(x, h), noise(h), moved(x, h), P.copy()
    for i in range(len(x)):
        one = _extended()(9, 4)
        one.x, one.P, one.ahead, one.F, one.Q = x[i], P[i], end[i], F[i], Q[i]
        one.predict()
        P[i] = one.P
    return end, P


def filterpy_update(x: np.ndarray, P: np.ndarray, z: np.ndarray, sigma: np.ndarray, scan: Scan, expected: Expected) -> Moments:
    """filterpy's update, track by track."""
    H, off = slope(x, scan), gaussian.wrap(z - expected[0], angles(scan))
    x, P = x.copy(), P.copy()
    for i in range(len(x)):
        seen = np.isfinite(z[i])
        one = _extended()(9, int(seen.sum()))
        one.x, one.P = x[i], P[i]
        one.update(off[i, seen], lambda _, rows: rows, lambda _, rows: np.zeros(len(rows)), R=np.diag(sigma[i, seen] ** 2),
                   args=(H[i][seen],), hx_args=(H[i][seen],))  # fmt: skip
        x[i], P[i] = one.x, 0.5 * (one.P + one.P.T)
    return x, P


EXTENDED = Filter(extended_predict, extended_expect, joint_update)
CUBATURE = Filter(cubature_predict, cubature_expect, joint_update)
FILTERPY = Filter(filterpy_predict, extended_expect, filterpy_update)
