"""Before the first picture is sent: which server, which model, can it see; keys, hosts and proxies from the environment."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ollama_models import CLOUD, GEMMA3, GEMMA3_SMALL, INSTALLED, LLAMA3, MOONDREAM, QWEN3_VL, QWEN3_VL_THINKING, Model
from ollama_server import OllamaServer
from vision_pictures import ENGINES, connect, expected, jpeg

from image_catalog import vision_model
from image_catalog.engine import HostUnavailable
from image_catalog.errors import CannotGoOn, UsageError


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Nothing of what the machine has set."""
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_there(engine: str) -> None:
    with OllamaServer() as server:
        url = server.url
    started = time.monotonic()
    with pytest.raises(HostUnavailable) as caught:
        connect(engine=engine, hosts=[url])
    assert time.monotonic() - started < 1
    assert url in str(caught.value)
    assert "is not reachable at" in caught.value.subject
    assert "refused" in caught.value.reason
    if engine == "ollama":
        assert 'start it with "ollama serve"' in caught.value.remedy


def test_something_else_is_there() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as httpd:
        httpd.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            with pytest.raises(CannotGoOn):
                connect(hosts=[f"127.0.0.1:{httpd.server_port}"])
        finally:
            httpd.shutdown()


def test_a_model_that_is_not_there() -> None:
    with OllamaServer() as server, pytest.raises(CannotGoOn) as caught:
        connect(server, model="nosuch")
    assert str(caught.value).startswith("model nosuch is not there: ")
    assert "ollama pull nosuch" in caught.value.remedy
    assert "--model gemma3:4b" in caught.value.remedy


@pytest.mark.parametrize("version", ["0.33.0", "0.12.11", "0.6.3"])
def test_a_blind_model_names_those_that_see(version: str) -> None:
    with OllamaServer(version=version) as server:
        with pytest.raises(CannotGoOn, match="model llama3:latest cannot see pictures") as caught:
            connect(server, model="llama3")
        assert "--model gemma3:4b" in caught.value.remedy
        assert "gemma3:1b" not in str(caught.value)
        assert [path for _, path in server.requests if path in ("/api/chat", "/api/generate")] == []
    with OllamaServer(models=[LLAMA3]) as server, pytest.raises(CannotGoOn) as caught:
        connect(server, model="llama3")
    assert "ollama pull gemma3:4b" in caught.value.remedy


def test_no_model_that_sees() -> None:
    for models in ([], [LLAMA3, GEMMA3_SMALL]):
        with OllamaServer(models=models) as server, pytest.raises(CannotGoOn, match="has no vision model") as caught:
            connect(server)
        assert "ollama pull gemma3:4b" in caught.value.remedy


@pytest.mark.parametrize(
    ("models", "best"),
    [
        (INSTALLED, "gemma3:4b"),
        ([MOONDREAM, QWEN3_VL_THINKING, QWEN3_VL], "qwen3-vl:4b-instruct"),
        ([CLOUD, MOONDREAM, LLAMA3], "moondream:latest"),
        ([MOONDREAM, Model("brand-new-vl:7b", "new", "7B", 5, ("completion", "vision"))], "brand-new-vl:7b"),
        ([Model("gemma3:27b", "gemma3", "27B", 17, ("completion", "vision")), GEMMA3], "gemma3:27b"),
        ([Model("me/gemma3:4b-mine", "gemma3", "4B", 3, ("completion", "vision")), MOONDREAM], "me/gemma3:4b-mine"),
    ],
)
@pytest.mark.parametrize("version", ["0.33.0", "0.12.11", "0.6.4", "0.6.0"])
def test_the_best_installed_model_is_taken(models: list[Model], best: str, version: str) -> None:
    with OllamaServer(models=models, version=version) as server, connect(server) as model:
        assert model.model == best


@dataclass(frozen=True)
class OddModel(Model):
    """A model of which /api/show says just `parts`."""

    parts: str = "{}"

    def shown(self, version: tuple[int, ...]) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.parts)
        return value


@pytest.mark.parametrize(
    ("parts", "sees"),
    [
        ({"capabilities": ["completion", "vision"]}, True),
        ({"capabilities": ["completion"], "projector_info": {"general.architecture": "clip"}}, True),
        ({"model_info": {"gemma3.vision.block_count": 27}}, True),
        ({"model_info": {"clip.has_vision_encoder": True}}, True),
        ({"details": {"families": ["llama", "clip"]}}, True),
        ({"details": {"families": ["mllama"]}}, True),
        ({"capabilities": ["completion"]}, False),
        ({"capabilities": [], "model_info": {"llama.block_count": 32}}, False),
        ({"details": {"families": None}, "model_info": None, "capabilities": None}, None),
        ({}, None),
    ],
)
def test_how_older_servers_tell_that_a_model_sees(parts: dict[str, Any], sees: bool | None) -> None:
    model = OddModel("odd:latest", "odd", "1B", 1, ("completion",), parts=json.dumps(parts))
    warnings: list[str] = []
    with OllamaServer(models=[model], version="0.6.0") as server:
        if sees is False:
            with pytest.raises(CannotGoOn, match="cannot see pictures"):
                connect(server, model="odd", on_warning=warnings.append)
        else:
            connect(server, model="odd", on_warning=warnings.append).close()
    assert [warning for warning in warnings if "does not say whether odd:latest can see" in warning] == warnings
    assert len(warnings) == (1 if sees is None else 0)


