"""The endpoints of the test server: which request gets which status and body.

Observed on Ollama 0.12.11 and 0.33: wording, nesting and status codes are theirs, typing errors included.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ollama_faults
from ollama_models import Model
from ollama_pictures import Seen, decode
from ollama_replies import Reply

if TYPE_CHECKING:
    from ollama_server import OllamaServer, _Handler


@dataclass
class Call:
    """One request for text about a picture, as the server saw it.

    `picture` is its name in the captions table, or its colours when it is not there.
    """

    path: str
    model: str
    picture: str
    language: str
    prompt: str
    body: dict[str, Any]  # without the picture
    headers: Mapping[str, str]
    picture_bytes: int
    picture_size: tuple[int, int]
    fault: str = "ok"
    answered: bool = False
    client_left: bool = False
    started: float = field(default_factory=time.monotonic)


class Refused(Exception):
    """A request that ends with a status and a body instead of an answer."""

    def __init__(self, status: int, message: str, nested: str | None = None, **more: Any) -> None:
        super().__init__(status, message)
        self.status = status
        if nested is not None:  # llama-server's own error, handed on as a string inside the string
            message = json.dumps({"error": {"code": status, "message": message, "type": nested, **more}})
        self.body = {"error": message}


def answer(server: OllamaServer, exchange: _Handler, method: str, path: str, body: bytes) -> None:
    """Answer one request."""
    try:
        if method in ("GET", "HEAD"):
            _get(server, exchange, path)
        else:
            _post(server, exchange, path, body)
    except Refused as refused:
        value = refused.body
        if path.startswith("/v1/"):
            value = {"error": {"message": value["error"], "type": "api_error", "param": None, "code": None}}
        exchange.send_json(refused.status, value)


def _get(server: OllamaServer, exchange: _Handler, path: str) -> None:
    if path == "/":
        exchange.send_plain(200, "Ollama is running")
    elif path == "/api/version":
        exchange.send_json(200, {"version": server.version})
    elif path == "/api/tags":
        exchange.send_json(200, {"models": [model.tag(server.version_tuple) for model in server.models]})
    elif path == "/api/ps":
        exchange.send_json(200, {"models": [_running(model) for model in server.loaded()]})
    elif path == "/v1/models":
        entries = [{"id": model.name, "object": "model", "created": 1, "owned_by": "library"} for model in server.models]
        exchange.send_json(200, {"object": "list", "data": entries})
    elif path in _POSTS:
        exchange.send_plain(405, "405 method not allowed", "text/plain")
    else:
        exchange.send_plain(404, "404 page not found", "text/plain")


def _running(model: Model) -> dict[str, Any]:
    entry = model.tag((0,))
    return entry | {"expires_at": "2026-11-23T17:37:34.242776708Z", "size_vram": 0, "context_length": 4096}


def _post(server: OllamaServer, exchange: _Handler, path: str, raw: bytes) -> None:
    if path not in _POSTS or (path == "/api/generate" and not server.has_generate):
        exchange.send_plain(404, "404 page not found", "text/plain")
        return
    if not raw:
        raise Refused(400, "missing request body")
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refused(400, "unexpected EOF") from None
    _POSTS[path](server, exchange, path, body)


def _show(server: OllamaServer, exchange: _Handler, path: str, body: dict[str, Any]) -> None:
    name = str(body.get("model") or body.get("name") or "")
    model = server.find(name)
    if model is None:
        full = name if ":" in name or not server.is_new else f"{name}:latest"
        raise Refused(404, f"model '{full}' not found")
    exchange.send_json(200, model.shown(server.version_tuple))


def _chat(server: OllamaServer, exchange: _Handler, path: str, body: dict[str, Any]) -> None:
    messages = body.get("messages") or []
    prompt = "\n".join(str(message.get("content") or "") for message in messages)
    images = [image for message in messages for image in message.get("images") or []]
    _generate_text(server, exchange, path, body, prompt, images)


def _generate(server: OllamaServer, exchange: _Handler, path: str, body: dict[str, Any]) -> None:
    prompt = str(body.get("prompt") or "")
    if prompt:
        _generate_text(server, exchange, path, body, prompt, body.get("images") or [])
        return
    model = _model_of(server, body)
    _check_options(server, body)
    if server.load_error is not None:
        raise Refused(500, server.load_error)
    reason = "load"
    if body.get("keep_alive") in (0, "0"):
        server.unload(model)
        reason = "unload"
    elif not server.load(model, body.get("options") or {}, exchange.client_is_there):
        exchange.break_off()
        return
    created = "2026-11-23T17:36:54.837595111Z"
    exchange.send_json(200, {"model": body["model"], "created_at": created, "response": "", "done": True, "done_reason": reason})


def _completions(server: OllamaServer, exchange: _Handler, path: str, body: dict[str, Any]) -> None:
    """OpenAI's shape of the same: parts of a message instead of images, response_format instead of format."""
    prompts: list[str] = []
    images: list[str] = []
    for message in body.get("messages") or []:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        prompts += [str(part.get("text") or "") for part in parts if part.get("type") == "text"]
        urls = [str(part["image_url"]["url"]) for part in parts if part.get("type") == "image_url"]
        images += [url.partition("base64,")[2] for url in urls]
    response_format = body.get("response_format") or {}
    schema = (response_format.get("json_schema") or {}).get("schema")
    options = {"num_predict": body.get("max_tokens"), "num_ctx": 32768}
    same = body | {"format": schema, "options": options, "stream": bool(body.get("stream"))}
    _generate_text(server, exchange, path, same, "\n".join(prompts), images)


