"""Packaged studies of published events, as their files ``data/studies/NAME.toml`` say them: what was published, each figure with its
source, what is flown and what is assumed; nothing that is printed about the simulation is written there.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from copfuse.checking import checked, read_toml
from copfuse.errors import CopfuseError, suggestion


class Launched(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One launch: a row of the record or a scenario in ``data/studies/flights``, with range and apogee where the record lacks them."""

    id: str
    label: str = ""
    range_km: float | None = None
    apogee_km: float | None = None
    alert_s: float | None = None  # s after ignition at which the public was warned


class Variant(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One laydown: all sensors, those that fit ``only``, without those that fit ``exclude``."""

    name: str = "as laid down"
    only: list[str] = []
    exclude: list[str] = []
    ships: float | None = None  # share of days on which each ship is on station


class Side(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Sensors that are judged together: did any of them see it?"""

    name: str
    sensors: list[str]


class Place(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A place that a missile passes by: ``pass_s`` is when it is nearest."""

    name: str
    lat_deg: float
    lon_deg: float
    launch: str


class Ray(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An antenna whose lowest visible altitude at a distance is asked for."""

    name: str
    antenna_m: float
    distance_km: float


class Published(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Something published and the simulated ``quantity`` that it is held against; ``value`` left out: only words."""

    what: str
    source: str
    said: str = ""
    quantity: str = ""
    who: str = ""
    launch: str = ""
    variant: str = ""
    regime: str = ""
    value: float | None = None
    never: bool = False  # published: it did not happen
    above: bool = False  # published: more than ``value``, nobody said how much
    total: bool = False  # the value is a sum over launches


class Spec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A packaged study, as its file says."""

    title: str
    asked: str
    text: str
    launch: Annotated[list[Launched], msgspec.Meta(min_length=1)]
    figure: str
    caption: str
    cost_s: float  # CPU seconds of one launch, laydown and seed under all regimes, about
    seeds: int = 10
    regimes: list[str] = []
    assumed: list[str] = []
    variant: list[Variant] = []
    side: list[Side] = []
    place: list[Place] = []
    ray: list[Ray] = []
    published: list[Published] = []


def names() -> list[str]:
    """Names of the packaged studies."""
    folder = resources.files("copfuse") / "data" / "studies"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


@lru_cache(maxsize=16)
def packaged(name: str) -> Spec:
    """A packaged study's file.  Raises `CopfuseError` for a name that is not there, with those that are."""
    if name not in names():
        raise CopfuseError(f"there is no study {name!r}; {suggestion(name, names())}")
    path = Path(str(resources.files("copfuse") / "data" / "studies" / f"{name}.toml"))
    found: Spec = checked(Spec, read_toml(path), path.name)
    return found
