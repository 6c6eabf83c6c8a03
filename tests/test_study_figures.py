"""Figures of the study: right numbers from tidy rows, and on every sheet units, a legend, the notional note and provenance."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from copfuse import study_figures as sf
from copfuse.curves import NODE_COLOURS
from copfuse.errors import CopfuseError
from copfuse.sheets import REGIME_COLOURS, colours

NUMBERS = (
    "flight_time_s", "apogee_km", "range_km", "first_plot_s", "first_plot_km", "told_s", "firm_s", "firm_km", "own_s", "ellipse50_s",
    "ellipse50_left_s", "ellipse10_s", "ellipse10_left_s", "firm_left_s", "lost_s", "lost_km", "custody", "boost_custody",
    "midcourse_custody", "terminal_custody", "error60_m", "error120_m", "error300_m", "bound60_m", "bound120_m", "bound300_m",
    "boost_rms_m", "midcourse_rms_m", "terminal_rms_m", "ambiguity", "commonality", "age_s",
)  # fmt: skip
COLUMNS = ("launch", "object", "missile_class", "manoeuvre", "cueing", "without", "regime", "seed", "node", *NUMBERS)
REGIMES = ("none", "tisa", "gsomia", "realtime", "plots")
META = {
    "launches": ["2016-01-01-1", "2016-01-09-1"], "laydown": "northeast-asia", "regimes": dict.fromkeys(REGIMES, "a title"),
    "seeds": list(range(4)), "copfuse": "0.0", "since": 2016, "cues": True,
    "command": "copfuse study earlier-detection --since 2016 --seeds 4",
}  # fmt: skip
# class, apogee km, range km, flight time s, and s after ignition at which each nation's own sensors are firm
FLIGHTS = [
    ("SRBM", 48.0, 400.0, 290.0, (45.0, 95.0, 42.0)),
    ("SRBM", 97.0, 380.0, 330.0, (44.0, 85.0, 41.0)),
    ("SRBM", 24.0, 220.0, 190.0, (47.0, np.nan, 44.0)),
    ("MRBM", 260.0, 1000.0, 620.0, (46.0, 92.0, 40.0)),
    ("IRBM", 770.0, 3700.0, 1150.0, (44.0, 88.0, 40.0)),
    ("ICBM", 6100.0, 1000.0, 4150.0, (52.0, 110.0, 45.0)),
]
LAG = {"none": np.nan, "tisa": 1800.0, "gsomia": 3600.0, "realtime": 8.0, "plots": 0.5}


def table(times: int = 3, seeds: int = 4, regimes: tuple[str, ...] = REGIMES) -> dict[str, np.ndarray]:
    """A made-up study with the columns of a real one: each flight ``times`` times, what is shared arrives LAG s later."""
    rng, rows = np.random.default_rng(7), []
    for number in range(times * len(FLIGHTS)):
        kind, apogee, reach, whole, firm = FLIGHTS[number % len(FLIGHTS)]
        for seed in range(seeds):
            own = np.array(firm) + rng.normal(0.0, 3.0, 3)
            for regime in regimes:
                for k, node in enumerate(("KOR", "JPN", "USA", "HUB")):
                    first = np.nanmin(own) + LAG[regime]
                    mine = own[k] if k < 3 else np.nan
                    when = float(np.fmin(mine, first))
                    when = when if when < whole else np.nan
                    ellipse = when + 130.0 if when + 130.0 < whole else np.nan
                    good = {"none": 1.0, "tisa": 1.0, "gsomia": 1.0, "realtime": 0.5, "plots": 0.3}[regime]
                    row = dict.fromkeys(COLUMNS, np.nan)
                    low = apogee < 90.0
                    row |= dict(
                        launch=f"{2016 + number % 9}-{1 + number % 12:02d}-{1 + number % 28:02d}-1", object=0, missile_class=kind,
                        manoeuvre="none", cueing=1, without="", regime=regime, seed=seed, node=node, flight_time_s=whole, apogee_km=apogee,
                        range_km=reach, told_s=when, firm_s=when, own_s=mine, ellipse50_s=ellipse, ellipse50_left_s=whole - ellipse,
                        firm_left_s=whole - when, lost_s=0.8 * whole if low and k == 1 else np.nan, boost_rms_m=900.0 * good,
                        custody=0.0 if np.isnan(when) else 0.95 - when / whole, terminal_rms_m=400.0 * good,
                        midcourse_rms_m=np.nan if apogee < 100.0 else 300.0 * good * (1 + k) * rng.lognormal(0.0, 0.2),
                    )  # fmt: skip
                    rows.append(row)
    return {name: np.array([row[name] for row in rows]) for name in COLUMNS}


@pytest.fixture(scope="module")
def study() -> SimpleNamespace:
    return SimpleNamespace(columns=table(), meta=META)


def texts(figure) -> str:
    """Every word on a figure."""
    from matplotlib.text import Text

    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


def test_seconds_earlier_are_those_of_a_loop(study):
    """Paired differences against a plain loop over rows that looks its partner up by hand."""
    c = study.columns
    found = sf.paired(c, "firm_s", "realtime")
    by_hand = {}
    for i in range(len(c["regime"])):
        key = (c["launch"][i], int(c["object"][i]), int(c["seed"][i]), c["node"][i])
        by_hand.setdefault(key, {})[c["regime"][i]] = c["firm_s"][i]
    want = [(one["none"], one["realtime"]) for _, one in sorted(by_hand.items())]
    assert len(found.base) == len(want) == len(c["regime"]) // len(REGIMES)
    order = np.lexsort((found.other, found.base))
    want = np.array(sorted(want, key=lambda pair: (np.nan_to_num(pair[0], nan=np.inf), np.nan_to_num(pair[1], nan=np.inf))))
    np.testing.assert_array_equal(np.column_stack([found.base, found.other])[order], want)


def test_means_by_flight_leave_out_what_never_happened():
    flight = np.array(["b", "a", "b", "a", "c"])
    np.testing.assert_array_equal(sf.by_flight(flight, np.array([1.0, 2.0, 3.0, np.nan, np.nan])), [2.0, 2.0, np.nan])


def test_rows_that_only_one_regime_has_are_not_compared(study):
    keep = (study.columns["regime"] != "realtime") | (study.columns["seed"] == 0)
    found = sf.paired({name: column[keep] for name, column in study.columns.items()}, "firm_s", "realtime")
    assert len(found.base) == np.count_nonzero(keep & (study.columns["regime"] == "realtime"))


@pytest.mark.parametrize("name", sf.FIGURES)
def test_every_sheet_says_notional_and_where_it_comes_from(study, name):
    for figure in sf.FIGURES[name][0](study.columns, study.meta):
        words = texts(figure)
        for said in (
            "notional",
            "2016-01-09-1",
            "northeast-asia",
            "none, tisa, gsomia, realtime, plots",
            "0 to 3",
            META["command"],
        ):
            assert said in words, said
        across, up = figure.axes[-1].get_xlabel(), figure.axes[0].get_ylabel()
        assert across in ("sharing regime", "nation") or re.search(r", (s|km)$|^% ", across)
        assert re.search(r", m$|^% |^s |in s$", up)


def test_the_drawn_gain_is_the_tables(study):
    """Japan's median in the sheet of seconds earlier is the median of the flights' mean differences."""
    c = study.columns
    figure = sf.earlier(c, study.meta)[0]
    panel = next(ax for ax in figure.axes if ax.get_title(loc="left") == "Japan: firm track")
    place = [text.get_text() for text in panel.get_xticklabels()].index("realtime")
    drawn = [line.get_ydata()[0] for line in panel.lines if list(line.get_xdata()) == [place - 0.36, place + 0.36]]
    flights = {}
    for launch in np.unique(c["launch"]):
        rows = (c["launch"] == launch) & (c["node"] == "JPN")
        both = [c["firm_s"][rows & (c["regime"] == regime)] for regime in ("none", "realtime")]
        flights[launch] = np.mean(both[0] - both[1])
    value = np.array([v for v in flights.values() if np.isfinite(v)])
    np.testing.assert_allclose(drawn, [np.median(value)], rtol=1e-12)
    assert 30.0 < drawn[0] < 60.0


def test_the_drawn_share_is_that_of_the_launches_that_leave_so_much_time():
    c = table(times=1, seeds=1)
    left = {"KOR": (1000.0, 400.0, np.nan), "JPN": (300.0, np.nan, np.nan), "USA": (1000.0, 1000.0, 1000.0)}
    for node, values in left.items():
        rows = np.flatnonzero((c["node"] == node) & (c["regime"] == "none"))
        c["firm_left_s"][rows] = np.resize(values, len(rows))
    axes = {ax.get_title(loc="left"): ax for ax in sf.warning(c, META)[0].axes}
    for node, title in (("KOR", "Korea"), ("JPN", "Japan"), ("USA", "United States")):
        line = axes[f"{title}: firm track"].lines[0]
        across, up = line.get_path().vertices.T if line.get_drawstyle() == "default" else steps(line)
        for time in (50.0, 350.0, 700.0, 1050.0):
            drawn = up[:-1][(across[1:] < time) & (time < across[:-1])]
            want = 100.0 * np.mean([value >= time for value in left[node]])
            assert drawn.tolist() == ([pytest.approx(want)] if time < np.nanmax(left[node]) else [])


def steps(line):
    """The corners of a step line as they are drawn."""
    from matplotlib.cbook import STEP_LOOKUP_MAP

    return STEP_LOOKUP_MAP[line.get_drawstyle()](*line.get_xdata()[None], line.get_ydata())


def test_a_study_of_one_regime_or_one_row_still_draws(tmp_path):
    for rows in (table(times=1, seeds=1, regimes=("none",)), {k: v[:1] for k, v in table(times=1, seeds=1).items()}):
        for draw, _ in sf.FIGURES.values():
            for figure in draw(rows, META):
                assert "notional" in texts(figure)


def test_a_study_without_rows_is_refused():
    with pytest.raises(CopfuseError, match="no rows"):
        sf.regimes_of({name: column[:0] for name, column in table(1, 1).items()})


def test_regimes_keep_their_colours_and_own_ones_get_others():
    found = colours(["plots", "mine.toml", "none", "yours"])
    assert found["plots"] == REGIME_COLOURS["plots"] and found["none"] == REGIME_COLOURS["none"]
    assert len(set(found.values())) == 4
    assert not set(REGIME_COLOURS.values()) & set(NODE_COLOURS)


def test_the_drawn_bars_are_the_medians_of_a_loop():
    """Each nation's bars against a plain loop over launches and regimes: from firm track to loss, % of the flight, where half held it."""
    from matplotlib.collections import PolyCollection

    c = table(times=1, seeds=4)
    never = (c["regime"] == "none") & (c["node"] == "KOR") & (c["seed"] > 0)
    c["firm_s"][never] = np.nan
    figure = sf.held(c, META)[0]
    assert len(figure.axes) == 3
    for ax, node in zip(figure.axes, ("KOR", "JPN", "USA"), strict=True):
        strips, bars = (one for one in ax.collections if isinstance(one, PolyCollection))
        assert len(strips.get_paths()) == len(FLIGHTS)
        want = []
        for launch in np.unique(c["launch"]):
            for regime in REGIMES:
                rows = np.flatnonzero((c["launch"] == launch) & (c["regime"] == regime) & (c["node"] == node))
                kept = [i for i in rows if np.isfinite(c["firm_s"][i])]
                if 2 * len(kept) >= len(rows):
                    ends = [c["flight_time_s"][i] if np.isnan(c["lost_s"][i]) else c["lost_s"][i] for i in kept]
                    whole = c["flight_time_s"][kept]
                    want.append((100.0 * np.median(c["firm_s"][kept] / whole), 100.0 * np.median(ends / whole)))
        drawn = [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in bars.get_paths()]
        np.testing.assert_allclose(drawn, want)
        assert (len(want) < len(FLIGHTS) * len(REGIMES)) == (node != "USA")
