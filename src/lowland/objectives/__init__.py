"""How to shape an energy."""

from .components import independent_components, principal_components
from .dictionary import learn_dictionary
from .energy_loss import EnergyLoss
from .error import error_rate
from .expectation_maximization import expectation_maximization
from .lloyd import lloyd, spread_centres
from .objective import Loss, Objective, SumObjective
from .square import LeastMeanSquares
from .table import Hinge, MinimumClassificationError, NegativeLogLikelihood, Perceptron, SquareSquare, TableObjective

__all__ = [
    "EnergyLoss",
    "Hinge",
    "LeastMeanSquares",
    "Loss",
    "MinimumClassificationError",
    "NegativeLogLikelihood",
    "Objective",
    "Perceptron",
    "SquareSquare",
    "SumObjective",
    "TableObjective",
    "error_rate",
    "expectation_maximization",
    "independent_components",
    "learn_dictionary",
    "lloyd",
    "principal_components",
    "spread_centres",
]
