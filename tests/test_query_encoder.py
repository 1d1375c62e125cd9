"""The query path without torch: the same tokens and the same vectors as sentence-transformers, in a fraction of the time."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import real_models
from real_models import ENGLISH, RUSSIAN
from tokenizers import Tokenizer, models, pre_tokenizers

from image_catalog import embedding_model, model_cache, query_encoder, query_export, query_tokenizer
from image_catalog.embedding_model import EmbeddingModel
from image_catalog.errors import CannotGoOn

pytestmark = pytest.mark.heavy

TEXTS = (
    *RUSSIAN,
    *ENGLISH,
    "",
    "кот",
    "a",
    "IMG_2041.jpg 48°53' №5 ½ ﬁ Ｆｕｌｌ",
    "ёлка Ёлка е\u0308лка",
    "東京塔の写真 😀👨‍👩‍👧",
    "two\nlines\tand\0a NUL  and   spaces ",
    "\udcff not UTF-8",
    "long " * 1500,
)
MODELS = {"english": real_models.english, "multilingual": real_models.multilingual}


def opened(model: EmbeddingModel) -> query_encoder.QueryEncoder:
    """The fast encoder of `model`; a note would mean that it is the slow one."""
    query_export.ensure(model)
    notes: list[str] = []
    encoder = query_encoder.open_encoder(model.name, model.digest, None, notes.append)
    assert notes == []
    return encoder


@pytest.mark.parametrize("name", MODELS)
def test_vectors_equal_those_of_sentence_transformers(name: str) -> None:
    model = MODELS[name]()
    encoder = opened(model)
    assert encoder.dimension == model.dimension
    for text in TEXTS:
        vector = encoder.encode(text)
        assert vector.shape == (model.dimension,) and vector.dtype == np.float32
        assert float(vector @ model.encode_query(text)) > 0.9999, text


@pytest.mark.parametrize("name", MODELS)
def test_tokens_equal_those_of_the_model_for_any_text(name: str, tmp_path: Path) -> None:
    """3,000 random texts of all scripts, beside real ones: the small vocabulary must never change a split."""
    model = MODELS[name]()
    source = model.model.tokenizer.backend_tokenizer.to_str()
    whole = Tokenizer.from_str(source)
    whole.no_padding()
    whole.enable_truncation(model.max_tokens)
    query_tokenizer.save(source, model.max_tokens, str(tmp_path))
    tokenizer = query_tokenizer.QueryTokenizer(str(tmp_path))
    for text in (
        *TEXTS[:13],
        "достопримечательности международного университета",
        "information about transportation in Argentina",
    ):
        assert tokenizer.ids(text) == whole.encode(text).ids
    rng = random.Random(1)
    blocks = ((32, 127), (0x400, 0x460), (32, 0x500), (0x500, 0xD7FF), (0x1F300, 0x1F700))
    for _ in range(3000):
        first, last = rng.choice(blocks)
        text = "".join(
            chr(rng.choice((rng.randrange(first, last), 32, rng.randrange(97, 123)))) for _ in range(rng.randrange(60))
        )
        assert tokenizer.ids("query: " + text) == whole.encode("query: " + text).ids, repr(text)


def test_an_unknown_character_costs_what_it_costs_the_whole_tokenizer(tmp_path: Path) -> None:
    """Ten below the rarest piece of the vocabulary, although that piece is not in the text: else x|yz would win over xy|z."""
    pieces = [("<unk>", 0.0), ("xy", -20.0), ("z", -15.0), ("yz", -2.0), ("rare", -40.0)]
    whole = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    query_tokenizer.save(whole.to_str(), 16, str(tmp_path))
    assert whole.encode("xyz").tokens == ["xy", "z"]
    assert query_tokenizer.QueryTokenizer(str(tmp_path)).ids("xyz") == whole.encode("xyz").ids


FOREIGN = (
    "собака на пляже",
    "ёж",
    "Жмеринка",
    "Київ взимку",
    "dog и кошка",
    "\udcff снег",
    "Ελλάδα και θάλασσα",
    "ภาพถ่ายสุนัข",
    "강아지 사진",
)


def test_an_english_model_says_that_it_does_not_read_russian() -> None:
    """Through the fast encoder and through the model itself; a multilingual model reads all of it."""
    for model, reads in ((real_models.english(), False), (real_models.multilingual(), True)):
        encoder = opened(model)
        assert [text for text in FOREIGN if encoder.reads(text) != reads or model.reads(text) != reads] == []
        for text in ("a dog on the beach", "café à Paris", "KX 4821", "2023", "", "😀", "красный Rolls-Royce Silver Shadow"):
            assert encoder.reads(text) and model.reads(text), text
        before = encoder.encode("собака")
        encoder.reads("совсем другой текст")
        assert np.array_equal(encoder.encode("собака"), before)


def test_a_search_loads_no_torch_and_keeps_the_prompt() -> None:
    model = real_models.multilingual()
    query_export.ensure(model)
    code = """
