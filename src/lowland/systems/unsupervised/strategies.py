"""Seven strategies side by side: what makes data lie low and everything else high, on one spiral and on digits.

    E(x) = net(x)                        one network, shaped by likelihood, chains, noise, a generator, or its own slope
    E(x) = ½‖x − r(x)‖²                  one autoencoder, held by corruption, contraction or saturation, or by nothing
    F(x) = min_z ½‖x − Wz‖²              a code as long as x: zero everywhere
    F(x) = −1/β log Σ_z exp(−β E(x, z))  centres that lie anywhere (A1), or along a curve or a sheet (A2)

In the plane nothing can hide: the partition function is a sum over a grid, so that every energy has a likelihood, whatever it was
trained by, at the inverse temperature that suits the validation data best. Digits, twenty principal components of them, are told
from their lookalikes: draws from a Gaussian of the same mean and covariance, from which no quadratic energy can tell them.

Training: C1 likelihood, with log Z by a grid or, for digits, a Gaussian mixture; C2 contrastive divergence, replayed chains, noise
    contrast, adversarial generator; C3 denoising; A1 k-means' mixture; A2 a latent curve or sheet; A3 contracting and saturating
    autoencoders; A4 sliced and denoising score matching. Networks and autoencoders have the same size, batches and number of steps.
No collapse: each for its own reason, said by its objective's `no_collapse`; two that have none are drawn too: a plain autoencoder,
    and a linear code as long as x, which collapses.
Sources: LeCun, Energy-based self-supervised learning (2019), for the seven; each objective's file for its own.
Differences: 1. Contraction and saturation: the reconstruction's Jacobian is penalised, not the code's, which a large decoder evades.
Expect: means of seeds 0 to 2. On the spiral −0.43 nats by likelihood, −0.29 by noise contrast, −0.23 by centres, −0.21 by denoising,
    between −0.02 and 0.31 by the others but 1.13 by a generator; the truth has −0.63, a flat energy 2.20. 7 to 16 % of the square lie as
    low as the data. 79 (noise contrast) to 97 % (likelihood, contraction) of pairs of a digit and a lookalike are told apart. Three to
    four minutes a run.
Known failure: the adversarial energy is shaped only where its generator has been: 25, 27 and 53 % of the square lie as low as the data,
    and digits that roll downhill leave for good. The lowest point by noise contrast is the mean digit. Denoising finds a second, false
    spiral half-way between the arms, where points are not moved either. Contrastive divergence from the data leaves low places
    where no chain has come. The plain autoencoder does well, at −0.14 nats, though nothing but its size and its short training
    holds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from ...data import load, lookalikes, spiral, spiral_log_density
from ...energy import (
    Clusters,
    Energy,
    FreeEnergy,
    Function,
    GaussianMixture,
    Network,
    PrincipalComponents,
    Reconstruction,
    TopographicMap,
)
from ...inference import GradientDescent, GridDensity, Langevin, solve
from ...nets import Waves, mlp
from ...objectives import (
    Adversarial,
    Contracting,
    ContrastiveDivergence,
    Denoising,
    DenoisingScoreMatching,
    EnergyLoss,
    GaussianNoise,
    GridLikelihood,
    Loss,
    NoiseContrastive,
    Objective,
    ReplayContrastiveDivergence,
    Saturating,
    SlicedScoreMatching,
    auroc,
    expectation_maximization,
    lloyd,
    principal_components,
    spread_centres,
)
from ...spaces import Categorical, Real
from ...system import Data, Metric, System, register
from ...train import Player

#: The square [−SIDE, SIDE]² is all there is: a flat energy has 2 log(2 SIDE) nats on it.
SIDE = 1.5
STRATEGY = {
    "likelihood": "C1", "contrastive_divergence": "C2", "replay": "C2", "noise_contrast": "C2", "adversarial": "C2",
    "denoising": "C3", "centres": "A1", "curve": "A2", "contracting": "A3", "saturating": "A3", "sliced_score": "A4",
    "denoising_score": "A4", "plain": "none", "collapsed": "none",
}  # fmt: skip
AUTOENCODERS = ("denoising", "contracting", "saturating", "plain")
#: Energies closer to each other, in units for each number of x, count as equal: what is left of a flat landscape is rounding.
RESOLVED = 5e-7


@dataclass(frozen=True)
class Problem:
    """One kind of data, and what has the scale of its x or of its energies.

    Attributes:
        dim: Numbers in a sample.
        frequencies: Of the waves that networks see beside x, in radians per unit of x.
        latent: Places of the curve or sheet along each of its dimensions.
        centres: Of the mixture.
        beta: Inverse temperature of centres and curve, in units of 1/x².
        slope: Weight of the squared slope at the data of the adversarial energy, in units of x² per nat.
        chain_rate: Step of the Langevin chains, in units of x² per nat.
        sigma: Noise of denoising, in units of x.
        contraction: Weight of the contraction of the reconstruction.
        saturation: Weight of the saturation of the code.
    """

    dim: int
    frequencies: tuple[float, ...]
    latent: tuple[int, ...]
    centres: int
    beta: float
    slope: float
    chain_rate: float
    sigma: float
    contraction: float
    saturation: float


SPIRAL = Problem(2, (2.0, 4.0, 8.0), (200,), 60, 300.0, 0.01, 5e-4, 0.05, 0.003, 0.002)
DIGITS = Problem(20, (), (20, 20), 60, 3.0, 1.0, 0.02, 0.4, 0.03, 0.01)
PROBLEMS = {"": SPIRAL, "digits_": DIGITS}


@dataclass(frozen=True)
class Config:
    """How long each strategy may train."""

    points: int = 2_000
    """Points of the spiral to train on."""
    steps: int = 1_500
    """Steps of Adam for every strategy that has no closed form."""
    batch_size: int = 128
    """Points a step."""
    width: int = 64
    """Hidden units of each layer; an autoencoder has twice as many."""
    rate: float = 2e-3
    """Step of Adam, in units of the weights; it falls to 0 along a cosine."""
    chain_steps: int = 10
    """Steps of a chain in each step of training."""
    resolution: int = 300
    """Points along each side of the grid that sums the partition function."""


def build(config: Config) -> nn.ModuleDict:
    model = {}
    for prefix, problem in PROBLEMS.items():
        x, width = Real(problem.dim), config.width
        seen = Waves(problem.dim, problem.frequencies)
        for name in STRATEGY:
            if name == "collapsed":
                model[prefix + name] = PrincipalComponents(x, problem.dim)
            elif name in AUTOENCODERS:
                encoder = nn.Sequential(seen, mlp((seen.width, 2 * width, 2 * width), nn.SiLU))
                decoder = nn.Sequential(nn.ReLU(), nn.Linear(2 * width, problem.dim))
                model[prefix + name] = Reconstruction(nn.Sequential(encoder, decoder), y=x, z=x)
            elif name == "centres":
                model[prefix + name] = Clusters(x, problem.centres)
            elif name == "curve":
                places = torch.cartesian_prod(*(torch.linspace(-2, 2, count) for count in problem.latent))
                places = places.reshape(-1, len(problem.latent))
                network = mlp((places.shape[1], width, width, problem.dim), nn.SiLU)
                model[prefix + name] = TopographicMap(x, network, places)
            elif prefix + name == "digits_likelihood":
                model[prefix + name] = GaussianMixture(x, z=Categorical(10))
            else:
                layers = mlp((seen.width, width, width, 1), nn.SiLU)
                layers[-1].bias.requires_grad_(name == "noise_contrast")  # elsewhere a constant changes nothing
                model[prefix + name] = Network(nn.Sequential(seen, layers), x=x)
    return nn.ModuleDict(model)


def data(config: Config) -> Data:
    generator = torch.Generator().manual_seed(0)
    pixels = {part: load("digits", part)["x"].flatten(1) for part in ("train", "test")}
    held = torch.randperm(len(pixels["train"]), generator=generator) < 200
    pixels["validation"], pixels["train"] = pixels["train"][held], pixels["train"][~held]
    components = PrincipalComponents(Real(64), DIGITS.dim)
    variance = principal_components(components, pixels["train"])[: DIGITS.dim]
    scale = variance.mean().sqrt()  # so that the numbers of a digit have a variance of 1 on average
    parts = {}
    for part, count in (("train", config.points), ("validation", 1000), ("test", 1000)):
        parts[part] = {"x": spiral(count, generator), "digits": components.project(pixels[part]).detach() / scale}
    sources = {
        "spiral": {"split": "generated", "samples": config.points + 2000, "sha256": {}},
        "digits": {"split": "train and test", "samples": sum(map(len, pixels.values())), "sha256": {}},
    }
    extra = {
        "lookalikes": lookalikes(parts["train"]["digits"], 5000, generator),
        "labels": load("digits", "test")["y"],
        "mean": components.mean.detach(),
        "axes": scale * components.W.detach(),
    }
    return Data(parts["train"], parts["validation"], parts["test"], sources, extra=extra)


def objectives(model: Any, prefix: str, config: Config, x: Tensor) -> dict[str, Objective]:
    """What shapes each energy that has no closed form: the line in which the strategies differ."""
    problem = PROBLEMS[prefix]
    langevin = Langevin(problem.chain_rate)
    noise = MultivariateNormal(x.mean(0), 1.5 * x.T.cov())
    generator = mlp((problem.dim, config.width, config.width, problem.dim), nn.SiLU)
    contracting, saturating = (model[prefix + name].decoder for name in ("contracting", "saturating"))
    found = {
        "likelihood": GridLikelihood(-SIDE, SIDE, 100),
        "contrastive_divergence": ContrastiveDivergence(langevin, config.chain_steps),
        "replay": ReplayContrastiveDivergence(langevin, config.chain_steps, capacity=4 * config.batch_size),
        "noise_contrast": NoiseContrastive(noise, ratio=2),
        "adversarial": Adversarial(generator, dim=problem.dim, weight=problem.slope),
        "denoising": Denoising(GaussianNoise(problem.sigma), spoilt="z"),
        "curve": EnergyLoss(),
        "contracting": EnergyLoss() + problem.contraction * Contracting(name="z", encoder=contracting),
        "saturating": EnergyLoss() + problem.saturation * Saturating("relu", name="z", encoder=saturating[0]),
        "sliced_score": SlicedScoreMatching(),
        "denoising_score": DenoisingScoreMatching(problem.sigma),
        "plain": EnergyLoss(),
    }
    return {name: objective for name, objective in found.items() if prefix + name != "digits_likelihood"}


def reduced(model: Any, name: str) -> Energy:
    """A strategy's energy of what is observed, its latent variable summed out."""
    energy = model[name]
    if isinstance(energy, GaussianMixture):
        return energy.marginalize("z")
    if isinstance(energy, PrincipalComponents):
        return energy.minimize("z")
    if isinstance(energy, Clusters | TopographicMap):
        return energy.marginalize("z", (DIGITS if name.startswith("digits_") else SPIRAL).beta)
    return energy


