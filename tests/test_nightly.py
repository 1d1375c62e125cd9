"""What happens at night, when nobody looks: signals, full and failing disks, locks, odd databases, closed streams, odd clocks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ollama_pictures import describe_colours, numbered_picture
from ollama_server import OllamaServer
from running import ROOT

from image_catalog import schema

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
Started = subprocess.Popen[str]


class Night:
    """Pictures, a catalog and a server, and the scripts as cron starts them."""

    def __init__(self, folder: Path, server: OllamaServer) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.photos.mkdir()
        self.db = folder / "images.db"
        self.server = server

    def pictures(self, count: int) -> None:
        for number in range(count):
            numbered_picture(number * 7, (32, 24)).save(self.photos / f"{number:04}.png")

    def small_pictures(self, count: int) -> None:
        """Different files with the same pixels, quickly made."""
        self.pictures(1)
        data = (self.photos / "0000.png").read_bytes()
        for number in range(1, count):
            (self.photos / f"{number:04}.png").write_bytes(data + b"%d" % number)

    def start(self, script: str, *arguments: str | Path, **options: Any) -> Started:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, str(ROOT / script), *map(str, arguments), "--db", str(self.db)]
        return subprocess.Popen(command, text=True, cwd=self.folder, **{**streams, **options})

    def index(self, *arguments: str | Path, **options: Any) -> Started:
        where = ["-r", "--host", self.server.url, "--language", "en"]
        return self.start("index_images.py", self.photos, *where, *arguments, **options)

    def states(self) -> dict[str, int]:
        """How many images are in each state."""
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            db.execute("INSERT INTO images_fts (images_fts, rank) VALUES ('integrity-check', 1)")
            return dict(db.execute("SELECT state, count(*) FROM images WHERE gone_at IS NULL GROUP BY state"))

    def count(self, query: str) -> int:
        """One number from the catalog, 0 as long as it is not there."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as db:
                return int(db.execute(query).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with OllamaServer() as server:
        yield Night(tmp_path, server)


def ended(process: Started) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err and "internal error" not in err, err
    return process.returncode, out, err


def until(condition: Callable[[], Any], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def stopped(process: Started, number: int) -> tuple[int, str, str]:
    """The end after a signal, which has to come within two seconds."""
    started = time.monotonic()
    process.send_signal(number)
    result = ended(process)
    assert time.monotonic() - started < 2
    return result


# Signals


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_facts_are_read_ends_in_time_and_keeps_them(night: Night, number: int, code: int) -> None:
    night.small_pictures(6000)
    run = night.index("--no-describe", "--json")
    until(lambda: night.count("SELECT count(*) FROM images"))
    returned, out, err = stopped(run, number)
    assert returned == code
    assert len(err.splitlines()) == 1
    assert signal.Signals(number).name in err
    kept = night.states()["waiting"]
    assert 0 < kept < 6000, "the signal came too late to say anything"
    assert f'"exit_code": {code}' in out
    assert night.count("SELECT exit_code FROM runs ORDER BY id DESC LIMIT 1") == code
    code, out, _ = ended(night.index("--no-describe"))
    assert code == 0
    assert f"{6000 - kept:,} new, {kept:,} unchanged" in out  # what was stored is not read again
    assert night.states() == {"waiting": 6000}


def test_two_signals_in_a_row_end_as_one_does(night: Night) -> None:
    night.pictures(3)
    night.server.faults.append("hang")
    run = night.index()
    until(lambda: night.server.calls)
    run.send_signal(signal.SIGTERM)
    returned, _, err = stopped(run, signal.SIGINT)
    assert returned in (130, 143)
    assert len(err.splitlines()) == 2  # one says that the model is loaded
    assert night.states() == {"waiting": 3}


def test_nohup_outlives_the_terminal(night: Night) -> None:
    night.pictures(2)
    night.server.latency = 0.5
    run = night.index(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until(lambda: night.server.calls)
    run.send_signal(signal.SIGHUP)
    assert ended(run)[0] == 0
    assert night.states() == {"described": 2}


@pytest.mark.heavy
def test_a_signal_to_create_faiss_index_ends_in_time_and_leaves_no_half_index(night: Night) -> None:
    from real_models import english_folder, use_own_cache

    use_own_cache()
    described_catalog(night.db, 4000)
    run = night.start("create_faiss_index.py", "--model", english_folder())
    until(lambda: night.count("SELECT count(*) FROM vectors"), 100)
    returned, _, err = stopped(run, signal.SIGTERM)
    assert returned == 143
    assert "finished work is kept" in err
    assert not [path.name for path in night.folder.iterdir() if "faiss" in path.name and not path.name.endswith(".lock")]
    assert night.count("SELECT count(*) FROM vectors") > 0


def described_catalog(path: Path, count: int) -> None:
    """A catalog of images with different texts."""
    from image_catalog.catalog import Catalog

    file = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1, "device": 1}
    with Catalog.open(str(path)) as catalog, catalog.transaction():
        for number in range(count):
            text = f"Number {number}: " + describe_colours(numbered_picture(number), "en").description
            catalog.insert_image(b"/photos/%d.jpg" % number, {**file, "state": "described", "description": text, "tags": "[]"})


# Disks


def test_a_limit_on_the_size_of_files_stops_the_run_and_keeps_what_was_done(night: Night) -> None:
    night.pictures(30)
    assert ended(night.index("-q", "--no-describe"))[0] == 0
    largest = night.db.stat().st_size + (150 << 10)  # for the -wal file, which begins empty

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    returned, _, err = ended(night.index("-q", preexec_fn=limit))
    assert returned == 3
    assert len(err.splitlines()) == 1
    assert f"{night.db}: the disk failed" in err or f"{night.db}: disk full" in err
    before = night.states()
    assert 0 < before.get("described", 0) < 30
    asked = len(night.server.calls)
    assert ended(night.index("-q")) == (0, "", "")
    assert night.states() == {"described": 30}
    assert len(night.server.calls) - asked <= 30 - before["described"] + 1


READ_ONLY = """
mount -t tmpfs none {place} || exit 77
cp {folder}/images.db* {place} || exit 77
mount -o remount,ro {place} || exit 77
exec {python} {root}/{script} --db {place}/images.db {arguments}
"""


@pytest.mark.parametrize(
    ("script", "arguments", "code", "words"),
    [
        ("index_images.py", "photos --no-describe", 3, "name another place with --db"),
        ("index_images.py", "--status", 0, ""),
        ("search_images.py", "0001 --mode text", 0, ""),
        ("create_faiss_index.py", "", 3, ""),
    ],
)
def test_on_read_only_media_reading_works_and_writing_says_why_not(
    night: Night, script: str, arguments: str, code: int, words: str
) -> None:
    night.pictures(3)
    assert ended(night.index("-q"))[0] == 0
    place = night.folder / "media"
    place.mkdir()
    shell = READ_ONLY.format(
        place=place, folder=night.folder, python=sys.executable, root=ROOT, script=script, arguments=arguments
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", shell], capture_output=True, text=True, cwd=night.folder)
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    if code:
        assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr


# Databases


def _newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 999")


def _damaged(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _no_database(path: Path) -> None:
    path.write_bytes(b"GIF89a" + path.read_bytes()[6:])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_newer, "made by a newer image-catalog"), (_damaged, "is damaged"), (_no_database, "is not an image-catalog database")],
)
def test_a_database_that_cannot_be_used_is_one_line_from_each_script_and_stays_as_it_is(
    night: Night, spoil: Callable[[Path], None], words: str
) -> None:
    night.pictures(3)
    assert ended(night.index("-q"))[0] == 0
    spoil(night.db)
    before = hashlib.sha256(night.db.read_bytes()).hexdigest()
    for script, arguments in (
        ("index_images.py", [night.photos, "-r"]),
        ("index_images.py", ["--status"]),
        ("search_images.py", ["picture"]),
        ("create_faiss_index.py", []),
    ):
        returned, _, err = ended(night.start(script, *arguments))
        assert returned == 3, (script, err)
        assert len(err.splitlines()) == 1
        assert f"{night.db}: {words}" in err
        assert hashlib.sha256(night.db.read_bytes()).hexdigest() == before, script


def test_a_lock_that_another_program_holds_for_a_moment_is_waited_for(night: Night) -> None:
    night.pictures(3)
    assert ended(night.index("-q", "--no-describe"))[0] == 0
    with contextlib.closing(sqlite3.connect(night.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        run = night.index("-q")
        time.sleep(1.5)
        assert run.poll() is None
        other.execute("COMMIT")
    assert ended(run) == (0, "", "")
    assert night.states() == {"described": 3}


# How cron starts it


@pytest.mark.parametrize(
    ("script", "closed"),
    [
        ("index", ">&-"),
        ("index", "2>&-"),
        *((script, "<&- >&- 2>&-") for script in ("index", "missing root", "search", "status")),
    ],
)
def test_closed_streams_change_nothing(night: Night, script: str, closed: str) -> None:
    night.pictures(3)
    index = f"index_images.py {night.photos} --host {night.server.url}"
    assert shell(night, index, closed) == 0
    assert night.states() == {"described": 3}
    commands = {
        "index": (index, 0),
        "missing root": ("index_images.py nowhere", 3),
        "search": ("search_images.py picture --mode text", 0),
        "status": ("index_images.py --status", 0),
    }
    command, code = commands[script]
    assert shell(night, command, closed) == code
    assert night.states() == {"described": 3}


def shell(night: Night, command: str, streams: str) -> int:
    """The exit code of a script whose streams are closed as a shell closes them."""
    line = f"exec {sys.executable} {ROOT}/{command} --db {night.db} {streams}"
    return subprocess.run(["sh", "-c", line], cwd=night.folder, timeout=60).returncode


def test_without_home_and_from_the_root_folder_nothing_is_made_but_the_catalog(night: Night) -> None:
    night.pictures(2)
    before = set(os.listdir("/"))
    command = ["env", "-i", sys.executable, str(ROOT / "index_images.py"), "-q", str(night.photos), "--db", str(night.db)]
    done = subprocess.run([*command, "--host", night.server.url], capture_output=True, text=True, cwd="/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set(os.listdir("/")) == before
    assert {path.name for path in night.folder.iterdir()} <= {"photos", "images.db", "images.db.lock"}
    for path in night.folder.glob("images.db*"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_a_night_without_work_mails_nothing_and_asks_nothing(night: Night) -> None:
    night.pictures(3)
    assert ended(night.index("-q")) == (0, "", "")
    night.server.requests.clear()
    assert ended(night.index("-q")) == (0, "", "")
    assert night.server.requests == []


def test_an_unchanged_tree_has_no_file_opened_and_nobody_called(night: Night) -> None:
    night.pictures(3)
    (night.photos / "sub").mkdir()
    (night.photos / "sub" / "notes.txt").write_text("no picture")
    assert ended(night.index("-q"))[0] == 0
    log = night.folder / "calls"
    command = ["strace", "-f", "-qq", "-o", log, "-e", "trace=open,openat,connect"]
    command += [sys.executable, ROOT / "index_images.py", "-q", night.photos, "-r", "--db", night.db]
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("strace is not here")
    if "PTRACE" in done.stderr or "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")
    lines = log.read_text(errors="replace").splitlines()
    inside = [line for line in lines if f'"{night.photos}' in line]
    assert inside, "strace saw nothing of the tree"
    assert all("O_DIRECTORY" in line for line in inside)
    assert not [line for line in lines if "connect(" in line]


@pytest.mark.parametrize("mtime", [0, 4_070_908_800, -315_619_200], ids=["1970", "2099", "1960"])
def test_an_odd_clock_makes_no_image_new_every_night(night: Night, mtime: int) -> None:
    night.pictures(3)
    for path in night.photos.iterdir():
        os.utime(path, (mtime, mtime))
    assert ended(night.index("-q")) == (0, "", "")
    assert night.states() == {"described": 3}
    code, out, _ = ended(night.index())
    assert (code, out.split(";")[0]) == (0, "3 unchanged")
    assert len(night.server.calls) == 3


# What the torture (tests/torture) has found, each as a test of its own


def test_retry_failed_does_not_wait_for_those_that_back_off(night: Night) -> None:
    night.pictures(1)
    night.server.fault_for = lambda call: "500"
    assert ended(night.index("-q"))[0] == 1
    night.server.fault_for = None
    assert ended(night.index("-q"))[0] == 0
    assert night.states() == {"waiting": 1}
    assert ended(night.index("-q", "--retry-failed"))[0] == 0
    assert night.states() == {"described": 1}


def test_pixels_whose_description_was_replaced_are_not_described_again(night: Night) -> None:
    night.pictures(2)
    one, other = night.photos / "0000.png", night.photos / "0001.png"
    assert ended(night.index("-q"))[0] == 0
    one.write_bytes(other.read_bytes())
    assert ended(night.index("-q"))[0] == 0
    numbered_picture(0, (32, 24)).save(night.photos / "again.png", compress_level=0)  # other bytes, the pixels of before
    assert ended(night.index("-q"))[0] == 0
    assert night.states() == {"described": 3}
    assert len(night.server.calls) == 2


def test_a_copy_that_a_kill_left_half_made_does_not_stop_the_next_migration(night: Night) -> None:
    night.pictures(1)
    with contextlib.closing(sqlite3.connect(night.db, isolation_level=None)) as db:
        schema.MIGRATIONS[0](db)
        db.execute("PRAGMA user_version = 1")
    (night.folder / "images.db.schema1.bak.tmp").write_bytes(b"SQLite format 3\0 half")
    assert ended(night.index("-q")) == (0, "", "")
    assert night.states() == {"described": 1}
    assert (night.folder / "images.db.schema1.bak").exists()
