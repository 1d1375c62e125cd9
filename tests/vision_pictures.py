"""Pictures for tests of the vision model, what the test server says of each, and a model that waits hardly at all."""

from __future__ import annotations

import io
from typing import Any

from ollama_pictures import describe_colours, numbered_picture
from ollama_server import OllamaServer

from image_catalog import vision_model
from image_catalog.vision_model import VisionModel

ENGINES = ("ollama", "openai")


def connect(server: OllamaServer | None = None, **options: Any) -> VisionModel:
    """A model at `server`, in English unless `options` say otherwise, that waits only a moment between retries."""
    defaults: dict[str, Any] = {"hosts": [server.url] if server else [], "language": "en", "timeout": 20.0}
    if options.get("engine") == "openai":
        defaults["model"] = "gemma3:4b"
    return vision_model.connect(**defaults | {"retry_waits": (0.01, 0.02)} | options)


def jpeg(number: int) -> bytes:
    """One of 20,736 pictures that the test server tells apart, as picture.prepare would make it."""
    data = io.BytesIO()
    numbered_picture(number, (256, 192)).save(data, "JPEG", quality=85)
    return data.getvalue()


def expected(number: int, language: str = "en") -> str:
    """The description that belongs to jpeg(number) and to no other."""
    return describe_colours(numbered_picture(number, (256, 192)), language).description
