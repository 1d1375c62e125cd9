"""The product as its user meets it: scripts in a folder, run as processes, killed, limited and traced.

Knows processes and nothing of what is in a catalog. `folder` may hold a copy of the product with a bug planted in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ("index_images.py", "create_faiss_index.py", "search_images.py", "describe_image.py", "extract_exif.py")
# Exit codes of DESIGN section 2, and the two ends that this harness gives itself.
CODES = frozenset({0, 1, 2, 3, 75, 130, 143, -signal.SIGKILL})
LONGEST_SECONDS = 60.0
MARK = "IMAGE_CATALOG_TORTURE"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Trouble(AssertionError):
    """Something that must never be so."""


@dataclass(frozen=True)
class Ended:
    """How a process ended; `seconds` from its start."""

    code: int
    out: str
    err: str
    seconds: float

    def expect(self, *codes: int) -> Ended:
        """This, if it ended with one of `codes`; else Trouble with what it said."""
        if self.code not in codes:
            raise Trouble(f"ended with {self.code} instead of {' or '.join(map(str, codes))}: {self.err[-600:]}{self.out[-300:]}")
        return self


class Running:
    """A script that has been started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._started = time.monotonic()

    def kill(self) -> bool:
        """SIGKILL; whether it was still alive."""
        self.process.kill()
        return self.end().code == -signal.SIGKILL

    def end(self, within: float = LONGEST_SECONDS) -> Ended:
        """Wait for its end, whatever it is. Trouble: a hang, a traceback, a control character, a code of no table."""
        try:
            out, err = self.process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Trouble(f"hangs: no end within {within:.0f} s: {self.process.args}") from None
        ended = Ended(self.process.returncode, out, err, time.monotonic() - self._started)
        _check_manners(ended)
        return ended


class Product:
    """The scripts in `folder`, each run with an environment as empty as cron's."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(work),
            "TMPDIR": str(work),
            "IMAGE_CATALOG_CACHE": os.environ.get("IMAGE_CATALOG_TESTS_CACHE") or str(work / "cache"),
            "HF_HUB_OFFLINE": "1",
            MARK: str(work),
        }
        self._work = work

    def start(
        self,
        script: str,
        *arguments: str | Path,
        wrapper: Sequence[str] = (),
        largest_file: int | None = None,
        **environment: str,
    ) -> Running:
        """Start a script, under `wrapper` (strace …) and with a limit in bytes on the files that it writes."""

        def limit() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        process = subprocess.Popen(
            [*wrapper, sys.executable, str(self.folder / script), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            env=self.environment | environment,
            cwd=self._work,
            preexec_fn=limit if largest_file is not None else None,
        )
        return Running(process)

    def run(self, script: str, *arguments: str | Path, **options: object) -> Ended:
        """Start a script and wait for its end."""
        return self.start(script, *arguments, **options).end()  # type: ignore[arg-type]

    def left_behind(self) -> list[int]:
        """Processes of this product that outlive the runs that started them; a moment is given to them to end."""
        deadline = time.monotonic() + 5
        while (pids := self._alive()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return pids

    def _alive(self) -> list[int]:
        mark = f"{MARK}={self._work}".encode()
        alive = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in environ.read_bytes().split(b"\0"):
                    alive.append(int(environ.parent.name))
        return alive


def copy_product(source: Path, target: Path) -> Path:
    """The scripts and the package, for planting a bug in."""
    target.mkdir(parents=True)
    for script in SCRIPTS:
        shutil.copy(source / script, target)
    shutil.copytree(source / "image_catalog", target / "image_catalog", ignore=shutil.ignore_patterns("__pycache__"))
    return target


def _check_manners(ended: Ended) -> None:
    if ended.code not in CODES:
        raise Trouble(f"ended with {ended.code}: {ended.err[-600:]}")
    for name, text in (("stdout", ended.out), ("stderr", ended.err)):
        if "Traceback" in text or "Exception ignored" in text or "internal error" in text:
            raise Trouble(f"a traceback on {name}: {text[-1500:]}")
        if _CONTROL.search(text):
            raise Trouble(f"a control character on {name}: {text!r}")


# What this machine lets the harness do


@cache
def why_no_strace() -> str | None:
    """None where strace can stop a program at its nth system call."""
    if shutil.which("strace") is None:
        return "strace is not here"
    program = [sys.executable, "-c", "import os; os.unlink('/nowhere/at/all')"]
    done = subprocess.run([*strace("unlink", "signal=KILL:when=1"), *program], capture_output=True)
    return None if done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL) else "strace may not trace here"


def strace(calls: str, how: str = "", log: Path | str = os.devnull) -> list[str]:
    """The beginning of a command line under strace: `how` happens to `calls`, or they are only written to `log`.

    Without --seccomp-bpf, which would be faster: strace 6.1 sends no signals with it.
    """
    inject = ["-e", f"inject={calls}:{how}"] if how else []
    return ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={calls}", *inject]


def main_thread_calls(log: Path) -> int:
    """How many lines of a log of strace are those of the first thread; the nth is counted thread by thread."""
    threads = [line.split(maxsplit=1)[0] for line in log.read_text(errors="replace").splitlines()]
    return threads.count(threads[0])
