"""`bench`: entrants over frozen cases, each entrant in a process of its own, some side by side.

An entrant that raises, hangs, ends its process or answers nonsense costs its own cells and nothing else.  A process takes one case of its
entrant after the other; what is stopped or has ended is begun anew for the next case.  A fresh process does its first case twice, unless
that is slow: the first time is the cold start, the second what the case takes.  This process blinds and judges; no truth leaves it.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from copfuse import __version__, console, entrants, frozen, speed
from copfuse.contestant import sentence
from copfuse.errors import CopfuseError
from copfuse.frozen import Case
from copfuse.judging import Judged, judged
from copfuse.parts import source
from copfuse.tables import Picture

REFERENCE = "gnn"
QUICK = ("gnn", "ekf", "split", "naive")  # of the built-in entrants, one of each kind
LIMIT, QUICK_LIMIT = 60.0, 10.0  # s on the clock for one case
AGAIN = 0.25  # share of the limit up to which a fresh process does its first case twice
STARTING = 60.0  # s that a process may take until it has imported its entrant
COMPILING = 180.0  # s that an entrant may take before anything is timed, where its kernels are not compiled yet
NOT_RUN = "not run"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
NOTE = "Synthetic flights; sensor, clutter and delay figures are notional, so every number here is too."
Progress = Callable[[int, int, str], object]


@dataclass(frozen=True, eq=False)
class Result:
    """One entrant on one case; ``status`` is empty, "stopped after 60 s", "failed: one sentence" or "not run"."""

    entrant: str
    case: str
    status: str = NOT_RUN
    judged: Judged | None = None
    us_per_scan: float = float("nan")  # CPU
    peak_mb: float = float("nan")  # of its process
    cold_s: float = float("nan")  # from the start of a fresh process to its first picture, on the clock
    warm_s: float = float("nan")  # the same picture again
    traceback: str = ""

    def figure(self, name: str) -> float:
        """A figure of `judging.judge`; nan where there is none."""
        return self.judged.figures[name] if self.judged else float("nan")


@dataclass(frozen=True, eq=False)
class Contest:
    """All results, entrants outermost, in the table's order; ``about`` has a sentence per entrant and per case, ``meta`` the header.

    ``stopped``: Ctrl-C came before the end.
    """

    entrants: tuple[str, ...]
    cases: tuple[str, ...]
    reference: str
    results: tuple[Result, ...]
    about: dict[str, str]
    flights: dict[str, str] = field(default_factory=dict)  # by case what flies in it: cases that share it are not independent
    meta: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False

    def of(self, entrant: str, case: str) -> Result:
        """One cell."""
        return self.results[self.entrants.index(entrant) * len(self.cases) + self.cases.index(case)]

    def __str__(self) -> str:
        from copfuse import standings

        return standings.text(self)


def bench(
    entrants: Sequence[Any] | Any = (), cases: Sequence[Any] | Any = (), *, quick: bool = False, limit: float | None = None, jobs: int = 2,
    reference: str = REFERENCE, progress: Progress | None = None, command: str = "",
) -> Contest:  # fmt: skip
    """Run entrants over frozen cases and judge them: print the answer, or see `standings` and `contest_page` for files.

    ``entrants``: names of built-in ones, "package.module:function", or functions of modules; none: all built-in ones whose programs are
    installed, with ``quick`` a few.  The ``reference``, against which they are compared, always runs.  ``cases``: names, or
    `frozen.Case`s of your own; none: all, with ``quick`` a few.  ``limit``: seconds on the clock that an entrant has for a case (60;
    quick: 10).  ``jobs``: processes side by side; what is judged does not depend on it.  ``progress(done, total, what)`` is called as
    results come.

    Raises `CopfuseError` for unknown names.  Ctrl-C ends it with what is done (``stopped``).
    """
    if not (isinstance(jobs, int) and jobs >= 1):
        raise CopfuseError(f"jobs = {jobs!r} is no number of processes; give 1 or more")
    limit = (QUICK_LIMIT if quick else LIMIT) if limit is None else float(limit)
    if not limit > 0.0:
        raise CopfuseError(f"limit = {limit:g} s gives no time; give more than 0")
    given = [cases] if isinstance(cases, str | Case) else list(cases) or list(frozen.quick() if quick else frozen.names())
    names, about, left_out = _entrants(entrants, reference, quick)
    chosen = _cases(given)
    meta = {
        "machine": speed.machine(), "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "copfuse": __version__, "source": source(),
        "command": command or _call(entrants, cases, quick, limit, jobs, reference), "limit_s": limit, "jobs": jobs,
        "left_out": left_out, "note": NOTE,
    }  # fmt: skip
    begun = time.perf_counter()
    results, stopped = _run(names, chosen, limit, jobs, progress or (lambda *_: None))
    told = {**about, **{case.name: case.title for case in chosen}}
    meta["seconds"] = time.perf_counter() - begun
    return Contest(
        tuple(names), tuple(c.name for c in chosen), reference, tuple(results), told, {c.name: _flight(c) for c in chosen}, meta, stopped
    )


# What is asked for -----------------------------------------------------------------------------------------------------


def _entrants(given: Sequence[Any] | Any, reference: str, quick: bool) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Names in order, what each is, and which built-in ones are left out for want of what."""
    asked = [given] if isinstance(given, str) or callable(given) else list(given)
    names = list(dict.fromkeys(_name(one) for one in asked))
    left_out: dict[str, str] = {}
    if not names:
        for name in [e for e in entrants.ENTRANTS if e in QUICK or not quick]:
            try:
                entrants.entrant(name)
                names.append(name)
            except CopfuseError as error:
                left_out[name] = str(error)
    if reference not in names:
        names.insert(0, reference)
    return names, {name: _about(name) for name in names}, left_out


