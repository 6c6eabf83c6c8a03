"""`copfuse bench association`: time per scan of gates, assignment and joint probabilities, from 10 to 20 000 tracks.

Tracks stand at random in a plane, one in a hundred square standard deviations, each seen with probability 0.9 among false
plots; all that is compared gets the same gates and the same costs, and first has to give the same answers.
"""

from __future__ import annotations

import csv
import importlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from copfuse import rivals
from copfuse.association import Pairs, gated, gnn_pairs, jpda_pairs
from copfuse.errors import CopfuseError
from copfuse.kernels.assignment import assign_pairs
from copfuse.kernels.jpda import marginals
from copfuse.speed import Line, machine, timed
from copfuse.tables import replacing

LIMIT = 16.0  # squared distance of the gate: of two components, exp(-8) are outside
DETECTED = 0.9
CLUTTER = {"light": 0.2, "heavy": 3.0}  # false plots in a gate of unit covariance, on average
SIZES, FIT = (10, 100, 1000, 10_000), (100, 300, 1000, 3000, 10_000, 20_000)
QUICK_SIZES, QUICK_FIT = (10, 100, 1000), (100, 300, 1000, 3000)
DENSE, LAPJV = 1000, 100  # tracks, at most, for solvers that need the whole matrix; lapjv takes half a minute at 1000
DRAWN = 3000  # tracks, in about so many scans as that takes, behind a time from which the growth is found
PATIENCE = 60.0  # s that Stone Soup is waited for
APART = 1e-3  # share of tracks assigned otherwise, or difference of a probability (its belief propagation ends earlier)
EXPONENT, TIMES, SOUP_TIMES = 1.1, 4.0, 3000.0  # targets
ABOUT = f"""One scan in a plane: a track in a hundred square standard deviations, P_D {DETECTED}, gates of squared distance {LIMIT:g}; light
and heavy are {CLUTTER["light"]:g} and {CLUTTER["heavy"]:g} false plots a gate.  CPU times, medians over rounds in which all take turns.
The rivals' gate is scipy's k-d tree over all pairs at once; their matrices are built before the clock starts."""


@dataclass(frozen=True)
class Scan:
    """Tracks expected at ``centre (n, 2)`` with covariance ``S (n, 2, 2)``, ``plots (m, 2)``, and false plots per unit area."""

    centre: np.ndarray
    S: np.ndarray
    plots: np.ndarray
    density: float


def scan(n: int, clutter: str, seed: int = 0) -> Scan:
    """One scan of n tracks, clutter "light" or "heavy"."""
    rng = np.random.default_rng([seed, n])
    side, density = 10.0 * np.sqrt(n), CLUTTER[clutter] / (np.pi * LIMIT)
    centre, scale = rng.uniform(0.0, side, (n, 2)), rng.uniform(0.5, 2.0, (n, 2))
    turn = rng.uniform(-0.5, 0.5, n) * np.sqrt(scale[:, 0] * scale[:, 1])
    S = np.stack([scale[:, 0], turn, turn, scale[:, 1]], axis=1).reshape(n, 2, 2)
    seen = centre + np.einsum("nij,nj->ni", np.linalg.cholesky(S), rng.standard_normal((n, 2)))
    false = rng.uniform(0.0, side, (rng.poisson(density * side**2), 2))
    plots = np.concatenate([seen[rng.random(n) < DETECTED], false])
    return Scan(centre, S, plots[rng.permutation(len(plots))], density)


def find(s: Scan) -> Pairs:
    """This package's gate."""
    return gated(s.centre, s.S, s.plots, LIMIT)


def hard(s: Scan) -> np.ndarray:
    """Gate and global nearest neighbour."""
    pairs = find(s)
    return gnn_pairs(pairs, pairs.log_density - np.log(s.density), DETECTED)


