"""The engine `ollama`: finds the servers and the model, loads it, and puts one question about one picture to it.

Knows Ollama's /api; neither retries nor judges an answer (vision_model does).
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from image_catalog import ollama_models, server_errors
from image_catalog.answer import ModelText
from image_catalog.engine import (
    ContextTooSmall,
    EngineOptions,
    HostTrouble,
    HostUnavailable,
    LoadAgain,
    PictureRefused,
    Question,
    Say,
    TextCollector,
)
from image_catalog.errors import CannotGoOn
from image_catalog.http_client import HttpClient, HttpStatus, HttpTrouble, Unreachable
from image_catalog.ollama_models import InstalledModel, Survey
from image_catalog.server_address import ServerAddress

# A stream spends about 150 bytes on each token; a thousand tokens are more than any description has.
MAX_STREAM_BYTES = 2 * 1024 * 1024
MAX_CONTEXT_TOKENS = 16384
KEEP_ALIVE = "30m"
_PROBE_SECONDS = 1.5


class OllamaHost:
    """One model on one Ollama server."""

    name = "ollama"
    takes_schema = True

    def __init__(
        self,
        client: HttpClient,
        model: InstalledModel,
        capabilities: frozenset[str] | None,
        options: EngineOptions,
    ) -> None:
        self.url = client.address.url
        self.model = model.name
        self.model_digest = model.digest
        self._client = client
        self._thinks = "thinking" in (capabilities or ())
        # qwen models turn a picture of 1,024 pixels into about 1,000 tokens, the others into 256 to 730.
        self._context_tokens = 8192 if model.family.startswith("qwen") else 4096
        self._options = options
        self._load_lock = threading.Lock()
        self._is_loaded = False

    @property
    def options(self) -> dict[str, int]:
        """The runner's options: the same in every request, since Ollama loads the model anew when one changes."""
        return {"num_ctx": self._context_tokens}

    def close(self) -> None:
        """End every call that is under way."""
        self._client.close()

    def is_reachable(self) -> bool:
        """Whether a connection can be made now; a server that is slow to answer is there."""
        try:
            self._client.get_json("/api/version", _PROBE_SECONDS)
        except Unreachable:
            return False
        except HttpStatus as status:
            return status.status not in (502, 503, 504)  # a proxy whose server is gone
        except HttpTrouble:
            return True
        return True

    def load(self) -> None:
        """Have the model in memory: a request that gives up while it loads would abort the load, again and again."""
        with self._load_lock:
            if self._is_loaded:
                return
            if not self._is_in_memory():
                self._options.on_note(f"loading model {self.model} at {self.url}: this can take minutes the first time")
            # An empty prompt only loads (Ollama's API documentation, "Load a model").
            body = {"model": self.model, "keep_alive": KEEP_ALIVE, "stream": False, "options": self.options}
            try:
                self._client.post_json("/api/generate", body, self._options.load_seconds)
            except HttpStatus as status:
                if status.status not in (404, 405, 501) or "model" in status.text:
                    raise self._meaning(status) from status
                # A server that only speaks /api/chat loads the model by itself.
            except HttpTrouble as trouble:
                raise self._meaning(trouble) from trouble
            self._is_loaded = True

    def _is_in_memory(self) -> bool:
        with contextlib.suppress(HttpTrouble):
            running = self._client.get_json("/api/ps", _PROBE_SECONDS)
            if isinstance(running, dict) and isinstance(running.get("models"), list):
                return any(isinstance(entry, dict) and entry.get("name") == self.model for entry in running["models"])
        return False

    def ask(self, question: Question, jpeg: bytes, seconds: float, say: Say) -> ModelText:
        """See engine.Engine."""
        lines = self._client.post_for_lines("/api/chat", self._chat_body(question, jpeg), seconds, MAX_STREAM_BYTES)
        try:
            with contextlib.closing(lines):  # hanging up stops the model at once
                return self._read(lines, say)
        except HttpTrouble as trouble:
            error = self._meaning(trouble)
            if isinstance(error, ContextTooSmall):
                raise self._grow_context(error) from trouble
            self._is_loaded = False  # it may have died or been unloaded: the next picture waits for it without a deadline
            raise error from trouble

    def _chat_body(self, question: Question, jpeg: bytes) -> dict[str, Any]:
        message = {"role": "user", "content": question.prompt, "images": [base64.b64encode(jpeg).decode("ascii")]}
        options = self.options | {
            "num_predict": question.max_tokens,
            "temperature": question.temperature,
            "seed": question.seed,
            "repeat_penalty": question.repeat_penalty,
        }
        body = {"model": self.model, "messages": [message], "stream": True, "options": options, "keep_alive": KEEP_ALIVE}
        if question.schema is not None:
            body["format"] = question.schema
        if self._thinks:
            body["think"] = False
        return body

    def _read(self, lines: Iterator[bytes], say: Say) -> ModelText:
        collector = TextCollector(say)
        got_any = False
        for line in lines:
            if not line.strip():
                continue
            value = _object(line)
            got_any = True
            if value.get("error"):
                raise self._error_in_stream(value)
            message = value.get("message")
            source = message if isinstance(message, dict) else value
            collector.add_thought(source.get("thinking"))
            collector.add(source.get("content", source.get("response")))
            if value.get("done") is True:
                reason = value.get("done_reason")
                return collector.model_text(reason if isinstance(reason, str) else "stop")
        if not got_any:
            raise HostTrouble("the answer has no content")
        # Status 200 and no `done`: the runner stops so after too many equal tokens.
        return collector.model_text("unfinished")

    def _error_in_stream(self, value: dict[str, Any]) -> Exception:
        body = json.dumps(value)
        message = server_errors.error_message(value)
        return server_errors.text_meaning(message, body, self.model, self.url) or HostTrouble(message)

    def _meaning(self, trouble: HttpTrouble) -> Exception:
        return server_errors.meaning(trouble, self.url, self.model)

    def _grow_context(self, error: ContextTooSmall) -> Exception:
        """A larger context for all that follows: a change back would load the model anew each time."""
        with self._load_lock:
            wanted = max(2 * self._context_tokens, error.needed or 0)
            if self._context_tokens >= MAX_CONTEXT_TOKENS:
                return PictureRefused("too large", f"picture and prompt do not fit the model's context ({error.reason})")
            self._context_tokens = min(wanted, MAX_CONTEXT_TOKENS)
            self._is_loaded = False
        return LoadAgain()


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        start = " ".join(line[:60].decode("utf-8", "replace").split())
        raise HostTrouble(f"the answer is not Ollama's (it begins with {start!r})")
    return value


