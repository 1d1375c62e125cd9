"""search_images.py --html in a real browser: whole by itself, whatever its texts say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import picture_files
import pytest
import search_catalogs
from page_browser import headless_chromium
from page_catalog import HOSTILE_NAME, HOSTILE_TEXT
from running import run_script

from image_catalog.catalog import Catalog

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with headless_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("html")
    database = search_catalogs.make(folder / "images.db")
    with Catalog.open(database) as catalog:
        for number, name in enumerate((HOSTILE_NAME, "зебра.jpg")):
            picture = picture_files.save(folder / name, picture_files.scene(800, 600 - 100 * number))
            search_catalogs.add(catalog, os.fsencode(picture), description=f"A zebra. {HOSTILE_TEXT}", caption=HOSTILE_TEXT)
    done = run_script("search_images.py", "--db", database, "--mode", "text", "--html", folder / "found.html", "zebra", "-q")
    assert done.returncode == 0, done.stderr
    return folder / "found.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_it_shows_its_pictures_and_asks_nobody(chromium: Any, page_file: Path, scheme: str, width: int) -> None:
    page = chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url[:60]))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(page_file.as_uri())
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith(("file://", "data:"))] == []
    assert said == []
    sizes = page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
    assert len(sizes) == 2 and min(sizes) > 100
    assert HOSTILE_TEXT in page.locator("li").first.inner_text()
    assert page.locator("li a.name").first.get_attribute("href").startswith("file:///")
    assert page.evaluate("window.broken") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
