"""index_images.py from the outside: real folders, a real server, a real catalog."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ollama_pictures import describe_colours, numbered_name, numbered_picture
from ollama_server import OllamaServer
from picture_files import xmp_packet, xmp_text
from PIL import Image
from running import ROOT

import index_images
from image_catalog.catalog import Catalog
from image_catalog.command_line import run_script


class World:
    """A folder of pictures, a server, a catalog, and the way to run index_images.py on them."""

    def __init__(self, folder: Path, server: OllamaServer, capsys: pytest.CaptureFixture[str]) -> None:
        self.photos = folder / "photos"
        self.photos.mkdir()
        self.db = str(folder / "images.db")
        self.server = server
        self.capsys = capsys
        self.out = self.err = ""

    def picture(self, name: str, number: int, **save: Any) -> Path:
        """Picture number `number` as a file."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        numbered_picture(number).save(path, **save)
        return path

    def index(self, *arguments: str | Path, root: Path | None = None, host: str | None = None) -> int:
        """Run it in this process; stdout and stderr are in self.out and self.err."""
        common = ["--db", self.db, "--host", host or self.server.url, "--language", "en"]
        code = run_script(index_images.main, [str(root or self.photos), "-r", *common, *map(str, arguments)])
        self.out, self.err = self.capsys.readouterr()
        assert "Traceback" not in self.err
        self.check_whole()
        return code

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run it as a process of its own."""
        common = ["--db", self.db, "--host", self.server.url, "--language", "en"]
        return subprocess.Popen(
            [sys.executable, str(ROOT / "index_images.py"), str(self.photos), "-r", *common, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self) -> dict[str, dict[str, Any]]:
        """Rows that are there, by path relative to the folder of photos."""
        with Catalog.open_for_reading(self.db) as catalog:
            rows = catalog._all("SELECT * FROM images WHERE gone_at IS NULL")
        return {os.path.relpath(os.fsdecode(row["path_bytes"]), os.path.realpath(self.photos)): row for row in rows}

    def states(self) -> dict[str, str]:
        return {name: row["state"] for name, row in self.rows().items()}

    def check_whole(self) -> None:
        """What must be true after every run, whatever happened."""
        if not os.path.exists(self.db):
            return
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            db.execute("INSERT INTO images_fts (images_fts, rank) VALUES ('integrity-check', 1)")

    def check_descriptions(self, numbers: dict[str, int]) -> None:
        """Each named picture has the description of that very picture."""
        rows = self.rows()
        for name, number in numbers.items():
            expected = describe_colours(numbered_picture(number), "en").description
            assert (rows[name]["state"], rows[name]["description"]) == ("described", expected), name


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    with OllamaServer() as server:
        yield World(tmp_path, server, capsys)


def test_every_image_gets_its_own_description_and_facts(world: World) -> None:
    numbers = {f"{number}.jpg": number for number in range(6)} | {"sub/отпуск.png": 77}
    for name, number in numbers.items():
        world.picture(name, number)
    assert world.index() == 0
    world.check_descriptions(numbers)
    row = world.rows()["sub/отпуск.png"]
    assert (row["format"], row["width"], row["height"]) == ("PNG", 320, 240)
    assert (row["engine"], row["language"]) == ("ollama", "en")
    assert row["model"] and row["model_digest"] and row["prompt_version"] and row["described_at"]
    assert row["seconds"] >= 0
    assert "7 new" in world.out
    assert "7 described by" in world.out


def test_without_r_only_the_folder_itself_is_indexed(world: World) -> None:
    world.picture("a.jpg", 1)
    world.picture("sub/b.jpg", 2)
    arguments = [str(world.photos), "--db", world.db, "--host", world.server.url]
    assert run_script(index_images.main, arguments) == 0
    assert list(world.rows()) == ["a.jpg"]


def test_an_unchanged_tree_costs_no_request(world: World) -> None:
    world.picture("a.jpg", 1)
    (world.photos / "notes.txt").write_text("no picture")
    world.index()
    world.server.requests.clear()
    assert world.index() == 0
    assert world.server.requests == []
    assert "1 unchanged" in world.out


def test_new_changed_moved_copied_and_gone(world: World) -> None:
    for number in range(5):
        world.picture(f"{number}.jpg", number)
    world.index()
    world.picture("5.jpg", 5)  # new
    world.picture("0.jpg", 100)  # changed
    (world.photos / "sub").mkdir()
    (world.photos / "1.jpg").rename(world.photos / "sub" / "moved.jpg")
    shutil.copy(world.photos / "2.jpg", world.photos / "copy.jpg")
    (world.photos / "3.jpg").unlink()
    world.server.calls.clear()
    assert world.index() == 0
    assert set(world.server.times_asked()) == {numbered_name(5), numbered_name(100)}
    world.check_descriptions({"0.jpg": 100, "sub/moved.jpg": 1, "2.jpg": 2, "copy.jpg": 2, "4.jpg": 4, "5.jpg": 5})
    assert "3.jpg" not in world.rows()
    for part in ("1 new", "1 changed", "1 moved", "1 copied", "2 unchanged", "1 gone"):
        assert part in world.out


def test_a_renamed_folder_costs_no_description(world: World) -> None:
    for number in range(4):
        world.picture(f"old/{number}.jpg", number)
    world.index()
    ids = {row["id"] for row in world.rows().values()}
    (world.photos / "old").rename(world.photos / "new")
    world.server.calls.clear()
    assert world.index() == 0
    assert world.server.calls == []
    world.check_descriptions({f"new/{number}.jpg": number for number in range(4)})
    assert {row["id"] for row in world.rows().values()} == ids
    assert "new" in world.rows()["new/1.jpg"]["facts"]


def test_after_a_renamed_root_a_search_shows_the_new_truth(world: World) -> None:
    """Root renamed, half of its files moved, three copied, two edited, two deleted: no request, no row of what is gone."""
    for number in range(10):
        world.picture(f"{number}.jpg", number)
    assert world.index() == 0
    world.server.requests.clear()
    new = world.photos.parent / "renamed"
    world.photos.rename(new)
    (new / "half").mkdir()
    for number in range(5):
        (new / f"{number}.jpg").rename(new / "half" / f"{number}.jpg")
    for number in (1, 2, 7):
        shutil.copy(new / ("half" if number < 5 else "") / f"{number}.jpg", new / f"copy{number}.jpg")
    for path in (new / "half" / "3.jpg", new / "8.jpg"):
        path.write_bytes(path.read_bytes()[:2] + b"\xff\xfe\x00\x08edited" + path.read_bytes()[2:])
    for path in (new / "half" / "0.jpg", new / "9.jpg"):
        path.unlink()
    assert world.index(root=new) == 0
    assert [request for request in world.server.requests if "chat" in str(request)] == []
    there = {os.path.relpath(os.fsdecode(row["path_bytes"]), os.path.realpath(new)) for row in world.rows().values()}
    assert there == {
        *(f"half/{number}.jpg" for number in range(1, 5)),
        *(f"{number}.jpg" for number in range(5, 9)),
        *(f"copy{number}.jpg" for number in (1, 2, 7)),
    }
    assert {row["state"] for row in world.rows().values()} == {"described"}


def test_a_missing_root_that_was_named_keeps_its_images_even_if_some_are_elsewhere(world: World) -> None:
    for number in range(3):
        world.picture(f"{number}.jpg", number)
    assert world.index() == 0
    new = world.photos.parent / "elsewhere"
    new.mkdir()
    (world.photos / "0.jpg").rename(new / "0.jpg")
    shutil.rmtree(world.photos)
    assert world.index(new) == 3
    assert "stays in the catalog" in world.err or "stay in the catalog" in world.err
    assert len(world.rows()) == 3


def test_two_files_that_swap_names_keep_their_own_descriptions(world: World) -> None:
    a, b = world.picture("a.jpg", 1), world.picture("b.jpg", 2)
    world.index()
    a.rename(world.photos / "x")
    b.rename(a)
    (world.photos / "x").rename(b)
    world.server.calls.clear()
    assert world.index() == 0
    assert world.server.calls == []
    world.check_descriptions({"a.jpg": 2, "b.jpg": 1})


def test_an_edited_tag_costs_no_description_but_its_facts_change(world: World) -> None:
    path = world.picture("a.jpg", 1, quality=90)
    world.index()
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    with Image.open(path) as image:
        image.save(path, quality="keep", exif=exif)
    world.server.calls.clear()
    assert world.index() == 0
    assert world.server.calls == []
    world.check_descriptions({"a.jpg": 1})
    assert world.rows()["a.jpg"]["camera_make"] == "Canon"


@pytest.mark.parametrize("sidecar", ["a.jpg.xmp", "a.XMP", "a.jpg.txt", "a.txt"])
def test_a_sidecar_that_comes_changes_or_goes_is_noticed(world: World, sidecar: str) -> None:
    world.picture("a.jpg", 1)
    world.picture("b.jpg", 2)
    assert world.index() == 0
    world.server.requests.clear()
    path = world.photos / sidecar
    for caption in ("Бабушка", "Grandfather", None):
        if caption is None:
            path.unlink()
        elif sidecar.endswith("txt"):
            path.write_text(caption)
        else:
            path.write_bytes(xmp_packet(elements=xmp_text("dc:description", caption)))
        assert world.index() == 0
        assert [world.rows()[name]["caption"] for name in ("a.jpg", "b.jpg")] == [caption, None]
        assert "2 unchanged" in world.out
        assert world.server.requests == []
        with Catalog.open_for_reading(world.db) as catalog:
            assert len(catalog.known_other_files()) == (caption is not None)


def test_a_new_caption_becomes_the_description_where_captions_do(world: World) -> None:
    world.picture("a.jpg", 1)
    (world.photos / "a.txt").write_text("first words")
    assert world.index("--engine", "captions") == 0
    (world.photos / "a.txt").write_text("other words, longer")
    assert world.index("--engine", "captions") == 0
    assert world.rows()["a.jpg"]["description"] == "other words, longer"


def test_raw_files_without_the_library_are_said_once_and_read_when_it_comes(world: World, tmp_path: Path) -> None:
    for number in range(3):
        (world.photos / f"{number}.nef").write_bytes(b"II*\0" + bytes(200) + bytes([number]))
    world.picture("a.jpg", 1)
    shadow = tmp_path / "without"
    shadow.mkdir()
    (shadow / "rawpy.py").write_text("raise ImportError('not here')")
    (shadow / "sitecustomize.py").write_text(
        "from importlib import util\nreal = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'rawpy' else real(name, *a)\n"
    )
    command = [sys.executable, str(ROOT / "index_images.py"), str(world.photos), "--no-describe", "--db", world.db]
    without = {**os.environ, "PYTHONPATH": str(shadow)}
    first = subprocess.run(command, capture_output=True, text=True, env=without)
    assert first.returncode == 1
    assert first.stderr.count("\n") == 1
    assert "rawpy: is not installed: 3 pictures" in first.stderr
    assert "pip install rawpy" in first.stderr
    again = subprocess.run(command, capture_output=True, text=True, env=without)
    assert (again.returncode, again.stderr) == (0, "")
    (shadow / "sitecustomize.py").write_text("")
    (shadow / "rawpy.py").write_text("raise ZeroDivisionError('the library is there now')")
    now = subprocess.run(command, capture_output=True, text=True, env=without)
    assert now.returncode == 1
    assert now.stderr.count(".nef") == 3  # opened again, and each named with what is wrong with it


def test_a_dry_run_tells_what_a_run_would_do_and_changes_nothing(world: World) -> None:
    for number in range(4):
        world.picture(f"{number}.jpg", number)
    assert world.index("--dry-run") == 0
    assert "4 new" in world.out
    assert "4 would be described" in world.out
    assert "nothing was changed" in world.out
    assert not os.path.exists(world.db)
    assert world.index() == 0
    requests = len(world.server.requests)
    (world.photos / "0.jpg").rename(world.photos / "moved.jpg")
    (world.photos / "1.jpg").unlink()
    world.picture("new.jpg", 9)
    with Catalog.open_for_reading(world.db) as catalog:
        before = list(catalog.db.iterdump())
    assert world.index("--dry-run") == 0
    with Catalog.open_for_reading(world.db) as catalog:
        assert list(catalog.db.iterdump()) == before
    assert len(world.server.requests) == requests
    for part in ("1 new", "1 moved", "2 unchanged", "1 gone", "1 would be described, in about"):
        assert part in world.out
    assert world.index() == 0
    for part in ("1 new", "1 moved", "2 unchanged", "1 gone", "1 described"):
        assert part in world.out


def test_a_disk_that_fails_once_costs_no_description(world: World) -> None:
    """strace lets one read fail as a worn disk does: the picture keeps its description, and the next run reads it."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    for name in ("a.jpg", "b.jpg"):
        world.picture(name, 1 if name == "a.jpg" else 2)
    assert world.index() == 0
    before = world.rows()["a.jpg"]["description"]
    for name in ("a.jpg", "new.jpg"):
        world.picture(name, 1 if name == "a.jpg" else 3)
        path = os.path.realpath(world.photos / name)
        command = [sys.executable, str(ROOT / "index_images.py"), str(world.photos), "--db", world.db, "--no-describe"]
        inject = ["strace", "-f", "-qq", "-o", os.devnull, "-P", path, "-e", "trace=read", "-e", "inject=read:error=EIO"]
        done = subprocess.run([*inject, *command], capture_output=True, text=True)
        if "ptrace" in done.stderr:
            pytest.skip("strace may not trace here")
        assert done.returncode == 1
        assert f"{path}: Input/output error" in done.stderr
    assert world.rows()["a.jpg"]["description"] == before
    assert world.index() == 0
    assert world.states() == {"a.jpg": "described", "b.jpg": "described", "new.jpg": "described"}


