"""The name of an embedding model -> the folder on this disk that holds it, and a digest of what decides its vectors.

Knows the model hub's cache and the hub; knows nothing of what a model computes. What is on the disk is used without asking the
network; what is not is downloaded after one quick question to the hub, so that a machine without network learns it at once.
"""

from __future__ import annotations

import glob
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

from xxhash import xxh3_128

from image_catalog import offline_model
from image_catalog.errors import CannotGoOn

# Russian and English (and 90 more), 384 numbers, 470 MB.
DEFAULT_MODEL = "intfloat/multilingual-e5-small"
_NAME_ANOTHER = "name a folder or a sentence-transformers model with --model"
_HUB_SECONDS = 5.0
_OTHER_FORMS = ("onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.tflite", "*.gguf", "coreml/*", "*.bin.index.*")
_DECISIVE = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model")


class ModelFolder(NamedTuple):
    """A model that is on this disk."""

    name: str  # as the catalog keeps it: hub name, absolute path, or offline_model.NAME
    path: str


def find(name: str | None, on_note: Callable[[str], None]) -> ModelFolder:
    """The folder of the model `name` (None: the default), downloaded when it must be.

    `on_note` hears what takes long or differs from what was asked. Raises CannotGoOn, within 10 s when there is no network.
    """
    wanted = name or DEFAULT_MODEL
    if wanted == offline_model.NAME:
        return ModelFolder(wanted, offline_model.folder())
    if os.path.isdir(wanted):
        return ModelFolder(canonical_name(wanted), _checked_folder(wanted))
    if os.path.isabs(wanted) or wanted.startswith((".", "~")) or wanted.count("/") > 1:
        raise CannotGoOn(wanted, "there is no such folder", _NAME_ANOTHER)
    cached = _in_hub_cache(wanted)
    if cached:
        return ModelFolder(wanted, cached)
    if name is None and offline_model.is_installed():
        on_note(f"using {offline_model.NAME}, the 4-bit copy of {wanted} that the extra `offline` brings")
        return ModelFolder(offline_model.NAME, offline_model.folder())
    return ModelFolder(wanted, _download(wanted, on_note))


def canonical_name(name: str) -> str:
    """The name under which the catalog keeps a model: a folder by its absolute path."""
    return os.path.abspath(name) if os.path.isdir(name) else name


def digest(folder: str) -> str:
    """A hash of the weights, the vocabulary and the settings in a model folder; the same on every machine."""
    names = {os.path.relpath(name, folder) for pattern in _DECISIVE for name in _files(folder, pattern)}
    if any(name.endswith(".safetensors") for name in names):
        names = {name for name in names if not name.endswith(".bin")}  # the same weights once more
    total = xxh3_128()
    for name in sorted(names):
        part = xxh3_128()
        with open(os.path.join(folder, name), "rb") as file:
            while block := file.read(1 << 22):
                part.update(block)
        total.update(name.encode("utf-8", "surrogateescape") + b"\0" + part.digest())
    return total.hexdigest()


def origin(folder: str) -> str:
    """The hub name that a model's own config.json remembers, or an empty text."""
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            return str(json.load(file).get("_name_or_path", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _files(folder: str, pattern: str) -> list[str]:
    """Files in `folder` and its direct subfolders (1_Pooling, 2_Dense, …); other forms of the model do not count."""
    found = glob.glob(pattern, root_dir=folder) + glob.glob(os.path.join("*", pattern), root_dir=folder)
    return [os.path.join(folder, name) for name in found if not name.startswith(("onnx" + os.sep, "openvino" + os.sep))]


def _checked_folder(folder: str) -> str:
    if not any(os.path.exists(os.path.join(folder, name)) for name in ("modules.json", "config.json")):
        raise CannotGoOn(folder, "is no model folder (no modules.json and no config.json)", _NAME_ANOTHER)
    return os.path.abspath(folder)


def _in_hub_cache(name: str) -> str | None:
    """The newest snapshot of a hub model in the cache, if its weights are there."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        raise CannotGoOn("sentence-transformers", "is not installed", "install it: pip install -r requirements.txt") from None
    # As sentence-transformers itself does: a bare name is one of its own models.
    for repository in [name] if "/" in name else [f"sentence-transformers/{name}", name]:
        try:
            folder = snapshot_download(repository, local_files_only=True)
        except HFValidationError:
            raise CannotGoOn(name, "is no name of a model", _NAME_ANOTHER) from None
        except OSError:  # not in the cache
            continue
        if _files(folder, "*.safetensors") or _files(folder, "*.bin"):
            return folder
    return None


def _download(name: str, on_note: Callable[[str], None]) -> str:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    repository, files = _ask_hub(name)
    skipped = [*_OTHER_FORMS, *(["*.bin"] if any(file.endswith(".safetensors") for file in files) else [])]
    if not sys.stderr.isatty():
        disable_progress_bars()
    on_note(f"downloading the embedding model {repository} (once; it stays on this disk)")
    try:
        return snapshot_download(repository, ignore_patterns=skipped)
    except Exception as error:  # the hub client raises errors of several libraries; none is a bug of ours
        raise CannotGoOn(name, f"the download failed ({_first_line(error)})", "run again: what has arrived is kept") from None


def _ask_hub(name: str) -> tuple[str, list[str]]:
    """(repository, its files), or CannotGoOn: one request, six seconds at most whatever the network does."""
    repository = name if "/" in name else f"sentence-transformers/{name}"
    answer: list[list[str]] = []
    errors: list[Exception] = []

    def ask() -> None:
        from huggingface_hub import HfApi

        try:
            info = HfApi().model_info(repository, timeout=_HUB_SECONDS)
            answer.append([file.rfilename for file in info.siblings or []])
        except Exception as error:  # carried to the waiting thread
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)  # a name server that never answers must not hold us
    thread.start()
    thread.join(_HUB_SECONDS + 1)
    if answer:
        return repository, answer[0]
    error = errors[0] if errors else TimeoutError("no answer")
    raise _hub_error(name, error)


def _hub_error(name: str, error: Exception) -> CannotGoOn:
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    if isinstance(error, RepositoryNotFoundError):
        return CannotGoOn(name, "the model hub knows no such model", "check the name given with --model")
    reason = "is not on this disk, and the model hub cannot be reached"
    if isinstance(error, HfHubHTTPError):
        reason = f"is not on this disk, and the model hub refused it ({_first_line(error)})"
    if name == DEFAULT_MODEL:
        return CannotGoOn(name, reason, "connect once, or bring the model as a package: pip install -r requirements-offline.txt")
    return CannotGoOn(name, reason, "connect once, or name a model folder with --model")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
