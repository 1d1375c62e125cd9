"""Every mode that Pillow knows becomes right-looking RGB on white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from picture_files import GRASS, SKY, SUN, assert_scene, colour_at, save, scene, shown, swapped_profile
from PIL import Image, ImageCms

from image_catalog import picture


def deep(scale: int) -> Image.Image:
    """16 bits of grey in a file, of which the lowest values of `scale` times 8 bits are used."""
    return scene().convert("L").convert("I").point(lambda value: value * scale + 0).convert("I;16")


MODES = {
    "RGB.png": scene(),
    "P.png": scene().quantize(64),
    "P.gif": scene().quantize(64),
    "RGBA.png": scene().convert("RGBA"),
    "RGBA.webp": scene().convert("RGBA"),
    "CMYK.jpg": scene().convert("CMYK"),
    "CMYK.tif": scene().convert("CMYK"),
    "YCbCr.tif": scene().convert("YCbCr"),
    "LAB.tif": ImageCms.profileToProfile(
        scene(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    ),
}
GREYS = {
    "L.png": scene().convert("L"),
    "LA.png": scene().convert("LA"),
    "1.png": scene().convert("1"),
    "1.tif": scene().convert("1"),
    "I16.png": deep(256),
    "I16.tif": deep(256),
    "12 bits.tif": deep(16),
    "I.tif": scene().convert("L").convert("I").point(lambda value: value * 256 + 0),
    "F.tif": scene().convert("L").convert("F"),
    "F from 0 to 1.tif": scene().convert("L").convert("F").point(lambda value: value * (1 / 255) + 0),
}


@pytest.mark.parametrize("name", MODES)
def test_every_colour_mode_looks_right(tmp_path: Path, name: str) -> None:
    prepared = picture.prepare(save(tmp_path / name, MODES[name]).as_posix())
    assert shown(prepared).mode == "RGB"
    assert_scene(shown(prepared), tolerance=20)


@pytest.mark.parametrize("name", GREYS)
@pytest.mark.parametrize("max_size", [1024, 64])
def test_every_grey_mode_looks_right(tmp_path: Path, name: str, max_size: int) -> None:
    image = shown(picture.prepare(save(tmp_path / name, GREYS[name]).as_posix(), max_size))
    grey = [round(0.299 * red + 0.587 * green + 0.114 * blue) for red, green, blue in (SUN, SKY, GRASS)]
    whole = image.reduce(8) if name.startswith("1.") and max_size > 64 else image  # the eye averages black dots too
    for (x, y), expected in zip(((0.15, 0.25), (0.7, 0.3), (0.5, 0.85)), grey, strict=True):
        assert abs(colour_at(whole, x, y)[0] - expected) <= 25, (x, y)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (200, 200), (255, 0, 0, 0))
    palette = Image.new("P", (200, 200), 0)
    palette.putpalette([255, 0, 0, 0, 0, 0])
    cases = {
        "a.png": save(tmp_path / "a.png", clear),
        "a.webp": save(tmp_path / "a.webp", clear),
        "a.gif": save(tmp_path / "a.gif", palette, transparency=0),
        "p.png": save(tmp_path / "p.png", palette, transparency=0),
        "key.png": save(tmp_path / "key.png", Image.new("RGB", (200, 200), "red"), transparency=(255, 0, 0)),
    }
    for name, path in cases.items():
        assert colour_at(shown(picture.prepare(path.as_posix())), 0.5, 0.5) == (255, 255, 255), name


def test_the_colours_of_an_embedded_profile_become_those_of_a_screen(tmp_path: Path) -> None:
    """A profile whose primaries are those of sRGB in another order swaps the colours that a viewer sees."""
    swapped = swapped_profile()
    path = save(tmp_path / "a.png", Image.new("RGB", (100, 100), (250, 10, 10)), icc_profile=swapped)
    red, green, blue = colour_at(shown(picture.prepare(path.as_posix())), 0.5, 0.5)
    assert green > 200 > red and green > blue


@pytest.mark.parametrize("odd_pixel", [1.5, float("nan"), float("inf"), 30.0])
def test_one_odd_pixel_does_not_make_a_float_picture_black(tmp_path: Path, odd_pixel: float) -> None:
    values = np.tile(np.linspace(0, 1, 400, dtype=np.float32), (300, 1))
    values[10, 10] = odd_pixel
    path = tmp_path / "a.tif"
    Image.fromarray(values).save(path)
    prepared = shown(picture.prepare(path.as_posix())).convert("L")
    left, middle, right = (prepared.getpixel((x, 150)) for x in (5, 200, 395))
    assert left < 10
    assert 115 < middle < 140
    assert right > 245


def test_a_damaged_profile_does_not_cost_the_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", icc_profile=b"no profile at all")
    assert_scene(shown(picture.prepare(path.as_posix())))
