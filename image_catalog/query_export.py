"""An embedding model -> the folder from which query_encoder encodes queries without torch.

Knows torch's ONNX exporter; knows nothing of queries' meaning or the catalog. The whole model goes into one graph, transformer,
pooling, dense layers and normalisation alike, so the reader needs no knowledge of any of them. The result is compared with the
model on real texts before it counts; a model that cannot be exported is remembered as such. (optimum-onnx would do it, but needs
transformers below 4.58; fastembed knows its own list of models only.)
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import mmap
import os
import shutil
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from image_catalog import model_cache, query_encoder, query_tokenizer
from image_catalog.errors import CannotGoOn

if TYPE_CHECKING:
    from image_catalog.embedding_model import EmbeddingModel

_WEIGHTS = "weights.bin"
_EXPORTED = "exported.onnx"
_SIMPLIFIED = "simplified.onnx"
_LINKED_FROM = 1 << 20  # bytes; smaller tensors are not worth a link
_PAGE = 4096  # onnxruntime maps weights into memory when they begin on a page
_KNOWN_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_LEAST_COSINE = 0.9999
_PROBES = (
    "a dog running on the beach at sunset",
    "рыжая собака бежит по пляжу на закате",
    "IMG_2041.jpg 48°53' №5, ёлка — «снег»",
    "",
    "a red car parked in front of an old house with many flowers " * 60,
)


class _NotExportable(Exception):
    """This model has no ONNX form; the reason is for the user."""


def ensure(model: EmbeddingModel, on_note: Callable[[str], None] = lambda _: None) -> str:
    """The encoder folder of `model` in the cache, made when it is not there (10 s); `on_note` hears that it is being made.

    Raises CannotGoOn (disk full, …). A model that cannot be exported gets a folder that says so.
    """
    folder = query_encoder.cached_folder(model.digest)
    if os.path.isdir(folder) and query_encoder.read_settings(folder, model.digest) is None:
        model_cache.remove(folder)  # its weights were changed under it
    if not os.path.isdir(folder):
        on_note(f"preparing {model.name} for fast searches (once)")
    return model_cache.create(folder, lambda target: write(model, target, link=True))


def copy(cached: str, target: str) -> None:
    """Copy an encoder folder to a place from where it can travel: nothing in it is shared with other files any more.

    The caller holds the lock of the index that lies beside it.
    """

    def fill(folder: str) -> None:
        shutil.copytree(cached, folder, dirs_exist_ok=True)
        path = os.path.join(folder, query_encoder.SETTINGS)
        with open(path, encoding="utf-8") as file:
            settings = json.load(file)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(settings | {"linked": None}, file, indent=1)

    model_cache.remove(target)
    model_cache.create(target, fill, lock=False)


def write(model: EmbeddingModel, folder: str, *, link: bool) -> None:
    """Fill the empty `folder`; with `link`, weights that the model's own file holds are shared with it, not copied."""
    settings: dict[str, Any] = {
        "format": query_encoder.FORMAT,
        "model": model.name,
        "digest": model.digest,
        "dimension": model.dimension,
        "prompt": model.query_prompt,
    }
    try:
        _export_tokenizer(model, folder)
        _export_graph(model, os.path.join(folder, _EXPORTED))
        settings["linked"] = _compact(folder, model.folder if link else None)
        _compare(model, query_encoder.OnnxEncoder(folder, settings))
    except OSError:
        raise  # the disk, not the model
    except ImportError as error:
        raise CannotGoOn(error.name or "onnxscript", "is not installed", "install it: pip install -r requirements.txt") from None
    except Exception as error:  # exporters fail in many ways; each means the same: no ONNX form of this model
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        settings["slow"] = f"{type(error).__name__}: {reason}"[:200]
    with open(os.path.join(folder, query_encoder.SETTINGS), "w", encoding="utf-8") as file:
        json.dump(settings, file, indent=1)


def _export_tokenizer(model: EmbeddingModel, folder: str) -> None:
    tokenizer = model.model.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _NotExportable("its tokenizer is not one of the library tokenizers")
    query_tokenizer.save(backend.to_str(), model.max_tokens, folder)


def _export_graph(model: EmbeddingModel, path: str) -> None:
    """torch.onnx.export of one text of any length, quietly: the exporter reports its progress on stdout and stderr."""
    import onnxscript  # noqa: F401 (torch's exporter needs it; here its absence has a name)
    import torch

    example = model.model.tokenizer([_PROBES[0]], return_tensors="pt")
    names = [name for name in example if name in _KNOWN_INPUTS]
    if set(example) != set(names):
        raise _NotExportable(f"it wants inputs that are not known: {sorted(set(example) - set(names))}")
    whole = _as_module(model.model, names)
    tokens = torch.export.Dim("tokens", min=2, max=model.max_tokens)
    device = model.model.device
    quiet = io.StringIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        warnings.simplefilter("ignore")
        model.model.to("cpu")
        try:
            program = torch.onnx.export(
                whole.eval(),
                tuple(example[name] for name in names),
                input_names=names,
                output_names=["vector"],
                dynamic_shapes=(tuple({1: tokens} for _ in names),),
                dynamo=True,
                verbose=False,
            )
        finally:
            model.model.to(device)
    assert program is not None
    program.save(path, external_data=True)


