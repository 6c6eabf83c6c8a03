"""Local tracks as a node knows them: when they are heard of, for how long they stay in its picture, and which number waits for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from copfuse.atmosphere import density
from copfuse.frames import altitude

HOLD = 30.0  # s: a local track whose newest row is older (beyond what the link delays) has left the picture, young ones sooner,
# what falls foreseen (`coasting.foreseen_for`) later
SILENT = 10.0  # s behind its source's newest row after which a local track may have a successor from the same source
RETURN = 1800.0  # s for which the number of a local track that has left the picture is kept for it, *notional*
BESIDE = (3.0, 0.3)  # s, and share of its life, that a track lasts while its source hears of another beside it and not of it, *notional*
LIGHT = 100.0  # kg/m^2: what falls has no smaller ballistic coefficient, *notional*
Entries = dict[tuple[int, int], "Entry"]  # by source and track


@dataclass
class Entry:
    """One local track as a node knows it: its newest row, the time s of the first row heard and of the newest, when that was heard,
    the system track that it stands in (negative: none yet), whether its source has heard of another one beside it since, whether the
    air may have braked it unheard (`note_braked`), whether it is too blurred to be one more object (`correlation`), and for how many s
    after its newest row its fall is foreseen (`coasting.foreseen_for`)."""

    source: int
    row: int
    first: float
    last: float
    heard: float
    system: int = -1
    beside: bool = False
    braked: bool = False
    faint: bool = False
    foreseen: float = 0.0


def note(entries: Entries, source: int, track: int, time: float, row: int, when: float, foreseen: float = 0.0) -> None:
    """Take a row in; one that is older than what is known of its track (out of order) is passed over."""
    known = entries.get((source, track))
    if known is None:
        entries[source, track] = Entry(source, row, time, time, when, foreseen=foreseen)
    elif time > known.last:
        known.row, known.last, known.heard, known.foreseen, known.beside, known.braked = row, time, when, foreseen, False, False


def stays(e: Entry, time: float, rest: float) -> bool:
    """Whether a local track is not yet over at a time s; its source, which reports in slots, may rest ``rest`` s between them."""
    return time - e.heard <= max(patience(e), rest) and time - e.last <= max(2 * HOLD + rest, e.foreseen)


def patience(e: Entry) -> float:
    """For how many s a local track of which nothing more is heard stays in the picture: `HOLD`, or for as long as its fall is foreseen,
    but little more than it has lived.

    What lived for some seconds tells little of where it went; and where its source has gone on hearing of another one beside it,
    it was most likely made of plots of several objects, and is over.
    """
    lived = e.last - e.first
    return min(HOLD, BESIDE[0] + BESIDE[1] * lived) if e.beside else min(max(HOLD, e.foreseen), SILENT + lived)


def take_back(entries: Entries, left: Entries) -> bool:
    """Give those that have ``left`` the picture and are heard again their numbers, in place: their sources have followed them unseen.

    Where another one of the same source stands by now, it keeps the number.  Whether there were any: they may belong elsewhere by now.
    """
    back = left.keys() & entries.keys()
    for key in back:
        entry, old = entries[key], left.pop(key)
        entry.first = old.first
        if all((e.source, e.system) != (old.source, old.system) for e in entries.values()):
            entry.system = old.system
    return bool(back)


def remembered(left: Entries, time: float) -> Entries:
    """Those of which something was heard not too long before a time s, so that the memory that this needs does not grow."""
    return {key: e for key, e in left.items() if time - e.heard <= RETURN}


def note_braked(entries: list[Entry], i: np.ndarray, j: np.ndarray, x: np.ndarray, time: float) -> bool:
    """Note, in place, of pairs i, j of entries that stand together and are too far apart at a time s which ones the air may have braked so
    much since they were heard of: whether there are any.

    ``x (n, 6)``: where the entries should be then.  Nobody knows a piece's ballistic coefficient, which may be a hundredth of a warhead's,
    before the air is felt; who has seen it since knows better.
    """
    falls, found = np.einsum("na,na->n", x[:, :3], x[:, 3:]) < 0.0, False
    for pair in zip(i.tolist(), j.tolist(), strict=True):
        old, new = sorted(pair, key=lambda k: entries[k].last)
        if falls[old] and falls[new] and not entries[old].braked and entries[old].last < entries[new].last:
            apart, speed = np.linalg.norm(x[old, :3] - x[new, :3]), np.linalg.norm(x[[old, new], 3:], axis=1).max()
            drag, unheard = density(altitude(x[[old, new]]).min()) * speed**2 / (2.0 * LIGHT), time - entries[old].last
            if apart < min(0.5 * drag * unheard, speed) * unheard:
                entries[old].braked = found = True
    return found


def visible(entries: list[Entry]) -> list[Entry]:
    """Those without what the air may have braked unheard, where another one stands for the same object."""
    if not any([e.braked for e in entries]):  # as it is nearly always
        return entries
    stands = {e.system for e in entries if not e.braked}
    return [e for e in entries if not e.braked or e.system not in stands]
