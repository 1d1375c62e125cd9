"""Where the words of a query stand in a text, in whatever form: what to light, what to show of a long text, and why it matched.

Knows words and queries; knows nothing of terminals or pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from image_catalog import words
from image_catalog.query import Query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DESCRIBED = ("description", "tags", "visible_text", "caption", "keywords")
_FACTS = ("facts",)
_MOST_SHOWN = 6
_PLAIN_LETTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
)


class Matcher:
    """The words of one query, ready to be looked for in texts."""

    def __init__(self, query: Query) -> None:
        self._phrases = {phrase for term in query.wanted if not term.is_beginning for phrase in term.phrases}
        self._beginnings = {phrase for term in query.wanted if term.is_beginning for phrase in term.phrases}
        letters = {words.fold(phrase[0])[:1] for phrase in self._phrases | self._beginnings}
        # A stem begins as its words do; letters that fold() would change are not judged by their looks.
        self._other_letters = _PLAIN_LETTERS - letters - {letter.upper() for letter in letters}
        self._longest = max(map(len, self._phrases | self._beginnings), default=0)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """(start, end) of every word of `text` that belongs to a match, in order, each once."""
        found = list(words.spans(text))
        lit: set[int] = set()
        for at, (start, _) in enumerate(found):
            if text[start] not in self._other_letters:
                lit.update(range(at, at + self._matching(text, found[at : at + self._longest])))
        return (found[at] for at in sorted(lit))

    def _matching(self, text: str, found: list[tuple[int, int]]) -> int:
        """How many of the words `found` in `text` match as they stand there, one after the other."""
        typed = [text[start:end] for start, end in found]
        longest = 0
        for phrase in self._phrases:
            if tuple(map(words.stem_of, typed[: len(phrase)])) == phrase:
                longest = max(longest, len(phrase))
        for *before, beginning in self._beginnings:
            last = typed[len(before) : len(before) + 1]
            if last and words.fold(last[0]).startswith(words.fold(beginning)) and _same_stems(typed, before):
                longest = max(longest, len(before) + 1)
        return longest

    def reasons(self, row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """The matching words of a row of images as they stand there: (in what describes it, in its facts alone)."""
        described = self._words(row, _DESCRIBED)
        facts = {stem: word for stem, word in self._words(row, _FACTS).items() if stem not in described}
        return list(described.values())[:_MOST_SHOWN], list(facts.values())[:_MOST_SHOWN]

    def _words(self, row: Mapping[str, Any], columns: Iterable[str]) -> dict[str, str]:
        """The first form of each matching word, by stem."""
        found: dict[str, str] = {}
        for text in (row[name] for name in columns if row[name]):
            for start, end in self.spans(text):
                found.setdefault(words.stem_of(text[start:end]), text[start:end])
        return found

    def shortened(self, text: str, length: int) -> str:
        """The part of a text around its first match, on one line, cut at words, about `length` characters."""
        text = " ".join(text.split())
        if len(text) <= length:
            return text
        first = next(self.spans(text), (0, 0))[0]
        start = max(0, min(first - length // 3, len(text) - length))
        start = text.rfind(" ", 0, start) + 1
        end = start + length
        end = len(text) if end >= len(text) else max(text.rfind(" ", start, end), start + length // 2)
        return ("… " if start else "") + text[start:end] + (" …" if end < len(text) else "")


def _same_stems(typed: list[str], before: list[str]) -> bool:
    return [words.stem_of(word) for word in typed[: len(before)]] == [words.stem_of(word) for word in before]
