"""The interacting multiple model filter for n tracks: predict, expect, update, as scalar loops.

Four models share position and velocity (components 0-5, Earth-fixed): MANOEUVRE (9: acceleration that is not
gravity, a Wiener process; what changes fast, as in boost), COAST (6), REENTRY (7: natural logarithm of the ballistic
coefficient in kg/m^2) and STEADY (9: as MANOEUVRE, but the acceleration hardly changes: glide, pull-up, steady burning).
Moments go through the non-linear functions by the third-degree spherical cubature rule
(Arasaratnam & Haykin, IEEE T-AC 54(6), 2009, eqs. 24-51); mixing follows Blom & Bar-Shalom (IEEE T-AC 33(8), 1988)
with the unbiased form for unequal dimensions: a component that a source model lacks takes the target's own mean and
variance (Yuan, Bar-Shalom, Willett et al., IEEE T-AES 48(2), 2012).
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import njit
from copfuse.kernels.earth import air, altitude, free_acceleration
from copfuse.kernels.small import cholesky, solve_lower

MANOEUVRE, COAST, REENTRY, STEADY = 0, 1, 2, 3
N_MODEL = 4
WIDEST = 9
DIMENSION = np.array([9, 6, 7, 9])

_DRAG_CEILING = 150e3  # m, the filters know no drag above
_NEGLIGIBLE = 1e-3  # model probability below which a model opens no gate
_DRAG_MOST = 600.0  # m/s^2, so that a cubature point thrown under the ground stays finite



@njit
def drag(s):
    """Deceleration by drag over speed (1/s) at state s (7): half density times speed over ballistic coefficient."""
    h = altitude(s[0], s[1], s[2])
    if h >= _DRAG_CEILING:
        return 0.0
    rho, _ = air(max(h, 0.0))
    v = math.sqrt(s[3] * s[3] + s[4] * s[4] + s[5] * s[5])
    return min(0.5 * rho * v * math.exp(-s[6]), _DRAG_MOST / (v + 1.0))


@njit
def derivative(model, s, d):
    """d = time derivative of state s under a model, Earth-fixed."""
    ax, ay, az = free_acceleration(s[0], s[1], s[2], s[3], s[4])
    if model == 0 or model == 3:
        ax += s[6]
        ay += s[7]
        az += s[8]
        d[6] = 0.0
        d[7] = 0.0
        d[8] = 0.0
    elif model == 2:
        d[6] = 0.0
        k = drag(s)
        ax -= k * s[3]
        ay -= k * s[4]
        az -= k * s[5]
    d[0] = s[3]
    d[1] = s[4]
    d[2] = s[5]
    d[3] = ax
    d[4] = ay
    d[5] = az


@njit
def propagate(model, n, s, dt, k, y):
    """Advance state s by dt seconds (either sign) with the classical Runge-Kutta rule; k (4, 9), y (9) are work arrays."""
    longest = 2.0 if model == 0 or model == 3 else 10.0
    if model == 2 and altitude(s[0], s[1], s[2]) < 120e3:
        longest = 1.0
    steps = int(math.ceil(abs(dt) / longest))
    if steps < 1:
        return
    h = dt / steps
    for _ in range(steps):
        derivative(model, s, k[0])
        for i in range(n):
            y[i] = s[i] + 0.5 * h * k[0, i]
        derivative(model, y, k[1])
        for i in range(n):
            y[i] = s[i] + 0.5 * h * k[1, i]
        derivative(model, y, k[2])
        for i in range(n):
            y[i] = s[i] + h * k[2, i]
        derivative(model, y, k[3])
        for i in range(n):
            s[i] += h / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])


@njit
def add_process_noise(model, x, P, dt, noise):
    """Add the covariance that white noise builds up over dt: jerk (model 0) or acceleration, exactly discretised.

    ``noise``: spectral densities of jerk m^2/s^5, of acceleration in free fall m^2/s^3, of the drag's error relative
    to its square s, of the rate of ln(beta) 1/s, of jerk in the steady model m^2/s^5.  So in empty space re-entry is coast.
    """
    t = abs(dt)
    if model == 0 or model == 3:
        q = noise[0] if model == 0 else noise[4]
        for a in range(3):
            v, c = a + 3, a + 6
            P[a, a] += q * t**5 / 20.0
            P[v, v] += q * t**3 / 3.0
            P[c, c] += q * t
            P[a, v] += q * t**4 / 8.0
            P[v, a] += q * t**4 / 8.0
            P[a, c] += q * t**3 / 6.0
            P[c, a] += q * t**3 / 6.0
            P[v, c] += q * t**2 / 2.0
            P[c, v] += q * t**2 / 2.0
        return
    q = noise[1]
    if model == 2:
        k = drag(x)
        q += noise[2] * k * k * (x[3] * x[3] + x[4] * x[4] + x[5] * x[5])
    for a in range(3):
        v = a + 3
        P[a, a] += q * t**3 / 3.0
        P[v, v] += q * t
        P[a, v] += q * t**2 / 2.0
        P[v, a] += q * t**2 / 2.0
    if model == 2:
        P[6, 6] += noise[3] * t


@njit
def predict_model(model, n, x, P, dt, noise, lower, points, k, y):
    """Predict one model's mean and covariance by dt, in place."""
    if dt == 0.0:
        return
    cholesky(P, n, lower)
    spread = math.sqrt(n)
    for j in range(n):
        for i in range(n):
            points[2 * j, i] = x[i] + spread * lower[i, j]
            points[2 * j + 1, i] = x[i] - spread * lower[i, j]
    w = 1.0 / (2 * n)
    for i in range(n):
        y[i] = 0.0
    for p in range(2 * n):
        propagate(model, n, points[p], dt, k, y)
    for i in range(n):
        m = 0.0
        for p in range(2 * n):
            m += points[p, i]
        x[i] = m * w
    for i in range(n):
        for j in range(i + 1):
            c = 0.0
            for p in range(2 * n):
                c += (points[p, i] - x[i]) * (points[p, j] - x[j])
            P[i, j] = c * w
            P[j, i] = c * w
    add_process_noise(model, x, P, dt, noise)


