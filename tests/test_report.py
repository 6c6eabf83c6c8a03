"""The HTML report: valid, self-contained, escaped, small enough, and honest: notional, provenance and command at every table and figure."""

from __future__ import annotations

import base64
import io
import struct
from concurrent.futures.process import BrokenProcessPool
from html.parser import HTMLParser

import numpy as np
import pytest

from copfuse import intervals, report, study_figures, workers
from copfuse.errors import CopfuseError
from copfuse.tidy import Study
from test_study_figures import META, REGIMES, table

VOID = {"meta", "img", "br", "link", "hr"}
NOT_FLOWN = {"2013-05-18-1": "the record has no range and no <apogee> for it"}


class Page(HTMLParser):
    """Tags that balance, what they hold, and every address that is named."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.captions: list[str] = []
        self.images: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        named = dict(attrs)
        self.links += [named[key] for key in ("src", "href", "action", "data") if key in named]
        if tag == "img":
            assert named["alt"]
            self.images.append(named["src"])
        if tag in ("caption", "figcaption"):
            self.captions.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] in ("caption", "figcaption"):
            self.captions[-1] += data


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(table(), {**META, "not_flown": NOT_FLOWN})


@pytest.fixture(scope="module")
def written(study, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("report")
    path = study.report(folder / "report.html", figures=folder)
    assert path.stat().st_size < 5e6
    assert {p.name for p in folder.glob("*.png")} >= {f"{name}.png" for name in study_figures.FIGURES}
    return path.read_text("utf-8")


def test_the_report_is_one_valid_file_without_scripts_or_addresses(written):
    page = Page(written)
    assert page.tags >= {"html", "head", "title", "body", "h1", "table", "figure"} and not page.tags & {"script", "iframe", "link"}
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "http" not in written and "url(" not in written and "@import" not in written
    assert len(page.images) == 5
    for image in page.images:
        data = base64.b64decode(image.partition(",")[2], validate=True)
        assert data[:8] == b"\x89PNG\r\n\x1a\n" and min(struct.unpack(">II", data[16:24])) > 400


def test_every_table_and_figure_says_notional_and_what_made_it(study, written):
    page = Page(written)
    text = " ".join(" ".join(page.words).split())
    tables = [caption for caption in page.captions if "copfuse study" in caption]
    assert len(tables) == written.count("<table>") == 3
    for caption in tables:
        assert "notional" in caption and "northeast-asia" in caption and META["command"] in caption and "seeds: 0 to 3" in caption
    assert text.count("notional") > 8
    # the sheets themselves are tested in test_study_figures; here that they are the same ones
    assert META["command"] in text and "channels after the event" in text and "near none" in text


def test_texts_are_escaped(written):
    assert "no &lt;apogee&gt; for it" in written
    odd = report.page(
        '<b>"&', [("<i>", report.table(["<u>"], [["<s>", "1"]], "&", META))], {**META, "command": "<script>alert(1)</script>"}
    )
    page = Page(odd)
    assert not page.tags & {"b", "i", "u", "s", "script"}


def test_the_summary_has_the_intervals_of_the_rows(study, written):
    """Japan's line of the firm track, from `intervals` itself."""
    found = intervals.difference(study.columns, "firm_s", "realtime", "none", "JPN")
    cell = f"{found.gain.value:.1f} [{found.gain.low:.1f}, {found.gain.high:.1f}] n {found.both}"
    assert found.gain.low > 30.0 and cell in written


def test_nothing_is_concluded_that_an_interval_does_not_carry(study):
    """The same table, but with the gain drawn at random about zero: no difference is claimed; with few launches nothing is said."""
    columns = {name: column.copy() for name, column in study.columns.items()}
    fused, alone = columns["regime"] == "realtime", columns["regime"] == "none"
    columns["firm_s"][fused] = columns["firm_s"][alone] + np.random.default_rng(5).normal(0.0, 20.0, alone.sum())
    told = [line for line in report.conclusions(intervals.comparing(columns), REGIMES) if line.startswith("realtime")]
    assert len(told) == 1 and told[0].count("no difference shown") == 3
    few = columns["launch"] <= np.unique(columns["launch"])[2]
    told = report.conclusions(intervals.comparing({name: column[few] for name, column in columns.items()}), REGIMES)
    assert len(told) == 4 and all(line.count("too few launches to say") == 3 for line in told)
    told = report.conclusions(study.compare, REGIMES)
    assert "Japan: 4" in told[2] and "earlier" in told[2] and told[0].count("no difference shown") == 3


def test_a_study_without_none_or_without_rows(tmp_path):
    columns = table(1, 1, ("realtime", "plots"))
    path = Study(columns, META).report(tmp_path / "r.html")
    assert "nothing to compare" in path.read_text("utf-8")
    with pytest.raises(CopfuseError, match="no rows"):
        Study({name: column[:0] for name, column in columns.items()}, META).report(tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


def test_a_report_that_cannot_be_written_is_refused_in_a_sentence(study, tmp_path):
    with pytest.raises(CopfuseError):
        report.put("text", tmp_path / "nowhere" / "r.html")


def test_a_process_that_is_killed_while_it_draws_is_one_sentence(study, tmp_path, monkeypatch):
    def broken(*_):
        raise BrokenProcessPool("gone")
        yield

    monkeypatch.setattr(workers, "begun", lambda: 2)
    monkeypatch.setattr(workers, "spread", broken)
    with pytest.raises(CopfuseError, match="a process that drew was killed.*the same command draws again"):
        study.report(tmp_path / "r.html")
    assert not list(tmp_path.iterdir())


def test_pictures_are_made_smaller_and_stay_pictures():
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(4, 3))
    figure.subplots().plot([0, 1], [0, 1])
    html = report.picture(figure, "a line")
    data = base64.b64decode(html.partition("base64,")[2].partition('"')[0])
    store = io.BytesIO()
    figure.savefig(store, format="png")
    with Image.open(io.BytesIO(data)) as small, Image.open(store) as full:
        assert small.size == full.size and len(data) < len(store.getvalue())
        assert np.abs(np.asarray(small.convert("RGB"), int) - np.asarray(full.convert("RGB"), int)).max() < 40
