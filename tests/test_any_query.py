"""No query breaks the search: ten thousand that were made of all that is syntax somewhere, and of all that is odd in Unicode."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import search_catalogs
from any_queries import made_query

import search_images
from image_catalog import command_line
from image_catalog.errors import DONE, NOTHING_FOUND, WRONG_USAGE

_MANY = 10_000


@pytest.mark.parametrize(
    ("count", "options"), [(_MANY, []), (_MANY // 10, ["--sort", "date", "--not", "a AND"]), (_MANY // 10, ["--fts-syntax"])]
)
def test_no_query_is_an_error(count: int, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a user would run it, in this process: exit codes 0, 1 and 2 only, and nothing that a terminal would obey."""
    db = search_catalogs.make(tmp_path / "images.db")
    chance = random.Random(count + len(options))
    ends: Counter[int] = Counter()
    for number in range(count):
        query = made_query(chance)
        code = command_line.run_script(search_images.main, ["--db", db, "--mode", "text", *options, "--", query])
        shown = capsys.readouterr()
        where = f"query {number}: {query[:200]!r}: {shown.err[-300:]}"
        assert code in (DONE, NOTHING_FOUND, WRONG_USAGE), where
        assert code != WRONG_USAGE or len(shown.err.splitlines()) == 1, where
        assert code != WRONG_USAGE or not query.strip() or "--fts-syntax" in options, where
        assert not any(ord(char) < 32 and char != "\n" for char in shown.out + shown.err), where
        ends[code] += 1
    assert ends[DONE] > count // 100  # they were real questions, too
