"""Any string is a query, and what it looks for."""

from __future__ import annotations

import pytest

from image_catalog.query import Phrase, Query, Term, parse


def term(*phrases: Phrase, **flags: bool) -> Term:
    return Term(phrases, **flags)


DOG, BEACH = term(("собак",)), term(("пляж",))
RED_CAR = term(("red", "car"), is_required=True)


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("собаки пляж", [DOG, BEACH], []),
        ("собака на пляже", [DOG, BEACH], []),  # small words say nothing of a picture,
        ("на", [term(("на",))], []),  # unless there are no others
        ('"dog on the beach"', [term(("dog", "on", "the", "beach"), is_required=True)], []),
        ('"red cars" sea', [RED_CAR, term(("sea",))], []),
        ("«red cars» sea", [RED_CAR, term(("sea",))], []),
        ("“red cars”", [RED_CAR], []),
        ('before"red cars"after', [term(("befor",)), RED_CAR, term(("after",))], []),
        ("dog -cat", [term(("dog",))], [term(("cat",))]),
        ('dog -"red car"', [term(("dog",))], [RED_CAR]),
        ('dog - "red car"', [term(("dog",)), RED_CAR], []),
        ("sunse*", [term(("sunse",), is_beginning=True)], []),
        ("ёл*", [term(("ел",), ("ёл",), is_beginning=True)], []),
        ("кот OR собака | мышь пляж", [term(("кот",), ("собак",), ("мыш",)), BEACH], []),
        ("собака OR", [DOG], []),
        ("OR собака", [DOG], []),
        ("red-car", [term(("red", "car"), ("redcar",))], []),
        ("EOS-5D", [term(("eo", "5d"), ("eos5d",))], []),
        ("EOS5D", [term(("eos5d",), ("eo", "5d"), ("eos5", "d"))], []),
        ("50mm", [term(("50mm",), ("50", "mm"))], []),
        ("IMG_1234", [term(("img", "1234"), ("img1234",))], []),
        ("C++", [term(("cplusplus",))], []),
        ("don't", [term(("don", "t"), ("dont",))], []),
        ("dog dog Dogs", [term(("dog",))], []),
        ("собака\u00a0пляж\tсобака", [DOG, BEACH], []),
        ("!!! ***", [], []),
        ('"', [], []),
        ('""', [], []),
        ("", [], []),
        ("- -- -", [], []),
        ("🐕 \x00 \ud800", [], []),
    ],
)
def test_what_a_query_looks_for(text: str, wanted: list[Term], unwanted: list[Term]) -> None:
    query = parse(text)
    assert list(query.wanted) == wanted
    assert list(query.unwanted) == unwanted


@pytest.mark.parametrize(
    ("text", "filters", "spoken"),
    [
        ("camera:canon after:2023 собака", (("camera", "canon"), ("after", "2023")), "собака"),
        ('lens:"50 mm" sea', (("lens", "50 mm"),), "sea"),
        ("near:43.5,39.7,5", (("near", "43.5,39.7,5"),), ""),
        ("after: dog", (), "after: dog"),
        ("http://x.org colour:red", (), "http://x.org colour:red"),
        ("-camera:canon", (), ""),
    ],
)
def test_filters_in_a_query(text: str, filters: tuple[tuple[str, str], ...], spoken: str) -> None:
    query = parse(text)
    assert query.filters == filters
    assert query.spoken == spoken


def test_the_model_is_asked_in_plain_words() -> None:
    assert parse('a "red car" by the sea -people OR sun*').spoken == "a red car by the sea sun"


def test_a_pasted_book_is_cut() -> None:
    query = parse(" ".join(f"word{number}" for number in range(50_000)))
    assert len(query.wanted) <= 64
    assert len(query.spoken) <= 2000
    assert len(parse("a," * 100_000).wanted[0].phrases[0]) <= 16


def test_nothing_is_an_empty_query() -> None:
    assert parse(" \n") == Query()
