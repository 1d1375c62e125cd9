"""search_images.py by words: finding, filters, what is printed, and that no query can break it."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import ROOT, run_script

import search_images
from image_catalog import command_line, words
from image_catalog.catalog import Catalog

PICTURES: dict[str, dict[str, Any]] = {
    "собака.jpg": {
        "description": "Рыжая собака бежит по песчаному пляжу на закате.",
        "tags": '["собака", "пляж", "закат"]',
        "taken_at": "2023-01-07T16:20:00",
        "camera_make": "Canon",
        "camera_model": "EOS 5D",
        "latitude": 43.585,
        "longitude": 39.723,
        "place": "Sochi, Russia",
        "facts": "winter зима Sochi Сочи Canon 2023",
        "format": "JPEG",
        "width": 4000,
        "height": 3000,
    },
    "ёлка.png": {
        "description": "Новогодняя ёлка с красными шарами стоит у окна.",
        "tags": '["ёлка"]',
        "taken_at": "2022-12-31T23:00:00",
        "format": "PNG",
        "width": 800,
        "height": 600,
    },
    "car.jpg": {
        "description": "A red car is parked by a white house. A dog runs beside it.",
        "visible_text": "KX 4821",
        "taken_at": "2023-06-15T12:00:00",
        "camera_make": "NIKON CORPORATION",
        "camera_model": "NIKON D90",
        "format": "JPEG",
        "width": 1200,
        "height": 900,
    },
    "blue.jpg": {"description": "A blue car and a red bus on a street in the rain.", "taken_at": "2021-03-01T08:00:00"},
    "waiting.jpg": {"state": "waiting", "facts": "lighthouse маяк 2020", "caption": None},
    "broken.jpg": {"state": "failed", "failure_reason": "cut"},
    "gone.jpg": {"description": "A red car that was deleted.", "gone_at": "2024-01-01T00:00:00Z"},
}


def add(catalog: Catalog, path: bytes, columns: dict[str, Any]) -> None:
    base = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1, "device": 1, "state": "described"}
    texts = [columns.get(name) or "" for name in ("description", "tags", "visible_text", "caption", "facts")]
    catalog.insert_image(path, {**base, **columns, "stems": words.stems(" ".join(texts))})


@pytest.fixture
def db(tmp_path: Path) -> str:
    path = str(tmp_path / "images.db")
    with Catalog.open(path) as catalog:
        for name, columns in PICTURES.items():
            add(catalog, f"/photos/{name}".encode(), columns)
    return path


Search = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def search(db: str, capsys: pytest.CaptureFixture[str]) -> Search:
    """Run a text search in this process: exit code, names found, stderr."""

    def run(*arguments: str) -> tuple[int, list[str], str]:
        code = command_line.run_script(search_images.main, ["--db", db, "--mode", "text", "--paths", *arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, [os.path.basename(line) for line in captured.out.splitlines()], captured.err

    return run


@pytest.mark.parametrize("query", ["собака", "собаки", "собакой", "Собаке", "СОБАКА пляж", "закат", "зима Сочи canon"])
def test_russian_word_forms_find_one_picture(search: Search, query: str) -> None:
    assert search(query)[:2] == (0, ["собака.jpg"])


@pytest.mark.parametrize("query", ["елка", "ёлка", "ЕЛКИ", "ёлкой"])
def test_yo_is_ye(search: Search, query: str) -> None:
    assert search(query)[:2] == (0, ["ёлка.png"])


def test_running_finds_runs(search: Search) -> None:
    assert search("running")[1] == ["car.jpg"]


def test_more_of_the_query_comes_first(search: Search) -> None:
    assert search("red car")[1] == ["car.jpg", "blue.jpg"] or search("red car")[1] == ["blue.jpg", "car.jpg"]
    assert search("white house red car")[1] == ["car.jpg", "blue.jpg"]
    assert search("blue red car")[1] == ["blue.jpg", "car.jpg"]


def test_phrases_prefixes_and_exclusions(search: Search) -> None:
    assert search('"red car"')[1] == ["car.jpg"]
    assert search("car -rain")[1] == ["car.jpg"]
    assert search("KX-4821")[1] == ["car.jpg"]
    assert search("лайтх маяк")[1] == ["waiting.jpg"]
    assert search("новогод*")[1] == ["ёлка.png"]
    assert search("--", "-car")[1] == ["собака.jpg", "ёлка.png", "waiting.jpg", "broken.jpg"]


def test_a_gone_picture_is_never_found(search: Search) -> None:
    assert search("deleted")[:2] == (1, [])


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["--after", "2023"], ["car.jpg", "собака.jpg"]),
        (["--before", "2022"], ["blue.jpg"]),
        (["--after", "2022-12", "--before", "2023-02"], ["собака.jpg", "ёлка.png"]),
        (["--camera", "canon"], ["собака.jpg"]),
        (["--camera", "d90"], ["car.jpg"]),
        (["--camera", "%"], []),
        (["--near", "43.6,39.7"], ["собака.jpg"]),
        (["--near", "43.6,39.7,1"], []),
        (["--format", "png"], ["ёлка.png"]),
        (["--format", "jpg"], ["car.jpg", "собака.jpg"]),
        (["--tag", "пляж"], ["собака.jpg"]),
        (["--min-size", "1200"], ["car.jpg", "собака.jpg"]),
        (["--folder", "/photos", "--after", "2023-06"], ["car.jpg"]),
        (["--folder", "/photo"], []),
    ],
)
def test_filters_alone_list_newest_first(search: Search, filters: list[str], names: list[str]) -> None:
    code, found, _ = search(*filters)
    assert found == names
    assert code == (0 if names else 1)


def test_a_filter_before_ranking_never_makes_the_list_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "images.db")
    with Catalog.open(path) as catalog, catalog.transaction():
        for number in range(2000):
            year = "2001" if number >= 1990 else "2020"
            text = "a dog" if number >= 1990 else "a dog and a dog and a dog"
            add(catalog, b"/%d.jpg" % number, {"description": text, "taken_at": f"{year}-01-01T00:00:00"})
    arguments = ["--db", path, "--mode", "text", "dog", "--before", "2002", "--paths"]
    assert command_line.run_script(search_images.main, arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


@pytest.mark.parametrize(
    "arguments",
    [[], [""], ["   "], ["x", "--after", "yesterday"], ["x", "--after", "2023-13"], ["x", "--before", "2023-02-30"]]
    + [["x", "--near", "91,0"], ["x", "--near", "a,b"], ["x", "--near", "1"], ["x", "--near", "1,2,0"], ["x", "--near", "nan,1"]]
    + [["a AND", "--fts-syntax"], ["nocolumn:x", "--fts-syntax"]],
)
def test_impossible_questions_end_with_2_and_one_line(search: Search, arguments: list[str]) -> None:
    code, found, error = search(*arguments)
    assert (code, found) == (2, [])
    assert len(error.splitlines()) == 1


def test_fts_syntax_on_purpose(search: Search) -> None:
    assert search("--fts-syntax", "car NOT blue")[1] == ["car.jpg"]


def test_coverage_is_told_honestly(search: Search) -> None:
    assert "searched 4 of 6; 1 waiting, 1 failed" in search("dog")[2]


def test_nothing_found_names_words_that_exist(search: Search) -> None:
    code, _, error = search("сабака")
    assert code == 1
    assert "did you mean" in error or "nothing found" in error
    assert "parked" in search("parkd")[2]


def test_limit_and_offset_page_through(search: Search) -> None:
    everything = search("--after", "2000", "-n", "100")[1]
    pages = [search("--after", "2000", "-n", "2", "--offset", str(start))[1] for start in range(0, 4, 2)]
    assert [name for page in pages for name in page] == everything


def output(db: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(ROOT / "search_images.py"), "--db", db, "--mode", "text", *arguments]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, cwd=ROOT)


def test_json_has_path_description_and_why(db: str) -> None:
    lines = output(db, "red car", "--json").stdout.decode().splitlines()
    first = json.loads(lines[0])
    assert first["path"].startswith("/photos/")
    assert "red" in first["description"]
    assert first["coverage"] == 1.0
    assert isinstance(first["tags"], list)


def test_readable_output_shows_path_date_place_and_description(db: str) -> None:
    text = output(db, "собака").stdout.decode()
    assert "/photos/собака.jpg" in text
    assert "2023-01-07" in text
    assert "Sochi, Russia" in text
    assert "Рыжая собака бежит" in text
    assert "\x1b" not in text  # no terminal, no colour


def test_csv_is_a_table_and_runs_no_formula(db: str) -> None:
    with Catalog.open(db) as catalog:
        add(catalog, b"/photos/evil.jpg", {"description": "=HYPERLINK(1) zebra"})
    rows = list(csv.reader(io.StringIO(output(db, "zebra", "--csv").stdout.decode())))
    assert rows[0] == ["path", "score", "taken_at", "place", "description"]
    assert rows[1][4] == "'=HYPERLINK(1) zebra"


def test_a_name_that_is_not_utf8_is_shown_escaped_and_given_raw(db: str) -> None:
    with Catalog.open(db) as catalog:
        add(catalog, b"/photos/caf\xe9\x1b\n.jpg", {"description": "A zebra\x1b[31m \u202eat rest"})
    assert output(db, "zebra", "-0").stdout == b"/photos/caf\xe9\x1b\n.jpg\0"
    assert output(db, "zebra", "--paths").stdout == b"/photos/caf\\xe9\\x1b\\n.jpg\n"
    for arguments in (["zebra"], ["zebra", "--csv"], ["zebra", "--json"]):
        shown = output(db, *arguments).stdout.decode("utf-8")
        assert not any(ord(char) < 32 and char != "\n" for char in shown)
        assert "\u202e" not in shown
    path = json.loads(output(db, "zebra", "--json").stdout)["path"]
    assert os.fsencode(path) == b"/photos/caf\xe9\x1b\n.jpg"


def test_a_closed_pipe_is_quiet(db: str) -> None:
    with Catalog.open(db) as catalog, catalog.transaction():
        for number in range(3000):
            add(catalog, b"/many/%d.jpg" % number, {"description": "zebra " * 100})
    command = f'set -o pipefail; "{sys.executable}" search_images.py --db "{db}" --mode text zebra -n 3000 -q | head -1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1


def test_it_answers_the_same_in_a_c_locale_and_with_a_strict_stream(db: str) -> None:
    normal = output(db, "собака").stdout
    assert output(db, "собака", LANG="C", LC_ALL="C").stdout == normal
    assert output(db, "собака", PYTHONIOENCODING="utf-8:strict").stdout == normal


ODD = [
    '"',
    '""',
    "multi-agent",
    "NEAR(",
    "*",
    "a AND",
    "NOT",
    "OR",
    "(",
    ")",
    "a:b",
    "^x",
    "+",
    "-",
    "--",
    "don't",
    "C++",
    "a\x00b",
]
ODD += [
    "{a b}: c",
    "😀",
    "\ud83d",
    "e\u0301",
    "'; DROP TABLE images; --",
    "%",
    "_",
    "a" * 200_000,
    "слово " * 30_000,
    "\t\n",
    "ﬁ",
    "İ",
]


@pytest.mark.parametrize("query", ODD, ids=range(len(ODD)))
def test_no_odd_query_breaks_it(search: Search, query: str) -> None:
    code, _, error = search("--", query)
    assert code in (0, 1) or (code == 2 and not query.strip())
    assert "internal error" not in error


def test_generated_queries_never_raise(db: str) -> None:
    from image_catalog import search

    chance = random.Random(7)
    parts = [
        '"',
        "*",
        "^",
        "(",
        ")",
        ":",
        "-",
        "+",
        "{",
        "}",
        " ",
        "NEAR",
        "AND",
        "OR",
        "NOT",
        "собака",
        "car",
        "ё",
        "\x00",
        "😀",
    ]
    parts += ["\u202e", "'", "\\", ";", "stems", "rowid", "5d", "٣", "猫", "\n"]
    with Catalog.open_for_reading(db) as catalog:
        for _ in range(3000):
            text = "".join(chance.choice(parts) for _ in range(chance.randint(1, 12)))
            search.run(catalog, search.Request(text, "text"), lambda: pytest.fail("meaning is not asked for"))


def test_without_a_catalog_it_says_what_to_run(tmp_path: Path) -> None:
    done = run_script("search_images.py", "dog", cwd=tmp_path)
    assert done.returncode == 3
    assert "index_images.py" in done.stderr
    assert list(tmp_path.iterdir()) == []
