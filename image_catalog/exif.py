"""One image file and its sidecars -> what the camera and people wrote about the picture, as plain validated values.

Decides which tag counts for what and what is a possible value. Reading EXIF tags is exif_tags' work, XMP and IPTC
metadata_xmp's. Tag numbers and meanings: Exif 3.0 (CIPA DC-008-2023); names of XMP properties: Metadata Working Group 2.0.
"""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from image_catalog import exif_tags, gps, image_files, metadata_xmp, picture, sidecars
from image_catalog.exif_tags import Tags
from image_catalog.metadata_text import LONGEST_TEXT, clean_line, clean_text, decoded, decoded_utf16
from image_catalog.metadata_xmp import Properties

_FIRST_PHOTOGRAPH = 1826
_LAST_YEAR = 2100
_MOST_KEYWORDS = 200

# What cameras write into ImageDescription by themselves; it says nothing of the picture.
_NO_CAPTION = re.compile(
    r"[\w ]*\bDIGITAL ?(STILL )?CAMERA|SONY DSC|(KONICA ?)?MINOLTA DSC|SAMSUNG\W*|DCIM\W?\w*|KENOX.*|<.*>|My beautiful picture"
    r"|Exif_JPEG_\w*|JPEG_\w*|default|untitled|binary comment|Created with .*|cof|hdr|dav|oznor\w*|edf|sdr|jpeg",
    re.IGNORECASE,
)
_NO_LENS = re.compile(r"[-\s.0]*(mm)?[-\s.0f/]*|unknown.*|none|n/?a", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exif:
    """What a picture says of itself; None, or nothing in a tuple, where it says nothing or something impossible.

    `taken_at` is the camera's local time YYYY-MM-DDTHH:MM:SS, `utc_offset` ±HH:MM, `subseconds` the digits after the
    decimal point. Lengths are mm, `exposure_time` seconds, `altitude` metres above sea level, `direction` degrees from
    north. `latitude` and `longitude` are degrees, north and east positive, both or neither. `gps_time` is UTC. `raw` holds the
    EXIF tags as text by name.
    """

    taken_at: str | None = None
    utc_offset: str | None = None
    subseconds: str | None = None
    camera_make: str | None = None
    camera_model: str | None = None
    lens: str | None = None
    focal_length: float | None = None
    focal_length_35mm: float | None = None
    aperture: float | None = None
    exposure_time: float | None = None
    exposure_bias: float | None = None
    iso: int | None = None
    flash: bool | None = None
    orientation: int | None = None
    software: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    direction: float | None = None
    gps_time: str | None = None
    title: str | None = None
    caption: str | None = None
    keywords: tuple[str, ...] = ()
    rating: int | None = None
    creator: str | None = None
    copyright: str | None = None
    location: str | None = None
    raw: dict[str, str] = field(default_factory=dict)

    @property
    def has_tags(self) -> bool:
        """Whether the file carries EXIF at all; title, caption and keywords may come from elsewhere."""
        return bool(self.raw)

    def exposure_text(self) -> str | None:
        """The exposure time as photographers write it: `1/250 s`, `0.6 s`, `30 s`."""
        seconds = self.exposure_time
        if seconds is None:
            return None
        return f"1/{round(1 / seconds)} s" if seconds < 0.3 else f"{seconds:.3g} s"

    def caption_text(self) -> str | None:
        """Title and caption in one text; None without either."""
        texts = [text for text in (self.title, self.caption) if text]
        if len(texts) == 2 and texts[1].startswith(texts[0]):
            del texts[0]
        return "\n".join(texts) or None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: only what is known, names as those of the fields, raw tags last."""
        values = ((item.name, getattr(self, item.name)) for item in dataclasses.fields(self))
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values
            if value is not None and value != () and value != {}
        }


def read(path: bytes | str) -> Exif:
    """All that `path` and its sidecars say. Raises ImageError if the file cannot be opened; damaged metadata gives less."""
    raw_path = os.fsencode(path)
    beside = sidecars.xmp_properties(raw_path)
    with image_files.open_file(raw_path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd tags that it reads all the same
        image = _opened_by_pillow(raw_path, file)
        tags, raw = exif_tags.read(file, image)
        xmp = _embedded_xmp(image, tags)
        iptc = metadata_xmp.parse_iptc(image) if image is not None else {}
    return Exif(
        **_dates(tags, beside | xmp, iptc),
        **_camera(tags, xmp),
        **_exposure(tags),
        **gps.position(tags, [xmp, beside]),
        **_texts(tags, [beside, xmp, iptc], sidecars.caption(raw_path)),
        raw=raw,
    )


def _opened_by_pillow(path: bytes, file: Any) -> Any:
    """The image, or None where Pillow cannot open it: then ExifRead alone must do."""
    if image_files.is_raw_name(path):
        return None
    try:
        return picture.open_image(file, os.fsdecode(path))
    except Exception:  # ImageError, and the nine types that Pillow raises on damaged files
        return None


def _embedded_xmp(image: Any, tags: Tags) -> Properties:
    if image is None:
        return {}
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return metadata_xmp.parse_xmp(packet) if isinstance(packet, (bytes, str)) else {}


# Values of tags


def text(tags: Tags, ifd: str, number: int) -> str | None:
    """A tag as one clean line; None when it is missing or blank."""
    value = tags.get((ifd, number))
    if isinstance(value, bytes):
        value = decoded(value)
    return (clean_line(value) or None) if isinstance(value, str) else None


def number(tags: Tags, ifd: str, tag: int, low: float, high: float) -> float | None:
    """The first number of a tag; None when it is missing or not from `low` to `high`."""
    value = tags.get((ifd, tag))
    first = value[0] if isinstance(value, list) and value else None
    return first if first is not None and low <= first <= high else None


def _integer(tags: Tags, ifd: str, tag: int, low: int, high: int) -> int | None:
    value = number(tags, ifd, tag, low, high)
    return None if value is None else int(value)


# Dates

_DATE = re.compile(
    r"\s*(\d{4})[-:./](\d{1,2}|\s\d)[-:./](\d{1,2}|\s\d)(?:[T\s]+(\d{1,2}):(\d{1,2}|\s\d)(?::(\d{1,2}|\s\d)(?:[.,](\d{1,9}))?)?)?"
    r"\s*(Z|[-+]\d{1,2}:?\d{2})?"
)


def _dates(tags: Tags, xmp: Properties, iptc: Properties) -> dict[str, Any]:
    """The moment of taking; digitised and modified dates only stand in for a missing one."""
    for date, subseconds, offset in _date_candidates(tags, xmp, iptc):
        parsed = parsed_date(date)
        if parsed is not None:
            moment, own_subseconds, own_offset = parsed
            return {
                "taken_at": moment,
                "subseconds": _digits(subseconds) or own_subseconds,
                "utc_offset": _offset(offset) or own_offset,
            }
    return {}


def _date_candidates(tags: Tags, xmp: Properties, iptc: Properties) -> Iterable[tuple[str | None, str | None, str | None]]:
    def tag(ifd: str, number: int) -> str | None:
        return text(tags, ifd, number)

    yield tag("EXIF", 0x9003), tag("EXIF", 0x9291), tag("EXIF", 0x9011)  # DateTimeOriginal
    for name in ("exif:DateTimeOriginal", "photoshop:DateCreated"):
        yield _first([xmp], name), None, None
    yield tag("EXIF", 0x9004), tag("EXIF", 0x9292), tag("EXIF", 0x9012)  # DateTimeDigitized
    yield _iptc_date(iptc), None, None
    yield _first([xmp], "xmp:CreateDate"), None, None
    yield tag("Image", 0x0132), tag("EXIF", 0x9290), tag("EXIF", 0x9010)  # DateTime: of the last change


def _iptc_date(iptc: Properties) -> str | None:
    date, time = _first([iptc], "date") or "", _first([iptc], "time") or "000000"
    if not re.fullmatch(r"\d{8}", date) or not re.match(r"\d{6}", time):
        return None
    return f"{date[:4]}-{date[4:6]}-{date[6:]} {time[:2]}:{time[2:4]}:{time[4:6]}{time[6:]}"


def parsed_date(value: str | None) -> tuple[str, str | None, str | None] | None:
    """(YYYY-MM-DDTHH:MM:SS, subseconds, ±HH:MM) of a date as EXIF or XMP writes it; None if it is impossible."""
    match = _DATE.match(value or "")
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    if not _FIRST_PHOTOGRAPH <= year <= _LAST_YEAR:
        return None
    return moment.isoformat(), match[7], _offset(match[8])


def _offset(value: str | None) -> str | None:
    if value == "Z":
        return "+00:00"
    match = re.fullmatch(r"\s*([-+])(\d{1,2}):?([0-5]\d)\s*", value or "")
    return f"{match[1]}{int(match[2]):02}:{match[3]}" if match and int(match[2]) <= 15 else None


def _digits(value: str | None) -> str | None:
    match = re.match(r"\d{1,9}", value or "")
    return match[0] if match else None


# Camera


def _camera(tags: Tags, xmp: Properties) -> dict[str, Any]:
    return {
        "camera_make": text(tags, "Image", 0x010F) or _line([xmp], "tiff:Make"),
        "camera_model": text(tags, "Image", 0x0110) or _line([xmp], "tiff:Model"),
        "lens": _lens(tags, xmp),
        "orientation": _integer(tags, "Image", 0x0112, 1, 8),
        "software": text(tags, "Image", 0x0131),
    }


def _lens(tags: Tags, xmp: Properties) -> str | None:
    named = (text(tags, "EXIF", 0xA434), _line([xmp], "aux:Lens"), _line([xmp], "exifEX:LensModel"))
    for name in named:
        if name and not _NO_LENS.fullmatch(name):
            return name
    return _lens_specification(tags.get(("EXIF", 0xA432)))


def _lens_specification(value: object) -> str | None:
    """`15-85 mm f/3.5-5.6` from shortest and longest focal length (mm) and the f-numbers there."""
    if not isinstance(value, list) or len(value) != 4 or not value[0] or not value[1]:
        return None
    text = f"{_span(value[0], value[1])} mm"
    return text + (f" f/{_span(value[2], value[3])}" if value[2] and value[3] else "")


def _span(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g}-{high:.3g}"


def _exposure(tags: Tags) -> dict[str, Any]:
    """Plain values first; the APEX ones (Exif 3.0, annex C) are older and rounded."""
    shutter = number(tags, "EXIF", 0x9201, -20, 20)
    aperture = number(tags, "EXIF", 0x9202, 0.1, 20)
    flash = _integer(tags, "EXIF", 0x9209, 0, 0xFFFF)
    return {
        "exposure_time": _rounded(number(tags, "EXIF", 0x829A, 1e-7, 1e6) or (None if shutter is None else 2.0**-shutter)),
        "aperture": _rounded(
            number(tags, "EXIF", 0x829D, 0.1, 1000) or (None if aperture is None else round(2 ** (aperture / 2), 1))
        ),
        "exposure_bias": _rounded(number(tags, "EXIF", 0x9204, -20, 20)),
        "iso": next(
            (iso for tag in (0x8827, 0x8832, 0x8833) if (iso := _integer(tags, "EXIF", tag, 1, 10_000_000)) not in (None, 65535)),
            None,
        ),
        "focal_length": _rounded(number(tags, "EXIF", 0x920A, 0.1, 50_000)),
        "focal_length_35mm": _rounded(number(tags, "EXIF", 0xA405, 1, 50_000)),
        "flash": None if flash is None else bool(flash & 1),
    }


def _rounded(value: float | None) -> float | None:
    """Six significant digits: cameras store 4.25 mm as 17/4, but also as 4.2500000596."""
    return None if value is None else float(f"{value:.6g}")


# Texts


def _first(sources: Iterable[Properties], name: str) -> str | None:
    return next((texts[0] for source in sources if (texts := source.get(name))), None)


def _line(sources: Iterable[Properties], name: str) -> str | None:
    value = _first(sources, name)
    return clean_line(value) if value else None


def _texts(tags: Tags, sources: list[Properties], beside: str) -> dict[str, Any]:
    """What people wrote. `sources` in order of trust: a sidecar is the latest edit, then XMP, then IPTC."""
    title = _line(sources, "dc:title") or _line(sources, "photoshop:Headline") or _windows_text(tags, 0x9C9B)
    return {
        "title": title or None,
        "caption": _caption(tags, sources, beside),
        "keywords": _keywords(tags, sources),
        "rating": _rating(tags, sources),
        "creator": _line(sources, "dc:creator") or text(tags, "Image", 0x013B) or _windows_text(tags, 0x9C9D) or None,
        "copyright": _line(sources, "dc:rights") or text(tags, "Image", 0x8298),
        "location": _location(sources),
    }


def _caption(tags: Tags, sources: list[Properties], beside: str) -> str | None:
    candidates = (
        _first(sources[:1], "dc:description"),
        beside,
        _first(sources[1:], "dc:description"),
        _image_description(tags),
        _windows_text(tags, 0x9C9C),
        _user_comment(tags.get(("EXIF", 0x9286))),
    )
    return next((caption for caption in candidates if caption and _says_something(caption)), None)


def _says_something(caption: str) -> bool:
    return re.search(r"[^\W\d_]{2}", caption) is not None and not _NO_CAPTION.fullmatch(caption)


def _image_description(tags: Tags) -> str:
    value = tags.get(("Image", 0x010E), "")
    if isinstance(value, bytes):
        value = decoded(value)
    return clean_text(value) if isinstance(value, str) else ""


def _bytes(value: object) -> bytes:
    """ExifRead gives byte and undefined tags as numbers, Pillow as bytes."""
    if isinstance(value, bytes):
        return value
    numbers = value if isinstance(value, list) else []
    return bytes(int(item) for item in numbers[: LONGEST_TEXT * 2] if item is not None and 0 <= item <= 255)


def _windows_text(tags: Tags, tag: int) -> str:
    """XPTitle, XPComment, XPAuthor, XPKeywords: what Windows Explorer writes, in UTF-16."""
    return clean_text(decoded_utf16(_bytes(tags.get(("Image", tag)))))


def _user_comment(value: object) -> str:
    """Eight bytes of encoding, then text (Exif 3.0, 4.6.5.4). Cameras fill it with spaces, NULs or binary data."""
    raw = _bytes(value)
    encoding, content = raw[:8].rstrip(b"\0 "), raw[8:]
    if encoding == b"UNICODE":
        return clean_text(decoded_utf16(content))
    if encoding not in (b"ASCII", b""):
        return ""
    return clean_text(decoded(content))


def _keywords(tags: Tags, sources: list[Properties]) -> tuple[str, ...]:
    """Subjects of all sources and names of marked faces, each once."""
    found: dict[str, str] = {}
    names = ("dc:subject", "mwg-rs:Name", "MPReg:PersonDisplayName", "Iptc4xmpCore:PersonInImage")
    words = [word for source in sources for name in names for word in source.get(name, ())]
    for word in [*words, *_windows_text(tags, 0x9C9E).split(";")]:
        if cleaned := clean_line(word):
            found.setdefault(cleaned.casefold(), cleaned)
    return tuple(list(found.values())[:_MOST_KEYWORDS])


def _rating(tags: Tags, sources: list[Properties]) -> int | None:
    """Stars from 1 to 5, -1 for rejected; 0 means that nobody rated it."""
    text = _first(sources, "xmp:Rating")
    if text is not None and re.fullmatch(r"-1|[1-5](\.0*)?", text):
        return int(float(text))
    return _integer(tags, "Image", 0x4746, 1, 5)


def _location(sources: list[Properties]) -> str | None:
    """Where people said it was taken, from the smallest to the largest: `Moab, Utah, United States`."""
    names = ("Iptc4xmpCore:Location", "photoshop:City", "photoshop:State", "photoshop:Country")
    parts = [part for name in names if (part := _line(sources, name))]
    return ", ".join(dict.fromkeys(parts)) or None
