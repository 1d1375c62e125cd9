"""What must be true of a picture whatever is searched for: the filters, read from what a person typed.

Knows how filters are written, as options (--camera canon) and in a query (camera:canon); knows nothing of the catalog, so whether
there is such a camera, catalog_search says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

from image_catalog.errors import UsageError
from image_catalog.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_KILOMETRES = 10.0
ORIENTATIONS = ("landscape", "portrait", "square")
_FARTHEST = 20_040.0  # kilometres: half way round the Earth
_KILOMETRES = r"(?<=\d)\s*(?:km|км)\.?$"
_OTHER_NAMES_OF_FORMATS = {"JPG": "JPEG", "MPO": "JPEG", "HEIC": "HEIF", "TIF": "TIFF"}


class Near(Record):
    """Around a position in degrees, or around a place by its name (then the position is not looked at)."""

    latitude: float
    longitude: float
    kilometres: float
    name: str = ""


class Filter(Record):
    """Everything named must be true. Of several cameras, lenses, folders, places, formats or orientations one is enough; tags
    must all be there. Texts are parts of names, case does not count; the empty Filter lets all through.
    """

    after: str | None = None  # taken then or later; the beginning of YYYY-MM-DD
    before: str | None = None  # taken earlier
    cameras: tuple[str, ...] = ()
    lenses: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()  # absolute, or the name of folders
    near: tuple[Near, ...] = ()
    formats: tuple[str, ...] = ()  # JPEG, PNG, HEIF, …
    tags: tuple[str, ...] = ()
    min_size: int | None = None  # pixels of the long side
    orientations: tuple[str, ...] = ()  # of ORIENTATIONS
    has_text: bool = False

    def is_empty(self) -> bool:
        """Whether it lets everything through."""
        return self == Filter()


def read(named: Iterable[tuple[str, str]]) -> Filter:
    """The filter of (name, value) pairs; the names are those of query.FILTERS. Raises UsageError for an impossible value."""
    values: dict[str, Any] = {}
    for name, value in named:
        if not value.strip():
            raise UsageError(f"--{name}", "is empty", "leave it out, or say what to look for")
        field, reader = _READERS[name]
        read_value = reader(name, value.strip())
        if isinstance(read_value, tuple):
            read_value = values.get(field, ()) + read_value
        elif field in values:
            read_value = _both(field, values[field], read_value)
        values[field] = read_value
    return Filter(**values)


def _both(field: str, one: Any, other: Any) -> Any:
    """The narrower of two."""
    return min(one, other) if field == "before" else max(one, other)


def _text(_name: str, value: str) -> tuple[str, ...]:
    return (value,)


def _format(_name: str, value: str) -> tuple[str, ...]:
    name = value.upper().lstrip(".")
    return (_OTHER_NAMES_OF_FORMATS.get(name, name),)


def _date(name: str, value: str) -> str:
    from datetime import date

    from image_catalog.dates import parse_date

    try:
        return parse_date(value, date.today())
    except (ValueError, OverflowError):
        raise UsageError(f"--{name}", f"{value} is no date", 'write 2023, 2023-06, 2023-06-15 or "2 weeks ago"') from None


def _folder(_name: str, value: str) -> tuple[str, ...]:
    """A path; what is none here may be the name of a folder anywhere, and stays as it is."""
    path = os.path.expanduser(value)
    is_path = os.path.isabs(path) or path.startswith(".") or ".." in path.split(os.sep) or os.path.isdir(path)
    return (os.path.abspath(path) if is_path else path,)


def _near(name: str, value: str) -> tuple[Near, ...]:
    """`LAT,LON`, `LAT,LON,KM`, `PLACE` or `PLACE,KM`."""
    parts = [part.strip() for part in value.split(",")]
    remedy = f"write --{name} LAT,LON or LAT,LON,KM, such as 43.58,39.72,20, or the name of a place"
    if len(parts) > 1:
        parts[-1] = re.sub(_KILOMETRES, "", parts[-1].casefold())
    numbers = [_number(part) for part in parts]
    if not all(parts):
        raise UsageError(f"--{name}", f"{value} is no place", remedy)
    if numbers[0] is None:
        kilometres = numbers[-1] if len(parts) > 1 and numbers[-1] is not None else None
        place = ", ".join(parts if kilometres is None else parts[:-1])
        if kilometres is not None and not 0 < kilometres <= _FARTHEST:
            raise UsageError(f"--{name}", f"{parts[-1]} km is no distance", remedy)
        return (Near(0.0, 0.0, kilometres or 0.0, place),)
    if len(parts) not in (2, 3) or None in numbers:
        raise UsageError(f"--{name}", f"{value} is no place", remedy)
    latitude, longitude, kilometres = (*(number or 0.0 for number in numbers), DEFAULT_KILOMETRES)[:3]
    if not (abs(latitude) <= 90 and abs(longitude) <= 180 and 0 < kilometres <= _FARTHEST):
        raise UsageError(f"--{name}", f"{value} is not on the Earth", remedy)
    return (Near(latitude, longitude, kilometres),)


def _number(text: str) -> float | None:
    """A finite or infinite number; None for text."""
    try:
        return float(text)
    except ValueError:
        return None


def _min_size(name: str, value: str) -> int:
    if not (value.isdecimal() and len(value) < 10 and int(value) > 0):
        raise UsageError(f"--{name}", f"{value} is no size", "write the pixels of the long side, such as 2000")
    return int(value)


def _orientation(name: str, value: str) -> tuple[str, ...]:
    if value.casefold() not in ORIENTATIONS:
        raise UsageError(f"--{name}", f"{value} is unknown", f"write {', '.join(ORIENTATIONS)}")
    return (value.casefold(),)


def _has(name: str, value: str) -> bool:
    if value.casefold() not in ("text", "текст"):
        raise UsageError(f"{name}:{value}", "is unknown", "write has:text for pictures in which text can be read")
    return True


_READERS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "after": ("after", _date),
    "before": ("before", _date),
    "camera": ("cameras", _text),
    "lens": ("lenses", _text),
    "folder": ("folders", _folder),
    "near": ("near", _near),
    "format": ("formats", _format),
    "tag": ("tags", _text),
    "min-size": ("min_size", _min_size),
    "orientation": ("orientations", _orientation),
    "has": ("has_text", _has),
}
