"""`fly` makes the truth of a scenario, `detect` what its sensors report of it: the only place that draws sensor noise."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from copfuse import flights, frames, motion, recorded, sensors, vehicles
from copfuse.checking import handed, handed_scenario, usable_truth
from copfuse.constants import EARTH_A
from copfuse.errors import CopfuseError
from copfuse.kernels import sensing
from copfuse.tables import Detections, Truth
from copfuse.volumes import Cues
from copfuse.watching import NO_ROWS, Rows, Sight, Watch, detector_output, plots, side_by_side, told, wrapped

if TYPE_CHECKING:
    from copfuse.scenario import Launch, Scenario
    from copfuse.sensors import Sensor


def fly(scenario: Scenario) -> Truth:
    """The truth of every launch of a scenario: rows in order of object, then time.

    A launch of the record is flown as `flights.fit` solves it, a recorded flight as `recorded.read` smooths it, a
    ballistic one as `motion.arc` finds a boost for it.  Spent stages (``separate``) and fragments (``debris``) follow
    their missile as objects of their own; the fragments' velocities come from a stream named by the launch.  Truth
    runs to each object's impact, whatever the scenario's duration; ``meta["objects"]`` says what each object is.

    Raises `CopfuseError` where a launch cannot be flown.
    """
    handed_scenario("fly", scenario)
    times, numbers, states, phase = [], [], [], []
    objects: list[dict[str, Any]] = []
    for i, launch in enumerate(scenario.launches):
        for trajectory, about in trajectories(launch):
            times.append(trajectory.time + launch.at)
            numbers.append(np.full(len(trajectory.time), len(objects)))
            states.append(trajectory.x)
            phase.append(trajectory.phase)
            pauses = [[launch.at + begin, launch.at + end] for begin, end in trajectory.pauses]
            objects.append({**about, "launch": i, **({"pauses": pauses} if pauses else {})})
    if not objects:
        return Truth.empty(objects=[], scenario=scenario.name)
    meta = {"objects": objects, "scenario": scenario.name}
    return Truth(np.concatenate(times), np.concatenate(numbers), np.concatenate(states), np.concatenate(phase), meta)


def trajectories(launch: Launch) -> list[tuple[motion.Trajectory, dict[str, Any]]]:
    """The missile of a launch and whatever it sheds: trajectories from ignition at 0 s, and what each object is."""
    flown, profile = _missile(launch)
    if flown.plan is not None and (launch.beta is not None or launch.aside or launch.unsteady):
        plan = _moved_aside(flown.plan, launch.aside)
        plan = motion.aimed(replace(plan, unsteady=launch.unsteady), plan) if launch.unsteady else plan
        flown = replace(motion.launch(plan if launch.beta is None else replace(plan, beta=launch.beta)), about=flown.about)
    rcs = profile.rcs if launch.rcs is None else launch.rcs
    made = [(flown, "missile", launch.name, rcs)]
    if launch.separate:
        made += [(t, "stage", f"{launch.name} stage {k}", profile.stage_rcs) for k, t in motion.spent_stages(flown, profile)]
    if launch.debris:
        stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([0, zlib.crc32(f"{launch.name} debris".encode())])))
        fragments = motion.fragments(flown, launch.debris, stream)
        made += [(t, "debris", f"{launch.name} fragment {k}", rcs) for k, (t, rcs) in enumerate(fragments, 1)]
    return [
        (t, {"name": name, "kind": kind, "rcs": float(rcs), "missile_class": launch.missile_class, "landed": t.landed, "about": t.about})
        for t, kind, name, rcs in made
    ]


def _moved_aside(plan: motion.Plan, aside: float) -> motion.Plan:
    """The plan from a place ``aside`` m to the right of its own, as it looks along its pitch-over (east, north)."""
    east, north = plan.kick
    way = aside / max(math.hypot(east, north), 1e-12)
    return replace(plan, lat=plan.lat - way * east / EARTH_A, lon=plan.lon + way * north / (EARTH_A * math.cos(plan.lat)))


def _missile(launch: Launch) -> tuple[motion.Trajectory, vehicles.Profile]:
    profile = vehicles.PROFILES[launch.missile_class]
    if launch.kind == "record":
        row = flights.launches().find(launch.id)
        return flights.fit(row).trajectory, flights.profile_of(row)
    if launch.kind == "recorded":
        return recorded.read(launch.path, launch.lat, launch.lon, launch.azimuth), profile
    if launch.kind == "ballistic":
        burnout = (launch.burnout_altitude, launch.burnout_speed, launch.burnout_angle)
        try:
            return motion.arc(launch.lat, launch.lon, launch.azimuth, *burnout, profile), profile
        except CopfuseError as error:
            raise CopfuseError(f"launch {launch.name!r}: {error}") from None
    raise CopfuseError(f"launch {launch.name!r}: kind = {launch.kind!r} is unknown; there are: record, recorded, ballistic")


# What the sensors report -----------------------------------------------------------------------------------------------


def detect(truth: Truth, scenario: Scenario, seed: int = 0, cues: Cues | None = None) -> Detections:
    """What the scenario's sensors report of the truth: plots of objects and false ones, sorted by time, then sensor.

    A sensor searches its whole volume every ``search_revisit`` from a random first time on and looks at an object that
    it noticed lately at every ``track_revisit`` (an integer share of the search frame).  All plots of one tick bear one
    time and are one scan.  In each look the detector's output is drawn (Swerling's cases, square law); over the threshold
    it is a plot, and its signal-to-noise ratio as measured, which a tracker knows too, sets the sigma of the noise in it.  The sigma that
    a plot states is that of where it says the object is (a sensor knows no other), so that it does not tell true plots from false ones.
    A wandering bias stands on top: the reported time is the sensor's, ahead of the true one by its clock's error.

    ``cues`` (as `cueing.sense` makes them): volumes that a nation's radars are told to look into.  Where one of them holds the
    object, its radars look at every tick, with the more energy that `volumes.gain` gives, up to that with which they detect
    it in nearly every look; the horizon stays where it is.  What a cue costs the search, and false plots in so small a volume,
    are left out.

    Every sensor has random streams of its own, named by it and by the object, so that another sensor, another object or a cue
    leaves its numbers as they are.  ``seed`` is 0 or more.  ``meta``: ``sensors`` (names), ``seed``, ``schedule`` (per
    sensor that works: first search, search frame, tick, s) and ``absent`` (per sensor that does not: why).

    Raises `CopfuseError` for a seed below 0 and for truth that is malformed (`checking.usable_truth`) or does not say what its objects are.
    """
    looking: dict[str, Any] = {}
    looks = side_by_side(list(watches(truth, scenario, seed, looking)))
    if cues is not None and len(cues):
        told(looks, cues)
    return in_order([plots(looks, looks.first[:-1], looks.first[1:]), *((watch.number, *watch.false) for watch in looks.watches)], looking)


def watches(truth: Truth, scenario: Scenario, seed: int, meta: dict[str, Any]) -> Iterator[Watch]:
    """Every sensor that works, as it looks when nothing cues it; ``meta`` is filled with that of `Detections`.

    Raises `CopfuseError` as `detect` does.
    """
    handed("detect", truth=(truth, Truth))
    handed_scenario("detect", scenario)
    objects, lives = _checked(truth, seed), _lives(truth)
    end = scenario.duration if scenario.duration is not None else float(truth.time.max(initial=0.0))
    meta |= {"sensors": [s.name for s in scenario.sensors], "seed": int(seed), "scenario": scenario.name, "schedule": {}, "absent": {}}
    for number, sensor in enumerate(scenario.sensors):
        absent, first, tick, share = _turn_up(sensor, scenario, seed)
        if absent:
            meta["absent"][sensor.name] = absent
            continue
        meta["schedule"][sensor.name] = {"first": first, "search": tick * share, "track": tick}
        time = first + tick * np.arange(max(0, int(np.floor((end - first) / tick)) + 1))
        search = np.arange(len(time)) % share == 0
        bias = _bias(sensor, tick, len(time), scenario.bias, seed)
        sights = _sights(sensor, lives, objects, time, search, bias, seed)
        yield Watch(number, sensor, sights, _false_plots(sensor, time[search], scenario, seed))


def _checked(truth: Truth, seed: int) -> list[dict[str, Any]]:
    """What the truth says of its objects, with names that are all different."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise CopfuseError(f"seed is {seed!r}, expected a whole number of 0 or more")
    objects = [dict(about) for about in truth.meta.get("objects", [])]
    if len(truth) and truth.object.max() >= len(objects):
        raise CopfuseError(f"truth has rows of object {truth.object.max()}, but its meta lists {len(objects)} objects")
    usable_truth(truth)
    seen: dict[str, int] = {}
    for about in objects:
        seen[about["name"]] = seen.get(about["name"], 0) + 1
        about["stream"] = about["name"] if seen[about["name"]] == 1 else f"{about['name']} ({seen[about['name']]})"
    return objects


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, zlib.crc32(name.encode())])))


