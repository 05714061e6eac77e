"""An energy of images that is a convolutional network, trained with chains that go on: samples, missing halves, and what is no digit.

    E(x) = ‖x‖² / 2σ² − net(x)          x: a digit seen through noise, x = digit + σε;  exp(−E) is the density of what is seen so
    x̂    = x − σ²∇E(x)                  the mean of the digits that may have been seen so: one step downhill takes the noise away

Chains walk among noisy digits, where no gap is too wide to cross, and what they write is looked at one step further down.

Training: first the slope, by denoising (A4), then in the same loss Langevin chains from a store of earlier ends (C2): lower E at noisy
    digits, raise it where the chains end. One chain in twenty-five begins anew: at noise, or at digits that are turned or mirrored.
No collapse: chains find what is low besides the data, and it is pushed up; a flat energy can't tell the noise that was added, either.
    The energy can't run away: far from all digits the first term wins, as net grows like ‖x‖. Squares of energies are held small, and
    a guard watches the chains.
Sources: Du & Mordatch, NeurIPS 2019, and Nijkamp, Hill, Zhu & Wu, NeurIPS 2019, for chains from a store and from noise; Saremi &
    Hyvärinen, Neural Empirical Bayes, JMLR 20 (2019), for walking among noisy images and jumping to clean ones; Grathwohl et al.,
    ICLR 2020, for telling strange images by their energy; Vincent, Neural Computation 23 (2011), for the slope.
Differences: 1. The noise is part of the model: an energy of noisy images at inverse temperature 1, rather than of clean ones at
    a gradient a hundred times as strong as the noise. 2. A term of denoising beside the chains. 3. Chains begin anew at digits that are
    turned or mirrored as well as at noise.
Expect: twelve minutes of one core with ``--precision bf16-mixed``, which halves the time of the chains; judged in full precision. Of 200
    chains from noise 72 % end at an image of which a LeNet is sure (80 wanted), with 1.66 nats of entropy between classes (2.0 wanted);
    62 % write more than one digit on their way. Heights tell USPS, patches, shuffled pixels and noise from digits (AUROC 0.999 or more),
    Omniglot nearly (0.935), and digits turned over or mirrored badly (0.77 and 0.75; 0.95 wanted of all).
Known failure: by its energy alone a simple strange image lies below a complicated digit, so what is compared is its height above the
    ground that it slides to. A digit that is turned over and still is one, as many a 0, 1, 3 and 8, can't be told.

Your own images: ``lowland train network_energy --images FOLDER``, with one sub-folder of images for each of ten classes; dark ink on
light paper. Ask a run with ``lowland infer RUN seven.png --hide bottom --samples 5`` and ``lowland score RUN seven.png``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ...data import dataset, frame_ink, gone_wrong, labelled_images, other_writing, read_images
from ...energy import Energy, NetworkTable, Partial
from ...inference import GradientDescent, Langevin, infer, solve
from ...nets import ModernLeNet
from ...objectives import (
    DenoisingScoreMatching,
    Guard,
    Loss,
    NegativeLogLikelihood,
    ReplayContrastiveDivergence,
    auroc,
    error_rate,
    shuffled,
)
from ...spaces import Box, Real
from ...system import Data, Metric, System, register
from ...train import Player

SIDE = 28
CLASSES = 10
#: Data sets of other writing, and the splits that are read.
STRANGERS = {"usps": "test", "omniglot": "evaluation"}
#: How sure the judge must be of a label to be said to know it.
SURE = 0.9
#: Images of each kind that are compared.
JUDGED = 600
#: Steps downhill from an image to the ground it is compared with.
RELAXED = 60
#: Steps of a chain between two looks at it.
LOOK = 20


@dataclass(frozen=True)
class Config:
    """How the energy is trained and asked."""

    images: str = "mnist"
    """Data: mnist, digits (embedded), or a folder with one sub-folder of images for each of ten classes."""
    usps: str = "usps"
    """Other digits: usps, or strokes for a stand-in that needs no files."""
    omniglot: str = "omniglot"
    """Other writing: omniglot, or strokes."""
    sigma: float = 0.3
    """Standard deviation of the noise, in units of ink."""
    channels: tuple[int, int] = (32, 64)
    """Maps of the two layers of convolutions."""
    hidden: int = 512
    """Units of the layer after them."""
    denoising_steps: int = 1500
    """Steps of training before there are chains."""
    steps: int = 2800
    """Steps of training with chains."""
    batch_size: int = 100
    """Digits in a batch, and chains."""
    rate: float = 4e-4
    """Step of Adam with chains, in units of weight; twice that before."""
    average: float = 0.998
    """Decay of the running average of the weights, a step."""
    chain_steps: int = 8
    """Steps of Langevin in a step of training."""
    stride: float = 0.4
    """Rate of Langevin, in units of σ²: 1 would take all noise away at each step, and put new noise in its place."""
    capacity: int = 1000
    """Ends of chains in the store."""
    fresh: float = 0.04
    """Probability that a chain begins anew."""
    judge_epochs: int = 2
    """Passes over the data for the classifier that judges samples."""
    chains: int = 200
    """Chains that are judged."""
    chain_length: int = 1600
    """Steps of each; what they write is judged at the end, whether they change it in the second half."""


class NoisyImages(Energy):
    """‖x‖²/2σ² − net(x): where net is the log partition function of what may lie under x, −E is the log density of noisy images.

    Args:
        sigma: σ, standard deviation of the noise.
        channels: Maps of the two layers of convolutions.
        hidden: Units of the layer after them.
    """

    @classmethod
    def example(cls) -> NoisyImages:
        return cls(0.3, (4, 8), 16)

    def __init__(self, sigma: float, channels: tuple[int, int], hidden: int) -> None:
        super().__init__(x=Real(SIDE, SIDE))
        first, second = channels
        self.sigma = sigma
        self.layers = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(second * (SIDE // 4) ** 2, hidden),
            nn.SiLU(),
        )
        self.last = nn.Linear(hidden, 1)
        nn.init.constant_(self.last.bias, 0.5 * SIDE**2)  # what noise alone costs

    def features(self, x: Float[Tensor, "N H W"]) -> Float[Tensor, "N K"]:
        """What the layer before the last answers."""
        return self.layers(x.unsqueeze(1))

    def energies(self, x: Tensor) -> Tensor:
        features = self.features(x)
        with torch.autocast(x.device.type, enabled=False):  # energies are large, and half precision has three digits
            return 0.5 * x.square().sum((1, 2)) / self.sigma**2 - self.last(features.to(self.last.weight)).squeeze(1)

    @torch.no_grad()
    def clean(self, x: Float[Tensor, "*B H W"]) -> Float[Tensor, "*B H W"]:
        """x − σ²∇E(x), the mean of the clean images that may lie under noisy ones."""
        return (x - self.sigma**2 * self.gradient("x", x=x)).clamp(0, 1)


def build(config: Config) -> nn.ModuleDict:
    judge = NetworkTable(ModernLeNet(classes=CLASSES), Box(0.0, 1.0, SIDE, SIDE), CLASSES)
    return nn.ModuleDict({"network": NoisyImages(config.sigma, config.channels, config.hidden), "judge": judge})


def data(config: Config) -> Data:
    found = labelled_images(config.images, classes=CLASSES)
    extra = {"usps": other_writing(config.usps, SIDE, noise=0.1), "omniglot": other_writing(config.omniglot, SIDE)}
    others = {
        name: dataset(name).record(split) for name, split in STRANGERS.items() if name in (config.usps, config.omniglot)
    }
    return Data(found.train, found.validation, found.test, {**found.sources, **others}, found.classes, extra)


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    judge, energy = model["judge"], model["network"]
    likelihood, denoising = NegativeLogLikelihood(), DenoisingScoreMatching(config.sigma)
    trainer.fit(
        "judge",
        Player("judge", judge, partial(likelihood, judge), partial(torch.optim.AdamW, lr=4e-3), falling, average=0.998),
        data.train,
        epochs=config.judge_epochs,
        batch_size=128,
        validate=lambda: {"validation_error": error_rate(judge, data.validation)},
    )
    x = {"x": data.train["x"]}
    trainer.fit(
        "denoising",
        Player("network", energy, partial(denoising, energy), partial(torch.optim.Adam, lr=2 * config.rate), falling),
        x,
        steps=config.denoising_steps,
        batch_size=config.batch_size,
        drop_last=True,
    )
    chains = ReplayContrastiveDivergence(
        sampler(config.sigma, config.stride), config.chain_steps, config.capacity, config.fresh, begin,
        guard=Guard(regularization=1e-5),
    )  # fmt: skip

    def loss(batch: Mapping[str, Tensor]) -> Loss:
        noisy = batch["x"] + config.sigma * torch.randn_like(batch["x"])
        pushed, restored = chains(energy, {"x": noisy}), denoising(energy, batch)
        return Loss(pushed.value + restored.value, {**pushed.parts, "denoising": restored.value.detach()})

    trainer.fit(
        "chains",
        Player(
            "network",
            energy,
            loss,
            partial(torch.optim.Adam, lr=config.rate, betas=(0.5, 0.999)),
            falling,
            average=config.average,
            memory={"chains": chains},
        ),
        x,
        steps=config.steps,
        batch_size=config.batch_size,
        drop_last=True,
        validate=lambda: _look(energy, data),
    )


def falling(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """As it is for half of the steps, then in a straight line to nearly zero."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2.0 * (1 - step / (steps + 1))))


