"""Bootstrap intervals against scipy's, their coverage by simulation, pairing, and what a study prints."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from copfuse import intervals
from copfuse.errors import CopfuseError
from copfuse.intervals import Interval, bootstrap, comparing, difference, paired
from copfuse.kernels.medians import weighted_medians
from copfuse.tidy import Study
from made_studies import made_study


@pytest.mark.parametrize("statistic, function", [("mean", np.mean), ("median", np.median)])
def test_independent_values_get_the_interval_of_scipy(statistic, function):
    """One value a cluster is the ordinary bootstrap; two estimates of one quantile from 20 000 resamples differ by their own spread."""
    values = np.random.default_rng(1).exponential(10.0, 40)
    ours = bootstrap(values, np.arange(40), statistic, resamples=20_000, widen=False)
    theirs = stats.bootstrap((values,), function, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2))
    assert ours.value == pytest.approx(function(values), rel=1e-12)
    drawn = theirs.bootstrap_distribution
    for end, tail in ((ours.low, 0.025), (ours.high, 0.975)):  # five standard errors of a share, twice over
        slack = 5.0 * math.sqrt(2.0 * 0.025 * 0.975 / 20_000)
        low, high = np.quantile(drawn, (tail - slack, tail + slack))
        assert low - 1e-9 <= end <= high + 1e-9
    wide = bootstrap(values, np.arange(40), statistic, resamples=20_000)
    assert wide.low <= ours.low and wide.high >= ours.high and wide.high - wide.low > ours.high - ours.low


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 1, 2, 5), (2, 2, 2)])
def test_resampled_statistics_are_those_of_the_values_written_out(sizes):
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    values = rng.integers(0, 6, len(cluster)).astype(float)  # with ties
    counts = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=50)
    written = [np.repeat(values, row[cluster]) for row in counts]
    np.testing.assert_allclose(intervals.resampled_means(values, cluster, counts), [w.mean() for w in written])
    np.testing.assert_array_equal(intervals.resampled_medians(values, cluster, counts), [np.median(w) for w in written])


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_weighted_medians_are_those_of_counts_summed_up(n, k, seed):
    """The kernel against numpy: where the summed counts of values in rising order reach the middle ones."""
    rng = np.random.default_rng(seed)
    values, cluster = np.sort(rng.integers(0, 9, n).astype(float)), rng.permutation(np.r_[np.arange(k), rng.integers(k, size=n)])[:n]
    counts = rng.multinomial(k, np.full(k, 1.0 / k), size=20)
    counts = counts[counts[:, cluster].sum(axis=1) > 0]
    upto, out = np.cumsum(counts[:, cluster], axis=1), np.empty(len(counts))
    weighted_medians(values, cluster, counts, out)
    middle = [[np.searchsorted(row, rank, side="right") for rank in ((row[-1] - 1) // 2, row[-1] // 2)] for row in upto]
    np.testing.assert_array_equal(out, values[np.array(middle, int).reshape(-1, 2)].mean(axis=1))


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_intervals_hold_the_truth_as_often_as_they_say(statistic):
    """Twelve launches of five seeds whose errors have most in common: 95 % within the spread of so many trials; seeds taken as
    independent would hold it far less often."""
    trials, rng = 500, np.random.default_rng(5)
    cluster = np.repeat(np.arange(12), 5)
    held = alone = 0
    for k in range(trials):
        values = rng.normal(0.0, 3.0, 12)[cluster] + rng.normal(0.0, 1.0, 60)
        found = bootstrap(values, cluster, statistic, resamples=400, seed=k)
        held += found.low <= 0.0 <= found.high
        naive = bootstrap(values, np.arange(60), statistic, resamples=400, seed=k)
        alone += naive.low <= 0.0 <= naive.high
    spread = 4.0 * math.sqrt(0.95 * 0.05 / trials)
    assert 0.95 - spread <= held / trials <= 0.95 + spread
    assert alone / trials < 0.75


@pytest.mark.parametrize("n", [6, 10, 137])
def test_widening_is_that_of_student(n):
    """Of n normal values the bootstrap's standard error is s/sqrt(n) with n in place of n - 1 in s: widened, t s/sqrt(n) comes out."""
    z = stats.norm.ppf(0.5 + 0.5 * intervals.widened(0.95, n))
    assert z * math.sqrt((n - 1) / n) == pytest.approx(stats.t.ppf(0.975, n - 1), rel=1e-9)


def test_few_launches_carry_no_interval():
    found = bootstrap([1.0, 2.0, 3.0], [0, 0, 1])
    assert found.value == 2.0 and math.isnan(found.low) and found.sure == 0
    assert all(math.isnan(v) for v in vars(bootstrap([], [])).values())
    same = bootstrap(np.zeros(30), np.arange(30), "median")
    assert same == Interval(0.0, 0.0, 0.0) and same.sure == 0
    assert (Interval(2.0, 1.0, 3.0).sure, Interval(-2.0, -3.0, -1.0).sure, Interval(1.0, 0.0, 2.0).sure) == (1, -1, 0)
    with pytest.raises(CopfuseError, match="did you mean 'median'"):
        bootstrap([1.0], [0], "medien")


