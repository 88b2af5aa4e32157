"""``tinyqueue presets``."""

from __future__ import annotations

import click

from tinyqueue.catalogue import presets
from tinyqueue.experiment import read_document


@click.command(name="presets")
def list_presets() -> None:
    """List the experiments that come along; each is a target for train and learner start."""
    for name, path in presets().items():
        environment = read_document(path).get("environment", {}).get("id", "?")
        click.echo(f"{name:24} {environment:20} {path}")
