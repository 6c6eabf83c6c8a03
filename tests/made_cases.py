"""A small case like the frozen ones, quick to make and to track."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import copfuse as cf
from copfuse import freezing, frozen, sensors, simulate

LAYDOWN = {s.name: s for s in sensors.laydown("northeast-asia")}


def two_rockets(regime: str, duration: float | None, step: float, revisit: float) -> frozen.Case:
    """Two rockets half a minute apart as two nations' radars see them every ``revisit`` s, with false plots."""
    two = (replace(LAYDOWN[n], search_revisit=revisit, track_revisit=revisit, availability=1.0) for n in ("KR-GP-CB", "JP-FPS5-SD"))
    scenario = replace(cf.load("salvo-2-2019"), sensors=tuple(two), regime=regime, clutter=3.0, picture_step=step)
    truth = simulate.fly(scenario)
    scenario = replace(scenario, duration=duration or math.ceil(truth.time.max() / 60.0) * 60.0)
    plots = simulate.detect(truth, scenario, seed=1)
    arrived = freezing.arrivals(plots, scenario)
    limit = freezing.limits(truth, plots, arrived, scenario)
    return frozen.Case("two rockets", "", "", scenario, freezing.thinned(truth), plots, arrived, limit, {})


def plots_to_hub(path: Path, **links: str) -> str:
    """The name of a regime, written to ``path``, that brings the hub each nation's plots over a link of these lines of TOML."""
    said = (f'[[link]]\nsource = "{nation}"\ntarget = "HUB"\npayload = "plot"\n{lines}\n' for nation, lines in links.items())
    path.write_text('title = "made by a test"\n' + "".join(said))
    return str(path)
