"""A tracker of one's own in the benchmark, in ten lines: a straight line through the plots of the last ten seconds, for a single missile.

Run it from this folder, or from any other with this one on PYTHONPATH, as the module is looked for in both:

    cd examples
    copfuse bench --entrant enter_a_tracker:mine --quick

An entrant gets plots without labels and the scenario without launches, and returns a picture: rows of time s, track number, position and
velocity (Earth-fixed, m and m/s) with their covariance.  It may use of a time what has come to the hub by then: `scans_in_order` hands
that out.  Forecasts of where things come down are made of x and P unless it brings its own.
"""

from __future__ import annotations

import numpy as np

from copfuse import entering


def mine(detections, scenario):
    """A straight line through the plots of the last ten seconds, one track."""
    recent, rows = [], []
    for now, scans in entering.scans_in_order(detections, scenario):
        recent += [(scan.time, y) for scan in scans for y in entering.positions(scan)[0]]
        recent = [plot for plot in recent if now - plot[0] < 10.0]
        if len(recent) >= 5:
            time, y = (np.array(column) for column in zip(*recent, strict=True))
            near = np.linalg.norm(y - np.median(y, axis=0), axis=1) < 50e3  # of the false plots few are
            if near.sum() < 5:
                continue
            line, spread = np.polyfit(time[near] - now, y[near], 1, cov="unscaled")
            off = y[near] - np.outer(time[near] - now, line[0]) - line[1]
            P = np.kron(spread[::-1, ::-1, 0], np.diag(off.var(axis=0) + 1e4))
            rows.append((now, 0, np.r_[line[1], line[0]], P))
    return entering.picture(*(zip(*rows, strict=True) if rows else [()] * 4), scenario)
