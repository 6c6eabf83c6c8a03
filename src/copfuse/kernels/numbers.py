"""Which of its local tracks a system track is called after, line after line of a picture."""

from __future__ import annotations

from copfuse.kernels import borrowing


@borrowing
def called(edges, time, node, system, member, since, rank, stands, first, chosen):
    """Fill in ``chosen (n,)``, the local track that each line of a picture is called after (see `naming`).

    Lines of one time run from ``edges[i]`` until before ``edges[i + 1]``; ``member (n, sources)`` are their local tracks, or −1.  A node
    knows local track m as reported ``since[node, m]`` s, and it comes in the order ``rank[node, m]``; what is not reported comes last.
    ``stands[node, m]``, the system track in which a node has seen a local track last, and ``first[node, system]``, after which one a system
    track was called last, are -1 at first and change in place.
    """
    n = rank.shape[1]
    for i in range(len(edges) - 1):
        for a in range(edges[i], edges[i + 1]):
            for m in member[a]:
                if m >= 0:
                    stands[node[a], m] = system[a]
        for a in range(edges[i], edges[i + 1]):
            k, best, least = node[a], -1, 2 * n
            before = first[k, system[a]]
            if before >= 0 and stands[k, before] == system[a]:
                best, least = before, rank[k, before] + (n if since[k, before] > time[a] else 0)
            for m in member[a]:
                late = 2 * n if m < 0 else rank[k, m] + (n if since[k, m] > time[a] else 0)
                if late < least:
                    best, least = m, late
            first[k, system[a]] = best
            chosen[a] = best
