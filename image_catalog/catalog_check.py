"""Is a catalog whole, and what can be mended: the file, the full-text index, counts, vectors, states, image_index.faiss.

Everything that --repair touches is derived from something else in the catalog; descriptions it only reads. Rows that a damaged
file still gives are saved into a new catalog beside it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from image_catalog import catalog_file, catalog_upkeep
from image_catalog.catalog import Catalog, utc_now
from image_catalog.errors import CannotGoOn
from image_catalog.folder_sync import stems_of

_JSON_COLUMNS = ("tags", "keywords", "exif")
_NO_JSON = "{0} IS NOT NULL AND NOT json_valid({0})"


class Finding(NamedTuple):
    """One thing that is wrong: `part` is what, `problem` why, `remedy` what to do. `is_damage`: the file itself is broken."""

    part: str
    problem: str
    remedy: str = "--repair mends it"
    is_damage: bool = False


def findings(catalog: Catalog, index_path: str) -> Iterator[Finding]:
    """All that is wrong, the worst first. When the file itself is damaged nothing else is looked at."""
    damage = list(_damage(catalog))
    if damage:
        yield from damage
        return
    yield from _full_text(catalog)
    yield from _counts(catalog)
    yield from _rows(catalog)
    yield from _vectors(catalog)
    yield from _vector_index(catalog, index_path)


def _damage(catalog: Catalog) -> Iterator[Finding]:
    remedy = "--repair saves what can be read into a new file"
    try:
        problems = [row[0] for row in catalog.db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
    except sqlite3.DatabaseError as error:
        problems = [str(error)]
    for problem in problems:
        is_index = "index" in problem and "images_fts" not in problem
        yield Finding(catalog.path, f"damaged: {problem}", "--repair mends it" if is_index else remedy, not is_index)
    if not problems and (broken := catalog.db.execute("PRAGMA foreign_key_check").fetchall()):
        yield Finding("vectors", f"{len(broken):,} belong to no embedding model")


def _full_text(catalog: Catalog) -> Iterator[Finding]:
    wrong = sum(1 for _ in _wrong_stems(catalog))
    if wrong:
        yield Finding("full-text index", f"the word stems of {wrong:,} images are not those of their texts")
    try:
        catalog.db.execute("INSERT INTO images_fts (images_fts, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError:
        yield Finding("full-text index", "is not in step with the images")


def _wrong_stems(catalog: Catalog) -> Iterator[tuple[int, str]]:
    """(id, right stems) of rows whose stems are not those of their texts."""
    cursor = catalog.db.execute(
        "SELECT id, stems, failure_kind, description, tags, visible_text, caption, keywords, facts FROM images"
    )
    names = [column[0] for column in cursor.description]
    for values in cursor:
        row = dict(zip(names, values, strict=True))
        if (right := stems_of(row)) != row["stems"]:
            yield row["id"], right


def _counts(catalog: Catalog) -> Iterator[Finding]:
    if _kept_counts(catalog) != _real_counts(catalog):
        yield Finding("counts", f"kept {_kept_counts(catalog)}, there are {_real_counts(catalog)}")


def _kept_counts(catalog: Catalog) -> dict[str, int]:
    return dict(catalog.db.execute("SELECT state, images FROM counts WHERE images != 0 ORDER BY state"))


def _real_counts(catalog: Catalog) -> dict[str, int]:
    return dict(catalog.db.execute("SELECT state, count(*) FROM images WHERE gone_at IS NULL GROUP BY state ORDER BY state"))


def _rows(catalog: Catalog) -> Iterator[Finding]:
    for column in _JSON_COLUMNS:
        (bad,) = catalog.db.execute(f"SELECT count(*) FROM images WHERE {_NO_JSON.format(column)}").fetchone()
        if bad:
            yield Finding(
                f"column {column}", f"is no JSON in {bad:,} images", "--repair empties it; the next run reads the files anew"
            )
    (undescribed,) = catalog.db.execute(f"SELECT count(*) FROM images WHERE {_UNDESCRIBED}").fetchone()
    if undescribed:
        yield Finding(
            "states", f"{undescribed:,} images count as described and have no description", "--repair lets them wait for one"
        )
    bad_settings = [name for name in ("hosts",) if not _is_json(catalog.setting(name))]
    for name in bad_settings:
        yield Finding(f"setting {name}", "is no JSON", "--repair forgets it")


_UNDESCRIBED = "state = 'described' AND (description IS NULL OR trim(description) = '')"


def _is_json(text: str | None) -> bool:
    try:
        json.loads(text or "null")
    except ValueError:
        return False
    return True


def _vectors(catalog: Catalog) -> Iterator[Finding]:
    bad = len(_bad_vectors(catalog))
    if bad:
        yield Finding(
            "vectors", f"{bad:,} are no unit vectors of their model", "--repair drops them; create_faiss_index.py makes them anew"
        )


def _bad_vectors(catalog: Catalog) -> list[int]:
    """Row ids of vectors of the wrong length, not of length 1, or with what is no number."""
    if catalog.db.execute("SELECT 1 FROM vectors LIMIT 1").fetchone() is None:
        return []
    import numpy as np

    rows = catalog.db.execute(
        "SELECT vectors.rowid, vector, dimension FROM vectors JOIN embedding_models ON embedding_models.id = embedding_model_id"
    )
    bad = []
    for row_id, vector, dimension in rows:
        if not isinstance(vector, bytes) or len(vector) != 2 * dimension:
            bad.append(row_id)
            continue
        length = float(np.linalg.norm(np.frombuffer(vector, "<f2").astype(np.float32)))
        if not 0.98 < length < 1.02:  # fp16 moves it by less than a thousandth; NaN is never between
            bad.append(row_id)
    return bad


def _vector_index(catalog: Catalog, path: str) -> Iterator[Finding]:
    from image_catalog.vector_index import VectorIndex, VectorIndexError

    remedy = "make it anew with: python create_faiss_index.py"
    try:
        index = VectorIndex.open(path)
    except VectorIndexError as error:
        if error.kind != "missing":
            yield Finding(path, error.reason, error.remedy)
        return
    except CannotGoOn as error:
        yield Finding(path, error.reason, error.remedy)
        return
    if not index.provenance.is_of(catalog.setting("catalog_id")):
        yield Finding(path, "is the index of another catalog", remedy)
        return
    if index.provenance.generation != catalog.generation():
        return  # behind, which is no damage: searches say so, and the next create_faiss_index.py brings it up to date
    model = catalog.db.execute("SELECT id FROM embedding_models WHERE digest = ?", (index.provenance.model_digest,)).fetchone()
    expected = [image_id for image_id, _ in catalog.image_vectors(model[0])] if model else []
    if index.ids.tolist() != expected:
        yield Finding(path, f"holds {len(index.ids):,} images, the catalog has vectors of {len(expected):,}", remedy)


# Mending


def repair(catalog: Catalog) -> list[str]:
    """Mend all that is derived; returns what was done, in words. The file itself must be whole but for its indexes."""
    done = []
    db = catalog.db
    db.execute("REINDEX")
    with catalog.transaction():
        done += _repair_rows(catalog)  # before the stems, which are those of the texts that are left
        stems = list(_wrong_stems(catalog))
        db.executemany("UPDATE images SET stems = ? WHERE id = ?", ((right, image_id) for image_id, right in stems))
        db.execute("INSERT INTO images_fts (images_fts) VALUES ('rebuild')")
        done.append(f"full-text index rebuilt, stems of {len(stems):,} images made anew")
        if _kept_counts(catalog) != _real_counts(catalog):
            db.execute(
                "UPDATE counts SET images ="
                " (SELECT count(*) FROM images WHERE images.state = counts.state AND images.gone_at IS NULL)"
            )
            done.append("counts taken anew")
        bad = _bad_vectors(catalog)
        db.executemany("DELETE FROM vectors WHERE rowid = ?", ((row_id,) for row_id in bad))
        strays = db.execute("DELETE FROM vectors WHERE embedding_model_id NOT IN (SELECT id FROM embedding_models)").rowcount
        if bad or strays:
            done.append(f"{len(bad) + strays:,} vectors dropped: create_faiss_index.py makes them anew")
        db.execute("UPDATE generation SET number = number + 1")
    return done


def _repair_rows(catalog: Catalog) -> list[str]:
    done = []
    for column in _JSON_COLUMNS:
        # The file is read anew in the next run, which gives what it says of itself back; tags are the model's.
        again = "" if column == "tags" else ", ctime_ns = 0"
        count = catalog.db.execute(f"UPDATE images SET {column} = NULL{again} WHERE {_NO_JSON.format(column)}").rowcount
        if count:
            done.append(f"{column} of {count:,} images emptied")
    count = catalog.db.execute(f"UPDATE images SET state = 'waiting' WHERE {_UNDESCRIBED}").rowcount
    if count:
        done.append(f"{count:,} images wait for a description again")
    if not _is_json(catalog.setting("hosts")):
        catalog.db.execute("DELETE FROM settings WHERE name = 'hosts'")
        done.append("the remembered hosts forgotten")
    return done


def salvage(damaged_path: str, path: str) -> tuple[int, int]:
    """Save what can be read of a damaged catalog into a new one at `path`: (images, of them described).

    Rows on broken pages are lost, all others are kept with their past descriptions and settings. Raises CannotGoOn.
    """
    damaged = catalog_file.connect(damaged_path, "ro")
    try:
        return _salvage(damaged, path)
    except (sqlite3.DatabaseError, CannotGoOn) as error:
        for leftover in (path, path + "-wal", path + "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(leftover)
        raise CannotGoOn(damaged_path, f"is damaged beyond reading ({error})", "restore a backup, or index again") from None
    finally:
        damaged.close()


def _salvage(damaged: sqlite3.Connection, path: str) -> tuple[int, int]:
    with Catalog.open(path) as catalog:
        columns = _columns(catalog, "images")
        images = described = 0
        with catalog.transaction():
            for row in _readable_rows(damaged, "images", columns):
                values = dict(zip(columns, row, strict=True)) | {"passage_hash": None}
                try:
                    _insert(catalog, "images", values | {"stems": stems_of(values)})
                except sqlite3.IntegrityError:
                    continue  # a row that reads as nonsense
                images += 1
                described += values["state"] == "described"
            for table in ("past_descriptions", "settings", "roots", "other_files"):
                names = _columns(catalog, table)
                for row in _readable_rows(damaged, table, names):
                    _insert(catalog, table, dict(zip(names, row, strict=True)))
        if images == 0:
            raise CannotGoOn(path, "no image could be read")
        return images, described


def _columns(catalog: Catalog, table: str) -> list[str]:
    return [row[1] for row in catalog.db.execute(f"PRAGMA table_info({table})")]


def _insert(catalog: Catalog, table: str, values: dict[str, Any]) -> None:
    marks = ", ".join("?" * len(values))
    catalog.db.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def _readable_rows(damaged: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """Rows of a table, leaving out ever smaller ranges of ids that cannot be read."""
    query = f"SELECT {', '.join(columns)} FROM {table}"
    if "id" not in columns:
        try:
            yield from damaged.execute(query).fetchall()
        except sqlite3.DatabaseError:
            return
        return
    for first, last in _id_ranges(damaged, table):
        yield from _rows_between(damaged, query, first, last)


def _id_ranges(damaged: sqlite3.Connection, table: str) -> Iterable[tuple[int, int]]:
    largest = 0
    # The full-text index keeps a row for each image in a table of its own, which may be whole where the other is not.
    for source in (table, "images_fts_docsize"):
        with suppress(sqlite3.DatabaseError):
            largest = damaged.execute(f"SELECT max(id) FROM {source}").fetchone()[0] or 0
            break
    step = 1024
    return ((first, min(first + step - 1, largest)) for first in range(1, largest + 1, step))


def _rows_between(damaged: sqlite3.Connection, query: str, first: int, last: int) -> Iterator[tuple[Any, ...]]:
    try:
        yield from damaged.execute(f"{query} WHERE id BETWEEN ? AND ?", (first, last)).fetchall()
    except sqlite3.DatabaseError:
        if first < last:
            middle = (first + last) // 2
            yield from _rows_between(damaged, query, first, middle)
            yield from _rows_between(damaged, query, middle + 1, last)


def copy_name(path: str, why: str) -> str:
    """A name beside `path` that is free, with the time and the reason in it: images.db.before-repair-20260131T120000Z."""
    stamp = utc_now().replace("-", "").replace(":", "")
    name = f"{path}.{why}-{stamp}"
    number = 1
    while os.path.exists(name):
        number += 1
        name = f"{path}.{why}-{stamp}-{number}"
    return name


def keep_copy(catalog: Catalog) -> str:
    """A copy of the catalog as it is, before it is mended; returns its name. Raises CannotGoOn."""
    name = copy_name(catalog.path, "before-repair")
    catalog_upkeep.copy_to(catalog, name)
    return name
