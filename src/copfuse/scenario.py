"""One TOML file, or one launch of the public record, to one frozen `Scenario`; all checking of a user's input.

Keys carry their units in their names (``lat_deg``, ``burnout_speed_m_s``); inside everything is SI and radians.  A key
that does not exist, a wrong type and a value out of range are refused in one sentence with the place and what would
have been accepted.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec

from copfuse import flights
from copfuse.checking import checked, choice, read_toml
from copfuse.constants import NATIONS
from copfuse.errors import CopfuseError, suggestion
from copfuse.laydowns import Sensor, laydown, parse
from copfuse.regimes import PACKAGED, regime

CLASSES = ("SRBM", "MRBM", "IRBM", "ICBM", "SLBM", "SLV", "unknown")
KST = timedelta(hours=9)  # Korean standard time is UTC + 9 h
UNTIMED_GAP = 60.0  # s, notional, between launches of one day whose times nobody reported


@dataclass(frozen=True)
class Launch:
    """One ``[[launch]]``: what flies, from where (rad), ``at`` seconds after the scenario's epoch."""

    kind: str  # "record", "recorded" or "ballistic"
    name: str  # the object's name in every table
    at: float = 0.0  # s after epoch
    id: str = ""  # record: the row's id
    path: str = ""  # recorded: the flight's CSV
    lat: float = math.nan  # rad (recorded, ballistic)
    lon: float = math.nan
    azimuth: float = math.nan
    burnout_altitude: float = math.nan  # m (ballistic)
    burnout_speed: float = math.nan  # m/s, relative to the Earth
    burnout_angle: float = math.nan  # rad above the horizontal
    missile_class: str = "unknown"
    rcs: float | None = None  # m^2, None: the notional figure of the class
    beta: float | None = None  # kg/m^2, ballistic coefficient after burnout, None: the notional figure of the class (record, ballistic)
    separate: bool = False  # spent stages become objects of their own
    debris: int = 0  # fragments released at the last burnout
    aside: float = 0.0  # m to the right of the place, looking along the azimuth (record)
    unsteady: tuple[float, ...] = ()  # of its plan, as `populations.population` draws it (record, ballistic)


@dataclass(frozen=True)
class Site:
    """A launch site that ``nations`` watch before anything flies: their radars look all the time into a cylinder above it, *notional*."""

    lat: float  # rad
    lon: float
    radius: float  # m
    height: float  # m
    nations: tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """What is flown and what watches it; everything that a run needs besides the regime and the seed."""

    name: str
    epoch: datetime  # UTC
    launches: tuple[Launch, ...]
    sensors: tuple[Sensor, ...]
    title: str = ""
    description: str = ""
    bias: float = 1.0  # scales every sensor's bias
    clutter: float = 1.0  # scales every sensor's clutter
    duration: float | None = None  # s, None: until the last impact
    picture_step: float = 2.0  # s between the picture's rows
    regime: str = "realtime"  # a packaged one's name, or the path of a file
    watched: tuple[Site, ...] = ()


# What a file may say -------------------------------------------------------------------------------------------------

