"""Sharing: every process in time follows what its regime states, is causal, draws from streams of its own, and copies nothing."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2, kstest, lognorm, norm

import copfuse as cf
from copfuse import hearing, releases, reporting, transit
from copfuse.constants import BOOST, NATIONS, NODES, PHASES
from copfuse.errors import CopfuseError
from copfuse.links import Decision, Link, Regime, Rule
from copfuse.motion import interpolate
from copfuse.network import regime, regimes, share
from copfuse.regimes import parse
from copfuse.tables import CUE, DROP, MESSAGE, PLOT, TRACK, Detections, Messages, Tracks
from copfuse.transit import arrivals, copies, delays

KOR, JPN, USA, HUB = range(4)
SENSORS = [
    SimpleNamespace(name="KR-1", nation="KOR", kind="radar"), SimpleNamespace(name="JP-1", nation="JPN", kind="radar"),
    SimpleNamespace(name="US-IR", nation="USA", kind="infrared"),
]  # fmt: skip
SCENARIO = SimpleNamespace(name="three", sensors=SENSORS, regime="realtime", bias=0.0)
PLAIN = Link("KOR", "JPN", "track", (8.0, 2.0, 32.0))
SURE = 1e-4  # chance that a sound test of a random share or spread fails


def some_tracks(n=400, tracks=1, apart=0.0):
    """``tracks`` firm tracks per nation, ``apart`` s apart, with a row a second for ``n`` s; the American ones have infrared plots in
    them, boost gives way to midcourse in the middle."""
    time = np.concatenate([k * apart + np.repeat(np.arange(n), 3).astype(float) for k in range(tracks)])
    node, track = np.tile(np.arange(3), n * tracks), np.repeat(np.arange(tracks), 3 * n)
    columns = {name: np.zeros((len(time), *shape), dtype) for name, (dtype, shape) in Tracks.COLUMNS.items()}
    age = time - apart * track
    phase = np.where((age < n / 2)[:, None], [0.9, 0.1, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0])
    columns.update(time=time, node=node, track=track, firm=age >= 5, sensors=np.array([1, 2, 4])[node], phase_probability=phase)
    order = np.lexsort((node, time))
    return Tracks(**{name: column[order] for name, column in columns.items()})


def some_plots(n=50):
    columns = {name: np.zeros((n, *shape), dtype) for name, (dtype, shape) in Detections.COLUMNS.items()}
    columns.update(time=np.arange(n).astype(float), sensor=np.arange(n) % 3)
    return Detections(**columns)


def one(link, **changes):
    """A regime of one link."""
    return Regime("one", "", (dataclasses.replace(link, **changes),))


def same(a, b, but=()):
    return len(a) == len(b) and all(np.array_equal(getattr(a, c), getattr(b, c), equal_nan=True) for c in a.COLUMNS if c not in but)


def within(count, n, chance):
    """Whether a count out of n is one that this chance may bring."""
    low, high = binom.ppf([SURE / 2, 1 - SURE / 2], n, chance)
    return low <= count <= high


# The packaged regimes -------------------------------------------------------------------------------------------------


def test_none_lets_nothing_pass_but_the_infrared_cue():
    m = share(some_tracks(), SCENARIO, "none")
    assert (m.kind == CUE).all() and {NODES[t] for t in m.target} == {"KOR", "JPN"} and (m.source == USA).all()


def test_realtime_sends_every_nations_tracks_to_the_hub_and_the_others():
    t = some_tracks()
    m = share(t, SCENARIO, "realtime")
    sent = m[m.kind == TRACK]
    ways = {(NODES[a], NODES[b]) for a, b in zip(sent.source, sent.target, strict=True)}
    assert ways == {(a, b) for a in NATIONS for b in (*NATIONS, "HUB") if a != b}
    assert (t.node[sent.row] == sent.source).all() and t.firm[sent.row].all() and m.meta["tracks_uid"] == t.uid
    heard = sent[np.isfinite(sent.arrived)]
    assert (heard.arrived > heard.sent).all() and len(heard) < len(sent)


def test_plots_go_to_the_hub_only():
    d = some_plots()
    m = share(some_tracks(), SCENARIO, "plots", detections=d)
    assert (m.kind == PLOT).all() and (m.target == HUB).all()
    assert sorted(m.row) == list(range(len(d))) and m.meta["detections_uid"] == d.uid


def test_plots_without_detections_is_refused():
    with pytest.raises(CopfuseError, match="detections=detections"):
        share(some_tracks(), SCENARIO, "plots")


def test_unknown_regime_names_what_exists():
    with pytest.raises(CopfuseError, match="did you mean 'realtime'"):
        regime("realtme")
    with pytest.raises(CopfuseError, match="none, tisa, gsomia, realtime, plots, link16"):
        regime("xyz")


# Delay, jitter, loss, outages, duplicates --------------------------------------------------------------------------------


def test_a_links_delay_is_the_log_normal_of_its_quantiles():
    """Kolmogorov and Smirnov's test of 10 000 seeds against scipy's log-normal, without jitter; cut at three sigma."""
    link = dataclasses.replace(PLAIN, jitter=0.0)
    delay = np.array([arrivals(link, np.zeros(1), seed)[0] for seed in range(10_000)])
    sigma = np.log(32.0 / 2.0) / (2 * norm.ppf(0.95))
    assert kstest(delay, lognorm(sigma, scale=8.0).cdf).pvalue > 0.01
    for value, below in ((8.0, 0.5), (2.0, 0.05), (32.0, 0.95)):
        assert within((delay < value).sum(), 10_000, below)
    crooked = dataclasses.replace(link, delay=(90.0, 60.0, 185.0))
    delay_of = np.array([arrivals(crooked, np.zeros(1), seed)[0] for seed in range(3000)])
    assert all(within((delay_of < value).sum(), 3000, below) for value, below in ((90.0, 0.5), (60.0, 0.05), (185.0, 0.95)))
    assert delay.min() >= 8.0 * np.exp(-3 * sigma) * (1 - 1e-12) and delay.max() <= 8.0 * np.exp(3 * sigma) * (1 + 1e-12)


def test_jitter_is_log_normal_about_the_links_delay():
    spread = np.log(arrivals(dataclasses.replace(PLAIN, jitter=0.25), np.zeros(3000), 5))
    low, high = chi2.ppf([SURE / 2, 1 - SURE / 2], 2999)
    assert low < spread.var(ddof=1) * 2999 / 0.25**2 < high
    assert kstest((spread - np.log(arrivals(dataclasses.replace(PLAIN, jitter=0.0), np.zeros(1), 5))) / 0.25, "norm").pvalue > 0.01
    assert np.ptp(arrivals(dataclasses.replace(PLAIN, jitter=0.0), np.zeros(9), 5)) == 0.0


def test_no_delay_at_all_can_be_said():
    assert (arrivals(dataclasses.replace(PLAIN, delay=(0.0, 0.0, 0.0)), np.arange(5.0), 1) == np.arange(5.0)).all()


@given(st.floats(1.0, 1e4), st.floats(1.0, 50.0), st.floats(1.0, 50.0))
def test_delays_go_through_all_three_quantiles(median, below, above):
    quantiles = (median, median / below, median * above)
    found = delays(quantiles, norm.ppf([0.05, 0.5, 0.95]))
    assert np.allclose(found, [quantiles[1], median, quantiles[2]], rtol=1e-9)
    assert (np.diff(delays(quantiles, np.linspace(-4, 4, 99))) >= 0).all()


def test_loss_is_as_stated():
    lost = np.isnan(arrivals(dataclasses.replace(PLAIN, loss=0.1), np.arange(5000.0), 3)).sum()
    assert within(lost, 5000, 0.1)


def test_availability_is_as_stated_and_outages_come_in_stretches():
    """Up and down are exponential: over a time T the down share's variance is at most 2 q^2 p m / T (m the mean outage)."""
    link, T = dataclasses.replace(PLAIN, availability=0.8, outage=20.0), 200_000.0
    down = np.isnan(arrivals(link, np.arange(0.0, T, 5.0), 1))
    sigma = np.sqrt(2 * 0.8**2 * 0.2 * 20.0 / T)
    assert abs(down.mean() - 0.2) < 4 * sigma
    assert (np.diff(down.astype(int)) == 1).sum() < 0.5 * down.sum()


