"""The program that runs in each guarded worker: pickled (function, path, arguments) on stdin -> result or ImageError on stdout.

Started by guarded_workers as `python -m image_catalog.worker_process MEMORY_BYTES CPU_SECONDS WALL_SECONDS`. A task over its
limits ends the process; so does the end of the parent, whatever the task is doing.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

from image_catalog.errors import ImageError


def main(memory_limit: int, cpu_seconds: float, wall_seconds: float) -> None:
    """Serve tasks until stdin ends."""
    results = _private_stdout()
    _limit_memory(memory_limit)
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, tasks), daemon=True).start()
    while True:
        task = tasks.get()
        _start_clock(cpu_seconds, wall_seconds)
        answer = pickle.dumps(_answer(task))
        _start_clock(0, 0)
        results.write(answer)
        results.flush()


def _receive(source: BinaryIO, tasks: queue.SimpleQueue[Any]) -> None:
    """In a thread of its own, so that the end of the parent is noticed even in the middle of an endless task."""
    with contextlib.suppress(Exception):  # EOFError as a rule; whatever it is, waiting on would be for ever
        while True:
            tasks.put(pickle.load(source))  # noqa: S301 - from our parent
    os._exit(0)


def _answer(task: Any) -> Any:
    function, path, arguments = task
    subject = os.fsdecode(path)
    try:
        return function(path, *arguments)
    except ImageError as error:
        return error
    except MemoryError:
        return ImageError(subject, "too large to decode in the memory allowed", kind="too large")
    except Exception as error:  # one odd file must not end a run over 100,000
        return ImageError(subject, f"cannot be read ({type(error).__name__}: {error})")


def _private_stdout() -> BinaryIO:
    """The pipe to the parent, out of reach of anything that prints."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return results


def _limit_memory(limit: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(ValueError, OSError):  # a lower limit may be set already
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _start_clock(cpu_seconds: float, wall_seconds: float) -> None:
    """The kernel ends this process by SIGPROF or SIGALRM when the time is over, even inside a decoder; 0 stops the clock."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, wall_seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
