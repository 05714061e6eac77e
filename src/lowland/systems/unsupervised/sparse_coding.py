"""Sparse coding of natural images, and the encoders that guess its codes.

    E(y, z) = ½ ‖y − Wz‖² + λ ‖z‖₁        y: a whitened 12×12 patch, ‖W_k‖ = 1
    F(y)    = min_z E(y, z)
    control: the same without λ ‖z‖₁, and so with nothing that keeps F from being low everywhere

Beside them two encoders, each an energy of its own, E(y, z) = ½ ‖z − encoder(y)‖²: LISTA and LCoD.

Training: lower the mean of F over patches (strategy A2), batch by batch: codes by alternating directions, then every atom in turn to
    its best place for the codes remembered (Mairal), at length 1. Then the encoders regress on optimal codes.
No collapse: the L1 term bounds the volume of codes of low energy, and atoms of length 1 keep it from being bought off by small codes
    and long atoms. Without it 256 atoms span all patches: F is 0 for noise as for data, which is the control's figure.
Sources: Olshausen & Field, Nature 381 (1996); Mairal, Bach, Ponce & Sapiro, JMLR 11 (2010), for codes and dictionary by turns;
    Gregor & LeCun, ICML 2010, for the encoders.
Measure: an atom counts as oriented and localised when one Gabor function explains at least 70 % of its energy, a grating at right
    angles to its best one gets at most half the answer, and its energy fills at most half the patch (`lowland.data.gabor`).
    White noise scores 0 %, patches of the data 8 %.
Expect: 95 % of the atoms oriented and localised (94–96, seeds 0–2); LISTA's code error 0.79 × that of FISTA after 20 iterations; noise
    costs 1.17 × what data cost, and nothing without the L1 term; three minutes.
Known failure: how much LISTA gains depends on λ. FISTA slows down as λ falls, LISTA hardly: three layers come as near as 20
    iterations at λ = 0.15, but not quite at 0.25 (error 1.09 × FISTA's, one seed), and far from it where the atoms are learnt.

Your own images: ``lowland train sparse_coding --images FOLDER``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...data import dataset, datasets, extract_patches, load, read_images, whiten_images
from ...data.gabor import fit_gabors, orientation_selectivity, spread
from ...energy import L1, Energy, LinearReconstruction, Prediction, Quadratic
from ...errors import DataError
from ...inference import ADMM, FISTA, GreedyCoordinateDescent, solve
from ...nets import LISTA, LCoD
from ...objectives import EnergyLoss, learn_dictionary
from ...spaces import Real
from ...system import Data, Metric, System, register
from ...train import Player

SIDE = 12
DIM = SIDE * SIDE
#: Of the whitening filter, in cycles per pixel.
CUTOFF = 0.45


@dataclass(frozen=True)
class Config:
    """How the dictionary and its encoders are learnt."""

    images: str = "bsds500"
    """Data: bsds500, natural_images, noise (generated, for tests), or a folder of images."""
    patches: int = 150_000
    """Patches to learn from."""
    atoms: int = 256
    """K, the columns of W."""
    weight: float = 2.0
    """λ while W is learnt, in standard deviations of a pixel."""
    steps: int = 1400
    """Batches for W."""
    batch_size: int = 500
    """Patches in one of them."""
    encoder_weight: float = 0.15
    """λ of the codes that the encoders guess, in standard deviations of a pixel."""
    encoder_steps: int = 12_000
    """Batches for LISTA."""
    encoder_rate: float = 2e-3
    """Adam's rate for the encoders."""
    layers: int = 3
    """Layers of LISTA."""
    moves: int = 32
    """Entries that LCoD moves."""
    lcod_steps: int = 800
    """Batches for LCoD."""


def build(config: Config) -> nn.ModuleDict:
    decoders = [LinearReconstruction(DIM, config.atoms) for _ in range(2)]
    for decoder in decoders:
        decoder.normalize()
    encoders = LISTA(DIM, config.atoms, config.layers), LCoD(DIM, config.atoms, config.moves)
    lista, lcod = (Prediction(encoder, Real(DIM), Real(config.atoms)) for encoder in encoders)
    sparse = decoders[0] + L1(Real(config.atoms), config.weight)
    return nn.ModuleDict({"sparse": sparse, "flat": decoders[1], "lista": lista, "lcod": lcod})


