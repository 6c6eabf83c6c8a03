"""What many seeds say of a tracker's honesty: a line per quantity, where it is from, and phase, with statistic, bound and verdict."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from consistent import COMPONENTS, KINDS, RECORD, Seed, labels
from distributions import LAGS, LEVEL, Judged, average, beyond, too_small, transform, uniform, white
from scipy.special import chdtri, ndtr

from copfuse.accuracy import SOURCES
from copfuse.constants import PHASES
from copfuse.intervals import Interval

ORDER = (0, 1, 3, 2)  # of phases: boost, midcourse, glide, terminal
WORDS = {
    "NEES": "Errors of a track's position and velocity over the covariance that it claims (NEES, chi-square of 6).  Mean / 6 and sigma "
    "are 1 where it is right; sigma: by how much claimed standard deviations of position and of velocity are too small, by the median.",
    "NIS": "Innovations over what the predicted mixture expects, plot by plot (NIS, chi-square of as many as the plot has components).",
    "innovation": "Each component's normal scores, all phases: mean 0 and sigma 1 are right.",
    "whiteness": f"Correlation of normal scores with those of the same sensor's plots 1 to {LAGS} before, the largest; 0 is right.",
    "ellipse": "The truth's place in error ellipses: the share of ellipses of every nominal level that hold it against that level, the "
    "largest difference; sigma: by how much ellipses are too small, by the median.",
    "point": "Errors of points over the standard deviation along the ellipse's axes: down range (positive: too far) and across (positive: "
    "right); mean 0 and sigma 1 are right.",
}  # fmt: skip


class Line(NamedTuple):
    """One verdict on what was said of something in a phase (of innovations: a component); ``cells`` are further columns by title."""

    what: str
    of: str
    phase: str
    judged: Judged
    u: np.ndarray  # (n,) probability transforms
    flight: np.ndarray  # (n,)
    cells: dict[str, str | float | Interval]


@dataclass(frozen=True, eq=False)
class Samples:
    """All seeds' rows: ``errors`` and ``plots`` as in `consistent`, of how many ``seeds``, and how many plots were ``offered``."""

    errors: np.ndarray
    plots: np.ndarray
    seeds: int
    offered: int

    @staticmethod
    def of(results: Sequence[Seed]) -> Samples:
        errors, plots = (np.concatenate([getattr(r, name) for r in results]) for name in ("errors", "plots"))
        return Samples(errors, plots, len(results), sum(r.offered for r in results))


# Lines ---------------------------------------------------------------------------------------------------------------


def lines(samples: Samples) -> list[Line]:
    """Every verdict, in the order of `WORDS`."""
    return [*_nees(samples.errors), *_nis(samples.plots), *_innovations(samples.plots), *_whiteness(samples.plots),
            *_ellipses(samples.errors), *_points(samples.errors)]  # fmt: skip


