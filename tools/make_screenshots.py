"""demo/images.db (made by ./demo.sh) -> docs/*.png: what the page looks like, for README.

    ./demo.sh && python tools/make_screenshots.py

Shown are the samples; samples/CREDITS.md says whose pictures they are. Needs Chromium and requirements-dev.txt.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from page_browser import Browser, browsing
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
DESKTOP = {"viewport": {"width": 1200, "height": 760}}
PHONE = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True, "device_scale_factor": 1.5}


def _nothing(page: Any) -> None: ...


def _open_first(page: Any) -> None:
    page.locator(".tile a").first.click()
    page.wait_for_selector(".viewer[open] h1")


def _point_at_second(page: Any) -> None:
    page.locator(".tile").nth(1).hover()


@dataclass(frozen=True)
class Shot:
    """One screenshot: where it is taken, of what kind of screen, and what is done before."""

    path: str
    options: dict[str, Any] = field(default_factory=lambda: DESKTOP)
    before: Callable[[Any], None] = _nothing


SHOTS = {
    "page.png": Shot("/?q=blue+sky"),
    "page-dark.png": Shot("/", {**DESKTOP, "color_scheme": "dark"}, _point_at_second),
    "page-phone.png": Shot("/?q=горы+на+закате", {**PHONE, "locale": "ru-RU"}),
    "picture.png": Shot("/?q=mountain", before=_open_first),
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", default=str(ROOT / "demo" / "images.db"), help="the catalog to show (demo/images.db)")
    options = parser.parse_args(argv)
    DOCS.mkdir(exist_ok=True)
    with browsing(lambda: options.db) as browser:
        for name, shot in SHOTS.items():
            size = take(browser, shot, DOCS / name)
            print(f"{DOCS / name}: {size // 1000} KB")
    return 0


def take(browser: Browser, shot: Shot, file: Path) -> int:
    """Take one and write it; returns its size in bytes."""
    with browser.open(shot.path, **shot.options) as page:
        shot.before(page)
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)
        picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").save(file, optimize=True)
    return file.stat().st_size


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
