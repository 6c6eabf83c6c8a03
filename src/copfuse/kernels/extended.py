"""The extended Kalman filter for n tracks: predict and update in one fused call, as scalar loops.

Free fall (6 components: J2 field, rotating Earth) or re-entry in calm air (7: natural logarithm of the ballistic coefficient), as in
`kernels.motions`.  The transition matrix is the exact derivative of the Runge-Kutta step that moves the mean: the step is
differentiated stage by stage (internal differentiation; Hairer, Norsett & Wanner, Solving ODEs I, 2nd ed., section II.6),
with gravity gradient, Coriolis and drag terms in closed form.  A plot's components are independent, so they update one after
another on the line through the predicted mean, which equals the joint update (Bar-Shalom, Li & Kirubarajan, 2001, section
7.4.3); each in Joseph's form.
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_A, EARTH_B, EARTH_E2, EARTH_OMEGA, J2, MU
from copfuse.kernels import borrowing, njit
from copfuse.kernels.earth import _GMR, _H, _L, _RADIUS, _T, _UP_H, _UP_LOG, DEEPEST, air, altitude
from copfuse.kernels.mach import drag_slope
from copfuse.kernels.motions import COAST_ACCELERATION, REENTRY, _velocity_noise, add_process_noise, drag
from copfuse.kernels.pull import DRAG_MOST

# Where work arrays begin in w, behind F: matrices of 7 rows, 8 apart, and vectors of 8, so that loops over columns become vectors
_P, _M, _A, _B, _K, _DX = 56, 112, 168, 176, 184, 192
_WORK = 200
_NEAREST = 1e-3  # m, a target on top of the sensor is taken as that far away
_ROUNDING = 4e-15  # share of the variances that went into a sum which its rounding can have lost, given back to the diagonal
_ZENITH = 1e-6  # horizontal over slant range below which a plot's azimuth says nothing


@borrowing
def free_fall(s, m, k, G):
    """Acceleration k[m, 3:6] of free fall at state s in the rotating frame and its derivatives G[m] (3, 3) by position.

    Those by velocity are constant (Coriolis) and not written.
    """
    x, y, z = s[0], s[1], s[2]
    r2 = max(x * x + y * y + z * z, DEEPEST * DEEPEST)
    g = -MU / (r2 * math.sqrt(r2))
    j = 1.5 * J2 * EARTH_A * EARTH_A / r2
    q = 5.0 * z * z / r2
    spin = EARTH_OMEGA * EARTH_OMEGA
    level = g * (1.0 + j * (1.0 - q))
    polar = g * (1.0 + j * (3.0 - q))
    k[m, 3] = level * x + spin * x + 2.0 * EARTH_OMEGA * s[4]
    k[m, 4] = level * y + spin * y - 2.0 * EARTH_OMEGA * s[3]
    k[m, 5] = polar * z
    d_level = g / r2 * (-3.0 - j * (5.0 - 7.0 * q))
    d_polar = g / r2 * (-3.0 - j * (15.0 - 7.0 * q))
    G[m, 0, 0] = level + spin + x * x * d_level
    G[m, 1, 1] = level + spin + y * y * d_level
    G[m, 2, 2] = polar + z * z * (d_polar - 10.0 * g * j / r2)
    G[m, 0, 1] = x * y * d_level
    G[m, 1, 0] = G[m, 0, 1]
    G[m, 0, 2] = x * z * d_polar
    G[m, 2, 0] = G[m, 0, 2]
    G[m, 1, 2] = y * z * d_polar
    G[m, 2, 1] = G[m, 1, 2]


@borrowing
def thinning(h):
    """Derivatives of the logarithms of the US76 density and speed of sound by geometric height h (m), 1/m."""
    i = 0
    if h >= 86e3:
        if h >= _UP_H[-1]:
            return 0.0, 0.0
        while h >= _UP_H[i + 1]:
            i += 1
        return (_UP_LOG[i + 1] - _UP_LOG[i]) / (_UP_H[i + 1] - _UP_H[i]), 0.0
    scale = _RADIUS / (_RADIUS + h)
    geo = scale * h
    while i < 6 and geo >= _H[i + 1]:
        i += 1
    over = scale * scale / (_T[i] + _L[i] * (geo - _H[i]))
    return -(_GMR + _L[i]) * over, 0.5 * _L[i] * over


@borrowing
def add_drag(s, m, k, G):
    """Add the drag at state s (7) to the acceleration k[m, 3:6] and its derivatives G[m] (3, 7), by velocity that of drag alone."""
    for i in range(3):
        for j in range(3, 7):
            G[m, i, j] = 0.0
    by = drag(s)
    if by <= 0.0:
        return
    h = altitude(s[0], s[1], s[2])
    v = math.sqrt(s[3] * s[3] + s[4] * s[4] + s[5] * s[5])
    # the vertical: the ellipsoid's normal, its parallel's radius of curvature taken at a latitude right to 1e-4
    p2 = s[0] * s[0] + s[1] * s[1]
    up_z = s[2] * (EARTH_A / EARTH_B) ** 2
    n = EARTH_A / math.sqrt(1.0 - EARTH_E2 * up_z * up_z / (p2 + up_z * up_z))
    up_z = s[2] * (n + h) / (n * (1.0 - EARTH_E2) + h)
    along = 1.0 / math.sqrt(p2 + up_z * up_z)
    _, sound = air(max(h, 0.0))
    steep = drag_slope(v / sound)
    thin, cool = thinning(h)
    k_h = by * (thin - steep * cool) if h > 0.0 else 0.0  # under the ground the model's air is that of the ground
    k_v = by / v * (1.0 + steep)
    k_b = -by
    if by >= DRAG_MOST / (v + 1.0):  # the model's limit on drag
        k_h, k_v, k_b = 0.0, -by / (v + 1.0), 0.0
    for i in range(3):
        u = s[3 + i]
        k[m, 3 + i] -= by * u
        G[m, i, 0] -= k_h * u * s[0] * along
        G[m, i, 1] -= k_h * u * s[1] * along
        G[m, i, 2] -= k_h * u * up_z * along
        for j in range(3):
            G[m, i, 3 + j] = -u * k_v * s[3 + j] / v
        G[m, i, 3 + i] -= by
        G[m, i, 6] = -u * k_b


@borrowing(forceinline=True)
def bend(xx, xy, xz, yy, yz, zz, p0, p1, p2, q0, q1):
    """The free-fall acceleration's change at stage m by a change p of position, q of velocity."""
    a0 = xx * p0 + xy * p1 + xz * p2 + 2.0 * EARTH_OMEGA * q1
    a1 = xy * p0 + yy * p1 + yz * p2 - 2.0 * EARTH_OMEGA * q0
    a2 = xz * p0 + yz * p1 + zz * p2
    return a0, a1, a2


