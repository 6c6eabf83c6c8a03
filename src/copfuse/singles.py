"""Tracks of single plots, made before it is known whether anybody claims them: many plots of many scans together, each to the bit as if it
were alone."""

from __future__ import annotations

import numpy as np

from copfuse import starting
from copfuse.filters import Bank
from copfuse.scanning import Series


def begun(every: Series, plots: np.ndarray) -> tuple[np.ndarray, Bank]:
    """Of which scans some plots (n,) are, by number, and the tracks that they begin beside nothing else (`starting.from_one_plot`)."""
    scan = np.searchsorted(every.first, plots, side="right") - 1
    rated = np.isfinite(every.z[:, 3])
    alike: dict[tuple[int, bytes, bool], list[int]] = {}
    for i, (k, sensor) in enumerate(zip(scan.tolist(), every.sensor[plots].tolist(), strict=True)):
        whence = every.origin[plots[i]].tobytes() + every.axes[plots[i]].tobytes()
        alike.setdefault((sensor, whence, bool(rated[every.first[k] : every.last[k]].any())), []).append(i)
    banks = []
    for (sensor, *_), rows in alike.items():
        some, cosines = plots[rows], every.scenario.sensors[sensor].cosines
        at = every.origin[some[0]], every.axes[some[0]], cosines
        banks.append(starting.from_one_plot(0.0, every.z[some], every.sigma[some], *at))
    order = np.argsort(np.concatenate(list(alike.values())))
    bank = Bank.stack(banks)[order]
    bank.time[:] = every.time[plots]
    return scan, bank
