"""describe_image.py as its user runs it, against a server with Ollama's manners and faults."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from ollama_models import LLAMA3
from ollama_pictures import describe_colours, numbered_name, numbered_picture
from ollama_server import OllamaServer
from PIL import Image
from running import ROOT, run_script

import describe_image
from image_catalog import command_line

DEAD = "http://127.0.0.1:9"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one with a Russian name, and a text that is none."""
    for name, number in (("a.jpg", 100), ("собака.png", 2000), ("c.jpg", 7)):
        numbered_picture(number, (640, 480)).save(tmp_path / name, quality=90)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def expected(number: int, language: str = "en") -> str:
    return describe_colours(numbered_picture(number, (640, 480)), language).description


def run(capsys: pytest.CaptureFixture[str], server: OllamaServer | None, *arguments: str | Path) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the script in this process."""
    host = server.url if server else DEAD
    argv = ["--host", host, "--language", "en", *(os.fspath(argument) for argument in arguments)]
    code = command_line.run_script(describe_image.main, argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_describes_one_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer() as server:
        code, out, err = run(capsys, server, "-q", folder / "a.jpg")
    first, tags = out.splitlines()
    assert (code, first, err) == (0, expected(100), "")
    assert tags.startswith("Tags: ")


def test_several_pictures_each_after_its_path(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer() as server:
        code, out, _ = run(capsys, server, folder / "a.jpg", folder / "собака.png")
    blocks = [block.splitlines()[:2] for block in out.split("\n\n") if block.strip()]
    assert code == 0
    assert blocks == [[f"{folder}/a.jpg:", expected(100)], [f"{folder}/собака.png:", expected(2000)]]


def test_in_russian(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer() as server:
        _, out, _ = run(capsys, server, "--language", "ru", folder / "a.jpg")
    assert out.splitlines()[0] == expected(100, "ru")


def test_json_has_provenance_and_errors_in_their_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer() as server:
        files = (folder / "a.jpg", folder / "notes.txt", folder / "c.jpg", folder / "gone.jpg")
        code, out, err = run(capsys, server, "--json", *files)
    first, second, third, fourth = (json.loads(line) for line in out.splitlines())
    assert code == 1
    assert (first["path"], first["description"]) == (str(folder / "a.jpg"), expected(100))
    assert (first["engine"], first["model"], first["language"], first["prompt_version"]) == ("ollama", "gemma3:4b", "en", "1")
    assert (first["width"], first["height"], first["format"]) == (640, 480, "JPEG")
    assert first["seconds"] > 0
    assert second["error"]["kind"] == "not an image"
    assert third["description"] == expected(7)
    assert fourth["path"] == str(folder / "gone.jpg")
    assert fourth["error"]["reason"]
    failures = [line for line in err.splitlines() if "notes.txt" in line or "gone.jpg" in line]
    assert len(failures) == 2


def test_stdin(folder: Path) -> None:
    with OllamaServer() as server, open(folder / "c.jpg", "rb") as picture:
        command = [sys.executable, str(ROOT / "describe_image.py"), "--host", server.url, "--language", "en", "--json", "-"]
        done = subprocess.run(command, stdin=picture, capture_output=True, text=True, timeout=60)
        broken = subprocess.run(command, input="no picture", capture_output=True, text=True, timeout=60)
    value = json.loads(done.stdout)
    assert (value["path"], value["description"], done.returncode) == ("-", expected(7), 0)
    assert broken.returncode == 1
    assert "stdin: " in broken.stderr
    assert "/tmp" not in broken.stderr


def test_the_file_is_not_touched_and_the_model_sees_it_upright_and_scaled(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "lying.jpg"
    numbered_picture(2000, (3000, 2000)).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    before = path.read_bytes()
    with OllamaServer() as server:
        done = run_script("describe_image.py", "--host", server.url, "--max-image-size", "512", path)
        call = server.calls[0]
    assert done.returncode == 0
    assert (call.picture, call.picture_size) == (numbered_name(2000), (512, 341))
    assert path.read_bytes() == before


def test_what_the_file_says_is_given_to_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exif = Image.Exif()
    exif[0x010E] = "Grandmother's garden"
    (tmp_path / "Sochi 2015").mkdir()
    numbered_picture(1).save(tmp_path / "Sochi 2015" / "a.jpg", exif=exif)
    with OllamaServer() as server:
        run(capsys, server, tmp_path / "Sochi 2015" / "a.jpg")
        assert "Grandmother's garden" in server.calls[0].prompt
        assert "Sochi 2015" in server.calls[0].prompt


def test_a_prompt_of_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "prompt.txt").write_text("Only what is red.", encoding="utf-8")
    (folder / "empty.txt").write_text(" \n")
    (folder / "latin1.txt").write_bytes(b"caf\xe9")
    with OllamaServer() as server:
        code, out, _ = run(capsys, server, "--json", "--prompt", folder / "prompt.txt", folder / "a.jpg")
        assert "Only what is red." in server.calls[0].prompt
        assert (code, json.loads(out)["prompt_version"][:7]) == (0, "custom-")
        for wrong in ("empty.txt", "latin1.txt", "nosuch.txt"):
            code, _, err = run(capsys, server, "--prompt", folder / wrong, folder / "a.jpg")
            assert code == 2
            assert wrong in err


def test_a_terminal_shows_the_text_as_it_comes(folder: Path) -> None:
    leader, follower = pty.openpty()
    with OllamaServer(faults=["esc", "drip_tokens"]) as server:
        command = [sys.executable, str(ROOT / "describe_image.py"), "--host", server.url, "--language", "en", "--timeout", "2"]
        files = [str(folder / "a.jpg"), str(folder / "c.jpg")]
        with subprocess.Popen([*command, *files], stdout=follower, stderr=subprocess.PIPE) as process:
            os.close(follower)
            shown = b""
            while b"and and" not in shown:  # the second answer has no end: it is seen while it comes
                shown += os.read(leader, 4096)
            assert process.poll() is None
            process.wait(20)
    os.close(leader)
    text = shown.decode()
    assert expected(100) in text.replace("\r\n", "\n")
    assert text.index("a.jpg:") < text.index(expected(100)) < text.index("c.jpg:")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert process.returncode == 1


# The Ollama rows of the fault table, as the user of this script sees them


def test_not_running(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, None, folder / "a.jpg", folder / "c.jpg")
    assert (code, out) == (3, "")
    assert len(err.splitlines()) == 1
    assert f"Ollama is not reachable at {DEAD}" in err
    assert 'start it with "ollama serve"' in err


def test_model_missing_or_blind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer() as server:
        code, _, err = run(capsys, server, "--model", "nosuch", folder / "a.jpg")
        assert (code, "ollama pull nosuch" in err) == (3, True)
        code, _, err = run(capsys, server, "--model", "llama3", folder / "a.jpg")
        assert (code, "cannot see pictures" in err, "gemma3:4b" in err) == (3, True, True)
        assert server.calls == []
    with OllamaServer(models=[LLAMA3]) as server:
        code, _, err = run(capsys, server, folder / "a.jpg")
        assert (code, "ollama pull gemma3:4b" in err) == (3, True)


def test_dies_after_the_first_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer(die_after=1) as server:
        started = time.monotonic()
        code, out, err = run(capsys, server, folder / "a.jpg", folder / "c.jpg", folder / "собака.png")
    assert time.monotonic() - started < 8
    assert code == 3
    assert expected(100) in out
    assert expected(7) not in out
    assert "is not reachable" in err.splitlines()[-1]


BAD_ANSWERS = {
    "hang": "no description within 1 s",
    "drip": "no description within 1 s",
    "empty": "said nothing",
    "null": "said nothing",
    "number": "said nothing",
    "missing": "said nothing",
    "done_false": "stopped in the middle",
    "huge": "longer than",
    "loop": "repeated itself",
    "refusal": "did not describe it",
    "undecodable": "cannot read the picture",
}
SERVER_ERRORS = {
    "500": "unable to allocate CPU buffer",
    "503": "server busy",
    "429": "too many requests",
    "half": "broke off",
    "reset": "broke off",
    "garbage": "broke off",
    "html": "not Ollama's",
    "runner_died": "unexpected EOF",
}


@contextmanager
def server_with(fault: str) -> Iterator[OllamaServer]:
    """A server with `fault` for picture 100 only."""
    with OllamaServer(fault_for=lambda call: fault if call.picture == numbered_name(100) else "ok") as server:
        yield server


def assert_one_failed(folder: Path, words: str, code: int, out: str, err: str) -> None:
    """a.jpg failed for the reason `words`, in one line; c.jpg is described."""
    assert code == 1
    assert expected(7) in out
    assert expected(100) not in out
    assert len(err.splitlines()) == 1
    assert f"{folder}/a.jpg: " in err
    assert words in err


@pytest.mark.parametrize(("fault", "words"), BAD_ANSWERS.items())
def test_a_bad_answer_fails_its_picture_and_the_next_goes_on(
    fault: str, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timeout = "1" if "within 1 s" in words else "20"
    with server_with(fault) as server:
        started = time.monotonic()
        code, out, err = run(capsys, server, "-q", "--timeout", timeout, folder / "a.jpg", folder / "c.jpg")
        assert timeout != "1" or time.monotonic() - started < 3
    assert_one_failed(folder, words, code, out, err)


def test_a_server_error_that_stays_fails_its_picture_and_the_next_goes_on(folder: Path) -> None:
    """Each after two retries; all at once, since they only wait."""

    def outcome(fault: str) -> tuple[int, str, str, int]:
        with server_with(fault) as server:
            files = (folder / "a.jpg", folder / "c.jpg")
            done = run_script("describe_image.py", "-q", "--language", "en", "--host", server.url, *files)
            return done.returncode, done.stdout, done.stderr, server.times_asked()[numbered_name(100)]

    with ThreadPoolExecutor(len(SERVER_ERRORS)) as pool:
        for fault, (code, out, err, tries) in zip(SERVER_ERRORS, pool.map(outcome, SERVER_ERRORS), strict=True):
            assert_one_failed(folder, SERVER_ERRORS[fault], code, out, err)
            assert tries == 3, fault


def test_a_dirty_answer_reaches_the_terminal_clean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer(faults=["esc", "esc"]) as server:
        for options in ([], ["--json"]):
            code, out, _ = run(capsys, server, *options, folder / "a.jpg")
            assert code == 0
            out.encode("utf-8")
            assert not [char for char in out if (ord(char) < 0x20 and char != "\n") or char in "\x7f\u202e\u202c\ud800"]


def test_a_redirect_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer() as other, OllamaServer(faults=["redirect"], redirect_to=other.url) as server:
        code, out, err = run(capsys, server, folder / "a.jpg")
        assert (code, out, other.requests) == (3, "", [])
    assert "redirects to" in err


def test_a_cold_start_is_said_and_waited_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer(load_seconds=1.5) as server:
        code, _, err = run(capsys, server, "--timeout", "1", folder / "a.jpg")
    assert (code, "loading model gemma3:4b" in err) == (0, True)


def test_a_huge_answer_costs_no_memory(folder: Path) -> None:
    """Peak memory of the whole process with an answer of 300 MB, against one with a good answer."""

    def peak(server: OllamaServer) -> int:
        program = (
            "import resource, sys, describe_image\n"
            "from image_catalog.command_line import run_script\n"
            "run_script(describe_image.main, sys.argv[1:])\n"
            "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        command = [sys.executable, "-c", program, "--host", server.url, str(folder / "a.jpg")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
        return int(done.stdout.rsplit("PEAK ", 1)[1])

    with OllamaServer() as server:
        usual = peak(server)
    with OllamaServer(fault_for=lambda call: "huge") as server:
        huge = peak(server)
    unit = 1024 if sys.platform != "darwin" else 1
    assert (huge - usual) * unit < 8 << 20


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_while_the_server_hangs(number: int, code: int, folder: Path) -> None:
    with OllamaServer(fault_for=lambda call: "hang" if call.picture == numbered_name(7) else "ok") as server:
        command = [sys.executable, str(ROOT / "describe_image.py"), "--host", server.url, "--language", "en"]
        files = [str(folder / "a.jpg"), str(folder / "c.jpg")]
        with subprocess.Popen([*command, *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 20
            while len(server.calls) < 2 and time.monotonic() < deadline:
                time.sleep(0.02)
            started = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=10)
            assert time.monotonic() - started < 2
    assert process.returncode == code
    assert expected(100) in out
    assert "Traceback" not in err


def test_a_reader_that_leaves_ends_it_quietly(folder: Path) -> None:
    with OllamaServer() as server:
        command = f"{sys.executable} {ROOT}/describe_image.py -q --host {server.url} {folder}/a.jpg {folder}/c.jpg | head -c 5"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (len(done.stdout), done.stderr) == (5, "")


def test_engine_openai(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OllamaServer() as server:
        code, out, _ = run(capsys, server, "--engine", "openai", "--model", "gemma3:4b", "--json", folder / "a.jpg")
    value = json.loads(out)
    assert (code, value["engine"], value["description"]) == (0, "openai", expected(100))


@pytest.mark.parametrize(
    "arguments",
    [[], ["-", "-"], ["--timeout", "0", "a.jpg"], ["--max-image-size", "10", "a.jpg"], ["--language", "no such", "a.jpg"]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    done = run_script("describe_image.py", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    numbered_picture(100, (640, 480)).save(tmp_path / "a.jpg")
    os.rename(tmp_path / "a.jpg", path)
    with OllamaServer() as server:
        done = run_script("describe_image.py", "--host", server.url, "--language", "en", "--json", path)
        failed = run_script("describe_image.py", "--host", server.url, path + b".gone")
    value = json.loads(done.stdout)
    assert os.fsencode(value["path"]) == path
    assert value["description"] == expected(100)
    assert failed.returncode == 1
    assert "caf\\xe9.jpg.gone" in failed.stderr
