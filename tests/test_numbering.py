"""Small whole numbers against `numpy.unique`."""

from __future__ import annotations

import numpy as np
import pytest

from copfuse import numbering


@pytest.mark.parametrize(("n", "most"), [(0, 1), (1, 1), (40, 3), (500, 60), (50, 900)])
def test_first_and_place_are_those_of_numpy(n, most):
    of = np.random.default_rng(n).integers(0, most, n)
    first, place = numbering.first_and_place(of)
    _, at, inverse = np.unique(of, return_index=True, return_inverse=True)
    assert first.tolist() == at.tolist() and place.tolist() == inverse.tolist()


def test_tracks_are_numbered_by_node_then_track():
    node, track = np.array([2, 0, 2, 0, 1], np.int8), np.array([0, 70, 5, 2, 0], np.int32)
    assert numbering.first_and_place(numbering.tracks(node, track))[1].tolist() == [3, 1, 4, 0, 2]


@pytest.mark.parametrize("of", [[5, 10**12, 5, 7], [3, -1, 3, 0]])
def test_numbers_far_apart_or_below_none_are_sorted(of):
    first, place = numbering.first_and_place(np.array(of))
    _, at, inverse = np.unique(of, return_index=True, return_inverse=True)
    assert first.tolist() == at.tolist() and place.tolist() == inverse.tolist()
