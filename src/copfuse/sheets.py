"""Sheets for figures of a study: title, notional note, provenance, a colour per regime.

matplotlib is imported when one is drawn, and its global state is not touched.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from copfuse.constants import NODES
from copfuse.curves import NODE_COLOURS, sheet
from copfuse.tables import replacing

REGIME_COLOURS = {"none": "#7F7F7F", "tisa": "#E69F00", "gsomia": "#CC79A7", "link16": "#8C510A", "realtime": "#56B4E9", "plots": "#332288"}
OTHER_COLOURS = ("#117733", "#AA4499", "#000000", "#999933")  # of regimes of a user's own
WIDTHS = (5.0, 3.8, 2.8, 2.0, 1.4, 1.0)  # points: narrow on wide, so that lines on one another show
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*", "<", ">")
TITLES = dict(zip(NODES, ("Korea", "Japan", "United States", "hub"), strict=True))
NOTIONAL = "simulated: flights are reconstructed, sensors and delays are notional, nobody's official figures"
# What a result's meta tells of where it comes from, and the word for it, in the order of telling
TOLD = {
    "launches": "launches", "laydown": "sensors", "without": "without", "ships": "ships on station, share", "regimes": "regimes",
    "seeds": "seeds", "cues": "cues",
    "clutter": "false plots, times the laydown's", "copfuse": "copfuse", "source": "code", "command": "command",
}  # fmt: skip
MANY = 6  # launches from which only their number, the first and the last are told


def provenance(meta: Mapping[str, Any]) -> str:
    """What a result was made of, in one line: launches, laydown, regimes, seeds, version and command, as far as ``meta`` tells."""
    return "  ·  ".join(f"{word}: {text}" for _, word, text in facts(meta))


def facts(meta: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Key, word and text of all that `provenance` tells."""
    return [(key, word, said(key, meta[key])) for key, word in TOLD.items() if meta.get(key) not in (None, "", (), [], {})]


def said(key: str, value: Any) -> str:
    """A value of a meta in words."""
    if key == "source":
        return str(value)[:12]
    if isinstance(value, bool):
        return "on" if value else "off"
    values = list(value) if isinstance(value, list | tuple | dict) else [value]
    if key == "launches" and len(values) > MANY:
        return f"{len(values)}, {values[0]} to {values[-1]}"
    if key == "seeds" and len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))


def framed(title: str, meta: Mapping[str, Any], width: float, height: float, told: str = "") -> Any:
    """An empty figure (inches) with its title, the notional note and ``told`` above and its provenance below."""
    figure = sheet(width, height, None)
    figure.text(0.35 / width, 1.0 - 0.24 / height, title, fontsize=13, fontweight="bold", va="center")
    note = textwrap.fill(NOTIONAL + (f"; {told}" if told else ""), int(17.5 * width))
    figure.text(0.35 / width, 1.0 - 0.42 / height, note, fontsize=8, va="top", color="#444444", linespacing=1.25)
    below = textwrap.fill(provenance(meta), int(19.5 * width), break_on_hyphens=False)
    figure.text(0.35 / width, 0.06 / height, below, fontsize=6.5, va="bottom", color="#666666", linespacing=1.25)
    return figure


def inset(figure: Any, left: float, right: float, top: float, bottom: float, **space: float) -> None:
    """Margins of the panels in inches."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(left=left / width, right=1.0 - right / width, top=1.0 - top / height, bottom=bottom / height, **space)


def colours(regimes: Sequence[str]) -> dict[str, str]:
    """A colour per regime: the packaged ones always have theirs."""
    own = [r for r in regimes if r not in REGIME_COLOURS]
    return {r: REGIME_COLOURS.get(r) or OTHER_COLOURS[own.index(r) % len(OTHER_COLOURS)] for r in regimes}


def panel(ax: Any, title: str = "", node: str = "") -> None:
    """Grid, small ticks and a title, in a ``node``'s colour if one is named."""
    if title:
        ax.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=NODE_COLOURS[NODES.index(node)] if node else "k", pad=4)
    ax.grid(color="#DDDDDD", lw=0.5)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=7.5, length=2.5)


def plain_log(axis: Any, subs: tuple[int, ...] = (1, 2, 5)) -> None:
    """Plain numbers on a logarithmic axis, also where it spans less than a decade."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(lambda v, _: f"{v:g}")
    axis.set_minor_formatter(NullFormatter())


def faint(held: float, span: float) -> float:
    """How opaque the bar over a ``span`` of time is of which ``held`` is really held: pale where there are long gaps."""
    return 0.2 + 0.8 * min(max(held / max(span, 1e-9), 0.0), 1.0)


def no_data(ax: Any, text: str) -> None:
    """Say in the middle of a panel why there is nothing in it."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=8, color="#666666")


def regime_legend(figure: Any, regimes: Sequence[str], top: float, height: float, mark: bool | None = None) -> None:
    """The regimes' colours in one row, ``top`` inches below the upper edge: as patches, lines, or (``mark``) lines with markers."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown: list[Any] = []
    for k, (regime, colour) in enumerate(colours(regimes).items()):
        line: dict[str, Any] = dict(
            color=colour, lw=WIDTHS[min(k, len(WIDTHS) - 1)], marker=MARKERS[k % len(MARKERS)] if mark else None, ms=4.5
        )
        shown.append(Patch(fc=colour, label=regime) if mark is None else Line2D([], [], label=regime, **line))
    figure.legend(handles=shown, loc="upper left", bbox_to_anchor=(0.35 / 11.2, 1.0 - top / height), ncols=8, fontsize=8, frameon=False,
                  title="Sharing regime", title_fontsize=8, alignment="left", borderaxespad=0.0)  # fmt: skip


def png(figure: Any) -> bytes:
    """A figure as PNG."""
    store = io.BytesIO()
    figure.savefig(store, format="png")
    return store.getvalue()


def put_sheets(made: Sequence[bytes], name: str, folder: str | Path) -> list[Path]:
    """Write the sheets of one figure, PNG, into ``folder``: NAME.png, NAME-2.png, ...; their paths.

    Raises `CopfuseError` where a file cannot be written.
    """
    paths = [Path(folder) / f"{name}{f'-{number}' if number > 1 else ''}.png" for number in range(1, len(made) + 1)]
    for picture, path in zip(made, paths, strict=True):
        with replacing(path) as temporary:
            Path(temporary).write_bytes(picture)
    return paths
