"""Denoising autoencoders: stacked, to begin a classifier with; and walked, to draw digits from.

    E(x̃, x) = −Σ_d x_d log r_d(x̃) + (1 − x_d) log(1 − r_d(x̃))    how well the clean x is told from the spoilt x̃
    E(x)    = ‖x − r(x)‖²                                         low where nothing has to be mended
    E(x, y) = E(x) − net(x)_y                                     the one that answers: a label, or pixels that are missing

A layer of sigmoid units learns to mend digits of which a quarter of the pixels is missing; a second one to mend its code, a third to
mend that. The three are put on one another, a softmax on top, and all is fine-tuned. The same net is also trained from random weights.
Another denoiser is walked back: what it mends is spoilt and mended again. Its chains draw digits, and with some pixels held they
fill in the others. Of spoilt points of a plane r(x) − x is σ² times the slope of the log density, which can be checked.

Training: pull back what noise has moved (strategy C3), a layer at a time, by Adam with a rate that falls to zero; cross entropy for the
    label; the products in bfloat16. Fine-tuning goes on hiding pixels and units, with and without pre-training, and ends with
    averaged weights.
No collapse: a flat energy, r(x) = x, mends nothing, and a constant r is far from most digits. Walking back pushes up what the chain
    finds low besides the data.
Sources: Vincent, Larochelle, Bengio & Manzagol, ICML 2008; Vincent et al., JMLR 11 (2010), for the kinds of noise, and 1.28 % with three
    layers; the deep-learning tutorials (deeplearning.net, SdA) for 1.3 %; Bengio, Yao, Alain & Vincent, NIPS 2013, for walking back;
    Alain & Bengio, JMLR 15 (2014), theorem 2, for the slope.
Differences: 1. Adam with batches in place of stochastic gradient descent on single samples. 2. Hidden pixels, dropout and
    averaged weights in fine-tuning. 3. The walked denoiser has two hidden layers of rectifiers, and sees binarised digits.
Expect: per cent of wrong answers on the test split, seed 0: 1.23 pre-trained, 1.43 from random weights. A linear map of one layer's code:
    5.9 to 6.1 for the three kinds of noise, 7.0 without noise. 85 % of what chains draw is called a digit with probability ≥ 0.9, all
    ten about equally often (2.26 nats). On the plane r(x) − x explains 98 % of σ² ∇ log p. Eight and a half minutes of one core.
Known failure: fine-tuned for 20 passes in place of 34 it made 1.35 % errors on the test split (1.40 % on the validation digits, and
    falling). A chain is called another digit after a third of its turns, and on the way it draws blurred shapes that are none.

Your own images: ``lowland train denoising_autoencoder --images FOLDER --classes 3``, with one sub-folder of images for each class.
``lowland infer RUN seven.png`` tells the label, ``lowland infer RUN seven.png --hide bottom --samples 5`` fills in the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import LinearLR

from ...data import frame_ink, labelled_images, read_images, spiral
from ...energy import BitReconstruction, Energy, NetworkTable, Partial, Reconstruction, SelfReconstruction
from ...nets import TiedAutoencoder, UnitLayer, mlp
from ...objectives import (
    Corruption,
    Denoising,
    GaussianNoise,
    Mask,
    NegativeLogLikelihood,
    SaltAndPepper,
    error_rate,
    mend,
    walk_back,
)
from ...spaces import Binary, Box, Categorical, Real
from ...system import Data, Metric, System, register
from ...train import Player

SIDE = 28
PIXELS = SIDE * SIDE
#: The top half of an image.
TOP = (torch.arange(SIDE) < SIDE // 2).unsqueeze(-1).expand(SIDE, SIDE)
#: What spoils the images of the one-layer denoisers that are compared; the last is a plain autoencoder.
NOISES: dict[str, Corruption] = {
    "salt_and_pepper": SaltAndPepper(0.25),
    "gaussian": GaussianNoise(0.4),
    "nothing": Mask(0.0),
}


@dataclass(frozen=True)
class Config:
    """How the layers are stacked and trained."""

    images: str = "mnist"
    """Data: mnist, digits (embedded), or a folder with one sub-folder of images for each class."""
    classes: int = 10
    """How many labels the images have."""
    hidden: tuple[int, ...] = (800, 800, 800)
    """Units of each layer of the stack."""
    masked: tuple[float, ...] = (0.25, 0.25, 0.25)
    """What part of its input is hidden from each layer while it is pre-trained."""
    pretrain_epochs: int = 6
    """Passes over the data to pre-train each layer."""
    pretrain_rate: float = 2e-3
    """Step of Adam at the start, in units of the weights; it falls to zero in a straight line."""
    epochs: int = 34
    """Passes over the data to fine-tune."""
    rate: float = 2e-3
    """Step of Adam at the start of fine-tuning."""
    missing: float = 0.2
    """What part of the pixels is hidden in fine-tuning."""
    dropout: float = 0.2
    """Probability that a hidden unit is silent in a step of fine-tuning."""
    batch_size: int = 250
    """Samples a step."""
    average: float = 0.999
    """Decay of the running average of the fine-tuned weights, a step."""
    noise_epochs: int = 4
    """Passes over the data for the one-layer denoisers with other kinds of noise."""
    walker: tuple[int, ...] = (800, 800)
    """Hidden units of the denoiser that is walked back."""
    walker_epochs: int = 6
    """Passes over the data for it."""
    walker_noise: float = 0.4
    """What part of its pixels is salted and peppered."""
    turns: int = 300
    """How often a chain is spoilt and mended to draw digits; a fifth of that to fill in pixels."""
    walk: int = 2
    """How many times a digit is spoilt and mended in a step of its training."""
    spiral_steps: int = 6000
    """Steps on points of the plane."""
    spiral_sigma: float = 0.1
    """Standard deviation of their noise, where the spiral's radius is 1."""
    bfloat16: bool = True
    """Whether products are computed in bfloat16 while training on images."""


