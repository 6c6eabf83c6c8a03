"""One HTML file that opens from disk: a study or a reproduction with its tables, figures, notes and provenance.

Figures are embedded as PNG; there are no scripts and nothing is fetched.  Every text is escaped.
"""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from copfuse import intervals, study_figures, workers
from copfuse.constants import NATIONS
from copfuse.errors import CopfuseError
from copfuse.sheets import NOTIONAL, TITLES, facts, png, provenance, put_sheets
from copfuse.tables import replacing

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1.2rem; color: #222; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
p, li { max-width: 62rem; } .note { color: #555; } .notional { background: #fff6e0; border-left: 4px solid #e69f00; padding: .5rem .9rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .86rem; margin: .6rem 0; }
caption { text-align: left; color: #555; padding-bottom: .3rem; caption-side: top; }
th, td { padding: .18rem .6rem; border-bottom: 1px solid #ddd; }
th { text-align: left; background: #f3f3f3; } td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.2rem 0 2rem; } figure img { max-width: 100%; height: auto; } figcaption { max-width: 62rem; color: #333; }
code { background: #f3f3f3; padding: .1rem .3rem; overflow-wrap: anywhere; } dt { font-weight: 600; } dd { margin: 0 0 .3rem 1.2rem; }
"""
ASKED = (
    "Three nations watch the same launches with different sensors. How much earlier, how much longer and how much better does each of them "
    "hold each missile under each arrangement for sharing, against sharing nothing? Every launch is flown, sensed, tracked, shared and "
    "fused under every regime with the same random numbers, so that a difference between regimes is that of the sharing alone."
)
NOTES = (
    "All figures of sensors, ships' stations, availabilities, link delays, losses, burn times and radar cross sections are notional: round "
    "numbers of the open literature's order, nobody's official figures. Flights are reconstructed from publicly reported range, apogee, "
    "site and azimuth; their times are results.",
    "TISA (December 2014) and GSOMIA (November 2016) are channels after the event: a person decides per event whether to release a "
    "message, or answers a request, which takes minutes to hours, while a short-range missile flies for less than ten minutes. What "
    "arrives is a message on launch point, course and impact point, never a state to fuse. So both come out near none for warning time; "
    "that is what they were, not a fault of the model, and modelling them as fast track links would overstate them.",
    "The regime realtime moves tracks machine to machine since 19 December 2023; plots is a hypothetical upper bound in which every "
    "sensor's plots reach one fusion node. Under none the United States still pass an infrared cue to each ally.",
    "Horizon: rays are traced through an exponential atmosphere over a smooth sphere. What is below a radar's horizon is not seen, cued or "
    "not: sharing gains the start of a track and does not by itself give its end.",
    "Left out: terrain, weather, jamming, decoys, radar resource limits, operators' decisions, and everything after warning. Launches "
    "whose range, apogee, site or azimuth nobody reported are not flown, so the record is not a random sample of launches.",
    "Intervals are 95 % bootstrap intervals of this model. They hold the spread of flights and of random draws, not the doubt about "
    "notional figures. Where an interval holds zero, no difference is claimed.",
)


# Parts of a page ------------------------------------------------------------------------------------------------------


def paragraphs(texts: Iterable[str], kind: str = "p") -> str:
    """Each text as a paragraph; ``kind`` "li": as a list."""
    inside = "\n".join(f"<{kind}>{escape(text)}</{kind}>" for text in texts)
    return f"<ul>\n{inside}\n</ul>" if kind == "li" else inside


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], caption: str, meta: Mapping[str, Any]) -> str:
    """A table of texts, numbers to the right; its caption ends with the notional note and the command that made it."""
    told = f"{caption} ({NOTIONAL}; {provenance(meta)})"
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    rows = "\n".join("<tr>" + "".join(_cell(str(text)) for text in line) + "</tr>" for line in lines)
    inside = f"<caption>{escape(told)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>"
    return f'<div class="scroll"><table>\n{inside}\n</table></div>'


def _cell(text: str) -> str:
    number = text[:1] in "+-0123456789" and any(c.isdigit() for c in text) and not any(c.isalpha() for c in text)
    kind = ' class="number"' if number or text == "-" else ""
    return f"<td{kind}>{escape(text)}</td>"


def picture(figure: Any, caption: str) -> str:
    """A matplotlib figure, embedded, with its caption."""
    return embedded(_smaller(png(figure)), caption)


def embedded(drawn: bytes, caption: str) -> str:
    """A figure drawn before, PNG, embedded, with its caption."""
    data = base64.b64encode(drawn).decode("ascii")
    told = escape(" ".join(f"{caption} Simulated; figures of sensors and delays are notional.".split()))
    return f'<figure>\n<img alt="{told}" src="data:image/png;base64,{data}">\n<figcaption>{told}</figcaption>\n</figure>'


class Drawn(NamedTuple):
    """The sheets of one figure, PNG: as they are drawn, and as a page embeds them."""

    whole: list[bytes]
    small: list[bytes]


def drawn(figures: Iterable[Any]) -> Drawn:
    """The sheets of one figure, each drawn once."""
    made = [png(figure) for figure in figures]
    return Drawn(made, [_smaller(sheet) for sheet in made])


def sheets(made: Drawn, name: str, caption: str, folder: str | Path | None = None) -> list[str]:
    """The sheets of one figure: embedded, with their caption, and as PNG files of that name in a folder, if given."""
    if folder is not None:
        put_sheets(made.whole, name, folder)
    many = len(made.small)
    return [embedded(sheet, caption + (f" Sheet {i} of {many}." if many > 1 else "")) for i, sheet in enumerate(made.small, 1)]


def _smaller(whole: bytes) -> bytes:
    """The same picture in 256 colours, which plots do not exceed by much: a third of the size."""
    from PIL import Image

    store = io.BytesIO()
    with Image.open(io.BytesIO(whole)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(store, format="png", optimize=True)
    return min(whole, store.getvalue(), key=len)


def page(title: str, parts: Iterable[tuple[str, str]], meta: Mapping[str, Any]) -> str:
    """A whole document: ``parts`` are headings and their HTML; notional note above, provenance and command below."""
    told = "\n".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for key, word, text in facts(meta) if key != "command")
    body = "\n".join(f"<h2>{escape(heading)}</h2>\n{html}" for heading, html in parts)
    command = f"<p>Made by: <code>{escape(str(meta.get('command', 'not known')))}</code></p>"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="copfuse">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="notional">{escape(NOTIONAL[:1].upper() + NOTIONAL[1:])}. For defensive early warning and open analysis only.</p>
{body}
<h2>Provenance</h2>
<dl>
{told}
</dl>
{command}
</body>
</html>
"""


def put(text: str, path: str | Path) -> Path:
    """Write a page, whole or not at all.  Raises `CopfuseError` where that cannot be."""
    with replacing(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    return Path(path)


# The study ------------------------------------------------------------------------------------------------------------


def write(study: Any, path: str | Path, figures: str | Path | None = None) -> Path:
    """The report of a `tidy.Study` as one HTML file, and its figures in a folder ``figures``, if given.

    Raises `CopfuseError` for a study without rows and for a path that cannot be written.
    """
    regimes = study_figures.regimes_of(study.columns)
    columns = study_figures.named({name: study.columns[name] for name in study_figures.DRAWN if name in study.columns})
    tasks = [(name, columns, study.meta) for name in study_figures.FIGURES]
    number = workers.begun()
    made = workers.spread(_figure, tasks, number) if number > 1 else itertools.starmap(_figure, tasks)
    told = "\n".join([paragraphs(conclusions(study.compare, regimes), "li"), *summary(study, regimes)])  # while others draw
    try:
        by_name = dict(made)
    except Exception as error:
        if workers.killed(error):
            raise CopfuseError("a process that drew was killed, most likely for want of memory; the same command draws again") from None
        raise
    shown = [html for name, (_, caption) in study_figures.FIGURES.items() for html in sheets(by_name[name], name, caption, figures)]
    parts = [
        ("What was asked", paragraphs([ASKED])),
        ("What came out", told),
        ("Figures", "\n".join(shown)),
        ("What to know before quoting any of this", paragraphs(NOTES, "li")),
    ]
    left_out = [[name, why] for name, why in study.meta.get("not_flown", {}).items()]
    if left_out:
        parts.append(("Launches that were not flown", table(["launch", "why"], left_out, f"{len(left_out)} launches", study.meta)))
    return put(page("Earlier detection by sharing", parts, study.meta), path)


def _figure(name: str, columns: study_figures.Columns, meta: Mapping[str, Any]) -> tuple[str, Drawn]:
    return name, drawn(study_figures.FIGURES[name][0](columns, meta))


def summary(study: Any, regimes: Sequence[str]) -> list[str]:
    """Tables of paired differences against none with their intervals: every measure over all classes, then the firm track by class."""
    others = [r for r in regimes if r != study_figures.BASE]
    if study_figures.BASE not in regimes or not others:
        return [paragraphs(["There are no two regimes with none among them, so there is nothing to compare."])]
    classes = sorted(set(study.columns["missile_class"].tolist()))
    told = (
        "[95 % bootstrap interval over launches; few: below "
        f"{intervals.LEAST} there is none]; positive is earlier, more, smaller; n: flights that have it under both"
    )
    made = []
    for heads, lines, caption in (
        (("measure", "nation"), [(m, n, "all") for m in intervals.SHOWN for n in NATIONS], "All classes: median (times, errors) or mean"),
        (("class", "nation"), [("firm_s", n, c) for c in classes for n in NATIONS], "Firm track by class: median s earlier"),
    ):
        cells = []
        for measure, node, kind in lines:
            found = [study.compare(measure, regime, study_figures.BASE, node, kind) for regime in others]
            name, unit = intervals.MEASURES[measure][:2]
            label = f"{name}, {unit}" if heads[0] == "measure" else kind
            cells.append([label, TITLES[node], *(_difference(d) for d in found)])
        made.append(table([*heads, *(f"{r} against none" for r in others)], cells, f"{caption} {told}", study.meta))
    return made


def _difference(found: Any) -> str:
    if found.both == 0:
        return "-"
    ends = "few" if found.gain.low != found.gain.low else f"{found.gain.low:.1f}, {found.gain.high:.1f}"
    return f"{found.gain.value + 0.0:.1f} [{ends}] n {found.both}"


def conclusions(compare: intervals.Compare, regimes: Sequence[str]) -> list[str]:
    """One sentence per regime on the firm track, of which each part is carried by its interval; ``compare``: `intervals.comparing`."""
    if study_figures.BASE not in regimes:
        return []
    told = []
    for regime in [r for r in regimes if r != study_figures.BASE]:
        parts = []
        for node in NATIONS:
            gain = compare("firm_s", regime, study_figures.BASE, node).gain
            if gain.low != gain.low:
                parts.append(f"{TITLES[node]}: too few launches to say")
            elif gain.sure:
                parts.append(
                    f"{TITLES[node]}: {abs(gain.value):.1f} s {'earlier' if gain.sure > 0 else 'later'} ({gain.low:.1f} to {gain.high:.1f})"
                )
            else:
                parts.append(f"{TITLES[node]}: no difference shown ({gain.low:.1f} to {gain.high:.1f} s)")
        told.append(f"{regime}, median firm track against none (95 % interval): {'; '.join(parts)}.")
    return told
