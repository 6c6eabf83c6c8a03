"""Whether an entrant peeks: does what it says of a time stand on plots that had come by then, and on nothing else?

    print(fairness.peeks(my_tracker, frozen.load("srbm"), 120.0))      # None, or when it says otherwise and what

A tracker sees all of a case at once, so nothing but its own care keeps it from looking ahead; its figures would be better for it, and no
figure would tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from copfuse import frozen
from copfuse.errors import CopfuseError
from copfuse.tables import Detections, Picture

TOLERANCE = 1e-6  # of a standard deviation: sums of other lengths may round otherwise
ASTRAY = 5.0  # standard deviations by which plots that are on their way are moved
SAID = ("phase_probability", "time_to_impact", "time_to_impact_sigma", "impact_point", "impact_point_P")


class Peek(NamedTuple):
    """The first picture time s at which an entrant says otherwise where it has not the future, and what."""

    time: float
    what: str

    def __str__(self) -> str:
        return f"at {self.time:g} s {self.what}"


def peeks(
    entrant: Callable[[Detections, Any], Picture], case: frozen.Case, at: float | None = None, on_the_way: bool = True
) -> Peek | None:
    """Where the entrant's picture of the times until ``at`` s (None: when half of the plots have come) hangs on later plots; None: nowhere.

    It gets the case twice: whole, and with nothing that was measured after ``at``, while what was measured before but comes after is
    moved `ASTRAY` standard deviations off.  Until then both pictures must be the same to `TOLERANCE`, but for what tracks are called: one
    number each, whatever it is.  ``on_the_way`` False leaves the plots that are on their way as they are: for an entrant that fuses
    tracks of nations, each of which has its own plots at once, and whose tracks are not late because a plot would be.
    Raises `CopfuseError` where two runs on the same plots differ, as then nothing can be said.
    """
    detections, scenario = frozen.blind(case)
    arrived = frozen.arrivals(detections, scenario)
    at = float(np.nanmedian(arrived)) if at is None else float(at)
    before = without_future(detections, scenario, at, on_the_way)
    whole, cut = entrant(detections, scenario), entrant(before, scenario)
    found = first_difference(whole, cut, at)
    if found is not None and first_difference(whole, entrant(detections, scenario), np.inf) is not None:
        raise CopfuseError("two runs of the entrant on the same plots differ, so nothing can be said of its peeking; give it a fixed seed")
    return found


def without_future(detections: Detections, scenario: Any, at: float, on_the_way: bool = True) -> Detections:
    """The plots measured until ``at`` s, those that are on their way to the hub then moved astray.  They come as they came before.

    Raises `CopfuseError` where plots come otherwise because there are none after them.
    """
    kept = detections[: int(np.searchsorted(detections.time, at, side="right"))]
    arrived = frozen.arrivals(detections, scenario)
    if not np.array_equal(frozen.arrivals(kept, scenario), arrived[: len(kept)], equal_nan=True):
        raise CopfuseError(
            f"under regime {scenario.regime!r} plots come otherwise where there are none after {at:g} s, so they cannot be cut"
        )
    away = ~(arrived[: len(kept)] <= at) & on_the_way
    z = kept.z.copy()
    z[away] += ASTRAY * kept.sigma[away] * np.where(np.arange(4) % 2, -1.0, 1.0)
    z[:, 0] = np.abs(z[:, 0])
    angles = np.array([not one.cosines for one in scenario.sensors])[kept.sensor] if len(kept) else np.zeros(0, bool)
    turned = away & angles
    z[turned, 1] = np.mod(z[turned, 1], 2.0 * np.pi)
    return replace(kept, z=z)


def first_difference(one: Picture, other: Picture, until: float) -> Peek | None:
    """The first time until ``until`` s at which two pictures of the same hub differ, apart from the numbers of tracks, and how."""
    one, other = (_sorted(p[p.time <= until + 1e-6]) for p in (one, other))
    called: tuple[dict[int, int], dict[int, int]] = {}, {}
    for now in np.union1d(one.time, other.time):
        a, b = one[one.time == now], other[other.time == now]
        if len(a) != len(b):
            return Peek(float(now), f"it has {len(a)} tracks with the future and {len(b)} without")
        worst = _apart(a, b)
        if worst:
            return Peek(float(now), worst)
        for x, y in zip(a.track.tolist(), b.track.tolist(), strict=True):
            if called[0].setdefault(x, y) != y or called[1].setdefault(y, x) != x:
                return Peek(float(now), f"track {x} goes on otherwise: without the future it is another")
    return None


def _sorted(picture: Picture) -> Picture:
    """By time, node and place: numbers of tracks may differ."""
    return picture[np.lexsort((*np.round(picture.x[:, :3], 0).T, picture.node, picture.time))]


def _apart(a: Picture, b: Picture) -> str:
    """What rows differ in by more than rounding, or nothing."""
    scale = np.sqrt(np.maximum(np.einsum("naa->na", a.P), 1e-300))
    off = np.abs(a.x - b.x) / scale
    if not np.array_equal(a.node, b.node) or not (off <= TOLERANCE).all():
        row = int(np.argmax(np.nan_to_num(off, nan=np.inf).max(axis=1)))
        return f"track {a.track[row]} differs by {np.nanmax(off[row]):.2g} standard deviations without the future"
    if not (np.abs(a.P - b.P) <= TOLERANCE * scale[:, :, None] * scale[:, None, :]).all():
        return "a covariance differs without the future"
    for name in SAID:
        x, y = getattr(a, name), getattr(b, name)
        if not np.allclose(x, y, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            return f"its {name} differs without the future"
    return ""
