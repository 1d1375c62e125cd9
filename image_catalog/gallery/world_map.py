"""A position -> a small map of that part of the Earth with a pin, as SVG.

The land is static/world.svg (Natural Earth, public domain; made by tools/make_world_map.py), which the browser loads once; here
only the window around the position and the pin are written. Plate carrée: a degree of longitude is as wide as one of latitude.
Knows nothing of places' names.
"""

from __future__ import annotations

import math

_WIDTH, _HEIGHT = 140, 70  # degrees shown
_NORTH, _SOUTH = 84.0, -60.0  # the land of world.svg ends here
_UNIT = 10  # of world.svg: tenths of a degree
_GRID = 30  # degrees between the lines
_PIN = (
    '<circle class="map-halo" r="55"/>'
    '<path d="M0 0c-9-17-34-34-34-63a34 34 0 0 1 68 0c0 29-25 46-34 63z"/><circle cy="-63" r="13"/>'
)


def map_of(latitude: float, longitude: float, land: str = "/static/world.svg") -> str:
    """A map around a position in degrees; `land` is the URL of world.svg. Empty for what is no position on the Earth.

    Colours are the stylesheet's: .map-land, .map-grid, .map-pin.
    """
    if not (math.isfinite(latitude) and math.isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180):
        return ""
    left = _within(longitude - _WIDTH / 2, -180.0, 180.0 - _WIDTH)
    top = _within(-latitude - _HEIGHT / 2, -_NORTH, -_SOUTH - _HEIGHT)
    pin = _within(-latitude, top, top + _HEIGHT)  # Antarctica is at the lower edge
    box = " ".join(f"{value * _UNIT:.0f}" for value in (left, top, _WIDTH, _HEIGHT))
    return (
        f'<svg class="map" viewBox="{box}" role="img" aria-label="{latitude:.4f}, {longitude:.4f}">'
        f'<use class="map-land" href="{land}#land"/><path class="map-grid" d="{_grid(left, top)}"/>'
        f'<g class="map-pin" transform="translate({longitude * _UNIT:.0f} {pin * _UNIT:.0f})">'
        f"{_PIN}</g></svg>"
    )


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


def _grid(left: float, top: float) -> str:
    """Meridians and parallels that cross the window."""
    meridians = range(math.ceil(left / _GRID) * _GRID, math.ceil(left + _WIDTH), _GRID)
    parallels = range(math.ceil(top / _GRID) * _GRID, math.ceil(top + _HEIGHT), _GRID)
    vertical = "".join(f"M{x * _UNIT} {top * _UNIT:.0f}v{_HEIGHT * _UNIT}" for x in meridians)
    return vertical + "".join(f"M{left * _UNIT:.0f} {y * _UNIT}h{_WIDTH * _UNIT}" for y in parallels)
