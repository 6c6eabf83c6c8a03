"""Published events, simulated: packaged studies with their text, what was published about them (`published`), and how far the
simulation is off.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from copfuse import (
    __version__,
    atmosphere,
    compared,
    earliness,
    flights,
    frames,
    network,
    report,
    reproduction_figures,
    sensors,
    sighted,
    simulate,
    units,
)
from copfuse.checking import check_jobs
from copfuse.curves import written
from copfuse.errors import CopfuseError, suggestion
from copfuse.published import Launched, Ray, Spec, Variant, packaged
from copfuse.scenario import Scenario, load
from copfuse.tables import Truth, replacing

FLIGHT = ("flight_time_s", "apogee_km", "range_km")  # columns that belong to the flight, not to a node
SEEN, CAUSE = "seen", "cause"  # quantities of a side: 1 or 0, and the number in sighted.OUTCOMES
COLUMNS = ("launch", "variant", "regime", "seed", "who", "quantity", "value")


@dataclass(frozen=True, eq=False)
class Reproduction:
    """What came out: ``findings`` (one row per launch, variant, regime, seed, who and quantity), the study's text and provenance.

    ``flown`` is the truth of every launch by its id, for figures.
    """

    name: str
    spec: Spec
    findings: dict[str, np.ndarray]
    flown: dict[str, tuple[Scenario, Truth]]
    meta: dict[str, Any]

    def of(self, quantity: str, **where: str) -> np.ndarray:
        """Values (n,) of a quantity in order of seed, where columns have the given texts (empty: any)."""
        rows = self.findings["quantity"] == quantity
        for column, text in where.items():
            if text:
                rows &= self.findings[column] == text
        return self.findings["value"][rows]

    def __str__(self) -> str:
        return compared.text(self)

    def save(self, folder: str | Path) -> Path:
        """Write ``findings.csv``, ``report.html`` and ``NAME.png`` into ``folder``, each whole or not at all.  Raises `CopfuseError`."""
        folder = check_folder(Path(folder))
        with replacing(folder / "findings.csv") as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(zip(*(self.findings[name].tolist() for name in COLUMNS), strict=True))
        written(reproduction_figures.draw(self), folder / f"{self.name}.png")
        self.report(folder / "report.html")
        return folder

    def report(self, path: str | Path) -> Path:
        """Everything in one HTML file that opens from disk."""
        drawn = report.picture(reproduction_figures.draw(self), self.spec.caption)
        return report.put(report.page(self.spec.title, [*compared.parts(self), ("Figure", drawn)], self.meta), path)


def check_folder(folder: Path) -> Path:
    """The folder, made where it is not there yet.  Raises `CopfuseError` where it cannot be written."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise CopfuseError(f"cannot save to {str(folder)!r}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise CopfuseError(f"cannot save to {str(folder)!r}: no permission to write there")
    return folder


def reproduce(
    name: str, seeds: int | None = None, launches: Iterable[str] | None = None, regimes: Iterable[str] | None = None,
    n_jobs: int = 1, progress: Callable[[str], None] | None = None, command: str = "",
) -> Reproduction:  # fmt: skip
    """Simulate a packaged study: its launches under its laydowns and regimes, ``seeds`` times (default: the study's).

    ``launches`` and ``regimes`` keep only some of them; ``n_jobs`` processes share the work (-1: one per core) without a change to
    the result; ``progress`` is called with each part that is done; ``command`` is what the provenance says made it.
    Raises `CopfuseError` for a name, launch, regime or number that cannot be.
    """
    asked = packaged(name)
    if seeds is not None and seeds < 1:
        raise CopfuseError(f"seeds = {seeds} is too few; expected 1 or more")
    check_jobs(n_jobs)
    keep = msgspec.structs.replace(
        asked, launch=_chosen(asked, launches), regimes=_some(asked.regimes, regimes, "regime"), seeds=seeds or asked.seeds
    )
    flown = {launched.id: fly(launched) for launched in keep.launch}
    lines = [(launched.id, "", "", 0, *line) for launched in keep.launch for line in _flight(flown[launched.id][1], launched, keep)]
    lines += [("", "", "", 0, ray.name, "lowest_km", _lowest(ray)) for ray in keep.ray]
    for part, made in _done(_parts(keep), keep, flown, n_jobs):
        if progress:
            progress(f"{part[0].id}, {part[1].name}, seed {part[2]}")
        lines += made
    columns = zip(*lines, strict=True)
    findings = {column: np.array(values) for column, values in zip(COLUMNS, columns, strict=True)}
    return Reproduction(name, keep, findings, flown, _meta(name, asked, keep, command))


Part = tuple[Launched, Variant, int, int]  # launch, laydown, seed, and the launch's number


def _parts(asked: Spec) -> list[Part]:
    variants = asked.variant or [Variant()]
    return [(one, variant, seed, i) for i, one in enumerate(asked.launch) for variant in variants for seed in range(asked.seeds)]


