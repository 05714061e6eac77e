"""Predictive sparse decomposition: a sparse code, and an encoder that learns to guess it while the atoms learn to be guessed.

    E(y, z) = ½ ‖y − Wz‖² + λ ‖z‖₁ + ½ α ‖z − encoder(y)‖²        ‖W_k‖ = 1
    z*      = argmin_z E(y, z), searched from z = encoder(y)
    patches   y: a whitened 12×12 patch of a photograph;  encoder(y) = shrink(Ay + c), or g tanh(Ay + c) with a gain g a unit
    digits    y: a digit of 28×28 pixels, z ≥ 0;          encoder(y) = softplus(Ay + c); a linear classifier reads the guess
    strokes   y: a 5×5 patch of a digit;                  its encoder's filters are where the first layer of a LeNet begins

Training: lower E at z* (strategy A2): z* is searched by alternating directions from the encoder's guess, then one step of Adam moves
    atoms, filters and thresholds together; atoms go back to length 1. The classifier and the LeNets learn by cross entropy; the LeNets
    are the modern one of `lenet` with its recipe, without distortions, in pairs that differ in the first layer's first filters alone.
No collapse: the L1 term bounds the volume of codes of low energy, and atoms of length 1 keep it from being bought off by small codes
    and long atoms. The prediction term alone would be lowest where codes and guesses are all 0; the reconstruction forbids that.
Sources: Kavukcuoglu, Ranzato & LeCun, Fast Inference in Sparse Coding Algorithms, technical report CBLL-TR-2008-12-01 (2008);
    Ranzato, Boureau & LeCun, NIPS 2007, for digits as strokes; Jarrett, Kavukcuoglu, Ranzato & LeCun, ICCV 2009, for nets begun so.
Measure: the optimal code is that of ½ ‖y − Wz‖² + λ ‖z‖₁ alone, which owes nothing to the encoder, to a residual of 10⁻³; its seconds
    are those of the solver that `infer` picks for it, on one batch of unseen patches, and the guess's those of the encoder on the
    same. Oriented and localised: as `sparse_coding` counts atoms.
Expect: seed 0, ten minutes: a linear classifier errs on 2.79 % of MNIST's test digits with guessed codes, 3.05 % with optimal ones;
    LeNets on 0.54 % begun with strokes, 0.55 % at random (means of two, strokes the better in one pair: no difference can be told).
    Guesses of patches take 1/58 of the time and have 9.0 % more energy than optimal codes; with tanh and gain 42 % more.
Known failure: one look can't let atoms explain each other away, so a guess uses more of them than it should: for digits, whose atoms
    overlap more and whose λ is smaller, it has 18 % more energy. Only half of the atoms of photographs count as oriented and localised,
    after 1,800 batches; `sparse_coding`, without an encoder to please, has nearly all.

Your own images: ``lowland train psd --images FOLDER`` for the patches; the digits stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from ...data import extract_patches, grey_photographs, labelled_images, read_images, whitened
from ...data.gabor import fit_gabors, orientation_selectivity, spread
from ...energy import L1, Energy, LinearReconstruction, NetworkTable, Prediction, Sum
from ...inference import ADMM, default_solver, solve
from ...nets import GainTanh, ModernLeNet, SmoothShrinkage, SparseEncoder
from ...objectives import NegativeLogLikelihood, PredictiveDecomposition, error_rate, keep_unit_atoms
from ...spaces import Box, NonNegative, Real, Space
from ...system import Data, Metric, System, register
from ...train import Player

SIDE, INK = 12, 28  # of a patch of a photograph, and of a digit, in pixels
STROKE, STROKES = 5, 16  # side and number of the first filters of the LeNet
CODES = ("patches", "patches_tanh", "digits", "strokes")


@dataclass(frozen=True)
class Config:
    """How codes, encoders and what is built on them are learnt."""

    images: str = "bsds500"
    """Photographs: bsds500, natural_images, noise (generated, for tests), or a folder of images."""
    labelled: str = "mnist"
    """Digits: mnist, or digits (embedded)."""
    patches: int = 150_000
    """Patches to learn from, of photographs and of digits."""
    atoms: int = 256
    """K, of the patches and of the digits."""
    weight: float = 2.0
    """λ for patches of photographs, in standard deviations of a pixel."""
    prediction: float = 5.0
    """α for them."""
    digit_weight: float = 0.5
    """λ for digits, in units of ink."""
    digit_prediction: float = 0.3
    """α for digits."""
    stroke_weight: float = 0.3
    """λ for patches of digits, in units of ink."""
    steps: int = 1800
    """Batches for each code but that of digits."""
    digit_steps: int = 2500
    """Batches for the code of digits."""
    batch_size: int = 250
    """Samples in one of them."""
    search: int = 12
    """Steps of the search for z*."""
    encoder_rate: float = 1e-2
    """Adam's rate for the encoders of patches, at first."""
    digit_rate: float = 1e-3
    """The same for the encoder of digits."""
    atom_rate: float = 1e-2
    """Adam's rate for atoms, at first."""
    classifier_epochs: int = 30
    """Passes of the linear classifiers over the codes of the digits."""
    epochs: int = 9
    """Passes of a LeNet over the digits."""
    pairs: int = 2
    """LeNets begun with strokes, and as many begun at random."""


