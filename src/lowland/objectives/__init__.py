"""How to shape an energy."""

from .answers import (
    AnswerObjective,
    Answers,
    Hinge,
    MarginRescaling,
    MinimumClassificationError,
    NegativeLogLikelihood,
    Perceptron,
    SquareSquare,
)
from .components import independent_components, principal_components
from .dictionary import learn_dictionary
from .embedding import ContrastivePairs, Triplet
from .energy_loss import EnergyLoss
from .error import error_rate
from .expectation_maximization import expectation_maximization
from .info_nce import InfoNCE
from .lloyd import lloyd, spread_centres
from .neighbours import (
    GeneralizedScoreMatching,
    MinimumProbabilityFlow,
    NeighbourObjective,
    PseudoLikelihood,
    RatioMatching,
)
from .noise_contrastive import NoiseContrastive
from .objective import Loss, Objective, SumObjective
from .score_matching import DenoisingScoreMatching, ScoreMatching, SlicedScoreMatching
from .square import LeastMeanSquares

__all__ = [
    "AnswerObjective",
    "Answers",
    "MarginRescaling",
    "ContrastivePairs",
    "DenoisingScoreMatching",
    "EnergyLoss",
    "GeneralizedScoreMatching",
    "Hinge",
    "InfoNCE",
    "LeastMeanSquares",
    "Loss",
    "MinimumClassificationError",
    "MinimumProbabilityFlow",
    "NegativeLogLikelihood",
    "NeighbourObjective",
    "NoiseContrastive",
    "Objective",
    "Perceptron",
    "PseudoLikelihood",
    "RatioMatching",
    "ScoreMatching",
    "SlicedScoreMatching",
    "SquareSquare",
    "SumObjective",
    "Triplet",
    "error_rate",
    "expectation_maximization",
    "independent_components",
    "learn_dictionary",
    "lloyd",
    "principal_components",
    "spread_centres",
]
