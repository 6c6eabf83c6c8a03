"""Objects that have parted in one place are told apart by all plots since; those that have not are let be."""

from __future__ import annotations

import numpy as np

from copfuse import fans, filters, frames, motion, pairing, tracking
from copfuse.coasting import FALLING, Fan, Live
from copfuse.scanning import Scan

START = np.r_[frames.ecef(np.radians(39.0), np.radians(130.0), 250e3), 0.0, 1500.0, 1500.0]
SITES = [(37.0, 127.0), (41.0, 141.0), (37.5, 126.5), (40.5, 140.5), (35.0, 129.0), (39.0, 136.0)]  # degrees
SIGMA = np.array([10.0, 5e-4, 5e-4, 2.0])
BIAS = np.array([30.0, 4e-4, 4e-4, 0.0])
BEFORE, AFTER = 20.0, 25.0  # s that the parent alone is seen, and its pieces then
FALLS = np.array([0.01, 0.97, 0.01, 0.005, 0.005])
PIECES = 5
LOOKS = 12  # scans in a second
LOUD = np.array([0.2, 2.0, 0.05, 0.15, 0.1, 0.05])  # m^2, mean echo of each body
SCATTER = 9.0  # m/s per axis


def parted(seed: int, apart: float = 0.0) -> list[motion.Trajectory]:
    """The parent, from the first scan on, and what parts from it after `BEFORE`, or is ``apart`` m from it then."""
    rng = np.random.default_rng([seed, 1])
    parent = motion.free_fall(START)
    there = motion.interpolate(parent.time, parent.x, [BEFORE])[0]
    off = np.hstack([apart * rng.normal(size=(PIECES, 3)), SCATTER * rng.normal(size=(PIECES, 3))])
    return [parent, *(motion.free_fall(there + one) for one in off)]


def scans(seed: int, bodies: list[motion.Trajectory]):
    """Scans of biased radars in turn, of the parent and then of every body, each seen by a chance of 0.8."""
    rng = np.random.default_rng(seed)
    offset = rng.normal(0.0, BIAS, (len(SITES), 4))
    for k in range(1, round(LOOKS * (BEFORE + AFTER))):
        time, radar = k / LOOKS, k % len(SITES)
        site, axes = frames.ecef(*np.radians(SITES[radar]), 0.0), frames.enu_axes(*np.radians(SITES[radar]))
        there = states(bodies, time) if time > BEFORE else states(bodies[:1], time)
        seen = rng.random(len(there)) < 0.8
        there, heard = there[seen], rng.exponential(LOUD[: len(seen)][seen])
        if len(there) == 0:
            continue
        z = frames.look(there, site, axes) + offset[radar] + rng.normal(0.0, SIGMA, (len(there), 4))
        sigma = np.tile(np.hypot(SIGMA, BIAS), (len(z), 1))
        places = pairing.spots(z, sigma, site, axes)
        echo = np.column_stack([heard, np.full(len(z), 0.005)])
        yield Scan(time, 3, radar, 10 * k + np.arange(len(z)), z, sigma, site, axes, -25.0, 1.0, 0, False, 1.0, places, BIAS, echo)


def states(bodies: list[motion.Trajectory], time: float) -> np.ndarray:
    since = np.r_[time, np.full(len(bodies) - 1, time - BEFORE)]
    return np.concatenate([motion.interpolate(one.time, one.x, [t]) for one, t in zip(bodies, since, strict=True)])


def known(seed: int, bodies: list[motion.Trajectory]) -> tuple[int, Live]:
    """How many bodies have in the end a firm track within 100 m and 4 m/s, and the tracks."""
    live = Live.empty()
    for scan in scans(seed, bodies):
        live, _ = tracking.step(live, scan)
    true = states(bodies, scan.time)
    since = (scan.time - live.bank.time)[:, None]
    place = live.bank.x6[:, :3] + since * live.bank.x6[:, 3:]
    off = np.linalg.norm(place[:, None] - true[:, :3], axis=2), np.linalg.norm(live.bank.x6[:, None, 3:] - true[:, 3:], axis=2)
    return int(((off[0] < 100.0) & (off[1] < 4.0) & live.firm[:, None]).any(axis=0).sum()), live


def test_pieces_are_told_apart_soon_after_they_have_parted(monkeypatch):
    """Alone, each radar's plots go to the tracks in an order of its own: 23 of 36 bodies are known then; if no more were, 30 would be known
    by a chance of 0.009 (binomial)."""
    found = [known(seed, parted(seed))[0] for seed in range(6)]
    monkeypatch.setattr(fans, "WAIT", np.inf)
    before = [known(seed, parted(seed))[0] for seed in range(6)]
    assert sum(found) >= 30 and sum(before) <= 23


def test_what_has_not_parted_in_one_place_is_let_be(monkeypatch):
    """Bodies that come into view kilometres apart are not where any velocities would have brought them from one place."""
    told, moved = [], []
    monkeypatch.setattr(fans, "dealt", lambda live, fan, time, dealt=fans.dealt: told.append(fan) or dealt(live, fan, time))
    monkeypatch.setattr(fans, "moved", lambda live, *rest: moved.append(rest) or live)
    for seed in range(3):
        known(seed, parted(seed, apart=1e3))
    assert told and not moved


def test_a_search_finds_when_all_parted_and_how_fast():
    """Beside a parent that falls as it is believed to; the bodies' plots begin half a second after they have parted."""
    seed = 0
    bodies = parted(seed)
    state = states(bodies, BEFORE + 0.5)
    bank = filters.bank([BEFORE + 0.5], state[:1], np.diag([50.0**2] * 3 + [2.0**2] * 3)[None], FALLS[None])
    fan = Fan(BEFORE + 0.5, filters.weigh(bank, FALLING), ())
    for scan in scans(seed, bodies):
        if scan.time > fan.since and scan.time < fan.since + fans.WAIT:
            fan = fan._replace(parent=filters.weigh(filters.predict(fan.parent, scan.time), FALLING))
            fan = fans.heard(fan, np.zeros(0, int), np.zeros(0, int), scan)
    found = fans.likeliest(fan, np.zeros((8, 3)))
    errors = np.linalg.norm(found.v[:, None] - (state[:, 3:] - state[0, 3:]), axis=2).min(axis=0)
    assert abs(found.lag - 0.5) < 0.5 and np.median(errors) < 2.0
    assert found.chance.shape == (sum(len(look.seen) for look in fan.looks), len(found.v))
    assert (found.chance.sum(axis=1) < 1.0 + 1e-9).all()
