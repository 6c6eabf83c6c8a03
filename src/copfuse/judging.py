"""The figures of one entrant's picture against one frozen case: what the benchmark's table is made of.

The picture of the hub is judged at the case's picture times from 0 to the last impact; at a time at which it has no rows it is empty,
and what flies is missed.  Rows are matched to objects by `metrics.match`, as everywhere in this package.  GOSPA (alpha 2, order 2,
cut-off 10 km) is given as its root mean square over the times, so that its square is the sum of the squares of its three parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import chdtri

from copfuse import frames, metrics
from copfuse.constants import NODES, PHASES
from copfuse.entering import usable
from copfuse.errors import CopfuseError
from copfuse.frozen import Case, times
from copfuse.measures import error_ellipse, gospa_of, nees, ratio, siap, within_ellipse
from copfuse.tables import Picture

ELLIPSE = 50e3  # m, 95 % semi-major axis of the impact forecast whose first time counts
GROUND = 2e3  # m above the ellipsoid below which an object's last state is an impact: else its truth ends in the air or in orbit
CHI2_95_6 = float(chdtri(6, 0.05))  # of six components, 95 % of right estimates are below
HUB = NODES.index("HUB")
FIGURES = (
    "gospa", "localisation", "missed", "false", "completeness", "ambiguity", "spuriousness", "longest_segment",
    "anees", "state_coverage", "position_rmse", *(f"{phase}_over_bound" for phase in PHASES), "ellipse_coverage", "firm_s", "ellipse50_s",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Judged:
    """``figures`` by name as `judge` says, a row per missile as `per_missile` says, and what a figure draws over time.

    ``curve``: time s, gospa m, and nees per component of what is matched then (nan for nothing), one each per picture time.
    """

    figures: dict[str, float]
    missiles: list[dict[str, Any]]
    curve: dict[str, np.ndarray]


def judge(picture: Picture, case: Case) -> dict[str, float]:
    """The figures of a picture, in SI units: nan where there is nothing to judge, inf for a time that never comes.

    gospa, localisation, missed, false: m; completeness, spuriousness, longest_segment, state_coverage, ellipse_coverage: shares;
    ambiguity: tracks per object that has one; anees: mean NEES per component of what is matched, 1 is right; state_coverage: how many
    of those are within their 95 % ellipsoid; position_rmse: m, of missiles;
    PHASE_over_bound: root mean square of error over Cramer-Rao bound where a missile is held and the bound exists; longest_segment: the
    share of its flight for which a missile is held by the one track that holds it longest, mean over missiles; ellipse_coverage: how many
    impact forecasts of held missiles have the impact within their 95 % ellipse; firm_s and ellipse50_s: median over missiles of the first
    time, s after ignition, at which it is held, and held with such an ellipse smaller than `ELLIPSE`.
    """
    return judged(picture, case).figures


def per_missile(picture: Picture, case: Case) -> list[dict[str, Any]]:
    """One row per missile: object, name, gospa m, completeness, longest_segment, position_rmse m, firm_s, ellipse50_s, as in `judge`.

    Its gospa is the root mean square over the times of its flight of what it adds to the case's (its distance to the estimate
    assigned to it, or what a miss costs) and an even share of what the case's false tracks cost.
    """
    return judged(picture, case).missiles


def judged(picture: Picture, case: Case) -> Judged:
    """All of `judge` and `per_missile` at once.  Raises `CopfuseError` for what is no picture of the case."""
    grid = picture_times(case)
    mine = at_times(checked(picture, case), grid)
    matched = metrics.match(mine, case.truth)
    aloft = np.isfinite(metrics.true_states(case.truth, grid)[:, :, 0])
    at = np.searchsorted(grid, mine.time)
    costs = _costs(matched.distance, at, aloft)
    on = matched.object >= 0
    squared = np.full(len(mine), np.nan)
    squared[on] = nees(matched.error[on], mine.P[on]) / 6.0
    held = _Held(mine, matched, at, np.linalg.norm(matched.error[:, :3], axis=1), error_ellipse(mine.impact_point, mine.impact_point_P)[0])
    missiles = [_missile(number, case, held, aloft, costs) for number in _missiles(case)]
    parts = np.sqrt(costs.parts.mean(axis=0)) if len(grid) else np.full(3, np.nan)
    attributes = siap(aloft.sum(), len(mine), np.count_nonzero(on), np.count_nonzero(matched.nearest >= 0))
    figures = {
        "gospa": float(np.sqrt((parts**2).sum())), "localisation": float(parts[0]), "missed": float(parts[1]), "false": float(parts[2]),
        "completeness": attributes.completeness, "ambiguity": attributes.ambiguity, "spuriousness": attributes.spuriousness,
        "longest_segment": mean([m["longest_segment"] for m in missiles]), "anees": mean(squared[on]),
        "state_coverage": mean(6.0 * squared[on] < CHI2_95_6),
        "position_rmse": _root_mean(held.error[np.isin(matched.object, _missiles(case))] ** 2), **_over_bound(case, grid, held),
        **_forecasts(case, held, missiles),
    }  # fmt: skip
    curve = {"time": grid, "gospa": np.sqrt(costs.parts.sum(axis=1)), "nees": _means(squared, at, len(grid))}
    return Judged(figures, missiles, curve)


def checked(picture: Any, case: Case) -> Picture:
    """The picture, if it is one of the case (`entering.usable`), has rows of the hub if any, and impact forecasts that are some."""
    made = usable(picture, case.scenario)
    if len(made) and not (made.node == HUB).any():
        raise CopfuseError(f"none of the Picture's {len(made)} rows is of node {HUB} ({NODES[HUB]}), which is the one that is judged")
    told = np.isfinite(made.impact_point).all(axis=1)
    spread = made.impact_point_P
    bad = told & ~np.isfinite(spread).all(axis=(1, 2))
    bad[told & ~bad] = np.linalg.eigvalsh(spread[told & ~bad])[:, 1] <= 0.0  # of the three axes, the vertical one may be known
    if bad.any():
        raise CopfuseError(
            f"Picture row {int(bad.argmax())}: impact_point_P is no covariance; needed: one beside every impact_point, or nan in both"
        )
    return made


def picture_times(case: Case) -> np.ndarray:
    """The times s at which a case is judged: `frozen.times` until its last impact."""
    grid = times(case.scenario)
    return grid[grid <= case.truth.time.max(initial=0.0) + 1e-6]


def at_times(picture: Picture, grid: np.ndarray) -> Picture:
    """The hub's rows at the times ``grid``, sorted by time and track, their times exactly those; what stands after the last is left out."""
    rows = np.flatnonzero((picture.node == HUB) & (picture.time <= (grid[-1] if len(grid) else -1.0) + 1e-6))
    rows = rows[np.lexsort((picture.track[rows], picture.time[rows]))]
    mine = picture[rows]
    return replace(mine, time=grid[np.searchsorted(grid, mine.time - 1e-5)]) if len(rows) else mine


