"""The sample pictures are what captions.json and CREDITS.md say they are."""

from __future__ import annotations

import hashlib
import json

import pytest
from running import ROOT

from image_catalog import exif, picture

SAMPLES = ROOT / "samples"
CAPTIONS = json.loads((SAMPLES / "captions.json").read_text(encoding="utf-8"))
_NO_PICTURES = {".md", ".json", ".xmp", ".txt"}


def test_every_picture_is_listed_and_credited() -> None:
    files = {file.relative_to(SAMPLES).as_posix() for file in SAMPLES.rglob("*") if file.suffix not in _NO_PICTURES | {""}}
    assert files == set(CAPTIONS)
    credits = (SAMPLES / "CREDITS.md").read_text(encoding="utf-8")
    assert [name for name in files if f"| `{name}` |" not in credits] == []


def test_they_stay_small() -> None:
    assert sum(file.stat().st_size for file in SAMPLES.rglob("*") if file.is_file()) < 1_500_000


@pytest.mark.parametrize("name", CAPTIONS)
def test_a_picture_is_the_one_that_was_captioned(name: str) -> None:
    entry = CAPTIONS[name]
    data = (SAMPLES / name).read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
    assert picture.prepare(str(SAMPLES / name)).jpeg[:2] == b"\xff\xd8"
    for field in ("en", "ru", "tags_en", "tags_ru", "queries_en", "queries_ru"):
        assert entry[field]


@pytest.mark.parametrize("name", CAPTIONS)
def test_a_picture_carries_its_caption(name: str) -> None:
    caption = exif.read(str(SAMPLES / name)).caption_text()
    assert caption in (CAPTIONS[name]["en"], CAPTIONS[name]["ru"])


def test_one_is_stored_turned_and_comes_out_upright() -> None:
    made = picture.prepare(str(SAMPLES / "отпуск" / "Фото 17.jpg"))
    assert made.height > made.width
