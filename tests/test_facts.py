"""The words that a picture is found by without a model, in both languages, and the context that the model gets."""

from __future__ import annotations

import pytest

from image_catalog import facts
from image_catalog.exif import Exif

SOCHI = Exif(
    taken_at="2014-02-15T18:30:05",
    camera_make="Canon",
    camera_model="Canon EOS 600D",
    lens="EF-S15-85mm f/3.5-5.6 IS USM",
    latitude=43.67,
    longitude=40.2,
    caption="Лыжники",
    keywords=("ski",),
)


def words(exif: Exif = SOCHI, path: str = "/home/anna/Photos/a.jpg", width: int = 4000, height: int = 3000) -> set[str]:
    """Single words of the text, folded as a full-text index folds them."""
    return set(facts.of(exif, path, width, height).text.casefold().replace(";", " ").replace(",", " ").split())


def test_both_languages_are_there_for_one_query() -> None:
    assert {"зима", "сочи", "canon", "winter", "evening", "sochi"} <= words()


def test_calendar() -> None:
    assert {"2014", "2014-02-15", "february", "февраль", "saturday", "суббота", "вечер"} <= words()


@pytest.mark.parametrize(
    ("month", "latitude", "season"),
    [
        ("01", 55.0, "winter"),
        ("04", 55.0, "spring"),
        ("08", None, "summer"),
        ("11", 55.0, "autumn"),
        ("12", -33.9, "summer"),
        ("07", -33.9, "winter"),
        ("01", 7.9, "winter"),
        ("01", -8.5, "winter"),
    ],
)
def test_seasons_turn_round_in_the_south(month: str, latitude: float | None, season: str) -> None:
    longitude = None if latitude is None else 18.4
    found = words(Exif(taken_at=f"2020-{month}-10T12:00:00", latitude=latitude, longitude=longitude))
    assert found & {"winter", "spring", "summer", "autumn"} == {season}


@pytest.mark.parametrize(
    ("hour", "part"),
    [("00:30", "ночь"), ("04:59", "ночь"), ("05:00", "утро"), ("12:00", "день"), ("17:00", "вечер"), ("23:00", "ночь")],
)
def test_parts_of_the_day(hour: str, part: str) -> None:
    assert words(Exif(taken_at=f"2020-05-05T{hour}:01")) & {"ночь", "утро", "день", "вечер"} == {part}


def test_a_date_without_a_time_has_no_part_of_the_day() -> None:
    assert not words(Exif(taken_at="2020-05-05T00:00:00")) & {"ночь", "night"}


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("IMG_20190926_163800.jpg", "2019-09-26"),
        ("2019-09-26 16.38.00.jpg", "2019-09-26"),
        ("PXL_20190926_163800123.jpg", "2019-09-26"),
        ("Screenshot_20190926-163800.png", "2019-09-26"),
        ("IMG-20190926-WA0001.jpg", "2019-09-26"),
    ],
)
def test_a_date_in_the_file_name_counts_where_the_camera_wrote_none(name: str, date: str) -> None:
    found = words(Exif(), f"/p/{name}")
    assert {date, "сентябрь", "осень"} <= found


@pytest.mark.parametrize("name", ["DSC20991331.jpg", "12345678901234.jpg", "photo_20190931.jpg"])
def test_other_digits_are_no_date(name: str) -> None:
    assert not words(Exif(), f"/p/{name}") & {"autumn", "winter", "осень", "зима"}


def test_new_year() -> None:
    assert {"новый", "год"} <= words(Exif(taken_at="2019-12-31T23:50:00"))


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("Canon", "Canon EOS 600D", "Canon EOS 600D"),
        ("NIKON CORPORATION", "NIKON D5000", "Nikon D5000"),
        ("EASTMAN KODAK COMPANY", "KODAK DX4900 ZOOM", "Kodak DX4900 ZOOM"),
        ("OLYMPUS IMAGING CORP.", "E-M5", "Olympus E-M5"),
        ("Apple", "iPhone 11 Pro", "Apple iPhone 11 Pro"),
        ("SANYO Electric Co.,Ltd.", "SX113", "Sanyo SX113"),
        (None, "X100", "X100"),
        ("FLIR", None, "FLIR"),
        (None, None, ""),
    ],
)
def test_cameras_as_people_say_them(make: str | None, model: str | None, name: str) -> None:
    assert facts.camera_name(Exif(camera_make=make, camera_model=model)) == name


