# PYTHON_ARGCOMPLETE_OK: the shell may ask this script what can stand on its command line
"""browse_images.py: images.db as a page in the browser that searches as you type."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from typing import TYPE_CHECKING

from image_catalog import command_line
from image_catalog.command_line import json_text, printable, write_line
from image_catalog.errors import DONE

if TYPE_CHECKING:
    from image_catalog.gallery.guard import Address

DESCRIPTION = """\
Look at your pictures and search them in the browser: by words and by meaning as you type, with filters, dates and
similar pictures.

Goes in: images.db and image_index.faiss; originals are only read. Comes out: the address of the page, which is opened in
the browser, until Ctrl-C. Only this machine can reach it, unless --host says otherwise: then the address has a token that
it needs."""

EXAMPLES = """
  python browse_images.py
  python browse_images.py --db ~/photos/images.db --port 9000 --no-open
  python browse_images.py --host 0.0.0.0 --no-open             for a phone in the same network
"""

DEFAULT_PORT = 8765
_PORTS_TRIED = 20  # when none is named
_MEGABYTE = 1_000_000


def main(argv: list[str]) -> int:
    options = _parse(argv)
    from image_catalog.catalog import Catalog

    Catalog.open_for_reading(options.db).close()  # no catalog, no page
    from image_catalog.gallery import serving
    from image_catalog.gallery.guard import Address, is_loopback, new_token

    port, tries = (DEFAULT_PORT, _PORTS_TRIED) if options.port is None else (options.port, 1)
    with serving.bound_socket(options.host, port, tries) as listening:
        token = None if is_loopback(options.host) else options.token or new_token()
        address = Address(options.host, listening.getsockname()[1], token)
        _say_where(options, address)
        if not options.no_open:
            threading.Thread(target=_open_in_browser, args=(address.url(),), daemon=True).start()
        _serve(options, address, listening)
    return DONE


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.ArgumentParser(DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("--port", metavar="N", type=_port, help=f"the port (default: {DEFAULT_PORT}, or the next that is free; 0: any)")
    add("--host", metavar="ADDRESS", default="127.0.0.1", help="the address to listen on (127.0.0.1: this machine only)")
    add("--token", metavar="TEXT", type=_token, help="with --host: a token of your own, so that the address stays the same")
    add("--no-open", action="store_true", help="do not open the browser")
    add(
        "--thumbnails",
        metavar="MB",
        type=command_line.positive_int,
        default=1000,
        help="keep at most so many megabytes of thumbnails beside the catalog (1000)",
    )
    command_line.add_catalog_options(parser)
    command_line.add_vector_index_option(parser)
    command_line.add_output_options(parser, "the address as a JSON document")
    return parser.parse_args(argv)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) < 65_536):
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return int(text)


def _token(text: str) -> str:
    if len(text) < 16 or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise argparse.ArgumentTypeError("a token has at least 16 letters, digits, - or _")
    return text


def _say_where(options: argparse.Namespace, address: Address) -> None:
    known = {"url": address.url(), "port": address.port, "token": address.token}
    write_line(json_text(known) if options.json else printable(address.url()))
    sys.stdout.flush()
    reporter = command_line.Reporter(options.quiet)
    if address.token:
        reporter.warn("everyone who has this address with its token can see all pictures of the catalog, unencrypted on the way")
    reporter.note("Ctrl-C ends it")


def _open_in_browser(url: str) -> None:
    import webbrowser

    webbrowser.open(url)


def _serve(options: argparse.Namespace, address: Address, listening: object) -> None:
    import functools
    import socket

    from image_catalog.gallery import app, serving
    from image_catalog.gallery.thumbnails import ThumbnailFolder, Thumbnails
    from image_catalog.gallery.warm_catalog import WarmCatalog
    from image_catalog.guarded_workers import GuardedWorkers

    assert isinstance(listening, socket.socket)
    warm = WarmCatalog(options.db, command_line.vector_index_path(options))
    folder = ThumbnailFolder(f"{os.path.abspath(options.db)}.thumbnails", options.thumbnails * _MEGABYTE)
    with GuardedWorkers() as workers:
        thumbnails = Thumbnails(folder, workers, functools.partial(app.locate, warm))
        serving.serve(app.application(warm, thumbnails, address), listening)


if __name__ == "__main__":
    raise SystemExit(command_line.run_script(main))
