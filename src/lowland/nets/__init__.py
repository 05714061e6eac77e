"""Architectures that energies are made of."""

from .lenet import LeNet5, ModernLeNet, PartialConvolution, ScaledTanh, TrainableSubsampling, digit_bitmaps
from .lista import LISTA, LCoD
from .mlp import mlp
from .segment_recogniser import SegmentRecogniser
from .space_displacement import SpaceDisplacementNet, multiply_adds

__all__ = [
    "LISTA",
    "LCoD",
    "LeNet5",
    "ModernLeNet",
    "PartialConvolution",
    "ScaledTanh",
    "SegmentRecogniser",
    "SpaceDisplacementNet",
    "TrainableSubsampling",
    "digit_bitmaps",
    "mlp",
    "multiply_adds",
]
