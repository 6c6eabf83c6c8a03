"""Work that joblib spreads over processes: its own on this machine, or wherever `joblib.parallel_config` has it done."""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from typing import Any

from copfuse.checking import check_jobs

KEPT = ((-1, 1 << 30), (-3, 32 << 20))  # malloc.h's M_TRIM_THRESHOLD, M_MMAP_THRESHOLD: bytes that may be free, and in one piece
_begun: list[int] = []  # how many processes `spread` has begun here last; joblib keeps them for five minutes
_worked: list[bool] = []  # one entry once this process has done work for `spread`


def jobs(n_jobs: int) -> int:
    """How many processes ``n_jobs`` are here (-1: one per core).  Raises `CopfuseError` for 0 and for what is no whole number."""
    from joblib import effective_n_jobs

    check_jobs(n_jobs)
    return int(effective_n_jobs(n_jobs))


def own() -> bool:
    """Whether the work is done on this machine, as many at once as asked; else the user's `joblib.parallel_config` says where."""
    from joblib.parallel import get_active_backend

    return type(get_active_backend()[0]).__name__ == "LokyBackend"


def begun() -> int:
    """How many processes wait on this machine for more work."""
    return _begun[-1] if _begun and own() else 0


def spread(work: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], n_jobs: int) -> Generator[Any]:
    """What ``work`` gives for each of the ``tasks`` (its arguments), as it is done; they are under way when this returns.

    What the generator raises where a process was killed is `killed`.
    """
    from joblib import Parallel, delayed, parallel_config

    here = own()
    apart = here and jobs(n_jobs) > 1
    with parallel_config("loky", inner_max_num_threads=1) if here else nullcontext():
        parallel = Parallel(n_jobs=n_jobs if here else None, return_as="generator_unordered", batch_size=1)
        with _deaf() if apart else nullcontext():
            results: Generator[Any] = parallel(delayed(_worked_on)(work, task, apart) for task in tasks)
    if apart:
        _begun[:] = [jobs(n_jobs)]
    return results


def fresh() -> bool:
    """Whether this process does its first work for `spread`, which takes longer: it loads kernels."""
    return not _worked


def killed(error: Exception) -> bool:
    """Whether a process of `spread` was killed, here or on a cluster."""
    if isinstance(error, BrokenProcessPool):
        _begun.clear()
    return isinstance(error, BrokenProcessPool) or type(error).__name__ == "KilledWorker"


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that begin now do not hear Ctrl-C, which a terminal sends to all: this one does, and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _worked_on(work: Callable[..., Any], task: tuple[Any, ...], apart: bool) -> Any:
    """One task; a process of this machine's own (``apart``) is got ready for more of its kind."""
    if apart and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # in one that joblib began anew later on
    done = work(*task)
    if apart and fresh():
        gc.freeze()  # joblib's workers collect garbage every second: 70 ms through all that was imported, 1 ms through what is new
        _keep_memory()
    _worked[:] = [True]
    return done


def _keep_memory() -> None:
    """Let glibc keep what this process frees for what it asks for next: given back to the system it is made anew, and filled with noughts,
    page by page, 800 times a unit, which is a hundredth of its time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # no other C library has it
        for what, most in KEPT:
            mallopt(what, most)
