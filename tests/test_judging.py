"""The benchmark's figures: by hand on a small case, against plain twins, and each wrong picture caught by the figure that should."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import EPOCH, picture_of, plots_of, straight_truth
from copfuse import frames, judging, metrics
from copfuse.errors import CopfuseError
from copfuse.frozen import Case, Limit
from copfuse.scenario import Scenario
from copfuse.tables import stack

STEP = 2.0
EAST = np.array([0.0, 0.0, 1.0])  # of Earth-fixed axes, any would do
APART = np.array([50e3, 0.0, 0.0])


def case(truth, limits=(), duration=60.0) -> Case:
    """A case without plots; ``limits``: (object, time, position m)."""
    sensors = (SimpleNamespace(name="KR-A", nation="KOR"), SimpleNamespace(name="JP-B", nation="JPN"))
    scenario = Scenario("made-up", EPOCH, (), sensors, picture_step=STEP, duration=duration)  # type: ignore[arg-type]
    number, time, position = np.array(limits, float).reshape(-1, 3).T
    limit = Limit(number, time, position, position)
    return Case("made-up", "made up", "", scenario, truth, plots_of([]), np.zeros(0), limit, {})


def two() -> Case:
    """m0 flies from 0 to 20 s, m1, 50 km aside, from 4 to 20 s; bounds 100 m of m0 from 6 s on, 200 m of m1."""
    truth = straight_truth([(0, 0, 0), APART], [np.arange(0, 20.5, 1), np.arange(4, 20.5, 1)])
    limits = [(0, t, 100.0 if t >= 6 else math.nan) for t in np.arange(0, 21, 2)] + [(1, t, 200.0) for t in np.arange(4, 21, 2)]
    return case(truth, limits)


def states(made: Case, number: int, times, off: float) -> list[np.ndarray]:
    """The truth's states at times, ``off`` m aside."""
    return [metrics.true_states(made.truth, [t])[0, number] + np.r_[off * EAST, 0, 0, 0] for t in times]


def rows(made: Case, number: int, track: int, times, off: float) -> list[tuple]:
    return [(t, "HUB", track, x) for t, x in zip(times, states(made, number, times, off), strict=True)]


def pictured(made: Case):
    """m0 from 4 s on by track 7, then 8, 300 m off; m1 from 10 s on by 9, 400 m off, doubled at 10 s; a track of nothing at 0, 2 s."""
    told = rows(made, 0, 7, (4, 6, 8, 10), 300.0) + rows(made, 0, 8, (12, 14, 16, 18, 20), 300.0)
    told += rows(made, 1, 9, range(10, 21, 2), 400.0) + rows(made, 1, 10, (10,), 500.0) + rows(made, 0, 11, (0, 2), 80e3)
    return picture_of(sorted(told, key=lambda row: row[0]))


def test_every_figure_by_hand():
    made = two()
    found = judging.judge(pictured(made), made)
    km2 = 1e6
    parts = np.array([9 * 0.09 + 6 * 0.16, (2 + 3) * 50.0, (1 + 2) * 50.0]) * km2 / 11
    assert [found[k] for k in ("localisation", "missed", "false")] == pytest.approx(np.sqrt(parts))
    assert found["gospa"] == pytest.approx(math.sqrt(parts.sum()))
    assert found["completeness"] == pytest.approx(15 / 20) and found["ambiguity"] == pytest.approx(16 / 15)
    assert found["spuriousness"] == pytest.approx(2 / 18)
    assert found["longest_segment"] == pytest.approx((5 / 11 + 6 / 9) / 2)
    assert found["anees"] == pytest.approx((9 * 0.3**2 + 6 * 0.4**2) / 15 / 6) and found["state_coverage"] == 1.0
    assert found["position_rmse"] == pytest.approx(math.sqrt((9 * 300.0**2 + 6 * 400.0**2) / 15))
    assert found["midcourse_over_bound"] == pytest.approx(math.sqrt((8 * 3.0**2 + 6 * 2.0**2) / 14))
    assert all(math.isnan(found[f"{phase}_over_bound"]) for phase in ("boost", "terminal", "glide"))
    assert found["firm_s"] == (4 + 6) / 2
    assert math.isnan(found["ellipse_coverage"])  # the truth ends in the air
    assert found["ellipse50_s"] == 5.0  # the ellipses of `picture_of` are of 10 km
    assert set(found) == set(judging.FIGURES)


