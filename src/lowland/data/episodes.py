"""Episodes: what was done in an environment and what came of it, in one simple file.

A file is ``.safetensors`` or ``.npz`` and holds, for E episodes of T₁, T₂, … steps one after the other:

    s        (ΣT + E, *S)   float32   states; the last one of an episode has no action
    a        (ΣT, *A)       float32, or int64 for numbered actions
    reward   (ΣT,)          float32
    lengths  (E,)           int64     T of each episode
    ended    (E,)           bool      whether the environment ended it (rather than the clock)

and, as metadata of a safetensors file, anything in words: the environment, who acted, the seed. Nothing is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..errors import DataError

_NAMES = ("s", "a", "reward", "lengths", "ended")


@dataclass(frozen=True, eq=False)
class Episodes:
    """Episodes one after the other.

    Attributes:
        s: ``(ΣT + E, *S)``, states.
        a: ``(ΣT, *A)``, actions.
        reward: ``(ΣT)``, what each step brought.
        lengths: ``(E)``, T of each episode, all ≥ 1.
        ended: ``(E)``, whether the environment ended it.
        about: Anything in words.

    Raises:
        DataError: If the lengths don't add up, or a number is not finite; says where.
    """

    s: Tensor
    a: Tensor
    reward: Tensor
    lengths: Tensor
    ended: Tensor
    about: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps, count = int(self.lengths.sum()), len(self.lengths)
        if count and int(self.lengths.min()) < 1:
            raise DataError(f"Episodes: wanted at least one step in each, got {int(self.lengths.min())} in one.")
        wanted = {"s": steps + count, "a": steps, "reward": steps, "ended": count}
        for name, length in wanted.items():
            got = len(getattr(self, name))
            if got != length:
                raise DataError(f"Episodes: {count} of {steps} steps in all have {length} of {name}, got {got}.")
        for name in ("s", "a", "reward"):
            values = getattr(self, name)
            wrong = ~values.flatten(1).isfinite().all(1) if values.ndim > 1 else ~values.isfinite()
            if bool(wrong.any()):
                row = int(wrong.nonzero()[0])
                episode, step = self.place(row, states=name == "s")
                raise DataError(f"Episodes: {name} is not finite at step {step} of episode {episode}.")

    def place(self, row: int, states: bool = False) -> tuple[int, int]:
        """Episode and step of a row of ``a``, or of ``s``."""
        ends = (self.lengths + int(states)).cumsum(0)
        episode = int(torch.searchsorted(ends, torch.tensor(row), right=True))
        return episode, row - (int(ends[episode - 1]) if episode else 0)

    @property
    def returns(self) -> Tensor:
        """``(E)``, the sum of each episode's rewards."""
        return torch.stack([part.sum() for part in self.reward.split(self.lengths.tolist())])

    def episode(self, index: int) -> Episodes:
        """One of them alone."""
        lengths = self.lengths.tolist()
        s, a = self.s.split([length + 1 for length in lengths])[index], self.a.split(lengths)[index]
        reward = self.reward.split(lengths)[index]
        return Episodes(s, a, reward, self.lengths[[index]], self.ended[[index]], self.about)

    def select(self, chosen: Tensor) -> Episodes:
        """Those that a mask ``(E)`` points out."""
        s = self.s[chosen.repeat_interleave(self.lengths + 1)]
        step = chosen.repeat_interleave(self.lengths)
        return Episodes(s, self.a[step], self.reward[step], self.lengths[chosen], self.ended[chosen], self.about)

    def check_jumps(self, most: float = 100.0) -> None:
        """Nothing, if no state changes in one step by more than ``most`` times what is usual for that entry (its 95th percentile).

        Raises:
            DataError: Otherwise: something is missing in between, or two episodes were written as one; says where.
        """
        steps = self.transitions()
        change = (steps["y"] - steps["s"]).flatten(1).abs()
        place = max(int(0.95 * len(change)) - 1, 0)
        usual = change.sort(0).values[place]
        jump = torch.where(usual > 0, change / usual, 0.0).amax(1)
        if bool((jump > most).any()):
            row = int(jump.argmax())
            episode, step = self.place(row)
            raise DataError(
                f"Episodes: s jumps at step {step} of episode {episode}, by {float(jump[row]):.0f} times what is usual: is something "
                "missing in between? Make two episodes of it; where the world does jump, allow for it (--jump)."
            )

    def transitions(self) -> dict[str, Tensor]:
        """Every step by itself: ``s (ΣT, *S)``, ``a (ΣT, *A)``, ``y (ΣT, *S)`` what came next, ``reward (ΣT)``."""
        last = (self.lengths + 1).cumsum(0) - 1
        before, after = torch.ones(len(self.s), dtype=torch.bool), torch.ones(len(self.s), dtype=torch.bool)
        before[last], after[last - self.lengths] = False, False
        return {"s": self.s[before], "a": self.a, "y": self.s[after], "reward": self.reward}

    def starts(self, horizon: int) -> dict[str, Tensor]:
        """Where each run of ``horizon`` steps inside an episode begins: rows of ``s`` and of ``a``, ``(W)`` each.

        Raises:
            DataError: If no episode is that long.
        """
        count = (self.lengths - horizon + 1).clamp_min(0)
        if horizon < 1 or not int(count.sum()):
            longest = int(self.lengths.max()) if len(self.lengths) else 0
            raise DataError(f"Episodes: wanted windows of {horizon} steps, but the longest episode has {longest}.")
        first = self.lengths.cumsum(0) - self.lengths
        action = torch.cat([torch.arange(int(n)) + int(f) for n, f in zip(count, first, strict=True)])
        return {"state": action + torch.arange(len(count)).repeat_interleave(count), "action": action}

    def windows(self, horizon: int) -> dict[str, Tensor]:
        """Every run of ``horizon`` steps inside an episode: ``s (W, *S)``, ``a (W, T, *A)``, ``y (W, T, *S)``, ``reward (W, T)``.

        Raises:
            DataError: If no episode is that long.
        """
        starts = self.starts(horizon)
        step, state = (starts[name].unsqueeze(-1) + torch.arange(horizon) for name in ("action", "state"))
        return {"s": self.s[state[:, 0]], "a": self.a[step], "y": self.s[state + 1], "reward": self.reward[step]}

    def save(self, path: str | Path) -> Path:
        """Write one file, ``.safetensors`` or ``.npz`` by its name.

        Raises:
            DataError: For another ending.
        """
        path = Path(path)
        tensors = {name: getattr(self, name).contiguous() for name in _NAMES}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(tensors, path, dict(self.about))
        elif path.suffix == ".npz":
            import numpy as np

            np.savez_compressed(path, allow_pickle=False, **{name: value.numpy() for name, value in tensors.items()})
        else:
            raise DataError(f"{path}: wanted a name that ends in .safetensors or .npz.")
        return path


