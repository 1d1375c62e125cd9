"""Any string is a query, and what it looks for."""

from __future__ import annotations

import pytest

from image_catalog import image_files, query
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
        ("на", [], []),  # also where there are no others: see small
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
        ('"red cars" OR sun*', [term(("red", "car")), term(("sun",), is_beginning=True)], []),  # either: none must be there
        ("собака OR", [DOG], []),
        ("кот OR -пляж собака", [term(("кот",)), DOG], [BEACH]),
        ("собака фото OR кот", [DOG, term(("кот",))], []),
        ("dog -OR cat", [term(("dog",)), term(("cat",))], [term(("or",))]),
        ("photos from Sochi", [term(("sochi",))], []),
        ("фото из Сочи в 2002 году", [term(("соч",)), term(("2002",))], []),
        ("новый год", [term(("нов",)), term(("год",))], []),
        ("IMG_1234.jpg", [term(("img", "1234", "jpg"), ("img", "1234"), ("img1234",))], []),
        ("trips/DSC01194.JPG", [term(("trip", "dsc01194", "jpg"), ("dsc01194",), ("dsc", "01194"))], []),
        ('"wild-2.jpg"', [term(("wild", "2", "jpg"), ("wild", "2"), is_required=True)], []),
        ("see example.com", [term(("see",)), term(("exampl", "com"), ("examplecom",))], []),
        ("29.6.2015", [term(("29", "6", "2015"), ("2015", "06", "29"))], []),
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
        ("camera:canon after:2023 собака", ((("camera", "canon"),), (("after", "2023"),)), "собака"),
        ('lens:"50 mm" sea', ((("lens", "50 mm"),),), "sea"),
        ("near:43.5,39.7,5", ((("near", "43.5,39.7,5"),),), ""),
        ("Camera:canon", ((("camera", "canon"),),), ""),
        ("after: dog", (), "after: dog"),
        ("http://x.org colour:red", (), "http://x.org colour:red"),
        ("camera:canon OR camera:nikon dog", ((("camera", "canon"), ("camera", "nikon")),), "dog"),
        ("camera:canon cat camera:nikon", ((("camera", "canon"), ("camera", "nikon")),), "cat"),
        ("before:2015 OR after:2016", ((("before", "2015"), ("after", "2016")),), ""),
        ("after:2015 after:2016", ((("after", "2015"),), (("after", "2016"),)), ""),
        ("tag:a tag:b OR tag:c", ((("tag", "a"),), (("tag", "b"), ("tag", "c"))), ""),
    ],
)
def test_filters_in_a_query(text: str, filters: tuple[tuple[tuple[str, str], ...], ...], spoken: str) -> None:
    query = parse(text)
    assert query.filters == filters
    assert query.spoken == spoken
    assert not query.has_mixed_choice


@pytest.mark.parametrize(
    ("text", "value", "spoken"),
    [
        ("after:june 2023 dragonfly", "june 2023", "dragonfly"),
        ("стрекоза after:15 июня 2023", "15 июня 2023", "стрекоза"),
        ("after:2 weeks ago cat", "2 weeks ago", "cat"),
        ("after:неделю назад кот", "неделю назад", "кот"),
        ("after:last year dog", "last year", "dog"),
        ("after:2023 june", "2023", "june"),
        ("after:2023-06 2 dogs", "2023-06", "2 dogs"),
        ("(after:june 2023) cat", "june 2023", "cat"),
    ],
)
def test_a_date_of_several_words_goes_on(text: str, value: str, spoken: str) -> None:
    query = parse(text)
    assert (query.filters, query.spoken) == (((("after", value),),), spoken)


def test_what_is_left_out_may_stand_in_brackets() -> None:
    group = parse('bird -(snow OR "red car" OR camera:canon OR -tree)')
    assert (group.unwanted, group.unwanted_filters) == (parse('-snow -"red car" -tree').unwanted, (("camera", "canon"),))
    assert group.wanted == parse("bird").wanted
    assert parse("(camera:canon) dog").filters == parse("camera:canon dog").filters
    assert parse("(-camera:canon) bird").unwanted_filters == (("camera", "canon"),)
    assert parse("folder:Photos(1) x").filters == ((("folder", "Photos(1)"),),)


def test_filters_that_must_not_be_true() -> None:
    query = parse('pet -camera:fujifilm -Lens:"50 mm"')
    assert query.unwanted_filters == (("camera", "fujifilm"), ("lens", "50 mm"))
    assert (query.unwanted, query.filters, query.spoken) == ((), (), "pet")


@pytest.mark.parametrize("text", ["cat OR camera:nikon", "camera:nikon OR cat dog"])
def test_or_between_a_word_and_a_filter_is_both(text: str) -> None:
    query = parse(text)
    assert query.has_mixed_choice
    assert query.filters == ((("camera", "nikon"),),)
    assert query.wanted[0] == term(("cat",))


def test_the_model_is_asked_in_plain_words() -> None:
    assert parse('a "red car" by the sea -people OR sun*').spoken == "a red car by the sea sun"


def test_a_pasted_book_is_cut() -> None:
    query = parse(" ".join(f"word{number}" for number in range(50_000)))
    assert len(query.wanted) <= 64
    assert len(query.spoken) <= 2000
    assert len(parse("a," * 100_000).wanted[0].phrases[0]) <= 16


def test_small_words_are_kept_apart() -> None:
    assert parse("на фото").small == (term(("на",)), term(("фот",)))
    assert parse("кот на фото").small == ()
    assert parse("photos -cat camera:canon").small == (term(("photo",)),)


def test_endings_are_those_of_the_files_that_are_indexed() -> None:
    indexed = {ending.decode().removeprefix(".") for ending in image_files.IMAGE_EXTENSIONS | image_files.RAW_EXTENSIONS}
    assert set(query._ENDINGS.split()) == indexed


@pytest.mark.parametrize(
    "text", ["camera:leica " * 2000, "near:Paris -near:Rome " * 500, " ".join(f"tag:{n}" for n in range(999))]
)
def test_many_filters_are_cut(text: str) -> None:
    found = parse(text)
    assert len(found.unwanted_filters) + sum(map(len, found.filters)) <= 16


def test_nothing_is_an_empty_query() -> None:
    assert parse(" \n") == Query()
