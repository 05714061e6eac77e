"""K-means, and the Gaussian mixture that appears when min becomes a log-sum-exp; principal and independent components beside them.

    E(y, z) = ½‖φ(y) − W_z‖²,  z in {1 … K}
    F(y)    = min_z E(y, z)                        k-means
    F_β(y)  = −1/β log Σ_z exp(−β E(y, z))         Gaussian mixture: equal weights, variance 1/β
    F(y)    = min_z ½‖y − m − W z‖²,  z ∈ ℝᴷ       PCA: the squared distance to a plane; flat where K is as large as y
    E(y)    = Σᵢ ½ sᵢ² ± log cosh sᵢ,  s = W y     square ICA: as many sources as observations

What all share is that the volume of low energy is bounded by how the energy is made. On a spiral in the plane this can be seen and
measured: the share of the picture that lies as low as the data do. The control that has a latent as large as y fills all of it.

Training: lower the mean of F over the data, in closed form: Lloyd's steps from the best of several k-means++ starts, EM,
    eigenvectors, and Newton steps on the sphere. The quadratic classifier on 40 principal components is trained by its likelihood.
No collapse: ∫ exp(−β F_β(y)) dy = K (2π/β)^{D/2} for every W, so lowering F_β here raises it elsewhere (strategy A1).
Sources: Lloyd, IEEE Trans. IT 28 (1982); Dempster, Laird & Rubin, JRSS B 39 (1977); Arthur & Vassilvitskii, SODA 2007; Baldi & Hornik,
    Neural Networks 2 (1989); Hyvärinen, IEEE Trans. Neural Networks 10 (1999); LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86
    (1998), section III-C.3, for the quadratic classifier; Xie, Girshick & Farhadi, ICML 2016, for how clusters are judged.
Expect: 78 % of MNIST's test images in the cluster of their digit (53.5 % on raw pixels, as Xie et al. measure it), 2.0 % error of the
    quadratic classifier, all of the sources' variance, the energy of scikit-learn's k-means within 1 %; three minutes.
Known failure: the lowest energy is not the best clustering. On raw pixels the lowest start agrees with 53.5 % of the labels, others that
    end higher with 51 to 62 %: ink that leans is farther from its own digit than from another. Hence the images sheared upright and
    scaled to length one. Even there 4 and 9 share two clusters.

Your own images: ``lowland train kmeans --images FOLDER``, with one sub-folder of images for each class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ...data import SOURCES, deskew, hidden_sources, labelled_images, load, spiral
from ...energy import Clusters, Energy, FreeEnergy, IndependentComponents, NetworkTable, PrincipalComponents
from ...objectives import (
    NegativeLogLikelihood,
    error_rate,
    independent_components,
    lloyd,
    principal_components,
    spread_centres,
)
from ...spaces import Box, Real
from ...system import Data, Metric, System, register
from ...train import Player

IMAGE = Box(0.0, 1.0, 28, 28)
DIGITS = 10
SPIRAL = ("spiral_pca", "spiral_kmeans", "spiral_mixture", "spiral_flat")


@dataclass(frozen=True)
class Config:
    """Configuration of k-means and its relatives."""

    images: str = "mnist"
    """Data: mnist, digits (embedded), or a folder with one sub-folder of images for each class (at most ten)."""
    clusters: int = 10
    """K, how many centres the images get."""
    starts: int = 10
    """K-means++ starts, of which the lowest energy is kept."""
    steps: int = 300
    """Lloyd's steps from each start, at most."""
    directions: int = 40
    """Principal components of the images, whose products the quadratic classifier sees."""
    epochs: int = 30
    """Passes over the data, for the quadratic classifier."""
    rate: float = 1e-3
    """Step of AdamW for the quadratic classifier, in units of its weights."""
    penalty: float = 0.1
    """Weight decay of the quadratic classifier, as a share of the rate."""
    spiral_centres: int = 40
    """Centres on the spiral."""
    beta: float = 300.0
    """Inverse temperature of the mixture on the spiral, whose arms are about 0.3 apart."""
    compared: int = 8
    """Seeds over which the energy is compared with scikit-learn's, on the embedded digits."""


