"""What numba, left alone, does for nothing while these kernels compile: two fifths of the time of a first run.

Three things are left out, and none changes a bit of what a kernel gives:

- The garbage collector walks all that the compiler holds (`Lean`).
- The type of ``a[i]`` or ``a * b`` is looked for anew, among a dozen candidates, each time that it stands somewhere (`_recalling`).
- A kernel that others call is optimised, made machine code of and wrapped for Python; its callers then take it in and do all of that
  again, with more to optimise (`Lent`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.event import Event, Listener
from numba.core.types.functions import BaseFunction

_FUNCTION: Any = BaseFunction
_KNOWN: dict[int, tuple[Any, dict[Any, Any]]] = {}  # of a function that numba knows: itself, and its signatures by types of arguments


def _recalling(ask: Callable[..., Any]) -> Callable[..., Any]:
    """``BaseFunction.get_call_type`` that asks once for the same types, where the answer is one of numba's own, for any kernel."""

    def get_call_type(self: Any, context: Any, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        if kws:
            return ask(self, context, args, kws)
        _, known = _KNOWN.setdefault(id(self), (self, {}))
        signature = known.get((context, args))
        if signature is None:
            signature = ask(self, context, args, kws)
            if self._impl_keys.get(signature.args) is self.typing_key:  # else it was compiled, with its caller's options
                known[context, args] = signature
        return signature

    return get_call_type


class Lean(Listener):
    """While numba compiles, however deep kernels call one another: no garbage collector, and types as in `_recalling`."""

    depth = 0  # kernels whose compilation has begun
    was_on = True
    ask: Any = None

    def on_start(self, event: Event) -> None:
        if self.depth == 0:
            self.was_on, self.ask = gc.isenabled(), _FUNCTION.get_call_type
            gc.disable()
            _FUNCTION.get_call_type = _recalling(self.ask)
        self.depth += 1

    def on_end(self, event: Event) -> None:
        self.depth -= 1
        if self.depth == 0:
            _FUNCTION.get_call_type = self.ask
            if self.was_on:
                gc.enable()


class _Aside:
    """A code generator, but that nothing is put where it could be run."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def _add_module(self, module: Any) -> None:
        pass

    def set_env(self, name: str, environment: Any) -> None:
        pass


class _Finished(JITCodeLibrary):
    """Optimised code for others to take in, of which no machine code is made."""

    def __init__(self, generator: Any, name: str) -> None:
        super().__init__(_Aside(generator), name)

    def _finalize_specific(self) -> None:
        pass

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0


class _Raw(_Finished):
    """Not optimised, either."""

    def _optimize_final_module(self) -> None:
        pass


class Lent(Compiler):
    """Numba's compiler, for what kernels call: it is optimised in each of them, as a part of it."""

    library: type[_Finished] = _Raw

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.state.library = self.library(self.state.targetctx.codegen(), "lent")


class LentFinished(Lent):
    """What is optimised by itself as well, before they take it in."""

    library = _Finished
