"""What is known of a picture without a model -> words people search by, in English and Russian, and context for the model.

Knows calendars, cameras and names; where a position lies, is places' knowledge.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from image_catalog import fact_words, places
from image_catalog.exif import Exif
from image_catalog.metadata_text import clean_line
from image_catalog.places import Place

Words = tuple[str, ...]

_MOST_FOLDERS = 4
_LONGEST_CAPTION = 500
_MOST_KEYWORDS = 20
_TROPIC = 23.4
_PANORAMA = 2.2

_DATE_IN_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)(?:[-_. T]+([0-2]\d)[-_.]?([0-5]\d)[-_.]?([0-5]\d))?(?!\d)"
)
_CAMEL_CASE = re.compile(r"(?<=[a-zа-яё])(?=[A-ZА-ЯЁ])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_SCREENSHOT = re.compile(r"screen[-_ ]?shot|снимок экрана|скриншот", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Facts:
    """`text`: words of both languages for full-text search; `context`: a few short English lines for the vision model.

    `taken_at`: YYYY-MM-DDTHH:MM:SS by the camera, else by a date in the file name (at 00:00:00 when it has no time).
    """

    text: str = ""
    context: str = ""
    place: Place | None = None
    taken_at: str | None = None


def of(exif: Exif, path: bytes | str, width: int, height: int) -> Facts:
    """Facts of one picture from its EXIF, its absolute path and its upright size in pixels."""
    names = names_in(path)
    moment, has_time = _moment(exif, names[-1])
    place = place_of(exif)
    words = [
        *_calendar_words(moment, has_time, exif.latitude),
        *_place_words(exif, place),
        *_camera_words(exif),
        *_shape_words(exif, width, height),
        *_name_words(names),
    ]
    taken_at = moment.isoformat() if moment is not None else None
    return Facts("; ".join(_once(words)), _context(exif, names, moment, has_time, place), place, taken_at)


def place_of(exif: Exif) -> Place | None:
    """Where a picture was taken, by its position; None without one, and far from everywhere."""
    if exif.latitude is None or exif.longitude is None:
        return None
    return places.nearest(exif.latitude, exif.longitude)


def _once(words: list[str]) -> list[str]:
    return list({word.casefold(): word for word in words if word}.values())


# Time


def _moment(exif: Exif, name: str) -> tuple[datetime | None, bool]:
    """When it was taken, by the camera, else by a date in the file name; and whether the time of day is known."""
    if exif.taken_at is not None:
        moment = datetime.fromisoformat(exif.taken_at)
        return moment, bool(moment.hour or moment.minute or moment.second)
    match = _DATE_IN_NAME.search(name)
    if match is None:
        return None, False
    try:
        return datetime(*(int(part or 0) for part in match.groups())), match[4] is not None  # type: ignore[arg-type]
    except ValueError:
        return None, False


def _calendar_words(moment: datetime | None, has_time: bool, latitude: float | None) -> Iterator[str]:
    if moment is None:
        return
    yield f"{moment.year}"
    yield moment.date().isoformat()
    yield from fact_words.MONTHS[moment.month - 1]
    yield from _season(moment, latitude)
    yield from fact_words.WEEKDAYS[moment.weekday()]
    if has_time:
        yield from _part_of_day(moment.hour)
    if (moment.month, moment.day) in ((12, 31), (1, 1)):
        yield from fact_words.NEW_YEAR
    if (moment.month, moment.day) in ((12, 24), (12, 25), (1, 7)):
        yield from fact_words.CHRISTMAS


def _season(moment: datetime, latitude: float | None) -> Words:
    """By the calendar; south of the tropics the other way round."""
    southern = latitude is not None and latitude < -_TROPIC
    seasons = fact_words.SOUTHERN_SEASONS if southern else fact_words.NORTHERN_SEASONS
    return seasons[moment.month % 12 // 3]


def _part_of_day(hour: int) -> Words:
    if hour < 5 or hour >= 23:
        return fact_words.NIGHT
    if hour < 12:
        return fact_words.MORNING
    return fact_words.AFTERNOON if hour < 17 else fact_words.EVENING


# Place


def _place_words(exif: Exif, place: Place | None) -> Iterator[str]:
    for name in place.names() if place is not None else ():
        yield name.en
        yield name.ru
    yield from fact_words.COUNTRY_ALIASES.get(place.country.en, ()) if place is not None else ()
    yield exif.location or ""


# Camera


def camera_name(exif: Exif) -> str:
    """Make and model as people say them: `Canon EOS 600D`, not `Canon Canon EOS 600D`; empty when unknown."""
    make, model = exif.camera_make or "", exif.camera_model or ""
    first = _first_word(make)
    said = fact_words.MAKES.get(first, ("",))[0].split(" ")[0] or first.capitalize()
    if not model or model.casefold().startswith(said.casefold()):
        return f"{said}{model[len(said) :]}" if model else said
    return f"{said} {model}".strip()


def _first_word(text: str) -> str:
    match = re.match(r"[^\W_]+", text.casefold())
    return match[0] if match else ""


def _camera_words(exif: Exif) -> Iterator[str]:
    yield camera_name(exif)
    english, russian, kind = fact_words.MAKES.get(_first_word(exif.camera_make or ""), ("", "", ""))
    yield english
    yield russian
    yield kind
    yield exif.lens or ""
    yield exif.creator or ""
    if exif.lens and "macro" in exif.lens.casefold():
        yield from fact_words.MACRO
    if exif.flash:
        yield from fact_words.FLASH
    if exif.exposure_time is not None and exif.exposure_time >= 1:
        yield from fact_words.LONG_EXPOSURE
    yield from _angle_words(exif.focal_length_35mm)


def _angle_words(focal_length: float | None) -> Words:
    """Of what a 35 mm camera would have needed."""
    if focal_length is None or 24 < focal_length < 100:
        return ()
    return fact_words.WIDE_ANGLE if focal_length <= 24 else fact_words.TELEPHOTO


def _shape_words(exif: Exif, width: int, height: int) -> Iterator[str]:
    if width <= 0 or height <= 0:
        return
    ratio = width / height
    if ratio >= _PANORAMA or ratio <= 1 / _PANORAMA:
        yield from fact_words.PANORAMA
    if 0.97 < ratio < 1.03:
        yield from fact_words.SQUARE
    else:
        yield from fact_words.LANDSCAPE if ratio > 1 else fact_words.PORTRAIT
    megapixels = round(width * height / 1e6)
    if megapixels and exif.camera_model:
        yield from (f"{megapixels} {word}" for word in fact_words.MEGAPIXELS)


# Names


def names_in(path: bytes | str) -> list[str]:
    """The last folders and the file name without its ending; raw bytes that are no UTF-8 are dropped."""
    text = os.fsencode(path).decode("utf-8", "ignore")
    *folders, name = unicodedata.normalize("NFC", text).split("/")
    kept = [
        folder
        for before, folder in zip(["", *folders], folders, strict=False)
        if folder and folder.casefold() not in fact_words.NO_WORDS and before.casefold() not in ("home", "users")
    ]
    return [clean_line(part) for part in (*kept[-_MOST_FOLDERS:], os.path.splitext(name)[0])]


def _name_words(names: list[str]) -> Iterator[str]:
    """Each name as it is, and with its parts apart: `NewYear2015` is also `New Year 2015`."""
    for name in names:
        spaced = name.replace("_", " ")
        yield spaced
        yield " ".join(_CAMEL_CASE.sub(" ", spaced).split())
    if _SCREENSHOT.search(names[-1]):
        yield from fact_words.SCREENSHOT


# Context


def _context(exif: Exif, names: list[str], moment: datetime | None, has_time: bool, place: Place | None) -> str:
    lines = [
        ("Taken", _moment_text(moment, has_time, exif.latitude)),
        ("Place", place.text("en") if place is not None else exif.location),
        ("Camera", camera_name(exif)),
        ("Folder and file", " / ".join(names[-2:])),
        ("Caption", clean_line(exif.caption_text() or "", _LONGEST_CAPTION)),
        ("Keywords", ", ".join(exif.keywords[:_MOST_KEYWORDS])),
    ]
    return "\n".join(f"{title}: {text}" for title, text in lines if text)


def _moment_text(moment: datetime | None, has_time: bool, latitude: float | None) -> str:
    if moment is None:
        return ""
    day = f"{moment.day} {fact_words.MONTHS[moment.month - 1][0]} {moment.year}"
    season = _season(moment, latitude)[0].split(" ")[0]
    if not has_time:
        return f"{day} ({season})"
    return f"{day}, {moment:%H:%M} ({season}, {_part_of_day(moment.hour)[0]})"
