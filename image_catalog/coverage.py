"""How much of a query the words of each picture cover.

Owns the weights of words and the order in which they are looked up; reads ids through catalog_search. A common word has so many
pictures that fetching all of them would be most of a search, so the rarest words are looked up first, and of the others only
the pictures that can still matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import log

from image_catalog import words
from image_catalog.catalog_search import SearchableCatalog
from image_catalog.query import Query, Term
from image_catalog.record import Record

# A word with a digit is a name or a number: no other word can stand for it, and an embedding hardly sees it.
_WEIGHT_OF_NUMBERS = 3.0
# So many pictures that fit equally well are told apart by bm25; of more, the newest come first.
_MOST_COMPARED = 500
# A name that more pictures have tells little by itself: it is looked for only in pictures that are found by something else.
_MOST_OF_A_NAME = 20_000
_MOST_WORDS_IN_PHRASE = 6


class Scope(Record):
    """Which pictures may be found: those in `allowed` (None: all) that are not in `excluded`."""

    allowed: set[int] | None = None
    excluded: set[int] = set()  # noqa: RUF012  # never changed

    def within(self, ids: Iterable[int]) -> set[int]:
        """Those of `ids` that may be found."""
        found = set(ids) if self.allowed is None else self.allowed.intersection(ids)
        return found - self.excluded


class Coverage:
    """The share of a query's words, by weight, that pictures have. A word weighs its idf; one with a digit three times that.

    A picture's words are a mask: bit n for the n-th of `terms`, the rarest first. `missing` are those that no picture has.
    Names are words with a digit and those that stand in facts and keywords rather than in descriptions: Сочи, canon, 2023.
    """

    def __init__(self, rows: SearchableCatalog, query: Query, scope: Scope) -> None:
        self._rows = rows
        self._scope = scope
        self.terms = query.wanted
        self.missing: tuple[Term, ...] = ()
        self._shares = [1 / len(self.terms) for _ in self.terms]  # unless _weigh() knows better
        self._phrase = _as_phrase(query.wanted)
        self._idf = [0.0 for _ in self.terms]
        self._counts = [0 for _ in self.terms]
        self._is_name = [False for _ in self.terms]
        self._masks: dict[int, int] = {}
        self._sums: dict[tuple[str, int], float] = {}
        self._with_phrase: set[int] = set()
        self._ranks: dict[float, int] | None = None
        self._known_from = 0.0  # the share from which on all pictures were found

    def __len__(self) -> int:
        """How many pictures were found so far."""
        return len(self._masks)

    def find_best(self, count: int) -> None:
        """Look up at least the `count` best covered pictures."""
        if not self._find_whole(count):
            self._weigh()
            self._find(lambda rest: not self._has_covered(count, rest))

    def find_covered(self, least: float) -> None:
        """Look up all pictures that are covered by the share `least`."""
        self._weigh()
        self._find(lambda rest: rest >= least)

    def find_evidence(self, least: float) -> None:
        """As find_covered, and those that have a name of the query, or all of it as a phrase: for idf_of_names and the like."""
        self._weigh()
        self._sums.clear()
        self._is_name = [_is_number(term) or self._rows.is_fact(term) for term in self.terms]
        self._find(lambda rest: rest >= least)
        if self._phrase is not None and not self.missing:
            self._with_phrase = self._masks.keys() & set(islice(self._rows.ids_with(self._phrase), _MOST_OF_A_NAME))

    def look_at(self, stems: Mapping[int, str]) -> None:
        """Look also at pictures that nothing was looked up for: their word stems by id."""
        for image_id, text in stems.items():
            if image_id not in self._masks:
                padded = f" {text} "
                self._masks[image_id] = sum(1 << bit for bit, term in enumerate(self.terms) if _has(padded, term))

    def _find_whole(self, count: int) -> bool:
        """Have so many pictures every word that no other needs a look? The newest of them will do."""
        if self._scope.allowed is not None or not self.terms:
            return False
        excluded = self._scope.excluded
        newest = self._rows.newest_with_all(self.terms, max(count, _MOST_COMPARED + 1) + len(excluded))
        found = [image_id for image_id in newest if image_id not in excluded]
        if len(found) < count:
            return False
        self._masks = dict.fromkeys(found, (1 << len(self.terms)) - 1)
        self._known_from = 1 - 1e-9  # a sum of thirds is not quite 1
        return True

    def _weigh(self) -> None:
        """Count how many pictures have each word; put the rarest first and those that none has aside."""
        total = self._rows.size()
        counts = {term: self._rows.count_with(term) for term in self.terms}
        idf = {term: log(1 + max(0.0, total - count + 0.5) / (count + 0.5)) for term, count in counts.items()}
        weights = {term: idf[term] * (_WEIGHT_OF_NUMBERS if _is_number(term) else 1.0) for term in counts}
        whole = sum(weights.values()) or 1.0
        self.missing = tuple(term for term, count in counts.items() if not count)
        self.terms = tuple(sorted((term for term in counts if counts[term]), key=lambda term: -weights[term]))
        self._sums.clear()
        self._shares = [weights[term] / whole for term in self.terms]
        self._idf = [idf[term] for term in self.terms]
        self._counts = [counts[term] for term in self.terms]

    def _find(self, newcomers_matter: Callable[[float], bool]) -> None:
        """Look up word by word. `newcomers_matter`: may a picture be sought that has only this share of the query, the rest?"""
        masks = self._masks
        has_newcomers = True
        sought: list[Term] = []  # whoever has none of these is not looked at
        for bit, term in enumerate(self.terms):
            if has_newcomers and not newcomers_matter(rest := sum(self._shares[bit:])):
                has_newcomers, self._known_from = False, rest
            is_sought = has_newcomers or (self._is_name[bit] and self._counts[bit] <= _MOST_OF_A_NAME)
            if not (is_sought or masks):
                continue
            found = self._rows.ids_with(term, among=() if is_sought else sought)
            sought += [term] * is_sought
            for image_id in self._scope.within(found):
                masks[image_id] = masks.get(image_id, 0) | 1 << bit

    def _has_covered(self, count: int, share: float) -> bool:
        """Are there `count` pictures covered by more than `share`?"""
        if len(self._masks) < count:
            return False
        numbers = Counter(self._masks.values())
        return sum(number for mask, number in numbers.items() if self._sum("shares", mask) > share) >= count

    def _groups(self) -> list[tuple[int, list[int]]]:
        """(mask, pictures), the best covered first."""
        groups: dict[int, list[int]] = {}
        for image_id, mask in self._masks.items():
            groups.setdefault(mask, []).append(image_id)
        return sorted(groups.items(), key=lambda group: -self._sum("shares", group[0]))

    def best_first(self) -> Iterator[int]:
        """What was found: the best covered first, equals by bm25; where those are very many, the newest first."""
        for mask, ids in self._groups():
            ids.sort(reverse=True)
            if 1 < len(ids) <= _MOST_COMPARED:
                terms = [term for bit, term in enumerate(self.terms) if mask >> bit & 1]
                fits = self._rows.bm25(terms, ids)
                ids.sort(key=lambda image_id: -fits.get(image_id, 0.0))
            yield from ids

    def covered(self, least: float, count: int) -> list[int]:
        """Pictures that were found and are covered by `least`, best first: whole groups of equals until `count` is full."""
        found: list[int] = []
        for mask, ids in self._groups():
            if self._sum("shares", mask) < least or len(found) >= count:
                break
            found += ids
        return found

    def share(self, image_id: int) -> float:
        """How much of the query the words of a picture cover, 0 to 1."""
        return round(self._sum("shares", self._masks.get(image_id, 0)), 9)  # all of it is 1, not 0.9999999999999999

    def rank(self, image_id: int) -> int | None:
        """1 for the pictures that are covered best, more by one for each that is covered better.

        None where no word is, and for a share so small that not all pictures with more were looked for.
        """
        if self._ranks is None:
            self._ranks, before = {}, 0
            for mask, ids in self._groups():
                self._ranks.setdefault(self._sum("shares", mask), before + 1)
                before += len(ids)
        share = self._sum("shares", self._masks.get(image_id, 0))
        return self._ranks.get(share) if share > 0 and share >= self._known_from else None

    def share_in(self, text: str) -> float:
        """How much of the query the words of one text cover, 0 to 1."""
        padded = f" {words.stems(text)} "
        return sum(share for share, term in zip(self._shares, self.terms, strict=True) if _has(padded, term))

    def idf_of_names(self, image_id: int) -> float:
        """The summed idf of the names of the query that a picture has."""
        return self._sum("names", self._masks.get(image_id, 0))

    def idf_of_words(self, image_id: int) -> float:
        """The summed idf of the other words."""
        return self._sum("words", self._masks.get(image_id, 0))

    def has_phrase(self, image_id: int) -> bool:
        """Do all words of the query stand in a picture as they stand in the query, one after the other?"""
        return image_id in self._with_phrase

    def is_of_names(self) -> bool:
        """Is the query nothing but names, all of which some picture has?"""
        return bool(self.terms) and not self.missing and all(self._is_name)

    def with_names(self) -> set[int]:
        """The pictures that were looked up because they have a name."""
        names = sum(1 << bit for bit, is_name in enumerate(self._is_name) if is_name)
        return {image_id for image_id, mask in self._masks.items() if mask & names}

    def _sum(self, values: str, mask: int) -> float:
        """The sum of `values` (shares, the idf of names, that of other words) of a mask: thousands of pictures share a few."""
        known = self._sums.get((values, mask))
        if known is None:
            known = self._sums[values, mask] = sum(value for bit, value in enumerate(self._values(values)) if mask >> bit & 1)
        return known

    def _values(self, values: str) -> list[float]:
        if values == "shares":
            return self._shares
        return [idf * (is_name == (values == "names")) for idf, is_name in zip(self._idf, self._is_name, strict=True)]


def _is_number(term: Term) -> bool:
    return any(char.isdigit() for stem in term.phrases[0] for char in stem)


def _as_phrase(terms: Sequence[Term]) -> Term | None:
    """All of a query as one phrase, if it is short and of plain words."""
    if not 1 < len(terms) <= _MOST_WORDS_IN_PHRASE or any(term.is_beginning or term.is_required for term in terms):
        return None
    return Term((tuple(stem for term in terms for stem in term.phrases[0]),))


def _has(padded: str, term: Term) -> bool:
    """Is `term` in a row of stems that has a space before and after each?"""
    end = "" if term.is_beginning else " "
    return any(f" {' '.join(phrase)}{end}" in padded for phrase in term.phrases)
