"""Other programs' filters on this package's problem, for `copfuse bench filters`: filterpy, Stone Soup, and plain C.

All get the same motion, the same sensor and the same analytic Jacobians, written here in plain Python on floats, the fastest
way found there (as their users write them: `customary`): free fall by one Runge-Kutta step, range, azimuth and elevation of
one radar.  Each function returns the estimates after every plot, x (T, 6) and P (T, 6, 6).
"""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from copfuse.constants import EARTH_A, EARTH_OMEGA, J2, MU
from copfuse.kernels.motions import MOST_FLOW, MOST_THRUST

Estimates = tuple[np.ndarray, np.ndarray]
SWITCHING = 0.02 + 0.94 * np.eye(3)  # chances between three models in one step
USED = (6, 9, 8)  # components that each of them uses


@dataclass(frozen=True)
class Problem:
    """T plots z (T, 4), ``step`` s apart, of a falling object by one radar; x (6), P (6, 6) before the first step.

    Q (6, 6) is the process noise of one step of free fall; x9 (3, 9), P9 (3, 9, 9), Q9 (3, 9, 9) are three models' starts and
    noises in nine components, of which free fall uses six, re-entry nine and a gravity turn under thrust eight.
    """

    step: float
    x: np.ndarray
    P: np.ndarray
    z: np.ndarray
    sigma: np.ndarray
    origin: np.ndarray
    axes: np.ndarray
    Q: np.ndarray
    x9: np.ndarray
    P9: np.ndarray
    Q9: np.ndarray


# The motion and the sensor, plainly: components may be floats or arrays of many points ------------------------------


def rate(s):
    """Time derivative of position and velocity, J2 field, rotating Earth; with s[6:] of a gravity turn: thrust and mass flow over mass."""
    x, y, z, vx, vy, vz = s[:6]
    r2 = x * x + y * y + z * z
    k = 1.5 * J2 * EARTH_A * EARTH_A / r2
    g = -MU / (r2 * r2**0.5)
    q = 5.0 * z * z / r2
    level = g * (1.0 + k * (1.0 - q)) + EARTH_OMEGA * EARTH_OMEGA
    ax = level * x + 2.0 * EARTH_OMEGA * vy
    ay = level * y - 2.0 * EARTH_OMEGA * vx
    az = g * (1.0 + k * (3.0 - q)) * z
    if len(s) == 6:
        return vx, vy, vz, ax, ay, az
    a, b = s[6:]
    along = a / ((vx * vx + vy * vy + vz * vz) ** 0.5 + 1e-3)
    ax, ay, az = ax + along * vx, ay + along * vy, az + along * vz
    return vx, vy, vz, ax, ay, az, a * b * max(1.0 - (a / MOST_THRUST) ** 4, 0.0), b * b * max(1.0 - (b / MOST_FLOW) ** 4, 0.0)


def stages(s, h):
    """The four points of a Runge-Kutta step of h seconds from s, and where it ends."""
    k1 = rate(s)
    s2 = [a + 0.5 * h * b for a, b in zip(s, k1, strict=True)]
    k2 = rate(s2)
    s3 = [a + 0.5 * h * b for a, b in zip(s, k2, strict=True)]
    k3 = rate(s3)
    s4 = [a + h * b for a, b in zip(s, k3, strict=True)]
    k4 = rate(s4)
    end = [a + h / 6.0 * (b + 2.0 * c + 2.0 * d + e) for a, b, c, d, e in zip(s, k1, k2, k3, k4, strict=True)]
    return (s, s2, s3, s4), end


def gradient(s) -> np.ndarray:
    """Derivative (6, 6) of `rate` at s."""
    x, y, z = s[:3]
    r2 = x * x + y * y + z * z
    k = 1.5 * J2 * EARTH_A * EARTH_A / r2
    g = -MU / (r2 * r2**0.5)
    q = 5.0 * z * z / r2
    level = g * (1.0 + k * (1.0 - q)) + EARTH_OMEGA * EARTH_OMEGA
    a, b = g / r2 * (-3.0 - k * (5.0 - 7.0 * q)), g / r2 * (-3.0 - k * (15.0 - 7.0 * q))
    last = g * (1.0 + k * (3.0 - q)) + z * z * (b - 10.0 * g * k / r2)
    w = 2.0 * EARTH_OMEGA
    return np.array(
        [
            (0.0, 0.0, 0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
            (level + x * x * a, x * y * a, x * z * b, 0.0, w, 0.0),
            (x * y * a, level + y * y * a, y * z * b, -w, 0.0, 0.0),
            (x * z * b, y * z * b, last, 0.0, 0.0, 0.0),
        ]
    )  # fmt: skip


def transition(points, h) -> np.ndarray:
    """Derivative (6, 6) of the Runge-Kutta step through the four points."""
    unit = np.eye(6)
    k1 = gradient(points[0])
    A = gradient(points[1])
    k2 = A + 0.5 * h * (A @ k1)
    A = gradient(points[2])
    k3 = A + 0.5 * h * (A @ k2)
    A = gradient(points[3])
    return unit + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + A + h * (A @ k3))


