"""What `astray` and `kernels.steady` sum of a track's innovations."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing

LARGER = 4.0 / 3.0  # times the variance that is believed the innovations of a track astray have, if hardly more, *notional*
MOST = 6.0  # squared distance per component that counts at most: one plot that is far off is another's
LIMIT = 5.0  # of the sum: what was astray for long, as what is steered is, and has come back, is known to have done so soon
SLOPE, LEVEL = 0.5 * (1.0 - 1.0 / LARGER), 0.5 * math.log(LARGER)


@borrowing
def summed(before, d2, seen):
    """Page's sum after a plot of so many components ``seen`` at a squared distance, of its logarithms of likelihood ratios."""
    return min(max(before + SLOPE * min(d2, MOST * seen) - LEVEL * seen, 0.0), LIMIT)
