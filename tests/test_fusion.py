"""Pictures: who may see what, whose information stands in them, and whether their covariances tell the truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import linalg
from scipy.stats import chi2

import copfuse as cf
from copfuse import coasting, filters, forecast, frames, fusion, sensors
from copfuse.constants import NODES
from copfuse.motion import impacts, interpolate
from copfuse.tables import TRACK, Detections

KOR, JPN, USA, HUB = range(4)
IMPACT = ("impact_point", "impact_point_P", "time_to_impact", "time_to_impact_sigma")
THREE = ("KR-AEG-ES", "JP-FPS5-SD", "US-TPY2-SH")  # one radar per nation, all of which see the flight in midcourse


def small(**changes):
    """The flight of 15 September 2017 over one radar per nation, always there, without clutter or bias."""
    s = cf.load("hokkaido-2017")
    kept = tuple(dataclasses.replace(x, availability=1.0) for x in s.sensors if x.name in THREE)
    return dataclasses.replace(s, **{"sensors": kept, "bias": 0.0, "clutter": 0.0, "duration": 300.0, **changes})


@pytest.fixture(scope="module")
def flown():
    s = small()
    return s, cf.fly(s)


def seldom(s, step=10.0):
    """The same scenario with a picture every ``step`` seconds only: each row is what it would be among more, and costs its forecasts."""
    return dataclasses.replace(s, picture_step=step)


def picture(s, detections, regime, seed=0):
    tracks = cf.track(detections, s)
    return cf.fuse(tracks, cf.share(tracks, s, regime, seed=seed, detections=detections), s, detections=detections)


def without(detections, s, nation):
    """The detections with one nation's plots gone."""
    theirs = np.array([x.nation == nation for x in s.sensors])
    return detections[~theirs[detections.sensor]]


def same_bytes(a, b, node, but=("pedigree",)):
    a, b = a[a.node == node], b[b.node == node]
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True) for n in a.COLUMNS if n not in but)


def test_the_newest_plots_in_a_track_are_those_of_its_rows_so_far(flown):
    """Of every nation, whatever other tracks took between; row by row."""
    s, rng = flown[0], np.random.default_rng(3)
    plots, nation = cf.detect(flown[1], s, seed=1), np.array([NODES.index(x.nation) for x in s.sensors])
    hub = cf.track(plots, s, node="HUB")
    hub = dataclasses.replace(hub, track=rng.integers(0, 4, len(hub)))
    rows = rng.permutation(len(plots))
    found, mine = fusion._last_plots(hub, rows, plots, s), {}
    for i, (track, plot) in enumerate(zip(hub.track.tolist(), rows[hub.detection].tolist(), strict=True)):
        mine[track, nation[plots.sensor[plot]]] = plot
        assert found[i].tolist() == [mine.get((track, k), -1) for k in range(len(NODES))]
    assert len(mine) == 12


@pytest.mark.parametrize("nation", ["KOR", "JPN", "USA"])
def test_none_is_deaf_to_the_other_nations(flown, nation):
    """Non-interference: with another nation's plots removed altogether, a national picture under `none` keeps its bytes."""
    s, truth = seldom(flown[0]), flown[1]
    d = cf.detect(truth, s, seed=1)
    whole = picture(s, d, "none")
    for other in {"KOR", "JPN", "USA"} - {nation}:
        assert same_bytes(whole, picture(s, without(d, s, other), "none"), NODES.index(nation))
    assert (whole.node == NODES.index(nation)).any() and not (whole.node == HUB).any()


def test_realtime_does_hear_the_others(flown):
    """The counterpart: under `realtime` a nation's picture does change with another's plots."""
    s, truth = seldom(flown[0]), flown[1]
    d = cf.detect(truth, s, seed=1)
    assert not same_bytes(picture(s, d, "realtime"), picture(s, without(d, s, "USA"), "realtime"), JPN)


