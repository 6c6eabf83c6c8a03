"""``copfuse ...``: the verbs on the command line.  What computes or draws is imported inside the command that needs it."""

from __future__ import annotations

import csv
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from copfuse import __version__
from copfuse.errors import CopfuseError
from copfuse.tables import replacing

PICTURES = (".png", ".pdf", ".svg")
AIRPORT = (39.2, 125.673)  # deg, Pyongyang's, as in the launch record
# Kernels by command
COMPILED = {
    "run": ("estimation", "pairwise", "consider", "flight", "forecast", "ray"), "launches": ("flight",), "coverage": ("ray",),
    "filters": ("estimation", "extended"), "association": ("assignment", "gating", "jpda"),
    "raid": ("estimation", "pairwise", "consider", "flight", "forecast"),
}  # fmt: skip
COMPILING = {"run": 20, "launches": 5, "coverage": 3, "filters": 12, "association": 8, "raid": 20}  # s, about, on two cores


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="copfuse")
def cli() -> None:
    """One common operating picture of ballistic flights, and what sharing missile-warning data is worth.

    Start with:  copfuse run
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with 0, 2 for bad input (one sentence on stderr) or 130 for Ctrl-C."""
    _INTERRUPTS.clear()
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    try:
        cli.main(arguments, prog_name="copfuse", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("copfuse: stopped; no file is half-written", err=True)
        sys.exit(130)
    except CopfuseError as error:
        click.echo(f"copfuse: {error}", err=True)
        sys.exit(2)
    sys.exit(0)


_INTERRUPTS: list[int] = []


def _interrupted(number: int, _: Any) -> NoReturn:
    """Ctrl-C.  The compiler's callbacks may swallow the exception, so it is remembered too, and raised at the next stage."""
    _INTERRUPTS.append(number)
    raise KeyboardInterrupt


# Commands ------------------------------------------------------------------------------------------------------------


@cli.command(short_help="Fly, sense, track, share, fuse, score and draw one scenario.")
@click.argument("scenario", default="hokkaido-2017")
@click.option("--regime", help="Sharing arrangement: none, realtime or plots.  [default: the scenario's own]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Names all random draws.")
@click.option(
    "--association", default="gnn", show_default=True, help="Plots to tracks: gnn, one plot a track; jpda, shares; mht, over several scans."
)
@click.option("--register", is_flag=True, help="Estimate the radars' biases from common objects and take them out of plots.")
@click.option("--out", metavar="FILE", help="The picture: .png, .pdf or .svg.  [default: SCENARIO.png here]")
@click.option("--no-picture", is_flag=True, help="Print only.")
@click.option("--errors", metavar="FILE", help="Also draw the common picture's errors against the bound.")
@click.option("--save", "folder", metavar="FOLDER", help="Also save the six tables there.")
def run(
    scenario: str, regime: str | None, seed: int, association: str, register: bool, out: str | None, no_picture: bool,
    errors: str | None, folder: str | None,
) -> None:  # fmt: skip
    """Fly, detect, track, share, fuse and score one SCENARIO; print who saw what when and draw it.

    SCENARIO is a packaged name (see "copfuse scenarios"), a launch id of the public record, a day, or a .toml file.

    \b
    Examples:
      copfuse run
      copfuse run 2022-11-18-1 --regime none --seed 3
      copfuse run my.toml --out picture.svg --save my-run
      copfuse run lofted-icbm-2022 --no-picture --errors errors.png
    """
    start = time.perf_counter()
    if no_picture and out:
        raise CopfuseError("--out and --no-picture exclude each other; give one of the two")
    picture = None if out is None else check_output(out, PICTURES)
    curves = None if errors is None else check_output(errors, PICTURES)
    from copfuse import network, study, tracking
    from copfuse import scenario as scenarios

    chosen = scenarios.load(scenario)
    network.regime(regime or chosen.regime)
    tracking.check_association(association)
    if not (no_picture or picture):
        picture = check_output(re.sub(r"[^\w.-]+", "-", chosen.name) + ".png", PICTURES)
    if folder:
        study.check_folder(Path(folder))
    say_compiling("run")
    with _Stages(list(study.STAGES)) as stages:
        made = study.run(chosen, regime, seed, progress=stages.next, association=association, register=register)
    click.echo(str(made))
    if picture:
        from copfuse import plots

        plots.plot(made, picture)
        click.echo(f"picture: {picture}")
    if curves:
        from copfuse import plots

        plots.plot(made, curves, what="errors")
        click.echo(f"errors: {curves}")
    if folder:
        click.echo(f"tables: {made.save(folder)}")
    click.echo(f"{time.perf_counter() - start:.1f} s in all", err=True)


@cli.command()
def scenarios() -> None:
    """List the scenarios that come with the package.

    \b
    Example:
      copfuse scenarios
    """
    from copfuse import scenario

    for name in scenario.packaged():
        click.echo(f"{name:<18} {scenario.load(name).title}")


@cli.command(short_help="List the public launch record, or fly it.")
@click.option("--year", type=click.IntRange(1984, 2100), help="Only this year.")
@click.option("--class", "missile_class", metavar="CLASS", help="Only this class: SRBM, MRBM, IRBM, ICBM, SLBM, SLV or unknown.")
@click.option("--site", metavar="TEXT", help="Only sites whose name has this in it.")
@click.option("--fly", is_flag=True, help="Fit a flight to each row; print its misfit and flight time.")
@click.option("--csv", "table", metavar="FILE", help="Write the lines as CSV instead of printing them.")
def launches(year: int | None, missile_class: str | None, site: str | None, fly: bool, table: str | None) -> None:
    """List launches of the public record, and with --fly the flights reconstructed from them.

    \b
    Examples:
      copfuse launches --year 2017 --class IRBM
      copfuse launches --site Sohae --fly
      copfuse launches --fly --csv flights.csv
    """
    path = check_output(table, (".csv",)) if table else None
    from copfuse import flights as record

    rows = record.launches().select(year, missile_class, site)
    if fly:
        say_compiling("launches")
    heads = [*_RECORD, *(_FLOWN if fly else {})]
    lines = []
    for row in progress(list(rows), "flying") if fly else rows:
        cells = [write(row) for write in _RECORD.values()]
        lines.append([*cells, *_fly(record, row)] if fly else cells)
    if path:
        write_csv(path, heads, lines)
        click.echo(f"{path}: {len(lines)} launches")
        return
    click.echo(aligned(heads, lines))
    flown = sum(1 for line in lines if line[-1] in ("", "assumed")) if fly else 0
    click.echo(f"{len(lines)} launches" + (f", {flown} of them flown" if fly else ""))


def _degrees(value: float) -> str:
    return _figure(math.degrees(value), 0)


def _figure(value: float, digits: int = 1) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


_RECORD: dict[str, Callable[[Any], str]] = {
    "id": lambda r: r.id,
    "time_kst": lambda r: r.time_kst,
    "missile": lambda r: r.missile,
    "class": lambda r: r.missile_class,
    "site": lambda r: r.site,
    "azimuth_deg": lambda r: _degrees(r.azimuth),
    "range_km": lambda r: _figure(1e-3 * r.range, 0),
    "apogee_km": lambda r: _figure(1e-3 * r.apogee, 0),
}
_FLOWN = ("flown_as", "range_misfit_km", "apogee_misfit_km", "flight_time_s", "note")


def _fly(record: Any, row: Any) -> list[str]:
    """How a row flies: shape, misfits, flight time, and a note that says "assumed" or why it cannot be flown."""
    try:
        flight = record.fit(row)
    except CopfuseError as error:
        return ["-", "", "", "", str(error).removeprefix(f"launch {row.id} ")]
    misfit = [f"{1e-3 * value:+.2f}" for value in flight.misfit]
    return [flight.shape, *misfit, f"{flight.flight_time:.0f}", "assumed" if flight.assumed else ""]


@cli.command(name="coverage", short_help="Map the lowest altitude that each nation's radars see.")
@click.option("--sensors", default="northeast-asia", show_default=True, help="A packaged laydown or a .toml file of sensors.")
@click.option("--grid", type=click.IntRange(2, 2000), default=200, show_default=True, help="Places north-south and east-west.")
@click.option("--out", metavar="FILE", default="coverage.png", show_default=True, help="The map: .png, .pdf or .svg.")
@click.option("--csv", "table", metavar="FILE", help="The numbers.  [default: the map's name with .csv]")
def coverage_(sensors: str, grid: int, out: str, table: str | None) -> None:
    """Map the lowest altitude at which each nation's radars, and all together, see a target.

    \b
    Examples:
      copfuse coverage
      copfuse coverage --grid 400 --out map.svg --csv map.csv
    """
    picture = check_output(out, PICTURES)
    numbers = check_output(table or str(picture.with_suffix(".csv")), (".csv",))
    from copfuse import coverage, laydowns

    radars = laydowns.laydown(sensors)
    say_compiling("coverage")
    found = coverage.coverage(radars, *coverage.region(grid))
    from copfuse import plots

    plots.plot_coverage(found, picture, radars)
    coverage.write_csv(found, numbers)
    click.echo(_above_the_airport(coverage.coverage(radars, [AIRPORT[0]], [AIRPORT[1]])))
    click.echo(f"map: {picture}\nnumbers: {numbers}")


def _above_the_airport(found: Any) -> str:
    """One line per nation: what its radars see above Pyongyang's airport."""
    lines = [[name, _figure(1e-3 * found.lowest[k, 0, 0]), str(found.sensors[k, 0, 0])] for k, name in enumerate(found.names)]
    title = "Above Pyongyang's airport, the lowest altitude in view (terrain left out, notional laydown):"
    return title + "\n" + aligned(["", "lowest_km", "radars"], lines)


@cli.group(short_help="Measure filters, association and tracks: speed and accuracy.")
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
    from copfuse import bench as benchmark

    say_compiling("filters")
    benchmark.filters(seconds, path, cold, click.echo, 1_000_000 if robust else 0)


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
            made += verdicts.accuracy(one, scale, seeds, jobs, pictures, folder, click.echo, _counted)
            if path:
                write_csv(path, verdicts.HEADS, verdicts.rows(made))
    for scale in ((0.0, 1.0) if bias else (0.0,)) if record else ():
        made += verdicts.accuracy_of_the_record(record or 1, scale, jobs, click.echo, _counted)
    if path:
        write_csv(path, verdicts.HEADS, verdicts.rows(made))
    click.echo(verdicts.summary(made))


def _counted(items: Any, total: int) -> Any:
    """``items`` with a bar on stderr where that is a terminal."""
    from tqdm import tqdm

    return tqdm(items, total=total, desc="seeds", disable=not sys.stderr.isatty(), leave=False)


# Parts ---------------------------------------------------------------------------------------------------------------


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


def say_compiling(command: str) -> None:
    """One line on stderr where kernels that a command needs are not compiled yet."""
    from copfuse import kernels

    folder = kernels.cache_folder()
    if not all(any(folder.rglob(f"{module}.*.nbi")) for module in COMPILED[command]):
        click.echo(f"copfuse: compiling the kernels once, about {COMPILING[command]} s ...", err=True)


def progress(items: list[Any], what: str) -> Any:
    """``items`` with a bar on stderr where that is a terminal."""
    from tqdm import tqdm

    return tqdm(items, desc=what, disable=not sys.stderr.isatty(), leave=False)


class _Stages:
    """A bar over the verbs of a run, on a terminal only."""

    def __init__(self, names: Sequence[str]) -> None:
        self.bar = progress(list(names), "")

    def __enter__(self) -> _Stages:
        return self

    def next(self, name: str) -> None:
        """The verb that starts now."""
        if _INTERRUPTS:
            raise KeyboardInterrupt
        self.bar.set_description_str(f"{name:<6}")
        self.bar.update(1)

    def __exit__(self, *error: Any) -> None:
        self.bar.close()
        if _INTERRUPTS and error[0] is None:
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
