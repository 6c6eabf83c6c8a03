"""The frozen cases: small, the same for everybody, without labels for an entrant, and still what the code makes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from copfuse import bounds, frozen, metrics, motion, network, scenario, sensors, simulate
from copfuse.constants import NATIONS, NODES
from copfuse.errors import CopfuseError
from copfuse.tables import PLOT, Detections, Tracks
from copfuse.timely import timely

ROOT = Path(__file__).parents[1]
TWINS = ("separation", "biased", "clutter", "delayed", "outage")  # of mrbm


@pytest.fixture(scope="module")
def cases():
    """All of them, out of the checkout."""
    return {name: frozen.load(name) for name in frozen.names()}


@pytest.fixture(scope="module")
def flown():
    """The whole truth of some, before it was thinned."""
    return {name: simulate.fly(scenario.load(frozen.path(name))) for name in ("mrbm", "pull-up", "boost-failure", "recorded")}


def test_every_case_is_there_small_and_says_what_it_tests(cases):
    assert set(frozen.quick()) < set(frozen.names()) and len(cases) == 16
    folder = frozen.path("srbm").parent
    assert sorted(p.stem for p in folder.glob("*.toml")) == sorted(frozen.names())
    for name, case in cases.items():
        assert sorted(p.name for p in (frozen.SYNTHETIC / name).iterdir()) == ["detections.npz", "limit.npz", "truth.npz"]
        assert case.name == name and "Tests " in case.about and "notional" in case.about and len(case.about) > 200
        assert len({case.title for case in cases.values()}) == len(cases)
        assert case.provenance["agrees"] in ("byte for byte", "but for rounding")
        assert case.provenance["seed"] == case.detections.meta["seed"] and case.provenance["command"] == "python data/build_synthetic.py"
    assert sum(p.stat().st_size for p in frozen.SYNTHETIC.rglob("*.npz")) < 12e6


def test_the_cases_hold_what_their_words_say(cases):
    kinds = {name: [about["kind"] for about in case.truth.meta["objects"]] for name, case in cases.items()}
    assert kinds["raid-100"] == ["missile"] * 100 and kinds["salvo-10"] == ["missile"] * 10
    assert sorted(kinds["separation"]) == ["debris"] * 4 + ["missile", "stage"] and kinds["boost-failure"].count("debris") == 8
    assert all(kinds[name] == ["missile"] for name in set(cases) - {"raid-100", "salvo-10", "separation", "boost-failure"})
    false = {name: int((case.detections.object < 0).sum()) for name, case in cases.items()}
    assert 8 * false["mrbm"] < false["clutter"] < 12 * false["mrbm"]
    assert (cases["glide"].truth.phase == 3).any() and "pull-up" in cases["pull-up"].truth.meta["objects"][0]["about"]
    plots = cases["lofted-icbm"].detections
    assert np.diff(plots.time[plots.object == 0]).max() > 1500.0
    assert cases["recorded"].scenario.launches[0].kind == "recorded"
    salvo = cases["salvo-10"]
    x = metrics.true_states(salvo.truth, np.arange(150.0, 300.0, 0.25))[:, :, :3]
    for k in range(5):  # north 1, south 1, north 2, ...: each pair crosses within a kilometre
        assert np.linalg.norm(x[:, 2 * k] - x[:, 2 * k + 1], axis=1).min() < 1e3


def test_twins_differ_in_one_thing_from_their_control(cases):
    control = cases["mrbm"]
    for name in TWINS:
        twin = cases[name]
        missile, plots = twin.truth[twin.truth.object == 0], twin.detections
        assert all(np.array_equal(getattr(missile, c), getattr(control.truth, c)) for c in missile.COLUMNS)
        if name == "biased":
            assert twin.scenario.bias == 5.0 and not np.array_equal(plots.z, control.detections.z, equal_nan=True)
            continue
        chosen = plots.object <= 0 if name == "separation" else plots.object >= -(name != "clutter")
        seen = plots[chosen & (plots.time <= control.scenario.duration)]
        for column in ("time", "z", "sigma"):
            mine, whole = getattr(seen, column), getattr(control.detections, column)
            other = whole[control.detections.object == 0] if name == "clutter" else whole
            assert np.array_equal(mine, other, equal_nan=True), (name, column)


# What an entrant sees ---------------------------------------------------------------------------------------------------


def test_a_blind_case_holds_nothing_of_the_truth(cases):
    for case in cases.values():
        plots, about = frozen.blind(case)
        assert (plots.object == -1).all() and about.launches == () and about.title == about.description == ""
        assert sorted(plots.meta) == ["absent", "scenario", "schedule", "sensors"]
        assert about.duration % 60.0 == 0.0 and 0.0 <= about.duration - case.truth.time.max() < 60.0
        assert (about.name, about.epoch, about.regime) == (case.name, case.scenario.epoch, case.scenario.regime)
        assert (about.bias, about.clutter, about.sensors) == (case.scenario.bias, case.scenario.clutter, case.scenario.sensors)
        said = f"{plots.meta} {about}"
        assert not [o["name"] for o in case.truth.meta["objects"] if o["name"] in said and o["name"] != case.name]


def test_a_blind_table_is_the_same_whatever_the_labels(cases):
    case = cases["pull-up"]
    columns = {name: getattr(case.detections, name) for name in case.detections.COLUMNS}
    other = Detections(**{**columns, "object": columns["object"][::-1]}, meta={**case.detections.meta, "seed": 99})
    told = replace(case, detections=other)
    assert frozen.blind(told)[0].uid == frozen.blind(case)[0].uid != case.detections.uid != other.uid


def test_neither_order_nor_accuracy_tells_a_false_plot(cases):
    for case in cases.values():
        plots, about = frozen.blind(case)
        order = np.lexsort((plots.z[:, 1], plots.sensor, plots.time))
        assert np.array_equal(order, np.arange(len(plots)))  # within a scan by what was measured
        for number in np.unique(plots.sensor).tolist():
            mine = plots[plots.sensor == number]
            stated = sensors.accuracy(about.sensors[number], mine.snr, mine.z[:, 1], mine.z[:, 2])
            assert np.array_equal(stated, mine.sigma, equal_nan=True)  # of every plot by what was measured


def test_a_tracker_works_on_a_blind_case_and_labels_change_nothing(cases):
    from copfuse import fusion, tracking

    case = cases["pull-up"]
    plots, about = frozen.blind(case)
    made = []
    for seen, known in ((plots, about), (case.detections, case.scenario)):
        early = seen[seen.time < 80.0]
        tracks = tracking.track(early, known)
        made.append(fusion.fuse(tracks, network.share(tracks, known, detections=early), known, detections=early))
    assert len(made[0]) > 10
    assert all(np.array_equal(getattr(made[0], c), getattr(made[1], c), equal_nan=True) for c in made[0].COLUMNS)


# When plots arrive --------------------------------------------------------------------------------------------------------


def test_arrivals_are_what_sharing_says_and_depend_on_nothing_hidden_or_later(cases):
    for name, case in cases.items():
        plots, about = frozen.blind(case)
        assert np.array_equal(frozen.arrivals(plots, about), case.arrived, equal_nan=True)
        assert not (case.arrived <= plots.time).any()
        if name not in ("delayed", "outage", "salvo-10"):
            continue
        part = frozen.arrivals(plots[: len(plots) // 2], about)
        assert np.array_equal(part, case.arrived[: len(part)], equal_nan=True)
        messages = network.share(Tracks.empty(), about, detections=plots)
        mine = messages[(messages.kind == PLOT) & (messages.target == NODES.index("HUB"))]
        for row in (0, len(plots) // 3, len(plots) - 1):
            ways = mine.arrived[mine.row == row]
            assert np.array_equal(case.arrived[row], ways[0] if len(ways) == 1 else np.nanmin(ways), equal_nan=True)


def test_delayed_plots_come_late_out_of_order_and_some_twice_or_never(cases):
    case = cases["delayed"]
    delay = case.arrived - case.detections.time
    assert 0.01 < np.isnan(delay).mean() < 0.03 and np.nanmedian(delay) > 4.0 and np.nanmax(delay) > 20.0
    arrived = case.arrived[np.isfinite(delay)]
    assert np.mean(np.diff(arrived) < 0.0) > 0.2
    messages = network.share(Tracks.empty(), case.scenario, detections=case.detections)
    assert 0.03 < len(messages) / len(case.detections) - 1.0 < 0.07


def test_an_outage_takes_one_nation_for_two_minutes_and_nothing_else(cases):
    case = cases["outage"]
    nation = np.array([NATIONS.index(s.nation) for s in case.scenario.sensors])[case.detections.sensor]
    gone = (nation == NATIONS.index("USA")) & (case.detections.time >= 120.0) & (case.detections.time < 240.0)
    assert np.array_equal(np.isnan(case.arrived), gone) and gone.sum() > 300


def test_a_regime_that_brings_no_plots_is_refused_and_so_is_a_scenario_without_end(cases):
    plots, about = frozen.blind(cases["pull-up"])
    with pytest.raises(CopfuseError, match="'realtime' brings no plots to HUB"):
        frozen.arrivals(plots, replace(about, regime="realtime"))
    with pytest.raises(CopfuseError, match="no duration"):
        frozen.times(replace(about, duration=None))
    assert frozen.times(replace(about, duration=60.0, picture_step=20.0)).tolist() == [0.0, 20.0, 40.0, 60.0]


# Truth and bound ------------------------------------------------------------------------------------------------------------


def test_thinned_truth_is_the_whole_one_to_centimetres(cases, flown):
    rng = np.random.default_rng(1)
    for name, whole in flown.items():
        thin = cases[name].truth
        assert len(thin) < (0.8 if name == "recorded" else 0.3) * len(whole) and thin.meta == whole.meta  # a webcast is rough
        for number in range(len(whole.meta["objects"])):
            a, b = whole[whole.object == number], thin[thin.object == number]
            time = np.r_[a.time, rng.uniform(a.time[0], a.time[-1], 2000)]
            error = motion.interpolate(a.time, a.x, time) - motion.interpolate(b.time, b.x, time)
            assert np.linalg.norm(error[:, :3], axis=1).max() < 0.05 and np.linalg.norm(error[:, 3:], axis=1).max() < 1e-3
            first, last = (rows.time[[0, -1]] for rows in (a, b))
            assert np.array_equal(first, last)
            phases = [t.phase[np.searchsorted(t.time, time, side="right") - 1] for t in (a, b)]
            assert np.array_equal(*phases)


def test_the_bound_of_what_has_arrived_is_the_bound_of_those_plots(cases, flown):
    """Each time's, by brute force: `bounds.bound` of the plots that were there, and no others."""
    case, whole = cases["delayed"], flown["mrbm"]
    at = np.array([70.0, 115.0, 200.0, 400.0, 560.0])
    best = timely(whole, case.scenario, case.detections, case.arrived, at)
    assert np.array_equal(best.time, at)
    for k, now in enumerate(at):
        there = case.detections[(case.detections.time <= now) & (case.arrived <= now)]
        naive = bounds.bound(whole, case.scenario, "HUB", detections=there)
        row = np.searchsorted(naive.time, now)
        assert naive.time[row] == now
        assert best.position[k] == pytest.approx(naive.position[row], rel=0.01), now
        assert best.velocity[k] == pytest.approx(naive.velocity[row], rel=0.01), now


