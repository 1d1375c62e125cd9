"""A query -> one ranked list, by words and by meaning.

Owns ranking. Reads rows through catalog_search and vectors through vector_index; loads numpy, faiss and the encoder only when
meaning is asked for and an index is there. Prints nothing: what the user should know comes back as notes.

Words and meaning are fused by how much of the query the words of a picture cover, not by rank: rank fusion was measured to cost
10 points of R@1 on paraphrases and to break search across languages, because some picture always shares a common word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import Any, NamedTuple

from image_catalog.catalog import Catalog
from image_catalog.catalog_search import Filter, SearchableCatalog
from image_catalog.errors import UserError
from image_catalog.query import Query, Term, parse

MODES = ("hybrid", "semantic", "text")
# score = z(cosine) + 4 * coverage^4: z makes any model's cosines comparable, the fourth power lets only (nearly) whole
# coverage speak. The optimum was flat over six settings and three models.
_COVERAGE_WEIGHT = 4.0
_COVERAGE_POWER = 4
_MOST_BY_WORDS = 2000
_LEAST_BY_MEANING = 200


class Request(NamedTuple):
    """What is asked. An empty text with a filter lists what passes it, newest first."""

    text: str = ""
    mode: str = "hybrid"
    filter: Filter = Filter()
    limit: int = 10
    offset: int = 0
    min_score: float | None = None
    is_fts_syntax: bool = False


class Hit(NamedTuple):
    """A picture that was found: its row, the score that ranked it, and why.

    `coverage` is the share of the query (by idf) that its words cover, 0 to 1; `cosine` that of query and description, None
    where it has no vector or meaning was not asked.
    """

    row: dict[str, Any]
    score: float
    coverage: float
    cosine: float | None


class Result(NamedTuple):
    """The hits of one page, and what the user should know: `notes` say what was not searched and what mends it."""

    hits: list[Hit]
    query: Query
    mode: str  # what was really done: without a vector index, hybrid is text
    found: int  # by words or filter, before the page was cut; meaning finds something for everything
    vectors: int | None  # in the index, None without one
    notes: list[str]


class Meaning(NamedTuple):
    """The semantic leg: an open VectorIndex and a function that embeds the query into its space."""

    index: Any
    encode: Callable[[str], Any]
    notes: list[str]


def run(catalog: Catalog, request: Request, open_meaning: Callable[[], Meaning]) -> Result:
    """Answer `request`. `open_meaning` is called only when meaning is needed; the UserError that it raises becomes a note."""
    search = _Search(SearchableCatalog(catalog), request)
    if not request.text.strip() or request.is_fts_syntax or request.mode == "text":
        return search.by_words([])
    try:
        meaning = open_meaning()
        return search.by_meaning(meaning)
    except UserError as error:
        return search.by_words([f"searched by words only: {error}"])


class _Search:
    def __init__(self, rows: SearchableCatalog, request: Request) -> None:
        self._rows = rows
        self._request = request
        self.query = parse(request.text)
        self._allowed = rows.ids_passing(request.filter)

    # Words only

    def by_words(self, notes: list[str]) -> Result:
        request = self._request
        only_excludes = bool(self.query.unwanted) and not self.query.wanted and not request.is_fts_syntax
        if not request.text.strip() or only_excludes:
            ids = self._rows.newest_first(self._kept(self._allowed))
            page = [Hit(row, 0.0, 0.0, None) for row in self._rows.rows(self._page(ids))]
            return Result(page, self.query, "filter", len(ids), None, notes)
        if request.is_fts_syntax:
            ranked = self._rows.ranked_by_expression(request.text)
            coverage = {image_id: 1.0 for image_id in ranked if image_id in self._allowed}
        else:
            coverage = self._coverage()
            ranked = self._rows.ranked(self.query.wanted)
        order = sorted(coverage, key=lambda image_id: (-coverage[image_id], -ranked.get(image_id, 0.0), image_id))
        scores = {image_id: coverage[image_id] for image_id in order}
        return self._result(order, scores, coverage, {}, "text", len(order), None, notes)

    def _coverage(self) -> dict[int, float]:
        """The share of the query, weighted by idf, that each picture's words cover; those without any are left out."""
        allowed = self._allowed
        total_images = max(1, len(allowed))
        covered: dict[int, float] = {}
        total = 0.0
        for term in self.query.wanted:
            ids = self._rows.ids_with(term) & allowed
            weight = log(1 + (total_images - len(ids) + 0.5) / (len(ids) + 0.5))
            total += weight
            for image_id in ids:
                covered[image_id] = covered.get(image_id, 0.0) + weight
        kept = self._kept(covered)
        return {image_id: min(1.0, covered[image_id] / total) for image_id in kept} if total else {}

    def _kept(self, ids: Any) -> set[int]:
        """`ids` less those that a quoted phrase or an excluded word rules out."""
        kept = set(ids)
        for term in self.query.required:
            kept &= self._rows.ids_with(term)
        for term in self.query.unwanted:
            kept -= self._rows.ids_with(term)
        return kept

    # Words and meaning

    def by_meaning(self, meaning: Meaning) -> Result:
        index = meaning.index
        vector = meaning.encode(self.query.text or self._request.text)
        coverage = self._coverage() if self._request.mode == "hybrid" else {}
        allowed = self._kept(self._allowed)
        nearest, _ = index.nearest(vector, self._wanted_by_meaning(), allowed)
        by_words = sorted(coverage, key=lambda image_id: -coverage[image_id])[:_MOST_BY_WORDS]
        candidates = list(dict.fromkeys([*(int(image_id) for image_id in nearest), *by_words]))
        cosines = self._cosines(index, vector, candidates)
        scores = self._fused(index, vector, candidates, coverage, cosines)
        order = sorted(candidates, key=lambda image_id: (-scores[image_id], image_id))
        return self._result(
            order, scores, coverage, cosines, self._request.mode, len(coverage), len(index), list(meaning.notes)
        )

    def _wanted_by_meaning(self) -> int:
        return max(_LEAST_BY_MEANING, self._request.offset + self._request.limit)

    @staticmethod
    def _cosines(index: Any, vector: Any, candidates: Sequence[int]) -> dict[int, float]:
        scores = index.scores_of(vector, candidates)
        return {
            image_id: float(score)
            for image_id, score in zip(candidates, scores, strict=True)
            if score == score  # not NaN
        }

    def _fused(
        self,
        index: Any,
        vector: Any,
        candidates: Sequence[int],
        coverage: dict[int, float],
        cosines: dict[int, float],
    ) -> dict[int, float]:
        """The score of each candidate; a picture without a vector counts as one of usual distance."""
        if self._request.mode == "semantic":
            return {image_id: cosines.get(image_id, -1.0) for image_id in candidates}
        usual = index.sample_scores(vector)
        mean, spread = float(usual.mean()), float(usual.std()) or 1.0
        return {
            image_id: (cosines.get(image_id, mean) - mean) / spread
            + _COVERAGE_WEIGHT * coverage.get(image_id, 0.0) ** _COVERAGE_POWER
            for image_id in candidates
        }

    # The page

    def _page(self, ids: Sequence[int]) -> list[int]:
        return list(ids[self._request.offset : self._request.offset + self._request.limit])

    def _result(
        self,
        order: list[int],
        scores: dict[int, float],
        coverage: dict[int, float],
        cosines: dict[int, float],
        mode: str,
        found: int,
        vectors: int | None,
        notes: list[str],
    ) -> Result:
        if self._request.min_score is not None:
            order = [image_id for image_id in order if scores[image_id] >= self._request.min_score]
        hits = [
            Hit(row, scores[row["id"]], coverage.get(row["id"], 0.0), cosines.get(row["id"]))
            for row in self._rows.rows(self._page(order))
        ]
        return Result(hits, self.query, mode, found, vectors, notes)


def near_words(catalog: Catalog, terms: Sequence[Term]) -> list[str]:
    """Words of the catalog that are like those of a query that found nothing."""
    rows = SearchableCatalog(catalog)
    return list(dict.fromkeys(word for term in terms for stem in term.stems for word in rows.near_words(stem)))[:5]
