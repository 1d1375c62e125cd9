"""Worker processes that open hostile files, so that a bomb, an endless loop or a crash costs one file and not the run.

Knows processes, limits and futures; which functions run in them is the caller's choice, usually reading.examine and
picture.prepare. Plain pipes rather than a pool library: with pebble a busy worker outlives a parent that was killed, and
a parent that leaves at once gets multiprocessing's warning of leaked semaphores onto its user's screen.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, TypeVar

from image_catalog.errors import ImageError

if TYPE_CHECKING:
    from image_catalog.picture import Picture
    from image_catalog.reading import Examined

Result = TypeVar("Result")

MOST_WORKERS = 4
# 108 million pixels with transparency are 432 MB, and a decoder may need as much again.
MEMORY_LIMIT = 2 << 30
# The slowest good pictures (100 million pixels in AVIF) take some ten seconds; a stuck network disk longer.
CPU_SECONDS = 30.0
WALL_SECONDS = 120.0
_LOOK_AHEAD = 16


class GuardedWorkers:
    """Runs functions on files in `count` processes with limits; a process that dies is replaced.

    Processes start with their first task. A function must be importable, take the path first, and return what can be
    pickled; its ImageError comes back as it is, and so does the end of its process.
    """

    def __init__(
        self,
        count: int | None = None,
        *,
        memory_limit: int = MEMORY_LIMIT,
        cpu_seconds: float = CPU_SECONDS,
        wall_seconds: float = WALL_SECONDS,
    ) -> None:
        self.count = count or min(MOST_WORKERS, os.cpu_count() or 1)
        self._limits = (memory_limit, cpu_seconds, wall_seconds)
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> GuardedWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def examine(self, path: bytes) -> Future[Examined]:
        """All that is known of a file without a model; see reading.examine."""
        from image_catalog import reading  # a run over an unchanged tree opens nothing, and needs none of this

        return self.submit(reading.examine, path)

    def prepare(self, path: bytes, max_size: int) -> Future[Picture]:
        """The upright, scaled JPEG for the model; see picture.prepare."""
        from image_catalog import picture

        return self.submit(picture.prepare, path, max_size)

    def examine_all(self, paths: Iterable[bytes]) -> Iterator[Examined | ImageError]:
        """What examine says of each path, in their order; a few files ahead of the caller, never all at once."""
        waiting: deque[Future[Examined]] = deque()
        for path in paths:
            waiting.append(self.examine(path))
            if len(waiting) > _LOOK_AHEAD * self.count:
                yield _outcome(waiting.popleft())
        while waiting:
            yield _outcome(waiting.popleft())

    def submit(self, function: Callable[..., Result], path: bytes, *arguments: Any) -> Future[Result]:
        """Run `function(path, *arguments)` in a worker. The future raises ImageError if that failed or its process died."""
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the workers are closed")
            if len(self._workers) < self.count:
                self._workers.append(_Worker(self._tasks, self._limits))
        self._tasks.put((future, function, path, arguments))
        return future

    def close(self) -> None:
        """End all processes now; what was not finished is cancelled."""
        with self._lock:
            self._closed = True
        while True:
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                break
            if task is not None:
                task[0].cancel()
        for _ in self._workers:
            self._tasks.put(None)
        for worker in self._workers:
            worker.stop()


_Task = tuple[Future[Any], Callable[..., Any], bytes, tuple[Any, ...]]


def _outcome(future: Future[Examined]) -> Examined | ImageError:
    while True:
        try:
            return future.result(timeout=0.5)  # in pieces, as description_run waits: a signal may wake another thread only
        except TimeoutError:
            continue
        except ImageError as error:
            return error


class _Worker:
    """One process and the thread that feeds it."""

    def __init__(self, tasks: queue.SimpleQueue[_Task | None], limits: tuple[int, float, float]) -> None:
        self._tasks = tasks
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()  # a process that starts while stop() looks for one would outlive it
        self._thread = threading.Thread(target=self._serve, name="guarded worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()
        self._thread.join()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None and not self._stopped:
            future, function, path, arguments = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._run(function, path, arguments))
            except BaseException as error:
                future.set_exception(error)
        self._end_process()

    def _run(self, function: Callable[..., Any], path: bytes, arguments: tuple[Any, ...]) -> Any:
        try:
            answer = self._answer(function, path, arguments)
        except _ProcessEnded as end:
            if end.code != _KILLED or self._stopped:
                raise _obituary(path, end.code) from None
            # Its own limits end a process otherwise: somebody else did it, perhaps while it was idle.
            try:
                answer = self._answer(function, path, arguments)
            except _ProcessEnded as again:
                raise _obituary(path, again.code) from None
        if isinstance(answer, ImageError):
            raise answer
        return answer

    def _answer(self, function: Callable[..., Any], path: bytes, arguments: tuple[Any, ...]) -> Any:
        process = self._living_process()
        assert process.stdin is not None and process.stdout is not None
        try:
            pickle.dump((function, path, arguments), process.stdin)
            process.stdin.flush()
            return pickle.load(process.stdout)  # noqa: S301 - from a process of our own
        except (EOFError, OSError, pickle.UnpicklingError):
            raise _ProcessEnded(self._end_process()) from None

    def _living_process(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end_process()
        with self._lock:
            if self._stopped:
                raise CancelledError
            self._process = self._process or _started(self._limits)
            return self._process

    def _end_process(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not sent to a dead process
                pipe.close()
        try:
            return process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


class _ProcessEnded(Exception):
    """A worker's process ended in the middle of a task, with this exit code."""

    def __init__(self, code: int) -> None:
        self.code = code


def _started(limits: tuple[int, float, float]) -> subprocess.Popen[bytes]:
    # -P: no module is ever imported from the current folder, which may be full of strangers' files.
    command = [sys.executable, "-P", "-m", "image_catalog.worker_process", *map(str, limits)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders in C complain there of every odd file
        env=environment,
        start_new_session=True,  # a terminal's Ctrl-C is for the parent; when that ends, our end of the pipe closes
    )


_KILLED = -getattr(signal, "SIGKILL", 0)


def _obituary(path: bytes, code: int) -> ImageError:
    """Why a process ended in the middle of a task."""
    kind, reason = _causes().get(-code, ("crash", f"reading it crashed the decoder ({_signal_name(-code)})"))
    return ImageError(os.fsdecode(path), reason, kind=kind)


def _causes() -> dict[int, tuple[str, str]]:
    """Signals that mean a limit; POSIX has them all, Windows none."""
    causes = {
        "SIGALRM": ("too slow", "reading it did not end in time"),
        "SIGPROF": ("too slow", "reading it took too much computing time"),
        "SIGKILL": ("too large", "reading it took too much memory (the system ended it)"),
    }
    return {getattr(signal, name): cause for name, cause in causes.items() if hasattr(signal, name)}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit code {-number}"
