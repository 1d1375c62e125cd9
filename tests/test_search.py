"""Ranking: by words, by meaning over a real vector index, and by both; what may be found, pages and equal pictures."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from math import log
from pathlib import Path

import numpy as np
import pytest
import search_catalogs

from image_catalog import coverage as coverage_module
from image_catalog import vector_index
from image_catalog.catalog import Catalog
from image_catalog.catalog_search import SearchableCatalog, kilometres_between
from image_catalog.coverage import Coverage, Scope
from image_catalog.errors import CannotGoOn, UsageError
from image_catalog.query import parse
from image_catalog.search import Meaning, Request, Result, ids, run
from image_catalog.search_filter import Filter, Near, read
from image_catalog.vector_index import VectorIndex


def no_meaning() -> Meaning:
    raise CannotGoOn("image_index.faiss", "there is no vector index yet", "make it")


def names(result: Result) -> list[str]:
    return [hit.row["path"].rsplit("/", 1)[1] for hit in result.hits]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(search_catalogs.make(tmp_path / "images.db")) as catalog:
        yield catalog


def by_words(catalog: Catalog, text: str, **options: object) -> list[str]:
    return names(run(catalog, Request(text, "text", **options), no_meaning))  # type: ignore[arg-type]


# Words


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("собака", ["собака.jpg"]),
        ("СОБАКОЙ", ["собака.jpg"]),
        ("елка", ["ёлка.png"]),
        ("running", ["car.jpg"]),
        ("зима 2023 Сочи canon", ["собака.jpg"]),
        ("KX-4821", ["car.jpg"]),
        ("kx4821", ["car.jpg"]),
        ("маяк", ["waiting.jpg"]),  # facts of a picture that waits for its description
        ("новогод*", ["ёлка.png"]),
        ("ёлк*", ["ёлка.png"]),
        ("елк*", ["ёлка.png"]),
        ('"red car"', ["car.jpg"]),
        ('"car red"', []),
        ("car -rain", ["car.jpg"]),
        ("собака OR ёлка", ["ёлка.png", "собака.jpg"]),
        ("deleted", []),  # only in a picture that is gone
        ("!!!", []),
    ],
)
def test_words_find(catalog: Catalog, query: str, found: list[str]) -> None:
    assert sorted(by_words(catalog, query)) == sorted(found)


def test_more_of_the_query_comes_first(catalog: Catalog) -> None:
    assert by_words(catalog, "white house red car") == ["car.jpg", "blue.jpg"]
    assert by_words(catalog, "blue red car") == ["blue.jpg", "car.jpg"]


def test_a_rare_word_outweighs_a_common_one(tmp_path: Path) -> None:
    texts = {f"{number}.jpg": "a dog" for number in range(20)} | {"rare.jpg": "a zebra"}
    with Catalog.open_for_reading(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        assert by_words(catalog, "dog zebra")[0] == "rare.jpg"


def test_equals_in_words_are_told_apart_by_how_much_they_are_about_them(tmp_path: Path) -> None:
    texts = {"about.jpg": "a dog, a dog, a dog", "beside.jpg": "a man with a dog in front of a house by the sea at noon"}
    with Catalog.open_for_reading(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        assert by_words(catalog, "dog") == ["about.jpg", "beside.jpg"]


def test_either_word_is_as_good_as_both(catalog: Catalog) -> None:
    result = run(catalog, Request("собака OR ёлка", "text"), no_meaning)
    assert {hit.coverage for hit in result.hits} == {1.0}


def test_words_that_no_picture_has_are_told(catalog: Catalog) -> None:
    result = run(catalog, Request("собака жираф", "text"), no_meaning)
    assert names(result) == ["собака.jpg"]
    assert [term.phrases for term in result.missing] == [(("жираф",),)]
    assert result.hits[0].coverage < 1


def naive_coverage(texts: list[str], query: str) -> dict[int, float]:
    """The definition, without any short cut."""
    stems = [set(search_catalogs.words.stems(text).split()) for text in texts]
    wanted = [term.phrases[0][0] for term in parse(query).wanted]
    counts = {stem: sum(stem in its for its in stems) for stem in wanted}
    weights = {
        stem: log(1 + (len(texts) - count + 0.5) / (count + 0.5)) * (3 if any(char.isdigit() for char in stem) else 1)
        for stem, count in counts.items()
    }
    whole = sum(weights.values())
    return {
        number: sum(weights[stem] for stem in wanted if stem in its) / whole
        for number, its in enumerate(stems, start=1)
        if its & set(wanted)
    }


@pytest.mark.parametrize("most_compared", [500, 3])
def test_short_cuts_never_change_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_compared: int) -> None:
    """The best pictures and their coverage are those of the plain definition, however common the words are."""
    monkeypatch.setattr(coverage_module, "_MOST_COMPARED", most_compared)
    chance = random.Random(1)
    words = [f"word{chr(97 + number)}" for number in range(12)] + ["x1", "x2"]
    rarity = [1 / (number + 1) for number in range(len(words))]
    texts = [" ".join(chance.choices(words, rarity, k=chance.randint(1, 6))) for _ in range(400)]
    path = search_catalogs.make(tmp_path / "images.db", {f"{number}.jpg": text for number, text in enumerate(texts)})
    with Catalog.open_for_reading(path) as catalog:
        rows = SearchableCatalog(catalog)
        for _ in range(60):
            query = " ".join(chance.choices([*words, "absent"], k=chance.randint(1, 5)))
            count = chance.choice([1, 5, 50])
            scope = chance.choice([Scope(), Scope(None, set(range(1, 100))), Scope(set(range(1, 200)))])
            expected = {image_id: share for image_id, share in naive_coverage(texts, query).items() if scope.within([image_id])}
            coverage = Coverage(rows, parse(query), scope)
            coverage.find_best(count)
            best = list(coverage.best_first())[:count]
            shares = sorted(expected.values(), reverse=True)[:count]
            assert [coverage.share(image_id) for image_id in best] == pytest.approx(shares)
            assert [expected[image_id] for image_id in best] == pytest.approx(shares)
            whole = Coverage(rows, parse(query), scope)
            whole.find_covered(0.5)
            assert set(whole.covered(0.5, 10**6)) == {one for one, share in expected.items() if share >= 0.5}


def test_pictures_that_cannot_matter_are_not_looked_up(tmp_path: Path) -> None:
    texts = {f"{number}.jpg": "zebra and grass" if number < 5 else "grass" for number in range(300)}
    with Catalog.open_for_reading(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        coverage = Coverage(SearchableCatalog(catalog), parse("grass zebra unicorn"), Scope())
        coverage.find_best(3)
        assert sorted(coverage.best_first()) == [1, 2, 3, 4, 5]


def test_of_very_many_equals_the_newest_come_first(tmp_path: Path) -> None:
    path = search_catalogs.make(tmp_path / "images.db", {f"{number}.jpg": "a dog" for number in range(600)})
    with Catalog.open_for_reading(path) as catalog:
        assert by_words(catalog, "dog", limit=3) == ["599.jpg", "598.jpg", "597.jpg"]
        assert by_words(catalog, "dog", limit=2, offset=598) == ["1.jpg", "0.jpg"]


# What may be found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([("after", "2023")], ["car.jpg", "собака.jpg"]),
        ([("before", "2022")], ["blue.jpg"]),
        ([("after", "2022-12"), ("before", "2023-02")], ["собака.jpg", "ёлка.png"]),
        ([("camera", "canon")], ["собака.jpg"]),
        ([("camera", "canon 5d")], ["собака.jpg"]),
        ([("camera", "d90")], ["car.jpg"]),
        ([("lens", "50MM")], ["собака.jpg"]),
        ([("near", "43.6,39.7")], ["собака.jpg"]),
        ([("near", "43.6,39.7,1")], []),
        ([("near", "Сочи")], ["собака.jpg"]),
        ([("near", "сочи,5")], ["собака.jpg"]),
        ([("near", "Russia")], ["собака.jpg"]),
        ([("near", "Краснодарском крае")], ["собака.jpg"]),
        ([("near", "Sochi, Russia")], ["собака.jpg"]),
        ([("near", "Адлер, 40")], ["собака.jpg"]),  # a town that no picture is in, 25 km away
        ([("format", "png")], ["ёлка.png"]),
        ([("format", "jpg")], ["car.jpg", "собака.jpg"]),
        ([("tag", "пляжи")], ["собака.jpg"]),
        ([("tag", "песчаный")], []),  # in the description, but no tag
        ([("min-size", "1200")], ["car.jpg", "собака.jpg"]),
        ([("orientation", "portrait")], ["ёлка.png"]),
        ([("has", "text")], ["car.jpg"]),
        ([("folder", "/photos"), ("after", "2023-06")], ["car.jpg"]),
        ([("folder", "/photo")], []),
        ([("folder", "/photos"), ("camera", "canon")], ["собака.jpg"]),
        ([("folder", "/")], ["car.jpg", "собака.jpg", "ёлка.png", "blue.jpg", "waiting.jpg", "broken.jpg"]),
        ([("camera", "canon"), ("camera", "nikon")], ["car.jpg", "собака.jpg"]),  # a picture has one camera: either
        ([("format", "png"), ("format", "jpg"), ("orientation", "landscape")], ["car.jpg", "собака.jpg"]),
        ([("orientation", "portrait"), ("orientation", "landscape")], ["car.jpg", "собака.jpg", "ёлка.png"]),
        ([("tag", "пляж"), ("tag", "ёлка")], []),  # but it can have several tags: all
    ],
)
def test_filters_alone_list_newest_first(catalog: Catalog, wanted: list[tuple[str, str]], found: list[str]) -> None:
    assert by_words(catalog, "", filter=read(wanted)) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("camera:canon after:2023", ["собака.jpg"]),
        ("car after:2022", ["car.jpg"]),
        ('lens:"EF50mm f/1.8" собака', ["собака.jpg"]),
        ("-собака -ёлка after:2022", ["car.jpg"]),
        ("near:сочи", ["собака.jpg"]),
        ("camera:canon OR camera:nikon", ["car.jpg", "собака.jpg"]),
        ("before:2022 OR after:2023-06", ["car.jpg", "blue.jpg"]),
        ("car -camera:nikon", ["blue.jpg"]),
        ("after:2000 -format:jpeg -format:png", ["blue.jpg"]),
    ],
)
def test_filters_in_the_query_do_the_same(catalog: Catalog, query: str, found: list[str]) -> None:
    result = run(catalog, Request(query, "text"), no_meaning)
    assert (names(result), result.notes) == (found, [])


def test_a_filter_in_the_query_that_makes_no_sense_is_words(catalog: Catalog) -> None:
    result = run(catalog, Request("camera:Сочи after:someday -lens:zoom", "text"), no_meaning)
    assert names(result) == ["собака.jpg"]
    assert len(result.notes) == 3
    assert any("camera:Сочи is searched as words" in note and "there are: Canon EOS 5D" in note for note in result.notes)
    assert [term.phrases for term in result.query.wanted] == [(("соч",),), (("someday",),)]  # the filter's name is no word


def test_one_of_two_names_may_be_unknown(catalog: Catalog) -> None:
    for query in ("camera:canon OR camera:leica", "camera:leica camera:canon", "after:2000 camera:canon camera:leica"):
        result = run(catalog, Request(query, "text"), no_meaning)
        assert names(result) == ["собака.jpg"], query
        assert [note for note in result.notes if "camera:leica is left out" in note] == result.notes != []
    result = run(catalog, Request("camera:leica OR camera:zeiss", "text"), no_meaning)
    assert (names(result), len(result.notes)) == ([], 2)


def test_what_is_no_filter_is_read_as_plain_words(catalog: Catalog) -> None:
    result = run(catalog, Request("camera:after:2023", "text"), no_meaning)
    assert names(result) == ["собака.jpg"]  # "after" and 2023, a fact
    assert [term.phrases[0] for term in result.query.wanted] == [("after",), ("2023",)]


def test_words_about_pictures_as_such_list_what_passes_a_filter(catalog: Catalog) -> None:
    assert by_words(catalog, "photos camera:canon") == ["собака.jpg"]
    assert by_words(catalog, "фото", filter=read([("format", "png")])) == ["ёлка.png"]
    assert set(by_words(catalog, "pictures -car")) == {"собака.jpg", "ёлка.png", "waiting.jpg", "broken.jpg"}
    assert by_words(catalog, "photo") == []  # alone it is a word like others


def test_or_between_a_word_and_a_filter_is_said(catalog: Catalog) -> None:
    result = run(catalog, Request("car OR camera:nikon", "text"), no_meaning)
    assert (names(result), len(result.notes)) == (["car.jpg"], 1)


def test_a_phrase_stands_in_one_text_or_tag(tmp_path: Path) -> None:
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        add = search_catalogs.add
        add(catalog, b"/tags.jpg", description="A squirrel", tags='["green", "tail", "left"]', facts="Sochi; winter")
        add(catalog, b"/text.jpg", description="A bird with a green tail. Left of it a tree", caption="Winter")
        for query, found in (
            ('"green tail"', ["text.jpg"]),
            ('squirrel -"green tail"', ["tags.jpg"]),
            ('"squirrel green"', []),
            ('"tail left"', ["text.jpg"]),
            ('"sochi winter"', []),
            ('"green tails"', ["text.jpg"]),
        ):
            assert by_words(catalog, query) == found, query


def test_a_file_is_found_by_its_name_with_and_without_ending(tmp_path: Path) -> None:
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        search_catalogs.add(catalog, b"/a/IMG_8824.jpg", description="A church", facts="IMG_8824; IMG 8824")
        search_catalogs.add(catalog, b"/a/IMG_8825.jpg", description="A jpg of a castle", facts="IMG_8825; IMG 8825")
        for query in ("IMG_8824.jpg", "img_8824.JPG", "IMG_8824", "/a/IMG_8824.jpg", '"IMG_8824.jpg"', "8824.jpg"):
            assert by_words(catalog, query)[:1] == ["IMG_8824.jpg"], query


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("camera", "leica"),
        ("camera", "canon d90"),
        ("lens", "zoom"),
        ("near", "Paris"),
        ("near", "Sochi, France"),
        ("format", "xyz"),
    ],
)
def test_a_name_that_the_catalog_lacks_is_told_with_those_that_it_has(catalog: Catalog, name: str, value: str) -> None:
    with pytest.raises(UsageError) as error:
        by_words(catalog, "собака", filter=read([(name, value)]))
    assert error.value.remedy.startswith("there are: ")


@pytest.mark.parametrize("mode", ["text", "hybrid", "semantic"])
def test_a_filter_never_makes_the_list_short(tmp_path: Path, mode: str) -> None:
    path = str(tmp_path / "images.db")
    with Catalog.open(path) as catalog:
        with catalog.transaction():
            for number in range(2000):
                is_old = number >= 1990
                text = "a dog" if is_old else "a dog and a dog and a dog"
                search_catalogs.add(
                    catalog, b"/%d.jpg" % number, description=text, taken_at=f"{2001 if is_old else 2020}-01-01T00:00:00"
                )
        meaning = meaning_of(tmp_path, catalog, {number + 1: 90 if number >= 1990 else number / 100 for number in range(2000)})
        result = run(catalog, Request("dog", mode, Filter(before="2002")), lambda: meaning)
    assert len(result.hits) == 10
    assert all(hit.row["taken_at"] < "2002" for hit in result.hits)


def test_distances_are_those_on_a_sphere() -> None:
    assert kilometres_between(55.7558, 37.6173, 59.9343, 30.3351) == pytest.approx(633, abs=2)  # Moscow, St Petersburg
    assert kilometres_between(0, 179.9, 0, -179.9) == pytest.approx(22.2, abs=0.1)


def test_near_is_near_in_both_directions(catalog: Catalog) -> None:
    search_catalogs.add(catalog, b"/photos/nice.jpg", latitude=43.585, longitude=7.27)
    assert by_words(catalog, "", filter=read([("near", "43.6,39.7")])) == ["собака.jpg"]


def test_a_folder_is_not_its_neighbour(catalog: Catalog) -> None:
    search_catalogs.add(catalog, b"/photos2/x.jpg", description="x")
    assert "x.jpg" not in by_words(catalog, "", filter=read([("folder", "/photos")]))


def test_near_a_town_that_no_picture_is_in_is_within_ten_kilometres_of_it(tmp_path: Path) -> None:
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        for name, latitude in (("close.jpg", 43.55), ("far.jpg", 43.70)):  # Хоста is at 43.515, 39.868
            where = {"latitude": latitude, "longitude": 39.868, "place": "Kudepsta, Russia", "place_ru": "Россия"}
            search_catalogs.add(catalog, f"/{name}".encode(), **where)
        assert by_words(catalog, "", filter=read([("near", "Хоста")])) == ["close.jpg"]
        assert set(by_words(catalog, "", filter=read([("near", "Хоста, 30")]))) == {"close.jpg", "far.jpg"}
        far = {"latitude": 55.86, "longitude": 38.44, "place": "Noginsk, Moscow, Russia", "place_ru": "Ногинск, Москва, Россия"}
        search_catalogs.add(catalog, b"/noginsk.jpg", **far)
        assert by_words(catalog, "", filter=read([("near", "Moscow")])) == ["noginsk.jpg"]
        assert by_words(catalog, "", filter=read([("near", "Moscow, 5")])) == []  # 50 km away
        with pytest.raises(UsageError, match="is near Новосибирск"):
            by_words(catalog, "", filter=read([("near", "Новосибирск")]))


def test_a_country_has_several_names(tmp_path: Path) -> None:
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        american = {"place": "Moab, Utah, United States of America", "place_ru": "Моаб, Юта, США"}
        search_catalogs.add(catalog, b"/moab.jpg", **american)
        search_catalogs.add(catalog, b"/london.jpg", place="London, United Kingdom", place_ru="Лондон, Великобритания")
        for name in ("USA", "United States", "Moab, USA", "США", "Юта"):
            assert by_words(catalog, "", filter=read([("near", name)])) == ["moab.jpg"], name
        for name in ("Great Britain", "Англия", "London, UK"):
            assert by_words(catalog, "", filter=read([("near", name)])) == ["london.jpg"], name
        for name in ("States", "Королевство", "Great"):
            with pytest.raises(UsageError):
                by_words(catalog, "", filter=read([("near", name)]))


def test_near_works_across_the_date_line_and_at_the_pole(tmp_path: Path) -> None:
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        search_catalogs.add(catalog, b"/fiji.jpg", latitude=-17.0, longitude=179.95)
        search_catalogs.add(catalog, b"/pole.jpg", latitude=89.95, longitude=10.0)
        assert by_words(catalog, "", filter=Filter(near=(Near(-17.0, -179.95, 20.0),))) == ["fiji.jpg"]
        assert by_words(catalog, "", filter=Filter(near=(Near(89.95, -170.0, 20.0),))) == ["pole.jpg"]


# Meaning: vectors are directions on a circle, given in degrees; the query looks along 0°.


def meaning_of(
    folder: Path,
    catalog: Catalog,
    degrees: dict[int, float],
    generation: int | None = None,
    made_of: str | None = None,
    unrelated: dict[str, float] | None = None,
) -> Meaning:
    angles = np.radians(np.array(list(degrees.values()), np.float32))
    vectors = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles), np.zeros_like(angles)], axis=1)
    path = str(folder / "image_index.faiss")
    now = catalog.generation() if generation is None else generation
    rows = np.array(list(degrees), np.int64)
    made = {"model": "made", "model_digest": "d", "generation": now, "catalog": made_of, "unrelated": unrelated}
    vector_index.build(path, rows, vectors, **made)  # type: ignore[arg-type]
    index = VectorIndex.open(path)

    def encode(text: str) -> np.ndarray:
        angle = np.radians(180.0 if "people" in text else 0.0)
        return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)

    return Meaning(index, encode)


Circle = Callable[..., Result]
TEXTS = {"a.jpg": "one dog", "b.jpg": "two cats", "c.jpg": "three birds", "d.jpg": "KX 4821 seven", "e.jpg": "five bees"}
DEGREES = {1: 80.0, 2: 5.0, 3: 40.0, 4: 85.0, 5: 120.0}


@pytest.fixture
def circle(tmp_path: Path) -> Iterator[Circle]:
    """Search five pictures whose meanings are known."""
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", TEXTS)) as catalog:
        meaning = meaning_of(tmp_path, catalog, DEGREES)

        def search(text: str, mode: str = "hybrid", **options: object) -> Result:
            return run(catalog, Request(text, mode, **options), lambda: meaning)  # type: ignore[arg-type]

        yield search


def test_meaning_alone_ranks_by_cosine(circle: Circle) -> None:
    result = circle("dog", "semantic")
    assert names(result) == ["b.jpg", "c.jpg", "a.jpg", "d.jpg", "e.jpg"]
    assert [hit.cosine for hit in result.hits] == pytest.approx(np.cos(np.radians([5, 40, 80, 85, 120])), abs=1e-3)
    assert [hit.score for hit in result.hits] == [hit.cosine for hit in result.hits]


def test_both_put_whole_coverage_first_and_leave_the_rest_to_meaning(circle: Circle) -> None:
    assert names(circle("dog")) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert names(circle("animal")) == ["b.jpg", "c.jpg", "a.jpg", "d.jpg", "e.jpg"]


def test_a_number_outweighs_what_meaning_says(tmp_path: Path) -> None:
    texts = {f"{number}.jpg": f"{number} dogs" for number in range(200)} | {"plate.jpg": "a white cat, KX 4821"}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        meaning = meaning_of(tmp_path, catalog, {number + 1: number * 0.8 for number in range(200)} | {201: 90.0})
        result = run(catalog, Request("animal at sea with kx4821"), lambda: meaning)
    assert names(result)[0] == "plate.jpg"


def test_a_query_of_facts_alone_is_answered_by_facts(tmp_path: Path) -> None:
    """Winter on the day it was taken, not in what is said of a summer's picture, however near in meaning that is."""
    texts = {f"{number}.jpg": "something" for number in range(100)}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        for number in range(30):
            facts = "winter Canon" if number % 3 else "summer Canon"
            text = "people in winter clothes" if number == 3 else "a street"
            search_catalogs.add(catalog, b"/photos/%d.png" % number, description=text, facts=facts)
        degrees = dict.fromkeys(range(1, 101), 90.0) | {101 + number: 60.0 for number in range(30)} | {104: 0.0}
        meaning = meaning_of(tmp_path, catalog, degrees)
        result = run(catalog, Request("canon winter", limit=21), lambda: meaning)
    assert [bool(int(Path(name).stem) % 3) for name in names(result)[:20]] == [True] * 20
    assert names(result)[20] == "3.png"


