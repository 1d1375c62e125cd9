"""Text -> words and Snowball stems, the same for what is stored and what is asked.

Knows Russian and English word forms; knows nothing of SQL or ranking. A stem is what full-text search compares: собака, собаки
and собакой share one, running and runs another. ё counts as е, neither case nor accents count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

TYPE_CHECKING = False  # importing it from typing would cost a text search a tenth of its time
if TYPE_CHECKING:
    from typing import Any

# Letters and digits of any alphabet, as FTS5's unicode61 takes them for parts of a word; accents written as characters of their
# own, stress marks and soft hyphens do not end one. A letter with ++ or # is the name of a language.
_JOINED = "\u00ad\u0300-\u036f"
_WORD = re.compile(rf"(?<![^\W_])[A-Za-z](?:\+\+|#)(?![^\W\d_])|[^\W_]+(?:[{_JOINED}]+[^\W_]*)*")
_MARKS = re.compile(f"[{_JOINED}]+")
# Longer runs of letters are no words; a 200 KB query must not cost a second.
_LONGEST_WORD = 64
# What the stemmers are asked: any other word stays as it is.
_FIRST_CYRILLIC, _LAST_CYRILLIC = "\u0400", "\u052f"


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the words of `text` stand, in order: each is text[start:end]."""
    return (match.span() for match in _WORD.finditer(text))


def words_of(text: str) -> list[str]:
    """The words of `text` as they stand in it, in order."""
    return _WORD.findall(text)


def stems(text: str) -> str:
    """The stems of all words of `text`, in order, separated by spaces: what the `stems` column holds."""
    return " ".join(map(stem_of, _WORD.findall(text)))


@lru_cache(maxsize=200_000)
def stem_of(word: str) -> str:
    """The stem of one word; a word with digits and a word of another alphabet stay whole, in lower case."""
    folded = fold(word)
    if folded.isascii():
        return str(_stemmer("english").stemWord(folded)) if folded.isalpha() else folded
    if _FIRST_CYRILLIC <= folded[0] <= _LAST_CYRILLIC:
        return str(_stemmer("russian").stemWord(folded))
    return folded


def fold(word: str) -> str:
    """One word without case and accents, ё as е: the form in which a beginning of a word is compared."""
    if word.endswith(("++", "#")):
        return word[0].lower() + ("plusplus" if word.endswith("+") else "sharp")
    folded = word[:_LONGEST_WORD].casefold()
    if folded.isascii():
        return folded
    # й is a letter, not an и with an accent.
    apart = unicodedata.normalize("NFD", folded).replace("и\u0306", "й")
    return unicodedata.normalize("NFC", _MARKS.sub("", apart))


@lru_cache(maxsize=2)
def _stemmer(language: str) -> Any:
    import Stemmer  # C; the pure Python form would take ten times as long for a catalog

    return Stemmer.Stemmer(language)
