"""Is the benchmark fair: no truth leaves it, all get the same, nobody looks ahead, and what is broken shows in the right figure."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import msgspec
import numpy as np
import pytest

from copfuse import contestant, customary, entering, entrants, fairness, frozen, judging, metrics, sensors
from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.tables import Picture, stack
from made_cases import plots_to_hub, two_rockets

HUB = NODES.index("HUB")
FUSERS = ("split", "ci", "ici", "tracklets", "naive-fusion")  # of tracks: each nation has its own plots at once
COMPILED = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="whole trackers without compiled kernels take minutes")


@pytest.fixture(scope="module")
def case():
    return two_rockets("plots", None, 2.0, 4.0)


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    """The first minutes of it over slow, uneven links."""
    korea, japan = "delay_s = [2.0, 1.0, 4.0]\njitter = 0.5\nduplicate = 0.05", "delay_s = [4.0, 2.0, 8.0]\njitter = 0.5\nloss = 0.02"
    return two_rockets(plots_to_hub(tmp_path_factory.mktemp("regime") / "slow.toml", KOR=korea, JPN=japan), 180.0, 10.0, 4.0)


@pytest.fixture(scope="module")
def base(case):
    """What this package makes of it, where no gate is wider than the least: so that matching does not hang on covariances."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("a whole tracker without compiled kernels takes minutes")
    made = entrants.ENTRANTS["gnn"](*frozen.blind(case))
    made = made[metrics.gate_radius(made.P) <= metrics.GATE_LEAST]
    return made[made.time <= case.truth.time.max()]


