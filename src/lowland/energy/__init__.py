"""The algebra of energies, and the energies that everybody composes."""

from .algebra import Conditioned, Scaled, Sum
from .elimination import Eliminated
from .energy import Energy, QuadraticForm
from .mixture import CompletedMixture, GaussianMixture
from .network import Function, LookUp, Network, NetworkTable, Prototypes
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
    "KBest",
    "LinearReconstruction",
    "LookUp",
    "Min",
    "Network",
    "NetworkTable",
    "Partial",
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
]
