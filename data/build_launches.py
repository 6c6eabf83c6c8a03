"""Build src/copfuse/data/launches.csv from the facts in ../shared/data/launches.csv (beside the checkout).

Facts of public test launches: day, reported time, site, azimuth, ground range, apogee.  Sources: public announcements
of the Joint Chiefs of Staff of the Republic of Korea and of Japan's Ministry of Defense, and the CNS North Korea
Missile Test Database as a public compilation.  Nothing is added; ids stay; the letter of the sharing arrangement of
the day becomes its name.  Run:  python data/build_launches.py
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "launches.csv"
TARGET = ROOT / "src" / "copfuse" / "data" / "launches.csv"
REGIMES = {"a": "none", "b": "tisa", "c": "gsomia", "d": "realtime"}
NUMBERS = ("lat_deg", "lon_deg", "azimuth_deg", "range_km", "apogee_km")
COLUMNS = (
    "id", "date", "time_kst", "missile", "missile_class", "manoeuvre", "n_missiles", "site", *NUMBERS,
    "outcome", "jcs_range_km", "jcs_apogee_km", "regime", "confidence",
)  # fmt: skip


def row(fact: dict[str, str]) -> dict[str, str]:
    """One row of the package's CSV: numbers in their shortest form, the regime by name."""
    made = {name: fact["regime_in_force" if name == "regime" else name].strip() for name in COLUMNS}
    made["regime"] = REGIMES[made["regime"]]
    for name in NUMBERS:
        made[name] = f"{float(made[name]):g}" if made[name] else ""
    return made


def main() -> None:
    """Write the CSV, or say what is missing."""
    if not SOURCE.is_file():
        sys.exit(f"the facts are not beside the checkout: {SOURCE}")
    with open(SOURCE, newline="", encoding="utf-8") as file:
        rows = [row(fact) for fact in csv.DictReader(file)]
    if len({r["id"] for r in rows}) != len(rows):
        sys.exit("two rows have one id")
    with open(TARGET, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} rows in {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
