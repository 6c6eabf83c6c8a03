"""What `kernels.steady` is lent: few arrays, as each costs time to compile, and the names of their columns.

Row r of `Rows` is a track: those that nodes hold, ``room`` for each, then those near a scan's plots as they are, as they are predicted
(those that take plots first) and as plots have left them, and last those that plots to come begin if nobody claims them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from copfuse.constants import NODES

N_NODE = len(NODES)
NUMBER, HITS, FIRM, BURNT, SENSORS, SCAN, AT, DETECTION = range(8)  # columns of `Rows.facts`: the last three of updates only
# columns of `Rows.figures`: the last is `phases.relight` as of its time
LLR, REVISIT, SEEN, DOUBT, LIT, ABOVE, SLOW, ECHOES, STRENGTH, MISFIT, RELIGHT = range(11)
COUNT, TAKEN, REFUSED, CONTESTED, NEW, DROPPED, NEXT = range(7)  # rows of `Rows.counts`: tracks of each node, −1 if they are not here; of
# its plots and tracks so many since they came here, as `coasting.COUNTS` has them; and the number of the next track
DETECTED, AHEAD = range(2)  # columns of `Scans.row`: what a plot is called, and the row of `Rows` that it begins, −1 if that is not made
FIRST, LAST, NODE, BIT, COSINES, PLUME = range(6)  # columns of `Scans.facts`: plots, node, bit in `Tracks.sensors`, kind of sensor
TIME, LOG_DENSITY, AGAIN, FRAME, SHARE = range(5)  # columns of `Scans.figures`: s, of false and new plots, s between scans, and
# `scanning.searches`
BLUR, LIMIT = 3, 4  # columns of `Scans.spot` after a place's three (`pairing.spots`): its sigma, and the gate's squared distance
NEAR, START, PLOT, OUT, HELD = range(5)  # rows of `Work.numbers`: tracks within reach, their pairs' begins, plots; engines out; plots taken
# rows of `Work.figures`; PAUSE and the one before are `phases.further` after and `phases.relight` before; NEAREST is of each plot its least
# squared distance from a track, or `CLAIMED`; GAIN is LOGLIK with what strengths add to it; the last is of `echoes.seek`
D2, LOGLIK, ODDS, DT, LIGHTS, PAUSE, NEAREST, GAIN, SHARED = range(9)
CLAIMED = -1.0
RATE, CHANCE = range(2)  # of `Waits.after`
STUCK, MET, AFRESH, WANTED = range(4)  # why a call ends: the next scan is the plain form's, two tracks may be one, another call may go on,
# or may once the next scan's plots have rows that they begin


class Rows(NamedTuple):
    """Tracks: the arrays of a `filters.Bank`, and what else `coasting.Live` and Tracks have of them."""

    time: Any
    x: Any
    P: Any
    mu: Any
    x6: Any
    P6: Any
    facts: Any
    figures: Any
    counts: Any


class Scans(NamedTuple):
    """Scans, and their plots: ``seen (2, n, 4)`` are z and sigma, ``spot (n, 5)`` and ``row (n, 2)`` as named above, ``echo (n, 2)``
    `echoes.strengths`."""

    facts: Any
    figures: Any
    origin: Any
    axes: Any
    seen: Any
    spot: Any
    row: Any
    echo: Any


class Work(NamedTuple):
    """Scratch: pairs, boxes about tracks ``(2, room, 3)``, plots of those that have one ``(2, plots, 4)``, what is seen of the models of
    tracks ``(room, N_MODEL, sights.ROWS, 9)``.  What is made: ``facts (most, 8)`` as of `Rows`, and rows of `updates.ROW` as ``words``;
    what is said of tracks made ahead is behind them.
    """

    numbers: Any
    figures: Any
    boxes: Any
    plots: Any
    seen: Any
    facts: Any
    words: Any


class Waits(NamedTuple):
    """What may still light (`phases`): by k times at which engines were last seen to burn, with the chance of a stage above them,
    ``lit (k, 2)``, and of n scans from the first in a call on, ``after (2, k, n)`` is the rate and the chance of it.  Of earlier times
    that are not there nothing follows.
    """

    lit: Any
    after: Any


class Rule(NamedTuple):
    """The tracker's figures: of `coasting`, `pairing`, `tracking` and `filters`, by their names there; priors with variances; of `phases`
    the ceiling of boosts."""

    hold: float
    hold_scans: float
    hold_tentative: float
    airless: float
    coast_step: float
    falls: float
    unlikely: float
    sigmas: float
    slack: float
    fiercest: float
    fastest: float
    beyond: float
    odds: float
    apart: float
    low: float
    grounded: float
    forgotten: float
    burnt_hits: int
    burnt_out: float
    relight: float
    firm_hits: int
    firm_llr: float
    firm_variance: float
    hit: float
    ghost: float
    seldom: float
    doubted: float
    beside: float
    often: int
    near_miss: float
    log_beta: tuple[float, float]
    piece: float
    lift: tuple[float, float]
    thrust: tuple[float, float]
    flow: tuple[float, float]
    burning: Any
    noise: Any
    ceiling: float


class At(NamedTuple):
    """Where the filter's kernels stand."""

    predict: Any
    expect: Any
    update: Any
    boxes: Any
    assign: Any
