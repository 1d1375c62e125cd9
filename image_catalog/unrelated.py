"""How near a question that no picture answers still comes to some description: of one catalog, with one embedding model.

An embedding model finds something near to anything. How near is nothing differs from model to model (multilingual-e5-small 0.8,
all-MiniLM-L6-v2 0.25), with the language of the question, and with how much there is to be near to; so it is measured when the
vector index is built, by questions that albums have no answer to. If a catalog answers some of them, the others still tell.

Measured on 8 catalogs of 20 to 1,014 pictures with the multilingual-e5-small of the extra `offline`: of 48 other questions that
have no answer 33 to 62 % stay below the figure; of questions whose picture comes first 0 to 2.6 %. A higher quantile of these
questions than 0.6 finds out more, and doubts more right answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from image_catalog.alphabets import CYRILLIC, LATIN

if TYPE_CHECKING:  # numpy is loaded by who builds an index
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# What no picture shows, letters without a meaning, and what few albums have.
_QUESTIONS = {
    LATIN: (
        "subjunctive mood of irregular verbs",
        "statute of limitations",
        "gross domestic product deflator",
        "eigenvalue of a symmetric matrix",
        "mitochondrial membrane potential",
        "theorem about prime numbers",
        "garbage collection in a compiler",
        "plmokn qzxw",
        "vrtlk shmopf",
        "double-entry bookkeeping",
        "covalent bond energy",
        "etymology of a pronoun",
        "protocol handshake timeout",
        "gxkdjw",
        "particle accelerator tunnel",
        "deep-sea hydrothermal vent",
        "woolly mammoth",
        "guillotine",
        "astronaut on the moon",
        "oil refinery pipes",
        "electron micrograph of a virus",
        "medieval siege tower",
        "meteorite crater",
        "coral polyp larvae",
    ),
    CYRILLIC: (
        "сослагательное наклонение глаголов",
        "срок исковой давности",
        "дефлятор валового продукта",
        "собственное число матрицы",
        "мембранный потенциал митохондрий",
        "теорема о простых числах",
        "сборка мусора в компиляторе",
        "щрзукт вжлмя",
        "пвапр шгнек",
        "двойная бухгалтерская запись",
        "энергия ковалентной связи",
        "этимология местоимения",
        "время ожидания протокола",
        "жщцфк",
        "тоннель ускорителя частиц",
        "гидротермальный источник на дне океана",
        "шерстистый мамонт",
        "гильотина",
        "космонавт на луне",
        "трубы нефтеперерабатывающего завода",
        "вирус под электронным микроскопом",
        "средневековая осадная башня",
        "кратер метеорита",
        "личинки кораллов",
    ),
}
_QUANTILE = 0.6
_AT_ONCE = 1 << 16


def nearness(vectors: NDArray[Any], encode: Callable[[str], Floats], reads: Callable[[str], bool]) -> dict[str, float]:
    """By alphabet of a question (alphabets.LATIN, CYRILLIC): the cosine below which its best picture is as good as none.

    `vectors` (n, dimension) are those of the index; an alphabet that the model cannot read has no figure.
    """
    import numpy as np

    found = {}
    for alphabet, questions in _QUESTIONS.items():
        if not reads(questions[0]):
            continue
        asked = np.stack([encode(question) for question in questions]).astype(np.float32)
        best = np.full(len(questions), -1.0, np.float32)
        for start in range(0, len(vectors), _AT_ONCE):
            cosines = vectors[start : start + _AT_ONCE].astype(np.float32) @ asked.T
            best = np.maximum(best, cosines.max(axis=0))
        found[alphabet] = round(float(np.quantile(best, _QUANTILE)), 4)
    return found
