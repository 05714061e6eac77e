"""A small system for the tests: logistic regression on digits, with everything random that a system may use.

Run as a script it is the command line with this system in the gallery.
"""

import itertools
import sys
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lowland.energy import Energy
from lowland.spaces import Categorical, Real
from lowland.system import Data, Metric, System, register
from lowland.train import Player


@dataclass(frozen=True)
class Config:
    """How the classifier is trained."""

    rate: float = 0.01
    """Step size of AdamW, in units of the weights."""
    epochs: int = 4
    """Times through the training data."""
    noise: float = 0.05
    """Standard deviation of what is added to the pictures, in units of ink."""
    hidden: tuple[int, ...] = (16,)
    """Widths of the hidden layers."""
    spoilt: int = -1
    """A training sample to put a nan into; -1 for none."""


class Classifier(Energy):
    """The energy of a label is minus its logit."""

    def __init__(self, hidden: tuple[int, ...]) -> None:
        super().__init__(x=Real(8, 8), y=Categorical(10))
        widths = (64, *hidden)
        layers = [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b), nn.Dropout(0.1), nn.Tanh())]
        self.network = nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], 10))

    def energies(self, x: Tensor, y: Tensor) -> Tensor:
        return -self.network(x).gather(-1, y[:, None])[:, 0]


def data(config: Config) -> Data:
    x, y = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    x = (x / 16).float().reshape(-1, 8, 8)
    if config.spoilt >= 0:
        x[config.spoilt, 3, 4] = torch.nan
    sources = {"digits": {"split": "first 299, last 200", "samples": 499, "sha256": {"digits.csv.gz": "0" * 64}}}
    train, test = {"x": x[:299], "y": y[:299]}, {"x": x[-200:], "y": y[-200:]}
    labels = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return Data(train, {}, test, sources, labels)


def train(model: Classifier, config: Config, data: Data, trainer) -> None:
    centre = trainer.once("centre", lambda: data.train["x"].nanmean())
    player = Player(
        "weights",
        model,
        lambda batch: nn.functional.cross_entropy(model.network(batch["x"] - centre), batch["y"]),
        lambda parameters: torch.optim.AdamW(parameters, lr=config.rate),
        schedule=lambda optimizer, steps: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
        average=0.9,
    )

    def augment(batch, generator):
        return {**batch, "x": batch["x"] + config.noise * torch.randn(batch["x"].shape, generator=generator)}

    trainer.fit("weights", player, data.train, epochs=config.epochs, batch_size=16, transform=augment)


def evaluate(model: Classifier, config: Config, data: Data) -> dict[str, float]:
    wrong = model.network(data.test["x"] - 0.3).argmax(-1) != data.test["y"]
    return {"test_error": 100 * wrong.float().mean().item(), "noise": torch.rand(()).item()}


SYSTEM = System(
    name="logistic_digits",
    title="Logistic regression",
    rows=("R01",),
    paper="Cox 1958",
    config=Config,
    presets={"smoke": {"epochs": 2}},
    build=lambda config: Classifier(config.hidden),
    data=data,
    train=train,
    evaluate=evaluate,
    figures=lambda model, config, data: [],
    metrics=(
        Metric(
            "test_error", "lower", gate=60.0, gate_source="own", paper=30.0, unit="%", about="Errors on 200 digits."
        ),
        Metric(
            "noise", "higher", gate=2.0, gate_source="own", about="A random number: evaluation has a stream of its own."
        ),
    ),
    embed=lambda energy, values: energy.network[:-1](values["x"]),
)

if __name__ == "__main__":
    from lowland.cli import main

    register(SYSTEM)
    sys.exit(main())
