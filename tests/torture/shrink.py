"""A series of steps that fails -> a shorter one that still fails."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import churn
from bench import Bench
from churn import Step
from product import Trouble

_SECONDS = 90.0


def told(bench: Bench) -> list[str]:
    """Lines that name the fewest steps found to fail like those of `bench`, as far as the time reaches."""
    steps = bench.plan[: bench.steps_begun]
    deadline = time.monotonic() + _SECONDS
    size = max(1, len(steps) // 2)
    while size and time.monotonic() < deadline:
        steps, shorter = _without_some(bench, steps, size, deadline)
        size = size if shorter else size // 2
    return ["  enough to fail:", *(f"    {step.kind} (seed {step.seed})" for step in steps)]


def _without_some(bench: Bench, steps: list[Step], size: int, deadline: float) -> tuple[list[Step], bool]:
    """The first series that still fails without `size` of its steps, and whether there was one."""
    for start in range(len(steps) - size, -1, -size):
        fewer = steps[:start] + steps[start + size :]
        if time.monotonic() < deadline and fewer and _fails(bench, fewer):
            return fewer, True
    return steps, False


def _fails(bench: Bench, steps: list[Step]) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="torture-shrink-"))
    again = Bench(bench.part, bench.seed, bench.size, bench.product.folder, folder)
    try:
        churn.planned(again)  # draws from the same chance as the first time
        churn.run_steps(again, steps)
    except Trouble:
        return True
    finally:
        again.close()
        shutil.rmtree(folder, ignore_errors=True)
    return False
