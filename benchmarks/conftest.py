"""Short rounds, so that all benchmarks together stay under two minutes."""

from __future__ import annotations


def pytest_configure(config):
    """A third of a second a benchmark, unless the command line says otherwise."""
    if str(getattr(config.option, "benchmark_max_time", "")) == "1.0":
        config.option.benchmark_max_time = "0.3"
