"""Six tables of numpy columns, rows first; between the verbs there is nothing else.

A table is frozen: its columns are read-only arrays of one length.  ``t[mask]`` slices, ``stack`` joins, ``save`` and
``load`` use ``.npz`` with the provenance as JSON inside (no pickle).  ``uid`` is a hash of the content, so a table
that points into another remembers which one it meant.  Times are seconds since the scenario's epoch, states
Earth-fixed metres and metres per second, −1 means "none".
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from copfuse.errors import CopfuseError

Column = tuple[Any, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Table:
    """What the six tables share; ``COLUMNS`` gives each column's dtype and the shape of one row of it."""

    COLUMNS: ClassVar[dict[str, Column]] = {}

    def __post_init__(self) -> None:
        length, own = None, vars(self)
        for name, (dtype, shape) in self.COLUMNS.items():
            column = np.ascontiguousarray(own[name], dtype=dtype)
            if column.shape[1:] != shape:
                raise CopfuseError(f"{type(self).__name__}.{name} has shape {column.shape}, expected (n{''.join(f', {k}' for k in shape)})")
            length = len(column) if length is None else length
            if len(column) != length:
                raise CopfuseError(f"{type(self).__name__}.{name} has {len(column)} rows, the columns before it {length}")
            if column.flags.writeable:
                column = column.view()
                column.flags.writeable = False
            own[name] = column

    def __len__(self) -> int:
        return len(getattr(self, next(iter(self.COLUMNS))))

    def __getitem__(self, rows: Any) -> Self:
        """The chosen rows (mask, slice or row numbers) as a table of the same kind."""
        if isinstance(rows, slice) and rows.step not in (None, 1):
            rows = np.arange(len(self))[rows]  # a column is in one piece
        rows = np.atleast_1d(rows) if not isinstance(rows, slice) else rows
        own = vars(self)
        return self.of({name: own[name][rows] for name in self.COLUMNS}, own["meta"])

    @classmethod
    def of(cls, columns: dict[str, np.ndarray], meta: dict[str, Any]) -> Self:
        """A table of columns that are known to be as `COLUMNS` says, each in one piece and of nobody else: nothing is checked or copied."""
        made = object.__new__(cls)
        for column in columns.values():
            column.flags.writeable = False
        vars(made).update(columns, meta=meta)
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows: {', '.join(self.COLUMNS)})"

    @cached_property
    def uid(self) -> str:
        """Sixteen hexadecimal digits that name this content."""
        digest = hashlib.sha256(type(self).__name__.encode())
        for name in self.COLUMNS:
            digest.update(getattr(self, name))
        digest.update(json.dumps(vars(self)["meta"], sort_keys=True, default=str).encode())
        return digest.hexdigest()[:16]

    def same(self, other: Table) -> bool:
        """Whether another table has this content, and so this `uid`, which takes longer to find out."""
        if other is self or type(other) is not type(self):
            return other is self
        mine, its = vars(self), vars(other)
        return mine["meta"] == its["meta"] and all(np.array_equal(mine[n].view(np.uint8), its[n].view(np.uint8)) for n in self.COLUMNS)

    @classmethod
    def empty(cls, **meta: Any) -> Self:
        """A table without rows."""
        return cls.of({n: np.zeros((0, *shape), dtype) for n, (dtype, shape) in cls.COLUMNS.items()}, meta)

    def flat(self) -> dict[str, np.ndarray]:
        """All columns as one-dimensional ones, ``P`` as ``P_0_0`` to ``P_5_5``, such as `pandas.DataFrame` takes."""
        cells = [(name, place) for name, (_, shape) in self.COLUMNS.items() for place in np.ndindex(*shape)]
        return {"_".join([name, *map(str, place)]): getattr(self, name)[(slice(None), *place)] for name, place in cells}

    def save(self, path: str | Path) -> Path:
        """Write ``path``, whole or not at all: ``.npz`` for `load`, ``.csv`` as `flat`.  Raises `CopfuseError` where that cannot be."""
        path = Path(path)
        if path.suffix == ".csv":
            flat = self.flat()
            with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows([flat, *zip(*(c.tolist() for c in flat.values()), strict=True)])
            return path
        if path.suffix != ".npz":
            raise CopfuseError(f"cannot write {str(path)!r}: its name must end in .npz or .csv")
        columns = {name: getattr(self, name) for name in self.COLUMNS}
        about = {"table": type(self).__name__, "uid": self.uid, "meta": vars(self)["meta"]}
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **columns, about=np.frombuffer(json.dumps(about, default=str).encode(), np.uint8))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.  Raises `CopfuseError` for a missing file, another table or a damaged one."""
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(bytes(file["about"]))
                kind, uid, meta = about["table"], about["uid"], about["meta"]
                columns = {name: file[name] for name in cls.COLUMNS} if kind == cls.__name__ else {}
        except FileNotFoundError:
            raise CopfuseError(f"there is no table at {str(path)!r}") from None
        except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CopfuseError(f"{str(path)!r} is not a {cls.__name__} table saved by copfuse ({error})") from None
        if kind != cls.__name__:
            raise CopfuseError(f"{str(path)!r} holds {kind}, not {cls.__name__}")
        make: Any = cls
        table = make(**columns, meta=meta)
        if table.uid != uid:
            raise CopfuseError(f"{str(path)!r} was changed after it was saved (its content is {table.uid}, not {uid})")
        return table


class replacing:
    """``with replacing(path) as temporary``: write the temporary file; it takes ``path``'s place only on success."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> str:
        try:
            handle, self.temporary = tempfile.mkstemp(dir=self.path.parent or ".", prefix=".copfuse-", suffix=self.path.suffix)
            os.close(handle)
        except OSError as error:
            raise CopfuseError(f"cannot write {str(self.path)!r}: {error.strerror}") from None
        return self.temporary

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            try:
                umask = os.umask(0)
                os.umask(umask)
                os.chmod(self.temporary, 0o666 & ~umask)
                os.replace(self.temporary, self.path)
            except OSError as error:
                os.unlink(self.temporary)
                raise CopfuseError(f"cannot write {str(self.path)!r}: {error.strerror}") from None
        else:
            os.unlink(self.temporary)


