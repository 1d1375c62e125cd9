"""Makers of picture files for tests: every format, mode and orientation, cameras' metadata, and files meant to do harm."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageDraw, ImageStat
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from image_catalog import exif
from image_catalog.exif import Exif
from image_catalog.picture import Picture

SKY, GRASS, SUN = (80, 140, 220), (60, 150, 50), (250, 220, 60)

# What each orientation asks a viewer to do is undone here, to store an upright picture that way (Exif 3.0, 4.6.5.1).
_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def scene(width: int = 320, height: int = 240) -> Image.Image:
    """A sun at the top left of a sky over grass: no turned or mirrored copy equals it."""
    image = Image.new("RGB", (width, height), SKY)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 2 // 3, width, height), fill=GRASS)
    draw.ellipse((width // 16, height // 16, width // 4, height * 5 // 16), fill=SUN)
    return image


def stored_as(image: Image.Image, orientation: int) -> Image.Image:
    """The pixels that a camera writes together with this orientation, for a viewer to see `image`."""
    transposition = _STORED[orientation]
    return image if transposition is None else image.transpose(transposition)


def save(path: Path, image: Image.Image | None = None, format: str | None = None, **options: Any) -> Path:
    """Write a picture; the format follows the name unless it is given. HEIC is written by pillow-heif."""
    if path.suffix.lower() in (".heic", ".heif") or format == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
        format = "HEIF"
    if path.suffix == ".png" and "xmp" in options:
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", options.pop("xmp"))
    if path.suffix == ".tif" and "xmp" in options:
        options["tiffinfo"] = {700: options.pop("xmp")}
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w+b") as file:
        (image or scene()).save(file, format or Image.registered_extensions()[path.suffix.lower()], **options)
    return path


def exif_block(
    tags: dict[int, Any] | None = None, camera: dict[int, Any] | None = None, gps: dict[int, Any] | None = None
) -> Image.Exif:
    """EXIF from tag numbers: of the picture itself, of the camera's IFD, of the GPS IFD."""
    exif = Image.Exif()
    for tag, value in (tags or {}).items():
        exif[tag] = value
    for pointer, ifd in ((0x8769, camera), (0x8825, gps)):
        if ifd:
            exif.get_ifd(pointer).update(ifd)
            exif[pointer] = 0  # without a pointer Pillow leaves the IFD out of TIFF
    return exif


def camera_exif(orientation: int = 1) -> Image.Exif:
    """What a camera with GPS writes: a Canon in Sochi on a winter evening."""
    return exif_block(
        {0x010F: "Canon", 0x0110: "Canon EOS 600D", 0x0112: orientation, 0x0132: "2020:01:01 10:00:00"},
        {
            0x9003: "2014:02:15 18:30:05",
            0x9011: "+03:00",
            0x9291: "42",
            0x829A: IFDRational(1, 250),
            0x829D: IFDRational(56, 10),
            0x8827: 400,
            0x920A: IFDRational(85, 1),
            0x9209: 16,
            0xA434: "EF-S15-85mm f/3.5-5.6 IS USM",
        },
        {
            1: "N",
            2: (IFDRational(43), IFDRational(35), IFDRational(6)),
            3: "E",
            4: (IFDRational(39), IFDRational(43), IFDRational(12)),
            5: b"\0",
            6: IFDRational(125, 10),
            7: (IFDRational(15), IFDRational(30), IFDRational(5)),
            17: IFDRational(90),
            29: "2014:02:15",
        },
    )


XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/" {attributes}>
{elements}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def xmp_packet(attributes: str = "", elements: str = "") -> bytes:
    """An XMP packet around attributes (`xmp:Rating="3"`) and elements of its one description."""
    return XMP.format(attributes=attributes, elements=elements).encode()


def xmp_text(name: str, text: str, kind: str = "Alt") -> str:
    """An element that holds one text: a language alternative, or with `kind` Bag or Seq a list of one."""
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    return f"<{name}><rdf:{kind}><rdf:li{language}>{text}</rdf:li></rdf:{kind}></{name}>"


def iptc_block(records: dict[int, str | list[str]], charset: str = "utf-8") -> bytes:
    """IPTC-IIM record 2 in the Photoshop block that JPEG files carry it in."""
    sets = b""
    for number, value in records.items():
        for text in [value] if isinstance(value, str) else value:
            raw = text.encode(charset)
            sets += b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(raw)) + raw
    padded = sets + b"\0" * (len(sets) % 2)
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(sets)) + padded


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with one more segment right behind its first marker."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def jpeg_bytes(image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or scene()).save(buffer, "JPEG", **{"quality": 95, **options})
    return buffer.getvalue()


def swapped_profile() -> bytes:
    """sRGB with red and green exchanged."""
    raw = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return raw.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")


# Files meant to do harm


