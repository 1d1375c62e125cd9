"""A model server that fails in every way that is known of Ollama: nothing false is stored, the run ends, the next goes on."""

from __future__ import annotations

import time

from bench import Bench
from ollama_api import Call
from product import Trouble

# What one request meets. Retries with waits are part of a run, so each fault costs seconds.
FAULTS = (
    *("hang", "drip", "drip_tokens", "500", "503", "429", "half", "reset", "garbage", "html", "empty_body", "empty", "null"),
    *("number", "missing", "list", "error_in_200", "huge", "endless", "redirect", "thinking_only", "done_false", "length"),
    *("refusal", "loop", "loop_on", "runner_died", "bad_json"),
)
FEW_FAULTS = ("hang", "500", "half", "html", "null", "huge", "refusal", "runner_died", "length", "reset")
_TIMEOUT = 1.0
LONGEST_RUN = 45.0


def server_faults(bench: Bench) -> str:
    """Each fault for one picture of three, whenever it is asked about; then a server that is gone."""
    bench.server.huge_bytes = 3_000_000
    faults = FAULTS if bench.size.points is None else FEW_FAULTS
    slowest = 0.0
    for fault in faults:
        slowest = max(slowest, _one_fault(bench, fault))
    _dead_server(bench)
    return f"{len(faults)} faults and a server that dies: nothing false stored, the slowest run {slowest:.1f} s, all mended after"


def _one_fault(bench: Bench, fault: str) -> float:
    bench.tree.add(3)
    victim = bench.tree.ever[list(bench.tree.ever)[-2]].name

    def choose(call: Call) -> str:
        return fault if call.picture == victim else "ok"

    bench.server.fault_for = choose
    started = time.monotonic()
    ended = bench.index("--timeout", str(_TIMEOUT))
    seconds = time.monotonic() - started
    bench.say(f"{fault}: {ended.code} in {seconds:.1f} s")
    ended.expect(0, 1, 3)
    if seconds > LONGEST_RUN:
        raise Trouble(f"{fault}: the run took {seconds:.0f} s")
    _nothing_false(bench, fault)
    bench.server.fault_for = None
    bench.index("--retry-failed").expect(0, 1)
    bench.oracle.check_true(bench.tree)
    return seconds


def _nothing_false(bench: Bench, fault: str) -> None:
    truth = {content.description for content in bench.tree.ever.values()}
    if false := bench.oracle.check_whole().descriptions - truth:
        raise Trouble(f"{fault}: stored what no picture shows: {false}")


def _dead_server(bench: Bench) -> None:
    """It dies after three answers; no time is lost on the pictures after those."""
    bench.tree.add(40)
    bench.server.calls.clear()
    bench.server.die_after = 3
    ended = bench.index().expect(3)
    bench.say(f"server died: {ended.seconds:.1f} s")
    if ended.seconds > LONGEST_RUN:
        raise Trouble(f"a dead server held the run for {ended.seconds:.0f} s")
    failed = [row["path"] for row in bench.oracle.check_whole().rows if row["state"] == "failed"]
    if failed:
        raise Trouble(f"the server died, and pictures are marked as failed: {failed[:3]}")
    bench.server.die_after = None
    bench.server.start()
    bench.index_quietly()
