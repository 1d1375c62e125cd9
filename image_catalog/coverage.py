"""How much of a query the words of each picture cover.

Owns the weights of words and the order in which they are looked up; reads ids through catalog_search. A common word has so many
pictures that fetching all of them would be most of a search, so the rarest words are looked up first, and of the others only
the pictures that can still matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import log

from image_catalog.catalog_search import SearchableCatalog
from image_catalog.query import Query, Term
from image_catalog.record import Record

# A word with a digit is a name or a number: no other word can stand for it, and an embedding hardly sees it.
_WEIGHT_OF_NUMBERS = 3.0
# So many pictures that fit equally well are told apart by bm25; of more, the newest come first.
_MOST_COMPARED = 500


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
    """

    def __init__(self, rows: SearchableCatalog, query: Query, scope: Scope) -> None:
        self._rows = rows
        self._scope = scope
        self.terms = query.wanted
        self.missing: tuple[Term, ...] = ()
        self._shares = [1 / len(self.terms) for _ in self.terms]  # unless _weigh() knows better
        self._numbers = [0.0 for _ in self.terms]
        self._masks: dict[int, int] = {}

    def find_best(self, count: int) -> None:
        """Look up at least the `count` best covered pictures."""
        if not self._find_whole(count):
            self._weigh()
            self._find(lambda rest: not self._has_covered(count, rest))

    def find_covered(self, least: float) -> None:
        """Look up all pictures that are covered by the share `least`."""
        self._weigh()
        self._find(lambda rest: rest >= least)

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
        self._shares = [weights[term] / whole for term in self.terms]
        self._numbers = [idf[term] if _is_number(term) else 0.0 for term in self.terms]

    def _find(self, newcomers_matter: Callable[[float], bool]) -> None:
        """Look up word by word. `newcomers_matter`: may a picture be sought that has only this share of the query, the rest?"""
        masks = self._masks
        has_newcomers = True
        for bit, term in enumerate(self.terms):
            has_newcomers = has_newcomers and newcomers_matter(sum(self._shares[bit:]))
            if not (has_newcomers or masks):
                return
            found = self._rows.ids_with(term, among=() if has_newcomers else self.terms[:bit])
            for image_id in self._scope.within(found):
                masks[image_id] = masks.get(image_id, 0) | 1 << bit

    def _has_covered(self, count: int, share: float) -> bool:
        """Are there `count` pictures covered by more than `share`?"""
        if len(self._masks) < count:
            return False
        numbers = Counter(self._masks.values())
        return sum(number for mask, number in numbers.items() if self._sum(self._shares, mask) > share) >= count

    def _groups(self) -> list[tuple[int, list[int]]]:
        """(mask, pictures), the best covered first."""
        groups: dict[int, list[int]] = {}
        for image_id, mask in self._masks.items():
            groups.setdefault(mask, []).append(image_id)
        return sorted(groups.items(), key=lambda group: -self._sum(self._shares, group[0]))

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
            if self._sum(self._shares, mask) < least or len(found) >= count:
                break
            found += ids
        return found

    def share(self, image_id: int) -> float:
        """How much of the query the words of a picture cover, 0 to 1."""
        return round(self._sum(self._shares, self._masks.get(image_id, 0)), 9)  # all of it is 1, not 0.9999999999999999

    def numbers(self, image_id: int) -> float:
        """The summed idf of the names and numbers of the query that a picture has."""
        return self._sum(self._numbers, self._masks.get(image_id, 0))

    @staticmethod
    def _sum(values: list[float], mask: int) -> float:
        return sum(value for bit, value in enumerate(values) if mask >> bit & 1)


def _is_number(term: Term) -> bool:
    return any(char.isdigit() for stem in term.phrases[0] for char in stem)
