"""Originator control: what may not be released to a node changes no bit of what the node hears and of its picture.

Random topologies, rules and data, thousands of them.  The oracle reads the regime alone, naively, row by row; what it withholds is then
changed in place or deleted, and the node's messages (as it sees them) and its picture must keep every bit.
"""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import EPOCH
from copfuse import frames, fusion, naming, network, releases, views
from copfuse.constants import NATIONS, NODES, PHASES
from copfuse.errors import CopfuseError
from copfuse.laydowns import Sensor
from copfuse.links import Decision, Link, Regime, Rule
from copfuse.scenario import Scenario
from copfuse.tables import DROP, MESSAGE, MESSAGE_KINDS, PAYLOADS, TRACK, Detections, Picture, Tracks

PLAIN = os.environ.get("NUMBA_DISABLE_JIT") == "1"
SHARED, FUSED = (90, 3) if PLAIN else (2001, 40)
KINDS = ("radar", "infrared")
SENSORS = tuple(Sensor(f"{n}-{k}", n, kind=KINDS[k]) for n in NATIONS for k in range(2))
SCENARIO = Scenario("small", EPOCH, (), SENSORS, regime="none", picture_step=4.0)
CARRIED = [name for name in Tracks.COLUMNS if name != "detection"]  # what a row of Tracks says, but for where its plot stands
BASE = frames.ecef(np.radians(39.0), np.radians(133.0), 150e3)


# Random cases ----------------------------------------------------------------------------------------------------------


def some_tracks(rng):
    """Up to six local tracks of three nations of up to three objects, a row every 1-3 s, firm after some, half of them ended."""
    parts = []
    objects = rng.normal(0.0, 30e3, (3, 3)), rng.normal(0.0, 1500.0, (3, 3)) + BASE / np.linalg.norm(BASE) * rng.uniform(-500, 1500, (3, 1))
    for number in range(rng.integers(1, 7)):
        n, which = int(rng.integers(1, 12)), rng.integers(3)
        time = rng.uniform(0.0, 20.0) + np.cumsum(rng.uniform(0.5, 3.0, n))
        x = np.empty((n, 6))
        x[:, :3] = BASE + objects[0][which] + objects[1][which] * time[:, None] + rng.normal(0.0, 200.0, (n, 3))
        x[:, 3:] = objects[1][which] + rng.normal(0.0, 20.0, (n, 3))
        nation = int(rng.integers(3))
        parts.append(columns_of(rng, time, x, nation, number))
    columns = {name: np.concatenate([p[name] for p in parts]) for name in Tracks.COLUMNS}
    order = np.argsort(columns["time"], kind="stable")
    columns = {name: c[order] for name, c in columns.items()} | {"detection": np.arange(len(order))}
    ended: dict[str, list[list[float]]] = {}
    apart = np.random.default_rng(int(1e6 * columns["time"][0]))
    for number in np.unique(columns["track"][columns["firm"]]).tolist():
        last = np.flatnonzero(columns["track"] == number)[-1]
        if apart.random() < 0.5:
            one = [number, int(last), float(columns["time"][last] + apart.choice([0.0, 5.0, 20.0]))]
            ended.setdefault(NODES[columns["node"][last]], []).append(one)
    return Tracks(**columns, meta={"sensors": [s.name for s in SENSORS], "ended": ended})


def columns_of(rng, time, x, nation, number):
    n = len(time)
    P = np.zeros((n, 6, 6))
    P[:, range(3), range(3)], P[:, range(3, 6), range(3, 6)] = rng.uniform(100, 2000) ** 2, rng.uniform(5, 60) ** 2
    phase = rng.dirichlet(np.ones(4), n) if rng.random() < 0.3 else np.tile(np.eye(4)[rng.integers(4)], (n, 1))
    hits = np.arange(1, n + 1)
    return {
        "time": time, "node": np.full(n, nation), "track": np.full(n, number), "x": x, "P": P, "P_common": 0.3 * P,
        "acceleration": rng.normal(0.0, 5.0, (n, 3)), "acceleration_sigma": rng.uniform(0.1, 10.0, n),
        "log_beta": np.stack([rng.normal(8.0, 0.5, n), rng.uniform(0.1, 1.0, n)], axis=1), "phase_probability": phase,
        "hits": hits, "llr": 3.0 * hits, "firm": hits >= rng.integers(1, 5), "detection": np.zeros(n, int),
        "sensors": np.full(n, 1 << (2 * nation + int(rng.integers(2))), np.uint64),
    }  # fmt: skip


