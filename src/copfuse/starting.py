"""Starting a track: from one plot, from two or three, from angles of two satellites or of one, from a cue; each an honest `Bank`.

The tracker takes `from_one_plot` and lets the filter do the rest.  The others take a few plots at once, for whoever has them
together: a handover, a cue, an alert from space.  Their prior is that of `filters.start`, which knows nothing of launches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from copfuse import ascents, companions, filters, frames, gaussian
from copfuse.ascents import CLASSES, templates
from copfuse.errors import CopfuseError
from copfuse.filters import Bank
from copfuse.kernels import motions

ITERATIONS = 4  # of posterior linearisation
NARROW = 1e-3  # rad: lines of sight that are nearer to parallel meet nowhere
FREE = (motions.COAST, motions.REENTRY)  # models without a push
MOST_PLOTS = 6
STRETCH = 0.16  # of burn times, either way, *notional*
TEMPLATE = (100.0, 0.10)  # m, and share of the way between two looks, by which a template errs, *notional*
FARTHEST = -60.0  # log weight of the best sample below which the looks are no boost's
NEGLIGIBLE = 1e-3  # weight of a class that is not listed
MOST_MADE, _MADE = 8192, dict[bytes, Bank]()  # tracks of single plots, of 5 kB each, by plot and sensor's place, the oldest first


# From one plot -------------------------------------------------------------------------------------------------------


def from_one_plot(time: float, z, sigma, origin, axes, cosines: int = 0, others: tuple[Bank, np.ndarray] | None = None) -> Bank:
    """Tracks of plots ``z (m, 4), sigma (m, 4)`` of one scan: `filters.start`, and what its height tells of a thing that burns.

    The models with a push take height, climb, level speed and push of what flies up from rest (`ascents.at_height`), the others
    anything that may fall there.  Beside ``others``, tracks and their hits, the velocity is as theirs (`companions`).  Range rate,
    where given, then updates it.
    """
    z, sigma = np.atleast_2d(np.asarray(z, float)), np.atleast_2d(np.asarray(sigma, float))
    rate = np.arange(4) == 3
    tracks = _known(float(time), np.where(rate, np.nan, z), sigma, np.asarray(origin, float), np.asarray(axes, float), int(cosines))
    if others is not None:
        companions.alike(tracks, *companions.velocities(tracks, np.isfinite(z[:, 0]), *others))
    tracks = mixed(tracks)
    if np.isfinite(z[:, 3]).any():
        tracks = filters.update(tracks, np.where(rate, z, np.nan), sigma, origin, axes, cosines)
    return tracks


def _known(time: float, z: np.ndarray, sigma: np.ndarray, origin: np.ndarray, axes: np.ndarray, cosines: int) -> Bank:
    """`_alone`, of each plot made once: whoever tracks with all plots begins mostly where a nation has begun before."""
    place = origin.tobytes() + axes.tobytes() + bytes([cosines])
    names = [place + one.tobytes() for one in np.hstack([z, sigma])]
    tracks = [_MADE.get(name) for name in names]
    if new := [i for i, track in enumerate(tracks) if track is None]:
        made = _alone(time, z[new], sigma[new], origin, axes, cosines)
        for k, i in enumerate(new):
            tracks[i] = _MADE[names[i]] = made[k : k + 1]
        while len(_MADE) > MOST_MADE:
            del _MADE[next(iter(_MADE))]
    known = Bank.stack([track for track in tracks if track is not None])
    return Bank(np.full(len(z), time), *(getattr(known, name).copy() for name in ("x", "P", "mu", "x6", "P6")))


def _alone(time: float, z: np.ndarray, sigma: np.ndarray, origin: np.ndarray, axes: np.ndarray, cosines: int) -> Bank:
    """Tracks of plots, without range rate, of which nothing else is known; ``x6`` and ``P6`` are those of `filters.start`."""
    tracks = filters.start(time, z, sigma, origin, axes, cosines)
    up = tracks.x6[:, :3] / np.linalg.norm(tracks.x6[:, :3], axis=1, keepdims=True)
    lean = np.einsum("nij,nj->ni", tracks.P6[:, :3, :3], up)
    told = ascents.at_height(frames.altitude(tracks.x6), np.sqrt(np.einsum("ni,ni->n", lean, up)))
    if len(rows := np.flatnonzero(told.known)):
        _rise(tracks, rows, up[rows], lean[rows], told)
    return tracks


def _rise(tracks: Bank, rows: np.ndarray, up: np.ndarray, lean: np.ndarray, told: ascents.Ascent) -> None:
    """Give the pushed models of the tracks ``rows (k,)`` what their heights tell, in place; ``up (k, 3)``, ``lean (k, 3)``: the positions'
    covariances along it."""
    variance, spread = np.einsum("ni,ni->n", lean, up), told.height_sigma[rows] ** 2
    mean, slope, cov = told.mean[rows], told.slope[rows], told.cov[rows]
    along = np.hstack([lean / variance[:, None], slope[:, :1] * up, slope[:, 1:2] * up])  # what a metre more of height changes, (k, 9)
    height = told.height[rows] - frames.altitude(tracks.x6[rows])
    x = np.hstack([tracks.x6[rows, :3] + along[:, :3] * height[:, None], mean[:, :1] * up, mean[:, 1:2] * up])
    P = spread[:, None, None] * along[:, :, None] * along[:, None, :]
    P[:, :3, :3] += tracks.P6[rows, :3, :3] - variance[:, None, None] * along[:, :3, None] * along[:, None, :3]
    upright = (up[:, :, None] * up[:, None, :])[:, None, :, None, :]
    level = np.eye(3)[:, None, :] - upright
    rest = cov[:, :2, None, :2, None] * upright + told.level[rows][:, :, None, :, None] * level
    P[:, 3:, 3:] += rest.reshape(-1, 6, 6)
    P = 0.5 * (P + np.swapaxes(P, 1, 2))
    tracks.x[rows, motions.MANOEUVRE], tracks.P[rows, motions.MANOEUVRE] = x, P
    engine = motions.BOOST
    tracks.x[rows, engine, :6], tracks.P[rows, engine, :6, :6] = x[:, :6], P[:, :6, :6]
    tracks.x[rows, engine, 6], tracks.P[rows, engine, 6, 6] = mean[:, 2], cov[:, 2, 2] + spread * slope[:, 2] ** 2
    tracks.x[rows, engine, 7], tracks.P[rows, engine, 7, 7] = told.flow[rows, 0], told.flow[rows, 1] ** 2
    with_thrust = (spread * slope[:, 2])[:, None] * along[:, :6]
    with_thrust[:, 3:] += cov[:, 2, :1] * up
    tracks.P[rows, engine, :6, 6] = tracks.P[rows, engine, 6, :6] = with_thrust


# From radar plots ----------------------------------------------------------------------------------------------------


def from_plots(time, z, sigma, origin, axes, cosines=0) -> Bank:
    """Tracks from k plots of each of n objects, two or three as a rule, of any radars at any times.

    ``time (k,)`` s; ``z, sigma (k, n, 4)`` as in Detections, nan where nothing is measured (at least the last plot has a
    range); ``origin (k, 3)``, ``axes (k, 3, 3)``; ``cosines (k,)`` or scalar as in `frames.look`.  The bank is at the
    time of the last plot.

    The prior is `filters.start`'s of the last plot; the other plots are one measurement of the state then, which is
    taken through the motion back to each, with iterated posterior linearisation (Garcia-Fernandez et al., IEEE T-SP
    63(20), 2015): two-point differencing with a prior (Bar-Shalom, Li & Kirubarajan, 2001, sec. 5.5.3) that keeps the beam's
    curvature.  Once for free fall and once for a push (acceleration with its prior, and jerk since): as badly as free fall
    explains the plots, as much weight it loses; it gains none, since a few plots do not show a push across their line of
    sight.  Raises `CopfuseError` for fewer than two plots and plots out of order.
    """
    time, z, sigma = np.asarray(time, float), np.asarray(z, float), np.asarray(sigma, float)
    k = len(time)
    if not 2 <= k <= MOST_PLOTS or z.ndim != 3 or z.shape[0] != k or (np.diff(time) < 0).any():
        raise CopfuseError(f"from_plots: {k} plots of shape {z.shape}; it takes 2 to {MOST_PLOTS} in time order, z (plots, tracks, 4)")
    if np.isnan(z[-1, :, 0]).any():
        raise CopfuseError("from_plots: the last plot has no range; angles without range are for from_angles and from_one_satellite")
    cosines = np.broadcast_to(np.asarray(cosines, int), k)
    rate = np.arange(4) == 3
    prior = filters.start(time[-1], np.where(rate, np.nan, z[-1]), sigma[-1], origin[-1], axes[-1], int(cosines[-1]))
    scans = [(time[i] - time[-1], z[i], sigma[i], origin[i], axes[i], int(cosines[i])) for i in range(k - 1)]
    scans.append((0.0, np.where(rate, z[-1], np.nan), sigma[-1], origin[-1], axes[-1], int(cosines[-1])))
    n = len(prior)
    wide = np.zeros((n, 9, 9))
    wide[:, :6, :6] = prior.P6
    wide[:, range(6, 9), range(6, 9)] = filters.ACCELERATION_SIGMA**2
    free = _explained(motions.COAST, prior.x6, prior.P6, scans)
    push = _explained(motions.MANOEUVRE, np.hstack([prior.x6, np.zeros((n, 3))]), wide, scans)
    return _weighed(prior, free, push)


def _explained(model: int, x: np.ndarray, P: np.ndarray, scans: list[Any]) -> gaussian.Update:
    """N(x (n, d), P (n, d, d)) given plots at earlier times, under one model of motion."""
    n, d = x.shape
    jerk = filters.JERK if model == motions.MANOEUVRE else 0.0

    def look(rows: np.ndarray) -> np.ndarray:
        seen = [frames.look(_moved(model, rows, dt), origin, axes, c) for dt, _, _, origin, axes, c in scans]
        return np.concatenate(seen, axis=1)

    noise = np.zeros((n, 4 * len(scans)))
    for i, (dt, z, sigma, _, _, _) in enumerate(scans):
        away = np.maximum(np.linalg.norm(x[:, :3] - scans[i][3], axis=1), 1.0)
        drift, change = jerk * abs(dt) ** 5 / 20.0, jerk * abs(dt) ** 3 / 3.0
        wander = np.stack([np.full(n, drift), drift / away**2, drift / away**2, np.full(n, change)], axis=1)
        noise[:, 4 * i : 4 * i + 4] = np.where(np.isnan(sigma) | np.isnan(z), 1.0, sigma**2 + wander)
    z = np.concatenate([np.where(np.isnan(s[2]), np.nan, s[1]) for s in scans], axis=1)
    angles = tuple(4 * i + c for i, s in enumerate(scans) for c in (1, 2) if not s[5])
    R = noise[:, :, None] * np.eye(noise.shape[1])
    final = gaussian.update(x, P, z, gaussian.Model(look, R, angles=angles), iterations=ITERATIONS)
    return replace(final, loglik=_evidence(look, x, P, z, R, final, angles))


def _evidence(look: gaussian.Function, x, P, z, R, final: gaussian.Update, angles: tuple[int, ...]) -> np.ndarray:
    """Log likelihood (n,) of plots under N(x, P) by the line taken where the estimate ended, not over the wide prior."""
    mean, slope, rest = gaussian.linearise(look, final.x, final.P, angles=angles)
    seen = ~np.isnan(z)
    slope = np.where(seen[:, :, None], slope, 0.0)
    off = np.where(seen, gaussian.wrap(z - mean - gaussian.apply(slope, x - final.x), angles), 0.0)
    rest = np.where(seen[:, :, None] & seen[:, None, :], rest, 0.0)
    return gaussian.gaussian_log(off, slope @ P @ gaussian.transpose(slope) + rest + R, seen.sum(axis=1))[0]


def _moved(model: int, rows: np.ndarray, dt: float) -> np.ndarray:
    """States (n, 6) that ``rows (n, 6 or 9)`` had or will have dt s away."""
    out, k, y = np.zeros((len(rows), 9)), np.zeros((4, 9)), np.zeros(9)
    out[:, : rows.shape[1]] = rows
    for s in out if dt else ():
        motions.propagate(model, rows.shape[1], s, float(dt), k, y)
    return out[:, :6]


def _weighed(prior: Bank, free: gaussian.Update, push: gaussian.Update) -> Bank:
    """A bank of the free and the pushed estimate, the prior's model probabilities times their likelihoods."""
    unpushed = np.isin(np.arange(motions.N_MODEL), FREE)
    spread = np.sqrt(np.trace(push.P[:, 6:, 6:], axis1=1, axis2=2) / 3)
    new = filters.bank(prior.time, push.x[:, :6], push.P[:, :6, :6], prior.mu, push.x[:, 6:], spread)
    new.x[:, motions.MANOEUVRE], new.P[:, motions.MANOEUVRE] = push.x, push.P
    for j in FREE:
        new.x[:, j, :6], new.P[:, j, :6, :6] = free.x, free.P
    # a few plots can refute free fall, never a push: it may lie across the line of sight
    score = np.where(unpushed, np.minimum(free.loglik, push.loglik)[:, None], push.loglik[:, None])
    mu = np.maximum(prior.mu * np.exp(score - score.max(axis=1, keepdims=True)), 1e-12)
    return mixed(replace(new, mu=mu / mu.sum(axis=1, keepdims=True)))


