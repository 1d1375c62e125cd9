"""An HTTP server that behaves as Ollama does, for tests and for trying the program without a model.

    python tests/ollama_server.py --port 11434 --captions samples

It answers the endpoints that a client of Ollama needs (and the OpenAI-compatible ones), with the status codes and error
bodies that Ollama 0.12.11 and 0.33 were seen to give. It decodes every picture that it gets and answers by what the picture
is: with the captions of a folder's captions.json, else with its colours. It counts what it is asked, can be slow, and has a
script of faults (see ollama_faults.py).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import ollama_api
import ollama_faults
from ollama_api import Call
from ollama_models import INSTALLED, Model
from ollama_pictures import Captions


class OllamaServer:
    """A server on 127.0.0.1; use it as a context manager or call start() and stop().

    `captions` is a folder with a captions.json. `faults` are taken one per picture, in order, "ok" when they run out;
    `fault_for` decides by the call instead. `before_answer` is called before each answer to a picture. `slots` requests are
    worked on at a time, each taking `latency` seconds; loading a model takes `load_seconds`. `die_after` answers later the
    server is gone. `version` chooses the manners of that version, `load_error` is what loading a model ends with, and without
    `has_generate` it is one of the servers that only speak /api/chat.
    """

    def __init__(
        self,
        captions: str | os.PathLike[str] | None = None,
        *,
        port: int = 0,
        models: Iterable[Model] = INSTALLED,
        version: str = "0.33.0",
        latency: float = 0.0,
        slots: int = 1,
        load_seconds: float = 0.0,
        faults: Iterable[str] = (),
        fault_for: Callable[[Call], str] | None = None,
        before_answer: Callable[[Call], None] | None = None,
        die_after: int | None = None,
        redirect_to: str = "http://192.0.2.1:11434",
        api_key: str | None = None,
        load_error: str | None = None,
        has_generate: bool = True,
    ) -> None:
        self.captions = Captions(captions)
        self.models = list(models)
        self.version = version
        self.latency = latency
        self.load_seconds = load_seconds
        self.faults = collections.deque(faults)
        self.fault_for = fault_for
        self.before_answer = before_answer
        self.die_after = die_after
        self.redirect_to = redirect_to
        self.api_key = api_key
        self.load_error = load_error
        self.has_generate = has_generate
        self.huge_bytes = 300_000_000
        self.calls: list[Call] = []  # requests for text about a picture, in order of arrival
        self.loads: list[tuple[str, dict[str, Any]]] = []  # (model, runner options) of every load of a model
        self.requests: list[tuple[str, str]] = []  # (method, path) of everything
        self.stopping = threading.Event()
        self._loaded: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._load_lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(slots)
        self._connections: set[socket.socket] = set()
        self._port = port
        self._http: ThreadingHTTPServer | None = None

    # Running

    def start(self) -> OllamaServer:
        """Listen and answer in threads of their own."""
        handler = type("Handler", (_Handler,), {"fake": self})
        self._http = _Listener(("127.0.0.1", self._port), handler)
        self._port = self._http.server_address[1]
        self.stopping.clear()
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop at once: hanging answers end, connections are reset."""
        http, self._http = self._http, None
        if http is None:
            return
        self.stopping.set()
        http.shutdown()
        http.server_close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            reset(connection)

    def __enter__(self) -> OllamaServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def listener(self) -> ThreadingHTTPServer:
        """The listening server, while it runs."""
        assert self._http is not None
        return self._http

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    # What tests ask

    def times_asked(self) -> collections.Counter[str]:
        """How often each picture was sent, whatever became of it."""
        with self._lock:
            return collections.Counter(call.picture for call in self.calls if call.picture is not None)

    def times_described(self) -> collections.Counter[str]:
        """How often each picture was answered with its description, whole.

        A client has the end of an answer a moment before the thread that sent it notes so.
        """
        patience = time.monotonic() + 1
        while self._is_answering() and time.monotonic() < patience:
            time.sleep(0.01)
        with self._lock:
            good = [call.picture for call in self.calls if call.picture is not None and call.answered and call.fault == "ok"]
        return collections.Counter(good)

    def _is_answering(self) -> bool:
        with self._lock:
            return any(call.fault == "ok" and not call.answered and not call.client_left for call in self.calls)

    # What the answers need

    @property
    def is_new(self) -> bool:
        """Whether the manners are those of Ollama 0.30 and later."""
        return self.version_tuple >= (0, 30)

    @property
    def version_tuple(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("-")[0].split("."))

    def find(self, name: str) -> Model | None:
        """The installed model of that name; `x` means `x:latest`."""
        wanted = (name if ":" in name else f"{name}:latest").lower()
        return next((model for model in self.models if model.name.lower() == wanted), None)

    def loaded(self) -> list[Model]:
        """The models that are in memory."""
        with self._lock:
            return [model for model in self.models if model.name in self._loaded]

    def load(self, model: Model, options: Mapping[str, Any], client_is_there: Callable[[], bool]) -> bool:
        """Have `model` in memory with these runner options; False when the client left, which aborts the load."""
        runner_options = {name: options.get(name) for name in ("num_ctx", "num_batch", "num_thread", "num_gpu")}
        with self._load_lock:
            with self._lock:
                if self._loaded.get(model.name) == runner_options:
                    return True
                self.loads.append((model.name, runner_options))
            if not self.wait(self.load_seconds, client_is_there):
                return False
            with self._lock:
                self._loaded[model.name] = runner_options
            return True

    def unload(self, model: Model) -> None:
        with self._lock:
            self._loaded.pop(model.name, None)

    def register(self, call: Call) -> None:
        """Count a request for text about a picture, and choose its fault."""
        with self._lock:
            self.calls.append(call)
            if self.fault_for is not None:
                call.fault = self.fault_for(call)
            elif self.faults:
                call.fault = self.faults.popleft()

    def answered(self, call: Call) -> None:
        """The whole answer has left."""
        call.answered = True
        if self.die_after is not None:
            with self._lock:
                count = sum(one.answered for one in self.calls)
            if count >= self.die_after:
                threading.Thread(target=self.stop, daemon=True).start()

    @contextlib.contextmanager
    def slot(self, client_is_there: Callable[[], bool]) -> Any:
        """Wait for a slot as long as the client does; yields False when it left."""
        got = False
        while not self.stopping.is_set() and client_is_there():
            got = self._slots.acquire(timeout=0.02)
            if got:
                break
        try:
            yield got
        finally:
            if got:
                self._slots.release()

    def wait(self, seconds: float, client_is_there: Callable[[], bool]) -> bool:
        """Wait as long as the server runs and the client is there; whether the whole time passed."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.stopping.wait(min(left, 0.05)) or not client_is_there():
                return False
        return True

    def track(self, connection: socket.socket, open_now: bool) -> None:
        with self._lock:
            (self._connections.add if open_now else self._connections.discard)(connection)


def reset(connection: socket.socket) -> None:
    """End a connection as a dying process does."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, finds who answers, writes plain or chunked bodies."""

    fake: OllamaServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.fake.track(self.connection, True)

    def finish(self) -> None:
        self.fake.track(self.connection, False)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.fake.requests.append((self.command, self.path))
        if not self._host_is_local():
            self.send_plain(403, "", None)
        elif self.fake.api_key is not None and self.headers.get("Authorization") != f"Bearer {self.fake.api_key}":
            self.send_json(401, {"error": "unauthorized"})
        else:
            ollama_api.answer(self.fake, self, self.command, self.path.partition("?")[0], body)

    def _host_is_local(self) -> bool:
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0].strip("[]").lower()
        return host in ("", "localhost", "127.0.0.1", "::1") or host.endswith((".localhost", ".local", ".internal"))

    # For those who answer

    def client_is_there(self) -> bool:
        """False once the client has closed its side: the real server stops generating then."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def send_json(self, status: int, value: Any) -> None:
        self.send_plain(status, json.dumps(value, ensure_ascii=False), "application/json; charset=utf-8")

    def send_plain(self, status: int, text: str, content_type: str | None = "text/plain; charset=utf-8") -> None:
        data = text.encode("utf-8", "surrogatepass")
        self.send_response(status)
        if content_type is not None:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def begin_stream(self, content_type: str = "application/x-ndjson") -> None:
        """A chunked 200."""
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def break_off(self) -> None:
        """End the connection in the middle of whatever was being said."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
        reset(self.connection)


def main() -> int:
    parser = argparse.ArgumentParser(description="A stand-in for Ollama that tells pictures by their pixels.")
    parser.add_argument("--port", type=int, default=11434, help="port on 127.0.0.1 (default: 11434, Ollama's own)")
    parser.add_argument("--captions", metavar="FOLDER", help="a folder of pictures with a captions.json")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds per picture (default: 0)")
    parser.add_argument("--slots", type=int, default=1, metavar="N", help="pictures at a time (default: 1)")
    parser.add_argument("--load", type=float, default=0.0, metavar="S", help="seconds to load a model (default: 0)")
    parser.add_argument("--faults", default="", metavar="A,B,…", help=f"of: {', '.join(ollama_faults.FAULTS)}")
    options = parser.parse_args()
    faults = [name for name in options.faults.split(",") if name]
    server = OllamaServer(
        options.captions,
        port=options.port,
        latency=options.latency,
        slots=options.slots,
        load_seconds=options.load,
        faults=faults,
    )
    with server:
        print(f"answering at {server.url}, {len(server.captions)} captioned pictures; Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
