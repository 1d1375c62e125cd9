"""What is lit, cut out and named as the reason is the word as it stands in the text."""

from __future__ import annotations

import pytest

from image_catalog.matching import Matcher
from image_catalog.query import parse


@pytest.mark.parametrize(
    ("query", "text", "lit"),
    [
        ("собака пляж", "Собаки бегут по пляжу, а собачка — нет", ["Собаки", "пляжу"]),
        ("елка", "Ёлка и ЕЛКИ", ["Ёлка", "ЕЛКИ"]),
        ("running", "He runs; a runner ran", ["runs"]),
        ('"red car"', "a red car, red cars and a red bus, car", ["red", "car", "red", "cars"]),
        ("EOS-5D", "Canon EOS 5D; EOS5D; 5D", ["EOS", "5D", "EOS5D"]),
        ("KX4821", "the plate KX 4821", ["KX", "4821"]),
        ("sun*", "Sunset, sunny; under the sun", ["Sunset", "sunny", "sun"]),
        ("ёл*", "Ёлка ёлки елью", ["Ёлка", "ёлки", "елью"]),
        ("red-ca*", "Red cat, red car, red", ["Red", "cat", "red", "car"]),
        ("evian", "Évian", ["Évian"]),
        ("замок", "за\u0301мок", ["за\u0301мок"]),
        ("кот OR собака", "кот и собаки", ["кот", "собаки"]),
        ("sea -dog", "a dog by the sea", ["sea"]),
        ('"the"', "under the sun", ["the"]),
        ("the sun", "under the sun", ["sun"]),
        ("", "text", []),
    ],
)
def test_what_is_lit(query: str, text: str, lit: list[str]) -> None:
    assert [text[start:end] for start, end in Matcher(parse(query)).spans(text)] == lit


def test_every_word_is_lit_once_and_in_order() -> None:
    spans = list(Matcher(parse('"red car" red car ca*')).spans("red car red car"))
    assert spans == [(0, 3), (4, 7), (8, 11), (12, 15)]


def test_reasons_tell_what_describes_it_from_facts() -> None:
    row = dict.fromkeys(("description", "tags", "visible_text", "caption", "keywords", "facts"))
    row |= {"description": "Собаки на пляже, собака", "facts": "пляж; Сочи; Canon"}
    assert Matcher(parse("собака пляж сочи nikon")).reasons(row) == (["Собаки", "пляже"], ["Сочи"])


def test_a_long_text_is_cut_around_its_first_match() -> None:
    text = "начало " * 100 + "одна собака бежит " + "конец " * 100
    short = Matcher(parse("собаки")).shortened(text, 80)
    assert "собака" in short
    assert short.startswith("… ") and short.endswith(" …")
    assert len(short) <= 90
    assert set(short.split()) <= {"…", "начало", "одна", "собака", "бежит", "конец"}


@pytest.mark.parametrize("text", ["", "short", "a" * 500, ("b" * 300 + " ") * 3, "line\nbreaks\n" * 50])
def test_any_text_can_be_cut(text: str) -> None:
    short = Matcher(parse("собака")).shortened(text, 80)
    assert len(short) <= max(90, 84)
    assert "\n" not in short
