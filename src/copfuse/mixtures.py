"""Several Gaussian filters beside each other, in plain numpy: interacting multiple models of unequal dimension.

A `Mode` names the components of its state, so that modes may know different things of the same object: a component
means the same wherever its name stands.  A `Mixture` holds n tracks in all modes.  Blom & Bar-Shalom, IEEE T-AC 33(8),
1988; for unequal dimensions Yuan, Bar-Shalom, Willett, Mozeson, Pollak & Hardiman, IEEE T-AES 48(2), 2012.  With the
unit matrix for transition nothing mixes, and the modes are the components of a Gaussian sum (Alspach & Sorenson, IEEE
T-AC 17(4), 1972) or the hypotheses of a static multiple-model filter.

The compiled form over Earth-fixed states is in `kernels.estimation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copfuse.errors import CopfuseError
from copfuse.gaussian import CUBATURE, Model, Moments, Rule, predict, update

LEAST = 1e-300  # model probabilities never reach 0, which would leave nothing to take a logarithm of


@dataclass(frozen=True)
class Mode:
    """One motion and the names of its state's components, such as ("x", "y", "vx", "vy", "turn")."""

    components: tuple[str, ...]
    motion: Model


@dataclass(frozen=True)
class Mixture:
    """n tracks in M modes: per mode x (n, d_j) and P (n, d_j, d_j); mu (n, M); ``loglik`` (n,) of the last measurement."""

    x: tuple[np.ndarray, ...]
    P: tuple[np.ndarray, ...]
    mu: np.ndarray
    loglik: np.ndarray


def mixture(x: Sequence, P: Sequence, mu) -> Mixture:
    """A mixture from per-mode x (n, d_j), P (n, d_j, d_j) or (d_j, d_j), and probabilities mu (n, M) or (M,)."""
    means = tuple(np.atleast_2d(np.asarray(a, float)) for a in x)
    covariances = tuple(np.broadcast_to(np.asarray(C, float), (*a.shape, a.shape[1])) for a, C in zip(means, P, strict=True))
    n = len(means[0])
    return Mixture(means, covariances, np.broadcast_to(np.asarray(mu, float), (n, len(means))), np.zeros(n))


def mix(tracks: Mixture, modes: Sequence[Mode], transition, padding: str = "target") -> Mixture:
    """Interaction: each mode starts from what all modes believe, weighed by how likely it was reached from them.

    ``transition`` (M, M) or (n, M, M): probability of mode j (column) after mode i (row).  What source i lacks of target
    j's components has, with ``padding`` "target", j's own mean and variance (unbiased mixing); with "zero" it is zero
    with zero variance, which pulls the component and its variance to zero: kept for comparison.
    """
    if padding not in ("target", "zero"):
        raise CopfuseError(f'mix: padding is "{padding}", and "target" (unbiased) or "zero" would have worked')
    chance = np.asarray(transition, float)
    if np.array_equal(chance, np.eye(len(modes))):
        return tracks
    chance = np.broadcast_to(chance, (len(tracks.mu), *chance.shape[-2:]))
    ahead = np.maximum((tracks.mu[:, None, :] @ chance)[:, 0], LEAST)
    x, P = [], []
    for j in range(len(modes)):
        weight = tracks.mu * chance[:, :, j] / ahead[:, j : j + 1]
        believed = [_seen_by(tracks, modes, i, j, padding) for i in range(len(modes))]
        mean, covariance = merge([b[0] for b in believed], [b[1] for b in believed], weight)
        x.append(mean)
        P.append(covariance)
    return Mixture(tuple(x), tuple(P), ahead, tracks.loglik)


def _seen_by(tracks: Mixture, modes: Sequence[Mode], i: int, j: int, padding: str) -> Moments:
    """What mode i believes, in mode j's components."""
    names, target = modes[i].components, modes[j].components
    if names == target:
        return tracks.x[i], tracks.P[i]
    here = [k for k, name in enumerate(target) if name in names]
    there = [names.index(target[k]) for k in here]
    absent = [k for k in range(len(target)) if k not in here]
    x, P = np.zeros_like(tracks.x[j]), np.zeros_like(tracks.P[j])
    x[:, here] = tracks.x[i][:, there]
    P[:, np.array(here)[:, None], here] = tracks.P[i][:, np.array(there)[:, None], there]
    if absent and padding == "target":
        x[:, absent] = tracks.x[j][:, absent]
        P[:, np.array(absent)[:, None], absent] = tracks.P[j][:, np.array(absent)[:, None], absent]
    return x, P


def merge(x: Sequence, P: Sequence, weight: np.ndarray) -> Moments:
    """Mean and covariance of Gaussians x[i] (n, d), P[i] (n, d, d) with weights (n, M): spread of the means included."""
    mean = sum(weight[:, i, None] * a for i, a in enumerate(x))
    covariance = np.zeros_like(np.asarray(P[0]))
    for i, (a, C) in enumerate(zip(x, P, strict=True)):
        apart = a - mean
        covariance = covariance + weight[:, i, None, None] * (C + apart[:, :, None] * apart[:, None, :])
    return mean, covariance


def predict_mixture(tracks: Mixture, modes: Sequence[Mode], transition, rule: Rule = CUBATURE, padding: str = "target") -> Mixture:
    """Interaction, then each mode's own motion."""
    mixed = mix(tracks, modes, transition, padding)
    moved = [predict(x, P, mode.motion, rule) for x, P, mode in zip(mixed.x, mixed.P, modes, strict=True)]
    return Mixture(tuple(m[0] for m in moved), tuple(m[1] for m in moved), mixed.mu, mixed.loglik)


def update_mixture(tracks: Mixture, z, sensors: Model | Sequence[Model], rule: Rule = CUBATURE, iterations: int = 1) -> Mixture:
    """Each mode updated with measurements z (n, d'), and its probability by its likelihood.

    ``sensors``: one model that serves all modes, or one per mode.
    """
    every = [sensors] * len(tracks.x) if isinstance(sensors, Model) else list(sensors)
    new = [update(x, P, z, s, rule, iterations) for x, P, s in zip(tracks.x, tracks.P, every, strict=True)]
    log = np.log(np.maximum(tracks.mu, LEAST)) + np.stack([u.loglik for u in new], axis=1)
    top = log.max(axis=1, keepdims=True)
    weight = np.exp(log - top)
    total = weight.sum(axis=1, keepdims=True)
    return Mixture(tuple(u.x for u in new), tuple(u.P for u in new), weight / total, (top + np.log(total))[:, 0])


def estimate(tracks: Mixture, modes: Sequence[Mode], components: Sequence[str] | None = None) -> Moments:
    """Mean (n, k) and covariance (n, k, k) over ``components``, by default those that all modes have.

    A component that some modes lack is averaged over the modes that have all of those asked for.
    """
    if components is None:
        components = [name for name in modes[0].components if all(name in m.components for m in modes)]
    able = [j for j, m in enumerate(modes) if all(name in m.components for name in components)]
    if not able:
        raise CopfuseError(f"estimate: no mode has all of {', '.join(components)}; ask for fewer components")
    weight = np.maximum(tracks.mu[:, able], LEAST)
    weight = weight / weight.sum(axis=1, keepdims=True)
    pick = [[modes[j].components.index(name) for name in components] for j in able]
    x = [tracks.x[j][:, p] for j, p in zip(able, pick, strict=True)]
    return merge(x, [tracks.P[j][:, np.array(p)[:, None], p] for j, p in zip(able, pick, strict=True)], weight)