def test_outages_are_the_same_whether_asked_for_step_by_step_or_at_once():
    link, sent = dataclasses.replace(PLAIN, availability=0.7, outage=10.0), np.arange(0.0, 900.0, 1.0)
    transit._downs.cache_clear()
    parts = [np.isnan(arrivals(link, sent[: k + 100], 3))[k:] for k in range(0, 900, 100)]
    transit._downs.cache_clear()
    whole = np.isnan(arrivals(link, sent, 3))
    assert np.array_equal(np.concatenate(parts), whole) and 0.1 < whole.mean() < 0.6


def test_what_a_run_says_of_its_regime_is_its_own():
    """Whoever changes it changes no other run's."""
    first = share(some_tracks(40), SCENARIO, "realtime")
    first.meta["payloads"].clear()
    first.meta["stripped"].clear()
    again = share(some_tracks(40), SCENARIO, "realtime").meta
    assert "track" in again["payloads"] and "KOR>JPN:track" in again["stripped"]


def test_nothing_passes_in_a_stated_outage_and_all_else_does():
    sent = np.arange(0.0, 300.0, 0.5)
    lost = np.isnan(arrivals(dataclasses.replace(PLAIN, outages=((100.0, 160.0), (200.0, 201.0))), sent, 2))
    assert np.array_equal(lost, ((sent >= 100) & (sent < 160)) | ((sent >= 200) & (sent < 201)))


def test_duplicates_come_as_often_as_stated_and_change_nothing_else():
    link, sent = dataclasses.replace(PLAIN, duplicate=0.3, loss=0.2), np.arange(4000.0)
    came = arrivals(link, sent, 1)
    assert np.array_equal(came, arrivals(dataclasses.replace(link, duplicate=0.0), sent, 1), equal_nan=True)
    twice, when = copies(link, came, 1)
    assert within(len(twice), int(np.isfinite(came).sum()), 0.3) and (when > came[twice]).all()
    few, soon = copies(link, came[:2000], 1)
    assert np.array_equal(few, twice[: len(few)]) and np.array_equal(soon, when[: len(few)])


def test_a_link_draws_from_a_stream_of_its_own():
    """More links in a regime leave a link's arrivals as they were."""
    t = some_tracks()
    whole = regime("realtime")
    only = Regime("one", "", tuple(k for k in whole.links if (k.source, k.target) == ("KOR", "JPN")))
    a, b = share(t, SCENARIO, whole, seed=3), share(t, SCENARIO, only, seed=3)
    a = a[(a.source == KOR) & (a.target == JPN) & (a.kind == TRACK)]
    assert np.array_equal(a.arrived, b.arrived, equal_nan=True) and np.array_equal(a.row, b.row)


def test_regimes_are_compared_on_common_random_numbers():
    """What two regimes have in common comes at the same moments in both."""
    t = some_tracks()
    found = [share(t, SCENARIO, name, seed=8) for name in ("none", "tisa", "gsomia")]
    first = found[0][found[0].kind == CUE]
    assert len(first) == 2 and all(same(first, m[m.kind == CUE]) for m in found)


