"""Word forms meet: what is stored and what is asked give the same stems, in Russian and English."""

from __future__ import annotations

import sqlite3
import sys

import pytest

from image_catalog.words import spans, stem_of, stems


@pytest.mark.parametrize(
    "forms",
    [
        ("собака", "собаки", "собакой", "Собаке", "СОБАКУ", "собаками"),
        ("ёлка", "елка", "ЁЛКИ", "ёлкой", "е\u0308лка"),
        ("гора", "горы", "горами", "ГОР"),
        ("закат", "закате", "заката", "закаты"),
        ("замок", "за\u0301мок", "зам\u00adок"),  # a stress mark, a soft hyphen
        ("run", "runs", "running", "Running"),
        ("mountain", "mountains", "MOUNTAINS"),
        ("cafe\u0301", "café", "CAFÉS", "cafe"),
        ("straße", "STRASSE"),
        ("й", "и\u0306", "Й"),
    ],
)
def test_forms_of_a_word_share_a_stem(forms: tuple[str, ...]) -> None:
    assert len({stems(form) for form in forms}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("кот", "код"), ("sea", "see"), ("IMG_1234", "IMG_1235"), ("5d", "6d"), ("C++", "C"), ("C#", "C++"), ("йод", "иод")],
)
def test_other_words_do_not(one: str, other: str) -> None:
    assert stems(one) != stems(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D90 IMG_1234 KX 4821 5d", "d90 img 1234 kx 4821 5d"),
        ("C++ C# C++11 ABC++", "cplusplus csharp cplusplus 11 abc"),
        ("f/2.8, 1/250", "f 2 8 1 250"),
        ("한국어 がぎ 猫", "한국어 がぎ 猫"),
        ("… — !?", ""),
    ],
)
def test_numbers_and_names_stay_whole(text: str, expected: str) -> None:
    assert stems(text) == expected


def test_spans_are_places_in_the_text_as_it_is() -> None:
    text = "Две за\u0301мка, C++!"
    assert [text[start:end] for start, end in spans(text)] == ["Две", "за\u0301мка", "C++"]


@pytest.fixture
def fts() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE t USING fts5 (stems, tokenize = 'unicode61 remove_diacritics 2')")
    return db


def test_every_letter_and_digit_is_found_by_fts5_as_it_is_stored(fts: sqlite3.Connection) -> None:
    """The two tokenisers must agree, or a word that is there is not found; but for letters younger than SQLite's tables."""
    chars = [char for char in map(chr, range(sys.maxunicode + 1)) if char.isalnum()]
    stored = [(number, stem) for number, char in enumerate(chars) for stem in stems(f"{char}x").split()]
    fts.executemany("INSERT INTO t (rowid, stems) VALUES (?, ?)", stored)
    query = "SELECT count(*) FROM t WHERE t MATCH ? AND rowid = ?"
    missed = [stem for number, stem in stored[::7] if fts.execute(query, (f'"{stem}"', number)).fetchone() == (0,)]
    assert len(missed) < 50, missed
    fts.close()


@pytest.mark.parametrize("text", ["EOS-5D, f/2.8", "naïve Ünïcödé", "x² ½ ①", "été ÉTÉ", "١٢٣ ५", "a_b", "İstanbul ǅ ŉ ﬁ"])
def test_words_in_a_row_are_a_phrase_for_fts5(fts: sqlite3.Connection, text: str) -> None:
    fts.execute("INSERT INTO t VALUES (?)", (stems(f"before {text} after"),))
    assert fts.execute("SELECT count(*) FROM t WHERE t MATCH ?", (f'"{stems(text)}"',)).fetchone() == (1,)
    fts.close()


def test_a_very_long_word_costs_nothing() -> None:
    assert len(stems("а" * 1_000_000)) <= 64
    assert len(stem_of("a\u0301" * 100_000)) <= 64