def test_a_picture_uses_nothing_before_it_arrives(flown):
    """Causality: what is detected after 200 s leaves every picture row up to 200 s as it was."""
    s, truth = seldom(flown[0]), flown[1]
    d = cf.detect(truth, s, seed=2)
    for regime in ("none", "realtime", "plots"):
        whole, cut = picture(s, d, regime), picture(s, d[d.time <= 200.0], regime)
        for node in range(4):
            a, b = (x[(x.node == node) & (x.time <= 200.0)] for x in (whole, cut))
            keep = [n for n in a.COLUMNS if not n.startswith("pedigree")]
            assert all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True) for n in keep)


def test_pedigree_names_the_rows_and_the_sensors(flown):
    s, truth = flown
    d = cf.detect(truth, s, seed=1)
    t = cf.track(d, s)
    m = cf.share(t, s, "realtime", seed=1)
    p = cf.fuse(t, m, s)
    assert p.meta["pedigree_uid"] == t.uid and p.meta["pedigree_of"] == "Tracks"
    arrived = {(int(b), int(r)): w for b, r, w in zip(m.target, m.row, m.arrived, strict=True) if np.isfinite(w)}
    for i in range(0, len(p), 7):
        used = p.pedigree[i][p.pedigree[i] >= 0]
        own = used[t.node[used] == p.node[i]]  # of others' tracks, and so at the hub, it is not told which sensors
        assert len(used) and np.bitwise_or.reduce(t.sensors[own]) == p.sensors[i]
        for row in used:
            node = int(p.node[i])
            assert t.node[row] == np.flatnonzero(p.pedigree[i] == row)[0]
            assert t.time[row] <= p.time[i] and (t.node[row] == node or arrived[node, int(row)] <= p.time[i])


def test_plots_give_every_node_one_picture(flown):
    s, truth = flown
    d = cf.detect(truth, s, seed=1)
    p = picture(s, d, "plots")
    for node in (JPN, USA, HUB):
        a, b = p[p.node == KOR], p[p.node == node]
        assert all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True) for n in p.COLUMNS if n != "node")
    nation = np.array([NODES.index(x.nation) for x in s.sensors])
    for k in range(3):
        rows = p.pedigree[:, k][p.pedigree[:, k] >= 0]
        assert len(rows) and (nation[d.sensor[rows]] == k).all()


def test_tables_that_do_not_belong_together_are_refused(flown):
    s, truth = flown
    d = cf.detect(truth, s, seed=1)
    t = cf.track(d, s)
    other = cf.track(cf.detect(truth, s, seed=2), s)
    with pytest.raises(cf.CopfuseError, match="pass the table"):
        cf.fuse(other, cf.share(t, s, "realtime"), s)
    with pytest.raises(cf.CopfuseError, match="detections=detections"):
        cf.fuse(t, cf.share(t, s, "plots", detections=d), s)


def test_no_messages_and_no_tracks_give_an_empty_picture(flown):
    s, truth = flown
    d = cf.detect(truth, s, seed=1)
    assert len(picture(s, d[np.zeros(len(d), bool)], "realtime")) == 0


def test_same_seed_same_bytes(flown):
    s, truth = seldom(flown[0]), flown[1]
    d = cf.detect(truth, s, seed=1)
    assert picture(s, d, "realtime", 4).uid == picture(s, d, "realtime", 4).uid != picture(s, d, "realtime", 5).uid


def noise_free(s, truth):
    """Every radar looks twice a second and reports the truth; its stated sigma stays as small as a metre."""
    rows = []
    for k, sensor in enumerate(s.sensors):
        times = np.arange(130.0, 300.0, 0.5)
        z, snr = sensors.observe(sensor, interpolate(truth.time, truth.x, times), times, 1.0, False)
        for i in np.flatnonzero(snr > 0):
            rows.append((times[i], k, z[i]))
    rows.sort(key=lambda r: (r[0], r[1]))
    n = len(rows)
    z = np.array([r[2] for r in rows])
    sigma = np.tile([1.0, 1e-6, 1e-6, 0.1], (n, 1))
    sigma[np.isnan(z)] = np.nan
    meta = {"sensors": [x.name for x in s.sensors]}
    return Detections([r[0] for r in rows], [r[1] for r in rows], z, sigma, np.full(n, 1e4), np.zeros(n), meta)