def test_reports_keep_to_the_period():
    m = share(some_tracks(), SCENARIO, "realtime")
    sent = np.sort(m.sent[(m.source == KOR) & (m.target == HUB)])
    assert np.diff(sent).min() >= 1.0 and len(sent) <= 200


# People ---------------------------------------------------------------------------------------------------------------

CONSENT = Decision(0.3, (1800.0, 600.0, 7200.0))


def test_events_begin_with_the_first_track_and_last_so_long():
    assert releases.events(np.array([0.0, 3.0, 599.0, 600.0, 601.0, 1200.0, 1202.0]), 600.0).tolist() == [0.0, 601.0, 1202.0]
    assert len(releases.events(np.zeros(0), 600.0)) == 0


def test_consent_is_given_for_the_stated_share_of_events_after_the_stated_delays():
    """300 events of one track each, 1000 s apart, over five seeds."""
    t = some_tracks(n=8, tracks=300, apart=1000.0)
    delays, begin = [], {}
    for k in range(300):
        begin[k] = t.time[(t.node == KOR) & (t.track == k) & t.firm].min()
    for seed in range(5):
        m = share(t, SCENARIO, one(Link("KOR", "USA", "message", (5.0, 2.0, 15.0), consent=CONSENT)), seed=seed)
        assert (m.kind == MESSAGE).all() and (m.source == KOR).all() and (m.target == USA).all()
        delays += [s - begin[int(t.track[r])] for s, r in zip(m.sent, m.row, strict=True)]
        assert len(np.unique(t.track[m.row])) == len(m)  # one decision per event
    assert within(len(delays), 1500, 0.3)
    for value, below in zip((600.0, 1800.0, 7200.0), (0.05, 0.5, 0.95), strict=True):
        assert within((np.array(delays) < value).sum(), len(delays), below)


def test_a_release_tells_of_all_tracks_of_the_event_as_they_are_then_and_of_no_later_ones():
    t = some_tracks(n=400, tracks=3, apart=250.0)  # firm from 5, 255 and 505 s on
    m = share(t, SCENARIO, one(Link("KOR", "USA", "message", (5.0, 2.0, 15.0), consent=Decision(1.0, (300.0, 300.0, 300.0), 400.0))))
    assert (m.sent == 305.0).sum() == 2 and sorted(t.track[m.row[m.sent == 305.0]]) == [0, 1]
    assert all(t.time[m.row[m.sent == 305.0]] == 305.0)  # the newest rows
    later = m[m.sent > 305.0]  # the third began 100 s after the first event's end: an event of its own
    assert later.sent.tolist() == [805.0] and t.track[later.row].tolist() == [2] and t.time[later.row].tolist() == [805.0]


def test_a_request_is_made_when_the_recipient_knows_of_something_and_answered_with_what_there_is():
    """Japan asks once per event of its own, in writing or by voice; Korea answers with what it has when it does."""
    t = some_tracks(n=8, tracks=300, apart=1000.0)
    t = t[~((t.node == JPN) & (t.track % 2 == 1))]  # every other flight is one that Japan does not see
    ask = Link("KOR", "JPN", "message", (5.0, 2.0, 15.0), request=Decision(0.5, (30.0, 20.0, 50.0)), voice=Decision(0.2, (5.0, 4.0, 6.0)))
    m = share(t, SCENARIO, one(ask), seed=2)
    asked = t.track[m.row]
    assert (
        (asked % 2 == 0).all()
        and within((m.sent % 1000 > 5.0 + 8.0).sum(), 150, 0.5)
        and within((m.sent % 1000 < 5.0 + 8.0).sum(), 150, 0.2)
    )
    assert (t.node[m.row] == KOR).all() and (t.time[m.row] <= m.sent).all()
    deaf = t[t.node != JPN]
    assert len(share(deaf, SCENARIO, one(ask), seed=2)) == 0  # who knows of nothing does not ask


def test_a_cue_makes_a_nation_ask_for_what_it_does_not_see():
    t = some_tracks(n=60)
    t = t[t.node != JPN]
    m = share(t, SCENARIO, Regime("cued", "", (
        Link("USA", "JPN", "cue", (90.0, 60.0, 185.0)),
        Link("KOR", "JPN", "message", (5.0, 2.0, 15.0), request=Decision(1.0, (30.0, 30.0, 30.0))),
    )))  # fmt: skip
    assert m.sent[m.kind == MESSAGE].tolist() == [float(m.arrived[m.kind == CUE][0]) + 30.0]


def test_a_message_without_a_decision_goes_out_with_the_first_firm_row_and_every_period():
    t = some_tracks(n=60)
    m = share(t, SCENARIO, one(Link("KOR", "JPN", "message", (5.0, 2.0, 15.0))))
    assert m.sent.tolist() == [5.0]
    m = share(t, SCENARIO, one(Link("KOR", "JPN", "message", (5.0, 2.0, 15.0), period=20.0)))
    assert np.sort(m.sent).tolist() == [5.0, 20.0, 40.0]


# Report slots and responsibility -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 4])
def test_in_each_slot_the_newest_row_goes_out(slots):
    """Against a naive twin."""
    t, link = some_tracks(n=90, tracks=2, apart=30.5), dataclasses.replace(PLAIN, frame=12.0, slots=slots)
    m = share(t, SCENARIO, one(link), seed=4)
    begin, expected = reporting.first_slot(link, 4), []
    assert 0.0 <= begin < 12.0 / slots
    for k in range(60):
        slot = begin + k * 12.0 / slots
        for track in (0, 1):
            new = np.flatnonzero((t.node == KOR) & (t.track == track) & t.firm & (t.time <= slot) & (t.time > slot - 12.0 / slots))
            expected += [(slot, int(new[-1]))] if len(new) else []
    order = np.lexsort((m.row, m.sent))
    assert np.array_equal(m.row[order], [row for _, row in expected]) and np.allclose(m.sent[order], [s for s, _ in expected])


