"""Stone Soup's multi-target trackers beside this package's on the same plots of a salvo, by GOSPA.

    python benchmarks/stonesoup_trackers.py salvo-2-2019 --seeds 3         # needs pip install 'copfuse[bench]'
    python benchmarks/stonesoup_trackers.py salvo-2-2019 --tune            # the rival's settings on seed 100

Both get every radar's range, azimuth and elevation (no infrared, no range rate, which only this package would use), each plot's own
sigma, unbiased sensors, one tracker for all nations, no delay; both are asked on the same time grid where everything is.
This package: its tracker of all plots and the picture made of it.  Stone Soup: `MultiTargetTracker` with `GNNWith2DAssignment` over
Mahalanobis distances, and `MultiTargetMixtureTracker` with `JPDAwithLBP` given each sensor's true clutter density (or `MOST`); both with
an extended Kalman filter, `CartesianToElevationBearingRange` where each radar stands in one Cartesian frame, its analytic derivative
(its own takes steps too small for such distances), `MultiMeasurementInitiator` of three plots and deletion by time since the last
update.  A k-d tree of each scan's plots, in space, keeps what is far from its judgement, as its own tree does where all plots are of
one linear model.  Motion is its `ConstantAcceleration` or `Singer` in three axes, or free fall in this package's gravity with white
acceleration; which, how noisy, and how wide the gate, is what ``--tune`` finds best, by GOSPA, on a seed that is not measured.
"""

from __future__ import annotations

import itertools
import time as clock
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import click
import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from scipy.stats import chi2
from stonesoup.base import Property
from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
from stonesoup.dataassociator.probability import JPDAwithLBP
from stonesoup.deleter.time import UpdateTimeDeleter
from stonesoup.hypothesiser.distance import DistanceHypothesiser
from stonesoup.hypothesiser.probability import PDAHypothesiser
from stonesoup.initiator.simple import MultiMeasurementInitiator
from stonesoup.measures import Mahalanobis
from stonesoup.models.base import TimeVariantModel
from stonesoup.models.measurement.nonlinear import CartesianToElevationBearingRange
from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantAcceleration, Singer
from stonesoup.models.transition.nonlinear import GaussianTransitionModel
from stonesoup.predictor.kalman import ExtendedKalmanPredictor
from stonesoup.tracker.simple import MultiTargetMixtureTracker, MultiTargetTracker
from stonesoup.types.angle import Bearing, Elevation
from stonesoup.types.array import CovarianceMatrix, StateVector
from stonesoup.types.detection import Detection
from stonesoup.types.state import GaussianState
from stonesoup.updater.kalman import ExtendedKalmanUpdater
from tqdm import tqdm

from copfuse import customary, fusion, metrics, network, scanning, simulate, tracking
from copfuse.constants import NODES
from copfuse.measures import Gospa, gospa_of
from copfuse.scenario import Scenario, load
from copfuse.tables import Detections, Truth

EPOCH = datetime(2026, 1, 1)
MAPPING = (0, 3, 6)  # where x, y, z stand among x, vx, ax, y, ...
PRIOR = (1000.0, 20.0)  # m/s, m/s^2: standard deviations of what one plot does not tell
HOLDING = 6.0  # s without a plot after which a track of less than three plots is dropped
NEAR = 6.0  # standard deviations of track and plot within which the k-d tree leaves a plot to be judged
DETECTED = 0.9
MOST = 1e10  # likelihood over clutter density: above some 1e15 its belief propagation subtracts to zero and divides by it (1.9.1)


@dataclass(frozen=True)
class Settings:
    """How a rival is set: "CA", "Singer" or "fall"; its noise density (m^2/s^5, (m/s^2)^2, m^2/s^3); gate in standard deviations; s
    without a plot after which a track is dropped."""

    motion: str = "CA"
    noise: float = 2.0
    gate: float = 7.0
    drop: float = 10.0


GRID = (
    *(Settings("CA", q, g) for q, g in itertools.product((2.0, 20.0, 200.0), (5.0, 7.0))),
    *(Settings("Singer", a, 5.0) for a in (200.0, 1000.0)),
    *(Settings("fall", q, g) for q, g in itertools.product((50.0, 500.0), (5.0, 7.0))),
)  # fmt: skip


# Its parts -----------------------------------------------------------------------------------------------------------


