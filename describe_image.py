"""describe_image.py: image files -> what a local vision model sees in them, on stdout. Nothing is stored."""
# PYTHON_ARGCOMPLETE_OK: the shell may ask this script what can stand on its command line

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from image_catalog import command_line
from image_catalog.command_line import json_text, printable, printable_lines, write_line
from image_catalog.errors import DONE, SOME_FAILED, ImageError, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from image_catalog.guarded_workers import GuardedWorkers
    from image_catalog.picture import Picture
    from image_catalog.reading import Examined
    from image_catalog.vision_model import Description, Listener, VisionModel

DESCRIPTION = """\
Show image files to a local vision model (through Ollama) and print what it sees: a description made for searching, tags, and
the text in the picture. On a terminal the description appears as the model writes it.

Goes in: image files, or - for one picture on stdin. Comes out: text, or with --json one JSON object a line."""

EXAMPLES = """
  python describe_image.py holiday/beach.jpg
  python describe_image.py --language ru --json *.heic > descriptions.jsonl
  python describe_image.py --engine openai --host http://gpu-box:8000 photo.jpg    vLLM, llama.cpp or LM Studio
"""

STDIN = "-"


def main(argv: list[str]) -> int:
    options = _parse(argv)
    from image_catalog import prompt, vision_model
    from image_catalog.guarded_workers import GuardedWorkers

    reporter = command_line.Reporter(options.quiet)
    failed = 0
    with (
        vision_model.connect(
            engine=options.engine,
            hosts=options.host,
            model=options.model,
            language=options.language,
            prompt=prompt.read_prompt(options.prompt) if options.prompt else None,
            timeout=options.timeout,
            on_warning=reporter.warn,
            on_note=reporter.note,
        ) as model,
        _readable_files(options.files) as files,
        GuardedWorkers(1) as workers,
    ):
        for path, shown in _ahead(files, workers, options.max_image_size):
            try:
                _describe(path, shown, model, options, reporter)
            except ImageError as error:
                failed += 1
                _report(path, error, options, reporter)
    return SOME_FAILED if failed else DONE


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.ArgumentParser(DESCRIPTION, EXAMPLES)
    add = parser.add_argument
    add("files", metavar="FILE", nargs="+", help="image files; - reads one picture from stdin")
    add("--engine", choices=("ollama", "openai", "local"), default="ollama", help="what runs the model (default: ollama)")
    add("--model", metavar="NAME", help="vision model (default: the best one that is installed)")
    add("--host", metavar="URL", action="append", default=[], help="server (default: $OLLAMA_HOST, else this machine)")
    add("--language", metavar="LANG", help="language of the description: ru, en, ... (default: that of the locale)")
    add("--prompt", metavar="FILE", help="a prompt of your own in place of the built-in one")
    add("--timeout", metavar="SECONDS", type=command_line.positive_float, help="longest wait for one picture (default: 300)")
    add("--max-image-size", metavar="PIXELS", type=_image_size, default=1024, help="long side shown to the model (1024)")
    command_line.add_output_options(parser, "print one JSON object a picture: description, tags, visible_text, provenance")
    options = parser.parse_args(argv)
    if options.files.count(STDIN) > 1:
        parser.error("stdin can be read once only")
    return options


def _image_size(text: str) -> int:
    size = int(text)
    if not 64 <= size <= 8192:
        raise argparse.ArgumentTypeError(f"{text} is not between 64 and 8192")
    return size


