"""Forms of a word that Snowball's stemmers take for another word: чашек for чашка, песок for на песке, women for woman.

Knows Russian and English; asked only for what a person typed, so nothing that is stored depends on it. A form that no text has
costs nothing, and finds nothing: where only a dictionary could tell, all that grammar allows are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from image_catalog import words

_HARD_OR_SOFT = "бвгджзклмнпрстфхцчшщ"
_HISSING = "жчшщц"
# Vowels that come and go stand before these: песок, палец, окон, кресел, ковёр, церковь.
_AFTER_FLEETING = "кцнлрв"
# Before these only where the other form has ь: свадьба, свадеб; письмо, писем.
_AFTER_SOFT = "бмг"
_SHORTEST = 4  # with its vowel: окон
# котёнок, котята; after ж, ч, ш: медвежонок, медвежата.
_YOUNG = (("е", "я", _HARD_OR_SOFT), ("о", "а", "жчш"))
# Plurals of other roots, and what no rule tells.
_RUSSIAN = (
    "ребенок ребенка дети, человек люди, щенок щенка щенята, письмо писем, сосна сосен, башня башен, вишня вишен, песня песен, "
    "спальня спален, кухня кухонь, деревня деревень, капля капель"
)
# цвет is a colour, цветы are flowers: by their stems they are one.
_FLOWERS, _FLOWER = "цветы цветов цветам цветами цветах", "цветок цветка"
_ENGLISH = (
    "woman women, man men, child children, person people, foot feet, tooth teeth, mouse mice, goose geese, leaf leaves, "
    "wolf wolves, knife knives, shelf shelves, loaf loaves, scarf scarves, calf calves, hoof hooves, wife wives, thief thieves"
)


def other_stems(word: str) -> tuple[str, ...]:
    """The stems that other forms of one word may have, without its own."""
    stem = words.stem_of(word)
    if not stem.isalpha():
        return ()
    others = list(_table().get(stem, ()))
    if words.fold(word) in _FLOWERS.split():
        others += map(words.stem_of, _FLOWER.split())
    if "а" <= stem[0] <= "я":
        others += _with_fleeting_vowel(stem)
        others += _young(stem)
    return tuple(dict.fromkeys(other for other in others if other != stem))


def _with_fleeting_vowel(stem: str) -> Iterator[str]:
    """A stem that loses its last vowel in other forms, or gets one there (Zaliznyak's asterisk)."""
    if len(stem) < _SHORTEST - 1:
        return
    before, last_but_one, last = stem[:-2], stem[-2], stem[-1]
    if len(stem) >= _SHORTEST and last_but_one in "ое":
        if last in _AFTER_FLEETING and before[-1] in _HARD_OR_SOFT:
            yield before + last
        if last_but_one == "е" and last in _AFTER_FLEETING + _AFTER_SOFT and before[-1] in _HARD_OR_SOFT:
            yield f"{before}ь{last}"
        if last_but_one == "е" and last == "к" and before[-1] not in _HARD_OR_SOFT:  # чаек, чайка
            yield f"{before}йк"
    elif last_but_one in "ьй" and last in _AFTER_FLEETING + _AFTER_SOFT:
        yield f"{before}е{last}"
    elif last_but_one in _HARD_OR_SOFT and last in _AFTER_FLEETING:
        yield f"{before}{last_but_one}е{last}"
        if last_but_one not in _HISSING:
            yield f"{before}{last_but_one}о{last}"


def _young(stem: str) -> Iterator[str]:
    for of_one, of_many, letters in _YOUNG:
        for ending in (f"{of_one}нок", f"{of_one}нк", f"{of_many}т"):
            before = stem.removesuffix(ending)
            if before != stem and len(before) > 1 and before[-1] in letters:
                yield from (f"{before}{its}" for its in (f"{of_one}нок", f"{of_one}нк", f"{of_many}т"))


@cache
def _table() -> dict[str, set[str]]:
    """Stem -> stems of the forms beside it."""
    table: dict[str, set[str]] = {}
    for forms in f"{_RUSSIAN}, {_ENGLISH}".split(", "):
        stems = [words.stem_of(form) for form in forms.split()]
        for stem in stems:
            table.setdefault(stem, set()).update(stems)
    return table
