"""What a reproduction says: simulated beside published with the difference, and what each regime changes, with intervals."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np

from copfuse import report
from copfuse.sheets import NOTIONAL, provenance
from copfuse.sighted import OUTCOMES, SEEN

BASE = "none"
DRAWS = 2000
UNITS = (("_s", "s"), ("_km", "km"), ("_m", "m"))
GAINS = (("firm_s", "firm track, s earlier", -1.0), ("ellipse50_s", "50 km ellipse, s earlier", -1.0),
         ("held_until_s", "held longer, s", 1.0), ("custody", "custody, % more", 100.0))  # fmt: skip


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
    if p.never:
        return Line(
            p.what, said, _never(value, good, unit), "agrees" if len(good) == 0 else f"seen in {len(good)} of {len(value)} seeds", p.source
        )
    if len(good) == 0:
        return Line(p.what, said, f"never in {len(value)} seeds", "disagrees: never" if p.value is not None else "-", p.source)
    return Line(p.what, said, _spread(good, len(value), unit), _difference(good, p.value, unit), p.source)


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


def _spread(good: np.ndarray, n: int, unit: str) -> str:
    low, middle, high = np.quantile(good, (0.05, 0.5, 0.95))
    if high - low < 1e-9:
        told = f"{_figure(middle)} {unit}".rstrip()
    else:
        told = f"{_figure(middle)} {unit}".rstrip() + f" ({_figure(low)} to {_figure(high)})"
    return told if len(good) == n else f"{told}, never in {n - len(good)} of {n} seeds"


def _difference(good: np.ndarray, published: float | None, unit: str) -> str:
    """How far the simulated median is from the published figure, and whether that is within what seeds spread."""
    if published is None:
        return "-"
    low, middle, high = np.quantile(good, (0.05, 0.5, 0.95))
    off = float(middle) - published
    share = f" ({100.0 * off / abs(published):+.0f} %)" if published else ""
    inside = ", within the spread of the seeds" if low <= published <= high and high > low else ""
    return f"{off:+.{0 if abs(off) >= 10 else 1}f} {unit}".rstrip() + share + inside


def _figure(value: Any) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


# What regimes change --------------------------------------------------------------------------------------------------


def interval(value: np.ndarray) -> tuple[float, float, float]:
    """Mean of (n,) and its 95 % bootstrap interval, by percentiles; nan for fewer than three values, which carry none."""
    mean = float(np.mean(value)) if len(value) else np.nan
    if len(value) < 3:
        return mean, np.nan, np.nan
    draws = np.random.default_rng(20231219).integers(0, len(value), (DRAWS, len(value)))
    low, high = np.quantile(value[draws].mean(axis=1), (0.025, 0.975))
    return mean, float(low), float(high)


def gains(rep: Any) -> list[list[str]]:
    """Per launch, node and regime: the differences of `GAINS` against none on the same seeds, with 95 % intervals."""
    lines = []
    others = [r for r in rep.spec.regimes if r != BASE] if BASE in rep.spec.regimes else []
    for launch in rep.flown:
        for variant in dict.fromkeys(rep.findings["variant"][rep.findings["regime"] != ""].tolist()):
            for node in ("KOR", "JPN", "USA"):
                for regime in others:
                    where = dict(launch=launch, variant=variant, who=node)
                    cells = []
                    for quantity, _, sign in GAINS:
                        base, other = (rep.of(quantity, regime=r, **where) for r in (BASE, regime))
                        cells.append(_gain(sign * (other - base), np.isfinite(base), np.isfinite(other)))
                    lines.append([launch, variant, node, regime, *cells])
    return lines


def _gain(value: np.ndarray, had: np.ndarray, has: np.ndarray) -> str:
    if not (had & has).any():
        return "only by sharing" if has.any() else "only without" if had.any() else "never"
    mean, low, high = interval(value[had & has])
    if low != low:
        return f"{mean:+.1f} (no interval)"
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def conclusions(rep: Any) -> list[str]:
    """One sentence per launch and node on what is carried by the intervals, for the regime realtime (else the last one)."""
    regimes = [r for r in rep.spec.regimes if r != BASE]
    if BASE not in rep.spec.regimes or not regimes:
        return []
    regime = "realtime" if "realtime" in regimes else regimes[-1]
    told = []
    for launch in rep.flown:
        for node in ("KOR", "JPN"):
            parts = []
            for quantity, word, sign in (GAINS[0], GAINS[2]):
                base, other = (rep.of(quantity, regime=r, launch=launch, who=node) for r in (BASE, regime))
                both = np.isfinite(base) & np.isfinite(other)
                parts.append(f"{word}: {_carried(sign * (other - base)[both])}")
            told.append(f"{launch}, {node}, {regime} against none: {'; '.join(parts)}.")
    return told


def _carried(value: np.ndarray) -> str:
    mean, low, high = interval(value)
    if low != low:
        return "too few seeds to say"
    if low <= 0.0 <= high:
        return f"no difference shown ({mean:+.1f}, 95 % {low:+.1f} to {high:+.1f})"
    return f"{mean:+.1f} (95 % {low:+.1f} to {high:+.1f})"


def medians(rep: Any) -> list[list[str]]:
    """Per launch, laydown, regime and node: median moments s after ignition, custody, and s left at the firm track."""
    lines = []
    names = ("first_plot_s", "firm_s", "ellipse50_s", "held_until_s", "custody", "firm_left_s", "pass_left_s")
    f = rep.findings
    for launch in rep.flown:
        for variant in dict.fromkeys(f["variant"][f["regime"] != ""].tolist()):
            for regime in rep.spec.regimes:
                for node in ("KOR", "JPN", "USA"):
                    value = [rep.of(name, launch=launch, variant=variant, regime=regime, who=node) for name in names]
                    cells = [f"{100 * _median(v):.0f}" if name == "custody" else _cell(v) for name, v in zip(names, value, strict=True)]
                    lines.append([launch, variant, regime, node, *cells])
    return lines


MEDIANS = ("launch", "laydown", "regime", "node", "first plot s", "firm s", "50 km ellipse s", "held until s", "custody %", "left at firm s",
           "left to passing s")  # fmt: skip


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
    heads = ("what", "published", "simulated: median (5 to 95 % of seeds)", "simulated less published", "source")
    made += (
        [("Simulated beside published", heads, lines, "Where the simulation disagrees with what was published, and by how much")]
        if lines
        else []
    )
    if rep.spec.side:
        made.append(
            ("Who saw what, and why not", SIDES, sides(rep), "Plots of true missiles only; cause where it was missed in most seeds")
        )
    if rep.spec.regimes:
        made.append(("Who had what when", MEDIANS, medians(rep), "Medians over seeds, s after ignition; - where less than half have it"))
        lines = gains(rep)
        heads = ("launch", "laydown", "node", "regime", *(word for _, word, _ in GAINS))
        made += [("Against none", heads, lines, "Mean difference on the same seeds [95 % bootstrap interval over seeds]")] if lines else []
    return made


def text(rep: Any) -> str:
    """A reproduction as printed: title, what was published, tables, what is assumed, notional note and provenance."""
    from copfuse.console import aligned

    made = [rep.spec.title, "", *textwrap.wrap(" ".join(f"{rep.spec.asked} {rep.spec.text}".split()), 110), ""]
    for heading, heads, lines, caption in tables(rep):
        made += [f"{heading}: {caption}", aligned(heads, lines), ""]
    made += [*conclusions(rep), ""] if conclusions(rep) else []
    for sentence in rep.spec.assumed:
        made += textwrap.wrap(f"- {sentence}", 110, subsequent_indent="  ")
    return "\n".join([*made, "", f"{NOTIONAL[:1].upper()}{NOTIONAL[1:]}.", provenance(rep.meta)])
