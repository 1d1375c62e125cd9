"""A tree of pictures that is edited as people edit theirs, and the truth about it: which picture each file is.

Every picture has a number and colours of its own, by which the test server describes it, so that a description of another
picture cannot pass for the right one. Knows files; knows nothing of the product.
"""

from __future__ import annotations

import io
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ollama_pictures import describe_colours, numbered_name, numbered_picture
from PIL import Image

SIZE = (96, 72)
FOLDERS = ("", "2023", "2024", "2024/море", "family", "d\udce9j\udce0")


@dataclass(frozen=True)
class Content:
    """What is in a file: picture `number`, with a camera in its EXIF, cut in the middle or not."""

    number: int
    camera: str | None = None
    cut: bool = False

    @property
    def description(self) -> str:
        """What the server says of it, and so what the catalog must say."""
        return _description(self.number)

    @property
    def name(self) -> str:
        """By which the server counts it."""
        return numbered_name(self.number)


@cache
def file_bytes(content: Content) -> bytes:
    """A JPEG; its pixels depend on the number only."""
    whole = io.BytesIO()
    exif = Image.Exif()
    if content.camera:
        exif[0x010F] = content.camera
    numbered_picture(content.number, SIZE).save(whole, "JPEG", quality=90, exif=exif)
    data = whole.getvalue()
    return data[: len(data) * 2 // 3] if content.cut else data


@cache
def _description(number: int) -> str:
    return describe_colours(numbered_picture(number, SIZE), "en").description


class Tree:
    """A root with pictures. `files` is the truth: relative path -> content."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.root = folder / "photos"
        self.root.mkdir()
        self.files: dict[str, Content] = {}
        self.ever: dict[str, Content] = {}  # every picture that was ever in it, by the name that the server counts
        self.rng = rng
        self.edits = 0
        self._next_number = rng.randrange(1000)
        self._names = 0
        self._deleted: list[Content] = []

    def add(self, count: int = 1) -> None:
        """New pictures."""
        for _ in range(count):
            self._next_number += 7
            self._write(self._free_name(), Content(self._next_number))

    def edit(self, name: str | None = None) -> str:
        """One edit, by name or any; says what it did."""
        name = name or self.rng.choice(list(EDITS))
        if not self.files:
            self.add()
        self.edits += 1
        return f"{name} {EDITS[name](self)}"

    # The edits; each says which files it touched

    def add_one(self) -> str:
        self.add()
        return list(self.files)[-1]

    def delete(self) -> str:
        name = self._any()
        if len(self.files) > 2:
            self._deleted.append(self.files.pop(name))
            (self.root / name).unlink()
        return name

    def bring_back(self) -> str:
        """A deleted picture, in another place."""
        if not self._deleted:
            return "nothing"
        return self._write(self._free_name(), self._deleted.pop(self.rng.randrange(len(self._deleted))))

    def rename(self) -> str:
        old = self._any()
        new = os.path.join(os.path.dirname(old), os.path.basename(self._free_name()))
        return self._move(old, new)

    def move(self) -> str:
        return self._move(self._any(), self._free_name())

    def move_folder(self) -> str:
        folders = sorted({os.path.dirname(name) for name in self.files} - {""})
        if not folders:
            return "nothing"
        old, new = self.rng.choice(folders), f"moved {self._names}"
        self._names += 1
        os.rename(self.root / old, self.root / new)
        inside = [name for name in self.files if name.startswith(old + "/")]
        self.files |= {new + name[len(old) :]: self.files.pop(name) for name in inside}
        return f"{old!r} -> {new!r}"

    def copy(self) -> str:
        name = self._any()
        return f"{name!r} -> " + self._write(self._free_name(), self.files[name])

    def swap(self) -> str:
        one, other = self._any(), self._any()
        if one != other:
            os.rename(self.root / one, self.root / "swapping")
            os.rename(self.root / other, self.root / one)
            os.rename(self.root / "swapping", self.root / other)
            self.files[one], self.files[other] = self.files[other], self.files[one]
        return f"{one!r} and {other!r}"

    def replace(self) -> str:
        self._next_number += 7
        return self._write(self._any(), Content(self._next_number))

    def edit_exif(self) -> str:
        """Other bytes, the same pixels."""
        name = self._any()
        return self._write(name, replace(self.files[name], camera=f"Camera {self._tick()}"))

    def edit_and_move(self) -> str:
        """At once, between two runs."""
        self.edit_exif()
        old = self._any()
        self._move(old, new := self._free_name())
        return self._write(new, replace(self.files[new], camera=f"Camera {self._tick()}"))

    def cut(self) -> str:
        """A copy that broke off."""
        name = self._any()
        return self._write(name, replace(self.files[name], cut=True))

    def mend(self) -> str:
        """The whole file over the cut one."""
        broken = [name for name, content in self.files.items() if content.cut]
        if not broken:
            return "nothing"
        name = self.rng.choice(broken)
        return self._write(name, replace(self.files[name], cut=False))

    def touch(self) -> str:
        name = self._any()
        os.utime(self.root / name, (self._tick(), self._tick()))
        return name

    def save_anew(self) -> str:
        """As editors save: a new file, renamed over the old one."""
        name = self._any()
        (self.root / ".saving.tmp").write_bytes(file_bytes(self.files[name]))
        os.replace(self.root / ".saving.tmp", self.root / name)
        return name

    def rename_root(self) -> str:
        new = self.root.parent / f"photos {self._tick()}"
        os.rename(self.root, new)
        self.root = new
        return new.name

    def other_files(self) -> str:
        """What is no picture."""
        (self.root / f"notes {self._tick()}.doc").write_text("no picture")
        return "a note"

    # Whole trees

    def hide(self, way: str) -> None:
        """As if the disk were not mounted: the root is `missing` or `empty`."""
        os.rename(self.root, self._hidden)
        if way == "empty":
            self.root.mkdir()

    def show(self) -> None:
        """The disk is back."""
        shutil.rmtree(self.root, ignore_errors=True)
        os.rename(self._hidden, self.root)

    @property
    def _hidden(self) -> Path:
        return self.root.parent / "hidden"

    def _any(self) -> str:
        return self.rng.choice(sorted(self.files))

    def _tick(self) -> int:
        self._names += 1
        return self._names

    def _free_name(self) -> str:
        self._names += 1
        return os.path.join(self.rng.choice(FOLDERS), f"IMG {self._names:04}.jpg")

    def _move(self, old: str, new: str) -> str:
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        os.rename(self.root / old, self.root / new)
        self.files[new] = self.files.pop(old)
        return f"{old!r} -> {new!r}"

    def _write(self, name: str, content: Content) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file_bytes(content))
        self.files[name] = content
        self.ever[content.name] = content
        return repr(name)


EDITS: dict[str, Callable[[Tree], str]] = {
    "add": Tree.add_one,
    "delete": Tree.delete,
    "bring back": Tree.bring_back,
    "rename": Tree.rename,
    "move": Tree.move,
    "move a folder": Tree.move_folder,
    "copy": Tree.copy,
    "swap": Tree.swap,
    "replace": Tree.replace,
    "edit EXIF": Tree.edit_exif,
    "edit EXIF and move": Tree.edit_and_move,
    "cut": Tree.cut,
    "mend": Tree.mend,
    "touch": Tree.touch,
    "save anew": Tree.save_anew,
    "rename the root": Tree.rename_root,
    "other files": Tree.other_files,
}