class Upright(nn.Module):
    """φ(y): the image sheared upright and scaled to length one, ``(N, 28, 28) → (N, 784)``."""

    def forward(self, y: Float[Tensor, "N 28 28"]) -> Float[Tensor, "N 784"]:
        return nn.functional.normalize(deskew(y).flatten(1), dim=1)


class Products(nn.Module):
    """All products of two principal components, and the components: ``(N, 28, 28) → (N, K + K(K + 1)/2)``, of mean 0 and variance 1.

    Its buffers are written by `fit`: there is nothing to descend.
    """

    first: Tensor
    second: Tensor
    mean: Tensor
    axes: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, directions: int) -> None:
        super().__init__()
        first, second = torch.triu_indices(directions, directions)
        self.register_buffer("first", first)
        self.register_buffer("second", second)
        self.register_buffer("mean", torch.zeros(IMAGE.shape.numel()))
        self.register_buffer("axes", torch.zeros(IMAGE.shape.numel(), directions))
        self.width = directions + len(first)
        self.register_buffer("centre", torch.zeros(self.width))
        self.register_buffer("spread", torch.ones(self.width))

    @torch.no_grad()
    def fit(self, components: PrincipalComponents, x: Float[Tensor, "N 28 28"]) -> None:
        """Take over the components, and the mean and spread of their products over the data."""
        self.mean.copy_(components.mean)
        self.axes.copy_(components.W)
        products = self._products(x)
        self.centre.copy_(products.mean(0))
        self.spread.copy_(products.std(0))

    def _products(self, x: Tensor) -> Tensor:
        along = (x.flatten(1) - self.mean) @ self.axes
        return torch.cat([along, along[:, self.first] * along[:, self.second]], 1)

    def forward(self, x: Float[Tensor, "N 28 28"]) -> Float[Tensor, "N P"]:
        return (self._products(x) - self.centre) / self.spread


def build(config: Config) -> nn.ModuleDict:
    kmeans = Clusters(IMAGE, config.clusters, Upright())
    kmeans.register_buffer("digit", torch.zeros(config.clusters, dtype=torch.int64))
    products = Products(config.directions)
    return nn.ModuleDict(
        {
            "kmeans": kmeans,
            "pca": PrincipalComponents(IMAGE, config.directions),
            "quadratic": NetworkTable(nn.Sequential(products, nn.Linear(products.width, DIGITS)), IMAGE, DIGITS),
            "ica": IndependentComponents(Real(len(SOURCES))),
            "spiral_pca": PrincipalComponents(Real(2), 1),
            "spiral_kmeans": Clusters(Real(2), config.spiral_centres),
            "spiral_mixture": Clusters(Real(2), config.spiral_centres),
            "spiral_flat": PrincipalComponents(Real(2), 2),
        }
    )


