"""`copfuse bench accuracy`: its numbers against a naive count, against hand-made seeds, and the same over any number of processes."""

from __future__ import annotations

import csv
import os
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from conftest import straight_truth
from copfuse import accuracy, bounds, charts, cli, filters, fusion, metrics, motion, populations, simulate, tracking, verdicts
from copfuse import scenario as scenarios
from copfuse.accuracy import CUSTODY, DELAY, SAMPLE, SOURCES, Measured
from copfuse.constants import BOOST, GLIDE, MIDCOURSE, NODES, PHASES, TERMINAL
from copfuse.kernels import flight, motions
from copfuse.tables import Detections, Tracks

slow_without_compiler = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="minutes without compiled kernels")


@pytest.fixture(scope="module")
def tiny():
    """A pull-up flight before a sensor each of Korea, Japan and the United States that plots it often."""
    whole = scenarios.load("pull-up-2019")
    truth = simulate.fly(whole)
    plots = simulate.detect(truth, whole, seed=0)
    count = np.bincount(plots.sensor[plots.object == 0], minlength=len(whole.sensors))
    chosen = []
    for nation, place in (("KOR", 1), ("JPN", 0), ("USA", 2)):
        able = [k for k in np.argsort(-count, kind="stable") if whole.sensors[k].nation == nation and count[k]]
        chosen.append(able[min(place, len(able) - 1)])
    return replace(whole, name="tiny", bias=0.0, picture_step=8.0, sensors=tuple(whole.sensors[k] for k in sorted(chosen))), truth


@pytest.fixture(scope="module")
def seeds(tiny):
    return accuracy.study(*tiny, seeds=2, jobs=1, pictures=False)


# Figures from hand-made seeds -----------------------------------------------------------------------------------------


def seed_of(n=20, error=1.0, bound=1.0, nees=6.0, inside=19, phase=MIDCOURSE, delay=1.0, held=98, lost=0, flown=GLIDE) -> Measured:
    samples = np.zeros(n, SAMPLE)
    samples["phase"], samples["settled"], samples["time"] = phase, True, 5.0 * np.arange(n)
    for name in ("position", "velocity"):
        samples[name], samples[f"bound_{name}"], samples[f"true_{name}"] = error**2, bound**2, (0.5 * bound) ** 2
    samples["nees"], samples["impact"], samples["impact_size"] = nees, np.arange(n) < inside, 3e3
    samples["launch"] = np.nan
    delays = np.array([(0, 0, 1, delay), (0, 0, 1, delay + 1), (0, 0, 2, delay)], DELAY)
    custody = np.array([(0, 0, flown, 100, held, 50, lost)], CUSTODY)
    return Measured(0, samples, delays, custody, 0, 0.5)


def figure(made, name, phase, source="KOR"):
    (found,) = [f for f in made if (f.name, f.phase, f.source) == (name, phase, source)]
    return found


def test_figures_of_hand_made_seeds():
    made = verdicts.figures([seed_of(error=1.0), seed_of(error=np.sqrt(1.2))], "hand", 0.0, False)
    assert figure(made, "position", "midcourse").value == pytest.approx(np.sqrt(1.1))
    assert figure(made, "position", "midcourse").reached
    anees = figure(made, "anees", "midcourse")
    assert anees.value == pytest.approx(1.0) and (anees.low, anees.high) == (1.0, 1.0) and anees.reached and anees.seeds == 2
    assert figure(made, "impact", "midcourse").value == 0.95 and figure(made, "impact", "midcourse").reached
    assert figure(made, "impact_km", "midcourse").value == pytest.approx(3.0)
    assert figure(made, "burnout_median", "").value == 1.0 and figure(made, "burnout_95", "").value == 2.0
    assert figure(made, "custody", "").value == 0.98 and figure(made, "custody", "").reached
    assert figure(made, "false_a_day", "", "nations").value == 0.0
    assert "position <= 1.1" in verdicts.text(made) and "not reached" not in verdicts.text(made)