def connect(
    addresses: Sequence[ServerAddress],
    model: str | None,
    language: str,
    options: EngineOptions,
) -> list[OllamaHost]:
    """The hosts that are there and have a model that sees; the others are left out with a warning.

    `model` None takes the best one installed. Raises CannotGoOn when no host is left, HostUnavailable when none answers.
    """
    clients = [HttpClient(address, options.key) for address in addresses]
    surveys, errors = _survey_all(clients)
    name = model or _best(surveys)
    hosts = []
    for client, survey in surveys:
        try:
            hosts.append(_host(client, survey, name, options))
        except CannotGoOn as error:
            errors.append(error)
    if not hosts:
        raise next((error for error in errors if not isinstance(error, HostUnavailable)), errors[0])
    for left_out in errors:
        options.on_warning(f"{left_out}; going on without it")
    if language.partition("-")[0] != "en" and ollama_models.ENGLISH_ONLY.match(hosts[0].model):
        options.on_warning(f"model {hosts[0].model} answers in English only, descriptions in {language} will mostly fail")
    return hosts


def _survey_all(clients: Sequence[HttpClient]) -> tuple[list[tuple[HttpClient, Survey]], list[CannotGoOn]]:
    surveys: list[tuple[HttpClient, Survey]] = []
    errors: list[CannotGoOn] = []
    for client in clients:
        try:
            surveys.append((client, ollama_models.survey(client)))
        except CannotGoOn as error:
            errors.append(error)
    if not surveys:
        raise errors[0]
    return surveys, errors


def _best(surveys: list[tuple[HttpClient, Survey]]) -> str:
    """The best model that sees, of those that most hosts have."""
    seeing = {client: ollama_models.seeing_models(client, survey.models) for client, survey in surveys}
    candidates = [model for models in seeing.values() for model in models]
    if not candidates:
        client, survey = surveys[0]
        raise ollama_models.none_sees(survey.models, client.address.url)

    def worth(model: InstalledModel) -> tuple[int, tuple[int, int]]:
        hosts = sum(any(other.name == model.name for other in models) for models in seeing.values())
        return (-hosts, ollama_models.rank(model))

    return min(candidates, key=worth).name


def _host(client: HttpClient, survey: Survey, name: str, options: EngineOptions) -> OllamaHost:
    found = survey.find(name)
    if found is None:
        raise ollama_models.not_there(name, ollama_models.seeing_models(client, survey.models), client.address.url)
    capabilities = ollama_models.capabilities_of(client, found)
    if capabilities is None:
        server = f"Ollama {survey.version}".rstrip() + f" at {client.address.url}"
        options.on_warning(f"{server} does not say whether {found.name} can see pictures; trying it")
    elif "vision" not in capabilities:
        raise ollama_models.is_blind(found.name, ollama_models.seeing_models(client, survey.models))
    return OllamaHost(client, found, capabilities, options)
