"""How the test server says a text: whole or token by token, in the shape of /api/chat, /api/generate or /v1."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ollama_pictures import Seen

if TYPE_CHECKING:
    from ollama_server import OllamaServer, _Handler

CREATED = "2026-11-23T17:36:29.059758968Z"
# A token is about four characters here, whatever the alphabet.
_TOKENS = re.compile(r"(?s).{1,4}")


class Reply:
    """The answer to one request for text, in the shape that the request wants."""

    def __init__(self, server: OllamaServer, exchange: _Handler, path: str, body: dict[str, Any]) -> None:
        self.server = server
        self.exchange = exchange
        self.path = path
        self.body = body
        self.is_openai = path.startswith("/v1/")
        self.is_chat = path == "/api/chat"
        self.is_stream = body.get("stream", not self.is_openai) is not False
        self._token_limit = (body.get("options") or {}).get("num_predict") or -1

    def text_for(self, seen: Seen) -> str:
        """What the model says of a picture: JSON when the request has a format, else prose."""
        wanted = self.body.get("format")
        if not wanted:
            return seen.description
        value: dict[str, Any] = {
            "description": seen.description,
            "tags": seen.tags,
            "visible_text": seen.visible_text,
        }
        if isinstance(wanted, dict):
            value = {name: _bounded(value.get(name, ""), rule) for name, rule in (wanted.get("properties") or {}).items()}
        return json.dumps(value, ensure_ascii=False)

    def say(self, text: str, thinking: str | None, done_reason: str | None = "stop") -> None:
        """Send `text` whole, cut at the request's token limit; `done_reason` None ends without `done`."""
        thoughts = _TOKENS.findall(thinking or "")
        tokens = _TOKENS.findall(text)
        if 0 <= self._token_limit < len(thoughts) + len(tokens):
            thoughts = thoughts[: self._token_limit]
            tokens = tokens[: self._token_limit - len(thoughts)]
            done_reason = "length" if done_reason is not None else None
        if self.is_stream:
            self.begin()
            for thought in thoughts:
                self.send_token(thought, is_thought=True)
            for token in tokens:
                self.send_token(token)
            self.finish(done_reason, len(tokens))
        else:
            self.exchange.send_json(200, self.whole("".join(tokens), "".join(thoughts), done_reason, len(tokens)))

    def begin(self) -> None:
        self.exchange.begin_stream("text/event-stream" if self.is_openai else "application/x-ndjson")

    def send_token(self, token: str, is_thought: bool = False) -> None:
        self.send_line(self._openai_delta(token, is_thought) if self.is_openai else self._piece(token, is_thought))

    def send_line(self, value: dict[str, Any]) -> None:
        """One object of the stream, as this protocol writes it."""
        line = json.dumps(value, ensure_ascii=False)
        data = f"data: {line}\n\n" if self.is_openai else f"{line}\n"
        self.exchange.send_chunk(data.encode("utf-8", "surrogatepass"))

    def finish(self, done_reason: str | None, count: int) -> None:
        """The end of a stream, with `done` unless `done_reason` is None."""
        if self.is_openai:
            if done_reason is not None:
                self.send_line(self._openai("chat.completion.chunk", delta={}, finish_reason=done_reason))
                self.exchange.send_chunk(b"data: [DONE]\n\n")
        elif done_reason is not None:
            self.send_line(self._piece("", False) | {"done": True, "done_reason": done_reason} | _counters(count))
        self.exchange.end_stream()

    def whole(self, text: Any, thinking: str, done_reason: str | None, count: int) -> dict[str, Any]:
        """The one object of an answer that is not streamed."""
        if self.is_openai:
            message = {"role": "assistant", "content": text}
            return self._openai("chat.completion", message=message, finish_reason=done_reason)
        value = self._piece(text, False)
        if thinking:
            (value["message"] if self.is_chat else value)["thinking"] = thinking
        if done_reason is None:
            return value
        return value | {"done": True, "done_reason": done_reason} | _counters(count)

    def _piece(self, text: Any, is_thought: bool) -> dict[str, Any]:
        head = {"model": self.body["model"], "created_at": CREATED}
        thought = {"thinking": text} if is_thought else {}
        content = "" if is_thought else text
        if self.is_chat:
            return head | {"message": {"role": "assistant", "content": content, **thought}, "done": False}
        return head | {"response": content, **thought, "done": False}

    def _openai_delta(self, token: str, is_thought: bool) -> dict[str, Any]:
        delta = {"reasoning_content" if is_thought else "content": token}
        return self._openai("chat.completion.chunk", delta=delta, finish_reason=None)

    def _openai(self, kind: str, **choice: Any) -> dict[str, Any]:
        head = {"id": "chatcmpl-1", "object": kind, "created": 1, "model": self.body["model"]}
        return head | {"choices": [{"index": 0, **choice}]}


def _counters(count: int) -> dict[str, int]:
    return {
        "total_duration": 15087054213,
        "load_duration": 1344360,
        "prompt_eval_count": 271,
        "prompt_eval_duration": 6537381000,
        "eval_count": count,
        "eval_duration": 8529726000,
    }


def _bounded(value: Any, rule: dict[str, Any]) -> Any:
    """What a grammar made of a schema lets through: maxLength and maxItems hold."""
    if isinstance(value, list):
        items = rule.get("items") or {}
        return [_bounded(item, items) for item in value[: rule.get("maxItems", len(value))]]
    return value[: rule.get("maxLength", len(value))]
