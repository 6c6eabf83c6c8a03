"""What a scan tells of an engine and of the ground, one track at a time, and what it lets a track forget: as `tracking._update` does.

Decisions that are too near to call are told as such: they are made from sums that numpy adds up in another order.
"""

from __future__ import annotations

import math

from copfuse.kernels import borrowing
from copfuse.kernels.earth import altitude
from copfuse.kernels.flight import smooth
from copfuse.kernels.motions import BOOST, GLIDE, MANOEUVRE, REENTRY

UNKNOWN = -1.0  # of a rate or a chance: not known here
ASKED = 2  # of whether an engine is out
# The chance that an engine which goes out has another stage above it, *notional*.  Of the record's missiles those of short range, a single
# stage, burn out at 15 to 40 km; first stages of ICBMs and launchers at 45 to 140 km and 1.7 to 3.2 km/s (Falcon 9's, by webcasts, at 60 to
# 70 km and 1.7 to 2.4 km/s), as do the single ones of medium range; second ones of three at 200 to 300 km and 4 to 5 km/s, as do single
# ones of the intermediate range.  What is faster than any of these was an ICBM's or a launcher's last.
STAGES, LAST, ONLY = 0.3, 0.03, 0.01  # where most have one; hardly any: depressed flights' first ones, launchers' third ones; see below
LOW, FAST = (25e3, 50e3), (5000.0, 7000.0)  # m, m/s: from where to where one goes over into the other
# A stage that carries another one gains less speed by its push than the rocket does in all: those of the record, as they are fitted, gain
# at most 3.1 km/s, those of the classes (`vehicles`) 3.9 where the last stage comes to orbital speed, and Falcon 9's first ones, by
# webcasts, 2.4; single ones of the intermediate range 4.3 to 5.3.  Of what has gained more than the former by one push
# (`phases.slowest`) hardly any has another stage, `ONLY`: launchers that light their core on the ground.
GAINED = (3200.0, 4000.0)  # m/s
HELD = 2.0  # s between two plots under push within which no stage goes out and the next one lights unseen (`vehicles.GAP`), *notional*
CLOSE = 1e-6  # of a decision's two sides, in their unit or as a share: nearer than that it is too near to call


@borrowing
def stage_above(x6, slow):
    """`phases.above` of one track."""
    speed = math.sqrt(x6[3] * x6[3] + x6[4] * x6[4] + x6[5] * x6[5])
    fast = smooth((speed - FAST[0]) / (FAST[1] - FAST[0]))
    high = smooth((altitude(x6[0], x6[1], x6[2]) - LOW[0]) / (LOW[1] - LOW[0]))
    gained = smooth((speed - slow - GAINED[0]) / (GAINED[1] - GAINED[0]))
    chance = STAGES - (STAGES - LAST) * (1.0 - high * (1.0 - fast))
    return chance - (chance - ONLY) * gained


@borrowing
def slowest(x6, P6, since, slow):
    """`phases.slowest` of one track."""
    most = math.sqrt(x6[3] * x6[3] + x6[4] * x6[4] + x6[5] * x6[5]) + 2.0 * math.sqrt(P6[3, 3] + P6[4, 4] + P6[5, 5])
    return min(slow, most) if since <= HELD else most


@borrowing
def waited(lit, above, waits, what, scan, first, begin):
    """The rate or the chance at a scan of what may still light, where an engine was last seen to burn at ``lit``, and had another ``above``
    by that chance; `UNKNOWN` where that is since the call began, at ``begin`` with the scan ``first``.
    """
    for i in range(len(waits.lit)):
        if waits.lit[i, 0] == lit and waits.lit[i, 1] == above:
            return waits.after[what, i, scan - first]
    return 0.0 if lit < begin else UNKNOWN


@borrowing
def thrust(x, P, mu, x6):
    """`phases.thrust` of one track: the push along the velocity, m/s^2, and its standard deviation."""
    v0, v1, v2 = x6[3], x6[4], x6[5]
    speed = max(math.sqrt(v0 * v0 + v1 * v1 + v2 * v2), 1.0)
    free = mu[MANOEUVRE] / (mu[MANOEUVRE] + mu[BOOST])
    along, apart = 0.0, 0.0
    for a in range(3):
        own = x[BOOST, 6] * x6[3 + a] / speed
        both = free * x[MANOEUVRE, 6 + a] + (1.0 - free) * own
        along += both * x6[3 + a] / speed
        apart += free * (x[MANOEUVRE, 6 + a] - both) ** 2 + (1.0 - free) * (own - both) ** 2
        apart += free * P[MANOEUVRE, 6 + a, 6 + a]
    return along, math.sqrt((apart + (1.0 - free) * P[BOOST, 6, 6]) / 3.0)


@borrowing
def likely_out(mu, burnt, able, chance, rule):
    """`burnt_out` by the models' probabilities alone; `ASKED` where the push decides."""
    engine = mu[MANOEUVRE] + mu[BOOST]
    if burnt and 0.5 < engine <= 0.95 and chance == UNKNOWN:
        return -1
    if not (engine > (0.5 if chance > 0.0 else 0.95) if burnt else able and engine >= rule.burnt_out):
        return 1 if burnt or able else 0
    return ASKED


@borrowing
def burnt_out(x, P, mu, x6, burnt, able, chance, rule):
    """`tracking._burnt_out` of one track: 1 where its engine is out, 0 where not, −1 where that is too near to call.

    ``chance`` is that of a further stage, or `UNKNOWN`.
    """
    out = likely_out(mu, burnt, able, chance, rule)
    if out != ASKED:
        return out
    along, blur = thrust(x, P, mu, x6)
    far = along - rule.relight if burnt else -2.0 * blur - along
    if not abs(far) > CLOSE:
        return -1
    return 1 if (far > 0.0) != burnt else 0


@borrowing
def grounded(x6, P6, rule):
    """Whether a track may lie below the ground, were it not there, or nearly (`tracking._low`)."""
    height = altitude(x6[0], x6[1], x6[2])
    if not height < rule.low:
        return False
    total, r2 = 0.0, x6[0] * x6[0] + x6[1] * x6[1] + x6[2] * x6[2]
    for a in range(3):
        for b in range(3):
            total += x6[a] * P6[a, b] * x6[b] / r2
    return height < rule.grounded * math.sqrt(total) * (1.0 + CLOSE)


@borrowing
def _reset(x, P, component, prior):
    x[component] = prior[0]
    for a in range(9):
        P[component, a] = 0.0
        P[a, component] = 0.0
    P[component, component] = prior[1]


@borrowing
def forget_thrust(x, P, rule):
    """`filters.forget_thrust` of one track, in place."""
    _reset(x[BOOST], P[BOOST], 6, rule.thrust)
    _reset(x[BOOST], P[BOOST], 7, rule.flow)


@borrowing
def forget(x, P, mu, burnt, rule):
    """What `tracking._update` lets a track forget (`filters.forget_drag`, `forget_thrust`), but for an engine just out, in place."""
    if not burnt and mu[MANOEUVRE] + mu[BOOST] > 0.5:
        variance = rule.piece if P[REENTRY, 6, 6] > 0.5 * rule.piece else rule.log_beta[1]
        _reset(x[REENTRY], P[REENTRY], 6, (rule.log_beta[0], variance))
        _reset(x[GLIDE], P[GLIDE], 6, (rule.log_beta[0], variance))
        _reset(x[GLIDE], P[GLIDE], 7, rule.lift)
        _reset(x[GLIDE], P[GLIDE], 8, rule.lift)
    if mu[BOOST] < rule.forgotten:
        forget_thrust(x, P, rule)
