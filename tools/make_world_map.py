"""land-50m.json of the npm package world-atlas -> image_catalog/gallery/static/world.svg, the land on the maps of the page.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python tools/make_world_map.py package/land-50m.json

The coasts are Natural Earth's (https://www.naturalearthdata.com), which are in the public domain; world-atlas (ISC) has them as
TopoJSON (https://github.com/topojson/topojson-specification). The map has no borders: coasts do not depend on who draws them.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MAP = Path(__file__).resolve().parent.parent / "image_catalog" / "gallery" / "static" / "world.svg"
_TOLERANCE = 0.18  # degrees: half a pixel of a map that is 360 pixels wide and shows 140 degrees
_SMALLEST = 0.25  # square degrees: smaller islands are left out
_SOUTH = -60.0  # degrees: Antarctica is left out

Point = tuple[float, float]
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1800 -840 3600 1440">
<!-- Natural Earth 1:50m land, public domain. Made by tools/make_world_map.py. x: tenths of a degree east, y: south. -->
<path id="land" d="{path}"/>
</svg>
"""


def main(argv: list[str]) -> int:
    (file,) = argv
    rings = [_simplified(ring) for ring in _rings(json.loads(Path(file).read_text(encoding="utf-8"))) if _is_shown(ring)]
    path = "".join(_path(ring) for ring in rings if len(ring) > 3)
    _MAP.write_text(_SVG.format(path=path), encoding="utf-8")
    print(f"{_MAP}: {_MAP.stat().st_size:,} bytes, {len(rings)} coasts")
    return 0


def _rings(topology: dict[str, Any]) -> Iterator[list[Point]]:
    """The closed lines around land and lakes."""
    arcs = [_decoded(arc, topology["transform"]) for arc in topology["arcs"]]
    for geometry in topology["objects"]["land"]["geometries"]:
        for polygon in geometry["arcs"]:
            for numbers in polygon:
                yield from _both_sides(_joined([arcs[number] if number >= 0 else arcs[~number][::-1] for number in numbers]))


def _decoded(arc: list[list[int]], transform: dict[str, list[float]]) -> list[Point]:
    """Delta-encoded integers -> degrees (TopoJSON 2.1.2, 2.1.3)."""
    (scale_x, scale_y), (left, bottom) = transform["scale"], transform["translate"]
    x = y = 0
    points = []
    for step_x, step_y in arc:
        x, y = x + step_x, y + step_y
        points.append((x * scale_x + left, y * scale_y + bottom))
    return points


def _joined(arcs: list[list[Point]]) -> list[Point]:
    """Each arc begins where the one before ends."""
    return [point for arc in arcs for point in arc[:-1]] + arcs[-1][-1:]


def _both_sides(ring: list[Point]) -> Iterator[list[Point]]:
    """A coast that crosses the 180th meridian goes on beyond it, and stands at the other edge of the map once more."""
    turn, points = 0.0, [ring[0]]
    for (x_before, _), (x, y) in itertools.pairwise(ring):
        turn += 360.0 * ((x_before - x > 180) - (x - x_before > 180))
        points.append((x + turn, y))
    yield points
    for edge, way in ((180.0, -360.0), (-180.0, 360.0)):
        if any((x - edge) * way < 0 for x, _ in points):
            yield [(x + way, y) for x, y in points]


def _is_shown(ring: list[Point]) -> bool:
    return max(y for _, y in ring) > _SOUTH and _area(ring) > _SMALLEST


def _area(ring: list[Point]) -> float:
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in itertools.pairwise(ring))) / 2


def _simplified(ring: list[Point]) -> list[Point]:
    """Douglas and Peucker, on both halves: the ends of a ring are one point."""
    middle = len(ring) // 2
    return _thinned(ring[: middle + 1])[:-1] + _thinned(ring[middle:])


def _thinned(line: list[Point]) -> list[Point]:
    if len(line) < 3:
        return line
    distance, farthest = max((_distance(point, line[0], line[-1]), number) for number, point in enumerate(line[1:-1], 1))
    if distance < _TOLERANCE:
        return [line[0], line[-1]]
    return _thinned(line[: farthest + 1])[:-1] + _thinned(line[farthest:])


def _distance(point: Point, start: Point, end: Point) -> float:
    """From a point to the line through two others, in degrees."""
    (x, y), (x1, y1), (x2, y2) = point, start, end
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    if not length:
        return float(((x - x1) ** 2 + (y - y1) ** 2) ** 0.5)
    return abs((x2 - x1) * (y1 - y) - (x1 - x) * (y2 - y1)) / length


def _path(ring: list[Point]) -> str:
    """Steps from point to point; south is down."""
    tenths = [(round(x * 10), round(-y * 10)) for x, y in ring]
    steps = [(x - x0, y - y0) for (x0, y0), (x, y) in zip([(0, 0), *tenths], tenths, strict=False)]
    return "M0 0m" + " ".join(f"{x} {y}" for x, y in steps if x or y).replace(" -", "-") + "z"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
