"""Entrants at work: each in a process of its own (`contestant.serve`), some side by side, with limits of time; answers are judged here.

An entrant that raises, hangs, ends its process or answers nonsense costs its own cells and nothing else.  A process takes one case of its
entrant after the other; what is stopped or has ended is begun anew for the next case.  A fresh process does its first case twice, unless
that is slow: the first time is the cold start, the second what the case takes.  This process blinds and judges; no truth leaves it.
"""

from __future__ import annotations

import math
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from copfuse import console, frozen
from copfuse.errors import CopfuseError
from copfuse.frozen import Case
from copfuse.judging import Judged, judged
from copfuse.tables import Picture

AGAIN = 0.25  # share of the limit up to which a fresh process does its first case twice
STARTING = 60.0  # s that a process may take until it has imported its entrant
COMPILING = 180.0  # s that an entrant may take before anything is timed, where its kernels are not compiled yet
KERNELS = ("estimation", "pairwise", "forecast")  # modules that this package's own entrants need, as does the forecast of others' impacts
NOT_RUN = "not run"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
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


def size(case: Case) -> int:
    """About how much work a case is."""
    return len(case.detections)


class Board:
    """What is left to do, and what is done; shared by the slots, each of which is a thread with one process."""

    def __init__(
        self, names: Sequence[str], cases: Sequence[Case], limit: float, total: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        order = sorted(range(len(cases)), key=lambda k: size(cases[k]))
        self.left = {name: list(order) for name in names}
        self.names, self.cases, self.limit, self.over = names, cases, limit, False
        self.seconds = {name: total.get(name, math.inf) for name in names}  # of CPU that are left
        self.blinded = [pickle.dumps(frozen.blind(case), protocol=5) for case in cases]
        self.scans = [len(np.unique(np.stack([c.detections.time, c.detections.sensor]), axis=1).T) for c in cases]
        self.lock, self.done, self.children = threading.Lock(), queue.Queue[Any](), set[Child]()

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


class Child:
    """A process of one entrant (`contestant.serve`)."""

    def __init__(self, name: str) -> None:
        self.name, self.begun, self.late, self.deaf = name, time.perf_counter(), False, False
        self.ready = False  # its entrant is imported
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
        if not self.ready and self.hear(STARTING) is None:
            return None
        self.ready = True
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
        """How a process that gave no answer came to its end, or why it was killed."""
        if self.late and not self.ready:
            return f"failed: its module was not imported within {STARTING:g} s"
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


def run(board: Board, jobs: int, progress: Progress) -> tuple[list[Result], bool]:
    """All results in order, and whether Ctrl-C came."""
    names, cases = board.names, board.cases
    total, made = len(names) * len(cases), dict[tuple[str, str], Result]()
    threads = [threading.Thread(target=_slot, args=(board,), daemon=True) for _ in range(min(jobs, total))]
    stopped = False
    try:
        _compile(board, lambda: progress(0, total, "compiling the kernels once, a minute or so"))
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


def _compile(board: Board, say: Callable[[], object]) -> None:
    """Where kernels are not in the cache, let entrants do the lightest case once, untimed, until they are; ``say`` so before."""
    needed = (*KERNELS, *(name for name in ("jpda",) if name in board.names))
    least = min(range(len(board.cases)), key=lambda k: size(board.cases[k]))
    for name in [name for name in board.names if ":" not in name]:
        if console.compiled(needed):
            return
        say()
        child = Child(name)
        board.children.add(child)
        try:
            child.ask(board.blinded[least], COMPILING)
        finally:
            board.children.discard(child)
            child.close()


def _slot(board: Board) -> None:
    """Take case after case until none is left; a process stays as long as its entrant has cases and it lives."""
    child: Child | None = None
    mine = ""
    try:
        while (job := board.next(mine)) is not None:
            if child and (job[0] != mine or child.late or child.deaf):
                _close(board, child)
                child = None
            mine, number = job
            if board.seconds[mine] <= 0.0:
                board.done.put(Result(mine, board.cases[number].name, "stopped: the time that it has for all cases is used up"))
                continue
            fresh = child is None
            if child is None:
                child = Child(mine)
                with board.lock:
                    if board.over:  # since the job was taken
                        return
                    board.children.add(child)
            result = _result(board, child, number, fresh)
            if board.over:
                return
            board.done.put(result)
    except BaseException as error:
        board.done.put(error)
    finally:
        if child:
            _close(board, child)


def _close(board: Board, child: Child) -> None:
    with board.lock:
        board.children.discard(child)
    child.close()


def _result(board: Board, child: Child, number: int, fresh: bool) -> Result:
    """One entrant on one case, asked and judged."""
    name, case = child.name, board.cases[number]
    first = child.ask(board.blinded[number], board.limit)
    cold = time.perf_counter() - child.begun if fresh else float("nan")
    board.seconds[name] -= board.limit if first is None else first.get("cpu_s", 0.0)
    if first is None:
        return Result(name, case.name, f"stopped after {board.limit:g} s" if child.late and child.ready else child.why())
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
