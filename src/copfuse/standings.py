"""What is said of a contest: its tables as text, the paired differences with their intervals, and the rows of its files.

Means over cases are over those that an entrant finished, so lines with fewer cases are of other cases too; the paired differences are
over what both finished.  They weigh cases equally, as a raid's hundred missiles would otherwise be most of the sum, and resample flights
with all their cases (`intervals.bootstrap`): missiles of one case share plots and luck, and cases of one flight differ in one thing only.
Intervals hold for more cases such as these, not for other kinds of flight.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from copfuse import judging
from copfuse.arena import NOT_RUN, Result
from copfuse.console import write_csv
from copfuse.constants import PHASES
from copfuse.intervals import LEAST, Interval, bootstrap, plural
from copfuse.tables import replacing

WIDTH, WORDS = 140, 10  # of the page, and of the longest cell that is no sentence
NEVER, NOTHING = "never", "-"
# Figure, its head, unit and the factor from SI
QUALITY = (
    ("gospa", "GOSPA", "km", 1e-3), ("localisation", "local", "km", 1e-3), ("missed", "missed", "km", 1e-3),
    ("false", "false", "km", 1e-3),
    ("completeness", "compl.", "%", 100.0), ("ambiguity", "ambig.", "1", 1.0), ("spuriousness", "spur.", "%", 100.0),
    ("longest_segment", "longest", "%", 100.0), ("anees", "ANEES", "1", 1.0),
    ("boost_over_bound", "boost", "/bound", 1.0), ("midcourse_over_bound", "midc.", "/bound", 1.0),
    ("terminal_over_bound", "term.", "/bound", 1.0), ("glide_over_bound", "glide", "/bound", 1.0),
    ("ellipse_coverage", "ellipse", "%", 100.0), ("firm_s", "firm", "s", 1.0), ("ellipse50_s", "50 km", "s", 1.0),
)  # fmt: skip
TIMES = ("firm_s", "ellipse50_s")
RATIOS = ("anees", *(f"{phase}_over_bound" for phase in PHASES))  # of which half is as far off as twice
UNITS = {"gospa": "_m", "localisation": "_m", "missed": "_m", "false": "_m", "position_rmse": "_m"}  # of the files, SI
COSTS = ("us_per_scan", "peak_mb", "cold_s", "warm_s")
QUALITY_NOTE = (
    "Means over the cases done, of ANEES and /bound geometric ones. GOSPA (order 2, cut-off 10 km, alpha 2): root mean square over the "
    "picture times; its square is the sum of those of localisation, missed and false. SIAP: compl(eteness), ambig(uity: tracks per object"
    " held), spur(iousness: tracks of nothing), longest: share of its flight for which one track holds a missile. ANEES: per component, 1"
    " is right. boost to glide: root mean square of position error over Cramer-Rao bound (PCRLB) of the filters' model of motion, where a"
    " missile is held; flights that do less than it allows, as in boost, can be below 1. ellipse: forecasts whose 95 % ellipse holds the "
    "impact. firm, 50 km: first firm track, and first impact ellipse below 50 km, s after ignition, median over missiles."
)
COST_NOTE = (
    "CPU microseconds per scan (one sensor at one time), one thread: geometric mean over cases; ratio: the same over the cases that both "
    "finished. Memory: the most of any case, of the whole process. Cold start: from nothing to the first picture of {first}, on the clock, "
    "kernels compiled before; warm: the same picture again."
)
PAIRED_NOTE = (
    "Per missile, mean over cases that both finished, each case weighing the same; 95 % bootstrap interval over flights (several cases may "
    "be of one), widened for few; [few]: below {least} flights there is none. Negative GOSPA is better, positive completeness is better. "
    "Each interval stands for itself: of twenty equal entrants one is called different."
)


@dataclass(frozen=True, eq=False)
class Contest:
    """All results, entrants outermost, in the table's order; ``about`` has a sentence per entrant and per case, ``meta`` the header.

    ``stopped``: Ctrl-C came before the end.
    """

    entrants: tuple[str, ...]
    cases: tuple[str, ...]
    reference: str
    results: tuple[Result, ...]
    about: dict[str, str]
    flights: dict[str, str] = field(default_factory=dict)  # by case what flies in it: cases that share it are not independent
    meta: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False

    def of(self, entrant: str, case: str) -> Result:
        """One cell."""
        return self.results[self.entrants.index(entrant) * len(self.cases) + self.cases.index(case)]

    def __str__(self) -> str:
        return text(self)


class Sheet(NamedTuple):
    """One table: ``heads`` of one or two lines each, cells as text, the first column to the left."""

    title: str
    heads: list[str]
    lines: list[list[str]]
    note: str = ""


class Paired(NamedTuple):
    """An entrant against the reference; differences in GOSPA m and completeness (share) per missile."""

    entrant: str
    flights: int
    cases: int
    missiles: int
    gospa: Interval
    completeness: Interval


# Tables --------------------------------------------------------------------------------------------------------------


def sheets(contest: Contest) -> list[Sheet]:
    """Every table, in the order of reading."""
    return [quality(contest), cost(contest), against(contest), *(by_case(contest, name) for name in ("gospa", "completeness"))]


def quality(contest: Contest) -> Sheet:
    """Per entrant over its cases."""
    heads = ["entrant", "cases\ndone", *(f"{head}\n{unit}" for _, head, unit, _ in QUALITY)]
    lines = []
    for name in contest.entrants:
        done = finished(contest, name)
        cells = [figure(factor * over_cases(done, key)) for key, _, _, factor in QUALITY]
        lines.append([label(contest, name), f"{len(done)}/{len(contest.cases)}", *cells])
    return Sheet("How well: per entrant over all cases", heads, lines, QUALITY_NOTE)


def cost(contest: Contest) -> Sheet:
    """Per entrant: time and memory."""
    begun = contest.meta.get("first", contest.cases[0] if contest.cases else "")
    heads = ["entrant", "CPU per scan\nmicroseconds", f"ratio\nto {contest.reference}", "peak memory\nMB", "cold start\ns", "warm\ns",
             "not finished"]  # fmt: skip
    lines = []
    for name in contest.entrants:
        done, first = finished(contest, name), contest.of(name, begun)
        failed = [r.status for r in _row(contest, name) if r.status]
        counted = {word: sum(s.startswith(word) for s in failed) for word in ("stopped", "failed", NOT_RUN)}
        told = ", ".join(f"{count} {word}" for word, count in counted.items() if count)
        lines.append([
            label(contest, name), figure(geometric([r.us_per_scan for r in done])), figure(ratio_to_reference(contest, name)),
            figure(max((r.peak_mb for r in done), default=math.nan)), figure(first.cold_s), figure(first.warm_s), told or "",
        ])  # fmt: skip
    return Sheet("How fast", heads, lines, COST_NOTE.format(first=begun))


def by_case(contest: Contest, name: str) -> Sheet:
    """One figure: a line per case, a column per entrant."""
    _, head, unit, factor = next(q for q in QUALITY if q[0] == name)
    title = {"gospa": "GOSPA", "completeness": "Completeness"}.get(name, head)
    lines = [
        [case, *(_cell(contest.of(entrant, case), name, factor) for entrant in contest.entrants)] for case in contest.cases
    ]  # fmt: skip
    return Sheet(f"{title} by case, {unit}", ["case", *(_folded(label(contest, e)) for e in contest.entrants)], lines)


def against(contest: Contest) -> Sheet:
    """Paired differences from the reference, and what their intervals carry."""
    heads = [
        "entrant",
        "flights",
        "cases",
        "missiles",
        "GOSPA, km\n[95 % interval]",
        "completeness, %\n[95 % interval]",
        "shown by the interval",
    ]
    lines = [
        [
            label(contest, p.entrant),
            str(p.flights),
            str(p.cases),
            str(p.missiles),
            interval(p.gospa, 1e-3),
            interval(p.completeness, 100.0),
            conclusion(p),
        ]
        for p in paired(contest)
    ]
    return Sheet(f"Difference from {contest.reference} per missile", heads, lines, PAIRED_NOTE.format(least=LEAST))


def conclusion(found: Paired) -> str:
    """What the intervals carry, and nothing else."""
    if found.cases == 0:
        return "nothing to compare"
    if math.isnan(found.gospa.low):
        return "too few flights to say"
    gospa = {-1: "GOSPA smaller", 1: "GOSPA larger", 0: ""}[found.gospa.sure]
    held = {-1: "less complete", 1: "more complete", 0: ""}[found.completeness.sure]
    return ", ".join(word for word in (gospa, held) if word) or "no difference shown"


def paired(contest: Contest) -> list[Paired]:
    """Every other entrant against the reference, missile by missile of the cases that both finished."""
    made = []
    for name in [e for e in contest.entrants if e != contest.reference]:
        found: dict[str, list[float]] = {"gospa": [], "completeness": []}
        cases, missiles = list[str](), 0
        for case in contest.cases:
            ours, theirs = contest.of(name, case).judged, contest.of(contest.reference, case).judged
            if ours and theirs and ours.missiles:
                missiles += len(ours.missiles)
                cases.append(case)
                for key, values in found.items():
                    values.append(float(np.nanmean([a[key] - b[key] for a, b in zip(ours.missiles, theirs.missiles, strict=True)])))
        flights = [contest.flights.get(case, case) for case in cases]
        differences = (bootstrap(values, flights) for values in found.values())
        made.append(Paired(name, len(set(flights)), len(cases), missiles, *differences))
    return made


def ratio_to_reference(contest: Contest, name: str) -> float:
    """How many times the reference's CPU time a scan takes: geometric mean over the cases that both finished."""
    pairs = [(contest.of(name, case), contest.of(contest.reference, case)) for case in contest.cases]
    return geometric([a.us_per_scan / b.us_per_scan for a, b in pairs if not (a.status or b.status)])


