"""What a sensor sees of a state, how that depends on the state, and what a plot tells of it: one model of the filter at a time.

A mean and covariance are linked to what is measured by statistical linear regression on the cubature points of `estimation`.  A
measurement is of position and velocity alone, so that of n pairs of points six are looked at, side by side; the others are seen as
the mean is.
"""

from __future__ import annotations

import math

from copfuse.kernels import borrowing
from copfuse.kernels.eights import eight, larger, nought, put, run, size, whole
from copfuse.kernels.eights import root as root_of
from copfuse.kernels.motions import N_MODEL
from copfuse.kernels.small import blend, cholesky, columns, firm_up, hand, solve_lower, squares

_NEAREST = 1e-3  # m, a target on top of the sensor is taken as that far away, so that it has a direction
# A regression of a model, ``seen (ROWS, 9)``, and places in it: the columns of the covariance's root L (n, n), slopes (4, 6), the
# covariance of what is measured (4, 4), the curvature (4, 7), the mean of what is measured (4)
ROOT, SLOPES, SPREAD, BENT, MEAN = 0, 9, 13, 17, 21
ROWS = 22
_MOVED = 6  # components that a measurement looks at
_LANES = 16  # of six points on the one side of the mean, and from the eighth on six on the other; the others are as the mean is
# Places in the scratch ``w (WORK,)``: points less the mean, what is seen of them less what is seen of the mean, the tangents' parts
_X, _D, _TOP, _BOTTOM = 0, 6 * _LANES, 10 * _LANES, 12 * _LANES
WORK = 14 * _LANES
# Places in the scratch ``rows (SCRATCH, 9)``, behind the columns whose squares make a covariance
_WEIGHT, _GAIN, _S, _L4, _NU = 20, 26, 30, 34, 38
SCRATCH = 39
# Places in the scratch ``side (SIDE, 9)``, whose first `N_MODEL` columns are the models': root of a plot's covariance (4, 4), what the
# plot is off by, that in units of the root, its square, and the root's determinant
_ROOT_OF, _OFF, _WHITE, APART, DETERMINANT = 0, 16, 20, 24, 25
SIDE = 26
_LEAST = 1e-300  # of a root's determinant whose logarithm is taken
_NARROW = 0.1  # tangent of an angle up to which its series is summed up


@borrowing(finished=True)
def measure(s, origin, axes, cosines, z):
    """z = range m, azimuth rad (-pi, pi], elevation rad, range rate m/s of state s seen from origin in axes.

    With ``cosines`` not 0 the direction cosines u, v along the first and third axis stand in the angles' places.
    """
    dx, dy, dz = s[0] - origin[0], s[1] - origin[1], s[2] - origin[2]
    e = axes[0, 0] * dx + axes[0, 1] * dy + axes[0, 2] * dz
    n = axes[1, 0] * dx + axes[1, 1] * dy + axes[1, 2] * dz
    u = axes[2, 0] * dx + axes[2, 1] * dy + axes[2, 2] * dz
    r = max(math.sqrt(e * e + n * n + u * u), _NEAREST)
    z[0] = r
    if cosines != 0:
        z[1] = e / r
        z[2] = u / r
    else:
        z[1] = math.atan2(e, n)
        z[2] = math.atan2(u, math.sqrt(e * e + n * n))
    z[3] = (dx * s[3] + dy * s[4] + dz * s[5]) / r


@borrowing(finished=True)
def wrap(angle):
    """The same angle in [-pi, pi)."""
    return angle - 2.0 * math.pi * math.floor((angle + math.pi) / (2.0 * math.pi))


