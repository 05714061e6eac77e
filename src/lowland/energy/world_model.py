"""World models: what an action makes of a state, s[t+1] = g(s[t], a[t], z[t]), and how well that agrees with what happened.

    rollout      s[1] … s[T] from s[0] and a[0] … a[T−1], in M versions of the future
    forecast     E(s, a, y) = ½ ‖(y − g(s, a)) / scale‖²,  y what came next: training lowers it

A model has versions where it is not sure: the members of an ensemble, the networks that dropout leaves over. One that is sure has one.

Sources: Jordan & Rumelhart, Cognitive Science 16 (1992), for forward models; Chua et al., Deep Reinforcement Learning in a Handful
of Trials, NeurIPS 2018, for ensembles; Henaff, Canziani & LeCun, ICLR 2019, for z and for the versions that dropout makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from ..errors import SpaceError
from ..spaces import Real, Space
from .energy import Energy, broadcast_shapes


class WorldModel(nn.Module):
    """How a state goes on. Its author writes `step`.

    Args:
        state: Space of one state.
        action: Space of one action.
        z: Space of what else decides how it goes on and can't be known before; ``None`` where nothing does.

    Attributes:
        scale: What one unit of error is, in units of the state: it broadcasts against one, and is 1 unless set.
    """

    scale: Tensor

    def __init__(self, state: Space, action: Space, z: Space | None = None) -> None:
        super().__init__()
        self.state, self.action, self.z = state, action, z
        self.register_buffer("scale", torch.ones(()))

    @property
    def versions(self) -> int:
        """M, how many futures there are for the same actions."""
        return 1

    def step(self, s: Tensor, a: Tensor, z: Tensor | None = None) -> Tensor:
        """The next state in each version.

        Args:
            s: ``(M, N, *S)``.
            a: ``(N, *A)``, the same in every version.
            z: ``(N, *Z)``, where the model has one.

        Returns:
            ``(M, N, *S)``.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not say how a state goes on: write `step(self, s, a, z)`."
        )

    def prepared(self) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
        """`step`, for all steps of one rollout: a model does here, once, what they have in common."""
        return self.step

    def rollout(self, s: Tensor, a: Tensor, z: Tensor | None = None, *, checkpoint: bool = False) -> Tensor:
        """The states that follow, in each version: s[1] … s[T].

        Args:
            s: ``(*B, *S)``, the first state; batch shapes are broadcast against each other.
            a: ``(*B, T, *A)``.
            z: ``(*B, T, *Z)``, where the model has one.
            checkpoint: Keep only the states for the way back and compute what lies between them again: memory then grows with
                horizon × state rather than horizon × hidden units.

        Returns:
            ``(M, *B, T, *S)``.

        Raises:
            SpaceError: If a shape does not fit, or a z is missing or too much.
        """
        if (z is None) is not (self.z is None):
            wanted = f"a z of {self.z!r}" if self.z else "no z"
            raise SpaceError(f"{type(self).__name__}: wanted {wanted}, got {'none' if z is None else 'one'}.")
        given = {"s": (s, self.state, 0), "a": (a, self.action, 1), **({"z": (z, self.z, 1)} if z is not None else {})}
        shapes, lengths = {}, set()
        for name, (value, space, axes) in given.items():
            lead = space.batch_shape(value, name)
            if len(lead) < axes:
                raise SpaceError(f"{name}: wanted (*batch, T, *{space!r}), got {tuple(value.shape)}.")
            shapes[name] = lead[: len(lead) - axes]
            lengths.update(lead[len(lead) - axes :])
        if len(lengths) != 1:
            raise SpaceError(f"rollout: wanted a and z over the same time, got {sorted(lengths)} steps.")
        batch, length = broadcast_shapes(shapes), lengths.pop()
        now = _flat(s, batch, len(self.state.shape))
        now = now.expand(self.versions, *now.shape)
        actions = _by_time(a, batch, self.action)
        latent = [None] * length if z is None or self.z is None else _by_time(z, batch, self.z)
        states, step = [], self.prepared()
        keep = checkpoint and torch.is_grad_enabled()
        for t in range(length):
            after = recompute(step, now, actions[t], latent[t], use_reentrant=False) if keep else None
            now = step(now, actions[t], latent[t]) if after is None else after
            states.append(now)
        future = torch.stack(states, 2) if length > 1 else states[0].unsqueeze(2)
        return future if len(batch) == 1 else future.reshape(len(future), *batch, length, *self.state.shape)