def look(s, origin, axes):
    """Range m, azimuth and elevation rad of position s[:3]."""
    x, y, z = s[0] - origin[0], s[1] - origin[1], s[2] - origin[2]
    e, n, u = (row[0] * x + row[1] * y + row[2] * z for row in axes)
    level2 = e * e + n * n
    many = isinstance(e, np.ndarray) and e.ndim > 0
    angle = np.arctan2 if many else math.atan2
    return (level2 + u * u) ** 0.5, angle(e, n), angle(u, level2**0.5)


def slope(s, origin, axes) -> np.ndarray:
    """Derivative (3, 6) of `look`."""
    x, y, z = s[0] - origin[0], s[1] - origin[1], s[2] - origin[2]
    east, north, up = axes
    e, n, u = (row[0] * x + row[1] * y + row[2] * z for row in axes)
    level2 = e * e + n * n
    r2 = level2 + u * u
    level, r = level2**0.5, r2**0.5
    H = np.zeros((3, 6))
    for i, d in enumerate((x, y, z)):
        H[0, i] = d / r
        H[1, i] = (n * east[i] - e * north[i]) / level2
        H[2, i] = (up[i] - u * d / r2) / level
    return H


# filterpy -----------------------------------------------------------------------------------------------------------


def filterpy_extended(problem: Problem) -> Estimates:
    """filterpy's ExtendedKalmanFilter with ``predict_x`` overridden, as its documentation says for non-linear motion."""
    from filterpy.kalman import ExtendedKalmanFilter

    class Falling(ExtendedKalmanFilter):
        x: np.ndarray

        def predict_x(self, u=0):
            points, end = stages(self.x.tolist(), problem.step)
            self.F = transition(points, problem.step)
            self.x = np.array(end)

    ekf = Falling(6, 3)
    ekf.x, ekf.P, ekf.Q, ekf.R = problem.x.copy(), problem.P.copy(), problem.Q, np.diag(problem.sigma[0, :3] ** 2)
    origin, axes = problem.origin.tolist(), problem.axes.tolist()

    def jacobian(x):
        return slope(x.tolist(), origin, axes)

    def measured(x):
        return np.array(look(x.tolist(), origin, axes))

    return _stepped(ekf, problem, lambda z: ekf.update(z, jacobian, measured))


def filterpy_unscented(problem: Problem) -> Estimates:
    """filterpy's UnscentedKalmanFilter on Julier's points with kappa 0: the cubature rule."""
    ukf = _unscented(problem, problem.x, problem.P, problem.Q)
    return _stepped(ukf, problem, ukf.update)


def filterpy_models(problem: Problem, switching=SWITCHING) -> Estimates:
    """filterpy's IMMEstimator over UKFs of nine states (all dimensions must be equal): free fall, re-entry above the air, where it
    falls freely with three components more, and a gravity turn under thrust.  x (T, 6) and P (T, 6, 6) of the mixture."""
    from filterpy.kalman import IMMEstimator

    each = zip(problem.x9, problem.P9, problem.Q9, USED, strict=True)
    imm = IMMEstimator([_unscented(problem, *one) for one in each], np.full(3, 1.0 / 3.0), np.array(switching))
    x, P = _stepped(imm, problem, imm.update)
    return x[:, :6], P[:, :6, :6]


def _unscented(problem: Problem, x0: np.ndarray, P0: np.ndarray, Q: np.ndarray, used: int = 6) -> Any:
    """filterpy's UnscentedKalmanFilter of x0's size, of which ``used`` components mean something: kappa is such that it stands on
    the cubature points of those (the others' points and the middle one cancel)."""
    from filterpy.kalman import JulierSigmaPoints, UnscentedKalmanFilter

    origin, axes = problem.origin.tolist(), problem.axes.tolist()

    def move(x, dt):
        s = x.tolist()
        return np.array(stages(s[:moved], dt)[1] + s[moved:])

    def measured(x):
        return np.array(look(x.tolist(), origin, axes))

    n, moved = len(x0), 8 if used == 8 else 6  # what re-entry adds is constant
    ukf = UnscentedKalmanFilter(n, 3, problem.step, measured, move, JulierSigmaPoints(n, kappa=used - n))
    ukf.x, ukf.P, ukf.Q, ukf.R = x0.copy(), P0.copy(), Q, np.diag(problem.sigma[0, :3] ** 2)
    return ukf


