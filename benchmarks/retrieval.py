"""Does a search find the picture that is meant? Human captions: one is the stored description, another one the query.

Goes in: a folder with files NAME.LANG.txt or NAME.NUMBER.LANG.txt, such as captions.en.txt and captions.ru.txt; line i of
every file with one NAME tells of the same picture. Where a NAME has several numbers, the first is stored and the last is asked;
where it has two languages, each is stored and asked in the other, and then half of the catalog is stored in each. Comes out: for
each such test, mode and model the share of queries whose picture comes first, in the first 5 and 10, and the mean reciprocal
rank. All goes through the product's own catalog, vector index and search.

  python benchmarks/retrieval.py ~/captions
  python benchmarks/retrieval.py ~/captions --model sentence-transformers/LaBSE --queries 200
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import made_catalog
import numpy as np

from image_catalog import embedding_model, search
from image_catalog.catalog import Catalog
from image_catalog.embedding_model import EmbeddingModel
from image_catalog.query_encoder import open_encoder
from image_catalog.vector_index import VectorIndex

DEEPEST = 100  # a picture that comes later counts as not found


class Test(NamedTuple):
    """What is stored, and what is asked: query i means text i."""

    name: str
    texts: list[str]
    languages: list[str]
    queries: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", metavar="NAME", action="append", help="embedding model; repeat for several")
    parser.add_argument("--queries", metavar="N", type=int, help="ask at most N queries of each test (all)")
    options = parser.parse_args()
    tests = list(tests_in(options.folder))
    if not tests:
        parser.error(f"{options.folder} holds no NAME.LANG.txt or NAME.NUMBER.LANG.txt")
    print(f"{'test':34} {'mode':9} {'R@1':>5} {'R@5':>5} {'R@10':>5}   MRR  model")
    for name in options.model or [None]:
        model = embedding_model.load(name)
        for test in tests:
            run(test, model, options.queries)
    return 0


def tests_in(folder: Path) -> Iterator[Test]:
    files: dict[str, dict[str, dict[int, list[str]]]] = defaultdict(lambda: defaultdict(dict))
    for path in sorted(folder.glob("*.txt")):
        if match := re.fullmatch(r"(.+?)(?:\.(\d+))?\.([a-z]{2})\.txt", path.name):
            name, number, language = match.groups()
            files[name][language][int(number or 0)] = path.read_text(encoding="utf-8").splitlines()
    for name, languages in files.items():
        for language, numbered in languages.items():
            first, last = min(numbered), max(numbered)
            if first != last:
                yield Test(f"{name} {language}", numbered[first], [language] * len(numbered[first]), numbered[last])
        texts = {language: numbered[min(numbered)] for language, numbered in languages.items()}
        for stored in texts:
            for asked in texts:
                if stored != asked:
                    yield Test(f"{name} {asked} > {stored}", texts[stored], [stored] * len(texts[stored]), texts[asked])
        if len(texts) == 2:
            yield mixed(name, texts)


def mixed(name: str, texts: dict[str, list[str]]) -> Test:
    """Half of the catalog in each language, at random; every query is in the language that its text is not in."""
    one, other = texts
    count = len(texts[one])
    chosen = set(random.Random(0).sample(range(count), count // 2))
    stored = [one if number in chosen else other for number in range(count)]
    asked = [other if number in chosen else one for number in range(count)]
    return Test(
        f"{name} mixed, other language",
        [texts[language][number] for number, language in enumerate(stored)],
        stored,
        [texts[language][number] for number, language in enumerate(asked)],
    )


def run(test: Test, model: EmbeddingModel, most: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        vectors = model.encode_documents(test.texts)
        database, index_path = made_catalog.store(folder, test.texts, test.languages, vectors, model)
        index = VectorIndex.open(index_path)
        encoder = open_encoder(model.name, model.digest)
        meaning = search.Meaning(index, encoder.encode, [])
        with Catalog.open_for_reading(database) as catalog:
            for mode in ("text", "semantic", "hybrid"):
                ranks = np.array(
                    [rank(catalog, meaning, mode, query, number + 1) for number, query in enumerate(test.queries[:most])]
                )
                shares = [float((ranks < depth).mean() * 100) for depth in (1, 5, 10)]
                reciprocal = float(np.where(ranks < DEEPEST, 1 / (ranks + 1), 0).mean())
                figures = " ".join(f"{share:5.1f}" for share in shares)
                print(f"{test.name:34} {mode:9} {figures}  {reciprocal:.3f}  {model.name}", flush=True)


def rank(catalog: Catalog, meaning: search.Meaning, mode: str, query: str, wanted: int) -> int:
    """How many pictures come before the one that is meant; DEEPEST when it is not among so many."""
    result = search.run(catalog, search.Request(query, mode, limit=DEEPEST), lambda: meaning)
    ids = [hit.row["id"] for hit in result.hits]
    return ids.index(wanted) if wanted in ids else DEEPEST


if __name__ == "__main__":
    raise SystemExit(main())