def _split(rows: np.ndarray, by: str, names: Sequence[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, phase and rows of every combination that there is."""
    for k in np.unique(rows[by]):
        for phase in ORDER:
            mine = rows[(rows[by] == k) & (rows["phase"] == phase)]
            if len(mine):
                yield names[k], PHASES[phase], mine


def _nees(errors: np.ndarray) -> Iterator[Line]:
    for of, phase, mine in _split(errors, "source", SOURCES):
        cells = _tails(mine["nees"] / 6.0, u := transform(mine["nees"], 6), mine["seed"])
        cells["sigma"] = "{:.2f} {:.2f}".format(*(too_small(mine[name], mine["seed"], 3) for name in ("position", "velocity")))
        yield Line("NEES", of, phase, uniform(u, mine["seed"]), u, mine["seed"], cells)


def _nis(plots: np.ndarray) -> Iterator[Line]:
    for of, phase, mine in _split(plots, "kind", KINDS):
        u = transform(mine["nis"], mine["components"])
        cells = _tails(mine["nis"] / mine["components"], u, mine["seed"])
        yield Line("NIS", of, phase, uniform(u, mine["seed"]), u, mine["seed"], cells)


def _tails(each: np.ndarray, u: np.ndarray, flight: np.ndarray) -> dict[str, str | float | Interval]:
    return {"mean": average(each, flight), "beyond 95 %": beyond(u, flight, 0.95), "beyond 99 %": beyond(u, flight, 0.99)}


def _innovations(plots: np.ndarray) -> Iterator[Line]:
    for k in np.unique(plots["kind"]):
        for c, name in enumerate(COMPONENTS):
            mine = plots[(plots["kind"] == k) & np.isfinite(plots["q"][:, c])]
            if len(mine):
                yield _normal("innovation", KINDS[k], name, mine["q"][:, c], mine["seed"])


def _normal(what: str, of: str, name: str, q: np.ndarray, flight: np.ndarray) -> Line:
    mean = average(q, flight)
    cells: dict[str, str | float | Interval] = {"mean": mean, "sigma": math.sqrt(max(average(q**2, flight).value - mean.value**2, 0.0))}
    return Line(what, of, name, uniform(u := ndtr(q), flight), u, flight, cells)


def _whiteness(plots: np.ndarray) -> Iterator[Line]:
    series = labels(plots)
    order = np.lexsort((plots["time"], series))
    plots, series = plots[order], series[order]
    for k in np.unique(plots["kind"]):
        for phase in ORDER:
            mine = (plots["kind"] == k) & (plots["phase"] == phase)
            if mine.any():
                q = np.concatenate([np.append(plots["q"][mine, c], np.nan) for c in range(4)])
                number = np.concatenate([np.append(series[mine] * 4 + c, -1) for c in range(4)])
                flight = np.tile(np.append(plots["seed"][mine], plots["seed"][mine][-1]), 4)
                judged = white(q, number, flight)
                yield Line("whiteness", KINDS[k], PHASES[phase], judged, q, flight, {"lag 1": float(judged.curve[0])})


def _ellipses(errors: np.ndarray) -> Iterator[Line]:
    for name in ("impact", "launch"):
        for of, phase, mine in _split(errors[np.isfinite(errors[name])], "source", SOURCES):
            u, flight = transform(mine[name], 2), mine["seed"]
            held: dict[str, str | float | Interval] = {
                f"in {level} %": _rest(beyond(u, flight, 0.01 * level)) for level in (50, 95)
            }  # fmt: skip
            cells = {**held, "sigma": too_small(mine[name], flight, 2)}
            yield Line("ellipse", f"{name}, {of}", phase, uniform(u, flight), u, flight, cells)


def _rest(share: Interval) -> Interval:
    return Interval(1.0 - share.value, 1.0 - share.high, 1.0 - share.low)


def _points(errors: np.ndarray) -> Iterator[Line]:
    for name in ("impact", "launch"):
        for way, word in (("along", "down range"), ("across", "across")):
            column = f"{name}_{way}"
            for of, phase, mine in _split(errors[np.isfinite(errors[column])], "source", SOURCES):
                yield _normal("point", f"{name} {word}, {of}", phase, mine[column], mine["seed"])


# Text ----------------------------------------------------------------------------------------------------------------


def text(title: str, samples: Samples, made: Sequence[Line]) -> str:
    """The tables, what is asked of each, and how many NOs there are."""
    many = "seeds of one and the same flight: how it burns and steers is no chance here, so what waits for it cannot be calibrated"
    many = "launches of the record, a seed each" if title.startswith(RECORD) else many
    about = (
        f"{title}: {samples.seeds} {many}.  Ballistic coefficients, noise and detections are drawn.  A flight's samples hang together, so "
        "whole flights are resampled: the bound is what chance leaves of the largest distance between the mean of the flights' "
        f"distribution functions and the true one in {100 * LEVEL:.0f} of 100 such studies; intervals in [ ] are {100 * LEVEL:.0f} % "
        "intervals.  NO: chance alone does not explain the distance; how large the fault is, the columns after it say.  Few flights have "
        "wide bounds: yes is no proof."
    )
    out = textwrap.wrap(about, 130)
    taken = len(samples.plots) / max(samples.offered, 1)
    for what, words in WORDS.items():
        mine = [line for line in made if line.what == what]
        if mine:
            out += ["", *textwrap.wrap(words, 130), *_table(mine)]
    judged = [line for line in made if line.judged.verdict != "-"]
    wrong = sum(line.judged.verdict == "NO" for line in judged)
    end = (
        f"{wrong} of {len(judged)} lines say NO; of right ones {(1.0 - LEVEL) * len(judged):.1f} would be expected to.  Of the missiles' "
        f"plots since their first firm track, firm tracks took {100.0 * taken:.1f} %: no others are in what is said of innovations."
    )
    out += ["", *textwrap.wrap(end, 130)]
    return "\n".join(out)


def _table(mine: Sequence[Line]) -> list[str]:
    width = max(len(line.of) for line in mine) + 2
    names = list(mine[0].cells)
    head = "".join(f"{name:>24}" for name in names)
    rows = [f"{'':<{width}}{'':<16}{'distance':>9}{'bound':>8}  verdict{head}{'flights':>9}{'samples':>9}"]
    for line in mine:
        j, cells = line.judged, "".join(f"{_cell(value, '%' in name):>24}" for name, value in line.cells.items())
        told = f"{_three(j.statistic):>9}{_three(j.bound):>8}  {j.verdict:<7}{cells}{j.flights:>9}{j.samples:>9}"
        rows.append(f"{line.of:<{width}}{line.phase:<16}{told}")
    return rows


def _cell(value: str | float | Interval, percent: bool) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, Interval):
        return f"{value:.2f}"
    scale, digits = (100.0, 1) if percent else (1.0, 2)
    if math.isnan(value.low):
        return f"{scale * value.value:.{digits}f} [-]"
    return f"{scale * value.value:.{digits}f} [{scale * value.low:.{digits}f}, {scale * value.high:.{digits}f}]"


def _three(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def chi_square(u, dimension: int) -> np.ndarray:
    """Probability transforms as chi-square of one dimension, so that plots of 3 and of 4 components stand in one histogram."""
    return chdtri(dimension, np.maximum(1.0 - np.asarray(u), 1e-15))