@borrowing(finished=True)
def fall(G, h, w):
    """F's columns, side by side, through one Runge-Kutta step of h seconds of free fall, given G (4, 3, 7) at its stages."""
    half, sixth = 0.5 * h, h / 6.0
    ixx, ixy, ixz, iyy, iyz, izz = G[0, 0, 0], G[0, 0, 1], G[0, 0, 2], G[0, 1, 1], G[0, 1, 2], G[0, 2, 2]
    jxx, jxy, jxz, jyy, jyz, jzz = G[1, 0, 0], G[1, 0, 1], G[1, 0, 2], G[1, 1, 1], G[1, 1, 2], G[1, 2, 2]
    kxx, kxy, kxz, kyy, kyz, kzz = G[2, 0, 0], G[2, 0, 1], G[2, 0, 2], G[2, 1, 1], G[2, 1, 2], G[2, 2, 2]
    lxx, lxy, lxz, lyy, lyz, lzz = G[3, 0, 0], G[3, 0, 1], G[3, 0, 2], G[3, 1, 1], G[3, 1, 2], G[3, 2, 2]
    for c in range(8):
        p0, p1, p2, q0, q1, q2 = w[c], w[8 + c], w[16 + c], w[24 + c], w[32 + c], w[40 + c]
        a0, a1, a2 = bend(ixx, ixy, ixz, iyy, iyz, izz, p0, p1, p2, q0, q1)
        u0, u1, u2 = q0 + half * a0, q1 + half * a1, q2 + half * a2
        b0, b1, b2 = bend(jxx, jxy, jxz, jyy, jyz, jzz, p0 + half * q0, p1 + half * q1, p2 + half * q2, u0, u1)
        v0, v1, v2 = q0 + half * b0, q1 + half * b1, q2 + half * b2
        c0, c1, c2 = bend(kxx, kxy, kxz, kyy, kyz, kzz, p0 + half * u0, p1 + half * u1, p2 + half * u2, v0, v1)
        z0, z1, z2 = q0 + h * c0, q1 + h * c1, q2 + h * c2
        d0, d1, d2 = bend(lxx, lxy, lxz, lyy, lyz, lzz, p0 + h * v0, p1 + h * v1, p2 + h * v2, z0, z1)
        w[c] = p0 + sixth * (q0 + 2.0 * (u0 + v0) + z0)
        w[8 + c] = p1 + sixth * (q1 + 2.0 * (u1 + v1) + z1)
        w[16 + c] = p2 + sixth * (q2 + 2.0 * (u2 + v2) + z2)
        w[24 + c] = q0 + sixth * (a0 + 2.0 * (b0 + c0) + d0)
        w[32 + c] = q1 + sixth * (a1 + 2.0 * (b1 + c1) + d1)
        w[40 + c] = q2 + sixth * (a2 + 2.0 * (b2 + c2) + d2)


