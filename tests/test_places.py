"""Where on the earth a position lies: towns, large cities, regions and countries, in both languages."""

from __future__ import annotations

import random
import time

import pytest

from image_catalog import places


@pytest.mark.parametrize(
    ("position", "english", "russian"),
    [
        ((43.585, 39.72), "Sochi, Krasnodar Krai, Russia", "Сочи, Краснодарский край, Россия"),
        ((55.7539, 37.6208), "Moscow, Russia", "Москва, Россия"),
        ((59.94, 30.31), "Saint Petersburg, Russia", "Санкт-Петербург, Россия"),
        ((55.80, 37.95), "Balashikha, Moscow, Moscow Oblast, Russia", "Балашиха, Москва, Московская область, Россия"),
        ((38.525, -109.558), "Moab, Utah, United States of America", "Моаб, Юта, США"),
        ((36.88, 30.70), "Antalya, Antalya Province, Turkey", "Анталия, Анталья, Турция"),
        ((56.86, 35.90), "Tver, Tver Oblast, Russia", "Тверь, Тверская область, Россия"),
    ],
)
def test_places_in_both_languages(position: tuple[float, float], english: str, russian: str) -> None:
    place = places.nearest(*position)
    assert place is not None
    assert place.text("en") == english
    assert place.text("ru") == russian


def test_the_large_city_is_told_for_its_surroundings() -> None:
    place = places.nearest(45.50067, 9.11033)
    assert place is not None
    assert (place.town.en, place.city.ru, place.country.ru) == ("Pero", "Милан", "Италия")


def test_a_city_beyond_the_border_is_not_told() -> None:
    """Narva lies on the river; Ivangorod, its neighbour, is in Russia."""
    narva, ivangorod = places.nearest(59.377, 28.190), places.nearest(59.376, 28.223)
    assert narva is not None and ivangorod is not None
    assert (narva.country.en, ivangorod.country.en) == ("Estonia", "Russia")
    kehl = places.nearest(48.573, 7.82)  # Strasbourg lies across the Rhine
    assert kehl is not None
    assert kehl.text() == "Kehl, Baden-Württemberg, Germany"


def test_far_from_every_town_only_region_and_country_are_told() -> None:
    place = places.nearest(47.2071241, 106.2431051)
    assert place is not None
    assert place.town == places.Name()
    assert place.text() == "Central Aimak, Mongolia"


@pytest.mark.parametrize("position", [(0.1, -30.0), (89.99, 10.0), (-90.0, 0.0), (-48.87, -123.39)])
def test_nowhere(position: tuple[float, float]) -> None:
    assert places.nearest(*position) is None


def test_across_the_date_line() -> None:
    """Taveuni in Fiji: towns on both sides of 180 degrees."""
    east, west = places.nearest(-16.8, 179.99), places.nearest(-16.8, -179.99)
    assert east is not None and west is not None
    assert east.country.en == west.country.en == "Fiji"


def test_the_nearest_of_all_towns_is_found() -> None:
    """Against a search through every town of the table."""
    everything = [town for corner in places._table().cells for town in places._cell(*corner)]
    assert len(everything) > 140_000
    chance = random.Random(7)
    for _ in range(25):
        near = chance.choice(everything)
        position = (max(-89.0, min(89.0, near.latitude + chance.uniform(-0.6, 0.6))), near.longitude + chance.uniform(-0.6, 0.6))
        best = min(everything, key=lambda town: places._kilometres(*position, town))
        place = places.nearest(*position)
        if places._kilometres(*position, best) < 60:
            assert place is not None and place.town == best.name


def test_a_look_up_is_fast_enough_for_a_first_pass_over_100_000_pictures() -> None:
    places.nearest(55.75, 37.62)
    started = time.perf_counter()
    for step in range(500):
        places.nearest(55.5 + step / 1000, 37.4)
    assert (time.perf_counter() - started) / 500 < 0.005


def test_a_town_is_found_by_its_name_in_both_languages() -> None:
    (sochi,) = places.positions_of("сочи")
    assert sochi == pytest.approx((43.6, 39.73), abs=0.02)
    assert places.positions_of("SOCHI") == [sochi]
    assert places.positions_of("Сочи, Россия") == places.positions_of("Sochi,Krasnodar Krai") == [sochi]
    assert places.positions_of("Soch") == places.positions_of("Sochi, France") == places.positions_of("") == []


@pytest.mark.parametrize(
    ("name", "where"),
    [("Moscow", (55.75, 37.62)), ("Москва", (55.75, 37.62)), ("New York", (40.71, -74.0)), ("Singapore", (1.29, 103.85))],
)
def test_a_town_may_have_the_name_of_a_region_or_a_country(name: str, where: tuple[float, float]) -> None:
    assert any(town == pytest.approx(where, abs=0.1) for town in places.positions_of(name))


@pytest.mark.parametrize("name", ["@", "0", "7", "SG", "0.5", "2612", "Utah, USA", ".*"])
def test_what_stands_in_the_other_columns_is_no_town(name: str) -> None:
    assert places.positions_of(name) == []


def test_towns_of_one_name_are_told_apart_by_region_and_country() -> None:
    everywhere = places.positions_of("Paris")
    (texan,) = places.positions_of("Paris, Texas")
    assert texan in places.positions_of("Paris, USA") == places.positions_of("Paris, United States")
    assert len(everywhere) > 2
    assert texan in everywhere
    assert texan == pytest.approx((33.66, -95.56), abs=0.02)
    assert any(town == pytest.approx((48.85, 2.35), abs=0.02) for town in places.positions_of("Париж, Франция"))
