"""Coordinates -> the nearest town, the large city near it, region and country, offline, in English and Russian.

Owns data/places.txt.gz, a table of 147,000 towns of 1,000 people and more from GeoNames (CC BY 4.0), which
tools/make_places.py makes. Knows nothing of pictures.
"""

from __future__ import annotations

import functools
import gzip
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path(__file__).parent / "data" / "places.txt.gz"
_KM_PER_DEGREE = 111.2
_FARTHEST_KM = 200.0
_TOWN_KM = 60.0
_SMALLEST_CITY = 100_000


@dataclass(frozen=True, slots=True)
class Name:
    """One name in two languages; `ru` is empty where GeoNames has none."""

    en: str = ""
    ru: str = ""

    def text(self, language: str) -> str:
        """The name in `language`, else in English."""
        return (self.ru if language == "ru" else "") or self.en


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture was taken. `city`: the large city whose surroundings it lies in; names may be empty."""

    town: Name
    city: Name
    region: Name
    country: Name

    def text(self, language: str = "en") -> str:
        """From the smallest to the largest: `Krasnaya Polyana, Sochi, Krasnodar Krai, Russia`."""
        return ", ".join(dict.fromkeys(name for part in self.names() if (name := part.text(language))))

    def names(self) -> tuple[Name, ...]:
        """Town, city, region, country."""
        return (self.town, self.city, self.region, self.country)


@dataclass(frozen=True, slots=True)
class _Town:
    latitude: float
    longitude: float
    population: int
    region: str
    name: Name


def nearest(latitude: float, longitude: float) -> Place | None:
    """The place of a position in degrees; None on the open sea and in deserts, 200 km from any town."""
    towns = sorted(
        ((_kilometres(latitude, longitude, town), town) for town in _towns_around(latitude, longitude)),
        key=lambda pair: pair[0],
    )
    if not towns or towns[0][0] > _FARTHEST_KM:
        return None
    distance, town = towns[0]
    table = _table()
    return Place(
        town=town.name if distance <= _TOWN_KM else Name(),
        city=_city(towns, town.region[:2]),
        region=table.names.get(town.region, Name()),
        country=table.names.get(town.region[:2], Name()),
    )


def positions_of(name: str) -> list[tuple[float, float]]:
    """Latitude and longitude, in degrees, of each town of this name in English or Russian; case does not count.

    `Paris, Texas` is the town of that region or country only.
    """
    town, *wider = (part.strip() for part in name.split(","))
    table = _table()
    escaped = re.escape(town)
    pattern = rf"^(?:[^\t\n]*\t){{4}}(?:{escaped}\t[^\n]*|[^\t\n]*\t{escaped})$"  # the last two columns are names
    towns_only = re.compile(pattern, re.M | re.I).finditer(table.text, table.text.index("\n@"))
    lines = [match.span() for match in towns_only] if town else []
    towns = (_town(table.text[begin:end], *table.cell_at(begin), table.regions) for begin, end in lines)
    return [(town.latitude, town.longitude) for town in towns if all(_lies_in(town, part, table) for part in wider)]


def _lies_in(town: _Town, name: str, table: _Table) -> bool:
    from image_catalog.fact_words import COUNTRY_ALIASES

    region, country = (table.names.get(code, Name()) for code in (town.region, town.region[:2]))
    others = ", ".join(COUNTRY_ALIASES.get(country.en, ())).split(",")
    names = (region.en, region.ru, country.en, country.ru, *others)
    return name.casefold() in {its.strip().casefold() for its in names}


def _city(towns: list[tuple[float, _Town]], country: str) -> Name:
    """The city that draws most here, as masses do, if its surroundings reach so far: 30 km, of millions 50 to 70."""

    def pull(pair: tuple[float, _Town]) -> float:
        return pair[1].population / (pair[0] + 5) ** 2

    cities = (
        (distance, town)
        for distance, town in towns
        if town.population >= _SMALLEST_CITY
        and town.region.startswith(country)
        and distance <= 30 + 20 * math.log10(town.population / _SMALLEST_CITY)
    )
    best = max(cities, key=pull, default=None)
    return best[1].name if best else Name()


def _kilometres(latitude: float, longitude: float, town: _Town) -> float:
    """On a flat map of the surroundings: wrong by less than 1 % over these distances, but at the poles."""
    east = (town.longitude - longitude + 180) % 360 - 180
    east *= math.cos(math.radians((latitude + town.latitude) / 2))
    return math.hypot(town.latitude - latitude, east) * _KM_PER_DEGREE


def _towns_around(latitude: float, longitude: float) -> Iterator[_Town]:
    """The towns of all degree squares within one degree of the position, or two where there is none."""
    for reach in (1, 2):
        width = min(180, math.ceil(reach / max(0.01, math.cos(math.radians(min(89.0, abs(latitude) + reach))))))
        columns = {(math.floor(longitude) + step + 180) % 360 - 180 for step in range(-width, width + 1)}
        rows = range(math.floor(latitude) - reach, math.floor(latitude) + reach + 1)
        found = [town for row in rows for column in columns for town in _cell(row, column)]
        if found:
            return iter(found)
    return iter(())


# The table


@dataclass(frozen=True, slots=True)
class _Table:
    text: str
    names: dict[str, Name]  # of countries and regions, by code
    regions: list[str]  # region codes in the order of their numbers
    cells: dict[tuple[int, int], tuple[int, int]]  # begin and end in `text`, by south-west corner

    def cell_at(self, position: int) -> tuple[int, int]:
        """The south-west corner of the degree square to which a position in `text` belongs."""
        south, west = self.text[self.text.rindex("@", 0, position) + 1 : position].split("\n", 1)[0].split(",")
        return int(south), int(west)


@functools.cache
def _table() -> _Table:
    """The table unpacked once, 50 ms; towns are parsed by square, when they are asked for."""
    text = gzip.decompress(_TABLE.read_bytes()).decode()
    begin = text.index("@")
    countries, regions = text[:begin].split("\n\n")
    rows = [line.split("\t") for line in (countries + "\n" + regions).splitlines()]
    marks = [(int(found[1]), int(found[2]), *found.span()) for found in re.finditer(r"^@(-?\d+),(-?\d+)\n", text, re.M)]
    ends = [mark[2] for mark in marks[1:]] + [len(text)]
    return _Table(
        text=text,
        names={code: Name(english, russian) for code, english, russian in rows},
        regions=[line.split("\t", 1)[0] for line in regions.splitlines()],
        cells={(south, west): (start, end) for (south, west, _, start), end in zip(marks, ends, strict=True)},
    )


@functools.lru_cache(maxsize=1024)
def _cell(south: int, west: int) -> tuple[_Town, ...]:
    table = _table()
    begin, end = table.cells.get((south, west), (0, 0))
    return tuple(_town(line, south, west, table.regions) for line in table.text[begin:end].splitlines())


def _town(line: str, south: int, west: int, regions: list[str]) -> _Town:
    north, east, population, region, english, russian = line.split("\t")
    code = regions[int(region)] if region.isdigit() else region  # a town of no region has its country's code
    return _Town(south + float(north), west + float(east), int(population), code, Name(english, russian))
