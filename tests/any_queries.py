"""Queries made of all that is syntax somewhere and of all that is odd in Unicode; the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable

_SYNTAX = r"""AND OR NOT NEAR NEAR( или | ( ) { } [ ] * ^ " "" ' : + - -- -' , ; \ % _ %s {0} $(id) `id` <b> &amp; // /* # ? !
stems: rowid:1 images_fts '; 1=1 NULL x''"""
_FILTERS = "camera lens after before folder near format tag min-size orientation has место камера"
_VALUES = "canon 2023 2023-13 вчера 91,181 43.58,39.72,-1 nan,inf Сочи, ~ / JPEG -1 0 1e400 text"
_WORDS = """собака Собаке ёлка елка dog running don't C++ EOS-5D IMG_1234 red-car multi-agent KX 4821 o'clock r&b a.b.c 3.14
1/60 №5 ١٢٣ Ⅳ x² ﬁre STRASSE straße İstanbul ııı ΌΣΟΣ"""
_ODD = "\x00 \x01 \x1b[31m \x7f \x85 \xad \u200b \u200d \u202e \u2028 \ufeff \ufffe \ufffd \U0010ffff \ud800 \udcff \udc80\udcfe"
_COMBINED = ["e\u0301", "и\u0306", "a" + "\u0300" * 50, "😀", "👩‍👩‍👧‍👦", "🇷🇺", "1️⃣", "\t", "\r\n", "\u3000", "\xa0"]
_PHRASES = ["NEAR(a b, 2)", "description :", "{facts stems} :", "'; DROP TABLE images; --"]
_ALPHABETS = [(0x20, 0x7E), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A), (0x904, 0x939), (0xE01, 0xE2E), (0x3041, 0x30FF)]
_ALPHABETS += [(0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x10A0, 0x10FF), (0x370, 0x3FF), (0x1F300, 0x1FAFF), (0, 0x10FFFF)]

SYNTAX, FILTERS, WORDS = [*_SYNTAX.split(), *_PHRASES], _FILTERS.split(), _WORDS.split()
VALUES = [*_VALUES.split(), '"canon eos"', '"2 weeks ago"', "", "9" * 40, "\x00"]
ODD = [*_ODD.split(" "), *_COMBINED]


def made_query(chance: random.Random) -> str:
    """One to eight parts, most with a space between them."""
    parts = [chance.choice(_PARTS)(chance) for _ in range(chance.choice((1, 1, 2, 2, 3, 4, 8)))]
    return "".join(part + chance.choice((" ", " ", "")) for part in parts)


def _of_an_alphabet(chance: random.Random) -> str:
    first, last = chance.choice(_ALPHABETS)
    return "".join(chr(chance.randint(first, last)) for _ in range(chance.randint(1, 12)))


def _filter(chance: random.Random) -> str:
    return f"{chance.choice(('', '-', '+'))}{chance.choice(FILTERS)}:{chance.choice(VALUES)}"


def _quoted(chance: random.Random) -> str:
    return f'{chance.choice(("", "-"))}"{chance.choice(WORDS)} {chance.choice(WORDS + SYNTAX)}{chance.choice(("", chr(34)))}'


def _long(chance: random.Random) -> str:
    """Once in two hundred times 2 or 200 KB, else the beginning of a word."""
    if chance.random() > 0.005:
        return chance.choice(WORDS) + "*"
    part = chance.choice(WORDS + SYNTAX + ODD) + chance.choice(("", " "))
    return part * (chance.choice((2_000, 200_000)) // (len(part.encode("utf-8", "surrogatepass")) + 1))


_PARTS: list[Callable[[random.Random], str]] = [
    lambda chance: chance.choice(SYNTAX),
    lambda chance: chance.choice(WORDS),
    lambda chance: chance.choice(ODD),
    lambda chance: chance.choice(WORDS) + chance.choice(SYNTAX + ODD) + chance.choice(WORDS),
    _of_an_alphabet,
    _filter,
    _quoted,
    _long,
]
