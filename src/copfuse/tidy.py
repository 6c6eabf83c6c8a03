"""A study's table: the tidy rows with what they come from, on disk as ``study.csv`` and ``study.json``."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from copfuse import intervals, report
from copfuse.earliness import COLUMNS
from copfuse.errors import CopfuseError
from copfuse.tables import replacing


@dataclass(frozen=True, eq=False)
class Study:
    """The tidy rows of a study, one per launch, object, regime, seed and node, and where they come from.

    ``columns``: arrays of one length by the names in `earliness.COLUMNS`; text, whole numbers, or floats with nan for never.
    ``meta``: version, laydown, regimes, seeds, options, launches that were not flown and why, command, note.
    """

    columns: dict[str, np.ndarray]
    meta: dict[str, Any]

    def __len__(self) -> int:
        return len(self.columns["launch"])

    def __getitem__(self, mask: Any) -> Study:
        """The chosen rows (a mask, a slice or row numbers)."""
        return Study({name: column[mask] for name, column in self.columns.items()}, self.meta)

    def __repr__(self) -> str:
        return f"Study({len(self)} rows)"

    @cached_property
    def compare(self) -> intervals.Compare:
        """`intervals.difference` of this study, each found once: by measure, regime, baseline, node and class."""
        return intervals.comparing(self.columns)

    def __str__(self) -> str:
        return intervals.summary(self.columns, self.meta, self.compare)

    def save(self, folder: str | Path) -> Path:
        """Write ``study.csv`` and ``study.json`` into ``folder``, each whole or not at all.  Raises `CopfuseError` where that cannot be."""
        folder = Path(folder)
        try:
            folder.mkdir(exist_ok=True)
            with replacing(folder / "study.csv") as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows(zip(*(_texts(column) for column in self.columns.values()), strict=True))
            with replacing(folder / "study.json") as temporary:
                Path(temporary).write_text(json.dumps(self.meta, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise CopfuseError(f"cannot save to {str(folder)!r}: {error.strerror}") from None
        return folder

    def report(self, path: str | Path, figures: str | Path | None = None) -> Path:
        """Everything in one HTML file that opens from disk: tables with intervals, figures, notes, provenance (`report.write`).

        With ``figures`` the figures are in that folder too, as PNG.
        """
        return report.write(self, path, figures)

    @classmethod
    def load(cls, folder: str | Path) -> Study:
        """Read what `save` wrote.  Raises `CopfuseError` where something is missing or damaged."""
        folder = Path(folder)
        try:
            meta = json.loads((folder / "study.json").read_text(encoding="utf-8"))
            with open(folder / "study.csv", newline="", encoding="utf-8") as file:
                heads, *lines = csv.reader(file)
        except FileNotFoundError as error:
            raise CopfuseError(f"there is no finished study in {str(folder)!r}: {Path(error.filename).name} is missing") from None
        except (OSError, ValueError) as error:
            raise CopfuseError(f"{str(folder)!r} does not hold a study saved by copfuse ({error})") from None
        if heads != list(COLUMNS):
            wrong = next((f"{h!r} where {c!r} belongs" for h, c in zip(heads, COLUMNS, strict=False) if h != c), f"{len(heads)} columns")
            raise CopfuseError(f"{str(folder / 'study.csv')!r} has {wrong}; its columns are those of another version")
        try:
            return cls(table(dict(zip(COLUMNS, zip(*lines, strict=True), strict=True)) if lines else {}), meta)
        except ValueError as error:
            raise CopfuseError(f"{str(folder / 'study.csv')!r} is damaged ({error})") from None


def table(columns: dict[str, Any]) -> dict[str, np.ndarray]:
    """Columns of values or of texts (as in a CSV, "" for nan) as arrays of their types; no columns: no rows."""
    out: dict[str, np.ndarray] = {}
    for name, (kind, _) in COLUMNS.items():
        values = columns.get(name, ())
        if kind is float:
            values = [float(v) if v != "" else np.nan for v in values]
        out[name] = np.array(values if kind is not int else [int(v) for v in values], dtype=np.str_ if kind is str else kind)
    return out


def _texts(column: np.ndarray) -> list[str]:
    """As a CSV has them: the shortest text that reads back the same, "" for nan."""
    if column.dtype.kind != "f":
        return [str(v) for v in column.tolist()]
    return ["" if v != v else repr(v) for v in column.tolist()]
