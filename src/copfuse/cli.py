"""``copfuse ...``: the verbs on the command line.  What computes or draws is imported inside the command that needs it."""

from __future__ import annotations

import math
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
from copfuse.cli_bench import bench
from copfuse.cli_study import study as studies
from copfuse.cli_views import explain
from copfuse.console import INTERRUPTS, PICTURES, Stages, aligned, check_output, progress, say_compiling, write_csv
from copfuse.errors import CopfuseError

AIRPORT = (39.2, 125.673)  # deg, Pyongyang's, as in the launch record


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="copfuse")
def cli() -> None:
    """One common operating picture of ballistic flights, and what sharing missile-warning data is worth.

    Start with:  copfuse run
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with 0, 2 for bad input (one sentence on stderr) or 130 for Ctrl-C."""
    INTERRUPTS.clear()
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
    except OSError as error:  # a full disk, a folder that went away: the system's own words say which
        click.echo(f"copfuse: {error.strerror or error}: {error.filename or 'a file'}; nothing more is written", err=True)
        sys.exit(2)
    sys.exit(0)


def _interrupted(number: int, _: Any) -> NoReturn:
    """Ctrl-C, remembered as `console.INTERRUPTS` says."""
    INTERRUPTS.append(number)
    raise KeyboardInterrupt


# Commands ------------------------------------------------------------------------------------------------------------


@cli.command(short_help="Fly, sense, track, share, fuse, score and draw one scenario.")
@click.argument("scenario", default="hokkaido-2017")
@click.option("--regime", help="none, tisa, gsomia, realtime, plots, link16, or a .toml file.  [default: the scenario's own]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Names all random draws.")
@click.option(
    "--association", default="gnn", show_default=True, help="Plots to tracks: gnn, one plot a track; jpda, shares; mht, over several scans."
)
@click.option("--register", is_flag=True, help="Estimate the radars' biases from common objects and take them out of plots.")
@click.option("--cues/--no-cues", default=False, help="Let what is shared tell radars where to look.  [default: no-cues]")
@click.option("--out", metavar="FILE", help="The picture: .png, .pdf or .svg.  [default: SCENARIO.png here]")
@click.option("--no-picture", is_flag=True, help="Print only.")
@click.option("--errors", metavar="FILE", help="Also draw the common picture's errors against the bound.")
@click.option("--save", "folder", metavar="FOLDER", help="Also save the six tables there.")
@click.option("--for", "node", metavar="NODE", help="Print, draw and save only what this node has, no truth and nothing else.")
def run(
    scenario: str, regime: str | None, seed: int, association: str, register: bool, cues: bool, out: str | None,
    no_picture: bool, errors: str | None, folder: str | None, node: str | None,
) -> None:  # fmt: skip
    """Fly, detect, track, share, fuse and score one SCENARIO; print who saw what when and draw it.

    SCENARIO is a packaged name (see "copfuse scenarios"), a launch id of the public record, a day, or a .toml file.

    \b
    Examples:
      copfuse run
      copfuse run 2022-11-18-1 --regime none --seed 3
      copfuse run 2024-01-14-1 --regime realtime --cues
      copfuse run my.toml --out picture.svg --save my-run
      copfuse run --for JPN --save what-japan-has
      copfuse run lofted-icbm-2022 --no-picture --errors errors.png
    """
    start = time.perf_counter()
    if no_picture and out:
        raise CopfuseError("--out and --no-picture exclude each other; give one of the two")
    picture = None if out is None else check_output(out, PICTURES)
    if node is not None and errors:
        raise CopfuseError("--errors are against the truth, which no node has; leave --errors or --for out")
    curves = None if errors is None else check_output(errors, PICTURES)
    from copfuse import network, study, tracking, views
    from copfuse import scenario as scenarios

    chosen = scenarios.load(scenario)
    network.regime(regime or chosen.regime)
    tracking.check_association(association)
    if not (no_picture or picture):
        name = chosen.name if node is None else f"view-{node}"
        picture = check_output(re.sub(r"[^\w.-]+", "-", name) + ".png", PICTURES)
    if node is not None:
        views.node_number(node)
    if folder:
        study.check_folder(Path(folder))
    say_compiling("run")
    with Stages(list(study.STAGES)) as stages:
        made = study.run(chosen, regime, seed, progress=stages.next, association=association, register=register, cues=cues)
    shown = made if node is None else views.view(made, node)
    click.echo(str(shown))
    if picture:
        from copfuse import plots

        plots.plot(shown, picture)
        click.echo(f"picture: {picture}")
    if curves:
        from copfuse import plots

        plots.plot(made, curves, what="errors")
        click.echo(f"errors: {curves}")
    if folder:
        click.echo(f"tables: {shown.save(folder)}")
    click.echo(f"{time.perf_counter() - start:.1f} s in all", err=True)


@cli.command()
def scenarios() -> None:
    """List the scenarios that come with the package.

    \b
    Example:
      copfuse scenarios
    """
    from copfuse import scenario

    for name in scenario.scenarios():
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
    from copfuse import coverage_chart

    coverage_chart.plot_coverage(found, picture, radars)
    coverage.write_csv(found, numbers)
    click.echo(_above_the_airport(coverage.coverage(radars, [AIRPORT[0]], [AIRPORT[1]])))
    click.echo(f"map: {picture}\nnumbers: {numbers}")


def _above_the_airport(found: Any) -> str:
    """One line per nation: what its radars see above Pyongyang's airport."""
    lines = [[name, _figure(1e-3 * found.lowest[k, 0, 0]), str(found.sensors[k, 0, 0])] for k, name in enumerate(found.names)]
    title = "Above Pyongyang's airport, the lowest altitude in view (terrain left out, notional laydown):"
    return title + "\n" + aligned(["", "lowest_km", "radars"], lines)


cli.add_command(bench)
cli.add_command(studies)
cli.add_command(explain)
