"""What a person feels on the page: from the last key to painted results, first paint, and memory, in a real browser.

Goes in: nothing, the catalog is made; --images says how many, --db takes one that is there. Comes out: milliseconds from the last
key of a question to the frame that shows its answer (the page waits 120 ms for another key, which is in it), what the server took
of that, first paint of the first page, memory of the server and of the page after scrolling.

  python benchmarks/page_browser.py
  python benchmarks/page_browser.py --images 10000 --questions 20
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import made_catalog
from page_browser import Browser, browsing
from PIL import Image

from image_catalog import embedding_model, offline_model

DEVICES = (
    ("Canon", "Canon EOS 5D"),
    ("NIKON CORPORATION", "NIKON D90"),
    ("Apple", "iPhone 12"),
    ("SONY", "ILCE-7M3"),
    (None, None),
)
PLACES = (
    ("Sochi, Krasnodar Krai, Russia", "Сочи, Краснодарский край, Россия"),
    ("Paris, France", "Париж, Франция"),
    (None, None),
)
QUESTIONS = (
    "собака на пляже", "red bicycle under trees", "дети у озера", "white cat on a wooden table", "закат", "mountains", "лодка",
    "three women in the snow", "старик в шляпе", "it is about to rain", "велосипед перед домом", "calm mood", "зима", "птицы",
)  # fmt: skip
DIFFERENT_PICTURES = 300

# From the last key to the second frame after the grid changed: the first is drawn by then.
_WATCH = """() => {
  window.times = [];
  let typed = 0;
  document.getElementById('q').addEventListener('input', () => { typed = performance.now(); });
  new MutationObserver(() => {
    const since = typed;
    requestAnimationFrame(() => requestAnimationFrame(() => window.times.push(performance.now() - since)));
  }).observe(document.querySelector('.grid'), { childList: true });
}"""
_SERVER_TIMES = """() => performance.getEntriesByType('resource').filter(one => one.name.includes('/api/search'))
    .map(one => one.responseEnd - one.requestStart)"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="N", type=int, default=100_000)
    parser.add_argument("--questions", metavar="N", type=int, default=45)
    parser.add_argument("--db", metavar="PATH", help="a catalog to measure, in place of one that is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = options.db or make_catalog(folder, options.images)
        with browsing(lambda: database) as browser:
            print(f"{count(database):,} images, {os.cpu_count()} cores, Chromium {browser.version}")
            first_paint(browser)
            typing(browser, options.questions)
            scrolling(browser)
    return 0


def make_catalog(folder: str, count: int) -> str:
    """Descriptions and vectors as made_catalog has them; each image is a link to one of a few hundred small pictures."""
    model = embedding_model.load(offline_model.NAME)
    database, _ = made_catalog.make(folder, count, model)
    chance = random.Random(0)
    pictures = [_picture(folder, number) for number in range(min(count, DIFFERENT_PICTURES))]
    db = sqlite3.connect(database)
    rows = []
    for (image_id,) in db.execute("SELECT id FROM images").fetchall():
        path = f"{folder}/photos/{image_id % 200:03}/{image_id:07}.jpg"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.link(pictures[image_id % len(pictures)], path)
        maker, model_name = chance.choice(DEVICES)
        day = f"{chance.randrange(2001, 2026)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}T12:00:00"
        rows.append((path, path.encode(), day, maker, model_name, *chance.choice(PLACES), image_id))
    db.executemany(
        "UPDATE images SET path = ?, path_bytes = ?, taken_at = ?, camera_make = ?, camera_model = ?, place = ?, place_ru = ?,"
        " format = 'JPEG', width = 1600, height = 1200 WHERE id = ?",
        rows,
    )
    device = os.stat(folder).st_dev
    db.execute(
        "INSERT INTO roots VALUES (?, ?, ?, '2026-01-01T00:00:00Z')", (f"{folder}/photos".encode(), f"{folder}/photos", device)
    )
    db.commit()
    db.close()
    return database


def _picture(folder: str, number: int) -> str:
    path = f"{folder}/picture{number}.jpg"
    gradient = Image.radial_gradient("L").resize((1600, 1200))
    colour = tuple((number * step) % 256 for step in (37, 91, 151))
    Image.composite(Image.new("RGB", gradient.size, colour), Image.new("RGB", gradient.size), gradient).save(path)
    return path


def count(database: str) -> int:
    db = sqlite3.connect(database)
    (images,) = db.execute("SELECT count(*) FROM images").fetchone()
    db.close()
    return int(images)


def first_paint(browser: Browser) -> None:
    paints, complete = [], []
    for _ in range(7):
        with browser.open() as page:
            page.wait_for_timeout(300)
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            complete.append(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
    print(f"first paint: {_said(paints)}; page ready: {_said(complete)}")


def typing(browser: Browser, count: int) -> None:
    """Questions typed at ten keys a second."""
    with browser.open() as page:
        page.evaluate(_WATCH)
        painted, server = [], []
        for number in range(count):
            page.fill("#q", "")
            page.wait_for_timeout(600)
            page.evaluate("() => { window.times.length = 0; performance.clearResourceTimings(); }")
            page.locator("#q").press_sequentially(QUESTIONS[number % len(QUESTIONS)], delay=100)
            page.wait_for_timeout(1200)
            painted.append(page.evaluate("window.times.at(-1)"))
            server += page.evaluate(_SERVER_TIMES)
    print(f"last key to painted results: {_said(painted)}")
    print(f"of that the server, from its being asked to its whole answer: {_said(server)}")


def scrolling(browser: Browser) -> None:
    with browser.open() as page:
        for _ in range(60):
            page.mouse.wheel(0, 3000)
            page.wait_for_timeout(100)
        tiles = page.locator(".tile").count()
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    print(f"after scrolling through {tiles} pictures: page {metrics['JSHeapUsedSize'] / 1e6:.0f} MB of JavaScript heap, ", end="")
    print(f"{metrics['Nodes']:.0f} nodes; server {_memory(browser.pid)} MB")


def _memory(pid: int) -> int:
    """Resident megabytes of a process (Linux)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1000


def _said(times: list[Any]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered):.0f} ms (p95 {ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]:.0f} ms)"


if __name__ == "__main__":
    raise SystemExit(main())
