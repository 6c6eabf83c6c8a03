"""Build src/copfuse/data/land.npz: the Earth's land as polygon rings, from Natural Earth (public domain).

    npm pack world-atlas@2.0.2 && tar xf world-atlas-2.0.2.tgz
    python data/build_land.py package/land-10m.json

The npm package ``world-atlas`` carries Natural Earth's land polygons as TopoJSON (1:10 million; land only, no political
borders).  They are simplified after Douglas and Peucker (1973), finely around the Sea of Japan, where maps are drawn
large, and coarsely elsewhere.  The result holds ``vertices (n, 2)`` float32, longitude and latitude in degrees, and
``offsets (rings + 1,)``: ring i is ``vertices[offsets[i]:offsets[i + 1]]``, closed; where it crosses the 180th meridian
the longitude jumps from 180 to −180.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FINE_BOX = (117.0, 154.0, 22.0, 55.0)  # degrees: west, east, south, north
FINE, COARSE = 0.006, 0.06  # degrees: how far a vertex must stand off the simplified line to be kept
SMALLEST_FINE, SMALLEST_COARSE = 0.03, 0.25  # degrees: smaller islands are left out


def rings(path: str) -> list[np.ndarray]:
    """Every polygon ring of a TopoJSON land file, longitude and latitude in degrees, (n, 2) each."""
    atlas = json.loads(Path(path).read_text())
    scale, shift = np.array(atlas["transform"]["scale"]), np.array(atlas["transform"]["translate"])
    arcs = [np.cumsum(np.array(arc), axis=0) * scale + shift for arc in atlas["arcs"]]
    found = []
    for geometry in atlas["objects"]["land"]["geometries"]:
        polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
        for ring in (ring for polygon in polygons for ring in polygon):
            parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in ring]  # a negative number is an arc walked backwards
            found.append(np.concatenate([parts[0], *(part[1:] for part in parts[1:])]))
    return found


def in_fine_box(points: np.ndarray) -> np.ndarray:
    """Which points lie where maps are drawn large."""
    west, east, south, north = FINE_BOX
    return (points[:, 0] > west) & (points[:, 0] < east) & (points[:, 1] > south) & (points[:, 1] < north)


def simplified(ring: np.ndarray) -> np.ndarray:
    """The ring without the vertices that stand less than the tolerance of their place off the line."""
    tolerance = np.where(in_fine_box(ring), FINE, COARSE)
    keep = np.zeros(len(ring), bool)
    keep[[0, -1]] = True
    stack = [(0, len(ring) // 2), (len(ring) // 2, len(ring) - 1)]
    keep[len(ring) // 2] = True
    while stack:
        first, last = stack.pop()
        inner = ring[first + 1 : last]
        if len(inner) == 0:
            continue
        along = ring[last] - ring[first]
        off = inner - ring[first]
        share = np.clip(off @ along / max(along @ along, 1e-12), 0.0, 1.0)
        excess = np.linalg.norm(off - share[:, None] * along, axis=1) / tolerance[first + 1 : last]
        worst = int(np.argmax(excess))
        if excess[worst] > 1.0:
            middle = first + 1 + worst
            keep[middle] = True
            stack += [(first, middle), (middle, last)]
    return ring[keep]


def main(path: str) -> None:
    """Read the TopoJSON file and write the package's land.npz."""
    kept = []
    for ring in rings(path):
        smallest = SMALLEST_FINE if in_fine_box(ring).any() else SMALLEST_COARSE
        if np.max(np.ptp(ring, axis=0)) >= smallest:
            ring = simplified(ring)
            if len(ring) >= 4:
                kept.append(np.round(ring, 3).astype(np.float32))
    offsets = np.cumsum([0, *map(len, kept)]).astype(np.int32)
    target = HERE.parent / "src" / "copfuse" / "data" / "land.npz"
    np.savez_compressed(target, vertices=np.concatenate(kept), offsets=offsets)
    print(f"{target.name}: {len(kept)} rings, {offsets[-1]} vertices, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
