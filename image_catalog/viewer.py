"""A picture in the viewer that the user's system has for it, or in its folder in the file manager.

Knows how systems open files; no shell ever sees a path.
"""

from __future__ import annotations

import os
import subprocess
import sys

from image_catalog.errors import CannotGoOn

_LONGEST_WAIT = 3.0  # seconds; some systems' openers end only when what they opened is closed


def open_picture(path: bytes) -> None:
    """Show the file at `path` (absolute); returns while the viewer is open. Raises CannotGoOn when there is none."""
    if not os.path.exists(path):
        raise CannotGoOn(os.fsdecode(path), "is not there", "index its folder again, or mount its disk")
    if sys.platform == "win32":
        os.startfile(os.fsdecode(path))  # noqa: S606
    else:
        _run([_opener(), path], "viewer", "open the path in a program that shows pictures")


def open_folder(path: bytes) -> None:
    """Show the folder of `path` (absolute), with the file chosen where the system can. Raises CannotGoOn."""
    if sys.platform == "darwin":
        command = [b"open", b"-R", path]
    elif sys.platform == "win32":
        command = [b"explorer", b"/select," + path]
    else:
        command = [_opener(), os.path.dirname(path)]
    _run(command, "file manager", "copy the path and open its folder by hand")


def _opener() -> bytes:
    return b"open" if sys.platform == "darwin" else b"xdg-open"


def _run(command: list[bytes], what: str, remedy: str) -> None:
    opener, quiet = command[0].decode(), subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    except OSError as error:
        raise CannotGoOn(opener, f"there is no {what} here ({error.strerror})", remedy) from None
    try:
        code = process.wait(_LONGEST_WAIT)
    except subprocess.TimeoutExpired:
        return
    if code != 0 and sys.platform != "win32":  # Explorer ends with 1 when all is well
        raise CannotGoOn(opener, f"found no {what} (it ended with {code})", remedy)
