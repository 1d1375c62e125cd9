"""What searches cost in a process that stays, as the page is one: milliseconds, and which step takes them.

Goes in: nothing, a catalog and its vectors are made; --images says how many, --keep FOLDER leaves them there for the next time.
Comes out: for filters alone, for words, and for words and meaning with and without filters, the median and the share of each
step. Encoding the query is not in it (10 to 25 ms, whatever the size of the catalog: cold_search.py).

  python benchmarks/warm_search.py
  python benchmarks/warm_search.py --images 1000000 --rounds 5 --keep /tmp/million
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import many_pictures
from many_pictures import word

from image_catalog import search
from image_catalog.catalog import Catalog
from image_catalog.catalog_search import SearchableCatalog
from image_catalog.search_filter import read
from image_catalog.vector_index import VectorIndex

# What is timed, by what it is for. What a lazy answer costs is counted where it is read.
STEPS: dict[str, tuple[type, tuple[str, ...]]] = {
    "filter": (SearchableCatalog, ("ids_passing", "gone_ids")),
    "words": (SearchableCatalog, ("count_with", "ids_with", "newest_with_all", "bm25", "is_fact", "size")),
    "vectors": (VectorIndex, ("nearest", "scores_of", "sample_scores")),
    "texts": (SearchableCatalog, ("texts",)),
    "page": (SearchableCatalog, ("rows", "content_hashes", "paths_of_contents", "sort_keys", "newest_first", "by_path")),
}
FOUR = " ".join(map(word, (2, 20, 200, 2000)))
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("--camera canon", "", {"filter": read([("camera", "canon")])}),
    ("--near 50,30,200", "", {"filter": read([("near", "50,30,200")])}),
    ("--near Sochi", "", {"filter": read([("near", "Sochi")])}),
    ("--after 2020 --sort path", "", {"filter": read([("after", "2020")]), "sort": "path"}),
    ("--mode text, rare word", word(5000), {"mode": "text"}),
    ("--mode text, common word", word(1), {"mode": "text"}),
    ("--mode text, four words", FOUR, {"mode": "text"}),
    ("--mode text, common word, --sort date", word(1), {"mode": "text", "sort": "date"}),
    ("--mode text, usual word, --camera canon", word(50), {"mode": "text", "filter": read([("camera", "canon")])}),
    ("--mode semantic", word(50), {"mode": "semantic"}),
    ("rare word", word(5000), {}),
    ("common word", word(1), {}),
    ("four words", FOUR, {}),
    ("two words and a place", f"{word(50)} {word(200)} Sochi", {}),
    ("facts alone: Sochi 2023 canon", "Sochi 2023 canon", {}),
    ("twelve words", " ".join(word(rank) for rank in range(3, 1000, 85)), {}),
    ("usual word, --camera canon", word(50), {"filter": read([("camera", "canon")])}),
    ("usual word, --after 2020 --before 2021", word(50), {"filter": read([("after", "2020"), ("before", "2021")])}),
    ("usual word, --near 50,30,200", word(50), {"filter": read([("near", "50,30,200")])}),
    ("usual word, --sort date", word(50), {"sort": "date"}),
    ("usual word, --not another", word(50), {"unlike": word(60)}),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="N", type=int, default=100_000)
    parser.add_argument("--rounds", metavar="N", type=int, default=9)
    parser.add_argument("--keep", metavar="FOLDER", type=Path)
    parser.add_argument("--only", metavar="TEXT", default="", help="only the cases with this in their name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        database, index = str(folder / "images.db"), str(folder / "image_index.faiss")
        if not (folder / "image_index.faiss").exists():
            folder.mkdir(parents=True, exist_ok=True)
            many_pictures.make_catalog(database, options.images)
            many_pictures.make_index(index, options.images)
        meaning = many_pictures.open_meaning(index)
        print(f"{len(meaning.index):,} images, {os.cpu_count()} cores, median of {options.rounds} rounds that take turns")
        print(f"{'':42} {'ms':>8} {'slowest':>8}  {'  '.join(f'{step:>7}' for step in STEPS)}     rest")
        with Catalog.open_for_reading(database) as catalog, timed() as spent:
            measure(catalog, meaning, [case for case in CASES if options.only in case[0]], options.rounds, spent)
    return 0


def measure(catalog: Catalog, meaning: search.Meaning, cases: list[Any], rounds: int, spent: dict[str, float]) -> None:
    totals: dict[str, list[float]] = defaultdict(list)
    steps: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for number in range(rounds + 1):
        for name, text, options in cases:
            spent.clear()
            started = time.perf_counter()
            search.run(catalog, search.Request(text=text, **options), lambda: meaning)
            if number:  # the first round fills the disk cache and does not count
                totals[name].append(time.perf_counter() - started)
                for step, seconds in spent.items():
                    steps[name][step] += seconds
    for name, times in totals.items():
        shares = [steps[name][step] / sum(times) for step in STEPS]
        shown = "  ".join(f"{share:7.0%}" for share in [*shares, 1 - sum(shares)])
        print(f"{name:42} {statistics.median(times) * 1000:8.1f} {max(times) * 1000:8.1f}  {shown}")


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Seconds spent in each step since the dictionary was cleared; a step inside another belongs to the outer one."""
    spent: dict[str, float] = defaultdict(float)
    running: list[str] = []
    originals = []

    def timing(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*values: Any, **named: Any) -> Any:
            if running:
                return function(*values, **named)
            running.append(step)
            started = time.perf_counter()
            try:
                found = function(*values, **named)
                return iter(list(found)) if isinstance(found, Iterator) and step != "page" else found
            finally:
                spent[step] += time.perf_counter() - started
                running.pop()

        return run

    for step, (owner, names) in STEPS.items():
        for name in names:
            originals.append((owner, name, getattr(owner, name)))
            setattr(owner, name, timing(step, getattr(owner, name)))
    try:
        yield spent
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


if __name__ == "__main__":
    raise SystemExit(main())
