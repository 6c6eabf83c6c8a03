"""The finished units of a study on disk, by which a study that was stopped goes on.

A part is named by a hash of everything that decides it, holds a hash of what is in it, and is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from copfuse import __version__, flights
from copfuse.earliness import COLUMNS
from copfuse.errors import CopfuseError
from copfuse.scenario import Scenario
from copfuse.tables import replacing
from copfuse.units import Made, Unit


@lru_cache(maxsize=1)
def source() -> str:
    """A hash of this package's code and data tables: a part made by other code is not taken for this one's."""
    folder = Path(__file__).parent
    files = sorted([*folder.rglob("*.py"), *folder.glob("data/*.toml"), *folder.glob("data/*.csv")])
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def key(unit: Unit, known: dict[int, str] | None = None) -> str:
    """Thirty-two hexadecimal digits that name a unit by everything that decides its rows.

    ``known`` remembers hashes of the scenarios, sensors and options that units have in common, by their identity.
    """
    known = {} if known is None else known
    shared = []
    kinds: tuple[tuple[Any, Callable[[Any], str]], ...] = ((unit.scenario, _flown), (unit.scenario.sensors, repr), (unit.options, repr))
    for one, said in kinds:
        if id(one) not in known:
            known[id(one)] = hashlib.sha256(said(one).encode()).hexdigest()
        shared.append(known[id(one)])
    facts = [__version__, source(), unit.seed, *shared, list(COLUMNS)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _flown(scenario: Scenario) -> str:
    """A scenario but for its sensors, with its launches' rows of the record or hashes of their files."""
    flown = []
    for launch in scenario.launches:
        flown.append(repr(flights.launches().find(launch.id)) if launch.kind == "record" else "")
        flown.append(hashlib.sha256(Path(launch.path).read_bytes()).hexdigest() if launch.kind == "recorded" else "")
    return repr((replace(scenario, sensors=()), flown))


def write(folder: Path, name: str, made: Made) -> None:
    """Write a unit's part.  Raises `CopfuseError` (from `tables.replacing`) or OSError where that cannot be."""
    body = json.dumps({"rows": made.rows, "reason": made.reason, "seconds": round(made.seconds, 3)}, separators=(",", ":"))
    with replacing(folder / f"{name}.json") as temporary:
        Path(temporary).write_text(f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}\n", encoding="utf-8")


def read(folder: Path, name: str) -> Made | None:
    """A unit's part; None where there is none.  Raises ValueError where it is damaged."""
    try:
        told, body, rest = (folder / f"{name}.json").read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return None
    if rest or hashlib.sha256(body.encode()).hexdigest() != told:
        raise ValueError(f"{name}.json does not hold what was written")
    return Made(**json.loads(body))


class Store:
    """Where finished units are kept: a folder's ``parts``, or nowhere."""

    def __init__(self, folder: str | Path | None, todo: Sequence[Unit]) -> None:
        self.folder = None if folder is None else Path(folder)
        self.total, self.done, self.damaged = len(todo), 0, 0
        if self.folder is not None:
            check_folder(self.folder)
            known: dict[int, str] = {}
            self.names = [key(unit, known) for unit in todo]

    def found(self) -> dict[int, Made]:
        """The units that an earlier study finished; a damaged part counts as none."""
        if self.folder is None:
            return {}
        out = {}
        for i, name in enumerate(self.names):
            try:
                made = read(self.folder / "parts", name)
            except (ValueError, OSError):
                self.damaged += 1
                continue
            if made is not None:
                out[i] = made
        self.done = len(out)
        return out

    def keep(self, i: int, made: Made) -> None:
        if self.folder is not None:
            try:
                write(self.folder / "parts", self.names[i], made)
            except (OSError, CopfuseError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                raise CopfuseError(f"cannot write to {str(self.folder)!r} ({why}); make room there: {self.way_on()}") from None
        self.done += 1

    def way_on(self) -> str:
        """What is done and how to go on."""
        so_far = f"{self.done} of {self.total} flights are done"
        if self.folder is None:
            return f"{so_far} and lost, for no folder was given to keep them in"
        return f"{so_far} and kept in {str(self.folder)!r}; the same command goes on from there"


def check_folder(folder: Path) -> None:
    """Make a study's folder.  Raises `CopfuseError` for one that holds something else or cannot be made."""
    if folder.is_dir() and any(folder.iterdir()) and not ((folder / "parts").is_dir() or (folder / "study.json").is_file()):
        raise CopfuseError(f"cannot keep a study in {str(folder)!r}: it is not empty and holds no study")
    if folder.exists() and not folder.is_dir():
        raise CopfuseError(f"cannot keep a study in {str(folder)!r}: it is a file")
    try:
        folder.mkdir(exist_ok=True)
        (folder / "parts").mkdir(exist_ok=True)
    except OSError as error:
        raise CopfuseError(f"cannot keep a study in {str(folder)!r}: {error.strerror}") from None
