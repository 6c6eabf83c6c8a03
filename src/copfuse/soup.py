"""What this package adds to Stone Soup's classes: measurement models with derivatives that hold on the Earth's scale, and its matching.

`export` uses it; it needs ``pip install 'copfuse[bench]'``.  A plot of range, azimuth and elevation is Stone Soup's own
`CartesianToElevationBearingRange`, one with range rate its `CartesianToElevationBearingRangeRate`, one of an infrared sensor its
`CartesianToElevationBearing`: function and noise are theirs to rounding.  The first and the last get an analytic derivative, because
Stone Soup 1.9.1 takes differences over 1e-8 m wherever a coordinate is negative, ten roundings of a coordinate of an Earth radius.
Direction cosines u and v need a model of their own, `Face`: Stone Soup's `CartesianToAzimuthElevationRange` has their arc sines,
in which noise that is Gaussian in u and v is not, and it has no range rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation
from stonesoup.base import Property
from stonesoup.dataassociator.base import TwoTrackToTrackAssociator
from stonesoup.models.base import ReversibleModel
from stonesoup.models.measurement.nonlinear import (
    CartesianToElevationBearing,
    CartesianToElevationBearingRange,
    CartesianToElevationBearingRangeRate,
    NonLinearGaussianMeasurement,
)
from stonesoup.types.angle import Bearing, Elevation
from stonesoup.types.array import CovarianceMatrix, StateVector, StateVectors
from stonesoup.types.association import AssociationSet, TimeRangeAssociation
from stonesoup.types.detection import Detection
from stonesoup.types.groundtruth import GroundTruthPath, GroundTruthState
from stonesoup.types.state import GaussianState
from stonesoup.types.time import CompoundTimeRange, TimeRange
from stonesoup.types.track import Track

from copfuse import metrics
from copfuse.constants import NODES
from copfuse.tables import Picture, Truth

__all__ = [
    "Bearing", "CartesianToElevationBearing", "CartesianToElevationBearingRange", "CartesianToElevationBearingRangeRate",
    "CovarianceMatrix", "Detection", "Elevation", "Face", "GaussianState", "GroundTruthPath", "GroundTruthState", "Matching", "Radar",
    "Sight", "StateVector", "Track", "latest", "turned",
]  # fmt: skip

INSTANT = timedelta(microseconds=1)  # Stone Soup knows no range of times of length 0


# Measurement models --------------------------------------------------------------------------------------------------


def turned(axes: np.ndarray) -> np.ndarray:
    """Stone Soup's roll, pitch and yaw (3,) of axes (3, 3): its signs of them."""
    return _turned(np.asarray(axes, float).tobytes())


@lru_cache(1024)
def _turned(axes: bytes) -> np.ndarray:
    return Rotation.from_matrix(np.frombuffer(axes).reshape(3, 3)).as_euler("XYZ") * (-1.0, 1.0, -1.0)


def _local(model: Any, state: Any) -> tuple[float, float, float]:
    """Where a state stands in a sensor's axes, m."""
    vector, offset = state.state_vector, model.translation_offset
    d = np.array([float(vector[k, 0]) - float(offset[i, 0]) for i, k in enumerate(model.mapping)])
    x, y, z = np.asarray(model.rotation_matrix, float) @ d
    return float(x), float(y), float(z)


def _slopes(model: Any, state: Any) -> np.ndarray:
    """Derivatives (3, 3) of elevation, bearing and range by the place in Stone Soup's state."""
    x, y, z = _local(model, state)
    level2 = max(x * x + y * y, 1e-12)
    level, r2 = math.sqrt(level2), level2 + z * z
    r = math.sqrt(r2)
    local = np.array([[-x * z / (level * r2), -y * z / (level * r2), level / r2], [-y / level2, x / level2, 0.0], [x / r, y / r, z / r]])
    return local @ np.asarray(model.rotation_matrix, float)


