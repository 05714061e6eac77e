"""Vector quantisation: a digit as 49 choices among K codewords, and what happens to the codewords nobody chooses.

    E(x, z) = ½‖x − g(W_z)‖²                x: a digit; z: 7 × 7 places, one of K codewords each
    F(x)    ≈ E(x, nearest codewords of f(x))           an encoder says the code

A code of 49 places holds 49 log₂ K bits, and no decoder can make more than K⁴⁹ pictures low (strategy A2). Books of 8, 64 and 512
codewords are trained with restarts, and one of 512 without, in which most codewords are never chosen and so never learn.

Training: lower E through the choice, which has no slope ("straight through"), and hold f(x) to what was chosen, by Adam; codewords are
    running means of what chose them. A codeword chosen less than a tenth of its due is put where some f(x) is.
No collapse: few bits, few low pictures. The other collapse is of the book, which the perplexity tells: e to the entropy of how often
    codewords are used, over the test images.
Sources: van den Oord, Vinyals & Kavukcuoglu, Neural Discrete Representation Learning, NIPS 2017; Razavi, van den Oord & Vinyals, NeurIPS
    2019, for running means; Dhariwal et al., Jukebox, 2020, for restarts.
Differences: 1. Two convolutions each way and no residual blocks, for 28 × 28 pixels. 2. No model of the codes: bits are counted by how
    often each codeword is chosen at each place of the training images, and codes drawn that way are no digits.
Expect: squared error 0.0126, 0.0067 and 0.0049 a pixel with 8, 64 and 512 codewords, at 90, 181 and 296 bits an image (paper alone:
    0.0675); of the 512, 69 % are in use, without restarts 2 %, with an error of 0.0103. Means of seeds 0 to 2, 3.5 minutes a run.
Known failure: codes drawn place by place are no digits.

Your own images: ``lowland train vector_quantisation --images FOLDER``, with one sub-folder of images for each class; dark ink on light
paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ...data import frame_ink, labelled_images, read_images
from ...energy import Codebook, QuantisedReconstruction
from ...objectives import VectorQuantisation, perplexity
from ...spaces import Box
from ...system import Data, Metric, System, register
from ...train import Player

SIDE, GRID = 28, 7
NAMES = ("coarse", "middle", "fine", "shrunk")
#: Training images whose codes are counted.
COUNTED = 20_000


@dataclass(frozen=True)
class Config:
    """How the auto-encoders are trained and judged."""

    images: str = "mnist"
    """Data: mnist, digits (embedded), or a folder with one sub-folder of images for each class."""
    sizes: tuple[int, ...] = (8, 64, 512, 512)
    """Codewords of the coarse, the middle and the fine book, and of the one without restarts."""
    dim: int = 16
    """Length of a codeword."""
    channels: int = 32
    """Feature maps of the convolutions."""
    epochs: int = 1
    """Passes over the data, for each book."""
    rate: float = 4e-3
    """Step of Adam at the start, in units of the weights; it falls to zero along a cosine."""
    batch_size: int = 128
    """Images in a batch."""
    commitment: float = 0.25
    """Weight of the distance between a vector and its codeword, in units of grey² per unit of that distance."""
    decay: float = 0.95
    """Of the running means that codewords are."""
    restart: float = 0.1
    """Codewords chosen less than this share of their due are put to use elsewhere."""


def build(config: Config) -> nn.ModuleDict:
    return nn.ModuleDict({name: _model(config, size) for name, size in zip(NAMES, config.sizes, strict=True)})


def _model(config: Config, size: int) -> QuantisedReconstruction:
    maps, dim = config.channels, config.dim

    def unit() -> nn.Module:
        return nn.Sequential(nn.GroupNorm(1, maps), nn.ReLU())

    encoder = nn.Sequential(
        nn.Unflatten(1, (1, SIDE)),
        nn.Conv2d(1, maps, 4, 2, 1),
        unit(),
        nn.Conv2d(maps, maps, 4, 2, 1),
        unit(),
        nn.Conv2d(maps, dim, 1),
        nn.Flatten(2),
        _Swapped(),
    )
    decoder = nn.Sequential(
        _Swapped(),
        nn.Unflatten(2, (GRID, GRID)),
        nn.Conv2d(dim, maps, 3, padding=1),
        unit(),
        nn.ConvTranspose2d(maps, maps, 4, 2, 1),
        unit(),
        nn.ConvTranspose2d(maps, 1, 4, 2, 1),
        nn.Sigmoid(),
        nn.Flatten(1, 2),
    )
    return QuantisedReconstruction(encoder, Codebook(GRID * GRID, dim, size), decoder, Box(0.0, 1.0, SIDE, SIDE))


class _Swapped(nn.Module):
    """``(N, A, B) → (N, B, A)``: feature maps at places, or places with features."""

    def forward(self, x: Float[Tensor, "N A B"]) -> Float[Tensor, "N B A"]:
        return x.transpose(1, 2)


def data(config: Config) -> Data:
    found = labelled_images(config.images)
    train, validation, test = ({"x": part["x"]} for part in (found.train, found.validation, found.test))
    return Data(train, validation, test, found.sources)


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    for name in NAMES:
        energy = model[name]
        restart = 0.0 if name == "shrunk" else config.restart
        objective = VectorQuantisation(config.commitment, config.decay, restart)
        trainer.fit(
            name,
            Player(
                name,
                energy,
                lambda batch, energy=energy, objective=objective: objective(energy, batch),
                optimizer=lambda parameters: torch.optim.Adam(parameters, lr=config.rate),
                schedule=lambda optimizer, steps: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
                memory={"codewords": objective},
            ),
            data.train,
            epochs=config.epochs,
            batch_size=config.batch_size,
            validate=lambda energy=energy: {"validation_error": error(energy, data.validation["x"])},
        )


# --- codes, and what they are worth -------------------------------------------------------------------------------------


@torch.no_grad()
def codes(energy: QuantisedReconstruction, x: Float[Tensor, "N H W"]) -> Int64[Tensor, "N P"]:
    """The encoder's code of each image."""
    return torch.cat([energy.code(part) for part in x.split(500)])


