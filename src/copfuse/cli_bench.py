"""``copfuse bench ...``: speed and accuracy on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from copfuse.console import check_output, counted, say_compiling, write_csv
from copfuse.errors import CopfuseError


@click.group(short_help="Measure filters, association and tracks: speed and accuracy.")
def bench() -> None:
    """Measure filters and association on this machine, and tracks against their bounds.

    \b
    Example:
      copfuse bench filters
    """


@bench.command("filters", short_help="Time one predict + update against filterpy, Stone Soup and C.")
@click.option("--seconds", type=click.FloatRange(min=0.0), default=20.0, show_default=True, help="About how long to measure.")
@click.option("--csv", "table", metavar="FILE", help="Write the lines as CSV too.")
@click.option("--cold", is_flag=True, help="Also time compiling all kernels afresh, and loading them from the cache.")
@click.option("--robust", is_flag=True, help="Also a million steps of the models over any noise: is a covariance ever indefinite?")
def bench_filters(seconds: float, table: str | None, cold: bool, robust: bool) -> None:
    """Time predict + update of this package's filters and of others on the same data, after checking that answers agree.

    \b
    Examples:
      copfuse bench filters
      copfuse bench filters --seconds 60 --csv filters.csv
      copfuse bench filters --cold
      copfuse bench filters --robust
    """
    path = check_output(table, (".csv",)) if table else None
    from copfuse import speed

    say_compiling("filters")
    speed.filters(seconds, path, cold, click.echo, 1_000_000 if robust else 0)


@bench.command("association", short_help="Time a scan of 10 to 10 000 tracks against scipy, lapx and Stone Soup.")
@click.option("--quick", is_flag=True, help="At most 1000 tracks, and Stone Soup with 10 only: under a minute.")
@click.option("--seconds", type=click.FloatRange(min=0.0), default=2.0, show_default=True, help="About how long to measure each size.")
@click.option("--csv", "table", metavar="FILE", help="Write the lines as CSV too.")
def bench_association(quick: bool, seconds: float, table: str | None) -> None:
    """Time gates, assignment and joint probabilities of a scan, after checking that answers agree.

    \b
    Examples:
      copfuse bench association --quick
      copfuse bench association --csv association.csv
    """
    path = check_output(table, (".csv",)) if table else None
    from copfuse import scale

    say_compiling("association")
    scale.association(quick, seconds, path, click.echo)


@bench.command("raid", short_help="Time a raid of 1000 objects over 12 sensors through the whole chain, against real time.")
@click.option("--objects", type=click.IntRange(min=1), default=1000, show_default=True, help="Missiles in the air.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of launches, sensors and links.")
@click.option("--csv", "table", metavar="FILE", help="Write the figures as CSV too.")
def bench_raid(objects: int, seed: int, table: str | None) -> None:
    """Time every verb of a raid, with the memory in use and what is held as time goes on, and say whether targets are reached.

    Slow: 0.2 s of CPU an object, so some four minutes for 1000.

    \b
    Examples:
      copfuse bench raid --objects 100
      copfuse bench raid --csv raid.csv
    """
    path = check_output(table, (".csv",)) if table else None
    from copfuse import raid

    say_compiling("raid")
    raid.bench(objects, seed, path, click.echo)


@bench.command("accuracy", short_help="Errors against the bound, consistency, delays, ellipses: with verdicts.")
@click.argument("scenario", nargs=-1)
@click.option("--seeds", type=click.IntRange(min=1), default=200, show_default=True, help="Runs of each scenario, seeds 0, 1, ...")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for one per core.  The figures do not depend on it.")
@click.option("--bias/--no-bias", default=False, help="Also with the sensor biases of the scenario, which no target is about.")
@click.option("--pictures/--no-pictures", default=True, help="Also what sharing and fusion make of the tracks.")
@click.option("--flights", metavar="FOLDER", help="Also every recorded flight (.csv) of a folder, as if launched from Sohae.")
@click.option("--record", type=click.IntRange(min=1), metavar="N", help="Also every N-th launch of the record, one seed each.")
@click.option("--csv", "table", metavar="FILE", help="Write the figures as CSV too.")
@click.option("--out", metavar="FOLDER", help="Draw errors, NEES and ellipses over time into this folder.")
def bench_accuracy(
    scenario: tuple[str, ...], seeds: int, jobs: int, bias: bool, pictures: bool, flights: str | None, record: int | None,
    table: str | None, out: str | None,
) -> None:  # fmt: skip
    """Measure tracks over many seeds against the posterior Cramer-Rao bound, and say which targets are reached.

    SCENARIO is one or more of what "copfuse run" takes; without it, and without --flights and --record, all packaged
    ones but salvos of ten and more and what sheds debris.
    Slow: 3 to 15 s a seed and scenario on two cores, so all packaged ones at 200 seeds take two to three hours.

    \b
    Examples:
      copfuse bench accuracy hokkaido-2017 --seeds 20
      copfuse bench accuracy glide-2024 --bias --out charts
      copfuse bench accuracy --csv accuracy.csv
    """
    path = check_output(table, (".csv",)) if table else None
    folder = Path(out) if out else None
    if folder and not (folder.is_dir() or (folder.parent.is_dir() and not folder.exists())):
        what = "is a file" if folder.exists() else f"has no parent folder {str(folder.parent)!r}"
        raise CopfuseError(f"cannot draw into {out!r}: it {what}; name a folder, which is made where it is not there yet")
    from copfuse import verdicts

    chosen = verdicts.chosen(scenario, flights, not record)
    say_compiling("run")
    made: list[Any] = []
    for one in chosen:
        for scale in dict.fromkeys((0.0, one.bias) if bias else (0.0,)):
            made += verdicts.accuracy(one, scale, seeds, jobs, pictures, folder, click.echo, counted)
            if path:
                write_csv(path, verdicts.HEADS, verdicts.rows(made))
    for scale in ((0.0, 1.0) if bias else (0.0,)) if record else ():
        made += verdicts.accuracy_of_the_record(record or 1, scale, jobs, click.echo, counted)
    if path:
        write_csv(path, verdicts.HEADS, verdicts.rows(made))
    click.echo(verdicts.summary(made))
