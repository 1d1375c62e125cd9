"""A word that no picture has -> words of the catalog that may have been meant.

Knows typing errors and keyboards; reads the vocabulary through catalog_search.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from image_catalog import words
from image_catalog.catalog_search import SearchableCatalog
from image_catalog.query import Term, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from image_catalog.catalog import Catalog

_MOST_SHOWN = 3
_ERRORS = ((6, 2), (4, 1))  # from so many letters on so many typing errors are believed
_LONGEST_ENDING = 6  # letters that a word has beyond its stem
# The same keys of the two keyboards of a Russian computer.
_LATIN = "`qwertyuiop[]asdfghjkl;'zxcvbnm,.~QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>"
_CYRILLIC = "ёйцукенгшщзхъфывапролджэячсмитьбюЁЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮ"
_KEYBOARDS = (str.maketrans(_LATIN, _CYRILLIC), str.maketrans(_CYRILLIC, _LATIN))


def what_is_missing(catalog: Catalog, text: str, missing: Sequence[Term], is_found: bool) -> str:
    """That nothing was found, or a word is in no picture; and which words, that there are, may have been meant."""
    close = suggestions(catalog, text, missing) if missing else []
    line = ("some words are in no picture" if close else "") if is_found else "nothing found"
    return line + (f"; did you mean: {', '.join(close)}?" if close else "")


def suggestions(catalog: Catalog, text: str, missing: Sequence[Term]) -> list[str]:
    """What to try instead of the `missing` words of the query `text`, the likeliest first."""
    rows = SearchableCatalog(catalog)
    if found := _typed_on_other_keyboard(rows, text):
        return found
    single = (term.phrases[0][0] for term in missing if len(term.phrases[0]) == 1 and not term.is_required)
    close = [found for found in (_close_words(rows, stem) for stem in islice(single, _MOST_SHOWN)) if found]
    if len(close) > 1:  # the likeliest for each word, in the order of the query
        return list(dict.fromkeys(found[0] for found in close))
    return close[0] if close else []


def _typed_on_other_keyboard(rows: SearchableCatalog, text: str) -> list[str]:
    """`cj,frf` is собака on the other keyboard; only if the catalog has all the words of it."""
    for keyboard in _KEYBOARDS:
        other = text.translate(keyboard)
        terms = parse(other).wanted
        if other != text and terms and all(rows.count_with(term) for term in terms):
            return [other]
    return []


def _close_words(rows: SearchableCatalog, stem: str) -> list[str]:
    """Words whose stems are a typing error away; the first letter is seldom wrong, so it is believed at first."""
    errors = next((errors for letters, errors in _ERRORS if len(stem) >= letters), 0)
    for beginning in dict.fromkeys((stem[:1], "")) if errors else ():
        close: dict[str, tuple[int, int, str]] = {}
        for word, count in rows.vocabulary(beginning):
            if not (word.isalpha() and -errors <= len(word) - len(stem) <= errors + _LONGEST_ENDING):
                continue
            other = words.stem_of(word)
            distance = _distance(stem, other, errors)
            if distance <= errors:
                close[other] = min(close.get(other, (errors, 0, word)), (distance, -count, word))
        if close:
            return [word for _, _, word in sorted(close.values())[:_MOST_SHOWN]]
    return []


def _distance(one: str, other: str, limit: int) -> int:
    """Letters to insert, leave out, change or swap with their neighbour (optimal string alignment); limit + 1 for any more."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    above: list[int] = []
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        before, above, row = above, row, [number]
        for at, its in enumerate(other, start=1):
            cost = min(above[at] + 1, row[at - 1] + 1, above[at - 1] + (letter != its))
            if number > 1 < at and letter == other[at - 2] and one[number - 2] == its:
                cost = min(cost, before[at - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
