"""A catalog of very many pictures, and a page that shows it: for page_typing.py and page_server.py."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import made_catalog
from page_browser import running_page
from PIL import Image

from image_catalog import embedding_model, offline_model

DEVICES = (
    ("Canon", "Canon EOS 5D"),
    ("NIKON CORPORATION", "NIKON D90"),
    ("Apple", "iPhone 12"),
    ("SONY", "ILCE-7M3"),
    (None, None),
)
PLACES = (
    ("Sochi, Krasnodar Krai, Russia", "Сочи, Краснодарский край, Россия"),
    ("Paris, France", "Париж, Франция"),
    (None, None),
)
DIFFERENT_PICTURES = 300


@contextlib.contextmanager
def serving(database: str) -> Iterator[tuple[str, int]]:
    """(address, pid) of a page for `database`."""
    with running_page(database) as running:
        yield running


def make_catalog(folder: str, count: int) -> str:
    """Descriptions and vectors as made_catalog has them; each image is a link to one of a few hundred small pictures."""
    model = embedding_model.load(offline_model.NAME)
    database, _ = made_catalog.make(folder, count, model)
    chance = random.Random(0)
    pictures = [_picture(folder, number) for number in range(min(count, DIFFERENT_PICTURES))]
    db = sqlite3.connect(database)
    rows = []
    for (image_id,) in db.execute("SELECT id FROM images").fetchall():
        path = f"{folder}/photos/{image_id % 200:03}/{image_id:07}.jpg"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.link(pictures[image_id % len(pictures)], path)
        maker, model_name = chance.choice(DEVICES)
        day = f"{chance.randrange(2001, 2026)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}T12:00:00"
        rows.append((path, path.encode(), day, maker, model_name, *chance.choice(PLACES), image_id))
    db.executemany(
        "UPDATE images SET path = ?, path_bytes = ?, taken_at = ?, camera_make = ?, camera_model = ?, place = ?, place_ru = ?,"
        " format = 'JPEG', width = 1600, height = 1200 WHERE id = ?",
        rows,
    )
    device = os.stat(folder).st_dev
    db.execute(
        "INSERT INTO roots VALUES (?, ?, ?, '2026-01-01T00:00:00Z')", (f"{folder}/photos".encode(), f"{folder}/photos", device)
    )
    db.commit()
    db.close()
    return database


def _picture(folder: str, number: int) -> str:
    path = f"{folder}/picture{number}.jpg"
    gradient = Image.radial_gradient("L").resize((1600, 1200))
    colour = tuple((number * step) % 256 for step in (37, 91, 151))
    Image.composite(Image.new("RGB", gradient.size, colour), Image.new("RGB", gradient.size), gradient).save(path)
    return path


def count(database: str) -> int:
    db = sqlite3.connect(database)
    (images,) = db.execute("SELECT count(*) FROM images").fetchone()
    db.close()
    return int(images)


def memory(pid: int) -> int:
    """Resident megabytes of a process (Linux)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1000