def mixed(tracks: Bank) -> Bank:
    """The bank with ``x6`` and ``P6`` made anew from its models."""
    x6 = np.einsum("nm,nmi->ni", tracks.mu, tracks.x[:, :, :6])
    off = tracks.x[:, :, :6] - x6[:, None]
    P6 = np.einsum("nm,nmij->nij", tracks.mu, tracks.P[:, :, :6, :6] + off[..., :, None] * off[..., None, :])
    return replace(tracks, x6=x6, P6=P6)


# From angles of satellites -------------------------------------------------------------------------------------------


def from_angles(time, z, sigma, origin, axes) -> Bank:
    """Tracks of plumes from k lines of sight of two or more satellites at nearly one time, without ranges.

    ``time (k,)`` s; ``z, sigma (k, n, 4)`` with azimuth and elevation rad in columns 1 and 2; ``origin (k, 3)``,
    ``axes (k, 3, 3)``.  The bank is at the latest time.  Weighted least squares of the lines' distances from the
    target (triangulation; cf. Taff, MIT-LL TR-741, 1986), which between the times moves with a velocity that has the
    prior of `filters`: upwards by ``PLUME_SPEED``.  For two lines that cross at the angle b, seen from R with s rad each, the
    position's sigma is sqrt(2) s R / sin b.

    Raises `CopfuseError` for lines of sight that are parallel to 1 mrad, such as those of one satellite.
    """
    time, z, sigma = np.asarray(time, float), np.asarray(z, float), np.asarray(sigma, float)
    k, n = z.shape[:2]
    lines = np.stack([frames.point(np.ones(n), z[i, :, 1], z[i, :, 2], np.zeros(3), axes[i]) for i in range(k)])
    cosine = np.abs(np.einsum("ink,jnk->nij", lines, lines)).reshape(n, -1)
    if k < 2 or (n and (cosine.min(axis=1) > math.cos(NARROW)).any()):
        raise CopfuseError("from_angles: the lines of sight are parallel to 1 mrad; it takes those of two satellites that stand apart")
    distance = np.repeat(np.linalg.norm(origin, axis=1)[:, None], n, axis=1)
    for _ in range(4):  # only the weights depend on the distances, so this settles at once
        mean, information = _crossing(time - time.max(), z, sigma, origin, axes, distance)
        distance = np.linalg.norm(mean[None, :, :3] - np.asarray(origin)[:, None], axis=2)
    P6 = np.linalg.inv(information)
    last = int(np.argmax(time))
    looks = np.where(np.isin(np.arange(4), (1, 2)), z[last], np.nan)
    return renewed(filters.start(float(time[last]), looks, sigma[last], origin[last], axes[last]), mean, 0.5 * (P6 + np.swapaxes(P6, 1, 2)))


