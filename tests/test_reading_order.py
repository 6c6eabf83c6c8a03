"""A module imports only modules that stand above it: one total order, which is also the order to read them in."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import copfuse

PACKAGE = Path(copfuse.__file__).parent

ORDER = [
    "errors", "constants", "kernels", "tables", "numbering", "folders", "checking", "frames", "atmosphere", "vehicles", "motion",
    "sensitivity", "roughness", "swerling", "laydowns", "sensors", "volumes", "watching", "coverage", "recorded", "flights", "links",
    "regimes", "scenario", "simulate",
    "ascents", "gaussian", "mixtures", "conversions", "biases", "filters", "companions", "starting", "kalman", "forecast", "warming",
    "rules", "retrodiction", "association", "matching", "phases", "updates", "echoes", "pairing", "multiscan", "scanning", "coasting",
    "crossed", "fans", "astray", "heirs", "turns", "processions", "singles", "steady", "covariances", "tracking", "following", "ahead",
    "families", "descent", "batch", "registration", "registering", "entries", "correlation", "books", "transit",
    "reporting", "releases", "network", "hearing", "naming", "launching", "fusion", "telling", "looping", "cueing", "informing", "bounds",
    "boosts",
    "arcs",
    "reconstruction", "timely", "freezing", "frozen",
    "measures", "foreseeing", "metrics", "commonality", "views", "study", "provenance", "earliness", "units", "parts", "intervals",
    "curves", "sheets", "study_figures", "workers", "report", "tidy", "sweep",
    "rivals", "customary", "soup", "entering", "export", "entrants_naive", "entrants_fusion", "entrants_filters", "entrants_single",
    "entrants_soup", "entrants", "fairness",
    "robust", "speed", "scale", "raid", "populations", "accuracy", "maps", "charts", "verdicts", "view_chart", "plots", "coverage_chart",
    "console", "sighted", "compared",
    "judging", "contestant", "arena", "standings", "contest", "contest_page",
    "reproduction_figures", "published", "reproductions",
    "cli_reproductions", "cli_bench", "cli_views", "cli_study", "cli",
]  # fmt: skip
EXACT = {"__init__"}  # names its modules as text and imports them when first used


def imported(path: Path) -> set[str]:
    """Every module of the package that the file imports anywhere, inside functions too: "frames", "kernels.earth"."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write imports in full, from copfuse..."
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in whole if is_module(name)} | ({node.module} if is_module(str(node.module)) else set())
    return {name.removeprefix("copfuse.") for name in found if name.startswith("copfuse.")}


def is_module(name: str) -> bool:
    parts = name.split(".")
    base = PACKAGE.joinpath(*parts[1:])
    return parts[0] == "copfuse" and len(parts) > 1 and (base.with_suffix(".py").is_file() or (base / "__init__.py").is_file())


def test_the_order_names_every_module():
    files = {path.stem for path in PACKAGE.glob("*.py")} - EXACT
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(files | folders) == sorted(ORDER)


@pytest.mark.parametrize("module", [name for name in ORDER if name != "kernels"])
def test_a_module_imports_only_what_stands_above_it(module):
    below = [name for name in imported(PACKAGE / f"{module}.py") if ORDER.index(name.split(".")[0]) >= ORDER.index(module)]
    assert not below, f"{module} imports {below}"


def test_kernels_import_only_constants_and_kernels():
    for path in (PACKAGE / "kernels").glob("*.py"):
        wrong = [name for name in imported(path) if name.split(".")[0] not in ("constants", "kernels")]
        assert not wrong, f"kernels/{path.name} imports {wrong}"


def test_kernels_import_each_other_without_a_cycle():
    left = {path.stem: {n.split(".")[1] for n in imported(path) if n.startswith("kernels.")} for path in (PACKAGE / "kernels").glob("*.py")}
    while left:
        free = [name for name, needs in left.items() if not needs & set(left)]
        assert free, f"a cycle among kernels: {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


def test_compiled_code_stands_only_in_kernels():
    for path in PACKAGE.glob("*.py"):
        names = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        names += [alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import) for alias in node.names]
        assert not [name for name in names if name.split(".")[0] == "numba"], f"{path.name} imports numba"


def test_no_module_is_longer_than_it_should_be():
    """About 350 lines; 500 is the limit."""
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 500, path