class Radar(CartesianToElevationBearingRange):
    """Elevation, bearing (from the first axis towards the second) and range: Stone Soup's, with an analytic derivative."""

    def jacobian(self, state: Any, **_: Any) -> np.ndarray:
        """By the whole state, (3, ndim_state)."""
        H = np.zeros((3, self.ndim_state))
        H[:, list(self.mapping)] = _slopes(self, state)
        return H


class Sight(CartesianToElevationBearing):
    """Elevation and bearing of a line of sight: Stone Soup's, with an analytic derivative."""

    def jacobian(self, state: Any, **_: Any) -> np.ndarray:
        """By the whole state, (2, ndim_state)."""
        H = np.zeros((2, self.ndim_state))
        H[:, list(self.mapping)] = _slopes(self, state)[:2]
        return H


class Face(NonLinearGaussianMeasurement, ReversibleModel):
    """Direction cosines u along the first axis and v along the third, range, and range rate where there is a ``velocity_mapping``."""

    translation_offset: StateVector = Property(doc="Where the radar stands (3, 1) m")
    velocity_mapping: Any = Property(default=None, doc="Where the velocity stands in the state; None: no range rate")

    @property
    def ndim_meas(self) -> int:
        return 3 if self.velocity_mapping is None else 4

    def function(self, state: Any, noise: Any = False, **kwargs: Any) -> Any:
        """u, v, range (and range rate) of the columns of a state, (ndim_meas, n)."""
        vectors = np.asarray(state.state_vector, float)
        if isinstance(noise, bool) or noise is None:
            noise = self.rvs(num_samples=vectors.shape[1], **kwargs) if noise else 0
        d = vectors[list(self.mapping)] - np.asarray(self.translation_offset, float)
        r = np.linalg.norm(d, axis=0)
        local = np.asarray(self.rotation_matrix, float) @ d
        rows = [local[0] / r, local[2] / r, r]
        if self.velocity_mapping is not None:
            rows.append((d * vectors[list(self.velocity_mapping)]).sum(axis=0) / r)
        return (StateVector(np.array(rows)) if vectors.shape[1] == 1 else StateVectors(np.array(rows))) + noise

    def jacobian(self, state: Any, **_: Any) -> np.ndarray:
        """By the whole state, (ndim_meas, ndim_state)."""
        vector = np.asarray(state.state_vector, float)[:, 0]
        axes, place = np.asarray(self.rotation_matrix, float), list(self.mapping)
        d = vector[place] - np.asarray(self.translation_offset, float)[:, 0]
        r = float(np.linalg.norm(d))
        way = d / r
        H = np.zeros((self.ndim_meas, self.ndim_state))
        for row, axis in ((0, axes[0]), (1, axes[2])):
            H[row, place] = (axis - way * (axis @ way)) / r
        H[2, place] = way
        if self.velocity_mapping is not None:
            velocity = vector[list(self.velocity_mapping)]
            H[3, place] = (velocity - way * (velocity @ way)) / r
            H[3, list(self.velocity_mapping)] = way
        return H

    def inverse_function(self, detection: Any, **_: Any) -> StateVector:
        """The place in front of the face; cosines beyond its edge are taken back to it; velocity 0."""
        u, v, r = (float(a) for a in np.asarray(detection.state_vector, float)[:3, 0])
        over = max(math.hypot(u, v), 1.0)
        normal = math.sqrt(max(1.0 - (u * u + v * v) / over**2, 0.0))
        out = np.zeros((self.ndim_state, 1))
        way = np.asarray(self.rotation_matrix, float).T @ np.array([u / over, normal, v / over])
        out[list(self.mapping)] = (r * way)[:, None] + np.asarray(self.translation_offset, float)
        return StateVector(out)


# This package's matching of tracks and objects, for Stone Soup's metrics -----------------------------------------------