def expected_impact(truth, time):
    """When what flies as truth comes down in the mean over ballistic coefficients: Gauss and Hermite's rule over its falls."""
    mean, sigma = filters.LOG_BETA
    state = interpolate(truth.time, truth.x, np.array([time]))
    seconds, _ = impacts(np.repeat(state, 3, axis=0), np.exp(mean + sigma * np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0])))
    return time + seconds @ [1 / 6, 2 / 3, 1 / 6]


def test_noise_free_twin(flown):
    """No noise, everything shared: in midcourse the picture is the truth to a metre, and the velocity to 0.1 m/s."""
    s, truth = flown
    p = picture(s, noise_free(s, truth), "plots")
    late = p[(p.time >= 200.0) & (p.time < 300.0)]
    e = late.x - interpolate(truth.time, truth.x, late.time)
    assert len(late) > 100 and np.linalg.norm(e[:, :3], axis=1).max() < 1.0 and np.linalg.norm(e[:, 3:], axis=1).max() < 0.1
    impact = truth.x[-1, :3]
    assert np.linalg.norm(late.impact_point - impact, axis=1).max() < 20e3  # the ballistic coefficient stays unknown up there
    assert np.abs(late.time + late.time_to_impact - expected_impact(truth, 250.0)).max() < 0.5


RUNS = 50
MIDCOURSE = np.arange(180.0, 300.0, 20.0)  # s: from 30 s after burnout for as long as all three radars have it in view


@pytest.fixture(scope="module")
def midcourse(flown):
    """NEES of every node's picture and its position sigma m, by regime and node: (2, seeds, times), nan where it holds nothing."""
    s, truth = seldom(flown[0], 20.0), flown[1]
    found = {(regime, node): np.full((2, RUNS, len(MIDCOURSE)), np.nan) for regime in ("none", "realtime", "plots") for node in range(4)}
    for seed in range(RUNS):
        d = cf.detect(truth, s, seed=seed)
        t = cf.track(d, s)
        for regime in ("none", "realtime", "plots"):
            p = cf.fuse(t, cf.share(t, s, regime, seed=seed, detections=d), s, detections=d)
            e = p.x - interpolate(truth.time, truth.x, p.time)
            nees = np.einsum("ni,ni->n", e, np.linalg.solve(p.P, e[..., None])[..., 0])
            sigma = np.sqrt(np.trace(p.P[:, :3, :3], axis1=1, axis2=2))
            for k, time in enumerate(MIDCOURSE):
                for i in np.flatnonzero(p.time == time):
                    found[regime, int(p.node[i])][:, seed, k] = nees[i], sigma[i]
    return found


@pytest.mark.parametrize(
    "regime, node",
    [*(("none", node) for node in (KOR, JPN, USA)), *(("realtime", node) for node in (KOR, JPN, USA, HUB)), ("plots", HUB)],
)
def test_midcourse_nees_within_99_percent_bounds(midcourse, regime, node):
    """Mean normalised estimation error squared of single-radar (`none`) and fused tracks, six components, 50 seeds, over
    midcourse.  The bounds are those of one draw a seed, as if a seed's errors were the same at all times."""
    nees = midcourse[regime, node][0]
    assert np.isfinite(nees).mean() > 0.98
    low, high = chi2.ppf([0.005, 0.995], 6 * RUNS) / RUNS
    assert low < np.nanmean(nees) < high, (np.nanmean(nees, axis=0), low, high)


def test_fusing_tracks_is_worth_it(midcourse):
    """Under `realtime` the hub's position sigma in midcourse is below 0.7 of the best nation's own (mean of 50 seeds)."""
    late = (MIDCOURSE > 220.0) & (MIDCOURSE < 280.0)
    own = [np.nanmean(midcourse["none", node][1][:, late]) for node in (KOR, JPN, USA)]
    assert late.any() and np.nanmean(midcourse["realtime", HUB][1][:, late]) < 0.7 * min(own)


