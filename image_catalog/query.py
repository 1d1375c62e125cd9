"""What a person typed -> what to look for. Any string is a query; none is an error.

    собака пляж        pictures with these words, in any form; more of them is better
    "red car"          these words one after the other: must be there («red car» and “red car” are the same)
    -cat -"red car"    must not be there
    sun*               words that begin so
    кот OR собака      either is as good as both
    camera:canon       a filter, one of FILTERS; what it means, search_filter knows
    -camera:canon      none of these
    camera:canon OR camera:nikon        either; two cameras, places, folders, … are either, with or without OR
    -(cat OR dog)      neither; other brackets say nothing

Knows the language of queries; knows nothing of SQL, files or ranking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from image_catalog import word_forms, words
from image_catalog.record import Record

FILTERS = ("after", "before", "camera", "lens", "folder", "near", "format", "tag", "min-size", "orientation", "has")

# Controls are no part of a word; what word processors and Russian keyboards make of a quote is a quote.
_CLEANED = dict.fromkeys((*range(32), 127), " ") | dict.fromkeys(map(ord, "“”„«»"), '"')
_EITHER = ("OR", "ИЛИ", "|")
# Compiled where they are needed: that takes a twentieth of a search.
_LEFT_OUT = r"(?<!\S)-\(([^()]*)\)"
_WORD_OR_QUOTED = r'[^\s"]*"[^"]*"|\S+'
# Dates that are several words go on after `after:june`, as a person types them: `june 2023`, `15 июня 2023`, `2 weeks ago`.
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|янв|фев|мар|апр|ма[йя]|июн|июл|авг|сен|окт|ноя|дек)[a-zа-я]*"
_DATE_OF_WORDS = (
    rf"(?:\d{{1,2}} )?{_MONTH},? \d{{4}}|{_MONTH} \d{{1,2}},? \d{{4}}|\d{{1,2}} {_MONTH}"
    r"|(?:(?:\d{1,4}|[a-zа-я]+) )?[a-zа-я]+ (?:ago|назад)"
    r"|last [a-z]+|(?:в|на) прошло[мй] [а-я]+|прошл[а-я]+ [а-я]+"
)
_MOST_WORDS_OF_DATE = 3
# Where letters and digits meet: EOS5D is also EOS 5D, 50mm is also 50 mm.
_SEAM = r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"
# More than this does not make a search better, and a pasted book must not stall it.
_LONGEST_QUERY = 20_000
_LONGEST_SPOKEN = 2000
_MOST_TERMS = 64
_MOST_WORDS_IN_TERM = 16
_MOST_SEAMS = 3
_MOST_FILTERS = 16
# They say nothing of a picture: looked for only in phrases, and when there is nothing else.
_SMALL_WORDS = (
    " a an the and or of in on at to by for from with as is are be it its this that there me my"
    " photo photos photograph photographs picture pictures pic pics image images taken"
    " и в во на с со к ко у о об от до по под над за из для не а но как что это или при через мой моя моё мои"
    " фото фотка фотки фотография фотографии фотографий картинка картинки картинок снимок снимки снимков"
    " снято сделано года году "
)
# What file names end in; facts have the names without.
_ENDINGS = (
    " jpg jpeg jpe jfif mpo png apng webp gif tif tiff bmp dib heic heif hif avif cr2 cr3 nef nrw arw dng orf rw2 raf pef srw "
)
# A picture has one camera, place, folder, …: two values are a choice. Of these it can have several, or they narrow a span.
_NO_CHOICES = ("after", "before", "tag", "min-size", "has")

Phrase = tuple[str, ...]
FilterText = tuple[str, str]  # name and value, as typed


class Term(Record):
    """One thing to look for: any of `phrases`, each a row of stems that must stand one after the other.

    With `is_beginning` the last of each row is only the beginning of a word, and no stem. `is_required`: typed in quotes.
    """

    phrases: tuple[Phrase, ...]
    is_beginning: bool = False
    is_required: bool = False

    def is_phrase(self) -> bool:
        """Does it look for several words that stand together?"""
        return any(len(phrase) > 1 for phrase in self.phrases)


class Query(Record):
    """`wanted` terms make a picture match, `unwanted` ones exclude it; `spoken` is what the embedding model is asked.

    Of each of `filters` one alternative must be true, none of `unwanted_filters`; nobody has looked yet whether the values make
    sense. `has_mixed_choice`: OR stands between a word and a filter, which no search can do; both are looked for. `small` are
    words that say nothing of a picture, where there are no others.
    """

    spoken: str = ""
    wanted: tuple[Term, ...] = ()
    unwanted: tuple[Term, ...] = ()
    filters: tuple[tuple[FilterText, ...], ...] = ()
    unwanted_filters: tuple[FilterText, ...] = ()
    has_mixed_choice: bool = False
    small: tuple[Term, ...] = ()


class _Part(Record):
    """A piece of a query: what was typed, in quotes or not, and what stood before it: `-`, `camera:`, `-camera:` or nothing."""

    typed: str
    is_quoted: bool = False
    mark: str = ""


def parse(text: str) -> Query:
    """The query in a string."""
    clean = text[:_LONGEST_QUERY].encode("utf-8", "replace").decode("utf-8").translate(_CLEANED)
    reading = _Reading()
    for part in _parts(re.sub(_LEFT_OUT, _each_left_out, clean) if "-(" in clean else clean):
        if reading.is_full():
            break
        reading.take(part)
    return reading.query()


class _Reading:
    """A query, as far as it has been read."""

    def __init__(self) -> None:
        self._wanted: dict[Term, None] = {}
        self._unwanted: dict[Term, None] = {}
        self._small: dict[Term, None] = {}
        self._filters: list[list[FilterText]] = []
        self._unwanted_filters: list[FilterText] = []
        self._spoken: list[str] = []
        self._last: str | None = None  # what an OR may join to: "word" or "filter"
        self._is_choice = False
        self._has_mixed_choice = False

    def is_full(self) -> bool:
        filters = len(self._unwanted_filters) + sum(map(len, self._filters))
        return len(self._wanted) + len(self._unwanted) >= _MOST_TERMS or filters >= _MOST_FILTERS

    def take(self, part: _Part) -> None:
        name = part.mark.strip("-:").casefold()
        if name and not part.mark.startswith("-"):
            self._take_filter(name, part.typed)
        elif part.mark:
            self._take_unwanted(name, part)
        elif part.typed in _EITHER and not part.is_quoted:
            self._is_choice = self._last is not None
        else:
            self._take_words(part)

    def query(self) -> Query:
        spoken = " ".join(self._spoken).strip()[:_LONGEST_SPOKEN]
        return Query(
            spoken,
            tuple(self._wanted),
            tuple(self._unwanted),
            tuple(map(tuple, self._filters)),
            tuple(self._unwanted_filters),
            self._has_mixed_choice,
            () if self._wanted else tuple(self._small),
        )

    def _take_unwanted(self, name: str, part: _Part) -> None:
        self._last, self._is_choice = None, False
        if not name:
            self._unwanted |= dict.fromkeys(_terms(part))
        elif (name, part.typed) not in self._unwanted_filters:
            self._unwanted_filters.append((name, part.typed))

    def _take_filter(self, name: str, value: str) -> None:
        is_choice = self._is_choice_after("filter")
        alike = [group for group in self._filters if name not in _NO_CHOICES and {its for its, _ in group} == {name}]
        group = self._filters[-1] if is_choice else alike[-1] if alike else None
        if group is None:
            self._filters.append([(name, value)])
        elif (name, value) not in group:
            group.append((name, value))

    def _take_words(self, part: _Part) -> None:
        self._spoken.append(part.typed.rstrip("*"))
        is_choice = self._is_choice_after("word")
        is_small = f" {part.typed.casefold()} " in _SMALL_WORDS and not part.is_quoted
        if is_small:  # nothing can be another way to say nothing
            self._last = None
        for term in _terms(part):
            _want(term, self._small if is_small else self._wanted, is_choice and not is_small)

    def _is_choice_after(self, kind: str) -> bool:
        """Is what comes now another way to satisfy what stood before OR?"""
        self._has_mixed_choice |= self._is_choice and self._last != kind
        is_choice = self._is_choice and self._last == kind
        self._last, self._is_choice = kind, False
        return is_choice


def _each_left_out(group: re.Match[str]) -> str:
    """`-(cat OR "red car")` -> `-cat -"red car"`."""
    left_out = (its[0] for its in re.finditer(_WORD_OR_QUOTED, group[1]) if its[0] not in _EITHER)
    return " ".join(f"-{its.lstrip('-')}" for its in left_out)


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
        while chunks:
            typed, chunks = _next_of(chunks)
            yield from _plain_part(typed)


def _next_of(chunks: list[str]) -> tuple[str, list[str]]:
    """The first, with those after it that belong to the date which it begins; and the rest."""
    name, colon, value = chunks[0].partition(":")
    if colon and _filter_name(name.lstrip("(")) in ("after", "before"):
        for count in range(min(_MOST_WORDS_OF_DATE, len(chunks)), 1, -1):
            date = " ".join([value, *chunks[1:count]])
            if re.fullmatch(_DATE_OF_WORDS, date.rstrip(")").casefold()):
                return f"{name}:{date}", chunks[count:]
    return chunks[0], chunks[1:]


def _is_mark(text: str) -> bool:
    return text == "-" or (text.endswith(":") and _filter_name(text[:-1]) is not None)


def _filter_name(text: str) -> str | None:
    """`camera` of `Camera` and `-camera`; None where that is no filter."""
    name = text.removeprefix("-").casefold()
    return name if name in FILTERS else None


def _plain_part(typed: str) -> Iterator[_Part]:
    bare = typed.lstrip("(")
    name, colon, value = bare.partition(":")
    if value.count(")") > value.count("("):
        value = value.rstrip(")")
    if colon and value and (known := _filter_name(name)):
        yield _Part(value, mark=f"{'-' * bare.startswith('-')}{known}:")
    elif bare.startswith("-"):
        yield _Part(bare[1:], mark="-")
    elif typed:
        yield _Part(typed)


def _want(term: Term, wanted: dict[Term, None], is_choice: bool) -> None:
    """Add `term`, or make it another way to satisfy the one before."""
    before = next(reversed(wanted), None)
    if not is_choice or before is None:
        wanted[term] = None
        return
    del wanted[before]
    if before.is_beginning != term.is_beginning:  # no single term can be both; neither must be there
        wanted |= dict.fromkeys((before.with_(is_required=False), term.with_(is_required=False)))
        return
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
    names = _as_file_name(part.typed, found)
    others = () if part.is_quoted else _other_spellings(names or found)
    as_name = (tuple(map(words.stem_of, names)),) if names else ()
    return [Term(tuple(dict.fromkeys((phrase, *as_name, *others))), is_required=part.is_quoted)]


def _as_file_name(typed: str, found: list[str]) -> list[str]:
    """The words of `IMG_1234.jpg`, and of `holiday/IMG_1234.jpg`, that facts have: those of the name; none of other texts."""
    if "." not in typed or f" {found[-1].casefold()} " not in _ENDINGS:
        return []
    return words.words_of(typed.rpartition("/")[2])[:_MOST_WORDS_IN_TERM][:-1]


def _beginnings(found: list[str]) -> tuple[Phrase, ...]:
    """In the column of stems the words before are stems and ё is е; in the texts themselves all is as typed."""
    *before, last = found
    as_stems = (*map(words.stem_of, before), words.fold(last))
    as_typed = tuple(word.casefold() for word in found)
    return tuple(dict.fromkeys((as_stems, as_typed)))


def _other_spellings(found: list[str]) -> tuple[Phrase, ...]:
    """EOS-5D is also EOS5D, sun-glasses sunglasses, 50mm 50-mm, 15.06.2023 is 2023-06-15, and чашка чашек."""
    if len(found) == 3 and all(map(str.isdigit, found)) and len(found[2]) == 4:
        day, month, year = found
        return ((year, month.zfill(2), day.zfill(2)),)
    if len(found) > 1:
        return ((words.stem_of("".join(found)),),)
    (word,) = found
    if word.isalpha():
        return tuple((stem,) for stem in word_forms.other_stems(word))
    if word.isdigit():
        return ()
    seams = [match.start() for match in re.finditer(_SEAM, word[:64])][:_MOST_SEAMS]
    return tuple((words.stem_of(word[:seam]), words.stem_of(word[seam:])) for seam in seams)
