"""Whatever the model server does, an index run ends in time, says why in a line, stores nothing false, and the next goes on."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ollama_api import Call
from ollama_pictures import describe_colours, numbered_name, numbered_picture
from ollama_server import OllamaServer
from running import ROOT
from test_describe_image import BAD_ANSWERS, SERVER_ERRORS

from image_catalog.catalog import Catalog

GOOD, BAD = 7, 100
FAULTS = {**BAD_ANSWERS, **SERVER_ERRORS}


class Run(NamedTuple):
    """How one run of index_images.py ended, and the rows that it left, by picture number."""

    code: int
    out: str
    err: str
    seconds: float
    rows: dict[int, dict[str, Any]]


def photos(folder: Path, *numbers: int) -> Path:
    """A folder with these pictures, named by their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        numbered_picture(number).save(folder / f"{number}.png")
    return folder


def index(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Run:
    """Index `folder` into a catalog beside it, as from a shell."""
    db = folder.parent / f"{folder.name}.db"
    command = [sys.executable, str(ROOT / "index_images.py"), str(folder), "--db", str(db), "--language", "en", *arguments]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment)
    seconds = time.monotonic() - started
    assert "Traceback" not in done.stderr, done.stderr
    with Catalog.open_for_reading(str(db)) as catalog:
        rows = catalog._all("SELECT * FROM images WHERE gone_at IS NULL")
    return Run(done.returncode, done.stdout, done.stderr, seconds, {int(Path(row["path"]).stem): row for row in rows})


def states(run: Run) -> dict[int, str]:
    return {number: row["state"] for number, row in run.rows.items()}


def assert_true(run: Run) -> None:
    """Every stored description is that of its very picture."""
    for number, row in run.rows.items():
        if row["description"] is not None:
            assert row["description"] == describe_colours(numbered_picture(number), "en").description


def with_fault(fault: str, folder: Path) -> tuple[Run, Run]:
    """A run in which one picture of two always meets `fault`, and the next one, with a good server."""
    timeout = "1" if "within 1 s" in FAULTS[fault] else "20"
    with OllamaServer(fault_for=lambda call: fault if call.picture == numbered_name(BAD) else "ok") as server:
        first = index(photos(folder, GOOD, BAD), "-q", "--host", server.url, "--timeout", timeout)
        server.fault_for = None
        return first, index(folder, "-q", "--retry-failed")


def test_one_picture_that_always_goes_wrong_costs_only_itself(tmp_path: Path) -> None:
    """Every row of faults, several at once, since they mostly wait."""
    with ThreadPoolExecutor(6) as pool:
        ended = dict(zip(FAULTS, pool.map(lambda fault: with_fault(fault, tmp_path / fault), FAULTS), strict=True))
    for fault, (first, second) in ended.items():
        assert first.code == 1, (fault, first)
        assert len(first.err.splitlines()) == 1, (fault, first.err)
        assert f"/{BAD}.png: " in first.err, (fault, first.err)
        assert FAULTS[fault] in first.err, (fault, first.err)
        assert first.rows[GOOD]["state"] == "described", fault
        bad = first.rows[BAD]
        assert (bad["description"], bad["tags"], bad["visible_text"]) == (None, None, None), fault
        assert bad["state"] != "described", fault
        assert FAULTS[fault] in bad["failure_reason"], (fault, bad)
        assert bad["facts"], fault
        assert_true(first)
        assert (second.code, second.err, set(states(second).values())) == (0, "", {"described"}), (fault, second)
        assert_true(second)


def test_a_thousand_pictures_wait_for_a_server_that_is_down(tmp_path: Path) -> None:
    with OllamaServer() as server:
        port = server.port
    folder = photos(tmp_path / "many", *range(1000))
    first = index(folder, "-q", "--host", f"http://127.0.0.1:{port}")
    assert first.code == 3
    assert first.seconds < 60
    assert len(first.err.splitlines()) == 1
    assert "is not reachable" in first.err
    assert set(states(first).values()) == {"waiting"}
    assert all(row["facts"] and row["content_hash"] and row["failure_kind"] is None for row in first.rows.values())
    with OllamaServer(port=port, slots=4) as server:
        second = index(folder, "-q", "--host", server.url, "--workers", "4", "--max-minutes", "0.1")
    assert second.code == 0
    assert "described" in states(second).values()
    assert "failed" not in states(second).values()
    assert_true(second)


