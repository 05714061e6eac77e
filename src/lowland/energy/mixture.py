"""A Gaussian mixture as an energy over an observation and the finite variables that choose its component.

    E(x, z) = ½ ‖R_z (x − m_z)‖² − log|det R_z| + D/2 log 2π − log w_z,      exp(−E(x, z)) = p(x, z)

Several variables may choose together: with E(x, y, z) a label y is one of them and a component z of it the other. For each
choice the energy is a quadratic of x, so whatever part of x is unknown can be integrated out in closed form, and what is
left is a table: any part follows from any other.

Sources: Bishop, Pattern Recognition and Machine Learning (2006), sections 2.3.1 (conditional Gaussians, eqs. 2.73, 2.75)
and 9.2; Ghahramani & Jordan, Supervised learning from incomplete data via an EM approach, NIPS 6 (1994).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SpaceError
from ..spaces import Categorical, Real, Space
from .energy import Energy, QuadraticForm, broadcast_shapes
from .partial import Completed, Partial
from .tabulated import Tabulated

LOG_2PI = math.log(2 * math.pi)


class GaussianMixture(Energy):
    """−log p(x, choices) in nats: exp(−E) sums and integrates to one for every value of the parameters.

    Args:
        x: Space of the observation, D real numbers.
        **choices: The finite variables that choose a component together: K₁, K₂, … values.

    Attributes:
        means: ``(K₁, …, D)``, drawn from N(0, 1).
        whitening: R, ``(K₁, …, D, D)``, the identity at first; only the lower triangle is read. The inverse covariance
            of a component is RᵀR.
        log_weights: ``(K₁, …)``, zero at first; the logarithms of the weights up to a constant.

    Raises:
        SpaceError: If no finite variable is given.
    """

    def __init__(self, x: Space, **choices: Categorical) -> None:
        if not choices or any(not isinstance(space, Categorical) for space in choices.values()):
            raise SpaceError(
                f"GaussianMixture: wanted variables that choose a component, like z=Categorical(5), got {choices}."
            )
        super().__init__(x=x, **choices)
        self.choices = choices
        counts = [space.size or 0 for space in choices.values()]
        dim = x.shape.numel()
        self.means = nn.Parameter(torch.randn(*counts, dim))
        self.whitening = nn.Parameter(torch.eye(dim).repeat(*counts, 1, 1))
        self.log_weights = nn.Parameter(torch.zeros(*counts))

    @classmethod
    def example(cls) -> GaussianMixture:
        """A small one, for the conformance checks."""
        return cls(Real(3), y=Categorical(2), z=Categorical(2))

    @property
    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Every component in a row: means ``(C, D)``, R ``(C, D, D)``, and what E is at the mean ``(C,)``, in nats."""
        means, whitening = self.means.flatten(0, -2), self.whitening.tril().flatten(0, -3)
        log_det = whitening.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
        weights = self.log_weights.flatten().log_softmax(0)
        return means, whitening, 0.5 * means.shape[-1] * LOG_2PI - log_det - weights

    def energies(self, x: Tensor, **choices: Tensor) -> Tensor:
        means, whitening, lowest = self.factors
        place = self.place(choices)
        white = whitening[place] @ (x.flatten(1) - means[place]).unsqueeze(-1)
        return 0.5 * white.square().sum((-2, -1)) + lowest[place]

    def place(self, choices: dict[str, Tensor]) -> Tensor:
        """Where in the row of components each choice is: int64, what the batch shapes broadcast to."""
        place = torch.zeros((), dtype=torch.int64, device=self.means.device)
        for name, space in self.choices.items():
            place = place * (space.size or 0) + choices[name]
        return place

    def costs(self, x: Tensor) -> Tensor:
        """The energy of every component at once: ``(*B, *event) → (*B, K₁, …)``, in nats."""
        batch = self.spaces["x"].batch_shape(x, "x")
        means, whitening, lowest = self.factors
        white = x.reshape(1, batch.numel(), -1) @ whitening.mT - (whitening @ means.unsqueeze(-1)).mT
        costs = 0.5 * white.square().sum(-1).T + lowest
        return costs.reshape(*batch, *self.log_weights.shape)

    def table(self, *names: str, **rest: Any) -> Tensor:
        if "x" not in rest:
            return super().table(*names, **rest)
        return self.given(x=rest.pop("x")).table(*names, **rest)

    def given(self, **observed: Any) -> Energy:
        """With x known a table of all components is left; with x known in places, their exact conditionals."""
        self.known(observed)
        if "x" not in observed:
            return super().given(**observed)
        x = observed.pop("x")
        if isinstance(x, Partial):
            return CompletedMixture(self, x).given(**observed)
        return Tabulated(self.costs(x), **self.choices).given(**observed)

    def quadratic_form(self, name: str | None = None, **rest: Any) -> QuadraticForm | None:
        if name not in (None, "x") or rest.keys() != self.choices.keys():
            return None
        means, whitening, lowest = self.factors
        place = self.place(rest)
        gram = whitening[place].mT @ whitening[place]
        linear = (gram @ means[place].unsqueeze(-1)).squeeze(-1)
        return QuadraticForm(gram, linear, 0.5 * (linear * means[place]).sum(-1) + lowest[place])


