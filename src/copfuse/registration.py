"""Sensor registration while a scenario runs: what its radars' biases are, from objects that several of them see in free flight.

`estimate` finds the wandering biases, `correct` takes them out of plots, `registered` says what is then left.  A bias that the
plots do not tell from its prior is named and never applied.  For constant biases and any motion see `biases.register`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from copfuse import filters, frames
from copfuse.batch import Plots, gather, miss
from copfuse.biases import CLOCK, KINDS, ROUNDS, Registration
from copfuse.constants import MIDCOURSE
from copfuse.errors import CopfuseError
from copfuse.families import free
from copfuse.kernels import motions
from copfuse.tables import Detections, Tracks
from copfuse.tracking import track

FREE = 120e3  # m: above, drag is under 1e-4 of gravity
COASTING = 0.9  # probability from which a track counts as in free flight, *notional*
FEWEST = 20  # plots of one object
KNOTS = 40.0  # per time constant of a bias: it is straight in between
LIVE = (0, 1, 2, CLOCK)  # the kinds that a packaged sensor has
GATE = 36.0  # squared number of sigmas, biases in them, beyond which a component is taken for false


def estimate(detections: Detections, scenario: Any, tracks: Tracks | None = None, until: float = np.inf) -> Registration:
    """Biases of range, two angles and clock of every radar that saw an object in free flight which another saw too.

    The plots of ``detections`` up to ``until`` s that the tracks ``tracks`` (one node's, over all sensors; made here where left
    out: ``track(detections, scenario, node="HUB")``) took, above 120 km and coasting.  Objects fall freely, which ties each
    sensor to itself at other times too; each bias wanders as the scenario says (Gauss-Markov, ``sensor.bias_sigma`` and
    ``bias_time``) and is given at the time of its sensor's last plot.  Joint maximum a posteriori by Gauss and Newton; plots far
    off are left out.  No object in common, or a scenario without biases, gives a registration without any.  Raises `CopfuseError`
    where ``tracks`` were made from other plots.
    """
    if tracks is None:
        tracks = track(detections, scenario, node="HUB")
    elif tracks.meta["detections_uid"] != detections.uid:
        raise CopfuseError("these tracks were made from other detections; registration needs the plots that are in them")
    arcs = _common(detections, scenario, tracks, until)
    names = tuple(s.name for s in scenario.sensors)
    if not any((plots.bias > 0.0).any() for plots, _ in arcs):
        none = np.zeros(0)
        return Registration(none.astype(int), none.astype(int), none, np.zeros((0, 0)), none, none, none, 0, names)
    knots = _knots([plots for plots, _ in arcs], scenario)
    u, P, misfit = _climb(arcs, knots)
    end, unit = knots.last, knots.sigma[knots.last]
    sensor, kind = knots.sensor[end], np.array(LIVE)[knots.kind[end]]
    P = P[np.ix_(end, end)] * np.outer(unit, unit)
    return Registration(sensor, kind, u[end] * unit, P, unit, knots.time[end], knots.fade[end], len(arcs), names, misfit)


def _common(detections: Detections, scenario: Any, tracks: Tracks, until: float) -> list[tuple[Plots, np.ndarray]]:
    """For every object in free flight that two radars saw: its plots in time order, and a state (6,) at the first's time."""
    radar = np.array([s.kind == "radar" for s in scenario.sensors])
    falls = (frames.altitude(tracks.x) > FREE) & (tracks.phase_probability[:, MIDCOURSE] > COASTING) & tracks.firm
    falls &= radar[detections.sensor[tracks.detection]] & (tracks.time <= until)
    mu = np.where(np.arange(motions.N_MODEL) == motions.COAST, 1.0, 0.0)
    found = []
    for number in np.unique(tracks.track[falls]):
        rows = np.flatnonzero(falls & (tracks.track == number))
        plots = gather(detections, scenario, tracks.detection[rows], True)
        if len(rows) < FEWEST or len(np.unique(plots.sensor)) < 2:
            continue
        best = rows[np.argmin(np.trace(tracks.P[rows][:, :3, :3], axis1=1, axis2=2))]
        known = filters.bank(tracks.time[best], tracks.x[[best]], tracks.P[[best]], mu)
        found.append((plots, filters.predict(known, plots.time[0]).x[0, motions.COAST, :6]))
    return found


@dataclass(frozen=True)
class _Knots:
    """Biases at knots, straight in between, in units of their sigma: columns (p,); the prior's ``precision`` (p, p), sparse.

    ``last``: the last knot of each bias; ``first``: from (sensor, kind out of `LIVE`) to its first knot; ``count`` and ``step`` s of
    a sensor's knots.
    """

    sensor: np.ndarray
    kind: np.ndarray
    sigma: np.ndarray
    time: np.ndarray
    fade: np.ndarray
    precision: Any
    last: np.ndarray
    first: dict[tuple[int, int], int]
    count: dict[int, int]
    step: dict[int, float]


