"""What a reproduction says: simulated beside published with the difference, and what each regime changes, with intervals."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np

from copfuse import intervals, report
from copfuse.console import aligned
from copfuse.constants import NATIONS
from copfuse.sheets import NOTIONAL, TITLES, provenance
from copfuse.sighted import OUTCOMES, SEEN

BASE = "none"
MANY = 6  # launches: of more, sentences are over all of them
SIMULATED = "Simulated beside published"
UNITS = (("_s", "s"), ("_km", "km"), ("_m", "m"))
CONCLUDED = ("first_plot_s", "firm_s", "held_until_s")  # of which sentences are made
SHARES = ("seen", "missed")  # quantities that are 1 or 0 in a seed
# Column, what its gain is called, and the factor of the second less the first
GAINS = (
    ("first_plot_s", "own first plot, s earlier", -1.0),
    ("firm_s", "firm track, s earlier", -1.0),
    ("ellipse50_s", "50 km ellipse, s earlier", -1.0),
    ("held_until_s", "held longer, s", 1.0),
    ("custody", "custody, % more", 100.0),
    ("midcourse_rms_m", "midcourse error, m smaller", -1.0),
)


class Line(NamedTuple):
    """One published thing beside the simulated one; texts."""

    what: str
    published: str
    simulated: str
    difference: str
    source: str


def against_published(rep: Any) -> list[Line]:
    """Every published thing of a study beside what came out."""
    return [_line(rep, p) for p in rep.spec.published if not p.launch or p.launch in rep.flown]


def _line(rep: Any, p: Any) -> Line:
    unit = next((unit for end, unit in UNITS if p.quantity.endswith(end)), "")
    said = p.said or ("never" if p.never else f"{_figure(p.value)} {unit}".strip() if p.value is not None else "")
    if not p.quantity:
        return Line(p.what, said, "not simulated", "-", p.source)
    value = rep.of(p.quantity, who=p.who, launch=p.launch, variant=p.variant, regime=p.regime)
    if p.total:
        seed = rep.findings["seed"][_chosen(rep, p)]
        value = np.array([value[seed == k].sum() for k in np.unique(seed)])
    good = value[np.isfinite(value)]
    if len(value) == 0:
        return Line(p.what, said, "not flown", "-", p.source)
    if p.total and rep.meta["left_out"]:  # a sum over some launches says nothing of one over all
        return Line(p.what, said, _spread(good, len(value), unit, True), f"- ({rep.meta['left_out']} launches left out)", p.source)
    if p.never:
        agrees = "agrees" if len(good) == 0 else f"disagrees: seen in {len(good)} of {len(value)} seeds"
        return Line(p.what, said, _never(value, good, unit), agrees, p.source)
    if len(good) == 0:
        return Line(p.what, said, f"never in {len(value)} seeds", "disagrees: never" if p.value is not None else "-", p.source)
    if p.quantity in SHARES and not p.total:
        told = f"in {int(good.sum())} of {len(good)} seeds"
        return Line(p.what, said, told, "-" if p.value is None else f"{100.0 * (good.mean() - p.value):+.0f} % of the seeds", p.source)
    if p.above:
        more = int(np.count_nonzero(good > p.value))
        word = "agrees" if more == len(good) else "disagrees" if more == 0 else "agrees in part"
        return Line(p.what, said, _spread(good, len(value), unit, False), f"{word}: {more} of {len(value)} seeds", p.source)
    return Line(p.what, said, _spread(good, len(value), unit, p.total), _difference(good, p.value, unit, p.total), p.source)


def _chosen(rep: Any, p: Any) -> np.ndarray:
    rows = rep.findings["quantity"] == p.quantity
    for column in ("who", "launch", "variant", "regime"):
        if getattr(p, column):
            rows &= rep.findings[column] == getattr(p, column)
    return rows


def _never(value: np.ndarray, good: np.ndarray, unit: str) -> str:
    if len(good) == 0:
        return f"never in {len(value)} seeds" if len(value) > 1 else "never"
    return f"in {len(good)} of {len(value)} seeds, median {_figure(float(np.median(good)))} {unit}".rstrip()


def _spread(good: np.ndarray, n: int, unit: str, mean: bool) -> str:
    low, middle, high = np.quantile(good, (0.05, 0.5, 0.95))
    middle = float(good.mean()) if mean else middle
    if high - low < 1e-9:
        told = f"{_figure(middle)} {unit}".rstrip()
    else:
        told = f"{_figure(middle)} {unit}".rstrip() + f" ({_figure(low)} to {_figure(high)})"
    return told if len(good) == n else f"{told}, never in {n - len(good)} of {n} seeds"


def _difference(good: np.ndarray, published: float | None, unit: str, mean: bool) -> str:
    """How far the simulated median (or mean) is from the published figure, and whether that is within what seeds spread."""
    if published is None:
        return "-"
    low, middle, high = np.quantile(good, (0.05, 0.5, 0.95))
    off = float(good.mean() if mean else middle) - published
    share = f" ({100.0 * off / abs(published):+.0f} %)" if published else ""
    inside = ", within the spread of the seeds" if low <= published <= high and high > low else ""
    return f"{off:+.{0 if abs(off) >= 10 else 1}f} {unit}".rstrip() + share + inside


def _figure(value: Any) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


# What regimes change --------------------------------------------------------------------------------------------------


def nodes(rep: Any) -> list[str]:
    """The nations that ever had a firm track: where a laydown is one nation's alone, the others have none to tell of."""
    return [node for node in NATIONS if np.isfinite(rep.of("firm_s", who=node)).any()]


