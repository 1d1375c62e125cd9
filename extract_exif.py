"""extract_exif.py: image files -> what their cameras and owners wrote into them, on stdout. Nothing is stored."""
# PYTHON_ARGCOMPLETE_OK: the shell may ask this script what can stand on its command line

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from image_catalog import command_line
from image_catalog.command_line import json_text, printable, printable_lines, write_line
from image_catalog.errors import DONE, SOME_FAILED, ImageError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from image_catalog.reading import Metadata

DESCRIPTION = """\
Print the EXIF metadata of images: date, camera, exposure, position with the nearest town, and the title, caption and keywords
of XMP, IPTC and sidecar files. Reads JPEG, PNG, WebP, TIFF, HEIC, AVIF and camera raw files.

Goes in: image files and folders. Comes out: text, or with --json one JSON object a line. The exit code is 1 if a file has no
EXIF (with --gps: no position) or cannot be read; each of these is named on stderr."""

EXAMPLES = """
  python extract_exif.py holiday/beach.jpg
  python extract_exif.py --gps holiday/*.heic                   coordinates, and a geo: link that opens a map
  python extract_exif.py -r --json ~/Pictures > exif.jsonl      all folders in it; raw tags too
  python extract_exif.py -- -odd-name.jpg                       a name that begins with a dash
"""


def main(argv: list[str]) -> int:
    options = _parse(argv)
    from image_catalog import reading
    from image_catalog.guarded_workers import GuardedWorkers

    reporter = command_line.Reporter(options.quiet)
    failed = 0

    def report(error: UserError) -> None:
        nonlocal failed
        failed += 1
        reporter.failure(error)

    with GuardedWorkers(1) as workers:
        for path, is_wanted in _image_files(options, report):
            try:
                metadata = workers.submit(reading.metadata, os.fsencode(path)).result()
            except ImageError as error:
                if is_wanted:
                    report(error)
                    _write_failure(path, error, options)
                continue
            _write(path, metadata, options)
            if reason := _what_is_missing(metadata, options):
                report(ImageError(path, reason, kind="no EXIF"))
    return SOME_FAILED if failed else DONE


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.ArgumentParser(DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("files", metavar="FILE", nargs="+", help="image files, or folders of them")
    add("-r", "--recursive", action="store_true", help="go into subfolders")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--gps", action="store_true", help="print coordinates and a geo: link only")
    shape.add_argument("--raw", action="store_true", help="print every EXIF tag as it stands, too")
    command_line.add_output_options(parser, "print one JSON object a file: the known values by name, raw tags, place")
    options: argparse.Namespace = parser.parse_args(argv)
    return options


def _image_files(options: argparse.Namespace, report: Callable[[UserError], None]) -> Iterator[tuple[str, bool]]:
    """Paths as the user would write them, and whether one was meant to be an image: named, or by its ending."""
    from image_catalog import image_files

    for name in options.files:
        if not os.path.isdir(name):
            yield name, True
            continue
        folder = os.path.abspath(os.fsencode(name))
        is_empty = True
        for found in image_files.find_files([folder], options.recursive, on_problem=report, raw_twins=True):
            path = os.path.join(os.fsencode(name), os.path.relpath(found.path, folder))
            is_empty = is_empty and not image_files.has_image_name(path)
            yield os.fsdecode(path), image_files.has_image_name(path)
        if is_empty:
            remedy = "" if options.recursive else "-r goes into its subfolders"
            report(ImageError(name, "no pictures in this folder", remedy, kind="no pictures"))


def _what_is_missing(metadata: Metadata, options: argparse.Namespace) -> str | None:
    if options.gps:
        return "no GPS position" if metadata.exif.latitude is None else None
    return None if metadata.exif.has_tags else "no EXIF data"


def _write(path: str, metadata: Metadata, options: argparse.Namespace) -> None:
    from image_catalog import exif_text

    if options.json:
        write_line(json_text(_as_json(path, metadata, options)))
    elif not options.gps:
        write_line(f"{printable(path)}")
        for line in exif_text.lines(metadata, options.raw):
            write_line(printable_lines(line))
        write_line("")
    elif metadata.exif.latitude is not None:
        place = metadata.place.text() if metadata.place else ""
        columns = (path, exif_text.coordinates(metadata.exif), exif_text.geo_link(metadata.exif), place)
        write_line("\t".join(printable(column or "") for column in columns))


def _as_json(path: str, metadata: Metadata, options: argparse.Namespace) -> dict[str, Any]:
    from image_catalog import exif_text

    values = metadata.exif.as_dict()
    header, place = metadata.header, metadata.place
    known = {
        "path": path,
        "format": header and header.format,
        "width": header and header.width,
        "height": header and header.height,
        "place": place and place.text("en"),
        "place_ru": place and place.text("ru"),
        "geo": exif_text.geo_link(metadata.exif),
    }
    if options.gps:
        values = {name: values[name] for name in ("latitude", "longitude", "altitude", "direction") if name in values}
    return {name: value for name, value in known.items() if value is not None} | values


def _write_failure(path: str, error: ImageError, options: argparse.Namespace) -> None:
    if options.json:
        write_line(json_text({"path": path, "error": {"kind": error.kind, "reason": error.reason}}))


if __name__ == "__main__":
    raise SystemExit(command_line.run_script(main))
