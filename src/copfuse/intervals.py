"""Paired differences between regimes with 95 % bootstrap intervals, and the summary that a study prints.

Two regimes are compared flight by flight, on the same random numbers.  Flights of one launch under several seeds are not independent, so
launches are resampled, with all their flights (the cluster bootstrap: Davison and Hinkley, Bootstrap Methods, 1997, sec. 3.8).  The
percentile interval is widened for few launches as Student's distribution is (the expanded percentile interval of Hesterberg, The
American Statistician 69(4), 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit

from copfuse.errors import CopfuseError, suggestion
from copfuse.kernels.medians import weighted_medians

RESAMPLES, SEED, LEVEL = 2000, 20231219, 0.95
LEAST = 6  # launches below which there is no interval: the range of five medians holds the true one less often than 95 %

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval (nan where fewer than `LEAST` launches would carry it)."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> int:
        """1 or -1 where the whole interval is above or below 0, else 0."""
        return int(self.low > 0.0) - int(self.high < 0.0)


@dataclass(frozen=True)
class Difference:
    """A measure under one regime against another, over the flights of one node and class (class "all": of every class)."""

    measure: str
    regime: str
    baseline: str
    node: str
    missile_class: str
    launches: int  # of those flights
    flights: int  # that were flown under both
    both_launches: int  # of the next
    both: int  # flights that have the measure under both
    gain: (
        Interval  # median (times) or mean (shares) over ``both`` of regime less baseline; of times, baseline less regime: how much earlier
    )
    only: Interval  # share of flights that have the measure under the regime only, less the share that have it under the baseline only


# Bootstrap -----------------------------------------------------------------------------------------------------------


def widened(level: float, clusters: int) -> float:
    """The level at which a percentile interval of so many clusters is taken, so that it is as wide as Student's."""
    t = float(stdtrit(clusters - 1, 0.5 + 0.5 * level))
    return 2.0 * float(ndtr(math.sqrt(clusters / (clusters - 1.0)) * t)) - 1.0


def bootstrap(values: Any, clusters: Any, statistic: str = "mean", level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED,
              widen: bool = True) -> Interval:  # fmt: skip
    """The "mean" or "median" of ``values (n,)`` with its interval, resampling whole ``clusters`` (n,), any labels.

    nan without values; an interval of nan for fewer than `LEAST` clusters.  ``widen`` False: the plain percentile interval.
    """
    if statistic not in ("mean", "median"):
        raise CopfuseError(f"bootstrap: there is no statistic {statistic!r}; {suggestion(statistic, ('mean', 'median'))}")
    values = np.asarray(values, float)
    if len(values) == 0:
        return Interval(math.nan, math.nan, math.nan)
    value = float(np.mean(values) if statistic == "mean" else np.median(values))
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    n = int(cluster.max()) + 1
    if n < LEAST:
        return Interval(value, math.nan, math.nan)
    if (values == values[0]).all():
        return Interval(value, value, value)
    counts = _resamplings(n, resamples, seed)
    drawn = resampled_means(values, cluster, counts) if statistic == "mean" else resampled_medians(values, cluster, counts)
    tail = 0.5 - 0.5 * (widened(level, n) if widen else level)
    low, high = np.quantile(drawn, (tail, 1.0 - tail))
    return Interval(value, float(low), float(high))


@lru_cache(maxsize=64)
def _resamplings(n: int, resamples: int, seed: int) -> np.ndarray:
    """How often each of n clusters is drawn (resamples, n)."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, n])))
    counts = rng.multinomial(n, np.full(n, 1.0 / n), size=resamples)
    counts.flags.writeable = False
    return counts


def resampled_means(values: np.ndarray, cluster: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean (r,) of values (n,) whose cluster k counts ``counts[:, k]`` times, ``counts (r, k)``."""
    k = counts.shape[1]
    return counts @ np.bincount(cluster, values, k) / (counts @ np.bincount(cluster, minlength=k))


