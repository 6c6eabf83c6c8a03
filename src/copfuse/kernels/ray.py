"""A radar ray through the exponential atmosphere over a sphere, on plain floats.

With the central angle as the free variable the ray of a spherical atmosphere obeys
``dh/da = r tan e`` and ``de/da = 1 + (r / n) dn/dr`` (e the local elevation), which follows from Bouguer's law
``n r cos e = const`` (Born & Wolf, Principles of Optics, section 3.2) and has no singularity at the lowest point.
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_RADIUS, REFRACTIVITY, REFRACTIVITY_HEIGHT
from copfuse.kernels import borrowing

_TOP = 150e3  # m: above it n - 1 < 5e-13, the ray is straight
_STEEP = 1.55  # rad: above it bending is below 7 microradian
_GAUSS_X, _GAUSS_W = np.polynomial.legendre.leggauss(20)


@borrowing
def _slopes(h, e):
    """dh/da and de/da at altitude h m and elevation e rad."""
    bent = REFRACTIVITY * math.exp(-h / REFRACTIVITY_HEIGHT)
    r = EARTH_RADIUS + h
    return r * math.tan(e), 1.0 - r * bent / (REFRACTIVITY_HEIGHT * (1.0 + bent))


@borrowing
def _runge_kutta(h, e, a):
    """One classical Runge-Kutta step over the central angle a."""
    h1, e1 = _slopes(h, e)
    h2, e2 = _slopes(h + 0.5 * a * h1, e + 0.5 * a * e1)
    h3, e3 = _slopes(h + 0.5 * a * h2, e + 0.5 * a * e2)
    h4, e4 = _slopes(h + a * h3, e + a * e3)
    return h + a * (h1 + 2.0 * (h2 + h3) + h4) / 6.0, e + a * (e1 + 2.0 * (e2 + e3) + e4) / 6.0


@borrowing
def advance(h, e, angle):
    """Altitude m and elevation rad of the ray (h, e) after a central angle (rad).

    Altitude is inf where the ray never gets that far round, and below zero once it has met the Earth.
    """
    done = 0.0
    while done < angle:
        if h > _TOP or abs(e) > _STEEP:
            if e + angle - done >= 0.5 * math.pi:
                return math.inf, e
            r = (EARTH_RADIUS + h) * math.cos(e) / math.cos(e + angle - done)
            return r - EARTH_RADIUS, e + angle - done
        if h < 0.0:
            return h, e
        climb = (1000.0 + 0.1 * h) / ((EARTH_RADIUS + h) * (abs(math.tan(e)) + 1e-9))
        a = min(0.003, climb, angle - done)
        h, e = _runge_kutta(h, e, a)
        done += a
    return h, e


@borrowing
def grazing_angle(height):
    """Central angle (rad) between an antenna at ``height`` m and the point where its ray grazes sea level.

    Bouguer's integral of ``C dr / (r sqrt(n^2 r^2 - C^2))`` with the height as a square, which takes the root's
    singularity away, by Gauss-Legendre quadrature.
    """
    if height < 1e-6:  # 4 m away, and squares of less would vanish
        return 0.0
    c = (1.0 + REFRACTIVITY) * EARTH_RADIUS
    top = math.sqrt(height)
    total = 0.0
    for i in range(_GAUSS_X.size):
        u = 0.5 * top * (1.0 + _GAUSS_X[i])
        h = u * u
        bent = REFRACTIVITY * math.exp(-h / REFRACTIVITY_HEIGHT)
        # n r - C without cancellation
        excess = h * (1.0 + bent) + EARTH_RADIUS * REFRACTIVITY * math.expm1(-h / REFRACTIVITY_HEIGHT)
        r = EARTH_RADIUS + h
        total += _GAUSS_W[i] * c * u / (r * math.sqrt(excess * ((1.0 + bent) * r + c)))
    return total * top


@borrowing
def lowest_visible(height, angle, elevation):
    """Lowest visible altitude m at a central angle (rad); elevation nan: the ray that grazes the sea-level Earth."""
    beyond = angle - grazing_angle(height)
    low = max(advance(0.0, 0.0, beyond)[0], 0.0) if beyond > 0.0 else 0.0
    if math.isnan(elevation):
        return low
    return max(advance(height, elevation, angle)[0], low)


@borrowing
def lowest_visible_rows(height, angle, elevation, out):
    """`lowest_visible` for flat arrays of one length."""
    for i in range(out.size):
        out[i] = lowest_visible(height[i], angle[i], elevation[i])


@borrowing
def lowest_visible_table(height, elevation, step, out):
    """`lowest_visible` at central angles 0, step, 2 step, ... by going once along the two rays."""
    to_graze = grazing_angle(height)
    aimed = not math.isnan(elevation)
    h, e = height, elevation
    g, f = 0.0, 0.0
    for i in range(out.size):
        angle = i * step
        if angle > to_graze:
            g, f = advance(g, f, min(step, angle - to_graze))
        if aimed and i > 0 and h >= 0.0 and h < math.inf:
            h, e = advance(h, e, step)
        out[i] = max(g, h, 0.0) if aimed else max(g, 0.0)