def test_without_delay_it_is_the_bound_and_delay_never_helps(cases, flown):
    case, whole = cases["pull-up"], flown["pull-up"]
    at = np.arange(40.0, 300.0, 20.0)
    prompt = timely(whole, case.scenario, case.detections, case.detections.time, at)
    whole_bound = bounds.bound(whole, case.scenario, "HUB", detections=case.detections)
    rows = np.searchsorted(whole_bound.time, prompt.time)
    assert np.allclose(prompt.P, whole_bound.P[rows], rtol=1e-9)
    late = timely(whole, case.scenario, case.detections, case.detections.time + 5.0, at)
    assert (late.position >= prompt.position[-len(late.time) :] * (1.0 - 1e-9)).all() and len(late.time) <= len(prompt.time)
    none = timely(whole, case.scenario, case.detections, np.full(len(case.detections), np.nan), at)
    assert len(none.time) == 0


def test_the_frozen_bound_stands_at_picture_times_from_the_first_plot_on(cases):
    for name, case in cases.items():
        limit, grid = case.limit, frozen.times(case.scenario)
        assert np.isin(limit.time, grid).all()
        for number in [k for k, about in enumerate(case.truth.meta["objects"]) if about["kind"] == "missile"]:
            life = case.truth.time[case.truth.object == number][[0, -1]]
            mine = limit[limit.object == number]
            assert np.array_equal(mine.time, grid[(grid >= life[0]) & (grid <= life[1])]), name
            first = np.nanmin(case.arrived[case.detections.object == number], initial=np.inf)
            known = mine.time >= first
            assert np.array_equal(np.isfinite(mine.position), known) and np.array_equal(np.isfinite(mine.velocity), known)
            assert (mine.position[known] > 0.0).all() and (mine.velocity[known] > 0.0).all()


