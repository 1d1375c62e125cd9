"""Torture: kill, starve, crowd and confuse the product, and see that its catalog stays whole and true.

  python tests/torture/run.py --fast               what ./test.sh runs
  python tests/torture/run.py --full               every point, 200 kills, 30 disks, 50 pairs: about half an hour
  python tests/torture/run.py --self-check         plant bugs in a copy of the product: each must be caught
  python tests/torture/run.py --only churn --seed 7    repeat a failure

Exit 0: all is true. 1: something was not; the seed, the steps and the command that repeats it are printed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import churn  # noqa: E402 - these lie beside this script and one folder up
import disks  # noqa: E402
import kills  # noqa: E402
import nth_call  # noqa: E402
import overlaps  # noqa: E402
import planted_bugs  # noqa: E402
import server_faults  # noqa: E402
import shrink  # noqa: E402
import vectors  # noqa: E402
from bench import FAST, FULL, Bench, Size  # noqa: E402
from product import Trouble  # noqa: E402

# The longest first, so that two at a time end together.
PARTS: dict[str, Callable[[Bench], str]] = {
    "calls": nth_call.first_run,
    "changes": nth_call.run_with_changes,
    "migration": nth_call.migration,
    "kills": kills.kills,
    "vectors": vectors.vectors,
    "churn": churn.churn,
    "server": server_faults.server_faults,
    "overlaps": overlaps.overlaps,
    "disks": disks.disks,
}
_IN_NAMESPACE = "--in-namespace"
_LAST_STEPS = 25


def main() -> int:
    options = _parse()
    if options.self_check:
        return planted_bugs.self_check(Path(__file__), options.product)
    print(f"seed {options.seed}", flush=True)
    size = FULL if options.full else FAST
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(_torture, name, size, options) for name in options.only or PARTS]
        results = [job.result() for job in jobs]
    return 0 if all(results) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--fast", action="store_true", help="a sample of everything, under three minutes (default)")
    how.add_argument("--full", action="store_true", help="everything")
    how.add_argument("--self-check", action="store_true", help="does the harness catch planted bugs?")
    parser.add_argument("--only", metavar="PART", action="append", choices=PARTS, help=f"of: {', '.join(PARTS)}; repeat")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, help="default: another one each time")
    parser.add_argument("--product", metavar="DIR", type=Path, default=ROOT, help="the scripts to torture")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="parts at a time (2)")
    parser.add_argument("--no-shrink", action="store_true", help="do not look for fewer steps that fail")
    parser.add_argument("--keep", action="store_true", help="keep the world of a part that failed")
    parser.add_argument(_IN_NAMESPACE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not (options.in_namespace or options.self_check) and _can_unshare():
        # Mounts made in a namespace of our own are seen by nobody else and cannot be left behind.
        command = ["unshare", "-m", sys.executable, *sys.argv, _IN_NAMESPACE, "--seed", str(options.seed)]
        raise SystemExit(subprocess.run(command).returncode)
    return options


def _can_unshare() -> bool:
    return shutil.which("unshare") is not None and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


def _torture(name: str, size: Size, options: argparse.Namespace) -> bool:
    """Whether one part found nothing; prints what it did or what it found."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"torture-{name}-"))
    bench = Bench(name, options.seed, size, options.product.resolve(), folder)
    try:
        told = PARTS[name](bench)
    except Exception as error:  # Trouble is the product's, anything else the harness' own
        print(_failure(bench, error, options), flush=True)
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        return False
    else:
        print(f"ok {name} ({time.monotonic() - started:.0f} s): {told}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        bench.close()


def _failure(bench: Bench, error: Exception, options: argparse.Namespace) -> str:
    """What went wrong, what led there, and the one command that does it again."""
    steps = [f"    {step}" for step in bench.journal[-_LAST_STEPS:]]
    how = "--full" if bench.size is FULL else "--fast"
    shorter = shrink.told(bench) if bench.plan and not options.no_shrink else []
    found = f"FAILED {bench.part}: {error}" if isinstance(error, Trouble) else f"BROKEN {bench.part}: {traceback.format_exc()}"
    return "\n".join(
        [
            found,
            f"  steps ({len(bench.journal)}, the last ones):",
            *steps,
            *shorter,
            *([f"  the world is kept in {bench.folder}"] if options.keep else []),
            f"  again: python tests/torture/run.py {how} --only {bench.part} --seed {options.seed}",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