@njit
def transition(h, climb, dt, Pi):
    """Markov transition matrix over dt at altitude h (m) and climb rate (m/s); rows from, columns to.

    Rates are *notional* and follow the phases: burnout is nearly absorbing once above the air, drag acts only in it,
    lift (pull-up, glide) needs air too.
    """
    air_there = h < 110e3
    boost_again = (1.0 / 200.0 if climb > 0.0 else 1.0 / 2000.0) if h < 150e3 else 1e-9
    lift = 1.0 / 60.0 if h < 80e3 else boost_again
    for i in range(4):
        for j in range(4):
            Pi[i, j] = 0.0
    for pushed in (0, 3):
        Pi[pushed, 1] = 1.0 / 80.0 if h > 60e3 else 1.0 / 400.0
        Pi[pushed, 2] = (1.0 / 60.0 if pushed == 0 or h > 80e3 else 1.0 / 300.0) if air_there else 1.0 / 1000.0
    Pi[0, 3] = 1.0 / 15.0
    Pi[3, 0] = 1.0 / 30.0
    Pi[1, 0] = 0.5 * boost_again
    Pi[1, 3] = 0.5 * boost_again
    Pi[1, 2] = 1.0 / 15.0 if air_there else 1.0 / 500.0
    Pi[2, 0] = 0.5 * lift
    Pi[2, 3] = 0.5 * lift
    Pi[2, 1] = 1.0 / 400.0 if h < 90e3 else 1.0 / 15.0
    for i in range(4):
        out = Pi[i, 0] + Pi[i, 1] + Pi[i, 2] + Pi[i, 3]
        leave = 1.0 - math.exp(-out * abs(dt))
        for j in range(4):
            Pi[i, j] *= leave / out
        Pi[i, i] = 1.0 - leave