class Radar(CartesianToElevationBearingRange):
    """Its own model with an analytic derivative."""

    origin: np.ndarray = Property(doc="Where the radar stands (3,)")
    axes: np.ndarray = Property(doc="Its east, north and up (3, 3)")

    def jacobian(self, state: Any, **_: Any) -> np.ndarray:
        """Elevation, bearing and range by the state (3, 9)."""
        x = np.asarray(state.state_vector, float)[list(MAPPING), 0]
        distance, azimuth, elevation = customary.slope(np.r_[x, 0.0, 0.0, 0.0], self.origin, self.axes)[:, :3]
        H = np.zeros((3, 9))
        H[:, MAPPING] = elevation, -azimuth, distance
        return H


class Fall(GaussianTransitionModel, TimeVariantModel):
    """Free fall in the Earth-fixed frame with white acceleration; the three accelerations of the state stand idle."""

    density: float = Property(doc="m^2/s^3")
    order = (0, 3, 6, 1, 4, 7)  # of position and velocity

    @property
    def ndim_state(self) -> int:
        return 9

    def function(self, state: Any, noise: bool = False, time_interval: Any = None, **_: Any) -> StateVector:
        x = np.asarray(state.state_vector, float)[:, 0].copy()
        x[list(self.order)] = customary.stages(x[list(self.order)], time_interval.total_seconds())[1]
        return StateVector(x)

    def jacobian(self, state: Any, time_interval: Any = None, **_: Any) -> np.ndarray:
        x = np.asarray(state.state_vector, float)[list(self.order), 0]
        h = time_interval.total_seconds()
        F = np.eye(9)
        F[np.ix_(self.order, self.order)] = customary.transition(customary.stages(x, h)[0], h)
        return F

    def covar(self, time_interval: Any = None, **_: Any) -> CovarianceMatrix:
        h, Q = time_interval.total_seconds(), np.zeros((9, 9))
        Q[np.ix_(self.order, self.order)] = self.density * np.kron([[h**3 / 3.0, h**2 / 2.0], [h**2 / 2.0, h]], np.eye(3))
        return CovarianceMatrix(Q)


class _Nearby:
    """A hypothesiser that judges only what a k-d tree of the scan's plots finds near the prediction."""

    scan: Any = None  # the last set of plots, its list and tree

    def hypothesise(self, track: Any, detections: Any, timestamp: Any, **kwargs: Any) -> Any:
        plots = list(detections)
        if plots:
            if self.scan is None or self.scan[0] is not detections:
                self.scan = detections, plots, KDTree(np.array([p.metadata["place"] for p in plots])), plots[0].metadata
            _, plots, tree, about = self.scan
            if hasattr(self, "clutter_spatial_density"):
                self.clutter_spatial_density = about["clutter"]
            prediction = self.predictor.predict(track, timestamp=timestamp)  # type: ignore[attr-defined]
            rows = list(MAPPING)
            at = np.asarray(prediction.state_vector, float)[rows, 0]
            blur = np.sqrt(np.diag(prediction.covar)[rows].sum()) + about["blur"]
            plots = [plots[k] for k in tree.query_ball_point(at, NEAR * blur)]
        return super().hypothesise(track, set(plots), timestamp, **kwargs)  # type: ignore[misc]


class Near(_Nearby, DistanceHypothesiser):
    """By distance."""


class Likely(_Nearby, PDAHypothesiser):
    """By probability."""


def motion(settings: Settings) -> Any:
    """The transition model of nine components."""
    if settings.motion == "fall":
        return Fall(density=settings.noise)
    one = ConstantAcceleration(settings.noise) if settings.motion == "CA" else Singer(settings.noise, 1.0 / 60.0)
    return CombinedLinearGaussianTransitionModel([one] * 3)


def tracker(rule: str, settings: Settings, scans: Any) -> Any:
    """Its tracker by "GNN" or "JPDA" over an iterator of (time, set of plots)."""
    predictor, updater = ExtendedKalmanPredictor(motion(settings)), ExtendedKalmanUpdater(None)
    near = Near(predictor, updater, Mahalanobis(), missed_distance=settings.gate)
    gnn = GNNWith2DAssignment(near)
    start = GaussianState(np.zeros((9, 1)), np.diag(np.tile([0.0, PRIOR[0] ** 2, PRIOR[1] ** 2], 3)), timestamp=EPOCH)
    holding = UpdateTimeDeleter(timedelta(seconds=HOLDING))
    initiator = MultiMeasurementInitiator(start, holding, gnn, updater, min_points=3)
    deleter = UpdateTimeDeleter(timedelta(seconds=settings.drop))
    if rule == "GNN":
        return MultiTargetTracker(initiator, deleter, scans, gnn, updater)
    likely = Likely(predictor, updater, 1e-12, prob_detect=DETECTED, prob_gate=chi2.cdf(settings.gate**2, 3))
    return MultiTargetMixtureTracker(initiator, deleter, scans, JPDAwithLBP(likely), updater)