@borrowing
def fall_in_air(G, h, w, k, y):
    """As `fall`, with drag: the full derivatives G, and a seventh component that stays as it is.  k (4, 7), y (7) are work arrays."""
    for c in range(7):
        for i in range(7):
            y[i] = w[8 * i + c]
        for m in range(4):
            for i in range(3):
                k[m, i] = y[3 + i]
                t = G[m, i, 6] * y[6]
                for j in range(6):
                    t += G[m, i, j] * y[j]
                k[m, 3 + i] = t
            k[m, 3] += 2.0 * EARTH_OMEGA * y[4]
            k[m, 4] -= 2.0 * EARTH_OMEGA * y[3]
            far = h if m == 2 else 0.5 * h
            for i in range(6):
                y[i] = w[8 * i + c] + far * k[m, i]
        for i in range(6):
            w[8 * i + c] += h / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])


@borrowing
def move(model, d, s, dt, w, G, k, y):
    """Advance s (d) by dt seconds with the classical Runge-Kutta rule; F, the head of w, becomes the derivative of that map.

    Steps are those of `motions.propagate`.  G (4, 3, 7), k (4, 7), y (7) are work arrays.
    """
    dragged = model == REENTRY
    for i in range(56):
        w[i] = 0.0
    for i in range(7):
        w[9 * i] = 1.0
    steps = int(math.ceil(abs(dt) / (1.0 if dragged and altitude(s[0], s[1], s[2]) < 120e3 else 10.0)))
    for _ in range(steps):
        h = dt / steps
        for i in range(d):
            y[i] = s[i]
        for m in range(4):
            free_fall(y, m, k, G)
            if dragged:
                add_drag(y, m, k, G)
            far = h if m == 2 else 0.5 * h
            for i in range(3):
                k[m, i] = y[3 + i]
            for i in range(6):
                y[i] = s[i] + far * k[m, i]
        for i in range(6):
            s[i] += h / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])
        if dragged:
            fall_in_air(G, h, w, k, y)
        else:
            fall(G, h, w)


@borrowing(finished=True)
def carry(d, w):
    """P in w becomes F P F', with F the head of w."""
    for i in range(d):  # what rounding can lose
        lost = 0.0
        for j in range(d):
            lost += w[8 * i + j] * w[8 * i + j] * w[_P + 9 * j]
        w[_A + i] = _ROUNDING * lost
    for i in range(d):  # F P
        f0, f1, f2, f3, f4, f5, f6 = w[8 * i], w[8 * i + 1], w[8 * i + 2], w[8 * i + 3], w[8 * i + 4], w[8 * i + 5], w[8 * i + 6]
        for j in range(7):
            t = f0 * w[_P + j] + f1 * w[_P + 8 + j] + f2 * w[_P + 16 + j]
            t += f3 * w[_P + 24 + j] + f4 * w[_P + 32 + j] + f5 * w[_P + 40 + j]
            w[_M + 8 * i + j] = t + f6 * w[_P + 48 + j]
    for i in range(d):
        m = _M + 8 * i
        m0, m1, m2, m3, m4, m5, m6 = w[m], w[m + 1], w[m + 2], w[m + 3], w[m + 4], w[m + 5], w[m + 6]
        for j in range(i + 1):
            f = 8 * j
            t = m0 * w[f] + m1 * w[f + 1] + m2 * w[f + 2] + m3 * w[f + 3] + m4 * w[f + 4] + m5 * w[f + 5] + m6 * w[f + 6]
            w[_P + 8 * i + j] = t
            w[_P + 8 * j + i] = t
        w[_P + 9 * i] += w[_A + i]


