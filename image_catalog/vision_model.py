"""One picture -> its description, by a vision model that a server (or this process) runs.

The one interface to all engines. Owns patience and trust: retries, deadlines, which server gets what, and whether an answer
counts. Knows nothing of files, the catalog or the terminal.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from image_catalog import answer as answers
from image_catalog import prompt as prompts
from image_catalog import server_address
from image_catalog.answer import BadAnswer, ModelText
from image_catalog.engine import (
    Engine,
    EngineOptions,
    HostTrouble,
    HostUnavailable,
    LoadAgain,
    ModelClosed,
    PictureRefused,
    Question,
    TimeRanOut,
)
from image_catalog.errors import CannotGoOn, ImageError, UsageError
from image_catalog.host_pool import REST_SECONDS, Host, HostPool
from image_catalog.prompt import language_from_locale, language_tag
from image_catalog.server_address import ServerAddress

__all__ = ["ENGINES", "PASSING_KINDS", "Description", "HostUnavailable", "VisionModel", "connect", "language_from_locale"]

ENGINES = ("ollama", "openai", "local")
DEFAULT_TIMEOUT = 300.0  # seconds; a picture takes minutes on a processor without a GPU
# ImageError kinds that are no fault of the picture and may pass by themselves.
PASSING_KINDS = frozenset({"timeout", "server error"})

_RETRY_WAITS = (0.5, 1.5)  # seconds, each ± a quarter so that many clients do not come back at once
_LONGEST_WAIT = 30.0  # seconds that a Retry-After may ask for
_MAX_TOKENS = 800
_LONGEST_LOAD = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Description:
    """What a model says of a picture, and how that was made. `seconds` is what the request took, waiting included."""

    description: str
    tags: list[str]
    visible_text: str
    engine: str
    model: str
    model_digest: str
    prompt_version: str
    language: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears what goes on while one picture is described: each piece of text, and that all is begun anew."""

    on_text: Callable[[str], None] = lambda text: None
    on_restart: Callable[[str], None] = lambda reason: None


class _HostLost(Exception):
    """A host has failed for good as far as this picture goes; `error` is what to tell when no other is left."""

    def __init__(self, error: CannotGoOn) -> None:
        super().__init__(error)
        self.error = error


