"""Every physical number of the package, its source on the line, and the few fixed name lists."""

# WGS-84 (NIMA TR8350.2, 3rd ed., tables 3.1 and 3.3)
MU = 3.986004418e14  # m^3/s^2, geocentric gravitational constant
EARTH_A = 6378137.0  # m, semi-major axis
EARTH_F = 1.0 / 298.257223563  # flattening
EARTH_OMEGA = 7.292115e-5  # rad/s, rotation
J2 = 1.08262982e-3  # unnormalised, from C20 = -4.84166774985e-4 * sqrt(5) (EGM96)

EARTH_B = EARTH_A * (1.0 - EARTH_F)  # m, semi-minor axis
EARTH_E2 = EARTH_F * (2.0 - EARTH_F)  # first eccentricity squared
EARTH_RADIUS = 6371000.0  # m, mean radius used by the spherical horizon model

G0 = 9.80665  # m/s^2, standard gravity (CGPM 1901)
SPEED_OF_LIGHT = 299792458.0  # m/s, exact (SI)
GEO_ALTITUDE = 35786000.0  # m, geostationary altitude

# Exponential refractivity profile n = 1 + N exp(-h / H), CRPL reference with N = 315 (ITU-R P.453)
REFRACTIVITY = 315e-6
REFRACTIVITY_HEIGHT = 7350.0  # m

REENTRY_ALTITUDE = 100e3  # m, midcourse ends where a descending object passes it

PHASES = ("boost", "midcourse", "terminal", "glide")
BOOST, MIDCOURSE, TERMINAL, GLIDE = range(4)

NATIONS = ("KOR", "JPN", "USA")
NODES = ("KOR", "JPN", "USA", "HUB")  # the hub holds the common picture