def stack(tables: list[Any]) -> Any:
    """One table of all rows of tables of one kind, in order; the first one's meta."""
    first = tables[0]
    if len(tables) == 1:
        return first
    return first.of({n: np.concatenate([getattr(t, n) for t in tables]) for n in first.COLUMNS}, first.meta)


class Growing:
    """A table of some kind to which rows are added: adding costs what is added, and the tables made so far share its memory.

    ``alike``: columns that are the same as another one, by name, and so are not added.
    """

    def __init__(self, kind: Any, alike: dict[str, str] | None = None, **meta: Any) -> None:
        self.kind, self.alike, self.meta, self.n = kind, alike or {}, meta, 0
        kept = [(name, *one) for name, one in kind.COLUMNS.items() if name not in self.alike]
        self.columns = {name: np.zeros((64, *shape), dtype) for name, dtype, shape in kept}

    def add(self, columns: dict[str, np.ndarray]) -> None:
        """Rows behind those before; columns that the table has not are passed over."""
        end = self.n + len(next(iter(columns.values())))
        for name, column in self.columns.items():
            if end > len(column):
                self.columns[name] = np.empty((2 * end, *column.shape[1:]), column.dtype)
                self.columns[name][: self.n] = column[: self.n]
            self.columns[name][self.n : end] = columns[name]
        self.n = end

    def cut(self, n: int) -> None:
        """Leave the first n rows; tables made of more are not to be used any more."""
        self.n = n

    def table(self) -> Any:
        """All rows so far."""
        return self.kind.of({name: self.columns[self.alike.get(name, name)][: self.n] for name in self.kind.COLUMNS}, self.meta)


def same_table(name: str, table: Table, uid: str) -> None:
    """Refuse a table that is not the one that ``uid`` names."""
    if table.uid != uid:
        raise CopfuseError(f"these {name} are {table.uid}, but the rows point into {uid}: pass the table that they were made from")


_F, _I = np.float64, np.int32


