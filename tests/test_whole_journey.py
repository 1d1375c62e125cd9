"""Index, vectors, search, each script in a process of its own as from a shell, on the sample pictures."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ollama_server import OllamaServer
from running import ROOT, run_script

from image_catalog import exif
from image_catalog.catalog_search import kilometres_between

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

SAMPLES = ROOT / "samples"
CAPTIONS = json.loads((SAMPLES / "captions.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with images.db and image_index.faiss of the samples, described in Russian."""
    folder = tmp_path_factory.mktemp("journey")
    with OllamaServer(SAMPLES) as server:
        indexed = run_script("index_images.py", SAMPLES, "-r", "-q", "--host", server.url, "--language", "ru", cwd=folder)
        assert (indexed.returncode, indexed.stderr) == (0, "")
        assert server.times_described().total() == len(CAPTIONS)
    embedded = run_script("create_faiss_index.py", cwd=folder)
    assert embedded.returncode == 0, embedded.stderr
    yield folder


def found(folder: Path, *arguments: str) -> list[str]:
    """Relative paths of what a search finds, best first."""
    done = run_script("search_images.py", *arguments, "--paths", cwd=folder)
    assert done.returncode in (0, 1), done.stderr
    return [os.path.relpath(line, SAMPLES) for line in done.stdout.splitlines()]


def test_every_sample_has_its_own_description(journey: Path) -> None:
    db = sqlite3.connect(journey / "images.db")
    rows = dict(db.execute("SELECT path, description FROM images WHERE state = 'described'"))
    db.close()
    assert {os.path.relpath(path, SAMPLES): text for path, text in rows.items()} == {
        name: entry["ru"] for name, entry in CAPTIONS.items()
    }


@pytest.mark.parametrize("query", ["горы на закате", "sunset in the mountains"])
def test_mountains_at_sunset_come_first_in_both_languages(journey: Path, query: str) -> None:
    (expected,) = [name for name, entry in CAPTIONS.items() if "горы на закате" in entry["queries_ru"]]
    assert found(journey, query)[0] == expected


def test_what_people_type_finds_the_picture(journey: Path) -> None:
    """Each sample has two Russian queries of its own: its picture is first for most, in the first three for nearly all."""
    ranks = []
    for name, entry in CAPTIONS.items():
        for query in entry["queries_ru"]:
            names = found(journey, query, "-n", str(len(CAPTIONS)))
            ranks.append(names.index(name) if name in names else len(CAPTIONS))
    assert sum(rank == 0 for rank in ranks) >= 0.8 * len(ranks)
    assert sum(rank < 3 for rank in ranks) >= 0.95 * len(ranks)


@pytest.mark.parametrize("limit", ["2", "10"])
@pytest.mark.parametrize("query", [[], ["стрекоза на ветке"], ["drum"], ["no such words"]])
def test_filters_return_exactly_the_right_ones_and_are_never_short(journey: Path, query: list[str], limit: str) -> None:
    """Canon in Sochi since June 2023, told by their EXIF; a query only orders them."""
    right = set()
    for name in CAPTIONS:
        its = exif.read(str(SAMPLES / name))
        near = its.latitude is not None and kilometres_between(its.latitude, its.longitude or 0.0, 43.599, 39.726) <= 10
        if near and (its.taken_at or "") >= "2023-06" and its.camera_make == "Canon":
            right.add(name)
    assert len(right) == 2
    filters = ["--near", "Сочи", "--after", "2023-06", "--camera", "canon", "-n", limit]
    assert set(found(journey, *query, *filters)) == right
    for dropped in range(0, 6, 2):  # each of the three has something to keep out
        assert len(found(journey, *filters[:dropped], *filters[dropped + 2 : 6])) > len(right)


def test_the_stock_shell_and_plain_faiss_open_both_files(journey: Path) -> None:
    query = "SELECT path FROM images JOIN images_fts ON images.id = images_fts.rowid WHERE images_fts MATCH 'закате OR sunset'"
    shell = subprocess.run(["sqlite3", str(journey / "images.db"), query], capture_output=True, text=True)
    assert (shell.returncode, shell.stderr) == (0, "")
    assert "IMG_3124.jpg" in shell.stdout
    import faiss

    index = faiss.read_index(str(journey / "image_index.faiss"))
    db = sqlite3.connect(journey / "images.db")
    ids = {row[0] for row in db.execute("SELECT id FROM images")}
    db.close()
    assert set(faiss.vector_to_array(faiss.downcast_index(index).id_map)) == ids


def test_a_second_run_of_each_step_has_nothing_to_do(journey: Path) -> None:
    before = (journey / "image_index.faiss").stat().st_mtime_ns
    indexed = run_script("index_images.py", SAMPLES, "-r", cwd=journey)  # no server is there any more
    assert (indexed.returncode, indexed.stderr) == (0, "")
    assert f"{len(CAPTIONS)} unchanged" in indexed.stdout
    embedded = run_script("create_faiss_index.py", cwd=journey)
    assert embedded.returncode == 0
    assert (journey / "image_index.faiss").stat().st_mtime_ns == before


def test_one_new_picture_costs_one_vector(journey: Path, tmp_path: Path) -> None:
    for file in ("images.db", "image_index.faiss"):
        (tmp_path / file).write_bytes((journey / file).read_bytes())
    photos = tmp_path / "photos"
    photos.mkdir()
    from ollama_pictures import numbered_picture

    numbered_picture(42).save(photos / "new.png")
    with OllamaServer() as server:
        assert run_script("index_images.py", photos, "--host", server.url, cwd=tmp_path).returncode == 0
    embedded = run_script("create_faiss_index.py", "--json", cwd=tmp_path)
    assert embedded.returncode == 0, embedded.stderr
    assert json.loads(embedded.stdout)["embedded"] == 1


def test_without_the_index_or_with_a_damaged_one_words_still_find(journey: Path, tmp_path: Path) -> None:
    (tmp_path / "images.db").write_bytes((journey / "images.db").read_bytes())
    done = run_script("search_images.py", "закат", "--paths", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout
    assert "create_faiss_index.py" in done.stderr
    (tmp_path / "image_index.faiss").write_bytes((journey / "image_index.faiss").read_bytes()[:-100])
    damaged = run_script("search_images.py", "закат", "--paths", cwd=tmp_path)
    assert (damaged.returncode, damaged.stdout) == (0, done.stdout)
    assert "Traceback" not in damaged.stderr


def test_before_anything_is_there_each_script_says_what_to_run(tmp_path: Path) -> None:
    for script, arguments, named in (
        ("search_images.py", ["dog"], "index_images.py"),
        ("create_faiss_index.py", [], "index_images.py"),
    ):
        done = run_script(script, *arguments, cwd=tmp_path)
        assert done.returncode == 3
        assert len(done.stderr.splitlines()) == 1
        assert named in done.stderr
        assert list(tmp_path.iterdir()) == []
