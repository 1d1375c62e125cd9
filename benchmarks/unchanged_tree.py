"""What a night without news costs: a run over an unchanged tree as a multiple of `find DIR -type f -printf '%s %T@\\n'`.

Goes in: nothing; the tree (tiny files, all different, in folders of 500) and a catalog that knows it are made. Comes out: both
commands in turn, so that a busy minute makes both slower, and the memory of the run.

  python benchmarks/unchanged_tree.py
  python benchmarks/unchanged_tree.py --files 10000 --rounds 3
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from image_catalog.catalog import Catalog  # noqa: E402

_IN_A_FOLDER = 500
GOAL = 4.0
GOAL_MEGABYTES = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", metavar="N", type=int, default=100_000)
    parser.add_argument("--rounds", metavar="N", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree, db = f"{folder}/tree", f"{folder}/images.db"
        make(tree, db, options.files)
        find = ["find", tree, "-type", "f", "-printf", "%s %T@\n"]
        run = [sys.executable, str(ROOT / "index_images.py"), tree, "-r", "--db", db]
        first = subprocess.run(run, capture_output=True, text=True)
        if not first.stdout.startswith(f"{options.files:,} unchanged"):
            print(f"the tree is not unchanged: {first.stdout}{first.stderr}", file=sys.stderr)
            return 1
        measured = [(timed(find), timed(run)) for _ in range(options.rounds)]
    report(options.files, measured)
    return 0


def make(tree: str, db: str, count: int) -> None:
    """The tree, and a catalog as a run would have left it: each file a described picture."""
    with Catalog.open(db) as catalog, catalog.transaction():
        for number in range(count):
            folder = f"{tree}/{number // _IN_A_FOLDER:04}"
            os.makedirs(folder, exist_ok=True)
            path = f"{folder}/IMG_{number:07}.jpg"
            Path(path).write_bytes(b"%d" % number)
            catalog.insert_image(os.fsencode(path), _columns(path, number))


def _columns(path: str, number: int) -> dict[str, Any]:
    status = os.stat(path)
    file = {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
        "inode": status.st_ino,
        "device": status.st_dev,
        "content_hash": hashlib.sha256(b"%d" % number).hexdigest(),
    }
    text = f"A picture of the number {number}, written on a wall; the light is soft, and people walk by."
    return {**file, "format": "JPEG", "state": "described", "description": text, "tags": "[]", "stems": text}


def timed(command: list[str]) -> tuple[float, float]:
    """(seconds, largest memory in MB) of a command."""
    started = time.perf_counter()
    with contextlib.closing(open(os.devnull, "w")) as nowhere:
        process = subprocess.Popen(command, stdout=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[:2]} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024 if sys.platform == "linux" else usage.ru_maxrss / (1 << 20)


def report(files: int, measured: list[tuple[tuple[float, float], tuple[float, float]]]) -> None:
    find_seconds = statistics.median(find for (find, _), _ in measured)
    run_seconds = statistics.median(run for _, (run, _) in measured)
    ratio = statistics.median(run / find for (find, _), (run, _) in measured)
    memory = max(megabytes for _, (_, megabytes) in measured)
    print(f"{files:,} unchanged files, {os.cpu_count()} cores, median of {len(measured)} interleaved rounds\n")
    print("| | seconds | x find | MB |")
    print("| --- | ---: | ---: | ---: |")
    print(f"| `find DIR -type f -printf '%s %T@\\n'` | {find_seconds:.2f} | 1.0 | |")
    print(f"| `index_images.py DIR -r` | {run_seconds:.2f} | {ratio:.1f} | {memory:.0f} |")
    met = ratio <= GOAL and memory < GOAL_MEGABYTES
    print(f"\ngoal: at most {GOAL:.0f} x find and under {GOAL_MEGABYTES} MB: {'met' if met else 'NOT met'}")


if __name__ == "__main__":
    raise SystemExit(main())
