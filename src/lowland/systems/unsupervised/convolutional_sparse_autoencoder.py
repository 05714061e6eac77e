"""Convolutional predictive sparse decomposition: an image as a sum of few filters at few places, and encoders that guess which.

    E(y, z) = ½ ‖y − Σ_k W_k ∗ z_k‖² + λ Σ |z| + ½ α ‖z − encoder(y)‖²      ‖W_k‖ = 1, filters of 9×9 pixels
    grey      y: a piece of a whitened photograph;  encoder(y) = shrink(A ∗ y + c) / L;  1, 4, 16 and 64 filters
    patches   the same without convolution: y a single 9×9 patch, 64 atoms
    colour    y: a piece of a small colour picture; encoder: convolutional LISTA, whose answers a linear classifier reads

Training: lower E at z* (strategy A2), which FISTA searches from the encoder's guess; then one step of Adam moves filters and encoder
    together, and the filters go back to length 1. The classifier learns by cross entropy with a penalty on the squares of its weights.
No collapse: the L1 term bounds the volume of codes of low energy, and filters of length 1 keep it from being bought off.
Sources: Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu & LeCun, Learning Convolutional Feature Hierarchies for Visual Recognition,
    NIPS 2010; Gregor & LeCun, ICML 2010, and Sreter & Giryes, ICASSP 2018, for the recurrent encoder.
Measure: the coherence of a filter is the largest correlation, over shifts, with another of its dictionary, both of length 1; outside
    its 9×9 pixels a filter is 0. A filter is a double where it is above 0.8. A patch needs each edge at every place, and so do its
    atoms; convolution gives the places for nothing. A filter counts as oriented when one Gabor function explains at least 70 % of its
    energy, and a grating at right angles to its best one gets at most half the answer (`lowland.data.gabor`); how much of its 9×9
    pixels it fills is not asked.
Expect: seed 0, 23 minutes of a third of a core: the mean coherence is 0.69 of the 64 filters and 0.82 of the atoms of patches (11 % and
    64 % of them doubles); 62 % and 98 % are oriented. 64.65 % of the small pictures are told rightly. Guesses in one look have
    43 % more energy than a search finds from them, LISTA's 54 %.
Known failure: filters fill their 9×9 pixels to the edge, and none is localised as `sparse_coding` counts atoms; beside edges and gratings
    there are corners and crossings, which no Gabor function explains. Thirty steps of FISTA are not all that a search needs: 64 filters
    overlap so much that its largest curvature is 540. The atoms they are compared with had five times as many batches of ten times as many
    patches. The pictures are a fifth of CIFAR-10, 10,000 to train on and 2,000 to test, in JPEG: 64.65 % on it is not that on the whole.

Differences from the paper: 1. FISTA looks for the codes, not coordinate descent. 2. The encoder's Hessian is left to Adam.

Your own images: ``lowland train convolutional_sparse_autoencoder --images FOLDER`` for the grey filters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, conv2d, pad
from torch.optim.lr_scheduler import CosineAnnealingLR

from ...data import Whitening, dataset, extract_patches, grey_photographs, holdout, load, read_images, whitened
from ...data.gabor import fit_gabors, orientation_selectivity
from ...energy import L1, ConvolutionalReconstruction, Energy, LinearReconstruction, NetworkTable, Prediction
from ...inference import ADMM, FISTA, Solution, solve
from ...nets import ConvolutionalLISTA, ConvolutionalSparseEncoder, SmoothShrinkage, SparseEncoder
from ...objectives import Loss, NegativeLogLikelihood, PredictiveDecomposition, error_rate, keep_unit_atoms
from ...spaces import Real
from ...system import Data, Metric, System, register
from ...train import Player

KERNEL = 9
GREY, COLOUR = 24, 20  # sides of the pieces that filters are learnt from, in pixels
DOUBLE = 0.8
THINGS = "cifar10_jpeg_subset"


@dataclass(frozen=True)
class Config:
    """How filters, encoders and the classifier are learnt."""

    images: str = "bsds500"
    """Photographs: bsds500, natural_images, noise (generated, for tests), or a folder of images."""
    things: str = THINGS
    """Small colour pictures with labels: cifar10_jpeg_subset, or noise (generated, for tests)."""
    filters: tuple[int, ...] = (1, 4, 16, 64)
    """K of each grey dictionary; the last is compared with patches."""
    cutoff: float = 0.3
    """Where the whitening of photographs ends, in cycles per pixel."""
    weight: float = 2.5
    """λ for grey, in standard deviations of a pixel."""
    prediction: float = 0.2
    """α for grey."""
    steps: int = 600
    """Batches for each grey dictionary."""
    colour_filters: int = 100
    """K in colour."""
    colour_weight: float = 1.0
    """λ in colour, in standard deviations of a pixel."""
    colour_steps: int = 300
    """Batches for the colour dictionary."""
    layers: int = 1
    """Corrections that LISTA makes to its first guess."""
    batch_size: int = 8
    """Pieces in a batch."""
    search: int = 30
    """Steps of FISTA from the encoder's guess."""
    rate: float = 2e-3
    """Adam's rate for encoders, at first."""
    filter_rate: float = 1e-2
    """The same for filters."""
    pooled: int = 4
    """Answers of a filter are averaged over so many squares a side of the picture."""
    penalty: float = 5e-3
    """Weight of the squares of the classifier's weights."""
    epochs: int = 20
    """Passes of the classifier over the pictures."""


