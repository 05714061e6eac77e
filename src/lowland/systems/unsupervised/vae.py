"""Variational auto-encoders: noise on a code, and a price for what the code tells, make reconstruction a density.

    E(x, z)  = −log p(x|z) − log p(z)                      x: a binarised digit, z: 50 numbers nobody sees, N(0, 1) in advance
    q(z|x)   = N(mean(x), spread(x)²)                      what an encoder believes of exp(−E(x, ·))
    −log p(x) = F(x) ≤ ⟨E⟩_q − S(q)                        the bound that is trained, tighter with several weighted draws (IWAE)

The same nets are trained by one draw from q (VAE) and, after the same beginning, by several weighted ones (IWAE); thousands of draws
judge them. Two controls show what the price does: at 30 nats a nat nothing is told and the code is dead; for nothing everything is
told, the noise goes, and what is left is an auto-encoder that gives unseen digits next to no probability. A fifth model has a code
in the plane, to look at.

Training: lower the bound by Adam, with averaged weights; the price of the code grows from 0 to 1 while training warms up (strategy
    A2). Every batch is binarised anew: a pixel is 1 with the probability that is its grey level. Products of matrices are in bfloat16,
    in training and when judged, unless ``--half false``; ``half_error`` is what that changes.
No collapse: p(x|z) and p(z) are normalised, so that to make some x likelier is to make others less so; the noise of q limits how many
    x a code can tell apart. The other collapse, of the code, is counted: units whose mean varies by more than 0.01 are active.
Sources: Kingma & Welling, ICLR 2014; Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016, table 1 (one hidden
    layer, 5,000 draws: −86.76 for k = 1, −84.78 for k = 50); Tucker et al., ICLR 2019, for the encoder's gradient.
Differences: 1. Normalised units (SiLU), 500 in the encoder's layers and 256 in the decoder's, for 200 of tanh. 2. Five draws, and
    minutes of training. 3. The test images are binarised by one fixed draw of ours, the one that `rbm` is judged on.
Expect: −log p of 87.2 ± 0.4 nats for the IWAE on the test images, which on the first 500 is 1.68 ± 0.10 less than the VAE's; evidence
    bounds of 93.7 and 93.4; 24 and 24 active units of 50; 143 nats for the plane, 198 for the silent code, 355 for the free one; seed
    0, 8 minutes of one core.
Known failure: a code of independent normal numbers leaves holes: some draws from it are no digits.

Your own images: ``lowland train vae --images FOLDER``, with one sub-folder of images for each class; dark ink on light paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...data import frame_ink, labelled_images, read_images
from ...energy import GaussianBelief, LatentBits, Partial
from ...inference import MALA, FreeEnergies, importance_sampling, infer, solve
from ...nets import mlp
from ...objectives import EvidenceBound, ImportanceWeighted, Objective, active_units
from ...spaces import Binary
from ...system import Data, Metric, System, register
from ...train import Player

SIDE = 28
#: The price of a nat of code for the two controls.
DEAR, FREE = 30.0, 0.0


@dataclass(frozen=True)
class Config:
    """How the models are trained and judged."""

    images: str = "mnist"
    """Data: mnist, digits (embedded), or a folder with one sub-folder of images for each class."""
    hidden: int = 500
    """Units in each of the two hidden layers of the encoder."""
    decoder_hidden: int = 256
    """Units in each of the decoder's, which is run for every draw."""
    latent: int = 50
    """Numbers in a code."""
    epochs: int = 26
    """Passes over the data by one draw, for the VAE and the IWAE alike."""
    warm_up: float = 0.1
    """Share of those in which the price of the code grows from 0 to 1."""
    vae_epochs: int = 5
    """Passes over the data by which the VAE goes on from there."""
    iwae_epochs: int = 11
    """Passes over the data by which the IWAE goes on from there."""
    importance: int = 5
    """Its draws for each image."""
    plane_epochs: int = 3
    """Passes over the data for the model whose code is two numbers."""
    control_epochs: int = 1
    """Passes over the data for each of the controls."""
    rate: float = 3e-3
    """Step of Adam, in units of the weights; at the end of each training it falls to zero in a straight line."""
    batch_size: int = 100
    """Images in a batch."""
    average: float = 0.9995
    """Decay of the running average of the weights, which is what is judged."""
    draws: int = 5000
    """Draws for each test image when −log p is judged."""
    compared: int = 500
    """Test images on which the models are compared."""
    half: bool = True
    """Whether products of matrices are in bfloat16."""


