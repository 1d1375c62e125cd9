"""What a search reads from images.db: which rows have a word, which pass a filter, what they say. SQL and nothing else.

Ids are images.id. Sets of ids, not rows, go to and fro: full-text and column indexes give them without touching the wide rows.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from image_catalog import words
from image_catalog.errors import UsageError
from image_catalog.query import Term
from image_catalog.search_filter import DEFAULT_KILOMETRES, Filter, Near

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from image_catalog.catalog import Catalog

_KM_PER_DEGREE = 111.195  # of latitude, on a sphere of 6,371 km
_EARTH_RADIUS = 6371.0  # km
_IDS_AT_ONCE = 900  # below SQLite's smallest limit of bound values
_MOST_NAMES_SHOWN = 8
_SAMPLE = 16  # pictures by which a word is told to be a fact
_COLUMNS_OF_NAMES = {
    "camera": ("camera_make", "camera_model"),
    "lens": ("lens",),
    "format": ("format",),
    "near": ("place", "place_ru"),
}
_TEXTS = ("description", "tags", "visible_text", "caption", "keywords", "facts")


class SearchableCatalog:
    """The reading side of a catalog, for one search."""

    def __init__(self, catalog: Catalog) -> None:
        self._db = catalog.db

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all that is read belong together while an index run writes."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def size(self) -> int:
        """As good as the number of rows, and known without counting them."""
        return int(self._value("SELECT max(id) FROM images") or 0)

    def gone_ids(self) -> set[int]:
        """Images whose file was missed: they are never found."""
        return self._ids("SELECT id FROM images WHERE gone_at IS NOT NULL")

    def ids_not_embedded(self, embedded: set[int]) -> set[int]:
        """Described images that are there and not among `embedded`, or whose text changed since it was."""
        described = self._ids("SELECT id FROM images WHERE gone_at IS NULL AND state = 'described'")
        changed = "SELECT id FROM images WHERE passage_hash IS NULL AND gone_at IS NULL AND description IS NOT NULL"
        return (described - embedded) | self._ids(changed)

    def identity(self) -> str | None:
        """What tells this catalog from others; None before it had a vector index."""
        row = self._db.execute("SELECT value FROM settings WHERE name = 'catalog_id'").fetchone()
        return row[0] if row else None

    def existing(self, ids: Sequence[int]) -> list[int]:
        """Those of `ids` that an image has, gone or not."""
        there = {row[0] for row in self._rows_of("SELECT id FROM images WHERE id IN", ids)}
        return [image_id for image_id in ids if image_id in there]

    def generation(self) -> int:
        """A number that grows with every change of what can be searched."""
        return int(self._value("SELECT number FROM generation"))

    # Words

    def count_with(self, term: Term) -> int:
        """How many images, gone or not, have `term`."""
        return int(self._value("SELECT count(*) FROM images_fts WHERE images_fts MATCH ?", _match(term)))

    def ids_with(self, term: Term, among: Sequence[Term] = ()) -> Iterable[int]:
        """Images, gone or not, that have `term`; with `among` only those that also have one of these."""
        expression = _match(term)
        if among:
            expression = f"{expression} AND ({_match_any(among)})"
        return chain.from_iterable(self._db.execute("SELECT rowid FROM images_fts WHERE images_fts MATCH ?", (expression,)))

    def that_say(self, ids: Sequence[int], terms: Sequence[Term]) -> list[int]:
        """Those of `ids` that have each of `terms` in one text, tag or fact: a phrase does not go on from one to the next."""
        rows = self._rows_of(f"SELECT id, {', '.join(_TEXTS)} FROM images WHERE id IN", ids)
        stems = {row[0]: list(map(words.stems, _single_texts(row[1:]))) for row in rows}
        return [one for one in ids if all(any(_count(text, term) for text in stems.get(one, ())) for term in terms)]

    def is_fact(self, term: Term) -> bool:
        """Does `term` stand in facts and keywords (a place, a camera, a year, a person) rather than in what is said of pictures?

        Told by some of the first and of the last pictures that have it: a fact is what no vector knows.
        """
        ids: list[int] = []
        for order in ("ASC", "DESC"):
            query = f"SELECT rowid FROM images_fts WHERE images_fts MATCH ? ORDER BY rowid {order} LIMIT {_SAMPLE // 2}"
            ids += chain.from_iterable(self._db.execute(query, (_match(term),)))
        texts = "SELECT stems, coalesce(facts, '') || ' ' || coalesce(keywords, '') FROM images"
        texts += " WHERE description IS NOT NULL AND id IN"
        sample = list(self._rows_of(texts, sorted(set(ids))))
        # All texts are in stems, so a word that is not oftener in them than in the facts is in the facts alone.
        facts_alone = sum(_count(stems, term) <= _count(words.stems(facts), term) for stems, facts in sample)
        return facts_alone * 2 > len(sample) or not sample

    def newest_with_all(self, terms: Sequence[Term], count: int) -> list[int]:
        """The `count` images last added that have all of `terms`."""
        query = "SELECT rowid FROM images_fts WHERE images_fts MATCH ? ORDER BY rowid DESC LIMIT ?"
        return list(chain.from_iterable(self._db.execute(query, (_match_all(terms), count))))

    def bm25(self, terms: Sequence[Term], ids: Sequence[int]) -> dict[int, float]:
        """How well each of `ids`, which have all of `terms`, fits them by FTS5's bm25: higher is better."""
        # The plus keeps SQLite from looking up every id by itself; whole numbers need no quoting.
        query = f"SELECT rowid, -bm25(images_fts) FROM images_fts WHERE images_fts MATCH ? AND +rowid IN ({_list(ids)})"
        return dict(self._db.execute(query, (_match_all(terms),)))

    def ranked_by_expression(self, expression: str) -> dict[int, float]:
        """Images that match a raw FTS5 expression, and their bm25; raises UsageError with FTS5's own words if it is none."""
        query = "SELECT rowid, -bm25(images_fts) FROM images_fts WHERE images_fts MATCH ?"
        try:
            return dict(self._db.execute(query, (expression.encode("utf-8", "replace").decode(),)))
        except sqlite3.OperationalError as error:
            raise UsageError("--fts-syntax", str(error), "see https://sqlite.org/fts5.html#full_text_query_syntax") from None

    def stems(self, beginning: str) -> Iterator[tuple[str, int]]:
        """Stems that begin so, and how many images, gone or not, have each."""
        query = "SELECT term, doc FROM images_vocabulary WHERE term >= ? AND term < ? AND col = 'stems'"
        yield from self._db.execute(query, (beginning, beginning + "\U0010ffff"))

    def counts_of_stems(self, stems: Collection[str]) -> dict[str, int]:
        """How many images, gone or not, have each of some stems (letters and digits); those that none has are left out."""
        quoted = {stem: f'stems : "{stem}"' for stem in stems}
        query = "SELECT {} FROM images_fts WHERE images_fts MATCH ? {}"
        any_of_them = " OR ".join(quoted.values()) or '""'
        if self._db.execute(query.format("1", "LIMIT 1"), (any_of_them,)).fetchone() is None:  # most often
            return {}
        counts = {stem: self._value(query.format("count(*)", ""), term) for stem, term in quoted.items()}
        return {stem: count for stem, count in counts.items() if count}

    def word_of_stem(self, stem: str) -> str | None:
        """The form in which a stem stands most often in some of the images that have it, in lower case."""
        ids = self.newest_with_all([Term(((stem,),))], _SAMPLE)
        texts = self._rows_of(f"SELECT {', '.join(_TEXTS)} FROM images WHERE id IN", ids)
        found = [word.casefold() for row in texts for text in row if text for word in words.words_of(text)]
        forms = [word for word in found if word.isalpha() and words.stem_of(word) == stem]
        return max(sorted(set(forms)), key=forms.count, default=None)

    # Filters

    def ids_passing(self, wanted: Filter) -> set[int]:
        """Images, gone or not, that pass a filter that is not empty. Raises UsageError for a name that the catalog lacks."""
        sets = [*self._by_columns(wanted), *map(self._by_tag, wanted.tags)]
        choices = (
            [self._by_folder(folder) for folder in wanted.folders],
            [self._by_name("camera", text, _has_parts) for text in wanted.cameras],
            [self._by_name("lens", text, _has_parts) for text in wanted.lenses],
            [self._by_name("format", text, _is_same) for text in wanted.formats],
            [self._by_place(near) for near in wanted.near],
        )
        sets += (set().union(*alternatives) for alternatives in choices if alternatives)
        return set.intersection(*sets)

    def _by_columns(self, wanted: Filter) -> Iterator[set[int]]:
        if wanted.after or wanted.before:
            last = wanted.before or "9999-99"
            yield self._ids("SELECT id FROM images WHERE taken_at >= ? AND taken_at < ?", wanted.after or "", last)
        if wanted.min_size:
            yield self._ids("SELECT id FROM images WHERE max(width, height) >= ?", wanted.min_size)
        if wanted.orientations:
            signs = {"landscape": ">", "portrait": "<", "square": "="}
            shapes = " OR ".join(f"width {signs[its]} height" for its in wanted.orientations)
            yield self._ids(f"SELECT id FROM images WHERE {shapes}")
        if wanted.has_text:
            yield self._ids("SELECT id FROM images WHERE trim(visible_text) != ''")

    def _by_folder(self, folder: str) -> set[int]:
        """The folder by its path, or where that leads to through links; of no path, all folders of this name."""
        found: set[int] = set()
        if not os.path.isabs(folder):
            name = os.fsencode(f"/{folder.strip('/')}/")
            found = self._ids("SELECT id FROM images WHERE instr(path_bytes, ?)", name)
        for path in {os.fsencode(os.path.abspath(folder)), os.fsencode(os.path.realpath(folder))}:
            start = path.rstrip(b"/") + b"/"
            found |= self._ids("SELECT id FROM images WHERE path_bytes >= ? AND path_bytes < ?", start, start[:-1] + b"0")
        return found

    def _by_tag(self, tag: str) -> set[int]:
        """Has this very tag or keyword, in whatever form."""
        stems = words.stems(tag).split()
        candidates = list(self.ids_with(Term((tuple(stems),)))) if stems else []
        query = "SELECT id, tags, keywords FROM images WHERE id IN"
        return {row[0] for row in self._rows_of(query, candidates) if stems in _stems_of_lists(row[1:])}

    def _by_place(self, near: Near) -> set[int]:
        """By the names of where pictures were taken; around a town where a distance was said, or no picture has its name."""
        if not near.name:
            return self._around(near.latitude, near.longitude, near.kilometres)
        names = self._fitting("near", near.name, _is_place)
        if names and not near.kilometres:
            return self._ids_of_names("near", names)
        from image_catalog import places

        kilometres = near.kilometres or DEFAULT_KILOMETRES
        towns = places.positions_of(near.name)
        found = set().union(*(self._around(*town, kilometres) for town in towns)) if towns else self._ids_of_names("near", names)
        if not (names or found):
            raise self._no_such_name("near", near.name)
        return found

    def _around(self, latitude: float, longitude: float, kilometres: float) -> set[int]:
        reach = kilometres / _KM_PER_DEGREE
        rows = self._db.execute(
            "SELECT id, latitude, longitude FROM images WHERE latitude BETWEEN ? AND ? AND longitude IS NOT NULL",
            (latitude - reach, latitude + reach),
        )
        return {row[0] for row in rows if kilometres_between(row[1], row[2], latitude, longitude) <= kilometres}

    def _by_name(self, option: str, text: str, fits: Callable[[str, list[str]], bool]) -> set[int]:
        """Images that have one of the names that fit `text`; raises UsageError, naming others, when there is none."""
        names = self._fitting(option, text, fits)
        if not names:
            raise self._no_such_name(option, text)
        return self._ids_of_names(option, names)

    def _fitting(self, option: str, text: str, fits: Callable[[str, list[str]], bool]) -> list[tuple[str | None, ...]]:
        """The values of the columns of `option` that hold a name which fits `text`."""
        return [row for row, names in self._names_in(_COLUMNS_OF_NAMES[option]).items() if names and fits(text, names)]

    def _ids_of_names(self, option: str, rows: Iterable[tuple[str | None, ...]]) -> set[int]:
        is_one = " AND ".join(f"{column} IS ?" for column in _COLUMNS_OF_NAMES[option])
        return set().union(*(self._ids(f"SELECT id FROM images WHERE {is_one}", *row) for row in rows))

    def _no_such_name(self, option: str, text: str) -> UsageError:
        shown = self.names_for(option)
        more = ", …" if len(shown) > _MOST_NAMES_SHOWN else ""
        there = f"there are: {', '.join(shown[:_MOST_NAMES_SHOWN])}{more}" if shown else "no picture has one"
        relation = "is near" if option == "near" else "has"
        return UsageError(f"--{option}", f"no picture in this catalog {relation} {text}", there)

    def names_for(self, option: str) -> list[str]:
        """What the catalog has that the filter `option` could name, the most frequent first."""
        if option == "tag":
            tags = self._db.execute(
                "SELECT value FROM images, json_each(tags) WHERE tags != '' GROUP BY value ORDER BY count(*) DESC"
            )
            return [str(row[0]) for row in tags]
        found = filter(None, self._names_in(_COLUMNS_OF_NAMES[option]).values())
        if option == "near":  # the towns, in both languages
            return list(dict.fromkeys(place.split(",")[0] for names in found for place in names))
        return list(dict.fromkeys(map(shown_name, found)))

    def _names_in(self, columns: tuple[str, ...]) -> dict[tuple[str | None, ...], list[str]]:
        """Each combination of values of some columns, the most frequent first, with the names in it."""
        listed = ", ".join(columns)
        rows = self._db.execute(f"SELECT {listed} FROM images GROUP BY {listed} ORDER BY count(*) DESC")
        return {row: [name for name in row if name] for row in rows}

    # Rows

    def newest_first(self) -> Iterator[int]:
        """All images, gone or not, by when the picture was taken (else the file changed), newest first; read lazily."""
        from heapq import merge

        dated = self._db.execute("SELECT taken_at, id FROM images WHERE taken_at IS NOT NULL ORDER BY taken_at DESC, id")
        undated = self._db.execute(
            "SELECT strftime('%Y-%m-%dT%H:%M:%S', mtime_ns / 1000000000, 'unixepoch') AS changed, id FROM images"
            " WHERE taken_at IS NULL ORDER BY changed DESC, id"
        )
        return (row[1] for row in merge(dated, undated, key=lambda row: row[0] or "", reverse=True))

    def by_path(self) -> Iterator[int]:
        """All images, gone or not, by the bytes of their paths; read lazily."""
        return (row[0] for row in self._db.execute("SELECT id FROM images ORDER BY path_bytes"))

    def sort_keys(self, ids: Sequence[int], column: str) -> dict[int, Any]:
        """`date` or `path` of each of `ids`, to sort them by."""
        dates = "coalesce(taken_at, strftime('%Y-%m-%dT%H:%M:%S', mtime_ns / 1000000000, 'unixepoch'))"
        chosen = {"date": dates, "path": "path_bytes"}[column]
        return dict(self._rows_of(f"SELECT id, {chosen} FROM images WHERE id IN", ids))

    def facts(self, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
        """(id, facts and keywords) of images."""
        query = "SELECT id, coalesce(facts, '') || ' ' || coalesce(keywords, '') FROM images WHERE id IN"
        return self._rows_of(query, ids)

    def texts(self, ids: Sequence[int]) -> Iterator[tuple[int, str, str]]:
        """(id, the beginning of the description, the stems of all texts) of each of `ids`."""
        yield from self._rows_of("SELECT id, substr(coalesce(description, ''), 1, 200), stems FROM images WHERE id IN", ids)

    def content_hashes(self, ids: Sequence[int]) -> dict[int, str | None]:
        """What tells equal files."""
        return dict(self._rows_of("SELECT id, content_hash FROM images WHERE id IN", ids))

    def paths_of_contents(self, hashes: Iterable[str]) -> dict[str, list[bytes]]:
        """Where the files are that are there and have one of these contents, by content hash."""
        found: dict[str, list[bytes]] = {content: [] for content in hashes}
        marks = ", ".join("?" * len(found))
        query = f"SELECT content_hash, path_bytes FROM images WHERE gone_at IS NULL AND content_hash IN ({marks})"
        for content, path in sorted(self._db.execute(query, tuple(found))):
            found[content].append(path)
        return found

    def ids_of_same_content(self, image_id: int) -> set[int]:
        """An image and all that are equal to it."""
        same = "SELECT id FROM images WHERE content_hash = (SELECT content_hash FROM images WHERE id = ?)"
        return self._ids(same, image_id) | {image_id}

    def rows(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """All columns of each image, in the order of `ids`."""
        cursor = self._db.execute(f"SELECT * FROM images WHERE id IN ({_list(ids)})")
        names = [column[0] for column in cursor.description]
        found = {row["id"]: row for row in (dict(zip(names, values, strict=True)) for values in cursor)}
        return [found[image_id] for image_id in ids if image_id in found]

    def id_of_path(self, path: bytes) -> int | None:
        """The image at a path, gone or not."""
        row = self._db.execute("SELECT id FROM images WHERE path_bytes = ?", (path,)).fetchone()
        return row[0] if row else None

    def _ids(self, query: str, *values: Any) -> set[int]:
        return set(chain.from_iterable(self._db.execute(query, values)))

    def _value(self, query: str, *values: Any) -> Any:
        return self._db.execute(query, values).fetchone()[0]

    def _rows_of(self, query: str, ids: Sequence[int]) -> Iterator[Any]:
        """The rows of a query that ends in `id IN`, for as many ids as there are."""
        for start in range(0, len(ids), _IDS_AT_ONCE):
            yield from self._db.execute(f"{query} ({_list(ids[start : start + _IDS_AT_ONCE])})")


def kilometres_between(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Great-circle distance of two places in degrees, by the haversine formula."""
    from math import asin, cos, radians, sin, sqrt

    a, b = radians(latitude), radians(other_latitude)
    half = sin((a - b) / 2) ** 2 + cos(a) * cos(b) * sin(radians(longitude - other_longitude) / 2) ** 2
    return 2 * _EARTH_RADIUS * asin(min(1.0, sqrt(half)))


def _list(ids: Iterable[int]) -> str:
    return ", ".join(map(str, map(int, ids)))


def _match_all(terms: Sequence[Term]) -> str:
    return " AND ".join(map(_match, terms))


def _match_any(terms: Sequence[Term]) -> str:
    return " OR ".join(map(_match, terms))


def _match(term: Term) -> str:
    """An FTS5 expression in which nothing that was typed is syntax: every phrase is a quoted string."""
    mark, column = (" *", "") if term.is_beginning else ("", "stems : ")
    quoted = (f'"{" ".join(phrase)}"{mark}' for phrase in term.phrases)  # stems are letters and digits only
    return f"({column}({' OR '.join(quoted)}))"


def _count(stems: str, term: Term) -> int:
    """How often `term` stands in a row of stems."""
    padded = f" {stems.replace(' ', '  ')} "  # so that neighbours are counted both
    end = "" if term.is_beginning else " "
    return sum(padded.count(f" {'  '.join(phrase)}{end}") for phrase in term.phrases)


def _has_parts(text: str, names: list[str]) -> bool:
    """Every part of `text` is in one of the names: `canon 5d` fits Canon, EOS 5D."""
    name = " ".join(names).casefold()
    return all(part in name for part in text.casefold().split())


def shown_name(names: list[str]) -> str:
    """Makers tend to begin a model's name with their own."""
    first, last = names[0].split()[0].casefold(), names[-1]
    return last if last.casefold().startswith(first) else " ".join(names)


def _is_same(text: str, names: list[str]) -> bool:
    return text in names


def _is_place(text: str, names: list[str]) -> bool:
    """`names`: a place in two languages, each `town, city, region, country`. Is every part of `text` one of these in any form?"""
    wanted = [stems for part in text.split(",") if (stems := words.stems(part))]
    return bool(wanted) and any(all(_is_part_of_place(stems, name) for stems in wanted) for name in names)


def _is_part_of_place(stems: str, name: str) -> bool:
    """By the stems of a part of its name, or of another name of the country: USA, Англия, South Korea."""
    parts = [part.strip() for part in name.split(",")]
    if stems in map(words.stems, (*parts, name)):
        return True
    from image_catalog.fact_words import COUNTRY_ALIASES

    others = ", ".join(COUNTRY_ALIASES.get(parts[-1], ())).split(",")
    return stems in map(words.stems, others)


def _single_texts(columns: Sequence[str | None]) -> Iterator[str]:
    """The texts of one image, given its _TEXTS, that belong together: tags, keywords and facts are several."""
    import json

    for name, text in zip(_TEXTS, columns, strict=True):
        if text and name in ("tags", "keywords"):
            yield from map(str, json.loads(text))
        elif text:
            yield from text.split(";") if name == "facts" else (text,)


def _stems_of_lists(texts: Iterable[str | None]) -> list[list[str]]:
    import json

    return [words.stems(str(item)).split() for text in texts if text for item in json.loads(text)]