def build(config: Config) -> nn.ModuleDict:
    x, y = Box(0.0, 1.0, SIDE, SIDE), Categorical(config.classes)
    stack = {
        f"layer_{number}": BitReconstruction(TiedAutoencoder(dim, hidden), Box(0.0, 1.0, dim))
        for number, (dim, hidden) in enumerate(pairwise((PIXELS, *config.hidden)), 1)
    }
    others = {
        name: BitReconstruction(TiedAutoencoder(PIXELS, config.hidden[0]), Box(0.0, 1.0, PIXELS)) for name in NOISES
    }
    walked = nn.Sequential(mlp((PIXELS, *config.walker, PIXELS)), nn.Unflatten(1, (SIDE, SIDE)), nn.Sigmoid())
    return nn.ModuleDict(
        {
            "digits": SelfReconstruction(walked, x) + NetworkTable(_classifier(config), x, y.k),
            "scratch": NetworkTable(_classifier(config), x, y.k),
            **stack,
            **others,
            "spiral": Reconstruction(mlp((2, 128, 128, 2)), Real(2), Real(2)),
        }
    )


def _classifier(config: Config) -> nn.Sequential:
    layers = []
    for dim, hidden in pairwise((PIXELS, *config.hidden)):
        layers += [UnitLayer(dim, hidden), nn.Dropout(config.dropout)]
    top = nn.Linear(config.hidden[-1], config.classes)
    nn.init.zeros_(top.weight)
    return nn.Sequential(nn.Flatten(), *layers, top)


def walker(energy: Any) -> BitReconstruction:
    """The denoiser that is walked back, as an energy of bits: its network without the sigmoid."""
    return BitReconstruction(energy.terms[0].network[:-1], Binary(SIDE, SIDE))


def data(config: Config) -> Data:
    found = labelled_images(config.images, classes=config.classes)
    generator = torch.Generator().manual_seed(0)
    extra = {"plane": spiral(5000, generator), "plane_test": spiral(1000, generator)}
    return Data(found.train, found.validation, found.test, found.sources, found.classes, extra=extra)


# --- training ----------------------------------------------------------------------------------------------------------


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    x = data.train["x"]
    codes = x.flatten(1)
    for number, masked in enumerate(config.masked, 1):
        layer = model[f"layer_{number}"]
        _denoise(trainer, f"layer_{number}", layer, codes, Denoising(Mask(masked)), config.pretrain_epochs, config)
        codes = encoded(layer.network.encoder, codes, config)
    trainer.once("stack", lambda: stack(model))
    for name, energy in {"fine_tuning": model["digits"].terms[1], "scratch": model["scratch"]}.items():
        _classify(trainer, name, energy, config, data)
    for name, noise in NOISES.items():
        _denoise(trainer, name, model[name], x.flatten(1), Denoising(noise), config.noise_epochs, config)
    walking = Denoising(SaltAndPepper(config.walker_noise), config.walk)
    _denoise(trainer, "walker", walker(model["digits"]), x, walking, config.walker_epochs, config)
    plane, energy = Denoising(GaussianNoise(config.spiral_sigma), spoilt="z"), model["spiral"]
    player = _player("spiral", energy, lambda batch: plane(energy, batch), 3e-3)
    trainer.fit("spiral", player, {"y": data.extra["plane"]}, steps=config.spiral_steps, batch_size=500)


