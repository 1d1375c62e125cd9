"""Vectors of texts in several languages -> vectors among which a query finds all of them.

Knows numpy; knows nothing of models or files. Multilingual models put all texts of one language into a corner of their own: a
Russian query then prefers any Russian text to the English one that means the same. The mean vector of each language is that
corner, and taking it away costs nothing within a language. Measured with multilingual-e5-small, a catalog half Russian, half
English (R@1): queries in the other language 29.6 -> 52.2 of 500 captions and 28.9 -> 65.1 of 48 photographs; in the same language
46.2 -> 46.1 and 94.8 -> 92.2. Scaling or renormalising as well gains 3 points more across and loses 4 within.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_TEXTS = 20  # of a language, for its mean to be of the language and not of the texts
_AT_ONCE = 1 << 16


def balance(vectors: NDArray[Any], languages: Sequence[str | None]) -> NDArray[Any]:
    """`vectors` (n, dimension), each moved so that all languages have the same mean; row i is a text in languages[i].

    A language with fewer than 20 texts, and a catalog of one language, stay as they are. The result is of about unit length.
    """
    counts = Counter(languages)
    groups = {
        language: np.array([row for row, its in enumerate(languages) if its == language])
        for language, count in counts.items()
        if language is not None and count >= _LEAST_TEXTS
    }
    if len(groups) < 2:
        return vectors
    means = {language: vectors[rows].mean(axis=0, dtype=np.float32) for language, rows in groups.items()}
    middle = np.mean(list(means.values()), axis=0)
    balanced = vectors.copy()
    for language, rows in groups.items():
        shift = means[language] - middle
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            balanced[some] = vectors[some].astype(np.float32) - shift
    return balanced