def test_track_quality_falls_by_one_for_each_doubling_of_sigma():
    sigma = np.array([1.0, 25.0, 26.0, 50.0, 51.0, 100.0, 1e3, 1e9])
    P = np.zeros((8, 6, 6))
    P[:, 0, 0] = sigma**2
    assert reporting.quality(P).tolist() == [15, 15, 14, 14, 13, 13, 9, 1] and reporting.quality(P).dtype.kind == "i"


@pytest.fixture(scope="module")
def flight():
    return cf.fly(cf.load("hokkaido-2017"))


def tracks_of(flight, sigmas, spans, bias=0.0):
    """One track per nation of a real flight in midcourse, a row a second, true but for ``bias`` m, with sigma m by the time s."""
    parts = []
    for node, (sigma, (begin, end)) in enumerate(zip(sigmas, spans, strict=True)):
        time = np.arange(begin, end, 1.0) + 0.1 * node
        s = np.array([sigma(t) for t in time])
        P = np.einsum("n,ij->nij", s**2 / 3, np.diag([1.0, 1.0, 1.0, 1e-4, 1e-4, 1e-4]))
        columns = {name: np.zeros((len(time), *shape), dtype) for name, (dtype, shape) in Tracks.COLUMNS.items()}
        x = interpolate(flight.time, flight.x, time) + np.array([bias, 0, 0, 0, 0, 0]) * node
        columns.update(time=time, node=np.full(len(time), node), x=x, P=P, P_common=0.1 * P, firm=np.ones(len(time), bool),
                       acceleration_sigma=np.ones(len(time)), log_beta=np.tile([8.0, 0.5], (len(time), 1)),
                       phase_probability=np.tile([0.0, 1.0, 0.0, 0.0], (len(time), 1)), sensors=np.full(len(time), 1 << node))  # fmt: skip
        parts.append(columns)
    joined = {name: np.concatenate([p[name] for p in parts]) for name in Tracks.COLUMNS}
    order = np.argsort(joined["time"], kind="stable")
    return Tracks(**{name: column[order] for name, column in joined.items()})


NET = Regime("net", "", tuple(
    Link(a, b, "track", (0.3, 0.1, 1.0), frame=12.0, responsibility=True) for a in NATIONS for b in NODES if a != b
))  # fmt: skip


def reporters(t, seed=1, net=NET):
    """Who reported in which slot, in order: (s, nation)."""
    m = share(t, SCENARIO, net, seed=seed)
    m = m[m.target == HUB]
    return [(float(m.sent[i]), NODES[m.source[i]]) for i in np.argsort(m.sent, kind="stable")]


def test_only_the_unit_with_the_best_track_reports(flight):
    t = tracks_of(flight, [lambda t: 400.0, lambda t: 100.0, lambda t: 1600.0], [(200, 300)] * 3)
    said = reporters(t)
    assert {who for s, who in said if s > 200 + 13.0} == {"JPN"} and len([1 for s, _ in said if s > 213.0]) in (7, 8)
    assert all(b - a > 11.9 for (a, x), (b, y) in zip(said, said[1:], strict=False) if x == y)


def test_two_objects_are_reported_by_two_units(flight):
    """Tracks that are far from one another are not one object, whatever their quality: both report, all the time."""
    t = tracks_of(flight, [lambda t: 400.0, lambda t: 100.0, lambda t: 400.0], [(200, 300)] * 3, bias=50e3)
    assert {who for s, who in reporters(t) if s > 250.0} == {"KOR", "JPN", "USA"}


def test_responsibility_has_hysteresis(flight):
    """A little better is not enough to take over; much better is, once; and who falls silent is succeeded."""
    little = tracks_of(flight, [lambda t: 300.0, lambda t: 600.0 if t < 230 else 180.0, lambda t: 5e3], [(200, 330)] * 3)
    much = tracks_of(flight, [lambda t: 300.0, lambda t: 600.0 if t < 230 else 90.0, lambda t: 5e3], [(200, 330)] * 3)
    silent = tracks_of(flight, [lambda t: 300.0, lambda t: 600.0, lambda t: 5e3], [(200, 250), (200, 400), (200, 400)])
    assert {who for s, who in reporters(little) if s > 245.0} == {"KOR"}
    assert {who for s, who in reporters(much) if s > 260.0} == {"JPN"} and "KOR" in {who for s, who in reporters(much) if 213 < s < 230}
    after = [(s, who) for s, who in reporters(silent) if s > 262.0]
    assert {who for _, who in after} == {"JPN"} and after[0][0] <= 262.0 + 36.0 + 12.0


def test_a_unit_judges_only_by_what_it_hears(flight):
    """Cut off from the others, the lesser unit goes on reporting: nothing tells it that there is a better one."""
    t = tracks_of(flight, [lambda t: 400.0, lambda t: 100.0, lambda t: 1600.0], [(200, 300)] * 3)
    deaf = dataclasses.replace(NET, links=tuple(dataclasses.replace(k, loss=1.0) if k.target == "KOR" else k for k in NET.links))
    assert {who for s, who in reporters(t, net=deaf) if s > 250.0} == {"KOR", "JPN"}


# Relays and release rules --------------------------------------------------------------------------------------------------


