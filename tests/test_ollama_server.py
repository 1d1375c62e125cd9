"""The test server answers as the real ones were seen to answer: a client that passes against it is not fooled by it.

The statuses and bodies below were recorded from Ollama 0.12.11 and a build of 0.33.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from ollama_pictures import Captions, difference, numbered_name, numbered_picture, thumbnail_of
from ollama_server import OllamaServer
from PIL import Image, ImageCms, ImageOps

ROOT = Path(__file__).resolve().parent.parent


def ask(url: str, path: str, body: Any = None, raw: bytes | None = None, host: str | None = None) -> tuple[int, str, str]:
    """(status, content type, body) of one request."""
    data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
    request = urllib.request.Request(url + path, data, {"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers.get("Content-Type") or "", answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type") or "", error.read().decode()


def encoded(image: Image.Image, format: str = "JPEG") -> str:
    data = io.BytesIO()
    image.save(data, format, quality=85)
    return base64.b64encode(data.getvalue()).decode()


def chat(image: str | None, model: str = "gemma3:4b", text: str = "Describe.", **more: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "user", "content": text}
    if image is not None:
        message["images"] = [image]
    return {"model": model, "messages": [message], "stream": False} | more


def nested(message: str, status: int = 400, kind: str = "invalid_request_error") -> dict[str, str]:
    return {"error": json.dumps({"error": {"code": status, "message": message, "type": kind}})}


PICTURE = encoded(numbered_picture(5000))
RUNNER = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
NO_IMAGES = "Multimodal data provided, but model does not support multimodal requests."
BASE64 = "json: cannot unmarshal string into Alias.images.0 of type api.ImageData: illegal base64 data at input byte 4"
GARBAGE = base64.b64encode(b"not a picture at all").decode()


@pytest.mark.parametrize(
    ("version", "path", "body", "status", "expected"),
    [
        ("0.33.0", "/api/version", None, 200, {"version": "0.33.0"}),
        ("0.33.0", "/api/show", {"model": "nosuch"}, 404, {"error": "model 'nosuch:latest' not found"}),
        ("0.12.11", "/api/show", {"model": "nosuch"}, 404, {"error": "model 'nosuch' not found"}),
        ("0.33.0", "/api/chat", chat(PICTURE, "nosuch"), 404, {"error": "model 'nosuch' not found"}),
        ("0.33.0", "/api/chat", chat(PICTURE, ""), 400, {"error": "model is required"}),
        ("0.33.0", "/api/chat", chat(PICTURE, "a b"), 400, {"error": "invalid model name"}),
        ("0.12.11", "/api/chat", chat(PICTURE, "a b"), 400, {"error": "model is required"}),
        ("0.33.0", "/api/chat", chat(PICTURE, "llama3"), 400, nested(NO_IMAGES)),
        ("0.33.0", "/api/chat", chat(GARBAGE), 400, nested("Failed to load image or audio file")),
        ("0.12.11", "/api/chat", chat(GARBAGE), 500, {"error": RUNNER + "check ollama server logs for details"}),
        ("0.33.0", "/api/chat", chat("data:image/jpeg;base64," + PICTURE), 400, {"error": BASE64}),
        ("0.33.0", "/api/chat", chat(PICTURE, think=True), 400, {"error": '"gemma3:4b" does not support thinking'}),
        ("0.33.0", "/api/chat", chat(PICTURE, keep_alive="soon"), 400, {"error": 'time: invalid duration "soon"'}),
        (
            "0.33.0",
            "/api/chat",
            chat(PICTURE, options={"temperature": "hot"}),
            500,
            {"error": 'option "temperature" must be of type float32'},
        ),
        ("0.12.11", "/api/chat", chat(PICTURE, format={"type": "nonsense"}), 500, {"error": "invalid JSON schema in format"}),
    ],
)
def test_answers_as_recorded(version: str, path: str, body: Any, status: int, expected: Any) -> None:
    with OllamaServer(version=version) as server:
        got_status, content_type, text = ask(server.url, path, body)
    assert (got_status, content_type) == (status, "application/json; charset=utf-8")
    assert json.loads(text) == expected


@pytest.mark.parametrize(
    ("path", "raw", "expected"),
    [
        ("/", None, (200, "Ollama is running")),
        ("/api/nosuch", b"{}", (404, "404 page not found")),
        ("/api/chat", None, (405, "405 method not allowed")),
        ("/api/chat", b"{", (400, '{"error": "unexpected EOF"}')),
        ("/api/chat", b"", (400, '{"error": "missing request body"}')),
    ],
)
def test_answers_to_odd_requests(path: str, raw: bytes | None, expected: tuple[int, str]) -> None:
    with OllamaServer() as server:
        status, _, text = ask(server.url, path, raw=raw)
    assert (status, text) == expected


def test_a_foreign_host_header_gets_an_empty_403() -> None:
    with OllamaServer() as server:
        assert ask(server.url, "/api/tags", host="evil.example")[::2] == (403, "")


def test_an_old_server_lets_a_blind_model_make_something_up() -> None:
    with OllamaServer(version="0.12.11") as server:
        status, _, text = ask(server.url, "/api/chat", chat(PICTURE, "llama3"))
    assert status == 200
    assert "[img-0]" in json.loads(text)["message"]["content"]


def test_capabilities_by_version() -> None:
    said = {}
    for version in ("0.6.3", "0.6.4", "0.12.11", "0.33.0"):
        with OllamaServer(version=version) as server:
            tags = json.loads(ask(server.url, "/api/tags")[2])["models"]
            shown = json.loads(ask(server.url, "/api/show", {"model": "moondream"})[2])
        said[version] = (any("capabilities" in entry for entry in tags), shown.get("capabilities"), "projector_info" in shown)
    assert said == {
        "0.6.3": (False, None, True),
        "0.6.4": (False, ["completion"], True),
        "0.12.11": (False, ["completion", "vision"], True),
        "0.33.0": (True, ["completion", "vision"], True),
    }


def test_streams_lines_until_done() -> None:
    with OllamaServer() as server:
        _, content_type, text = ask(server.url, "/api/chat", chat(PICTURE) | {"stream": True})
        whole = json.loads(
            ask(server.url, "/api/generate", {"model": "gemma3:4b", "prompt": "x", "images": [PICTURE]})[2].splitlines()[-1]
        )
    lines = [json.loads(line) for line in text.splitlines()]
    assert content_type == "application/x-ndjson"
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert "".join(line["message"]["content"] for line in lines).startswith("A ")
    assert lines[-1]["done_reason"] == whole["done_reason"] == "stop"
    assert whole["response"] == ""


def test_a_schema_and_a_token_limit_are_kept() -> None:
    schema = {
        "type": "object",
        "properties": {"tags": {"type": "array", "maxItems": 1}, "description": {"type": "string", "maxLength": 9}},
    }
    with OllamaServer() as server:
        value = json.loads(ask(server.url, "/api/chat", chat(PICTURE, format=schema))[2])
        cut = json.loads(ask(server.url, "/api/chat", chat(PICTURE, format=schema, options={"num_predict": 3}))[2])
    answer = json.loads(value["message"]["content"])
    assert list(answer) == ["tags", "description"]
    assert (len(answer["tags"]), len(answer["description"])) == (1, 9)
    assert (len(cut["message"]["content"]), cut["done_reason"]) == (12, "length")


def test_a_thinking_model_thinks_its_tokens_away_unless_told_not_to() -> None:
    with OllamaServer() as server:
        thought = json.loads(ask(server.url, "/api/chat", chat(PICTURE, "qwen3-vl:4b", options={"num_predict": 50}))[2])
        quiet = json.loads(ask(server.url, "/api/chat", chat(PICTURE, "qwen3-vl:4b", think=False))[2])
    assert (thought["message"]["content"], thought["done_reason"]) == ("", "length")
    assert thought["message"]["thinking"]
    assert quiet["message"]["content"]


def test_loading_other_options_loads_anew_and_a_client_that_leaves_aborts_it() -> None:
    with OllamaServer(load_seconds=0.4) as server:
        with (
            pytest.raises(OSError),
            urllib.request.urlopen(urllib.request.Request(f"{server.url}/api/generate", b'{"model": "gemma3:4b"}'), timeout=0.1),
        ):
            pass
        time.sleep(0.2)
        assert server.loaded() == []
        for context in (None, None, 8192):
            ask(server.url, "/api/generate", {"model": "gemma3:4b", "options": {"num_ctx": context}})
        assert [model.name for model in server.loaded()] == ["gemma3:4b"]
        assert len(server.loads) == 3  # the aborted one, the first, the one with another context
        status, _, text = ask(server.url, "/api/generate", {"model": "gemma3:4b", "keep_alive": 0})
        assert (status, json.loads(text)["done_reason"], server.loaded()) == (200, "unload", [])


def test_too_many_tokens_for_the_context() -> None:
    with OllamaServer() as server:
        status, _, text = ask(server.url, "/api/chat", chat(PICTURE, text="word " * 4000, options={"num_ctx": 2048}))
    inner = json.loads(json.loads(text)["error"])["error"]
    assert (status, inner["type"], inner["n_ctx"]) == (400, "exceed_context_size_error", 2048)


def test_openai_shape() -> None:
    content = [
        {"type": "text", "text": "Describe."},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + PICTURE}},
    ]
    body = {"model": "gemma3:4b", "messages": [{"role": "user", "content": content}]}
    with OllamaServer() as server:
        models = json.loads(ask(server.url, "/v1/models")[2])
        whole = json.loads(ask(server.url, "/v1/chat/completions", body)[2])
        stream = ask(server.url, "/v1/chat/completions", body | {"stream": True})[2]
        blind = ask(server.url, "/v1/chat/completions", body | {"model": "llama3"})
    assert "gemma3:4b" in [entry["id"] for entry in models["data"]]
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line]
    assert events[-1] == "[DONE]"
    pieces = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert blind[0] == 400
    assert json.loads(blind[2])["error"]["type"] == "api_error"


# It tells pictures apart


def test_unknown_pictures_are_described_by_what_they_are(tmp_path: Path) -> None:
    with OllamaServer() as server:
        names = set()
        for number in range(0, 20736, 691):
            image = numbered_picture(number)
            image.thumbnail((100, 100))
            text = json.loads(ask(server.url, "/api/chat", chat(encoded(image)))[2])["message"]["content"]
            names.add(text)
            assert server.calls[-1].picture == numbered_name(number)
    assert len(names) == len(range(0, 20736, 691))


@pytest.fixture
def captioned(tmp_path: Path) -> Path:
    """Three pictures, one of them turned by EXIF, with captions."""
    captions = {}
    for number in (100, 2000, 7):
        image = numbered_picture(number, (640, 480))
        exif = Image.Exif()
        if number == 7:
            image = image.transpose(Image.Transpose.ROTATE_90)  # stored lying, to be shown turned back
            exif[0x0112] = 6
        name = f"{number}.jpg"
        image.save(tmp_path / name, quality=90, exif=exif)
        captions[name] = {"en": f"Picture {number}.", "ru": f"Картинка {number}.", "tags_en": ["a"], "tags_ru": ["а"]}
    (tmp_path / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
    return tmp_path


def test_captioned_pictures_are_known_when_scaled_and_in_the_language_asked_for(captioned: Path) -> None:
    with OllamaServer(captioned) as server:
        for number in (100, 2000, 7):
            image = ImageOps.exif_transpose(Image.open(captioned / f"{number}.jpg"))
            image.thumbnail((200, 200))
            for text, expected in (
                ("Describe it in English.", f"Picture {number}."),
                ("Опиши по-русски.", f"Картинка {number}."),
                ("Describe. Write in Russian.", f"Картинка {number}."),
            ):
                got = json.loads(ask(server.url, "/api/chat", chat(encoded(image), text=text))[2])
                assert got["message"]["content"] == expected
        assert server.times_described() == {"100.jpg": 3, "2000.jpg": 3, "7.jpg": 3}


def test_a_picture_that_is_not_turned_upright_is_not_known(captioned: Path) -> None:
    lying = Image.open(captioned / "7.jpg")
    upright = ImageOps.exif_transpose(lying)
    captions = Captions(captioned)
    assert captions.nearest(lying) is None
    assert captions.nearest(upright) == "7.jpg"
    assert difference(thumbnail_of(lying), thumbnail_of(upright)) > 10


def test_a_picture_is_known_with_and_without_its_colour_profile(tmp_path: Path) -> None:
    stored = Image.linear_gradient("L").convert("RGB").rotate(30)
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))  # a profile that changes every colour
    picture = ImageCms.profileToProfile(stored, ImageCms.createProfile("sRGB"), swapped, outputMode="LAB")
    picture.save(tmp_path / "a.tif", icc_profile=swapped.tobytes())
    (tmp_path / "captions.json").write_text(json.dumps({"a.tif": {"en": "A gradient."}}))
    assert Captions(tmp_path).nearest(stored) == "a.tif"


# Time, faults, counting


def test_slots_and_latency() -> None:
    with OllamaServer(latency=0.2, slots=2) as server:
        threads = [threading.Thread(target=ask, args=(server.url, "/api/chat", chat(PICTURE))) for _ in range(4)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - started
    assert 0.4 <= seconds < 0.75


def test_faults_come_in_order_and_hooks_before_answers() -> None:
    seen = []
    with OllamaServer(faults=["503", "empty"], before_answer=lambda call: seen.append(call.fault)) as server:
        statuses = [ask(server.url, "/api/chat", chat(PICTURE))[0] for _ in range(3)]
        name = numbered_name(5000)
        assert statuses == [503, 200, 200]
        assert seen == ["503", "empty", "ok"]
        deadline = time.monotonic() + 5
        while not server.times_described() and time.monotonic() < deadline:
            time.sleep(0.02)  # the client has the answer a moment before the server has counted it
        assert (server.times_asked(), server.times_described()) == ({name: 3}, {name: 1})


def test_a_client_that_leaves_is_noticed() -> None:
    with OllamaServer(faults=["hang"]) as server:
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(f"{server.url}/api/chat", json.dumps(chat(PICTURE)).encode(), timeout=0.2)
        deadline = time.monotonic() + 2
        while not server.calls[0].client_left and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.calls[0].client_left


def test_dies_after_some_answers() -> None:
    with OllamaServer(die_after=2) as server:
        assert [ask(server.url, "/api/chat", chat(PICTURE))[0] for _ in range(2)] == [200, 200]
        time.sleep(0.2)
        with pytest.raises(urllib.error.URLError):
            ask(server.url, "/api/chat", chat(PICTURE))


def test_runs_as_a_program(captioned: Path) -> None:
    command = [sys.executable, str(ROOT / "tests" / "ollama_server.py"), "--port", "0", "--captions", str(captioned)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=captioned) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            url = line.split()[2].rstrip(",")
            assert "3 captioned pictures" in line
            assert ask(url, "/api/version")[0] == 200
        finally:
            process.terminate()
