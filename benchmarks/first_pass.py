"""The first pass over new pictures, facts only: files a second, beside `exiftool -fast2 -r`, which reads tags and nothing else.

Goes in: nothing; photographs of 12 megapixels with a camera's EXIF are made, all different. Comes out: both in turn. The run does
more for a file: it hashes all its bytes, so that a moved file is known again, derives facts, and fills the full-text index.

  python benchmarks/first_pass.py
  python benchmarks/first_pass.py --files 300 --rounds 3
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from picture_files import camera_exif  # noqa: E402
from PIL import Image  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", metavar="N", type=int, default=1000)
    parser.add_argument("--rounds", metavar="N", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        megabytes = make(tree, options.files)
        commands = {
            "`index_images.py DIR -r --no-describe`": [
                *(sys.executable, str(ROOT / "index_images.py"), str(tree)),
                *("-r", "--no-describe", "-q", "--db", f"{folder}/images.db"),
            ]
        }
        if shutil.which("exiftool"):
            commands["`exiftool -fast2 -r DIR`"] = ["exiftool", "-fast2", "-r", "-q", str(tree)]
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                for file in Path(folder).glob("images.db*"):
                    file.unlink()
                times[name].append(timed(command))
    report(options.files, megabytes, options.rounds, times)
    return 0


def make(tree: Path, count: int) -> float:
    """Fills the folder; returns the size of one file in MB."""
    tree.mkdir()
    data = io.BytesIO()
    noise = Image.effect_noise((4000, 3000), 40).convert("RGB")
    noise.save(data, "JPEG", quality=60, exif=camera_exif())
    for number in range(count):
        # What follows the end of a JPEG is no part of the picture, but makes the file another one.
        (tree / f"IMG_{number:05}.jpg").write_bytes(data.getvalue() + b"%d" % number)
    return len(data.getvalue()) / (1 << 20)


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def report(files: int, megabytes: float, rounds: int, times: dict[str, list[float]]) -> None:
    print(f"{files:,} JPEGs of {megabytes:.1f} MB, {os.cpu_count()} cores, median of {rounds} interleaved rounds\n")
    print("| | files/s |")
    print("| --- | ---: |")
    for name, seconds in times.items():
        print(f"| {name} | {files / statistics.median(seconds):,.0f} |")
    if len(times) == 2:
        ours, theirs = times.values()
        ratio = statistics.median(other / one for one, other in zip(ours, theirs, strict=True))
        print(f"\n{ratio:.1f} times as many files a second as exiftool")
    else:
        print("\nexiftool is not installed: nothing to compare with")


if __name__ == "__main__":
    raise SystemExit(main())