def test_a_relay_passes_on_what_it_has_heard_when_it_has():
    t = some_tracks()
    legs = (
        Link("KOR", "USA", "track", (8.0, 2.0, 30.0), loss=0.2, period=2.0),
        Link("KOR", "JPN", "track", (1.0, 0.5, 2.0), loss=0.2, via="USA"),
    )
    m = share(t, SCENARIO, Regime("r", "", legs), seed=3)
    first, second = m[m.target == USA], m[m.target == JPN]
    at_relay = dict(zip(first.row.tolist(), first.arrived.tolist(), strict=True))
    assert set(second.row) == set(first.row) and (second.source == KOR).all()
    assert all(a > at_relay[r] for r, a in zip(second.row.tolist(), second.arrived.tolist(), strict=True) if np.isfinite(a))
    assert all(np.isnan(a) for r, a in zip(second.row.tolist(), second.arrived.tolist(), strict=True) if np.isnan(at_relay[r]))
    assert within(np.isnan(second.arrived).sum(), len(second), 1 - 0.8**2)


def with_rules(*rules, links=None):
    return Regime("ruled", "", links or regime("realtime").links, tuple(Rule(*rule) for rule in rules))


def test_deny_wins_and_only_what_is_released_passes():
    """Against a naive twin: what a release rule names, less what a denial names, by the originator's own phase."""
    t, tracks_only = some_tracks(), ("track",)
    rules = with_rules((("KOR",), ("JPN",), tracks_only, ("boost", "midcourse"), True), (NATIONS, ("JPN",), tracks_only, ("boost",), False))
    m = share(t, SCENARIO, rules, seed=1)
    heard = m[(m.target == JPN) & (m.kind == TRACK)]
    assert set(heard.source) == {KOR, USA} and (t.phase_probability[heard.row].argmax(axis=1) != BOOST).all()
    assert len(m.meta["said"]) == 1 and "deny wins" in m.meta["said"][0]
    free = share(t, SCENARIO, "realtime", seed=1)
    assert same(m[m.target == HUB], free[free.target == HUB])  # nobody else is concerned
    only = share(t, SCENARIO, with_rules((("KOR",), ("JPN",), tracks_only, ("midcourse",), True)), seed=1)
    heard = only[(only.target == JPN) & (only.source == KOR)]
    assert len(heard) and (t.phase_probability[heard.row].argmax(axis=1) == 1).all()
    assert (only[(only.target == JPN) & (only.source == USA)].kind == TRACK).sum() > 190


@pytest.mark.parametrize("name", ["realtime", "tisa", "gsomia"])
def test_what_a_rule_withholds_leaves_no_trace_in_what_passes(name):
    """With withheld rows gone altogether, what the recipient gets is the same row for row, at the same moments."""
    t, base = some_tracks(n=400, tracks=3, apart=900.0), regime(name)
    base = dataclasses.replace(
        base, links=tuple(dataclasses.replace(k, consent=k.consent and dataclasses.replace(CONSENT, share=1.0)) for k in base.links)
    )
    rules = with_rules((("KOR",), ("JPN",), ("track", "message"), ("boost",), False), links=base.links)
    kept = ~((t.node == KOR) & (t.phase_probability.argmax(axis=1) == BOOST))
    whole, cut = (share(x, SCENARIO, rules, seed=6) for x in (t, t[kept]))
    whole, cut = (m[(m.target == JPN) & (m.source == KOR)] for m in (whole, cut))
    assert len(whole) and np.array_equal(np.flatnonzero(kept)[cut.row], whole.row)
    assert np.array_equal(whole.sent, cut.sent) and np.array_equal(whole.arrived, cut.arrived, equal_nan=True)


def test_what_a_rule_withholds_leaves_no_trace_on_a_net(flight):
    """Korea has the best track, which Japan may not have: Japan hears the American one, as if there were no Korean one."""
    t = tracks_of(flight, [lambda t: 100.0, lambda t: 1600.0, lambda t: 400.0], [(200, 300)] * 3)
    rules = dataclasses.replace(NET, rules=(Rule(("KOR",), ("JPN",), ("track",), PHASES, False),))
    kept = t.node != KOR
    whole, cut, free = share(t, SCENARIO, rules, seed=1), share(t[kept], SCENARIO, rules, seed=1), share(t, SCENARIO, NET, seed=1)
    assert not ((free.target == JPN) & (free.source == USA) & (free.sent > 230)).any()
    assert {KOR, JPN} == set(whole.source[(whole.target == HUB) & (whole.sent > 230)])  # Japan knows of no better track and reports
    whole, cut = whole[whole.target == JPN], cut[cut.target == JPN]
    assert (whole.source == USA).all() and len(whole) in (9, 10) and np.array_equal(np.flatnonzero(kept)[cut.row], whole.row)
    assert np.array_equal(whole.sent, cut.sent) and np.array_equal(whole.arrived, cut.arrived, equal_nan=True)


# What holds of all -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    """The flight of 15 September 2017 over four radars and the satellites for 420 s: scenario, detections, tracks."""
    s = cf.load("hokkaido-2017")
    names = ("KR-AEG-ES", "KR-GP-CB", "JP-FPS5-SD", "US-TPY2-SH")
    kept = tuple(dataclasses.replace(x, availability=1.0) for x in s.sensors if x.name in names or x.kind == "infrared")
    s = dataclasses.replace(s, sensors=kept, duration=420.0, picture_step=4.0)
    d = cf.detect(cf.fly(s), s, seed=1)
    return s, d, cf.track(d, s)


EVERY = [*regimes(), "jittery", "quick"]


