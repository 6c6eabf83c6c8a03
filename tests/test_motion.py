"""Flights against closed forms, an independent integrator, conserved quantities, a plain twin, and published air."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from copfuse import frames, motion, vehicles
from copfuse.constants import BOOST, EARTH_OMEGA, GLIDE, MIDCOURSE, TERMINAL
from copfuse.errors import CopfuseError
from copfuse.kernels import flight as kernel
from copfuse.kernels.earth import air
from copfuse.kernels.mach import drag_factor

pytestmark = pytest.mark.kernels

MU, RADIUS = 3.986004418e14, 6371e3
A, F, J2, OMEGA = 6378137.0, 1 / 298.257223563, 1.08262982e-3, 7.292115e-5
SITE = (math.radians(39.2), math.radians(125.67))
SHORT = motion.Plan(*SITE, vehicles.boost(vehicles.PROFILES["SRBM"], 2600.0), (0.35, 0.2))
LONG = motion.Plan(*SITE, vehicles.boost(vehicles.PROFILES["ICBM"], 9500.0), (0.05, 0.02), vehicles.LONG, 7000.0, coast_step=1.0)
LIFTED = motion.Plan(*SITE, vehicles.boost(vehicles.PROFILES["SRBM"], 3200.0), (0.85, 0.35), lift=3.0)


# Closed forms (Wheelon 1959; Bate, Mueller, White, ch. 6) --------------------------------------------------------------


def closed_form(v: float, g: float) -> tuple[float, float, float]:
    """Range m, time s and apogee m of a free flight from the surface of the sphere to the surface."""
    q = v * v * RADIUS / MU
    e = math.sqrt(1 + q * (q - 2) * math.cos(g) ** 2)
    half = math.acos((1 - q * math.cos(g) ** 2) / e)
    a = RADIUS / (2 - q)
    anomaly = math.acos((e - math.cos(half)) / (1 - e * math.cos(half)))
    return 2 * half * RADIUS, 2 * math.sqrt(a**3 / MU) * (math.pi - anomaly + e * math.sin(anomaly)), a * (1 + e) - RADIUS


def on_sphere(v: float, g: float, step: float = 0.5) -> motion.Trajectory:
    """Free flight from the equator eastwards at flight path angle g, on the sphere without air."""
    return motion.free_fall([RADIUS, 0, 0, v * math.sin(g), v * math.cos(g), 0], step=step, sphere=True, air=False)


@pytest.mark.parametrize(
    ("distance", "v", "g_deg", "time", "apogee", "per_speed"),
    [
        (300e3, 1696.48, 44.326, 251.03, 74.1e3, 0.3621e3),
        (500e3, 2173.38, 43.876, 327.36, 122.5e3, 0.4784e3),
        (1000e3, 3016.12, 42.752, 474.36, 239.9e3, 0.7166e3),
        (3000e3, 4865.00, 38.255, 895.04, 655.2e3, 1.5497e3),
    ],
)
def test_free_flight_table(distance, v, g_deg, time, apogee, per_speed):
    g = math.radians(g_deg)
    for speed in (v, v + 1.0):
        flown = on_sphere(speed, g)
        x = flown.x[-1]
        far, long, high = closed_form(speed, g)
        assert math.atan2(x[1], x[0]) * RADIUS == pytest.approx(far, rel=1e-6)
        assert flown.time[-1] == pytest.approx(long, rel=1e-6)
        assert np.linalg.norm(flown.x[:, :3], axis=1).max() - RADIUS == pytest.approx(high, rel=1e-6)
    slope = (closed_form(v + 1.0, g)[0] - closed_form(v - 1.0, g)[0]) / 2
    assert slope == pytest.approx(per_speed, rel=1e-3)
    far, long, high = closed_form(v, g)  # the published figures themselves, to their rounding
    assert far == pytest.approx(distance, rel=2e-5) and long == pytest.approx(time, rel=5e-5) and high == pytest.approx(apogee, abs=60.0)


def test_energy_and_angular_momentum_are_conserved():
    x = on_sphere(4865.0, math.radians(38.255)).x
    energy = 0.5 * (x[:, 3:] ** 2).sum(1) - MU / np.linalg.norm(x[:, :3], axis=1)
    momentum = np.cross(x[:, :3], x[:, 3:])
    assert np.ptp(energy) < 1e-9 * abs(energy[0])
    assert np.abs(momentum - momentum[0]).max() < 1e-9 * np.linalg.norm(momentum[0])


def test_jacobi_integral_is_conserved_over_the_rotating_earth():
    flown = motion.launch(LONG, air=False)
    free = flown.time >= flown.burnouts[-1]
    x = flown.x[free]
    r, z = np.linalg.norm(x[:, :3], axis=1), x[:, 2]
    potential = MU / r * (1 - J2 * (A / r) ** 2 * (1.5 * (z / r) ** 2 - 0.5)) + 0.5 * OMEGA**2 * (x[:, 0] ** 2 + x[:, 1] ** 2)
    jacobi = 0.5 * (x[:, 3:] ** 2).sum(1) - potential
    assert np.ptp(jacobi) < 1e-9 * abs(jacobi[0])


# An independent integrator ---------------------------------------------------------------------------------------------


def gravity(p):
    """J2 gravitation, from the potential's gradient written out."""
    r = np.linalg.norm(p)
    k = 1.5 * J2 * (A / r) ** 2
    s = 5 * (p[2] / r) ** 2
    return -MU / r**3 * p * (1 + k * (np.array([1, 1, 3]) - s))


