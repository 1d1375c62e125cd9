"""Catalogs for benchmarks: descriptions put together from parts, and vectors in clusters as texts have them."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from image_catalog import query_export
from image_catalog.catalog import Catalog
from image_catalog.embedding_model import EmbeddingModel
from image_catalog.passage import passage_hash, passage_of_row
from image_catalog.vector_run import VectorOptions, VectorRun
from image_catalog.words import stems

_PARTS = {
    "en": (
        ("A brown dog", "Two children", "An old man in a hat", "A red bicycle", "A white cat", "Three women", "A fishing boat"),
        (
            "on a sandy beach",
            "in front of a brick house",
            "under tall trees",
            "on a wooden table",
            "beside a lake",
            "in the snow",
        ),
        ("The light is soft and warm, as before sunset.", "The sky is grey and it is about to rain.", "It is bright noon."),
        (
            "In the background mountains are seen.",
            "Several people walk by.",
            "A sign stands at the left edge.",
            "Birds fly over.",
        ),
        ("The colours are muted.", "The picture is sharp and full of contrast.", "The mood is calm.", "Everything is in motion."),
    ),
    "ru": (
        ("Рыжая собака", "Двое детей", "Старик в шляпе", "Красный велосипед", "Белая кошка", "Три женщины", "Рыбацкая лодка"),
        ("на песчаном пляже", "перед кирпичным домом", "под высокими деревьями", "на деревянном столе", "у озера", "на снегу"),
        ("Свет мягкий и тёплый, как перед закатом.", "Небо серое, вот-вот пойдёт дождь.", "Яркий полдень."),
        ("На заднем плане видны горы.", "Мимо идут несколько человек.", "У левого края стоит указатель.", "Летят птицы."),
        ("Цвета приглушённые.", "Снимок резкий и контрастный.", "Настроение спокойное.", "Всё в движении."),
    ),
}


def descriptions(count: int, seed: int = 0) -> list[str]:
    """Texts of 20 to 45 words, half of them Russian; all different."""
    rng = random.Random(seed)
    texts = []
    for number in range(count):
        subjects, places, *sentences = _PARTS["ru" if number % 2 else "en"]
        details = [rng.choice(choices) for choices in sentences for _ in range(rng.randrange(1, 3))]
        texts.append(f"{rng.choice(subjects)} {rng.choice(places)}, № {number}. {' '.join(details)}")
    return texts


def clustered_vectors(count: int, dimension: int = 384, seed: int = 0) -> NDArray[np.float16]:
    """Unit vectors around count / 200 centres, at a cosine of about 0.7 to their own."""
    rng = np.random.default_rng(seed)
    centres = _unit(rng.standard_normal((max(1, count // 200), dimension), np.float32))
    vectors = np.empty((count, dimension), np.float16)
    for start in range(0, count, 50_000):
        size = min(50_000, count - start)
        noise = _unit(rng.standard_normal((size, dimension), np.float32))
        vectors[start : start + size] = _unit(centres[rng.integers(len(centres), size=size)] + noise)
    return vectors


def _unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


class _Silent:
    def note(self, text: str) -> None: ...
    def warn(self, text: str, once: str | None = None) -> None: ...
    def progress(self, total: int, unit: str = "image") -> Any: ...


def make(folder: str, count: int, model: EmbeddingModel) -> tuple[str, str]:
    """A catalog of `count` described images and its vector index, as `model` would leave them but with made vectors.

    Returns the paths of images.db and image_index.faiss.
    """
    languages = ["ru" if number % 2 else "en" for number in range(count)]
    return store(folder, descriptions(count), languages, clustered_vectors(count, model.dimension), model)


def store(
    folder: str,
    texts: Sequence[str],
    languages: Sequence[str],
    vectors: NDArray[Any],
    model: EmbeddingModel,
    columns: Sequence[dict[str, str]] | None = None,
) -> tuple[str, str]:
    """A catalog with an image for each of `texts`, whose vector is the row of `vectors`; image ids count from 1.

    `columns`: tags, visible_text and facts of each, beside what `texts` say.
    """
    query_export.ensure(model)
    path, index = f"{folder}/images.db", f"{folder}/image_index.faiss"
    more = columns or [{} for _ in texts]
    rows = [_columns(*row) for row in zip(range(len(texts)), texts, languages, more, strict=True)]
    keys = [passage_hash(passage_of_row(row)) for row in rows]
    blobs = vectors.astype("<f2")
    with Catalog.open(path) as catalog:
        with catalog.transaction():
            for number, row in enumerate(rows):
                catalog.insert_image(b"/photos/%07d.jpg" % number, row)
        model_id = catalog.embedding_model_id(model.name, model.digest, model.dimension)
        catalog.keep_vectors(model_id, ((key, blob.tobytes()) for key, blob in zip(keys, blobs, strict=True)))
        catalog.keep_setting("embedding_model", model.name)
        catalog.keep_setting("embedding_model_digest", model.digest)
        catalog.keep_setting("embedding_dimension", str(model.dimension))
        VectorRun(catalog, index, VectorOptions(), _Silent()).run()
    return path, index


def _columns(number: int, text: str, language: str, more: dict[str, str]) -> dict[str, Any]:
    how = {"state": "described", "description": text, "tags": "[]", "language": language, "visible_text": "", "caption": None}
    file = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": number, "device": 1}
    return {**file, **how, **more, "content_hash": f"{number:064d}", "stems": stems(" ".join([text, *more.values()]))}
