"""How to shape an energy."""

from .adversarial import Adversarial
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
from .audit import Audit, audit, low_volume
from .auroc import auroc
from .boltzmann import boltzmann_sweep
from .components import independent_components, principal_components
from .contracting import Contracting, Saturating
from .contrastive_divergence import (
    ContrastiveDivergence,
    PersistentContrastiveDivergence,
    ReplayContrastiveDivergence,
    shuffled,
)
from .corruption import Corruption, GaussianNoise, Mask, SaltAndPepper
from .denoising import Denoising, MaskedPrediction, mend, walk_back
from .dictionary import learn_dictionary
from .edit_distance import edit_distance, word_error
from .embedding import ContrastivePairs, Triplet
from .energy_loss import EnergyLoss
from .error import calibration_error, error_rate, rejection_curve
from .evidence import EvidenceBound, ImportanceWeighted, active_units
from .expectation_maximization import expectation_maximization
from .grid_likelihood import GridLikelihood
from .guard import Guard
from .info_nce import InfoNCE
from .label_smoothing import LabelSmoothing
from .latent_prediction import LatentPrediction
from .lloyd import lloyd, spread_centres
from .nearness import analogies, nearness
from .neighbours import (
    GeneralizedScoreMatching,
    MinimumProbabilityFlow,
    NeighbourObjective,
    PseudoLikelihood,
    RatioMatching,
)
from .noise_contrastive import NoiseContrastive
from .objective import Loss, Objective, SumObjective
from .predictive import PredictiveDecomposition, keep_unit_atoms
from .rank_correlation import rank_correlation
from .score_matching import DenoisingScoreMatching, ScoreMatching, SlicedScoreMatching
from .square import LeastMeanSquares
from .truncated import TruncatedLikelihood
from .variance_covariance import VarianceCovariance
from .vector_quantisation import VectorQuantisation, perplexity

__all__ = [
    "edit_distance",
    "word_error",
    "rank_correlation",
    "LatentPrediction",
    "LVQ2",
    "Adversarial",
    "AnswerObjective",
    "Answers",
    "Audit",
    "Contracting",
    "ContrastiveDivergence",
    "ContrastivePairs",
    "Corruption",
    "Denoising",
    "DenoisingScoreMatching",
    "EnergyLoss",
    "LabelSmoothing",
    "EvidenceBound",
    "GaussianNoise",
    "GeneralizedScoreMatching",
    "GridLikelihood",
    "Guard",
    "Hinge",
    "ImportanceWeighted",
    "InfoNCE",
    "LeastMeanSquares",
    "Loss",
    "MarginRescaling",
    "Mask",
    "MaskedPrediction",
    "MinimumClassificationError",
    "MinimumProbabilityFlow",
    "NegativeLogLikelihood",
    "NeighbourObjective",
    "NoiseContrastive",
    "Objective",
    "Perceptron",
    "PredictiveDecomposition",
    "PersistentContrastiveDivergence",
    "PseudoLikelihood",
    "RatioMatching",
    "ReplayContrastiveDivergence",
    "SaltAndPepper",
    "Saturating",
    "ScoreMatching",
    "SlicedScoreMatching",
    "SquareSquare",
    "SumObjective",
    "Triplet",
    "TruncatedLikelihood",
    "VarianceCovariance",
    "VectorQuantisation",
    "active_units",
    "audit",
    "auroc",
    "boltzmann_sweep",
    "calibration_error",
    "error_rate",
    "rejection_curve",
    "expectation_maximization",
    "independent_components",
    "keep_unit_atoms",
    "learn_dictionary",
    "lloyd",
    "low_volume",
    "mend",
    "perplexity",
    "principal_components",
    "shuffled",
    "spread_centres",
    "walk_back",
    "analogies",
    "nearness",
]