@borrowing(finished=True)
def look(s, origin, axes, z, H):
    """z (4) = range, azimuth, elevation, range rate of state s from origin in axes, and the derivatives H (4, 6).

    Returns whether the azimuth can be told: not where s stands at the zenith.
    """
    d0, d1, d2 = s[0] - origin[0], s[1] - origin[1], s[2] - origin[2]
    e = axes[0, 0] * d0 + axes[0, 1] * d1 + axes[0, 2] * d2
    n = axes[1, 0] * d0 + axes[1, 1] * d1 + axes[1, 2] * d2
    u = axes[2, 0] * d0 + axes[2, 1] * d1 + axes[2, 2] * d2
    level2 = e * e + n * n
    level = math.sqrt(level2)
    r = max(math.sqrt(level2 + u * u), _NEAREST)
    H[0, 0], H[0, 1], H[0, 2] = d0 / r, d1 / r, d2 / r
    rate = H[0, 0] * s[3] + H[0, 1] * s[4] + H[0, 2] * s[5]
    z[0] = r
    z[1] = math.atan2(e, n)
    z[2] = math.atan2(u, level)
    z[3] = rate
    flat = max(level, _ZENITH * r)
    for i in range(3):
        H[1, i] = (n * axes[0, i] - e * axes[1, i]) / (flat * flat)
        H[2, i] = (axes[2, i] - u / r * H[0, i]) / flat
        H[3, i] = (s[3 + i] - rate * H[0, i]) / r
        H[3, 3 + i] = H[0, i]
    return level > _ZENITH * r


@borrowing(finished=True)
def absorb(H, c, variance, nu, w):
    """One scalar measurement with derivatives H[c] into the change dx of the mean and P, both in w, by Joseph's form.

    ``nu`` is its innovation at the predicted mean; returns its variance and what is left of it on the line through dx.
    """
    h0, h1, h2, h3, h4, h5 = H[c, 0], H[c, 1], H[c, 2], 0.0, 0.0, 0.0
    moving = c == 3  # range rate alone has to do with velocity
    blur = h0 * h0 * w[_P] + h1 * h1 * w[_P + 9] + h2 * h2 * w[_P + 18]
    for j in range(7):  # a = P h
        w[_A + j] = h0 * w[_P + j] + h1 * w[_P + 8 + j] + h2 * w[_P + 16 + j]
    if moving:
        h3, h4, h5 = H[c, 3], H[c, 4], H[c, 5]
        blur += h3 * h3 * w[_P + 27] + h4 * h4 * w[_P + 36] + h5 * h5 * w[_P + 45]
        for j in range(7):
            w[_A + j] += h3 * w[_P + 24 + j] + h4 * w[_P + 32 + j] + h5 * w[_P + 40 + j]
    a0, a1, a2, a3, a4, a5 = w[_A], w[_A + 1], w[_A + 2], w[_A + 3], w[_A + 4], w[_A + 5]
    variance += 4.0 * _ROUNDING * blur  # no plot is sharper than the rounding of what it is compared with
    s = variance + h0 * a0 + h1 * a1 + h2 * a2
    nu -= h0 * w[_DX] + h1 * w[_DX + 1] + h2 * w[_DX + 2]
    if moving:
        s += h3 * a3 + h4 * a4 + h5 * a5
        nu -= h3 * w[_DX + 3] + h4 * w[_DX + 4] + h5 * w[_DX + 5]
    over = 1.0 / s
    lift = _ROUNDING * (1.0 + math.sqrt(blur * over))  # what rounding can do to T a', where a is a difference of large numbers
    for j in range(7):  # T = (I - K h') P and b = variance K - T h, which but for rounding is zero
        k = w[_A + j] * over
        t = h0 * (w[_P + j] - k * a0) + h1 * (w[_P + 8 + j] - k * a1) + h2 * (w[_P + 16 + j] - k * a2)
        if moving:
            t += h3 * (w[_P + 24 + j] - k * a3) + h4 * (w[_P + 32 + j] - k * a4) + h5 * (w[_P + 40 + j] - k * a5)
        w[_B + j] = 0.5 * (variance * k - t)
        w[_K + j] = k
        w[_DX + j] += k * nu
    for i in range(7):  # T (I - K h')' + K variance K' = T + b K', halves of which and of its transpose are added
        p, a, k, b = _P + 8 * i, w[_A + i], w[_K + i], w[_B + i]
        before = w[p + i]
        for j in range(7):
            w[p + j] += (b * w[_K + j] + k * w[_B + j]) - over * (a * w[_A + j])
        w[p + i] = before + ((b * k + k * b) - over * (a * a)) + lift * before  # a plot far sharper than it leaves but rounding
    return s, nu


