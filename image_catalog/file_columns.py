"""What stat and an opened file say of a picture -> the columns of its row in images.

Knows which value goes into which column; deciding which rows change is folder_sync's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from image_catalog import catalog as catalogs
from image_catalog.image_files import FoundFile

if TYPE_CHECKING:
    from image_catalog.reading import Examined


def stat_columns(found: FoundFile) -> dict[str, Any]:
    """How the file is recognised again."""
    return {
        "size": found.size,
        "mtime_ns": found.mtime_ns,
        "ctime_ns": found.ctime_ns,
        "inode": found.inode,
        "device": _device(found.path),
    }


def _device(path: bytes) -> int:
    try:
        return os.stat(path).st_dev
    except OSError:
        return -1  # as for what is no regular file: its disk is not asked for


def fact_columns(examined: Examined) -> dict[str, Any]:
    """What the file says of itself."""
    exif, facts = examined.exif, examined.facts
    place = facts.place
    return {
        "content_hash": examined.content_hash,
        "format": examined.format,
        "width": examined.width,
        "height": examined.height,
        "taken_at": facts.taken_at,
        "camera_make": exif.camera_make,
        "camera_model": exif.camera_model,
        "lens": exif.lens,
        "focal_length": exif.focal_length,
        "aperture": exif.aperture,
        "exposure_time": exif.exposure_time,
        "iso": exif.iso,
        "latitude": exif.latitude,
        "longitude": exif.longitude,
        "altitude": exif.altitude,
        "orientation": exif.orientation,
        "place": place and place.text("en"),
        "place_ru": place and place.text("ru"),
        "caption": exif.caption_text(),
        "keywords": catalogs.to_json(exif.keywords) if exif.keywords else None,
        "exif": catalogs.to_json(exif.as_dict()),
        "facts": facts.text,
        "context": facts.context,
    }
