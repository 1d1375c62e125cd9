"""Positions are whole and on the right half of the earth, or they are unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from picture_files import position_of, read, save, with_exif, xmp_packet
from PIL.TiffImagePlugin import IFDRational

NORTH = {1: "N", 2: (IFDRational(48), IFDRational(533, 10), IFDRational(0, 0))}
EAST = {3: "E", 4: (IFDRational(21), IFDRational(26, 10), IFDRational(0, 0))}


def degrees(value: float) -> tuple[IFDRational, ...]:
    return (IFDRational(int(value)), IFDRational(round(value % 1 * 60 * 10_000), 10_000), IFDRational(0))


def test_seconds_of_nought_by_nought_count_as_none(tmp_path: Path) -> None:
    found = with_exif(tmp_path, gps=NORTH | EAST)
    assert position_of(found) == (pytest.approx(48 + 53.3 / 60), pytest.approx(21 + 2.6 / 60))


@pytest.mark.parametrize(
    ("references", "signs"),
    [("NE", (1, 1)), ("SE", (-1, 1)), ("NW", (1, -1)), ("SW", (-1, -1)), ("nw", (1, -1))],
)
def test_the_sign_follows_the_hemisphere(tmp_path: Path, references: str, signs: tuple[int, int]) -> None:
    found = with_exif(tmp_path, gps={1: references[0], 2: degrees(33.5), 3: references[1], 4: degrees(70.25)})
    assert position_of(found) == (pytest.approx(33.5 * signs[0]), pytest.approx(70.25 * signs[1]))


NO_POSITIONS: dict[str, dict[int, Any]] = {
    "tags without values": {1: "", 2: (), 3: "", 4: ()},
    "0, 0": {1: "N", 2: degrees(0), 3: "E", 4: degrees(0)},
    "no degrees": NORTH | {3: "E", 4: (IFDRational(0, 0),) * 3},
    "no hemisphere": {2: degrees(33.5), 4: degrees(70.25)},
    "another hemisphere": {1: "X", 2: degrees(33.5), 3: "E", 4: degrees(70.25)},
    "half of it": NORTH,
    "beyond the pole": {1: "N", 2: degrees(95), 3: "E", 4: degrees(20)},
    "round the earth": {1: "N", 2: degrees(5), 3: "E", 4: degrees(200)},
}


@pytest.mark.parametrize("case", NO_POSITIONS)
def test_no_position_where_it_cannot_be_believed(tmp_path: Path, case: str) -> None:
    found = with_exif(tmp_path, gps=NO_POSITIONS[case] | {6: IFDRational(100)})
    assert (found.latitude, found.longitude, found.altitude) == (None, None, None)


def test_altitude(tmp_path: Path) -> None:
    place = NORTH | EAST
    assert with_exif(tmp_path, gps=place | {5: b"\1", 6: IFDRational(430)}).altitude == -430
    assert with_exif(tmp_path, gps=place | {6: IFDRational(8848)}).altitude == 8848
    assert with_exif(tmp_path, gps=place | {6: IFDRational(0, 0)}).altitude is None
    assert with_exif(tmp_path, gps=place | {6: IFDRational(9_000_000)}).altitude is None


@pytest.mark.parametrize(
    ("latitude", "longitude", "position"),
    [
        ("48,53.323583N", "21,2.595W", (48.88872638, -21.04325)),
        ("33,51,30S", "151,12,36E", (-33.858333, 151.21)),
        ("-33.5", "151.25", (-33.5, 151.25)),
        ("0,0N", "0,0E", None),
        ("99,0N", "20,0E", None),
        ("somewhere", "20,0E", None),
    ],
)
def test_a_position_in_xmp(tmp_path: Path, latitude: str, longitude: str, position: tuple[float, float] | None) -> None:
    packet = xmp_packet(f'exif:GPSLatitude="{latitude}" exif:GPSLongitude="{longitude}"')
    found = read(save(tmp_path / "a.jpg", xmp=packet))
    expected = (None, None) if position is None else (pytest.approx(position[0]), pytest.approx(position[1]))
    assert position_of(found) == expected
