"""Contractive and saturating autoencoders: an energy that is low on digits because little else can be said in their code.

    E(x) = ‖x − r(x)‖²                                            r: encoded and decoded again; one layer h = s(Wx + b), or several
    CAE      + λ ‖∂h/∂x‖²                                         few directions of x may change the code
    CAE+H    + λ (‖∂h/∂x‖² + γ/σ² ‖∂h/∂x(x + σε) − ∂h/∂x(x)‖²)    and the same few nearby
    SATAE    + α Σ_k distance of (Wx + b)_k to where its unit is flat
    RCAE     + λ ‖∂r/∂x‖²                                         several layers, where a code could hide: few directions come back

A thousand units could copy 784 pixels, and a plain autoencoder learns to: its energy is low everywhere. What keeps the others from it
is not a narrow code but a code that hardly changes. Reconstruction pays for the directions along which digits differ, the penalty
makes all others cost. So letters of other alphabets come back as something else, and the energy tells them apart. One layer knows
strokes, which letters have as well; the deep one, which answers and has a narrow code too, knows more of the whole.

Training: lower the reconstruction of the data (cross entropy for sigmoid units, squares for those that saturate) and the penalty
    (strategy A3), by Adam with a rate that falls to zero; the products in bfloat16. Then CAE+H's layer and a softmax are fine-tuned.
No collapse: without the penalty nothing but the data is looked at and everything becomes low: the plain autoencoder is beside them.
    The penalty alone makes the code constant; reconstruction needs it to change along the data.
Measure: digits of the test split against letters of alphabets not seen in tuning, framed as MNIST's digits are and given their grey
    levels, one letter those of one digit, so that ink and contrast tell nothing: the AUROC of the ink is beside that of the energy.
    Also USPS digits, matched likewise, and digits that were turned upside down or mirrored.
    Directions: how many singular vectors carry 90 % of the squared Jacobian ∂h/∂x, mean over digits.
Sources: Rifai, Vincent, Muller, Glorot & Bengio, ICML 2011, for CAE, figure 2 for the spectrum and table 1 for 1.14 %; Rifai et al., ECML
    2011, for CAE+H and 1.2 % with one layer; Alain & Bengio, JMLR 15 (2014), section 3.1, for RCAE; Goroshin & LeCun, ICLR 2013, for
    saturation.
Expect: AUROC of digits against letters, seed 0: 0.950 deep (0.960 relative to ‖x‖²), 0.856 for CAE and CAE+H, 0.823 without a penalty,
    0.933 shrinkage, 0.876 rectifiers, 0.865 saturating lines; of the ink 0.488. Nine tenths of the squared Jacobian lie in 58 directions
    for CAE+H, 82 for CAE and 366 without a penalty. Seven minutes of one core.
Known failure: the deep net without a penalty tells letters as well (0.952): there the narrow code does the work. USPS digits are hardly
    told apart (0.659), as they are digits too. Fine-tuned for twelve passes CAE+H makes 1.92 % errors, not the 1.2 % published.
    With letters of the thirty alphabets meant for training the deep AUROC was 0.913: their shapes are nearer to digits.

Your own images: ``lowland train contractive_autoencoder --images FOLDER``, with one sub-folder of images for each class.
``lowland score RUN seven.png`` says how little like a digit it is, ``lowland infer RUN seven.png --hide bottom`` fills in the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.nn.functional import interpolate, pad
from torch.optim.lr_scheduler import LinearLR

from ...data import dataset, frame_ink, frame_strokes, labelled_images, load, match_ink, read_images
from ...energy import BitReconstruction, Energy, NetworkTable, Partial, SelfReconstruction
from ...nets import DeepAutoencoder, TiedAutoencoder, UnitLayer
from ...objectives import Contracting, EnergyLoss, Mask, NegativeLogLikelihood, Objective, Saturating, auroc, error_rate
from ...spaces import Box
from ...system import Data, Metric, System, register
from ...train import Player

SIDE = 28
PIXELS = SIDE * SIDE
SATURATING = ("relu", "clip", "shrink")


@dataclass(frozen=True)
class Config:
    """How the autoencoders are trained and judged."""

    images: str = "mnist"
    """Data: mnist, digits (embedded), or a folder with one sub-folder of images for each class."""
    letters: str = "omniglot"
    """What to tell from the digits: omniglot, or noise (generated, for tests)."""
    classes: int = 10
    """How many labels the images have."""
    hidden: int = 1000
    """Units of a code."""
    contraction: float = 0.5
    """λ: weight of the Jacobian's squared length, in nats · pixel²."""
    second: float = 0.1
    """γ: weight of the Jacobian's change, in pixel²."""
    sigma: float = 0.3
    """Standard deviation of the noise that measures it, in units of ink."""
    saturation: tuple[float, ...] = (0.1, 0.1, 0.1)
    """α for each of the units that saturate (relu, clip, shrink), in units of ink² / 2 per unit of pre-activation."""
    epochs: int = 6
    """Passes over the data for each autoencoder of one layer."""
    deep: tuple[int, ...] = (512, 256, 16)
    """Units of the deep autoencoder, from the first hidden layer to the code; its decoder mirrors them."""
    deep_contraction: float = 0.02
    """λ for it: a direction of less variance than this, in ink², does not pay."""
    deep_epochs: int = 30
    """Passes over the data for it."""
    rate: float = 2e-3
    """Step of Adam at the start, in units of the weights; it falls to zero in a straight line."""
    batch_size: int = 250
    """Images a step."""
    tuning_epochs: int = 12
    """Passes over the data to fine-tune."""
    missing: float = 0.2
    """What part of the pixels is hidden in fine-tuning."""
    strange: int = 5000
    """How many letters there are to tell from digits."""
    bfloat16: bool = True
    """Whether products are computed in bfloat16 while training."""