def loss(model: Any, name: str, objective: Objective) -> Callable[[Mapping[str, Tensor]], Loss]:
    """What a strategy makes of a batch ``{"x": (N, D)}``; to an autoencoder x is what it sees, z, and what it should make of it, y."""
    energy = reduced(model, name)
    if isinstance(energy, Reconstruction):
        return lambda batch: objective(energy, {"y": batch["x"], "z": batch["x"]})
    return lambda batch: objective(energy, batch)


def landscape(model: Any, name: str) -> Energy:
    """A strategy's energy of x alone."""
    energy = reduced(model, name)
    if energy.spaces.keys() == {"x"}:
        return energy
    return Function(lambda x: energy(**dict.fromkeys(energy.spaces, x)), x=energy.spaces["y"])


def resolved(model: Any, name: str) -> Energy:
    """The same in steps of what can be told from rounding."""
    energy = landscape(model, name)
    step = RESOLVED * energy.space.shape.numel()
    return Function(lambda x: step * (energy(x=x).double() / step).round(), x=energy.spaces["x"])


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    for prefix, problem in PROBLEMS.items():
        x = data.train["digits" if prefix else "x"]
        centres = model[f"{prefix}centres"]
        trainer.once(f"{prefix}centres", lambda c=centres, x=x, p=problem: _fit_centres(c, x, p, trainer.generator))
        trainer.once(f"{prefix}collapsed", lambda e=model[f"{prefix}collapsed"], x=x: principal_components(e, x))
        for name, objective in objectives(model, prefix, config, x).items():
            key = prefix + name
            players = [_player(key, model[key], loss(model, key, objective), config, {"memory": objective})]
            if isinstance(objective, Adversarial):
                deceive = lambda batch, f=objective, e=model[key]: f.deceive(e, batch)  # noqa: E731
                players.append(_player("generator", objective.generator, deceive, config))
            trainer.fit(key, players, {"x": x}, steps=config.steps, batch_size=config.batch_size)
    mixture, x = model["digits_likelihood"], data.train["digits"]
    trainer.once("digits_likelihood", lambda: _fit_mixture(mixture, x, trainer.generator))


