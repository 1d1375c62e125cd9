"""Which files are found, each once, whatever lies in the tree; and how a file is opened and recognised again."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from picture_files import without_root

from image_catalog import image_files
from image_catalog.errors import ImageError, UserError
from image_catalog.image_files import FoundFile

LONGEST_PATH = 4096


class Found:
    """What find_files gave for some roots: files, and problems by path."""

    def __init__(self, *roots: Path | str | bytes, recursive: bool = True, **options: object) -> None:
        problems: list[UserError] = []
        paths = [os.fsencode(root) for root in roots]
        self.files: list[FoundFile] = list(
            image_files.find_files(paths, recursive, on_problem=problems.append, **options)  # type: ignore[arg-type]
        )
        self.problems = {problem.subject: problem.reason for problem in problems}
        assert len(self.problems) == len(problems), "a problem was reported twice"

    def names(self, under: Path) -> list[str]:
        return [os.fsdecode(os.path.relpath(file.path, os.fsencode(under))) for file in self.files]


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_all_files_with_what_stat_says(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.png", "noext", "sub/c.heic", "sub/deeper/d.tif"):
        write(tmp_path / name)
    found = Found(tmp_path)
    assert found.names(tmp_path) == ["a.png", "b.jpg", "noext", "sub/c.heic", "sub/deeper/d.tif"]
    status = os.stat(tmp_path / "a.png")
    assert found.files[0] == FoundFile(os.fsencode(tmp_path / "a.png"), 1, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    assert found.problems == {}


def test_without_recursion_only_the_folder_itself(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    write(tmp_path / "sub" / "b.jpg")
    assert Found(tmp_path, recursive=False).names(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.jpg",
        ".thumbnails/a.jpg",
        "@eaDir/a.jpg",
        "#recycle/a.jpg",
        "$RECYCLE.BIN/a.jpg",
        "a.jpg.part",
        "a.jpg.tmp",
        "a.jpg.crdownload",
        ".a.jpg.X3k9Zq",
        "a.jpg~",
        "a.jpg.TMP",
    ],
)
def test_left_out(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    write(tmp_path / "kept.jpg")
    assert Found(tmp_path).names(tmp_path) == ["kept.jpg"]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.png", ["a.jpg", "private/b.jpg", "private/deep/c.jpg"]),
        ("private", ["a.jpg", "a.png"]),
        ("private/", ["a.jpg", "a.png"]),
        ("private/deep/*", ["a.jpg", "a.png", "private/b.jpg"]),
        ("*/c.jpg", ["a.jpg", "a.png", "private/b.jpg"]),
        ("./private/", ["a.jpg", "a.png"]),
        ("{tmp_path}/private/deep", ["a.jpg", "a.png", "private/b.jpg"]),
        ("?.jpg", ["a.png"]),
        ("[бв]*", ["a.jpg", "a.png", "private/b.jpg", "private/deep/c.jpg"]),
    ],
)
def test_exclude(tmp_path: Path, pattern: str, left: list[str]) -> None:
    pattern = pattern.replace("{tmp_path}", str(tmp_path))
    for name in ("a.jpg", "a.png", "private/b.jpg", "private/deep/c.jpg"):
        write(tmp_path / name)
    assert Found(tmp_path, exclude=[pattern]).names(tmp_path) == left


def test_exclude_speaks_of_letters_not_of_bytes(tmp_path: Path) -> None:
    for name in ("я.jpg", "собака.jpg", "фото.jpg"):
        write(tmp_path / name)
    assert Found(tmp_path, exclude=["?.jpg"]).names(tmp_path) == ["собака.jpg", "фото.jpg"]
    assert Found(tmp_path, exclude=["[яф]*"]).names(tmp_path) == ["собака.jpg"]


def test_one_row_a_file_whatever_the_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "photos" / "a.jpg")
    write(tmp_path / "photos" / "sub" / "b.jpg")
    monkeypatch.chdir(tmp_path)
    roots = ("photos", f"{tmp_path}/photos/", tmp_path / "photos", "photos/sub", "photos/../photos", "photos/a.jpg")
    assert sorted(Found(*roots).names(tmp_path)) == ["photos/a.jpg", "photos/sub/b.jpg"]
    assert all(os.path.isabs(file.path) for file in Found(*roots).files)


def test_a_root_may_be_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg")
    write(tmp_path / "b.jpg")
    assert [file.path for file in Found(path).files] == [os.fsencode(path)]


def test_a_missing_root_is_a_problem_and_the_others_go_on(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    found = Found(tmp_path / "missing", tmp_path)
    assert found.names(tmp_path) == ["a.jpg"]
    assert found.problems == {str(tmp_path / "missing"): "there is no such file"}


NAMES = [b"caf\xe9.jpg", b"new\nline.jpg", b"\x1b[2J.jpg", b'it\'s "q".jpg', b"-rf.jpg", b"x" * 251 + b".jpg"]
NAMES += ["עברית.jpg".encode(), "e\u0301.jpg".encode(), "\u00e9.jpg".encode()]


def test_every_file_name_is_found(tmp_path: Path) -> None:
    for name in NAMES:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"x")
    found = Found(tmp_path)
    assert {os.path.basename(file.path) for file in found.files} == set(NAMES)


# Links and special files


def test_links(tmp_path: Path) -> None:
    inside, outside = tmp_path / "root", tmp_path / "elsewhere"
    write(inside / "real" / "a.jpg")
    write(outside / "secret.jpg")
    (inside / "album.jpg").symlink_to(inside / "real" / "a.jpg")
    (inside / "out.jpg").symlink_to(outside / "secret.jpg")
    (inside / "folder").symlink_to(outside)
    (inside / "dangling.jpg").symlink_to("nowhere.jpg")
    (inside / "dangling").symlink_to("nowhere")
    (inside / "circle.jpg").symlink_to("circle.jpg")
    found = Found(inside)
    assert found.names(inside) == ["album.jpg", "real/a.jpg"]
    assert found.problems == {
        str(inside / "out.jpg"): "a link that leads out of the folder",
        str(inside / "dangling.jpg"): "a symbolic link to nothing",
        str(inside / "circle.jpg"): "a symbolic link that leads in a circle",
    }


def test_a_linked_root_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "a.jpg")
    (tmp_path / "photos" / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "link").symlink_to("photos")
    assert Found(tmp_path / "link").names(tmp_path) == ["link/a.jpg", "link/b.jpg"]


def test_a_folder_linked_to_itself_ends(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    (tmp_path / "self").symlink_to(tmp_path)
    assert Found(tmp_path).names(tmp_path) == ["a.jpg"]


def test_special_files_are_named_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
        started = time.monotonic()
        found = Found(tmp_path, tmp_path / "fifo.jpg")
    assert time.monotonic() - started < 1
    assert found.files == []
    assert found.problems == {
        str(tmp_path / "fifo.jpg"): "not a regular file (FIFO)",
        str(tmp_path / "socket.jpg"): "not a regular file (socket)",
    }


@pytest.fixture
def deep_tree(tmp_path: Path) -> Iterator[Path]:
    """A chain of folders whose path is longer than the system allows, with a sibling beside its top."""
    write(tmp_path / "zz.jpg")
    start = os.open(".", os.O_RDONLY)
    os.chdir(tmp_path)
    depth = LONGEST_PATH // 200 + 2
    for _ in range(depth):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    try:
        yield tmp_path
    finally:
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d" * 200)
        os.fchdir(start)
        os.close(start)


def test_a_path_that_is_too_long_is_named_and_its_siblings_are_found(deep_tree: Path) -> None:
    found = Found(deep_tree)
    assert found.names(deep_tree) == ["zz.jpg"]
    assert list(found.problems.values()) == ["the path is too long for this system"]


def test_a_closed_folder_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    write(tmp_path / "closed" / "a.jpg")
    write(tmp_path / "open" / "b.jpg")
    tmp_path.chmod(0o755)
    (tmp_path / "closed").chmod(0)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    with without_root():
        found = Found(tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert found.names(tmp_path) == ["open/b.jpg"]
    assert found.problems == {str(tmp_path / "closed"): "permission denied"}


def test_a_raw_file_beside_its_picture_counts_once(tmp_path: Path) -> None:
    for name in ("IMG_1.CR2", "IMG_1.JPG", "IMG_2.cr2", "IMG_3.nef", "IMG_3.xmp"):
        write(tmp_path / name)
    assert Found(tmp_path).names(tmp_path) == ["IMG_1.JPG", "IMG_2.cr2", "IMG_3.nef", "IMG_3.xmp"]
    assert "IMG_1.CR2" in Found(tmp_path, raw_twins=True).names(tmp_path)


# Opening and recognising


def test_an_empty_picture_does_not_hide_its_raw_file(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", b"")
    write(tmp_path / "a.cr2")
    assert Found(tmp_path).names(tmp_path) == ["a.cr2", "a.jpg"]


def test_open_file_refuses_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    cases = {
        "fifo.jpg": ("not an image", "not a regular file (FIFO)"),
        "missing.jpg": ("gone", "there is no such file"),
        ".": ("not an image", "a folder"),
        "x" * 300: ("unreadable", "the path is too long for this system"),
        "nul\0.jpg": ("unreadable", "there is a NUL in the path"),
    }
    for name, (kind, reason) in cases.items():
        with pytest.raises(ImageError) as caught:
            image_files.open_file(os.fsencode(tmp_path / name))
        assert (caught.value.kind, caught.value.reason) == (kind, reason)


def test_content_hash_is_what_sha256sum_prints(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    path = write(tmp_path / "a.jpg", content)
    assert image_files.content_hash(os.fsencode(path)) == hashlib.sha256(content).hexdigest()


def test_a_file_that_grows_while_it_is_read_is_still_being_written(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", b"\xff" * (32 << 20))
    stop = threading.Event()

    def grow() -> None:
        with open(path, "ab", buffering=0) as file:
            while not stop.wait(0.0005):
                file.write(b"more")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(ImageError) as caught:
            image_files.content_hash(os.fsencode(path))
    finally:
        stop.set()
        writer.join()
    assert caught.value.kind == "still being written"
