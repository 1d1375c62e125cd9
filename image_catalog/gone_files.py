"""Files that were not found: are they deleted, or is only the disk they lie on not there?

Knows devices and folders; what follows from the answer is folder_sync's.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from image_catalog.catalog import KnownFile


def doubted(missing: Iterable[tuple[bytes, KnownFile]], living_devices: Collection[int]) -> dict[bytes, list[bytes]]:
    """Those of `missing` whose disk seems not to be mounted: path lists by the nearest folder that is there.

    A missing file is believed deleted when what is left of its path lies on the device that the file was on, or when
    other files known from that device are where they were (`living_devices`): the number of a device may change between
    two boots, the files on it do not.
    """
    places: dict[bytes, tuple[bytes, int]] = {}
    found: dict[bytes, list[bytes]] = {}
    for path, known in missing:
        if known.device in living_devices or known.device < 0:
            continue
        folder = os.path.dirname(path)
        if folder not in places:
            places[folder] = _nearest_folder(folder)
        nearest, device = places[folder]
        if device != known.device:
            found.setdefault(nearest, []).append(path)
    return found


def _nearest_folder(folder: bytes) -> tuple[bytes, int]:
    """The last folder on the way to `folder` that is there, and its device."""
    while True:
        try:
            return folder, os.stat(folder).st_dev
        except OSError:
            if folder in (b"/", b""):
                raise
            folder = os.path.dirname(folder)