def comparisons(rep: Any) -> list[tuple[dict[str, str], dict[str, str]]]:
    """What is compared with what: every regime with none, or, where there is one regime, every laydown with the first."""
    laid = list(dict.fromkeys(rep.findings["variant"][rep.findings["regime"] != ""].tolist()))
    regimes = list(rep.spec.regimes)
    if BASE in regimes and len(regimes) > 1:
        return [(dict(variant=v, regime=BASE), dict(variant=v, regime=r)) for v in laid for r in regimes if r != BASE]
    return [(dict(variant=laid[0], regime=r), dict(variant=v, regime=r)) for r in regimes for v in laid[1:]]


def gains(rep: Any) -> list[list[str]]:
    """Per launch and node, and over all launches: the differences of `GAINS` on the same seeds, with 95 % intervals."""
    lines = []
    for launch in _each(rep):
        for base, other in comparisons(rep):
            for node in nodes(rep):
                cells = [_gain(*_pair(rep, gain, launch, node, base, other), _names(base, other)) for gain in GAINS]
                if not all(cell == "never" for cell in cells):
                    lines.append([launch, node, _against(base, other), *cells])
    return lines


ALL = "all launches"
INTERVALS = "Mean difference on the same seeds [95 % bootstrap interval over seeds, of all launches over launches; few: too few for one]"


def _each(rep: Any) -> list[str]:
    return [*rep.flown, *([ALL] if len(rep.flown) > 1 else [])]


def _against(base: dict[str, str], other: dict[str, str]) -> str:
    return "{1} against {0}".format(*_names(base, other))


def _names(base: dict[str, str], other: dict[str, str]) -> tuple[str, str]:
    """What sets the two sides apart: their regimes or their laydowns."""
    name = "regime" if base["regime"] != other["regime"] else "variant"
    return base[name], other[name]


Pair = tuple[np.ndarray, np.ndarray, np.ndarray]  # the first and the second (n,), and what belongs together in resampling


