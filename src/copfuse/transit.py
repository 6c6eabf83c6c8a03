"""How long messages take, which are lost and which come twice: the draws of a link, each from a stream of its own.

A stream is named by the link's ends and payload and by what is drawn, and by nothing else, so that regimes are compared on common
random numbers; a message's draws do not depend on how many follow it, so that the future cannot change the past.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

import numpy as np

from copfuse.links import Link, Quantiles

Z95 = 1.6448536269514722  # standard normal, 95 %


def stream(name: str, seed: int) -> np.random.Generator:
    """The random stream of that name."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, crc32(name.encode())])))


def link_stream(link: Link, seed: int, what: str) -> np.random.Generator:
    """The random stream of one property of one link."""
    return stream(f"{link.source}>{link.target}:{link.payload}:{what}", seed)


class Draws:
    """The first draws of a stream, as many as have been asked for: asked again and again, as cues do, they are drawn once."""

    def __init__(self, rng: np.random.Generator, normal: bool) -> None:
        self.more = rng.standard_normal if normal else rng.random
        self.drawn = np.zeros(0)

    def first(self, n: int) -> np.ndarray:
        """The first n draws (n,), not to be changed: standard normal, or uniform from 0 to 1."""
        if n > len(self.drawn):
            self.drawn = np.append(self.drawn, self.more(max(n - len(self.drawn), len(self.drawn))))
            self.drawn.flags.writeable = False
        return self.drawn[:n]


@lru_cache(maxsize=64)
def _draws(link: Link, seed: int, what: str, normal: bool) -> Draws:
    return Draws(link_stream(link, seed, what), normal)


def arrivals(link: Link, handed: np.ndarray, seed: int, of: str = "") -> np.ndarray:
    """When messages (n,) arrive that are handed to a link at times s (n,), nan: never: nan where they are lost.

    Messages ``of`` another sort draw theirs apart, so that the link's others keep their own; the link's delay and outages are for all.

    The link's own delay, one draw a run, is as `delays` says (cut at three sigma); a message's is log-normal about it with the link's
    jitter.
    """
    n = len(handed)
    delay = own_delay(link, seed) * np.exp(link.jitter * _draws(link, seed, of + "spread", True).first(n))
    lost = _outages(link, handed, seed)
    if link.loss > 0.0:
        lost |= _draws(link, seed, of + "loss", False).first(n) < link.loss
    for begin, end in link.outages:
        lost |= (handed >= begin) & (handed < end)
    return np.where(lost, np.nan, handed + delay)


def copies(link: Link, arrived: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which messages (k,) of those of `arrivals` come a second time, and when (k,): later, by a delay of their own about the link's."""
    n = len(arrived)
    if link.duplicate == 0.0:
        return np.zeros(0, int), np.zeros(0)
    twice = np.flatnonzero((_draws(link, seed, "duplicate", False).first(n) < link.duplicate) & np.isfinite(arrived))
    delay = own_delay(link, seed) * np.exp(link.jitter * _draws(link, seed, "copy", True).first(n))
    return twice, (arrived + delay)[twice]


def delays(quantiles: Quantiles, z: np.ndarray) -> np.ndarray:
    """Delays s (n,) by standard normal draws (n,): two half log-normals that meet in the median and go through 5 % and 95 %."""
    median, low, high = quantiles
    if median == 0.0:
        return np.zeros(len(z))
    return median * np.where(z < 0.0, median / low, high / median) ** (z / Z95)


@lru_cache(maxsize=64)
def own_delay(link: Link, seed: int) -> float:
    """The link's own delay s of a run: one draw."""
    return float(delays(link.delay, np.clip(link_stream(link, seed, "delay").standard_normal(1), -3.0, 3.0))[0])


def _outages(link: Link, handed: np.ndarray, seed: int) -> np.ndarray:
    """True for messages handed over while the link is down: exponential times up and down with the stated availability."""
    down = np.zeros(len(handed), bool)
    last = float(np.fmax.reduce(handed, initial=-np.inf))
    if link.availability >= 1.0 or last == -np.inf:
        return down
    for begin, over in _downs(link, seed).until(last):
        down |= (handed >= begin) & (handed < over)
    return down


class Downs:
    """When a link is down, as far as has been asked for: asked again and again, as cues do, it is drawn once."""

    def __init__(self, link: Link, seed: int) -> None:
        self.link, self.rng = link, link_stream(link, seed, "outage")
        self.drawn: list[tuple[float, float]] = []
        self.t, self.up = 0.0, self.rng.random() < link.availability

    def until(self, end: float) -> list[tuple[float, float]]:
        """All times begin, over s that begin by ``end`` s, and maybe later ones."""
        up_mean = self.link.outage * self.link.availability / (1.0 - self.link.availability)
        while self.t <= end:
            length = self.rng.exponential(up_mean if self.up else self.link.outage)
            if not self.up:
                self.drawn.append((self.t, self.t + length))
            self.t, self.up = self.t + length, not self.up
        return self.drawn


@lru_cache(maxsize=64)
def _downs(link: Link, seed: int) -> Downs:
    return Downs(link, seed)
