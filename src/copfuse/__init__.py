"""copfuse: one common operating picture of ballistic flights, and what sharing missile-warning data is worth.

Seven verbs, six tables: ``fly → detect → track → share → fuse → score → plot``.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# The public names and the module that each comes from; imported when first used, so that `import copfuse` and the
# command line's --help are instant.
_HOME = {
    "fly": "simulate", "detect": "simulate", "track": "tracking", "share": "network", "fuse": "fusion", "score": "metrics",
    "plot": "plots", "plot_coverage": "coverage_chart", "load": "scenario", "run": "study", "Run": "study", "sightings": "metrics",
    "scenarios": "scenario",
    "earlier_detection": "sweep", "Study": "tidy", "reproduce": "reproductions", "view": "views", "explain": "provenance",
    "bound": "bounds", "plot_errors": "curves", "bench": "contest",
    "reconstruct": "reconstruction", "plots_of": "reconstruction",
    "launches": "flights", "Scenario": "scenario", "CopfuseError": "errors",
    "Truth": "tables", "Detections": "tables", "Tracks": "tables", "Messages": "tables", "Picture": "tables", "Score": "tables",
    "lowest_visible_altitude": "atmosphere", "detection_probability": "sensors", "radar_snr": "sensors",
}  # fmt: skip

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"copfuse.{_HOME[name]}"), name)
    raise AttributeError(f"module 'copfuse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
