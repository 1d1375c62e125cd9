"""Text out of metadata of unknown encoding -> clean Unicode of bounded length.

Whatever a camera, a scanner or a hostile file wrote: the result has no control characters, no NUL, no bidi controls and no
lone surrogates. Knows nothing of the formats that the text comes from.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_NAME = 200
LONGEST_TEXT = 4000

# Letters of one word are rarely all accented in Latin scripts, and always above 0x7F in Windows-1251.
_CYRILLIC_WORD = re.compile(rb"[\xa8\xb8\xc0-\xff]{3}")
_UNWANTED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # category Cf, but part of words and emoji


def decoded(raw: bytes) -> str:
    """Bytes up to the first NUL as text: UTF-8, else Windows-1251 where it looks Russian, else Windows-1252."""
    raw = raw.split(b"\0", 1)[0]
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1251" if _CYRILLIC_WORD.search(raw) else "cp1252", "replace")


def decoded_utf16(raw: bytes) -> str:
    """UTF-16 of either byte order, with or without a mark, up to the first NUL."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", "ignore")
    else:
        # Latin and Cyrillic have a small high byte: it is where fewer different values are.
        big_endian = len(set(raw[0::2])) < len(set(raw[1::2]))
        text = raw.decode("utf-16-be" if big_endian else "utf-16-le", "ignore")
    return text.split("\0", 1)[0]


def clean_line(text: str, longest: int = LONGEST_NAME) -> str:
    """One line of at most `longest` characters: unsafe characters gone, runs of space made one."""
    return " ".join(_safe(text.split("\0", 1)[0][: longest * 4]).split())[:longest].strip()


def clean_text(text: str, longest: int = LONGEST_TEXT) -> str:
    """As clean_line, but paragraphs stay apart by line breaks."""
    lines = (clean_line(line, longest) for line in text[: longest * 4].splitlines())
    return "\n".join(line for line in lines if line)[:longest].strip()


def _safe(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " " if char in "\t\n\r\v\f\x85\u2028\u2029" else char
        for char in unicodedata.normalize("NFC", text)
        if char.isspace() or char in _JOINERS or unicodedata.category(char) not in _UNWANTED
    )