def test_a_date_in_the_name_is_the_date_where_the_camera_tells_none(world: World) -> None:
    world.picture("IMG-20160312-WA0001.jpg", 1)
    world.picture("2017-08-01 12.30.05.jpg", 2)
    world.picture("scan.jpg", 3)
    assert world.index("--no-describe") == 0
    assert {name: row["taken_at"] for name, row in world.rows().items()} == {
        "IMG-20160312-WA0001.jpg": "2016-03-12T00:00:00",
        "2017-08-01 12.30.05.jpg": "2017-08-01T12:30:05",
        "scan.jpg": None,
    }


def test_thousands_of_equal_files_cost_no_more_than_different_ones(world: World) -> None:
    picture = world.picture("0.jpg", 1)
    for number in range(1, 1500):
        os.link(picture, world.photos / f"{number}.jpg")
    assert world.index("--no-describe") == 0
    assert "1 new, 1,499 copied" in world.out
    with Catalog.open_for_reading(world.db) as catalog:
        plan = catalog.db.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM images WHERE content_hash = 'x' AND state = 'described' ORDER BY id LIMIT 1"
        ).fetchall()
    assert [row[3] for row in plan] == ["SEARCH images USING INDEX images_described_content (content_hash=?)"]


def test_a_touched_file_costs_nothing(world: World) -> None:
    path = world.picture("a.jpg", 1)
    world.index()
    os.utime(path, (1, 1))
    world.server.calls.clear()
    assert world.index() == 0
    assert world.server.calls == []
    assert "1 unchanged" in world.out