# No truth leaves it ----------------------------------------------------------------------------------------------------


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in nested dicts and lists, keys too, with where it stands."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield f"{path}.{key} (key)", key
            yield from leaves(one, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for k, one in enumerate(value):
            yield from leaves(one, f"{path}[{k}]")
    else:
        yield path, value


def secrets(case: frozen.Case) -> tuple[set[str], np.ndarray]:
    """Words and numbers that only truth has: names, ids and classes; states, places and times of launches and impacts, rad and degrees."""
    words: set[str] = set()
    numbers = [case.truth.x[:: max(1, len(case.truth) // 300)].ravel()]
    for k, about in enumerate(case.truth.meta["objects"]):
        words |= {str(about["name"]), str(about["missile_class"]), str(about["about"])}
        rows = np.flatnonzero(case.truth.object == k)
        numbers += [case.truth.x[rows[[0, -1]]].ravel(), case.truth.time[rows[-1:]]]
    for launch in case.scenario.launches:
        said = msgspec.to_builtins(launch)
        words |= {v for v in said.values() if isinstance(v, str)}
        told = np.array([v for v in said.values() if isinstance(v, float) and math.isfinite(v)])
        numbers += [told, np.degrees(told)]
    found = np.concatenate(numbers)
    ordinary = np.abs(found - np.round(found, 1)) < 1e-9  # 0, 1, 600 m^2: anybody's numbers
    return {w for w in words if len(w) > 3 and w not in ("record", "ballistic", "recorded")}, found[~ordinary]


def handed_over(case: frozen.Case) -> bytes:
    """What goes to an entrant's process (`contestant.run` takes it)."""
    return pickle.dumps(frozen.blind(case), protocol=5)


def found_in(data: bytes, numbers: np.ndarray) -> bool:
    """Whether the eight bytes of any of the numbers stand anywhere in data, on whatever boundary."""
    wanted = np.sort(np.ascontiguousarray(numbers, float).view(np.uint64))
    for shift in range(8):
        window = np.frombuffer(data, np.uint64, (len(data) - shift) // 8, shift)
        if (wanted[np.minimum(np.searchsorted(wanted, window), len(wanted) - 1)] == window).any():
            return True
    return False


@pytest.mark.parametrize("name", frozen.names())
def test_what_is_handed_over_has_no_truth_in_it(name):
    """The bytes that go to an entrant's process hold no word and no number (as eight bytes) that only truth has."""
    case = frozen.load(name)
    words, numbers = secrets(case)
    handed = handed_over(case)
    assert len(words) >= 1 and len(numbers) > 100
    assert not [w for w in words if w.encode() in handed]
    assert not found_in(handed, numbers)
    assert found_in(handed, case.detections.z[:1, 1])  # what is there is found
    detections, scenario = pickle.loads(handed)
    assert (detections.object == -1).all() and len(detections) == len(case.detections)
    assert scenario.launches == () and msgspec.json.encode(scenario.sensors) == msgspec.json.encode(case.scenario.sensors)
    assert scenario.duration % 60.0 == 0.0  # whole minutes: of the impact it says little
    said = {f.name: getattr(scenario, f.name) for f in fields(scenario) if f.name != "sensors"}
    kept = {k: v for k, v in said.items() if k in ("name", "epoch", "regime", "duration", "picture_step", "bias", "clutter")}
    assert not [k for k, v in said.items() if k not in kept and v not in ((), "", None)], said
    allowed = {"sensors", "scenario", "schedule", "absent"}
    assert set(detections.meta) <= allowed and set(vars(detections)) <= {*detections.COLUMNS, "meta"}
    seen = [v for _, v in leaves(detections.meta)]
    assert not [v for v in seen if isinstance(v, str) and any(w in v for w in words)]
    json.dumps(detections.meta)  # words, numbers, lists: no object that could hold more


@pytest.mark.parametrize("name", ["clutter", "salvo-10"])
def test_labels_change_nothing_that_is_handed_over(name):
    case = frozen.load(name)
    rng = np.random.default_rng(0)
    other = replace(case, detections=replace(case.detections, object=rng.permutation(case.detections.object)))
    assert (other.detections.object != case.detections.object).any()
    assert handed_over(other) == handed_over(case)


@pytest.mark.parametrize("name", ["clutter", "salvo-10", "separation"])
def test_no_column_tells_a_false_plot_but_by_what_was_measured(name):
    """What a sensor measures at all, and the accuracy that it states, are the same functions for true plots and false ones."""
    plots, scenario = frozen.load(name).detections, frozen.load(name).scenario
    for k in np.unique(plots.sensor).tolist():
        mine = plots[plots.sensor == k]
        assert len(np.unique(np.isnan(mine.z), axis=0)) == 1
        stated = sensors.accuracy(scenario.sensors[k], mine.snr, mine.z[:, 1], mine.z[:, 2])
        assert np.array_equal(stated, mine.sigma, equal_nan=True)


@pytest.mark.parametrize("name", ["clutter", "salvo-10", "raid-100"])
def test_the_order_of_rows_is_made_of_what_they_say(name):
    """Shuffled and sorted again by time, sensor and azimuth the table is the same: its order can hold nothing else."""
    plots = frozen.blind(frozen.load(name))[0]
    shuffled = plots[np.random.default_rng(1).permutation(len(plots))]
    again = shuffled[np.lexsort((shuffled.z[:, 1], shuffled.sensor, shuffled.time))]
    assert again.uid == plots.uid


def test_true_plots_stand_where_chance_puts_them():
    """Rank of the one true plot among n - 1 false ones, uniform over the sector: (n - 1) F before it, variance (n - 1) F (1 - F)."""
    case = frozen.load("clutter")
    plots, off, variance = case.detections, 0.0, 0.0
    edges = np.flatnonzero(np.r_[True, (np.diff(plots.time) != 0) | (np.diff(plots.sensor) != 0), True])
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        sensor, true = case.scenario.sensors[plots.sensor[a]], np.flatnonzero(plots.object[a:b] >= 0)
        if b - a > 1 and len(true) == 1 and sensor.kind == "radar":
            begin, width = (sensor.boresight - 0.5 * sensor.azimuth_width) % (2 * np.pi), sensor.azimuth_width
            here = plots.z[a + true[0], 1]
            # the share of the sector with an azimuth in [0, 2 pi) below this one
            share = np.mean(np.mod(begin + width * (np.arange(2000) + 0.5) / 2000, 2 * np.pi) < here)
            off += true[0] - (b - a - 1) * share
            variance += (b - a - 1) * share * (1.0 - share)
    assert variance > 20.0 and abs(off) < 4.0 * math.sqrt(variance)  # by chance outside once in 16,000


# The same for everybody ------------------------------------------------------------------------------------------------


def seen_by(detections: Any, scenario: Any) -> Picture:
    """Says what it got: the table's name and the scenario's, packed into a track number."""
    zone = detections.uid + str(hash(msgspec.json.encode(scenario)))
    return entering.picture([0.0], [int(zone[:6], 16)], np.full((1, 6), 7e6), np.eye(6)[None] * 1e6, scenario, impact=False)


def vandal(detections: Any, scenario: Any) -> Picture:
    """Writes over whatever it can reach."""
    said = seen_by(detections, scenario)
    for name in detections.COLUMNS:
        column: Any = getattr(detections, name)
        while column is not None:
            if isinstance(column, np.ndarray):
                if not column.flags.writeable:
                    try:
                        column.setflags(write=True)
                    except ValueError:
                        column = column.base
                        continue
                column[...] = 0
            column = getattr(column, "base", None)
    detections.meta.clear()
    for sensor in scenario.sensors:
        object.__setattr__(sensor, "lat", 0.0)
    return said


def test_everybody_gets_the_same_and_cannot_change_it(case):
    """As the runner does it: one pickled case to all; each process takes its own copy of it each time."""
    before = case.detections.uid, case.truth.uid, msgspec.json.encode(case.scenario)
    handed = handed_over(case)
    first, second, third = (contestant.run(f, handed)["columns"] for f in (seen_by, vandal, seen_by))
    assert first["track"].tolist() == second["track"].tolist() == third["track"].tolist()
    assert before == (case.detections.uid, case.truth.uid, msgspec.json.encode(case.scenario))
    columns = [getattr(table, name) for table in (case.detections, frozen.blind(case)[0]) for name in table.COLUMNS]
    for column in columns:
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 0


SPY = """
import gc, os, sys
import numpy as np
from copfuse import entering

def look(detections, scenario):
    kinds = [type(one).__name__ for one in gc.get_objects()]
    truth = sum(kinds.count(k) for k in ("Truth", "Case", "Limit", "Trajectory", "Launch"))
    labels = sum(int((one.object >= 0).any()) for one in gc.get_objects() if type(one).__name__ == "Detections")
    told = [*sys.argv, *os.environ.values(), repr(detections.meta), repr(scenario)]
    words = sum("KN-25" in text or "2019-11-28" in text for text in told)
    found = truth + 1000 * labels + 1000000 * words
    return entering.picture([0.0], [found], np.full((1, 6), 7e6), np.eye(6)[None] * 1e6, scenario, impact=False)
"""


def test_a_spy_in_the_runners_process_finds_no_truth(case, tmp_path):
    (tmp_path / "spy_of_truth.py").write_text(SPY)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from copfuse.contestant import serve; serve()"
    told = pickle.dumps("spy_of_truth:look") + pickle.dumps(handed_over(case))
    said = subprocess.run([sys.executable, "-c", code], input=told, stdout=subprocess.PIPE, timeout=100, check=True).stdout
    stream = io.BytesIO(said)
    assert pickle.load(stream) == {}  # it has found the entrant
    answer = pickle.load(stream)
    assert "error" not in answer, answer
    assert answer["columns"]["track"].tolist() == [0]


# Nobody looks ahead ----------------------------------------------------------------------------------------------------


@COMPILED
@pytest.mark.parametrize("name", entrants.ENTRANTS)
def test_no_built_in_entrant_looks_ahead(late, name):
    try:
        one = entrants.entrant(name)
        one(*(table[:0] if hasattr(table, "time") else table for table in frozen.blind(late)))
    except CopfuseError as error:
        pytest.skip(str(error))
    found = fairness.peeks(one, late, 130.0, on_the_way=name not in FUSERS)
    assert found is None, f"{name}: {found}"


def naive(detections, scenario):
    return entrants.ENTRANTS["naive"](detections, scenario)


def at_once(detections, scenario):
    """Takes every plot when it was made or a little later, not when it came."""
    return naive(detections, replace(scenario, regime="plots"))


def counting(detections, scenario):
    """Grows more modest the more plots there will be."""
    made = naive(detections, scenario)
    return replace(made, P=made.P * (1.0 + 1e-4 * len(detections)))


def forecasting(detections, scenario):
    """Knows where it will come down: where it is in the end."""
    made = naive(detections, scenario)
    return replace(made, impact_point=np.tile(made.x[-1:, :3], (len(made), 1)), impact_point_P=np.tile(np.eye(3) * 1e6, (len(made), 1, 1)))


def early(detections, scenario):
    """Shows a track before there is a plot of it."""
    made = naive(detections, scenario)
    first = made[np.unique(made.track, return_index=True)[1]]
    made = stack([replace(first, time=first.time - scenario.picture_step), made])
    return made[np.lexsort((made.track, made.time))]


def looking_ahead(detections, scenario):
    """At each time the estimate of the next one, moved back: half of what is to come is known."""
    made = naive(detections, scenario)
    h, rows = scenario.picture_step, {(t, k): i for i, (t, k) in enumerate(zip(made.time.tolist(), made.track.tolist(), strict=True))}
    x = made.x.copy()
    for i, (t, k) in enumerate(zip(made.time.tolist(), made.track.tolist(), strict=True)):
        if (t + h, k) in rows:
            x[i] = customary.stages(made.x[rows[t + h, k]], -h)[1]
    return replace(made, x=x)


def tossing(detections, scenario):
    """Draws afresh each time."""
    made = naive(detections, scenario)
    return replace(made, x=made.x + np.random.default_rng().normal(size=made.x.shape))


@pytest.fixture(scope="module")
def moments(late):
    """Just before the last of the naive tracker's tracks begins, and when one has another plot before the next picture."""
    made, step = naive(*frozen.blind(late)), late.scenario.picture_step
    begins = [float(made.time[made.track == k][0]) - step for k in np.unique(made.track)]
    held = set(zip(made.time.tolist(), made.track.tolist(), strict=True))
    on = [t for t, k in sorted(held) if (t + step, k) in held]
    assert len(begins) >= 2 and len(on) >= 3
    chosen = [max(begins), on[len(on) // 2]]
    assert all(fairness.peeks(naive, late, at) is None for at in chosen)
    return chosen


@pytest.mark.parametrize("peeker", [at_once, counting, forecasting, early, looking_ahead], ids=lambda f: f.__name__)
def test_who_looks_ahead_is_caught(late, moments, peeker):
    found = [(fairness.peeks(peeker, late, at), at) for at in moments]
    caught = [(peek, at) for peek, at in found if peek is not None]
    assert caught and all(peek.time <= at and str(peek).startswith(f"at {peek.time:g} s") for peek, at in caught)


def test_one_that_draws_afresh_is_told_so(late):
    with pytest.raises(CopfuseError, match="two runs"):
        fairness.peeks(tossing, late, 130.0)


def test_numbers_of_tracks_may_differ_but_not_what_they_join(base):
    """Renamed one to one all is well; a track that is another without the future is not."""
    renamed = replace(base, track=7 - base.track)
    assert fairness.first_difference(base, renamed, np.inf) is None
    now = np.unique(base.time)[20]
    torn = replace(base, track=np.where(base.time < now, base.track, base.track + 10))
    for one, other in ((base, torn), (torn, base)):
        found = fairness.first_difference(one, other, np.inf)
        assert found is not None and found.time == now and "another" in found.what
    assert fairness.first_difference(base, torn, float(now) - 1.0) is None


def test_what_is_taken_away_is_what_had_not_come(late):
    plots, scenario = frozen.blind(late)
    at = 130.0
    cut = fairness.without_future(plots, scenario, at)
    arrived = late.arrived[: len(cut)]
    assert cut.time.max() <= at < plots.time[len(cut)]
    same = (cut.z == plots.z[: len(cut)]) | np.isnan(cut.z)
    assert np.array_equal(same.all(axis=1), arrived <= at) and 0 < (~same.all(axis=1)).sum() < len(cut)
    assert np.array_equal(frozen.arrivals(cut, scenario), arrived, equal_nan=True)
    assert fairness.without_future(plots, scenario, at, on_the_way=False).uid == plots[: len(cut)].uid


# What is broken shows in the right figure, and in no other ---------------------------------------------------------------


def changed(before: dict[str, float], after: dict[str, float]) -> set[str]:
    """Names of figures that differ by more than rounding."""
    return {k for k in before if not np.isclose(before[k], after[k], rtol=1e-9, atol=1e-12, equal_nan=True)}


@pytest.fixture(scope="module")
def good(base, case):
    """The figures of the unbroken picture: two tracks, one on each rocket, none beside, none false."""
    figures = judging.judge(base, case)
    assert figures["ambiguity"] == 1.0 and figures["spuriousness"] == 0.0 and 0.5 < figures["completeness"] < 1.0
    return figures


def counts(base: Picture, case: frozen.Case) -> tuple[int, int, int]:
    """Times that are judged, objects aloft at them, rows on an object."""
    grid = judging.picture_times(case)
    aloft = int(np.isfinite(metrics.true_states(case.truth, grid)[:, :, 0]).sum())
    return len(grid), aloft, int((metrics.match(base, case.truth).object >= 0).sum())


def test_covariances_halved_double_the_anees_and_touch_no_error(base, good, case):
    figures = judging.judge(replace(base, P=0.5 * base.P), case)
    assert figures["anees"] == pytest.approx(2.0 * good["anees"], rel=1e-9)
    assert {"anees"} <= changed(good, figures) <= {"anees", "state_coverage"}
    assert figures["state_coverage"] <= good["state_coverage"]


def test_ellipses_halved_hold_less_and_touch_nothing_else(base, good, case):
    """Axes by 2 as small: an ellipse that held the impact with room to spare still does; 50 km are reached sooner."""
    figures = judging.judge(replace(base, impact_point_P=1e-4 * base.impact_point_P), case)
    assert figures["ellipse_coverage"] < good["ellipse_coverage"] and figures["ellipse50_s"] <= good["ellipse50_s"]
    assert changed(good, figures) <= {"ellipse_coverage", "ellipse50_s"}


def test_numbers_swapped_midway_shorten_the_longest_segment_alone(base, good, case):
    """Of n times aloft a rocket is held at a before and b after: max(a, b) / n is left of (a + b) / n."""
    now = float(np.median(base.time))
    a, b = np.unique(base.track)
    swapped = replace(base, track=np.where(base.time < now, base.track, a + b - base.track))
    figures = judging.judge(swapped, case)
    grid, held = judging.picture_times(case), metrics.match(base, case.truth).object
    aloft = np.isfinite(metrics.true_states(case.truth, grid)[:, :, 0]).sum(axis=0)
    parts = [[((held == k) & (side == (base.time < now))).sum() for side in (True, False)] for k in (0, 1)]
    assert good["longest_segment"] == pytest.approx(np.mean([sum(p) / n for p, n in zip(parts, aloft, strict=True)]))
    assert figures["longest_segment"] == pytest.approx(np.mean([max(p) / n for p, n in zip(parts, aloft, strict=True)]))
    assert changed(good, figures) == {"longest_segment"}


def test_duplicates_are_ambiguity_and_false_tracks_to_gospa(base, good, case):
    """Each track once more, half again as far off: two tracks per object, and c^2 / 2 for each of the k of n times."""
    error = metrics.match(base, case.truth).error
    n, _, held = counts(base, case)
    some = base.time > np.median(base.time)
    double = replace(base[some], track=base.track[some] + 10, x=base.x[some] + 0.5 * error[some])
    k = int(some.sum())
    figures = judging.judge(stack([base, double]), case)
    assert figures["ambiguity"] == pytest.approx((held + k) / held)
    assert figures["false"] == pytest.approx(math.sqrt(0.5 * metrics.GOSPA_CUTOFF**2 * k / n))
    assert figures["gospa"] == pytest.approx(math.hypot(good["gospa"], figures["false"]))
    assert changed(good, figures) == {"ambiguity", "false", "gospa"}


def test_a_false_track_is_spurious(base, good, case):
    n, _, held = counts(base, case)
    some = base.track == base.track[0]
    false = replace(base[some], track=base.track[some] + 10, x=base.x[some] + [3e5, 0.0, 0.0, 0.0, 0.0, 0.0])
    k = len(false)
    figures = judging.judge(stack([base, false]), case)
    assert figures["spuriousness"] == pytest.approx(k / (held + k))
    assert figures["false"] == pytest.approx(math.sqrt(0.5 * metrics.GOSPA_CUTOFF**2 * k / n))
    assert changed(good, figures) == {"spuriousness", "false", "gospa"}


def test_who_speaks_only_when_sure_is_incomplete(base, good, case):
    """Half of the rows: the share held halves, the misses add c^2 / 2 each; the error of what is left is no reward in GOSPA."""
    size = np.sqrt(np.einsum("naa->n", base.P[:, :3, :3]))
    sure = base[size <= np.median(size)]
    n, aloft, held = counts(base, case)
    figures = judging.judge(sure, case)
    assert figures["completeness"] == pytest.approx(len(sure) / aloft) and good["completeness"] == pytest.approx(held / aloft)
    assert figures["missed"] == pytest.approx(math.sqrt(0.5 * metrics.GOSPA_CUTOFF**2 * (aloft - len(sure)) / n))
    assert figures["gospa"] > good["gospa"] and figures["firm_s"] > good["firm_s"]
    assert not changed(good, figures) & {"ambiguity", "spuriousness", "false"}


def test_a_picture_one_plot_late_is_off_by_what_is_flown_meanwhile(base, good, case):
    """Each row as it was h = 4 s ago, the time between plots: within the old error of the root mean square of the distance flown.

    Old error e, distance d: |rms(e - d)| lies within rms(d) -+ rms(e) (Minkowski); e is that of the rows as they were."""
    h, c = 4.0, metrics.GOSPA_CUTOFF
    old = {(t, k): x for t, k, x in zip(base.time.tolist(), base.track.tolist(), base.x, strict=True)}
    rows = np.array([(t - h, k) in old for t, k in zip(base.time.tolist(), base.track.tolist(), strict=True)])
    kept = base[rows]
    stale = replace(kept, x=np.array([old[t - h, k] for t, k in zip(kept.time.tolist(), kept.track.tolist(), strict=True)]))
    on_time, figures = judging.judge(kept, case), judging.judge(stale, case)
    held = metrics.match(kept, case.truth).object
    now, then = (metrics.true_states(case.truth, t)[np.arange(len(kept)), held, :3] for t in (kept.time, kept.time - h))
    flown = float(np.sqrt(((now - then) ** 2).sum(axis=1).mean()))
    error = np.linalg.norm(stale.x[:, :3] - then, axis=1)
    spread = float(np.sqrt((error**2).mean()))
    assert flown > 3.0 * good["position_rmse"] and (np.linalg.norm(now - then, axis=1) + error).max() < c
    assert flown - spread <= figures["position_rmse"] <= flown + spread
    worse = {"position_rmse", "localisation", "gospa", "anees", "boost_over_bound", "terminal_over_bound"}
    assert all(figures[k] > on_time[k] for k in worse)
    assert changed(on_time, figures) <= {*worse, "state_coverage"}


def test_plots_one_late_show_in_error_over_bound(case):
    """An entrant that gives each plot the time of its radar's next: every 4 s, so it is behind by what is flown in 4 s; naive, so cheap."""

    def late_by_one(detections, scenario):
        time = detections.time.copy()
        for k in np.unique(detections.sensor):
            mine = detections.sensor == k
            time[mine] += 4.0
        return naive(replace(detections, time=time), scenario)

    detections, scenario = frozen.blind(case)
    right, wrong = (judging.judge(f(detections, scenario), case) for f in (naive, late_by_one))
    grid = judging.picture_times(case)
    states = metrics.true_states(case.truth, grid)
    slowest = np.nanmin(np.linalg.norm(states[grid > 60.0][:, :, 3:], axis=2))
    assert wrong["position_rmse"] > 4.0 * slowest - right["position_rmse"]
    assert wrong["gospa"] > right["gospa"] and wrong["anees"] > 2.0 * right["anees"]


def test_who_looks_ahead_is_caught_by_no_figure(case):
    """Why there is `fairness.peeks`: nothing that a figure punishes is worse, and it is the smaller error of the two."""
    detections, scenario = frozen.blind(case)
    honest, ahead = (judging.judge(f(detections, scenario), case) for f in (naive, looking_ahead))
    for name in ("completeness", "ambiguity", "spuriousness", "longest_segment", "missed", "false"):
        assert ahead[name] == pytest.approx(honest[name], abs=0.05), name
    assert ahead["position_rmse"] < 1.05 * honest["position_rmse"]