import json, sys
from image_catalog.query_encoder import open_encoder
encoder = open_encoder(sys.argv[1], sys.argv[2])
print(json.dumps([float(number) for number in encoder.encode("собака на пляже")]))
print([name for name in ("torch", "transformers", "sklearn", "scipy", "sentence_transformers") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code, model.name, model.digest], capture_output=True, text=True, timeout=60)
    assert run.stderr == ""
    vector, loaded = run.stdout.splitlines()
    assert loaded == "[]"
    assert np.array(json.loads(vector)) @ model.encode_query("собака на пляже") > 0.9999


def test_weights_are_shared_with_the_model_and_refused_when_they_change(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(real_models.english_folder(), folder)
    model = embedding_model.load(str(folder))
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    query_export.write(model, str(encoder), link=True)
    assert (encoder / "model.safetensors").samefile(folder / "model.safetensors")
    assert (encoder / "weights.bin").stat().st_size < 50_000_000
    settings = query_encoder.read_settings(str(encoder), model.digest)
    assert settings is not None
    alone = tmp_path / "travels" / "image_index.encoder"
    query_export.copy(str(encoder), str(alone))
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0" * 8)
    assert query_encoder.read_settings(str(encoder), model.digest) is None
    text = ENGLISH[0]
    copied = query_encoder.open_encoder("gone", model.digest, str(tmp_path / "travels" / "image_index.faiss"))
    assert float(copied.encode(text) @ model.encode_query(text)) > 0.9999


def test_a_model_without_a_fast_form_is_still_searched_with_and_says_so(tmp_path: Path) -> None:
    folder = static_model(tmp_path / "static")
    model = embedding_model.load(str(folder))
    cached = query_export.ensure(model)
    assert os.listdir(cached) == ["encoder.json"]
    notes: list[str] = []
    encoder = query_encoder.open_encoder(model.name, model.digest, None, notes.append)
    assert "it has no fast form" in notes[0] and "takes some seconds" in notes[0]
    assert np.allclose(encoder.encode("a dog"), model.encode_query("a dog"))
    assert encoder.reads("a dog") and not encoder.reads("собака")
    with pytest.raises(CannotGoOn, match="not the model that the vector index was made by"):
        query_encoder.open_encoder(model.name, "another digest")


def static_model(folder: Path) -> Path:
    """A model of another kind: no transformer, one vector for each word."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "dog": 2, "cat": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)]).save(str(folder))
    return folder


def test_a_damaged_encoder_is_one_line(tmp_path: Path) -> None:
    model = real_models.english()
    folder = Path(query_encoder.folder_beside(str(tmp_path / "image_index.faiss")))
    query_export.copy(query_export.ensure(model), str(folder))
    graph = folder / "model.onnx"
    for content in (b"", graph.read_bytes()[:5000], b"\xff" * 300):
        graph.write_bytes(content)
        with pytest.raises(CannotGoOn, match="the query encoder cannot be read") as caught:
            query_encoder.open_encoder(model.name, model.digest, str(tmp_path / "image_index.faiss"))
        assert "\n" not in str(caught.value)
    (folder / "encoder.json").write_text("{")
    assert query_encoder.read_settings(str(folder), model.digest) is None


def test_a_cache_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "models" / "one"
    killed = tmp_path / "models" / "one.abc.tmp"
    killed.mkdir(parents=True)

    def fail(folder: str) -> None:
        (Path(folder) / "half").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(CannotGoOn, match="No space left on device"):
        model_cache.create(str(target), fail)
    assert [name for name in os.listdir(target.parent) if not name.endswith(".lock")] == []
    model_cache.create(str(target), lambda folder: (Path(folder) / "file").write_text("whole") and None)
    assert (target / "file").read_text() == "whole"
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    model_cache.create(str(target), fail)  # it is there: nothing is made
