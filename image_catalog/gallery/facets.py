"""How many of the pictures that were found are of each month, camera, place, folder, tag and format.

Holds what is counted of every picture in arrays (about 100 bytes a picture), so that counting takes milliseconds; the arrays are
made anew when the catalog has changed. Knows nothing of searching: which pictures are counted is the caller's choice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from image_catalog.catalog_search import shown_name
from image_catalog.catalog_views import FacetRow

_MOST_SHOWN = 40

Ints = NDArray[np.int64]
Value = tuple[str, str, str]  # into the URL parameter, shown in English, shown in Russian


class FacetTable:
    """Rows of pictures, newest first, as codes of values; a code of -1 is no value.

    `pictures` is their number, equal files counted once.
    """

    def __init__(self, rows: Iterable[FacetRow]) -> None:
        self._cameras, self._places, self._folders, self._formats, self._tags = (_Codes() for _ in range(5))
        contents = _Codes()
        columns: list[tuple[int, int, int, int, int, int, int]] = []
        tags: list[int] = []
        ends = [0]
        for row in rows:
            columns.append(
                (
                    row.id,
                    _month(row.taken_at),
                    self._cameras.code(_camera(row)),
                    self._places.code(_place(row)),
                    self._folders.code(_folder(row.path)),
                    self._formats.code(row.format and (row.format, row.format, row.format)),
                    contents.code(row.content_hash or row.id),
                )
            )
            tags += {self._tags.code((tag, tag, tag)) for tag in _tags(row)}
            ends.append(len(tags))
        table = np.array(columns, dtype=np.int64).reshape(-1, 7)
        self.ids: Ints = table[:, 0].copy()
        self._months, self._camera, self._place, self._folder, self._format, self._content = table[:, 1:].T.astype(np.int32)
        self._tag = np.array(tags, dtype=np.int32)
        self._tag_ends = np.array(ends, dtype=np.int64)
        self._by_id = np.argsort(self.ids)
        self.pictures = len(contents)

    def rows_of(self, ids: Iterable[int]) -> Ints:
        """Where these images are in the table, newest first; those that it does not know are left out."""
        wanted = np.fromiter(ids, dtype=np.int64)
        if not len(self.ids):
            return np.empty(0, dtype=np.int64)
        at = np.searchsorted(self.ids, wanted, sorter=self._by_id)
        rows = self._by_id[np.minimum(at, len(self.ids) - 1)]
        return np.sort(rows[self.ids[rows] == wanted])

    def all_rows(self) -> Ints:
        """Every row, newest first."""
        return np.arange(len(self.ids))

    def distinct(self, rows: Ints) -> Ints:
        """Of rows with equal files only the first."""
        _, first = np.unique(self._content[rows], return_index=True)
        return np.sort(rows[np.sort(first)])

    def months(self, rows: Ints) -> list[tuple[str, int]]:
        """(YYYY-MM, count), oldest first; months without pictures are left out."""
        months, counts = np.unique(self._months[rows], return_counts=True)
        return [
            (f"{month // 12:04}-{month % 12 + 1:02}", count)
            for month, count in zip(months.tolist(), counts.tolist(), strict=True)
            if month >= 0
        ]

    def cameras(self, rows: Ints, language: str) -> list[dict[str, Any]]:
        """value (a filter of the search), label and count of each, most first; so do the methods below."""
        return self._cameras.counted(self._camera[rows], language)

    def places(self, rows: Ints, language: str) -> list[dict[str, Any]]:
        """Towns."""
        return self._places.counted(self._place[rows], language)

    def folders(self, rows: Ints, language: str) -> list[dict[str, Any]]:
        """Folders in which files lie."""
        return self._folders.counted(self._folder[rows], language)

    def formats(self, rows: Ints, language: str) -> list[dict[str, Any]]:
        """JPEG, PNG, …"""
        return self._formats.counted(self._format[rows], language)

    def tags(self, rows: Ints, language: str) -> list[dict[str, Any]]:
        """Tags and keywords."""
        starts, lengths = self._tag_ends[rows], self._tag_ends[rows + 1] - self._tag_ends[rows]
        at = np.repeat(starts - np.concatenate(([0], np.cumsum(lengths)[:-1])) if len(rows) else starts, lengths)
        return self._tags.counted(self._tag[at + np.arange(len(at))], language)


class _Codes:
    """Values as small numbers, in the order in which they were met."""

    def __init__(self) -> None:
        self._codes: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def code(self, value: Any) -> int:
        return self._codes.setdefault(value, len(self._codes)) if value else -1

    def counted(self, codes: NDArray[np.int32], language: str) -> list[dict[str, Any]]:
        counts = np.bincount(codes[codes >= 0], minlength=len(self._codes))
        most = [code for code in np.argsort(-counts, kind="stable")[:_MOST_SHOWN].tolist() if counts[code]]
        values: Sequence[Value] = list(self._codes)
        return [
            {"value": values[code][0], "label": values[code][2 if language == "ru" else 1], "count": int(counts[code])}
            for code in most
        ]


def _month(taken_at: str | None) -> int:
    """Months since the year 0; -1 for no date."""
    try:
        return int((taken_at or "")[:4]) * 12 + int((taken_at or "")[5:7]) - 1
    except ValueError:
        return -1


def _camera(row: FacetRow) -> Value | None:
    names = [name for name in (row.camera_make, row.camera_model) if name and name.strip()]
    return (shown_name(names),) * 3 if names else None


def _place(row: FacetRow) -> Value | None:
    """The town; a place is `town, region, country`."""
    if not row.place:
        return None
    town = row.place.split(",")[0]
    return town, town, (row.place_ru or row.place).split(",")[0]


def _folder(path: bytes) -> Value | None:
    """None for a name that is not UTF-8: no URL could carry it."""
    try:
        folder = os.path.dirname(path).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return folder, folder, folder


def _tags(row: FacetRow) -> Iterator[str]:
    for text in (row.tags, row.keywords):
        if text and text != "[]":
            yield from (tag.strip() for tag in json.loads(text) if isinstance(tag, str) and tag.strip())
