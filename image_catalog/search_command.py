"""The command line of search_images.py: options -> a request, a result -> what is printed and the exit code.

Puts together search, search_output and what shows pictures; knows nothing of how they do it.
"""

from __future__ import annotations

import argparse
import os
import sys

from image_catalog import command_line
from image_catalog.command_line import printable, write_line, write_path_nul
from image_catalog.errors import CANNOT_GO_ON, DONE, NOTHING_FOUND, CannotGoOn, UsageError, UserError

TYPE_CHECKING = False  # typing would cost a text search a tenth of its time
if TYPE_CHECKING:
    from collections.abc import Iterator

    from image_catalog.catalog import Catalog
    from image_catalog.ranking import Meaning
    from image_catalog.search import Request, Result
    from image_catalog.search_output import Style

DESCRIPTION = """\
Find pictures by what you say, in Russian or English: by the words of their descriptions, captions, names, places and dates,
and by meaning where create_faiss_index.py has made vectors. Word forms match: собака finds собаки, running finds runs.

In a query: "two words" in quotes must stand so, -word must not be there, word* is a beginning, one OR another, and filters
such as camera:canon after:2023. Any other text is safe.

Goes in: a query, filters, or both. Comes out: paths with descriptions, best first; exit code 1 when nothing is found."""

EXAMPLES = """
  python search_images.py "собака на пляже"
  python search_images.py sunset --after 2023-06 --camera canon -n 5
  python search_images.py --near Сочи --paths                  no query: all that pass the filter, newest first
  python search_images.py --like photo.jpg --not people
  python search_images.py --mode text '"red car"' -0 | xargs -0 cp -t /tmp/cars
"""

_MOST_PICTURES = 1_000_000_000  # more than any catalog has, and small enough for SQLite


def main(argv: list[str]) -> int:
    """Run one search. Raises UserError."""
    options = _parse(argv)
    request = _request(options)
    from image_catalog import search, search_output
    from image_catalog.catalog import Catalog

    reporter = command_line.Reporter(options.quiet)
    with Catalog.open_for_reading(options.db) as catalog:
        if options.like:
            from image_catalog import likeness

            request = request.with_(like=likeness.of_file(catalog, options.like, reporter.note))
        result = search.run(catalog, request, lambda: _open_meaning(options))
        for note in result.notes:
            reporter.warn(note)
        _print(options, result, request.text, reporter)
        _say_what_is_missing(reporter, catalog, request, result)
        if result.has_more and result.mode in ("list", "text", "fts"):  # by meaning there is always more
            reporter.note(f"there are more: --offset {request.offset + request.limit} shows the next, -n N more at once")
        if (options.paths or options.null or options.csv) and (line := search_output.weak_line(result)):
            reporter.note(line)
        reporter.note(search_output.coverage_line(catalog.coverage(), result.behind, result.mode))
    if options.open and result.hits and not _is_opened(result.hits[0].row["path_bytes"], reporter):
        return CANNOT_GO_ON
    return DONE if result.hits else NOTHING_FOUND


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.ArgumentParser(DESCRIPTION, EXAMPLES, usage="%(prog)s [options] [query ...]")
    add = parser.add_argument
    add("query", nargs="*", help="what to look for")
    add("--mode", choices=("hybrid", "semantic", "text"), default="hybrid", help="words and meaning (default), or one of them")
    add("--like", metavar="IMAGE", help="pictures similar to this one, in the catalog or not")
    add(
        "--not",
        metavar="TEXT",
        dest="unlike",
        default="",
        help="what should not be in the picture: left out where words say it, else moved down",
    )
    add("-n", "--limit", metavar="N", type=command_line.positive_int, default=10, help="at most N pictures (10)")
    add("--offset", metavar="N", type=_not_negative, default=0, help="leave out the first N")
    add(
        "--sort",
        choices=("score", "date", "path"),
        default="score",
        help="best (all), or newest or first by path at the top (no weaker matches)",
    )
    add("--min-score", metavar="X", type=command_line.finite_float, help="leave out what scores lower")
    add("--fts-syntax", action="store_true", help="the query is raw FTS5 syntax")
    _add_filters(parser)
    output = parser.add_argument_group("output").add_argument
    output("--paths", action="store_true", help="paths only, one a line")
    output("-0", "--null", action="store_true", help="paths only, raw bytes, each ended by NUL: for xargs -0")
    output("--csv", action="store_true", help="a table for spreadsheets")
    output("--html", metavar="FILE", help="write one self-contained page with thumbnails")
    output("--show", action="store_true", help="pictures, too, on a terminal that can: kitty, iTerm2, sixels")
    output("--open", action="store_true", help="open the first picture in this system's viewer")
    command_line.add_catalog_options(parser)
    command_line.add_vector_index_option(parser)
    command_line.add_output_options(parser, "one JSON document a line for each picture")
    options: argparse.Namespace = parser.parse_args(argv)
    return options


