"""One index run at a time per catalog: an operating-system lock that dies with its process.

Knows lock files; knows nothing of what a run does. `kill -9` and a reboot leave nothing to clean up, since the kernel drops
the lock; the file `images.db.lock` itself stays and means nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from image_catalog.errors import AnotherRunActive, CannotGoOn


@contextmanager
def hold(catalog_path: str, holder: Callable[[], str]) -> Iterator[None]:
    """Hold the lock of a catalog for the whole block.

    `holder` says in words which run holds it (its pid and start) and is asked only when there is one. Raises
    AnotherRunActive at once when another process holds the lock, CannotGoOn when its file cannot be made.
    """
    # The real path: two names of one catalog share one lock.
    lock = FileLock(os.path.realpath(catalog_path) + ".lock", timeout=0, mode=0o600)
    folder = os.path.dirname(os.path.realpath(catalog_path))
    try:
        os.stat(folder)  # filelock would make a missing folder
        lock.acquire()
    except Timeout:
        raise AnotherRunActive(catalog_path, f"another index run{holder()} is active", "wait until it has ended") from None
    except FileNotFoundError:
        raise CannotGoOn(catalog_path, "its folder does not exist", "make the folder, or name another place with --db") from None
    except OSError as error:
        raise CannotGoOn(
            catalog_path, f"cannot write beside the catalog ({error.strerror})", "name another place with --db"
        ) from None
    try:
        yield
    finally:
        lock.release()
