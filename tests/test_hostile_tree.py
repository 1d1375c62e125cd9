"""Everything that hangs, fills or leads in circles, in one folder with good pictures: one run names it, the next opens none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from picture_files import NO_IMAGES, jpeg_with_looping_ifd, png_of_size, save, text_bomb
from running import ROOT

GOOD = ["good.jpg", "loop.jpg"]  # the tags of loop.jpg lead in a circle; its picture is whole
BAD = {
    "3.6gp.png": png_of_size(60_000, 60_000),
    "bomb.png": text_bomb(),
    "empty.jpg": b"",
    "page.jpg": NO_IMAGES["HTML"],
}
RECORD_OPENED_FILES = """
import os, sys
def record(event, arguments, log=os.environ.get("OPENED_FILES")):
    if event == "open" and log and isinstance(arguments[0], (str, bytes)):
        path = os.fsdecode(arguments[0])
        if path != log:
            descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, os.fsencode(path) + b"\\n")
            os.close(descriptor)
sys.addaudithook(record)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "self").mkdir(parents=True)
    for name, content in BAD.items():
        (root / name).write_bytes(content)
    save(root / "good.jpg")
    (root / "loop.jpg").write_bytes(jpeg_with_looping_ifd())
    os.mkfifo(root / "fifo.jpg")
    os.symlink(root / "self", root / "self" / "again")
    os.symlink(root / "dead.jpg", root / "dead.jpg")
    (root / "large.jpg").touch()
    os.truncate(root / "large.jpg", 8 << 30)
    (tmp_path / "sitecustomize.py").write_text(RECORD_OPENED_FILES)
    return root


def run(tree: Path) -> tuple[subprocess.CompletedProcess[str], list[str], float]:
    """The run, which files of the tree it opened, and how long it took in seconds."""
    log = tree.parent / "opened"
    log.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(tree.parent), "OPENED_FILES": str(log)}
    command = [sys.executable, str(ROOT / "index_images.py"), str(tree), "-r", "--no-describe"]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--db", str(tree.parent / "images.db")], capture_output=True, text=True, env=environment, timeout=120
    )
    opened = log.read_text().splitlines() if log.exists() else []
    assert any(path.endswith("images.db") or "facts" in path for path in opened), "the recorder does not record"
    return done, [path for path in opened if path.startswith(str(tree) + "/")], time.monotonic() - started


def test_each_is_named_once_and_opened_once(tree: Path) -> None:
    first, opened, seconds = run(tree)
    assert first.returncode == 1
    assert seconds < 30
    assert "2 new" in first.stdout
    assert {os.path.basename(path) for path in opened} >= {*GOOD, *BAD}
    for name in (*BAD, "fifo.jpg", "dead.jpg", "large.jpg"):
        assert first.stderr.count(f"/{name}: ") == 1, (name, first.stderr)
    assert first.stderr.count("/self/again: a link to a folder is not followed") == 1
    assert not any(f"/{name}:" in first.stderr for name in GOOD)
    second, opened, _ = run(tree)
    assert (second.returncode, second.stderr) == (0, "")
    assert opened == []
    assert "7 unchanged" in second.stdout  # 2 good ones and 5 that are no pictures
