"""The tables of images.db and the ordered steps that bring an older file to them.

Owns the shape of the catalog; knows nothing of files, models or searching. README.md documents the same tables for
people who query them by hand, so a change here is a new migration and a change there.

History of `PRAGMA user_version`:
1: images, full-text index with stems, vectors, settings, runs.
2: indexes and kept counts, so that a search from a cold start reads no row that it does not show.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

# "imgc": tells our file from any other SQLite database (https://sqlite.org/pragma.html#pragma_application_id).
APPLICATION_ID = 0x696D6763

_TABLES = """
-- A row per image file that was ever seen under an indexed folder.
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,                 -- absolute; for reading: a byte that is not UTF-8 is shown as \\xNN
    path_bytes BLOB NOT NULL UNIQUE,    -- absolute; the file name as the bytes that it is

    -- How the file is recognised again.
    size INTEGER NOT NULL,              -- bytes
    mtime_ns INTEGER NOT NULL,          -- nanoseconds since 1970
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    device INTEGER NOT NULL,
    content_hash TEXT,                  -- SHA-256 of the bytes, as sha256sum prints it
    pixel_hash TEXT,                    -- hash of the upright, scaled pixels that the model saw

    -- What the file says of itself.
    format TEXT,                        -- JPEG, PNG, HEIF, ...
    width INTEGER,                      -- pixels, upright
    height INTEGER,                     -- pixels, upright
    taken_at TEXT,                      -- local time of the camera, YYYY-MM-DDTHH:MM:SS
    camera_make TEXT,
    camera_model TEXT,
    lens TEXT,
    focal_length REAL,                  -- millimetres
    aperture REAL,                      -- f-number
    exposure_time REAL,                 -- seconds
    iso INTEGER,
    latitude REAL,                      -- degrees, north is positive
    longitude REAL,                     -- degrees, east is positive
    altitude REAL,                      -- metres above sea level
    orientation INTEGER,                -- EXIF orientation, 1 to 8
    place TEXT,                         -- nearest town, region, country, in English
    place_ru TEXT,                      -- the same in Russian
    caption TEXT,                       -- title and caption that the file or its sidecar carries
    keywords TEXT,                      -- JSON list: keywords that the file or its sidecar carries
    exif TEXT,                          -- JSON object: all that was read, decoded values and raw tags
    context TEXT,                       -- what the vision model is told beside the picture: place, date, caption
    facts TEXT,                         -- words people search by, English and Russian: season, place, camera, names

    -- What the vision model says of it, and how that was made.
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'described', 'failed')),
    description TEXT,
    tags TEXT,                          -- JSON list
    visible_text TEXT,
    engine TEXT,                        -- ollama, openai, local, captions
    model TEXT,
    model_digest TEXT,
    prompt_version TEXT,
    language TEXT,                      -- ru, en, ...
    seconds REAL,                       -- how long the model took
    described_at TEXT,                  -- UTC, YYYY-MM-DDTHH:MM:SSZ
    failure_kind TEXT,                  -- a short stable word: unreadable, not an image, timeout, refused, ...
    failure_reason TEXT,                -- why state is 'failed', or why the last try did not succeed
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_after TEXT,                   -- UTC; a failure that may pass is not tried again before

    added_at TEXT NOT NULL,             -- UTC
    gone_at TEXT,                       -- UTC; when the file was first missed, NULL while it is there

    -- Derived: what full-text and meaning search need.
    stems TEXT NOT NULL DEFAULT '',     -- Snowball stems of all texts of this row
    passage_hash TEXT                   -- key into vectors; NULL: the text changed since vectors were made
);
CREATE INDEX images_content_hash ON images (content_hash);
CREATE INDEX images_pixel_hash ON images (pixel_hash) WHERE pixel_hash IS NOT NULL;
CREATE INDEX images_taken_at ON images (taken_at);
CREATE INDEX images_state ON images (state, gone_at);

-- Words of every image. The plain columns hold the words as they stand; `stems` holds their Snowball stems, so that
-- собака finds собаки: the stock sqlite3 shell can MATCH both. The texts themselves are stored once, in images.
CREATE VIRTUAL TABLE images_fts USING fts5 (
    description, tags, visible_text, caption, keywords, facts, stems,
    content = 'images', content_rowid = 'id', tokenize = "unicode61 remove_diacritics 2"
);
CREATE VIRTUAL TABLE images_vocabulary USING fts5vocab ('images_fts', 'col');

-- A row per description that was replaced, so that no GPU hour is ever lost.
CREATE TABLE past_descriptions (
    id INTEGER PRIMARY KEY,
    image_id INTEGER NOT NULL,
    content_hash TEXT,
    pixel_hash TEXT,
    description TEXT NOT NULL,
    tags TEXT,
    visible_text TEXT,
    engine TEXT,
    model TEXT,
    model_digest TEXT,
    prompt_version TEXT,
    language TEXT,
    seconds REAL,
    described_at TEXT,
    replaced_at TEXT NOT NULL
);
CREATE INDEX past_descriptions_content_hash ON past_descriptions (content_hash);

-- A row per file under an indexed folder that is no image by name nor by content: it is not opened again.
CREATE TABLE other_files (
    path_bytes BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL
) WITHOUT ROWID;

-- A row per folder that was given to index_images.py.
CREATE TABLE roots (
    path_bytes BLOB PRIMARY KEY,
    path TEXT NOT NULL,
    device INTEGER NOT NULL,            -- st_dev when it was last indexed: another one means another disk
    last_run_at TEXT NOT NULL
);

-- A row per model whose vectors are stored.
CREATE TABLE embedding_models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    UNIQUE (name, digest)
);

