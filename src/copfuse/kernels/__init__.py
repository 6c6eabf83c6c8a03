"""The only place with compiled code: arrays in, arrays out, no objects, no input or output.

``njit`` here is numba's, with a disk cache that is named by the text of every kernel.  Numba's own cache looks
only at the file of the function that it loads, so a cached caller goes on calling the *old* version of a callee
that stands in another file; one cache folder per state of all kernels rules that out.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numba

_FOLDER = Path(__file__).parent
_SOURCES = [*sorted(_FOLDER.glob("*.py")), _FOLDER.parent / "constants.py"]


def cache_folder() -> Path:
    """The folder of this version's compiled kernels (``COPFUSE_CACHE`` moves it)."""
    text = b"".join(path.read_bytes() for path in _SOURCES)
    state = hashlib.sha256(text + numba.__version__.encode() + sys.version.encode()).hexdigest()[:16]
    base = os.environ.get("COPFUSE_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "copfuse" / f"kernels-{state}"


_CACHE = str(cache_folder())


SHORTENED = numba.__version__.startswith(
    "0.68."
)  # whose inner parts `compiling` knows; others compile as they do, in half as much time again
if SHORTENED:
    from numba.core.event import register

    from copfuse.kernels.compiling import Lean, Lent, LentFinished

    register("numba:compile", Lean())  # events come under the compiler's lock, from one thread at a time


def njit(function: Any = None, finished: bool = False, **options: Any) -> Any:
    """``numba.njit`` with this package's cache; used bare or with options.

    ``finished`` is for a kernel in whose callers less is lost where it is optimised by itself before they take it in: some were slower by
    5 % without.  It costs the time to compile that `compiling.Lent` saves.

    ``forceinline=True`` is for a kernel that stands in loops that are to go into vector instructions, or is called in one place only.
    """
    if function is None:
        return lambda inner: njit(inner, finished, **options)
    config: Any = numba.config
    compiler: Any = numba.njit
    options |= {"error_model": "numpy", "no_cfunc_wrapper": True}
    before = config.CACHE_DIR
    config.CACHE_DIR = _CACHE  # read once, when the dispatcher is made
    try:
        kernel = compiler(cache=True, **options)(function)
    finally:
        config.CACHE_DIR = before
    if not SHORTENED:
        return _lending(kernel, kernel)
    part = compiler(no_cpython_wrapper=True, pipeline_class=LentFinished if finished else Lent, **options)
    return _lending(kernel, part(function))


def _lending(kernel: Any, part: Any) -> Any:
    """A kernel in place of which others get ``part``: the same function, compiled as a part of theirs (`Lent`).

    Where they call it with a plain number it is compiled for its type, not anew for each number that they write.  LLVM puts the
    number in where that helps; numba, left alone, compiled seven functions of a run twice or four times over.
    """
    asked = getattr(part, "get_call_template", None)  # what a caller's typing asks a kernel for; not there without JIT
    if asked is not None:
        literal = numba.types.unliteral
        kernel.get_call_template = lambda args, kws: asked(tuple(map(literal, args)), {name: literal(kind) for name, kind in kws.items()})
        kernel.get_overload, kernel.part = part.get_overload, part
    return kernel


def borrowing(function: Any = None, **options: Any) -> Any:
    """`njit` for a kernel that allocates nothing and returns no array: what it is lent, slices too, it need not count in and out.

    The counting is atomic, some 5 ns a time, and was half of the extended filter's time.  Numba refuses an allocation in it.
    """
    return njit(function, _nrt=False, **options)