def _denoise(
    trainer: Any, name: str, energy: BitReconstruction, y: Tensor, objective: Denoising, epochs: int, config: Config
) -> None:
    def loss(batch: Mapping[str, Tensor]) -> Any:
        with _half(config):
            return objective(energy, batch)

    bits = isinstance(energy.spaces["y"], Binary)
    trainer.fit(
        name,
        _player(name, energy, loss, config.pretrain_rate),
        {"y": y},
        epochs=epochs,
        batch_size=config.batch_size,
        transform=(lambda batch, generator: {"y": binarised(batch["y"], generator)}) if bits else None,
    )


def _classify(trainer: Any, name: str, energy: NetworkTable, config: Config, data: Data) -> None:
    objective, mask = NegativeLogLikelihood(), Mask(config.missing)

    def loss(batch: Mapping[str, Tensor]) -> Any:
        with _half(config):
            return objective(energy, {**batch, "x": mask(batch["x"])})

    trainer.fit(
        name,
        _player(name, energy, loss, config.rate, config.average),
        data.train,
        epochs=config.epochs,
        batch_size=config.batch_size,
        validate=lambda: {"validation_error": error_rate(energy, data.validation)},
    )


def _player(name: str, energy: Energy, loss: Any, rate: float, average: float | None = None) -> Player:
    """Adam, with a rate that falls to zero in a straight line."""
    return Player(
        name,
        energy,
        loss,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=rate, fused=True),
        schedule=lambda optimizer, steps: LinearLR(optimizer, 1.0, 0.0, steps),
        average=average,
    )


def _half(config: Config) -> AbstractContextManager[Any]:
    """Where products are in bfloat16, if they are to be; energies are not."""
    return torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16)


@torch.no_grad()
def encoded(encoder: UnitLayer, y: Float[Tensor, "N D"], config: Config) -> Float[Tensor, "N K"]:
    """The code of the clean input, which is what the next layer learns to mend."""
    with _half(config):
        return torch.cat([encoder(some) for some in y.split(1000)])


def binarised(x: Tensor, generator: torch.Generator) -> Tensor:
    """Zeros and ones: each pixel is 1 with the probability that is its grey level."""
    return torch.rand(x.shape, generator=generator).to(x).lt(x).to(x)


def stack(model: Any) -> None:
    """The classifier begins with the encoders that denoising has found."""
    layers = [part for part in model["digits"].terms[1].network if isinstance(part, UnitLayer)]
    for number, layer in enumerate(layers, 1):
        layer.load_state_dict(model[f"layer_{number}"].network.encoder.state_dict())


# --- how well it does --------------------------------------------------------------------------------------------------


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    x, generator = data.test["x"], torch.Generator().manual_seed(0)
    digits, classifier = model["digits"], model["digits"].terms[1]
    found = {"test_error": 100 * error_rate(classifier, data.test)}
    found["scratch_error"] = 100 * error_rate(model["scratch"], data.test)
    found["pretraining_gains"] = found["scratch_error"] - found["test_error"]
    for kind, name in {"mask": "layer_1", **{name: name for name in NOISES}}.items():
        found[f"{kind}_linear_error"] = linear_error(model[name].network.encoder, data, config)
    drawn = sample(digits, config, binarised(x[:50], generator), config.turns, generator)
    belief, label = (-classifier.table("y", x=drawn)).softmax(-1).max(-1)
    share = label.flatten().bincount(minlength=config.classes) / label.numel()
    found["drawn_confident"] = 100 * (belief >= 0.9).double().mean().item()
    found["drawn_changes"] = 100 * (label[1:] != label[:-1]).double().mean().item()
    found["drawn_entropy"] = torch.special.entr(share).sum().item()
    some = x[:100]
    answers = fill(digits, config, {"x": Partial(some, TOP)}, 10, generator).mean(1)
    for name, answer in {"fill": answers, "mean": data.train["x"].mean(0)}.items():
        found[f"bottom_half_{name}_mse"] = (answer - some)[:, ~TOP].square().mean().item()
    spoilt = GaussianNoise(config.spiral_sigma)(data.extra["plane_test"], generator)
    wanted = exact_mend(spoilt, data.extra["plane"], config.spiral_sigma) - spoilt
    missed = model["spiral"].decoder(spoilt) - spoilt - wanted
    found["score_explained"] = 100 * (1 - missed.square().sum() / wanted.square().sum()).item()
    return found


