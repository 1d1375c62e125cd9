"""One index run: sync the folders, choose the model, describe what waits; the order of it and what is remembered.

Knows the settings that a catalog keeps and when each step is needed; the steps themselves are folder_sync's, vision_model's
and description_run's. Says what happens through a listener (command_line.Reporter is one) and never prints.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from image_catalog.catalog import Catalog, WaitingImage, utc_now
from image_catalog.errors import UserError
from image_catalog.folder_sync import FolderSync, SyncCounts
from image_catalog.guarded_workers import GuardedWorkers
from image_catalog.tree_scan import ScanOptions, scope

DEFAULT_IMAGE_SIZE = 1024
DEFAULT_TIMEOUT = 300.0


class Progress(Protocol):
    """A display of how far a step is."""

    def __enter__(self) -> Progress: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, item: str) -> None: ...
    def advance(self, count: int = 1) -> None: ...


class Listener(Protocol):
    """Who hears what a run does."""

    def note(self, text: str) -> None: ...
    def warn(self, text: str, once: str | None = None) -> None: ...
    def failure(self, error: UserError) -> None: ...
    def progress(self, total: int, unit: str = "image") -> Progress: ...


@dataclass(frozen=True)
class IndexOptions:
    """What the user asked for. None: what the catalog remembers, else the default."""

    recursive: bool = False
    exclude: Sequence[str] = ()
    allow_empty: bool = False
    raw_twins: bool = False
    describe: bool = True
    dry_run: bool = False
    retry_failed: bool = False
    redescribe: bool = False
    stale_only: bool = False
    max_minutes: float | None = None
    engine: str | None = None
    model: str | None = None
    hosts: Sequence[str] | None = None
    language: str | None = None
    prompt: str | None = None
    max_image_size: int | None = None
    timeout: float = DEFAULT_TIMEOUT
    workers: int = 1


@dataclass
class IndexSummary:
    """What a run did, in images. At its end `waiting` have no description yet, `failed_before` failed in an earlier run."""

    sync: SyncCounts = field(default_factory=SyncCounts)
    described: int = 0
    reused: int = 0
    failed: int = 0
    waiting: int = 0
    failed_before: int = 0
    refused_roots: int = 0
    out_of_time: bool = False
    model: str | None = None
    describing_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """One flat JSON object; README documents its fields."""
        own = asdict(self)
        counts = own.pop("sync")
        whole: dict[str, Any] = counts | own | {"failed": self.failed_now}
        return whole

    @property
    def failed_now(self) -> int:
        """Images and folders that failed in this run."""
        return self.failed + self.sync.failed


class IndexRun:
    """One run over `roots` (absolute real paths). `summary` is right at any moment, also after an exception."""

    def __init__(self, catalog: Catalog, roots: Sequence[bytes], options: IndexOptions, listener: Listener) -> None:
        self.catalog = catalog
        self.roots = list(roots)
        self.options = options
        self.listener = listener
        self.summary = IndexSummary()
        self._hosts: Sequence[str] = ()
        self._in_scope = scope(roots, options.recursive)
        self._deadline = time.monotonic() + options.max_minutes * 60 if options.max_minutes else None

    def run(self) -> None:
        """Raises UserError when the run cannot go on; what was done until then is stored, in a dry run nothing."""
        with self.catalog.rehearsal() if self.options.dry_run else nullcontext(), GuardedWorkers() as workers:
            try:
                self._sync(workers)
                if self.options.redescribe:
                    self._wait_again()
                if self.options.describe and not self.options.dry_run:
                    self._describe_waiting(workers)
            finally:
                coverage = self.catalog.coverage()
                self.summary.waiting = coverage.waiting
                self.summary.failed_before = max(0, coverage.failed - self.summary.failed_now)

    # Facts

    def _sync(self, workers: GuardedWorkers) -> None:
        sync = FolderSync(
            self.catalog,
            workers,
            ScanOptions(self.roots, self.options.recursive, self.options.exclude, self.options.raw_twins),
            allow_empty=self.options.allow_empty,
            retry_failed=self.options.retry_failed,
            max_image_size=self._max_image_size(),
            on_failure=self.listener.failure,
            on_note=self.listener.note,
        )
        self.summary.sync = sync.counts
        to_open = sync.scan()
        with self.listener.progress(to_open, "file") as progress:
            sync.store_facts(on_examined=lambda path: progress.advance())
        sync.mark_gone()
        self.summary.refused_roots = len(sync.refused_roots)
        for library, files in sync.missing_libraries.items():
            reason = f"{files:,} pictures cannot be read without it"
            remedy = f"pip install {library} and run again: they are tried again then (--failed lists them)"
            self.listener.failure(UserError(library, f"is not installed: {reason}", remedy))

    def _max_image_size(self) -> int:
        return self.options.max_image_size or int(self.catalog.setting("max_image_size") or DEFAULT_IMAGE_SIZE)

    # Descriptions

    def _waiting(self) -> list[WaitingImage]:
        # --retry-failed does not wait until the time of those that back off has come.
        now = "9999" if self.options.retry_failed else utc_now()
        return [image for image in self.catalog.waiting_images(now) if self._in_scope(image.path)]

    def _describe_waiting(self, workers: GuardedWorkers) -> None:
        waiting = self._waiting()
        if not waiting:
            return  # an unchanged tree costs no request
        if self._engine() == "captions":
            self._describe_by_captions(waiting)
            return
        from image_catalog.description_run import DescriptionRun

        with self._connect() as model:
            self._remember(model)
            with self.listener.progress(len(waiting)) as progress:
                run = DescriptionRun(
                    self.catalog,
                    model,
                    workers,
                    slots=model.slots,
                    max_image_size=self._max_image_size(),
                    deadline=self._deadline,
                    on_failure=self.listener.failure,
                    on_start=lambda path: progress.show(os.fsdecode(os.path.basename(path))),
                    on_done=progress.advance,
                )
                started = time.monotonic()
                try:
                    run.run(waiting)
                finally:
                    self.summary.describing_seconds = round(time.monotonic() - started, 1)
                    self.summary.described = run.counts.described
                    self.summary.reused = run.counts.reused
                    self.summary.failed = run.counts.failed
                    self.summary.out_of_time = run.ran_out_of_time

    def _describe_by_captions(self, waiting: list[WaitingImage]) -> None:
        from image_catalog.description_run import describe_by_captions

        self._keep("engine", "captions", None)
        self.summary.model = "captions"
        self.summary.described = describe_by_captions(self.catalog, waiting)

    def _wait_again(self) -> None:
        """Let described images wait for a new description: all in scope, or those made otherwise than they would be now."""
        rows = [row for row in self.catalog.described_images() if self._in_scope(row["path_bytes"])]
        if self.options.stale_only:
            with self._connect() as model:
                now = (model.engine, model.model, model.prompt_version, model.language)
            rows = [row for row in rows if (row["engine"], row["model"], row["prompt_version"], row["language"]) != now]
        with self.catalog.transaction():
            self.catalog.wait_again(row["id"] for row in rows)

    # The model, and what the catalog remembers of it

    def _engine(self) -> str:
        return self.options.engine or self.catalog.setting("engine") or "ollama"

    def _connect(self) -> Any:
        from image_catalog import vision_model

        remembered = self.catalog.setting
        engine = self._engine()
        same_engine = remembered("engine") in (None, engine)
        hosts = self._hosts = self.options.hosts or (json.loads(remembered("hosts") or "[]") if same_engine else [])
        return vision_model.connect(
            engine=engine,
            hosts=list(hosts),
            model=self.options.model or (remembered("model") if same_engine else None),
            language=self.options.language or remembered("language") or vision_model.language_from_locale(),
            prompt=self.options.prompt or remembered("prompt"),
            timeout=self.options.timeout,
            workers=self.options.workers,
            on_warning=self.listener.warn,
            on_note=self.listener.note,
        )

    def _remember(self, model: Any) -> None:
        self.summary.model = model.model
        self._keep("engine", model.engine, "engine")
        self._keep("model", model.model, "vision model")
        self._keep("language", model.language, "language of descriptions")
        # Those that were asked for: one that is down tonight may be up tomorrow.
        self._keep("hosts", json.dumps(list(self._hosts) or model.hosts), None)
        self._keep("max_image_size", str(self._max_image_size()), None)
        if self.options.prompt is not None:
            self._keep("prompt", self.options.prompt, "prompt")

    def _keep(self, name: str, value: str, title: str | None) -> None:
        """Remember a setting; when it changes, say what that means for what is already there."""
        before = self.catalog.setting(name)
        if before == value:
            return
        self.catalog.keep_setting(name, value)
        described = self.catalog.coverage().described
        if before is not None and title is not None and described:
            change = "has changed" if name == "prompt" else f"is now {value} (was {before})"
            self.listener.warn(
                f"{title} {change}: {described:,} images keep the description that they have; "
                "--redescribe --stale makes theirs anew"
            )