def test_names_are_read_as_ollama_reads_them() -> None:
    with OllamaServer() as server:
        for written in ("moondream", "Moondream:latest", "moondream:latest"):
            with connect(server, model=written) as model:
                assert model.model == "moondream:latest"


def test_an_english_model_asked_for_russian_is_warned_of() -> None:
    warnings: list[str] = []
    with OllamaServer() as server:
        connect(server, model="moondream", language="ru", on_warning=warnings.append).close()
        connect(server, model="moondream", language="en", on_warning=warnings.append).close()
    assert len(warnings) == 1
    assert "English only" in warnings[0]


def test_a_model_that_cannot_be_loaded() -> None:
    with OllamaServer(load_error="model requires more system memory (9.9 GiB) than is available (3.1 GiB)") as server:
        with connect(server) as model, pytest.raises(CannotGoOn, match="cannot be loaded") as caught:
            model.describe(jpeg(1), "a.jpg")
        assert "more system memory" in caught.value.reason
        assert server.calls == []


def test_a_server_without_api_generate_loads_by_itself() -> None:
    with OllamaServer(has_generate=False) as server, connect(server) as model:
        assert model.describe(jpeg(1), "a.jpg").description == expected(1)


def test_which_models_see_is_unknown_with_openai() -> None:
    with OllamaServer() as server:
        with pytest.raises(CannotGoOn, match="not there"):
            vision_model.connect("openai", [server.url], "nosuch")
        with vision_model.connect("openai", [server.url + "/v1"]) as model:
            assert model.model == "qwen3-vl:4b"  # the first whose name tells that it sees
        with vision_model.connect("openai", [server.url], "llama3:latest") as model, pytest.raises(CannotGoOn) as caught:
            model.describe(jpeg(1), "a.jpg")
        assert "cannot see pictures" in caught.value.subject
    with OllamaServer(models=[LLAMA3, LLAMA3]) as server, pytest.raises(CannotGoOn, match="cannot be told"):
        vision_model.connect("openai", [server.url])


@pytest.mark.parametrize("wrong", [{"engine": "telepathy"}, {"language": "Русский язык"}, {"hosts": ["ftp://x"]}])
def test_wrong_use(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        vision_model.connect(**{"language": "en"} | wrong)


# Keys, hosts and proxies from the environment


def test_ollama_host_and_key_are_taken_from_the_environment(no_environment: pytest.MonkeyPatch) -> None:
    with OllamaServer(api_key="s3cret") as server:
        no_environment.setenv("OLLAMA_HOST", f"0.0.0.0:{server.port}")
        with pytest.raises(CannotGoOn, match="asks for a key"):
            vision_model.connect(language="en")
        no_environment.setenv("OLLAMA_API_KEY", "s3cret")
        with vision_model.connect(language="en") as model:
            assert model.describe(jpeg(1), "a.jpg").description == expected(1)
            assert model.hosts == [server.url]


def test_openai_key(no_environment: pytest.MonkeyPatch) -> None:
    with OllamaServer(api_key="k") as server:
        no_environment.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        no_environment.setenv("OPENAI_API_KEY", "k")
        with vision_model.connect("openai", model="gemma3:4b", language="en") as model:
            assert model.describe(jpeg(1), "a.jpg").description == expected(1)


def test_no_proxy_for_this_machine_and_netrc_is_not_read(no_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login anna password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    no_environment.setenv("NETRC", str(tmp_path / ".netrc"))
    no_environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    no_environment.setenv("http_proxy", "http://127.0.0.1:9")
    with OllamaServer() as server, connect(server) as model:
        model.describe(jpeg(1), "a.jpg")
    assert "Authorization" not in server.calls[0].headers


def test_pictures_that_leave_the_machine_are_said_once_and_may_take_a_proxy(no_environment: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def serve() -> None:
            for _ in range(1):
                connection, _ = proxy.accept()
                with connection:
                    asked.append(connection.recv(4096).split(b"\r\n")[0])
                    connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        no_environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        no_environment.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with pytest.raises(HostUnavailable):
            connect(hosts=["gpu-box.example"], on_warning=warnings.append)
    assert warnings == ["pictures will be sent to http://gpu-box.example:11434: not this machine"]
    assert asked == [b"GET http://gpu-box.example:11434/api/version HTTP/1.1"]


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "de_DE"}, "de"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({}, "en"),
        ({"LC_MESSAGES": "uk_UA.UTF-8", "LANG": "C"}, "uk"),
    ],
)
def test_the_language_of_the_locale(variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert vision_model.language_from_locale() == language