def _flat(value: Tensor, batch: torch.Size, event: int) -> Tensor:
    """``(*B, *event)`` → ``(N, *event)``, with all of the batch; the last ``event`` axes stay."""
    if value.ndim == event + 1 and len(value) == batch.numel():
        return value
    own = value.shape[value.ndim - event :]
    return value.expand(*batch, *own).reshape(batch.numel(), *own)


def _by_time(value: Tensor, batch: torch.Size, space: Space) -> Sequence[Tensor]:
    """``(*B, T, *event)`` → T of ``(N, *event)``, samples side by side in memory, as narrow layers want them."""
    flat = _flat(value, batch, 1 + len(space.shape))
    if flat.shape[1] == 1:
        return (flat.squeeze(1),)
    return flat.movedim(0, -1).contiguous().movedim(-1, 1).unbind()


class KnownModel(WorldModel):
    """A world whose laws are known.

    Args:
        law: ``law(s, a) → next s``, for ``(N, *S)`` and ``(N, *A)``.
        state: Space of one state.
        action: Space of one action.
    """

    def __init__(self, law: Callable[[Tensor, Tensor], Tensor], state: Space, action: Space) -> None:
        super().__init__(state, action)
        self.law = law

    def step(self, s: Tensor, a: Tensor, z: Tensor | None = None) -> Tensor:
        return self.law(s[0], a).unsqueeze(0)


class Forecast(Energy):
    """½‖(y − g(s, a, z)) / scale‖² summed over the steps, mean over the versions; 0 exactly where all predict what came.

    Args:
        model: g.
        horizon: T, how many steps in a row are predicted, each from the last prediction.
        checkpoint: As for `WorldModel.rollout`.
    """

    broadcasts = True

    def __init__(self, model: WorldModel, horizon: int = 1, checkpoint: bool = False) -> None:
        spaces = {"s": model.state, "a": over_time(model.action, horizon), "y": over_time(model.state, horizon)}
        if model.z is not None:
            spaces["z"] = over_time(model.z, horizon)
        super().__init__(**spaces)
        self.model, self.horizon, self.checkpoint = model, horizon, checkpoint

    @classmethod
    def example(cls) -> Forecast:
        return cls(KnownModel(lambda s, a: s + a.tanh(), Real(2), Real(2)), 3)

    def energies(self, s: Tensor, a: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
        each = self.of_versions(s, a, y, z)
        return each.mean(0) if len(each) > 1 else each.squeeze(0)

    def of_versions(self, s: Tensor, a: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
        """The energy of each version alone, ``(M, *B)``: what lets every member of an ensemble learn from data of its own."""
        future = self.model.rollout(s, a, z, checkpoint=self.checkpoint)
        axes = tuple(range(-1 - len(self.model.state.shape), 0))
        return 0.5 * ((y - future) / self.model.scale).square().sum(axes)


def over_time(space: Space, horizon: int) -> Space:
    """The space of ``horizon`` values in a row; bounds stay.

    Raises:
        SpaceError: If the space is not one of real numbers, or the horizon is not positive.
    """
    from ..spaces import Box

    if horizon < 1:
        raise SpaceError(f"A rollout needs a horizon of at least one step, got {horizon}.")
    if isinstance(space, Box):
        return Box(space.low, space.high, horizon, *space.shape)
    if type(space) is Real:
        return Real(horizon, *space.shape)
    raise SpaceError(f"A rollout is over real numbers or boxes, got {space!r}: encode it first.")
