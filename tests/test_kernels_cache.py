"""A kernel whose callee in another file was changed gives the new answer, and an unchanged one is not compiled again.

Numba's own disk cache looks only at the file of the function that it loads, so by itself it would go on calling the
old callee; `copfuse.kernels` names one cache folder per state of all kernels.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numba.extending
import numpy as np
import pytest
from numba.core.types.functions import BaseFunction

import copfuse.kernels  # noqa: F401  (which registers the listener)

PACKAGE = Path(__file__).parents[1] / "src" / "copfuse"
CALLEE = "from copfuse.kernels import njit\n\n\n@njit\ndef inner(a):\n    return a + {number}\n"
CALLER = "from copfuse.kernels import njit\nfrom copfuse.kernels.callee import inner\n\n\n@njit\ndef outer(a):\n    return 10 * inner(a)\n"
ASK = """
from copfuse.kernels.caller import outer
print(outer(1), sum(outer.stats.cache_hits.values()))
"""
PLAIN = "import numba\n\n\n@numba.njit(cache=True)\ndef {name}\n"

jit = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="about the compiled kernels' disk cache")


def ask(tree: Path, code: str) -> list[int]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "COPFUSE_CACHE": str(tree / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@jit
def test_a_changed_callee_in_another_file_is_called(tmp_path):
    kernels = tmp_path / "copfuse" / "kernels"
    kernels.mkdir(parents=True)
    for name in ("__init__.py", "constants.py", "kernels/__init__.py", "kernels/compiling.py"):
        shutil.copy(PACKAGE / name, tmp_path / "copfuse" / name)
    (kernels / "callee.py").write_text(CALLEE.format(number=1))
    (kernels / "caller.py").write_text(CALLER)
    assert ask(tmp_path, ASK) == [20, 0]
    assert ask(tmp_path, ASK) == [20, 1]  # unchanged: loaded from the disk, not compiled again
    (kernels / "callee.py").write_text(CALLEE.format(number=5))
    assert ask(tmp_path, ASK) == [60, 0]


@jit
def test_another_numba_compiles_as_it_does(tmp_path):
    """Of other versions nothing inside is touched: the shortened compiler is not even there, and the answers are the same."""
    kernels = tmp_path / "copfuse" / "kernels"
    kernels.mkdir(parents=True)
    for name in ("__init__.py", "constants.py", "kernels/__init__.py"):
        shutil.copy(PACKAGE / name, tmp_path / "copfuse" / name)
    (kernels / "callee.py").write_text(CALLEE.format(number=1))
    (kernels / "caller.py").write_text(CALLER)
    later = 'import numba\nnumba.__version__ = "0.99.0"\n' + ASK
    assert ask(tmp_path, later) == [20, 0]
    assert ask(tmp_path, later) == [20, 1]


@jit
def test_a_changed_constant_reaches_the_kernels(tmp_path):
    """Constants are compiled in, so their file counts as a kernel's source too."""
    kernels = tmp_path / "copfuse" / "kernels"
    kernels.mkdir(parents=True)
    for name in ("__init__.py", "constants.py", "kernels/__init__.py", "kernels/compiling.py"):
        shutil.copy(PACKAGE / name, tmp_path / "copfuse" / name)
    (kernels / "caller.py").write_text(
        "from copfuse.constants import GLIDE\nfrom copfuse.kernels import njit\n\n\n@njit\ndef outer(a):\n    return 10 * a * GLIDE\n"
    )
    assert ask(tmp_path, ASK)[0] == 30
    constants = tmp_path / "copfuse" / "constants.py"
    constants.write_text(constants.read_text() + "\nGLIDE = 7\n")
    assert ask(tmp_path, ASK)[0] == 70


@jit
def test_plain_numbers_in_calls_compile_the_callee_once(tmp_path):
    """Numba alone compiles it for the literal 1, for the literal 2, and for any int64."""
    kernels = tmp_path / "copfuse" / "kernels"
    kernels.mkdir(parents=True)
    for name in ("__init__.py", "constants.py", "kernels/__init__.py", "kernels/compiling.py"):
        shutil.copy(PACKAGE / name, tmp_path / "copfuse" / name)
    (kernels / "callee.py").write_text(CALLEE.format(number=1))
    (kernels / "caller.py").write_text(CALLER.replace("10 * inner(a)", "inner(1) + 10 * inner(a=2) + 100 * inner(a)"))
    code = ASK + "from copfuse.kernels.callee import inner\nprint(len(inner.part.signatures), len(inner.signatures))"
    assert ask(tmp_path, code) == [232, 0, 1, 0]
    (kernels / "caller.py").write_text(
        "import numba\n"
        + PLAIN.format(name="inner(a):\n    return a + 1")
        + PLAIN.format(name="outer(a):\n    return inner(1) + 10 * inner(a=2) + 100 * inner(a)")
    )
    assert ask(tmp_path, "from copfuse.kernels.caller import inner, outer\nprint(outer(3), len(inner.signatures))") == [432, 3]


@jit
def test_numba_alone_would_call_the_old_one(tmp_path):
    """Why the guard exists; should numba mend this, the guard can go."""
    (tmp_path / "caller.py").write_text("from callee import inner\n" + PLAIN.format(name="outer(a):\n    return 10 * inner(a)"))
    (tmp_path / "callee.py").write_text(PLAIN.format(name="inner(a):\n    return a + 1"))
    code = "from caller import outer\nprint(outer(1))"
    assert ask(tmp_path, code) == [20]
    (tmp_path / "callee.py").write_text(PLAIN.format(name="inner(a):\n    return a + 5"))
    assert ask(tmp_path, code) == [20]


@jit
@pytest.mark.parametrize("on", [True, False])
def test_the_garbage_collector_rests_while_kernels_compile_and_is_left_as_it_was(on):
    seen: list[bool] = []
    old = gc.isenabled()

    def asked() -> int:
        return 1

    @numba.extending.overload(asked)
    def _compiled():
        seen.append(gc.isenabled())
        return lambda: 1

    (gc.enable if on else gc.disable)()
    try:
        assert numba.njit(lambda: asked())() == 1
        assert gc.isenabled() == on and seen and not any(seen)
        with pytest.raises(numba.TypingError):
            numba.njit(lambda: "a" + 1)()
        assert gc.isenabled() == on
    finally:
        (gc.enable if old else gc.disable)()


@jit
def test_the_type_of_an_operator_is_asked_for_once(monkeypatch):
    """Numba alone asks some 20 times here; when it is done it is as it was."""
    asked: list[str] = []
    function: Any = BaseFunction
    ask = function.get_call_type

    def counted(self, context, args, kws):
        asked.append(f"{self.typing_key} {args}")
        return ask(self, context, args, kws)

    monkeypatch.setattr(function, "get_call_type", counted)
    assert numba.njit(lambda a: a[0] * a[1] + a[1] * a[2] + a[2] * a[0] + a[3] * a[3])(np.arange(4.0)) == 2.0 + 9.0 + 0.0
    assert len(asked) == len(set(asked)) and function.get_call_type is counted


@jit
def test_what_is_compiled_for_its_caller_is_not_taken_for_another():
    """Both call the same function with the same types; what a division by zero is depends on who calls."""

    def over(a, b):
        return a / b

    numba.extending.overload(over)(lambda a, b: lambda a, b: a / b)
    assert numba.njit(lambda a, b: over(a, b), error_model="numpy")(1.0, 0.0) == np.inf
    with pytest.raises(ZeroDivisionError):
        numba.njit(lambda a, b: over(a, b), error_model="python")(1.0, 0.0)
