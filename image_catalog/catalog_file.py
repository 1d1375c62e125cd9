"""The file images.db: opened private, ours and of a known version; SQLite's errors as lines for the user.

Knows disks, modes and what SQLite says of them; what is in the tables is schema's and catalog's.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from image_catalog import schema
from image_catalog.errors import CannotGoOn

BUSY_SECONDS = 30.0
# Where WAL's shared memory is not shared between machines (https://sqlite.org/wal.html, section 1).
_NETWORK_TYPES = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "afpfs", "webdav", "davfs"})
_NETWORK_TYPES_OF_FUSE = ("fuse.sshfs", "fuse.rclone", "fuse.davfs", "fuse.smbnetfs", "fuse.curlftpfs")
MOUNTS = "/proc/mounts"


def make_private(path: str) -> None:
    """Create the file 0600 before SQLite would create it for everyone to read."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except FileNotFoundError:
        raise CannotGoOn(path, "its folder does not exist", "make the folder first, or name another place with --db") from None
    except OSError as error:
        raise CannotGoOn(path, f"cannot write the catalog ({error.strerror})", "name another place with --db") from None


def refuse_what_is_no_file(path: str) -> None:
    """Raises CannotGoOn for a folder, and for a pipe or device, on which SQLite would wait or fail in words of its own."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        what = "is a folder" if stat.S_ISDIR(mode) else "is no file"
        raise CannotGoOn(path, what, "name a file for the catalog with --db")


def connect(path: str, mode: str, extra: str = "") -> sqlite3.Connection:
    # A URI, so that mode can be given; percent-encoded by hand: urllib.parse would cost a text search 5 ms.
    name = "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02x}" for byte in os.fsencode(os.path.abspath(path))
    )
    name = name.replace("%2f", "/")
    db = sqlite3.connect(
        f"file:{name}?mode={mode}{extra}", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    return db


def connect_read_only(path: str) -> sqlite3.Connection:
    db = connect(path, "ro")
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        db.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        # Read-only media: SQLite cannot make its -shm file. Without a filled -wal the file itself is the whole truth.
        if size(path + "-wal") > 0:
            raise CannotGoOn(
                path,
                "its last changes lie in a -wal file that cannot be read on this read-only place",
                "copy images.db and images.db-wal together to a place where you can write",
            ) from None
        db = connect(path, "ro", "&immutable=1")
    return db


def check_ours(path: str, db: sqlite3.Connection) -> int:
    """The schema version (0: a new file); raises CannotGoOn for a foreign or newer file, before anything is written."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if tables and application_id != schema.APPLICATION_ID:
        raise CannotGoOn(path, "is a database of another program", "name the catalog with --db; this file was not changed")
    if version > schema.SCHEMA_VERSION:
        raise CannotGoOn(
            path,
            f"made by a newer image-catalog (schema {version}, this one knows {schema.SCHEMA_VERSION})",
            "update image-catalog; the file was not changed",
        )
    return int(version)


def keep_copy(path: str, db: sqlite3.Connection, version: int) -> None:
    """A whole copy of an older catalog beside it, before it is changed."""
    copy = f"{path}.schema{version}.bak"
    if not os.path.exists(copy):
        for leftover in (copy + ".tmp", copy + ".tmp-journal"):  # of a run that was killed here
            with suppress(FileNotFoundError):
                os.unlink(leftover)
        db.execute("VACUUM INTO ?", (copy + ".tmp",))
        os.replace(copy + ".tmp", copy)


def lies_on_a_network(path: str) -> bool:
    """Whether `path` lies on a file system of another machine; False where the system does not tell."""
    real = os.fsencode(os.path.realpath(path))
    nearest, kind = b"", ""
    try:
        with open(MOUNTS, "rb") as mounts:
            for line in mounts:
                _, place, type_name, *_ = line.split(b" ")
                place = place.decode("unicode_escape").encode("latin-1")  # a space is written \\040
                if len(place) >= len(nearest) and (real + b"/").startswith(place.rstrip(b"/") + b"/"):
                    nearest, kind = place, type_name.decode("ascii", "replace")
    except (OSError, ValueError):
        return False
    return kind in _NETWORK_TYPES or kind.startswith(_NETWORK_TYPES_OF_FUSE)


def size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


@contextmanager
def errors_of(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise as_user_error(path, error) from error


def as_user_error(path: str, error: sqlite3.Error) -> BaseException:
    """SQLite's error as a line for the user; an error that only a bug can cause stays what it is."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    known = {
        sqlite3.SQLITE_NOTADB: (
            "is not an image-catalog database",
            "name the catalog with --db; this file was not changed",
        ),
        sqlite3.SQLITE_CORRUPT: ("is damaged", "restore a copy, or move it away and index again; it was not changed"),
        sqlite3.SQLITE_FULL: ("disk full", "free some space and run again: finished work is kept"),
        sqlite3.SQLITE_BUSY: ("is locked by another program", "close that program and run again"),
        sqlite3.SQLITE_LOCKED: ("is locked by another program", "close that program and run again"),
        sqlite3.SQLITE_READONLY: ("cannot write: the file or its folder is read-only", "name another place with --db"),
        sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "check that the file and its folder can be read and written"),
        sqlite3.SQLITE_IOERR: (
            f"the disk failed ({error})",
            "check the disk and its free space: finished work is kept",
        ),
        sqlite3.SQLITE_PERM: ("permission denied", "check the owner of the file"),
    }
    if "Could not decode to UTF-8" in str(error):  # SQLite trusts the bytes of a text, Python does not
        code = sqlite3.SQLITE_CORRUPT
    if "no such module: fts5" in str(error):
        return CannotGoOn("SQLite", "this Python's SQLite has no FTS5", "install a Python whose SQLite has FTS5")
    if code not in known:
        return error
    return CannotGoOn(path, *known[code])
