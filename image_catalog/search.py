"""A query -> one ranked list of pictures, by words and by meaning.

Owns the question, the answer and the way from one to the other; what words are worth is in coverage, how they are weighed against
meaning in fusion. Prints nothing: what the user should know comes back as notes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice, takewhile
from math import inf

from image_catalog import ranking
from image_catalog.catalog_search import SearchableCatalog
from image_catalog.coverage import Scope
from image_catalog.errors import UsageError, UserError
from image_catalog.query import FilterText, Query, Term, parse
from image_catalog.ranking import Meaning, Question, Ranking
from image_catalog.record import Record
from image_catalog.search_filter import Filter, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from image_catalog.catalog import Catalog

__all__ = ["MODES", "SORTS", "Hit", "Meaning", "Request", "Result", "ids", "run"]

MODES = ("hybrid", "semantic", "text")
SORTS = ("score", "date", "path")
# Below this part of the best score a picture is a weaker match: measured, 2 to 8 % of the right pictures are.
_WEAK = 0.6
_COMPARED_AT_ONCE = 16
_MOST_DOUBTED = 100  # of the best: if none of them fits, the others do not
_MOST_READ = 1000  # pictures that a phrase rules out are told from those that have its words in two texts
_NOT_A_WORD = r'^-|[:"]'  # what would make a filter or a phrase of what is words now
_MORE_AGAIN = 4  # times as many are ranked when so many are copies that a page is not full


class Request(Record):
    """What is asked. Without a text, `like` and `unlike`, what passes the filter is listed, newest first; without one, all.

    `like` is the id of a picture to which others are similar, or the description of one that is not in the catalog; `unlike` is a
    text for what should not be in the picture.
    """

    text: str = ""
    mode: str = "hybrid"
    filter: Filter = Filter()
    limit: int = 10
    offset: int = 0
    sort: str = "score"
    min_score: float | None = None
    is_fts_syntax: bool = False
    like: int | str | None = None
    unlike: str = ""


class Hit(Record):
    """A picture that was found: its row, and why.

    `score` is the coverage by text, the cosine by semantic, and by hybrid what fusion says. `coverage` is the share of the query
    that its words cover, 0 to 1; `cosine` that of query and description, None where it has no vector or meaning was not asked.
    `rank_text` and `rank_meaning` are the places that words and meaning alone would give it, None where that is far behind or was
    not asked. `other_paths` are equal files.
    """

    row: dict[str, Any]
    score: float
    coverage: float
    cosine: float | None
    is_weak: bool
    other_paths: tuple[bytes, ...] = ()
    rank_text: int | None = None
    rank_meaning: int | None = None


class Result(Record):
    """The hits of one page, and what the user should know.

    `mode` is what was really done: `text` where there is no vector index, `list` without a query, `fts`. `fits`: at least one
    picture answers the question; if not, all are weaker matches. `missing` are the words that no picture has. `behind`: how
    many descriptions the vector index lacks, None when it was not asked.
    """

    hits: list[Hit]
    query: Query
    mode: str
    fits: bool
    has_more: bool
    missing: tuple[Term, ...]
    behind: int | None
    notes: list[str]


def run(catalog: Catalog, request: Request, open_meaning: Callable[[], Meaning]) -> Result:
    """Answer `request`. `open_meaning` is called only when meaning is asked for; the UserError that it raises becomes a note.

    Raises UsageError for a filter, an FTS5 expression or a `like` that makes no sense, CannotGoOn when `like` cannot be done.
    """
    rows = SearchableCatalog(catalog)
    with rows.snapshot():
        return _Search(rows, request, open_meaning).answer()


def ids(catalog: Catalog, request: Request, open_meaning: Callable[[], Meaning]) -> list[int]:
    """The ids of the best `limit` pictures that are no weaker matches, best first, none when nothing fits; equal files too.

    Raises as run does.
    """
    rows = SearchableCatalog(catalog)
    with rows.snapshot():
        return _Search(rows, request, open_meaning).strong_ids()


class _Search:
    """One request on its way. Raises UsageError for a filter of the request that makes no sense."""

    def __init__(self, rows: SearchableCatalog, request: Request, open_meaning: Callable[[], Meaning]) -> None:
        self._rows = rows
        self._request = request
        self._open_meaning: Callable[[], Meaning] | None = open_meaning
        self._meaning: Meaning | None = None
        self._notes: list[str] = []
        self._query = Query() if request.is_fts_syntax else _read(request)
        self._scope = self._read_scope()

    def answer(self) -> Result:
        """The page that was asked for."""
        request = self._request
        count = (request.offset + request.limit) * 2 + 1  # equal files are shown once, so some more
        while True:
            ranked = self._ranking(count)
            order, weak, fits = _judged(ranked)
            sought = self._distinct(self._sought(ranked, order, weak))
            page = list(islice(sought, request.offset, request.offset + request.limit + 1))
            is_full = len(page) > request.limit and request.sort == "score"
            is_full = is_full and ranked.strength(page[-1]) >= ranked.certain_from
            if is_full or not self._has_more_to_rank(ranked, weak):
                break
            count = _MORE_AGAIN * max(count, len(ranked.order) if isinstance(ranked.order, list) else 0)
        hits = self._hits(ranked, page[: request.limit], weak if fits else inf)
        has_more = len(page) > request.limit
        return Result(hits, self._query, ranked.mode, fits, has_more, ranked.missing, ranked.behind, self._notes)

    def strong_ids(self) -> list[int]:
        """The best, as long as they are no weaker matches."""
        ranked = self._ranking(self._request.limit * 2 + 1)
        order, weak, fits = _judged(ranked)
        if not fits:
            return []
        strong = takewhile(lambda image_id: ranked.strength(image_id) >= weak, order)
        return list(islice(strong, self._request.limit))

    def _has_more_to_rank(self, ranked: Ranking, weak: float) -> bool:
        """Are there pictures that were not ranked, and that could be shown?"""
        last = ranked.order[-1] if isinstance(ranked.order, list) and ranked.order else None
        if ranked.is_whole or last is None:
            return not ranked.is_whole
        if self._request.min_score is not None:
            return ranked.score(last) >= self._request.min_score
        return self._request.sort == "score" or ranked.strength(last) >= weak

    # What may be found

    def _read_scope(self) -> Scope:
        request = self._request
        allowed = None if request.filter.is_empty() else self._rows.ids_passing(request.filter)
        if self._query.has_mixed_choice:
            self._notes.append("OR between a word and a filter is read as: both")
        excluded = self._rows.gone_ids().union(*map(self._ids_saying, self._query.unwanted))
        for name, value in self._query.unwanted_filters:
            excluded |= self._passing(name, value, "left out") or set()
        for group in self._query.filters:
            allowed = self._narrowed(allowed, group)
        for term in self._query.wanted:
            if term.is_required:
                allowed = _both(allowed, self._rows.ids_with(term))
        if isinstance(request.like, int):
            if not self._rows.rows([request.like]):
                raise UsageError("--like", f"there is no picture {request.like}", "each picture that was found has an id")
            excluded |= self._rows.ids_of_same_content(request.like)
        return Scope(allowed, excluded)

    def _ids_saying(self, term: Term) -> Iterable[int]:
        """Images with `term`; of a phrase, where those are few, only those in which it stands in one text."""
        ids = list(self._rows.ids_with(term))
        return self._rows.that_say(ids, [term]) if term.is_phrase() and len(ids) <= _MOST_READ else ids

    def _narrowed(self, allowed: set[int] | None, group: Sequence[FilterText]) -> set[int] | None:
        """`allowed` less what none of the alternatives lets through; what is no filter here is words like others."""
        passing = [self._passing(name, value, "left out" if len(group) > 1 else "searched as words") for name, value in group]
        known = [ids for ids in passing if ids is not None]
        if known:
            return _both(allowed, set().union(*known))
        if len(group) > 1:
            return set()
        query, more = self._query, parse(re.sub(_NOT_A_WORD, " ", group[0][1]))
        spoken = f"{query.spoken} {more.spoken}".strip()
        self._query = query.with_(spoken=spoken, wanted=(*query.wanted, *more.wanted))
        return allowed

    def _passing(self, name: str, value: str, instead: str) -> set[int] | None:
        """What a filter in the query lets through; None, and a note of what is done instead, when it makes no sense here."""
        try:
            return self._rows.ids_passing(read([(name, value)]))
        except UsageError as error:
            self._notes.append(f"{name}:{value} is {instead}: {error.reason}{f'; {error.remedy}' if error.remedy else ''}")
            return None

    # The order

    def _ranking(self, count: int) -> Ranking:
        """At least the `count` best, if there are so many."""
        request, query = self._request, self._query
        question = Question(query, request.like, request.unlike)
        if request.is_fts_syntax:
            return ranking.by_expression(self._rows, self._scope, question, request.text)
        if request.like is None and not (query.spoken or query.wanted):
            is_limited = query.unwanted or query.unwanted_filters or request.unlike or self._scope.allowed is not None
            scope = self._scope if is_limited or not request.text.strip() else Scope(set())
            return ranking.listing(self._rows, scope, question, request.sort == "path")
        ranked = self._by_meaning(question, count)
        if ranked is None:
            is_paged = request.sort == "score" and request.min_score is None
            ranked = ranking.by_words(self._rows, self._scope, question, count if is_paged else None)
        return ranked

    def _by_meaning(self, question: Question, count: int) -> Ranking | None:
        """None when meaning is not asked for, or cannot be had: then words answer, unless a picture is to be like another."""
        request = self._request
        if request.mode == "text":
            if request.like is not None:
                raise UsageError("--like", "needs meaning", "leave out --mode text")
            return None
        if self._meaning is None and self._open_meaning is None:  # it could not be had a moment ago
            return None
        try:
            meaning = self._meaning or self._opened(question)
            return ranking.by_meaning(self._rows, self._scope, question, meaning, count, request.mode == "hybrid")
        except UserError as error:
            if request.like is not None:
                raise
            self._meaning = None
            self._notes.append(f"searched by words only: {error}")
            return None

    def _opened(self, question: Question) -> Meaning:
        assert self._open_meaning is not None
        open_meaning, self._open_meaning = self._open_meaning, None
        meaning = open_meaning()
        self._notes += meaning.notes
        _refuse_foreign(meaning, self._rows)
        _refuse_unreadable(meaning, question)
        self._meaning = meaning.with_(encode=cache(meaning.encode))  # a longer ranking asks again
        return self._meaning

    def _sought(self, ranked: Ranking, order: Iterator[int], weak: float) -> Iterable[int]:
        """By score as they come; by date or path, those that are no weaker matches, or the best where all are."""
        request = self._request
        if request.min_score is not None:
            least = request.min_score
            order = (image_id for image_id in order if ranked.score(image_id) >= least)
        if request.sort == "score" or ranked.mode == "list":
            return order
        ranked_ids = list(order)
        strong = [image_id for image_id in ranked_ids if ranked.strength(image_id) >= weak]
        found = strong or ranked_ids[: request.offset + request.limit]
        keys = self._rows.sort_keys(found, request.sort)
        return sorted(found, key=keys.__getitem__, reverse=request.sort == "date")

    def _distinct(self, order: Iterable[int]) -> Iterator[int]:
        """Of equal files only the first; of what has the words of a phrase, only what has it in one text."""
        seen: set[str] = set()
        order = iter(order)
        phrases = [term for term in self._query.wanted if term.is_required and term.is_phrase()]
        while chunk := list(islice(order, _COMPARED_AT_ONCE)):
            chunk = self._rows.that_say(chunk, phrases) if phrases else chunk
            contents = self._rows.content_hashes(chunk)
            for image_id in chunk:
                content = contents.get(image_id)
                if content is None or content not in seen:
                    yield image_id
                if content is not None:
                    seen.add(content)

    def _hits(self, ranked: Ranking, page: list[int], weak: float) -> list[Hit]:
        rows = self._rows.rows(page)
        paths = self._rows.paths_of_contents({row["content_hash"] for row in rows if row["content_hash"]})
        return [
            Hit(
                row=row,
                score=ranked.score(row["id"]),
                coverage=ranked.coverage(row["id"]),
                cosine=ranked.cosines.get(row["id"]),
                is_weak=ranked.strength(row["id"]) < weak,
                rank_text=ranked.rank_text(row["id"]),
                rank_meaning=ranked.rank_meaning(row["id"]),
                other_paths=tuple(path for path in paths.get(row["content_hash"], ()) if path != row["path_bytes"]),
            )
            for row in rows
        ]


def _both(allowed: set[int] | None, ids: Iterable[int]) -> set[int]:
    return set(ids) if allowed is None else allowed.intersection(ids)


def _judged(ranked: Ranking) -> tuple[Iterator[int], float, bool]:
    """The order, as it is; the strength below which pictures are weaker matches; whether any of the others fits the question."""
    order = iter(ranked.order)
    best = next(order, None)
    if best is None:
        return order, 0.0, False
    weak = _WEAK * max(0.0, ranked.strength(best))
    looked_at = [best]  # one by one: by words alone each group of equals is sorted when it is come to
    while ranked.is_far(looked_at[-1]) and len(looked_at) < _MOST_DOUBTED:
        following = next(order, None)
        if following is None or ranked.strength(following) < weak:
            return chain(looked_at, () if following is None else (following,), order), weak, False
        looked_at.append(following)
    return chain(looked_at, order), weak, not ranked.is_far(looked_at[-1])


def _read(request: Request) -> Query:
    """The query, in which small words count where nothing else says what is asked for."""
    query = parse(request.text)
    if query.wanted or not query.small:
        return query
    is_limited = query.filters or query.unwanted or query.unwanted_filters or not request.filter.is_empty()
    is_limited = is_limited or request.like is not None or bool(request.unlike)
    return query.with_(spoken="") if is_limited else query.with_(wanted=query.small)


def _refuse_foreign(meaning: Meaning, rows: SearchableCatalog) -> None:
    """Raise UserError when the index was made of another catalog: its ids mean other pictures."""
    if not meaning.index.provenance.is_of(rows.identity()):
        remedy = "give each catalog an index of its own: python create_faiss_index.py --index FILE"
        raise UserError(meaning.index.path, "is the index of another catalog", remedy)


def _refuse_unreadable(meaning: Meaning, question: Question) -> None:
    """Raise UserError when the model does not know the alphabet of the query: its vector would be noise."""
    text = question.query.spoken
    if question.like is None and meaning.reads is not None and text and not meaning.reads(text):
        model = meaning.index.provenance.model
        remedy = "for both languages: python create_faiss_index.py --model intfloat/multilingual-e5-small"
        raise UserError(model, "does not read the language of this query", remedy)