def sampler(sigma: float, stride: float) -> Langevin:
    """Langevin with steps of stride · σ². Long steps shake too much: noise would get a variance of σ² / (1 − ½ stride), hence β."""
    return Langevin(stride * sigma**2, beta=1 / (1 - 0.5 * stride))


def begin(data: Tensor, count: int) -> Tensor:
    """Where chains begin anew: a quarter at noise of the data's own scale, the others at digits that are turned or mirrored."""
    x = data[torch.randint(len(data), (count,), device=data.device)]
    way = torch.randint(1, 8, (count, 1, 1), device=data.device)
    for bit, moved in enumerate((lambda x: x.flip(1), lambda x: x.flip(2), lambda x: x.transpose(1, 2))):
        x = torch.where((way >> bit & 1).bool(), moved(x), x)
    return torch.where(torch.rand_like(x[:, :1, :1]) < 0.75, x, shuffled(data, count))


def walk(
    energy: NoisyImages, start: Tensor, steps: int, config: Config, generator: torch.Generator
) -> Float[Tensor, "T N H W"]:
    """What chains from ``start`` write, every `LOOK` steps."""
    found = solve(sampler(energy.sigma, config.stride), energy, start, steps=steps, generator=generator, record=LOOK)
    return found.info["trajectory"]


