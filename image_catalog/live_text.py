"""The description inside an answer while the answer still comes: JSON so far -> text so far.

Knows JSON's strings; judges nothing (answer.py does, once the answer is whole).
"""

from __future__ import annotations

import json
import re

_DESCRIPTION = re.compile(r'"description"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)
# The end of a string that is cut inside an escape, or between the two halves of a surrogate pair.
_CUT_ESCAPE = re.compile(r"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?(?:\\u[0-9a-fA-F]{0,3})?\Z|\\u[dD][89abAB][0-9a-fA-F]{2}\\\Z")


class LiveDescription:
    """Give it the pieces of an answer; it gives back what is new of the description."""

    def __init__(self) -> None:
        self._text = ""
        self._shown = 0

    def add(self, piece: str) -> str:
        """The part of the description that `piece` brings; "" when it brings none."""
        self._text += piece
        so_far = self._description()
        new = so_far[self._shown :]
        self._shown = max(self._shown, len(so_far))
        return new

    def restart(self) -> None:
        """What came so far does not count: another answer begins."""
        self._text = ""
        self._shown = 0

    def _description(self) -> str:
        start = self._text.lstrip()
        if not start.startswith(("{", "`")):
            return start  # prose
        match = _DESCRIPTION.search(start)
        if match is None:
            return ""
        whole = _CUT_ESCAPE.sub("", match.group(1))
        try:
            return str(json.loads(f'"{whole}"', strict=False))
        except ValueError:
            return ""
