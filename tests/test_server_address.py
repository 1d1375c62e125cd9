"""Addresses as Ollama's own clients read them (the cases of envconfig/config_test.go and ollama-python's _parse_host)."""

from __future__ import annotations

import pytest

from image_catalog.errors import UsageError
from image_catalog.server_address import from_ollama_environment, parse


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("http://", "http://127.0.0.1:80"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("http://1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://1.2.3.4:1234", "https://1.2.3.4:1234"),
        ("HTTPS://Example.COM/", "https://example.com:443"),
        ("example.com:1234/", "http://example.com:1234"),
        ("https://example.com/ollama/", "https://example.com:443/ollama"),
        ("example.com/path", "http://example.com:11434/path"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:1337", "http://[::1]:1337"),
        ("::1", "http://[::1]:11434"),
        ("http://[::1]", "http://[::1]:80"),
        (' "gpu-box" ', "http://gpu-box:11434"),
        ("'gpu-box:1'", "http://gpu-box:1"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:56789", "http://127.0.0.1:56789"),
        ("::", "http://[::1]:11434"),
        ("[::]:1", "http://[::1]:1"),
        ("ollama.com", "https://ollama.com:443"),
        ("gpu_box.local", "http://gpu_box.local:11434"),
        ("http://gpu-box:1/api?x=1#y", "http://gpu-box:1/api"),
    ],
)
def test_reads_an_address(written: str, url: str) -> None:
    assert parse(written).url == url


@pytest.mark.parametrize("written", ["1.2.3.4:70000", "gpu-box:port", "gpu-box:-1", "gpu-box:1٣"])
def test_a_bad_port_is_an_error_by_hand_and_the_default_in_the_environment(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no port"):
        parse(written)
    monkeypatch.setenv("OLLAMA_HOST", written)
    assert from_ollama_environment().port == 11434


@pytest.mark.parametrize("written", ["ftp://gpu-box", "file:///etc/passwd", "a b", "http://\x1b[31m", "gpu\\box"])
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(UsageError):
        parse(written)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse("http://anna:s3cret@gpu-box:11434")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "stays"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("my.localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("192.168.1.5", False),
        ("gpu-box", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_knows_what_stays_on_this_machine(written: str, stays: bool) -> None:
    assert parse(written).is_loopback is stays
