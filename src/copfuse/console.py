"""What every command of the command line shares: checked outputs, tables, bars, Ctrl-C."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from copfuse.errors import CopfuseError
from copfuse.tables import replacing

PICTURES = (".png", ".pdf", ".svg")
# Kernels by command
COMPILED = {
    "run": ("estimation", "pairwise", "consider", "flight", "forecast", "ray"), "launches": ("flight",), "coverage": ("ray",),
    "filters": ("estimation", "extended"), "association": ("assignment", "gating", "jpda"),
    "raid": ("estimation", "pairwise", "consider", "flight", "forecast"),
}  # fmt: skip
COMPILING = {"run": 15, "launches": 4, "coverage": 3, "filters": 8, "association": 6, "raid": 15}  # s, about, on two cores
# Ctrl-C: the compiler's callbacks may swallow the exception, so it is remembered too, and raised at the next stage
INTERRUPTS: list[int] = []


def check_output(text: str, suffixes: Sequence[str]) -> Path:
    """``text`` as a path that can be written, found out before the work starts.  Raises `CopfuseError` otherwise."""
    path = Path(text)
    if path.suffix.lower() not in suffixes:
        raise CopfuseError(f"cannot write {text!r}: its name must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise CopfuseError(f"cannot write {text!r}: it is a folder")
    if not path.parent.is_dir():
        raise CopfuseError(f"cannot write {text!r}: there is no folder {str(path.parent)!r}")
    if not os.access(path if path.exists() else path.parent, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise CopfuseError(f"cannot write {text!r}: no permission to write there")
    return path


def compiled(modules: Sequence[str]) -> bool:
    """Whether kernels of all these modules are in the cache."""
    from copfuse import kernels

    folder = kernels.cache_folder()
    return all(any(folder.rglob(f"{module}.*.nbi")) for module in modules)


def say_compiling(command: str) -> None:
    """One line on stderr where kernels that a command needs are not compiled yet."""
    if not compiled(COMPILED[command]):
        click.echo(f"copfuse: compiling the kernels once, about {COMPILING[command]} s ...", err=True)


def progress(items: list[Any], what: str) -> Any:
    """``items`` with a bar on stderr where that is a terminal."""
    from tqdm import tqdm

    return tqdm(items, desc=what, disable=not sys.stderr.isatty(), leave=False)


class Stages:
    """A bar over the verbs of a run, on a terminal only."""

    def __init__(self, names: Sequence[str]) -> None:
        self.bar = progress(list(names), "")

    def __enter__(self) -> Stages:
        return self

    def next(self, name: str) -> None:
        """The verb that starts now."""
        if INTERRUPTS:
            raise KeyboardInterrupt
        self.bar.set_description_str(f"{name:<6}")
        self.bar.update(1)

    def __exit__(self, *error: Any) -> None:
        self.bar.close()
        if INTERRUPTS and error[0] is None:
            raise KeyboardInterrupt


def aligned(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A plain table: text to the left, numbers to the right."""
    widths = [max(len(head), *(len(line[k]) for line in lines), 0) for k, head in enumerate(heads)]
    right = [all(re.fullmatch(r"[-+.\d]*", line[k]) for line in lines) for k in range(len(heads))]
    cells = [heads, *lines]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip() for line in cells
    )


def write_csv(path: Path, heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Write ``path`` whole or not at all."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(lines)


def counted(items: Any, total: int) -> Any:
    """``items`` with a bar on stderr where that is a terminal."""
    from tqdm import tqdm

    return tqdm(items, total=total, desc="seeds", disable=not sys.stderr.isatty(), leave=False)
