"""What a search by words costs from a cold start, as a multiple of `python -c 'import sqlite3'`.

Goes in: nothing, the catalog is made; --images says how many. Comes out: the whole process for queries with rare and with common
words and for filters, interleaved with the bare start. warm_search.py has what searches cost in a process that stays.

  python benchmarks/cold_text_search.py
  python benchmarks/cold_text_search.py --images 1000000 --rounds 5
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

import many_pictures
from many_pictures import word

ROOT = Path(__file__).resolve().parent.parent
BARE = "python -c 'import sqlite3'"
QUERIES = {
    "rare word": word(5000),
    "usual word": word(50),
    "common word": word(1),
    "four words": " ".join(map(word, (2, 20, 200, 2000))),
    "no such word": "zzz",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="N", type=int, default=100_000)
    parser.add_argument("--rounds", metavar="N", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/images.db"
        many_pictures.make_catalog(path, options.images)
        print(f"{options.images:,} images, {os.cpu_count()} cores, median of {options.rounds} interleaved rounds")
        cold(path, options.rounds)
    return 0


# Cold


def cold(path: str, rounds: int) -> None:
    """Whole processes, one of each kind in turn, so that a busy minute makes all of them slower."""
    script = [sys.executable, str(ROOT / "search_images.py"), "--db", path, "--mode", "text"]
    table = {BARE: [sys.executable, "-c", "import sqlite3"]} | {name: [*script, query] for name, query in QUERIES.items()}
    table["a filter, no words"] = [*script, "--camera", "canon"]
    # As a user's second start: Python keeps what it compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(rounds + 1):  # the first round fills the disk cache and does not count
        for name, command in table.items():
            started = time.perf_counter()
            subprocess.run(command, capture_output=True, env=environment)
            times[name].append(time.perf_counter() - started)
    bare = statistics.median(times[BARE][1:])
    for name, values in times.items():
        median = statistics.median(values[1:])
        print(f"  cold: {name:28} {median / bare:5.2f}x {median * 1000:8.1f} ms")


if __name__ == "__main__":
    raise SystemExit(main())
