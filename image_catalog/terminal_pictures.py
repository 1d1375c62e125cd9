"""Pictures on a terminal: by kitty's graphics protocol, or as the sixels that iTerm2, WezTerm, foot, Konsole and others draw.

Knows terminals through textual-image, which asks the terminal what it can; knows nothing of files. It is an extra: some packages
and half a second to load, only for who asks for pictures.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from image_catalog.errors import UserError

SIZE = 640  # pixels of the long side that a picture is prepared for
_ROWS, _COLUMNS = 16, 60  # of the terminal, at most, so that several pictures fit


class Screen:
    """A terminal that can show pictures. Raises UserError when stdout is none, or it cannot, or the library is missing."""

    def __init__(self) -> None:
        if not (sys.stdout.isatty() and sys.stdin is not None and sys.stdin.isatty()) or os.environ.get("TERM") == "dumb":
            raise UserError("--show", "this is no terminal that could show pictures", "the results are the same without")
        try:
            # It asks the terminal when it is imported: a question and 0.1 s for an answer.
            from textual_image import renderable
        except ModuleNotFoundError as error:
            raise UserError("--show", f"{error.name} is not installed", "pip install -r requirements-show.txt") from None
        if renderable.Image not in (renderable.TGPImage, renderable.SixelImage):
            known = "kitty, iTerm2, WezTerm, foot, Konsole, Windows Terminal, xterm -ti vt340"
            raise UserError("--show", "this terminal shows no pictures", f"these do: {known}")
        self._make: Any = renderable.Image

    def drawn(self, jpeg: bytes) -> str:
        """What, written to the terminal, shows the picture in lines of its own; nothing where the terminal hides its size."""
        from rich.console import Console

        text = io.StringIO()
        sys.stdout.flush()  # kitty's way writes the pixels to the terminal itself, before what is returned here
        console = Console(file=text, force_terminal=True, color_system="truecolor", width=_COLUMNS, height=_ROWS)
        try:
            console.print(self._make(io.BytesIO(jpeg), width="auto", height="auto"), end="")
        except ZeroDivisionError:  # a terminal that says that its letters have no pixels
            return ""
        return text.getvalue().removesuffix("\n")
