"""The frozen cases: flights, plots and bounds that every tracker is measured on, the same for everybody.

A case is a scenario file with what `simulate` makes of it under a stated seed: the truth (thinned), labelled plots, and the posterior
Cramer-Rao bound of each missile.  It lies in ``data/synthetic/<name>/`` of a checkout; where that is absent it is made again in memory.
Either way it is held against the packaged checksums.  An entrant gets what `blind` leaves: plots without labels, a scenario without
launches.  Nothing hides a case from those who look for it here: it is frozen so that results can be compared, not so that none cheats.

All is synthetic and every sensor figure *notional*.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from copfuse import __version__, scenario, simulate
from copfuse.errors import CopfuseError, suggestion
from copfuse.freezing import ARRIVAL_SEED, Limit, limits, thinned
from copfuse.freezing import arrivals as arrivals
from copfuse.freezing import times as times
from copfuse.scenario import Scenario
from copfuse.tables import Detections, Table, Truth

CASES = {
    "srbm": 1, "mrbm": 2, "irbm": 3, "slbm": 4, "lofted-icbm": 5, "pull-up": 6, "glide": 7, "boost-failure": 8, "separation": 2,
    "salvo-10": 9, "raid-100": 10, "biased": 2, "clutter": 2, "delayed": 2, "outage": 2, "recorded": 11,
}  # fmt: skip
"""The names in the order of the table, each with the seed of its sensors' noise: cases of one seed and flight differ in one thing only."""
QUICK = ("srbm", "pull-up")
MINUTE = 60.0  # s: a case lasts whole minutes, so that its end tells little of the impact
KNOWN = ("sensors", "scenario", "schedule", "absent")  # what `Detections.meta` may say to an entrant: nothing that truth or noise made
ROUNDING = 1e-7  # relative: by how much sums over a column may differ where another processor or library rounds otherwise
TABLES: dict[str, type[Table]] = {"truth": Truth, "detections": Detections, "limit": Limit}
SYNTHETIC = Path(__file__).resolve().parents[2] / "data" / "synthetic"  # of a checkout


@dataclass(frozen=True, eq=False)
class Case:
    """A frozen case: what was flown, what the sensors reported (labelled), when each plot is at the hub, and how well it could be known."""

    name: str
    title: str
    about: str  # what it tests
    scenario: Scenario
    truth: Truth
    detections: Detections
    arrived: np.ndarray  # (n,) s at which each plot is at the hub, nan: never
    limit: Limit
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        missiles = sum(about["kind"] == "missile" for about in self.truth.meta["objects"])
        return f"Case({self.name}: {missiles} missile{'s'[: missiles - 1]}, {len(self.detections)} plots, {self.scenario.duration:g} s)"

    def tables(self) -> dict[str, Table]:
        """The tables that are frozen, by name."""
        return {"truth": self.truth, "detections": self.detections, "limit": self.limit}


def names() -> tuple[str, ...]:
    """The names of the cases, in the order of the table."""
    return tuple(CASES)


def quick() -> tuple[str, ...]:
    """The names of the few cases that stand for all where time is short."""
    return QUICK


def path(name: str) -> Path:
    """A case's scenario file, which ``copfuse run`` takes too.  Raises `CopfuseError` where there is no such case."""
    if name not in CASES:
        raise CopfuseError(f"there is no frozen case {name!r}; {suggestion(name, CASES)}")
    return Path(str(resources.files("copfuse") / "data" / "frozen" / f"{name}.toml"))


def blind(case: Case) -> tuple[Detections, Scenario]:
    """What an entrant gets: the plots without labels, and the scenario without launches and without words about them."""
    plots = case.detections
    columns = {name: getattr(plots, name) for name in plots.COLUMNS} | {"object": np.full(len(plots), -1)}
    meta = {key: plots.meta[key] for key in KNOWN}
    return Detections(**columns, meta=meta), replace(case.scenario, launches=(), title="", description="")


# Made, saved, loaded ----------------------------------------------------------------------------------------------------


def made(name: str) -> Case:
    """The case as the code makes it now, whatever is frozen.  Raises `CopfuseError` for a name that is not there."""
    about = scenario.load(path(name))
    truth = simulate.fly(about)
    about = _to_the_end(about, truth)
    detections = simulate.detect(truth, about, seed=CASES[name])
    arrived = arrivals(detections, about)
    limit = limits(truth, detections, arrived, about)
    about_now = {
        "copfuse": __version__,
        "numpy": np.__version__,
        "seed": CASES[name],
        "arrival_seed": ARRIVAL_SEED,
        "from": "made in memory",
    }
    return Case(name, about.title, about.description, about, thinned(truth), detections, arrived, limit, about_now)


