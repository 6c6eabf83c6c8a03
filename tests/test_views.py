"""One node's view: it makes the node's picture again, bit by bit, and its files hold nothing else."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace

import msgspec
import numpy as np
import pytest

import copfuse as cf
from copfuse import cli, fusion, provenance, releases, study, views
from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.tables import MESSAGE, PLOT, TRACK, Messages
from copfuse.views import UNSEEN


def same_but(one, two, *but):
    return all(np.array_equal(getattr(one, n), getattr(two, n), equal_nan=True) for n in one.COLUMNS if n not in but) and len(one) == len(
        two
    )


# The view is enough ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", ["none", "realtime", "link16"])
@pytest.mark.parametrize("node", NODES)
def test_a_view_is_enough_for_its_picture(shared_by, regime, node):
    """Originator control, shown the other way round: the picture is made again, bit by bit, from the view alone."""
    run = shared_by(regime)
    v = views.view(run, node)
    again = fusion.fuse(v.tracks, v.messages, v.scenario)
    mine = again[again.node == NODES.index(node)]
    whole = run.picture[run.picture.node == NODES.index(node)]
    assert same_but(mine, v.picture) and same_but(v.picture, whole, "common", "pedigree", "sensors")
    one, two = whole.common.tolist(), v.picture.common.tolist()  # others' tracks are renumbered, one by one
    assert len(set(zip(one, two, strict=True))) == len(set(one)) == len(set(two))
    assert len(mine) > 0 or (regime, node) == ("none", "HUB")


def test_the_hubs_view_of_plots_is_enough_too(shared_by):
    run = shared_by("plots")
    v = views.view(run, "HUB")
    again = fusion.fuse(v.tracks, v.messages, v.scenario, detections=v.detections)
    assert len(v.picture) > 0 and same_but(again[again.node == NODES.index("HUB")], v.picture) and len(v.detections) == len(run.detections)


def test_a_view_has_what_came_and_own_rows(shared_by):
    run = shared_by("realtime")
    for k, node in enumerate(NODES):
        v = views.view(run, node)
        came = run.messages[(run.messages.target == k) & np.isfinite(run.messages.arrived)]
        assert len(v.messages) == len(came) and (v.messages.target == k).all() and np.isfinite(v.messages.arrived).all()
        other = v.tracks.node != k
        assert (~other).sum() == (run.tracks.node == k).sum() and other.sum() == len(np.unique(came.row))
        assert (v.tracks.sensors[other] == 0).all() and (v.tracks.detection[other] == -1).all()
        assert np.array_equal(v.tracks.x[v.messages.row], run.tracks.x[came.row])
        assert all(s.nation == node for s in v.scenario.sensors) and (v.detections.object == -1).all() and v.scenario.launches == ()
        own = np.array([s.nation == node for s in run.scenario.sensors])[run.detections.sensor]
        assert np.array_equal(v.detections.z, run.detections.z[own], equal_nan=True)
        names = [v.detections.meta["sensors"][i] for i in v.detections.sensor]
        assert names == [run.detections.meta["sensors"][i] for i in run.detections.sensor[own]]
        assert np.array_equal(
            v.detections.z[v.tracks.detection[~other]], run.detections.z[run.tracks.detection[run.tracks.node == k]], equal_nan=True
        )


def test_foreign_tracks_are_numbered_as_they_were_heard_of(shared_by):
    """Their own numbers would say how many tracks, of clutter too, a nation has had."""
    run = shared_by("realtime")
    v = views.view(run, "JPN")
    for source in (0, 2):
        heard = v.tracks.track[v.messages.row[v.messages.source == source]]
        first = np.sort(np.unique(heard, return_index=True)[1])
        assert heard[first].tolist() == list(range(len(first)))


def test_the_pedigree_points_into_the_view(shared_by):
    run = shared_by("realtime")
    v, whole = views.view(run, "JPN"), run.picture[run.picture.node == 1]
    assert v.picture.meta["pedigree_uid"] == v.tracks.uid and v.picture.meta["pedigree_of"] == "Tracks"
    have = whole.pedigree >= 0
    assert np.array_equal(v.picture.pedigree >= 0, have)
    assert np.array_equal(v.tracks.x[v.picture.pedigree[have]], run.tracks.x[whole.pedigree[have]])
    plots = views.view(shared_by("plots"), "JPN")
    others = np.delete(plots.picture.pedigree, 1, axis=1)
    assert (
        (others < 0).all() and (others == UNSEEN).any() and (plots.detections.meta["sensors"] == [s.name for s in plots.scenario.sensors])
    )
    assert (plots.picture.pedigree[:, 1] >= 0).any()


def test_a_message_to_people_brings_no_row(shared_by):
    """What it says is kept with it, and is what the originator's row says; no state of the track comes with it."""
    run = shared_by("tisa")
    one = np.flatnonzero((run.tracks.node == 0) & run.tracks.firm)[20:21]  # people release few, so one is put in by hand
    rows = Messages([900.0], [905.0], [0], [1], [MESSAGE], one, meta=run.messages.meta)
    run = replace(run, messages=rows)
    v = views.view(run, "JPN")
    said = v.messages[v.messages.kind == MESSAGE]
    assert (said.row == -1).all() and len(v.messages.meta["told"]) == len(said) == len(rows) > 0
    assert (v.tracks.node == 1).sum() == (run.tracks.node == 1).sum() and not np.isin(v.tracks.x, run.tracks.x[rows.row]).any()
    launch, course, impact, down = releases.content(rows, run.tracks)
    for i, told in enumerate(v.messages.meta["told"]):
        assert np.array_equal(told["launch_point"], launch[i]) and told["course"] == course[i] and told["impact_time"] == down[i]
        assert np.array_equal(told["impact_point"], impact[i])
    (sentence,) = provenance.messages_told(v)[:1]
    assert (
        f"told by KOR, in a message sent at {provenance._s(rows.sent[0])}" in sentence
        and f"course {np.degrees(course[0]):.0f} deg" in sentence
    )
    assert f"impact at {provenance._place(impact[0])} at {provenance._s(down[0])}." in sentence


