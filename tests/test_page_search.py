"""The page in a real browser: searching, filtering, scrolling, going back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import page_catalog
import pytest
from page_browser import Browser, ask, browsing, names, settled

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing(page_catalog.database) as browser:
        yield browser


def test_a_russian_question_brings_the_right_picture_first(browser: Browser) -> None:
    with browser.open(locale="ru-RU") as page:
        ask(page, "горы на закате")
        assert names(page)[0] == "IMG_3124.jpg"
        assert "горы" in page.url or "%D0%B3" in page.url
        lit = page.locator(".tile").first.locator("mark").all_text_contents()
        assert {"горах", "Закат"} & set(lit), lit


def test_open_a_picture_then_a_similar_one_and_come_back_to_the_same_place(browser: Browser) -> None:
    with browser.open() as page:
        page.mouse.wheel(0, 1500)
        page.wait_for_timeout(500)
        before = page.evaluate("scrollY")
        assert before > 1000
        tile = page.locator(".tile").nth(_first_in_view(page))
        tile.click()
        first = _shown(page)
        page.locator(".viewer .strip a").first.click()
        page.wait_for_function("first => document.querySelector('.viewer h1').textContent !== first", arg=first)
        page.go_back()
        page.wait_for_function("first => document.querySelector('.viewer h1').textContent === first", arg=first)
        page.go_back()
        page.wait_for_selector(".viewer", state="hidden")
        assert page.evaluate("scrollY") == before
        assert page.url.rstrip("/") == browser.address


def _first_in_view(page: Any) -> int:
    return int(page.evaluate("[...document.querySelectorAll('.tile')].findIndex(tile => tile.getBoundingClientRect().top > 150)"))


def _shown(page: Any) -> str:
    page.wait_for_selector(".viewer[open] h1")
    return str(page.locator(".viewer h1").text_content())


def test_the_place_is_found_again_after_a_reload_and_from_another_site(browser: Browser) -> None:
    with browser.open() as page:
        for _ in range(3):
            page.mouse.wheel(0, 4000)
            page.wait_for_timeout(300)
        settled(page)
        page.wait_for_timeout(200)
        count, scroll = len(names(page)), page.evaluate("scrollY")
        assert count > 60
        page.reload()
        page.wait_for_function("count => document.querySelectorAll('.tile').length >= count", arg=count)
        page.wait_for_function("scroll => Math.abs(scrollY - scroll) < 3", arg=scroll)
        page.goto(f"{browser.address}/status")
        page.go_back()
        page.wait_for_function("scroll => Math.abs(scrollY - scroll) < 3", arg=scroll)


def test_scrolling_brings_all_pictures_once(browser: Browser) -> None:
    with browser.open(f"/?camera={page_catalog.CAMERA.replace(' ', '+')}") as page:
        for _ in range(40):
            if len(names(page)) >= page_catalog.SMALL_PICTURES:
                break
            page.mouse.wheel(0, 3000)
            page.wait_for_timeout(150)
        found = names(page)
        assert len(found) == len(set(found)) == page_catalog.SMALL_PICTURES
        assert page.locator(".more").is_hidden()


def test_the_address_can_be_shared(browser: Browser) -> None:
    with browser.open() as page:
        ask(page, "кошка")
        first, url = names(page), page.url
        page.goto(url)
        assert names(page)[:10] == first[:10]
        assert page.input_value("#q") == "кошка"


def test_the_back_button_returns_to_the_question_before(browser: Browser) -> None:
    with browser.open("/?q=закат") as page:
        before = names(page)
        camera = page.locator('.menu[data-parameter="camera"] .value').first.text_content()
        _choose(page, "camera", camera)
        assert names(page) != before
        page.go_back()
        settled(page)
        assert names(page) == before
        assert "camera" not in page.url


def _choose(page: Any, parameter: str, label: str) -> None:
    page.click(f'.menu[data-parameter="{parameter}"] summary')
    with page.expect_response(lambda response: "/api/facets" in response.url):
        page.click(f'.menu[data-parameter="{parameter}"] .value:text-is("{label}")')
    settled(page)


def test_a_camera_is_chosen_and_taken_back(browser: Browser) -> None:
    with browser.open() as page:
        _choose(page, "camera", page_catalog.CAMERA)
        assert "camera=Testograph" in page.url
        assert {name[:5] for name in names(page)} == {"small"}
        assert page.locator('.menu[data-parameter="camera"] .label').text_content() == page_catalog.CAMERA
        page.click('.menu[data-parameter="camera"] .clear')
        settled(page)
        assert "camera" not in page.url
        assert {name[:5] for name in names(page)} != {"small"}


def test_dates_are_brushed_with_the_mouse(browser: Browser) -> None:
    with browser.open() as page:
        box = page.locator(".timeline .bars").bounding_box()
        page.mouse.move(box["x"] + 2, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + 20, steps=5)
        page.mouse.up()
        settled(page)
        assert "before=199" in page.url and "after" not in page.url
        assert {name[:5] for name in names(page)} == {"small"}
        assert "199" in page.locator(".dates .label").text_content()


def test_dates_are_chosen_with_keys(browser: Browser) -> None:
    with browser.open() as page:
        handle = page.locator(".timeline .from")
        latest = page.locator(".timeline .to").get_attribute("aria-valuenow")
        handle.focus()
        page.keyboard.press("End")
        page.wait_for_url("**after=**")
        settled(page)
        assert handle.get_attribute("aria-valuenow") == latest
        assert 0 < len(names(page)) < 5
        assert not [name for name in names(page) if name.startswith("small")]
        page.keyboard.press("Home")
        page.wait_for_function("() => !location.search.includes('after')")


def test_dates_are_brushed_with_a_finger(browser: Browser) -> None:
    with browser.open(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}) as page:
        box = page.locator(".timeline .bars").bounding_box()
        finger = page.context.new_cdp_session(page)
        for kind, share in (
            ("touchStart", 0.02),
            ("touchMove", 0.05),
            ("touchMove", 0.08),
            ("touchMove", 0.1),
            ("touchEnd", None),
        ):
            points = [] if share is None else [{"x": box["x"] + box["width"] * share, "y": box["y"] + 30}]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        settled(page)
        assert "before=199" in page.url
        assert {name[:5] for name in names(page)} == {"small"}


def test_a_late_answer_is_never_shown(browser: Browser) -> None:
    with browser.open(expected_errors=("net::ERR_ABORTED",)) as page:

        def delay(route: Any) -> None:
            if "%D0%BA%D0%BE%D1%88%D0%BA%D0%B0" in route.request.url:  # кошка
                page.wait_for_timeout(700)
            route.continue_()

        page.route("**/api/search*", delay)
        page.fill("#q", "кошка")
        page.wait_for_timeout(250)
        page.fill("#q", "горы на закате")
        page.wait_for_timeout(1600)
        settled(page)
        assert names(page)[0] == "IMG_3124.jpg"


def test_no_question_is_asked_for_each_key(browser: Browser) -> None:
    with browser.open() as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/api/search" in request.url else None)
        ask(page, "sunset in the mountains")
        assert len(asked) < 6


def test_a_slow_writer_ends_each_search_with_the_next(browser: Browser) -> None:
    """Each key comes while the answer to the one before is under way; what was ended is no error."""
    with browser.open() as page:
        page.locator("#q").press_sequentially("горы на закате", delay=150)
        settled(page)
        assert names(page)[0] == "IMG_3124.jpg"


def test_a_wrong_letter_is_noticed_and_the_right_word_is_a_click_away(browser: Browser) -> None:
    with browser.open("/?q=закот&mode=text", locale="ru-RU") as page:
        meant = page.locator(".meant a")
        assert meant.is_visible()
        word = meant.text_content()
        meant.click()
        settled(page)
        assert page.input_value("#q") == word
        assert names(page)


def test_nothing_found_is_said_with_a_way_out(browser: Browser) -> None:
    with browser.open("/?q=qqqqzzzz&mode=text&format=PNG") as page:
        assert page.locator(".nothing h2").text_content() == "Nothing found"
        page.click(".nothing .button:has-text('All pictures')")
        settled(page)
        assert page.locator(".nothing").is_hidden()
        assert len(names(page)) > 10


def test_a_server_that_is_gone_is_said_and_asked_again(browser: Browser) -> None:
    with browser.open(expected_errors=("ERR_FAILED",)) as page:
        page.route("**/api/*", lambda route: route.abort())
        page.fill("#q", "закат")
        page.wait_for_selector(".trouble", state="visible")
        page.unroute("**/api/*")
        page.click(".again")
        settled(page)
        assert page.locator(".trouble").is_hidden()
        assert names(page)[0] == "IMG_3124.jpg"


def test_weaker_matches_stand_below_a_line(browser: Browser) -> None:
    with browser.open("/?q=кошка") as page:
        assert page.locator(".divider").count() == 1
        assert page.locator(".divider ~ .tile:not(.weak)").count() == 0
        assert page.locator(".tile:not(.weak)").count() >= 1


def test_a_slash_leads_to_the_question(browser: Browser) -> None:
    with browser.open() as page:
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "q"
        page.keyboard.type("a/b")
        assert page.input_value("#q") == "a/b"


def test_nothing_jumps_while_pictures_arrive(browser: Browser) -> None:
    """Cumulative layout shift, as https://web.dev/articles/cls measures it: below 0.02 (good is below 0.1)."""
    with browser.open("/?q=закат") as page:
        page.evaluate(
            """() => { window.shift = 0;
            new PerformanceObserver(list => { for (const entry of list.getEntries()) window.shift += entry.value; })
              .observe({ type: 'layout-shift', buffered: true }); }"""
        )
        page.mouse.wheel(0, 2000)
        settled(page)
        assert page.evaluate("window.shift") < 0.02


def test_similar_pictures_can_be_searched_for(browser: Browser) -> None:
    with browser.open("/?q=закат") as page:
        page.locator(".tile a").first.click()
        page.wait_for_selector(".viewer[open]")
        page.click(".viewer .all")
        page.wait_for_selector(".viewer", state="hidden")
        settled(page)
        assert "like=" in page.url
        assert page.locator(".like").is_visible()
        assert "IMG_3124.jpg" not in names(page)
