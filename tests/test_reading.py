"""One file read once: what it is, and what is no failure although it is no image."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from picture_files import NO_IMAGES, camera_exif, png_of_size, save, scene, stored_as, without_root

from image_catalog import reading
from image_catalog.errors import ImageError


def test_all_that_is_known_of_a_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.jpg", stored_as(scene(), 6), exif=camera_exif(6))
    found = reading.examine(bytes(path))
    assert found.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.path, found.format, found.width, found.height) == (bytes(path), "JPEG", 320, 240)
    assert found.exif.camera_model == "Canon EOS 600D"
    assert "Сочи" in found.facts.text
    assert not found.is_other_file


@pytest.mark.parametrize("name", ["notes.txt", "film.mp4", "photo.xmp", "archive.zip", "noext", "page.html"])
@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_image_by_name_nor_content_is_no_failure(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(NO_IMAGES[kind])
    found = reading.examine(bytes(tmp_path / name))
    assert found.is_other_file
    assert (found.format, found.content_hash) == ("", "")


@pytest.mark.parametrize("name", ["photo.jpg", "PHOTO.HEIC", "photo.tiff"])
@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_an_image_by_name_only_is_a_failure(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(NO_IMAGES[kind])
    with pytest.raises(ImageError) as caught:
        reading.examine(bytes(tmp_path / name))
    assert (caught.value.kind, caught.value.reason) == ("not an image", f"not an image ({kind})")


@pytest.mark.parametrize("name", ["photo", "photo.bak", "photo.txt"])
def test_an_image_by_content_only_is_an_image(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / "a.webp").rename(tmp_path / name)
    assert reading.examine(bytes(path)).format == "WEBP"


def test_a_bomb_is_a_failure_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(png_of_size(60_000, 60_000))
    with pytest.raises(ImageError) as caught:
        reading.examine(bytes(tmp_path / "data.bin"))
    assert caught.value.kind == "too large"


def test_a_missing_file_is_gone_whatever_its_name(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.txt"):
        with pytest.raises(ImageError) as caught:
            reading.examine(bytes(tmp_path / name))
        assert caught.value.kind == "gone"


def test_a_closed_file_is_a_failure_if_its_name_promises_an_image(tmp_path: Path) -> None:
    reading.examine(bytes(save(tmp_path / "a.jpg")))  # loads what the user without rights could not
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    for name in ("a.jpg", "a.txt"):
        (tmp_path / name).write_bytes(b"x")
        (tmp_path / name).chmod(0)
    with without_root():
        with pytest.raises(ImageError) as caught:
            reading.examine(bytes(tmp_path / "a.jpg"))
        assert reading.examine(bytes(tmp_path / "a.txt")).is_other_file
    assert (caught.value.kind, caught.value.reason) == ("permission denied", "permission denied")


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = os.path.join(bytes(tmp_path), b"caf\xe9.jpg")
    os.rename(save(tmp_path / "a.jpg", exif=camera_exif()), path)
    found = reading.examine(path)
    assert found.path == path
    assert found.exif.camera_make == "Canon"


def test_metadata_of_a_picture_whose_pixels_cannot_be_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", exif=camera_exif())
    raw = bytearray(path.read_bytes())
    at = raw.index(b"\xff\xc0")
    raw[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"  # 65500 x 65500
    path.write_bytes(bytes(raw))
    found = reading.metadata(bytes(path))
    assert found.header is None
    assert found.exif.camera_make == "Canon"
    assert found.place is not None
    assert "Сочи" in found.place.text("ru")
