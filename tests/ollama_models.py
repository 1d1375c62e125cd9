"""The models that the test server has: what /api/tags, /api/show and /v1/models say of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Model:
    """A model as Ollama lists it; `has_projector` is the older way to see (llava, moondream)."""

    name: str
    family: str
    parameter_size: str
    size: int
    capabilities: tuple[str, ...]
    has_projector: bool = False
    remote_host: str = ""

    @property
    def sees(self) -> bool:
        return "vision" in self.capabilities

    @property
    def thinks(self) -> bool:
        return "thinking" in self.capabilities

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def details(self) -> dict[str, Any]:
        families = [self.family, "clip"] if self.has_projector else [self.family]
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": families,
            "parameter_size": self.parameter_size,
            "quantization_level": "Q4_K_M",
        }

    def tag(self, version: tuple[int, ...]) -> dict[str, Any]:
        """One entry of /api/tags."""
        entry = {
            "name": self.name,
            "model": self.name,
            "modified_at": "2026-11-23T17:17:40.42128298Z",
            "size": self.size,
            "digest": self.digest,
            "details": self.details(),
        }
        if self.remote_host:
            entry["remote_host"] = self.remote_host
        if version >= (0, 30):
            entry["capabilities"] = list(self.capabilities)
        return entry

    def shown(self, version: tuple[int, ...]) -> dict[str, Any]:
        """The answer of /api/show: `capabilities` came with 0.6.4, those of projectors with 0.6.8."""
        shown: dict[str, Any] = {
            "template": "{{ .Prompt }}",
            "details": self.details(),
            "model_info": {"general.architecture": self.family, f"{self.family}.context_length": 32768},
            "modified_at": "2026-11-23T17:17:40.42128298Z",
        }
        if self.has_projector:
            shown["projector_info"] = {"general.architecture": "clip", "clip.has_vision_encoder": True}
        elif self.sees:
            shown["model_info"][f"{self.family}.vision.block_count"] = 27
        if version >= (0, 6, 8):
            shown["capabilities"] = list(self.capabilities)
        elif version >= (0, 6, 4):
            shown["capabilities"] = [name for name in self.capabilities if not (name == "vision" and self.has_projector)]
        return shown


GEMMA3 = Model("gemma3:4b", "gemma3", "4.3B", 3_338_801_804, ("completion", "vision"))
QWEN3_VL = Model("qwen3-vl:4b-instruct", "qwen3vl", "4.4B", 3_296_152_110, ("completion", "vision", "tools"))
QWEN3_VL_THINKING = Model("qwen3-vl:4b", "qwen3vl", "4.4B", 3_296_152_111, ("completion", "vision", "tools", "thinking"))
MOONDREAM = Model("moondream:latest", "phi2", "1B", 1_738_451_197, ("completion", "vision"), has_projector=True)
LLAMA3 = Model("llama3:latest", "llama", "8.0B", 4_661_224_676, ("completion",))
GEMMA3_SMALL = Model("gemma3:1b", "gemma3", "999.89M", 815_319_791, ("completion",))
CLOUD = Model("qwen3-vl:235b-cloud", "qwen3vl", "235B", 383, ("completion", "vision"), remote_host="https://ollama.com:443")

INSTALLED: tuple[Model, ...] = (LLAMA3, MOONDREAM, QWEN3_VL_THINKING, GEMMA3, QWEN3_VL, GEMMA3_SMALL)
