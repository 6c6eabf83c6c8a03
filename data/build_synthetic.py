"""Make the frozen synthetic scenarios again, or check that the code still makes the same.

    python data/build_synthetic.py                  # writes all of data/synthetic/, and the packaged checksums
    python data/build_synthetic.py --check          # makes them in memory and compares
    python data/build_synthetic.py --check srbm     # these only (checksums are written where all are)

Two kinds lie there.  ``one-flight/`` and ``two-flights/`` are saved `copfuse.study.Run`s (six tables and run.json with the provenance,
without the times that the stages took) of the scenario file beside them, seed 7.  The others are the cases of `copfuse.frozen`: truth,
plots and bounds of the packaged scenario files.  The same machine gives the same bytes; another processor's sine may differ in the last
bit, so that the check allows TOLERANCE of each column's size and says which it was.
"""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import copfuse
from copfuse import frozen, study
from copfuse.errors import CopfuseError, suggestion
from copfuse.tables import Table

HERE = Path(__file__).resolve().parent / "synthetic"
NAMES = ("one-flight", "two-flights")
SEED = 7
TOLERANCE = 1e-6
COMMAND = "python data/build_synthetic.py"


def made(name: str) -> study.Run:
    """The run of one synthetic scenario, as it is saved."""
    return replace(study.run(HERE / f"{name}.toml", seed=SEED), seconds={})


def differences(now: study.Run | frozen.Case, old: study.Run | frozen.Case) -> list[str]:
    """One line per column that differs by more than rounding; whole numbers must be equal."""
    found = []
    for verb, table in now.tables().items():
        other = old.tables()[verb]
        for column in table.COLUMNS:
            a, b = getattr(table, column), getattr(other, column)
            if a.shape != b.shape:
                found.append(f"{verb}: {column} has {len(a)} rows, frozen {len(b)}")
            elif a.dtype.kind != "f" and not np.array_equal(a, b):
                found.append(f"{verb}: {column} differs")
            elif a.dtype.kind == "f" and not np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE * _size(b), equal_nan=True):
                found.append(f"{verb}: {column} differs by up to {np.nanmax(np.abs(a - b)):.3g}")
    return found


def _size(column: np.ndarray) -> float:
    finite = np.abs(column[np.isfinite(column)])
    return float(np.median(finite)) if finite.size else 0.0


def _same(now: dict[str, Table], old: dict[str, Table]) -> bool:
    return all(t.uid == old[name].uid for name, t in now.items())


def check(name: str) -> bool:
    """Make one, print how it compares, and say whether it is the frozen one but for rounding."""
    try:
        now, old = (frozen.made(name), frozen.load(name, HERE)) if name in frozen.names() else (made(name), study.Run.load(HERE / name))
        found = differences(now, old)
        said = "; ".join(found) or ("the same bytes" if _same(now.tables(), old.tables()) else "the same but for rounding")
    except CopfuseError as error:
        found = [str(error)]
        said = found[0]
    print(f"{name}: {said}", flush=True)
    return not found


def write(name: str, sums: dict[str, frozen.Columns]) -> None:
    """Make one and save it; of a case the checksums go to ``sums``."""
    if name in frozen.names():
        case = frozen.made(name)
        sums[name] = frozen.summary(case)
        home = frozen.save(case, HERE)
    else:
        home = made(name).save(HERE / name)
    print(f"{name}: {home.relative_to(HERE.parent)}", flush=True)


def record(sums: dict[str, frozen.Columns]) -> None:
    """Write the packaged checksums, and with what they were made."""
    machine = f"{platform.machine()} {platform.system()}"
    about = {"copfuse": copfuse.__version__, "numpy": np.__version__, "python": platform.python_version(), "machine": machine}
    text = json.dumps({"made": {**about, "command": COMMAND, "arrival_seed": frozen.ARRIVAL_SEED}, "cases": sums}, indent=1)
    frozen.checksums().write_text(text + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write or check; the number of scenarios that came out otherwise."""
    known = (*NAMES, *frozen.names())
    chosen = [name for name in arguments if name != "--check"] or list(known)
    for name in chosen:
        if name not in known:
            print(f"there is no frozen scenario {name!r}; {suggestion(name, known)}", file=sys.stderr)
            return 2
    if "--check" in arguments:
        return sum(not check(name) for name in chosen)
    sums: dict[str, frozen.Columns] = {}
    for name in chosen:
        write(name, sums)
    if len(sums) == len(frozen.names()):
        record(sums)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
