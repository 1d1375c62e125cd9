"""Does a search find the picture that is meant? Human captions: one is the stored description, another one the query.

Goes in: folders of captions, see retrieval_tests.py. Comes out: for each kind of query and each mode the share of queries whose
picture comes first, in the first 5 and 10, and the mean reciprocal rank; then the kinds in which `hybrid` is behind the better of
words and meaning. All goes through the product's own catalog, vector index and search.

  python benchmarks/retrieval.py ~/captions ~/photographs
  python benchmarks/retrieval.py ~/captions --model sentence-transformers/LaBSE --queries 200
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import made_catalog
import numpy as np
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
        behind = [line for test in tests if (line := run(test, model, options.queries))]
        print("hybrid is behind the better of both in:", *behind or ["nothing"], sep="\n  ")
    return 0


def run(test: Test, model: EmbeddingModel, most: int | None) -> str | None:
    """Prints what was found; where hybrid finds less at once than words or meaning alone, says by how much."""
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        database, index_path = store(folder, test, model)
        encoder = open_encoder(model.name, model.digest)
        meaning = search.Meaning(VectorIndex.open(index_path), encoder.encode, [], encoder.reads)
        with Catalog.open_for_reading(database) as catalog:
            for mode in MODES:
                ranks = np.array([rank(catalog, meaning, mode, query, right) for query, right in spread(test.queries, most)])
                shares = [float((ranks < depth).mean() * 100) for depth in (1, 5, 10)]
                reciprocal = float(np.where(ranks < DEEPEST, 1 / (ranks + 1), 0).mean())
                print(f"{test.name:58} {mode:9} {' '.join(f'{share:5.1f}' for share in shares)}  {reciprocal:.3f}", flush=True)
                best[mode] = shares[0]
    lost = max(best.values()) - best["hybrid"]
    return f"{test.name}: {lost:.1f}" if lost > 0 else None


def store(folder: str, test: Test, model: EmbeddingModel) -> tuple[str, str]:
    passages = [passage_text(its.text, its.tags, its.visible_text) for its in test.pictures]
    columns = [{"tags": json.dumps(its.tags), "visible_text": its.visible_text, "facts": its.facts} for its in test.pictures]
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
