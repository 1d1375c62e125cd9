"""The description inside an answer that is still coming, whatever the pieces it comes in."""

from __future__ import annotations

import json
import random

import pytest

from image_catalog.live_text import LiveDescription

TEXTS = [
    "A brown dog runs over wet sand.",
    'A sign reads "OPEN \\ 24h"\nbelow a lamp.',
    "Собака 🐕 бежит по песку — «быстро».",
    "",
    "ends with a backslash \\",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_json_in_any_pieces(text: str, ascii_only: bool, seed: int) -> None:
    answer = json.dumps(
        {"description": text, "tags": ["x"], "visible_text": "y"}, ensure_ascii=ascii_only, indent=seed % 2 or None
    )
    chooser = random.Random(seed)
    live, shown = LiveDescription(), []
    while answer:
        size = chooser.randint(1, 4)
        shown.append(live.add(answer[:size]))
        answer = answer[size:]
        assert text.startswith("".join(shown))
    assert "".join(shown) == text


def test_prose_is_shown_as_it_comes() -> None:
    live = LiveDescription()
    assert [live.add(piece) for piece in ("\n A", " dog", " runs")] == ["A", " dog", " runs"]


def test_a_fenced_answer_shows_the_description_only() -> None:
    live = LiveDescription()
    pieces = ["```json\n{", '"description"', ': "A do', 'g", "tags": []}', "\n```"]
    assert "".join(live.add(piece) for piece in pieces) == "A dog"


def test_a_restart_forgets() -> None:
    live = LiveDescription()
    live.add('{"description": "A cat')
    live.restart()
    assert live.add('{"description": "A dog"') == "A dog"
