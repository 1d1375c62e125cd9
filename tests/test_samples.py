"""The sample pictures are what captions.json and CREDITS.md say they are."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
from collections import Counter
from functools import cache

import pytest
from PIL import Image
from running import ROOT

from image_catalog import exif, picture

SAMPLES = ROOT / "samples"
CAPTIONS = json.loads((SAMPLES / "captions.json").read_text(encoding="utf-8"))
MUST_SPEAK = ["en", "ru", "tags_en", "tags_ru", "queries_en", "queries_ru"]
FIELDS = {"id", "sha256", "bytes", "visible_text", "confusable_with", *MUST_SPEAK}
FREE_LICENCES = {"CC0 1.0", "CC BY 2.0", "CC BY 4.0", "CC BY-SA 3.0", "CC BY-SA 4.0", "BSD-3-Clause", "public domain"}
_NO_PICTURES = {".md", ".json", ".xmp", ".txt"}
_SIDECARS = (".xmp", ".txt")
TURNED = "отпуск/Фото 17.jpg"


def pictures_on_disk() -> set[str]:
    files = (file for file in SAMPLES.rglob("*") if file.is_file())
    return {file.relative_to(SAMPLES).as_posix() for file in files if file.suffix not in _NO_PICTURES}


@cache
def read(name: str) -> exif.Exif:
    return exif.read(str(SAMPLES / name))


def credits_rows() -> list[list[str]]:
    """File, author, source, licence and changes of each row of the table."""
    lines = (SAMPLES / "CREDITS.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


def test_every_picture_is_captioned() -> None:
    assert 10 <= len(CAPTIONS) <= 25
    assert pictures_on_disk() == set(CAPTIONS)
    assert len({entry["id"] for entry in CAPTIONS.values()}) == len(CAPTIONS)


def test_every_picture_is_credited_under_a_free_licence() -> None:
    rows = credits_rows()
    assert sorted(row[0].strip("`") for row in rows) == sorted(CAPTIONS)
    for file, author, source, licence, changes in rows:
        assert author and source and changes, file
        assert re.sub(r"^\[(.*)\]\(.*\)$", r"\1", licence) in FREE_LICENCES, file


def test_what_was_made_up_is_said() -> None:
    """A reader of CREDITS must not take our dates and places for the photographer's."""
    for file, _, _, _, changes in credits_rows():
        found = read(file.strip("`"))
        assert ("camera data made up" in changes or "camera data and position made up" in changes) == bool(found.taken_at), file
        assert ("position" in changes) == (found.latitude is not None), file


def test_they_stay_small() -> None:
    sizes = {file: file.stat().st_size for file in SAMPLES.rglob("*") if file.is_file()}
    assert {file: size for file, size in sizes.items() if size > 120_000} == {}
    assert sum(sizes.values()) < 1_500_000


@pytest.mark.parametrize("name", CAPTIONS)
def test_a_picture_is_the_one_that_was_captioned(name: str) -> None:
    entry = CAPTIONS[name]
    assert set(entry) == FIELDS
    assert [field for field in MUST_SPEAK if not entry[field]] == []
    assert set(entry["confusable_with"]) <= set(CAPTIONS) - {name}
    data = (SAMPLES / name).read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
    with Image.open(io.BytesIO(picture.prepare(str(SAMPLES / name)).jpeg)) as shown:
        assert len(set(shown.resize((16, 16)).convert("L").tobytes())) > 16  # a photograph, not one flat colour


@pytest.mark.parametrize("name", CAPTIONS)
def test_a_picture_carries_its_caption_and_keywords(name: str) -> None:
    entry = CAPTIONS[name]
    assert read(name).caption_text() == entry["en"]
    assert list(read(name).keywords) == entry["tags_en"] + entry["tags_ru"]


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is the judge")
def test_exiftool_reads_the_same_captions() -> None:
    tags = ("-ImageDescription", "-XMP-dc:Description", "-IPTC:Caption-Abstract")
    command = ["exiftool", "-json", "-charset", "iptc=utf8", *tags, *(str(SAMPLES / name) for name in CAPTIONS)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    for name, row in zip(CAPTIONS, told, strict=True):
        beside = any((SAMPLES / name).with_suffix(end).exists() or (SAMPLES / (name + end)).exists() for end in _SIDECARS)
        texts = {text for tag, text in row.items() if tag != "SourceFile"}
        assert texts == (set() if beside else {CAPTIONS[name]["en"]}), name


def test_formats_and_names_vary() -> None:
    formats = Counter(picture.prepare(str(SAMPLES / name), 64).format for name in CAPTIONS)
    assert set(formats) >= {"JPEG", "PNG", "WEBP", "HEIF", "AVIF"}
    assert formats["JPEG"] > formats.total() / 2
    assert sum(re.search("[а-яё]", name, re.IGNORECASE) is not None for name in CAPTIONS) >= 2
    assert {file.suffix for file in SAMPLES.rglob("*") if file.suffix in _SIDECARS} == set(_SIDECARS)


def test_several_know_their_camera_and_place() -> None:
    assert sum(bool(read(name).camera_model) for name in CAPTIONS) >= 5
    assert sum(read(name).latitude is not None for name in CAPTIONS) >= 4


def test_one_is_stored_turned_and_comes_out_upright() -> None:
    with Image.open(SAMPLES / TURNED) as stored:
        assert stored.width > stored.height
        assert stored.getexif()[0x0112] == 6
    made = picture.prepare(str(SAMPLES / TURNED))
    assert made.height > made.width


def test_mountains_at_sunset_are_one_picture_only() -> None:
    both = [name for name, entry in CAPTIONS.items() if {"горы", "закат"} <= set(entry["tags_ru"])]
    asked = [name for name, entry in CAPTIONS.items() if "горы на закате" in entry["queries_ru"]]
    assert len(both) == 1
    assert asked == both
    assert not re.search("гор|закат|mount|sunset", both[0], re.IGNORECASE)  # the name does not give it away
