"""A camera's raw file -> the preview that the camera put into it; needs the optional library rawpy (LibRaw).

Knows LibRaw's quirks; scaling and colours are picture's work. Without a preview that is large enough the sensor data is
developed at half size.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO

from image_catalog.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

_SMALLEST_PREVIEW = 512
_ORIENTATION_TAG = 0x0112
# LibRaw's flip -> EXIF orientation: turned by 180, by 90 counter-clockwise, by 90 clockwise.
_ORIENTATIONS = {3: 3, 5: 8, 6: 6}


def open_preview(path: bytes, file: BinaryIO) -> tuple[Image.Image, tuple[int, int]] | None:
    """The preview, with its EXIF orientation set, and the upright size of the photograph in pixels.

    None when LibRaw knows nothing of the file. Raises ImageError of kind `needs rawpy` without the library, and whatever
    rawpy and Pillow raise on damaged files.
    """
    try:
        import rawpy
    except ImportError:
        reason = f"a camera raw file ({os.fsdecode(os.path.splitext(path)[1])[1:].upper()}), and rawpy is not installed"
        raise ImageError(os.fsdecode(path), reason, "pip install rawpy", kind="needs rawpy") from None
    try:
        raw = rawpy.imread(file)
    except (rawpy.LibRawFileUnsupportedError, rawpy.LibRawIOError):
        return None
    with raw:
        size = _upright_size(raw)  # before developing, which changes it
        return _embedded(raw, rawpy) or _developed(raw), size


def _upright_size(raw: Any) -> tuple[int, int]:
    sizes = raw.sizes
    return (sizes.height, sizes.width) if sizes.flip in (5, 6) else (sizes.width, sizes.height)


def _embedded(raw: Any, rawpy: Any) -> Image.Image | None:
    from PIL import Image

    try:
        preview = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    if preview.format == rawpy.ThumbFormat.JPEG:
        image: Image.Image = Image.open(io.BytesIO(preview.data), formats=["JPEG"])  # LibRaw adds EXIF where it has none
    else:
        image = Image.fromarray(preview.data)
        image.getexif()[_ORIENTATION_TAG] = _ORIENTATIONS.get(raw.sizes.flip, 1)
    return image if max(image.size) >= _SMALLEST_PREVIEW else None


def _developed(raw: Any) -> Image.Image:
    """Half the size costs a quarter of the time; LibRaw turns it upright."""
    from PIL import Image

    return Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8))
