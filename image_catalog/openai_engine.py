"""The engine `openai`: any server that speaks OpenAI's chat completions with pictures (vLLM, llama.cpp, LM Studio).

Knows /v1; neither retries nor judges an answer (vision_model does). Such a server does not say which of its models see:
that shows with the first picture.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from image_catalog import server_address, server_errors
from image_catalog.answer import BadAnswer, ModelText
from image_catalog.engine import ContextTooSmall, EngineOptions, HostTrouble, PictureRefused, Question, Say, TextCollector
from image_catalog.errors import CannotGoOn
from image_catalog.http_client import HttpClient, HttpStatus, HttpTrouble, Unreachable
from image_catalog.server_address import ServerAddress

DEFAULT_PORT = 8000  # vLLM's
MAX_STREAM_BYTES = 4 * 1024 * 1024  # an event is about 300 bytes a token
_SURVEY_SECONDS = 10.0
_PROBE_SECONDS = 1.5
_SERVER = "the OpenAI-compatible server"
# Names by which models that see are known, where several are offered and none was asked for.
_SEES_BY_NAME = re.compile(r"(?i)\bvl\b|-vl|vision|llava|gemma-?[34]|pixtral|internvl|minicpm-v|smolvlm|molmo")


class OpenAIHost:
    """One model on one server."""

    name = "openai"
    takes_schema = True

    def __init__(self, client: HttpClient, model: str, options: EngineOptions) -> None:
        self.url = client.address.url
        self.model = model
        self.model_digest = ""
        self._client = client
        self._options = options
        self._load_lock = threading.Lock()
        self._is_loaded = False

    def close(self) -> None:
        """End every call that is under way."""
        self._client.close()

    def is_reachable(self) -> bool:
        """Whether a connection can be made now; a server that is slow to answer is there."""
        try:
            self._client.get_json("/models", _PROBE_SECONDS)
        except Unreachable:
            return False
        except HttpStatus as status:
            return status.status not in (502, 503, 504)
        except HttpTrouble:
            return True
        return True

    def load(self) -> None:
        """One word of text: some servers load a model when it is first asked for, which may take minutes."""
        with self._load_lock:
            if self._is_loaded:
                return
            self._options.on_note(f"waiting for model {self.model} at {self.url}: loading it can take minutes the first time")
            body = {"model": self.model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
            try:
                self._client.post_json("/chat/completions", body, self._options.load_seconds)
            except HttpTrouble as trouble:
                raise self._meaning(trouble) from trouble
            self._is_loaded = True

    def ask(self, question: Question, jpeg: bytes, seconds: float, say: Say) -> ModelText:
        """See engine.Engine."""
        lines = self._client.post_for_lines("/chat/completions", self._body(question, jpeg), seconds, MAX_STREAM_BYTES)
        try:
            with contextlib.closing(lines):
                return self._read(lines, say)
        except HttpTrouble as trouble:
            raise self._meaning(trouble) from trouble

    def _body(self, question: Question, jpeg: bytes) -> dict[str, Any]:
        picture = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
        content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": question.prompt}]
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "stream": True,
            "max_tokens": question.max_tokens,
            "temperature": question.temperature,
            "seed": question.seed,
            "frequency_penalty": round(question.repeat_penalty - 1, 3),
        }
        if question.schema is not None:
            schema = {"name": "picture", "schema": question.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _read(self, lines: Iterator[bytes], say: Say) -> ModelText:
        """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), or one JSON object."""
        collector = TextCollector(say)
        finish, got_any = "unfinished", False
        for line in lines:
            data = line.removeprefix(b"data:").strip()
            if not data or line.startswith((b":", b"event:", b"id:", b"retry:")):
                continue
            if data == b"[DONE]":
                break
            value = _object(data)
            got_any = True
            if value.get("error"):
                raise self._error_in_stream(value)
            finish = self._take(value, collector) or finish
        if not got_any:
            raise HostTrouble("the answer has no content")
        if finish == "content_filter":
            raise BadAnswer("refused", "the server filtered the answer out")
        return collector.model_text(finish)

    def _take(self, value: dict[str, Any], collector: TextCollector) -> str | None:
        """Add what one event says; returns its finish_reason."""
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return None
        message = choice.get("delta") or choice.get("message")
        if isinstance(message, dict):
            collector.add_thought(message.get("reasoning_content") or message.get("reasoning"))
            collector.add(message.get("content"))
        reason = choice.get("finish_reason")
        return reason if isinstance(reason, str) else None

    def _error_in_stream(self, value: dict[str, Any]) -> Exception:
        message = server_errors.error_message(value)
        told = server_errors.text_meaning(message, json.dumps(value), self.model, self.url)
        return self._without_context(told or HostTrouble(message))

    def _meaning(self, trouble: HttpTrouble) -> Exception:
        return self._without_context(server_errors.meaning(trouble, self.url, self.model))

    def _without_context(self, error: Exception) -> Exception:
        """The context's size is the server's own setting."""
        if isinstance(error, ContextTooSmall):
            return PictureRefused("too large", f"picture and prompt do not fit the model's context ({error.reason})")
        return error


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        start = " ".join(data[:60].decode("utf-8", "replace").split())
        raise HostTrouble(f"the answer is not that of chat completions (it begins with {start!r})")
    return value


def addresses(hosts: Sequence[str]) -> list[ServerAddress]:
    """The API's base addresses: `/v1` is added where no path is given. Without hosts: OPENAI_BASE_URL, else this machine."""
    written = list(hosts) or [os.environ.get("OPENAI_BASE_URL") or f"http://127.0.0.1:{DEFAULT_PORT}"]
    parsed = [server_address.parse(host, DEFAULT_PORT) for host in written]
    return list(dict.fromkeys(address if address.path else replace(address, path="/v1") for address in parsed))