def data(config: Config) -> Data:
    found = labelled_images(config.images)
    generator = torch.Generator().manual_seed(0)
    sources = hidden_sources(5000, generator)
    mixture = torch.randn(len(SOURCES), len(SOURCES), generator=generator)
    extra = {
        "sources": sources,
        "mixed": sources @ mixture.T,
        "spiral": spiral(1000, generator),
        "spiral_test": spiral(1000, generator),
    }
    named = [{"y": part["x"], "digit": part["y"]} for part in (found.train, found.validation, found.test)]
    return Data(named[0], named[1], named[2], found.sources, found.classes, extra)


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    y, digit, shape = data.train["y"], data.train["digit"], data.extra["spiral"]
    starts = trainer.progress(range(config.starts), "k-means")
    trainer.once(
        "kmeans",
        lambda: _best_start(model["kmeans"], model["kmeans"].features(y), starts, config.steps, trainer.generator),
    )
    trainer.once("names", lambda: _name(model["kmeans"], y, digit))
    trainer.once("pca", lambda: principal_components(model["pca"], y))
    trainer.once("ica", lambda: independent_components(model["ica"], data.extra["mixed"], generator=trainer.generator))
    trainer.once("spiral", lambda: _fit_spiral(model, shape, config, trainer.generator))

    products, linear = model["quadratic"].network
    trainer.once("products", lambda: products.fit(model["pca"], y))
    head = NetworkTable(linear, Real(products.width), DIGITS)
    objective = NegativeLogLikelihood()
    features, held = products(y), products(data.validation["y"])
    trainer.fit(
        "quadratic",
        Player(
            "quadratic",
            head,
            lambda batch: objective(head, batch),
            optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=config.rate, weight_decay=config.penalty),
            schedule=lambda optimizer, steps: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
        ),
        {"x": features, "y": digit},
        epochs=config.epochs,
        batch_size=256,
        validate=lambda: {"validation_error": 100 * error_rate(head, {"x": held, "y": data.validation["digit"]})},
    )


def _best_start(
    clusters: Clusters, features: Tensor, starts: Iterable[int], steps: int, generator: torch.Generator
) -> list[float]:
    """Lloyd's steps from several starts; the centres of the lowest energy stay. Returns where each ended."""
    found = []
    for start in starts:
        clusters.W.data = spread_centres(features, len(clusters.W), generator)
        found.append((lloyd(clusters, features, steps=steps)[-1], start, clusters.W.data.clone()))
    clusters.W.data = min(found)[2]
    return [energy for energy, _, _ in found]


@torch.no_grad()
def _fit_spiral(model: Any, shape: Tensor, config: Config, generator: torch.Generator) -> list[float]:
    for name in ("spiral_pca", "spiral_flat"):
        principal_components(model[name], shape)
    start = spread_centres(shape, config.spiral_centres, generator)
    for name in ("spiral_kmeans", "spiral_mixture"):
        model[name].W.copy_(start)
    return [
        lloyd(model["spiral_kmeans"], shape, steps=config.steps)[-1],
        lloyd(model["spiral_mixture"], shape, steps=config.steps, reduction=FreeEnergy(config.beta))[-1],
    ]


def _name(clusters: Clusters, y: Tensor, digit: Tensor) -> list[int]:
    """Match the clusters with the digits, on the training labels."""
    names = _matched(_counts(clusters.nearest(clusters.features(y)), digit, len(clusters.W)))
    clusters.get_buffer("digit").copy_(names)
    return names.tolist()


def _matched(counts: Float[Tensor, "K 10"]) -> Int64[Tensor, " K"]:
    """The digit of each cluster: the matching, one to one, that agrees with most samples (Hungarian method)."""
    from scipy.optimize import linear_sum_assignment

    cluster, digit = linear_sum_assignment(counts.numpy(), maximize=True)
    names = counts.argmax(1)  # clusters that are left over take the digit they hold most of
    names[torch.from_numpy(cluster)] = torch.from_numpy(digit)
    return names


def _counts(z: Tensor, digit: Tensor, clusters: int) -> Float[Tensor, "K 10"]:
    return torch.zeros(clusters, DIGITS).index_put((z, digit), torch.ones(len(z)), accumulate=True)


def _percent(hits: Tensor) -> float:
    return 100 * hits.float().mean().item()


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    y, digit = data.test["y"], data.test["digit"]
    kmeans = model["kmeans"]
    found = {"kmeans_accuracy": _percent(kmeans.digit[kmeans.nearest(kmeans.features(y))] == digit)}
    found["kmeans_pixels_accuracy"] = _published_protocol(config, data)
    found["quadratic_error"] = 100 * error_rate(model["quadratic"], {"x": y, "y": digit})
    found["ica_recovered"] = 100 * _recovered(model["ica"], data).mean().item()
    found["energy_over_sklearn"] = max(_energy_over_sklearn(seed, config.starts) for seed in range(config.compared))
    found["mixture"], found["mixture_sklearn"] = _mixtures()
    for name, energy in _spiral_energies(model, config).items():
        found[f"{name}_volume"] = 100 * low_volume(energy, data.extra["spiral_test"])
    return found