@torch.no_grad()
def judged(judge: NetworkTable, x: Float[Tensor, "*B H W"]) -> Int64[Tensor, "*B"]:
    """The judge's labels, −1 where it is not sure."""
    costs = torch.cat([judge.table("y", x=rows) for rows in x.reshape(-1, SIDE, SIDE).split(1000)])
    sure, label = costs.neg().softmax(-1).max(-1)
    return torch.where(sure >= SURE, label, -1).reshape(x.shape[:-2])


def _look(energy: NoisyImages, data: Data) -> dict[str, float]:
    """A quick estimate of what is judged in the end."""
    x = data.validation["x"][:500]
    low = heights(energy, x, steps=10)
    wrong = gone_wrong(x, torch.Generator().manual_seed(0))
    return {
        f"validation_{name}_auroc": auroc(low, heights(energy, wrong[name], steps=10))
        for name in ("upside_down", "patches")
    }


@torch.no_grad()
def energies(energy: Energy, x: Tensor) -> Float[Tensor, " N"]:
    """Of many images, a chunk at a time."""
    return torch.cat([energy(x=rows) for rows in x.split(1000)])


def heights(energy: NoisyImages, x: Float[Tensor, "N H W"], steps: int) -> Float[Tensor, " N"]:
    """How far images lie above the low ground they slide to; digits that are simple and low don't hide others that are not."""
    down = GradientDescent(0.5 * energy.sigma**2)
    low = torch.cat([solve(down, energy, rows, steps=steps, tol=0.0).energy for rows in x.split(1000)])
    return energies(energy, x) - low


