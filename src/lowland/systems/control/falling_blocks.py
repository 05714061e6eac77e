"""Will the tower fall, where will its blocks lie, and can that be? Physics learnt by looking, one energy for each question.

    E(x, y)    = −log p(y | x)                                  x: a picture of a tower at rest; y: it stands, or it falls
    E(s, y)    = −Σ_i log p(y_i | s)                            y_i: which block lies at place i three seconds later
    E(s, y, z) = −Σ_i log p(y_i | s, z) + ½‖z‖²                 a block was pushed, nobody saw which, nor how hard: z
    E(y, z)    = Σ_t ½‖y_t − g(z_t)‖² / σ² − log p(z_t | z_<t)  y: a clip, z: where its thing is; surprise: with z found as it comes

Towers and clips are made by two-dimensional physics (`lowland.data.towers`, `lowland.data.expectations`), in colour, with cameras,
light and noise at random. The first two energies share what they see with; the third goes on from there, and has a twin without z.

Training: the negative log-likelihood of what came (strategy C1), where there is a z its bound with an encoder that has seen what came
    (strategy A2: KL limits what z may tell). In clips z is found frame by frame, as it was expected and as it is seen, and held fixed
    while the energy is lowered there. An impossible clip is never learnt from.
No collapse: what came is given, and likelihoods are normalised: what is likelier makes all else less likely.
Sources: Lerer, Gross & Fergus, Learning Physical Intuition of Block Towers by Example, ICML 2016; Riochet et al., IntPhys, arXiv 1803.07616
    (2018), for pairs of clips; Smith et al., NeurIPS 2019, for surprise of a filter; Henaff, Canziani & LeCun, ICLR 2019, for z.
Differences: 1. Two dimensions, drawn by us; small networks, trained in minutes. 2. No real photographs: how much is lost between
    made and real towers is not measured. 3. Blocks are known by their colours, as in the paper's masks, on a map of half the
    picture's side. 4. Clips of one thing, with pairs that we made, rather than those of IntPhys.
Expect: 93.2 % of 3,000 unseen towers of 2 to 4 blocks, seed 0; 100 % of the half it is surest of, certainty 1.6 % off; 87.2 % of towers
    of five, which it never saw. Pushed towers: overlap 51.7 % for the best of ten draws of z, 33.4 for one, 40.7 for the forecast without,
    which draws 67 % of the blocks' area, a draw 73. Of pairs of clips the impossible one surprises more in 98.6 % (58 % if
    surprise is mere change); over all clips the area is 0.97: 1.00 where something appears or jumps, 0.99 hangs, 0.98 passes through,
    0.92 changes, 0.87 vanishes. Twenty minutes of half a core.
Known failure: where blocks land is hardly learnt: an overlap of 48.7 %, and 48.0 if nothing is said to move. It sees which blocks
    stay; those that fall are smeared over the ground. What vanishes behind a wide screen has stopped there, for all it knows, and each
    frame in which it doesn't come out surprises it a little; another shape of the same colour is a few pixels at the corners. A screen
    that has almost the colour of what is behind it is badly seen, and what passes there surprises. Foreseen in one go from
    the first three frames, with an error of pixels alone, it was 88.4 % of pairs and an area of 0.79: then surprise grows with how
    large a thing is and how far it stands out, more than with what is odd about it.

Your own pictures: ``lowland infer RUN tower.png`` says stands or falls, and how sure that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...data import block_towers, expected_clips, matched_clips
from ...data.expectations import FRAMES, GIVEN, KINDS
from ...data.expectations import SIDE as CLIP_SIDE
from ...data.towers import COLOURS, LABELS, MAP_SIDE, SIDE, Towers
from ...energy import Filtered, NetworkTable, Outcome
from ...nets import ClipNet, MapGuess, MapHead, OutcomeHead, TowerMap, TowerTrunk
from ...objectives import EnergyLoss, LatentPrediction, Loss, NegativeLogLikelihood, auroc, calibration_error
from ...spaces import Box, Labels, Real
from ...system import Data, Metric, System, register
from ...train import Player, cosine_decay

PICTURE, MAP = Box(0.0, 1.0, 3, SIDE, SIDE), Labels(len(LABELS), MAP_SIDE, MAP_SIDE)
CLIP, PLACES = Box(0.0, 1.0, FRAMES, 3, CLIP_SIDE, CLIP_SIDE), Real(FRAMES, 2)
OUTCOMES = ("stands", "falls")
#: First seeds of what is learnt from, what is tuned on and what is judged.
LEARN, TUNE, JUDGE = 1_000, 50_000, 100_000
CHUNK = 500  # pictures or clips judged at once


@dataclass(frozen=True)
class Config:
    """What is made, learnt and judged."""

    towers: int = 10_000
    """Towers of 2 to 4 blocks that are learnt from; half of them fall."""
    pushed: int = 4_000
    """Towers that stand, one of whose blocks is pushed."""
    clips: int = 12_000
    """Clips of what is possible that are learnt from."""
    judged: int = 3_000
    """Towers that are judged; of five blocks, and of pushed ones, a third, and pairs of clips of each kind a fifteenth."""
    epochs: int = 6
    """Passes over the towers."""
    pushed_epochs: int = 6
    """Passes over the pushed towers, with z and without."""
    clip_epochs: int = 5
    """Passes over the clips."""
    batch_size: int = 64
    """Towers in a batch; of pushed ones and of clips half as many."""
    rate: float = 3e-3
    """AdamW's largest step, in units of weight."""
    channels: tuple[int, int, int] = (24, 48, 64)
    """Maps of the three scales at which towers are looked at."""
    map_weight: float = 3.0
    """What a nat a place of the map counts, beside a nat of the outcome."""
    z: int = 6
    """Numbers that say what nobody saw."""
    told: float = 0.3
    """What a nat of z costs in training."""
    draws: int = 10
    """Futures that are imagined of one pushed tower."""
    noise: float = 0.4
    """σ, how far off a pixel of a clip may be for half a nat; white is 1."""
    bfloat16: bool = True
    """Whether convolutions are computed in bfloat16 while training; all else is float32."""