def height(p):
    """Geodetic height by iteration on the latitude."""
    e2 = F * (2 - F)
    rho, lat = math.hypot(p[0], p[1]), math.atan2(p[2], math.hypot(p[0], p[1]) * (1 - e2))
    for _ in range(12):
        n = A / math.sqrt(1 - e2 * math.sin(lat) ** 2)
        h = rho * math.cos(lat) + p[2] * math.sin(lat) - A * A / n
        lat = math.atan2(p[2], rho * (1 - e2 * n / (n + h)))
    return h


def test_coast_against_dop853_in_the_inertial_frame():
    flown = motion.launch(LONG, air=False)
    begin = int(np.searchsorted(flown.time, flown.burnouts[-1]))
    t0, x0 = flown.time[begin], flown.x[begin]
    c, s = math.cos(OMEGA * t0), math.sin(OMEGA * t0)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    v = x0[3:] + np.cross([0, 0, OMEGA], x0[:3])

    def ground(t, y):
        return height(y[:3])

    ground.terminal, ground.direction = True, -1
    start = np.concatenate([turn @ x0[:3], turn @ v])
    run = solve_ivp(lambda t, y: np.concatenate([y[3:], gravity(y[:3])]), (t0, 9000), start, "DOP853", events=ground, rtol=1e-12, atol=1e-6)
    t1 = run.t_events[0][0]
    c, s = math.cos(OMEGA * t1), math.sin(OMEGA * t1)
    end = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ run.y_events[0][0][:3]
    assert np.linalg.norm(end - flown.x[-1, :3]) < 1.0
    assert abs(t1 - flown.time[-1]) < 1e-3


def steer(t, y, plan, burns):
    """Thrust acceleration of a plan, plainly: vertical, tilted by the kick, blended into the velocity's direction."""
    burning = [b for b in burns if b[0] <= t <= b[1]]
    if not burning:
        return np.zeros(3)
    begin, _, thrust, tau, _ = burning[-1]
    east, north, up = frames.enu_axes(plan.lat, plan.lon)
    kick = plan.kick[0] * east + plan.kick[1] * north
    angle = np.linalg.norm(kick)

    def ease(a, b):
        s = min(max((t - a) / (b - a), 0), 1)
        return s * s * (3 - 2 * s)

    turned = angle * ease(plan.turn[0], plan.turn[1])
    d = math.cos(turned) * up + math.sin(turned) * kick / angle
    w = ease(plan.turn[1], plan.turn[2])
    if w > 0:
        d = (1 - w) * d + w * y[3:] / np.linalg.norm(y[3:])
    return thrust / (1 - (t - begin) / tau) * d / np.linalg.norm(d)