def join(*parts: Episodes) -> Episodes:
    """All of them, in order; what is said about the first is said about all."""
    if not parts:
        raise DataError("join: wanted at least one recording, got none.")
    s, a, reward, lengths, ended = (torch.cat([getattr(part, name) for part in parts]) for name in _NAMES)
    return Episodes(s, a, reward, lengths, ended, parts[0].about)


def read_episodes(path: str | Path) -> Episodes:
    """The episodes of a file, or of every such file of a folder in the order of their names.

    Raises:
        DataError: If there is none, or one is not what `lowland.data.episodes` describes; names the file.
    """
    path = Path(path)
    files = sorted([*path.glob("*.safetensors"), *path.glob("*.npz")]) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: wanted episodes, *.safetensors or *.npz, and found none.")
    parts = [_read(file) for file in files]
    shapes = {(tuple(part.s.shape[1:]), tuple(part.a.shape[1:])) for part in parts}
    if len(shapes) > 1:
        raise DataError(f"{path}: wanted states and actions of one shape in all files, got {sorted(shapes)}.")
    return join(*parts)


def _read(file: Path) -> Episodes:
    about: dict[str, str] = {}
    try:
        if file.suffix == ".npz":
            import numpy as np

            with np.load(file, allow_pickle=False) as found:
                tensors = {name: torch.from_numpy(found[name]) for name in found.files}
        else:
            from safetensors import safe_open

            with safe_open(file, "pt") as found:
                tensors = {name: found.get_tensor(name) for name in found.keys()}  # noqa: SIM118 - it is no mapping
                about = found.metadata() or {}
    except Exception as error:
        raise DataError(f"{file}: wanted episodes, but it can't be read: {error}") from error
    missing = [name for name in _NAMES if name not in tensors]
    if missing:
        raise DataError(f"{file}: wanted {', '.join(_NAMES)}, and there is no {', '.join(missing)}.")
    s, reward = tensors["s"].float(), tensors["reward"].float()
    a = tensors["a"].float() if tensors["a"].is_floating_point() else tensors["a"].long()
    try:
        return Episodes(s, a, reward, tensors["lengths"].long(), tensors["ended"].bool(), about)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
