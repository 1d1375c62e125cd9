"""Results with their pictures: on a terminal that can show them, and as one page in a file.

Puts the guarded decoding of pictures together with terminal_pictures and result_page; prints nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from image_catalog import result_page, search_output
from image_catalog.errors import CannotGoOn, ImageError
from image_catalog.guarded_workers import GuardedWorkers
from image_catalog.search import Hit, Result
from image_catalog.search_output import Style


def lines(result: Result, style: Style) -> Iterator[str]:
    """The lines of search_output, after each result its picture. Raises UserError, before any line, where none can be shown."""
    from image_catalog import terminal_pictures

    screen = terminal_pictures.Screen()
    with _thumbnails(result, terminal_pictures.SIZE) as thumbnail:

        def drawn(hit: Hit) -> str:
            jpeg = thumbnail(hit.row["path_bytes"])
            return screen.drawn(jpeg) if jpeg else ""

        yield from search_output.lines(result, style, drawn)


def write_page(file: str, result: Result, question: str) -> str:
    """Write the page to `file` and say where it is. Raises CannotGoOn: it cannot be written, or would replace another file."""
    remedy = "name another place with --html"
    try:
        if os.path.exists(file) and not os.path.isfile(file):
            raise CannotGoOn(file, "is no file", remedy)
        if os.path.isfile(file) and not _is_page(file):
            raise CannotGoOn(file, "is there and is no page of ours: it would be lost", remedy)
        with _thumbnails(result, result_page.THUMBNAIL_SIZE) as thumbnail:
            _replace(file, result_page.page(result, question, thumbnail).encode("utf-8"))
    except OSError as error:
        raise CannotGoOn(file, f"cannot be written ({error.strerror})", remedy) from None
    return file


def _is_page(file: str) -> bool:
    with open(file, "rb") as there:
        beginning = there.read(200)
    return not beginning or result_page.MARK.encode() in beginning


def _replace(file: str, content: bytes) -> None:
    """The old page stays until the new one is whole; a link to it stays one."""
    file = os.path.realpath(file)
    unfinished = f"{file}.{os.getpid()}.tmp"
    try:
        with open(unfinished, "xb") as page:
            page.write(content)
        os.replace(unfinished, file)
    finally:
        with suppress(OSError):
            os.unlink(unfinished)


@contextmanager
def _thumbnails(result: Result, size: int) -> Iterator[Callable[[bytes], bytes | None]]:
    """A function that gives a JPEG of the picture at a path, `size` pixels long, or None where it cannot be read."""
    with GuardedWorkers() as workers:
        waiting = {path: workers.prepare(path, size) for path in (hit.row["path_bytes"] for hit in result.hits)}

        def thumbnail(path: bytes) -> bytes | None:
            try:
                return waiting[path].result().jpeg
            except ImageError:
                return None

        yield thumbnail
