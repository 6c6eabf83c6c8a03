"""Provenance in sentences: every number and name in them is in the node's tables, and nothing of others' is told."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import copfuse as cf
from copfuse import cli, frames, measures, provenance, views
from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.tables import TRACK


def close(text, value, digits=1):
    return abs(float(text) - value) <= 0.5000001 * 10.0**-digits


def lines_of(v, track):
    return np.flatnonzero(v.picture.track == track)


def every_track(run):
    for node in NODES:
        v = views.view(run, node)
        for track in np.unique(v.picture.track).tolist():
            yield v, track, provenance.explain(run, node, track), lines_of(v, track)


ARRIVED = r"(\w+)'s track (\d+) \(newest row of ([\d.]+) s, sent at ([\d.]+) s, arrived at ([\d.]+) s, ([\d.]+) s later, "
ARRIVED += r"over the (\w+) > (\w+) link"


def test_what_is_said_of_arrivals_is_in_the_messages(shared_by):
    """Each "newest row of .. s, sent at .. s, arrived at .. s" is one message to the node, of that source, arrived by then."""
    told = 0
    run = shared_by("realtime")
    for v, track, _, _ in every_track(run):
        m = v.messages
        for sentence in provenance.explain(run, v.node, track, np.arange(30.0, 300.0, 10.0).tolist()):
            for source, number, of, sent, arrived, later, start, end in re.findall(ARRIVED, sentence):
                when = float(re.search(r"\b[aA]t ([\d.]+) s", sentence)[1])
                assert (start, end) == (source, v.node)
                like = (m.source == NODES.index(source)) & (m.kind == TRACK) & (v.tracks.track[m.row] == int(number))
                like &= (np.abs(m.arrived - float(arrived)) < 0.051) & (np.abs(m.sent - float(sent)) < 0.051)
                assert like.any() and close(later, m.arrived[like][0] - m.sent[like][0])
                assert close(of, v.tracks.time[m.row[like][0]]) and m.arrived[like][0] <= when
                told += 1
    assert told > 20


def test_beginning_end_and_shares_are_those_of_the_picture(shared_by):
    for regime in ("none", "realtime", "plots"):
        for v, track, said, lines in every_track(shared_by(regime)):
            p, k = v.picture, NODES.index(v.node)
            begin = re.match(rf"{v.node} first held track {track} at ([\d.]+) s", said[0])
            assert close(begin[1], p.time[lines[0]])
            (end,) = [s for s in said if "last held" in s]
            when, height, side, age = re.search(
                r"last held at ([\d.]+) s, (?:reckoned to be )?([\d.]+) km (up|under the ground).*, when the newest row in it was "
                r"([\d.]+) s old",
                end,
            ).groups()
            assert close(when, p.time[lines[-1]]) and close(age, p.age[lines[-1]])
            true = frames.geodetic(p.x[lines[-1:]])[2][0] / 1e3
            assert close(height, abs(true)) and side == ("up" if true >= 0.0 else "under the ground")
            (shares,) = [s for s in said if s.startswith("Of the")]
            assert int(re.match(r"Of the (\d+) picture time", shares)[1]) == len(lines)
            for percent, who in re.findall(r"(\d+) % on (its own|KOR's|JPN's|USA's) information", shares):
                nation = k if who == "its own" else NODES.index(who[:3])
                assert close(percent, 100 * np.mean(p.pedigree[lines, nation] != -1), 0)
            named = {who if who == "its own" else who[:3] for who in re.findall(r"% on (its own|KOR's|JPN's|USA's) information", shares)}
            assert named == {"its own" if n == k else NODES[n] for n in range(4) if (p.pedigree[lines, n] != -1).any()}
            alone = re.search(r"(\d+) % on others' alone", shares)
            if alone:
                assert close(alone[1], 100 * np.mean(p.pedigree[lines, k] == -1), 0)
            (aged,) = [s for s in said if s.startswith("The newest information")]
            median, most = re.search(r"was ([\d.]+) s old in the median, ([\d.]+) s at most", aged).groups()
            assert close(median, np.median(p.age[lines])) and close(most, p.age[lines].max())


def test_every_forecast_is_one_of_the_pictures(shared_by):
    form = (
        r"At ([\d.]+) s: impact forecast in ([\d.]+) s \(sigma ([\d.]+) s\) at ([\d.]+) deg ([NS]) ([\d.]+) deg ([EW]), 95 % ellipse with "
    )
    form += r"semi-axes ([\d.]+) km and ([\d.]+) km"
    told = 0
    for v, _, said, lines in every_track(shared_by("realtime")):
        p = v.picture
        major, minor, _ = measures.error_ellipse(p.impact_point, p.impact_point_P)
        for groups in (m.groups() for s in said if (m := re.match(form, s))):
            (line,) = [i for i in lines if abs(p.time[i] - float(groups[0])) < 0.051]
            lat, lon, _ = (float(a[0]) for a in frames.geodetic(p.impact_point[line : line + 1]))
            assert close(groups[1], p.time_to_impact[line]) and close(groups[2], p.time_to_impact_sigma[line])
            assert close(groups[3], abs(np.degrees(lat)), 2) and groups[4] == "NS"[lat < 0]
            assert close(groups[5], abs(np.degrees(lon)), 2) and groups[6] == "EW"[lon < 0]
            assert close(groups[7], major[line] / 1e3) and close(groups[8], minor[line] / 1e3)
            told += 1
        first = lines[np.isfinite(p.impact_point[lines, 0])]
        small = lines[major[lines] < 50e3]
        times = {float(s[3 : s.index(" s:")]) for s in said if re.match(r"At [\d.]+ s: impact", s)}
        for expected in (first[:1], first[-1:], small[:1]):
            assert all(any(abs(t - p.time[i]) < 0.051 for t in times) for i in expected)
    assert told > 5


def test_every_joining_and_leaving_is_told_and_nothing_else(shared_by):
    """The nations that stand in a track, replayed from the sentences, are those of its pedigree at every time."""
    for regime in ("realtime", "none"):
        for v, _, said, lines in every_track(shared_by(regime)):
            k = NODES.index(v.node)
            have = {k if "own" in w else NODES.index(w[:3]) for w in re.findall(r"(its own|KOR's|JPN's|USA's) track", said[0])}
            at = {}
            for sentence in said[1:]:
                if m := re.match(r"At ([\d.]+) s (its own|KOR's|JPN's|USA's) track \d+ (joined it|was no longer)", sentence):
                    at.setdefault(m[1], []).append((k if "own" in m[2] else NODES.index(m[2][:3]), m[3] == "joined it"))
            for line in lines:
                for nation, joins in at.pop(provenance._s(v.picture.time[line])[:-2], []):
                    assert (nation not in have) == joins
                    have ^= {nation}
                assert have == set(np.flatnonzero(v.picture.pedigree[line] != -1).tolist())
            assert not at


def test_only_own_sensors_are_named_and_all_that_fed(shared_by):
    for regime in ("none", "realtime", "plots"):
        run = shared_by(regime)
        for v, _, said, lines in every_track(run):
            text = " ".join(said)
            own = {s.name for s in run.scenario.sensors if s.nation == v.node}
            named = {s.name for s in run.scenario.sensors if re.search(rf"{re.escape(s.name)}(?![\w-])", text)}
            assert named <= own
            if regime != "plots":
                fed = np.bitwise_or.reduce(v.picture.sensors[lines])
                assert named == {name for i, name in enumerate(v.picture.meta["sensors"]) if int(fed) >> i & 1}


def test_a_state_at_a_time_is_the_pictures(shared_by):
    run = shared_by("realtime")
    v = views.view(run, "JPN")
    line = int(np.flatnonzero(v.picture.track == v.picture.track[0])[3])
    time = float(v.picture.time[line])
    (said,) = [s for s in provenance.explain(run, "JPN", int(v.picture.track[0]), [time + 0.5]) if " it was at " in s]
    height, speed, sigma = re.search(r"([\d.]+) km up, ([\d.]+) km/s, position known to ([\d.]+) km \(sigma\)", said).groups()
    x, P = v.picture.x[line], v.picture.P[line, :3, :3]
    assert said.startswith(f"At {provenance._s(time)} ") and close(height, frames.geodetic(x[None])[2][0] / 1e3)
    assert close(speed, np.linalg.norm(x[3:]) / 1e3, 2) and close(sigma, np.sqrt(np.linalg.eigvalsh(P).max()) / 1e3, 2)
    never = provenance.explain(run, "JPN", int(v.picture.track[0]), [1e5])[-1]
    assert never == f"At 100000 s track {v.picture.track[0]} was not held."


def test_a_time_that_is_none_is_refused(shared_by):
    with pytest.raises(CopfuseError, match="at = 100.0, nan has what is no time; give s after the epoch"):
        provenance.explain(shared_by("realtime"), "JPN", None, [100.0, float("nan")])


def test_a_track_that_goes_over_to_another_number_is_followed(shared_by):
    """A picture by hand: track 1's only source stands in track 0 later; both say so."""
    run = shared_by("none")
    v = views.view(run, "KOR")
    lines = lines_of(v, int(v.picture.track[0]))[:6]
    track = np.array([1, 1, 1, 0, 0, 0])
    by_hand = replace(v, picture=replace(v.picture[lines], track=track))
    t = [provenance._s(x) for x in v.picture.time[lines]]
    older = provenance.sentences(by_hand, 1)
    assert any(f"last held at {t[2]}" in s and f"; at {t[3]} what stood in it was in track 0." in s for s in older)
    own = int(v.tracks.track[v.picture.pedigree[lines[0], 0]])
    both = by_hand.picture[np.array([0, 1, 2, 3, 4, 5])]
    assert provenance._from_elsewhere(replace(by_hand, picture=both), 0, 3, 0, own) == ", from track 1, which is one with it now"