def build(config: Config) -> nn.ModuleDict:
    side = SIDE // 8
    trunk = TowerTrunk(config.channels)

    def map_of(trunk: TowerTrunk, z: int = 0) -> TowerMap:
        return TowerMap(trunk, MapHead((config.channels[0], config.channels[2]), side, len(LABELS), z))

    outcome = OutcomeHead(config.channels[2] * side**2, len(OUTCOMES))
    guess = MapGuess(len(LABELS), MAP_SIDE, config.z)
    return nn.ModuleDict(
        {
            "falls": NetworkTable(nn.Sequential(trunk, outcome), PICTURE, len(OUTCOMES)),
            "landing": Outcome(map_of(trunk), PICTURE, MAP),
            "pushed": Outcome(map_of(TowerTrunk(config.channels), config.z), PICTURE, MAP, guess, config.z),
            "pushed_mean": Outcome(map_of(TowerTrunk(config.channels)), PICTURE, MAP),
            "clips": Filtered(ClipNet(GIVEN, CLIP_SIDE), CLIP, PLACES, config.noise),
        }
    )


def data(config: Config) -> Data:
    third = max(config.judged // 3, 4)
    made: dict[str, Any] = {
        "towers": block_towers(config.towers, seed=LEARN),
        "pushed": block_towers(config.pushed, seed=LEARN + 1, pushed=True),
        "tune": block_towers(third, seed=TUNE),
        "test": block_towers(config.judged, seed=JUDGE),
        "five": block_towers(third, (5,), seed=JUDGE + 1),
        "test_pushed": block_towers(third, seed=JUDGE + 2, pushed=True),
    }
    clips = expected_clips(config.clips, LEARN)
    pairs = {}
    for split, seed in (("tune", TUNE), ("test", JUDGE)):
        for index, kind in enumerate(KINDS):
            pairs[f"{split} {kind}"] = matched_clips(kind, max(config.judged // 15, 2), seed + index)
    source = {
        "block towers": {"split": "made", "samples": config.towers + config.pushed, "sha256": {}},
        "clips": {"split": "made", "samples": config.clips, "sha256": {}},
    }
    return Data(
        {"x": made["towers"].pictures, "y": made["towers"].falls},
        {"x": _pixels(made["tune"].pictures), "y": made["tune"].falls},
        {"x": _pixels(made["test"].pictures), "y": made["test"].falls},
        sources=source,
        labels=OUTCOMES,
        extra={**made, "clips": clips, "pairs": pairs},
    )


def _pixels(pictures: Tensor) -> Tensor:
    """From bytes to [0, 1]."""
    return pictures.float() / 255


# --- training ---------------------------------------------------------------------------------------------------------------


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    _look(model, config, data, trainer)
    learnt = model["falls"].network[0].state_dict()
    for name in ("pushed", "pushed_mean"):
        trunk = model[name].network.trunk
        trainer.once(
            f"{name} looks as towers are looked at", lambda trunk=trunk: trunk.load_state_dict(learnt) and None
        )
        _imagine(model[name], name, config, data, trainer)
    _watch(model["clips"], config, data, trainer)


def _player(name: str, modules: Any, loss: Any, config: Config, clip: float = 5.0) -> Player:
    def cast(batch: Mapping[str, Tensor]) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
            return loss(batch)

    adam = partial(torch.optim.AdamW, lr=config.rate, weight_decay=0.05)
    return Player(name, modules, cast, adam, partial(cosine_decay, warm_up=0.1), clip=clip)


def _look(model: Any, config: Config, data: Data, trainer: Any) -> None:
    falls, landing, towers = model["falls"], model["landing"], data.extra["towers"]
    outcome, lies = NegativeLogLikelihood(), EnergyLoss()
    weight = config.map_weight / MAP_SIDE**2

    def loss(batch: Mapping[str, Tensor]) -> Loss:
        told = outcome(falls, {"x": batch["s"], "y": batch["falls"]})
        drawn = lies(landing, {"s": batch["s"], "y": batch["y"]})
        parts = {"falls": told.value.detach(), "map": drawn.value.detach()}
        return Loss(told.value + weight * drawn.value, parts)

    trainer.fit(
        "towers",
        _player("towers", [falls, landing], loss, config),
        {"s": towers.pictures, "falls": towers.falls, "y": towers.after},
        epochs=config.epochs,
        batch_size=config.batch_size,
        drop_last=True,
        transform=_either_way,
        validate=lambda: {"accuracy": judged_outcomes(falls, data.extra["tune"])["accuracy"]},
        validate_every=2,
    )


def _imagine(energy: Outcome, name: str, config: Config, data: Data, trainer: Any) -> None:
    pushed = data.extra["pushed"]
    objective = LatentPrediction(config.told, dropout=0.0) if energy.encoder is not None else EnergyLoss()
    trainer.fit(
        name,
        _player(name, energy, lambda batch: objective(energy, batch), config, clip=200.0),
        {"s": pushed.pictures, "y": pushed.after},
        epochs=config.pushed_epochs,
        batch_size=max(config.batch_size // 2, 1),
        drop_last=True,
        transform=_either_way,
    )


def _watch(energy: Filtered, config: Config, data: Data, trainer: Any) -> None:
    """Where the thing is, is found, and held fixed while the energy there is lowered."""
    trainer.fit(
        "clips",
        _player("clips", energy, lambda clips: EnergyLoss()(energy, {**clips, "z": energy.find(clips["y"])}), config),
        {"y": data.extra["clips"]},
        epochs=config.clip_epochs,
        batch_size=max(config.batch_size // 2, 1),
        drop_last=True,
        transform=_either_way,
        validate=lambda: judged_pairs(energy, data.extra["pairs"], "tune"),
        validate_every=max(config.clip_epochs // 2, 1),
    )


def _either_way(batch: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Bytes become numbers, and half the samples are seen in a mirror, with all that belongs to them."""
    rows = torch.rand(len(batch["y"]), generator=generator) < 0.5
    found = {}
    for name, value in batch.items():
        value = _pixels(value) if value.dtype == torch.uint8 else value
        mirrored = rows.reshape(-1, *[1] * (value.ndim - 1))
        found[name] = torch.where(mirrored, value.flip(-1), value) if value.ndim > 1 else value
    return found


# --- judging ----------------------------------------------------------------------------------------------------------------


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    made = data.extra
    found = {f"falls_{name}": value for name, value in judged_outcomes(model["falls"], made["test"]).items()}
    for number, name in ((2, "two"), (3, "three"), (4, "four")):
        some = made["test"].rows(made["test"].blocks == number)
        found[f"falls_{name}_accuracy"] = judged_outcomes(model["falls"], some)["accuracy"]
    found["falls_five_accuracy"] = judged_outcomes(model["falls"], made["five"])["accuracy"]
    test = made["test"].rows(made["test"].falls == 1)
    found["landing_overlap"] = overlap(answers(model["landing"], test).argmax(1), test.after)
    found["unmoved_overlap"] = overlap(test.now, test.after)
    found.update(judged_futures(model, config, made["test_pushed"]))
    found.update(judged_pairs(model["clips"], made["pairs"], "test"))
    return found


@torch.no_grad()
def judged_outcomes(energy: NetworkTable, towers: Towers) -> dict[str, float]:
    """How often it is right about them, also where it is surest; how far certainty and frequency lie apart: all in per cent."""
    chance = torch.cat([(-energy.table("y", x=_pixels(some))).softmax(1) for some in towers.pictures.split(CHUNK)])
    certainty, answer = chance.max(1)
    right = answer == towers.falls
    surest = certainty.argsort(descending=True)[: max(len(right) // 2, 1)]
    return {
        "accuracy": 100 * right.float().mean().item(),
        "surest_half": 100 * right[surest].float().mean().item(),
        "calibration_error": 100 * calibration_error(right, certainty),
    }


@torch.no_grad()
def answers(energy: Outcome, towers: Towers, z: Tensor | None = None) -> Float[Tensor, "N K h w"]:
    """The log odds of what lies where, of one future of each tower."""
    parts = zip(
        towers.pictures.split(CHUNK), [None] * len(towers.pictures) if z is None else z.split(CHUNK), strict=False
    )
    return torch.cat(
        [energy.network(_pixels(s)) if some is None else energy.network(_pixels(s), some) for s, some in parts]
    )


def overlap(found: Tensor, truth: Tensor) -> float:
    """Mean of intersection over union of the blocks that are in the picture afterwards, in per cent."""
    return 100 * overlaps(found, truth).mean().item()


def overlaps(found: Tensor, truth: Tensor) -> Tensor:
    """Of each tower, the mean of intersection over union of its blocks, ``(N,)``; of towers that have a block in the picture."""
    labels = torch.arange(1, len(LABELS))[:, None, None]
    one, other = found[:, None] == labels, truth[:, None] == labels
    there = other.flatten(2).any(2)
    shared = (one & other).flatten(2).sum(2) / (one | other).flatten(2).sum(2).clamp_min(1)
    return ((shared * there).sum(1) / there.sum(1))[there.any(1)]


@torch.no_grad()
def judged_futures(model: Any, config: Config, towers: Towers) -> dict[str, float]:
    """Draws of z beside the forecast that has none, of towers that were pushed."""
    generator = torch.Generator().manual_seed(0)
    mean = answers(model["pushed_mean"], towers).argmax(1)
    futures = torch.stack([answers(model["pushed"], towers, torch.randn(len(mean), config.z, generator=generator)).argmax(1)
                           for _ in range(config.draws)])  # fmt: skip
    each = torch.stack([overlaps(future, towers.after) for future in futures])
    blocks, area = towers.after > 0, (towers.after > 0).sum()
    apart = (futures[0] != futures[1]) & ((futures[0] > 0) | (futures[1] > 0))
    either = (futures[0] > 0) | (futures[1] > 0)
    return {
        "mean_overlap": overlap(mean, towers.after),
        "draw_overlap": 100 * each.mean().item(),
        "best_overlap": 100 * each.amax(0).mean().item(),
        "mean_drawn": 100 * ((mean > 0).sum() / area).item(),
        "draw_drawn": 100 * ((futures > 0).sum() / len(futures) / blocks.sum()).item(),
        "draws_apart": 100 * (apart.sum() / either.sum().clamp_min(1)).item(),
    }


@torch.no_grad()
def surprises(energy: Filtered, clips: Tensor) -> Float[Tensor, "N T"]:
    """How surprising each frame of each clip is, in nats; the first three are given, and surprise nobody."""
    found = torch.cat([energy.surprise(_pixels(some)) for some in clips.split(CHUNK)])
    found[:, :GIVEN] = 0
    return found


def changes(clips: Tensor) -> Float[Tensor, "N T"]:
    """By how much each frame differs from the one before it, for comparison: a forecast that nothing ever changes."""
    parts = [_pixels(some) for some in clips.split(CHUNK)]
    return torch.cat([nn.functional.pad(some.diff(dim=1).square().flatten(2).sum(2), (1, 0)) for some in parts])


def judged_pairs(energy: Filtered, pairs: Mapping[str, Any], split: str) -> dict[str, float]:
    """How often the impossible clip of a pair is the more surprising one, and how well surprise alone tells them apart."""
    found: dict[str, float] = {}
    for prefix, measure in (("", partial(surprises, energy)), ("unchanged_", changes)):
        both = {kind: [measure(clips).sum(1) for clips in pairs[f"{split} {kind}"]] for kind in KINDS}
        possible, impossible = (torch.cat(side) for side in zip(*both.values(), strict=True))
        found[f"{prefix}relative"] = 100 * (possible < impossible).float().mean().item()
        found[f"{prefix}absolute"] = auroc(possible, impossible)
        if not prefix:
            found.update({f"{kind}_absolute": auroc(*sides) for kind, sides in both.items()})
    return found


def tell(energy: Any, values: Mapping[str, Tensor], solution: Any) -> list[str]:
    """What it will do, and with what certainty."""
    chance = (-energy.table("y", x=values["x"])).softmax(1).gather(1, solution.value[:, None])[:, 0]
    return [
        f"{OUTCOMES[y]}, {100 * p:.0f} % sure" for y, p in zip(solution.value.tolist(), chance.tolist(), strict=True)
    ]


# --- pictures ---------------------------------------------------------------------------------------------------------------


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, lines, panels

    made = data.extra
    test, pushed = made["test"], made["test_pushed"]
    figure, axes = panels(4, 8, width=10.0, height=5.4)
    chance = (-model["falls"].table("y", x=_pixels(test.pictures[:8]))).softmax(1)[:, 1]
    shown, rows = pushed.rows(slice(0, 3)), []
    z = torch.randn(4, len(shown.pictures), config.z, generator=torch.Generator().manual_seed(0))
    mean = _tinted(answers(model["pushed_mean"], shown).softmax(1))
    draws = [_tinted(answers(model["pushed"], shown, one).softmax(1)) for one in z]
    for index in range(3):
        before, after = _pixels(shown.pictures[index]), _tinted(_whole(shown.after[index : index + 1]))[0]
        rows.append([before, after, mean[index], *(draw[index] for draw in draws)])
    names = ("pushed, unseen", "what came", "no z: their mean", "one z", "another", "another", "another")
    for index in range(8):
        axes[0, index].imshow(_pixels(test.pictures[index]).permute(1, 2, 0).numpy())
        sure, truth = float(chance[index]), OUTCOMES[int(test.falls[index])]
        axes[0, index].set_title(
            f"{OUTCOMES[int(sure > 0.5)]}, {100 * max(sure, 1 - sure):.0f} %\n({truth})", fontsize=8
        )
    for row, tiles in enumerate(rows, 1):
        for column, (tile, name) in enumerate(zip(tiles, names, strict=True)):
            axes[row, column].imshow(tile.permute(1, 2, 0).clamp(0, 1).numpy())
            if row == 1:
                axes[row, column].set_title(name, fontsize=8)
    for axis in axes.flat:
        axis.set_axis_off()
    return [
        Picture("Will it fall?", "Above: how sure it is of towers that it never saw, and what they did. Below: a block is pushed, nobody "
                "sees which; the forecast without z is the mean of all that may come, and with it every z is one of them.", figure),
        *_watched(model, data, Picture, lines, panels),
    ]  # fmt: skip


def _watched(model: Any, data: Data, picture: Any, lines: Any, panels: Any) -> list[Any]:
    """Surprise over time, of a possible and an impossible clip of each kind."""
    found = []
    figure, axes = panels(len(KINDS), 3, width=10.0, height=7.0, width_ratios=(4, 4, 1.4))
    for row, kind in enumerate(KINDS):
        pair = [clips[:1] for clips in data.extra["pairs"][f"test {kind}"]]
        for column, (clip, name) in enumerate(zip(pair, ("possible", "impossible"), strict=True)):
            strip = _pixels(clip[0, 2::2]).permute(1, 2, 0, 3).flatten(2).permute(1, 2, 0)
            axes[row, column].imshow(strip.numpy())
            axes[row, column].set_title(kind if column else "as it should be", fontsize=8, loc="left")
            axes[row, column].set_axis_off()
            axes[row, 2].plot(surprises(model["clips"], clip)[0].numpy(), label=name)
        axes[row, 2].tick_params(labelsize=6)
    axes[0, 2].legend(fontsize=6)
    found.append(picture("Can that be?", "Every second frame of a clip that is as it should be, and of its twin that can't; how surprising "
                         "each frame is, in nats, given the first three.", figure))  # fmt: skip
    return found


def _whole(labels: Tensor) -> Tensor:
    return nn.functional.one_hot(labels, len(LABELS)).movedim(-1, 1).float()


def _tinted(chance: Float[Tensor, "N K h w"]) -> Float[Tensor, "N 3 h w"]:
    """Chances of labels as a picture: blocks in their colours on white, as faint as they are unlikely."""
    return torch.einsum("nkhw,kc->nchw", chance, torch.cat([torch.ones(1, 3), COLOURS]))


register(
    System(
        name="falling_blocks",
        title="Will the tower fall? Physics learnt by looking",
        rows=("R44",),
        paper="Lerer, Gross & Fergus 2016; Riochet et al. 2018",
        config=Config,
        presets={
            "smoke": {
                "towers": 64, "pushed": 32, "clips": 32, "judged": 30, "epochs": 2, "pushed_epochs": 2, "clip_epochs": 2,
                "batch_size": 16, "channels": (4, 6, 8), "draws": 2, "bfloat16": False,
            },
        },
        build=build,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        tell=tell,
        main="falls",
        observed="x",
        unknown="y",
        metrics=(
            Metric("falls_accuracy", "higher", gate=89.0, gate_source="own, after Lerer et al. 2016", unit="%",
                   about="falls or stands; towers of 2 to 4 blocks"),
            Metric("falls_surest_half", "higher", unit="%", about="of the half it is surest of"),
            Metric("falls_calibration_error", "lower", gate=5.0, gate_source="own", unit="%", about="expected calibration error, ten bins"),
            Metric("falls_two_accuracy", "higher", unit="%", about="towers of two"),
            Metric("falls_three_accuracy", "higher", unit="%", about="towers of three"),
            Metric("falls_four_accuracy", "higher", unit="%", about="towers of four"),
            Metric("falls_five_accuracy", "higher", unit="%", about="towers of five, more than it ever saw"),
            Metric("landing_overlap", "higher", unit="%", about="intersection over union of each block after the fall; towers that fall"),
            Metric("unmoved_overlap", "higher", unit="%", about="the same, if nothing moved"),
            Metric("mean_overlap", "higher", unit="%", about="the same of pushed towers, forecast without z"),
            Metric("draw_overlap", "higher", unit="%", about="one draw of z"),
            Metric("best_overlap", "higher", unit="%", about="the best of ten draws"),
            Metric("mean_drawn", "higher", unit="%", about="area it draws, of the blocks' own, forecast without z: the rest is blurred"),
            Metric("draw_drawn", "higher", unit="%", about="the same of draws of z"),
            Metric("draws_apart", "higher", unit="%", about="of the blocks' area, where two draws differ"),
            Metric("relative", "higher", gate=90.0, gate_source="own", unit="%",
                   about="pairs whose impossible clip is the more surprising one"),
            Metric("absolute", "higher", gate=0.9, gate_source="own",
                   about="area under the curve: impossible from possible, all clips, by surprise alone"),
            Metric("vanishes_absolute", "higher", about="the same where something vanishes"),
            Metric("appears_absolute", "higher", about="the same where something appears"),
            Metric("changes_absolute", "higher", about="the same where something changes"),
            Metric("hangs_absolute", "higher", about="the same where something hangs"),
            Metric("passes_absolute", "higher", about="the same where something passes"),
            Metric("jumps_absolute", "higher", about="the same where something jumps"),
            Metric("unchanged_relative", "higher", unit="%", about="pairs, if surprise were what has changed since the last frame"),
            Metric("unchanged_absolute", "higher", about="the same, over all clips"),
        ),
    )
)  # fmt: skip
