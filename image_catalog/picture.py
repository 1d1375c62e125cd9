"""One image file -> the upright, scaled JPEG that a vision model is shown; and its format and size without decoding.

Owns Pillow. Only files of an explicit list of formats are opened, by content and whatever their name is. Everything here
happens in the calling process: guarded_workers runs it where a hostile file can do no harm.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from image_catalog import image_files
from image_catalog.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

DEFAULT_MAX_SIZE = 1024
# 108 million pixels are what phones really make; decoded with transparency they are 432 MB.
MAX_PIXELS = 150_000_000
_LARGEST_TEXT = 32 << 20  # bytes of a profile or text in a PNG, unpacked
# EXIF orientation -> PIL.Image.Transpose, by number because Pillow is imported late.
_TURNS: dict[int, Any] = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
# Vision models cut a picture into patches; qwen2.5vl's runner dies on a side below 28 pixels.
MIN_SIDE = 56
JPEG_QUALITY = 85
# Small print in a picture of 12 million pixels is lost at 1.0 (28 dB to a full decode); at 1.4 it is not (34 dB).
_DRAFT_GAP = 1.4

# Formats that people keep photographs in and whose decoders are fuzzed. Never EPS (Ghostscript), PSD, BLP, FLI, ...
# MPO is opened as the JPEG that it begins with.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")
# 576 of 582 good JPEGs have their end mark in the last 64 KB; a copy that never finished has zeros there.
_END_OF_JPEG, _JPEG_TAIL, _ZEROS = b"\xff\xd9", 64 << 10, 512
_ORIENTATION_TAG = 0x0112
_HEIF_PROPERTIES = 64 << 10  # the properties of a HEIF lie before its pixels
_NAMES = {"MPO": "JPEG"}  # the main picture of an MPO is an ordinary JPEG


@dataclass(frozen=True, slots=True)
class Picture:
    """What a vision model is shown: a JPEG in RGB, upright, without metadata.

    `width` and `height` are the upright size of the original in pixels, `format` is its file format. `pixel_hash` is the
    SHA-256 of the scaled pixels and their size: files that differ in metadata only have the same.
    """

    jpeg: bytes
    width: int
    height: int
    format: str
    pixel_hash: str


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of an image file tell: its format and its upright size in pixels."""

    format: str
    width: int
    height: int


def prepare(path: bytes | str, max_size: int = DEFAULT_MAX_SIZE) -> Picture:
    """The picture in `path`, its long side at most `max_size` pixels. Raises ImageError."""
    raw_path = os.fsencode(path)
    with _opened(raw_path) as opened:
        if opened.format == "JPEG":
            _refuse_cut(raw_path)
        if opened.image.format == "PNG":
            opened.image.load()  # its EXIF may lie behind the pixels
        header = _header(opened)
        scaled = _upright_rgb(opened.image, max_size)
    return Picture(_jpeg(scaled), header.width, header.height, header.format, _pixel_hash(scaled))


def preview(path: bytes | str, max_size: int) -> bytes:
    """A JPEG for people to look at: upright, in RGB, without metadata, its long side at most `max_size` pixels.

    Never enlarged or padded. Raises ImageError.
    """
    with _opened(os.fsencode(path)) as opened:
        if opened.image.format == "PNG":
            opened.image.load()  # its EXIF may lie behind the pixels
        return _jpeg(_upright_rgb(opened.image, max_size, least_side=1))


def header(path: bytes | str) -> Header:
    """Format and upright size, read from the beginning of the file. Raises ImageError."""
    with _opened(os.fsencode(path)) as opened:
        return _header(opened)


# Opening


@dataclass(frozen=True, slots=True)
class _Opened:
    """An image that is not decoded yet; for a camera's raw file its preview, and the upright size of the photograph."""

    image: Image.Image
    format: str
    raw_size: tuple[int, int] | None = None


def _header(opened: _Opened) -> Header:
    return Header(opened.format, *(opened.raw_size or _upright_size(opened.image)))