class CompletedMixture(Completed):
    """A Gaussian mixture in which a part of x is known; made by ``mixture.given(x=Partial(value, known))``.

    The unknown part u given the known part and the component is Gaussian, with the inverse covariance Λ_uu and the mean
    m_u − Λ_uu⁻¹ Λ_uk (x_k − m_k), where Λ = RᵀR. Samples with equal masks share that work.

    Args:
        mixture: The energy.
        partial: x where it is known.
    """

    energy: GaussianMixture

    def __init__(self, mixture: GaussianMixture, partial: Partial) -> None:
        super().__init__(mixture, "x", partial)
        known = self.partial.known.reshape(self.batch_shape.numel(), -1)
        self.masks, self.group = torch.unique(known, dim=0, return_inverse=True)

    @classmethod
    def example(cls) -> CompletedMixture:
        """A small one, for the conformance checks."""
        known = torch.tensor([True, False, False])
        return cls(GaussianMixture.example(), Partial(torch.zeros(3), known))

    def given(self, **observed: Any) -> Energy:
        return super().given(**observed) if observed else self

    def select(self, rows: Tensor) -> Energy:
        return CompletedMixture(self.energy, self._rows(rows))

    def guess(self, name: str) -> Tensor | None:
        """For x, its unknown part at the mean of the component that the known part speaks for most."""
        if name != "x":
            return None
        costs, filled = self.solve()
        ahead, event = len(self.batch_shape), self.spaces["x"].shape
        best = costs.flatten(ahead).argmin(-1).reshape(*self.batch_shape, *[1] * (1 + len(event)))
        filled = filled.flatten(ahead, ahead + len(self.energy.choices) - 1)
        return filled.gather(ahead, best.expand(*self.batch_shape, 1, *event)).squeeze(ahead)

    def marginalize(self, name: str, beta: float | Tensor = 1.0, solver: Any = None, **options: Any) -> Energy:
        """The free energy over ``name``; over the unknown part of x it is exact, a `Tabulated` energy of the choices.

        At β = 1 that is −log p(known part, choices), in nats.
        """
        if name != "x" or solver is not None:
            return super().marginalize(name, beta, solver, **options)
        return Tabulated(self.solve(beta)[0], **self.energy.choices)

    def solve(self, beta: float | Tensor = 1.0) -> tuple[Tensor, Tensor]:
        """For every component the free energy over the unknown part, and its mean given the known part.

        Returns:
            ``(*B, K₁, …)`` in nats, and ``(*B, K₁, …, *event)`` with the known part in its place.
        """
        means, whitening, lowest = self.energy.factors
        gram = whitening.mT @ whitening
        x = self.partial.value.reshape(len(self.group), -1)
        costs, filled = x.new_empty(len(x), len(means)), x.new_empty(len(x), *means.shape)
        log_beta = torch.as_tensor(beta).log().to(x)
        for index, known in enumerate(self.masks):
            rows = (self.group == index).nonzero().squeeze(-1)
            unknown = ~known
            factor = torch.linalg.cholesky(gram[:, unknown][:, :, unknown])
            pull = (x[rows][:, known] - means[:, None, known]) @ gram[:, known][:, :, unknown]
            whole = x[rows].expand(len(means), -1, -1).clone()
            whole[..., unknown] = means[:, None, unknown] - torch.cholesky_solve(pull.mT, factor).mT
            white = (whole - means.unsqueeze(1)) @ whitening.mT
            half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            volume = 0.5 * unknown.sum() * (LOG_2PI - log_beta) - half_log_det
            costs[rows] = 0.5 * white.square().sum(-1).T + lowest - volume / beta
            filled[rows] = whole.transpose(0, 1)
        shape = (*self.batch_shape, *self.energy.log_weights.shape)
        return costs.reshape(shape), filled.reshape(*shape, *self.spaces["x"].shape)

    def draw(
        self, directions: int | None = None, generator: torch.Generator | None = None, **choices: Tensor
    ) -> Tensor:
        """x with its unknown part drawn from the chosen components' conditionals at β = 1.

        Args:
            directions: Draw along so many directions of greatest variance only and keep the mean along the others, which
                leaves out what is noise in every pixel; all of them by default.
            generator: Source of randomness.
            **choices: ``(*S, *B)``: several draws for a sample come in front.

        Returns:
            ``(*S, *B, *event)``.
        """
        place = self.energy.place(choices)
        count, dim = self.batch_shape.numel(), self.spaces["x"].shape.numel()
        place = place.expand(broadcast_shapes({"choices": place.shape, "x": self.batch_shape}))
        flat = place.reshape(-1, count)
        directions = dim if directions is None else min(directions, dim)
        noise = torch.randn(
            *flat.shape, directions, generator=generator, device=flat.device, dtype=self.partial.value.dtype
        )
        _, filled = self.solve()
        filled = filled.reshape(count, -1, dim)
        x = filled[torch.arange(count, device=flat.device), flat].clone()
        whitening = self.energy.factors[1]
        gram = whitening.mT @ whitening
        for index, known in enumerate(self.masks):
            rows = (self.group == index).nonzero().squeeze(-1)
            unknown = ~known
            curvature, axes = torch.linalg.eigh(gram[:, unknown][:, :, unknown])
            widest = (axes / curvature.sqrt().unsqueeze(-2))[..., :directions]
            used = noise[:, rows, : widest.shape[-1]].unsqueeze(-1)
            moved = (widest[flat[:, rows]] @ used).squeeze(-1)
            x[:, rows[:, None], unknown.nonzero().squeeze(-1)] += moved
        return x.reshape(*place.shape, *self.spaces["x"].shape)