def soft(s: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Gate and joint probabilistic data association."""
    pairs = find(s)
    return jpda_pairs(pairs, pairs.log_density - np.log(s.density), DETECTED)


def tree_gate(s: Scan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same gate by scipy's k-d trees and numpy: row, plot, squared distance, in no order."""
    radius = np.sqrt(LIMIT * np.linalg.eigvalsh(s.S)[:, -1].max())
    near = KDTree(s.centre).sparse_distance_matrix(KDTree(s.plots), radius, output_type="ndarray")
    row, plot = near["i"], near["j"]
    x, y = (s.plots[plot] - s.centre[row]).T
    a, b, c = s.S[row, 0, 0], s.S[row, 0, 1], s.S[row, 1, 1]
    d2 = (c * x * x - 2.0 * b * x * y + a * y * y) / (a * c - b * b)
    inside = d2 <= LIMIT
    return row[inside], plot[inside], d2[inside]


# Other solvers, on what a pair saves over a miss --------------------------------------------------------------------


@dataclass(frozen=True)
class Solver:
    """``make`` builds what ``solve`` takes, from rows, plots, savings (at most 0), n and m; ``solve`` returns the total."""

    name: str
    make: Callable[..., Any]
    solve: Callable[[Any], float]
    most: float = np.inf  # tracks


def _whole(row, plot, saving, n: int, m: int) -> np.ndarray:
    """A matrix (n, m) with 0, no better than a miss, where there is no pair: no columns for misses are needed."""
    matrix = np.zeros((n, m))
    matrix[row, plot] = saving
    return matrix


def _dense(matrix) -> float:
    return float(matrix[linear_sum_assignment(matrix)].sum())


def _sparse_matrix(row, plot, saving, n: int, m: int) -> csr_array:
    """Each row with a column of its own for a miss; all costs raised by the same, as zeros would be dropped."""
    raised = np.concatenate([saving, np.zeros(n)]) - saving.min(initial=0.0) + 1.0
    return csr_array((raised, (np.concatenate([row, np.arange(n)]), np.concatenate([plot, m + np.arange(n)]))), shape=(n, n + m))


def _sparse(matrix) -> float:
    row, column = min_weight_full_bipartite_matching(matrix)
    own = matrix.shape[1] - matrix.shape[0] + row[0]  # of the first row, for a miss
    return float(matrix[row, column].sum() - len(row) * matrix[row[0], own])


def _square(row, plot, saving, n: int, m: int) -> tuple[Any, ...]:
    """lapmod's square problem, with a second copy of the pairs, costing nothing, for the plots' rows; all costs raised to 0 or more."""
    rows = np.concatenate([row, np.arange(n), n + plot, n + np.arange(m)])
    columns = np.concatenate([plot, m + np.arange(n), m + row, np.arange(m)])
    cost = np.concatenate([saving, np.zeros(n + len(row) + m)]) - saving.min(initial=0.0)
    order = np.lexsort((columns, rows))
    first = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n + m))])
    return n + m, cost[order], first.astype(np.int32), columns[order].astype(np.int32), (n + m) * saving.min(initial=0.0)


def solvers() -> list[Solver]:
    """scipy's two, and lapx's two where it is installed."""
    found = [Solver("scipy dense", _whole, _dense, DENSE), Solver("scipy sparse", _sparse_matrix, _sparse)]
    try:
        lap = importlib.import_module("lap")
    except ImportError:
        return found
    found.append(Solver("lapx lapjv", _whole, lambda matrix: float(lap.lapjv(matrix, extend_cost=True)[0]), LAPJV))
    return [*found, Solver("lapx lapmod", _square, lambda problem: float(lap.lapmod(*problem[:4])[0] + problem[4]))]


def contest(s: Scan) -> tuple[list[Line], list[str]]:
    """The lines to time, and the names of the rivals' solvers; raises `CopfuseError` where gates or totals differ."""
    pairs, (row, plot, d2) = find(s), tree_gate(s)
    n, m = len(s.centre), len(s.plots)
    order, mine = np.lexsort((plot, row)), np.repeat(np.arange(n), np.diff(pairs.start))
    same = len(row) == len(mine) and (row[order] == mine).all() and (plot[order] == pairs.plot).all()
    if not same or not np.allclose(d2[order], pairs.d2, rtol=1e-9):
        raise CopfuseError(f"bench: the gate and the k-d tree's differ at {n} tracks; no speed is printed")
    saving = np.minimum(-(pairs.log_density - np.log(s.density) + np.log(DETECTED / (1.0 - DETECTED))), 0.0)
    column = hard(s)
    held = column[mine] == pairs.plot
    worth = float(saving[held].sum())
    lines = [
        Line("gate", lambda: find(s), 1),
        Line("gate + GNN", lambda: hard(s), 1),
        Line("gate + JPDA", lambda: soft(s), 1),
        Line("gate, k-d tree", lambda: tree_gate(s), 1),
    ]
    names = []
    for solver in solvers():
        if n > solver.most:
            continue
        ready = solver.make(mine, pairs.plot, saving, n, m)
        other = solver.solve(ready)
        if not abs(other - worth) <= 1e-9 * max(1.0, abs(worth)):
            raise CopfuseError(f"bench: at {n} tracks {solver.name} totals {other:.9g} and copfuse {worth:.9g}; no speed is printed")
        lines.append(Line(solver.name, partial(solver.solve, ready), 1))
        names.append(solver.name)
    return lines, names