# The same for everybody -------------------------------------------------------------------------------------------------------


def test_the_code_still_makes_a_frozen_case(build, capsys):
    """After an intended change run ``python data/build_synthetic.py`` and commit what it writes; CI checks all."""
    assert build.main(["--check", "pull-up"]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.startswith("pull-up: the same")
    assert build.main(["--check", "pull-upp"]) == 2 and "did you mean 'pull-up'?" in capsys.readouterr().err


def test_a_changed_byte_and_a_changed_table_are_refused_in_one_sentence(cases, tmp_path):
    case = cases["pull-up"]
    home = frozen.save(case, tmp_path)
    assert frozen.load("pull-up", tmp_path).provenance["from"] == str(home)
    data = bytearray((home / "detections.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (home / "detections.npz").write_bytes(data)
    with pytest.raises(CopfuseError, match="detections.npz"):
        frozen.load("pull-up", tmp_path)
    columns = {name: getattr(case.detections, name) for name in case.detections.COLUMNS}
    for column, change, told in (("z", 1.0 + 1e-5, "detections.z differs"), ("object", 0, "detections.object differs")):
        other = Detections(**{**columns, column: columns[column] * change}, meta=case.detections.meta)
        frozen.save(replace(case, detections=other), tmp_path)
        with pytest.raises(CopfuseError, match=f"is not the frozen one .*{told}") as caught:
            frozen.load("pull-up", tmp_path)
        assert "\n" not in str(caught.value)
    frozen.save(replace(case, detections=case.detections[1:]), tmp_path)
    with pytest.raises(CopfuseError, match="detections.time has 2599 rows, not 2600"):
        frozen.load("pull-up", tmp_path)
    shutil.rmtree(home)
    with pytest.raises(CopfuseError, match="there is no table at"):
        frozen.load("pull-up", tmp_path)
    with pytest.raises(CopfuseError, match="there is no frozen case 'pull'.*did you mean"):
        frozen.load("pull")


def test_another_machine_s_rounding_passes_and_is_said(cases, tmp_path):
    case = cases["pull-up"]
    columns = {name: getattr(case.detections, name) for name in case.detections.COLUMNS}
    other = Detections(**{**columns, "z": columns["z"] * (1.0 + 1e-13)}, meta=case.detections.meta)
    frozen.save(replace(case, detections=other), tmp_path)
    assert frozen.load("pull-up", tmp_path).provenance["agrees"] == "but for rounding"


def test_rows_that_change_places_are_noticed(cases):
    then = frozen.summary(cases["pull-up"])
    z = np.array(cases["pull-up"].limit.position)
    z[[50, 60]] = z[[60, 50]]
    now = frozen.summary(replace(cases["pull-up"], limit=replace(cases["pull-up"].limit, position=z)))
    assert frozen.differences(now, then) == ["limit.position differs"] and frozen.differences(then, then) == []


def test_without_a_checkout_a_case_is_made_again_and_held_against_the_checksums(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, "SYNTHETIC", tmp_path)
    again = frozen.load("pull-up")
    assert again.provenance["from"] == "made in memory" and again.provenance["agrees"] in ("byte for byte", "but for rounding")
    assert np.allclose(again.detections.z, cases["pull-up"].detections.z, equal_nan=True, rtol=1e-9)
    monkeypatch.setattr(frozen, "made", lambda name: replace(again, arrived=again.arrived + 1e-3))
    with pytest.raises(CopfuseError, match="made here by copfuse .* is not the frozen one \\(arrived differs\\)"):
        frozen.load("pull-up")


def test_a_case_s_scenario_file_can_be_run_by_its_path(cases):
    about = scenario.load(str(frozen.path("outage")))
    assert about == replace(cases["outage"].scenario, duration=None)
    assert network.regime(about.regime).name == "outage"