def data(config: Config) -> Data:
    generator = torch.Generator().manual_seed(0)
    pictures, sources = _pictures(config.images, generator)
    held = max(len(pictures) // 6, 1)
    if len(pictures) <= 2 * held:
        raise DataError(
            f"{config.images}: wanted at least 3 images, to learn from, tune on and judge by; got {len(pictures)}."
        )
    pictures = [_whitened(picture) for picture in pictures]
    parts = pictures[: -2 * held], pictures[-2 * held : -held], pictures[-held:]
    train, validation, test = (
        {"y": _centred(extract_patches(part, SIDE, count, generator).flatten(1))}
        for part, count in zip(parts, (config.patches, 2000, 5000), strict=True)
    )
    return Data(train, validation, test, sources)


def _pictures(source: str, generator: torch.Generator) -> tuple[list[Tensor], dict[str, Any]]:
    """Grey images ``(H, W)``, and what is recorded of them."""
    if source == "noise":
        noisy = torch.randn(6, 64, 64, generator=generator).cumsum(1).cumsum(2)
        return list(noisy), {"noise": {"split": "generated", "samples": 6, "sha256": {}}}
    if source in datasets():
        found = [picture.mean(0) if picture.ndim == 3 else picture for picture in load(source)["x"]]
        return found, {
            source: {
                "split": "the last sixth of the images",
                "samples": len(found),
                "sha256": dataset(source).checksums(),
            }
        }
    files = sorted(path for path in Path(source).rglob("*") if path.is_file())
    return [read_images([path])["x"][0] for path in files], {
        "images": {"split": "the last sixth", "samples": len(files), "sha256": {}}
    }


def _whitened(picture: Float[Tensor, "H W"]) -> Float[Tensor, "h w"]:
    """Without the edges, where the filter wraps around; of variance 1, so that dark pictures count as much as bright ones."""
    inner = whiten_images([picture], CUTOFF)[0][4:-4, 4:-4]
    return inner / inner.std()


def _centred(patches: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    return patches - patches.mean(1, keepdim=True)


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    y = data.train["y"]

    def learn(name: str, steps: int) -> None:
        batches = (
            y[torch.randint(len(y), (config.batch_size,), generator=trainer.generator)]
            for _ in trainer.progress(range(steps), f"dictionary, {name}")
        )
        history = learn_dictionary(model[name], batches, solver=ADMM(), steps=16, tol=0.0, forget=4.0)
        for step in range(0, steps, 100):
            part = history[step : step + 100]
            trainer.log(step=step, **{f"energy_{name}": sum(part) / len(part)})

    trainer.once("sparse", lambda: learn("sparse", config.steps))
    trainer.once("flat", lambda: learn("flat", max(config.steps // 50, 1)))
    dictionary, weight = _decoder(model["sparse"]).W.detach(), config.encoder_weight
    codes = {"y": y, "z": torch.cat([optimal(dictionary, part, weight, 1e-2) for part in y.split(5000)])}
    for name, steps in (("lista", config.encoder_steps), ("lcod", config.lcod_steps)):
        energy = model[name]
        trainer.once(f"{name}_start", lambda energy=energy: energy.encoder.follow(dictionary, weight))
        player = Player(
            name, energy, lambda batch, energy=energy: EnergyLoss()(energy, batch), schedule=_cosine,
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr=config.encoder_rate, betas=(0.9, 0.99)),
        )  # fmt: skip
        trainer.fit(name, player, codes, steps=steps, batch_size=256)


def _cosine(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def _decoder(energy: Energy) -> LinearReconstruction:
    return next(module for module in energy.modules() if isinstance(module, LinearReconstruction))


# --- codes, and how good they are -------------------------------------------------------------------------------------


def lasso(dictionary: Float[Tensor, "D K"], y: Float[Tensor, "N D"], weight: float) -> Energy:
    """E(z) for these atoms, these samples and this weight of the L1 term."""
    form = Quadratic(dictionary.T @ dictionary) + L1(Real(dictionary.shape[1]), weight)
    return form.given(linear=y @ dictionary, constant=0.5 * y.square().sum(-1))


def optimal(
    dictionary: Float[Tensor, "D K"], y: Float[Tensor, "N D"], weight: float, tol: float = 1e-3
) -> Float[Tensor, "N K"]:
    """The codes of least energy."""
    with torch.no_grad():
        return solve(ADMM(), lasso(dictionary, y, weight), tol=tol).value


def signal_to_noise(dictionary: Float[Tensor, "D K"], y: Float[Tensor, "N D"], z: Float[Tensor, "N K"]) -> float:
    """Of the reconstruction, in dB."""
    return 10 * (y.square().sum() / (y - z @ dictionary.T).square().sum()).log10().item()


def path(dictionary: Float[Tensor, "D K"], y: Float[Tensor, "N D"], weights: Sequence[float]) -> dict[str, list[float]]:
    """Mean number of non-zeros, and SNR in dB, for each weight of the L1 term."""
    codes = [optimal(dictionary, y, weight, 1e-2) for weight in weights]
    return {
        "nonzeros": [(z != 0).sum(1).double().mean().item() for z in codes],
        "snr": [signal_to_noise(dictionary, y, z) for z in codes],
    }


def code_error(z: Float[Tensor, "*T N K"], best: Float[Tensor, "N K"]) -> Float[Tensor, "*T"]:
    """‖z − z*‖² over the samples, over ‖z*‖²."""
    return (z - best).square().sum((-2, -1)) / best.square().sum()


def shapes(dictionary: Float[Tensor, "D K"]) -> dict[str, Float[Tensor, " K"]]:
    """What `lowland.data.gabor` says of each atom."""
    atoms = dictionary.T.reshape(-1, SIDE, SIDE)
    return {"explained": fit_gabors(atoms), "selectivity": orientation_selectivity(atoms), "spread": spread(atoms)}


def gabor_like(dictionary: Float[Tensor, "D K"]) -> Bool[Tensor, " K"]:
    """Whether each atom is oriented and localised, as the measure above has it."""
    shape = shapes(dictionary)
    return (shape["explained"] >= 0.7) & (shape["selectivity"] >= 1 / 3) & (shape["spread"] <= 0.5)


def noise(y: Float[Tensor, "N D"], generator: torch.Generator) -> Float[Tensor, "N D"]:
    """White noise, each sample with mean 0 and as long as one of the data."""
    drawn = torch.randn(y.shape, generator=generator)
    drawn = drawn - drawn.mean(1, keepdim=True)
    return drawn * (y.norm(dim=1, keepdim=True) / drawn.norm(dim=1, keepdim=True))


def free_energies(energy: Energy, y: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
    """F(y) over ½‖y‖², the energy of z = 0: 1 where no code helps, 0 where one explains everything for nothing."""
    with torch.no_grad():
        return energy.minimize("z", ADMM(), steps=400, tol=1e-3)(y=y) / (0.5 * y.square().sum(1)).clamp_min(1e-12)


def searches(model: Any, config: Config, y: Float[Tensor, "N D"]) -> dict[str, Any]:
    """Code error of both encoders, and of FISTA and greedy coordinate descent after each step."""
    dictionary = _decoder(model["sparse"]).W.detach()
    energy, best = lasso(dictionary, y, config.encoder_weight), optimal(dictionary, y, config.encoder_weight)
    with torch.no_grad():
        runs = {
            name: solve(solver, energy, steps=steps, tol=0.0, record=1).info["trajectory"]
            for name, solver, steps in (("fista", FISTA(), 40), ("cod", GreedyCoordinateDescent(), config.moves))
        }
        found = {name: code_error(trajectory, best) for name, trajectory in runs.items()}
        guesses = {name: code_error(model[name].encoder(y), best).item() for name in ("lista", "lcod")}
    return {**found, **guesses}


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    y, generator = data.test["y"], torch.Generator().manual_seed(0)
    dictionary = _decoder(model["sparse"]).W.detach()
    z = optimal(dictionary, y, config.weight)
    error = searches(model, config, y)
    encoder_path = path(dictionary, y, [config.encoder_weight])
    sparse, flat = (
        [free_energies(model[name], x).mean().item() for x in (y, noise(y, generator))] for name in ("sparse", "flat")
    )
    return {
        "oriented_localised": 100 * gabor_like(dictionary).double().mean().item(),
        "explained_by_gabor": shapes(dictionary)["explained"].mean().item(),
        "nonzeros": (z != 0).sum(1).double().mean().item(),
        "snr": signal_to_noise(dictionary, y, z),
        "encoder_nonzeros": encoder_path["nonzeros"][0],
        "encoder_snr": encoder_path["snr"][0],
        "lista_code_error": error["lista"],
        "fista20_code_error": error["fista"][20].item(),
        "lista_over_fista20": error["lista"] / error["fista"][20].item(),
        "fista_same_work_code_error": error["fista"][config.layers + 1].item(),
        "lcod_code_error": error["lcod"],
        "cod_same_moves_code_error": error["cod"][-1].item(),
        "noise_over_data": sparse[1] / sparse[0],
        "flat_data": flat[0],
        "flat_noise": flat[1],
    }


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, filters, images, lines

    generator = torch.Generator().manual_seed(1)
    y = data.test["y"][:1000]
    dictionary = _decoder(model["sparse"]).W.detach()
    shape, good = shapes(dictionary), gabor_like(dictionary)
    order = (good.float() * 10 + shape["explained"]).argsort(descending=True)
    weights = [8 / 2**step for step in range(9)]
    others = {
        "learnt atoms": dictionary,
        "patches of the data": torch.nn.functional.normalize(data.train["y"][: config.atoms].T, dim=0),
        "random atoms": torch.nn.functional.normalize(torch.randn(DIM, config.atoms, generator=generator), dim=0),
    }
    paths = {name: path(atoms, y, weights) for name, atoms in others.items()}
    error = searches(model, config, y)
    count = torch.arange(41)
    strongest = y.norm(dim=1).argsort(descending=True)[20:36]
    rows = {"data": y[strongest], "noise": noise(y[strongest], generator)}
    answers = {}
    for name, x in rows.items():
        answers[name] = x
        for kind in ("sparse", "flat"):
            atoms = _decoder(model[kind]).W.detach()
            with torch.no_grad():
                code = model[kind].minimize("z", ADMM(), steps=400, tol=1e-3).answer(y=x)
            answers[f"{name}, {kind}"] = code @ atoms.T
    energies = {
        f"{kind}, {name}": max(free_energies(model[kind], x).mean().item(), 0.0)  # below by rounding
        for kind in ("sparse", "flat")
        for name, x in {"data": y, "noise": noise(y, generator)}.items()
    }
    share, used = 100 * good.float().mean().item(), config.encoder_weight
    return [
        Picture("The atoms", f"What patches of natural images are made of. {share:.0f} % count as oriented and localised: they come first, "
                "the most Gabor-like at the top left; the rest follow.",
                filters(dictionary.T[order].reshape(-1, SIDE, SIDE), columns=16)),
        Picture("Few numbers, much signal", "Signal to noise of unseen patches against how many atoms a code uses, for weights of the L1 "
                f"term from {weights[0]:g} to {weights[-1]:g}; atoms that were not learnt need more of them.",
                lines({name: found["nonzeros"] for name, found in paths.items()}, {name: found["snr"] for name, found in paths.items()},
                      xlabel="non-zeros of a code", ylabel="signal to noise (dB)", markers=True, log=False)),
        Picture("Guessing the end of a search", f"Squared distance to the optimal code after each step of FISTA, for λ = {used:g}; 1 is a "
                f"code of zeros. LISTA gets there with the work of {config.layers + 1} steps.",
                lines(count, {"FISTA": error["fista"]}, levels={f"LISTA, {config.layers} layers": error["lista"]},
                      xlabel="steps", ylabel="code error", log=True)),
        Picture("One entry at a time", f"The same for greedy coordinate descent and LCoD, which moves {config.moves} entries.",
                lines(torch.arange(config.moves + 1), {"coordinate descent": error["cod"]}, levels={"LCoD": error["lcod"]},
                      xlabel="entries moved", ylabel="code error")),
        Picture("What makes it a model", "Energy left after inference, over that of the empty code. With the L1 term noise costs more than "
                "data; without it nothing costs anything: a flat energy.", bars(energies, label="F(y) / ½‖y‖²")),
        Picture("The same in pictures", "Patches of unseen images and white noise, as the sparse code and the flat control reconstruct "
                "them: the control copies the noise as faithfully as the data.",
                images([part.reshape(-1, SIDE, SIDE) for part in answers.values()], rows=list(answers))),
    ]  # fmt: skip


def embed(energy: Energy, values: Mapping[str, Tensor]) -> Float[Tensor, "N K"]:
    """The code."""
    with torch.no_grad():
        return energy.minimize("z", ADMM(), tol=1e-3).answer(y=values["y"])


def tell(energy: Energy, values: Mapping[str, Tensor], solution: Any) -> list[str]:
    """How many atoms each patch uses, how much of it they explain, and the strongest of them."""
    y, z = values["y"], solution.value
    left = (y - z @ _decoder(energy).W.detach().T).square().sum(1) / y.square().sum(1).clamp_min(1e-12)
    texts = []
    for code, rest in zip(z, left.tolist(), strict=True):
        used = code.abs().argsort(descending=True)[: int((code != 0).sum())]
        strongest = ", ".join(f"{k} ({code[k]:+.2f})" for k in used[:6].tolist())
        texts.append(f"{len(used)} atoms explain {100 * (1 - rest):.0f} %" + (f": {strongest}" if strongest else ""))
    return texts


def read(paths: list[str], config: Config) -> dict[str, Tensor]:
    """Whitened patches, side by side, of the user's pictures."""
    pictures = [_whitened(picture) for path in paths for picture in read_images([path])["x"]]
    tiles = [picture.unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE).reshape(-1, DIM) for picture in pictures]
    return {"y": _centred(torch.cat(tiles))}


register(
    System(
        name="sparse_coding",
        title="Sparse codes of natural images, and encoders that guess them",
        rows=("R50",),
        paper="Olshausen & Field 1996; Gregor & LeCun 2010",
        config=Config,
        presets={
            "smoke": {
                "images": "noise", "patches": 600, "atoms": 40, "steps": 4, "batch_size": 100,
                "encoder_steps": 4, "lcod_steps": 4, "moves": 4,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="sparse",
        observed="y",
        unknown="z",
        embed=embed,
        read=read,
        tell=tell,
        metrics=(
            Metric("oriented_localised", "higher", gate=80.0, gate_source="own measure, see the system's page", unit="%",
                   about="Atoms that are oriented and localised."),
            Metric("explained_by_gabor", "higher", about="Mean part of an atom's energy that one Gabor function explains."),
            Metric("nonzeros", "lower", about="Non-zeros of a code at the weight W is learnt with, unseen patches."),
            Metric("snr", "higher", unit="dB", about="Signal to noise of those codes."),
            Metric("encoder_nonzeros", "lower", about="Non-zeros of the codes that the encoders guess."),
            Metric("encoder_snr", "higher", unit="dB", about="Signal to noise of those codes, when optimal."),
            Metric("lista_code_error", "lower", about="‖z − z*‖² / ‖z*‖² of LISTA with three layers."),
            Metric("fista20_code_error", "lower", about="The same for FISTA after 20 iterations."),
            Metric("lista_over_fista20", "lower", gate=1.0, gate_source="own reading of Gregor & LeCun 2010, figure 3",
                   about="The ratio of the two."),
            Metric("fista_same_work_code_error", "lower", about="FISTA after as many products with a K × K matrix as LISTA makes."),
            Metric("lcod_code_error", "lower", about="LCoD."),
            Metric("cod_same_moves_code_error", "lower", about="Greedy coordinate descent after as many moves."),
            Metric("noise_over_data", "higher", gate=1.1, gate_source="own", about="F of white noise over F of data of the same length."),
            Metric("flat_data", "lower", gate=0.01, gate_source="own", about="Control without L1: F(y) / ½‖y‖² of data."),
            Metric("flat_noise", "lower", gate=0.01, gate_source="own", about="The same of noise: as low, so the energy is flat."),
        ),
    )
)  # fmt: skip
