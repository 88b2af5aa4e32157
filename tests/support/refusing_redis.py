"""A server that can be connected to like a Redis, and then says what it is told."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class RefusingRedis(socketserver.ThreadingUnixStreamServer):
    """Answers every command but those of the connection's start with the same bytes.

    Attributes:
        answer: The bytes; empty: it closes the connection without a word.
    """

    pong = b"+PONG\r\n"
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Connection)
        self.url = f"unix://{path}"
        self.answer = b"+OK\r\n"


class _Connection(socketserver.StreamRequestHandler):
    server: RefusingRedis

    def handle(self) -> None:
        while (words := self._command()) is not None:
            known: dict[bytes, bytes] = {
                b"HELLO": b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n",
                b"CLIENT": b"+OK\r\n",
                b"PING": self.server.pong,
            }
            answer = known.get(words[0].upper(), self.server.answer)
            if not answer:
                return
            with contextlib.suppress(OSError):
                self.wfile.write(answer)

    def _command(self) -> list[bytes] | None:
        with contextlib.suppress(OSError):
            line = self.rfile.readline()
            if line.startswith(b"*"):
                return [self._word() for _ in range(int(line[1:]))]
        return None

    def _word(self) -> bytes:
        length = int(self.rfile.readline()[1:])
        return self.rfile.read(length + 2)[:-2]


@contextlib.contextmanager
def refusing_redis(folder: Path) -> Iterator[RefusingRedis]:
    with RefusingRedis(folder / "refusing.sock") as server:
        thread: Any = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
