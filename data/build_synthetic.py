"""Make the frozen synthetic scenarios again, or check that the code still makes the same.

    python data/build_synthetic.py            # writes data/synthetic/one-flight/, data/synthetic/two-flights/
    python data/build_synthetic.py --check    # makes them in memory and compares

Each folder is a saved `copfuse.study.Run` (six tables and run.json with the provenance, without the times that the
stages took) of the scenario file beside it, seed 7.  The same machine gives the same bytes; another processor's
sine may differ in the last bit, so that the check allows TOLERANCE of each column's size and says which it was.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from copfuse import study

HERE = Path(__file__).resolve().parent / "synthetic"
NAMES = ("one-flight", "two-flights")
SEED = 7
TOLERANCE = 1e-6


def made(name: str) -> study.Run:
    """The run of one synthetic scenario, as it is saved."""
    return replace(study.run(HERE / f"{name}.toml", seed=SEED), seconds={})


def differences(now: study.Run, frozen: study.Run) -> list[str]:
    """One line per column that differs by more than rounding; whole numbers must be equal."""
    found = []
    for verb, table in now.tables().items():
        other = frozen.tables()[verb]
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


def main(arguments: list[str]) -> int:
    """Write or check; the number of scenarios that came out otherwise."""
    wrong = 0
    for name in NAMES:
        now = made(name)
        if arguments == ["--check"]:
            frozen = study.Run.load(HERE / name)
            found = differences(now, frozen)
            same = all(t.uid == frozen.tables()[verb].uid for verb, t in now.tables().items())
            print(f"{name}: " + ("; ".join(found) or ("the same bytes" if same else "the same but for rounding")))
            wrong += bool(found)
        else:
            print(f"{name}: {now.save(HERE / name).relative_to(HERE.parent)}")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