def predictive(dim: int, atoms: int, weight: float, prediction: float, unit: nn.Module, code: Space) -> Sum:
    """E(y, z): its terms are the decoder, the L1 term and the weighted prediction."""
    decoder = LinearReconstruction(dim, atoms, code)
    decoder.normalize()
    encoder = SparseEncoder(dim, atoms, unit)
    encoder.follow(decoder.W.detach())
    return decoder + L1(code, weight) + prediction * Prediction(encoder, Real(dim), code)


def build(config: Config) -> nn.ModuleDict:
    atoms, signed, unsigned = config.atoms, Real(config.atoms), NonNegative(config.atoms)
    shrink = SmoothShrinkage(atoms, threshold=0.5 * config.weight)
    patches = partial(predictive, SIDE * SIDE, atoms, config.weight, config.prediction)
    energies: dict[str, nn.Module] = {
        "patches": patches(shrink, signed),
        "patches_tanh": patches(GainTanh(atoms), signed),
        "digits": predictive(INK * INK, atoms, config.digit_weight, config.digit_prediction, nn.Softplus(10), unsigned),
        "strokes": predictive(
            STROKE**2, STROKES, config.stroke_weight, 1.0, SmoothShrinkage(STROKES, threshold=0.1), Real(STROKES)
        ),
    }
    for name in ("guessed", "optimal"):
        energies[f"linear_{name}"] = NetworkTable(
            nn.Sequential(nn.BatchNorm1d(atoms), nn.Linear(atoms, 10)), Real(atoms), 10
        )
    for pair in range(config.pairs):
        for begun in ("strokes", "random"):
            energies[f"lenet_{begun}_{pair}"] = NetworkTable(ModernLeNet(), Box(0.0, 1.0, INK, INK), 10)
    return nn.ModuleDict(energies)


def data(config: Config) -> Data:
    generator = torch.Generator().manual_seed(0)
    photographs, digits = grey_photographs(config.images), labelled_images(config.labelled, INK, classes=10)
    parts = photographs.train, photographs.validation, photographs.test
    patches = [
        _patches([whitened(picture) for picture in part], SIDE, count, generator)
        for part, count in zip(parts, (config.patches, 2000, 5000), strict=True)
    ]
    strokes = extract_patches(digits.train["x"], STROKE, 2 * config.patches, generator).flatten(1)
    inked = strokes[strokes.std(1) > 0.1][: config.patches]
    extra = {
        "strokes": inked - inked.mean(1, keepdim=True),
        "digits": digits.train,
        "digits_validation": digits.validation,
    }
    return Data(
        {"y": patches[0]}, {"y": patches[1]}, {"y": patches[2], "digits": digits.test["x"], "labels": digits.test["y"]},
        {**photographs.sources, **digits.sources}, digits.classes, extra,
    )  # fmt: skip