def test_other_content_of_the_same_size_and_mtime_is_noticed(world: World) -> None:
    path = world.picture("a.bmp", 1)
    world.index()
    status = path.stat()
    world.picture("a.bmp", 2)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert world.index() == 0
    world.check_descriptions({"a.bmp": 2})


def test_a_deleted_file_that_comes_back_has_its_description(world: World) -> None:
    path = world.picture("a.jpg", 1)
    world.picture("b.jpg", 2)
    world.index()
    data = path.read_bytes()
    path.unlink()
    assert world.index() == 0
    assert list(world.rows()) == ["b.jpg"]
    path.write_bytes(data)
    world.server.calls.clear()
    assert world.index() == 0
    assert world.server.calls == []
    world.check_descriptions({"a.jpg": 1, "b.jpg": 2})


def test_equal_pictures_are_described_once(world: World) -> None:
    path = world.picture("a.jpg", 1)
    for name in ("b.jpg", "c.jpg"):
        shutil.copy(path, world.photos / name)
    assert world.index() == 0
    assert len(world.server.calls) == 1
    world.check_descriptions({"a.jpg": 1, "b.jpg": 1, "c.jpg": 1})


def test_a_file_that_is_no_image_is_named_once_and_remembered(world: World) -> None:
    world.picture("good.jpg", 1)
    (world.photos / "page.jpg").write_text("<!DOCTYPE html><html><body>no</body></html>")
    (world.photos / "empty.jpg").touch()
    assert world.index() == 1
    assert world.err.count("page.jpg") == 1
    assert "not an image" in world.err
    assert world.err.count("empty.jpg") == 1
    assert world.states() == {"good.jpg": "described", "page.jpg": "failed", "empty.jpg": "failed"}
    assert world.index() == 0
    assert "page.jpg" not in world.err
    assert "2 failed in earlier runs" in world.out
    world.picture("page.jpg", 3)
    assert world.index() == 0
    world.check_descriptions({"page.jpg": 3})


