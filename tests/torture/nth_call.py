"""Stop a run at its nth write, fsync, rename or unlink, for every n; and let the nth one fail as a dying or full disk does.

With strace, at the system calls; without it (macOS) at the statements that Python gives to SQLite and at its own calls, through
armed/sitecustomize.py. The product knows of neither.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench import Bench
from product import Trouble, main_thread_calls, strace, why_no_strace

CALLS = "pwrite64,write,fdatasync,fsync,ftruncate,unlink,rename"
_ARMED = Path(__file__).resolve().parent / "armed"
LATENCY = 0.03  # so that no second answer comes while the first is being stored


class State:
    """A catalog to begin with, kept aside and put back for every point; the pictures stay where they are."""

    def __init__(self, bench: Bench) -> None:
        self._place = bench.place
        self._kept = bench.folder / "kept"
        shutil.copytree(bench.place, self._kept, dirs_exist_ok=True)

    def put_back(self) -> None:
        """The catalog as it was."""
        for path in self._place.iterdir():
            path.unlink()
        for path in self._kept.iterdir():
            shutil.copy(path, self._place)


def first_run(bench: Bench) -> str:
    """Stop the run that makes the catalog at each of its points."""
    bench.tree.add(5)
    return _stop_everywhere(bench)


def run_with_changes(bench: Bench) -> str:
    """Stop a run that finds files moved, copied, edited, replaced, deleted, added and cut."""
    bench.tree.add(5)
    bench.index_quietly()
    for edit in ("rename", "copy", "edit EXIF", "replace", "delete", "add", "cut", "other files"):
        bench.say(bench.tree.edit(edit))
    return _stop_everywhere(bench)


def migration(bench: Bench) -> str:
    """Stop a run that brings a catalog of the first version up to date."""
    bench.tree.add(5)
    bench.index_quietly()
    _make_schema_1(bench)
    return _stop_everywhere(bench)


def _stop_everywhere(bench: Bench) -> str:
    """Kill, EIO and disk full at each point of a run that begins with the catalog as it is now."""
    bench.server.latency = LATENCY
    state = State(bench)
    told = f"killed at {_all_points(bench, state, _statement_points(bench, state), _kill_at_statement)} statements"
    if reason := why_no_strace():
        return f"{told}; left out the system calls: {reason}"
    calls = _count_calls(bench, state, CALLS)
    syncs = _count_calls(bench, state, "fdatasync,fsync")
    writes = _count_calls(bench, state, "pwrite64")
    return (
        f"{told} and {_all_points(bench, state, calls, _kill_at_call)} of {calls} system calls,"
        f" EIO at {_all_points(bench, state, syncs, _fail_sync)} of {syncs} syncs,"
        f" disk full from {_all_points(bench, state, writes, _disk_full_from)} of {writes} writes on:"
        " 0 damaged, the next run put all right"
    )


# Run with the product's own first migration, since only that knows what the first version's tables were.
_MAKE_SCHEMA_1 = """
import os, sqlite3, sys
from image_catalog import schema
new, old = sys.argv[1] + ".old", sys.argv[1]
with open(new, "w"): os.chmod(new, 0o600)
db = sqlite3.connect(new, isolation_level=None)
schema.MIGRATIONS = schema.MIGRATIONS[:1]
schema.migrate(db)
db.execute("ATTACH ? AS later", (old,))
for table in ("images", "past_descriptions", "other_files", "roots", "settings", "runs"):
    names = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
    db.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM later.{table}")
db.close()
for ending in ("", "-wal", "-shm"):
    if os.path.exists(old + ending): os.unlink(old + ending)
os.replace(new, old)
"""


def _make_schema_1(bench: Bench) -> None:
    """Turn the catalog into one as the first version left it."""
    command = [sys.executable, "-c", _MAKE_SCHEMA_1, str(bench.db)]
    subprocess.run(command, cwd=bench.product.folder, check=True)


_Point = Callable[[Bench, int], tuple[int, ...]]


def _all_points(bench: Bench, state: State, count: int, stop_at: _Point) -> int:
    """Stop a run at each of `count` points (or some of them, spread evenly), then let the next one go on; how many."""
    points = spread(count, bench.size.points, bench.rng.random())
    for point in points:
        state.put_back()
        bench.oracle.forget()
        bench.server.calls.clear()
        bench.say(f"{stop_at.__name__.strip('_')} {point} of {count}")
        stop_at(bench, point)
        lost = bench.lost_answers(bench.oracle.check_whole(), 0)
        bench.index_quietly()
        if (again := bench.asked_again()) > lost:
            raise Trouble(f"{again} pictures were described again after a stop that lost {lost} descriptions")
    return len(points)


def spread(count: int, most: int | None, offset: float) -> list[int]:
    """The numbers from 1 to `count`, or `most` of them."""
    if most is None or count <= most:
        return list(range(1, count + 1))
    return [1 + int((number + offset) * count / most) for number in range(most)]


# Statements


def _statement_points(bench: Bench, state: State) -> int:
    state.put_back()
    counted = bench.folder / "statements"
    bench.index(PYTHONPATH=str(_ARMED), COUNT_STATEMENTS_IN=str(counted))
    return int(counted.read_text())


def _kill_at_statement(bench: Bench, point: int) -> None:
    bench.index(PYTHONPATH=str(_ARMED), KILL_AT_STATEMENT=str(point)).expect(-signal.SIGKILL)


# System calls


def _count_calls(bench: Bench, state: State, calls: str) -> int:
    """How many of `calls` the main thread of a whole run makes."""
    state.put_back()
    log = bench.folder / "calls"
    bench.index(wrapper=strace(calls, log=log))
    return main_thread_calls(log)


def _kill_at_call(bench: Bench, point: int) -> None:
    # The last ones come or not, as threads meet: a run that ended by itself is as good.
    bench.index(wrapper=strace(CALLS, f"signal=KILL:when={point}")).expect(-signal.SIGKILL, 0, 1)


def _fail_sync(bench: Bench, point: int) -> None:
    _fail(bench, "fdatasync,fsync", f"error=EIO:when={point}")


def _disk_full_from(bench: Bench, point: int) -> None:
    _fail(bench, "pwrite64", f"error=ENOSPC:when={point}+")


def _fail(bench: Bench, calls: str, how: str) -> None:
    ended = bench.index(wrapper=strace(calls, how))
    ended.expect(3, 0, 1)  # 0 and 1: SQLite checkpoints while it closes, and tries again at the next opening
    if ended.code == 3 and not re.search("images.db: .*disk", ended.err):
        raise Trouble(f"does not say what failed: {ended.err}")
