"""What a sensor is, and the TOML files that say which sensors stand where.

A file holds ``[[sensor]]`` tables; ``[type.NAME]`` tables hold what sensors of one type have in common, and a sensor
that says ``type = "NAME"`` starts from them.  The types of the packaged file "northeast-asia" can be used by every file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec

from copfuse.checking import checked, choice, read_toml
from copfuse.constants import EARTH_A, NATIONS
from copfuse.errors import CopfuseError, suggestion

KINDS = ("radar", "infrared", "imaging", "processing")
PLATFORMS = ("ground", "ship", "air", "geo", "heo", "leo")
ANGLES = ("azimuth-elevation", "u-v")
WIDEST_FACE = 150.0  # deg: at its edge a face's cosines say nothing of the direction
NAN = math.nan


@dataclass(frozen=True)
class Orbit:
    """A Kepler orbit by its elements at the scenario's epoch; angles rad."""

    semi_major_axis: float  # m
    eccentricity: float
    inclination: float
    perigee: float  # argument of perigee
    node_lon: float  # Earth-fixed longitude of the ascending node at time 0
    mean_anomaly: float  # at time 0


@dataclass(frozen=True)
class Sensor:
    """One sensor, SI and radians.  Every figure is notional unless the file that it came from says otherwise.

    A radar's mean signal-to-noise ratio on boresight is ``snr0 (range0 / R)^4 rcs / rcs0``, that of an infrared sensor
    ``snr0 (range0 / R)^2`` while the target burns.  ``faces`` fixed antenna faces divide the azimuth sector evenly,
    each tilted up by ``face_tilt``; 0 faces is an antenna that turns.  Off a face's normal by the angle s a radar loses
    ``cos(s) ** scan_loss`` and its beam broadens.  ``bias_sigma`` (range m, azimuth rad, elevation rad, clock s) are the
    standard deviations of errors that wander with the time constant ``bias_time``.

    A radar with one face may report ``angles`` "u-v": the direction cosines of its plots along the face, u to the right
    seen from the radar looking out, v up the face.  What it says of angles (beamwidths, floor, biases; rad on the
    normal) is then meant in u and v, where a phased array's beam has one width wherever it looks.
    """

    name: str
    nation: str
    kind: str = "radar"
    platform: str = "ground"
    title: str = ""
    lat: float = NAN  # rad, geodetic; nan where it has an orbit
    lon: float = NAN
    alt: float = 0.0  # m, of the antenna above sea level
    orbit: Orbit | None = None
    boresight: float = 0.0  # rad from north, middle of the azimuth sector
    azimuth_width: float = 2.0 * math.pi  # rad
    min_elevation: float = -0.5 * math.pi  # rad, of the ray that leaves the antenna
    max_elevation: float = 0.5 * math.pi
    range_max: float = math.inf  # m
    snr0: float = NAN  # power ratio
    range0: float = NAN  # m
    rcs0: float = 1.0  # m^2
    swerling: int = 1
    pfa: float = 1e-6
    range_resolution: float = NAN  # m
    beamwidth_az: float = NAN  # rad
    beamwidth_el: float = NAN
    sigma_range_min: float = 0.0  # m, floor
    sigma_angle_min: float = 0.0  # rad, floor
    sigma_range_rate: float = NAN  # m/s; nan: no Doppler
    sigma_los: float = NAN  # rad, infrared line of sight
    scan_loss: float = 0.0
    faces: int = 0
    face_tilt: float = 0.0  # rad
    angles: str = "azimuth-elevation"
    search_revisit: float = NAN  # s
    track_revisit: float = NAN  # s
    bias_sigma: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    bias_time: float = 600.0  # s
    clutter_per_scan: float = 0.0  # false plots in one search of the whole volume
    cue_gain: float = 1.0  # power ratio that a radar gains where it is told to look
    cloud_break: float = 0.0  # m, infrared sees nothing below
    availability: float = 1.0  # probability that it is on station in a run
    service_from: date | None = None
    service_until: date | None = None

    @property
    def cosines(self) -> int:
        """1 where its plots hold direction cosines u and v, 0 where azimuth and elevation: what `frames.look` asks for."""
        return int(self.angles == "u-v")


# What a file may say -------------------------------------------------------------------------------------------------