def test_powered_flight_against_dop853():
    burns = motion._burns(LONG)
    spin = np.array([0, 0, OMEGA])

    def rate(t, y):
        turning = -2 * np.cross(spin, y[3:]) - np.cross(spin, np.cross(spin, y[:3]))
        return np.concatenate([y[3:], gravity(y[:3]) + turning + steer(t, y, LONG, now)])

    def ground(t, y):
        return height(y[:3])

    ground.terminal, ground.direction = True, -1
    y = np.concatenate([frames.ecef(LONG.lat, LONG.lon, 0.0), np.zeros(3)])
    marks = [0.0, *LONG.turn, *burns[:, :2].ravel()[1:], 9000.0]
    for a, b in zip(sorted(marks)[:-1], sorted(marks)[1:], strict=True):
        now = [row for row in burns if row[0] <= a < row[1]]  # what burns in this piece, whatever its ends say
        run = solve_ivp(rate, (a, b), y, "DOP853", events=ground if a > 100 else None, rtol=1e-12, atol=1e-6)
        y = run.y[:, -1]
    flown = motion.launch(LONG, air=False)
    assert np.linalg.norm(y[:3] - flown.x[-1, :3]) < 1.0


@pytest.mark.parametrize("plan", [SHORT, LONG, LIFTED])
def test_half_the_step_moves_the_impact_by_less_than_a_metre(plan, monkeypatch):
    whole = motion.launch(plan)
    monkeypatch.setattr(motion, "FINE", (0.125, 0.125, 0.25))
    half = motion.launch(motion.replace(plan, coast_step=plan.coast_step / 2))
    assert np.linalg.norm(half.x[-1, :3] - whole.x[-1, :3]) < 1.0


# The kernel and its plain twin -----------------------------------------------------------------------------------------


def twin(t, s, stage, beta, lifting, stages, p):
    """The rates of `kernel.derivative`, in numpy, with the formulas written again."""
    x, v = s[:3], s[3:]
    spin = np.array([0, 0, OMEGA])
    free = gravity(x) - 2 * np.cross(spin, v) - np.cross(spin, np.cross(spin, x))
    speed = np.linalg.norm(v)
    burnt = (t - stages[stage, 0]) / stages[stage, 3] if stage >= 0 else 0.0
    density, sound = air(height(x))
    drag = 0.5 * density * speed**2 / (beta * (1 - burnt))
    total = free.copy()
    if lifting:
        n = x * np.array([1, 1, 1 / (1 - F) ** 2])
        n /= np.linalg.norm(n)
        sine = n @ v / speed
        normal = n - sine * v / speed
        normal /= np.linalg.norm(normal)
        most = p[kernel.LIFT] * drag
        wanted = -free @ normal - speed**2 * math.sqrt(1 - sine**2) / np.linalg.norm(x) - p[kernel.TURN] * speed * sine
        u = min(max((speed - p[kernel.DIVE]) / (0.1 * p[kernel.DIVE]), 0), 1)
        lift = u * u * (3 - 2 * u) * min(max(wanted, 0), most)
        drag *= 1 + (lift / most) ** 2
        total += lift * normal
    total -= drag * np.interp(speed / sound, [0, 0.7, 0.95, 1.1, 1.3, 2, 3, 5], [1.3, 1.3, 1.75, 2.3, 2.25, 1.75, 1.35, 1]) * v / speed
    if stage >= 0:
        row = (stages[stage, 0], stages[stage, 1], stages[stage, 2], stages[stage, 3], 0.0)
        total += steer(t, s, LIFTED, [row])
    return np.concatenate([v, total])


