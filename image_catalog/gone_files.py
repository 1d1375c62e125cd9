"""Files that were not found: are they deleted, or is only the disk they lie on not there?

Knows devices and folders; what follows from the answer is folder_sync's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Set

from image_catalog.catalog import KnownFile


def doubted(known: Iterable[KnownFile], missing: Set[bytes], changed: Set[bytes]) -> dict[bytes, list[bytes]]:
    """Those of `missing` whose disk seems not to be mounted: path lists by the nearest folder that is there.

    A missing file is believed deleted when what is left of its path lies on the device that the file was on, or when
    another of the `known` files from that device is where it was and not `changed`: the number of a device may change
    between two boots, the files on it do not.
    """
    known = list(known)
    living = {file.device for file in known if file.path not in missing and file.path not in changed}
    places: dict[bytes, tuple[bytes, int]] = {}
    found: dict[bytes, list[bytes]] = {}
    for file in known:
        if file.path not in missing or file.device in living or file.device < 0:
            continue
        folder = os.path.dirname(file.path)
        if folder not in places:
            places[folder] = _nearest_folder(folder)
        nearest, device = places[folder]
        if device != file.device:
            found.setdefault(nearest, []).append(file.path)
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