def _published_protocol(config: Config, data: Data) -> float:
    """Clustering accuracy of raw pixels, as Xie et al. measure it: every image there is, whichever split it is of."""
    parts = [part for part in (data.train, data.validation, data.test) if part]
    features = torch.cat([part["y"].flatten(1) for part in parts])
    digit = torch.cat([part["digit"] for part in parts])
    clusters = Clusters(IMAGE, DIGITS)
    _best_start(clusters, features, range(config.starts), config.steps, torch.Generator().manual_seed(0))
    z = clusters.nearest(features)
    return _percent(_matched(_counts(z, digit, DIGITS))[z] == digit)


def _recovered(energy: IndependentComponents, data: Data) -> Float[Tensor, " 6"]:
    """For each hidden source the share of its variance that the matching found one explains."""
    from scipy.optimize import linear_sum_assignment

    both = torch.cat([energy.sources(data.extra["mixed"]), data.extra["sources"]], 1)
    explained = torch.corrcoef(both.T)[: len(SOURCES), len(SOURCES) :].square()
    match = linear_sum_assignment(explained.numpy(), maximize=True)
    return explained[match][torch.from_numpy(match[1]).argsort()]


def _energy_over_sklearn(seed: int, starts: int) -> float:
    """The lowest energy of several starts, ours over scikit-learn's, on the embedded digits."""
    from sklearn.cluster import KMeans

    y = load("digits", "all")["x"].flatten(1)
    generator, ours = torch.Generator().manual_seed(seed), []
    for _ in range(starts):
        clusters = Clusters(Real(64), DIGITS)
        clusters.W.data = spread_centres(y, DIGITS, generator)
        ours.append(lloyd(clusters, y)[-1])
    peer = KMeans(DIGITS, n_init=starts, random_state=seed).fit(y.numpy())  # pyright: ignore[reportArgumentType]
    return min(ours) * 2 * len(y) / peer.inertia_


def _mixtures() -> tuple[float, float]:
    """Mean log-likelihood of held-out digits in 10 principal components: a mixture with full covariances, ours and scikit-learn's."""
    from sklearn.mixture import GaussianMixture as Peer

    from ...energy import GaussianMixture
    from ...objectives import expectation_maximization
    from ...spaces import Categorical

    fit, judge = (load("digits", part)["x"].flatten(1).double() for part in ("train", "test"))
    components = PrincipalComponents(Real(64), 10).double()
    principal_components(components, fit)
    fit, judge = components.project(fit), components.project(judge)
    centres = Clusters(Real(10), DIGITS).double()
    centres.W.data = spread_centres(fit, DIGITS, torch.Generator().manual_seed(0))
    lloyd(centres, fit)
    mixture = GaussianMixture(Real(10), z=Categorical(DIGITS)).double()
    nearest = nn.functional.one_hot(centres.nearest(fit), DIGITS).double()
    expectation_maximization(mixture, fit, nearest, steps=100, floor=1e-6)
    peer = Peer(DIGITS, random_state=0, max_iter=100).fit(fit.numpy())
    return -mixture.marginalize("z")(x=judge).mean().item(), float(peer.score(judge.numpy()))


def _spiral_energies(model: Any, config: Config) -> dict[str, Energy]:
    """The four landscapes: three in which low energy is scarce by construction, and the one in which it is not."""
    pca, kmeans, mixture, flat = (model[name] for name in SPIRAL)
    reduced = (pca.minimize("z"), kmeans.minimize("z"), mixture.marginalize("z", config.beta), flat.minimize("z"))
    return dict(zip(SPIRAL, reduced, strict=True))


