"""A bomb, an endless loop or a crash costs one file: the process that had it is replaced and the run goes on."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from picture_files import NO_IMAGES, dng, jpeg_with_looping_ifd, png_of_size, save, scene, text_bomb
from PIL import Image
from running import ROOT

from image_catalog.errors import ImageError
from image_catalog.guarded_workers import GuardedWorkers

# What runs in the workers: a function must be importable there, as these are.


def own_pid(path: bytes) -> int:
    return os.getpid()


def length_of_name(path: bytes, factor: int = 1) -> int:
    return len(path) * factor


def loop_for_ever(path: bytes) -> None:
    while True:
        pass


def sleep_for_ever(path: bytes) -> None:
    time.sleep(1000)


def crash(path: bytes) -> None:
    ctypes.string_at(0)


def leave(path: bytes) -> None:
    os._exit(3)


def eat_memory(path: bytes) -> int:
    return len(bytearray(4 << 30))


def be_killed_once(path: bytes) -> str:
    if os.path.exists(path):
        return "second time"
    with open(path, "wb"):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
    return "not reached"


def chatter(path: bytes) -> str:
    print("to stdout")
    os.write(1, b"to descriptor 1\n")
    print("to stderr", file=sys.stderr)
    return "done"


def raise_image_error(path: bytes) -> None:
    raise ImageError("a.jpg", "odd", "look at it", kind="strange")


def raise_something(path: bytes) -> None:
    raise AssertionError("unlikely")


@pytest.fixture
def workers() -> Iterator[GuardedWorkers]:
    with GuardedWorkers(2, cpu_seconds=1.0, wall_seconds=1.5) as workers:
        yield workers


def error_of(workers: GuardedWorkers, function: Callable[..., object]) -> ImageError:
    with pytest.raises(ImageError) as caught:
        workers.submit(function, b"/photos/a.jpg").result(timeout=20)
    return caught.value


def test_results_come_back(workers: GuardedWorkers) -> None:
    futures = [workers.submit(length_of_name, b"x" * length, 2) for length in range(50)]
    assert [future.result() for future in futures] == [length * 2 for length in range(50)]


def test_work_is_done_in_as_many_processes_as_asked_for(workers: GuardedWorkers) -> None:
    pids = {future.result() for future in [workers.submit(own_pid, b"") for _ in range(200)]}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_a_process_that_was_killed_while_idle_costs_no_file(workers: GuardedWorkers) -> None:
    pids = {workers.submit(own_pid, b"").result() for _ in range(20)}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert [workers.submit(length_of_name, b"abc").result(timeout=20) for _ in range(4)] == [3] * 4


def test_a_process_that_somebody_kills_in_a_task_gets_the_task_again(workers: GuardedWorkers, tmp_path: Path) -> None:
    mark = tmp_path / "was here"
    assert workers.submit(be_killed_once, bytes(mark)).result(timeout=20) == "second time"


def test_closing_while_a_process_starts_does_not_wait_for_its_task() -> None:
    for pause in (0.0, 0.001, 0.01, 0.05):
        workers = GuardedWorkers(1)
        workers.submit(sleep_for_ever, b"/photos/a.jpg")
        time.sleep(pause)
        started = time.monotonic()
        workers.close()
        assert time.monotonic() - started < 2


def test_errors_come_back_as_they_are(workers: GuardedWorkers) -> None:
    error = error_of(workers, raise_image_error)
    assert (error.subject, error.reason, error.remedy, error.kind) == ("a.jpg", "odd", "look at it", "strange")
    assert "AssertionError: unlikely" in error_of(workers, raise_something).reason


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (loop_for_ever, "too slow"),
        (sleep_for_ever, "too slow"),
        (crash, "crash"),
        (leave, "crash"),
        (eat_memory, "too large"),
    ],
)
def test_one_file_fails_and_the_next_is_read(workers: GuardedWorkers, function: Callable[..., object], kind: str) -> None:
    started = time.monotonic()
    error = error_of(workers, function)
    assert (error.subject, error.kind) == ("/photos/a.jpg", kind)
    assert time.monotonic() - started < 6
    assert workers.submit(length_of_name, b"123").result() == 3


def test_a_clock_does_not_run_between_tasks(workers: GuardedWorkers) -> None:
    pids = {workers.submit(own_pid, b"").result() for _ in range(20)}
    time.sleep(2)
    assert {workers.submit(own_pid, b"").result() for _ in range(20)} <= pids


def test_what_a_decoder_prints_reaches_nobody(workers: GuardedWorkers, capfd: pytest.CaptureFixture[str]) -> None:
    assert workers.submit(chatter, b"").result() == "done"
    assert workers.submit(length_of_name, b"123").result() == 3
    assert capfd.readouterr() == ("", "")


def test_examine_all_keeps_the_order_and_does_not_run_ahead(tmp_path: Path) -> None:
    paths = [bytes(save(tmp_path / f"{number:03}.png", scene(60 + number, 60))) for number in range(100)]
    paths[50:50] = [bytes(tmp_path / "missing.png")]
    asked = []

    def listed() -> Iterator[bytes]:
        for path in paths:
            asked.append(path)
            yield path

    with GuardedWorkers(2) as workers:
        outcomes = workers.examine_all(listed())
        first = next(outcomes)
        assert len(asked) < 60
        rest = list(outcomes)
    assert [getattr(outcome, "width", None) for outcome in [first, *rest]] == [
        *range(60, 110),
        None,
        *range(110, 160),
    ]
    assert isinstance(rest[49], ImageError) and rest[49].kind == "gone"


def test_closing_cancels_what_waits() -> None:
    workers = GuardedWorkers(1)
    running, waiting = workers.submit(sleep_for_ever, b""), workers.submit(length_of_name, b"1")
    time.sleep(0.3)
    started = time.monotonic()
    workers.close()
    assert time.monotonic() - started < 2
    assert waiting.cancelled()
    assert isinstance(running.exception(timeout=1), ImageError)
    with pytest.raises(RuntimeError):
        workers.submit(length_of_name, b"1")


# Real files


def test_hostile_files_end_as_one_error_each_and_good_ones_are_read(tmp_path: Path) -> None:
    bombs = {
        "size.png": png_of_size(60_000, 60_000),
        "text.png": text_bomb(),
        "html.jpg": NO_IMAGES["HTML"],
        "empty.jpg": b"",
        "half.dng": dng(b"")[:3000],
    }
    for name, content in bombs.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "loop.jpg").write_bytes(jpeg_with_looping_ifd())
    os.mkfifo(tmp_path / "fifo.jpg")
    save(tmp_path / "good.jpg")
    names = [*bombs, "fifo.jpg", "loop.jpg", "good.jpg"]
    started = time.monotonic()
    with GuardedWorkers(2) as workers:
        outcomes = dict(zip(names, workers.examine_all(bytes(tmp_path / name) for name in names), strict=True))
    assert time.monotonic() - started < 10
    failed = {name for name, outcome in outcomes.items() if isinstance(outcome, ImageError)}
    assert failed == {*bombs, "fifo.jpg"}


def test_108_million_pixels_fit_into_the_memory_allowed(tmp_path: Path) -> None:
    path = save(tmp_path / "large.jpg", Image.new("RGB", (12_000, 9_000), "navy"), quality=50)
    with GuardedWorkers(1) as workers:
        prepared = workers.prepare(bytes(path), 1024).result()
        assert (prepared.width, prepared.height) == (12_000, 9_000)


def test_8_gigabytes_of_nothing_are_not_read_to_the_end(tmp_path: Path) -> None:
    zeros, tail = tmp_path / "zeros.jpg", save(tmp_path / "tail.jpg")
    zeros.touch()
    for path in (zeros, tail):
        os.truncate(path, 8 << 30)
    started = time.monotonic()
    with GuardedWorkers(1) as workers:
        outcomes = list(workers.examine_all([bytes(zeros), bytes(tail)]))
    assert time.monotonic() - started < 3
    assert [outcome.kind for outcome in outcomes if isinstance(outcome, ImageError)] == ["not an image", "too large"]


# The parent

PARENT = """
import os, sys, time
sys.path[:0] = {paths!r}
import test_guarded_workers as tasks
from image_catalog.guarded_workers import GuardedWorkers
workers = GuardedWorkers(2)
workers.submit(tasks.own_pid, b"").result()
for _ in range(2):
    workers.submit(tasks.{task}, b"")
