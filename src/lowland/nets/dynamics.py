"""A network as a world model: the change of a state, from the state and an action, in as many versions as one likes.

    s[t+1] = s[t] + δ ⊙ net_m( (s[t] − μ)/σ, (a[t] − ν)/τ, z[t] )      m: a member of an ensemble, or a mask of dropout

Sources: Chua et al., NeurIPS 2018, for ensembles; Gal & Ghahramani, ICML 2016, and Henaff, Canziani & LeCun, ICLR 2019, for masks
that stay as they are over a rollout, so that a version is one world rather than a new one in each step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..energy import WorldModel, linear
from ..errors import UsageError
from ..spaces import Space

#: Multiplications from which `lowland.energy.linear` gains on the plain product.
LARGE = 4_000_000
IN_PLACE: dict[Callable[..., Tensor], Callable[[Tensor], Tensor]] = {
    F.silu: partial(F.silu, inplace=True),
    F.relu: torch.relu_,
    torch.relu: torch.relu_,
    torch.tanh: torch.tanh_,
}


class Dynamics(WorldModel):
    """A multi-layer perceptron that predicts by how much each entry of a state changes.

    Args:
        state: Space of one state: a vector.
        action: Space of one action: a vector.
        hidden: Units of each hidden layer.
        z: Space of the latent variable, a vector; ``None`` for a model without one.
        members: How many networks there are, each with its own start.
        dropout: Probability that a hidden unit is silent.
        masks: How many versions dropout makes outside of training, each with its own units silent.
        nonlinearity: After each hidden layer; a smooth one has slopes that planning by gradients can follow.

    Attributes:
        weights: For each layer ``(members, out, in)``; ``biases``: ``(members, 1, out)``.
        centre, width: ``(S + A)``, what is subtracted from states and actions and what they are divided by: see `fit_scale`.
        scale: ``(S)``, δ: the usual change of a state in one step.

    Raises:
        UsageError: For spaces that are not vectors, or for an ensemble with dropout.
    """

    scale: Tensor
    centre: Tensor
    width: Tensor

    def __init__(
        self,
        state: Space,
        action: Space,
        hidden: Sequence[int] = (64, 64),
        *,
        z: Space | None = None,
        members: int = 1,
        dropout: float = 0.0,
        masks: int = 1,
        nonlinearity: Callable[[Tensor], Tensor] = F.silu,
    ) -> None:
        super().__init__(state, action, z)
        if any(space is not None and len(space.shape) != 1 for space in (state, action, z)):
            raise UsageError(
                f"Dynamics: wanted spaces of vectors, got {state!r}, {action!r} and {z!r}: encode them first."
            )
        if (
            members < 1
            or masks < 1
            or not 0 <= dropout < 1
            or (members > 1 and dropout > 0)
            or (masks > 1 and not dropout)
        ):
            raise UsageError(
                "Dynamics: wanted an ensemble (members ≥ 1) or dropout in [0, 1) with masks ≥ 1, "
                f"got members={members}, dropout={dropout}, masks={masks}."
            )
        self.members, self.dropout, self.masks, self.nonlinearity = members, dropout, masks, nonlinearity
        known = state.shape[0] + action.shape[0]
        sizes = [known + (z.shape[0] if z is not None else 0), *hidden, state.shape[0]]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after in pairwise(sizes):
            self.weights.append(nn.Parameter(torch.randn(members, after, before) / before**0.5))
            self.biases.append(nn.Parameter(torch.zeros(members, 1, after)))
        self.register_buffer("centre", torch.zeros(known))
        self.register_buffer("width", torch.ones(known))
        self.register_buffer("scale", torch.ones(state.shape[0]))
        for layer, units in enumerate(hidden):
            kept = (torch.rand(masks, 1, units) >= dropout).float() / (1 - dropout)
            self.register_buffer(f"mask_{layer}", kept)

    @property
    def versions(self) -> int:
        return self.members if not self.dropout or self.training else self.masks

    @torch.no_grad()
    def fit_scale(self, s: Tensor, a: Tensor, y: Tensor) -> None:
        """Set the units of the network from transitions: states ``(N, S)``, actions ``(N, A)`` and what came next ``(N, S)``."""
        deviation, mean = torch.std_mean(torch.cat([s, a], -1), 0)
        self.centre.copy_(mean)
        self.width.copy_(deviation.clamp_min(1e-6))
        self.scale.copy_((y - s).square().mean(0).sqrt().clamp_min(1e-6))

    def step(self, s: Tensor, a: Tensor, z: Tensor | None = None) -> Tensor:
        return self.prepared()(s, a, z)

    def prepared(self) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
        """With slopes rows are samples, as the way back wants it; without, columns are: the lanes of the processor are then full in
        narrow layers, too, as the first and the last one are."""
        rows = torch.is_grad_enabled()
        layers = list(zip(self.weights, self.biases, strict=True))
        return partial(self._step, layers if rows else [(weight, bias.mT) for weight, bias in layers], rows)

    def _step(self, layers: list[tuple[Tensor, Tensor]], rows: bool, s: Tensor, a: Tensor, z: Tensor | None) -> Tensor:
        """Each version by its own network, or all of them by one, whose samples they then are."""
        versions, count, _ = s.shape
        parts = [s, *(part.expand(versions, *part.shape) for part in (a, z) if part is not None)]
        if self.members < versions:
            parts = [part.flatten(0, 1).unsqueeze(0) for part in parts]
        now, *others = parts if rows else [part.mT for part in parts]
        units, samples = (2, 1) if rows else (1, 2)
        centre, width, scale = (one if rows else one[:, None] for one in (self.centre, self.width, self.scale))
        hidden = torch.cat([now, others[0]], units).sub_(centre).div_(width)
        hidden = torch.cat([hidden, *others[1:]], units) if len(others) > 1 else hidden
        nonlinearity = self._nonlinearity()
        for layer, (weight, bias) in enumerate(layers):
            hidden = _by_row(weight, hidden, bias) if rows else _by_column(weight, hidden, bias)
            if layer < len(layers) - 1:
                hidden = nonlinearity(hidden)
                if self.dropout:
                    thinned = self._thinned(hidden.unflatten(samples, (-1, count)), layer, rows)
                    hidden = thinned.flatten(samples, samples + 1)
        after = torch.addcmul(now, scale, hidden)
        return (after if rows else after.mT).reshape(s.shape)

    def _nonlinearity(self) -> Callable[[Tensor], Tensor]:
        """In place, where nobody will ask for what was there before."""
        return self.nonlinearity if torch.is_grad_enabled() else IN_PLACE.get(self.nonlinearity, self.nonlinearity)

    def _thinned(self, hidden: Tensor, layer: int, rows: bool) -> Tensor:
        """Units silent: ``(1, M, N, units)``, or ``(1, units, M, N)``."""
        if self.training:
            return F.dropout(hidden, self.dropout)
        mask = self.get_buffer(f"mask_{layer}")
        return hidden * (mask if rows else mask.permute(2, 0, 1))


def _by_row(
    weight: Float[Tensor, "M K D"], x: Float[Tensor, "M N D"], bias: Float[Tensor, "M 1 K"]
) -> Float[Tensor, "M N K"]:
    """The next layer of each member, one by the faster library where it is large."""
    if len(weight) > 1 or weight.numel() * x.shape[1] < LARGE:
        return torch.baddbmm(bias, x, weight.mT)
    return linear(x[0], weight[0], bias[0, 0]).unsqueeze(0)


def _by_column(
    weight: Float[Tensor, "M K D"], x: Float[Tensor, "M D N"], bias: Float[Tensor, "M K 1"]
) -> Float[Tensor, "M K N"]:
    """The same, of samples side by side; compiled, the bias is added by the kernel of the nonlinearity."""
    if weight[0].numel() * x.shape[-1] < LARGE:
        return torch.bmm(weight, x).add_(bias)
    each = [linear(one, sample.mT) for one, sample in zip(weight, x, strict=True)]
    return (each[0].unsqueeze(0) if len(each) == 1 else torch.stack(each)).add_(bias)
