"""What a search reads from images.db: which rows have a word, which pass a filter, what they say. SQL and nothing else."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from image_catalog.catalog import Catalog
from image_catalog.errors import UsageError
from image_catalog.query import Term

_KM_PER_DEGREE = 111.195  # of latitude, on a sphere of 6,371 km
_IDS_AT_ONCE = 500


class Filter(NamedTuple):
    """What must be true of an image whatever is searched for; None or empty: anything."""

    after: str | None = None  # taken at or after, YYYY-MM-DD…
    before: str | None = None  # taken before
    camera: str | None = None  # part of maker or model
    lens: str | None = None
    folder: bytes | None = None  # absolute
    near: tuple[float, float, float] | None = None  # latitude, longitude, kilometres
    format: str | None = None
    tags: tuple[str, ...] = ()
    min_size: int | None = None  # pixels of the long side

    def is_empty(self) -> bool:
        """Whether it lets everything through."""
        return self == Filter()


class SearchableCatalog:
    """The reading side of a catalog, for one search."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._db = catalog.db

    # Words

    def ids_with(self, term: Term) -> set[int]:
        """Images, gone or not, in which `term` occurs."""
        return {row[0] for row in self._db.execute("SELECT rowid FROM images_fts WHERE images_fts MATCH ?", (_match(term),))}

    def ranked(self, terms: Sequence[Term]) -> dict[int, float]:
        """Images with at least one of `terms` and their bm25 (higher is better)."""
        if not terms:
            return {}
        expression = " OR ".join(f"({_match(term)})" for term in terms)
        query = "SELECT rowid, -bm25(images_fts) FROM images_fts WHERE images_fts MATCH ?"
        return dict(self._db.execute(query, (expression,)))

    def ranked_by_expression(self, expression: str) -> dict[int, float]:
        """The same for a raw FTS5 expression; raises UsageError with FTS5's own words when it is not one."""
        query = "SELECT rowid, -bm25(images_fts) FROM images_fts WHERE images_fts MATCH ?"
        try:
            return dict(self._db.execute(query, (expression,)))
        except sqlite3.OperationalError as error:
            raise UsageError("--fts-syntax", str(error), "see https://sqlite.org/fts5.html#full_text_query_syntax") from None

    def near_words(self, stem: str, count: int = 3) -> list[str]:
        """Words of the catalog that begin like `stem`, the most frequent first: for "did you mean"."""
        rows = self._db.execute(
            "SELECT term FROM images_vocabulary WHERE col IN ('description', 'tags', 'facts', 'caption', 'visible_text')"
            " AND term >= ? AND term < ? GROUP BY term ORDER BY sum(doc) DESC LIMIT ?",
            (stem[:3], stem[:3] + "\U0010ffff", 200),
        )
        from difflib import get_close_matches

        return get_close_matches(stem, [row[0] for row in rows], n=count, cutoff=0.6)

    # Filters

    def ids_passing(self, wanted: Filter) -> set[int]:
        """Images that are there and pass the filter."""
        conditions, values = _conditions(wanted)
        query = f"SELECT id, latitude, longitude FROM images WHERE {' AND '.join(conditions)}"
        rows = self._db.execute(query, values)
        if wanted.near is None:
            return {row[0] for row in rows}
        latitude, longitude, kilometres = wanted.near
        return {row[0] for row in rows if kilometres_between(row[1], row[2], latitude, longitude) <= kilometres}

    def all_ids(self) -> set[int]:
        """Images that are there."""
        return {row[0] for row in self._db.execute("SELECT id FROM images WHERE gone_at IS NULL")}

    def newest_first(self, ids: Iterable[int]) -> list[int]:
        """`ids` by when the picture was taken (else changed), newest first."""
        taken = {
            row[0]: row[1]
            for row in self._db.execute(
                "SELECT id, coalesce(taken_at, strftime('%Y-%m-%dT%H:%M:%S', mtime_ns / 1000000000, 'unixepoch')) FROM images"
            )
        }
        return sorted(ids, key=lambda image_id: (taken.get(image_id, ""), -image_id), reverse=True)

    # Rows

    def rows(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """What is shown of each image, in the order of `ids`."""
        found: dict[int, dict[str, Any]] = {}
        for start in range(0, len(ids), _IDS_AT_ONCE):
            part = ids[start : start + _IDS_AT_ONCE]
            marks = ", ".join("?" * len(part))
            cursor = self._db.execute(f"SELECT * FROM images WHERE id IN ({marks})", tuple(part))
            names = [column[0] for column in cursor.description]
            for values in cursor:
                row = dict(zip(names, values, strict=True))
                found[row["id"]] = _shown(row)
        return [found[image_id] for image_id in ids if image_id in found]

    def id_of_path(self, path: bytes) -> int | None:
        """The image at a path."""
        row = self._db.execute("SELECT id FROM images WHERE path_bytes = ?", (path,)).fetchone()
        return row[0] if row else None


def kilometres_between(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Great-circle distance of two places in degrees, by the haversine formula."""
    from math import asin, cos, radians, sin, sqrt

    a, b = radians(latitude), radians(other_latitude)
    half = sin((a - b) / 2) ** 2 + cos(a) * cos(b) * sin(radians(longitude - other_longitude) / 2) ** 2
    return 2 * 6371.0 * asin(min(1.0, sqrt(half)))


def _match(term: Term) -> str:
    """An FTS5 expression in which nothing that was typed is syntax: every stem is a quoted string."""
    quoted = '"' + " ".join(stem.replace('"', '""') for stem in term.stems) + '"'
    if term.is_prefix:  # a beginning is looked for in the words as they stand as well as in stems
        return f"{quoted} *"
    return f"stems : {quoted}"


def _conditions(wanted: Filter) -> tuple[list[str], list[Any]]:
    conditions, values = ["gone_at IS NULL"], []

    def add(condition: str, *condition_values: Any) -> None:
        conditions.append(condition)
        values.extend(condition_values)

    if wanted.after:
        add("taken_at >= ?", wanted.after)
    if wanted.before:
        add("taken_at < ?", wanted.before)
    if wanted.camera:
        add("coalesce(camera_make, '') || ' ' || coalesce(camera_model, '') LIKE ? ESCAPE '\\'", _part(wanted.camera))
    if wanted.lens:
        add("lens LIKE ? ESCAPE '\\'", _part(wanted.lens))
    if wanted.folder is not None:
        start = wanted.folder.rstrip(b"/") + b"/"
        add("path_bytes >= ? AND path_bytes < ?", start, start[:-1] + b"0")  # "0" follows "/"
    if wanted.near is not None:
        latitude, _, kilometres = wanted.near
        reach = kilometres / _KM_PER_DEGREE
        add("longitude IS NOT NULL AND latitude BETWEEN ? AND ?", latitude - reach, latitude + reach)
    if wanted.format:
        add(
            "format = ? COLLATE NOCASE",
            {"JPG": "JPEG", "HEIC": "HEIF", "TIF": "TIFF"}.get(wanted.format.upper(), wanted.format),
        )
    if wanted.min_size:
        add("max(width, height) >= ?", wanted.min_size)
    for tag in wanted.tags:
        add(
            "id IN (SELECT rowid FROM images_fts WHERE images_fts MATCH ?)",
            '{tags keywords} : "' + tag.replace('"', '""') + '"',
        )
    return conditions, values


def _part(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    row["path"] = os.fsdecode(row.pop("path_bytes"))
    for name in ("tags", "keywords"):
        row[name] = json.loads(row[name]) if row[name] else []
    return row
