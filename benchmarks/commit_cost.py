"""What it costs to store each description at once, in a transaction of its own: its share of a description of one second.

Goes in: nothing; catalogs are made. Comes out: milliseconds an image for catalogs of some sizes, with the full-text index.

  python benchmarks/commit_cost.py
  python benchmarks/commit_cost.py --images 1000 10000
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from made_catalog import descriptions

from image_catalog.catalog import DESCRIPTION_COLUMNS, NO_FAILURE, Catalog, utc_now
from image_catalog.folder_sync import with_stems

GOAL_PERCENT = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="N", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--stored", metavar="N", type=int, default=500, help="descriptions that are stored and timed (500)")
    options = parser.parse_args()
    print(f"{options.stored} descriptions stored one by one, {os.cpu_count()} cores\n")
    print("| images in the catalog | ms an image, median | 95 of 100 under | mean | share of a second |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    shares = [measure(images, options.stored) for images in options.images]
    print(
        f"\ngoal: at most {GOAL_PERCENT:.0f} % of a one-second description: {'met' if max(shares) <= GOAL_PERCENT else 'NOT met'}"
    )
    return 0


def measure(images: int, stored: int) -> float:
    """Prints a row; returns the share in percent, of the mean, which has the checkpoints in it."""
    with tempfile.TemporaryDirectory() as folder, Catalog.open(f"{folder}/images.db") as catalog:
        texts = descriptions(images + stored)
        _fill(catalog, texts[:images])
        seconds = _store(catalog, texts[images:], images)
    mean, median = statistics.mean(seconds) * 1000, statistics.median(seconds) * 1000
    slow = statistics.quantiles(seconds, n=20)[-1] * 1000
    print(f"| {images:,} | {median:.1f} | {slow:.1f} | {mean:.1f} | {mean / 10:.2f} % |", flush=True)
    return mean / 10


def _fill(catalog: Catalog, texts: list[str]) -> None:
    """Half of the images have a description, the others wait."""
    with catalog.transaction():
        for number, text in enumerate(texts):
            file = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": number, "device": 1, "content_hash": f"{number:064}"}
            facts = {"facts": f"winter evening Canon EOS 600D photos {number % 100}", "exif": "{}"}
            columns = file | facts | ({"state": "described", "description": text} if number % 2 else {})
            catalog.insert_image(b"/photos/%07d.jpg" % number, with_stems(columns, columns))


def _store(catalog: Catalog, texts: list[str], images: int) -> list[float]:
    """Seconds for each, as description_run.DescriptionRun stores what has arrived."""
    ids = [number * 2 + 1 for number in random.Random(0).choices(range(images // 2), k=len(texts))]
    seconds = []
    for image_id, text in zip(ids, texts, strict=True):
        started = time.perf_counter()
        columns = dict.fromkeys(DESCRIPTION_COLUMNS) | {"description": text, "tags": "[]", "described_at": utc_now()}
        columns |= {"state": "described", "pixel_hash": f"{image_id:064}", **NO_FAILURE}
        with catalog.transaction():
            row = catalog.image(image_id)
            assert row is not None
            catalog.keep_past_description(image_id)
            catalog.update_image(image_id, with_stems({**row, **columns}, columns))
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())