@pytest.mark.parametrize("nation", [KOR, JPN, USA])
def test_nothing_becomes_common_in_free_fall(flown, nation):
    """There is no process noise, so of a track's covariance the part that others have too grows in no direction; and it is small."""
    s, truth = flown
    t = cf.track(cf.detect(truth, s, seed=11), s)
    mine = t[(t.node == nation) & t.firm & (t.time > 190.0)]
    mine = mine[mine.track == np.bincount(mine.track).argmax()]
    most = np.array([linalg.eigh(D, P, eigvals_only=True)[-1] for D, P in zip(mine.P_common, mine.P, strict=True)])
    assert len(most) > 40 and most.max() < 0.25 and np.diff(most).max() < 0.01


def test_a_salvo_keeps_its_objects_apart():
    """Two missiles a minute apart from one site: every node shows two system tracks whose numbers never swap."""
    s = cf.load("salvo-2022")
    s = seldom(dataclasses.replace(s, launches=s.launches[1:3]))
    truth = cf.fly(s)
    p = picture(s, cf.detect(truth, s, seed=0), "realtime")
    for node in range(4):
        mine = p[(p.node == node) & (np.trace(p.P[:, :3, :3], axis1=1, axis2=2) < 5e3**2)]
        nearest = []
        for i in range(len(mine)):
            at = [interpolate(truth.time[truth.object == k], truth.x[truth.object == k], mine.time[i : i + 1])[0, :3] for k in (0, 1)]
            nearest.append(int(np.argmin([np.linalg.norm(mine.x[i, :3] - a) for a in at])))
        for number in np.unique(mine.track):
            assert len(set(np.array(nearest)[mine.track == number])) == 1
        assert len(set(nearest)) == 2


def test_launch_point_is_near_the_site_with_an_honest_covariance():
    """Default scenario, its first 200 s: at every node the launch point comes within 5 km of the site and within 4 sigma."""
    s = seldom(dataclasses.replace(cf.load("hokkaido-2017"), duration=200.0))
    truth = cf.fly(s)
    p = picture(s, cf.detect(truth, s, seed=0), "realtime")
    for node in range(4):
        last = p[(p.node == node) & (p.time < 200)][-1:]
        d = last.launch_point[0] - truth.x[0, :3]
        assert np.linalg.norm(d) < 5e3 and d @ np.linalg.solve(last.launch_point_P[0], d) < 16.0
        assert np.abs(frames.altitude(last.launch_point)[0]) < 1e3


def test_stale_and_lost_messages_do_not_bring_a_track_back(flown):
    """A node that has heard nothing for longer than a fall is foreseen drops the track instead of coasting it for ever."""
    s, truth = flown
    d = cf.detect(truth, s, seed=1)
    t = cf.track(d, s)
    m = cf.share(t, s, "realtime", seed=1)
    few = m[(m.kind != TRACK) | (m.arrived < 200.0)]
    p = cf.fuse(t, few, s)
    hub = p[p.node == HUB]
    assert hub.time.max() <= 200.0 + coasting.LONGEST and hub.age.max() <= coasting.LONGEST