# The bytes ---------------------------------------------------------------------------------------------------------------


def floats_of(table, rows=slice(None)):
    return np.concatenate([getattr(table, n)[rows].ravel() for n in table.COLUMNS if getattr(table, n).dtype == np.float64])


def bits_of(values):
    return np.unique(np.asarray(values, np.float64).view(np.uint64))


def released(run, k):
    """Every float that the node may have, from the whole run: own rows, rows that came, its picture, and when it reported a track first."""
    came = run.messages[(run.messages.target == k) & np.isfinite(run.messages.arrived)]
    own = np.array([s.nation == NODES[k] for s in run.scenario.sensors])[run.detections.sensor]
    rows = (run.tracks.node == k) | np.isin(np.arange(len(run.tracks)), came.row[came.kind != PLOT])
    plots = own | np.isin(np.arange(len(run.detections)), came.row[came.kind == PLOT])
    sent = run.messages[(run.messages.source == k) & (run.messages.kind == TRACK)]
    track = run.tracks.track[sent.row]
    begun = np.array([sent.sent[track == one].min() for one in np.unique(track)])
    mine = floats_of(run.tracks, rows), floats_of(run.detections, plots), floats_of(run.picture, run.picture.node == k)
    return bits_of(np.concatenate([*mine, floats_of(came), begun]))


def everything(run):
    return bits_of(np.concatenate([floats_of(table) for table in run.tables().values()]))


def written(folder):
    """Every file's content with the zip's compression taken off, by name; the names of the files too."""
    out = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as inside:
                out |= {f"{path.name}/{name}": inside.read(name) for name in inside.namelist()}
        else:
            out[path.name] = path.read_bytes()
    return out


