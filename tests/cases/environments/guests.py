"""Environments that do to their process what no guest should."""

import os
import signal
import tempfile
import threading

import numpy as np
from small import Small, register


class Prints(Small):
    def step(self, action):
        print("step", self.t, "x" * 1_000_000, flush=True)
        return super().step(action)


class Closes(Small):
    """Closes the process's stdout."""

    def reset(self, *, seed=None, options=None):
        os.closerange(1, 2)
        return super().reset(seed=seed)


class Moves(Small):
    """Goes to another folder and stays there."""

    def __init__(self):
        os.chdir(tempfile.gettempdir())


class Handles(Small):
    """Takes the signals for itself, as Qt and JVMs do."""

    def __init__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGUSR1):
                signal.signal(number, lambda *_: None)


class Threads(Small):
    """A thread that is no daemon and never ends."""

    def __init__(self):
        threading.Thread(target=threading.Event().wait).start()


class Warns(Small):
    def reset(self, *, seed=None, options=None):
        with np.errstate(over="warn"):
            np.float32(1e38) * np.float32(1e38)
        np.seterr(all="raise")
        return super().reset(seed=seed)


class Leaks(Small):
    """Keeps 4 kB of every step."""

    def __init__(self):
        self.kept = []

    def step(self, action):
        self.kept.append(bytearray(4096))
        return super().step(action)


register(Prints, Closes, Moves, Handles, Threads, Warns, Leaks)
