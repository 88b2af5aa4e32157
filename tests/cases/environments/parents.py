"""Environments with processes of their own, as those with an engine behind them."""

import multiprocessing
import subprocess
import time

from small import Small, register


def _sleep_for_ever():
    while True:
        time.sleep(1)


class Helper(Small):
    """Started and waited for."""

    def __init__(self):
        helper = multiprocessing.get_context("fork").Process(target=abs, args=(-1,))
        helper.start()
        helper.join()


class LastingHelper(Small):
    """Works on beside it and is forgotten."""

    def __init__(self):
        context = multiprocessing.get_context("fork")
        self.helper = context.Process(target=_sleep_for_ever, daemon=True)
        self.helper.start()


class Engine(Small):
    """A program that close() ends, if anybody calls it."""

    def __init__(self):
        self.engine = subprocess.Popen(["sleep", "1000"])

    def close(self):
        self.engine.kill()
        self.engine.wait()


register(Helper, LastingHelper, Engine)
