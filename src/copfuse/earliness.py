"""The tidy rows of the earlier-detection study: what every node of one run had of every missile, and when.

One row per missile and node; `COLUMNS` in this order.  Times are s after the missile's ignition, nan (empty in a CSV) for never.
"""

from __future__ import annotations

from typing import Any

from copfuse.constants import BOOST, GLIDE, MIDCOURSE, TERMINAL

FIXED = (60, 120, 300)  # s after ignition at which the position error is reported
ELLIPSES = (50, 10)  # km, 95 % semi-major axes of the impact forecast whose first time is reported
PARTS = {"boost": (BOOST,), "midcourse": (MIDCOURSE,), "terminal": (TERMINAL, GLIDE)}  # glide is flown below 100 km too

# Column: type and meaning
COLUMNS: dict[str, tuple[type, str]] = {
    "launch": (str, "id in the record, or the scenario's name"),
    "object": (str, "the missile's name"),
    "missile_class": (str, "SRBM, MRBM, IRBM, ICBM, SLBM, SLV or unknown"),
    "manoeuvre": (str, "as flown: none, pull-up or glide"),
    "cueing": (int, "1 where what is shared also cues radars"),
    "without": (str, 'sensors left out, parted by ";"'),
    "regime": (str, "the sharing arrangement"),
    "seed": (int, "names all random draws"),
    "node": (str, "KOR, JPN, USA or HUB"),
    "flight_time_s": (float, "ignition to impact"),
    "apogee_km": (float, "highest altitude flown"),
    "range_km": (float, "ground range flown"),
    "first_plot_s": (float, "first plot of the node's own sensors (HUB: of any)"),
    "first_plot_km": (float, "altitude then"),
    "told_s": (float, "first warning of any kind: own firm track, or a cue, message or track that arrived"),
    "firm_s": (float, "first time that the node's picture holds the missile"),
    "firm_km": (float, "altitude then"),
    "own_s": (float, "first firm track by own sensors (HUB: by any nation's)"),
    "ellipse50_s": (float, "first impact forecast with a 95 % semi-major axis below 50 km"),
    "ellipse50_left_s": (float, "time left to impact then"),
    "ellipse10_s": (float, "the same below 10 km"),
    "ellipse10_left_s": (float, "time left to impact then"),
    "firm_left_s": (float, "time left to impact at firm_s"),
    "lost_s": (float, "when the picture held it last; nan where never or to the impact"),
    "lost_km": (float, "altitude then"),
    "custody": (float, "share of the flight during which the picture held it"),
    **{f"{part}_custody": (float, f"the same of the {part} phase") for part in PARTS},
    **{f"error{at}_m": (float, f"position error {at} s after ignition") for at in FIXED},
    **{f"bound{at}_m": (float, "its Cramer-Rao bound for the plots that could reach the node") for at in FIXED},
    **{f"{part}_rms_m": (float, f"root mean square position error in the {part} phase") for part in PARTS},
    "ambiguity": (float, "tracks on the missile per time at which it is held"),
    "commonality": (float, "share of times held here or at the hub at which both hold it on the same rows"),
    "age_s": (float, "median age of the newest row in its track"),
}  # fmt: skip
DIGITS = {"_s": 3, "_km": 4, "_m": 3, "": 6}  # decimals that are kept, by unit
KEYS = ("launch", "object", "regime", "seed", "node")  # what names a row

Row = dict[str, Any]
