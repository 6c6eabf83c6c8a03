"""``copfuse bench ...``: the benchmark, speed and accuracy on the command line."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from copfuse.console import check_output, counted, say_compiling, write_csv
from copfuse.errors import CopfuseError


@click.group(invoke_without_command=True, short_help="Run trackers over frozen cases and judge them; or measure filters and tracks.")
@click.option("--quick", is_flag=True, help="A few cases and entrants, 20 s each at most: under a minute.")
@click.option(
    "--entrant", "entrants", metavar="NAME", multiple=True, help="A built-in one, or package.module:function; may be given again."
)
@click.option("--case", "cases", metavar="NAME", multiple=True, help="Only this frozen case; repeatable.")
@click.option(
    "--limit",
    type=click.FloatRange(min=0.0, min_open=True),
    metavar="SECONDS",
    help="For one case, on the clock.  [default: 60; quick: 20]",
)
@click.option(
    "--total",
    type=click.FloatRange(min=0.0, min_open=True),
    metavar="SECONDS",
    help="CPU after which an entrant but the reference begins no other case.  [default: 150; quick: 30]",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Processes side by side; what is judged does not depend on it."
)
@click.option("--against", "reference", default="gnn", show_default=True, metavar="NAME", help="The entrant that others are compared with.")
@click.option("--csv", "table", metavar="FILE", help="Also a row per entrant and case, as CSV.")
@click.option("--json", "everything", metavar="FILE", help="Also everything, with missiles and intervals, as JSON.")
@click.option("--html", "--out", "page", metavar="FILE", help="Also a page with tables and figures that opens from a file.")
@click.pass_context
def bench(
    context: click.Context, quick: bool, entrants: tuple[str, ...], cases: tuple[str, ...], limit: float | None, total: float | None,
    jobs: int, reference: str, table: str | None, everything: str | None, page: str | None,
) -> None:  # fmt: skip
    """Run trackers (entrants) over the frozen cases and print how well, how fast, and what is shown against the reference.

    An entrant is a function (detections, scenario) -> Picture, each in a process of its own; the reference always runs.
    One that raises, hangs or answers nonsense costs only its own cells.  Ctrl-C keeps what is done.
    Slow: all of them on all cases take some 12 minutes on two cores; --quick takes half a minute.

    The commands below measure other things: filters and association against other programs, a raid in real time, tracks
    against their bounds over many seeds.

    \b
    Examples:
      copfuse bench --quick
      copfuse bench --html bench.html --csv bench.csv
      copfuse bench --quick --entrant jpda --entrant my_tracker:picture
      copfuse bench --case raid-100 --case clutter --limit 120
      copfuse bench filters
      copfuse bench accuracy hokkaido-2017 --seeds 20
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE for name in context.params):
            raise CopfuseError(f"an option before {context.invoked_subcommand!r} means nothing; write it after, or leave it out")
        return
    _contest(quick, entrants, cases, limit, total, jobs, reference, table, everything, page)


def _contest(
    quick: bool, entrants: tuple[str, ...], cases: tuple[str, ...], limit: float | None, total: float | None, jobs: int, reference: str,
    table: str | None, everything: str | None, page: str | None,
) -> None:  # fmt: skip
    """Run, print, write; what is done is kept where Ctrl-C comes."""
    wanted = {".csv": table, ".json": everything, ".html": page}
    paths = {suffix: check_output(text, (suffix,)) for suffix, text in wanted.items() if text}
    from copfuse import contest, contest_page, standings

    command = shlex.join(["copfuse", *sys.argv[1:]]) if sys.argv[1:2] == ["bench"] else "copfuse bench"
    with Bar() as bar:
        options: dict[str, Any] = {"quick": quick, "limit": limit, "total": total, "jobs": jobs, "reference": reference}
        made = contest.bench(entrants, cases, **options, progress=bar.show, command=command)
    click.echo(str(made))
    write: dict[str, Any] = {".csv": standings.put_csv, ".json": standings.put_json, ".html": contest_page.write}
    for suffix, path in paths.items():
        click.echo(f"written: {write[suffix](made, path)}")
    click.echo(f"{made.meta['seconds']:.0f} s in all", err=True)
    if made.stopped:
        raise click.Abort


class Bar:
    """How many cells are done, and which came last; where there is no terminal, one line that says how many there are."""

    def __enter__(self) -> Bar:
        from tqdm import tqdm

        self.bar = tqdm(total=None, desc="bench", disable=not sys.stderr.isatty(), leave=False)
        return self

    def show(self, done: int, total: int, what: str) -> None:
        """Called by `contest.bench`."""
        if self.bar.disable and self.bar.total is None:
            slow = f"; {what}" if what else ""
            click.echo(f"copfuse bench: {total} cells, each an entrant on a case, some 3 s each on two cores{slow}", err=True)
        self.bar.total = total
        self.bar.set_postfix_str(what, refresh=False)
        self.bar.n = done
        self.bar.refresh()

    def __exit__(self, *_: Any) -> None:
        self.bar.close()


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

    Slow: 0.07 s of CPU an object, so over a minute for 1000.

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
    Slow: .6 to 6 s of a core for a seed and scenario, so all packaged ones at 200 seeds take half an hour on two; it says so first.

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
    click.echo(f"copfuse bench accuracy: {verdicts.said_before(chosen, seeds, jobs, record, 1 + bias)}", err=True)
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