@torch.no_grad()
def error(energy: QuantisedReconstruction, x: Float[Tensor, "N H W"]) -> float:
    """Mean squared error of a pixel, in units of grey²."""
    parts = [energy(x=part, z=energy.code(part)) for part in x.split(500)]
    return 2 * torch.cat(parts).double().mean().item() / x[0].numel()


def frequencies(z: Int64[Tensor, "N P"], size: int) -> Float[Tensor, "P K"]:
    """How often each codeword is chosen at each place, after one more choice of every codeword."""
    often = torch.ones(z.shape[1], size, dtype=torch.float64)
    often.scatter_add_(1, z.T, torch.ones(z.T.shape, dtype=torch.float64))
    return often / often.sum(1, keepdim=True)


def bits(z: Int64[Tensor, "N P"], often: Float[Tensor, "P K"]) -> float:
    """Mean length of a code of images, for places coded one by one by these frequencies."""
    return -often.log2()[torch.arange(z.shape[1]), z].sum(1).mean().item()


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    x, found = data.test["x"], {}
    for name, size in zip(NAMES, config.sizes, strict=True):
        energy = model[name]
        z = codes(energy, x)
        found[f"{name}_error"] = error(energy, x)
        found[f"{name}_perplexity"] = perplexity(z, size).item()
        found[f"{name}_bits"] = bits(z, frequencies(codes(energy, data.train["x"][:COUNTED]), size))
    found["grey_error"] = (x - data.train["x"].mean(0)).double().square().mean().item()
    found["noise_over_digits"] = error(model["fine"], _noise(x)) / found["fine_error"]
    found["shrunk_in_use"] = 100 * found["shrunk_perplexity"] / config.sizes[NAMES.index("shrunk")]
    found["fine_in_use"] = 100 * found["fine_perplexity"] / config.sizes[NAMES.index("fine")]
    return found


def _noise(x: Float[Tensor, "N H W"]) -> Float[Tensor, "N H W"]:
    """The same pixels in any order."""
    order = torch.rand(x.flatten(1).shape, generator=torch.Generator().manual_seed(0)).argsort(1)
    return x.flatten(1).gather(1, order).reshape(x.shape)


