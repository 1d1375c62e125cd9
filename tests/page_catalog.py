"""The catalog that the tests of the page look at: the samples, many small pictures to scroll through, and a hostile one.

Made once in a session by the real scripts, described in Russian by the test server, with a real vector index.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import real_models
from ollama_pictures import PALETTE
from ollama_server import OllamaServer
from PIL import Image
from running import ROOT, run_script

SAMPLES = ROOT / "samples"
CAMERA = "Testograph 3000"
YEARS = (1990, 1991)  # of the small pictures, all taken by CAMERA; the samples are newer
SMALL_PICTURES = 130
HOSTILE_TEXT = (
    """<script>window.broken = 1</script> "><img src=x onerror="window.broken = 2"> '><svg onload=window.broken=3> {{ 7 * 7 }}"""
)
HOSTILE_NAME = "\"><img src=x onerror=window.broken=4> &amp; <b>'.png"


@cache
def database() -> str:
    """images.db, with image_index.faiss beside it."""
    real_models.use_own_cache()
    folder = Path(tempfile.mkdtemp(prefix="image-catalog-page-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    pictures = folder / "pictures"
    shutil.copytree(SAMPLES, pictures)
    _add_small_pictures(pictures / "small")
    _add_hostile_picture(pictures)
    database = folder / "images.db"
    with OllamaServer(pictures) as server:
        _run(
            "index_images.py", pictures, "-r", "-q", "--host", server.url, "--language", "ru", "--workers", "4", "--db", database
        )
    _run("create_faiss_index.py", "-q", "--db", database)
    return os.fspath(database)


def _run(script: str, *arguments: str | Path) -> None:
    done = run_script(script, *arguments)
    assert done.returncode == 0, done.stderr


def _add_small_pictures(folder: Path) -> None:
    folder.mkdir()
    for number in range(SMALL_PICTURES):
        _, _, colour = PALETTE[number % len(PALETTE)]
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Testograph", CAMERA
        moment = f"{YEARS[number % 2]}:{number // 2 % 12 + 1:02}:{number % 28 + 1:02} 10:{number % 60:02}:00"
        exif.get_ifd(0x8769)[0x9003] = moment
        Image.new("RGB", (240, 160 if number % 3 else 320), colour).save(folder / f"small{number:03}.jpg", exif=exif)


def _add_hostile_picture(folder: Path) -> None:
    """Its description, tags, text and name try to break out of the page."""
    picture = Image.radial_gradient("L").convert("RGB").resize((300, 200))
    picture.save(folder / HOSTILE_NAME)
    captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    text = (
        f"Круглое пятно. {HOSTILE_TEXT} Белая середина, к краям становится темнее, углы снимка совсем чёрные. Больше ничего нет."
    )
    tags = ["<b onmouseover=alert(1)>", "круг"]
    captions[HOSTILE_NAME] = {"en": text, "ru": text, "tags_en": tags, "tags_ru": tags, "visible_text": "</blockquote><script>"}
    (folder / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