time.sleep(0.5)
print("ready", flush=True)
time.sleep(60)
"""


def start_parent(task: str) -> tuple[subprocess.Popen[str], set[int]]:
    """A process with two busy workers, and the ids of these."""
    program = PARENT.format(paths=[str(ROOT), str(ROOT / "tests")], task=task)
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    return parent, children_of(parent.pid)


def children_of(pid: int) -> set[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return {int(line) for line in listed.stdout.split()}


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("task", ["loop_for_ever", "sleep_for_ever"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent_and_say_nothing(task: str, number: signal.Signals) -> None:
    parent, workers = start_parent(task)
    assert len(workers) == 2
    parent.send_signal(number)
    _, errors = parent.communicate(timeout=20)
    deadline = time.monotonic() + 3
    while any(is_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(pid) for pid in workers)
    assert "worker_process" not in errors
    assert errors.count("Traceback") == (1 if number == signal.SIGINT else 0), errors


def test_the_parent_does_not_load_the_decoders() -> None:
    program = (
        "import sys\nfrom image_catalog.guarded_workers import GuardedWorkers\n"
        "with GuardedWorkers(1) as workers:\n    list(workers.examine_all([b'/missing.jpg']))\n"
        "print(*(name for name in ('PIL', 'exifread', 'pi_heif', 'numpy') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_no_module_is_imported_from_the_folder_of_the_photographs(tmp_path: Path) -> None:
    (tmp_path / "PIL.py").write_text("raise SystemExit('strange code ran')")
    save(tmp_path / "a.jpg")
    program = (
        "import sys\nsys.path = [entry for entry in sys.path if entry]\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from image_catalog.guarded_workers import GuardedWorkers\n"
        "with GuardedWorkers(1) as workers:\n    print(workers.prepare(b'a.jpg', 512).result().format)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "JPEG\n", done.stderr
