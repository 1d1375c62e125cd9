"""The state of the catalog as the status page and /api/status show it: coverage, failures, runs, pace, counts and sizes."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from image_catalog.catalog_views import CatalogViews
from image_catalog.gallery.thumbnails import ThumbnailFolder
from image_catalog.gallery.warm_catalog import WarmCatalog

_MOST_RUNS = 10
_MOST_FOLDERS = 500


def status(warm: WarmCatalog, thumbnails: ThumbnailFolder) -> dict[str, Any]:
    """Everything, as JSON values. Raises CannotGoOn when the catalog cannot be read."""
    table = warm.facets()
    with warm.catalog() as catalog:
        views = CatalogViews(catalog)
        known = catalog.status()
        found = {
            **catalog.coverage()._asdict(),
            "queued": views.queued(),
            "failures": views.failures(),
            "runs": views.runs(_MOST_RUNS),
            "models": views.models(),
            "pace": _pace(views, known),
            "folders": known["folders"][:_MOST_FOLDERS],
        }
        originals = views.size_of_originals()
    distinct = table.distinct(table.all_rows())
    return found | {
        "index": _index(warm),
        "months": table.months(distinct),
        "cameras": [(camera["label"], camera["count"]) for camera in table.cameras(distinct, "en")],
        "sizes": {
            "originals": originals,
            "database": _size(warm.path) + _size(f"{warm.path}-wal"),
            "vector_index": _size(warm.index_path),
            "thumbnails": thumbnails.size(),
            "thumbnails_limit": thumbnails.limit,
        },
    }


def _pace(views: CatalogViews, known: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    since = {"last_hour": timedelta(hours=1), "last_day": timedelta(days=1)}
    described = {name: views.described_since((now - span).strftime("%Y-%m-%dT%H:%M:%SZ")) for name, span in since.items()}
    seconds = known["seconds_per_description"]
    return described | {"seconds_left": None if seconds is None else seconds * known["waiting"]}


def _index(warm: WarmCatalog) -> dict[str, Any]:
    model = warm.index_model()
    return {
        "exists": model is not None,
        "behind": warm.behind() if model is not None else None,
        "model": model,
        "size": _size(warm.index_path),
    }


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