def test_a_server_that_dies_in_the_middle_is_not_asked_a_thousand_times(tmp_path: Path) -> None:
    folder = photos(tmp_path / "many", *range(30))
    with OllamaServer(die_after=4) as server:
        first = index(folder, "-q", "--host", server.url)
        assert first.code == 3
        assert first.seconds < 30
        assert sorted(set(states(first).values())) == ["described", "waiting"]
        assert list(states(first).values()).count("described") in (3, 4)
        assert_true(first)
        server.die_after = None
        server.start()
        second = index(folder, "-q")
    assert (second.code, set(states(second).values())) == (0, {"described"})
    assert_true(second)


def test_of_three_servers_one_dies_and_each_picture_has_its_own_description(tmp_path: Path) -> None:
    folder = photos(tmp_path / "many", *range(0, 9000, 150))
    with ExitStack() as stack:
        servers = [stack.enter_context(OllamaServer(latency=0.05, die_after=5 if n == 1 else None)) for n in range(3)]
        hosts = [argument for server in servers for argument in ("--host", server.url)]
        run = index(folder, *hosts)
        counts = [server.times_described().total() for server in servers]
    assert (run.code, set(states(run).values())) == (0, {"described"})
    assert_true(run)
    assert sum(counts) <= 61  # the answer that was on its way when the server died may be asked for again
    assert min(counts[0], counts[2]) > 10
    assert run.err.count("going on without it") == 1


def test_a_server_that_does_nothing_holds_no_run(tmp_path: Path) -> None:
    """One byte every half second, for every picture: each ends at its deadline, and after a few the run does."""
    with OllamaServer(fault_for=lambda call: "drip") as server:
        run = index(photos(tmp_path / "many", *range(12)), "-q", "--host", server.url, "--timeout", "1")
    assert run.code in (1, 3)
    assert run.seconds < 30
    assert all(row["description"] is None for row in run.rows.values())


def test_an_answer_of_300_megabytes_costs_no_memory(tmp_path: Path) -> None:
    with OllamaServer() as server:
        index(photos(tmp_path / "usual", 1, 2), "--host", server.url)
        usual = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # the largest child so far
    with OllamaServer(fault_for=lambda call: "huge") as server:
        run = index(photos(tmp_path / "huge", 1, 2), "-q", "--host", server.url)
        huge = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert run.code in (1, 3)
    assert all(row["description"] is None for row in run.rows.values())
    assert huge - usual < 16 << 10  # KB


def test_no_picture_leaves_by_a_redirect_or_a_proxy(tmp_path: Path) -> None:
    folder = photos(tmp_path / "few", 1, 2)
    with OllamaServer() as other, OllamaServer(fault_for=lambda call: "redirect", redirect_to=other.url) as server:
        run = index(folder, "-q", "--host", server.url)
        assert (run.code, other.requests) == (3, [])
        assert "redirects to" in run.err
        assert set(states(run).values()) == {"waiting"}
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), other.url)
        server.fault_for = None
        run = index(folder, "-q", environment={**proxies, "PATH": "/usr/bin:/bin"})
        assert (run.code, other.requests) == (0, [])
    assert_true(run)


@pytest.mark.parametrize("fault", ["esc", "wrong_language"])
def test_what_is_stored_is_clean_and_in_the_language_asked_for(tmp_path: Path, fault: str) -> None:
    asked: list[Call] = []

    def choose(call: Call) -> str:
        asked.append(call)
        return fault

    with OllamaServer(fault_for=choose) as server:
        run = index(photos(tmp_path / "few", 1), "-q", "--host", server.url)
    text = str(run.rows[1]["description"] or "")
    assert not [char for char in text if ord(char) < 0x20 or char in "\x7f\u202e\u202c\ud800"]
    assert asked