def test_the_server_down_keeps_all_facts_and_marks_nothing_failed(world: World) -> None:
    for number in range(3):
        world.picture(f"{number}.jpg", number)
    world.server.stop()
    started = time.monotonic()
    assert world.index() == 3
    assert time.monotonic() - started < 30
    assert len([line for line in world.err.splitlines() if "not reachable" in line]) == 1
    assert set(world.states().values()) == {"waiting"}
    assert all(row["content_hash"] and row["facts"] for row in world.rows().values())
    world.server.start()
    assert world.index() == 0
    world.check_descriptions({f"{number}.jpg": number for number in range(3)})


def test_no_describe_needs_no_server(world: World) -> None:
    world.picture("a.jpg", 1)
    world.server.stop()
    assert world.index("--no-describe") == 0
    assert world.states() == {"a.jpg": "waiting"}
    assert "1 still wait" in world.out


@pytest.mark.parametrize(("model", "words"), [("llama3", "cannot see"), ("nosuch:7b", "ollama pull nosuch:7b")])
def test_a_blind_or_missing_model_is_one_line(world: World, model: str, words: str) -> None:
    world.picture("a.jpg", 1)
    assert world.index("--model", model) == 3
    assert words in world.err
    assert len(world.err.strip().splitlines()) == 1
    assert world.server.calls == []
    assert world.states() == {"a.jpg": "waiting"}


