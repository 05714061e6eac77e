"""The algebra of energies, and the energies that everybody composes."""

from .acceptor import Acceptor, misspelling, spelling
from .algebra import Conditioned, Scaled, Sum
from .alignment import Alignment, Alignments, FrameEnergies
from .autoencoder import BitReconstruction, SelfReconstruction
from .autoregressive import Autoregressive, Bigram, Continued, NextSymbol, Together, mixed, stepwise
from .chain import Chain
from .clusters import Clusters
from .codebook import Codebook, Places, QuantisedReconstruction
from .components import IndependentComponents, PrincipalComponents
from .constant import Constant
from .costs import GoalDistance, QuadraticCost
from .deep_boltzmann import DeepBoltzmann, HiddenLayers
from .driven import Driven
from .elimination import Eliminated
from .energy import Energy, QuadraticForm
from .filtered import Filtered, Followed, Follower
from .grid import Grid, RandomField
from .independent_bits import CompletedBits, EliminatedBits, IndependentBits
from .independent_gaussians import IndependentGaussians
from .joint_forecast import JointForecast, TowardsGoal
from .latent_bits import GaussianBelief, LatentBits, SeenBits
from .latent_forecast import LatentForecast
from .lattice import Lattice, LatticePaths
from .linear import batched_linear, linear
from .mixture import CompletedMixture, GaussianMixture
from .network import Function, Network, NetworkTable, Prototypes
from .outcome import Outcome
from .partial import Completed, Partial
from .prediction import Bowl, Prediction
from .quadratic import Bilinear, Quadratic
from .reading import Graph, Reading
from .reconstruction import ConvolutionalReconstruction, LinearReconstruction, Reconstruction
from .reduction import Entropy, FreeEnergy, KBest, Min, Reduction, Sample
from .regularizer import L1, L2, GroupL2, Regularizer
from .restricted_boltzmann import BoltzmannMachine, GaussianBernoulli, RestrictedBoltzmann
from .rollout import Rollout
from .segments import PieceEnergies, Segmentation, Segments
from .skip_gram import Meeting, SkipGram
from .structure import Level, Structure, Table, reduce_paths
from .tabulated import Tabulated
from .topographic import TopographicMap
from .tree import Labelling, OtherLabelling, Tree
from .trellis import Trellis
from .variational import BetheFreeEnergy, FactorizedBits, FactorizedFreeEnergy, Relaxation
from .word_models import WordModels
from .world_model import Forecast, KnownModel, WorldModel

__all__ = [
    "Autoregressive",
    "Bigram",
    "Continued",
    "NextSymbol",
    "Together",
    "stepwise",
    "IndependentGaussians",
    "WordModels",
    "Alignment",
    "Alignments",
    "FrameEnergies",
    "Chain",
    "Trellis",
    "LatticePaths",
    "Lattice",
    "Reading",
    "Graph",
    "L1",
    "L2",
    "Acceptor",
    "BetheFreeEnergy",
    "Bilinear",
    "BitReconstruction",
    "Bowl",
    "BoltzmannMachine",
    "Clusters",
    "Codebook",
    "Completed",
    "CompletedBits",
    "CompletedMixture",
    "Conditioned",
    "Constant",
    "ConvolutionalReconstruction",
    "Driven",
    "JointForecast",
    "LatentForecast",
    "TowardsGoal",
    "Eliminated",
    "EliminatedBits",
    "Energy",
    "Entropy",
    "DeepBoltzmann",
    "Filtered",
    "Followed",
    "Follower",
    "FactorizedBits",
    "FactorizedFreeEnergy",
    "HiddenLayers",
    "Forecast",
    "FreeEnergy",
    "Function",
    "GaussianBelief",
    "GaussianBernoulli",
    "GaussianMixture",
    "GoalDistance",
    "Grid",
    "GroupL2",
    "IndependentBits",
    "IndependentComponents",
    "KBest",
    "KnownModel",
    "Labelling",
    "LatentBits",
    "Level",
    "LinearReconstruction",
    "Min",
    "Network",
    "NetworkTable",
    "Outcome",
    "Partial",
    "Prediction",
    "OtherLabelling",
    "PieceEnergies",
    "Places",
    "PrincipalComponents",
    "Prototypes",
    "Quadratic",
    "SelfReconstruction",
    "QuadraticCost",
    "QuadraticForm",
    "QuantisedReconstruction",
    "RandomField",
    "Reconstruction",
    "Reduction",
    "Regularizer",
    "Relaxation",
    "RestrictedBoltzmann",
    "Rollout",
    "Sample",
    "Scaled",
    "SeenBits",
    "Segmentation",
    "Segments",
    "Structure",
    "Sum",
    "Table",
    "Tabulated",
    "TopographicMap",
    "Tree",
    "batched_linear",
    "WorldModel",
    "linear",
    "misspelling",
    "reduce_paths",
    "spelling",
    "Meeting",
    "SkipGram",
    "mixed",
]
