"""What may be found -> an order, best first: as it was taken, by a raw expression, by words, by meaning.

Puts coverage (words) and fusion (words and meaning) to use; knows nothing of pages and of what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf

from image_catalog.catalog_search import SearchableCatalog
from image_catalog.coverage import Coverage, Scope
from image_catalog.errors import CannotGoOn
from image_catalog.query import Query, Term, parse
from image_catalog.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from image_catalog.vector_index import VectorIndex

    Floats = NDArray[np.float32]

# Pictures that are like what is not wanted move down: their successors must be among the candidates.
_MORE_WITH_UNLIKE = 5
_MOST_CERTAIN = 50_000  # candidates: where so many had to move down, who comes after them may depend on the page
# So many are sorted one by one; of more, some are met soon on a walk through all in that order.
_FEW = 5000
# From this share of a question on, its words are in a picture for more than chance.
_SAID = 0.5

# What is asked of each picture, where the answer is always the same.
_NO_RANK: Callable[[int], int | None] = dict[int, int]().get
_NEVER: Callable[[int], bool] = frozenset[int]().__contains__


class Meaning(Record):
    """The semantic leg: an open vector index and what embeds a query into its space.

    `notes` is what opening them had to say; `reads` tells whether the model knows the alphabet of a text.
    """

    index: VectorIndex
    encode: Callable[[str], Floats]
    notes: Sequence[str] = ()
    reads: Callable[[str], bool] | None = None


class Question(Record):
    """What is asked: a query; `like`: the id of a picture or the description of one; `unlike`: what should not be in it."""

    query: Query
    like: int | str | None = None
    unlike: str = ""


class Ranking(Record):
    """Pictures, best first, read lazily; `strength` is what orders them, `score` what is shown of it.

    `mode` is what was done: list, fts, text, semantic or hybrid. `missing` are words that no picture has. `behind`: how many
    descriptions the vector index lacks, None when it was not asked. `rank_text` and `rank_meaning` are the places that words and
    meaning alone would give, equals the same; None where that is far behind, or was not asked. `is_far`: neither words nor
    meaning say that the picture is meant. `is_whole`: all that may be found is in `order`, nothing is left out as far behind.
    `certain_from`: the strength from which on nothing that belongs before is missing.
    """

    mode: str
    order: Iterable[int]
    score: Callable[[int], float]
    strength: Callable[[int], float]
    coverage: Callable[[int], float]
    cosines: dict[int, float]
    missing: tuple[Term, ...] = ()
    behind: int | None = None
    rank_text: Callable[[int], int | None] = _NO_RANK
    rank_meaning: Callable[[int], int | None] = _NO_RANK
    is_far: Callable[[int], bool] = _NEVER
    is_whole: bool = True
    certain_from: float = -inf


def listing(rows: SearchableCatalog, scope: Scope, question: Question, is_by_path: bool = False) -> Ranking:
    """All that may be found, newest first or by path."""
    scope = _without_unlike(rows, scope, question)
    allowed, excluded = scope.allowed, scope.excluded
    if allowed is not None and len(allowed) <= _FEW:
        keys = rows.sort_keys(list(allowed), "path" if is_by_path else "date")
        order = iter(sorted(sorted(allowed - excluded), key=keys.__getitem__, reverse=not is_by_path))
    else:
        everything = rows.by_path() if is_by_path else rows.newest_first()
        order = (one for one in everything if one not in excluded and (allowed is None or one in allowed))
    return Ranking("list", order, _nothing, _nothing, _nothing, {})


def by_expression(rows: SearchableCatalog, scope: Scope, question: Question, expression: str) -> Ranking:
    """By bm25 of a raw FTS5 expression. Raises UsageError when it is none."""
    fits = rows.ranked_by_expression(expression)
    scope = _without_unlike(rows, scope, question)
    order = sorted(scope.within(fits), key=lambda image_id: (-fits[image_id], -image_id))
    return Ranking("fts", order, fits.__getitem__, fits.__getitem__, _nothing, {})


def by_words(rows: SearchableCatalog, scope: Scope, question: Question, count: int | None) -> Ranking:
    """By how much of the query the words cover; with `count` only so many need be found."""
    coverage = Coverage(rows, question.query, _without_unlike(rows, scope, question))
    if count is None:
        coverage.find_covered(0.0)
    else:
        coverage.find_best(count)
    return Ranking(
        mode="text",
        order=coverage.best_first(),
        score=coverage.share,
        strength=coverage.share,
        coverage=coverage.share,
        cosines={},
        missing=coverage.missing,
        rank_text=coverage.rank,
        is_whole=count is None or len(coverage) < count,
    )


def by_meaning(
    rows: SearchableCatalog, scope: Scope, question: Question, meaning: Meaning, count: int, with_words: bool
) -> Ranking:
    """By meaning alone or, `with_words`, by what fusion makes of both; only the best `count` and some more are ranked.

    Raises CannotGoOn when the picture to be like has no vector.
    """
    from image_catalog.fusion import WHOLE, Fusion

    is_current = meaning.index.provenance.generation == rows.generation()
    coverage = Coverage(rows, question.query, scope) if with_words else None
    itself = rows.ids_of_same_content(question.like) if isinstance(question.like, int) else set()
    fusion = Fusion(rows, meaning.index, _vector(question, meaning), coverage, scope, question.query.spoken, itself)
    candidates = fusion.candidates(count * (_MORE_WITH_UNLIKE if question.unlike else 1))
    if not is_current:  # --forget removes rows whose vectors are in the index until it is made anew
        candidates = rows.existing(candidates)
    strengths, cosines = fusion.scores(candidates)
    if coverage is None:
        strengths = {image_id: strengths[image_id] for image_id in cosines}
    certain_from = -inf
    if question.unlike:
        if not fusion.has_all and len(candidates) < _MOST_CERTAIN:
            certain_from = fusion.least_of_nearest
        unwanted = Coverage(rows, parse(question.unlike), scope) if with_words else None
        vector = meaning.encode(question.unlike)
        rival = Fusion(rows, meaning.index, vector, unwanted, scope, question.unlike)
        against, near = rival.scores(candidates)
        strengths = {image_id: strength - max(0.0, against[image_id]) for image_id, strength in strengths.items()}
        if unwanted is not None:  # who says so, and not only that nobody is there
            shown = {one for one, cosine in near.items() if unwanted.share(one) >= WHOLE and cosine > rival.usual}
            strengths = {image_id: strength for image_id, strength in strengths.items() if image_id not in shown}
    order = sorted(strengths, key=lambda image_id: (-strengths[image_id], -image_id))
    return Ranking(
        mode="hybrid" if with_words else "semantic",
        order=order,
        score=(strengths if with_words else cosines).__getitem__,
        strength=strengths.__getitem__,
        coverage=coverage.share if coverage else _nothing,
        cosines=cosines,
        missing=coverage.missing if coverage else (),
        behind=0 if is_current else len(rows.ids_not_embedded(set(meaning.index.ids.tolist()))),
        rank_text=coverage.rank if coverage else _NO_RANK,
        rank_meaning=fusion.rank_by_meaning,
        is_far=_NEVER if scope.allowed is not None else _far_from(question, meaning.index, cosines, coverage),
        is_whole=fusion.has_all,
        certain_from=certain_from,
    )


def _far_from(
    question: Question, index: VectorIndex, cosines: dict[int, float], coverage: Coverage | None
) -> Callable[[int], bool]:
    """Tells pictures that are no nearer than to a question without an answer, and have neither half of its words nor a name.

    Measured in the whole catalog: the best of a part of it, behind a filter, may be that far and right.
    """
    from image_catalog import alphabets

    alphabet = alphabets.of_text(question.query.spoken) if question.like is None else None
    least = (index.provenance.unrelated or {}).get(alphabet or "")
    if least is None:
        return _NEVER

    def is_far(image_id: int) -> bool:
        is_said = coverage is not None and (coverage.share(image_id) >= _SAID or coverage.idf_of_names(image_id) > 0)
        return cosines.get(image_id, 0.0) < least and not is_said

    return is_far


def _without_unlike(rows: SearchableCatalog, scope: Scope, question: Question) -> Scope:
    """Where there is only yes or no, a picture is like what is not wanted when it has all the words of it."""
    unlike = parse(question.unlike).wanted
    if not unlike:
        return scope
    ruled_out = set.intersection(*(set(rows.ids_with(term)) for term in unlike))
    return scope.with_(excluded=scope.excluded | ruled_out)


def _vector(question: Question, meaning: Meaning) -> Floats:
    """Of what is said and of what the pictures should be like; of both, the direction between them."""
    vectors = []
    if question.query.spoken:
        vectors.append(meaning.encode(question.query.spoken))
    if isinstance(question.like, str):
        vectors.append(meaning.encode(question.like))
    elif question.like is not None:
        vector = meaning.index.vector_of(question.like)
        if vector is None:
            raise CannotGoOn("--like", "this picture has no vector yet", "run python create_faiss_index.py when it is described")
        vectors.append(vector)
    between = sum(vectors[1:], vectors[0])
    return between / float((between @ between) ** 0.5 or 1.0)


def _nothing(_image_id: int) -> float:
    return 0.0