def some_regime(rng, plots=False):
    """Up to eleven links between any two nodes, relays, slots, reporting responsibility, people's decisions, stripped columns, and
    up to four release rules: what `network` takes; what it refuses is drawn again."""
    frame, slots = float(rng.choice([4.0, 8.0])), int(rng.integers(1, 3))
    links: dict[tuple[str, str, str], Link] = {}
    for _ in range(rng.integers(1, 12)):
        source, target = NATIONS[rng.integers(3)], NODES[rng.integers(4)]
        payload = ("plot", "plot", "cue")[rng.integers(3)] if plots else ("track", "track", "cue", "message")[rng.integers(4)]
        if source != target:
            link = some_link(rng, source, target, payload, frame, slots)
            links[link.ends] = link
    for ends, link in list(links.items()):  # some are relayed by who hears of it
        relays = [one.target for one in links.values() if one.source == ends[0] and one.payload == ends[2] and one.target != ends[1]]
        if relays and rng.random() < 0.4:
            trial = replace(link, via=str(rng.choice(relays)), **PLAIN_LINK)
            if accepted(Regime("random", "random", tuple({**links, ends: trial}.values()))):
                links[ends] = trial
    display = tuple(n for n in NATIONS if rng.random() < 0.5) if any(e[1:] == ("HUB", "plot") for e in links) else ()
    regime, rules = Regime("random", "random", tuple(links.values()), (), display), ()
    for _ in range(rng.integers(0, 5)):
        subjects = PHASES if plots or rng.random() < 0.4 else some_of(rng, PHASES)
        rule = Rule(some_of(rng, NODES), some_of(rng, NODES), some_of(rng, PAYLOADS), subjects, bool(rng.random() < 0.5))
        if accepted(replace(regime, rules=(*rules, rule))):
            rules = (*rules, rule)
    return replace(regime, rules=rules)


PLAIN_LINK = dict(period=0.0, frame=0.0, slots=1, responsibility=False, consent=None, request=None, voice=None)


def some_link(rng, source, target, payload, frame, slots):
    median = float(rng.uniform(0.1, 10.0))
    more = dict(delay=(median, median / rng.uniform(1.1, 4.0), median * rng.uniform(1.1, 4.0)), loss=float(rng.choice([0.0, 0.3])))
    more |= dict(availability=float(rng.choice([1.0, 0.7])), outage=5.0, duplicate=float(rng.choice([0.0, 0.0, 0.3])))
    more["outages"] = ((10.0, 15.0),) if rng.random() < 0.2 else ()
    if payload in ("track", "cue"):
        more["stripped"] = tuple(name for name in ("sensors", "detection", "hits", "llr") if rng.random() < 0.3)
    way = rng.integers(5)
    if payload == "track" and way < 3:
        more |= (dict(period=3.0), dict(frame=frame, slots=slots), dict(frame=frame, slots=slots, responsibility=True))[way]
    if payload == "message" and way < 3:
        area = None if rng.random() < 0.5 else tuple(np.radians([37.0, 43.0, 128.0, 134.0]))
        decision = Decision(float(rng.choice([0.5, 1.0])), (10.0, 5.0, 20.0), float(rng.choice([10.0, 600.0])), area)
        more |= (dict(period=3.0), dict(consent=decision), dict(request=decision, voice=decision if rng.random() < 0.5 else None))[way]
    return Link(source, target, payload, **more)


def accepted(regime):
    try:
        network.regime(regime)
    except CopfuseError:
        return False
    return True


def some_of(rng, names):
    return tuple(n for n in names if rng.random() < 0.6) or names[:1]


# The oracle --------------------------------------------------------------------------------------------------------------


def allowed(regime, originator, recipient, payload, phase):
    """What the rules say of one thing: a denial wins; where something is released on that way, only that is."""
    said = [(rule.release, phase in rule.subjects) for rule in regime.rules if rule.concerns((originator, recipient, payload))]
    if any(not release and speaks for release, speaks in said):
        return False
    return not any(release for release, _ in said) or any(release and speaks for release, speaks in said)


def way_to(regime, originator, node, payload, phase, seen=()):
    """Whether something may come from an originator to a node by a link whose relays may have it too."""
    for link in regime.links:
        leads = link.ends == (originator, node, payload) and allowed(regime, originator, node, payload, phase)
        if leads and (not link.via or (link.via not in seen and way_to(regime, originator, link.via, payload, phase, (*seen, node)))):
            return True
    return False


