"""What a search costs without an embedding model: from a cold start as a multiple of `python -c 'import sqlite3'`, and warm.

Goes in: nothing, the catalog is made; --images says how many. Comes out: the whole process for queries with rare and with common
words, interleaved with the bare start; then, in a process that stays, the milliseconds of searches by words, with filters and by
words and meaning (over made vectors, without encoding the query), and which step takes them.

  python benchmarks/cold_text_search.py
  python benchmarks/cold_text_search.py --images 1000000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from image_catalog import search, search_output, words
from image_catalog.catalog import Catalog
from image_catalog.catalog_search import SearchableCatalog
from image_catalog.coverage import Coverage, Scope
from image_catalog.fusion import Fusion
from image_catalog.query import parse
from image_catalog.search_filter import read

ROOT = Path(__file__).resolve().parent.parent
BARE = "python -c 'import sqlite3'"
# Words that are made: w0 is in every second text, w50 in one of a hundred, w5000 in a few of a hundred thousand.
QUERIES = {
    "rare word": "w5000",
    "usual word": "w50",
    "common word": "w1",
    "four words": "w2 w20 w200 w2000",
    "no such word": "zzz",
}
FILTERS = {"camera": [("camera", "canon")], "a year": [("after", "2020"), ("before", "2021")], "place": [("near", "50,30,200")]}
CAMERAS = (("Canon", "EOS 5D"), ("NIKON CORPORATION", "NIKON D90"), ("Apple", "iPhone 12"), ("SONY", "ILCE-7M3"))
DIMENSION = 384


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="N", type=int, default=100_000)
    parser.add_argument("--rounds", metavar="N", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/images.db"
        make_catalog(path, options.images)
        print(f"{options.images:,} images, {os.cpu_count()} cores, median of {options.rounds} interleaved rounds")
        cold(path, options.rounds)
        with Catalog.open_for_reading(path) as catalog:
            warm(catalog, make_meaning(f"{folder}/image_index.faiss", options.images), options.rounds)
    return 0


# The catalog


def make_catalog(path: str, count: int) -> None:
    """Texts of 30 words whose frequencies fall as those of a language do (Zipf's law), and all columns that a photo has."""
    chance = random.Random(0)
    vocabulary = [f"w{number}" for number in range(20_000)]
    cumulative: list[float] = []
    for number in range(len(vocabulary)):
        cumulative.append((cumulative[-1] if cumulative else 0.0) + 1 / (number + 50))
    with Catalog.open(path) as catalog, catalog.transaction():
        for number in range(count):
            text = " ".join(chance.choices(vocabulary, cum_weights=cumulative, k=30))
            catalog.insert_image(b"/photos/%d/IMG_%07d.jpg" % (number % 500, number), _columns(number, text, chance))
    with Catalog.open(path) as catalog:
        catalog.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _columns(number: int, text: str, chance: random.Random) -> dict[str, Any]:
    make, model = chance.choice(CAMERAS)
    taken_at = f"{chance.randint(2000, 2024)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T12:00:00"
    tags = json.dumps(text.split()[:5])
    has_position = number % 25 == 0
    return {
        "size": 1, "mtime_ns": number, "ctime_ns": 1, "inode": number, "device": 1, "content_hash": f"{number:064x}",
        "format": "JPEG", "width": 4000, "height": 3000, "taken_at": taken_at, "camera_make": make, "camera_model": model,
        "latitude": chance.uniform(-60, 70) if has_position else None,
        "longitude": chance.uniform(-180, 180) if has_position else None,
        "exif": json.dumps({f"Tag{tag}": chance.random() for tag in range(30)}), "facts": f"{make} {model}; {taken_at[:4]}",
        "state": "described" if number % 50 else "waiting", "description": text, "tags": tags, "passage_hash": str(number),
        "stems": words.stems(f"{text} {tags} {make} {model} {taken_at[:4]}"),
    }  # fmt: skip


def make_meaning(path: str, count: int) -> search.Meaning:
    """A vector index of random directions; the query is one more of them."""
    import numpy as np

    from image_catalog import vector_index

    rng = np.random.default_rng(0)
    vectors = np.empty((count, DIMENSION), np.float16)
    for start in range(0, count, 50_000):
        some = rng.standard_normal((min(50_000, count - start), DIMENSION), np.float32)
        vectors[start : start + len(some)] = some / np.linalg.norm(some, axis=1, keepdims=True)
    ids = np.arange(1, count + 1, dtype=np.int64)
    vector_index.build(path, ids, vectors, model="made", model_digest="made", generation=count)
    query = vectors[0].astype(np.float32)
    return search.Meaning(vector_index.VectorIndex.open(path), lambda _: query)


# Cold


def cold(path: str, rounds: int) -> None:
    """Whole processes, one of each kind in turn, so that a busy minute makes all of them slower."""
    script = [sys.executable, str(ROOT / "search_images.py"), "--db", path, "--mode", "text"]
    table = {BARE: [sys.executable, "-c", "import sqlite3"]} | {name: [*script, query] for name, query in QUERIES.items()}
    table["a filter, no words"] = [*script, "--camera", "canon"]
    times: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(rounds + 1):  # the first round fills the disk cache and does not count
        for name, command in table.items():
            started = time.perf_counter()
            subprocess.run(command, capture_output=True)
            times[name].append(time.perf_counter() - started)
    bare = statistics.median(times[BARE][1:])
    for name, values in times.items():
        median = statistics.median(values[1:])
        print(f"  cold: {name:28} {median / bare:5.2f}x {median * 1000:8.1f} ms")


# Warm


def warm(catalog: Catalog, meaning: search.Meaning, rounds: int) -> None:
    def searched(request: search.Request) -> Callable[[], object]:
        return lambda: search.run(catalog, request, lambda: meaning)

    for mode in ("text", "hybrid"):
        for name, query in QUERIES.items():
            report(f"{mode}: {name}", rounds, searched(search.Request(query, mode)))
        for name, pairs in FILTERS.items():
            report(
                f"{mode}: usual word, filter {name}", rounds, searched(search.Request(QUERIES["usual word"], mode, read(pairs)))
            )
    print("  the steps of `hybrid: four words`:")
    for name, step in steps(catalog, meaning):
        report(f"  {name}", rounds, step)


def report(name: str, rounds: int, action: Callable[[], object]) -> None:
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    print(f"  warm: {name:45} {statistics.median(times[1:]) * 1000:8.1f} ms")


def steps(catalog: Catalog, meaning: search.Meaning) -> Iterator[tuple[str, Callable[[], object]]]:
    rows = SearchableCatalog(catalog)
    query = parse(QUERIES["four words"])
    vector = meaning.encode("")
    scope = Scope(None, rows.gone_ids())

    def cover() -> Coverage:
        coverage = Coverage(rows, query, scope)
        coverage.find_covered(0.3)
        return coverage

    fusion = Fusion(meaning.index, vector, cover(), scope)
    candidates = fusion.candidates(21)
    result = search.run(catalog, search.Request(QUERIES["four words"]), lambda: meaning)
    yield "words: which pictures have them", cover
    yield f"meaning: the nearest of {len(meaning.index):,} vectors", lambda: meaning.index.nearest(vector, 200)
    yield f"fusion: scores of {len(candidates):,} candidates", lambda: fusion.scores(candidates)
    yield "rows of the page", lambda: rows.rows([hit.row["id"] for hit in result.hits])
    yield "text of the page", lambda: list(search_output.lines(result, search_output.PLAIN))


if __name__ == "__main__":
    raise SystemExit(main())
