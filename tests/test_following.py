"""Tracks of the same plots, made once: to the bit what is made of them anew, and no work twice."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import copfuse as cf
from copfuse import covariances, cueing, following, fusion, scenario, tracking
from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.following import Hub
from copfuse.steady import Kit

HOKKAIDO = scenario.load("hokkaido-2017")
FEW = ("KR-LSAM", "KR-AEG-ES", "JP-AEG-W", "JP-FPS5-SD", "US-TPY2-SJ", "US-SBIRS-GEO", "US-DSP")
ABOUT = replace(HOKKAIDO, sensors=tuple(replace(s, availability=1.0) for s in HOKKAIDO.sensors if s.name in FEW), duration=120.0)


@cache
def flight():
    return cf.fly(HOKKAIDO)


@pytest.fixture
def gone_through(monkeypatch):
    """How many plots trackers have gone through."""
    plots, real = [0], tracking.follow

    def counted(states, detections, *rest):
        plots[0] += len(detections)
        return real(states, detections, *rest)

    monkeypatch.setattr(tracking, "follow", counted)
    return plots


def same(one, other) -> bool:
    return one.uid == other.uid and all(getattr(one, n).tobytes() == getattr(other, n).tobytes() for n in one.COLUMNS)


def test_senses_that_have_plots_in_common_are_those_made_alone(gone_through):
    once, spent = cueing.Once(), {}
    for regime in ("none", "realtime", "plots", "none"):
        alone = cueing.sense(flight(), ABOUT, regime, 1)
        before = gone_through[0]
        made = cueing.sense(flight(), ABOUT, regime, 1, once=once)
        spent[regime] = gone_through[0] - before
        assert all(same(getattr(made, name), getattr(alone, name)) for name in ("detections", "tracks", "messages"))
    assert spent["none"] == 0  # the second time
    assert 0 < spent["realtime"] < len(made.detections)


def test_what_senses_have_in_common_is_of_one_truth_and_seed():
    once = cueing.Once()
    cueing.sense(flight(), replace(ABOUT, duration=10.0), "none", 1, once=once)
    with pytest.raises(CopfuseError, match="another truth, scenario, seed or association"):
        cueing.sense(flight(), ABOUT, "none", 2, once=once)


def test_a_picture_of_plots_goes_on_from_the_tracks_that_cued(gone_through):
    made = cueing.sense(flight(), ABOUT, "plots", 1)
    before = gone_through[0]
    alone = fusion.fuse(made.tracks, made.messages, ABOUT, made.detections)
    whole = gone_through[0] - before
    shared = fusion.fuse(made.tracks, made.messages, ABOUT, made.detections, hubs=made.hubs)
    assert same(alone, shared)
    assert gone_through[0] - before - whole < 0.2 * whole


def test_the_hub_goes_on_only_from_the_same_scans():
    plots = cf.detect(flight(), ABOUT, 1)
    hub = Hub(ABOUT, "gnn")
    for a, b in ((0, 40), (40, 41), (41, 100)):
        hub.take(plots[a:b])
    assert hub.begins(plots, "gnn") and hub.begins(plots[:100], "gnn")
    assert same(hub.tracks(plots), tracking.track(plots, ABOUT, "HUB"))
    assert same(hub.tracks(plots), tracking.track(plots, ABOUT, "HUB"))  # nothing has changed
    assert not hub.begins(plots, "jpda") and not hub.begins(plots[:99], "gnn")
    z = plots.z.copy()
    z[70, 1] = np.nextafter(z[70, 1], 9.0)
    assert not hub.begins(replace(plots, z=z), "gnn")


def test_a_scan_of_which_some_plots_came_late_is_tracked_anew():
    plots = cf.detect(flight(), ABOUT, 1)
    twice = plots[np.sort(np.r_[np.arange(len(plots)), 30])]
    hub = Hub(ABOUT, "gnn")
    for part in (twice[:31], twice[31:60]):
        hub.take(part)
    assert not hub.begins(twice, "gnn")


def test_trackers_leave_what_is_kept_as_it_is():
    """Going on twice from the same tracks is the same: no step writes into tracks that it was given."""
    plots = cf.detect(flight(), ABOUT, 1)
    states: dict = {}
    list(tracking.follow(states, plots[:60], ABOUT, None, "gnn"))
    rest = plots[60:]
    one, two = (list(tracking.follow(dict(states), rest, ABOUT, None, "gnn")) for _ in range(2))
    assert all(a[name].tobytes() == b[name].tobytes() for a, b in zip(one, two, strict=True) for name in a.dtype.names)


def test_tracks_that_were_taken_back_take_no_plots():
    """A pass goes back to before the first tracks of a nation and, with the kit in which these were, on without their plots: as if they
    had never been."""
    plots, nation = cf.detect(flight(), ABOUT, 1), np.array([s.nation for s in ABOUT.sensors])
    late = nation[plots.sensor] != nation[plots.sensor[0]]
    end = next(i for i in range(2 * len(plots) // 3, len(plots)) if late[i + 1] and not late[i])  # the first scan is of tracks there are
    made, kit = [], Kit(ABOUT)
    list(tracking.follow({}, plots[:end], ABOUT, None, "gnn", None, kit))  # taken back
    for used in (kit, None):
        states: dict = {}
        list(tracking.follow(states, plots[:end][~late[:end]], ABOUT, None, "gnn", None, used))
        rows = list(tracking.follow(states, plots[end:], ABOUT, None, "gnn", None, used))
        made.append({name: np.concatenate([part[name] for part in rows]).tobytes() for name in rows[0].dtype.names})
    assert [name for name in made[0] if made[0][name] != made[1][name]] == []


@pytest.mark.parametrize("association", ["gnn", "mht"])
def test_covariances_are_finished_once_for_the_same_plots_of_a_nation(monkeypatch, association):
    """A second pass in which one nation sees something else: to the bit the plain table, and only that nation's rows are gone through."""
    plots, real, rows = cf.detect(flight(), ABOUT, 1), covariances.finished, []

    def counted(columns, *rest, **more):
        rows.append(len(columns["P"]))
        return real(columns, *rest, **more)

    monkeypatch.setattr(covariances, "finished", counted)
    kept, nation = following.Kept(), np.array([s.nation for s in ABOUT.sensors])
    z, done = plots.z.copy(), []
    z[np.flatnonzero(nation[plots.sensor] == "KOR")[-1], 0] += 1.0
    for seen in (plots, replace(plots, z=z), plots):
        nations, made = following.Nations(ABOUT, association, kept), []
        for step in (slice(0, 70), slice(70, len(seen))):
            made += nations.follow(seen[step], np.arange(len(seen))[step])
        rows.clear()
        found = nations.table(made, seen)
        done.append(list(rows))
        assert same(found, tracking.track(seen, ABOUT, None, association))
    korean = int((found.node == NODES.index("KOR")).sum())
    assert 0 < korean < len(found) and sum(done[0]) == len(found)
    assert done[1:] == ([[korean], []] if association == "gnn" else [[len(found)]] * 2)


