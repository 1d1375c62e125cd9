"""browse_images.py as a server: what it answers, and to whom. The page in a browser is in test_page_*.py."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import picture_files
import pytest
from ollama_server import OllamaServer
from PIL import Image
from running import ROOT, run_script

from image_catalog.gallery.guard import HEADERS

SAMPLES = ROOT / "samples"
SECRET = "the words of a file that is nobody's business"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Page:
    """A running browse_images.py."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.port = int(re.findall(r":(\d+)/", url)[0])

    def ask(self, path: str, *, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()
        return found

    def get(self, path: str, **params: str | int) -> Any:
        """The JSON of a good answer."""
        answer = self.ask(f"{path}?{urlencode(params)}" if params else path)
        assert answer.status == 200, answer.body
        return answer.json()

    def raw(self, request: bytes) -> int:
        """The status of whatever these bytes get for an answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            line = connection.makefile("rb").readline()
        return int(line.split()[1])

    def id_of(self, name: str) -> int:
        return next(one["id"] for one in self.get("/api/search", limit=500)["results"] if one["name"] == name)

    def csrf(self, image_id: int) -> str:
        return str(self.get(f"/api/image/{image_id}")["csrf"])


@contextlib.contextmanager
def serving(database: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Page]:
    arguments = [] if "--port" in options else ["--port", "0"]
    command = [sys.executable, str(ROOT / "browse_images.py"), "--db", str(database), "--no-open", *arguments, *options]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **(environment or {})})
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http"), process.communicate()[1]
        yield Page(process, url)
    finally:
        process.terminate()
        said = process.communicate(timeout=20)[1]
        assert "Traceback" not in said, said


def make_catalog(folder: Path, *pictures: Path) -> Path:
    """A catalog of copies of `pictures` in folder/pictures, described by their captions."""
    (folder / "pictures").mkdir()
    for picture in pictures:
        shutil.copy(picture, folder / "pictures")
    return index(folder)


def index(folder: Path) -> Path:
    database = folder / "images.db"
    done = run_script("index_images.py", folder / "pictures", "-r", "-q", "--engine", "captions", "--db", database)
    assert done.returncode == 0, done.stderr
    return database


def sample(name: str) -> Path:
    return next(SAMPLES.rglob(name))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(SAMPLES, folder / "pictures")
    shutil.copy(sample("DSCN0417.jpg"), folder / "pictures" / "a copy.jpg")
    (folder / "pictures" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + b"no picture" * 50)
    run_script("index_images.py", folder / "pictures", "-r", "-q", "--engine", "captions", "--db", folder / "images.db")
    return folder / "images.db"


@pytest.fixture(scope="module")
def page(samples: Path) -> Iterator[Page]:
    with serving(samples) as page:
        yield page


# Starting and ending


def test_the_address_is_printed_and_is_of_this_machine_only(page: Page) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", page.url)
    with pytest.raises(OSError):
        socket.create_connection((_address_of_this_machine(), page.port), timeout=3).close()


def _address_of_this_machine() -> str:
    """An address that others could reach; 127.0.0.2 where there is no network: it is as little bound."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.2"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_at_once_even_with_open_connections(samples: Path, number: int, code: int) -> None:
    with serving(samples) as page, socket.create_connection(("127.0.0.1", page.port)) as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")  # never finished
        started = time.monotonic()
        page.process.send_signal(number)
        assert page.process.wait(timeout=10) == code
        assert time.monotonic() - started < 2


def test_no_catalog_no_page(tmp_path: Path) -> None:
    done = run_script("browse_images.py", "--no-open", "--db", tmp_path / "images.db")
    assert done.returncode == 3
    assert "there is no catalog here yet" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_said_and_without_a_name_the_next_is_taken(samples: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = run_script("browse_images.py", "--no-open", "--db", samples, "--port", port)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"127.0.0.1:{port}" in done.stderr and "--port" in done.stderr


def test_without_a_port_the_next_free_one_is_taken(samples: Path) -> None:
    command = [sys.executable, str(ROOT / "browse_images.py"), "--db", str(samples), "--no-open", "--json"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    try:
        ports = [json.loads(process.stdout.readline())["port"] for process in processes if process.stdout]
        assert len(set(ports)) == 2
    finally:
        for process in processes:
            process.terminate()
            process.communicate(timeout=10)


@pytest.mark.parametrize(
    "options", [["--port", "70000"], ["--port", "x"], ["--token", "short"], ["--thumbnails", "0"], ["--nothing"]]
)
def test_wrong_usage_is_one_line(options: list[str]) -> None:
    done = run_script("browse_images.py", *options)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_an_address_that_is_not_ours_is_said() -> None:
    done = run_script("browse_images.py", "--no-open", "--db", "/nonexistent/images.db", "--host", "203.0.113.7")
    assert done.returncode == 3


# Who may ask


@pytest.mark.parametrize(
    "path",
    ["/", "/status", "/api/search?q=a", "/api/nothing", "/image/1", "/image/999", "/thumb/1", "/static/base.css", "/?after=x"],
)
def test_every_answer_has_the_headers(page: Page, path: str) -> None:
    answer = page.ask(path)
    for name, value in HEADERS.items():
        assert answer.headers[name.lower()] == value
    assert "server" not in answer.headers
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:{port}", "127.0.0.1:1", "", "localhost@evil", "[::1].evil.example"],
)
def test_another_host_gets_nothing(page: Page, host: str) -> None:
    request = f"GET /api/search HTTP/1.1\r\nHost: {host.format(port=page.port)}\r\nConnection: close\r\n\r\n"
    assert page.raw(request.encode()) == 400


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_our_own_names_are_answered(page: Page, host: str) -> None:
    request = f"GET /api/search HTTP/1.1\r\nHost: {host.format(port=page.port)}\r\nConnection: close\r\n\r\n"
    assert page.raw(request.encode()) == 200


def test_no_host_or_two_get_nothing(page: Page) -> None:
    assert page.raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n") == 400
    two = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert page.raw(two.encode()) == 400


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/base.css%00.js",
        "/../../etc/passwd",
        "/thumb/../../../etc/passwd",
        "/thumb/%2e%2e%2f1",
        "/thumb/1%00",
        "/thumb/-1",
        "/thumb/1;2",
        "/original/0",
        "/original/99999999999999999999999999",
        "/picture/1/../../etc/passwd",
        "/original//etc/passwd",
    ],
)
def test_no_path_leads_out(page: Page, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nConnection: close\r\n\r\n"
    assert page.raw(request.encode()) in (400, 404)


def test_a_file_that_became_a_link_out_of_the_folder_is_not_served(tmp_path: Path) -> None:
    database = make_catalog(tmp_path, sample("IMG_3124.jpg"), sample("DSC01874.jpg"))
    secret = tmp_path / "secret.jpg"
    shutil.copy(sample("IMG_0071.webp"), secret)
    with serving(database) as page:
        image_id = page.id_of("IMG_3124.jpg")
        (tmp_path / "pictures" / "IMG_3124.jpg").unlink()
        (tmp_path / "pictures" / "IMG_3124.jpg").symlink_to(secret)
        for kind in ("thumb", "picture", "original"):
            answer = page.ask(f"/{kind}/{image_id}")
            assert answer.status == 404, kind
            assert secret.read_bytes() not in answer.body
        assert page.ask(f"/original/{page.id_of('DSC01874.jpg')}").status == 200


def test_another_sites_requests_are_refused(page: Page) -> None:
    own = f"http://127.0.0.1:{page.port}"
    assert page.ask("/api/search", Origin="http://evil.example").status == 403
    assert page.ask("/api/search", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors").status == 403
    assert page.ask("/thumb/1", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403
    assert page.ask("/api/search", Origin=own, Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors").status == 200
    assert page.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200  # a link in a letter


# Changes


def test_nothing_changes_without_the_token_of_the_form(page: Page, samples: Path) -> None:
    image_id = page.id_of("IMG_3124.jpg")
    path, form = f"/image/{image_id}/describe-again", urlencode({"csrf": page.csrf(image_id)})
    assert page.ask(path).status == 405
    assert page.ask(path, method="POST", body="").status == 403
    assert page.ask(path, method="POST", body="csrf=" + "a" * 43).status == 403
    assert page.ask(path, method="POST", body=form, Origin="http://evil.example").status == 403
    assert page.ask(path, method="POST", body=form, Origin="null").status == 403
    assert page.ask(path, method="POST", body=form, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 403
    assert page.ask(path, method="POST", body="a" * 20_000).status == 413
    assert page.ask("/image/99999/describe-again", method="POST", body=form).status == 404
    assert page.ask("/api/search", method="DELETE").status == 405
    assert _waiting(samples) == []


def _waiting(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(database)) as db:
        return sorted(Path(row[0]).name for row in db.execute("SELECT path FROM images WHERE state = 'waiting'"))


def test_a_picture_and_its_copies_are_described_again_by_the_next_run(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(SAMPLES, folder)
    shutil.copy(sample("IMG_3124.jpg"), folder / "copy.jpg")
    with OllamaServer(folder) as server:
        run = ("index_images.py", folder, "-r", "-q", "--host", server.url, "--db", tmp_path / "images.db")
        assert run_script(*run).returncode == 0
        with serving(tmp_path / "images.db") as page:
            image_id = page.get("/api/search", q="sunset")["results"][0]["id"]
            form = urlencode({"csrf": page.csrf(image_id)})
            answer = page.ask(f"/image/{image_id}/describe-again", method="POST", body=form)
            assert (answer.status, answer.headers["location"]) == (303, f"/image/{image_id}?queued=1")
            assert _waiting(tmp_path / "images.db") == ["IMG_3124.jpg", "copy.jpg"]
            assert page.get(f"/api/image/{image_id}")["queued"] is True
            assert page.get("/api/status")["queued"] == 2
            assert page.get("/api/search", q="sunset")["results"][0]["name"] in ("IMG_3124.jpg", "copy.jpg")  # still found
            before = server.requests.count(("POST", "/api/chat"))
            assert run_script(*run).returncode == 0
            assert server.requests.count(("POST", "/api/chat")) == before + 1
            known = page.get(f"/api/image/{image_id}")
            assert known["queued"] is False
            assert len(known["past"]) == 1


def test_the_folder_is_opened_here_and_only_here(tmp_path: Path) -> None:
    database = make_catalog(tmp_path, sample("IMG_3124.jpg"))
    tools = tmp_path / "tools"
    tools.mkdir()
    opener = tools / "xdg-open"
    opener.write_text(f'#!/bin/sh\nprintf "%s" "$*" > {tmp_path}/opened\n', encoding="utf-8")
    opener.chmod(0o755)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}"}
    with serving(database, environment=environment) as page:
        form = urlencode({"csrf": page.csrf(1)})
        answer = page.ask("/image/1/open-folder", method="POST", body=form, Accept="application/json")
        assert answer.status == 202
        assert (tmp_path / "opened").read_text(encoding="utf-8") == str(tmp_path / "pictures")
    with serving(database, "--host", "0.0.0.0", "--token", "a" * 20, environment=environment) as page:
        known = page.ask("/api/image/1", Authorization="Bearer " + "a" * 20).json()
        assert known["can_open_folder"] is False
        form = urlencode({"csrf": known["csrf"]})
        answer = page.ask("/image/1/open-folder", method="POST", body=form, Authorization="Bearer " + "a" * 20)
        assert answer.status == 403


# Beyond this machine


def test_beyond_this_machine_only_who_has_the_token_sees_anything(samples: Path) -> None:
    with serving(samples, "--host", "0.0.0.0") as page:
        token = re.findall(r"token=([\w-]{40,})", page.url)[0]
        for path in ("/", "/api/search", "/api/status", "/thumb/1", "/original/1", "/image/1"):
            answer = page.ask(path)
            assert answer.status == 403
            assert b"IMG" not in answer.body
        assert page.ask("/?token=" + "x" * 43).status == 403
        assert page.ask("/", Cookie=f"image_catalog_{page.port}=wrong").status == 403
        assert page.ask("/api/search", Authorization="Bearer wrong").status == 403
        answer = page.ask(f"/image/1?q={quote('закат')}&token={token}")
        assert (answer.status, answer.headers["location"]) == (303, f"/image/1?q={quote('закат')}")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert page.ask("/api/search", Cookie=cookie.split(";")[0]).status == 200
        assert page.ask("/api/search", Authorization=f"Bearer {token}").status == 200
        assert page.ask(f"//evil.example/?token={token}").headers["location"] == "/evil.example/"
        assert page.raw(f"GET / HTTP/1.1\r\nHost: evil.example:{page.port}\r\nConnection: close\r\n\r\n".encode()) == 400


def test_two_starts_have_two_tokens_and_a_token_of_ones_own_stays(samples: Path) -> None:
    urls = []
    for options in ([], [], ["--token", "my-own-token-0123456789"]):
        with serving(samples, "--host", "0.0.0.0", *options) as page:
            urls.append(page.url.split("token=")[1])
    assert len(set(urls)) == 3
    assert urls[2] == "my-own-token-0123456789"


# Searching


def test_the_api_finds_what_the_command_line_finds(page: Page, samples: Path) -> None:
    for query, filters in (
        ("горы на закате", {}),
        ("mountain", {"camera": "canon"}),
        ("", {"near": "Сочи"}),
        ("кот", {"limit": 3}),
    ):
        options = [f"--{name}={value}" for name, value in filters.items() if name != "limit"]
        limit = str(filters.get("limit", 60))
        done = run_script("search_images.py", "--db", samples, "--json", "-q", "-n", limit, *options, "--", query)
        expected = [json.loads(line)["path"] for line in done.stdout.splitlines()]
        found = page.get(
            "/api/search", q=query, limit=limit, **{name: value for name, value in filters.items() if name != "limit"}
        )
        assert [one["path"] for one in found["results"]] == expected
        assert expected


def test_field_words_in_the_query_are_filters(page: Page) -> None:
    found = page.get("/api/search", q="camera:canon зима")["results"]
    assert {one["camera"] for one in found} == {"Canon EOS 90D", "Canon EOS 5D Mark III"}
    assert found[0]["camera"] == "Canon EOS 90D"


def test_all_pictures_are_listed_newest_first_and_equal_ones_once(page: Page) -> None:
    found = page.get("/api/search", limit=500)
    dates = [one["taken_at"] for one in found["results"] if one["taken_at"]]
    assert dates == sorted(dates, reverse=True)
    assert found["total"] == len(found["results"])
    names = [one["name"] for one in found["results"]]
    assert len({"DSCN0417.jpg", "a copy.jpg"} & set(names)) == 1
    assert sum(one["copies"] for one in found["results"]) == 1


def test_pages_follow_each_other_without_gap_or_repetition(page: Page) -> None:
    for params in ({}, {"q": "a"}, {"sort": "path"}, {"after": "2015"}):
        whole = [one["id"] for one in page.get("/api/search", limit=500, **params)["results"]]
        found: list[int] = []
        answer = page.get("/api/search", limit=5, **params)
        while True:
            found += [one["id"] for one in answer["results"]]
            if answer["next"] is None:
                break
            answer = page.get("/api/search" + answer["next"][1:])
        assert found == whole


def test_highlights_put_together_are_the_description(page: Page) -> None:
    image_id = page.id_of("IMG_3124.jpg")
    known = page.get(f"/api/image/{image_id}", q="mountain sunset")
    assert "".join(text for text, _ in known["highlights"]) == known["description"]
    assert {text.lower() for text, is_lit in known["highlights"] if is_lit} >= {"sunset", "mountain"}


def test_facets_count_what_is_found(page: Page) -> None:
    everything = page.get("/api/facets")
    total = page.get("/api/search")["total"]
    assert sum(one["count"] for one in everything["formats"]) <= total
    for name, parameter in (
        ("cameras", "camera"),
        ("formats", "format"),
        ("tags", "tag"),
        ("places", "near"),
        ("folders", "folder"),
    ):
        assert everything[name], name
        for one in everything[name][:5]:
            found = page.get("/api/search", limit=500, **{parameter: one["value"]})
            assert len(found["results"]) >= one["count"] > 0, (name, one)
    months = dict(everything["months"])
    assert months["2018-10"] == 1
    assert list(months) == sorted(months)


def test_the_facet_of_a_filter_leaves_that_filter_out(page: Page) -> None:
    cameras = page.get("/api/facets")["cameras"]
    narrowed = page.get("/api/facets", camera=cameras[0]["value"])
    assert narrowed["cameras"] == cameras
    assert sum(one["count"] for one in narrowed["formats"]) == cameras[0]["count"]


@pytest.mark.parametrize(
    "query",
    [
        "after=2023-13-45",
        "camera=Nokia",
        "near=91,0",
        "near=Atlantis",
        "mode=x",
        "sort=x",
        "like=x",
        "like=99999",
        "limit=x",
        "min_size=-1",
    ],
)
def test_a_filter_that_makes_no_sense_is_said(page: Page, query: str) -> None:
    answer = page.ask(f"/api/search?{query}")
    assert answer.status == 400
    assert len(answer.json()["error"]) > 10
    if "like" not in query:
        html = page.ask(f"/?{query}")
        assert html.status == 400
        assert b"<html" in html.body


NASTY = [
    '"', "'", "a AND", "NEAR(", "*", "-", "--", "(", "C++", "\x00", "a\x00b", "\ufeff", "🐕", "кот" * 5000, "a" * 50_000, "%",
    "_", "camera:", "after:x", "<script>", "{{7*7}}", "日本", "ёлка OR", "\u202e", "\ud83d", "near:1,2,3,4", '"' * 999,
    "a " * 9999,
]  # fmt: skip


@pytest.mark.parametrize("path", ["/api/search", "/api/facets", "/", "/image/1"])
def test_no_question_breaks_it(page: Page, path: str) -> None:
    for text in NASTY:
        answer = page.ask(f"{path}?q={quote(text.encode('utf-8', 'surrogatepass'))}"[:60_000].rstrip("%"))
        assert answer.status in (200, 400), (path, text[:40], answer.body[:200])


def test_an_unknown_picture_is_404_in_both_forms(page: Page) -> None:
    assert page.ask("/api/image/99999").json() == {"error": "404"}
    assert page.ask("/image/99999").status == 404
    assert page.ask("/image/99999", X_Fragment="picture").status == 404


def test_the_fragment_is_the_article_alone(page: Page) -> None:
    answer = page.ask("/image/1", X_Fragment="picture")
    assert b"<article" in answer.body and b"<html" not in answer.body
    assert "X-Fragment" in answer.headers["vary"]


def test_it_searches_while_a_run_writes_and_sees_what_it_wrote(tmp_path: Path) -> None:
    database = make_catalog(tmp_path, sample("IMG_3124.jpg"))
    with serving(database) as page:
        assert page.get("/api/search")["total"] == 1
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as run:
            run.execute("BEGIN IMMEDIATE")
            run.execute("UPDATE images SET caption = 'held'")
            started = time.monotonic()
            assert len(page.get("/api/search", q="sunset")["results"]) == 1
            assert time.monotonic() - started < 2
            run.execute("ROLLBACK")
        shutil.copy(sample("DSC01874.jpg"), tmp_path / "pictures")
        index(tmp_path)
        assert len(page.get("/api/search", q="meadow path")["results"]) >= 1
        time.sleep(0.5)
        assert page.get("/api/search")["total"] == 2


def test_a_catalog_that_was_replaced_is_opened_anew_and_one_that_is_gone_is_said(tmp_path: Path) -> None:
    database = make_catalog(tmp_path, sample("IMG_3124.jpg"))
    other = tmp_path / "other"
    other.mkdir()
    second = make_catalog(other, sample("DSC01874.jpg"), sample("IMG_0071.webp"))
    with serving(database) as page:
        assert page.get("/api/search", q="sunset")["coverage"]["images"] == 1
        for suffix in ("-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(second)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        os.replace(second, database)
        assert page.get("/api/search", q="cat")["coverage"]["images"] == 2
        database.rename(tmp_path / "away.db")
        answer = page.ask("/api/search?q=cat")
        assert answer.status == 503
        assert "there is no catalog here" in answer.json()["error"]
        assert page.ask("/").status == 503


# Pictures


def test_thumbnails_are_private_small_upright_and_made_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (900, 600), "teal").save(tmp_path / "pictures" / "turned.jpg", exif=exif)
    index(tmp_path)
    with serving(tmp_path / "images.db") as page:
        first = page.ask("/thumb/1?size=320")
        assert first.headers["content-type"] == "image/jpeg"
        assert _size(first) == (213, 320)
        assert _size(page.ask("/picture/1")) == (600, 900)  # never enlarged
        folder = tmp_path / "images.db.thumbnails"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert len(files) == 2
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        (tmp_path / "pictures" / "turned.jpg").unlink()  # the disk is not mounted
        assert page.ask("/thumb/1?size=320").body == first.body
        tagged = page.ask("/thumb/1?size=320", If_None_Match=first.headers["etag"])
        assert (tagged.status, tagged.body) == (304, b"")
        shutil.rmtree(folder)
        assert page.ask("/thumb/1?size=320").status == 404
        Image.new("RGB", (900, 600), "teal").save(tmp_path / "pictures" / "turned.jpg", exif=exif)
        assert _size(page.ask("/thumb/1?size=320")) == (213, 320)


def _size(answer: Answer) -> tuple[int, int]:
    import io

    image = Image.open(io.BytesIO(answer.body))
    assert image.format == "JPEG"
    assert not image.getexif()
    return image.size


def test_no_thumbnail_has_what_the_original_says_of_itself(page: Page) -> None:
    original = page.ask(f"/original/{page.id_of('IMG_3124.jpg')}")
    thumb = page.ask(f"/thumb/{page.id_of('IMG_3124.jpg')}")
    assert b"Exif" in original.body and b"http://ns.adobe.com" in original.body
    assert b"Exif" not in thumb.body and b"http://" not in thumb.body


@pytest.mark.parametrize("name", ["IMG_0771.heic", "IMG_0071.webp"])
def test_thumbnails_of_other_formats(page: Page, name: str) -> None:
    assert max(_size(page.ask(f"/thumb/{page.id_of(name)}?size=640"))) <= 640


def test_a_raw_file_has_a_thumbnail(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "photo.dng").write_bytes(picture_files.dng(picture_files.scene(1600, 1200)))
    with serving(index(tmp_path)) as page:
        assert _size(page.ask("/thumb/1")) == (320, 240)


def test_a_picture_that_cannot_be_read_has_a_sign_in_its_place(page: Page) -> None:
    broken = page.ask(f"/thumb/{page.id_of('broken.jpg')}")
    assert broken.status == 404
    assert broken.headers["content-type"] == "image/svg+xml"
    assert page.ask("/thumb/1?size=999999").status == 400


def test_where_thumbnails_cannot_be_kept_they_are_still_shown(tmp_path: Path) -> None:
    database = make_catalog(tmp_path, sample("IMG_3124.jpg"))
    Path(f"{database}.thumbnails").write_text("a file in the way", encoding="utf-8")
    with serving(database) as page:
        assert page.ask("/thumb/1").status == 200
        assert page.get("/api/status")["sizes"]["thumbnails"] == 0


@pytest.mark.parametrize(
    ("name", "kind", "disposition"),
    [
        ("IMG_3124.jpg", "image/jpeg", "inline"),
        ("IMG_0071.webp", "image/webp", "inline"),
        ("IMG_0771.heic", "application/octet-stream", "attachment"),
    ],
)
def test_originals_are_what_they_are_and_never_run(page: Page, name: str, kind: str, disposition: str) -> None:
    answer = page.ask(f"/original/{page.id_of(name)}")
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-disposition"].startswith(disposition)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.body == sample(name).read_bytes()


def test_a_name_that_is_not_utf8_is_shown_and_served(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    shutil.copy(sample("IMG_3124.jpg"), os.fsencode(tmp_path / "pictures") + b"/caf\xe9.jpg")
    with serving(index(tmp_path)) as page:
        (found,) = page.get("/api/search")["results"]
        assert found["name"] == "caf\\xe9.jpg"
        assert page.ask("/original/1").status == page.ask("/thumb/1").status == page.ask("/image/1").status == 200


def test_static_files_are_kept_by_the_browser_and_change_with_their_content(page: Page) -> None:
    html = page.ask("/").body.decode()
    for address in set(re.findall(r"/static/[\w.]+(?:\?v=\w+)?", html)):
        answer = page.ask(address)
        assert answer.status == 200, address
        assert ("immutable" in answer.headers["cache-control"]) == ("?v=" in address)
        assert page.ask(address, If_None_Match=answer.headers["etag"]).status == 304


def test_the_status_says_what_failed_and_what_ran(page: Page) -> None:
    status = page.get("/api/status")
    assert status["failed"] == 1
    assert status["failures"][0]["examples"][0]["path"].endswith("broken.jpg")
    assert status["runs"][0]["exit_code"] == 1
    assert status["index"]["exists"] is False
    assert status["sizes"]["database"] > 0
    html = page.ask("/status").body.decode()
    assert "broken.jpg" in html
    assert html.count("<svg") > 3
