"""Plots as SVG: every count is there, its bar has the right height, hostile labels are inert."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from image_catalog.gallery.charts import bars_chart, months_chart, status_charts
from image_catalog.gallery.messages import messages

SVG = "{http://www.w3.org/2000/svg}"


def bars(svg: str) -> dict[str, tuple[float, float]]:
    """What each bar says -> its width and height."""
    figure = ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))
    found = {}
    for group in figure.iter(f"{SVG}g"):
        rectangle, title = group.find(f"{SVG}rect"), group.find(f"{SVG}title")
        assert rectangle is not None and title is not None
        assert group.get("aria-label") == title.text
        found[str(title.text)] = (float(rectangle.get("width", "")), float(rectangle.get("height", "")))
    return found


def test_months_have_bars_in_proportion() -> None:
    found = bars(months_chart([("2023-01", 100), ("2023-03", 25)], "Pictures by month"))
    assert found.keys() == {"2023-01: 100", "2023-03: 25"}
    assert found["2023-01: 100"][1] == pytest.approx(4 * found["2023-03: 25"][1], rel=0.01)


def test_a_month_without_pictures_keeps_its_place() -> None:
    near = bars(months_chart([("2023-01", 1), ("2023-02", 1)]))
    far = bars(months_chart([("2023-01", 1), ("2023-12", 1)]))
    assert near["2023-01: 1"][0] > 4 * far["2023-01: 1"][0]


def test_many_months_are_shown_by_year() -> None:
    months = [(f"{year}-{month:02}", 2) for year in range(1990, 2024) for month in (1, 7)]
    found = bars(months_chart(months))
    assert len(found) == 34
    assert set(found) == {f"{year}: 4" for year in range(1990, 2024)}


def test_a_wrong_clock_and_no_date_do_not_break_the_plot() -> None:
    assert set(bars(months_chart([("0000-00", 5), ("", 1), ("2023-13", 1), ("nonsense", 2), ("2023-05", 7)]))) == {"2023-05: 7"}
    assert len(bars(months_chart([("0001-01", 1), ("9999-12", 1)]))) == 2
    assert months_chart([]) == ""
    assert months_chart([("", 3)]) == ""


def test_cameras_are_sorted_and_cut() -> None:
    found = bars(bars_chart([(f"Camera {number}", number) for number in range(1, 40)]))
    assert list(found)[:2] == ["Camera 39: 39", "Camera 38: 38"]
    assert len(found) == 12
    assert found["Camera 39: 39"][0] > found["Camera 28: 28"][0]


def test_hostile_labels_are_escaped() -> None:
    svg = bars_chart([('<script>alert(1)</script>"><b onload=x>', 3)], "<i>title</i>")
    assert "<script" not in svg and "<b" not in svg and "<i>" not in svg
    assert next(iter(bars(svg))).startswith("<script>")


def test_the_status_page_has_both_plots_in_its_language() -> None:
    status = {"months": [["2023-01", 3]], "cameras": [["Canon", 3]]}
    charts = status_charts(status, messages("ru"))
    assert list(charts) == ["months", "cameras"]
    assert "Снимки по камерам" in charts["cameras"]
    assert status_charts({"months": [], "cameras": []}, messages("en")) == {}


def test_plots_have_no_style_of_their_own() -> None:
    """The page's content security policy forbids it, and light and dark are the stylesheet's."""
    svg = months_chart([("2023-01", 3)]) + bars_chart([("Canon", 3)])
    assert "style=" not in svg and "fill=" not in svg
