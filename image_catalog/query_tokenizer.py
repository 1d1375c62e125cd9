"""A tokenizer that is ready in milliseconds, for the one short text of a query.

Knows the tokenizer.json of Hugging Face's tokenizers; knows nothing of models. A multilingual vocabulary of 250,000 pieces takes
half a second to load, and a query needs a hundred of them: a unigram tokenizer looks only at pieces that occur in the text. So
`save` puts the pieces into a sorted array that is memory-mapped, and QueryTokenizer picks those that the query contains.
Other kinds of tokenizers (WordPiece, BPE) are kept whole; most load in 20 ms.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_intdigest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_SETTINGS = "tokenizer.json"
_PIECES = "pieces.npy"
_CHARS_PER_TOKEN = 16  # the longest piece of the multilingual vocabularies: the model would cut what is beyond


def save(tokenizer_json: str, max_tokens: int, folder: str) -> None:
    """Write what QueryTokenizer needs into `folder`; `tokenizer_json` is the model's own, `max_tokens` its limit."""
    settings: dict[str, Any] = json.loads(tokenizer_json)
    # Padding and truncation in it are those of the training; a query follows the limit of the embedding model.
    settings |= {"padding": None, "truncation": None}
    before, after = _markers(json.dumps(settings))
    ours = {"max_tokens": max_tokens, "before": before, "after": after, "kept_ids": []}
    model = settings["model"]
    if model.get("type") == "Unigram" and model.get("unk_id") is not None and not model.get("byte_fallback"):
        _save_pieces(model["vocab"], os.path.join(folder, _PIECES))
        ours["kept_ids"] = _reduce(settings)
    with open(os.path.join(folder, _SETTINGS), "w", encoding="utf-8") as file:
        json.dump(ours | {"tokenizer": settings}, file, ensure_ascii=False)


def known_spans(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """Where in `text` the tokens of `tokenizer` lie that are not its unknown one."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    name = getattr(tokenizer.model, "unk_token", None)  # None: a unigram model, whose unknown piece comes first, or bytes
    unknown = tokenizer.token_to_id(name) if name else getattr(tokenizer.model, "unk_id", None)
    return [span for number, span in zip(encoding.ids, encoding.offsets, strict=True) if number != unknown]


def _markers(tokenizer_json: str) -> tuple[list[int], list[int]]:
    """The ids that the model wants before and after a text ([CLS], </s>, …), read off an example."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json)
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    full = tokenizer.encode("a").ids
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return full[:start], full[start + len(bare) :]


def _reduce(settings: dict[str, Any]) -> list[int]:
    """Leave in a unigram tokenizer only the pieces that any text needs; returns their ids in the model.

    These are the special ones, the unknown one, and the least likely one, whose score decides what an unknown character costs
    (tokenizers' Unigram: 10 below it).
    """
    model = settings["model"]
    pieces = model["vocab"]
    rarest = min(range(len(pieces)), key=lambda i: float(pieces[i][1]))
    needed = [model["unk_id"], *(token["id"] for token in settings["added_tokens"]), rarest]
    kept = [number for number in dict.fromkeys(needed) if number < len(pieces)]
    settings["model"] = model | {"vocab": [pieces[number] for number in kept], "unk_id": 0}
    settings["added_tokens"] = [
        token | {"id": kept.index(token["id"])} for token in settings["added_tokens"] if token["id"] in kept
    ]
    settings["post_processor"] = None
    return kept


def _save_pieces(pieces: list[list[Any]], path: str) -> None:
    import numpy as np

    table = np.empty(len(pieces), [("hash", "<u8"), ("id", "<i4"), ("score", "<f8")])
    table["hash"] = [xxh3_64_intdigest(piece.encode()) for piece, _ in pieces]
    table["id"] = np.arange(len(pieces))
    table["score"] = [score for _, score in pieces]
    np.save(path, table[np.argsort(table["hash"], kind="stable")])


class QueryTokenizer:
    """Text -> the ids that the model's own tokenizer gives, markers included, cut to the model's limit."""

    def __init__(self, folder: str) -> None:
        import numpy as np
        from tokenizers import Tokenizer

        with open(os.path.join(folder, _SETTINGS), encoding="utf-8") as file:
            ours = json.load(file)
        self._before: list[int] = ours["before"]
        self._after: list[int] = ours["after"]
        self._room: int = ours["max_tokens"] - len(self._before) - len(self._after)
        self._tokenizer: Tokenizer = Tokenizer.from_str(json.dumps(ours["tokenizer"]))
        self._kept_ids: list[int] = ours["kept_ids"]
        if self._kept_ids:
            self._kept = [(piece, float(score)) for piece, score in ours["tokenizer"]["model"]["vocab"]]
            self._pieces: NDArray[Any] = np.load(os.path.join(folder, _PIECES), mmap_mode="r")

    def ids(self, text: str) -> list[int]:
        """The token ids of `text`."""
        text = text[: self._room * _CHARS_PER_TOKEN]
        ids = self._unigram_ids(text) if self._kept_ids else self._bare_ids(text)
        return self._before + ids[: self._room] + self._after

    def known_spans(self, text: str) -> list[tuple[int, int]]:
        """Where in `text` the tokens lie that are not the unknown one: (first, after the last) character of each."""
        if self._kept_ids:
            self._learn(text)
        return known_spans(self._tokenizer, text)

    def _bare_ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _unigram_ids(self, text: str) -> list[int]:
        ids = self._learn(text)
        return [ids[number] for number in self._bare_ids(text)]

    def _learn(self, text: str) -> list[int]:
        """Give the tokenizer a vocabulary of the pieces that occur in `text`: it finds the best split with these alone.

        Returns the ids that they have in the model.
        """
        from tokenizers import models

        ids, vocabulary = list(self._kept_ids), list(self._kept)
        for piece, number, score in self._pieces_in(text):
            if number not in self._kept_ids:
                ids.append(number)
                vocabulary.append((piece, score))
        self._tokenizer.model = models.Unigram(vocabulary, unk_id=0, byte_fallback=False)
        return ids

    def _pieces_in(self, text: str) -> list[tuple[str, int, float]]:
        """(piece, id, score) of every piece of the model that is a substring of a word of `text`."""
        import numpy as np

        candidates = list({part for word in self._words(text) for part in _substrings(word)})
        hashes = np.array([xxh3_64_intdigest(part.encode()) for part in candidates], np.uint64)
        rows = np.searchsorted(self._pieces["hash"], hashes).clip(max=len(self._pieces) - 1)
        found = self._pieces[rows]
        return [(candidates[i], int(found["id"][i]), float(found["score"][i])) for i in np.flatnonzero(found["hash"] == hashes)]

    def _words(self, text: str) -> set[str]:
        """What the unigram model is asked to split: normalised, with the mark that stands for a space."""
        normalizer, splitter = self._tokenizer.normalizer, self._tokenizer.pre_tokenizer
        normal = normalizer.normalize_str(text) if normalizer else text
        return {word for word, _ in splitter.pre_tokenize_str(normal)} if splitter else {normal}


def _substrings(word: str) -> set[str]:
    ends = range(1, _CHARS_PER_TOKEN + 1)
    return {word[start : start + length] for start in range(len(word)) for length in ends}
