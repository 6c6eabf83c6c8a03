"""`bench`: entrants over frozen cases, judged; what is asked for is checked here, `arena` does the work, `standings` tells of it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from copfuse import __version__, arena, entrants, frozen, rivals, speed
from copfuse.arena import Progress
from copfuse.contestant import sentence
from copfuse.errors import CopfuseError
from copfuse.frozen import Case
from copfuse.parts import source
from copfuse.standings import Contest

REFERENCE = "gnn"
QUICK = ("gnn", "jpda", "ekf", "split", "naive", "stonesoup-gnn")  # of the built-in entrants, one of each kind
LIMIT, QUICK_LIMIT = 60.0, 20.0  # s on the clock for one case
TOTAL, QUICK_TOTAL = 150.0, 30.0  # s of CPU for all cases of one entrant, so that a whole run takes less than a quarter of an hour
NOTE = "Synthetic flights; sensor, clutter and delay figures are notional, so every number here is too."


def bench(
    entrants: Sequence[Any] | Any = (), cases: Sequence[Any] | Any = (), *, quick: bool = False, limit: float | None = None,
    total: float | None = None, jobs: int = 2, reference: str = REFERENCE, progress: Progress | None = None, command: str = "",
) -> Contest:  # fmt: skip
    """Run entrants over frozen cases and judge them: print the answer, or see `standings` and `contest_page` for files.

    ``entrants``: names of built-in ones, "package.module:function", or functions of modules; none: all built-in ones whose programs are
    installed, with ``quick`` a few.  The ``reference``, against which they are compared, always runs.  ``cases``: names, or
    `frozen.Case`s of your own; none: all, with ``quick`` a few.  ``limit``: seconds on the clock that an entrant has for a case (60;
    quick: 20), ``total``: of CPU after which it begins no other (150; quick: 30), light cases first; the reference always does.
    ``jobs``: processes side by side; what is judged does not depend on it.  ``progress(done, total, what)`` is called as
    results come.

    Raises `CopfuseError` for unknown names.  Ctrl-C ends it with what is done (``stopped``).
    """
    limit, total = _seconds(quick, limit, total)
    if not (isinstance(jobs, int) and jobs >= 1):
        raise CopfuseError(f"jobs = {jobs!r} is no number of processes; give 1 or more")
    names, about, left_out = _entrants(entrants, reference, quick)
    chosen = _cases(cases, quick)
    meta = {
        "machine": speed.machine(), "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "copfuse": __version__, "source": source(),
        "command": command or _call(entrants, cases, quick, limit, total, jobs, reference), "limit_s": limit, "total_s": total,
        "jobs": jobs, "first": min(chosen, key=arena.size).name, "left_out": left_out, "note": NOTE,
    }  # fmt: skip
    begun = time.perf_counter()
    board = arena.Board(names, chosen, limit, {name: math.inf if name == reference else total for name in names})
    results, stopped = arena.run(board, jobs, progress or (lambda *_: None))
    meta["seconds"] = time.perf_counter() - begun
    about |= {case.name: case.title for case in chosen}
    flights = {case.name: _flight(case) for case in chosen}
    return Contest(tuple(names), tuple(flights), reference, tuple(results), about, flights, meta, stopped)


# What is asked for -----------------------------------------------------------------------------------------------------


def _entrants(given: Sequence[Any] | Any, reference: str, quick: bool) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Names in order, what each is, and which built-in ones are left out for want of what."""
    asked = [given] if isinstance(given, str) or callable(given) else list(given)
    names = list(dict.fromkeys(_name(one) for one in asked))
    left_out: dict[str, str] = {}
    if not names:
        for name, one in entrants.ENTRANTS.items():
            if one.needs and not rivals.stonesoup_version():
                left_out[name] = f"{name}, as Stone Soup is not installed: {one.needs}"
            elif name in QUICK or not quick:
                names.append(name)
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


def _seconds(quick: bool, limit: float | None, total: float | None) -> tuple[float, float]:
    """For one case and for all."""
    found = []
    for word, value, usual in (("limit", limit, (LIMIT, QUICK_LIMIT)), ("total", total, (TOTAL, QUICK_TOTAL))):
        found.append(usual[quick] if value is None else float(value))
        if not found[-1] > 0.0:
            raise CopfuseError(f"{word} = {found[-1]:g} s gives no time; give more than 0")
    return found[0], found[1]


def _cases(cases: Sequence[Any] | Any, quick: bool) -> list[Case]:
    given = [cases] if isinstance(cases, str | Case) else list(cases) or list(frozen.quick() if quick else frozen.names())
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


def _call(entrants: Any, cases: Any, quick: bool, limit: float, total: float, jobs: int, reference: str) -> str:
    """The call, as text."""
    asked = [entrants] if callable(entrants) or isinstance(entrants, str) else entrants
    told = [f"entrants={[_name(one) for one in asked]!r}"] if asked else []
    told += [f"cases={[getattr(c, 'name', c) for c in ([cases] if isinstance(cases, str | Case) else cases)]!r}"] if cases else []
    told += ["quick=True"] if quick else []
    told += [f"limit={limit:g}"] if limit != (LIMIT, QUICK_LIMIT)[quick] else []
    told += [f"total={total:g}"] if total != (TOTAL, QUICK_TOTAL)[quick] else []
    told += [f"jobs={jobs}"] if jobs != 2 else []
    told += [f"reference={reference!r}"] if reference != REFERENCE else []
    return f"cf.bench({', '.join(told)})"
