"""Embedding many descriptions: ours against the naive `model.encode(text)` for one text after the other, on the same cores.

Goes in: nothing, the descriptions are made; --texts says how many. Comes out: texts a second of both, their ratio, and the least
cosine between the vectors of both. The naive way is timed on a tenth of the texts, in turns with ours. The ratio hangs on the
processor: with 16-bit matrix multiplication (AMX) it is above 5; without, one text already takes 40 % of what the processor can
multiply in 32 bits, so 2 is what is left to gain, 5 for texts of six words. --bits 32 shows that case anywhere.

  python benchmarks/embedding.py
  python benchmarks/embedding.py --texts 1000 --bits 32 --words 6
  python benchmarks/embedding.py --texts 1000 --model sentence-transformers/all-MiniLM-L6-v2
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import made_catalog
import numpy as np

from image_catalog import embedding_model

ROUNDS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", metavar="N", type=int, default=5000)
    parser.add_argument("--model", metavar="NAME", help="embedding model (default: that of create_faiss_index.py)")
    parser.add_argument("--words", metavar="N", type=int, help="only the first N words of each")
    parser.add_argument("--bits", type=int, choices=(16, 32), help="multiply so (default: what is faster here)")
    options = parser.parse_args()
    model = embedding_model.load(options.model)
    if options.bits:
        model.uses_bfloat16 = options.bits == 16
    texts = [" ".join(text.split()[: options.words]) for text in made_catalog.descriptions(options.texts)]
    words = np.mean([len(text.split()) for text in texts])
    bits = 16 if model.uses_bfloat16 else 32
    print(f"{len(texts):,} descriptions of {words:.0f} words, {os.cpu_count()} cores, {model.name}, {bits} bits")
    ours = naive = 0.0
    least = 1.0
    step = max(1, len(texts) // ROUNDS)
    for start in range(0, len(texts), step):
        portion = texts[start : start + step]
        started = time.perf_counter()
        vectors = model.encode_documents(portion)
        ours += time.perf_counter() - started
        sample = portion[::10]
        started = time.perf_counter()
        single = [model.model.encode(model.document_prompt + text, normalize_embeddings=True) for text in sample]
        naive += (time.perf_counter() - started) / len(sample) * len(portion)
        least = min(least, float((vectors[::10] * np.stack(single)).sum(axis=1).min()))
    rates = f"one by one {len(texts) / naive:.0f} a second, ours {len(texts) / ours:.0f}"
    print(f"{rates}: {naive / ours:.1f}x; least cosine {least:.5f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
