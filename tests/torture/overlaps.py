"""Two runs at once, and eight: one works, the others leave at once and say whose turn it is."""

from __future__ import annotations

import threading
import time

from bench import Bench, wait_until
from product import Running, Trouble

LONGEST_WAIT = 20.0
AT_ONCE = 4.0  # seconds, a Python start on a busy machine included


def overlaps(bench: Bench) -> str:
    """Start runs at nearly the same moment; the server holds its answers until the losers are gone."""
    bench.tree.add(6)
    slowest = 0.0
    for number in range(bench.size.pairs):
        bench.tree.add(2)
        slowest = max(slowest, _overlap(bench, 8 if number == 0 else 2))
    if again := bench.asked_again():
        raise Trouble(f"{again} pictures were described twice")
    return f"{bench.size.pairs} times runs at once: the others ended with 75 after at most {slowest:.2f} s, 0 described twice"


def _overlap(bench: Bench, count: int) -> float:
    """Seconds until the slowest loser was gone."""
    losers_are_gone = threading.Event()
    bench.server.before_answer = lambda call: losers_are_gone.wait(15)
    asked = len(bench.server.calls)
    bench.say(f"{count} runs at once")
    runs = [bench.start()]
    try:
        if bench.rng.random() < 0.5:
            wait_until(lambda: len(bench.server.calls) > asked)  # the first is at work; else they race for the lock
        runs += [bench.start() for _ in range(count - 1)]
        slowest = _losers_end(runs)
        losers_are_gone.set()
        for run in runs:
            run.end().expect(0, 75)
    finally:
        losers_are_gone.set()
        bench.server.before_answer = None
        for run in runs:
            run.process.kill()
    bench.oracle.check_true(bench.tree)
    return slowest


def _losers_end(runs: list[Running]) -> float:
    """Wait until all but one have ended with 75; how long that took in seconds."""
    started = time.monotonic()
    while sum(run.process.poll() is None for run in runs) > 1:
        if time.monotonic() - started > LONGEST_WAIT:
            raise Trouble("more than one run is at work on the same catalog")
        time.sleep(0.01)
    seconds = time.monotonic() - started
    if (codes := sorted(str(run.process.poll()) for run in runs)) != ["75"] * (len(runs) - 1) + ["None"]:
        raise Trouble(f"one run should work and the others end with 75, but they ended with {', '.join(codes)}")
    if seconds > AT_ONCE:
        raise Trouble(f"the others took {seconds:.1f} s to leave")
    return seconds