class VisionModel:
    """A model on one or several servers. describe() is safe to call from several threads; close() ends all calls.

    `slots` is how many calls can be under way at once, over all servers; more threads than that only wait.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        language: str,
        prompt: str | None,
        timeout: float,
        workers: int,
        on_warning: Callable[[str], None],
        retry_waits: Sequence[float] = _RETRY_WAITS,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self.engine = engines[0].name
        self.model = engines[0].model
        self.model_digest = engines[0].model_digest
        self.hosts = [engine.url for engine in engines]
        self.language = language
        self.prompt_version = prompts.version_of(prompt)
        self.workers = workers
        self.slots = len(engines) * workers
        self._prompt = prompt
        self._timeout = timeout
        self._retry_waits = tuple(retry_waits)
        self._pool = HostPool(engines, workers, on_warning, rest_seconds)
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every describe() in any thread within a second; it raises ModelClosed there."""
        self._closing.set()
        self._pool.close()

    def describe(self, jpeg: bytes, subject: str, context: str = "", listener: Listener | None = None) -> Description:
        """Describe one upright RGB JPEG. `subject` names it in errors, `context` is what is known of it besides.

        Raises ImageError (kind: timeout, server error, undecodable, too large, refused, empty, cut, repetitive, too long,
        wrong language, bad answer) when this picture got no description; HostUnavailable when no server answers any more;
        CannotGoOn when the model is gone or blind.
        """
        listener = listener or Listener()
        while True:
            host = self._pool.acquire()
            try:
                return self._describe_at(host, jpeg, subject, context, listener)
            except _HostLost as lost:
                self._pool.leave_out(host, lost.error)
            finally:
                self._pool.release(host)

    # One picture at one host

    def _describe_at(self, host: Host, jpeg: bytes, subject: str, context: str, listener: Listener) -> Description:
        try:
            return self._describe_within_deadline(host, jpeg, context, listener)
        except TimeRanOut:
            raise self._no_answer_in_time(host, subject) from None
        except HostTrouble as trouble:
            raise self._server_error(host, subject, trouble) from None
        except PictureRefused as refused:
            self._pool.answered(host)
            raise ImageError(subject, refused.reason, kind=refused.kind) from None
        except BadAnswer as bad:
            raise ImageError(subject, bad.reason, _remedy(bad.kind), kind=bad.kind) from None
        except (ModelClosed, _HostLost):
            raise
        except CannotGoOn as error:
            raise _HostLost(error) from None

    def _describe_within_deadline(self, host: Host, jpeg: bytes, context: str, listener: Listener) -> Description:
        for _ in range(3):  # a context that was too small may grow twice
            self._load(host)
            started = time.monotonic()
            try:
                good = self._answer(host, jpeg, context, started + self._timeout, listener)
            except LoadAgain:
                continue
            return self._description(host.engine, good, time.monotonic() - started)
        raise PictureRefused("too large", "picture and prompt do not fit the model's context")

    def _description(self, engine: Engine, good: answers.Answer, seconds: float) -> Description:
        return Description(
            description=good.description,
            tags=good.tags,
            visible_text=good.visible_text,
            engine=engine.name,
            model=engine.model,
            model_digest=engine.model_digest,
            prompt_version=self.prompt_version,
            language=self.language,
            seconds=round(seconds, 3),
        )

    def _answer(self, host: Host, jpeg: bytes, context: str, deadline: float, listener: Listener) -> answers.Answer:
        """A good answer, to the first question or to a simpler one."""
        first = self._first_question(host.engine, context)
        try:
            return answers.judge(self._ask(host, first, jpeg, deadline, listener), self.language)
        except BadAnswer as bad:
            listener.on_restart(bad.reason)
            max_tokens = 2 * _MAX_TOKENS if bad.kind == "cut" else _MAX_TOKENS
        # Plain text, without the context in case that confused it, and another throw of the dice.
        simpler = Question(prompts.simpler_question(self.language, "", self._prompt), None, max_tokens, 0.4, 2, 1.2)
        return answers.judge(self._ask(host, simpler, jpeg, deadline, listener), self.language)

    def _first_question(self, engine: Engine, context: str) -> Question:
        if engine.takes_schema:
            text = prompts.first_question(self.language, context, self._prompt)
            return Question(text, prompts.SCHEMA, _MAX_TOKENS, 0.1, 1, 1.1)
        text = prompts.simpler_question(self.language, context, self._prompt)
        return Question(text, None, _MAX_TOKENS, 0.1, 1, 1.1)

    def _ask(self, host: Host, question: Question, jpeg: bytes, deadline: float, listener: Listener) -> ModelText:
        """The model's text, with patience for a server that stumbles."""
        for wait in (*self._retry_waits, None):
            try:
                said = host.engine.ask(question, jpeg, max(0.1, deadline - time.monotonic()), listener.on_text)
            except HostTrouble as trouble:
                self._wait_or_raise(host, trouble, wait, deadline)
                listener.on_restart(trouble.reason)
            except BadAnswer:
                self._pool.answered(host)
                raise
            else:
                self._pool.answered(host)
                return said
        raise AssertionError("the last wait is None, which raises")

    def _load(self, host: Host) -> None:
        """Have the model loaded; this is not counted against the picture's deadline."""
        for wait in (*self._retry_waits, None):
            try:
                host.engine.load()
                return
            except TimeRanOut as error:
                reason = f"the model was not loaded in time ({error})"
                raise _HostLost(HostUnavailable(host.engine.url, reason, "look at the server, or use a smaller model")) from None
            except HostTrouble as trouble:
                try:
                    self._wait_or_raise(host, trouble, wait, None)
                except HostTrouble:
                    raise _HostLost(self._cannot_load(host, trouble)) from None

    def _cannot_load(self, host: Host, trouble: HostTrouble) -> CannotGoOn:
        if not host.engine.is_reachable():
            return _gone(host, trouble.reason)
        return CannotGoOn(
            f"model {host.engine.model} cannot be loaded",
            f"{host.engine.url}: {trouble.reason}",
            "try a smaller one with --model",
        )

    def _wait_or_raise(self, host: Host, trouble: HostTrouble, wait: float | None, deadline: float | None) -> None:
        """Wait before the next try; raise `trouble` when there is to be none."""
        if wait is None or (trouble.is_down and self._pool.others_work(host)):
            raise trouble
        wait = max(wait * random.uniform(0.75, 1.25), min(trouble.retry_after or 0.0, _LONGEST_WAIT))  # noqa: S311
        if deadline is not None and time.monotonic() + wait >= deadline:
            raise trouble
        if self._closing.wait(wait):
            raise ModelClosed(host.engine.url, "the request was ended")

    # What a failure means

    def _no_answer_in_time(self, host: Host, subject: str) -> Exception:
        if not host.engine.is_reachable():
            return _HostLost(_gone(host, "it cannot be reached any more"))
        if self._pool.failed(host, timed_out=True):
            reason = f"no answer within {self._timeout:g} s, several times in a row"
            return _HostLost(HostUnavailable(host.engine.url, reason, "look at the server, or give it longer with --timeout"))
        return ImageError(subject, f"no description within {self._timeout:g} s", "give it longer with --timeout", kind="timeout")

    def _server_error(self, host: Host, subject: str, trouble: HostTrouble) -> Exception:
        if trouble.is_down or not host.engine.is_reachable():
            return _HostLost(_gone(host, trouble.reason))
        if self._pool.failed(host, timed_out=False):
            reason = f"failed several times in a row ({trouble.reason})"
            return _HostLost(HostUnavailable(host.engine.url, reason, "look at the server's log"))
        return ImageError(subject, f"{host.engine.url} failed: {trouble.reason}", "try again later", kind="server error")


