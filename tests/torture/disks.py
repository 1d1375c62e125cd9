"""Disks of many sizes, most of them too small: the run ends with 3, what was done is kept, and with space it goes on.

On a tmpfs of each size where one can be mounted (root, in a mount namespace of its own: see run.py), else with a limit on the
size of a file, which is not the same and is said.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench import Bench
from product import Trouble

_SMALLEST, _LARGEST = 48, 1600  # KiB
_PICTURES = 25


def disks(bench: Bench) -> str:
    """Index the same pictures onto each of the disks."""
    bench.tree.add(_PICTURES)
    how = "tmpfs" if _can_mount(bench.place) else "a limit on the size of files: no tmpfs can be mounted here"
    full = kept = 0
    for number in range(bench.size.disks):
        size = round(_SMALLEST * (_LARGEST / _SMALLEST) ** (number / max(1, bench.size.disks - 1)))
        bench.say(f"a disk of {size} KiB")
        described = _on_tmpfs(bench, size) if how == "tmpfs" else _with_limit(bench, size)
        full += described is not None
        kept += described or 0
    if not full:
        raise Trouble("none of the disks was too small: nothing was tried")
    return f"{bench.size.disks} disks ({how}), {full} of them full: 0 damaged, {kept} descriptions kept on those, all went on"


def _on_tmpfs(bench: Bench, size: int) -> int | None:
    _mount(bench.place, f"size={size}k,mode=700")
    try:
        described = _fill(bench)
        _mount(bench.place, "remount,size=64m")
        _go_on(bench)
    finally:
        subprocess.run(["umount", str(bench.place)], check=True)
    return described


def _with_limit(bench: Bench, size: int) -> int | None:
    shutil.rmtree(bench.place)
    bench.place.mkdir(mode=0o700)
    described = _fill(bench, largest_file=size << 10)
    _go_on(bench)
    return described


def _fill(bench: Bench, **options: int) -> int | None:
    """How many descriptions were kept when the disk was full; None when all fitted."""
    bench.oracle.forget()
    bench.server.calls.clear()
    ended = bench.index(**options).expect(0, 3)
    if ended.code == 3 and not ("disk" in ended.err and str(bench.place) in ended.err):
        raise Trouble(f"does not say which disk is full: {ended.err}")
    seen = bench.oracle.check_whole()
    bench.lost_answers(seen, 0)
    return None if ended.code == 0 else len(seen.descriptions)


def _go_on(bench: Bench) -> None:
    bench.index_quietly()
    if (again := bench.asked_again()) > 2:
        raise Trouble(f"{again} pictures were described again after a full disk")


def _can_mount(place: Path) -> bool:
    try:
        _mount(place, "size=64k")
    except (OSError, subprocess.CalledProcessError):
        return False
    return subprocess.run(["umount", str(place)]).returncode == 0


def _mount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True, capture_output=True)
