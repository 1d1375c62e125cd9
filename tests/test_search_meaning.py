"""search_images.py by meaning: a real embedding model, a real vector index, each script in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import real_models
import search_catalogs
from ollama_pictures import numbered_picture
from ollama_server import OllamaServer
from PIL import Image
from running import ROOT, run_script

from image_catalog.catalog import Catalog

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

TEXTS = {
    "beach.jpg": "A brown dog runs along the sandy shore at sunset.",
    "cake.jpg": "A chocolate cake with candles stands on a kitchen table.",
    "train.jpg": "A steam locomotive waits at a railway station.",
    "mountain.jpg": "Snow-covered peaks rise above a green valley.",
    "car.jpg": "An old red car is parked in front of a white house, its plate says KX 4821.",
    "party.jpg": "Friends celebrate a birthday with balloons and music.",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images.db and image_index.faiss of TEXTS, as create_faiss_index.py leaves them."""
    real_models.use_own_cache()
    folder = tmp_path_factory.mktemp("meaning")
    search_catalogs.make(folder / "images.db", TEXTS)
    done = run_script("create_faiss_index.py", "--model", real_models.english_folder(), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def search(folder: Path, *arguments: str | Path) -> list[dict[str, object]]:
    done = run_script("search_images.py", "--json", *arguments, cwd=folder)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def names(found: list[dict[str, object]]) -> list[str]:
    return [os.path.basename(str(picture["path"])) for picture in found]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("puppy at the seaside", "beach.jpg"),
        ("dessert", "cake.jpg"),
        ("rail transport", "train.jpg"),
        ("alpine landscape", "mountain.jpg"),
        ("KX-4821", "car.jpg"),
        ("people having fun", "party.jpg"),
    ],
)
def test_meaning_and_words_find_what_neither_finds_alone(folder: Path, query: str, name: str) -> None:
    found = search(folder, query)
    assert names(found)[0] == name
    assert (found[0]["mode"], len(found)) == ("hybrid", len(TEXTS))


def test_modes(folder: Path) -> None:
    assert search(folder, "dessert", "--mode", "text") == []
    (first, *_) = search(folder, "dessert", "--mode", "semantic")
    assert (first["mode"], first["coverage"]) == ("semantic", 0)
    assert first["score"] == first["cosine"]
    assert 0.2 < float(str(first["cosine"])) < 1


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
def test_a_query_that_the_model_cannot_read_is_answered_by_words(folder: Path, tmp_path: Path, mode: str) -> None:
    """Its vector would be noise: without this the words' own answer goes down among pictures that are like nothing."""
    for name in ("images.db", "image_index.faiss"):
        shutil.copy(folder / name, tmp_path / name)
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        catalog.update_image(1, {"facts": "собака", "stems": "собак"})
    done = run_script("search_images.py", "--json", "--mode", mode, "собаки", cwd=tmp_path)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(os.path.basename(picture["path"]), picture["mode"]) for picture in found] == [("beach.jpg", "text")]
    assert "does not read the language of this query" in done.stderr
    assert search(tmp_path, "dessert")[0]["mode"] == "hybrid"


def test_readable_output_names_the_meaning(folder: Path) -> None:
    done = run_script("search_images.py", "dessert", "-n", "1", cwd=folder)
    assert "meaning #1, 0." in done.stdout
    assert "words" not in done.stdout
    both = run_script("search_images.py", "red car", "-n", "1", cwd=folder).stdout
    assert "words #1: red, car · meaning #1, 0." in both
    alone = run_script("search_images.py", "red car", "-n", "1", "--mode", "semantic", cwd=folder).stdout
    assert " · meaning 0." in alone  # its list is the order by meaning
    assert "#" not in alone
    assert done.stderr.endswith(f"searched {len(TEXTS)} of {len(TEXTS)}\n")


@pytest.mark.parametrize("query", ["a dog in front of a white house", "red sunset", "birthday cake on a green table"])
def test_ranks_are_the_places_that_each_leg_gives_alone(folder: Path, query: str) -> None:
    why = {str(picture["path"]): picture["why"] for picture in search(folder, query)}
    by_meaning = [str(picture["path"]) for picture in search(folder, query, "--mode", "semantic")]
    assert {path: its["rank_meaning"] for path, its in why.items()} == {path: at for at, path in enumerate(by_meaning, 1)}
    by_words = search(folder, query, "--mode", "text")
    covered = [float(str(picture["coverage"])) for picture in by_words]
    expected = {
        str(its["path"]): 1 + sum(other > share for other in covered) for its, share in zip(by_words, covered, strict=True)
    }
    assert {path: its["rank_text"] for path, its in why.items() if its["rank_text"]} == expected
    assert 1 < len(expected) < len(TEXTS)