def strangers(data: Data) -> dict[str, Float[Tensor, "N H W"]]:
    """What is no digit of the data: at most `JUDGED` of each kind, spread over it."""
    some = {**gone_wrong(data.test["x"], torch.Generator().manual_seed(0)), **data.extra}
    return {name: x[:: -(-len(x) // JUDGED)] for name, x in some.items()}


def scores(model: Any, data: Data) -> dict[str, Callable[[Tensor], Tensor]]:
    """How strange an image is: by how far above the ground it lies, by its energy, and by two numbers that need no training."""

    def far(number: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        usual = number(data.train["x"]).median()
        return lambda x: (number(x) - usual).abs()

    return {
        "height": partial(heights, model["network"], steps=RELAXED),
        "energy": partial(energies, model["network"]),
        "ink": far(lambda x: x.mean((1, 2))),
        "variation": far(lambda x: x.diff(dim=1).abs().sum((1, 2)) + x.diff(dim=2).abs().sum((1, 2))),
    }


def told_apart(model: Any, data: Data) -> dict[str, dict[str, float]]:
    """For each score and kind of strangers the probability that a test digit is less strange than one of them."""
    usual, others = data.test["x"][:JUDGED], strangers(data)
    found = {}
    for name, score in scores(model, data).items():
        low = score(usual)
        found[name] = {kind: auroc(low, score(x)) for kind, x in others.items()}
    return found


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    energy, judge = model["network"], model["judge"]
    generator = torch.Generator().manual_seed(0)
    start = noise(data, config, config.chains, generator)
    half = config.chain_length // 2
    middle = walk(energy, start, half, config, generator)[-1]
    labels = judged(judge, energy.clean(walk(energy, middle, half, config, generator)))
    found = {"judge_error": 100 * error_rate(judge, data.test)} | habits(labels)
    x, y = data.test["x"][:300], data.test["y"][:300]
    filled = fill(energy, config, {"x": Partial(x, TOP)}, 1, generator)[:, 0]
    found["filled_error"] = 100 * error_rate(judge, {"x": filled, "y": y})
    found["half_error"] = 100 * error_rate(judge, {"x": torch.where(TOP, x, 0.0), "y": y})
    apart = told_apart(model, data)
    found |= {f"{kind}_auroc": value for kind, value in apart["height"].items()}
    found |= {f"mean_auroc_of_{name}": sum(each.values()) / len(each) for name, each in apart.items()}
    return found


def habits(labels: Int64[Tensor, "T N"]) -> dict[str, float]:
    """What the judge says of chains: of where they end, and of how often they change what they write."""
    last = labels[-1]
    share = last[last >= 0].bincount(minlength=CLASSES) / max(int((last >= 0).sum()), 1)
    kinds = torch.stack([(labels == label).any(0) for label in range(CLASSES)]).sum(0)
    return {
        "sure": 100 * (last >= 0).double().mean().item(),
        "entropy": 0.0 - torch.special.xlogy(share, share).sum().item(),
        "chains_that_change": 100 * (kinds > 1).double().mean().item(),
        "labels_per_chain": kinds.double().mean().item(),
    }


#: The pixels of the upper half.
TOP = (torch.arange(SIDE) < SIDE // 2).unsqueeze(-1).expand(SIDE, SIDE)


def noise(data: Data, config: Config, count: int, generator: torch.Generator) -> Float[Tensor, "N H W"]:
    """Where judged chains begin: noise whose every pixel has the scale of the data's."""
    x = data.train["x"].flatten(1)
    rows = torch.randint(len(x), (count, x.shape[1]), generator=generator)
    mixed = x.gather(0, rows).reshape(count, SIDE, SIDE)
    return mixed + config.sigma * torch.randn(mixed.shape, generator=generator)


def fill(
    energy: NoisyImages, config: Config, known: Mapping[str, Any], count: int, generator: torch.Generator
) -> Float[Tensor, "N K H W"]:
    """Draws of the unknown pixels given the known ones: a chain among the noisy images that agree with them, then a step down."""
    value, mask = (
        part.repeat_interleave(count, 0) for part in (known["x"].value, known["x"].known.expand(known["x"].value.shape))
    )
    seen = value + config.sigma * torch.randn(value.shape, generator=generator).to(value)
    start = torch.where(mask, seen, config.sigma * torch.randn(value.shape, generator=generator).to(value))
    options = {"steps": config.chain_length // 8, "generator": generator}
    chain = sampler(energy.sigma, config.stride)
    found = infer(energy, "x", x=Partial(seen, mask), solver=chain, init=start, options=options).value
    return torch.where(mask, value, energy.clean(found)).unflatten(0, (-1, count))


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, filters, images, table

    energy, generator = model["network"], torch.Generator().manual_seed(1)
    chains = walk(energy, noise(data, config, 40, generator), config.chain_length, config, generator)
    seen = energy.clean(chains)
    times = [0, 1, 2, 4, 8, *range(len(seen) // 10, len(seen), max(len(seen) // 10, 1))]
    times = sorted({time for time in times if time < len(seen)})
    x = data.test["x"][:8]
    halves = fill(energy, config, {"x": Partial(x, TOP)}, 8, generator)
    rows = [
        torch.stack([one, torch.where(TOP, one, torch.nan), *several]) for one, several in zip(x, halves, strict=True)
    ]
    others, apart = strangers(data), told_apart(model, data)
    names = [kind.replace("_", " ") for kind in others]
    cells = [
        [name, *(f"{each[kind]:.3f}" for each in apart.values())] for name, kind in zip(names, others, strict=True)
    ]
    by_height = dict(zip(names, apart["height"].values(), strict=True))
    return [
        Picture("What it dreams", f"Forty chains from noise after {config.chain_length} steps of Langevin, and a step downhill.",
                images(list(seen[-1].split(20)))),
        Picture("They change their mind", "Chains from noise, one a row, and how many steps they have taken.",
                images([seen[times, chain] for chain in range(8)], [str(time * LOOK) for time in times])),
        Picture("As the chain sees it", "Three of these chains with the noise among which they walk.",
                images([chains[times, chain] for chain in range(3)], limits=(0.0, 1.0))),
        Picture("The other half", "An unseen digit, its top half, and eight draws of the rest given it.",
                images(rows, ["digit", "given", *[str(k + 1) for k in range(halves.shape[1])]])),
        Picture("What is no digit", "The probability that an unseen digit is less strange than one of these (AUROC): by its height above "
                "the ground it slides to, by its energy, and by the amount of ink and the total variation, as far as they are from usual.",
                table(cells, ["", *apart])),
        Picture("Told apart by height", "The first column of the table; a half is a guess, and 0.95 was wanted.",
                bars(by_height, label="AUROC", levels={"wanted": 0.95})),
        Picture("Strangers", "Some of each kind.", images([some[:14] for some in others.values()], rows=names)),
        Picture("Kernels of the first layer", "Red is positive, blue is negative.",
                filters(energy.layers[0].weight.detach()[:, 0], columns=16)),
    ]  # fmt: skip


@torch.no_grad()
def embed(energy: NoisyImages, values: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
    """What the layer before the last answers."""
    return energy.features(values["x"])


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Images as ink on paper; digits may be of dark or bright ink, anywhere on the picture."""
    if config.images in ("mnist", "digits"):
        return {"x": torch.stack([frame_ink(image, SIDE) for path in paths for image in read_images([path])["x"]])}
    return {"x": read_images(paths, (SIDE, SIDE), invert=True)["x"]}


AUROC = "Probability that an unseen digit lies less high above the ground it slides to than one of these: "

register(
    System(
        name="network_energy",
        title="An image energy that is a network, trained with chains that go on",
        rows=("R45", "R46"),
        paper="Du & Mordatch 2019; Nijkamp et al. 2019; Saremi & Hyvärinen 2019",
        config=Config,
        presets={
            "smoke": {
                "images": "digits", "usps": "strokes", "omniglot": "strokes", "channels": (4, 8), "hidden": 32,
                "denoising_steps": 30, "steps": 10, "chain_steps": 3, "capacity": 200, "judge_epochs": 1, "chains": 20, "chain_length": 80,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="network",
        unknown="x",
        fill=fill,
        embed=embed,
        read=read,
        metrics=(
            Metric("sure", "higher", gate=80.0, gate_source="own", unit="%",
                   about="Chains from noise whose end the judge, a LeNet, gives a label with a probability of at least 0.9."),
            Metric("entropy", "higher", gate=2.0, gate_source="own, of at most 2.30", unit="nats", about="Of the labels it gives them."),
            Metric("chains_that_change", "higher", gate=50.0, gate_source="own", unit="%",
                   about="Chains that write digits of two or more labels in the second half of their steps."),
            Metric("labels_per_chain", "higher", about="How many labels a chain writes there, of ten."),
            Metric("judge_error", "lower", unit="%", about="Of the judge on the test split."),
            Metric("filled_error", "lower", unit="%", about="Of the judge on test digits whose lower half the energy filled in."),
            Metric("half_error", "lower", unit="%", about="The same where the lower half is left blank."),
            Metric("upside_down_auroc", "higher", gate=0.95, gate_source="own", about=AUROC + "test digits turned over, top to bottom."),
            Metric("mirrored_auroc", "higher", gate=0.95, gate_source="own", about=AUROC + "test digits mirrored, left to right."),
            Metric("omniglot_auroc", "higher", gate=0.95, gate_source="own", about=AUROC + "characters of Omniglot's evaluation set."),
            Metric("usps_auroc", "higher", gate=0.95, gate_source="own", about=AUROC + "test digits of USPS, enlarged, with noise of 0.1."),
            Metric("patches_auroc", "higher", gate=0.95, gate_source="own", about=AUROC + "test digits whose 7×7 patches are shuffled."),
            Metric("pixels_auroc", "higher", gate=0.95, gate_source="own", about=AUROC + "test digits whose pixels are shuffled."),
            Metric("noise_auroc", "higher", gate=0.95, gate_source="own", about=AUROC + "pixels drawn uniformly."),
            Metric("mean_auroc_of_height", "higher", about="Mean over those seven sets."),
            Metric("mean_auroc_of_energy", "higher", about="The same by energy alone."),
            Metric("mean_auroc_of_ink", "higher", about="The same where an image is as strange as its amount of ink."),
            Metric("mean_auroc_of_variation", "higher", about="The same by total variation."),
        ),
    )
)  # fmt: skip
