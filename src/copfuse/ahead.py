"""Local tracks at a time: `predicted`, and `Ahead`, which does so for a whole run, many times at once (`predicted_often`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from copfuse import filters
from copfuse.coasting import BURNT_OUT
from copfuse.filters import Bank
from copfuse.kernels import foresight
from copfuse.phases import relight_within
from copfuse.tables import Tracks

FREELY = 0.5  # probability of a free fall from which on a track without an engine is taken to fall
RARELY = np.array([0.1, 1.0, 1.0, 1.0, 0.1])  # of what falls every model's likelihood: engines light again a tenth as often, *notional*
PRIORS = filters.THRUST, filters.FLOW, filters.LIFT_SIGMA
_SAID = ("time", "x", "P", "phase_probability", "acceleration", "acceleration_sigma", "log_beta")  # by a row of a state
AT_ONCE = 2000  # rows that are predicted together: as quick as all together, and of little memory


def predicted(tracks: Tracks, rows: Any, time: Any) -> Bank:
    """Rows of Tracks as filter states at ``time`` (s, scalar or (n,)); the push dies out or goes on as the models say.

    What more likely burns not than burns is between two stages, if it has not burnt out, and may light since.  What falls mostly goes
    on falling: pushes begin as often as filters need to find them soon, and where none did plots put that right; here no plot does.
    """
    return _predicted(tracks, rows, time, False)


def predicted_often(tracks: Tracks, rows: Any, time: Any) -> Bank:
    """`predicted`, but in steps that a row's way to one time has in common with that to another one (`filters.predict_often`)."""
    return _predicted(tracks, rows, time, True)


def _predicted(tracks: Tracks, rows: Any, time: Any, often: bool) -> Bank:
    rows = np.asarray(rows, int)
    if len(rows) == 0:
        return Bank.empty()
    since, low = time - tracks.time[rows], np.empty(len(rows), bool)
    foresight.braked(rows, tracks.x, since, low)
    if often:
        starts, which = np.unique(2 * rows + low, return_inverse=True)
        start, pause, falls = _started(tracks, *np.divmod(starts, 2))
        then = filters.predict_often(start, which, time, _relight(pause[which], since))
        falls = falls[which]
    else:
        start, pause, falls = _started(tracks, rows, low)
        then = filters.predict(start, time, _relight(pause, since))
    foresight.weigh_some(np.flatnonzero(falls), RARELY, then.x, then.P, then.mu, then.x6, then.P6)  # in place: nobody else has it yet
    return then


def _started(tracks: Tracks, rows: np.ndarray, low: np.ndarray) -> tuple[Bank, np.ndarray, np.ndarray]:
    """Rows (n,) as filter states, those that fall braked where they are ``low``; the chance of a further stage, and whether they fall."""
    n = len(rows)
    start, pause, falls = filters.room(n), np.empty(n), np.empty(n, bool)
    said = (getattr(tracks, name) for name in _SAID)
    foresight.started(rows, low, BURNT_OUT, FREELY, PRIORS, *said, *vars(start).values(), pause, falls)
    return start, pause, falls


def _relight(pause: np.ndarray, since: np.ndarray) -> Any:
    """`relight_within`, which is 0 where no further stage is expected, as mostly."""
    return relight_within(pause, since) if pause.any() else 0.0


class Ahead:
    """Rows as they will be at the ``times (n,)`` s of a run, rising, predicted for many times at once.

    Which rows may stand in a book at a time is known before: of each local track the newest that a node has heard, until it is
    surely over.
    """

    def __init__(self, tracks: Tracks, feeds: list[tuple[np.ndarray, np.ndarray, float]], times: np.ndarray) -> None:
        """``feeds``: of each node when (n,) s, rising, it hears which row (n,), and for how many s more at most that stands."""
        self.tracks, self.times = tracks, times
        none = np.zeros(0, int)
        rows, begin, over = (np.concatenate(c) for c in zip((none, none, none), *(self._standing(*f) for f in feeds), strict=True))
        order = np.argsort(begin, kind="stable")
        self.rows, self.begin, self.over = rows[order], begin[order], over[order]  # stands at the times begin until before over
        self.longest = int((over - begin).max(initial=0))
        n = len(times) + 1
        self.stand = np.cumsum(np.cumsum(np.bincount(begin, minlength=n) - np.bincount(over, minlength=n)))  # at all times so far
        self.until = 0  # until before which time is predicted
        self.key, self.block = none, Bank.empty()  # for which times and rows

    def _standing(self, when: np.ndarray, rows: np.ndarray, wait: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A node's rows, and for each from which time on until before which it may be the newest of its track."""
        begin, over = np.searchsorted(self.times, when), np.searchsorted(self.times, when + wait, side="right")
        local = np.argsort(self.tracks.node[rows].astype(np.int64) * 10**9 + self.tracks.track[rows], kind="stable")
        track, source = self.tracks.track[rows[local]], self.tracks.node[rows[local]]
        same = (track[1:] == track[:-1]) & (source[1:] == source[:-1])
        over[local[:-1][same]] = np.minimum(over[local[:-1]], begin[local[1:]])[same]
        stands = over > begin
        return rows[stands], begin[stands], over[stands]

    def reach(self, k: int) -> int:
        """Until before which time all is predicted that may stand from the time k on; times are gone through in their order."""
        if k >= self.until:
            self._predict(k)
        return self.until

    def bank(self, k: Any, rows: np.ndarray) -> Bank:
        """Rows at the times ``k`` (number, scalar or (n,)) that have been reached; time and then row rise."""
        place = self._places(k, rows)
        if place is None:  # a feed that goes back in time
            return predicted_often(self.tracks, rows, self.times[k])
        return self.block if len(place) == len(self.block) else self.block[place]

    def moments(self, k: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means (n, 6) and covariances (n, 6, 6) of `bank`, in any order."""
        place = self._places(k, rows)
        if place is None:
            then = predicted_often(self.tracks, rows, self.times[k])
            return then.x6, then.P6
        return self.block.x6[place], self.block.P6[place]

    def _places(self, k: Any, rows: np.ndarray) -> np.ndarray | None:
        """Where in the block rows stand at times; None where some do not."""
        wanted = k * len(self.tracks) + rows
        place = np.minimum(self.key.searchsorted(wanted), len(self.key) - 1)
        return place if len(self.key) and (self.key[place] == wanted).all() else None

    def _predict(self, k: int) -> None:
        """All that may stand at the time k, and at those behind it as long as it is not too much."""
        before = self.stand[k - 1] if k else 0
        self.until = min(max(k + 1, int(np.searchsorted(self.stand, before + AT_ONCE, side="right"))), len(self.times))
        some = slice(*np.searchsorted(self.begin, (k - self.longest, self.until)))
        begin = np.maximum(self.begin[some], k)
        count = np.maximum(np.minimum(self.over[some], self.until) - begin, 0)
        which = np.repeat(np.arange(len(count)), count)
        at = begin[which] + np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        self.key = np.unique(at * len(self.tracks) + self.rows[some][which])
        time, row = np.divmod(self.key, max(len(self.tracks), 1))
        self.block = predicted_often(self.tracks, row, self.times[time])