def _turn_up(sensor: Sensor, scenario: Scenario, seed: int) -> tuple[str, float, float, int]:
    """Why a sensor reports nothing (or ""), its first search s, its tick s and its ticks per search frame."""
    if sensor.kind not in ("radar", "infrared"):
        return f"kind {sensor.kind!r} makes no plots", 0.0, 1.0, 1
    if not sensors.in_service(sensor, scenario.epoch):
        return "out of service on that day", 0.0, 1.0, 1
    share = max(1, round(sensor.search_revisit / sensor.track_revisit))
    there, phase = _stream(seed, sensor.name).random(2)
    absent = "" if there < sensor.availability else "not on station"
    return absent, phase * sensor.search_revisit, sensor.search_revisit / share, share


def _bias(sensor: Sensor, tick: float, n: int, scale: float, seed: int) -> np.ndarray:
    """Range m, azimuth and elevation rad (or u and v), clock s: Gauss-Markov errors at the ticks, rows (n, 4)."""
    wandering = np.empty((n, 4))
    sensing.wander(_stream(seed, f"{sensor.name} bias").standard_normal((n, 4)), tick, sensor.bias_time, wandering)
    return scale * np.array(sensor.bias_sigma) * wandering


def _sights(
    sensor: Sensor, lives: list[_Life], objects: list[dict[str, Any]], time: np.ndarray, search: np.ndarray, bias: np.ndarray, seed: int
) -> list[Sight]:
    """One sensor's looks at its ticks ``time`` at all objects that it can see at one of them."""
    number, tick, x, burning = _aloft(lives, time - bias[:, 3])
    rows = np.flatnonzero(sensors.in_reach(sensor, x, burning))
    if len(rows) == 0:
        return []
    rcs = np.array([about["rcs"] for about in objects])
    z, snr = sensors.observe(sensor, x[rows], time[tick[rows]], rcs[number[rows]], burning[rows])
    seen = snr > 0.0
    rows, z, snr = rows[seen], z[seen], snr[seen]
    found = []
    for k in np.unique(number[rows]).tolist():
        own, life = number[rows] == k, np.flatnonzero(number == k)
        mine = rows[own]
        at, of_life = tick[mine], np.searchsorted(life, mine)
        draws = _stream(seed, f"{sensor.name} sees {objects[k]['stream']}").standard_normal((len(life), 10))[of_life]
        output = detector_output(snr[own], sensor.swerling, draws[:, :6])
        known = of_life, time[at], search[at], x[mine], z[own], snr[own], bias[at, :3], draws
        found.append(Sight(k, *known, output, np.zeros(len(mine), bool)))
    return found