@contextmanager
def _opened(path: bytes) -> Iterator[_Opened]:
    """The image in `path`; whatever Pillow raises inside the block becomes an ImageError."""
    with image_files.open_file(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd files that it reads all the same
        try:
            opened = _identified(path, file)
            with opened.image:
                _refuse_too_large(path, opened.raw_size or opened.image.size)
                yield opened
        except ImageError:
            raise
        except MemoryError:
            raise ImageError(os.fsdecode(path), "too large to decode in the memory allowed", kind="too large") from None
        except Exception as error:  # Pillow's decoders raise nine different types on damaged files
            raise _decoding_error(path, error) from None


def _identified(path: bytes, file: BinaryIO) -> _Opened:
    if image_files.is_raw_name(path):
        from image_catalog import raw_preview

        found = raw_preview.open_preview(path, file)
        if found is not None:
            return _Opened(found[0], image_files.extension(path)[1:].decode().upper(), found[1])
        file.seek(0)
    image = open_image(file, os.fsdecode(path))
    name = image.format or ""
    return _Opened(image, _NAMES.get(name, name))


def open_image(file: BinaryIO, subject: str) -> Image.Image:
    """An image in an open file, by content. Raises ImageError of kind `not an image`, whatever Pillow raises otherwise."""
    from PIL import Image, PngImagePlugin, UnidentifiedImageError

    PngImagePlugin.MAX_TEXT_CHUNK = _LARGEST_TEXT  # Pillow's own limit refuses the profiles of good screens
    Image.MAX_IMAGE_PIXELS = None  # Pillow's limit would not say the size; _refuse_too_large does
    formats = _FORMATS if _can_read_heif() else [name for name in _FORMATS if name != "HEIF"]
    try:
        image = Image.open(file, formats=formats)
    except UnidentifiedImageError:
        file.seek(0)
        raise _unidentified(subject, file.read(4096)) from None
    if image.format == "HEIF":
        _keep_orientation(image, file)
    return image


def _can_read_heif() -> bool:
    """Register the decoder of HEIC, which Pillow has not; False where it is not installed."""
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return True


def _keep_orientation(image: Image.Image, file: BinaryIO) -> None:
    """Give a HEIF its EXIF orientation back where it means something.

    libheif turns the picture as the container says, so pi_heif drops the tag. Some writers set the tag alone.
    """
    orientation = image.info.get("original_orientation")
    file.seek(0)
    beginning = file.read(_HEIF_PROPERTIES)
    if orientation and b"irot" not in beginning and b"imir" not in beginning:
        image.getexif()[_ORIENTATION_TAG] = orientation


def _unidentified(subject: str, beginning: bytes) -> ImageError:
    from image_catalog.file_kinds import kind_of_content, other_format

    if name := other_format(beginning):
        return ImageError(subject, f"a picture in a format that is not read ({name})", "save a copy as PNG", kind="not an image")
    kind = kind_of_content(beginning)
    if "HEIF" in kind and not _can_read_heif():
        return ImageError(subject, "a HEIC picture, and pi-heif is not installed", "pip install pi-heif", kind="needs pi-heif")
    if kind.startswith("damaged"):
        path = os.fsencode(subject)
        return image_files.still_being_written(path) if image_files.is_changing(path) else _undecodable(subject, kind)
    return ImageError(subject, f"not an image ({kind})", kind="not an image")


def _undecodable(subject: str, why: str) -> ImageError:
    return ImageError(subject, f"cannot be decoded ({why})")


def _refuse_too_large(path: bytes, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        limit = f"the limit is {MAX_PIXELS // 1_000_000} million pixels"
        raise ImageError(os.fsdecode(path), f"too large: {width}×{height} ({limit})", kind="too large")


def _refuse_cut(path: bytes) -> None:
    """A JPEG whose end is nothing but zeros decodes without an error: half a picture over grey."""
    with image_files.open_file(path) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _JPEG_TAIL))
        tail = file.read()
    if _END_OF_JPEG in tail or tail[-_ZEROS:].strip(b"\0"):
        return
    if image_files.is_changing(path):
        raise image_files.still_being_written(path)
    reason = "cut: its end is missing, there are only zeros"
    raise ImageError(os.fsdecode(path), reason, "copy it again", kind="cut")


def _decoding_error(path: bytes, error: Exception) -> ImageError:
    if isinstance(error, OSError) and error.errno is not None:
        return image_files.problem_of(path, error)
    reason = str(error).split("\n", 1)[0][:200] or type(error).__name__
    if image_files.is_changing(path):
        return image_files.still_being_written(path)
    return _undecodable(os.fsdecode(path), reason)


# Uprightness


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) >= 5 else (width, height)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8 that is still to be applied, 1 for anything else."""
    if image.format == "TIFF":
        return 1  # Pillow turns it when it decodes, and gives its upright size before
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # getexif() would decode the whole picture to look for a late eXIf chunk
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF must not cost the picture
        return 1
    return orientation if orientation in range(1, 9) else 1


def _upright_rgb(image: Image.Image, max_size: int, least_side: int = MIN_SIDE) -> Image.Image:
    """Decoded, turned, scaled and padded to `least_side`.

    Turned before it is scaled, so that the eight orientations of one picture give equal pixels. JPEG is decoded at half,
    a quarter or an eighth of its size straight away (draft), but never to less than _DRAFT_GAP times the size that is wanted.
    """
    from image_catalog import colours

    upright = _upright_size(image)
    target = _fitted(*upright, max_size, least_side)
    stored_target = target if upright == image.size else target[::-1]
    image.draft(None, (round(stored_target[0] * _DRAFT_GAP), round(stored_target[1] * _DRAFT_GAP)))
    image.load()
    icc_profile = image.info.get("icc_profile")
    turn = _TURNS.get(_orientation(image))
    if turn is not None:  # ImageOps.exif_transpose() writes the EXIF anew, and fails where a tag has an odd type
        image = image.transpose(turn)
    return _padded(colours.scaled_rgb(image, target, icc_profile), least_side)


def _fitted(width: int, height: int, max_size: int, least_side: int = MIN_SIDE) -> tuple[int, int]:
    """The size that a picture is scaled to: its long side at most `max_size`, a tiny one enlarged to `least_side`."""
    long_side, short_side = max(width, height), min(width, height)
    scale = min(1.0, max_size / long_side)
    if short_side * scale < least_side:
        scale = min(least_side / short_side, max_size / long_side)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _padded(image: Image.Image, least_side: int) -> Image.Image:
    """`image` centred on white where a side is still below `least_side`, as in a narrow panorama."""
    from PIL import Image

    width, height = max(image.width, least_side), max(image.height, least_side)
    if (width, height) == image.size:
        return image
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def _jpeg(image: Image.Image) -> bytes:
    image.info.clear()  # a comment or resolution of the original would be written too
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _pixel_hash(image: Image.Image) -> str:
    digest = hashlib.sha256(b"%d %d " % image.size)
    digest.update(image.tobytes())
    return digest.hexdigest()