def _stepped(filter_: Any, problem: Problem, update: Callable[[np.ndarray], None]) -> Estimates:
    xs, Ps = [], []
    for z in problem.z[:, :3]:
        filter_.predict()
        update(z)
        xs.append(filter_.x.copy())
        Ps.append(filter_.P.copy())
    return np.array(xs), np.array(Ps)


# Stone Soup ---------------------------------------------------------------------------------------------------------


def stonesoup_version() -> str:
    """Its version, empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("stonesoup")
    except PackageNotFoundError:
        return ""


def stonesoup(problem: Problem, unscented: bool) -> Estimates:
    """Stone Soup's extended or unscented (alpha 1, beta 0, kappa 0: cubature) Kalman predictor and updater."""
    from stonesoup.models.measurement.nonlinear import NonLinearGaussianMeasurement
    from stonesoup.models.transition.base import TransitionModel
    from stonesoup.predictor.kalman import ExtendedKalmanPredictor, UnscentedKalmanPredictor
    from stonesoup.types.array import StateVector, StateVectors
    from stonesoup.types.detection import Detection
    from stonesoup.types.hypothesis import SingleHypothesis
    from stonesoup.types.state import GaussianState
    from stonesoup.updater.kalman import ExtendedKalmanUpdater, UnscentedKalmanUpdater

    origin, axes, step = problem.origin.tolist(), problem.axes.tolist(), problem.step

    def parts(state):
        v = np.asarray(state.state_vector, float)
        return v[:, 0].tolist() if v.shape[1] == 1 else list(v)

    def vector(rows):
        return StateVectors(np.array(rows)) if np.ndim(rows[0]) else StateVector(rows)

    class Falling(TransitionModel):
        ndim_state = 6

        def function(self, state, noise=False, **_):
            return vector(stages(parts(state), step)[1])

        def jacobian(self, state, **_):
            return transition(stages(parts(state), step)[0], step)

        def covar(self, **_):
            return problem.Q

        pdf = rvs = None  # abstract there, and never asked for here

    class Radar(NonLinearGaussianMeasurement):
        ndim_meas = 3

        def function(self, state, noise=False, **_):
            return vector(look(parts(state), origin, axes))

        def jacobian(self, state, **_):
            return slope(parts(state), origin, axes)

    radar = Radar(6, (0, 1, 2), np.diag(problem.sigma[0, :3] ** 2))
    if unscented:
        predictor: Any = UnscentedKalmanPredictor(Falling(), alpha=1.0, beta=0.0, kappa=0.0)
        updater: Any = UnscentedKalmanUpdater(radar, alpha=1.0, beta=0.0, kappa=0.0)
    else:
        predictor, updater = ExtendedKalmanPredictor(Falling()), ExtendedKalmanUpdater(radar)
    now = datetime(2024, 1, 1)
    state: Any = GaussianState(problem.x, problem.P, timestamp=now)
    xs, Ps = [], []
    for z in problem.z[:, :3]:
        now += timedelta(seconds=step)
        plot = Detection(StateVector(z), timestamp=now, measurement_model=radar)
        state = updater.update(SingleHypothesis(predictor.predict(state, timestamp=now), plot))
        xs.append(np.asarray(state.state_vector, float)[:, 0])
        Ps.append(np.asarray(state.covar, float))
    return np.array(xs), np.array(Ps)


# C ------------------------------------------------------------------------------------------------------------------


def compiler() -> str:
    """The machine's C compiler, empty where there is none."""
    return next((found for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if name and (found := shutil.which(name))), "")


def compiled_c() -> Callable[[Problem], Estimates]:
    """The extended Kalman filter of `kernels.extended` in plain C (data/bench/ekf.c), compiled by the machine's compiler."""
    flags = ["-std=c99", "-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "ekf.c")
        source.write_bytes(resources.files("copfuse").joinpath("data/bench/ekf.c").read_bytes())
        library = Path(folder, "ekf.so")
        subprocess.run([compiler(), *flags, "-o", str(library), str(source), "-lm"], check=True, capture_output=True)
        function = ctypes.CDLL(str(library)).series  # stays loaded after the file is gone

    def run(problem: Problem) -> Estimates:
        n = len(problem.z)
        x, P = problem.x.copy(), problem.P.copy()
        origin, axes = np.tile(problem.origin, (n, 1)), np.tile(problem.axes, (n, 1, 1))
        xs, Ps, loglik, d2 = np.empty((n, 6)), np.empty((n, 6, 6)), np.empty(n), np.empty(n)
        density = ctypes.c_double(problem.Q[3, 3] / problem.step)
        before = [x, P, np.full(n, problem.step), problem.z, problem.sigma, origin, axes]
        pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (*before, xs, Ps, loglik, d2)]
        function(ctypes.c_int(n), *pointers[:7], density, *pointers[7:])
        return xs, Ps

    return run
