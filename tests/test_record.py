"""Records behave as frozen dataclasses do."""

from __future__ import annotations

import pytest

from image_catalog.record import Record


class Point(Record):
    x: float
    y: float = 0.0


def test_fields_by_place_by_name_and_by_default() -> None:
    assert (Point(1).x, Point(1).y) == (1, 0.0)
    assert Point(1, y=2) == Point(x=1, y=2)
    assert repr(Point(1)) == "Point(x=1, y=0.0)"


def test_equal_records_are_one_key() -> None:
    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2
    assert Point(1) != (1, 0.0)


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": 1}), ((1, 2, 3, 4), {"y": 1})]
)
def test_wrong_fields_are_refused(values: tuple[float, ...], named: dict[str, float]) -> None:
    with pytest.raises(TypeError):
        Point(*values, **named)


def test_a_record_never_changes() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]
    assert point.with_(y=3) == Point(1, 3)
    assert point == Point(1)
