"""What index_images.py does to a catalog as a whole: --check, --repair, --backup, --export, --import, --relocate, --forget,
--write-sidecars. Each does its work and tells in lines what was done; printing and locking are the script's.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple, Protocol

from image_catalog import catalog_check, catalog_upkeep, facts
from image_catalog.catalog import Catalog
from image_catalog.errors import DONE, SOME_FAILED, CannotGoOn, ImageError, UsageError, UserError


class Outcome(NamedTuple):
    """What was done: lines for people, the same as JSON fields, and the exit code."""

    lines: list[str]
    fields: dict[str, Any]
    exit_code: int = DONE


class Listener(Protocol):
    """Who hears of problems on the way."""

    def failure(self, error: UserError) -> None: ...


def check(path: str, index_path: str) -> Outcome:
    """Prove the catalog whole, or name what is wrong (exit 1). Raises CannotGoOn when it cannot be opened at all."""
    with Catalog.open(path) as catalog:
        found = list(catalog_check.findings(catalog, index_path))
        there = catalog.coverage() if not found else None
    lines = [f"{finding.part}: {finding.problem}; {finding.remedy}" for finding in found]
    if there is not None:
        lines.append(f"{path} is whole: {there.images:,} images, {there.described:,} of them described")
    fields = {"findings": [{"part": item.part, "problem": item.problem, "remedy": item.remedy} for item in found]}
    return Outcome(lines, fields, SOME_FAILED if found else DONE)


def repair(path: str, index_path: str) -> Outcome:
    """Mend what is derived, after keeping a copy; of a damaged file save what can be read into a new one. Raises CannotGoOn."""
    try:
        with Catalog.open(path) as catalog:
            found = list(catalog_check.findings(catalog, index_path))
            if not found:
                return Outcome([f"{path} is whole: nothing to repair"], {"repaired": []})
            if not any(finding.is_damage for finding in found):
                copy = catalog_check.keep_copy(catalog)
                done = catalog_check.repair(catalog)
                left = list(catalog_check.findings(catalog, index_path))
                lines = [
                    f"a copy of it as it was: {copy}",
                    *done,
                    *(f"left: {item.part}: {item.problem}; {item.remedy}" for item in left),
                ]
                return Outcome(lines, {"copy": copy, "repaired": done}, SOME_FAILED if left else DONE)
    except CannotGoOn as error:
        if "damaged" not in error.reason:
            raise
    return _salvage(path)


def _salvage(path: str) -> Outcome:
    saved = catalog_check.copy_name(path, "saved")
    images, described = catalog_check.salvage(path, saved)
    lines = [
        f"{path} is damaged; it was left as it is",
        f"saved from it: {images:,} images, {described:,} of them described, in {saved}",
        f"to go on with that: mv {path} {path}.damaged; rm -f {path}-wal {path}-shm; mv {saved} {path}",
    ]
    return Outcome(lines, {"saved": saved, "images": images, "described": described}, SOME_FAILED)


def back_up(path: str, target: str) -> Outcome:
    """A whole copy of the catalog, also while a run writes; replaces an older copy and nothing else. Raises CannotGoOn."""
    if os.path.isdir(target):
        raise CannotGoOn(target, "is a folder", "name a file for the copy")
    if os.path.exists(target):
        if os.path.samefile(path, target):
            raise UsageError(target, "is the catalog itself", "name another file for the copy")
        try:
            Catalog.open_for_reading(target).close()
        except CannotGoOn as error:
            raise CannotGoOn(target, f"is there and no copy of a catalog ({error.reason})", "name another file") from None
    with Catalog.open_for_reading(path) as catalog:
        catalog_upkeep.copy_to(catalog, target)
        there = catalog.coverage()
    size = os.path.getsize(target)
    line = f"{target}: {there.images:,} images, {there.described:,} of them described; {size / 1e6:,.1f} MB"
    return Outcome([line], {"backup": target, "images": there.images, "described": there.described, "bytes": size})


def export(path: str, target: str) -> Outcome:
    """Descriptions as JSON lines into a file, or to stdout as `-`. Raises CannotGoOn."""
    from image_catalog import description_exchange

    with Catalog.open_for_reading(path) as catalog:
        if target == "-":
            description_exchange.write(catalog, sys.stdout.buffer)
            return Outcome([], {})
        count = description_exchange.write_file(catalog, target)
    return Outcome([f"{target}: {count:,} descriptions"], {"export": target, "descriptions": count})


def take_over(path: str, source: str, listener: Listener) -> Outcome:
    """Descriptions of an export into the catalog; lines that are none are named (exit 1). Raises CannotGoOn."""
    from image_catalog import description_exchange

    with Catalog.open(path) as catalog:
        if source == "-":
            counts = description_exchange.read(catalog, sys.stdin.buffer, "standard input", listener.failure)
        else:
            counts = description_exchange.read_file(catalog, source, listener.failure)
    parts = [
        f"{count:,} {name}"
        for count, name in (
            (counts.taken_over, "taken over"),
            (counts.already_there, "there already"),
            (counts.kept_for_later, "kept for pictures that the catalog has not met yet"),
            (counts.bad_lines, "lines were bad"),
        )
        if count
    ]
    return Outcome(["; ".join(parts) or "no descriptions"], vars(counts), SOME_FAILED if counts.bad_lines else DONE)


def relocate(path: str, old: str, new: str) -> Outcome:
    """Tell the catalog that everything under one folder lies under another now. Raises CannotGoOn, UsageError."""
    source, target = os.path.abspath(os.fsencode(old)), os.path.realpath(os.fsencode(new))
    if source == target:
        raise UsageError(new, "is the same folder", "name where the pictures were, then where they are now")
    if not os.path.isdir(target):
        raise CannotGoOn(new, "there is no such folder", "mount the disk, or check the name")
    with Catalog.open(path) as catalog:
        source = _known_folder(catalog, source, old)
        done = catalog_upkeep.relocate(
            catalog, source, target, os.stat(target).st_dev, lambda before, after: facts.names_in(before) == facts.names_in(after)
        )
    merged = f", {done.merged:,} of them were known at the new place already" if done.merged else ""
    line = f"{done.images:,} images moved in the catalog from {old} to {new}{merged}; their descriptions stay"
    return Outcome([line], done._asdict())


def forget(path: str, folder: str) -> Outcome:
    """Remove all that the catalog knows of a folder. The pictures stay. Raises CannotGoOn."""
    with Catalog.open(path) as catalog:
        name = _known_folder(catalog, os.path.abspath(os.fsencode(folder)), folder)
        images = catalog_upkeep.forget(catalog, name)
    lines = [
        f"{images:,} images of {folder} forgotten, with their descriptions and vectors; the pictures were not touched",
        "image_index.faiss still holds their vectors: python create_faiss_index.py takes them out",
    ]
    return Outcome(lines, {"forgotten": images})


def _known_folder(catalog: Catalog, absolute: bytes, as_given: str) -> bytes:
    """The folder as the catalog knows it: as it was given, else with its links followed. Raises CannotGoOn when it is unknown."""
    for folder in (absolute, os.path.realpath(absolute)):
        if catalog_upkeep.images_under(catalog, folder):
            return folder
    raise CannotGoOn(as_given, "no image of the catalog lies there", "index_images.py --status lists its folders")


def write_sidecars(path: str, folders: list[str], force: bool, listener: Listener) -> Outcome:
    """XMP sidecars with the descriptions beside the pictures; what cannot be written is named (exit 1). Raises CannotGoOn."""
    from image_catalog import sidecar_writing

    written = unchanged = failed = 0
    with Catalog.open(path) as catalog:
        names = [_known_folder(catalog, os.path.abspath(os.fsencode(folder)), folder) for folder in folders]
        signatures = []
        for row in list(catalog_upkeep.described_images_under(catalog, names)):
            try:
                is_new = sidecar_writing.write(row, force)
            except ImageError as error:
                failed += 1
                listener.failure(error)
                continue
            written += is_new
            unchanged += not is_new
            if is_new and (found := sidecar_writing.signature(row["path_bytes"])) is not None:
                signatures.append(found)
        with catalog.transaction():
            catalog.keep_other_files(signatures)  # so that the next run need not read them and their pictures
    line = f"{written:,} sidecars written, {unchanged:,} are as they should be" + (f", {failed:,} not written" if failed else "")
    return Outcome([line], {"written": written, "unchanged": unchanged, "failed": failed}, SOME_FAILED if failed else DONE)