@settings(max_examples=60, deadline=None)
@given(
    st.floats(500, 90e3), st.floats(50, 6000), st.floats(-1.2, 1.2), st.floats(-3, 3), st.floats(0.1, 69.0), st.booleans(), st.booleans()
)
def test_derivative_equals_its_plain_twin(h, speed, climb, course, t, burning, lifting):
    burns, p = motion._burns(LIFTED), motion._vector(LIFTED, motion.FINE, False, True)
    east, north, up = frames.enu_axes(*SITE)
    level = math.cos(course) * north + math.sin(course) * east
    s = np.concatenate([frames.ecef(*SITE, h), speed * (math.cos(climb) * level + math.sin(climb) * up)])
    out, d, n, force = np.zeros(6), np.zeros(3), np.zeros(3), np.zeros(3)
    stage = 0 if burning else -1
    kernel.derivative(t, s, stage, 8000.0, lifting, burns, p, out, d, n, force)
    expected = twin(t, s, stage, 8000.0, lifting, burns, p)
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.floats(500, 60e3), st.floats(50, 6000), st.floats(-1.2, 1.2), st.floats(-3, 3), st.floats(0.0, 2000.0), st.integers(0, 99))
def test_forces_off_the_plan_equal_their_plain_twin(h, speed, climb, course, t, seed):
    """In the fall drag off the curve and swaying, forces across, and wind; while a stage burns, pushes along and across its thrust."""
    rng = np.random.default_rng(seed)
    walk, size, wind, rough = rng.standard_normal(16), rng.uniform(0.0, 0.2, 2), rng.normal(0.0, 10.0, 2), rng.uniform(0.0, 0.5, 2)
    tones = np.stack([rng.uniform(0.1, 10.0, (7, 16)), rng.uniform(0.0, 6.0, (7, 16))], axis=2)
    plan = motion.replace(LIFTED, lift=0.0, unsteady=(*walk, *size, *wind, *rough, *tones.ravel()))
    assert len(plan.unsteady) == kernel.UNSTEADY
    east, north, up = frames.enu_axes(*SITE)
    level = math.cos(course) * north + math.sin(course) * east
    s = np.concatenate([frames.ecef(*SITE, h), speed * (math.cos(climb) * level + math.sin(climb) * up)])
    found = []
    for flown in (motion.replace(plan, unsteady=()), plan):
        for stage in (-1, 0):
            out, d, n, force = np.zeros(6), np.zeros(3), np.zeros(3), np.zeros(3)
            burns, p = motion._burns(flown), motion._vector(flown, motion.FINE, False, True)
            kernel.derivative(t, s, stage, 8000.0, 0, burns, p, out, d, n, force)
            found.append((out, force[kernel.DRAGGING]))
    (plain, drag), (burning, dragged), (swayed, braked), (pushed, also) = found
    sway = np.sqrt(2.0 / 16.0) * np.cos(tones[:, :, 0] * t + tones[:, :, 1]).sum(axis=1)

    def normals(along):
        right = np.cross(along, [0.0, 0.0, 1.0])
        return np.stack([right / np.linalg.norm(right), np.cross(along, right / np.linalg.norm(right))])

    out, d = np.zeros(6), np.zeros(3)
    kernel.thrust_direction(t, s, p, d)
    off = (rough[0] * sway[3] + rough[1] * sway[6]) * d + rough[0] * sway[4:6] @ normals(d)
    assert also == dragged
    np.testing.assert_allclose((pushed - burning)[3:], off, atol=1e-8)
    kernel.rough(t, d, p, out, n)
    np.testing.assert_allclose(out[3:], off, atol=1e-12)
    blown = np.array(kernel.blowing(s, p))
    r = s[:3] / np.linalg.norm(s[:3])
    np.testing.assert_allclose(blown, wind[0] * east + wind[1] * np.cross(r, east), atol=1e-9)
    through = s[3:] - blown
    fast, sound = np.linalg.norm(through), air(height(s[:3]))[1]
    knots = 5.0 * np.exp(-0.2 * np.arange(16, -1, -1))
    straight = drag * (fast / speed) ** 2 * drag_factor(fast / sound) / drag_factor(speed / sound)
    own = straight * np.exp(np.interp(np.log(fast / sound), np.log(knots), [*walk[::-1], 0.0]))
    assert np.isclose(braked, own * max(1.0 + size[0] * sway[0], 0.0), rtol=1e-9)
    along = s[3:] / speed
    across = size[1] * own * sway[1:3] @ normals(along)
    np.testing.assert_allclose((swayed - plain)[3:], across - braked * through / fast + drag * along, rtol=1e-6, atol=1e-9 * (drag + own))
    out = np.zeros(6)
    assert kernel.unsteady(t, s, speed, fast / sound, straight, p, out, np.zeros(3)) == pytest.approx(braked, rel=1e-9)
    np.testing.assert_allclose(out, [0, 0, 0, *across], rtol=1e-6, atol=1e-9 * (drag + own))
    out[:] = 0.0
    kernel.sideways(*along, 2.0, -3.0, out, np.zeros(3))
    np.testing.assert_allclose(out[3:], np.array([2.0, -3.0]) @ normals(along), atol=1e-9)