def every(name):
    """A packaged regime, a disorderly one, or messages of people who decide in seconds."""
    if name == "jittery":
        links = [dataclasses.replace(k, jitter=1.5, duplicate=0.4, outages=((150.0, 170.0),)) for k in regime("realtime").links]
        return Regime(name, "", tuple(links))
    if name == "quick":
        ask = Decision(0.9, (40.0, 20.0, 90.0), 30.0)
        links = [
            Link("KOR", "USA", "message", (5.0, 2.0, 15.0), consent=ask),
            Link("JPN", "KOR", "message", (5.0, 2.0, 15.0), request=ask, voice=ask),
        ]
        return Regime(name, "", (*links, Link("KOR", "JPN", "message", (5.0, 2.0, 15.0), via="USA"), *regime("none").links))
    return regime(name)


@pytest.mark.parametrize("name", EVERY)
def test_the_future_does_not_change_the_past(small, name):
    """What is known only after a time leaves all that was sent, or had arrived, by then as it was."""
    s, d, t = small
    whole = share(t, s, every(name), seed=3, detections=d)
    assert len(whole)
    for end in (60.0, 161.0, 300.0):
        cut = share(t[t.time <= end], s, every(name), seed=3, detections=d[d.time <= end])
        for now in ("sent", "arrived"):
            a, b = (m[getattr(m, now) <= end] for m in (whole, cut))
            assert same(a, b)


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_gives_the_same_bytes(small, name):
    s, d, t = small
    a, b, c = (share(t, s, every(name), seed=seed, detections=d) for seed in (3, 3, 4))
    assert a.uid == b.uid and not same(a, c)


def test_pictures_under_tisa_and_gsomia_are_those_of_none_while_messages_arrive_late(small):
    """Bit for bit; over 40 seeds some messages come, all after the tracks that they tell of have ended."""
    s, _, t = small
    came = {"tisa": 0, "gsomia": 0}
    plain = cf.fuse(t, share(t, s, "none", seed=0), s)
    for name in came:
        for seed in range(40):
            m = share(t, s, name, seed=seed)
            told = m[m.kind == MESSAGE]
            came[name] += len(told)
            assert (np.isfinite(told.arrived) & (told.arrived > told.sent)).all()
            assert name == "gsomia" or (told.sent > t.time.max()).all()  # minutes at least: after the end, and yet it is there
            assert len(releases.told(m, t)) == len(np.unique(told.sent * 16 + told.source * 4 + told.target))
        assert came[name] > 10 and same(cf.fuse(t, m, s), plain)


def test_a_message_says_where_from_whither_and_when(small):
    s, _, t = small
    m = share(t, s, Regime("sure", "", (Link("USA", "JPN", "message", (5.0, 2.0, 15.0), consent=Decision(1.0, (9e3, 9e3, 9e3))),)))
    text = " ".join(releases.told(m, t))
    assert "JPN was told by USA 2.5 h after USA first held it" in text and "after the impact that it tells" in text
    assert "launch 39.2 N 125." in text and "impact 41." in text  # the airport, and east of Hokkaido


def test_launches_outside_the_area_are_not_told_of(small):
    s, _, t = small
    for area, many in (((37.5, 43.1, 124.0, 131.0), 1), ((-10.0, 10.0, 124.0, 131.0), 0)):
        ask = Decision(1.0, (900.0, 900.0, 900.0), area=tuple(np.radians(area)))
        assert len(share(t, s, one(Link("KOR", "USA", "message", (5.0, 2.0, 15.0), consent=ask)))) == many


def test_a_duplicate_changes_no_picture(small):
    s, _, t = small
    links = tuple(dataclasses.replace(k, jitter=0.8) for k in regime("realtime").links)
    plain = share(t, s, Regime("a", "", links), seed=2)
    double = share(t, s, Regime("a", "", tuple(dataclasses.replace(k, duplicate=0.5) for k in links)), seed=2)
    assert len(double) > 1.3 * len(plain) and same(cf.fuse(t, double, s), cf.fuse(t, plain, s))


def naive_feed(node, t, m):
    """Taken in one by one as it comes: what is no newer than what is known of its track is passed over."""
    events = [(float(t.time[r]), int(r)) for r in np.flatnonzero((t.node == node) & t.firm)]
    events += [
        (float(a), int(r)) for a, r, b, k in zip(m.arrived, m.row, m.target, m.kind, strict=True) if b == node and k == TRACK and a == a
    ]
    came = m[(m.target == node) & (m.kind == DROP) & np.isfinite(m.arrived)]
    over = {(int(t.node[r]), int(t.track[r])): float(a) for a, r in zip(came.arrived, came.row, strict=True)}
    over |= {(node, n): time for n, _, time in t.meta["ended"].get(NODES[node], [])}
    newest, kept = {}, []
    for when, row in sorted(events):
        key = int(t.node[row]), int(t.track[row])
        if t.time[row] > newest.get(key, -np.inf) and when <= over.get(key, np.inf):
            newest[key] = t.time[row]
            kept.append((when, row))
    return kept


@pytest.mark.parametrize("name", ["realtime", "jittery", "link16"])
def test_nobody_goes_back_in_time(small, name):
    s, d, t = small
    m = share(t, s, every(name), seed=5)
    for node in range(4):
        when, rows = hearing.track_feed(node, t, m)
        assert list(zip(when.tolist(), rows.tolist(), strict=True)) == naive_feed(node, t, m)
    p = cf.fuse(t, m, s)
    for node in range(4):
        mine = p[p.node == node]
        for k in np.unique(t.node):
            of = mine.pedigree[:, k]
            for number in np.unique(t.track[of[of >= 0]]):
                rows = of[(of >= 0) & (t.track[of] == number)]
                assert (np.diff(t.time[rows]) >= 0).all()


