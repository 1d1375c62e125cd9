"""What a script loads before it is needed is paid at every start: --help and a text search must stay light."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import ROOT, SCRIPTS

from image_catalog.catalog import Catalog
from image_catalog.errors import NOTHING_FOUND

HEAVY = ("numpy", "torch", "faiss", "requests", "PIL", "transformers", "sentence_transformers", "onnxruntime", "tqdm")


def loaded_by(script: str, *arguments: str) -> tuple[int, set[str]]:
    """The exit code of a script's main, and which of HEAVY it had loaded by then."""
    program = (
        "import sys, runpy\n"
        f"sys.argv = [{script!r}, *{arguments!r}]\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / script)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        f"    print('LOADED', end.code, *(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    line = done.stdout.rsplit("LOADED ", 1)[-1].split()
    return (0 if line[0] == "None" else int(line[0])), set(line[1:])


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_loads_nothing_heavy(script: str) -> None:
    assert loaded_by(script, "--help") == (0, set())


def test_a_text_search_loads_nothing_heavy(tmp_path: Path) -> None:
    path = str(tmp_path / "images.db")
    with Catalog.open(path) as catalog:
        columns = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1, "device": 1}
        text = {"state": "described", "description": "A sunset", "stems": "a sunset"}
        catalog.insert_image(b"/a.jpg", {**columns, **text})
    assert loaded_by("search_images.py", "--db", path, "--mode", "text", "sunset") == (0, set())
    assert loaded_by("search_images.py", "--db", path, "sunset") == (0, set())
    assert loaded_by("search_images.py", "--db", path, "--mode", "text", "zebra") == (NOTHING_FOUND, set())


def test_a_run_over_an_unchanged_folder_loads_no_model_client(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    code, loaded = loaded_by("index_images.py", "--db", str(tmp_path / "images.db"), str(tmp_path / "photos"))
    assert code == 0
    assert loaded <= {"PIL"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_comes_at_once(script: str) -> None:
    """A ratio to a bare Python start in the same minute: an absolute limit would fail on a busy machine."""

    def seconds(*command: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True, cwd=ROOT)
        return time.perf_counter() - started

    bare = min(seconds("-c", "pass") for _ in range(5))
    helped = min(seconds(script, "--help") for _ in range(5))
    assert helped < max(0.15, 7 * bare)
