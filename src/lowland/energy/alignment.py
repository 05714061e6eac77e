"""An alignment: every frame is given a symbol or nothing, and what remains when runs are read once is the string.

    E(x, y, z) = Σ_t e_t(z_t; x)       +∞ unless the labels z, runs read as one and nothing left out, spell y

Label 0 is nothing, label c + 1 the symbol c. A symbol that comes twice in a row needs nothing in between. Eliminating z gives
the energy of a string, whose segmentation nobody has to give. All labellings taken together know no order: their energies are
sums over frames. Those of one string go along a line of states (nothing, y₁, nothing, y₂, …); those of any other string leave it.

The free energy of one string is that of `torch.nn.functional.ctc_loss` where no frame forbids a label, in double precision beyond
512 frames. Its gradient, which takes frames for the output of a softmax, is turned into that of any: the posterior of each label.

Sources: Matan, Burges, LeCun & Denker, NIPS (1992), for space displacement networks; Graves, Fernández, Gomez & Schmidhuber,
ICML (2006), section 3, for the sum over alignments (connectionist temporal classification).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import ctc_loss, pad

from ..errors import StructureError
from ..spaces import NOTHING, Categorical, Paths, Real, Sequence, Space
from .energy import Energy
from .reduction import FreeEnergy, KBest, Min, Reduction
from .structure import Structure

#: Frames beyond which logarithms of products want double precision.
_MANY = 512


@dataclass(frozen=True, eq=False)
class Alignments(Structure):
    """All labellings of frames, or those that spell one string, or those that spell any other.

    Attributes:
        potentials: ``(B, T, 1 + C)``: the energy of each label at each frame; +∞ forbids.
        lengths: ``(B,)`` int64, at most T: how many frames each sample has.
        string: ``(B, L)``: the string that is spelt, or `None` for all strings.
        other: Whether it is the one string that may not be spelt.
        finish: What a labelling ``(B, T)`` is turned into, where answers are read.
    """

    potentials: Tensor
    lengths: Tensor
    string: Tensor | None = None
    other: bool = False
    finish: Callable[[Tensor], Tensor] | None = None

    def replaced(self, potentials: Tensor) -> Alignments:
        return replace(self, potentials=potentials)

    def reduce(self, reduction: Reduction) -> Tensor:
        if self.string is None:
            return self._all(reduction)
        same = type(reduction) is FreeEnergy and not self.other and torch.as_tensor(reduction.beta).numel() == 1
        if same and bool(self.potentials.isfinite().all()):
            return _Classification.apply(self.potentials, self.lengths, self.string, float(reduction.beta))  # type: ignore[attr-defined]
        return self._along_line(reduction, self.string)

    def value(self, share: Tensor) -> Tensor:
        """The label of each frame, −1 where there is none; or the string that they spell."""
        best, label = share.max(-1)
        path = torch.where(best > 0.5, label, NOTHING)
        return path if self.finish is None else self.finish(path)

    @property
    def _there(self) -> Tensor:
        return torch.arange(self.potentials.shape[1], device=self.lengths.device) < self.lengths[:, None]

    def _all(self, reduction: Reduction) -> Tensor:
        """Frames don't depend on each other, so what is reduced adds up; but for the k best of all, which are merged."""
        if not isinstance(reduction, KBest):
            dead = (self.potentials.isposinf().all(-1) & self._there).any(1)
            each = reduction(self.potentials.masked_fill((~self._there | dead[:, None])[..., None], 0.0))
            return each.masked_fill(~self._there, 0.0).sum(1).masked_fill(dead, torch.inf)
        total = reduction.lift(self.potentials.new_zeros(len(self.potentials)))
        for frame, there in zip(self.potentials.unbind(1), self._there.unbind(1), strict=True):
            merged = _Merge.apply(reduction, total[:, None] + frame[..., None])
            total = torch.where(there[:, None], merged, total)
        return reduction.read(total)

    def _along_line(self, reduction: Reduction, string: Tensor) -> Tensor:
        """States 0 … 2L: nothing after i symbols (2i), in the run of symbol i (2i + 1); with `other` one more, off the line."""
        energies = self.potentials.double()
        count, length = string.shape
        line = energies.new_zeros(count, 2 * length + 1, dtype=torch.int64)
        line[:, 1::2] = string + 1
        never = torch.zeros_like(line, dtype=torch.bool)
        never[:, 1::2] = string < 0
        emission = energies.gather(2, line[:, None].expand(-1, energies.shape[1], -1))
        emission = emission.masked_fill(never[:, None], torch.inf)
        skip = torch.full_like(emission[:, 0], torch.inf)  # to a symbol straight from another one
        skip[:, 3::2] = torch.where(string[:, 1:] != string[:, :-1], 0.0, torch.inf)
        start = torch.full_like(skip, torch.inf)
        start[:, 0] = 0.0
        total, off = reduction.lift(start), reduction.lift(torch.full_like(skip[:, 0], torch.inf))
        expected = self._expected(line, string) if self.other else None
        history = [torch.cat([total, off[:, None]], 1)]
        for frame, label in zip(energies.unbind(1), emission.unbind(1), strict=True):
            if expected is not None:
                leave = frame[:, None].masked_fill(expected, torch.inf)
                ways = torch.cat(
                    [(total[:, :, None] + leave[..., None]).flatten(1, 2), off[:, None] + frame[..., None]], 1
                )
                off = _Merge.apply(reduction, ways)
            stay, step, jump = total, _later(total, 1), _later(total, 2) + skip[..., None]
            total = _Merge.apply(reduction, torch.stack([stay, step, jump], 2) + label[..., None, None])
            history.append(torch.cat([total, off[:, None]], 1))
        states = torch.arange(2 * length + 2, device=string.device)
        last = 2 * (string >= 0).sum(1, keepdim=True)
        spelt = (states == last) | (states == last - 1)
        ends = torch.stack(history, 1)[torch.arange(count, device=string.device), self.lengths]
        ends = ends.masked_fill((spelt if self.other else ~spelt)[..., None], torch.inf)
        return reduction.read(_Merge.apply(reduction, ends)).to(self.potentials.dtype)

    def _expected(self, line: Tensor, string: Tensor) -> Tensor:
        """Which labels stay on the line: ``(B, 2L + 1, 1 + C)``."""
        states = torch.arange(line.shape[1], device=line.device)
        following = pad(string + 1, (0, 1))[:, (states + 1) // 2]
        label = torch.arange(self.potentials.shape[2], device=line.device)
        return (label == 0) | (label == line[..., None]) | (label == following[..., None])


class _Merge(torch.autograd.Function):
    """`Reduction.merge` with `Reduction.pull` as its gradient, so that what is forbidden gives no NaN and a draw is a draw."""

    @staticmethod
    def forward(ctx: Any, reduction: Reduction, totals: Tensor) -> Tensor:
        merged = reduction.merge(totals)
        ctx.reduction = reduction
        ctx.save_for_backward(totals, merged)
        return merged

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, ctx.reduction.pull(*ctx.saved_tensors, grads[0])


def _later(total: Tensor, states: int) -> Tensor:
    """Each state's total moved on by some states: ``(B, S, m)``."""
    return pad(total, (0, 0, states, 0), value=torch.inf)[:, : total.shape[1]]


class _Classification(torch.autograd.Function):
    """−1/β log Σ exp(−βE) over the labellings of one string, and the posterior of each label; differentiable once."""

    @staticmethod
    def forward(ctx: Any, potentials: Tensor, lengths: Tensor, string: Tensor, beta: float) -> Tensor:
        symbols = (string >= 0).sum(1)
        repeated = ((string[:, 1:] == string[:, :-1]) & (string[:, 1:] >= 0)).sum(1)
        barred, empty = symbols + repeated > lengths, lengths == 0
        beyond = torch.arange(potentials.shape[1], device=lengths.device) >= lengths[:, None]
        wanted = torch.float64 if potentials.shape[1] > _MANY else torch.float32
        logits = -beta * potentials.to(torch.promote_types(potentials.dtype, wanted))
        normaliser = logits.logsumexp(-1).round()  # any will do; whole numbers leave normalised frames as they are
        with torch.enable_grad():
            chances = (logits - normaliser[..., None]).transpose(0, 1).contiguous().requires_grad_()
            target = string.clamp_min(0) + 1
            found = ctc_loss(chances, target, lengths.clamp_min(1), symbols, reduction="none", zero_infinity=True)
        taken = normaliser.masked_fill(beyond, 0.0).sum(1, dtype=torch.float64)
        free = ((found.detach() - taken) / beta).masked_fill(empty, 0.0).masked_fill(barred, torch.inf)
        ctx.found, ctx.chances, ctx.nothing = found, chances, beyond | barred[:, None]
        return free.to(potentials.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad = grads[0].masked_fill(ctx.nothing.all(1), 0.0).to(ctx.chances.dtype)
        (slope,) = torch.autograd.grad(ctx.found, ctx.chances, grad, retain_graph=True)
        # what torch gives is the share that the softmax expects, minus the posterior
        posterior = ctx.chances.detach().exp() * grad[:, None] - slope
        return posterior.transpose(0, 1).masked_fill(ctx.nothing[..., None], 0.0).to(grads[0].dtype), None, None, None


class Alignment(Energy):
    """E(x, y, z): labels z of the frames of x that spell y. An author gives `frames`; everything else is exact.

    Its variables are those observed, ``y`` (the string) and ``z`` (the label of each frame, then −1).

    Args:
        symbols: C, how many symbols there are, besides nothing.
        positions: T, the most frames; also the most symbols of a string.
        **observed: The variables that the energies of frames come from.
    """

    #: A string that the labels don't spell has energy +∞.
    hard = True

    @classmethod
    def example(cls) -> Alignment:
        return FrameEnergies(symbols=2, positions=4)

    def __init__(self, symbols: int, positions: int, **observed: Space) -> None:
        super().__init__(**observed, y=Sequence(symbols, positions), z=Paths(positions, symbols + 1))
        self.symbols, self.positions = symbols, positions

    def frames(self, **observed: Any) -> tuple[Float[Tensor, "B T K"], Int64[Tensor, " B"]]:
        """The energy of each label at each frame, nothing first, K = 1 + C, and how many frames each sample has."""
        raise NotImplementedError(f"{type(self).__name__} does not say the energies of its frames: write `frames`.")

    def strings(self, z: Int64[Tensor, "B T"]) -> Int64[Tensor, "B L"]:
        """What labellings spell: the first of each run, without nothing."""
        first = (z > 0) & (z != pad(z[:, :-1], (1, 0), value=NOTHING))
        return Sequence(self.symbols, self.positions).pack(torch.where(first, z - 1, NOTHING))

    def recursion(self, *names: str, other_than: Tensor | None = None, **rest: Any) -> Structure | None:
        """The labellings that are left: over z for a known y, over y and z together, over y for a known z."""
        if not set(names) <= {"y", "z"}:
            return None
        if other_than is not None and names[0] != "y":
            raise StructureError(f"{type(self).__name__}: all but one is known for strings y, not for paths z.")
        potentials, lengths = self.frames(**{name: value for name, value in rest.items() if name not in ("y", "z")})
        if "z" in rest:
            potentials = _only(potentials, lengths, rest["z"])
        string = rest.get("y", other_than)
        if string is not None:
            string = string[:, : int((string >= 0).sum(1).max())]
        finish = self.strings if "y" in names else self._padded
        return Alignments(potentials, lengths, string, other_than is not None, finish)

    def _padded(self, path: Tensor) -> Tensor:
        return pad(path, (0, self.positions - path.shape[1]), value=NOTHING)

    def energies(self, **values: Any) -> Tensor:
        return self.recursion(**values).reduce(Min())  # type: ignore[union-attr]

    def given(self, **observed: Any) -> Energy:
        """With all that is observed known, the energies of frames are computed once."""
        needed = [name for name in self.spaces if name not in ("y", "z")]
        if type(self) is FrameEnergies or any(not isinstance(observed.get(name), Tensor) for name in needed):
            return super().given(**observed)
        self.known(observed)
        shapes = [self.spaces[name].batch_shape(observed[name], name) for name in needed]
        if len(set(shapes)) > 1:
            return super().given(**observed)
        flat = {name: observed[name].reshape(shapes[0].numel(), *self.spaces[name].shape) for name in needed}
        potentials, lengths = self.frames(**flat)
        x = pad(potentials, (0, 0, 0, self.positions - potentials.shape[1]))
        rest = {name: value for name, value in observed.items() if name not in needed}
        plain = FrameEnergies(self.symbols, self.positions)
        return plain.given(x=x.reshape(*shapes[0], *x.shape[1:]), length=lengths.reshape(shapes[0]), **rest)


class FrameEnergies(Alignment):
    """`Alignment` with the energies of frames given as they are: ``x (T, 1 + C)``, and how many there are, ``length``.

    Args:
        symbols: C, how many symbols there are, besides nothing.
        positions: T, the most frames.
    """

    def __init__(self, symbols: int, positions: int) -> None:
        super().__init__(symbols, positions, x=Real(positions, symbols + 1), length=Categorical(positions + 1))

    def frames(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return x, length


def _only(potentials: Tensor, lengths: Tensor, z: Tensor) -> Tensor:
    """The energies of one labelling: every other label is forbidden, and all are if it does not end with the sample."""
    label = torch.arange(potentials.shape[2], device=z.device)
    kept = z[:, : potentials.shape[1], None] == label
    ends = (z >= 0).sum(1) == lengths
    return potentials.masked_fill(~(kept & ends[:, None, None]), torch.inf)