def _as_module(model: Any, names: list[str]) -> Any:
    import torch

    class Whole(torch.nn.Module):
        """All modules of a SentenceTransformer in a row, tensors in, one unit vector out."""

        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleList(model)

        def forward(self, *inputs: Any) -> Any:
            features = dict(zip(names, inputs, strict=True))
            for step in self.steps:
                features = step(features)
            return torch.nn.functional.normalize(features["sentence_embedding"], dim=-1)

    return Whole()


def _compact(folder: str, model_folder: str | None) -> list[int] | None:
    """exported.onnx and its data -> model.onnx and weights.bin; returns the stamp of the linked weights, if any.

    What can be simplified is simplified now, not at every search, and names and comments of the exporter go: they are 95 % of
    the graph. Together this is two thirds of the time to open it.
    """
    import onnx

    _simplify(folder)
    graph = onnx.load(os.path.join(folder, _SIMPLIFIED), load_external_data=False)
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.graph.value_info[:]
    linked = _link_weights(folder, model_folder) if model_folder else None
    _move_weights(graph, folder, linked)
    onnx.save(graph, os.path.join(folder, query_encoder.GRAPH))
    for name in (_EXPORTED, _EXPORTED + ".data", _SIMPLIFIED, _SIMPLIFIED + ".data"):
        if os.path.exists(os.path.join(folder, name)):  # a model may be too small to have data apart
            os.unlink(os.path.join(folder, name))
    return query_encoder.stamp(linked) if linked else None


def _simplify(folder: str) -> None:
    """onnxruntime's own simplifications, those that hold on any processor, written to a file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = os.path.join(folder, _SIMPLIFIED)
    entry = "session.optimized_model_external_initializers_"
    options.add_session_config_entry(entry + "file_name", _SIMPLIFIED + ".data")
    options.add_session_config_entry(entry + "min_size_in_bytes", "1024")
    options.add_session_config_entry("session.disable_prepacking", "1")
    onnxruntime.InferenceSession(os.path.join(folder, _EXPORTED), options, providers=["CPUExecutionProvider"])


def _link_weights(folder: str, model_folder: str) -> str | None:
    link = os.path.join(folder, query_encoder.LINKED_WEIGHTS)
    try:
        os.link(os.path.realpath(os.path.join(model_folder, query_encoder.LINKED_WEIGHTS)), link)
    except OSError:  # another disk, no such file, no links here
        return None
    return link


def _move_weights(graph: Any, folder: str, linked: str | None) -> None:
    """Point each tensor to the linked file where that holds the same bytes, else copy it to weights.bin."""
    shared = _Safetensors(linked) if linked else None
    with (
        open(os.path.join(folder, _SIMPLIFIED + ".data"), "rb") as source,
        mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as data,
        open(os.path.join(folder, _WEIGHTS), "wb") as target,
    ):
        for tensor in graph.graph.initializer:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            if not entries:
                continue
            start, length = int(entries["offset"]), int(entries["length"])
            content = data[start : start + length]
            place = shared.find(content) if shared and length >= _LINKED_FROM else None
            name = query_encoder.LINKED_WEIGHTS
            if place is None:
                target.seek(-(-target.tell() // _PAGE) * _PAGE)
                name, place = _WEIGHTS, target.tell()
                target.write(content)
            _point(tensor, name, place, length)


def _point(tensor: Any, file_name: str, offset: int, length: int) -> None:
    del tensor.external_data[:]
    for key, value in (("location", file_name), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


class _Safetensors:
    """Where the tensors lie in a .safetensors file (https://github.com/huggingface/safetensors#format)."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = 8 + int.from_bytes(self._data[:8], "little")
        header = json.loads(self._data[8:start])
        spans = (values["data_offsets"] for name, values in header.items() if name != "__metadata__")
        self._spans = [(int(start + begin), int(start + end)) for begin, end in spans]

    def find(self, content: bytes) -> int | None:
        """The offset of a tensor with exactly these bytes."""
        for begin, end in self._spans:
            if end - begin == len(content) and memoryview(self._data)[begin:end] == content:
                return begin
        return None


def _compare(model: EmbeddingModel, encoder: query_encoder.OnnxEncoder) -> None:
    for text in _PROBES:
        cosine = float(model.encode_query(text) @ encoder.encode(text))
        if not cosine > _LEAST_COSINE:
            raise _NotExportable(f"its ONNX form differs from it (cosine {cosine:.4f})")
