"""Where one part of the torture works: a tree, a server, a catalog, the product, and a journal of what was done to them."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollama_server import OllamaServer
from oracle import Oracle, Seen
from product import Ended, Product, Running, Trouble
from tree import Tree

# A job whose answer has come and is being stored, and the next one at the model: what one slot has in flight.
IN_FLIGHT = 2
LONGEST_SEARCH = 10.0


@dataclass(frozen=True)
class Size:
    """How much is done: in --fast and in --full."""

    kills: int
    points: int | None  # calls at which a run is stopped, spread over all; None: each of them
    disks: int
    pairs: int
    steps: int
    vector_points: int | None


FAST = Size(kills=20, points=5, disks=6, pairs=8, steps=40, vector_points=8)
FULL = Size(kills=200, points=None, disks=30, pairs=50, steps=300, vector_points=None)


class Bench:
    """One world. `rng` decides everything but the moment of a signal, so that a seed repeats it."""

    def __init__(self, part: str, seed: int, size: Size, product: Path, folder: Path) -> None:
        self.part = part
        self.seed = seed
        self.size = size
        self.folder = folder
        self.rng = random.Random(f"{part} {seed}")
        self.journal: list[str] = []
        self.plan: list[Any] = []  # steps fixed beforehand, of which so many have been begun
        self.steps_begun = 0
        self.product = Product(product, folder)
        self.tree = Tree(folder, self.rng)
        self.place = folder / "catalog"
        self.place.mkdir(mode=0o700)
        self.db = self.place / "images.db"
        self.oracle = Oracle(self.db)
        self.server = OllamaServer()
        self.server.start()

    def close(self) -> None:
        """Ends the server; the folder is the caller's."""
        self.server.stop()

    def say(self, step: str) -> None:
        """One line of the journal."""
        self.journal.append(step)

    def edit(self, most: int) -> None:
        """Up to `most` edits of the tree."""
        for _ in range(self.rng.randint(0, most)):
            self.say(self.tree.edit())

    def start(self, *arguments: str | Path, **options: Any) -> Running:
        """An index run over the tree."""
        common = ["-r", "--db", self.db, "--host", self.server.url, "--language", "en"]
        return self.product.start("index_images.py", self.tree.root, *common, *arguments, **options)

    def index(self, *arguments: str | Path, **options: Any) -> Ended:
        """An index run to its end."""
        ended = self.start(*arguments, **options).end()
        self.say(f"index_images.py {' '.join(map(str, arguments))} -> {ended.code}")
        return ended

    def index_quietly(self, *arguments: str) -> Seen:
        """A run that nothing disturbs: afterwards the catalog is true."""
        self.index(*arguments).expect(*((0, 1) if any(content.cut for content in self.tree.files.values()) else (0,)))
        return self.oracle.check_true(self.tree)

    def lost_answers(self, seen: Seen, since: int) -> int:
        """Descriptions that the server gave whole, from its call number `since` on, and the catalog does not hold."""
        given = {call.picture for call in self.server.calls[since:] if call.answered and call.fault == "ok"}
        lost = [name for name in given if self.tree.ever[name].description not in seen.descriptions]
        if len(lost) > IN_FLIGHT:
            raise Trouble(f"{len(lost)} descriptions were paid for and are not in the catalog")
        return len(lost)

    def asked_again(self) -> int:
        """How many descriptions were made more than once, over the whole life of this bench."""
        return sum(count - 1 for count in self.server.times_described().values())

    @contextlib.contextmanager
    def searches(self) -> Iterator[SearchesMeanwhile]:
        """Search all the while; Trouble at the end when one of them failed."""
        searches = SearchesMeanwhile(self.product, self.db)
        searches.start()
        try:
            yield searches
        finally:
            searches.stop()
        if searches.trouble:
            raise Trouble(searches.trouble)


class SearchesMeanwhile(threading.Thread):
    """One text search after the other. `count` came to an end, the slowest in `worst` seconds."""

    def __init__(self, product: Product, db: Path) -> None:
        super().__init__(daemon=True)
        self._product = product
        self._db = db
        self._stopping = threading.Event()
        self._catalog_was_there = False
        self.count = 0
        self.worst = 0.0
        self.trouble = ""

    def run(self) -> None:
        while not self._stopping.wait(0.1) and not self.trouble:
            try:
                self._search()
            except Exception as error:  # told by the part that this runs beside
                self.trouble = f"a search meanwhile: {error}"

    def _search(self) -> None:
        ended = self._product.run("search_images.py", "picture", "--mode", "text", "--json", "--db", self._db)
        # Before the first run has made the catalog there is nothing to search, which is said with 3.
        ended.expect(0, 1, *(() if self._catalog_was_there else (3,)))
        self._catalog_was_there |= ended.code != 3
        self.count += 1
        self.worst = max(self.worst, ended.seconds)
        if ended.seconds > LONGEST_SEARCH:
            raise Trouble(f"took {ended.seconds:.1f} s")

    def stop(self) -> None:
        self._stopping.set()
        self.join(LONGEST_SEARCH * 3)


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    """Trouble when `condition` does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Trouble("waited in vain for something that should have happened")
        time.sleep(0.01)
