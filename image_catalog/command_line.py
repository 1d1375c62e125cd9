"""What all scripts share at their edge: options, safe printing, progress, errors -> one line and an exit code.

Knows terminals and nothing of images, catalogs or models. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence

from image_catalog import __version__
from image_catalog.errors import CANNOT_GO_ON, DONE, CannotGoOn, UserError

# Python brings no translation of argparse's words, and looking for one would take a millisecond of every start.
argparse._ = str  # type: ignore[attr-defined]

TYPE_CHECKING = False  # a cold text search takes 25 ms, of which typing would be 3
if TYPE_CHECKING:
    from typing import Any, NoReturn

_DISK_ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
DEFAULT_DATABASE = "images.db"
DEFAULT_VECTOR_INDEX = "image_index.faiss"

# C0 but \t and \n, DEL, C1, line and paragraph separators, every bidi control, lone surrogates (a file name that
# is not UTF-8 arrives as these), the byte order mark and the tag characters that hide text.
_UNSAFE = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_UNSAFE_IN_LINE = _UNSAFE[:-1] + "\t\n]"
_SHORT_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def printable(text: str) -> str:
    """`text` with nothing in it that could move the cursor, hide or reorder text; one line.

    A byte of a file name that is not UTF-8 becomes `\\xNN`, any other unsafe character `\\uNNNN`. Everything that came
    from a file name, EXIF, a model or a server is printed through this or `printable_lines`.
    """
    if text.isprintable():  # no control, no surrogate, nothing invisible: most texts need no regular expression
        return text
    return re.sub(_UNSAFE_IN_LINE, _escape, text)


def printable_lines(text: str) -> str:
    """As `printable`, but line breaks and tabs stay: for texts that have lines of their own."""
    return re.sub(_UNSAFE, _escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    code = ord(char)
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's stand-in for one raw byte
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(value: Any, indent: int | None = None) -> str:
    """`value` as JSON that a terminal can show: readable Cyrillic, every unsafe character as a JSON escape.

    A path that is not UTF-8 keeps its bytes: `os.fsencode(json.loads(...)["path"])` gives them back.
    """
    import json

    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return re.sub(_UNSAFE, _json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x0A:
        return "\n"
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """argparse makes a formatter for every option; to know the width its own would import shutil, bz2 and lzma: 2 ms."""

    def __init__(self, prog: str) -> None:
        try:
            width = int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size().columns
        except (ValueError, OSError):
            width = 80
        super().__init__(prog, width=width - 2)


class _PrintCompletion(argparse.Action):
    """Like --version: print and end."""

    def __call__(self, parser: argparse.ArgumentParser, _namespace: object, values: Any, _option: object = None) -> None:
        from image_catalog import completion

        sys.stdout.write(completion.shell_code(values))
        parser.exit()


class ArgumentParser(argparse.ArgumentParser):
    """argparse whose usage errors are one safe line and whose help shows examples as they were written."""

    def __init__(self, description: str, examples: str, **options: Any) -> None:
        super().__init__(
            description=description,
            epilog="examples:\n" + examples.strip("\n"),
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            **options,
        )
        self.add_argument("--version", action="version", version=f"image-catalog {__version__}")
        self.add_argument("--debug", action="store_true", help="on an error show where in the program it arose")
        self.add_argument(
            "--print-completion",
            metavar="SHELL",
            choices=("bash", "zsh"),
            action=_PrintCompletion,
            help='what the shell must run to complete options: eval "$(python %(prog)s --print-completion bash)"',
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Options may stand between the files: `DIR -r DIR`, which argparse refuses by default.

        Its remedy (intermixed) forgets what `--` means, so what follows that is marked by a NUL, which no argument can hold.
        """
        if "_ARGCOMPLETE" in os.environ:  # the shell asks what may stand here
            from image_catalog import completion

            completion.answer(self)
        self._given = arguments = list(sys.argv[1:] if args is None else args)
        marked: list[str] = []
        if "--" in arguments:
            end = arguments.index("--")
            marked = ["\0" + argument for argument in arguments[end + 1 :]]
            arguments = arguments[:end]
        arguments = self._with_negative_numbers(arguments)
        self._refuse_glued_words(arguments)
        arguments += marked
        parsed = self.parse_intermixed_args(arguments, namespace)
        for name, value in vars(parsed).items():
            if isinstance(value, list):
                setattr(parsed, name, [item.removeprefix("\0") if isinstance(item, str) else item for item in value])
        return parsed

    def _with_negative_numbers(self, arguments: list[str]) -> list[str]:
        """`--near -33.8,151.2` as `--near=-33.8,151.2`: argparse would take the number for an option."""
        joined: list[str] = []
        for argument in arguments:
            before = self._option_string_actions.get(joined[-1]) if joined else None
            if before is not None and before.nargs is None and argument[:1] == "-" and argument[1:].lstrip(".")[:1].isdigit():
                joined[-1] += ("=" if joined[-1].startswith("--") else "") + argument
            else:
                joined.append(argument)
        return joined

    def _refuse_glued_words(self, arguments: list[str]) -> None:
        """`-house` is not `-h`: Python 3.13 would take its first letter for --help, 3.11 would not."""
        for argument in arguments:
            if re.match(r"-[^\W\d_]{2}", argument) and argument not in self._option_string_actions:
                for letter in argument[1:]:
                    action = self._option_string_actions.get("-" + letter)
                    if action is None:
                        self.error(f"unrecognized arguments: {argument}")
                    if action.nargs != 0:  # what follows is its value
                        break

    def error(self, message: str) -> NoReturn:
        # `-night`: a word that is to be missing, or a file; its first letter was taken for an option, the rest for its value.
        glued = (argument for argument in getattr(self, "_given", ()) if re.match(r"-[^\W\d_]{3}", argument))
        is_word = any(argument[2:] in message for argument in glued)
        remedy = (
            f"what begins with - and is no option goes after --; see {self.prog} --help" if is_word else f"see {self.prog} --help"
        )
        self.exit(2, f"{self.prog}: {printable(message)}; {remedy}\n")