def test_a_refusal_is_never_stored_and_can_be_tried_again(world: World) -> None:
    world.picture("a.jpg", 1)
    world.server.fault_for = lambda call: "refusal"
    assert world.index() == 1
    row = world.rows()["a.jpg"]
    assert (row["state"], row["description"]) == ("failed", None)
    assert row["failure_kind"] and row["failure_reason"]
    world.server.fault_for = None
    asked = len(world.server.calls)
    assert world.index() == 0
    assert len(world.server.calls) == asked
    assert world.index("--retry-failed") == 0
    world.check_descriptions({"a.jpg": 1})


def test_kill_9_in_the_middle_describes_only_those_in_flight_again(world: World) -> None:
    numbers = {f"{number:02}.jpg": number for number in range(12)}
    for name, number in numbers.items():
        world.picture(name, number)
    world.server.latency = 0.15
    for _ in range(3):
        run = world.start()
        before = sum(world.server.times_described().values())
        deadline = time.monotonic() + 20
        while sum(world.server.times_described().values()) < before + 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        run.kill()
        run.communicate()
        world.check_whole()
    world.server.latency = 0
    assert world.index() == 0
    world.check_descriptions(numbers)
    again = {name: count for name, count in world.server.times_described().items() if count > 1}
    assert sum(count - 1 for count in again.values()) <= 3  # one in flight a kill


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_within_two_seconds_while_the_server_hangs(world: World, number: int, code: int) -> None:
    world.picture("1.jpg", 1)
    world.picture("2.jpg", 2)
    world.server.faults.extend(["ok", "hang"])
    run = world.start()
    deadline = time.monotonic() + 20
    while len(world.server.calls) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    started = time.monotonic()
    run.send_signal(number)
    out, err = run.communicate(timeout=10)
    assert time.monotonic() - started < 2
    assert run.returncode == code
    assert "Traceback" not in err
    assert "1 described" in out
    assert sorted(world.states().values()) == ["described", "waiting"]
    with Catalog.open_for_reading(world.db) as catalog:
        last = catalog.last_run()
    assert last is not None
    assert last["exit_code"] == code