def test_a_forecast_under_thrust_is_not_carried_past_burnout():
    """In free flight the last forecast serves for 1/200 of the time left; the first look at an engine that is out asks anew, and until
    then, whatever a track that goes on unseen makes of itself, nothing is known better."""
    place, axes = frames.ecef(np.radians(39.0), np.radians(126.0), 100e3), frames.enu_axes(np.radians(39.0), np.radians(126.0))
    x = np.concatenate([place, axes.T @ np.array([2500.0, 0.0, 2500.0])])
    later = np.concatenate([x[:3] + 1.0 * x[3:], x[3:]])
    burning, falling = np.array([0.9, 0.1, 0.0, 0.0]), np.array([0.01, 0.99, 0.0, 0.0])

    def told(first, second, age=0.0):
        P = np.tile(np.diag([50.0**2] * 3 + [5.0**2] * 3), (2, 1, 1))
        state = {
            "time": np.array([100.0, 101.0]), "x": np.stack([x, later]), "P": P, "phase_probability": np.stack([first, second]),
            "pedigree": np.array([[0, -1, -1, -1]] * 2), "age": np.array([0.0, age]),
        }  # fmt: skip
        log_beta, push, line = np.tile([8.5, 0.3], (2, 1)), np.outer([first[0], second[0]], 20.0 * x[3:] / 3536.0), np.arange(2)
        return fusion._impacts(state, log_beta, push, line, np.zeros(2, int), np.zeros(2, int), {})

    carried = told(falling, falling)
    assert np.array_equal(carried["impact_point"][0], carried["impact_point"][1])
    after = told(burning, falling)
    alone = forecast.impact_point(later[None], np.diag([50.0**2] * 3 + [5.0**2] * 3)[None], [[8.5, 0.3]], np.zeros((1, 3)), falling[None])
    width = [np.sqrt(np.trace(P)) for P in after["impact_point_P"]]
    assert width[0] > 5.0 * width[1]
    np.testing.assert_allclose(width[1], np.sqrt(np.trace(alone[1][0])), rtol=0.2)  # but for the push, at a chance of .01
    for unseen in (told(burning, burning, 1.0), told(burning, falling, 1.0)):
        assert all(np.array_equal(*unseen[name]) for name in ("impact_point", "impact_point_P", "time_to_impact_sigma"))
        assert np.diff(unseen["time_to_impact"]) == -1.0
    assert not np.array_equal(*told(burning, burning)["impact_point"]) and not np.array_equal(*told(falling, burning, 1.0)["impact_point"])


def test_what_sources_have_in_common_is_asked_only_where_several_stand_in_a_line(flown, monkeypatch):
    """To the bit what comes of asking it of every line whose sources are known to be disjoint, and it is asked less often."""
    s, asked, plain = seldom(flown[0]), [0], fusion._common
    plots = cf.detect(flown[1], s, seed=1)

    def counted(tracks, rows, *then):
        asked[-1] += len(rows)
        return plain(tracks, rows, *then)

    monkeypatch.setattr(fusion, "_common", counted)
    quick = picture(s, plots, "realtime")
    asked.append(0)
    monkeypatch.setattr(fusion, "_several", lambda have, disjoint: disjoint)
    every = picture(s, plots, "realtime")
    assert 0 < asked[0] < asked[1] and all(same_bytes(quick, every, node, ()) for node in range(4))


def test_forecasts_are_made_together_as_they_would_be_alone(monkeypatch):
    """Of some times in boost and some in free fall, at each of which two nodes have the same line: one call for all that are made."""
    place, axes = frames.ecef(np.radians(39.0), np.radians(126.0), 100e3), frames.enu_axes(np.radians(39.0), np.radians(126.0))
    x = np.concatenate([place, axes.T @ np.array([2500.0, 0.0, 2500.0])])
    n, P = 12, np.diag([50.0**2] * 3 + [5.0**2] * 3)
    step = 2.0 * np.arange(n)
    chance = np.where(step[:, None] < 12.0, [0.9, 0.1, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0])
    state = {
        "time": step, "x": np.concatenate([x[:3] + step[:, None] * x[3:], np.tile(x[3:], (n, 1))], axis=1), "P": np.tile(P, (n, 1, 1)),
        "phase_probability": chance, "pedigree": np.tile([0, -1, -1, -1], (n, 1)), "age": np.zeros(n),
    }  # fmt: skip
    log_beta, push, line = np.tile([8.5, 0.3], (n, 1)), chance[:, :1] * 0.006 * x[3:], np.repeat(np.arange(n), 2)
    asked, plain = [], forecast._impacts
    monkeypatch.setattr(forecast, "_impacts", lambda given, rows: asked.append(len(rows)) or plain(given, rows))
    node, none = np.tile([0, 1], n), np.zeros(2 * n, int)
    made = fusion._impacts(state, log_beta, push, line, node, none, {})
    assert len(asked) == 1 and 6 < asked[0] < 12
    for k in range(7):
        alone = forecast.impact_point(state["x"][k : k + 1], P[None], log_beta[:1], push[k : k + 1], chance[k : k + 1])
        for row in (2 * k, 2 * k + 1):
            assert all(made[name][row].tobytes() == one[0].tobytes() for name, one in zip(IMPACT, alone, strict=True))
