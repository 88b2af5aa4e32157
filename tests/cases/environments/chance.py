"""Draws its beginnings from the global generators, as very many environments do.

It notes them in ``draws/<CASE_DRAWS>/<pid>.txt``.
"""

import os
import random
from pathlib import Path

import numpy as np
from small import Small, register


class GlobalDraws(Small):
    def reset(self, *, seed=None, options=None):
        self.t = 0
        self.start = np.array([np.random.rand(), random.random()], np.float32)
        folder = Path("draws", os.environ.get("CASE_DRAWS", "all"))
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{os.getpid()}.txt").open("a") as file:
            file.write(f"{self.start.tolist()}\n")
        return self.start, {}

    def observe(self):
        return self.start


register(GlobalDraws)
