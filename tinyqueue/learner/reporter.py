"""Reports how a run is going: to the view, the run directory, TensorBoard and the status board."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyqueue.data.session import SessionBatch
from tinyqueue.evaluation.evaluated import Evaluated
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.source import NOT_FINITE, Refused
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.updater import Updater
from tinyqueue.ledger.marks import Count
from tinyqueue.monitor.environment_faults import EnvironmentFaults
from tinyqueue.monitor.flat_runs import FlatRun
from tinyqueue.monitor.info_metrics import InfoMetrics
from tinyqueue.monitor.metrics import EpisodeColumn, EvaluationField, Metric
from tinyqueue.monitor.paces import Paces
from tinyqueue.monitor.rates import Rate
from tinyqueue.monitor.tensorboard import TensorBoard
from tinyqueue.monitor.view import RunHeader, Snapshot, View, number, shown
from tinyqueue.run.json_text import finite
from tinyqueue.run.run_directory import RunDirectory

EPISODES_EVERY_S = 0.5
"""Episodes are written in groups: CartPole finishes thousands per second."""

QUIET_S = 15.0
"""After this long without a batch, the user is told where to look."""

MOST_QUIET_S = 60.0
"""Maximum time until this is repeated."""

Sources = Callable[[], Mapping[str, float]]
"""Metrics that the updater does not know: queue depth, players, outstanding tasks."""


class Reporter:
    """Writes ``metrics.jsonl``, ``episodes.jsonl`` and ``evaluations.jsonl``, and shows a view.

    Args:
        experiment: The experiment.
        run: The directory of its files.
        view: Shows the user what happens.
        updater: Its clock and progress are reported.
        threshold: The target score; None without one.
        services: What connects players and learner, for the header of the view.
        sources: Metrics from around the updater.
        count: The ledger's count; None without a ledger.
        players_log: Log of the players that were started with the learner; None without them.
        setbacks: Counts failures and batches set aside; None if there can be none.

    Attributes:
        is_evaluating: Whether an evaluation is being played; set by the training run.
        no_tasks: Why players get no tasks; empty while they do. Set by what sends them.
    """

    def __init__(  # noqa: PLR0913  # what it tells of, by name
        self,
        experiment: Experiment,
        run: RunDirectory,
        view: View,
        updater: Updater,
        *,
        threshold: float | None,
        services: str,
        sources: Sources,
        count: Callable[[], Count] | None,
        players_log: Path | None = None,
        setbacks: Setbacks | None = None,
    ) -> None:
        self._experiment = experiment
        self._run = run
        self._view = view
        self._updater = updater
        self._sources = sources
        self._count = count
        self._board = TensorBoard(run.path / "tb")
        self._env_steps_rate, self._updates_rate = Rate(), Rate()
        self._logged_s = self._wrote_episodes_s = time.monotonic()
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._greedy_mean: float | None = None
        self._policy = "greedy"
        self._evaluated: tuple[int, str] | None = None
        self.is_evaluating = False
        self.no_tasks = ""
        self._heard_s = time.monotonic()
        self._quiet_s = QUIET_S
        self._setbacks = setbacks
        self._players_log = players_log
        self._has_heard = False
        self._faults = EnvironmentFaults()
        self._paces = Paces()
        self._info = InfoMetrics(experiment.metrics.info, view.message)
        # Training returns of another environment than that of evaluations do not approach it.
        goal = threshold if experiment.evaluated is None else None
        self._flat = FlatRun(experiment, goal)
        self._has_advised = False
        view.start(
            RunHeader(
                experiment=experiment.name,
                environment=experiment.environment.id,
                algorithm=experiment.algorithm_label,
                run_directory=shown(run.path),
                services=services,
                level=goal,
                max_env_steps=experiment.stop.max_env_steps,
                queue_batches=experiment.learner.queue_batches,
            )
        )

    def message(self, text: str) -> None:
        """Shows the user a line."""
        self._view.message(text)

    def trained(self, batches: Sequence[SessionBatch]) -> None:
        """Reports an update; call it after every one.

        Args:
            batches: Session batches that arrived for it.
        """
        now_s = time.monotonic()
        self._heard_s, self._has_heard, self._quiet_s = now_s, True, QUIET_S
        clock = self._updater.clock
        self._env_steps_rate.note(now_s, clock.env_steps)
        self._updates_rate.note(now_s, clock.updates)
        for batch in batches:
            self._returns.extend(batch.episodes.returns.tolist())
            self._lengths.extend(batch.episodes.lengths.tolist())
            ended = batch.episodes
            self._info.see(ended.info_last, ended.info_mean, len(ended))
        self._faults.see(batches)
        self._paces.see(batches)
        self._flat.see(batches, self._updater.recent.metrics, clock.trained_s)
        if not self._has_advised:
            for sentence in self._flat.advice():
                self._has_advised = True
                self._view.message(sentence)
        if now_s - self._wrote_episodes_s >= EPISODES_EVERY_S:
            self._write_episodes(now_s)
        if now_s - self._logged_s >= self._experiment.learner.log_every_s:
            self._log(now_s)
        self.look()

    def closing_advice(self) -> list[str]:
        """What is worth trying if returns have not improved for a while at the end of the run."""
        return self._flat.closing_advice()

    @property
    def spoiled(self) -> str:
        """Why a run that was played to its end has failed; empty unless all episodes were cut."""
        return self._faults.spoiled

    def closing_remarks(self) -> list[str]:
        """What the user should know: failed environments and tasks, absent numbers."""
        failed = self._setbacks.closing_remarks() if self._setbacks is not None else []
        return [*self._faults.remarks(), *failed, *self._info.remarks()]

    def waited(self) -> None:
        """Updates the view while no batch arrives, and explains a long silence."""
        silent_s = time.monotonic() - self._heard_s
        if silent_s > self._quiet_s:
            # After 15, 30, 60 and 120 s, and every minute from then on. When several of these have
            # gone by unseen, it is told once.
            while self._quiet_s < silent_s:
                self._quiet_s += min(self._quiet_s, MOST_QUIET_S)
            what = f"no session batch has arrived for {silent_s:.0f} s"
            self._view.message(f"{what}. {self._about_players()}")
        self.look()

    def _about_players(self) -> str:
        if self.no_tasks:
            return f"Players get no tasks: {self.no_tasks}"
        if self._players_log is not None:
            return f"The players' log is {shown(self._players_log)}"
        count = int(self._sources().get(Metric.PLAYERS, 0))
        if count:
            they = "The player that sent the last ones" if count == 1 else f"{count} players sent"
            they += " is" if count == 1 else " the last ones and are"
            return f"{they} silent: an environment may be slow or hang; see the log of each worker"
        return (
            f"Players: celery -A tinyqueue worker -Q {self._experiment.session.queue}; "
            "see their logs"
        )

    def refused(self, batch: Refused) -> None:
        """Reports a session batch that was taken out because its update failed."""
        player = f"{batch.player}, login {batch.login}" if batch.login else batch.player
        detail = "it made the loss of an update infinite or NaN; training goes on without it"
        if self._setbacks is not None:
            self._setbacks.aside(NOT_FINITE, detail, player, batch.login, was_accepted=True)

    def look(self) -> None:
        """Shows the current state if the view is due for one."""
        if self._setbacks is not None:
            self._setbacks.look()
        if self._view.is_due:
            self._view.update(self._snapshot())

    def evaluated(self, evaluated: Evaluated, threshold: float | None) -> None:
        """Reports the result of an evaluation.

        Args:
            evaluated: The evaluation.
            threshold: The target score; None without one.
        """
        self.is_evaluating = False
        result = evaluated.result
        self._greedy_mean, self._policy = evaluated.mean_return, evaluated.policy
        played = result.policy_version, result.actions
        kind = f"fresh {evaluated.policy}" if played == self._evaluated else evaluated.policy
        self._evaluated = played
        line: dict[str, object] = {
            EvaluationField.ENV_STEPS: evaluated.checkpoint.env_steps,
            EvaluationField.TIME_S: round(self._updater.clock.trained_s, 3),
            EvaluationField.POLICY_VERSION: result.policy_version,
            EvaluationField.EPISODES: len(result.returns),
            EvaluationField.RETURN_MEAN: evaluated.mean_return,
            EvaluationField.RETURN_MIN: float(np.min(result.returns)),
            EvaluationField.RETURN_MAX: float(np.max(result.returns)),
            EvaluationField.LENGTH_MEAN: float(np.mean(result.lengths)),
            EvaluationField.SECONDS: result.seconds,
            EvaluationField.LEVEL: threshold,
            EvaluationField.ACTIONS: result.actions,
            EvaluationField.CAPPED: result.capped,
            EvaluationField.MAX_STEPS: result.max_steps,
            EvaluationField.CUT: result.cut,
            EvaluationField.FAILURES: result.failures,
        }
        self._run.append("evaluations", line)
        self._board.write(
            "evaluation", {"return_mean": evaluated.mean_return}, evaluated.checkpoint.env_steps
        )
        self._view.message(
            f"{kind} mean of {len(result.returns)} games: "
            f"{number(evaluated.mean_return, beside=threshold)} "
            f"(version {result.policy_version}, {evaluated.checkpoint.env_steps:,} env steps)"
            + "".join(f"; {remark}" for remark in evaluated.remarks)
        )

    def status(self) -> dict[str, Any]:
        """The document behind ``tinyqueue info``."""
        snapshot = self._snapshot()
        document: dict[str, Any] = {
            "experiment": self._experiment.name,
            "environment": self._experiment.environment.id,
            "algorithm": self._experiment.algorithm_label,
            "run": self._run.run_id,
            "run_directory": shown(self._run.path),
            "written_s": time.time(),
            **finite(self._numbers(snapshot)),
        }
        if self._count is not None:
            document["count"] = self._count().document()
        if self._setbacks is not None:
            document["setbacks"] = self._setbacks.document()
        document["remarks"] = self.closing_remarks()
        return document

    def close(self) -> None:
        """Writes what is left. The view stays open for its owner."""
        now_s = time.monotonic()
        self._write_episodes(now_s)
        self._log(now_s)
        self._board.close()

    def _snapshot(self) -> Snapshot:
        clock, progress = self._updater.clock, self._updater.recent
        sources = self._sources()
        now_s = time.monotonic()
        count = self._count() if self._count else Count()
        return Snapshot(
            time_s=clock.trained_s,
            env_steps=clock.env_steps,
            updates=clock.updates,
            policy_version=clock.version,
            episodes=progress.returns.count,
            return_mean=progress.returns.mean_return,
            length_mean=progress.returns.mean_length,
            first_mean=clock.first_mean,
            env_steps_per_s=self._env_steps_rate.at(now_s),
            updates_per_s=self._updates_rate.at(now_s),
            policy_lag_mean=progress.policy_lag,
            queue_depth=int(sources.get(Metric.QUEUE_DEPTH, 0)),
            players=int(sources.get(Metric.PLAYERS, 0)),
            batches_set_aside=sum(count.set_aside.values()),
            batches_dropped=sum(count.dropped.values()),
            greedy_mean=self._greedy_mean,
            policy=self._policy,
            is_evaluating=self.is_evaluating,
            is_waiting=not self._has_heard,
            pace=self._paces.pace,
        )

    def _numbers(self, snapshot: Snapshot) -> dict[str, float]:
        count = self._count() if self._count else Count()
        return {
            Metric.TIME_S: round(snapshot.time_s, 3),
            Metric.ENV_STEPS: snapshot.env_steps,
            Metric.UPDATES: snapshot.updates,
            Metric.POLICY_VERSION: snapshot.policy_version,
            Metric.EPISODES: snapshot.episodes,
            Metric.ENVIRONMENT_FAULTS: self._faults.count,
            Metric.RETURN_MEAN: snapshot.return_mean,
            Metric.LENGTH_MEAN: snapshot.length_mean,
            Metric.ENV_STEPS_PER_S: snapshot.env_steps_per_s,
            Metric.UPDATES_PER_S: snapshot.updates_per_s,
            Metric.POLICY_LAG_MEAN: snapshot.policy_lag_mean,
            **self._paces.numbers(),
            **self._sources(),
            Metric.BATCHES_ATTEMPTED: count.attempted,
            Metric.BATCHES_ACCEPTED: count.accepted,
            Metric.BATCHES_SET_ASIDE: snapshot.batches_set_aside,
            Metric.BATCHES_DROPPED: snapshot.batches_dropped,
            Metric.BATCHES_MISSING: count.missing,
            **self._updater.recent.metrics,
            **self._info.means(),
        }

    def _log(self, now_s: float) -> None:
        self._logged_s = now_s
        numbers = self._numbers(self._snapshot())
        self._run.append("metrics", numbers)
        clock = self._updater.clock
        self._board.write_rarely("train", numbers, clock.env_steps, clock.trained_s)

    def _write_episodes(self, now_s: float) -> None:
        self._wrote_episodes_s = now_s
        if not self._returns:
            return
        line: dict[str, object] = {
            EpisodeColumn.ENV_STEPS: self._updater.clock.env_steps,
            EpisodeColumn.POLICY_VERSION: self._updater.clock.version,
            EpisodeColumn.RETURNS: self._returns,
            EpisodeColumn.LENGTHS: self._lengths,
        }
        columns = self._info.take_columns()
        if columns:
            line[EpisodeColumn.INFO] = columns
        self._run.append("episodes", line)
        self._returns, self._lengths = [], []
