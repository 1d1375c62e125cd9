"""Does a search find the picture that is meant? Human captions: one is the stored description, another one the query.

Goes in: folders of captions, see retrieval_tests.py. Comes out: for each kind of query and each mode the share of queries whose
picture comes first, in the first 5 and 10, and the mean reciprocal rank; the same for each pair of languages, all its kinds
counting alike; then the kinds in which `hybrid` finds fewer at once than the better of words and meaning: how many queries it
loses and wins against that, and how often so uneven a result is chance (sign test, two-sided). All goes through the product's
own catalog, vector index and search.

  python benchmarks/retrieval.py ~/captions ~/photographs
  python benchmarks/retrieval.py ~/captions --model sentence-transformers/LaBSE --queries 200
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from math import comb
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import made_catalog
import numpy as np
from numpy.typing import NDArray
from retrieval_tests import Test, tests_in

from image_catalog import embedding_model, search
from image_catalog.catalog import Catalog
from image_catalog.embedding_model import EmbeddingModel
from image_catalog.passage import passage_text
from image_catalog.query_encoder import open_encoder
from image_catalog.vector_index import VectorIndex

DEEPEST = 100  # a picture that comes later counts as not found
MODES = ("text", "semantic", "hybrid")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", metavar="NAME", action="append", help="embedding model; repeat for several")
    parser.add_argument("--queries", metavar="N", type=int, help="ask at most N queries of each kind (all)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only the kinds with this in their name")
    options = parser.parse_args()
    tests = [test for folder in options.folders for test in tests_in(folder) if options.only in test.name]
    if not tests:
        parser.error("these folders hold no NAME.LANG.txt, NAME.NUMBER.LANG.txt or captions.json")
    for name in options.model or [None]:
        model = embedding_model.load(name)
        print(f"{model.name}\n{'what is asked':58} {'mode':9} {'R@1':>5} {'R@5':>5} {'R@10':>5}   MRR")
        found = [(test, ranks(test, model, options.queries)) for test in tests]
        for pair in dict.fromkeys(test.pair for test in tests):
            of_pair = [its for test, its in found if test.pair == pair]
            for mode in MODES:
                show(f"all {len(of_pair)} kinds of {pair}", mode, np.mean([figures(its[mode]) for its in of_pair], axis=0))
        behind = [f"{test.name}: {line}" for test, its in found if (line := lost(its))]
        print("hybrid is behind the better of both in:", *behind or ["nothing"], sep="\n  ")
    return 0


def ranks(test: Test, model: EmbeddingModel, most: int | None) -> dict[str, NDArray[np.int64]]:
    """Of each mode, how many pictures come before the right one of each query; prints what that means."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        database, index_path = store(folder, test, model)
        encoder = open_encoder(model.name, model.digest)
        meaning = search.Meaning(VectorIndex.open(index_path), encoder.encode, [], encoder.reads)
        with Catalog.open_for_reading(database) as catalog:
            for mode in MODES:
                found[mode] = np.array([rank(catalog, meaning, mode, *query) for query in spread(test.queries, most)])
                show(test.name, mode, figures(found[mode]))
    return found


def figures(ranks: NDArray[np.int64]) -> list[float]:
    """The shares, in percent, of what is first, in the first 5 and 10; the mean reciprocal rank."""
    shares = [float((ranks < depth).mean() * 100) for depth in (1, 5, 10)]
    return [*shares, float(np.where(ranks < DEEPEST, 1 / (ranks + 1), 0).mean())]


def show(name: str, mode: str, of_mode: Sequence[float]) -> None:
    *shares, reciprocal = of_mode
    print(f"{name:58} {mode:9} {' '.join(f'{share:5.1f}' for share in shares)}  {reciprocal:.3f}", flush=True)


def lost(found: dict[str, NDArray[np.int64]]) -> str:
    """Where hybrid puts fewer pictures first than words or meaning alone: by how many points, and whether that may be chance."""
    first = {mode: its == 0 for mode, its in found.items()}
    best = max(("text", "semantic"), key=lambda mode: first[mode].sum())
    losses, wins = int((first[best] & ~first["hybrid"]).sum()), int((first["hybrid"] & ~first[best]).sum())
    if losses <= wins:
        return ""
    points = (losses - wins) / len(first[best]) * 100
    uneven = sum(comb(losses + wins, won) for won in range(wins + 1)) / 2 ** (losses + wins)
    return f"{points:.1f} points: {losses} lost and {wins} won of {len(first[best])} against {best}, p = {min(1, 2 * uneven):.2f}"


def store(folder: str, test: Test, model: EmbeddingModel) -> tuple[str, str]:
    passages = [passage_text(its.text, its.tags, its.visible_text) for its in test.pictures]
    columns = [
        {"tags": json.dumps(its.tags, ensure_ascii=False), "visible_text": its.visible_text, "facts": its.facts}
        for its in test.pictures
    ]
    texts, languages = [its.text for its in test.pictures], [its.language for its in test.pictures]
    return made_catalog.store(folder, texts, languages, model.encode_documents(passages), model, columns)


def spread(queries: Sequence[tuple[str, set[int]]], most: int | None) -> Sequence[tuple[str, set[int]]]:
    """`most` of the queries, evenly from all."""
    return queries[:: max(1, len(queries) // most)][:most] if most else queries


def rank(catalog: Catalog, meaning: search.Meaning, mode: str, query: str, right: set[int]) -> int:
    """How many pictures come before the first that is meant; DEEPEST when it is not among so many."""
    result = search.run(catalog, search.Request(query, mode, limit=DEEPEST), lambda: meaning)
    ids = [hit.row["id"] - 1 for hit in result.hits]
    return next((place for place, image in enumerate(ids) if image in right), DEEPEST)


if __name__ == "__main__":
    raise SystemExit(main())
