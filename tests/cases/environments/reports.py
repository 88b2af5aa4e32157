"""Infos that cannot be merged over slots: of changing length, of changing kind, and worse."""

import numpy as np
from small import Small, register


class _Informed(Small):
    def step(self, action):
        return (*super().step(action)[:4], self.inform())


class LegalMoves(_Informed):
    def inform(self):
        return {"legal": np.arange(self.np_random.integers(1, 5))}


class Winner(_Informed):
    def inform(self):
        return {"winner": 1 if self.np_random.random() < 0.5 else None}


class Unspeakable(_Informed):
    """Keys that are no words, an array of the simulator's, and itself within itself."""

    def inform(self):
        info = {1: object(), ("a", 2): np.zeros((self.t, 2)), "_legal": True, "legal": [1, "x"]}
        info["info"] = info
        return info


class FinalInfo(_Informed):
    """Names that vector environments use for themselves."""

    def inform(self):
        return {"final_obs": 1, "final_info": "none", "episode": None, "_episode": 3}


register(LegalMoves, Winner, Unspeakable, FinalInfo)