_PLAIN = """
import numpy as np
from copfuse import motion, vehicles
import math
plan = motion.Plan(0.68, 2.19, vehicles.boost(vehicles.PROFILES["SRBM"], 1500.0), (0.1, 0.1), lift=2.0, dive=300.0)
motion.FINE = (1.0, 1.0, 1.0)
flown = motion.launch(plan)
print(len(flown.time), *(value.hex() for value in (flown.time[-1], *flown.x[-1], flown.force[:, 2].max())))
"""


def test_compiled_and_plain_python_fly_alike():
    told = []
    for off in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", _PLAIN], env={**os.environ, "NUMBA_DISABLE_JIT": off}, capture_output=True, text=True, check=True
        )
        count, *numbers = run.stdout.split()
        told.append((int(count), np.array([float.fromhex(number) for number in numbers])))
    assert told[0][0] == told[1][0]
    np.testing.assert_allclose(told[0][1], told[1][1], rtol=1e-10)
    assert told[0][1][-1] > 0.1  # the flight did lift


@pytest.mark.parametrize(
    ("h", "density", "sound"),
    [
        (0, 1.2250, 340.294), (5000, 0.73643, 320.545), (11000, 0.36480, 295.154), (20000, 0.088910, 295.069), (30000, 0.018410, 301.709),
        (50000, 1.0269e-3, 329.799), (70000, 8.2829e-5, 297.061), (80000, 1.8458e-5, 282.538), (86000, 6.958e-6, 274.10),
        (100000, 5.604e-7, None), (150000, 2.076e-9, None), (300000, 1.916e-11, None),
    ],
)  # fmt: skip
def test_air_of_us_standard_atmosphere_1976(h, density, sound):
    """NOAA-S/T 76-1562, tables I and IV."""
    got = air(float(h))
    assert got[0] == pytest.approx(density, rel=3e-4)
    if sound is not None:
        assert got[1] == pytest.approx(sound, rel=1e-4)


# What a trajectory promises --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [SHORT, LONG, LIFTED])
def test_rows_and_events(plan):
    flown = motion.launch(plan)
    assert flown.landed and (np.diff(flown.time) > 0).all() and np.diff(flown.time).max() <= plan.coast_step + 1e-9
    assert flown.time[0] == 0 and not flown.x[0, 3:].any() and abs(flown.altitude[0]) < 1e-6
    assert abs(flown.altitude[-1]) < 1e-3 and (flown.altitude[1:-1] > 0).all()
    for burnout in flown.burnouts:
        assert burnout in flown.time
    top = int(np.argmax(flown.altitude))
    up = frames.enu_axes(*(v[0] for v in frames.geodetic(flown.x[top : top + 1])[:2]))[2]
    assert abs(flown.x[top, 3:] @ up) < 2.0  # the apogee itself is a row
    assert flown.phase[0] == BOOST and (flown.phase[flown.time < flown.burnouts[-1]] == BOOST).all()
    assert (flown.phase[flown.time >= flown.burnouts[-1]] != BOOST).all() and flown.phase[-1] == TERMINAL
    if flown.apogee > 100e3:
        first = np.flatnonzero(flown.phase == TERMINAL)[0]
        assert abs(flown.altitude[first] - 100e3) < 0.01 and (flown.phase == MIDCOURSE).any()
    else:
        assert not (flown.phase == MIDCOURSE).any()
    assert (flown.phase == GLIDE).any() == (plan.lift > 0)


