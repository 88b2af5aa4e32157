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
    environments = {
        name: str(read_document(path).get("environment", {}).get("id", "?"))
        for name, path in known.items()
    }
    width, wide = max(map(len, known)), max(map(len, environments.values()))
    for name, path in known.items():
        print_text(f"{name:{width}} {environments[name]:{wide}} {path}")
