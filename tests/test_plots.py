"""Pictures: what is drawn is what the tables say, it is readable, and it is written whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.path import Path as Outline

from conftest import EPOCH, picture_of, plots_of, straight_truth
from copfuse import coverage_chart, curves, frames, maps, metrics, plots
from copfuse.bounds import Bound, bound
from copfuse.coverage import Coverage
from copfuse.errors import CopfuseError
from copfuse.laydowns import Sensor
from copfuse.tables import Detections, Picture

FLIGHT = np.arange(0.0, 201.0, 2.0)


def sensor(name, nation, lat=37.0, lon=128.0, platform="ground"):
    lat, lon, width = np.radians(lat), np.radians(lon), np.radians(120.0)
    return Sensor(name, nation, "radar", platform, lat=lat, lon=lon, azimuth_width=width, range_max=6e5)


SENSORS = (sensor("KR-A", "KOR"), sensor("JP-B", "JPN", 37.0, 137.0, "ship"), sensor("US-C", "USA", 36.0, 140.0, "air"))


def run_of(truth, picture, detections, **other):
    scenario = SimpleNamespace(name="test", title="A flight for tests", epoch=EPOCH, sensors=SENSORS, picture_step=2.0, duration=None)
    parts = dict(scenario=scenario, regime="realtime", seed=3, truth=truth, picture=picture, detections=detections)
    return SimpleNamespace(**parts | other)


@pytest.fixture
def run():
    """One missile of 200 s; Korea plots it from 10 to 60 s and holds it from 20 to 150 s, Japan holds it by sharing."""
    truth = straight_truth([(0, 0, 0)], [FLIGHT])
    held = [(t, node, 0, truth.x[truth.time == t][0]) for t in np.arange(20.0, 151.0, 2.0) for node in ("KOR", "JPN")]
    return run_of(truth, picture_of(held), plots_of([(t, 0, 0) for t in np.arange(10.0, 61.0, 2.0)] + [(30.0, 1, -1)]))


def texts(figure):
    found = [t.get_text() for t in figure.texts] + [t.get_text() for ax in figure.axes for t in ax.texts]
    for legend in figure.legends:
        found += [legend.get_title().get_text()] + [t.get_text() for t in legend.get_texts()]
    return "\n".join(found)


# What is drawn -------------------------------------------------------------------------------------------------------


def test_a_run_becomes_a_png_of_1400_by_1000_and_nothing_else(run, tmp_path):
    figure = plots.plot(run, tmp_path / "picture.png")
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]
    assert matplotlib.image.imread(tmp_path / "picture.png").shape[:2] == (1000, 1400)
    said = texts(figure)
    for word in ("A flight for tests", "sharing: realtime", "seed 3", "notional", "2024-01-14 05:53:00 UTC"):
        assert word in said
    chart, height, bars = figure.axes
    assert "km" in chart.get_xlabel() and "km" in height.get_ylabel() and "seconds" in bars.get_xlabel()


def spans(bars, node, filled):
    """Start and end of the node's bars; solid ones are filled with the node's colour."""
    colour, found = to_hex(plots.NODE_COLOURS[node]), []
    for collection in bars.collections:
        own = to_hex(collection.get_facecolor()[0]) == colour if len(collection.get_facecolor()) else False
        edge = to_hex(collection.get_edgecolor()[0]) == colour if len(collection.get_edgecolor()) else False
        if own if filled else (edge and not own):
            found += [(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for p in collection.get_paths()]
    return found


def test_bars_are_solid_while_own_plots_feed_the_track_and_hatched_after(run):
    bars = plots.plot(run).axes[2]
    assert spans(bars, 0, filled=True) == [(20.0, 92.0)]  # the last own plot at 60 s counts for 30 s; rows stand for 2 s
    assert spans(bars, 0, filled=False) == [(92.0, 152.0)]
    assert spans(bars, 1, filled=True) == []
    assert spans(bars, 1, filled=False) == [(20.0, 152.0)]
    assert spans(bars, 2, filled=True) == spans(bars, 2, filled=False) == []


def test_a_gap_in_custody_is_a_gap_in_the_bar(run):
    keep = (run.picture.time < 40.0) | (run.picture.time > 80.0)
    run.picture = run.picture[keep]
    bars = plots.plot(run).axes[2]
    assert spans(bars, 0, filled=True) == [(20.0, 40.0), (82.0, 92.0)]


def test_the_story_beside_the_bars_is_that_of_the_sightings(run):
    said = texts(plots.plot(run))
    assert "first plot 10 s, firm track 20 s, held 65 %\n50 km impact ellipse 20 s, 180 km off" in said
    assert "first plot never, firm track 20 s, held 65 %" in said
    assert "first plot never, firm track never, held 0 %\n50 km impact ellipse never" in said


def test_sensors_that_plotted_the_missile_are_named_and_others_are_not(run):
    said = texts(plots.plot(run))
    assert "KR-A" in said
    assert "JP-B" not in said  # its only plot was a false one
    assert "US-C" not in said


def test_a_used_sensor_is_bold_on_the_map_or_named_as_off_it(run):
    far = sensor("JP-FAR", "JPN", 20.0, 110.0)
    run.scenario.sensors = (*SENSORS, far)
    names = ("KR-A", "JP-B", "US-C", "JP-FAR")
    run.detections = plots_of([(30.0, k, 0) for k in range(4)], names)
    run.picture = type(run.picture)(**{n: getattr(run.picture, n) for n in run.picture.COLUMNS}, meta={"sensors": list(names)})
    figure = plots.plot(run)
    chart = figure.axes[0]
    bold = sum(line.get_markeredgecolor() == "white" for line in chart.get_lines())
    labels = {t.get_text() for t in chart.texts} & set(names)
    inside = {s.name for s in run.scenario.sensors if within(chart, run.truth, s)}
    assert labels == inside and bold == len(inside)
    assert {"KR-A", "JP-B"} <= inside
    off = texts(figure).split("Off the map: ")[1].split("\n")[0]
    assert set(off.split(", ")) == set(names) - inside and "JP-FAR" in off


def within(chart, truth, s):
    lat, lon, _ = (v[0] for v in frames.geodetic(truth.x[:1]))
    x, y = maps.Projection(lat, lon)(s.lat, s.lon)
    return chart.get_xlim()[0] < x < chart.get_xlim()[1] and chart.get_ylim()[0] < y < chart.get_ylim()[1]


def test_truth_lines_run_through_every_phase(run):
    truth = run.truth
    phase = np.searchsorted([40.0, 160.0], truth.time, side="right")
    run.truth = type(truth)(truth.time, truth.object, truth.x, phase, truth.meta)
    lines = plots.plot(run).axes[1].get_lines()
    for p, (start, end) in enumerate([(0.0, 40.0), (40.0, 160.0), (160.0, 200.0)]):
        times = np.concatenate([line.get_xdata() for line in lines if line.get_color() == plots.PHASE_COLOURS[p]])
        assert (times.min(), times.max()) == (start, end)


def test_impact_ellipses_are_drawn_at_times_and_hold_what_95_percent_means(run):
    place, P = run.picture.x[0, :3], np.diag([4e8, 1e8, 9e8])
    lat, lon, _ = (v[0] for v in frames.geodetic(place))
    projection = maps.Projection(lat, lon)
    line = plots._outline(place, P, projection) * 1e3
    flat = frames.enu_axes(lat, lon)[:2]
    squared = np.einsum("ni,ij,nj->n", line, np.linalg.inv(flat @ P @ flat.T), line)
    assert np.allclose(squared, -2 * np.log(0.05), rtol=0.01)  # chi-square, two degrees of freedom; the map bends by less
    drawn = [line for line in plots.plot(run).axes[0].get_lines() if line.get_linestyle() == "--" and len(line.get_xdata()) == 73]
    assert len(drawn) >= 2


def test_words_on_the_map_leave_the_graticule_and_the_ellipses_readable(run):
    figure = plots.plot(run)
    figure.canvas.draw()
    ax = figure.axes[0]
    written = [(t.get_window_extent(), t.get_text()) for t in ax.texts if t.get_text()]
    grid = [box for box, text in written if "°" in text]
    words = [box for box, text in written if "°" not in text]
    assert grid and words and not any(a.overlaps(b) for a in grid for b in words)
    outlines = [line for line in ax.get_lines() if line.get_linestyle() == "--" and len(line.get_xdata()) == 73]
    points = np.vstack([ax.transData.transform(line.get_xydata()) for line in outlines])
    times = [box for box, text in written if text.endswith(" s")]
    assert times and not any(((points > box.min) & (points < box.max)).all(axis=1).any() for box in times)


def test_eighteen_missiles_and_no_missile_are_drawn(run, tmp_path):
    many = straight_truth([(5e3 * k, 0, 0) for k in range(18)], [FLIGHT + 10 * k for k in range(18)])
    rows = [(t, "HUB", k, many.x[(many.object == k) & (many.time == t)][0]) for k in range(18) for t in FLIGHT[5:80] + 10 * k]
    figure = plots.plot(run_of(many, picture_of(rows), plots_of([(30.0, 0, 0)])), tmp_path / "many.png")
    assert "18 held, 74 % of the flights" in texts(figure)
    debris = straight_truth([(0, 0, 0)], [FLIGHT], kinds=["debris"])
    nothing = Picture.empty(sensors=["KR-A"]), Detections.empty(sensors=["KR-A"])
    plots.plot(run_of(debris, *nothing), tmp_path / "none.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["many.png", "none.png"]


# How it is written ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["missing/picture.png", "picture.xyz", "picture", "."])
def test_a_path_that_cannot_be_written_is_refused_in_a_sentence_that_names_it(run, tmp_path, name):
    with pytest.raises(CopfuseError, match="picture" if name != "." else "cannot"):
        plots.plot(run, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_picture(run, tmp_path, monkeypatch):
    (tmp_path / "picture.png").write_text("old")
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        plots.plot(run, tmp_path / "picture.png")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("picture.png", "old")]


def test_plotting_leaves_matplotlibs_global_state_alone():
    code = "import sys, copfuse.plots; assert 'matplotlib' not in sys.modules; copfuse.plots.sheet(1, 1, 'a.png'); "
    code += "assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# The ground ----------------------------------------------------------------------------------------------------------


@given(st.floats(-1.4, 1.4), st.floats(-3.1, 3.1), st.floats(-1.4, 1.4), st.floats(-3.1, 3.1))
def test_the_map_keeps_distance_and_direction_from_its_middle(lat0, lon0, lat, lon):
    """Against the haversine and the bearing formula, written out."""
    x, y = maps.Projection(lat0, lon0)(lat, lon) / 6371.0
    h = np.sin((lat - lat0) / 2) ** 2 + np.cos(lat) * np.cos(lat0) * np.sin((lon - lon0) / 2) ** 2
    assert np.isclose(np.hypot(x, y), 2 * np.arcsin(np.sqrt(min(h, 1.0))), atol=1e-6)
    if 1e-6 < h < 0.999:
        east = np.sin(lon - lon0) * np.cos(lat)
        north = np.cos(lat0) * np.sin(lat) - np.sin(lat0) * np.cos(lat) * np.cos(lon - lon0)
        assert np.isclose(np.cos(np.arctan2(x, y) - np.arctan2(east, north)), 1.0)


def test_the_180th_meridian_is_nowhere_special():
    projection = maps.Projection(np.radians(50.0), np.radians(175.0))
    line = projection(np.radians(52.0), np.radians([179.5, 179.99, -179.99, -179.5]))
    assert np.all(np.diff(line[:, 0]) > 0) and np.all(np.diff(line[:, 0]) < 40.0)


CITIES = [(37.55, 127.0), (39.03, 125.75), (35.68, 139.5), (43.06, 141.35), (26.33, 127.8), (33.4, 126.55), (67.5, 179.0), (67.5, -179.5)]
WATERS = [(39.5, 134.0), (36.0, 124.0), (45.0, 170.0), (34.0, 129.0), (58.0, -178.0), (12.0, 130.0)]  # the last one's antipode is in Brazil


@pytest.mark.parametrize(("places", "wanted"), [(CITIES, True), (WATERS, False)])
def test_land_is_where_land_is(places, wanted):
    for lat, lon in places:
        projection = maps.Projection(np.radians(lat), np.radians(lon))
        inside = sum(Outline(ring).contains_point((0.0, 0.0)) for ring in maps.rings(projection))
        assert bool(inside % 2) == wanted, (lat, lon)


def test_land_is_small():
    assert (Path(maps.__file__).parent / "data" / "land.npz").stat().st_size < 300e3


def test_labels_cover_neither_each_other_nor_the_places():
    figure = plots.sheet(8, 6, None)
    ax = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 100)
    places = np.random.default_rng(4).uniform(30, 60, (25, 2))
    maps.label(ax, [(p, f"SENSOR-{i}", dict(fontsize=7)) for i, p in enumerate(places)], places)
    figure.canvas.draw()
    boxes = [t.get_window_extent() for t in ax.texts]
    assert len(boxes) >= 20
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(box.contains(*point) for point in ax.transData.transform(places))


# Coverage ------------------------------------------------------------------------------------------------------------


def test_coverage_is_four_maps_in_discrete_bands_with_gaps_where_nobody_looks(tmp_path):
    lat, lon = np.radians(np.linspace(30, 45, 12)), np.radians(np.linspace(120, 140, 15))
    lowest = np.broadcast_to(np.geomspace(500.0, 4e5, 15), (4, 12, 15)).copy()
    lowest[0, :, 10:] = np.nan
    found = Coverage(lat, lon, ("KOR", "JPN", "USA", "together"), lowest, lowest + 1e5, np.ones(lowest.shape, int))
    figure = coverage_chart.plot_coverage(found, tmp_path / "coverage.png", SENSORS)
    assert [ax.get_title(loc="left") for ax in figure.axes[:4]] == ["Korea", "Japan", "United States", "All three together"]
    meshes = [next(c for c in ax.collections if type(c).__name__ == "QuadMesh") for ax in figure.axes[:4]]
    assert [int(np.ma.count(m.get_array())) for m in meshes] == [120, 180, 180, 180]
    assert len({tuple(colour) for colour in meshes[3].to_rgba(meshes[3].get_array()).reshape(-1, 4)}) == 9
    marks = [sum(line.get_marker() in ("^", "D", "o") for line in ax.get_lines()) for ax in figure.axes[:4]]
    assert marks == [1, 1, 1, 3]
    assert (tmp_path / "coverage.png").stat().st_size > 20e3


# Errors against the bound --------------------------------------------------------------------------------------------


def test_errors_and_bounds_are_drawn_as_given(run, tmp_path):
    """Each label's lines carry its numbers in its node's colour, on a logarithmic axis, over the phases of the truth."""
    time = np.arange(10.0, 100.0)
    P = np.eye(6) * np.r_[np.full(3, 100.0), np.full(3, 4.0)] * np.ones((len(time), 1, 1))
    errors = {"KOR": np.column_stack([time, 1000.0 / time, 50.0 / time]), "one radar": np.column_stack([time, time, time])}
    figure = curves.plot_errors(errors, {"KOR": Bound(time, P, "KOR")}, tmp_path / "errors.png", run.truth)
    assert matplotlib.image.imread(tmp_path / "errors.png").shape[:2] == (900, 1250)
    for ax, column, level in zip(figure.axes, (1, 2), (np.sqrt(300.0), np.sqrt(12.0)), strict=True):
        lines = {line.get_label(): line for line in ax.lines}
        assert set(lines) == {"KOR: error", "KOR: bound", "one radar: error"} and ax.get_yscale() == "log"
        assert np.array_equal(lines["KOR: error"].get_ydata(), errors["KOR"][:, column])
        assert np.allclose(lines["KOR: bound"].get_ydata(), level)
        assert {to_hex(lines[f"KOR: {kind}"].get_color()).upper() for kind in ("error", "bound")} == {plots.NODE_COLOURS[0]}
        shades = {to_hex(c.get_facecolor()[0]).upper() for c in ax.collections}
        assert shades == {plots.PHASE_COLOURS[p] for p in np.unique(run.truth.phase)}


def test_a_runs_errors_are_drawn_against_both_bounds(pull_up, tmp_path):
    """The error line is that of the matched rows; the bounds are those of `bound`; Japan has its own and everybody's."""
    figure = plots.plot(pull_up, tmp_path / "errors.png", what="errors", node="JPN")
    assert matplotlib.image.imread(tmp_path / "errors.png").shape[:2] == (900, 1250)
    said = texts(figure)
    assert "sharing: realtime" in said and "seed 1" in said and "JPN: what its covariance says" in said
    matched = metrics.match(pull_up.picture, pull_up.truth)
    mine = (matched.object == 0) & (pull_up.picture.node == 1)
    for ax, part, name in zip(figure.axes, (slice(0, 3), slice(3, 6)), ("position", "velocity"), strict=True):
        lines = {line.get_label(): line for line in ax.lines}
        drawn = lines["JPN: error"].get_ydata()
        assert np.allclose(drawn[np.isfinite(drawn)], np.linalg.norm(matched.error[mine, part], axis=1))
        for node, whose in (("HUB", "all sensors"), ("JPN", "JPN's own sensors")):
            for model, told in (("filter", "bound"), ("true", "bound of the true model")):
                b = bound(pull_up.truth, pull_up.scenario, node, detections=pull_up.detections, model=model)
                assert np.array_equal(lines[f"{told}, {whose}"].get_ydata(), getattr(b, name))
        low, high = ax.get_ylim()
        assert low < np.nanmin(drawn) and np.nanmax(drawn) < high
    with pytest.raises(CopfuseError, match="no node 'JAPAN'.*JPN"):
        plots.plot(pull_up, what="errors", node="JAPAN")
    with pytest.raises(CopfuseError, match="what = 'error' cannot be drawn.*errors"):
        plots.plot(pull_up, what="error")
    with pytest.raises(CopfuseError, match='what="errors"'):
        plots.plot(pull_up, node="JPN")


def test_a_run_in_which_nobody_sees_anything_is_drawn(tmp_path):
    """Without sensors the picture is empty; the flight is there all the same."""
    import dataclasses

    import copfuse as cf

    run = cf.run(dataclasses.replace(cf.load("pull-up-2019"), sensors=()))
    assert len(run.picture) == 0 and "Who saw what when" in str(run)
    cf.plot(run, tmp_path / "nobody.png")
    assert (tmp_path / "nobody.png").stat().st_size > 20_000
    assert "HUB never held it" in texts(cf.plot(run, tmp_path / "errors.png", what="errors"))