# Stone Soup ---------------------------------------------------------------------------------------------------------

_SOUP = "from copfuse import scale; scale.soup({n}, {clutter!r}, {rule!r})"


def soup(n: int, clutter: str, rule: str) -> None:
    """Print the CPU seconds of one scan by Stone Soup's k-d tree and its "GNN" or "JPDA", and how far its answer is from ours."""
    import time
    from datetime import datetime

    from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
    from stonesoup.dataassociator.probability import JPDAwithLBP
    from stonesoup.dataassociator.tree import DetectionKDTreeMixIn
    from stonesoup.hypothesiser.probability import PDAHypothesiser
    from stonesoup.models.measurement.linear import LinearGaussian
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, RandomWalk
    from stonesoup.predictor.kalman import KalmanPredictor
    from stonesoup.types.detection import Detection
    from stonesoup.types.state import GaussianState
    from stonesoup.types.track import Track
    from stonesoup.updater.kalman import KalmanUpdater

    class Tree(DetectionKDTreeMixIn, GNNWith2DAssignment if rule == "GNN" else JPDAwithLBP):  # type: ignore[misc]
        pass

    s, now = scan(n, clutter), datetime(2026, 1, 1)
    model = LinearGaussian(2, (0, 1), 0.1 * np.eye(2))
    predictor = KalmanPredictor(CombinedLinearGaussianTransitionModel([RandomWalk(0.0), RandomWalk(0.0)]))
    updater = KalmanUpdater(model)
    tracks = [Track([GaussianState(x[:, None], P - 0.1 * np.eye(2), timestamp=now)]) for x, P in zip(s.centre, s.S, strict=True)]
    plots = [Detection(z[:, None], timestamp=now, measurement_model=model) for z in s.plots]
    inside = 1.0 - np.exp(-0.5 * LIMIT)
    judge = PDAHypothesiser(predictor, updater, s.density, prob_detect=DETECTED, prob_gate=inside)
    radius = float(np.sqrt(LIMIT * np.linalg.eigvalsh(s.S)[:, -1].max()))
    tree = Tree(judge, predictor, updater, max_distance=radius)
    begin = time.process_time()
    found = tree.associate(set(tracks), set(plots), now)
    took = time.process_time() - begin
    where = {id(plot): j for j, plot in enumerate(plots)}
    pairs = find(s)
    ratio = pairs.log_density - np.log(s.density) + np.log((1.0 - DETECTED) / (1.0 - DETECTED * inside))  # its "missed" has the gate in it
    ratio += np.log(DETECTED / (1.0 - DETECTED))
    if rule == "GNN":  # which maximises there the sum of each track's probabilities, not their product
        theirs = [where.get(id(found[t].measurement), -1) if found[t] else -1 for t in tracks]
        row, weight = np.repeat(np.arange(n), np.diff(pairs.start)), np.exp(ratio)
        whole = 1.0 + np.bincount(row, weight, n)
        held, _ = assign_pairs(pairs.start, pairs.plot, -weight / whole[row], -1.0 / whole, pairs.plots)
        print(took, float(np.mean(np.array(theirs) != np.where(held < 0, -1, np.append(pairs.plot, -1)[held]))))
        return
    _, missed = marginals(pairs.start, pairs.plot, ratio, pairs.plots, 0, 0)  # by belief propagation alone, as there
    unseen = [float(next(h.probability for h in found[t] if not h)) for t in tracks]
    print(took, float(abs(np.array(unseen) - missed).max()))


