"""Which solver fits an energy, by its space and structure; `default_solver` shows what `infer` will use."""

from __future__ import annotations

from ..energy import Completed, Energy, RandomField
from ..energy.partial import PinnedSpace
from ..errors import StructureError
from ..spaces import Binary, Real, Sphere
from .active_set import ActiveSet
from .admm import ADMM
from .belief_propagation import BeliefPropagation
from .gibbs import Gibbs
from .gradient import LBFGS, GradientDescent, Newton
from .lasso import lasso
from .proximal import FISTA
from .solver import Solver


def default_solver(energy: Energy) -> Solver:
    """The solver that `infer` takes for an energy of one variable that is not finite.

    ==============================================  =====================
    quadratic, unconstrained                        `Newton`
    lasso, few atoms correlate with the sample      `ActiveSet`
    quadratic + a kink with a proximal step         `ADMM`
    smooth + a kink with a proximal step            `FISTA`
    smooth, unconstrained                           `LBFGS`
    smooth, constrained                             `GradientDescent`
    bits, too many to list                          `Gibbs` (a sampler)
    image of labels, too many to list               `BeliefPropagation`, damped by half
    ==============================================  =====================

    Raises:
        StructureError: If nothing fits.
    """
    space = energy.space
    if isinstance(space, Binary):
        return Gibbs()
    if isinstance(energy, RandomField):
        return BeliefPropagation(damping=0.5)
    if space.kind != "float":
        raise StructureError(f"No solver looks over {energy.variable} in {space!r}: give one with solver=….")
    smooth, kink = energy.composite()
    if kink is not None:
        if smooth.quadratic_form() is None:
            return FISTA()
        return ActiveSet() if _sparse(energy) else ADMM()
    free = space.free if isinstance(space, PinnedSpace) else space
    if type(free) is Real:
        return Newton() if not isinstance(energy, Completed) and energy.quadratic_form() is not None else LBFGS()
    if isinstance(free, Sphere) and isinstance(space, PinnedSpace):
        raise StructureError("A point on a sphere can't be known only in places: no projection keeps both.")
    return GradientDescent()


def _sparse(energy: Energy) -> bool:
    """Whether few atoms correlate with a sample by more than λ, so that codes are sparse: an eighth of them on average."""
    try:
        problem = lasso(energy)
    except StructureError:
        return False
    return bool((problem.linear.abs() > problem.weight).sum() <= problem.linear.numel() / 8)
