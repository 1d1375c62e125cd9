"""Safe printing, errors to lines and exit codes: what every script relies on."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from image_catalog import command_line
from image_catalog.command_line import json_text, printable, printable_lines, run_script
from image_catalog.errors import AnotherRunActive, CannotGoOn, ImageError, UsageError

ROOT = Path(__file__).resolve().parent.parent

HOSTILE = [
    ("\x1b[31mred", "\\x1b[31mred"),
    ("a\x00b", "a\\x00b"),
    ("a\x7fb\x9bc", "a\\x7fb\\x9bc"),
    ("one\ntwo\ttab", "one\\ntwo\\ttab"),
    ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
    ("line\u2028sep", "line\\u2028sep"),
    ("\U000e0041tag", "\\U000e0041tag"),
    (os.fsdecode(b"caf\xe9.jpg"), "caf\\xe9.jpg"),
    ("\ud800 alone", "\\ud800 alone"),
    ("Собака на пляже 🐕 ё", "Собака на пляже 🐕 ё"),
]


@pytest.mark.parametrize(("text", "shown"), HOSTILE)
def test_printable_shows_every_control_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    printable(text).encode("utf-8")  # nothing is left that a strict stream refuses


def test_no_control_bidi_or_surrogate_passes_at_all() -> None:
    every = "".join(map(chr, range(0x20000)))
    shown = printable(every)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in shown)
    assert not set("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(shown)


def test_printable_lines_keeps_line_breaks_only() -> None:
    assert printable_lines("one\ntwo\x1b[2J") == "one\ntwo\\x1b[2J"


@pytest.mark.parametrize("text", [text for text, _ in HOSTILE])
def test_json_text_is_safe_and_lossless(text: str) -> None:
    written = json_text({"path": text})
    assert written.encode("utf-8").isascii() or not set(written) & set(map(chr, range(0x20)))
    assert printable(written) == written
    assert json.loads(written)["path"] == text


def test_a_path_that_is_not_utf8_comes_back_from_json_as_its_bytes() -> None:
    written = json_text({"path": os.fsdecode(b"/a/\xff\xfe.jpg")})
    assert os.fsencode(json.loads(written)["path"]) == b"/a/\xff\xfe.jpg"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CannotGoOn("images.db", "disk full", "free some space"), 3, "images.db: disk full; free some space"),
        (UsageError("--near", "latitude 91 is out of range"), 2, "--near: latitude 91 is out of range"),
        (AnotherRunActive("images.db", "another index run is active"), 75, "images.db: another index run is active"),
        (ImageError("a\x1b.jpg", "cut"), 1, "a\\x1b.jpg: cut"),
        (
            ModuleNotFoundError("No module", name="faiss"),
            3,
            "faiss: is not installed; install it: pip install -r requirements.txt",
        ),
        (MemoryError(), 3, "out of memory; close other programs or work on fewer pictures at a time"),
        (ZeroDivisionError("x"), 3, "internal error: ZeroDivisionError: x; please report it with the output of --debug"),
    ],
)
def test_an_error_becomes_one_line_and_its_exit_code(
    error: Exception, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(argv: list[str]) -> int:
        raise error

    assert run_script(main, []) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"{command_line.program_name()}: {line}\n"


def test_debug_shows_where_a_bug_arose() -> None:
    def main(argv: list[str]) -> int:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        run_script(main, ["--debug"])


def test_a_wrong_option_is_one_safe_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = command_line.ArgumentParser("what it does", "an example", prog="tool.py")
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--nonsense\x1b[31m"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "\x1b" not in error
    assert "see tool.py --help" in error


def test_quiet_leaves_only_failures(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = command_line.Reporter(quiet=True)
    reporter.note("good to know")
    with reporter.progress(2) as progress:
        progress.advance()
    reporter.failure(ImageError("a.jpg", "cut"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"{command_line.program_name()}: a.jpg: cut\n"


def test_a_warning_with_a_key_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = command_line.Reporter()
    for _ in range(3):
        reporter.warn("install it", once="heif")
    assert capsys.readouterr().err.count("install it") == 1


def test_progress_off_a_terminal_prints_a_line_a_minute_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    with command_line.Reporter().progress(1000) as progress:
        for _ in range(500):
            progress.advance()
        assert capsys.readouterr().err == ""
        progress._last_line -= 61  # a minute has gone by
        for _ in range(100):
            progress.advance()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "501 of 1,000 images" in lines[0]
    assert "left" in lines[0]


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (59, "59 s"), (61, "1 min"), (3600, "1 h 00 min"), (200_000, "2 d 7 h")]
)
def test_duration_text(seconds: float, text: str) -> None:
    assert command_line.duration_text(seconds) == text


def _run_code(code: str, **options: object) -> subprocess.Popen[str]:
    program = f"import sys, time\nfrom image_catalog.command_line import *\n{code}\nsys.exit(run_script(main))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_within_two_seconds_even_while_a_thread_hangs(number: int, code: int) -> None:
    process = _run_code(
        "import threading\n"
        "def main(argv):\n"
        "    threading.Thread(target=lambda: time.sleep(60)).start()\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    assert process.stdout is not None
    process.stdout.readline()
    started = time.monotonic()
    process.send_signal(number)
    _, error = process.communicate(timeout=5)
    assert time.monotonic() - started < 2
    assert process.returncode == code
    assert "Traceback" not in error
    assert "stopped by" in error


def test_a_closed_pipe_ends_quietly() -> None:
    process = _run_code("def main(argv):\n    for n in range(100000): write_line('x' * 100)\n    return 0\n")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=10) == 0
    process.stderr.close()


def test_an_ascii_terminal_shows_escapes_instead_of_failing() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii:strict"}
    program = (
        "import sys\nfrom image_catalog.command_line import *\n"
        "def main(argv):\n    write_line(printable('собака'))\n    return 0\nsys.exit(run_script(main))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("\\u0441")


def test_colour_needs_a_terminal_and_no_no_color() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    before = dict(os.environ)
    try:
        os.environ.update(TERM="xterm")
        os.environ.pop("NO_COLOR", None)
        assert command_line.colour_allowed(Terminal())
        assert not command_line.colour_allowed(io.StringIO())
        os.environ["NO_COLOR"] = "1"
        assert not command_line.colour_allowed(Terminal())
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.parametrize(
    ("arguments", "files", "recursive"),
    [
        (["a", "-r", "b"], ["a", "b"], True),
        (["-r", "a", "b"], ["a", "b"], True),
        (["--", "-rf.jpg", "--"], ["-rf.jpg", "--"], False),
        (["a", "-r", "--", "-b", "c"], ["a", "-b", "c"], True),
        ([], [], False),
    ],
)
def test_options_and_files_may_stand_in_any_order(arguments: list[str], files: list[str], recursive: bool) -> None:
    parser = command_line.ArgumentParser("what it does", "an example")
    parser.add_argument("files", nargs="*")
    parser.add_argument("-r", action="store_true")
    parsed = parser.parse_args(arguments)
    assert (parsed.files, parsed.r) == (files, recursive)
