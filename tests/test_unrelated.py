"""How near is nothing: measured over the vectors of an index, by alphabet of the question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import real_models

from image_catalog import unrelated


def test_it_is_a_quantile_of_the_best_cosines() -> None:
    directions = {text: np.eye(64, dtype=np.float32)[at] for at, text in enumerate(unrelated._QUESTIONS["Latin"])}
    vectors = np.eye(64, dtype=np.float16)[:12]  # half of the questions have a picture that is the very thing
    found = unrelated.nearness(vectors * np.float16(0.5), unrelated.encoded(directions.__getitem__, str.isascii))
    assert found == {"Latin": 0.5}  # of 24 questions 12 have cosine 0.5 and 12 have 0: the 60th of a hundred is 0.5


def test_an_alphabet_that_the_model_cannot_read_has_no_figure() -> None:
    vectors = np.ones((3, 2), np.float16)
    assert unrelated.nearness(vectors, unrelated.encoded(lambda _: np.ones(2, np.float32), lambda _: False)) == {}


def test_more_vectors_than_are_looked_at_at_once_are_all_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrelated, "_AT_ONCE", 2)
    vectors = np.array([[0, 1], [0, 1], [0, 1], [0, 1], [1, 0]], np.float16)
    assert unrelated.nearness(vectors, unrelated.encoded(lambda _: np.array([1, 0], np.float32), str.isascii)) == {"Latin": 1.0}


@pytest.mark.heavy
def test_a_real_model_tells_answers_from_none() -> None:
    model = real_models.multilingual()
    vectors = model.encode_documents([*real_models.ENGLISH, *real_models.RUSSIAN]).astype(np.float16)
    found = unrelated.nearness(vectors, unrelated.encoded(model.encode_query, model.reads))
    answered = {
        "Latin": ("dog by the sea", "snowball fight", "hot drink"),
        "Cyrillic": ("собака у моря", "игра в снежки", "кофе"),
    }
    for alphabet, questions in answered.items():
        for question in questions:
            assert float((vectors @ model.encode_query(question)).max()) > found[alphabet], question
    for question, alphabet in (("value-added tax return", "Latin"), ("налоговый вычет", "Cyrillic")):
        assert float((vectors @ model.encode_query(question)).max()) < found[alphabet], question


class Encoder:
    """What questions are put to; counts them."""

    dimension = 3

    def __init__(self) -> None:
        self.asked = 0

    def encode(self, text: str) -> np.ndarray:
        self.asked += 1
        return np.array([len(text), 1, 0], np.float32)

    def reads(self, text: str) -> bool:
        return text.isascii()


def test_questions_are_encoded_once_for_each_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CATALOG_CACHE", str(tmp_path))
    encoder = Encoder()
    first = unrelated.questions("model", lambda: encoder)
    assert (list(first), encoder.asked) == (["Latin"], 24)
    again = unrelated.questions("model", lambda: encoder)
    assert encoder.asked == 24
    assert (again["Latin"] == first["Latin"]).all()
    unrelated.questions("another", lambda: encoder)
    assert encoder.asked == 48
    for file in tmp_path.rglob("questions.npz"):
        file.write_bytes(b"damaged")
    assert (unrelated.questions("model", lambda: encoder)["Latin"] == first["Latin"]).all()
    assert (unrelated.questions("model", lambda: encoder)["Latin"] == first["Latin"]).all()
    assert encoder.asked == 96  # once for the damaged file, once to make it again
