"""What a user hands over, TOML files against typed structs and what verbs take: what is wrong becomes one sentence that helps."""

from __future__ import annotations

import math
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from copfuse.errors import CopfuseError, suggestion
from copfuse.tables import Detections, Picture, Truth

LARGEST = (2.0 * np.pi + 0.5, 0.5 * np.pi + 0.5)  # rad, azimuth and elevation with an error on them


def checked(struct: Any, table: dict[str, Any], where: str) -> Any:
    """``table`` as ``struct``.  Raises `CopfuseError` with the place ``where``, the key, its value and what was expected."""
    known = [field.encode_name for field in msgspec.structs.fields(struct)]
    for key, value in table.items():
        if key not in known:
            raise CopfuseError(f"{where}: there is no key {key!r}; {suggestion(key, known)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise CopfuseError(f"{where}: {key} = {value} is not a finite number")
    try:
        return msgspec.convert(table, struct)
    except msgspec.ValidationError as error:
        raise CopfuseError(_sentence(str(error), table, where)) from None


def _sentence(message: str, table: dict[str, Any], where: str) -> str:
    """One sentence with the value out of msgspec's ``Expected `float` <= 90.0 - at `$.lat_deg```."""
    said, _, path = message.partition(" - at ")
    said = said.replace("`", "").replace("Object missing required field", "the key is missing:")
    said = said[:1].lower() + said[1:]
    said = said.replace("expected array, got object", "expected a list: write [[...]], not [...]")
    for word in ("expected datetime with a timezone component", "invalid RFC3339 encoded datetime"):
        said = said.replace(word, "expected a time with its zone and no quotes, such as 2024-01-14T05:55:00Z")
    found = re.match(r"`\$\.(\w+)", path)
    if not found:
        return f"{where}: {said}"
    key = found[1]
    value = table.get(key)
    shown = value.isoformat() if isinstance(value, date) else repr(value)
    return f"{where}: {key} = {shown[:60]}, {said}"


def check_seed(seed: object) -> None:
    """Refuse what no random stream can be named by."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise CopfuseError(f"seed = {seed!r} is not a whole number of 0 or more")


def check_jobs(n_jobs: object) -> None:
    """Refuse what joblib could not make processes of."""
    if not isinstance(n_jobs, int | np.integer) or n_jobs == 0:
        raise CopfuseError(f"n_jobs = {n_jobs!r} is no number of processes; give 1 or more, or -1 for one per core")


def refuse_rows(table: str, wrong: dict[str, tuple[np.ndarray, np.ndarray, str]]) -> None:
    """The first bad row of a column, its value and what was needed: ``wrong`` by column."""
    for name, (bad, value, needed) in wrong.items():
        if bad.any():
            row = int(bad.argmax())
            raise CopfuseError(f"{table} row {row}: {name} is {' '.join(str(value[row]).split())}; needed: {needed}")


def usable_plots(detections: Detections, n_sensor: int) -> None:
    """Refuse rows of Detections that no sensor can have made, with the first such row, its value and what would have worked."""
    z, sigma, time = detections.z, detections.sigma, detections.time
    measured = ~np.isnan(z)
    wrong = {
        "time": (~np.isfinite(time), time, "a finite number of seconds"),
        "sensor": ((detections.sensor < 0) | (detections.sensor >= n_sensor), detections.sensor, f"0 to {n_sensor - 1}"),
        "z": (np.isinf(z).any(axis=1) | ~measured.any(axis=1) | (z[:, 0] < 0.0), z, "finite values, nan where nothing is measured"),
        "z[:, 1:3]": ((np.abs(z[:, 1:3]) > LARGEST).any(axis=1), z[:, 1:3], "azimuth and elevation in radians"),
        "sigma": ((measured & ~(np.isfinite(sigma) & (sigma > 0.0))).any(axis=1), sigma, "a positive finite one wherever z is measured"),
    }
    refuse_rows("Detections", wrong)
    late = np.flatnonzero(np.diff(time) < 0.0)
    if len(late):
        row = int(late[0]) + 1
        raise CopfuseError(f"Detections row {row}: time {time[row]} s comes after {time[row - 1]} s; sort the rows by time, then sensor")


def usable_truth(truth: Truth) -> None:
    """Refuse rows of Truth that are not finite or, of one object, not in order of time, with the first such row."""
    whole = np.isfinite(truth.time) & np.isfinite(truth.x).all(axis=1)
    late = np.r_[False, (np.diff(truth.object) == 0) & (np.diff(truth.time) <= 0.0)] if len(truth) else ~whole
    state = np.column_stack([truth.time, truth.x])
    wrong = {
        "time with x": (~whole, state, "finite s, m and m/s"),
        "time": (late, truth.time, "an object's rows one after the other, in order of time"),
    }
    refuse_rows("Truth", wrong)


def usable_picture(picture: Picture, n_node: int) -> None:
    """Refuse rows of Picture that cannot be scored, with the first such row, its value and what would have worked."""
    spread = np.diagonal(picture.P, axis1=1, axis2=2)
    wrong = {
        "time": (~np.isfinite(picture.time), picture.time, "a finite number of seconds"),
        "node": ((picture.node < 0) | (picture.node >= n_node), picture.node, f"0 to {n_node - 1}"),
        "x": (~np.isfinite(picture.x).all(axis=1), picture.x, "finite m and m/s"),
        "P's diagonal": ((~np.isfinite(picture.P)).any(axis=(1, 2)) | (spread <= 0.0).any(axis=1), spread, "P finite, variances above 0"),
    }
    refuse_rows("Picture", wrong)


def handed(verb: str, **given: tuple[object, type]) -> None:
    """Refuse what is no table of its kind: ``handed("score", truth=(truth, Truth))`` raises `CopfuseError` with what was given instead."""
    for name, (value, kind) in given.items():
        if not isinstance(value, kind):
            raise CopfuseError(f"{verb}: {name} is of type {type(value).__name__}, expected a {kind.__name__} table")


def handed_scenario(verb: str, scenario: object) -> None:
    """Refuse a scenario's name or path, and None, in place of the scenario."""
    if scenario is None or isinstance(scenario, str | Path):
        raise CopfuseError(f"{verb}: scenario is {str(scenario)!r}, expected a Scenario, such as cf.load('hokkaido-2017') gives")


def choice(value: str, choices: tuple[str, ...], where: str) -> str:
    """``value`` if it is one of ``choices``; raises `CopfuseError` with the nearest or all of them otherwise."""
    if value not in choices:
        raise CopfuseError(f"{where} = {value!r} is unknown; {suggestion(value, choices)}")
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.  Raises `CopfuseError` where it is missing, unreadable or not TOML."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise CopfuseError(f"there is no file {str(path)!r}") from None
    except OSError as error:
        raise CopfuseError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CopfuseError(f"{str(path)!r} is not TOML: {error}") from None
