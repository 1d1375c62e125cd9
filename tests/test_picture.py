"""What the vision model is shown: upright, in right colours, small, without metadata; and hostile files that end as one line."""

from __future__ import annotations

import errno
import os
import random
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from picture_files import (
    NO_IMAGES,
    assert_scene,
    camera_exif,
    dng,
    exif_block,
    jpeg_bytes,
    jpeg_of_size,
    png_of_size,
    save,
    scene,
    shown,
    stored_as,
    swapped_profile,
    text_bomb,
)
from PIL import Image, ImageChops, ImageStat

from image_catalog import picture
from image_catalog.errors import ImageError

FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".gif": "GIF", ".tif": "TIFF", ".bmp": "BMP", ".avif": "AVIF"}
FORMATS |= {".heic": "HEIF"}


# Formats


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_becomes_an_upright_jpeg(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"photo{suffix}")
    prepared = picture.prepare(str(path))
    assert (prepared.format, prepared.width, prepared.height) == (FORMATS[suffix], 320, 240)
    image = shown(prepared)
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (320, 240))
    assert_scene(image)
    assert picture.header(bytes(path)) == picture.Header(FORMATS[suffix], 320, 240)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_wrong_ending_works(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"photo{suffix}")
    for wrong in ("photo.txt", "photo.png" if suffix != ".png" else "photo.jpg", "photo"):
        renamed = path.rename(tmp_path / wrong)
        assert picture.prepare(bytes(renamed)).format == FORMATS[suffix]
        renamed.rename(path)


