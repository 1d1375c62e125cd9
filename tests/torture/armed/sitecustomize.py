"""Counts what Python gives to SQLite, and its own fsync and rename; kills the process at the nth.

Put on PYTHONPATH by the torture harness; the product does not know of it. COUNT_STATEMENTS_IN names a file for the count,
KILL_AT_STATEMENT the number at which to end. Worker processes inherit the environment and count for nobody.
"""

from __future__ import annotations

import atexit
import os
import signal
import sqlite3
import sys
from typing import Any

_at = int(os.environ.pop("KILL_AT_STATEMENT", "0"))
_log = os.environ.pop("COUNT_STATEMENTS_IN", "")
_count = 0


def _step() -> None:
    global _count
    _count += 1
    if _count == _at:
        os.kill(os.getpid(), signal.SIGKILL)


def _counted(function: Any) -> Any:
    def counting(*arguments: Any, **options: Any) -> Any:
        _step()
        return function(*arguments, **options)

    return counting


class _Connection(sqlite3.Connection):
    execute = _counted(sqlite3.Connection.execute)
    executemany = _counted(sqlite3.Connection.executemany)
    commit = _counted(sqlite3.Connection.commit)
    close = _counted(sqlite3.Connection.close)


def _connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
    return _real_connect(*arguments, **{"factory": _Connection, **options})


def _write_count() -> None:
    with open(_log, "w", encoding="ascii") as file:
        file.write(str(_count))


if _at or _log:
    _real_connect = sqlite3.connect
    sqlite3.connect = _connect  # type: ignore[assignment]
    for _name in ("fsync", "rename", "replace", "unlink"):
        setattr(os, _name, _counted(getattr(os, _name)))
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    os.environ.pop("PYTHONPATH", None)
    if _log:
        atexit.register(_write_count)
