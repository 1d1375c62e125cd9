"""What must be true of a catalog after anything that happens to it. Asks SQLite itself and no line of the product.

`Oracle.check_whole` holds after a kill at any moment; `Oracle.check_true` after a run that came to its end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from product import Trouble
from tree import Content, Tree

OURS = ("images.db", "images.db-wal", "images.db-shm", "images.db-journal", "images.db.lock", "image_index.faiss")


@dataclass(frozen=True)
class Seen:
    """A catalog as it was found: its rows, and every description that it holds, past ones too."""

    rows: list[dict[str, Any]]
    descriptions: frozenset[str]

    def there(self, root: Path | None = None) -> dict[bytes, dict[str, Any]]:
        """Rows whose file is not gone, by path; only those under `root`, if it is given.

        What lies under a root that has been renamed and is not the same under its new name stays: nobody can know.
        """
        inside = os.fsencode(os.path.realpath(root)) + b"/" if root else b""
        rows = (row for row in self.rows if row["gone_at"] is None)
        return {row["path_bytes"]: row for row in rows if row["path_bytes"].startswith(inside)}


class Oracle:
    """Watches one images.db over its life: a description that it has once held is never lost."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._held: frozenset[str] = frozenset()
        self._before: Seen | None = None  # if nothing has run since it was seen to be true

    def forget(self) -> None:
        """The catalog was put back to an earlier state by the harness itself."""
        self._held, self._before = frozenset(), None

    def check_whole(self) -> Seen:
        """Not damaged, whatever happened; what is there. No catalog at all is an empty one."""
        self._check_files()
        seen = self._look()
        if lost := self._held - seen.descriptions:
            raise Trouble(f"{len(lost)} descriptions that were stored are lost: {sorted(lost)[:3]}")
        self._held, self._before = seen.descriptions, None
        return seen

    def check_true(self, tree: Tree) -> Seen:
        """The catalog says of each file of `tree` what is true of it, and has no other."""
        before, seen = self._before, self.check_whole()
        rows = seen.there(tree.root)
        expected = {os.fsencode(os.path.realpath(tree.root / name)): content for name, content in tree.files.items()}
        if rows.keys() != expected.keys():
            missing, extra = sorted(expected.keys() - rows.keys()), sorted(rows.keys() - expected.keys())
            raise Trouble(f"not in the catalog: {missing[:5]}; in it, but not on the disk: {extra[:5]}")
        for path, content in expected.items():
            _check_row(path, rows[path], content)
        if before is not None:
            _check_moves(before, seen)
        self._before = seen
        return seen

    def check_kept(self, before: Collection[bytes]) -> None:
        """No image of those `before` was marked as gone."""
        if lost := set(before) - self.check_whole().there().keys():
            raise Trouble(f"{len(lost)} images are marked as gone although nobody can know: {sorted(lost)[:3]}")

    def _look(self) -> Seen:
        """Read a copy: opening the catalog here would mend what the next run has to mend."""
        if not self._db.exists() or self._db.stat().st_size + _size(f"{self._db}-wal") == 0:
            return Seen([], frozenset())
        with tempfile.TemporaryDirectory(prefix="oracle") as folder:
            copy = Path(folder) / "images.db"
            for ending in ("", "-wal", "-journal"):
                if os.path.exists(f"{self._db}{ending}"):
                    shutil.copy(f"{self._db}{ending}", f"{copy}{ending}")
            try:
                with contextlib.closing(sqlite3.connect(copy)) as db:
                    db.row_factory = sqlite3.Row
                    return _examined(db)
            except sqlite3.Error as error:
                raise Trouble(f"the catalog is damaged: {error}") from error

    def _check_files(self) -> None:
        """Private, and nothing beside them that no run would clean up."""
        for path in self._db.parent.iterdir():
            if path.name in OURS:
                mode = stat.S_IMODE(path.stat().st_mode)
                if mode & 0o077:
                    raise Trouble(f"{path.name} can be read by others: {mode:o}")


def _examined(db: sqlite3.Connection) -> Seen:
    if (answer := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
        raise Trouble(f"integrity_check: {answer}")
    if db.execute("PRAGMA foreign_key_check").fetchone():
        raise Trouble("a foreign key leads nowhere")
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'images'").fetchone():
        return Seen([], frozenset())  # killed before its first commit
    db.execute("INSERT INTO images_fts (images_fts, rank) VALUES ('integrity-check', 1)")  # raises when out of step
    (images, texts) = db.execute("SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM images_fts_docsize)").fetchone()
    if images != texts:
        raise Trouble(f"{images} images, but {texts} rows of full text")
    rows = [dict(row) for row in db.execute("SELECT * FROM images")]
    _check_counts(db, rows)
    for row in rows:
        if row["state"] == "described" and not row["description"]:
            raise Trouble(f"described without a description: {row['path']}")
    past = {row[0] for row in db.execute("SELECT description FROM past_descriptions")}
    return Seen(rows, frozenset(past | {row["description"] for row in rows if row["description"]}))


def _check_counts(db: sqlite3.Connection, rows: list[dict[str, Any]]) -> None:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'counts'").fetchone():
        return  # a schema from before they were kept
    kept = dict(db.execute("SELECT state, images FROM counts"))
    for state, count in kept.items():
        if count != sum(row["state"] == state and row["gone_at"] is None for row in rows):
            raise Trouble(f"the kept counts are not those of the rows: {kept}")


def _check_row(path: bytes, row: Mapping[str, Any], content: Content) -> None:
    state, description = ("failed", None) if content.cut else ("described", content.description)
    if (row["state"], row["description"]) != (state, description):
        reason = f" ({row['failure_reason']})" if row["failure_reason"] else ""
        raise Trouble(f"{path!r} is {row['state']}{reason}: {row['description']!r} instead of {state}: {description!r}")
    if not content.cut and row["camera_make"] != content.camera:
        raise Trouble(f"{path!r} has the facts of another file: {row['camera_make']!r} instead of {content.camera!r}")


def _check_moves(before: Seen, now: Seen) -> None:
    """A file of which there is one, and which lies elsewhere now, keeps its row, and with it its vector and history."""
    old, new = _only_ones(before.rows), _only_ones(now.there().values())
    paths_before, paths = before.there().keys(), now.there().keys()
    for content in old.keys() & new.keys():
        one, other = old[content], new[content]
        has_moved = one["gone_at"] is None and one["path_bytes"] not in paths and other["path_bytes"] not in paths_before
        if has_moved and one["id"] != other["id"]:
            raise Trouble(f"{one['path']} moved to {other['path']}, but is taken for another picture")


def _only_ones(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By content: those of `rows` whose content no other of them has."""
    rows = list(rows)
    counts = Counter(row["content_hash"] for row in rows)
    return {row["content_hash"]: row for row in rows if row["content_hash"] and counts[row["content_hash"]] == 1}


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0
