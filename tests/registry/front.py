"""A server in front of a real one that does what networks and proxies do: cuts, delays, lies, redirects.

Requests that no rule matches go through untouched. Everything that came is in `seen`.
"""

import base64
import contextlib
import http.client
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_STEP: Final = 1 << 16
_LINGER: Final = struct.pack("ii", 1, 0)  # close with a reset


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that came."""

    method: str
    path: str
    authorization: str
    range: str


@dataclass(slots=True)
class Rule:
    """What happens to the first `times` requests whose `METHOD PATH` matches; -1 is all of them."""

    pattern: str
    act: "Act"
    times: int = 1


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def handle_any(self) -> None:
        """Look for a rule, else pass the request on."""
        front = self.server.front
        front.seen.append(
            Seen(self.command, self.path, self.headers.get("Authorization", ""), self.headers.get("Range", ""))
        )
        (front.rule(f"{self.command} {self.path}") or forward)(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_any  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def handle(self) -> None:
        """Serve; a client that goes away is nothing to report."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def body(self) -> Iterator[bytes]:
        """Yield the request's body."""
        left = int(self.headers.get("Content-Length", 0))
        while left and (chunk := self.rfile.read1(min(_STEP, left))):
            left -= len(chunk)
            yield chunk

    def reset(self) -> None:
        """End the connection as a crash does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        self.close_connection = True
        self.connection.close()


Act = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    """The listening socket."""

    daemon_threads = True
    front: "Front"

    def handle_error(self, *_: Any) -> None:
        """Say nothing: connections are broken on purpose here."""


@dataclass(slots=True)
class Front:
    """A running front. `host` is its address, `upstream` that of the server behind it (none: 404 for all)."""

    host: str
    upstream: str = ""
    seen: list[Seen] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, pattern: str, act: Act, times: int = 1) -> None:
        """Add a rule; `pattern` is a regular expression over `METHOD PATH`."""
        self.rules.append(Rule(pattern, act, times))

    def rule(self, line: str) -> Act | None:
        """Return what the first rule that still holds says."""
        with self.lock:
            for rule in self.rules:
                if rule.times and re.search(rule.pattern, line):
                    rule.times -= 1
                    return rule.act
        return None

    def count(self, pattern: str) -> int:
        """Count the requests that came and match."""
        return sum(bool(re.search(pattern, f"{seen.method} {seen.path}")) for seen in self.seen)


@contextlib.contextmanager
def running_front(upstream: str = "") -> Iterator[Front]:
    """Run a front on a free loopback port."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.front = Front(f"127.0.0.1:{server.server_address[1]}", upstream)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.front
        finally:
            server.shutdown()
            thread.join()


def answer(status: int, body: bytes = b"", **headers: str) -> Act:
    """Answer without asking the server behind; header names with '_' for '-'."""

    def act(handler: Handler) -> None:
        for _ in handler.body():
            pass
        _reply(handler, status, {name.replace("_", "-"): value for name, value in headers.items()}, body)

    return act


def forward(handler: Handler) -> None:
    """Pass the request on, and the answer back."""
    status, headers, body = _ask(handler)
    _reply(handler, status, headers, body)


def changed(change: Callable[[bytes], bytes]) -> Act:
    """Pass on, and change the answer's body."""

    def act(handler: Handler) -> None:
        status, headers, body = _ask(handler)
        _reply(handler, status, headers, change(body))

    return act


def without(*names: str) -> Act:
    """Pass on, and leave headers out of the answer."""

    def act(handler: Handler) -> None:
        status, headers, body = _ask(handler)
        _reply(handler, status, {name: value for name, value in headers.items() if name not in names}, body)

    return act


def cut(after: int, *, reset: bool = True) -> Act:
    """Pass on, and break off after so many bytes of the answer's body: with a reset, or quietly."""

    def act(handler: Handler) -> None:
        status, headers, body = _ask(handler)
        _head(handler, status, headers, len(body))
        handler.wfile.write(body[:after])
        handler.wfile.flush()
        if reset:
            handler.reset()
        handler.close_connection = True

    return act


