"""Filters as they are typed."""

from __future__ import annotations

import os

import pytest

from image_catalog.errors import UsageError
from image_catalog.search_filter import Filter, Near, read


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("after", "2023-6", Filter(after="2023-06")),
        ("before", "2023", Filter(before="2023")),
        ("camera", " Canon ", Filter(cameras=("Canon",))),
        ("folder", "a/../b", Filter(folders=(os.path.abspath("b"),))),
        ("near", "43.5,39.7", Filter(near=(Near(43.5, 39.7, 10.0),))),
        ("near", "-43.5, 39.7, 0.5", Filter(near=(Near(-43.5, 39.7, 0.5),))),
        ("near", "Сочи", Filter(near=(Near(0.0, 0.0, 0.0, "Сочи"),))),
        ("near", "Washington, D.C., 20", Filter(near=(Near(0.0, 0.0, 20.0, "Washington, D.C."),))),
        ("near", "пекин, 20 км", Filter(near=(Near(0.0, 0.0, 20.0, "пекин"),))),
        ("near", "43.5,39.7,5km", Filter(near=(Near(43.5, 39.7, 5.0),))),
        ("folder", "no such folder here", Filter(folders=("no such folder here",))),
        ("format", ".jpg", Filter(formats=("JPEG",))),
        ("format", "heic", Filter(formats=("HEIF",))),
        ("min-size", "2000", Filter(min_size=2000)),
        ("orientation", "Portrait", Filter(orientations=("portrait",))),
        ("has", "text", Filter(has_text=True)),
    ],
)
def test_a_filter(name: str, value: str, expected: Filter) -> None:
    assert read([(name, value)]) == expected


def test_all_of_several_must_hold() -> None:
    pairs = [("after", "2020"), ("after", "2021-05"), ("before", "2024"), ("before", "2023"), ("tag", "a"), ("tag", "b")]
    assert read(pairs) == Filter(after="2021-05", before="2023", tags=("a", "b"))
    assert read([]).is_empty()


@pytest.mark.parametrize(
    ("name", "value"),
    [("after", "someday"), ("before", "2023-02-30"), ("camera", " "), ("tag", "")]
    + [
        ("near", text)
        for text in ("91,0", "0,181", "nan,1", "1,inf", "1", "1,2,0", "1,2,-5", "1,2,3,4", "1,b", "Сочи,0", ",5", "Сочи,", ",")
    ]
    + [("min-size", text) for text in ("0", "-1", "²", "big", "1e3", "9" * 5000)]
    + [("orientation", "up"), ("has", "faces")],
)
def test_an_impossible_filter_is_one_line_for_the_user(name: str, value: str) -> None:
    with pytest.raises(UsageError) as error:
        read([(name, value)])
    assert error.value.remedy