def connect(
    places: Sequence[ServerAddress],
    model: str | None,
    options: EngineOptions,
) -> list[OpenAIHost]:
    """The hosts that are there and have the model; the others are left out with a warning. Raises CannotGoOn."""
    hosts: list[OpenAIHost] = []
    errors: list[CannotGoOn] = []
    for place in places:
        client = HttpClient(place, options.key)
        try:
            name = _chosen(_offered(client), model, place.url)
        except CannotGoOn as error:
            errors.append(error)
            continue
        model = name  # the same on all hosts
        hosts.append(OpenAIHost(client, name, options))
    if not hosts:
        raise errors[0]
    for left_out in errors:
        options.on_warning(f"{left_out}; going on without it")
    return hosts


def _offered(client: HttpClient) -> list[str] | None:
    """The names of the models there; None when the server has no list."""
    try:
        listed = client.get_json("/models", _SURVEY_SECONDS)
    except HttpStatus as status:
        if status.status in (404, 405, 501):
            return None
        raise server_errors.preflight_error(status, client.address.url, _SERVER, "start it") from status
    except HttpTrouble as trouble:
        raise server_errors.preflight_error(trouble, client.address.url, _SERVER, "start it") from trouble
    entries = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(entries, list):
        raise CannotGoOn(client.address.url, "does not answer as an OpenAI-compatible server does", "check --host")
    return [str(entry["id"])[:200] for entry in entries if isinstance(entry, dict) and entry.get("id")]


def _chosen(offered: list[str] | None, wanted: str | None, url: str) -> str:
    if wanted is not None and (offered is None or wanted in offered):
        return wanted
    names = ", ".join((offered or [])[:5])
    if wanted is not None:
        remedy = f"it has: {names}" if names else "start the server with it"
        raise CannotGoOn(f"model {wanted} is not there", f"{url} does not have it", remedy)
    seeing = [name for name in offered or [] if _SEES_BY_NAME.search(name)]
    if seeing:
        return seeing[0]
    if offered and len(offered) == 1:
        return offered[0]
    raise CannotGoOn(url, "it cannot be told which of its models sees pictures", f"name one with --model; it has: {names}")