def _about(name: str) -> str:
    """What an entrant is; found out here, so that a wrong name, or a module that cannot be imported, is said before the work."""
    try:
        return entrants.entrant(name).about
    except (CopfuseError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise CopfuseError(f"the module of {name!r} cannot be imported: {sentence(error)}") from None


def _name(one: Any) -> str:
    """An entrant's name; of a function, where a process of its own finds it."""
    if isinstance(one, str):
        return one
    module, function = getattr(one, "__module__", "__main__"), getattr(one, "__qualname__", "")
    if not callable(one) or module == "__main__" or not function.isidentifier():
        raise CopfuseError(f"the entrant {one!r} is no function that another process can import; put it into a module of its own")
    return f"{module}:{function}"


def _cases(given: Sequence[Any]) -> list[Case]:
    made = [one if isinstance(one, Case) else frozen.load(one) for one in dict.fromkeys(given)]
    names = [one.name for one in made]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise CopfuseError(f"two cases are named {twice[0]!r}; give each its own name")
    return made


def _flight(case: Case) -> str:
    """What flies in a case, whatever it sheds and whoever looks on; a case's own name where nobody says."""
    told = [f"{one.kind} {one.id or one.path} {one.lat:.3f} {one.lon:.3f} {one.azimuth:.3f} {one.burnout_speed:.0f}" for one in
            case.scenario.launches]  # fmt: skip
    return "; ".join(sorted(set(told))) or case.name


def _call(entrants: Any, cases: Any, quick: bool, limit: float, jobs: int, reference: str) -> str:
    """The call, as text."""
    asked = [entrants] if callable(entrants) or isinstance(entrants, str) else entrants
    told = [f"entrants={[_name(one) for one in asked]!r}"] if asked else []
    told += [f"cases={[getattr(c, 'name', c) for c in ([cases] if isinstance(cases, str | Case) else cases)]!r}"] if cases else []
    told += ["quick=True"] if quick else []
    told += [f"limit={limit:g}"] if limit != (QUICK_LIMIT if quick else LIMIT) else []
    told += [f"jobs={jobs}"] if jobs != 2 else []
    told += [f"reference={reference!r}"] if reference != REFERENCE else []
    return f"cf.bench({', '.join(told)})"


# Doing it --------------------------------------------------------------------------------------------------------------


class _Board:
    """What is left to do, and what is done; shared by the slots, each of which is a thread with one process."""

    def __init__(self, names: Sequence[str], cases: Sequence[Case], limit: float) -> None:
        self.left = {name: list(range(len(cases))) for name in names}
        self.cases, self.limit, self.over = cases, limit, False
        self.blinded = [pickle.dumps(frozen.blind(case), protocol=5) for case in cases]
        self.scans = [len(np.unique(np.stack([c.detections.time, c.detections.sensor]), axis=1).T) for c in cases]
        self.lock, self.done, self.children = threading.Lock(), queue.Queue[Any](), set[_Child]()

    def next(self, mine: str) -> tuple[str, int] | None:
        """Another case of the slot's entrant; else of one that nobody has begun; else of the one with most cases left."""
        with self.lock:
            open_ = [name for name, left in self.left.items() if left and not self.over]
            if not open_:
                return None
            whole = [name for name in open_ if len(self.left[name]) == len(self.cases)]
            name = mine if mine in open_ else (whole or [max(open_, key=lambda n: len(self.left[n]))])[0]
            return name, self.left[name].pop(0)

    def stop(self) -> None:
        """End every process; the slots then come to their end."""
        with self.lock:
            self.over = True
            children = list(self.children)
        for child in children:
            child.end()


class _Child:
    """A process of one entrant (`contestant.serve`)."""

    def __init__(self, name: str) -> None:
        self.name, self.begun, self.late, self.deaf = name, time.perf_counter(), False, False
        code = f"import sys; sys.path[:] = {sys.path!r}; from copfuse.contestant import serve; serve()"
        group: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env={**os.environ, **ONE_THREAD}, **group
        )
        self._send(pickle.dumps(name))

    def _send(self, data: bytes) -> None:
        assert self.process.stdin
        with suppress(OSError):  # of a process that has ended: `ask` finds no answer
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def ask(self, case: bytes, limit: float) -> dict[str, Any] | None:
        """The answer to a case; None where it did not come within ``limit`` s (then ``late``) or the process ended; no more to be asked."""
        return self.hear(limit, lambda: self._send(pickle.dumps(case, protocol=5)))

    def hear(self, limit: float, before: Callable[[], object] = lambda: None) -> dict[str, Any] | None:
        """What the process says next, after ``before``; None as in `ask`."""
        assert self.process.stdout
        watch = threading.Timer(limit, self._too_late)
        watch.start()
        try:
            before()
            return pickle.load(self.process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError, ValueError):
            self.deaf = True
            return None
        finally:
            watch.cancel()

    def _too_late(self) -> None:
        self.late = True
        self.end()

    def end(self) -> None:
        """Kill it, with whatever it has begun."""
        with suppress(OSError):
            if os.name == "posix":
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()

    def why(self) -> str:
        """How a process that gave no answer came to its end."""
        try:
            code = self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            return "failed: it closed the way by which its answers come"
        if code < 0:
            return f"failed: its process was ended by signal {-code} ({signal.Signals(-code).name})"
        return f"failed: it ended its process with exit code {code}"

    def close(self) -> None:
        """Kill it and give its pipes back."""
        self.end()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                assert pipe
                pipe.close()


