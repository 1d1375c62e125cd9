"""A server behind TLS: trusted or not, hanging, dripping, ended from outside."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ollama_server import OllamaServer
from vision_pictures import connect, expected, jpeg

from image_catalog.engine import HostUnavailable, ModelClosed
from image_catalog.errors import CannotGoOn, ImageError

# Made for this test alone; it protects nothing. Valid for localhost, for a hundred years.
KEY_AND_CERTIFICATE = """
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxRA/7r+gXnzTRXqh
/NstPLFDDApeRF+WPtqHhxolyq6hRANCAAR6Uf1JCIGsIAhK28CVrikUmtP0XF8J
SyGqUzhN2UTWXnlhlekX+9lF8yqSjR0QDk3pbhgZ06wVoKLOVvXJNgUc
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUdvQBGWGtY6vq3yeH2Qmh5W/wmCUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzIyMTgyOVoYDzIxMjYxMDMw
MjIxODI5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR6Uf1JCIGsIAhK28CVrikUmtP0XF8JSyGqUzhN2UTWXnlhlekX+9lF
8yqSjR0QDk3pbhgZ06wVoKLOVvXJNgUco28wbTAdBgNVHQ4EFgQU/4Dq+GuzBHI6
TcNN6Z6VJzYFnuMwHwYDVR0jBBgwFoAU/4Dq+GuzBHI6TcNN6Z6VJzYFnuMwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhAPLKqTnEVqq1fWsw89GMULq0ek2XCugm4Y2iJ8ksbLjfAiB8
wDkIn+fB7QGTXLwKhExT/ZthEzvdaN7rrC54zMH5Iw==
-----END CERTIFICATE-----
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "localhost.pem"
    path.write_text(KEY_AND_CERTIFICATE.lstrip())
    return path


@contextmanager
def https_server(certificate: Path, **options: Any) -> Iterator[str]:
    """The address of a test server that speaks TLS only."""
    with OllamaServer(**options) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.listener.socket = context.wrap_socket(server.listener.socket, server_side=True)
        yield f"https://localhost:{server.port}"


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    with https_server(certificate) as url, pytest.raises(HostUnavailable) as caught:
        connect(hosts=[url])
    assert "no trusted TLS connection" in caught.value.reason
    assert "certificate verify failed" in caught.value.reason.lower()


def test_one_that_the_user_trusts_is_used(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with https_server(certificate) as url, connect(hosts=[url]) as model:
        assert model.describe(jpeg(1), "a.jpg").description == expected(1)


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_deadline_and_close_work_through_tls(fault: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with https_server(certificate, fault_for=lambda call: fault) as url:
        with connect(hosts=[url], timeout=0.4) as model:
            started = time.monotonic()
            with pytest.raises(ImageError, match="no description within"):
                model.describe(jpeg(1), "a.jpg")
            assert time.monotonic() - started < 1.5
        errors: list[BaseException] = []
        with connect(hosts=[url], timeout=60) as model:

            def describe() -> None:
                try:
                    model.describe(jpeg(1), "a.jpg")
                except CannotGoOn as error:
                    errors.append(error)

            thread = threading.Thread(target=describe, daemon=True)
            thread.start()
            time.sleep(0.4)
            model.close()
            thread.join(1)
        assert [type(error) for error in errors] == [ModelClosed]
