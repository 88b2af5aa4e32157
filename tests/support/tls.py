"""A certificate authority, real servers behind TLS, and a host that takes down what it is told."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

import pytest

from tinyqueue.local.rabbitmq_node import RabbitmqNode, free_ports

PASSWORD = "hush"


class Authority:
    """Signs certificates by openssl.

    Args:
        folder: Holds keys and certificates; made when absent.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.file = folder / "ca.pem"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"),
            *("-keyout", str(folder / "ca.key"), "-out", str(self.file)),
        )

    def certificate(self, host: str) -> tuple[Path, Path]:
        """Certificate and key of a host."""
        made, key = self._folder / f"{host}.pem", self._folder / f"{host}.key"
        if not made.exists():
            request = self._folder / f"{host}.csr"
            names = self._folder / f"{host}.ext"
            names.write_text(f"subjectAltName=DNS:{host}\n")
            _openssl(
                *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}"),
                *("-keyout", str(key), "-out", str(request)),
            )
            _openssl(
                *("x509", "-req", "-in", str(request), "-days", "2", "-CAcreateserial"),
                *("-CA", str(self.file), "-CAkey", str(self._folder / "ca.key")),
                *("-extfile", str(names), "-out", str(made)),
            )
        return made, key


class Listener:
    """A host that shows a certificate and takes down every byte that it is sent after it."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.calls, self.heard = 0, b""
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _listen(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            with contextlib.suppress(OSError), plain:
                plain.settimeout(2.0)
                with self._context.wrap_socket(plain, server_side=True) as told:
                    self.heard += told.recv(4096)


class TlsRedis:
    """A Redis that takes TLS alone, with a password."""

    def __init__(self, folder: Path, certificate: tuple[Path, Path], authority: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self._command = [
            *(_redis_with_tls(), "--port", "0", "--tls-port", str(self.port)),
            *("--tls-cert-file", str(certificate[0]), "--tls-key-file", str(certificate[1])),
            *("--tls-ca-cert-file", str(authority), "--tls-auth-clients", "no"),
            *("--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", "", "--dir", str(folder)),
        ]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline_s = time.monotonic() + 10
        while not _listens(self.port):
            assert self._process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait(10)


class TlsRabbitmq(RabbitmqNode):
    """A private node with a second port, for TLS."""

    def __init__(self, folder: Path, certificate: tuple[Path, Path], authority: Path) -> None:
        super().__init__(folder)
        self._files = [str(authority), *map(str, certificate)]
        (self.tls_port,) = free_ports(1)

    def _write_files(self) -> None:
        super()._write_files()
        authority, made, key = self._files
        (self._directory / "advanced.config").write_text(
            f'[{{rabbit, [{{tcp_listeners, [{{"127.0.0.1", {self.port}}}]}},'
            f'{{ssl_listeners, [{{"127.0.0.1", {self.tls_port}}}]}},'
            f'{{ssl_options, [{{cacertfile, "{authority}"}}, {{certfile, "{made}"}},'
            f'{{keyfile, "{key}"}}, {{verify, verify_none}}]}}]}}].\n'
        )


def _redis_with_tls() -> str:
    """The one of a wheel has none."""
    for folder in [*os.environ["PATH"].split(":"), "/usr/bin", "/usr/local/bin"]:
        found = shutil.which("redis-server", path=folder)
        if found:
            # Without a certificate it ends at once, and says what it lacks.
            asked = [found, "--port", "0", "--tls-port", "1"]
            said = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
            if "tls-cert-file" in said.stdout + said.stderr:
                return found
    pytest.skip("no redis-server with TLS is installed here")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
