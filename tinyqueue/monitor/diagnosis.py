"""Why did it not learn? Rules over what a run recorded; each says a number and a setting.

A rule speaks of the last part of a run, and needs enough of it: early in training much is as it
should not stay. The bounds were set by runs that reached their level, on which no rule speaks.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from tinyqueue.monitor.diagnosed_run import LATE, LEAST_LINES, Finding, Run
from tinyqueue.monitor.metrics import Metric

DEAD = 0.5
"""Share of dead units; a fifth is common in networks that learn well."""
UNIFORM = 0.5
"""Nats: less than any uniform choice has, of which the smallest, between two actions, has ln 2."""


_SETTING = re.compile(r"\b(?:algorithm|model|environment|session|learner|replay|stop)\.[a-z_]+")

Rule = Callable[[Run], Finding | None]


def diagnose(run: Run) -> list[Finding]:
    """What stands out, in the order of :data:`RULES`; empty if nothing does.

    Of a run that reached its level, only :data:`OF_EVERY_RUN` speak: it did learn.
    """
    rules = OF_EVERY_RUN if run.has_reached else RULES
    return [finding for rule in rules if (finding := rule(run)) is not None]


def run_failed(run: Run) -> Finding | None:
    """It ended because it could not make progress."""
    if run.ended != "failed":
        return None
    return Finding(
        "run-failed",
        f"the run failed: {run.reason or 'no reason was recorded'}",
        "correct what the reason names, then continue with tinyqueue train --resume RUN; the logs "
        "of the players (players.log in the run directory) have the tracebacks",
    )


def entropy_gone(run: Run) -> Finding | None:
    """The policy stopped varying its actions before it had learned anything."""
    entropy = run.recorded.part(Metric.ENTROPY, 0.0, 1.0)
    late = run.late(Metric.ENTROPY)
    # The entropy of real numbers has no zero to be measured from.
    if late is None or entropy.min() < 0 or not run.is_flat:
        return None
    first = float(entropy[:5].max())
    if late > 0.05 * first:
        return None
    return Finding(
        "entropy-gone",
        f"the policy hardly varies its actions any more: entropy {late:.2g} nats of {first:.2g} at "
        "first, and returns no longer rise",
        _ways(run, "raise algorithm.entropy_weight", "lower algorithm.learning_rate"),
    )


def entropy_stays(run: Run) -> Finding | None:
    """The policy is still nearly uniform."""
    entropy = run.recorded.part(Metric.ENTROPY, 0.0, 1.0)
    late = run.late(Metric.ENTROPY)
    if late is None or entropy.min() < 0 or not run.is_flat:
        return None
    first = float(entropy[:5].max())
    if late < max(0.95 * first, UNIFORM):
        return None
    return Finding(
        "entropy-stays",
        f"actions are still as good as random: entropy {late:.3g} nats of {first:.3g} at first",
        "the policy gets no usable signal: "
        + _ways(
            run,
            "look at whether rewards come at all (tinyqueue sessions show)",
            "lower algorithm.entropy_weight",
            "raise algorithm.learning_rate",
        ),
    )


def value_explains_nothing(run: Run) -> Finding | None:
    """The value estimate is no better than a constant."""
    late = run.late(Metric.EXPLAINED_VARIANCE)
    if late is None or late > 0.1:
        return None
    return Finding(
        "value-explains-nothing",
        f"the value estimate is no better than a constant: explained_variance {late:.2f}",
        _ways(
            run,
            *_smaller_rewards(run),
            "raise algorithm.value_weight",
            "let the policy remember, by model.core",
            "show it earlier observations too, by environment.stack",
        ),
    )


def policy_moves_far(run: Run) -> Finding | None:
    """Updates take the policy far from the one that played."""
    clipped, kl = run.late(Metric.CLIP_FRACTION), run.late(Metric.APPROX_KL)
    if clipped is None or kl is None or (clipped < 0.4 and kl < 0.15):
        return None
    return Finding(
        "policy-moves-far",
        f"the policy moves far from the one that played: {clipped:.0%} of ratios are clipped, "
        f"KL {kl:.2g} nats",
        _ways(
            run,
            "lower algorithm.learning_rate",
            "lower algorithm.epochs",
            "set learner.lag = 0",
        ),
    )


def units_dead(run: Run) -> Finding | None:
    """Most of the network passes no gradient any more."""
    if run.dead_units is None or run.dead_units < DEAD or not run.is_flat:
        return None
    return Finding(
        "units-dead",
        f"{run.dead_units:.0%} of the network's units had no gradient in the last 100 optimiser "
        "steps, as dead ReLUs have none, and returns no longer rise",
        "they hardly ever come back, so start again: "
        + _ways(
            run,
            "lower algorithm.learning_rate",
            "lower algorithm.max_grad_norm",
            *_switched_on(run, "model.layer_norm"),
        ),
    )


def gradients_cut(run: Run) -> Finding | None:
    """Nearly every gradient is many times the bound on its norm."""
    most = getattr(run.algorithm, "max_grad_norm", None)
    norms = run.recorded.part(Metric.GRAD_NORM, LATE, 1.0)
    if most is None or len(norms) < LEAST_LINES:
        return None
    typical = float(np.quantile(norms, 0.1))
    if typical < 20 * most:
        return None
    return Finding(
        "gradients-cut",
        f"nine in ten gradients are over {typical / most:.0f} times algorithm.max_grad_norm = "
        f"{most:g}, so the loss hardly decides how far a step goes",
        _ways(
            run,
            *_smaller_rewards(run),
            "lower algorithm.value_weight",
            "raise algorithm.max_grad_norm",
        ),
    )


def q_runs_away(run: Run) -> Finding | None:
    """Q values are beyond any return that was ever seen, and grow."""
    late, returns = run.late(Metric.Q_MEAN), run.recorded.returns
    if late is None or not len(returns):
        return None
    scale = run.late(Metric.REWARD_SCALE) or float(getattr(run.algorithm, "reward_scale", 1.0))
    most = float(np.abs(returns).max()) * scale
    before = run.recorded.part(Metric.Q_MEAN, 2 * LATE - 1, LATE)
    if abs(late) <= 2 * max(most, 1.0) or not len(before) or abs(late) <= abs(np.median(before)):
        return None
    return Finding(
        "q-runs-away",
        f"Q values run away: their mean is {late:.3g}, and no episode's return was beyond "
        f"{most:.3g}",
        _ways(
            run,
            "lower algorithm.learning_rate",
            "refresh the target network less often, by algorithm.target_every_updates",
            *_switched_on(run, "algorithm.double", "model.layer_norm"),
        ),
    )


def players_far_behind(run: Run) -> Finding | None:
    """Experience is played by policies that are many versions old."""
    lag = run.late(Metric.POLICY_LAG_MEAN)
    bound = run.experiment.learner.max_policy_lag
    # A replay holds older experience anyway.
    if lag is None or run.experiment.replay is not None or lag < 0.5 * bound or lag < 3:
        return None
    return Finding(
        "players-far-behind",
        f"players are {lag:.1f} versions behind, and at {bound} (learner.max_policy_lag) their "
        "batches are dropped",
        _ways(
            run,
            "set learner.lag = 1",
            "raise learner.publish_every_updates",
            "use fewer players",
        ),
    )


def waits_for_players(run: Run) -> Finding | None:
    """The learner stands idle most of the time."""
    waiting = run.late(Metric.PLAYERS_WAIT_SHARE)
    if waiting is None or waiting < 0.8:
        return None
    return Finding(
        "waits-for-players",
        f"the learner waits for players {waiting:.0%} of the time",
        _ways(
            run,
            "add players (celery -A tinyqueue worker -Q play, on any machine)",
            "raise replay.samples_per_insert, to learn more from each session",
            "raise algorithm.epochs, to learn more from each session",
        ),
    )


def much_set_aside(run: Run) -> Finding | None:
    """A large part of what was played was never trained on."""
    attempted = run.recorded.part(Metric.BATCHES_ATTEMPTED, 0.0, 1.0)
    if not len(attempted) or attempted[-1] < 100:
        return None
    for said, metric, most in (
        ("set aside", Metric.BATCHES_SET_ASIDE, 0.05),
        ("dropped", Metric.BATCHES_DROPPED, 0.9),
    ):
        lost = run.recorded.part(metric, 0.0, 1.0)
        if len(lost) and lost[-1] >= most * attempted[-1]:
            return Finding(
                "much-set-aside",
                f"{lost[-1] / attempted[-1]:.0%} of the session batches were {said}",
                "tinyqueue info RUN has the reasons",
            )
    return None


def learning_rate_spent(run: Run) -> Finding | None:
    """The run went on after its learning rate had fallen to 0."""
    rates = run.recorded.part(Metric.LEARNING_RATE, 0.0, 1.0)
    if len(rates) < LEAST_LINES or not (rates == 0).any() or not rates.any():
        return None
    share = float(np.mean(rates == 0))
    if share < 0.05:
        return None
    return Finding(
        "learning-rate-spent",
        f"the learning rate was 0 for the last {share:.0%} of the run",
        _ways(
            run,
            "stretch the schedule to the whole run: algorithm.anneal_steps = stop.max_env_steps",
        ),
    )


def environment_fails(run: Run) -> Finding | None:
    """Environments failed often, so that episodes were cut off."""
    faults = run.recorded.part(Metric.ENVIRONMENT_FAULTS, 0.0, 1.0)
    episodes = run.recorded.part(Metric.EPISODES, 0.0, 1.0)
    if not len(faults) or not len(episodes) or faults[-1] <= 0.05 * max(episodes[-1], 1.0):
        return None
    return Finding(
        "environment-fails",
        f"environments failed {faults[-1]:,.0f} times in {episodes[-1]:,.0f} episodes",
        "players.log in the run directory has the first traceback",
    )


def flat_while_loss_moves(run: Run) -> Finding | None:
    """Updates go on and change the loss, while returns have stopped rising."""
    losses = run.recorded.part(Metric.LOSS, LATE, 1.0)
    if len(losses) < LEAST_LINES or not run.is_flat:
        return None
    mean = float(np.mean(run.recorded.returns_within(LATE, 1.0)))
    # Another environment's level says nothing of these returns.
    is_same = run.level is not None and run.experiment.evaluated is None
    aim = f" of {run.level:.4g}" if is_same else ""
    return Finding(
        "flat",
        f"returns have stopped rising at {mean:.4g}{aim}, while the loss still moves between "
        f"{losses.min():.3g} and {losses.max():.3g}",
        _ways(
            run,
            "try another seed first",
            "then a third of algorithm.learning_rate",
            *([] if run.experiment.environment.realtime else ["more session.slots"]),
        ),
    )


def _ways(run: Run, *ways: str) -> str:
    """The ways whose settings this experiment has, in one sentence."""
    known = [way for way in ways if all(map(run.experiment.has_setting, named(way)))]
    return ", or ".join(known) or "try another seed"


def named(way: str) -> list[str]:
    """The settings that a sentence names, such as ``algorithm.gamma``."""
    return _SETTING.findall(way)


def _switched_on(run: Run, *switches: str) -> list[str]:
    """Ways to set what is False so far."""
    return [f"set {switch}" for switch in switches if run.experiment.setting(switch) is False]


def _smaller_rewards(run: Run) -> list[str]:
    """Advice on the scale of rewards, where it is not chosen by measuring them."""
    if run.experiment.environment.normalise_rewards:
        return []
    return ["scale rewards so that returns are near 1, by algorithm.reward_scale"]


OF_EVERY_RUN: tuple[Rule, ...] = (run_failed, environment_fails, much_set_aside)
"""Rules of how a run ended and what it lost, whether it reached its level or not."""
RULES: tuple[Rule, ...] = (
    *OF_EVERY_RUN,
    learning_rate_spent,
    q_runs_away,
    units_dead,
    entropy_gone,
    entropy_stays,
    policy_moves_far,
    value_explains_nothing,
    gradients_cut,
    players_far_behind,
    waits_for_players,
    flat_while_loss_moves,
)
"""All rules, the ones that explain most first."""