def build(config: Config) -> nn.ModuleDict:
    x = Box(0.0, 1.0, SIDE, SIDE)
    bits = {
        name: SelfReconstruction(nn.Sequential(TiedAutoencoder(PIXELS, config.hidden), nn.Sigmoid()), x)
        for name in ("plain", "contractive", "higher_order")
    }
    deep = {
        name: SelfReconstruction(nn.Sequential(DeepAutoencoder((PIXELS, *config.deep)), nn.Sigmoid()), x)
        for name in ("deep", "deep_plain")
    }
    saturating = {unit: SelfReconstruction(TiedAutoencoder(PIXELS, config.hidden, unit), x) for unit in SATURATING}
    top = nn.Linear(config.hidden, config.classes)
    nn.init.zeros_(top.weight)
    classifier = nn.Sequential(nn.Flatten(), UnitLayer(PIXELS, config.hidden), top)
    return nn.ModuleDict({**deep, **bits, **saturating, "classifier": NetworkTable(classifier, x, config.classes)})


def encoder(energy: Any) -> Any:
    """What makes the code: a `UnitLayer`, or the layers of the deep one."""
    network: Any = energy.network[0] if isinstance(energy.network, nn.Sequential) else energy.network
    return network.encoder


def data(config: Config) -> Data:
    found = labelled_images(config.images, classes=config.classes)
    generator = torch.Generator().manual_seed(0)
    like = found.train["x"][torch.randperm(len(found.train["x"]), generator=generator)]
    strange, sources = strangers(config, like, generator)
    return Data(found.train, found.validation, found.test, found.sources | sources, found.classes, extra=strange)


