"""The algebra of energies, and the energies that everybody composes."""

from .algebra import Conditioned, Scaled, Sum
from .clusters import Clusters
from .components import IndependentComponents, PrincipalComponents
from .elimination import Eliminated
from .energy import Energy, QuadraticForm
from .linear import linear
from .mixture import CompletedMixture, GaussianMixture
from .network import Function, Network, NetworkTable, Prototypes
from .partial import Completed, Partial
from .quadratic import Bilinear, Quadratic
from .reconstruction import ConvolutionalReconstruction, LinearReconstruction, Reconstruction
from .reduction import FreeEnergy, KBest, Min, Reduction, Sample
from .regularizer import L1, L2, GroupL2, Regularizer
from .tabulated import Tabulated

__all__ = [
    "L1",
    "L2",
    "Bilinear",
    "Clusters",
    "Completed",
    "CompletedMixture",
    "Conditioned",
    "ConvolutionalReconstruction",
    "Eliminated",
    "Energy",
    "FreeEnergy",
    "Function",
    "GaussianMixture",
    "GroupL2",
    "IndependentComponents",
    "KBest",
    "LinearReconstruction",
    "Min",
    "Network",
    "NetworkTable",
    "Partial",
    "PrincipalComponents",
    "Prototypes",
    "Quadratic",
    "QuadraticForm",
    "Reconstruction",
    "Reduction",
    "Regularizer",
    "Sample",
    "Scaled",
    "Sum",
    "Tabulated",
    "linear",
]