def build(config: Config) -> nn.ModuleDict:
    widths = {"iwae": config.latent, "vae": config.latent, "plane": 2, "silent": config.latent, "free": config.latent}
    return nn.ModuleDict({name: _model(config, latent) for name, latent in widths.items()})


def _model(config: Config, latent: int) -> LatentBits:
    pixels, hidden, width = SIDE * SIDE, config.hidden, config.decoder_hidden
    decoder = mlp((latent, width, width, pixels), lambda: nn.Sequential(nn.LayerNorm(width), nn.SiLU()))
    encoder = mlp((pixels, hidden, hidden, 2 * latent), lambda: nn.Sequential(nn.LayerNorm(hidden), nn.SiLU()))
    return LatentBits(decoder, encoder, Binary(SIDE, SIDE), latent)


def data(config: Config) -> Data:
    found = labelled_images(config.images)
    generator = torch.Generator().manual_seed(0)
    train = {"x": found.train["x"]}
    validation, test = ({"x": binarised(part["x"], generator)} for part in (found.validation, found.test))
    return Data(train, validation, test, found.sources, extra={"y": found.test["y"], "classes": found.classes})


def binarised(x: Float[Tensor, "N H W"], generator: torch.Generator) -> Float[Tensor, "N H W"]:
    """Zeros and ones: each pixel is 1 with the probability that is its grey level."""
    return torch.rand(x.shape, generator=generator).to(x).lt(x).to(x)


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    warm_up = int(config.warm_up * config.epochs * -(-len(data.train["x"]) // config.batch_size))
    one = EvidenceBound()
    for name in ("vae", "plane", "silent", "free"):
        trainer.once(f"start {name}", lambda name=name: _start(model[name], data.train["x"]))
    _fit(trainer, "common", model["vae"], EvidenceBound(warm_up=warm_up), config.epochs, None, config, data)
    trainer.once("start iwae", lambda: _copy(model["vae"], model["iwae"]))
    plan = {
        "vae": (one, config.vae_epochs),
        "iwae": (ImportanceWeighted(config.importance), config.iwae_epochs),
        "plane": (one, config.plane_epochs),
        "silent": (EvidenceBound(DEAR), config.control_epochs),
        "free": (EvidenceBound(FREE), config.control_epochs),
    }
    for name, (objective, epochs) in plan.items():
        _fit(trainer, name, model[name], objective, epochs, _falling, config, data)


@torch.no_grad()
def _start(energy: Any, x: Tensor) -> None:
    """The decoder begins with pixels as often on as in the data."""
    energy.decoder[-1].bias.copy_(x.mean(0).flatten().clamp(1e-3, 1 - 1e-3).logit())


def _copy(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(source.state_dict())


def _falling(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """As it was for a third of the steps, then in a straight line to zero."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.5 * (1 - step / steps), 1.0))


def _fit(
    trainer: Any, stage: str, energy: Any, objective: Objective, epochs: int, schedule: Any, config: Config, data: Data
) -> None:
    def loss(batch: Mapping[str, Tensor]) -> Any:
        with torch.autocast(batch["x"].device.type, torch.bfloat16, enabled=config.half):
            return objective(energy, batch)

    trainer.fit(
        stage,
        Player(
            stage,
            energy,
            loss,
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr=config.rate),
            schedule=schedule,
            average=config.average,
            memory={"objective": objective},
        ),
        {"x": data.train["x"]},
        epochs=epochs,
        batch_size=config.batch_size,
        transform=lambda batch, generator: {"x": binarised(batch["x"], generator)},
        validate=lambda: {"validation_nll": judge(energy, data.validation["x"][:1000], 50, config).mean},
        validate_every=max(epochs // 5, 1),
    )


@torch.no_grad()
def judge(energy: LatentBits, x: Tensor, draws: int, config: Config, half: bool | None = None) -> FreeEnergies:
    """−log p of each image by so many draws; 1 gives the evidence bound."""
    generator = torch.Generator(x.device).manual_seed(0)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=config.half if half is None else half):
        return importance_sampling(energy.given(x=x), energy.belief(x), draws, rows=10, at_once=25, generator=generator)


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    x = data.test["x"]
    some, less = x[: config.compared], max(config.draws // 10, 1)
    iwae = judge(model["iwae"], x, config.draws, config)
    vae = judge(model["vae"], some, config.draws, config)
    ahead = FreeEnergies(vae.value - iwae.value[: len(some)], vae.effective)
    exact = [judge(model["iwae"], some, less, config, half).mean for half in (True, False)]
    found = {
        "iwae_nll": iwae.mean,
        "iwae_interval": iwae.interval,
        "iwae_effective": iwae.effective.median().item(),
        "half_error": abs(exact[0] - exact[1]),
        "vae_nll": vae.mean,
        "iwae_ahead": ahead.mean,
        "iwae_ahead_interval": ahead.interval,
    }
    for name in ("iwae", "vae", "silent", "free"):
        energy = model[name]
        belief = energy.belief(x)
        found[f"{name}_active"] = float(active_units(belief.mean).sum())
        found[f"{name}_bound"] = judge(energy, x, 1, config).mean
        found[f"{name}_wrong_pixels"] = 100 * (energy.mean(belief.mean).round() != x).double().mean().item()
    for name in ("plane", "silent", "free"):
        found[f"{name}_nll"] = judge(model[name], some, less, config).mean
    return found


# --- pictures, and what a user may ask ----------------------------------------------------------------------------------


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, images, lines, scatter

    generator = torch.Generator().manual_seed(1)
    x, iwae, plane = data.test["x"], model["iwae"], model["plane"]
    shown = x[:10]
    told = {
        "digit": shown,
        **{name: model[name].mean(model[name].belief(shown).mean) for name in ("iwae", "vae", "silent", "free")},
    }
    top = torch.arange(SIDE).unsqueeze(-1).expand(SIDE, SIDE) < SIDE // 2
    halves = fill(iwae, config, {"x": Partial(x[:8], top)}, 8, generator)
    rows = [
        torch.stack([one, torch.where(top, one, torch.nan), *several])
        for one, several in zip(x[:8], halves, strict=True)
    ]
    line = torch.special.ndtri(torch.linspace(0.02, 0.98, 20))
    units = {}
    for name in ("iwae", "vae", "silent"):
        units[name] = model[name].belief(x).mean.var(0).sort(descending=True).values.clamp_min(1e-7)
    counts = [k for k in (1, 5, 50, 500, 5000) if k <= config.draws]
    bounds = {name: [judge(model[name], x[:100], k, config).mean for k in counts] for name in ("iwae", "vae")}
    some = torch.randperm(len(x), generator=generator)[:2000]
    names = [data.extra["classes"][k] for k in data.extra["y"][some].tolist()]
    return [
        Picture("Digits nobody wrote", "What the decoder makes of codes drawn from N(0, 1): the probability of ink at each pixel.",
                images(iwae.mean(torch.randn(60, config.latent, generator=generator)), columns=15)),
        Picture("A plane of digits", "The model whose code is two numbers: each picture is decoded from a point of a grid whose lines "
                "have equal shares of the prior between them.", images(plane.mean(torch.cartesian_prod(-line, line).flip(1)), columns=20)),
        Picture("Where digits are put", "Means of the beliefs in that plane, of 2,000 unseen digits.",
                scatter(plane.belief(x[some]).mean, names, xlabel="first number", ylabel="second number", equal=True)),
        Picture("Told and retold", "Unseen digits, and what is decoded from the mean of the code. With a price of 30 nats a nat the code "
                "is silent, and every picture is the same.", images(list(told.values()), rows=list(told))),
        Picture("The other half", "An unseen digit, its top half, and eight draws of the code given that half (MALA), decoded.",
                images(rows, ["digit", "given", *[str(k + 1) for k in range(halves.shape[1])]])),
        Picture("Units that are used", "Variance of the mean of each unit over unseen digits, in order; above 0.01 a unit is active.",
                lines(torch.arange(1, config.latent + 1), units, xlabel="unit", ylabel="variance of the mean", log=True,
                      levels={"active": 0.01})),
        Picture("How far the bound is", "The bound on −log p of 100 unseen digits against the number of weighted draws; 1 is the evidence "
                "lower bound.", lines(counts, bounds, xlabel="draws", ylabel="bound on −log p (nats)", logx=True, markers=True)),
        Picture("How low", "Mean −log p of other pictures above that of the unseen digits they were made of.",
                bars(_heights(iwae, x[:300], config, generator), label="−log p(x) above the digits'", unit="nats")),
    ]  # fmt: skip


def _heights(energy: LatentBits, x: Tensor, config: Config, generator: torch.Generator) -> dict[str, float]:
    order = torch.rand(x.flatten(1).shape, generator=generator).argsort(1)
    shown = {
        "mirrored": x.flip(2),
        "upside down": x.flip(1),
        "5 % of the pixels flipped": (x - (torch.rand(x.shape, generator=generator) < 0.05).to(x)).abs(),
        "pixels shuffled": x.flatten(1).gather(1, order).reshape(x.shape),
    }
    least = judge(energy, x, 200, config).mean
    return {name: judge(energy, other, 200, config).mean - least for name, other in shown.items()}


def fill(
    energy: LatentBits, config: Config, known: Mapping[str, Any], count: int, generator: torch.Generator
) -> Float[Tensor, "N K H W"]:
    """The unknown pixels' probabilities, for codes drawn given the known pixels; for the likeliest code if only one is wanted.

    Codes are first drawn from the prior and from what the encoder believes of the picture with paper at unknown pixels, and
    picked by their weights; then MALA goes on from those.
    """
    partial: Partial = known["x"]
    mask = partial.known.expand(partial.value.shape)
    value = partial.value.masked_fill(~mask, 0.0).clamp(0, 1).round()
    with torch.no_grad():
        seen = energy.seen(Partial(value, mask))
        belief = energy.belief(value)
        wide = GaussianBelief(belief.mean, belief.spread.clamp_min(0.5))
        prior = GaussianBelief(torch.zeros_like(belief.mean), torch.ones_like(belief.spread))
        z = torch.cat([kind.draw(300, generator) for kind in (wide, belief, prior)])
        log_density = torch.stack([kind.log_density(z) for kind in (wide, belief, prior)]).logsumexp(0)
        share = (-seen.value(z) - log_density).softmax(0)
        picked = torch.multinomial(share.T, count, replacement=True, generator=generator)
        if count == 1:
            start = z.gather(0, share.argmax(0)[None, :, None].expand(1, -1, z.shape[-1])).squeeze(0)
            found = infer(seen, "z", init=start, options={"steps": 100}).value.unsqueeze(1)
        else:
            rows = torch.arange(len(value)).repeat_interleave(count)
            start = z[picked.flatten(), rows]
            found = solve(MALA(0.01), seen.select(rows), start, steps=200, generator=generator).value
            found = found.reshape(len(value), count, -1)
        return torch.where(mask.unsqueeze(1), value.unsqueeze(1), energy.mean(found))


@torch.no_grad()
def embed(energy: LatentBits, values: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
    """The mean of the belief in the code."""
    return energy.belief(values["x"].round()).mean


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Images as bits, 1 where there is more ink than paper; digits may be of dark or bright ink, anywhere on the picture."""
    if config.images in ("mnist", "digits"):
        framed = [frame_ink(image, SIDE) for path in paths for image in read_images([path])["x"]]
        return {"x": torch.stack(framed).round()}
    return {"x": read_images(paths, (SIDE, SIDE), invert=True)["x"].round()}


register(
    System(
        name="vae",
        title="Variational auto-encoders judged by their likelihood",
        rows=("R42",),
        paper="Kingma & Welling 2014; Burda, Grosse & Salakhutdinov 2016",
        config=Config,
        presets={
            "smoke": {
                "images": "digits", "hidden": 24, "decoder_hidden": 24, "latent": 6, "importance": 2, "epochs": 1, "vae_epochs": 1,
                "iwae_epochs": 1, "plane_epochs": 1, "control_epochs": 1, "draws": 60, "compared": 40,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="iwae",
        unknown="x",
        fill=fill,
        embed=embed,
        read=read,
        metrics=(
            Metric("iwae_nll", "lower", gate=88.0, gate_source="own, above the VAE of Burda et al. 2016", paper=84.78, unit="nats",
                   about="Mean −log p(x) of all test images, binarised by one draw of ours, by 5,000 draws; the paper's model has k = 50."),
            Metric("iwae_interval", "lower", unit="nats", about="Half of the 95 % interval of that mean, by the spread of the images."),
            Metric("iwae_effective", "higher", about="Of 5,000 draws, how many with equal weights would be as good; median image."),
            Metric("half_error", "lower", gate=0.1, gate_source="own", unit="nats",
                   about="|bfloat16 − float32| of the mean −log p of those 500, with the same random numbers."),
            Metric("vae_nll", "lower", paper=86.76, unit="nats", about="The same for the model of one draw, first 500 test images."),
            Metric("iwae_ahead", "higher", gate=0.0, gate_source="own", unit="nats", about="By how much the IWAE's is less."),
            Metric("iwae_ahead_interval", "lower", unit="nats", about="Half of the 95 % interval of that mean."),
            Metric("iwae_bound", "lower", unit="nats", about="Evidence bound of all test images."),
            Metric("iwae_active", "higher", about="Units whose mean varies by more than 0.01 over the test images."),
            Metric("iwae_wrong_pixels", "lower", unit="%", about="Pixels that are not the likelier of ink and paper given the mean code."),
            Metric("vae_bound", "lower", unit="nats", about="Evidence bound, model of one draw."),
            Metric("vae_active", "higher", about="Its active units."),
            Metric("vae_wrong_pixels", "lower", unit="%", about="Its wrong pixels."),
            Metric("plane_nll", "lower", unit="nats", about="−log p of those by 500 draws, code of two numbers."),
            Metric("silent_active", "lower", gate=0.0, gate_source="own", about="Control at a price of 30: its active units."),
            Metric("silent_nll", "lower", unit="nats", about="Its −log p, likewise."),
            Metric("silent_bound", "lower", unit="nats", about="Its evidence bound."),
            Metric("silent_wrong_pixels", "lower", unit="%", about="Its wrong pixels."),
            Metric("free_active", "higher", about="Control at no price: its active units."),
            Metric("free_nll", "lower", unit="nats", about="Its −log p, likewise: what little its sharp codes leave, wherever they are."),
            Metric("free_bound", "lower", unit="nats", about="Its evidence bound."),
            Metric("free_wrong_pixels", "lower", unit="%", about="Its wrong pixels, after one pass over the data."),
        ),
    )
)  # fmt: skip
