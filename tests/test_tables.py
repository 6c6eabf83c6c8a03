"""Tables: slicing, stacking, saving; what is damaged, foreign or half-written is refused."""

from __future__ import annotations

import csv
import json
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copfuse.checking import usable_plots
from copfuse.errors import CopfuseError, suggestion
from copfuse.tables import TABLES, Detections, Growing, Messages, Picture, Tracks, Truth, replacing, same_table, stack


def made(kind, n, seed=0):
    """A table of random rows; floats include nan, as the tables' do."""
    rng = np.random.default_rng(seed)
    columns = {}
    for name, (dtype, shape) in kind.COLUMNS.items():
        if np.issubdtype(dtype, np.floating):
            columns[name] = np.where(rng.random((n, *shape)) < 0.1, np.nan, rng.normal(size=(n, *shape)))
        else:
            columns[name] = rng.integers(0, 2, (n, *shape)).astype(dtype)
    return kind(**columns, meta={"of": "test", "list": [1, 2.5, None]})


def same(a, b):
    return type(a) is type(b) and all(getattr(a, n).tobytes() == getattr(b, n).tobytes() for n in a.COLUMNS)


@pytest.mark.parametrize("kind", TABLES)
def test_flat_columns_and_csv_hold_every_number(kind, tmp_path):
    table = made(kind, 5)
    flat = table.flat()
    assert all(column.shape == (5,) for column in flat.values())
    for name, (_, shape) in kind.COLUMNS.items():
        cells = [flat["_".join([name, *map(str, place)])] for place in np.ndindex(*shape)]
        np.testing.assert_array_equal(np.stack(cells, axis=-1).reshape(getattr(table, name).shape), getattr(table, name))
    with open(table.save(tmp_path / "t.csv"), newline="") as file:
        head, *lines = list(csv.reader(file))
    assert head == list(flat) and len(lines) == 5
    for name, column in zip(head, zip(*lines, strict=True), strict=True):
        assert [str(v) for v in flat[name].tolist()] == list(column)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(CopfuseError, match="its name must end in .npz or .csv"):
        made(Truth, 2).save(tmp_path / "truth.txt")
    assert list(tmp_path.iterdir()) == []


def test_plots_in_degrees_are_refused():
    z = np.array([[1e5, 213.0, 12.0, np.nan]])
    plots = Detections([1.0], [0], z, np.ones((1, 4)), [20.0], [-1])
    with pytest.raises(CopfuseError, match=r"Detections row 0: z\[:, 1:3\] is \[213. +12.\]; needed: azimuth and elevation in radians"):
        usable_plots(plots, 1)
    usable_plots(Detections([1.0], [0], [[1e5, 3.7, 0.2, np.nan]], np.ones((1, 4)), [20.0], [-1]), 1)


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("n", [0, 1, 7])
def test_save_and_load_give_the_same_table(kind, n, tmp_path):
    table = made(kind, n)
    back = kind.load(table.save(tmp_path / "t.npz"))
    assert same(table, back) and back.meta == table.meta and back.uid == table.uid
    assert list(tmp_path.iterdir()) == [tmp_path / "t.npz"]


@given(st.sampled_from(TABLES), st.integers(0, 20), st.data())
def test_slices_stack_back_together(kind, n, data):
    table = made(kind, n, seed=n)
    cut = data.draw(st.integers(0, n))
    assert same(stack([table[:cut], table[cut:]]), table)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    assert len(table[mask]) == mask.sum()
    assert same(table[mask], table[np.flatnonzero(mask)])


@given(st.sampled_from(TABLES), st.integers(1, 8), st.integers(0, 100))
def test_the_uid_names_the_content(kind, n, seed):
    table = made(kind, n, seed)
    assert table.uid == made(kind, n, seed).uid
    assert table.uid != table[:-1].uid
    assert table.uid != made(kind, n, seed + 1).uid
    other = next(one for one in TABLES if one is not kind)
    renamed = replace(table, meta={"of": "another"})
    for one in (table, made(kind, n, seed), table[:-1], made(kind, n, seed + 1), renamed, made(other, n, seed)):
        assert table.same(one) == (table.uid == one.uid)


def test_one_row_by_number_stays_a_table():
    table = made(Truth, 5)
    assert len(table[3]) == 1 and same(table[3], table[3:4])


