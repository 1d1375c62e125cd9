"""The query string of the page and its API -> what is asked of the search. The names are those of the command line.

Knows names and values; what a filter means, search_filter knows. JSON and HTML read the same parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlencode

from image_catalog import search_filter
from image_catalog.errors import UsageError
from image_catalog.search import MODES, SORTS, Request

FILTERS = ("after", "before", "camera", "lens", "folder", "near", "format", "tag", "orientation", "min_size", "has_text")
NAMES = ("q", "mode", *FILTERS, "not", "like", "sort")
DEFAULT_LIMIT = 60
MOST_AT_ONCE = 500
_MOST_VALUES = 20
_LARGEST_OFFSET = 1_000_000_000  # small enough for SQLite

Parameters = Mapping[str, list[str]]


class QueryString(Protocol):
    """A query string that was taken apart, such as starlette.datastructures.QueryParams."""

    def getlist(self, key: str) -> list[str]: ...


def read(query: QueryString) -> dict[str, list[str]]:
    """The known parameters that say something."""
    given = {name: [value for value in query.getlist(name) if value.strip()][:_MOST_VALUES] for name in NAMES}
    return {name: values for name, values in given.items() if values}


def page_of(query: QueryString) -> tuple[int, int]:
    """(offset, limit). Raises UsageError for what is no number."""
    return _number(query, "offset", 0, _LARGEST_OFFSET), max(1, _number(query, "limit", DEFAULT_LIMIT, MOST_AT_ONCE))


def request(given: Parameters, offset: int = 0, limit: int = DEFAULT_LIMIT) -> Request:
    """What is asked. Raises UsageError for a value that makes no sense."""
    return Request(
        text=first(given, "q"),
        mode=_one_of(given, "mode", MODES),
        filter=search_filter.read(_filters(given)),
        limit=limit,
        offset=offset,
        sort=_one_of(given, "sort", SORTS),
        like=_id(given),
        unlike=first(given, "not"),
    )


def first(given: Parameters, name: str) -> str:
    """The first value of a parameter; empty when it was not given."""
    return given.get(name, [""])[0]


def is_question(given: Parameters) -> bool:
    """Whether something is looked for, so that pictures are ranked; else those that pass the filters are listed."""
    return any(name in given for name in ("q", "like", "not"))


def url(path: str, **params: str | int | list[str] | None) -> str:
    """`path` with a query string; None, "" and [] are left out."""
    pairs = [(name, one) for name, value in params.items() for one in (value if isinstance(value, list) else [value])]
    query = urlencode([(name, one) for name, one in pairs if one not in (None, "")], errors="replace")
    return f"{path}?{query}" if query else path


def _filters(given: Parameters) -> list[tuple[str, str]]:
    """As search_filter reads them: --min-size and has:text have names of their own there."""
    found = [(name.replace("_", "-"), value) for name in FILTERS if name != "has_text" for value in given.get(name, ())]
    return [*found, ("has", "text")] if "has_text" in given else found


def _one_of(given: Parameters, name: str, choices: tuple[str, ...]) -> str:
    value = first(given, name) or choices[0]
    if value not in choices:
        raise UsageError(name, f"{value} is unknown", f"write {', '.join(choices)}")
    return value


def _id(given: Parameters) -> int | None:
    text = first(given, "like")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise UsageError("like", f"{text} is not the id of a picture", "every result has one")
    return int(text)


def _number(query: QueryString, name: str, default: int, most: int) -> int:
    text = next(iter(query.getlist(name)), "") or str(default)
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(name, f"{text} is not a number from 0", f"write 0 to {most}")
    return min(int(text[:19]), most)
