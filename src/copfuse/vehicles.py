"""What each missile class is taken to be: burn times, mass ratios, drag, lift, radar cross sections; all *notional*.

Burn times follow the public orders of magnitude per class; the rest are round numbers that give plausible accelerations
(1.5 to 12 g) and re-entries.  No figure describes a real vehicle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from copfuse.constants import G0


@dataclass(frozen=True)
class Stage:
    """One burn: thrust acceleration ``thrust / (1 - t / tau)`` m/s^2 for ``burn`` s; ``heavy`` kg/m^2 at ignition."""

    burn: float
    thrust: float
    tau: float
    heavy: float


@dataclass(frozen=True)
class Profile:
    """What a missile class is taken to be; every figure notional.

    Per stage: burn time s, share of the stage's ignition mass that is propellant, share of the whole velocity gain,
    ballistic coefficient at ignition kg/m^2.  Then: seconds of vertical rise, end of pitch-over, begin of the gravity
    turn; ballistic coefficient after burnout; radar cross section of what flies on and of a spent stage, m^2; whether
    the last stage is left behind; the most velocity gain that is plausible, m/s.
    """

    burn: tuple[float, ...]
    spent: tuple[float, ...]
    share: tuple[float, ...]
    heavy: tuple[float, ...]
    turn: tuple[float, float, float]
    beta: float
    rcs: float
    stage_rcs: float
    separates: bool
    most: float
    coast_step: float = 0.5


SHORT, LONG = (4.0, 14.0, 24.0), (8.0, 26.0, 44.0)
PROFILES = {
    "SRBM": Profile((70.0,), (0.70,), (1.0,), (30e3,), SHORT, 5000.0, 0.3, 1.0, False, 3700.0),
    "MRBM": Profile((95.0,), (0.75,), (1.0,), (40e3,), SHORT, 5000.0, 0.2, 2.0, True, 5500.0),
    "SLBM": Profile((85.0,), (0.75,), (1.0,), (40e3,), SHORT, 5000.0, 0.2, 2.0, True, 5500.0),
    "IRBM": Profile((150.0,), (0.78,), (1.0,), (55e3,), SHORT, 6000.0, 0.1, 3.0, True, 8000.0, 1.0),
    "ICBM": Profile((130.0, 165.0), (0.74, 0.78), (0.46, 0.54), (130e3, 70e3), LONG, 7000.0, 0.05, 5.0, True, 12500.0, 1.0),
    "ICBM, solid": Profile(
        (65.0, 65.0, 60.0), (0.66, 0.66, 0.66), (0.33, 0.34, 0.33), (130e3, 80e3, 50e3), SHORT, 7000.0, 0.05, 4.0, True, 12500.0, 1.0
    ),
    "SLV": Profile((120.0, 130.0), (0.74, 0.74), (0.48, 0.52), (100e3, 50e3), LONG, 3000.0, 1.0, 5.0, True, 10500.0, 1.0),
    "glide": Profile((100.0,), (0.76,), (1.0,), (45e3,), SHORT, 6000.0, 0.2, 2.0, True, 5500.0),
}
PROFILES["unknown"] = PROFILES["SRBM"]
GAP = 2.0  # s, notional, between a burnout and the next ignition
# Lift after the apogee: most lift coefficient over zero-lift drag coefficient (drag doubles there), and the speed at
# which it ends in a dive, m/s; both notional.
PULL_UP, GLIDER = (3.0, 900.0), (4.0, 1100.0)
STAGE_BETA = 200.0  # kg/m^2, notional: a tumbling spent stage
SEPARATION = 3.0  # m/s, notional: how much slower a spent stage is than what it leaves
SCATTER = 15.0  # m/s, notional: standard deviation per axis of a fragment's velocity
FRAGMENT_BETA, FRAGMENT_RCS = (30.0, 1000.0), (0.005, 0.2)  # kg/m^2 and m^2, notional, log-uniform between


def boost(profile: Profile, gain: float) -> tuple[Stage, ...]:
    """The stages of a class with a whole ideal velocity gain of ``gain`` m/s.

    Burn time and propellant share are the class's, the thrust follows; a thrust below 1.5 weights is raised to that
    and the propellant (at last the burn time) cut instead: a short shot burns out with less spent.
    """
    stages = []
    for burn, spent, share, heavy in zip(profile.burn, profile.spent, profile.share, profile.heavy, strict=True):
        mine, least = share * gain, 1.5 * G0
        if mine * spent / (burn * -math.log1p(-spent)) < least:
            spent = _share_for(mine / (least * burn))
            burn = min(burn, mine * spent / (least * -math.log1p(-spent)))
        stages.append(Stage(burn, mine * spent / (burn * -math.log1p(-spent)), burn / spent, heavy))
    return tuple(stages)


def _share_for(ratio: float, least: float = 0.3) -> float:
    """The propellant share f, at least ``least``, with -ln(1 - f) / f = ratio (Newton)."""
    f = 0.6
    for _ in range(30):
        value = -math.log1p(-f) / f - ratio
        slope = 1.0 / (f * (1.0 - f)) + math.log1p(-f) / f**2
        f = min(max(f - value / slope, least), 0.95)
    return f
