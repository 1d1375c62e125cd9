"""One run that brings image_index.faiss in line with images.db: what to embed, and when each step is needed.

Knows the order of the steps and the settings that a catalog keeps; the steps are embedding_model's, vector_index's and
query_export's. What is up to date costs neither numpy, faiss nor torch. Says what happens through a listener and never prints.
"""

from __future__ import annotations

import os
import re
import time

from image_catalog import alphabets, query_encoder, vector_file
from image_catalog.catalog import Catalog
from image_catalog.errors import CannotGoOn
from image_catalog.passage import passage_hash, passage_of_row
from image_catalog.record import NamedTuple
from image_catalog.vector_file import Provenance, VectorIndexError

TYPE_CHECKING = False  # typing would cost a run without work 2 ms
if TYPE_CHECKING:
    from typing import Any, Protocol

    from image_catalog.embedding_model import EmbeddingModel
else:
    Protocol = object

_CYRILLIC_WORD = re.compile("[а-яё]{3}", re.IGNORECASE)
_RUSSIAN = "по-русски"


class Progress(Protocol):
    """A display of how far a step is."""

    def __enter__(self) -> Progress: ...
    def __exit__(self, *_: object) -> None: ...
    def advance(self, count: int = 1) -> None: ...


class Listener(Protocol):
    """Who hears what a run does."""

    def note(self, text: str) -> None: ...
    def warn(self, text: str, once: str | None = None) -> None: ...
    def progress(self, total: int, unit: str = "image") -> Progress: ...


class VectorOptions(NamedTuple):
    """What the user asked for. `model` None: what the catalog remembers, else the default."""

    model: str | None = None
    type: str = "auto"
    with_encoder: bool = False


class VectorSummary:
    """What a run did; `vectors` are in the index, `embedded` texts went through the model."""

    def __init__(self, index: str) -> None:
        self.index = index
        self.up_to_date = False
        self.vectors = 0
        self.embedded = 0
        self.without_description = 0
        self.model = ""
        self.dimension = 0
        self.type = ""
        self.recall: float | None = None
        self.seconds = 0.0

    def as_dict(self) -> dict[str, Any]:
        """One flat JSON object; README documents its fields."""
        return dict(vars(self))

    def tell(self, provenance: Provenance) -> None:
        """Take over what the index says of itself."""
        self.vectors, self.dimension = provenance.vectors, provenance.dimension
        self.model, self.type, self.recall = provenance.model, provenance.type, provenance.recall


class _Known(NamedTuple):
    """An embedding model as the catalog remembers it, so that it need not be loaded."""

    name: str
    digest: str
    dimension: int


