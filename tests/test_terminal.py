"""What a terminal gets beyond text: links, pictures, and the first picture in a viewer."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import picture_files
import pytest
import search_catalogs
from running import ROOT, run_script

from image_catalog.catalog import Catalog

LINK = re.compile(r"\x1b\]8;;(.*?)\x1b\\(.*?)\x1b\]8;;\x1b\\")


@pytest.fixture
def db(tmp_path: Path) -> str:
    """Three pictures that say zebra: a real one, one whose name is not UTF-8, one that would move the cursor."""
    path = search_catalogs.make(tmp_path / "images.db")
    picture_files.save(tmp_path / "zebra one.jpg", picture_files.scene(800, 600))
    with Catalog.open(path) as catalog:
        for name in (b"zebra one.jpg", b"zebra \xe9.jpg", b"zebra \x1b[2J.jpg"):
            text = "A zebra on a meadow" + (" alone" if name == b"zebra one.jpg" else "")
            search_catalogs.add(catalog, os.fsencode(tmp_path) + b"/" + name, description=text)
    return path


def on_terminal(
    *arguments: str, answers: dict[bytes, bytes] | None = None, pixels: tuple[int, int] = (1000, 800), **environment: str
) -> str:
    """All that search_images.py writes to a terminal that gives these `answers` to what it is asked."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, *pixels))
    command = [sys.executable, str(ROOT / "search_images.py"), "--mode", "text", *arguments]
    settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40", **environment}
    settings = {name: value for name, value in settings.items() if name != "NO_COLOR" or name in environment}
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=settings, start_new_session=True)
    os.close(terminal)
    written, pending = b"", b""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([main], [], [], 0.2)[0]:
            try:
                data = os.read(main, 65536)
            except OSError:
                break
            if not data:
                break
            written += data
            pending += data
            for question, answer in (answers or {}).items():
                while question in pending:
                    pending = pending.replace(question, b"", 1)
                    os.write(main, answer)
        elif process.poll() is not None:
            break
    process.wait(timeout=10)
    os.close(main)
    return written.decode("utf-8", "replace")


# Links


def test_paths_are_links_on_a_terminal(db: str, tmp_path: Path) -> None:
    links = dict(LINK.findall(on_terminal("--db", db, "zebra")))
    host = os.uname().nodename
    folder = str(tmp_path).replace(" ", "%20")
    assert set(links) == {
        f"file://{host}{folder}/{name}" for name in ("zebra%20one.jpg", "zebra%20%E9.jpg", "zebra%20%1B%5B2J.jpg")
    }
    shown = "".join(links.values())
    assert "\\xe9" in shown and "\\x1b" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_links_where_no_escapes_are_wanted(db: str, environment: dict[str, str]) -> None:
    assert "\x1b" not in on_terminal("--db", db, "zebra", **environment)


def test_no_links_in_a_pipe(db: str) -> None:
    assert "\x1b" not in run_script("search_images.py", "--db", db, "--mode", "text", "zebra").stdout


# Pictures

_SIXEL = {b"\x1b[c": b"\x1b[?62;4;22c", b"\x1b[16t": b"\x1b[6;20;10t"}
_KITTY = {b"\x1b[c": b"\x1b[?62;22c", b"\x1b[16t": b"\x1b[6;20;10t"}


def test_pictures_are_drawn_as_sixels_where_the_terminal_has_them(db: str) -> None:
    pytest.importorskip("textual_image")
    written = on_terminal("--db", db, "--show", "zebra", answers=_SIXEL)
    assert written.count("\x1bP") == 1, written[-500:]  # the other two files are not there
    assert "A \x1b[1mzebra" in written


def test_a_terminal_that_hides_its_size_is_no_disaster(db: str) -> None:
    pytest.importorskip("textual_image")
    written = on_terminal("--db", db, "--show", "zebra", answers={b"\x1b[c": b"\x1b[?62;4;22c"}, pixels=(0, 0))
    assert "internal error" not in written
    assert "zebra one.jpg" in written


def test_a_terminal_without_pictures_says_so_and_shows_the_rest(db: str) -> None:
    pytest.importorskip("textual_image")
    written = on_terminal("--db", db, "--show", "zebra", answers=_KITTY)
    assert "this terminal shows no pictures" in written
    assert "zebra one.jpg" in written


def test_without_a_terminal_the_results_are_the_same(db: str) -> None:
    plain = run_script("search_images.py", "--db", db, "--mode", "text", "zebra")
    shown = run_script("search_images.py", "--db", db, "--mode", "text", "--show", "zebra")
    assert shown.stdout == plain.stdout
    assert "--show: this is no terminal" in shown.stderr


def test_a_missing_library_is_named_with_what_to_install(db: str, tmp_path: Path) -> None:
    (tmp_path / "textual_image.py").write_text("raise ModuleNotFoundError('no', name='textual_image')", encoding="utf-8")
    written = on_terminal("--db", db, "--show", "zebra", PYTHONPATH=str(tmp_path))
    assert "textual_image is not installed" in written and "requirements-show.txt" in written
    assert "zebra one.jpg" in written


# The viewer


def opener(folder: Path, body: str) -> dict[str, str]:
    """A PATH on which xdg-open is this shell script."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "xdg-open").write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    (tools / "xdg-open").chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}"}


def test_the_first_picture_is_opened(db: str, tmp_path: Path) -> None:
    environment = opener(tmp_path, f'printf "%s|" "$@" > "{tmp_path}/opened"')
    arguments = ("--db", db, "--mode", "text", "--open", "--paths", "zebra alone")
    done = run_script("search_images.py", *arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "opened").read_text(encoding="utf-8") == f"{tmp_path}/zebra one.jpg|"
    assert done.stdout.splitlines()[0] == f"{tmp_path}/zebra one.jpg"


@pytest.mark.parametrize(
    ("query", "body", "said"),
    [("собака", "exit 0", "is not there"), ("zebra alone", "exit 3", "found no viewer")],
)
def test_what_cannot_be_opened_is_one_line_after_the_results(db: str, tmp_path: Path, query: str, body: str, said: str) -> None:
    arguments = ("--db", db, "--mode", "text", "-q", "--open", "-n", "1", query)
    done = run_script("search_images.py", *arguments, environment=opener(tmp_path, body))
    assert done.returncode == 3
    assert done.stdout
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_machine_without_a_viewer_says_so(db: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "python3").symlink_to(shutil.which("python3") or sys.executable)
    arguments = ("--db", db, "--mode", "text", "-q", "--open", "zebra alone")
    done = run_script("search_images.py", *arguments, environment={"PATH": str(empty)})
    assert "there is no viewer here" in done.stderr
