"""Text -> words and Snowball stems, the same for what is stored and what is asked.

Knows Russian and English word forms; knows nothing of SQL or ranking. A stem is what full-text search compares: собака, собаки
and собакой share one, running and runs another. ё counts as е, case does not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

# Letters and digits of any alphabet: what FTS5's unicode61 takes for parts of a word.
_WORD = re.compile(r"[^\W_]+")
_CYRILLIC = re.compile("[\u0400-\u052f]")
_LATIN = re.compile("^[a-z]+$")
# Longer runs of letters are no words; a 200 KB query must not cost a second.
_LONGEST_WORD = 64


class Word(NamedTuple):
    """A word as it stands in a text: text[start:end], and its stem."""

    start: int
    end: int
    stem: str


def words_in(text: str) -> Iterator[Word]:
    """The words of `text`, in order."""
    for match in _WORD.finditer(text):
        yield Word(match.start(), match.end(), stem_of(match.group()))


def stems(text: str) -> str:
    """The stems of all words of `text`, in order, separated by spaces: what the `stems` column holds."""
    return " ".join(stem_of(word) for word in _WORD.findall(unicodedata.normalize("NFC", text)))


@lru_cache(maxsize=200_000)
def stem_of(word: str) -> str:
    """The stem of one word; a word with digits and a word of another alphabet stay whole, in lower case."""
    folded = unicodedata.normalize("NFC", word[:_LONGEST_WORD]).casefold().replace("ё", "е")
    if _CYRILLIC.search(folded):
        return str(_stemmer("russian").stemWord(folded))
    if _LATIN.match(folded):
        return str(_stemmer("english").stemWord(folded))
    return folded


@lru_cache(maxsize=2)
def _stemmer(language: str) -> Any:
    import Stemmer  # C; the pure Python form would cost ten times as long for a catalog

    return Stemmer.Stemmer(language)
