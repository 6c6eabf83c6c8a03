"""What looks at a known path tell of its states: information of plots that were made, and of those to be expected.

Plots that come by chance count with their probability (information reduction factor: Zhang, Willett and Bar-Shalom, IEEE T-AES
41(4), 2005); a sensor measures range, azimuth, elevation (or u, v) and range rate with independent errors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from copfuse import frames, motion, simulate
from copfuse import sensors as sensing
from copfuse.tables import Detections, Truth

RARE = 0.01  # a look with less chance of a plot does not count as the first


def jacobian(x, origin, axes, cosines: int = 0) -> np.ndarray:
    """Derivatives (n, 4, 6) of range, azimuth, elevation (or u, v) and range rate (`frames.look`) by states ``x (n, 6)``."""
    x = np.atleast_2d(np.asarray(x, float))
    axes = np.broadcast_to(axes, (len(x), 3, 3))
    d, v = x[:, :3] - origin, x[:, 3:]
    r = np.linalg.norm(d, axis=1, keepdims=True)
    east, north, up = (np.einsum("ni,ni->n", axes[:, i], d)[:, None] for i in range(3))
    level2 = east**2 + north**2
    H = np.zeros((len(x), 4, 6))
    H[:, 0, :3] = H[:, 3, 3:] = d / r
    if cosines:
        H[:, 1, :3] = (axes[:, 0] - east * d / (r * r)) / r
        H[:, 2, :3] = (axes[:, 2] - up * d / (r * r)) / r
    else:
        H[:, 1, :3] = (north * axes[:, 0] - east * axes[:, 1]) / level2
        H[:, 2, :3] = (level2 * axes[:, 2] - up * (east * axes[:, 0] + north * axes[:, 1])) / (r * r * np.sqrt(level2))
    H[:, 3, :3] = (v - np.einsum("ni,ni->n", d, v)[:, None] * d / (r * r)) / r
    return H


def plot_information(x, sigma, origin, axes, chance=1.0, cosines: int = 0) -> np.ndarray:
    """Information (n, 6, 6) of plots of states ``x (n, 6)`` with ``sigma (n, 4)``, nan where nothing is measured,
    times the ``chance`` that each is made."""
    H = jacobian(x, origin, axes, cosines)
    weight = np.where(np.isnan(sigma), 0.0, 1.0 / np.square(sigma)) * np.reshape(chance, (-1, 1))
    return np.einsum("nci,nc,ncj->nij", H, weight, H)


def made(path: Truth, plots: Detections, scenario: Any, chosen: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Times and information (n, 6, 6) of the plots that were made."""
    names = plots.meta["sensors"]
    times, parts = [np.zeros(0)], [np.zeros((0, 6, 6))]
    for sensor in chosen:
        mine = plots[plots.sensor == (names.index(sensor.name) if sensor.name in names else -1)]
        if len(mine):
            x = motion.interpolate(path.time, path.x, mine.time)
            times.append(mine.time)
            parts.append(plot_information(x, mine.sigma, *sensing.place(sensor, mine.time), cosines=sensor.cosines))
    return np.concatenate(times), np.concatenate(parts)


def expected(path: Truth, about: dict[str, Any], scenario: Any, chosen: list[Any], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and expected information (n, 6, 6) of every look that may see the object, from the first that is not RARE."""
    empty = simulate.detect(Truth.empty(objects=[]), replace(scenario, clutter=0.0), seed=seed)  # draws who is there, and when they look
    end = float(path.time[-1]) if scenario.duration is None else min(float(path.time[-1]), scenario.duration)
    times, parts, chances = [np.zeros(0)], [np.zeros((0, 6, 6))], [np.zeros(0)]
    for sensor in chosen:
        if sensor.name not in empty.meta["schedule"]:
            continue
        time, searching = _ticks(empty.meta["schedule"][sensor.name], float(path.time[0]), end)
        x = motion.interpolate(path.time, path.x, time) if len(time) else np.zeros((0, 6))
        pd, snr = sensing.detection_chance(
            sensor, x, time, about["rcs"], motion.burning(time, phase_at(path, time), about.get("pauses", ()))
        )
        chance = _plot_chance(pd, searching, max(3, round(sensor.search_revisit / sensor.track_revisit)))
        rows = np.flatnonzero(chance > 1e-6)
        x, time, chance = x[rows], time[rows], chance[rows]
        origin, axes = sensing.place(sensor, time)
        look = frames.look(x, origin, axes)
        sigma = sensing.accuracy(sensor, plot_snr(snr[rows], sensor.pfa, sensor.swerling), look[:, 1], look[:, 2])
        times.append(time)
        parts.append(plot_information(x, sigma, origin, axes, chance, sensor.cosines))
        chances.append(chance)
    time, information, chance = np.concatenate(times), np.concatenate(parts), np.concatenate(chances)
    kept = time >= time[chance > RARE].min(initial=np.inf)
    return time[kept], information[kept]


def _ticks(schedule: dict[str, float], begin: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """A sensor's ticks within an object's life, and which of them search the whole volume."""
    number = np.arange(max(0, int(np.floor((end - schedule["first"]) / schedule["track"])) + 1))
    time = schedule["first"] + schedule["track"] * number
    searching = number % round(schedule["search"] / schedule["track"]) == 0
    return time[time >= begin], searching[time >= begin]


def _plot_chance(pd: np.ndarray, searching: np.ndarray, hold: int) -> np.ndarray:
    """Probability (n,) of a plot at every tick: a sensor looks where it searches or noticed within ``hold`` ticks before."""
    chance, lately = pd * searching, np.zeros(hold)  # lately[i]: the newest plot was i + 1 ticks ago
    for k in range(len(pd)) if not searching.all() else ():
        looking = 1.0 if searching[k] else float(lately.sum())
        chance[k] = pd[k] * looking
        lately[1:] = lately[:-1] * (1.0 - pd[k])
        lately[0] = chance[k]
    return chance


def plot_snr(snr, pfa: float, swerling: int) -> np.ndarray:
    """Mean measured signal-to-noise ratio of looks that pass the threshold: of the detector's output, less the noise.

    Exact for Swerling's cases 1 to 4 and one pulse; for a steady target the figure of case 1, which is not below its own.
    """
    snr = np.asarray(snr, float)
    threshold = -np.log(pfa)
    if swerling not in (3, 4):
        return threshold + snr
    half = 1.0 + 0.5 * snr
    share, z = 0.5 * snr / half, threshold / half
    return threshold - 1.0 + half * (1.0 + share * (z + 1.0)) / (1.0 + share * z)


def phase_at(path: Truth, time: np.ndarray) -> np.ndarray:
    """Phase (n,) of one object's path at times (n,)."""
    return path.phase[np.clip(np.searchsorted(path.time, time, side="right") - 1, 0, len(path) - 1)]