@pytest.mark.parametrize("association", ["gnn", "mht"])
def test_what_is_common_is_found_out_when_it_is_asked_for(association):
    plots, nations = cf.detect(flight(), ABOUT, 1), following.Nations(ABOUT, association, following.Kept())
    made = nations.follow(plots, np.arange(len(plots)))
    part, whole = (nations.table(made, plots, common) for common in (False, True))
    assert same(whole, tracking.track(plots, ABOUT, None, association))
    assert [n for n in part.COLUMNS if getattr(part, n).tobytes() != getattr(whole, n).tobytes()] == ["P_common"]
    left = part.P_common - whole.P_common
    assert np.linalg.eigvalsh(left).max() > 0 and np.linalg.eigvalsh(part.P - part.P_common).min() > -1e-6  # but for biases, all


@pytest.mark.parametrize("association", ["gnn", "mht"])
def test_step_by_step_in_the_order_of_scans(association):
    plots = cf.detect(flight(), ABOUT, 1)
    edges = np.searchsorted(plots.time, np.arange(0.0, 130.0, 10.0))
    nations = following.Nations(ABOUT, association, following.Kept())
    rows = []
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        rows += nations.follow(plots[a:b], np.arange(a, b))
    assert same(
        nations.table(rows, plots[: edges[-1]]),
        tracking.track(plots[: edges[-1]], ABOUT, None, association),
    )
