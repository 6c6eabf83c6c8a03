"""``track()``: start, confirm, coast, drop.  One scan is one pure step, so a live feed is another loop over it.

Each nation tracks with the plots of its own sensors.  A plot that no track claims starts one; a track is firm after
`FIRM_HITS` plots with a log-likelihood ratio above `FIRM_LLR`, if its position is known to `FIRM_SIGMA`; it is dropped when no plot
has come for a while, unless it falls freely above the air and is well known (`coasting`), and where others have the plots
that it should have (`doubted`), where it stands in the way of a row or runs along it (`processions`), or where another one stands
for the same object (`pairing.doubles`, `turns`).  A young track that alone takes the plots of a doubted one goes on in its place
(`heirs`).  What has parted in one place is told apart by all its plots together, some seconds later (`fans`).  Of two objects that have
just separated, what some radars have taken for the one and others for the other is put right (`crossed`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from copfuse import astray, companions, covariances, crossed, echoes, fans, filters, heirs, multiscan, pairing, processions, starting, turns
from copfuse.association import Pairs, gate
from copfuse.checking import handed, handed_scenario, usable_plots
from copfuse.coasting import (
    AIRLESS,
    BURNT_OUT,
    COAST_STEP,
    COLUMNS,
    COUNTS,
    FALLS,
    HOLD,
    HOLD_SCANS,
    HOLD_TENTATIVE,
    Live,
    coasted,
    ends,
    with_ends,
    with_rows,
    within_reach,
)
from copfuse.constants import NODES
from copfuse.covariances import Columns, Covariances
from copfuse.errors import CopfuseError, suggestion
from copfuse.filters import Bank
from copfuse.frames import altitude
from copfuse.kernels.lent import Rule
from copfuse.kernels.motions import BOOST as THRUSTING
from copfuse.pairing import OWN, RULES, SELDOM, Taken
from copfuse.phases import BOOST_CEILING, above, further, pushed, relight, slowest, thrust
from copfuse.scanning import Scan, in_order, series
from copfuse.steady import Kit, Steady
from copfuse.tables import Detections, Tracks
from copfuse.updates import Rows, columns_of, joined, said

MOST_SENSORS = 64  # bits in `Tracks.sensors`
FIRM_HITS = 3
FIRM_LLR = 15.0
FIRM_SIGMA = 20e3  # m, standard deviation of the position at most: whoever looks that far round finds false plots enough, *notional*
BURNT_HITS = 6  # plots after which an engine may be known to be out
FORGOTTEN = 1e-3  # probability of the thrusting model under which its thrust is taken as unknown
RELIGHT = 8.0  # m/s^2 forward that mean a further stage, not lift, *notional*
BURNING = np.array([1.0, 0.01, 0.01, 0.01, 1.0])  # likelihood under each model of a plot by what sees plumes alone, *notional*
LOW, GROUNDED = 20e3, 3.0  # m, and standard deviations of height, below which the ground is minded
GHOST = 0.15  # chance of a plot of a track of nothing, where others have theirs, *notional*
HIT, MISSED = math.log(GHOST / SELDOM), math.log((1.0 - GHOST) / (1.0 - SELDOM))
DOUBTED = 5.0  # logarithm of the odds from which on a track is taken to be of nothing
PLAIN = False  # whether every scan is one `step`: the form that the quick one is held against
BATCH = 1000  # rows of Tracks that are made together: as quick as all together, and of little memory
NEAR_MISS = 1.5**2  # a plot within this many times a gate's squared distance was refused by it; beyond, it is simply new
BEYOND = 100.0  # squared distance beyond any gate and any near miss


def track(detections: Detections, scenario: Any, node: str | None = None, association: str = "gnn") -> Tracks:
    """Local tracks of every nation from its own sensors' plots; with ``node``, one node's tracks from all plots.

    The node takes plots in time order.  Sensor biases are unknown to it: their standard deviations widen each plot's
    gate and sigma, and what a constant bias leaves in an estimate is added to its covariance
    (`kernels.consider`; nothing estimates the biases here).

    ``association`` is "gnn", one plot a track, by their places and how strongly objects echo (``snr``, where plots have it; `echoes`), or
    "jpda", by which every plot in a firm track's gate has its share in the update (`pairing.soft`): ``detection`` is then the likeliest
    plot, and ``llr`` what the logarithm of the odds that the track exists has gained since its first plot.  By "mht" association waits: a
    track is a tree of some ways to have taken the last plots (`multiscan`), a row says what the best set of all tracks' ways said at its
    time, and a later row may stand on other plots than the rows before it; ``P_common`` is then that of the rows as they stand.

    ``meta["counts"]`` has for every node the number of its plots: taken by a track; refused, just outside a gate; contested, in
    the gate of a track that took another; and new, near no track (all but the taken start tracks); and of tracks dropped for
    want of plots and merged into an older one, or found to be of nothing (by "mht" those whose plots have become another's).

    Raises `CopfuseError` for more than 64 sensors, a plot that is malformed (`checking.usable_plots`) or another association.
    """
    usable(detections, scenario, association)
    states: dict[int, Live] = {}
    return table(list(follow(states, detections, scenario, node, association)), states, detections, scenario, association)


def usable(detections: Detections, scenario: Any, association: str) -> None:
    """Refuse what `track` cannot take: another association, too many sensors, malformed plots."""
    handed("track", detections=(detections, Detections))
    handed_scenario("track", scenario)
    check_association(association)
    if len(scenario.sensors) > MOST_SENSORS:
        many = len(scenario.sensors)
        raise CopfuseError(f"scenario {scenario.name!r} has {many} sensors; a track can keep the origin of {MOST_SENSORS} at most")
    usable_plots(detections, len(scenario.sensors))


def follow(
    states: dict[int, Live], detections: Detections, scenario: Any, node: str | None, association: str, numbers: np.ndarray | None = None,
    kit: Kit | None = None,
) -> Iterator[Rows]:  # fmt: skip
    """The new rows of Tracks (and what `table` needs besides), some hundreds at once; ``states``, each node's tracks, change in place.

    ``numbers`` as in `scanning.scans`; ``kit``: of the scenario and node, where this is done again and again.
    """
    batch: list[Rows] = []
    count = 0
    kit = kit or Kit(scenario, node)
    steady = Steady(states, series(detections, scenario, node, numbers, kit.sites), _rule(), kit)
    for change in _changes(steady, association):
        batch.append(change)
        count += len(change)
        if count >= BATCH:
            steady.give_back()
            yield joined(batch)
            batch, count = [], 0
    steady.give_back()
    if batch:
        yield joined(batch)


def table(
    rows: list[Rows] | Columns, states: dict[int, Live], detections: Detections, scenario: Any, association: str,
    finish: Callable[[Columns], Covariances] | None = None, named: bool = True,
) -> Tracks:  # fmt: skip
    """Tracks of all rows that `follow` made, or of their columns, with covariances as `covariances.finished` or ``finish`` has them.

    Without ``named`` they do not say of which detections they are."""
    meta = {
        "sensors": [s.name for s in scenario.sensors], "nodes": list(NODES), "scenario": scenario.name,
        "counts": {NODES[k]: dict(zip(COUNTS, states[k].counts, strict=True)) for k in sorted(states)},
    }  # fmt: skip
    if named:
        meta["detections_uid"] = detections.uid
    if association != RULES[0]:
        meta["association"] = association
    every = joined(rows) if isinstance(rows, list) and rows else rows
    if isinstance(every, list) or not len(every["time"]):
        return Tracks.empty(**meta)
    meta["ended"] = ends(every, states)
    P, P_common = finish(every) if finish else covariances.finished(every, detections, scenario)
    return Tracks(**columns_of(every) | {"P": P, "P_common": P_common}, meta=meta)


def _changes(steady: Steady, association: str) -> Iterator[Rows]:
    """What scans change, those left out that change nothing.

    One after another is a `step`; those that are steady are taken together.
    """
    k, every = 0, steady.every
    while k < len(every):
        if association == RULES[0] and not PLAIN:
            k, new, met, stuck = steady.run(k)
            if new is not None:
                yield new
            if met is not None:
                _part(steady, every[k - 1], *met)
            if not stuck:
                continue
        scan = every[k]
        before = steady.get(scan.node)
        live, new = step(before, scan, association)
        steady.put(scan.node, with_ends(live, before, scan.time, FIRM_HITS))
        k += 1
        if new is not None:
            yield new


def _part(steady: Steady, scan: Scan, hit: np.ndarray, detection: np.ndarray) -> None:
    """Deal plots of what has parted anew, put crossed tracks right, make wider those astray, and drop doubles and tracks that take turns
    with another, after a scan that was steady and gave the tracks ``hit`` its plots ``detection``."""
    before = steady.seen(scan.node)
    plot = np.searchsorted(scan.rows, detection)
    live, drop = fans.spread(before, hit, plot, scan)
    live = astray.widened(crossed.straightened(live, hit, plot, scan), hit)
    live, drop = turns.joined(live, hit, _doubles(live, hit, scan.time) | drop, scan)
    drop = processions.passed(live, hit, drop, scan)
    steady.remember(scan.node, live)
    if drop.any() or live.bank is not before.bank:
        *others, merged = live.counts
        kept = replace(live[~drop], counts=(*others, merged + _gone(live.number, drop)))
        steady.put(scan.node, with_ends(kept, live, scan.time, FIRM_HITS))


def _rule() -> Rule:
    """This tracker's figures, as `kernels.steady` takes them."""
    log_beta, lift, thrust, flow = (
        (float(mean), float(sigma**2)) for mean, sigma in (filters.LOG_BETA, (0.0, filters.LIFT_SIGMA), filters.THRUST, filters.FLOW)
    )
    return Rule(
        HOLD, HOLD_SCANS, HOLD_TENTATIVE, AIRLESS, COAST_STEP, FALLS, pairing.UNLIKELY, pairing.SIGMAS, pairing.SLACK, pairing.FIERCEST,
        pairing.FASTEST, BEYOND, pairing.ODDS, pairing.APART, LOW, GROUNDED, FORGOTTEN,
        BURNT_HITS, BURNT_OUT, RELIGHT, FIRM_HITS, FIRM_LLR, FIRM_SIGMA**2, HIT, GHOST, SELDOM, DOUBTED, companions.BESIDE,
        companions.OFTEN, NEAR_MISS, log_beta, filters.PIECE_SIGMA**2, lift, thrust, flow, BURNING, filters.NOISE, BOOST_CEILING,
    )  # fmt: skip


def check_association(name: str) -> None:
    """Refuse a rule of association that is not there."""
    if name not in RULES:
        raise CopfuseError(f"there is no association {name!r}; {suggestion(name, RULES)}")


def step(live: Live, scan: Scan, association: str = "gnn") -> tuple[Live, Rows | None]:
    """One scan: drop what is stale, associate, update, start; returns the tracks and its new rows of Tracks, if any."""
    counts = live.counts
    scan = scan if association != "mht" else in_order(scan)
    if association != RULES[0] and scan.echo is not None:
        scan = replace(scan, echo=None)  # strengths tell a plot's one track, not shares, nor trees of plots
    live, stale = coasted(live, scan.time, scan.bias)
    dropped = _gone(live.number, stale)
    live = live[~stale] if stale.any() else live
    start, plot = within_reach(live, scan)
    near = np.flatnonzero(np.diff(start))
    predicted = filters.predict(live.bank.only(near), scan.time, relight(live.bank.time[near] - live.lit[near], live.above[near]))
    pairs = pairing.judged(predicted, np.append(start[near], len(plot)), plot, *scan.seen, most=BEYOND)
    limit = gate(np.isfinite(scan.z).sum(axis=1))
    inside, before = pairing.gated(pairs, limit), live.number
    if association == "mht":
        live, hit, taken = _branched(live, scan, near, predicted, inside)
    else:
        known = None if scan.echo is None else (live.echoes[near], live.strength[near], scan.echo)
        take = partial(pairing.soft, firm=live.firm[near]) if association == "jpda" else partial(pairing.hard, known=known)
        taken = take(predicted, inside, scan.log_density, live.llr[near], *scan.seen)
        hit = near[taken.rows]
        live = replace(live, misfit=astray.misfits(live, near, inside, taken, scan.z))
        live = _update(live, scan, hit, taken, doubted(live, scan, near, inside, taken))
    lost = _gone(before, ~np.isin(before, live.number)) if live.forest is not None else 0  # only trees of plots can vanish in an update
    free = np.flatnonzero(~taken.claimed)
    live = _start(live, scan, free)
    told, what = (hit, taken) if live.forest is None else (hit[live.forest.best[hit]], taken[live.forest.best[hit]])
    out = _changed(live, scan, told, free, what) if len(told) or len(free) else None
    mine = taken.share >= OWN
    own = hit[mine]
    live, drop = heirs.succeeded(live, live.doubt >= DOUBTED, near, inside, taken)
    live, apart = fans.spread(live, own, taken.plot[mine], scan)
    live = astray.widened(crossed.straightened(live, own, taken.plot[mine], scan), own)
    live, drop = turns.joined(live, own, _doubles(live, own, scan.time) | drop | apart, scan)
    drop = processions.passed(live, own, drop, scan)
    now = *_sorted_out(pairs, limit, taken.claimed), dropped, lost + _gone(live.number, drop)
    return replace(live[~drop] if drop.any() else live, counts=tuple(a + b for a, b in zip(counts, now, strict=True))), out


def doubted(live: Live, scan: Scan, near: np.ndarray, pairs: Pairs, taken: Taken) -> np.ndarray:
    """Page's test of every track (n,), after a scan: whether it has become, or always was, a track of others' plots.

    A miss counts where a sensor that has seen the track before sees others within its gate, so would see it too, were it there; a hit
    counts anywhere.  The sum is never under 0, so that the past, however good, excuses nothing (Page, Biometrika 41, 1954; of tracks
    Blanding, Willett, Bar-Shalom & Coraluppi, Multisensor track termination for targets with fluctuating SNR: it ends those that fade,
    which is why a miss alone counts nothing here).  What echoes so faintly that it is missed more often than `SELDOM` is doubted the less,
    and still less where nobody has noticed it for longer than the sensor goes on looking: it then looks there in its searches alone,
    and at the others, which it has noticed, at every tick.  ``near`` and ``pairs``: as `step` has them.
    """
    doubt, own = live.doubt.copy(), taken.rows[taken.share >= OWN]
    doubt[near[own]] = np.maximum(doubt[near[own]] + HIT, 0.0)
    if len(own) == len(near):
        return doubt
    row = np.repeat(np.arange(len(near)), np.diff(pairs.start))
    among = np.bincount(row, taken.claimed[pairs.plot], len(near)) > 0.0
    among[own] = False
    others = near[among]
    weight: Any = MISSED
    if scan.echo is not None:
        share = np.where(scan.time - live.seen[near] > scan.frame, scan.share, 1.0)
        weight = echoes.misses(pairs, live.echoes[near], live.strength[near], scan.echo, GHOST, SELDOM, share)[among]
    doubt[others] += weight * ((live.sensors[others] >> np.uint64(scan.sensor)) & np.uint64(1))
    return doubt


def _gone(number: np.ndarray, drop: np.ndarray) -> int:
    """How many tracks are no more when the rows ``drop (n,)`` are not."""
    return len(set(number[drop].tolist()) - set(number[~drop].tolist())) if drop.any() else 0


def _branched(live: Live, scan: Scan, near: np.ndarray, predicted: Bank, pairs: Pairs) -> tuple[Live, np.ndarray, Taken]:
    """The leaves after a scan, updated; which of them took a plot, and what; claimed is what the best set of leaves took."""
    forest = multiscan.Forest.empty() if live.forest is None else live.forest
    ratio, row = pairs.log_density - scan.log_density, np.repeat(np.arange(len(near)), np.diff(pairs.start))
    seen = ((live.sensors >> np.uint64(scan.sensor)) & np.uint64(1)).astype(bool)
    new = multiscan.branch(live.number, forest, near[row], pairs, ratio, scan.rows, seen)
    live = replace(replace(live, forest=None)[new.parent], forest=new.forest)
    hit = np.flatnonzero(new.pair >= 0)
    pair = new.pair[hit]
    rows, plot = row[pair], pairs.plot[pair]
    z, sigma, *place = scan.seen
    prior = predicted[rows]
    bank = filters.update(prior, z[plot], sigma[plot], *place)
    claimed = np.zeros(pairs.plots, bool)
    claimed[plot[new.forest.best[hit]]] = True
    taken = Taken(rows, plot, prior, bank, live.llr[hit] + ratio[pair], np.ones(len(hit)), claimed)
    live = _update(live, scan, hit, taken, live.doubt)
    return replace(live, firm=multiscan.firm_trees(live.number, live.firm, new.forest.best)), hit, taken


def _doubles(live: Live, hit: np.ndarray, time: float) -> np.ndarray:
    if live.forest is None:
        return pairing.doubles(live.bank, live.hits, hit, time, (live.echoes, live.strength))
    return multiscan.doubles(live.bank, live.number, live.hits, hit, live.forest.best, time)


def _sorted_out(pairs: Pairs, limit: np.ndarray, taken: np.ndarray) -> tuple[int, ...]:
    """How many plots of a scan there are, and of them were taken, refused, contested and new; ``limit (m,)``, ``taken (m,)``."""
    n, m = len(limit), int(taken.sum())
    if n == m:
        return n, m, 0, 0, 0
    nearest = np.full(n, np.inf)
    np.minimum.at(nearest, pairs.plot, pairs.d2)
    nearest = np.where(taken, np.nan, nearest / limit)
    contested, refused = int((nearest <= 1.0).sum()), int(((nearest > 1.0) & (nearest <= NEAR_MISS)).sum())
    return n, m, refused, contested, n - m - refused - contested


def _update(live: Live, scan: Scan, hit: np.ndarray, taken: Taken, doubt: np.ndarray) -> Live:
    """The live tracks with the ``doubt (n,)`` of each, those of ``hit`` as their plots have left them; a plot that is probably another's is
    no hit."""
    if len(hit) == 0:
        return replace(live, doubt=doubt)
    new = taken.bank
    if scan.plume:
        new = filters.weigh(new, taken.share[:, None] * BURNING + (1.0 - taken.share[:, None]))
    if len(low := _low(new)):
        new = filters.above_ground(new, low, low[~live.burnt[hit[low]]])
    bank = with_rows(live.bank, hit, new)
    hits, llr, sensors, revisit, seen = (getattr(live, n).copy() for n in ("hits", "llr", "sensors", "revisit", "seen"))
    lit, staged, slow = live.lit.copy(), live.above.copy(), live.slow.copy()
    llr[hit] = taken.llr
    sensors[hit] |= np.uint64(1) << np.uint64(scan.sensor)
    hit = hit[taken.share >= OWN]
    hits[hit] += 1
    heard, strength = live.echoes.copy(), live.strength.copy()
    if scan.echo is not None:
        heard[hit], strength[hit] = echoes.heard(heard[hit], strength[hit], scan.echo[taken.plot[taken.share >= OWN]])
    revisit[hit], seen[hit] = scan.revisit, scan.time
    firm = live.firm | ((hits >= FIRM_HITS) & (llr > FIRM_LLR) & (np.einsum("naa->n", bank.P6[:, :3, :3]) < FIRM_SIGMA**2))
    engine = pushed(bank)
    if len(burns := np.flatnonzero(~live.burnt & (engine > 0.5))):
        filters.forget_drag(bank, burns)
    if len(rests := np.flatnonzero(bank.mu[:, THRUSTING] < FORGOTTEN)):
        filters.forget_thrust(bank, rests)
    burnt = _burnt_out(bank, engine, live.burnt, (hits >= BURNT_HITS) & firm, further(scan.time - lit, staged) > 0.0)
    if len(out := np.flatnonzero(burnt & ~live.burnt)):
        filters.forget_thrust(bank, out)  # if another stage lights, it pushes otherwise
    if len(burns := hit[~burnt[hit] & (engine[hit] > 0.5)]):
        slow[burns] = slowest(bank.x6[burns], bank.P6[burns], scan.time - lit[burns], slow[burns])
        lit[burns], staged[burns] = scan.time, above(bank.x6[burns], slow[burns])
    slow[hit[burnt[hit]]] = np.inf
    now: dict[str, Any] = {"hits": hits, "llr": llr, "firm": firm, "burnt": burnt, "sensors": sensors, "doubt": doubt}
    return replace(live, bank=bank, **now, revisit=revisit, seen=seen, lit=lit, above=staged, slow=slow, echoes=heard, strength=strength)


def _burnt_out(bank: Bank, engine: np.ndarray, burnt: np.ndarray, able: np.ndarray, pause: np.ndarray) -> np.ndarray:
    """Whose engine is out (n,): of those whose engine was out or not, ``burnt``, which can be told yet, ``able``, and which may just be
    between two stages, ``pause``: of these a push is most likely the next one's."""
    out = burnt | (able & (engine < BURNT_OUT))
    doubt = np.flatnonzero(np.where(burnt, engine > np.where(pause, 0.5, 0.95), able & ~out))
    if len(doubt):
        along, blur = thrust(bank[doubt])
        out[doubt] = np.where(burnt[doubt], ~(along > RELIGHT), along < -2.0 * blur)
    return out


def _low(bank: Bank) -> np.ndarray:
    """Numbers of the tracks that may lie below the ground, were it not there."""
    height = altitude(bank.x6)
    low = np.flatnonzero(height < LOW)
    if len(low) == 0:
        return low
    up = bank.x6[low, :3] / np.linalg.norm(bank.x6[low, :3], axis=1, keepdims=True)
    return low[height[low] < GROUNDED * np.sqrt(np.einsum("ni,nij,nj->n", up, bank.P6[low, :3, :3], up))]


def _start(live: Live, scan: Scan, free: np.ndarray) -> Live:
    n = len(free)
    if n == 0:
        return live
    others = live.bank, np.where(live.firm, live.hits, 0)
    place, _ = scan.spots or pairing.spots(*scan.seen)
    heard, strength = echoes.begun(place[free], scan.echo[free] if scan.echo is not None else np.full((n, 2), np.nan), scan.time, *others)
    new = Live(
        bank=starting.from_one_plot(scan.time, scan.z[free], scan.sigma[free], scan.origin, scan.axes, scan.cosines, others),
        number=live.next_number + np.arange(n), hits=np.ones(n, int), llr=np.zeros(n), firm=np.zeros(n, bool),
        burnt=np.zeros(n, bool), sensors=np.full(n, np.uint64(1) << np.uint64(scan.sensor)),
        revisit=np.full(n, scan.revisit), seen=np.full(n, scan.time), doubt=np.zeros(n), lit=np.full(n, -np.inf),
        above=np.zeros(n), slow=np.full(n, np.inf), echoes=heard, strength=strength, misfit=np.zeros(n),
    )  # fmt: skip
    joined: dict[str, Any] = {name: np.concatenate([getattr(live, name), getattr(new, name)]) for name in COLUMNS}
    forest = None if live.forest is None else live.forest.started(scan.rows[free])
    return replace(live, bank=Bank.stack([live.bank, new.bank]), **joined, next_number=live.next_number + n, forest=forest)


def _changed(live: Live, scan: Scan, hit: np.ndarray, free: np.ndarray, taken: Taken) -> Rows:
    """The rows of the tracks ``hit`` and of those just started from the plots ``free``."""
    begun = np.arange(len(live) - len(free), len(live))
    changed = np.concatenate([hit, begun])
    bank = live.bank[changed]
    prior = Bank.stack([taken.prior, bank[len(hit) :]]) if len(free) else taken.prior
    time, pause = np.full(len(changed), scan.time), further(scan.time - live.lit[changed], live.above[changed])
    rows = said(bank, prior, time, live.burnt[changed], pause)
    rows["node"], rows["detection"] = scan.node, scan.rows[np.concatenate([taken.plot, free])]
    rows["track"], rows["hits"], rows["llr"] = live.number[changed], live.hits[changed], live.llr[changed]
    rows["firm"], rows["sensors"] = live.firm[changed], live.sensors[changed]
    return rows