def finished(contest: Contest, name: str) -> list[Result]:
    """An entrant's results that have a picture."""
    return [r for r in _row(contest, name) if not r.status]


def over_cases(done: Sequence[Result], key: str) -> float:
    """The mean of a figure over cases, of ratios geometric; of a time the median over their missiles, nan where none tells it."""
    if key in RATIOS:
        return geometric([r.figure(key) for r in done])
    if key not in TIMES:
        return judging.mean([r.figure(key) for r in done])
    told = [r.judged.missiles for r in done if r.judged and not math.isnan(r.figure(key))]
    return judging.median([m[key] for missiles in told for m in missiles])


def troubles(contest: Contest) -> list[str]:
    """A sentence on each cell that has no figures, cells with the same words together; and on what was left out."""
    said: dict[tuple[str, str], list[str]] = {}
    for r in contest.results:
        if r.status and r.status != NOT_RUN:
            said.setdefault((r.entrant, r.status), []).append(r.case)
    told = [f"{entrant} on {', '.join(cases)}: {status}" for (entrant, status), cases in said.items()]
    return told + [f"left out: {why}" for why in contest.meta.get("left_out", {}).values()]


def label(contest: Contest, name: str) -> str:
    """A user's entrant by its function alone, where no other is called so."""
    short = name.rpartition(":")[2]
    return short if sum(e.rpartition(":")[2] == short for e in contest.entrants) == 1 else name