_Lat = Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
_Angle = Annotated[float, msgspec.Meta(ge=-180.0, le=360.0)]
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_Zero = Annotated[float, msgspec.Meta(ge=0.0)]
_Positive = Annotated[float, msgspec.Meta(gt=0.0)]
_Width = Annotated[float, msgspec.Meta(gt=0.0, le=360.0)]
_Beam = Annotated[float, msgspec.Meta(gt=0.0, le=90.0)]
_Revisit = Annotated[float, msgspec.Meta(ge=0.05, le=86400.0)]


class _OrbitFile(msgspec.Struct, forbid_unknown_fields=True):
    perigee_km: Annotated[float, msgspec.Meta(ge=150.0, le=100e3)]
    apogee_km: Annotated[float, msgspec.Meta(ge=150.0, le=100e3)]
    inclination_deg: Annotated[float, msgspec.Meta(ge=0.0, le=180.0)]
    perigee_argument_deg: _Angle
    node_lon_deg: _Angle
    mean_anomaly_deg: _Angle


class SensorFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The keys of a ``[[sensor]]`` table; units in the names, as in `Sensor` otherwise."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    nation: str
    kind: str = "radar"
    platform: str = "ground"
    title: str = ""
    lat_deg: _Lat | None = None
    lon_deg: _Angle | None = None
    alt_m: Annotated[float, msgspec.Meta(le=1e8)] = 0.0
    orbit: dict[str, Any] | None = None
    boresight_deg: _Angle = 0.0
    azimuth_width_deg: _Width = 360.0
    min_elevation_deg: _Lat | None = None
    max_elevation_deg: _Lat = 90.0
    range_km: _Positive | None = None
    snr0_db: Annotated[float, msgspec.Meta(ge=-50.0, le=100.0)] | None = None
    range0_km: _Positive | None = None
    rcs0_m2: _Positive = 1.0
    swerling: Annotated[int, msgspec.Meta(ge=0, le=4)] = 1
    pfa: Annotated[float, msgspec.Meta(gt=0.0, le=0.1)] = 1e-6
    range_resolution_m: _Positive | None = None
    beamwidth_az_deg: _Beam | None = None
    beamwidth_el_deg: _Beam | None = None
    sigma_range_min_m: _Zero = 0.0
    sigma_angle_min_mrad: _Zero = 0.0
    sigma_range_rate_m_s: _Positive | None = None
    sigma_los_urad: _Positive | None = None
    scan_loss: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.0
    faces: Annotated[int, msgspec.Meta(ge=0, le=8)] = 0
    face_tilt_deg: Annotated[float, msgspec.Meta(ge=0.0, le=90.0)] = 0.0
    angles: str = "azimuth-elevation"
    search_revisit_s: _Revisit | None = None
    track_revisit_s: _Revisit | None = None
    bias_range_m: _Zero = 0.0
    bias_azimuth_mrad: _Zero = 0.0
    bias_elevation_mrad: _Zero = 0.0
    bias_clock_ms: _Zero = 0.0
    bias_time_s: _Positive = 600.0
    clutter_per_scan: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 0.0
    cue_gain_db: Annotated[float, msgspec.Meta(ge=0.0, le=30.0)] = 0.0
    cloud_break_km: Annotated[float, msgspec.Meta(ge=0.0, le=30.0)] = 0.0
    availability: _Share = 1.0
    service_from: date | None = None
    service_until: date | None = None


_NEEDED = {
    "radar": ("lat_deg", "lon_deg", "range_km", "snr0_db", "range0_km", "range_resolution_m", "beamwidth_az_deg",
              "beamwidth_el_deg", "search_revisit_s"),
    "infrared": ("snr0_db", "range0_km", "sigma_los_urad", "search_revisit_s"),
    "imaging": ("search_revisit_s",),
    "processing": ("lat_deg", "lon_deg"),
}  # fmt: skip


def parse(tables: list[dict[str, Any]], where: str, types: dict[str, dict[str, Any]] | None = None) -> tuple[Sensor, ...]:
    """The sensors of ``[[sensor]]`` tables; ``where`` names the file in errors, ``types`` its own ``[type.NAME]`` tables.

    Raises `CopfuseError` for an unknown key or type, a missing key, a value of a wrong type or out of range, a sensor
    under the ground and a name that stands twice.
    """
    known = {**_packaged_types(), **(types or {})} if any("type" in t for t in tables) else {}
    found: dict[str, Sensor] = {}
    for i, table in enumerate(tables, 1):
        place = f"{where}, sensor {table.get('name', i)}"
        sensor = _sensor(_with_type(table, known, place), place)
        if sensor.name in found:
            raise CopfuseError(f"{where}: the sensor name {sensor.name!r} stands twice; give each sensor its own")
        found[sensor.name] = sensor
    return tuple(found.values())