@njit
def dimension(model):
    """Number of state components of a model."""
    return 6 if model == 1 else (7 if model == 2 else 9)


@njit
def _has(model, target, component):
    """Whether a model has the target model's component: the first six are everybody's, both pushed models share the rest."""
    return component < 6 or model == target or (model != 1 and model != 2 and target != 1 and target != 2)


@njit
def mix(x, P, mu, Pi, x_out, P_out, mu_out):
    """Mixed initial conditions of the four filters and the predicted model probabilities."""
    total = 0.0
    for j in range(4):
        n = dimension(j)
        c = 0.0
        for i in range(4):
            c += Pi[i, j] * mu[i]
        c = max(c, 1e-12)
        mu_out[j] = c
        total += c
        for a in range(n):
            m = 0.0
            for i in range(4):
                m += Pi[i, j] * mu[i] / c * (x[i, a] if _has(i, j, a) else x[j, a])
            x_out[j, a] = m
        for a in range(n):
            for b in range(a + 1):
                s = 0.0
                for i in range(4):
                    own = _has(i, j, a)  # b <= a, so b is shared where a is
                    if own:
                        p = P[i, a, b]
                    elif b < 6:
                        p = 0.0
                    else:
                        p = P[j, a, b]
                    da = (x[i, a] if own else x[j, a]) - x_out[j, a]
                    db = (x[i, b] if _has(i, j, b) else x[j, b]) - x_out[j, b]
                    s += Pi[i, j] * mu[i] / c * (p + da * db)
                P_out[j, a, b] = s
                P_out[j, b, a] = s
    for j in range(4):
        mu_out[j] /= total


@njit
def combine(x, P, mu, x6, P6):
    """Mean and covariance (six components) of the mixture of the models."""
    for a in range(6):
        x6[a] = 0.0
        for i in range(4):
            x6[a] += mu[i] * x[i, a]
    for a in range(6):
        for b in range(a + 1):
            s = 0.0
            for i in range(4):
                s += mu[i] * (P[i, a, b] + (x[i, a] - x6[a]) * (x[i, b] - x6[b]))
            P6[a, b] = s
            P6[b, a] = s


@njit
def predict(x, P, mu, dt, noise, x_out, P_out, mu_out, x6, P6):
    """Predict n tracks by dt (n,) each: mixing, the four models, and the combined estimate.

    ``x (n, 4, 9), P (n, 4, 9, 9), mu (n, 4)`` in; the same and ``x6 (n, 6), P6 (n, 6, 6)`` out.
    """
    lower = np.zeros((9, 9))
    points = np.zeros((18, 9))
    k = np.zeros((4, 9))
    y = np.zeros(9)
    Pi = np.zeros((4, 4))
    for t in range(len(mu)):
        combine(x[t], P[t], mu[t], x6[t], P6[t])
        s = x6[t]
        h = altitude(s[0], s[1], s[2])
        r = math.sqrt(s[0] ** 2 + s[1] ** 2 + s[2] ** 2)
        transition(h, (s[0] * s[3] + s[1] * s[4] + s[2] * s[5]) / r, dt[t], Pi)
        mix(x[t], P[t], mu[t], Pi, x_out[t], P_out[t], mu_out[t])
        for j in range(4):
            n = dimension(j)
            predict_model(j, n, x_out[t, j], P_out[t, j], dt[t], noise, lower, points, k, y)
        combine(x_out[t], P_out[t], mu_out[t], x6[t], P6[t])


@njit
def measure(s, origin, axes, z):
    """z = range m, azimuth rad (-pi, pi], elevation rad, range rate m/s of state s seen from origin in axes."""
    dx, dy, dz = s[0] - origin[0], s[1] - origin[1], s[2] - origin[2]
    e = axes[0, 0] * dx + axes[0, 1] * dy + axes[0, 2] * dz
    n = axes[1, 0] * dx + axes[1, 1] * dy + axes[1, 2] * dz
    u = axes[2, 0] * dx + axes[2, 1] * dy + axes[2, 2] * dz
    r = math.sqrt(e * e + n * n + u * u)
    z[0] = r
    z[1] = math.atan2(e, n)
    z[2] = math.atan2(u, math.sqrt(e * e + n * n))
    z[3] = (dx * s[3] + dy * s[4] + dz * s[5]) / r


