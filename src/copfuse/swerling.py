"""Probability that a radar notices a fluctuating target, and the signal-to-noise ratio that it needs; exact.

Square-law detector, n pulses added without phase, Swerling's cases 0 (steady) to 4.  One formula serves all: given the
signal energy the summed detector output is gamma distributed with shape ``n + J``, J Poisson; the energy of a
target of Swerling's case is itself gamma distributed (shape 1, n, 2, 2n for cases 1 to 4), so J is negative binomial.
Hence ``1 - P_d = sum over j of P(J = j) P(n + j, T)`` with P the lower incomplete gamma function; the terms vanish
once j is well above the threshold T.  (Swerling 1954, RM-1217; Meyer and Mayer 1973.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from copfuse.errors import CopfuseError


def _checked(pfa: Any, swerling: int, n_pulses: int) -> np.ndarray:
    false = np.asarray(pfa, float)
    bad = false[~((false > 0.0) & (false < 1.0))]
    if bad.size:
        raise CopfuseError(f"pfa is {bad.flat[0]:g}, expected a probability of false alarm between 0 and 1, for example 1e-6")
    if swerling not in (0, 1, 2, 3, 4):
        raise CopfuseError(f"swerling is {swerling!r}, expected a case 0 (steady), 1, 2, 3 or 4")
    if not (isinstance(n_pulses, int | np.integer) and n_pulses >= 1):
        raise CopfuseError(f"n_pulses is {n_pulses!r}, expected a whole number of at least 1")
    return false


def _shape(swerling: int, n: int) -> float:
    """Gamma shape of the energy of n pulses; 0 stands for a steady target."""
    return (0.0, 1.0, float(n), 2.0, 2.0 * n)[swerling]


def _summed(snr: np.ndarray, pfa: np.ndarray, swerling: int, n: int) -> np.ndarray:
    """The sum of the module's docstring, for flat arrays of one length."""
    threshold = special.gammainccinv(n, pfa)
    top = float(threshold.max(initial=0.0))
    j = np.arange(int(top + 12.0 * math.sqrt(top) + 50.0))
    mean = n * snr[:, None]
    if swerling == 0:
        log_weight = special.xlogy(j, mean) - mean - special.gammaln(j + 1.0)
    else:
        k = _shape(swerling, n)
        log_weight = special.gammaln(j + k) - special.gammaln(k) - special.gammaln(j + 1.0)
        log_weight = log_weight + special.xlogy(j, mean) - special.xlogy(j, mean + k) - k * np.log1p(mean / k)
    return 1.0 - np.sum(np.exp(log_weight) * special.gammainc(n + j, threshold[:, None]), axis=1)


def detection_probability(snr, pfa, swerling: int = 1, n_pulses: int = 1) -> np.ndarray:
    """Probability of detection, the shape of ``snr`` and ``pfa`` broadcast together.

    Args:
        snr: mean signal-to-noise power ratio of one pulse (not decibel), 0 or more.
        pfa: probability of false alarm of the decision, between 0 and 1.
        swerling: case 0 to 4.
        n_pulses: pulses added after a square-law detector.

    For one pulse cases 1 and 2 are ``pfa ** (1 / (1 + snr))``, cases 3 and 4 Swerling's closed form too.
    Raises `CopfuseError` for values outside these limits.
    """
    ratio, false = np.broadcast_arrays(np.asarray(snr, float), _checked(pfa, swerling, n_pulses))
    if not np.all(ratio >= 0.0):
        raise CopfuseError(f"snr is {ratio[~(ratio >= 0)].flat[0]:g}, expected a power ratio of 0 or more (not decibel)")
    if n_pulses == 1 and swerling in (1, 2):
        return (false ** (1.0 / (1.0 + ratio)))[()]
    if n_pulses == 1 and swerling in (3, 4):
        z = -np.log(false) / (1.0 + 0.5 * ratio)
        return ((1.0 + z * 0.5 * ratio / (1.0 + 0.5 * ratio)) * np.exp(-z))[()]
    return np.clip(_summed(ratio.ravel(), false.ravel(), swerling, n_pulses), 0.0, 1.0).reshape(ratio.shape)[()]


def required_snr(pd, pfa, swerling: int = 1, n_pulses: int = 1) -> np.ndarray:
    """Mean signal-to-noise power ratio of one pulse at which `detection_probability` is ``pd`` (pfa < pd < 1).

    Raises `CopfuseError` where pd is not between pfa and 1.
    """
    wanted, false = np.broadcast_arrays(np.asarray(pd, float), _checked(pfa, swerling, n_pulses))
    if not np.all((wanted > false) & (wanted < 1.0)):
        raise CopfuseError(f"pd is {wanted[~((wanted > false) & (wanted < 1))].flat[0]:g}, expected a probability between pfa and 1")

    from scipy.optimize import brentq  # a tenth of a second to import, which only this needs

    def excess(log_snr: float, d: float, f: float) -> float:
        return float(detection_probability(math.exp(log_snr), f, swerling, n_pulses)) - d

    pairs = zip(wanted.ravel(), false.ravel(), strict=True)
    found = [math.exp(brentq(excess, -25.0, 40.0, args=(d, f), xtol=1e-13)) for d, f in pairs]
    return np.array(found).reshape(wanted.shape)[()]
