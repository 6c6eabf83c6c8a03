"""`fly` makes the truth of a scenario, `detect` what its sensors report of it: the only place that draws sensor noise."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from copfuse import launches, motion, recorded
from copfuse.errors import CopfuseError
from copfuse.tables import Truth

if TYPE_CHECKING:
    from copfuse.scenario import Launch, Scenario


def fly(scenario: Scenario) -> Truth:
    """The truth of every launch of a scenario: rows in order of object, then time.

    A launch of the record is flown as `launches.fit` solves it, a recorded flight as `recorded.read` smooths it, a
    ballistic one as `motion.arc` finds a boost for it.  Spent stages (``separate``) and fragments (``debris``) follow
    their missile as objects of their own; the fragments' velocities come from a stream named by the launch.  Truth
    runs to each object's impact, whatever the scenario's duration; ``meta["objects"]`` says what each object is.

    Raises `CopfuseError` where a launch cannot be flown.
    """
    times, numbers, states, phase, objects = [], [], [], [], []
    for i, launch in enumerate(scenario.launches):
        for trajectory, about in trajectories(launch):
            times.append(trajectory.time + launch.at)
            numbers.append(np.full(len(trajectory.time), len(objects)))
            states.append(trajectory.x)
            phase.append(trajectory.phase)
            objects.append({**about, "launch": i})
    if not objects:
        return Truth.empty(objects=[], scenario=scenario.name)
    meta = {"objects": objects, "scenario": scenario.name}
    return Truth(np.concatenate(times), np.concatenate(numbers), np.concatenate(states), np.concatenate(phase), meta)


def trajectories(launch: Launch) -> list[tuple[motion.Trajectory, dict[str, Any]]]:
    """The missile of a launch and whatever it sheds: trajectories from ignition at 0 s, and what each object is."""
    flown, profile = _missile(launch)
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


def _missile(launch: Launch) -> tuple[motion.Trajectory, motion.Profile]:
    profile = motion.PROFILES[launch.missile_class]
    if launch.kind == "record":
        row = launches.launches().find(launch.id)
        return launches.fit(row).trajectory, launches.profile_of(row)
    if launch.kind == "recorded":
        return recorded.read(launch.path, launch.lat, launch.lon, launch.azimuth), profile
    if launch.kind == "ballistic":
        burnout = (launch.burnout_altitude, launch.burnout_speed, launch.burnout_angle)
        return motion.arc(launch.lat, launch.lon, launch.azimuth, *burnout, profile), profile
    raise CopfuseError(f"launch {launch.name!r}: kind = {launch.kind!r} is unknown; there are: record, recorded, ballistic")
