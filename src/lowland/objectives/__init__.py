"""How to shape an energy."""

from .answers import (
    LVQ2,
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
from .contrastive_divergence import (
    ContrastiveDivergence,
    PersistentContrastiveDivergence,
    ReplayContrastiveDivergence,
    shuffled,
)
from .dictionary import learn_dictionary
from .embedding import ContrastivePairs, Triplet
from .energy_loss import EnergyLoss
from .error import error_rate
from .expectation_maximization import expectation_maximization
from .guard import Guard
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
    "LVQ2",
    "AnswerObjective",
    "Answers",
    "ContrastiveDivergence",
    "ContrastivePairs",
    "DenoisingScoreMatching",
    "EnergyLoss",
    "GeneralizedScoreMatching",
    "Guard",
    "Hinge",
    "InfoNCE",
    "LeastMeanSquares",
    "Loss",
    "MarginRescaling",
    "MinimumClassificationError",
    "MinimumProbabilityFlow",
    "NegativeLogLikelihood",
    "NeighbourObjective",
    "NoiseContrastive",
    "Objective",
    "Perceptron",
    "PersistentContrastiveDivergence",
    "PseudoLikelihood",
    "RatioMatching",
    "ReplayContrastiveDivergence",
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
    "shuffled",
    "spread_centres",
]
