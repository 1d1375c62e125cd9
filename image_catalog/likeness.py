"""A picture file -> what other pictures are compared with: its row in the catalog, or a description made for this search.

Puts together what the catalog, image_files and vision_model know; stores nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from image_catalog import image_files
from image_catalog.catalog import Catalog
from image_catalog.catalog_search import SearchableCatalog
from image_catalog.errors import CannotGoOn, ImageError


def of_file(catalog: Catalog, path: str, on_note: Callable[[str], None]) -> int | str:
    """The id of the image at `path`, or of one with equal content; else a description by the catalog's vision model.

    Raises CannotGoOn when the file is no readable image or no model can describe it, HostUnavailable when no server answers.
    """
    rows = SearchableCatalog(catalog)
    for name in (os.path.abspath(os.fsencode(path)), os.path.realpath(os.fsencode(path))):
        image_id = rows.id_of_path(name)
        if image_id is not None and _is_described(catalog.image(image_id)):
            return image_id
    if not os.path.exists(path):
        raise CannotGoOn(path, "there is no such file, and the catalog has no description of it", "name a picture with --like")
    if not os.path.isfile(path):
        raise CannotGoOn(path, "is no picture", "name a picture with --like")
    remedy = "name a picture that can be read with --like"
    try:
        content = image_files.content_hash(os.fsencode(path))
    except OSError as error:
        raise CannotGoOn(path, f"cannot be read ({error.strerror})", remedy) from None
    for row in catalog.images_with_content(content):
        if _is_described(row):
            return int(row["id"])
    try:
        if catalog.setting("engine") == "captions" and (caption := _own_caption(path)):
            return caption
        on_note(f"{path} has no description in the catalog yet: the vision model looks at it first")
        return _description(catalog, path, on_note)
    except ImageError as error:
        raise CannotGoOn(error.subject, error.reason, error.remedy or remedy) from None


def _is_described(row: Mapping[str, Any] | None) -> bool:
    return row is not None and bool(row["description"])


def _own_caption(path: str) -> str | None:
    """What the file or its sidecar says, as it would be stored where captions are descriptions."""
    from image_catalog.guarded_workers import GuardedWorkers
    from image_catalog.passage import passage_text

    with GuardedWorkers(1) as workers:
        exif = workers.examine(os.fsencode(path)).result().exif
    caption = exif.caption_text()
    return passage_text(caption, exif.keywords) if caption else None


def _description(catalog: Catalog, path: str, on_note: Callable[[str], None]) -> str:
    from image_catalog import vision_model
    from image_catalog.guarded_workers import GuardedWorkers
    from image_catalog.passage import passage_text

    with GuardedWorkers(1) as workers:
        picture = workers.prepare(os.fsencode(path), int(catalog.setting("max_image_size") or 1024)).result()
    engine = catalog.setting("engine")
    with vision_model.connect(
        engine="ollama" if engine in (None, "captions") else engine,
        hosts=json.loads(catalog.setting("hosts") or "[]"),
        model=catalog.setting("model") if engine != "captions" else None,
        language=catalog.setting("language"),
        prompt=catalog.setting("prompt"),
        on_warning=on_note,
    ) as model:
        description = model.describe(picture.jpeg, path)
    return passage_text(description.description, description.tags, description.visible_text)
