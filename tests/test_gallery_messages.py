"""The page's texts: both languages say the same, plurals and dates are right, templates show no untranslated text."""

from __future__ import annotations

import itertools
import json
import re
import string
from html.parser import HTMLParser
from pathlib import Path

import pytest

from image_catalog.gallery import messages as messages_module
from image_catalog.gallery.messages import BROWSER, LANGUAGES, choose_language, messages

GALLERY = Path(messages_module.__file__).parent
TEMPLATES = sorted((GALLERY / "templates").glob("*.html"))
SCRIPTS = sorted((GALLERY / "static").glob("*.js"))
FORMS = {"en": 2, "ru": 3}


def test_both_languages_have_the_same_texts() -> None:
    assert LANGUAGES["en"].keys() == LANGUAGES["ru"].keys()


@pytest.mark.parametrize("key", LANGUAGES["en"])
def test_a_text_says_the_same_in_both_languages(key: str) -> None:
    english, russian = LANGUAGES["en"][key], LANGUAGES["ru"][key]
    assert fields(english) == fields(russian)
    for language, text in (("en", english), ("ru", russian)):
        assert isinstance(text, str) or len(text) == FORMS[language]
    assert isinstance(english, tuple) == isinstance(russian, tuple)


def fields(text: str | tuple[str, ...]) -> set[str]:
    """The values that a text shows; each plural form shows the same ones, but a form for one thing may leave `n` out."""
    forms = (text,) if isinstance(text, str) else text
    return {name for form in forms for _, name, _, _ in string.Formatter().parse(form) if name}


@pytest.mark.parametrize("key", LANGUAGES["ru"])
def test_a_russian_text_is_russian(key: str) -> None:
    text = LANGUAGES["ru"][key]
    words = re.sub(
        r"\{\w+\}|index_images\.py|browse_images\.py|images\.db|image-catalog|EXIF",
        "",
        " ".join((text,) if isinstance(text, str) else text),
    )
    assert not re.search(r"[A-Za-z]", words)
    assert re.search(r"[А-Яа-яё]", words) or not re.search(r"\w", words)


def source() -> str:
    modules = [path for path in GALLERY.glob("*.py") if not path.name.startswith("texts_")]
    return "".join(path.read_text(encoding="utf-8") for path in (*TEMPLATES, *SCRIPTS, *modules))


@pytest.mark.parametrize("key", LANGUAGES["en"])
def test_a_text_is_used(key: str) -> None:
    """By its whole name, or by a name that is put together: "status." ~ name, f"coverage.{name}"."""
    written = source()
    names = [key, *(f"{part}." for part in itertools.accumulate(key.split(".")[:-1], "{}.{}".format))]
    assert any(re.search(rf"""["'`]{re.escape(name)}(["']|\$?\{{)""", written) for name in names)


def test_a_text_that_is_used_exists() -> None:
    used = set(re.findall(r"""\b(?:t|self|because)\(["']([\w.]*\w)["']""", source()))
    assert len(used) > 80
    assert used - LANGUAGES["en"].keys() == set()


@pytest.mark.parametrize(
    ("number", "english", "russian"),
    [
        (0, "0 pictures found", "Найдено 0 снимков"),
        (1, "1 picture found", "Найден 1 снимок"),
        (2, "2 pictures found", "Найдено 2 снимка"),
        (5, "5 pictures found", "Найдено 5 снимков"),
        (11, "11 pictures found", "Найдено 11 снимков"),
        (12, "12 pictures found", "Найдено 12 снимков"),
        (21, "21 pictures found", "Найден 21 снимок"),
        (104, "104 pictures found", "Найдено 104 снимка"),
        (111, "111 pictures found", "Найдено 111 снимков"),
        (1234567, "1,234,567 pictures found", "Найдено 1\u00a0234\u00a0567 снимков"),
    ],
)
def test_plurals(number: int, english: str, russian: str) -> None:
    assert messages("en")("found", n=number) == english
    assert messages("ru")("found", n=number) == russian


@pytest.mark.parametrize(
    ("date", "english", "russian"),
    [
        ("2018-10-13T17:05:09", "13 Oct 2018", "13 окт. 2018"),
        ("2018-05-03", "3 May 2018", "3 мая 2018"),
        ("2018-03", "Mar 2018", "март 2018"),
        ("1999", "1999", "1999"),
        ("", "", ""),
        (None, "", ""),
        ("2018-13-01", "2018", "2018"),
        ("<b>", "", ""),
    ],
)
def test_dates(date: str | None, english: str, russian: str) -> None:
    assert (messages("en").date(date), messages("ru").date(date)) == (english, russian)


