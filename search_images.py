"""search_images.py: what you say -> the pictures of images.db that show it, best first."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from image_catalog import command_line
from image_catalog.command_line import json_text, printable, write_line, write_path_nul
from image_catalog.errors import DONE, NOTHING_FOUND, UsageError

if TYPE_CHECKING:
    from image_catalog.catalog import Catalog
    from image_catalog.catalog_search import Filter
    from image_catalog.search import Hit, Meaning, Request, Result

DESCRIPTION = """\
Find pictures by what you say, in Russian or English: by the words of their descriptions, captions, names, places and dates,
and by meaning where create_faiss_index.py has made vectors. Word forms match: собака finds собаки, running finds runs.

In a query: "two words" in quotes must stand so, -word must not be there, word* is a beginning. Any other text is safe.

Goes in: a query, filters, or both. Comes out: paths with descriptions, best first; exit code 1 when nothing is found."""

EXAMPLES = """
  python search_images.py "собака на пляже"
  python search_images.py sunset --after 2023-06 --camera canon -n 5
  python search_images.py --near 43.58,39.72,20 --paths        no query: all that pass the filter, newest first
  python search_images.py "red car" --paths -0 | xargs -0 cp -t /tmp/cars
"""

_COLUMNS_OF_JSON = (
    "path", "description", "tags", "visible_text", "caption", "keywords", "taken_at", "place", "place_ru", "camera_make",
    "camera_model", "lens", "latitude", "longitude", "format", "width", "height", "state", "id",
)  # fmt: skip
_SHORT_DESCRIPTION = 220
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def main(argv: list[str]) -> int:
    options = _parse(argv)
    request = _request(options)
    from image_catalog import search
    from image_catalog.catalog import Catalog

    reporter = command_line.Reporter(options.quiet)
    with Catalog.open_for_reading(options.db) as catalog:
        result = search.run(catalog, request, lambda: _open_meaning(options, catalog))
        for note in result.notes:
            reporter.warn(note)
        _print(options, result)
        if not result.hits:
            _say_nothing_found(reporter, catalog, result)
        reporter.note(_coverage_line(catalog, result))
    return DONE if result.hits else NOTHING_FOUND


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.ArgumentParser(DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("query", nargs="*", help="what to look for")
    add("--mode", choices=("hybrid", "semantic", "text"), default="hybrid", help="words and meaning (default), or one")
    add("-n", "--limit", metavar="N", type=command_line.positive_int, default=10, help="at most N pictures (10)")
    add("--offset", metavar="N", type=_not_negative, default=0, help="leave out the first N")
    add("--min-score", metavar="X", type=float, help="leave out what scores lower")
    add("--fts-syntax", action="store_true", help="the query is raw FTS5 syntax")
    group = parser.add_argument_group("filters (applied before ranking)").add_argument
    group("--after", metavar="DATE", help="taken on or after: 2023, 2023-06 or 2023-06-15")
    group("--before", metavar="DATE", help="taken before")
    group("--camera", metavar="TEXT", help="part of the camera's maker or model")
    group("--lens", metavar="TEXT", help="part of the lens' name")
    group("--folder", metavar="DIR", help="under this folder")
    group("--near", metavar="LAT,LON[,KM]", help="taken within KM kilometres (10) of a place")
    group("--format", metavar="NAME", help="JPEG, PNG, HEIC, ...")
    group("--tag", metavar="WORD", action="append", default=[], help="has this tag or keyword; repeat for several")
    group("--min-size", metavar="PIXELS", type=command_line.positive_int, help="long side at least so many pixels")
    output = parser.add_argument_group("output").add_argument
    output("--paths", action="store_true", help="paths only, one a line")
    output("-0", "--null", action="store_true", help="paths only, raw bytes, each ended by NUL: for xargs -0")
    output("--csv", action="store_true", help="a table for spreadsheets")
    command_line.add_catalog_options(parser)
    command_line.add_vector_index_option(parser)
    command_line.add_output_options(parser, "one JSON document a line for each picture")
    return parser.parse_args(argv)


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


# What is asked


def _request(options: argparse.Namespace) -> Request:
    from image_catalog.search import Request

    text = " ".join(options.query)
    wanted = _filter(options)
    if not text.strip() and wanted.is_empty():
        raise UsageError("query", "is empty", "say what to look for, or name a filter (see --help)")
    return Request(text, options.mode, wanted, options.limit, options.offset, options.min_score, options.fts_syntax)


def _filter(options: argparse.Namespace) -> Filter:
    from image_catalog.catalog_search import Filter

    return Filter(
        after=_date("--after", options.after),
        before=_date("--before", options.before),
        camera=options.camera,
        lens=options.lens,
        folder=os.path.realpath(os.fsencode(options.folder)) if options.folder else None,
        near=_near(options.near),
        format=options.format,
        tags=tuple(options.tag),
        min_size=options.min_size,
    )


def _date(option: str, text: str | None) -> str | None:
    """A year, month or day as it compares with taken_at."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", text.strip())
    from datetime import date

    try:
        if match is None:
            raise ValueError
        year, month, day = (int(part) if part else None for part in match.groups())
        date(year or 0, month or 1, day or 1)
    except ValueError:
        raise UsageError(option, f"{text} is no date", "write 2023, 2023-06 or 2023-06-15") from None
    return "-".join(
        f"{part:02d}" if width == 2 else f"{part:04d}" for part, width in ((year, 4), (month, 2), (day, 2)) if part
    )


