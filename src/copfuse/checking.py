"""Tables out of TOML files against typed structs: a wrong key, type or value becomes one sentence that helps."""

from __future__ import annotations

import math
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from copfuse.errors import CopfuseError, suggestion


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
    found = re.match(r"`\$\.(\w+)", path)
    if not found:
        return f"{where}: {said}"
    key = found[1]
    value = table.get(key)
    shown = value.isoformat() if isinstance(value, date) else repr(value)
    return f"{where}: {key} = {shown[:60]}, {said}"


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
