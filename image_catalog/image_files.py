"""Which files under a folder may be images, and how a file is recognised again.

Knows names, folders and stat; what is inside a picture is picture's and exif's work. Paths are bytes and absolute.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import BinaryIO, NamedTuple

from image_catalog.errors import ImageError, UserError

IMAGE_EXTENSIONS = frozenset(
    b".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .tif .tiff .bmp .dib .heic .heif .hif .avif".split()
)
RAW_EXTENSIONS = frozenset(b".cr2 .cr3 .nef .nrw .arw .dng .orf .rw2 .raf .pef .srw".split())
_RAW_NAME = re.compile(b"(?:" + b"|".join(map(re.escape, sorted(RAW_EXTENSIONS))) + b")\0", re.IGNORECASE)
_SIDECAR_EXTENSIONS = (b".xmp", b".txt")

# Folders in which other programs keep copies (thumbnails) or what was thrown away.
_LEFT_OUT_FOLDERS = frozenset({b"@eadir", b"#recycle", b"$recycle.bin", b"system volume information", b"lost+found"})
# Half-written files: browsers, rsync (.NAME.XXXXXX is hidden anyway), editors.
_LEFT_OUT_NAME = re.compile(rb"\0\.|(?:\.part|\.tmp|\.crdownload|\.partial|\.filepart|~)\0", re.IGNORECASE)
_name = attrgetter("name")
_READ_BYTES = 1 << 20
_FRESH_SECONDS = 10.0
_PAUSE_SECONDS = 0.3

READ_ERROR = "read error"  # the disk or the system is to blame, not the file: tried again in every run
_REASONS = {
    errno.ENOENT: ("gone", "there is no such file"),
    errno.ENOTDIR: ("gone", "there is no such file"),
    errno.EACCES: ("permission denied", "permission denied"),
    errno.EPERM: ("permission denied", "permission denied"),
    errno.ELOOP: ("unreadable", "a symbolic link that leads in a circle"),
    errno.ENAMETOOLONG: ("unreadable", "the path is too long for this system"),
    errno.EISDIR: ("not an image", "a folder"),
    errno.ENXIO: ("not an image", "not a regular file (socket or device)"),
}


class FoundFile(NamedTuple):
    """A regular file and what stat says of it; the same values next time mean that it was not touched.

    A tuple, because 100,000 of them are made in each run over an unchanged tree.
    """

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


# Half the time of FoundFile(...), which is Python.
_as_found_file: Callable[[tuple[bytes, int, int, int, int]], FoundFile] = partial(tuple.__new__, FoundFile)


def extension(path: bytes) -> bytes:
    """The ending of a file name in lower case, with its dot."""
    return os.path.splitext(path)[1].lower()


def has_image_name(path: bytes) -> bool:
    """Whether the name promises a picture: if it cannot be read then, that is a failure to report."""
    return extension(path) in IMAGE_EXTENSIONS or is_raw_name(path)


def is_raw_name(path: bytes) -> bool:
    """Whether the name is that of a camera's raw file."""
    return extension(path) in RAW_EXTENSIONS


def sidecar_base(path: bytes) -> set[bytes]:
    """The picture that a sidecar speaks of, with its ending (photo.jpg.xmp) or without (photo.xmp); empty for other files."""
    base, ending = os.path.splitext(path)
    return {base} if ending.lower() in _SIDECAR_EXTENSIONS else set()


# Finding


