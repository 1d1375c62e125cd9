"""Texts -> unit vectors, with sentence-transformers.

Knows models, their prompts and limits; knows nothing of pictures, the catalog or faiss. Importing sentence-transformers takes
seconds, so only what embeds new texts uses this module; a search encodes its query through query_encoder.
"""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from image_catalog import alphabets, model_folder
from image_catalog.errors import CannotGoOn
from image_catalog.model_folder import DEFAULT_MODEL
from image_catalog.query_tokenizer import known_spans

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["DEFAULT_MODEL", "EmbeddingModel", "load"]

# Texts of equal length in tokens go through the model together. Sorted by characters, as sentence-transformers does it, a fifth
# of the work is padding where Russian and English are mixed; sorted by tokens, a fiftieth.
_SORTED_TOGETHER = 4096
_KEPT_TOGETHER = 256
_BATCH_ON_GPU = 128
_TOKENS_AT_ONCE = 1024  # measured: the fastest in 32 bits; in 16 bits it is four times as many
_LEAST_BATCH, _LARGEST_BATCH = 4, 128
_USUAL_LIMIT = 512  # tokens, of a model that does not say
_NO_LIMIT = 1 << 20
_E5 = re.compile(r"(^|[/\\_\s-])e5-(small|base|large)", re.IGNORECASE)  # instruct models of this family take other prompts


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
        self._room = self.max_tokens - self.token_count(self.document_prompt) - 2  # tokens of a text that is read whole
        self.dimension = int(self.encode_query("a").shape[0])
        self._digest = ""

    @property
    def digest(self) -> str:
        """Hash of the model's files: vectors of equal digests can be compared."""
        self._digest = self._digest or model_folder.digest(self.folder)
        return self._digest

    @cached_property
    def uses_bfloat16(self) -> bool:
        """Are documents multiplied in 16 bits? True where that is measured to be faster."""
        return bool(self.model.device.type == "cpu") and _is_bfloat16_faster()

    def reads(self, text: str) -> bool:
        """Does the vocabulary know words of the alphabet of `text`? An English one takes Russian ones apart into letters."""
        tokenizer = self.model.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None if callable(tokenizer) else tokenizer)
        if backend is None:  # written in Python; it does not say where its tokens lie
            return True
        return alphabets.is_read(_clean(text), lambda sample: known_spans(backend, sample))

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
        weighted by length. Measured with multilingual-e5-small on 240 pictures whose four captions are cut into four parts (R@1):
        uncut 75.4, mean 74.2, several vectors of which the nearest counts 71.7, the first part alone 45.8; texts about 60 things
        each (R@10): mean 66.7, several 40.0, first part 18.0. Longest texts come first, so that memory runs out at the start or
        never.
        """
        texts = [_clean(text) for text in texts]
        by_length = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        for first in range(0, len(by_length), _SORTED_TOGETHER):
            some = by_length[first : first + _SORTED_TOGETHER]
            counts = dict(zip(some, self._token_counts([texts[row] for row in some]), strict=True))
            some.sort(key=lambda row: -min(counts[row], self._room))
            for start in range(0, len(some), _KEPT_TOGETHER):
                rows = some[start : start + _KEPT_TOGETHER]
                parts = [self.parts(texts[row]) if counts[row] > self._room else [texts[row]] for row in rows]
                yield rows, self._encode_parts(parts, min(counts[rows[0]], self._room))

    def parts(self, text: str) -> list[str]:
        """`text` in as few pieces as the model can read whole."""
        if len(text) < 2 or self.token_count(text) <= self._room:
            return [text]
        middle = len(text) // 2
        cut = text.rfind(" ", 1, middle) + 1 or middle
        return self.parts(text[:cut].strip()) + self.parts(text[cut:].strip())

    def token_count(self, text: str) -> int:
        """How many tokens the model sees in `text`, its own markers included."""
        return self._token_counts([text])[0]

    def _token_counts(self, texts: list[str]) -> list[int]:
        tokenizer = self.model.tokenizer
        if not callable(tokenizer):  # static embeddings have the bare tokenizer of the tokenizers library
            return [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]
        return list(map(len, tokenizer(texts, truncation=False, verbose=False)["input_ids"]))

    def _encode_parts(self, texts: list[list[str]], tokens: int) -> Floats:
        """The vectors of texts in parts; `tokens` is about how many their longest part has."""
        import numpy as np

        flat = [part for parts in texts for part in parts]
        vectors = self._encode_flat(flat, tokens)
        if len(flat) == len(texts):
            return vectors
        weighted = vectors * np.array([[max(1, len(part))] for part in flat], np.float32)
        starts = np.cumsum([0, *(len(parts) for parts in texts[:-1])])
        sums = np.add.reduceat(weighted, starts)
        pooled: Floats = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        return pooled

    def _encode_flat(self, texts: list[str], tokens: int) -> Floats:
        on_cpu = self.model.device.type == "cpu"
        together = _TOKENS_AT_ONCE * (4 if self.uses_bfloat16 else 1) // max(1, tokens)
        with _bfloat16() if self.uses_bfloat16 else nullcontext():
            vectors = self.model.encode_document(
                texts,
                prompt=self.document_prompt,
                batch_size=min(max(together, _LEAST_BATCH), _LARGEST_BATCH) if on_cpu else _BATCH_ON_GPU,
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


def _bfloat16() -> AbstractContextManager[Any]:
    """16-bit multiplication: cosine 0.99997 to 32 bits, the same R@1."""
    import torch

    return torch.autocast("cpu", torch.bfloat16)


@cache
def _is_bfloat16_faster() -> bool:
    """Is 16-bit multiplication worth it on this processor? Measured once, in 70 ms, where it has instructions for it at all.

    With AMX embedding is 2.5 times as fast; with avx512_bf16 alone it was measured to be slower on one processor; and without
    either it is emulated, at a quarter of the speed.
    """
    import torch

    abilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if not (abilities.get("amx_bf16") or abilities.get("avx512_bf16")):
        return False
    long, short = (torch.ones(1024, 1024, dtype=kind) for kind in (torch.float32, torch.bfloat16))
    times = [(_seconds(lambda: long @ long), _seconds(lambda: short @ short)) for _ in range(5)]
    return 1.5 * min(of_short for _, of_short in times) < min(of_long for of_long, _ in times)


def _seconds(do: Callable[[], Any]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


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
