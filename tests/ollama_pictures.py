"""What the test server sees: picture bytes -> the description of that very picture.

A picture of the captions table is recognised by its pixels (scaled, recompressed and HEIC ones too), any other is described
by its colours. So a description that belongs to another picture cannot pass for the right one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

_GRID = 16
# Mean difference of two 16x16 RGB thumbnails, of 255. Measured on 48 photographs: scaled and recompressed copies of one
# differ by at most 1.6, turned ones by at least 14.9, two different ones by at least 28.7.
SAME_PICTURE = 6.0

# English name, Russian name, RGB: the words in which an unknown picture is described.
PALETTE: tuple[tuple[str, str, tuple[int, int, int]], ...] = (
    ("black", "чёрный", (0, 0, 0)),
    ("white", "белый", (255, 255, 255)),
    ("grey", "серый", (128, 128, 128)),
    ("red", "красный", (210, 30, 30)),
    ("green", "зелёный", (40, 150, 50)),
    ("blue", "синий", (40, 60, 200)),
    ("yellow", "жёлтый", (245, 225, 50)),
    ("orange", "оранжевый", (245, 140, 30)),
    ("purple", "фиолетовый", (130, 40, 160)),
    ("pink", "розовый", (250, 160, 190)),
    ("brown", "коричневый", (110, 65, 30)),
    ("cyan", "голубой", (70, 200, 230)),
)


@dataclass(frozen=True)
class Seen:
    """What the model sees in a picture: `name` is the key of the captions table, or tells unknown pictures apart."""

    name: str
    description: str
    tags: list[str]
    visible_text: str


def decode(data: bytes) -> Image.Image:
    """The picture as the real server decodes it: EXIF orientation is ignored, the missing end of a JPEG is grey.

    Raises ValueError for what it cannot read (HEIC, AVIF, TIFF, SVG, text).
    """
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "GIF", "BMP", "WEBP"))
        image.seek(0)
        try:
            return image.convert("RGB")
        except OSError:
            if image.format != "JPEG":
                raise
            return Image.open(io.BytesIO(data + bytes(len(data)) + b"\xff\xd9")).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a picture that llama.cpp reads: {error}") from None


class Captions:
    """A folder of pictures with a captions.json: {relative path: {en, ru, tags_en, tags_ru, visible_text}}."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = Path(folder) if folder is not None else None
        self._entries: dict[str, dict[str, object]] = {}
        self._thumbnails: dict[str, list[bytes]] = {}
        self._lock = threading.Lock()
        if self._folder is not None:
            self._entries = json.loads((self._folder / "captions.json").read_text(encoding="utf-8"))

    def __len__(self) -> int:
        return len(self._entries)

    def see(self, image: Image.Image, language: str) -> Seen:
        """What is in `image`, in "ru" or else in English."""
        name = self.nearest(image)
        if name is None:
            return describe_colours(image, language)
        entry = self._entries[name]
        suffix = "ru" if language == "ru" else "en"
        tags = [str(tag) for tag in _as_list(entry.get(f"tags_{suffix}"))]
        return Seen(name, str(entry[suffix]), tags, str(entry.get("visible_text") or ""))

    def nearest(self, image: Image.Image) -> str | None:
        """The key of the same picture in the table, or None."""
        thumbnail = thumbnail_of(image)
        with self._lock:
            if not self._thumbnails:
                self._thumbnails = {name: self._looks(name) for name in self._entries}
        differences = {name: min(difference(thumbnail, look) for look in looks) for name, looks in self._thumbnails.items()}
        best = min(differences, key=differences.__getitem__, default=None)
        return best if best is not None and differences[best] <= SAME_PICTURE else None

    def _looks(self, name: str) -> list[bytes]:
        """Thumbnails of a picture as it is stored, and with its colour profile applied: clients do the one or the other."""
        image = self._load(name)
        looks = [thumbnail_of(image)]
        if profile := image.info.get("icc_profile"):
            with contextlib.suppress(ImageCms.PyCMSError):
                to_srgb = ImageCms.createProfile("sRGB")
                looks.append(thumbnail_of(ImageCms.profileToProfile(image, io.BytesIO(profile), to_srgb, outputMode="RGB")))
        return looks

    def _load(self, name: str) -> Image.Image:
        """Upright, in the mode that it is stored in."""
        assert self._folder is not None
        path = self._folder / name
        if path.suffix.lower() in (".heic", ".heif"):
            import pi_heif

            pi_heif.register_heif_opener()
        with Image.open(path) as image:
            image.draft("RGB", (256, 256))
            image.load()
            return ImageOps.exif_transpose(image)


def thumbnail_of(image: Image.Image) -> bytes:
    """The picture squashed to 16x16 RGB."""
    return image.convert("RGB").resize((_GRID, _GRID), Image.Resampling.BOX).tobytes()


def difference(one: bytes, other: bytes) -> float:
    """Mean difference of two thumbnails, 0 to 255."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def describe_colours(image: Image.Image, language: str) -> Seen:
    """A picture that is in no table: its shape, brightness and the colours of its quarters."""
    indices = quarter_colours(image)
    russian = language == "ru"
    names = [PALETTE[index][1 if russian else 0] for index in indices]
    wide = image.width > image.height
    shape_en, shape_ru = (
        ("square", "квадратная") if image.width == image.height else (("wide", "широкая") if wide else ("tall", "высокая"))
    )
    light = sum(image.convert("L").resize((1, 1), Image.Resampling.BOX).tobytes()) >= 128
    if russian:
        text = (
            f"Это {'светлая' if light else 'тёмная'} {shape_ru} картинка из четырёх четвертей. Слева вверху {names[0]} цвет,"
            f" справа вверху {names[1]}, слева внизу {names[2]}, справа внизу {names[3]}."
        )
    else:
        text = (
            f"A {'bright' if light else 'dark'} {shape_en} picture of four quarters. The upper left is {names[0]}, the"
            f" upper right {names[1]}, the lower left {names[2]}, the lower right {names[3]}."
        )
    code = "-".join(PALETTE[index][0] for index in indices)
    return Seen(code, text, list(dict.fromkeys(names)), "")


def quarter_colours(image: Image.Image) -> list[int]:
    """The nearest palette colours of the four quarters: upper left, upper right, lower left, lower right."""
    data = image.convert("RGB").resize((2, 2), Image.Resampling.BOX).tobytes()
    pixels = [data[start : start + 3] for start in range(0, 12, 3)]
    return [min(range(len(PALETTE)), key=lambda index: _distance(pixel, PALETTE[index][2])) for pixel in pixels]


def numbered_picture(number: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """One of 20,736 pictures that the server tells apart: four quarters in palette colours, the digits of `number`."""
    image = Image.new("RGB", size)
    half = (size[0] // 2, size[1] // 2)
    for quarter in range(4):
        colour = PALETTE[number // len(PALETTE) ** quarter % len(PALETTE)][2]
        column, row = quarter % 2, quarter // 2
        box = (column * half[0], row * half[1], size[0] if column else half[0], size[1] if row else half[1])
        image.paste(colour, box)
    return image


def numbered_name(number: int) -> str:
    """The `name` under which the server sees `numbered_picture(number)`."""
    return "-".join(PALETTE[number // len(PALETTE) ** quarter % len(PALETTE)][0] for quarter in range(4))


def _distance(pixel: bytes, colour: tuple[int, int, int]) -> int:
    return sum((a - b) ** 2 for a, b in zip(pixel, colour, strict=True))


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
