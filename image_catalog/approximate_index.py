"""Which faiss structure holds the vectors, and for the approximate ones: how far to look so that little is missed.

Knows faiss; knows nothing of files or ids. All store fp16 and compare by inner product. Measured on 384-d vectors, 2 cores:
flat answers in 51 ms at a million vectors and is built in a few seconds; a graph (hnsw) and clusters (ivf) look at fewer vectors,
but take minutes a million to build.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from image_catalog.errors import CannotGoOn

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Up to here an exact search takes a third of a second, and a second from cold. Measured at three million: flat is built in
# 12 s and answers in 0.19 s, ivf in ten minutes and 0.10 s; and every run that adds a picture builds anew.
FLAT_LIMIT = 5_000_000
TARGET_RECALL = 0.98
_RECALL_AT = 10
_PROBES = 500  # vectors of the index itself that serve as queries when recall is measured
_GRAPH_LINKS = 32
_VECTORS_PER_CLUSTER = 39
_FP16 = faiss.ScalarQuantizer.QT_fp16


def type_for(count: int) -> str:
    """The type that `auto` means for `count` vectors."""
    return "flat" if count <= FLAT_LIMIT else "ivf"


def make(type: str, dimension: int, count: int) -> Any:
    """An empty structure of a type: flat, hnsw or ivf."""
    if type == "flat":
        return faiss.IndexScalarQuantizer(dimension, _FP16, faiss.METRIC_INNER_PRODUCT)
    if type == "hnsw":
        return faiss.IndexHNSWSQ(dimension, _FP16, _GRAPH_LINKS, faiss.METRIC_INNER_PRODUCT)
    clusters = cluster_count(count)
    coarse = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(coarse, dimension, clusters, _FP16, faiss.METRIC_INNER_PRODUCT)
    index.set_direct_map_type(faiss.DirectMap.Array)  # so that one vector can be had by its number
    return index


def cluster_count(count: int) -> int:
    """2·√n clusters, at least 39 vectors in each, as faiss advises for k-means (its ClusteringParameters).

    Half as many as usual: they are found in a quarter of the time, and tune() makes up for it by looking into more of them.
    """
    return int(max(1, min(2 * count**0.5, count / _VECTORS_PER_CLUSTER)))


def train(index: Any, vectors: NDArray[Any]) -> None:
    """Let an ivf `index` find its clusters in an even sample of `vectors`."""
    if not len(vectors):
        raise CannotGoOn("--type ivf", "there are no vectors to learn from", "use --type flat")
    index.cp.niter = 10
    sample = _VECTORS_PER_CLUSTER * index.nlist
    index.train(vectors[:: max(1, len(vectors) // sample)].astype(np.float32))


def exact_search(index: Any) -> tuple[Any, Any]:
    """What to search for an exact answer, and a function: selector -> the parameters of that search."""
    if isinstance(index, faiss.IndexIVF):
        return index, lambda selector: faiss.SearchParametersIVF(sel=selector, nprobe=index.nlist)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.downcast_index(index.storage), lambda selector: faiss.SearchParameters(sel=selector)
    return index, lambda selector: faiss.SearchParameters(sel=selector)


def tune(index: Any, vectors: NDArray[Any]) -> float:
    """Widen the search of an approximate index until recall@10 reaches TARGET_RECALL on its own vectors; returns the recall.

    The width is stored in the index, so that plain faiss searches as well as we do. Each probe is a stored vector moved a
    little, as a query lies near the text it seeks without being it.
    """
    if not len(vectors):
        return 1.0
    probes = _moved(vectors[:: max(1, len(vectors) // _PROBES)].astype(np.float32))
    storage, parameters = exact_search(index)
    _, truth = storage.search(probes, _RECALL_AT, params=parameters(faiss.IDSelectorAll()))
    recall = 0.0
    for width in (2**power for power in range(3, 14)):
        if isinstance(index, faiss.IndexIVF):
            index.nprobe = width = min(width, index.nlist)
        else:
            index.hnsw.efSearch = width
        _, found = index.search(probes, _RECALL_AT)
        recall = _recall(truth, found)
        if recall >= TARGET_RECALL or width == getattr(index, "nlist", 0):
            break
    return round(recall, 4)


def _moved(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors turned to a cosine of 0.6, as between a query and its text, in fixed directions."""
    noise = np.random.default_rng(0).standard_normal(vectors.shape, np.float32)
    moved = vectors + 4 / 3 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    unit: NDArray[np.float32] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def _recall(truth: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    hits = sum(len(np.intersect1d(right[right >= 0], got)) for right, got in zip(truth, found, strict=True))
    return hits / max(1, int((truth >= 0).sum()))
