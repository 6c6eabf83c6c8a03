"""Who holds the track under each sharing arrangement?  One flight, one seed; makes compare_regimes.png.

Common random numbers: every arrangement sees the same plots, so that what differs is the sharing alone.
"""

import numpy as np
from matplotlib.figure import Figure

import copfuse as cf
from copfuse import frames, metrics
from copfuse.plots import NODE_COLOURS

SHADES = {"none": 0.35, "realtime": 0.65, "plots": 1.0}
runs = {regime: cf.run("hokkaido-2017", regime=regime, seed=1) for regime in SHADES}

figure = Figure(figsize=(9, 5.6), dpi=125, layout="constrained")
top, bars = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
truth = runs["none"].truth
time = truth.time - truth.time[0]
top.plot(time, frames.geodetic(truth.x)[2] / 1e3, color="#555555", lw=2)
top.set(ylabel="altitude, km", ylim=(0, None), xlim=(0, time[-1]))
top.set_title("Who holds the Hwasong-12 of 15 September 2017 (simulated, sensors notional)", loc="left", fontweight="bold")

labels = []
for regime, run in runs.items():
    picture, on = run.picture, metrics.match(run.picture, truth).object
    seen = {s.node: s for s in metrics.sightings(run)}
    for node, nation in enumerate(("KOR", "JPN", "USA")):
        line = 4 * node + list(SHADES).index(regime)
        held = np.unique(picture.time[(picture.node == node) & (on == 0)]) - truth.time[0]
        step = run.scenario.picture_step
        bars.broken_barh([(t, step) for t in held], (line - 0.45, 0.9), color=NODE_COLOURS[node], alpha=SHADES[regime], lw=0)
        firm = seen[nation].firm_track.time
        note = f"firm at {firm:.0f} s, held {100 * seen[nation].custody:.0f} %" if np.isfinite(firm) else "never"
        bars.annotate(note, (1.0, line), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center", fontsize=8)
        labels.append((line, f"{nation}  {regime}"))
bars.set_yticks(*zip(*sorted(labels), strict=True))
bars.set(xlabel="seconds after ignition", ylim=(10.8, -0.8))
for ax in (top, bars):
    ax.grid(axis="x", color="#DDDDDD", lw=0.6)
figure.savefig("compare_regimes.png")
for regime, run in runs.items():
    japan = next(s for s in metrics.sightings(run) if s.node == "JPN")
    print(f"{regime:<9} Japan: firm track {japan.firm_track.time:5.0f} s after ignition, held {100 * japan.custody:.0f} % of the flight")