def test_flights_are_paired_by_launch_object_seed_and_node():
    study = made_study(launches=3, seeds=2)
    shuffled = study[np.random.default_rng(6).permutation(len(study))]
    launch, ours, theirs = paired(shuffled.columns, "firm_s", "realtime", "none", shuffled.columns["node"] == "JPN")
    by_hand = {}
    c = study.columns
    for i in np.flatnonzero(c["node"] == "JPN"):
        by_hand.setdefault((c["launch"][i], c["seed"][i]), {})[c["regime"][i]] = c["firm_s"][i]
    expected = sorted((k[0], v["realtime"], v["none"]) for k, v in by_hand.items())
    got = sorted(zip(launch.tolist(), ours.tolist(), theirs.tolist(), strict=True))
    np.testing.assert_array_equal(np.array([g[1:] for g in got]), np.array([e[1:] for e in expected]))
    assert [g[0] for g in got] == [e[0] for e in expected] and len(got) == 6


def test_a_difference_counts_never_beside_how_much():
    """Six low flights that Japan never tracks alone, six that it does 20 s later: 20 s over those six, and half of all only when shared."""
    rows = []
    for i in range(12):
        for regime, firm in (("none", 60.0 if i < 6 else np.nan), ("realtime", 40.0)):
            rows.append((f"l{i:02}", regime, firm))
    n = len(rows)
    columns = made_study(1, 1).columns
    columns = {name: np.repeat(column[:1], n) for name, column in columns.items()}
    columns |= {"launch": np.array([r[0] for r in rows]), "regime": np.array([r[1] for r in rows]), "node": np.repeat("JPN", n),
                "firm_s": np.array([r[2] for r in rows])}  # fmt: skip
    found = difference(columns, "firm_s", "realtime")
    assert (found.launches, found.flights, found.both_launches, found.both) == (12, 12, 6, 6)
    assert found.gain == Interval(20.0, 20.0, 20.0)
    assert found.only.value == pytest.approx(50.0) and 5.0 < found.only.low < 50.0 < found.only.high < 95.0


def test_each_difference_is_found_once(monkeypatch):
    """However often it is asked for, in the print and in the report, and as by itself."""
    study, asked = made_study(8, 2), []
    monkeypatch.setattr(intervals, "bootstrap", lambda *a, **k: asked.append(a) or bootstrap(*a, **k))
    found = [study.compare("custody", "plots", "none", "KOR"), study.compare("custody", "plots", "none", "KOR", "all")]
    assert found[0] is found[1] and len(asked) == 2
    assert found[0] == difference(study.columns, "custody", "plots", "none", "KOR")
    assert comparing(study.columns)("firm_s", "realtime", "none", "JPN", "MRBM") == difference(
        study.columns, "firm_s", "realtime", missile_class="MRBM"
    )


def test_names_that_a_study_does_not_have_are_refused():
    columns = made_study(1, 1).columns
    with pytest.raises(CopfuseError, match="did you mean 'realtime'"):
        difference(columns, "firm_s", "realtme")
    with pytest.raises(CopfuseError, match="did you mean 'firm_s'"):
        difference(columns, "firms", "realtime")


def test_the_print_of_a_study():
    study = made_study(launches=24, seeds=2)
    text = str(study)
    lines = text.splitlines()
    assert "24 launches x 2 seeds" in lines[0] and "Made by: copfuse study earlier-detection" in lines
    assert "invented numbers" in text and "1 launch is not flown" in text
    (japan,) = [line for line in lines if line.startswith("firm track earlier, s      JPN") and line.count("[") == 4]
    found = difference(study.columns, "firm_s", "realtime")
    assert f"{found.gain.value:.1f} [{found.gain.low:.1f}, {found.gain.high:.1f}]" in japan and "0.0 [0.0, 0.0]" in japan
    assert any(line.startswith("realtime: median firm track earlier for JPN, USA; no difference") for line in lines)
    assert any(line.startswith("tisa: no difference of the median shown for KOR, JPN, USA.") for line in lines)
    assert "nan" not in text and "-0.0" not in text and max(map(len, lines)) <= 145


def test_too_few_launches_carry_no_conclusion():
    text = str(made_study(launches=4, seeds=20))
    assert "[few]" in text and "earlier for" not in text
    assert "realtime: too few launches to say for KOR, JPN, USA." in text and "no difference" not in text


def test_a_study_comes_back(tmp_path):
    study = made_study(launches=3, bounds=True)
    back = Study.load(study.save(tmp_path / "study"))
    assert back.meta == study.meta and list(back.columns) == list(study.columns)
    for name, column in study.columns.items():
        assert back.columns[name].dtype.kind == column.dtype.kind
        np.testing.assert_array_equal(back.columns[name], column)
    with pytest.raises(CopfuseError, match="no finished study"):
        Study.load(tmp_path)
    (tmp_path / "study" / "study.csv").write_text("launch,object\n")
    with pytest.raises(CopfuseError, match="columns are those of another version"):
        Study.load(tmp_path / "study")
    (tmp_path / "file").write_text("")
    with pytest.raises(CopfuseError, match="cannot save"):
        study.save(tmp_path / "file")
