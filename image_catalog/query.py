"""What a person typed -> what to look for. Any string is a query; none is an error.

    собака пляж        pictures with these words, in any form; more of them is better
    "red car"          these words one after the other
    -cat               not this word
    sun*               words that begin so
    red OR blue        the same as both words: more of them is better

Knows the language of queries; knows nothing of SQL, files or ranking.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from image_catalog import words

_PART = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)"|(?P<text>[^\s"]+))')
# More words than this do not make a search better, and a pasted book must not stall it.
_MOST_TERMS = 64


class Term(NamedTuple):
    """One thing to look for: the stems that must stand one after the other, the last one perhaps only a beginning."""

    stems: tuple[str, ...]
    is_prefix: bool = False
    is_phrase: bool = False  # typed in quotes: it must be there


class Query(NamedTuple):
    """`wanted` terms make a picture match, `unwanted` ones exclude it; `text` is what the embedding model is asked."""

    text: str
    wanted: tuple[Term, ...]
    unwanted: tuple[Term, ...]

    @property
    def required(self) -> tuple[Term, ...]:
        """The phrases in quotes."""
        return tuple(term for term in self.wanted if term.is_phrase)

    @property
    def stems(self) -> frozenset[str]:
        """All stems that are looked for, to be lit in what is shown."""
        return frozenset(stem for term in self.wanted for stem in term.stems)


def parse(text: str) -> Query:
    """The query in a string."""
    clean = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", text)
    wanted: dict[Term, None] = {}
    unwanted: dict[Term, None] = {}
    spoken = []
    for part in _PART.finditer(clean):
        if len(wanted) + len(unwanted) >= _MOST_TERMS:
            break
        typed = part["phrase"] if part["phrase"] is not None else part["text"]
        if typed == "OR":
            continue
        term = _term(typed, part["phrase"] is not None)
        if part["minus"] and term is not None:
            unwanted[term] = None
            continue
        spoken.append(typed.rstrip("*"))
        if term is not None:
            wanted[term] = None
    return Query(" ".join(spoken).strip(), tuple(wanted), tuple(unwanted))


def _term(typed: str, is_phrase: bool) -> Term | None:
    """`EOS-5D` gives the two stems eos, 5d in this order; a string without letters and digits gives nothing."""
    found = list(words.words_in(typed))
    if not found:
        return None
    is_prefix = typed.endswith("*") and not is_phrase
    stems = tuple(word.stem for word in found)
    if is_prefix:  # the beginning as typed: its stem may be shorter, and would find too much
        last = found[-1]
        stems = (*stems[:-1], typed[last.start : last.end].casefold().replace("ё", "е"))
    return Term(stems, is_prefix, is_phrase)
