"""search_images.py as its user runs it, by words: what is printed and where, exit codes, and that no query can break it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import picture_files
import pytest
import search_catalogs
from running import ROOT, run_script

import search_images
from image_catalog import command_line, search_output
from image_catalog.catalog import Catalog


@pytest.fixture
def db(tmp_path: Path) -> str:
    return search_catalogs.make(tmp_path / "images.db")


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


def output(db: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(ROOT / "search_images.py"), "--db", db, "--mode", "text", *arguments]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, cwd=ROOT)


# Questions


@pytest.mark.parametrize("query", ["собака", "собакой", "СОБАКА пляж", "зима Сочи canon", "camera:canon after:2023"])
def test_words_and_filters_find(search: Search, query: str) -> None:
    assert search(query)[:2] == (0, ["собака.jpg"])


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["--after", "2022-12", "--before", "2023-02"], ["собака.jpg", "ёлка.png"]),
        (["--near", "Сочи", "--after", "2023", "--camera", "canon"], ["собака.jpg"]),
        (["--tag", "пляж", "--tag", "закат"], ["собака.jpg"]),
        (["--orientation", "portrait"], ["ёлка.png"]),
        (["--has-text"], ["car.jpg"]),
        (["--min-size", "1200", "--format", "jpg", "--sort", "path"], ["car.jpg", "собака.jpg"]),
        (["--folder", "/nowhere"], []),
    ],
)
def test_filters_alone_list(search: Search, filters: list[str], names: list[str]) -> None:
    code, found, _ = search(*filters)
    assert (code, found) == (0 if names else 1, names)


def test_places_south_and_west_need_no_equals_sign(db: str, search: Search) -> None:
    with Catalog.open(db) as catalog:
        search_catalogs.add(catalog, b"/photos/rio.jpg", latitude=-22.9, longitude=-43.2)
    assert search("--near", "-22.9,-43.2")[:2] == (0, ["rio.jpg"])
    assert search("--near=-22.9,-43.2,5", "--min-score", "-1")[1] == ["rio.jpg"]
    assert len(search("car", "--min-score", "-.5")[1]) == 2
    assert search("--", "car", "-22.9")[:2] == (0, search("car")[1])  # after -- all is words, and a word to be missing


def test_several_arguments_are_one_query_and_a_dash_excludes(search: Search) -> None:
    assert search("red", "car")[1] == ["car.jpg", "blue.jpg"] or search("red", "car")[1] == ["blue.jpg", "car.jpg"]
    assert search("--", "car", "-rain")[1] == ["car.jpg"]
    assert search("car", "--not", "red bus")[1] == ["car.jpg"]


def test_the_folder_may_be_a_link(db: str, search: Search, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with Catalog.open(db) as catalog:
        search_catalogs.add(catalog, os.fsencode(os.path.realpath(tmp_path / "real" / "x.jpg")), description="x")
    assert search("--folder", str(tmp_path / "link"))[1] == ["x.jpg"]


@pytest.mark.parametrize(
    "arguments",
    [[], [""], ["   "], ["x", "--after", "someday"], ["x", "--after", "2023-13"], ["x", "--before", "2023-02-30"]]
    + [["x", "--near", place] for place in ("91,0", "1", "1,2,0", "nan,1", "Атлантида")]
    + [["x", "--camera", "%"], ["x", "--format", "docx"], ["x", "--tag", ""], ["x", "--orientation", "up"]]
    + [["x", "-n", "abc"], ["x", "--min-score", "nan"], ["x", "--near", ",5"], ["--html", "", "x"], ["--like", "", "x"]]
    + [
        ["x", "--json", "--csv"],
        ["x", "--paths", "--html", "f.html"],
        ["-night sky"],
        ["-house", "church"],
        ["-quiet"],
        ["-qn", "3", "x", "--limit", "abc"],
    ]
    + [["a AND", "--fts-syntax"], ["nocolumn:x", "--fts-syntax"], ["--like", "photo.jpg", "--mode", "semantic", "--limit", "0"]],
)
def test_impossible_questions_end_with_2_and_one_line(
    search: Search, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code, found, error = search(*arguments)
    except SystemExit as end:  # argparse's own
        assert end.code == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert ("goes after --" in error) == (arguments[0] in ("-night sky", "-house", "-quiet"))
        assert "positive_int" not in error
        return
    assert (code, found) == (2, [])
    assert len(error.splitlines()) == 1


def test_fts_syntax_on_purpose(search: Search) -> None:
    assert search("--fts-syntax", "car NOT blue")[1] == ["car.jpg"]
    assert search("--fts-syntax", "car", "--not", "blue")[1] == ["car.jpg"]
    assert search("--fts-syntax", "car", "--folder", "/elsewhere")[1] == []
    for mode in (["--mode", "semantic"], ["--like", "x.jpg"]):
        assert search("--fts-syntax", "car", *mode)[0] == 2


def test_limit_and_offset_page_through(search: Search) -> None:
    everything = search("--after", "2000", "-n", "100")[1]
    pages = [search("--after", "2000", "-n", "2", "--offset", str(start))[1] for start in range(0, 4, 2)]
    assert [name for page in pages for name in page] == everything


def test_a_limit_beyond_all_numbers_is_no_limit(search: Search) -> None:
    assert len(search("--folder", "/photos", "-n", "9" * 30)[1]) == 6
    assert search("car", "--offset", "9" * 30)[:2] == (1, [])


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
ODD += ["near:", "after:x", "camera:%", 'tag:"', "near:1,2,3,4", "red-car", "what?", '"abc', "\u202e"]


@pytest.mark.parametrize("query", ODD, ids=range(len(ODD)))
def test_no_odd_query_breaks_it(search: Search, query: str) -> None:
    code, _, error = search("--", query)
    assert code in (0, 1) or (code == 2 and not query.strip())
    assert "internal error" not in error


def test_without_a_catalog_it_says_what_to_run(tmp_path: Path) -> None:
    done = run_script("search_images.py", "dog", cwd=tmp_path)
    assert done.returncode == 3
    assert "index_images.py" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_catalog_file_is_one_line_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, said in ((tmp_path, "is a folder"), (tmp_path / "pipe", "is no file")):
        done = run_script("search_images.py", "--db", path, "dog", cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
        assert said in done.stderr


def test_without_a_vector_index_words_answer_with_one_warning(db: str, tmp_path: Path) -> None:
    done = run_script("search_images.py", "--db", db, "собака", "--paths", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "/photos/собака.jpg\n")
    warning, last = done.stderr.splitlines()
    assert "create_faiss_index.py" in warning
    assert "searched 4 of 6" in last


@pytest.mark.parametrize("content", [b"", b"no index at all", b"IxMp" + bytes(500)])
def test_a_damaged_vector_index_is_one_warning(db: str, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image_index.faiss").write_bytes(content)
    done = run_script("search_images.py", "--db", db, "собака", "--paths", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "/photos/собака.jpg\n")
    assert len(done.stderr.splitlines()) == 1


# What is said beside the results


def test_coverage_is_told_honestly(search: Search) -> None:
    assert search("dog")[2].splitlines()[-1].endswith("searched 4 of 6; 1 waiting, 1 failed")


def test_nothing_found_names_words_that_exist(search: Search) -> None:
    code, _, error = search("сабака")
    assert code == 1
    assert "nothing found; did you mean: собака?" in error
    assert "did you mean: собака?" in search("cj,frf")[2]  # typed on the other keyboard
    assert "nothing found\n" in search("xyzzy")[2]


def test_a_word_that_is_in_no_picture_is_told_beside_what_was_found(search: Search) -> None:
    code, found, error = search("собака паркед пляжж")
    assert (code, found) == (0, ["собака.jpg"])
    assert "did you mean: пляж" in error


def test_quiet_is_quiet(search: Search) -> None:
    assert search("dog", "-q")[2] == ""
    assert search("сабака", "-q") == (1, [], "")


# What is printed


def test_readable_output_shows_path_date_place_reason_and_description(db: str) -> None:
    path, about, text = output(db, "собаки сочи").stdout.decode().splitlines()
    assert path == "/photos/собака.jpg"
    assert about == "    2023-01-07 · Сочи, Краснодарский край, Россия · words: собака · facts: Сочи"
    assert text == "    Рыжая собака бежит по песчаному пляжу на закате."
    assert "Sochi, Krasnodar Krai, Russia" in output(db, "canon").stdout.decode()


def test_pictures_without_a_description_say_why(db: str) -> None:
    text = output(db, "--folder", "/photos", "-n", "10").stdout.decode()
    assert "(not described yet)" in text
    assert "(could not be described: cut)" in text


def test_weaker_matches_are_told_apart(db: str) -> None:
    with Catalog.open(db) as catalog:
        search_catalogs.add(catalog, b"/photos/other.jpg", description="A red bicycle.")
    lines = output(db, "white house red car").stdout.decode().splitlines()
    assert lines.index("weaker matches:") == 3
    assert lines.count("weaker matches:") == 1
    assert {lines[4], lines[7]} == {"/photos/blue.jpg", "/photos/other.jpg"}


def test_equal_pictures_are_shown_once(db: str) -> None:
    with Catalog.open(db) as catalog:
        for name in (b"/a/zebra.jpg", b"/b/zebra.jpg"):
            search_catalogs.add(catalog, name, description="A zebra", content_hash="h")
    lines = output(db, "zebra").stdout.decode().splitlines()
    assert sorted((lines[0], lines[-1].removeprefix("    also "))) == ["/a/zebra.jpg", "/b/zebra.jpg"]
    assert output(db, "zebra", "--paths").stdout.count(b"\n") == 1


def on_terminal(db: str, *arguments: str, **environment: str) -> str:
    """What a search prints on a terminal."""
    reader, writer = pty.openpty()
    command = [sys.executable, str(ROOT / "search_images.py"), "--db", db, "--mode", "text", "-q", *arguments]
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | environment
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, env=variables)
    os.close(writer)
    assert done.returncode == 0, done.stderr
    printed = b""
    with contextlib.suppress(OSError):  # EIO: all is read, and the other end is closed
        while part := os.read(reader, 100_000):
            printed += part
    os.close(reader)
    return printed.decode()


def test_matching_words_are_lit_as_they_stand_in_the_text(db: str) -> None:
    printed = on_terminal(db, "собаки пляж")
    assert "Рыжая \x1b[1mсобака\x1b[0m бежит по песчаному \x1b[1mпляжу\x1b[0m на закате." in printed
    assert "\x1b" not in on_terminal(db, "собаки пляж", NO_COLOR="1")


def test_json_has_path_description_and_why(db: str) -> None:
    (line,) = output(db, "собаки сочи", "--json").stdout.decode().splitlines()
    found = json.loads(line)
    assert (found["path"], found["mode"], found["coverage"], found["score"]) == ("/photos/собака.jpg", "text", 1.0, 1.0)
    assert found["description"].startswith("Рыжая собака")
    assert found["tags"] == ["собака", "пляж", "закат"]
    assert found["why"] == {"words": ["собака"], "facts": ["Сочи"], "rank_text": 1, "rank_meaning": None}
    assert (found["weak"], found["other_paths"], found["keywords"]) == (False, [], [])
    assert output(db, "xyzzy", "--json").stdout == b""


def test_csv_is_a_table_and_runs_no_formula(db: str) -> None:
    cells = ("=HYPERLINK(1) zebra", "+zebra", "-zebra", "@zebra", "\tzebra", 'zebra, "quoted"\nline', "＝1+1 zebra")
    with Catalog.open(db) as catalog:
        for number, text in enumerate(cells):
            search_catalogs.add(catalog, b"/photos/zebra%d.jpg" % number, description=text)
    rows = list(csv.reader(io.StringIO(output(db, "zebra", "--csv", "--sort", "path").stdout.decode())))
    assert rows[0] == ["path", "score", "taken_at", "place", "description", "weak"]
    assert [row[4] for row in rows[1:5]] == ["'=HYPERLINK(1) zebra", "'+zebra", "'-zebra", "'@zebra"]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "＝")) for row in rows[1:] for cell in row)


def test_a_negative_number_is_one_and_a_number_of_a_formula_is_none() -> None:
    safe = search_output._formula_safe
    assert [safe(cell) for cell in ("-1.5", "+7", "=1", "@1", "-1+1", "7")] == ["-1.5", "+7", "'=1", "'@1", "'-1+1", "7"]


def test_a_name_that_is_not_utf8_is_shown_escaped_and_given_raw(db: str) -> None:
    with Catalog.open(db) as catalog:
        search_catalogs.add(catalog, b"/photos/caf\xe9\x1b\n.jpg", description="A zebra\x1b[31m \u202eat rest")
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
            search_catalogs.add(catalog, b"/many/%d.jpg" % number, description="zebra " * 100)
    command = f'set -o pipefail; "{sys.executable}" search_images.py --db "{db}" --mode text zebra -n 3000 -q | head -1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1


def test_it_answers_the_same_in_a_c_locale_and_with_a_strict_stream(db: str) -> None:
    normal = output(db, "собака").stdout
    assert output(db, "собака", LANG="C", LC_ALL="C").stdout == normal
    assert output(db, "собака", PYTHONIOENCODING="utf-8:strict").stdout == normal


# The page


def test_the_page_needs_nothing_but_itself(db: str, tmp_path: Path) -> None:
    picture = picture_files.save(tmp_path / "зебра & <b>.jpg", picture_files.scene(800, 600))
    with Catalog.open(db) as catalog:
        text = "<script>alert(1)</script> A zebra & a horse"
        search_catalogs.add(catalog, os.fsencode(picture), description=text, taken_at="2023-05-01T10:00:00")
        search_catalogs.add(catalog, b"/photos/lost zebra.jpg", description="A zebra whose file is not here")
    page = tmp_path / "page.html"
    done = output(db, "zebras", "--html", str(page), "-q")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"{page}\n", b"")
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") == 1
    assert html.count("no thumbnail") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt; A <mark>zebra</mark> &amp; a horse" in html
    assert "<script" not in html and "http://" not in html and "https://" not in html
    assert "default-src &#x27;none&#x27;" in html
    assert page.stat().st_mode & 0o077 == 0


def test_a_page_replaces_an_older_one_and_nothing_else(db: str, tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "photo.jpg"
    picture_files.save(picture, picture_files.scene(80, 60))
    before = picture.read_bytes()
    assert output(db, "собака", "--html", str(page)).returncode == 0
    link = tmp_path / "link.html"
    link.symlink_to(page)
    assert output(db, "ёлка", "--html", str(link)).returncode == 0
    assert link.is_symlink()
    link.unlink()
    assert "шарами" in page.read_text(encoding="utf-8")
    foreign = tmp_path / "other.html"
    foreign.write_text("<!DOCTYPE html><html><title>my own important page</title>")
    for file in (picture, tmp_path, foreign):
        done = output(db, "собака", "--html", str(file))
        assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
        assert (b"is no file" if file == tmp_path else b"it would be lost") in done.stderr
    assert picture.read_bytes() == before
    foreign.unlink()
    assert sorted(file.name for file in tmp_path.iterdir() if "images.db" not in file.name) == ["page.html", "photo.jpg"]


def test_weaker_matches_stand_apart_and_equal_files_are_named(db: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with Catalog.open(db) as catalog:
        for name in ("bus.jpg", "copy of bus.jpg"):
            search_catalogs.add(catalog, f"/photos/{name}".encode(), description="A red bus", content_hash="7" * 64)
    assert output(db, "red bus blue rain", "--html", str(page)).returncode == 0
    best, weaker = page.read_text(encoding="utf-8").split("<h2>Weaker matches</h2>")
    assert "blue.jpg" in best and "bus.jpg" not in best
    assert "Also: /photos/copy of bus.jpg" in weaker or "Also: /photos/bus.jpg" in weaker


def test_a_page_that_cannot_be_written_is_one_line(db: str, tmp_path: Path) -> None:
    done = output(db, "собака", "--html", str(tmp_path / "no" / "page.html"))
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
