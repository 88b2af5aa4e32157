"""Session batches of an experiment named pole."""

from pole import contract as contract
from pole import make_batch as make_batch
