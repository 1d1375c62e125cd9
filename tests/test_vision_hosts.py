"""Several servers, several threads, servers that come and go, and calls that are ended from outside."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from ollama_models import GEMMA3, LLAMA3, MOONDREAM
from ollama_pictures import numbered_name
from ollama_server import OllamaServer
from vision_pictures import ENGINES, connect, expected, jpeg

from image_catalog.engine import HostUnavailable, ModelClosed
from image_catalog.errors import CannotGoOn, ImageError
from image_catalog.vision_model import Description, VisionModel


def describe_all(model: VisionModel, numbers: Sequence[int], threads: int) -> dict[int, str]:
    """The description of each picture, by `threads` threads."""
    with ThreadPoolExecutor(threads) as pool:
        return dict(pool.map(lambda number: (number, model.describe(jpeg(number), str(number)).description), numbers))


@pytest.mark.parametrize("engine", ENGINES)
def test_work_is_spread_and_nothing_is_mixed_up(engine: str) -> None:
    numbers = range(0, 20000, 501)
    with ExitStack() as stack:
        servers = [stack.enter_context(OllamaServer(latency=0.03, slots=2)) for _ in range(3)]
        model = stack.enter_context(connect(engine=engine, hosts=[server.url for server in servers], workers=2))
        assert model.slots == 6
        described = describe_all(model, numbers, threads=8)
        shares = [len(server.calls) for server in servers]
    assert described == {number: expected(number) for number in numbers}
    assert sum(shares) == len(numbers)
    assert min(shares) >= len(numbers) // 6


@pytest.mark.parametrize("engine", ENGINES)
def test_of_three_servers_one_dies_and_every_picture_is_described_once(engine: str) -> None:
    numbers = range(0, 20000, 401)
    warnings: list[str] = []
    with ExitStack() as stack:
        servers = [stack.enter_context(OllamaServer(latency=0.02, die_after=4 if index == 1 else None)) for index in range(3)]
        hosts = [server.url for server in servers]
        model = stack.enter_context(connect(engine=engine, hosts=hosts, on_warning=warnings.append))
        described = describe_all(model, numbers, threads=3)
        counts = sum((server.times_described() for server in servers), Counter())
    assert described == {number: expected(number) for number in numbers}
    # The answer that the dying server was sending may have been lost with it: that picture alone is asked for again.
    assert set(counts) == {numbered_name(number) for number in numbers}
    assert sum(counts.values()) <= len(numbers) + 1
    assert len(warnings) == 1
    assert hosts[1] in warnings[0]
    assert "going on without it" in warnings[0]


def test_a_server_that_returns_gets_work_again() -> None:
    warnings: list[str] = []
    with ExitStack() as stack:
        servers = [stack.enter_context(OllamaServer(latency=0.02)) for _ in range(2)]
        hosts = [server.url for server in servers]
        model = stack.enter_context(connect(hosts=hosts, rest_seconds=0.2, on_warning=warnings.append))
        describe_all(model, range(4), threads=2)
        servers[0].stop()
        describe_all(model, range(4), threads=2)
        before = len(servers[0].calls)
        servers[0].start()
        time.sleep(0.25)
        assert describe_all(model, range(10), threads=2) == {number: expected(number) for number in range(10)}
        assert len(servers[0].calls) > before
    assert len(warnings) == 2
    assert "going on without it" in warnings[0]
    assert "answers again" in warnings[1]


def test_the_only_server_dies_and_the_run_can_stop_at_once() -> None:
    with OllamaServer(die_after=2) as server, connect(server, rest_seconds=60) as model:
        for number in range(2):
            assert model.describe(jpeg(number), "a.jpg").description == expected(number)
        time.sleep(0.1)
        started = time.monotonic()
        for _ in range(1000):
            with pytest.raises(HostUnavailable) as caught:
                model.describe(jpeg(3), "a.jpg")
        assert time.monotonic() - started < 2
    assert 'ollama serve"' in caught.value.remedy
    assert "refused" in caught.value.reason


def test_the_only_server_dies_under_many_threads() -> None:
    """Nobody waits for ever for a slot of a server that is gone, and no picture is called bad."""
    with OllamaServer(latency=0.05, die_after=3) as server, connect(server, workers=2) as model:

        def outcome(number: int) -> type:
            try:
                return type(model.describe(jpeg(number), "a.jpg"))
            except (CannotGoOn, ImageError) as error:
                return type(error)

        with ThreadPoolExecutor(8) as pool:
            started = time.monotonic()
            outcomes = Counter(pool.map(outcome, range(40)))
            assert time.monotonic() - started < 5
    assert set(outcomes) <= {Description, HostUnavailable}
    assert outcomes[HostUnavailable] >= 35


def test_all_servers_die() -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(OllamaServer(die_after=1)) for _ in range(3)]
        model = stack.enter_context(connect(hosts=[server.url for server in servers]))
        with pytest.raises(HostUnavailable):
            for number in range(10):
                model.describe(jpeg(number), "a.jpg")
        assert sum(len(server.calls) for server in servers) >= 3


def test_a_hanging_server_is_left_out_and_its_picture_fails_only_there() -> None:
    warnings: list[str] = []
    with (
        OllamaServer(fault_for=lambda call: "hang") as bad,
        OllamaServer(latency=0.01) as good,
        connect(hosts=[bad.url, good.url], timeout=0.3, on_warning=warnings.append) as model,
    ):
        failed = 0
        for number in range(12):
            try:
                model.describe(jpeg(number), "a.jpg")
            except ImageError as error:
                assert error.kind == "timeout"
                failed += 1
    assert failed == 2  # the third goes to the other server
    assert len(bad.calls) == 3
    assert len(warnings) == 1


def test_servers_that_do_not_fit_are_left_out_with_a_warning() -> None:
    warnings: list[str] = []
    with OllamaServer() as good, OllamaServer(models=[MOONDREAM]) as lacking, OllamaServer() as gone:
        gone.stop()
        with connect(hosts=[gone.url, lacking.url, good.url], model="gemma3:4b", on_warning=warnings.append) as model:
            assert model.hosts == [good.url]
            assert model.describe(jpeg(1), "a.jpg").description == expected(1)
    assert len(warnings) == 2
    assert any(gone.url in warning for warning in warnings)
    assert any(lacking.url in warning for warning in warnings)


def test_without_a_model_asked_for_all_servers_get_the_same_one() -> None:
    with (
        OllamaServer(models=[GEMMA3, MOONDREAM]) as one,
        OllamaServer(models=[MOONDREAM, LLAMA3]) as other,
        connect(hosts=[one.url, other.url]) as model,
    ):
        assert model.model == "moondream:latest"
        assert len(model.hosts) == 2


def test_the_same_server_named_twice_counts_once() -> None:
    with OllamaServer() as server, connect(hosts=[server.url, f"localhost:{server.port}", f"{server.url}/"]) as model:
        assert model.hosts == [server.url, f"http://localhost:{server.port}"]


# Ended from outside


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "options",
    [
        {"fault_for": lambda call: "hang"},
        {"fault_for": lambda call: "drip"},
        {"fault_for": lambda call: "drip_tokens"},
        {"load_seconds": 30.0},
        {"latency": 30.0},
    ],
)
def test_close_ends_calls_in_other_threads_within_a_second(engine: str, options: dict[str, Any]) -> None:
    errors: list[BaseException] = []
    with OllamaServer(**options) as server, connect(server, engine=engine, timeout=60.0) as model:

        def describe() -> None:
            try:
                model.describe(jpeg(1), "a.jpg")
            except CannotGoOn as error:
                errors.append(error)

        # Two wait for a slot while one talks to the server.
        threads = [threading.Thread(target=describe, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.4)
        started = time.monotonic()
        model.close()
        for thread in threads:
            thread.join(2)
        assert time.monotonic() - started < 1
    assert [type(error) for error in errors] == [ModelClosed] * 3


def test_close_ends_the_wait_before_a_retry() -> None:
    with (
        OllamaServer(fault_for=lambda call: "503") as server,
        connect(server, retry_waits=(30.0,), timeout=100.0) as model,
        ThreadPoolExecutor(1) as pool,
    ):
        future = pool.submit(model.describe, jpeg(1), "a.jpg")
        time.sleep(0.3)
        started = time.monotonic()
        model.close()
        with pytest.raises(ModelClosed):
            future.result(2)
        assert time.monotonic() - started < 1


def test_after_close_nothing_is_sent() -> None:
    with OllamaServer() as server:
        model = connect(server)
        model.close()
        with pytest.raises(ModelClosed):
            model.describe(jpeg(1), "a.jpg")
        assert server.calls == []


@pytest.mark.parametrize("fault", ["endless", "huge", "loop_on", "drip_tokens"])
def test_an_answer_given_up_is_hung_up_on(fault: str) -> None:
    """The server stops generating when the client leaves: no GPU minute is spent on what nobody reads."""
    with OllamaServer(faults=[fault]) as server, connect(server, timeout=1.0 if fault == "drip_tokens" else 30.0) as model:
        try:
            model.describe(jpeg(1), "a.jpg")
        except ImageError:
            assert fault == "drip_tokens"
        deadline = time.monotonic() + 2
        while not server.calls[0].client_left and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.calls[0].client_left


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_the_client_is_never_the_bottleneck(slots: int) -> None:
    """With latency L and N slots: N / L pictures a second. Loosely here, where server and tests share a busy processor."""
    latency, count = 0.4, {1: 4, 2: 8, 8: 32}[slots]
    picture = jpeg(7)
    with OllamaServer(latency=latency, slots=slots) as server, connect(server, workers=slots) as model:
        model.describe(picture, "warm up")
        started = time.monotonic()
        with ThreadPoolExecutor(slots) as pool:
            list(pool.map(lambda number: model.describe(picture, str(number)), range(count)))
        seconds = time.monotonic() - started
    assert count / seconds > 0.7 * slots / latency