def may_have(tracks, regime, node):
    """Which rows of Tracks the regime lets a node have, (n,): its own, and firm ones of others that a link may bring and no rule keeps."""
    may = np.zeros(len(tracks), bool)
    known: dict[tuple[str, str, str], bool] = {}
    for row in range(len(tracks)):
        originator, phase = NODES[tracks.node[row]], PHASES[int(np.argmax(tracks.phase_probability[row]))]
        infrared = any(int(tracks.sensors[row]) >> i & 1 and s.kind == "infrared" for i, s in enumerate(SENSORS))
        for payload in ("track", "cue", "message"):
            key = originator, phase, payload
            if key not in known:
                known[key] = way_to(regime, originator, NODES[node], payload, phase)
            may[row] |= bool(tracks.firm[row]) and known[key] and (payload != "cue" or infrared)
        may[row] |= originator == NODES[node]
    return may


def hidden(regime, source, target, payload):
    """The columns that are stripped on the way from a source to a target, at any of its links."""
    link = next(one for one in regime.links if one.ends == (source, target, payload))
    return set(link.stripped) | (hidden(regime, source, link.via, payload) if link.via else set())


# Changes ---------------------------------------------------------------------------------------------------------------


def changed(tracks, rows, rng):
    """The same table with other values in ``rows``: other states, scores, phases; the same times and tracks, some firm and some not."""
    n, columns = len(rows), {name: getattr(tracks, name).copy() for name in Tracks.COLUMNS}
    columns["x"][rows] += rng.normal(0.0, 1.0, (n, 6)) * [1e5, 1e5, 1e5, 1e3, 1e3, 1e3]
    for name, scale in (
        ("P", 9.0),
        ("P_common", 0.1),
        ("acceleration", -3.0),
        ("acceleration_sigma", 2.0),
        ("log_beta", 1.1),
        ("llr", 7.0),
    ):
        columns[name][rows] *= scale
    columns["phase_probability"][rows] = np.eye(4)[rng.integers(4, size=n)]
    columns["hits"][rows] += rng.integers(1, 90, n).astype(np.int32)
    columns["sensors"][rows] = rng.integers(1, 64, n).astype(np.uint64)
    ended = {
        node: [[n, plot, time + rng.choice([-2.0, 0.5, 3.0]) if plot in rows else time] for n, plot, time in some]
        for node, some in vars(tracks)["meta"]["ended"].items()
    }
    return Tracks(**columns, meta=vars(tracks)["meta"] | {"counts": int(rng.integers(1 << 30)), "ended": ended})


def withheld_still(other, tracks, regime, node, may):
    """The changed table, but where the change would have let a row out, it is as withheld as it was."""
    columns = {name: getattr(other, name).copy() for name in Tracks.COLUMNS}
    columns["firm"] ^= ~may & (np.arange(len(may)) % 2 == 0)
    out = may_have(Tracks(**columns), regime, node) & ~may
    for name in ("firm", "sensors", "phase_probability"):
        columns[name][out] = getattr(tracks, name)[out]
    return Tracks(**columns, meta=vars(other)["meta"])


def heard(messages, tracks, node, regime):
    """A node's messages as it sees them: those that came, and what they carry of their rows; of messages to people what they say."""
    mine = messages[(messages.target == node) & np.isfinite(messages.arrived)]
    columns = [getattr(mine, name) for name in ("sent", "arrived", "source", "target", "kind")]
    for name in CARRIED:
        values = getattr(tracks, name)[mine.row].copy()
        for i in range(len(mine)):
            kind = MESSAGE_KINDS[mine.kind[i]]
            told = ("node", "track") if kind == "drop" else () if kind == "message" else CARRIED
            if name not in told or (kind != "drop" and name in hidden(regime, NODES[mine.source[i]], NODES[node], kind)):
                values[i] = 0
        columns.append(values)
    told = mine[mine.kind == MESSAGE]
    return columns + (list(releases.content(told, tracks)) if len(told) else [])


def same(one, two):
    return len(one) == len(two) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True)
    )


