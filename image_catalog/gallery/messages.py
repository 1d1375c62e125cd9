"""What the page says, in the language of who looks: texts with plurals, and dates, numbers and sizes as people write them.

The words themselves are in texts_en.py and texts_ru.py. Knows nothing of HTML: templates escape what comes from here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from image_catalog.gallery.texts_en import ENGLISH, Text
from image_catalog.gallery.texts_ru import RUSSIAN

LANGUAGES = {"en": ENGLISH, "ru": RUSSIAN}
# What the page's own scripts say.
BROWSER = (
    "found", "pictures", "why.words", "why.facts", "why.meaning", "state.waiting", "state.failed", "copies", "copied",
    "copy_failed", "from_on", "before_on", "months.short", "months.in_date", "did_not_work", "opened", "results_shown",
    "timeline.all", "in_month", "picture_of",
    "coverage.all", "coverage.some", "coverage.waiting", "coverage.failed", "coverage.behind",
)  # fmt: skip

_THIN_SPACE = "\u00a0"  # does not break: between groups of digits, and between a number and its unit
_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60
_SUMMARY = ("new", "changed", "moved", "unchanged", "gone", "described", "failed")
_EXITS = {0: "done", 1: "some_failed", 130: "stopped", 143: "stopped"}


@cache
def messages(language: str) -> Messages:
    """The texts of a language, "en" or "ru"; another one gets English."""
    return Messages(language if language in LANGUAGES else "en")


def choose_language(accept_language: str) -> str:
    """ "ru" or "en": the one that the header Accept-Language (RFC 9110, 12.5.4) wants most; English when it wants neither."""
    wanted: dict[str, float] = {}
    for part in accept_language[:1000].split(","):
        found = re.fullmatch(r"\s*([A-Za-z]{2,8})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?", part)
        if found and found[1].lower() in LANGUAGES:
            language = found[1].lower()
            wanted[language] = max(wanted.get(language, 0.0), float(found[2] or 1))
    return max(wanted, key=wanted.__getitem__) if wanted and max(wanted.values()) > 0 else "en"


class Messages:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        self.lang = language
        self._texts = LANGUAGES[language]

    def __call__(self, key: str, **values: Any) -> str:
        """The text of `key` with `values` in it; the number `n` chooses the plural form. Raises KeyError for an unknown key."""
        text = self._texts[key]
        if isinstance(text, tuple):
            text = text[_plural(self.lang, abs(int(values["n"])))]
        shown = {name: self.number(value) if isinstance(value, int) else value for name, value in values.items()}
        return text.format_map(shown) if shown else text

    def browser_texts(self) -> str:
        """What the page's scripts say, as JSON: key -> text or plural forms."""
        texts: dict[str, Text] = {key: self._texts[key] for key in BROWSER}
        return json.dumps({"lang": self.lang, **texts}, ensure_ascii=False)

    def number(self, number: int | None) -> str:
        """12,345 or 12 345; nothing for None."""
        if number is None:
            return ""
        grouped = f"{number:,}"
        return grouped if self.lang == "en" else grouped.replace(",", _THIN_SPACE)

    def date(self, moment: str | None) -> str:
        """13 Oct 2018 from a timestamp that begins YYYY-MM-DD, YYYY-MM or YYYY; nothing for anything else."""
        found = re.match(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", moment or "")
        if not found:
            return ""
        year, month, day = found[1], found[2], found[3]
        if not month or not 1 <= int(month) <= 12:
            return year
        if not day:
            return self.month(f"{year}-{month}")
        name = self._names("months.short")[int(month) - 1]
        return self("date", day=str(int(day)), month=self._genitive(int(month), name), year=year)

    def month(self, month: str) -> str:
        """Oct 2018 from 2018-10."""
        year, _, number = month.partition("-")
        return self("date.month", month=self._names("months.short")[int(number) - 1], year=year)

    def _genitive(self, month: int, name: str) -> str:
        """In a Russian date the months that are not cut short are in the genitive: 5 марта, but 5 янв."""
        return name if self.lang == "en" or name.endswith(".") else self._names("months.in_date")[month - 1]

    def _names(self, key: str) -> list[str]:
        return str(self._texts[key]).split()

    def moment(self, moment: str | None) -> str:
        """13 October 2018, 17:05 from YYYY-MM-DDTHH:MM:SS."""
        found = re.match(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d:\d\d)", moment or "")
        if not found or not 1 <= int(found[2]) <= 12:
            return self.date(moment)
        name = self._names("months.in_date")[int(found[2]) - 1]
        return f"{self('date', day=str(int(found[3])), month=name, year=found[1])}, {found[4]}"

    def dates(self, after: str, before: str) -> str:
        """The chosen time: `2023`, `Jun – Aug 2023`, `from 5 Jun 2023`; as typed where that is no date."""
        first, end = _month_number(after), _month_number(before)
        if first is not None and end is not None and first < end:
            return self._months(first, end - 1)
        ends = [(self("from_on", date="{}"), after), (self("before_on", date="{}"), before)]
        return " ".join(text.replace("{}", self.date(value) or value) for text, value in ends if value)

    def _months(self, first: int, last: int) -> str:
        years, months = (first // 12, last // 12), (first % 12, last % 12)
        if months == (0, 11):
            return " – ".join(dict.fromkeys(map(str, years)))
        names = [self.month(f"{year:04}-{month + 1:02}") for year, month in zip(years, months, strict=True)]
        if years[0] == years[1]:
            names[0] = names[0].removesuffix(f" {years[0]}") if first != last else names[0]
        return " – ".join(dict.fromkeys(names))

    def day(self, date: str) -> str:
        """YYYY-MM-DD for a date field; a month or a year is its first day, and what is no date is nothing."""
        found = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", date)
        return f"{found[1]}-{found[2] or '01'}-{found[3] or '01'}" if found else ""

    def bytes(self, count: int | None) -> str:
        """1.4 MB, in steps of 1000."""
        if count is None:
            return ""
        value, units = float(count), self._names("units")
        while value >= 999.5 and len(units) > 1:
            value, units = value / 1000, units[1:]
        digits = f"{value:.1f}" if value < 10 and not float(value).is_integer() else f"{value:.0f}"
        return f"{self._decimal(digits)}{_THIN_SPACE}{units[0]}"

    def duration(self, seconds: float | None) -> str:
        """1.5 s, 12 min, 3 h 20 min, 2 days; nothing for None."""
        if seconds is None:
            return ""
        if seconds < 59.5:
            digits = f"{seconds:.1f}" if seconds < 9.95 else f"{seconds:.0f}"
            return self("duration.seconds", n=self._decimal(digits.removesuffix(".0")))
        if seconds < _HOUR:
            return self("duration.minutes", n=round(seconds / _MINUTE))
        if seconds < 2 * _DAY:
            hours, minutes = divmod(round(seconds / _MINUTE), 60)
            rest = f" {self('duration.minutes', n=minutes)}" if minutes and hours < 10 else ""
            return self("duration.hours", n=hours) + rest
        return self("duration.days", n=round(seconds / _DAY))

    def _decimal(self, digits: str) -> str:
        return digits if self.lang == "en" else digits.replace(".", ",")

    def position(self, latitude: float, longitude: float) -> str:
        """43.5850° N, 39.7230° E"""
        north = self("north" if latitude >= 0 else "south")
        east = self("east" if longitude >= 0 else "west")
        comma = "," if self.lang == "en" else ";"
        return f"{self._decimal(f'{abs(latitude):.4f}')}° {north}{comma} {self._decimal(f'{abs(longitude):.4f}')}° {east}"

    def pixels(self, width: int | None, height: int | None) -> str:
        """4000 × 3000, 12 MP is left to who counts."""
        return f"{width} × {height}" if width and height else ""

    def exposure(self, image: Mapping[str, Any]) -> str:
        """f/2.8 · 1/250 s · 50 mm · ISO 100, as far as it is known."""
        parts = []
        if image.get("aperture"):
            parts.append(f"f/{self._decimal(format(image['aperture'], 'g'))}")
        if image.get("exposure_time"):
            parts.append(self("duration.seconds", n=self._fraction(float(image["exposure_time"]))))
        if image.get("focal_length"):
            parts.append(self("millimetres", n=self._decimal(format(image["focal_length"], ".4g"))))
        if image.get("iso"):
            parts.append(f"ISO{_THIN_SPACE}{image['iso']}")
        return " · ".join(parts)

    def _fraction(self, seconds: float) -> str:
        return f"1/{round(1 / seconds)}" if 0 < seconds < 0.4 else self._decimal(f"{seconds:.3g}")

    def made_by(self, made: Mapping[str, Any]) -> str:
        """Who described a picture, when, and in what time."""
        date = self.moment(made.get("at"))
        if made.get("engine") == "captions":
            return self("made.captions", date=date)
        text = self("made.by", model=made.get("model") or made.get("engine") or "?", date=date)
        return f"{text} {self('made.seconds', duration=self.duration(made['seconds']))}" if made.get("seconds") else text

    def coverage(self, there: Mapping[str, Any]) -> str:
        """What the search could see: `Searched 9,812 of 10,004 pictures · 150 not described yet`."""
        images, described = there.get("images") or 0, there.get("described") or 0
        key = "coverage.all" if described == images else "coverage.some"
        parts = [self(key, n=images, described=described)]
        parts += [self(f"coverage.{name}", n=there[name]) for name in ("waiting", "failed", "behind") if there.get(name)]
        return " · ".join(parts)

    def pace(self, pace: Mapping[str, Any]) -> str:
        """How fast descriptions come."""
        parts = [self("status.pace", n=pace.get("last_day") or 0)]
        if pace.get("last_hour"):
            parts.append(self("status.pace_hour", n=pace["last_hour"]))
        if pace.get("seconds_left"):
            parts.append(self("status.left", duration=self.duration(pace["seconds_left"])))
        return " · ".join(parts)

    def summary(self, counts: Mapping[str, Any] | None) -> str:
        """What an index run did: `12 new, 3 moved`; what did not happen is left out."""
        known = [(name, (counts or {}).get(name)) for name in _SUMMARY]
        return ", ".join(
            f"{self.number(count)} {self(f'summary.{name}')}" for name, count in known if isinstance(count, int) and count
        )

    def exit(self, code: int | None, ended_at: str | None) -> str:
        """How an index run ended."""
        if ended_at is None or code is None:
            return self("status.exit.running")
        return self(f"status.exit.{_EXITS[code]}") if code in _EXITS else self("status.exit.error", code=code)


def _plural(language: str, number: int) -> int:
    """Which form a number takes (https://www.unicode.org/cldr/charts/latest/supplemental/language_plural_rules.html)."""
    if language == "en":
        return 0 if number == 1 else 1
    if number % 10 == 1 and number % 100 != 11:
        return 0
    return 1 if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else 2


def _month_number(date: str) -> int | None:
    """Months since the year 0, for a year or for the first day of a month."""
    found = re.fullmatch(r"(\d{4})(?:-(0[1-9]|1[0-2]))?(?:-01)?", date)
    return int(found[1]) * 12 + int(found[2] or 1) - 1 if found else None