class _Life(NamedTuple):
    """An object's rows of truth, and when between stages it does not burn."""

    number: int
    time: np.ndarray
    x: np.ndarray
    phase: np.ndarray
    pauses: Sequence[Sequence[float]]


def _lives(truth: Truth) -> list[_Life]:
    """Every object's, in the order of their rows."""
    edges = [0, *(np.flatnonzero(np.diff(truth.object)) + 1).tolist(), len(truth)] if len(truth) else []
    found = []
    for a, b in pairwise(edges):
        k = int(truth.object[a])
        found.append(_Life(k, truth.time[a:b], truth.x[a:b], truth.phase[a:b], truth.meta["objects"][k].get("pauses", ())))
    return found


def _aloft(lives: list[_Life], at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Object number, tick, state (n, 6) and whether it burns, for every object at the true times ``at`` of its life."""
    parts = [(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 6)), np.zeros(0, bool))]
    for one in lives:
        tick = np.flatnonzero((at >= one.time[0]) & (at <= one.time[-1]))
        if len(tick):
            row = one.time[1:].searchsorted(at[tick], side="right")
            burning = motion.burning(at[tick], one.phase[row], one.pauses)
            parts.append((np.full(len(tick), one.number), tick, motion.interpolate(one.time, one.x, at[tick]), burning))
    number, tick, x, burning = (np.concatenate(column) for column in zip(*parts, strict=True))
    return number, tick, x, burning


def _false_plots(sensor: Sensor, time: np.ndarray, scenario: Scenario, seed: int) -> Rows:
    """Poisson false plots, uniform in range and angles over the sensor's volume, at its search ticks."""
    often = scenario.clutter * sensor.clutter_per_scan
    if often == 0.0:
        return NO_ROWS
    stream = _stream(seed, f"{sensor.name} clutter")
    count = stream.poisson(often, len(time))
    n = int(count.sum())
    share = _stream(seed, f"{sensor.name} clutter places").random((n, 5))
    z = np.full((n, 4), np.nan)
    z[:, 1] = sensor.boresight + sensor.azimuth_width * (share[:, 1] - 0.5)
    z[:, 2] = sensor.min_elevation + (sensor.max_elevation - sensor.min_elevation) * share[:, 2]
    if sensor.kind == "radar":
        z[:, 0] = sensor.range_max * share[:, 0]
        z[:, 3] = sensors.CLUTTER_RATE * (2.0 * share[:, 3] - 1.0) + 0.0 * sensor.sigma_range_rate
    snr = -np.log(sensor.pfa) - np.log1p(-share[:, 4]) - 1.0  # noise alone, given that it passed the threshold
    if sensor.cosines:
        origin, axes = sensors.place(sensor, 0.0)
        there = frames.point(z[:, 0], z[:, 1], z[:, 2], origin, frames.enu_axes(sensor.lat, sensor.lon))
        z[:, 1:3] = frames.look(there, origin, axes, 1)[:, 1:3]
    z = wrapped(sensor, z)
    return np.repeat(time, count), z, sensors.accuracy(sensor, snr, z[:, 1], z[:, 2]), snr, np.full(n, -1)


def in_order(made: list[tuple[Any, ...]], meta: dict[str, Any]) -> Detections:
    """One table; within a scan the rows go by azimuth, so that their order tells nothing about the truth."""
    if not made:
        return Detections.empty(**meta)
    time, z, sigma, snr, number = (np.concatenate([part[i] for part in made]) for i in range(1, 6))
    sensor = np.concatenate([np.full(len(part[1]), part[0]) for part in made])
    order = np.lexsort((z[:, 1], sensor, time))
    whose, which = sensor[order].astype(np.int32), number[order].astype(np.int32)
    columns = {"time": time[order], "sensor": whose, "z": z[order], "sigma": sigma[order], "snr": snr[order], "object": which}
    return Detections.of(columns, meta)