# Parts ---------------------------------------------------------------------------------------------------------------


class _Held(NamedTuple):
    """The judged rows: the picture, its `Match`, the number of each row's time, position errors m, forecasts' semi-major axes m."""

    picture: Picture
    match: metrics.Match
    at: np.ndarray
    error: np.ndarray
    major: np.ndarray


class _Costs(NamedTuple):
    """Squared GOSPA m^2 in ``parts`` (n_times, 3): localisation, missed, false; and what each object adds, summed over the times."""

    parts: np.ndarray
    objects: np.ndarray  # (n_objects,)


def _costs(distance: np.ndarray, at: np.ndarray, aloft: np.ndarray) -> _Costs:
    """GOSPA at every time, from the rows' distances (n, n_objects), the number of each row's time and who is aloft (n_times, n_objects)."""
    c, p = metrics.GOSPA_CUTOFF, metrics.GOSPA_ORDER
    parts, objects = np.zeros((len(aloft), 3)), np.zeros(aloft.shape[1])
    edges = np.searchsorted(at, np.arange(len(aloft) + 1))
    for k, up in enumerate(aloft):
        there = np.flatnonzero(up)
        apart = distance[edges[k] : edges[k + 1], there].T
        found = gospa_of(apart, c, p)
        parts[k] = found.localisation, found.missed, found.false
        cost = np.full(len(there), 0.5 * c**p)
        cost[found.pairs[:, 0]] = apart[found.pairs[:, 0], found.pairs[:, 1]] ** p
        objects[there] += cost
    return _Costs(parts, objects)