def test_what_fits_nothing_is_said(folder: Path, tmp_path: Path) -> None:
    """An embedding model finds something near to anything; how near is nothing, is measured when the index is made."""
    for question in ("tax return form", "theory of grammar", "quantum chromodynamics"):
        done = run_script("search_images.py", question, "-n", "2", cwd=folder)
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, "nothing fits well; the nearest:"), question
        assert all(picture["weak"] for picture in search(folder, question))
    for question in ("puppy at the seaside", "dessert", "KX 4821", "old stuff in front of a house"):
        assert not search(folder, question)[0]["weak"], question
        assert "nothing fits" not in run_script("search_images.py", question, cwd=folder).stdout
    # What is like a picture is no question; and words that are there fit whatever the model thinks.
    assert not search(folder, "--like", "/photos/cake.jpg")[0]["weak"]
    newest = search(folder, "tax return form", "--sort", "date", "--limit", "1")
    assert len(newest) == 1
    page = tmp_path / "page.html"
    assert run_script("search_images.py", "tax return form", "--html", page, cwd=folder).returncode == 0
    assert "Nothing fits well; the nearest" in page.read_text(encoding="utf-8")


def test_torch_is_not_loaded(folder: Path) -> None:
    program = (
        "import sys, search_images\n"
        f"code = search_images.main(['--db', {str(folder / 'images.db')!r}, '-q', 'dessert'])\n"
        "print(code, *(name for name in ('torch', 'transformers', 'sentence_transformers', 'requests') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "0", done.stderr


def test_like_a_picture_of_the_catalog_and_unlike_a_text(folder: Path) -> None:
    found = names(search(folder, "--like", "/photos/cake.jpg"))
    assert found[0] == "party.jpg"
    assert "cake.jpg" not in found
    both = names(search(folder, "celebration", "--not", "cake, candles"))
    assert both[0] == "party.jpg"
    assert "cake.jpg" not in both  # by words, too, it is what is not wanted
    moved = names(search(folder, "celebration", "--not", "cake, candles", "--mode", "semantic"))
    assert moved.index("party.jpg") < moved.index("cake.jpg")


def test_like_a_new_picture_takes_its_caption_where_captions_are_descriptions(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    exif = Image.Exif()
    exif[0x010E] = "A chocolate cake with candles"
    numbered_picture(7, (320, 240)).save(tmp_path / "new.jpg", exif=exif)
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        catalog.keep_setting("engine", "captions")
    found = search(tmp_path, "--like", "new.jpg")
    assert names(found)[0] == "cake.jpg"


def test_like_a_new_picture_describes_it_first(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    numbered_picture(7, (320, 240)).save(tmp_path / "new.png")
    with OllamaServer() as server:
        with Catalog.open(str(tmp_path / "images.db")) as catalog:
            catalog.keep_setting("hosts", json.dumps([server.url]))
            catalog.keep_setting("language", "en")
            search_catalogs.add(catalog, os.fsencode(tmp_path / "new.png"), state="waiting", facts="2023")
        found = search(tmp_path, "--like", "new.png")
        assert len(server.calls) == 1
    assert len(found) == len(TEXTS)
    done = run_script("search_images.py", "--like", "none.png", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)


def test_like_what_is_no_picture_is_one_line_and_3(folder: Path, tmp_path: Path) -> None:
    """1 would mean that nothing is similar."""
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("text.jpg", "empty.jpg", "pipe.jpg", ".", "none.jpg"):
        done = run_script("search_images.py", "--like", tmp_path / name, cwd=folder)
        lines = [line for line in done.stderr.splitlines() if "looks at it first" not in line]
        assert (done.returncode, len(lines)) == (3, 1), (name, done.stderr)
        assert "--like" in lines[0] or "; " in lines[0]


def test_an_index_that_is_behind_says_so(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        search_catalogs.add(catalog, b"/photos/lighthouse.jpg", description="A lighthouse on a cliff")
        catalog.mark_gone([1])
    done = run_script("search_images.py", "lighthouse", "--paths", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "/photos/lighthouse.jpg"
    assert "/photos/beach.jpg" not in done.stdout
    assert "searched 6 of 6; index 1 behind: run python create_faiss_index.py" in done.stderr
    by_meaning = run_script("search_images.py", "lighthouse", "--mode", "semantic", "--paths", cwd=tmp_path)
    assert "lighthouse.jpg" not in by_meaning.stdout
    assert "searched 5 of 6; index 1 behind" in by_meaning.stderr


@pytest.mark.parametrize("output", ["--paths", "-0", "--csv"])
def test_a_bare_list_says_what_is_weaker(output: str, folder: Path) -> None:
    done = run_script("search_images.py", "chocolate cake", output, "-n", "3", cwd=folder)
    assert "2 of these 3 are weaker matches (weak in --json)" in done.stderr.splitlines()[-2]
    quiet = run_script("search_images.py", "chocolate cake", output, "-n", "3", "-q", cwd=folder)
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")


def test_an_index_with_a_flipped_bit_is_not_believed(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    index = tmp_path / "image_index.faiss"
    content = bytearray(index.read_bytes())
    content[len(content) // 2] ^= 1
    index.write_bytes(content)
    done = run_script("search_images.py", "car", "--paths", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "/photos/car.jpg\n")
    assert len(done.stderr.splitlines()) == 1
    assert "damaged" in done.stderr
