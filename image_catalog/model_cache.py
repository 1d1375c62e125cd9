"""The user's cache folder for models: where it is, and how a folder in it comes into being whole or not at all.

Knows folders and locks; knows nothing of what is in them. All of it can be deleted at any time: it is made again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from image_catalog.errors import CannotGoOn


def path_of(*names: str) -> str:
    """Where `names` lie in the cache: $IMAGE_CATALOG_CACHE, else the system's place for a user's caches."""
    root = os.environ.get("IMAGE_CATALOG_CACHE")
    return os.path.join(root or _users_cache(), *names)


def _users_cache() -> str:
    if sys.platform == "linux":  # as platformdirs has it, whose import would be a sixth of a run without work
        base = os.environ.get("XDG_CACHE_HOME", "")
        return os.path.join(base if base.startswith("/") else os.path.expanduser("~/.cache"), "image-catalog")
    import platformdirs

    return platformdirs.user_cache_dir("image-catalog", appauthor=False)


def create(path: str, fill: Callable[[str], None], *, lock: bool = True) -> str:
    """The folder `path`, made by `fill` when it is not there yet; returns `path`.

    `fill` gets an empty private folder beside it, which is renamed when it is complete: a reader never sees half of one, and a
    killed run leaves only a leftover that the next one removes. `lock` False: the caller holds one that makes it the only
    writer. Raises CannotGoOn (disk full, …).
    """
    from contextlib import nullcontext

    from filelock import FileLock  # 40 ms, for what happens once

    path = os.path.abspath(path)
    if os.path.isdir(path):
        return path
    parent, name = os.path.split(path)
    try:
        os.makedirs(parent, mode=0o700, exist_ok=True)
        with FileLock(path + ".lock", mode=0o600) if lock else nullcontext():  # one process fills, others wait for it
            if not os.path.isdir(path):
                _remove_leftovers(parent, name)
                _fill_and_rename(path, fill)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CannotGoOn(
            path, f"cannot be written ({reason})", "free some space or set IMAGE_CATALOG_CACHE to another folder"
        ) from None
    return path


def _fill_and_rename(path: str, fill: Callable[[str], None]) -> None:
    import shutil
    import tempfile

    parent, name = os.path.split(path)
    temporary = tempfile.mkdtemp(".tmp", name + ".", parent)  # mkdtemp makes it 0700
    try:
        fill(temporary)
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _remove_leftovers(parent: str, name: str) -> None:
    import shutil

    for entry in os.listdir(parent):
        if entry.startswith(name + ".") and entry.endswith(".tmp"):
            shutil.rmtree(os.path.join(parent, entry), ignore_errors=True)


def remove(path: str) -> None:
    """Delete a folder of the cache that turned out to be of no use."""
    import shutil

    shutil.rmtree(path, ignore_errors=True)