def _missiles(case: Case) -> list[int]:
    return [number for number, about in enumerate(case.truth.meta["objects"]) if about["kind"] == "missile"]


def _missile(number: int, case: Case, held: _Held, aloft: np.ndarray, costs: _Costs) -> dict[str, Any]:
    """A row of `per_missile`."""
    n, rows = float(aloft[:, number].sum()), np.flatnonzero(held.match.object == number)
    ignition = float(case.truth.time[case.truth.object == number][0])
    small = rows[held.major[rows] < ELLIPSE]
    longest = max(np.unique(held.picture.track[rows], return_counts=True)[1], default=0)
    false = float(costs.parts[:, 2].sum()) / len(_missiles(case))
    return {
        "object": number, "name": case.truth.meta["objects"][number]["name"],
        "gospa": math.sqrt(ratio(float(costs.objects[number]) + false, n)), "completeness": ratio(len(rows), n),
        "longest_segment": ratio(float(longest), n), "position_rmse": _root_mean(held.error[rows] ** 2),
        "firm_s": float(held.picture.time[rows[0]]) - ignition if len(rows) else math.inf,
        "ellipse50_s": float(held.picture.time[small[0]]) - ignition if len(small) else math.inf,
    }  # fmt: skip


def _over_bound(case: Case, grid: np.ndarray, held: _Held) -> dict[str, float]:
    """Root mean square of error over bound in each true phase, of missiles that are held where there is a bound."""
    bound = np.full(len(held.at), np.nan)
    phase = np.full(len(held.at), -1)
    for number in _missiles(case):
        rows = held.match.object == number
        life = np.flatnonzero(case.truth.object == number)
        phase[rows] = case.truth.phase[life][np.searchsorted(case.truth.time[life], grid[held.at[rows]], side="right") - 1]
        best = case.limit[case.limit.object == number]
        by_time = np.full(len(grid), np.nan)
        inside = best.time <= grid[-1] + 1e-6
        by_time[np.searchsorted(grid, best.time[inside] - 1e-5)] = best.position[inside]
        bound[rows] = by_time[held.at[rows]]
    over = held.error / np.where(bound > 0.0, bound, np.nan)
    return {f"{name}_over_bound": _root_mean(over[phase == k] ** 2) for k, name in enumerate(PHASES)}


def _forecasts(case: Case, held: _Held, missiles: list[dict[str, Any]]) -> dict[str, float]:
    """How often ellipses hold the impact, and the times; of an entrant that forecasts nothing, nan."""
    inside: list[np.ndarray] = [np.zeros(0, bool)]
    for number in _missiles(case):
        end = case.truth.x[np.flatnonzero(case.truth.object == number)[-1], :3]
        rows = np.flatnonzero((held.match.object == number) & np.isfinite(held.major))
        if len(rows) and frames.altitude(end[None])[0] < GROUND:
            inside.append(within_ellipse(held.picture.impact_point[rows], held.picture.impact_point_P[rows], end))
    told = np.isfinite(held.major).any()
    return {
        "ellipse_coverage": mean(np.concatenate(inside)),
        "firm_s": median([m["firm_s"] for m in missiles]),
        "ellipse50_s": median([m["ellipse50_s"] for m in missiles]) if told else math.nan,
    }  # fmt: skip


def mean(values: Any) -> float:
    """The mean of what is not nan; nan where nothing is."""
    values = np.asarray(values, float)
    good = values[~np.isnan(values)]
    return float(good.mean()) if len(good) else math.nan


def _root_mean(squares: np.ndarray) -> float:
    return math.sqrt(mean(squares))


def median(values: Any) -> float:
    """The median, where a time that never comes is later than any other; nan for no values."""
    ordered = sorted(v for v in values if not math.isnan(v))
    if not ordered:
        return math.nan
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return high if math.isinf(high) else 0.5 * (low + high)


def _means(values: np.ndarray, at: np.ndarray, n: int) -> np.ndarray:
    """The mean (n,) of the values at each time, nan left out; nan where there is none."""
    good = ~np.isnan(values)
    count = np.bincount(at[good], minlength=n)
    return np.where(count > 0, np.bincount(at[good], values[good], n) / np.maximum(count, 1), np.nan)
