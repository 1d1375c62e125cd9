"""What a person feels on the page: from the last key to painted results, first paint, and memory, in a real browser.

Goes in: nothing, the catalog is made; --images says how many, --db takes one that is there. Comes out: milliseconds from the last
key of a question to the frame that shows its answer (the page waits 120 ms for another key, which is in it), what the server took
of that, first paint of the first page, memory of the server and of the page after scrolling.

  python benchmarks/page_typing.py
  python benchmarks/page_typing.py --images 10000 --questions 20
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import page_of_many
from page_browser import Browser, browsing

QUESTIONS = (
    "собака на пляже", "red bicycle under trees", "дети у озера", "white cat on a wooden table", "закат", "mountains", "лодка",
    "three women in the snow", "старик в шляпе", "it is about to rain", "велосипед перед домом", "calm mood", "зима", "птицы",
)  # fmt: skip

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
# A request that was given up has no start.
_SERVER_TIMES = """() => performance.getEntriesByType("resource")
    .filter(one => one.name.includes("/api/search") && one.requestStart)
    .map(one => one.responseEnd - one.requestStart)"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="N", type=int, default=100_000)
    parser.add_argument("--questions", metavar="N", type=int, default=45)
    parser.add_argument("--db", metavar="PATH", help="a catalog to measure, in place of one that is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = options.db or page_of_many.make_catalog(folder, options.images)
        with browsing(lambda: database) as browser:
            print(f"{page_of_many.count(database):,} images, {os.cpu_count()} cores, Chromium {browser.version}")
            first_paint(browser)
            typing(browser, options.questions)
            scrolling(browser)
    return 0


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
    print(f"{metrics['Nodes']:.0f} nodes; server {page_of_many.memory(browser.pid)} MB")


def _said(times: list[Any]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered):.0f} ms (p95 {ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]:.0f} ms)"


if __name__ == "__main__":
    raise SystemExit(main())