def add_catalog_options(parser: argparse.ArgumentParser) -> None:
    """--db, as every script that reads or writes the catalog has it."""
    parser.add_argument(
        "--db",
        metavar="PATH",
        default=os.environ.get("IMAGE_CATALOG_DB") or DEFAULT_DATABASE,
        help=f"the catalog (default: $IMAGE_CATALOG_DB, else {DEFAULT_DATABASE} in the current folder)",
    )


def add_vector_index_option(parser: argparse.ArgumentParser) -> None:
    """--index, for the scripts that read or write the vector index."""
    parser.add_argument("--index", metavar="PATH", help=f"the vector index (default: {DEFAULT_VECTOR_INDEX} beside the catalog)")


def add_output_options(parser: argparse.ArgumentParser, json_help: str) -> None:
    """--json and -q/--quiet."""
    parser.add_argument("--json", action="store_true", help=json_help)
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but results and failures")


def vector_index_path(options: argparse.Namespace) -> str:
    """Where image_index.faiss lies: --index, else beside the catalog."""
    if options.index:
        return str(options.index)
    return os.path.join(os.path.dirname(options.db), DEFAULT_VECTOR_INDEX)


def positive_int(text: str) -> int:
    """argparse type: a whole number from 1."""
    if not (text.isascii() and text.isdecimal()) or int(text[:30]) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return int(text[:30])


