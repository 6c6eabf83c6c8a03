"""The entrants of the benchmark that are always there, by name: this package's own variants, and rivals.

An entrant is a function ``(detections, scenario) -> Picture``, scored at the hub; see `entering`.  The order is that of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from copfuse import entering, fusion, network
from copfuse.entrants_fusion import of_tracks, tracklets
from copfuse.entrants_naive import naive
from copfuse.entrants_single import ekf, filterpy, ukf
from copfuse.errors import CopfuseError, suggestion
from copfuse.freezing import ARRIVAL_SEED
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
    messages = network.share(nothing, scenario, seed=ARRIVAL_SEED, detections=detections)
    made = fusion.fuse(nothing, messages, scenario, detections, nodes=("HUB",))
    return made[made.time <= entering.times(scenario)[-1] + entering.ON_GRID]


def gnn(detections: Detections, scenario: Any) -> Picture:
    """This package as it comes."""
    return of_plots(detections, scenario)


def stonesoup(detections: Detections, scenario: Any, rule: str) -> Picture:
    """One of Stone Soup's trackers, "gnn" or "jpda".  Raises `CopfuseError` where Stone Soup is not installed."""
    try:
        from copfuse import entrants_soup
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "stonesoup":
            raise
        raise CopfuseError(f"the entrant stonesoup-{rule} needs Stone Soup: {SOUP}") from None
    made: Picture = getattr(entrants_soup, rule)(detections, scenario)
    return made


SOUP = "pip install 'copfuse[bench]'"
_THEIRS = "extended filter of constant acceleration, radars' plots at the hub, no range rates"
_ALL = (
    Entrant("gnn", gnn, "IMM of five motions, global nearest neighbour, all plots at the hub (this package as it comes)."),
    Entrant("jpda", partial(of_plots, association="jpda"), "IMM, joint integrated probabilistic association, all plots at the hub."),
    Entrant("mht", partial(of_plots, association="mht"), "IMM, multiple hypotheses (trees of plots), all plots at the hub."),
    Entrant("ekf", ekf, "One extended Kalman filter a track (push as a Singer process), association as gnn, all plots at the hub."),
    Entrant("ukf", ukf, "One cubature (unscented) Kalman filter a track, motion as ekf, association as gnn, all plots at the hub."),
    Entrant("registered", partial(of_plots, registered=True), "As gnn, with the radars' biases estimated live from common objects."),
    Entrant("split", of_tracks, "Each nation's IMM and GNN tracks, fused by split covariance intersection (this package's rule)."),
    Entrant("ci", partial(of_tracks, rule="ci"), "The same tracks, fused by covariance intersection."),
    Entrant("ici", partial(of_tracks, rule="ici"), "The same tracks, fused by inverse covariance intersection."),
    Entrant("tracklets", tracklets, "The same tracks, fused by what each has learned since its nation last spoke (tracklets)."),
    Entrant("naive-fusion", partial(of_tracks, rule="independent"), "The same tracks, fused as if their errors were independent."),
    Entrant("naive", naive, "Constant-velocity Kalman filter, nearest neighbour, all plots with a range at the hub, plain numpy."),
    Entrant("filterpy", filterpy, "filterpy's ExtendedKalmanFilter with the motion of ekf, association as gnn, all plots at the hub."),
    Entrant("stonesoup-gnn", partial(stonesoup, rule="gnn"), f"Stone Soup's GNN with 2-D assignment and k-d tree, {_THEIRS}.", SOUP),
    Entrant("stonesoup-jpda", partial(stonesoup, rule="jpda"), f"Stone Soup's JPDA by belief propagation, {_THEIRS}.", SOUP),
)
ENTRANTS: dict[str, Entrant] = {one.name: one for one in _ALL}
