"""REINFORCE with a baseline (Williams, 1992, doi:10.1007/BF00992696) in PyTorch.

    tinyqueue train CartPole-v1 --set algorithm.name=examples/reinforce.py:Reinforce

Needs ``pip install "tinyqueue[torch]"`` where the learner runs; players need no PyTorch.

    G_t = Σ_i γ^i r_{t+i} to the episode's end, plus γ^n V(x_{t+n}) if it was cut off there
    loss = mean of −min(1, π/μ)·log π(a_t|x_t)·A_t − entropy_weight·H(π) + ½(G_t − V(x_t))²
    A_t = G_t − V(x_t), normalised

An episode spans many session batches. Its pieces are kept, by stage and slot, until it ends, and an
update is made once enough steps are in whole episodes. A piece that is missing, because a batch was
dropped or lost, costs the episode.

Deviations: the ratio of the policy to the one that played, cut at 1, corrects for steps that an
older version chose; advantages are normalised; Adam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tinyqueue.algorithms.bare import BareAlgorithm, Problem
from tinyqueue.algorithms.base import LossNotFiniteError, Update
from tinyqueue.algorithms.ranges import Count, NotNegative, Positive, Share
from tinyqueue.data.names import EPISODE_STEPS
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, described
from tinyqueue.errors import CheckpointError, ConfigError
from tinyqueue.monitor.metrics import Metric
from tinyqueue.policy.graphs import policy_graph
from tinyqueue.policy.heads import LOG_PROB


@dataclass(frozen=True)
class ReinforceConfig:
    """``Reinforce``, with settings for small tasks with vector observations."""

    gamma: Share = 0.99
    """Discount per env step."""
    learning_rate: Positive = 3e-3
    """Step size of Adam, of policy and baseline."""
    entropy_weight: NotNegative = 0.01
    """Weight of the policy's entropy."""
    hidden: Count = 64
    """Units in each of the two hidden layers."""
    steps_per_update: Count = 2_048
    """Env steps in whole episodes that make an update."""
    max_grad_norm: Positive = 0.5
    """Clip of the gradient's global norm."""


@dataclass
class Piece:
    """Steps of one episode, in order; all arrays ``[n, …]``."""

    seen: Array
    actions: Array
    rewards: Array
    log_mu: Array


