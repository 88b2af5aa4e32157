"""``tinyqueue presets``."""

from __future__ import annotations

import click

from tinyqueue.catalogue import presets
from tinyqueue.cli.output import print_text
from tinyqueue.experiment.documents import read_document


@click.command(name="presets")
def list_presets() -> None:
    """List the included experiments; each is a target for train and learner start."""
    known = presets()
    width = max(map(len, known))
    for name, path in known.items():
        environment = read_document(path).get("environment", {}).get("id", "?")
        print_text(f"{name:{width}} {environment:20} {path}")
