"""Words as chains of states, read frame by frame: a hidden Markov model whose emissions come from a classifier of frames.

    E(x, y, z) = Σ_t −log p(s_t | x) + κ log p(s_t)        s_t: the state at frame t on the path z;  +∞ unless z spells y

Each word is a few states in a row, each held for one frame or more; between words, before and after them there may be a
pause, one more state. The classifier says p(state | x); divided by how common the state is (κ = 1) this is p(x | state) up to
what is the same for all paths. Paths of a known string follow a line of states; of an unknown one, the loop of all words.

Sources: Rabiner, Proc. IEEE 77 (1989); Bourlard & Morgan, Connectionist Speech Recognition (1994), for dividing by the priors.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor, nn

from ..errors import SpaceError
from ..spaces import NOTHING, Real, Space
from .acceptor import Acceptor
from .segments import Segments

PAUSE = 0  # the first label, and the first state


class WordModels(Segments):
    """A path's labels are: 0 a pause; 1 + w·(S + 1) the frame where word w begins; then, for each of its S states, a further frame.

    Args:
        network: Maps the observed variables to logits of the states, ``(B, N, 1 + W·S)``, the pause first, and the number of
            frames ``(B,)`` that are there.
        words: W.
        states: S, of each word.
        positions: N, the most frames.
        division: κ, between 0 (posteriors as they are) and 1.
        pace: How far the priors move towards the mean posterior with each batch in training mode, between 0 and 1; 0 for never.
        **observed: What the network looks at.

    Attributes:
        log_prior: ``(1 + W·S,)``: how common each state is; all alike before training.

    Raises:
        SpaceError: If a word has no state.
    """

    log_prior: Tensor
    state: Tensor

    @classmethod
    def example(cls) -> WordModels:
        return cls(_Given(), words=2, states=2, positions=5, x=Real(5, 5))

    def __init__(
        self,
        network: nn.Module,
        *,
        words: int,
        states: int,
        positions: int,
        division: float = 1.0,
        pace: float = 0.0,
        **observed: Space,
    ) -> None:
        if states < 2:
            raise SpaceError(f"WordModels: wanted at least two states for each word, got {states}.")
        names = {"pause": PAUSE}
        for word in range(words):
            first = 1 + word * (states + 1)
            names |= {f"begin{word}": first, **{f"word{word}state{s}": first + 1 + s for s in range(states)}}
        each = " | ".join(
            f"begin{w} word{w}state0* " + " ".join(f"word{w}state{s}+" for s in range(1, states)) for w in range(words)
        )
        spell = [NOTHING] + [word if s == 0 else NOTHING for word in range(words) for s in range(states + 1)]
        super().__init__(
            Acceptor.of(f"pause* (({each}) pause*)+", len(spell), **names),
            spell,
            positions=positions,
            longest=1,
            max_length=max(1, positions // states),
            weighted=False,
            **observed,
        )
        self.network = network
        self.words, self.states = words, states
        self.division, self.pace = division, pace
        label = torch.arange(words * (states + 1))
        inside = (label % (states + 1) - 1).clamp_min(0)
        state = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + label // (states + 1) * states + inside])
        self.register_buffer("state", state, persistent=False)
        self.register_buffer("log_prior", torch.full((1 + words * states,), -math.log(1 + words * states)))

    def posteriors(self, **observed: Tensor) -> tuple[Tensor, Tensor]:
        """log p(state | x) ``(B, N, 1 + W·S)``, and how many frames are there ``(B,)``."""
        logits, frames = self.network(**observed)
        return logits.log_softmax(-1), frames

    def pieces(self, **observed: Any) -> tuple[Tensor, Tensor]:
        found, frames = self.posteriors(**observed)
        if self.training and self.pace:
            self._count(found.detach(), frames)
        return (self.division * self.log_prior - found)[..., None, self.state], frames

    def _count(self, found: Tensor, frames: Tensor) -> None:
        """Move the priors towards the mean posterior of this batch."""
        there = torch.arange(found.shape[1], device=found.device) < frames[:, None]
        mean = found[there].exp().mean(0)
        self.log_prior.copy_(self.log_prior.exp().lerp(mean, self.pace).log())

    def spelt(self, y: Tensor) -> Acceptor:
        """Along the line of the string, which has far fewer states than the loop of all words."""
        return self.line(y)

    def line(self, y: Int64[Tensor, "B L"]) -> Acceptor:
        """The paths of known strings: state 0 waits for the first word, then each word's S states and the pause after it."""
        count, each = self.string.lengths(y), self.states + 1
        y = y[:, : max(1, int(count.max()))]
        batch, longest = y.shape
        follow = torch.full((batch, 1 + longest * each, self.acceptor.labels), NOTHING, device=y.device)
        # [sample, word, place in the word, label]; a label outside of the string has nowhere to go
        inside = follow[:, 1:].unflatten(1, (longest, each))
        state = 1 + torch.arange(longest * each, device=y.device).unflatten(0, (longest, each)).expand(batch, -1, -1)
        labels = 1 + y.clamp_min(0)[..., None] * each + 1 + torch.arange(self.states, device=y.device)
        inside[:, :, :-1].scatter_(-1, labels[..., None], state[:, :, :-1, None])  # hold
        inside[:, :, :-2].scatter_(-1, labels[:, :, 1:, None], state[:, :, 1:-1, None])  # move on
        inside[:, :, -2:, PAUSE] = state[:, :, -1:]
        begin = 1 + y.clamp_min(0) * each
        after = begin[:, 1:, None, None].expand(-1, -1, 2, 1)
        inside[:, :-1, -2:].scatter_(-1, after, state[:, 1:, :1, None].expand(-1, -1, 2, 1))
        follow[:, 0, PAUSE] = 0
        follow[:, 0].scatter_(-1, begin[:, :1], 1)
        return Acceptor(follow, self._ends(count, longest))

    def _ends(self, count: Int64[Tensor, " B"], longest: int) -> Bool[Tensor, "B Q"]:
        """The last state of the last word, and the pause after it."""
        place = torch.arange(1 + longest * (self.states + 1), device=count.device)
        last = count[:, None] * (self.states + 1)
        return (place == last) | (place == last - 1)


class _Given(nn.Module):
    """Logits that are given as they are."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, torch.full((len(x),), x.shape[1], device=x.device)