@pytest.mark.parametrize("way", ["missing", "empty"])
def test_a_root_that_is_missing_or_empty_removes_nothing(world: World, way: str) -> None:
    world.picture("a.jpg", 1)
    world.index()
    shutil.rmtree(world.photos)
    if way == "empty":
        world.photos.mkdir()
    assert world.index() == 3
    assert str(os.path.realpath(world.photos)) in world.err
    assert list(world.rows()) == ["a.jpg"]


@pytest.mark.parametrize("place", ["root", "subfolder"])
def test_another_disk_in_place_of_the_one_indexed_removes_nothing(world: World, place: str) -> None:
    """A disk mounted at the root or inside it: away, then something else there, then deleted files on the disk itself."""
    mount = world.photos if place == "root" else world.photos / "disk"
    mount.mkdir(exist_ok=True)
    steps = [
        f"mount -t tmpfs none {mount}",
        f"cp {world.photos.parent}/seed/* {mount}",
        "index; test $? = 0",
        f"umount {mount}; touch {mount}/x; rm {mount}/x",
        f"cp {world.photos.parent}/other.jpg {mount}",
        "index; test $? = 3",
        "test $(present) = 4",
        f"rm {mount}/other.jpg; mount -t tmpfs none {mount}; cp {world.photos.parent}/seed/* {mount}; rm {mount}/0.jpg",
        "index; test $? = 3",
        "index --allow-empty; test $? = 0",
        "test $(present) = 2",
        f"rm {mount}/1.jpg",
        "index; test $? = 0",
        "test $(present) = 1",
    ]
    seed = world.photos.parent / "seed"
    seed.mkdir()
    for number in range(3):
        numbered_picture(number).save(seed / f"{number}.jpg")
    numbered_picture(7).save(world.photos.parent / "other.jpg")
    functions = (
        f"index() {{ {sys.executable} {ROOT / 'index_images.py'} {world.photos} -r --no-describe --db {world.db} $*; }}\n"
        f"present() {{ sqlite3_py 'SELECT count(*) FROM images WHERE gone_at IS NULL'; }}\n"
        f'sqlite3_py() {{ {sys.executable} -c "import sqlite3, sys;'
        f'print(sqlite3.connect(\'{world.db}\').execute(sys.argv[1]).fetchone()[0])" "$1"; }}\n'
    )
    script = functions + "\n".join(f"{step} || exit {number + 10}" for number, step in enumerate(steps))
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    assert done.returncode == 0, (steps[done.returncode - 10], done.stdout, done.stderr)


def test_an_empty_root_can_be_meant(world: World) -> None:
    world.picture("a.jpg", 1)
    world.index()
    (world.photos / "a.jpg").unlink()
    assert world.index("--allow-empty") == 0
    assert world.rows() == {}


