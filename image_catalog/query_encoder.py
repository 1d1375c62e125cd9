"""The vector of a query, without torch: an ONNX form of the embedding model, its tokenizer and its query prompt.

Knows onnxruntime and the folders that query_export makes; knows nothing of searching. sentence-transformers takes 5 to 9 seconds
to import; this takes 0.15 s for the same vector (cosine above 0.9999, checked when the folder is made).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from image_catalog import alphabets, model_cache
from image_catalog.errors import CannotGoOn

TYPE_CHECKING = False  # typing would cost a run without work 2 ms
if TYPE_CHECKING:
    from typing import Any, Protocol

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
else:
    Protocol = object

FORMAT = 2
SETTINGS = "encoder.json"
GRAPH = "model.onnx"
LINKED_WEIGHTS = "model.safetensors"
_REBUILD = "run create_faiss_index.py where the model is"


class QueryEncoder(Protocol):
    """What turns a query into a vector."""

    dimension: int

    def encode(self, text: str) -> Floats:
        """The unit vector (dimension,) of `text`, its prompt applied."""

    def reads(self, text: str) -> bool:
        """Does the model know words of the alphabet of `text`? If not, the vector of `text` means nothing."""


def cached_folder(model_digest: str) -> str:
    """Where the encoder of a model lies in the user's cache."""
    return model_cache.path_of("encoders", f"{model_digest}-{FORMAT}")


def folder_beside(index_path: str) -> str:
    """Where an encoder lies that travels with an index: image_index.encoder beside image_index.faiss."""
    return os.path.splitext(index_path)[0] + ".encoder"


def open_encoder(
    model: str, model_digest: str, index_path: str | None = None, on_note: Callable[[str], None] = lambda _: None
) -> QueryEncoder:
    """The encoder of the model that an index was made by: its ONNX form, or else the model itself, which is slow.

    `on_note` hears when it is the slow one. Raises CannotGoOn when there is neither.
    """
    reason = "its fast form is not on this machine"
    for folder in ([folder_beside(index_path)] if index_path else []) + [cached_folder(model_digest)]:
        settings = read_settings(folder, model_digest)
        if settings and "slow" in settings:
            reason = f"it has no fast form ({settings['slow']})"
        elif settings:
            return OnnxEncoder(folder, settings)
    from importlib.util import find_spec

    if find_spec("sentence_transformers") is None:
        raise CannotGoOn(
            model,
            "what encodes queries for it is not on this machine",
            "run create_faiss_index.py --with-encoder where it is, and copy image_index.encoder here",
        )
    on_note(f"loading the whole embedding model {model}, because {reason}: this takes some seconds")
    return _WholeModel(model, model_digest, on_note)


def read_settings(folder: str, model_digest: str) -> dict[str, Any] | None:
    """What encoder.json in `folder` says, if it is whole and of this very model; None otherwise."""
    try:
        with open(os.path.join(folder, SETTINGS), encoding="utf-8") as file:
            settings: dict[str, Any] = json.load(file)
        if (settings["format"], settings["digest"]) != (FORMAT, model_digest):
            return None
        linked = settings.get("linked")
        # Weights that are shared with the model's own folder must still be those that were linked.
        return settings if not linked or linked == stamp(os.path.join(folder, LINKED_WEIGHTS)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stamp(path: str) -> list[int]:
    """[size, mtime_ns] of a file: changes when its content is changed in place."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


class OnnxEncoder:
    """An encoder folder, opened."""

    def __init__(self, folder: str, settings: dict[str, Any]) -> None:
        from image_catalog.query_tokenizer import QueryTokenizer

        self.dimension = int(settings["dimension"])
        self._prompt: str = settings["prompt"]
        try:
            self._tokenizer = QueryTokenizer(folder)
            self._session = _session(os.path.join(folder, GRAPH))
        except ImportError as error:
            raise CannotGoOn(
                error.name or "onnxruntime", "is not installed", "install it: pip install -r requirements-search.txt"
            ) from None
        except Exception as error:  # onnxruntime and tokenizers raise types of their own for damaged files
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise CannotGoOn(folder, f"the query encoder cannot be read ({reason})", f"delete it, then {_REBUILD}") from None
        self._inputs = [item.name for item in self._session.get_inputs()]

    def encode(self, text: str) -> Floats:
        """The unit vector (dimension,) of `text`, its prompt applied; what is longer than the model reads is cut."""
        import numpy as np

        ids = np.array([self._tokenizer.ids(self._prompt + text.encode("utf-8", "replace").decode("utf-8"))], np.int64)
        values = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        vector: Floats = self._session.run(None, {name: values[name] for name in self._inputs})[0][0]
        return vector

    def reads(self, text: str) -> bool:
        return alphabets.is_read(text, self._tokenizer.known_spans)


def _session(path: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Explicit, because the default pins threads to cores, which containers forbid with a line on stderr.
    options.intra_op_num_threads = min(4, os.cpu_count() or 1)
    # A thread that waits by spinning takes the processor from the one that loads the model: 13 ms of a search with two cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # query_export has simplified the graph; for one short text, reordering weights for speed would take six times longer than
    # the text itself.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class _WholeModel:
    """sentence-transformers itself, for models without an ONNX form."""

    def __init__(self, model: str, model_digest: str, on_note: Callable[[str], None]) -> None:
        from image_catalog import embedding_model

        self._model = embedding_model.load(model, on_note)
        if self._model.digest != model_digest:
            raise CannotGoOn(model, "is not the model that the vector index was made by", "run create_faiss_index.py")
        self.dimension = self._model.dimension

    def encode(self, text: str) -> Floats:
        return self._model.encode_query(text)

    def reads(self, text: str) -> bool:
        return self._model.reads(text)
