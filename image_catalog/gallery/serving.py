"""The page on a port of this machine, until a signal ends it.

Knows sockets and the web server (uvicorn); knows nothing of what is served.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
from collections.abc import Iterator

from starlette.types import ASGIApp
from uvicorn import Config, Server

from image_catalog.errors import CannotGoOn

_SECONDS_TO_END = 1
_ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_QUEUE = 128  # connections that the system lets wait


def bound_socket(host: str, port: int, tries: int = 1) -> socket.socket:
    """A socket that listens on `host` and `port`, or on one of the `tries` - 1 ports behind it; 0 lets the system choose.

    Raises CannotGoOn.
    """
    for candidate in range(port, port + tries):
        try:
            return _listening(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == port + tries - 1:
                raise _cannot_listen(host, candidate, error) from None
    raise AssertionError("tries is at least 1")


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # Named in full: asyncio switches Nagle's delay (40 ms an answer) off only where it reads that this is TCP.
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_QUEUE)
    except OSError:
        listening.close()
        raise
    return listening


def _cannot_listen(host: str, port: int, error: OSError) -> CannotGoOn:
    if isinstance(error, socket.gaierror):
        return CannotGoOn(host, "there is no such address", "leave --host out, or name an address of this machine")
    remedies = {
        errno.EADDRINUSE: "another program has this port: take another one with --port",
        errno.EACCES: "ports below 1024 are the system's: take another one with --port",
        errno.EADDRNOTAVAIL: "this is no address of this machine: leave --host out, or name one",
    }
    remedy = remedies.get(error.errno or 0, "try another --host or --port")
    return CannotGoOn(f"{host}:{port}", f"cannot listen ({error.strerror})", remedy)


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answer requests until a signal; it is then handled as it was before this call."""
    config = Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody tells us by a header who asks
        ws="none",
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    _Server(config).run(sockets=[listening])


class _Server(Server):
    """A server that ends in order at a signal, and then passes the signal on to whoever handled it before."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        caught: list[int] = []

        def end(number: int, _frame: object) -> None:
            # An exception here would be lost in whichever callback the event loop is running.
            caught.append(number)
            self.should_exit = True

        before = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
        taken = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
        for number in taken:
            signal.signal(number, end)
        try:
            yield
        finally:
            for number, handler in taken.items():
                signal.signal(number, handler)
        for number in caught[:1]:
            signal.raise_signal(number)