def _patches(pictures: list[Tensor], side: int, count: int, generator: torch.Generator) -> Float[Tensor, "count D"]:
    patches = extract_patches(pictures, side, count, generator).flatten(1)
    return patches - patches.mean(1, keepdim=True)


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    digits, held = data.extra["digits"], data.extra["digits_validation"]
    photographs = data.train["y"]
    samples = {"patches": photographs, "patches_tanh": photographs}
    samples |= {"digits": digits["x"].flatten(1), "strokes": data.extra["strokes"]}
    for name in CODES:
        _learn(name, model[name], samples[name], config, trainer)
    for kind in ("guessed", "optimal"):
        make = partial(codes, model["digits"], kind=kind)
        inside, outside = (
            trainer.once(f"{kind}_{part}", partial(make, x["x"])) for part, x in (("in", digits), ("out", held))
        )
        energy = model[f"linear_{kind}"]
        trainer.fit(
            name := f"linear_{kind}",
            Player(name, energy, partial(NegativeLogLikelihood(), energy), schedule=CosineAnnealingLR,
                   optimizer=partial(torch.optim.AdamW, lr=3e-3, weight_decay=1e-3)),
            {"x": inside, "y": digits["y"]}, epochs=config.classifier_epochs, batch_size=500,
            validate=lambda energy=energy, x=outside: {"validation_error": error_rate(energy, {"x": x, "y": held["y"]})},
        )  # fmt: skip
    for pair in range(config.pairs):
        trainer.once(f"begin_{pair}", partial(_begin, model, pair))
        for begun in ("strokes", "random"):
            _learn_digits(f"lenet_{begun}_{pair}", model, config, data, trainer)


