"""The entrants of the benchmark that are always there, by name: this package's own variants, and rivals.

An entrant is a function ``(detections, scenario) -> Picture``, scored at the hub; see `entering`.  The order is that of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from copfuse import entering, fusion, network, regimes
from copfuse.constants import NATIONS, NODES
from copfuse.entrants_naive import naive
from copfuse.errors import CopfuseError, suggestion
from copfuse.frozen import ARRIVAL_SEED
from copfuse.tables import Detections, Picture, Tracks


@dataclass(frozen=True)
class Entrant:
    """One line of the table: its name, the function, in a sentence what filters, associates and fuses, and what has to be installed."""

    name: str
    function: Callable[[Detections, Any], Picture]
    about: str
    needs: str = ""

    def __call__(self, detections: Detections, scenario: Any) -> Picture:
        return self.function(detections, scenario)


def entrant(name: str) -> Entrant:
    """A built-in entrant by its name, or a user's as ``package.module:function``.

    Raises `CopfuseError` where there is none, or what it needs is not installed.
    """
    if name in ENTRANTS:
        return ENTRANTS[name]
    if ":" not in name:
        raise CopfuseError(f"there is no entrant {name!r}; {suggestion(name, tuple(ENTRANTS))}, or package.module:function of your own")
    function = entering.found(name)
    said = (getattr(function, "__doc__", None) or "").strip().splitlines()
    return Entrant(name, function, said[0] if said else "a user's own")


# All plots at the hub --------------------------------------------------------------------------------------------------


def of_plots(detections: Detections, scenario: Any, association: str = "gnn", registered: bool = False) -> Picture:
    """The hub's picture out of all plots that come to it, by this package's own tracker."""
    about: dict[str, Any] = {} if association == "gnn" else {"association": association}
    if registered:
        about["registration"] = {}  # `fusion` then registers at the hub
    nothing = Tracks.empty(**about)
    looked_at = replace(regimes.regime(scenario.regime), display=NATIONS)  # so that nobody else's picture has to be made
    messages = network.share(nothing, scenario, looked_at, ARRIVAL_SEED, detections)
    return at_hub(fusion.fuse(nothing, messages, scenario, detections), scenario)


def at_hub(made: Picture, scenario: Any) -> Picture:
    """The hub's rows of a picture, until the scenario's end."""
    return made[(made.node == NODES.index("HUB")) & (made.time <= entering.times(scenario)[-1] + entering.ON_GRID)]


def gnn(detections: Detections, scenario: Any) -> Picture:
    """This package as it comes."""
    return of_plots(detections, scenario)


_ALL = (
    Entrant("gnn", gnn, "IMM of five motions, global nearest neighbour, all plots at the hub (this package as it comes)."),
    Entrant("naive", naive, "Constant-velocity Kalman filter, nearest neighbour, all plots with a range at the hub, plain numpy."),
)
ENTRANTS: dict[str, Entrant] = {one.name: one for one in _ALL}