def save(case: Case, folder: str | Path) -> Path:
    """Write a case's tables into ``folder/<name>/``, from where `load` takes them.  Raises `CopfuseError` where that cannot be."""
    home = Path(folder) / case.name
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CopfuseError(f"cannot write {str(home)!r}: {error.strerror}") from None
    for name, table in case.tables().items():
        table.save(home / f"{name}.npz")
    return home


def load(name: str, folder: str | Path | None = None) -> Case:
    """A frozen case by name, out of ``folder/<name>/`` (default: the checkout's data/synthetic; without a checkout: made again).

    ``provenance`` says from where it came, and that it is the frozen one, byte for byte or but for rounding.  Raises `CopfuseError`
    for a name that is not there, for missing or damaged files, and for a case that is not the frozen one.
    """
    about, home = scenario.load(path(name)), Path(folder or SYNTHETIC) / name
    if folder is None and not home.is_dir():
        case = made(name)
    else:
        tables: dict[str, Any] = {key: kind.load(home / f"{key}.npz") for key, kind in TABLES.items()}
        about = _to_the_end(about, tables["truth"])
        arrived = arrivals(tables["detections"], about)
        case = Case(name, about.title, about.description, about, arrived=arrived, provenance={"from": str(home)}, **tables)
    now, then = summary(case), recorded(name)
    wrong = differences(now, then)
    if wrong:
        whose = "made here by copfuse " + __version__ if case.provenance["from"] == "made in memory" else f"in {str(home)!r}"
        raise CopfuseError(
            f"the case {name!r} {whose} is not the frozen one ({'; '.join(wrong[:3])}): take the files of one version of copfuse, "
            "or make them again with python data/build_synthetic.py"
        )
    agrees = "byte for byte" if all(now[c]["sha256"] == then[c]["sha256"] for c in then) else "but for rounding"
    return replace(case, provenance={**packaged()["made"], "seed": CASES[name], **case.provenance, "agrees": agrees})


def _to_the_end(about: Scenario, truth: Truth) -> Scenario:
    return replace(about, duration=MINUTE * math.ceil(float(truth.time.max()) / MINUTE))


# Checksums --------------------------------------------------------------------------------------------------------------

Columns = dict[str, dict[str, Any]]  # by "detections.z": rows, sha256 of the bytes, and of floats sums that rounding hardly changes


def summary(case: Case) -> Columns:
    """What names a case's content, column by column, and the arrivals."""
    columns = {f"{key}.{name}": getattr(table, name) for key, table in case.tables().items() for name in table.COLUMNS}
    return {name: _column(values) for name, values in {**columns, "arrived": case.arrived}.items()}


def _column(values: np.ndarray) -> dict[str, Any]:
    told: dict[str, Any] = {"rows": len(values), "sha256": hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()}
    if values.dtype.kind == "f":
        flat = values.ravel()
        weight = 0.5 + np.modf(0.6180339887498949 * np.arange(flat.size))[0]  # so that rows that change places are noticed
        there = np.isfinite(flat)
        told["finite"] = int(there.sum())
        told["sum"], told["size"] = (float((weight[there] * v).sum()) for v in (flat[there], np.abs(flat[there])))
    return told


def differences(now: Columns, then: Columns) -> list[str]:
    """One phrase for each column that differs from the recorded one by more than rounding."""
    wrong = []
    for name, b in then.items():
        a = now[name]
        if a["sha256"] == b["sha256"]:
            continue
        if a["rows"] != b["rows"]:
            wrong.append(f"{name} has {a['rows']} rows, not {b['rows']}")
        elif "sum" not in b or a["finite"] != b["finite"] or abs(a["sum"] - b["sum"]) > ROUNDING * b["size"]:
            wrong.append(f"{name} differs")
    return wrong


def recorded(name: str) -> Columns:
    """The packaged checksums of a case."""
    return packaged()["cases"][name]


def checksums() -> Path:
    """The packaged file with where the cases come from and their checksums; ``data/build_synthetic.py`` writes it."""
    return Path(str(resources.files("copfuse") / "data" / "frozen" / "checksums.json"))


@cache
def packaged() -> dict[str, Any]:
    """What `checksums` holds: ``made``, with which versions and command, and ``cases``, by name the columns as `summary` tells them."""
    return json.loads(checksums().read_text(encoding="utf-8"))