# Tracks that are no more -------------------------------------------------------------------------------------------------


def ended_tracks(at=200.5, n=400):
    """`some_tracks` with plots of their own; the Korean one has its last row at 199 s and ends at ``at`` s."""
    t = some_tracks(n)
    t = dataclasses.replace(t, detection=np.arange(len(t)))[(t.node != KOR) | (t.time < 200.0)]
    last = np.flatnonzero(t.node == KOR)[-1]
    return dataclasses.replace(t, meta={"ended": {"KOR": [[0, int(t.detection[last]), at]]}})


def drops_of(m):
    return m[m.kind == DROP]


@pytest.mark.parametrize("more, sent", [({}, 200.5), ({"period": 30.0}, 200.5), ({"frame": 12.0}, None)])
def test_the_end_of_a_track_is_told_at_once_or_in_the_next_slot(more, sent):
    t, link = ended_tracks(), dataclasses.replace(PLAIN, **more)
    m = share(t, SCENARIO, one(link), seed=3)
    told, said = drops_of(m), m[m.kind == TRACK]
    first = reporting.first_slot(link, 3) if sent is None else 0.0
    want = first + 12.0 * np.ceil((200.5 - first) / 12.0) if sent is None else sent
    assert told.sent == pytest.approx([want]) and told.row.tolist() == [said.row[np.argmax(said.sent)]]
    assert (told.source, told.target) == (KOR, JPN) and 2.0 < told.arrived[0] - told.sent[0] < 40.0


def test_ends_of_tracks_take_no_draw_from_what_else_a_link_carries():
    t = ended_tracks()
    link = dataclasses.replace(PLAIN, loss=0.3, availability=0.7)
    with_ends, without = (share(x, SCENARIO, one(link), seed=3) for x in (t, dataclasses.replace(t, meta={})))
    assert same(with_ends[with_ends.kind == TRACK], without) and len(drops_of(with_ends)) == 1


def test_only_what_was_reported_is_taken_back():
    """Not before it is firm; not what a rule withholds at the last; not where only people, cues or plots are told."""
    t = ended_tracks()
    assert len(drops_of(share(t, SCENARIO, one(PLAIN)))) == 1
    unheard = dataclasses.replace(t, firm=t.firm & (t.node != KOR))
    assert len(drops_of(share(unheard, SCENARIO, one(PLAIN)))) == 0
    rule = Rule(("KOR",), ("JPN",), ("track",), ("boost",), True)
    late = dataclasses.replace(t, phase_probability=np.where((t.time < 199.0)[:, None], t.phase_probability, [0.1, 0.9, 0.0, 0.0]))
    for table, told in ((t, 1), (late, 0)):
        assert len(drops_of(share(table, SCENARIO, dataclasses.replace(one(PLAIN), rules=(rule,))))) == told
    assert len(drops_of(share(t, SCENARIO, one(PLAIN, payload="message")))) == 0


def test_a_lost_drop_never_comes_and_an_early_one_ends_the_track_for_good():
    """By a delay that jitters the last rows come after the end that was told: they are not heard any more."""
    t = ended_tracks(at=199.5)
    assert not np.isfinite(drops_of(share(t, SCENARIO, one(PLAIN, outages=((199.2, 210.0),)))).arrived).any()
    for seed in range(20):
        m = share(t, SCENARIO, one(PLAIN, jitter=0.6), seed=seed)
        end = drops_of(m).arrived[0]
        when, rows = hearing.track_feed(JPN, t, m)
        assert hearing.track_ends(JPN, t, m) == [(end, KOR, 0)] and when[t.node[rows] == KOR].max() <= end
        assert hearing.track_ends(KOR, t, m) == [(199.5, KOR, 0)] and hearing.track_ends(USA, t, m) == []


# What a node may know --------------------------------------------------------------------------------------------------------


def test_what_is_stripped_is_neither_shown_nor_read(small):
    """Under realtime other nations' tracks may have had any of their sensors: a nation's picture keeps its bytes."""
    s, _, t = small
    bits = np.array([1 << i for i in range(len(s.sensors))], np.uint64)
    nation = np.array([NODES.index(x.nation) for x in s.sensors])
    theirs = np.array([bits[nation == n].max() for n in range(3)])
    other = Tracks(**{**{c: getattr(t, c) for c in t.COLUMNS}, "sensors": np.where(t.node == JPN, t.sensors, theirs[t.node])}, meta=t.meta)
    a, b = (cf.fuse(x, Messages(*(getattr(share(t, s, "realtime"), c) for c in Messages.COLUMNS),
                                meta={**share(t, s, "realtime").meta, "tracks_uid": x.uid}), s) for x in (t, other))  # fmt: skip
    assert same(a[a.node == JPN], b[b.node == JPN]) and not same(a[a.node == KOR], b[b.node == KOR])
    own = np.bitwise_or.reduce(bits[nation == JPN])
    assert (a.sensors[a.node == JPN] & ~own == 0).all() and (a.sensors[a.node == JPN] & own).any() and not a.sensors[a.node == HUB].any()
    seen = [k for k in cf.sightings(SimpleNamespace(truth=cf.fly(s), picture=a, scenario=s, detections=small[1]))]
    assert {k.node: k.own for k in seen} == {"KOR": False, "JPN": False, "USA": True, "HUB": True}  # Korea heard of it 5 s before


