"""The first bytes of a file that is no picture -> what it is, in a word or two for the user.

Only for messages: whether a file is a picture is decided by the picture decoders.
"""

from __future__ import annotations

_PREFIXES = (
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"Rar!", "RAR"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"%!PS", "PostScript"),
    (b"\x00\x00\x01\x00", "icon"),
    (b"ID3", "MP3"),
    (b"\x1a\x45\xdf\xa3", "Matroska video"),
    (b"SQLite format 3\x00", "SQLite database"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
    (b"\xff\xd8", "damaged JPEG"),
    (b"\x89PNG", "damaged PNG"),
    (b"GIF8", "damaged GIF"),
)
# Pictures that image-catalog does not read.
_OTHER_FORMATS = (
    (b"8BPS", "Photoshop PSD"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"gimp xcf", "GIMP XCF"),
    (b"v/1\x01", "OpenEXR"),
)
_MARKUP = ((b"<svg", "SVG"), (b"<!doctype html", "HTML"), (b"<html", "HTML"), (b"<?xml", "XML"), (b"<x:xmpmeta", "XMP"))


def other_format(beginning: bytes) -> str:
    """The name of a picture format that is not read; empty for everything else."""
    return next((name for prefix, name in _OTHER_FORMATS if beginning.startswith(prefix)), "")


def kind_of_content(beginning: bytes) -> str:
    """What a file is that begins so; `unknown content` when nobody can say. 4 KB are enough."""
    if not beginning:
        return "empty file"
    if not beginning.strip(b"\x00"):
        return "nothing but zeros"
    for prefix, kind in _PREFIXES:
        if beginning.startswith(prefix):
            return kind
    if beginning[4:8] == b"ftyp":
        return "damaged HEIF or AVIF" if beginning[8:12] in (b"heic", b"heix", b"mif1", b"avif") else "video"
    if beginning.startswith(b"RIFF"):
        return "damaged WebP" if beginning[8:12] == b"WEBP" else "video or sound"
    return _kind_of_text(beginning)


def _kind_of_text(beginning: bytes) -> str:
    lowered = beginning.lower()
    for mark, kind in _MARKUP:
        if mark in lowered:
            return kind
    if any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in beginning):
        return "unknown content"
    letters = sum(byte < 0x80 for byte in beginning)
    return "text" if letters > len(beginning) * 0.7 or _is_utf8(beginning) else "unknown content"


def _is_utf8(beginning: bytes) -> bool:
    try:
        beginning[:-4].decode("utf-8")  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True
