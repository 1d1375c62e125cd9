"""Word forms meet: what is stored and what is asked give the same stems, in Russian and English."""

from __future__ import annotations

import sqlite3

import pytest

from image_catalog.words import stem_of, stems, words_in


@pytest.mark.parametrize(
    "forms",
    [
        ("собака", "собаки", "собакой", "Собаке", "СОБАКУ", "собаками"),
        ("ёлка", "елка", "ЁЛКИ", "ёлкой"),
        ("гора", "горы", "горами", "ГОР"),
        ("закат", "закате", "заката", "закаты"),
        ("run", "runs", "running", "Running"),
        ("mountain", "mountains", "MOUNTAINS"),
        ("cafe\u0301", "café", "CAFÉ"),
        ("й", "и\u0306"),
    ],
)
def test_forms_of_a_word_share_a_stem(forms: tuple[str, ...]) -> None:
    assert len({stem_of(form) for form in forms}) == 1


@pytest.mark.parametrize(("one", "other"), [("кот", "код"), ("sea", "see"), ("IMG_1234", "IMG_1235"), ("5d", "6d")])
def test_other_words_do_not(one: str, other: str) -> None:
    assert stems(one) != stems(other)


def test_numbers_and_names_stay_whole() -> None:
    assert stems("D90 IMG_1234 KX 4821 5d") == "d90 img 1234 kx 4821 5d"


def test_positions_are_those_of_the_text() -> None:
    text = "Две собаки, бегут!"
    assert [text[word.start : word.end] for word in words_in(text)] == ["Две", "собаки", "бегут"]


@pytest.mark.parametrize(
    "text", ["собаки бегут", "EOS-5D, f/2.8", "C++ и C#", "don't", "naïve Ünïcödé", "猫 が いる", "été ÉTÉ", "١٢٣ ५", "a_b", "x²"]
)
def test_every_stem_is_found_by_fts5_as_it_is_stored(text: str) -> None:
    """The two tokenisers must agree, or a word that is there is not found."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE t USING fts5 (stems, tokenize = 'unicode61 remove_diacritics 2')")
    db.execute("INSERT INTO t VALUES (?)", (stems(text),))
    for stem in stems(text).split():
        assert db.execute("SELECT count(*) FROM t WHERE t MATCH ?", (f'stems : "{stem}"',)).fetchone() == (1,), stem
    db.close()


def test_a_very_long_word_costs_nothing() -> None:
    assert len(stems("а" * 1_000_000)) <= 64
