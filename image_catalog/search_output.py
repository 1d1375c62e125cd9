"""What was found -> text: for people, as JSON, as a table. Everything that comes out is safe to print.

Knows rows and how they are shown; prints nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from image_catalog.command_line import json_text, printable
from image_catalog.matching import Matcher
from image_catalog.record import Record
from image_catalog.search import Hit, Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from image_catalog.catalog import Coverage

_FORMULA_BEGINS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # full-width ones, too: some spreadsheets fold them
_SHOWN_DESCRIPTION = 220  # characters
_MOST_OTHER_PATHS = 3
_COLUMNS_OF_JSON = (
    "path", "description", "tags", "visible_text", "caption", "keywords", "taken_at", "place", "place_ru", "camera_make",
    "camera_model", "lens", "latitude", "longitude", "format", "width", "height", "state", "id",
)  # fmt: skip


class Style(Record):
    """Escape sequences, or nothing where there is no terminal; `has_links`: paths can be clicked (OSC 8)."""

    bold: str = ""
    dim: str = ""
    plain: str = ""
    has_links: bool = False


PLAIN = Style()
COLOUR = Style("\x1b[1m", "\x1b[2m", "\x1b[0m", True)


def lines(result: Result, style: Style, drawn: Callable[[Hit], str] | None = None) -> Iterator[str]:
    """Three lines a picture: its path; date, place and why it matched; the description with the matching words lit.

    `drawn` gives what shows the picture itself on the terminal, or nothing.
    """
    matcher = Matcher(result.query)
    weaker = f"{style.dim}{'weaker matches' if result.fits else 'nothing fits well; the nearest'}:{style.plain}"
    for number, hit in enumerate(result.hits):
        if hit.is_weak and (number == 0 or not result.hits[number - 1].is_weak):
            yield weaker
        yield f"{style.bold}{_shown_path(hit, style)}{style.plain}"
        about = " · ".join(
            part
            for part in (_date(hit.row), printable(place_of(hit, result)), _why(hit, matcher, result.mode == "hybrid"))
            if part
        )
        if about:
            yield f"    {style.dim}{about}{style.plain}"
        yield f"    {_lit(matcher.shortened(text_of(hit), _SHOWN_DESCRIPTION), matcher, style)}"
        if hit.other_paths:
            yield f"    {style.dim}also {others_of(hit)}{style.plain}"
        if drawn is not None and (picture := drawn(hit)):
            yield picture


def path_of(hit: Hit) -> str:
    """The path; a byte that is not UTF-8 is a surrogate, as os.fsdecode makes it."""
    return _decoded(hit.row["path_bytes"])


def _shown_path(hit: Hit, style: Style) -> str:
    shown = printable(path_of(hit))
    if not style.has_links:
        return shown
    from image_catalog.file_links import linked

    return linked(shown, hit.row["path_bytes"])


def place_of(hit: Hit, result: Result) -> str:
    """Where it was taken, in Russian for who asks in Russian."""
    in_russian = any("\u0400" <= char <= "\u04ff" for char in result.query.spoken)
    return str((hit.row["place_ru"] if in_russian else "") or hit.row["place"] or "")


def text_of(hit: Hit) -> str:
    """What is said of the picture, or why nothing is."""
    row = hit.row
    if row["state"] == "failed" and not row["description"]:
        return str(row["caption"] or f"(could not be described: {row['failure_reason'] or row['failure_kind'] or 'unknown'})")
    return str(row["description"] or row["caption"] or "(not described yet)")


def _date(row: dict[str, Any]) -> str:
    return printable((row["taken_at"] or "")[:10])


def _why(hit: Hit, matcher: Matcher, has_ranks: bool) -> str:
    """`words #1: собака, пляжу · facts: Сочи · meaning #3, 0.87`; the numbers: the place by words alone, by meaning alone."""
    described, facts = matcher.reasons(hit.row)
    by_words, by_meaning = (f" #{rank}" if rank and has_ranks else "" for rank in (hit.rank_text, hit.rank_meaning))
    parts: list[str] = []
    for name, found in (("words", described), ("facts", facts)):
        if found:
            parts.append(f"{name}{'' if parts else by_words}: {printable(', '.join(found))}")
    if hit.cosine is not None:
        parts.append(f"meaning{by_meaning}, {hit.cosine:.2f}" if by_meaning else f"meaning {hit.cosine:.2f}")
    return " · ".join(parts)


def others_of(hit: Hit) -> str:
    """The paths of the first equal files, safe to print; empty when there are none."""
    shown = ", ".join(printable(_decoded(path)) for path in hit.other_paths[:_MOST_OTHER_PATHS])
    more = len(hit.other_paths) - _MOST_OTHER_PATHS
    return f"{shown} and {more} more" if more > 0 else shown


def _lit(text: str, matcher: Matcher, style: Style) -> str:
    """`text` made safe, with the matching words lit as they stand in it."""
    if not style.bold:
        return printable(text)
    parts, last = [], 0
    for start, end in matcher.spans(text):
        parts += [printable(text[last:start]), style.bold, printable(text[start:end]), style.plain]
        last = end
    return "".join([*parts, printable(text[last:])])


def json_lines(result: Result) -> Iterator[str]:
    """One JSON document a picture. `score`, `coverage`, `cosine`: see search.Hit; `why` has the matching words and the ranks."""
    import json

    matcher = Matcher(result.query)
    for hit in result.hits:
        row = hit.row | {"path": path_of(hit)}
        row |= {name: json.loads(row[name]) if row[name] else [] for name in ("tags", "keywords")}
        described, facts = matcher.reasons(hit.row)
        yield json_text(
            {name: row[name] for name in _COLUMNS_OF_JSON}
            | {
                "score": round(hit.score, 4),
                "coverage": round(hit.coverage, 4),
                "cosine": None if hit.cosine is None else round(hit.cosine, 4),
                "mode": result.mode,
                "why": {"words": described, "facts": facts, "rank_text": hit.rank_text, "rank_meaning": hit.rank_meaning},
                "weak": hit.is_weak,
                "other_paths": [_decoded(path) for path in hit.other_paths],
            }
        )


def csv_table(result: Result) -> str:
    """A table for spreadsheets, with a header; no cell of it is run as a formula."""
    import csv
    import io

    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(("path", "score", "taken_at", "place", "description", "weak"))
    for hit in result.hits:
        row = hit.row
        cells = (
            path_of(hit),
            f"{hit.score:.4f}",
            row["taken_at"] or "",
            row["place"] or "",
            row["description"] or "",
            "weak" if hit.is_weak else "",
        )
        table.writerow([_formula_safe(printable(cell)) for cell in cells])
    return buffer.getvalue().rstrip("\n")


def _formula_safe(cell: str) -> str:
    """A spreadsheet would run a cell that begins so (OWASP, CSV injection); a number keeps its sign."""
    is_number = cell[:1] in ("+", "-") and cell[1:].replace(".", "", 1).isdigit()
    return f"'{cell}" if cell[:1] in _FORMULA_BEGINS and not is_number else cell


def coverage_line(there: Coverage, behind: int | None, mode: str) -> str:
    """What the search could see: `searched 9,812 of 10,004; 150 waiting, 42 failed; index 37 behind: run …`.

    By meaning alone (`mode` is semantic) what the index lacks was not searched; else its words were.
    """
    searched = max(0, there.described - (behind or 0)) if mode == "semantic" else there.described
    line = f"searched {searched:,} of {there.images:,}"
    unseen = [f"{count:,} {name}" for count, name in ((there.waiting, "waiting"), (there.failed, "failed")) if count]
    if unseen:
        line += f"; {', '.join(unseen)}"
    return f"{line}; index {behind:,} behind: run python create_faiss_index.py" if behind else line


def weak_line(result: Result) -> str | None:
    """What lists without a word about each picture do not show: how many of them are weaker matches."""
    weak = sum(hit.is_weak for hit in result.hits)
    if not weak:
        return None
    if not result.fits:
        return "nothing fits well; these are the nearest"
    return f"{weak:,} of these {len(result.hits):,} are weaker matches (weak in --json)"


def paths(result: Result) -> Sequence[bytes]:
    """The paths as the bytes that they are."""
    return [hit.row["path_bytes"] for hit in result.hits]


def _decoded(path: bytes) -> str:
    import os

    return os.fsdecode(path)