def _run(names: list[str], cases: list[Case], limit: float, jobs: int, progress: Progress) -> tuple[list[Result], bool]:
    """All results in order, and whether Ctrl-C came."""
    total, made = len(names) * len(cases), dict[tuple[str, str], Result]()
    board = _Board(names, cases, limit)
    threads = [threading.Thread(target=_slot, args=(board,), daemon=True) for _ in range(min(jobs, total))]
    stopped = False
    try:
        if not console.compiled("bench"):
            progress(0, total, "compiling the kernels once, a minute or two")
            _compile(board, [name for name in names if ":" not in name], progress)
        for thread in threads:
            thread.start()
        progress(0, total, "")
        while len(made) < total:
            with suppress(queue.Empty):
                result = board.done.get(timeout=0.2)  # short, so that Ctrl-C is heard
                if isinstance(result, BaseException):
                    raise result
                made[result.entrant, result.case] = result
                progress(len(made), total, f"{result.entrant} on {result.case}")
    except KeyboardInterrupt:
        stopped = True
    finally:
        board.stop()
        for thread in threads:
            if thread.ident:
                thread.join(10.0)
    return [made.get((name, case.name), Result(name, case.name)) for name in names for case in cases], stopped


def _compile(board: _Board, names: Sequence[str], progress: Progress) -> None:
    """Let every entrant do the case with the fewest scans once, untimed, so that its kernels are in the cache."""
    least = int(np.argmin(board.scans))
    for name in names:
        child = _Child(name)
        board.children.add(child)
        try:
            if child.hear(STARTING) is not None:
                child.ask(board.blinded[least], COMPILING)
        finally:
            board.children.discard(child)
            child.close()


def _slot(board: _Board) -> None:
    """Take case after case until none is left; a process stays as long as its entrant has cases and it lives."""
    child: _Child | None = None
    mine = ""
    try:
        while (job := board.next(mine)) is not None:
            if child and (job[0] != mine or child.process.poll() is not None):
                _close(board, child)
                child = None
            mine = job[0]
            fresh = child is None
            if child is None:
                child = _Child(mine)
                with board.lock:
                    board.children.add(child)
            result = _result(board, child, job[1], fresh)
            if board.over:
                return
            board.done.put(result)
            if child.late or child.deaf:
                _close(board, child)
                child = None
    except BaseException as error:
        board.done.put(error)
    finally:
        if child:
            _close(board, child)


def _close(board: _Board, child: _Child) -> None:
    with board.lock:
        board.children.discard(child)
    child.close()


def _result(board: _Board, child: _Child, number: int, fresh: bool) -> Result:
    """One entrant on one case, asked and judged."""
    name, case = child.name, board.cases[number]
    if fresh and child.hear(STARTING) is None:
        return Result(name, case.name, f"failed: its module was not imported within {STARTING:g} s" if child.late else child.why())
    first = child.ask(board.blinded[number], board.limit)
    cold = time.perf_counter() - child.begun if fresh else float("nan")
    if first is None:
        return Result(name, case.name, f"stopped after {board.limit:g} s" if child.late else child.why())
    if "error" in first:
        return Result(name, case.name, f"failed: {first['error']}", traceback=first["traceback"])
    again = child.ask(board.blinded[number], board.limit) if fresh and first["wall_s"] <= AGAIN * board.limit else None
    warm = again if again and "error" not in again else None
    try:
        picture = Picture(**first["columns"], meta={"sensors": [s.name for s in case.scenario.sensors]})
        found = judged(picture, case)
    except Exception as error:  # what an entrant says must not stop the others
        said = str(error) if isinstance(error, CopfuseError) else f"its Picture cannot be judged ({type(error).__name__}: {error})"
        return Result(name, case.name, f"failed: {said}")
    timed = warm or first
    return Result(
        name, case.name, "", found, 1e6 * timed["cpu_s"] / max(board.scans[number], 1), max(first["peak_mb"], timed["peak_mb"]),
        cold, warm["wall_s"] if warm else float("nan"),
    )  # fmt: skip
