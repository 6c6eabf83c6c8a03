"""Slow checks of what is promised, each a command that prints a table with a verdict per line.

    python benchmarks/verify.py reconstruct hokkaido-2017 --seeds 30

``reconstruct``: whether `copfuse.reconstruct` stands on the Cramer-Rao bound where a recursive filter cannot; see `wholeflights`.

    python benchmarks/verify.py salvos salvo-2-2019 --seeds 5

``salvos``: what a picture of many near-simultaneous objects is worth; `salvos` in this folder says how it is measured.

    python benchmarks/verify.py consistency hokkaido-2017 --seeds 24 --out charts
    python benchmarks/verify.py consistency record --seeds 40 --out charts

``consistency``: whether errors, innovations and ellipses have the distributions that are claimed: `consistent` says what is
sampled, `distributions` how it is judged.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm
from wholeflights import brief, one, told

from copfuse import study
from copfuse.scenario import load


@click.group()
def main() -> None:
    """Slow checks of what is promised."""


@main.command("reconstruct")
@click.argument("names", nargs=-1)
@click.option("--seeds", default=30, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--every", default=1, show_default=True, help="Keep every n-th plot.")
@click.option("--true-plots", is_flag=True, help="Give the fit the missile's plots, instead of leaving it to find them.")
@click.option("--each", is_flag=True, help="Print every seed as it comes.")
def reconstruct_command(names: tuple[str, ...], seeds: int, first: int, jobs: int, every: int, true_plots: bool, each: bool) -> None:
    """Whether a whole-flight fit stands on the smoothed bound, and its intervals hold (default: two scenarios)."""
    for name in names or ("hokkaido-2017", "lofted-icbm-2022"):
        scenario = replace(load(name), bias=0.0)
        with parallel_config("loky", inner_max_num_threads=1):
            made: Any = Parallel(n_jobs=jobs, return_as="generator", batch_size=1)(
                delayed(one)(scenario, seed, not true_plots, every) for seed in range(first, first + seeds)
            )
            results = []
            for result in tqdm(made, total=seeds, desc=name, disable=None):
                results.append(result)
                if each:
                    click.echo(brief(result))
        click.echo(told(name, results) + "\n")


@main.command("salvos")
@click.argument("names", nargs=-1)
@click.option("--seeds", default=3, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--regime", "regimes", multiple=True, help="Only this one; may be given more than once.")
@click.option("--bias/--no-bias", default=True, help="Sensors with the biases of the scenario, or without any.")
def salvos_command(names: tuple[str, ...], seeds: int, first: int, regimes: tuple[str, ...], bias: bool) -> None:
    """SIAP attributes and GOSPA of pictures of salvos, per regime and node, with verdicts (default: all packaged salvos)."""
    import salvos  # beside this file

    for name in names or salvos.NAMES:
        scenario = load(name) if bias else replace(load(name), bias=0.0)
        chosen = regimes or salvos.REGIMES
        with tqdm(total=seeds * len(chosen), desc=name, disable=None) as bar:
            found = salvos.measure(scenario, chosen, range(first, first + seeds), study.run, bar.update)
        click.echo(salvos.table(name + ("" if bias else ", sensors without bias"), found, seeds) + "\n")


@main.command("consistency")
@click.argument("names", nargs=-1)
@click.option("--seeds", type=click.IntRange(min=1), default=24, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--bias/--no-bias", default=False, help="Sensors with biases, of which one lasts a flight: innovations are then not white.")
@click.option("--source", "sources", multiple=True, help="Whose errors: as in accuracy (default: HUB plots, HUB realtime); repeatable.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Draw pictures into this folder, with the text.")
def consistency_command(
    names: tuple[str, ...], seeds: int, first: int, jobs: int, bias: bool, sources: tuple[str, ...], out: Path | None
) -> None:
    """NEES, NIS, whiteness and ellipses against what they claim to be, with a verdict per line; NAMES: scenarios, or "record".

    10 s of CPU a seed.
    """
    import consistency  # beside this file
    import consistency_figures
    import consistent

    from copfuse.accuracy import SOURCES

    for name in sources:
        if name not in SOURCES:
            raise click.BadParameter(f"there is no source {name!r}; there are {', '.join(SOURCES)}", param_hint="--source")
    whose = tuple(SOURCES.index(name) for name in sources or consistent.USUAL)
    for name in names or ("hokkaido-2017",):
        asked = consistent.tasks(name, seeds, first, bias)
        with parallel_config("loky", inner_max_num_threads=1):
            made: Any = Parallel(n_jobs=jobs, return_as="generator", batch_size=1)(
                delayed(consistent.one)(scenario, seed, whose) for scenario, seed in asked
            )
            samples = consistency.Samples.of(list(tqdm(made, total=len(asked), desc=name, disable=None)))
        title = name + (", sensors with biases" if bias else ", sensors without bias")
        lines = consistency.lines(samples)
        told = consistency.text(title, samples, lines)
        click.echo(told + "\n")
        if out:
            out.mkdir(parents=True, exist_ok=True)
            stem = name + ("-bias" if bias else "")
            (out / f"{stem}-consistency.txt").write_text(told + "\n")
            for path in consistency_figures.draw(lines, f"{title}, {samples.seeds} flights", out, stem):
                click.echo(path)


if __name__ == "__main__":
    main()
