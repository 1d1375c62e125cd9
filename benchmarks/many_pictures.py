"""A catalog of very many pictures and its vector index, for measuring searches: made words as frequent as those of a language."""

from __future__ import annotations

import json
import random
import sys
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from image_catalog import search, words
from image_catalog.catalog import Catalog

WORDS = 20_000
CAMERAS = (("Canon", "EOS 5D"), ("NIKON CORPORATION", "NIKON D90"), ("Apple", "iPhone 12"), ("SONY", "ILCE-7M3"))
PLACES = ("Sochi", "Paris", "Moscow", "Oslo", "Prague", "Rome", "Lisbon", "Kazan")
DIMENSION = 384
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprtvz" for vowel in "aou"]


def word(rank: int) -> str:
    """The word of this rank by frequency: 1 is in every second text, 50 in one of a hundred, 5,000 in few of 100,000."""
    return _VOCABULARY[rank]


_VOCABULARY = ["".join(parts) for parts, _ in zip(product(_SYLLABLES, repeat=3), range(WORDS), strict=False)]


def make_catalog(path: str, count: int) -> None:
    """Texts of 30 words whose frequencies fall as those of a language do (Zipf's law), and all columns that a photo has."""
    chance = random.Random(0)
    cumulative: list[float] = []
    for number in range(WORDS):
        cumulative.append((cumulative[-1] if cumulative else 0.0) + 1 / (number + 50))
    with Catalog.open(path) as catalog, catalog.transaction():
        for number in range(count):
            text = " ".join(chance.choices(_VOCABULARY, cum_weights=cumulative, k=30))
            catalog.insert_image(b"/photos/%d/IMG_%07d.jpg" % (number % 500, number), _columns(number, text, chance))
    with Catalog.open(path) as catalog:
        catalog.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _columns(number: int, text: str, chance: random.Random) -> dict[str, Any]:
    make, model = chance.choice(CAMERAS)
    place = chance.choice(PLACES)
    taken_at = f"{chance.randint(2000, 2024)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T12:00:00"
    tags = json.dumps(text.split()[:5])
    facts = f"{taken_at[:4]}; {place}; {make} {model}; IMG {number:07d}"
    has_position = number % 25 == 0
    return {
        "size": 1, "mtime_ns": number, "ctime_ns": 1, "inode": number, "device": 1, "content_hash": f"{number:064x}",
        "format": "JPEG", "width": 4000, "height": 3000, "taken_at": taken_at, "camera_make": make, "camera_model": model,
        "latitude": chance.uniform(-60, 70) if has_position else None,
        "longitude": chance.uniform(-180, 180) if has_position else None, "place": place if has_position else None,
        "exif": json.dumps({f"Tag{tag}": chance.random() for tag in range(30)}), "facts": facts,
        "state": "described" if number % 50 else "waiting", "description": text, "tags": tags, "passage_hash": str(number),
        "stems": words.stems(f"{text} {tags} {facts}"),
    }  # fmt: skip


def make_index(path: str, count: int) -> None:
    """A vector index of random directions."""
    import numpy as np

    from image_catalog import vector_index

    rng = np.random.default_rng(0)
    vectors = np.empty((count, DIMENSION), np.float16)
    for start in range(0, count, 50_000):
        some = rng.standard_normal((min(50_000, count - start), DIMENSION), np.float32)
        vectors[start : start + len(some)] = some / np.linalg.norm(some, axis=1, keepdims=True)
    ids = np.arange(1, count + 1, dtype=np.int64)
    vector_index.build(path, ids, vectors, model="made", model_digest="made", generation=count)


def open_meaning(path: str) -> search.Meaning:
    """The index with a query that is one of its vectors: encoding is not measured here."""
    from image_catalog import vector_index

    index = vector_index.VectorIndex.open(path)
    vector = index.vector_of(1)
    assert vector is not None
    return search.Meaning(index, lambda _: vector)
