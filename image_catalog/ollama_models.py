"""Which models an Ollama server has, which of them see, and which is the best to describe pictures.

Knows /api/version, /api/tags and /api/show; asks nothing of a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from image_catalog import server_errors
from image_catalog.errors import CannotGoOn
from image_catalog.http_client import HttpClient, HttpStatus, HttpTrouble

DEFAULT_MODEL = "gemma3:4b"
PULL_DEFAULT = f"ollama pull {DEFAULT_MODEL}"
_START_IT = 'start it with "ollama serve"'
_SURVEY_SECONDS = 10.0

# Best first. gemma3 runs on every version since 0.6 and sees a picture in 256 tokens, the fewest; the qwen families follow
# other languages well but take 1,000 tokens and more a picture; llava and moondream are of 2024 and answer in English.
_PREFERENCE = (
    re.compile(r"gemma3:(?!.*(?:270m|1b))"),
    re.compile(r"qwen3-vl:.*instruct"),
    re.compile(r"qwen3\.[56]"),
    re.compile(r"gemma4"),
    re.compile(r"qwen2\.5vl"),
    re.compile(r"qwen3-vl"),
    re.compile(r"mistral-small3|ministral"),
    re.compile(r"minicpm-v"),
    re.compile(r"llava"),
    re.compile(r"moondream"),
)
_RANK_UNKNOWN = len(_PREFERENCE) - 2  # better than llava and moondream
ENGLISH_ONLY = re.compile(r"moondream|granite3\.2-vision|llava|bakllava")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """An entry of /api/tags. `capabilities` is None when the server does not say (before 0.30)."""

    name: str
    digest: str
    family: str
    size: int
    is_remote: bool
    capabilities: frozenset[str] | None = None

    @property
    def bare_name(self) -> str:
        """Without the registry or owner before it."""
        return self.name.rpartition("/")[2].lower()


@dataclass(frozen=True, slots=True)
class Survey:
    """What one server is and has."""

    version: str
    models: list[InstalledModel]

    def find(self, name: str) -> InstalledModel | None:
        """The model of that name as Ollama reads names: `x` is `x:latest`, case does not count."""
        wanted = (name if ":" in name.rpartition("/")[2] else f"{name}:latest").lower()
        return next((model for model in self.models if model.name.lower() == wanted), None)


def survey(client: HttpClient) -> Survey:
    """Ask a server who it is and what it has. Raises CannotGoOn; HostUnavailable when nobody answers."""
    try:
        version = _version(client)
        listed = client.get_json("/api/tags", _SURVEY_SECONDS)
    except HttpTrouble as trouble:
        raise server_errors.preflight_error(trouble, client.address.url, "Ollama", _START_IT) from trouble
    entries = listed.get("models") if isinstance(listed, dict) else None
    if not isinstance(entries, list):
        raise CannotGoOn(client.address.url, "does not answer as Ollama does", "check --host, or choose --engine openai")
    models = [_installed(entry) for entry in entries if isinstance(entry, dict)]
    return Survey(version, [model for model in models if model.name])


def _version(client: HttpClient) -> str:
    """Servers that only speak Ollama's language may have no version."""
    try:
        told = client.get_json("/api/version", _SURVEY_SECONDS / 2)
    except HttpStatus as status:
        if status.status == 404:
            return ""
        raise
    return str(told.get("version") or "")[:40] if isinstance(told, dict) else ""


def _installed(entry: dict[str, Any]) -> InstalledModel:
    details = entry.get("details")
    capabilities = entry.get("capabilities")
    size = entry.get("size")
    return InstalledModel(
        name=str(entry.get("name") or entry.get("model") or "")[:200],
        digest=str(entry.get("digest") or "")[:80],
        family=str(details.get("family") or "") if isinstance(details, dict) else "",
        size=size if isinstance(size, int) else 0,
        is_remote=bool(entry.get("remote_host")) or str(entry.get("name")).endswith(("-cloud", ":cloud")),
        capabilities=frozenset(map(str, capabilities)) if isinstance(capabilities, list) and capabilities else None,
    )


def capabilities_of(client: HttpClient, model: InstalledModel) -> frozenset[str] | None:
    """What a model can do, "vision" and "thinking" among it; None when nothing tells. Raises CannotGoOn."""
    if model.capabilities is not None and "vision" in model.capabilities:
        return model.capabilities
    try:
        shown = client.post_json("/api/show", {"model": model.name}, _SURVEY_SECONDS)
    except HttpTrouble as trouble:
        if isinstance(trouble, HttpStatus):
            return model.capabilities  # a server that cannot tell, or a model whose files are gone: asking it will show
        raise server_errors.preflight_error(trouble, client.address.url, "Ollama", _START_IT) from trouble
    return _shown_capabilities(shown) if isinstance(shown, dict) else model.capabilities


def _shown_capabilities(shown: dict[str, Any]) -> frozenset[str] | None:
    """`capabilities` came with 0.6.4, and with 0.6.8 for models that see through a projector: look at the parts as well."""
    told = shown.get("capabilities")
    capabilities = frozenset(map(str, told)) if isinstance(told, list) else frozenset()
    info, details = shown.get("model_info"), shown.get("details")
    families = details.get("families") if isinstance(details, dict) else None
    has_eyes = (
        bool(shown.get("projector_info"))
        or (isinstance(info, dict) and any(".vision." in key or key.startswith("clip.") for key in info))
        or (isinstance(families, list) and not {"clip", "mllama"}.isdisjoint(map(str, families)))
    )
    if has_eyes:
        return capabilities | {"vision"}
    return capabilities if capabilities or (isinstance(info, dict) and info) else None


def seeing_models(client: HttpClient, models: Iterable[InstalledModel]) -> list[InstalledModel]:
    """Those that see, best first; models that run in a cloud are left out: nothing leaves the machine unasked."""
    local = sorted((model for model in models if not model.is_remote), key=rank)
    return [model for model in local if "vision" in (capabilities_of(client, model) or ())]


def rank(model: InstalledModel) -> tuple[int, int]:
    """Lower is better: by family, then the smaller one, which is the faster."""
    place = next((place for place, pattern in enumerate(_PREFERENCE) if pattern.match(model.bare_name)), _RANK_UNKNOWN)
    return (place, model.size)


def not_there(name: str, seeing: list[InstalledModel], url: str) -> CannotGoOn:
    """The error for a model that no server has."""
    others = f"; or use one that is there: {_choices(seeing)}" if seeing else ""
    return CannotGoOn(f"model {name} is not there", f"{url} does not have it", f"get it with: ollama pull {name}{others}")


def is_blind(name: str, seeing: list[InstalledModel]) -> CannotGoOn:
    """The error for a model without eyes."""
    return CannotGoOn(f"model {name} cannot see pictures", "it only reads text", _get_one(seeing))


def none_sees(models: list[InstalledModel], url: str) -> CannotGoOn:
    """The error when nothing was asked for and nothing fits."""
    has = f"of its {len(models)} models none can see pictures" if models else "it has no models yet"
    return CannotGoOn(f"Ollama at {url} has no vision model", has, f"get one with: {PULL_DEFAULT} (3.3 GB)")


def _get_one(seeing: list[InstalledModel]) -> str:
    if seeing:
        return f"use one that is installed and sees: {_choices(seeing)}"
    return f"get one that sees with: {PULL_DEFAULT} (3.3 GB)"


def _choices(seeing: list[InstalledModel]) -> str:
    return ", ".join(f"--model {model.name}" for model in seeing[:5])
