"""What the throughput benchmark trains is an experiment, of the shapes that its figures name."""

from __future__ import annotations

import importlib

from tinyqueue.catalogue import make_experiment
from tinyqueue.experiment.documents import read_document


def test_every_benchmark_s_file_is_an_experiment():
    files = importlib.import_module("throughput").FILES
    experiments = {name: make_experiment(read_document(path)) for name, path in files.items()}

    pong = experiments["pong"]
    assert (pong.algorithm_name, pong.model_name) == ("impala", "nature")
    assert (pong.session.ticks, pong.session.slots, pong.environment.stack) == (20, 16, 4)
    assert experiments["pong-apex"].algorithm.batch_size == 512
