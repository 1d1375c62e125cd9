"""What an error of a model server means: the run, the server, the picture or the answer is at fault.

Knows the words of Ollama, llama.cpp and vLLM; makes no request. The wording was observed on Ollama 0.12.11 and 0.33.
"""

from __future__ import annotations

import json
import re
from typing import Any

from image_catalog.answer import BadAnswer
from image_catalog.engine import ContextTooSmall, HostTrouble, HostUnavailable, ModelClosed, PictureRefused, TimeRanOut
from image_catalog.errors import CannotGoOn
from image_catalog.http_client import ClientClosed, DeadlinePassed, HttpStatus, HttpTrouble, TooMuch, Unreachable

_BLIND = re.compile(
    r"(?i)does not support (?:multimodal|image)|image input is not supported|missing data required for image input"
    r"|not a multimodal model|at most 0 image"
)
_UNDECODABLE = re.compile(
    r"(?i)failed to (?:load|decode) image|image: unknown format|decode webp image|zero length image|illegal base64"
    r"|cannot identify image|invalid image|must be larger than factor"
)
_CONTEXT = re.compile(r"(?i)exceeds? the available context|context (?:length|size|window)|prompt too long")
_SCHEMA = re.compile(r"(?i)json.?schema|invalid format|response_format|grammar|guided")
_MISSING = re.compile(r"(?i)model .*(?:not found|does not exist)|try pulling it")
_INCOMPATIBLE = re.compile(r"(?i)no longer compatible|unknown model architecture|unsupported model")


def error_message(body: Any) -> str:
    """The words of an error body: Ollama hands on errors as JSON inside a string inside JSON."""
    for _ in range(4):
        if isinstance(body, str):
            try:
                inner = json.loads(body)
            except (ValueError, RecursionError):
                break
            if not isinstance(inner, dict):
                break
            body = inner
        if isinstance(body, dict):
            body = next((body[name] for name in ("error", "message", "detail") if body.get(name)), "")
    text = body if isinstance(body, str) else json.dumps(body)
    return " ".join(text.split())[:300]


def needed_tokens(body: str) -> int | None:
    """`n_prompt_tokens` of a context error, wherever it is nested."""
    found = re.search(r'n_prompt_tokens\\*"\s*:\s*(\d{1,7})', body) or re.search(r"request \((\d{1,7}) tokens\)", body)
    return int(found.group(1)) if found else None


def meaning(trouble: HttpTrouble, url: str, model: str) -> Exception:
    """The exception to raise for `trouble` with one request about a picture."""
    if isinstance(trouble, HttpStatus):
        return _status_meaning(trouble, url, model)
    if isinstance(trouble, ClientClosed):
        return ModelClosed(url, "the request was ended")
    if isinstance(trouble, DeadlinePassed):
        return TimeRanOut(trouble.reason)
    if isinstance(trouble, TooMuch):
        return BadAnswer("too long", trouble.reason)
    return HostTrouble(trouble.reason, is_down=isinstance(trouble, Unreachable))


def text_meaning(message: str, body: str, model: str, url: str) -> Exception | None:
    """What the words of an error tell whatever its status; None when they tell nothing."""
    if _BLIND.search(message):
        return CannotGoOn(f"model {model} cannot see pictures", message, "choose one that can with --model")
    if _MISSING.search(message):
        return CannotGoOn(f"model {model} is not there", f"{url} says: {message}", f"get it with: ollama pull {model}")
    if _INCOMPATIBLE.search(message):
        return CannotGoOn(f"model {model}", message, "choose another with --model")
    if _UNDECODABLE.search(message):
        return PictureRefused("undecodable", f"the server cannot read the picture ({message})")
    if _CONTEXT.search(message):
        return ContextTooSmall(message, needed_tokens(body))
    if _SCHEMA.search(message):
        return BadAnswer("bad answer", f"the server does not take the answer's schema ({message})")
    return None


def _status_meaning(trouble: HttpStatus, url: str, model: str) -> Exception:
    message = error_message(trouble.text)
    if 300 <= trouble.status < 400:
        return redirect_refused(trouble, url)
    if trouble.status in (401, 407):
        return CannotGoOn(url, f"asks for a key ({message or 'HTTP 401'})", "put it into OLLAMA_API_KEY or OPENAI_API_KEY")
    told = text_meaning(message, trouble.text, model, url)
    if told is not None:
        return told
    if trouble.status == 403:
        reason = message or "it answers only to requests for localhost unless OLLAMA_HOST is set where it runs"
        return CannotGoOn(url, f"refuses to answer (HTTP 403: {reason})", "check the server's settings")
    if trouble.status in (404, 405):
        return CannotGoOn(url, f"does not know this request (HTTP {trouble.status})", "check the address and --engine")
    if trouble.status == 413:
        return PictureRefused("too large", "the server refuses a request of that size (HTTP 413)")
    if trouble.status in (408, 425, 429) or trouble.status >= 500:
        return HostTrouble(_status_text(trouble.status, message), retry_after=trouble.retry_after)
    return PictureRefused("refused", f"the server refused the request ({_status_text(trouble.status, message)})")


def _status_text(status: int, message: str) -> str:
    # A proxy's page of HTML says nothing to a person.
    return f"HTTP {status}" if not message or message.startswith("<") else f"HTTP {status}: {message}"


def redirect_refused(trouble: HttpStatus, url: str) -> CannotGoOn:
    """A redirect could carry pictures to a place that nobody named."""
    target = (trouble.location or "another address")[:200]
    return CannotGoOn(url, f"redirects to {target}; nothing was sent there", "name that address with --host if you trust it")


def preflight_error(trouble: HttpTrouble, url: str, server: str, start_it: str) -> CannotGoOn:
    """The error to raise when a server fails before the first picture. `server` is its name, `start_it` how to start it."""
    remedy = f"{start_it}, or name its address with --host"
    if isinstance(trouble, ClientClosed):
        return ModelClosed(url, "the request was ended")
    if isinstance(trouble, Unreachable | DeadlinePassed):
        return HostUnavailable(f"{server} is not reachable at {url}", trouble.reason, remedy)
    if not isinstance(trouble, HttpStatus):
        reason = f"something else answers there: {trouble.reason}"
        return HostUnavailable(f"{server} is not reachable at {url}", reason, remedy)
    meant = _status_meaning(trouble, url, "")
    if isinstance(meant, CannotGoOn):
        return meant
    told = _status_text(trouble.status, error_message(trouble.text))
    return HostUnavailable(f"{server} is not usable at {url}", told, remedy)