def _done(parts: list[Part], asked: Spec, flown: dict[str, tuple[Scenario, Truth]], n_jobs: int) -> Iterable[tuple[Part, list[Any]]]:
    """Every part with its lines, in order; the first one here, so that kernels are compiled before there are workers."""
    first = ((part, _part(part, asked, flown[part[0].id])) for part in parts[:1])
    if n_jobs == 1:
        rest: Iterable[list[Any]] = (_part(part, asked, flown[part[0].id]) for part in parts[1:])
    else:
        from joblib import Parallel, delayed

        rest = Parallel(n_jobs=n_jobs, return_as="generator", batch_size=1)(
            delayed(_part)(part, asked, flown[part[0].id]) for part in parts[1:]
        )
    yield from first
    yield from zip(parts[1:], rest, strict=True)


def _part(part: Part, asked: Spec, flown: tuple[Scenario, Truth]) -> list[Any]:
    """The lines of one launch, laydown and seed.  What sensors alone plot is drawn anew for every launch, as ships sail anew."""
    launched, variant, seed, number = part
    laid = _laid_down(flown[0], variant)
    here = (launched.id, variant.name)
    lines = [(*here, "", seed, *line) for line in _sensed(flown[1], laid, seed + 1000 * number, asked)]
    return lines + [(*here, *line) for line in _noded(laid, seed, launched, asked, flown[1])]


def cost(
    name: str, seeds: int | None = None, launches: Iterable[str] | None = None, regimes: Iterable[str] | None = None
) -> tuple[int, float]:
    """How many parts `reproduce` does, and about how many CPU seconds they take."""
    asked = packaged(name)
    keep = msgspec.structs.replace(asked, launch=_chosen(asked, launches), seeds=seeds or asked.seeds)
    share = len(_some(asked.regimes, regimes, "regime")) / max(1, len(asked.regimes))
    return len(_parts(keep)), asked.cost_s * (0.5 + 0.5 * share) * len(_parts(keep))


def _chosen(asked: Spec, launches: Iterable[str] | None) -> list[Launched]:
    names = _some([launched.id for launched in asked.launch], launches, "launch")
    return [launched for launched in asked.launch if launched.id in names]


def _some(known: list[str], wanted: Iterable[str] | None, what: str) -> list[str]:
    """The wanted ones of ``known`` (None: all), in its order."""
    chosen = known if wanted is None else list(wanted)
    for name in chosen:
        if name not in known:
            there = suggestion(name, known) if known else f"it has none to choose from: leave {what} out"
            raise CopfuseError(f"this study has no {what} {name!r}; {there}")
    return [name for name in known if name in chosen]


def _meta(name: str, asked: Spec, keep: Spec, command: str) -> dict[str, Any]:
    said = f"copfuse study {name}" + (f" --seeds {keep.seeds}" if keep.seeds != asked.seeds else "")
    said += "".join(f" --launch {launched.id}" for launched in keep.launch) if len(keep.launch) < len(asked.launch) else ""
    said += "".join(f" --regime {regime}" for regime in keep.regimes) if len(keep.regimes) < len(asked.regimes) else ""
    laid = [v.name for v in keep.variant]
    return {
        "launches": [launched.id for launched in keep.launch], "left_out": len(asked.launch) - len(keep.launch),
        "laydown": "northeast-asia" + (f" ({'; '.join(laid)})" if laid else ""),
        "regimes": list(keep.regimes), "seeds": list(range(keep.seeds)), "copfuse": __version__,
        "cues": True if keep.regimes else None, "command": command or said,
    }  # fmt: skip


# What is flown --------------------------------------------------------------------------------------------------------


def fly(launched: Launched) -> tuple[Scenario, Truth]:
    """The scenario and truth of a launch; where range or apogee are given, the row's flight to those.

    Raises `CopfuseError` where it cannot be flown.
    """
    own = Path(str(resources.files("copfuse") / "data" / "studies" / "flights" / f"{launched.id}.toml"))
    scenario = load(own if own.is_file() else launched.id)
    if launched.range_km is None and launched.apogee_km is None:
        return scenario, simulate.fly(scenario)
    row = flights.launches().find(launched.id)
    reach = row.range if launched.range_km is None else 1e3 * launched.range_km
    top = row.apogee if launched.apogee_km is None else 1e3 * launched.apogee_km
    flight = flights.fit(replace(row, range=reach, apogee=top))
    path = flight.trajectory
    about = {"name": row.id, "kind": "missile", "rcs": flights.profile_of(row).rcs, "missile_class": row.missile_class,
             "landed": path.landed, "about": path.about, "launch": 0, "pauses": path.pauses}  # fmt: skip
    meta = {"objects": [about], "scenario": scenario.name}
    return scenario, Truth(path.time, np.zeros(len(path.time), int), path.x, path.phase, meta)


def _lowest(ray: Ray) -> float:
    return 1e-3 * float(atmosphere.lowest_visible_altitude(ray.antenna_m, 1e3 * ray.distance_km))