def _gone(host: Host, reason: str) -> HostUnavailable:
    start_it = 'start it with "ollama serve"' if host.engine.name == "ollama" else "start it again"
    return HostUnavailable(f"{host.engine.name} is not reachable at {host.engine.url}", reason, start_it)


def _remedy(kind: str) -> str:
    return {
        "wrong language": "choose another model, or --language en",
        "empty": "try another model",
        "refused": "try another model",
    }.get(kind, "")


def connect(
    engine: str = "ollama",
    hosts: Sequence[str] = (),
    model: str | None = None,
    language: str | None = None,
    prompt: str | None = None,
    timeout: float | None = None,
    *,
    workers: int = 1,
    on_warning: Callable[[str], None] = lambda text: None,
    on_note: Callable[[str], None] = lambda text: None,
    retry_waits: Sequence[float] = _RETRY_WAITS,
    rest_seconds: float = REST_SECONDS,
) -> VisionModel:
    """Find the servers and a model that sees; sends no picture.

    `hosts` empty takes the engine's default (OLLAMA_HOST for ollama); `model` None the best one installed; `language` None
    that of the locale; `prompt` is the text of a prompt of one's own; `timeout` is seconds per picture. `on_warning` hears
    what is wrong though the run goes on, `on_note` what is good to know. Raises UsageError, CannotGoOn, HostUnavailable.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine}", "there is no such engine", f"choose one of: {', '.join(ENGINES)}")
    tag = language_tag(language) if language else language_from_locale()
    seconds = timeout or DEFAULT_TIMEOUT
    engines = _engines(engine, hosts, model, tag, seconds, on_warning, on_note)
    return VisionModel(
        engines,
        language=tag,
        prompt=prompt,
        timeout=seconds,
        workers=workers,
        on_warning=on_warning,
        retry_waits=retry_waits,
        rest_seconds=rest_seconds,
    )


def _engines(
    engine: str,
    hosts: Sequence[str],
    model: str | None,
    language: str,
    timeout: float,
    on_warning: Callable[[str], None],
    on_note: Callable[[str], None],
) -> Sequence[Engine]:
    # As patient with loading as a large model needs, but in proportion for who has set a short timeout.
    load_seconds = max(timeout, min(10 * timeout, _LONGEST_LOAD))
    if engine == "openai":
        from image_catalog import openai_engine

        places = openai_engine.addresses(hosts)
        _warn_of_distance(places, on_warning)
        key = os.environ.get("OPENAI_API_KEY") or None
        return openai_engine.connect(places, model, EngineOptions(key, load_seconds, on_warning, on_note))
    if engine == "local":
        from image_catalog import local_engine

        return local_engine.connect(model, language, EngineOptions(None, load_seconds, on_warning, on_note))
    from image_catalog import ollama

    places = _ollama_addresses(hosts)
    _warn_of_distance(places, on_warning)
    key = os.environ.get("OLLAMA_API_KEY") or None
    return ollama.connect(places, model, language, EngineOptions(key, load_seconds, on_warning, on_note))


def _warn_of_distance(places: Sequence[ServerAddress], on_warning: Callable[[str], None]) -> None:
    far = [place.url for place in places if not place.is_loopback]
    if far:
        on_warning(f"pictures will be sent to {', '.join(far)}: not this machine")


def _ollama_addresses(hosts: Sequence[str]) -> list[ServerAddress]:
    """Distinct addresses, in the order given."""
    if not hosts:
        return [server_address.from_ollama_environment()]
    return list(dict.fromkeys(server_address.parse(host) for host in hosts))
