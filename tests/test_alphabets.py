"""Which alphabet a text is written in; whether a tokenizer knows it is told by plain functions in place of tokenizers."""

from __future__ import annotations

import pytest

from image_catalog import alphabets


@pytest.mark.parametrize(
    ("text", "alphabet", "language"),
    [
        ("A dog on the beach", "Latin", "en"),
        ("Ein Café in Zürich", "Latin", "en"),
        ("Собака на пляже, Canon EOS", "Cyrillic", "ru"),
        ("Canon EOS 5D Mark III, зима", "Latin", "en"),
        ("Київ взимку", "Cyrillic", "ru"),
        ("東京塔の写真", "other", None),
        ("Ελλάδα", "other", None),
        ("2023-06-15 № 5 😀", None, None),
        ("", None, None),
        ("\udcff", None, None),
    ],
)
def test_the_alphabet_of_most_letters(text: str, alphabet: str | None, language: str | None) -> None:
    assert alphabets.of_text(text) == alphabet
    assert alphabets.language_of(text) == language


@pytest.mark.parametrize(
    ("text", "recorded", "language"),
    [
        ("Ein Hund am Strand", "de", "de"),
        ("Собака на пляже", "uk", "uk"),
        ("A dog, though Russian was asked for", "ru", "en"),
        ("Собака, хотя просили по-английски", "en", "ru"),
        ("東京塔", "ja", "ja"),
        ("2023", "ru", "ru"),
    ],
)
def test_a_recorded_language_counts_unless_the_alphabet_contradicts(text: str, recorded: str, language: str) -> None:
    assert alphabets.language_of(text, recorded) == language


def by_letters(text: str) -> list[tuple[int, int]]:
    return [(place, place + 1) for place in range(len(text))]


def by_bytes(text: str) -> list[tuple[int, int]]:
    return [(place, place + 1) for place, letter in enumerate(text) for _ in letter.encode()]


def by_words(text: str) -> list[tuple[int, int]]:
    spans, start = [], 0
    for word in text.split(" "):
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return spans


@pytest.mark.parametrize(
    ("tokenizer", "read"),
    [
        (by_words, ("собака", "ёж", "θάλασσα", "東京塔", "dog", "")),
        (by_letters, ("東京塔", "dog", "")),
        (by_bytes, ("dog", "123")),
        (lambda text: [], ("dog", "123")),
    ],
)
def test_words_are_read_letters_and_bytes_are_not(tokenizer: alphabets.Spans, read: tuple[str, ...]) -> None:
    texts = ("собака", "ёж", "θάλασσα", "東京塔", "dog", "123", "")
    assert {text for text in texts if alphabets.is_read(text, tokenizer)} == {*read, "dog", "123", ""}
