"""The first run after an install: half of the kernels are compiled in a second process while this one compiles the others.

Numba compiles one kernel at a time.  What a run needs last can be got ready meanwhile on another core; both keep what they made in the
same cache, so that this process finds it there when it comes to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import numpy as np

from copfuse import filters, forecast, frames, kernels
from copfuse.kernels.consider import common, consider
from copfuse.kernels.intersection import intersect_rows

_CODE = "from copfuse.warming import compile_last; compile_last()"
LAST = "forecast.impact"  # the kernel that `compile_last` makes last
STUDIED = "studied"  # an empty file beside the kernels


def begin() -> subprocess.Popen[bytes] | None:
    """Start the second process, where nothing is compiled yet and there is a second core; None where there is no need."""
    cold = not any(kernels.cache_folder().rglob(f"{LAST}-*.nbi"))
    worker = "PYTEST_XDIST_WORKER" in os.environ  # each core has one already
    if not _compiling() or worker or not cold or (os.cpu_count() or 1) < 2:
        return None
    try:
        quiet = subprocess.DEVNULL
        return subprocess.Popen([sys.executable, "-c", _CODE], stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:  # then this process compiles all
        return None


def end(process: subprocess.Popen[bytes] | None) -> None:
    """Wait until the other process has made what it was to make; if it failed, this one compiles what is missing."""
    if process is not None:
        process.wait()


def _compiling() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT") != "1"


def studied() -> bool:
    """Whether kernels that units of a study need are in the cache, so that several processes may begin at once and none compiles.

    Those that only an option of a study needs may be missing yet; then each process compiles them.
    """
    return _compiling() and (kernels.cache_folder() / STUDIED).is_file()


def note_study() -> None:
    """Note in the cache that this process has done units of a study."""
    if not _compiling():
        return
    with suppress(OSError):  # where nothing can be kept, the first units are done in one process each time
        kernels.cache_folder().mkdir(parents=True, exist_ok=True)
        (kernels.cache_folder() / STUDIED).touch()


def compile_last() -> None:
    """Call what a run needs last, and the filter's prediction, each once, with arrays of the kinds that a run has."""
    x6 = np.concatenate([frames.ecef(0.7, 2.2, 120e3).reshape(1, 3), np.full((1, 3), 1000.0)], axis=1)
    P6 = np.diag([1e4] * 3 + [1e2] * 3)[None]
    bank = filters.predict(filters.bank(0.0, x6, P6, np.full((1, 5), 0.2)), 1.0)
    one, number = np.zeros(1), np.zeros(1, np.int64)
    common(number, one, x6, P6, P6, P6, P6, one, number.max() + 1, np.zeros((1, 6, 6)))
    filters.within(P6, P6)
    bias, axes = np.zeros((1, 3)), np.eye(3)[None]
    consider(
        number, number, one, x6, P6, P6, np.ones((1, 4)), np.zeros((1, 3)), axes, number, number.max() + 1, 1, bias, np.ones(1), P6.copy()
    )  # fmt: skip
    both = np.ascontiguousarray(np.repeat(P6[:, None], 2, axis=1))
    intersect_rows(np.repeat(x6[:, None], 2, axis=1), both, both.copy(), np.ones((1, 2), bool), np.zeros((1, 6)), np.zeros((1, 6, 6)))
    forecast.impact_point(bank.x6, bank.P6, np.array([filters.LOG_BETA]), np.zeros((1, 3)), np.array([[0.3, 0.4, 0.2, 0.1]]))
