"""Counts -> plots as SVG: pictures by month, pictures by camera.

Knows numbers and labels, which are escaped here; colours and sizes of letters are the stylesheet's (.chart ...), so that a plot
follows light and dark. Each bar says its label and count, and each plot is a list for who cannot see it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Any

from image_catalog.gallery.messages import Messages

_WIDTH, _HEIGHT = 720, 230
_LEFT, _TOP, _BOTTOM = 44, 10, 24  # room for numbers and for years
_MOST_MONTHS = 180  # more are shown by year
_MOST_ROWS = 12
_ROW, _LABEL = 30, 230  # height of a row of bars_chart, room for its label

Counts = Sequence[tuple[str, int]]


def status_charts(status: dict[str, Any], t: Messages) -> dict[str, str]:
    """The plots of the status page, as SVG by name; a plot of nothing is left out."""
    months = [(str(month), int(count)) for month, count in status.get("months") or []]
    cameras = [(str(camera), int(count)) for camera, count in status.get("cameras") or []]
    charts = {
        "months": months_chart(months, t("status.by_year" if len(_months_between(months)) > _MOST_MONTHS else "status.by_month")),
        "cameras": bars_chart(cameras, t("status.by_camera")),
    }
    return {name: svg for name, svg in charts.items() if svg}


def months_chart(months: Counts, title: str = "") -> str:
    """Upright bars for (YYYY-MM, count); a month without pictures is left empty. By year when there are many months."""
    bars = _months_between(months)
    if not bars:
        return ""
    if len(bars) > _MOST_MONTHS:
        bars = _by_year(bars)
    top = _round_up(max(count for _, count in bars))
    step = (_WIDTH - _LEFT) / len(bars)
    parts = [*_scale(top)]
    for number, (label, count) in enumerate(bars):
        x, height = _LEFT + number * step, _plot_height() * count / top
        if count:
            parts.append(_bar(label, count, (x + step * 0.1, _base() - height, step * 0.8, height)))
    parts += _years([label[:4] for label, _ in bars], step)
    return _svg(title, _HEIGHT, parts)


def bars_chart(rows: Counts, title: str = "") -> str:
    """Lying bars for (label, count), the longest first; what is beyond a dozen is left out."""
    shown = sorted(rows, key=lambda row: -row[1])[:_MOST_ROWS]
    if not shown:
        return ""
    most = max(1, shown[0][1])
    parts = []
    for number, (label, count) in enumerate(shown):
        y, width = number * _ROW, (_WIDTH - _LABEL - 80) * count / most
        parts.append(f'<text class="name" x="{_LABEL - 12}" y="{y + 20}" text-anchor="end">{_shortened(label)}</text>')
        parts.append(_bar(label, count, (_LABEL, y + 5, max(width, 2), _ROW - 10)))
        parts.append(f'<text class="number" x="{_LABEL + max(width, 2) + 8:.1f}" y="{y + 20}">{count:,}</text>')
    return _svg(title, len(shown) * _ROW, parts)


def _svg(title: str, height: int, parts: list[str]) -> str:
    name = html.escape(title)
    return (
        f'<figure class="chart"><figcaption>{name}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="list" aria-label="{name}">{"".join(parts)}</svg></figure>'
    )


def _bar(label: str, count: int, box: tuple[float, float, float, float]) -> str:
    said = html.escape(f"{label}: {count:,}")
    x, y, width, height = (f"{value:.1f}" for value in box)
    return (
        f'<g role="listitem" aria-label="{said}"><title>{said}</title>'
        f'<rect class="bar" x="{x}" y="{y}" width="{width}" height="{height}" rx="2"/></g>'
    )


def _base() -> int:
    return _HEIGHT - _BOTTOM


def _plot_height() -> int:
    return _base() - _TOP


def _scale(top: int) -> Iterator[str]:
    """Lines across at 0, a half and all of `top`, with their numbers."""
    for share in (0.0, 0.5, 1.0):
        value = top * share
        if value != int(value):
            continue
        y = _base() - _plot_height() * share
        yield f'<path class="line" d="M{_LEFT} {y:.1f}H{_WIDTH}"/>'
        yield f'<text aria-hidden="true" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{int(value):,}</text>'


def _years(years: list[str], step: float) -> Iterator[str]:
    """The year under its first bar, where there is room."""
    last = -_WIDTH
    for number, year in enumerate(years):
        x = _LEFT + number * step
        if (number == 0 or year != years[number - 1]) and x - last >= 44 and x < _WIDTH - 20:
            last = int(x)
            yield f'<text aria-hidden="true" class="year" x="{x:.1f}" y="{_HEIGHT - 6}">{html.escape(year)}</text>'


def _months_between(months: Counts) -> list[tuple[str, int]]:
    """All months from the first to the last, in order. What does not read YYYY-MM is left out."""
    counts: dict[int, int] = {}
    for month, count in months:
        year, _, number = month.partition("-")
        if len(year) == 4 and year.isdecimal() and number.isdecimal() and 1 <= int(number) <= 12:
            counts[int(year) * 12 + int(number) - 1] = count
    if not counts:
        return []
    return [(f"{month // 12:04}-{month % 12 + 1:02}", counts.get(month, 0)) for month in range(min(counts), max(counts) + 1)]


def _by_year(months: Counts) -> list[tuple[str, int]]:
    years: dict[str, int] = {}
    for month, count in months:
        years[month[:4]] = years.get(month[:4], 0) + count
    return list(years.items())


def _round_up(number: int) -> int:
    """The next of 1, 2, 4, 10, 20, 40, 100, …: half of it is a whole number, too."""
    size = 1
    while size * 10 < number:
        size *= 10
    return next(size * times for times in (1, 2, 4, 6, 8, 10) if size * times >= number)


def _shortened(label: str) -> str:
    return html.escape(label if len(label) <= 30 else label[:29] + "…")
