"""A tree that is edited, unmounted and edited again, during runs and between them; every run ends with the truth.

The steps are fixed before the first one is done, each with a seed of its own, so that a failure can be made shorter by
leaving steps out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from bench import Bench
from product import Trouble
from tree import EDITS

_STEPS = {"run": 8, "edits": 8, "run while edited": 3, "missing": 1, "empty": 1, "dry run": 1, "emptied on purpose": 1}


@dataclass(frozen=True)
class Step:
    """One step; its `seed` decides which files it touches."""

    kind: str
    seed: int


def churn(bench: Bench) -> str:
    """Do random steps; says how to repeat with fewer when one fails."""
    bench.plan = planned(bench)
    run_steps(bench, bench.plan)
    return (
        f"{bench.size.steps} steps, {bench.tree.edits} edits: the catalog is the disk after each run,"
        f" {bench.server.times_described().total()} descriptions for {len(bench.tree.ever)} pictures, none made twice"
    )


def planned(bench: Bench) -> list[Step]:
    """The steps that a seed stands for."""
    kinds = bench.rng.choices(list(_STEPS), list(_STEPS.values()), k=bench.size.steps)
    return [Step(kind, bench.rng.randrange(1 << 30)) for kind in kinds]


def run_steps(bench: Bench, steps: list[Step]) -> None:
    """Raises Trouble at the first step after which something is not true."""
    bench.tree.add(10)
    bench.index_quietly()
    for number, step in enumerate(steps, start=1):
        bench.steps_begun = number
        bench.say(f"step {number}: {step.kind}")
        bench.tree.rng = random.Random(step.seed)
        _DO[step.kind](bench)
    _run(bench)


def _run(bench: Bench) -> None:
    bench.index_quietly()
    _check_asked_once(bench)


def _edits(bench: Bench) -> None:
    for _ in range(bench.tree.rng.randint(1, 6)):
        bench.say(bench.tree.edit())


def _run_while_edited(bench: Bench) -> None:
    """Edits while the model works; the run may say what it likes, the next one tells the truth."""
    bench.tree.add(3)
    edits = [name for name in EDITS if name not in ("rename the root", "cut")]

    def meddle(_: object) -> None:
        bench.say("meanwhile: " + bench.tree.edit(bench.tree.rng.choice(edits)))

    bench.server.before_answer = meddle
    bench.index().expect(0, 1)
    bench.server.before_answer = None
    bench.oracle.check_whole()
    _run(bench)


def _hidden(way: str) -> Callable[[Bench], None]:
    def hidden(bench: Bench) -> None:
        before = bench.index_quietly().there()
        bench.tree.hide(way)
        bench.index().expect(3)
        bench.oracle.check_kept(before)
        bench.tree.show()
        _run(bench)

    return hidden


def _dry_run(bench: Bench) -> None:
    _edits(bench)
    before = bench.oracle.check_whole()
    requests = len(bench.server.requests)
    bench.index("--dry-run").expect(0, 1)
    if bench.oracle.check_whole() != before or len(bench.server.requests) != requests:
        raise Trouble("--dry-run changed something")


def _emptied_on_purpose(bench: Bench) -> None:
    bench.index_quietly()
    bench.tree.hide("empty")
    bench.index("--allow-empty").expect(0)
    if there := bench.oracle.check_whole().there(bench.tree.root):
        raise Trouble(f"--allow-empty left {len(there)} images")
    bench.tree.show()
    _run(bench)


def _check_asked_once(bench: Bench) -> None:
    twice = {name: count for name, count in bench.server.times_asked().items() if count > 1}
    if twice:
        raise Trouble(f"the model was asked more than once about one picture: {twice}")


_DO: dict[str, Callable[[Bench], None]] = {
    "run": _run,
    "edits": _edits,
    "run while edited": _run_while_edited,
    "missing": _hidden("missing"),
    "empty": _hidden("empty"),
    "dry run": _dry_run,
    "emptied on purpose": _emptied_on_purpose,
}
