"""Any string is a query."""

from __future__ import annotations

import pytest

from image_catalog.query import Term, parse


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("собаки пляж", [Term(("собак",)), Term(("пляж",))], []),
        ('"red cars" sea', [Term(("red", "car"), False, True), Term(("sea",))], []),
        ("dog -cat", [Term(("dog",))], [Term(("cat",))]),
        ('dog -"red car"', [Term(("dog",))], [Term(("red", "car"), False, True)]),
        ("sunse*", [Term(("sunse",), True)], []),
        ("red-car D-90", [Term(("red", "car")), Term(("d", "90"))], []),
        ("red OR blue", [Term(("red",)), Term(("blue",))], []),
        ("dog dog Dogs", [Term(("dog",))], []),
        ("C++ !!! ***", [Term(("c",))], []),
        ('"', [], []),
        ("", [], []),
        ("🐕 \x00 \ud800", [], []),
    ],
)
def test_what_a_query_looks_for(text: str, wanted: list[Term], unwanted: list[Term]) -> None:
    query = parse(text)
    assert (list(query.wanted), list(query.unwanted)) == (wanted, unwanted)


def test_the_model_is_asked_without_what_is_excluded() -> None:
    assert parse('a "red car" by the sea -people').text == "a red car by the sea"


def test_a_pasted_book_is_cut() -> None:
    assert len(parse("слово%d " * 1 + " ".join(f"word{n}" for n in range(50_000))).wanted) <= 64