def test_one_word_of_three_does_not(tmp_path: Path) -> None:
    """A word in common is no evidence: this is where rank fusion goes wrong."""
    texts = {f"{number}.jpg": "something" for number in range(200)}
    texts |= {"a.jpg": "an apple", "b.jpg": "a bridge", "c.jpg": "a candle"}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        meaning = meaning_of(tmp_path, catalog, {number + 1: number * 0.8 for number in range(200)} | {201: 90, 202: 90, 203: 90})
        assert names(run(catalog, Request("apple bridge candle"), lambda: meaning))[0] == "1.jpg"


def test_a_word_in_the_tags_of_the_other_language_counts_for_more(tmp_path: Path) -> None:
    """Described in English, asked for in Russian: meaning is less sure of itself, and few have a tag for it."""
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", {})) as catalog:
        for number in range(200):
            search_catalogs.add(catalog, b"/photos/%d.jpg" % number, description="A meadow", tags='["луг"]')
        search_catalogs.add(catalog, b"/photos/tagged.jpg", description="Grass in the sun", tags='["трава"]')
        degrees = {number + 1: 60.0 + number / 4 for number in range(200)} | {201: 70.0}
        meaning = meaning_of(tmp_path, catalog, degrees)
        found = names(run(catalog, Request("зелёная трава", "hybrid"), lambda: meaning))
        assert names(run(catalog, Request("зелёная трава", "semantic"), lambda: meaning))[0] == "0.jpg"
    assert found[0] == "tagged.jpg"