@dataclass(frozen=True, eq=False, repr=False)
class Truth(Table):
    """One object at one time; an object's rows are in order, the first its launch, the last its impact.

    ``meta["objects"]`` lists one dict per object number: ``name, launch`` (index in the scenario), ``kind``
    ("missile", "stage", "debris"), ``rcs`` m^2, ``missile_class``.
    """

    time: np.ndarray
    object: np.ndarray
    x: np.ndarray
    phase: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    COLUMNS: ClassVar = {"time": (_F, ()), "object": (_I, ()), "x": (_F, (6,)), "phase": (np.int8, ())}


@dataclass(frozen=True, eq=False, repr=False)
class Detections(Table):
    """One report of one sensor, sorted by time, then sensor.

    ``z`` and ``sigma`` are range m, azimuth rad, elevation rad, range rate m/s, nan where a sensor has none; of a radar
    with ``angles = "u-v"`` columns 1 and 2 hold direction cosines u and v in its face's axes (see `sensors.place`) instead;
    ``snr`` is the signal-to-noise ratio, of powers, not in dB, by which trackers tell what echoes strongly from what does faintly
    (`echoes`), nan where it is not known (what is below its radar's threshold is taken as not known);
    ``sensor`` is an index into ``meta["sensors"]`` (names); ``object`` is the truth label, −1 for clutter, for
    scoring only.  Rows of one sensor with one time are one scan.
    """

    time: np.ndarray
    sensor: np.ndarray
    z: np.ndarray
    sigma: np.ndarray
    snr: np.ndarray
    object: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    COLUMNS: ClassVar = {
        "time": (_F, ()), "sensor": (_I, ()), "z": (_F, (4,)), "sigma": (_F, (4,)), "snr": (_F, ()), "object": (_I, ()),
    }  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Tracks(Table):
    """One update of one local track, sorted by time.

    ``P_common`` is the part of ``P`` that other trackers of the object may share (process noise, priors); the rest comes
    from this track's own plots.  ``node`` indexes ``constants.NODES``; ``track`` numbers a node's tracks from 0;
    ``acceleration`` is what is not
    gravity (thrust, lift, drag) with ``acceleration_sigma`` per axis, m/s^2; ``log_beta`` is the mean and sigma of the
    natural logarithm of the ballistic coefficient in kg/m^2, at hypersonic speed; ``sensors`` has bit i set when sensor i
    of ``meta["sensors"]`` has fed the track; ``detection`` is the plot that made this update, a row of
    ``meta["detections_uid"]``; ``firm`` from the update that confirmed it on; ``llr`` the log-likelihood ratio score.
    ``meta["ended"]`` has for a node the firm tracks that it follows no more: number, ``detection`` of the last row, and s when that was.
    """

    time: np.ndarray
    node: np.ndarray
    track: np.ndarray
    x: np.ndarray
    P: np.ndarray
    P_common: np.ndarray
    acceleration: np.ndarray
    acceleration_sigma: np.ndarray
    log_beta: np.ndarray
    phase_probability: np.ndarray
    hits: np.ndarray
    llr: np.ndarray
    firm: np.ndarray
    detection: np.ndarray
    sensors: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    COLUMNS: ClassVar = {
        "time": (_F, ()), "node": (np.int8, ()), "track": (_I, ()), "x": (_F, (6,)), "P": (_F, (6, 6)),
        "P_common": (_F, (6, 6)), "acceleration": (_F, (3,)), "acceleration_sigma": (_F, ()), "log_beta": (_F, (2,)),
        "phase_probability": (_F, (4,)), "hits": (_I, ()), "llr": (_F, ()), "firm": (np.bool_, ()),
        "detection": (np.int64, ()), "sensors": (np.uint64, ()),
    }  # fmt: skip


PAYLOADS = ("track", "plot", "cue", "message")  # what a link can be for
MESSAGE_KINDS = (*PAYLOADS, "drop")  # and what it carries: with tracks goes word of those that are no more
TRACK, PLOT, CUE, MESSAGE, DROP = range(5)


