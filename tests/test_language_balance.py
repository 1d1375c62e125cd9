"""In a catalog of two languages a query in either finds what is described in the other."""

from __future__ import annotations

import numpy as np
import pytest
import real_models

from image_catalog.language_balance import balance

WHO = {
    "en": ("a dog", "two children", "an old man", "a black cat", "a bride"),
    "ru": ("собака", "двое детей", "старик", "чёрная кошка", "невеста"),
}
WHERE = {
    "en": (
        "on the beach",
        "in the snow",
        "in a kitchen",
        "on a boat",
        "in a forest",
        "on a city street",
        "at a table",
        "by a car",
    ),
    "ru": ("на пляже", "на снегу", "на кухне", "в лодке", "в лесу", "на улице города", "за столом", "у машины"),
}
SCENES = {language: [f"{who} {where}" for who in WHO[language] for where in WHERE[language]] for language in ("en", "ru")}


@pytest.mark.heavy
def test_queries_find_what_is_described_in_the_other_language() -> None:
    """40 scenes, half of them stored in Russian; each is asked for in the language that it is not stored in."""
    model = real_models.multilingual()
    places = len(WHERE["en"])
    stored = ["ru" if (number // places + number) % 2 else "en" for number in range(len(SCENES["en"]))]
    asked = ["en" if language == "ru" else "ru" for language in stored]
    vectors = model.encode_documents([SCENES[language][number] for number, language in enumerate(stored)])
    across = np.stack([model.encode_query(SCENES[language][number]) for number, language in enumerate(asked)])
    within = np.stack([model.encode_query(SCENES[language][number]) for number, language in enumerate(stored)])

    def found_first(queries: np.ndarray, documents: np.ndarray) -> float:
        return float(((queries @ documents.T).argmax(axis=1) == np.arange(len(documents))).mean())

    balanced = balance(vectors, stored)
    assert found_first(across, balanced) >= found_first(across, vectors) + 0.1
    assert found_first(within, balanced) >= found_first(within, vectors) - 0.05


def test_means_and_spreads_become_one_and_the_rest_stays() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((100, 8)) + np.repeat([[3.0] * 8, [-1.0] * 8], 50, axis=0)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    languages = ["en"] * 50 + ["ru"] * 40 + ["de"] * 9 + [None]
    balanced = balance(vectors, languages)
    assert balanced.dtype == np.float16
    assert np.allclose(balanced[:50].mean(0), balanced[50:90].mean(0), atol=1e-3)
    first, second = (group.astype(np.float32) for group in (balanced[:50], balanced[50:90]))
    spreads = [float(np.square(group - group.mean(0)).sum(1).mean()) for group in (first, second)]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.01)
    assert (balanced[90:] == vectors[90:]).all()  # too few to know the mean of their language
    inside = vectors[:50].astype(np.float32) - vectors[0]
    ratio = np.linalg.norm(first - first[0], axis=1)[1:] / np.linalg.norm(inside, axis=1)[1:]
    assert ratio == pytest.approx(np.full(49, ratio[0]), rel=0.02)


def test_equal_texts_in_two_languages_stay_finite() -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float16), 30, axis=0)
    balanced = balance(vectors, ["en"] * 30 + ["ru"] * 30)
    assert np.isfinite(balanced).all() and np.allclose(balanced[0], balanced[30], atol=1e-2)


def test_one_language_stays_as_it_is() -> None:
    vectors = np.eye(60, dtype=np.float16)
    for languages in (["ru"] * 60, [None] * 60, ["ru"] * 45 + ["en"] * 15):
        assert balance(vectors, languages) is vectors
    assert len(balance(vectors[:0], [])) == 0
