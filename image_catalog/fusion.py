"""Words and meaning of a query -> one score for each picture.

Owns the formula. numpy and faiss are behind the vector index that it is given.

    score = z + w + 1.2·n + 2·p        w = 5·c⁶ + 0.05·d

z: the cosine of query and description in standard deviations above what is usual for this query, so that the cosines of any
embedding model compare. c: how much of the query the words of the picture cover (coverage). n: the summed idf of the names in it:
words that stand in facts and not in descriptions (a place, a camera, a year), or have a digit. No vector knows them, so they
count in full; d: that of its other words, of which meaning has told most. p: 1 where the whole query stands there as a phrase,
unless it is nothing but names: they stand side by side by chance.

The sixth power lets only (nearly) whole coverage speak: rank fusion and sums of bm25 were measured to cost 10 points of R@1 on
paraphrases and to break search across languages, because some picture always shares a common word. For the same reason a picture
that is described in another alphabet than the query's, and so cannot have its words, gets the w of the best that has not all
of them: between the two, meaning decides. Where it has some all the same, in tags of both languages or a caption, they weigh
three times: d counts 0.15 there, as meaning tells less across languages (of photographs with such tags, asked for in Russian,
8 points more of R@1; 0.25 puts English questions behind meaning).

The weights were tuned on one half of the queries of 30 sets (paraphrases, keywords, visible text, facts, names beside a
description, Russian, English, across, mixed), with three models, and checked on the other half. The optimum is flat: a
conditional logit of fourteen features of words and meaning, bm25 and lengths among them, gains 0.1 to 0.4 points of R@1 on the
half it was not fitted to, and puts more kinds behind one leg. Of pictures that have all the words, bm25 and meaning pick the
right one equally often.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from image_catalog import alphabets
from image_catalog.catalog_search import SearchableCatalog
from image_catalog.coverage import Coverage, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from image_catalog.vector_index import VectorIndex

    Floats = NDArray[np.float32]

_OF_COVERAGE, _POWER = 5.0, 6
_OF_WORDS = 0.05
_MORE_OF_WORDS_ACROSS = 0.1
_OF_NAMES = 1.2
_OF_PHRASE = 2.0
_BESIDE_FACTS = 0.1  # meaning knows no facts: in a query of nothing else it orders equals only
_OF_OTHER_WORDS = 3.0
_MOST_FACTS_READ = 200
WHOLE = 0.9  # a share of the query from which on its words are there on purpose
# Below this share 5·c⁶ is less than 0.01.
_LEAST_COVERAGE = 0.3
_LEAST_NEAREST = 200
_MOST_READ = 400
_MOST_BY_WORDS = 5000


class Fusion:
    """One question put to a vector index and to words: `vector` is the query's, `coverage` None without words.

    `spoken` is the query as text: which alphabet it is written in. `itself` are the pictures whose own vector it is.
    """

    def __init__(
        self,
        rows: SearchableCatalog,
        index: VectorIndex,
        vector: Floats,
        coverage: Coverage | None,
        scope: Scope,
        spoken: str,
        itself: Set[int] = frozenset(),
    ) -> None:
        self._rows = rows
        self._index = index
        self._vector = vector
        self._coverage = coverage
        self._scope = scope
        self._alphabet = alphabets.of_text(spoken)
        if coverage is not None:
            coverage.find_evidence(_LEAST_COVERAGE)
        usual = index.sample_scores(vector, itself)
        self.usual = float(usual.mean()) if len(usual) else 0.0  # the cosine of this vector and that of any picture
        self._spread = (float(usual.std()) if len(usual) else 0.0) or 1.0
        self._places: dict[int, int] = {}
        self.has_all = False  # set by candidates(): are all pictures with a vector that may be found among them?
        self.least_of_nearest = 0.0  # and the z of the farthest of those that are near: all others are farther away

    def candidates(self, count: int) -> list[int]:
        """The pictures among which the `count` best are."""
        count = max(count, _LEAST_NEAREST)
        nearest = self._nearest(count, self._scope.allowed)
        self.has_all = len(nearest) < count
        self._places = {image_id: place for place, image_id in enumerate(nearest, start=1)}
        if nearest:
            self.least_of_nearest = (float(self._index.scores_of(self._vector, nearest[-1:])[0]) - self.usual) / self._spread
        found = dict.fromkeys(nearest)
        if self._coverage is not None:
            if names := self._coverage.with_names():
                found |= dict.fromkeys(self._nearest(count, names))
            by_words = self._coverage.covered(_LEAST_COVERAGE, _MOST_BY_WORDS)
            if len(by_words) > _MOST_BY_WORDS:  # as many as that are equal in words: meaning tells the best
                found |= dict.fromkeys(self._nearest(max(count, _MOST_BY_WORDS // 5), set(by_words)))
                by_words = by_words[:_MOST_BY_WORDS]
            found |= dict.fromkeys(by_words)
        return list(found)

    def rank_by_meaning(self, image_id: int) -> int | None:
        """The place of one of the nearest among all that may be found, from 1; None for those that are farther away."""
        return self._places.get(image_id)

    def _nearest(self, count: int, allowed: set[int] | None) -> list[int]:
        excluded = self._scope.excluded
        if allowed is None and len(excluded) > count:
            allowed = set(self._index.ids.tolist())
        if allowed is None:
            ids, _ = self._index.nearest(self._vector, count + len(excluded))
        else:
            ids, _ = self._index.nearest(self._vector, count, allowed - excluded)
        return [image_id for image_id in ids.tolist() if image_id not in excluded]

    def scores(self, candidates: Sequence[int]) -> tuple[dict[int, float], dict[int, float]]:
        """The score of each of `candidates`, and the cosines of those with a vector; without, usual distance counts."""
        found = self._index.scores_of(self._vector, candidates).tolist()
        cosines = {image_id: score for image_id, score in zip(candidates, found, strict=True) if score == score}  # not NaN
        usual = dict.fromkeys(candidates, self.usual) | cosines
        of_words = self._of_words(candidates, sorted(cosines, key=lambda image_id: -cosines[image_id])[:_MOST_READ])
        is_of_facts = self._coverage is not None and self._coverage.is_of_names()
        of_meaning = (_BESIDE_FACTS if is_of_facts else 1.0) / self._spread
        scores = {one: (usual[one] - self.usual) * of_meaning + of_words[one] for one in candidates}
        if is_of_facts:
            self._put_facts_first(scores)
        return scores, cosines

    def _put_facts_first(self, scores: dict[int, float]) -> None:
        """Of the best of a query of nothing but facts: who has a word in what is said of the picture only, loses for it."""
        assert self._coverage is not None
        best = sorted(scores, key=lambda one: -scores[one])[:_MOST_FACTS_READ]
        for one, facts in self._rows.facts(best):
            scores[one] -= _OF_OTHER_WORDS * max(0.0, self._coverage.share(one) - self._coverage.share_in(facts))

    def _of_words(self, candidates: Iterable[int], nearest: Sequence[int]) -> dict[int, float]:
        """What words add to each score; the texts of the `nearest` in meaning are read for it."""
        coverage = self._coverage
        if coverage is None:
            return dict.fromkeys(candidates, 0.0)
        in_other_alphabet = self._look_at(nearest, coverage)
        of_phrase = 0.0 if coverage.is_of_names() else _OF_PHRASE
        weights = {
            one: _OF_COVERAGE * coverage.share(one) ** _POWER + _OF_WORDS * coverage.idf_of_words(one) for one in candidates
        }
        partial = (weights[one] for one in candidates if one not in in_other_alphabet and coverage.share(one) < WHOLE)
        best = max(partial, default=0.0) if in_other_alphabet else 0.0
        for one in in_other_alphabet:
            weights[one] = max(weights[one], best) + _MORE_OF_WORDS_ACROSS * coverage.idf_of_words(one)
        return {
            one: weight + _OF_NAMES * coverage.idf_of_names(one) + of_phrase * coverage.has_phrase(one)
            for one, weight in weights.items()
        }

    def _look_at(self, ids: Sequence[int], coverage: Coverage) -> set[int]:
        """Tell `coverage` the words of some pictures; which of them are described in another alphabet than the query's."""
        texts = list(self._rows.texts(ids))
        coverage.look_at({image_id: stems for image_id, _, stems in texts})
        written = ((image_id, alphabets.of_text(beginning)) for image_id, beginning, _ in texts)
        return {one for one, alphabet in written if self._alphabet and alphabet and alphabet != self._alphabet}
