"""index_images.py: folders of pictures -> images.db; what is stored and unchanged is not opened again."""
# PYTHON_ARGCOMPLETE_OK: the shell may ask this script what can stand on its command line

from __future__ import annotations

import argparse
import os
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from image_catalog import command_line
from image_catalog.command_line import duration_text, json_text, printable, rate_text, write_line
from image_catalog.errors import CANNOT_GO_ON, DONE, SOME_FAILED, CannotGoOn, UserError

if TYPE_CHECKING:
    from image_catalog.catalog import Catalog
    from image_catalog.index_run import IndexOptions, IndexSummary
    from image_catalog.upkeep import Outcome

DESCRIPTION = """\
Bring a catalog in line with folders of pictures: find new, changed, moved and deleted images, read what their cameras
wrote, and ask a local vision model (through Ollama) to describe each one that has no description yet. An unchanged image
costs no read; every description is stored as soon as it arrives, so a run can be stopped at any time and the next goes on.

Goes in: folders, or single image files. Comes out: images.db and a summary. Pictures are never changed."""

EXAMPLES = """
  python index_images.py ~/Pictures -r                 a folder with all folders in it
  python index_images.py ~/Pictures -r --no-describe   only facts: found by name, date, place, camera; no model needed
  python index_images.py ~/Pictures -r -q --max-minutes 50     for cron: mails only trouble, goes on the next night
  python index_images.py --status                      what is described, what waits, what failed
"""