def decimals(text):
    """Every decimal number of a text, as bits."""
    return bits_of([float(x) for x in re.findall(r"-?\d+\.\d+(?:[eE][-+]?\d+)?", text)])


def withheld_from(run, k):
    """Every float of the run that the node may not have; round numbers, which stand in other places by chance, are left out."""
    withheld = np.setdiff1d(everything(run), released(run, k))
    return withheld[withheld & np.uint64(0xFFFF) != 0]


def found(content, withheld):
    """Which of the 8-byte patterns stand anywhere in it, at any offset."""
    hits = []
    for offset in range(8):
        usable = (len(content) - offset) // 8 * 8
        words = np.frombuffer(content[offset : offset + usable], np.uint64)
        at = np.minimum(np.searchsorted(withheld, words), len(withheld) - 1)
        hits.append(words[withheld[at] == words])
    return np.concatenate(hits)


@pytest.mark.parametrize(
    ("regime", "node"), [("none", "JPN"), ("realtime", "JPN"), ("plots", "JPN"), ("link16", "JPN"), ("realtime", "HUB"), ("plots", "HUB")]
)
def test_no_withheld_byte_is_in_the_files(shared_by, tmp_path, regime, node):
    """Of all floats of the run that were not released, no eight bytes and no decimal text; no name, label, hash, seed of the rest."""
    run, k = shared_by(regime), NODES.index(node)
    contents = written(run.save(tmp_path / "view", node=node))
    withheld = withheld_from(run, k)
    assert len(withheld) > (3000 if (regime, node) != ("plots", "HUB") else 500)
    for name, content in contents.items():
        assert len(found(content, withheld)) == 0, name
    text = b"".join(c for n, c in contents.items() if n.endswith(("json", "about.npy"))).decode(errors="replace")
    known = {s.name for s in views.view(run, node).scenario.sensors}
    assert all(s.name not in text and (not s.title or s.title not in text) for s in run.scenario.sensors if s.name not in known)
    told = run.scenario.name, run.scenario.title, run.scenario.description, *(x.name for x in run.scenario.launches)
    told += *(thing["name"] for thing in run.truth.meta["objects"]), *(t.uid for t in run.tables().values())
    for word in (*told, "seed", "schedule", "absent", "seconds"):
        assert not word or word not in text, word
    own = json.dumps(msgspec.to_builtins([s for s in run.scenario.sensors if s.name in known]))
    places = [v for s in run.scenario.sensors if s.name not in known and np.isfinite(s.lat) for v in (s.lat, s.lon)]
    flown = [v for x in run.scenario.launches for v in vars(x).values() if isinstance(v, float) and np.isfinite(v) and v != 0.0]
    numbers = np.setdiff1d(decimals(text), decimals(own))
    assert not np.isin(numbers, np.union1d(withheld, bits_of(places + flown))).any()
    labels = next(c for n, c in contents.items() if n == "detections.npz/object.npy")
    assert set(np.frombuffer(labels[len(labels) - 4 * len(views.view(run, node).detections) :], np.int32).tolist()) <= {-1}
    assert not [n for n in contents if n.startswith(("truth", "score"))]


def test_the_search_for_bytes_finds_what_is_there(shared_by, tmp_path):
    """The same search over a whole saved run finds truth, foreign plots and names: the test above can fail."""
    run = shared_by("realtime")
    contents = written(run.save(tmp_path / "run"))
    withheld = withheld_from(run, 1)
    assert all(
        len(found(contents[n], withheld)) for n in ("truth.npz/x.npy", "detections.npz/z.npy", "tracks.npz/x.npy", "picture.npz/x.npy")
    )
    assert b"KR-" in contents["run.json"] and run.truth.meta["objects"][0]["name"].encode() in contents["truth.npz/about.npy"]


# Saved and loaded --------------------------------------------------------------------------------------------------------


