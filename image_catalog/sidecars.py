"""Files beside a picture that speak of it: photo.jpg.xmp, photo.xmp, photo.txt.

Knows where they lie and how they are read; which of their words count is exif's decision.
"""

from __future__ import annotations

import hashlib
import os
import re

from image_catalog import image_files
from image_catalog.errors import ImageError
from image_catalog.metadata_text import clean_text, decoded, decoded_utf16
from image_catalog.metadata_xmp import Properties, parse_xmp

NO_MARK = b"0" * 16
_OUR_MARK = re.compile(rb'xmp:CreatorTool="image-catalog [^"]* ([0-9a-f]{16})"')
_LARGEST = 4 << 20
_LARGEST_CAPTION = 64 << 10


def xmp_properties(path: bytes) -> Properties:
    """What photo.jpg.xmp says, else photo.xmp; nothing without one, and nothing of what image-catalog wrote itself."""
    for candidate in _candidates(path, b".xmp"):
        raw = _content(candidate, _LARGEST)
        if raw and not is_ours(raw) and (found := parse_xmp(raw)):
            return found
    return {}


def is_ours(raw: bytes) -> bool:
    """Whether these are the bytes of a sidecar as image-catalog wrote it; one that was edited since is its editor's."""
    mark = _OUR_MARK.search(raw)
    return mark is not None and mark[1] == mark_of(raw[: mark.start(1)] + NO_MARK + raw[mark.end(1) :])


def mark_of(unmarked: bytes) -> bytes:
    """What stands in place of NO_MARK in a sidecar of ours: the beginning of its SHA-256."""
    return hashlib.sha256(unmarked).hexdigest()[: len(NO_MARK)].encode()


def caption(path: bytes) -> str:
    """The text of photo.jpg.txt, else of photo.txt; empty without one, or when it is no text or over 64 KB."""
    for candidate in _candidates(path, b".txt"):
        raw = _content(candidate, _LARGEST_CAPTION)
        if raw:
            utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
            if utf16 or b"\0" not in raw:
                return clean_text(decoded_utf16(raw) if utf16 else decoded(raw))
    return ""


def _candidates(path: bytes, ending: bytes) -> list[bytes]:
    stem = os.path.splitext(path)[0]
    return [base + case for base in (path, stem) for case in (ending, ending.upper())]


def _content(path: bytes, largest: int) -> bytes:
    """All bytes of a file; nothing when it is not there, not a regular file, or larger than `largest`.

    A link is not followed: it might show a file of the system as somebody's caption.
    """
    if os.path.islink(path) or not os.path.exists(path):
        return b""
    try:
        with image_files.open_file(path) as file:
            raw = file.read(largest + 1)
    except (ImageError, OSError):
        return b""
    return raw if len(raw) <= largest else b""
