"""Covariances of tracks when all is tracked: what unknown sensor biases add to them, and what of them several trackers have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from copfuse import filters, numbering
from copfuse.filters import Bank
from copfuse.kernels.consider import common as find_common
from copfuse.kernels.consider import consider
from copfuse.kernels.motions import BOOST as THRUSTING
from copfuse.numbering import first_and_place
from copfuse.scanning import Sites
from copfuse.tables import Detections

Columns = dict[str, np.ndarray] | np.ndarray  # by name: `updates.Rows` too
Covariances = tuple[np.ndarray, np.ndarray]


def finished(
    columns: Columns, detections: Detections, scenario: Any, biased: Callable[..., np.ndarray] | None = None, common: bool = True,
    sites: Sites | None = None,
) -> Covariances:  # fmt: skip
    """`Tracks.P` and `Tracks.P_common` of rows that `tracking.follow` made, all of their tracks: with what biases leave
    (`bias_covariance`), and what may be common to several trackers (all, where it is not to be found out).  Neither depends on the tracks
    of other nodes.  ``sites``: those of the scenario, where this is done again and again."""
    P, number = columns["P"], numbered(columns)
    P_common = shared(columns) if common else P
    biased = biased or partial(bias_covariance, sites=sites)
    return (P + biased(columns, number, detections, scenario) if scenario.bias > 0 else P), P_common


def numbered(columns: Columns) -> np.ndarray:
    """The number (n,) of each row's track among the tracks of all nodes, from 0."""
    return first_and_place(numbering.tracks(columns["node"], columns["track"]))[1]


def shared(columns: Columns) -> np.ndarray:
    """`Tracks.P_common` of rows that `tracking.follow` made, all of their tracks."""
    number, P_common = numbered(columns), np.zeros(columns["P"].shape)
    read = (np.ascontiguousarray(columns[name]) for name in ("time", "x", "P", "prior", "noisy", "noisy_prior", "share"))
    find_common(number, *read, number.max() + 1, P_common)
    return filters.within(P_common, columns["P"])


def bias_covariance(
    columns: Columns, number: np.ndarray, detections: Detections, scenario: Any, sites: Sites | None = None
) -> np.ndarray:  # fmt: skip
    """What the sensors' unknown biases add to the covariance of each row of Tracks, (n, 6, 6); see `kernels.consider`.

    ``number (n,)`` numbers the tracks of all nodes from 0.
    """
    n = len(columns["time"])
    plot = columns["detection"]
    sensor = detections.sensor[plot].astype(np.int64)
    sites, lasts = sites or Sites(scenario), np.maximum([s.bias_time for s in scenario.sensors], 1.0)
    origin, axes = sites.places(sensor, columns["time"])
    bias, cosines = sites.bias[:, :3].copy(), sites.cosines
    B, read = np.zeros((n, 6, 6)), (np.ascontiguousarray(columns[name]) for name in ("time", "x", "noisy", "noisy_prior"))
    consider(number, sensor, *read, detections.sigma[plot], origin, axes, cosines, number.max() + 1, len(bias), bias, lasts, B)
    return B


def leading(bank: Bank, prior: Bank) -> Covariances:
    """Covariances (n, 6, 6) of each estimate's likeliest model but that of thrust, and of the same model before, in ``prior``.

    That of thrust grows by what is uncertain in thrust, which own plots tell.  Others' noise does not count: of a model that plots keep
    improbable nothing is left in the error, but taken in and out again with every plot its noise would seem to be all that there is.
    """
    likeliest = np.where(np.arange(bank.mu.shape[1]) == THRUSTING, -1.0, bank.mu).argmax(axis=1)
    rows = np.arange(len(bank))
    return bank.P[rows, likeliest, :6, :6], prior.P[rows, likeliest, :6, :6]
