"""What was found -> the values that the page's templates and its JSON API show: results, facets, one picture.

The shapes are documented in README.md (the API). Every text comes out as it is: escaping is the templates' and JSON's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from image_catalog.catalog import Catalog, display_path
from image_catalog.catalog_search import shown_name
from image_catalog.catalog_views import CatalogViews
from image_catalog.errors import UserError
from image_catalog.gallery import parameters
from image_catalog.gallery.parameters import Parameters, url
from image_catalog.gallery.warm_catalog import WarmCatalog
from image_catalog.matching import Matcher
from image_catalog.query import parse
from image_catalog.search import Hit, Request, Result
from image_catalog.spelling import suggestions

_SHOWN_DESCRIPTION = 90  # characters: two lines of a tile
_MOST_SIMILAR = 12
_MOST_NEIGHBOURS = 500  # results among which the previous and the next picture are looked for
_MOST_COUNTED = 1000  # results of a question whose facets are counted
_LONGEST_EXIF_VALUE = 500
_FACETS = {
    "months": ("after", "before"),
    "cameras": ("camera",),
    "places": ("near",),
    "folders": ("folder",),
    "formats": ("format",),
}

Json = dict[str, Any]


# Results


def results(warm: WarmCatalog, given: Parameters, offset: int, limit: int) -> Json:
    """One page of results. Raises UserError."""
    request = parameters.request(given, offset, limit)
    with warm.catalog() as catalog:
        coverage = catalog.coverage()
    found = _listed(warm, given, request) or warm.search(request)
    matcher = Matcher(found.query) if parameters.is_question(given) else None
    return {
        "query": request.text,
        "mode": found.mode,
        "fits": found.fits,
        "total": _matches(found, offset) if parameters.is_question(given) else _count(warm, given),
        "offset": offset,
        "limit": limit,
        "next": _next(given, offset + limit, limit) if found.has_more else None,
        "coverage": coverage._asdict() | {"behind": found.behind},
        "notes": found.notes,
        "did_you_mean": _did_you_mean(warm, request, found),
        "results": [result(hit.row, matcher, hit) | {"why": _why(hit, matcher) if matcher else None} for hit in found.hits],
    }


def _listed(warm: WarmCatalog, given: Parameters, request: Request) -> Result | None:
    """What passes the filters, newest first, out of the order that the facets hold; None when something else was asked for."""
    if parameters.is_question(given) or request.sort == "path":
        return None
    table = warm.facets()
    rows = table.distinct(_counted_rows(warm, given))[request.offset : request.offset + request.limit + 1]
    ids: list[int] = table.ids[rows].tolist()
    with warm.catalog() as catalog:
        hits = _hits_of_ids(catalog, ids[: request.limit])
    return Result(hits, parse(""), "list", True, len(ids) > request.limit, (), None, [])


def _hits_of_ids(catalog: Catalog, ids: Sequence[int]) -> list[Hit]:
    from image_catalog.catalog_search import SearchableCatalog

    rows = SearchableCatalog(catalog)
    found = [row for row in rows.rows(ids) if row["gone_at"] is None]
    paths = rows.paths_of_contents({row["content_hash"] for row in found if row["content_hash"]})
    return [
        Hit(row, 0.0, 0.0, None, False, tuple(path for path in paths.get(row["content_hash"], ()) if path != row["path_bytes"]))
        for row in found
    ]


def _matches(found: Result, offset: int) -> int | None:
    """How many are no weaker matches, where this page shows the last of them; None otherwise: counting all would be slow."""
    strong = sum(not hit.is_weak for hit in found.hits)
    is_last = not found.has_more or strong < len(found.hits)
    return offset + strong if is_last and (strong or offset == 0) else None


def _next(given: Parameters, offset: int, limit: int) -> str:
    return url("/", **given, offset=offset, limit=None if limit == parameters.DEFAULT_LIMIT else limit)


def _why(hit: Hit, matcher: Matcher) -> Json:
    described, facts = matcher.reasons(hit.row)
    return {
        "words": described,
        "facts": facts,
        "rank_text": hit.rank_text,
        "rank_meaning": hit.rank_meaning,
        "meaning": None if hit.cosine is None else round(hit.cosine, 4),
    }


def _did_you_mean(warm: WarmCatalog, request: Request, found: Result) -> str | None:
    """What to look for instead when a word is in no picture: the question with the likeliest word in its place."""
    if not found.missing:
        return None
    with warm.catalog() as catalog:
        return next(iter(suggestions(catalog, request.text, found.missing)), None)


def result(row: Json, matcher: Matcher | None = None, hit: Hit | None = None) -> Json:
    """One picture of a list."""
    text = row["description"] or row["caption"] or ""
    path = display_path(row["path_bytes"])
    return {
        "id": row["id"],
        "path": path,
        "name": os.path.basename(path),
        "folder": os.path.dirname(path),
        "description": text,
        "highlights": lit(matcher, matcher.shortened(text, _SHOWN_DESCRIPTION)) if matcher else [],
        "why": None,
        "weaker": hit is not None and hit.is_weak,
        "score": None if hit is None else round(hit.score, 4),
        "taken_at": row["taken_at"],
        "place": row["place"],
        "place_ru": row["place_ru"],
        "camera": _camera(row),
        "width": row["width"],
        "height": row["height"],
        "format": row["format"],
        "tags": _list(row["tags"]),
        "state": "described" if row["description"] else row["state"],
        "copies": len(hit.other_paths) if hit else 0,
        "thumb": _picture_url("thumb", row),
    }


def lit(matcher: Matcher, text: str) -> list[list[Any]]:
    """[text, is lit] pairs that together are `text`."""
    pairs: list[list[Any]] = []
    last = 0
    for start, end in matcher.spans(text):
        pairs += [[text[last:start], False], [text[start:end], True]]
        last = end
    return [pair for pair in [*pairs, [text[last:], False]] if pair[0]]


def _picture_url(kind: str, row: Json) -> str:
    """Its `v` changes when the file does, so that a browser may keep what it has."""
    return url(f"/{kind}/{row['id']}", v=(row["content_hash"] or str(row["mtime_ns"]))[:16])


def _camera(row: Json) -> str | None:
    names = [name for name in (row["camera_make"], row["camera_model"]) if name and name.strip()]
    return shown_name(names) if names else None


def _list(text: str | None) -> list[str]:
    return [str(item) for item in json.loads(text)] if text else []


# Facets


def facets(warm: WarmCatalog, given: Parameters, language: str) -> Json:
    """Counts of months, cameras, places, folders, formats and tags. Raises UserError.

    The facet of a parameter leaves that parameter out, so that another camera can be chosen; tags narrow each other down.
    """
    table = warm.facets()
    rows = _counted_rows(warm, given)
    counted: Json = {}
    for name, own in _FACETS.items():
        is_own = any(one in given for one in own)
        its_rows = _counted_rows(warm, {key: values for key, values in given.items() if key not in own}) if is_own else rows
        distinct = its_rows if name == "folders" else table.distinct(its_rows)
        counted[name] = table.months(distinct) if name == "months" else getattr(table, name)(distinct, language)
    return counted | {"tags": table.tags(table.distinct(rows), language)}


def _counted_rows(warm: WarmCatalog, given: Parameters) -> Any:
    """Rows of the facet table: of all that pass the filters, or of the best of a question."""
    table = warm.facets()
    request = parameters.request(given, limit=_MOST_COUNTED)
    if parameters.is_question(given):
        return table.rows_of(warm.strong_ids(request))
    if request.filter.is_empty():
        return table.all_rows()
    return table.rows_of(warm.ids_passing(request.filter))


def _count(warm: WarmCatalog, given: Parameters) -> int:
    """How many different pictures pass the filters."""
    return len(warm.facets().distinct(_counted_rows(warm, given)))


# One picture


def image(warm: WarmCatalog, image_id: int, given: Parameters) -> Json | None:
    """All that is known of a picture; None when there is none. Raises UserError."""
    with warm.catalog() as catalog:
        views = CatalogViews(catalog)
        row = views.image(image_id)
        if row is None:
            return None
        past, copies = views.past_descriptions(image_id), views.copies(image_id)
    matcher = Matcher(parse(parameters.first(given, "q")))
    return (
        result(row)
        | _facts(row)
        | {
            "description": row["description"] or "",
            "highlights": lit(matcher, row["description"] or ""),
            "state": row["state"],
            "queued": row["state"] == "waiting" and row["description"] is not None,
            "made": _made(row),
            "past": past,
            "copies": [{"id": other, "path": path} for other, path in copies],
            "similar": _similar(warm, image_id),
            "picture": _picture_url("picture", row),
            "original": f"/original/{image_id}",
        }
    )


def _facts(row: Json) -> Json:
    same = (
        "visible_text", "caption", "latitude", "longitude", "altitude", "lens", "focal_length", "aperture", "exposure_time",
        "iso", "size", "failure_reason", "failure_kind", "language",
    )  # fmt: skip
    return {name: row[name] for name in same} | {"keywords": _list(row["keywords"]), "exif": _exif(row["exif"])}


def _exif(text: str | None) -> list[list[str]]:
    """(name, value) of what was read, raw tags last."""
    fields: Json = json.loads(text) if text else {}
    raw = next((value for value in fields.values() if isinstance(value, dict)), {})
    plain = {name: value for name, value in fields.items() if not isinstance(value, dict)}
    return [[str(name), _shown(value)] for name, value in (plain | raw).items()]


def _shown(value: Any) -> str:
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value))[:_LONGEST_EXIF_VALUE]


def _made(row: Json) -> Json | None:
    if row["description"] is None:
        return None
    names = ("engine", "model", "model_digest", "language", "prompt_version", "seconds")
    return {name: row[name] for name in names} | {"at": row["described_at"]}


def _similar(warm: WarmCatalog, image_id: int) -> list[Json]:
    """The pictures nearest in meaning; none where there is no vector."""
    try:
        found = warm.search(Request(like=image_id, limit=_MOST_SIMILAR))
    except UserError:
        return []
    return [result(hit.row) for hit in found.hits]


def neighbours(warm: WarmCatalog, image_id: int, given: Parameters) -> tuple[int | None, int | None]:
    """The ids before and after a picture among what is asked for. Raises UserError."""
    if parameters.is_question(given) or "sort" in given:
        ids: Iterable[int] = [hit.row["id"] for hit in warm.search(parameters.request(given, limit=_MOST_NEIGHBOURS)).hits]
    else:
        table = warm.facets()
        ids = table.ids[table.distinct(_counted_rows(warm, given))].tolist()
    order = list(ids)
    if image_id not in order:
        return None, None
    at = order.index(image_id)
    return order[at - 1] if at else None, order[at + 1] if at + 1 < len(order) else None
