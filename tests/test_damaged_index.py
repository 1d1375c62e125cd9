"""A damaged image_index.faiss under search_images.py: words still answer, one line says why, and no id of it is believed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import search_catalogs

import search_images
from image_catalog import command_line, vector_index

TEXTS = {"beach.jpg": "A brown dog runs along the shore.", "cake.jpg": "A cake with candles.", "car.jpg": "An old red car."}
Mutation = Callable[[bytes, random.Random], bytes]


def truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def flipped_anywhere(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def flipped_at_the_end(content: bytes, rng: random.Random) -> bytes:
    start = len(content) - 400  # where the trailer lies that guards the rest
    return content[:start] + flipped_anywhere(content[start:], rng)


@pytest.mark.parametrize(("mutation", "times"), [(truncated, 200), (flipped_anywhere, 200), (flipped_at_the_end, 200)])
def test_words_answer_whatever_is_broken(
    mutation: Mutation, times: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search_catalogs.make(tmp_path / "images.db", TEXTS)
    index = tmp_path / "image_index.faiss"
    vectors = np.eye(3, 384, dtype=np.float32)
    vector_index.build(str(index), np.arange(1, 4), vectors, model="some/model", model_digest="d", generation=1)
    good = index.read_bytes()
    rng = random.Random(12)
    for _ in range(times):
        index.write_bytes(mutation(good, rng))
        code = command_line.run_script(search_images.main, ["--db", str(tmp_path / "images.db"), "--paths", "-q", "dog"])
        printed = capsys.readouterr()
        assert (code, printed.out) == (0, "/photos/beach.jpg\n")
        assert len(printed.err.splitlines()) == 1 and "searched by words only" in printed.err, printed.err