def strangers(
    config: Config, like: Float[Tensor, "M H W"], generator: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What is not of the data: letters and the digits of others, with the ink of ``like``; and where they come from."""
    if config.letters == "noise":
        strokes = torch.rand(min(config.strange, len(like)), SIDE, SIDE, generator=generator)
        return {"letters": match_ink(strokes, like), "usps": match_ink(strokes.flip(0), like)}, {}
    letters, usps = load("omniglot", "evaluation")["x"], load("usps", "test")["x"]
    chosen = letters[torch.randperm(len(letters), generator=generator)[: config.strange]].float()
    enlarged = pad(interpolate(usps[:, None], (20, 20), mode="bilinear")[:, 0].clamp(0, 1), (4, 4, 4, 4))
    sources = {"omniglot": dataset("omniglot").record("evaluation"), "usps": dataset("usps").record("test")}
    return {"letters": match_ink(frame_strokes(chosen), like), "usps": match_ink(enlarged, like)}, sources


# --- training ----------------------------------------------------------------------------------------------------------


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    x = {"x": data.train["x"]}
    contracting = {
        "plain": 0.0 * Contracting(),
        "contractive": config.contraction * Contracting(),
        "higher_order": config.contraction * Contracting(config.second, config.sigma),
    }
    for name, penalty in contracting.items():
        energy = BitReconstruction(model[name].network[0], model[name].space)
        _fit(trainer, name, energy, EnergyLoss() + penalty, x, config, config.epochs)
    for unit, weight in zip(SATURATING, config.saturation, strict=True):
        penalty = weight * Saturating(unit, encoder=encoder(model[unit]).activations)
        _fit(trainer, unit, 0.5 * model[unit], EnergyLoss() + penalty, x, config, config.epochs)
    few = config.deep_contraction * Contracting(draws=1, encoder=model["deep"].network)
    for name, objective in {"deep": EnergyLoss() + few, "deep_plain": EnergyLoss()}.items():
        _fit(trainer, name, model[name], objective, x, config, config.deep_epochs)
    first = model["classifier"].network[1]
    trainer.once("begin", lambda: first.load_state_dict(encoder(model["higher_order"]).state_dict()))
    _fit(trainer, "fine_tuning", model["classifier"], NegativeLogLikelihood(), data.train, config, config.tuning_epochs)


def _fit(
    trainer: Any,
    name: str,
    energy: Energy,
    objective: Objective,
    values: Mapping[str, Tensor],
    config: Config,
    epochs: int,
) -> None:
    mask = Mask(config.missing) if "y" in values else lambda x: x

    def loss(batch: Mapping[str, Tensor]) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
            return objective(energy, {"y": batch["x"], **batch, "x": mask(batch["x"])})

    player = Player(
        name,
        energy,
        loss,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=config.rate, fused=True),
        schedule=lambda optimizer, steps: LinearLR(optimizer, 1.0, 0.0, steps),
        average=0.999 if "y" in values else None,
    )
    trainer.fit(name, player, values, epochs=epochs, batch_size=config.batch_size)


# --- how well it does --------------------------------------------------------------------------------------------------


@torch.no_grad()
def heights(energy: Energy, x: Float[Tensor, "N H W"]) -> Float[Tensor, " N"]:
    """E(x), a thousand at a time."""
    return torch.cat([energy(x=some) for some in x.split(1000)])


@torch.no_grad()
def spectrum(part: nn.Module, x: Float[Tensor, "N H W"]) -> Float[Tensor, "N S"]:
    """Squared singular values of the Jacobian of a part of a network at each image, the largest first."""
    if isinstance(part, UnitLayer):
        jacobian = part.slopes(x).unsqueeze(-1) * part.weight
    else:
        jacobian = vmap(jacrev(lambda one: part(one[None]).flatten()))(x).flatten(2)
    gram = jacobian @ jacobian.mT if jacobian.shape[1] < jacobian.shape[2] else jacobian.mT @ jacobian
    return torch.linalg.eigvalsh(gram).clamp_min(0).flip(-1)


def directions(squares: Float[Tensor, "N S"], share: float = 0.9) -> float:
    """How many singular vectors carry this share of the squared length of the Jacobian, mean over images."""
    carried = squares.cumsum(-1) / squares.sum(-1, keepdim=True).clamp_min(1e-12)
    return ((carried < share).sum(-1) + 1).double().mean().item()


def _others(data: Data) -> dict[str, Tensor]:
    """What the energy should find strange, some of it more than the rest."""
    x = data.test["x"]
    return {**data.extra, "upside_down": x.flip(1), "mirrored": x.flip(2)}


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    x = data.test["x"]
    main, autoencoders = model["deep"], [name for name in model if name != "classifier"]
    known = heights(main, x)
    found = {f"{name}_auroc": auroc(known, heights(main, other)) for name, other in _others(data).items()}
    relative = [heights(main, images) / images.square().sum((1, 2)) for images in (x, data.extra["letters"])]
    found["letters_relative_auroc"] = auroc(*relative)
    found["letters_ink_auroc"] = auroc(x.sum((1, 2)), data.extra["letters"].sum((1, 2)))
    for name in autoencoders:
        if model[name] is not main:
            found[f"{name}_letters_auroc"] = auroc(heights(model[name], x), heights(model[name], data.extra["letters"]))
    for name in ("higher_order", "contractive", "plain"):
        found[f"{name}_directions"] = directions(spectrum(encoder(model[name]), x[:40]))
    for name in ("deep", "deep_plain"):
        found[f"{name}_directions"] = directions(spectrum(model[name].network, x[:20]))
    found["directions_drop"] = found["plain_directions"] / found["higher_order_directions"]
    for unit in SATURATING:
        found[f"{unit}_active"] = 100 * (encoder(model[unit]).slopes(x[:1000]) > 0).double().mean().item()
    found["test_error"] = 100 * error_rate(model["classifier"], data.test)
    return found


# --- pictures, and what a user may ask ----------------------------------------------------------------------------------


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...inference import infer
    from ...report import Picture, bars, filters, images, lines

    x, letters = data.test["x"], data.extra["letters"]
    main, plain = model["deep"], model["plain"]
    shown = {"digits": x[:14], "letters": letters[:14]}
    returned = {}
    for name, some in shown.items():
        returned |= {name: some, f"{name}: deep": main.network(some), f"{name}: plain": plain.network(some)}
    known = heights(main, x)
    edges = torch.linspace(0, float(torch.cat([known, heights(main, letters)]).quantile(0.99)), 41)
    energies = {
        "digits": known,
        **{name.replace("_", " "): heights(main, other) for name, other in _others(data).items()},
    }
    density = {name: torch.histogram(energy, edges).hist / len(energy) for name, energy in energies.items()}
    names = [name for name in model if name != "classifier"]
    falling = {
        name: spectrum(encoder(model[name]), x[:10]).sqrt().mean(0)[:300]
        for name in ("plain", "contractive", "higher_order")
    }
    told = {name.replace("_", " "): auroc(heights(model[name], x), heights(model[name], letters)) for name in names}
    seen = []
    for name in names[2:]:
        weight = encoder(model[name]).weight
        seen.append(weight[weight.norm(dim=1).argsort(descending=True)[:128:8]].reshape(-1, SIDE, SIDE))
    top = (torch.arange(SIDE) < SIDE // 2).unsqueeze(-1).expand(SIDE, SIDE)
    filled = infer(main, "x", x=Partial(x[14:28], top), options={"steps": 200}).value
    return [
        Picture("What it can say", "Unseen digits, and letters with the same ink, as the autoencoders return them: the plain one copies "
                "both, the deep contractive one makes something like digits of the letters.",
                images(list(returned.values()), rows=list(returned), tile=0.6)),
        Picture("The energy of digits and of others", "E(x) = ‖x − r(x)‖² of the deep contractive autoencoder: shares of images.",
                lines((edges[1:] + edges[:-1]) / 2, density, xlabel="energy (ink²)", ylabel="share of images", log=False, markers=False)),
        Picture("Which autoencoder tells letters from digits", "AUROC of the energy; the letters have the digits' ink and grey levels.",
                bars(told, label="AUROC", levels={"guessing": 0.5, "wanted": 0.95})),
        Picture("How the code may change", "Singular values of ∂h/∂x, the largest first, mean over ten unseen digits.",
                lines(torch.arange(1, 1 + len(falling["plain"])), {name.replace("_", " "): values for name, values in falling.items()},
                      xlabel="singular value", ylabel="size", log=True, markers=False)),
        Picture("What units look for", f"Sixteen of the 128 longest units of {', '.join(names[2:]).replace('_', ' ')}; a row each.",
                filters(torch.cat(seen), columns=16)),
        Picture("Missing pixels", "Unseen digits, their top half, and the point of least energy that has it.",
                images([x[14:28], torch.where(top, x[14:28], torch.nan), filled], rows=["digit", "given", "filled in"], tile=0.6)),
    ]  # fmt: skip


def embed(energy: Any, values: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
    """The code."""
    return encoder(energy)(values["x"])


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Images as those it was trained on; digits may be of dark or bright ink, anywhere on the picture."""
    if config.images not in ("mnist", "digits"):
        return {"x": read_images(paths, (SIDE, SIDE), invert=True)["x"]}
    inside = [frame_ink(image, 20) for path in paths for image in read_images([path])["x"]]
    return {"x": frame_strokes(torch.stack(inside))}


register(
    System(
        name="contractive_autoencoder",
        title="Contractive and saturating autoencoders, whose energy knows digits from letters",
        rows=("R48",),
        paper="Rifai et al. 2011; Goroshin & LeCun 2013",
        config=Config,
        presets={
            "smoke": {
                "images": "digits", "letters": "noise", "hidden": 40, "deep": (40, 10), "deep_epochs": 1, "epochs": 1, "tuning_epochs": 1,
                "strange": 100, "bfloat16": False,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        embed=embed,
        read=read,
        main="deep",
        unknown="x",
        metrics=(
            Metric("letters_auroc", "higher", gate=0.95, gate_source="own", about="Digits against letters of the same ink, deep."),
            Metric("letters_relative_auroc", "higher", about="The same by E(x) / ‖x‖²."),
            Metric("letters_ink_auroc", "lower", about="The same by how much ink there is: 0.5 tells nothing."),
            Metric("usps_auroc", "higher", about="MNIST's digits against USPS digits of the same ink."),
            Metric("upside_down_auroc", "higher", about="Digits against digits upside down."),
            Metric("mirrored_auroc", "higher", about="Digits against mirrored digits."),
            Metric("deep_plain_letters_auroc", "higher", about="Letters, the deep autoencoder without a penalty."),
            Metric("higher_order_letters_auroc", "higher", about="Letters, CAE+H."),
            Metric("contractive_letters_auroc", "higher", about="Letters, CAE."),
            Metric("plain_letters_auroc", "higher", about="Letters, the autoencoder without a penalty."),
            Metric("relu_letters_auroc", "higher", about="Letters, rectifiers that saturate."),
            Metric("clip_letters_auroc", "higher", about="Letters, saturating lines."),
            Metric("shrink_letters_auroc", "higher", about="Letters, shrinkage."),
            Metric("higher_order_directions", "lower", about="Singular vectors with 90 % of the squared Jacobian, CAE+H."),
            Metric("contractive_directions", "lower", about="The same for CAE."),
            Metric("plain_directions", "lower", about="The same without a penalty."),
            Metric("deep_directions", "lower", about="Singular vectors with 90 % of the squared ∂r/∂x, the deep autoencoder."),
            Metric("deep_plain_directions", "lower", about="The same without a penalty."),
            Metric("directions_drop", "higher", gate=2.0, gate_source="own", about="Directions without a penalty over those of CAE+H."),
            Metric("relu_active", "lower", unit="%", about="Units that are not flat at an unseen digit, rectifiers."),
            Metric("clip_active", "lower", unit="%", about="The same for saturating lines."),
            Metric("shrink_active", "lower", unit="%", about="The same for shrinkage."),
            Metric("test_error", "lower", paper=1.2, unit="%", about="One layer of CAE+H and a softmax, fine-tuned."),
        ),
    )
)  # fmt: skip
