"""The EXIF tags of a file, read by ExifRead and, where it has gaps, by Pillow; as plain values keyed by IFD and tag number.

Owns both readers and their quirks; what a tag means is exif's work. ExifRead reads more damaged files than Pillow and every
format; `exif`, the library, reads JPEG only and loops for ever on an IFD that points at itself.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from image_catalog.metadata_text import clean_line, decoded

# (IFD, tag number) -> text, raw bytes, or a list of numbers in which None stands for a division by zero.
Value = str | bytes | list[float | None]
Tags = dict[tuple[str, int], Value]

_EXIF_IFD = 0x8769
_GPS_IFD = 0x8825
_POINTERS = {_EXIF_IFD, _GPS_IFD, 0xA005}
# Of no use as text, and large: maker notes, thumbnails, XMP and IPTC blocks, colour profiles, strip tables.
_BLOBS = {0x927C, 0x02BC, 0x83BB, 0x8649, 0x8773, 0x0201, 0xC4A5, 0xEA1C}
# How a TIFF keeps its pixels (TIFF 6.0, baseline and tiles): every TIFF has these, and none says anything of the picture.
_STRUCTURE = {0x00FE, *range(0x0100, 0x0104), 0x0106, 0x010A, 0x0111, *range(0x0115, 0x0118), 0x011C, 0x013D, 0x0140}
_STRUCTURE |= {*range(0x0142, 0x0146), 0x0152, 0x0153}
_LEFT_OUT = _POINTERS | _BLOBS | _STRUCTURE
_MOST_RAW_TAGS = 400
_UNDEFINED = 7  # the field type of bytes that are no text (TIFF 6.0)


def read(file: BinaryIO, image: Any = None) -> tuple[Tags, dict[str, str]]:
    """Tags of an open image file by number, and all of them as (name, printable text) for people to look at.

    `image` is the same file opened by Pillow, or None where Pillow cannot open it. Damaged EXIF gives what can be read.
    """
    tags, raw = _read_by_exifread(file)
    for key, name, value in _read_by_pillow(image) if image is not None else ():
        if key not in tags:
            tags[key] = value
            raw.setdefault(name, _printable(value))
    return tags, raw


def _read_by_exifread(file: BinaryIO) -> tuple[Tags, dict[str, str]]:
    import exifread
    from PIL.ExifTags import GPSTAGS, TAGS

    logging.getLogger("exifread").setLevel(logging.CRITICAL)  # it warns on stderr of every file without EXIF
    try:
        found = exifread.process_file(file, details=False, extract_thumbnail=False)
    except Exception:  # seven different types, AssertionError among them, on damaged files
        return {}, {}
    tags: Tags = {}
    raw: dict[str, str] = {}
    for name, tag in found.items():
        ifd = name.split(" ", 1)[0]
        if ifd not in ("Image", "EXIF", "GPS") or tag.tag in _LEFT_OUT:
            continue
        tags[ifd, tag.tag] = _plain(tag.values)
        if len(raw) < _MOST_RAW_TAGS:
            names = GPSTAGS if ifd == "GPS" else TAGS
            undefined = tag.field_type == _UNDEFINED and isinstance(tag.values, list)
            raw[_raw_name(ifd, tag.tag, names)] = _printable(bytes(tag.values) if undefined else tags[ifd, tag.tag])
    return tags, raw


def _read_by_pillow(image: Any) -> Iterable[tuple[tuple[str, int], str, Value]]:
    from PIL import Image
    from PIL.ExifTags import GPSTAGS, TAGS

    try:
        # PngImageFile.getexif() decodes the whole picture in search of a late chunk; ExifRead finds that without.
        exif = Image.Image.getexif(image) if image.format == "PNG" else image.getexif()
        ifds = [("Image", exif, TAGS), ("EXIF", exif.get_ifd(_EXIF_IFD), TAGS), ("GPS", exif.get_ifd(_GPS_IFD), GPSTAGS)]
        return [
            ((ifd, number), _raw_name(ifd, number, names), _plain(value))
            for ifd, tags, names in ifds
            for number, value in tags.items()
            if number not in _LEFT_OUT
        ]
    except Exception:  # SyntaxError, struct.error, ValueError, TypeError, ... on damaged files
        return []


def _raw_name(ifd: str, number: int, names: Mapping[int, str]) -> str:
    """The same name whichever reader found the tag."""
    return f"{ifd} {names.get(number, f'Tag 0x{number:04X}')}"


def _plain(value: Any) -> Value:
    if isinstance(value, (str, bytes)):
        return value
    values = value if isinstance(value, (list, tuple)) else [value]
    return [_number(item) for item in values]


def _number(value: Any) -> float | None:
    """A rational of either library as a float (whole numbers stay exact); None for x/0, NaN and what is no number."""
    try:
        if isinstance(value, int):
            return value
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None


def _printable(value: Value) -> str:
    if isinstance(value, bytes) and 0 < len(value) <= 20 and min(value) < 0x20:
        value = list(value)  # a version or a flag, not text: Pillow has as bytes what ExifRead has as numbers
    if isinstance(value, bytes):
        return clean_line(decoded(value))
    if isinstance(value, str):
        return clean_line(value)
    numbers = ", ".join("0/0" if number is None else f"{number:g}" for number in value[:20])
    return numbers if len(value) == 1 else f"[{numbers}]"
