"""How to find an energy's low points."""

from .active_set import ActiveSet
from .adapt import adapt
from .adjoint import implicit, minimiser
from .admm import ADMM
from .amortised import Amortisation, Amortised, amortise
from .ancestral import Ancestral
from .annealed_importance_sampling import LogPartition, annealed_importance_sampling
from .annealed_langevin import AnnealedLangevin, noise_levels
from .beam import Beam
from .belief_propagation import BeliefPropagation
from .cem import CEM, ICEM, GradientCEM
from .chains import effective_sample_size, split_r_hat
from .choose import default_solver
from .coordinate import CoordinateDescent, GreedyCoordinateDescent
from .gibbs import Gibbs
from .gradient import LBFGS, GradientDescent, Newton, TorchOptimizer
from .grid_density import GridDensity, grid_points
from .hmc import HMC
from .importance_sampling import FreeEnergies, importance_sampling
from .infer import infer, posterior
from .langevin import MALA, Langevin
from .log_partition import log_partition
from .mean_field import MeanField
from .mppi import MPPI
from .multi_start import MultiStart
from .prefix_beam import prefix_beam
from .proximal import FISTA, ISTA
from .quality import Followed, Quality, how_good, policy_beside_planning
from .readings import Readings, readings
from .receding_horizon import RecedingHorizon
from .solver import Info, Solution, Solver, solve

__all__ = [
    "Ancestral",
    "Beam",
    "ADMM",
    "ActiveSet",
    "Amortisation",
    "Amortised",
    "AnnealedLangevin",
    "BeliefPropagation",
    "CEM",
    "CoordinateDescent",
    "FISTA",
    "FreeEnergies",
    "Gibbs",
    "GradientCEM",
    "GradientDescent",
    "GreedyCoordinateDescent",
    "GridDensity",
    "HMC",
    "ICEM",
    "ISTA",
    "Info",
    "LBFGS",
    "Langevin",
    "LogPartition",
    "MALA",
    "MPPI",
    "MeanField",
    "MultiStart",
    "Newton",
    "Followed",
    "Quality",
    "policy_beside_planning",
    "Readings",
    "RecedingHorizon",
    "Solution",
    "Solver",
    "TorchOptimizer",
    "adapt",
    "amortise",
    "annealed_importance_sampling",
    "default_solver",
    "effective_sample_size",
    "grid_points",
    "how_good",
    "implicit",
    "importance_sampling",
    "infer",
    "log_partition",
    "minimiser",
    "noise_levels",
    "posterior",
    "prefix_beam",
    "readings",
    "solve",
    "split_r_hat",
]
