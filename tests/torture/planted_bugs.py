"""Does the harness catch what it is for? Bugs planted one by one in a copy of the product; each must make it fail.

First an unchanged copy has to pass the same parts: a harness that fails on everything proves nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from product import copy_product


@dataclass(frozen=True)
class Bug:
    """`old` becomes `new` in one file of the package; `part` of the harness has to notice."""

    name: str
    part: str
    file: str
    old: str
    new: str


BUGS: Sequence[Bug] = (
    Bug(
        "an image is committed as described before its description has come",
        "kills",
        "description_run.py",
        "            self._ready.put(job)\n",
        "            with self._catalog.transaction():\n"
        "                for image in job.images:\n"
        "                    self._catalog.update_image(image.id, {'state': 'described', 'description': ''})\n"
        "            self._ready.put(job)\n",
    ),
    Bug(
        "a root that is missing or empty sweeps its images away",
        "churn",
        "folder_sync.py",
        "stay = set() if self._allow_empty or not missing else",
        "stay = set() if True else",
    ),
    Bug("no lock", "overlaps", "run_lock.py", "        lock.acquire()\n", "        pass\n"),
    Bug(
        "the vector index is written in place",
        "vectors",
        "vector_file.py",
        'descriptor, temporary = tempfile.mkstemp(".tmp", prefix, folder)  # mkstemp makes it 0600',
        "temporary = path; descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)",
    ),
    Bug(
        "a description is stored for the picture after its own",
        "churn",
        "description_run.py",
        "            self._store(event.job, event.outcome)\n",
        "            late, self._late = getattr(self, '_late', event.outcome), event.outcome\n"
        "            self._store(event.job, late)\n",
    ),
    Bug(
        "a new row comes without its full text",
        "churn",
        "schema.py",
        "AFTER INSERT ON images BEGIN\n    INSERT INTO images_fts (rowid, {_COLUMNS}) VALUES (new.id, {_NEW});\n",
        "AFTER INSERT ON images BEGIN\n",
    ),
    Bug(
        "a file that changed is a new row in the place of the old one",
        "churn",
        "folder_sync.py",
        "        self._catalog.update_image(image_id, with_stems({**row, **columns}, columns))\n",
        "        columns = {**row, **with_stems({**row, **columns}, columns)}\n"
        "        self._catalog.db.execute(\n"
        "            f\"INSERT OR REPLACE INTO images ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})\",\n"
        "            tuple(columns.values()),\n"
        "        )\n",
    ),
    Bug("a move is taken for a new picture", "churn", "folder_sync.py", "        if moved is not None:\n", "        if False:\n"),
)


def self_check(harness: Path, product: Path) -> int:
    """0 when an unchanged copy passes and every bug is caught."""
    with tempfile.TemporaryDirectory(prefix="torture-self-check-") as folder, ThreadPoolExecutor(2) as pool:
        whole = copy_product(product, Path(folder) / "whole")
        control = _run(harness, whole, sorted({bug.part for bug in BUGS}))
        print(f"an unchanged copy: {'passes' if control.returncode == 0 else 'FAILS'}", flush=True)
        if control.returncode != 0:
            print(control.stdout + control.stderr)
            return 1
        found = list(pool.map(lambda bug: _is_caught(harness, product, bug, Path(folder)), BUGS))
    print(f"{sum(found)} of {len(BUGS)} planted bugs were caught")
    return 0 if all(found) else 1


def _is_caught(harness: Path, product: Path, bug: Bug, folder: Path) -> bool:
    copy = copy_product(product, folder / str(BUGS.index(bug)))
    file = copy / "image_catalog" / bug.file
    source = file.read_text(encoding="utf-8")
    if source.count(bug.old) != 1:
        print(f"NOT PLANTED: {bug.name}: {bug.file} has changed; plant it anew in {Path(__file__).name}", flush=True)
        return False
    file.write_text(source.replace(bug.old, bug.new), encoding="utf-8")
    done = _run(harness, copy, [bug.part])
    shutil.rmtree(copy)
    failures = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    caught = done.returncode == 1 and bool(failures)
    print(
        f"{'caught' if caught else 'NOT CAUGHT'}: {bug.name}: {failures[0][:150] if failures else done.stderr[-500:]}", flush=True
    )
    return caught


def _run(harness: Path, product: Path, parts: Sequence[str]) -> subprocess.CompletedProcess[str]:
    only = [argument for part in parts for argument in ("--only", part)]
    command = [sys.executable, str(harness), "--fast", "--no-shrink", "--seed", "1", "--product", str(product), *only]
    return subprocess.run(command, capture_output=True, text=True)