def _generate_text(
    server: OllamaServer, exchange: _Handler, path: str, body: dict[str, Any], prompt: str, images: list[Any]
) -> None:
    model = _model_of(server, body)
    _check_options(server, body)
    if body.get("think") and not model.thinks:
        raise Refused(400, f'"{body["model"]}" does not support thinking')
    pictures = decode_images(images)
    if not server.load(model, body.get("options") or {}, exchange.client_is_there):
        exchange.break_off()
        return
    _check_sight(server, model, bool(pictures))
    loaded = time.monotonic()
    reply = Reply(server, exchange, path, body)
    if not pictures or not model.sees:
        # An old server drops the picture in silence, the model makes something up.
        reply.say("[img-0] timestep refracted cookies forskj SOS <unused3808>", None)
        return
    language = requested_language(prompt)
    call, seen = _look(server, path, model, pictures[0], language, prompt, body)
    call.headers = dict(exchange.headers)
    _check_context(server, model, call, body)
    server.register(call)
    reading = time.monotonic() - loaded  # telling the picture by its pixels is work of ours that a model has not
    with server.slot(exchange.client_is_there) as is_mine:
        if not is_mine or not server.wait(server.latency - reading, exchange.client_is_there):
            call.client_left = True
            exchange.break_off()
            return
        if server.before_answer is not None:
            server.before_answer(call)
        try:
            ollama_faults.FAULTS[call.fault](reply, call, seen, model)
        except OSError:
            call.client_left = True
            raise


def _look(
    server: OllamaServer, path: str, model: Model, data: bytes, language: str, prompt: str, body: dict[str, Any]
) -> tuple[Call, Seen]:
    try:
        image = decode(data)
    except ValueError:
        raise _undecodable(server, data) from None
    seen = server.captions.see(image, language)
    without_picture = {name: value for name, value in body.items() if name not in ("messages", "images")}
    call = Call(path, model.name, seen.name, language, prompt, without_picture, {}, len(data), image.size)
    return call, seen


def _undecodable(server: OllamaServer, data: bytes) -> Refused:
    if not server.is_new:
        return Refused(500, ollama_faults.RUNNER_STOPPED)
    if data[8:12] == b"WEBP":
        return Refused(500, "decode WebP image: webp: invalid format")
    return Refused(400, "Failed to load image or audio file", nested="invalid_request_error")


