"""The process that one entrant runs in: blinded cases come in, pictures go out, and what the entrant does to it stays in it.

It is told the entrant's name, and says so when it has found it; then comes case after case, and of each it answers with the picture's
columns, times and memory, or with one sentence on what went wrong.  It imports nothing that an entrant does not, so that its start is
the entrant's own.  Whatever an entrant prints goes nowhere: standard input and output are taken away from it.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

MB = 1e6  # bytes


def serve() -> None:
    """Answer what comes on standard input until it ends."""
    inlet, outlet = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for taken in (0, 1, 2):
        os.dup2(nothing, taken)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        function = _entrant(pickle.load(inlet))
        hello: dict[str, Any] = {}
    except BaseException as error:
        hello = _wrong(error)
    _say(outlet, hello)
    while True:
        try:
            case = pickle.load(inlet)
        except EOFError:
            return
        try:
            reply = hello or run(function, case)
        except BaseException as error:  # sys.exit and Ctrl-C of an entrant's own too
            reply = _wrong(error)
        _say(outlet, reply)


def _say(outlet: Any, reply: dict[str, Any]) -> None:
    pickle.dump(reply, outlet, protocol=5)
    outlet.flush()


def _wrong(error: BaseException) -> dict[str, Any]:
    return {"error": sentence(error), "traceback": traceback.format_exc()}


def _end_with(parent: int) -> None:
    """An entrant that hangs would outlive the benchmark that was killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _entrant(name: str) -> Callable[..., Any]:
    if ":" in name:  # a user's own need not wait for what built-in ones import
        from copfuse.entering import found

        return found(name)
    from copfuse.entrants import entrant

    return entrant(name).function


def run(function: Callable[..., Any], case: bytes) -> dict[str, Any]:
    """The picture's columns that ``function`` makes of a pickled case, with CPU and clock seconds and the peak of memory in MB."""
    detections, scenario = pickle.loads(case)
    gc.collect()
    forget_peak()
    wall, cpu = time.perf_counter(), cpu_seconds()
    made = function(detections, scenario)
    cpu, wall, memory = cpu_seconds() - cpu, time.perf_counter() - wall, peak_mb()
    from copfuse.tables import Picture

    if not isinstance(made, Picture):
        raise TypeError(f"it returned {type(made).__name__}, not a copfuse Picture; entering.picture makes one of plain arrays")
    columns = {column: getattr(made, column) for column in Picture.COLUMNS}
    return {"columns": columns, "cpu_s": cpu, "wall_s": wall, "peak_mb": memory}


def sentence(error: BaseException) -> str:
    """One sentence on what an entrant raised, with the file and line if it is not this package that refuses."""
    text = " ".join(str(error).split())
    if len(text) > 300:
        text = text[:297] + "..."
    kind = type(error).__name__
    if kind == "CopfuseError" or text.startswith("it returned"):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{kind}{f': {text}' if text else ''}{place}"


def cpu_seconds() -> float:
    """CPU seconds of this process, with all its threads and the processes that it has waited for."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def forget_peak() -> None:
    """Let `peak_mb` begin anew, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mb() -> float:
    """The most memory that this process has had, in MB: since `forget_peak` on Linux, else since it began; nan where nobody says."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024.0 / MB
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0) / MB
