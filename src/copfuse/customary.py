"""filterpy's and Stone Soup's filters as their users write them, for `copfuse bench filters`: beside those of `rivals`.

Models are numpy functions of arrays, after the equations: vectors, norms, matrix products.  Stone Soup sees the object by its own
`CartesianToElevationBearingRange`, whose angles are its own types; filterpy's residuals wrap angles.  Derivatives are analytic.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from copfuse.constants import EARTH_A, EARTH_OMEGA, J2, MU
from copfuse.kernels.motions import MOST_FLOW, MOST_THRUST
from copfuse.rivals import SWITCHING, USED, Estimates, Problem

_SPIN = np.array([0.0, 0.0, EARTH_OMEGA])
_CROSS = np.array([[0.0, -EARTH_OMEGA, 0.0], [EARTH_OMEGA, 0.0, 0.0], [0.0, 0.0, 0.0]])  # _CROSS @ v is _SPIN x v


def derivative(x: np.ndarray) -> np.ndarray:
    """Time derivative of x (6, or 8: a gravity turn's thrust and mass flow over mass behind): J2 field, rotating Earth."""
    position, velocity = x[:3], x[3:6]
    r = np.linalg.norm(position)
    oblate = 1.5 * J2 * (EARTH_A / r) ** 2 * (np.array([1.0, 1.0, 3.0]) - 5.0 * (position[2] / r) ** 2)
    fall = -MU / r**3 * position * (1.0 + oblate)
    turning = -2.0 * np.cross(_SPIN, velocity) - np.cross(_SPIN, np.cross(_SPIN, position))
    if len(x) == 6:
        return np.concatenate([velocity, fall + turning])
    push = x[6] * velocity / (np.linalg.norm(velocity) + 1e-3)
    growth = x[6:] * x[7] * np.maximum(1.0 - (x[6:] / (MOST_THRUST, MOST_FLOW)) ** 4, 0.0)
    return np.concatenate([velocity, fall + turning + push, growth])


def stages(x: np.ndarray, h: float) -> tuple[list[np.ndarray], np.ndarray]:
    """The four points of a Runge-Kutta step of h seconds from x, and where it ends."""
    k1 = derivative(x)
    k2 = derivative(x + 0.5 * h * k1)
    k3 = derivative(x + 0.5 * h * k2)
    k4 = derivative(x + h * k3)
    return [x, x + 0.5 * h * k1, x + 0.5 * h * k2, x + h * k3], x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


def gradient(x: np.ndarray) -> np.ndarray:
    """Derivative (6, 6) of `derivative` at x (6)."""
    position = x[:3]
    r = np.linalg.norm(position)
    n = position / r
    polar = np.array([0.0, 0.0, 1.0])
    k = 1.5 * J2 * (EARTH_A / r) ** 2
    s = n[2]
    central = np.eye(3) - 3.0 * np.outer(n, n)
    level = (1.0 - 5.0 * s**2) * np.eye(3) - 5.0 * np.outer(n, n) + 35.0 * s**2 * np.outer(n, n)
    mixed = -10.0 * s * (np.outer(n, polar) + np.outer(polar, n)) + 2.0 * np.outer(polar, polar)
    gravity = -MU / r**3 * (central + k * (level + mixed))
    return np.block([[np.zeros((3, 3)), np.eye(3)], [gravity - _CROSS @ _CROSS, -2.0 * _CROSS]])


def transition(points: list[np.ndarray], h: float) -> np.ndarray:
    """Derivative (6, 6) of the Runge-Kutta step through the four points."""
    unit = np.eye(6)
    K1 = gradient(points[0])
    K2 = gradient(points[1]) @ (unit + 0.5 * h * K1)
    K3 = gradient(points[2]) @ (unit + 0.5 * h * K2)
    K4 = gradient(points[3]) @ (unit + h * K3)
    return unit + h / 6.0 * (K1 + 2.0 * K2 + 2.0 * K3 + K4)


def look(x: np.ndarray, origin: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Range m, azimuth and elevation rad of x."""
    e, n, u = axes @ (x[:3] - origin)
    return np.array([np.sqrt(e**2 + n**2 + u**2), np.arctan2(e, n), np.arctan2(u, np.hypot(e, n))])


def slope(x: np.ndarray, origin: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Derivative (3, 6) of `look`."""
    e, n, u = axes @ (x[:3] - origin)
    level, r = np.hypot(e, n), np.sqrt(e**2 + n**2 + u**2)
    local = np.array(
        [
            [e / r, n / r, u / r],
            [n / level**2, -e / level**2, 0.0],
            [-e * u / (level * r**2), -n * u / (level * r**2), level / r**2],
        ]
    )
    return np.hstack([local @ axes, np.zeros((3, 3))])


def residual(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The difference of two measurements, with angles in [-pi, pi)."""
    d = np.subtract(a, b)
    d[1:] = (d[1:] + np.pi) % (2.0 * np.pi) - np.pi
    return d


def filterpy_extended(problem: Problem) -> Estimates:
    """filterpy's ExtendedKalmanFilter with ``predict_x`` overridden, as its documentation says for non-linear motion."""
    from filterpy.kalman import ExtendedKalmanFilter

    class Falling(ExtendedKalmanFilter):
        x: np.ndarray

        def predict_x(self, u=0):
            points, end = stages(self.x, problem.step)
            self.F = transition(points, problem.step)
            self.x = end

    ekf = Falling(6, 3)
    ekf.x, ekf.P, ekf.Q, ekf.R = problem.x.copy(), problem.P.copy(), problem.Q, np.diag(problem.sigma[0, :3] ** 2)
    place = problem.origin, problem.axes
    xs, Ps = [], []
    for z in problem.z[:, :3]:
        ekf.predict()
        ekf.update(z, slope, look, args=place, hx_args=place, residual=residual)
        xs.append(ekf.x.copy())
        Ps.append(ekf.P.copy())
    return np.array(xs), np.array(Ps)


def filterpy_models(problem: Problem, switching=SWITCHING) -> Estimates:
    """filterpy's IMMEstimator over three UKFs of nine states, as `rivals.filterpy_models`."""
    from filterpy.kalman import IMMEstimator, JulierSigmaPoints, UnscentedKalmanFilter

    def thrusting(x, dt):
        return np.concatenate([stages(x[:8], dt)[1], x[8:]])

    def falling(x, dt):
        return np.concatenate([stages(x[:6], dt)[1], x[6:]])

    def measured(x):
        return look(x, problem.origin, problem.axes)

    filters = []
    for x, P, Q, used, move in zip(problem.x9, problem.P9, problem.Q9, USED, (falling, falling, thrusting), strict=True):
        points = JulierSigmaPoints(9, kappa=used - 9)  # the cubature points of what is used
        ukf = UnscentedKalmanFilter(9, 3, problem.step, measured, move, points, residual_z=residual)
        ukf.x, ukf.P, ukf.Q, ukf.R = x.copy(), P.copy(), Q, np.diag(problem.sigma[0, :3] ** 2)
        filters.append(ukf)
    imm = IMMEstimator(filters, np.full(3, 1.0 / 3.0), np.array(switching))
    xs, Ps = [], []
    for z in problem.z[:, :3]:
        imm.predict()
        imm.update(z)
        xs.append(imm.x[:6].copy())
        Ps.append(imm.P[:6, :6].copy())
    return np.array(xs), np.array(Ps)


def stonesoup_extended(problem: Problem) -> Estimates:
    """Stone Soup's ExtendedKalmanPredictor and ExtendedKalmanUpdater, its own measurement model, a transition model of its classes."""
    from stonesoup.base import Property
    from stonesoup.models.base import TimeVariantModel
    from stonesoup.models.measurement.nonlinear import CartesianToElevationBearingRange
    from stonesoup.models.transition.nonlinear import GaussianTransitionModel
    from stonesoup.predictor.kalman import ExtendedKalmanPredictor
    from stonesoup.types.angle import Bearing, Elevation
    from stonesoup.types.array import CovarianceMatrix, StateVector
    from stonesoup.types.detection import Detection
    from stonesoup.types.hypothesis import SingleHypothesis
    from stonesoup.types.state import GaussianState
    from stonesoup.updater.kalman import ExtendedKalmanUpdater

    class Falling(GaussianTransitionModel, TimeVariantModel):
        noise: np.ndarray = Property(doc="Covariance of one step")

        @property
        def ndim_state(self):
            return 6

        def function(self, state, noise=False, time_interval=None, **_):
            x = np.asarray(state.state_vector, float)[:, 0]
            return StateVector(stages(x, time_interval.total_seconds())[1])

        def jacobian(self, state, time_interval=None, **_):
            x = np.asarray(state.state_vector, float)[:, 0]
            h = time_interval.total_seconds()
            return transition(stages(x, h)[0], h)

        def covar(self, **_):
            return CovarianceMatrix(self.noise)

    class Radar(CartesianToElevationBearingRange):
        def jacobian(self, state, **_):  # its own differences take steps of 1e-8 m along negative coordinates (version 1.9.1)
            x = np.asarray(state.state_vector, float)[:, 0]
            distance, azimuth, elevation = slope(x, problem.origin, problem.axes)
            return np.array([elevation, -azimuth, distance])

    turned = Rotation.from_matrix(problem.axes).as_euler("XYZ") * (-1.0, 1.0, -1.0)  # its signs of roll, pitch and yaw
    radar = Radar(
        ndim_state=6,
        mapping=(0, 1, 2),
        noise_covar=CovarianceMatrix(np.diag(problem.sigma[0, [2, 1, 0]] ** 2)),
        translation_offset=StateVector(problem.origin),
        rotation_offset=StateVector(turned),
    )
    predictor, updater = ExtendedKalmanPredictor(Falling(noise=problem.Q)), ExtendedKalmanUpdater(radar)
    now = datetime(2024, 1, 1)
    state: Any = GaussianState(problem.x, problem.P, timestamp=now)
    xs, Ps = [], []
    for distance, azimuth, elevation in problem.z[:, :3]:
        now += timedelta(seconds=problem.step)
        seen = StateVector([Elevation(elevation), Bearing(0.5 * np.pi - azimuth), distance])  # its bearings start in the east
        plot = Detection(seen, timestamp=now, measurement_model=radar)
        state = updater.update(SingleHypothesis(predictor.predict(state, timestamp=now), plot))
        xs.append(np.asarray(state.state_vector, float)[:, 0])
        Ps.append(np.asarray(state.covar, float))
    return np.array(xs), np.array(Ps)
