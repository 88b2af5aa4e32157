"""A way through to a server that can fall silent without closing anything."""

from __future__ import annotations

import contextlib
import socket
import threading

_CHUNK = 1 << 16


class Proxy:
    """Forwards TCP connections to a port of 127.0.0.1 until it is told to be silent.

    Args:
        port: Where to.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[_Pair] = []
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def fall_silent(self) -> None:
        """From now on nothing passes, and nobody is told so."""
        self._open.clear()

    def pass_again(self, *, lost: bool) -> None:
        """New connections pass again.

        Args:
            lost: What was connected before stays silent for ever, as behind a router that has
                forgotten it. Otherwise it passes again as well.
        """
        if lost:
            for pair in self._pairs:
                pair.is_lost = True
        self._open.set()

    def close(self) -> None:
        """Closes everything."""
        self._listener.close()
        for pair in self._pairs:
            pair.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._pairs = [pair for pair in self._pairs if not pair.is_closed]
            pair = _Pair(near, self._to, self._open)
            self._pairs.append(pair)
            threading.Thread(target=pair.run, name="proxy", daemon=True).start()


class _Pair:
    def __init__(self, near: socket.socket, port: int, open_: threading.Event) -> None:
        self._near, self._port, self._open = near, port, open_
        self._far: socket.socket | None = None
        self.is_lost = self.is_closed = False

    def run(self) -> None:
        self._open.wait()
        try:
            self._far = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            self.close()
            return
        for end in (self._near, self._far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        args = (self._far, self._near)
        threading.Thread(target=self._pump, args=args, name="proxy", daemon=True).start()
        self._pump(self._near, self._far)

    def close(self) -> None:
        self.is_closed = True
        for end in (self._near, self._far):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._open.wait()
                if self.is_lost:
                    return
                target.sendall(data)
        if not self.is_lost:
            # What has fallen silent tells nobody that one of its ends has closed.
            self._open.wait()
            if not self.is_lost:
                self.close()
