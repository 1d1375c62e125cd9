"""image_index.faiss: unit vectors with the ids of images, and the nearest of them to a vector.

Knows faiss and numpy; knows nothing of texts, models or the catalog. Scores are inner products of unit vectors: cosines.
The vectors are stored as 16-bit floats, which keep the exact top 10 of 99.8 % of queries at half the size and four times the
speed of 32-bit ones. A flat index looks at every vector; what does not is in approximate_index.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Set
from typing import TYPE_CHECKING, Any

from image_catalog import vector_file
from image_catalog.vector_file import Provenance, VectorIndexError, read_provenance

if TYPE_CHECKING:  # numpy and faiss load when an index is opened or built, never before
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ids = NDArray[np.int64]

__all__ = ["TYPES", "Provenance", "VectorIndex", "VectorIndexError", "build", "read_provenance"]

TYPES = ("auto", "flat", "hnsw", "ivf")
_ADDED_AT_ONCE = 1 << 16
_SAMPLE = 2000


def build(
    path: str,
    ids: Ids,
    vectors: NDArray[Any],
    *,
    model: str,
    model_digest: str,
    generation: int,
    type: str = "auto",
    catalog: str | None = None,
    unrelated: dict[str, float] | None = None,
) -> Provenance:
    """Write the index of `vectors` (n, dimension), unit length, 16 or 32 bits, to `path`; row i belongs to image ids[i].

    `type` is one of TYPES; auto is flat as long as that answers fast. The old file stays until the new one is whole and on
    the disk. The caller holds a lock on `path`. Raises CannotGoOn (disk full, folder missing, …).
    """
    import faiss
    import numpy as np

    from image_catalog import approximate_index

    if vectors.ndim != 2 or ids.shape != vectors.shape[:1]:
        raise ValueError(f"{ids.shape} ids do not fit {vectors.shape} vectors")
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    if (ids[1:] == ids[:-1]).any():
        raise ValueError("an image has two vectors")
    count, dimension = vectors.shape
    chosen = approximate_index.type_for(count) if type == "auto" else type
    storage = approximate_index.make(chosen, dimension, count)
    if not storage.is_trained:
        approximate_index.train(storage, vectors)
    index = faiss.IndexIDMap2(storage)
    for start in range(0, count, _ADDED_AT_ONCE):
        rows = order[start : start + _ADDED_AT_ONCE]
        index.add_with_ids(vectors[rows].astype(np.float32), ids[start : start + _ADDED_AT_ONCE])
    recall = None if chosen == "flat" else approximate_index.tune(storage, vectors)
    provenance = Provenance(
        model, model_digest, dimension, count, generation, chosen, catalog=catalog, unrelated=unrelated, recall=recall
    )
    vector_file.replace(path, provenance, lambda write: faiss.write_index(index, faiss.PyCallbackIOWriter(write)))
    return provenance


class VectorIndex:
    """An open image_index.faiss, memory-mapped: unread parts cost no memory and it works on read-only media."""

    def __init__(self, path: str, provenance: Provenance, index: Any, content: object) -> None:
        import faiss

        from image_catalog import approximate_index

        self.path = path
        self.provenance = provenance
        self.ids: Ids = faiss.vector_to_array(index.id_map)  # ascending, as build() sorted them
        self._content = content  # the memory that faiss reads from lives as long as this
        self._index = index
        self._storage = faiss.downcast_index(index.index)
        self._exact, self._exact_parameters = approximate_index.exact_search(self._storage)

    @classmethod
    def open(cls, path: str, *, model_digest: str | None = None, dimension: int | None = None) -> VectorIndex:
        """Open a whole index, made by the model with this digest when one is given.

        Raises VectorIndexError: missing, damaged, not ours, or of another model.
        """
        provenance, content, faiss_bytes = vector_file.open_checked(path)
        if model_digest not in (None, provenance.model_digest) or dimension not in (None, provenance.dimension):
            raise VectorIndexError(path, f"was made by another embedding model ({provenance.model})", kind="outdated")
        # OpenBLAS starts a thread per core when numpy and faiss load: 30 ms that one query never earns back.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        import faiss
        import numpy as np

        array = np.frombuffer(faiss_bytes, np.uint8)
        try:
            # Zero copy: faiss works on the very bytes whose checksum was taken.
            index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(array), array.size))
        except RuntimeError as error:  # whole, so written by another faiss
            raise VectorIndexError(path, f"this faiss cannot read it ({_first_line(error)})", kind="foreign") from None
        if not isinstance(index, faiss.IndexIDMap2) or (index.d, index.ntotal) != (provenance.dimension, provenance.vectors):
            raise VectorIndexError(path, "does not hold what it says it holds", kind="damaged")
        return cls(path, provenance, index, (content, array))

    def __len__(self) -> int:
        return self.provenance.vectors

    def nearest(self, vector: Floats, count: int, allowed_ids: Iterable[int] | None = None) -> tuple[Ids, Floats]:
        """The ids of the `count` images whose vectors are nearest to `vector`, best first, and their cosines.

        With `allowed_ids` only these are looked at, and the search is exact whatever the type: neither a filter nor a large
        `count` makes the answer shorter than it must be.
        """
        import faiss

        query = self._checked(vector)
        count = min(count, len(self))
        if count < 1:
            return self.ids[:0], query[0, :0]
        if allowed_ids is None:
            scores, positions = self._storage.search(query, count)
            if positions[0, -1] < 0:  # an approximate search did not look far enough for so many
                everything = faiss.IDSelectorAll()
                scores, positions = self._exact.search(query, count, params=self._exact_parameters(everything))
        else:
            parameters, _selector, _bits = self._only(allowed_ids)
            scores, positions = self._exact.search(query, count, params=parameters)
        found = positions[0] >= 0
        return self.ids[positions[0][found]], scores[0][found].clip(-1, 1)

    def scores_of(self, vector: Floats, ids: Iterable[int]) -> Floats:
        """The cosine of `vector` and the vector of each image in `ids`, in that order; NaN for one that is not here."""
        import numpy as np

        query = self._checked(vector)[0]
        wanted = _as_ids(ids)
        positions, here = self._positions(wanted)
        scores = np.full(len(wanted), np.nan, np.float32)
        if here.any():
            scores[here] = (self._storage.reconstruct_batch(positions[here]) @ query).clip(-1, 1)
        return scores

    def sample_scores(self, vector: Floats, without: Set[int] = frozenset()) -> Floats:
        """Cosines of `vector` and up to 2,000 vectors spread evenly over the index: what score is usual for this query.

        The images `without` are left out: a picture is not like itself in a way that would be usual.
        """
        sample = self.ids[:: max(1, len(self) // _SAMPLE)]
        return self.scores_of(
            vector, [image_id for image_id in sample.tolist() if image_id not in without] if without else sample
        )

    def vector_of(self, image_id: int) -> Floats | None:
        """The stored vector of one image (dimension,), or None when it has none."""
        positions, here = self._positions(_as_ids([image_id]))
        vector: Floats | None = self._storage.reconstruct(int(positions[0])) if here[0] else None
        return vector

    def _checked(self, vector: Floats) -> Floats:
        import numpy as np

        if vector.shape != (self.provenance.dimension,):
            reason = f"holds vectors of {self.provenance.dimension} numbers, the model gives {vector.shape[-1]}"
            raise VectorIndexError(self.path, reason, kind="outdated")
        return np.ascontiguousarray(vector, np.float32)[None]

    def _positions(self, ids: Ids) -> tuple[Ids, NDArray[np.bool_]]:
        """Where in the index each of `ids` lies, and whether it is there at all."""
        import numpy as np

        positions = np.searchsorted(self.ids, ids)
        here = positions < len(self.ids)
        here[here] = self.ids[positions[here]] == ids[here]
        return positions.astype(np.int64), here

    def _only(self, allowed_ids: Iterable[int]) -> tuple[Any, Any, Any]:
        """Search parameters that let faiss see `allowed_ids` only, and two objects that must outlive the search."""
        import faiss
        import numpy as np

        positions, here = self._positions(_as_ids(allowed_ids))
        mask = np.zeros(len(self), np.bool_)
        mask[positions[here]] = True
        bits = np.packbits(mask, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
        return self._exact_parameters(selector), selector, bits


def _as_ids(ids: Iterable[int]) -> Ids:
    import numpy as np

    return np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), np.int64)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
