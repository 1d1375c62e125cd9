"""HTTP to one model server: JSON out, JSON or lines back. The only module that imports requests.

Owns connections, wall-clock limits, byte limits, proxies and keys; knows nothing of models or pictures. A redirect is
never followed, a proxy is never used for this machine, an answer is never read beyond its limit, and no call outlives its
deadline or close(), whatever the server does: a read timeout alone would start anew with every byte that drips in.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import requests
import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from image_catalog import __version__
from image_catalog.server_address import ServerAddress

CONNECT_SECONDS = 5.0
MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
_READ_SIZE = 16 * 1024


class HttpTrouble(Exception):
    """No usable answer; `reason` is written for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unreachable(HttpTrouble):
    """No connection could be made: nothing was sent."""


class BrokenOff(HttpTrouble):
    """The connection ended early, or what came is not HTTP or JSON."""


class TooMuch(HttpTrouble):
    """The answer goes beyond its byte limit."""


class DeadlinePassed(HttpTrouble):
    """The answer was not complete in time."""


class ClientClosed(HttpTrouble):
    """close() ended the call."""


class HttpStatus(HttpTrouble):
    """An answer with a status other than 200; `text` is the start of its body."""

    def __init__(self, status: int, text: str, retry_after: float | None, location: str | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.text = text
        self.retry_after = retry_after
        self.location = location


class HttpClient:
    """Requests to one server; safe to use from several threads. `key` goes into the Authorization header."""

    def __init__(self, address: ServerAddress, key: str | None = None) -> None:
        self.address = address
        self._key = key
        self._lock = threading.Lock()
        self._exchanges: set[_Exchange] = set()
        self._closed = False

    def close(self) -> None:
        """End every call that is under way, at once; later calls raise ClientClosed."""
        with self._lock:
            self._closed = True
            exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.end("closed")

    def get_json(self, path: str, seconds: float) -> Any:
        """The JSON at `path`. Raises HttpTrouble."""
        with self._exchange("GET", path, None, seconds) as body:
            return _as_json(_read_all(body, MAX_JSON_BYTES))

    def post_json(self, path: str, value: Any, seconds: float) -> Any:
        """The JSON that `path` answers to `value`. Raises HttpTrouble."""
        with self._exchange("POST", path, value, seconds) as body:
            return _as_json(_read_all(body, MAX_JSON_BYTES))

    def post_for_lines(self, path: str, value: Any, seconds: float, max_bytes: int) -> Generator[bytes]:
        """The lines that `path` answers to `value`, each as it comes. Raises HttpTrouble; closing the iterator hangs up."""
        with self._exchange("POST", path, value, seconds) as body:
            yield from _lines(body, max_bytes)

    @contextlib.contextmanager
    def _exchange(self, method: str, path: str, value: Any, seconds: float) -> Iterator[Iterator[bytes]]:
        exchange = _Exchange(seconds)
        with self._lock:
            if self._closed:
                raise ClientClosed("stopped")
            self._exchanges.add(exchange)
        try:
            with exchange.errors_as_trouble(), self._session() as session:
                response = self._send(session, exchange, method, path, value, seconds)
                with contextlib.closing(response):  # an answer that is not read to its end is hung up on
                    body = _body_of(response)
                    if response.status_code != 200:
                        raise _status_of(response, body)
                    yield body
        finally:
            exchange.finish()
            with self._lock:
                self._exchanges.discard(exchange)

    def _session(self) -> requests.Session:
        """A session of its own for each request: nothing to share between threads, no stale connection to trip over."""
        session = requests.Session()
        session.mount("http://", _WatchedAdapter())
        session.mount("https://", _WatchedAdapter())
        if self.address.is_loopback:
            session.trust_env = False  # no proxy for this machine
            session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        session.auth = self._authorize  # also keeps requests from looking into .netrc
        return session

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def _send(
        self, session: requests.Session, exchange: _Exchange, method: str, path: str, value: Any, seconds: float
    ) -> requests.Response:
        headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": f"image-catalog/{__version__}"}
        data = None
        if value is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        _connecting.exchange = exchange
        return session.request(
            method,
            self.address.url + path,
            data=data,
            headers=headers,
            timeout=(min(CONNECT_SECONDS, seconds), seconds + 1),
            allow_redirects=False,
            stream=True,
        )


class _Exchange:
    """One request under way, and the way to end it from another thread: by shutting its socket down."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._ended_by: str | None = None
        self._timer = threading.Timer(seconds, self.end, ("deadline",))
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connection: socket.socket) -> None:
        """Called when the connection stands, in the thread of the request."""
        # Still that of connecting, and it would bound the whole upload: a picture may take longer than that on a slow line.
        connection.settimeout(self._seconds + 1)
        with self._lock:
            self._socket = connection
            if self._ended_by is not None:
                _shut_down(connection)

    def end(self, by: str) -> None:
        """Whatever blocks on the socket returns at once."""
        with self._lock:
            self._ended_by = self._ended_by or by
            if self._socket is not None:
                _shut_down(self._socket)

    def finish(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._socket = None

    @contextlib.contextmanager
    def errors_as_trouble(self) -> Iterator[None]:
        """Every error of requests, urllib3, http.client and the socket inside the block leaves it as HttpTrouble."""
        try:
            yield
        except HttpTrouble:
            if self._ended_by is None:
                raise
            raise self._trouble(None) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._trouble(error) from error
        except (ValueError, AttributeError, TypeError) as error:
            # A TLS socket that is shut down under its reader raises these; from anyone else they are bugs.
            if self._ended_by is None:
                raise
            raise self._trouble(error) from error

    def _trouble(self, error: Exception | None) -> HttpTrouble:
        if self._ended_by == "closed":
            return ClientClosed("stopped")
        if self._ended_by == "deadline" or time.monotonic() >= self._deadline:
            return DeadlinePassed(f"no whole answer within {self._seconds:g} s")
        assert error is not None
        return _trouble_of(error)


# The exchange whose connection this thread is making; urllib3 offers no other way to hand it to the connection.
_connecting = threading.local()


class _WatchedHTTPConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _connecting.exchange.watch(self.sock)


class _WatchedHTTPSConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _connecting.exchange.watch(self.sock)


class _WatchedHTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _WatchedHTTPConnection


class _WatchedHTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPSConnection


class _WatchedAdapter(requests.adapters.HTTPAdapter):
    """requests' adapter whose connections tell the exchange of their socket, through a proxy too."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS = {"http": _WatchedHTTPPool, "https": _WatchedHTTPSPool}


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        connection.shutdown(socket.SHUT_RDWR)


def _body_of(response: requests.Response) -> Iterator[bytes]:
    """The body in pieces as they come, never decompressed (nothing compressed was asked for)."""
    while piece := response.raw.read1(_READ_SIZE, decode_content=False):
        yield piece


def _status_of(response: requests.Response, body: Iterator[bytes]) -> HttpStatus:
    with contextlib.suppress(TooMuch, requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        text = _read_all(body, MAX_ERROR_BYTES).decode("utf-8", "replace")
        return HttpStatus(response.status_code, text, _retry_after(response), response.headers.get("Location"))
    return HttpStatus(response.status_code, "", _retry_after(response), response.headers.get("Location"))


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that the server asks to wait; a date instead of seconds is not looked at."""
    text = response.headers.get("Retry-After", "").strip()
    return float(text) if re.fullmatch(r"\d{1,6}", text) else None


def _read_all(body: Iterator[bytes], limit: int) -> bytes:
    data = bytearray()
    for piece in body:
        data += piece
        if len(data) > limit:
            raise TooMuch(f"the answer is longer than {limit:,} bytes")
    return bytes(data)


def _lines(body: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    rest = b""
    count = 0
    for piece in body:
        count += len(piece)
        if count > max_bytes:
            raise TooMuch(f"the answer is longer than {max_bytes:,} bytes")
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _as_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BrokenOff("the answer is not JSON") from None


def _trouble_of(error: Exception) -> HttpTrouble:
    """What an error of requests or urllib3 means for a person."""
    causes = list(_causes(error))
    if any(isinstance(cause, requests.exceptions.SSLError | urllib3.exceptions.SSLError) for cause in causes):
        return Unreachable(f"no trusted TLS connection ({_innermost(causes)})")
    if any(isinstance(cause, urllib3.exceptions.NameResolutionError | socket.gaierror) for cause in causes):
        return Unreachable("no server of that name is known")
    if any(isinstance(cause, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ProxyError) for cause in causes):
        return Unreachable(_innermost(causes))  # NewConnectionError is a ConnectTimeoutError too
    if any(isinstance(cause, urllib3.exceptions.ConnectTimeoutError) for cause in causes):
        return Unreachable(f"no connection within {CONNECT_SECONDS:g} s")
    if any(isinstance(cause, urllib3.exceptions.ReadTimeoutError | TimeoutError) for cause in causes):
        return DeadlinePassed("no whole answer in time")
    if isinstance(error, ValueError):  # InvalidProxyURL, InvalidSchema: requests could not even begin
        return Unreachable(_innermost(causes))
    return BrokenOff(f"the connection broke off ({_innermost(causes)})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and all that it wraps, outermost first: urllib3 keeps causes in `reason` and in its arguments."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _innermost(causes: list[BaseException]) -> str:
    """The operating system's words where there are any."""
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror[:1].lower() + cause.strerror[1:]
    text = str(causes[-1])
    return text.splitlines()[0][:120] if text else type(causes[-1]).__name__