def test_a_second_run_is_told_who_holds_the_lock(world: World) -> None:
    world.picture("a.jpg", 1)
    world.server.faults.append("hang")
    run = world.start()
    deadline = time.monotonic() + 20
    while not world.server.calls and time.monotonic() < deadline:
        time.sleep(0.02)
    started = time.monotonic()
    assert world.index() == 75
    assert time.monotonic() - started < 1
    assert f"pid {run.pid}" in world.err
    run.kill()
    run.communicate()
    assert world.index() == 0  # the lock died with its process


def test_what_shapes_the_catalog_is_remembered(world: World) -> None:
    world.picture("a.jpg", 1)
    assert world.index("--model", "gemma3:4b", "--max-image-size", "512") == 0
    world.picture("b.jpg", 2)
    assert run_script(index_images.main, [str(world.photos), "-r", "--db", world.db]) == 0
    rows = world.rows()
    assert rows["b.jpg"]["model"] == rows["a.jpg"]["model"] == "gemma3:4b"
    assert rows["b.jpg"]["language"] == "en"


def test_a_host_that_is_down_tonight_is_asked_again_tomorrow(world: World) -> None:
    world.picture("a.jpg", 1)
    with OllamaServer() as other:
        other.stop()
        assert world.index("--host", other.url) == 0
        assert other.url in world.err
        world.picture("b.jpg", 2)
        other.start()
        world.server.stop()
        assert run_script(index_images.main, [str(world.photos), "--db", world.db]) == 0
        assert len(other.calls) == 1


def test_another_language_is_said_and_stale_makes_anew(world: World) -> None:
    world.picture("a.jpg", 1)
    world.picture("b.jpg", 2)
    world.index()
    world.picture("c.jpg", 3)
    arguments = [str(world.photos), "-r", "--db", world.db, "--host", world.server.url, "--language", "ru"]
    assert run_script(index_images.main, arguments) == 0
    assert "2 images keep the description that they have" in world.capsys.readouterr().err
    assert {name: row["language"] for name, row in world.rows().items()} == {"a.jpg": "en", "b.jpg": "en", "c.jpg": "ru"}
    world.server.calls.clear()
    assert run_script(index_images.main, [*arguments, "--redescribe", "--stale"]) == 0
    assert len(world.server.calls) == 2
    assert {row["language"] for row in world.rows().values()} == {"ru"}
    with Catalog.open_for_reading(world.db) as catalog:
        past = catalog.db.execute("SELECT description FROM past_descriptions").fetchall()
    assert len(past) == 2
    assert "picture of four quarters" in past[0][0]


def test_the_night_window_ends_with_0_and_the_next_run_goes_on(world: World) -> None:
    numbers = {f"{number}.jpg": number for number in range(8)}
    for name, number in numbers.items():
        world.picture(name, number)
    world.server.latency = 0.4
    assert world.index("--max-minutes", "0.02") == 0
    described = [state for state in world.states().values() if state == "described"]
    assert 0 < len(described) < 8
    assert "time is up" in world.out
    world.server.latency = 0
    assert world.index() == 0
    world.check_descriptions(numbers)


def test_a_file_deleted_or_replaced_while_the_model_works_is_left_to_the_next_run(world: World) -> None:
    for number in range(6):
        world.picture(f"{number}.jpg", number)
        os.utime(world.photos / f"{number}.jpg", (1000 - number, 1000 - number))  # described in this order

    def meddle(call: Any) -> None:
        if len(world.server.calls) == 1:
            (world.photos / "5.jpg").unlink()
            world.picture("4.jpg", 44)

    world.server.before_answer = meddle
    assert world.index() == 0
    world.check_descriptions({f"{number}.jpg": number for number in range(4)})
    assert world.rows()["4.jpg"]["state"] == "waiting"
    world.server.before_answer = None
    assert world.index() == 0
    world.check_descriptions({**{f"{number}.jpg": number for number in range(4)}, "4.jpg": 44})
    assert "5.jpg" not in world.rows()


