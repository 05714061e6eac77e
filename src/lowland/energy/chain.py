"""A chain: one state at each position, and each depends on the one before.

    E(x, length, y) = initial(y₁) + Σ_t u_t(y_t; x) + Σ_t V(y_{t−1}, y_t)

With u from a network this is a conditional random field; with u the negative log-probabilities of what is observed and V, initial
those of a Markov chain, it is a hidden Markov model: then F₁ over y is minus the log-likelihood, and y the latent path.

Sources: Rabiner, Proc. IEEE 77 (1989); Lafferty, McCallum & Pereira, Conditional Random Fields, ICML (2001); for u from a network,
LeCun et al., A Tutorial on Energy-Based Learning (2006), section 6.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SpaceError
from ..spaces import Categorical, Paths, Real, Space
from .energy import Energy
from .structure import Structure
from .trellis import Trellis


class Chain(Energy):
    """States at the positions of a chain.

    Its variables are ``x``, ``length`` (how many positions there are), ``y`` (the state at each of them, then −1) and, if asked
    for, ``edges`` (an energy for each pair of states at each step).

    Args:
        positions: T, the most positions.
        states: K.
        network: Maps ``(B, *x)`` to the energy of each state at each position, ``(B, T, K)``; by default x is that itself.
        x: Space of the input of the network.
        edges: Whether the energies of single steps are observed too, ``(T − 1, K, K)``; they are added to `transition`.
        checkpoint: Steps between the sums that are kept for the gradient of a free energy, see `Trellis`; 0 keeps all. About
            √T / 2 needs the least memory, for one more forward pass.

    Attributes:
        initial: ``(K,)``, a parameter: the energy of beginning in a state, from 0.
        transition: ``(K, K)``, a parameter: the energy of a state (row) and the next (column), from 0. +∞ forbids.

    Raises:
        SpaceError: If there is a network and no space for its input, or the other way round.
    """

    #: A position without a state, or a state without a position, has energy +∞.
    hard = True

    @classmethod
    def example(cls) -> Chain:
        return cls(4, 3)

    def __init__(
        self,
        positions: int,
        states: int,
        network: nn.Module | None = None,
        x: Space | None = None,
        edges: bool = False,
        checkpoint: int = 0,
    ) -> None:
        if (network is None) != (x is None):
            raise SpaceError("Chain: wanted a network and the space of its input x, or neither, got one of them.")
        if positions < 1:
            raise SpaceError(f"Chain: wanted at least one position, got {positions}.")
        if checkpoint < 0:
            raise SpaceError(f"Chain: wanted a number of steps ≥ 0 between checkpoints, got {checkpoint}.")
        observed: dict[str, Space] = {"x": Real(positions, states) if x is None else x}
        if edges:
            observed["edges"] = Real(positions - 1, states, states)
        super().__init__(**observed, length=Categorical(positions + 1), y=Paths(positions, states))
        self.positions, self.checkpoint = positions, checkpoint
        self.network = nn.Identity() if network is None else network
        self.initial = nn.Parameter(torch.zeros(states))
        self.transition = nn.Parameter(torch.zeros(states, states))

    def trellis(self, x: Tensor, length: Tensor, edges: Tensor | None = None) -> Trellis:
        """All paths, ``x (B, *x)`` and ``length (B,)`` being known."""
        unary, wanted = self.network(x), (len(x), self.positions, len(self.initial))
        if unary.shape != wanted:
            raise SpaceError(
                f"Chain: wanted an energy for each position and state, {wanted}, got {tuple(unary.shape)}."
            )
        unary = unary.to(torch.promote_types(unary.dtype, self.transition.dtype))
        transition = self.transition if edges is None else self.transition + edges
        lengths = None if bool((length == self.positions).all()) else length
        return Trellis(unary, self.initial, transition, lengths, checkpoint=self.checkpoint)

    def recursion(self, *names: str, other_than: Tensor | None = None, **rest: Any) -> Structure | None:
        if names != ("y",):
            return None
        trellis = self.trellis(**rest)
        return trellis if other_than is None else trellis.without(other_than)

    def energies(self, y: Tensor, **observed: Tensor) -> Tensor:
        return self.trellis(**observed).along(y)

    def given(self, **observed: Any) -> Energy:
        """With x known the network has nothing left to do: its energies are computed once."""
        x = observed.get("x")
        if not isinstance(x, Tensor) or isinstance(self.network, nn.Identity):
            return super().given(**observed)
        self.known(observed)
        batch = self.spaces["x"].batch_shape(x, "x")
        unary = self.network(x.reshape(batch.numel(), *self.spaces["x"].shape))
        plain = Chain(self.positions, len(self.initial), edges="edges" in self.spaces, checkpoint=self.checkpoint)
        plain.initial, plain.transition = self.initial, self.transition
        return plain.given(**{**observed, "x": unary.reshape(*batch, *unary.shape[1:])})
