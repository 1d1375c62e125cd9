"""Small pictures of the originals, made once by guarded workers and kept beside the catalog.

A file per picture and size, in a private folder of bounded size; what was not looked at for longest goes first. The folder may be
deleted at any time. Knows files and workers; which image has which path, the caller says.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from image_catalog import picture
from image_catalog.catalog_views import PictureFile
from image_catalog.errors import ImageError
from image_catalog.guarded_workers import GuardedWorkers

SIZES = (320, 640, 2048)
DEFAULT_LIMIT = 1_000_000_000  # bytes
# Part of each name: a change of how pictures are made makes them anew.
_FORM = "1"
_KEPT_SHARE = 0.9  # of the limit, after sweeping
_TOUCHED_AFTER = 86_400.0  # seconds: a file's time is its last use, to the day


class ThumbnailFolder:
    """JPEGs by key. A folder that cannot be written to holds nothing, and that is no error."""

    def __init__(self, path: str, limit: int = DEFAULT_LIMIT) -> None:
        self.path = path
        self.limit = limit
        self._lock = threading.Lock()
        self._bytes: int | None = None  # counted at the first write

    def get(self, key: str) -> bytes | None:
        """What was put; None when it is not there any more."""
        name = self._name(key)
        try:
            with open(name, "rb") as file:
                jpeg = file.read()
                if time.time() - os.fstat(file.fileno()).st_mtime > _TOUCHED_AFTER:
                    os.utime(name)
        except OSError:
            return None
        return jpeg if jpeg.endswith(b"\xff\xd9") else None

    def put(self, key: str, jpeg: bytes) -> None:
        """Keep a JPEG, if there is room on the disk."""
        with contextlib.suppress(OSError):
            name = self._name(key)
            for folder in (self.path, os.path.dirname(name)):
                os.makedirs(folder, mode=0o700, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(name))
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(jpeg)
                os.replace(temporary, name)
            except OSError:
                os.unlink(temporary)
                raise
            self._grown(len(jpeg))

    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size, _ in self._files())

    def _name(self, key: str) -> str:
        return os.path.join(self.path, key[:2], f"{key}.jpg")

    def _grown(self, by: int) -> None:
        with self._lock:
            self._bytes = self.size() if self._bytes is None else self._bytes + by
            if self._bytes > self.limit:
                self._sweep()

    def _sweep(self) -> None:
        """Delete what was not used for longest, until nine tenths of the limit are left."""
        files = sorted(self._files())
        left = sum(size for _, size, _ in files)
        for _, size, name in files:
            if left <= self.limit * _KEPT_SHARE:
                break
            with contextlib.suppress(OSError):
                os.unlink(name)
                left -= size
        self._bytes = left

    def _files(self) -> list[tuple[float, int, str]]:
        """(last use, bytes, name) of each file."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self.path) as folders:
            for folder in folders:
                with contextlib.suppress(OSError), os.scandir(folder.path) as entries:
                    for entry in entries:
                        status = entry.stat(follow_symlinks=False)
                        found.append((status.st_mtime, status.st_size, entry.path))
        return found


class Thumbnails:
    """Makes what is not in the folder: the picture asked for last comes first, and one that nobody waits for is left out."""

    def __init__(self, folder: ThumbnailFolder, workers: GuardedWorkers, locate: Callable[[PictureFile], bytes]) -> None:
        """`locate` gives the path to read; what it raises is raised to whoever asks for the picture."""
        self.folder = folder
        self._workers = workers
        self._locate = locate
        self._turns = _LastComeFirst(workers.count)
        self._under_way: dict[str, asyncio.Future[bytes]] = {}

    async def jpeg(self, file: PictureFile, size: int, is_wanted: Callable[[], Awaitable[bool]]) -> bytes | None:
        """The picture at most `size` pixels long; None when nobody wants it any more. Raises ImageError."""
        key = _key(file, size)
        kept = await asyncio.to_thread(self.folder.get, key)
        if kept is not None:
            return kept
        if key in self._under_way:
            return await asyncio.shield(self._under_way[key])
        async with self._turns.turn():
            if not await is_wanted():
                return None
            making = self._under_way[key] = asyncio.ensure_future(self._made(key, file, size))
            making.add_done_callback(lambda _: self._under_way.pop(key, None))
            return await asyncio.shield(making)

    async def _made(self, key: str, file: PictureFile, size: int) -> bytes:
        path = await asyncio.to_thread(self._locate, file)
        jpeg = await asyncio.wrap_future(self._workers.submit(picture.preview, path, size))
        if _is_as_indexed(file):
            await asyncio.to_thread(self.folder.put, key, jpeg)
        return jpeg


def _key(file: PictureFile, size: int) -> str:
    content = file.content_hash or f"{os.fsdecode(file.path)!r} {file.size} {file.mtime_ns}"
    return hashlib.sha256(f"{_FORM} {size} {content}".encode()).hexdigest()


def _is_as_indexed(file: PictureFile) -> bool:
    """Whether the file is still the one whose content hash the catalog knows."""
    try:
        status = os.stat(file.path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)


def check_lies_under(path: bytes, roots: list[bytes]) -> bytes:
    """The real path of a file of the catalog. Raises ImageError when it leads out of the folders that were indexed."""
    real = os.path.realpath(path)
    if not any(real.startswith(os.path.realpath(root).rstrip(b"/") + b"/") for root in roots):
        raise ImageError(os.fsdecode(path), "leads out of the folders that were indexed", kind="outside")
    if not os.path.isfile(real):
        raise ImageError(os.fsdecode(path), "is not there", kind="gone")
    return real


class _LastComeFirst:
    """A few at a time; of those that wait the newest goes on first: it is what is on the screen now."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            await self._wait()
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._pass_on()  # the turn came at the very moment of the end
            else:
                self._waiting.remove(mine)
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            newest = self._waiting.pop()
            if not newest.done():
                newest.set_result(None)
                return
        self._free += 1
