"""How high must something be before a radar can see it?  Makes lowest_visible_altitude.png.

The rocket of 13 April 2012 rose to 120 km, 1360 km from the radars that waited for it, and no Japanese radar saw it.
"""

import numpy as np
from matplotlib.figure import Figure

import copfuse as cf
from copfuse.constants import EARTH_RADIUS

distance = np.linspace(1e3, 1.6e6, 400)
km = distance / 1e3
figure = Figure(figsize=(9, 5.6), dpi=125, layout="constrained")
ax = figure.subplots()

for height, elevation, text, colour in (
    (200.0, np.radians(2.0), "antenna at 200 m, not below 2° elevation", "#CC79A7"),
    (200.0, np.radians(1.0), "antenna at 200 m, not below 1°", "#D55E00"),
    (0.0, None, "at sea level, the ray that grazes the sea", "#0072B2"),
    (200.0, None, "at 200 m", "#56B4E9"),
    (9000.0, None, "at 9 km (aircraft)", "#009E73"),
):
    ax.plot(km, cf.lowest_visible_altitude(height, distance, elevation) / 1e3, color=colour, lw=2, label=text)
ax.plot(km, distance**2 / (2 * 4 / 3 * EARTH_RADIUS) / 1e3, "k:", lw=1.2, label="at sea level by the 4/3-Earth rule: too low far out")
ax.plot(1360, 120, "kX", ms=9)
ax.annotate("13 April 2012:\napogee 120 km, 1360 km away", (1360, 120), (1010, 190), arrowprops=dict(arrowstyle="-"))
ax.set(xlabel="distance along the ground, km", ylabel="lowest visible altitude, km", xlim=(0, 1600), ylim=(0, 300))
ax.set_title("What stays below the horizon", loc="left", fontweight="bold")
ax.grid(color="#DDDDDD", lw=0.6)
ax.legend(loc="upper left", frameon=False)
figure.savefig("lowest_visible_altitude.png")
print(f"lowest visible altitude at 1360 km: {cf.lowest_visible_altitude(0.0, 1.36e6) / 1e3:.1f} km from sea level, "
      f"{cf.lowest_visible_altitude(200.0, 1.36e6) / 1e3:.1f} km from 200 m")  # fmt: skip
