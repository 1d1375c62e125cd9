"""What preparing pictures costs: against a naive full decode, and how many a second by two workers.

Goes in: nothing, the pictures are made; or a folder of your own. Comes out: ratios of one interleaved run, pictures a second
and the memory of the parent process.

  python benchmarks/pictures.py
  python benchmarks/pictures.py ~/Pictures
"""

from __future__ import annotations

import argparse
import io
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from image_catalog import image_files, picture
from image_catalog.errors import ImageError
from image_catalog.guarded_workers import GuardedWorkers

ROUNDS = 7
SIZES = {"12 MP": (4000, 3000), "24 MP": (6000, 4000)}
ORIENTATION_TAG, TURNED_RIGHT = 0x0112, 6
MOST_OF_A_FOLDER = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="pictures of your own for the second figure")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as made:
        paths = [Path(made) / f"{name}.jpg" for name in SIZES]
        with ProcessPoolExecutor(1) as elsewhere:  # Pillow would count in the memory of this process
            list(elsewhere.map(photograph, paths, SIZES.values()))
        throughput(paths * 20 if folder is None else images_in(folder))
        for path in paths:
            compare(path)
    return 0


def photograph(path: Path, size: tuple[int, int]) -> None:
    """A JPEG with the detail of a photograph, about 0.3 bytes a pixel, that a camera held upright."""
    from PIL import Image

    chance = random.Random(24)
    image = Image.new("RGB", size)
    for cell in (400, 60, 12, 3):
        coarse = (size[0] // cell + 1, size[1] // cell + 1)
        noise = Image.frombytes("RGB", coarse, chance.randbytes(3 * coarse[0] * coarse[1]))
        image = Image.blend(image, noise.resize(size, Image.Resampling.BICUBIC), 0.35)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = TURNED_RIGHT
    image.save(path, quality=88, exif=exif)


def compare(path: Path) -> None:
    ours, naive = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: picture.prepare(os.fsencode(path))))
        naive.append(seconds(lambda: prepare_naively(path)))
    faster = statistics.median(naive) / statistics.median(ours)
    print(
        f"{path.stem} ({path.stat().st_size / 1e6:.1f} MB): {statistics.median(ours) * 1000:.0f} ms,"
        f" full decode and resize {statistics.median(naive) * 1000:.0f} ms: {faster:.1f}x"
    )


def prepare_naively(path: Path) -> bytes:
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        scale = picture.DEFAULT_MAX_SIZE / max(upright.size)
        small = upright.resize((round(upright.width * scale), round(upright.height * scale)), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=85)
        return buffer.getvalue()


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def images_in(folder: str) -> list[Path]:
    found = image_files.find_files([os.fsencode(folder)], True)
    paths = [Path(os.fsdecode(file.path)) for file in found if image_files.has_image_name(file.path)]
    return paths[:MOST_OF_A_FOLDER]


def throughput(paths: list[Path]) -> None:
    with GuardedWorkers(2) as workers:
        workers.prepare(os.fsencode(paths[0]), 1024).result()  # both start-up and imports are paid once a run
        started = time.perf_counter()
        futures = [workers.prepare(os.fsencode(path), 1024) for path in paths]
        failed = sum(isinstance(future.exception(), ImageError) for future in futures)
        taken = time.perf_counter() - started
    print(f"2 workers: {len(paths) / taken:.1f} pictures a second ({len(paths)}, {failed} failed), parent {memory():.0f} MB")


def memory() -> float:
    """Peak resident memory of this process in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    raise SystemExit(main())
