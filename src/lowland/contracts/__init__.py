"""The public checks: hold your own space, energy, solver, objective or system to what the others keep.

Each raises `ContractError` with a sentence, or returns nothing.
"""

from .energy import check_energy
from .failure import ContractError
from .objective import check_objective
from .solver import check_solver
from .space import check_space
from .system import check_system

__all__ = ["ContractError", "check_energy", "check_objective", "check_solver", "check_space", "check_system"]
