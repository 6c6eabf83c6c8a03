"""How the tracker does over the launch record: phases recognised, consistency, false tracks.

    python benchmarks/record.py [--every 6] [--seeds 1] [--jobs -1]

Flies every n-th launch that can be flown, with the packaged laydown as it is (biases, clutter, absences), and prints per
national track: seconds from the first plot to the firm track, from burnout and re-entry until the tracker thinks so,
mean NEES over its six components by phase and kind of flight, and how many firm tracks the clutter alone makes.  About
2 s a launch and seed on one core.
"""

from __future__ import annotations

import click
import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

import copfuse as cf
from copfuse import flights
from copfuse.constants import BOOST, NATIONS, PHASES, TERMINAL
from copfuse.motion import interpolate


def one(id_: str, manoeuvre: str, seed: int) -> dict:
    """What one launch under one seed adds to the figures."""
    scenario = cf.load(id_)
    truth = cf.fly(scenario)
    truth = truth[truth.object == 0]
    detections = cf.detect(truth, scenario, seed=seed)
    tracks = cf.track(detections, scenario)
    found: dict = {"nees": [], "firm": [], "burnout": [], "reentry": [], "manoeuvre": manoeuvre}
    for node in range(3):
        mine = tracks[(tracks.node == node) & tracks.firm]
        if len(mine) == 0:
            continue
        mine = mine[mine.track == np.bincount(mine.track).argmax()]
        own = (np.array([s.nation for s in scenario.sensors])[detections.sensor] == NATIONS[node]) & (detections.object == 0)
        found["firm"].append(float(mine.time[0] - detections.time[own][0]))
        error = mine.x - interpolate(truth.time, truth.x, mine.time)
        nees = np.einsum("ni,ni->n", error, np.linalg.solve(mine.P, error[..., None])[..., 0]) / 6
        phase = truth.phase[np.clip(np.searchsorted(truth.time, mine.time) - 1, 0, None)]
        found["nees"] += [(int(p), float(nees[phase == p].mean())) for p in np.unique(phase) if (phase == p).sum() > 5]
        for name, after, then in (("burnout", BOOST, False), ("reentry", TERMINAL, True)):
            event = _event(truth, name)
            late = mine[mine.time >= event]
            if len(late) < 5 or (mine.time < event - 5).sum() < 5:
                continue
            known = np.flatnonzero((late.phase_probability[:, after] > 0.5) == then)
            found[name].append(float(late.time[known[0]] - event) if len(known) else np.inf)
    clutter = detections[detections.object < 0]
    false = cf.track(clutter, scenario)
    found["false"] = len({(int(n), int(k)) for n, k in zip(false.node[false.firm], false.track[false.firm], strict=True)})
    found["days"] = len(np.unique(clutter.sensor)) * float(truth.time[-1]) / 86400
    return found


def _event(truth: cf.Truth, name: str) -> float:
    """Time of burnout; of the descent through 100 km, inf for a flight that has no midcourse."""
    if name == "burnout":
        return float(truth.time[truth.phase == BOOST][-1])
    high = (truth.phase == PHASES.index("midcourse")).any()
    return float(truth.time[truth.phase == TERMINAL][0]) if high and (truth.phase == TERMINAL).any() else np.inf


@click.command()
@click.option("--every", default=6, show_default=True, help="Take every n-th launch that can be flown.")
@click.option("--seeds", default=1, show_default=True)
@click.option("--jobs", default=-1, show_default=True, help="Processes; -1 for one per core.")
def main(every: int, seeds: int, jobs: int) -> None:
    """Print the figures over the record."""
    rows = [row for row in flights.launches() if flights.flyable(row)]
    able = [f for f in flights.fit_all(rows[::every]) if not f.reason]
    tasks = [(f.row.id, f.row.manoeuvre, seed) for f in able for seed in range(seeds)]
    results = Parallel(n_jobs=jobs)(delayed(one)(*task) for task in tqdm(tasks, disable=None))
    print(f"{len(able)} launches x {seeds} seeds, sensors notional")
    texts = {"firm": "first plot to firm track", "burnout": "burnout recognised after", "reentry": "re-entry recognised after"}
    for name, text in texts.items():
        delay = np.array([x for r in results for x in r[name]])
        print(f"{text:<26}{np.median(delay):6.1f} s (median){np.quantile(delay, 0.95):7.1f} s (95 %), {len(delay)} tracks")
    for phase, word in enumerate(PHASES):
        for manoeuvre in ("none", "unknown", "pull-up", "glide"):
            v = [x for r in results if r["manoeuvre"] == manoeuvre for p, x in r["nees"] if p == phase]
            if v:
                middle = f"mean {np.mean(v):5.2f}, median {np.median(v):5.2f}"
                print(f"NEES / 6 in {word:<9} manoeuvre {manoeuvre:<8} {middle}, {len(v)} tracks")
    print(f"false firm tracks: {sum(r['false'] for r in results)} in {sum(r['days'] for r in results):.1f} sensor-days")


if __name__ == "__main__":
    main()