def _knots(all_plots: list[Plots], scenario: Any) -> _Knots:
    """Knots over the time in which each sensor saw any of the objects."""
    time, sensor = np.concatenate([p.time for p in all_plots]), np.concatenate([p.sensor for p in all_plots]).astype(int)
    columns, blocks = [np.zeros((5, 0))], []
    first: dict[tuple[int, int], int] = {}
    count: dict[int, int] = {}
    step: dict[int, float] = {}
    for s in np.unique(sensor).tolist():
        fade, begin, end = max(scenario.sensors[s].bias_time, 1.0), time[sensor == s].min(), time[sensor == s].max()
        n = count[s] = int(np.ceil((end - begin) * KNOTS / fade)) + 1
        step[s] = max((end - begin) / max(n - 1, 1), 1e-6)
        for k, sigma in enumerate(scenario.bias * np.asarray(scenario.sensors[s].bias_sigma, float)):
            if sigma > 0.0:
                first[s, k] = sum(c.shape[1] for c in columns)
                one = np.ones(n)
                columns.append(np.stack([s * one, k * one, sigma * one, begin + step[s] * np.arange(n), fade * one]))
                blocks.append(_wandering(n, float(np.exp(-step[s] / fade))))
    s_, k_, sigma_, at, fades = np.concatenate(columns, axis=1)
    last = np.array([first[s, k] + count[s] - 1 for s, k in first])
    precision = sparse.block_diag(blocks, format="csr")
    return _Knots(s_.astype(int), k_.astype(int), sigma_, at, fades, precision, last, first, count, step)


def _wandering(n: int, keep: float) -> Any:
    """Precision (n, n) of a stationary Gauss-Markov sequence of unit variance of which the share ``keep`` is left at each step."""
    if n == 1:
        return sparse.eye(1)
    main = np.full(n, 1.0 + keep**2)
    main[[0, -1]] = 1.0
    beside = np.full(n - 1, -keep)
    return sparse.diags([main, beside, beside], [0, 1, -1]) / (1.0 - keep**2)


def _climb(arcs: list[tuple[Plots, np.ndarray]], knots: _Knots) -> tuple[np.ndarray, np.ndarray, float]:
    """Gauss and Newton over all objects, each eliminated: biases (p,) in units of their sigma, covariance (p, p), and misfit."""
    u, states = np.zeros(len(knots.sensor)), [x for _, x in arcs]
    for last in range(ROUNDS):
        information, vector, own = knots.precision.toarray(), -(knots.precision @ u), []
        for (plots, _), x in zip(arcs, states, strict=True):
            r, A, B = _line(plots, x, knots, u, gate=last > 1)
            cross = np.asarray((B.T @ A).T)
            to, pull = np.linalg.solve(A.T @ A, cross), np.linalg.solve(A.T @ A, A.T @ r)
            information += (B.T @ B).toarray() - cross.T @ to
            vector += B.T @ r - cross.T @ pull
            own.append((pull, to))
        P = np.linalg.inv(information)
        move = P @ vector
        u = u + move
        states = [x + pull - to @ move for x, (pull, to) in zip(states, own, strict=True)]
        if last > 3 and (np.abs(move) < 1e-2 * np.sqrt(np.diag(P))).all():
            break
    left = [_line(plots, x, knots, u, gate=True)[0] for (plots, _), x in zip(arcs, states, strict=True)]
    chi2 = sum(float(r @ r) for r in left) + float(u @ (knots.precision @ u))
    return u, 0.5 * (P + P.T), chi2 / max(sum(len(r) - 6 for r in left), 1)


def _line(plots: Plots, x: np.ndarray, knots: _Knots, u: np.ndarray, gate: bool) -> tuple[np.ndarray, np.ndarray, Any]:
    """Whitened residuals (q,) of an object with state x (6,) at its first plot, their slopes by the state (q, 6) and, sparse, by
    the knots (q, p); with ``gate``, without the plots that are far off."""
    model = free(plots.time[0])

    def fall(x: np.ndarray) -> np.ndarray:
        return model.states(np.r_[x, model.mean[6]], plots.time)

    path = fall(x)
    slopes = [(miss(plots, fall(x - e)) - miss(plots, fall(x + e))) / (2.0 * e.sum()) for e in np.diag(model.step[:6])]
    ahead = np.hstack([0.05 * path[:, 3:], np.zeros((len(path), 3))])
    rate = (miss(plots, path - ahead) - miss(plots, path + ahead)) / 0.1
    noise, d = np.where(plots.have, plots.sigma, 1.0), miss(plots, path)
    B = _shares(plots, knots, rate / noise, 1.0 / noise)
    keep = plots.have.copy()
    if gate:
        wide = noise**2 + (rate * plots.bias[:, 3:]) ** 2 + np.pad(plots.bias[:, :3], ((0, 0), (0, 1))) ** 2
        keep &= ~(d**2 > GATE * wide).any(axis=1)[:, None]
    rows = np.flatnonzero(keep.ravel())
    r = (d / noise).ravel() - B @ u
    return r[rows], (np.stack(slopes, axis=-1) / noise[:, :, None]).reshape(-1, 6)[rows], B[rows]


