"""The distribution of a whole action: the product of one family per leaf of the action space.

Discrete and MultiDiscrete leaves have one categorical per entry; MultiBinary is Bernoulli; a Box
is Gaussian or tanh-squashed Gaussian. Entries are independent given the state, so
log-probabilities, entropies and divergences add.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal, Protocol

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Leaf, Space
from tinyqueue.distributions import bernoulli, categorical, gaussian, squashed_gaussian
from tinyqueue.distributions.arrays import ArrayModule, Tensor
from tinyqueue.errors import ConfigError

POLICY_OUTPUTS = ("logits", "mean", "log_std")
"""Kinds of network outputs that parametrise actions. An output's name is its kind if the space has
one leaf, and ``<kind>/<path>`` if it has several."""

BoxFamily = Literal["gaussian", "squashed_gaussian"]


@dataclass(frozen=True)
class Parameter:
    """A network output that parametrises a distribution.

    Attributes:
        size: Numbers per row.
        state_independent: It is one variable that starts at 0, the same in every row.
    """

    size: int
    state_independent: bool = False


class Family(Protocol):
    """What the module of a family offers.

    Its functions take parameters in the order of ``PARAMETERS``, then actions or noise.

    Attributes:
        PARAMETERS: Kinds of network outputs that it needs.
        STATE_INDEPENDENT: Those of them that are one variable, the same in every state.
        IS_DENSITY: Whether :attr:`log_prob` is a log-density.
    """

    PARAMETERS: tuple[str, ...]
    STATE_INDEPENDENT: tuple[str, ...]
    IS_DENSITY: bool

    @property
    def log_prob(self) -> Callable[..., Tensor]:
        """``(xp, *parameters, actions)`` → log-probability, or log-density, per entry."""

    @property
    def entropy(self) -> Callable[..., Tensor]:
        """``(xp, *parameters)`` → entropy in nats per entry."""

    @property
    def kl(self) -> Callable[..., Tensor]:
        """``(xp, *parameters of p, *parameters of q)`` → KL divergence in nats per entry."""

    @property
    def mode(self) -> Callable[..., Array]:
        """``(*parameters)`` → the action to take without exploring, per entry."""

    @property
    def noise(self) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
        """``(rng, shape)`` → all the randomness that :attr:`draw` needs, float32."""

    @property
    def draw(self) -> Callable[..., Array]:
        """``(*parameters, noise)`` → a sample per entry."""


class Factored:
    """The distribution of the actions of one space.

    In all methods, ``outputs`` maps an output's name to ``[..., size]``, and ``actions`` maps a
    path to ``[..., *shape]``, with the same leading axes; both may hold more than is needed.

    Args:
        actions: The action space.
        box: The family of Box leaves. The squashed one needs bounded leaves.

    Attributes:
        parameters: The network outputs that it needs, by name.
        is_density: Whether any leaf is continuous: :meth:`log_prob` is then a log-density, which
            may be above 0.

    Raises:
        ConfigError: ``box`` is squashed, and a Box is unbounded.
    """

    def __init__(self, actions: Space, box: BoxFamily = "gaussian") -> None:
        self._parts = [_part(path, leaf, box, len(actions) == 1) for path, leaf in actions.items()]
        self.parameters: dict[str, Parameter] = {
            name: Parameter(part.size, kind in part.family.STATE_INDEPENDENT)
            for part in self._parts
            for kind, name in part.names.items()
        }
        self.is_density = any(part.family.IS_DENSITY for part in self._parts)

    def log_prob(
        self, xp: ArrayModule, outputs: Mapping[str, Tensor], actions: Mapping[str, Tensor]
    ) -> Tensor:
        """``[...]`` log-probability, or log-density, of whole actions: the sum over leaves.

        Args:
            xp: ``numpy`` or ``keras.ops``.
            outputs, actions: As above.
        """
        return _total(
            part.summed(
                xp,
                part.family.log_prob(
                    xp, *part.read(xp, outputs), part.flat(xp, actions[part.path], outputs)
                ),
            )
            for part in self._parts
        )

    def entropy(self, xp: ArrayModule, outputs: Mapping[str, Tensor]) -> Tensor:
        """``[...]`` entropy in nats: the sum over leaves."""
        return _total(
            part.summed(xp, part.family.entropy(xp, *part.read(xp, outputs)))
            for part in self._parts
        )

    def kl(self, xp: ArrayModule, p: Mapping[str, Tensor], q: Mapping[str, Tensor]) -> Tensor:
        """``[...]`` KL divergence of q from p in nats: the sum over leaves.

        Args:
            xp: ``numpy`` or ``keras.ops``.
            p, q: Outputs of the two distributions.
        """
        return _total(
            part.summed(xp, part.family.kl(xp, *part.read(xp, p), *part.read(xp, q)))
            for part in self._parts
        )

    def masked(
        self, xp: ArrayModule, outputs: Mapping[str, Tensor], mask: Tensor
    ) -> dict[str, Tensor]:
        """The outputs with invalid actions made impossible.

        Args:
            xp: ``numpy`` or ``keras.ops``.
            outputs: For a space of one Discrete or MultiDiscrete leaf.
            mask: ``[..., n]`` bool, n summed over entries; every entry has a valid value.
        """
        (name,) = self.parameters
        return {**outputs, name: categorical.masked(xp, outputs[name], mask)}

    def mode(self, outputs: Arrays) -> Arrays:
        """The most probable action by path, in the leaves' dtypes; new arrays.

        For a squashed Gaussian it is the median.
        """
        return {
            part.path: part.as_action(part.family.mode(*part.read(np, outputs)))
            for part in self._parts
        }

    def noise(self, rng: np.random.Generator, *lead: int) -> Arrays:
        """All the randomness that :meth:`draw` needs, path → ``[*lead, …]`` float32.

        With leading axes, each index along them holds the noise of one draw.
        """
        return {
            part.path: part.family.noise(rng, (*lead, *part.noise_shape)) for part in self._parts
        }

    def draw(self, outputs: Arrays, noise: Arrays) -> Arrays:
        """A sampled action by path, in the leaves' dtypes; new arrays.

        Args:
            outputs: As above.
            noise: From :meth:`noise`, with the same leading axes.
        """
        return {
            part.path: part.as_action(part.family.draw(*part.read(np, outputs), noise[part.path]))
            for part in self._parts
        }


@dataclass(frozen=True)
class _Part:
    """One leaf: its family, and the layout of its entries in network outputs.

    Attributes:
        size: Size of each of its outputs.
        names: Kind of parameter → name of the output.
        noise_shape: Shape of the noise for one draw.
        index: ``[k, n]`` position of every value of every entry in ``[..., size]``, if entries
            differ in their number of values; otherwise None.
        exists: ``[k, n]`` bool: the entry has that value.
    """

    path: str
    leaf: Leaf
    family: Family
    size: int
    names: Mapping[str, str]
    noise_shape: tuple[int, ...]
    index: Array | None = None
    exists: Array | None = None

    def read(self, xp: ArrayModule, outputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Parameters as the family takes them: ``[..., k]``, or logits ``[..., k, n]``.

        For a leaf of shape ``()`` there is no axis k: ``[...]``, ``[..., n]``.
        """
        tensors = [outputs[name] for name in self.names.values()]
        for tensor in tensors:
            assert tensor.shape[-1] == self.size, (self.path, tensor.shape, self.size)
        if self.index is not None:
            (logits,) = tensors
            return [xp.where(self.exists, xp.take(logits, self.index, axis=-1), -np.inf)]
        return [self._arranged(xp, tensor) for tensor in tensors]

    def flat(self, xp: ArrayModule, actions: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
        """``[..., *shape]`` → ``[..., k]``; unchanged for a leaf of shape ``()``.

        Other shapes than that of the outputs would broadcast.
        """
        first = self.names[self.family.PARAMETERS[0]]
        expected = (*outputs[first].shape[:-1], *self.leaf.shape)
        found = tuple(actions.shape)
        assert len(found) == len(expected), (self.path, found, expected)
        for have, size in zip(found, expected, strict=True):
            # None is a size that a graph does not know yet.
            assert have is None or size is None or have == size, (self.path, found, expected)
        rank = len(self.leaf.shape)
        if rank < 2:
            return actions
        return xp.reshape(actions, (*xp.shape(actions)[:-rank], self.leaf.size))

    def summed(self, xp: ArrayModule, terms: Tensor) -> Tensor:
        """``[..., k]`` → ``[...]``: the sum over entries."""
        return xp.sum(terms, axis=-1) if self.leaf.shape else terms

    def as_action(self, values: Array) -> Array:
        """``[..., k]`` → ``[..., *shape]`` in the leaf's dtype."""
        lead = values.shape[: values.ndim - 1] if self.leaf.shape else values.shape
        return np.array(values, self.leaf.dtype).reshape(*lead, *self.leaf.shape)

    def _arranged(self, xp: ArrayModule, tensor: Tensor) -> Tensor:
        """``[..., size]`` → ``[..., *noise_shape]``."""
        if self.noise_shape == (self.size,):
            return tensor
        return xp.reshape(tensor, (*xp.shape(tensor)[:-1], *self.noise_shape))


def _part(path: str, leaf: Leaf, box: BoxFamily, is_only: bool) -> _Part:
    name = "" if is_only else path
    if not leaf.is_discrete:
        family: Family = gaussian
        if box == "squashed_gaussian":
            family = squashed_gaussian
            if leaf.low is None or leaf.high is None:
                raise ConfigError(
                    f"the action {path or 'space'} is a Box without finite bounds on both sides, "
                    "and this algorithm draws actions between bounds. Use ppo or impala, which act "
                    "in any Box, or give it finite bounds."
                )
        return _Part(
            path, leaf, family, leaf.size, _names(name, family), leaf.shape and (leaf.size,)
        )
    if leaf.shape and leaf.n == 2 and not leaf.nvec:
        return _Part(path, leaf, bernoulli, leaf.size, _names(name, bernoulli), (leaf.size,))
    names, counts = _names(name, categorical), leaf.counts
    if not leaf.shape:
        return _Part(path, leaf, categorical, leaf.n, names, (leaf.n,))
    shape = (len(counts), max(counts))
    if len(set(counts)) == 1:
        return _Part(path, leaf, categorical, sum(counts), names, shape)
    values = np.arange(max(counts))
    exists = values < np.array(counts)[:, None]
    first = np.cumsum([0, *counts[:-1]])[:, None]
    index = np.where(exists, first + values, 0).astype(np.int32)
    return _Part(path, leaf, categorical, sum(counts), names, shape, index, exists)


def _names(path: str, family: Family) -> dict[str, str]:
    return {kind: f"{kind}/{path}" if path else kind for kind in family.PARAMETERS}


def _total(terms: Iterable[Tensor]) -> Tensor:
    return reduce(add, terms)
