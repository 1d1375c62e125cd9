"""What the page reads from images.db to show pictures rather than to find them: facets, one picture, the state of the catalog.

And the one thing that it writes: that a picture waits for a new description. SQL and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from image_catalog.catalog import Catalog

_THERE = "gone_at IS NULL"
# A row of these waits although it has a description: somebody asked for a new one.
_QUEUED = f"state = 'waiting' AND description IS NOT NULL AND {_THERE}"
_MOST_EXAMPLES = 3


class FacetRow(NamedTuple):
    """What is counted of one picture that is there; `tags` and `keywords` are JSON lists."""

    id: int
    changed_at: str  # when it was taken, else when the file changed: YYYY-MM-DDTHH:MM:SS
    taken_at: str | None
    camera_make: str | None
    camera_model: str | None
    place: str | None
    place_ru: str | None
    format: str | None
    path: bytes
    tags: str | None
    keywords: str | None
    content_hash: str | None


class PictureFile(NamedTuple):
    """Where the file of an image lies, and how it looked when it was indexed."""

    id: int
    path: bytes
    content_hash: str | None
    format: str | None
    size: int
    mtime_ns: int


class CatalogViews:
    """The reading side of a catalog, for the page."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._db = catalog.db

    def facet_rows(self) -> Iterator[FacetRow]:
        """Every picture that is there, newest first."""
        changed = "coalesce(taken_at, strftime('%Y-%m-%dT%H:%M:%S', mtime_ns / 1000000000, 'unixepoch'))"
        yield from map(
            FacetRow._make,
            self._db.execute(
                f"SELECT id, {changed} AS changed, taken_at, camera_make, camera_model, place, place_ru, format, path_bytes,"
                f" tags, keywords, content_hash FROM images WHERE {_THERE} ORDER BY changed DESC, id"
            ),
        )

    # One picture

    def picture_file(self, image_id: int) -> PictureFile | None:
        """The file of an image that is there."""
        row = self._db.execute(
            f"SELECT id, path_bytes, content_hash, format, size, mtime_ns FROM images WHERE id = ? AND {_THERE}", (image_id,)
        ).fetchone()
        return PictureFile._make(row) if row else None

    def image(self, image_id: int) -> dict[str, Any] | None:
        """All columns of an image that is there."""
        row = self._catalog.image(image_id)
        return row if row is not None and row["gone_at"] is None else None

    def copies(self, image_id: int) -> list[tuple[int, str]]:
        """(id, path for people) of the other files that are equal to this one and are there."""
        same = "SELECT content_hash FROM images WHERE id = ?"
        query = f"SELECT id, path FROM images WHERE content_hash = ({same}) AND id != ? AND {_THERE} ORDER BY path"
        return list(self._db.execute(query, (image_id, image_id)))

    def past_descriptions(self, image_id: int) -> list[dict[str, Any]]:
        """Descriptions that were replaced, newest first: description, model, at."""
        rows = self._db.execute(
            "SELECT description, coalesce(model, engine), described_at FROM past_descriptions WHERE image_id = ?"
            " ORDER BY id DESC",
            (image_id,),
        )
        return [dict(zip(("description", "model", "at"), row, strict=True)) for row in rows]

    def queue_description(self, image_id: int) -> int:
        """Let an image that is there, and all files that show the same picture, wait for a new description; how many do.

        Equal files must wait together: the next run would else take the old text from the one that did not.
        """
        one = f"(SELECT {{}} FROM images WHERE id = :id AND {_THERE})"
        same = (
            f"SELECT id FROM images WHERE id = :id AND {_THERE}"
            f" UNION SELECT id FROM images WHERE content_hash = {one.format('content_hash')} AND {_THERE}"
            f" UNION SELECT id FROM images WHERE pixel_hash = {one.format('pixel_hash')} AND state = 'described' AND {_THERE}"
        )
        with self._catalog.transaction():
            ids = [row[0] for row in self._db.execute(same, {"id": image_id})]
            self._catalog.wait_again(ids)
        return len(ids)

    # The state of the catalog

    def queued(self) -> int:
        """How many images wait for a new description although they have one."""
        return int(self._db.execute(f"SELECT count(*) FROM images WHERE {_QUEUED}").fetchone()[0])

    def failures(self) -> list[dict[str, Any]]:
        """Why images failed, most first: kind, reason, count, examples."""
        kinds = self._db.execute(
            f"SELECT coalesce(failure_kind, ''), min(failure_reason), count(*) FROM images WHERE state = 'failed' AND {_THERE}"
            " GROUP BY 1 ORDER BY 3 DESC"
        ).fetchall()
        return [
            {"kind": kind, "reason": reason, "count": count, "examples": self._failed_examples(kind)}
            for kind, reason, count in kinds
        ]

    def _failed_examples(self, kind: str) -> list[dict[str, Any]]:
        rows = self._db.execute(
            f"SELECT id, path FROM images WHERE state = 'failed' AND {_THERE} AND coalesce(failure_kind, '') = ? LIMIT ?",
            (kind, _MOST_EXAMPLES),
        )
        return [{"id": image_id, "path": path} for image_id, path in rows]

    def runs(self, count: int) -> list[dict[str, Any]]:
        """The newest index runs: started_at, ended_at, exit_code, roots, summary, seconds."""
        rows = self._db.execute(
            "SELECT started_at, ended_at, exit_code, roots, summary, strftime('%s', ended_at) - strftime('%s', started_at)"
            " FROM runs ORDER BY id DESC LIMIT ?",
            (count,),
        )
        names = ("started_at", "ended_at", "exit_code", "roots", "summary", "seconds")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for run in found:
            run |= {"roots": json.loads(run["roots"] or "[]"), "summary": json.loads(run["summary"] or "{}")}
        return found

    def models(self) -> list[dict[str, Any]]:
        """Who described the images that are there: model, engine, language, count, seconds (mean of one)."""
        rows = self._db.execute(
            f"SELECT model, engine, language, count(*), avg(seconds) FROM images WHERE state = 'described' AND {_THERE}"
            " GROUP BY model, engine, language ORDER BY 4 DESC"
        )
        return [dict(zip(("model", "engine", "language", "count", "seconds"), row, strict=True)) for row in rows]

    def described_since(self, moment: str) -> int:
        """How many descriptions are younger than YYYY-MM-DDTHH:MM:SSZ."""
        query = "SELECT count(*) FROM images WHERE state = 'described' AND described_at >= ?"
        return int(self._db.execute(query, (moment,)).fetchone()[0])

    def size_of_originals(self) -> int:
        """Bytes of all pictures that are there."""
        return int(self._db.execute(f"SELECT coalesce(sum(size), 0) FROM images WHERE {_THERE}").fetchone()[0])
