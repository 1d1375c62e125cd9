"""Errors whose message is written for the user, and the exit code each one means.

Every module may raise these; only command_line turns them into a line on stderr. A message has three parts:
what it is about, why it went wrong, what to do. An error that is not of these classes is a bug.
"""

from __future__ import annotations

DONE = 0
SOME_FAILED = 1
NOTHING_FOUND = 1
WRONG_USAGE = 2
CANNOT_GO_ON = 3
ANOTHER_RUN_ACTIVE = 75


class UserError(Exception):
    """Something the user can understand and act on; printed as `prog: subject: reason; remedy`.

    `subject` is what it is about (a path, a URL, a model, an option), `reason` why it failed, `remedy` what to do
    about it (may be empty). All three may hold untrusted text: whoever prints them escapes them.
    """

    exit_code = CANNOT_GO_ON

    def __init__(self, subject: str, reason: str, remedy: str = "") -> None:
        super().__init__(subject, reason, remedy)
        self.subject = subject
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        line = f"{self.subject}: {self.reason}" if self.subject else self.reason
        return f"{line}; {self.remedy}" if self.remedy else line


class UsageError(UserError):
    """The command line asks for something impossible (exit 2)."""

    exit_code = WRONG_USAGE


class CannotGoOn(UserError):
    """The run cannot start or go on: no database, disk full, server down, model missing or blind (exit 3)."""

    exit_code = CANNOT_GO_ON


class AnotherRunActive(UserError):
    """Another index run holds the lock of this catalog (exit 75, EX_TEMPFAIL of sysexits.h)."""

    exit_code = ANOTHER_RUN_ACTIVE


class ImageError(UserError):
    """One image cannot be read or described; the others go on (exit 1 at the end).

    `kind` is a short stable word that is stored and reported in --json: `unreadable`, `too large`, `not an image`,
    `cut`, `empty`, `refused`, …
    """

    exit_code = SOME_FAILED

    def __init__(self, subject: str, reason: str, remedy: str = "", *, kind: str = "unreadable") -> None:
        super().__init__(subject, reason, remedy)
        self.kind = kind
