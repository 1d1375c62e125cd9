"""What a shell asks a script when TAB is pressed; argcomplete knows the shells.

Knows parsers and, for the values of filters, the catalog that the line so far names. Loaded only when a shell asks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from image_catalog.search_filter import ORIENTATIONS

Completer = Callable[..., Iterable[str]]
_IN_CATALOG = ("camera", "lens", "near", "format", "tag")
_DATES = ("today", "yesterday", "1 week ago", "1 month ago", "1 year ago")
_ALWAYS = {"orientation": ORIENTATIONS, "after": _DATES, "before": _DATES}


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


def values_of(filter_name: str) -> Completer:
    """Offers what can stand after a filter: cameras, places, formats and tags of the catalog, or what is always the same."""
    if filter_name in _IN_CATALOG:
        return _names_in_catalog(filter_name)
    return lambda **_: _ALWAYS.get(filter_name, ())


def _names_in_catalog(filter_name: str) -> Completer:

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
