"""The page in a real browser: one picture, over the search and on a page of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import page_catalog
import pytest
from page_browser import Browser, browsing, names, settled

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing(page_catalog.database) as browser:
        yield browser


def image_id(name: str) -> int:
    db = sqlite3.connect(page_catalog.database())
    (found,) = db.execute("SELECT id FROM images WHERE path LIKE ?", (f"%/{name}",)).fetchone()
    db.close()
    return int(found)


def shown(page: Any) -> str:
    return str(page.locator(".viewer h1").text_content())


def wait_for(page: Any, name: str) -> None:
    page.wait_for_function("name => document.querySelector('.viewer h1')?.textContent === name", arg=name)


def test_all_that_is_known_is_shown(browser: Browser) -> None:
    with browser.open(f"/image/{image_id('IMG_0771.heic')}?q=одуванчики", locale="ru-RU") as page:
        text = page.locator(".known").inner_text()
        for part in ("IMG_0771.heic", "7 мая 2018, 19:44", "Дрезден", "iPhone 8", "f/1,8", "ISO", "gemma3", "Описать заново"):
            assert part in text, part
        assert page.locator(".description mark").count() > 0
        assert page.locator(".tags a").count() > 3
        assert page.locator(".strip a").count() > 3
        assert page.locator(".map .map-pin").is_visible()
        page.wait_for_function("() => document.querySelector('.stage img').naturalWidth > 800")
        page.wait_for_function("() => document.querySelector('.map-land').getBBox().width > 1000")


def test_a_turned_picture_is_upright(browser: Browser) -> None:
    db = sqlite3.connect(page_catalog.database())
    found = db.execute("SELECT id, width, height FROM images WHERE orientation IN (5, 6, 7, 8) AND width != height").fetchone()
    db.close()
    with browser.open(f"/image/{found[0]}") as page:
        page.wait_for_function("() => document.querySelector('.stage img').complete")
        width, height = page.eval_on_selector(".stage img", "image => [image.naturalWidth, image.naturalHeight]")
        assert (width > height) == (found[1] > found[2])


def test_arrow_keys_turn_to_the_next_picture_and_back(browser: Browser) -> None:
    with browser.open("/?q=закат") as page:
        order = names(page)
        page.locator(".tile a").first.click()
        wait_for(page, order[0])
        page.keyboard.press("ArrowRight")
        wait_for(page, order[1])
        page.keyboard.press("ArrowRight")
        wait_for(page, order[2])
        page.keyboard.press("ArrowLeft")
        wait_for(page, order[1])
        page.keyboard.press("Escape")
        page.wait_for_selector(".viewer", state="hidden")
        assert "/?q=" in page.url


def test_escape_returns_to_the_search_and_its_focus(browser: Browser) -> None:
    with browser.open("/?q=закат") as page:
        page.locator(".tile a").nth(1).click()
        wait_for(page, names(page)[1])
        page.keyboard.press("Escape")
        page.wait_for_selector(".viewer", state="hidden")
        assert page.evaluate("document.activeElement.closest('.tile') === document.querySelectorAll('.tile')[1]")


def test_a_reloaded_picture_still_leads_back_to_its_search(browser: Browser) -> None:
    with browser.open("/?q=закат") as page:
        page.locator(".tile a").first.click()
        wait_for(page, names(page)[0])
        page.reload()
        page.wait_for_selector("main article")
        page.go_back()
        page.wait_for_selector(".tile")
        assert page.input_value("#q") == "закат"


def test_a_finger_swipes_to_the_next_picture(browser: Browser) -> None:
    with browser.open("/?q=закат", has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}) as page:
        order = names(page)
        page.locator(".tile a").first.tap()
        wait_for(page, order[0])
        finger = page.context.new_cdp_session(page)
        for kind, x in (("touchStart", 320), ("touchMove", 220), ("touchMove", 120), ("touchEnd", None)):
            points = [] if x is None else [{"x": x, "y": 300}]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        wait_for(page, order[1])


def test_the_path_is_copied(browser: Browser) -> None:
    with browser.open(f"/image/{image_id('IMG_3124.jpg')}", permissions=["clipboard-read", "clipboard-write"]) as page:
        page.click(".copy")
        page.wait_for_function("() => document.querySelector('.copy').textContent.includes('Copied')")
        assert page.evaluate("navigator.clipboard.readText()").endswith("pictures/hikes/IMG_3124.jpg")


def test_describing_again_is_queued_without_leaving_the_picture(browser: Browser) -> None:
    with browser.open(f"/image/{image_id('DSC01874.jpg')}") as page:
        page.click("form[action$=describe-again] button")
        page.wait_for_selector(".queued", state="visible")
        page.reload()
        assert page.locator(".queued").is_visible()
        assert page.locator("form[action$=describe-again]").count() == 0


def test_a_tag_leads_to_all_pictures_that_have_it(browser: Browser) -> None:
    with browser.open("/?q=горы+на+закате") as page:
        page.locator(".tile a").first.click()
        wait_for(page, "IMG_3124.jpg")
        page.locator(".viewer .tags a").first.click()
        page.wait_for_selector(".viewer", state="hidden")
        settled(page)
        assert "tag=" in page.url
        assert "IMG_3124.jpg" in names(page)


def test_hostile_texts_do_nothing(browser: Browser) -> None:
    """A description, tags, visible text and a file name full of markup are shown as they are, in the grid and by themselves."""
    with browser.open("/?q=круглое+пятно") as page:
        tile = page.locator(".tile").nth(names(page).index(page_catalog.HOSTILE_NAME))
        assert "<script>" in tile.locator(".text").inner_text()
        tile.locator("a").click()
        wait_for(page, page_catalog.HOSTILE_NAME)
        assert page_catalog.HOSTILE_TEXT in page.locator(".viewer .description").text_content()
        page.reload()
        page.wait_for_selector("main article")
        assert page_catalog.HOSTILE_TEXT in page.locator(".description").text_content()
        assert "</blockquote><script>" in page.locator("blockquote").text_content()
        assert page.evaluate("window.broken") is None
        assert page.locator("main script, main [onerror], main [onload], main [onmouseover]").count() == 0


def test_a_hostile_question_does_nothing(browser: Browser) -> None:
    with browser.open() as page:
        page.fill("#q", page_catalog.HOSTILE_TEXT)
        page.wait_for_timeout(500)
        page.reload()
        assert page.input_value("#q") == page_catalog.HOSTILE_TEXT
        assert page.evaluate("window.broken") is None
        assert "49" not in page.title()
