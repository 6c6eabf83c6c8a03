"""Which of one source's tracks is which of another's, while a bias between the two shifts them all.

Global nearest pattern: bias and assignment are estimated together, as the most likely pair of the two (Levedahl, Proc. SPIE
4728, 2002; Papageorgiou & Sergi, IEEE Aerospace Conf. 2008).  Where objects stand closer together than the bias is large,
nearest neighbours pair each with the one beside it; their pattern as a whole still fits in one way only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from copfuse.errors import CopfuseError
from copfuse.gaussian import transpose
from copfuse.kernels.assignment import assign

ANCHORS = 12  # starting points of the search
_MOST = 600  # pairs tried as anchors, and
_ROWS = 32  # first tracks that a trial looks at: evenly spread out of all
_BLOCK = 50_000  # trial costs at a time: what the cache holds, and no matrix product for which threads would be woken
_ALWAYS = 1e6  # what a pairing gains where nothing can stand alone
_ROUNDS = 30


@dataclass(frozen=True)
class Matching:
    """``column`` (n,): the second source's track of each of the first's, or -1; ``bias`` (k,) of the second against the first,
    with covariance ``P`` (k, k) given that assignment; ``cost``: -2 ln of the likelihood, but for a constant."""

    column: np.ndarray
    bias: np.ndarray
    P: np.ndarray
    cost: float


def match(x1, P1, x2, P2, bias, common: float, alone1: float, alone2: float, anchors: int = ANCHORS) -> Matching:
    """The most likely bias and assignment of tracks x1 (n, d), P1 (n, d, d) and x2 (m, d), P2 (m, d, d) at one time, together.

    ``bias`` (k, k): prior covariance of what shifts the first k components of all of x2 against x1, its mean 0.  ``common``,
    ``alone1``, ``alone2``: expected objects per unit volume of the d components that both sources track, and that only the first
    or the second does (`densities`).  A pairing costs d^2 + ln det(2 pi S) - 2 ln common, what stands alone -2 ln of its density,
    the bias b' B^-1 b (the likelihood ratio of Kaplan, Bar-Shalom & Blair, IEEE T-AES 44(1), 2008).

    The bias of every plausible single pair is tried on nearest neighbours; from the best ``anchors`` that differ, bias and
    optimal assignment (`kernels.assignment`) take turns until they stay, and the cheapest end is the answer.  Not proven optimal.
    Errors within a source count as independent.  Raises `CopfuseError` for shapes that do not fit or densities that are negative.
    """
    x1, P1, x2, P2, bias = _checked(x1, P1, x2, P2, bias)
    if not (common > 0.0 and alone1 >= 0.0 and alone2 >= 0.0):
        raise CopfuseError(f"densities are {common} common, {alone1} and {alone2} alone; above 0 and not negative are needed")
    n, m, k = len(x1), len(x2), len(bias)
    prior = np.linalg.inv(bias)
    if n == 0 or m == 0:
        return Matching(np.full(n, -1), np.zeros(k), bias, 0.0)
    D = x2[None] - x1[:, None]
    S = P1[:, None] + P2[None]
    white = np.linalg.solve(S, D[..., None])[..., 0]
    q, h = (D * white).sum(axis=-1), white[..., :k]  # d^2 = q - 2 h b + b' M b
    M = np.linalg.inv(S)[..., :k, :k]
    alone = alone1 * alone2
    gain = 2.0 * math.log(common / alone) if alone > 0.0 else _ALWAYS
    q = q + np.linalg.slogdet(2.0 * np.pi * S)[1] - gain
    best = None
    for b in _anchors(q, h, M, prior, anchors):
        found = _settle(q, h, M, prior, b)
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    return best


def densities(objects: float, pd1: float, pd2: float, extras1: float = 0.0, extras2: float = 0.0) -> tuple[float, float, float]:
    """``common``, ``alone1``, ``alone2`` of `match`, from the density of objects, each source's chance to track one, and the
    density of each one's tracks that are of nothing the other could see."""
    return objects * pd1 * pd2, objects * pd1 * (1.0 - pd2) + extras1, objects * pd2 * (1.0 - pd1) + extras2


