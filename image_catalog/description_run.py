"""Describe what waits: pictures are prepared ahead while the model works, each description is stored as it arrives.

Knows the order of work and what an outcome means for a row; knows nothing of HTTP, decoding or folders. All writing happens
in the calling thread, so that one image is one transaction and a kill loses the images in flight at most.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from image_catalog.catalog import DESCRIPTION_COLUMNS, NO_FAILURE, Catalog, WaitingImage, to_json, utc_now
from image_catalog.errors import ImageError, UserError
from image_catalog.folder_sync import with_stems
from image_catalog.guarded_workers import GuardedWorkers
from image_catalog.picture import Picture
from image_catalog.vision_model import PASSING_KINDS, Description, VisionModel

# A failure that may pass by itself is tried again by later runs, after 1, 2, 4, … hours; any other waits for a change of the
# file or for --retry-failed.
MAX_ATTEMPTS = 5
_LONGEST_BACK_OFF_HOURS = 7 * 24


@dataclass
class DescriptionCounts:
    """What a description run did, in images. `reused` got the description of equal pixels without asking the model."""

    described: int = 0
    reused: int = 0
    failed: int = 0
    gone: int = 0
    changed_meanwhile: int = 0
    model_seconds: float = 0.0


@dataclass(slots=True)
class _Job:
    """One picture for the model: every waiting image with the same bytes gets its description."""

    images: list[WaitingImage]
    picture: Picture | None = None

    @property
    def path(self) -> bytes:
        return self.images[0].path


@dataclass(frozen=True, slots=True)
class _Prepared:
    job: _Job
    outcome: Picture | ImageError


@dataclass(frozen=True, slots=True)
class _Described:
    job: _Job
    outcome: Description | UserError | BaseException


class DescriptionRun:
    """Describes `waiting` with `model`, `slots` requests at a time, until all is done or `deadline` (time.monotonic())."""

    def __init__(
        self,
        catalog: Catalog,
        model: VisionModel,
        workers: GuardedWorkers,
        *,
        slots: int,
        max_image_size: int,
        deadline: float | None = None,
        on_failure: Callable[[UserError], None],
        on_start: Callable[[bytes], None] = lambda path: None,
        on_done: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._catalog = catalog
        self._model = model
        self._workers = workers
        self._slots = slots
        self._max_image_size = max_image_size
        self._deadline = deadline
        self._on_failure = on_failure
        self._on_start = on_start
        self._on_done = on_done
        self._events: queue.SimpleQueue[_Prepared | _Described] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.counts = DescriptionCounts()
        self.ran_out_of_time = False

    def run(self, waiting: Iterable[WaitingImage]) -> DescriptionCounts:
        """Raises CannotGoOn when no server answers any more; what was described until then is stored."""
        to_prepare = deque(_jobs(waiting))
        for _ in range(self._slots):
            # Daemons: a request that hangs must not hold up the end of the program.
            threading.Thread(target=self._describe_ready_ones, daemon=True).start()
        in_hand = 0
        try:
            while True:
                # Two a slot: one at the model, one ready, so that preparing never makes the model wait.
                while to_prepare and in_hand < 2 * self._slots and not self._time_is_up():
                    self._start_preparing(to_prepare.popleft())
                    in_hand += 1
                if in_hand == 0:
                    break
                in_hand -= self._handle(self._next_event())
        finally:
            for _ in range(self._slots):
                self._ready.put(None)
        self.ran_out_of_time = bool(to_prepare)
        return self.counts

    def _next_event(self) -> _Prepared | _Described:
        """Wait in short pieces: of two signals at once a thread may take both, and this one would not wake for them."""
        while True:
            with suppress(queue.Empty):
                return self._events.get(timeout=0.5)

    def _time_is_up(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _start_preparing(self, job: _Job) -> None:
        future = self._workers.prepare(job.path, self._max_image_size)

        def pass_on(done: Any) -> None:
            try:
                outcome: Picture | ImageError = done.result()
            except ImageError as error:
                outcome = error
            self._events.put(_Prepared(job, outcome))

        future.add_done_callback(pass_on)

    def _describe_ready_ones(self) -> None:
        """The work of one thread."""
        while (job := self._ready.get()) is not None:
            assert job.picture is not None
            try:
                outcome: Any = self._model.describe(job.picture.jpeg, os.fsdecode(job.path), context=job.images[0].context or "")
            except BaseException as error:  # passed on to the calling thread, which decides
                outcome = error
            self._events.put(_Described(job, outcome))

    def _handle(self, event: _Prepared | _Described) -> int:
        """Act on one event; returns how many jobs it finished (0 or 1)."""
        if isinstance(event, _Prepared):
            return self._handle_prepared(event.job, event.outcome)
        if isinstance(event.outcome, Description):
            self._store(event.job, event.outcome)
        elif isinstance(event.outcome, ImageError):
            self._store_failure(event.job, event.outcome)
        else:
            raise event.outcome
        self._on_done(len(event.job.images))
        return 1

    def _handle_prepared(self, job: _Job, outcome: Picture | ImageError) -> int:
        if self._changed_on_disk(job):
            self.counts.changed_meanwhile += len(job.images)
        elif isinstance(outcome, ImageError):
            self._store_failure(job, outcome)
        elif (twin := self._twin(job, outcome.pixel_hash)) is not None:
            self._store_twin(job, outcome, twin)
        else:
            job.picture = outcome
            self._on_start(job.path)
            self._ready.put(job)
            return 0
        self._on_done(len(job.images))
        return 1

    def _changed_on_disk(self, job: _Job) -> bool:
        """Whether the first file is not the one whose facts are stored: the next run will see it as it is then."""
        try:
            status = os.stat(job.path)
        except FileNotFoundError:
            self.counts.gone += 1
            return True
        except OSError:
            return False  # preparing has failed for the same reason and says it better
        return (status.st_size, status.st_mtime_ns) != (job.images[0].size, job.images[0].mtime_ns)

    def _twin(self, job: _Job, pixel_hash: str) -> dict[str, Any] | None:
        """A description of these very pixels, if one is stored and is what the model would be asked for now."""
        twin = self._catalog.described_with_pixels(pixel_hash)
        if twin is None and not self._is_described_anew(job):
            twin = self._catalog.past_description_with_pixels(pixel_hash)
        return twin if twin is not None and self._as_we_would(twin) else None

    def _is_described_anew(self, job: _Job) -> bool:
        """Whether its images have a description that is to be replaced: then a past one is not what is wanted."""
        row = self._catalog.image(job.images[0].id)
        return row is not None and row["description"] is not None

    def _as_we_would(self, twin: dict[str, Any]) -> bool:
        """Whether a stored description is what the model would be asked for now."""
        ours = (self._model.engine, self._model.model, self._model.prompt_version, self._model.language)
        return (twin["engine"], twin["model"], twin["prompt_version"], twin["language"]) == ours

    # Storing: one job is one transaction, opened after the answer is there

    def _store(self, job: _Job, description: Description) -> None:
        assert job.picture is not None
        self._store_columns(job, _description_columns(description), job.picture.pixel_hash)
        self.counts.described += len(job.images)
        self.counts.model_seconds += description.seconds

    def _store_twin(self, job: _Job, picture: Picture, twin: dict[str, Any]) -> None:
        columns = {name: twin[name] for name in DESCRIPTION_COLUMNS}
        self._store_columns(job, columns, picture.pixel_hash)
        self.counts.reused += len(job.images)

    def _store_columns(self, job: _Job, columns: dict[str, Any], pixel_hash: str) -> None:
        columns = columns | {
            "pixel_hash": pixel_hash,
            "state": "described",
            **NO_FAILURE,
        }
        with self._catalog.transaction():
            for image in job.images:
                row = self._catalog.image(image.id)
                if row is None:
                    continue
                self._catalog.keep_past_description(image.id)
                self._catalog.update_image(image.id, with_stems({**row, **columns}, columns))

    def _store_failure(self, job: _Job, error: ImageError) -> None:
        if error.kind in ("gone", "still being written"):
            self.counts.changed_meanwhile += len(job.images)
            return
        self._on_failure(error)
        self.counts.failed += len(job.images)
        with self._catalog.transaction():
            for image in job.images:
                row = self._catalog.image(image.id)
                if row is not None:
                    self._catalog.update_image(image.id, _failure_columns(error, row["attempts"] + 1))


def _jobs(waiting: Iterable[WaitingImage]) -> list[_Job]:
    """One job per content, in the order of the first image that has it."""
    by_content: dict[str, _Job] = {}
    for image in waiting:
        if (job := by_content.get(image.content_hash)) is not None:
            job.images.append(image)
        else:
            by_content[image.content_hash] = _Job([image])
    return list(by_content.values())


def _description_columns(description: Description) -> dict[str, Any]:
    return {
        "description": description.description,
        "tags": to_json(description.tags),
        "visible_text": description.visible_text,
        "engine": description.engine,
        "model": description.model,
        "model_digest": description.model_digest,
        "prompt_version": description.prompt_version,
        "language": description.language,
        "seconds": round(description.seconds, 3),
        "described_at": utc_now(),
    }


def _failure_columns(error: ImageError, attempts: int) -> dict[str, Any]:
    passing = error.kind in PASSING_KINDS and attempts < MAX_ATTEMPTS
    hours = min(2 ** (attempts - 1), _LONGEST_BACK_OFF_HOURS)
    retry_after = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "state": "waiting" if passing else "failed",
        "failure_kind": error.kind,
        "failure_reason": error.reason,
        "attempts": attempts,
        "retry_after": retry_after if passing else None,
    }


def describe_by_captions(catalog: Catalog, waiting: Iterable[WaitingImage]) -> int:
    """Take the caption that a file or its sidecar carries for its description; returns how many had one.

    A file without one gets the description of an equal file.
    """
    described = 0

    def store(row: dict[str, Any], columns: dict[str, Any]) -> None:
        nonlocal described
        columns = columns | {"state": "described", **NO_FAILURE}
        catalog.keep_past_description(row["id"])
        catalog.update_image(row["id"], with_stems({**row, **columns}, columns))
        described += 1

    with catalog.transaction():
        without: list[WaitingImage] = []
        for image in waiting:
            row = catalog.image(image.id)
            if row is not None and row["caption"]:
                store(row, _columns_of_caption(row))
            elif row is not None:
                without.append(image)
        for image in without:
            twin, row = catalog.described_with_content(image.content_hash), catalog.image(image.id)
            if twin is not None and row is not None:
                store(row, {name: twin[name] for name in DESCRIPTION_COLUMNS})
    return described


def _columns_of_caption(row: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(DESCRIPTION_COLUMNS) | {
        "description": row["caption"],
        "tags": row["keywords"] or "[]",
        "visible_text": "",
        "engine": "captions",
        "described_at": utc_now(),
    }
