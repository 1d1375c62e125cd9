"""The five basic tags of every image under a folder, read by this project and by ExifTool: who sees what, and how fast.

Goes in: a folder of any pictures, and the program exiftool (Debian: libimage-exiftool-perl). Comes out: a table of tags, each
file on which the two disagree, and the times of both over the same files.

  python benchmarks/exif_accuracy.py ~/Pictures
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from image_catalog import exif, image_files
from image_catalog.errors import ImageError
from image_catalog.exif import Exif

TAGS = ("DateTimeOriginal", "GPS", "Make", "Model", "Orientation")
# Composite positions carry their sign; the rest is what stands in EXIF, not in XMP or the file system.
ASKED = ["-EXIF:DateTimeOriginal", "-IFD0:Make", "-IFD0:Model", "-IFD0:Orientation"]  # IFD1 is the thumbnail
ASKED += ["-Composite:GPSLatitude", "-Composite:GPSLongitude"]
SAME_DEGREES = 1e-4
GOAL = 0.97


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="pictures, with all folders in it")
    folder = os.fsencode(parser.parse_args().folder)
    paths = [found.path for found in image_files.find_files([folder], True) if image_files.has_image_name(found.path)]
    if not paths:
        raise SystemExit("no images there")
    theirs, their_seconds = read_by_exiftool(paths)
    ours, our_seconds = read_by_us(paths)
    return report(paths, ours, theirs, our_seconds, their_seconds)


def read_by_exiftool(paths: list[bytes]) -> tuple[list[dict[str, Any]], float]:
    """One exiftool process for all files, as fast as it can be asked for these tags."""
    names = b"\n".join(path for path in paths if b"\n" not in path)
    started = time.perf_counter()
    done = subprocess.run(["exiftool", "-n", "-j", "-q", "-q", "-fast", *ASKED, "-@", "-"], input=names, stdout=subprocess.PIPE)
    seconds = time.perf_counter() - started
    found = {os.fsencode(row["SourceFile"]): row for row in json.loads(done.stdout or b"[]")}
    return [values_of_exiftool(found.get(path, {})) for path in paths], seconds


def values_of_exiftool(row: dict[str, Any]) -> dict[str, Any]:
    date = re.match(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)", str(row.get("DateTimeOriginal", "")))
    latitude, longitude = row.get("GPSLatitude"), row.get("GPSLongitude")
    has_position = isinstance(latitude, (int, float)) and isinstance(longitude, (int, float)) and (latitude or longitude)
    values = {
        "DateTimeOriginal": f"{date[1]}-{date[2]}-{date[3]}T{date[4]}" if date and date[1] != "0000" else None,
        "GPS": (latitude, longitude) if has_position else None,  # 0, 0 means that there was no fix
        "Make": str(row["Make"]).strip() if "Make" in row else None,
        "Model": str(row["Model"]).strip() if "Model" in row else None,
        "Orientation": row.get("Orientation") if row.get("Orientation") in range(1, 9) else None,
    }
    return {tag: value for tag, value in values.items() if value}


def read_by_us(paths: list[bytes]) -> tuple[list[Exif], float]:
    started = time.perf_counter()
    found = [read(path) for path in paths]
    return found, time.perf_counter() - started


def read(path: bytes) -> Exif:
    try:
        return exif.read(path)
    except ImageError:
        return Exif()


def our_value(found: Exif, tag: str) -> Any:
    if tag == "GPS":
        return None if found.latitude is None else (found.latitude, found.longitude)
    names = {"DateTimeOriginal": "taken_at", "Make": "camera_make", "Model": "camera_model", "Orientation": "orientation"}
    return getattr(found, names[tag])


def agree(tag: str, ours: Any, theirs: Any) -> bool:
    if tag == "GPS" and ours is not None:
        return all(abs(one - other) <= SAME_DEGREES for one, other in zip(ours, theirs, strict=True))
    if isinstance(ours, str):
        return " ".join(theirs.split()) == ours
    return bool(ours == theirs)


def report(paths: list[bytes], ours: list[Exif], theirs: list[dict[str, Any]], seconds: float, their_seconds: float) -> int:
    there: Counter[str] = Counter()
    right: Counter[str] = Counter()
    whole = complete = not_finite = 0
    for path, own, expected in zip(paths, ours, theirs, strict=True):
        wrong = [tag for tag, value in expected.items() if not agree(tag, our_value(own, tag), value)]
        there.update(expected.keys())
        right.update(tag for tag in expected if tag not in wrong)
        whole += bool(expected)
        complete += bool(expected) and not wrong
        not_finite += sum(isinstance(value, float) and not math.isfinite(value) for value in own.as_dict().values())
        for tag in wrong:
            print(f"{os.fsdecode(path)!r}: {tag}: ours {our_value(own, tag)!r}, exiftool {expected[tag]!r}")
    for tag in TAGS:
        print(f"{tag:<18}{right[tag]:>7,} of {there[tag]:>7,}")
    share = complete / whole if whole else 1.0
    print(f"{'all that is there':<18}{complete:>7,} of {whole:>7,}  {share:.1%}; goal {GOAL:.0%}; {not_finite} values not finite")
    print(f"{len(paths):,} files: {seconds:.2f} s; exiftool {their_seconds:.2f} s, {their_seconds / seconds:.1f} times as long")
    return 0 if share >= GOAL and not not_finite else 1


if __name__ == "__main__":
    raise SystemExit(main())