def test_a_launch_point_stands_only_on_what_was_heard(small):
    """The hub hears nothing of boost: with those rows gone its picture keeps its bytes, launch points and all."""
    s, _, t = small
    rules = with_rules((NATIONS, ("HUB",), ("track",), ("boost",), False))
    less = t[t.phase_probability.argmax(axis=1) != BOOST]
    a, b, c = (cf.fuse(x, share(x, s, r, seed=3), s) for x, r in ((t, rules), (less, rules), (t, "realtime")))
    a, b, c = (p[p.node == HUB] for p in (a, b, c))
    assert len(a) and np.isfinite(a.launch_point).all() and same(a, b, ("pedigree",)) and not same(a, c, ("pedigree",))


def test_plots_that_may_not_go_to_a_node_do_not_stand_in_what_it_sees_of_the_hub(small):
    """Korea's plots may go to the hub, not to Japan: Japan's picture is as if there were none, the others' as ever."""
    s, d, t = small
    d = d[d.time <= 90.0]
    t = cf.track(d, s)
    packaged = regime("plots")
    rules = dataclasses.replace(packaged, rules=(Rule(("KOR",), ("JPN",), ("plot",), PHASES, False),))
    korean = np.array([x.nation == "KOR" for x in s.sensors])[d.sensor]
    less = d[~korean]
    a, b, c = (
        cf.fuse(cf.track(x, s), share(cf.track(x, s), s, r, detections=x), s, detections=x)
        for x, r in ((d, rules), (less, packaged), (d, packaged))
    )
    assert same(a[a.node == JPN], b[b.node == JPN], ("pedigree",)) and same(a[a.node != JPN], c[c.node != JPN])
    assert (a.node == JPN).any() and not same(a[a.node == JPN], c[c.node == JPN], ("pedigree",))
    known = hearing.may_know("JPN", t, share(t, s, rules, detections=d), s, d)
    assert not korean[known.detections].any() and len(known.detections) == (~korean).sum()


def test_without_a_display_nations_look_at_their_own_plots_only(small):
    s, d, t = small
    d = d[d.time <= 120.0]
    t = cf.track(d, s)
    own = cf.fuse(t, share(t, s, "none"), s)
    hub = cf.fuse(t, share(t, s, dataclasses.replace(regime("plots"), display=()), detections=d), s, detections=d)
    for node in (KOR, JPN, USA):
        assert same(own[own.node == node], hub[hub.node == node], ("pedigree", "node", "common"))
    assert (hub.node == HUB).any()


nodes = st.sampled_from(NODES)
some_link = st.fixed_dictionaries(
    {"source": st.sampled_from(NATIONS), "target": nodes, "payload": st.sampled_from(["track", "cue", "message"]),
     "delay_s": st.sampled_from([[8.0, 2.0, 30.0], [0.0, 0.0, 0.0], [90.0, 60.0, 185.0]])},
    optional={"loss": st.floats(0.0, 1.0), "availability": st.floats(0.0, 1.0), "jitter": st.floats(0.0, 2.0),
              "duplicate": st.floats(0.0, 1.0), "outages_s": st.just([[20.0, 50.0]]), "via": nodes, "slots_s": st.floats(1.0, 20.0),
              "consent": st.just({"share": 0.7, "delay_s": [20.0, 10.0, 60.0], "event_s": 40.0})},
)  # fmt: skip
some_rule = st.fixed_dictionaries(
    {"release": st.booleans()},
    optional={
        "originator": nodes,
        "recipient": nodes,
        "payload": st.sampled_from(["track", "cue", "message"]),
        "subject": st.sampled_from(PHASES),
    },
)


@settings(max_examples=150)
@given(st.lists(some_link, max_size=5), st.lists(some_rule, max_size=3), st.integers(0, 9))
def test_random_regimes_send_what_they_may_causally(linked, rules, seed):
    """Whatever the links and rules: rows of the source, firm and released, sent not before they are, in causal order."""
    try:
        random = parse({"title": "x", "link": linked, "rule": rules}, "random.toml", "random")
    except CopfuseError:
        return
    t = some_tracks(n=30, tracks=3, apart=45.0)
    m = share(t, SCENARIO, random, seed=seed)
    ways = {k.ends for k in random.links}
    assert (t.node[m.row] == m.source).all() and t.firm[m.row].all() and (t.time[m.row] <= m.sent).all()
    order = np.nan_to_num(m.arrived, nan=np.inf)
    assert not (m.arrived < m.sent).any() and (order[1:] >= order[:-1]).all()
    phase = t.phase_probability[m.row].argmax(axis=1)
    for a, b, kind, p in zip(m.source, m.target, m.kind, phase, strict=True):
        ends = NODES[a], NODES[b], ("track", "plot", "cue", "message")[kind]
        assert ends in ways and not any(r.concerns(ends) and not r.release and PHASES[p] in r.subjects for r in random.rules)
    cut = share(t[t.time <= 60.0], SCENARIO, random, seed=seed)
    for now in ("sent", "arrived"):
        assert same(*(x[getattr(x, now) <= 60.0] for x in (m, cut)))
    for node in range(4):
        known = hearing.may_know(NODES[node], t, m, SCENARIO)
        came = m[(m.target == node) & (m.kind == TRACK) & np.isfinite(m.arrived)]
        assert set(known.tracks) == set(np.flatnonzero(t.node == node)) | set(came.row) and set(hearing.track_feed(node, t, m)[1]) <= set(
            known.tracks
        )


def test_draws_asked_for_again_are_the_first_ones_of_the_stream():
    link = Link("USA", "JPN", "track", (5.0, 1.0, 9.0))
    for normal in (True, False):
        draws, rng = transit.Draws(transit.link_stream(link, 3, "spread"), normal), transit.link_stream(link, 3, "spread")
        whole = (rng.standard_normal if normal else rng.random)(300)
        for n in (0, 2, 5, 300, 7, 299):
            assert draws.first(n).tobytes() == whole[:n].tobytes()