def test_lift_is_bounded_and_only_after_the_apogee():
    flown = motion.launch(LIFTED)
    thrust, drag, lift = flown.force.T
    top = int(np.argmax(flown.altitude))
    assert (lift[:top] == 0).all() and lift.max() > 5 and (lift <= LIFTED.lift * drag + 1e-9).all()
    assert (thrust[flown.time >= flown.burnouts[-1]] == 0).all() and (thrust[:-1][flown.time[:-1] < flown.burnouts[-1]] > 0).all()
    fallen = motion.launch(motion.replace(LIFTED, lift=0.0))
    assert flown.downrange[-1] > fallen.downrange[-1] + 50e3 and abs(flown.apogee - fallen.apogee) < 1e-3


def test_rows_interpolate_to_the_path_between_them(monkeypatch):
    coarse = motion.launch(LONG)
    monkeypatch.setattr(motion, "FINE", (0.05, 0.05, 0.1))
    fine = motion.launch(motion.replace(LONG, coast_step=0.2))
    x = motion.interpolate(coarse.time, coarse.x, fine.time[:-1])
    apart = np.linalg.norm(x[:, :3] - fine.x[:-1, :3], axis=1)
    assert apart.max() < 1.0
    assert np.linalg.norm(x[:, 3:] - fine.x[:-1, 3:], axis=1).max() < 3.0  # at the ends of burns, where thrust jumps


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=12, max_size=12), st.lists(st.floats(0.1, 3), min_size=2, max_size=9))
def test_hermite_is_exact_for_cubics(coefficients, gaps):
    c = np.array(coefficients).reshape(4, 3)
    time = np.cumsum([0.0, *gaps])

    def state(t):
        t = np.asarray(t)[:, None]
        return np.hstack([c[0] + c[1] * t + c[2] * t**2 + c[3] * t**3, c[1] + 2 * c[2] * t + 3 * c[3] * t**2])

    at = np.linspace(0, time[-1], 23)
    np.testing.assert_allclose(motion.interpolate(time, state(time), at), state(at), rtol=1e-9, atol=1e-7)
    ends = motion.interpolate(time, state(time), [-1.0, time[-1] + 1.0])
    np.testing.assert_allclose(ends, state([0.0, time[-1]]), rtol=1e-12, atol=1e-12)


def plain_between(time, x, at):
    """Cubic Hermite on whole arrays."""
    at = np.clip(at, time[0], time[-1])
    i = np.clip(np.searchsorted(time, at, side="right") - 1, 0, len(time) - 2)
    h = (time[i + 1] - time[i])[:, None]
    u = (at - time[i])[:, None] / h
    p0, p1, v0, v1 = x[i, :3], x[i + 1, :3], x[i, 3:] * h, x[i + 1, 3:] * h
    rise = p1 - p0
    position = p0 + u * (v0 + u * (3 * rise - 2 * v0 - v1 + u * (v0 + v1 - 2 * rise)))
    velocity = (v0 + u * (2 * (3 * rise - 2 * v0 - v1) + 3 * u * (v0 + v1 - 2 * rise))) / h
    return np.hstack([position, velocity])


@pytest.mark.kernels
@pytest.mark.parametrize("n", [2, 3, 40])
def test_rows_between_rows_are_those_of_whole_arrays_to_the_bit(n):
    stream = np.random.default_rng(n)
    time, x = np.cumsum(stream.random(n)), 1e6 * stream.standard_normal((n, 6))
    at, out = np.r_[stream.uniform(time[0] - 1.0, time[-1] + 1.0, 50), time], np.empty((50 + n, 6))
    kernel.between(time, x, at, out)
    np.testing.assert_array_equal(out, plain_between(time, x, at))


