"""Is the client ever the bottleneck? Descriptions a minute against what the server could give: N slots, each latency L.

Goes in: nothing; photographs of 12 and 24 million pixels are made, and a server that answers each after L seconds. Comes out:
images a minute as a share of N*60/L, the client's processor seconds an image, and the bytes that leave the machine.

  python benchmarks/description_throughput.py
  python benchmarks/description_throughput.py --latency 1 --slots 8
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from ollama_server import OllamaServer
from pictures import SIZES, photograph
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
GOAL_PERCENT = 95.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", metavar="SECONDS", type=float, default=2.0, help="what the model takes for a picture (2)")
    parser.add_argument("--slots", metavar="N", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--rounds", metavar="N", type=int, default=8, help="pictures for each slot (8)")
    options = parser.parse_args()
    print(f"latency {options.latency:g} s, photographs of {' and '.join(SIZES)}, {os.cpu_count()} cores shared with the server\n")
    print("| slots | images a minute | of N·60/L | client CPU s an image | sent an image | of the original |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        bases = [Path(folder) / f"{name}.jpg" for name in SIZES]
        for path, size in zip(bases, SIZES.values(), strict=True):
            photograph(path, size)
        shares = [measure(bases, slots, options.rounds, options.latency) for slots in options.slots]
    print(f"\ngoal: at least {GOAL_PERCENT:.0f} % of N·60/L: {'met' if min(shares) >= GOAL_PERCENT else 'NOT met'}")
    return 0


def measure(bases: list[Path], slots: int, rounds: int, latency: float) -> float:
    """Prints a row; returns the share of what the server could give, in percent."""
    with tempfile.TemporaryDirectory() as made:
        photos = Path(made) / "photos"
        photos.mkdir()
        for number in range(slots * rounds):
            different(bases[number % len(bases)], number, photos / f"{number}.jpg")
        original = sum(path.stat().st_size for path in photos.iterdir()) / (slots * rounds)
        with OllamaServer(latency=latency, slots=slots) as server:
            cpu = index(photos, server.url, slots)
            calls = [call for call in server.calls if call.answered]
        # From the first request to the last answer: the facts of all pictures are stored before.
        seconds = time_of_work(calls, latency)
        sent = sum(call.picture_bytes for call in calls) / len(calls)
    share = 100 * rounds * latency / seconds
    per_minute = 60 * len(calls) / seconds
    columns = (
        slots,
        f"{per_minute:.1f}",
        f"{share:.1f} %",
        f"{cpu / len(calls):.2f}",
        f"{sent / 1000:.0f} KB",
        f"{100 * sent / original:.1f} %",
    )
    print(f"| {' | '.join(map(str, columns))} |", flush=True)
    return share


def time_of_work(calls: list, latency: float) -> float:
    starts = [call.started for call in calls]
    return max(starts) - min(starts) + latency


def different(base: Path, number: int, path: Path) -> None:
    """A picture like `base` with other pixels: equal ones would share a description."""
    image = Image.open(base)
    exif = image.info.get("exif", b"")
    image = image.convert("RGB")
    ImageDraw.Draw(image).rectangle(
        (0, 0, 400 + 10 * number, 800), fill=(number * 37 % 256, number * 91 % 256, number * 53 % 256)
    )
    image.save(path, quality=90, exif=exif)


def index(photos: Path, host: str, slots: int) -> float:
    """A whole run as a user starts it; returns the processor seconds of it and its workers, less those of reading facts."""
    command = [sys.executable, str(ROOT / "index_images.py"), str(photos), "--db", str(photos.parent / "images.db"), "--json"]
    subprocess.run([*command, "--no-describe"], check=True, capture_output=True)
    before = processor_seconds()
    started = time.monotonic()
    done = subprocess.run([*command, "--host", host, "--workers", str(slots), "--language", "en"], capture_output=True, text=True)
    summary = json.loads(done.stdout)
    if summary["described"] != len(list(photos.iterdir())):
        raise SystemExit(f"not all were described, in {time.monotonic() - started:.0f} s: {done.stderr}")
    return processor_seconds() - before


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    raise SystemExit(main())
