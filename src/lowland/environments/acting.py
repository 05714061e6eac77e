"""Acting: many episodes of an environment at once, so that one agent plans for all of them in one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..data.episodes import Episodes
from ..errors import UsageError
from ..spaces import Box, Categorical, Real, Space
from .making import make


@runtime_checkable
class Agent(Protocol):
    """Who says what to do: `lowland.inference.RecedingHorizon` is one."""

    def reset(self) -> None:
        """New episodes begin."""

    def act(self, s: Tensor) -> Tensor:
        """One action ``(B, *A)`` for each state ``(B, *S)``."""
        ...


class Follow:
    """An agent that does what a function of the state says: a policy.

    Args:
        policy: ``(B, *S)`` → ``(B, *A)``.
    """

    def __init__(self, policy: Callable[[Tensor], Tensor]) -> None:
        self.policy = policy

    def reset(self) -> None:
        """It remembers nothing."""

    @torch.no_grad()
    def act(self, s: Tensor) -> Tensor:
        """What the policy says."""
        return self.policy(s)


class RandomActions:
    """An agent that does anything, evenly, each for a few steps in a row.

    Args:
        space: Of one action.
        generator: Source of randomness.
        hold: How many steps in a row, on average.
    """

    def __init__(self, space: Space, generator: torch.Generator, hold: float = 1.0) -> None:
        self.space, self.generator, self.hold = space, generator, hold
        self.last: Tensor | None = None

    def reset(self) -> None:
        """New episodes begin."""
        self.last = None

    def act(self, s: Tensor) -> Tensor:
        """Anything."""
        shape = (len(s), *self.space.shape)
        if isinstance(self.space, Categorical):
            new = torch.randint(self.space.k, shape, generator=self.generator)
        elif isinstance(self.space, Box):
            new = self.space.low + (self.space.high - self.space.low) * torch.rand(shape, generator=self.generator)
        else:
            new = torch.randn(shape, generator=self.generator)
        if self.last is not None:
            other = torch.rand(len(s), generator=self.generator) < 1 / self.hold
            new = torch.where(other.reshape(-1, *[1] * len(self.space.shape)), new, self.last)
        self.last = new
        return new


def spaces_of(environment: Any) -> tuple[Space, Space]:
    """The spaces of its states and of its actions.

    Raises:
        UsageError: For a kind of space that we have no word for.
    """
    from gymnasium import spaces

    seen, done = environment.observation_space, environment.action_space
    if not isinstance(seen, spaces.Box):
        raise UsageError(f"{environment}: wanted observations in a box, got {seen}: flatten them with a wrapper.")
    if isinstance(done, spaces.Discrete):
        return Real(*seen.shape), Categorical(int(done.n))
    if isinstance(done, spaces.Box):
        return Real(*seen.shape), Box(float(done.low.flat[0]), float(done.high.flat[0]), *done.shape)
    raise UsageError(f"{environment}: wanted actions in a box or numbered ones, got {done}.")


def record(
    name: str,
    agent: Agent,
    episodes: int,
    *,
    steps: int | None = None,
    seed: int = 0,
    progress: Callable[[Iterable[int]], Iterable[int]] | None = None,
    **options: Any,
) -> Episodes:
    """Let an agent act in an environment and write down what happens; the episodes run side by side.

    Args:
        name: The environment's id.
        agent: Who acts, in all of them at once; one whose episode is over is still asked, and not listened to.
        episodes: How many.
        steps: At most so many in each; the environment's own limit by default.
        seed: Of the first episode's start; the others follow.
        progress: Wraps the step counter, for instance ``tqdm.tqdm``.
        **options: For `make`.

    Returns:
        The episodes; ``about["success"]`` has a 1 for each that the environment calls a success at its end, where it says.
    """
    worlds = [make(name, **options) for _ in range(episodes)]
    try:
        limit = steps or (worlds[0].spec and worlds[0].spec.max_episode_steps) or 1000
        seen = [[_tensor(world.reset(seed=seed + index)[0])] for index, world in enumerate(worlds)]
        done: list[list[Tensor]] = [[] for _ in worlds]
        brought: list[list[float]] = [[] for _ in worlds]
        ended, success = [False] * episodes, [""] * episodes
        running = [True] * episodes
        agent.reset()
        counter: Iterable[int] = range(limit)
        for _ in progress(counter) if progress else counter:
            actions = agent.act(torch.stack([states[-1] for states in seen]))
            for index, world in enumerate(worlds):
                if not running[index]:
                    continue
                action = actions[index].detach().cpu()
                state, reward, over, late, info = world.step(action.numpy() if action.ndim else int(action))
                seen[index].append(_tensor(state))
                done[index].append(action)
                brought[index].append(float(reward))
                running[index], ended[index] = not (over or late), bool(over)
                if "success" in info:
                    success[index] = str(int(bool(info["success"])))
            if not any(running):
                break
    finally:
        for world in worlds:
            world.close()
    about = {"environment": name, "agent": type(agent).__name__, "seed": str(seed)}
    if all(success):
        about["success"] = "".join(success)
    return Episodes(
        torch.cat([torch.stack(states) for states in seen]),
        torch.cat([torch.stack(actions) for actions in done]),
        torch.tensor([reward for rewards in brought for reward in rewards]),
        torch.tensor([len(rewards) for rewards in brought]),
        torch.tensor(ended),
        about,
    )


def replay(name: str, episodes: Episodes, index: int, **options: Any) -> list[Any]:
    """The frames of a recorded episode, ``(H, W, 3)`` bytes each: its actions once more, from the same start.

    Args:
        name: The environment's id.
        episodes: A recording that says its seed.
        index: Which of the episodes.
        **options: For `make`.
    """
    world = make(name, render_mode="rgb_array", **options)
    try:
        world.reset(seed=int(episodes.about["seed"]) + index)
        frames = [world.render()]
        for action in episodes.episode(index).a:
            world.step(action.numpy() if action.ndim else int(action))
            frames.append(world.render())
    finally:
        world.close()
    return frames


def _tensor(state: Any) -> Tensor:
    return torch.as_tensor(state, dtype=torch.float32)
