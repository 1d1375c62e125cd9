"""Pictures of every mode that Pillow knows -> right-looking RGB on white, scaled down on the way.

Knows pixels only: no files, no EXIF. Works in strips, so that a large picture needs little memory beside its own pixels.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

# A cheap box filter brings a picture down to no less than this many times its target; Lanczos does the rest.
_GAP = 2
_STRIP_PIXELS = 4_000_000
_TRANSPARENT_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_BRIGHT_PERCENTILE = 99.0
_USUAL_DEPTHS = (8, 10, 12, 14, 16)


def scaled_rgb(image: Image.Image, size: tuple[int, int], icc_profile: bytes | None = None) -> Image.Image:
    """`image` in sRGB at exactly `size`, what was transparent is white. `icc_profile`: the one its file carries."""
    from PIL import Image

    # Palettes and transparency become RGB on the way, and are sRGB in practice.
    has_own_colours = image.mode in ("RGB", "L", "CMYK", "LAB")
    small = _srgb(_reduced(image, size), icc_profile if has_own_colours else None)
    return small if small.size == size else small.resize(size, Image.Resampling.LANCZOS)


def _reduced(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`image` in a mode that can be averaged, shrunk by a whole factor where it is much larger than `size`."""
    from PIL import Image

    factor = max(1, min(image.width // (size[0] * _GAP), image.height // (size[1] * _GAP)))
    white = _white_level(image)
    if factor == 1:
        return _plain(image, white)
    if image.mode in ("RGB", "L", "CMYK", "LAB") and not _has_transparency(image):
        return image.reduce(factor)
    height = math.ceil(image.height / factor)
    rows = max(1, _STRIP_PIXELS // (image.width * factor))  # of the result, in one strip
    result: Image.Image | None = None
    for top in range(0, height, rows):
        box = (0, top * factor, image.width, min(image.height, (top + rows) * factor))
        strip = image.crop(box)
        strip.info = image.info
        strip = _plain(strip, white).reduce(factor)
        if result is None:
            result = Image.new(strip.mode, (strip.width, height))
        result.paste(strip, (0, top))
    assert result is not None
    return result


def _has_transparency(image: Image.Image) -> bool:
    return image.mode in _TRANSPARENT_MODES or "transparency" in image.info


def _plain(image: Image.Image, white: float) -> Image.Image:
    """In L, RGB, CMYK or LAB; transparency laid on white; `white` is the value that deep modes show as white."""
    if image.mode in _DEEP_MODES:
        return _eight_bits(image, white)
    if _has_transparency(image):
        return _on_white(image.convert("RGBA"))
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def _white_level(image: Image.Image) -> float:
    """For more than 8 bits: the full scale of the least usual depth that holds the brightest pixel.

    So a 12-bit picture in a 16-bit file is not black; a 16-bit one that is darker than a quarter of its scale is taken for
    one of fewer bits, and shown brighter than it is.
    """
    if image.mode not in _DEEP_MODES:
        return 255.0
    if image.mode == "F":
        return _white_level_of_floats(image)
    brightest: Any = image.getextrema()[1]
    return _full_scale(float(brightest))


def _full_scale(brightest: float) -> float:
    return next((2.0**bits - 1 for bits in _USUAL_DEPTHS if brightest < 2**bits), brightest)


def _white_level_of_floats(image: Image.Image) -> float:
    """1 where nearly all pixels lie below: a few highlights beyond 1, or pixels that are no number, do not make it dark."""
    import numpy as np

    values = np.asarray(image)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 1.0
    bright = float(np.percentile(values, _BRIGHT_PERCENTILE))
    return 1.0 if bright <= 1 else _full_scale(float(values.max()) if bright < 256 else bright)


def _eight_bits(image: Image.Image, white: float) -> Image.Image:
    if image.mode != "F":
        image = image.convert("I")
    factor = 255.0 / white if math.isfinite(white) and white > 0 else 0.0
    return image.convert("F").point(lambda value: value * factor + 0.0).convert("L")


def _srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """From the colours of the file's own profile (Adobe RGB, Display P3, a press) to those of a screen."""
    from PIL import ImageCms

    if icc_profile is None and image.mode != "LAB":
        return image.convert("RGB")
    try:
        lab = image.mode == "LAB"
        source = ImageCms.createProfile("LAB") if lab else ImageCms.ImageCmsProfile(io.BytesIO(icc_profile or b""))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        assert converted is not None  # it is only for inPlace
        return converted
    except (ImageCms.PyCMSError, OSError, ValueError):  # a damaged profile, or one of another mode
        return image.convert("L" if image.mode == "LAB" else "RGB").convert("RGB")
