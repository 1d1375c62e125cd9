"""What the test server can do wrong with one request: each fault by its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from ollama_models import Model
from ollama_pictures import Seen
from ollama_replies import Reply

if TYPE_CHECKING:
    from ollama_api import Call

    Fault = Callable[[Reply, Call, Seen, Model], None]

RUNNER_STOPPED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)
# What a terminal must never get raw, and what a database must not choke on.
ESCAPES = "\x1b[31mred\x1b[0m \x00nul \x07bell \u202egnp.exe\u202c \ud800 <b>html</b> \U0001f642 "


def _ok(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    thinking = None
    if model.thinks and reply.body.get("think") is not False and not reply.is_openai:
        thinking = "The user wants a description. " * 200  # thinking eats the tokens that the answer needs
    reply.say(reply.text_for(seen), thinking)
    reply.server.answered(call)


def _hang(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    if not reply.server.wait(3600, reply.exchange.client_is_there):
        call.client_left = True
    reply.exchange.break_off()


def _drip(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """One byte of a good answer every half second, from the first byte of the status line."""
    body = json.dumps(reply.whole(reply.text_for(seen), "", "stop", 9))
    raw = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    for byte in raw.encode():
        reply.exchange.wfile.write(bytes([byte]))
        reply.exchange.wfile.flush()
        if not reply.server.wait(0.5, reply.exchange.client_is_there):
            call.client_left = True
            break
    reply.exchange.break_off()


def _drip_tokens(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """A well-formed stream, one token every half second, without end."""
    reply.begin()
    while reply.server.wait(0.5, reply.exchange.client_is_there):
        reply.send_token("and ")
    call.client_left = True
    reply.exchange.break_off()


def _status(status: int, message: str) -> Fault:
    def fault(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
        reply.exchange.send_json(status, {"error": {"message": message} if reply.is_openai else message})

    return fault


def _come_back_later(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    reply.exchange.send_response(503)
    reply.exchange.send_header("Retry-After", "1")
    reply.exchange.send_header("Content-Length", "0")
    reply.exchange.end_headers()


def _half(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """Half of the promised bytes, then the connection ends."""
    body = json.dumps(reply.whole(reply.text_for(seen), "", "stop", 9)).encode()
    reply.exchange.send_response(200)
    reply.exchange.send_header("Content-Type", "application/json; charset=utf-8")
    reply.exchange.send_header("Content-Length", str(len(body)))
    reply.exchange.end_headers()
    reply.exchange.wfile.write(body[: len(body) // 2])
    reply.exchange.break_off()


def _reset(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    reply.exchange.break_off()


def _garbage(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """Not HTTP at all."""
    reply.exchange.wfile.write(bytes(range(128, 256)) * 4)
    reply.exchange.break_off()


def _html(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    page = "<html><head><title>Sign in to HotelWiFi</title></head><body>Please accept the terms.</body></html>"
    reply.exchange.send_plain(200, page, "text/html")


def _empty_body(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    reply.exchange.send_plain(200, "", "application/json")


def _content(value: object) -> Fault:
    def fault(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
        reply.exchange.send_json(200, reply.whole(value, "", "stop", 1))

    return fault


def _missing(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    reply.exchange.send_json(200, {"model": model.name, "done": True, "done_reason": "stop"})


def _huge(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """One line of `huge_bytes` bytes."""
    reply.begin()
    head = b'data: {"choices": [{"delta": {"content": "' if reply.is_openai else b'{"message": {"content": "'
    reply.exchange.send_chunk(head)
    block = b"a dog and a cat " * 4096
    for _ in range(reply.server.huge_bytes // len(block)):
        if not reply.exchange.client_is_there():
            call.client_left = True
            break
        reply.exchange.send_chunk(block)
    reply.exchange.break_off()


def _endless(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """Well-formed tokens that never repeat and never end, whatever num_predict says."""
    reply.begin()
    number = 0
    while reply.exchange.client_is_there() and not reply.server.stopping.is_set():
        number += 1
        reply.send_token(f"thing{number} ")
    call.client_left = True
    reply.exchange.break_off()


def _redirect(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    reply.exchange.send_response(307)
    reply.exchange.send_header("Location", f"{reply.server.redirect_to}{reply.path}")
    reply.exchange.send_header("Content-Length", "0")
    reply.exchange.end_headers()


def _escapes(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """A good answer with control characters, bidi controls and a lone surrogate in it."""
    dirty = Seen(seen.name, ESCAPES + seen.description, [*seen.tags, "\x1b]0;title\x07tag"], "\u202etxet")
    text = json.dumps(
        {"description": dirty.description, "tags": dirty.tags, "visible_text": dirty.visible_text}, ensure_ascii=True
    )
    reply.say(text if reply.body.get("format") else dirty.description.replace("\ud800", "\ufffd"), None)
    reply.server.answered(call)


def _thinking_only(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    reply.say("", "Let me look at the picture. I see many things.", "stop")


def _done_false(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """What the runner does after thirty equal tokens: it stops without a word."""
    reply.say("{\n  " + "\n  " * 15, None, None)


def _length(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    text = reply.text_for(seen)
    reply.say(text[: max(10, len(text) // 2)], None, "length")


def _text(english: str, russian: str | None = None) -> Fault:
    """Prose instead of what was asked for, schema or not."""

    def fault(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
        reply.say(russian if russian is not None and call.language == "ru" else english, None)

    return fault


def _loop(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """The same words until the token limit."""
    words = "и собака, и кошка " if call.language == "ru" else "a 3D model of "
    start = '{"description": "' if reply.body.get("format") else ""
    reply.say(start + words * 3000, None, "length")


def _loop_on(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """The same words for ever."""
    reply.begin()
    while reply.exchange.client_is_there() and not reply.server.stopping.is_set():
        reply.send_token("a 3D model of ")
    call.client_left = True
    reply.exchange.break_off()


def _wrong_language(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    other = "A large brown animal stands on the green grass near a wooden fence under a clouded sky."
    if call.language != "ru":
        other = "Большое коричневое животное стоит на зелёной траве у деревянного забора под облачным небом."
    reply.say(json.dumps({"description": other, "tags": [], "visible_text": ""}) if reply.body.get("format") else other, None)


def _runner_died(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """In a stream the status is 200 already: an error line follows, and no `done`."""
    message = "an error was encountered while running the model: unexpected EOF"
    if not reply.is_stream:
        reply.exchange.send_json(500, {"error": message})
        return
    reply.begin()
    for token in ("The", " pict"):
        reply.send_token(token)
    reply.send_line({"error": {"message": message} if reply.is_openai else message})
    reply.exchange.end_stream()


def _fenced(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """JSON as models without a grammar write it."""
    value = {"description": seen.description, "tags": seen.tags, "visible_text": seen.visible_text}
    text = json.dumps(value, ensure_ascii=False, indent=2)
    reply.say(f"Here's a description of the image:\n\n```json\n{text}\n```", None)
    reply.server.answered(call)


def _prose(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """Prose with a preamble and markdown, schema or not."""
    start = "Конечно! Вот описание изображения:" if call.language == "ru" else "Sure! Here's a description of the image:"
    reply.say(f"{start}\n\n**{seen.description}**", None)
    reply.server.answered(call)


def _bad_json(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    reply.say('{"description": "A dog", "tags": [', None)


def _blind(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    message = "Multimodal data provided, but model does not support multimodal requests."
    nested = json.dumps({"error": {"code": 400, "message": message, "type": "invalid_request_error"}})
    reply.exchange.send_json(400, {"error": {"message": message} if reply.is_openai else nested})


def _context(reply: Reply, call: Call, seen: Seen, model: Model) -> None:
    """A picture that takes more tokens than num_ctx, as long as num_ctx is below 16,384."""
    context = int((reply.body.get("options") or {}).get("num_ctx") or 4096)
    if context >= 16384:
        _ok(reply, call, seen, model)
        return
    message = f"request (12000 tokens) exceeds the available context size ({context} tokens), try increasing it"
    inner = {
        "code": 400,
        "message": message,
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 12000,
        "n_ctx": context,
    }
    reply.exchange.send_json(400, {"error": json.dumps({"error": inner})})


REFUSAL = "I'm sorry, but I can't see an image. Please provide the picture that you want me to describe."
REFUSAL_RU = "К сожалению, я не вижу изображения. Пожалуйста, загрузите картинку, и я её опишу."

FAULTS: dict[str, Fault] = {
    "ok": _ok,
    "hang": _hang,
    "drip": _drip,
    "drip_tokens": _drip_tokens,
    "500": _status(500, "llama-server process has terminated: exit status 1: unable to allocate CPU buffer"),
    "500_crash": _status(500, RUNNER_STOPPED),
    "502": _status(502, "bad gateway"),
    "503": _status(503, "server busy, please try again.  maximum pending requests exceeded"),
    "503_later": _come_back_later,
    "429": _status(429, "too many requests"),
    "403": _status(403, "ollama cloud is disabled: remote model is unavailable"),
    "half": _half,
    "reset": _reset,
    "garbage": _garbage,
    "html": _html,
    "empty_body": _empty_body,
    "empty": _content(""),
    "null": _content(None),
    "number": _content(42),
    "missing": _missing,
    "list": lambda reply, call, seen, model: reply.exchange.send_json(200, [1, 2, 3]),
    "error_in_200": _status(200, "something went wrong"),
    "huge": _huge,
    "endless": _endless,
    "redirect": _redirect,
    "esc": _escapes,
    "thinking_only": _thinking_only,
    "done_false": _done_false,
    "length": _length,
    "refusal": _text(REFUSAL, REFUSAL_RU),
    "loop": _loop,
    "loop_on": _loop_on,
    "wrong_language": _wrong_language,
    "runner_died": _runner_died,
    "fenced": _fenced,
    "prose": _prose,
    "bad_json": _bad_json,
    "blind": _blind,
    "undecodable": _status(
        400, '{"error":{"code":400,"message":"Failed to load image or audio file","type":"invalid_request_error"}}'
    ),
    "context": _context,
    "model_gone": _status(404, "model 'gemma3:4b' not found"),
}
