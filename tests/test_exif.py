"""What is read out of pictures: typed, validated values from EXIF, XMP, IPTC and sidecars, whatever wrote them."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from exif import Image as IndependentImage  # type: ignore[import-untyped]
from picture_files import (
    camera_exif,
    iptc_block,
    jpeg_bytes,
    jpeg_with_looping_ifd,
    position_of,
    read,
    save,
    scene,
    with_exif,
    with_segment,
    xmp_packet,
    xmp_text,
)
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from running import ROOT

from image_catalog.errors import ImageError

TAKEN, DIGITIZED, CHANGED = 0x9003, 0x9004, 0x0132


# Every format


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic", ".avif"])
def test_date_camera_and_position_from_every_format(tmp_path: Path, suffix: str) -> None:
    found = read(save(tmp_path / f"a{suffix}", exif=camera_exif(6)))
    assert (found.taken_at, found.utc_offset, found.subseconds) == ("2014-02-15T18:30:05", "+03:00", "42")
    assert (found.camera_make, found.camera_model) == ("Canon", "Canon EOS 600D")
    assert found.latitude == pytest.approx(43.585)
    assert found.longitude == pytest.approx(39.72)


def test_all_that_a_camera_writes(tmp_path: Path) -> None:
    found = read(save(tmp_path / "a.jpg", exif=camera_exif(6)))
    assert (found.lens, found.focal_length, found.aperture) == ("EF-S15-85mm f/3.5-5.6 IS USM", 85, 5.6)
    assert (found.exposure_time, found.exposure_text(), found.iso, found.flash) == (0.004, "1/250 s", 400, False)
    assert (found.altitude, found.direction, found.gps_time) == (12.5, 90, "2014-02-15T15:30:05Z")
    assert found.orientation == 6
    assert found.has_tags
    assert found.raw["Image Make"] == "Canon"


def test_raw_tags_have_the_same_names_and_values_in_every_format(tmp_path: Path) -> None:
    raws = [read(save(tmp_path / f"a{suffix}", exif=camera_exif())).raw for suffix in (".jpg", ".webp", ".png", ".tif")]
    common = set.intersection(*(set(raw) for raw in raws))
    assert {"Image Make", "EXIF DateTimeOriginal", "EXIF ExposureTime", "GPS GPSLatitude"} <= common
    for raw in raws[1:]:
        assert {name: raw[name] for name in common} == {name: raws[0][name] for name in common}
        assert {name for name in raw if name.startswith(("EXIF", "GPS"))} == {
            name for name in raws[0] if name.startswith(("EXIF", "GPS"))
        }


def test_as_dict_is_json_with_only_what_is_known(tmp_path: Path) -> None:
    known = json.loads(json.dumps(read(save(tmp_path / "a.jpg", exif=camera_exif())).as_dict(), allow_nan=False))
    assert known["taken_at"] == "2014-02-15T18:30:05"
    assert known["latitude"] == pytest.approx(43.585)
    assert None not in known.values()
    assert "rating" not in known
    assert read(save(tmp_path / "plain.png")).as_dict() == {}


def test_tags_of_an_independent_author(tmp_path: Path) -> None:
    """`exif` writes its tags in another way than Pillow does."""
    image = IndependentImage(jpeg_bytes())
    image.make, image.model, image.orientation = "Nikon", "D5000", 8
    image.datetime_original = "2011:03:12 15:36:11"
    image.gps_latitude, image.gps_latitude_ref = (33.0, 51.0, 25.2), "S"
    image.gps_longitude, image.gps_longitude_ref = (151.0, 12.0, 36.0), "E"
    (tmp_path / "a.jpg").write_bytes(image.get_file())
    found = read(tmp_path / "a.jpg")
    assert (found.camera_make, found.camera_model, found.orientation) == ("Nikon", "D5000", 8)
    assert found.taken_at == "2011-03-12T15:36:11"
    assert position_of(found) == (pytest.approx(-33.857), pytest.approx(151.21))


def test_what_is_read_is_what_the_independent_author_reads(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", exif=camera_exif(3))
    image, found = IndependentImage(path.read_bytes()), read(path)
    assert (found.camera_make, found.camera_model) == (image.make, image.model)
    assert found.taken_at == image.datetime_original.replace(":", "-", 2).replace(" ", "T")
    assert (found.exposure_time, found.aperture) == (image.exposure_time, image.f_number)
    assert found.orientation == image.orientation.value


# Dates


@pytest.mark.parametrize(
    ("written", "taken_at"),
    [
        ("2014:02:15 18:30:05", "2014-02-15T18:30:05"),
        ("2014-02-15 18:30:05", "2014-02-15T18:30:05"),
        ("2014/02/15 18:30", "2014-02-15T18:30:00"),
        ("2014: 2: 5  8: 3: 5", "2014-02-05T08:03:05"),
        ("2014:02:15", "2014-02-15T00:00:00"),
        ("1905:01:01 00:00:00", "1905-01-01T00:00:00"),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("2014:02:30 10:00:00", None),
        ("2014:13:01 10:00:00", None),
        ("2014:02:15 25:00:00", None),
        ("1000:01:01 00:00:00", None),
        ("9999:01:01 00:00:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates(tmp_path: Path, written: str, taken_at: str | None) -> None:
    assert with_exif(tmp_path, camera={TAKEN: written}).taken_at == taken_at


def test_another_date_stands_in_for_a_missing_one(tmp_path: Path) -> None:
    original, digitized, changed = "2001:01:01 01:01:01", "2002:02:02 02:02:02", "2003:03:03 03:03:03"
    found = with_exif(tmp_path, tags={CHANGED: changed}, camera={TAKEN: original, DIGITIZED: digitized})
    assert found.taken_at == "2001-01-01T01:01:01"
    found = with_exif(tmp_path, tags={CHANGED: changed}, camera={TAKEN: "0000:00:00 00:00:00", DIGITIZED: digitized})
    assert found.taken_at == "2002-02-02T02:02:02"
    assert with_exif(tmp_path, tags={CHANGED: changed}).taken_at == "2003-03-03T03:03:03"


def test_offset_and_subseconds_belong_to_their_date(tmp_path: Path) -> None:
    found = with_exif(tmp_path, camera={DIGITIZED: "2002:02:02 02:02:02", 0x9011: "+05:00", 0x9012: "-07:00", 0x9291: "9"})
    assert (found.utc_offset, found.subseconds) == ("-07:00", None)


@pytest.mark.parametrize(
    ("written", "offset"),
    [("+03:00", "+03:00"), ("-0930", "-09:30"), ("Z", "+00:00"), ("   :  ", None), ("+99:00", None), ("Moscow", None)],
)
def test_offsets(tmp_path: Path, written: str, offset: str | None) -> None:
    found = with_exif(tmp_path, camera={TAKEN: "2014:02:15 18:30:05", 0x9011: written})
    assert found.utc_offset == offset


# Numbers


def test_impossible_numbers_are_unknown(tmp_path: Path) -> None:
    zero = IFDRational(0, 0)
    camera = {0x829A: zero, 0x829D: IFDRational(0, 1), 0x920A: zero, 0x8827: 0, 0x9204: IFDRational(1, 0), 0xA405: 0}
    found = with_exif(tmp_path, tags={0x0112: 0}, camera=camera)
    values = (found.exposure_time, found.aperture, found.focal_length, found.iso, found.exposure_bias, found.orientation)
    assert values == (None,) * 6
    assert found.exposure_text() is None


@pytest.mark.parametrize(
    ("exposure", "text"),
    [
        (IFDRational(1, 250), "1/250 s"),
        (IFDRational(10, 2500), "1/250 s"),
        (IFDRational(6, 10), "0.6 s"),
        (IFDRational(30, 1), "30 s"),
    ],
)
def test_exposure_as_photographers_write_it(tmp_path: Path, exposure: IFDRational, text: str) -> None:
    assert with_exif(tmp_path, camera={0x829A: exposure}).exposure_text() == text


def test_apex_values_stand_in_for_missing_ones(tmp_path: Path) -> None:
    found = with_exif(tmp_path, camera={0x9201: IFDRational(8, 1), 0x9202: IFDRational(4, 1)})
    assert found.exposure_time == pytest.approx(1 / 256, rel=1e-4)
    assert found.aperture == 4


def test_iso_beyond_16_bits_stands_elsewhere(tmp_path: Path) -> None:
    assert with_exif(tmp_path, camera={0x8827: 65535, 0x8832: 102400}).iso == 102400


def test_flash_is_the_lowest_bit(tmp_path: Path) -> None:
    assert with_exif(tmp_path, camera={0x9209: 0x19}).flash is True
    assert with_exif(tmp_path, camera={0x9209: 0x10}).flash is False
    assert with_exif(tmp_path, camera={}).flash is None


@pytest.mark.parametrize("orientation", [0, 9, 12336, 51713])
def test_an_impossible_orientation_is_unknown(tmp_path: Path, orientation: int) -> None:
    assert with_exif(tmp_path, tags={0x0112: orientation}).orientation is None


def test_a_lens_without_a_name_is_described(tmp_path: Path) -> None:
    lens = (IFDRational(15), IFDRational(85), IFDRational(35, 10), IFDRational(56, 10))
    assert with_exif(tmp_path, camera={0xA432: lens}).lens == "15-85 mm f/3.5-5.6"
    fixed = (IFDRational(50), IFDRational(50), IFDRational(0, 0), IFDRational(0, 0))
    assert with_exif(tmp_path, camera={0xA432: fixed, 0xA434: "----"}).lens == "50 mm"


# Texts


def test_texts_in_xmp(tmp_path: Path) -> None:
    elements = (
        xmp_text("dc:title", "Ёжик")
        + "<dc:description><rdf:Alt><rdf:li xml:lang='ru'>Осень</rdf:li>"
        + "<rdf:li xml:lang='x-default'>Autumn &amp; fog</rdf:li></rdf:Alt></dc:description>"
        + "<dc:subject><rdf:Bag><rdf:li>туман</rdf:li><rdf:li>Лес</rdf:li><rdf:li>лес</rdf:li></rdf:Bag></dc:subject>"
        + xmp_text("dc:creator", "Юрий", "Seq")
        + xmp_text("dc:rights", "© 1975")
        + "<photoshop:City>Moab</photoshop:City><photoshop:Country>USA</photoshop:Country>"
    )
    for suffix in (".jpg", ".png", ".webp", ".tif", ".avif", ".heic"):
        found = read(save(tmp_path / f"a{suffix}", xmp=xmp_packet('xmp:Rating="4"', elements)))
        assert (found.title, found.caption, found.rating) == ("Ёжик", "Autumn & fog", 4), suffix
        assert (found.keywords, found.creator, found.copyright) == (("туман", "Лес"), "Юрий", "© 1975")
        assert found.location == "Moab, USA"
        assert found.caption_text() == "Ёжик\nAutumn & fog"
        assert not found.has_tags


def test_texts_in_iptc(tmp_path: Path) -> None:
    block = iptc_block({5: "Title", 25: ["кот", "dog"], 80: "Anna", 116: "© Anna", 120: "Кот на окне", 90: "Тверь"})
    (tmp_path / "a.jpg").write_bytes(with_segment(jpeg_bytes(), 0xED, block))
    found = read(tmp_path / "a.jpg")
    assert (found.title, found.caption, found.keywords) == ("Title", "Кот на окне", ("кот", "dog"))
    assert (found.creator, found.copyright, found.location) == ("Anna", "© Anna", "Тверь")


def test_iptc_of_old_russian_programs(tmp_path: Path) -> None:
    block = iptc_block({120: "Дача под Клином, 1998"}, charset="cp1251")
    (tmp_path / "a.jpg").write_bytes(with_segment(jpeg_bytes(), 0xED, block))
    assert read(tmp_path / "a.jpg").caption == "Дача под Клином, 1998"


def test_iptc_date(tmp_path: Path) -> None:
    block = iptc_block({55: "20071206", 60: "143318+0900"})
    (tmp_path / "a.jpg").write_bytes(with_segment(jpeg_bytes(), 0xED, block))
    found = read(tmp_path / "a.jpg")
    assert (found.taken_at, found.utc_offset) == ("2007-12-06T14:33:18", "+09:00")


@pytest.mark.parametrize(
    ("tags", "caption"),
    [
        ({0x010E: "Бабушка в саду".encode()}, "Бабушка в саду"),
        ({0x010E: "Бабушка в саду".encode("cp1251")}, "Бабушка в саду"),
        ({0x010E: "Café à Besançon".encode("latin-1")}, "Café à Besançon"),
        ({0x010E: "OLYMPUS DIGITAL CAMERA"}, None),
        ({0x010E: "SANYO DIGITAL CAMERA"}, None),
        ({0x010E: "          "}, None),
        ({0x010E: "000007"}, None),
        ({0x9C9C: "Комментарий Проводника\0".encode("utf-16-le")}, "Комментарий Проводника"),
    ],
)
def test_captions_in_exif(tmp_path: Path, tags: dict[int, Any], caption: str | None) -> None:
    assert with_exif(tmp_path, tags=tags).caption == caption


@pytest.mark.parametrize(
    ("comment", "caption"),
    [
        (b"ASCII\0\0\0Birthday party\0\0", "Birthday party"),
        (b"UNICODE\0" + "День рождения".encode("utf-16-le"), "День рождения"),
        (b"UNICODE\0" + "День рождения".encode("utf-16-be"), "День рождения"),
        (b"\0" * 8 + "Привет".encode(), "Привет"),
        (b"ASCII\0\0\0" + b" " * 100, None),
        (b"JIS\0\0\0\0\0abc", None),
    ],
)
def test_user_comments(tmp_path: Path, comment: bytes, caption: str | None) -> None:
    assert with_exif(tmp_path, camera={0x9286: comment}).caption == caption


def test_windows_keywords_and_rating(tmp_path: Path) -> None:
    found = with_exif(tmp_path, tags={0x9C9E: "море; пляж ;Море\0".encode("utf-16-le"), 0x4746: 5})
    assert (found.keywords, found.rating) == (("море", "пляж"), 5)


def test_no_text_can_harm_a_terminal(tmp_path: Path) -> None:
    hostile = "a\x1b[2J\x07\u202eb\u2066c\x9bd\ud800e\x00f".encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    found = with_exif(tmp_path, tags={0x010E: hostile, 0x010F: "Ca\x1b]0;x\x07non", 0x0110: "E\tO\nS"})
    for text in (found.caption or "", found.camera_make or "", found.camera_model or "", *found.raw.values()):
        assert all(char.isprintable() or char == "\n" for char in text), repr(text)
    assert found.camera_model == "E O S"


def test_texts_are_bounded(tmp_path: Path) -> None:
    found = with_exif(tmp_path, tags={0x010E: "word " * 10_000, 0x010F: "M" * 10_000})
    assert len(found.caption or "") <= 4000
    assert len(found.camera_make or "") <= 200
    assert max(len(text) for text in found.raw.values()) <= 200


# Damaged and hostile files


def test_an_ifd_that_names_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with_looping_ifd())
    started = time.monotonic()
    assert read(path).camera_make == "Abc"
    assert time.monotonic() - started < 1


def damaged_blocks() -> dict[str, bytes]:
    good = camera_exif().tobytes()
    endless = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x010F, 2, 0xFFFFFFFF, 8)
    return {
        "empty": b"Exif\0\0",
        "half": good[: len(good) // 2],
        "offset out of the file": b"Exif\0\0MM\0*\x7f\xff\xff\xff",
        "count of four thousand million": b"Exif\0\0" + endless,
        "no TIFF": b"Exif\0\0" + b"\xde\xad\xbe\xef" * 20,
        "sixty thousand bytes of nothing": b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 60_000,
    }


@pytest.mark.parametrize("damage", damaged_blocks())
def test_damaged_exif_gives_what_can_be_read(tmp_path: Path, damage: str) -> None:
    path = save(tmp_path / "a.jpg", exif=damaged_blocks()[damage])
    started = time.monotonic()
    found = read(path)
    assert time.monotonic() - started < 1
    assert found.latitude is None or math.isfinite(found.latitude)


@pytest.mark.parametrize(
    "packet",
    [
        b"<x:xmpmeta not xml",
        b'<!DOCTYPE rdf:RDF [<!ENTITY grows "boom">]><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        b' xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description><dc:title>&grows;</dc:title></rdf:Description></rdf:RDF>',
        b"\xff\xfe\0",
        xmp_packet('xmp:Rating="seven" exif:DateTimeOriginal="never"'),
    ],
)
def test_damaged_xmp_is_nothing(tmp_path: Path, packet: bytes) -> None:
    assert read(save(tmp_path / "a.jpg", xmp=packet)).as_dict() == {}


def test_the_exif_of_a_png_does_not_cost_its_decoding(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(6000, 6000), compress_level=1)
    started = time.perf_counter()
    with Image.open(path) as image:
        image.load()
    decoding = time.perf_counter() - started
    started = time.perf_counter()
    assert not read(path).has_tags
    assert time.perf_counter() - started < decoding / 2


def test_nothing_is_printed(tmp_path: Path) -> None:
    """In a process of its own, where no test runner catches what the libraries log."""
    contents = (jpeg_bytes(scene())[:500], jpeg_with_looping_ifd(), b"text", *damaged_blocks().values())
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.jpg").write_bytes(content)
        save(tmp_path / f"whole {number}.jpg", exif=content[:60_000])
    program = "import glob, sys\nfrom image_catalog import exif\nfor path in glob.glob(sys.argv[1] + '/*'):\n    exif.read(path)"
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_file_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        read(tmp_path / "missing.jpg")
    assert caught.value.kind == "gone"
