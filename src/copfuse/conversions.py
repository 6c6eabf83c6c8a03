"""A plot as a Cartesian position with its covariance: polar in closed forms, r-u-v and spherical by quadrature.

`convert` takes any of the point functions, in plain numpy and over n plots at once; for the three-dimensional ones it
gives what the third-order expansion CM3 gives to three digits (Cookson, Chance & Urbano, MIT-LL TR-1184, 2017), at any
range at which the mean of the beam's curved cap is a fair summary of it.
"""

from __future__ import annotations

import numpy as np

from copfuse.errors import CopfuseError, suggestion
from copfuse.gaussian import Function, Moments, Rule, gauss_hermite, transform

FIVE = gauss_hermite(5)
POLAR = ("unbiased", "debiased", "conventional")


def convert(point: Function, z, R, rule: Rule = FIVE) -> Moments:
    """Position (n, k) and covariance (n, k, k) of plots z (n, k) with covariance R (k, k) or (n, k, k).

    ``point``: rows -> Cartesian rows, such as `polar_point`, `ruv_point`, `spherical_point` or a radar's own.  The moments
    are those of the target given the plot, with nothing else known of it.
    """
    return transform(point, z, R, rule)


def polar_point(z: np.ndarray) -> np.ndarray:
    """Rows of range m and angle rad from the first axis -> rows (n, 2) m."""
    return z[:, :1] * np.stack([np.cos(z[:, 1]), np.sin(z[:, 1])], axis=1)


def ruv_point(z: np.ndarray) -> np.ndarray:
    """Rows of range m and direction cosines u, v -> rows (n, 3) m, in front of the face; past its edge w is 0."""
    w = np.sqrt(np.maximum(1.0 - z[:, 1] ** 2 - z[:, 2] ** 2, 0.0))
    return z[:, :1] * np.stack([z[:, 1], z[:, 2], w], axis=1)


def spherical_point(z: np.ndarray) -> np.ndarray:
    """Rows of range m, azimuth from north and elevation rad -> rows (n, 3) m east, north, up."""
    level = np.cos(z[:, 2])
    return z[:, :1] * np.stack([level * np.sin(z[:, 1]), level * np.cos(z[:, 1]), np.sin(z[:, 2])], axis=1)


def ruv(x: np.ndarray) -> np.ndarray:
    """Range m and direction cosines u, v of rows x (n, 3 or more) m: the inverse of `ruv_point`."""
    distance = np.sqrt((x[:, :3] ** 2).sum(axis=1))
    return np.stack([distance, x[:, 0] / distance, x[:, 1] / distance], axis=1)


def convert_polar(z, sigma_range: float, sigma_angle: float, kind: str = "unbiased") -> Moments:
    """Position (n, 2) m and covariance (n, 2, 2) of range m and angle rad z (n, 2), in closed form.

    ``kind``: "unbiased", multiplicative (Mo, Song, Zhou, Sun & Bar-Shalom, IEEE T-AES 34(3), 1998); "debiased", additive
    (Lerro & Bar-Shalom, IEEE T-AES 29(3), 1993); "conventional", the Jacobian's, good only while
    r sigma_angle^2 / sigma_range < 0.4.
    """
    z = np.atleast_2d(np.asarray(z, float))
    r2, s2 = z[:, 0] ** 2, sigma_range**2
    c, s = np.cos(z[:, 1]), np.sin(z[:, 1])
    a2 = sigma_angle**2
    if kind == "conventional":
        along, across, scale = np.full(len(z), s2), r2 * a2, np.ones(len(z))
        return polar_point(z), _rotated(along, across, (along - across) * scale, c, s)
    if kind == "debiased":
        far, near = np.exp(-2.0 * a2) * np.cosh(2.0 * a2), np.exp(-2.0 * a2) * np.cosh(a2)
        odd_far, odd_near = np.exp(-2.0 * a2) * np.sinh(2.0 * a2), np.exp(-2.0 * a2) * np.sinh(a2)
        along = r2 * (far - near) + s2 * (2.0 * far - near)
        across = r2 * (odd_far - odd_near) + s2 * (2.0 * odd_far - odd_near)
        slant = np.exp(-4.0 * a2) * (s2 + (r2 + s2) * (1.0 - np.exp(a2)))
        return polar_point(z) * (1.0 - np.exp(-a2) + np.exp(-0.5 * a2)), _rotated(along, across, slant, c, s)
    if kind == "unbiased":
        shrink = np.exp(-0.5 * a2)
        half, turn = 0.5 * (r2 + s2), shrink**4
        along = (shrink**-2 - 2.0) * r2 + half * (1.0 + turn)
        across = half * (1.0 - turn)
        return polar_point(z) / shrink, _rotated(along, across, along - across, c, s)
    raise CopfuseError(f'convert_polar: kind is "{kind}"; {suggestion(kind, POLAR)}')


def _rotated(along, across, slant, c, s) -> np.ndarray:
    """Covariance (n, 2, 2) with variances along and across the line of sight; ``slant`` stands before sin cos off the diagonal."""
    return np.stack([along * c**2 + across * s**2, slant * s * c, slant * s * c, along * s**2 + across * c**2], axis=-1).reshape(-1, 2, 2)
