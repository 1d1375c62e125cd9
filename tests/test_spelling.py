"""A word that no picture has leads to words that there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import search_catalogs

from image_catalog.catalog import Catalog
from image_catalog.query import parse
from image_catalog.spelling import suggestions


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    path = search_catalogs.make(tmp_path / "images.db")
    with Catalog.open_for_reading(path) as catalog:
        yield catalog


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("сабака", "собака"),
        ("собкаа", "собака"),
        ("parkd", "parked"),
        ("новаготняя", "новогодняя"),  # two errors
        ("vhite", "white"),  # the first letter is seldom wrong, but it may be
        ("елькой", "ёлка"),
        ("cj,frf", "собака"),  # typed on the other keyboard
        ("сфк", "car"),
        ("красным сабакам", "собака"),
    ],
)
def test_what_was_meant(catalog: Catalog, typed: str, meant: str) -> None:
    missing = [term for term in parse(typed).wanted if term.phrases != (("красн",),)]
    assert meant in suggestions(catalog, typed, missing)


def test_the_other_keyboard_must_explain_all_words(catalog: Catalog) -> None:
    assert suggestions(catalog, "cj,frf qwerty", parse("cj,frf qwerty").wanted) == []


@pytest.mark.parametrize("typed", ["xyzzyqwrt", "12345", "", "猫", "пляска", "cat", "road"])
def test_nothing_is_made_up(catalog: Catalog, typed: str) -> None:
    assert suggestions(catalog, typed, parse(typed).wanted) == []


def test_each_of_several_misspelled_words_gets_its_likeliest(tmp_path: Path) -> None:
    path = search_catalogs.make(tmp_path / "images.db", {"a.jpg": "A mountain at sunset, mountains", "b.jpg": "A fountain"})
    with Catalog.open_for_reading(path) as catalog:
        query = "mountian sunst"
        assert suggestions(catalog, query, parse(query).wanted) == ["mountain", "sunset"]
