"""Session batches of an experiment named pole."""

from pole import contract as contract
from pole import make_batch as make_batch
from pole import make_experiment_of as make_experiment_of
