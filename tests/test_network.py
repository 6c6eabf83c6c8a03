"""Sharing: delays follow their quantiles, nothing is copied, regimes compare on common random numbers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.network import Link, Regime, regime, regimes, share
from copfuse.tables import CUE, PLOT, TRACK, Detections, Tracks
from copfuse.transit import arrivals

SENSORS = [
    SimpleNamespace(name="KR-1", nation="KOR", kind="radar"), SimpleNamespace(name="JP-1", nation="JPN", kind="radar"),
    SimpleNamespace(name="US-IR", nation="USA", kind="infrared"),
]  # fmt: skip
SCENARIO = SimpleNamespace(name="three", sensors=SENSORS, regime="realtime")


def some_tracks(n=400):
    """One firm track per nation with a row a second; the American one has infrared plots in it."""
    time, node = np.repeat(np.arange(n), 3).astype(float), np.tile(np.arange(3), n)
    columns = {name: np.zeros((3 * n, *shape), dtype) for name, (dtype, shape) in Tracks.COLUMNS.items()}
    columns.update(time=time, node=node, firm=time >= 5, sensors=np.where(node == 2, 4, 1).astype(np.uint64))
    return Tracks(**columns)


def some_plots(n=50):
    columns = {name: np.zeros((n, *shape), dtype) for name, (dtype, shape) in Detections.COLUMNS.items()}
    columns.update(time=np.arange(n).astype(float), sensor=np.arange(n) % 3)
    return Detections(**columns)


def test_none_lets_nothing_pass_but_the_infrared_cue():
    m = share(some_tracks(), SCENARIO, "none")
    assert (m.kind == CUE).all() and {NODES[t] for t in m.target} == {"KOR", "JPN"} and (m.source == NODES.index("USA")).all()


def test_realtime_sends_every_nations_tracks_to_the_hub_and_the_others():
    t = some_tracks()
    m = share(t, SCENARIO, "realtime")
    sent = m[m.kind == TRACK]
    ways = {(NODES[a], NODES[b]) for a, b in zip(sent.source, sent.target, strict=True)}
    nations = ("KOR", "JPN", "USA")
    assert ways == {(a, b) for a in nations for b in (*nations, "HUB") if a != b}
    assert (t.node[sent.row] == sent.source).all() and t.firm[sent.row].all() and m.meta["tracks_uid"] == t.uid
    heard = sent[np.isfinite(sent.arrived)]
    assert (heard.arrived > heard.sent).all() and len(heard) < len(sent)


def test_plots_go_to_the_hub_only():
    d = some_plots()
    m = share(some_tracks(), SCENARIO, "plots", detections=d)
    assert (m.kind == PLOT).all() and (m.target == NODES.index("HUB")).all()
    assert sorted(m.row) == list(range(len(d))) and m.meta["detections_uid"] == d.uid


def test_plots_without_detections_is_refused():
    with pytest.raises(CopfuseError, match="detections=detections"):
        share(some_tracks(), SCENARIO, "plots")


def test_unknown_regime_names_what_exists():
    with pytest.raises(CopfuseError, match="did you mean 'realtime'"):
        regime("realtme")
    with pytest.raises(CopfuseError, match="none, tisa, gsomia, realtime, plots, link16"):
        regime("xyz")


def test_delays_follow_the_stated_quantiles():
    """Over 2000 seeds the link's delay has the median, 5 % and 95 % of its file (binomial bounds at 4 sigma)."""
    link = Link("KOR", "JPN", "track", (8.0, 2.0, 32.0), 0.0, 1.0, 20.0, 2.0)
    delay = np.array([arrivals(link, np.zeros(1), seed)[0] for seed in range(2000)])
    for value, share_below in ((8.0, 0.5), (2.0, 0.05), (32.0, 0.95)):
        assert abs((delay < value).mean() - share_below) < 4 * np.sqrt(share_below * (1 - share_below) / 2000) + 0.003


def test_loss_and_availability_are_as_stated():
    link = Link("KOR", "JPN", "track", (8.0, 2.0, 32.0), 0.1, 0.8, 20.0, 0.0)
    lost = np.mean([np.isnan(arrivals(link, np.arange(2000.0), seed)).mean() for seed in range(60)])
    assert abs(lost - (1 - 0.9 * 0.8)) < 0.03
    down = np.isnan(arrivals(Link("A", "B", "track", (1, 0.5, 2), 0.0, 0.8, 20.0, 0.0), np.arange(2000.0), 1))
    assert (np.diff(down.astype(int)) == 1).sum() < 0.2 * down.sum()  # outages come in stretches, not message by message


def test_a_link_draws_from_a_stream_of_its_own():
    """More links in a regime leave a link's arrivals as they were."""
    t = some_tracks()
    whole = regime("realtime")
    one = Regime("one", "", tuple(k for k in whole.links if (k.source, k.target) == ("KOR", "JPN")))
    a, b = share(t, SCENARIO, whole, seed=3), share(t, SCENARIO, one, seed=3)
    a = a[(a.source == 0) & (a.target == 1) & (a.kind == TRACK)]
    assert np.array_equal(a.arrived, b.arrived, equal_nan=True) and np.array_equal(a.row, b.row)


def test_reports_keep_to_the_period():
    m = share(some_tracks(), SCENARIO, "realtime")
    one = np.sort(m.sent[(m.source == 0) & (m.target == 3)])
    assert np.diff(one).min() >= 1.0 and len(one) <= 200


def test_packaged_regimes_load_with_a_title():
    assert regimes() == ["none", "tisa", "gsomia", "realtime", "plots", "link16"] and all(regime(n).title for n in regimes())
