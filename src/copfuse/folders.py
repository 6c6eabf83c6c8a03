"""Folders of saved tables: whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from copfuse.errors import CopfuseError


def check_folder(folder: Path) -> None:
    """Refuse a folder that `whole_folder` could not write: something else is there, or its parent cannot be written."""
    if folder.exists() and not folder.is_dir():
        raise CopfuseError(f"cannot save to {str(folder)!r}: it is a file")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "run.json").is_file():
        raise CopfuseError(f"cannot save to {str(folder)!r}: it is not empty and holds no earlier run")
    if not folder.parent.is_dir():
        raise CopfuseError(f"cannot save to {str(folder)!r}: there is no folder {str(folder.parent)!r}")
    if not os.access(folder.parent, os.W_OK):
        raise CopfuseError(f"cannot save to {str(folder)!r}: the folder {str(folder.parent)!r} is not writable")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """``with whole_folder(folder) as temporary``: write into the temporary folder; it takes ``folder``'s place only on success."""
    try:
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".copfuse-"))
    except OSError as error:
        raise CopfuseError(f"cannot save to {str(folder)!r}: {error.strerror} in {str(folder.parent)!r}") from None
    try:
        yield temporary
        _put(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, folder: Path) -> None:
    """``temporary`` takes ``folder``'s place; what was there goes away only then."""
    os.chmod(temporary, 0o755)
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".copfuse-"))
    try:
        if folder.exists():
            os.rename(folder, old / "old")
        try:
            os.rename(temporary, folder)
        except OSError:
            if (old / "old").exists():
                os.rename(old / "old", folder)
            raise
    except OSError as error:
        raise CopfuseError(f"cannot save to {str(folder)!r}: {error.strerror}") from None
    finally:
        shutil.rmtree(old, ignore_errors=True)
