"""create_faiss_index.py: the descriptions in images.db -> vectors -> image_index.faiss; only new texts are embedded."""
# PYTHON_ARGCOMPLETE_OK: the shell may ask this script what can stand on its command line

from __future__ import annotations

import argparse
import os

from image_catalog import command_line
from image_catalog.command_line import duration_text, json_text, printable, write_line
from image_catalog.errors import DONE

TYPE_CHECKING = False  # typing would cost a run without work 2 ms
if TYPE_CHECKING:
    from image_catalog.catalog import Catalog
    from image_catalog.vector_run import VectorRun, VectorSummary

DESCRIPTION = """\
Embed the descriptions in a catalog with sentence-transformers and write the vector index that search by meaning needs.
Vectors are kept in images.db, so only new and changed texts are embedded, and a run that is stopped loses at most a few
seconds of work. An unchanged catalog costs nothing. The index is replaced in one step: searches go on meanwhile.

Goes in: images.db, as index_images.py fills it. Comes out: image_index.faiss, which faiss.read_index opens, and a summary."""

EXAMPLES = """
  python create_faiss_index.py
  python create_faiss_index.py -q --db ~/images.db                  for cron, after index_images.py
  python create_faiss_index.py --model sentence-transformers/LaBSE  another model, by name or folder; remembered
"""


def main(argv: list[str]) -> int:
    options = _parse(argv)
    from image_catalog.catalog import Catalog

    path = command_line.vector_index_path(options)
    with Catalog.open_for_reading(options.db) as catalog:
        run = _run(catalog, path, options)
        up_to_date = run.is_up_to_date()
        if up_to_date and not options.quiet:
            run.count_images()
    if not up_to_date:
        from image_catalog import run_lock, vector_file  # 50 ms that a run without work saves

        vector_file.check_place(path)
        with run_lock.hold(path, lambda: ""), Catalog.open(options.db) as catalog:
            catalog.share_writing()
            run = _run(catalog, path, options)
            run.run()
    _print_summary(options, run.summary)
    return DONE


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.ArgumentParser(DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("--model", metavar="NAME", help="sentence-transformers name or folder (default: one that knows Russian and English)")
    add(
        "--type",
        choices=("auto", "flat", "hnsw", "ivf"),
        default="auto",
        help="flat is exact; hnsw and ivf are for many millions; auto (default) is flat up to five million",
    )
    add("--with-encoder", action="store_true", help="put beside the index what a machine needs that only searches")
    command_line.add_catalog_options(parser)
    command_line.add_vector_index_option(parser)
    command_line.add_output_options(parser, "print the summary as one JSON document")
    options: argparse.Namespace = parser.parse_args(argv)
    return options


def _run(catalog: Catalog, path: str, options: argparse.Namespace) -> VectorRun:
    from image_catalog.vector_run import VectorOptions, VectorRun

    wanted = VectorOptions(options.model, options.type, options.with_encoder)
    return VectorRun(catalog, path, wanted, command_line.Reporter(options.quiet))


def _print_summary(options: argparse.Namespace, summary: VectorSummary) -> None:
    if options.json:
        write_line(json_text(summary.as_dict()))
        return
    if options.quiet:
        return
    write_line(_summary_line(summary))
    if summary.without_description:
        write_line(f"{summary.without_description:,} images have no description yet, so no vector")


def _summary_line(summary: VectorSummary) -> str:
    name = printable(os.path.basename(summary.index))
    images = f"{summary.vectors:,} image{'s' if summary.vectors != 1 else ''}"
    if summary.up_to_date:
        return f"{name} is up to date: {images}"
    texts = f"{summary.embedded:,} text{'s' if summary.embedded != 1 else ''} embedded by {printable(summary.model)}"
    kind = f"{summary.type}, " + ("exact" if summary.recall is None else f"finds {summary.recall:.1%} of the nearest")
    return f"{name}: {images} ({kind}); {texts}; {duration_text(summary.seconds)}"


if __name__ == "__main__":
    raise SystemExit(command_line.run_script(main))