def drop(handler: Handler) -> None:
    """Break off without an answer."""
    handler.reset()


def answered_in_vain(handler: Handler) -> None:
    """Pass on, and break off in place of the answer: it was done, and nobody hears of it."""
    _ask(handler)
    handler.reset()


def cut_upload(after: int) -> Act:
    """Break off while the request's body comes."""

    def act(handler: Handler) -> None:
        count = 0
        for chunk in handler.body():
            count += len(chunk)
            if count >= after:
                break
        handler.reset()

    return act


def hang(event: threading.Event) -> Act:
    """Take the request's head and then nothing more, until the event."""

    def act(handler: Handler) -> None:
        event.wait(30)
        handler.reset()

    return act


def serve(content: bytes, *, ranges: bool = True) -> Act:
    """Serve a file, with Range where the server has it."""

    def act(handler: Handler) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(match.group(1)) if match and ranges else 0
        if match and ranges and start >= len(content):
            _reply(handler, 416, {}, b"")
        else:
            _reply(handler, 206 if match and ranges else 200, {}, content[start:])

    return act


def cut_file(content: bytes, after: int) -> Act:
    """Serve a file, from where it is asked, but hang up after `after` bytes of it."""

    def act(handler: Handler) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(match.group(1)) if match else 0
        _head(handler, 206 if match else 200, {}, len(content) - start)
        handler.wfile.write(content[start : start + after])
        handler.wfile.flush()
        handler.close_connection = True

    return act


@dataclass(slots=True)
class TokenService:
    """A login service that issues tokens good for `uses` requests, to whoever brings the password."""

    front: Front
    user: str
    password: str
    uses: int = 1000
    left: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def install(self) -> None:
        """Put it before everything under /v2/."""
        self.front.on(r" /token", self._issue, -1)
        self.front.on(r" /v2/", self._check, -1)

    def _issue(self, handler: Handler) -> None:
        self.asked.append(handler.path)
        packed = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if handler.headers.get("Authorization") != f"Basic {packed}":
            _reply(handler, 401, {}, b'{"details":"incorrect username or password"}')
            return
        token = f"token-{len(self.asked)}"
        self.left[token] = self.uses
        _reply(handler, 200, {"Content-Type": "application/json"}, json.dumps({"token": token}).encode())

    def _check(self, handler: Handler) -> None:
        scheme, _, token = handler.headers.get("Authorization", "").partition(" ")
        with self.front.lock:
            left = self.left.get(token, 0) if scheme == "Bearer" else 0
            self.left[token] = left - 1
        if left > 0:
            forward(handler)
            return
        challenge = f'Bearer realm="http://{self.front.host}/token",service="tests, all of them"'
        answer(401, b"", WWW_Authenticate=challenge)(handler)


def _ask(handler: Handler) -> tuple[int, dict[str, str], bytes]:
    upstream = http.client.HTTPConnection(handler.server.front.upstream, timeout=30)
    headers = {name: value for name, value in handler.headers.items() if name.lower() != "connection"}
    with contextlib.closing(upstream):
        body = handler.body() if int(headers.get("Content-Length", 0)) else None
        upstream.request(handler.command, handler.path, body=body, headers=headers)
        response = upstream.getresponse()
        content = response.read()
        kept = {name: value for name, value in response.getheaders() if name not in {"Date", "Connection"}}
        return response.status, kept, content


def _reply(handler: Handler, status: int, headers: dict[str, str], body: bytes) -> None:
    _head(handler, status, headers, len(body))
    if handler.command != "HEAD":
        handler.wfile.write(body)


def _head(handler: Handler, status: int, headers: dict[str, str], length: int) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        if name != "Content-Length":
            handler.send_header(name, value)
    handler.send_header(
        "Content-Length", headers.get("Content-Length", "0") if handler.command == "HEAD" else str(length)
    )
    handler.end_headers()