def _pair(rep: Any, gain: Any, launch: str, node: str, base: dict[str, str], other: dict[str, str]) -> Pair:
    """Over one launch seeds are resampled, over all launches launches."""
    quantity, _, sign = gain
    which = list(rep.flown) if launch == ALL else [launch]
    pairs = [[sign * rep.of(quantity, launch=one, who=node, **side) for side in (base, other)] for one in which]
    first, second = (np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))
    seeds = np.concatenate([np.arange(len(pair[0])) if launch != ALL else np.full(len(pair[0]), i) for i, pair in enumerate(pairs)])
    return first, second, seeds


def _gain(base: np.ndarray, other: np.ndarray, cluster: np.ndarray, names: tuple[str, str]) -> str:
    had, has = np.isfinite(base), np.isfinite(other)
    if not (had & has).any():
        return f"only {names[1]}" if has.any() else f"only {names[0]}" if had.any() else "never"
    found = intervals.bootstrap((other - base)[had & has], cluster[had & has])
    return f"{found.value + 0.0:+.1f} " + (f"[{found.low:+.1f}, {found.high:+.1f}]" if found.low == found.low else "[few]")


def conclusions(rep: Any) -> list[str]:
    """One sentence per launch (of many: over all) and comparison on what the intervals carry of the track's start and end."""
    told, few = [], False
    for launch in [ALL] if len(rep.flown) > MANY else rep.flown:
        for base, other in comparisons(rep):
            parts = []
            for node in nodes(rep):
                for gain in (g for g in GAINS if g[0] in CONCLUDED):
                    first, second, cluster = _pair(rep, gain, launch, node, base, other)
                    both = np.isfinite(first) & np.isfinite(second)
                    found = intervals.bootstrap((second - first)[both], cluster[both])
                    few |= bool(both.any()) and found.low != found.low
                    parts += [f"{TITLES[node]} {gain[1]}: {_carried(found)}"] if found.low == found.low else []
            told += [f"{launch}, {_against(base, other)}: {'; '.join(parts)}."] if parts else []
    if few:
        what = "launches" if len(rep.flown) > MANY else "seeds"
        told.append(f"Where there are fewer than {intervals.LEAST} {what} there is no interval, and nothing is concluded.")
    return told


def _carried(found: intervals.Interval) -> str:
    ends = f"95 % {found.low:+.1f} to {found.high:+.1f}"
    return f"{found.value:+.1f} ({ends})" if found.sure else f"no difference shown ({ends})"


def medians(rep: Any) -> list[list[str]]:
    """Per launch, laydown, regime and node: median moments s after ignition, custody, and s left at the firm track."""
    lines = []
    names = ("first_plot_s", "firm_s", "ellipse50_s", "held_until_s", "custody", "firm_left_s", "pass_left_s")
    f = rep.findings
    for launch in rep.flown:
        for variant in dict.fromkeys(f["variant"][f["regime"] != ""].tolist()):
            for regime in rep.spec.regimes:
                for node in nodes(rep):
                    value = [rep.of(name, launch=launch, variant=variant, regime=regime, who=node) for name in names]
                    cells = [f"{100 * _median(v):.0f}" if name == "custody" else _cell(v) for name, v in zip(names, value, strict=True)]
                    lines.append([launch, variant, regime, node, *cells])
    return lines


MEDIANS = ("launch", "laydown", "regime", "node", "first plot s", "firm s", "50 km ellipse s", "held until s", "custody %",
           "left at firm s", "left to passing s")  # fmt: skip


def _median(value: np.ndarray) -> float:
    good = value[np.isfinite(value)]
    return float(np.median(good)) if len(good) else 0.0


def _cell(value: np.ndarray) -> str:
    """The median where at least half of the seeds have one."""
    return f"{_median(value):.0f}" if len(value) and 2 * np.count_nonzero(np.isfinite(value)) >= len(value) else "-"