def convolutional(channels: int, maps: int, side: int, weight: float, prediction: float, encoder: nn.Module) -> Energy:
    """E(y, z): its terms are the decoder, the L1 term and the weighted prediction."""
    decoder = ConvolutionalReconstruction(channels, maps, side, side, KERNEL)
    code = decoder.spaces["z"]
    return decoder + L1(code, weight) + prediction * Prediction(encoder, decoder.spaces["y"], code)


def build(config: Config) -> nn.ModuleDict:
    count, atoms = KERNEL * KERNEL, config.filters[-1]
    energies: dict[str, nn.Module] = {}
    for maps in config.filters:
        unit = SmoothShrinkage(maps, 1, 1, threshold=config.weight)
        encoder = ConvolutionalSparseEncoder(1, maps, KERNEL, unit)
        energies[f"grey_{maps}"] = convolutional(1, maps, GREY, config.weight, config.prediction, encoder)
    patches = SparseEncoder(count, atoms, SmoothShrinkage(atoms, threshold=0.5 * config.weight))
    energies["patches"] = (
        LinearReconstruction(count, atoms)
        + L1(Real(atoms), config.weight)
        + config.prediction * Prediction(patches, Real(count), Real(atoms))
    )
    maps = config.colour_filters
    lista = ConvolutionalLISTA(3, maps, KERNEL, config.layers)
    energies["colour"] = convolutional(3, maps, COLOUR, config.colour_weight, config.prediction, lista)
    answers = 2 * maps * config.pooled**2
    linear = nn.Sequential(nn.BatchNorm1d(answers), nn.Linear(answers, 10))
    energies["linear"] = NetworkTable(linear, Real(answers), 10)
    return nn.ModuleDict(energies)


# --- data -------------------------------------------------------------------------------------------------------------


def data(config: Config) -> Data:
    generator = torch.Generator().manual_seed(0)
    photographs = grey_photographs(config.images)
    pieces = [
        extract_patches([whitened(picture, config.cutoff) for picture in part], GREY, count, generator)[:, None]
        for part, count in zip((photographs.train, photographs.test), (6000, 100), strict=True)
    ]
    things, sources = _things(config.things, generator)
    train, validation = holdout(things["train"], 0.05)
    whiten = _colour_whitening(train["x"], generator)
    train, validation, test = ({"x": whiten(part["x"]), "y": part["y"]} for part in (train, validation, things["test"]))
    return Data(
        {"y": pieces[0]}, {}, {"y": pieces[1], "x": test["x"], "labels": test["y"]}, {**photographs.sources, **sources},
        dataset(THINGS).classes, {"train": train, "validation": validation},
    )  # fmt: skip


