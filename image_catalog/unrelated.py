"""How near a question that no picture answers still comes to some description: of one catalog, with one embedding model.

An embedding model finds something near to anything. How near is nothing differs from model to model (multilingual-e5-small 0.8,
all-MiniLM-L6-v2 0.25), with the language of the question, and with how much there is to be near to; so it is measured when the
vector index is built, by questions that albums have no answer to. If a catalog answers some of them, the others still tell.

Measured on 8 catalogs of 20 to 1,014 pictures with the multilingual-e5-small of the extra `offline`: of 48 other questions that
have no answer 33 to 62 % stay below the figure; of questions whose picture comes first 0 to 2.6 %. A higher quantile of these
questions than 0.6 finds out more, and doubts more right answers.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from image_catalog import model_cache
from image_catalog.alphabets import CYRILLIC, LATIN

if TYPE_CHECKING:  # numpy is loaded by who builds an index
    import numpy as np
    from numpy.typing import NDArray

    from image_catalog.query_encoder import QueryEncoder

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
_FILE = "questions.npz"


def questions(model_digest: str, open_encoder: Callable[[], QueryEncoder]) -> dict[str, Floats]:
    """The vectors (n, dimension) of the questions by alphabet, those that the model can read; from the cache after that.

    Raises CannotGoOn (disk full, …) and what `open_encoder` raises.
    """
    import numpy as np

    version = hashlib.sha256(repr(_QUESTIONS).encode()).hexdigest()[:12]
    folder = model_cache.path_of("questions", f"{model_digest}-{version}")

    def fill(new: str) -> None:
        encoder = open_encoder()
        vectors: dict[str, Any] = dict(encoded(encoder.encode, encoder.reads))
        np.savez(os.path.join(new, _FILE), **vectors)

    model_cache.create(folder, fill)
    try:
        with np.load(os.path.join(folder, _FILE)) as file:
            return {alphabet: file[alphabet] for alphabet in file.files}
    except (OSError, ValueError, zipfile.BadZipFile):  # damaged: of no use, and made again in half a second
        model_cache.remove(folder)
        encoder = open_encoder()
        return encoded(encoder.encode, encoder.reads)


def encoded(encode: Callable[[str], Floats], reads: Callable[[str], bool]) -> dict[str, Floats]:
    """The vectors of the questions by alphabet, without those that the model cannot read."""
    import numpy as np

    readable = {alphabet: asked for alphabet, asked in _QUESTIONS.items() if reads(asked[0])}
    return {alphabet: np.stack([encode(one) for one in asked]).astype(np.float32) for alphabet, asked in readable.items()}


def nearness(vectors: NDArray[Any], asked: Mapping[str, Floats]) -> dict[str, float]:
    """By alphabet of a question (alphabets.LATIN, CYRILLIC): the cosine below which its best picture is as good as none.

    `vectors` (n, dimension) are those of the index, `asked` what questions() gives.
    """
    import numpy as np

    found = {}
    for alphabet, its in asked.items():
        best = np.full(len(its), -1.0, np.float32)
        for start in range(0, len(vectors), _AT_ONCE):
            cosines = vectors[start : start + _AT_ONCE].astype(np.float32) @ its.T
            best = np.maximum(best, cosines.max(axis=0))
        found[alphabet] = round(float(np.quantile(best, _QUANTILE)), 4)
    return found
