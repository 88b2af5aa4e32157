"""Environments that hold something of which there is one: a port, a licence, a display."""

import fcntl
import os
import socket

from small import Small, register


class FixedPort(Small):
    """Talks to its simulator at a port.

    Args:
        number: Added to the port, for those who want a second one.
    """

    def __init__(self, number=0):
        self.socket = socket.socket()
        try:
            self.socket.bind(("127.0.0.1", int(os.environ["CASE_PORT"]) + int(number)))
        except OSError:
            self.socket.close()
            raise
        self.socket.listen()

    def close(self):
        self.socket.close()


class Licence(Small):
    """One instance on the machine, by a locked file."""

    def __init__(self):
        self.file = open("licence.lock", "w")  # noqa: SIM115
        fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self):
        self.file.close()


class Display(Small):
    def __init__(self):
        if "DISPLAY" not in os.environ:
            raise RuntimeError("cannot open display: set DISPLAY, or start xvfb-run")


register(FixedPort, Licence, Display)
