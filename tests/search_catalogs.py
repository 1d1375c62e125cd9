"""Catalogs for the tests of search: real images.db files with Russian and English texts, and small real vector indexes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from image_catalog import words
from image_catalog.catalog import Catalog

PICTURES: dict[str, dict[str, Any]] = {
    "собака.jpg": {
        "description": "Рыжая собака бежит по песчаному пляжу на закате.",
        "tags": '["собака", "пляж", "закат"]',
        "taken_at": "2023-01-07T16:20:00",
        "camera_make": "Canon",
        "camera_model": "EOS 5D",
        "lens": "EF50mm f/1.8",
        "latitude": 43.585,
        "longitude": 39.723,
        "place": "Sochi, Krasnodar Krai, Russia",
        "place_ru": "Сочи, Краснодарский край, Россия",
        "facts": "winter зима Sochi Сочи Canon EOS 5D 2023",
        "format": "JPEG",
        "width": 4000,
        "height": 3000,
    },
    "ёлка.png": {
        "description": "Новогодняя ёлка с красными шарами стоит у окна.",
        "tags": '["ёлка"]',
        "taken_at": "2022-12-31T23:00:00",
        "format": "PNG",
        "width": 600,
        "height": 800,
    },
    "car.jpg": {
        "description": "A red car is parked by a white house. A dog runs beside it.",
        "visible_text": "KX 4821",
        "taken_at": "2023-06-15T12:00:00",
        "camera_make": "NIKON CORPORATION",
        "camera_model": "NIKON D90",
        "format": "JPEG",
        "width": 1200,
        "height": 900,
    },
    "blue.jpg": {"description": "A blue car and a red bus on a street in the rain.", "taken_at": "2021-03-01T08:00:00"},
    "waiting.jpg": {"state": "waiting", "facts": "lighthouse маяк 2020", "caption": None},
    "broken.jpg": {"state": "failed", "failure_reason": "cut"},
    "gone.jpg": {"description": "A red car that was deleted.", "gone_at": "2024-01-01T00:00:00Z"},
}
_TEXTS = ("description", "tags", "visible_text", "caption", "keywords", "facts")
_FILE = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1, "device": 1}


def add(catalog: Catalog, path: bytes, **columns: Any) -> int:
    """One image, described unless `state` says otherwise, with its stems as index_images.py stores them."""
    stems = words.stems(" ".join(columns.get(name) or "" for name in _TEXTS))
    return catalog.insert_image(path, {**_FILE, "state": "described", **columns, "stems": stems})


def make(path: Path, texts: dict[str, str] | None = None) -> str:
    """A catalog of PICTURES, or one with a picture for each name and description in `texts`; ids count from 1."""
    pictures = PICTURES if texts is None else {name: {"description": text} for name, text in texts.items()}
    with Catalog.open(str(path)) as catalog, catalog.transaction():
        for name, columns in pictures.items():
            add(catalog, f"/photos/{name}".encode(), **columns)
    return str(path)
