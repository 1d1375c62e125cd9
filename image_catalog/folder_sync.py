"""Bring the catalog in line with folders: what is new, changed, moved, copied, gone; facts first, no model.

Knows what a difference between disk and catalog means. Finding files is image_files' work, opening them is done in guarded
workers, SQL is the catalog's. Describing what then waits is description_run's.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from image_catalog import catalog as catalogs
from image_catalog import gone_files, image_files, words
from image_catalog.catalog import DESCRIPTION_COLUMNS, NO_FAILURE, Catalog, KnownFile
from image_catalog.errors import CannotGoOn, ImageError, UserError
from image_catalog.guarded_workers import GuardedWorkers
from image_catalog.image_files import FoundFile
from image_catalog.reading import Examined

_SEARCHED_TEXTS = ("description", "tags", "visible_text", "caption", "keywords", "facts")
_SECONDS_BETWEEN_COMMITS = 1.0
_NEEDS = "needs "  # the kind of an ImageError that a library would mend: `needs rawpy`


_Known = tuple[bytes, KnownFile]
_Difference = tuple[FoundFile, KnownFile | None]


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

    `roots` are absolute real paths; `workers` open files for it; `on_failure` hears of each file that failed, once, and
    `on_note` of each link to a folder, once. Call scan, store_facts and mark_gone in this order; `counts` and
    `refused_roots` are right at any moment.
    """

    def __init__(
        self,
        catalog: Catalog,
        workers: GuardedWorkers,
        roots: Sequence[bytes],
        *,
        recursive: bool,
        exclude: Sequence[str] = (),
        allow_empty: bool = False,
        retry_failed: bool = False,
        raw_twins: bool = False,
        max_image_size: int = 1024,
        on_failure: Callable[[UserError], None],
        on_note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._catalog = catalog
        self._workers = workers
        self._roots = list(roots)
        self._recursive = recursive
        self._exclude = exclude
        self._allow_empty = allow_empty
        self._retry_failed = retry_failed
        self._raw_twins = raw_twins
        self._max_image_size = max_image_size
        self._on_failure = on_failure
        self._on_note = on_note
        self._known = catalog.known_files()
        self._seen: set[bytes] = set()
        self._closed_folders: list[bytes] = []
        self._unopenable: list[tuple[bytes, KnownFile | None, UserError]] = []
        self._differing: list[_Difference] = []
        self.counts = SyncCounts()
        self.refused_roots: list[UserError] = []  # their absence or emptiness kept their rows from being judged
        self.missing_libraries: Counter[str] = Counter()  # files that failed for want of a library; said once for all

    def scan(self) -> int:
        """Compare the folders with the catalog, one stat a file and no read; returns how many files must be opened."""
        self._roots = [root for root in self._roots if self._is_there(root)]
        self._differing = self._scan()
        return len(self._differing)

    def store_facts(self, on_examined: Callable[[bytes], None] = lambda path: None) -> None:
        """Open what is new or changed and store its facts; `on_examined` is called after each file."""
        self._store_unopenable()
        batch: list[_Outcome] = []
        last_commit = time.monotonic()
        for outcome in self._examined(self._differing):
            batch.append(outcome)
            on_examined(outcome.found.path)
            # Facts of many files in few transactions: they are cheap to make again, unlike descriptions.
            if time.monotonic() - last_commit >= _SECONDS_BETWEEN_COMMITS:
                self._store_batch(batch)
                batch, last_commit = [], time.monotonic()
        self._store_batch(batch)

    def mark_gone(self) -> None:
        """Mark what the scan did not see as gone, root by root, where the root can be believed."""
        for root in self._roots:
            self._mark_gone(root)

    # Scanning

    def _is_there(self, root: bytes) -> bool:
        try:
            os.stat(root)
        except OSError as error:
            path = os.fsdecode(root)
            kept = "; its images stay in the catalog" if self._known_under(root) else ""
            reason = "there is no such folder" if isinstance(error, FileNotFoundError) else str(error.strerror)
            self._refuse(CannotGoOn(path, f"{reason}{kept}", "check the name, or mount the disk"))
            return False
        return True

    def _refuse(self, error: UserError) -> None:
        self.refused_roots.append(error)
        self._on_failure(error)

    def _scan(self) -> list[_Difference]:
        """Every file that is new or differs from what is known; one stat a file and no read."""
        counts = self.counts
        differing: list[_Difference] = []
        other_files = self._catalog.known_other_files()
        folder_links: list[FoundFile] = []
        readable_now = self._readable_now()
        unseen_others = set(other_files)
        captioned: set[bytes] = set()  # paths, with or without ending, whose sidecar is new, changed or gone
        for found in image_files.find_files(
            self._roots,
            self._recursive,
            self._exclude,
            on_problem=self._note_problem,
            on_folder_link=folder_links.append,
            raw_twins=self._raw_twins,
        ):
            known = self._known.get(found.path)
            if known is None:
                unseen_others.discard(found.path)
                if other_files.get(found.path) == _signature(found):
                    counts.other_files += 1
                    continue
                captioned |= image_files.sidecar_base(found.path)
            self._seen.add(found.path)
            counts.found += 1
            if known is None or self._must_open(known, found) or found.path in readable_now:
                differing.append((found, known))
            else:
                counts.unchanged += 1
        self._note_folder_links([link for link in folder_links if other_files.get(link.path) != _signature(link)])
        captioned.update(self._forget_others(unseen_others - {link.path for link in folder_links}))
        return differing + self._with_other_words(captioned, differing)

    def _note_folder_links(self, links: list[FoundFile]) -> None:
        """Say once that a link to a folder is not followed, and remember that it was said."""
        for link in links:
            self._on_note(f"{os.fsdecode(link.path)}: a link to a folder is not followed; name the folder itself to index it")
        if links:
            with self._catalog.transaction():
                self._catalog.keep_other_files((link.path, *_signature(link)) for link in links)

    def _readable_now(self) -> set[bytes]:
        """Files that failed for want of a library that is there now."""
        failed = self._catalog.failed_for_want(_NEEDS)
        there = {kind for kind in set(failed.values()) if find_spec(kind.removeprefix(_NEEDS).replace("-", "_"))}
        return {path for path, kind in failed.items() if kind in there}

    def _forget_others(self, unseen: set[bytes]) -> set[bytes]:
        """Forget what was no image and is gone; the bases of the sidecars among it."""
        in_scope = scope(self._roots, self._recursive)
        gone = [path for path in unseen if in_scope(path) and not os.path.lexists(path)]
        if gone:
            with self._catalog.transaction():
                self._catalog.forget_other_files(gone)
        return {base for path in gone for base in image_files.sidecar_base(path)}

    def _with_other_words(self, bases: set[bytes], differing: list[_Difference]) -> list[_Difference]:
        """Unchanged pictures whose sidecar changed: they are opened for their facts."""
        if not bases:
            return []
        opened = {found.path for found, _ in differing}
        paths = sorted(
            path
            for path in self._seen
            if path in self._known and path not in opened and (path in bases or os.path.splitext(path)[0] in bases)
        )
        pictures = [found for path in paths if (found := image_files.found_file(path)) is not None]
        self.counts.unchanged -= len(pictures)  # counted when they were seen, and again when they are stored
        return [(found, self._known[found.path]) for found in pictures]

    def _must_open(self, known: KnownFile, found: FoundFile) -> bool:
        failed_before = self._retry_failed and known.state == "failed"
        return _signature(known) != _signature(found) or known.is_gone or failed_before

    def _note_problem(self, problem: UserError) -> None:
        """A folder that cannot be read is said at every run; a FIFO or dead link named like an image once, then remembered."""
        path = os.fsencode(problem.subject)
        if os.path.isdir(path):
            self._closed_folders.append(path)
        else:
            self._seen.add(path)
            known = self._known.get(path)
            if known is not None and known.state == "failed" and not known.is_gone:
                return
            self._unopenable.append((path, known, problem))
        self.counts.failed += 1
        self._on_failure(problem)

    # Opening and storing

    def _store_unopenable(self) -> None:
        if not self._unopenable:
            return
        nowhere = dict.fromkeys(("size", "mtime_ns", "ctime_ns", "inode", "device"), -1)
        with self._catalog.transaction():
            for path, known, problem in self._unopenable:
                kind = getattr(problem, "kind", "unreadable")
                columns = {**nowhere, "state": "failed", "failure_kind": kind, "failure_reason": problem.reason}
                if known is None:
                    self._catalog.insert_image(path, columns)

    def _store_batch(self, batch: list[_Outcome]) -> None:
        if not batch:
            return
        with self._catalog.transaction():
            for outcome in batch:
                self._store(outcome)

    def _examined(self, differing: list[_Difference]) -> Iterator[_Outcome]:
        """What opening each file gave, in the order of the list."""
        paths = (found.path for found, _ in differing)
        for (found, known), examined in zip(differing, self._workers.examine_all(paths), strict=True):
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
            self._catalog.keep_other_files([(found.path, *_signature(found))])
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
            self._seen.discard(found.path)  # it went between the scan and now
            return
        counts.failed += 1
        if error.kind.startswith(_NEEDS):
            self.missing_libraries[error.kind.removeprefix(_NEEDS)] += 1
        else:
            self._on_failure(error)
        if error.kind == "permission denied" and known is not None:
            return  # what was known of it stays true as far as anyone can tell
        columns = {**_stat_columns(found), "state": "failed", "failure_kind": error.kind, "failure_reason": error.reason}
        if known is None:
            self._catalog.insert_image(found.path, columns)
        else:
            self._catalog.keep_past_description(known.id)
            nothing = dict.fromkeys((*DESCRIPTION_COLUMNS, "content_hash", "pixel_hash"))
            self._catalog.update_image(known.id, {**columns, **nothing, "gone_at": None, "stems": ""})

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
        columns = {**_stat_columns(found), **_fact_columns(examined), "gone_at": None}
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
        columns = {**_stat_columns(found), **_fact_columns(examined)}
        twins = self._catalog.images_with_content(examined.content_hash)
        moved = next((twin for twin in twins if self._has_left(twin["path_bytes"])), None)
        self._catalog.forget_other_files([found.path])
        if moved is not None:
            counts.moved += 1
            self._catalog.move_image(moved["id"], found.path)
            self._catalog.update_image(moved["id"], with_stems({**moved, **columns}, columns))
            self._known.pop(moved["path_bytes"], None)
            return
        columns |= self._description_for(examined.content_hash)
        if twins:
            counts.copied += 1
        else:
            counts.new += 1
        self._catalog.insert_image(found.path, with_stems(columns, columns))

    def _has_left(self, path: bytes) -> bool:
        return path not in self._seen and not os.path.lexists(path)

    def _description_for(self, content_hash: str) -> dict[str, Any]:
        """The columns of a description that these very bytes have already been given, else those of 'waiting'."""
        for twin in self._catalog.images_with_content(content_hash):
            if twin["state"] == "described":
                return {name: twin[name] for name in DESCRIPTION_COLUMNS} | {
                    "pixel_hash": twin["pixel_hash"],
                    "state": "described",
                    **NO_FAILURE,
                }
        past = self._catalog.past_description(content_hash)
        if past is not None:
            return {name: past[name] for name in (*DESCRIPTION_COLUMNS, "pixel_hash")} | {
                "state": "described",
                **NO_FAILURE,
            }
        return dict.fromkeys((*DESCRIPTION_COLUMNS, "pixel_hash")) | {"state": "waiting", **NO_FAILURE}

    # What is gone

    def _known_under(self, root: bytes) -> list[_Known]:
        in_scope = scope([root], self._recursive)
        return [(path, known) for path, known in self._known.items() if not known.is_gone and in_scope(path)]

    def _mark_gone(self, root: bytes) -> None:
        """Mark the images under `root` that the scan did not see, unless the root itself looks like it is not there."""
        known = self._known_under(root)
        missing = [(path, file) for path, file in known if path not in self._seen and not self._is_closed(path)]
        if not missing:
            self._keep_root(root)
            return
        stay = set() if self._allow_empty else self._not_believed(root, known, missing)
        gone = [file.id for path, file in missing if path not in stay]
        with self._catalog.transaction():
            self._catalog.mark_gone(gone)
            if not stay:
                self._catalog.keep_root(root, os.stat(root).st_dev)
        self.counts.gone += len(gone)

    def _not_believed(self, root: bytes, known: list[_Known], missing: list[_Known]) -> set[bytes]:
        """The missing paths that stay in the catalog, because their disk and not they seem to be gone; says so."""
        remedy = "mount the disk and run again; if it is meant, run with --allow-empty"
        if len(missing) == len(known) and not any(map(scope([root], True), self._seen)):
            reason = f"is empty or not mounted: nothing removed, {len(known):,} images stay in the catalog"
            self._refuse(CannotGoOn(os.fsdecode(root), reason, remedy))
            return {path for path, _ in missing}
        doubted = gone_files.doubted(missing, self._living_devices(known))
        for folder, paths in doubted.items():
            reason = f"not mounted, or on another disk than before: nothing removed, {len(paths):,} images stay in the catalog"
            self._refuse(CannotGoOn(os.fsdecode(folder), reason, remedy))
        return {path for paths in doubted.values() for path in paths}

    def _living_devices(self, known: list[_Known]) -> set[int]:
        """Devices from which a known file is where it was, untouched."""
        opened = {found.path for found, _ in self._differing}
        return {file.device for path, file in known if path in self._seen and path not in opened}

    def _is_closed(self, path: bytes) -> bool:
        """Whether `path` lies under a folder that could not be read, so that nobody knows whether it is there."""
        return any(path.startswith(folder + b"/") or path == folder for folder in self._closed_folders)

    def _keep_root(self, root: bytes) -> None:
        self._catalog.keep_root(root, os.stat(root).st_dev)


@dataclass(frozen=True, slots=True)
class _Outcome:
    found: FoundFile
    known: KnownFile | None
    examined: Examined | ImageError
    pixel_hash: str | None


def scope(roots: Iterable[bytes], recursive: bool) -> Callable[[bytes], bool]:
    """A test whether a path lies under one of `roots` (directly in it when not recursive) or is one."""
    folders = [(root, root.rstrip(b"/") + b"/") for root in roots]

    def lies_under(path: bytes) -> bool:
        return any(
            path == root or (path.startswith(folder) and (recursive or b"/" not in path[len(folder) :]))
            for root, folder in folders
        )

    return lies_under


def with_stems(row: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """`columns` and the stems of the texts that `row` has once they are stored."""
    return columns | {"stems": words.stems(" ".join(row[name] for name in _SEARCHED_TEXTS if row.get(name)))}


def _signature(file: FoundFile | KnownFile) -> tuple[int, int, int, int]:
    return (file.size, file.mtime_ns, file.ctime_ns, file.inode)


def _stat_columns(found: FoundFile) -> dict[str, Any]:
    return {
        "size": found.size,
        "mtime_ns": found.mtime_ns,
        "ctime_ns": found.ctime_ns,
        "inode": found.inode,
        "device": found.device,
    }


def _fact_columns(examined: Examined) -> dict[str, Any]:
    exif, facts = examined.exif, examined.facts
    place = facts.place
    return {
        "content_hash": examined.content_hash,
        "format": examined.format,
        "width": examined.width,
        "height": examined.height,
        "taken_at": exif.taken_at,
        "camera_make": exif.camera_make,
        "camera_model": exif.camera_model,
        "lens": exif.lens,
        "focal_length": exif.focal_length,
        "aperture": exif.aperture,
        "exposure_time": exif.exposure_time,
        "iso": exif.iso,
        "latitude": exif.latitude,
        "longitude": exif.longitude,
        "altitude": exif.altitude,
        "orientation": exif.orientation,
        "place": place and place.text("en"),
        "place_ru": place and place.text("ru"),
        "caption": exif.caption_text(),
        "keywords": catalogs.to_json(exif.keywords) if exif.keywords else None,
        "exif": catalogs.to_json(exif.as_dict()),
        "facts": facts.text,
        "context": facts.context,
    }
