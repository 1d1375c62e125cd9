"""The search that anyone would write first, for benchmarks/cold_search.py to be measured against: everything is loaded, always.

python benchmarks/naive_search.py MODEL_FOLDER images.db image_index.faiss QUERY
"""

from __future__ import annotations

import sqlite3
import sys

import faiss
from sentence_transformers import SentenceTransformer


def main() -> int:
    folder, database, index_path, query = sys.argv[1:]
    model = SentenceTransformer(folder)
    index = faiss.read_index(index_path)
    vector = model.encode(["query: " + query], normalize_embeddings=True)
    scores, ids = index.search(vector, 10)
    db = sqlite3.connect(database)
    for score, image_id in zip(scores[0], ids[0], strict=True):
        path, description = db.execute("SELECT path, description FROM images WHERE id = ?", (int(image_id),)).fetchone()
        print(f"{score:.3f} {path} {description}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