def found_file(path: bytes) -> FoundFile | None:
    """What stat says of one path now; None when it is no regular file any more."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _found(path, status) if stat.S_ISREG(status.st_mode) else None


def find_files(
    roots: Sequence[bytes],
    recursive: bool,
    exclude: Sequence[str] = (),
    on_problem: Callable[[UserError], None] = lambda problem: None,
    *,
    on_folder_link: Callable[[FoundFile], None] = lambda link: None,
    raw_twins: bool = False,
) -> Iterator[FoundFile]:
    """Every regular file in `roots` (folders or files) that may be an image, each once, by one stat a file and no read.

    Left out: hidden names, half-written files, other programs' thumbnails, names or paths (relative or absolute) matching a
    pattern of `exclude`, FIFOs, sockets, devices, and a raw file beside a JPEG of the same name (unless `raw_twins`). A link to a
    file is followed when it ends inside the root; a link to a folder is not. `on_problem` hears of what an image's name
    promised but could not be had, and of folders that could not be read (subject: the path); `on_folder_link` of links to
    folders, with what lstat says of the link.
    """
    walk = _Walk(recursive, exclude, on_problem, on_folder_link, raw_twins)
    paths = list(dict.fromkeys(os.path.abspath(root) for root in roots))
    walk.named_files.update(path for path in paths if not os.path.isdir(path))
    return chain.from_iterable(chain.from_iterable(walk.root(path) for path in paths))


class _Walk:
    def __init__(
        self,
        recursive: bool,
        exclude: Sequence[str],
        on_problem: Callable[[UserError], None],
        on_folder_link: Callable[[FoundFile], None],
        raw_twins: bool,
    ) -> None:
        self._recursive = recursive
        self._patterns = [pattern.removeprefix("./").rstrip("/") for pattern in exclude]
        self._on_problem = on_problem
        self._on_folder_link = on_folder_link
        self._raw_twins = raw_twins
        self._folders_seen: set[tuple[int, int]] = set()
        self._said: set[str] = set()
        self.named_files: set[bytes] = set()  # roots that are files: given once, and not again with their folder

    def root(self, root: bytes) -> Iterator[list[FoundFile]]:
        """The files of one root, folder by folder."""
        try:
            status = os.stat(root)
        except OSError as error:
            self._say(problem_of(root, error))
            return
        if stat.S_ISDIR(status.st_mode):
            yield from self._tree(root)
        elif stat.S_ISREG(status.st_mode):
            yield [_found(root, status)]
        else:
            self._say(_not_regular(root, status.st_mode))

    def _tree(self, root: bytes) -> Iterator[list[FoundFile]]:
        """Depth first with a stack of paths: no recursion, so that 1,200 levels are only long paths."""
        real_root = os.path.realpath(root)
        stack = [root]
        while stack:
            files, subfolders = self._folder(self._entries(stack.pop(), root), real_root)
            yield [found for found in files if found.path not in self.named_files] if self.named_files else files
            if self._recursive:
                stack.extend(reversed(subfolders))

    def _folder(self, entries: list[os.DirEntry[bytes]], real_root: bytes) -> tuple[list[FoundFile], list[bytes]]:
        """The regular files and the subfolders among `entries`: the loop that an unchanged tree spends its time in."""
        files: list[FoundFile] = []
        subfolders = []
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    files.append(_found(entry.path, entry.stat(follow_symlinks=False)))
                elif entry.is_dir(follow_symlinks=False):
                    if entry.name.lower() not in _LEFT_OUT_FOLDERS:
                        subfolders.append(entry.path)
                elif entry.is_symlink():
                    files += self._link(entry, real_root)
                else:
                    self._report(entry.path, _not_regular(entry.path, entry.stat(follow_symlinks=False).st_mode))
            except OSError as error:
                self._report(entry.path, problem_of(entry.path, error))
        return files, subfolders

    def _entries(self, folder: bytes, root: bytes) -> list[os.DirEntry[bytes]]:
        """What is in a folder and not left out, by name; nothing the second time: named twice, or a bind mount that loops."""
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in self._folders_seen:
                return []
            self._folders_seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                listed = list(entries)
        except OSError as error:
            self._say(problem_of(folder, error))
            return []
        listed.sort(key=_name)
        names = b"\0".join([b"", *map(_name, listed), b""])
        if _LEFT_OUT_NAME.search(names):
            listed = [entry for entry in listed if not _LEFT_OUT_NAME.search(b"\0" + entry.name + b"\0")]
        if self._patterns:
            listed = [entry for entry in listed if not self._is_excluded(entry, root)]
        return listed if self._raw_twins or not _RAW_NAME.search(names) else _without_raw_twins(listed)

    def _is_excluded(self, entry: os.DirEntry[bytes], root: bytes) -> bool:
        names = [os.fsdecode(name) for name in (entry.name, os.path.relpath(entry.path, root), entry.path)]
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns for name in names)

    def _link(self, entry: os.DirEntry[bytes], real_root: bytes) -> list[FoundFile]:
        """The regular file that a link leads to, if any."""
        path = entry.path
        status = os.stat(path)  # raises for a link that dangles or leads in a circle
        if stat.S_ISDIR(status.st_mode):
            self._on_folder_link(_found(path, entry.stat(follow_symlinks=False)))
        elif not os.path.realpath(path).startswith(real_root.rstrip(b"/") + b"/"):
            self._report(path, ImageError(os.fsdecode(path), "a link that leads out of the folder", kind="link"))
        elif stat.S_ISREG(status.st_mode):
            return [_found(path, status)]
        else:
            self._report(path, _not_regular(path, status.st_mode))
        return []

    def _report(self, path: bytes, problem: UserError) -> None:
        """Say so only where the name promised an image: a broken link named `notes` concerns nobody."""
        if has_image_name(path):
            self._say(problem)

    def _say(self, problem: UserError) -> None:
        """Once for each path, however often it was named as a root."""
        if problem.subject not in self._said:
            self._said.add(problem.subject)
            self._on_problem(problem)


def _found(path: bytes, status: os.stat_result) -> FoundFile:
    return _as_found_file((path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))


def _without_raw_twins(entries: list[os.DirEntry[bytes]]) -> list[os.DirEntry[bytes]]:
    """`entries` less each raw file whose picture lies beside it: IMG_1.CR2 with IMG_1.JPG counts once."""
    pictures = {_stem(entry.name) for entry in entries if extension(entry.name) in IMAGE_EXTENSIONS and _has_content(entry)}
    return [entry for entry in entries if not (is_raw_name(entry.name) and _stem(entry.name) in pictures)]


def _has_content(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.stat().st_size > 0
    except OSError:
        return False


def _stem(name: bytes) -> bytes:
    return os.path.splitext(name)[0].lower()


def _not_regular(path: bytes, mode: int) -> ImageError:
    return ImageError(os.fsdecode(path), _kind_of_file(mode), kind="not an image")


def _kind_of_file(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "not a regular file (FIFO)"
    if stat.S_ISSOCK(mode):
        return "not a regular file (socket)"
    return "not a regular file (device)" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a folder"


# Opening


def open_file(path: bytes) -> BinaryIO:
    """`path` opened for reading if it is a regular file; raises ImageError. Never waits for a FIFO to be written."""
    try:
        # O_NONBLOCK means nothing for a regular file; O_BINARY exists on Windows only.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise problem_of(path, error) from None
    except ValueError:
        raise ImageError(os.fsdecode(path), "there is a NUL in the path") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _not_regular(path, mode)
    return open(descriptor, "rb")


def problem_of(path: bytes, error: OSError) -> ImageError:
    """What the system said about a path, as an error for the user."""
    kind, reason = _REASONS.get(error.errno or 0, (READ_ERROR, error.strerror or str(error)))
    if error.errno == errno.ENOENT and os.path.islink(path):
        kind, reason = "unreadable", "a symbolic link to nothing"
    return ImageError(os.fsdecode(path), reason, kind=kind)


# Recognising


def content_hash(path: bytes) -> str:
    """SHA-256 of the bytes of a file in hex, as sha256sum prints it.

    Raises ImageError; of kind `still being written` when the file changed while it was read.
    """
    with open_file(path) as file:
        before = os.fstat(file.fileno())
        digest = hashlib.sha256()
        bytes_read = 0
        try:
            while chunk := file.read(_READ_BYTES):
                digest.update(chunk)
                bytes_read += len(chunk)
        except OSError as error:
            raise problem_of(path, error) from None
        after = os.fstat(file.fileno())
    if bytes_read != before.st_size or _touched(before, after):
        raise still_being_written(path)
    return digest.hexdigest()


def is_changing(path: bytes) -> bool:
    """Whether a file that seems damaged was touched a moment ago and is touched again now: someone writes it."""
    try:
        before = os.stat(path)
        if abs(time.time() - before.st_mtime) > _FRESH_SECONDS:
            return False
        time.sleep(_PAUSE_SECONDS)
        return _touched(before, os.stat(path))
    except OSError:
        return True


def still_being_written(path: bytes) -> ImageError:
    """The error for a file that someone is writing right now: neither good nor bad until the next run."""
    return ImageError(
        os.fsdecode(path), "still being written", "it is looked at again in the next run", kind="still being written"
    )


def _touched(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