def seen(picture, node, rows=None):
    """A node's lines of the picture; the pedigree's rows renumbered by the map ``rows``."""
    mine = picture[picture.node == node]
    columns = [getattr(mine, name) for name in Picture.COLUMNS if name != "pedigree"]
    return [*columns, mine.pedigree if rows is None else np.where(mine.pedigree >= 0, rows[mine.pedigree], -1)]


def kept_rows(keep):
    """The new number of every row when only ``keep (n,)`` stay; −9 for one that goes."""
    return np.where(keep, np.cumsum(keep) - 1, -9)


# Properties ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", range(3))
def test_what_may_not_be_released_changes_no_message(block):
    """Changed and deleted, in thousands of random topologies: each node's messages keep every bit."""
    withheld = arrived = drops = kept = 0
    for case in range(block * SHARED // 3, (block + 1) * SHARED // 3):
        rng = np.random.default_rng([case, 1])
        tracks, regime, node = some_tracks(rng), some_regime(rng), int(rng.integers(4))
        may = may_have(tracks, regime, node)
        before = heard(network.share(tracks, SCENARIO, regime, seed=case), tracks, node, regime)
        rows = np.flatnonzero(~may)
        other = withheld_still(changed(tracks, rows, rng), tracks, regime, node, may) if case % 2 else tracks[may]
        after = heard(network.share(other, SCENARIO, regime, seed=case), other, node, regime)
        assert same(before, after), f"case {case}: {'changed' if case % 2 else 'deleted'}"
        withheld, arrived = withheld + int((~may).sum()), arrived + len(before[0])
        drops += int((before[4] == DROP).sum())
        kept += sum(plot in rows for some in vars(tracks)["meta"]["ended"].values() for _, plot, _ in some)
    assert withheld > SHARED and arrived > SHARED / 5  # the cases do withhold, and do release
    assert drops > SHARED / 60 and kept > SHARED / 6  # ends of tracks too


def stripped_too(other, tracks, messages, node, regime, rng):
    """The changed table, in which rows that came have other values besides in all columns that every message stripped from them."""
    came = messages[(messages.target == node) & (messages.kind == TRACK) & np.isfinite(messages.arrived)]
    columns = {name: getattr(other, name).copy() for name in Tracks.COLUMNS}
    for row in np.unique(came.row[tracks.node[came.row] != node]).tolist():
        gone = hidden(regime, NODES[tracks.node[row]], NODES[node], "track")
        for name in gone:
            columns[name][row] = rng.integers(1, 64)
    return Tracks(**columns, meta=vars(other)["meta"])


def test_what_has_not_arrived_changes_no_picture():
    """A picture stands on a node's own rows and on rows that have arrived, less what is stripped: all else changed, it keeps every bit."""
    lines, others, common = 0, 0, list(Picture.COLUMNS).index("common")
    for case in range(FUSED):
        rng = np.random.default_rng([case, 2])
        tracks, regime, node = some_tracks(rng), some_regime(rng), int(rng.integers(4))
        messages = network.share(tracks, SCENARIO, regime, seed=case)
        has = tracks.node == node
        has[messages.row[(messages.target == node) & (messages.kind == TRACK) & np.isfinite(messages.arrived)]] = True
        other = stripped_too(changed(tracks, np.flatnonzero(~has), rng), tracks, messages, node, regime, rng)
        same_way = replace(messages, meta=messages.meta | {"tracks_uid": other.uid})
        before = seen(fusion.fuse(tracks, messages, SCENARIO), node)
        assert same(before, seen(fusion.fuse(other, same_way, SCENARIO), node)), f"case {case}"
        lines += len(before[0])
        others += int((before[common] // naming.ORIGINATOR != node).sum())
    assert lines > FUSED and others > FUSED  # many lines have another node's number


def test_what_may_not_be_released_changes_no_picture():
    """Through both verbs: rows that may not be released deleted, shared and fused anew; the pedigree's rows renumbered."""
    for case in range(FUSED):
        rng = np.random.default_rng([case, 3])
        tracks, regime, node = some_tracks(rng), some_regime(rng), int(rng.integers(4))
        may = may_have(tracks, regime, node)
        whole, less = tracks, tracks[may]
        before = seen(fusion.fuse(whole, network.share(whole, SCENARIO, regime, seed=case), SCENARIO), node, kept_rows(may))
        assert same(before, seen(fusion.fuse(less, network.share(less, SCENARIO, regime, seed=case), SCENARIO), node)), f"case {case}"


def test_a_view_is_enough_for_its_picture_under_any_regime():
    """The same shown by making it: what `views.view` keeps of a run gives the node its picture again, bit by bit."""
    for case in range(FUSED // 2):
        rng = np.random.default_rng([case, 6])
        tracks, regime, node = some_tracks(rng), some_regime(rng), int(rng.integers(4))
        messages = network.share(tracks, SCENARIO, regime, seed=case)
        picture = fusion.fuse(tracks, messages, SCENARIO)
        plots = Detections(**{name: np.ones((1, *shape), dtype) for name, (dtype, shape) in Detections.COLUMNS.items()})
        run = SimpleNamespace(tracks=tracks, messages=messages, picture=picture, detections=plots, scenario=SCENARIO, regime="random")
        v = views.view(run, NODES[node])
        again = fusion.fuse(v.tracks, v.messages, v.scenario)
        names = [name for name in Picture.COLUMNS if name not in ("common", "pedigree", "sensors")]
        one, two = picture[picture.node == node], again[again.node == node]
        assert same([getattr(one, n) for n in names], [getattr(two, n) for n in names]), f"case {case}"
        assert same(*([getattr(p, n) for n in ("common", "pedigree", "sensors")] for p in (two, v.picture))), f"case {case}"
        assert len(set(zip(one.common.tolist(), two.common.tolist(), strict=True))) == len(set(one.common.tolist()))  # renamed one by one


# Plots -----------------------------------------------------------------------------------------------------------------


def some_plots(rng):
    n = int(rng.integers(1, 40))
    columns = {name: np.ones((n, *shape), dtype) for name, (dtype, shape) in Detections.COLUMNS.items()}
    return Detections(
        **columns | {"time": np.sort(rng.uniform(0, 60, n)), "sensor": rng.integers(0, len(SENSORS), n), "z": rng.normal(size=(n, 4))}
    )


def may_have_plots(detections, sensors, regime, node):
    """Which plots a node may have, (n,): its own, those that a link may bring it, and in the hub's picture, if it looks at that, those
    that may go to the hub and to it."""
    ways = {}
    for nation in NATIONS:
        shown = NODES[node] in regime.display and way_to(regime, nation, "HUB", "plot", PHASES[0])
        shown &= allowed(regime, nation, NODES[node], "plot", PHASES[0])
        ways[nation] = nation == NODES[node] or way_to(regime, nation, NODES[node], "plot", PHASES[0]) or shown
    return np.array([ways[sensors[s].nation] for s in detections.sensor], bool)


def test_withheld_plots_change_no_message():
    withheld = arrived = 0
    empty = Tracks.empty(sensors=[s.name for s in SENSORS])
    for case in range(SHARED // 7):
        rng = np.random.default_rng([case, 4])
        plots, regime, node = some_plots(rng), some_regime(rng, plots=True), int(rng.integers(4))
        may = may_have_plots(plots, SENSORS, regime, node)
        found = []
        for table in (plots, plots[may]):
            messages = network.share(empty, SCENARIO, regime, seed=case, detections=table)
            mine = messages[(messages.target == node) & np.isfinite(messages.arrived)]
            found.append([mine.sent, mine.arrived, mine.source, mine.kind, table.z[mine.row], table.time[mine.row]])
        assert same(*found), f"case {case}"
        withheld, arrived = withheld + int((~may).sum()), arrived + len(found[0][0])
    assert withheld > SHARED / 7 and arrived > SHARED / 7


def test_withheld_plots_change_no_picture(pull_up):
    """Real plots of a flight's first 75 s, shared by random regimes: those that a node may not have deleted, its picture stays."""
    plots = pull_up.detections[pull_up.detections.time < 75.0]
    tracks = pull_up.tracks[:0]
    kept = lines = 0
    for case in range(6):
        rng = np.random.default_rng([case, 5])
        regime, node = some_regime(rng, plots=True), int(rng.integers(4))
        if not any(link.payload == "plot" for link in regime.links):
            continue
        may = may_have_plots(plots, pull_up.scenario.sensors, regime, node)
        found = []
        for table, rows in ((plots, kept_rows(may)), (plots[may], None)):
            messages = network.share(tracks, pull_up.scenario, regime, seed=case, detections=table)
            found.append(seen(fusion.fuse(tracks, messages, pull_up.scenario, detections=table), node, rows))
        assert same(*found), f"case {case}"
        kept, lines = kept + int((~may).sum()), lines + len(found[0][0])
    assert kept > 100 and lines > 10
