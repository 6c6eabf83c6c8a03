"""How the filters' models switch: rates of lighting, burning out, beginning to be braked or lifted, by height and velocity.

All rates (1/s) are *notional* and follow the phases of a flight.  Burnout is nearly absorbing once above the air; drag and lift need
air.  In empty space a body is left alone (COAST) or is not (GLIDE), and stays so until plots say otherwise: whose thrust was along
its velocity (BOOST) is nearly always left alone once it is out; who was pushed otherwise, as by an engine that turns it back, has
thrusters, and may well use them still.  What falls through thin air is not lit again before it comes to `motions.AIR`: an
engine that brakes a descent does so where the air is about to, and what climbs is not braked by one.  What comes into the air from high
up is hardly ever lifted or braked there but by the air: who wants to fly in it does not climb so far, and how fast a fall is tells from
where it comes.  Before there is air to lift it, it is left alone as in space; and what comes in fast was so there, however restless it
seemed: a constant bias of a radar bends the path of what passes by.  What has not burnt for half a minute hardly ever does again in its
climb.
"""

from __future__ import annotations

import math

from copfuse.constants import G0
from copfuse.kernels import njit
from copfuse.kernels.flight import smooth
from copfuse.kernels.motions import AIR, N_MODEL
from copfuse.kernels.pull import DRAG_CEILING

SPACE = 110e3  # m: above it even thin air lifts nothing, *notional*
# Of the record's 107 missiles of known manoeuvre that climbed to `LOB`, or to the first of `STEEP` no faster across than its last, none was
# lifted: who wants to fly in the air goes flat, or fast.  First stages brake from 120 km, those steeper than its second by their engines.
# What may be lighter than missiles are is none: the air turns pieces long before it turns a missile, and no model knows how.
LOB, STEEP = 150e3, (65e3, 0.6e3, 2.0e3)  # m; m, m/s, m/s
HEAVY = math.log(1000.0), 1.25  # of kg/m^2, at the least a missile's ballistic coefficient; by so many sigmas the filter's is above it
LOB_TURNS = 1.0 / 3270.0  # 1/s, that such a fall is lifted or an engine lights, in all: once in 109 (Laplace's rule), of some 30 s each
BRAKED = 1.0  # 1/s, that such a fall is taken to be braked below `SPACE`: it passes the layers where drag comes to tell in seconds
# A constant bias bends the path of what passes a radar by, which in space seems restless.  Stages that steer in thin air are slower.
FAST = 3e3  # m/s from which on a fall that comes into the air is taken to have been left alone, *notional*
UNREST_AFTER = 0.03, 0.001  # of those that were pushed (MANOEUVRE, BOOST), how many are not left alone once they are no more, to the others
UNREST_BEGINS = 1e-7  # 1/s, that a body in space which was left alone is so no more, or the other way round
# Of constant thrust an engine pushes the harder the less mass is left to it: one that lifts off with 1.5 to 3 g has burnt most of it when
# it pushes with 5 to 8, and goes out soon.  Of the flights of the record, as they are fitted, what tracks see burn above 15 km goes out
# at a rate of .001/s below 50 m/s^2, .02 up to 60, .08 up to 70 and .13 up to 80.
SPENT, HARD = 0.1, (50.0, 80.0)  # 1/s, that such a one goes out beside the other rates; m/s^2 of thrust less drag from where to where
# What lights an engine once more after its last one, as a stage that turns back, does so soon: Falcon 9's first ones, by webcasts, some
# 20 s after they went out.  The record tells of no missile that did so later in its climb, but says little of engines; had each of those
# above been seen not to, it would be once in 109 climbs of some 60 s.  Nothing is known of pieces, nor of what an engine has turned back,
# which goes more slowly across than missiles do.
SETTLED = 1.0 / 6540.0  # 1/s, that what climbs and has not burnt lately lights an engine, in all, *notional*
LATELY = 1e-9  # 1/s, the least rate of relighting of what burnt of late (`phases.relight`)
# Falcon 9's first stages brake at 57 to 34 km, by webcasts, and again as they land, below 5 km; the one that is told of down to the ground
# comes from 30 km down steeply, .3 to .6 times as fast across as down.  What flies flatter there is lit as seldom as if no drag were felt.
UPRIGHT = 30e3, 0.7  # m, below which an engine brakes what comes down steeply alone; speed across over that down, *notional*
_NEVER = 1e-8  # 1/s


