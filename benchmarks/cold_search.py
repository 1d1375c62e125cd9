"""What a command costs from a cold start, as a multiple of `python -c 'import sqlite3'`, in one interleaved run.

Goes in: nothing, the catalog is made; --images says how many. Comes out: a table with the median of each command: a search by
words, one by meaning, create_faiss_index.py with nothing to do, and the naive search (naive_search.py) for comparison.

  python benchmarks/cold_search.py
  python benchmarks/cold_search.py --images 100000 --rounds 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import made_catalog

from image_catalog import embedding_model

ROOT = Path(__file__).resolve().parent.parent
QUERY = "собака на пляже"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="N", type=int, default=10_000)
    parser.add_argument("--rounds", metavar="N", type=int, default=9)
    parser.add_argument("--model", metavar="NAME", help="embedding model (default: that of create_faiss_index.py)")
    options = parser.parse_args()
    model = embedding_model.load(options.model)
    with tempfile.TemporaryDirectory() as folder:
        database, index = made_catalog.make(folder, options.images, model)
        table = commands(database, index, model.folder)
        times: dict[str, list[float]] = {name: [] for name in table}
        for _ in range(options.rounds + 1):  # the first round warms the disk cache and does not count
            for name, command in table.items():
                times[name].append(seconds(command))
        sizes = {name: peak_memory(command) for name, command in table.items()}
    bare = statistics.median(times["python -c 'import sqlite3'"][1:])
    print(f"{options.images:,} images, {os.cpu_count()} cores, median of {options.rounds} interleaved rounds")
    for name, values in times.items():
        median = statistics.median(values[1:])
        print(f"{name:45} {median / bare:7.1f}x {median:8.3f} s {sizes[name]:6.0f} MB")
    naive, ours = (statistics.median(times[name][1:]) for name in ("naive search by meaning", "search by meaning"))
    print(f"a search by meaning is {naive / ours:.0f} times faster than the naive one")
    return 0


def commands(database: str, index: str, model_folder: str) -> dict[str, list[str]]:
    search = [sys.executable, str(ROOT / "search_images.py"), "--db", database]
    return {
        "python -c 'import sqlite3'": [sys.executable, "-c", "import sqlite3"],
        "search by words": [*search, "--mode", "text", QUERY],
        "search by meaning": [*search, "--mode", "semantic", QUERY],
        "search by both": [*search, QUERY],
        "create_faiss_index.py, nothing to do": [sys.executable, str(ROOT / "create_faiss_index.py"), "--db", database],
        "naive search by meaning": [
            sys.executable,
            str(ROOT / "benchmarks" / "naive_search.py"),
            model_folder,
            database,
            index,
            QUERY,
        ],
    }


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    taken = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return taken


def peak_memory(command: list[str]) -> float:
    """Peak resident memory of a command in MB, measured by a process that has no other child."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], capture_output=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    return int(done.stdout) / (1024 if sys.platform != "darwin" else 1024 * 1024)


if __name__ == "__main__":
    raise SystemExit(main())
