"""Paths as links: file:// URLs, and the escape sequences by which a terminal makes text one."""

from __future__ import annotations

import os

# RFC 3986: unreserved characters, and the slash between folders.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def file_url(path: bytes, host: str = "") -> str:
    """The URL of an absolute path: its bytes, whatever they are, percent-encoded (RFC 8089)."""
    if os.name == "nt":
        path = b"/" + path.replace(b"\\", b"/")
    return f"file://{host}" + "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in path)


def linked(text: str, path: bytes) -> str:
    """`text` as a link to a file of this machine, for a terminal that knows OSC 8; others show the text alone.

    It names the host, so that over ssh a terminal does not open a file of its own machine
    (https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda).
    """
    host = os.uname().nodename if hasattr(os, "uname") else ""
    return f"\x1b]8;;{file_url(path, host)}\x1b\\{text}\x1b]8;;\x1b\\"