def _player(name: str, module: Any, loss: Any, config: Config, memory: Mapping[str, Objective] | None = None) -> Player:
    return Player(
        name,
        module,
        loss,
        lambda parameters: torch.optim.Adam(parameters, lr=config.rate),
        schedule=lambda optimizer, steps: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
        clip=10.0,
        memory=memory or {},
    )


@torch.no_grad()
def _fit_centres(clusters: Clusters, x: Tensor, problem: Problem, generator: torch.Generator) -> float:
    clusters.W.copy_(spread_centres(x, problem.centres, generator))
    return lloyd(clusters, x, steps=100, reduction=FreeEnergy(problem.beta))[-1]


def _fit_mixture(mixture: GaussianMixture, x: Tensor, generator: torch.Generator) -> float:
    """EM from k-means++ centres, covariances drawn towards the common one."""
    centres = spread_centres(x, len(mixture.means), generator)
    nearest = nn.functional.one_hot(torch.cdist(x, centres).argmin(1), len(centres)).to(x)
    return expectation_maximization(mixture, x, nearest, steps=50, shrinkage=20.0, floor=1e-3)[-1]


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    x = data.test["x"]
    figures = {"truth_nll": -spiral_log_density(x).mean().item()}
    for name in STRATEGY:
        density = GridDensity(resolved(model, name), -SIDE, SIDE, config.resolution)
        beta = density.suit(data.validation["x"])
        figures[f"{name}_nll"] = -density.log_probability(x, beta).mean().item()
        figures[f"{name}_volume"] = 100 * density.low_share(x)
        energy = resolved(model, f"digits_{name}")
        figures[f"{name}_told_apart"] = 100 * auroc(energy(x=data.test["digits"]), energy(x=data.extra["lookalikes"]))
    for name, objective in objectives(model, "", config, data.train["x"]).items():
        batch = {"x": data.train["x"][: config.batch_size]}
        figures[f"{name}_cost"] = _milliseconds(loss(model, name, objective), model[name], batch)
    return figures