def low_volume(energy: Energy, y: Float[Tensor, "N 2"], side: float = 1.3, resolution: int = 400) -> float:
    """The share of the square [−side, side]² whose energy is at most what 95 % of the data have: 1 when the landscape is flat."""
    line = torch.linspace(-side, side, resolution)
    level = energy(y=y).quantile(0.95)
    slack = 1e-6 * side**2  # rounding makes hills of its own in a landscape that is flat
    return (energy(y=torch.cartesian_prod(line, line)) <= level + slack).float().mean().item()


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, confusion, filters, images, landscapes, lines, mistakes

    shape, y, digit = data.extra["spiral_test"], data.test["y"], data.test["digit"]
    spiral_energies = _spiral_energies(model, config)
    names = ("PCA, one direction", f"k-means, K = {config.spiral_centres}", "Gaussian mixture", "z as large as y")
    titles = {
        f"{name}: {100 * low_volume(energy, shape):.0f} % low": energy
        for name, energy in zip(names, spiral_energies.values(), strict=True)
    }
    centres = model["spiral_kmeans"]
    cooling = {f"β = {beta}": _above_lowest(centres, float(beta)) for beta in (30, 300)} | {
        "β → ∞": centres.minimize("z")
    }
    kmeans, pca, ica = model["kmeans"], model["pca"], model["ica"]
    z = kmeans.nearest(kmeans.features(y))
    order = kmeans.digit.argsort()
    seen = y[:12]
    along = pca.project(seen)
    ranks = sorted({2, 10, config.directions})
    fewer = [(pca.mean + along[:, :k] @ pca.W[:, :k].T).reshape(-1, 28, 28) for k in ranks]
    costs = model["quadratic"].table("y", x=y)
    mixed, hidden = data.extra["mixed"][:600], data.extra["sources"][:600]
    found, time = ica.sources(mixed), torch.arange(600)
    place, sign = _matching(found, hidden)
    return [
        Picture(
            "Four landscapes over one spiral",
            "Deep blue is low energy; white-edged dots are data that were not trained on. `% low` is the share of the square that "
            "lies as low as 95 % of the data. The last energy has a latent as large as the observation: it reconstructs everything "
            "and has learnt nothing.",
            landscapes(titles, "y", data=shape[:300], extent=(-1.3, 1.3, -1.3, 1.3), minima=False, columns=2, ceiling=0.03),
        ),
        Picture(
            "From the mixture to k-means",
            "The same centres, with z marginalised at three temperatures: the free energy tends to the minimum as "
            "β grows. Heights above the lowest centre.",
            landscapes(cooling, "y", data=shape[:150], extent=(-1.3, 1.3, -1.3, 1.3), minima=False, ceiling=0.03),
        ),
        Picture("The centres of the digits", "Each is the mean of its cluster; above it the digit it is matched with.",
                images(kmeans.W.detach()[order].reshape(-1, 28, 28), titles=[f"“{n}”" for n in kmeans.digit[order].tolist()], columns=5)),
        Picture("Clusters and digits", "Rows are the digits of the test split, columns the digit that the cluster stands for.",
                confusion(_counts(digit, kmeans.digit[z], DIGITS), data.labels, got="cluster of")),
        Picture("Principal components", "The first 20 of the images: red and blue are opposite.",
                filters(pca.W.detach().T[:20].reshape(-1, 28, 28), columns=10)),
        Picture("Reconstruction", "As written, and from the mean and the first components.",
                images([seen, *(one.clamp(0, 1) for one in fewer)], rows=["written", *(str(k) for k in ranks)])),
        *(
            Picture(
                f"Independent component: {SOURCES[i]}",
                "A signal that was mixed with five others, and what was found of it in the mixtures (moved up by 5, for the eye).",
                lines(time, {"hidden": hidden[:, i], "found": sign[i] * found[:, place[i]] + 5,
                             "one mixture": mixed[:, i] / mixed[:, i].std() - 5},
                      xlabel="sample", ylabel="standard deviations", log=False, markers=False, height=2.6),
            )
            for i in (0, 2, 3)
        ),
        Picture("Nearest mistakes of the quadratic classifier", "Wrong by the smallest difference of energy.",
                mistakes(y, digit, costs.argmin(-1), costs, labels=data.labels)),
    ]  # fmt: skip