def test_a_saved_view_comes_back_and_says_what_it_is(shared_by, tmp_path):
    run = shared_by("realtime")
    folder = run.save(tmp_path / "jpn", node="JPN")
    v, back = views.view(run, "JPN"), views.load(folder)
    assert {n: t.uid for n, t in back.tables().items()} == {n: t.uid for n, t in v.tables().items()}
    assert (back.node, back.regime) == ("JPN", "realtime") and repr(back.scenario) == repr(v.scenario) and str(back) == str(v)
    assert (
        "JPN's view under realtime" in str(v)
        and "No truth" in str(v)
        and "notional" in str(v)
        and max(map(len, str(v).splitlines())) <= 140
    )
    with pytest.raises(CopfuseError, match="JPN's view of a run, not the whole run: load it with copfuse.views.load"):
        cf.Run.load(folder)
    with pytest.raises(CopfuseError, match="a whole run, not one node's view"):
        views.load(run.save(tmp_path / "whole"))
    with pytest.raises(CopfuseError, match="no saved view"):
        views.load(tmp_path / "nothing")
    with pytest.raises(CopfuseError, match="there is no node 'JAP'; did you mean 'JPN'"):
        run.save(tmp_path / "x", node="JAP")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["jpn", "whole"]


def test_a_changed_view_is_refused(shared_by, tmp_path):
    run = shared_by("realtime")
    folder, other = run.save(tmp_path / "jpn", node="JPN"), run.save(tmp_path / "kor", node="KOR")
    (folder / "tracks.npz").write_bytes((other / "tracks.npz").read_bytes())
    with pytest.raises(CopfuseError, match="another view's"):
        views.load(folder)
    about = json.loads((folder / "run.json").read_text())
    del about["uids"]
    (folder / "run.json").write_text(json.dumps(about))
    with pytest.raises(CopfuseError, match="not the run.json of a saved view"):
        views.load(folder)


# Drawn, and on the command line --------------------------------------------------------------------------------------------


def test_a_view_is_drawn_without_anything_of_others(shared_by, tmp_path):
    run = shared_by("realtime")
    figure = cf.plot(cf.view(run, "JPN"), tmp_path / "jpn.svg")
    assert "JPN's view under realtime" in (text := (tmp_path / "jpn.svg").read_text()) and "notional" in text
    assert not [s.name for s in run.scenario.sensors if s.nation != "JPN" and s.name in text]
    lines = [line for line in figure.axes[1].get_lines() if len(line.get_xdata())]
    drawn = np.sort(np.concatenate([line.get_xdata() for line in lines]))
    assert np.array_equal(drawn, np.sort(run.picture.time[run.picture.node == 1]))
    cf.plot(cf.view(shared_by("none"), "HUB"), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 5000
    with pytest.raises(CopfuseError, match="no truth to draw errors against"):
        cf.plot(cf.view(run, "JPN"), what="errors")


def called(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    out, err = capsys.readouterr()
    return left.value.code, out, err


def test_run_for_a_node_writes_and_prints_that_nodes_view(shared_by, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = shared_by("realtime")
    monkeypatch.setattr(study, "run", lambda *_, **__: run)
    status, out, _ = called(capsys, "run", "pull-up-2019", "--for", "JPN", "--save", "jpn")
    assert status == 0 and out == f"{views.view(run, 'JPN')}\npicture: view-JPN.png\ntables: jpn\n"
    assert views.load("jpn").node == "JPN" and sorted(p.name for p in tmp_path.iterdir()) == ["jpn", "view-JPN.png"]
    status, out, err = called(capsys, "run", "--for", "JAP")
    assert (status, out, err) == (2, "", "copfuse: there is no node 'JAP'; did you mean 'JPN'?\n")
    status, out, err = called(capsys, "run", "--for", "JPN", "--errors", "e.png")
    assert (status, out) == (2, "") and "against the truth" in err