def _milliseconds(loss: Callable[..., Loss], energy: Energy, batch: Mapping[str, Tensor]) -> float:
    """What a step costs: processor time of loss and slopes, the best of ten."""
    parameters = [parameter for parameter in energy.parameters() if parameter.requires_grad]
    taken = []
    for _ in range(10):
        began = time.process_time()
        with torch.enable_grad():
            torch.autograd.grad(loss(batch).value, parameters)
        taken.append(1000 * (time.process_time() - began))
    return min(taken)


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, clouds, images, landscapes, vector_field

    square = (-SIDE, SIDE, -SIDE, SIDE)
    x, digits, others = data.test["x"], data.test["digits"], data.extra["lookalikes"]
    generator = torch.Generator().manual_seed(0)
    heights, drawn, planes, rolled = {}, {}, {}, [others[:16]]
    for name, strategy in STRATEGY.items():
        title = f"{strategy} {name.replace('_', ' ')}"
        energy = resolved(model, name)
        density = GridDensity(energy, -SIDE, SIDE, config.resolution)
        beta = density.suit(data.validation["x"])
        heights[title] = _above(energy, x, beta)
        drawn[title] = density.sample(1000, beta, generator)
        energy = resolved(model, f"digits_{name}")
        planes[title] = _above(energy, digits, 1 / max(energy(x=others).std().item(), RESOLVED))
        ends = solve(GradientDescent(), landscape(model, f"digits_{name}"), others[:16], steps=300).value
        rolled.append(ends)
    corners = torch.stack([digits[data.extra["labels"] == label][0] for label in (0, 3, 6)])
    pixels = [(rows @ data.extra["axes"].T + data.extra["mean"]).reshape(-1, 8, 8) for rows in rolled]
    moves = {
        "denoising autoencoder": model["denoising"].decoder,
        "denoising score": lambda x: x - SPIRAL.sigma**2 * model["denoising_score"].gradient("x", x=x),
    }
    return [
        Picture("Seven strategies, one spiral", "Energies in nats above the data, each at the inverse temperature that suits it best; deep "
                "blue is low, dots are held-out points. Nothing pushes up the last two.",
                landscapes(heights, "x", data=x[:200], extent=square, minima=False, columns=5, ceiling=10.0)),
        Picture("What each would draw", "A thousand points from exp(−βE), exactly: from its grid.",
                clouds(drawn, extent=square, columns=5)),
        Picture("The same on digits", "The plane through a 0, a 3 and a 6 (dots). Energies above held-out digits, in units of how much "
                "they differ among lookalikes.",
                landscapes(planes, "x", plane=corners, data=corners, minima=False, columns=5, ceiling=3.0)),
        Picture("Where noise rolls to", "Draws from a Gaussian with the digits' mean and covariance (first row), and where 300 steps "
                "downhill end.", images(pixels, rows=["start", *heights], limits=(0, 1))),
        Picture("Where points are sent back to", "Arrows r(x) − x of the denoising autoencoder, and σ² times the slope of the score.",
                vector_field(moves, data=x[:200], extent=square, columns=2)),
    ]  # fmt: skip


