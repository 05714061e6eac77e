"""Architectures that energies are made of."""

from .autoencoder import UNITS, DeepAutoencoder, TiedAutoencoder, Unit, UnitLayer
from .clip_net import ClipNet
from .dynamics import Dynamics
from .filter_bank import FilterBank
from .gated_convolution import GatedConvolution
from .glyph import GlyphNet
from .intelligent_driver import IntelligentDriver
from .kneser_ney import KneserNey
from .ladder import LadderNet
from .learnt_cost import CostForecast, LearntCost
from .lenet import LeNet5, ModernLeNet, PartialConvolution, ScaledTanh, TrainableSubsampling, digit_bitmaps
from .lista import LISTA, LCoD
from .memory_hops import MemoryHops
from .mlp import mlp
from .onward import Onward
from .parallel_transformer import ParallelTransformer
from .policy import Policy, Starts
from .recurrent import Recurrent
from .segment_recogniser import SegmentRecogniser
from .space_displacement import SpaceDisplacementNet, multiply_adds
from .sparse_encoder import ConvolutionalLISTA, ConvolutionalSparseEncoder, GainTanh, SmoothShrinkage, SparseEncoder
from .template_search import TemplateSearch
from .time_delay import TimeDelayNet
from .tower_net import MapGuess, MapHead, OutcomeHead, TowerMap, TowerTrunk
from .transformer import Transformer
from .waves import Waves
from .what_where import WhatWhereNet
from .window import Window

__all__ = [
    "ConvolutionalLISTA",
    "ConvolutionalSparseEncoder",
    "GainTanh",
    "SmoothShrinkage",
    "SparseEncoder",
    "ClipNet",
    "CostForecast",
    "MapGuess",
    "MapHead",
    "OutcomeHead",
    "TowerMap",
    "TowerTrunk",
    "Dynamics",
    "IntelligentDriver",
    "LearntCost",
    "DeepAutoencoder",
    "FilterBank",
    "TiedAutoencoder",
    "UNITS",
    "Unit",
    "UnitLayer",
    "GatedConvolution",
    "GlyphNet",
    "Recurrent",
    "TemplateSearch",
    "TimeDelayNet",
    "KneserNey",
    "LISTA",
    "LadderNet",
    "LCoD",
    "LeNet5",
    "MemoryHops",
    "ModernLeNet",
    "Onward",
    "ParallelTransformer",
    "PartialConvolution",
    "Policy",
    "Starts",
    "ScaledTanh",
    "SegmentRecogniser",
    "SpaceDisplacementNet",
    "TrainableSubsampling",
    "Transformer",
    "Waves",
    "WhatWhereNet",
    "Window",
    "digit_bitmaps",
    "mlp",
    "multiply_adds",
]