# Plots there and estimates back --------------------------------------------------------------------------------------


def radar_plots(detections: Detections, scenario: Scenario) -> Detections:
    """Range, azimuth and elevation of the radars alone."""
    kept = detections[np.isfinite(detections.z[:, :3]).all(axis=1)]
    z, sigma = kept.z.copy(), kept.sigma.copy()
    z[:, 3] = sigma[:, 3] = np.nan
    return replace(kept, z=z, sigma=sigma)


def soup_scans(detections: Detections, scenario: Scenario) -> Iterator[tuple[datetime, set[Detection]]]:
    """The plots as Stone Soup's detections, scan by scan, in the Earth-fixed frame."""
    for scan in scanning.scans(detections, scenario, "HUB"):
        turned = Rotation.from_matrix(scan.axes).as_euler("XYZ") * (-1.0, 1.0, -1.0)  # its signs of roll, pitch and yaw
        at = EPOCH + timedelta(seconds=scan.time)
        blur = np.hypot(scan.sigma[:, 0], scan.z[:, 0] * np.hypot(scan.sigma[:, 1], scan.sigma[:, 2])).max()
        peak = (2.0 * np.pi) ** -1.5 / np.prod(scan.sigma[:, :3], axis=1).min()  # no likelihood is higher
        clutter = max(float(np.exp(scan.log_density)), peak / MOST)
        plots = set()
        for (distance, azimuth, elevation), sigma in zip(scan.z[:, :3], scan.sigma[:, :3], strict=True):
            model = Radar(
                ndim_state=9, mapping=MAPPING, noise_covar=CovarianceMatrix(np.diag(sigma[[2, 1, 0]] ** 2)),
                translation_offset=StateVector(scan.origin), rotation_offset=StateVector(turned), origin=scan.origin, axes=scan.axes,
            )  # fmt: skip
            seen = StateVector([Elevation(elevation), Bearing(0.5 * np.pi - azimuth), distance])  # its bearings start in the east
            level = np.cos(elevation) * np.array([np.sin(azimuth), np.cos(azimuth), np.tan(elevation)])
            about = {"place": scan.origin + distance * level @ scan.axes, "blur": blur, "clutter": clutter}
            plots.add(Detection(seen, timestamp=at, measurement_model=model, metadata=about))
        yield at, plots


def soup(detections: Detections, scenario: Scenario, rule: str, settings: Settings, times: np.ndarray) -> list[np.ndarray]:
    """Where Stone Soup's confirmed tracks are, (n, 3) Earth-fixed, at each of the rising ``times``, from the plots until then."""
    found: list[np.ndarray] = []
    one = tracker(rule, settings, soup_scans(detections, scenario))
    alive: list[tuple[Any, Any]] = []  # tracks and their newest states: the trackers change them in place
    predictor = ExtendedKalmanPredictor(motion(settings))

    def look(until: float) -> None:
        while len(found) < len(times) and times[len(found)] < until:
            at = EPOCH + timedelta(seconds=float(times[len(found)]))
            seen = [s for s, last in alive if at - last <= timedelta(seconds=settings.drop)]
            moved = [predictor.predict(s, timestamp=at) if at > s.timestamp else s for s in seen]
            found.append(np.array([np.asarray(s.state_vector, float)[list(MAPPING), 0] for s in moved]).reshape(-1, 3))

    last: dict[str, datetime] = {}
    for now, tracks in one:
        look((now - EPOCH).total_seconds())
        for t in tracks:
            if getattr(t.state, "hypothesis", None):
                last[t.id] = now
        alive = [(t.state, last.get(t.id, now)) for t in tracks]
    look(np.inf)
    return found


def ours(detections: Detections, scenario: Scenario, association: str, times: np.ndarray) -> list[np.ndarray]:
    """Where this package's system tracks at a node that has every plot at once are, (n, 3) Earth-fixed, at each of ``times``."""
    at_once = network.Regime("plots", "every plot at once", tuple(
        network.Link(nation, "HUB", "plot", (1e-9, 1e-9, 1e-9), 0.0, 1.0, 20.0, 0.0) for nation in NODES[:3]
    ), display=NODES[:3])  # fmt: skip
    nothing = tracking.track(detections[:0], scenario, association=association)
    messages = network.share(nothing, scenario, at_once, detections=detections)
    picture = fusion.fuse(nothing, messages, scenario, detections)
    picture = picture[picture.node == NODES.index("HUB")]
    return [picture.x[np.abs(picture.time - t) < 1e-6, :3] for t in times]


# Against the truth ---------------------------------------------------------------------------------------------------


