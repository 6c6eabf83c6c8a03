"""The only place with compiled code: arrays in, arrays out, no objects, no input or output.

``njit`` here is numba's, with a disk cache that is named by the text of every kernel.  Numba's own cache looks
only at the file of the function that it loads, so a cached caller goes on calling the *old* version of a callee
that stands in another file; one cache folder per state of all kernels rules that out.
"""

from __future__ import annotations

import gc
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numba
from numba.core.event import Event, Listener, register

_FOLDER = Path(__file__).parent
_SOURCES = [*sorted(_FOLDER.glob("*.py")), _FOLDER.parent / "constants.py"]


def cache_folder() -> Path:
    """The folder of this version's compiled kernels (``COPFUSE_CACHE`` moves it)."""
    text = b"".join(path.read_bytes() for path in _SOURCES)
    state = hashlib.sha256(text + numba.__version__.encode() + sys.version.encode()).hexdigest()[:16]
    base = os.environ.get("COPFUSE_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "copfuse" / f"kernels-{state}"


_CACHE = str(cache_folder())


class _Uncollected(Listener):
    """Keeps the garbage collector off while numba compiles: it walks all that the compiler holds, an eighth of the time, for nothing."""

    depth = 0  # kernels whose compilation has begun: each compiles those that it calls
    was_on = True

    def on_start(self, event: Event) -> None:
        if self.depth == 0:
            self.was_on = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: Event) -> None:
        self.depth -= 1
        if self.depth == 0 and self.was_on:
            gc.enable()


register("numba:compile", _Uncollected())  # events come under the compiler's lock, from one thread at a time


def njit(function: Any = None, **options: Any) -> Any:
    """``numba.njit`` with this package's cache; used bare or with options.

    ``inline="always"`` is for a long kernel that one other calls, in one place: numba would optimise it and write its machine
    code by itself, and once more in its caller.  Only where both are `borrowing`, or neither: a caller's counting is its parts' too.
    """
    if function is None:
        return lambda inner: njit(inner, **options)
    config: Any = numba.config
    compiler: Any = numba.njit
    before = config.CACHE_DIR
    config.CACHE_DIR = _CACHE  # read once, when the dispatcher is made
    try:
        return _for_any_number(compiler(cache=True, error_model="numpy", no_cfunc_wrapper=True, **options)(function))
    finally:
        config.CACHE_DIR = before


def _for_any_number(kernel: Any) -> Any:
    """A kernel that is called by others with a plain number is compiled for its type, not anew for each number that they write.

    LLVM puts the number in where that helps; numba, left alone, compiled seven functions of a run twice or four times over.
    """
    asked = getattr(kernel, "get_call_template", None)  # what a caller's typing asks a kernel for; not there without JIT
    if asked is not None:
        literal = numba.types.unliteral
        kernel.get_call_template = lambda args, kws: asked(tuple(map(literal, args)), {name: literal(kind) for name, kind in kws.items()})
    return kernel


def borrowing(function: Any = None, **options: Any) -> Any:
    """`njit` for a kernel that allocates nothing and returns no array: what it is lent, slices too, it need not count in and out.

    The counting is atomic, some 5 ns a time, and was half of the extended filter's time.  Numba refuses an allocation in it.
    """
    return njit(function, _nrt=False, **options)
