"""Texts -> unit vectors, with sentence-transformers.

Knows models, their prompts and limits; knows nothing of pictures, the catalog or faiss. Importing sentence-transformers takes
seconds, so only what embeds new texts uses this module; a search encodes its query through query_encoder.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from image_catalog import model_folder
from image_catalog.errors import CannotGoOn
from image_catalog.model_folder import DEFAULT_MODEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["DEFAULT_MODEL", "EmbeddingModel", "load"]

# Texts of about equal length go through the model together: no padding is computed for nothing.
_BATCH = 16  # measured: fastest on processors; 8 and 32 are 10 % slower
_BATCH_ON_GPU = 128
_KEPT_TOGETHER = 256
_USUAL_LIMIT = 512  # tokens, of a model that does not say
_NO_LIMIT = 1 << 20
_E5 = re.compile(r"(^|[/\\_\s-])e5-(small|base|large)", re.IGNORECASE)  # instruct models of this family take other prompts
_RUSSIAN_SAMPLE = "Рыжая собака бежит по песчаному пляжу на закате, на горизонте виден парус."


def load(name: str | None = None, on_note: Callable[[str], None] = lambda _: None) -> EmbeddingModel:
    """The model `name`: a sentence-transformers name or folder; None is DEFAULT_MODEL, or its offline copy.

    `on_note` hears of downloads and substitutions. Raises CannotGoOn.
    """
    found = model_folder.find(name, on_note)
    _silence_libraries()
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise CannotGoOn("sentence-transformers", "is not installed", "install it: pip install -r requirements.txt") from None
    try:
        # A folder, and local_files_only for what a model may refer to: loading never waits for the network.
        model = SentenceTransformer(found.path, local_files_only=True).float().eval()
        return EmbeddingModel(found.name, found.path, model)
    except (CannotGoOn, MemoryError):
        raise
    except Exception as error:  # a foreign or damaged folder fails in dozens of ways, each a type of another library
        reason = f"the embedding model cannot be loaded ({(str(error).splitlines() or [type(error).__name__])[0]})"
        raise CannotGoOn(
            found.name, reason, f"delete {found.path} if it came from a hub, or name another one with --model"
        ) from error


class EmbeddingModel:
    """A loaded model. Vectors are float32 and of length 1, so that an inner product is a cosine."""

    def __init__(self, name: str, folder: str, model: Any) -> None:
        self.name = name
        self.folder = folder
        self.model = model  # the SentenceTransformer
        self.query_prompt, self.document_prompt = _prompts(model, f"{name} {model_folder.origin(folder)}")
        self.max_tokens = int(min(model.max_seq_length or _USUAL_LIMIT, _NO_LIMIT))
        self.dimension = int(self.encode_query("a").shape[0])
        self._digest = ""

    @property
    def digest(self) -> str:
        """Hash of the model's files: vectors of equal digests can be compared."""
        self._digest = self._digest or model_folder.digest(self.folder)
        return self._digest

    @property
    def reads_cyrillic(self) -> bool:
        """Does the vocabulary know Russian words? An English one takes them apart into single letters."""
        letters = sum(map(str.isalpha, _RUSSIAN_SAMPLE))
        return self.token_count(_RUSSIAN_SAMPLE) < 0.6 * letters

    def encode_query(self, text: str) -> Floats:
        """The vector (dimension,) of what someone searches for."""
        vectors = self.model.encode_query(
            [_clean(text)], prompt=self.query_prompt, normalize_embeddings=True, show_progress_bar=False
        )
        vector: Floats = self._checked(vectors)[0]
        return vector

    def encode_documents(self, texts: Sequence[str], on_progress: Callable[[int], None] = lambda _: None) -> Floats:
        """The vectors (n, dimension) of stored texts; `on_progress` hears how many more are done."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), np.float32)
        for rows, some in self.batches(texts):
            vectors[rows] = some
            on_progress(len(rows))
        return vectors

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Floats]]:
        """Embed `texts` in portions of a few seconds: (positions in `texts`, their vectors).

        A text that is longer than the model reads is cut at spaces into parts that are not; its vector is the mean of theirs,
        weighted by length. Longest texts come first, so that memory runs out at the start or never.
        """
        parts = [self.parts(_clean(text)) for text in texts]
        order = sorted(range(len(texts)), key=lambda row: -max(map(len, parts[row])))
        for start in range(0, len(order), _KEPT_TOGETHER):
            rows = order[start : start + _KEPT_TOGETHER]
            yield rows, self._encode_parts([parts[row] for row in rows])

    def parts(self, text: str) -> list[str]:
        """`text` in as few pieces as the model can read whole."""
        limit = self.max_tokens - self.token_count(self.document_prompt) - 2
        if len(text.encode()) <= limit or self.token_count(text) <= limit:  # no token is shorter than a byte
            return [text]
        middle = len(text) // 2
        cut = text.rfind(" ", 1, middle) + 1 or middle
        return self.parts(text[:cut].strip()) + self.parts(text[cut:].strip())

    def token_count(self, text: str) -> int:
        """How many tokens the model sees in `text`, its own markers included."""
        tokenizer = self.model.tokenizer
        if not callable(tokenizer):  # static embeddings have the bare tokenizer of the tokenizers library
            return len(tokenizer.encode(text).ids)
        return len(tokenizer(text, truncation=False, verbose=False)["input_ids"])

    def _encode_parts(self, texts: list[list[str]]) -> Floats:
        import numpy as np

        flat = [part for parts in texts for part in parts]
        vectors = self._encode_flat(flat)
        if len(flat) == len(texts):
            return vectors
        weighted = vectors * np.array([[max(1, len(part))] for part in flat], np.float32)
        starts = np.cumsum([0, *(len(parts) for parts in texts[:-1])])
        sums = np.add.reduceat(weighted, starts)
        pooled: Floats = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        return pooled

    def _encode_flat(self, texts: list[str]) -> Floats:
        on_cpu = self.model.device.type == "cpu"
        with _short_floats() if on_cpu else nullcontext():
            vectors = self.model.encode_document(
                texts,
                prompt=self.document_prompt,
                batch_size=_BATCH if on_cpu else _BATCH_ON_GPU,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        return self._checked(vectors)

    def _checked(self, vectors: Any) -> Floats:
        import numpy as np

        found: Floats = np.asarray(vectors, np.float32)
        if not np.isfinite(found).all():
            raise CannotGoOn(self.name, "the embedding model gives no numbers (NaN)", "name another one with --model")
        return found


def _prompts(model: Any, known_as: str) -> tuple[str, str]:
    """(query prompt, document prompt): what the model's own settings say; e5 models that say nothing get those of their paper.

    An e5 model without its prompts works and is quietly worse (https://arxiv.org/abs/2212.03533, section 4).
    """
    query = model.prompts.get("query") or ""
    document = next((model.prompts[key] for key in ("document", "passage", "corpus") if model.prompts.get(key)), "")
    if not query and not document and _E5.search(known_as) and "instruct" not in known_as.lower():
        return "query: ", "passage: "
    return query, document


def _short_floats() -> AbstractContextManager[Any]:
    """16-bit multiplication where the processor has it: 2.5 times the speed, cosine 0.99997 to 32 bits, the same R@1.

    Elsewhere it would be emulated, and slow.
    """
    import torch

    abilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if abilities.get("amx_bf16") or abilities.get("avx512_bf16"):
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def _clean(text: str) -> str:
    """Tokenizers take UTF-8 only: a lone surrogate (a file name's odd byte) becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _silence_libraries() -> None:
    """Bars and advice that these libraries print on stderr are not for our users; errors still come as exceptions."""
    warnings.filterwarnings("ignore", module="(torch|transformers|sentence_transformers|huggingface_hub)")
    for library in ("sentence_transformers", "transformers", "torch", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        from transformers.utils import logging as transformers_logging
    except ImportError:
        return
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
