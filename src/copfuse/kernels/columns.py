"""What `kernels.steady` is lent: tuples of arrays, by the names that their columns have elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple


class Bank(NamedTuple):
    """The arrays of a `filters.Bank` of n tracks, or of n tracks of every node."""

    time: Any
    x: Any
    P: Any
    mu: Any
    x6: Any
    P6: Any


class Held(NamedTuple):
    """The columns of `coasting.Live` of every node: row ``[node, i]`` is a track, ``count (nodes,)`` of them.

    ``taken (nodes,)`` plots and ``dropped (nodes,)`` tracks: so many since they came here.
    """

    bank: Bank
    number: Any
    hits: Any
    llr: Any
    firm: Any
    burnt: Any
    sensors: Any
    revisit: Any
    seen: Any
    count: Any
    taken: Any
    dropped: Any


class Plots(NamedTuple):
    """Plots of k scans, scan i's from ``first[i]`` to ``last[i]``: ``limit`` is the gate's, ``place`` and ``blur`` are `pairing.spots`."""

    z: Any
    sigma: Any
    row: Any
    limit: Any
    place: Any
    blur: Any
    first: Any
    last: Any
    time: Any
    node: Any
    bit: Any  # of the sensor in `Tracks.sensors`
    origin: Any
    axes: Any
    log_density: Any
    revisit: Any
    cosines: Any
    plume: Any


class Made(NamedTuple):
    """New rows of Tracks: of which scan and track (``at``: its row in `Held` then), what it is then, its bank before its plot and after."""

    scan: Any
    at: Any
    track: Any
    detection: Any
    hits: Any
    llr: Any
    burnt: Any
    sensors: Any
    prior: Bank
    bank: Bank


class Work(NamedTuple):
    """Scratch for the tracks near a scan's plots, ``now`` as they are and ``then`` predicted, and for its pairs."""

    now: Bank
    then: Bank
    near: Any
    start: Any
    plot: Any
    d2: Any
    loglik: Any
    middle: Any
    half: Any
    out: Any  # whether a track's engine is out
    z: Any
    sigma: Any


class Rule(NamedTuple):
    """The tracker's figures: of `coasting`, `pairing`, `tracking` and `filters`, by their names there; priors with variances."""

    hold: float
    hold_scans: float
    hold_tentative: float
    coast_step: float
    falls: float
    unlikely: float
    sigmas: float
    slack: float
    fiercest: float
    beyond: float
    odds: float
    apart: float
    low: float
    grounded: float
    forgotten: float
    burnt_hits: int
    burnt_out: float
    relight: float
    burning: Any
    noise: Any
    log_beta: tuple[float, float]
    lift: tuple[float, float]
    thrust: tuple[float, float]
    flow: tuple[float, float]
