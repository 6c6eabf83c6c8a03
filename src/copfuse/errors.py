"""The one exception that a user's mistake raises; its text is one sentence that helps."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CopfuseError(ValueError):
    """Bad input: the message names the place, the value and what would have worked."""


def suggestion(word: object, choices: Iterable[str], most: int = 12) -> str:
    """The tail of an error sentence: the nearest right spelling, or what exists.

    Returns for example ``"did you mean 'sensors'?"`` or ``"there are: none, realtime, plots"``.
    """
    known = list(choices)
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(known[:most])
    return f"there are: {shown}" + (f", ... ({len(known)} in all)" if len(known) > most else "")
