"""Session batches of an experiment named pole."""

from pole import make_batch as make_batch