@dataclass(frozen=True, eq=False, repr=False)
class Messages(Table):
    """One transmission from node to node: ``sent`` and ``arrived`` s (nan: lost), ``kind`` indexes MESSAGE_KINDS.

    ``source`` is the originator, also where a relay passes it on.  ``row`` points into Tracks (kinds track, cue, message and drop,
    ``meta["tracks_uid"]``) or Detections (kind plot, ``meta["detections_uid"]``); nothing is copied.  A message tells people a
    launch point, a course and an impact point by that row; only tracks and plots are fused.  A drop says that the track of its row,
    which was reported before, is no more.  A row may arrive twice, and
    ``arrived`` may lie beyond the end of the scenario.  ``meta``: ``payloads`` of the regime; ``stripped``, by "KOR>JPN:track" the
    columns of the row that the recipient does not see; ``slots``, by "KOR>JPN", the s between report slots; ``display``, by node
    whose plots it sees in the hub's picture; ``said``, what is to be said of the release rules.
    """

    sent: np.ndarray
    arrived: np.ndarray
    source: np.ndarray
    target: np.ndarray
    kind: np.ndarray
    row: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    COLUMNS: ClassVar = {
        "sent": (_F, ()), "arrived": (_F, ()), "source": (np.int8, ()), "target": (np.int8, ()),
        "kind": (np.int8, ()), "row": (np.int64, ()),
    }  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Picture(Table):
    """One system track in one node's picture at one time.

    ``track`` is the node's own number of it; ``common`` one that travels with it, so that nodes that share have it alike: 1 000 000 times
    an originator's number, plus the number of a local track there (`naming`); where plots are fused, ``track`` itself, which is alike for
    all who look at one picture.
    ``launch_point`` and ``impact_point`` are Earth-fixed m with covariances m^2 (nan where there is no estimate);
    ``time_to_impact`` s with ``time_to_impact_sigma``; ``age`` s since the newest plot or track row in it;
    ``sensors`` the bits of all sensors whose plots stand in it; ``pedigree`` (n, 4), per nation (and the hub) the row
    that it contributed, −1 for none: rows of the table named by ``meta["pedigree_of"]``.
    """

    time: np.ndarray
    node: np.ndarray
    track: np.ndarray
    common: np.ndarray
    x: np.ndarray
    P: np.ndarray
    phase_probability: np.ndarray
    launch_point: np.ndarray
    launch_point_P: np.ndarray
    impact_point: np.ndarray
    impact_point_P: np.ndarray
    time_to_impact: np.ndarray
    time_to_impact_sigma: np.ndarray
    age: np.ndarray
    sensors: np.ndarray
    pedigree: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    COLUMNS: ClassVar = {
        "time": (_F, ()), "node": (np.int8, ()), "track": (_I, ()), "common": (_I, ()), "x": (_F, (6,)), "P": (_F, (6, 6)),
        "phase_probability": (_F, (4,)), "launch_point": (_F, (3,)), "launch_point_P": (_F, (3, 3)),
        "impact_point": (_F, (3,)), "impact_point_P": (_F, (3, 3)), "time_to_impact": (_F, ()),
        "time_to_impact_sigma": (_F, ()), "age": (_F, ()), "sensors": (np.uint64, ()), "pedigree": (np.int64, (4,)),
    }  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Score(Table):
    """One node's picture against the truth at one time.

    GOSPA in m with its three parts (each already to the power p), the number of truth objects aloft, of system
    tracks, of matched pairs and of duplicates (tracks beyond one on an object), mean NEES of the matched pairs over
    six components and their position error m (nan where nothing is matched).
    """

    time: np.ndarray
    node: np.ndarray
    gospa: np.ndarray
    localisation: np.ndarray
    missed: np.ndarray
    false: np.ndarray
    n_truth: np.ndarray
    n_track: np.ndarray
    n_matched: np.ndarray
    n_duplicate: np.ndarray
    nees: np.ndarray
    position_error: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    COLUMNS: ClassVar = {
        "time": (_F, ()), "node": (np.int8, ()), "gospa": (_F, ()), "localisation": (_F, ()), "missed": (_F, ()),
        "false": (_F, ()), "n_truth": (_I, ()), "n_track": (_I, ()), "n_matched": (_I, ()), "n_duplicate": (_I, ()),
        "nees": (_F, ()), "position_error": (_F, ()),
    }  # fmt: skip


TABLES = (Truth, Detections, Tracks, Messages, Picture, Score)
assert all([f.name for f in fields(t)][:-1] == list(t.COLUMNS) for t in TABLES)
