"""``copfuse study NAME`` for every packaged reproduction of a published event."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from copfuse.console import INTERRUPTS, progress, say_compiling

_HELP = """{title}.

What was published and what is simulated side by side: text, tables, figure, and one HTML file.

\b
Examples:
  copfuse study {name}
  copfuse study {name} --seeds 2 --out quick
"""


def names() -> list[str]:
    """The packaged studies, without reading them."""
    folder = resources.files("copfuse") / "data" / "studies"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def add_to(group: click.Group) -> None:
    """Give the group a command per packaged study."""
    for name in names():
        group.add_command(_command(name))


def _title(name: str) -> str:
    """A study's title, from the first line of its file, so that --help reads nothing else."""
    folder = resources.files("copfuse") / "data" / "studies"
    first = (folder / f"{name}.toml").read_text("utf-8").partition("\n")[0]
    return first.partition("=")[2].strip().strip('"')


def _command(name: str) -> click.Command:
    title = _title(name)

    @click.command(name, short_help=title, help=_HELP.format(title=title, name=name))
    @click.option("--seeds", type=click.IntRange(min=1), help="Runs of each launch.  [default: the study's]")
    @click.option("--launch", "launches", multiple=True, metavar="ID", help="Only this launch of the study; may be given again.")
    @click.option("--regime", "regimes", multiple=True, metavar="NAME", help="Only this regime of the study; may be given again.")
    @click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1: one per core.  The result does not depend on it.")
    @click.option("--out", metavar="FOLDER", default=name, show_default=True, help="Gets report.html, the figure and findings.csv.")
    def command(seeds: int | None, launches: tuple[str, ...], regimes: tuple[str, ...], jobs: int, out: str) -> None:
        run(name, seeds, launches or None, regimes or None, jobs, out)

    return command


def run(name: str, seeds: int | None, launches: tuple[str, ...] | None, regimes: tuple[str, ...] | None, jobs: int, out: str) -> None:
    """Say how long it takes, simulate, print and save."""
    from copfuse import reproductions

    parts, seconds = reproductions.cost(name, seeds, launches, regimes)
    folder = reproductions.check_folder(Path(out))
    click.echo(f"copfuse: {name}: {parts} runs, about {_duration(seconds)} of CPU time", err=True)
    say_compiling("run")
    bar = progress(list(range(parts)), name)

    def tell(what: str) -> None:
        if INTERRUPTS:
            raise KeyboardInterrupt
        bar.set_postfix_str(what)
        bar.update(1)

    try:
        made = reproductions.reproduce(name, seeds, launches, regimes, jobs, tell)
    finally:
        bar.close()
    click.echo(str(made))
    made.save(folder)
    click.echo(f"report: {folder}/report.html\nfigure: {folder}/{name}.png\nfindings: {folder}/findings.csv")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100.0 else f"{seconds / 60.0:.0f} min"