def sides(rep: Any) -> list[list[str]]:
    """Per launch, laydown and side: in how many seeds it was seen, when first, and the commonest cause where not."""
    lines = []
    for launch in rep.flown:
        for variant in dict.fromkeys(rep.findings["variant"][rep.findings["quantity"] == SEEN].tolist()):
            for side in rep.spec.side:
                where = dict(launch=launch, variant=variant, who=side.name)
                seen, first, cause = (rep.of(name, **where) for name in ("seen", "first_plot_s", "cause"))
                if len(seen) == 0:
                    continue
                missed = cause[seen == 0.0].astype(int)
                why = OUTCOMES[int(np.bincount(missed).argmax())] if len(missed) else ""
                lines.append([launch, variant, side.name, f"{int(seen.sum())} of {len(seen)}", _cell(first), why])
    return lines


SIDES = ("launch", "laydown", "side", "seeds that saw it", "first plot s", "else mostly")


# Pages and prints -----------------------------------------------------------------------------------------------------


def parts(rep: Any) -> list[tuple[str, str]]:
    """Headings and HTML of a reproduction's report, without its figure."""
    made = [("What was asked", report.paragraphs([rep.spec.asked, rep.spec.text]))]
    for heading, heads, lines, caption in tables(rep):
        made.append((heading, report.table(heads, lines, caption, rep.meta)))
    told = conclusions(rep)
    if told:
        made.append(("What the intervals carry", report.paragraphs(told, "li")))
    return [*made, ("Assumed, and left out", report.paragraphs([*rep.spec.assumed, *report.NOTES[:2], *report.NOTES[3:5]], "li"))]


def tables(rep: Any) -> list[tuple[str, tuple[str, ...], list[list[str]], str]]:
    """Heading, heads, lines and caption of every table of a reproduction."""
    made: list[tuple[str, tuple[str, ...], list[list[str]], str]] = []
    lines = [list(line) for line in against_published(rep)]
    simulated = "simulated: median, of sums the mean (5 to 95 % of seeds)"
    heads: tuple[str, ...] = ("what", "published", simulated, "simulated less published", "source")
    made += [(SIMULATED, heads, lines, "Where the simulation disagrees with what was published, and by how much")] if lines else []
    if rep.spec.side:
        made.append(
            ("Who saw what, and why not", SIDES, sides(rep), "Plots of true missiles only; cause where it was missed in most seeds")
        )
    if rep.spec.regimes:
        made.append(
            (
                "Who had what when",
                *_told_apart(MEDIANS, medians(rep)),
                "Medians over seeds, s after ignition; - where less than half have it",
            )
        )
        lines = gains(rep)
        heads = ("launch", "nation", "comparison", *(word for _, word, _ in GAINS))
        made += (
            [
                (
                    "Compared",
                    heads,
                    lines,
                    INTERVALS,
                )
            ]
            if lines
            else []
        )
    return made


def _told_apart(heads: tuple[str, ...], lines: list[list[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Heads and lines without columns that would be empty or, of laydowns, always the same."""
    keep = [
        k for k, head in enumerate(heads) if len({line[k] for line in lines} - ({"-"} if head in MEDIANS else set())) > (head == "laydown")
    ]
    return tuple(heads[k] for k in keep), [[line[k] for k in keep] for line in lines]


def text(rep: Any) -> str:
    """A reproduction as printed: title, what was published, tables, what is assumed, notional note and provenance."""
    made = [rep.spec.title, "", *textwrap.wrap(" ".join(f"{rep.spec.asked} {rep.spec.text}".split()), 110), ""]
    for heading, heads, lines, caption in tables(rep):
        made += [f"{heading}: {caption}", aligned(heads, lines), ""]
    made += [*conclusions(rep), ""] if conclusions(rep) else []
    for sentence in rep.spec.assumed:
        made += textwrap.wrap(f"- {sentence}", 110, subsequent_indent="  ")
    return "\n".join([*made, "", f"{NOTIONAL[:1].upper()}{NOTIONAL[1:]}.", provenance(rep.meta)])
