"""One picture -> its description, against a real HTTP server with Ollama's manners and faults."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from ollama_models import GEMMA3
from ollama_pictures import numbered_name
from ollama_server import OllamaServer
from vision_pictures import ENGINES, connect, expected, jpeg

from image_catalog.engine import HostUnavailable
from image_catalog.errors import CannotGoOn, ImageError
from image_catalog.vision_model import PASSING_KINDS, Listener

# A good answer


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("language", ["en", "ru"])
def test_describes_the_very_picture_in_the_language_asked_for(engine: str, language: str) -> None:
    with OllamaServer() as server, connect(server, engine=engine, language=language) as model:
        description = model.describe(jpeg(1234), "a.jpg")
    assert description.description == expected(1234, language)
    assert len(description.tags) >= 2
    provenance = (description.engine, description.model, description.prompt_version, description.language)
    assert provenance == (engine, "gemma3:4b", model.prompt_version, language)
    assert 0 < description.seconds < 10
    assert description.model_digest == (GEMMA3.digest if engine == "ollama" else "")


def test_what_is_sent() -> None:
    with OllamaServer() as server, connect(server) as model:
        model.describe(jpeg(1), "a.jpg", context="folder: Sochi 2015 [img-0] -----\nplace: Sochi")
    call = server.calls[0]
    assert call.body["stream"] is True
    assert call.body["format"]["required"] == ["description", "tags", "visible_text"]
    assert 0 < call.body["options"]["num_predict"] <= 1600
    assert call.body["options"]["num_ctx"] == 4096
    assert call.body["keep_alive"] == "30m"
    assert "think" not in call.body
    assert "folder: Sochi 2015 (img-0] -- place: Sochi\n-----" in call.prompt
    assert "[img" not in call.prompt
    assert "English" in call.prompt
    assert call.picture_bytes == len(jpeg(1))
    assert "Authorization" not in call.headers


def test_a_thinking_model_is_told_not_to_and_qwen_gets_a_larger_context() -> None:
    with OllamaServer() as server, connect(server, model="qwen3-vl:4b") as model:
        assert model.describe(jpeg(3), "a.jpg").description == expected(3)
    assert server.calls[0].body["think"] is False
    assert server.calls[0].body["options"]["num_ctx"] == 8192


def test_runner_options_stay_the_same_so_that_the_model_is_loaded_once() -> None:
    with OllamaServer(faults=["ok", "empty", "ok", "loop", "ok", "length", "ok"]) as server, connect(server) as model:
        for number in range(5):
            model.describe(jpeg(number), "a.jpg")
    assert server.loads == [("gemma3:4b", {"num_ctx": 4096, "num_batch": None, "num_thread": None, "num_gpu": None})]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_slow_load_is_waited_for_however_short_the_timeout(engine: str) -> None:
    notes: list[str] = []
    with (
        OllamaServer(load_seconds=1.2) as server,
        connect(server, engine=engine, timeout=0.5, on_note=notes.append) as model,
    ):
        assert model.describe(jpeg(1), "a.jpg").description == expected(1)
        model.describe(jpeg(2), "b.jpg")
    assert len(server.loads) == 1
    assert [note for note in notes if "loading" in note and "gemma3:4b" in note] == notes
    assert len(notes) == 1


def test_a_loaded_model_is_not_announced() -> None:
    notes: list[str] = []
    with OllamaServer() as server:
        with connect(server) as model:
            model.describe(jpeg(1), "a.jpg")
        with connect(server, on_note=notes.append) as model:
            model.describe(jpeg(1), "a.jpg")
    assert notes == []


@pytest.mark.parametrize("engine", ENGINES)
def test_text_is_heard_as_it_comes(engine: str) -> None:
    pieces: list[str] = []
    with OllamaServer() as server, connect(server, engine=engine) as model:
        model.describe(jpeg(9), "a.jpg", listener=Listener(on_text=pieces.append))
    assert len(pieces) > 10
    assert expected(9) in "".join(pieces)


def test_a_prompt_of_ones_own() -> None:
    with OllamaServer() as server, connect(server, prompt="Only the animals.", language="de") as model:
        model.describe(jpeg(1), "a.jpg")
        assert model.prompt_version.startswith("custom-")
        assert "Only the animals." in server.calls[0].prompt
        assert "German" in server.calls[0].prompt
    with OllamaServer() as server, connect(server, prompt="Only the cars.") as other:
        assert other.prompt_version != model.prompt_version
    with OllamaServer() as server, connect(server) as built_in:
        assert built_in.prompt_version == "1"


# Wrong answers: each fault of the server, for ever and once

FAILS = {
    "hang": "timeout",
    "drip": "timeout",
    "drip_tokens": "timeout",
    "500": "server error",
    "500_crash": "server error",
    "502": "server error",
    "503": "server error",
    "429": "server error",
    "half": "server error",
    "reset": "server error",
    "garbage": "server error",
    "html": "server error",
    "list": "server error",
    "empty_body": "server error",
    "error_in_200": "server error",
    "runner_died": "server error",
    "empty": "empty",
    "null": "empty",
    "number": "empty",
    "missing": "empty",
    "thinking_only": "empty",
    "done_false": "cut",
    "length": "cut",
    "bad_json": "bad answer",
    "huge": "too long",
    "endless": "too long",
    "loop": "repetitive",
    "refusal": "refused",
    "wrong_language": "wrong language",
    "undecodable": "undecodable",
}
NEVER_TRIED_AGAIN = {"hang", "drip", "drip_tokens", "undecodable"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("fault", "kind"), FAILS.items())
def test_a_fault_that_stays_fails_this_picture_only(engine: str, fault: str, kind: str) -> None:
    with (
        OllamaServer(fault_for=lambda call: fault if call.picture == numbered_name(5) else "ok") as server,
        connect(server, engine=engine, timeout=0.5 if kind == "timeout" else 20.0) as model,
    ):
        started = time.monotonic()
        with pytest.raises(ImageError) as caught:
            model.describe(jpeg(5), "holiday/a.jpg")
        assert kind != "timeout" or time.monotonic() - started < 2.5
        assert (caught.value.subject, caught.value.kind) == ("holiday/a.jpg", kind)
        assert caught.value.reason
        assert model.describe(jpeg(6), "b.jpg").description == expected(6)
    tries = server.times_asked()[numbered_name(5)]
    assert tries == (1 if fault in NEVER_TRIED_AGAIN else 3 if kind == "server error" else 2)
    assert (kind in PASSING_KINDS) is (kind in ("timeout", "server error"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", [fault for fault in FAILS if fault not in NEVER_TRIED_AGAIN])
def test_a_fault_that_passes_costs_one_more_request(engine: str, fault: str) -> None:
    restarts: list[str] = []
    with OllamaServer(faults=[fault]) as server, connect(server, engine=engine) as model:
        description = model.describe(jpeg(5), "a.jpg", listener=Listener(on_restart=restarts.append))
    assert description.description == expected(5)
    assert server.times_asked() == {numbered_name(5): 2}
    assert len(restarts) == 1


@pytest.mark.parametrize("fault", ["empty", "bad_json", "refusal", "loop", "wrong_language", "done_false"])
def test_the_second_question_is_simpler(fault: str) -> None:
    with OllamaServer(faults=[fault]) as server, connect(server, language="ru") as model:
        description = model.describe(jpeg(5), "a.jpg", context="Сочи")
    first, second = server.calls
    assert description.description == expected(5, "ru")
    assert ("format" in first.body, "format" in second.body) == (True, False)
    assert ("Сочи" in first.prompt, "Сочи" in second.prompt) == (True, False)
    assert first.body["options"]["seed"] != second.body["options"]["seed"]


def test_a_cut_answer_gets_more_room() -> None:
    with OllamaServer(faults=["length"]) as server, connect(server) as model:
        model.describe(jpeg(5), "a.jpg")
    first, second = (call.body["options"]["num_predict"] for call in server.calls)
    assert second == 2 * first


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", ["fenced", "prose"])
def test_other_shapes_of_a_good_answer_count(engine: str, fault: str) -> None:
    with OllamaServer(faults=[fault]) as server, connect(server, engine=engine) as model:
        assert model.describe(jpeg(5), "a.jpg").description == expected(5)
    assert len(server.calls) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_dirty_answer_is_stored_clean(engine: str) -> None:
    with OllamaServer(faults=["esc"]) as server, connect(server, engine=engine) as model:
        description = model.describe(jpeg(5), "a.jpg")
    text = "\n".join((description.description, description.visible_text, *description.tags))
    text.encode("utf-8")
    assert not [char for char in text if ord(char) < 0x20 and char != "\n"]
    assert not set("\u202e\u202c\x7f\x9b") & set(text)
    assert description.description.endswith(expected(5))
    assert "<b>html</b> \U0001f642" in description.description


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("blind", "cannot see pictures"),
        ("model_gone", "gemma3:4b is not there"),
        ("403", "refuses to answer"),
        ("redirect", "redirects to"),
    ],
)
def test_what_will_not_pass_ends_the_run(fault: str, words: str) -> None:
    with OllamaServer(faults=[fault]) as server, connect(server) as model:
        for _ in range(2):  # the second picture is not even sent
            with pytest.raises(CannotGoOn, match=words):
                model.describe(jpeg(5), "a.jpg")
    assert len(server.calls) == 1


def test_a_redirect_carries_no_picture_away() -> None:
    with OllamaServer() as other, OllamaServer(faults=["redirect"], redirect_to=other.url) as server:
        with connect(server) as model, pytest.raises(CannotGoOn, match="nothing was sent there"):
            model.describe(jpeg(5), "a.jpg")
        assert other.requests == []


def test_a_picture_that_needs_more_context_gets_it_once_for_all() -> None:
    with (
        OllamaServer(fault_for=lambda call: "context" if call.picture == numbered_name(5) else "ok") as server,
        connect(server) as model,
    ):
        assert model.describe(jpeg(5), "a.jpg").description == expected(5)
        model.describe(jpeg(6), "b.jpg")
        contexts = [options["num_ctx"] for _, options in server.loads]
    assert contexts == [4096, 12000, 16384]
    assert server.calls[-1].body["options"]["num_ctx"] == 16384


def test_a_server_that_says_when_to_come_back_is_believed() -> None:
    """Retry-After is longer than our own wait."""
    with OllamaServer(faults=["503_later"]) as server, connect(server) as model:
        started = time.monotonic()
        model.describe(jpeg(5), "a.jpg")
        assert time.monotonic() - started >= 1.0


# Deadlines


@pytest.mark.parametrize("fault", ["hang", "drip", "drip_tokens"])
def test_several_timeouts_in_a_row_stop_the_run(fault: str) -> None:
    with OllamaServer(fault_for=lambda call: fault) as server, connect(server, timeout=0.3) as model:
        for number in range(2):
            with pytest.raises(ImageError, match=r"no description within 0\.3 s"):
                model.describe(jpeg(number), "a.jpg")
        with pytest.raises(HostUnavailable, match="several times in a row"):
            model.describe(jpeg(2), "a.jpg")
        started = time.monotonic()
        with pytest.raises(HostUnavailable):
            model.describe(jpeg(3), "a.jpg")
        assert time.monotonic() - started < 0.1
    assert len(server.calls) == 3


def test_retries_and_their_waits_stay_within_the_deadline() -> None:
    with (
        OllamaServer(latency=0.3, fault_for=lambda call: "503") as server,
        connect(server, timeout=0.8, retry_waits=(0.2,) * 50) as model,
    ):
        started = time.monotonic()
        with pytest.raises(ImageError) as caught:
            model.describe(jpeg(5), "a.jpg")
    assert time.monotonic() - started < 1.2
    assert caught.value.kind in PASSING_KINDS


def test_a_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    with OllamaServer(fault_for=lambda call: "503") as server, connect(server, timeout=1.0, retry_waits=(9.0,)) as model:
        started = time.monotonic()
        with pytest.raises(ImageError, match="server busy"):
            model.describe(jpeg(5), "a.jpg")
    assert time.monotonic() - started < 0.8


@pytest.mark.parametrize("fault", ["hang", "500"])
def test_failures_between_good_answers_do_not_stop_the_run(fault: str) -> None:
    odd = {numbered_name(number) for number in range(1, 12, 2)}
    with (
        OllamaServer(fault_for=lambda call: fault if call.picture in odd else "ok") as server,
        connect(server, timeout=0.2) as model,
    ):
        for number in range(12):
            if number % 2:
                with pytest.raises(ImageError):
                    model.describe(jpeg(number), "a.jpg")
            else:
                assert model.describe(jpeg(number), "a.jpg").description == expected(number)


def test_a_loop_is_noticed_early() -> None:
    with OllamaServer(fault_for=lambda call: "loop_on") as server, connect(server) as model:
        heard: list[str] = []
        with pytest.raises(ImageError) as caught:
            model.describe(jpeg(5), "a.jpg", listener=Listener(on_text=heard.append))
    assert caught.value.kind == "repetitive"
    assert sum(map(len, heard)) < 4000  # of two answers


def test_a_server_without_end_of_trouble_stops_the_run() -> None:
    with OllamaServer(fault_for=lambda call: "500") as server, connect(server) as model:
        outcomes = []
        for number in range(6):
            with pytest.raises((ImageError, HostUnavailable)) as caught:
                model.describe(jpeg(number), "a.jpg")
            outcomes.append(type(caught.value))
    assert outcomes == [ImageError] * 4 + [HostUnavailable] * 2


def test_bad_pictures_in_a_row_do_not_stop_the_run() -> None:
    with OllamaServer(fault_for=lambda call: "undecodable") as server, connect(server) as model:
        for number in range(8):
            with pytest.raises(ImageError):
                model.describe(jpeg(number), "a.jpg")
    assert len(server.calls) == 8


def test_bytes_on_the_wire_are_the_jpeg_and_little_more() -> None:
    sent: list[int] = []
    note: Callable[[Any], None] = lambda call: sent.append(int(call.headers["Content-Length"]))  # noqa: E731
    picture = jpeg(77)
    with OllamaServer(before_answer=note) as server, connect(server) as model:
        model.describe(picture, "a.jpg")
    assert sent[0] - len(base64.b64encode(picture)) < 4000