def linear_error(encoder: Any, data: Data, config: Config) -> float:
    """Wrong answers of the best linear map from the code to one-hot labels (ridge regression), in per cent."""
    code, judged = (torch.cat([encoder(some) for some in part["x"].split(1000)]) for part in (data.train, data.test))
    mean = code.mean(0)
    wanted = torch.nn.functional.one_hot(data.train["y"], config.classes).to(code)
    gram = (code - mean).T @ (code - mean)
    ridge = 1e-4 * gram.diagonal().sum() * torch.eye(len(gram)).to(gram)
    weight = torch.linalg.solve(gram + ridge, (code - mean).T @ (wanted - wanted.mean(0)))
    answer = ((judged - mean) @ weight + wanted.mean(0)).argmax(1)
    return 100 * (answer != data.test["y"]).double().mean().item()


def sample(
    energy: Any, config: Config, start: Float[Tensor, "N H W"], turns: int, generator: torch.Generator
) -> Float[Tensor, "T N H W"]:
    """Chains by walking back; of each drawing the means of its pixels."""
    noise = SaltAndPepper(config.walker_noise)
    chain = walk_back(walker(energy), noise, start, turns, generator=generator)
    with torch.no_grad():
        return torch.stack([energy.terms[0].network(noise(x, generator)) for x in chain])


def exact_mend(x: Float[Tensor, "N D"], points: Float[Tensor, "M D"], sigma: float) -> Float[Tensor, "N D"]:
    """The mean of the points that x may have been before the noise: no denoiser can do better."""
    return (-0.5 * (torch.cdist(x, points) / sigma).square()).softmax(1) @ points


# --- pictures, and what a user may ask ----------------------------------------------------------------------------------


def fill(
    energy: Any, config: Config, known: Mapping[str, Any], count: int, generator: torch.Generator
) -> Float[Tensor, "N K H W"]:
    """Draws of the unknown pixels given the known ones: spoilt and mended by turns, with the known ones put back each time."""
    partial: Partial = known["x"]
    x = partial.value.clamp(0, 1).repeat_interleave(count, 0)
    mask = partial.known.expand(partial.value.shape).repeat_interleave(count, 0)
    bits, noise = walker(energy), SaltAndPepper(config.walker_noise)
    held = binarised(x, generator)
    value = torch.where(mask, held, binarised(torch.full_like(x, 0.2), generator))
    for _ in range(config.turns // 5):
        value = torch.where(mask, held, mend(bits, noise(value, generator), generator=generator))
    with torch.no_grad():
        return torch.where(mask, x, energy.terms[0].network(value)).reshape(-1, count, SIDE, SIDE)


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, filters, images, vector_field

    generator = torch.Generator().manual_seed(1)
    x, digits, sigma, plane = data.test["x"], model["digits"], config.spiral_sigma, data.extra["plane"]
    times = [time for time in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233) if time <= config.turns]
    drawn = sample(digits, config, binarised(x[:10], generator), times[-1], generator)[torch.tensor(times) - 1]
    chains = [torch.cat([start[None], chain]) for start, chain in zip(x[:10], drawn.transpose(0, 1), strict=True)]
    scattered = torch.rand(SIDE, SIDE, generator=generator) < 0.25
    filled = []
    for known, some in ((TOP, x[10:14]), (scattered, x[14:18])):
        several = fill(digits, config, {"x": Partial(some, known)}, 8, generator)
        given = torch.where(known, some, torch.nan)
        filled += [torch.stack([one, part, *each]) for one, part, each in zip(some, given, several, strict=True)]
    noises = {"mask": Mask(config.masked[0]), **NOISES}
    nets = {name: model["layer_1" if name == "mask" else name].network for name in noises}
    seen, mended = [], {}
    for name, noise in noises.items():
        weight, spoilt = nets[name].encoder.weight, noise(x[20:32], generator)
        seen.append(weight[weight.norm(dim=1).argsort(descending=True)[:64:4]].reshape(-1, SIDE, SIDE))
        mended |= {name.replace("_", " "): spoilt, f"{name.replace('_', ' ')}, mended": nets[name](spoilt).sigmoid()}
    errors = {
        "pre-trained": 100 * error_rate(digits.terms[1], data.test),
        "from random weights": 100 * error_rate(model["scratch"], data.test),
    }
    return [
        Picture("Walking back", "Chains that spoil and mend by turns. At the left the unseen digit where each begins, then the means of "
                "the pixels after so many turns.", images(chains, ["start", *map(str, times)], tile=0.6)),
        Picture("Where points are pulled", "r(x) − x of a denoiser of points on a spiral, and what it should be: the mean of the data near "
                "x, less x, which is σ² times the slope of the log density of the blurred data.",
                vector_field({"the denoiser": model["spiral"].decoder, "exact": lambda at: exact_mend(at, plane, sigma)},
                             data=plane[:400])),
        Picture("Missing pixels", "Unseen digits, what is given of them, and eight draws of the rest.",
                images(filled, ["digit", "given", *(str(k + 1) for k in range(8))], tile=0.7)),
        Picture("What the first layer looks for", "Weights of sixteen of the 64 longest units; a row for each noise that they learnt to "
                "mend: mask, salt and pepper, Gaussian, and none, a plain autoencoder.", filters(torch.cat(seen), columns=16)),
        Picture("Spoilt and mended", "Unseen digits with each kind of noise, and what one layer makes of them.",
                images(list(mended.values()), rows=list(mended), limits=(0, 1), tile=0.6)),
        Picture("What pre-training is good for", "Wrong answers of the same net on the test split.",
                bars(errors, label="wrong answers", unit="%")),
    ]  # fmt: skip