class WholeEpisodes:
    """Joins the pieces of episodes across session batches."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], list[Piece]] = {}
        self._next: dict[str, int] = {}

    def add(self, batch: SessionBatch) -> list[tuple[Piece, Array | None]]:
        """The episodes that end in a batch and are known from their first step on.

        Returns:
            Each whole, with its final observation ``[*obs]`` if it was cut off there, else None.
        """
        stage, n = batch.header.stage, batch.header.n
        if self._next.get(stage, n) != n:
            self._open = {key: open_ for key, open_ in self._open.items() if key[0] != stage}
        self._next[stage] = n + 1
        done: list[tuple[Piece, Array | None]] = []
        for slot in range(batch.slots):
            pieces = self._open.pop((stage, slot), [])
            is_whole = bool(pieces) or batch.carry[EPISODE_STEPS][slot] == 0
            ends = np.flatnonzero(
                (batch.terminated | batch.truncated)[:, slot] & batch.valid[:, slot]
            )
            begin = 0 if batch.valid[0, slot] else 1
            for end in ends.tolist():
                if is_whole:
                    whole = _joined([*pieces, _piece(batch, slot, begin, end + 1)])
                    last = batch.observations[""][end + 1, slot]
                    done.append((whole, None if batch.terminated[end, slot] else last.copy()))
                # The tick after an end leads to the next episode's first observation.
                pieces, is_whole, begin = [], True, end + 2
            if is_whole:
                pieces.append(_piece(batch, slot, begin, batch.ticks))
                self._open[stage, slot] = pieces
        return done


def _piece(batch: SessionBatch, slot: int, begin: int, end: int) -> Piece:
    (actions,) = batch.actions.values()
    rows = slice(begin, end)
    return Piece(
        batch.observations[""][:-1][rows, slot].astype(np.float32),
        actions[rows, slot].astype(np.int64),
        batch.rewards[rows, slot].copy(),
        batch.extras[LOG_PROB][rows, slot].copy(),
    )


def _joined(pieces: Sequence[Piece]) -> Piece:
    return Piece(
        np.concatenate([piece.seen for piece in pieces]),
        np.concatenate([piece.actions for piece in pieces]),
        np.concatenate([piece.rewards for piece in pieces]),
        np.concatenate([piece.log_mu for piece in pieces]),
    )


def returns(rewards: Array, after: float, gamma: float) -> Array:
    """``[n]`` float32 G_t of an episode, with the value ``after`` of what follows its last step."""
    result = np.empty(len(rewards), np.float32)
    for step in reversed(range(len(rewards))):
        after = float(rewards[step]) + gamma * after
        result[step] = after
    return result


class Reinforce(BareAlgorithm[ReinforceConfig, Sequence[SessionBatch]]):
    """A policy trained on the returns of whole episodes, with a value network as baseline."""

    Config = ReinforceConfig
    head = "categorical"
    records_entropy = True

    def __init__(self, config: ReinforceConfig, problem: Problem) -> None:
        seen, actions = problem.observations, list(problem.actions.values())
        if list(seen) != [""] or len(actions) != 1 or actions[0].shape or not actions[0].n:
            raise ConfigError(
                "Reinforce needs one array of observations and one Discrete action; here are "
                f"{described(seen)} and {described(problem.actions)}."
            )
        if problem.mask_size:
            raise ConfigError("Reinforce knows no action masks: unset environment.action_mask.")
        self._config = config
        torch.set_num_threads(problem.threads)
        torch.manual_seed(problem.seed)
        size = seen[""].size
        self._policy = _network(size, config.hidden, actions[0].n)
        self._value = _network(size, config.hidden, 1)
        self._trained = nn.ModuleDict({"policy": self._policy, "value": self._value})
        self._optimiser = torch.optim.Adam(self._trained.parameters(), config.learning_rate)
        self._episodes = WholeEpisodes()
        self._whole: list[tuple[Piece, Array | None]] = []
        self._metrics: dict[str, float] = {}
        exported = torch.onnx.export(
            self._policy.eval(),
            (torch.zeros((2, *seen[""].shape)),),
            input_names=["observation:"],
            output_names=["output:logits"],
            dynamic_shapes=({0: torch.export.Dim("B")},),
            optimize=False,  # Weights keep their names.
            verbose=False,
        )
        assert exported is not None
        self.graph = policy_graph(exported.model_proto, list(self._policy.state_dict()))

    def weights(self, version: int) -> Arrays:
        """The policy's parameters, without the value network's."""
        return _arrays(self._policy.state_dict())

    def update(self, experience: Sequence[SessionBatch], env_steps: int) -> Update:
        """Keeps what arrived; takes a step of Adam once enough episodes are whole."""
        for batch in experience:
            self._whole += self._episodes.add(batch)
        if sum(len(piece.rewards) for piece, _ in self._whole) >= self._config.steps_per_update:
            whole, self._whole = self._whole, []
            self._metrics = self._step(whole)
        return Update(self._metrics)

    def _step(self, whole: Sequence[tuple[Piece, Array | None]]) -> dict[str, float]:
        config = self._config
        seen, actions, log_mu, targets = self._targets(whole)
        policy = torch.distributions.Categorical(logits=self._policy(seen))
        values = self._value(seen)[:, 0]
        advantages = (targets - values).detach()
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_pi = policy.log_prob(actions)
        ratios = torch.exp(log_pi.detach() - log_mu)
        policy_loss = -(ratios.clamp(max=1.0) * log_pi * advantages).mean()
        value_loss = 0.5 * ((targets - values) ** 2).mean()
        entropy = policy.entropy().mean()
        loss = policy_loss - config.entropy_weight * entropy + value_loss
        self._optimiser.zero_grad()
        loss.backward()
        # Apart: unscaled returns would leave the policy next to nothing of a common norm.
        norm = nn.utils.clip_grad_norm_(self._policy.parameters(), config.max_grad_norm)
        nn.utils.clip_grad_norm_(self._value.parameters(), 10 * config.max_grad_norm)
        if not torch.isfinite(loss) or not torch.isfinite(norm):
            raise LossNotFiniteError(f"the loss of {len(targets):,} steps is {loss.item()}")
        self._optimiser.step()
        return {
            Metric.LOSS: loss.item(),
            Metric.POLICY_LOSS: policy_loss.item(),
            Metric.VALUE_LOSS: value_loss.item(),
            Metric.ENTROPY: entropy.item(),
            Metric.GRAD_NORM: norm.item(),
            Metric.MEAN_RHO: ratios.mean().item(),
        }

    def _targets(self, whole: Sequence[tuple[Piece, Array | None]]) -> tuple[torch.Tensor, ...]:
        """Observations ``[N, *obs]``, actions, log μ and returns ``[N]``."""
        cut = [last for _, last in whole if last is not None]
        after = iter(())
        if cut:
            with torch.no_grad():
                final = torch.from_numpy(np.stack(cut).astype(np.float32))
                after = iter(self._value(final)[:, 0].tolist())
        targets = [
            returns(piece.rewards, 0.0 if last is None else next(after), self._config.gamma)
            for piece, last in whole
        ]
        every = _joined([piece for piece, _ in whole])
        return tuple(
            torch.from_numpy(array)
            for array in (every.seen, every.actions, every.log_mu, np.concatenate(targets))
        )

    def state(self) -> Arrays:
        """Parameters and Adam's averages. Episodes under way are begun again by their players."""
        arrays = _arrays(self._trained.state_dict())
        for index, averages in self._optimiser.state_dict()["state"].items():
            arrays |= {f"adam/{index}/{name}": _array(value) for name, value in averages.items()}
        return arrays

    def restore(self, state: Arrays) -> None:
        """Restores :meth:`state`."""
        parameters: dict[str, torch.Tensor] = {}
        adam: dict[int, dict[str, torch.Tensor]] = {}
        for name, array in state.items():
            tensor = torch.from_numpy(array.copy())
            if name.startswith("adam/"):
                _, index, kind = name.split("/")
                adam.setdefault(int(index), {})[kind] = tensor
            else:
                parameters[name] = tensor
        try:
            self._trained.load_state_dict(parameters)
        except RuntimeError as error:
            raise CheckpointError(f"the checkpoint is of another network: {error}") from error
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": adam, "param_groups": groups})


def _network(size: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(size, hidden),
        nn.Tanh(),
        nn.Linear(hidden, hidden),
        nn.Tanh(),
        nn.Linear(hidden, outputs),
    )


def _array(tensor: torch.Tensor) -> Array:
    array: Array = tensor.detach().numpy().copy()
    return array


def _arrays(tensors: dict[str, torch.Tensor]) -> Arrays:
    return {name: _array(tensor) for name, tensor in tensors.items()}