class VectorRun:
    """One run for the index file at `path`."""

    def __init__(self, catalog: Catalog, path: str, options: VectorOptions, listener: Listener) -> None:
        self.catalog = catalog
        self.path = path
        self.options = options
        self.listener = listener
        self.summary = VectorSummary(path)
        self._model: EmbeddingModel | None = None

    def is_up_to_date(self) -> bool:
        """Does the index hold this very catalog? Reads only; fills the summary when it does."""
        known = self._known()
        try:
            provenance = vector_file.read_provenance(self.path)
        except VectorIndexError:
            return False
        catalog_id = self.catalog.setting("catalog_id")
        self.summary.tell(provenance)
        self.summary.up_to_date = (
            known is not None
            and (provenance.model, provenance.model_digest) == (known.name, known.digest)
            and (provenance.catalog, provenance.generation) == (catalog_id, self.catalog.generation())
            and self.options.type in ("auto", provenance.type)
            and all(_is_there(folder, known) for folder in self._encoder_folders(known))
        )
        return self.summary.up_to_date

    def count_images(self) -> int:
        """How many images have a description; fills in the summary how many have none."""
        coverage = self.catalog.coverage()
        self.summary.without_description = coverage.images - coverage.described
        return coverage.described

    def run(self) -> None:
        """Embed what is new, build the index, put it in the place of the old one. The caller holds a lock. Raises UserError."""
        started = time.monotonic()
        if not self.count_images() and not self.catalog.setting("embedding_model"):
            raise CannotGoOn(
                self.catalog.path, "no image has a description yet", "run index_images.py until it has described some"
            )
        self._warn_of_another_catalog()
        generation = self.catalog.generation()
        self._hash_passages()
        known = self._known() or self._load()
        model_id = self._model_id(known)
        waiting = self.catalog.passages_without_vector(model_id)
        if self._model is None and (waiting or not _is_there(query_encoder.cached_folder(known.digest), known)):
            before, known = known, self._load()
            if known != before:  # another model under the same name
                model_id = self._model_id(known)
                waiting = self.catalog.passages_without_vector(model_id)
        self._embed(model_id, waiting)
        self._prepare_encoder(known)
        self.summary.tell(self._build(known, model_id, generation))
        self._remember(known)
        self.catalog.drop_unused_vectors(model_id)
        self.summary.seconds = round(time.monotonic() - started, 1)

    # The model

    def _known(self) -> _Known | None:
        """The model to use, if the catalog has used it before and it is the one that is wanted now."""
        name, digest, dimension = (
            self.catalog.setting(key) for key in ("embedding_model", "embedding_model_digest", "embedding_dimension")
        )
        if not (name and digest and dimension):
            return None
        if self.options.model:
            from image_catalog.model_folder import canonical_name  # 20 ms that a run without --model saves

            if canonical_name(self.options.model) != name:
                return None
        return _Known(name, digest, int(dimension))

    def _load(self) -> _Known:
        from image_catalog import embedding_model

        remembered = self.catalog.setting("embedding_model")
        self._model = model = embedding_model.load(self.options.model or remembered, self.listener.note)
        if not remembered:  # kept before the work: a run that goes on after a kill takes the same model
            self.catalog.keep_setting("embedding_model", model.name)
        if remembered and model.name != remembered:
            self.listener.warn(
                f"embedding model is now {model.name} (was {remembered}): all texts are embedded anew; searches use the old"
                " index until then"
            )
        return _Known(model.name, model.digest, model.dimension)

    def _model_id(self, known: _Known) -> int:
        return self.catalog.embedding_model_id(known.name, known.digest, known.dimension)

    def _remember(self, known: _Known) -> None:
        with self.catalog.transaction():
            self.catalog.keep_setting("embedding_model", known.name)
            self.catalog.keep_setting("embedding_model_digest", known.digest)
            self.catalog.keep_setting("embedding_dimension", str(known.dimension))

    # Texts and vectors

    def _hash_passages(self) -> None:
        rows = self.catalog.texts_without_passage()
        if rows:
            with self.catalog.transaction():
                self.catalog.keep_passages([(row["id"], passage_hash(passage_of_row(row))) for row in rows])

    def _embed(self, model_id: int, waiting: list[dict[str, Any]]) -> None:
        """Store the vectors of `waiting`, portion by portion: a kill loses one portion."""
        if not waiting or self._model is None:
            return
        texts = [passage_of_row(row) for row in waiting]
        self._warn_of_cyrillic(self._model, texts)
        with self.listener.progress(len(texts), "text") as progress:
            for positions, vectors in self._model.batches(texts):
                blobs = vectors.astype("<f2")
                self.catalog.keep_vectors(
                    model_id,
                    [(waiting[at]["passage_hash"], blob.tobytes()) for at, blob in zip(positions, blobs, strict=True)],
                )
                self.summary.embedded += len(positions)
                progress.advance(len(positions))

    def _warn_of_cyrillic(self, model: EmbeddingModel, texts: list[str]) -> None:
        russian = sum(1 for text in texts if _CYRILLIC_WORD.search(text))
        if russian and not model.reads(_RUSSIAN):
            self.listener.warn(
                f"{model.name} does not know Russian: searches by meaning will miss the {russian:,} texts that are Russian;"
                " leave out --model for one that does"
            )

    def _build(self, known: _Known, model_id: int, generation: int) -> Provenance:
        import numpy as np

        from image_catalog import language_balance, vector_index

        ids, blobs = [], bytearray()
        for image_id, blob in self.catalog.image_vectors(model_id):
            ids.append(image_id)
            blobs += blob
        vectors = np.frombuffer(blobs, "<f2").reshape(len(ids), known.dimension)
        language_of = {
            image_id: alphabets.language_of(beginning, recorded)
            for image_id, recorded, beginning in self.catalog.description_languages()
        }
        balanced = language_balance.balance(vectors, [language_of.get(image_id) for image_id in ids])
        return vector_index.build(
            self.path,
            np.array(ids, np.int64),
            balanced,
            model=known.name,
            model_digest=known.digest,
            generation=generation,
            type=self.options.type,
            catalog=self._catalog_id(),
            unrelated=self._unrelated(known, balanced),
        )

    def _unrelated(self, known: _Known, vectors: Any) -> dict[str, float] | None:
        """How near is nothing; None for a model without a fast form: its 48 questions would take as long as a small catalog."""
        settings = query_encoder.read_settings(query_encoder.cached_folder(known.digest), known.digest)
        if not len(vectors) or settings is None or "slow" in settings:
            return None
        from image_catalog import unrelated

        asked = unrelated.questions(known.digest, lambda: query_encoder.open_encoder(known.name, known.digest))
        return unrelated.nearness(vectors, asked)

    def _warn_of_another_catalog(self) -> None:
        try:
            provenance = vector_file.read_provenance(self.path)
        except VectorIndexError:
            return
        if not provenance.is_of(self.catalog.setting("catalog_id")):
            self.listener.warn(f"{self.path} was the index of another catalog and is replaced; --index FILE gives each its own")

    def _catalog_id(self) -> str:
        """What tells this catalog from others, so that no index is taken for that of another; copies have the same."""
        known = self.catalog.setting("catalog_id")
        if known is None:
            known = os.urandom(8).hex()
            self.catalog.keep_setting("catalog_id", known)
        return known

    # What a query needs

    def _encoder_folders(self, known: _Known) -> list[str]:
        beside = [query_encoder.folder_beside(self.path)] if self.options.with_encoder else []
        return [query_encoder.cached_folder(known.digest), *beside]

    def _prepare_encoder(self, known: _Known) -> None:
        cached, *beside = self._encoder_folders(known)
        if self._model is not None:
            from image_catalog import query_export

            query_export.ensure(self._model, self.listener.note)
        for folder in beside:
            if not _is_there(folder, known):
                from image_catalog import query_export

                query_export.copy(cached, folder)


def _is_there(folder: str, known: _Known) -> bool:
    return query_encoder.read_settings(folder, known.digest) is not None
