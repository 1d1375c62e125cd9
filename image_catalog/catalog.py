"""images.db: opening, changing and reading the catalog. With schema, catalog_file and the other catalog_*, all that speaks SQL.

Knows rows and transactions; knows nothing of folders, models, FAISS or printing. One process writes at a time (folder_sync
holds a lock for that); any number may read meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from image_catalog import catalog_file, schema
from image_catalog.errors import CannotGoOn
from image_catalog.record import NamedTuple

TYPE_CHECKING = False  # a cold text search takes 25 ms, of which typing would be 3
if TYPE_CHECKING:
    from typing import Any, Self

# A description and how it was made: what moves together when a picture is copied or described anew.
DESCRIPTION_COLUMNS = (
    "description",
    "tags",
    "visible_text",
    "engine",
    "model",
    "model_digest",
    "prompt_version",
    "language",
    "seconds",
    "described_at",
)
_KNOWN_FILE = "id, path_bytes, device, state, gone_at IS NOT NULL"
# path, size in bytes, mtime_ns, ctime_ns, inode: while these stay the same, a file is not opened (image_files.FoundFile).
Signature = tuple[bytes, int, int, int, int]
NO_FAILURE: dict[str, Any] = {"failure_kind": None, "failure_reason": None, "attempts": 0, "retry_after": None}


class KnownFile(NamedTuple):
    """What the catalog knows of a file that matters to a sync."""

    id: int
    path: bytes
    device: int
    state: str
    is_gone: bool


class WaitingImage(NamedTuple):
    """An image that wants a description."""

    id: int
    path: bytes
    content_hash: str
    pixel_hash: str | None
    size: int
    mtime_ns: int
    context: str | None


class Coverage(NamedTuple):
    """How much of the catalog a search can see; counts of images that are there (not gone)."""

    images: int
    described: int
    waiting: int
    failed: int


class Catalog:
    """An open images.db. Use it as a context manager: SQLite's errors leave the block as a UserError naming the file."""

    def __init__(self, path: str, db: sqlite3.Connection) -> None:
        self.path = path
        self.db = db
        self._rehearsing = False

    @classmethod
    def open(cls, path: str, on_warning: Callable[[str], None] = lambda text: None) -> Catalog:
        """Open for writing; creates or migrates the file. Raises CannotGoOn."""
        if os.path.exists(path):
            catalog_file.refuse_what_is_no_file(path)
        with catalog_file.errors_of(path):
            catalog_file.make_private(path)
            db = catalog_file.connect(path, "rwc")
            try:
                version = catalog_file.check_ours(path, db)
                if 0 < version < schema.SCHEMA_VERSION:
                    catalog_file.keep_copy(path, db, version)
                if catalog_file.lies_on_a_network(path):
                    db.execute("PRAGMA journal_mode = DELETE")
                    db.execute("PRAGMA synchronous = FULL")
                    on_warning(f"{path}: lies on a network disk: use it from one machine at a time; a local disk is safer")
                else:
                    db.execute("PRAGMA journal_mode = WAL")
                    # With NORMAL a crash of the program loses nothing, a power cut the last seconds, neither damages.
                    db.execute("PRAGMA synchronous = NORMAL")
                schema.migrate(db)
            except BaseException:
                db.close()
                raise
            return cls(path, db)

    @classmethod
    def open_for_reading(cls, path: str) -> Catalog:
        """Open without ever writing; also on read-only media. Raises CannotGoOn when there is no usable catalog."""
        if not os.path.exists(path):
            raise CannotGoOn(path, "there is no catalog here yet", "make one with: python index_images.py FOLDER -r")
        catalog_file.refuse_what_is_no_file(path)
        with catalog_file.errors_of(path):
            db = catalog_file.connect_read_only(path)
            try:
                version = catalog_file.check_ours(path, db)
            except BaseException:
                db.close()
                raise
        if version == 0:
            db.close()
            raise CannotGoOn(path, "the catalog is empty", "fill it with: python index_images.py FOLDER -r")
        if version < schema.SCHEMA_VERSION:
            db.close()
            raise CannotGoOn(
                path,
                f"made by an older version (schema {version}, this is {schema.SCHEMA_VERSION})",
                "run index_images.py once: it keeps a copy and brings the catalog up to date",
            )
        return cls(path, db)

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        try:
            self.db.close()
        finally:
            if isinstance(error, sqlite3.Error):
                raise catalog_file.as_user_error(self.path, error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction that takes the write lock at its start, so that it can never fail half way for want of it."""
        if self._rehearsing:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self.db.in_transaction:  # SQLite has rolled back itself when the disk was full
                self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Whatever is written within is seen within and undone at the end: --dry-run does what a run does."""
        self.db.execute("BEGIN IMMEDIATE")
        self._rehearsing = True
        try:
            yield
        finally:
            self._rehearsing = False
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    def share_writing(self) -> None:
        """For a second writer beside an index run: leave moving the -wal into the file to that run.

        SQLite 3.7.0 to 3.51.2 can damage a WAL database when two connections checkpoint at the same moment.
        """
        self.db.execute("PRAGMA wal_autocheckpoint = 0")

    # Settings

    def setting(self, name: str) -> str | None:
        """What was kept under `name`, or None."""
        row = self.db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def keep_setting(self, name: str, value: str) -> None:
        """Remember `value` for the runs that come."""
        self.db.execute(
            "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )

    def generation(self) -> int:
        """A number that grows with every change of what can be searched."""
        return int(self.db.execute("SELECT number FROM generation").fetchone()[0])

    # Runs and roots

    def start_run(self, roots: Sequence[bytes]) -> int:
        """Record that an index run begins; returns its id."""
        cursor = self.db.execute(
            "INSERT INTO runs (pid, roots, started_at) VALUES (?, ?, ?)",
            (os.getpid(), to_json([display_path(root) for root in roots]), utc_now()),
        )
        return int(cursor.lastrowid or 0)

    def end_run(self, run_id: int, exit_code: int, summary: Mapping[str, Any]) -> None:
        """Record how a run ended."""
        self.db.execute(
            "UPDATE runs SET ended_at = ?, exit_code = ?, summary = ? WHERE id = ?",
            (utc_now(), exit_code, to_json(summary), run_id),
        )

    def last_run(self) -> dict[str, Any] | None:
        """The newest run: pid, roots, started_at, ended_at, exit_code, summary."""
        return self._one("SELECT pid, roots, started_at, ended_at, exit_code, summary FROM runs ORDER BY id DESC LIMIT 1")

    def keep_root(self, root: bytes, device: int) -> None:
        """Remember that `root` was indexed now, on `device`."""
        self.db.execute(
            "INSERT INTO roots VALUES (?, ?, ?, ?) ON CONFLICT (path_bytes) DO UPDATE"
            " SET device = excluded.device, last_run_at = excluded.last_run_at",
            (root, display_path(root), device, utc_now()),
        )

    def roots(self) -> list[bytes]:
        """Every folder that was ever indexed."""
        return [path for (path,) in self.db.execute("SELECT path_bytes FROM roots")]

    # Files

    def known_signatures(self) -> dict[bytes, Signature]:
        """Every image that is there, by path, as it was when it was last opened; in one bulk read."""
        rows = self.db.execute("SELECT path_bytes, size, mtime_ns, ctime_ns, inode FROM images WHERE gone_at IS NULL")
        return {row[0]: row for row in rows}

    def known_file(self, path: bytes) -> KnownFile | None:
        """What is known of one file, gone or there."""
        row = self.db.execute(f"SELECT {_KNOWN_FILE} FROM images WHERE path_bytes = ?", (path,)).fetchone()
        return KnownFile._make(row) if row else None

    def known_files(self) -> Iterator[KnownFile]:
        """Every image that is there."""
        yield from map(KnownFile._make, self.db.execute(f"SELECT {_KNOWN_FILE} FROM images WHERE gone_at IS NULL"))

    def known_other_files(self) -> dict[bytes, Signature]:
        """Every file known to be no image, by path."""
        return {row[0]: row for row in self.db.execute("SELECT * FROM other_files")}

    def keep_other_files(self, files: Iterable[Signature]) -> None:
        """Remember files that are no images."""
        self.db.executemany(
            "INSERT INTO other_files VALUES (?, ?, ?, ?, ?) ON CONFLICT (path_bytes) DO UPDATE SET"
            " size = excluded.size, mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns, inode = excluded.inode",
            files,
        )

    def forget_other_files(self, paths: Iterable[bytes]) -> None:
        """Files that are gone, or images now."""
        self.db.executemany("DELETE FROM other_files WHERE path_bytes = ?", ((path,) for path in paths))

    def insert_image(self, path: bytes, columns: Mapping[str, Any]) -> int:
        """A new row in state 'waiting' (unless `columns` says otherwise); returns its id."""
        values = {"path": display_path(path), "path_bytes": path, "added_at": utc_now(), **columns}
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        cursor = self.db.execute(f"INSERT INTO images ({names}) VALUES ({marks})", _storable(values))
        return int(cursor.lastrowid or 0)

    def update_image(self, image_id: int, columns: Mapping[str, Any]) -> None:
        """Change some columns of one row; its id and full-text row stay."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self.db.execute(f"UPDATE images SET {assignments} WHERE id = ?", (*_storable(columns), image_id))

    def move_image(self, image_id: int, path: bytes) -> None:
        """The same picture under another path."""
        self.update_image(image_id, {"path": display_path(path), "path_bytes": path, "gone_at": None})

    def delete_image(self, image_id: int) -> None:
        """Forget one row; its vectors are kept for the text's sake until they are swept."""
        self.db.execute("DELETE FROM images WHERE id = ?", (image_id,))

    def mark_gone(self, image_ids: Iterable[int]) -> None:
        """Files that were missed under a root that is there."""
        now = utc_now()
        self.db.executemany("UPDATE images SET gone_at = ? WHERE id = ?", ((now, image_id) for image_id in image_ids))

    def image(self, image_id: int) -> dict[str, Any] | None:
        """All columns of one row by name."""
        return self._one("SELECT * FROM images WHERE id = ?", image_id)

    def images_with_content(self, content_hash: str) -> list[dict[str, Any]]:
        """Every row, gone or not, whose file has these bytes; described ones first."""
        return self._all("SELECT * FROM images WHERE content_hash = ? ORDER BY state != 'described', id", content_hash)

    def described_with_content(self, content_hash: str) -> dict[str, Any] | None:
        """A described row of a file with these bytes."""
        return self._one("SELECT * FROM images WHERE content_hash = ? AND state = 'described' ORDER BY id LIMIT 1", content_hash)

    def has_content(self, content_hash: str) -> bool:
        """Whether any row is of a file with these bytes."""
        row = self.db.execute("SELECT 1 FROM images WHERE content_hash = ? LIMIT 1", (content_hash,)).fetchone()
        return row is not None

    def contents(self) -> Iterator[tuple[str, int, bytes, bool]]:
        """(content hash, id, path, is gone) of every row that has been read, described ones last."""
        yield from self.db.execute(
            "SELECT content_hash, id, path_bytes, gone_at IS NOT NULL FROM images WHERE content_hash IS NOT NULL"
            " ORDER BY state = 'described', id DESC"
        )

    def described_with_pixels(self, pixel_hash: str) -> dict[str, Any] | None:
        """A described row whose picture has these very pixels, the newest description first."""
        return self._one(
            "SELECT * FROM images WHERE pixel_hash = ? AND state = 'described' ORDER BY described_at DESC LIMIT 1",
            pixel_hash,
        )

    def past_description(self, content_hash: str) -> dict[str, Any] | None:
        """The newest replaced description of a file with these bytes."""
        return self._one("SELECT * FROM past_descriptions WHERE content_hash = ? ORDER BY id DESC LIMIT 1", content_hash)

    def past_description_with_pixels(self, pixel_hash: str) -> dict[str, Any] | None:
        """The newest replaced description of a picture with these very pixels."""
        return self._one("SELECT * FROM past_descriptions WHERE pixel_hash = ? ORDER BY id DESC LIMIT 1", pixel_hash)

    # Descriptions

    def waiting_images(self, now: str) -> list[WaitingImage]:
        """Images that are there and want a description, newest picture first; those that back off are left out."""
        rows = self.db.execute(
            "SELECT id, path_bytes, content_hash, pixel_hash, size, mtime_ns, context FROM images"
            " WHERE state = 'waiting' AND gone_at IS NULL AND content_hash IS NOT NULL"
            " AND (retry_after IS NULL OR retry_after <= ?)"
            " ORDER BY coalesce(taken_at, strftime('%Y-%m-%dT%H:%M:%S', mtime_ns / 1000000000, 'unixepoch')) DESC, id",
            (now,),
        )
        return [WaitingImage._make(row) for row in rows]

    def wait_again(self, image_ids: Iterable[int]) -> None:
        """These images want a new description; the one that they have stays until it comes."""
        self.db.executemany(
            "UPDATE images SET state = 'waiting', attempts = 0, retry_after = NULL WHERE id = ?",
            ((image_id,) for image_id in image_ids),
        )

    def described_images(self) -> list[dict[str, Any]]:
        """How each described image that is there was described: id, path_bytes, engine, model, prompt_version, language."""
        return self._all(
            "SELECT id, path_bytes, engine, model, prompt_version, language FROM images"
            " WHERE state = 'described' AND gone_at IS NULL"
        )

    def keep_past_description(self, image_id: int) -> None:
        """Copy the description that a row has now to the history, before it is replaced."""
        same = (
            "content_hash, pixel_hash, description, tags, visible_text, engine, model, model_digest, prompt_version,"
            " language, seconds, described_at"
        )
        self.db.execute(
            f"INSERT INTO past_descriptions (image_id, {same}, replaced_at)"
            f" SELECT id, {same}, ? FROM images WHERE id = ? AND description IS NOT NULL",
            (utc_now(), image_id),
        )

    # Vectors

    def texts_without_passage(self) -> list[dict[str, Any]]:
        """Rows whose searchable text changed since their passage was last hashed: id and the searched columns."""
        return self._all(
            "SELECT id, description, tags, visible_text, caption, keywords, facts FROM images"
            " WHERE passage_hash IS NULL AND gone_at IS NULL AND description IS NOT NULL"
        )

    def keep_passages(self, hashes: Iterable[tuple[int, str]]) -> None:
        """(image id, passage hash) of texts that were just hashed."""
        self.db.executemany("UPDATE images SET passage_hash = ? WHERE id = ?", ((key, row) for row, key in hashes))

    def embedding_model_id(self, name: str, digest: str, dimension: int) -> int:
        """The row of an embedding model, made when it is new."""
        self.db.execute(
            "INSERT INTO embedding_models (name, digest, dimension) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (name, digest, dimension),
        )
        row = self.db.execute("SELECT id FROM embedding_models WHERE name = ? AND digest = ?", (name, digest)).fetchone()
        return int(row[0])

    def embedding_model(self, embedding_model_id: int) -> dict[str, Any]:
        """name, digest and dimension of a model whose vectors are stored."""
        row = self._one("SELECT name, digest, dimension FROM embedding_models WHERE id = ?", embedding_model_id)
        assert row is not None
        return row

    def passages_without_vector(self, embedding_model_id: int) -> list[dict[str, Any]]:
        """One row per distinct text that has no vector of this model: passage_hash, an image's id and the texts."""
        return self._all(
            "SELECT min(id) AS id, passage_hash, description, tags, visible_text, caption, keywords, facts FROM images"
            " WHERE passage_hash IS NOT NULL AND gone_at IS NULL AND description IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM vectors WHERE embedding_model_id = ? AND vectors.passage_hash = images.passage_hash)"
            " GROUP BY passage_hash",
            embedding_model_id,
        )

    def keep_vectors(self, embedding_model_id: int, vectors: Iterable[tuple[str, bytes]]) -> None:
        """One batch of (passage_hash, little-endian float16 vector), in one transaction."""
        with self.transaction():
            self.db.executemany(
                "INSERT INTO vectors VALUES (?, ?, ?) ON CONFLICT (embedding_model_id, passage_hash) DO UPDATE"
                " SET vector = excluded.vector",
                ((key, embedding_model_id, vector) for key, vector in vectors),
            )

    def image_vectors(self, embedding_model_id: int) -> Iterator[tuple[int, bytes]]:
        """(image id, vector) of every described image that is there, by id."""
        yield from self.db.execute(
            "SELECT images.id, vector FROM images JOIN vectors USING (passage_hash)"
            " WHERE embedding_model_id = ? AND gone_at IS NULL AND description IS NOT NULL ORDER BY images.id",
            (embedding_model_id,),
        )

    def description_languages(self) -> Iterator[tuple[int, str | None, str]]:
        """(image id, recorded language, the first 100 characters) of every description of an image that is there."""
        yield from self.db.execute(
            "SELECT id, language, substr(description, 1, 100) FROM images WHERE gone_at IS NULL AND description IS NOT NULL"
        )

    def drop_unused_vectors(self, embedding_model_id: int) -> int:
        """Forget this model's vectors of texts that no row has any more; returns how many."""
        cursor = self.db.execute(
            "DELETE FROM vectors WHERE embedding_model_id = ? AND passage_hash NOT IN"
            " (SELECT passage_hash FROM images WHERE passage_hash IS NOT NULL)",
            (embedding_model_id,),
        )
        return cursor.rowcount

    # Counts

    def coverage(self) -> Coverage:
        """How many images are there, described, waiting and failed."""
        counts = dict(self.db.execute("SELECT state, images FROM counts"))
        return Coverage(sum(counts.values()), counts["described"], counts["waiting"], counts["failed"])

    def failed_images(self) -> list[dict[str, Any]]:
        """Images that are there and failed, by path: path_bytes, failure_kind, failure_reason, attempts."""
        return self._all(
            "SELECT path_bytes, failure_kind, failure_reason, attempts FROM images"
            " WHERE state = 'failed' AND gone_at IS NULL ORDER BY path_bytes"
        )

    def failed_kinds(self) -> dict[bytes, str]:
        """path -> kind of failure, of the images that are there and failed."""
        return dict(
            self.db.execute(
                "SELECT path_bytes, failure_kind FROM images"
                " WHERE state = 'failed' AND gone_at IS NULL AND failure_kind IS NOT NULL"
            )
        )

    def status(self) -> dict[str, Any]:
        """Counts by state, by folder and by kind of failure, and the pace of the last 100 descriptions in seconds."""
        pace = self.db.execute(
            "SELECT avg(seconds) FROM (SELECT seconds FROM images WHERE seconds IS NOT NULL ORDER BY described_at DESC LIMIT 100)"
        ).fetchone()[0]
        failures = self._all(
            "SELECT failure_kind AS kind, count(*) AS images FROM images WHERE state = 'failed' AND gone_at IS NULL"
            " GROUP BY kind ORDER BY images DESC"
        )
        return self.coverage()._asdict() | {
            "seconds_per_description": pace,
            "models": self._all(
                "SELECT engine, model, count(*) AS images FROM images WHERE state = 'described' AND gone_at IS NULL"
                " GROUP BY engine, model ORDER BY images DESC"
            ),
            "failures": failures,
            "folders": self._folders(),
            "last_run": self.last_run(),
        }

    def _folders(self) -> list[dict[str, Any]]:
        folders: dict[bytes, dict[str, Any]] = {}
        for path, state in self.db.execute("SELECT path_bytes, state FROM images WHERE gone_at IS NULL ORDER BY path_bytes"):
            name = os.path.dirname(path)
            new = {"path": os.fsdecode(name), "images": 0, "described": 0, "waiting": 0, "failed": 0}
            folder = folders.setdefault(name, new)
            folder["images"] += 1
            folder[state] += 1
        return list(folders.values())

    def _one(self, query: str, *values: Any) -> dict[str, Any] | None:
        cursor = self.db.execute(query, values)
        row = cursor.fetchone()
        return row and {column[0]: value for column, value in zip(cursor.description, row, strict=True)}

    def _all(self, query: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self.db.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _storable(columns: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values that SQLite takes: text is UTF-8, so a lone surrogate (a model's or a camera's) becomes a question mark."""
    return tuple(
        value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) and not value.isascii() else value
        for value in columns.values()
    )


def display_path(path: bytes) -> str:
    """A path for people: bytes that are not UTF-8 become \\xNN."""
    return path.decode("utf-8", "backslashreplace")


def to_json(value: Any) -> str:
    """JSON as it is stored: readable Cyrillic, no lone surrogates (SQLite text is UTF-8)."""
    import json

    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def utc_now() -> str:
    """YYYY-MM-DDTHH:MM:SSZ"""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
