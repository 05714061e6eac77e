"""Vector quantisation: learn an encoder, codewords and a decoder through a choice that has no slope.

    ½‖x − g(y + sg[W_z − y])‖² + β ½‖y − sg[W_z]‖²,   y = encoder(x),  z = nearest codewords,  sg: no gradient

    forward g sees the codewords; backward their slope goes to y as if it had been chosen ("straight through"), and the second
    term holds y to what was chosen. Codewords are running means of the y that chose them: online k-means.

Pushes down: the data's reconstruction from their code. Pushes up: nothing; a code of P places tells K^P inputs apart and no more.
Codewords that no y chooses never move again, and the book may shrink to a few: those are put where some y is.

Sources: van den Oord, Vinyals & Kavukcuoglu, NIPS 2017, eq. 3 and appendix A.1; Razavi, van den Oord & Vinyals, NeurIPS 2019, eq. 2, for
the running means; Dhariwal et al., Jukebox, 2020, section 3.2, for restarts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..energy import Energy, QuantisedReconstruction
from ..errors import SpaceError, StructureError, VariableError
from .objective import Loss, Objective


class VectorQuantisation(Objective):
    """Reconstruction through the nearest codewords, and how far they are from what they stand for. Units: x², and y².

    What it remembers, how often each codeword was chosen and by what, is what the codewords are at the next step: give it to the
    `Player` as ``memory``.

    Args:
        commitment: β ≥ 0, weight of the second term, in units of x² per y².
        decay: Of the running means, in [0, 1): they reach back about 1 / (1 − decay) batches.
        restart: Codewords chosen less than so often, as a share of what is their due, are put on a y of the batch; 0 for never.
        name: The observed variable.
    """

    no_collapse = "A code of P places holds P log₂ K bits, so few x are low; restarts keep all K codewords in use."
    tried_on = "codes"

    def __init__(self, commitment: float = 0.25, decay: float = 0.99, restart: float = 0.05, name: str = "x") -> None:
        if not (commitment >= 0 and 0 <= decay < 1 and 0 <= restart < 1):
            raise SpaceError(
                f"VectorQuantisation: wanted commitment ≥ 0, decay and restart in [0, 1), got {commitment}, {decay} and {restart}."
            )
        self.commitment, self.decay, self.restart, self.name = commitment, decay, restart, name
        self.chosen: Tensor | None = None  # (K,) how often
        self.total: Tensor | None = None  # (K, D) by what

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        if not isinstance(energy, QuantisedReconstruction):
            raise StructureError(
                f"VectorQuantisation: wanted a QuantisedReconstruction (encoder, codebook, decoder), got {type(energy).__name__}."
            )
        if self.name not in batch:
            raise VariableError(
                f"VectorQuantisation: the batch has {', '.join(batch) or 'nothing'} but not {self.name}."
            )
        x, codebook = batch[self.name], energy.codebook
        if self.chosen is not None and self.total is not None:
            codebook.W.copy_(self.total / self.chosen.clamp_min(1e-5).unsqueeze(-1))
        y = energy.encoder(x).to(codebook.W.dtype)
        z = codebook.nearest(y)
        words = codebook.W[z]
        made = energy.decoder(y + (words - y).detach())
        told = 0.5 * (x - made).square().flatten(1).sum(-1).mean()
        far = codebook(y=y, z=z).mean()
        if torch.is_grad_enabled():
            self._follow(codebook.W, y.detach().flatten(0, -2), z.flatten())
        parts = {"reconstruction": told, "distance": far, "perplexity": perplexity(z, len(codebook.W))}
        return Loss(told + self.commitment * far, {name: part.detach() for name, part in parts.items()})

    @torch.no_grad()
    def _follow(self, W: Float[Tensor, "K D"], y: Float[Tensor, "N D"], z: Int64[Tensor, " N"]) -> None:
        """Move the running means towards those of a batch, and unused codewords to where something is."""
        due = len(z) / len(W)
        if self.chosen is None or self.total is None:
            self.chosen, self.total = W.new_full((len(W),), due), W * due
        self.chosen = self.chosen.lerp(torch.bincount(z, minlength=len(W)).to(W), 1 - self.decay)
        self.total = self.total.lerp(torch.zeros_like(W).index_add_(0, z, y), 1 - self.decay)
        dead = self.chosen < self.restart * due
        where = y[torch.randint(len(y), (len(W),), device=y.device)]
        self.total = torch.where(dead.unsqueeze(-1), where * due, self.total)
        self.chosen = self.chosen.masked_fill(dead, due)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.chosen is None else {"chosen": self.chosen, "total": self.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.chosen, self.total = state.get("chosen"), state.get("total")


def perplexity(z: Int64[Tensor, "*N"], size: int) -> Float[Tensor, ""]:
    """How many of ``size`` codewords are in use: e to the entropy of their frequencies; 1 if it is always the same."""
    often = torch.bincount(z.flatten(), minlength=size).double()
    often = often / often.sum()
    return torch.special.entr(often).sum().exp().float()