@njit
def wrap(angle):
    """The same angle in [-pi, pi)."""
    return angle - 2.0 * math.pi * math.floor((angle + math.pi) / (2.0 * math.pi))


@njit
def regress(n, x, P, origin, axes, lower, s, z, first, slopes, z_mean, Z):
    """Statistical linear regression of the measurement on the state: mean, slopes (4, n) on the square root, residual.

    ``z - z_mean = slopes L^-1 (x - mean) + e``; Z (4, 4) becomes the covariance of z without noise.
    """
    cholesky(P, n, lower)
    measure(x, origin, axes, first)
    spread = math.sqrt(n)
    w = 1.0 / (2 * n)
    for c in range(4):
        z_mean[c] = 0.0
        for d in range(4):
            Z[c, d] = 0.0
    for j in range(n):
        for sign in range(2):
            f = spread if sign == 0 else -spread
            for i in range(n):
                s[i] = x[i] + f * lower[i, j]
            measure(s, origin, axes, z)
            for c in range(4):
                d = z[c] - first[c]
                if c == 1 or c == 2:
                    d = wrap(d)
                z_mean[c] += w * d
                slopes[c, j] = w * spread * d if sign == 0 else slopes[c, j] - w * spread * d
                z[c] = d
            for c in range(4):
                for d in range(c + 1):
                    Z[c, d] += w * z[c] * z[d]
    for c in range(4):
        for d in range(c + 1):
            Z[c, d] -= z_mean[c] * z_mean[d]
            Z[d, c] = Z[c, d]
    for c in range(4):
        z_mean[c] += first[c]


@njit
def innovation(z, sigma, z_mean, Z, have, nu, S):
    """Innovation nu and covariance S over the components that the plot has; returns how many those are."""
    m = 0
    for c in range(4):
        if not (math.isnan(z[c]) or math.isnan(sigma[c])):
            have[m] = c
            m += 1
    for a in range(m):
        c = have[a]
        d = z[c] - z_mean[c]
        nu[a] = wrap(d) if (c == 1 or c == 2) else d
        for b in range(m):
            S[a, b] = Z[c, have[b]]
        S[a, a] += sigma[c] * sigma[c]
    return m


@njit
def expect(x, P, mu, origin, axes, z, sigma, d2, loglik):
    """Squared Mahalanobis distances and log likelihoods (n, m) of m plots under n predicted tracks.

    The likelihood is the mixture's over the models, the distance the least of those models that are not
    negligible: an engine that has just stopped is expected by the coasting model alone.
    """
    lower = np.zeros((9, 9))
    l4 = np.zeros((4, 4))
    s = np.zeros(9)
    first = np.zeros(4)
    zz = np.zeros(4)
    slopes = np.zeros((4, 9))
    z_mean = np.zeros((4, 4))
    Z = np.zeros((4, 4, 4))
    S = np.zeros((4, 4))
    nu = np.zeros(4)
    ll = np.zeros(4)
    have = np.zeros(4, np.int64)
    for t in range(len(mu)):
        for j in range(4):
            n = dimension(j)
            regress(n, x[t, j], P[t, j], origin, axes, lower, s, zz, first, slopes, z_mean[j], Z[j])
        for k in range(len(z)):
            d2[t, k] = np.inf
            best = -1e300
            for j in range(4):
                m = innovation(z[k], sigma[k], z_mean[j], Z[j], have, nu, S)
                cholesky(S, m, l4)
                solve_lower(l4, m, nu)
                q = 0.0
                log_det = 0.0
                for a in range(m):
                    q += nu[a] * nu[a]
                    log_det += 2.0 * math.log(l4[a, a])
                if mu[t, j] > _NEGLIGIBLE:
                    d2[t, k] = min(d2[t, k], q)
                ll[j] = math.log(mu[t, j]) - 0.5 * (q + log_det + m * math.log(2.0 * math.pi))
                best = max(best, ll[j])
            total = 0.0
            for j in range(4):
                total += math.exp(ll[j] - best)
            loglik[t, k] = best + math.log(total)


