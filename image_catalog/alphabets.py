"""Which alphabet a text is written in, and whether the tokenizer of an embedding model knows words of it.

Knows letters; knows nothing of models but where in a text their tokens lie. An English model does not refuse a Russian text: it
takes it apart into single letters and gives a vector that means nothing, which must not be weighed against words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

LATIN, CYRILLIC, OTHER = "Latin", "Cyrillic", "other"
# Where the tokens that are known lie in a text: (first, after the last) character of each.
Spans = Callable[[str], Iterable[tuple[int, int]]]

# Of a short query one rare name would decide; whether a model knows Russian, it tells by words that every Russian text has.
_RUSSIAN_SAMPLE = "Рыжая собака бежит по песчаному пляжу на закате, на горизонте виден парус."
_LEAST_SHARE = 0.5
_NOT_A_LETTER = re.compile(r"[\W\d_]+")
_NOT_OF = {LATIN: re.compile("[^A-Za-zÀ-ÖØ-öø-ɏ]+"), CYRILLIC: re.compile("[^Ѐ-ԯ]+")}
_IN_CYRILLIC = {"ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "mn", "tg", "tt", "ba", "cv"}


def of_text(text: str) -> str | None:
    """The alphabet of most letters in `text`: LATIN, CYRILLIC or OTHER; None without letters."""
    if text.isascii():  # the quick way for most
        return LATIN if any(map(str.isalpha, text)) else None
    letters = _NOT_A_LETTER.sub("", text)
    counts = {alphabet: len(others.sub("", letters)) for alphabet, others in _NOT_OF.items()}
    counts[OTHER] = len(letters) - sum(counts.values())
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else None


def language_of(text: str, recorded: str | None = None) -> str | None:
    """The language of `text`: the one that is recorded, unless none is or the alphabet contradicts it; then ru or en.

    A caption's language is not recorded, and a model that was asked for Russian may have answered in English. For telling texts
    of two alphabets apart: a French text of which nothing is known is en here.
    """
    alphabet = of_text(text)
    if alphabet == CYRILLIC:
        return recorded if recorded in _IN_CYRILLIC else "ru"
    if alphabet == LATIN:
        return recorded if recorded is not None and recorded not in _IN_CYRILLIC else "en"
    return recorded


def is_read(text: str, known_spans: Spans) -> bool:
    """Does a tokenizer know words of the alphabet of `text`? Any knows Latin letters; a text without letters is read, too."""
    alphabet = of_text(text)
    if alphabet in (None, LATIN):
        return True
    if alphabet == CYRILLIC:
        return _share(_RUSSIAN_SAMPLE, known_spans, 2) >= _LEAST_SHARE
    # From Thai on (Chinese, Korean, …) a letter can be a word; but one that a tokenizer takes apart is none.
    return _share(text, known_spans, 1 if max(text) >= "\u0e00" else 2) >= _LEAST_SHARE


def _share(text: str, known_spans: Spans, least_letters: int) -> float:
    """The share of the letters of `text` that lie in known tokens of so many letters, and in one token only."""
    spans = [(start, end) for start, end in known_spans(text) if sum(map(str.isalpha, text[start:end])) >= least_letters]
    tokens_at = [0] * len(text)
    for start, end in spans:
        for place in range(start, end):
            tokens_at[place] += 1
    letters = [place for place, letter in enumerate(text) if letter.isalpha()]
    return sum(tokens_at[place] == 1 for place in letters) / max(1, len(letters))
