"""A Stone Soup user's own tracker on a frozen case: scored by copfuse, and by Stone Soup's own GOSPA on what copfuse hands it.

    pip install 'copfuse[bench]'
    python examples/stonesoup_user.py srbm                             # some 20 s of CPU, most of it Stone Soup's
    cd examples && copfuse bench --entrant stonesoup_user:mine       # beside all the others

The tracker is Stone Soup's throughout: an extended Kalman filter of constant velocity, global nearest neighbour, three plots to start.
"""

from __future__ import annotations

import sys
from datetime import timedelta

import numpy as np
from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
from stonesoup.deleter.time import UpdateTimeDeleter
from stonesoup.hypothesiser.distance import DistanceHypothesiser
from stonesoup.initiator.simple import MultiMeasurementInitiator
from stonesoup.measures import Euclidean, Mahalanobis
from stonesoup.metricgenerator.manager import MultiManager
from stonesoup.metricgenerator.ospametric import GOSPAMetric
from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
from stonesoup.predictor.kalman import KalmanPredictor
from stonesoup.tracker.simple import MultiTargetTracker
from stonesoup.types.state import GaussianState
from stonesoup.updater.kalman import ExtendedKalmanUpdater

from copfuse import export, frozen, judging


def mine(detections, scenario):
    """The entrant: what has a range, as it comes in, to the tracker; its picture back."""
    predictor = KalmanPredictor(CombinedLinearGaussianTransitionModel([ConstantVelocity(300.0)] * 3))  # m^2/s^3
    updater = ExtendedKalmanUpdater(None)  # each plot brings its own measurement model
    associator = GNNWith2DAssignment(DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=5.0))
    prior = GaussianState(np.zeros((6, 1)), np.diag([0.0, 2000.0**2] * 3), timestamp=export.moment(scenario, 0.0))
    initiator = MultiMeasurementInitiator(prior, UpdateTimeDeleter(timedelta(seconds=6.0)), associator, updater, min_points=3)
    tracker = MultiTargetTracker(initiator, UpdateTimeDeleter(timedelta(seconds=15.0)), None, associator, updater)
    ranged = np.isfinite(detections.z[:, 0])
    return export.run_stonesoup(tracker, detections, scenario, predictor=predictor, use=ranged)


def their_gospa(picture, case):
    """Stone Soup's GOSPA of the picture, m: root mean square over the times, as copfuse's."""
    judged = judging.at_times(picture, judging.picture_times(case))  # until the last impact
    there = {"tracks": export.to_stonesoup_tracks(judged, case.scenario)}
    there["groundtruth_paths"] = export.to_stonesoup_truth(case.truth, case.scenario, judging.picture_times(case))
    manager = MultiManager([GOSPAMetric(p=2, c=10e3, measure=Euclidean(mapping=[0, 2, 4]))])
    manager.add_data(there)
    values = manager.generate_metrics()["gospa_generator"]["GOSPA Metrics"].value
    return np.sqrt(np.mean([one.value["distance"] ** 2 for one in values]))


if __name__ == "__main__":
    for name in sys.argv[1:] or ["srbm"]:
        case = frozen.load(name)
        picture = mine(*frozen.blind(case))
        figures = ", ".join(f"{name} {value:.3f}" for name, value in judging.judge(picture, case).items())
        print(f"{case.name}, in m, s and shares as judging.judge has them: {figures}")
        print(f"Stone Soup's own GOSPA of it: {their_gospa(picture, case):.3f} m")
