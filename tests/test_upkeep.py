"""What index_images.py does to a catalog as a whole, from the outside: each part is damaged, moved or lost for real."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from ollama_pictures import numbered_picture
from ollama_server import OllamaServer
from running import ROOT, run_script

import index_images
import search_images
from image_catalog import exif, sidecars, vector_index
from image_catalog.catalog import Catalog
from image_catalog.command_line import run_script as run_in_process


class Home:
    """Six described pictures in a folder of a folder, and the way to run scripts on their catalog."""

    def __init__(self, folder: Path, server: OllamaServer, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.folder = folder
        self.server = server
        self.photos = folder / "photos"
        self.db = folder / "images.db"
        for number in range(6):
            path = self.photos / ("лето" if number % 2 else "winter") / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            numbered_picture(number).save(path)
        self.index()

    def run(self, *arguments: str | Path, script: Any = index_images) -> subprocess.CompletedProcess[str]:
        try:
            code = run_in_process(script.main, ["--db", str(self.db), *map(str, arguments)])
        except SystemExit as usage:
            code = int(usage.code or 0)
        out, err = self.capsys.readouterr()
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess([], code, out, err)

    def index(self, root: Path | None = None) -> str:
        """An index run that must end well; what it printed."""
        done = self.run("-r", root or self.photos, "--host", self.server.url, "--language", "en")
        assert (done.returncode, done.stderr.count("failed")) == (0, 0), done.stderr
        return done.stdout

    def do(self, *arguments: str | Path, code: int = 0) -> str:
        """A task that must end with `code`; its output, errors after results."""
        done = self.run(*arguments)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    def descriptions(self) -> dict[str, str]:
        """Description by file name."""
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            rows = db.execute("SELECT path, description FROM images WHERE gone_at IS NULL")
            return {os.path.basename(path): text for path, text in rows}

    def change(self, *statements: str) -> None:
        """What another program, or a bug, does to the file behind our back."""
        with contextlib.closing(sqlite3.connect(self.db, isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement)

    def forget_requests(self) -> None:
        self.server.requests.clear()


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Home]:
    with OllamaServer() as server:
        yield Home(tmp_path, server, capsys)


def add_vectors(home: Home) -> None:
    """A vector for every image and an index of them, without a model."""
    generator = np.random.default_rng(3)
    with Catalog.open(str(home.db)) as catalog:
        model = catalog.embedding_model_id("made", "digest", 8)
        rows = [image_id for (image_id,) in catalog.db.execute("SELECT id FROM images ORDER BY id")]
        vectors = generator.normal(size=(len(rows), 8)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        catalog.keep_passages((image_id, f"{image_id:064x}") for image_id in rows)
        catalog.keep_vectors(
            model, ((f"{row:064x}", vector.astype("<f2").tobytes()) for row, vector in zip(rows, vectors, strict=True))
        )
        generation = catalog.generation()
    path = str(home.folder / "image_index.faiss")
    vector_index.build(path, np.array(rows), vectors, model="made", model_digest="digest", generation=generation)


# --check and --repair


def test_a_whole_catalog_is_proved_whole(home: Home) -> None:
    add_vectors(home)
    assert "is whole: 6 images, 6 of them described" in home.do("--check")
    assert json.loads(home.do("--check", "--json")) == {"findings": []}
    assert "nothing to repair" in home.do("--repair")


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        ("INSERT INTO images_fts (images_fts) VALUES ('delete-all')", "full-text index"),
        ("UPDATE images SET stems = 'nonsense' WHERE id = 2", "full-text index"),
        ("UPDATE counts SET images = 17 WHERE state = 'described'", "counts"),
        ("UPDATE images SET exif = '{broken' WHERE id = 3", "column exif"),
        ("UPDATE images SET tags = '[broken' WHERE id = 3", "column tags"),
        ("UPDATE settings SET value = '[broken' WHERE name = 'hosts'", "setting hosts"),
        ("UPDATE images SET description = NULL WHERE id = 4", "states"),
        ("UPDATE vectors SET vector = zeroblob(16) WHERE rowid = 1", "vectors"),
        ("UPDATE vectors SET vector = x'00' WHERE rowid = 1", "vectors"),
        ("UPDATE vectors SET vector = x'007e007e007e007e007e007e007e007e' WHERE rowid = 1", "vectors"),
        ("DELETE FROM embedding_models", "vectors"),
    ],
)
def test_each_part_that_is_damaged_is_named_and_mended(home: Home, damage: str, part: str) -> None:
    add_vectors(home)
    before = home.descriptions()
    home.change(damage)
    found = home.do("--check", code=1)
    assert f"{part}: " in found
    mended = home.do("--repair")
    assert "before-repair-" in mended
    (copy,) = home.folder.glob("images.db.before-repair-*")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert "is whole" in home.do("--check")
    home.index()
    assert home.descriptions() == before
    assert home.run("winter", script=search_images).returncode == 0


def test_a_damaged_or_wrong_vector_index_is_named(home: Home) -> None:
    add_vectors(home)
    index = home.folder / "image_index.faiss"
    whole = index.read_bytes()
    index.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    assert "create_faiss_index.py" in home.do("--check", code=1)
    index.write_bytes(whole)
    home.change("DELETE FROM vectors WHERE rowid = 1")
    assert "holds 6 images, the catalog has vectors of 5" in home.do("--check", code=1)


def test_what_a_damaged_file_still_holds_is_saved(home: Home) -> None:
    rng = np.random.default_rng(5)
    with Catalog.open(str(home.db)) as catalog, catalog.transaction():
        for number in range(2000):
            text = " ".join(map(str, rng.integers(0, 1_000_000, 60)))
            columns = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": number, "device": 1}
            catalog.insert_image(b"/made/%d.jpg" % number, {**columns, "state": "described", "description": text})
    content = bytearray(home.db.read_bytes())
    for page in range(60, 70):
        content[page * 4096 : (page + 1) * 4096] = rng.bytes(4096)
    home.db.write_bytes(content)
    damaged = home.db.read_bytes()
    assert "damaged" in home.do("--check", code=1)
    told = home.do("--repair", code=1)
    assert home.db.read_bytes() == damaged
    (saved,) = home.folder.glob("images.db.saved-*Z")
    assert f"mv {saved} {home.db}" in told
    with Catalog.open_for_reading(str(saved)) as catalog:
        assert 1700 < catalog.coverage().described < 2006
    shutil.move(saved, home.db)
    assert "is whole" in home.do("--check")


def test_a_file_that_is_beyond_reading_is_left_as_it_is(home: Home) -> None:
    content = home.db.read_bytes()
    home.db.write_bytes(content[:4096] + bytes(len(content) - 4096))
    for leftover in ("-wal", "-shm"):
        Path(f"{home.db}{leftover}").unlink(missing_ok=True)
    before = home.db.read_bytes()
    assert "is damaged beyond reading" in home.do("--repair", code=3)
    assert home.db.read_bytes() == before
    assert not list(home.folder.glob("images.db.saved*"))


def test_check_makes_no_catalog_where_none_is(tmp_path: Path) -> None:
    done = run_script("index_images.py", "--check", "--db", tmp_path / "images.db")
    assert (done.returncode, list(tmp_path.iterdir())) == (3, [])
    assert "there is no catalog here yet" in done.stderr


# --backup


def test_a_backup_is_a_whole_private_file_and_replaces_only_backups(home: Home) -> None:
    target = home.folder / "copy.db"
    assert "6 images, 6 of them described" in home.do("--backup", target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in home.folder.glob("copy.db*")) == ["copy.db"]
    home.do("--backup", target)
    with contextlib.closing(sqlite3.connect(target)) as db:
        assert db.execute("SELECT count(*) FROM images").fetchone() == (6,)
    for name, content in (("diary.txt", b"dear diary"), ("empty", b"")):
        (home.folder / name).write_bytes(content)
        assert "no copy of a catalog" in home.do("--backup", home.folder / name, code=3)
        assert (home.folder / name).read_bytes() == content
    home.do("--backup", home.db, code=2)
    home.do("--backup", home.folder, code=3)
    home.do("--backup", home.folder / "nowhere" / "copy.db", code=3)


def test_a_backup_while_a_run_writes_is_consistent(home: Home) -> None:
    target = home.folder / "copy.db"
    with filelock.FileLock(str(home.db) + ".lock"), Catalog.open(str(home.db)) as catalog, catalog.transaction():
        catalog.update_image(1, {"description": "half way", "stems": "half way"})
        home.do("--backup", target)
    with contextlib.closing(sqlite3.connect(target)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM images WHERE description = 'half way'").fetchone() == (0,)


# --export and --import


def test_a_lost_catalog_comes_back_from_its_export_without_a_request(home: Home) -> None:
    numbered_picture(8).save(home.photos / "winter" / "0.jpg")  # its first description becomes a past one
    home.index()
    before = home.descriptions()
    export = home.folder / "descriptions.jsonl"
    assert "7 descriptions" in home.do("--export", export)
    assert stat.S_IMODE(export.stat().st_mode) == 0o600
    for path in home.folder.glob("images.db*"):
        path.unlink()
    home.run("--no-describe", "-r", home.photos / "winter")
    assert "3 taken over; 4 kept for pictures that the catalog has not met yet" in home.do("--import", export)
    home.forget_requests()
    home.index()
    assert home.server.requests == []
    assert home.descriptions() == before
    assert "is whole" in home.do("--check")
    assert "7 there already" in home.do("--import", export)


def test_pixels_tell_a_picture_whose_tags_were_edited(home: Home) -> None:
    export = home.folder / "descriptions.jsonl"
    home.do("--export", export)
    before = home.descriptions()
    for path in home.folder.glob("images.db*"):
        path.unlink()
    for number in range(6):
        path = home.photos / ("лето" if number % 2 else "winter") / f"{number}.jpg"
        path.write_bytes(path.read_bytes()[:2] + b"\xff\xfe\x00\x08edited" + path.read_bytes()[2:])  # a comment
    home.run("--no-describe", "-r", home.photos)
    home.do("--import", export)
    home.forget_requests()
    home.index()
    assert [request for request in home.server.requests if "chat" in str(request)] == []
    assert home.descriptions() == before


def test_stdout_and_stdin_are_files_too(home: Home) -> None:
    command = [sys.executable, str(ROOT / "index_images.py"), "--db", str(home.db)]
    lines = subprocess.run([*command, "--export", "-"], capture_output=True, text=True).stdout
    assert json.loads(lines.splitlines()[0])["format"] == "image-catalog descriptions"
    done = subprocess.run([*command, "--import", "-"], input=lines, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "6 there already\n")


def test_a_newer_description_wins_and_the_older_is_kept(home: Home) -> None:
    export = home.folder / "descriptions.jsonl"
    home.do("--export", export)
    head, *lines = export.read_text().splitlines()
    older, newer = json.loads(lines[0]), json.loads(lines[1])
    older |= {"description": "an older text", "described_at": "2001-01-01T00:00:00Z"}
    newer |= {"description": "a newer text", "described_at": "2999-01-01T00:00:00Z"}
    export.write_text("\n".join([head, json.dumps(older), json.dumps(newer)]) + "\n")
    before = home.descriptions()
    assert "1 taken over; 1 there already" in home.do("--import", export)
    after = home.descriptions()
    names = [os.path.basename(line["path"]) for line in (older, newer)]
    assert (after[names[0]], after[names[1]]) == (before[names[0]], "a newer text")
    with Catalog.open_for_reading(str(home.db)) as catalog:
        past = catalog.past_description(newer["content_hash"])
        assert past is not None
        assert past["description"] == before[names[1]]


def test_bad_lines_are_named_and_the_others_taken(home: Home) -> None:
    export = home.folder / "descriptions.jsonl"
    home.do("--export", export)
    head, *lines = export.read_text().splitlines()
    good = json.loads(lines[0])
    bad = [
        "{not json",
        "[1]",
        json.dumps(good | {"content_hash": "x"}),
        json.dumps(good | {"description": ""}),
        json.dumps(good | {"tags": "a, b"}),
        json.dumps(good | {"language": 5}),
        json.dumps(good | {"seconds": "long"}),
        '{"content_hash": "' + "a" * (2 << 20) + '"}',
    ]
    unknown = json.dumps(good | {"content_hash": "0" * 64, "pixel_hash": None, "description": "a lone \\ud800 and \ud800"})
    export.write_text("\n".join([head, *bad, unknown]) + "\n")
    done = home.run("--import", export)
    assert done.returncode == 1
    assert done.stdout == "1 kept for pictures that the catalog has not met yet; 8 lines were bad\n"
    for number, why in ((2, "is no JSON"), (3, "is no JSON object"), (4, "SHA-256"), (5, "empty"), (6, "tags"), (7, "language")):
        assert f"line {number}: " in done.stderr
        assert why in done.stderr
    export.write_text('{"format": "something else"}\n')
    assert "is no export of image-catalog" in home.do("--import", export, code=3)
    export.write_bytes(b"")
    home.do("--import", export, code=3)
    home.do("--import", home.folder / "nowhere", code=3)


# --relocate and --forget


def test_a_disk_that_moved_costs_no_description(home: Home) -> None:
    before = home.descriptions()
    os.rename(home.photos, home.folder / "фото")
    told = home.do("--relocate", home.photos, home.folder / "фото")
    assert "6 images moved in the catalog" in told
    home.forget_requests()
    assert "6 unchanged" in home.index(home.folder / "фото")
    assert (home.server.requests, home.descriptions()) == ([], before)
    assert home.run("фото", script=search_images).returncode == 0  # the new folder is among the facts
    assert home.run("photos", script=search_images).returncode == 1
    assert "no image of the catalog lies there" in home.do("--relocate", home.photos, home.folder / "фото", code=3)
    home.do("--relocate", home.folder / "фото", home.folder / "nowhere", code=3)
    home.do("--relocate", home.folder / "фото", home.folder / "фото", code=2)


def test_relocating_to_where_images_are_known_keeps_one_row_a_file(home: Home) -> None:
    new = home.folder / "new"
    shutil.copytree(home.photos, new)
    assert "6 copied" in home.index(new)
    shutil.rmtree(home.photos)
    assert "6 of them were known at the new place already" in home.do("--relocate", home.photos, new)
    with Catalog.open_for_reading(str(home.db)) as catalog:
        assert catalog.coverage().images == 6
    assert "6 unchanged" in home.index(new)
    assert "is whole" in home.do("--check")


def test_part_of_a_name_is_no_folder(home: Home) -> None:
    (home.folder / "photos2").mkdir()
    numbered_picture(9).save(home.folder / "photos2" / "9.jpg")
    home.index(home.folder / "photos2")
    assert "6 images of" in home.do("--forget", home.photos)
    assert list(home.descriptions()) == ["9.jpg"]


def test_forgetting_leaves_no_trace_in_the_file(home: Home) -> None:
    add_vectors(home)
    secret = home.descriptions()["1.jpg"]
    home.change("UPDATE images SET visible_text = 'geheimniskraemerei' WHERE path LIKE '%/1.jpg'")
    assert (
        b"geheimniskraemerei" in home.db.read_bytes() + (home.folder / "images.db-wal").read_bytes()
        if (home.folder / "images.db-wal").exists()
        else home.db.read_bytes()
    )
    told = home.do("--forget", home.photos / "лето")
    assert "3 images of" in told
    assert "create_faiss_index.py" in told
    content = b"".join(path.read_bytes() for path in home.folder.glob("images.db*"))
    assert secret.encode() not in content
    assert b"geheimniskraemerei" not in content
    assert all((home.photos / "лето" / f"{number}.jpg").exists() for number in (1, 3, 5))
    assert sorted(home.descriptions()) == ["0.jpg", "2.jpg", "4.jpg"]
    home.do("--forget", home.folder / "nowhere", code=3)
    assert home.run("--check").stdout.count("image_index.faiss") == 0  # behind is no damage


# --write-sidecars


def test_sidecars_hold_the_descriptions_and_are_not_read_back(home: Home) -> None:
    originals = {path: path.read_bytes() for path in home.photos.rglob("*.jpg")}
    assert "6 sidecars written" in home.do("--write-sidecars")
    assert {path: path.read_bytes() for path in originals} == originals
    with Catalog.open_for_reading(str(home.db)) as catalog:
        assert len(catalog.known_other_files()) == 6  # so that the next run opens neither them nor their pictures
    home.forget_requests()
    assert "6 unchanged" in home.index()
    assert home.server.requests == []
    path = home.photos / "winter" / "2.jpg"
    assert sidecars.is_ours(Path(f"{path}.xmp").read_bytes())
    assert exif.read(path).caption is None  # our own words are no caption of the picture
    home.change("UPDATE images SET description = 'A cat & a <dog>' WHERE path LIKE '%/2.jpg'")
    assert "1 sidecars written, 5 are as they should be" in home.do("--write-sidecars")
    assert "A cat &amp; a &lt;dog&gt;" in Path(f"{path}.xmp").read_text(encoding="utf-8")
    assert not [name for name in os.listdir(path.parent) if name.endswith(".tmp")]


def test_other_programs_read_our_sidecars(home: Home) -> None:
    if not shutil.which("exiftool"):
        pytest.skip("exiftool is not installed")
    home.do("--write-sidecars", home.photos / "winter")
    assert not (home.photos / "лето" / "1.jpg.xmp").exists()
    path = home.photos / "winter" / "4.jpg.xmp"
    found = json.loads(subprocess.run(["exiftool", "-j", str(path)], capture_output=True, text=True).stdout)[0]
    with Catalog.open_for_reading(str(home.db)) as catalog:
        row = catalog._one("SELECT description, tags FROM images WHERE path LIKE '%/4.jpg'")
    assert row is not None
    assert found["Description"] == row["description"]
    subject = found["Subject"]
    assert (subject if isinstance(subject, list) else [subject]) == json.loads(row["tags"])


def test_what_others_wrote_or_edited_is_theirs(home: Home) -> None:
    foreign = home.photos / "winter" / "0.jpg.xmp"
    foreign.write_text("<x:xmpmeta xmlns:x='adobe:ns:meta/'>darktable</x:xmpmeta>")
    home.do("--write-sidecars", home.photos / "лето")
    edited = home.photos / "лето" / "1.jpg.xmp"
    edited.write_text(edited.read_text(encoding="utf-8").replace("</rdf:Alt>", "</rdf:Alt><!-- mine -->"), encoding="utf-8")
    done = home.run("--write-sidecars")
    assert done.returncode == 1
    assert done.stderr.count("is another program's sidecar; --force replaces it") == 2
    assert "darktable" in foreign.read_text()
    assert "mine" in edited.read_text(encoding="utf-8")
    assert "2 sidecars written" in home.do("--write-sidecars", "--force")
    assert "darktable" not in foreign.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_named(home: Home) -> None:
    (home.photos / "winter" / "0.jpg.xmp").mkdir()
    done = home.run("--write-sidecars", home.photos / "winter")
    assert done.returncode == 1
    assert f"{home.photos}/winter/0.jpg.xmp: cannot be written (Is a directory)" in done.stderr
    assert "2 sidecars written, 0 are as they should be, 1 not written" in done.stdout


# --log, locking, wrong usage


def test_the_log_has_what_quiet_hides(home: Home) -> None:
    log = home.folder / "night.log"
    (home.photos / "bad.jpg").write_text("no picture")
    for _ in range(2):
        home.run("-q", "-r", home.photos, "--host", home.server.url, "--log", log)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    lines = log.read_text(encoding="utf-8").splitlines()
    assert all(line[4] == "-" and line[10] == "T" for line in lines)
    assert sum("bad.jpg: not an image (text)" in line for line in lines) == 1
    assert any("6 unchanged" in line for line in lines)
    done = home.run("-r", home.photos, "--log", home.folder / "nowhere" / "a.log")
    assert (done.returncode, "cannot write the log" in done.stderr) == (3, True)


@pytest.mark.parametrize("task", [["--check"], ["--repair"], ["--forget", "x"], ["--import", "x"], ["--relocate", "x", "y"]])
def test_a_task_waits_for_no_run_and_disturbs_none(home: Home, task: list[str]) -> None:
    with filelock.FileLock(str(home.db) + ".lock"):
        assert "another index run" in home.do(*task, code=75)


@pytest.mark.parametrize("wrong", [["--check", "--repair"], ["--force", "x"], ["--relocate", "x"], ["--status", "--check"]])
def test_wrong_usage(home: Home, wrong: list[str]) -> None:
    home.do(*wrong, code=2)
