"""Medians of many resamplings of the same values."""

from __future__ import annotations

from copfuse.kernels import njit


@njit
def weighted_medians(values, cluster, counts, out):
    """In ``out (r,)``: the median of ``values (n,)``, rising, of which those of cluster k count ``counts[:, k]`` times; ``counts (r, k)``.

    Of an even number the mean of the middle two; every row of counts holds one value at least.
    """
    for r in range(len(out)):
        total = 0
        for i in range(len(values)):
            total += counts[r, cluster[i]]
        i, upto = 0, counts[r, cluster[0]]
        while upto <= (total - 1) // 2:
            i += 1
            upto += counts[r, cluster[i]]
        below = values[i]
        while upto <= total // 2:
            i += 1
            upto += counts[r, cluster[i]]
        out[r] = 0.5 * (below + values[i])