def _things(source: str, generator: torch.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """Colour pictures and labels, to train on and to test."""
    if source != "noise":
        splits = {name: load(source, name) for name in ("train", "test")}
        return splits, {source: dataset(source).record("train", "test")}
    pictures = torch.rand(280, 3, 32, 32, generator=generator).cumsum(2).cumsum(3)
    whole = {"x": pictures / pictures.amax(), "y": torch.arange(280) % 10}
    splits = {
        "train": {name: value[:240] for name, value in whole.items()},
        "test": {name: value[240:] for name, value in whole.items()},
    }
    return splits, {"noise, in colour": {"split": "generated", "samples": 280, "sha256": {}}}


def _colour_whitening(x: Float[Tensor, "N 3 H W"], generator: torch.Generator) -> Any:
    """What makes neighbouring pixels and colours nearly independent: the filters that tell the middle pixel of a whitened 9×9 patch."""
    drawn = extract_patches(list(_standard(x[:2000])), KERNEL, 20_000, generator).flatten(1)
    matrix = Whitening.zca(drawn, epsilon=0.1).matrix.reshape(3, KERNEL**2, 3, KERNEL, KERNEL)
    filters = matrix[:, KERNEL**2 // 2]

    def whiten(x: Tensor) -> Tensor:
        found = conv2d(pad(_standard(x), [KERNEL // 2] * 4, mode="reflect"), filters)
        return (found - found.mean((2, 3), keepdim=True)) / scale

    scale = 1.0
    scale = whiten(x[:2000]).std()
    return whiten


def _standard(x: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
    """Each picture with mean 0 and variance 1, or a little less where it is flat."""
    return (x - x.mean((1, 2, 3), keepdim=True)) / (x.var((1, 2, 3), keepdim=True) + 10 / 255**2).sqrt()


# --- training ---------------------------------------------------------------------------------------------------------


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    y = data.train["y"]
    for maps in config.filters:
        _learn(f"grey_{maps}", model, y, config.steps, config, trainer)  # type: ignore[arg-type]
    patches = extract_patches(list(y), KERNEL, 20_000, torch.Generator().manual_seed(1)).flatten(1)
    _learn("patches", model, patches - patches.mean(1, keepdim=True), 5 * config.steps, config, trainer)
    things, held = data.extra["train"], data.extra["validation"]
    pieces = extract_patches(list(things["x"]), COLOUR, 20_000, torch.Generator().manual_seed(2))
    _learn("colour", model, pieces, config.colour_steps, config, trainer)
    inside, mirrored, outside = (
        trainer.once(f"features_{name}", partial(features, model["colour"], x, config))
        for name, x in (("in", things["x"]), ("mirrored", things["x"].flip(3)), ("out", held["x"]))
    )
    energy, objective = model["linear"], NegativeLogLikelihood()

    def loss(batch: Mapping[str, Tensor]) -> Loss:
        found = objective(energy, batch)
        return Loss(found.value + config.penalty * energy.network[1].weight.square().sum(), found.parts)

    player = Player("linear", energy, loss, partial(torch.optim.Adam, lr=1e-3), CosineAnnealingLR)
    trainer.fit(
        "linear", player, {"x": torch.cat([inside, mirrored]), "y": things["y"].repeat(2)}, epochs=config.epochs, batch_size=500,
        validate=lambda: {"validation_error": error_rate(energy, {"x": outside, "y": held["y"]})},
    )  # fmt: skip


def _learn(name: str, model: Any, y: Tensor, steps: int, config: Config, trainer: Any) -> None:
    """Filters and encoder together, from pieces of the images as filters."""
    energy = model[name]
    decoder, weight = _decoder(energy), config.colour_weight if name == "colour" else config.weight
    trainer.once(f"{name}_start", partial(_start, energy, y, weight))

    def loss(batch: Mapping[str, Tensor]) -> Loss:
        y = batch["y"]
        with torch.autocast(
            y.device.type, torch.bfloat16, enabled=y.ndim == 4
        ):  # convolutions; sums and codes stay float32
            return PredictiveDecomposition(_search(energy, config.prediction), config.search)(energy, batch)

    def optimizer(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        rest = [parameter for parameter in parameters if parameter is not decoder.W]
        groups = [{"params": rest}, {"params": [decoder.W], "lr": config.filter_rate}]
        return keep_unit_atoms(torch.optim.Adam(groups, lr=config.rate, betas=(0.9, 0.99)), decoder)

    batch_size = config.batch_size if name != "patches" else 10 * config.batch_size
    player = Player(name, energy, loss, optimizer, CosineAnnealingLR)
    trainer.fit(name, player, {"y": y}, steps=steps, batch_size=batch_size)


@torch.no_grad()
def _start(energy: Any, y: Tensor, weight: float) -> None:
    """Grey filters begin as noise, the others as pieces of images; encoders as what one step or more of ISTA would do."""
    decoder, encoder = _decoder(energy), _encoder(energy)
    if isinstance(decoder, LinearReconstruction):
        decoder.W.copy_(y[: decoder.W.shape[1]].T + 0.1 * torch.randn(decoder.W.shape))
        decoder.normalize()
        encoder.follow(decoder.W.detach())
    elif isinstance(encoder, ConvolutionalLISTA):
        middle = (y.shape[-1] - KERNEL) // 2
        pieces = y[: len(decoder.W), :, middle : middle + KERNEL, middle : middle + KERNEL]
        decoder.W.copy_(pieces + 0.1 * torch.randn(pieces.shape))
        decoder.normalize()
        encoder.follow(decoder.W.detach(), weight, 0.3 * decoder.curvature())
    else:
        encoder.follow(decoder.W.detach(), 1.0)
        answers = encoder(y[:20])
        codes = best(energy, y[:20], torch.zeros_like(answers), 100).value
        encoder.curvature.copy_(answers.square().sum() / (answers * codes).sum())  # guesses of the size of codes


def _search(energy: Any, prediction: float) -> Any:
    """The solver of a code, at the rate that its curvature allows."""
    decoder = _decoder(energy)
    return ADMM() if isinstance(decoder, LinearReconstruction) else FISTA(1 / (decoder.curvature() + prediction))


def _decoder(energy: Any) -> Any:
    return energy.terms[0]


def _encoder(energy: Any) -> Any:
    return energy.terms[2].energy.encoder


# --- what is measured -------------------------------------------------------------------------------------------------


@torch.no_grad()
def features(energy: Any, x: Float[Tensor, "N 3 H W"], config: Config) -> Float[Tensor, "N F"]:
    """The encoder's answers to pictures: what is positive and what is negative apart, averaged over squares, square roots."""
    encoder, margin, found = _encoder(energy), KERNEL // 2, []
    for part in x.split(20):
        with torch.autocast(x.device.type, torch.bfloat16):  # three times as fast, and averages don't mind
            z = encoder(part)[:, :, margin:-margin, margin:-margin].float()
        found.append(adaptive_avg_pool2d(torch.cat([z.relu(), (-z).relu()], 1), config.pooled).flatten(1).sqrt())
    return torch.cat(found)


def oriented(filters: Float[Tensor, "K 1 s s"]) -> float:
    """Per cent of filters that are oriented; see the measure above."""
    filters = filters[:, 0]
    return 100 * ((fit_gabors(filters) >= 0.7) & (orientation_selectivity(filters) >= 1 / 3)).double().mean().item()


def coherence(filters: Float[Tensor, "K C s s"]) -> Float[Tensor, " K"]:
    """Each filter's largest correlation with another, whatever the shift: 1 for two that are the same but for their places."""
    filters = filters / filters.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
    correlation = conv2d(pad(filters, [filters.shape[-1] - 1] * 4), filters).abs().amax((2, 3))
    return correlation.fill_diagonal_(0.0).amax(1)


def best(energy: Any, y: Tensor, guess: Tensor, steps: int) -> Solution:
    """The code of least energy, without the prediction term."""
    alone = energy.terms[0] + energy.terms[1]
    return solve(FISTA(1 / _decoder(energy).curvature()), alone.given(y=y), guess, steps=steps, tol=1e-2)


@torch.no_grad()
def predicted(energy: Any, y: Tensor, steps: int = 200) -> dict[str, float]:
    """Guesses beside the best codes: energy, and how many numbers are not 0."""
    guess = _encoder(energy)(y)
    found = best(energy, y, guess, steps)
    left = (y - _decoder(energy).decode(found.value)).square().sum()
    return {
        "more_energy": 100
        * ((energy.terms[0] + energy.terms[1])(y=y, z=guess).mean() / found.energy.mean() - 1).item(),
        "nonzeros": 100 * (found.value != 0).double().mean().item(),
        "snr": 10 * (y.square().sum() / left).log10().item(),
    }


def _filters(energy: Any) -> Tensor:
    """``(K, C, s, s)``, atoms of patches too."""
    W = _decoder(energy).W.detach()
    return W if W.ndim == 4 else W.T.reshape(-1, 1, KERNEL, KERNEL)


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    y, x = data.test["y"], data.test["x"]
    largest = f"grey_{config.filters[-1]}"
    shared, single = coherence(_filters(model[largest])), coherence(_filters(model["patches"]))
    grey, colour = predicted(model[largest], y[:25]), predicted(model["colour"], x[:25, :, :COLOUR, :COLOUR])
    seen = {"x": features(model["colour"], x, config), "y": data.test["labels"]}
    return {
        "coherence": shared.mean().item(),
        "patch_coherence": single.mean().item(),
        "coherence_ratio": (shared.mean() / single.mean()).item(),
        "oriented": oriented(_filters(model[largest])),
        "patch_oriented": oriented(_filters(model["patches"])),
        "doubles": 100 * (shared > DOUBLE).double().mean().item(),
        "patch_doubles": 100 * (single > DOUBLE).double().mean().item(),
        "accuracy": 100 * (1 - error_rate(model["linear"], seen)),
        "nonzeros": grey["nonzeros"],
        "snr": grey["snr"],
        "more_energy": grey["more_energy"],
        "colour_nonzeros": colour["nonzeros"],
        "colour_snr": colour["snr"],
        "colour_more_energy": colour["more_energy"],
    }


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, filters, images

    largest = f"grey_{config.filters[-1]}"
    x, y = data.test["x"][:8, :, :COLOUR, :COLOUR], data.test["y"][:8]

    def ordered(energy: Any) -> Tensor:
        return _filters(energy)[coherence(_filters(energy)).argsort()]

    few = torch.cat([_filters(model[f"grey_{maps}"]) for maps in config.filters[:-1]])
    strips = {}
    for name, given in ((largest, y), ("colour", x)):
        with torch.no_grad():
            strips[name] = _decoder(model[name]).decode(_encoder(model[name])(given))
    colour = ordered(model["colour"])
    shown = 0.5 + 0.5 * colour / colour.abs().amax((1, 2, 3), keepdim=True)
    double = {
        name: coherence(_filters(model[key])).mean().item()
        for name, key in (("convolutional", largest), ("patches", "patches"))
    }
    return [
        Picture("Filters that are moved", f"{config.filters[-1]} filters of 9×9 pixels, those least like another first.",
                filters(ordered(model[largest])[:, 0], columns=16)),
        Picture("Atoms that stay", "As many learnt from single patches of the same photographs.",
                filters(ordered(model["patches"])[:, 0], columns=16)),
        Picture("How much two have in common", "Mean over filters of the largest correlation with another, over all shifts.",
                bars(double, label="coherence")),
        Picture("Fewer filters", "What is learnt where there may be but " + ", then ".join(str(maps) for maps in config.filters[:-1]) + ".",
                filters(few[:, 0], columns=16)),
        Picture("Filters of colour pictures", "Of whitened pictures, each stretched to the whole range.",
                images(shown, columns=20, limits=(0, 1))),
        Picture("What guesses make of images", "Unseen pieces of photographs, and the sum of the filters that are guessed in one look.",
                images([y[:, 0], strips[largest][:, 0]], rows=["photograph", "guess"])),
    ]  # fmt: skip


def embed(energy: Any, values: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
    """The mean size of each map."""
    with torch.no_grad():
        return _encoder(energy)(values["y"]).abs().mean((2, 3))


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Whitened pieces, side by side, of the user's pictures."""
    pictures = [whitened(picture, config.cutoff) for path in paths for picture in read_images([path])["x"]]
    tiles = [picture.unfold(0, GREY, GREY).unfold(1, GREY, GREY).reshape(-1, 1, GREY, GREY) for picture in pictures]
    return {"y": torch.cat(tiles)}


register(
    System(
        name="convolutional_sparse_autoencoder",
        title="Convolutional sparse coding: filters that share all places",
        rows=("R51",),
        paper="Kavukcuoglu et al. 2010",
        config=Config,
        presets={
            "smoke": {
                "images": "noise", "things": "noise", "filters": (1, 64), "steps": 2, "colour_filters": 4, "colour_steps": 3,
                "batch_size": 4, "search": 2, "pooled": 2, "epochs": 1,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="grey_64",
        observed="y",
        unknown="z",
        embed=embed,
        read=read,
        metrics=(
            Metric("coherence", "lower", about="Mean over 64 convolutional filters of the largest correlation with another, over shifts."),
            Metric("patch_coherence", "lower", about="The same for 64 atoms of patches of the same size and photographs."),
            Metric("coherence_ratio", "lower", gate=1.0, gate_source="own reading of Kavukcuoglu et al. 2010, figure 2",
                   about="The first over the second."),
            Metric("oriented", "higher", unit="%", about="Convolutional filters that are oriented: see the system's page."),
            Metric("patch_oriented", "higher", unit="%", about="The same for atoms of patches."),
            Metric("doubles", "lower", unit="%", about="Filters with a coherence above 0.8."),
            Metric("patch_doubles", "lower", unit="%", about="The same for atoms of patches."),
            Metric("accuracy", "higher", gate=60.0, gate_source="own", unit="%",
                   about="A fifth of CIFAR-10, 9,500 pictures to train on, 2,000 to test: a linear classifier of the encoder's answers."),
            Metric("nonzeros", "lower", unit="%", about="Numbers of an optimal grey code that are not 0."),
            Metric("snr", "higher", unit="dB", about="Signal to noise of those codes."),
            Metric("more_energy", "lower", unit="%", about="Energy of grey guesses, in one look, above that after 200 steps of FISTA."),
            Metric("colour_nonzeros", "lower", unit="%", about="Numbers of an optimal colour code that are not 0."),
            Metric("colour_snr", "higher", unit="dB", about="Signal to noise of those codes."),
            Metric("colour_more_energy", "lower", unit="%", about="The same excess for LISTA's guesses in colour."),
        ),
    )
)  # fmt: skip
