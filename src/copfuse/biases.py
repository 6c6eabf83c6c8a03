"""Constant biases of sensors by batch maximum likelihood, from objects that several of them see, on many runs at once.

`registration` finds the wandering biases of a scenario's radars while it runs.  A bias that the plots do not tell from its
prior is named as such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from copfuse import frames
from copfuse.errors import CopfuseError
from copfuse.gaussian import apply, transpose

KINDS = ("range", "azimuth", "elevation", "range scale", "azimuth scale", "elevation scale", "east", "north", "up", "clock")
CLOCK = KINDS.index("clock")
STEPS = np.array([1.0, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 1.0, 1.0, 1.0, 1e-2])  # for central differences
SHARE = 0.4  # of its prior variance: what leaves a bias more than that is not observed
MISFIT = 1.5  # what an honest fit does not reach: wrong plots in a track, or an object that does not fall freely
ROUNDS = 12

Motion = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Registration:
    """Biases: sensor number and kind (`KINDS`) of each (p,), ``value`` (..., p) in m, rad, s or parts of one, P (..., p, p),
    prior standard deviations (p,), the time (p,) s at which each value holds and the time constant ``fade`` (p,) of its
    wandering; ``objects``: how many were seen in common; ``names`` of the sensors; ``misfit``: chi-squared of a live fit over what
    it should be."""

    sensor: np.ndarray
    kind: np.ndarray
    value: np.ndarray
    P: np.ndarray
    prior: np.ndarray
    time: np.ndarray
    fade: np.ndarray
    objects: int
    names: tuple[str, ...]
    misfit: float = 1.0

    @property
    def information(self) -> np.ndarray:
        """Eigenvalues (..., p), ascending, of what the plots say in units of what the prior says; under 1 the prior says more."""
        spread = self.P / (self.prior[:, None] * self.prior)
        return np.maximum(1.0 / np.linalg.eigvalsh(spread)[..., ::-1] - 1.0, 0.0)

    @property
    def observable(self) -> np.ndarray:
        """Which biases (..., p) the plots have brought under `SHARE` of their prior variance; none where the fit is a `MISFIT`."""
        return (np.einsum("...ii->...i", self.P) < SHARE * self.prior**2) & (self.misfit < MISFIT)

    def __str__(self) -> str:
        if self.value.ndim > 1:
            return f"{len(self.prior)} biases in runs of shape {self.value.shape[:-1]}"
        sigma = np.sqrt(np.einsum("...ii->...i", self.P))
        line = [
            f"{self.names[s]} {KINDS[k]}: {v:.4g} +- {e:.2g}" + ("" if seen else " (not observable, not applied)")
            for s, k, v, e, seen in zip(self.sensor, self.kind, self.value, sigma, self.observable, strict=True)
        ]
        return "\n".join(line) or "no object was seen by two sensors in free flight: nothing is observable"


def shown(x, origin, axes, bias) -> np.ndarray:
    """What biased sensors show, (..., m, 4): range m, azimuth and elevation rad, range rate m/s, of states x (..., m, 6).

    ``origin`` (m, 3), ``axes`` (m, 3, 3) as in `frames.look`; ``bias`` (..., m, 10) in the order of `KINDS`: offsets and scales
    are added to range, azimuth in (-pi, pi] and elevation; the sensor stands east, north and up of where it is taken to stand; its
    clock is ahead.
    """
    late = bias[..., 9:]
    x = np.concatenate([x[..., :3] - late * x[..., 3:], x[..., 3:]], axis=-1)
    at = origin + np.einsum("mji,...mj->...mi", axes, bias[..., 6:9])
    shape = x.shape[:-1]
    turned = np.broadcast_to(axes, (*shape, 3, 3)).reshape(-1, 3, 3)
    z = frames.look(x.reshape(-1, 6), np.broadcast_to(at, (*shape, 3)).reshape(-1, 3), turned).reshape(*shape, 4)
    z[..., 1] = _wrapped(z[..., 1])
    z[..., :3] += bias[..., :3] + bias[..., 3:6] * z[..., :3]
    return z


def register(
    start, motion: Motion, time, sensor, z, sigma, origins, axes, prior, names: Sequence[str] = (), steps=None
) -> tuple[Registration, np.ndarray, np.ndarray]:
    """Maximum likelihood of constant biases and of the objects' states, on many runs at once: the biases, the objects
    (..., g, d) and their covariances (..., g, d, d), what is left of the biases included.

    ``start`` (..., g, d): first guess of g objects; ``motion(objects, time)`` gives their states (..., g, m, 6) at the plots'
    times (m,) s; ``sensor`` (m,) numbers; ``z`` (..., g, m, 4) and ``sigma`` (m, 4) or (4,), nan where nothing was measured;
    ``origins`` (s, 3), ``axes`` (s, 3, 3); ``prior`` (s, 10): standard deviations in the order of `KINDS`, 0 for what is known.
    ``steps`` (d,) for central differences of the objects.

    Gauss and Newton with the objects eliminated (Schur complement); statistically efficient where the errors are small against
    the geometry (Lin, Bar-Shalom & Kirubarajan, IEEE T-AES 41(3), 2005).  Raises `CopfuseError` where no bias has a prior.
    """
    prior, sensor = np.asarray(prior, float), np.asarray(sensor, int)
    which, kind = np.nonzero(prior > 0.0)
    if len(which) == 0:
        raise CopfuseError("register: every prior is 0, so there is no bias to estimate")
    objects, z = np.array(start, float), np.asarray(z, float)
    value = np.zeros((*objects.shape[:-2], len(which)))
    noise = np.broadcast_to(np.asarray(sigma, float), z.shape[-2:])
    have = np.isfinite(z) & np.isfinite(noise)
    sites = np.asarray(origins, float)[sensor], np.asarray(axes, float)[sensor]
    member = (sensor[:, None] == which).astype(float)  # (m, p)
    spot = np.eye(len(KINDS))[kind]  # (p, 10)

    def show(o: np.ndarray, v: np.ndarray) -> np.ndarray:
        bias = np.einsum("mp,...p,pk->...mk", member, v, spot)[..., None, :, :]
        return shown(motion(o, time), *sites, bias)

    def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        d = a - b
        d[..., 1] = _wrapped(d[..., 1])
        return np.where(have, d / noise, 0.0).reshape(*d.shape[:-2], -1)

    each = np.full(objects.shape[-1], 1e-3) if steps is None else np.asarray(steps, float)
    P = np.diag(prior[which, kind] ** 2)
    for _ in range(ROUNDS):
        r = difference(z, show(objects, value))
        A = np.stack([difference(show(objects + e, value), show(objects - e, value)) / (2 * e.sum()) for e in np.diag(each)], -1)
        shift = np.diag(STEPS[kind])
        B = np.stack([difference(show(objects, value + e), show(objects, value - e)) / (2 * e.sum()) for e in shift], -1)
        move, gone, P, spread = _schur(r, A, B, value, prior[which, kind])
        value, objects = value + move, objects + gone
        if (np.abs(move) < 1e-3 * np.sqrt(np.einsum("...ii->...i", P))).all():
            break
    none = np.zeros(len(which))
    every = tuple(names) or tuple(f"sensor {k}" for k in range(len(prior)))
    return Registration(which, kind, value, P, prior[which, kind], none, none + np.inf, objects.shape[-2], every), objects, spread


def _schur(r, A, B, value, prior) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One step of biases (..., p) and objects (..., g, d), and the covariances of both; r (..., g, m), A and B its slopes."""
    own = transpose(A) @ A
    cross = transpose(A) @ B
    to_objects = np.linalg.solve(own, cross)
    information = (transpose(B) @ B - transpose(cross) @ to_objects).sum(axis=-3) + np.diag(prior**-2)
    pull = apply(transpose(A), r)
    vector = (apply(transpose(B), r) - apply(transpose(to_objects), pull)).sum(axis=-2) - value / prior**2
    P = np.linalg.inv(information)
    move = apply(P, vector)
    gone = np.linalg.solve(own, pull[..., None])[..., 0] - apply(to_objects, move[..., None, :])
    spread = np.linalg.inv(own) + to_objects @ P[..., None, :, :] @ transpose(to_objects)
    return move, gone, 0.5 * (P + transpose(P)), spread


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return np.mod(angle + np.pi, 2.0 * np.pi) - np.pi
