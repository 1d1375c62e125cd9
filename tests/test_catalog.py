"""images.db: made, migrated, refused, read while it is written, and never left half changed."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from image_catalog import catalog_file, schema
from image_catalog.catalog import Catalog
from image_catalog.errors import CannotGoOn

ROOT = Path(__file__).resolve().parent.parent
FILE = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1, "device": 1, "content_hash": "aa"}


def described(text: str, **columns: Any) -> dict[str, Any]:
    return {**FILE, "state": "described", "description": text, "stems": text, **columns}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "images.db")


def test_a_new_catalog_is_private_empty_and_current(path: str) -> None:
    with Catalog.open(path) as catalog:
        assert catalog.coverage() == (0, 0, 0, 0)
        assert catalog.db.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)
        catalog.insert_image(b"/a.jpg", FILE)
        for file in Path(path).parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_an_empty_file_is_taken_as_new(path: str) -> None:
    Path(path).touch()
    with Catalog.open(path) as catalog:
        assert catalog.coverage().images == 0


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_bytes(b"this is no database at all" * 100), "is not an image-catalog database"),
        (lambda path: _foreign_database(path), "is a database of another program"),
        (lambda path: _newer_catalog(path), "made by a newer image-catalog"),
    ],
    ids=["garbage", "foreign", "newer"],
)
def test_a_file_that_is_not_ours_is_refused_and_untouched(path: str, make: Any, reason: str) -> None:
    make(Path(path))
    before = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    for opening in (Catalog.open, Catalog.open_for_reading):
        with pytest.raises(CannotGoOn, match=reason):
            opening(path)
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == before
    # A reader of a WAL database may leave its empty side files: nothing else, and nothing in them.
    beside = {file.name: file.stat().st_size for file in Path(path).parent.iterdir() if file.name != "images.db"}
    assert beside.keys() <= {"images.db-wal", "images.db-shm"}
    assert beside.get("images.db-wal", 0) == 0


def _foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (url)")
    db.close()


def _newer_catalog(path: Path) -> None:
    Catalog.open(str(path)).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 999")
    db.close()


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_cut_database_gives_one_line_and_stays_as_it_is(path: str, kept: float) -> None:
    with Catalog.open(path) as catalog:
        for number in range(500):
            catalog.insert_image(f"/{number}.jpg".encode(), described("sunset " * 50))
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CannotGoOn, match=r"damaged|not an image-catalog"), Catalog.open_for_reading(path) as catalog:
        catalog.known_signatures()
        catalog.db.execute("SELECT count(*) FROM images_fts WHERE images_fts MATCH 'sunset'").fetchall()
        catalog.db.execute("SELECT sum(length(description)) FROM images").fetchall()


def test_a_text_that_is_none_any_more_is_damage(path: str) -> None:
    """SQLite takes the bytes of a text on trust, Python does not."""
    with Catalog.open(path) as catalog:
        catalog.insert_image(b"/a.jpg", described("sunset"))
        catalog.db.execute("UPDATE images SET description = CAST(x'57348BFF' AS TEXT)")
    with pytest.raises(CannotGoOn, match="is damaged"), Catalog.open_for_reading(path) as catalog:
        catalog.db.execute("SELECT description FROM images").fetchall()


def test_a_folder_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotGoOn, match="is a folder"):
        Catalog.open(str(tmp_path))
    with pytest.raises(CannotGoOn, match="folder does not exist"):
        Catalog.open(str(tmp_path / "no" / "images.db"))
    with pytest.raises(CannotGoOn, match="there is no catalog here yet"):
        Catalog.open_for_reading(str(tmp_path / "images.db"))
    assert not (tmp_path / "images.db").exists()


def test_a_path_with_percent_question_mark_and_russian_opens(tmp_path: Path) -> None:
    path = str(tmp_path / "100% ? & отпуск #1.db")
    Catalog.open(path).close()
    Catalog.open_for_reading(path).close()
    assert os.path.exists(path)


def test_the_stock_query_finds_words_and_stems(path: str) -> None:
    with Catalog.open(path) as catalog:
        catalog.insert_image("/горы.jpg".encode(), described("A sunset over mountains", stems="sunset over mountain"))
        catalog.insert_image(b"/b.jpg", described("Две собаки на пляже", stems="две собак на пляж"))
    query = "SELECT path FROM images JOIN images_fts ON images.id = images_fts.rowid WHERE images_fts MATCH ?"
    db = sqlite3.connect(path)
    assert db.execute(query, ("sunset",)).fetchall() == [("/горы.jpg",)]
    assert db.execute(query, ("собаки",)).fetchall() == [("/b.jpg",)]
    assert db.execute(query, ("stems:собак",)).fetchall() == [("/b.jpg",)]
    db.close()


def test_full_text_follows_every_change(path: str) -> None:
    with Catalog.open(path) as catalog:
        row = catalog.insert_image(b"/a.jpg", described("old words"))
        catalog.update_image(row, {"description": "new words", "stems": "new word"})
        other = catalog.insert_image(b"/b.jpg", described("other"))
        catalog.delete_image(other)
        catalog.db.execute("INSERT INTO images_fts (images_fts, rank) VALUES ('integrity-check', 1)")
        found = catalog.db.execute("SELECT rowid FROM images_fts WHERE images_fts MATCH 'old OR other'").fetchall()
        assert found == []


def test_a_changed_text_loses_its_passage_and_moves_the_generation(path: str) -> None:
    with Catalog.open(path) as catalog:
        row = catalog.insert_image(b"/a.jpg", described("a dog"))
        catalog.keep_passages([(row, "hash")])
        before = catalog.generation()
        catalog.update_image(row, {"mtime_ns": 2})
        assert catalog.generation() == before
        assert catalog.texts_without_passage() == []
        catalog.update_image(row, {"description": "a cat"})
        assert catalog.generation() > before
        assert [text["id"] for text in catalog.texts_without_passage()] == [row]
        before = catalog.generation()
        catalog.mark_gone([row])
        assert catalog.generation() > before


def test_a_failed_transaction_leaves_nothing(path: str) -> None:
    with Catalog.open(path) as catalog:
        with pytest.raises(ZeroDivisionError), catalog.transaction():
            catalog.insert_image(b"/a.jpg", FILE)
            raise ZeroDivisionError
        assert catalog.known_signatures() == {}


def test_names_that_are_not_utf8_keep_their_bytes(path: str) -> None:
    name = b"/caf\xe9\n.jpg"
    with Catalog.open(path) as catalog:
        catalog.insert_image(name, FILE)
        assert list(catalog.known_signatures()) == [name]
        assert catalog.db.execute("SELECT path FROM images").fetchone() == ("/caf\\xe9\n.jpg",)


def test_reading_while_another_process_writes_sees_whole_rows(path: str) -> None:
    with Catalog.open(path) as writer, Catalog.open_for_reading(path) as reader:
        with writer.transaction():
            writer.insert_image(b"/a.jpg", FILE)
            assert reader.coverage().images == 0
        assert reader.coverage().images == 1


def test_a_reader_never_writes(path: str) -> None:
    Catalog.open(path).close()
    with pytest.raises(CannotGoOn, match="read-only"), Catalog.open_for_reading(path) as catalog:
        catalog.keep_setting("model", "x")


def test_locked_by_another_program_is_one_line(path: str) -> None:
    Catalog.open(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CannotGoOn, match="locked by another program"), Catalog.open(path) as catalog:
        catalog.db.execute("PRAGMA busy_timeout = 50")
        catalog.keep_setting("model", "x")
    other.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("wal_is_filled", [False, True])
def test_on_read_only_media_all_rows_are_read_or_it_says_why_not(tmp_path: Path, wal_is_filled: bool) -> None:
    path = tmp_path / "media" / "images.db"
    path.parent.mkdir()
    with Catalog.open(str(path)) as catalog:
        catalog.insert_image(b"/a.jpg", FILE)
        if wal_is_filled:  # as a kill -9 leaves it: the row only in the -wal, no -shm on the medium
            shutil.copy(path, tmp_path / "copy.db")
            shutil.copy(f"{path}-wal", tmp_path / "copy.db-wal")
    if wal_is_filled:
        shutil.copy(tmp_path / "copy.db", path)
        shutil.copy(tmp_path / "copy.db-wal", f"{path}-wal")
    script = (
        f"mount --bind {path.parent} {path.parent} && mount -o remount,ro,bind {path.parent} && "
        f'{sys.executable} -c "from image_catalog.catalog import Catalog\n'
        f"try:\n    with Catalog.open_for_reading('{path}') as c: print(c.coverage().images)\n"
        'except Exception as e: print(e)"'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    if wal_is_filled:
        assert "-wal file" in done.stdout
    else:
        assert done.stdout.strip() == "1"


def test_an_older_catalog_is_migrated_in_one_step_with_a_copy_kept(path: str) -> None:
    with Catalog.open(path) as catalog:
        row = catalog.insert_image(b"/a.jpg", described("a sunset"))
    steps = (*schema.MIGRATIONS, lambda db: db.execute("ALTER TABLE images ADD COLUMN later TEXT"))
    original = schema.MIGRATIONS, schema.SCHEMA_VERSION
    try:
        schema.MIGRATIONS, schema.SCHEMA_VERSION = steps, len(steps)
        with Catalog.open(path) as catalog:
            image = catalog.image(row)
            assert image is not None
            assert image["description"] == "a sunset"
            assert image["later"] is None
    finally:
        schema.MIGRATIONS, schema.SCHEMA_VERSION = original
    copy = sqlite3.connect(f"{path}.schema{len(original[0])}.bak")
    assert copy.execute("SELECT description FROM images").fetchall() == [("a sunset",)]
    assert copy.execute("PRAGMA user_version").fetchone() == (len(original[0]),)
    copy.close()


@pytest.mark.parametrize(
    ("kind", "is_network"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False), ("fuse.ntfs", False)]
)
def test_a_network_disk_gets_a_journal_that_works_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, is_network: bool
) -> None:
    disk = tmp_path / "my disk"
    disk.mkdir()
    mounts = tmp_path / "mounts"
    escaped = str(disk).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {escaped} {kind} rw 0 0\nserver:/y {escaped}2 nfs rw 0 0\n")
    monkeypatch.setattr(catalog_file, "MOUNTS", str(mounts))
    warnings: list[str] = []
    for _ in range(2):
        with Catalog.open(str(disk / "images.db"), warnings.append) as catalog:
            assert catalog.db.execute("PRAGMA journal_mode").fetchone() == ("delete" if is_network else "wal",)
            catalog.keep_setting("a", "b")
    assert len(warnings) == 2 * is_network
    assert all("network disk" in warning for warning in warnings)


def test_a_catalog_of_schema_1_counts_and_answers_as_before(path: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    schema.m001_create(db)
    db.execute("PRAGMA user_version = 1")
    older = Catalog(path, db)
    for number, state in enumerate(["described", "described", "waiting", "failed"]):
        older.insert_image(b"/%d.jpg" % number, {**described("a sunset"), "state": state})
    older.insert_image(b"/gone.jpg", {**described("a sunset"), "gone_at": "2026-01-01T00:00:00Z"})
    db.close()
    with Catalog.open(path) as catalog:
        assert tuple(catalog.coverage()) == (4, 2, 1, 1)
        assert catalog.db.execute("SELECT count(*) FROM images_fts WHERE images_fts MATCH 'sunset'").fetchone() == (5,)
        catalog.update_image(3, {"state": "described"})
        assert tuple(catalog.coverage()) == (4, 3, 0, 1)
    assert os.path.exists(f"{path}.schema1.bak")


def test_a_migration_that_fails_leaves_the_version_before(path: str) -> None:
    Catalog.open(path).close()

    def half_way(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE images ADD COLUMN later TEXT")
        raise ZeroDivisionError

    original = schema.MIGRATIONS, schema.SCHEMA_VERSION
    try:
        schema.MIGRATIONS, schema.SCHEMA_VERSION = (*schema.MIGRATIONS, half_way), len(schema.MIGRATIONS) + 1
        with pytest.raises(ZeroDivisionError):
            Catalog.open(path)
    finally:
        schema.MIGRATIONS, schema.SCHEMA_VERSION = original
    with Catalog.open(path) as catalog:
        assert "later" not in [row[1] for row in catalog.db.execute("PRAGMA table_info(images)")]


def test_waiting_images_come_newest_first_and_back_off(path: str) -> None:
    with Catalog.open(path) as catalog:
        catalog.insert_image(b"/old.jpg", {**FILE, "taken_at": "2001-01-01T00:00:00"})
        catalog.insert_image(b"/new.jpg", {**FILE, "taken_at": "2024-01-01T00:00:00"})
        catalog.insert_image(b"/by-mtime.jpg", {**FILE, "mtime_ns": 1_600_000_000_000_000_000})
        catalog.insert_image(b"/later.jpg", {**FILE, "retry_after": "2999-01-01T00:00:00Z"})
        catalog.insert_image(b"/gone.jpg", {**FILE, "gone_at": "2020-01-01T00:00:00Z"})
        paths = [image.path for image in catalog.waiting_images("2026-01-01T00:00:00Z")]
        assert paths == [b"/new.jpg", b"/by-mtime.jpg", b"/old.jpg"]


def test_a_replaced_description_is_kept(path: str) -> None:
    with Catalog.open(path) as catalog:
        row = catalog.insert_image(b"/a.jpg", described("first", model="m1"))
        catalog.keep_past_description(row)
        catalog.update_image(row, {"description": "second"})
        past = catalog.past_description("aa")
        assert past is not None
        assert (past["description"], past["model"]) == ("first", "m1")


def test_the_kept_counts_are_those_of_the_rows(tmp_path: Path) -> None:
    chance = random.Random(3)
    columns = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1, "device": 1}
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        ids = [catalog.insert_image(b"/%d.jpg" % number, columns) for number in range(40)]
        for _ in range(300):
            image_id = chance.choice(ids)
            action = chance.randrange(4)
            if action == 0:
                catalog.update_image(image_id, {"state": chance.choice(["waiting", "described", "failed"])})
            elif action == 1:
                catalog.update_image(image_id, {"gone_at": chance.choice([None, "2024-01-01T00:00:00Z"])})
            elif action == 2:
                catalog.update_image(image_id, {"description": "text", "stems": "text"})
            elif len(ids) > 10:
                catalog.delete_image(image_id)
                ids.remove(image_id)
        rows = dict(catalog.db.execute("SELECT state, count(*) FROM images WHERE gone_at IS NULL GROUP BY state"))
        there = catalog.coverage()
    assert (there.described, there.waiting, there.failed) == tuple(rows.get(s, 0) for s in ("described", "waiting", "failed"))
    assert there.images == sum(rows.values())
