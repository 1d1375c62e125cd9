"""How near is nothing: measured over the vectors of an index, by alphabet of the question."""

from __future__ import annotations

import numpy as np
import pytest
import real_models

from image_catalog import unrelated


def test_it_is_a_quantile_of_the_best_cosines() -> None:
    directions = {text: np.eye(64, dtype=np.float32)[at] for at, text in enumerate(unrelated._QUESTIONS["Latin"])}
    vectors = np.eye(64, dtype=np.float16)[:12]  # half of the questions have a picture that is the very thing
    found = unrelated.nearness(vectors * np.float16(0.5), directions.__getitem__, lambda text: text.isascii())
    assert found == {"Latin": 0.5}  # of 24 questions 12 have cosine 0.5 and 12 have 0: the 60th of a hundred is 0.5


def test_an_alphabet_that_the_model_cannot_read_has_no_figure() -> None:
    vectors = np.ones((3, 2), np.float16)
    assert unrelated.nearness(vectors, lambda _: np.ones(2, np.float32), lambda _: False) == {}


def test_more_vectors_than_are_looked_at_at_once_are_all_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrelated, "_AT_ONCE", 2)
    vectors = np.array([[0, 1], [0, 1], [0, 1], [0, 1], [1, 0]], np.float16)
    assert unrelated.nearness(vectors, lambda _: np.array([1, 0], np.float32), str.isascii) == {"Latin": 1.0}


@pytest.mark.heavy
def test_a_real_model_tells_answers_from_none() -> None:
    model = real_models.multilingual()
    vectors = model.encode_documents([*real_models.ENGLISH, *real_models.RUSSIAN]).astype(np.float16)
    found = unrelated.nearness(vectors, model.encode_query, model.reads)
    answered = {
        "Latin": ("dog by the sea", "snowball fight", "hot drink"),
        "Cyrillic": ("собака у моря", "игра в снежки", "кофе"),
    }
    for alphabet, questions in answered.items():
        for question in questions:
            assert float((vectors @ model.encode_query(question)).max()) > found[alphabet], question
    for question, alphabet in (("value-added tax return", "Latin"), ("налоговый вычет", "Cyrillic")):
        assert float((vectors @ model.encode_query(question)).max()) < found[alphabet], question
