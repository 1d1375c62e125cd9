"""A real browser and a running browse_images.py, for the tests of the page.

Every page that a test opens is watched: an error on the console or a request to another host fails the test.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from running import ROOT

SCRIPT = ROOT / "browse_images.py"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_START = 60.0  # seconds that the server may take on a busy machine


def browser_path() -> str:
    """The installed browser. Without one the test is skipped, or fails where REQUIRE_BROWSER is set, as .ci/run does."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), "")
    if not found:
        say = pytest.fail if os.environ.get("REQUIRE_BROWSER") else pytest.skip
        say("no Chromium here: apt-get install chromium")
    return found


class RunningPage(NamedTuple):
    """A browse_images.py that answers."""

    address: str
    pid: int


@contextlib.contextmanager
def running_page(database: str) -> Iterator[RunningPage]:
    """A page for `database`; the server ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, os.fspath(SCRIPT), "--db", database, "--no-open", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/status", process)
        yield RunningPage(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _wait_for(url: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + _START
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"{SCRIPT.name} ended: {process.communicate()[1]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    pytest.fail(f"{SCRIPT.name} did not answer in {_START} s")


class Browser:
    """Chromium. A test opens pages in it, each with a profile of its own."""

    def __init__(self, chromium: Any, running: RunningPage) -> None:
        self._chromium = chromium
        self.address, self.pid = running
        self.version: str = chromium.version

    @contextlib.contextmanager
    def open(self, path: str = "/", expected_errors: tuple[str, ...] = (), **options: Any) -> Iterator[Any]:
        """A page at `path`; `options` are those of playwright's new_context (locale, color_scheme, viewport, ...).

        At the end nothing but `expected_errors` may stand on the console, and no request may have gone to another host.
        """
        context = self._chromium.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(15_000)
        page = context.new_page()
        errors: list[str] = []
        hosts: set[str] = set()
        page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: hosts.add(_origin(request.url)))
        try:
            page.goto(self.address + path)  # returns when the page's scripts have run
            yield page
            unexpected = [error for error in errors if not any(part in error for part in expected_errors)]
            assert not unexpected, unexpected
            assert hosts <= {self.address}, hosts
        finally:
            context.close()


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3])


@contextlib.contextmanager
def browsing(database: Callable[[], str]) -> Iterator[Browser]:
    """A browser and the page of the catalog that `database` makes or names; nothing is made where there is no browser."""
    with headless_chromium() as chromium, running_page(database()) as running:
        yield Browser(chromium, running)


@contextlib.contextmanager
def headless_chromium() -> Iterator[Any]:
    """The installed browser, driven by playwright."""
    from playwright.sync_api import sync_playwright

    path = browser_path()
    with sync_playwright() as playwright:
        # Root has no sandbox in a container; the pages shown are our own.
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if _is_root() else [])
        try:
            yield chromium
        finally:
            chromium.close()


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def names(page: Any) -> list[str]:
    """The file names of the pictures in the grid, in order."""
    found: list[str] = page.eval_on_selector_all(".tile img", "images => images.map(image => image.alt)")
    return found


def ask(page: Any, text: str) -> None:
    """Type a question as a person does and wait for its answer."""
    with page.expect_response(lambda response: "/api/search" in response.url and "q=" in response.url):
        page.locator("#q").press_sequentially(text, delay=5)
    settled(page)


def settled(page: Any) -> None:
    """Wait until the answer to what was typed or chosen is on the screen."""
    page.wait_for_timeout(180)  # longer than the page waits for the next key
    page.wait_for_selector(".grid:not(.waiting)", state="attached")