def laydown(source: str | Path) -> tuple[Sensor, ...]:
    """The sensors of a packaged laydown ("northeast-asia") or of a TOML file.  Raises `CopfuseError` as `parse` does.

    A file that says ``base = "northeast-asia"`` starts from that laydown: its ``[[sensor]]`` tables change the keys of
    sensors with the same name (move a ship, shift a date) and add the others.
    """
    if str(source) in PACKAGED:
        return _packaged(str(source))
    path = Path(source)
    if not isinstance(source, Path) and path.suffix != ".toml" and not path.exists():
        raise CopfuseError(f"there is no laydown {str(source)!r} (a packaged name or a .toml path); {suggestion(source, PACKAGED)}")
    return parse(*_read(path, path.name))


PACKAGED = ("northeast-asia",)
_KEYS = ("title", "base", "type", "sensor")


@lru_cache(maxsize=4)
def _packaged(name: str) -> tuple[Sensor, ...]:
    return parse(*_raw(name))


@lru_cache(maxsize=4)
def _raw(name: str) -> tuple[list[dict[str, Any]], str, dict[str, dict[str, Any]]]:
    return _read(Path(str(resources.files("copfuse") / "data" / f"{name}.toml")), f"{name}.toml")


def _packaged_types() -> dict[str, dict[str, Any]]:
    return _raw("northeast-asia")[2]


def _read(path: Path, where: str) -> tuple[list[dict[str, Any]], str, dict[str, dict[str, Any]]]:
    """What `parse` takes, out of a file: its sensor tables with their base's, its name, its types."""
    table = read_toml(path)
    for key in table:
        if key not in _KEYS:
            raise CopfuseError(f"{where}: there is no key {key!r}; {suggestion(key, _KEYS)}")
    rows, types = table.get("sensor"), table.get("type", {})
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise CopfuseError(f"{where}: there is no sensor; write at least one [[sensor]] table")
    if not (isinstance(types, dict) and all(isinstance(t, dict) for t in types.values())):
        raise CopfuseError(f"{where}: type = {types!r} is no table; write [type.NAME]")
    if "base" not in table:
        return rows, where, types
    base = _raw(choice(table["base"], PACKAGED, f"{where}: base"))[0]
    changed = {row.get("name"): row for row in rows}
    known = [row["name"] for row in base]
    kept = [{**row, **changed.get(row["name"], {})} for row in base]
    return kept + [row for row in rows if row.get("name") not in known], where, types


def _with_type(table: dict[str, Any], types: dict[str, dict[str, Any]], where: str) -> dict[str, Any]:
    if "type" not in table:
        return table
    if table["type"] not in types:
        raise CopfuseError(f"{where}: type = {table['type']!r} is unknown; {suggestion(table['type'], types)}")
    return {**types[table["type"]], **{key: value for key, value in table.items() if key != "type"}}