def test_a_name_that_is_not_utf8_is_indexed_and_shown_escaped(world: World) -> None:
    numbered_picture(1).save(os.fsencode(world.photos) + b"/caf\xe9 \x1b[31m.jpg", "JPEG")
    (world.photos / "bad\x1b.jpg").write_text("no picture")
    assert world.index() == 1
    assert "\x1b" not in world.out + world.err
    assert "bad\\x1b.jpg" in world.err
    assert sorted(world.states().values()) == ["described", "failed"]


def test_captions_become_descriptions_without_a_model(world: World) -> None:
    exif = Image.Exif()
    exif[0x010E] = "A cat asleep on a laptop"
    world.picture("cat.jpg", 1, exif=exif)
    world.picture("plain.jpg", 2)
    world.server.stop()
    assert world.index("--engine", "captions") == 0
    rows = world.rows()
    assert (rows["cat.jpg"]["description"], rows["cat.jpg"]["engine"]) == ("A cat asleep on a laptop", "captions")
    assert rows["plain.jpg"]["state"] == "waiting"


def test_an_equal_file_gets_the_caption_of_a_sidecar(world: World) -> None:
    first = world.picture("a/one.jpg", 1)
    (world.photos / "b").mkdir()
    (world.photos / "b" / "two.jpg").write_bytes(first.read_bytes())
    first.with_suffix(".txt").write_text("A walrus on the ice", encoding="utf-8")
    assert world.index("--engine", "captions") == 0
    assert {row["description"] for row in world.rows().values()} == {"A walrus on the ice"}
    assert set(world.states().values()) == {"described"}


def test_json_prints_one_document(world: World) -> None:
    world.picture("a.jpg", 1)
    (world.photos / "notes.txt").write_text("no picture")
    assert world.index("--json") == 0
    summary = json.loads(world.out)
    assert (summary["found"], summary["other_files"]) == (1, 1)
    assert (summary["new"], summary["described"], summary["failed"], summary["exit_code"]) == (1, 1, 0, 0)


def test_quiet_says_nothing_but_failures(world: World) -> None:
    world.picture("a.jpg", 1)
    assert world.index("-q") == 0
    assert (world.out, world.err) == ("", "")
    (world.photos / "bad.jpg").write_text("no picture")
    assert world.index("-q") == 1
    assert world.out == ""
    assert len(world.err.splitlines()) == 1


def test_status_and_failed_tell_what_is_there(world: World) -> None:
    world.picture("a.jpg", 1)
    (world.photos / "bad.jpg").write_text("no picture")
    world.index()
    assert run_script(index_images.main, ["--status", "--db", world.db]) == 0
    out = world.capsys.readouterr().out
    assert "2 images: 1 described, 0 waiting, 1 failed" in out
    assert f"{os.path.realpath(world.photos)}: 1 of 2 described, 1 failed" in out
    assert run_script(index_images.main, ["--failed", "--json", "--db", world.db]) == 0
    failed = json.loads(world.capsys.readouterr().out)
    assert failed["path"].endswith("bad.jpg")
    assert failed["kind"] == "not an image"


@pytest.mark.parametrize(
    "arguments", [[], ["--stale", "x"], ["--workers", "0", "x"], ["--max-image-size", "1", "x"], ["--nonsense"]]
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_script(index_images.main, arguments)
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_same_folder_under_several_names_gives_one_row_a_file(world: World) -> None:
    world.picture("a.jpg", 1)
    (world.photos.parent / "link").symlink_to(world.photos)
    before = os.getcwd()
    try:
        os.chdir(world.photos.parent)
        assert world.index(f"{world.photos}/", "photos", "./photos/../photos", "link") == 0
    finally:
        os.chdir(before)
    assert list(world.rows()) == ["a.jpg"]


def test_the_run_is_the_same_from_an_empty_environment(world: World) -> None:
    world.picture("имя с пробелом.jpg", 1)
    done = subprocess.run(
        ["env", "-i", sys.executable, str(ROOT / "index_images.py"), "-q", str(world.photos)]
        + ["--db", world.db, "--host", world.server.url],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert world.states() == {"имя с пробелом.jpg": "described"}
