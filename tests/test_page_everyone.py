"""The page in a real browser, for everyone: without JavaScript, on a phone, in both languages, with assistive technology."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import page_catalog
import pytest
from page_browser import Browser, browsing, names
from test_page_picture import image_id

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing(page_catalog.database) as browser:
        yield browser


def paths() -> dict[str, str]:
    return {
        "pictures": "/",
        "search": "/?q=закат",
        "nothing": "/?q=qqqqzzzz&mode=text",
        "picture": f"/image/{image_id('IMG_0771.heic')}?q=одуванчики",
        "status": "/status",
        "error": "/image/999999",
    }


PAGES = ("pictures", "search", "nothing", "picture", "status", "error")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_violation(browser: Browser, name: str, scheme: str) -> None:
    with browser.open(paths()[name], color_scheme=scheme, reduced_motion="reduce", expected_errors=("404",)) as page:
        assert serious_violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_in_what_opens(browser: Browser, scheme: str) -> None:
    with browser.open("/?q=закат", color_scheme=scheme, reduced_motion="reduce") as page:
        for parameter in ("camera", "after before"):
            page.click(f'.menu[data-parameter="{parameter}"] summary')
            assert serious_violations(page) == []
        page.keyboard.press("Escape")
        page.locator(".tile a").first.click()
        page.wait_for_selector(".viewer[open] h1")
        assert serious_violations(page) == []


def serious_violations(page: Any) -> list[str]:
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    assert found["passes"], "axe looked at nothing"
    return [
        f"{violation['id']}: {json.dumps([node['html'][:150] for node in violation['nodes']])}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


def test_axe_would_find_a_violation(browser: Browser) -> None:
    with browser.open() as page:
        page.evaluate("document.querySelector('label[for=q]').remove(); document.querySelector('#q').placeholder = ''")
        assert any(found.startswith("label:") for found in serious_violations(page))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_a_phone(browser: Browser, name: str) -> None:
    with browser.open(paths()[name], expected_errors=("404",), locale="ru-RU", **PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        if name == "search":
            page.locator(".tile a").first.tap()
            page.wait_for_selector(".viewer[open] h1")
            assert page.evaluate("document.querySelector('.viewer').scrollWidth") <= 390


def test_what_is_touched_is_large_enough(browser: Browser) -> None:
    """24 by 24 CSS pixels at least, unless in running text (WCAG 2.2, 2.5.8)."""
    with browser.open(paths()["picture"], **PHONE) as page:
        small = page.eval_on_selector_all(
            ".stage a:not(.whole), button, summary, .tags a, .strip a, .does a, .bar a",
            """all => all.filter(one => one.offsetParent && !one.matches('.unseen'))
                .filter(one => one.getBoundingClientRect().height < 24 || one.getBoundingClientRect().width < 24)
                .map(one => one.outerHTML.slice(0, 90))""",
        )
        assert small == []


def test_everything_works_without_javascript(browser: Browser) -> None:
    with browser.open(java_script_enabled=False) as page:
        page.fill("#q", "горы на закате")
        page.press("#q", "Enter")
        page.wait_for_url("**q=*")
        assert page.locator(".tile img").first.get_attribute("alt") == "IMG_3124.jpg"
        page.click('.menu[data-parameter="format"] summary')
        page.click('.menu[data-parameter="format"] li a >> nth=0')
        page.wait_for_url("**format=*")
        assert page.input_value("#q") == "горы на закате"
        page.click(".tile a >> nth=0")
        page.wait_for_url("**/image/**")
        first = page.locator("h1").text_content()
        page.click(".stage .next")
        assert page.locator("h1").text_content() != first
        page.click(".stage .close")
        page.wait_for_url("**format=*")
        assert page.locator(".timeline").is_hidden()


def test_the_next_page_and_dates_work_without_javascript(browser: Browser) -> None:
    with browser.open(java_script_enabled=False) as page:
        assert page.locator(".tile").count() == 60
        first = page.locator(".tile img").first.get_attribute("src")
        page.click(".more a")
        page.wait_for_url("**offset=60**")
        assert page.locator(".tile img").first.get_attribute("src") != first
        page.click(".dates summary")
        page.fill(".dates [name=before]", "1995-01-01")
        page.click(".dates button")
        page.wait_for_url("**before=1995-01-01**")
        alts = [image.get_attribute("alt") for image in page.locator(".tile img").all()]
        assert alts and all(str(alt).startswith("small") for alt in alts)


def test_describing_again_works_without_javascript(browser: Browser) -> None:
    with browser.open(f"/image/{image_id('DSCN0417.jpg')}", java_script_enabled=False) as page:
        page.click("form[action$=describe-again] button")
        page.wait_for_load_state()
        assert page.locator(".queued").is_visible()


@pytest.mark.parametrize(
    ("locale", "language", "word"), [("ru-RU", "ru", "Состояние"), ("en-GB", "en", "Status"), ("de-DE", "en", "Status")]
)
def test_the_browser_chooses_the_language(browser: Browser, locale: str, language: str, word: str) -> None:
    with browser.open("/?q=закат", locale=locale) as page:
        assert page.get_attribute("html", "lang") == language
        assert word in page.locator(".bar").inner_text()
        server = page.locator(".said .total").text_content()
        page.fill("#q", "кошка")
        page.wait_for_timeout(600)
        page.fill("#q", "закат")
        page.wait_for_timeout(600)
        assert page.locator(".said .total").text_content() == server  # the scripts count as the server does


def test_scripts_and_templates_write_the_same_tiles(browser: Browser) -> None:
    """What the server wrote first and what the scripts write for the same question differ in nothing."""
    for locale in ("ru-RU", "en-US"):
        with browser.open("/?q=закат", locale=locale) as page:
            written = page.eval_on_selector_all(".grid > *", "all => all.map(one => one.outerHTML.replace(/\\s+/g, ' '))")
            page.evaluate("document.querySelector('.grid').replaceChildren()")
            page.evaluate("document.querySelector('.again').click()")
            page.wait_for_selector(".tile")
            again = page.eval_on_selector_all(".grid > *", "all => all.map(one => one.outerHTML.replace(/\\s+/g, ' '))")
            assert [normal(one) for one in again] == [normal(one) for one in written]


def normal(tile: str) -> str:
    return tile.replace("> <", "><").replace(" <", "<").replace("> ", ">")


def test_light_and_dark_follow_the_system(browser: Browser) -> None:
    shades = []
    for scheme in ("light", "dark"):
        with browser.open(color_scheme=scheme) as page:
            shades.append(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    light, dark = (sum(map(int, shade.removeprefix("rgb(").rstrip(")").split(", "))) for shade in shades)
    assert light > 700 and dark < 100


def test_nothing_moves_for_who_wants_no_motion(browser: Browser) -> None:
    with browser.open(reduced_motion="reduce") as page:
        durations = page.evaluate("[...document.querySelectorAll('*')].map(one => getComputedStyle(one).transitionDuration)")
        assert set(durations) == {"0s"}


def test_the_first_tab_skips_to_the_pictures(browser: Browser) -> None:
    with browser.open() as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert names(page)
