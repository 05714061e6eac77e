"""Environments by name."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from ..errors import UsageError

#: Environments of our own: name → module and class, and steps in an episode.
OWN = {
    "lowland/CartPoleSwingUp-v0": ("lowland.environments.cart_pole:CartPoleSwingUp", 100),
    "lowland/TrafficReplay-v0": ("lowland.environments.traffic_replay:TrafficReplay", 1000),
    "lowland/TwoRooms-v0": ("lowland.environments.two_rooms:TwoRooms", 50),
}
#: Packages whose environments have names once they have been imported.
PACKAGES = ("highway_env",)
#: What to install for the environments of a package that is not there.
EXTRAS = {
    "highway": 'pip install "lowland[control]"',
    "mujoco": 'pip install "gymnasium[mujoco]"',
    "box2d": 'pip install "gymnasium[box2d]"',
}


def make(name: str, **options: Any) -> Any:
    """A gymnasium environment with actions in a box of equal sides: bounds that differ are rescaled to −1 and 1.

    Args:
        name: Its id, as ``Pendulum-v1`` or ``lowland/CartPoleSwingUp-v0``; ``package:Name-v0`` imports the package first.
        **options: For ``gymnasium.make``: ``render_mode="rgb_array"``, …

    Raises:
        UsageError: If gymnasium or what the environment needs is not installed, there is no such environment, or it has no such option.
    """
    if importlib.util.find_spec("gymnasium") is None:
        raise UsageError(f'{name} needs gymnasium, which is not installed: pip install "lowland[control]".')
    import gymnasium
    import numpy as np

    for own, (place, steps) in OWN.items():
        if own not in gymnasium.registry:
            gymnasium.register(own, place, max_episode_steps=steps)
    if ":" not in name and name not in gymnasium.registry:
        for package in filter(importlib.util.find_spec, PACKAGES):
            importlib.import_module(package)
    try:
        environment = gymnasium.make(name, **options)
    except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
        raise UsageError(f"{name}: what it needs is not installed: {error}. {_remedy(str(error))}") from error
    except (gymnasium.error.UnregisteredEnv, gymnasium.error.Error) as error:
        raise UsageError(
            f"There is no environment called {name!r}: {' '.join(str(error).split())} {_remedy(name)}".rstrip()
        ) from error
    except TypeError as error:
        if not options or "argument" not in str(error):
            raise
        raise UsageError(f"{name} can't be made like that: {' '.join(str(error).split())}.") from error
    space = environment.action_space
    if isinstance(space, gymnasium.spaces.Box) and not (len({*space.low.flat}) == 1 and len({*space.high.flat}) == 1):
        environment = gymnasium.wrappers.RescaleAction(environment, np.float32(-1), np.float32(1))
    return environment


def _remedy(words: str) -> str:
    return next((f"Try: {line}." for word, line in EXTRAS.items() if word in words.lower()), "")