def test_the_main_picture_of_an_mpo_is_an_ordinary_jpeg(tmp_path: Path) -> None:
    path = save(tmp_path / "depth.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (320, 240), "black")])
    prepared = picture.prepare(path.as_posix())
    assert prepared.format == "JPEG"
    assert_scene(shown(prepared))


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_the_first_frame_of_several(tmp_path: Path, name: str) -> None:
    others = [Image.new("RGB", (320, 240), colour) for colour in ("black", "red")]
    path = save(tmp_path / name, save_all=True, append_images=others)
    assert_scene(shown(picture.prepare(path.as_posix())))


def test_no_format_beyond_the_list_is_opened(tmp_path: Path) -> None:
    for format in ("EPS", "PPM", "TGA", "ICO"):
        path = save(tmp_path / "photo.jpg", format=format)
        with pytest.raises(ImageError, match="not an image"):
            picture.prepare(path.as_posix())


# Scaling


@pytest.mark.parametrize(
    ("size", "max_size", "shown_as"),
    [
        ((2000, 1000), 1024, (1024, 512)),
        ((1000, 2000), 1024, (512, 1024)),
        ((800, 600), 1024, (800, 600)),
        ((3000, 3000), 448, (448, 448)),
        ((1, 1), 1024, (56, 56)),
        ((20, 10), 1024, (112, 56)),
        ((4000, 40), 1024, (1024, 56)),
        ((10, 2000), 1024, (56, 1024)),
    ],
)
def test_the_long_side_is_limited_and_no_side_is_tiny(
    tmp_path: Path, size: tuple[int, int], max_size: int, shown_as: tuple[int, int]
) -> None:
    for name in ("a.png", "a.jpg"):
        prepared = picture.prepare(save(tmp_path / name, scene(*size)).as_posix(), max_size)
        assert shown(prepared).size == shown_as
        assert (prepared.width, prepared.height) == size


def test_a_large_jpeg_is_not_decoded_in_full(tmp_path: Path) -> None:
    """A ratio: all the work at a reduced size costs less than decoding alone in full, on any machine."""
    path = save(tmp_path / "large.jpg", noisy(scene(6000, 4000)), quality=90)

    def decode() -> None:
        with Image.open(path) as image:
            image.load()

    assert fastest(lambda: picture.prepare(path.as_posix(), 448)) < 0.8 * fastest(decode)


def fastest(work: object, tries: int = 3) -> float:
    times = []
    for _ in range(tries):
        started = time.perf_counter()
        work()  # type: ignore[operator]
        times.append(time.perf_counter() - started)
    return min(times)


def test_a_large_picture_with_transparency_is_scaled_in_strips_without_seams(tmp_path: Path) -> None:
    image = scene(3000, 5000).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    path = save(tmp_path / "large.png", image, compress_level=1)
    on_white = Image.new("RGB", image.size, "white")
    on_white.paste(image, mask=image.getchannel("A"))
    expected = on_white.resize((614, 1024), Image.Resampling.LANCZOS)
    difference = ImageStat.Stat(ImageChops.difference(shown(picture.prepare(path.as_posix())), expected))
    assert max(difference.mean) < 2


# Uprightness

ORIENTATIONS = range(1, 9)


@pytest.mark.parametrize(
    ("suffix", "size"), [(".png", (320, 240)), (".tif", (320, 240)), (".webp", (320, 240)), (".png", (2101, 1477))]
)
def test_the_eight_orientations_are_shown_as_equal_pixels(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    upright = noisy(scene(*size))
    of_format: dict[str, dict[str, Any]] = {".webp": {"lossless": True}, ".png": {"compress_level": 1}}
    options = of_format.get(suffix, {})
    prepared = []
    for orientation in ORIENTATIONS:
        image = stored_as(upright, orientation)
        path = save(tmp_path / f"{orientation}{suffix}", image, exif=camera_exif(orientation), **options)
        prepared.append(picture.prepare(path.as_posix()))
    assert len({one.pixel_hash for one in prepared}) == 1
    assert len({one.jpeg for one in prepared}) == 1
    assert {(one.width, one.height) for one in prepared} == {size}


def noisy(image: Image.Image) -> Image.Image:
    """Detail everywhere, so that scaling in another order would show."""
    noise = Image.frombytes("L", (97, 89), random.Random(4).randbytes(97 * 89)).resize(image.size)
    return Image.blend(image, Image.merge("RGB", (noise, noise, noise)), 0.3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".jpg", ".avif", ".heic"])
def test_lossy_formats_are_shown_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = save(tmp_path / f"a{suffix}", stored_as(scene(), orientation), exif=camera_exif(orientation), quality=95)
    prepared = picture.prepare(path.as_posix())
    assert (prepared.width, prepared.height) == (320, 240)
    assert_scene(shown(prepared))
    assert picture.header(path.as_posix()) == picture.Header(FORMATS[suffix], 320, 240)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_heic_that_its_container_turns_is_turned_once(tmp_path: Path, orientation: int) -> None:
    """EXIF given as bytes makes pillow-heif write the turn into the container, as phones do."""
    exif = camera_exif(orientation).tobytes()
    path = save(tmp_path / "a.heic", stored_as(scene(), orientation), exif=exif, quality=95)
    assert (b"irot" in path.read_bytes() or b"imir" in path.read_bytes()) == (orientation != 1)
    prepared = picture.prepare(path.as_posix())
    assert (prepared.width, prepared.height) == (320, 240)
    assert_scene(shown(prepared))


@pytest.mark.parametrize("orientation", [0, 9, 51713])
def test_an_impossible_orientation_means_upright(tmp_path: Path, orientation: int) -> None:
    path = save(tmp_path / "a.jpg", exif=exif_block({0x0112: orientation}))
    assert_scene(shown(picture.prepare(path.as_posix())))


def test_the_orientation_of_a_png_may_stand_behind_its_pixels(tmp_path: Path) -> None:
    plain = save(tmp_path / "a.png", stored_as(scene(), 6), exif=camera_exif(6)).read_bytes()
    begin = plain.index(b"eXIf") - 4
    end = begin + 12 + int.from_bytes(plain[begin : begin + 4], "big")
    last = plain.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(plain[:begin] + plain[end:last] + plain[begin:end] + plain[last:])
    prepared = picture.prepare((tmp_path / "a.png").as_posix())
    assert (prepared.width, prepared.height) == (320, 240)
    assert_scene(shown(prepared))


# Metadata


@pytest.mark.parametrize("profile", [b"", swapped_profile()])
def test_the_model_gets_no_metadata(tmp_path: Path, profile: bytes) -> None:
    path = save(tmp_path / "a.jpg", exif=camera_exif(), dpi=(300, 300), comment=b"at home", icc_profile=profile)
    prepared = picture.prepare(path.as_posix())
    assert set(shown(prepared).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"Canon" not in prepared.jpeg and b"at home" not in prepared.jpeg


def test_equal_pictures_have_equal_pixel_hashes_whatever_their_metadata(tmp_path: Path) -> None:
    content = jpeg_bytes()
    plain, tagged, other = tmp_path / "plain.jpg", tmp_path / "tagged.jpg", tmp_path / "other.jpg"
    plain.write_bytes(content)
    exif = camera_exif().tobytes()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    tagged.write_bytes(content[:2] + segment + content[2:])
    save(other, scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=95)
    hashes = [picture.prepare(path.as_posix()).pixel_hash for path in (plain, tagged, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert plain.read_bytes() == content, "the original is never written to"


# Hostile and damaged files


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_image_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(NO_IMAGES[kind])
    with pytest.raises(ImageError) as caught:
        picture.prepare(path.as_posix())
    assert (caught.value.kind, caught.value.reason) == ("not an image", f"not an image ({kind})")


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != ".bmp"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_half_a_file_is_an_error(tmp_path: Path, suffix: str, part: float) -> None:
    path = save(tmp_path / f"a{suffix}", noisy(scene(640, 480)))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    os.utime(path, (0, 0))  # long finished, so that nobody waits for the rest
    with pytest.raises(ImageError) as caught:
        picture.prepare(path.as_posix())
    assert caught.value.kind == "unreadable" or part == 0.1


def test_a_jpeg_that_ends_in_zeros_is_cut(tmp_path: Path) -> None:
    content = jpeg_bytes(noisy(scene(1200, 900)))
    path = tmp_path / "a.jpg"
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    with pytest.raises(ImageError) as caught:
        picture.prepare(path.as_posix())
    assert caught.value.kind == "cut"
    path.write_bytes(content + bytes(5000))
    assert picture.prepare(path.as_posix()).width == 1200


def test_a_damaged_file_that_grows_is_still_being_written(tmp_path: Path) -> None:
    content = jpeg_bytes(noisy(scene(640, 480)))
    path = tmp_path / "a.jpg"
    path.write_bytes(content[: len(content) // 2])
    stop = threading.Event()

    def grow() -> None:
        with open(path, "ab", buffering=0) as file:
            while not stop.wait(0.01):
                file.write(b"\0")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(ImageError) as caught:
            picture.prepare(path.as_posix())
    finally:
        stop.set()
        writer.join()
    assert caught.value.kind == "still being written"


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (png_of_size(60_000, 60_000), "60000×60000"),
        (png_of_size(14_000, 14_000), "14000×14000"),
        (jpeg_of_size(65_500, 65_500), "65500×65500"),
    ],
)
def test_too_many_pixels_are_refused_at_once(tmp_path: Path, content: bytes, size: str) -> None:
    path = tmp_path / "bomb.jpg"
    path.write_bytes(content)
    started = time.monotonic()
    with pytest.raises(ImageError) as caught:
        picture.prepare(path.as_posix())
    assert time.monotonic() - started < 0.5
    assert caught.value.kind == "too large"
    assert size in caught.value.reason


def test_a_text_bomb_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(text_bomb())
    started = time.monotonic()
    with pytest.raises(ImageError):
        picture.prepare(path.as_posix())
    assert time.monotonic() - started < 1


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    for block in (b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 64):
        path = save(tmp_path / "a.jpg", exif=block)
        assert_scene(shown(picture.prepare(path.as_posix())))


def test_a_tag_of_an_odd_type_does_not_cost_a_picture_that_must_be_turned(tmp_path: Path) -> None:
    """XResolution as text: Pillow reads it, and cannot write it again."""
    entries = struct.pack("<HHHII", 2, 0x0112, 3, 1, 6) + struct.pack("<HHI4s", 0x011A, 2, 3, b"72\0\0")
    block = b"Exif\0\0II*\0\x08\0\0\0" + entries + bytes(4)
    path = save(tmp_path / "a.jpg", stored_as(scene(), 6), exif=block)
    assert_scene(shown(picture.prepare(path.as_posix())))


def test_a_png_with_a_large_profile_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", icc_profile=swapped_profile() + bytes(3 << 20))
    assert picture.prepare(path.as_posix()).width == scene().width


@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_what_the_disk_refuses_is_not_the_fault_of_the_file(error: int) -> None:
    found = picture._decoding_error(b"/nowhere/a.jpg", OSError(error, os.strerror(error)))
    assert (found.kind, found.reason) == ("read error", os.strerror(error))


def test_a_missing_file_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        picture.prepare(tmp_path / "missing.jpg")  # type: ignore[arg-type]
    assert caught.value.kind == "gone"


def test_a_heic_without_pi_heif_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heic, other = save(tmp_path / "a.heic"), save(tmp_path / "a.jpg")
    monkeypatch.setitem(sys.modules, "pi_heif", None)  # what Python itself uses to mark a module as absent
    with pytest.raises(ImageError) as caught:
        picture.prepare(heic.as_posix())
    assert caught.value.kind == "needs pi-heif"
    assert "pip install pi-heif" in str(caught.value)
    assert picture.prepare(other.as_posix()).format == "JPEG"


# Camera raw files


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_preview_of_a_raw_file_is_shown_upright(tmp_path: Path, orientation: int) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "IMG_1.dng"
    upright, sensor = ((800, 600), (1600, 1200)) if orientation < 5 else ((600, 800), (1200, 1600))
    path.write_bytes(dng(jpeg_bytes(stored_as(scene(*upright), orientation)), orientation=orientation))
    prepared = picture.prepare(path.as_posix())
    assert (prepared.format, prepared.width, prepared.height) == ("DNG", *sensor)
    assert shown(prepared).size == upright
    assert_scene(shown(prepared))


def test_a_preview_that_is_no_jpeg_is_shown_upright_too(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "IMG_1.dng"
    path.write_bytes(dng(stored_as(scene(600, 800), 6), orientation=6))
    assert_scene(shown(picture.prepare(path.as_posix())))


@pytest.mark.parametrize("preview", [b"", jpeg_bytes(scene(160, 120))])
def test_a_raw_file_without_a_useful_preview_is_developed(tmp_path: Path, preview: bytes) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "IMG_1.dng"
    path.write_bytes(dng(preview))
    prepared = picture.prepare(path.as_posix())
    assert (prepared.width, prepared.height) == (1600, 1200)
    assert shown(prepared).size == (800, 600)


def test_a_picture_with_the_name_of_a_raw_file_is_read(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    path = save(tmp_path / "a.jpg").rename(tmp_path / "a.cr2")
    prepared = picture.prepare(path.as_posix())
    assert prepared.format == "JPEG"
    assert_scene(shown(prepared))


def test_a_raw_file_without_rawpy_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    path = tmp_path / "IMG_1.CR2"
    path.write_bytes(b"II*\0\x10\0\0\0CR\x02\0")
    with pytest.raises(ImageError) as caught:
        picture.prepare(path.as_posix())
    assert caught.value.kind == "needs rawpy"
    assert "pip install rawpy" in str(caught.value)