def _near(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        latitude, longitude, *rest = (float(part) for part in text.split(","))
        (kilometres,) = rest or (10.0,)
        if not (abs(latitude) <= 90 and abs(longitude) <= 180 and 0 < kilometres < 30000):
            raise ValueError
    except ValueError:
        raise UsageError("--near", f"{text} is no place", "write LAT,LON or LAT,LON,KM, such as 43.58,39.72,20") from None
    return latitude, longitude, kilometres


def _open_meaning(options: argparse.Namespace, catalog: Catalog) -> Meaning:
    """The vector index and what embeds the query; numpy, faiss and the encoder load here and not before."""
    from image_catalog.query_encoder import open_encoder
    from image_catalog.search import Meaning
    from image_catalog.vector_index import VectorIndex

    notes: list[str] = []
    index = VectorIndex.open(command_line.vector_index_path(options))
    made_by = index.provenance
    encoder = open_encoder(made_by.model, made_by.model_digest, index.path, notes.append)
    return Meaning(index, encoder.encode, notes)


# What is shown


def _print(options: argparse.Namespace, result: Result) -> None:
    if options.null:
        for hit in result.hits:
            write_path_nul(os.fsencode(hit.row["path"]))
    elif options.json:
        for hit in result.hits:
            write_line(json_text(_as_json(hit, result)))
    elif options.csv:
        _print_csv(result)
    elif options.paths:
        for hit in result.hits:
            write_line(printable(hit.row["path"]))
    else:
        for hit in result.hits:
            _print_hit(hit, result)


def _print_hit(hit: Hit, result: Result) -> None:
    colour = command_line.colour_allowed(sys.stdout)
    bold, dim, plain = (_BOLD, _DIM, _PLAIN) if colour else ("", "", "")
    write_line(f"{bold}{printable(hit.row['path'])}{plain}")
    about = " · ".join(printable(part) for part in (_date_shown(hit.row), hit.row["place"] or "", _why(hit, result)) if part)
    write_line(f"    {dim}{about}{plain}")
    text = hit.row["description"] or hit.row["caption"] or "(not described yet)"
    write_line(f"    {_lit(_shortened(text, result), result, bold, plain)}")


def _date_shown(row: dict[str, Any]) -> str:
    return (row["taken_at"] or "")[:10]


def _why(hit: Hit, result: Result) -> str:
    """Which leg found it: `words 100 %, meaning 0.87`."""
    parts = []
    if hit.coverage > 0:
        parts.append(f"words {hit.coverage:.0%}")
    if hit.cosine is not None:
        parts.append(f"meaning {hit.cosine:.2f}")
    return ", ".join(parts)


def _shortened(text: str, result: Result) -> str:
    """The part of a text around its first matching word, cut at words."""
    text = " ".join(text.split())
    if len(text) <= _SHORT_DESCRIPTION:
        return text
    from image_catalog.words import words_in

    first = next((word.start for word in words_in(text) if word.stem in result.query.stems), 0)
    start = max(0, min(first - _SHORT_DESCRIPTION // 3, len(text) - _SHORT_DESCRIPTION))
    start = text.rfind(" ", 0, start) + 1
    end = start + _SHORT_DESCRIPTION
    end = len(text) if end >= len(text) else text.rfind(" ", start, end)
    return ("… " if start else "") + text[start:end] + (" …" if end < len(text) else "")


def _lit(text: str, result: Result, bold: str, plain: str) -> str:
    """`text` made safe, with the words that match the query lit as they stand in it."""
    if not bold:
        return printable(text)
    from image_catalog.words import words_in

    parts, last = [], 0
    for word in words_in(text):
        if word.stem in result.query.stems:
            parts += [printable(text[last : word.start]), bold, printable(text[word.start : word.end]), plain]
            last = word.end
    return "".join([*parts, printable(text[last:])])


def _as_json(hit: Hit, result: Result) -> dict[str, Any]:
    shown = {name: hit.row[name] for name in _COLUMNS_OF_JSON}
    return shown | {
        "score": round(hit.score, 4),
        "coverage": round(hit.coverage, 4),
        "cosine": None if hit.cosine is None else round(hit.cosine, 4),
        "mode": result.mode,
    }


def _print_csv(result: Result) -> None:
    import csv
    import io

    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(("path", "score", "taken_at", "place", "description"))
    for hit in result.hits:
        row = hit.row
        cells = (row["path"], f"{hit.score:.4f}", row["taken_at"] or "", row["place"] or "", row["description"] or "")
        table.writerow([_formula_safe(printable(cell)) for cell in cells])
    write_line(buffer.getvalue().rstrip("\n"))


def _formula_safe(cell: str) -> str:
    """A spreadsheet would run a cell that begins so (OWASP ASVS 1.2.10); a number keeps its sign."""
    is_number = re.fullmatch(r"-?\d+(\.\d+)?", cell) is not None
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") and not is_number else cell


def _say_nothing_found(reporter: command_line.Reporter, catalog: Catalog, result: Result) -> None:
    from image_catalog.search import near_words

    words = near_words(catalog, result.query.wanted)
    reporter.note("nothing found" + (f"; did you mean: {', '.join(words)}?" if words else ""))


def _coverage_line(catalog: Catalog, result: Result) -> str:
    """What the search could see: `searched 9,812 of 10,004; 150 waiting, 42 failed; index 37 behind`."""
    there = catalog.coverage()
    line = f"searched {there.described:,} of {there.images:,}"
    rest = [f"{count:,} {name}" for count, name in ((there.waiting, "waiting"), (there.failed, "failed")) if count]
    if rest:
        line += f"; {', '.join(rest)}"
    if result.vectors is not None and result.vectors < there.described:
        behind = there.described - result.vectors
        line += f"; index {behind:,} behind: run python create_faiss_index.py"
    return line


if __name__ == "__main__":
    raise SystemExit(command_line.run_script(main))
