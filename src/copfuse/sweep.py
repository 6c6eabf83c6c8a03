"""The earlier-detection study: every flyable launch under every sharing regime and seed, on common random numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from copfuse import __version__, flights, laydowns, network, scenario, units, warming, workers
from copfuse.checking import check_seed
from copfuse.constants import EARTH_RADIUS, G0, NODES
from copfuse.earliness import COLUMNS, KEYS
from copfuse.errors import CopfuseError, suggestion
from copfuse.laydowns import Sensor
from copfuse.parts import Store, source
from copfuse.tidy import Study, table
from copfuse.units import Made, Options, Unit

REGIMES = ("none", "tisa", "gsomia", "realtime", "plots")
NOTE = (
    "Flights are reconstructed from the public record; sensor, delay and cross-section figures are notional, so every number here is too."
)
SETUP = 150.0  # s of flight that a unit costs beside its own: 70 ms against .45 ms a second, over the record, one processor's
LONGEST = 800.0  # s of flight from which a unit takes no longer: what stays up longer is out of most radars' sight
HERE = 3  # units that are done before other processes begin, where kernels may have to be compiled
TIMED = 24  # units, short and long, by which the time left is first told: one alone is a quarter off, so many a twentieth
FAST = 1800.0  # m/s, about, over the ground of what flies low


# What is to be done --------------------------------------------------------------------------------------------------


class Progress(NamedTuple):
    """How far a study is: units done, of them found on disk, units in all, seconds left (nan: not known yet), processes."""

    done: int
    kept: int
    total: int
    left: float
    jobs: int


@dataclass(frozen=True)
class Plan:
    """A checked study: its units, sorted by launch and seed, the launches that lack what a flight needs, and its provenance."""

    units: tuple[Unit, ...]
    not_flown: dict[str, str]
    meta: dict[str, Any]


def earlier_detection(
    launches: Any = None, regimes: Sequence[Any] = REGIMES, seeds: int | Sequence[int] = 20, *, since: int | str | None = None,
    without: Sequence[str] = (), sensors: Any = "northeast-asia", ships: float | None = None, cues: bool = True, bounds: bool = False,
    clutter: float = 0.0, n_jobs: int = 1, folder: str | Path | None = None, progress: Callable[[Progress], object] | None = None,
) -> Study:  # fmt: skip
    """How much earlier, longer and better each node holds each launch under each regime, on common random numbers.

    ``launches``: ids, rows or a selection of `cf.launches()`, or `Scenario`s; None is the whole record, and ``since`` (a year or date)
    leaves out what was earlier.  A launch that cannot be flown is named in ``Study.meta["not_flown"]`` with the reason.
    ``regimes``: packaged names or files.  ``seeds``: how many (0, 1, ...) or which.  ``without``: sensors left out; ``sensors``:
    another laydown; ``ships``: the share of days on which each ship is on station; ``bounds``: also Cramer-Rao bounds, slower.
    ``clutter`` scales every sensor's false plots: they hardly touch the tracks of missiles, and with 1 tracking takes two to ten times
    as long.

    ``n_jobs`` processes (-1: one per core) by joblib, or the backend that `joblib.parallel_config` has chosen, such as a dask cluster:
    the rows do not depend on it.  With ``folder`` every finished launch and seed is kept there, a study that was stopped goes on
    where it was, and the study is saved there.  ``progress`` is called with a `Progress` before the work and after each unit.

    Raises `CopfuseError` for bad input, a folder that cannot be written and a process that was killed.
    """
    given = {"launches": launches, "regimes": regimes, "seeds": seeds, "since": since, "without": without, "sensors": sensors,
             "ships": ships, "cues": cues, "bounds": bounds, "clutter": clutter}  # fmt: skip
    return run(plan(**given), n_jobs, folder, progress, _call(given))


def _call(given: dict[str, Any]) -> str:
    """The call that made a study, as text; long lists of launches shortened."""
    usual = {"launches": None, "regimes": REGIMES, "seeds": 20, "since": None, "without": (), "sensors": "northeast-asia", "ships": None,
             "cues": True, "bounds": False, "clutter": 0.0}  # fmt: skip
    told = [f"{name}={value!r}" for name, value in given.items() if value is not usual[name] and value != usual[name]]
    return f"cf.earlier_detection({', '.join(text if len(text) < 200 else text[:197] + '...' for text in told)})"


def plan(
    launches: Any = None, regimes: Sequence[Any] = REGIMES, seeds: int | Sequence[int] = 20, since: int | str | None = None,
    without: Sequence[str] = (), sensors: Any = "northeast-asia", ships: float | None = None, cues: bool = True, bounds: bool = False,
    clutter: float = 0.0,
) -> Plan:  # fmt: skip
    """The units of `earlier_detection`, all input checked before the work."""
    options = Options(_regimes(regimes), tuple(dict.fromkeys(without)), bool(cues), bool(bounds))
    if not 0.0 <= clutter < math.inf:
        raise CopfuseError(f"clutter = {clutter!r} scales false plots; give 0 or more, such as 1 for those of the laydown")
    laydown = _laydown(sensors, options.without, ships)
    numbers = _seeds(seeds)
    chosen, not_flown = _chosen(launches, since)
    flown = [replace(one, sensors=laydown, regime=options.regimes[0].name, clutter=clutter * one.clutter) for one in chosen]
    meta = {
        "study": "earlier detection", "copfuse": __version__, "source": source(), "laydown": str(sensors),
        "sensors": [s.name for s in laydown], "regimes": {r.name: r.title for r in options.regimes}, "seeds": numbers,
        "launches": [one.name for one in flown], "since": since, "without": list(options.without), "ships": ships,
        "cues": options.cues, "bounds": options.bounds, "clutter": clutter, "note": NOTE,
    }  # fmt: skip
    return Plan(tuple(Unit(one, seed, options) for one in flown for seed in numbers), not_flown, meta)


def _regimes(names: Sequence[Any]) -> tuple[network.Regime, ...]:
    names = [names] if isinstance(names, str | Path) else list(names)
    found = tuple(network.regime(name) for name in names)
    twice = [r.name for i, r in enumerate(found) if r.name in {q.name for q in found[:i]}]
    if twice or not found:
        raise CopfuseError(
            f"regimes name {twice[0]!r} twice; name each once" if twice else "regimes is empty; name one at least, such as none"
        )
    return found


def _laydown(sensors: Any, without: tuple[str, ...], ships: float | None) -> tuple[Sensor, ...]:
    """The sensors that watch: of a laydown (its name or file, or the sensors themselves), some left out, ships on station as told."""
    found = laydowns.laydown(sensors) if isinstance(sensors, str | Path) else tuple(sensors)
    names = [s.name for s in found]
    for name in without:
        if name not in names:
            raise CopfuseError(f"without names the sensor {name!r}, which the laydown does not have; {suggestion(name, names)}")
    if ships is not None and not 0.0 <= ships <= 1.0:
        raise CopfuseError(f"ships = {ships!r} is no share of days on station; give 0 to 1")
    kept = [s for s in found if s.name not in without]
    if not kept:
        raise CopfuseError("without leaves no sensor; leave one at least")
    return tuple(replace(s, availability=float(ships)) if ships is not None and s.platform == "ship" else s for s in kept)


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, int | np.integer) and seeds < 1:
        raise CopfuseError(f"seeds = {seeds} is not 1 or more")
    numbers = list(range(seeds)) if isinstance(seeds, int | np.integer) else list(dict.fromkeys(seeds))
    if not numbers:
        raise CopfuseError("seeds is empty; name one at least")
    for seed in numbers:
        check_seed(seed)
    return sorted(int(seed) for seed in numbers)


def _chosen(launches: Any, since: int | str | None) -> tuple[list[scenario.Scenario], dict[str, str]]:
    """A scenario for each launch that may fly, by name, and why the others do not."""
    if since is not None and not re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", str(since)):
        raise CopfuseError(f"since = {since!r} is no date; give a year such as 2016, or 2016-11-23")
    record = flights.launches()
    given = record if launches is None else [launches] if isinstance(launches, str | scenario.Scenario | flights.Row) else launches
    flown: dict[str, scenario.Scenario] = {}
    not_flown: dict[str, str] = {}
    for one in given:
        if isinstance(one, flights.Row) or (isinstance(one, str) and one in record.id):
            row = record.find(one) if isinstance(one, str) else one
            if since is not None and row.date < str(since):
                continue
            if not flights.flyable(row):
                not_flown[row.id] = f"the record has no {' and no '.join(flights.missing(row))} for it"
                continue
            one = row.id
        found = scenario.load(one)
        flown[found.name] = found
    if not flown:
        why = f"launch {next(iter(not_flown))} cannot be flown: {next(iter(not_flown.values()))}" if len(not_flown) == 1 else ""
        when = f" since {since}" if since is not None else ""
        if not not_flown:
            raise CopfuseError(f"no launch asked for is of {since} or later; the record's last is of {record[-1].date}")
        raise CopfuseError(why or f"no launch of {len(not_flown)}{when} can be flown; copfuse launches --fly says why")
    return [flown[name] for name in sorted(flown)], not_flown


# Doing it ------------------------------------------------------------------------------------------------------------


def run(
    plan: Plan, n_jobs: int = 1, folder: str | Path | None = None, progress: Callable[[Progress], object] | None = None, command: str = ""
) -> Study:
    """Do what is left of a plan and put the rows together; see `earlier_detection`."""
    store = Store(folder, plan.units)
    done: dict[int, Made] = store.found()
    kept = len(done)
    jobs = workers.jobs(n_jobs)
    tell = progress or (lambda _: None)
    cost = [_cost(unit) for unit in plan.units]
    todo = [i for i in _order(cost) if i not in done]
    tell(Progress(kept, kept, len(plan.units), math.nan, jobs))
    spent, used, timed = 0.0, 0.0, 0  # s that units took, what they were to cost, and how many there were
    rest = sum(cost[i] for i in todo)
    with closing(_made(plan, todo, n_jobs, store)) as results:
        for i, made, usual in results:
            store.keep(i, made)
            done[i] = made
            rest -= cost[i]
            if usual:
                spent, used, timed = spent + made.seconds, used + cost[i], timed + 1
            left = spent / used * rest / jobs if timed >= _few(todo) else math.nan
            tell(Progress(len(done), kept, len(plan.units), left, jobs))
    study = _together(plan, done, command)
    if folder is not None:
        try:
            study.save(folder)
        except CopfuseError as error:
            raise CopfuseError(f"{error}; make room there: {store.way_on()}") from None
    return study


def _cost(unit: Unit) -> float:
    """About how long a unit takes, in seconds of flight: known before its flight is."""
    total = SETUP
    for launch in unit.scenario.launches:
        row = flights.launches().find(launch.id) if launch.kind == "record" else None
        if row is None:
            total += 600.0
            continue
        up = 2.0 * math.sqrt(2.0 * row.apogee / G0) * (1.0 + row.apogee / EARTH_RADIUS)
        total += min(100.0 + max(up, row.range / FAST if row.apogee < 100e3 else 0.0), LONGEST)
    return total


def _order(cost: list[float]) -> list[int]:
    """The cheapest unit first and one of middle cost (they load kernels), then some of every cost (they tell how long the rest takes),
    then the longest on."""
    up = sorted(range(len(cost)), key=lambda i: (cost[i], i))
    some = [up[(2 * k + 1) * len(up) // (2 * _few(up))] for k in range(_few(up))]
    first = list(dict.fromkeys([up[0], up[len(up) // 2], *some]))
    return first + sorted(set(up).difference(first), key=lambda i: (-cost[i], i))


def _few(todo: list[int]) -> int:
    """How many units tell how long all take."""
    return max(min(TIMED, len(todo) // 3), 1)


def _made(plan: Plan, todo: list[int], n_jobs: int, store: Store) -> Generator[tuple[int, Made, bool]]:
    """The units ``todo`` as they are done, each with whether it took as long as others of its kind will.

    One process does all of them here, and where kernels may be missing the first ones, so that they are compiled once; the rest are
    done where joblib has them done.
    """
    alone = workers.own() and workers.jobs(n_jobs) == 1
    here = len(todo) if alone or len(todo) <= HERE else 0 if workers.own() and warming.studied() else HERE
    for number, i in enumerate(todo[:here]):
        yield i, units.measure(plan.units[i]), here == len(todo) and number >= max(min(HERE, here - 1) - 1, 1)
        if number + 1 == HERE:
            warming.note_study()
    if here == len(todo):
        return
    results = workers.spread(_numbered, ((i, plan.units[i]) for i in todo[here:]), n_jobs)
    try:
        yield from results
    except Exception as error:
        if workers.killed(error):
            raise CopfuseError(f"a worker process was killed, most likely for want of memory; {store.way_on()}") from None
        raise
    finally:
        results.close()


def _numbered(i: int, unit: Unit) -> tuple[int, Made, bool]:
    return i, units.measure(unit), not workers.fresh()


def _together(plan: Plan, done: dict[int, Made], command: str) -> Study:
    """The study of all units: its rows sorted by launch, object, regime, seed and node, whoever made them when."""
    names = list(COLUMNS)
    launch, thing, regime, seed, node = (names.index(key) for key in KEYS)
    rank = {r.name: n for n, r in enumerate(plan.units[0].options.regimes)}
    rows = [row for i in range(len(plan.units)) for row in done[i].rows]
    rows.sort(key=lambda row: (row[launch], row[thing], rank[row[regime]], row[seed], NODES.index(row[node])))
    failed = {plan.units[i].scenario.name: made.reason for i, made in done.items() if made.reason}
    not_flown = dict(sorted({**plan.not_flown, **failed}.items()))
    columns = table({name: [row[j] for row in rows] for j, name in enumerate(names)} if rows else {})
    flown = [name for name in plan.meta["launches"] if name not in failed]
    return Study(columns, {**plan.meta, "launches": flown, "not_flown": not_flown, "command": command})
