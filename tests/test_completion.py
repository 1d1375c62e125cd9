"""What a shell is told when TAB is pressed: options of each script, and what the catalog has for the values of filters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import search_catalogs
from running import ROOT, SCRIPTS

from image_catalog.catalog import Catalog


def completions(script: str, typed: str, **environment: str) -> list[str]:
    """What argcomplete answers a shell for `script typed`: by its protocol on file descriptor 8, as its bash function asks."""
    line = f"{script} {typed}"
    receive, send = os.pipe()
    command = ["bash", "-c", f'exec 8>&{send} 9>/dev/null; exec "$0" "$1"', sys.executable, str(ROOT / script)]
    asked = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SHELL": "bash", "COMP_LINE": line,
        "COMP_POINT": str(len(line)), "COMP_TYPE": "9", **environment,
    }  # fmt: skip
    done = subprocess.run(command, env={**os.environ, **asked}, pass_fds=(send,), capture_output=True, text=True)
    os.close(send)
    with os.fdopen(receive, encoding="utf-8") as answer:
        found = answer.read()
    assert (done.stdout, done.stderr) == ("", "")
    return [word.rstrip() for word in found.split("\n") if word.strip()]


@pytest.fixture
def db(tmp_path: Path) -> str:
    return search_catalogs.make(tmp_path / "images.db")


@pytest.mark.parametrize("script", SCRIPTS)
def test_options_are_completed(script: str) -> None:
    assert "--version" in completions(script, "--ver")
    assert completions(script, "--nothing-like-this") == []


def test_the_line_so_far_is_kept_to() -> None:
    assert completions("search_images.py", "--mode s") == ["semantic"]
    found = completions("search_images.py", "--o")
    assert {"--offset", "--orientation", "--open"} <= set(found)


def test_values_come_out_of_the_catalog_that_the_line_names(db: str) -> None:
    assert "ёлка" in completions("search_images.py", f"--db {db} --tag ё")
    cameras = completions("search_images.py", f"--db {db} --camera ")
    assert any("D90" in camera for camera in cameras), cameras
    assert any("JPEG" in name for name in completions("search_images.py", f"--db {db} --format J"))
    assert completions("search_images.py", "--tag ё", IMAGE_CATALOG_DB=db) == ["ёлка"]
    assert completions("search_images.py", "--orientation p") == ["portrait"]
    assert "yesterday" in completions("search_images.py", "--after y")


def test_without_a_catalog_nothing_is_offered_and_nothing_is_said(tmp_path: Path) -> None:
    assert completions("search_images.py", f"--db {tmp_path / 'none.db'} --camera ") == []
    assert not list(tmp_path.iterdir())


def test_hostile_names_reach_no_shell_raw(db: str) -> None:
    with Catalog.open(db) as catalog:
        search_catalogs.add(catalog, b"/photos/evil.jpg", description="x", tags='["evil\\u001b[2J", "evil\\n--db", "evilgood"]')
    assert completions("search_images.py", f"--db {db} --tag evil") == ["evilgood"]


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_bash_completes_after_the_documented_line(tmp_path: Path) -> None:
    """As README says it: eval, then TAB after `python search_images.py --mo`."""
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    program = """
        eval "$(python search_images.py --print-completion bash)"
        COMP_LINE="python search_images.py --mo"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
        COMP_WORDS=(python search_images.py --mo); COMP_CWORD=2
        _python_argcomplete_global python --mo search_images.py
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **path})
    assert "--mode" in done.stdout, done.stderr


def test_zsh_gets_its_own_beginning() -> None:
    command = [sys.executable, str(ROOT / "search_images.py"), "--print-completion", "zsh"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("autoload -Uz compinit")