@borrowing
def _look(x, origin, axes, cosines, z, w):
    """What is seen of the points in ``w`` less what is seen of the mean x, ``z (4,)``; of angles the tangent's two parts."""
    x0, y0, z0, vx, vy, vz = x[0] - origin[0], x[1] - origin[1], x[2] - origin[2], x[3], x[4], x[5]
    a0, a1, a2, b0, b1, b2 = axes[0, 0], axes[0, 1], axes[0, 2], axes[1, 0], axes[1, 1], axes[1, 2]
    c0, c1, c2, first, slow = axes[2, 0], axes[2, 1], axes[2, 2], z[0], z[3]
    e0, n0, u0 = a0 * x0 + a1 * y0 + a2 * z0, b0 * x0 + b1 * y0 + b2 * z0, c0 * x0 + c1 * y0 + c2 * z0
    p0 = math.sqrt(e0 * e0 + n0 * n0)
    z1, z2 = z[1], z[2]
    for i in range(_LANES):
        px, py, pz = x0 + w[_X + i], y0 + w[_X + _LANES + i], z0 + w[_X + 2 * _LANES + i]
        e, n, u = a0 * px + a1 * py + a2 * pz, b0 * px + b1 * py + b2 * pz, c0 * px + c1 * py + c2 * pz
        p = math.sqrt(e * e + n * n)
        r = max(math.sqrt(e * e + n * n + u * u), _NEAREST)
        along = px * (vx + w[_X + 3 * _LANES + i]) + py * (vy + w[_X + 4 * _LANES + i]) + pz * (vz + w[_X + 5 * _LANES + i])
        w[_D + i] = r - first
        w[_D + _LANES + i] = e / r - z1
        w[_D + 2 * _LANES + i] = u / r - z2
        w[_D + 3 * _LANES + i] = along / r - slow
        w[_TOP + i] = e * n0 - n * e0
        w[_BOTTOM + i] = n * n0 + e * e0
        w[_TOP + _LANES + i] = u * p0 - p * u0
        w[_BOTTOM + _LANES + i] = p * p0 + u * u0
    if cosines == 0:
        _angles(w)


@borrowing
def _angles(w):
    """Azimuths and elevations less the mean's, by their tangents."""
    narrow = 0
    for i in range(2 * _LANES):
        narrow += 1 if abs(w[_TOP + i]) < _NARROW * w[_BOTTOM + i] else 0
    if narrow == 2 * _LANES:
        for i in range(2 * _LANES):
            t = w[_TOP + i] / w[_BOTTOM + i]
            q = t * t
            q = q * (1.0 / 3 - q * (1.0 / 5 - q * (1.0 / 7 - q * (1.0 / 9 - q * (1.0 / 11 - q * (1.0 / 13 - q / 15))))))
            w[_D + _LANES + i] = t - t * q
    else:
        for i in range(2 * _LANES):
            w[_D + _LANES + i] = math.atan2(w[_TOP + i], w[_BOTTOM + i])


@borrowing
def regress(n, x, P, origin, axes, cosines, seen, w):
    """Statistical linear regression of the measurement on the state into ``seen (ROWS, 9)``, whose places are above; ``w`` is scratch."""
    columns(P, n, seen[ROOT:SLOPES], seen[MEAN])
    regress_rooted(n, x, origin, axes, cosines, seen, w)