def resampled_medians(values: np.ndarray, cluster: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The median (r,) likewise: of an even number of values the mean of the middle two."""
    order = np.argsort(values, kind="stable")
    out = np.empty(len(counts))
    weighted_medians(values[order], cluster[order], np.ascontiguousarray(counts), out)
    return out


# Pairs ---------------------------------------------------------------------------------------------------------------

# What is compared: the column, what it is called, unit, factor, statistic, whether less is better (earlier, smaller)
MEASURES: dict[str, tuple[str, str, float, str, bool]] = {
    "told_s": ("told earlier", "s", 1.0, "median", True),
    "firm_s": ("firm track earlier", "s", 1.0, "median", True),
    "ellipse50_s": ("50 km ellipse earlier", "s", 1.0, "median", True),
    "ellipse10_s": ("10 km ellipse earlier", "s", 1.0, "median", True),
    "custody": ("custody more", "%", 100.0, "mean", False),
    "boost_custody": ("boost custody more", "%", 100.0, "mean", False),
    "midcourse_custody": ("midcourse custody more", "%", 100.0, "mean", False),
    "terminal_custody": ("terminal custody more", "%", 100.0, "mean", False),
    "boost_rms_m": ("boost error smaller", "m", 1.0, "median", True),
    "midcourse_rms_m": ("midcourse error smaller", "m", 1.0, "median", True),
    "terminal_rms_m": ("terminal error smaller", "m", 1.0, "median", True),
}


def paired(columns: Columns, measure: str, regime: str, baseline: str, rows: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """The launch (n,), and the measure under both regimes (n,) each, of every launch, object, seed and node that has rows of both."""
    ours, theirs = _pairs(columns, regime, baseline, rows)
    return columns["launch"][ours], columns[measure][ours], columns[measure][theirs]


def _pairs(columns: Columns, regime: str, baseline: str, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (n,) under either regime, sorted by launch, object, seed and node."""
    sides = []
    for name in (regime, baseline):
        under = columns["regime"] == name
        if not under.any():
            raise CopfuseError(f"the study has no regime {name!r}; {suggestion(name, np.unique(columns['regime']).tolist())}")
        mine = np.flatnonzero(under if rows is None else under & rows)
        keys = zip(*(columns[k][mine].tolist() for k in ("launch", "object", "seed", "node")), strict=True)
        sides.append(dict(zip(keys, mine.tolist(), strict=True)))
    common = sorted(sides[0].keys() & sides[1].keys())
    ours, theirs = (np.array([side[key] for key in common], int) for side in sides)
    return ours, theirs


Compare = Callable[..., Difference]


def comparing(columns: Columns, resamples: int = RESAMPLES) -> Compare:
    """`difference` of one study, by measure, regime, baseline, node and class: each is found once, however often it is asked for."""
    numbered = {**columns, "launch": np.unique(columns["launch"], return_inverse=True)[1]} if "launch" in columns else columns

    @cache
    def pairs(regime: str, baseline: str, node: str, missile_class: str) -> tuple[np.ndarray, np.ndarray]:
        rows = columns["node"] == node
        if missile_class != "all":
            rows = rows & (columns["missile_class"] == missile_class)
        return _pairs(numbered, regime, baseline, rows)

    @cache
    def found(measure: str, regime: str, baseline: str, node: str, missile_class: str) -> Difference:
        if measure not in MEASURES:
            raise CopfuseError(f"there is no measure {measure!r}; {suggestion(measure, MEASURES)}")
        _, _, factor, statistic, less = MEASURES[measure]
        ours, theirs = pairs(regime, baseline, node, missile_class)
        launch, with_it, without = numbered["launch"][ours], columns[measure][ours], columns[measure][theirs]
        have, had = np.isfinite(with_it), np.isfinite(without)
        both = have & had
        gain = factor * (without - with_it if less else with_it - without)[both]
        return Difference(
            measure, regime, baseline, node, missile_class,
            len(set(launch.tolist())), len(launch), len(set(launch[both].tolist())), int(both.sum()),
            bootstrap(gain, launch[both], statistic, resamples=resamples),
            bootstrap(100.0 * (have.astype(float) - had), launch, "mean", resamples=resamples),
        )  # fmt: skip

    return lambda measure, regime, baseline="none", node="JPN", missile_class="all": found(measure, regime, baseline, node, missile_class)


def difference(
    columns: Columns, measure: str, regime: str, baseline: str = "none", node: str = "JPN", missile_class: str = "all",
    resamples: int = RESAMPLES,
) -> Difference:  # fmt: skip
    """One paired difference with its intervals.

    A flight that has the measure under one regime only ("never" under the other) says nothing of how much, so it is counted beside:
    ``gain`` is over the flights that have it under both.
    """
    return comparing(columns, resamples)(measure, regime, baseline, node, missile_class)


# The print -----------------------------------------------------------------------------------------------------------

SHOWN = ("told_s", "firm_s", "ellipse50_s", "ellipse10_s", "custody", "midcourse_rms_m", "terminal_rms_m")
NATIONS = ("KOR", "JPN", "USA")


def summary(columns: Columns, meta: dict[str, Any], compare: Compare | None = None) -> str:
    """What `print(study)` says: gains over national pictures, real time against plots, Japan's and Korea's by class; notional.

    ``compare``: `comparing` of these columns, where differences may have been found before.
    """
    compare = compare or comparing(columns)
    regimes = [name for name in meta["regimes"] if name in set(columns["regime"].tolist())]
    lines = _heads(columns, meta)
    baseline = "none" if "none" in regimes else None
    if baseline and len(regimes) > 1:
        others = [r for r in regimes if r != baseline]
        lines += ["", f"Against {baseline}, all classes: median (times, errors) or mean (custody), with 95 % intervals"]
        lines += _table(compare, [(m, n, "all") for m in SHOWN for n in NATIONS], others, baseline)
        lines += ["", f"Flights that have it only so, less those that have it only under {baseline}, in % (mean)"]
        lines += _table(compare, [(m, n, "all") for m in SHOWN[:4] for n in NATIONS], others, baseline, only=True)
        classes = sorted(set(columns["missile_class"].tolist()))
        lines += ["", f"Firm track earlier than under {baseline}, s, by class"]
        lines += _table(compare, [("firm_s", n, c) for c in classes for n in NATIONS], others, baseline, by_class=True)
    if {"realtime", "plots"} <= set(regimes):
        lines += ["", "realtime against plots (negative: later, less, larger)"]
        lines += _table(compare, [(m, n, "all") for m in SHOWN for n in (*NATIONS, "HUB")], ["realtime"], "plots")
    return "\n".join([*lines, "", *_words(compare, regimes)])


def plural(n: int, one: str, more: str = "") -> str:
    """ "1 launch", "3 launches"; without ``more`` an s is added."""
    return f"{n} {one if n == 1 else more or one + 's'}"


def _heads(columns: Columns, meta: dict[str, Any]) -> list[str]:
    seeds = meta["seeds"]
    flown = plural(len(set(columns["launch"].tolist())), "launch", "launches")
    told = f"{flown} x {plural(len(seeds), 'seed')}, regimes {', '.join(meta['regimes'])}"
    apart = meta.get("not_flown", {})
    changed = [f"without {', '.join(meta['without'])}"] if meta.get("without") else []
    changed += [f"ships on station {100 * meta['ships']:g} % of days"] if meta.get("ships") is not None else []
    changed += ["radars not cued"] if meta.get("cues") is False else []
    changed += ["no false plots"] if meta.get("clutter") == 0.0 else []
    lines = [
        f"Earlier detection: {told}",
        f"laydown {meta['laydown']}{''.join(', ' + c for c in changed)}; {len(columns['launch'])} rows; copfuse {meta['copfuse']}",
        meta["note"],
    ]
    if apart:
        some = plural(len(apart), "launch is", "launches are")
        lines.append(f"{some} not flown, for want of range, apogee or azimuth or of a flight that fits: see not_flown.")
    return lines + ([f"Made by: {meta['command']}"] if meta.get("command") else [])


def _table(
    compare: Compare,
    lines: Sequence[tuple[str, str, str]],
    regimes: Sequence[str],
    baseline: str,
    only: bool = False,
    by_class: bool = False,
) -> list[str]:
    """One line per measure, node and class, one cell per regime: value [low, high]."""
    wide = 24
    out = [f"{'class' if by_class else 'measure':<27}{'node':<5}{'launches':>8}{'flights':>8}" + "".join(f"{r:>{wide}}" for r in regimes)]
    for measure, node, kind in lines:
        found = [compare(measure, regime, baseline, node, kind) for regime in regimes]
        if not any(d.flights for d in found):
            continue
        name, unit = MEASURES[measure][:2]
        label = kind if by_class else name.removesuffix(" earlier") if only else f"{name}, {unit}"
        count, of = max((d.flights, d.launches) if only else (d.both, d.both_launches) for d in found)
        cells = "".join(f"{_cell(d.only if only else d.gain):>{wide}}" for d in found)
        out.append(f"{label:<27}{node:<5}{of:>8}{count:>8}{cells}")
    return out


def _cell(found: Interval) -> str:
    """ "12.3 [4.5, 20.1]"; "-" where there is nothing, "[few]" in its place where too few launches carry an interval."""
    if math.isnan(found.value):
        return "-"
    digits = 0 if max(abs(v) for v in (found.value, found.low, found.high) if not math.isnan(v)) >= 1000 else 1
    value, low, high = (f"{round(v, digits) + 0.0:.{digits}f}" for v in (found.value, found.low, found.high))  # + 0.0: no "-0.0"
    return f"{value} [few]" if math.isnan(found.low) else f"{value} [{low}, {high}]"


_VERDICTS = (
    (1, "median firm track earlier for"), (-1, "median firm track later for"), (0, "no difference of the median shown for"),
    (None, "too few launches to say for"),
)  # fmt: skip


def _words(compare: Compare, regimes: Sequence[str]) -> list[str]:
    """What the intervals carry, in sentences; and what the columns mean."""
    said = []
    for regime in [r for r in regimes if r != "none"] if "none" in regimes else []:
        sure: dict[int | None, list[str]] = {1: [], -1: [], 0: [], None: []}
        for node in NATIONS:
            found = compare("firm_s", regime, "none", node)
            if found.both:
                sure[None if math.isnan(found.gain.low) else found.gain.sure].append(node)
        parts = [f"{word} {', '.join(sure[k])}" for k, word in _VERDICTS if sure[k]]
        said.append(f"{regime}: {'; '.join(parts)}." if parts else f"{regime}: no flight has a firm track under both.")
    if {"tisa", "gsomia"} & set(regimes):
        said.append("By their rules TISA and GSOMIA move messages minutes to hours after the event, and no tracks.")
    said.append("Launches and flights: those that have the measure under both (the most of any regime).")
    said.append(f"[few]: fewer than {LEAST} launches, so no interval.")
    return said