def header(contest: Contest) -> list[str]:
    """Machine, versions, date, command, and that all is notional."""
    meta = contest.meta
    size = f"{plural(len(contest.entrants), 'entrant')}, {plural(len(contest.cases), 'case')}"
    lines = [f"copfuse bench: {size}, {meta.get('date', '')}, copfuse {meta.get('copfuse', '')} (code {str(meta.get('source', ''))[:12]})",
             str(meta.get("machine", "")), str(meta.get("note", "")), f"Made by: {meta.get('command', '')}"]  # fmt: skip
    lines += [f"{label(contest, e)}: {e}" for e in contest.entrants if label(contest, e) != e]
    if contest.stopped:
        lines.append(f"Stopped by Ctrl-C: {sum(r.status == NOT_RUN for r in contest.results)} of {len(contest.results)} were not run.")
    return lines


# Text ----------------------------------------------------------------------------------------------------------------


def text(contest: Contest) -> str:
    """All that is printed."""
    parts = ["\n".join(header(contest))]
    for sheet in sheets(contest):
        note = textwrap.fill(sheet.note, WIDTH)
        parts.append(f"{sheet.title}\n{columned(sheet.heads, sheet.lines)}" + (f"\n{note}" if note else ""))
    return "\n\n".join(parts + (["\n".join(troubles(contest))] if troubles(contest) else []))


