"""Files beside a picture: what they say of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from picture_files import camera_exif, read, save, xmp_packet, xmp_text


@pytest.mark.parametrize("name", ["photo.jpg.xmp", "photo.xmp", "photo.XMP"])
def test_an_xmp_sidecar_is_the_latest_word(tmp_path: Path, name: str) -> None:
    embedded = xmp_packet(elements=xmp_text("dc:description", "old") + xmp_text("dc:subject", "old word", "Bag"))
    path = save(tmp_path / "photo.jpg", xmp=embedded)
    new = xmp_text("dc:description", "new") + xmp_text("dc:subject", "new word", "Bag")
    (tmp_path / name).write_bytes(xmp_packet(elements=new))
    found = read(path)
    assert (found.caption, found.keywords) == ("new", ("new word", "old word"))


def test_a_link_is_not_read_as_a_sidecar(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.jpg")
    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0")
    (tmp_path / "photo.txt").symlink_to(secret)
    assert read(path).caption is None


def test_people_are_named_as_exiftool_writes_them(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.jpg")
    person = '<rdf:li rdf:parseType="Resource"><mwg-rs:Name>Мария Иванова</mwg-rs:Name></rdf:li>'
    people = f"<mwg-rs:RegionList><rdf:Bag>{person}</rdf:Bag></mwg-rs:RegionList>"
    namespace = 'xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"'
    regions = f'<mwg-rs:Regions {namespace} rdf:parseType="Resource">{people}</mwg-rs:Regions>'
    (tmp_path / "photo.xmp").write_bytes(xmp_packet(elements=regions))
    assert read(path).keywords == ("Мария Иванова",)


def test_a_sidecar_of_a_hundred_thousand_levels_is_read_in_a_moment(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.jpg")
    depth = 30_000
    deep = "<dc:subject><rdf:Description>" * depth + "</rdf:Description></dc:subject>" * depth
    (tmp_path / "photo.xmp").write_bytes(xmp_packet(elements=deep))
    started = time.process_time()
    read(path)
    assert time.process_time() - started < 2


def test_a_sidecar_fills_in_date_and_position_but_does_not_replace_them(tmp_path: Path) -> None:
    attributes = 'exif:DateTimeOriginal="1999-09-09T09:09:09" exif:GPSLatitude="10,0N" exif:GPSLongitude="20,0E"'
    (tmp_path / "a.xmp").write_bytes(xmp_packet(attributes))
    found = read(save(tmp_path / "a.jpg"))
    assert (found.taken_at, found.latitude, found.longitude) == ("1999-09-09T09:09:09", 10, 20)
    found = read(save(tmp_path / "a.jpg", exif=camera_exif()))
    assert found.taken_at == "2014-02-15T18:30:05"
    assert found.latitude == pytest.approx(43.585)


@pytest.mark.parametrize("name", ["photo.txt", "photo.jpg.txt"])
@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "cp1251", "utf-16"])
def test_a_text_sidecar_is_the_caption(tmp_path: Path, name: str, charset: str) -> None:
    path = save(tmp_path / "photo.jpg")
    (tmp_path / name).write_bytes("Кошка спит\nна окне\n".encode(charset))
    assert read(path).caption == "Кошка спит\nна окне"


def test_what_is_no_sidecar_is_left_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.jpg")
    (tmp_path / "photo.txt").write_bytes(b"\0\1\2binary")
    (tmp_path / "photo.jpg.txt").write_bytes(b"x" * 100_000)
    (tmp_path / "photo.xmp").mkdir()
    assert read(path).caption is None