def _laid_down(scenario: Scenario, variant: Variant) -> Scenario:
    def fits(name: str, patterns: list[str]) -> bool:
        return any(fnmatch(name, pattern) for pattern in patterns)

    kept = [s for s in scenario.sensors if (not variant.only or fits(s.name, variant.only)) and not fits(s.name, variant.exclude)]
    if not kept:
        raise CopfuseError(f"laydown {variant.name!r} keeps no sensor")
    ships = variant.ships
    kept = [replace(s, availability=ships) if ships is not None and s.platform == "ship" else s for s in kept]
    return replace(scenario, sensors=tuple(kept))


def _flight(truth: Truth, launched: Launched, asked: Spec) -> list[tuple[str, str, float]]:
    """Facts of the flight itself: time s, apogee and range km, when it passes places."""
    rows = truth.object == 0
    time, x = truth.time[rows] - truth.time[rows][0], truth.x[rows]
    lat, lon, height = frames.geodetic(x)
    reach = float(sensors.ground_distance(lat[0], lon[0], lat[-1], lon[-1]))
    found = [
        ("flight", "flight_time_s", float(time[-1])),
        ("flight", "apogee_km", 1e-3 * float(height.max())),
        ("flight", "range_km", 1e-3 * reach),
    ]
    for place in asked.place:
        if place.launch == launched.id:
            away = sensors.ground_distance(lat, lon, math.radians(place.lat_deg), math.radians(place.lon_deg))
            near = int(np.argmin(away))
            found += [(place.name, "pass_s", float(time[near])), (place.name, "pass_km", 1e-3 * float(height[near]))]
    return found


# What came of it ------------------------------------------------------------------------------------------------------


def _sensed(truth: Truth, scenario: Scenario, seed: int, asked: Spec) -> list[tuple[str, str, float]]:
    """Per sensor and side: whether it saw the missile, when first, and the number of the cause if not."""
    if not asked.side:
        return []
    found = sighted.looks(truth, simulate.detect(truth, scenario, seed), scenario)
    lines: list[tuple[str, str, float]] = []
    whole = float(truth.time[truth.object == 0][-1] - truth.time[truth.object == 0][0])
    for look in found:
        lines += [(look.sensor, "first_plot_s", look.first_plot), (look.sensor, "last_plot_s", look.last_plot),
                  (look.sensor, SEEN, float(look.outcome == sighted.SEEN)), (look.sensor, "in_view_s", look.in_view),
                  (look.sensor, "margin_km", 1e-3 * look.margin),
                  (look.sensor, CAUSE, float(sighted.OUTCOMES.index(look.outcome)))]  # fmt: skip
    for side in asked.side:
        mine = sighted.members(found, side.sensors)
        if not mine:  # this laydown is without them
            continue
        outcome, first, last = sighted.verdict(mine)
        lines += [(side.name, SEEN, float(outcome == sighted.SEEN)), (side.name, "missed", float(outcome != sighted.SEEN)),
                  (side.name, CAUSE, float(sighted.OUTCOMES.index(outcome))), (side.name, "first_plot_s", first),
                  (side.name, "last_plot_s", last), (side.name, "unseen_end_s", whole - last)]  # fmt: skip
        lines += [(side.name, f"missed: {cause}", float(outcome == cause)) for cause in sighted.OUTCOMES[1:]]
        lines.append((side.name, "missed: out of coverage", float(outcome in (sighted.HORIZON, sighted.REACH))))
    return lines


def _noded(scenario: Scenario, seed: int, launched: Launched, asked: Spec, truth: Truth) -> list[tuple[str, int, str, str, float]]:
    """The tidy columns of the first missile at each node under each regime, and what follows from them."""
    if not asked.regimes:
        return []
    if launched.range_km is not None or launched.apogee_km is not None:
        raise CopfuseError(
            f"launch {launched.id}: a flight to a range or apogee of the study's own is sensed, not tracked; leave regimes out"
        )
    regimes = tuple(network.regime(name) for name in asked.regimes)
    made = units.measure(units.Unit(scenario, seed, units.Options(regimes)))
    passing = [value for _, what, value in _flight(truth, launched, asked) if what == "pass_s"]
    lines = []
    for values in made.rows:
        row = dict(zip(earliness.COLUMNS, values, strict=True))
        if row["object"] != truth.meta["objects"][0]["name"]:
            continue
        whole, firm, lost = row["flight_time_s"], row["firm_s"], row["lost_s"]
        until = lost if lost == lost or firm != firm else whole
        found = {name: float(value) for name, value in row.items() if isinstance(value, float) and name not in FLIGHT}
        found |= {"held_until_s": until, "lost_before_s": whole - until}
        found |= {"pass_left_s": passing[0] - firm} if passing else {}
        lines += [(row["regime"], seed, row["node"], what, value) for what, value in found.items()]
    return lines
