"""What vision_model asks of an engine (ollama, openai, local), and how an engine says what went wrong.

Every engine answers one question about one picture on one server. It neither retries nor judges: vision_model does both, the
same way for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from image_catalog.answer import BadAnswer, ModelText, is_looping
from image_catalog.errors import CannotGoOn

MAX_TEXT = 64 * 1024  # characters of an answer; a description has 1,500
_LOOP_CHECK_EVERY = 256  # characters
_LOOP_WINDOW = 2048  # characters; looking at all of a long answer again and again would cost more than the answer

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine needs to know to connect: `key` for the server, seconds that loading may take, who hears of what.

    `on_warning` hears what is wrong though the run goes on, `on_note` what is good to know.
    """

    key: str | None
    load_seconds: float
    on_warning: Say
    on_note: Say


class HostUnavailable(CannotGoOn):
    """No server answers: the run can stop at once, the pictures are not to blame."""


class ModelClosed(CannotGoOn):
    """VisionModel.close() ended the call."""


class HostTrouble(Exception):
    """The server failed; the same request may succeed later. `is_down`: it cannot even be reached."""

    def __init__(self, reason: str, *, is_down: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_down = is_down
        self.retry_after = retry_after


class TimeRanOut(Exception):
    """No whole answer before the deadline."""


class PictureRefused(Exception):
    """The server cannot use this very picture. `kind` is stored, `reason` is for a person."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason


class ContextTooSmall(Exception):
    """Picture and prompt need more tokens than the model's context has; `needed` when the server says how many."""

    def __init__(self, reason: str, needed: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.needed = needed


class LoadAgain(Exception):
    """The engine has changed how the model is loaded: load() it and ask again."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request for text. `schema` None asks for plain text."""

    prompt: str
    schema: dict[str, Any] | None
    max_tokens: int
    temperature: float
    seed: int
    repeat_penalty: float


class Engine(Protocol):
    """One model on one server; ask() may be called from several threads."""

    name: str
    url: str
    model: str
    model_digest: str
    takes_schema: bool  # whether its words can be bound to a JSON schema

    def load(self) -> None:
        """Have the model in memory. Raises HostTrouble, CannotGoOn."""

    def ask(self, question: Question, jpeg: bytes, seconds: float, say: Say) -> ModelText:
        """The model's text; `say` gets each piece as it comes.

        Raises HostTrouble, TimeRanOut, PictureRefused, BadAnswer, LoadAgain, CannotGoOn.
        """

    def is_reachable(self) -> bool:
        """Whether the server answers now; about a second at most."""

    def close(self) -> None:
        """End every call that is under way."""


class TextCollector:
    """The text of an answer as it grows: handed on, and given up early when it is too long or a loop."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._pieces: list[str] = []
        self._tail = ""
        self._length = 0
        self._next_check = _LOOP_CHECK_EVERY
        self.only_thought = False

    def add(self, piece: Any) -> None:
        """One more piece. Raises BadAnswer."""
        if not isinstance(piece, str) or not piece:
            return
        self._pieces.append(piece)
        self._tail = (self._tail + piece)[-_LOOP_WINDOW:]
        self._length += len(piece)
        if self._length > MAX_TEXT:
            raise BadAnswer("too long", f"the answer is longer than {MAX_TEXT:,} characters")
        if self._length >= self._next_check:
            self._next_check = self._length + _LOOP_CHECK_EVERY
            if is_looping(self._tail):
                raise BadAnswer("repetitive", "the model repeated itself without end")
        self._say(piece)

    def add_thought(self, piece: Any) -> None:
        """Thinking is no answer, but it tells why there is none."""
        self.only_thought = self.only_thought or bool(piece)

    def text(self) -> str:
        return "".join(self._pieces)

    def model_text(self, finish: str) -> ModelText:
        return ModelText(self.text(), finish, self.only_thought)
