"""Who may ask: the right Host, no other site, and beyond this machine only who knows the token. And the headers of every answer.

An ASGI middleware; knows addresses, cookies and headers, nothing of pictures. What it defends against: a page of another site
that makes the reader's browser ask us (DNS rebinding, https://en.wikipedia.org/wiki/DNS_rebinding; cross-site requests), and
whoever else is on the network.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_BODY = 10_000  # bytes of a form; ours have a hundred
_COOKIE_AGE = 30 * 86_400  # seconds
# Nothing but our own files, no inline script or style, in no frame (https://www.w3.org/TR/CSP3/).
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none';"
    " base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Address(NamedTuple):
    """Where the page is served: what was bound, and by which names it may be asked for."""

    host: str
    port: int
    token: str | None  # None: only this machine can ask

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def names(self) -> frozenset[str]:
        """Hosts that a request may name, in lower case and without the port."""
        local = {"localhost", "127.0.0.1", "::1"}
        if self.is_local:
            return frozenset(local | {self.host.lower()})
        name = socket.gethostname().lower()
        return frozenset(local | {self.host.lower(), name, f"{name}.local", name.split(".")[0]})

    def url(self) -> str:
        """What a person opens."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else "::1" if self.host == "::" else self.host  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine and nothing else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def new_token() -> str:
    """256 bits that nobody guesses."""
    return secrets.token_urlsafe(32)


class Guard:
    """Passes on to `app` what may be asked."""

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._app = app
        self._address = address
        self._names = address.names()
        self._cookie = f"image_catalog_{address.port}"  # cookies do not know ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer = self._refusal(scope) or self._ask_for_token(scope) or self._app
            await answer(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return _refused(400, "This page answers only to its own address.")
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "navigate")
        is_reading = scope["method"] in ("GET", "HEAD")
        if site not in ("same-origin", "none") and not (is_reading and mode == "navigate"):
            return _refused(403, "Another site asked for this.")
        origin = headers.get("origin")
        if origin is not None and origin != f"{scope['scheme']}://{hosts[0]}":
            return _refused(403, "Another site asked for this.")
        if scope["method"] == "POST" and not _is_short(headers.get("content-length")):
            return _refused(413, "That is too long.")
        return None

    def _is_ours(self, host: str) -> bool:
        name, port = _split(host)
        if port not in (None, str(self._address.port)):
            return False
        if self._address.token is not None and _is_ip(name):
            return True  # this machine has many addresses, and rebinding needs a name
        return name in self._names

    def _ask_for_token(self, scope: Scope) -> Response | None:
        """None for who knows the token; a link that has it gives a cookie and leads to the same address without."""
        token = self._address.token
        if token is None or scope["path"].startswith("/static/"):
            return None
        headers = Headers(scope=scope)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=200)
        if _is_any((value for name, value in query if name == "token"), token):
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            path = "/" + quote(scope["path"].lstrip("/"))  # with two slashes it would be another host
            answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
            # Lax, not strict: a link in a message must lead in at the first click. Changes ask for more than a cookie.
            answer.set_cookie(self._cookie, token, max_age=_COOKIE_AGE, httponly=True, samesite="lax")
            return answer
        if _is_any([*_cookies(headers, self._cookie), headers.get("authorization", "").removeprefix("Bearer ")], token):
            return None
        return _refused(403, "Open the whole address that browse_images.py printed: it has a token.")


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "private, no-cache")
        await send(message)

    return sent


def _refused(code: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", code)


def _split(host: str) -> tuple[str, str | None]:
    """The name, in lower case and without brackets, and the port if there is one."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name.lower(), rest.removeprefix(":") if rest else None
    name, colon, port = host.partition(":")
    return name.lower(), port if colon else None


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_short(content_length: str | None) -> bool:
    return (
        content_length is not None
        and content_length.isdecimal()
        and len(content_length) < 9
        and int(content_length) <= LONGEST_BODY
    )


def _cookies(headers: Headers, name: str) -> list[str]:
    cookie = SimpleCookie()
    try:
        cookie.load(headers.get("cookie", ""))
    except CookieError:
        return []
    return [cookie[name].value] if name in cookie else []


def _is_any(given: Iterable[str], token: str) -> bool:
    return any(hmac.compare_digest(one.encode(), token.encode()) for one in given)
