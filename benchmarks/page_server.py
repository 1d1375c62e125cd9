"""How many requests a second the page's server answers, with no error, and how long each kind of request takes.

Goes in: nothing, the catalog is made as page_typing.py makes it; --db takes one that is there. Comes out: milliseconds of single
requests one after the other (median, p95), then requests a second by wrk (https://github.com/wg/wrk) with 2 threads and 8
connections on the same machine, beside those of a route that answers a file out of memory; and the memory of the server.

  python benchmarks/page_server.py
  python benchmarks/page_server.py --images 10000 --seconds 5
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parent))

import page_of_many
from page_of_many import memory

QUESTION = quote("собака на пляже")
REQUESTS = {
    "a search by words and meaning": f"/api/search?q={QUESTION}",
    "the same by words": f"/api/search?mode=text&q={QUESTION}",
    "the same by meaning": f"/api/search?mode=semantic&q={QUESTION}",
    "the same with a camera": f"/api/search?camera=Canon&q={QUESTION}",
    "the newest pictures": "/api/search",
    "a year of them": "/api/search?after=2015&before=2016",
    "counts of all filters": "/api/facets",
    "counts for a question": f"/api/facets?q={QUESTION}",
    "the first page, whole": "/",
    "one picture with 12 similar ones": "/image/77",
    "a thumbnail": "/thumb/77",
}
BY_WRK = ("a search by words and meaning", "the same by words", "the newest pictures", "a thumbnail")
FROM_MEMORY = "/static/base.css"
ROUNDS = 15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="N", type=int, default=100_000)
    parser.add_argument("--seconds", metavar="N", type=int, default=5, help="of each run of wrk (5)")
    parser.add_argument("--db", metavar="PATH", help="a catalog to measure, in place of one that is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = options.db or page_of_many.make_catalog(folder, options.images)
        with page_of_many.serving(database) as (address, pid):
            print(f"{page_of_many.count(database):,} images, {os.cpu_count()} cores")
            one_by_one(address)
            if shutil.which("wrk"):
                many_at_once(address, options.seconds)
            else:
                print("wrk is not here (apt-get install wrk): requests a second are left out")
            print(f"memory of the server: {memory(pid)} MB")
    return 0


def one_by_one(address: str) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    for name, path in REQUESTS.items():
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            size = len(answer.read())
            times.append((time.perf_counter() - started) * 1000)
            assert answer.status == 200, (path, answer.status)
        times.sort()
        print(f"{name:34} {statistics.median(times):6.1f} ms, p95 {times[int(ROUNDS * 0.95)]:6.1f} ms, {size / 1000:5.0f} KB")


def many_at_once(address: str, seconds: int) -> None:
    rates = {name: _rate(address, path, seconds) for name, path in [("(a file out of memory)", FROM_MEMORY)]}
    rates |= {name: _rate(address, REQUESTS[name], seconds) for name in BY_WRK}
    whole = rates["(a file out of memory)"]
    for name, rate in rates.items():
        print(f"{name:34} {rate:6.0f} requests a second, {rate / whole:.3f} of what the web server itself can")


def _rate(address: str, path: str, seconds: int) -> float:
    """Requests a second; an answer that is no 200 ends the benchmark."""
    command = ["wrk", "-t2", "-c8", f"-d{seconds}s", "--timeout", "10s", address + path]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", said):
        raise SystemExit(f"{path}: {said}")
    return float(re.findall(r"Requests/sec:\s*([\d.]+)", said)[0])


if __name__ == "__main__":
    raise SystemExit(main())
