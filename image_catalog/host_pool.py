"""Which server gets the next picture: whichever is free. One that fails is left out, and tried again later.

Knows engines as things that can be free, busy or failed; nothing of pictures or answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from image_catalog.engine import Engine, HostUnavailable, ModelClosed
from image_catalog.errors import CannotGoOn

REST_SECONDS = 30.0
LONGEST_REST_SECONDS = 300.0
TIMEOUTS_IN_A_ROW = 3
TROUBLES_IN_A_ROW = 5


class Host:
    """One engine with its share of the work. Change it only through the pool."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.in_use = 0
        self.timeouts = 0  # in a row
        self.troubles = 0  # in a row
        self.left_out: CannotGoOn | None = None
        self.on_trial = False
        self.rest_until = 0.0
        self.rest_seconds = REST_SECONDS


class HostPool:
    """Hands out hosts; `slots` requests at a time to each. Safe to use from several threads."""

    def __init__(
        self,
        engines: Sequence[Engine],
        slots: int,
        on_warning: Callable[[str], None],
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self._hosts = [Host(engine) for engine in engines]
        self._slots = slots
        self._on_warning = on_warning
        self._rest_seconds = rest_seconds
        self._free = threading.Condition()
        self._closed = False

    def acquire(self) -> Host:
        """Wait for a free slot at a host that works.

        Raises the error of the last host when none works, ModelClosed after close().
        """
        while True:
            with self._free:
                host = self._next_host()
                if host is None:
                    self._free.wait()
                    continue
                host.in_use += 1
                host.on_trial = host.left_out is not None
            if not host.on_trial or self._is_back(host):
                return host

    def _next_host(self) -> Host | None:
        """A host to use or to try, None to wait for one; called with the lock held."""
        if self._closed:
            raise ModelClosed("vision model", "it was closed")
        now = time.monotonic()
        rested = [host for host in self._hosts if host.left_out is not None and host.rest_until <= now and not host.on_trial]
        if rested:
            return rested[0]
        working = [host for host in self._hosts if host.left_out is None]
        if not working and not any(host.on_trial for host in self._hosts):
            raise self._last_error()
        free = [host for host in working if host.in_use < self._slots]
        return min(free, key=lambda host: host.in_use, default=None)

    def _last_error(self) -> CannotGoOn:
        errors = [host.left_out for host in self._hosts if host.left_out is not None]
        # A fresh object: the same exception raised in several threads would share one traceback.
        last = errors[-1]
        return type(last)(last.subject, last.reason, last.remedy)

    def _is_back(self, host: Host) -> bool:
        """Try a host whose rest is over; called without the lock."""
        reachable = host.engine.is_reachable()
        with self._free:
            host.on_trial = False
            if reachable:
                host.left_out = None
                host.timeouts = host.troubles = 0
            else:
                host.rest_seconds = min(2 * host.rest_seconds, LONGEST_REST_SECONDS)
                host.rest_until = time.monotonic() + host.rest_seconds
                host.in_use -= 1
            self._free.notify_all()
        if reachable:
            self._on_warning(f"{host.engine.url} answers again")
        return reachable

    def release(self, host: Host) -> None:
        """Give the slot back."""
        with self._free:
            host.in_use -= 1
            self._free.notify_all()

    def others_work(self, host: Host) -> bool:
        """Whether another host could take over."""
        with self._free:
            return any(other is not host and other.left_out is None for other in self._hosts)

    def answered(self, host: Host) -> None:
        """It gave a whole answer, good or bad: it works."""
        with self._free:
            host.timeouts = host.troubles = 0
            host.rest_seconds = self._rest_seconds

    def failed(self, host: Host, *, timed_out: bool) -> bool:
        """It failed with one picture; whether it has failed so often in a row that the pictures cannot be to blame."""
        with self._free:
            if timed_out:
                host.timeouts += 1
            else:
                host.troubles += 1
            return host.timeouts >= TIMEOUTS_IN_A_ROW or host.troubles >= TROUBLES_IN_A_ROW

    def leave_out(self, host: Host, error: CannotGoOn) -> None:
        """Give it no more pictures until it has rested (for ever when it is set up wrongly); one warning if others go on."""
        with self._free:
            is_news = host.left_out is None
            host.left_out = error
            if is_news:
                host.rest_seconds = self._rest_seconds
                may_return = isinstance(error, HostUnavailable)
                host.rest_until = time.monotonic() + host.rest_seconds if may_return else float("inf")
            others = any(other.left_out is None for other in self._hosts)
            self._free.notify_all()
        if is_news and others:
            self._on_warning(f"{error.subject}: {error.reason}; going on without it")

    def close(self) -> None:
        """Wake all who wait, and end every call that is under way."""
        with self._free:
            self._closed = True
            self._free.notify_all()
        for host in self._hosts:
            host.engine.close()