def embed(energy: Any, values: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
    """The code of the last layer."""
    return energy.terms[1].network[:-1](values["x"])


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Images as those it was trained on; digits may be of dark or bright ink, anywhere on the picture."""
    if config.images not in ("mnist", "digits"):
        return {"x": read_images(paths, (SIDE, SIDE), invert=True)["x"]}
    inside = [frame_ink(image, 20) for path in paths for image in read_images([path])["x"]]
    return {"x": torch.nn.functional.pad(torch.stack(inside), (4, 4, 4, 4))}


register(
    System(
        name="denoising_autoencoder",
        title="Denoising autoencoders, stacked to classify and walked to draw",
        rows=("R48",),
        paper="Vincent et al. 2008, 2010",
        config=Config,
        presets={
            "smoke": {
                "images": "digits", "hidden": (60, 40), "masked": (0.25, 0.25), "pretrain_epochs": 1, "epochs": 2, "noise_epochs": 1,
                "walker": (50, 50), "walker_epochs": 1, "walk": 2, "turns": 15, "spiral_steps": 20, "bfloat16": False,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        embed=embed,
        read=read,
        fill=fill,
        main="digits",
        metrics=(
            Metric("test_error", "lower", gate=1.3, gate_source="deeplearning.net tutorial, SdA", paper=1.28, unit="%",
                   about="Three layers, pre-trained and fine-tuned."),
            Metric("scratch_error", "lower", unit="%", about="The same net and fine-tuning from random weights."),
            Metric("pretraining_gains", "higher", gate=0.0, gate_source="own", unit="%", about="The difference of the two."),
            Metric("mask_linear_error", "lower", unit="%", about="A linear map of the first layer's code."),
            Metric("salt_and_pepper_linear_error", "lower", unit="%", about="The same for a layer that learnt to mend salt and pepper."),
            Metric("gaussian_linear_error", "lower", unit="%", about="The same for Gaussian noise."),
            Metric("nothing_linear_error", "lower", unit="%", about="The same for a plain autoencoder."),
            Metric("drawn_confident", "higher", unit="%", about="Of 100 chains after 300 turns: called a digit with probability ≥ 0.9."),
            Metric("drawn_changes", "higher", unit="%", about="Turns after which a chain is called another digit."),
            Metric("drawn_entropy", "higher", unit="nats", about="Of the labels drawn; 2.30 if all are drawn equally often."),
            Metric("bottom_half_fill_mse", "lower", unit="ink²", about="Mean of ten fillings of the bottom half, squared error a pixel."),
            Metric("bottom_half_mean_mse", "lower", unit="ink²", about="The same for the mean of the training images."),
            Metric("score_explained", "higher", gate=95.0, gate_source="own", unit="%",
                   about="Of the exact σ² ∇ log p on the spiral's plane, by r(x) − x."),
        ),
    )
)  # fmt: skip