def _learn(name: str, energy: Sum, y: Tensor, config: Config, trainer: Any) -> None:
    """Atoms and encoder together."""
    decoder, objective = _decoder(energy), PredictiveDecomposition(ADMM(), config.search)
    digits = name == "digits"
    rate, steps = (config.digit_rate, config.digit_steps) if digits else (config.encoder_rate, config.steps)

    def optimizer(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        rest = [parameter for parameter in parameters if parameter is not decoder.W]
        groups = [{"params": rest}, {"params": [decoder.W], "lr": config.atom_rate}]
        return keep_unit_atoms(torch.optim.Adam(groups, lr=rate, betas=(0.9, 0.99)), decoder)

    player = Player(name, energy, partial(objective, energy), optimizer, CosineAnnealingLR)
    trainer.fit(name, player, {"y": y}, steps=steps, batch_size=config.batch_size)


@torch.no_grad()
def _begin(model: Any, pair: int) -> None:
    """Two nets alike but for the first layer: the encoder's filters of strokes, as long as the random ones are on average."""
    strokes, random = (model[f"lenet_{begun}_{pair}"].network.layers for begun in ("strokes", "random"))
    strokes.load_state_dict(random.state_dict())
    first = strokes["C1"][0].weight
    filters = nn.functional.normalize(_encoder(model["strokes"]).linear.weight, dim=1)
    first.copy_((filters * first.flatten(1).norm(dim=1).mean()).reshape(first.shape))


def _learn_digits(name: str, model: Any, config: Config, data: Data, trainer: Any) -> None:
    """The recipe of the modern net of `lenet`, without distortions."""
    energy, rate = model[name], 4e-3
    trainer.fit(
        name,
        Player(
            name, energy, partial(NegativeLogLikelihood(), energy),
            optimizer=partial(torch.optim.AdamW, lr=rate, weight_decay=0.02),
            schedule=lambda optimizer, steps: OneCycleLR(optimizer, rate, total_steps=max(steps, 2), pct_start=0.1),
            average=0.998,
        ),
        data.extra["digits"], epochs=config.epochs, batch_size=128,
        validate=lambda: {"validation_error": error_rate(energy, data.extra["digits_validation"])},
    )  # fmt: skip


def _decoder(energy: Any) -> LinearReconstruction:
    return energy.terms[0]


def _encoder(energy: Any) -> SparseEncoder:
    return energy.terms[2].energy.encoder


# --- codes, and how good they are -------------------------------------------------------------------------------------


@torch.no_grad()
def optimal(energy: Any, y: Float[Tensor, "N D"], tol: float = 1e-3) -> Float[Tensor, "N K"]:
    """The codes of least ½ ‖y − Wz‖² + λ ‖z‖₁, whatever the encoder guesses."""
    alone = sparse(energy).given(y=y)
    return solve(default_solver(alone), alone, tol=tol).value


def sparse(energy: Any) -> Energy:
    """The energy without its prediction."""
    return energy.terms[0] + energy.terms[1]


@torch.no_grad()
def codes(energy: Any, images: Float[Tensor, "N H W"], kind: str) -> Float[Tensor, "N K"]:
    """Codes of digits, ``kind`` "guessed" or "optimal"."""
    find = _encoder(energy) if kind == "guessed" else partial(optimal, energy, tol=1e-2)
    return torch.cat([find(part.flatten(1)) for part in images.split(5000)])


def predicted(energy: Any, y: Float[Tensor, "N D"]) -> dict[str, float]:
    """Guessed codes beside optimal ones: energy, distance and time."""
    with torch.no_grad():
        best, guess = optimal(energy, y), _encoder(energy)(y)
        least, guessed = (sparse(energy)(y=y, z=z).mean().item() for z in (best, guess))
        slow, fast = _seconds(lambda: optimal(energy, y)), _seconds(lambda: _encoder(energy)(y))
    return {
        "more_energy": 100 * (guessed / least - 1),
        "code_error": ((guess - best).square().sum() / best.square().sum()).item(),
        "speedup": slow / fast,
        "nonzeros": (best != 0).sum(1).double().mean().item(),
    }


def _seconds(work: Callable[[], Any], times: int = 5) -> float:
    """Of the fastest of a few tries."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def gabor_like(atoms: Float[Tensor, "K H W"]) -> float:
    """Per cent of atoms that are oriented and localised, as `sparse_coding` counts them."""
    selective = orientation_selectivity(atoms) >= 1 / 3
    return 100 * ((fit_gabors(atoms) >= 0.7) & selective & (spread(atoms) <= 0.5)).double().mean().item()


def _errors(model: Any, begun: str, data: Data) -> list[float]:
    nets = [energy for name, energy in model.items() if name.startswith(f"lenet_{begun}")]
    return [100 * error_rate(energy, {"x": data.test["digits"], "y": data.test["labels"]}) for energy in nets]


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    y, digits, labels = data.test["y"], data.test["digits"], data.test["labels"]
    shrink, tanh, on_digits = (predicted(model[name], x) for name, x in (
        ("patches", y), ("patches_tanh", y), ("digits", digits.flatten(1)[:5000])
    ))  # fmt: skip
    linear = {
        kind: 100 * error_rate(model[f"linear_{kind}"], {"x": codes(model["digits"], digits, kind), "y": labels})
        for kind in ("guessed", "optimal")
    }
    begun, random = _errors(model, "strokes", data), _errors(model, "random", data)
    return {
        "linear_error": linear["guessed"],
        "linear_optimal_error": linear["optimal"],
        "lenet_error": sum(begun) / len(begun),
        "lenet_random_error": sum(random) / len(random),
        "lenet_better": sum(a < b for a, b in zip(begun, random, strict=True)) / len(begun),
        **{name: shrink[name] for name in ("speedup", "more_energy", "code_error", "nonzeros")},
        "tanh_more_energy": tanh["more_energy"],
        "tanh_code_error": tanh["code_error"],
        "digits_more_energy": on_digits["more_energy"],
        "digits_code_error": on_digits["code_error"],
        "oriented_localised": gabor_like(_decoder(model["patches"]).W.detach().T.reshape(-1, SIDE, SIDE)),
    }


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, filters, images

    atoms, ink = (_decoder(model[name]).W.detach().T for name in ("patches", "digits"))
    order = fit_gabors(atoms.reshape(-1, SIDE, SIDE)).argsort(descending=True)
    y, x = data.test["y"], data.test["digits"][:16]
    guess, best = (codes(model["digits"], x, kind) for kind in ("guessed", "optimal"))
    rows = {"digit": x, "optimal code": (best @ ink).reshape(x.shape), "guess": (guess @ ink).reshape(x.shape)}
    first = model["lenet_strokes_0"].network.layers["C1"][0].weight.detach()[:, 0]
    learnt = _encoder(model["strokes"]).linear.weight.detach().reshape(-1, STROKE, STROKE)
    more = {name: predicted(model[name], y)["more_energy"] for name in ("patches", "patches_tanh")}
    errors = {f"strokes, pair {i + 1}": e for i, e in enumerate(_errors(model, "strokes", data))}
    errors |= {f"random, pair {i + 1}": e for i, e in enumerate(_errors(model, "random", data))}
    return [
        Picture("Atoms of photographs", "Atoms whose codes can be guessed in one look, the most Gabor-like first.",
                filters(atoms[order].reshape(-1, SIDE, SIDE), columns=16)),
        Picture("Digits are made of strokes", f"The {len(ink)} atoms of digits; codes can't be negative, so most are strokes.",
                filters(ink.reshape(-1, INK, INK), columns=16)),
        Picture("A digit, from its code", "Unseen digits, what their optimal codes make of them, and what the encoder's guesses do.",
                images([rows[name] for name in rows], rows=list(rows))),
        Picture("What a guess costs", "Energy of the encoder's guess above that of the optimal code, unseen patches: the tanh is never "
                "quite silent, and every number that is not 0 costs.",
                bars({"smooth shrinkage": more["patches"], "tanh with gain": more["patches_tanh"]}, label="more energy", unit="%",
                     levels={"gate": 10.0})),
        Picture("Where a LeNet begins", "Filters of the encoder of 5×5 patches of digits: the first layer before it has seen a label.",
                filters(learnt, columns=8)),
        Picture("Where it ends", "The same filters after training.", filters(first, columns=8)),
        Picture("Wrong answers of the LeNets", "On the test split; nets of a pair differ in where the first layer begins.",
                bars(errors, label="error", unit="%", levels={"2007": 0.62})),
    ]  # fmt: skip


def embed(energy: Any, values: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
    """The encoder's guess."""
    with torch.no_grad():
        return _encoder(energy)(values["y"])


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Whitened patches, side by side, of the user's pictures."""
    pictures = [whitened(picture) for path in paths for picture in read_images([path])["x"]]
    tiles = torch.cat(
        [picture.unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE).reshape(-1, SIDE * SIDE) for picture in pictures]
    )
    return {"y": tiles - tiles.mean(1, keepdim=True)}


