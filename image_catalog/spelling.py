"""A word that no picture has -> words of the catalog that may have been meant.

Knows typing errors and keyboards; reads the vocabulary through catalog_search.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from image_catalog.catalog_search import SearchableCatalog
from image_catalog.query import Term, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from image_catalog.catalog import Catalog

_MOST_SHOWN = 3
_ERRORS = ((6, 2), (4, 1))  # from so many letters on so many typing errors are believed
_ALPHABETS = ("abcdefghijklmnopqrstuvwxyz", "абвгдежзийклмнопрстуфхцчшщъыьэюя")  # ё is е in stems
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
    """Words whose stems are a typing error or two away, the likeliest first.

    One error is tried out: some hundred stems are looked up, however many words the catalog has. Of two, none in the first
    letter is believed: else all words would have to be read.
    """
    errors = next((errors for letters, errors in _ERRORS if len(stem) >= letters), 0)
    close = rows.counts_of_stems(_one_error_away(stem)) if errors else {}
    if not close and errors > 1:
        from rapidfuzz.distance import OSA  # letters inserted, left out, changed, or swapped with their neighbour

        close = {its: count for its, count in rows.stems(stem[:1]) if OSA.distance(stem, its, score_cutoff=errors) <= errors}
    likeliest = sorted(close, key=lambda its: (-close[its], its))
    return list(islice(filter(None, map(rows.word_of_stem, likeliest)), _MOST_SHOWN))


def _one_error_away(stem: str) -> set[str]:
    """With one letter inserted, left out, changed, or two neighbours swapped; nothing for alphabets that are not known here."""
    letters = next((alphabet for alphabet in _ALPHABETS if set(stem) <= set(alphabet)), "")
    found = set()
    for at in range(len(stem) + 1):
        before, after = stem[:at], stem[at:]
        found |= {before + letter + rest for letter in letters for rest in (after, after[1:])}
        found |= {before + after[1:], before + after[1:2] + after[:1] + after[2:]}
    return found - {stem} if letters else set()
