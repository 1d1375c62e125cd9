"""image_index.faiss as a file: what it was made from, whether it is whole, and how it is replaced.

Knows bytes, checksums and folders; knows nothing of vectors, and loads neither numpy nor faiss, so that "is it up to date?"
costs milliseconds. The file is what faiss writes, followed by a trailer of ours that `faiss.read_index` never reads:

    faiss bytes | JSON | XXH3-128 of the JSON (16 bytes) | length of the JSON (4 bytes, little-endian) | b"imgcat01"

The JSON holds a Provenance, the number of faiss bytes and their XXH3-128. One file, so that replacing it is one os.replace.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable
from datetime import UTC, datetime

# 16 GB/s: a million fp16 vectors in 0.05 s, where zlib's CRC takes 0.33 s and SHA-256 0.46 s.
from xxhash import xxh3_128

from image_catalog.errors import CannotGoOn
from image_catalog.record import NamedTuple

TYPE_CHECKING = False  # a run without work takes 50 ms, of which typing would be 2
if TYPE_CHECKING:
    from typing import Any, BinaryIO

_MAGIC = b"imgcat01"
_DIGEST_BYTES = 16
_FOOTER_BYTES = _DIGEST_BYTES + 4 + len(_MAGIC)
_LONGEST_JSON = 1 << 16
_REBUILD = "make it anew with: python create_faiss_index.py"


class VectorIndexError(CannotGoOn):
    """image_index.faiss cannot be used. `kind`: missing, unreadable, damaged, foreign or outdated."""

    def __init__(self, subject: str, reason: str, remedy: str = _REBUILD, *, kind: str) -> None:
        super().__init__(subject, reason, remedy)
        self.kind = kind


class Provenance(NamedTuple):
    """What a vector index was made from."""

    model: str  # name or folder of the embedding model
    model_digest: str  # hash of the files that decide its vectors
    dimension: int
    vectors: int  # how many
    generation: int  # of the catalog, when its vectors were read
    type: str  # flat, hnsw or ivf
    catalog: str | None = None  # the setting catalog_id of the catalog it was made of
    unrelated: dict[str, float] | None = None  # unrelated.nearness(); None: not measured
    recall: float | None = None  # recall@10 measured at build time; None: the search is exact
    created_at: str = ""  # UTC, YYYY-MM-DDTHH:MM:SSZ; set when the file is written

    def is_of(self, catalog: str | None) -> bool:
        """Whether it was made of the catalog with this catalog_id; one of an older version does not tell, and is believed."""
        return self.catalog in (None, catalog)


def read_provenance(path: str) -> Provenance:
    """What the index at `path` was made from; every byte of the file is checked. Raises VectorIndexError."""
    provenance, content, faiss_bytes = open_checked(path)
    del faiss_bytes
    content.close()
    return provenance


def open_checked(path: str) -> tuple[Provenance, mmap.mmap, memoryview]:
    """The provenance of a whole file, its memory map, and the part of the map that is faiss's.

    What was checked is what is used: the caller reads the index from this map, not from a file that may have been replaced
    meanwhile. Works on read-only media. Raises VectorIndexError.
    """
    content = _map(path)
    try:
        provenance, length, checksum = _parse_trailer(path, content)
        faiss_bytes = memoryview(content)[:length]
        if xxh3_128(faiss_bytes).hexdigest() != checksum:
            raise VectorIndexError(path, "is damaged (its checksum is wrong)", kind="damaged")
    except VectorIndexError:
        raise
    except (ValueError, KeyError, TypeError):  # a trailer whose checksum is right, but with other fields
        raise VectorIndexError(path, "was made by another version of image-catalog", kind="foreign") from None
    return provenance, content, faiss_bytes


def _map(path: str) -> mmap.mmap:
    try:
        if not os.path.isfile(path) and os.path.exists(path):  # a pipe would be waited for
            raise VectorIndexError(path, "is no file", "check --index", kind="unreadable")
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise VectorIndexError(path, "is empty", kind="damaged")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise VectorIndexError(
            path, "there is no vector index yet", "make it with: python create_faiss_index.py", kind="missing"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise VectorIndexError(path, f"cannot be read ({reason})", "check --index", kind="unreadable") from None


def _parse_trailer(path: str, content: mmap.mmap) -> tuple[Provenance, int, str]:
    """(provenance, number of faiss bytes, their checksum), from a trailer that is known to be whole."""
    footer = content[-_FOOTER_BYTES:]
    if not footer.endswith(_MAGIC) or len(footer) < _FOOTER_BYTES:
        raise VectorIndexError(path, "is cut short, damaged or not an index of image-catalog", kind="foreign")
    length = int.from_bytes(footer[_DIGEST_BYTES : _DIGEST_BYTES + 4], "little")
    end = len(content) - _FOOTER_BYTES
    text = content[end - length : end] if length <= min(end, _LONGEST_JSON) else b""
    if xxh3_128(text).digest() != footer[:_DIGEST_BYTES]:
        raise VectorIndexError(path, "is damaged (its last bytes are wrong)", kind="damaged")
    values: dict[str, Any] = json.loads(text)
    size, checksum = values.pop("faiss_bytes"), values.pop("checksum")
    if size != end - length:
        raise VectorIndexError(path, "is damaged (bytes are missing or too many)", kind="damaged")
    return Provenance(**values), size, checksum


def check_place(path: str) -> None:
    """Raise CannotGoOn when no file can be made at `path`, before work is spent on it."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise CannotGoOn(path, "its folder does not exist", "make the folder first, or name another place with --index")
    if os.path.isdir(path):
        raise CannotGoOn(path, "is a folder", "name a file with --index")


def replace(path: str, provenance: Provenance, write_faiss: Callable[[Callable[[bytes], int]], None]) -> None:
    """Put a new index in the place of the one at `path`, in one step: a reader sees the old file or the new one.

    `write_faiss` gets a function that takes the next bytes. One writer at a time: the caller holds a lock, so temporary
    files found here are of runs that were killed, and are removed. Raises CannotGoOn; then the old file is as it was.
    """
    import tempfile

    path = os.path.realpath(path)  # through a link, not over it
    folder, name = os.path.split(path)
    prefix = f".{name}."
    try:
        _remove_leftovers(folder, prefix)
        descriptor, temporary = tempfile.mkstemp(".tmp", prefix, folder)  # mkstemp makes it 0600
        try:
            with open(descriptor, "wb") as file:
                _write(file, provenance, write_faiss)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _flush_folder(folder)
    except OSError as error:
        raise CannotGoOn(
            path, f"cannot be written ({error.strerror})", "free some space or name another place with --index"
        ) from None


def _write(file: BinaryIO, provenance: Provenance, write_faiss: Callable[[Callable[[bytes], int]], None]) -> None:
    checksum = xxh3_128()

    def write(data: bytes) -> int:
        checksum.update(data)
        return file.write(data)

    write_faiss(write)
    values = provenance._asdict() | {
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "faiss_bytes": file.tell(),
        "checksum": checksum.hexdigest(),
    }
    # Escaped as ASCII: a model's folder may have a name that is not UTF-8.
    text = json.dumps(values).encode("ascii")
    file.write(text + xxh3_128(text).digest() + len(text).to_bytes(4, "little") + _MAGIC)
    file.flush()
    os.fsync(file.fileno())


def _remove_leftovers(folder: str, prefix: str) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and entry.name.endswith(".tmp"):
                os.unlink(entry.path)


def _flush_folder(folder: str) -> None:
    """Make the new name survive a power cut; Windows cannot, and needs no such call."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