def _above(energy: Energy, x: Tensor, scale: float) -> Callable[[Tensor], Tensor]:
    """An energy less that of nearly the lowest samples, scaled."""
    floor = energy(x=x).quantile(0.05)
    return lambda x: scale * (energy(x=x) - floor)


register(
    System(
        name="strategies",
        title="Seven strategies to shape an energy, side by side on a spiral and on digits: landscapes, likelihoods, volumes and costs",
        rows=("R45", "R47", "R48"),
        paper="LeCun 2019",
        config=Config,
        presets={"smoke": {"points": 200, "steps": 4, "batch_size": 32, "resolution": 60}},
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="likelihood",
        observed="x",
        unknown="x",
        metrics=(
            Metric("truth_nll", "lower", unit="nats", about="Held-out points of the spiral under the density they were drawn from."),
            Metric("likelihood_nll", "lower", unit="nats", about="C1; log Z by a grid, for digits a Gaussian mixture by EM."),
            Metric("likelihood_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("likelihood_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("likelihood_cost", "lower", unit="ms"),
            Metric("contrastive_divergence_nll", "lower", unit="nats", about="C2; CD-10, Langevin."),
            Metric("contrastive_divergence_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("contrastive_divergence_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("contrastive_divergence_cost", "lower", unit="ms"),
            Metric("replay_nll", "lower", unit="nats", about="C2; ten steps of Langevin from a store of earlier ends."),
            Metric("replay_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("replay_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("replay_cost", "lower", unit="ms"),
            Metric("noise_contrast_nll", "lower", unit="nats", about="C2; noise contrast with a Gaussian."),
            Metric("noise_contrast_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("noise_contrast_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("noise_contrast_cost", "lower", unit="ms"),
            Metric("adversarial_nll", "lower", unit="nats", about="C2; the discriminator as an energy."),
            Metric("adversarial_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("adversarial_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("adversarial_cost", "lower", unit="ms"),
            Metric("denoising_nll", "lower", unit="nats", about="C3; denoising autoencoder."),
            Metric("denoising_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("denoising_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("denoising_cost", "lower", unit="ms"),
            Metric("centres_nll", "lower", unit="nats", about="A1; k-means' mixture of 60 centres."),
            Metric("centres_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("centres_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("curve_nll", "lower", unit="nats", about="A2; one latent number, two for digits, summed over a grid."),
            Metric("curve_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("curve_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("curve_cost", "lower", unit="ms"),
            Metric("contracting_nll", "lower", unit="nats", about="A3; contracting autoencoder."),
            Metric("contracting_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("contracting_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("contracting_cost", "lower", unit="ms"),
            Metric("saturating_nll", "lower", unit="nats", about="A3; saturating autoencoder."),
            Metric("saturating_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("saturating_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("saturating_cost", "lower", unit="ms"),
            Metric("sliced_score_nll", "lower", unit="nats", about="A4; sliced score matching."),
            Metric("sliced_score_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("sliced_score_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("sliced_score_cost", "lower", unit="ms"),
            Metric("denoising_score_nll", "lower", unit="nats", about="A4; denoising score matching."),
            Metric("denoising_score_volume", "lower", gate=30.0, gate_source="own", unit="%"),
            Metric("denoising_score_told_apart", "higher", gate=75.0, gate_source="own", unit="%"),
            Metric("denoising_score_cost", "lower", unit="ms"),
            Metric("plain_nll", "lower", unit="nats", about="An autoencoder that nothing holds."),
            Metric("plain_volume", "lower", unit="%"),
            Metric("plain_told_apart", "higher", unit="%"),
            Metric("plain_cost", "lower", unit="ms"),
            Metric("collapsed_nll", "lower", unit="nats", about="A linear code as long as x: PCA with every direction."),
            Metric("collapsed_volume", "higher", gate=99.0, gate_source="own", unit="%"),
            Metric("collapsed_told_apart", "higher", unit="%"),
        ),
    )
)  # fmt: skip
