"""Dates as people write them -> the beginning of an ISO date, as it compares with images.taken_at."""

from __future__ import annotations

import re
from datetime import date, timedelta

_YEAR_FIRST = re.compile(r"(\d{4})(?:[-./](\d{1,2})(?:[-./](\d{1,2}))?)?")
_DAY_FIRST = re.compile(r"(?:(?:(\d{1,2})\.)?(\d{1,2})\.)?(\d{4})")  # 15.06.2023 and 06.2023, as in Russian
_AGO = re.compile(r"(?:(\d{1,4})\s*)?([a-zа-я]+)\s+(?:ago|назад)")
_DAYS = {"today": 0, "yesterday": 1, "сегодня": 0, "вчера": 1, "позавчера": 2}
# The beginnings of the units' names, with their days; months and years have days of their own.
_UNITS = {"day": 1, "д": 1, "week": 7, "недел": 7, "month": 30, "месяц": 30, "year": 365, "год": 365, "лет": 365}


def parse_date(text: str, today: date) -> str:
    """`2023`, `2023-06` or `2023-06-15` for what `text` says; raises ValueError when it says no date.

    Understands also 15.06.2023, 06.2023, today, yesterday, `2 weeks ago`, `неделю назад` and the like.
    """
    text = text.strip().casefold()
    if text in _DAYS:
        return (today - timedelta(_DAYS[text])).isoformat()
    if ago := _AGO.fullmatch(text):
        return _earlier(today, int(ago[1] or 1), ago[2]).isoformat()
    if match := _YEAR_FIRST.fullmatch(text):
        year, month, day = match.groups()
    elif match := _DAY_FIRST.fullmatch(text):
        day, month, year = match.groups()
    else:
        raise ValueError(text)
    found = date(int(year), int(month or 1), int(day or 1)).isoformat()
    return found if day else found[:7] if month else found[:4]


def _earlier(today: date, count: int, unit: str) -> date:
    days = next((days for name, days in _UNITS.items() if unit.startswith(name)), None)
    if days is None:
        raise ValueError(unit)
    if days < 30:
        return today - timedelta(count * days)
    months = today.year * 12 + today.month - 1 - count * (12 if days == 365 else 1)
    year, month = divmod(months, 12)
    for day in range(today.day, 27, -1):  # the 31st, where there is one
        try:
            return date(year, month + 1, day)
        except ValueError:
            continue
    return date(year, month + 1, min(today.day, 28))
