"""The small map: the pin is where the picture was taken, the window is within the world, the land is where it should be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from image_catalog.gallery import world_map
from image_catalog.gallery.world_map import map_of

LAND = Path(world_map.__file__).parent / "static" / "world.svg"
PLACES = [(43.585, 39.723), (-33.86, 151.21), (64.15, -21.94), (0.0, 0.0), (-54.8, -68.3), (66.0, -179.9), (-17.7, 178.1)]


def window(svg: str) -> tuple[float, float, float, float]:
    found = re.search(r'viewBox="([^"]+)"', svg)
    assert found
    left, top, width, height = map(float, found[1].split())
    return left / 10, top / 10, width / 10, height / 10


def pin(svg: str) -> tuple[float, float]:
    """Degrees east and south."""
    found = re.search(r"translate\((\S+) (\S+)\)", svg)
    assert found
    return float(found[1]) / 10, float(found[2]) / 10


@pytest.mark.parametrize(("latitude", "longitude"), PLACES)
def test_the_pin_is_where_it_was_taken_and_in_the_window(latitude: float, longitude: float) -> None:
    svg = map_of(latitude, longitude)
    east, south = pin(svg)
    left, top, width, height = window(svg)
    assert east == pytest.approx(longitude, abs=0.06)
    assert south == pytest.approx(-latitude, abs=0.06)
    assert -180 <= left <= east <= left + width <= 180
    assert top <= south <= top + height


@pytest.mark.parametrize("latitude", [-90, -75.1, 90])
def test_a_picture_from_a_pole_has_a_pin_at_the_edge(latitude: float) -> None:
    svg = map_of(latitude, 0)
    _, top, _, height = window(svg)
    assert top <= pin(svg)[1] <= top + height


@pytest.mark.parametrize("position", [(91, 0), (0, 181), (float("nan"), 0), (0, float("inf"))])
def test_no_position_is_no_map(position: tuple[float, float]) -> None:
    assert map_of(*position) == ""


def is_land(latitude: float, longitude: float) -> bool:
    """Whether a point lies within an odd number of coasts, as the browser's evenodd rule has it."""
    path = re.search(r' d="([^"]+)"', LAND.read_text(encoding="utf-8"))
    assert path
    x, y, crossings = longitude * 10, -latitude * 10, 0
    for ring in path[1].split("M0 0m")[1:]:
        points = positions(ring)
        for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1], strict=True):
            if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
                crossings += 1
    return crossings % 2 == 1


def positions(ring: str) -> list[tuple[int, int]]:
    numbers = [int(number) for number in re.findall(r"-?\d+", ring)]
    points, x, y = [], 0, 0
    for step_x, step_y in zip(numbers[::2], numbers[1::2], strict=True):
        x, y = x + step_x, y + step_y
        points.append((x, y))
    return points


@pytest.mark.parametrize(
    ("name", "latitude", "longitude", "expected"),
    [
        ("Moscow", 55.75, 37.62, True),
        ("Chukotka, beyond the 180th meridian", 66.5, -175.0, True),
        ("Chukotka, before it", 66.5, 175.0, True),
        ("Kansas", 38.5, -98.0, True),
        ("Brasilia", -15.8, -47.9, True),
        ("Alice Springs", -23.7, 133.9, True),
        ("Reykjavik's inland", 64.8, -19.0, True),
        ("Atlantic", 30.0, -40.0, False),
        ("Pacific", 0.0, -150.0, False),
        ("Indian Ocean", -30.0, 80.0, False),
        ("Black Sea", 43.3, 34.5, False),
        ("Mediterranean", 35.0, 18.0, False),
    ],
)
def test_the_land_is_where_it_is(name: str, latitude: float, longitude: float, expected: bool) -> None:
    assert is_land(latitude, longitude) is expected, name


def test_the_land_is_small_and_says_whose_it_is() -> None:
    text = LAND.read_text(encoding="utf-8")
    assert len(text) < 60_000
    assert "Natural Earth" in text and "public domain" in text
