"""What a person typed -> what to look for. Any string is a query; none is an error.

    собака пляж        pictures with these words, in any form; more of them is better
    "red car"          these words one after the other: must be there («red car» and “red car” are the same)
    -cat -"red car"    must not be there
    sun*               words that begin so
    кот OR собака      either is as good as both
    camera:canon       a filter, one of FILTERS; what it means, search_filter knows

Knows the language of queries; knows nothing of SQL, files or ranking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from image_catalog import words
from image_catalog.record import Record

FILTERS = ("after", "before", "camera", "lens", "folder", "near", "format", "tag", "min-size", "orientation", "has")

# Controls are no part of a word; what word processors and Russian keyboards make of a quote is a quote.
_CLEANED = dict.fromkeys((*range(32), 127), " ") | dict.fromkeys(map(ord, "“”„«»"), '"')
_EITHER = ("OR", "ИЛИ", "|")
# Where letters and digits meet: EOS5D is also EOS 5D, 50mm is also 50 mm.
_SEAM = r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"
# More than this does not make a search better, and a pasted book must not stall it.
_LONGEST_QUERY = 20_000
_LONGEST_SPOKEN = 2000
_MOST_TERMS = 64
_MOST_WORDS_IN_TERM = 16
_MOST_SEAMS = 3
# They say nothing of a picture: looked for only in phrases, and when there is nothing else.
_EMPTY_WORDS = (
    " a an the and or of in on at to by for from with as is are be it its this that there"
    " и в во на с со к ко у о об от до по под над за из для не а но как что это или при через "
)

Phrase = tuple[str, ...]


class Term(Record):
    """One thing to look for: any of `phrases`, each a row of stems that must stand one after the other.

    With `is_beginning` the last of each row is only the beginning of a word, and no stem. `is_required`: typed in quotes.
    """

    phrases: tuple[Phrase, ...]
    is_beginning: bool = False
    is_required: bool = False


class Query(Record):
    """`wanted` terms make a picture match, `unwanted` ones exclude it; `spoken` is what the embedding model is asked.

    `filters` are (name, value) as typed; nobody has looked yet whether the values make sense.
    """

    spoken: str = ""
    wanted: tuple[Term, ...] = ()
    unwanted: tuple[Term, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()


class _Part(Record):
    """A piece of a query: what was typed, in quotes or not, and what stood before it: `-`, `camera:` or nothing."""

    typed: str
    is_quoted: bool = False
    mark: str = ""


def parse(text: str) -> Query:
    """The query in a string."""
    clean = text[:_LONGEST_QUERY].encode("utf-8", "replace").decode("utf-8").translate(_CLEANED)
    wanted: dict[Term, None] = {}
    unwanted: dict[Term, None] = {}
    empty: dict[Term, None] = {}
    filters: list[tuple[str, str]] = []
    spoken: list[str] = []
    is_choice = False
    for part in _parts(clean):
        if len(wanted) + len(unwanted) + len(filters) >= _MOST_TERMS:
            break
        if part.mark.endswith(":"):
            filters.append((part.mark[:-1], part.typed))
        elif part.typed in _EITHER and not part.is_quoted:
            is_choice = bool(wanted)
        elif part.mark == "-":
            unwanted |= dict.fromkeys(_terms(part))
        else:
            spoken.append(part.typed.rstrip("*"))
            is_empty = f" {part.typed.casefold()} " in _EMPTY_WORDS and not part.is_quoted
            for term in _terms(part):
                _want(term, empty if is_empty else wanted, is_choice)
            is_choice = False
    return Query(" ".join(spoken).strip()[:_LONGEST_SPOKEN], tuple(wanted or empty), tuple(unwanted), tuple(filters))


def _parts(text: str) -> Iterator[_Part]:
    pieces = text.split('"')
    if len(pieces) % 2 == 0:  # the last quote has no partner
        pieces[-2:] = [f"{pieces[-2]} {pieces[-1]}"]
    mark = ""
    for number, piece in enumerate(pieces):
        if number % 2:
            yield _Part(piece, True, mark)
            continue
        chunks = piece.split()
        touches_quote = number + 1 < len(pieces) and not piece[-1:].isspace()
        mark = chunks.pop() if chunks and touches_quote and _is_mark(chunks[-1]) else ""
        for typed in chunks:
            yield from _plain_part(typed)


def _is_mark(text: str) -> bool:
    return text == "-" or (text.endswith(":") and text[:-1] in FILTERS)


def _plain_part(typed: str) -> Iterator[_Part]:
    name, colon, value = typed.partition(":")
    if colon and value and name in FILTERS:
        yield _Part(value, mark=f"{name}:")
    elif typed.startswith("-"):
        yield _Part(typed[1:], mark="-")
    elif typed:
        yield _Part(typed)


def _want(term: Term, wanted: dict[Term, None], is_choice: bool) -> None:
    """Add `term`, or make it another way to satisfy the one before."""
    before = next(reversed(wanted), None)
    if not is_choice or before is None or before.is_beginning != term.is_beginning:
        wanted[term] = None
        return
    del wanted[before]
    either = tuple(dict.fromkeys(before.phrases + term.phrases))
    wanted[Term(either, term.is_beginning, before.is_required and term.is_required)] = None


def _terms(part: _Part) -> list[Term]:
    """What a part looks for: one term, or none when it has neither letter nor digit."""
    found = words.words_of(part.typed[: _MOST_WORDS_IN_TERM * 64])[:_MOST_WORDS_IN_TERM]
    if not found:
        return []
    if part.typed.endswith("*") and not part.is_quoted:
        return [Term(_beginnings(found), is_beginning=True)]
    phrase = tuple(map(words.stem_of, found))
    return [Term((phrase,), is_required=True) if part.is_quoted else Term((phrase, *_other_spellings(found)))]


def _beginnings(found: list[str]) -> tuple[Phrase, ...]:
    """In the column of stems the words before are stems and ё is е; in the texts themselves all is as typed."""
    *before, last = found
    as_stems = (*map(words.stem_of, before), words.fold(last))
    as_typed = tuple(word.casefold() for word in found)
    return tuple(dict.fromkeys((as_stems, as_typed)))


def _other_spellings(found: list[str]) -> tuple[Phrase, ...]:
    """EOS-5D and EOS5D, sun-glasses and sunglasses, 50mm and 50-mm are each other's."""
    if len(found) > 1:
        return ((words.stem_of("".join(found)),),)
    (word,) = found
    if word.isalpha() or word.isdigit():
        return ()
    seams = [match.start() for match in re.finditer(_SEAM, word[:64])][:_MOST_SEAMS]
    return tuple((words.stem_of(word[:seam]), words.stem_of(word[seam:])) for seam in seams)
