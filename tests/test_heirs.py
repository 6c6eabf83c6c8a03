"""A lone object's track that has gone astray is gone on with by the young one that has its plots; among several it is dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from copfuse import filters, frames, heirs
from copfuse.association import Pairs
from copfuse.coasting import Live
from copfuse.pairing import Taken
from copfuse.scanning import Scan
from copfuse.tracking import DOUBTED, MISSED, step

SITE, AXES = frames.ecef(np.radians(37.0), np.radians(127.0), 0.0), frames.enu_axes(np.radians(37.0), np.radians(127.0))
TARGET = np.r_[frames.ecef(np.radians(38.0), np.radians(130.0), 150e3), 0.0, 900.0, 0.0]
BESIDE = np.r_[0.0, 0.0, 2e3, 0.0, 0.0, 0.0]  # m: another object, in the old one's gate, too


def held(hits, young=1) -> Live:
    """At 200 s: an old track, known to 3 km, so far off its object, and 400 m/s too fast; and ``young`` ones on theirs, known to 100 m,
    begun by another sensor."""
    n = 1 + young
    x6 = np.array([TARGET + [3e3, 0, 0, 0, 400.0, 0], TARGET, TARGET + BESIDE])[:n]
    P6 = np.stack([np.diag([s**2] * 3 + [10.0**2] * 3) for s in (3e3, 100.0, 100.0)[:n]])
    bank, ones = filters.bank(200.0, x6, P6, np.array([[1e-9, 1.0, 1e-9, 1e-9, 1e-9]] * n)), np.ones(n)
    return replace(
        Live.empty(), bank=bank, number=np.arange(n), hits=np.array(hits), llr=20 * ones, firm=ones > 0, burnt=np.arange(n) == 0,
        sensors=np.array([3, 2, 2][:n], np.uint64), revisit=ones, seen=200 * ones, doubt=0 * ones, lit=-np.inf * ones, above=0 * ones,
        slow=np.inf * ones, echoes=ones, strength=0.05 * ones, misfit=0 * ones, next_number=n,
    )  # fmt: skip


def watched(live: Live) -> Live:
    """After scans, one a second, of the young ones' objects, until the old one is doubted."""
    bank = live.bank[1:]
    for k in range(1, int(np.ceil(DOUBTED / MISSED)) + 1):
        assert live.number.tolist() == list(range(len(bank) + 1))
        z = frames.look(filters.predict(bank, 200.0 + k).x6, SITE, AXES) * [1.0, 1.0, 1.0, np.nan]
        rows, sigma = len(z) * k + np.arange(len(z)), np.tile([[50.0, 1e-3, 1e-3, np.nan]], (len(z), 1))
        live, _ = step(live, Scan(200.0 + k, 0, 0, rows, z, sigma, SITE, AXES, -20.0, 1.0))
    return live


def test_what_begun_beside_it_goes_on_under_its_number():
    live = watched(held([500, 9]))
    fallen = filters.predict(filters.bank(200.0, TARGET[None], np.eye(6)[None], np.array([[1e-9, 1.0, 1e-9, 1e-9, 1e-9]])), live.seen[0])
    assert live.number.tolist() == [0] and live.seen.tolist() == [210.0] and live.burnt.tolist() == [True]
    assert live.hits.tolist() == [519] and live.sensors.tolist() == [3] and live.doubt.tolist() == [0.0]
    assert np.linalg.norm(live.bank.x6[0, :3] - fallen.x6[0, :3]) < 100.0


@pytest.mark.parametrize("hits, left", [([500, 60], [1]), ([50, 9], [1]), ([500, 9, 9], [1, 2])], ids=["not young", "not old", "two"])
def test_what_is_no_young_track_of_all_its_plots_is_no_heir(hits, left):
    """It may have been there all the time; and of two objects either may be the old one."""
    live = watched(held(hits, young=len(hits) - 1))
    assert live.number.tolist() == left


def test_an_older_track_and_one_that_is_not_firm_are_no_heirs():
    for change in ({"number": np.array([1, 0])}, {"firm": np.array([True, False])}):
        live = replace(held([500, 9]), **change)
        pairs, none = Pairs(np.array([0, 1, 2]), np.array([0, 0]), np.zeros(2), np.zeros(2), 1), np.zeros(1)
        taken = Taken(np.array([1]), np.array([0]), live.bank, live.bank, none, np.ones(1), np.ones(1, bool))
        after, drop = heirs.succeeded(live, np.array([True, False]), np.arange(2), pairs, taken)
        assert after is live and drop.tolist() == [True, False]


def test_what_was_remembered_of_the_estimate_that_is_gone_is_gone():
    live = replace(held([500, 9]), relative={(0, 7): None, (5, 7): None}, turns={(0, 3): None, (3, 5): None})  # type: ignore[dict-item]
    after = heirs._taken_over(live, 0, 1)
    assert list(after.relative) == [(5, 7)] and list(after.turns) == [(3, 5)]


def test_what_its_plots_said_of_the_estimate_that_is_gone_is_gone():
    live = replace(held([500, 9]), misfit=np.array([4.0, 1.0]), doubt=np.array([5.0, 0.5]))
    after = heirs._taken_over(live, 0, 1)
    assert after.misfit.tolist() == [1.0, 1.0] and after.doubt.tolist() == [0.5, 0.5]