def test_impacts_agree_with_the_whole_fall():
    flown = motion.launch(SHORT)
    rows = flown.x[flown.phase == TERMINAL][:40:13]
    times, points = motion.impacts(rows, 5000.0)
    for x, t, place in zip(rows, times, points, strict=True):
        fall = motion.free_fall(x, 5000.0)
        assert abs(fall.time[-1] - t) < 0.01 and np.linalg.norm(fall.x[-1, :3] - place) < 2.0
    orbit = [[7000e3, 0, 0, 0, 7500.0, 0]]
    assert np.isnan(motion.impacts(orbit)[0]).all()
    assert motion.impacts(np.zeros((0, 6)))[0].shape == (0,)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(vehicles.PROFILES)), st.floats(800, 10000))
def test_boost_gives_the_velocity_gain_asked_for(name, gain):
    stages = vehicles.boost(vehicles.PROFILES[name], gain)
    ideal = [s.thrust * s.tau * -math.log1p(-s.burn / s.tau) for s in stages]
    assert sum(ideal) == pytest.approx(gain, rel=1e-6)
    for stage, burn in zip(stages, vehicles.PROFILES[name].burn, strict=True):
        assert stage.thrust > 1.49 * 9.8 and 0 < stage.burn <= burn + 1e-9 and stage.burn < 0.96 * stage.tau


@pytest.mark.parametrize(
    ("name", "altitude", "speed", "angle_deg"),
    [("SRBM", 40e3, 2400.0, 42.0), ("SRBM", 25e3, 1500.0, 20.0), ("MRBM", 60e3, 3000.0, 75.0), ("ICBM", 400e3, 6500.0, 60.0)],
)
def test_arc_burns_out_as_asked(name, altitude, speed, angle_deg):
    azimuth = math.radians(80)
    flown = motion.arc(*SITE, azimuth, altitude, speed, math.radians(angle_deg), vehicles.PROFILES[name])
    x = flown.x[np.searchsorted(flown.time, flown.burnouts[-1])]
    lat, lon, h = (v[0] for v in frames.geodetic(x))
    east, north, up = frames.enu_axes(lat, lon)
    assert h == pytest.approx(altitude, rel=2e-3)
    assert np.linalg.norm(x[3:]) == pytest.approx(speed, rel=2e-3)
    assert math.degrees(math.asin(x[3:] @ up / np.linalg.norm(x[3:]))) == pytest.approx(angle_deg, abs=0.1)
    course = math.degrees(math.atan2(x[3:] @ east, x[3:] @ north))
    assert course == pytest.approx(80, abs=3.0) and flown.landed


def test_arc_refuses_the_impossible():
    with pytest.raises(CopfuseError, match="no boost from rest burns out at 1 km with 7000 m/s"):
        motion.arc(*SITE, 1.0, 1e3, 7000.0, math.radians(5), vehicles.PROFILES["SRBM"])


def test_spent_stages_and_fragments_start_where_they_are_shed():
    flown = motion.launch(LONG)
    stages = motion.spent_stages(flown, vehicles.PROFILES["ICBM"])
    assert [k for k, _ in stages] == [1, 2]
    for k, stage in stages:
        x = motion.interpolate(flown.time, flown.x, [flown.burnouts[k - 1]])[0]
        assert stage.time[0] == flown.burnouts[k - 1] and np.array_equal(stage.x[0, :3], x[:3])
        assert np.linalg.norm(x[3:]) - np.linalg.norm(stage.x[0, 3:]) == pytest.approx(vehicles.SEPARATION)
        assert stage.landed and not (stage.phase == BOOST).any()
    short = motion.launch(SHORT)
    assert motion.spent_stages(short, vehicles.PROFILES["SRBM"]) == []
    pieces = [motion.fragments(short, 5, np.random.default_rng(3)) for _ in range(2)]
    assert len(pieces[0]) == 5 and all(f.landed and 0.004 < rcs < 0.21 for f, rcs in pieces[0])
    assert all(np.array_equal(a.x, b.x) and r == s for (a, r), (b, s) in zip(*pieces, strict=True))
    assert EARTH_OMEGA == OMEGA