def positive_float(text: str) -> float:
    """argparse type: a finite number above 0."""
    number = finite_float(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def finite_float(text: str) -> float:
    """argparse type: a number that is neither infinite nor NaN."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number")
    return number


def program_name() -> str:
    """The name that begins every line on stderr."""
    return os.path.basename(sys.argv[0]) or "image-catalog"


def colour_allowed(stream: Any) -> bool:
    """Colour only on a terminal, and never with NO_COLOR (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def write_line(text: str) -> None:
    """One line of result on stdout, already made safe by the caller through printable() or json_text()."""
    sys.stdout.write(text + "\n")


def write_path_nul(path: bytes) -> None:
    """A path as the bytes that it is, ended by NUL: for `xargs -0`."""
    sys.stdout.flush()
    sys.stdout.buffer.write(path + b"\0")


_log: Any = None  # the open file of --log


def keep_log(path: str) -> None:
    """From now on append what is said on stderr, and what --quiet hides of it, to a private file. Raises CannotGoOn."""
    global _log
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotGoOn(path, f"cannot write the log ({error.strerror})", "name another place with --log") from None
    _log = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")


def log(text: str) -> None:
    """One line with the time into the file of --log, if there is one; a full disk must not end what is logged."""
    if _log is not None:
        with contextlib.suppress(OSError):
            _log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {printable(text)}\n")
            _log.flush()


class Reporter:
    """What a run says on stderr beside its results: notes, warnings, failures and progress.

    `quiet` leaves only warnings and failures. A warning with a `once` key is said a single time in a run.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._said: set[str] = set()
        self._progress: Progress | None = None

    def note(self, text: str) -> None:
        """Something good to know; silent with --quiet."""
        if self.quiet:
            log(text)
        else:
            self._write(text)

    def warn(self, text: str, once: str | None = None) -> None:
        """Something is wrong but the run goes on."""
        if once is not None:
            if once in self._said:
                return
            self._said.add(once)
        self._write(text)

    def failure(self, error: UserError) -> None:
        """One thing that failed, as `prog: subject: reason; remedy`."""
        self._write(str(error))

    def progress(self, total: int, unit: str = "image") -> Progress:
        """A progress display for `total` units, silent with --quiet; use it as a context manager."""
        self._progress = Progress(total, unit, self.quiet, self._end_progress)
        return self._progress

    def _end_progress(self) -> None:
        self._progress = None

    def _write(self, text: str) -> None:
        log(text)
        line = f"{program_name()}: {printable(text)}"
        if self._progress is not None:
            self._progress.write_above(line)
        else:
            print(line, file=sys.stderr, flush=True)


class Progress:
    """done/total, units a second, time left and the current item: a bar on a terminal, else a line a minute.

    The rate counts from the first call of `start_clock` (default: creation), so that unpaid work is not in it.
    """

    SECONDS_BETWEEN_LINES = 60.0

    def __init__(self, total: int, unit: str, quiet: bool, on_close: Callable[[], None]) -> None:
        self.total = total
        self.unit = unit
        self.done = 0
        self._on_close = on_close
        self._started = self._last_line = time.monotonic()
        self._lines = not quiet and not sys.stderr.isatty()
        self._bar: Any = None
        if not quiet and not self._lines and total > 0:
            from tqdm import tqdm  # 30 ms: only where a terminal shows it

            self._bar = tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True, leave=False, smoothing=0.1)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        self._on_close()

    def show(self, item: str) -> None:
        """Name what is being worked on now."""
        if self._bar is not None:
            self._bar.set_postfix_str(_shortened(printable(item), 40), refresh=True)

    def advance(self, count: int = 1) -> None:
        """`count` more units are done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._lines and time.monotonic() - self._last_line >= self.SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            print(f"{program_name()}: {self._summary()}", file=sys.stderr, flush=True)

    def write_above(self, line: str) -> None:
        """A line on stderr that does not tear the bar."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def _summary(self) -> str:
        seconds = time.monotonic() - self._started
        rate = self.done / seconds if seconds > 0 else 0.0
        left = f", {duration_text((self.total - self.done) / rate)} left" if rate > 0 else ""
        return f"{self.done:,} of {self.total:,} {self.unit}s, {rate_text(rate, self.unit)}{left}"


def rate_text(per_second: float, unit: str = "image") -> str:
    """`2.4 images/s`, or by the minute when slower than one a second."""
    return f"{per_second:.1f} {unit}s/s" if per_second >= 1 else f"{per_second * 60:.1f} {unit}s/min"


def duration_text(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[1 - width :]


class Stopped(BaseException):
    """A signal asked the run to end. Like KeyboardInterrupt it passes every `except Exception`."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def _raise_stopped(signal_number: int, _frame: object) -> None:
    # A second signal while the first is being handled must not raise again inside the clean-up.
    for number in _stop_signals():
        signal.signal(number, _already_stopping)
    raise Stopped(signal_number)


def _already_stopping(_signal_number: int, _frame: object) -> None:
    """Not SIG_IGN: of a signal that came at the same moment Python would say that it was lost in a race, with a traceback."""


def _stop_signals() -> list[int]:
    numbers: list[int] = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it on purpose
        numbers.append(signal.SIGHUP)
    return numbers


def run_script(main: Callable[[list[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a script's `main` and turn whatever ends it into a line on stderr and an exit code (DESIGN section 2).

    Tests call it with `argv`; a script calls it without, then signals are handled too and stay so until the end.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A terminal or pipe that is not UTF-8 shows an escape instead of ending the run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if argv is None:
        os.umask(0o077)  # whatever a run makes holds where its user lives
        for number in _stop_signals():
            signal.signal(number, _raise_stopped)
    try:
        code = main(arguments)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail(str(error), error.exit_code, arguments)
    except (Stopped, KeyboardInterrupt) as stop:
        number = stop.signal_number if isinstance(stop, Stopped) else signal.SIGINT
        return _leave_at_once(f"stopped by {signal.Signals(number).name}; finished work is kept", 128 + number)
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except ModuleNotFoundError as error:
        missing = error.name or str(error)
        return _fail(f"{missing}: is not installed; install it: pip install -r requirements.txt", CANNOT_GO_ON, arguments)
    except MemoryError:
        return _fail("out of memory; close other programs or work on fewer pictures at a time", CANNOT_GO_ON, arguments)
    except Exception as error:
        if "--debug" in arguments:
            raise
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            return _fail(
                f"{error.filename or 'output'}: {error.strerror}; free some space and run again", CANNOT_GO_ON, arguments
            )
        kind = type(error).__name__
        return _fail(f"internal error: {kind}: {error}; please report it with the output of --debug", CANNOT_GO_ON, arguments)


def _open_closed_streams() -> None:
    """A stream that the caller closed (`>&-`) leads nowhere; left closed, its number would go to the next file, the catalog."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the end


def _fail(line: str, exit_code: int, arguments: list[str]) -> int:
    if "--debug" in arguments:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(OSError):  # the line below says what matters
        sys.stdout.flush()
    log(line)
    print(f"{program_name()}: {printable(line)}", file=sys.stderr, flush=True)
    return exit_code


def _leave_at_once(line: str, exit_code: int) -> int:
    """End without waiting for threads that may hang in a request for minutes; called under a signal only."""
    log(line)
    print(f"{program_name()}: {line}", file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(exit_code)
