"""Predictive sparse decomposition: find the best code near the encoder's guess, then lower the energy there.

    E(y, z) = ½ ‖y − Wz‖² + λ ‖z‖₁ + ½ α ‖z − encoder(y)‖²
    z*      = a few steps down E from z = encoder(y)
    L       = mean E(y, z*)                       with z* held fixed

The decoder moves to explain the data with z*, the encoder to guess z*; and because z* stays near the guess, codes that can't be
guessed are given up. Pushes down: the data. The L1 term bounds what else becomes low (strategy A2), as long as the atoms keep
their length: let the optimiser bring them back after each step, see `keep_unit_atoms`.

Source: Kavukcuoglu, Ranzato & LeCun, Fast Inference in Sparse Coding Algorithms with Applications to Object Recognition,
technical report CBLL-TR-2008-12-01, eq. 5 and section 3.2.
Differences from the paper: 1. any solver looks for z*, not gradient descent alone. 2. any optimiser takes the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch.optim import Optimizer

from ..energy import ConvolutionalReconstruction, Energy, LinearReconstruction
from ..inference import ADMM, Amortised, Solver
from .objective import Loss, Objective, encoder, observed


class PredictiveDecomposition(Objective):
    """The mean energy at a code that is searched from the encoder's guess. Units: energy.

    Args:
        solver: What refines the guess.
        steps: How many steps it takes.
        code: The variable that is guessed; the energy's part called ``encoder`` guesses it from the others.
    """

    no_collapse = "The L1 term bounds the volume of codes of low energy, as long as atoms keep their length."
    tried_on: ClassVar[str] = "sparse"

    def __init__(self, solver: Solver | None = None, steps: int = 16, code: str = "z") -> None:
        self.solver, self.steps, self.code = solver or ADMM(), steps, code

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        guess = encoder(energy)
        solver = Amortised(lambda **known: guess(*known.values()), self.solver)
        least = energy.minimize(self.code, solver, steps=self.steps, tol=0.0)
        value = least(**observed(least, batch)).mean()
        return Loss(value, {"energy": value.detach()})


def keep_unit_atoms(optimizer: Optimizer, decoder: LinearReconstruction | ConvolutionalReconstruction) -> Optimizer:
    """The same optimiser; from now on the decoder's atoms have length 1 after each of its steps."""
    optimizer.register_step_post_hook(lambda *_: decoder.normalize())
    return optimizer