def test_weaker_matches_are_marked(circle: Circle) -> None:
    hits = circle("dog").hits
    assert [hit.is_weak for hit in hits] == [False, *[True] * 4]


def test_unlike_moves_down(circle: Circle) -> None:
    assert names(circle("dog"))[0] == "a.jpg"
    assert all(hit.score <= 0 for hit in circle("dog", unlike="dog").hits)
    weaker = {hit.row["id"]: hit.score for hit in circle("animal", unlike="people").hits}
    before = {hit.row["id"]: hit.score for hit in circle("animal").hits}
    assert weaker[2] == pytest.approx(before[2])
    assert weaker[5] < before[5] - 1


def test_pages_without_what_is_unlike_are_one_list(tmp_path: Path) -> None:
    """What moves down makes room for pictures that are farther away: as many must be looked at as that takes."""
    names_of = {f"{number}.jpg": "something" for number in range(2500)}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", names_of)) as catalog:
        vectors = np.random.default_rng(1).normal(size=(2500, 4)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        path, rows = str(tmp_path / "image_index.faiss"), np.arange(1, 2501, dtype=np.int64)
        vector_index.build(path, rows, vectors, model="made", model_digest="d", generation=catalog.generation())
        asked_for = {"sought": np.array([1, 0, 0, 0], np.float32), "other": np.array([0.8, 0.6, 0, 0], np.float32)}
        meaning = Meaning(VectorIndex.open(path), asked_for.__getitem__)

        def page(offset: int, limit: int) -> list[str]:
            asked = Request("sought", "semantic", unlike="other", offset=offset, limit=limit)
            return names(run(catalog, asked, lambda: meaning))

        pages = [name for offset in range(0, 300, 10) for name in page(offset, 10)]
        assert len(set(pages)) == 300
        assert pages == page(0, 300)


def test_unlike_leaves_out_what_says_so_and_not_who_says_that_it_is_not_there(tmp_path: Path) -> None:
    texts = {"crowd.jpg": "many people", "empty.jpg": "no people on the beach", "sea.jpg": "the sea"}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        meaning = meaning_of(tmp_path, catalog, {1: 150.0, 2: 10.0, 3: 20.0})  # people are at 180 degrees
        assert sorted(names(run(catalog, Request("beach", unlike="people"), lambda: meaning))) == ["empty.jpg", "sea.jpg"]
        in_order = names(run(catalog, Request("beach", "semantic", unlike="people"), lambda: meaning))
        assert in_order == ["empty.jpg", "sea.jpg", "crowd.jpg"]


def test_a_folder_by_its_name(tmp_path: Path) -> None:
    with Catalog.open(search_catalogs.make(tmp_path / "images.db")) as catalog:
        for path in (b"/a/hikes/1.jpg", b"/b/hikes/2.jpg", b"/b/hikes more/3.jpg", b"/b/hikes.jpg"):
            search_catalogs.add(catalog, path, description="a zebra")
        found = by_words(catalog, "zebra", filter=Filter(folders=("hikes",)))
        assert sorted(found) == ["1.jpg", "2.jpg"]
        assert by_words(catalog, "zebra folder:b/hikes") == ["2.jpg"]


def test_unlike_by_words_excludes(catalog: Catalog) -> None:
    assert by_words(catalog, "car", unlike="red bus") == ["car.jpg"]
    assert "car.jpg" not in by_words(catalog, "", unlike="white house", filter=Filter(folders=("/photos",)))


def test_like_a_picture_of_the_catalog(circle: Circle) -> None:
    assert names(circle("", like=3)) == ["b.jpg", "a.jpg", "d.jpg", "e.jpg"]
    with pytest.raises(UsageError, match="there is no picture 77"):
        circle("", like=77)
    with pytest.raises(UsageError):
        circle("", "text", like=3)


def test_like_a_description(circle: Circle) -> None:
    assert names(circle("", like="any text"))[0] == "b.jpg"


def test_a_picture_without_a_vector_is_found_by_its_words(circle: Circle, tmp_path: Path) -> None:
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        search_catalogs.add(catalog, b"/photos/new.jpg", state="waiting", facts="lighthouse")
    result = circle("lighthouse")
    assert names(result)[0] == "new.jpg"
    idf = log(1 + (len(TEXTS) + 1 - 1 + 0.5) / 1.5)
    # All of the words, a fact, and a meaning like any other.
    assert (result.hits[0].cosine, result.hits[0].score) == (None, pytest.approx(5.0 + 1.2 * idf))


def test_how_far_the_index_is_behind(circle: Circle, tmp_path: Path) -> None:
    assert circle("dog").behind == 0
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        catalog.keep_passages((image_id, "hash") for image_id in DEGREES)
        search_catalogs.add(catalog, b"/photos/new.jpg", description="a new one", passage_hash="hash")
        search_catalogs.add(catalog, b"/photos/waits.jpg", state="waiting", facts="2023")
        catalog.update_image(2, {"description": "another text"})
    assert circle("dog").behind == 2
    assert circle("dog", "text").behind is None


def test_what_is_gone_is_not_found_though_the_index_has_it(circle: Circle, tmp_path: Path) -> None:
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        catalog.mark_gone([2])
    assert "b.jpg" not in names(circle("animal"))
    assert "b.jpg" not in names(circle("cats", "text"))
    assert len(names(circle("animal", limit=4))) == 4


def test_a_page_is_full_though_what_is_nearest_is_gone(tmp_path: Path) -> None:
    texts = {f"{number}.jpg": "something" for number in range(1000)}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        meaning = meaning_of(tmp_path, catalog, {number + 1: number * 0.1 for number in range(1000)})
        for gone in (190, 500):
            catalog.mark_gone(range(1, gone + 1))
            result = run(catalog, Request("animal", "semantic", limit=100), lambda: meaning)
            assert names(result) == [f"{number}.jpg" for number in range(gone, gone + 100)]


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
def test_a_page_is_full_though_what_is_nearest_was_forgotten(tmp_path: Path, mode: str) -> None:
    """Rows that --forget removed are in the index until it is made anew."""
    texts = {f"{number}.jpg": "something" for number in range(400)}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        meaning = meaning_of(tmp_path, catalog, {number + 1: number * 0.1 for number in range(400)})
        catalog.db.execute("DELETE FROM images WHERE id <= 250")
        catalog.db.execute("UPDATE generation SET number = number + 1")
        pages = [run(catalog, Request("animal", mode, limit=10, offset=at), lambda: meaning) for at in (0, 10)]
        assert [name for page in pages for name in names(page)] == [f"{number}.jpg" for number in range(250, 270)]


@pytest.mark.parametrize("mode", ["text", "semantic", "hybrid"])
def test_copies_make_no_page_short(tmp_path: Path, mode: str) -> None:
    """Equal files are shown once: with six copies of each picture six times as many must be ranked."""
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        with catalog.transaction():
            for number in range(900):
                content = f"{number // 6:064d}"
                search_catalogs.add(catalog, b"/%d.jpg" % number, description="an animal", content_hash=content)
        meaning = meaning_of(tmp_path, catalog, {number + 1: number // 6 * 0.5 for number in range(900)})
        meaning = meaning.with_(notes=["said once"])
        everything = names(run(catalog, Request("animal", mode, limit=150), lambda: meaning))
        assert len(set(everything)) == len(everything) == 150
        last = run(catalog, Request("animal", mode, limit=10, offset=140), lambda: meaning)
        assert (names(last), last.has_more) == (everything[140:], False)
        assert run(catalog, Request("animal", mode, limit=10, offset=130), lambda: meaning).has_more
        assert last.notes == ["said once"] * (mode != "text")


def test_sorted_weak_matches_are_shown_as_unsorted_ones_are(circle: Circle) -> None:
    """Where every match is worse than usual, the best are still the best."""
    question = "animal -cats -birds"
    assert names(circle(question, "semantic", limit=2)) == ["a.jpg", "d.jpg"]
    assert all(hit.is_weak for hit in circle(question, "semantic").hits)
    assert names(circle(question, "semantic", limit=2, sort="path")) == ["a.jpg", "d.jpg"]


@pytest.mark.parametrize("mode", ["hybrid", "text"])
def test_a_rank_by_words_is_true_or_not_told(tmp_path: Path, mode: str) -> None:
    """Pictures that hardly have a word of the question are not all looked up: their places are not known."""
    chance = random.Random(5)
    rare = ("zebra", "lighthouse", "volcano")
    with Catalog.open(str(tmp_path / "images.db")) as catalog:
        with catalog.transaction():
            for number in range(1500):
                text = " ".join(["road", *(["tree"] if number % 3 else []), *chance.sample(rare, number % 400 == 0), str(number)])
                search_catalogs.add(catalog, b"/%d.jpg" % number, description=text)
        meaning = meaning_of(tmp_path, catalog, {number + 1: chance.uniform(0, 90) for number in range(1500)})
        query = "zebra lighthouse volcano tree road"
        whole = run(catalog, Request(query, "text", limit=1500), no_meaning)
        share = {hit.row["id"]: hit.coverage for hit in whole.hits}
        covered = sorted(share.values(), reverse=True)
        told = 0
        for hit in run(catalog, Request(query, mode, limit=300), lambda: meaning).hits:
            if hit.rank_text is not None:
                told += 1
                assert hit.rank_text == 1 + sum(other > share[hit.row["id"]] + 1e-9 for other in covered), hit.row["path"]
        assert told >= 4


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
def test_sorted_pages_join_to_the_whole(tmp_path: Path, mode: str) -> None:
    """What is sorted must not depend on how much of it is shown."""
    texts = {f"{number:04}.jpg": "an animal" for number in range(1200)}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        degrees = {number + 1: number * 7 % 1200 / 10 for number in range(1200)}
        meaning = meaning_of(tmp_path, catalog, degrees)
        options = {"sort": "path", "filter": Filter()}
        everything = names(run(catalog, Request("beast", mode, limit=1200, **options), lambda: meaning))
        pages = [
            names(run(catalog, Request("beast", mode, limit=50, offset=at, **options), lambda: meaning)) for at in (0, 50, 100)
        ]
        assert [name for page in pages for name in page] == everything[:150]
        assert everything == sorted(everything)


def test_nothing_fits_where_all_are_as_far_as_from_a_question_without_an_answer(tmp_path: Path) -> None:
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", TEXTS)) as catalog:
        for least, mode, fits in ((0.99, "semantic", True), (0.999, "semantic", False), (0.999, "hybrid", False)):
            meaning = meaning_of(tmp_path, catalog, DEGREES, unrelated={"Latin": least})  # the nearest is at cosine 0.996
            request = Request("animal", mode)
            result = run(catalog, request, lambda its=meaning: its)
            assert (result.fits, result.hits[0].is_weak, len(result.hits)) == (fits, not fits, 5), (least, mode)
            assert bool(ids(catalog, request, lambda its=meaning: its)) == fits
            assert names(run(catalog, request.with_(sort="path", limit=2), lambda its=meaning: its)) != []
        # Words that are there, a filter that leaves little, another alphabet, a picture: not doubted.
        for request in (
            Request("two cats"),
            Request("animal", filter=read([("folder", "/photos")])),
            Request("зверь"),
            Request(like=1),
        ):
            assert run(catalog, request, lambda its=meaning: its).fits, request


def test_an_index_of_another_catalog_is_not_believed(tmp_path: Path, catalog: Catalog) -> None:
    never_had_one = ("another", "text")
    for known, (made_of, mode) in (
        (None, never_had_one),
        ("one", ("one", "hybrid")),
        ("one", (None, "hybrid")),  # made by an older version
        ("one", ("another", "text")),
    ):
        if known:
            catalog.keep_setting("catalog_id", known)
        meaning = meaning_of(tmp_path, catalog, {1: 50.0, 2: 0.0}, made_of=made_of)
        result = run(catalog, Request("собака"), lambda its=meaning: its)
        assert result.mode == mode, made_of
        assert ["is the index of another catalog" in note for note in result.notes] == [True] * (mode == "text")


def test_exclusion_and_phrases_hold_for_meaning_too(circle: Circle) -> None:
    assert names(circle("animal -cats")) == ["c.jpg", "a.jpg", "d.jpg", "e.jpg"]
    assert names(circle('"three birds"')) == ["c.jpg"]


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
def test_without_an_index_words_answer_with_one_note(catalog: Catalog, mode: str) -> None:
    result = run(catalog, Request("собака", mode), no_meaning)
    assert (names(result), result.mode, len(result.notes)) == (["собака.jpg"], "text", 1)


def test_an_index_of_another_dimension_is_no_disaster(tmp_path: Path, catalog: Catalog) -> None:
    meaning = meaning_of(tmp_path, catalog, {1: 0.0, 2: 90.0})
    other = meaning.with_(encode=lambda _: np.zeros(7, np.float32))
    result = run(catalog, Request("собака"), lambda: other)
    assert (names(result), result.mode, len(result.notes)) == (["собака.jpg"], "text", 1)


@pytest.mark.parametrize("degrees", [{}, {1: 0.0}, {1: 50.0, 2: 50.0, 3: 50.0}])
def test_an_index_with_next_to_nothing_works(tmp_path: Path, catalog: Catalog, degrees: dict[int, float]) -> None:
    meaning = meaning_of(tmp_path, catalog, degrees)
    result = run(catalog, Request("собака"), lambda: meaning)
    assert names(result)[0] == "собака.jpg"
    assert all(np.isfinite(hit.score) for hit in result.hits)


# While an index run writes


def test_searching_works_and_hangs_together_while_pictures_come_and_go(tmp_path: Path) -> None:
    path = search_catalogs.make(tmp_path / "images.db", {f"{number}.jpg": "a dog runs" for number in range(50)})
    stop = threading.Event()

    def write() -> None:
        with Catalog.open(path) as catalog:
            for number in range(10_000):
                if stop.is_set():
                    return
                with catalog.transaction():
                    new = search_catalogs.add(catalog, b"/new/%d.jpg" % number, description="a dog sleeps")
                    if number >= 3:
                        catalog.delete_image(new - 3)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with Catalog.open_for_reading(path) as catalog:
            for number in range(200):
                sort = "path" if number % 2 else "score"
                result = run(catalog, Request("dogs", "text", limit=100, sort=sort), no_meaning)
                assert len(result.hits) >= 50
    finally:
        stop.set()
        writer.join()


# Pages


@pytest.mark.parametrize("mode", ["text", "hybrid"])
def test_pages_put_together_are_the_whole_list(tmp_path: Path, mode: str) -> None:
    texts = {f"{number}.jpg": "a dog " + "runs " * (number % 4) for number in range(300)}
    with Catalog.open(search_catalogs.make(tmp_path / "images.db", texts)) as catalog:
        meaning = meaning_of(tmp_path, catalog, {number + 1: number * 0.3 for number in range(300)})

        def page(limit: int, offset: int) -> Result:
            return run(catalog, Request("dog runs", mode, limit=limit, offset=offset), lambda: meaning)

        everything = names(page(300, 0))
        pages = [page(70, start) for start in range(0, 300, 70)]
    assert len(set(everything)) == 300
    assert [name for result in pages for name in names(result)] == everything
    assert [result.has_more for result in pages] == [True] * 4 + [False]


def test_equal_files_are_shown_once_with_their_other_paths(catalog: Catalog) -> None:
    for name in ("b", "a", "c"):
        search_catalogs.add(catalog, f"/copies/{name}.jpg".encode(), description="зебра", content_hash="h1")
    search_catalogs.add(catalog, b"/copies/gone.jpg", description="зебра", content_hash="h1", gone_at="2024-01-01T00:00:00Z")
    (hit,) = run(catalog, Request("зебра", "text", limit=1), no_meaning).hits
    paths = {hit.row["path_bytes"], *hit.other_paths}
    assert paths == {b"/copies/a.jpg", b"/copies/b.jpg", b"/copies/c.jpg"}
    assert len(hit.other_paths) == 2
    assert by_words(catalog, "зебра", offset=1) == []


def test_sorting(catalog: Catalog) -> None:
    assert by_words(catalog, "car", sort="date") == ["car.jpg", "blue.jpg"]
    assert by_words(catalog, "car", sort="path") == ["blue.jpg", "car.jpg"]
    folder = Filter(folders=("/photos",))
    assert by_words(catalog, "", sort="path", filter=folder)[:2] == ["blue.jpg", "broken.jpg"]


@pytest.mark.parametrize("sort", ["score", "date", "path"])
def test_few_pictures_are_listed_in_the_order_of_many(catalog: Catalog, sort: str) -> None:
    """A short list is sorted, for a long one all pictures are walked through: equal dates, no date, gone files."""
    for number in range(12):
        date = f"2020-01-{number % 4 + 1:02}T00:00:00" if number % 3 else None
        gone = "2024-01-01T00:00:00Z" if number == 5 else None
        search_catalogs.add(catalog, b"/list/here/%d.jpg" % (number * 7 % 12), taken_at=date, gone_at=gone)
    with catalog.transaction():
        for number in range(5001):
            search_catalogs.add(catalog, b"/list/gone/%d.jpg" % number, gone_at="2024-01-01T00:00:00Z")
    few, many = (
        names(run(catalog, Request(filter=Filter(folders=(folder,)), sort=sort, limit=50), no_meaning))
        for folder in ("/list/here", "/list")
    )
    assert few == many
    assert len(few) == 11


def test_sorting_by_date_leaves_weaker_matches_out(circle: Circle) -> None:
    assert names(circle("dog", sort="path")) == ["a.jpg"]


def test_a_least_score(catalog: Catalog) -> None:
    everything = run(catalog, Request("white house red car", "text"), no_meaning).hits
    assert [hit.score for hit in everything] == [1.0, pytest.approx(0.3, abs=0.25)]
    assert by_words(catalog, "white house red car", min_score=0.9) == ["car.jpg"]


def test_raw_fts5_syntax(catalog: Catalog) -> None:
    request = Request("car NOT blue", "text", is_fts_syntax=True)
    assert names(run(catalog, request, no_meaning)) == ["car.jpg"]
    for text in ("a AND", "nocolumn:x", '"', "*", "", "\ud800"):
        with pytest.raises(UsageError):
            run(catalog, request.with_(text=text), no_meaning)


def test_generated_queries_never_raise(circle: Circle) -> None:
    chance = random.Random(7)
    words = [
        "собака",
        "car",
        "ё",
        "5d",
        "stems",
        "rowid",
        "NEAR",
        "AND",
        "OR",
        "NOT",
        "after:",
        "near:",
        "tag:",
        "x" * 70,
        "猫",
        "٣",
    ]
    parts = [*words, *"\"*^():-+{} '\\;|\n\x00\u202e\ud83d😀"]
    for number in range(3000):
        text = "".join(chance.choice(parts) for _ in range(chance.randint(1, 12)))
        result = circle(text, "text" if number % 10 else "hybrid")
        assert len(result.hits) <= 10
