"""How strongly what is tracked echoes, and what that tells: which plot is whose, which miss is none, which two tracks are not one.

Objects that part, a payload, its stage and fragments of their separation, are nearer together than bearings tell apart for half a minute,
but echo each as strongly as it is large.  A radar's signal-to-noise ratio is, by its own equation with range and scan loss, a cross
section.  That of whatever flies fluctuates from look to look, exponentially about a mean (Swerling, RAND RM-1217, 1954, cases 1 and 2);
the mean is not known, and its inverse is taken to be gamma distributed, so that the next strength has a Lomax density, which
few parameters of a track hold: how many echoes were heard, and how strong they were in all.  What passes a threshold T exceeds it
as an exponential does from nought, so that strengths are counted from there on.  Amplitudes as a part of likelihoods, and of the chance of
detection: Lerro & Bar-Shalom, IEEE T-AES 29(2), 1993; of unknown means: Ehrman & Blair, IEEE T-AES 46(2), 2010.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from copfuse.association import Pairs
from copfuse.companions import OFTEN, PARTED
from copfuse.filters import Bank
from copfuse.kernels import echoes as kernel
from copfuse.kernels.echoes import ALONE, HEARD, MOST, OBJECT, PIECE

OTHER = 3.0  # standard deviations of the logarithms of two means from which on they are two objects'
RADAR = 8  # facts of a radar


def facts(sensor: Any) -> tuple[float, ...]:
    """What `kernels.echoes.strengths` asks for of a sensor."""
    if sensor.kind != "radar":
        return (math.nan,) * RADAR
    gain, face = sensor.snr0 * sensor.range0**4 / sensor.rcs0, sensor.azimuth_width / sensor.faces if sensor.faces else 0.0
    beam = float(sensor.cosines), sensor.boresight, sensor.azimuth_width, face, sensor.face_tilt
    return gain, -math.log(sensor.pfa) - 1.0, sensor.scan_loss, *beam


def strengths(z: np.ndarray, snr: np.ndarray, sensor: np.ndarray, radar: np.ndarray) -> np.ndarray:
    """Of plots what was heard above the least that their radars notice, and that least (n, 2), m^2; nan where that is not known."""
    out = np.empty((len(z), 2))
    kernel.strengths(z, snr, sensor, radar, out)
    return out


def weighed(pairs: Pairs, ratio: np.ndarray, known: tuple[np.ndarray, ...], usual: float) -> np.ndarray:
    """The logarithms of likelihood ratios (pairs,) with what strengths add (`kernels.echoes.weighed`); ``known``: how often and how
    strongly in all tracks were heard (n,), and `strengths` of the plots; ``usual``: the logarithm of the odds of a plot elsewhere."""
    count, strength, echo = known
    ratio = ratio.copy()
    kernel.weighed(pairs.start, pairs.plot, count, strength, echo, usual, np.empty(pairs.plots), ratio)
    return ratio


def misses(
    pairs: Pairs, count: np.ndarray, strength: np.ndarray, echo: np.ndarray, ghost: float, seldom: float, share: np.ndarray
) -> np.ndarray:
    """Logarithm of how much likelier a miss is of a track of nothing than of an object that echoes as it does and is looked at with the
    chance ``share (n,)``, (n,)."""
    out = np.empty(len(count))
    kernel.misses(pairs.start, pairs.plot, count, strength, echo, ghost, seldom, share, out)
    return out


def heard(count: np.ndarray, strength: np.ndarray, echo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often and how strongly in all tracks were heard (n,), with one more plot each, ``echo (n, 2)``."""
    known = np.isfinite(echo[:, HEARD])
    kept = np.where(count < ALONE + MOST, 1.0, 1.0 - 1.0 / (ALONE + MOST))
    return np.where(known, kept * count + 1.0, count), np.where(known, kept * strength + echo[:, HEARD], strength)


def begun(place: np.ndarray, echo: np.ndarray, time: float, others: Bank, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Likewise of tracks begun by plots at ``place (n, 3)`` m; ``others``: tracks of ``hits (m,)`` plots, 0 if not firm, of which they may
    be pieces."""
    mean, often = np.full(len(place), OBJECT), np.flatnonzero(hits >= OFTEN)
    if len(often):
        there = others.x6[often, :3] + others.x6[often, 3:] * (time - others.time[often])[:, None]
        mean[(np.linalg.norm(place[:, None] - there, axis=2) < PARTED).any(axis=1)] = PIECE
    return heard(np.full(len(place), ALONE), ALONE * mean, echo)


def unlike(count: np.ndarray, strength: np.ndarray, i: int, j: int) -> bool:
    """Whether two tracks echo so differently that they are not one object's."""
    if min(count[i], count[j]) <= ALONE:
        return False
    apart = math.log(strength[i] / count[i]) - math.log(strength[j] / count[j])
    return bool(abs(apart) > OTHER * math.sqrt(1.0 / count[i] + 1.0 / count[j]))
