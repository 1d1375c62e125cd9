"""Results with their pictures: on a terminal that can show them, and as one page in a file.

Puts the guarded decoding of pictures together with terminal_pictures and result_page; prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from image_catalog import search_output
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
    """Write the page to `file` and say where it is. Raises CannotGoOn when it cannot be written."""
    from image_catalog import result_page

    with _thumbnails(result, result_page.THUMBNAIL_SIZE) as thumbnail:
        text = result_page.page(result, question, thumbnail)
    try:
        with open(file, "w", encoding="utf-8") as page:
            page.write(text)
    except OSError as error:
        raise CannotGoOn(file, f"cannot be written ({error.strerror})", "name another place with --html") from None
    return file


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
