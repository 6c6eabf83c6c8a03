"""Regime files: the six packaged ones say what they are meant to, a user's is read the same way, and what cannot be is refused."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import copfuse as cf
from copfuse import links, regimes, scenario
from copfuse.cli import cli
from copfuse.constants import NATIONS, NODES
from copfuse.errors import CopfuseError
from copfuse.tables import MESSAGE_KINDS

PACKAGED = Path(regimes.__file__).parent / "data" / "regimes"


def between(name, source="KOR", target="JPN"):
    """The links from a source to a target of a packaged regime, cues aside."""
    return [k for k in regimes.regime(name).links if (k.source, k.target) == (source, target) and k.payload != "cue"]


# The packaged ones ---------------------------------------------------------------------------------------------------


def test_there_are_six_each_with_a_title_and_a_few_lines():
    assert regimes.regimes() == ["none", "tisa", "gsomia", "realtime", "plots", "link16"]
    assert sorted(regimes.regimes()) == sorted(p.stem for p in PACKAGED.glob("*.toml"))
    for name in regimes.regimes():
        text = (PACKAGED / f"{name}.toml").read_text()
        assert regimes.regime(name).title and "notional" in text and len(text.splitlines()) < 50


def test_none_moves_nothing_between_the_nations_but_the_american_cue():
    assert {(k.source, k.target, k.payload, k.delay) for k in regimes.regime("none").links} == {
        ("USA", "KOR", "cue", (20.0, 5.0, 60.0)), ("USA", "JPN", "cue", (90.0, 60.0, 185.0)),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["tisa", "gsomia", "link16"])
def test_the_cues_of_none_stand_in_every_regime_of_the_star(name):
    assert [k for k in regimes.regime(name).links if k.payload == "cue"] == list(regimes.regime("none").links)


@pytest.mark.parametrize("ends", [("KOR", "JPN"), ("JPN", "KOR")])
def test_tisa_is_a_star_over_the_united_states_with_consent_per_event(ends):
    (one,) = between("tisa", *ends)
    first, second = regimes.regime("tisa").path(one)
    assert (one.payload, one.via, first.target, second) == ("message", "USA", "USA", one)
    assert first.consent.delay == (1800.0, 600.0, 7200.0) and 0.1 <= first.consent.share <= 0.5
    south, north, west, east = np.degrees(first.consent.area)
    assert south < 39.0 < north and west < 126.0 < east  # launches from North Korea only


@pytest.mark.parametrize("ends", [("KOR", "JPN"), ("JPN", "KOR")])
def test_gsomia_answers_requests_directly_and_tells_no_third_party(ends):
    (one,) = between("gsomia", *ends)
    assert (one.payload, one.via, one.consent) == ("message", "", None)
    assert one.request.delay == (3600.0, 300.0, 86400.0) and one.voice.delay == (180.0, 60.0, 600.0)
    assert not between("gsomia", "KOR", "USA") and not between("gsomia", "JPN", "USA")


@pytest.mark.parametrize("ends", [("KOR", "JPN"), ("JPN", "KOR")])
def test_realtime_sends_tracks_in_seconds_without_the_sensors_identity(ends):
    (one,) = between("realtime", *ends)
    assert (one.payload, one.delay, one.consent, one.request) == ("track", (8.0, 2.0, 30.0), None, None)
    assert 0.95 <= one.availability <= 0.99 and "sensors" in one.stripped


def test_plots_brings_everything_to_one_node_and_withholds_nothing():
    plots = regimes.regime("plots")
    assert {(k.source, k.target, k.payload) for k in plots.links} == {(n, "HUB", "plot") for n in NATIONS}
    assert set(plots.display) == set(NATIONS) and not plots.rules
    assert all((k.delay, k.loss, k.availability, k.stripped) == ((0.5, 0.1, 2.0), 0.0, 1.0, ()) for k in plots.links)


def test_link16_reports_in_slots_of_a_frame_with_responsibility():
    (one,) = between("link16")
    assert (one.payload, one.frame, one.slots, one.responsibility) == ("track", 12.0, 1, True)
    relayed = [k for k in regimes.regime("link16").links if k.via]
    assert {(k.source, k.via, k.target) for k in relayed} == {("KOR", "USA", "HUB"), ("JPN", "USA", "HUB")}


# A user's own --------------------------------------------------------------------------------------------------------


def test_a_file_is_read_as_a_packaged_regime_is(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text((PACKAGED / "tisa.toml").read_text())
    own, packaged = regimes.regime(mine), regimes.regime("tisa")
    assert own == regimes.regime(str(mine)) == regimes.regime(own)
    assert (own.name, own.links, own.title) == ("mine", packaged.links, packaged.title)
    twin = tmp_path / "tisa.toml"
    twin.write_text(mine.read_text())
    assert regimes.regime(twin).name == "tisa.toml"  # not to be taken for the packaged one


def test_a_scenario_file_names_a_regime_beside_it(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text('title = "nobody hears anything"\n')
    (tmp_path / "one.toml").write_text('regime = "mine.toml"\n[[launch]]\nkind = "record"\nid = "2017-09-15-1"\n')
    monkeypatch.chdir(tmp_path.parent)
    s = cf.load(tmp_path / "one.toml")
    assert cf.share(cf.Tracks.empty(), s).meta["regime"] == "mine" and Path(s.regime) == tmp_path / "mine.toml"
    for said, match in (
        ("mien.toml", "there is no file"),
        ("realtim", "did you mean 'realtime'"),
        ("one.toml", "one.toml: there is no key"),
    ):
        (tmp_path / "two.toml").write_text(f'regime = "{said}"\n[[launch]]\nkind = "record"\nid = "2017-09-15-1"\n')
        with pytest.raises(CopfuseError, match=f"two.toml: regime = .*{match}"):
            scenario.load(tmp_path / "two.toml")


def test_a_run_takes_a_regime_file(tmp_path):
    """The same links under another name: the same messages and pictures, bit for bit."""
    mine = tmp_path / "mine.toml"
    mine.write_text((PACKAGED / "realtime.toml").read_text())
    s = cf.load("hokkaido-2017")
    s = dataclasses.replace(s, duration=75.0, sensors=tuple(x for x in s.sensors if x.name.startswith(("US-SBIRS", "KR-"))))
    own, packaged = cf.run(s, regime=mine, seed=1), cf.run(s, regime="realtime", seed=1)
    assert own.regime == "mine" and len(own.messages) and len(own.picture) and "regime mine" in str(own)
    for a, b in ((own.messages, packaged.messages), (own.picture, packaged.picture)):
        assert all(np.array_equal(getattr(a, c), getattr(b, c), equal_nan=True) for c in a.COLUMNS)


def test_a_print_says_who_was_told_what_and_which_rules_contradict(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        """title = "sure"
        [[link]]
        source = "USA"
        target = "JPN"
        payload = "message"
        delay_s = [5, 2, 15]
        consent = { delay_s = [7200, 7200, 7200] }
        [[rule]]
        release = true
        [[rule]]
        subject = "glide"
        release = false"""
    )
    s = cf.load("hokkaido-2017")
    s = dataclasses.replace(s, duration=75.0, sensors=tuple(x for x in s.sensors if x.name.startswith("US-SBIRS")))
    text = " ".join(str(cf.run(s, regime=mine, seed=1)).split())
    assert "JPN was told by USA 2.0 h after USA first held it, " in text
    assert "min after the impact that it tells: launch 39.2 N 125.7 E, course 7" in text
    assert "Rule 1 releases what rule 2 denies, and deny wins: USA -> JPN (message), glide." in text
    assert "None in this run" in str(cf.run(dataclasses.replace(s, sensors=()), regime="tisa"))


def test_the_command_line_refuses_what_is_no_regime(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text('title = "x"\n[[link]]\nsource = "KOR"\ntarget = "JPN"\npayload = "trakc"\ndelay_s = [8, 2, 30]\n')
    for said, match in (("gsomai", "did you mean 'gsomia'"), ("none.toml", "there is no file"), ("bad.toml", "did you mean 'track'")):
        with pytest.raises(CopfuseError, match=match):
            CliRunner().invoke(cli, ["run", "--regime", said, "--no-picture"], standalone_mode=False, catch_exceptions=False)


# What cannot be ------------------------------------------------------------------------------------------------------

LINK = {"source": "KOR", "target": "JPN", "payload": "track", "delay_s": [8.0, 2.0, 30.0]}
MESSAGE = {"source": "KOR", "target": "JPN", "payload": "message", "delay_s": [8.0, 2.0, 30.0]}
NET = {"slots_s": 12.0, "responsibility": True}
CONSENT = {"share": 0.3, "delay_s": [1800.0, 600.0, 7200.0]}


def link(**changes):
    return {"title": "x", "link": [{**LINK, **changes}]}


def message(**changes):
    return {"title": "x", "link": [{**MESSAGE, **changes}]}


def with_rule(**said):
    return {"title": "x", "link": [LINK], "rule": [said]}


IMPOSSIBLE = {
    "no title": ({"link": [LINK]}, ["the key is missing: title"]),
    "unknown table": ({"title": "x", "lnk": [LINK]}, ["no key 'lnk'", "did you mean 'link'"]),
    "one link, not a list": ({"title": "x", "link": LINK}, ["link", "write [[...]]"]),
    "unknown key": (link(delay=[1, 2, 3]), ["link 1", "no key 'delay'", "did you mean 'delay_s'"]),
    "unknown node": (link(target="JAP"), ["link 1: target = 'JAP'", "did you mean 'JPN'"]),
    "unknown payload": (link(payload="tracks"), ["link 1: payload = 'tracks'", "did you mean 'track'"]),
    "nobody": (link(source=[]), ["link 1: source = [] names nobody", "KOR, JPN, USA, HUB"]),
    "to itself": (link(target="KOR"), ["link 1", "from KOR to KOR"]),
    "from the hub": (link(source="HUB"), ["HUB -> JPN (track)", "nothing begins at HUB", 'via = "HUB"']),
    "negative delay": (link(delay_s=[-8.0, 2.0, 30.0]), ["delay_s = [-8.0, 2.0, 30.0]", "0 < 5 % <= median <= 95 %"]),
    "unordered delay": (link(delay_s=[8.0, 30.0, 2.0]), ["delay_s = [8.0, 30.0, 2.0]", "such as [8.0, 2.0, 30.0]"]),
    "two quantiles": (link(delay_s=[8.0, 2.0]), ["link 1: delay_s = [8.0, 2.0]", "length 3"]),
    "infinite delay": (link(delay_s=[8.0, 2.0, math.inf]), ["delay_s", "inf"]),
    "nan delay": (link(delay_s=[math.nan, 2.0, 8.0]), ["delay_s", "nan"]),
    "loss": (link(loss=1.5), ["loss = 1.5", "0 to 1"]),
    "availability": (link(availability=-0.1), ["availability = -0.1", "0 to 1"]),
    "duplicate": (link(duplicate=2), ["duplicate = 2", "0 to 1"]),
    "nan": (link(loss=math.nan), ["loss = nan"]),
    "text": (link(loss="often"), ["loss = 'often'", "float"]),
    "outage of no length": (link(outage_s=0.0), ["outage_s = 0", "0.1 to"]),
    "negative period": (link(period_s=-1.0), ["period_s = -1", "0 to"]),
    "outage backwards": (link(outages_s=[[160.0, 100.0]]), ["outages_s has [160.0, 100.0]", "such as [100.0, 160.0]"]),
    "unknown column": (link(stripped=["sensor"]), ["stripped names the column 'sensor'", "sensors, detection, hits, llr"]),
    "needed column": (link(stripped=["P"]), ["stripped names the column 'P'", "can do without"]),
    "stripped message": (message(stripped=["sensors"]), ["stripped", "carries no columns"]),
    "slots of no frame": (link(slots=4), ["slots = 4", "slots_s"]),
    "no slots": (link(slots=0, slots_s=12.0), ["slots = 0", "1 to"]),
    "responsibility without slots": (link(responsibility=True), ["responsibility", "slots_s"]),
    "period and slots": (link(period_s=2.0, slots_s=12.0), ["period_s and slots_s", "keep one"]),
    "consent for a track": (link(consent=CONSENT), ["consent goes with payload 'message'", "'track'"]),
    "consent and request": (message(consent=CONSENT, request=CONSENT), ["consent and request", "keep one"]),
    "share": (message(consent={**CONSENT, "share": 30}), ["consent: share = 30", "0 to 1"]),
    "consent's delay": (message(consent={"delay_s": [1.0, 2.0, 3.0]}), ["consent: delay_s", "needed"]),
    "consent's key": (message(consent={**CONSENT, "shares": 1}), ["link 1, consent: there is no key 'shares'", "did you mean 'share'"]),
    "voice's key": (message(request={**CONSENT, "voice": {"dely_s": 1}}), ["request, voice", "did you mean 'delay_s'"]),
    "voice of consent": (message(consent={**CONSENT, "voice": CONSENT}), ["consent: there is no key 'voice'"]),
    "area": (message(consent={**CONSENT, "area_deg": [43, 37, 124, 131]}), ["area_deg", "south, north, west, east"]),
    "unfed relay": (link(via="USA"), ["via = 'USA'", "no link brings tracks from KOR to USA"]),
    "unknown relay": (link(via="US"), ["link 1: via = 'US'", "did you mean 'USA'"]),
    "relays in a circle": (
        {"title": "x", "link": [{**LINK, "via": "USA"}, {**LINK, "target": "USA", "via": "JPN"}]}, ["circle", "JPN via USA via JPN"],
    ),
    "relay is its own target": (link(via="JPN"), ["circle"]),
    "relay with slots": (
        {"title": "x", "link": [{**LINK, "target": "USA"}, {**LINK, "via": "USA", "slots_s": 12.0}]},
        ["slots_s does not go with via", "KOR -> USA"],
    ),
    "twice": ({"title": "x", "link": [LINK, LINK]}, ["KOR -> JPN (track)", "there are two of it"]),
    "plots and tracks": (
        {"title": "x", "link": [LINK, {**LINK, "payload": "plot", "target": "HUB"}]}, ["plots or of tracks", "keep one payload"],
    ),
    "two nets": (
        {"title": "x", "link": [{**LINK, **NET}, {**LINK, **NET, "target": "USA", "slots_s": 6.0}]},
        ["not those of the other links", "give all the same"],
    ),
    "display of nothing": ({"title": "x", "link": [LINK], "display": ["JPN"]}, ["display = ['JPN']", "no link brings plots to HUB"]),
    "unknown display": ({"title": "x", "display": ["JAPAN"]}, ["display = 'JAPAN' is unknown"]),
    "rule's node": (with_rule(originator="KORE", release=False), ["rule 1: originator = 'KORE'", "did you mean 'KOR'"]),
    "rule's subject": (with_rule(subject="bost", release=False), ["rule 1: subject = 'bost'", "did you mean 'boost'"]),
    "rule says nothing": (with_rule(originator="KOR"), ["rule 1: the key is missing: release"]),
    "rule's release": (with_rule(release="yes"), ["rule 1: release = 'yes'", "bool"]),
    "rule of nobody": (with_rule(originator="JPN", recipient="KOR", release=False), ["rule 1", "names nobody", "KOR -> JPN (track)"]),
    "subject of plots": (
        {"title": "x", "link": [{**LINK, "payload": "plot"}], "rule": [{"subject": "boost", "release": False}]},
        ["plots are of no phase", '"any"'],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_is_refused_in_one_sentence(case):
    table, words = IMPOSSIBLE[case]
    with pytest.raises(CopfuseError) as error:
        regimes.parse(table, "mine.toml", "mine")
    text = str(error.value)
    assert text.startswith("mine.toml") and "\n" not in text and all(word in text for word in words), text


UNREADABLE = [(None, "there is no file"), (b"title = ", "is not TOML"), (b"\xff\xfe", "is not TOML"), (b"", "the key is missing: title")]


@pytest.mark.parametrize("content, match", UNREADABLE)
def test_an_unreadable_file_is_named(tmp_path, content, match):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CopfuseError, match=f"mine.toml.*{match}|{match}.*mine.toml"):
        regimes.regime(path)
    with pytest.raises(CopfuseError, match="cannot read"):
        regimes.regime(tmp_path)


def test_a_regime_made_in_python_is_checked_too():
    one = links.Link("KOR", "JPN", "track", (8.0, 30.0, 2.0))
    with pytest.raises(CopfuseError, match=r"regime 'own': link KOR -> JPN \(track\): delay_s"):
        regimes.regime(links.Regime("own", "", (one,)))
    with pytest.raises(CopfuseError, match="'JAP' is unknown; did you mean 'JPN'"):
        regimes.regime(links.Regime("own", "", (links.Link("KOR", "JAP", "track", (8.0, 2.0, 30.0)),)))


def test_rules_that_contradict_each_other_are_said():
    table = {
        "title": "x", "link": [LINK, {**LINK, "target": "USA"}],
        "rule": [
            {"recipient": "JPN", "release": True}, {"subject": ["boost", "glide"], "release": False}, {"recipient": "USA", "release": True},
        ],
    }  # fmt: skip
    said = links.contradictions(regimes.parse(table, "mine.toml", "mine"))
    assert said == [
        "Rule 1 releases what rule 2 denies, and deny wins: KOR -> JPN (track), boost glide.",
        "Rule 3 releases what rule 2 denies, and deny wins: KOR -> USA (track), boost glide.",
    ]
    assert links.contradictions(regimes.regime("realtime")) == []


names = st.sampled_from([*NODES, "ROK", ""])
chances = st.floats(-0.5, 1.5)
delays = st.lists(st.floats(-1.0, 100.0), min_size=2, max_size=4)
some_links = st.fixed_dictionaries(
    {"source": st.one_of(names, st.lists(names, max_size=3)), "target": names, "payload": st.sampled_from([*MESSAGE_KINDS, "x"]),
     "delay_s": st.one_of(st.just([8.0, 2.0, 30.0]), delays)},
    optional={"loss": chances, "availability": chances, "period_s": st.floats(-1.0, 9.0), "slots_s": st.floats(-1.0, 20.0),
              "slots": st.integers(-1, 5), "via": names, "responsibility": st.booleans(),
              "stripped": st.lists(st.sampled_from(["sensors", "x"])),
              "consent": st.one_of(st.just(CONSENT), st.fixed_dictionaries({"delay_s": delays}, optional={"share": chances, "x": chances})),
              "outages_s": st.lists(delays, max_size=2)},
)  # fmt: skip


@given(table=st.fixed_dictionaries({"title": st.just("x"), "link": st.lists(some_links, max_size=3)}))
def test_anything_is_either_a_regime_or_refused_in_a_sentence(table):
    """Where it is taken: every link says what `refuse_impossible` promises, and every relay is fed."""
    try:
        made = regimes.parse(table, "mine.toml", "mine")
    except CopfuseError as error:
        assert str(error).startswith("mine.toml") and "Traceback" not in str(error)
        return
    assert len({k.ends for k in made.links}) == len(made.links)
    for k in made.links:
        assert (
            k.source in NATIONS
            and k.target in NODES
            and k.source != k.target
            and 0 <= k.loss <= 1
            and k.delay[1] <= k.delay[0] <= k.delay[2]
        )
        path = made.path(k)
        assert path[0].via == "" and path[-1] == k and all(a.target == b.via for a, b in zip(path, path[1:], strict=False))