def columned(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A plain table; heads may have several lines; the first column, and any with words in most cells, to the left."""
    rows = max(head.count("\n") for head in heads) + 1
    top = [[""] * (rows - 1 - head.count("\n")) + head.split("\n") for head in heads]
    cells = [*([part[k] for part in top] for k in range(rows)), *lines]
    widths = [max(len(row[k]) for row in cells) for k in range(len(heads))]
    left = [k == 0 or any(len(line[k]) > WORDS and line[k][:1].isalpha() for line in lines) for k in range(len(heads))]
    return "\n".join(
        "  ".join(c.ljust(w) if to_left else c.rjust(w) for c, w, to_left in zip(row, widths, left, strict=True)).rstrip() for row in cells
    )


def figure(value: float) -> str:
    """Three digits or so; "-" for nan, "never" for inf."""
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return NEVER
    return f"{value:.2f}" if abs(value) < 9.995 else f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"


def interval(found: Interval, factor: float) -> str:
    """ "-0.12 [-0.30, 0.05]"."""
    if math.isnan(found.value):
        return NOTHING
    value, low, high = (f"{round(factor * v, 2) + 0.0:+.2f}" for v in (found.value, found.low, found.high))
    return f"{value} [few]" if math.isnan(found.low) else f"{value} [{low}, {high}]"


def _cell(result: Result, name: str, factor: float) -> str:
    if result.status == NOT_RUN:
        return NOT_RUN
    return result.status.split(" ")[0].rstrip(":") if result.status else figure(factor * result.figure(name))


def _folded(name: str) -> str:
    """A long name on two lines."""
    return name.replace("-", "-\n", 1) if len(name) > 8 else name


def _row(contest: Contest, name: str) -> list[Result]:
    return [contest.of(name, case) for case in contest.cases]


def geometric(values: Sequence[float]) -> float:
    """The geometric mean of those values that are above 0; nan where there is none."""
    good = [v for v in values if v > 0.0]
    return math.exp(sum(map(math.log, good)) / len(good)) if good else math.nan


# Files ---------------------------------------------------------------------------------------------------------------


def put_csv(contest: Contest, path: str | Path) -> Path:
    """One row per entrant and case, SI units in the heads; an empty cell is "does not apply", inf "never"."""
    heads = ["entrant", "case", "status", *(_named(key) for key in judging.FIGURES), *COSTS]
    write_csv(Path(path), heads, [[row[head] if row[head] is not None else "" for head in heads] for row in rows(contest, math.inf)])
    return Path(path)


def put_json(contest: Contest, path: str | Path) -> Path:
    """Everything: header, results, missiles, paired differences, tracebacks; null is "does not apply" or, of a time, "never"."""
    missiles = [
        {"entrant": r.entrant, "case": r.case, **{k: _plain(v) for k, v in m.items()}}
        for r in contest.results if r.judged for m in r.judged.missiles
    ]  # fmt: skip
    against = [
        {"entrant": p.entrant, "reference": contest.reference, "flights": p.flights, "cases": p.cases, "missiles": p.missiles,
         "shown": conclusion(p),
         **{f"{key}_{end}": _plain(getattr(value, end)) for key, value in (("gospa_m", p.gospa), ("completeness", p.completeness))
            for end in ("value", "low", "high")}}
        for p in paired(contest)
    ]  # fmt: skip
    about = {"header": {**contest.meta, "reference": contest.reference, "stopped": contest.stopped}, "about": contest.about,
             "entrants": contest.entrants, "cases": contest.cases, "results": rows(contest, None), "missiles": missiles, "paired": against,
             "tracebacks": [{"entrant": r.entrant, "case": r.case, "text": r.traceback} for r in contest.results if r.traceback],
             }  # fmt: skip
    with replacing(path) as temporary:
        Path(temporary).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def rows(contest: Contest, never: float | None) -> list[dict[str, Any]]:
    """One dictionary per entrant and case; None for nan, ``never`` for inf."""
    made = []
    for r in contest.results:
        values = {_named(key): r.figure(key) for key in judging.FIGURES} | {key: getattr(r, key) for key in COSTS}
        plain = {key: None if math.isnan(v) else never if math.isinf(v) else v for key, v in values.items()}
        made.append({"entrant": r.entrant, "case": r.case, "status": r.status, **plain})
    return made


def _named(key: str) -> str:
    return key + UNITS.get(key, "")