_Deg90 = Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
_Deg360 = Annotated[float, msgspec.Meta(ge=-180.0, le=360.0)]
_Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=86400.0)]
_Rcs = Annotated[float, msgspec.Meta(gt=0.0, le=1e4)]
_Beta = Annotated[float, msgspec.Meta(ge=50.0, le=1e5)]
_Debris = Annotated[int, msgspec.Meta(ge=0, le=100)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    id: str
    at: _Seconds = 0.0
    name: _Name | None = None
    rcs_m2: _Rcs | None = None
    beta_kg_m2: _Beta | None = None
    separate: bool = False
    debris: _Debris = 0
    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    every_s: _Seconds = 0.0
    apart_m: Annotated[float, msgspec.Meta(ge=0.0, le=1e4)] = 0.0


class _Recorded(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    path: _Name
    lat_deg: _Deg90
    lon_deg: _Deg360
    azimuth_deg: _Deg360
    at: _Seconds = 0.0
    name: _Name | None = None
    missile_class: str = "SLV"
    rcs_m2: _Rcs | None = None


class _Ballistic(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    lat_deg: _Deg90
    lon_deg: _Deg360
    azimuth_deg: _Deg360
    burnout_alt_km: Annotated[float, msgspec.Meta(ge=1.0, le=1000.0)]
    burnout_speed_m_s: Annotated[float, msgspec.Meta(ge=100.0, le=11000.0)]
    burnout_angle_deg: Annotated[float, msgspec.Meta(gt=0.0, le=90.0)]
    at: _Seconds = 0.0
    name: _Name | None = None
    missile_class: str = "unknown"
    rcs_m2: _Rcs | None = None
    beta_kg_m2: _Beta | None = None
    debris: _Debris = 0


class _Watch(msgspec.Struct, forbid_unknown_fields=True):
    lat_deg: _Deg90
    lon_deg: _Deg360
    nations: Annotated[list[str], msgspec.Meta(min_length=1)]
    radius_km: Annotated[float, msgspec.Meta(gt=0.0, le=200.0)] = 20.0
    height_km: Annotated[float, msgspec.Meta(gt=0.0, le=200.0)] = 60.0


class _File(msgspec.Struct, forbid_unknown_fields=True):
    launch: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    name: _Name | None = None
    title: str = ""
    description: str = ""
    epoch: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    sensors: str = "northeast-asia"
    sensor: list[dict[str, Any]] = []
    exclude: list[str] = []
    duration_s: Annotated[float, msgspec.Meta(gt=0.0, le=86400.0)] | None = None
    bias: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 1.0
    clutter: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 1.0
    picture_step_s: Annotated[float, msgspec.Meta(ge=0.1, le=600.0)] = 2.0
    regime: str = "realtime"
    watch: list[dict[str, Any]] = []


_LAUNCHES = {"record": _Record, "recorded": _Recorded, "ballistic": _Ballistic}


# From a name, a file or a row to a Scenario --------------------------------------------------------------------------


def load(source: str | Path | Scenario) -> Scenario:
    """A scenario from its packaged name, a launch id, a day with launches (``2022-06-05``) or a TOML path.

    A `Scenario` comes back as it is.  Raises `CopfuseError` where nothing of that name exists or its content is refused.
    """
    if isinstance(source, Scenario):
        return source
    text = str(source)
    if not isinstance(source, str | Path):
        raise CopfuseError(f"scenario is {text[:60]}, expected a packaged name, a launch id, a day, a .toml path or a Scenario")
    if isinstance(source, str) and text in scenarios():
        return _from_file(Path(str(resources.files("copfuse") / "data" / "scenarios" / f"{text}.toml")))
    path = Path(source)
    if isinstance(source, Path) or path.suffix == ".toml" or path.is_file():
        return _from_file(path)
    if re.fullmatch(r"\d{4}-\d{2}(-\d{2})?-\d", text):
        return _from_row(flights.launches().find(text))
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return _from_day(text)
    raise CopfuseError(
        f"there is no scenario {text!r} (a packaged name, a launch id, a day or a .toml path); {suggestion(text, scenarios())}"
    )


def scenarios() -> list[str]:
    """The names of the scenarios that come with the package."""
    folder = resources.files("copfuse") / "data" / "scenarios"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _from_file(path: Path) -> Scenario:
    where = path.name
    file = checked(_File, read_toml(path), where)
    flown = [one for i, table in enumerate(file.launch, 1) for one in _salvo(table, f"{where}, launch {i}", path.parent)]
    if file.epoch is None and flown[0].kind != "record":
        raise CopfuseError(
            f"{where}: the key is missing: epoch, such as 2024-01-14T05:55:00Z (only a first launch of the record brings one)"
        )
    epoch = file.epoch or _from_row(flights.launches().find(flown[0].id)).epoch
    late = [launch for launch in flown if file.duration_s is not None and launch.at >= file.duration_s]
    if late:
        said = f"duration_s = {file.duration_s:g} ends before launch {late[0].name!r} at {late[0].at:g} s"
        raise CopfuseError(f"{where}: {said}; both are s after the epoch: give more, or leave duration_s out")
    if file.sensor and "sensors" in read_toml(path):
        raise CopfuseError(f"{where}: there are both sensors = {file.sensors!r} and [[sensor]] tables; keep one of the two")
    return Scenario(
        name=file.name or path.stem,
        title=file.title or file.name or path.stem,
        description=" ".join(file.description.split()),
        epoch=epoch.astimezone(UTC),
        launches=_named_apart(flown),
        sensors=_sensors(file, where, path.parent),
        bias=file.bias,
        clutter=file.clutter,
        duration=file.duration_s,
        picture_step=file.picture_step_s,
        regime=_regime(file.regime, where, path.parent),
        watched=tuple(_site(table, f"{where}, watch {i}") for i, table in enumerate(file.watch, 1)),
    )


def _site(table: dict[str, Any], where: str) -> Site:
    row = checked(_Watch, table, where)
    nations = tuple(dict.fromkeys(choice(name, NATIONS, f"{where}: nations") for name in row.nations))
    return Site(math.radians(row.lat_deg), math.radians(row.lon_deg), 1e3 * row.radius_km, 1e3 * row.height_km, nations)


def _regime(said: str, where: str, folder: Path) -> str:
    """A packaged regime's name, or the path of a regime file beside the scenario file; either can be used."""
    if said in PACKAGED:
        return said
    path = (folder / said).resolve()
    if not (said.endswith(".toml") or path.is_file()):
        raise CopfuseError(f"{where}: regime = {said!r} is unknown; {suggestion(said, PACKAGED)}")
    try:
        regime(path)
    except CopfuseError as error:
        raise CopfuseError(f"{where}: regime = {said!r}: {error}") from None
    return str(path)


def _salvo(table: dict[str, Any], where: str, folder: Path) -> list[Launch]:
    """The launches of one table: ``count`` of a row of the record, ``every_s`` apart, from places ``apart_m`` apart in a line."""
    first = _launch(table, where, folder)
    count, every, apart = table.get("count", 1), table.get("every_s", 0.0), table.get("apart_m", 0.0)
    if count == 1 and (every or apart):
        raise CopfuseError(f"{where}: every_s and apart_m are between several missiles, but count is 1; give count = 2 or more")
    return [replace(first, at=first.at + k * every, aside=(k - 0.5 * (count - 1)) * apart) for k in range(count)]


def _launch(table: dict[str, Any], where: str, folder: Path) -> Launch:
    if "kind" not in table:
        raise CopfuseError(f"{where}: the key is missing: kind; {suggestion('', _LAUNCHES)}")
    kind = choice(str(table["kind"]), tuple(_LAUNCHES), f"{where}: kind")
    row = checked(_LAUNCHES[kind], table, where)
    if kind == "record":
        try:
            found = flights.launches().find(row.id)
        except CopfuseError as error:
            raise CopfuseError(f"{where}: {error}") from None
        return Launch("record", row.name or row.id, row.at, row.id, missile_class=found.missile_class, rcs=row.rcs_m2,
                      beta=row.beta_kg_m2, separate=row.separate, debris=row.debris)  # fmt: skip
    place = {"lat": math.radians(row.lat_deg), "lon": math.radians(row.lon_deg), "azimuth": math.radians(row.azimuth_deg % 360.0)}
    made = Launch(kind, row.name or kind, row.at, rcs=row.rcs_m2, **place,  # type: ignore[arg-type]
                  missile_class=choice(row.missile_class, CLASSES, f"{where}: missile_class"))  # fmt: skip
    if kind == "recorded":
        path = _flight_path(row.path, folder, where)
        return replace(made, path=str(path), name=row.name or path.stem)
    return replace(made, burnout_altitude=1e3 * row.burnout_alt_km, burnout_speed=row.burnout_speed_m_s,
                   burnout_angle=math.radians(row.burnout_angle_deg), beta=row.beta_kg_m2, debris=row.debris)  # fmt: skip


def _flight_path(text: str, folder: Path, where: str) -> Path:
    """The CSV beside the scenario file, or else the packaged flight of that name."""
    beside = (folder / text).resolve()
    if beside.is_file():
        return beside
    shipped = resources.files("copfuse") / "data" / "flights"
    names = sorted(entry.name for entry in shipped.iterdir() if entry.name.endswith(".csv")) if shipped.is_dir() else []
    if text in names:
        return Path(str(shipped / text))
    raise CopfuseError(f"{where}: there is no file {str(beside)!r} and no packaged flight {text!r}; {suggestion(text, names)}")


def _named_apart(flown: list[Launch]) -> tuple[Launch, ...]:
    """Launches in order of time; a second one of the same name becomes "name (2)"."""
    seen: dict[str, int] = {}
    apart = []
    for launch in sorted(flown, key=lambda launch: launch.at):
        seen[launch.name] = seen.get(launch.name, 0) + 1
        apart.append(replace(launch, name=f"{launch.name} ({seen[launch.name]})") if seen[launch.name] > 1 else launch)
    return tuple(apart)


def _sensors(file: _File, where: str, folder: Path) -> tuple[Sensor, ...]:
    source = folder / file.sensors if file.sensors.endswith(".toml") else file.sensors
    found = parse(file.sensor, where) if file.sensor else laydown(source)
    names = [sensor.name for sensor in found]
    for name in file.exclude:
        if name not in names:
            raise CopfuseError(f"{where}: exclude names {name!r}, which is no sensor of it; {suggestion(name, names)}")
    return tuple(sensor for sensor in found if sensor.name not in file.exclude)


def _ignitions(row: Any) -> list[datetime]:
    """The reported UTC times of a row's launches (one row may have several); empty where the record has none."""
    return [(datetime.fromisoformat(f"{row.date}T{clock}") - KST).replace(tzinfo=UTC) for clock in re.findall(r"\d\d:\d\d", row.time_kst)]


def _noon(row: Any) -> datetime:
    """Noon in Korea on a row's day (the first of the month where only that is known): where the record has no time."""
    day = row.date if len(row.date) == 10 else f"{row.date}-01"
    return (datetime.fromisoformat(f"{day}T12:00") - KST).replace(tzinfo=UTC)


def _from_row(row: Any) -> Scenario:
    """One missile of one row, at its first reported time."""
    notes = [] if _ignitions(row) else ["Its time of day is not reported: noon in Korea, notional."]
    notes += [f"The row stands for {row.n_missiles} missiles; one is flown."] if row.n_missiles > 1 else []
    epoch = (_ignitions(row) or [_noon(row)])[0]
    flown = (Launch("record", row.id, 0.0, row.id, missile_class=row.missile_class),)
    title = f"{row.missile} from {row.site}, {row.date}"
    return Scenario(row.id, epoch, flown, tuple(laydown("northeast-asia")), title=title, description=" ".join(notes))


def _from_day(day: str) -> Scenario:
    """All missiles of a day at their reported times; a row without one flies 60 s (notional) after the row before it."""
    record = flights.launches()
    rows = [row for row in record if row.date == day]
    if not rows:
        raise CopfuseError(f"the record has no launch on {day!r}; {suggestion(day, sorted({row.date for row in record}))}")
    able = [row for row in rows if flights.flyable(row)]
    if not able:
        raise CopfuseError(f"no launch of {day!r} can be flown: the record lacks its range, apogee, site or azimuth")
    epoch = min([time for row in able for time in _ignitions(row)], default=_noon(able[0]))
    flown, at = [], -UNTIMED_GAP
    for row in able:
        for time in _ignitions(row) or [epoch + timedelta(seconds=at + UNTIMED_GAP)]:
            at = (time - epoch).total_seconds()
            flown.append(Launch("record", row.id, at, row.id, missile_class=row.missile_class))
    notes = [f"{row.id} has no reported time: notional." for row in able if not _ignitions(row)]
    notes += [f"{row.id} is left out: not enough is reported to fly it." for row in rows if row not in able]
    return Scenario(day, epoch, _named_apart(flown), tuple(laydown("northeast-asia")), title=f"Launches of {day}",
                    description=" ".join(notes))  # fmt: skip