def _shares(plots: Plots, knots: _Knots, rate: np.ndarray, scale: np.ndarray) -> Any:
    """How whitened components (4 m) go with the knots (p), sparse; ``rate`` (m, 4): with time, ``scale`` (m, 4): one over sigma."""
    value, row, column = [], [], []
    for (s, k), first in knots.first.items():
        mine, n = np.flatnonzero(plots.sensor == s), knots.count[s]
        place = np.clip((plots.time[mine] - knots.time[first]) / knots.step[s], 0.0, n - 1)
        below = np.minimum(place.astype(int), max(n - 2, 0))
        for knot, share in ((below, 1.0 - place + below), (np.minimum(below + 1, n - 1), place - below)):
            for c in range(4) if LIVE[k] == CLOCK else (k,):
                slope = -rate[mine, c] if LIVE[k] == CLOCK else scale[mine, c]
                value.append(knots.sigma[first] * share * slope)
                row.append(4 * mine + c)
                column.append(first + knot)
    where = np.concatenate(row), np.concatenate(column)
    return sparse.csr_matrix((np.concatenate(value), where), shape=(scale.size, len(knots.sensor)))


# What to do with the answer -------------------------------------------------------------------------------------------


def correct(detections: Detections, registration: Registration) -> Detections:
    """The plots without those biases that are observable: faded to each plot's time, sorted again where clocks were set.

    Raises `CopfuseError` for plots of other sensors, or where a position was estimated: move the sensor instead.
    """
    z, time = corrected(detections, registration)
    order = np.lexsort((np.arange(len(time)), detections.sensor, time))
    changed = replace(detections, z=z, time=time)
    return changed[order] if (np.diff(order) != 1).any() else changed


def corrected(detections: Detections, registration: Registration) -> tuple[np.ndarray, np.ndarray]:
    """``z (n, 4)`` and ``time (n,)`` of `correct`, in the order of the plots."""
    _same_sensors(detections.meta["sensors"], registration)
    z, time = detections.z.copy(), detections.time.copy()
    for i in np.flatnonzero(registration.observable):
        kind = int(registration.kind[i])
        mine = detections.sensor == registration.sensor[i]
        bias = registration.value[i] * np.exp(-np.abs(detections.time[mine] - registration.time[i]) / registration.fade[i])
        if kind == CLOCK:
            time[mine] -= bias
        elif kind < 3:
            z[mine, kind] -= bias
        else:
            raise CopfuseError(f"a bias of {KINDS[kind]} cannot be taken out of plots; place the sensor anew, or estimate offsets alone")
    return z, time


def registered(scenario: Any, registration: Registration, time: float) -> Any:
    """The scenario with, for every observable bias, the standard deviation that is left in plots of ``time`` s once corrected.

    A bias wanders on after its sensor's last plot: rho^2 P + (1 - rho^2) prior^2, rho = exp(-dt / bias time).  Raises
    `CopfuseError` for a scenario of other sensors.
    """
    _same_sensors([s.name for s in scenario.sensors], registration)
    sensors = list(scenario.sensors)
    for i in np.flatnonzero(registration.observable):
        s, kind = int(registration.sensor[i]), LIVE.index(int(registration.kind[i]))
        keep = np.exp(-2.0 * abs(time - registration.time[i]) / registration.fade[i])
        sigma = list(sensors[s].bias_sigma)
        left = np.sqrt(keep * registration.P[i, i] + (1.0 - keep) * registration.prior[i] ** 2)
        sigma[kind] = float(left / scenario.bias)
        sensors[s] = replace(sensors[s], bias_sigma=tuple(sigma))
    return replace(scenario, sensors=tuple(sensors))


def _same_sensors(names: Sequence[str], registration: Registration) -> None:
    if tuple(names) != registration.names:
        raise CopfuseError(
            f"the registration is of {len(registration.names)} sensors, {', '.join(registration.names[:3])}, ..., not of these"
        )