def test_a_missile_has_its_own_gospa_and_an_even_share_of_what_is_false():
    made = two()
    first, second = judging.per_missile(pictured(made), made)
    assert first["gospa"] == pytest.approx(1e3 * math.sqrt((9 * 0.09 + 2 * 50 + 75) / 11))
    assert second["gospa"] == pytest.approx(1e3 * math.sqrt((6 * 0.16 + 3 * 50 + 75) / 9))
    assert (first["completeness"], second["completeness"]) == pytest.approx((9 / 11, 6 / 9))
    assert (first["longest_segment"], second["longest_segment"]) == pytest.approx((5 / 11, 6 / 9))
    assert (first["firm_s"], second["firm_s"]) == (4.0, 6.0) and first["name"] == "m0"


def test_nothing_said_is_everything_missed():
    made = two()
    found = judging.judge(picture_of([]), made)
    assert found["gospa"] == found["missed"] == pytest.approx(1e3 * math.sqrt(20 * 50 / 11))
    assert found["completeness"] == 0.0 and found["firm_s"] == math.inf and found["longest_segment"] == 0.0
    assert all(math.isnan(found[k]) for k in ("anees", "ambiguity", "ellipse50_s", "ellipse_coverage", "midcourse_over_bound"))


def test_rows_at_some_of_the_times_are_missing_at_the_others():
    made = two()
    whole, half = rows(made, 0, 1, range(0, 21, 2), 0.0), rows(made, 0, 1, range(0, 21, 4), 0.0)
    assert judging.per_missile(picture_of(whole), made)[0]["completeness"] == 1.0
    assert judging.per_missile(picture_of(half), made)[0]["completeness"] == pytest.approx(6 / 11)


def test_other_nodes_and_times_after_the_last_impact_do_not_count():
    made = two()
    told = rows(made, 0, 1, range(0, 21, 2), 100.0)
    late = [(t, "HUB", 1, told[-1][3]) for t in (22, 40, 60)]
    other = [(t, "JPN", 5, x + 1e5) for t, _, _, x in told]
    assert judging.judge(picture_of(told), made) == pytest.approx(judging.judge(picture_of(told + late + other), made), nan_ok=True)


# Plain twins ---------------------------------------------------------------------------------------------------------


def plain_gospa_squares(x, y, c):
    """GOSPA squared by trying every assignment."""
    best = math.inf
    for k in range(min(len(x), len(y)) + 1):
        for mine in itertools.combinations(range(len(x)), k):
            for theirs in itertools.permutations(range(len(y)), k):
                d = sum(min(np.linalg.norm(x[a] - y[b]), c) ** 2 for a, b in zip(mine, theirs, strict=True))
                best = min(best, d + 0.5 * c**2 * (len(x) + len(y) - 2 * k))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_random_pictures_against_a_plain_twin_and_the_score(seed):
    rng = np.random.default_rng(seed)
    grid = np.arange(0, 21, 2.0)
    made = case(straight_truth([(0, 0, 0), (6e3, 0, 0), (-9e3, 3e3, 0)], [np.arange(a, 20.5, 1) for a in (0, 2, 7)]))
    told, total = [], []
    for t in grid:
        up = metrics.true_states(made.truth, [t])[0]
        there = [i for i in range(3) if np.isfinite(up[i, 0])]
        tracks = rng.permutation(5)[: rng.integers(0, 4)]
        some = [up[rng.choice(there)] + np.r_[rng.normal(0, 4e3, 3), rng.normal(0, 5, 3)] for _ in tracks]
        told += [(t, "HUB", int(k), x) for k, x in sorted(zip(tracks, some, strict=True), key=lambda pair: pair[0])]
        total.append(plain_gospa_squares(up[there, :3], np.array(some).reshape(-1, 6)[:, :3], metrics.GOSPA_CUTOFF))
    picture = picture_of(told)
    found = judging.judged(picture, made)
    assert found.curve["gospa"] ** 2 == pytest.approx(np.array(total))
    assert found.figures["gospa"] == pytest.approx(math.sqrt(np.mean(total)))
    flown = np.isfinite(metrics.true_states(made.truth, grid)[:, :, 0]).sum(axis=0)
    cost = np.array([m["gospa"] ** 2 for m in found.missiles]) * flown
    assert cost.sum() == pytest.approx(np.sum(total))  # missiles share it all
    score = metrics.score(picture, made.truth, made.scenario)
    hub = score[score.node == 3]
    assert found.curve["gospa"] == pytest.approx(hub.gospa)
    assert found.figures["completeness"] == pytest.approx(hub.n_matched.sum() / hub.n_truth.sum())
    assert found.curve["nees"] == pytest.approx(hub.nees / 6.0, nan_ok=True)
    assert found.figures["anees"] == pytest.approx(np.nansum(hub.nees * hub.n_matched) / hub.n_matched.sum() / 6.0)