def soup_time(n: int, clutter: str, rule: str) -> tuple[float, float]:
    """CPU seconds of Stone Soup's scan, inf where it was stopped, and how far its answer is from ours; in a process of its own."""
    command = [sys.executable, "-c", _SOUP.format(n=n, clutter=clutter, rule=rule)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return np.inf, np.nan
    took, apart = done.stdout.split()[-2:]
    return float(took), float(apart)


# The table ----------------------------------------------------------------------------------------------------------


def exponent(sizes, took) -> float:
    """Slope of the logarithm of time over the logarithm of size."""
    return float(np.polyfit(np.log(sizes), np.log(took), 1)[0])


def _reached(yes: bool) -> str:
    return "reached" if yes else "not reached"


def association(quick: bool = False, seconds: float = 2.0, table: Path | None = None, say: Callable[[str], object] = print) -> None:
    """Check that answers agree, time for about ``seconds`` a size, and ``say`` a line each; ``table`` is a CSV file to write as well.

    Raises `CopfuseError` where two answers that should agree do not.
    """
    say(machine())
    say(ABOUT)
    if len(solvers()) == 2:
        say("lapx is not installed (pip install lapx): its lines are left out")
    rows: list[list[str]] = []
    for clutter in CLUTTER:
        for n in QUICK_SIZES if quick else SIZES:
            _size(n, clutter, quick, seconds, say, rows)
        _growth(clutter, QUICK_FIT if quick else FIT, seconds, say)
    if table:
        with replacing(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([["tracks", "clutter", "what", "us_per_scan"], *rows])


def _size(n: int, clutter: str, quick: bool, seconds: float, say, rows: list[list[str]]) -> None:
    """The lines of one size."""
    s = scan(n, clutter)
    lines, names = contest(s)
    took = timed(lines, seconds)
    say(f"\n{n} tracks, {len(s.plots)} plots, {clutter} clutter: gates and totals equal")
    for name, value in took.items():
        say(f"  {name:<28}{value / 1e3:>12.3f} ms")
        rows.append([str(n), clutter, name, f"{value:.3f}"])
    best = min(names, key=took.__getitem__)
    ratio = (took["gate, k-d tree"] + took[best]) / took["gate + GNN"]
    judged = f", at least {TIMES:g}: {_reached(ratio >= TIMES)}" if n >= 100 else ""
    say(f"  k-d tree + {best} over gate + GNN: {ratio:.1f}{judged}")
    if not rivals.stonesoup_version() or (quick and n > QUICK_SIZES[0]):
        return
    for rule in ("GNN", "JPDA"):
        spent, apart = soup_time(n, clutter, rule)
        name = f"Stone Soup, k-d tree + {rule}"
        rows.append([str(n), clutter, name, f"{1e6 * spent:.3f}"])
        if np.isinf(spent):
            say(f"  {name:<28}  stopped at {PATIENCE:g} s: over {1e6 * PATIENCE / took[f'gate + {rule}']:.0f} times")
            continue
        if not apart <= APART:
            raise CopfuseError(f"bench: at {n} tracks {name} is {apart:.1e} from copfuse's answer, more than {APART:g}")
        what = "of the tracks otherwise, on its sum of probabilities" if rule == "GNN" else "apart in a probability of a miss"
        ratio = 1e6 * spent / took[f"gate + {rule}"]
        judged = f", at least {SOUP_TIMES:g}: {_reached(ratio >= SOUP_TIMES)}" if n >= 100 and rule == "GNN" else ""
        say(f"  {name:<28}{1e3 * spent:>12.1f} ms; {apart:.1e} {what}; {ratio:.0f} times{judged}")


def _each(rule: Callable[[Scan], object], scans: list[Scan]) -> None:
    for s in scans:
        rule(s)


def _growth(clutter: str, sizes, seconds: float, say) -> None:
    """How times grow with the number of tracks: a mean over scans, as a few large clusters make most of the time of `soft`."""
    took: dict[str, list[float]] = {"gate + GNN": [], "gate + JPDA": []}
    for n in sizes:
        scans = [scan(n, clutter, seed) for seed in range(max(1, DRAWN // n))]
        for name, rule in (("gate + GNN", hard), ("gate + JPDA", soft)):  # each alone: the other would empty the caches
            took[name] += timed([Line(name, partial(_each, rule, scans), len(scans))], seconds).values()
    say(f"\n{clutter} clutter, time over tracks from {sizes[0]} to {sizes[-1]}:")
    for name, values in took.items():
        slope = exponent(sizes, values)
        judged = f"at most {EXPONENT}: {_reached(slope <= EXPONENT)}"
        say(f"  {name}: {values[0] / 1e3:.3f} to {values[-1] / 1e3:.2f} ms, exponent {slope:.2f}; {judged}")
