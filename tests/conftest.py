"""Small tables that several tests need: straight flights, pictures of them, a scenario without files."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from copfuse import console, frames
from copfuse.constants import NODES
from copfuse.tables import Detections, Picture, Truth

SHARED = Path(__file__).parents[2] / "shared"

settings.register_profile("copfuse", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("copfuse")
if os.environ.get("NUMBA_DISABLE_JIT") == "1":  # the kernels as plain Python: the same properties, fewer examples
    settings.register_profile("plain", deadline=None, derandomize=True, max_examples=10)
    settings.load_profile("plain")


LONGEST = ("reconstruction", "fusion", "gaussian", "sweep", "noninterference", "accuracy", "multiscan", "starting", "bench", "cueing")


def pytest_collection_modifyitems(items):
    """Files that take long come first, so that the workers, which take a file at a time, come to their ends together."""
    rank = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(autouse=True)
def no_interrupt_is_left():
    """Commands remember a Ctrl-C; one test's is none of the next's.  `cli.main` forgets it, a command called alone does not."""
    console.INTERRUPTS.clear()


@pytest.fixture
def shared() -> Path:
    """The shared reference data beside the checkout; the test is skipped where they are not."""
    if not SHARED.is_dir():
        pytest.skip("the shared reference data are not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def build():
    """``data/build_synthetic.py`` as a module."""
    folder = str(Path(__file__).parents[1] / "data")
    sys.path.insert(0, folder)
    import build_synthetic

    sys.path.remove(folder)
    return build_synthetic


@pytest.fixture(scope="session")
def pull_up():
    """One whole run of a packaged scenario, made once for all tests."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("a whole run without compiled kernels takes minutes")
    from copfuse import study

    return study.run("pull-up-2019", seed=1)


@pytest.fixture(scope="session")
def shared_by(pull_up):
    """The same flight, shared and fused under the regime that it is called with; made once."""
    from copfuse import fusion, network

    @cache
    def under(regime):
        messages = network.share(pull_up.tracks, pull_up.scenario, regime, seed=1, detections=pull_up.detections)
        picture = fusion.fuse(pull_up.tracks, messages, pull_up.scenario, detections=pull_up.detections)
        return replace(pull_up, regime=regime, messages=messages, picture=picture)

    return under


def straight_truth(starts, times, velocity=(0.0, 1000.0, 0.0), kinds=None) -> Truth:
    """Objects in straight lines at constant velocity from ``starts``: one list of times (s) each, states over the sea."""
    base = frames.ecef(np.radians(39.0), np.radians(133.0), 100e3)
    rows = []
    for i, (start, time) in enumerate(zip(starts, times, strict=True)):
        for t in time:
            rows.append((t, i, *(base + np.asarray(start, float) + np.asarray(velocity) * t), *velocity))
    columns = np.array(rows, float).reshape(-1, 8)
    kinds = kinds or ["missile"] * len(starts)
    objects = [{"name": f"m{i}", "launch": i, "kind": kind, "rcs": 1.0, "missile_class": "SRBM"} for i, kind in enumerate(kinds)]
    return Truth(columns[:, 0], columns[:, 1], columns[:, 2:], np.ones(len(rows)), meta={"objects": objects})


def picture_of(rows, sigma=1000.0, impact_sigma=10e3, sensors=("KR-A", "JP-B")) -> Picture:
    """A picture from ``(time, node, track, x)`` or ``(time, node, track, x, bits)``; covariance sigma^2 I."""
    n = len(rows)
    x = np.array([row[3] for row in rows], float).reshape(n, 6)
    return Picture(
        time=[row[0] for row in rows],
        node=[NODES.index(row[1]) for row in rows],
        track=[row[2] for row in rows],
        common=[row[2] for row in rows],
        x=x,
        P=np.broadcast_to(np.eye(6) * sigma**2, (n, 6, 6)),
        phase_probability=np.full((n, 4), 0.25),
        launch_point=x[:, :3],
        launch_point_P=np.broadcast_to(np.eye(3) * sigma**2, (n, 3, 3)),
        impact_point=x[:, :3],
        impact_point_P=np.broadcast_to(np.eye(3), (n, 3, 3)) * np.broadcast_to(np.asarray(impact_sigma, float) ** 2, n)[:, None, None],
        time_to_impact=np.full(n, 100.0),
        time_to_impact_sigma=np.full(n, 1.0),
        age=np.zeros(n),
        sensors=[row[4] if len(row) > 4 else 1 for row in rows],
        pedigree=np.full((n, 4), -1),
        meta={"sensors": list(sensors)},
    )


def plots_of(rows, sensors=("KR-A", "JP-B")) -> Detections:
    """Detections from ``(time, sensor number, object)``."""
    n = len(rows)
    time, sensor, thing = np.array(rows, float).reshape(n, 3).T
    return Detections(time, sensor, np.ones((n, 4)), np.ones((n, 4)), np.full(n, 20.0), thing, meta={"sensors": list(sensors)})


EPOCH = datetime(2024, 1, 14, 5, 53, tzinfo=UTC)