def _crossing(dt, z, sigma, origin, axes, distance) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity (n, 6) nearest to lines of sight at times dt (k,), and their information (n, 6, 6)."""
    k, n = distance.shape
    information, right = np.zeros((n, 6, 6)), np.zeros((n, 6))
    for i in range(k):
        az, el = z[i, :, 1], z[i, :, 2]
        zero = np.zeros(n)
        level = np.stack([np.cos(az), -np.sin(az), zero], axis=1) @ axes[i]
        up = np.stack([-np.sin(el) * np.sin(az), -np.sin(el) * np.cos(az), np.cos(el)], axis=1) @ axes[i]
        for across, size in ((level, sigma[i, :, 1] * np.cos(el)), (up, sigma[i, :, 2])):
            row = np.hstack([across, dt[i] * across]) / (size * distance[i])[:, None]
            information += row[:, :, None] * row[:, None, :]
            right += row * ((across @ origin[i]) / (size * distance[i]))[:, None]
    there = np.linalg.solve(information[:, :3, :3], right[:, :3, None])[..., 0]
    ascent = there / np.maximum(np.linalg.norm(there, axis=1, keepdims=True), 1.0)
    information[:, range(3, 6), range(3, 6)] += filters.PLUME_SPEED[1] ** -2
    right[:, 3:] += ascent * filters.PLUME_SPEED[0] * filters.PLUME_SPEED[1] ** -2
    return np.linalg.solve(information, right[..., None])[..., 0], information


def renewed(tracks: Bank, x6: np.ndarray, P6: np.ndarray) -> Bank:
    """The bank with other positions and velocities ``x6 (n, 6), P6 (n, 6, 6)`` in all models, their own components kept."""
    x, P = tracks.x.copy(), tracks.P.copy()
    x[:, :, :6] = x6[:, None]
    P[:, :, :6, 6:] = P[:, :, 6:, :6] = 0.0
    P[:, :, :6, :6] = P6[:, None]
    return replace(tracks, x=x, P=P, x6=x6.copy(), P6=P6.copy())


# From one satellite ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Guesses:
    """What one satellite's angles leave open: m weighted hypotheses, one per missile class, and all of them as one `Bank` row.

    ``weight (m,)`` sums to 1; ``x (m, 9)``, ``P (m, 9, 9)``: position m, velocity m/s and push (acceleration that is not gravity)
    m/s^2, Earth-fixed, at the time of the last look; ``since (m, 2)``: seconds since ignition, mean and sigma; ``effective`` is
    the number of equally weighted samples that say as much: below some 30 the covariances are rough.
    """

    name: tuple[str, ...]
    weight: np.ndarray
    x: np.ndarray
    P: np.ndarray
    since: np.ndarray
    effective: float
    bank: Bank


def from_one_satellite(
    time, z, sigma, origin, axes, fresh: float = math.inf, cloud: float = 8e3, seed: int = 0, samples: int = 60_000
) -> Guesses:
    """What is burning where, from two or more looks of one satellite at one plume: boost templates with a prior.

    ``time (k,)`` s ascending; ``z, sigma (k, 4)`` with azimuth and elevation rad in columns 1 and 2; ``origin (k, 3)``,
    ``axes (k, 3, 3)``.  Nothing is seen below ``cloud`` m; ``fresh``: s before the first look at which the plume was not yet
    above it (the satellite's revisit, if it is a new plume; infinite: not known).

    Importance sampling: boosts of the classes in `vehicles.PROFILES`, classes, velocity gains and pitch-overs as likely as each
    other, burn times scaled by up to `STRETCH`, at any time since ignition, towards any azimuth.  The height of a template
    on the last line of sight makes a place; its way there must fit the lines before.  The templates are *notional*, and so
    is their error.  Raises `CopfuseError` for fewer than two looks and where no template comes near them.
    """
    time, z, sigma = np.asarray(time, float), np.asarray(z, float), np.asarray(sigma, float)
    if len(time) < 2 or z.shape != (len(time), 4) or not (np.diff(time) > 0).all():
        raise CopfuseError(f"from_one_satellite: looks of shape {z.shape} at {len(time)} times; it takes two or more, in time order")
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, len(time)])))
    book, draw = templates(), stream.random((samples, 3))
    each = (draw[:, 0] * len(book.name)).astype(int)
    stretch = 1.0 + STRETCH * (2.0 * draw[:, 1] - 1.0)
    ago, burn = time - time[-1], book.burn[each] * stretch
    span = burn + ago[0]  # seconds in which the last look can have been: launches come at any time, so a long burn counts for more
    since = draw[:, 2] * span - ago[0]
    unseen = book.at(each, (since + ago[0] - fresh) / stretch)[:, 0] * stretch <= cloud
    way = np.stack([book.at(each, (since + dt) / stretch) for dt in ago])
    way[:, :, :2] *= stretch[:, None]
    way[:, :, 4:] /= stretch[:, None]
    able = np.flatnonzero((span > 0.0) & (way[0, :, 0] > cloud) & unseen)
    x, score = _placed(way[:, able], z, sigma, origin, axes, stream) if len(able) else (np.zeros((0, 9)), np.zeros(0))
    if not score.max(initial=-np.inf) > FARTHEST:
        raise CopfuseError("from_one_satellite: no boost template comes near these looks; are they one plume's, in time order?")
    weight = np.exp(score - score.max()) * span[able]
    return _summed_up(float(time[-1]), z, sigma, origin, axes, x, weight / weight.sum(), book.name[each[able]], since[able])


def _placed(way: np.ndarray, z, sigma, origin, axes, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """States (n, 9) at the last look of templates whose columns at k looks are ``way (k, n, 6)``, and their log weights (n,)."""
    k, n = way.shape[:2]
    final = z[-1] + sigma[-1] * stream.standard_normal((n, 4))
    here = _pierced(final[:, 1], final[:, 2], way[-1, :, 0], origin[-1], axes[-1])
    before = _pierced(np.full(n, z[0, 1]), np.full(n, z[0, 2]), way[0, :, 0], origin[0], axes[0])
    radius = np.linalg.norm(here, axis=1, keepdims=True)
    unit = here / radius
    lat, lon, _ = frames.geodetic(here)
    east = frames.enu_axes(lat, lon)[:, 0]
    north = np.cross(unit, east)
    moved = radius * (unit - before / np.linalg.norm(before, axis=1, keepdims=True))
    # towards an azimuth near that of the first line's place, if the way is long enough to show one; the weight makes up for it
    blur = math.hypot(*TEMPLATE) + np.linalg.norm(here - origin[-1], axis=1) * np.nanmax(sigma[:, 1:3]) * 1.5
    width = np.minimum(2.0 * blur / np.maximum(way[-1, :, 1] - way[0, :, 1], 1.0), 10.0)
    shown, normal = width < 1.0, stream.standard_normal(n)
    toward = np.arctan2((moved * east).sum(1), (moved * north).sum(1))
    azimuth = np.where(shown, toward + width * normal, 2.0 * np.pi * stream.random(n))
    score = np.where(shown, np.log(width * math.sqrt(2.0 * np.pi)) + 0.5 * normal**2, math.log(2.0 * np.pi))
    along = np.sin(azimuth)[:, None] * east + np.cos(azimuth)[:, None] * north
    for i in range(k - 1):
        angle = ((way[-1, :, 1] - way[i, :, 1]) / radius[:, 0])[:, None]
        there = (radius - (way[-1, :, :1] - way[i, :, :1])) * (np.cos(angle) * unit - np.sin(angle) * along)
        look = frames.look(there, origin[i], axes[i])
        error = np.hypot(TEMPLATE[0], TEMPLATE[1] * np.linalg.norm(there - here, axis=1)) / look[:, 0]
        miss = np.mod(z[i, 1:3] - look[:, 1:3] + np.pi, 2.0 * np.pi) - np.pi
        variance = sigma[i, 1:3] ** 2 + error[:, None] ** 2
        score -= 0.5 * (miss**2 / variance + np.log(variance / sigma[i, 1:3] ** 2)).sum(axis=1)
    parts = [way[-1, :, c, None] * unit + way[-1, :, c + 1, None] * along for c in (2, 4)]
    return np.hstack([here, *parts]), score


def _pierced(azimuth, elevation, height, origin, axes) -> np.ndarray:
    """Where lines of sight (n,) pass ``height (n,)`` m, (n, 3)."""
    return frames.point(filters.range_to_altitude(height, azimuth, elevation, origin, axes), azimuth, elevation, origin, axes)


def _summed_up(time: float, z, sigma, origin, axes, x, weight, name, since) -> Guesses:
    """Moments by class and in all of weighted samples."""
    found = tuple(c for c in CLASSES if weight[name == c].sum() > NEGLIGIBLE)
    total = np.array([weight[name == c].sum() for c in found])
    moments = [_moments(x[name == c], weight[name == c]) for c in found]
    times = [_moments(since[name == c][:, None], weight[name == c]) for c in found]
    mean, cov = _moments(x, weight)
    error = _template_error(mean)
    alike = filters.start(time, np.where(np.isin(np.arange(4), (1, 2)), z[-1:], np.nan), sigma[-1:], origin[-1], axes[-1])
    cov = cov + error
    push = np.sqrt(np.trace(cov[6:, 6:])[None] / 3)
    row = filters.bank(time, mean[None, :6], cov[None, :6, :6], alike.mu, mean[None, 6:], push)
    row.x[:, motions.MANOEUVRE], row.P[:, motions.MANOEUVRE] = mean, cov
    return Guesses(
        found, total / total.sum(), np.array([m for m, _ in moments]), np.array([P + error for _, P in moments]),
        np.array([(m[0], math.sqrt(P[0, 0])) for m, P in times]), float(1.0 / (weight**2).sum()), row,
    )  # fmt: skip


def _moments(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share = weight / weight.sum()
    mean = share @ x
    return mean, ((x - mean) * share[:, None]).T @ (x - mean)


def _template_error(mean: np.ndarray) -> np.ndarray:
    """Covariance (9, 9) of what a template leaves out: `TEMPLATE` of place, the same share of speed and 3 of push."""
    speed, push = np.linalg.norm(mean[3:6]), np.linalg.norm(mean[6:])
    return np.diag(np.repeat([TEMPLATE[0], TEMPLATE[1] * speed + 10.0, 3.0 * TEMPLATE[1] * push + 1.0], 3) ** 2)


# From a cue ----------------------------------------------------------------------------------------------------------


def from_cue(time, x6, P6, at, acceleration=None, acceleration_sigma=None, log_beta=None) -> Bank:
    """Tracks at time ``at`` s (scalar or (n,)) from states ``x6 (n, 6)``, ``P6 (n, 6, 6)`` at ``time``, as a message brings them.

    What the message does not say is filled from the priors of `filters` (there for the last three); the model
    probabilities are those of a new plot at that height.
    """
    x6, P6 = np.atleast_2d(np.asarray(x6, float)), np.asarray(P6, float).reshape(-1, 6, 6)
    plots = np.where(np.arange(4) == 3, np.nan, frames.look(x6, np.zeros(3), np.eye(3)))
    alike = filters.start(0.0, plots, np.tile([1.0, 1e-6, 1e-6, np.nan], (len(x6), 1)), np.zeros(3), np.eye(3))
    return filters.predict(filters.bank(time, x6, P6, alike.mu, acceleration, acceleration_sigma, log_beta), at)