@borrowing(finished=True)
def regress_rooted(n, x, origin, axes, cosines, seen, w):
    """`regress` where the covariance's root is in ``seen`` already.

    With L the covariance's root ``z - mean = slopes L^-1 (x - mean of x) + e``, where slopes are 0 on what is not position or velocity.
    Of two points across the mean the half difference makes the slope, the half sum what no line explains: ``cov e = bent bent'`` is
    a sum of squares, however small beside the covariance of z, which is ``spread`` without noise.  Of n columns of ``bent`` those that
    nothing moves are alike and stand together in the last.
    """
    root, slopes, Z, bent, mean = run(seen, ROOT, 9), run(seen, SLOPES, 4), run(seen, SPREAD, 4), run(seen, BENT, 4), seen[MEAN]
    measure(x, origin, axes, cosines, mean)
    spread = math.sqrt(n)
    for j in range(_MOVED):
        for c in range(_MOVED):
            away = spread * root[j, c]
            w[_X + c * _LANES + j] = away
            w[_X + c * _LANES + _LANES // 2 + j] = -away
    _look(x, origin, axes, cosines, mean, w)
    share = 1.0 / spread
    for c in range(4):
        total = 0.0
        for j in range(_MOVED):
            one, other = w[_D + c * _LANES + j], w[_D + c * _LANES + _LANES // 2 + j]
            slopes[c, j] = 0.5 * share * (one - other)
            bent[c, j] = 0.5 * (one + other)
            total += bent[c, j]
        total /= n
        for j in range(_MOVED):
            bent[c, j] = share * (bent[c, j] - total)
        bent[c, _MOVED] = -share * math.sqrt(n - _MOVED) * total
        mean[c] += total
    for c in range(4):
        for d in range(c + 1):
            t = bent[c, _MOVED] * bent[d, _MOVED]
            for j in range(_MOVED):
                t += slopes[c, j] * slopes[d, j] + bent[c, j] * bent[d, j]
            Z[c, d] = t
            Z[d, c] = t


@borrowing
def present(z, sigma, have):
    """Which components a plot has, into ``have (4,)``; returns how many those are."""
    m = 0
    for c in range(4):
        if not (math.isnan(z[c]) or math.isnan(sigma[c])):
            have[m] = c
            m += 1
    return m


@borrowing
def innovation(z, sigma, z_mean, Z, have, nu, S):
    """Innovation nu and covariance S over the components that the plot has; returns how many those are."""
    m = present(z, sigma, have)
    for a in range(m):
        c = have[a]
        d = z[c] - z_mean[c]
        nu[a] = wrap(d) if (c == 1 or c == 2) else d
        for b in range(m):
            S[a, b] = Z[c, have[b]]
        S[a, a] += sigma[c] * sigma[c]
    return m


@borrowing(finished=True)
def distances(z, sigma, seen, have, side):
    """`innovation`, `small.cholesky` of its covariance and the squared distance for all models side by side, into ``side (SIDE, 9)``.

    ``seen (N_MODEL, ROWS, 9)`` are their regressions; of a model that has none its numbers mean nothing.  Returns how many components
    the plot has.
    """
    m, q, det = present(z, sigma, have), nought(), nought() + 1.0
    for a in range(m):
        c = have[a]
        for j in range(N_MODEL):
            side[_OFF + a, j] = seen[j, MEAN, c]
            for b in range(a + 1):
                side[_ROOT_OF + 4 * a + b, j] = seen[j, SPREAD + c, have[b]]
        off = z[c] - eight(side[_OFF + a])
        put(off - 2.0 * math.pi * whole((off + math.pi) / (2.0 * math.pi)) if c == 1 or c == 2 else off, side[_OFF + a])
    for i in range(m):
        white, noise = eight(side[_OFF + i]), sigma[have[i]] * sigma[have[i]]
        for j in range(i):
            t = eight(side[_ROOT_OF + 4 * i + j])
            for k in range(j):
                t = t - eight(side[_ROOT_OF + 4 * i + k]) * eight(side[_ROOT_OF + 4 * j + k])
            t = t / eight(side[_ROOT_OF + 5 * j])
            put(t, side[_ROOT_OF + 4 * i + j])
            white = white - t * eight(side[_WHITE + j])
        own = eight(side[_ROOT_OF + 5 * i]) + noise
        left = own
        for k in range(i):
            t = eight(side[_ROOT_OF + 4 * i + k])
            left = left - t * t
        pivot = root_of(larger(left, 1e-14 * size(own) + 1e-300))
        put(pivot, side[_ROOT_OF + 5 * i])
        det = det * pivot
        white = white / pivot
        put(white, side[_WHITE + i])
        q = q + white * white
    put(q, side[APART])
    put(larger(det, _LEAST), side[DETERMINANT])
    return m


@borrowing(forceinline=True)
def _less(weight, row, other):
    """Take ``weight`` times a row of 9 from another."""
    put(eight(other) - weight * eight(row), other)
    other[8] -= weight * row[8]


@borrowing(forceinline=True)
def _scaled(weight, row):
    put(weight * eight(row), row)
    row[8] *= weight


@borrowing
def revise(n, x, P, z, sigma, seen, rows, have):
    """Update one model, of which ``seen`` is the regression, with one plot in place; returns the logarithm of the plot's density.

    ``rows (SCRATCH, 9)`` and ``have (4,)`` are scratch.
    """
    S, l4, nu = rows[_S:_L4], rows[_L4:_NU], rows[_NU]
    m = innovation(z, sigma, seen[MEAN], seen[SPREAD:BENT], have, nu, S)
    cholesky(S, m, l4)
    _corrected(n, x, P, m, sigma, seen, rows, have)
    solve_lower(l4, m, nu)
    q, det = 0.0, 1.0
    for a in range(m):
        q += nu[a] * nu[a]
        det *= l4[a, a]
    return -0.5 * (q + m * math.log(2.0 * math.pi)) - math.log(max(det, _LEAST))


@borrowing
def revise_measured(n, j, x, P, m, sigma, seen, side, rows, have):
    """`revise` of model j with a plot of m components, of which `distances` has been asked: what it has left is in ``side``."""
    for a in range(m):
        rows[_NU, a] = side[_OFF + a, j]
        for b in range(a + 1):
            rows[_L4 + a, b] = side[_ROOT_OF + 4 * a + b, j]
    _corrected(n, x, P, m, sigma, seen, rows, have)
    return -0.5 * (side[APART, j] + m * math.log(2.0 * math.pi)) - math.log(side[DETERMINANT, j])


@borrowing(finished=True)
def _corrected(n, x, P, m, sigma, seen, rows, have):
    """Mean and covariance of one model after a plot, in place; ``rows`` has its innovation and the root of that one's covariance.

    Joseph's form as a sum of squares, of the square root's, the noises' and the curvature's columns, so that however badly
    the innovation's covariance is conditioned no difference of large numbers makes P indefinite.
    """
    slopes, bent, of, K = run(seen, SLOPES, 4), run(seen, BENT, 4), run(rows, _WEIGHT, _MOVED), run(rows, _GAIN, 4)
    l4, nu = run(rows, _L4, 4), rows[_NU]
    for j in range(n):
        hand(seen[ROOT + j], rows[j])
    for a in range(m):  # K = L slopes' S^-1, a component of the plot at a time
        c = have[a]
        for j in range(_MOVED):
            of[j, a] = slopes[c, j]
        blend(of, a, rows, _MOVED, K[a])
        for b in range(a):
            _less(l4[a, b], K[b], K[a])
        _scaled(1.0 / l4[a, a], K[a])
    for a in range(m - 1, -1, -1):
        for b in range(a + 1, m):
            _less(l4[b, a], K[b], K[a])
        _scaled(1.0 / l4[a, a], K[a])
    for a in range(m):
        c = have[a]
        for i in range(n):
            x[i] += K[a, i] * nu[a]
        put(sigma[c] * eight(K[a]), rows[n + a])
        rows[n + a, 8] = sigma[c] * K[a, 8]
        for j in range(_MOVED):
            _less(slopes[c, j], K[a], rows[j])
        for k in range(_MOVED + 1):
            of[a, k] = bent[c, k]
    for k in range(_MOVED + 1):
        blend(of, k, K, m, rows[n + m + k])
    squares(rows, n + m + _MOVED + 1, n, 1.0, P)
    firm_up(P, n)


@borrowing
def update_model(n, x, P, origin, axes, cosines, z, sigma, seen, rows, have, w):
    """Update one model, ``x (9), P (9, 9)`` of which the first n count, with one plot in place: `regress`, `revise`."""
    regress(n, x, P, origin, axes, cosines, seen, w)
    return revise(n, x, P, z, sigma, seen, rows, have)