def correct_probability(density: float, sigma: float, dimension: int) -> float:
    """Probability that nearest-neighbour assignment of two equal sets pairs an object correctly, without bias.

    exp(-C_m density sigma^m) with ``sigma`` the standard deviation per axis of the difference of two tracks of one object and
    C_m = 2^(m-1) pi^((m-1)/2) Gamma((m+1)/2) / Gamma(m/2 + 1) (Mori, Chang & Chong, in Multitarget-Multisensor Tracking II, 1992).
    Good to 1 % down to 0.88.
    """
    m = dimension
    c = 2.0 ** (m - 1) * math.pi ** ((m - 1) / 2) * math.gamma((m + 1) / 2) / math.gamma(m / 2 + 1)
    return math.exp(-c * density * sigma**m)


def _anchors(q, h, M, prior, count: int) -> np.ndarray:
    """Biases (c, k) to start from: no bias, and the best, on nearest neighbours, of those that single pairs suggest."""
    n, m, k = h.shape
    rows = np.unique(np.linspace(0, n - 1, min(n, _ROWS)).astype(int))
    h, M, q = h[rows].reshape(-1, k), M[rows].reshape(-1, k, k), q[rows]
    b = np.linalg.solve(prior + M, h[..., None])[..., 0]
    surprise = np.einsum("ci,ij,cj->c", b, prior, b)
    tried = np.argsort(surprise, kind="stable")
    tried = tried[np.unique(np.linspace(0, len(tried) - 1, min(len(tried), _MOST)).astype(int))]
    b = b[tried]
    score = np.empty(len(b))
    block = max(1, _BLOCK // q.size)
    for first in range(0, len(b), block):
        some = b[first : first + block]
        cost = q.ravel() - 2.0 * some @ h.T + np.einsum("ci,cj->cij", some, some).reshape(-1, k * k) @ M.reshape(-1, k * k).T
        nearest = cost.reshape(-1, *q.shape).min(axis=2)
        score[first : first + block] = np.minimum(nearest, 0.0).sum(axis=1)
    score += surprise[tried]
    sharp = prior + M[tried]
    chosen = [np.zeros(k)]
    for c in np.argsort(score, kind="stable"):
        apart = b[c] - np.array(chosen)
        if (np.einsum("ai,ij,aj->a", apart, sharp[c], apart) > 1.0).all():
            chosen.append(b[c])
            if len(chosen) > count:
                break
    return np.array(chosen)


def _settle(q, h, M, prior, b) -> Matching:
    """Assignment at a bias, bias of that assignment, and so on until it stays."""
    last, miss, rows = None, np.zeros(len(q)), np.arange(len(q))
    for _ in range(_ROUNDS):
        cost = q - 2.0 * h @ b + np.einsum("nmij,i,j->nm", M, b, b)
        column = assign(np.ascontiguousarray(cost), miss)
        paired = rows[column >= 0], column[column >= 0]
        information = prior + M[paired].sum(axis=0)
        b = np.linalg.solve(information, h[paired].sum(axis=0))
        if last is not None and np.array_equal(column, last):
            break
        last = column
    total = (q[paired] - 2.0 * h[paired] @ b + np.einsum("pij,i,j->p", M[paired], b, b)).sum() + b @ prior @ b
    return Matching(column, b, np.linalg.inv(information), float(total))


def _checked(x1, P1, x2, P2, bias) -> tuple[np.ndarray, ...]:
    x1, P1, x2, P2 = (np.asarray(v, float) for v in (x1, P1, x2, P2))
    bias = np.atleast_2d(np.asarray(bias, float))
    for x, P in ((x1, P1), (x2, P2)):
        if x.ndim != 2 or P.shape != (*x.shape, x.shape[1]) or x.shape[1] != x1.shape[1]:
            raise CopfuseError(f"tracks have shapes {x.shape} and {P.shape}; (n, d) and (n, d, d) are needed, of one d")
    if bias.shape[0] != bias.shape[1] or len(bias) > x1.shape[1] or not (np.linalg.eigvalsh(bias) > 0.0).all():
        raise CopfuseError(f"the bias covariance, of shape {bias.shape}, must be (k, k), positive definite, k at most {x1.shape[1]}")
    return x1, P1, x2, P2, 0.5 * (bias + transpose(bias))