def _above_lowest(clusters: Clusters, beta: float) -> Any:
    """F_β less its lowest value at a centre, for a picture in which all temperatures share their colours."""
    free = clusters.marginalize("z", beta)
    return lambda y: free(y=y) - free(y=clusters.W).min()


def _matching(found: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """For each hidden source which found one resembles it most, and with which sign."""
    likeness = (hidden - hidden.mean(0)).T @ (found - found.mean(0))
    place = likeness.abs().argmax(1)
    return place, likeness.gather(1, place.unsqueeze(1)).squeeze(1).sign()


def embed(energy: Clusters, values: Mapping[str, Tensor]) -> Tensor:
    return energy.features(values["y"])


def tell(energy: Clusters, values: Mapping[str, Tensor], solution: Any) -> list[str]:
    return [
        f"cluster {z}, matched with the digit {energy.get_buffer('digit')[z].item()}"
        for z in solution.value.flatten().tolist()
    ]


register(
    System(
        name="kmeans",
        title="K-means and the Gaussian mixture from one energy; PCA, ICA, and a landscape that collapses",
        rows=("R45",),
        paper="Lloyd 1982; Dempster et al. 1977",
        config=Config,
        presets={"smoke": {"images": "digits", "starts": 2, "steps": 20, "epochs": 10, "rate": 1e-2, "compared": 1}},
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="kmeans",
        observed="y",
        unknown="z",
        embed=embed,
        tell=tell,
        metrics=(
            Metric("kmeans_accuracy", "higher", gate=53.0, gate_source="own", unit="%",
                   about="Test images whose cluster is matched with their digit; upright images of length one, lowest energy of ten "
                         "starts, one cluster a digit, matched on the training labels."),
            Metric("kmeans_pixels_accuracy", "higher", gate=53.0, gate_source="own, from reported figures of 53 to 59 %", unit="%",
                   about="Raw pixels, all 70,000 images, lowest of ten starts; so judged after 52.6 % on the test split alone."),
            Metric("quadratic_error", "lower", gate=3.3, gate_source="LeCun et al. 1998, III-C.3", paper=3.3, unit="%",
                   about="Products of 40 principal components, linear classifier."),
            Metric("ica_recovered", "higher", gate=95.0, gate_source="own", unit="%",
                   about="Mean share of the variance of six mixed sources that the found ones explain."),
            Metric("energy_over_sklearn", "lower", gate=1.01, gate_source="own",
                   about="Energy of the best of ten starts over scikit-learn's, embedded digits: the worst of eight seeds."),
            Metric("mixture", "higher", unit="nats",
                   about="Log-likelihood of a held-out digit in 10 principal components, 10 Gaussians with full covariance."),
            Metric("mixture_sklearn", "higher", unit="nats", about="The same, scikit-learn's mixture."),
            Metric("spiral_pca_volume", "lower", unit="%", about="Share of the square that lies as low as 95 % of the spiral."),
            Metric("spiral_kmeans_volume", "lower", unit="%", about="The same for k-means with 40 centres."),
            Metric("spiral_mixture_volume", "lower", unit="%", about="The same for the mixture."),
            Metric("spiral_flat_volume", "lower", unit="%", about="The same for the control that is flat: all of it."),
        ),
    )
)  # fmt: skip
