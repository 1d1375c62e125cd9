"""Forms that a stemmer takes for other words are found, whichever of them was typed and whichever is stored."""

from __future__ import annotations

from pathlib import Path

import pytest
import search_catalogs

from image_catalog.catalog import Catalog
from image_catalog.matching import Matcher
from image_catalog.query import parse
from image_catalog.search import Request, run
from image_catalog.word_forms import other_stems

PAIRS = [
    ("чашка", "чашек"),
    ("ложка", "ложек"),
    ("бутылки", "бутылок"),
    ("окно", "окон"),
    ("кукла", "кукол"),
    ("кресло", "кресел"),
    ("кольцо", "колец"),
    ("письмо", "писем"),
    ("свадьба", "свадеб"),
    ("чайка", "чаек"),
    ("скамейка", "скамеек"),
    ("сосна", "сосен"),
    ("башня", "башен"),
    ("песок", "песке"),
    ("цветок", "цветка"),
    ("подарок", "подарки"),
    ("камень", "камни"),
    ("огонь", "огня"),
    ("палец", "пальцы"),
    ("дворец", "дворца"),
    ("ковёр", "ковра"),
    ("костёр", "костра"),
    ("орёл", "орла"),
    ("церковь", "церкви"),
    ("ёлка", "ёлок"),
    ("котёнок", "котята"),
    ("утёнка", "утята"),
    ("медвежонка", "медвежата"),
    ("щенок", "щенята"),
    ("ребёнок", "дети"),
    ("человек", "людей"),
    ("woman", "women"),
    ("child", "children"),
    ("leaf", "leaves"),
    ("knife", "knives"),
    ("mouse", "mice"),
]


@pytest.mark.parametrize(("one", "other"), [*PAIRS, *((other, one) for one, other in PAIRS)])
def test_each_finds_the_other_and_it_is_lit(one: str, other: str, tmp_path: Path) -> None:
    texts = {"it.jpg": f"Здесь {other}.", "else.jpg": "Пустая улица, nothing else"}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        found = run(catalog, Request(one, "text"), lambda: pytest.fail("words alone"))
        assert [hit.row["description"] for hit in found.hits] == [texts["it.jpg"]]
        left = run(catalog, Request(f"-{one}", "text"), lambda: pytest.fail("words alone"))
        assert [hit.row["description"] for hit in left.hits] == [texts["else.jpg"]]
    assert list(Matcher(parse(one)).spans(texts["it.jpg"])) == [(6, 6 + len(other))]


def test_flowers_find_a_flower_but_no_colour_does() -> None:
    assert set(other_stems("цветы")) == {"цветок", "цветк"}
    assert other_stems("цвета") == ()


@pytest.mark.parametrize("word", ["дом", "мир", "собака", "море", "dog", "running", "x", "2023", "город", "лес", "звонок"])
def test_others_have_none_that_would_be_another_word(word: str) -> None:
    assert not set(other_stems(word)) - {"звонк"}


def test_in_quotes_only_the_word_itself(tmp_path: Path) -> None:
    assert parse('"чашка"').wanted[0].phrases == (("чашк",),)
