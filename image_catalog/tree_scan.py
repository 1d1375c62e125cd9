"""Folders compared with what the catalog knows of them: one stat a file, no read, and no query a file.

Knows which files differ, which are missed and which are no images; what that means is folder_sync's.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from image_catalog import image_files
from image_catalog.catalog import Catalog, Signature
from image_catalog.errors import UserError
from image_catalog.image_files import FoundFile


@dataclass(frozen=True)
class ScanOptions:
    """Which files of `roots` (absolute real paths) are looked at; as image_files.find_files has them."""

    roots: Sequence[bytes]
    recursive: bool
    exclude: Sequence[str] = ()
    raw_twins: bool = False


class TreeScan:
    """One look at some folders. `run` fills the other attributes.

    `differing`: files that must be opened, new or changed or with a changed sidecar, or in `try_again`; `unchanged`: how
    many must not; `other_files`: how many of those are no images; `missing`: known images that were there and were not
    met, also outside of the roots; `folder_links`: links to folders that were not met before.
    """

    def __init__(
        self, catalog: Catalog, options: ScanOptions, try_again: Iterable[bytes], on_problem: Callable[[UserError], None]
    ) -> None:
        self._catalog = catalog
        self._options = options
        self._try_again = frozenset(try_again)
        self._on_problem = on_problem
        self.missing: dict[bytes, Signature] = catalog.known_signatures()
        self.differing: list[FoundFile] = []
        self.unchanged = 0
        self.other_files = 0
        self.folder_links: list[FoundFile] = []

    @classmethod
    def of(
        cls, catalog: Catalog, options: ScanOptions, try_again: Iterable[bytes], on_problem: Callable[[UserError], None]
    ) -> TreeScan:
        """A scan that has run."""
        with _no_garbage():
            scan = cls(catalog, options, try_again, on_problem)
            scan.run()
        return scan

    def run(self) -> None:
        """Raises sqlite3.Error; what the disk refuses goes to `on_problem`."""
        options = self._options
        others = self._catalog.known_other_files()
        links: list[FoundFile] = []
        found_files = image_files.find_files(
            options.roots,
            options.recursive,
            options.exclude,
            on_problem=self._on_problem,
            on_folder_link=links.append,
            raw_twins=options.raw_twins,
        )
        captioned = self._compare(found_files, others)
        self.folder_links = [link for link in links if others.pop(link.path, None) != link]
        captioned |= self._forget_others(others)
        if captioned:
            self._open_for_their_words(captioned)

    def _compare(self, found_files: Iterable[FoundFile], others: dict[bytes, Signature]) -> set[bytes]:
        """Sort what is found, taking what is met out of `missing` and `others`; the bases of sidecars that are new or changed."""
        # Local names, because this loop is the whole of a run over an unchanged tree.
        known_file, known_other, try_again, unchanged = self.missing.pop, others.pop, self._try_again, 0
        captioned = set()
        for found in found_files:
            path = found[0]
            known = known_file(path, None)
            if known == found and path not in try_again:
                unchanged += 1
            elif known is None and known_other(path, None) == found:
                self.other_files += 1
            else:
                self.differing.append(found)
                if known is None:
                    captioned |= image_files.sidecar_base(path)
        self.unchanged = unchanged
        return captioned

    def _forget_others(self, unseen: Iterable[bytes]) -> set[bytes]:
        """Forget what was no image and is gone; the bases of the sidecars among it."""
        in_scope = scope(self._options.roots, self._options.recursive)
        gone = [path for path in unseen if in_scope(path) and not os.path.lexists(path)]
        if gone:
            with self._catalog.transaction():
                self._catalog.forget_other_files(gone)
        return {base for path in gone for base in image_files.sidecar_base(path)}

    def _open_for_their_words(self, bases: set[bytes]) -> None:
        """Unchanged pictures whose sidecar changed differ, too: photo.jpg.xmp and photo.xmp have the bases of photo.jpg."""
        met = {found.path for found in self.differing} | self.missing.keys()
        paths = (path for path in self._catalog.known_signatures() if path in bases or os.path.splitext(path)[0] in bases)
        pictures = [found for path in paths if path not in met and (found := image_files.found_file(path)) is not None]
        self.differing += pictures
        self.unchanged -= len(pictures)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Python's collector would walk over a growing list of 100,000 tuples again and again, and free nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def scope(roots: Iterable[bytes], recursive: bool) -> Callable[[bytes], bool]:
    """A test whether a path lies under one of `roots` (directly in it when not recursive) or is one."""
    folders = [(root, root.rstrip(b"/") + b"/") for root in roots]

    def lies_under(path: bytes) -> bool:
        return any(
            path == root or (path.startswith(folder) and (recursive or b"/" not in path[len(folder) :]))
            for root, folder in folders
        )

    return lies_under
