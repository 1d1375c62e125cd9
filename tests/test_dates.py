"""Dates as people write them."""

from __future__ import annotations

from datetime import date

import pytest

from image_catalog.dates import parse_date

TODAY = date(2024, 3, 31)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023", "2023"),
        ("2023-06", "2023-06"),
        ("2023-6-5", "2023-06-05"),
        ("2023/06/15", "2023-06-15"),
        ("15.06.2023", "2023-06-15"),
        ("6.2023", "2023-06"),
        (" today ", "2024-03-31"),
        ("Вчера", "2024-03-30"),
        ("2 weeks ago", "2024-03-17"),
        ("3 days ago", "2024-03-28"),
        ("неделю назад", "2024-03-24"),
        ("2 недели назад", "2024-03-17"),
        ("1 month ago", "2024-02-29"),
        ("3 месяца назад", "2023-12-31"),
        ("год назад", "2023-03-31"),
        ("5 лет назад", "2019-03-31"),
        ("4 years ago", "2020-03-31"),
        ("a week ago", "2024-03-24"),
        ("June 2023", "2023-06"),
        ("июнь 2023", "2023-06"),
        ("15 июня 2023", "2023-06-15"),
        ("last year", "2023"),
        ("в прошлом году", "2023"),
        ("last month", "2024-02"),
        ("15/06/2023", "2023-06-15"),
        ("2023 год", "2023"),
        ("в 2023 году", "2023"),
        ("2023 г.", "2023"),
        ("in 2023", "2023"),
        ("2023-06-15T10:00", "2023-06-15"),
    ],
)
def test_a_date(text: str, expected: str) -> None:
    assert parse_date(text, TODAY) == expected


@pytest.mark.parametrize(
    "text",
    ["", "someday", "2023-13", "2023-02-30", "2023-06-", "0000", "32.01.2023", "week", "2 moons ago", "9999 years ago"]
    + [
        "a",
        "12",
        "десятилетие назад",
        "2 дюжины назад",
        "30 feb 2023",
        "x" * 1000,
        "Атлантида",
        "1/2/3",
        "3000 years",
        "year 2300",
    ],
)
def test_no_date(text: str) -> None:
    with pytest.raises(ValueError):
        parse_date(text, TODAY)