def png_of_size(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that claims a size and holds almost nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(chunks) + rows + png_chunk(b"IEND", b"")


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def text_bomb() -> bytes:
    """A PNG whose compressed text unpacks to 64 MB."""
    return png_of_size(10, 10, png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"A" * (64 << 20), 9)))


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG whose frame header was edited to claim a size."""
    raw = bytearray(jpeg_bytes(Image.new("RGB", (64, 64), "red")))
    at = raw.index(b"\xff\xc0")
    raw[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(raw)


def jpeg_with_looping_ifd() -> bytes:
    """A JPEG whose first IFD names itself as the next one: the library `exif` reads it for ever."""
    entry = struct.pack(">HHI4s", 0x010F, 2, 4, b"Abc\0")
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + struct.pack(">I", 8)
    return with_segment(jpeg_bytes(), 0xE1, b"Exif\0\0" + tiff)


NO_IMAGES = {
    "empty file": b"",
    "nothing but zeros": b"\0" * 4096,
    "HTML": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "ZIP": b"PK\x03\x04" + b"\x14\0" * 50,
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "text": "просто текст, not a picture\n".encode(),
    "video": b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41",
    "unknown content": bytes(range(128, 256)) * 8,
}


@contextmanager
def without_root() -> Iterator[None]:
    """Run as nobody where the tests run as root, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def dng(preview: bytes | Image.Image, width: int = 1600, height: int = 1200, orientation: int = 1) -> bytes:
    """A camera raw file (DNG 1.4): a grey sensor and, unless it is empty, a preview: a JPEG, or an image to keep as it is."""
    pixels = preview.tobytes() if isinstance(preview, Image.Image) else preview
    sensor = struct.pack("<H", 8000) * (width * height)
    raw = [
        (254, "I", [0]),
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [16]),
        (259, "H", [1]),
        (262, "H", [32803]),
        (271, "s", b"Maker\0"),
        (272, "s", b"Raw One\0"),
        (273, "I", ["sensor"]),
        (274, "H", [orientation]),
        (277, "H", [1]),
        (278, "I", [height]),
        (279, "I", [len(sensor)]),
        *([(330, "I", ["preview IFD"])] if preview else []),
        (33421, "H", [2, 2]),
        (33422, "B", [0, 1, 1, 2]),
        (50706, "B", [1, 4, 0, 0]),
        (50708, "s", b"Maker Raw One\0"),
        (50717, "I", [16000]),
        (50721, "q", [1, 0, 0, 0, 1, 0, 0, 0, 1]),
    ]
    as_image = Image.open(io.BytesIO(preview)) if isinstance(preview, bytes) and preview else preview
    small = as_image.size if isinstance(as_image, Image.Image) else (0, 0)
    second = [
        (254, "I", [1]),
        (256, "I", [small[0]]),
        (257, "I", [small[1]]),
        (258, "H", [8, 8, 8]),
        (259, "H", [7 if pixels is preview else 1]),
        (262, "H", [6 if pixels is preview else 2]),
        (273, "I", ["preview"]),
        (277, "H", [3]),
        (278, "I", [small[1]]),
        (279, "I", [len(pixels)]),
    ]
    return _tiff(raw, second if preview else [], {"sensor": sensor, "preview": pixels})


def _tiff(first: list[Any], second: list[Any], blobs: dict[str, bytes]) -> bytes:
    """Little-endian TIFF of two IFDs; a value that is a name stands for the offset of that blob."""
    begin_second = 8 + _ifd_length(first)
    offsets = {"preview IFD": begin_second}
    at = begin_second + _ifd_length(second)
    for name, blob in blobs.items():
        offsets[name] = at
        at += len(blob)
    head = b"II*\0" + struct.pack("<I", 8)
    return head + _ifd(first, 8, offsets) + _ifd(second, begin_second, offsets) + b"".join(blobs.values())


_TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "q": 10}  # q: signed rational


def _packed(kind: str, values: Any, offsets: dict[str, int]) -> tuple[int, int, bytes]:
    number = _TYPES[kind]
    if kind == "s":
        return number, len(values), values
    if kind == "q":
        return number, len(values), b"".join(struct.pack("<ii", value, 1) for value in values)
    known = [offsets.get(value, 0) if isinstance(value, str) else value for value in values]
    return number, len(known), struct.pack(f"<{len(known)}{kind}", *known)


def _ifd_length(entries: list[Any]) -> int:
    long = (len(_packed(kind, values, {})[2]) for _, kind, values in entries)
    return 2 + 12 * len(entries) + 4 + sum(length for length in long if length > 4)


def _ifd(entries: list[Any], at: int, offsets: dict[str, int]) -> bytes:
    table, beyond = struct.pack("<H", len(entries)), b""
    end = at + 2 + 12 * len(entries) + 4
    for tag, kind, values in entries:
        number, count, raw = _packed(kind, values, offsets)
        table += struct.pack("<HHI", tag, number, count)
        if len(raw) <= 4:
            table += raw.ljust(4, b"\0")
        else:
            table += struct.pack("<I", end + len(beyond))
            beyond += raw
    return table + struct.pack("<I", 0) + beyond


# What came out of a picture


def shown(prepared: Picture) -> Image.Image:
    return Image.open(io.BytesIO(prepared.jpeg))


def colour_at(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """The mean colour round a point, given as parts of width and height."""
    left, top = int(image.width * x), int(image.height * y)
    return tuple(round(value) for value in ImageStat.Stat(image.crop((left - 3, top - 3, left + 3, top + 3))).mean)


def assert_scene(image: Image.Image, tolerance: int = 12) -> None:
    """The sun stands where it belongs, and in its colour."""
    for (x, y), colour in {(0.15, 0.2): SUN, (0.7, 0.3): SKY, (0.5, 0.85): GRASS}.items():
        found = colour_at(image, x, y)
        assert max(abs(a - b) for a, b in zip(found, colour, strict=True)) <= tolerance, (x, y, found, colour)


def read(path: Path) -> Exif:
    return exif.read(bytes(path))


def with_exif(folder: Path, **ifds: dict[int, Any]) -> Exif:
    """What is read of a JPEG with these tags: `tags`, `camera` and `gps` by number."""
    return read(save(folder / "a.jpg", exif=exif_block(**ifds)))


def position_of(found: Exif) -> tuple[Any, Any]:
    return found.latitude, found.longitude
