"""The SQL of what is done to a catalog as a whole: moved and forgotten folders, copies, exchange of descriptions.

Knows rows; which files exist and what is printed is its callers' business. Paths are absolute bytes.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from image_catalog.catalog import DESCRIPTION_COLUMNS, NO_FAILURE, Catalog, display_path, to_json, utc_now
from image_catalog.errors import CannotGoOn

# What a description is known again by, and how it was made: the fields of an exported line.
EXCHANGED = ("content_hash", "pixel_hash", *DESCRIPTION_COLUMNS)
_UNDER = "(path_bytes = :folder OR (path_bytes >= :first AND path_bytes < :after))"


class Relocated(NamedTuple):
    """What moved: images whose path changed, of them those that another row at the new place took over, folders."""

    images: int
    merged: int
    roots: int


def images_under(catalog: Catalog, folder: bytes) -> int:
    """How many rows lie in a folder or below it, gone ones too."""
    return int(catalog.db.execute(f"SELECT count(*) FROM images WHERE {_UNDER}", _range(folder)).fetchone()[0])


def relocate(catalog: Catalog, old: bytes, new: bytes, device: int, reads_as_before: Callable[[bytes, bytes], bool]) -> Relocated:
    """Give everything under `old` its path under `new`, in one transaction.

    `reads_as_before(old path, new path)`: whether the words of both paths are the same; where they are not, the next run
    reads the file again for its facts.
    """
    merged = 0
    with catalog.transaction():
        rows = catalog.db.execute(
            f"SELECT id, path_bytes, content_hash, state FROM images WHERE {_UNDER}", _range(old)
        ).fetchall()
        for image_id, path, content_hash, state in rows:
            place = new + path[len(old) :]
            other = catalog.db.execute("SELECT id, content_hash, state FROM images WHERE path_bytes = ?", (place,)).fetchone()
            if other is not None:
                merged += 1
                if (other[1], other[2]) == (content_hash, "described") or other[1] != content_hash or state != "described":
                    catalog.keep_past_description(image_id)
                    catalog.delete_image(image_id)
                    continue
                catalog.delete_image(other[0])
            columns: dict[str, Any] = {"path": display_path(place), "path_bytes": place, "device": device}
            if not reads_as_before(path, place):
                columns["ctime_ns"] = 0
            catalog.update_image(image_id, columns)
        catalog.db.execute(f"DELETE FROM other_files WHERE {_UNDER}", _range(old))
        roots = _relocate_roots(catalog, old, new, device)
    return Relocated(len(rows), merged, roots)


def _relocate_roots(catalog: Catalog, old: bytes, new: bytes, device: int) -> int:
    roots = catalog.db.execute(f"SELECT path_bytes FROM roots WHERE {_UNDER}", _range(old)).fetchall()
    for (root,) in roots:
        place = new + root[len(old) :]
        catalog.db.execute("DELETE FROM roots WHERE path_bytes = ?", (place,))
        catalog.db.execute(
            "UPDATE roots SET path_bytes = ?, path = ?, device = ? WHERE path_bytes = ?",
            (place, display_path(place), device, root),
        )
    return len(roots)


def forget(catalog: Catalog, folder: bytes) -> int:
    """Remove every trace of a folder's images: rows, past descriptions, words, vectors; returns how many images.

    What was removed is overwritten in the file, not only unlinked.
    """
    db = catalog.db
    db.execute("PRAGMA secure_delete = ON")
    with catalog.transaction():
        images = images_under(catalog, folder)
        ids = f"SELECT id FROM images WHERE {_UNDER}"
        hashes = f"SELECT content_hash FROM images WHERE {_UNDER} AND content_hash IS NOT NULL"
        others = f"SELECT content_hash FROM images WHERE NOT {_UNDER} AND content_hash IS NOT NULL"
        db.execute(
            f"DELETE FROM past_descriptions WHERE image_id IN ({ids})"
            f" OR (content_hash IN ({hashes}) AND content_hash NOT IN ({others}))",
            _range(folder),
        )
        db.execute(f"DELETE FROM images WHERE {_UNDER}", _range(folder))
        db.execute(f"DELETE FROM other_files WHERE {_UNDER}", _range(folder))
        db.execute(f"DELETE FROM roots WHERE {_UNDER}", _range(folder))
        db.execute(
            "DELETE FROM vectors WHERE passage_hash NOT IN (SELECT passage_hash FROM images WHERE passage_hash IS NOT NULL)"
        )
        db.execute("INSERT INTO images_fts (images_fts) VALUES ('optimize')")  # else deleted words stay in old segments
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return images


def _range(folder: bytes) -> dict[str, bytes]:
    inside = folder.rstrip(b"/") + b"/"
    return {"folder": folder, "first": inside, "after": inside[:-1] + b"0"}  # 0 is the character after /


# Copies


def copy_to(catalog: Catalog, path: str) -> None:
    """A whole, checked copy of the catalog as it is at one moment, also while a run writes; replaces `path` at the end.

    https://sqlite.org/backup.html. Raises CannotGoOn, and leaves `path` as it was.
    """
    unfinished = f"{path}.{os.getpid()}.tmp"
    try:
        os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        copy = sqlite3.connect(unfinished, isolation_level=None)
        try:
            catalog.db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, whole in itself
            if copy.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise CannotGoOn(path, "the copy is damaged, so the catalog is", "look into it with: index_images.py --check")
        finally:
            copy.close()
        os.replace(unfinished, path)
    except OSError as error:
        raise CannotGoOn(path, f"cannot write the copy ({error.strerror})", "name another place") from None
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise
        raise CannotGoOn(path, "disk full", "free some space, or name another place") from None
    finally:
        for leftover in (unfinished, unfinished + "-journal"):
            if os.path.exists(leftover):
                os.unlink(leftover)


# Exchange of descriptions


def descriptions(catalog: Catalog) -> Iterator[dict[str, Any]]:
    """Every description with the path and hashes of its picture, then the replaced ones with `replaced_at` and no path."""
    columns = ", ".join(EXCHANGED)
    queries = (
        f"SELECT path_bytes, {columns} FROM images WHERE description IS NOT NULL AND content_hash IS NOT NULL ORDER BY id",
        f"SELECT {columns}, replaced_at FROM past_descriptions WHERE content_hash IS NOT NULL ORDER BY id",
    )
    for query in queries:
        cursor = catalog.db.execute(query)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))


def rows_of_picture(catalog: Catalog, content_hash: str, pixel_hash: str | None) -> list[dict[str, Any]]:
    """Rows with these bytes, else rows with these very pixels."""
    rows = catalog.images_with_content(content_hash)
    if not rows and pixel_hash is not None:
        cursor = catalog.db.execute("SELECT * FROM images WHERE pixel_hash = ?", (pixel_hash,))
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
    return rows


def keep_for_later(catalog: Catalog, description: Mapping[str, Any]) -> bool:
    """Keep a description of a picture that the catalog may meet one day; False when it is kept already."""
    known = catalog.db.execute(
        "SELECT 1 FROM past_descriptions WHERE content_hash = ? AND description = ? AND described_at IS ?",
        (description["content_hash"], description["description"], description["described_at"]),
    ).fetchone()
    if known is not None:
        return False
    names = ", ".join(EXCHANGED)
    marks = ", ".join("?" * len(EXCHANGED))
    catalog.db.execute(
        f"INSERT INTO past_descriptions (image_id, {names}, replaced_at) VALUES (0, {marks}, ?)",
        (*(description[name] for name in EXCHANGED), description.get("replaced_at") or utc_now()),
    )
    return True


def described_columns(description: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row that takes over a description."""
    columns = {name: description[name] for name in DESCRIPTION_COLUMNS}
    tags = columns["tags"]
    columns["tags"] = to_json(tags) if isinstance(tags, list) else tags
    if description.get("pixel_hash") is not None:
        columns["pixel_hash"] = description["pixel_hash"]
    return columns | {"state": "described", **NO_FAILURE}


def described_images_under(catalog: Catalog, folders: list[bytes]) -> Iterator[dict[str, Any]]:
    """path_bytes, description, tags, language of the described images that are there; everywhere without `folders`."""
    ranges = [_range(folder) for folder in folders] or [{"folder": b"", "first": b"", "after": b"\xff"}]
    for under in ranges:
        cursor = catalog.db.execute(
            "SELECT path_bytes, description, tags, language FROM images"
            f" WHERE state = 'described' AND gone_at IS NULL AND {_UNDER} ORDER BY path_bytes",
            under,
        )
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))