@contextmanager
def _readable_files(paths: list[str]) -> Iterator[dict[str, bytes]]:
    """Where the bytes of each path are: stdin's in a private file that is gone afterwards, since decoders want to seek."""
    files = {path: os.fsencode(path) for path in paths if path != STDIN}
    if STDIN not in paths:
        yield files
        return
    if sys.stdin.isatty():
        raise UsageError("stdin", "is a terminal, not a picture", "write: python describe_image.py - < picture.jpg")
    with tempfile.TemporaryDirectory(prefix="describe-image-") as folder:
        name = os.path.join(folder, "stdin")
        with open(name, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        files[STDIN] = os.fsencode(name)
        yield {path: files[path] for path in paths}


def _ahead(files: dict[str, bytes], workers: GuardedWorkers, max_size: int) -> Iterator[tuple[str, _Shown]]:
    """Each path and what the model is to be shown of it; the next one is prepared while the model looks at this one."""
    waiting: deque[tuple[str, _Shown]] = deque()
    for path, file in files.items():
        examined = workers.examine(file) if path != STDIN else None
        waiting.append((path, _Shown(workers.prepare(file, max_size), examined)))
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


@dataclass(frozen=True, slots=True)
class _Shown:
    """One picture in preparation."""

    prepared: Future[Picture]
    examined: Future[Examined] | None

    def picture(self, path: str) -> Picture:
        """Raises ImageError."""
        try:
            return self.prepared.result()
        except ImageError as error:
            subject = "stdin" if path == STDIN else error.subject
            raise ImageError(subject, error.reason, error.remedy, kind=error.kind) from None

    def context(self) -> str:
        """What the file says of itself: the model is told the same as when it is indexed."""
        if self.examined is None:
            return ""
        with suppress(ImageError):
            return self.examined.result().facts.context or ""
        return ""


def _describe(path: str, shown: _Shown, model: VisionModel, options: argparse.Namespace, reporter: command_line.Reporter) -> None:
    """Describe one picture and print the result. Raises ImageError."""
    picture = shown.picture(path)
    subject = "stdin" if path == STDIN else path
    if options.json:
        description = model.describe(picture.jpeg, subject, shown.context())
        write_line(json_text(_as_json(path, picture, description)))
        sys.stdout.flush()
        return
    heading = f"{printable(path)}:\n" if len(options.files) > 1 else ""
    live = _Live(heading, reporter) if sys.stdout.isatty() else None
    description = model.describe(picture.jpeg, subject, shown.context(), live.listener() if live else None)
    if live is not None and live.has_shown:
        write_line("")
    else:
        write_line(heading + printable(description.description))
    _write_rest(description)
    if heading:
        write_line("")
    sys.stdout.flush()


def _write_rest(description: Description) -> None:
    if description.tags:
        write_line(f"Tags: {printable(', '.join(description.tags))}")
    if description.visible_text:
        write_line(f"Text: {printable_lines(description.visible_text)}")


class _Live:
    """Shows a description on the terminal while it comes."""

    def __init__(self, heading: str, reporter: command_line.Reporter) -> None:
        from image_catalog.live_text import LiveDescription

        self._heading = heading
        self._reporter = reporter
        self._text = LiveDescription()
        self.has_shown = False

    def listener(self) -> Listener:
        from image_catalog.vision_model import Listener

        return Listener(on_text=self._show, on_restart=self._restart)

    def _show(self, piece: str) -> None:
        if new := self._text.add(piece):
            sys.stdout.write(("" if self.has_shown else self._heading) + printable_lines(new))
            sys.stdout.flush()
            self.has_shown = True

    def _restart(self, reason: str) -> None:
        if self.has_shown:
            write_line("")
        self._reporter.note(f"{reason}; asking again")
        self._text.restart()
        self.has_shown = False


def _as_json(path: str, picture: Picture, description: Description) -> dict[str, Any]:
    return {
        "path": path,
        "description": description.description,
        "tags": description.tags,
        "visible_text": description.visible_text,
        "language": description.language,
        "engine": description.engine,
        "model": description.model,
        "model_digest": description.model_digest,
        "prompt_version": description.prompt_version,
        "seconds": description.seconds,
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
    }


def _report(path: str, error: ImageError, options: argparse.Namespace, reporter: command_line.Reporter) -> None:
    """A picture that failed: a line on stderr, and with --json an object in its place."""
    reporter.failure(error)
    if options.json:
        write_line(json_text({"path": path, "error": {"kind": error.kind, "reason": error.reason}}))


if __name__ == "__main__":
    raise SystemExit(command_line.run_script(main))
