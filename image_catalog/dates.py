"""Dates as people write them -> the beginning of an ISO date, as it compares with images.taken_at.

What is written in numbers, and `2 weeks ago`, is read here, in no time; the rest is dateparser's.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

_ONLY_YEAR = re.compile(r"(?:in |в )?(\d{4})(?: ?г\.?| год| году| года)?")
_YEAR_FIRST = re.compile(r"(\d{4})(?:[-./](\d{1,2})(?:[-./](\d{1,2}))?)?")
_TIME_OF_DAY = re.compile(r"(.*\d)[t ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?:z|[+-]\d{2}:?\d{2})?")
_DAY_FIRST = re.compile(r"(?:(?:(\d{1,2})\.)?(\d{1,2})\.)?(\d{4})")  # 15.06.2023 and 06.2023, as in Russian
_AGO = re.compile(r"(?:(\d{1,4}|[a-zа-я]+)\s*)?\b([a-zа-я]+)\s+(?:ago|назад)")
_NUMBERS = (
    "a an one один одну|two два две|three три|four четыре|five пять|six шесть|seven семь|eight восемь|nine девять|ten десять"
)
_DAYS = {"today": 0, "yesterday": 1, "сегодня": 0, "вчера": 1, "позавчера": 2}
# Units and their days; months and years have days of their own.
_UNITS = {
    1: "day days день дня дней",
    7: "week weeks неделя неделю недели недель",
    30: "month months месяц месяца месяцев",
    365: "year years год года лет",
}
_OLDEST = 1800  # no photograph is older; a year before is a misunderstanding
_WORD = re.compile("[^\\W\\d_]{3}")
_SLASHES = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")


def parse_date(text: str, today: date) -> str:
    """`2023`, `2023-06`, `2023-06-15` or `2023-06-15T18:30:00` for what `text` says; raises ValueError when it says no date.

    Understands also 15.06.2023, 06.2023, today, yesterday, `2 weeks ago`, `неделю назад`, `june 2023`, `в прошлом году` and
    the like. A time of day is the camera's own, as in taken_at; its distance to UTC is not looked at.
    """
    text = " ".join(text.casefold().split())
    if match := _TIME_OF_DAY.fullmatch(text):
        day = parse_date(match[1], today)
        if len(day) < len("2023-06-15"):
            raise ValueError(text)
        return datetime.fromisoformat(f"{day}T{match[2].zfill(2)}:{match[3]}:{match[4] or '00'}").isoformat()
    if text in _DAYS:
        return (today - timedelta(_DAYS[text])).isoformat()
    ago = _AGO.fullmatch(text)
    if ago and (days := _days_of(ago[2])) and (count := _number(ago[1] or "one")):
        return _earlier(today, count, days).isoformat()
    if match := _ONLY_YEAR.fullmatch(text):
        text = match[1]
    if match := _YEAR_FIRST.fullmatch(text):
        year, month, day = match.groups()
    elif match := _DAY_FIRST.fullmatch(text):
        day, month, year = match.groups()
    else:
        return _as_spoken(text, today)
    found = date(int(year), int(month or 1), int(day or 1)).isoformat()
    return found if day else found[:7] if month else found[:4]


def _number(text: str) -> int | None:
    if text.isdigit():
        return int(text)
    return next((number for number, names in enumerate(_NUMBERS.split("|"), 1) if text in names.split()), None)


def _days_of(unit: str) -> int | None:
    return next((days for days, names in _UNITS.items() if unit in names.split()), None)


def _earlier(today: date, count: int, days: int) -> date:
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


def _as_spoken(text: str, today: date) -> str:
    """Months and weekdays by name and what else people say, in English and Russian; day before month where both are numbers."""
    if not (_WORD.search(text) or _SLASHES.fullmatch(text)):  # dateparser takes `a` and `12` for dates, too
        raise ValueError(text)
    from dateparser.date import DateDataParser  # 0.1 s, for who writes dates so

    start = datetime(today.year, today.month, today.day)
    settings = {"RELATIVE_BASE": start, "PREFER_DATES_FROM": "past", "DATE_ORDER": "DMY"}
    settings |= {"PREFER_DAY_OF_MONTH": "first", "PREFER_MONTH_OF_YEAR": "first"}
    found = DateDataParser(languages=["en", "ru"], settings=settings).get_date_data(text)
    if found.date_obj is None or not _OLDEST <= found.date_obj.year <= today.year + 1:
        raise ValueError(text)
    day: date = found.date_obj.date()
    return day.isoformat()[: {"year": 4, "month": 7}.get(found.period or "", 10)]