def _sensor(table: dict[str, Any], where: str) -> Sensor:
    row = checked(SensorFile, table, where)
    choice(row.nation, NATIONS, f"{where}: nation")
    choice(row.kind, KINDS, f"{where}: kind")
    choice(row.platform, PLATFORMS, f"{where}: platform")
    choice(row.angles, ANGLES, f"{where}: angles")
    _refuse_impossible(row, where)
    radar = row.kind == "radar"
    low = row.min_elevation_deg if row.min_elevation_deg is not None else (0.0 if radar else -90.0)
    return Sensor(
        name=row.name, nation=row.nation, kind=row.kind, platform=row.platform, title=row.title or row.name,
        lat=_rad(row.lat_deg), lon=_rad(row.lon_deg), alt=row.alt_m, orbit=_orbit(row.orbit, where),
        boresight=math.radians(row.boresight_deg % 360.0), azimuth_width=math.radians(row.azimuth_width_deg),
        min_elevation=math.radians(low), max_elevation=math.radians(row.max_elevation_deg),
        range_max=math.inf if row.range_km is None else 1e3 * row.range_km,
        snr0=NAN if row.snr0_db is None else 10.0 ** (row.snr0_db / 10.0), range0=_or_nan(row.range0_km, 1e3), rcs0=row.rcs0_m2,
        swerling=row.swerling, pfa=row.pfa, range_resolution=_or_nan(row.range_resolution_m),
        beamwidth_az=_rad(row.beamwidth_az_deg), beamwidth_el=_rad(row.beamwidth_el_deg),
        sigma_range_min=row.sigma_range_min_m, sigma_angle_min=1e-3 * row.sigma_angle_min_mrad,
        sigma_range_rate=_or_nan(row.sigma_range_rate_m_s), sigma_los=_or_nan(row.sigma_los_urad, 1e-6),
        scan_loss=row.scan_loss, faces=row.faces, face_tilt=math.radians(row.face_tilt_deg), angles=row.angles,
        search_revisit=_or_nan(row.search_revisit_s),
        track_revisit=_or_nan(row.track_revisit_s if row.track_revisit_s is not None else row.search_revisit_s),
        bias_sigma=(row.bias_range_m, 1e-3 * row.bias_azimuth_mrad, 1e-3 * row.bias_elevation_mrad, 1e-3 * row.bias_clock_ms),
        bias_time=row.bias_time_s, clutter_per_scan=row.clutter_per_scan,
        cue_gain=10.0 ** (row.cue_gain_db / 10.0), cloud_break=1e3 * row.cloud_break_km,
        availability=row.availability, service_from=row.service_from, service_until=row.service_until,
    )  # fmt: skip


def _refuse_impossible(row: SensorFile, where: str) -> None:
    """What no single key shows."""
    if row.alt_m < 0.0:
        raise CopfuseError(f"{where}: alt_m = {row.alt_m:g} puts the sensor under the ground, expected 0 or more")
    needed = [*_NEEDED[row.kind], *(() if row.orbit or row.kind != "infrared" else ("lat_deg", "lon_deg"))]
    for key in needed:
        if getattr(row, key) is None:
            raise CopfuseError(f"{where}: the key is missing: {key} (a sensor of kind {row.kind!r} needs {', '.join(needed)})")
    low, high, slow, fast = row.min_elevation_deg, row.max_elevation_deg, row.search_revisit_s, row.track_revisit_s
    if low is not None and low >= high:
        raise CopfuseError(f"{where}: min_elevation_deg = {low:g} is not below max_elevation_deg = {high:g}")
    if slow and fast and fast > slow:
        raise CopfuseError(f"{where}: track_revisit_s = {fast:g} is longer than search_revisit_s = {slow:g}")
    if row.angles == "u-v" and (row.kind != "radar" or row.faces != 1 or row.azimuth_width_deg > WIDEST_FACE):
        has = f"kind {row.kind!r}, faces = {row.faces}, azimuth_width_deg = {row.azimuth_width_deg:g}"
        wants = f"a radar with faces = 1 and azimuth_width_deg up to {WIDEST_FACE:g}"
        raise CopfuseError(f'{where}: angles = "u-v" needs {wants}, this is {has}')
    if row.service_from and row.service_until and row.service_until < row.service_from:
        raise CopfuseError(f"{where}: service_until = {row.service_until} comes before service_from = {row.service_from}")


def _or_nan(value: float | None, unit: float = 1.0) -> float:
    return NAN if value is None else unit * value  # always the same nan, so that equal sensors compare equal


def _rad(value: float | None) -> float:
    return NAN if value is None else math.radians(value)


def _orbit(table: dict[str, Any] | None, where: str) -> Orbit | None:
    if table is None:
        return None
    row = checked(_OrbitFile, table, f"{where}, orbit")
    if row.apogee_km < row.perigee_km:
        raise CopfuseError(f"{where}, orbit: apogee_km = {row.apogee_km:g} is below perigee_km = {row.perigee_km:g}")
    low, high = EARTH_A + 1e3 * row.perigee_km, EARTH_A + 1e3 * row.apogee_km
    angles = (row.inclination_deg, row.perigee_argument_deg, row.node_lon_deg, row.mean_anomaly_deg)
    return Orbit(0.5 * (low + high), (high - low) / (high + low), *(math.radians(a) for a in angles))
