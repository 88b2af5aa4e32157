"""Session batches of an experiment named pole, and evaluations of it by workers."""

from pole import make_batch as make_batch
from remote_evaluations import around as around
from remote_evaluations import games as games
from remote_evaluations import make_games as make_games
