"""A file shown in its folder by the file manager of the user's system. Knows how systems do that; no shell ever sees the path."""

from __future__ import annotations

import os
import subprocess
import sys

from image_catalog.errors import CannotGoOn

_LONGEST_WAIT = 2.0  # seconds; some openers end only when the window is closed


def show(path: bytes) -> None:
    """Open the folder of `path` (absolute), with the file chosen where the system can. Raises CannotGoOn."""
    command = _command(path)
    quiet = subprocess.DEVNULL
    try:
        opener = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    except OSError as error:
        raise _no_file_manager(command[0], str(error.strerror)) from None
    try:
        code = opener.wait(_LONGEST_WAIT)
    except subprocess.TimeoutExpired:
        return
    if code != 0 and sys.platform != "win32":  # Explorer ends with 1 when all is well
        raise _no_file_manager(command[0], f"it ended with {code}")


def _command(path: bytes) -> list[bytes]:
    if sys.platform == "darwin":
        return [b"open", b"-R", path]
    if sys.platform == "win32":
        return [b"explorer", b"/select," + path]
    return [b"xdg-open", os.path.dirname(path)]


def _no_file_manager(opener: bytes, reason: str) -> CannotGoOn:
    return CannotGoOn(opener.decode(), f"no file manager was opened ({reason})", "copy the path and open its folder by hand")