@njit
def transition(h, climb, across, thrust, relight, dt, Pi):
    """Markov transition matrix over dt at altitude h (m), climb rate and speed ``across`` (m/s; inf of a piece); rows from, columns to.

    ``thrust``, less drag over mass (m/s^2), is what an engine has if one burns: what pushes hard soon goes out (`SPENT`), looking ahead.
    ``relight`` is the rate at which what does not burn lights a further stage, beside what these say, and 0 where nothing has burnt
    lately, which seldom burns again in its climb; returns its share in what goes from COAST to MANOEUVRE.
    """
    for i in range(N_MODEL):
        for j in range(N_MODEL):
            Pi[i, j] = 0.0
    falling, air, space = climb < 0.0, h < AIR, h >= SPACE
    again = (1.0 / 800.0 if falling else 1.0 / 400.0) if h < (AIR if falling else DRAG_CEILING) else _NEVER
    if not falling and relight == 0.0 and STEEP[1] <= across < math.inf:  # in each of two ways
        again = min(again, SETTLED / 2.0)
    restless = 1.0 / 800.0 if h < DRAG_CEILING else _NEVER
    apogee = h + climb * climb / (2.0 * G0)
    lofted = apogee >= LOB or (apogee >= STEEP[0] and STEEP[1] <= across < STEEP[2])
    steep = lofted and (air or apogee >= LOB)
    lobbed = falling and steep
    young = h < 15e3 and not falling  # what burns there has just been launched
    braking, lift = (1.0 / 50.0 if falling else again), (1.0 / 100.0 if air else 1.0 / 1000.0)
    spent = SPENT * smooth((thrust - HARD[0]) / (HARD[1] - HARD[0])) if dt > 0.0 and not young else 0.0
    if falling and h < UPRIGHT[0] and -UPRIGHT[1] * climb <= across < math.inf:
        braking = again
    if lofted:  # each of three ways: by lift, by either model of an engine
        lift = LOB_TURNS / 3.0
    if lobbed:
        braking, again = lift, min(again, lift)
    for engine in (0, 4):
        Pi[engine, 1] = 1.0 / 80.0 + spent if h > 60e3 else (1.0 / 2000.0 if young else 1.0 / 400.0)
        Pi[1, engine] = again
        Pi[2, engine] = again if engine == 4 or not air else braking
        Pi[3, engine] = again if engine == 4 else (lift if air else max(again, restless))
        if engine == 0:  # the next stage pushes otherwise than the last one did
            for fall in (1, 2, 3):
                Pi[fall, 0] += relight
    Pi[0, 4] = 1.0 / 10.0
    Pi[4, 0] = 1.0 / 20.0 if h < 12e3 else (1.0 / 60.0 if h < 70e3 else 1.0 / 600.0)
    Pi[0, 2] = 1.0 / (2000.0 if young else 60.0) if h < 110e3 else 1e-6
    Pi[4, 2] = 1.0 / (2000.0 if young else 200.0) if h < 110e3 else 1e-6
    if h <= 60e3:  # there drag is felt as soon as it is out
        Pi[0, 2] += spent
        Pi[4, 2] += spent
    if space or (lobbed and not air):
        Pi[0, 3], Pi[4, 3], Pi[1, 3], Pi[2, 3] = UNREST_AFTER[0] * Pi[0, 1], UNREST_AFTER[1] * Pi[4, 1], UNREST_BEGINS, UNREST_BEGINS
    else:
        Pi[0, 3], Pi[4, 3], Pi[1, 3], Pi[2, 3] = (0.05 if young else 1.0) * lift, (0.05 if young else 0.3) * lift, lift, lift
    braked = h < DRAG_CEILING and (falling or not space)  # where drag begins to tell, or still does
    Pi[1, 2] = BRAKED if lobbed and not space else (1.0 / 15.0 if braked else (1.0 / 500.0 if h < DRAG_CEILING else 1e-9))
    Pi[2, 1] = 1.0 / 400.0 if h < 90e3 or (falling and braked) else 1.0 / 15.0
    Pi[3, 1] = 1.0 / 400.0 if h < 90e3 else UNREST_BEGINS
    Pi[3, 2] = 1.0 / 100.0 if h < 90e3 else UNREST_BEGINS
    if falling and not air and not space and across < math.inf and climb * climb + across * across >= FAST * FAST:
        Pi[3, 2] = BRAKED
    for i in range(N_MODEL):
        out = 0.0
        for j in range(N_MODEL):
            out += Pi[i, j]
        leave = 1.0 - math.exp(-out * abs(dt))
        for j in range(N_MODEL):
            Pi[i, j] *= leave / out
        Pi[i, i] = 1.0 - leave
    return relight / (again + relight)
