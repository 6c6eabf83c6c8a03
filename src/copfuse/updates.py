"""Rows of Tracks in the making, one array of records: to join or choose them is one copy, not one of every column."""

from __future__ import annotations

from typing import Any

import numpy as np

from copfuse.filters import Bank
from copfuse.kernels import rows as kernel
from copfuse.phases import BOOST_CEILING
from copfuse.tables import Tracks

Rows = np.ndarray  # of `ROW`, or of `BRIEF`
_ASKED: tuple[tuple[str, Any, tuple[int, ...]], ...] = (
    ("prior", float, (6, 6)), ("noisy", float, (6, 6)), ("noisy_prior", float, (6, 6)), ("share", float, ()),
)  # fmt: skip
# The columns of Tracks but for what is found out when all is tracked, `Tracks.P_common`; and with what that is made of, which is the
# greater part (`covariances.shared`)
BRIEF = np.dtype([(name, *kind) for name, kind in Tracks.COLUMNS.items() if name != "P_common"], align=True)
ROW = np.dtype([*((name, *kind) for name, kind in Tracks.COLUMNS.items() if name != "P_common"), *_ASKED], align=True)
_BRIEF_WORDS = BRIEF.itemsize // 8
_TOLD = {
    "time": kernel.TIME, "x": kernel.X, "P": kernel.P6, "acceleration": kernel.PUSH, "acceleration_sigma": kernel.SIGMA,
    "log_beta": kernel.LOG_BETA, "phase_probability": kernel.PHASE, "llr": kernel.LLR, "prior": kernel.PRIOR, "noisy": kernel.NOISY,
    "noisy_prior": kernel.NOISY_PRIOR, "share": kernel.SHARE,
}  # fmt: skip
_FIELDS: Any = ROW.fields
assert ROW.itemsize == 8 * kernel.WORDS and all(_FIELDS[name][1] == 8 * word for name, word in _TOLD.items())


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
    words = np.concatenate([words_of(part)[:, :_BRIEF_WORDS] for part in parts])
    return words.view(BRIEF)[:, 0]


def words_of(rows: Rows) -> np.ndarray:
    """Rows of `ROW` as numbers (n, words), where a kernel writes what is said in them."""
    return rows.view(float).reshape(len(rows), kernel.WORDS)


def columns_of(rows: Rows | dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of Tracks that rows have, or some columns."""
    return {name: rows[name] for name in BRIEF.names or ()}


def said(bank: Bank, prior: Bank, time: np.ndarray, burnt: np.ndarray, pause: np.ndarray) -> Rows:
    """Rows with what is said of estimates at times (n,) s, nothing of it shared with the banks: whether each has ``burnt (n,)`` out, and
    its ``pause (n,)`` (`phases.further`); and what of them and of what was predicted, ``prior``, `covariances.finished` asks for.

    To the bit `phases.phase_probability` and `covariances.leading`, in a sixth of their time.  Which tracks they are is left to the caller.
    """
    rows = np.empty(len(bank), ROW)
    before = prior.mu, prior.P, prior.P6
    kernel.say(bank.x, bank.P, bank.mu, bank.x6, bank.P6, *before, burnt, pause, BOOST_CEILING, words_of(rows))
    rows["time"] = time
    return rows
