"""Bring the catalog in line with folders: what is new, changed, moved, copied, gone; facts first, no model.

Knows what a difference between disk and catalog means. Finding files is image_files' work, opening them is done in guarded
workers, SQL is the catalog's. Describing what then waits is description_run's.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from image_catalog import file_columns, gone_files, words
from image_catalog.catalog import DESCRIPTION_COLUMNS, NO_FAILURE, Catalog, KnownFile, Signature
from image_catalog.errors import CannotGoOn, ImageError, UserError
from image_catalog.guarded_workers import GuardedWorkers
from image_catalog.image_files import READ_ERROR, FoundFile
from image_catalog.tree_scan import ScanOptions, TreeScan, scope

if TYPE_CHECKING:
    from image_catalog.reading import Examined

_SEARCHED_TEXTS = ("description", "tags", "visible_text", "caption", "keywords", "facts")
_SECONDS_BETWEEN_COMMITS = 1.0
_NEEDS = "needs "  # the kind of an ImageError that a library would mend: `needs rawpy`


@dataclass
class SyncCounts:
    """What a sync found, in images; `other_files` counts files that are no images by name nor content."""

    found: int = 0
    new: int = 0
    changed: int = 0
    moved: int = 0
    copied: int = 0
    unchanged: int = 0
    returned: int = 0
    gone: int = 0
    failed: int = 0
    still_being_written: int = 0
    other_files: int = 0


class FolderSync:
    """One sync of a catalog with some folders.

    `workers` open files for it; `on_failure` hears of each file that failed, once, and
    `on_note` of each link to a folder, once. Call scan, store_facts and mark_gone in this order; `counts` and
    `refused_roots` are right at any moment.
    """

    def __init__(
        self,
        catalog: Catalog,
        workers: GuardedWorkers,
        options: ScanOptions,
        *,
        allow_empty: bool = False,
        retry_failed: bool = False,
        max_image_size: int = 1024,
        on_failure: Callable[[UserError], None],
        on_note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._catalog = catalog
        self._workers = workers
        self._options = options
        self._allow_empty = allow_empty
        self._retry_failed = retry_failed
        self._max_image_size = max_image_size
        self._on_failure = on_failure
        self._on_note = on_note
        self._roots: list[bytes] = []
        self._closed_folders: list[bytes] = []
        self._unopenable: dict[bytes, UserError] = {}
        self._differing: list[FoundFile] = []
        self._missing: dict[bytes, Signature] = {}
        self._left_places: list[bytes] = []  # where moved files were
        self._left: dict[str, list[tuple[int, bytes]]] | None = None  # what may have moved, by content; made when needed
        self.counts = SyncCounts()
        self.refused_roots: list[UserError] = []  # their absence or emptiness kept their rows from being judged
        self.missing_libraries: Counter[str] = Counter()  # files that failed for want of a library; said once for all

    def scan(self) -> int:
        """Compare the folders with the catalog, one stat a file and no read; returns how many files must be opened."""
        self._roots = [root for root in self._options.roots if self._is_there(root)]
        problems: list[UserError] = []
        options = replace(self._options, roots=self._roots)
        scan = TreeScan.of(self._catalog, options, self._try_again(), problems.append)
        self._missing, self._differing = scan.missing, scan.differing
        for problem in problems:
            self._note_problem(problem)
        self._note_folder_links(scan.folder_links)
        counts = self.counts
        counts.found, counts.unchanged, counts.other_files = (
            scan.unchanged + len(scan.differing),
            scan.unchanged,
            scan.other_files,
        )
        return len(self._differing)

    def store_facts(self, on_examined: Callable[[bytes], None] = lambda path: None) -> None:
        """Open what is new or changed and store its facts; `on_examined` is called after each file."""
        self._store_unopenable()
        batch: list[_Outcome] = []
        last_commit = time.monotonic()
        for outcome in self._examined():
            batch.append(outcome)
            on_examined(outcome.found.path)
            # Facts of many files in few transactions: they are cheap to make again, unlike descriptions.
            if time.monotonic() - last_commit >= _SECONDS_BETWEEN_COMMITS:
                self._store_batch(batch)
                batch, last_commit = [], time.monotonic()
        self._store_batch(batch)

    def mark_gone(self) -> None:
        """Mark what the scan did not see as gone, root by root, where the root can be believed."""
        missing = [path for path in self._missing if not self._is_closed(path)]
        for root in self._roots:
            self._mark_gone(root, list(filter(scope([root], self._options.recursive), missing)))
        for root in self._renamed_roots():
            self._mark_left_behind(list(filter(scope([root], True), self._missing)))

    # Scanning

    def _is_there(self, root: bytes) -> bool:
        try:
            os.stat(root)
        except OSError as error:
            path = os.fsdecode(root)
            kept = "; its images stay in the catalog" if any(self._known_under(root)) else ""
            reason = "there is no such folder" if isinstance(error, FileNotFoundError) else str(error.strerror)
            self._refuse(CannotGoOn(path, f"{reason}{kept}", "check the name, or mount the disk"))
            return False
        return True

    def _refuse(self, error: UserError) -> None:
        self.refused_roots.append(error)
        self._on_failure(error)

    def _note_folder_links(self, links: list[FoundFile]) -> None:
        """Say once that a link to a folder is not followed, and remember that it was said."""
        for link in links:
            self._on_note(f"{os.fsdecode(link.path)}: a link to a folder is not followed; name the folder itself to index it")
        if links:
            with self._catalog.transaction():
                self._catalog.keep_other_files(links)

    def _try_again(self) -> set[bytes]:
        """Files that failed before: all, if that is asked for, else those that the disk or a missing library was to blame for."""
        if self._retry_failed:
            return {row["path_bytes"] for row in self._catalog.failed_images()}
        failed = self._catalog.failed_kinds()
        wanted = {kind for kind in set(failed.values()) if kind == READ_ERROR or self._is_there_now(kind)}
        return {path for path, kind in failed.items() if kind in wanted}

    def _is_there_now(self, kind: str) -> bool:
        return kind.startswith(_NEEDS) and find_spec(kind.removeprefix(_NEEDS).replace("-", "_")) is not None

    def _note_problem(self, problem: UserError) -> None:
        """A folder that cannot be read is said at every run; a FIFO or dead link named like an image once, then remembered."""
        path = os.fsencode(problem.subject)
        if os.path.isdir(path):
            self._closed_folders.append(path)
        elif self._missing.pop(path, None) is None or not self._has_failed(path):
            self._unopenable[path] = problem
        else:
            return
        self.counts.failed += 1
        self._on_failure(problem)

    def _has_failed(self, path: bytes) -> bool:
        known = self._catalog.known_file(path)
        return known is not None and known.state == "failed"

    # Opening and storing

    def _store_unopenable(self) -> None:
        if not self._unopenable:
            return
        nowhere = dict.fromkeys(("size", "mtime_ns", "ctime_ns", "inode", "device"), -1)
        with self._catalog.transaction():
            for path, problem in self._unopenable.items():
                kind = getattr(problem, "kind", "unreadable")
                columns = {**nowhere, "state": "failed", "failure_kind": kind, "failure_reason": problem.reason}
                if self._catalog.known_file(path) is None:
                    self._catalog.insert_image(path, columns)

    def _store_batch(self, batch: list[_Outcome]) -> None:
        if not batch:
            return
        with self._catalog.transaction():
            for outcome in batch:
                self._store(outcome)

    def _examined(self) -> Iterator[_Outcome]:
        """What opening each file that differs gave, in their order."""
        paths = (found.path for found in self._differing)
        for found, examined in zip(self._differing, self._workers.examine_all(paths), strict=True):
            known = self._catalog.known_file(found.path)
            yield _Outcome(found, known, examined, self._new_pixels(known, examined))

    def _new_pixels(self, known: KnownFile | None, examined: Examined | ImageError) -> str | None:
        """The pixel hash of a described picture whose bytes changed: an edited tag must not cost a description."""
        if known is None or known.state != "described" or isinstance(examined, ImageError):
            return None
        row = self._catalog.image(known.id)
        if row is None or row["content_hash"] == examined.content_hash or row["pixel_hash"] is None:
            return None
        try:
            path = os.fsencode(examined.path)
            return self._workers.prepare(path, self._max_image_size).result().pixel_hash
        except ImageError:
            return None

    def _store(self, outcome: _Outcome) -> None:
        found, known, examined = outcome.found, outcome.known, outcome.examined
        if isinstance(examined, ImageError):
            self._store_failure(found, known, examined)
        elif examined.is_other_file:
            self._catalog.keep_other_files([found])
            self.counts.other_files += 1
            self.counts.found -= 1
        elif known is not None:
            self._store_known(known.id, found, examined, outcome.pixel_hash)
        else:
            self._store_new(found, examined)

    def _store_failure(self, found: FoundFile, known: KnownFile | None, error: ImageError) -> None:
        counts = self.counts
        if error.kind == "still being written":
            counts.still_being_written += 1  # neither good nor bad: the next run sees it whole
            return
        if error.kind == "gone":
            if known is not None and not known.is_gone:
                self._missing[found.path] = found  # it went between the scan and now
            return
        counts.failed += 1
        if error.kind.startswith(_NEEDS):
            self.missing_libraries[error.kind.removeprefix(_NEEDS)] += 1
        else:
            self._on_failure(error)
        if error.kind in ("permission denied", READ_ERROR) and known is not None:
            return  # what was known of it stays true as far as anyone can tell
        columns = {
            **file_columns.stat_columns(found),
            "state": "failed",
            "failure_kind": error.kind,
            "failure_reason": error.reason,
        }
        if known is None:
            self._catalog.insert_image(found.path, columns)
        else:
            self._catalog.keep_past_description(known.id)
            nothing = dict.fromkeys((*DESCRIPTION_COLUMNS, "content_hash", "pixel_hash"))
            columns |= {**nothing, "gone_at": None}
            self._catalog.update_image(known.id, with_stems({**(self._catalog.image(known.id) or {}), **columns}, columns))

    def _store_known(self, image_id: int, found: FoundFile, examined: Examined, pixel_hash: str | None) -> None:
        row = self._catalog.image(image_id)
        assert row is not None
        counts = self.counts
        if row["gone_at"] is not None:
            counts.returned += 1
        elif row["content_hash"] == examined.content_hash:
            counts.unchanged += 1
        else:
            counts.changed += 1
        columns = {**file_columns.stat_columns(found), **file_columns.fact_columns(examined), "gone_at": None}
        same_content = row["content_hash"] == examined.content_hash
        same_picture = same_content or (pixel_hash is not None and pixel_hash == row["pixel_hash"])
        if same_picture and row["state"] == "failed":
            columns |= {"state": "waiting", **NO_FAILURE}
        elif not same_picture:
            self._catalog.keep_past_description(image_id)
            columns |= self._description_for(examined.content_hash)
        elif row["engine"] == "captions" and columns["caption"] not in (None, row["caption"]):
            columns["state"] = "waiting"  # its description was the caption, which is another one now
        self._catalog.update_image(image_id, with_stems({**row, **columns}, columns))

    def _store_new(self, found: FoundFile, examined: Examined) -> None:
        counts = self.counts
        columns = {**file_columns.stat_columns(found), **file_columns.fact_columns(examined)}
        moved = self._moved_from(examined.content_hash)
        self._catalog.forget_other_files([found.path])
        if moved is not None:
            counts.moved += 1
            self._catalog.move_image(moved["id"], found.path)
            self._catalog.update_image(moved["id"], with_stems({**moved, **columns}, columns))
            self._missing.pop(moved["path_bytes"], None)
            self._left_places.append(moved["path_bytes"])
            return
        columns |= self._description_for(examined.content_hash)
        if self._catalog.has_content(examined.content_hash):
            counts.copied += 1
        else:
            counts.new += 1
        self._catalog.insert_image(found.path, with_stems(columns, columns))

    def _moved_from(self, content_hash: str) -> dict[str, Any] | None:
        """The row of a file with these bytes that is not where it was, each row at most once in a run."""
        if self._left is None:
            self._left = {}
            for key, image_id, path, is_gone in self._catalog.contents():
                if is_gone or path in self._missing:
                    self._left.setdefault(key, []).append((image_id, path))
        candidates = self._left.get(content_hash, [])
        while candidates:
            image_id, path = candidates.pop()
            if not os.path.lexists(path):
                return self._catalog.image(image_id)
        return None

    def _description_for(self, content_hash: str) -> dict[str, Any]:
        """The columns of a description that these very bytes have already been given, else those of 'waiting'."""
        twin = self._catalog.described_with_content(content_hash) or self._catalog.past_description(content_hash)
        if twin is not None:
            described = {name: twin[name] for name in (*DESCRIPTION_COLUMNS, "pixel_hash")}
            return described | {"state": "described", **NO_FAILURE}
        return dict.fromkeys((*DESCRIPTION_COLUMNS, "pixel_hash")) | {"state": "waiting", **NO_FAILURE}

    # What is gone

    def _known_under(self, root: bytes) -> Iterator[KnownFile]:
        in_scope = scope([root], self._options.recursive)
        return (known for known in self._catalog.known_files() if in_scope(known.path))

    def _mark_gone(self, root: bytes, missing: list[bytes]) -> None:
        """Mark the `missing` images under `root` as gone, unless their disk looks like it is not there."""
        stay = set() if self._allow_empty or not missing else self._not_believed(root, missing)
        gone = [known.id for path in missing if path not in stay and (known := self._catalog.known_file(path))]
        with self._catalog.transaction():
            self._catalog.mark_gone(gone)
            if not stay:
                self._catalog.keep_root(root, os.stat(root).st_dev)
        self.counts.gone += len(gone)

    def _renamed_roots(self) -> list[bytes]:
        """Folders that were indexed once, are not there any more, and whose pictures were met elsewhere in this run."""
        named = self._options.roots
        known = [root for root in self._catalog.roots() if root not in named] if self._left_places else []
        gone = [root for root in known if not os.path.lexists(root)]
        return [root for root in gone if any(map(scope([root], True), self._left_places))]

    def _mark_left_behind(self, missing: list[bytes]) -> None:
        """Mark what a renamed folder held and no other folder holds now, where its disk is there."""
        known = [file for path in missing if (file := self._catalog.known_file(path)) and not file.is_gone]
        doubted = {path for paths in gone_files.doubted(known, set(missing), set()).values() for path in paths}
        gone = [file.id for file in known if file.path not in doubted]
        with self._catalog.transaction():
            self._catalog.mark_gone(gone)
        self.counts.gone += len(gone)

    def _not_believed(self, root: bytes, missing: list[bytes]) -> set[bytes]:
        """The missing paths that stay in the catalog, because their disk and not they seem to be gone; says so."""
        known = list(self._known_under(root))
        changed = {found.path for found in self._differing} | self._unopenable.keys()
        remedy = "mount the disk and run again; if it is meant, run with --allow-empty"
        if len(missing) == len(known) and not any(map(scope([root], True), changed)):
            reason = f"is empty or not mounted: nothing removed, {len(known):,} images stay in the catalog"
            self._refuse(CannotGoOn(os.fsdecode(root), reason, remedy))
            return set(missing)
        doubted = gone_files.doubted(known, set(missing), changed)
        for folder, paths in doubted.items():
            reason = f"not mounted, or on another disk than before: nothing removed, {len(paths):,} images stay in the catalog"
            self._refuse(CannotGoOn(os.fsdecode(folder), reason, remedy))
        return {path for paths in doubted.values() for path in paths}

    def _is_closed(self, path: bytes) -> bool:
        """Whether `path` lies under a folder that could not be read, so that nobody knows whether it is there."""
        return any(path.startswith(folder + b"/") or path == folder for folder in self._closed_folders)


@dataclass(frozen=True, slots=True)
class _Outcome:
    found: FoundFile
    known: KnownFile | None
    examined: Examined | ImageError
    pixel_hash: str | None


def with_stems(row: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """`columns` and the stems of the texts that `row` has once they are stored."""
    return columns | {"stems": stems_of(row)}


def stems_of(row: dict[str, Any]) -> str:
    """The stems of all searched texts of a row."""
    return words.stems(" ".join(row[name] for name in _SEARCHED_TEXTS if row.get(name)))
