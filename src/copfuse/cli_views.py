"""``copfuse explain``: where a node's tracks come from, in sentences."""

from __future__ import annotations

import textwrap

import click

from copfuse.console import Stages, say_compiling

WIDTH = 100


@click.command(short_help="Tell where a node's tracks come from.")
@click.argument("run", default="hokkaido-2017")
@click.option("--track", type=click.IntRange(min=0), help="Only this system track.  [default: all]")
@click.option("--node", metavar="NODE", help="Only this node: KOR, JPN, USA or HUB.  [default: all that have a picture]")
@click.option("--at", type=float, multiple=True, metavar="SECONDS", help="Also tell the track's state at this time; may be repeated.")
@click.option("--regime", help="Sharing arrangement of a scenario that is run for this.  [default: the scenario's own]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Names all random draws of such a run.")
def explain(run: str, track: int | None, node: str | None, at: tuple[float, ...], regime: str | None, seed: int) -> None:
    """Tell where the system tracks of RUN come from: who first told of them, what changed, on whom they stood.

    RUN is a folder that "copfuse run --save" wrote (a whole run or one node's view), or a scenario, which is then run.

    \b
    Examples:
      copfuse explain my-run --node JPN --track 0
      copfuse explain my-run --node JPN --at 100 --at 200
      copfuse explain hokkaido-2017 --regime realtime --node JPN
    """
    from copfuse import network, provenance, study, views
    from copfuse import scenario as scenarios

    if node is not None:
        views.node_number(node)
    if provenance.saved(run):
        provenance.same_run(run, regime, seed)
        opened = provenance.opened(run)
    else:
        network.regime(regime or scenarios.load(run).regime)
        say_compiling("run")
        with Stages(list(study.STAGES)) as stages:
            opened = provenance.opened(run, regime, seed, progress=stages.next)
    seen = provenance.views_of(opened, node)
    told = provenance.held(seen, track)
    click.echo(provenance.heading(opened))
    for v, number in told:
        click.echo(f"\n{v.node}, track {number}")
        for said in provenance.sentences(v, number, at):
            click.echo(textwrap.fill(said, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False))
    people = [(v, said) for v in seen for said in provenance.messages_told(v)] if track is None else []
    if people:
        click.echo("\nMessages to people, never fused")
    for _, said in people:
        click.echo(textwrap.fill(said, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False))
    if not told and not people:
        click.echo(f"\nThere is no track in {f'the picture of {node}' if node else 'any picture'}.")