# Impact ellipses -----------------------------------------------------------------------------------------------------


def landed() -> Case:
    """One missile that is on the ground at 20 s."""
    base = frames.ecef(np.radians(39.0), np.radians(133.0), 100e3)
    down = frames.ecef(np.radians(39.0), np.radians(133.0), 0.0) - base
    return case(straight_truth([down - np.array([0.0, 20e3, 0.0])], [np.arange(0, 20.5, 1)]))


def forecasts(made: Case, off_m, sigma):
    """A picture whose forecasts are ``off_m`` north of the impact with ``sigma`` m per axis; nan for none."""
    times = np.arange(0, 21, 2)
    plain = picture_of(rows(made, 0, 1, times, 0.0))
    lat, lon, _ = frames.geodetic(made.truth.x[-1:])
    points = made.truth.x[-1, :3] + np.asarray(off_m, float)[:, None] * frames.enu_axes(lat, lon)[0, 1]
    spread = np.where(np.isfinite(points).all(axis=1), np.asarray(sigma, float), np.nan)[:, None, None] ** 2 * np.eye(3)
    return replace(plain, impact_point=points, impact_point_P=np.where(np.isfinite(points)[:, :, None], spread, np.nan))


def test_ellipses_that_hold_the_impact_and_the_first_small_one():
    made = landed()
    limit = math.sqrt(-2 * math.log(0.05))  # standard deviations to the 95 % ellipse
    off = np.array([np.nan, 0.9, 1.1, 0.9, 0.9, 0.9, 0.9, 1.1, 0.9, 0.9, 0.9]) * limit * 30e3
    sigma = np.array([30e3] * 6 + [50e3 / limit * 0.99] + [30e3] * 4)
    off[6] = 0.0
    found = judging.judge(forecasts(made, off, sigma), made)
    assert found["ellipse_coverage"] == pytest.approx(8 / 10)
    assert found["ellipse50_s"] == 12.0 and found["firm_s"] == 0.0


def test_who_forecasts_nothing_is_not_judged_by_forecasts():
    made = landed()
    found = judging.judge(forecasts(made, [np.nan] * 11, [1.0] * 11), made)
    assert math.isnan(found["ellipse_coverage"]) and math.isnan(found["ellipse50_s"]) and found["completeness"] == 1.0
    wide = judging.judge(forecasts(made, [0.0] * 11, [1e5] * 11), made)
    assert wide["ellipse50_s"] == math.inf and wide["ellipse_coverage"] == 1.0


# What is no picture --------------------------------------------------------------------------------------------------


def test_pictures_that_cannot_be_judged_are_refused_in_a_sentence():
    made = two()
    good = picture_of(rows(made, 0, 1, (0, 2), 0.0))
    spread = np.array(good.impact_point_P)
    spread[1, 0, 0] = np.nan
    for wrong, said in (
        ([], "not list"),
        (replace(good, x=np.where(np.arange(2)[:, None] == 1, np.nan, good.x)), "row 1: x is"),
        (replace(good, time=[0.0, 62.0]), "row 1: time is 62"),
        (replace(good, time=[0.0, 1.0]), "row 1: time is 1"),
        (replace(good, node=[0, 0]), "none of the Picture's 2 rows is of node 3 .HUB."),
        (replace(good, impact_point_P=spread), "row 1: impact_point_P is no covariance"),
        (replace(good, P=0.0 * good.P), "row 0: P"),
        (stack([good, good]), "track 1 stands twice"),
    ):
        with pytest.raises(CopfuseError, match=said):
            judging.judge(wrong, made)


def test_medians_hold_what_never_comes():
    assert judging.median([3.0, math.inf, 1.0]) == 3.0
    assert judging.median([3.0, math.inf]) == math.inf and judging.median([1.0, math.inf, math.inf]) == math.inf
    assert judging.median([1.0, 3.0]) == 2.0 and math.isnan(judging.median([])) and math.isnan(judging.median([math.nan]))