# --- pictures, and what a user may ask ----------------------------------------------------------------------------------


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, images, lines

    x, fine = data.test["x"], model["fine"]
    shown = x[:12]
    rows = {"digit": shown}
    lengths, errors, used = [], [], {}
    for name, size in zip(NAMES, config.sizes, strict=True):
        energy, label = model[name], f"{size} codewords" + (", no restarts" if name == "shrunk" else "")
        rows[label] = energy.decode(codes(energy, shown))
        z = codes(energy, x)
        often = torch.bincount(z.flatten(), minlength=size).double() / z.numel()
        used[label] = often.sort(descending=True).values.clamp_min(1e-7)
        if name != "shrunk":
            lengths.append(GRID * GRID * math.log2(size))
            errors.append(error(energy, x))
    size = config.sizes[NAMES.index("fine")]
    often = frequencies(codes(fine, data.train["x"][:COUNTED]), size)
    drawn = torch.multinomial(often, 24, replacement=True, generator=torch.Generator().manual_seed(1)).T
    noise = _noise(shown)
    few = torch.bincount(codes(fine, x).flatten(), minlength=size).argsort(descending=True)[:48]
    blank = codes(fine, torch.zeros(1, SIDE, SIDE)).expand(len(few), -1).clone()
    blank[:, GRID * GRID // 2] = few
    return [
        Picture("A digit in 49 choices", "Unseen digits, and what is left of them after each of 49 places has become one of K codewords.",
                images(list(rows.values()), rows=list(rows), limits=(0.0, 1.0))),
        Picture("Bits and errors", "Squared error of a pixel of unseen digits against what a code can hold, 49 log₂ K bits.",
                lines(lengths, {"with restarts": errors}, xlabel="bits of a code", ylabel="squared error (grey²)", log=False)),
        Picture("Codewords in use", "How often each codeword is chosen over the unseen digits, the most frequent first: without restarts "
                "most are never chosen.", lines({name: torch.arange(1, len(part) + 1) for name, part in used.items()}, used,
                                                xlabel="codeword", ylabel="share of all choices", log=True, logx=True)),
        Picture("What a codeword stands for", "The 48 most frequent codewords, each put in the middle of blank paper and decoded.",
                images(fine.decode(blank), columns=16, limits=(0.0, 1.0))),
        Picture("What it can not say", "Pixels of digits in any order, and their reconstruction by the fine book: noise has no code.",
                images([noise, fine.decode(codes(fine, noise))], rows=["shuffled", "decoded"], limits=(0.0, 1.0))),
        Picture("Codes drawn place by place", "Each place on its own, as often as in the training images: strokes, but no digits. A code "
                "needs a model of its own to be drawn from.", images(fine.decode(drawn), columns=12, limits=(0.0, 1.0))),
    ]  # fmt: skip


@torch.no_grad()
def embed(energy: QuantisedReconstruction, values: Mapping[str, Tensor]) -> Float[Tensor, "N D"]:
    """The codewords of all places, one after the other."""
    return energy.codebook.W[energy.code(values["x"])].flatten(1)


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Images, 1 is ink; digits may be of dark or bright ink, anywhere on the picture."""
    if config.images in ("mnist", "digits"):
        return {"x": torch.stack([frame_ink(image, SIDE) for path in paths for image in read_images([path])["x"]])}
    return {"x": read_images(paths, (SIDE, SIDE), invert=True)["x"]}


register(
    System(
        name="vector_quantisation",
        title="Digits as choices among codewords",
        rows=("R42",),
        paper="van den Oord, Vinyals & Kavukcuoglu 2017",
        config=Config,
        presets={
            "smoke": {"images": "digits", "sizes": (3, 4, 6, 6), "dim": 3, "channels": 4, "epochs": 1},
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="fine",
        unknown=None,
        embed=embed,
        read=read,
        metrics=(
            Metric("coarse_error", "lower", unit="grey²", about="Mean squared error of a pixel of the test images, 8 codewords."),
            Metric("coarse_perplexity", "higher", about="Codewords in use: e to the entropy of how often each is chosen."),
            Metric("coarse_bits", "lower", unit="bits", about="Length of a test image's code, places coded by frequencies in training."),
            Metric("middle_error", "lower", unit="grey²", about="The same for 64 codewords."),
            Metric("middle_perplexity", "higher", about="Of 64."),
            Metric("middle_bits", "lower", unit="bits", about="At most 294."),
            Metric("fine_error", "lower", gate=0.005, gate_source="own", unit="grey²", about="The same for 512 codewords."),
            Metric("fine_perplexity", "higher", about="Of 512."),
            Metric("fine_bits", "lower", unit="bits", about="At most 441."),
            Metric("fine_in_use", "higher", gate=50.0, gate_source="own", unit="%", about="That perplexity as a share of the book."),
            Metric("shrunk_error", "lower", unit="grey²", about="The same for 512 codewords without restarts."),
            Metric("shrunk_perplexity", "higher", about="Of 512."),
            Metric("shrunk_bits", "lower", unit="bits", about="At most 441, were they in use."),
            Metric("shrunk_in_use", "lower", gate=25.0, gate_source="own", unit="%", about="Control: the book must have shrunk."),
            Metric("grey_error", "lower", unit="grey²", about="Where every image is decoded as the mean of the training images."),
            Metric("noise_over_digits", "higher", gate=3.0, gate_source="own",
                   about="Error of shuffled pixels over that of digits, fine book."),
        ),
    )
)  # fmt: skip
