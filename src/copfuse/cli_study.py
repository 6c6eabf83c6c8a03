"""``copfuse study ...``: many launches, regimes and seeds on the command line."""

from __future__ import annotations

import math
import shlex
import sys
import time
from typing import Any

import click

from copfuse import cli_reproductions
from copfuse.console import INTERRUPTS, say_compiling


@click.group(short_help="Studies over many flights: how much earlier, longer, better under each regime.")
def study() -> None:
    """Studies over many flights, reproducible by one command.

    \b
    Example:
      copfuse study earlier-detection --since 2022 --class IRBM --seeds 3 --out irbm-study
    """


@study.command("earlier-detection", short_help="Every launch of the record under every sharing regime and seed.")
@click.option("--since", metavar="DATE", help="Only launches from this year or date on.")
@click.option("--class", "missile_class", metavar="CLASS", help="Only this class: SRBM, MRBM, IRBM, ICBM, SLBM, SLV or unknown.")
@click.option("--launch", "ids", metavar="ID", multiple=True, help="Only this launch of the record; may be given again.")
@click.option("--regimes", default="none,tisa,gsomia,realtime,plots", show_default=True, help="Sharing regimes or files, parted by commas.")
@click.option("--seeds", type=click.IntRange(min=1), default=20, show_default=True, help="Runs of each launch and regime, seeds 0, 1, ...")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1: one per core.  The rows do not depend on it.")
@click.option("--without", metavar="SENSOR", multiple=True, help="Leave a sensor out; may be given again.")
@click.option("--ships", type=click.FloatRange(0.0, 1.0), metavar="SHARE", help="Share of days on which each ship is on station.")
@click.option("--sensors", default="northeast-asia", show_default=True, help="A packaged laydown or a .toml file of sensors.")
@click.option("--cues/--no-cues", default=True, help="Whether what is shared cues radars too.  [default: cues]")
@click.option(
    "--clutter", type=click.FloatRange(min=0.0), default=0.0, show_default=True, help="Scale of false plots; with 1 it takes longer."
)
@click.option("--bounds", is_flag=True, help="Also Cramer-Rao bounds at 60, 120 and 300 s; slower.")
@click.option(
    "--out", metavar="FOLDER", default="earlier-detection", show_default=True, help="Keeps every finished flight; then the table."
)
def earlier_detection(
    since: str | None, missile_class: str | None, ids: tuple[str, ...], regimes: str, seeds: int, jobs: int, without: tuple[str, ...],
    ships: float | None, sensors: str, cues: bool, clutter: float, bounds: bool, out: str,
) -> None:  # fmt: skip
    """When each nation is warned, holds and loses every launch of the public record, under each sharing regime.

    Each launch is flown under each seed and seen by all regimes on the same random numbers.  FOLDER/study.csv has the tidy
    rows; what is printed are paired differences with 95 % intervals.  Every finished flight is kept in FOLDER/parts: stop
    the study when you like, and give the same command to go on.

    \b
    Examples:
      copfuse study earlier-detection --since 2016
      copfuse study earlier-detection --class ICBM --regimes none,realtime --seeds 5 --out icbm
      copfuse study earlier-detection --without JP-FPS5-SD --ships 0.5 --out half-the-ships
    """
    from copfuse import flights, sweep

    record = flights.launches()
    chosen: Any = [record.find(one) for one in ids] if ids else record
    if missile_class is not None:
        chosen = flights.LaunchRecord(tuple(chosen)).select(missile_class=missile_class)
    names = [name.strip() for name in regimes.split(",") if name.strip()]
    plan = sweep.plan(chosen, names, seeds, since, without, sensors, ships, cues, bounds, clutter)
    command = shlex.join(["copfuse", *sys.argv[1:]]) if sys.argv[1:2] == ["study"] else "copfuse study earlier-detection"
    say_compiling("run")
    with Bar(len(plan.meta["launches"]), seeds, len(names), out) as bar:
        made = sweep.run(plan, jobs, out, bar.show, command)
    made.report(f"{out}/report.html", figures=out)  # finds the intervals that are printed, while others draw
    click.echo(str(made))
    click.echo(f"rows: {out}/study.csv\nreport: {out}/report.html\nfigures: PNG files beside it")


cli_reproductions.add_to(study)


class Bar:
    """What a study says while it runs: what it goes on from, how long it takes, a bar on a terminal; and how to go on after Ctrl-C."""

    def __init__(self, launches: int, seeds: int, regimes: int, folder: str) -> None:
        self.about = f"launches x seeds x regimes = {launches} x {seeds} x {regimes}"
        self.folder, self.told = folder, False
        self.bar: Any = None
        self.last: Any = None
        self.begin = time.perf_counter()

    def __enter__(self) -> Bar:
        return self

    def show(self, now: Any) -> None:
        """Take in a `sweep.Progress`."""
        if INTERRUPTS:
            raise KeyboardInterrupt
        if self.last is None:
            if now.kept:
                click.echo(f"copfuse: {now.kept} of {now.total} flights are in {self.folder} already", err=True)
            from tqdm import tqdm

            self.bar = tqdm(total=now.total, initial=now.kept, desc="flights", disable=not sys.stderr.isatty(), leave=False,
                            bar_format="{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {postfix}")  # fmt: skip
        self.last = now
        if not self.told and not math.isnan(now.left) and now.done < now.total:
            self._say(f"copfuse: {self.about}; flights to go: {now.total - now.done}, about {duration(now.left)} (processes: {now.jobs})")
            self.told = True
        self.bar.n = now.done
        self.bar.set_postfix_str("" if math.isnan(now.left) else f"{duration(now.left)} left")

    def _say(self, text: str) -> None:
        self.bar.clear()
        click.echo(text, err=True)

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self.bar is not None:
            self.bar.close()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self.last is not None:
            done = f"{self.last.done} of {self.last.total} flights are done and kept in {self.folder}"
            click.echo(f"\ncopfuse: {done}; the same command goes on from there", err=True)
        elif kind is None and self.last is not None:
            click.echo(f"copfuse: {duration(time.perf_counter() - self.begin)} in all", err=True)


def duration(seconds: float) -> str:
    """ "45 s", "12 min", "3 h 20 min"."""
    if seconds < 100.0:
        return f"{max(seconds, 1.0):.0f} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