-- A row per text and model: the unit vector of the text.
CREATE TABLE vectors (
    passage_hash TEXT NOT NULL,         -- SHA-256 of the embedded text
    embedding_model_id INTEGER NOT NULL REFERENCES embedding_models (id),
    vector BLOB NOT NULL,               -- little-endian float16 x dimension
    UNIQUE (embedding_model_id, passage_hash)
);

-- What shapes the catalog, kept at first use: vision model, language, prompt, embedding model.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- A row per index run.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    roots TEXT NOT NULL,                -- JSON list
    started_at TEXT NOT NULL,
    ended_at TEXT,
    exit_code INTEGER,
    summary TEXT                        -- JSON object: the counts of the summary line
);

-- One row: counts every change of what can be searched, so that a derived file can tell whether it is behind.
CREATE TABLE generation (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
);
INSERT INTO generation VALUES (1, 0);
"""

_SEARCHED = ("description", "tags", "visible_text", "caption", "keywords", "facts", "stems")
_NEW, _OLD = (", ".join(f"{row}.{column}" for column in _SEARCHED) for row in ("new", "old"))
_COLUMNS = ", ".join(_SEARCHED)

# An external-content FTS5 table is kept true by triggers (https://sqlite.org/fts5.html#external_content_tables).
# INSERT OR REPLACE on images would bypass the delete trigger and orphan words: it is never used.
_TRIGGERS = f"""
CREATE TRIGGER images_ai AFTER INSERT ON images BEGIN
    INSERT INTO images_fts (rowid, {_COLUMNS}) VALUES (new.id, {_NEW});
    UPDATE generation SET number = number + 1;
END;
CREATE TRIGGER images_ad AFTER DELETE ON images BEGIN
    INSERT INTO images_fts (images_fts, rowid, {_COLUMNS}) VALUES ('delete', old.id, {_OLD});
    UPDATE generation SET number = number + 1;
END;
CREATE TRIGGER images_au AFTER UPDATE OF {_COLUMNS} ON images BEGIN
    INSERT INTO images_fts (images_fts, rowid, {_COLUMNS}) VALUES ('delete', old.id, {_OLD});
    INSERT INTO images_fts (rowid, {_COLUMNS}) VALUES (new.id, {_NEW});
    UPDATE images SET passage_hash = NULL WHERE id = new.id;
    UPDATE generation SET number = number + 1;
END;
CREATE TRIGGER images_gone AFTER UPDATE OF gone_at ON images WHEN (old.gone_at IS NULL) != (new.gone_at IS NULL) BEGIN
    UPDATE generation SET number = number + 1;
END;
"""


def m001_create(db: sqlite3.Connection) -> None:
    """The first schema."""
    _run_script(db, _TABLES)
    _run_script(db, _TRIGGERS)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


_QUICK_ANSWERS = """
-- What an index run asks of every row, and what searches do, without reading the wide rows.
CREATE INDEX images_there ON images (path_bytes, size, mtime_ns, ctime_ns, inode) WHERE gone_at IS NULL;
-- Thousands of equal files must not make each other slow.
CREATE INDEX images_described_content ON images (content_hash, id) WHERE state = 'described';
DROP INDEX images_pixel_hash;
CREATE INDEX images_described_pixels ON images (pixel_hash, described_at) WHERE state = 'described';
CREATE INDEX past_descriptions_pixel_hash ON past_descriptions (pixel_hash) WHERE pixel_hash IS NOT NULL;
CREATE INDEX images_gone ON images (gone_at) WHERE gone_at IS NOT NULL;
CREATE INDEX images_position ON images (latitude, longitude) WHERE latitude IS NOT NULL;
CREATE INDEX images_camera ON images (camera_make, camera_model);
CREATE INDEX images_lens ON images (lens);
CREATE INDEX images_place ON images (place, place_ru);
CREATE INDEX images_format ON images (format);
CREATE INDEX images_without_passage ON images (id)
    WHERE passage_hash IS NULL AND gone_at IS NULL AND description IS NOT NULL;

-- A row per state: how many images that are there (not gone) are in it. Kept by triggers: counting takes 50 ms a million.
CREATE TABLE counts (
    state TEXT PRIMARY KEY,
    images INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counts SELECT column1, (SELECT count(*) FROM images WHERE state = column1 AND gone_at IS NULL)
    FROM (VALUES ('waiting'), ('described'), ('failed'));
CREATE TRIGGER images_counted_ai AFTER INSERT ON images WHEN new.gone_at IS NULL BEGIN
    UPDATE counts SET images = images + 1 WHERE state = new.state;
END;
CREATE TRIGGER images_counted_ad AFTER DELETE ON images WHEN old.gone_at IS NULL BEGIN
    UPDATE counts SET images = images - 1 WHERE state = old.state;
END;
CREATE TRIGGER images_counted_au AFTER UPDATE OF state, gone_at ON images BEGIN
    UPDATE counts SET images = images - 1 WHERE state = old.state AND old.gone_at IS NULL;
    UPDATE counts SET images = images + 1 WHERE state = new.state AND new.gone_at IS NULL;
END;
"""


def m002_quick_answers(db: sqlite3.Connection) -> None:
    """Indexes and counts for searches."""
    _run_script(db, _QUICK_ANSWERS)


# Position + 1 is the version that a step leads to.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (m001_create, m002_quick_answers)
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(db: sqlite3.Connection) -> None:
    """Run the steps that `db` has not seen, each in one transaction together with its version number.

    The connection must be in autocommit mode. A step that fails or is killed leaves the version before it.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            (found,) = db.execute("PRAGMA user_version").fetchone()
            if found < number:  # another process may have done it while this one waited
                step(db)
                db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _run_script(db: sqlite3.Connection, script: str) -> None:
    """executescript() would commit the open transaction first; this stays inside it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