def test_makes_in_russian_and_kinds_of_camera() -> None:
    assert {"айфон", "смартфон", "phone"} <= words(Exif(camera_make="Apple", camera_model="iPhone 11 Pro"))
    assert {"никон"} <= words(Exif(camera_make="NIKON", camera_model="D5000"))
    assert {"дрон", "drone"} <= words(Exif(camera_make="DJI", camera_model="FC330"))


def test_exposure() -> None:
    found = words(Exif(exposure_time=30.0, flash=True, focal_length_35mm=16, lens="Super Macro 16"))
    assert {"long", "exposure", "вспышка", "wide", "macro", "макро"} <= found
    assert not words(Exif(exposure_time=0.01, flash=False, focal_length_35mm=50)) & {"long", "flash", "wide", "telephoto"}


@pytest.mark.parametrize(
    ("width", "height", "there", "missing"),
    [
        (4000, 3000, {"landscape", "горизонтальная", "12"}, {"portrait", "panorama"}),
        (3000, 4000, {"portrait", "вертикальная"}, {"landscape", "panorama"}),
        (3000, 3010, {"square", "квадратная"}, {"landscape", "portrait"}),
        (9000, 2000, {"panorama", "панорама", "landscape"}, {"square"}),
        (1000, 4000, {"panorama", "portrait"}, {"square"}),
        (0, 0, set(), {"landscape", "portrait", "square"}),
    ],
)
def test_shapes(width: int, height: int, there: set[str], missing: set[str]) -> None:
    found = words(Exif(camera_model="X"), width=width, height=height)
    assert there <= found
    assert not missing & found


def test_folders_and_file_name_are_words_but_not_whose_disk_it_is() -> None:
    found = words(Exif(), "/home/anna/Фото/2015 отпуск/NewYear_in_Sochi2015.jpg")
    assert {"фото", "2015", "отпуск", "new", "year", "in", "sochi", "newyear"} <= found
    assert not {"home", "anna"} & found


def test_names_that_are_no_text_do_no_harm() -> None:
    text = facts.of(Exif(), b"/p/caf\xe9 \x1b[2J\x00.jpg", 1, 1).text
    assert "caf" in text
    assert all(char.isprintable() for char in text)


def test_screenshots() -> None:
    assert {"скриншот", "screenshot"} <= words(Exif(), "/p/Снимок экрана 2020.png")


def test_countries_by_the_names_that_people_use() -> None:
    assert {"usa", "сша", "америка"} <= words(Exif(latitude=38.525, longitude=-109.558))


def test_context_for_the_model() -> None:
    context = facts.of(SOCHI, "/p/ski/IMG_1.jpg", 4000, 3000).context
    assert context.splitlines() == [
        "Taken: 15 February 2014, 18:30 (winter, evening)",
        "Place: Krasnaya Polyana, Sochi, Krasnodar Krai, Russia",
        "Camera: Canon EOS 600D",
        "Folder and file: ski / IMG_1",
        "Caption: Лыжники",
        "Keywords: ski",
    ]


def test_context_is_bounded_and_of_one_line_a_fact() -> None:
    long = Exif(caption="line\nline " * 1000, keywords=tuple(f"word{n}" for n in range(200)))
    context = facts.of(long, "/p/a.jpg", 1, 1).context
    assert len(context) < 1000
    assert len(context.splitlines()) == 3


def test_the_place_is_kept_apart() -> None:
    place = facts.of(SOCHI, "/p/a.jpg", 1, 1).place
    assert place is not None
    assert place.text("ru") == "Красная Поляна, Сочи, Краснодарский край, Россия"
    assert facts.of(Exif(), "/p/a.jpg", 1, 1).place is None
