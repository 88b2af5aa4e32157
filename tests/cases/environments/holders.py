"""Environments that hold something of which there is one: a port, a licence, a display."""

import fcntl
import os
import socket
from typing import ClassVar

import numpy as np
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


class OneWorld(Small):
    """A simulator with a single world, which every instance resets and steps."""

    world: ClassVar = {"t": 0}

    def reset(self, *, seed=None, options=None):
        self.world["t"] = 0
        return super().reset(seed=seed)

    def step(self, action):
        self.world["t"] += 1
        return super().step(action)

    def observe(self):
        return np.array([self.world["t"] % 100 / 100, 1], np.float32)


register(FixedPort, Licence, Display, OneWorld)
