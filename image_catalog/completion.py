"""What a shell asks a script when TAB is pressed; argcomplete knows the shells.

Knows parsers and, for the values of filters, the catalog that the line so far names. Loaded only when a shell asks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

Completer = Callable[..., Iterable[str]]


def answer(parser: argparse.ArgumentParser) -> None:
    """Print to the shell what can stand where the cursor is, and end the process: the shell has set `_ARGCOMPLETE`."""
    import argcomplete

    argcomplete.autocomplete(parser, always_complete_options="long", exclude=["-h", "--print-completion", "--debug"])


def shell_code(shell: str) -> str:
    """What the shell must run once to complete `python SCRIPT …`, for all scripts that carry the mark PYTHON_ARGCOMPLETE_OK."""
    import argcomplete

    loader = Path(argcomplete.__file__).parent / "bash_completion.d" / "_python-argcomplete"
    needed = "autoload -Uz compinit && compinit\n" if shell == "zsh" else ""
    return needed + loader.read_text(encoding="utf-8")


def names_in_catalog(filter_name: str) -> Completer:
    """Offers what the catalog has for a filter: its cameras, its places, its tags, …"""

    def complete(parsed_args: argparse.Namespace, **_: object) -> list[str]:
        from image_catalog.catalog import Catalog
        from image_catalog.catalog_search import SearchableCatalog
        from image_catalog.errors import UserError

        try:
            with Catalog.open_for_reading(parsed_args.db) as catalog:
                # A shell writes what it is told to the terminal as it is.
                return [name for name in SearchableCatalog(catalog).names_for(filter_name) if name.isprintable()]
        except UserError:  # no catalog yet: nothing to offer
            return []

    return complete