def judged(found: list[np.ndarray], truth: Truth, times: np.ndarray) -> list[Gospa]:
    """GOSPA (cut-off 10 km, power 2) at each time."""
    where = metrics.true_states(truth, times)[:, :, :3]
    made = []
    for x, y in zip(where, found, strict=True):
        up = x[np.isfinite(x[:, 0])]
        made.append(gospa_of(np.linalg.norm(up[:, None] - y[None], axis=2), metrics.GOSPA_CUTOFF, metrics.GOSPA_ORDER))
    return made


@dataclass(frozen=True)
class Contest:
    """Per contestant GOSPA (n_times,) with its parts (n_times, 3) and tracks (n_times,), over the same seed; seconds it took."""

    gospa: dict[str, np.ndarray]
    parts: dict[str, np.ndarray]
    seconds: dict[str, float]
    settled: np.ndarray  # (n_times,) every object aloft has had a confirmed track of every contestant once


def contest(name: str, seed: int, rivals: dict[str, tuple[str, Settings]], mine: Sequence[str] = ("gnn", "jpda")) -> Contest:
    """One seed of a packaged scenario, all contestants."""
    scenario = replace(load(name), bias=0.0)
    truth = simulate.fly(scenario)
    detections = radar_plots(simulate.detect(truth, scenario, seed=seed), scenario)
    times = np.arange(0.0, truth.time.max(), scenario.picture_step)
    gospa, parts, seconds = {}, {}, {}
    settled = np.ones(len(times), bool)
    up = np.isfinite(metrics.true_states(truth, times)[:, :, 0]).sum(axis=1)
    for title in (*(f"copfuse {m}" for m in mine), *rivals):
        begin = clock.process_time()
        if title in rivals:
            found = soup(detections, scenario, *rivals[title], times)
        else:
            found = ours(detections, scenario, title.split()[1], times)
        seconds[title] = clock.process_time() - begin
        made = judged(found, truth, times)
        gospa[title] = np.array([g.value for g in made])
        parts[title] = np.array([(g.localisation, g.missed, g.false) for g in made])
        full = np.array([len(g.pairs) for g in made]) >= up
        settled &= np.maximum.accumulate(full & (up == up.max()))
    return Contest(gospa, parts, seconds, settled)


def told(name: str, made: list[Contest]) -> str:
    """The table: means, parts, and how often this package's GNN is no worse than each rival, per time, in the mean over seeds."""
    first = next(iter(made[0].gospa))
    out = [f"{name}, {len(made)} seeds, radars without bias, all plots at once: GOSPA km (cut-off 10 km, power 2)"]
    out.append(f"{'tracker':<22}{'mean':>8}{'settled':>9}   {'of its square: off, missed, false':<36}{'CPU s':>8}  {first} is no worse")
    settled = np.all([c.settled for c in made], axis=0)
    mean = {k: np.mean([c.gospa[k] for c in made], axis=0) for k in made[0].gospa}
    for title, value in mean.items():
        parts = np.mean([c.parts[title] for c in made], axis=(0, 1))
        shares = ", ".join(f"{100 * p / max(parts.sum(), 1e-9):.0f} %" for p in parts)
        seconds = np.mean([c.seconds[title] for c in made])
        late = f"{1e-3 * value[settled].mean():.3f}" if settled.any() else "-"
        worse = mean[first][settled] <= value[settled]
        verdict = (
            "" if title == first else f"{'yes' if mean[first].mean() <= value.mean() else 'NO'}, at {worse.sum()} of {len(worse)} times"
        )
        out.append(f"{title:<22}{1e-3 * value.mean():>8.3f}{late:>9}   {shares:<36}{seconds:>8.1f}  {verdict}")
    out.append("Settled: from when every contestant has held every object at once.")
    return "\n".join(out)


BEST = {"Stone Soup GNN": ("GNN", Settings()), "Stone Soup JPDA": ("JPDA", Settings())}


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--tune", is_flag=True, help="Try settings of the rivals on seed 100 instead.")
def main(names: tuple[str, ...], seeds: int, first: int, tune: bool) -> None:
    """Stone Soup's trackers and this package's on the same plots."""
    for name in names:
        if tune:
            for rule, settings in tqdm(list(itertools.product(("GNN", "JPDA"), GRID)), desc=name, disable=None):
                made = contest(name, 100, {"rival": (rule, settings)}, ())
                click.echo(f"{1e-3 * made.gospa['rival'].mean():.3f} km {made.seconds['rival']:6.1f} s  {rule} {settings}")
            continue
        made = [contest(name, seed, BEST) for seed in tqdm(range(first, first + seeds), desc=name, disable=None)]
        click.echo(told(name, made) + "\n")


if __name__ == "__main__":
    main()