@pytest.mark.parametrize(
    ("after", "before", "english", "russian"),
    [
        ("", "", "", ""),
        ("2023", "2024", "2023", "2023"),
        ("2022-01", "2024-01", "2022 – 2023", "2022 – 2023"),
        ("2023-06", "2023-07", "Jun 2023", "июнь 2023"),
        ("2023-06-01", "2023-09-01", "Jun – Aug 2023", "июнь – авг. 2023"),
        ("2022-06", "2023-09", "Jun 2022 – Aug 2023", "июнь 2022 – авг. 2023"),
        ("2023-06-15", "", "from 15 Jun 2023", "с 15 июня 2023"),
        ("", "2023", "before 2023", "до 2023"),
        ("2 weeks ago", "", "from 2 weeks ago", "с 2 weeks ago"),
        ("2024", "2023", "from 2024 before 2023", "с 2024 до 2023"),
    ],
)
def test_chosen_dates(after: str, before: str, english: str, russian: str) -> None:
    assert (messages("en").dates(after, before), messages("ru").dates(after, before)) == (english, russian)


def test_sizes_durations_and_positions() -> None:
    english, russian = messages("en"), messages("ru")
    assert [english.bytes(size) for size in (0, 999, 1000, 1_540_000, 12_345_678_901)] == [
        "0\u00a0B", "999\u00a0B", "1\u00a0KB", "1.5\u00a0MB", "12\u00a0GB",
    ]  # fmt: skip
    assert russian.bytes(1_540_000) == "1,5\u00a0МБ"
    assert [english.duration(seconds) for seconds in (0.25, 2, 59, 90, 3_600, 12_000, 200_000)] == [
        "0.2 s", "2 s", "59 s", "2 min", "1 h", "3 h 20 min", "2 days",
    ]  # fmt: skip
    assert russian.duration(200_000) == "2 дня"
    assert english.position(-33.8568, 151.2153) == "33.8568° S, 151.2153° E"
    assert russian.position(43.585, -39.5) == "43,5850° с. ш.; 39,5000° з. д."
    exposure = {"aperture": 2.8, "exposure_time": 0.004, "focal_length": 50.0, "iso": 100}
    assert english.exposure(exposure) == "f/2.8 · 1/250 s · 50 mm · ISO\u00a0100"
    assert russian.exposure({"exposure_time": 2.5}) == "2,5 с"
    assert english.exposure({}) == ""


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"),
        ("de-DE, ru;q=0.5", "ru"),
        ("de", "en"),
        ("ru;q=0, en;q=0.1", "en"),
        ("ru;q=0", "en"),
        ("RU", "ru"),
        ("russian, \x00, ;;;q=, ru;q=high", "en"),
        ("x" * 100_000, "en"),
    ],
)
def test_the_language_that_the_browser_wants_most(header: str, language: str) -> None:
    assert choose_language(header) == language


def test_an_unknown_language_is_english() -> None:
    assert messages("xx")("status.title") == "Status"


def test_scripts_get_their_texts() -> None:
    texts = json.loads(messages("ru").browser_texts())
    assert texts["lang"] == "ru"
    assert set(texts) == {"lang", *BROWSER}
    used = {key for script in SCRIPTS for key in re.findall(r"""\bt\("([\w.]+)\"""", script.read_text(encoding="utf-8"))}
    assert used <= set(BROWSER)
    written = "".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    names = {key: (f'"{key}"', f"`{key.rpartition('.')[0]}.${{") for key in BROWSER}
    assert [key for key in BROWSER if not any(name in written for name in names[key])] == []


class _Texts(HTMLParser):
    """What a template shows that is neither markup nor filled in: text, and attributes that are read aloud."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipped += tag == "code"
        said = ("alt", "title", "placeholder", "aria-label", "aria-valuetext")
        self.found += [value for name, value in attrs if name in said and value]

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag == "code"

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.found.append(data)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_shows_no_untranslated_text(template: Path) -> None:
    names = r"\{% block (?:title|kind) %\}.*?\{% endblock %\}"
    plain = re.sub(rf"{names}|\{{#.*?#\}}|\{{%.*?%\}}|\{{\{{.*?\}}\}}", "", template.read_text(encoding="utf-8"), flags=re.S)
    parser = _Texts()
    parser.feed(plain)
    known = ("image-catalog", "(Esc)", "EXIF")
    assert [text.strip() for text in parser.found if text.strip() not in known and re.search(r"\w", text)] == []