register(
    System(
        name="psd",
        title="Predictive sparse decomposition: codes that can be guessed",
        rows=("R51",),
        paper="Kavukcuoglu, Ranzato & LeCun 2008",
        config=Config,
        presets={
            "smoke": {
                "images": "noise", "labelled": "digits", "patches": 600, "atoms": 24, "steps": 4, "digit_steps": 4, "batch_size": 50,
                "search": 4, "classifier_epochs": 1, "epochs": 1, "pairs": 1,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="patches",
        observed="y",
        unknown="z",
        embed=embed,
        read=read,
        metrics=(
            Metric("linear_error", "lower", gate=3.0, gate_source="own, from Ranzato, Boureau & LeCun 2007", unit="%",
                   about="MNIST: a linear classifier that reads the encoder's guess of 256 codes."),
            Metric("linear_optimal_error", "lower", unit="%", about="MNIST: a linear classifier that reads the optimal codes."),
            Metric("lenet_error", "lower", gate=0.62, gate_source="Ranzato et al. 2007, no distortions", paper=0.62, unit="%",
                   about="MNIST: mean of LeNets whose first filters begin as those of the encoder of strokes."),
            Metric("lenet_random_error", "lower", unit="%", about="The same nets with first filters begun at random."),
            Metric("lenet_better", "higher", about="Fraction of the pairs where strokes were the better beginning."),
            Metric("speedup", "higher", gate=20.0, gate_source="own", about="Seconds of optimal codes over seconds of guesses, patches."),
            Metric("more_energy", "lower", gate=10.0, gate_source="own", unit="%",
                   about="Energy of guesses above that of optimal codes, patches, smooth shrinkage."),
            Metric("code_error", "lower", about="‖guess − z*‖² / ‖z*‖² of those."),
            Metric("nonzeros", "lower", about="Non-zeros of an optimal code of a patch."),
            Metric("tanh_more_energy", "lower", unit="%", about="The same excess for the encoder with tanh and gain."),
            Metric("tanh_code_error", "lower", about="And its code error."),
            Metric("digits_more_energy", "lower", unit="%", about="Excess of energy of the guesses for digits."),
            Metric("digits_code_error", "lower", about="And their code error."),
            Metric("oriented_localised", "higher", unit="%", about="Atoms of photographs that are oriented and localised."),
        ),
    )
)  # fmt: skip