@pytest.mark.parametrize("rows", [slice(None, None, -1), slice(1, 6, 2), slice(2, 5), [3, 1], np.arange(7) > 2, 4])
def test_parts_are_what_a_table_of_their_columns_is(rows):
    """In one piece, read-only and of the same types, whichever way they were chosen; nothing is kept that was known of the whole."""
    table = made(Detections, 7)
    part = (table.uid, table[rows])[1]
    number = np.atleast_1d(np.arange(7)[rows])
    whole = Detections(**{name: getattr(table, name)[number] for name in Detections.COLUMNS}, meta=table.meta)
    assert same(part, whole) and part.uid == whole.uid
    for name, (dtype, _) in Detections.COLUMNS.items():
        column = getattr(part, name)
        assert column.flags.c_contiguous and not column.flags.writeable and column.dtype == dtype


def test_columns_are_read_only():
    table = made(Truth, 3)
    with pytest.raises(ValueError, match="read-only"):
        table.x[0, 0] = 1.0


def test_wrong_shapes_and_lengths_are_refused():
    with pytest.raises(CopfuseError, match=r"Truth.x has shape \(3, 3\), expected \(n, 6\)"):
        Truth(np.zeros(3), np.zeros(3), np.zeros((3, 3)), np.zeros(3))
    with pytest.raises(CopfuseError, match="phase has 2 rows, the columns before it 3"):
        Truth(np.zeros(3), np.zeros(3), np.zeros((3, 6)), np.zeros(2))


def test_a_missing_file_and_another_table_are_refused(tmp_path):
    with pytest.raises(CopfuseError, match="there is no table"):
        Truth.load(tmp_path / "none.npz")
    made(Detections, 3).save(tmp_path / "t.npz")
    with pytest.raises(CopfuseError, match="Detections"):
        Truth.load(tmp_path / "t.npz")


def test_a_changed_file_is_refused(tmp_path):
    table = made(Messages, 3)
    about = {"table": "Messages", "uid": table.uid, "meta": table.meta}
    columns = {name: getattr(table, name) for name in table.COLUMNS}
    columns["row"] = columns["row"] + 1
    np.savez(tmp_path / "t.npz", **columns, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
    with pytest.raises(CopfuseError, match="changed after it was saved"):
        Messages.load(tmp_path / "t.npz")


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_a_damaged_file_is_refused(keep, tmp_path):
    path = made(Picture, 20).save(tmp_path / "t.npz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CopfuseError, match="t.npz"):
        Picture.load(path)


def test_pickles_are_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    (tmp_path / "a.npz").write_bytes(pickle.dumps(Bomb()))
    columns = {name: getattr(made(Truth, 2), name) for name in Truth.COLUMNS}
    np.savez(tmp_path / "b.npz", **{**columns, "x": np.array([Bomb()], object)}, about=np.frombuffer(b'{"table": "Truth"}', np.uint8))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(CopfuseError):
            Truth.load(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_rows_that_point_into_another_table_are_refused():
    table, other = made(Truth, 3, 1), made(Truth, 3, 2)
    same_table("truth", table, table.uid)
    with pytest.raises(CopfuseError, match=f"these truth are {other.uid}, but the rows point into {table.uid}"):
        same_table("truth", other, table.uid)


def test_replacing_writes_whole_or_leaves_nothing(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(KeyboardInterrupt), replacing(path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path) as temporary, open(temporary, "w") as file:
        file.write("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_replacing_says_where_it_cannot_write(tmp_path):
    with pytest.raises(CopfuseError, match="cannot write .*nowhere"), replacing(tmp_path / "nowhere" / "out.csv"):
        pass
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CopfuseError, match="cannot write .*folder.csv"), replacing(tmp_path / "folder.csv"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.csv"]


def test_suggestions():
    assert suggestion("sensros", ["sensors", "epoch"]) == "did you mean 'sensors'?"
    assert suggestion("zzz", ["sensors", "epoch"]) == "there are: sensors, epoch"
    assert suggestion("zzz", map(str, range(20)), most=3) == "there are: 0, 1, 2, ... (20 in all)"


def test_a_table_that_grows_is_what_stacking_gives():
    rng = np.random.default_rng(1)
    parts = [{name: rng.normal(size=(n, *shape)).astype(dtype) for name, (dtype, shape) in Truth.COLUMNS.items()} for n in (3, 0, 90, 200)]
    growing, tables = Growing(Truth, objects=[]), []
    for part in parts:
        growing.add({**part, "unasked": part["x"]})
        tables.append(growing.table())
    for n, table in enumerate(tables, 1):  # the earlier ones too, after the later ones were made
        assert table.uid == stack([Truth(**part, meta={"objects": []}) for part in parts[:n]]).uid
    growing = Growing(Tracks, {"P_common": "P"})
    for n in (3, 90):
        growing.add({name: column for name, column in vars(made(Tracks, n)).items() if name != "P_common"})
    assert np.array_equal(growing.table().P_common, growing.table().P, equal_nan=True) and len(growing.table().P) == 93