@borrowing(forceinline=True)
def one(model, d, x, P, dt, z, sigma, origin, axes, noise, w, G, k, H, y, seen):
    """Predict mean x (d) and covariance P (7, 8) by dt and update them with one plot, in place.

    P is the part of w from `_P` on.  w (`_WORK`), G (4, 3, 7), k (4, 7), H (4, 6), y (7), seen (4) are work arrays.
    Returns log likelihood and squared distance.
    """
    if dt != 0.0:
        move(model, d, x, dt, w, G, k, y)
        carry(d, w)
        if model == REENTRY:
            add_process_noise(model, x, P, dt, noise)
        else:
            _velocity_noise(P, noise[COAST_ACCELERATION], abs(dt))
    known = look(x, origin, axes, seen, H)
    for i in range(8):
        w[_DX + i] = 0.0
    loglik, d2 = 0.0, 0.0
    for c in range(4):
        if math.isnan(z[c]) or math.isnan(sigma[c]) or (c == 1 and not known):
            continue
        nu = z[c] - seen[c]
        if c == 1 or c == 2:
            nu -= 2.0 * math.pi * math.floor((nu + math.pi) / (2.0 * math.pi))
        s, nu = absorb(H, c, sigma[c] * sigma[c], nu, w)
        d2 += nu * nu / s
        loglik -= 0.5 * (nu * nu / s + math.log(2.0 * math.pi * s))
    for i in range(d):
        x[i] += w[_DX + i]
    return loglik, d2


@borrowing
def usable(d, x, w, dt, z, sigma):
    """Whether mean, covariance (in w) and time are finite, variances above zero, and the plot's standard deviations too or NaN."""
    total = dt
    for i in range(d):
        row = x[i]
        if not w[_P + 9 * i] > 0.0:
            return False
        for j in range(7):
            row += w[_P + 8 * i + j]
        total += row
    for c in range(4):
        if sigma[c] <= 0.0 or math.isinf(sigma[c]) or math.isinf(z[c]):
            return False
    return math.isfinite(total)


@borrowing
def _plots(model, x, P, dt, z, sigma, origin, axes, noise, xs, Ps, loglik, d2, w, inner, G, k, H, y, seen):
    """`step` in work arrays."""
    d, alone = x.shape[1], len(x) == 1
    for t in range(len(dt)):
        own, seat = 0 if alone else t, 0 if len(origin) == 1 else t
        if t == 0 or not alone:
            for i in range(d):
                for j in range(d):
                    inner[i, j] = P[t, i, j]
        s = x[own]
        if not usable(d, s, w, dt[t], z[t], sigma[t]):
            return t
        loglik[t], d2[t] = one(model, d, s, inner, dt[t], z[t], sigma[t], origin[seat], axes[seat], noise, w, G, k, H, y, seen)
        for i in range(d):
            xs[t, i] = s[i]
            for j in range(d):
                Ps[t, i, j] = inner[i, j]
    return -1


@njit
def step(model, x, P, dt, z, sigma, origin, axes, noise, xs, Ps, loglik, d2):
    """Predict by dt (T,) and update with T plots: T tracks x (T, d), P (T, d, d) with one each, or one track (1, ...) with all of them.

    Plots are of one sensor, origin (1, 3), axes (1, 3, 3), or of one each.  The estimates after each plot go to xs (T, d) and
    Ps (T, d, d), which may be x and P themselves where T tracks have one plot each; x is advanced in place in any case.
    Returns the first plot which, or before which the track, is not `usable`, where it stops; -1 where all are.
    """
    w, G, square, vector = np.zeros(_WORK), np.zeros((4, 3, 7)), np.zeros((2, 4, 7)), np.zeros((2, 7))
    k, H, y, seen = square[0], square[1], vector[0], vector[1]
    inner = w[_P:_M].reshape(7, 8)
    return _plots(model, x, P, dt, z, sigma, origin, axes, noise, xs, Ps, loglik, d2, w, inner, G, k, H, y, seen)