@njit
def update_model(n, x, P, origin, axes, z, sigma, lower, s, zz, first, slopes, z_mean, Z, S, nu, have, l4, K, A):
    """Update one model with one plot in place (Joseph-like form on the square root, so P stays positive definite)."""
    regress(n, x, P, origin, axes, lower, s, zz, first, slopes, z_mean, Z)
    m = innovation(z, sigma, z_mean, Z, have, nu, S)
    cholesky(S, m, l4)
    for i in range(n):  # K = L slopes' S^-1, a row at a time
        for a in range(m):
            t = 0.0
            for j in range(n):
                t += lower[i, j] * slopes[have[a], j]
            K[i, a] = t
        for a in range(m):
            t = K[i, a]
            for b in range(a):
                t -= l4[a, b] * K[i, b]
            K[i, a] = t / l4[a, a]
        for a in range(m - 1, -1, -1):
            t = K[i, a]
            for b in range(a + 1, m):
                t -= l4[b, a] * K[i, b]
            K[i, a] = t / l4[a, a]
    for i in range(n):
        t = 0.0
        for a in range(m):
            t += K[i, a] * nu[a]
        x[i] += t
        for j in range(n):
            t = lower[i, j]
            for a in range(m):
                t -= K[i, a] * slopes[have[a], j]
            A[i, j] = t
    for a in range(m):  # S now holds the part of the innovation that the regression does not explain: noise and curvature
        for b in range(m):
            t = S[a, b]
            for j in range(n):
                t -= slopes[have[a], j] * slopes[have[b], j]
            S[a, b] = t
    for i in range(n):
        for j in range(i + 1):
            t = 0.0
            for k in range(n):
                t += A[i, k] * A[j, k]
            for a in range(m):
                for b in range(m):
                    t += K[i, a] * S[a, b] * K[j, b]
            P[i, j] = t
            P[j, i] = t
    solve_lower(l4, m, nu)
    q = 0.0
    for a in range(m):
        q += nu[a] * nu[a] + 2.0 * math.log(l4[a, a])
    return -0.5 * (q + m * math.log(2.0 * math.pi))


@njit
def update(x, P, mu, origin, axes, z, sigma, x6, P6):
    """Update n predicted tracks in place, each with its own plot row ``z (n, 4), sigma (n, 4)``; combined ``x6, P6`` out."""
    lower = np.zeros((9, 9))
    A = np.zeros((9, 9))
    K = np.zeros((9, 4))
    l4 = np.zeros((4, 4))
    s = np.zeros(9)
    first = np.zeros(4)
    zz = np.zeros(4)
    slopes = np.zeros((4, 9))
    z_mean = np.zeros(4)
    Z = np.zeros((4, 4))
    S = np.zeros((4, 4))
    nu = np.zeros(4)
    have = np.zeros(4, np.int64)
    ll = np.zeros(4)
    for t in range(len(mu)):
        best = -1e300
        for j in range(4):
            n = dimension(j)
            ll[j] = update_model(
                n, x[t, j], P[t, j], origin, axes, z[t], sigma[t], lower, s, zz, first, slopes, z_mean, Z, S, nu, have, l4, K, A
            )
            best = max(best, ll[j])
        total = 0.0
        for j in range(4):
            mu[t, j] = max(mu[t, j] * math.exp(ll[j] - best), 1e-12)
            total += mu[t, j]
        for j in range(4):
            mu[t, j] /= total
        combine(x[t], P[t], mu[t], x6[t], P6[t])
