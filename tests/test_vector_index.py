"""image_index.faiss: exact answers, plain faiss opens it, and nothing damaged or foreign is ever believed."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from image_catalog import vector_index
from image_catalog.errors import CannotGoOn, UserError
from image_catalog.vector_index import VectorIndex, VectorIndexError

DIMENSION = 32
COUNT = 400


def unit_vectors(count: int, seed: int = 0, dimension: int = DIMENSION) -> np.ndarray:
    """Vectors in loose clusters, as texts have them."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, count // 20), dimension))
    vectors = centres[rng.integers(len(centres), size=count)] + 0.7 * rng.standard_normal((count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS = unit_vectors(COUNT)
IDS = np.random.default_rng(1).permutation(COUNT * 3)[:COUNT].astype(np.int64) + 1  # in no order


def build(path: Path, ids: np.ndarray = IDS, vectors: np.ndarray = VECTORS, **options: object) -> str:
    values = {"model": "some/model", "model_digest": "d1", "generation": 7} | options
    vector_index.build(str(path), ids, vectors, **values)  # type: ignore[arg-type]
    return str(path)


def exact(query: np.ndarray, count: int, allowed: set[int] | None = None) -> list[int]:
    """The right answer, by numpy on the vectors as they are stored."""
    scores = VECTORS.astype(np.float16).astype(np.float32) @ query
    order = [int(IDS[row]) for row in np.argsort(-scores)]
    return [image_id for image_id in order if allowed is None or image_id in allowed][:count]


@pytest.fixture(scope="module")
def index_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(tmp_path_factory.mktemp("index") / "image_index.faiss")


def test_nearest_is_exact_with_the_ids_of_images(index_file: str) -> None:
    index = VectorIndex.open(index_file)
    for query in unit_vectors(20, seed=2):
        ids, scores = index.nearest(query, 10)
        assert ids.tolist() == exact(query, 10)
        assert np.allclose(scores, sorted(scores, reverse=True))
        rows = [IDS.tolist().index(image_id) for image_id in ids]
        assert np.allclose(scores, VECTORS[rows] @ query, atol=1e-3)


def test_plain_faiss_opens_the_file(index_file: str) -> None:
    query = unit_vectors(1, seed=3)
    for flags in (0, faiss.IO_FLAG_MMAP_IFC):
        plain = faiss.read_index(index_file, flags)
        assert plain.ntotal == COUNT
        assert plain.search(query, 5)[1][0].tolist() == exact(query[0], 5)
        assert np.allclose(plain.reconstruct(int(IDS[0])), VECTORS[0], atol=1e-3)


def test_a_filter_is_exact_and_never_short(index_file: str) -> None:
    index = VectorIndex.open(index_file)
    query = unit_vectors(1, seed=4)[0]
    worst = exact(query, COUNT)[-7:]
    assert index.nearest(query, 5, allowed_ids=worst)[0].tolist() == worst[:5]
    assert index.nearest(query, 100, allowed_ids=[*worst, 10**12, -3])[0].tolist() == worst
    assert index.nearest(query, 5, allowed_ids=[])[0].tolist() == []
    assert index.nearest(query, 10**6)[0].tolist() == exact(query, COUNT)


def test_scores_and_vectors_by_id(index_file: str) -> None:
    index = VectorIndex.open(index_file)
    query = unit_vectors(1, seed=5)[0]
    scores = index.scores_of(query, [int(IDS[3]), 999_999, int(IDS[0])])
    assert scores[[0, 2]] == pytest.approx(VECTORS[[3, 0]] @ query, abs=1e-3)
    assert np.isnan(scores[1])
    assert index.vector_of(int(IDS[9])) == pytest.approx(VECTORS[9], abs=1e-3)
    assert index.vector_of(999_999) is None
    assert len(index.sample_scores(query)) == COUNT


def test_provenance_is_kept_and_costs_no_heavy_import(index_file: str) -> None:
    provenance = VectorIndex.open(index_file).provenance
    assert (provenance.model, provenance.model_digest, provenance.generation) == ("some/model", "d1", 7)
    assert (provenance.dimension, provenance.vectors, provenance.type) == (DIMENSION, COUNT, "flat")
    code = (
        "import sys; from image_catalog.vector_index import read_provenance\n"
        "assert read_provenance(sys.argv[1]).vectors == 400\n"
        "print([name for name in ('numpy', 'faiss', 'torch') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code, index_file], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def refused(path: Path) -> str:
    """Opening must fail as a user's error, in both ways; returns its line."""
    with pytest.raises(VectorIndexError) as opened:
        VectorIndex.open(str(path))
    with pytest.raises(VectorIndexError):
        vector_index.read_provenance(str(path))
    assert opened.value.exit_code == 3
    return str(opened.value)


def test_200_truncations_and_400_bit_flips_are_refused(index_file: str, tmp_path: Path) -> None:
    good = Path(index_file).read_bytes()
    damaged = tmp_path / "image_index.faiss"
    rng = random.Random(6)
    for length in [*rng.sample(range(len(good)), 199), len(good) - 1]:
        damaged.write_bytes(good[:length])
        assert "create_faiss_index.py" in refused(damaged)
    # Half of them anywhere, half in the last 600 bytes: the trailer must guard itself too.
    places = rng.sample(range(len(good)), 200) + rng.sample(range(len(good) - 400, len(good)), 200)
    for place in places:
        content = bytearray(good)
        content[place] ^= 1 << rng.randrange(8)
        damaged.write_bytes(content)
        refused(damaged)
    damaged.write_bytes(good + b"\0")
    refused(damaged)


def test_foreign_files_are_refused(index_file: str, tmp_path: Path) -> None:
    path = tmp_path / "image_index.faiss"
    assert "there is no vector index yet" in refused(path)
    path.write_bytes(b"")
    assert "is empty" in refused(path)
    path.write_text("not an index, but a text that is long enough to hold a trailer of forty-four bytes or so")
    assert "not an index of image-catalog" in refused(path)
    plain = faiss.IndexIDMap2(faiss.IndexFlatIP(DIMENSION))
    plain.add_with_ids(VECTORS, IDS)
    faiss.write_index(plain, str(path))
    assert "not an index of image-catalog" in refused(path)
    path.unlink()
    path.mkdir()
    assert "is no file" in refused(path)
    path.rmdir()
    os.mkfifo(path)  # nobody writes into it: opening it would wait for ever
    assert "is no file" in refused(path)


def test_an_index_of_another_model_or_dimension_is_refused(index_file: str) -> None:
    assert len(VectorIndex.open(index_file, model_digest="d1", dimension=DIMENSION)) == COUNT
    for expected in ({"model_digest": "d2"}, {"dimension": 384}):
        with pytest.raises(VectorIndexError, match="another embedding model") as caught:
            VectorIndex.open(index_file, **expected)  # type: ignore[arg-type]
        assert caught.value.kind == "outdated"
    with pytest.raises(VectorIndexError, match="holds vectors of 32 numbers, the model gives 384"):
        VectorIndex.open(index_file).nearest(unit_vectors(1, dimension=384)[0], 5)


def test_replacing_leaves_an_open_index_as_it_was(tmp_path: Path) -> None:
    path = build(tmp_path / "image_index.faiss")
    old = VectorIndex.open(path)
    build(tmp_path / "image_index.faiss", ids=IDS + 10_000)
    query = unit_vectors(1, seed=7)[0]
    assert old.nearest(query, 3)[0].tolist() == exact(query, 3)
    assert VectorIndex.open(path).nearest(query, 3)[0].tolist() == [image_id + 10_000 for image_id in exact(query, 3)]


def test_the_file_is_private_and_leftovers_of_killed_runs_go(tmp_path: Path) -> None:
    leftover = tmp_path / ".image_index.faiss.abc123.tmp"
    leftover.write_bytes(b"half")
    kept = tmp_path / ".other.tmp"
    kept.write_bytes(b"not ours")
    path = build(tmp_path / "image_index.faiss")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == [".other.tmp", "image_index.faiss"]


def test_disk_full_leaves_the_old_file_whole_and_nothing_else(tmp_path: Path) -> None:
    path = build(tmp_path / "image_index.faiss")
    before = Path(path).read_bytes()
    code = f"""
import resource, sys
import numpy as np
from image_catalog import vector_index
from image_catalog.errors import CannotGoOn
vectors = np.zeros((5000, {DIMENSION}), np.float32)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    vector_index.build(sys.argv[1], np.arange(5000), vectors, model="m", model_digest="d", generation=1)
except CannotGoOn as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert "cannot be written (File too large); free some space" in run.stdout, run.stderr
    assert Path(path).read_bytes() == before
    assert os.listdir(tmp_path) == ["image_index.faiss"]
    with pytest.raises(CannotGoOn, match="cannot be written"):
        build(tmp_path / "missing" / "image_index.faiss")


def test_a_link_and_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.faiss"
    link = tmp_path / "image_index.faiss"
    link.symlink_to(target)
    build(link)
    assert link.is_symlink() and len(VectorIndex.open(str(target))) == COUNT
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.faiss")
    build(Path(odd), model=odd)
    assert VectorIndex.open(odd).provenance.model == odd


def test_an_empty_index_answers_nothing(tmp_path: Path) -> None:
    path = build(tmp_path / "image_index.faiss", IDS[:0], VECTORS[:0])
    index = VectorIndex.open(path)
    query = VECTORS[0]
    assert len(index) == 0 and index.vector_of(1) is None
    assert index.nearest(query, 5)[0].tolist() == index.nearest(query, 5, allowed_ids=[1])[0].tolist() == []
    with pytest.raises(UserError, match="no vectors to learn from"):
        build(tmp_path / "ivf.faiss", IDS[:0], VECTORS[:0], type="ivf")


@pytest.mark.parametrize("type", ["hnsw", "ivf"])
def test_approximate_types_reach_their_recall_and_filter_exactly(type: str, tmp_path: Path) -> None:
    count = 5000
    vectors = unit_vectors(count, seed=8)
    ids = np.arange(count, dtype=np.int64) * 2
    path = build(tmp_path / "image_index.faiss", ids, vectors.astype(np.float16), type=type)
    index = VectorIndex.open(path)
    assert index.provenance.type == type and index.provenance.recall is not None and index.provenance.recall >= 0.98
    hits = 0
    queries = vectors[::100] + 0.2 * np.random.default_rng(9).standard_normal((50, DIMENSION), np.float32)
    for query in queries:
        truth = set(ids[np.argsort(-(vectors @ query))[:10]].tolist())
        hits += len(truth & set(index.nearest(query, 10)[0].tolist()))
        worst = ids[np.argsort(vectors @ query)[:20]]
        assert set(index.nearest(query, 20, allowed_ids=worst)[0].tolist()) == set(worst.tolist())
    assert hits >= 0.95 * 10 * len(queries)
    assert index.vector_of(8) == pytest.approx(vectors[4], abs=1e-3)
    assert faiss.read_index(path).ntotal == count


@pytest.mark.parametrize("type", ["flat", "hnsw", "ivf"])
def test_any_filter_gives_what_a_look_at_every_vector_gives(type: str, tmp_path: Path) -> None:
    """60 filters at random, of one image to all of them and of ids that are not there, for any count: the very same answer."""
    rng = np.random.default_rng(10)
    vectors = unit_vectors(1500, seed=11)
    ids = np.cumsum(rng.integers(1, 5, len(vectors)))
    path = build(tmp_path / "image_index.faiss", ids, vectors, type=type)
    index = VectorIndex.open(path)
    stored = np.stack([np.asarray(index.vector_of(int(image_id))) for image_id in ids])
    assert np.abs(stored - vectors).max() < 1e-3
    for size in [1, 2, 3, 10, 1500, *rng.integers(1, 1500, 25), *rng.integers(1, 30, 30)]:
        allowed = rng.choice(len(ids), size, replace=False)
        count = int(rng.integers(1, 2 * size + 2))
        query = unit_vectors(1, seed=int(size))[0]
        found, scores = index.nearest(query, count, [*ids[allowed].tolist(), -1, int(ids[-1]) + 1])
        truth = allowed[np.argsort(-(stored[allowed] @ query))][:count]
        assert len(found) == min(count, size)
        assert scores == pytest.approx(stored[truth] @ query, abs=1e-5)
        assert set(found.tolist()) <= set(ids[allowed].tolist())
    # Without a filter an approximate answer may miss some, but never falls short of as many as are asked for.
    for count in (10, 300, 1499, 1500):
        assert len(set(index.nearest(stored[5], count)[0].tolist())) == count