@pytest.mark.parametrize(
    ("change", "name", "phase"),
    [
        (dict(error=1.11), "position", "midcourse"), (dict(error=1.11), "velocity", "midcourse"),
        (dict(nees=12.0), "anees", "midcourse"), (dict(nees=0.5), "anees", "midcourse"),
        (dict(inside=20), "impact", "midcourse"), (dict(inside=18), "impact", "midcourse"),
        (dict(delay=5.5), "burnout_median", ""), (dict(delay=np.inf), "burnout_95", ""), (dict(delay=6.0), "reentry_median", ""),
        (dict(held=94), "custody", ""), (dict(phase=TERMINAL, error=1.31, flown=MIDCOURSE), "position", "terminal"),
        (dict(phase=TERMINAL, inside=20, flown=MIDCOURSE), "impact", "terminal"), (dict(phase=TERMINAL, nees=13.0), "anees", "terminal"),
        (dict(phase=BOOST, error=0.8), "velocity", "boost"), (dict(phase=GLIDE, nees=13.0), "anees", "glide"),
    ],
)  # fmt: skip
def test_what_misses_its_target_is_named(change, name, phase):
    made = verdicts.figures([seed_of(**change)] * 3, "hand", 0.0, False)
    assert figure(made, name, phase).reached is False
    assert f"{name} {figure(made, name, phase).target}" in verdicts.text(made)
    assert all(f.reached is None for f in verdicts.figures([seed_of(**change)] * 3, "hand", 1.0, False))


def test_in_boost_the_true_model_is_the_measure():
    made = verdicts.figures([seed_of(phase=BOOST, error=0.7)] * 2, "hand", 0.0, False)
    assert figure(made, "position", "boost").value == pytest.approx(1.4)
    assert figure(made, "position_own", "boost").value == pytest.approx(0.7)


def test_a_bound_that_says_nothing_does_not_count():
    """Samples whose bound is above the widest gate would drown all others."""
    vague, plain = seed_of(bound=1e6, error=1e3), seed_of(error=2.0)
    made = verdicts.figures([vague, plain], "hand", 0.0, False)
    assert figure(made, "position", "midcourse").value == pytest.approx(2.0)
    assert figure(made, "position", "midcourse").seeds == 1


def test_what_few_flights_have_is_not_judged():
    """Of 21 flights, two that a track was held in midcourse of, then three."""
    for some, verdict in ((2, None), (3, False)):
        made = verdicts.figures([seed_of(inside=20)] * some + [seed_of(phase=BOOST)] * (21 - some), "hand", 0.0, False)
        impact = figure(made, "impact", "midcourse")
        assert (impact.value, impact.seeds, impact.reached) == (1.0, some, verdict)


def test_what_has_lift_is_judged_as_gliding_until_it_is_down():
    """The bound of free fall is not that of a body that pulls up, and its forecast has to be wide."""
    made = verdicts.figures([seed_of(phase=TERMINAL, error=3.0, inside=20)] * 3, "hand", 0.0, False)
    assert figure(made, "position", "terminal").reached is None and figure(made, "anees", "terminal").target == "<= 2.0"
    assert figure(made, "impact", "terminal").target == ">= 0.9" and figure(made, "impact", "terminal").reached


def test_forecasts_of_a_stage_that_lands_under_power_are_not_judged():
    for phase in (MIDCOURSE, TERMINAL):
        made = verdicts.figures([seed_of(phase=phase, inside=2, delay=9.0)] * 3, "hand", 0.0, True)
        assert figure(made, "impact", PHASES[phase]).reached is None and figure(made, "reentry_median", "").reached is None
        assert figure(made, "burnout_median", "").reached is False and figure(made, "anees", PHASES[phase]).reached
    boost = verdicts.figures([seed_of(phase=BOOST, inside=2)] * 3, "hand", 0.0, True)
    assert figure(boost, "impact", "boost").reached is False


def test_a_recorded_flight_must_not_be_lost_before_two_sensors():
    kept, lost = (verdicts.figures([seed_of(lost=lost)] * 2, "hand", 0.0, True) for lost in (0, 1))
    assert figure(kept, "lost", "").reached is True
    assert figure(lost, "lost", "").reached is False and figure(lost, "lost", "").value == 0.02
    assert figure(kept, "position", "midcourse").reached is None and figure(kept, "anees", "midcourse").target == "<= 2.0"


