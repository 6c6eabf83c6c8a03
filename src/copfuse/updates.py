"""Rows of Tracks in the making, one array of records: to join or choose them is one copy, not one of every column."""

from __future__ import annotations

from typing import Any

import numpy as np

from copfuse.filters import Bank
from copfuse.kernels import rows as kernel
from copfuse.kernels.motions import BOOST as THRUSTING
from copfuse.kernels.motions import REENTRY
from copfuse.phases import BOOST_CEILING, further
from copfuse.tables import Tracks

Rows = np.ndarray  # of `ROW`, or of `BRIEF`
_BIASED: tuple[tuple[str, Any, tuple[int, ...]], ...] = (("noisy", float, (6, 6)), ("noisy_prior", float, (6, 6)))
_ASKED: tuple[tuple[str, Any, tuple[int, ...]], ...] = (("prior", float, (6, 6)), ("share", float, ()))
# The columns of Tracks but for `Tracks.P_common`, with what the biases' part of `Tracks.P` is made of when all is tracked
# (`covariances.bias_covariance`); and with what else `Tracks.P_common` is made of (`covariances.shared`)
_COLUMNS = [(name, *kind) for name, kind in Tracks.COLUMNS.items() if name != "P_common"]
BRIEF = np.dtype([*_COLUMNS, *_BIASED], align=True)
ROW = np.dtype([*_COLUMNS, *_BIASED, *_ASKED], align=True)
_WORDS, _BRIEF_WORDS = ROW.itemsize // 8, BRIEF.itemsize // 8


def joined(parts: list[Rows]) -> Rows:
    """All rows of some parts, in order; copied, if there are several parts."""
    return np.concatenate([_bytes(part) for part in parts]).view(parts[0].dtype) if len(parts) > 1 else parts[0]


def chosen(rows: Rows, which: np.ndarray) -> Rows:
    """Some rows (mask or numbers), copied."""
    return _bytes(rows)[which].view(rows.dtype)


def _bytes(rows: Rows) -> np.ndarray:
    """The rows as plain bytes: numpy copies a record field by field, but what has no fields at once."""
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))


def brief(parts: list[Rows]) -> Rows:
    """All rows of some parts, of `ROW`, in order, in brief, copied."""
    words = np.concatenate([part.view(float).reshape(len(part), _WORDS)[:, :_BRIEF_WORDS] for part in parts])
    return words.view(BRIEF)[:, 0]


def columns_of(rows: Rows) -> dict[str, np.ndarray]:
    """The columns of Tracks that rows have."""
    return {name: rows[name] for name, *_ in _COLUMNS}


def said(bank: Bank, prior: Bank, time: np.ndarray, burnt: np.ndarray, lit: np.ndarray) -> Rows:
    """Rows with what is said of estimates at times (n,) s, nothing of it shared with the banks: whether each has ``burnt (n,)`` out, and
    was last ``lit (n,)`` s; and what of them and of what was predicted, ``prior``, `covariances.finished` asks for.

    To the bit `phases.phase_probability` and `covariances.leading`, in a sixth of their time.  Which tracks they are is left to the caller.
    """
    n, rows = len(bank), np.empty(len(bank), ROW)
    push, sigma, phase, noisy, before = np.empty((n, 3)), np.empty(n), np.empty((n, 4)), np.empty((n, 6, 6)), np.empty((n, 6, 6))
    kernel.pushes(bank.x, bank.P, bank.mu, bank.x6, push, sigma)
    kernel.phases(bank.mu, bank.x6, burnt, further(time - lit), BOOST_CEILING, phase)
    kernel.leading(bank.mu, bank.P, prior.P, noisy, before)
    rows["time"], rows["x"], rows["P"], rows["acceleration"], rows["acceleration_sigma"] = time, bank.x6, bank.P6, push, sigma
    rows["log_beta"][:, 0], rows["log_beta"][:, 1] = bank.x[:, REENTRY, 6], np.sqrt(bank.P[:, REENTRY, 6, 6])
    rows["phase_probability"], rows["prior"], rows["noisy"], rows["noisy_prior"] = phase, prior.P6, noisy, before
    rows["share"] = 1.0 - prior.mu[:, THRUSTING]
    return rows
