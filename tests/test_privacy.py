"""Nothing leaves the machine: what the libraries below do by themselves, watched at the system calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import real_models
import search_catalogs
from running import ROOT

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is the judge"),
]

TEXTS = {"a.jpg": "A brown dog runs along the sandy shore.", "b.jpg": "A chocolate cake with candles on a table."}


def watched(folder: Path, *command: str | Path) -> list[str]:
    """The system calls that ask for a connection to another machine, or to a name server, of a script and all that it starts."""
    # Not as in CI or a test, where some libraries keep quiet; a home of its own shows what is left behind.
    quiet = ("CI", "ORT_", "HF_", "DO_NOT_TRACK", "PYTEST", "XDG_", "GITHUB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(quiet)}
    environment |= {"HOME": str(folder / "home"), "IMAGE_CATALOG_CACHE": str(folder / "cache")}
    log = folder / "calls"
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", log, "-e", "trace=connect,sendto,sendmsg"]
    done = subprocess.run(
        [*strace, sys.executable, ROOT / command[0], *command[1:]], capture_output=True, text=True, env=environment
    )
    if "ptrace" in done.stderr and done.returncode != 0:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    return [line for line in log.read_text(errors="replace").splitlines() if re.search(r"AF_INET6?|sin_addr", line)]


def test_vectors_and_searches_speak_to_nobody_and_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    database = search_catalogs.make(tmp_path / "images.db", TEXTS)
    assert watched(tmp_path, "create_faiss_index.py", "--db", database, "--model", real_models.english_folder()) == []
    for options in (["puppy"], ["puppy", "--mode", "semantic", "--json"], ["dog", "--mode", "text"]):
        assert watched(tmp_path, "search_images.py", "--db", database, *options) == []
    assert [str(path.relative_to(tmp_path)) for path in (tmp_path / "home").rglob("*") if path.is_file()] == []
