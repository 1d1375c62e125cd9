"""GPS tags and XMP -> one position in signed degrees, or none.

Knows the notations and their traps; a position that cannot be believed whole is no position: a wrong hemisphere or a
missing half would put the picture somewhere else on the earth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from image_catalog.exif_tags import Tags, Value
from image_catalog.metadata_text import decoded
from image_catalog.metadata_xmp import Properties

# Tag numbers of the GPS IFD (Exif 3.0, 4.6.6).
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4
_ALTITUDE_REF, _ALTITUDE, _TIME, _DIRECTION, _DATE = 5, 6, 7, 17, 29

# From the floor of the deepest sea to low orbits.
_LOWEST, _HIGHEST = -12_000, 500_000


def position(tags: Tags, xmp: Sequence[Properties]) -> dict[str, Any]:
    """latitude, longitude (degrees, both or neither), altitude (m), direction (degrees) and gps_time (UTC)."""
    gps = {number: value for (ifd, number), value in tags.items() if ifd == "GPS"}
    pairs = [_pair(gps), *(_xmp_pair(properties) for properties in xmp)]
    latitude, longitude = next((pair for pair in pairs if pair is not None), (None, None))
    return {
        "latitude": latitude,
        "longitude": longitude,
        "altitude": _altitude(gps) if latitude is not None else None,
        "direction": _direction(gps),
        "gps_time": _gps_time(gps),
    }


def _pair(gps: dict[int, Value]) -> tuple[float, float] | None:
    return _checked(
        _signed(_degrees(gps.get(_LATITUDE)), gps.get(_LATITUDE_REF), "NS"),
        _signed(_degrees(gps.get(_LONGITUDE)), gps.get(_LONGITUDE_REF), "EW"),
    )


def _checked(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    """Both in range, and not 0°, 0°: that is open sea, and what cameras write when they had no satellites."""
    if latitude is None or longitude is None or not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None
    return None if latitude == longitude == 0 else (round(latitude, 7), round(longitude, 7))


def _degrees(value: Value | None) -> float | None:
    """Degrees, minutes, seconds. Missing parts count as 0: 48, 53.3, 0/0 is 48°53.3′, but without degrees nothing is known."""
    if not isinstance(value, list) or not value or value[0] is None or len(value) > 3:
        return None
    parts = [part or 0.0 for part in value] + [0.0, 0.0]
    if any(part < 0 for part in parts) or parts[1] >= 60.5 or parts[2] >= 60.5:
        return None
    return parts[0] + parts[1] / 60 + parts[2] / 3600


def _signed(degrees: float | None, reference: Value | None, letters: str) -> float | None:
    """`degrees` with the sign of its hemisphere; None when the hemisphere is not told."""
    text = decoded(reference) if isinstance(reference, bytes) else reference
    letter = text.strip()[:1].upper() if isinstance(text, str) else ""
    if degrees is None or not letter or letter not in letters:
        return None
    return -degrees if letter == letters[1] else degrees


def _xmp_pair(properties: Properties) -> tuple[float, float] | None:
    latitude, longitude = (
        _xmp_degrees((properties.get(name) or [""])[0], letters)
        for name, letters in (("exif:GPSLatitude", "NS"), ("exif:GPSLongitude", "EW"))
    )
    return _checked(latitude, longitude)


def _xmp_degrees(text: str, letters: str) -> float | None:
    """`48,53.323N` or `48,53,19N` (XMP part 2, GPSCoordinate); some programs write signed decimal degrees."""
    if re.fullmatch(r"[-+]?\d{1,3}(\.\d+)?", text):
        return float(text)
    match = re.fullmatch(rf"(\d{{1,3}}),(\d{{1,2}}(?:\.\d+)?)(?:,(\d{{1,2}}(?:\.\d+)?))?\s*([{letters}])", text, re.IGNORECASE)
    if match is None:
        return None
    degrees = float(match[1]) + float(match[2]) / 60 + float(match[3] or 0) / 3600
    return _signed(degrees, match[4], letters)


def _altitude(gps: dict[int, Value]) -> float | None:
    """Metres above sea level; reference 1 means below it (3 of Exif 3.0: below, as geoid height)."""
    value, reference = _first(gps.get(_ALTITUDE)), gps.get(_ALTITUDE_REF)
    if value is None:
        return None
    below = (reference[:1] if isinstance(reference, (list, bytes)) else reference) in ([1], [3], b"\x01", b"\x03", "1")
    metres = -abs(value) if below else value
    return round(metres, 2) if _LOWEST <= metres <= _HIGHEST else None


def _direction(gps: dict[int, Value]) -> float | None:
    value = _first(gps.get(_DIRECTION))
    return round(value % 360, 2) if value is not None and 0 <= value <= 360 else None


def _gps_time(gps: dict[int, Value]) -> str | None:
    date, time = gps.get(_DATE), gps.get(_TIME)
    match = re.match(r"\s*(\d{4})[:\-/](\d\d)[:\-/](\d\d)", date) if isinstance(date, str) else None
    if match is None or not isinstance(time, list) or len(time) != 3:
        return None
    hour, minute, second = (math.floor(part) if part is not None else -1 for part in time)
    try:
        moment = datetime(int(match[1]), int(match[2]), int(match[3]), hour, minute, second)
    except (ValueError, OverflowError):
        return None
    return moment.isoformat() + "Z"


def _first(value: Value | None) -> float | None:
    return value[0] if isinstance(value, list) and value else None
