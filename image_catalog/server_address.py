"""Where a model server is: what a person or OLLAMA_HOST writes -> scheme, host, port and path.

Knows addresses; opens no connection. The rules are those of Ollama's own clients (envconfig/config.go `Host` and
`ConnectableHost`, ollama-python `_parse_host`).
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from image_catalog.errors import UsageError

OLLAMA_PORT = 11434
_SCHEME_PORTS = {"http": 80, "https": 443}
# A server binds to these; a client cannot connect to them everywhere.
_BIND_ONLY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
_HOST_NAME = re.compile(r"[A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """An http or https server; `path` is "" or begins with a slash and ends without."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether pictures that are sent there stay on this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(text: str, default_port: int = OLLAMA_PORT, *, forgive_port: bool = False) -> ServerAddress:
    """Read `gpu-box`, `gpu-box:11434`, `:11434`, `[::1]:80`, `http://…` or `https://…/path`.

    Without a scheme it is http on `default_port`; with one, the scheme's own port. `forgive_port` takes the default for a
    port that is none, as Ollama does with OLLAMA_HOST. Raises UsageError for anything that is no http(s) address.
    """
    written = text.strip().strip("\"'").strip()
    scheme, separator, rest = written.partition("://")
    if not separator:
        scheme, rest = ("https", "ollama.com:443") if written == "ollama.com" else ("http", written)
    scheme = scheme.lower()
    if scheme not in _SCHEME_PORTS:
        raise UsageError(written, f"{scheme}:// is no way to reach a model server", "write http:// or https://")
    if separator:
        default_port = _SCHEME_PORTS[scheme]
    host_and_port, _, path = rest.partition("/")
    if "@" in host_and_port:
        # Shown without what may be a password.
        raise UsageError(
            f"{scheme}://…@{host_and_port.rpartition('@')[2]}",
            "an address with a name or password in it is not used",
            "put a key into OLLAMA_API_KEY or OPENAI_API_KEY",
        )
    host, port_text = _split_port(host_and_port)
    port = _port(port_text, default_port, forgive_port, written)
    host = _BIND_ONLY.get(host, host).lower()
    if not (_HOST_NAME.fullmatch(host) or _is_ip(host)):
        raise UsageError(written, "is no address of a server", "write it like http://127.0.0.1:11434")
    path = re.split(r"[?#]", path)[0].rstrip("/")
    return ServerAddress(scheme, host, port, f"/{path}" if path else "")


def from_ollama_environment() -> ServerAddress:
    """The address in OLLAMA_HOST, else Ollama's default on this machine."""
    return parse(os.environ.get("OLLAMA_HOST", ""), forgive_port=True)


def _split_port(text: str) -> tuple[str, str]:
    """(host, port) as Go's net.SplitHostPort; a bare IPv6 address has no port."""
    if _is_ip(text.strip("[]")):
        return text.strip("[]"), ""
    host, colon, port = text.rpartition(":")
    return (host.strip("[]"), port) if colon else (text, "")


def _port(text: str, default: int, forgive: bool, written: str) -> int:
    if not text:
        return default
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    if forgive:
        return default
    raise UsageError(written, f"{text} is no port", "write it like http://127.0.0.1:11434")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
