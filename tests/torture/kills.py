"""kill -9 at random moments, over a tree that changes between the runs, while people search."""

from __future__ import annotations

import contextlib
import subprocess

from bench import Bench, SearchesMeanwhile
from product import Trouble

LATENCY = 0.03
_RUNS_BETWEEN_QUIET_ONES = 5


def kills(bench: Bench) -> str:
    """Kill run after run; every few runs let one come to its end and compare the catalog with the disk."""
    bench.server.latency = LATENCY
    bench.tree.add(12)
    hits = lost = worst = 0
    with bench.searches() as searches:
        longest = 1.0
        for number in range(bench.size.kills):
            bench.tree.add(bench.rng.randint(1, 5))
            bench.edit(3)
            hit, again = _kill_once(bench, bench.rng.uniform(0.02, longest))
            hits, lost, worst = hits + hit, lost + again, max(worst, again)
            longest *= 1.1 if hit else 0.8  # so that seven of ten hit a run, on a slow machine as on a fast one
            if number % _RUNS_BETWEEN_QUIET_ONES == 0:
                bench.index_quietly()
        bench.index_quietly()
    if lost > hits:
        raise Trouble(f"{lost} descriptions were lost in {hits} kills: more than those in flight")
    if bench.asked_again() > lost:
        raise Trouble(f"{bench.asked_again()} pictures were described again, though only {lost} descriptions were lost")
    if pids := bench.product.left_behind():
        raise Trouble(f"processes outlive their run: {pids}")
    return (
        f"{bench.size.kills} kills, {hits} hit a live run: 0 damaged, {lost} described again (at most {worst} a kill); "
        + told(searches)
    )


def _kill_once(bench: Bench, after: float) -> tuple[bool, int]:
    """(whether the run was still alive, how many paid descriptions it lost)."""
    since = len(bench.server.calls)
    run = bench.start()
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.process.wait(after)
    hit = run.kill()
    bench.say(f"kill -9 after {after:.3f} s: {'hit' if hit else 'the run had ended'}")
    return hit, bench.lost_answers(bench.oracle.check_whole(), since)


def told(searches: SearchesMeanwhile) -> str:
    """What the searches beside it were like."""
    return f"{searches.count} searches meanwhile, the slowest {searches.worst:.2f} s"
