"""One file opened once -> all that is known of it without a model: content hash, format, size, EXIF, facts.

Puts together what image_files, picture, exif and facts each know. Runs in a guarded worker.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from image_catalog import exif as exifs
from image_catalog import facts as all_facts
from image_catalog import image_files, picture
from image_catalog.errors import ImageError
from image_catalog.exif import Exif
from image_catalog.facts import Facts
from image_catalog.picture import Header
from image_catalog.places import Place

# Beyond every picture that could be decoded; a sparse file of this size must not be read to its end.
LARGEST_FILE = 2 << 30


@dataclass(frozen=True, slots=True)
class Examined:
    """What one file is. `is_other_file`: no image by name nor by content, so the rest is empty and it is no failure.

    `width` and `height` are upright, in pixels; `content_hash` is the SHA-256 of the bytes in hex.
    """

    path: bytes
    is_other_file: bool = False
    content_hash: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    exif: Exif = field(default_factory=Exif)
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says of itself. `header` is None where its pixels cannot be read and only its tags can."""

    header: Header | None
    exif: Exif
    place: Place | None


# Errors that mean, of a file whose name promises no picture, that it is none.
_NO_IMAGE_INSIDE = frozenset({"not an image", "unreadable", "permission denied"})


def examine(path: bytes) -> Examined:
    """Read `path` once through. Raises ImageError when it should be an image, by name or content, and cannot be read."""
    try:
        header = picture.header(path)
    except ImageError as error:
        if image_files.has_image_name(path) or error.kind not in _NO_IMAGE_INSIDE:
            raise
        return Examined(path, is_other_file=True)
    _refuse_huge(path)
    content_hash = image_files.content_hash(path)
    exif = exifs.read(path)
    facts = all_facts.of(exif, path, header.width, header.height)
    return Examined(path, False, content_hash, header.format, header.width, header.height, exif, facts)


def metadata(path: bytes) -> Metadata:
    """EXIF and place only, without reading the whole file. Raises ImageError when `path` is no image and has no tags."""
    exif = exifs.read(path)
    try:
        header = picture.header(path)
    except ImageError:
        if not exif.has_tags:
            raise
        header = None
    return Metadata(header, exif, all_facts.place_of(exif))


def _refuse_huge(path: bytes) -> None:
    size = os.stat(path).st_size
    if size > LARGEST_FILE:
        raise ImageError(os.fsdecode(path), f"too large: a file of {size / (1 << 30):.1f} GB", kind="too large")