def _model_of(server: OllamaServer, body: dict[str, Any]) -> Model:
    name = body.get("model")
    if not name:
        raise Refused(400, "model is required")
    if re.search(r"\s", name):
        raise Refused(400, "invalid model name" if server.is_new else "model is required")
    model = server.find(name)
    if model is None:
        raise Refused(404, f"model '{name}' not found")
    return model


def _check_options(server: OllamaServer, body: dict[str, Any]) -> None:
    for option in ("temperature", "repeat_penalty", "top_p"):
        value = (body.get("options") or {}).get(option, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused(500, f'option "{option}" must be of type float32')
    keep_alive = body.get("keep_alive")
    if isinstance(keep_alive, str) and not re.fullmatch(r"-?(\d+(\.\d+)?(ns|us|ms|s|m|h))+|0", keep_alive):
        raise Refused(400, f'time: invalid duration "{keep_alive}"')
    wanted = body.get("format")
    if isinstance(wanted, str) and wanted not in ("", "json"):
        raise Refused(500, f'invalid format: "\\"{wanted}\\""; expected "json" or a valid JSON Schema object')
    if isinstance(wanted, dict) and wanted.get("type") not in (None, "object", "array", "string"):
        if not server.is_new:
            raise Refused(500, "invalid JSON schema in format")
        kind = wanted["type"]
        raise Refused(
            400,
            "Field 'json_schema': \"json_schema\": JSON schema conversion failed:\n"
            f"JSON schema error at #: unrecognized type {kind}",
            nested="invalid_request_error",
        )


def _check_sight(server: OllamaServer, model: Model, has_picture: bool) -> None:
    if not has_picture or model.sees:
        return
    if server.is_new:
        message = "Multimodal data provided, but model does not support multimodal requests."
        raise Refused(400, message, nested="invalid_request_error")
    if model.family == "gemma3":
        raise Refused(
            500,
            "Failed to create new sequence: failed to process inputs: this model is missing data required for image input",
        )


def _check_context(server: OllamaServer, model: Model, call: Call, body: dict[str, Any]) -> None:
    """Picture tokens count: 256 for gemma3, by area for qwen-vl, 729 for moondream."""
    context = int((body.get("options") or {}).get("num_ctx") or 4096)
    width, height = call.picture_size
    picture_tokens = {"gemma3": 256, "phi2": 729}.get(model.family, min(4096, max(1024, width * height // 1024)))
    tokens = picture_tokens + len(call.prompt) // 4
    if server.is_new and tokens > context:
        raise Refused(
            400,
            f"request ({tokens} tokens) exceeds the available context size ({context} tokens), try increasing it",
            nested="exceed_context_size_error",
            n_prompt_tokens=tokens,
            n_ctx=context,
        )


def requested_language(prompt: str) -> str:
    """The language that a prompt asks for: named, else the one that it is written in."""
    named = re.findall(r"(?i)\b(russian|english|русск\w*|английск\w*)", prompt)
    if named:
        return "ru" if named[-1][0].lower() in "rр" else "en"
    return "ru" if len(re.findall("[а-яё]", prompt.lower())) > len(re.findall("[a-z]", prompt.lower())) else "en"


def decode_images(texts: list[Any]) -> list[bytes]:
    """Standard base64 with padding, as Go's decoder wants it."""
    images = []
    for text in map(str, texts):
        try:
            images.append(base64.b64decode(text.replace("\n", ""), validate=True))
        except (binascii.Error, ValueError):
            bad = re.search(r"[^A-Za-z0-9+/=\n]", text)
            position = bad.start() if bad else len(text)
            raise Refused(
                400,
                "json: cannot unmarshal string into Alias.images.0 of type api.ImageData: "
                f"illegal base64 data at input byte {position}",
            ) from None
    return images


_POSTS = {
    "/api/show": _show,
    "/api/chat": _chat,
    "/api/generate": _generate,
    "/v1/chat/completions": _completions,
}