def main(argv: list[str]) -> int:
    options = _parse(argv)
    if options.log:
        command_line.keep_log(options.log)
    if options.status or options.failed:
        return _show(options)
    if _upkeep_task(options):
        return _do_upkeep(options)
    from image_catalog import run_lock
    from image_catalog.catalog import Catalog

    if options.dry_run and not os.path.exists(options.db):
        import tempfile

        with tempfile.TemporaryDirectory() as folder, Catalog.open(os.path.join(folder, "images.db")) as catalog:
            return _index(options, catalog)
    note = command_line.Reporter(options.quiet).note
    with run_lock.hold(options.db, lambda: _active_run(options.db)), Catalog.open(options.db, note) as catalog:
        return _index(options, catalog)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.ArgumentParser(DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("folders", metavar="DIR", nargs="*", help="folders (or single image files) to index")
    add("-r", "--recursive", action="store_true", help="go into subfolders")
    add("--exclude", metavar="PATTERN", action="append", default=[], help="leave out files and folders named so; repeat")
    add("--raw-twins", action="store_true", help="index a camera RAW file also where its JPEG lies beside it")
    add("--no-describe", action="store_true", help="store facts only, ask no model")
    add("--dry-run", action="store_true", help="show what a run would find and describe; change nothing, ask no model")
    add("--max-minutes", metavar="N", type=command_line.positive_float, help="stop cleanly after N minutes; exit 0")
    add("--retry-failed", action="store_true", help="try images again that failed before")
    add("--redescribe", action="store_true", help="describe all images again; the old texts are kept")
    add("--stale", action="store_true", help="with --redescribe: only those made by another model, prompt or language")
    add("--allow-empty", action="store_true", help="believe that a folder is meant to be empty: its images are gone")
    add("--status", action="store_true", help="show what is described, waiting and failed; change nothing")
    add("--failed", action="store_true", help="list the images that failed, with the reason; change nothing")
    _add_upkeep_options(parser)
    _add_model_options(parser)
    command_line.add_catalog_options(parser)
    command_line.add_vector_index_option(parser)
    command_line.add_output_options(parser, "print the summary as one JSON document")
    parser.add_argument(
        "--log", metavar="FILE", help="append what is said, with the time, to FILE; with -q all that is not said, too"
    )
    options = parser.parse_args(argv)
    _check_tasks(parser, options)
    if options.stale and not options.redescribe:
        parser.error("--stale goes with --redescribe")
    return options


_TASKS = ("check", "repair", "backup", "export", "import_file", "relocate", "forget", "write_sidecars")


def _add_upkeep_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("upkeep of the catalog (instead of indexing)").add_argument
    add("--check", action="store_true", help="prove the catalog and its vector index whole, or name what is wrong; exit 1")
    add("--repair", action="store_true", help="mend what is derived, after keeping a copy; descriptions are only read")
    add("--backup", metavar="FILE", help="write a whole copy of the catalog, also while a run is active")
    add("--export", metavar="FILE", help="write all descriptions as JSON lines (-: to stdout)")
    add("--import", metavar="FILE", dest="import_file", help="take over exported descriptions (-: from stdin)")
    add("--relocate", metavar=("OLD", "NEW"), nargs=2, help="a folder of pictures lies elsewhere now")
    add("--forget", metavar="DIR", help="remove all that the catalog knows of a folder; the pictures stay")
    add(
        "--write-sidecars",
        action="store_true",
        help="write descriptions beside the pictures (photo.jpg.xmp); of DIR only, if given",
    )
    add("--force", action="store_true", help="with --write-sidecars: replace other programs' sidecars")


def _upkeep_task(options: argparse.Namespace) -> str | None:
    return next((name for name in _TASKS if getattr(options, name)), None)


def _check_tasks(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    tasks = [name for name in (*_TASKS, "status", "failed") if getattr(options, name)]
    if len(tasks) > 1:
        parser.error("one at a time: " + " and ".join("--" + task.removesuffix("_file").replace("_", "-") for task in tasks))
    if options.force and not options.write_sidecars:
        parser.error("--force goes with --write-sidecars")
    if not options.folders and not tasks:
        parser.error("name at least one folder of pictures")


def _do_upkeep(options: argparse.Namespace) -> int:
    from image_catalog import run_lock

    task = _upkeep_task(options)
    if not os.path.exists(options.db):
        raise CannotGoOn(options.db, "there is no catalog here yet", "make one with: python index_images.py FOLDER -r")
    is_only_reading = task in ("backup", "export")
    with nullcontext() if is_only_reading else run_lock.hold(options.db, lambda: _active_run(options.db)):
        outcome = _upkeep(options, command_line.Reporter(options.quiet))
    for line in outcome.lines:
        command_line.log(line)
        if not options.json and (outcome.exit_code or not options.quiet):
            write_line(printable(line))
    if options.json and outcome.fields:
        write_line(json_text(outcome.fields))
    return outcome.exit_code


def _upkeep(options: argparse.Namespace, reporter: command_line.Reporter) -> Outcome:
    from image_catalog import upkeep

    index = command_line.vector_index_path(options)
    if options.check:
        return upkeep.check(options.db, index)
    if options.repair:
        return upkeep.repair(options.db, index)
    if options.backup:
        return upkeep.back_up(options.db, options.backup)
    if options.export:
        return upkeep.export(options.db, options.export)
    if options.import_file:
        return upkeep.take_over(options.db, options.import_file, reporter)
    if options.relocate:
        return upkeep.relocate(options.db, *options.relocate)
    if options.forget:
        return upkeep.forget(options.db, options.forget)
    return upkeep.write_sidecars(options.db, options.folders, options.force, reporter)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("who describes (kept in the catalog at first use)").add_argument
    add("--engine", choices=("ollama", "openai", "local", "captions"), help="captions: take the caption that a picture carries")
    add("--model", metavar="NAME", help="vision model (default: the best one that is installed)")
    add("--host", metavar="URL", action="append", help="server; repeat for several (default: $OLLAMA_HOST)")
    add("--language", metavar="LANG", help="language of the descriptions: ru, en, ... (default: that of the locale)")
    add("--prompt", metavar="FILE", help="a prompt of your own in place of the built-in one")
    add("--timeout", metavar="SECONDS", type=command_line.positive_float, help="longest wait for a description (300)")
    add("--workers", metavar="N", type=command_line.positive_int, default=1, help="requests in flight per server (1)")
    add("--max-image-size", metavar="PIXELS", type=_image_size, help="long side of what the model is shown (1024)")


def _image_size(text: str) -> int:
    size = int(text)
    if not 64 <= size <= 8192:
        raise argparse.ArgumentTypeError(f"{text} is not between 64 and 8192")
    return size


def _index(options: argparse.Namespace, catalog: Catalog) -> int:
    from image_catalog.index_run import IndexRun

    reporter = command_line.Reporter(options.quiet)
    roots = [os.path.realpath(os.fsencode(folder)) for folder in options.folders]
    run = IndexRun(catalog, list(dict.fromkeys(roots)), _index_options(options), reporter)
    run_id = None if options.dry_run else catalog.start_run(roots)
    started = time.monotonic()
    code = CANNOT_GO_ON
    try:
        run.run()
        code = _exit_code(run.summary)
    except UserError as error:
        reporter.failure(error)
        code = error.exit_code
    except command_line.Stopped as stop:
        code = 128 + stop.signal_number
        raise
    finally:
        seconds = time.monotonic() - started
        summary = run.summary.as_dict() | {"seconds": round(seconds, 1), "exit_code": code}
        if run_id is not None:
            catalog.end_run(run_id, code, summary)
        pace = catalog.status()["seconds_per_description"] if options.dry_run else None
        _print_summary(options, run.summary, summary, pace)
    return code


def _index_options(options: argparse.Namespace) -> IndexOptions:
    from image_catalog.index_run import DEFAULT_TIMEOUT, IndexOptions
    from image_catalog.prompt import read_prompt

    return IndexOptions(
        recursive=options.recursive,
        exclude=options.exclude,
        allow_empty=options.allow_empty,
        raw_twins=options.raw_twins,
        describe=not options.no_describe,
        dry_run=options.dry_run,
        retry_failed=options.retry_failed,
        redescribe=options.redescribe,
        stale_only=options.stale,
        max_minutes=options.max_minutes,
        engine=options.engine,
        model=options.model,
        hosts=options.host,
        language=options.language,
        prompt=read_prompt(options.prompt) if options.prompt else None,
        max_image_size=options.max_image_size,
        timeout=options.timeout or DEFAULT_TIMEOUT,
        workers=options.workers,
    )


def _exit_code(summary: IndexSummary) -> int:
    if summary.refused_roots:
        return CANNOT_GO_ON
    return SOME_FAILED if summary.failed_now else DONE


def _print_summary(options: argparse.Namespace, summary: IndexSummary, as_dict: dict[str, Any], pace: float | None) -> None:
    lines = [_found_line(summary, as_dict["seconds"])]
    lines += _plan_lines(summary, pace) if options.dry_run else _result_lines(summary)
    for line in lines:
        command_line.log(line)
    if options.json:
        write_line(json_text(as_dict | {"dry_run": options.dry_run}))
    elif not options.quiet:
        for line in lines:
            write_line(line)


def _plan_lines(summary: IndexSummary, pace: float | None) -> list[str]:
    """What a dry run tells; `pace` in seconds a description."""
    time_left = f", in about {duration_text(summary.waiting * pace)} at the pace so far" if pace and summary.waiting else ""
    return [f"{summary.waiting:,} would be described{time_left}", "dry run: nothing was changed"]


def _found_line(summary: IndexSummary, seconds: float) -> str:
    sync = summary.sync
    parts = [
        f"{count:,} {name}"
        for name, count in (
            ("new", sync.new),
            ("changed", sync.changed),
            ("moved", sync.moved),
            ("copied", sync.copied),
            ("back again", sync.returned),
            ("unchanged", sync.unchanged),
            ("gone", sync.gone),
            ("still being written", sync.still_being_written),
            ("failed", summary.failed_now),
        )
        if count
    ]
    return f"{', '.join(parts) or 'no images found'}; {duration_text(seconds)}"


def _result_lines(summary: IndexSummary) -> list[str]:
    lines = []
    if summary.described or summary.reused:
        lines.append(_description_line(summary))
    if summary.waiting:
        why = "time is up: the next run goes on with them" if summary.out_of_time else "run again to go on with them"
        lines.append(f"{summary.waiting:,} still wait for a description; {why}")
    if summary.failed_before:
        lines.append(f"{summary.failed_before:,} failed in earlier runs; --failed lists them, --retry-failed tries again")
    return lines


def _description_line(summary: IndexSummary) -> str:
    if summary.reused and not summary.described:
        return f"{summary.reused:,} took the description of equal pixels"
    line = f"{summary.described:,} described by {printable(summary.model or '')}"
    if summary.describing_seconds and summary.model != "captions":
        line += f" ({rate_text(summary.described / summary.describing_seconds)})"
    return line + (f", {summary.reused:,} took the description of equal pixels" if summary.reused else "")


# --status and --failed


def _active_run(path: str) -> str:
    """Which run holds the lock, in words; nothing when the catalog cannot say."""
    from image_catalog.catalog import Catalog

    try:
        with Catalog.open_for_reading(path) as catalog:
            run = catalog.last_run()
    except UserError:
        return ""
    return f" (pid {run['pid']}, since {run['started_at']})" if run and run["ended_at"] is None else ""


def _show(options: argparse.Namespace) -> int:
    from image_catalog.catalog import Catalog

    with Catalog.open_for_reading(options.db) as catalog:
        return _show_failed(options, catalog) if options.failed else _show_status(options, catalog)


def _show_failed(options: argparse.Namespace, catalog: Catalog) -> int:
    for row in catalog.failed_images():
        path = os.fsdecode(row["path_bytes"])
        if options.json:
            write_line(json_text({"path": path, "kind": row["failure_kind"], "reason": row["failure_reason"]}))
        else:
            write_line(f"{printable(path)}: {printable(row['failure_reason'] or row['failure_kind'] or '')}")
    return DONE


def _show_status(options: argparse.Namespace, catalog: Catalog) -> int:
    status = catalog.status()
    if options.json:
        write_line(json_text(status))
        return DONE
    write_line(
        f"{status['images']:,} images: {status['described']:,} described,"
        f" {status['waiting']:,} waiting, {status['failed']:,} failed"
    )
    if status["waiting"] and status["seconds_per_description"]:
        left = duration_text(status["waiting"] * status["seconds_per_description"])
        write_line(f"left: about {left} at {status['seconds_per_description']:.1f} s an image, as the last ones took")
    for model in status["models"]:
        name = model["model"] or model["engine"] or "unknown"
        write_line(f"described by {printable(name)}: {model['images']:,}")
    for reason in status["failures"]:
        write_line(f"failed: {reason['images']:,} {printable(reason['kind'] or 'unknown')}")
    for folder in status["folders"]:
        counts = f"{folder['described']:,} of {folder['images']:,} described"
        trouble = f", {folder['failed']:,} failed" if folder["failed"] else ""
        write_line(f"{printable(os.fsdecode(os.fsencode(folder['path'])))}: {counts}{trouble}")
    return DONE


if __name__ == "__main__":
    raise SystemExit(command_line.run_script(main))
