"""A word that no picture has -> words of the catalog that may have been meant.

Knows typing errors and keyboards; reads the vocabulary through catalog_search.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from image_catalog import words
from image_catalog.catalog_search import SearchableCatalog
from image_catalog.query import Term, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from image_catalog.catalog import Catalog

_MOST_SHOWN = 3
_CLOSE = 0.72  # difflib's ratio: one letter of four, two of seven
# The same keys of the two keyboards of a Russian computer.
_LATIN = "`qwertyuiop[]asdfghjkl;'zxcvbnm,.~QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>"
_CYRILLIC = "ёйцукенгшщзхъфывапролджэячсмитьбюЁЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮ"
_KEYBOARDS = (str.maketrans(_LATIN, _CYRILLIC), str.maketrans(_CYRILLIC, _LATIN))


def suggestions(catalog: Catalog, text: str, missing: Sequence[Term]) -> list[str]:
    """What to try instead of the `missing` words of the query `text`, the likeliest first."""
    rows = SearchableCatalog(catalog)
    found = _typed_on_other_keyboard(rows, text)
    for term in missing:
        if not found and len(term.phrases[0]) == 1 and not term.is_required:
            found += _close_words(rows, term.phrases[0][0])
    return list(dict.fromkeys(found))[:_MOST_SHOWN]


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
    for beginning in dict.fromkeys((stem[:1], "")):
        forms: dict[str, tuple[int, str]] = {}
        for word, count in rows.vocabulary(beginning):
            if abs(len(word) - len(stem)) <= 4 and not word.isdigit():
                forms[words.stem_of(word)] = max(forms.get(words.stem_of(word), (0, "")), (count, word))
        close = get_close_matches(stem, forms, n=_MOST_SHOWN, cutoff=_CLOSE)
        if close:
            return [forms[other][1] for other in close]
    return []