def test_a_run_a_view_and_their_folders_tell_the_same(shared_by, tmp_path):
    run = shared_by("realtime")
    whole, one = run.save(tmp_path / "run"), run.save(tmp_path / "jpn", node="JPN")
    said = cf.explain(run, "JPN")
    assert said == cf.explain(cf.view(run, "JPN")) == cf.explain(str(whole), "JPN") == cf.explain(one) and len(said) > 5
    assert len(cf.explain(run)) > len(said)
    with pytest.raises(CopfuseError, match="JPN's view: it holds nothing of what KOR had"):
        cf.explain(one, "KOR")
    with pytest.raises(CopfuseError, match="JPN's picture has no track 99; there are: 0"):
        cf.explain(run, "JPN", 99)
    with pytest.raises(CopfuseError, match="no picture has a track 99; there are: 0"):
        cf.explain(run, track=99)
    with pytest.raises(CopfuseError, match="there is no node 'X'"):
        cf.explain(run, "X")


# On the command line -----------------------------------------------------------------------------------------------------


def called(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    out, err = capsys.readouterr()
    return left.value.code, out, err


def test_explain_on_the_command_line(shared_by, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = shared_by("realtime")
    run.save("run")
    run.save("jpn", node="JPN")
    status, out, _ = called(capsys, "explain", "run", "--node", "JPN")
    assert status == 0 and out.startswith(f"{run.scenario.name}: ") and "regime realtime, seed 1" in out and "notional" in out
    told = re.sub(r"\s+", " ", out)
    assert all(said in told for said in cf.explain(run, "JPN")) and max(map(len, out.splitlines())) <= 120
    status, view, _ = called(capsys, "explain", "jpn")
    assert status == 0 and view.startswith("JPN's view under realtime\n") and view.split("\n\n")[1:] == out.split("\n\n")[1:]
    refused = {
        ("run", "--track", "99"): "no picture has a track 99",
        ("run", "--node", "JAP"): "did you mean 'JPN'",
        ("run", "--seed", "4"): "leave --regime and --seed out",
        ("jpn", "--node", "USA"): "JPN's view",
        ("xyz",): "there is no scenario",
    }
    for arguments, why in refused.items():
        status, out, err = called(capsys, "explain", *arguments)
        assert (status, out, err.count("\n")) == (2, "", 1) and why in err
    status, out, _ = called(capsys, "explain", "--help")
    assert status == 0 and "Example" in out and "copfuse explain my-run" in out