class Matching(TwoTrackToTrackAssociator):
    """Which track is on which object when, as `metrics.match` says, for Stone Soup's metric managers: their SIAP is then this package's.

    Tracks and truth must have states at common times; a track is compared where there is truth of that very time.  Duplicates
    count as on the object that they double.
    """

    mapping: Any = Property(default=(0, 2, 4, 1, 3, 5), doc="Where x, y, z and vx, vy, vz stand in the states, Earth-fixed m and m/s")

    def associate_tracks(self, tracks_set: Any, truth_set: Any) -> AssociationSet:
        """Tracks (with covariances) and paths of truth to a set of associations over ranges of time."""
        tracks, truths = [t for t in tracks_set if len(t)], [t for t in truth_set if len(t)]
        if not tracks or not truths:
            return AssociationSet(set())
        moments = sorted({s.timestamp for one in (*tracks, *truths) for s in one})
        epoch = moments[0]
        truth = _truth(truths, list(self.mapping), epoch)
        picture = _picture(
            tracks, list(self.mapping), epoch, {(m - epoch).total_seconds() for m in {s.timestamp for t in truths for s in t}}
        )
        found = metrics.match(picture, truth)
        on = np.where(found.object >= 0, found.object, found.nearest)
        place = {(m - epoch).total_seconds(): k for k, m in enumerate(moments)}
        held: dict[tuple[int, int], list[int]] = {}
        for row in np.flatnonzero(on >= 0).tolist():
            held.setdefault((int(picture.track[row]), int(on[row])), []).append(place[float(picture.time[row])])
        return AssociationSet(
            {TimeRangeAssociation({tracks[k], truths[j]}, _ranges(sorted(at), moments)) for (k, j), at in held.items()}
        )  # fmt: skip


def _ranges(at: list[int], moments: list[datetime]) -> CompoundTimeRange:
    """The times numbered ``at``, rising, as ranges of neighbours among all moments."""
    cuts = np.flatnonzero(np.diff(at) > 1) + 1
    ends = [(int(part[0]), int(part[-1])) for part in np.split(np.asarray(at), cuts)]
    return CompoundTimeRange([TimeRange(moments[a], moments[b] if b > a else moments[a] + INSTANT) for a, b in ends])


def latest(states: Iterable[Any]) -> list[Any]:
    """Of states with one time the last, in order of time."""
    return [s for _, s in sorted({s.timestamp: s for s in states}.items())]


def _truth(paths: list[GroundTruthPath], mapping: list[int], epoch: datetime) -> Truth:
    rows = [(k, s) for k, path in enumerate(paths) for s in latest(path)]
    x = np.array([np.asarray(s.state_vector, float)[mapping, 0] for _, s in rows])
    objects = [{"name": str(path.id), "launch": -1, "kind": "missile"} for path in paths]
    time = [(s.timestamp - epoch).total_seconds() for _, s in rows]
    return Truth(np.array(time), np.array([k for k, _ in rows]), x, np.zeros(len(rows)), {"objects": objects})


def _picture(tracks: list[Track], mapping: list[int], epoch: datetime, times: set[float]) -> Picture:
    """Just what `metrics.match` reads of a picture: the tracks at the times of truth."""
    rows = [(k, s) for k, track in enumerate(tracks) for s in latest(track) if (s.timestamp - epoch).total_seconds() in times]
    n = len(rows)
    order = np.ix_(mapping, mapping)
    known = {
        "time": np.array([(s.timestamp - epoch).total_seconds() for _, s in rows]), "node": np.full(n, NODES.index("HUB")),
        "track": np.array([k for k, _ in rows], int), "common": np.array([k for k, _ in rows], int),
        "x": np.array([np.asarray(s.mean, float)[mapping, 0] for _, s in rows]).reshape(n, 6),
        "P": np.array([np.asarray(s.covar, float)[order] for _, s in rows]).reshape(n, 6, 6),
    }  # fmt: skip
    none: dict[str, Any] = {k: np.zeros((n, *shape), dtype) for k, (dtype, shape) in Picture.COLUMNS.items()}
    return Picture(**none | known)
