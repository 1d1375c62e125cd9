"""A million vectors and more: what each type of index costs to build, to open cold and to ask, and what it finds.

Goes in: nothing, the vectors are made (384 numbers each, in clusters). Comes out: for each type the time to build, the size
of the file, and of a process of its own: the time to check and open the file, that of the first query, its peak memory; then
the time of the queries that follow, and recall@10 against exact 32-bit search.

  python benchmarks/vector_scale.py                                  a million, flat and what auto chooses
  python benchmarks/vector_scale.py --count 200000 --type flat --type hnsw --type ivf
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import made_catalog
import numpy as np

from image_catalog import vector_index

ROOT = Path(__file__).resolve().parent.parent
QUERIES = 100
FIRST_QUERY = """
import json, sys, time
import faiss, numpy as np
from image_catalog.vector_index import VectorIndex
queries = np.load(sys.argv[2])
before = time.perf_counter()
index = VectorIndex.open(sys.argv[1])
opened = time.perf_counter()
found = [index.nearest(queries[0], 10)[0].tolist()]
first = time.perf_counter()
found += [index.nearest(query, 10)[0].tolist() for query in queries[1:]]
rest = (time.perf_counter() - first) / max(1, len(queries) - 1)
try:  # getrusage would count the memory of the parent, from before this program was started
    with open("/proc/self/status") as status:
        memory = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
except OSError:
    memory = 0
print(json.dumps([opened - before, first - opened, rest, memory, found]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", metavar="N", type=int, default=1_000_000)
    parser.add_argument("--type", action="append", choices=vector_index.TYPES, help="repeat for several")
    options = parser.parse_args()
    vectors = made_catalog.clustered_vectors(options.count)
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((QUERIES, vectors.shape[1]), np.float32)
    queries = vectors[rng.integers(len(vectors), size=QUERIES)] + noise / np.linalg.norm(noise, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    truth = exact(vectors, queries)
    print(f"{options.count:,} vectors of {vectors.shape[1]} numbers, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/queries.npy", queries.astype(np.float32))
        for type in options.type or ("flat", "auto"):
            measure(folder, type, vectors, truth)
    return 0


def exact(vectors: np.ndarray, queries: np.ndarray) -> list[set[int]]:
    scores = np.concatenate(
        [vectors[start : start + 50_000].astype(np.float32) @ queries.T for start in range(0, len(vectors), 50_000)]
    )
    return [set(np.argpartition(-column, 10)[:10].tolist()) for column in scores.T]


def measure(folder: str, type: str, vectors: np.ndarray, truth: list[set[int]]) -> None:
    path = f"{folder}/image_index.faiss"
    started = time.perf_counter()
    ids = np.arange(len(vectors), dtype=np.int64)
    made = vector_index.build(path, ids, vectors, model="made", model_digest="-", generation=1, type=type)
    built = time.perf_counter() - started
    command = [sys.executable, "-c", FIRST_QUERY, path, f"{folder}/queries.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    opened, first, rest, memory, found = json.loads(done.stdout)
    recall = np.mean([len(right & set(got)) / 10 for right, got in zip(truth, found, strict=True)])
    print(
        f"{type} ({made.type}): built in {built:.1f} s, {os.path.getsize(path) / 1e6:.0f} MB; cold: opened {opened:.3f} s"
        f" + first query {first:.3f} s, {memory / 1024:.0f} MB; next queries {rest * 1000:.1f} ms; recall@10 {recall:.3f}"
        f" (said at build time: {made.recall or 1})"
    )


if __name__ == "__main__":
    raise SystemExit(main())
