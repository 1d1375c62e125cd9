"""Descriptions as JSON lines: months of a model's work outside of the database, and back into this one or another.

Knows the format of the lines and what to do with each; rows are catalog_upkeep's. A file begins with a line that says what it
is, then holds a line a description. Paths are for people: a description is known again by the bytes of its picture, else by
its pixels.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from image_catalog import catalog_upkeep
from image_catalog.catalog import Catalog, display_path, utc_now
from image_catalog.catalog_upkeep import EXCHANGED
from image_catalog.errors import CannotGoOn, UserError
from image_catalog.folder_sync import with_stems

FORMAT = "image-catalog descriptions"
VERSION = 1
_LONGEST_LINE = 1 << 20
_LINES_PER_TRANSACTION = 500
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass
class ImportCounts:
    """Lines that gave an image its description, that were there already, that wait for their image, and that were bad."""

    taken_over: int = 0
    already_there: int = 0
    kept_for_later: int = 0
    bad_lines: int = 0


def write(catalog: Catalog, file: BinaryIO) -> int:
    """All descriptions of the catalog as UTF-8 JSON lines; returns how many."""
    head = {"format": FORMAT, "version": VERSION, "exported_at": utc_now()}
    file.write(json.dumps(head).encode() + b"\n")
    count = 0
    for row in catalog_upkeep.descriptions(catalog):
        path = row.pop("path_bytes", None)
        line = {"path": display_path(path)} if path is not None else {}
        line |= {name: value for name, value in row.items() if value is not None}
        if "tags" in line:
            line["tags"] = json.loads(line["tags"])
        file.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        count += 1
    return count


def write_file(catalog: Catalog, path: str) -> int:
    """As `write`, into a private file that appears whole or not at all. Raises CannotGoOn."""
    unfinished = f"{path}.{os.getpid()}.tmp"
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            count = write(catalog, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise CannotGoOn(path, f"cannot write the descriptions ({error.strerror})", "name another place") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
    return count


def read_file(catalog: Catalog, path: str, on_bad_line: Callable[[UserError], None]) -> ImportCounts:
    """As `read`, from a file. Raises CannotGoOn."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
        except OSError as error:
            raise CannotGoOn(path, f"cannot be read ({error.strerror})", "check the name") from None
        return read(catalog, file, path, on_bad_line)


def read(catalog: Catalog, file: BinaryIO, name: str, on_bad_line: Callable[[UserError], None]) -> ImportCounts:
    """Take over the descriptions of `file` (called `name` in messages).

    An image that has none gets its description; one that has keeps the newer of the two; a picture that the catalog has not
    met keeps it for the day when an index run meets it. Raises CannotGoOn when `file` is no export of ours.
    """
    lines = enumerate(_lines(file), start=1)
    _check_head(next(lines, (1, b""))[1], name)
    counts = ImportCounts()
    at_end = False
    while not at_end:
        with catalog.transaction():
            for _ in range(_LINES_PER_TRANSACTION):
                number, line = next(lines, (0, b""))
                at_end = number == 0
                if at_end:
                    break
                try:
                    _take_over(catalog, _parsed(line), counts)
                except ValueError as error:
                    counts.bad_lines += 1
                    on_bad_line(UserError(f"{name}, line {number}", str(error)))
    return counts


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines that are not blank; a line beyond all bounds comes cut, and so is no JSON."""
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        if line.strip():
            yield line


def _check_head(line: bytes, name: str) -> None:
    try:
        head = json.loads(line)
    except ValueError:
        head = None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise CannotGoOn(name, "is no export of image-catalog", "make one with: python index_images.py --export FILE.jsonl")
    if head.get("version") != VERSION:
        raise CannotGoOn(name, f"was made by a newer image-catalog (format {head.get('version')})", "update image-catalog")


def _parsed(line: bytes) -> dict[str, Any]:
    """A description with all fields of EXCHANGED, None where the line has none. Raises ValueError saying what is wrong."""
    try:
        found = json.loads(line)
    except ValueError:
        raise ValueError("is no JSON") from None
    if not isinstance(found, dict):
        raise ValueError("is no JSON object")
    description = {name: found.get(name) for name in (*EXCHANGED, "replaced_at")}
    if not isinstance(description["content_hash"], str) or not _HASH.fullmatch(description["content_hash"]):
        raise ValueError("content_hash is not a SHA-256 in hex")
    if not isinstance(description["description"], str) or not description["description"].strip():
        raise ValueError("description is missing or empty")
    tags = description["tags"]
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise ValueError("tags is not a list of texts")
    for name in set(description) - {"tags", "seconds"}:
        if not isinstance(description[name], str | None):
            raise ValueError(f"{name} is not a text")
    if not isinstance(description["seconds"], int | float | None):
        raise ValueError("seconds is not a number")
    description["tags"] = json.dumps(tags or [], ensure_ascii=False)
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in description.items()
    }


def _take_over(catalog: Catalog, description: dict[str, Any], counts: ImportCounts) -> None:
    rows = catalog_upkeep.rows_of_picture(catalog, description["content_hash"], description["pixel_hash"])
    if not rows or description["replaced_at"] is not None:
        kept = catalog_upkeep.keep_for_later(catalog, description)
        counts.kept_for_later += kept
        counts.already_there += not kept
        return
    wanting = [row for row in rows if _is_wanted(row, description)]
    for row in wanting:
        catalog.keep_past_description(row["id"])
        columns = catalog_upkeep.described_columns(description)
        catalog.update_image(row["id"], with_stems({**row, **columns}, columns))
    counts.taken_over += bool(wanting)
    counts.already_there += not wanting


def _is_wanted(row: dict[str, Any], description: dict[str, Any]) -> bool:
    """Whether a row has no description, or an older one than this."""
    if row["description"] is None:
        return True
    is_newer = (description["described_at"] or "") > (row["described_at"] or "")
    return is_newer and description["description"] != row["description"]
