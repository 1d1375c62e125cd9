"""The catalog kept open between requests: connections, the vector index with its encoder, and the counts of facets.

Knows files and when they have changed under it; knows nothing of HTTP. Any thread may use it, a few at a time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from image_catalog import catalog_file, search
from image_catalog.catalog import Catalog
from image_catalog.catalog_search import SearchableCatalog
from image_catalog.catalog_views import CatalogViews
from image_catalog.errors import CannotGoOn, ImageError, UsageError, UserError
from image_catalog.gallery.facets import FacetTable
from image_catalog.ranking import Meaning
from image_catalog.search import Request, Result
from image_catalog.search_filter import Filter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_IDLE = 4  # connections that wait for the next request
_MOST_QUERIES = 256  # texts whose vectors are remembered
# While an index run writes, the facets are made anew only so often that it takes a twentieth of the time.
_FACET_REST = 20.0

Identity = tuple[int, ...] | None


class WarmCatalog:
    """images.db and image_index.faiss of one place. Close it at the end."""

    def __init__(self, path: str, index_path: str) -> None:
        self.path = path
        self.index_path = index_path
        self._idle: list[tuple[Identity, Catalog]] = []
        self._lock = threading.Lock()
        self._meaning = _WarmMeaning(index_path)
        self._facets: FacetTable | None = None
        self._facets_lock = threading.Lock()
        self._facets_mark: Any = None
        self._facets_seconds = self._facets_made = 0.0

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            for _, catalog in self._idle:
                catalog.close()
            self._idle.clear()

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        """A connection that only reads, for one thread at a time. Raises CannotGoOn."""
        identity = _file_identity(self.path)
        catalog = self._taken(identity) or Catalog.open_for_reading(self.path)
        try:
            with catalog_file.errors_of(self.path):
                yield catalog
        except (UsageError, ImageError):  # the connection is as good as before
            self._give_back(identity, catalog)
            raise
        except BaseException:
            catalog.close()
            raise
        self._give_back(identity, catalog)

    def _taken(self, identity: Identity) -> Catalog | None:
        """An idle connection to the file that is there now: a restored copy is another file of the same name."""
        with self._lock:
            while self._idle:
                known, catalog = self._idle.pop()
                if known == identity:
                    return catalog
                catalog.close()
        return None

    def _give_back(self, identity: Identity, catalog: Catalog) -> None:
        with self._lock:
            if len(self._idle) < _MOST_IDLE:
                self._idle.append((identity, catalog))
                return
        catalog.close()

    @contextmanager
    def writable(self) -> Iterator[Catalog]:
        """A connection for a short change beside an index run that may be writing. Raises CannotGoOn."""
        if not os.path.exists(self.path):
            raise CannotGoOn(self.path, "the catalog is not there any more", "start the page again")
        with Catalog.open(self.path) as catalog:
            catalog.share_writing()
            yield catalog

    # Searching

    def search(self, request: Request) -> Result:
        """As search.run, with what is warm. Raises UserError."""
        with self.catalog() as catalog:
            return search.run(catalog, request, self._meaning.opened)

    def strong_ids(self, request: Request) -> list[int]:
        """As search.ids, with what is warm. Raises UserError."""
        with self.catalog() as catalog:
            return search.ids(catalog, request, self._meaning.opened)

    def ids_passing(self, wanted: Filter) -> set[int]:
        """Images, gone or not, that pass a filter that is not empty. Raises UsageError for a name that the catalog lacks."""
        with self.catalog() as catalog:
            return SearchableCatalog(catalog).ids_passing(wanted)

    def index_model(self) -> str | None:
        """The embedding model of the vector index; None when there is no index that can be used."""
        with suppress(UserError):
            return self._meaning.opened().index.provenance.model
        return None

    def behind(self) -> int | None:
        """How many descriptions the vector index lacks; None without one."""
        with suppress(UserError):
            return self.search(Request(text="a", mode="semantic", limit=1)).behind
        return None

    # Counting

    def facets(self) -> FacetTable:
        """What is counted of every picture that is there; while an index run writes it may be some seconds old."""
        with self._facets_lock, self.catalog() as catalog:
            mark = (catalog.generation(), catalog.coverage(), _file_identity(self.path))
            is_due = time.monotonic() - self._facets_made > _FACET_REST * self._facets_seconds
            if self._facets is None or (mark != self._facets_mark and is_due):
                started = time.monotonic()
                self._facets = FacetTable(CatalogViews(catalog).facet_rows())
                self._facets_mark, self._facets_made = mark, time.monotonic()
                self._facets_seconds = self._facets_made - started
            return self._facets


class _WarmMeaning:
    """The vector index and its encoder, opened anew when the file has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._identity: Identity = None
        self._meaning: Meaning | None = None
        self._error: UserError | None = None

    def opened(self) -> Meaning:
        """Raises UserError when there is none that can be used; that too is remembered until the file changes."""
        identity = _file_version(self._path)
        with self._lock:
            if identity != self._identity or (self._meaning is None and self._error is None):
                self._identity, self._meaning, self._error = identity, None, None
                try:
                    self._meaning = _open_meaning(self._path)
                except UserError as error:
                    self._error = error
            if self._meaning is None:
                assert self._error is not None
                raise self._error
            return self._meaning


def _open_meaning(path: str) -> Meaning:
    if not os.path.exists(path):
        raise CannotGoOn(path, "there is no vector index yet", "make it with: python create_faiss_index.py")
    from image_catalog.query_encoder import open_encoder
    from image_catalog.vector_index import VectorIndex

    index = VectorIndex.open(path)
    encoder = open_encoder(index.provenance.model, index.provenance.model_digest, path)
    return Meaning(index, _remembering(encoder.encode), reads=encoder.reads)


def _remembering(encode: Callable[[str], NDArray[np.float32]]) -> Callable[[str], NDArray[np.float32]]:
    """`encode` that knows the last texts: results, facets and neighbours of one question ask for the same vector."""
    known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
    lock = threading.Lock()

    def encoded(text: str) -> NDArray[np.float32]:
        with lock:
            if text in known:
                known.move_to_end(text)
            else:
                known[text] = encode(text)
                if len(known) > _MOST_QUERIES:
                    known.popitem(last=False)
            return known[text]

    return encoded


def _file_identity(path: str) -> Identity:
    """What changes when another file takes the name; None when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _file_version(path: str) -> Identity:
    """What changes when the file is another or was written to; None when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
