"""Studies without a simulation: tables of the right columns whose numbers behave as those of real flights do."""

from __future__ import annotations

import numpy as np

from copfuse.constants import NODES
from copfuse.earliness import COLUMNS
from copfuse.tidy import Study, table

REGIMES = ("none", "tisa", "gsomia", "realtime", "plots")
CLASSES = {"SRBM": (400.0, 50.0), "MRBM": (900.0, 300.0), "IRBM": (3000.0, 800.0), "ICBM": (1000.0, 4500.0)}  # range, apogee km


def made_study(launches: int = 12, seeds: int = 3, regimes=REGIMES, seed: int = 0, bounds: bool = False) -> Study:
    """An invented study: Korea sees at 30 s, Japan some 50 s later; sharing in real time takes 8 s, one node for all plots 1 s.

    Low flights are never seen by Japan's own sensors; TISA and GSOMIA change nothing.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(launches):
        kind = list(CLASSES)[i % len(CLASSES)]
        span, apogee = (v * rng.uniform(0.6, 1.6) for v in CLASSES[kind])
        flight = 2.2 * np.sqrt(2e3 * apogee / 9.8) + 90.0
        shape = ("none", "pull-up", "glide")[i // 4 % 3] if kind == "SRBM" else "none"
        late = rng.uniform(30.0, 70.0)
        for k in range(seeds):
            own = {"KOR": 30.0 + rng.exponential(4.0), "JPN": 30.0 + late + rng.exponential(8.0), "USA": 40.0 + rng.exponential(9.0)}
            own["JPN"] = np.nan if apogee < 45.0 else own["JPN"]
            own["HUB"] = min(own["KOR"], own["USA"])
            for regime in regimes:
                about = {"launch": f"20{10 + i}-03-04-1", "object": f"20{10 + i}-03-04-1", "missile_class": kind, "manoeuvre": shape,
                         "cueing": 0, "without": "", "regime": regime, "seed": k, "flight_time_s": flight, "apogee_km": apogee,
                         "range_km": span}  # fmt: skip
                rows += [_row(about, node, own, rng, bounds) for node in NODES]
    columns = table({name: [row[name] for row in rows] for name in COLUMNS})
    meta = {
        "copfuse": "0.1.0", "command": "copfuse study earlier-detection", "laydown": "northeast-asia", "regimes": list(regimes),
        "seeds": list(range(seeds)), "without": [], "ships": None, "cues": False, "bounds": bounds, "launches": launches,
        "not_flown": {"1984-09-1": "the record has no range, no apogee and no azimuth for it"},
        "note": "invented numbers, for tests of what prints and draws a study",
    }  # fmt: skip
    return Study(columns, meta)


def _row(about, node, own, rng, bounds):
    regime, flight = about["regime"], about["flight_time_s"]
    shared, wait = regime in ("realtime", "plots"), {"realtime": 8.0, "plots": 1.0}.get(regime, np.nan)
    first = np.fmin(own[node], own["HUB"] + wait) if shared else own[node] if node != "HUB" else np.nan
    held = 0.0 if np.isnan(first) else (0.9 if shared else 0.7) * (1.0 - first / flight)
    lost = flight * rng.uniform(0.8, 1.0) if node != "JPN" and held else np.nan
    sigma = {"plots": 100.0, "realtime": 300.0}.get(regime, 900.0) * rng.lognormal(0.0, 0.3)
    fifty, ten = first + 35.0, first + (70.0 if shared else 140.0)
    ten = ten if ten < flight else np.nan
    row = dict.fromkeys(COLUMNS, np.nan) | about | {"node": node}
    row |= {
        "first_plot_s": own[node] - 8.0, "first_plot_km": 0.01 * (own[node] - 8.0) ** 2, "firm_s": first, "firm_km": 0.01 * first**2,
        "told_s": np.fmin(first, 60.0 if node == "JPN" else 25.0), "own_s": own[node], "ellipse50_s": fifty,
        "ellipse50_left_s": flight - fifty, "ellipse10_s": ten, "ellipse10_left_s": flight - ten, "firm_left_s": flight - first,
        "lost_s": lost, "lost_km": 15.0 + 0.0 * lost, "custody": held, "ambiguity": 1.0 + 0.0 * first, "age_s": wait + 0.0 * first,
        "commonality": 1.0 if regime == "plots" else 0.9 if shared else np.nan,
    }  # fmt: skip
    for part, share in (("boost", 0.3), ("midcourse", 1.0), ("terminal", 0.6)):
        row |= {f"{part}_custody": min(held * share, 1.0), f"{part}_rms_m": sigma * rng.lognormal(0.0, 0.2) if held else np.nan}
    for at in (60, 120, 300):
        on = first <= at <= flight
        row |= {f"error{at}_m": sigma if on else np.nan, f"bound{at}_m": 0.7 * sigma if on and bounds else np.nan}
    return row