def _add_filters(parser: argparse.ArgumentParser) -> None:
    repeated = "Repeat one for another camera, lens, folder, place, format or orientation, or for one more tag."
    group = parser.add_argument_group("filters, applied before ranking", repeated)
    for name, metavar, text in (
        ("after", "DATE", 'taken on or after: 2023, 2023-06, 2023-06-15 or "2 weeks ago"'),
        ("before", "DATE", "taken before"),
        ("camera", "TEXT", "part of the camera's maker or model"),
        ("lens", "TEXT", "part of the lens' name"),
        ("folder", "DIR", "under this folder, or under any of this name"),
        ("near", "PLACE", "LAT,LON[,KM] or TOWN,KM: within KM kilometres (10); or the name of a town, region or country"),
        ("format", "NAME", "JPEG, PNG, HEIC, ..."),
        ("tag", "WORD", "has this tag or keyword"),
        ("min-size", "PIXELS", "long side at least so many pixels"),
        ("orientation", "WORD", "landscape, portrait or square"),
    ):
        option = group.add_argument(f"--{name}", metavar=metavar, action="append", default=[], help=text)
        if "_ARGCOMPLETE" in os.environ and name != "folder":
            from image_catalog import completion

            option.completer = completion.values_of(name)  # type: ignore[attr-defined]
    group.add_argument("--has-text", action="store_const", const=["text"], default=[], dest="has", help="text can be read in it")


def _not_negative(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0")
    return int(text[:30])


def _request(options: argparse.Namespace) -> Request:
    from image_catalog import search_filter
    from image_catalog.query import FILTERS
    from image_catalog.search import Request

    text = " ".join(options.query)
    for name in ("html", "like"):
        if getattr(options, name) == "":
            raise UsageError(f"--{name}", "is empty", "leave it out, or name a file")
    if sum(map(bool, (options.json, options.csv, options.html, options.paths or options.null))) > 1:
        raise UsageError("--json, --csv, --html, --paths", "cannot all be had at once", "choose one")
    wanted = search_filter.read((name, value) for name in FILTERS for value in getattr(options, name.replace("-", "_")))
    if not (text.strip() or options.like or options.unlike.strip()) and wanted.is_empty():
        raise UsageError("query", "is empty", "say what to look for, or name a filter (see --help)")
    if options.fts_syntax and (options.like or options.mode == "semantic"):
        raise UsageError("--fts-syntax", "finds words only", "leave out --like and --mode semantic")
    return Request(
        text=text,
        mode=options.mode,
        filter=wanted,
        limit=min(options.limit, _MOST_PICTURES),
        offset=min(options.offset, _MOST_PICTURES),
        sort=options.sort,
        min_score=options.min_score,
        is_fts_syntax=options.fts_syntax,
        unlike=options.unlike,
    )


def _open_meaning(options: argparse.Namespace) -> Meaning:
    """The vector index and what embeds the query; numpy, faiss and the encoder load here and not before."""
    path = command_line.vector_index_path(options)
    if not os.path.exists(path):
        raise CannotGoOn(path, "there is no vector index yet", "make it with: python create_faiss_index.py")
    from image_catalog.query_encoder import open_encoder
    from image_catalog.search import Meaning
    from image_catalog.vector_index import VectorIndex

    notes: list[str] = []
    index = VectorIndex.open(path)
    encoder = open_encoder(index.provenance.model, index.provenance.model_digest, path, notes.append)
    return Meaning(index, encoder.encode, notes, encoder.reads)


def _print(options: argparse.Namespace, result: Result, question: str, reporter: command_line.Reporter) -> None:
    from image_catalog import search_output

    if options.html:
        from image_catalog import result_pictures

        write_line(printable(result_pictures.write_page(options.html, result, question)))
    elif options.null:
        for path in search_output.paths(result):
            write_path_nul(path)
    elif options.json:
        for line in search_output.json_lines(result):
            write_line(line)
    elif options.csv:
        write_line(search_output.csv_table(result))
    elif options.paths:
        for hit in result.hits:
            write_line(printable(search_output.path_of(hit)))
    else:
        style = search_output.COLOUR if command_line.colour_allowed(sys.stdout) else search_output.PLAIN
        for line in _shown(result, style, reporter) if options.show else search_output.lines(result, style):
            write_line(line)


def _shown(result: Result, style: Style, reporter: command_line.Reporter) -> Iterator[str]:
    """The readable results with their pictures, or without and a line that says why."""
    from image_catalog import result_pictures, search_output

    try:
        yield from result_pictures.lines(result, style)
    except UserError as error:
        reporter.failure(error)
        yield from search_output.lines(result, style)


def _is_opened(path: bytes, reporter: command_line.Reporter) -> bool:
    from image_catalog.viewer import open_picture

    sys.stdout.flush()
    try:
        open_picture(path)
    except UserError as error:
        reporter.failure(error)
        return False
    return True


def _say_what_is_missing(reporter: command_line.Reporter, catalog: Catalog, request: Request, result: Result) -> None:
    if reporter.quiet or (result.hits and not result.missing):
        return
    from image_catalog.spelling import what_is_missing

    if line := what_is_missing(catalog, request.text, result.missing, bool(result.hits)):
        reporter.note(line)