def test_the_bootstrap_finds_the_spread_of_a_mean():
    """Of 400 seeds of unit normal means, the 95 % interval of the mean is 2 x 1.96 / 20 wide, within 15 %."""
    top = 5.0 + np.random.default_rng(3).standard_normal(400)
    low, high = verdicts.bootstrap(top, np.ones(400), "spread")
    assert high - low == pytest.approx(2 * 1.96 * top.std() / 20, rel=0.15)
    assert low < top.mean() < high
    assert verdicts.bootstrap(top, np.ones(400), "spread") == (low, high)


# Measured seeds -------------------------------------------------------------------------------------------------------


@slow_without_compiler
def test_samples_equal_a_naive_count(tiny, seeds):
    scenario, truth = tiny
    detections = simulate.detect(truth, scenario, seed=1)
    tracks = tracking.track(detections, scenario)
    limit = bounds.bound(truth, scenario, "KOR", detections=detections)
    cells: dict[int, tuple[float, ...]] = {}
    firm: dict[int, float] = {}
    for i in range(len(tracks)):
        t = float(tracks.time[i])
        if tracks.node[i] != 0 or not tracks.firm[i] or t > truth.time[-1]:
            continue
        firm.setdefault(int(tracks.track[i]), t)
        x = motion.interpolate(truth.time, truth.x, np.array([t]))[0]
        e = tracks.x[i] - x
        if np.linalg.norm(e[:3]) < metrics.gate_radius(tracks.P[i : i + 1])[0]:
            P = limit.P[np.flatnonzero(limit.time <= t + 1e-9)[-1]]
            nees = e @ np.linalg.inv(tracks.P[i]) @ e
            settled = t >= firm[int(tracks.track[i])] + 10.0
            cells[int(t // 5)] = (t, e[:3] @ e[:3], e[3:] @ e[3:], np.trace(P[:3, :3]), np.trace(P[3:, 3:]), nees, settled)
    mine = seeds[1].samples[seeds[1].samples["source"] == 0]
    names = ("time", "position", "velocity", "bound_position", "bound_velocity", "nees", "settled")
    assert len(mine) == len(cells) > 8
    for row, cell in zip(mine, sorted(cells), strict=True):
        np.testing.assert_allclose([float(row[n]) for n in names], cells[cell], rtol=1e-5)


@slow_without_compiler
def test_seconds_in_custody_equal_a_naive_count(tiny, seeds):
    scenario, truth = tiny
    detections = simulate.detect(truth, scenario, seed=1)
    tracks = tracking.track(detections, scenario, node="HUB")
    tracks = tracks[tracks.firm]
    found = metrics.match(tracks, truth).object
    plots, rows = detections.time[detections.object == 0], tracks.time[found == 0]
    covered = held = 0
    for t in np.arange(0.0, truth.time[-1], 1.0):
        seen = ((plots <= t) & (plots >= t - 10.0)).any()
        covered += seen
        held += seen and ((rows <= t) & (rows >= t - 10.0)).any()
    mine = seeds[1].custody[seeds[1].custody["source"] == 3]
    assert (mine["covered"].sum(), mine["held"].sum()) == (covered, held)
    assert covered > 50


@slow_without_compiler
def test_any_number_of_processes_gives_the_same(tiny, seeds):
    again = accuracy.study(*tiny, seeds=2, jobs=2, pictures=False)
    for one, two in zip(seeds, again, strict=True):
        assert (one.seed, one.false, one.days) == (two.seed, two.false, two.days)
        for name in ("samples", "delays", "custody"):
            assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


@slow_without_compiler
def test_a_tracker_that_is_too_sure_is_found_out(tiny, seeds, monkeypatch):
    honest = tracking.track

    def boastful(detections: Detections, scenario, node=None) -> Tracks:
        tracks = honest(detections, scenario, node)
        return replace(tracks, P=tracks.P / 8.0)

    monkeypatch.setattr(tracking, "track", boastful)
    lying = accuracy.study(*tiny, seeds=2, jobs=1, pictures=False)
    ours, theirs = (verdicts.figures(results, "tiny", 0.0, False) for results in (seeds, lying))
    judged = [(f.phase, f.source) for f in ours if f.name == "anees" and f.reached]
    assert judged
    for phase, source in judged:
        assert figure(theirs, "anees", phase, source).value > 4.0
        assert figure(theirs, "anees", phase, source).reached is False


def test_false_tracks_are_those_made_of_clutter():
    n = 9
    columns = {name: np.zeros((n, *shape), kind) for name, (kind, shape) in Tracks.COLUMNS.items()}
    columns["track"] = np.repeat([0, 1, 2], 3)
    columns["firm"] = np.array([0, 0, 1, 0, 0, 1, 0, 0, 0], bool)
    columns["detection"] = np.arange(n)
    thing = np.array([0, 0, -1, -1, -1, 0, -1, -1, -1])
    plots = Detections(np.arange(n), np.zeros(n), np.zeros((n, 4)), np.ones((n, 4)), np.ones(n), thing, {"sensors": ["a"]})
    assert accuracy.false_tracks(Tracks(**columns), plots) == 1


@slow_without_compiler
def test_pictures_are_measured_where_asked(tiny, monkeypatch):
    found = accuracy.measure(*tiny, 0)
    assert set(found.samples["source"]) >= {SOURCES.index(f"{n} realtime") for n in NODES if n != "JPN"}
    assert np.isfinite(found.samples["launch"][found.samples["source"] > 3]).any()
    monkeypatch.setattr(fusion, "fuse", None)  # not called without
    assert accuracy.measure(*tiny, 0, pictures=False).samples["source"].max() <= 3


def test_a_flight_without_impact_is_drawn(tmp_path):
    """One that ends in orbit has no impact ellipse, and one that nobody saw has nothing."""
    truth = straight_truth([(0, 0, 0)], [np.arange(0.0, 60.0)])
    seen = seed_of(n=12)
    seen.samples["impact"] = seen.samples["impact_size"] = np.nan
    none = Measured(0, seen.samples[:0], seen.delays[:0], seen.custody[:0], 0, 0.5)
    for k, one in enumerate((seen, none)):
        drawn = charts.draw([one] * 2, truth, "%s", tmp_path / str(k))
        assert [path.name for path in drawn] == [f"{k}-errors.png", f"{k}-nees.png", f"{k}-ellipses.png"]
        assert all(path.stat().st_size > 5000 for path in drawn)
    assert verdicts.figures([none] * 2, "hand", 0.0, False)[0].name == "false_a_day"
    assert "false firm tracks" in verdicts.text(verdicts.figures([none] * 2, "hand", 0.0, False))


def test_means_over_time_leave_out_thin_cells_and_gaps():
    samples = np.zeros(9, SAMPLE)
    samples["time"] = [1, 2, 3, 4, 6, 51, 52, 53, 54]
    time, mean = charts.over_time(samples, np.array([1.0, 2, 3, 6, 99, 1, 1, 1, 1]), seeds=8)
    np.testing.assert_array_equal(time, [2.5, np.nan, 52.5])
    np.testing.assert_array_equal(mean, [3.0, np.nan, 1.0])


# The command ----------------------------------------------------------------------------------------------------------


@slow_without_compiler
def test_the_command_prints_writes_and_draws(tiny, tmp_path):
    unused = [s.name for s in scenarios.load("pull-up-2019").sensors if s.name not in {k.name for k in tiny[0].sensors}]
    file = tmp_path / "small.toml"
    head = f"epoch = 2019-07-24T20:34:00Z\nexclude = {unused!r}\npicture_step_s = 8.0\n"
    file.write_text(head + '[[launch]]\nkind = "record"\nid = "2019-07-25-1"\n')
    asked = ["bench", "accuracy", str(file), "--seeds", "2", "--jobs", "1", "--csv", str(tmp_path / "a.csv")]
    asked += ["--out", str(tmp_path / "new")]
    answer = CliRunner().invoke(cli.cli, asked, catch_exceptions=False)
    assert answer.exit_code == 0 and "Targets reached:" in answer.output and "boost     KOR" in answer.output
    fall = scenarios.load("hokkaido-2017")
    assert populations.SAME in answer.output and populations.told(fall, simulate.fly(fall)) == populations.DRAWN
    with open(tmp_path / "a.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {"position", "anees", "impact", "burnout_median", "false_a_day"} <= {row["name"] for row in rows}
    assert {row["reached"] for row in rows} <= {"True", "False", ""}
    for name in ("errors", "nees", "ellipses"):
        assert (tmp_path / "new" / f"small-{name}.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("asked", "told"),
    [(["hokaido-2017"], "hokkaido-2017"), (["--flights", "nowhere"], "'nowhere'"), (["--out", "nowhere/charts"], "'nowhere'"),
     (["--csv", "a.txt"], "must end in .csv")],
)  # fmt: skip
def test_bad_input_gives_one_sentence(asked, told, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", "accuracy", *asked])
    said = capsys.readouterr().err.strip()
    assert stopped.value.code == 2
    assert told in said and "\n" not in said and "Traceback" not in said


def test_the_bound_forgets_what_nobody_could_tell_to_be_the_same():
    """Three plots of a boost and some 300 s later: a linear bound knows the velocity by them to what no track knows, as it begins anew."""
    scenario = scenarios.load("hokkaido-2017")
    truth = simulate.fly(scenario)
    plots = simulate.detect(truth, replace(scenario, bias=0.0), seed=0)
    own = metrics.own_sensors(plots.meta["sensors"], scenario, NODES.index("JPN"))
    plots = plots[own[plots.sensor] & (plots.object == 0)]
    few, late = plots[plots.time < 110.0][:3], plots[plots.time > 400.0]
    both = plots[(plots.time <= few.time[-1]) | (plots.time > 400.0)]
    limit, best = accuracy._limits(truth, scenario, "JPN", 0, both)
    whole, alone = (bounds.bound(truth, scenario, "JPN", detections=d) for d in (both, late))
    after, before = limit.time >= late.time[0], limit.time < late.time[0]
    assert np.allclose(limit.P[after], alone.P) and np.array_equal(limit.time[after], alone.time)
    assert np.array_equal(limit.P[before], whole.P[whole.time < late.time[0]]) and (np.diff(limit.time) > 0).all()
    soon = np.searchsorted(whole.time, late.time[0] + 5.0)
    assert whole.velocity[soon] < 0.7 * alone.velocity[soon - before.sum()]
    # what the true equations foresee, a track may have kept; and so nothing is forgotten where plots are many
    assert accuracy.silence(replace(best, P=1e-12 * best.P), truth, scenario, "JPN", 0, both) == np.inf
    assert accuracy.silence(best, truth, scenario, "JPN", 0, both) == late.time[0]
    assert np.array_equal(accuracy._limits(truth, scenario, "JPN", 0, plots)[0].P, bounds.bound(truth, scenario, "JPN", detections=plots).P)


def test_each_seed_flies_a_ballistic_coefficient_of_its_own():
    """From the filters' prior, the same for the same seed, and the impact moves; a body with lift stays what it is."""
    fall, glide = scenarios.load("hokkaido-2017"), scenarios.load("pull-up-2019")
    truth = simulate.fly(fall)
    draws = [accuracy.population(fall, truth, seed).launches[0].beta for seed in range(300)]
    assert accuracy.population(fall, truth, 7).launches[0].beta == draws[7]
    assert abs(np.mean(np.log(draws)) - filters.LOG_BETA[0]) < 4 * filters.LOG_BETA[1] / np.sqrt(300)
    assert abs(np.std(np.log(draws)) / filters.LOG_BETA[1] - 1.0) < 0.2
    other = simulate.fly(accuracy.population(fall, truth, int(np.argmin(draws))))
    assert np.linalg.norm(other.x[-1, :3] - truth.x[-1, :3]) > 500.0
    assert accuracy.population(glide, simulate.fly(glide), 0) == glide


def test_each_seed_flies_a_drag_curve_an_attitude_a_thrust_and_a_wind_of_its_own():
    """Drag off the curve, forces across and pushes with the filters' own variances and memory; where the boost ends hardly changes."""
    draws = np.array([populations.unsteady(np.random.default_rng(seed)) for seed in range(2000)])
    at, third = flight.PARAMETERS, flight.HYPERSONIC / 3.0
    p = np.hstack([np.zeros((2000, at)), draws])
    assert draws.shape[1] == flight.UNSTEADY
    off = np.array([flight.off_the_curve(third, row) for row in p])
    assert abs(off.std() / np.sqrt(filters.CURVE * np.log(3.0)) - 1.0) < 0.06
    assert flight.off_the_curve(5.1, p[0]) == 0.0 and flight.off_the_curve(1e-9, p[0]) == p[0, at + flight.KNOTS - 1]
    assert np.allclose(p[:, flight.WIND : flight.ROUGH].std(axis=0), motions.WIND, rtol=0.06)
    long, short = filters.STEERING / 2.0, filters.THRUST_JERK / 2.0
    for axis, place, variance, memory in (
        (0, flight.ATTITUDE, (filters.DRAG_ERROR + filters.TRIM) / 2.0, 1.0), (1, flight.ATTITUDE + 1, filters.TRIM / 2.0, 1.0),
        (2, flight.ATTITUDE + 1, filters.TRIM / 2.0, 1.0), *((axis, flight.ROUGH, long, 1.0) for axis in (3, 4, 5)),
        (6, flight.ROUGH + 1, short * 30.0, 30.0),
    ):  # fmt: skip
        force = np.array([[row[place] * flight.swaying(axis, 700.0 + t * memory, row) for t in (0.0, 1.0, 7.0)] for row in p])
        wanted = variance * np.exp(-np.array([0.0, 1.0, 7.0]))
        assert np.allclose(force.T @ force[:, 0] / 2000, wanted, atol=0.1 * wanted[0])


def test_pushes_leave_range_apogee_and_direction_at_burnout_what_they_are():
    """Within 5 % of each over 8 draws; the boost is off its plan, and other bodies with the same boost come down elsewhere."""
    fall = scenarios.load("hokkaido-2017")
    planned = simulate.trajectories(fall.launches[0])[0][0]
    truth = simulate.fly(fall)
    end = np.flatnonzero(planned.time >= planned.burnouts[-1])[0]
    for seed in (7, 6, 5, 4, 3, 2, 1, 0):
        drawn = accuracy.population(fall, truth, seed).launches[0]
        flown = simulate.trajectories(drawn)[0][0]
        assert abs(flown.apogee / planned.apogee - 1.0) < 0.05 and abs(flown.downrange[-1] / planned.downrange[-1] - 1.0) < 0.05
        v, way = flown.x[end, 3:], planned.x[end, 3:]
        assert np.linalg.norm(np.cross(v, way)) < 1e-4 * np.linalg.norm(v) * np.linalg.norm(way)
        assert 100.0 < np.linalg.norm(flown.x[: end + 1, :3] - planned.x[: end + 1, :3], axis=1).max() < 20e3
    still = (*drawn.unsteady[: flight.ATTITUDE - flight.PARAMETERS], *np.zeros(4), *drawn.unsteady[flight.ROUGH - flight.PARAMETERS :])
    quiet = simulate.trajectories(replace(drawn, unsteady=still))[0][0]
    assert np.array_equal(quiet.x[:end], flown.x[:end]) and np.linalg.norm(quiet.x[-1, :3] - flown.x[-1, :3]) > 30.0


def test_it_is_said_before_how_long_a_measurement_takes():
    """In proportion to seeds, seconds in the air, and times; over cores; after the kernels are loaded."""
    scenario, first = scenarios.load("pull-up-2019"), verdicts.LOADING
    each = float(np.ptp(simulate.fly(scenario).time)) * verdicts.SPENT
    assert 200 * each > 100.0 > 3 * each + first
    told = f"200 seeds of 1 scenario: about {(200 * each + first) / 60:.0f} min on 1 core"
    assert verdicts.said_before([scenario], 200, 1, None, 1) == told
    assert verdicts.said_before([scenario] * 2, 1, 2, None, 3) == f"1 seed of 2 scenarios: about {3 * each + first:.0f} s on 2 cores"
    told = verdicts.said_before([], 1, 1, 20, 1)
    launches = int(told.split()[0])
    assert 1 < launches < 20
    assert told == f"{launches} launches of the record: about {launches * verdicts.LAUNCH + first:.0f} s on 1 core"
